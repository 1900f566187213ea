//! The database (sqlx) and the objects (object_store).
//!
//! Central types: [`Db`] hands out connections and transactions on SQLite or PostgreSQL; [`Row`]
//! reads columns into our types; [`Objects`] keeps files; [`backup`] copies both. Rooms keep their SQL in their
//! own `db.rs` and borrow a connection from here. This room calls `crypto` alone and knows no domain.

pub mod backup;
mod database;
pub mod events;
mod migrations;
pub mod objects;
mod row;

pub use database::{Connection, Db, Engine, Tx};
pub use objects::{Class, ObjectError, ObjectKey, ObjectPlace, ObjectReader, Objects, S3Settings, Stored};
pub use row::{Row, places};

/// What can go wrong between us and the database or the object store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused or could not be reached.
    #[error("the database did not do what was asked: {0}")]
    Database(#[from] sqlx::Error),
    /// Another process held the database's write lock for too long.
    #[error("the database is busy: another writer held it for more than {seconds} s; try again")]
    Busy {
        /// How long was waited, in seconds.
        seconds: u64,
    },
    /// A migration could not be applied.
    #[error("the database could not be brought up to date: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// A stored value has a form that this version does not know.
    #[error("the database holds {value:?} in column {column}, which this version cannot read: {problem}")]
    Unreadable {
        /// The column.
        column: String,
        /// The value, shortened.
        value: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The object store failed, or what was asked of it cannot be.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// The database's address is not one we know.
    #[error("{0:?} is not a database address: give sqlite:PATH or postgres://…")]
    Address(String),
}

impl StoreError {
    /// Whether a unique key was violated.
    pub fn is_unique_violation(&self) -> bool {
        matches!(self, Self::Database(sqlx::Error::Database(error)) if error.is_unique_violation())
    }
}
