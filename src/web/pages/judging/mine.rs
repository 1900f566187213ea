//! Where somebody judges: invitations to answer, panels with what is left to mark.

use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Form, Router};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::contest::db as contest_db;
use crate::ids::PanelId;
use crate::judging::panel;
use crate::judging::{AssignmentState, JudgeState, PanelState, Seat, rubric, sheet};
use crate::web::App;
use crate::web::error::PageError;
use crate::web::guard::User;
use crate::web::page::Frame;
use crate::web::pages::competition::hall::{Hall, locale};

pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/judging", get(page))
        .route("/competitions/{slug}/judging/panels/{panel}", post(answer))
}

/// A panel that somebody is on, or asked to be.
#[derive(Serialize)]
struct SeatView {
    slug: String,
    title: String,
    panel: String,
    name: String,
    chair: bool,
    invited: bool,
    state: &'static str,
    round: i64,
    blind: bool,
    per_entry: u32,
    deadline: Option<Timestamp>,
    late: bool,
    /// Entries to mark in the round.
    all: usize,
    /// Those whose marks are submitted.
    done: usize,
}

async fn page(frame: Frame, State(app): State<App>, user: User) -> Result<Response, PageError> {
    let mut conn = app.db.read().await?;
    let now = app.clock.now();
    let mut seats = Vec::new();
    for (panel, judge) in panel::db::seats(&mut conn, user.actor.user).await? {
        let Some(competition) = contest_db::by_id(&mut conn, panel.competition).await? else { continue };
        let judging = rubric::in_force(&mut conn, competition.id).await?.map(|(_, judging)| judging);
        let mine = sheet::list(&mut conn, competition.id, user.actor.user).await?;
        let mine: Vec<_> =
            mine.into_iter().filter(|a| a.panel == panel.id && a.round == panel.round).collect();
        let deadline = judging.as_ref().and_then(|judging| judging.deadline);
        seats.push(SeatView {
            title: competition.title(locale(frame.lang())).to_owned(),
            slug: competition.slug,
            panel: panel.id.to_string(),
            name: panel.name,
            chair: judge.chair,
            invited: judge.state == JudgeState::Invited,
            state: panel.state.as_str(),
            round: panel.round,
            blind: judging.as_ref().is_none_or(|judging| judging.blind),
            per_entry: judging.map_or(0, |judging| judging.per_entry),
            deadline,
            late: deadline.is_some_and(|at| at < now) && panel.state == PanelState::Open,
            all: mine.len(),
            done: mine.iter().filter(|a| a.state == AssignmentState::Submitted).count(),
        });
    }
    frame.page("judging/mine.html").with("seats", &seats).render()
}

#[derive(Deserialize)]
struct Answer {
    state: String,
    #[serde(default)]
    reason: String,
}

async fn answer(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path((slug, panel)): Path<(String, String)>,
    Form(form): Form<Answer>,
) -> Result<Response, PageError> {
    let hall = Hall::enter(&app, &frame, &slug).await?;
    let id: PanelId = panel.parse().map_err(|_| PageError::not_found())?;
    let state: JudgeState = form.state.parse().map_err(|_| PageError::not_found())?;
    let mut conn = app.db.read().await?;
    let found = panel::db::by_id(&mut conn, id).await?.ok_or_else(PageError::not_found)?;
    let seat = Seat::of(&mut conn, &found, ((&user.actor).into(), user.actor.user), false).await?;
    drop(conn);
    panel::answer(&app.house, &hall.competition, id, seat, (user.actor.user, state, &form.reason)).await?;
    let key = match state {
        JudgeState::Accepted => "flash-judge-accepted",
        JudgeState::Declined => "flash-judge-declined",
        _ => "flash-judge-resigned",
    };
    Ok(frame.done("/judging", key))
}
