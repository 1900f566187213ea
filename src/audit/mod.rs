//! The audit log: what was decided and used, by whom, when, in rows that cannot be changed unnoticed.
//!
//! Central types: [`Entry`] (what happened; [`record`] writes it in the transaction of the change it
//! tells of, so that neither exists without the other) and [`Sequencer`], which numbers the rows in
//! batches and hashes them: a leaf as in RFC 6962 (over SM3) for the Merkle log, and a running chain
//! over all leaves. [`verify`] recomputes everything.
//!
//! May call `store` and `crypto`. Must never update or delete a numbered row, and never hold a secret
//! or hidden value in a detail: auditors read them.

mod canonical;
mod db;
mod entry;
mod sequencer;
mod verify;

use crate::store::{Db, StoreError, Tx};

pub use canonical::canonical;
pub use db::{Filter, Page, Record};
pub use entry::{Actor, ActorSyntax, Entry};
pub use sequencer::{ChainHash, Sequencer};
pub use verify::{Fault, Verified, verify};

/// What the verification can end with.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The log was changed.
    #[error(
        "the audit log is broken at entry {number} ({id}): {fault}. Keep the database as it is, \
         compare it with a backup, and find out who could write to it"
    )]
    Broken {
        /// The first broken entry's number.
        number: i64,
        /// Its id as the row has it, or `missing`.
        id: String,
        /// What is wrong.
        fault: Fault,
    },
}

/// Writes an entry in the caller's transaction: it is kept exactly if the change is. The sequencer
/// numbers it later.
///
/// # Errors
/// [`StoreError`] when the database fails.
pub async fn record(tx: &mut Tx, entry: Entry) -> Result<(), StoreError> {
    let bytes = entry.bytes();
    db::insert(tx, &entry, &bytes).await
}

/// The entries that fit the filter, latest first, a page at a time.
///
/// # Errors
/// [`StoreError`] when the database fails.
pub async fn list(db: &Db, filter: &Filter) -> Result<Page, StoreError> {
    let mut connection = db.read().await?;
    db::list(&mut connection, filter).await
}
