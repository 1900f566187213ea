//! [`Hall`]: one visitor in one competition.

use axum::http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;

use super::apps;
use crate::airlock::{Cleared, Public, lane1};
use crate::contest::definition::{Column, EntryRules, FactQuestion, Sorting, Task};
use crate::contest::entry;
use crate::contest::model::{self, Competition, ParticipantState, Phase, PhaseTime, Registration, Team};
use crate::contest::{db as contest_db, terms_digest};
use crate::judging::entries;
use crate::judging::result::db as ranking;
use crate::lab::ask;
use crate::scoring::leaderboard::Scores;
use crate::store::Connection;
use crate::submission::quota::{self, Quota};
use crate::web::App;
use crate::web::error::PageError;
use crate::web::guard::LOGIN_NEEDED;
use crate::web::hosts;
use crate::web::lang::Lang;
use crate::web::page::{Frame, Page};

/// One visitor in one competition.
pub(in crate::web::pages) struct Hall {
    /// The competition.
    pub competition: Competition,
    /// Its phases in their order.
    pub phases: Vec<Phase>,
    /// Whether the visitor manages it.
    pub organizer: bool,
    /// Where the visitor's registration stands.
    pub registration: Option<Registration>,
    /// Digest of the terms as they are now.
    pub terms: String,
    /// The visitor's team.
    pub team: Option<Team>,
    /// Whether the visitor judges here.
    pub judges: bool,
    /// What it asks of entries; none where it has none.
    pub entries: Option<EntryRules>,
    /// The locale of names and pages: `zh` or `en`.
    pub locale: &'static str,
    /// When the request was looked at.
    pub now: Timestamp,
}

/// Whether a competition runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "season", content = "at", rename_all = "lowercase")]
pub(in crate::web::pages) enum Season {
    /// It begins then.
    Ahead(Timestamp),
    /// Now.
    Open,
    /// It ended then.
    Over(Timestamp),
}

/// A phase as pages show it.
#[derive(Clone, Debug, Serialize)]
pub(in crate::web::pages) struct PhaseView {
    /// Its place, counted from 0.
    pub position: i64,
    /// Its name in the page's language.
    pub name: String,
    /// Its description in the page's language.
    pub description: String,
    /// `past`, `now` or `next`.
    pub state: &'static str,
    /// When it begins.
    pub starts_at: Timestamp,
    /// When it ends, if it does.
    pub ends_at: Option<Timestamp>,
    /// Submissions a day; 0 is no limit.
    pub per_day: u32,
    /// Submissions in all; 0 is no limit.
    pub in_all: u32,
    /// Seconds each step may take.
    pub limit: u32,
    /// Whether code is refused.
    pub results_only: bool,
    /// Whether nothing but apps is taken.
    pub apps_only: bool,
    /// Its span on the timeline, in thousandths: from, width.
    pub span: (f64, f64),
}

/// A column as pages show it.
#[derive(Clone, Debug, Serialize)]
pub(in crate::web) struct ColumnView {
    /// Its key in the scores.
    pub key: String,
    /// Its title in the page's language.
    pub title: String,
    /// Decimals.
    pub precision: u32,
    /// Whether less is better.
    pub ascending: bool,
    /// Whether it decides first.
    pub primary: bool,
    /// Whether organizers alone see it.
    pub hidden: bool,
}

/// What every page of a competition shows at its head.
#[derive(Serialize)]
struct Head<'a> {
    slug: &'a str,
    title: &'a str,
    organiser: Option<&'a str>,
    published: bool,
    benchmark: bool,
    shared_step: bool,
    phases: Vec<PhaseView>,
    today: Option<f64>,
    current: Option<usize>,
    left_seconds: Option<i64>,
    begins_seconds: Option<i64>,
    over: bool,
    organizer: bool,
    state: Option<&'static str>,
    /// Why the visitor was refused or removed.
    refusal: Option<&'a str>,
    terms_due: bool,
    admitted: bool,
    may_submit: bool,
    team: Option<&'a str>,
    quota: Option<QuotaView>,
    best: Option<Cleared<Scores, Public>>,
    rank: Option<usize>,
    primary: Option<ColumnView>,
    board_shown: bool,
    /// Whether teams hand in entries.
    entries: bool,
    /// Whether the visitor judges here.
    judges: bool,
    /// Whether a jury's ranking is shown.
    judged: bool,
    /// Whether some entry is shown to visitors.
    showcase: bool,
    /// Whether participants can have one here.
    sandboxes: bool,
    /// Whether the competition offers them.
    offers_sandboxes: bool,
    /// Whether the visitor may open one now.
    may_open_sandbox: bool,
}

