//! Trying an app: start it, wait until it is ready, go in, stop it; its team opens it to visitors.

use axum::extract::{Path, State};
use axum::http::header::CONTENT_SECURITY_POLICY;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Form, Router};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::hall::Hall;
use crate::contest::entry;
use crate::demo::ask::{self, AskError};
use crate::demo::model::{Demo, State as Stands};
use crate::demo::rights::{self, As, Refusal};
use crate::demo::{db, ticket};
use crate::ids::SubmissionId;
use crate::submission::db as submission_db;
use crate::submission::model::{Origin, Submission};
use crate::web::error::PageError;
use crate::web::guard::User;
use crate::web::limits::Limited;
use crate::web::page::Frame;
use crate::web::{App, hosts, tunnel};

pub(super) fn router() -> Router<App> {
    let path = |rest: &str| format!("/competitions/{{slug}}/submissions/{{id}}/demo{rest}");
    Router::new()
        .route(&path(""), get(page))
        .route(&path("/live"), get(live))
        .route(&path("/open"), post(open))
        .route(&path("/enter"), post(enter))
        .route(&path("/close"), post(close))
        .route(&path("/visitors"), post(visitors))
}

/// Somebody who may try the app of a submission.
struct Trying {
    hall: Hall,
    submission: Submission,
    as_whom: As,
}

impl Trying {
    async fn of(app: &App, frame: &Frame, user: &User, slug: &str, id: &str) -> Result<Self, PageError> {
        let id: SubmissionId = id.parse().map_err(|_| PageError::not_found())?;
        let hall = Hall::enter(app, frame, slug).await?;
        let mut conn = app.db.read().await?;
        let submission = submission_db::by_id(&mut conn, id).await?.ok_or_else(PageError::not_found)?;
        if submission.competition != hall.competition.id {
            return Err(PageError::not_found());
        }
        let whose = (user.actor.user, hall.organizer);
        match rights::of(&mut conn, &submission, whose, app.clock.now()).await? {
            Ok(as_whom) => Ok(Self { hall, submission, as_whom }),
            // that there is such a submission is nobody's business
            Err(Refusal::NoApp | Refusal::NotOver | Refusal::NotOpened | Refusal::NotReleased) => {
                Err(PageError::not_found())
            }
            Err(Refusal::NoFile) => Err(PageError::plain(StatusCode::GONE, "demo-no-file")),
        }
    }

    fn address(&self) -> String {
        format!("{}/submissions/{}/demo", self.hall.base(), self.submission.id)
    }

    async fn demo(&self, app: &App) -> Result<Option<Demo>, PageError> {
        Ok(db::latest(&mut *app.db.read().await?, self.submission.id).await?)
    }
}

/// A demo as whoever may try it sees it.
#[derive(Serialize)]
struct DemoView {
    state: &'static str,
    over: bool,
    stopping: bool,
    ahead: i64,
    deadline_at: Option<Timestamp>,
    reason: String,
    /// What the app printed when it did not start: for its team and organizers.
    detail: String,
}

async fn page(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path((slug, id)): Path<(String, String)>,
) -> Result<Response, PageError> {
    let trying = Trying::of(&app, &frame, &user, &slug, &id).await?;
    let demo = trying.demo(&app).await?;
    let mut conn = app.db.read().await?;
    let mut hosts = hosts::alive(&app, &mut conn).await?;
    // on one origin for all, a page of an app could reach what else its visitor opens there
    hosts.retain(|host| !host.door.is_shared());
    let mut view = None;
    if let Some(demo) = demo {
        let inner = trying.as_whom != As::Visitor;
        view = Some(DemoView {
            state: demo.state.as_str(),
            over: demo.state.is_over(),
            stopping: demo.stop_asked_at.is_some() && !demo.state.is_over(),
            ahead: if demo.state == Stands::Waiting { db::ahead(&mut conn, &demo).await? } else { 0 },
            deadline_at: demo.deadline_at,
            detail: if inner { demo.detail } else { String::new() },
            reason: demo.reason,
        });
    }
    let team = entry::db::team_by_id(&mut conn, trying.submission.team).await?.map(|team| team.name);
    let open = db::is_open_to_visitors(&mut conn, trying.submission.id).await?;
    drop(conn);
    let tab = if trying.as_whom == As::Team { "submissions" } else { "leaderboard" };
    let mut page = trying
        .hall
        .page(&app, &frame, "competition/demo.html", tab)
        .await?
        .with("d", &view)
        .with("file_name", &trying.submission.file_name)
        .with("team", &team)
        .with("base", &trying.address())
        .with("back", &format!("{}/submissions/{}", trying.hall.base(), trying.submission.id))
        .with("reachable", &!hosts.is_empty())
        .with("is_team", &(trying.as_whom == As::Team))
        .with("opened", &open)
        .with("can_be_opened", &(trying.submission.origin == Origin::Outside))
        .render()?;
    if let Some(policy) = tunnel::policy(&hosts) {
        page.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    }
    Ok(page)
}

