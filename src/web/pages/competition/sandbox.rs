//! The participant's sandbox: ask for one, wait for it, go into it, stop it.

use axum::extract::{Path, State};
use axum::http::header::CONTENT_SECURITY_POLICY;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Form, Router};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::hall::Hall;
use super::outbox::{self, OutboxView};
use super::packages::PackagesView;
use crate::airlock::lane3;
use crate::ids::UserId;
use crate::lab::ask::{self, AskError, Place, WaitingList};
use crate::lab::door::Door;
use crate::lab::model::{Grant, SHM_BYTES, Sandbox, State as Stands, TMP_BYTES, Used, Wanted};
use crate::lab::reports::About;
use crate::lab::{db, homes, ticket};
use crate::sandbox::OutboxLimits;
use crate::web::error::PageError;
use crate::web::gauges::{Gauges, Told};
use crate::web::guard::User;
use crate::web::limits::Limited;
use crate::web::page::Frame;
use crate::web::{App, hosts, tunnel};

pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/competitions/{slug}/sandbox", get(page))
        .route("/competitions/{slug}/sandbox/live", get(live))
        .route("/competitions/{slug}/sandbox/open", post(open))
        .route("/competitions/{slug}/sandbox/enter", post(enter))
        .route("/competitions/{slug}/sandbox/stop", post(stop))
        .route("/competitions/{slug}/sandbox/restart", post(restart))
        .route("/competitions/{slug}/sandbox/copy", post(copy))
        .route("/competitions/{slug}/sandbox/empty", post(empty))
}

/// A sandbox as its owner sees it.
#[derive(Serialize)]
struct SandboxView {
    state: &'static str,
    over: bool,
    /// What a reader is told of the state: a restart is one, whatever it is doing at the moment.
    told: &'static str,
    stopping: bool,
    requested_at: Timestamp,
    ready_at: Option<Timestamp>,
    deadline_at: Option<Timestamp>,
    reason: String,
    said: String,
    message: String,
    used: Used,
    cpu_seconds: i64,
    memory_gib_hours: f64,
    gauges: Option<Gauges>,
    memory_kills: i64,
    restored_from: Option<Timestamp>,
    place: Option<Place>,
    /// Whether another worker holds it that has not told of it yet.
    untold: bool,
}

impl SandboxView {
    fn of(app: &App, s: &Sandbox, place: Option<Place>, told: &Told) -> Self {
        Self {
            state: s.state.as_str(),
            over: s.state.is_over(),
            told: match s.wanted {
                _ if s.state.is_over() => s.state.as_str(),
                Wanted::Running => s.state.as_str(),
                Wanted::Restart => "restarting",
                Wanted::Stopped | Wanted::Dismissed | Wanted::Reset => Stands::Stopping.as_str(),
            },
            stopping: s.wanted != Wanted::Running && !s.state.is_over(),
            requested_at: s.requested_at,
            ready_at: s.ready_at,
            deadline_at: s.deadline_at,
            reason: s.why_over().to_owned(),
            said: s.said.clone(),
            message: s.message.clone(),
            used: s.used,
            cpu_seconds: s.used.cpu_ms / 1000,
            memory_gib_hours: s.used.memory_gib_hours(),
            gauges: told.gauges(app, s.id),
            memory_kills: s.memory_kills,
            restored_from: s.restored_from,
            place,
            untold: is_open(s) && hosts::is_elsewhere(app, s) && told.of(s.id).is_none(),
        }
    }
}

/// The visitor's home: how long it is kept, and its copy in the store.
#[derive(Serialize)]
struct HomeView {
    kept_until: Option<Timestamp>,
    copied_at: Option<Timestamp>,
    copy_asked: bool,
    copy_problem: String,
}

