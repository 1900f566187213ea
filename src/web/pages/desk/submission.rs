//! One submission for the organizer: what is true of it, its runs and logs, and what can be done.

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Form, Router};
use serde::{Deserialize, Serialize};

use super::submissions::true_state;
use crate::airlock::{Cleared, Organizer, Team as ForTeam, db as airlock_db, lane1};
use crate::audit::{self, Entry};
use crate::contest::db as contest_db;
use crate::demo::rights;
use crate::ids::{RunId, SubmissionId};
use crate::scoring::leaderboard::Scores;
use crate::scoring::predictions::FaultReport;
use crate::store::{Class, ObjectKey};
use crate::submission::model::{Origin, Run, Submission};
use crate::submission::{actions, db, queue, topic};
use crate::web::App;
use crate::web::error::PageError;
use crate::web::guard::User;
use crate::web::page::Frame;
use crate::web::pages::competition::hall::Hall;
use crate::web::pages::competition::probes;
use crate::web::pages::competition::stream;
use crate::web::pages::competition::submission::reason_key;

pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/competitions/{slug}/desk/submissions/{id}", get(show))
        .route("/competitions/{slug}/desk/submissions/{id}/log/{run}/{step}", get(log))
        .route("/competitions/{slug}/desk/submissions/{id}/probes/{run}", get(report))
        .route("/competitions/{slug}/desk/submissions/{id}/live", get(live))
        .route("/competitions/{slug}/desk/submissions/{id}/rerun", post(rerun))
        .route("/competitions/{slug}/desk/submissions/{id}/cancel", post(cancel))
        .route("/competitions/{slug}/desk/submissions/{id}/disqualify", post(disqualify))
        .route("/competitions/{slug}/desk/submissions/{id}/restore", post(restore))
}

async fn find(app: &App, frame: &Frame, slug: &str, id: &str) -> Result<(Hall, Submission), PageError> {
    let hall = Hall::enter_desk(app, frame, slug).await?;
    let id: SubmissionId = id.parse().map_err(|_| PageError::not_found())?;
    let found = db::by_id(&mut *app.db.read().await?, id).await?;
    let found = found.filter(|s| s.competition == hall.competition.id).ok_or_else(PageError::not_found)?;
    Ok((hall, found))
}

#[derive(Serialize)]
struct RunView {
    id: String,
    task: String,
    purpose: &'static str,
    state: &'static str,
    step: &'static str,
    attempt: i64,
    started_at: Option<jiff::Timestamp>,
    finished_at: Option<jiff::Timestamp>,
    prediction_end: Option<String>,
    scoring_end: Option<String>,
    fault: Option<String>,
    logs: Vec<&'static str>,
}

#[derive(Serialize)]
struct ToldView {
    at: jiff::Timestamp,
    task: String,
    rescored: bool,
    scores: Cleared<Scores, ForTeam>,
    bits: f64,
}

async fn show(
    frame: Frame,
    State(app): State<App>,
    Path((slug, id)): Path<(String, String)>,
) -> Result<Response, PageError> {
    let (hall, s) = find(&app, &frame, &slug, &id).await?;
    let mut conn = app.db.read().await?;
    let board = &hall.competition.definition.leaderboard;
    let row: lane1::Row<Organizer> = lane1::row_for_organizer(&mut conn, board, s.id).await?;
    let tasks = contest_db::tasks_of_phase(&mut conn, s.phase).await?;
    let task_name = |id: Option<crate::ids::TaskId>| {
        let task = tasks.iter().find(|task| Some(task.id) == id);
        task.map(|t| hall.named(&format!("tasks.{}", t.position), &t.definition.name).to_owned())
            .unwrap_or_default()
    };
    let all = queue::db::of_submission(&mut conn, s.id).await?;
    let reported: Vec<(Run, String)> =
        all.iter().filter(|r| r.report.is_some()).map(|r| (r.clone(), task_name(Some(r.task)))).collect();
    let runs: Vec<RunView> = all
        .into_iter()
        .map(|r| RunView {
            id: r.id.to_string(),
            task: task_name(Some(r.task)),
            purpose: r.purpose.as_str(),
            state: r.state.as_str(),
            step: r.step.as_str(),
            attempt: r.attempt,
            started_at: r.started_at,
            finished_at: r.finished_at,
            logs: [("prediction", &r.prediction_log), ("scoring", &r.scoring_log)]
                .into_iter()
                .filter_map(|(step, key)| key.as_ref().map(|_| step))
                .collect(),
            prediction_end: r.prediction_end,
            scoring_end: r.scoring_end,
            fault: r.fault,
        })
        .collect();
    let history: Vec<ToldView> = airlock_db::history(&mut conn, s.id)
        .await?
        .into_iter()
        .map(|told| ToldView {
            at: told.at,
            task: task_name(told.task),
            rescored: told.rescored,
            scores: told.scores,
            bits: told.bits,
        })
        .collect();
    let teams = app.boards.teams(&mut conn, hall.competition.id).await?;
    drop(conn);
    let address = format!("{}/desk/submissions/{}", hall.base(), s.id);
    let mut probed = Vec::new();
    for (run, task) in &reported {
        probed.extend(probes::view(&app, run, (task.clone(), &address, frame.lang().tag())).await?);
    }
    let team = teams.get(&s.team);
    let report: Option<FaultReport> = s.reason.faults.clone().and_then(|f| serde_json::from_value(f).ok());
    let phase = hall.phases.iter().find(|p| p.id == s.phase);
    hall.page(&app, &frame, "desk/submission.html", "submissions")
        .await?
        .with("id", &s.id)
        .with("file_name", &s.file_name)
        .with("size", &s.size)
        .with("digest", &s.digest)
        .with("message", &s.message)
        .with("facts", &s.facts)
        .with("at", &s.created_at)
        .with("kind", &s.kind)
        .with("aim", &s.aim)
        .with("counts", &s.counts)
        .with("state", true_state(&s))
        .with("told", &s.disclosed_state)
        .with("release_at", &s.release_at)
        .with("reason", &s.reason.text)
        .with(
            "code",
            &(!s.reason.code.is_empty())
                .then(|| reason_key(&app.templates.words(), frame.lang(), &s.reason.code)),
        )
        .with("disqualified", &s.disqualified_at.map(|_| &s.disqualified_reason))
        .with("is_final", &s.state.is_final())
        .with("kept", &s.has_file())
        .with("outside", &(s.origin == Origin::Outside))
        .with("phase_name", &phase.map(|p| hall.phase_name(p)))
        .with("team", &team.map(|label| &label.name))
        .with("members", &team.map(|label| &label.members))
        .with("scores", &row.scores)
        .with("columns", &hall.columns())
        .with("public_columns", &hall.public_columns())
        .with("runs", &runs)
        .with("history", &history)
        .with("report", &report)
        .with("probes", &probed)
        .with("is_app", &rights::check_app(&s).is_ok())
        .render()
}