/// A quota as pages show it.
#[derive(Clone, Copy, Debug, Serialize)]
pub(in crate::web::pages) struct QuotaView {
    /// The numbers.
    #[serde(flatten)]
    pub quota: Quota,
    /// What may still be submitted today; none when there is no limit.
    pub left: Option<i64>,
}

impl From<Quota> for QuotaView {
    fn from(quota: Quota) -> Self {
        Self { left: quota.left_today(), quota }
    }
}

/// The tag of translations in bundles.
pub(in crate::web) fn locale(lang: Lang) -> &'static str {
    match lang {
        Lang::Zh => "zh",
        Lang::En => "en",
    }
}

fn column_view(competition: &Competition, locale: &str, column: &Column) -> ColumnView {
    let board = &competition.definition.leaderboard;
    ColumnView {
        key: column.key.clone(),
        title: competition.named(locale, &format!("columns.{}", column.key), &column.title).to_owned(),
        precision: column.precision.min(9),
        ascending: column.sorting == Sorting::Asc,
        primary: board.primary().is_some_and(|primary| primary.key == column.key),
        hidden: column.hidden || !lane1::visible(board).columns.iter().any(|c| c.key == column.key),
    }
}

/// The column that decides on a competition's board, where anybody may know of it.
pub(in crate::web::pages) fn primary_column(competition: &Competition, locale: &str) -> Option<ColumnView> {
    let primary = competition.definition.leaderboard.primary()?;
    Some(column_view(competition, locale, primary)).filter(|column| !column.hidden)
}

/// The title of a column in the page's language.
pub(in crate::web::pages) fn column_named(hall: &Hall, key: &str) -> String {
    let column = hall.public_columns().into_iter().find(|column| column.key == key);
    column.map_or_else(|| key.to_owned(), |column| column.title)
}

/// The columns of a competition's board that anybody may know of.
pub(in crate::web) fn public_columns(competition: &Competition, locale: &str) -> Vec<ColumnView> {
    let shown = lane1::visible(&competition.definition.leaderboard);
    shown.columns.iter().map(|column| column_view(competition, locale, column)).collect()
}

impl Hall {
    /// Looks up a competition for a visitor. A draft is there for its organizers alone.
    pub async fn enter(app: &App, frame: &Frame, slug: &str) -> Result<Self, PageError> {
        let mut conn = app.db.read().await?;
        let competition = contest_db::by_slug(&mut conn, slug).await?.ok_or_else(PageError::not_found)?;
        let organizer = frame.actor().is_some_and(|actor| actor.may_manage(competition.id));
        if competition.published_at.is_none() && !organizer {
            return Err(PageError::not_found());
        }
        let phases = contest_db::phases(&mut conn, competition.id).await?;
        let terms = terms_digest(&mut conn, &competition).await?;
        let (mut registration, mut team) = (None, None);
        if let Some(actor) = frame.actor() {
            registration = entry::db::registration(&mut conn, competition.id, actor.user).await?;
            team = entry::db::team_of(&mut conn, competition.id, actor.user).await?;
        }
        let entries = entries::rules(&mut conn, &competition).await?;
        let (locale, now) = (locale(frame.lang()), app.clock.now());
        let judges = frame.actor().is_some_and(|actor| actor.may_judge(competition.id));
        Ok(Self { competition, phases, organizer, registration, terms, team, judges, entries, locale, now })
    }

    /// The same, for those who manage the competition; it is not there for others.
    pub async fn enter_desk(app: &App, frame: &Frame, slug: &str) -> Result<Self, PageError> {
        let hall = Self::enter(app, frame, slug).await?;
        match (hall.organizer, frame.actor()) {
            (true, _) => Ok(hall),
            (false, Some(_)) => Err(PageError::forbidden()),
            (false, None) => Err(PageError::plain(StatusCode::UNAUTHORIZED, LOGIN_NEEDED)),
        }
    }

    /// The address of the competition.
    pub fn base(&self) -> String {
        format!("/competitions/{}", self.competition.slug)
    }

    /// Whether the visitor takes part now.
    pub fn admitted(&self) -> bool {
        self.registration.as_ref().is_some_and(|r| r.state == ParticipantState::Approved)
    }

    /// Whether the terms have to be accepted (again).
    pub fn terms_due(&self) -> bool {
        self.registration.as_ref().is_none_or(|r| r.terms != self.terms)
    }

    /// Whether the leaderboard is there for this visitor.
    pub fn sees_board(&self) -> bool {
        self.organizer || !self.competition.definition.leaderboard.hidden
    }

    /// The phase that pages are about: the open one, else the next, else the last.
    pub fn current(&self) -> Option<&Phase> {
        model::current(&self.phases, self.now)
    }

