//! Two of a team's submissions side by side.

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use axum::routing::get;
use serde::Serialize;
use serde_json::Value;

use super::hall::Hall;
use super::submission::{Seen, reason_key};
use super::submissions::{Item, item};
use crate::contest::entry;
use crate::web::App;
use crate::web::error::PageError;
use crate::web::guard::User;
use crate::web::page::{Frame, Notice};

pub(super) fn router() -> Router<App> {
    Router::new().route("/competitions/{slug}/submissions/compare", get(compare))
}

/// One of the two.
#[derive(Serialize)]
struct Side {
    #[serde(flatten)]
    item: Item,
    phase: i64,
    phase_name: String,
}

/// A question of the fact sheet with what each of the two said.
#[derive(Serialize)]
struct Answers<'a> {
    title: &'a str,
    earlier: Option<&'a Value>,
    later: Option<&'a Value>,
}

async fn compare(
    frame: Frame,
    State(app): State<App>,
    _: User,
    Path(slug): Path<String>,
    Query(fields): Query<Vec<(String, String)>>,
) -> Result<Response, PageError> {
    let mut chosen: Vec<&str> = fields.iter().filter(|(n, _)| n == "s").map(|(_, id)| id.as_str()).collect();
    chosen.sort_unstable();
    chosen.dedup();
    let &[one, other] = chosen.as_slice() else {
        let hall = Hall::enter(&app, &frame, &slug).await?;
        let phase = fields.iter().find(|(name, _)| name == "phase").and_then(|(_, p)| p.parse::<i64>().ok());
        let phase = phase.map(|phase| format!("?phase={phase}")).unwrap_or_default();
        frame.flash(Notice::Bad, "flash-choose-two", &[]);
        return Ok(frame.go(&format!("{}/submissions{phase}", hall.base())));
    };
    let one = Seen::own(&app, &frame, &slug, one).await?;
    let other = Seen::own(&app, &frame, &slug, other).await?;
    let other_is_later = other.submission.created_at >= one.submission.created_at;
    let (earlier, later) = if other_is_later { (one, other) } else { (other, one) };
    let (a, b) = (&earlier.submission, &later.submission);
    let sheet = &earlier.hall.competition.definition.fact_sheet;
    let answers: Vec<_> = sheet
        .iter()
        .map(|q| Answers { title: &q.title, earlier: a.facts.get(&q.key), later: b.facts.get(&q.key) })
        .collect();
    let sides = (side(&app, &frame, &earlier).await?, side(&app, &frame, &later).await?);
    earlier
        .hall
        .page(&app, &frame, "competition/compare.html", "submissions")
        .await?
        .with("a", &sides.0)
        .with("b", &sides.1)
        .with("columns", &earlier.hall.public_columns())
        .with("answers", &answers)
        // other data, other scale: a difference would say nothing
        .with("comparable", &(a.phase == b.phase && a.aim == b.aim))
        .render()
}

async fn side(app: &App, frame: &Frame, seen: &Seen) -> Result<Side, PageError> {
    let (hall, submission) = (&seen.hall, &seen.submission);
    let mut conn = app.db.read().await?;
    let members = entry::db::members(&mut conn, submission.team).await?;
    let mut item = item(&mut conn, hall, submission, &members).await?;
    item.code = reason_key(&app.templates.words(), frame.lang(), &item.code);
    if hall.sees_board() {
        let board = &hall.competition.definition.leaderboard;
        item.rank = app.boards.board(&mut conn, &seen.phase, board).await?.rank(submission.id);
    }
    let phase_name = hall.phase_name(&seen.phase).to_owned();
    Ok(Side { item, phase: seen.phase.position, phase_name })
}
