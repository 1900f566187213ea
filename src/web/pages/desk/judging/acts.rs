//! What organizers and the chair do to a panel, one form each.

use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::post;
use axum::{Form, Router};

use super::{Court, page_of};
use crate::ids::UserId;
use crate::judging::panel::{self, With};
use crate::judging::result::{self, Around};
use crate::judging::{JudgeState, JudgingError, Panel, Seat, assign, rubric};
use crate::people::PeopleError;
use crate::web::App;
use crate::web::error::PageError;
use crate::web::guard::User;
use crate::web::limits::Limited;
use crate::web::page::Frame;
use crate::web::pages::competition::hall::Hall;

pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/competitions/{slug}/desk/judging/panels", post(add_panel))
        .route("/competitions/{slug}/desk/judging/{panel}/appoint", post(appoint))
        .route("/competitions/{slug}/desk/judging/{panel}/judges/{user}/remove", post(remove))
        .route("/competitions/{slug}/desk/judging/{panel}/judges/{user}/chair", post(chair))
        .route("/competitions/{slug}/desk/judging/{panel}/conflicts", post(declare))
        .route("/competitions/{slug}/desk/judging/{panel}/conflicts/{id}/retract", post(retract))
        .route("/competitions/{slug}/desk/judging/{panel}/entries", post(take_entries))
        .route("/competitions/{slug}/desk/judging/{panel}/{act}", post(act))
}

type Fields = Vec<(String, String)>;

fn field<'f>(fields: &'f Fields, name: &str) -> &'f str {
    fields.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value.as_str())
}

async fn at(app: &App, frame: &Frame, slug: &str, panel: &str) -> Result<(Hall, Panel, Seat), PageError> {
    Court::enter(app, frame, slug, panel).await?.at(app, frame).await
}

async fn add_panel(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path(slug): Path<String>,
    Form(fields): Form<Fields>,
) -> Result<Response, PageError> {
    let (hall, _, seat) = at(&app, &frame, &slug, "main").await?;
    if !seat.organizer {
        return Err(PageError::forbidden());
    }
    let by = (&user.actor).into();
    let panel = panel::add(&app.house, &hall.competition, by, field(&fields, "name")).await?;
    Ok(frame.done(&page_of(&hall, &panel), "flash-panel-added"))
}

async fn appoint(
    frame: Frame,
    State(app): State<App>,
    _user: User,
    Path((slug, id)): Path<(String, String)>,
    Form(fields): Form<Fields>,
) -> Result<Response, PageError> {
    let (hall, panel, seat) = at(&app, &frame, &slug, &id).await?;
    let chair = field(&fields, "chair") == "yes";
    let whom = (field(&fields, "login").trim(), chair);
    panel::appoint(&app.house, &hall.competition, panel.id, seat, whom).await?;
    Ok(frame.done(&page_of(&hall, &panel), "flash-judge-appointed"))
}

async fn remove(
    frame: Frame,
    State(app): State<App>,
    _user: User,
    Path((slug, id, judge)): Path<(String, String, String)>,
    Form(fields): Form<Fields>,
) -> Result<Response, PageError> {
    let (hall, panel, seat) = at(&app, &frame, &slug, &id).await?;
    let judge: UserId = judge.parse().map_err(|_| PageError::not_found())?;
    let what = (judge, JudgeState::Removed, field(&fields, "reason"));
    panel::answer(&app.house, &hall.competition, panel.id, seat, what).await?;
    Ok(frame.done(&page_of(&hall, &panel), "flash-judge-removed"))
}

async fn chair(
    frame: Frame,
    State(app): State<App>,
    _user: User,
    Path((slug, id, judge)): Path<(String, String, String)>,
) -> Result<Response, PageError> {
    let (hall, panel, seat) = at(&app, &frame, &slug, &id).await?;
    let judge: UserId = judge.parse().map_err(|_| PageError::not_found())?;
    panel::make_chair(&app.house, &hall.competition, panel.id, seat, judge).await?;
    Ok(frame.done(&page_of(&hall, &panel), "flash-saved"))
}

async fn declare(
    frame: Frame,
    State(app): State<App>,
    _user: User,
    Path((slug, id)): Path<(String, String)>,
    Form(fields): Form<Fields>,
) -> Result<Response, PageError> {
    let (hall, panel, seat) = at(&app, &frame, &slug, &id).await?;
    let judge: UserId = field(&fields, "judge").parse().map_err(|_| PageError::not_found())?;
    let with = With::Organisation(field(&fields, "organisation").to_owned());
    let what = (judge, with, field(&fields, "reason"));
    panel::declare(&app.house, &hall.competition, panel.id, seat, what).await?;
    Ok(frame.done(&page_of(&hall, &panel), "flash-conflict-declared"))
}

