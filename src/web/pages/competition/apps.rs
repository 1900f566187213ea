//! The apps that visitors may try once the competition is over, as the showcase and the overview list them.

use jiff::Timestamp;
use serde::Serialize;

use super::demo;
use super::hall::Hall;
use crate::demo::rights;
use crate::ids::{SubmissionId, TeamId};
use crate::judging::entries::db as entries_db;
use crate::store::Connection;
use crate::submission::model::Submission;
use crate::web::App;
use crate::web::error::PageError;

/// An app that visitors may try.
#[derive(Serialize)]
pub(super) struct AppLine {
    /// The title of the entry that is about it, where its team shows that.
    title: Option<String>,
    /// The address of that entry.
    entry: Option<String>,
    /// Its team's name.
    team: String,
    /// When it was handed in: what tells several of a team apart.
    at: Timestamp,
    /// Where it is tried.
    href: String,
}

/// The apps that teams have opened; none before the competition is over.
pub(super) async fn opened(conn: &mut Connection, hall: &Hall) -> Result<Vec<Submission>, PageError> {
    Ok(rights::opened(conn, hall.competition.id, (&hall.phases, hall.now)).await?)
}

/// The same as the pages list them.
pub(super) async fn lines(app: &App, conn: &mut Connection, hall: &Hall) -> Result<Vec<AppLine>, PageError> {
    let opened = opened(conn, hall).await?;
    if opened.is_empty() {
        return Ok(Vec::new());
    }
    let entries = entries(conn, hall).await?;
    let teams = app.boards.teams(conn, hall.competition.id).await?;
    let line = |s: &Submission| {
        let entry = entries.iter().find(|entry| entry.about == s.id && entry.team == s.team);
        AppLine {
            title: entry.map(|entry| entry.title.clone()).filter(|title| !title.is_empty()),
            entry: entry.map(|entry| format!("{}/showcase/{}", hall.base(), entry.number)),
            team: teams.get(&s.team).map(|label| label.name.clone()).unwrap_or_default(),
            at: s.created_at,
            href: demo::address(hall, s.id),
        }
    };
    Ok(opened.iter().map(line).collect())
}

/// An entry that its team shows, and the submission it is about.
struct ShownEntry {
    number: i64,
    team: TeamId,
    title: String,
    about: SubmissionId,
}

async fn entries(conn: &mut Connection, hall: &Hall) -> Result<Vec<ShownEntry>, PageError> {
    if hall.entries.is_none() {
        return Ok(Vec::new());
    }
    let standing = entries_db::standing(conn, hall.competition.id).await?;
    let shown = entries_db::shown(conn, hall.competition.id).await?;
    let about = shown.into_iter().filter_map(|entry| {
        let (_, version) = standing.iter().find(|(id, _)| *id == entry.id)?;
        let (title, about) = (version.content.title.clone(), version.content.submission?);
        Some(ShownEntry { number: entry.number, team: entry.team, title, about })
    });
    Ok(about.collect())
}