/// The submission's live events. Of a closed run there are none before its outcome is told.
async fn live(
    frame: Frame,
    State(app): State<App>,
    user: User,
    headers: HeaderMap,
    Path((slug, id)): Path<(String, String)>,
) -> Result<Response, PageError> {
    let (_, s) = find(&app, &frame, &slug, &id).await?;
    let who = user.actor.user.to_string();
    Ok(app.live.stream(&who, vec![topic(s.id)], &headers).await?.into_response())
}

/// A run's log. A sealed one is opened by the airlock, for organizers alone.
async fn log(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path((slug, id, run, step)): Path<(String, String, String, String)>,
) -> Result<Response, PageError> {
    let (hall, submission) = find(&app, &frame, &slug, &id).await?;
    let run: RunId = run.parse().map_err(|_| PageError::not_found())?;
    let run = queue::db::by_id(&mut *app.db.read().await?, run).await?;
    let run = run.filter(|r| r.submission == submission.id).ok_or_else(PageError::not_found)?;
    let key = match step.as_str() {
        "prediction" => run.prediction_log,
        "scoring" => run.scoring_log,
        _ => None,
    };
    let key: ObjectKey = key.ok_or_else(PageError::not_found)?.parse()?;
    let name = format!("{}-{step}.txt", run.id);
    let kind = "text/plain; charset=utf-8";
    if key.class() == Class::Plain {
        let bytes = app.house.objects.get_bytes(&key, lane1::LOG_SHOWN).await?;
        return Ok(stream::text(&name, kind, bytes));
    }
    // it may quote hidden data: who opened it is on record before it is shown
    let entry = Entry::new(app.clock.now(), (&user.actor).into(), "log.opened", ("run", run.id))
        .competition(hall.competition.id)
        .detail("submission", submission.id.to_string())
        .detail("step", step.as_str());
    let mut tx = app.db.begin().await?;
    audit::record(&mut tx, entry).await?;
    tx.commit().await?;
    let log = lane1::scoring_log_for_organizer(&app.house.objects, &key).await?;
    Ok(stream::text(&name, kind, log.get().clone()))
}

/// What came of a run's public probes. It quotes nothing hidden, so it is the organizer's as soon as it is there.
async fn report(
    frame: Frame,
    State(app): State<App>,
    Path((slug, id, run)): Path<(String, String, String)>,
) -> Result<Response, PageError> {
    let (_, submission) = find(&app, &frame, &slug, &id).await?;
    let run: RunId = run.parse().map_err(|_| PageError::not_found())?;
    let run = queue::db::by_id(&mut *app.db.read().await?, run).await?;
    let run = run.filter(|r| r.submission == submission.id).ok_or_else(PageError::not_found)?;
    Ok(probes::document(&app, &run).await?.0)
}

async fn rerun(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path((slug, id)): Path<(String, String)>,
) -> Result<Response, PageError> {
    let (hall, s) = find(&app, &frame, &slug, &id).await?;
    actions::run_again(&app.house, s.id, user.actor.user, queue::NORMAL).await?;
    Ok(frame.done(&format!("{}/desk/submissions/{}", hall.base(), s.id), "flash-rerun"))
}

async fn cancel(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path((slug, id)): Path<(String, String)>,
) -> Result<Response, PageError> {
    let (hall, s) = find(&app, &frame, &slug, &id).await?;
    actions::cancel(&app.house, s.id, user.actor.user).await?;
    Ok(frame.done(&format!("{}/desk/submissions/{}", hall.base(), s.id), "flash-cancelling"))
}

#[derive(Deserialize)]
struct Because {
    #[serde(default)]
    reason: String,
}

async fn disqualify(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path((slug, id)): Path<(String, String)>,
    Form(form): Form<Because>,
) -> Result<Response, PageError> {
    let (hall, s) = find(&app, &frame, &slug, &id).await?;
    actions::disqualify(&app.house, &hall.competition, s.id, user.actor.user, Some(&form.reason)).await?;
    Ok(frame.done(&format!("{}/desk/submissions/{}", hall.base(), s.id), "flash-disqualified"))
}

async fn restore(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path((slug, id)): Path<(String, String)>,
) -> Result<Response, PageError> {
    let (hall, s) = find(&app, &frame, &slug, &id).await?;
    actions::disqualify(&app.house, &hall.competition, s.id, user.actor.user, None).await?;
    Ok(frame.done(&format!("{}/desk/submissions/{}", hall.base(), s.id), "flash-restored"))
}
