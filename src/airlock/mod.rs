//! What may leave: the only room that can look into [`Hidden`] and the only one that can make a
//! [`Cleared`]. It decides what people are told about hidden data, charges it to the ledger and keeps
//! the append-only `replies`. May call `store`, `audit`, `crypto` and the leaderboard's arithmetic;
//! must never touch HTTP or Docker.

mod cleared;
pub mod db;
mod hidden;
pub mod lane1;
pub mod lane3;
pub mod rule;
pub mod shown;
pub mod standings;

pub use cleared::{Audience, Cleared, Organizer, Public, Team};
pub use hidden::Hidden;
