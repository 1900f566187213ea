//! What needs the organizer now, and the state of everything in numbers.

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::airlock::db::{self as airlock_db, Exposure};
use crate::contest::entry;
use crate::contest::model::PhaseTime;
use crate::contest::{db as contest_db, model::Competition};
use crate::judging::entries::{self, Window};
use crate::judging::{PanelState, panel, result};
use crate::lab::{ask, desk};
use crate::sandbox::ImageTable;
use crate::store::Connection;
use crate::submission::desk::db;
use crate::submission::model::State as True;
use crate::submission::queue;
use crate::web::App;
use crate::web::error::PageError;
use crate::web::guard::User;
use crate::web::page::Frame;
use crate::web::pages::competition::hall::{Hall, locale};

/// Days of the curve.
const DAYS: i64 = 7;
const DAY_MS: i64 = 86_400_000;

pub(super) fn router() -> Router<App> {
    Router::new().route("/desk", get(all)).route("/competitions/{slug}/desk", get(home))
}

/// What waits for the organizer in one competition.
#[derive(Serialize)]
struct Needs {
    people: i64,
    ours: Vec<Failed>,
    uploaded: i64,
    queued: i64,
    running: i64,
    no_worker: bool,
    /// A phase that begins within two days.
    soon: Option<(i64, Timestamp)>,
    draft: bool,
    /// The image that nothing on this machine stands for.
    image: Option<String>,
    /// Entries that were handed in and that no panel judges yet.
    to_judge: usize,
    /// A jury's ranking that is signed and not published.
    to_publish: bool,
}

/// A submission that failed through our own fault.
#[derive(Serialize)]
struct Failed {
    id: String,
    file_name: String,
    at: Timestamp,
}

impl Needs {
    fn any(&self) -> bool {
        let stuck = self.no_worker && self.queued > 0;
        self.people > 0
            || !self.ours.is_empty()
            || self.uploaded > 0
            || stuck
            || self.soon.is_some()
            || self.draft
            || self.image.is_some()
            || self.to_judge > 0
            || self.to_publish
    }
}

async fn needs(app: &App, competition: &Competition) -> Result<Needs, PageError> {
    let now = app.clock.now();
    let mut conn = app.db.read().await?;
    let week = now.checked_sub(SignedDuration::from_hours(24 * DAYS)).unwrap_or(now);
    let ours = db::failed_by_us(&mut conn, competition.id, week).await?;
    let ours =
        ours.into_iter().map(|s| Failed { id: s.id.to_string(), file_name: s.file_name, at: s.created_at });
    let states = db::count_by_state(&mut conn, competition.id).await?;
    let uploaded = states.iter().find(|(state, _)| *state == True::Uploaded).map_or(0, |(_, n)| *n);
    let (queued, running) = queue::db::load_of(&mut conn, competition.id).await?;
    let soon = contest_db::phases(&mut conn, competition.id).await?.into_iter().find(|phase| {
        phase.time(now) == PhaseTime::Ahead && phase.starts_at.duration_since(now).as_hours() < 48
    });
    let (to_judge, to_publish) = jury(&mut conn, competition, now).await?;
    Ok(Needs {
        to_judge,
        to_publish,
        people: entry::db::waiting_count(&mut conn, competition.id).await?,
        ours: ours.collect(),
        uploaded,
        queued,
        running,
        no_worker: queue::db::live_slots(&mut conn, now).await? == 0,
        soon: soon.map(|phase| (phase.position, phase.starts_at)),
        draft: competition.published_at.is_none(),
        image: Some(&competition.definition.docker_image)
            .filter(|image| ImageTable::with(app.settings.images.clone()).local(image).is_err())
            .cloned(),
    })
}

/// What waits in judging: entries once they cannot change any more and no panel is at work, and results.
async fn jury(
    conn: &mut Connection,
    competition: &Competition,
    now: Timestamp,
) -> Result<(usize, bool), PageError> {
    let Some(rules) = entries::rules(conn, competition).await? else { return Ok((0, false)) };
    if competition.definition.judging.is_none() {
        return Ok((0, false));
    }
    let phases = contest_db::phases(conn, competition.id).await?;
    let closed = Window::of(&rules, &phases).closes.is_some_and(|closes| closes <= now);
    let panels = panel::db::of_competition(conn, competition.id).await?;
    let idle = panels.iter().all(|panel| panel.state == PanelState::Preparing);
    let waiting = match closed && idle {
        true => entries::db::standing(conn, competition.id).await?.len(),
        false => 0,
    };
    let mut to_publish = false;
    for panel in panels.iter().filter(|panel| panel.state == PanelState::Signed) {
        let last = result::db::of_panel(conn, panel.id).await?.into_iter().next();
        to_publish |= last.is_some_and(|last| last.published_at.is_none());
    }
    Ok((waiting, to_publish))
}

