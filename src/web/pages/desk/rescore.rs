//! Scoring again, with old scores beside new.

use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use axum::{Form, Router};
use serde::{Deserialize, Serialize};

use crate::airlock::{Cleared, Team as ForTeam, db as airlock_db, lane1};
use crate::scoring::leaderboard::Scores;
use crate::submission::rescore::{self, Wanted as Rescore};
use crate::submission::{db, queue};
use crate::web::App;
use crate::web::error::{FieldFault, PageError};
use crate::web::guard::User;
use crate::web::page::{Frame, Notice};
use crate::web::pages::competition::hall::Hall;

/// Rescored submissions that are listed.
const LISTED: i64 = 50;
/// Rescores that are listed.
const ASKED: i64 = 20;

pub(super) fn router() -> Router<App> {
    Router::new().route("/competitions/{slug}/desk/rescore", get(form).post(begin))
}

/// A rescore that was asked for, and how far it is.
#[derive(Serialize)]
struct Asked {
    at: jiff::Timestamp,
    by: String,
    phase: Option<String>,
    team: Option<String>,
    reason: String,
    total: i64,
    done: i64,
}

/// A rescored submission: its row before the last rescore, and now.
#[derive(Serialize)]
struct Pair {
    id: String,
    team: String,
    file_name: String,
    at: jiff::Timestamp,
    old: Cleared<Scores, ForTeam>,
    new: Cleared<Scores, ForTeam>,
}

async fn form(frame: Frame, State(app): State<App>, Path(slug): Path<String>) -> Result<Response, PageError> {
    let hall = Hall::enter_desk(&app, &frame, &slug).await?;
    show(&frame, &app, &hall, &Wanted::default(), &[]).await
}

async fn show(
    frame: &Frame,
    app: &App,
    hall: &Hall,
    filled: &Wanted,
    faults: &[FieldFault],
) -> Result<Response, PageError> {
    let mut conn = app.db.read().await?;
    let teams = app.boards.teams(&mut conn, hall.competition.id).await?;
    let mut pairs = Vec::new();
    for id in airlock_db::rescored(&mut conn, hall.competition.id, LISTED).await? {
        let Some(s) = db::by_id(&mut conn, id).await? else { continue };
        let Some(at) = airlock_db::history(&mut conn, id).await?.last().map(|told| told.at) else { continue };
        let board = &hall.competition.definition.leaderboard;
        let (old, new) = lane1::rescored_for_team(&mut conn, board, id).await?;
        pairs.push(Pair {
            id: id.to_string(),
            team: teams.get(&s.team).map(|label| label.name.clone()).unwrap_or_default(),
            file_name: s.file_name,
            at,
            old,
            new,
        });
    }
    let mut asked = Vec::new();
    for made in rescore::db::of_competition(&mut conn, hall.competition.id, ASKED).await? {
        let r = &made.rescore;
        let phase = hall.phases.iter().find(|p| Some(p.id) == r.phase);
        asked.push(Asked {
            at: r.created_at,
            by: made.organizer.clone(),
            phase: phase.map(|p| hall.phase_name(p).to_owned()),
            team: r.team.and_then(|id| teams.get(&id)).map(|label| label.name.clone()),
            reason: r.reason.clone(),
            total: made.total,
            done: made.done,
        });
    }
    let (waiting, running) = queue::db::load_of(&mut conn, hall.competition.id).await?;
    drop(conn);
    let mut names: Vec<&str> = teams.values().map(|label| label.name.as_str()).collect();
    names.sort_unstable();
    names.truncate(500);
    let page = hall.page(app, frame, "desk/rescore.html", "rescore").await?;
    let page = page
        .with("asked", &asked)
        .with("pairs", &pairs)
        .with("teams", &names)
        .with("columns", &hall.public_columns())
        .with("waiting", &waiting)
        .with("running", &running)
        .with("form", filled);
    if faults.is_empty() {
        page.with("faults", &Vec::<()>::new()).render()
    } else {
        page.faulty(faults).render()
    }
}

#[derive(Default, Deserialize, Serialize)]
struct Wanted {
    #[serde(default)]
    phase: String,
    #[serde(default)]
    team: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    priority: String,
}

async fn begin(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path(slug): Path<String>,
    Form(form): Form<Wanted>,
) -> Result<Response, PageError> {
    let hall = Hall::enter_desk(&app, &frame, &slug).await?;
    if form.reason.trim().is_empty() {
        return show(&frame, &app, &hall, &form, &[FieldFault::new("reason", "required")]).await;
    }
    let phase = hall.phases.iter().find(|p| p.position.to_string() == form.phase);
    // empty is all of them; a phase that is not there must not become that
    if !form.phase.is_empty() && phase.is_none() {
        return show(&frame, &app, &hall, &form, &[FieldFault::new("phase", "no-such-phase")]).await;
    }
    let named = form.team.trim();
    let teams = app.boards.teams(&mut *app.db.read().await?, hall.competition.id).await?;
    let team = teams.iter().find(|(_, label)| label.name == named).map(|(id, _)| *id);
    if !named.is_empty() && team.is_none() {
        return show(&frame, &app, &hall, &form, &[FieldFault::new("team", "no-such-team")]).await;
    }
    let priority = match form.priority.as_str() {
        "urgent" => queue::URGENT,
        "normal" => queue::NORMAL,
        _ => queue::LATER,
    };
    let wanted = Rescore { phase, team, reason: &form.reason, priority };
    let count = rescore::begin(&app.house, &hall.competition, user.actor.user, &wanted).await?;
    frame.flash(Notice::Good, "flash-rescoring", &[("count", &count.to_string())]);
    Ok(frame.go(&format!("{}/desk/rescore", hall.base())))
}
