//! Recomputes the whole log.

use std::fmt;

use serde_json::Value;

use super::db::Numbered;
use super::sequencer::{CHAIN_START, ChainHash, chain_hash, leaf_hash};
use super::{AuditError, db};
use crate::store::Db;

/// Rows read at a time.
const BATCH: i64 = 1_000;

/// What is wrong with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// There is no row of this number, but a later one.
    Missing,
    /// The content does not have the recorded hash.
    Content,
    /// The hash over everything before and this entry is another: an earlier row was exchanged, or
    /// rows changed places.
    Chain,
    /// A column says something else than the hashed content.
    Column(&'static str),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("it is missing"),
            Self::Content => f.write_str("its content is not what was hashed"),
            Self::Chain => f.write_str("its chain hash does not follow from the entries before"),
            Self::Column(column) => write!(f, "its column {column} differs from the hashed content"),
        }
    }
}

/// What a sound log amounts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Entries that have a number; the last has this one less 1.
    pub entries: i64,
    /// Entries that still wait for theirs.
    pub waiting: i64,
    /// The chain hash after the last entry. Compared with one noted earlier elsewhere, it shows
    /// whether the end of the log was cut off, which the log alone cannot.
    pub head: ChainHash,
}

/// Reads every numbered entry and recomputes its hashes and columns.
///
/// # Errors
/// [`AuditError::Broken`] names the first entry that is not as it was written.
pub async fn verify(db: &Db) -> Result<Verified, AuditError> {
    let mut connection = db.read().await?;
    let mut head = CHAIN_START;
    let mut entries = 0;
    loop {
        let rows = db::numbered_after(&mut connection, entries - 1, BATCH).await?;
        if rows.is_empty() {
            let waiting = db::waiting(&mut connection).await?;
            return Ok(Verified { entries, waiting, head });
        }
        for row in rows {
            head = check(&row, entries, &head)?;
            entries += 1;
        }
    }
}

fn check(row: &Numbered, expected: i64, before: &ChainHash) -> Result<ChainHash, AuditError> {
    let broken = |fault| AuditError::Broken { number: expected, id: row.id.clone(), fault };
    if row.number != expected {
        let id = "missing".to_owned();
        return Err(AuditError::Broken { number: expected, id, fault: Fault::Missing });
    }
    let leaf = leaf_hash(&row.bytes);
    if leaf.as_bytes()[..] != row.leaf[..] {
        return Err(broken(Fault::Content));
    }
    let chain = chain_hash(before.as_bytes(), &leaf);
    if chain.as_bytes()[..] != row.chain[..] {
        return Err(broken(Fault::Chain));
    }
    let document: Value = serde_json::from_slice(&row.bytes).map_err(|_| broken(Fault::Content))?;
    let object = &document["object"];
    let competition = row.competition.as_deref().map_or(Value::Null, Value::from);
    let columns = [
        ("id", document["id"] == row.id.as_str()),
        ("at", document["at"] == row.at),
        ("actor", document["actor"] == row.actor.as_str()),
        ("action", document["action"] == row.action.as_str()),
        ("object_kind", object["kind"] == row.object_kind.as_str()),
        ("object_id", object["id"] == row.object_id.as_str()),
        ("competition_id", document["competition"] == competition),
    ];
    match columns.into_iter().find(|(_, same)| !same) {
        Some((column, _)) => Err(broken(Fault::Column(column))),
        None => Ok(chain),
    }
}
