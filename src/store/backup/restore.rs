//! Restoring an archive into an empty database and object store.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Read};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::TryStreamExt as _;
use serde_json::Value;
use sqlx::AssertSqlSafe;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::runtime::Handle;

use super::schema::{self, Table};
use super::write::Counted;
use super::{BackupError, FORMAT, KEY_ENTRY, MANIFEST, Manifest, ManifestEntry, Summary};
use crate::crypto::{KeyRing, Sm3Hasher};
use crate::store::objects::{ObjectKey, Objects};
use crate::store::{Db, Engine, StoreError, Tx};

/// No manifest is longer: 16 million entries.
const MAX_MANIFEST: u64 = 2 << 30;

/// Restores an archive into a database and an object store that are both empty, and says what it held;
/// a key in it is given back, not written anywhere. `progress` is told every entry's path and size.
///
/// # Errors
/// [`BackupError`]; the database and the object store are empty then as before.
pub async fn restore(
    db: &Db,
    objects: &Objects,
    reader: impl Read + Send + 'static,
    progress: impl FnMut(&str, u64) + Send + 'static,
) -> Result<Summary, BackupError> {
    if objects.list("").try_next().await?.is_some() {
        return Err(BackupError::NotEmpty { what: "the object store".to_owned() });
    }
    let mut tx = db.begin().await?;
    let tables = schema::tables(&mut tx, db.engine()).await?;
    for table in &tables {
        if !table.is_empty(&mut tx).await? {
            return Err(BackupError::NotEmpty { what: format!("the table {}", table.name) });
        }
    }
    let mut target = Target {
        handle: Handle::current(),
        engine: db.engine(),
        schema: schema::version(&mut tx).await?,
        tx,
        tables: tables.into_iter().map(|table| (table.name.clone(), table)).collect(),
        objects: objects.clone(),
        entries: Vec::new(),
        placed: Vec::new(),
        rows: 0,
        ring: None,
        progress,
    };
    let work = move || match target.read(reader) {
        Ok(summary) => target.finish().map(|()| summary),
        Err(error) => {
            target.take_back();
            Err(error)
        }
    };
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

/// What is restored into, and what was so far.
struct Target<P> {
    handle: Handle,
    engine: Engine,
    schema: i64,
    tx: Tx,
    tables: BTreeMap<String, Table>,
    objects: Objects,
    entries: Vec<ManifestEntry>,
    placed: Vec<ObjectKey>,
    rows: u64,
    ring: Option<KeyRing>,
    progress: P,
}

impl<P: FnMut(&str, u64)> Target<P> {
    /// Reads the archive to its manifest and compares.
    fn read(&mut self, reader: impl Read) -> Result<Summary, BackupError> {
        let mut archive = tar::Archive::new(reader);
        for entry in archive.entries().map_err(not_whole)? {
            let mut entry = entry.map_err(not_whole)?;
            let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            if !entry.header().entry_type().is_file() {
                return Err(damaged(&path, "it is not a regular file"));
            }
            if path == MANIFEST {
                let mut text = Vec::new();
                entry.by_ref().take(MAX_MANIFEST).read_to_end(&mut text).map_err(not_whole)?;
                let manifest = serde_json::from_slice(&text).map_err(|e| damaged(&path, &e.to_string()))?;
                return self.compare(manifest);
            }
            let mut counted = Counted { inner: entry, hasher: Sm3Hasher::new(), size: 0 };
            self.take_in(&path, &mut counted)?;
            // What was not read is part of the digest too.
            io::copy(&mut counted, &mut io::sink()).map_err(not_whole)?;
            (self.progress)(&path, counted.size);
            self.entries.push(ManifestEntry { path, size: counted.size, sm3: counted.hasher.finish() });
        }
        Err(damaged(MANIFEST, "it is missing: the archive is cut off"))
    }

    fn take_in(&mut self, path: &str, content: &mut impl Read) -> Result<(), BackupError> {
        if let Some(key) = path.strip_prefix("objects/") {
            let key: ObjectKey = key.parse().map_err(|_| damaged(path, "its name is no object key"))?;
            let content = InPlace(content);
            // Noted before it is there, so that it is taken back whatever happens.
            self.placed.push(key.clone());
            self.handle.block_on(self.objects.put_as_stored(&key, content))?;
            return Ok(());
        }
        if path == KEY_ENTRY {
            let mut text = zeroize::Zeroizing::new(String::new());
            content.read_to_string(&mut text).map_err(not_whole)?;
            self.ring = Some(KeyRing::parse(&text, path)?);
            return Ok(());
        }
        let table = path.strip_prefix("tables/").and_then(|rest| rest.split_once('/'));
        let table = table.and_then(|(name, _)| self.tables.get(name)).cloned();
        let table = table.ok_or_else(|| damaged(path, "this version knows nothing of the kind"))?;
        self.take_in_rows(path, &table, content)
    }

    fn take_in_rows(
        &mut self,
        path: &str,
        table: &Table,
        content: &mut impl Read,
    ) -> Result<(), BackupError> {
        let insert = table.insert(self.engine);
        for (index, line) in BufReader::new(content).lines().enumerate() {
            let wrong = |problem: &str| damaged(path, &format!("line {}: {problem}", index + 1));
            let line: Value =
                serde_json::from_str(&line.map_err(not_whole)?).map_err(|e| wrong(&e.to_string()))?;
            let query = table.bind(sqlx::query(AssertSqlSafe(insert.clone())), &line);
            let query = query.map_err(|problem| wrong(&problem))?;
            self.handle.block_on(query.execute(&mut *self.tx)).map_err(|error| match error {
                sqlx::Error::Database(refusal) => wrong(refusal.message()),
                other => StoreError::from(other).into(),
            })?;
            self.rows += 1;
        }
        Ok(())
    }

    /// Checks that the archive holds what its manifest says, no more and no less.
    fn compare(&mut self, manifest: Manifest) -> Result<Summary, BackupError> {
        if manifest.format != FORMAT {
            return Err(damaged(MANIFEST, &format!("format {} is not known", manifest.format)));
        }
        if manifest.schema != self.schema {
            return Err(BackupError::Schema {
                version: manifest.version,
                theirs: manifest.schema,
                ours: self.schema,
            });
        }
        self.compare_entries(&manifest.entries)?;
        if (manifest.rows, manifest.objects) != (self.rows, self.placed.len() as u64) {
            return Err(damaged(MANIFEST, "its counts of rows and objects are others"));
        }
        Ok(Summary {
            rows: self.rows,
            objects: manifest.objects,
            bytes: self.entries.iter().map(|entry| entry.size).sum(),
            keys: manifest.keys,
            ring: self.ring.take(),
        })
    }

    /// Names the first entry that is not as listed.
    fn compare_entries(&self, listed: &[ManifestEntry]) -> Result<(), BackupError> {
        for place in 0..listed.len().max(self.entries.len()) {
            match (self.entries.get(place), listed.get(place)) {
                (Some(found), Some(listed)) if found == listed => {}
                (Some(found), Some(listed)) if found.path == listed.path => {
                    return Err(damaged(&found.path, "its digest is not the recorded one"));
                }
                (Some(found), _) if !listed.iter().any(|entry| entry.path == found.path) => {
                    return Err(damaged(&found.path, "the manifest does not list it"));
                }
                (_, Some(listed)) => return Err(damaged(&listed.path, "it is missing or out of place")),
                (Some(found), None) => return Err(damaged(&found.path, "it is there twice")),
                (None, None) => {}
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<(), BackupError> {
        let handle = self.handle.clone();
        let written = handle.block_on(async {
            for table in self.tables.values() {
                table.renumber(&mut self.tx, self.engine).await?;
            }
            Ok::<(), StoreError>(())
        });
        if let Err(error) = written {
            self.take_back();
            return Err(error.into());
        }
        let (tx, placed, objects) = (self.tx, self.placed, self.objects);
        handle.block_on(tx.commit()).map_err(|error| {
            remove(&handle, &objects, &placed);
            error.into()
        })
    }

    /// Leaves the database (its transaction is dropped) and the object store as they were: empty.
    fn take_back(self) {
        remove(&self.handle, &self.objects, &self.placed);
    }
}

fn remove(handle: &Handle, objects: &Objects, placed: &[ObjectKey]) {
    for key in placed {
        if let Err(error) = handle.block_on(objects.delete(key)) {
            tracing::warn!(object = %key, %error, "a half-restored object could not be removed");
        }
    }
}

fn damaged(entry: &str, problem: &str) -> BackupError {
    BackupError::Damaged { entry: entry.to_owned(), problem: problem.to_owned() }
}

/// An archive that ends too early or is none shows as an error of reading.
fn not_whole(error: io::Error) -> BackupError {
    damaged("its end or a header", &error.to_string())
}

/// Reads a blocking source in place: only on a thread that may block.
struct InPlace<'a, R>(&'a mut R);

impl<R: Read> AsyncRead for InPlace<'_, R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = self.0.read(buffer.initialize_unfilled())?;
        buffer.advance(read);
        Poll::Ready(Ok(()))
    }
}
