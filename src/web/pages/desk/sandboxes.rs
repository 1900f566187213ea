//! Sandboxes: who has one and what it uses, who waits, those that are over; stopping them, saying
//! something to those who use them, and reading what a lab has printed.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Form, Router};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::SandboxId;
use crate::lab::ask::{self, Place, WaitingList};
use crate::lab::desk::{self, Line, Totals};
use crate::lab::model::{Grant, State as Stands, Used, Wanted};
use crate::lab::reports::About;
use crate::sandbox::ImageTable;
use crate::web::error::PageError;
use crate::web::gauges::{Gauges, Told};
use crate::web::guard::User;
use crate::web::page::{Frame, Notice};
use crate::web::pages::competition::hall::Hall;
use crate::web::pages::competition::sandbox::GrantView;
use crate::web::{App, hosts};

/// Sandboxes that are over and listed.
const LISTED: i64 = 50;
/// Bytes of a log that a page shows: its end.
const SHOWN_LOG: usize = 64 << 10;

pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/competitions/{slug}/desk/sandboxes", get(page))
        .route("/competitions/{slug}/desk/sandboxes/stop", post(stop_all))
        .route("/competitions/{slug}/desk/sandboxes/message", post(tell_all))
        .route("/competitions/{slug}/desk/sandboxes/{id}/stop", post(stop_one))
        .route("/competitions/{slug}/desk/sandboxes/{id}/message", post(tell_one))
        .route("/competitions/{slug}/desk/sandboxes/{id}/log", get(log))
}

/// What was used, in the units of a page.
#[derive(Serialize)]
struct UsedView {
    cpu_seconds: i64,
    memory_gib_hours: f64,
    shown_bytes: i64,
    kernels: i64,
    terminals: i64,
}

impl From<Used> for UsedView {
    fn from(used: Used) -> Self {
        Self {
            cpu_seconds: used.cpu_ms / 1000,
            memory_gib_hours: used.memory_gib_hours(),
            shown_bytes: used.shown_bytes,
            kernels: used.kernels,
            terminals: used.terminals,
        }
    }
}

/// A sandbox and whose it is.
#[derive(Serialize)]
struct LineView {
    id: String,
    login: String,
    name: String,
    team: Option<String>,
    state: &'static str,
    held: bool,
    requested_at: Timestamp,
    since: Timestamp,
    deadline_at: Option<Timestamp>,
    active_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    used: UsedView,
    gauges: Option<Gauges>,
    memory_kills: i64,
    place: Option<Place>,
    message: String,
    reason: String,
    said: String,
    has_log: bool,
    /// The worker that holds it, where that is another process than this.
    elsewhere: bool,
    host: Option<String>,
}

fn view(app: &App, line: Line, place: Option<Place>, told: &Told) -> LineView {
    let s = line.sandbox;
    let stopping = s.wanted != Wanted::Running && s.state.takes_a_place();
    let gauges = told.gauges(app, s.id);
    let elsewhere = hosts::is_elsewhere(app, &s);
    LineView {
        id: s.id.to_string(),
        reason: s.why_over().to_owned(),
        login: line.login,
        name: line.name,
        team: line.team,
        state: if stopping { Stands::Stopping.as_str() } else { s.state.as_str() },
        held: s.state.takes_a_place(),
        requested_at: s.requested_at,
        since: s.ready_at.or(s.started_at).unwrap_or(s.requested_at),
        deadline_at: s.deadline_at,
        active_at: s.active_at,
        ended_at: s.ended_at,
        used: s.used.into(),
        has_log: line.has_log || gauges.is_some(),
        gauges,
        elsewhere,
        host: s.host,
        memory_kills: s.memory_kills,
        place,
        message: s.message,
        said: s.said,
    }
}

/// What all sandboxes of the competition have used.
#[derive(Serialize)]
struct TotalsView {
    sandboxes: i64,
    people: i64,
    used: UsedView,
}

impl From<Totals> for TotalsView {
    fn from(totals: Totals) -> Self {
        Self { sandboxes: totals.sandboxes, people: totals.people, used: totals.used.into() }
    }
}

/// A local image, and the names by which bundles ask for it.
#[derive(Serialize)]
struct ImageView {
    local: String,
    names: Vec<String>,
    there: bool,
}

async fn images(app: &App) -> Vec<ImageView> {
    let table = ImageTable::with(app.settings.images.clone());
    let mut images: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (name, local) in table.names() {
        images.entry(local).or_default().push(name.to_owned());
    }
    let mut views = Vec::new();
    for (local, names) in images {
        let there = match &app.keeper {
            Some(keeper) => keeper.has_image(local).await,
            None => false,
        };
        views.push(ImageView { local: local.to_owned(), names, there });
    }
    views
}

async fn enter(app: &App, frame: &Frame, slug: &str) -> Result<Hall, PageError> {
    let hall = Hall::enter_desk(app, frame, slug).await?;
    if ask::is_offered(&hall.competition) { Ok(hall) } else { Err(PageError::not_found()) }
}

