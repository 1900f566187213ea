//! The leaderboard, made of what was told to everybody.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::Time;
use super::ask::{Answer, Asked, InPhase, Refusal};
use super::competitions::{ColumnView, columns};
use super::files::attachment;
use super::submissions::TeamName;
use crate::airlock::{Cleared, Organizer, Public};
use crate::scoring::board::{Board as BoardInMemory, Teams};
use crate::scoring::leaderboard::Scores;
use crate::submission::board_topic;
use crate::web::App;
use crate::web::error::Problem;
use crate::web::visit::Visit;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(leaderboard)).routes(routes!(events))
}

/// Which part of a board, and in which form.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct BoardPart {
    /// How many rows, 1 to 500; 50 when absent.
    limit: Option<usize>,
    /// How many to skip.
    offset: Option<usize>,
    /// `csv` for the whole board as CSV, as `Accept: text/csv` does.
    #[param(example = "csv")]
    format: Option<String>,
}

/// A leaderboard.
#[derive(Serialize, ToSchema)]
pub(super) struct Board {
    /// The competition's short name.
    #[schema(example = "flight-delay")]
    pub competition: String,
    /// The phase, counted from 0.
    #[schema(example = 0)]
    pub phase: i64,
    /// Its title.
    pub title: String,
    /// Its columns, the primary one first.
    pub columns: Vec<ColumnView>,
    /// The rows of this part, the best first.
    pub entries: Vec<BoardRow>,
    /// The best row of the asker's own team; null without a token or a row.
    pub mine: Option<BoardRow>,
    /// How many rows there are in all.
    #[schema(example = 128)]
    pub total: usize,
    /// Counts the changes of the board.
    #[schema(example = 214)]
    pub version: i64,
}

/// A row of a leaderboard.
#[derive(Clone, Serialize, ToSchema)]
pub(super) struct BoardRow {
    /// Its place, counted from 1. Of equal scores the earlier stands first.
    #[schema(example = 1)]
    pub rank: usize,
    /// Its team.
    pub team: TeamName,
    /// The names of its present members, in the order in which they joined.
    pub members: Vec<String>,
    /// The submission that stands here.
    pub submission: Uuid,
    /// Scores by column, with six decimals. Hidden columns are never here.
    #[schema(value_type = BTreeMap<String, f64>, example = json!({ "rmse": 38.214075 }))]
    pub scores: Cleared<Scores, Public>,
    /// Hidden columns, for organizers alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<BTreeMap<String, f64>>)]
    pub hidden_scores: Option<Cleared<Scores, Organizer>>,
    /// How many of the team's submissions were scored in the phase.
    #[schema(example = 12)]
    pub entries: i64,
    /// When the submission that stands here was handed in.
    pub last_improved: Time,
}

/// The phase's board, for whoever may read it.
async fn board(app: &App, asked: &InPhase) -> Answer<(Arc<BoardInMemory>, Arc<Teams>)> {
    let InPhase { here, phase } = asked;
    let definition = &here.competition.definition.leaderboard;
    if definition.hidden && !here.is_organizer() {
        return Err(hidden());
    }
    let mut conn = app.db.read().await?;
    let board = app.boards.board(&mut conn, phase, definition).await?;
    let teams = app.boards.teams_on(&mut conn, here.competition.id, (phase.id, &board)).await?;
    Ok((board, teams))
}

fn hidden() -> Refusal {
    Refusal::Problem(Problem::plain(StatusCode::FORBIDDEN, "board-hidden"))
}

fn row(board: &BoardInMemory, teams: &Teams, place: usize, organizer: bool) -> Option<BoardRow> {
    let entry = board.rows.get(place)?;
    let label = teams.get(&entry.team);
    Some(BoardRow {
        rank: place + 1,
        team: TeamName { id: entry.team.0, name: label.map(|label| label.name.clone()).unwrap_or_default() },
        members: label.map(|label| label.members.clone()).unwrap_or_default(),
        submission: entry.submission.0,
        scores: entry.scores.clone(),
        hidden_scores: board.hidden(entry.submission).filter(|_| organizer).cloned(),
        entries: entry.entries,
        last_improved: Time(entry.submitted_at),
    })
}