async fn retract(
    frame: Frame,
    State(app): State<App>,
    _user: User,
    Path((slug, id, conflict)): Path<(String, String, String)>,
) -> Result<Response, PageError> {
    let (hall, panel, seat) = at(&app, &frame, &slug, &id).await?;
    let conflict = conflict.parse().map_err(|_| PageError::not_found())?;
    panel::retract(&app.house, &hall.competition, panel.id, seat, conflict).await?;
    Ok(frame.done(&page_of(&hall, &panel), "flash-saved"))
}

/// Gives entries, by their numbers, to this panel.
async fn take_entries(
    frame: Frame,
    State(app): State<App>,
    _user: User,
    Path((slug, id)): Path<(String, String)>,
    Form(fields): Form<Fields>,
) -> Result<Response, PageError> {
    let (hall, panel, seat) = at(&app, &frame, &slug, &id).await?;
    let words = field(&fields, "numbers").split(|c: char| !c.is_ascii_digit());
    for number in words.filter_map(|word| word.parse().ok()) {
        panel::take_entry(&app.house, &hall.competition, panel.id, seat, number).await?;
    }
    Ok(frame.done(&page_of(&hall, &panel), "flash-saved"))
}

async fn act(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path((slug, id, act)): Path<(String, String, String)>,
    Form(fields): Form<Fields>,
) -> Result<Response, PageError> {
    let (hall, panel, seat) = at(&app, &frame, &slug, &id).await?;
    let (house, competition, to) = (&app.house, &hall.competition, page_of(&hall, &panel));
    let results = format!("{}/desk/judging/{}/results", hall.base(), panel.id);
    let (page, key) = match act.as_str() {
        "open" => {
            assign::open(house, competition, panel.id, seat).await?;
            (to, "flash-round-opened")
        }
        "redraw" => {
            assign::again(house, competition, panel.id, seat).await?;
            (to, "flash-redrawn")
        }
        "close" => {
            assign::close(house, competition, panel.id, seat).await?;
            (results, "flash-round-closed")
        }
        "reopen" => {
            assign::reopen(house, competition, panel.id, seat, field(&fields, "reason")).await?;
            (to, "flash-round-reopened")
        }
        "second-round" => {
            let chosen = fields.iter().filter(|(name, _)| name == "entry");
            let chosen: Vec<i64> = chosen.filter_map(|(_, number)| number.parse().ok()).collect();
            let more = field(&fields, "more") == "yes";
            assign::second_round(house, competition, panel.id, seat, (&chosen, more)).await?;
            (to, "flash-second-round")
        }
        "peek" => {
            panel::set_peek(house, competition, panel.id, seat, field(&fields, "on") == "yes").await?;
            (to, "flash-saved")
        }
        "sign" => {
            sign(&app, (&hall, &panel, seat), &user, field(&fields, "password")).await?;
            (results, "flash-signed")
        }
        "publish" => {
            let on = field(&fields, "on") == "yes";
            result::publish(house, competition, panel.id, seat, on).await?;
            (results, if on { "flash-judged-published" } else { "flash-judged-unpublished" })
        }
        _ => return Err(PageError::not_found()),
    };
    Ok(frame.done(&page, key))
}

async fn sign(
    app: &App,
    (hall, panel, seat): (&Hall, &Panel, Seat),
    user: &User,
    password: &str,
) -> Result<(), PageError> {
    app.limits.check(Limited::Login, &user.actor.user.to_string())?;
    let confirmed = app.people.confirm(user.actor.user, password.to_owned()).await;
    let confirmed = match confirmed {
        Err(PeopleError::WrongLogin) => return Err(JudgingError::WrongPassword.into()),
        other => other?,
    };
    let mut conn = app.db.read().await?;
    let force = rubric::in_force(&mut conn, hall.competition.id).await?;
    let judging = force.as_ref().map(|(_, judging)| judging);
    let around = Around::of(&mut conn, &app.boards, (&hall.competition, &hall.phases), judging).await?;
    drop(conn);
    result::sign(&app.house, &hall.competition, panel.id, (seat, &confirmed), &around).await?;
    Ok(())
}