#[derive(Serialize)]
struct Line {
    slug: String,
    title: String,
    needs: Needs,
    quiet: bool,
}

async fn all(frame: Frame, State(app): State<App>, user: User) -> Result<Response, PageError> {
    if !user.actor.has_desk() {
        return Err(PageError::forbidden());
    }
    let competitions = contest_db::competitions(&mut *app.db.read().await?).await?;
    let mut lines = Vec::new();
    for c in competitions.into_iter().filter(|c| user.actor.may_manage(c.id)) {
        let needs = needs(&app, &c).await?;
        let title = c.title(locale(frame.lang())).to_owned();
        lines.push(Line { quiet: !needs.any(), slug: c.slug, title, needs });
    }
    lines.sort_by_key(|line| line.quiet);
    frame
        .page("desk/all.html")
        .with("lines", &lines)
        .with("may_create", &user.actor.may_create_competitions())
        .render()
}

/// A day of the curve: its beginning, the number, and the bar's height in hundredths.
#[derive(Serialize)]
struct Day {
    at: Timestamp,
    count: i64,
    x: i64,
    height: i64,
}

/// A worker as the page shows it.
#[derive(Serialize)]
struct WorkerView {
    name: String,
    slots: i64,
    seen_at: Timestamp,
    alive: bool,
}

async fn home(frame: Frame, State(app): State<App>, Path(slug): Path<String>) -> Result<Response, PageError> {
    let hall = Hall::enter_desk(&app, &frame, &slug).await?;
    let needs = needs(&app, &hall.competition).await?;
    let id = hall.competition.id;
    let mut conn = app.db.read().await?;
    let states = db::count_by_state(&mut conn, id).await?;
    let states: Vec<(&str, i64)> = states.iter().map(|(state, n)| (state.as_str(), *n)).collect();
    let since = hall.now.as_millisecond() / DAY_MS * DAY_MS - (DAYS - 1) * DAY_MS;
    let from = Timestamp::from_millisecond(since).unwrap_or(hall.now);
    let counted = db::by_day(&mut conn, id, from).await?;
    let most = counted.iter().map(|(_, n)| *n).max().unwrap_or(0).max(1);
    let days: Vec<Day> = (0..DAYS)
        .map(|day| {
            let at = since + day * DAY_MS;
            let count = counted.iter().find(|(start, _)| *start == at).map_or(0, |(_, n)| *n);
            let at = Timestamp::from_millisecond(at).unwrap_or(hall.now);
            Day { at, count, x: day * 30, height: count * 60 / most }
        })
        .collect();
    let workers = queue::db::workers(&mut conn, hall.now).await?;
    let workers: Vec<WorkerView> = workers
        .into_iter()
        .map(|w| WorkerView {
            alive: w.stopped_at.is_none() && hall.now.duration_since(w.seen_at).as_secs() < 60,
            name: w.name,
            slots: w.slots,
            seen_at: w.seen_at,
        })
        .collect();
    let exposures: Vec<Exposure> = airlock_db::exposures(&mut conn, id).await?;
    let sandboxes = match ask::is_offered(&hall.competition) {
        true => Some(desk::numbers(&mut conn, Some(id)).await?),
        false => None,
    };
    let admitted = entry::db::admitted_count(&mut conn, id).await?;
    let teams = app.boards.teams(&mut conn, id).await?;
    let mut bits: Vec<(String, f64)> = airlock_db::bits_by_team(&mut conn, id)
        .await?
        .into_iter()
        .map(|(team, bits)| (teams.get(&team).map(|label| label.name.clone()).unwrap_or_default(), bits))
        .collect();
    drop(conn);
    bits.sort_by(|a, b| b.1.total_cmp(&a.1));
    let told = bits.len();
    bits.truncate(20);
    hall.page(&app, &frame, "desk/home.html", "home")
        .await?
        .with("needs", &needs)
        .with("quiet", &!needs.any())
        .with("states", &states)
        .with("days", &days)
        .with("workers", &workers)
        .with("exposures", &exposures)
        .with("bits", &bits)
        .with("told", &told)
        .with("sandboxes", &sandboxes.map(|n| (n.held, n.waiting)))
        .with("admitted", &admitted)
        .with("teams", &teams.values().filter(|label| !label.members.is_empty()).count())
        .render()
}