async fn live(
    frame: Frame,
    State(app): State<App>,
    user: User,
    headers: HeaderMap,
    Path((slug, id)): Path<(String, String)>,
) -> Result<Response, PageError> {
    let trying = Trying::of(&app, &frame, &user, &slug, &id).await?;
    let demo = trying.demo(&app).await?.ok_or_else(PageError::not_found)?;
    let who = user.actor.user.to_string();
    Ok(app.live.stream(&who, vec![ask::topic(demo.id)], &headers).await?.into_response())
}

fn refused(error: AskError) -> PageError {
    match error {
        AskError::TooMany => PageError::plain(StatusCode::CONFLICT, "demo-too-many"),
        AskError::NotReleased => PageError::plain(StatusCode::FORBIDDEN, "demo-not-released"),
        AskError::Store(error) => error.into(),
    }
}

async fn open(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path((slug, id)): Path<(String, String)>,
) -> Result<Response, PageError> {
    app.limits.check(Limited::Sandbox, &user.actor.user.to_string())?;
    let trying = Trying::of(&app, &frame, &user, &slug, &id).await?;
    ask::open(&app.house, &trying.submission, user.actor.user).await.map_err(refused)?;
    Ok(frame.go(&trying.address()))
}

/// To the app's own origin, with a ticket that opens it once.
async fn enter(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path((slug, id)): Path<(String, String)>,
) -> Result<Response, PageError> {
    let trying = Trying::of(&app, &frame, &user, &slug, &id).await?;
    let Some(demo) = trying.demo(&app).await?.filter(|demo| demo.state == Stands::Ready) else {
        return Ok(frame.go(&trying.address()));
    };
    let hosts = hosts::alive(&app, &mut *app.db.read().await?).await?;
    let host = hosts.iter().find(|host| Some(&host.name) == demo.host.as_ref() && !host.door.is_shared());
    let unreachable = || PageError::plain(StatusCode::SERVICE_UNAVAILABLE, "demo-unreachable");
    let door = &host.ok_or_else(unreachable)?.door;
    let secret = ticket::make(&app.house, &demo, (user.actor.user, user.session)).await?;
    Ok(frame.go(&door.entrance(demo.id, &secret)))
}

/// Stops it: for its team and organizers, and whoever started it.
async fn close(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path((slug, id)): Path<(String, String)>,
) -> Result<Response, PageError> {
    let trying = Trying::of(&app, &frame, &user, &slug, &id).await?;
    if let Some(demo) = trying.demo(&app).await?.filter(|demo| !demo.state.is_over()) {
        if trying.as_whom == As::Visitor && demo.requested_by != user.actor.user {
            return Err(PageError::forbidden());
        }
        ask::close(&app.house, &demo, user.actor.user).await.map_err(refused)?;
    }
    Ok(frame.go(&trying.address()))
}

#[derive(Deserialize)]
struct Visitors {
    on: String,
}

async fn visitors(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path((slug, id)): Path<(String, String)>,
    Form(form): Form<Visitors>,
) -> Result<Response, PageError> {
    let trying = Trying::of(&app, &frame, &user, &slug, &id).await?;
    if trying.as_whom != As::Team {
        return Err(PageError::forbidden());
    }
    let on = form.on == "yes";
    ask::open_to_visitors(&app.house, &trying.submission, user.actor.user, on).await.map_err(refused)?;
    Ok(frame.go(&trying.address()))
}
