//! Native metrics, scoring programs' results and leaderboards.
//!
//! - [`metric`]: the metrics and how a bundle declares them ([`MetricSpec`](metric::MetricSpec)).
//! - [`predictions`]: tables of predictions and reference data; the check by public facts.
//! - [`native`]: the child process that compares predictions with the hidden reference.
//! - [`scores_json`]: what an organizer's scoring program wrote.
//!
//! Whatever is computed from hidden data leaves this room as [`Hidden`](crate::airlock::Hidden)
//! [`Scores`], which only the airlock opens. This room may read files it is given paths of and start
//! its own child process; it never talks to the database (leaderboards have their `db.rs`), to
//! Docker or to HTTP, and puts nothing of a hidden file into a message.

use std::collections::BTreeMap;

pub mod bench;
pub mod board;
pub mod leaderboard;
pub mod metric;
pub mod native;
mod native_child;
pub mod predictions;
pub mod scores_json;

/// Finite scores by leaderboard column key.
pub type Scores = BTreeMap<String, f64>;
