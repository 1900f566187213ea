//! A fresh database of each engine.

use shuyu::store::Db;

use super::postgres::PostgresServer;

/// A database, and what keeps it alive.
pub struct TestDb {
    /// The database.
    pub db: Db,
    /// Its address, to connect to it once more.
    pub address: String,
    _directory: Option<tempfile::TempDir>,
    _server: Option<PostgresServer>,
}

impl TestDb {
    /// An empty SQLite database in a temporary directory.
    pub async fn sqlite() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let address = format!("sqlite:{}", directory.path().join("shuyu.db").display());
        let db = Db::connect(&address).await.unwrap();
        Self { db, address, _directory: Some(directory), _server: None }
    }

    /// An empty PostgreSQL database on a server of its own.
    pub async fn postgres() -> Self {
        let server = tokio::task::spawn_blocking(PostgresServer::start).await.unwrap();
        let address = server.address();
        let db = Db::connect(&address).await.unwrap();
        Self { db, address, _directory: None, _server: Some(server) }
    }

    /// One of each.
    pub async fn both() -> [Self; 2] {
        [Self::sqlite().await, Self::postgres().await]
    }
}
