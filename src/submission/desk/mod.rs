//! What the organizer's desk asks about submissions.

pub mod db;
