//! What organizers and the chair do to a panel, one form each.

use std::collections::HashMap;

use axum::extract::{FromRequest, FromRequestParts as _, Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Form, Router};

use super::results::{self, Ranking};
use super::{Court, page_of};
use crate::contest::model::Competition;
use crate::ids::UserId;
use crate::judging::panel::{self, With};
use crate::judging::result::{self, Around};
use crate::judging::{JudgeState, Panel, PanelState, Seat, assign, rubric};
use crate::people::PeopleError;
use crate::web::App;
use crate::web::error::{FieldFault, PageError};
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

/// A form that was sent about a panel, by somebody who runs it: the main one where the path names none.
struct Sent {
    frame: Frame,
    user: User,
    hall: Hall,
    panel: Panel,
    seat: Seat,
    path: HashMap<String, String>,
    fields: Vec<(String, String)>,
}

impl FromRequest<App> for Sent {
    type Rejection = Response;

    async fn from_request(request: Request, app: &App) -> Result<Self, Response> {
        fn refused(error: impl IntoResponse) -> Response {
            error.into_response()
        }
        let (mut parts, body) = request.into_parts();
        let frame = Frame::from_request_parts(&mut parts, app).await.map_err(refused)?;
        let user = User::from_request_parts(&mut parts, app).await.map_err(refused)?;
        let path = Path::<HashMap<String, String>>::from_request_parts(&mut parts, app).await;
        let Path(path) = path.map_err(refused)?;
        let Form(fields) =
            Form::from_request(Request::from_parts(parts, body), app).await.map_err(refused)?;
        let named = |name: &str| path.get(name).map_or("main", String::as_str);
        let court = Court::enter(app, &frame, named("slug"), named("panel")).await.map_err(refused)?;
        let (hall, panel, seat) = court.at(app, &frame).await.map_err(refused)?;
        Ok(Self { frame, user, hall, panel, seat, path, fields })
    }
}

impl Sent {
    /// A field; empty where it was not sent.
    fn field(&self, name: &str) -> &str {
        self.fields.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value.as_str())
    }

    /// Whether a box was ticked.
    fn says(&self, name: &str) -> bool {
        self.field(name) == "yes"
    }

    /// What the path names, by its id.
    fn id<T: std::str::FromStr>(&self, name: &str) -> Result<T, PageError> {
        let id = self.path.get(name).and_then(|id| id.parse().ok());
        id.ok_or_else(PageError::not_found)
    }

    fn competition(&self) -> &Competition {
        &self.hall.competition
    }

    /// The ranking as it would be, for who may see it.
    async fn ranking(&self, app: &App) -> Result<Ranking, PageError> {
        Ranking::of(app, &self.frame, &self.hall.competition.slug, &self.panel.id.to_string()).await
    }

    /// Back to the panel's page, with a notice.
    fn done(&self, key: &str) -> Result<Response, PageError> {
        Ok(self.frame.done(&page_of(&self.hall, &self.panel), key))
    }
}

async fn add_panel(State(app): State<App>, sent: Sent) -> Result<Response, PageError> {
    if !sent.seat.organizer {
        return Err(PageError::forbidden());
    }
    let panel = panel::add(&app.house, sent.competition(), sent.seat.actor, sent.field("name")).await?;
    Ok(sent.frame.done(&page_of(&sent.hall, &panel), "flash-panel-added"))
}

async fn appoint(State(app): State<App>, sent: Sent) -> Result<Response, PageError> {
    let whom = (sent.field("login").trim(), sent.says("chair"));
    panel::appoint(&app.house, sent.competition(), sent.panel.id, sent.seat, whom).await?;
    sent.done("flash-judge-appointed")
}

async fn remove(State(app): State<App>, sent: Sent) -> Result<Response, PageError> {
    let what = (sent.id("user")?, JudgeState::Removed, sent.field("reason"));
    panel::answer(&app.house, sent.competition(), sent.panel.id, sent.seat, what).await?;
    sent.done("flash-judge-removed")
}

async fn chair(State(app): State<App>, sent: Sent) -> Result<Response, PageError> {
    panel::make_chair(&app.house, sent.competition(), sent.panel.id, sent.seat, sent.id("user")?).await?;
    sent.done("flash-saved")
}

