//! What a competition is: the bundle reader, phases, tasks, registrations, teams.
//!
//! Central types: [`definition::Definition`] (what the author declared), [`bundle::Bundle`] (a
//! checked folder), [`model::Competition`] (what the installation holds). May call `store`, `audit`,
//! `people`, `submission::unpack` for its bounded unpacker, and the airlock's boards when an import
//! changes what they show; must never touch HTTP or Docker.

pub mod announcements;
pub mod bundle;
pub mod db;
pub mod definition;
pub mod desk;
pub mod draft;
pub mod entry;
pub mod expected;
pub mod export;
pub mod given;
pub mod import;
pub mod model;
pub mod packages;
pub mod scratch;

use crate::store::{Connection, StoreError};
use model::Competition;

/// Digest of the terms a participant has to accept now; empty when the terms' file is gone.
///
/// # Errors
/// When the database fails.
pub async fn terms_digest(conn: &mut Connection, competition: &Competition) -> Result<String, StoreError> {
    let file = db::file(conn, competition.id, &competition.definition.terms).await?;
    Ok(file.map(|f| f.digest).unwrap_or_default())
}
