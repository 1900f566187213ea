//! [`Db`]: pools of connections to SQLite or PostgreSQL, and transactions on them.

use std::ops::{Deref, DerefMut};
use std::str::FromStr;
use std::sync::Once;
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{Any, AnyConnection, AnyPool, Executor};

use super::{StoreError, migrations};

/// A connection, or a transaction borrowed as one.
pub type Connection = AnyConnection;

/// Seconds that a writer waits for SQLite's one write lock before it gives up.
const BUSY_SECONDS: u64 = 10;

/// The database engine behind a [`Db`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// The embedded default.
    Sqlite,
    /// For more than one machine.
    Postgres,
}

/// The database. Cheap to clone.
///
/// SQLite has one writer, so its write transactions queue for a pool of one connection instead of
/// colliding; readers have a pool of their own (write-ahead log: they never wait for the writer).
#[derive(Clone, Debug)]
pub struct Db {
    engine: Engine,
    readers: AnyPool,
    writers: AnyPool,
}

/// Makes a database file that is absent, for its owner alone: SQLite's own would be readable by
/// everybody on the machine, and the files beside it take after it. What fails here fails again, with
/// its reason, when it is opened.
fn make_private(path: &str) {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = std::fs::OpenOptions::new();
    if options.create_new(true).write(true).mode(0o600).open(path).is_err() {
        tracing::debug!(path, "the database file is there already, or cannot be made");
    }
}

impl Db {
    /// Connects to `sqlite:PATH` (made when absent) or `postgres://…` and applies the migrations.
    ///
    /// # Errors
    /// When the address is of another kind, the server cannot be reached, or a migration fails.
    pub async fn connect(address: &str) -> Result<Self, StoreError> {
        static DRIVERS: Once = Once::new();
        DRIVERS.call_once(sqlx::any::install_default_drivers);

        let engine = match address.split(':').next() {
            Some("sqlite") => Engine::Sqlite,
            Some("postgres" | "postgresql") => Engine::Postgres,
            _ => return Err(StoreError::Address(address.to_owned())),
        };
        let db = match engine {
            Engine::Sqlite => {
                make_private(address.trim_start_matches("sqlite:").trim_start_matches("//"));
                let writers = pool(engine, 1, &format!("{address}?mode=rwc")).await?;
                Self { engine, readers: pool(engine, 8, address).await?, writers }
            }
            Engine::Postgres => {
                let both = pool(engine, 16, address).await?;
                Self { engine, readers: both.clone(), writers: both }
            }
        };
        migrations::migrator(engine).run(&db.writers).await?;
        Ok(db)
    }

    /// Which engine this is.
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// A connection for reading outside a transaction.
    ///
    /// # Errors
    /// When no connection can be had in time.
    pub async fn read(&self) -> Result<sqlx::pool::PoolConnection<Any>, StoreError> {
        Ok(self.readers.acquire().await?)
    }

    /// Begins a transaction that may write. On SQLite it takes the write lock at once, so a read
    /// inside it is still true when it writes.
    ///
    /// # Errors
    /// [`StoreError::Busy`] when another process holds the lock; else when no connection can be had.
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        let begun = match self.engine {
            Engine::Sqlite => self.writers.begin_with("BEGIN IMMEDIATE").await,
            Engine::Postgres => self.writers.begin().await,
        };
        begun.map(|inner| Tx { inner }).map_err(|error| match &error {
            sqlx::Error::Database(e) if e.message().contains("locked") => {
                StoreError::Busy { seconds: BUSY_SECONDS }
            }
            sqlx::Error::PoolTimedOut => StoreError::Busy { seconds: BUSY_SECONDS * 2 },
            _ => StoreError::Database(error),
        })
    }

    /// Asks the database for an answer.
    ///
    /// # Errors
    /// When it does not give one.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1").execute(&mut *self.read().await?).await?;
        Ok(())
    }

    /// Closes every connection after the statements under way.
    pub async fn close(&self) {
        self.writers.close().await;
        self.readers.close().await;
    }
}

async fn pool(engine: Engine, connections: u32, address: &str) -> Result<AnyPool, StoreError> {
    let options = AnyConnectOptions::from_str(address)?;
    let pool = AnyPoolOptions::new()
        .max_connections(connections)
        .min_connections(1)
        .acquire_timeout(Duration::from_secs(BUSY_SECONDS * 2))
        .after_connect(move |connection, _| {
            Box::pin(async move {
                if engine == Engine::Sqlite {
                    connection
                        .execute(
                            "PRAGMA busy_timeout = 10000; PRAGMA journal_mode = WAL; \
                             PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON; \
                             PRAGMA cache_size = -8192;",
                        )
                        .await?;
                }
                Ok(())
            })
        })
        .connect_with(options)
        .await?;
    Ok(pool)
}

/// A transaction that may write; dropped without [`Tx::commit`], it leaves nothing behind.
///
/// It can be used wherever a [`Connection`] is asked for: `room::db::insert(&mut tx, …)`.
#[derive(Debug)]
pub struct Tx {
    inner: sqlx::Transaction<'static, Any>,
}

impl Tx {
    /// Makes everything written in the transaction permanent, at once.
    ///
    /// # Errors
    /// When the database refuses; then nothing was written.
    pub async fn commit(self) -> Result<(), StoreError> {
        Ok(self.inner.commit().await?)
    }
}

impl Deref for Tx {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.inner
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.inner
    }
}

#[cfg(test)]
mod tests {
    use sqlx::Row as _;

    use super::*;

    #[tokio::test]
    async fn concurrent_writers_queue_and_all_succeed() {
        let directory = tempfile::tempdir().unwrap();
        let db = Db::connect(&format!("sqlite:{}", directory.path().join("t.db").display())).await.unwrap();
        let mut writers = tokio::task::JoinSet::new();
        for _ in 0..20 {
            let db = db.clone();
            writers.spawn(async move {
                let mut tx = db.begin().await.unwrap();
                sqlx::query("INSERT INTO queue_turns VALUES ('t', 1) ON CONFLICT (scope) DO UPDATE SET turn = queue_turns.turn + 1")
                    .execute(&mut *tx)
                    .await
                    .unwrap();
                tx.commit().await.unwrap();
            });
        }
        while let Some(done) = writers.join_next().await {
            done.unwrap();
        }
        let row = sqlx::query("SELECT turn FROM queue_turns").fetch_one(&mut *db.read().await.unwrap()).await;
        assert_eq!(row.unwrap().get::<i64, _>("turn"), 20);
    }

    #[tokio::test]
    async fn a_dropped_transaction_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let db = Db::connect(&format!("sqlite:{}", directory.path().join("t.db").display())).await.unwrap();
        let mut tx = db.begin().await.unwrap();
        sqlx::query("INSERT INTO settings VALUES ('a', 'b')").execute(&mut *tx).await.unwrap();
        drop(tx);
        let rows = sqlx::query("SELECT name FROM settings").fetch_all(&mut *db.read().await.unwrap()).await;
        assert!(rows.unwrap().is_empty());
    }
}