    /// The phase asked for, or the one that pages are about.
    pub fn phase(&self, wanted: Option<i64>) -> Result<&Phase, PageError> {
        let found = match wanted {
            Some(position) => self.phases.iter().find(|p| p.position == position),
            // a phase that is to come has nothing to show yet: the last one that began
            None => self.current(),
        };
        found.ok_or_else(PageError::not_found)
    }

    /// The phase whose board or submissions are worth showing when none is asked for: the open one,
    /// else the last that began.
    pub fn phase_begun(&self, wanted: Option<i64>) -> Result<&Phase, PageError> {
        if wanted.is_some() {
            return self.phase(wanted);
        }
        let open = self.phases.iter().find(|p| p.time(self.now) == PhaseTime::Open);
        let begun = self.phases.iter().rev().find(|p| p.time(self.now) != PhaseTime::Ahead);
        open.or(begun).or(self.phases.first()).ok_or_else(PageError::not_found)
    }

    /// A translated name, or the bundle's own.
    pub fn named<'a>(&'a self, key: &str, own: &'a str) -> &'a str {
        self.competition.named(self.locale, key, own)
    }

    /// A phase's name in the page's language.
    pub fn phase_name<'a>(&'a self, phase: &'a Phase) -> &'a str {
        self.named(&format!("phases.{}", phase.position), &phase.definition.name)
    }

    /// The phases with their places on the timeline.
    pub fn phase_views(&self) -> Vec<PhaseView> {
        let (from, length) = self.span();
        let share =
            |at: Timestamp| ((at.as_millisecond() - from) as f64 / length * 1000.0).clamp(0.0, 1000.0);
        let views = self.phases.iter().map(|phase| {
            let (start, end) = (share(phase.starts_at), phase.ends_at.map_or(1000.0, share));
            let description = format!("phases.{}.description", phase.position);
            PhaseView {
                position: phase.position,
                name: self.phase_name(phase).to_owned(),
                description: self.named(&description, &phase.definition.description).to_owned(),
                state: match phase.time(self.now) {
                    PhaseTime::Over => "past",
                    PhaseTime::Open => "now",
                    PhaseTime::Ahead => "next",
                },
                starts_at: phase.starts_at,
                ends_at: phase.ends_at,
                per_day: phase.definition.max_submissions_per_day,
                in_all: phase.definition.max_submissions,
                limit: phase.definition.execution_time_limit,
                results_only: phase.definition.accepts_only_result_submissions,
                apps_only: self.takes_apps_only(phase),
                span: (start, (end - start).max(2.0)),
            }
        });
        views.collect()
    }

    /// Whether each task of a phase takes apps.
    fn takes_apps_only(&self, phase: &Phase) -> bool {
        let tasks = &self.competition.definition.tasks;
        let wanted = &phase.definition.tasks;
        !wanted.is_empty()
            && wanted.iter().all(|index| tasks.iter().any(|task| task.index == *index && task.takes_apps()))
    }

    /// The timeline's beginning and length in milliseconds; an open end reaches a tenth past today.
    fn span(&self) -> (i64, f64) {
        let from = self.phases.first().map_or(0, |p| p.starts_at.as_millisecond());
        let last = self.phases.last().and_then(|p| p.ends_at).map(Timestamp::as_millisecond);
        let latest = self.phases.last().map_or(from, |p| p.starts_at.as_millisecond());
        let now = self.now.as_millisecond();
        let open_end = || now.max(latest) + (now.max(latest) - from) / 10 + 86_400_000;
        (from, (last.unwrap_or_else(open_end) - from).max(1) as f64)
    }

    /// Whether the competition as a whole runs, from its first phase's beginning to its last one's end.
    pub fn season(&self) -> Season {
        let begins = self.phases.first().map(|phase| phase.starts_at).filter(|at| *at > self.now);
        let ended = self.phases.last().and_then(|phase| phase.ends_at).filter(|at| *at <= self.now);
        match (begins, ended) {
            (_, Some(at)) => Season::Over(at),
            (Some(at), None) => Season::Ahead(at),
            (None, None) => Season::Open,
        }
    }

    /// Whether participants can have sandboxes here: they are offered, and some worker holds them.
    pub async fn has_sandboxes(&self, app: &App, conn: &mut Connection) -> Result<bool, PageError> {
        Ok(ask::is_offered(&self.competition) && !hosts::alive(app, conn).await?.is_empty())
    }

    /// Whether apps are handed in here.
    pub fn takes_apps(&self) -> bool {
        self.competition.definition.tasks.iter().any(Task::takes_apps)
    }

    /// Whether the competition is over and some team shows its entry, or lets visitors try its app.
    async fn has_showcase(&self, conn: &mut Connection) -> Result<bool, PageError> {
        if !matches!(self.season(), Season::Over(_)) {
            return Ok(false);
        }
        let entries =
            self.entries.is_some() && !entries::db::shown(conn, self.competition.id).await?.is_empty();
        Ok(entries || (self.takes_apps() && !apps::opened(conn, self).await?.is_empty()))
    }

