//! Making an archive.

use std::io::{self, Read, Write};

use futures_util::TryStreamExt as _;
use sqlx::{AssertSqlSafe, Connection as _};
use tar::{Builder, EntryType, Header};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::runtime::Handle;

use super::schema::{self, Table};
use super::{BackupError, FORMAT, KEY_ENTRY, MANIFEST, Manifest, ManifestEntry, Summary};
use crate::clock::Clock;
use crate::crypto::{KeyRing, Sm3Hasher};
use crate::store::objects::{ObjectError, Objects};
use crate::store::{Connection, Db, Engine, StoreError};

/// Bytes of rows in one entry, about.
const TABLE_PART: usize = 4 << 20;

/// Writes everything to an archive, `key` too when given, and says what it holds. `progress` is told
/// every entry's path and size as it is finished. Reads are consistent; the service may go on.
///
/// # Errors
/// [`BackupError`]; what `writer` holds then is not a backup, and restoring it is refused.
pub async fn backup(
    db: &Db,
    objects: &Objects,
    clock: &Clock,
    key: Option<KeyRing>,
    writer: impl Write + Send + 'static,
    progress: impl FnMut(&str, u64) + Send + 'static,
) -> Result<Summary, BackupError> {
    let (db, objects, made_at, handle) = (db.clone(), objects.clone(), clock.millis(), Handle::current());
    let work = move || {
        let mut archive = Archive {
            tar: Builder::new(writer),
            entries: Vec::new(),
            modified: u64::try_from(made_at / 1000).unwrap_or(0),
            progress,
        };
        let (schema, rows) = handle.block_on(write_tables(&db, &mut archive))?;
        let count = write_objects(&handle, &objects, &mut archive)?;
        if let Some(ring) = &key {
            archive.append(KEY_ENTRY, ring.to_text().len() as u64, ring.to_text().as_bytes())?;
        }
        let bytes = archive.entries.iter().map(|entry| entry.size).sum();
        let keys: Vec<String> = objects.sealer().ring().ids().iter().map(ToString::to_string).collect();
        let manifest = Manifest {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            schema,
            made_at,
            keys: keys.clone(),
            rows,
            objects: count,
            entries: std::mem::take(&mut archive.entries),
        };
        let manifest = serde_json::to_vec_pretty(&manifest).map_err(io::Error::other)?;
        archive.append(MANIFEST, manifest.len() as u64, manifest.as_slice())?;
        archive.tar.into_inner()?.flush()?;
        Ok(Summary { rows, objects: count, bytes, keys, ring: key })
    };
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

/// The tar file being written, and what stands in it so far.
struct Archive<W: Write, P> {
    tar: Builder<W>,
    entries: Vec<ManifestEntry>,
    modified: u64,
    progress: P,
}

impl<W: Write, P: FnMut(&str, u64)> Archive<W, P> {
    /// Adds an entry of exactly `size` bytes.
    fn append(&mut self, path: &str, size: u64, content: impl Read) -> Result<(), BackupError> {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_size(size);
        header.set_mode(0o600);
        header.set_mtime(self.modified);
        let mut counted = Counted { inner: content.take(size), hasher: Sm3Hasher::new(), size: 0 };
        self.tar.append_data(&mut header, path, &mut counted)?;
        if counted.size != size {
            let problem = format!("it ended after {} of {size} bytes", counted.size);
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("{path}: {problem}")).into());
        }
        self.entries.push(ManifestEntry { path: path.to_owned(), size, sm3: counted.hasher.finish() });
        (self.progress)(path, size);
        Ok(())
    }
}

/// Digests what is read through it.
pub(super) struct Counted<R> {
    pub(super) inner: R,
    pub(super) hasher: Sm3Hasher,
    pub(super) size: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        self.size += read as u64;
        Ok(read)
    }
}

/// Writes the rows of all tables as of one moment; gives the schema's version and the number of rows.
async fn write_tables<W: Write, P: FnMut(&str, u64)>(
    db: &Db,
    archive: &mut Archive<W, P>,
) -> Result<(i64, u64), BackupError> {
    let mut connection = db.read().await?;
    // SQLite's transaction sees the state of its first read until it ends.
    let begin = match db.engine() {
        Engine::Sqlite => "BEGIN DEFERRED",
        Engine::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
    };
    let mut snapshot = connection.begin_with(begin).await.map_err(StoreError::from)?;
    let schema = schema::version(&mut snapshot).await?;
    let mut rows = 0;
    for table in schema::tables(&mut snapshot, db.engine()).await? {
        rows += write_table(&mut snapshot, &table, archive).await?;
    }
    snapshot.rollback().await.map_err(StoreError::from)?;
    Ok((schema, rows))
}

async fn write_table<W: Write, P: FnMut(&str, u64)>(
    snapshot: &mut Connection,
    table: &Table,
    archive: &mut Archive<W, P>,
) -> Result<u64, BackupError> {
    let mut rows = sqlx::query(AssertSqlSafe(table.select())).fetch(snapshot);
    let (mut count, mut part, mut lines) = (0, 0, Vec::new());
    loop {
        let row = rows.try_next().await.map_err(StoreError::from)?;
        if let Some(row) = &row {
            serde_json::to_writer(&mut lines, &table.encode(row)?).map_err(io::Error::other)?;
            lines.push(b'\n');
            count += 1;
        }
        if lines.len() >= TABLE_PART || (row.is_none() && !lines.is_empty()) {
            let path = format!("tables/{}/{part:04}.jsonl", table.name);
            archive.append(&path, lines.len() as u64, lines.as_slice())?;
            lines.clear();
            part += 1;
        }
        if row.is_none() {
            return Ok(count);
        }
    }
}

fn write_objects<W: Write, P: FnMut(&str, u64)>(
    handle: &Handle,
    objects: &Objects,
    archive: &mut Archive<W, P>,
) -> Result<u64, BackupError> {
    let mut listing = objects.list("");
    let mut count = 0;
    while let Some(listed) = handle.block_on(listing.try_next())? {
        let reader = match handle.block_on(objects.get_as_stored(&listed.key)) {
            // Deleted since it was listed.
            Err(ObjectError::Missing { .. }) => continue,
            found => found?,
        };
        let size = reader.size();
        let content = Blocking { handle: handle.clone(), inner: reader };
        archive.append(&format!("objects/{}", listed.key), size, content)?;
        count += 1;
    }
    Ok(count)
}

/// Reads an asynchronous stream on a thread that may block.
struct Blocking<R> {
    handle: Handle,
    inner: R,
}

impl<R: AsyncRead + Unpin> Read for Blocking<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.handle.block_on(self.inner.read(buffer))
    }
}
