//! What is shown of a signed ranking once an organizer published it: the order to everybody who sees the
//! competition, and to a team what the judges wrote to it.

use serde::Serialize;

use super::result::{EntryRow, db};
use crate::contest::definition::judging::Judging;
use crate::ids::{CompetitionId, TeamId};
use crate::store::{Connection, StoreError};

/// A published ranking.
#[derive(Clone, Debug)]
pub struct Published {
    /// The panel's name; empty for the main one.
    pub panel: String,
    /// When it was signed.
    pub signed_at: jiff::Timestamp,
    /// SM3 of the signed document.
    pub digest: String,
    /// The rubric and weights.
    pub judging: Judging,
    /// The entries in order.
    pub entries: Vec<EntryRow>,
    /// What the judges wrote to one team, where its entry is among them.
    pub feedback: Option<Feedback>,
}

/// What the judges wrote to a team.
#[derive(Clone, Debug, Serialize)]
pub struct Feedback {
    /// Its place among the entries.
    pub place: usize,
    /// The comments to the team, in an order that names nobody.
    pub comments: Vec<String>,
}

/// The published rankings of a competition, with what was written to `team`.
///
/// # Errors
/// When the database fails.
pub async fn published(
    conn: &mut Connection,
    competition: CompetitionId,
    team: Option<TeamId>,
) -> Result<Vec<Published>, StoreError> {
    let mut all = Vec::new();
    for (panel, signature) in db::published(conn, competition).await? {
        let Ok(outcome) = signature.outcome(conn).await else { continue };
        let place = outcome.entries.iter().position(|row| Some(row.team) == team);
        let feedback = place.map(|place| {
            let number = outcome.entries[place].number;
            let written = outcome.sheets_of(number).map(|row| row.sheet.to_team.trim().to_owned());
            let mut comments: Vec<String> = written.filter(|text| !text.is_empty()).collect();
            comments.sort();
            Feedback { place, comments }
        });
        let (signed_at, digest) = (signature.signed_at, signature.digest);
        let (judging, entries) = (outcome.judging, outcome.entries);
        all.push(Published { panel, signed_at, digest, judging, entries, feedback });
    }
    Ok(all)
}