impl HomeView {
    async fn of(app: &App, hall: &Hall, user: UserId) -> Result<Option<Self>, PageError> {
        let mut conn = app.db.read().await?;
        let competition = hall.competition.id;
        let Some(home) = db::home_of(&mut conn, competition, user).await? else { return Ok(None) };
        let days = app.settings.sandboxes.keep_homes_days;
        let ends_at = hall.phases.last().and_then(|phase| phase.ends_at);
        Ok(Some(Self {
            kept_until: homes::until(&mut conn, (competition, user), ends_at, days).await?,
            copied_at: home.snapshot.map(|(_, at)| at),
            copy_asked: home.copy_asked,
            copy_problem: home.copy_problem,
        }))
    }
}

/// What each sandbox of the competition gets, in bytes and seconds.
#[derive(Serialize)]
pub(in crate::web::pages) struct GrantView {
    cpus: f64,
    /// The same as it is read: `2`, `1.5`.
    processors: String,
    memory: u64,
    /// Memory besides, of `/tmp` and of `/dev/shm`.
    tmp: u64,
    shm: u64,
    disk: u64,
    idle_seconds: u64,
    session_seconds: u64,
}

impl From<&Grant> for GrantView {
    fn from(grant: &Grant) -> Self {
        Self {
            cpus: grant.cpus,
            processors: grant.cpus.to_string(),
            memory: grant.memory,
            tmp: TMP_BYTES,
            shm: SHM_BYTES,
            disk: grant.disk,
            idle_seconds: grant.idle.as_secs(),
            session_seconds: grant.session.as_secs(),
        }
    }
}

fn is_open(sandbox: &Sandbox) -> bool {
    matches!(sandbox.state, Stands::Ready | Stands::Paused)
}

/// What lies in the outbox of a sandbox, while it is open.
async fn outbox(
    app: &App,
    sandbox: Option<&Sandbox>,
    grant: &Grant,
    told: &Told,
) -> Result<Option<OutboxView>, PageError> {
    match sandbox.filter(|s| is_open(s)) {
        Some(sandbox) => Ok(outbox::shown(app, sandbox, grant, told).await?),
        None => Ok(None),
    }
}

/// The hall for somebody who asks something of a sandbox, which makes work.
async fn asking(app: &App, frame: &Frame, user: &User, slug: &str) -> Result<Hall, PageError> {
    app.limits.check(Limited::Sandbox, &user.actor.user.to_string())?;
    hall(app, frame, slug).await
}

async fn hall(app: &App, frame: &Frame, slug: &str) -> Result<Hall, PageError> {
    let hall = Hall::enter(app, frame, slug).await?;
    match ask::is_offered(&hall.competition) {
        true => Ok(hall),
        false => Err(PageError::not_found()),
    }
}

/// To the page again.
fn back(frame: &Frame, hall: &Hall) -> Response {
    frame.go(&format!("{}/sandbox", hall.base()))
}

/// The visitor's own sandbox, the newest there is.
async fn own(app: &App, hall: &Hall, user: &User) -> Result<Option<Sandbox>, PageError> {
    let mut conn = app.db.read().await?;
    Ok(db::latest(&mut conn, hall.competition.id, user.actor.user).await?)
}

async fn page(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path(slug): Path<String>,
) -> Result<Response, PageError> {
    let hall = hall(&app, &frame, &slug).await?;
    let sandbox = own(&app, &hall, &user).await?;
    let mut conn = app.db.read().await?;
    let hosts = hosts::alive(&app, &mut conn).await?;
    let told = Told::ask(&app, &sandbox, About::Use).await?;
    let mut view = None;
    if let Some(s) = &sandbox {
        let place = WaitingList::read(&mut conn, hosts::places(&hosts), app.clock.now()).await?.place(s.id);
        view = Some(SandboxView::of(&app, s, place, &told));
    }
    drop(conn);
    let doors: Vec<&Door> = hosts.iter().map(|host| &host.door).collect();
    let grant = Grant::of(hall.competition.definition.sandbox.as_ref());
    let mut page = hall
        .page(&app, &frame, "competition/sandbox.html", "sandbox")
        .await?
        .with("s", &view)
        .with("home", &HomeView::of(&app, &hall, user.actor.user).await?)
        .with("season", &hall.season())
        .with("grant", &GrantView::from(&grant))
        .with("datasets", &hall.competition.definition.datasets)
        .with("packages", &PackagesView::of(&app, &hall, Some(user.actor.user)).await?)
        .with("outbox", &outbox(&app, sandbox.as_ref(), &grant, &told).await?)
        .with("outbox_bytes", &OutboxLimits::default().bytes)
        .with("file_bytes", &lane3::FILE_BYTES)
        .with("rows", &lane3::ROWS)
        .with("columns", &lane3::COLUMNS)
        .with("reachable", &(app.door.is_some() || !doors.is_empty()))
        .with("overheard", &doors.iter().any(|door| door.can_be_overheard()))
        .with("shared", &doors.iter().any(|door| door.is_shared()))
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
    Path(slug): Path<String>,
) -> Result<Response, PageError> {
    let hall = hall(&app, &frame, &slug).await?;
    let sandbox = own(&app, &hall, &user).await?.ok_or_else(PageError::not_found)?;
    let who = user.actor.user.to_string();
    Ok(app.live.stream(&who, vec![ask::topic(sandbox.id)], &headers).await?.into_response())
}

