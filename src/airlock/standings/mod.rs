//! What a phase's board shows: a row for each submission that stands on it, and the version at which it changed.

pub mod db;