/// The leaderboard of a phase.
///
/// As JSON in parts, or the whole of it as CSV. Everybody may read it unless the organizer hides it.
#[utoipa::path(
    get, path = "/competitions/{slug}/phases/{index}/leaderboard", tag = "leaderboard",
    security((), ("token" = [])),
    params(
        ("slug" = String, Path, description = "the competition's short name", example = "flight-delay"),
        ("index" = i64, Path, description = "the phase, counted from 0", example = 0),
        BoardPart,
    ),
    responses((status = 200, content((Board = "application/json"), (String = "text/csv"))))
)]
async fn leaderboard(
    State(app): State<App>,
    asked: InPhase,
    Asked(part): Asked<BoardPart>,
    headers: HeaderMap,
) -> Answer<Response> {
    let (board, teams) = board(&app, &asked).await?;
    let accepted = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let InPhase { here, phase } = &asked;
    let organizer = here.is_organizer();
    let columns = columns(&here.competition, organizer);
    let row = |place: usize| row(&board, &teams, place, organizer);
    let as_csv = match part.format.as_deref() {
        Some(format) => format.eq_ignore_ascii_case("csv"),
        None => accepted.trim_start().starts_with("text/csv"),
    };
    if as_csv {
        let name = format!("{}-{}-leaderboard.csv", here.competition.slug, phase.position);
        let headers = [(CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()), attachment(&name)];
        let rows: Vec<BoardRow> = (0..board.rows.len()).filter_map(row).collect();
        return Ok((headers, csv(&columns, &rows)).into_response());
    }
    let team = here.team(&app).await?;
    let mine = team.and_then(|team| row(board.best_rank(team)?.checked_sub(1)?));
    let first = part.offset.unwrap_or(0);
    let limit = part.limit.unwrap_or(50).clamp(1, 500);
    let board = Board {
        competition: here.competition.slug.clone(),
        phase: phase.position,
        title: here.competition.definition.leaderboard.title.clone(),
        columns,
        entries: (first..board.rows.len()).take(limit).filter_map(row).collect(),
        mine,
        total: board.rows.len(),
        version: board.version,
    };
    Ok(Json(board).into_response())
}

/// The board as CSV (RFC 4180).
fn csv(columns: &[ColumnView], rows: &[BoardRow]) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let keys = columns.iter().map(|column| column.key.as_str());
    let mut head = vec!["rank", "team"];
    head.extend(keys.clone());
    head.extend(["entries", "last_improved"]);
    let mut written = writer.write_record(&head);
    for row in rows {
        let value = |key: &str| {
            let hidden = row.hidden_scores.as_ref().and_then(|scores| scores.get().get(key));
            row.scores.get().get(key).or(hidden).map(ToString::to_string).unwrap_or_default()
        };
        let mut record = vec![row.rank.to_string(), cell(&row.team.name)];
        record.extend(keys.clone().map(value));
        record.extend([row.entries.to_string(), row.last_improved.0.to_string()]);
        written = written.and_then(|()| writer.write_record(&record));
    }
    // writing to memory does not fail
    written.ok().and_then(|()| writer.into_inner().ok()).unwrap_or_default()
}

/// A name as a cell that no spreadsheet takes for a formula.
fn cell(name: &str) -> String {
    match name.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        true => format!("'{name}"),
        false => name.to_owned(),
    }
}

/// Listen to a leaderboard's changes (Server-Sent Events).
///
/// `board` carries `{"phase", "version"}`: ask for the board again then.
#[utoipa::path(
    get, path = "/competitions/{slug}/phases/{index}/leaderboard/events", tag = "leaderboard",
    security((), ("token" = [])),
    params(
        ("slug" = String, Path, description = "the competition's short name"),
        ("index" = i64, Path, description = "the phase, counted from 0"),
    ),
    responses((status = 200, description = "a stream of events", content_type = "text/event-stream"))
)]
async fn events(
    State(app): State<App>,
    asked: InPhase,
    visit: Extension<Arc<Visit>>,
    headers: HeaderMap,
) -> Answer<impl IntoResponse> {
    let InPhase { here, phase } = &asked;
    if here.competition.definition.leaderboard.hidden && !here.is_organizer() {
        return Err(hidden());
    }
    let who = here.actor.as_ref().map_or_else(|| visit.address.clone(), |actor| actor.user.to_string());
    Ok(app.live.stream(&who, vec![board_topic(phase.id)], &headers).await?)
}

#[cfg(test)]
mod tests {
    use super::cell;

    #[test]
    fn no_name_becomes_a_formula() {
        assert_eq!(cell("=1+1"), "'=1+1");
        assert_eq!(cell("北斗"), "北斗");
    }
}