    /// The columns this visitor may know of.
    pub fn columns(&self) -> Vec<ColumnView> {
        let board = &self.competition.definition.leaderboard;
        let shown = if self.organizer { board.clone() } else { lane1::visible(board) };
        shown.columns.iter().map(|c| column_view(&self.competition, self.locale, c)).collect()
    }

    /// The columns anybody may know of.
    pub fn public_columns(&self) -> Vec<ColumnView> {
        public_columns(&self.competition, self.locale)
    }

    /// The fact-sheet questions whose answers stand on the board.
    pub fn board_questions(&self) -> Vec<&FactQuestion> {
        self.competition.definition.fact_sheet.iter().filter(|q| q.is_on_leaderboard).collect()
    }

    /// Begins a page of the competition; `tab` is the one it stands under.
    pub async fn page<'a>(
        &self,
        app: &App,
        frame: &'a Frame,
        template: &'static str,
        tab: &'static str,
    ) -> Result<Page<'a>, PageError> {
        let head = self.head(app).await?;
        Ok(frame.page(template).with("c", &head).with("tab", tab))
    }

    async fn head(&self, app: &App) -> Result<Head<'_>, PageError> {
        let mut conn = app.db.read().await?;
        let d = &self.competition.definition;
        let current = self.current();
        let seconds = |at: Timestamp| at.duration_since(self.now).as_secs();
        let open = current.filter(|p| p.time(self.now) == PhaseTime::Open);
        let ahead = current.filter(|p| p.time(self.now) == PhaseTime::Ahead);
        let (mut quota, mut best, mut rank) = (None, None, None);
        if let Some(phase) = current.filter(|_| self.admitted()) {
            quota = Some(self.quota(&mut conn, phase).await?);
        }
        if let (Some(team), true) = (&self.team, self.sees_board()) {
            let phase = self.phase_begun(None)?;
            let board = app.boards.board(&mut conn, phase, &d.leaderboard).await?;
            best = board.best_row(team.id).map(|row| row.scores.clone());
            rank = board.best_rank(team.id);
        }
        let offers_sandboxes = ask::is_offered(&self.competition);
        let sandboxes = self.has_sandboxes(app, &mut conn).await?;
        let may_enter = self.admitted() && !self.terms_due();
        let (from, length) = self.span();
        let today = (self.now.as_millisecond() - from) as f64 / length * 1000.0;
        Ok(Head {
            slug: &self.competition.slug,
            title: self.competition.title(self.locale),
            organiser: d.organiser.as_deref(),
            published: self.competition.published_at.is_some(),
            benchmark: d.competition_type == crate::contest::definition::CompetitionType::Benchmark,
            shared_step: d.tasks.iter().any(|task| task.ingestion_only_during_scoring),
            phases: self.phase_views(),
            today: (0.0..=1000.0).contains(&today).then_some(today),
            current: current.and_then(|p| usize::try_from(p.position).ok()),
            left_seconds: open.and_then(|p| p.ends_at).map(seconds),
            begins_seconds: ahead.map(|p| seconds(p.starts_at)),
            over: matches!(self.season(), Season::Over(_)),
            organizer: self.organizer,
            state: self.registration.as_ref().map(|r| r.state.as_str()),
            refusal: self.registration.as_ref().and_then(Registration::refusal),
            terms_due: self.terms_due(),
            admitted: self.admitted(),
            may_submit: may_enter && open.is_some(),
            team: self.team.as_ref().map(|team| team.name.as_str()),
            quota,
            best,
            rank,
            primary: primary_column(&self.competition, self.locale),
            board_shown: self.sees_board(),
            entries: self.entries.is_some(),
            judges: self.judges,
            judged: ranking::any_published(&mut conn, self.competition.id).await?,
            showcase: self.has_showcase(&mut conn).await?,
            sandboxes,
            offers_sandboxes,
            may_open_sandbox: sandboxes && may_enter && self.season() == Season::Open,
        })
    }

    /// What the visitor's team may still submit to a phase; someone without a team has used nothing.
    pub async fn quota(&self, conn: &mut Connection, phase: &Phase) -> Result<QuotaView, PageError> {
        let d = &phase.definition;
        let quota = match &self.team {
            Some(team) => quota::quota(conn, phase, team.id, self.now).await?,
            None => Quota {
                per_day: i64::from(d.max_submissions_per_day),
                used_today: 0,
                in_all: i64::from(d.max_submissions),
                used: 0,
            },
        };
        Ok(quota.into())
    }
}