async fn open(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path(slug): Path<String>,
) -> Result<Response, PageError> {
    let hall = asking(&app, &frame, &user, &slug).await?;
    ask::open(&app.house, &hall.competition, &hall.phases, user.actor.user, &hall.terms).await?;
    Ok(back(&frame, &hall))
}

/// To the sandbox's own origin, with a ticket that opens it once.
async fn enter(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path(slug): Path<String>,
) -> Result<Response, PageError> {
    let hall = hall(&app, &frame, &slug).await?;
    let sandbox = own(&app, &hall, &user).await?.filter(|s| !s.state.is_over());
    let sandbox = sandbox.ok_or(AskError::None)?;
    if !is_open(&sandbox) {
        return Ok(back(&frame, &hall));
    }
    let hosts = hosts::alive(&app, &mut *app.db.read().await?).await?;
    let door = hosts::door_to(&hosts, &sandbox);
    let door =
        door.ok_or_else(|| PageError::plain(StatusCode::SERVICE_UNAVAILABLE, "sandbox-unreachable"))?;
    let secret = ticket::make(&app.house, &sandbox, user.session).await?;
    Ok(frame.go(&door.entrance(sandbox.id, &secret)))
}

#[derive(Deserialize)]
struct Stopping {
    #[serde(default)]
    reset: String,
}

async fn stop(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path(slug): Path<String>,
    Form(form): Form<Stopping>,
) -> Result<Response, PageError> {
    let wanted = if form.reset == "yes" { Wanted::Reset } else { Wanted::Stopped };
    end((frame, app, user), &slug, wanted).await
}

/// Has it come again in the same place, with the same home.
async fn restart(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path(slug): Path<String>,
) -> Result<Response, PageError> {
    end((frame, app, user), &slug, Wanted::Restart).await
}

async fn end(
    (frame, app, user): (Frame, App, User),
    slug: &str,
    wanted: Wanted,
) -> Result<Response, PageError> {
    let hall = asking(&app, &frame, &user, slug).await?;
    let sandbox = own(&app, &hall, &user).await?.filter(|s| !s.state.is_over()).ok_or(AskError::None)?;
    ask::stop(&app.house, sandbox.id, user.actor.user, wanted).await?;
    Ok(back(&frame, &hall))
}

/// Has the home copied to the store now.
async fn copy(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path(slug): Path<String>,
) -> Result<Response, PageError> {
    let hall = asking(&app, &frame, &user, &slug).await?;
    let sandbox = own(&app, &hall, &user).await?.ok_or(AskError::None)?;
    homes::ask_copy(&app.house, sandbox.id, user.actor.user).await?;
    Ok(back(&frame, &hall))
}

/// Removes the home of somebody who has no sandbox open.
async fn empty(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path(slug): Path<String>,
) -> Result<Response, PageError> {
    let hall = asking(&app, &frame, &user, &slug).await?;
    homes::empty(&app.house, hall.competition.id, user.actor.user).await?;
    Ok(frame.done(&format!("{}/sandbox", hall.base()), "flash-home-emptied"))
}
