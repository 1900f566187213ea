//! One submission, for its team: state, steps, result, faults, logs, and what can be done to it.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Form, Router};
use serde::{Deserialize, Serialize};

use super::faults;
use super::hall::Hall;
use super::probes;
use super::stream::{self, As};
use super::submissions::{item, team_chooses, team_nominates};
use crate::contest::db as contest_db;
use crate::contest::entry;
use crate::contest::model::{Phase, PhaseTime, Task};
use crate::ids::{RunId, SubmissionId};
use crate::lab::shown;
use crate::store::{Class, ObjectKey};
use crate::submission::actions::ActionError;
use crate::submission::book::Book;
use crate::submission::model::{Origin, Run, RunState, State as Told, Submission};
use crate::submission::{actions, db, queue, topic};
use crate::web::App;
use crate::web::error::PageError;
use crate::web::findings::FindingView;
use crate::web::guard::User;
use crate::web::lang::Lang;
use crate::web::page::Frame;
use crate::web::words::Words;

/// The most of a log that is shown on the page, in bytes; all of it can be downloaded.
const LOG_SHOWN: u64 = 256 << 10;
/// Lines of a log that stand unfolded: its end, where the traceback's last frame is.
const LAST_LINES: usize = 12;

pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/competitions/{slug}/submissions/{id}", get(show))
        .route("/competitions/{slug}/submissions/{id}/live", get(live))
        .route("/competitions/{slug}/submissions/{id}/file", get(file))
        .route("/competitions/{slug}/submissions/{id}/log/{run}/{step}", get(log))
        .route("/competitions/{slug}/submissions/{id}/cancel", post(cancel))
        .route("/competitions/{slug}/submissions/{id}/nominate", post(nominate))
        .route("/competitions/{slug}/submissions/{id}/choose", post(choose))
        .route("/competitions/{slug}/submissions/{id}/publish", post(publish))
}

/// A submission with where it belongs, for somebody who may see it.
pub(super) struct Seen {
    pub hall: Hall,
    pub submission: Submission,
    pub phase: Phase,
    tasks: Vec<Task>,
    pub(super) runs: Vec<Run>,
}

impl Seen {
    /// The visitor's own team's submission. Anybody else's is not there.
    pub async fn own(app: &App, frame: &Frame, slug: &str, id: &str) -> Result<Self, PageError> {
        let seen = Self::any(app, frame, slug, id).await?;
        match &seen.hall.team {
            Some(team) if team.id == seen.submission.team => Ok(seen),
            _ => Err(PageError::not_found()),
        }
    }

    async fn any(app: &App, frame: &Frame, slug: &str, id: &str) -> Result<Self, PageError> {
        let id: SubmissionId = id.parse().map_err(|_| PageError::not_found())?;
        let hall = Hall::enter(app, frame, slug).await?;
        let mut conn = app.db.read().await?;
        let submission = db::by_id(&mut conn, id).await?.ok_or_else(PageError::not_found)?;
        if submission.competition != hall.competition.id {
            return Err(PageError::not_found());
        }
        let phase = contest_db::phase_by_id(&mut conn, submission.phase).await?;
        let phase = phase.ok_or_else(PageError::not_found)?;
        let tasks = contest_db::tasks_of_phase(&mut conn, phase.id).await?;
        let runs = queue::db::of_submission(&mut conn, submission.id).await?;
        Ok(Self { hall, submission, phase, tasks, runs })
    }

    /// Counts what its team is shown of it.
    pub async fn count(&self, app: &App, bytes: u64) -> Result<(), PageError> {
        Ok(shown::count(&app.house, app.keeper.as_ref(), &self.submission, bytes).await?)
    }

    pub(super) fn address(&self) -> String {
        format!("{}/submissions/{}", self.hall.base(), self.submission.id)
    }

    /// What its team may read.
    pub(super) fn book(&self) -> Book<'_> {
        let Self { submission, phase, tasks, runs, .. } = self;
        Book { submission, phase, tasks, runs }
    }

    pub(super) fn task_name(&self, run: &Run) -> String {
        let task = self.tasks.iter().find(|task| task.id == run.task);
        task.map(|t| self.hall.named(&format!("tasks.{}", t.position), &t.definition.name).to_owned())
            .unwrap_or_default()
    }

    /// The plain logs of a run that its team may read: (step, object).
    fn logs(&self, run: &Run) -> Vec<(&'static str, ObjectKey)> {
        let d = &self.phase.definition;
        if !self.book().is_open(run) || d.hide_output {
            return Vec::new();
        }
        let on_twin = run.purpose.is_on_twin();
        let prediction = run.prediction_log.as_ref().filter(|_| !d.hide_prediction_output);
        // what a scorer prints is for the team only where the reference is the twin's
        let scoring = run.scoring_log.as_ref().filter(|_| on_twin && !d.hide_score_output);
        let both = [("prediction", prediction), ("scoring", scoring)];
        let plain = |(step, key): (&'static str, Option<&String>)| {
            let key: ObjectKey = key?.parse().ok()?;
            (key.class() == Class::Plain).then_some((step, key))
        };
        both.into_iter().filter_map(plain).collect()
    }
}

