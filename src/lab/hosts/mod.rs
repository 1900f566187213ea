//! The workers that hold sandboxes, as each says of itself in its row.

pub mod db;

use super::door::Door;

/// A worker that holds sandboxes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Its name, which a sandbox's row has as its `host`.
    pub name: String,
    /// Where browsers reach its sandboxes.
    pub door: Door,
    /// How many it can hold at a time.
    pub places: i64,
}