async fn declare(State(app): State<App>, sent: Sent) -> Result<Response, PageError> {
    let judge: UserId = sent.field("judge").parse().map_err(|_| PageError::not_found())?;
    let with = With::Organisation(sent.field("organisation").to_owned());
    let what = (judge, with, sent.field("reason"));
    panel::declare(&app.house, sent.competition(), sent.panel.id, sent.seat, what).await?;
    sent.done("flash-conflict-declared")
}

async fn retract(State(app): State<App>, sent: Sent) -> Result<Response, PageError> {
    panel::retract(&app.house, sent.competition(), sent.panel.id, sent.seat, sent.id("id")?).await?;
    sent.done("flash-saved")
}

/// Gives entries, by their numbers, to this panel.
async fn take_entries(State(app): State<App>, sent: Sent) -> Result<Response, PageError> {
    let words = sent.field("numbers").split(|c: char| !c.is_ascii_digit());
    for number in words.filter_map(|word| word.parse().ok()) {
        panel::take_entry(&app.house, sent.competition(), sent.panel.id, sent.seat, number).await?;
    }
    sent.done("flash-saved")
}

/// What needs nothing but a word: rounds, the signature, publishing.
async fn act(State(app): State<App>, sent: Sent) -> Result<Response, PageError> {
    let (house, competition, id, seat) = (&app.house, sent.competition(), sent.panel.id, sent.seat);
    let act: String = sent.id("act")?;
    let key = match act.as_str() {
        "open" => {
            assign::open(house, competition, id, seat).await?;
            "flash-round-opened"
        }
        "redraw" => {
            assign::again(house, competition, id, seat).await?;
            "flash-redrawn"
        }
        "close" => {
            assign::close(house, competition, id, seat).await?;
            "flash-round-closed"
        }
        "reopen" => {
            assign::reopen(house, competition, id, seat, sent.field("reason")).await?;
            "flash-round-reopened"
        }
        "second-round" => {
            let chosen = sent.fields.iter().filter(|(name, _)| name == "entry");
            let chosen: Vec<i64> = chosen.filter_map(|(_, number)| number.parse().ok()).collect();
            assign::second_round(house, competition, id, seat, (&chosen, sent.says("more"))).await?;
            "flash-second-round"
        }
        "peek" => {
            panel::set_peek(house, competition, id, seat, sent.says("on")).await?;
            "flash-saved"
        }
        "sign" => match sign(&app, &sent).await? {
            Some(fault) => {
                let ranking = sent.ranking(&app).await?;
                return results::show(&sent.frame, &app, ranking, 0, &[fault]).await;
            }
            None => "flash-signed",
        },
        "publish" => {
            result::publish(house, competition, id, seat, sent.says("on")).await?;
            if sent.says("on") { "flash-judged-published" } else { "flash-judged-unpublished" }
        }
        _ => return Err(PageError::not_found()),
    };
    match act.as_str() {
        "close" | "sign" | "publish" => {
            let results = format!("{}/desk/judging/{id}/results", sent.hall.base());
            Ok(sent.frame.done(&results, key))
        }
        _ => sent.done(key),
    }
}

/// Signs; gives what was wrong with the form, if it was that.
async fn sign(app: &App, sent: &Sent) -> Result<Option<FieldFault>, PageError> {
    app.limits.check(Limited::Login, &sent.user.actor.user.to_string())?;
    let confirmed = app.people.confirm(sent.user.actor.user, sent.field("password").to_owned()).await;
    let confirmed = match confirmed {
        Err(PeopleError::WrongLogin) => return Ok(Some(FieldFault::new("password", "password-wrong"))),
        other => other?,
    };
    let may = sent.panel.state == PanelState::Closed && sent.seat.chair;
    if may && !sent.says("known") && results::to_know(&sent.ranking(app).await?) {
        return Ok(Some(FieldFault::new("known", "required")));
    }
    let mut conn = app.db.read().await?;
    let force = rubric::in_force(&mut conn, sent.hall.competition.id).await?;
    let judging = force.as_ref().map(|(_, judging)| judging);
    let around =
        Around::of(&mut conn, &app.boards, (&sent.hall.competition, &sent.hall.phases), judging).await?;
    drop(conn);
    result::sign(&app.house, &sent.hall.competition, sent.panel.id, (sent.seat, &confirmed), &around).await?;
    Ok(None)
}