/// A run as its team sees it.
#[derive(Serialize)]
struct RunView {
    id: String,
    task: String,
    purpose: &'static str,
    state: &'static str,
    step: &'static str,
    seconds: Option<i64>,
    end: Option<String>,
    logs: Vec<LogView>,
}

/// A log on the page: its end stands unfolded.
#[derive(Serialize)]
struct LogView {
    step: &'static str,
    href: String,
    size: u64,
    before: String,
    end: String,
    /// Bytes of it that are on the page.
    #[serde(skip)]
    shown: u64,
}

async fn read_log(app: &App, seen: &Seen, run: &Run) -> Result<Vec<LogView>, PageError> {
    use tokio::io::AsyncReadExt as _;

    let mut views = Vec::new();
    for (step, key) in seen.logs(run) {
        let reader = app.house.objects.get_stream(&key).await?;
        let size = reader.size();
        let mut bytes = Vec::new();
        if reader.take(LOG_SHOWN).read_to_end(&mut bytes).await.is_err() {
            continue;
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        let split = unfolded_from(&lines);
        views.push(LogView {
            step,
            href: format!("{}/log/{}/{step}", seen.address(), run.id),
            size,
            before: lines[..split].join("\n"),
            end: lines[split..].join("\n"),
            shown: bytes.len() as u64,
        });
    }
    Ok(views)
}

/// The line from which a log stands unfolded: the last frame of the last Python traceback, else the
/// last lines.
fn unfolded_from(lines: &[&str]) -> usize {
    let last = lines.len().saturating_sub(LAST_LINES);
    let traceback = lines.iter().rposition(|line| line.starts_with("Traceback (most recent call last)"));
    let Some(traceback) = traceback else { return last };
    let frame = lines[traceback..].iter().rposition(|line| line.trim_start().starts_with("File \""));
    frame.map_or(last, |frame| traceback + frame)
}

async fn run_views(app: &App, seen: &Seen) -> Result<Vec<RunView>, PageError> {
    let mut views = Vec::new();
    for run in seen.runs.iter().filter(|run| seen.book().is_open(run)) {
        let seconds = match (run.started_at, run.finished_at) {
            (Some(start), Some(end)) => Some(end.duration_since(start).as_secs()),
            _ => None,
        };
        // before anything is told of the outcome, a run that is over is still "scoring"
        let told = seen.submission.disclosed_state.is_final();
        let over = !matches!(run.state, RunState::Queued | RunState::Running);
        let state = if over && !told { RunState::Running } else { run.state };
        views.push(RunView {
            id: run.id.to_string(),
            task: seen.task_name(run),
            purpose: run.purpose.as_str(),
            state: state.as_str(),
            step: run.step.as_str(),
            seconds,
            end: run.prediction_end.clone(),
            logs: read_log(app, seen, run).await?,
        });
    }
    Ok(views)
}

async fn show(
    frame: Frame,
    State(app): State<App>,
    _: User,
    Path((slug, id)): Path<(String, String)>,
) -> Result<Response, PageError> {
    let seen = Seen::own(&app, &frame, &slug, &id).await?;
    let runs = run_views(&app, &seen).await?;
    let probes = probes::views(&app, &seen, frame.lang().tag()).await?;
    let logs: u64 = runs.iter().flat_map(|run| &run.logs).map(|log| log.shown).sum();
    let logs = logs + probes.iter().map(|probes| probes.shown).sum::<u64>();
    seen.count(&app, logs + shown::reason_bytes(&seen.submission.disclosed_reason)).await?;
    let (hall, submission) = (&seen.hall, &seen.submission);
    let d = &hall.competition.definition;
    let (mut view, place, before, rank, twin) = {
        let mut conn = app.db.read().await?;
        let members = entry::db::members(&mut conn, submission.team).await?;
        let view = item(&mut conn, hall, submission, &members).await?;
        let waiting = submission.shown_state() == Told::Queued;
        let place = if waiting { queue::place(&mut conn, &app.clock, submission.id).await? } else { None };
        // a trial is scored on other data: there is nothing to compare it with
        let before = if submission.competes() { best_before(&mut conn, &seen).await? } else { None };
        let mut rank = None;
        if hall.sees_board() {
            let board = app.boards.board(&mut conn, &seen.phase, &d.leaderboard).await?;
            rank = board.rank(submission.id);
        }
        let twin = on_twin(&mut conn, &d.leaderboard, submission).await?;
        (view, place, before, rank, twin)
    };
    view.rank = rank;
    view.code = reason_key(&app.templates.words(), frame.lang(), &view.code);
    let report = faults::of(submission);
    let findings: Vec<FindingView<'_>> = submission
        .disclosed_reason
        .findings
        .iter()
        .map(|finding| FindingView::of(&app, &frame, finding))
        .collect();
    let live = format!("{}/live", seen.address());
    let closes = seen.book().is_closed();
    let migrates = team_nominates(hall, &seen.phase);
    let costs = submission.started_at.is_some() && submission.counts;
    hall.page(&app, &frame, "competition/submission.html", "submissions")
        .await?
        .with("s", &view)
        .with("phase", &seen.phase.position)
        .with("phase_name", hall.phase_name(&seen.phase))
        .with("phase_open", &(seen.phase.time(hall.now) == PhaseTime::Open))
        .with("columns", &hall.public_columns())
        .with("runs", &runs)
        .with("probes", &probes)
        .with("closed", &(runs.is_empty() && closes))
        .with("place", &place)
        .with("before", &before)
        .with("twin", &twin)
        .with("report", &report)
        .with("findings", &findings)
        .with("live", &live)
        .with("cancel_costs", &costs)
        .with("stopping", &submission.cancel_requested_at.is_some())
        .with("migrates", &migrates)
        .with("finals", &d.finals_choose.unwrap_or(1))
        .with("chooses", &team_chooses(d.leaderboard.submission_rule))
        .with("rule_add", &(d.leaderboard.submission_rule == crate::contest::definition::SubmissionRule::Add))
        .with("may_publish", &d.can_participants_make_submissions_public)
        .with("answers", &answers(&seen))
        .render()
}

/// The kind of reason that has a text; the room's own words are shown beside it.
pub(in crate::web) fn reason_key(words: &Words, lang: Lang, code: &str) -> String {
    match code {
        code if words.has(lang, &format!("reason-{code}")) => code.to_owned(),
        code if code.starts_with("zip-") => "zip".to_owned(),
        _ => "other".to_owned(),
    }
}

/// The fact sheet as it was answered: (question, answer).
fn answers(seen: &Seen) -> Vec<(String, serde_json::Value)> {
    let sheet = &seen.hall.competition.definition.fact_sheet;
    let answer = |q: &crate::contest::definition::FactQuestion| {
        Some((q.title.clone(), seen.submission.facts.get(&q.key)?.clone()))
    };
    sheet.iter().filter_map(answer).collect()
}

/// The score on the twin of a submission that failed and whose failure was told.
async fn on_twin(
    conn: &mut crate::store::Connection,
    board: &crate::contest::definition::Leaderboard,
    submission: &Submission,
) -> Result<
    Option<crate::airlock::Cleared<crate::scoring::leaderboard::Scores, crate::airlock::Team>>,
    PageError,
> {
    if !submission.competes() || submission.disclosed_state != Told::Failed {
        return Ok(None);
    }
    let row = crate::airlock::lane1::row_on_twin(conn, board, submission.id).await?;
    Ok(Some(row.scores).filter(|scores| !scores.get().is_empty()))
}

/// The team's best finished submission to the phase before this one, as it was told.
async fn best_before(
    conn: &mut crate::store::Connection,
    seen: &Seen,
) -> Result<
    Option<crate::airlock::Cleared<crate::scoring::leaderboard::Scores, crate::airlock::Team>>,
    PageError,
> {
    use crate::scoring::leaderboard::compare;

    let board = &seen.hall.competition.definition.leaderboard;
    let ranking = board.ranking_columns();
    let mut best: Option<crate::airlock::Cleared<_, crate::airlock::Team>> = None;
    let others = db::of_team(conn, seen.phase.id, seen.submission.team).await?;
    let earlier = others.iter().filter(|s| {
        s.created_at < seen.submission.created_at
            && s.disclosed_state == Told::Finished
            && s.competes()
            && s.disqualified_at.is_none()
    });
    for other in earlier {
        let row = crate::airlock::lane1::row_for_team(conn, board, other.id).await?.scores;
        if best.as_ref().is_none_or(|b| compare(&ranking, row.get(), b.get()).is_lt()) {
            best = Some(row);
        }
    }
    Ok(best)
}

async fn live(
    frame: Frame,
    State(app): State<App>,
    user: User,
    headers: HeaderMap,
    Path((slug, id)): Path<(String, String)>,
) -> Result<Response, PageError> {
    let seen = Seen::own(&app, &frame, &slug, &id).await?;
    let who = user.actor.user.to_string();
    Ok(app.live.stream(&who, vec![topic(seen.submission.id)], &headers).await?.into_response())
}

/// The uploaded file, for its team; for everybody who takes part once the team made it public. What
/// came from inside a sandbox never goes out again.
async fn file(
    frame: Frame,
    State(app): State<App>,
    _: User,
    Path((slug, id)): Path<(String, String)>,
) -> Result<Response, PageError> {
    let seen = Seen::any(&app, &frame, &slug, &id).await?;
    let s = &seen.submission;
    let own = seen.hall.team.as_ref().is_some_and(|team| team.id == s.team);
    let published = s.is_public && s.disqualified_at.is_none() && s.disclosed_state == Told::Finished;
    if !(own || published || seen.hall.organizer) {
        return Err(PageError::not_found());
    }
    if s.origin == Origin::Sandbox {
        return Err(PageError::plain(StatusCode::FORBIDDEN, "from-sandbox"));
    }
    if !s.has_file() {
        return Err(ActionError::FileGone.into());
    }
    stream::object(&app, &s.object_key, As::Download(&s.file_name)).await
}

async fn log(
    frame: Frame,
    State(app): State<App>,
    _: User,
    Path((slug, id, run, step)): Path<(String, String, String, String)>,
) -> Result<Response, PageError> {
    let seen = Seen::own(&app, &frame, &slug, &id).await?;
    let run: RunId = run.parse().map_err(|_| PageError::not_found())?;
    let run = seen.runs.iter().find(|r| r.id == run).ok_or_else(PageError::not_found)?;
    let found = seen.logs(run).into_iter().find(|(name, _)| *name == step);
    let (step, key) = found.ok_or_else(PageError::not_found)?;
    let name = format!("{}-{step}.txt", run.id);
    let bytes = app.house.objects.get_stream(&key).await?.size();
    seen.count(&app, bytes).await?;
    stream::object(&app, key.as_str(), As::Download(&name)).await
}

async fn cancel(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path((slug, id)): Path<(String, String)>,
) -> Result<Response, PageError> {
    let seen = Seen::own(&app, &frame, &slug, &id).await?;
    let state = actions::cancel(&app.house, seen.submission.id, user.actor.user).await?;
    let key = if state == Told::Cancelled { "flash-cancelled" } else { "flash-cancelling" };
    Ok(frame.done(&seen.address(), key))
}

/// A switch: on or off.
#[derive(Deserialize)]
struct Switch {
    on: String,
    /// `list` to go back to the list, not to the submission.
    #[serde(default)]
    back: String,
}

async fn nominate(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path((slug, id)): Path<(String, String)>,
    Form(form): Form<Switch>,
) -> Result<Response, PageError> {
    let seen = Seen::own(&app, &frame, &slug, &id).await?;
    let on = form.on == "yes";
    actions::nominate(&app.house, &seen.hall.competition, seen.submission.id, user.actor.user, on).await?;
    let list = format!("{}/submissions?phase={}", seen.hall.base(), seen.phase.position);
    let back = if form.back == "list" { list } else { seen.address() };
    Ok(frame.done(&back, if on { "flash-nominated" } else { "flash-nomination-withdrawn" }))
}

async fn choose(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path((slug, id)): Path<(String, String)>,
    Form(form): Form<Switch>,
) -> Result<Response, PageError> {
    let seen = Seen::own(&app, &frame, &slug, &id).await?;
    let on = form.on == "yes";
    actions::choose(&app.house, &seen.hall.competition, seen.submission.id, user.actor.user, on).await?;
    Ok(frame.done(&seen.address(), if on { "flash-on-board" } else { "flash-off-board" }))
}

async fn publish(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path((slug, id)): Path<(String, String)>,
    Form(form): Form<Switch>,
) -> Result<Response, PageError> {
    let seen = Seen::own(&app, &frame, &slug, &id).await?;
    let on = form.on == "yes";
    actions::publish(&app.house, &seen.hall.competition, seen.submission.id, user.actor.user, on).await?;
    Ok(frame.done(&seen.address(), if on { "flash-made-public" } else { "flash-made-private" }))
}

#[cfg(test)]
mod tests {
    use super::unfolded_from;

    #[test]
    fn the_last_frame_of_the_last_traceback_stands_unfolded() {
        let log = [
            "start",
            "Traceback (most recent call last):",
            "  File \"main.py\", line 3, in <module>",
            "    go()",
            "  File \"main.py\", line 1, in go",
            "    1 / 0",
            "ZeroDivisionError: division by zero",
        ];
        assert_eq!(unfolded_from(&log), 4);
        assert_eq!(unfolded_from(&["a", "b"]), 0);
        let many: Vec<&str> = std::iter::repeat_n("x", 100).collect();
        assert_eq!(unfolded_from(&many), 88);
    }
}
