//! The latest results of all competitions, for the first page: what stands on boards that everybody
//! may see, and of it the column that decides.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::Serialize;

use super::hall::{ColumnView, locale, primary_column};
use crate::airlock::{Cleared, Public, shown};
use crate::contest::db as contest_db;
use crate::contest::model::Competition;
use crate::ids::CompetitionId;
use crate::scoring::leaderboard::Scores;
use crate::web::App;
use crate::web::error::PageError;
use crate::web::page::Frame;

/// Results on the first page.
const SHOWN: i64 = 6;

/// A result as the first page shows it.
#[derive(Serialize)]
pub(in crate::web::pages) struct Outcome {
    slug: String,
    title: String,
    /// The phase's place.
    phase: i64,
    team: String,
    column: ColumnView,
    scores: Cleared<Scores, Public>,
    at: Timestamp,
}

/// The results handed in last on the boards that are shown to everybody.
pub(in crate::web::pages) async fn latest(app: &App, frame: &Frame) -> Result<Vec<Outcome>, PageError> {
    let locale = locale(frame.lang());
    let mut conn = app.db.read().await?;
    let competitions = contest_db::competitions(&mut conn).await?;
    let open = |c: &Competition| c.published_at.is_some() && !c.definition.leaderboard.hidden;
    let open: HashMap<CompetitionId, (Competition, ColumnView)> = competitions
        .into_iter()
        .filter(open)
        .filter_map(|c| primary_column(&c, locale).map(|column| (c.id, (c, column))))
        .collect();
    let ids: Vec<CompetitionId> = open.keys().copied().collect();
    let rows = shown::latest(&mut conn, &ids, SHOWN).await?;
    let outcome = |row: shown::Latest| {
        let (competition, column) = open.get(&row.competition)?;
        Some(Outcome {
            slug: competition.slug.clone(),
            title: competition.title(locale).to_owned(),
            phase: row.position,
            team: row.team,
            column: column.clone(),
            scores: row.entry.scores,
            at: row.entry.submitted_at,
        })
    };
    Ok(rows.into_iter().filter_map(outcome).collect())
}
