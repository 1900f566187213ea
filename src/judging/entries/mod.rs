//! Entries (作品): what a team shows of its work beside its submissions: title, summary, pictures, a
//! report, a link, the submission it is about.
//!
//! Central types: [`Entry`] (whose it is, where it stands), [`Content`] (what it says) and its two
//! keepings, [`Draft`] and [`Version`]. A team's members all write on one draft; a version is never
//! changed. Judges see an entry by its number, through the mask, and the version submitted alone.

pub mod db;
mod model;

pub use db::{by_id, submitted};
pub use model::{Cause, Content, Draft, Entry, EntryFile, EntryState, FileFacts, FileKind, Picture, Version};
