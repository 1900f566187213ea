//! Backup and restore: everything the service knows in one tar archive, the same whichever database
//! and object store it came from or goes to.
//!
//! | entry | content |
//! |---|---|
//! | `tables/NAME/NNNN.jsonl` | rows as JSON objects, a line each, parents before children |
//! | `objects/KEY` | an object in the form it is kept in: sealed ones stay sealed |
//! | `master.key` | the master keys, only when asked for |
//! | `manifest.json` | last: version, and the size and SM3 digest of every entry |
//!
//! The rows are read in one snapshot, then the objects: an object is stored before a row names it, so
//! all that the rows name is there, and what was added meanwhile does no harm.

mod restore;
mod schema;
mod write;

use std::io;

use serde::{Deserialize, Serialize};

use super::{ObjectError, StoreError};
use crate::crypto::{KeyError, KeyRing, Sm3Digest};

pub use restore::restore;
pub use write::backup;

const MANIFEST: &str = "manifest.json";
const KEY_ENTRY: &str = "master.key";
const FORMAT: u32 = 1;

/// What can go wrong with a backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The object store failed.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// The keys in the archive are malformed.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The archive cannot be read or written.
    #[error("the archive cannot be read or written: {0}. Check the disk it lies on")]
    Archive(#[from] io::Error),
    /// The archive is not whole, or was changed.
    #[error("the archive is damaged at {entry}: {problem}. Nothing was restored. Take another copy of it")]
    Damaged {
        /// The entry of the archive.
        entry: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The archive was made by a version with other tables.
    #[error(
        "the archive was made by shuyu {version} with database schema {theirs}; this program has {ours}. \
         Restore it with shuyu {version}, then start the newer one on it"
    )]
    Schema {
        /// The program's version that made it.
        version: String,
        /// Its schema.
        theirs: i64,
        /// This program's.
        ours: i64,
    },
    /// There is something already where the backup should go.
    #[error("{what} is not empty. Restore into an empty data directory or database")]
    NotEmpty {
        /// The table, or the object store.
        what: String,
    },
    /// A column has a type that backups do not know: a mistake in a migration.
    #[error("column {column} of table {table} has type {kind}, which backups do not know")]
    ColumnType {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// Its type.
        kind: String,
    },
    /// Tables that refer to each other in a circle: a mistake in a migration.
    #[error("the tables {0:?} refer to each other in a circle")]
    Circle(Vec<String>),
}

/// What a backup holds, or what was restored.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Rows of all tables.
    pub rows: u64,
    /// Objects.
    pub objects: u64,
    /// Bytes of all rows and objects as they stand in the archive.
    pub bytes: u64,
    /// Ids of the master keys in use when it was made: what the sealed objects open with.
    pub keys: Vec<String>,
    /// The master keys, when the archive holds them.
    pub ring: Option<KeyRing>,
}

/// The last entry of the archive.
#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    format: u32,
    version: String,
    schema: i64,
    /// Milliseconds since 1970 UTC.
    made_at: i64,
    keys: Vec<String>,
    rows: u64,
    objects: u64,
    entries: Vec<ManifestEntry>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct ManifestEntry {
    path: String,
    size: u64,
    sm3: Sm3Digest,
}