async fn page(frame: Frame, State(app): State<App>, Path(slug): Path<String>) -> Result<Response, PageError> {
    let hall = enter(&app, &frame, &slug).await?;
    let id = hall.competition.id;
    let mut conn = app.db.read().await?;
    let hosts = hosts::alive(&app, &mut conn).await?;
    let places = hosts::places(&hosts);
    let (mut open, mut waiting) = (Vec::new(), Vec::new());
    let lines = desk::open(&mut conn, id).await?;
    let told = Told::ask(&app, lines.iter().map(|line| &line.sandbox), About::Use).await?;
    let list = WaitingList::read(&mut conn, places, app.clock.now()).await?;
    for line in lines {
        match line.sandbox.state {
            Stands::Waiting => {
                let place = list.place(line.sandbox.id);
                waiting.push(view(&app, line, place, &told));
            }
            _ => open.push(view(&app, line, None, &told)),
        }
    }
    waiting.sort_by_key(|line| line.place.map(|place| place.ahead));
    let over = desk::over(&mut conn, id, LISTED).await?;
    let over: Vec<_> = over.into_iter().map(|line| view(&app, line, None, &told)).collect();
    let totals = TotalsView::from(desk::totals(&mut conn, id).await?);
    let all = desk::numbers(&mut conn, None).await?;
    drop(conn);
    let grant = Grant::of(hall.competition.definition.sandbox.as_ref());
    hall.page(&app, &frame, "desk/sandboxes.html", "sandboxes")
        .await?
        .with("open", &open)
        .with("waiting", &waiting)
        .with("over", &over)
        .with("totals", &totals)
        .with("places", &places)
        .with("taken", &all.held)
        .with("image", &grant.image)
        .with("grant", &GrantView::from(&grant))
        .with("images", &images(&app).await)
        .with("keeper", &!hosts.is_empty())
        .with("here", &app.keeper.is_some())
        .with("longest", &desk::LONGEST)
        .with("keep_days", &app.settings.sandboxes.keep_homes_days)
        .render()
}

#[derive(Deserialize)]
struct Words {
    #[serde(default)]
    reason: String,
    #[serde(default)]
    message: String,
}

/// Back to the list, with how many it was done to.
fn back(frame: &Frame, hall: &Hall, key: &str, done: usize) -> Response {
    match done {
        0 => frame.flash(Notice::Info, "flash-sandboxes-none", &[]),
        done => frame.flash(Notice::Good, key, &[("count", &done.to_string())]),
    }
    frame.go(&format!("{}/desk/sandboxes", hall.base()))
}

async fn stop(
    (frame, app, user): (Frame, App, User),
    slug: &str,
    one: Option<SandboxId>,
    reason: &str,
) -> Result<Response, PageError> {
    let hall = enter(&app, &frame, slug).await?;
    let by = (&user.actor).into();
    let stopped = desk::dismiss(&app.house, hall.competition.id, one, by, reason).await?;
    Ok(back(&frame, &hall, "flash-sandboxes-stopped", stopped))
}

async fn stop_all(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path(slug): Path<String>,
    Form(words): Form<Words>,
) -> Result<Response, PageError> {
    stop((frame, app, user), &slug, None, &words.reason).await
}

async fn stop_one(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path((slug, id)): Path<(String, String)>,
    Form(words): Form<Words>,
) -> Result<Response, PageError> {
    let id = id.parse().map_err(|_| PageError::not_found())?;
    stop((frame, app, user), &slug, Some(id), &words.reason).await
}

async fn tell(
    (frame, app, user): (Frame, App, User),
    slug: &str,
    one: Option<SandboxId>,
    message: &str,
) -> Result<Response, PageError> {
    let hall = enter(&app, &frame, slug).await?;
    let by = (&user.actor).into();
    let told = desk::tell(&app.house, hall.competition.id, one, by, message).await?;
    let key = if message.trim().is_empty() { "flash-sandboxes-untold" } else { "flash-sandboxes-told" };
    Ok(back(&frame, &hall, key, told))
}

async fn tell_all(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path(slug): Path<String>,
    Form(words): Form<Words>,
) -> Result<Response, PageError> {
    tell((frame, app, user), &slug, None, &words.message).await
}

async fn tell_one(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path((slug, id)): Path<(String, String)>,
    Form(words): Form<Words>,
) -> Result<Response, PageError> {
    let id = id.parse().map_err(|_| PageError::not_found())?;
    tell((frame, app, user), &slug, Some(id), &words.message).await
}

/// What the lab in a sandbox has printed. It is somebody else's text: the template escapes it.
async fn log(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path((slug, id)): Path<(String, String)>,
) -> Result<Response, PageError> {
    let hall = enter(&app, &frame, &slug).await?;
    let id = id.parse().map_err(|_| PageError::not_found())?;
    let about = (hall.competition.id, id);
    let by = (&user.actor).into();
    let (sandbox, log) = desk::read_log(&app.house, app.keeper.as_ref(), about, by).await?;
    let person = app.people.profile(sandbox.user).await?.name;
    let log = log.as_deref().map(|log| {
        let from = log.ceil_char_boundary(log.len().saturating_sub(SHOWN_LOG));
        (&log[from..], from > 0)
    });
    hall.page(&app, &frame, "desk/sandbox-log.html", "sandboxes")
        .await?
        .with("log", &log.map(|(text, _)| text))
        .with("cut", &log.is_some_and(|(_, cut)| cut))
        .with("person", &person)
        .with("elsewhere", &hosts::is_elsewhere(&app, &sandbox))
        .with("worker", &sandbox.host)
        .with("state", sandbox.state.as_str())
        .render()
}
