//! The organizer's list of submissions, with their true states.

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use axum::routing::get;
use serde::{Deserialize, Serialize};

use crate::airlock::{Cleared, Organizer, lane1};
use crate::scoring::leaderboard::Scores;
use crate::store::Connection;
use crate::submission::desk::db::{self, Filter};
use crate::submission::model::{State as True, Submission};
use crate::web::App;
use crate::web::error::PageError;
use crate::web::page::Frame;
use crate::web::pages::competition::hall::Hall;

/// Submissions on a page.
const PAGE: i64 = 50;

pub(super) fn router() -> Router<App> {
    Router::new().route("/competitions/{slug}/desk/submissions", get(list))
}

/// A submission as an organizer sees it.
#[derive(Serialize)]
pub(super) struct Line {
    id: String,
    team: String,
    file_name: String,
    phase: String,
    kind: &'static str,
    at: jiff::Timestamp,
    state: &'static str,
    told: &'static str,
    aim: &'static str,
    message: String,
    disqualified: bool,
    nominated: bool,
    scores: Option<Cleared<Scores, Organizer>>,
}

/// Where a submission truly stands; begun ones are still queued in the table.
pub(super) fn true_state(s: &Submission) -> &'static str {
    match s.state {
        True::Queued if s.started_at.is_some() => True::Running.as_str(),
        state => state.as_str(),
    }
}

/// What is shown of each of some submissions.
pub(super) async fn lines(
    app: &App,
    conn: &mut Connection,
    hall: &Hall,
    found: &[Submission],
) -> Result<Vec<Line>, PageError> {
    let teams = app.boards.teams(conn, hall.competition.id).await?;
    let board = &hall.competition.definition.leaderboard;
    let ids: Vec<_> = found.iter().map(|s| s.id).collect();
    let mut scores = lane1::scores_for_organizer(conn, board, &ids).await?;
    let mut lines = Vec::new();
    for s in found {
        let phase = hall.phases.iter().find(|p| p.id == s.phase);
        lines.push(Line {
            id: s.id.to_string(),
            team: teams.get(&s.team).map(|label| label.name.clone()).unwrap_or_default(),
            file_name: s.file_name.clone(),
            phase: phase.map(|p| hall.phase_name(p).to_owned()).unwrap_or_default(),
            kind: s.kind.as_str(),
            at: s.created_at,
            state: true_state(s),
            told: s.disclosed_state.as_str(),
            aim: s.aim.as_str(),
            message: s.message.clone(),
            disqualified: s.disqualified_at.is_some(),
            nominated: s.nominated_at.is_some(),
            scores: scores.remove(&s.id),
        });
    }
    Ok(lines)
}

#[derive(Deserialize)]
struct Wanted {
    phase: Option<String>,
    #[serde(default)]
    state: String,
    #[serde(default)]
    team: String,
    #[serde(default)]
    page: i64,
}

async fn list(
    frame: Frame,
    State(app): State<App>,
    Path(slug): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Result<Response, PageError> {
    let hall = Hall::enter_desk(&app, &frame, &slug).await?;
    let position: Option<i64> = wanted.phase.as_deref().and_then(|p| p.parse().ok());
    let phase = hall.phases.iter().find(|p| Some(p.position) == position);
    let mut conn = app.db.read().await?;
    let teams = app.boards.teams(&mut conn, hall.competition.id).await?;
    let named = wanted.team.trim().to_lowercase();
    let team = teams.iter().find(|(_, label)| !named.is_empty() && label.name.to_lowercase() == named);
    let team = team.or_else(|| {
        teams.iter().find(|(_, label)| !named.is_empty() && label.name.to_lowercase().contains(&named))
    });
    let number = wanted.page.max(0);
    let filter = Filter {
        phase: phase.map(|p| p.id),
        team: team.map(|(id, _)| *id),
        state: wanted.state.parse().ok(),
        offset: number.saturating_mul(PAGE),
        limit: PAGE,
    };
    // a team that nobody bears: nothing, rather than everything
    let nobody = !named.is_empty() && team.is_none();
    let (found, total) =
        if nobody { (Vec::new(), 0) } else { db::filtered(&mut conn, hall.competition.id, &filter).await? };
    let lines = lines(&app, &mut conn, &hall, &found).await?;
    drop(conn);
    let states: Vec<&str> = True::ALL.iter().map(|s| s.as_str()).collect();
    hall.page(&app, &frame, "desk/submissions.html", "submissions")
        .await?
        .with("lines", &lines)
        .with("columns", &hall.columns())
        .with("states", &states)
        .with("total", &total)
        .with("page", &number)
        .with("page_size", &PAGE)
        .with("phase", &position)
        .with("state", &wanted.state)
        .with("team", &wanted.team)
        .render()
}
