//! What an organizer tells everybody who takes part.

pub mod db;

use jiff::Timestamp;

use crate::ids::{AnnouncementId, UserId};

/// An organizer's announcement.
#[derive(Clone, Debug)]
pub struct Announcement {
    /// Its id.
    pub id: AnnouncementId,
    /// Its title.
    pub title: String,
    /// Its text, Markdown.
    pub body: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: UserId,
}
