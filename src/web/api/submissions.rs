//! Submissions as their teams see them: what is told, never what is true before its time.

use std::collections::BTreeMap;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use tokio_util::io::ReaderStream;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::Time;
use super::ask::{Answer, Asked, Here, Refusal, Theirs};
use super::files::attachment;
use crate::airlock::lane1;
use crate::airlock::{Audience, Cleared, Team};
use crate::contest::db as contest_db;
use crate::contest::entry::db as entry_db;
use crate::contest::model::{Competition, Phase, Task};
use crate::ids::SubmissionId;
use crate::lab::shown;
use crate::scoring::leaderboard::Scores;
use crate::scoring::predictions::FaultReport;
use crate::store::{Connection, ObjectKey};
use crate::submission::actions::ActionError;
use crate::submission::model::{Aim, Kind, Origin, Run, RunState, State as Stage, Submission};
use crate::submission::{actions, db as submission_db, queue, topic};
use crate::web::App;
use crate::web::error::Problem;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(one))
        .routes(routes!(cancel))
        .routes(routes!(nominate, withdraw))
        .routes(routes!(choose, unchoose))
        .routes(routes!(file))
        .routes(routes!(events))
}

/// Where a submission or one of its runs stands.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes the words; the submission room holds them")]
pub(super) enum Status {
    /// Stored, waiting for the organizer to start it.
    Uploaded,
    /// Waiting for a worker.
    Queued,
    /// Under way.
    Running,
    /// Scored.
    Finished,
    /// Refused for reasons that are public; costs no quota.
    Rejected,
    /// The program or the scoring failed.
    Failed,
    /// Stopped.
    Cancelled,
    /// Taken; no outcome is told because the budget of answers is spent.
    Received,
}

/// A submission, as its team is told of it.
#[derive(Serialize, ToSchema)]
pub(super) struct SubmissionView {
    /// Its id.
    #[schema(example = "01976c6e-0c1f-7d2a-9a52-7c44ad3f0b11")]
    pub id: Uuid,
    /// The competition's short name.
    #[schema(example = "flight-delay")]
    pub competition: String,
    /// The phase, counted from 0.
    #[schema(example = 0)]
    pub phase: i64,
    /// Its team.
    pub team: TeamName,
    /// Where it stands. What happens on hidden data is told at set times, so this may lag behind.
    #[schema(value_type = Status, example = "finished")]
    pub status: Stage,
    /// Scores by column, with six decimals; empty until it is finished. Hidden columns are never here.
    #[serde(serialize_with = "or_empty")]
    #[schema(value_type = BTreeMap<String, f64>, example = json!({ "rmse": 38.214075 }))]
    pub scores: Option<Cleared<Scores, Team>>,
    /// Scores on the task's public twin, by column, when it failed on hidden input and ran there since;
    /// they count nowhere.
    #[schema(value_type = Option<BTreeMap<String, f64>>)]
    pub twin_scores: Option<Cleared<Scores, Team>>,
    /// Whether it is better than all the team's earlier ones in the phase; null until that is known.
    #[schema(example = true)]
    pub improved: Option<bool>,
    /// Why it was rejected, failed or was stopped; null when there is nothing to say.
    pub reason: Option<ReasonView>,
    /// Its place in the queue; null when it does not wait.
    pub queue: Option<QueuePlace>,
    /// Its runs, one for each task of the phase.
    pub tasks: Vec<TaskRun>,
    /// The uploaded file's name.
    #[schema(example = "predictions.csv")]
    pub file_name: String,
    /// The file's size in bytes.
    #[schema(example = 1048576)]
    pub size: u64,
    /// Whether the file is still kept: those of rejected submissions are for some days.
    pub kept: bool,
    /// The file's SM3 digest, in hexadecimal.
    pub digest: String,
    /// `unknown` until it is over, then `result` or `code`.
    #[schema(value_type = String, example = "result")]
    pub kind: Kind,
    /// Whether it is a trial run on the public twin.
    pub trial: bool,
    /// The team's own note.
    pub message: String,
    /// Answers to the fact sheet.
    #[schema(value_type = Object)]
    pub facts: BTreeMap<String, Value>,
    /// When it was handed in.
    pub created_at: Time,
    /// When its first run began.
    pub started_at: Option<Time>,
    /// When its last run ended; null for code on hidden input, whose exact end is not told.
    pub finished_at: Option<Time>,
    /// Whether it counts against the quota.
    pub counts: bool,
    /// Whether the team put it on the board (rules Add…).
    pub chosen: bool,
    /// Whether the team nominated it for the next phase.
    pub nominated: bool,
    /// Why an organizer took it off the board; null when none did.
    pub disqualified: Option<String>,
}

/// A team by id and name.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct TeamName {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    #[schema(example = "北斗")]
    pub name: String,
}

/// Why a submission was rejected, failed or was stopped.
#[derive(Serialize, ToSchema)]
pub(super) struct ReasonView {
    /// A stable word.
    #[schema(example = "faults")]
    pub code: String,
    /// What happened and how to mend it.
    pub text: String,
    /// The faults of a result file; null when there are none to list.
    #[schema(value_type = Option<FaultReport>)]
    pub faults: Option<Value>,
}

/// A place in the queue.
#[derive(Serialize, ToSchema)]
pub(super) struct QueuePlace {
    /// Runs that are ahead, as far as can be foreseen.
    #[schema(example = 3)]
    pub ahead: i64,
    /// The expected wait in seconds.
    #[schema(example = 12)]
    pub expected_seconds: i64,
}

/// A submission's run on one task.
#[derive(Serialize, ToSchema)]
pub(super) struct TaskRun {
    /// The task's index.
    #[schema(example = 0)]
    pub index: i64,
    /// Where it stands, as told.
    #[schema(value_type = Status, example = "finished")]
    pub status: &'static str,
    /// Scores by column, with six decimals; empty until they are told.
    #[serde(serialize_with = "or_empty")]
    #[schema(value_type = BTreeMap<String, f64>, example = json!({ "rmse": 38.214075 }))]
    pub scores: Option<Cleared<Scores, Team>>,
}

/// Scores, or `{}` when there are none to tell.
pub(super) fn or_empty<A: Audience, S: Serializer>(
    scores: &Option<Cleared<Scores, A>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match scores {
        Some(scores) => scores.serialize(serializer),
        None => BTreeMap::<&str, f64>::new().serialize(serializer),
    }
}

/// Whether a submission ran, or runs, where nothing but its outcome may be told: what its runs were
/// when they ran, not what today's bundle says.
fn is_closed(runs: &[Run]) -> bool {
    runs.iter().any(|run| run.closed)
}

/// The disclosed state, in which a begun run is told at once: its start derives from nothing hidden.
fn status(submission: &Submission, waits: bool) -> Stage {
    let begun = submission.started_at.is_some() && !waits;
    match submission.disclosed_state {
        Stage::Queued if begun => Stage::Running,
        told => told,
    }
}

/// Everything its team is told of a submission.
pub(super) async fn describe(app: &App, theirs: &Theirs) -> Answer<SubmissionView> {
    let Theirs { here, phase, submission: s } = theirs;
    let mut conn = app.db.read().await?;
    let board = &here.competition.definition.leaderboard;
    let improved = lane1::improvements(&mut conn, board, phase.id, s.team).await?;
    let view = view(app, &mut conn, (&here.competition, phase, &improved), s).await?;
    drop(conn);
    if !here.is_organizer() {
        count_shown(app, s).await?;
    }
    Ok(view)
}

/// Counts what a team is told of its submission, where it was handed in from inside a sandbox.
async fn count_shown(app: &App, s: &Submission) -> Answer<()> {
    Ok(shown::count(&app.house, app.keeper.as_ref(), s, shown::reason_bytes(&s.disclosed_reason)).await?)
}

async fn view(
    app: &App,
    conn: &mut Connection,
    (competition, phase, improved): (&Competition, &Phase, &[SubmissionId]),
    s: &Submission,
) -> Answer<SubmissionView> {
    let finished = s.disclosed_state == Stage::Finished;
    let board = &competition.definition.leaderboard;
    let row = match (finished, s.aim == Aim::Trial) {
        (false, _) => None,
        (true, true) => Some(lane1::twin_for_team(conn, board, s.id).await?),
        (true, false) => Some(lane1::row_for_team(conn, board, s.id).await?),
    };
    let twin = match s.disclosed_state == Stage::Failed && s.competes() {
        true => Some(lane1::row_on_twin(conn, board, s.id).await?.scores),
        false => None,
    };
    let tasks = contest_db::tasks_of_phase(conn, phase.id).await?;
    let runs = queue::db::of_submission(conn, s.id).await?;
    // which of a closed submission's runs still wait tells when the others ended, and a waiting twin
    // tells of a failure: once it has begun, it runs until its outcome is told
    let untold = s.state.is_final() || (s.started_at.is_some() && is_closed(&runs));
    let place = match s.disclosed_state {
        Stage::Queued if !untold => queue::place(conn, &app.clock, s.id).await?,
        _ => None,
    };
    let under_way = runs.iter().any(|run| run.state == RunState::Running);
    let told = status(s, place.is_some() && !under_way);
    let team = entry_db::team_by_id(conn, s.team).await?.ok_or_else(Refusal::not_found)?;
    let ranked = finished && s.competes() && s.disqualified_at.is_none();
    let task_runs = tasks.iter().map(|task| TaskRun {
        index: task.definition.index,
        status: task_status(s, told, task, &runs),
        scores: row.as_ref().and_then(|row| {
            row.tasks.iter().find(|(id, _)| *id == Some(task.id)).map(|(_, scores)| scores.clone())
        }),
    });
    Ok(SubmissionView {
        id: s.id.0,
        competition: competition.slug.clone(),
        phase: phase.position,
        team: TeamName { id: team.id.0, name: team.name },
        status: told,
        improved: ranked.then(|| improved.contains(&s.id)),
        reason: reason(s),
        queue: place.map(|p| QueuePlace { ahead: p.ahead, expected_seconds: p.expected_seconds }),
        tasks: task_runs.collect(),
        scores: row.map(|row| row.scores),
        twin_scores: twin.filter(|scores| !scores.get().is_empty()),
        file_name: s.file_name.clone(),
        size: s.size,
        kept: s.has_file(),
        digest: s.digest.clone(),
        // both are found out when a run ends, so they wait for the outcome to be told
        kind: if told.is_final() { s.kind } else { Kind::Unknown },
        trial: s.aim == Aim::Trial,
        message: s.message.clone(),
        facts: s.facts.clone(),
        created_at: Time(s.created_at),
        started_at: s.started_at.map(Time),
        finished_at: s.finished_at.filter(|_| !is_closed(&runs) && told.is_final()).map(Time),
        counts: s.counts || !told.is_final(),
        chosen: s.chosen,
        nominated: s.nominated_at.is_some(),
        disqualified: s.disqualified_at.map(|_| s.disqualified_reason.clone()),
    })
}

fn reason(s: &Submission) -> Option<ReasonView> {
    let told = &s.disclosed_reason;
    (!told.code.is_empty() || !told.text.is_empty()).then(|| ReasonView {
        code: told.code.clone(),
        text: told.text.clone(),
        faults: told.faults.clone(),
    })
}

/// Where a task's run stands: its own end once the outcome is told, before that what is told of all.
fn task_status(s: &Submission, told: Stage, task: &Task, runs: &[Run]) -> &'static str {
    let of_task = |run: &&Run| run.task == task.id && run.purpose.is_asked_for();
    match runs.iter().rev().find(of_task) {
        Some(run) if s.disclosed_state.is_final() && !told_as_received(told) => run.state.as_str(),
        _ => told.as_str(),
    }
}

fn told_as_received(told: Stage) -> bool {
    told == Stage::Received
}

/// Which of the team's submissions.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct OwnFilter {
    /// One phase, counted from 0; all phases when absent.
    #[param(example = 0)]
    phase: Option<i64>,
    /// How many, 1 to 200; 50 when absent.
    limit: Option<usize>,
    /// How many to skip.
    offset: Option<usize>,
}

/// One page of a team's submissions.
#[derive(Serialize, ToSchema)]
pub(super) struct SubmissionList {
    /// The submissions, the newest first.
    pub items: Vec<SubmissionView>,
    /// How many there are in all.
    #[schema(example = 7)]
    pub total: usize,
}

/// The submissions of the asker's own team.
#[utoipa::path(
    get, path = "/competitions/{slug}/submissions", tag = "submissions", security(("token" = [])),
    params(("slug" = String, Path, description = "the competition's short name"), OwnFilter),
    responses((status = 200, body = SubmissionList))
)]
async fn list(
    State(app): State<App>,
    here: Here,
    Asked(filter): Asked<OwnFilter>,
) -> Answer<Json<SubmissionList>> {
    here.person()?;
    let Some(team) = here.team(&app).await? else {
        return Ok(Json(SubmissionList { items: Vec::new(), total: 0 }));
    };
    let mut conn = app.db.read().await?;
    let phases = contest_db::phases(&mut conn, here.competition.id).await?;
    let mut all = Vec::new();
    for (place, phase) in phases.iter().enumerate() {
        if filter.phase.is_none_or(|wanted| wanted == phase.position) {
            let own = submission_db::of_team(&mut conn, phase.id, team).await?;
            all.extend(own.into_iter().map(|submission| (place, submission)));
        }
    }
    all.sort_by(|(_, a), (_, b)| b.created_at.cmp(&a.created_at).then(b.id.cmp(&a.id)));
    let board = &here.competition.definition.leaderboard;
    let mut improved = Vec::new();
    for phase in &phases {
        improved.push(lane1::improvements(&mut conn, board, phase.id, team).await?);
    }
    let total = all.len();
    let limit = filter.limit.unwrap_or(50).clamp(1, 200);
    let mut items = Vec::new();
    let asked = || all.iter().skip(filter.offset.unwrap_or(0)).take(limit);
    for (place, submission) in asked() {
        let about = (&here.competition, &phases[*place], improved[*place].as_slice());
        items.push(view(&app, &mut conn, about, submission).await?);
    }
    drop(conn);
    for (_, submission) in asked() {
        count_shown(&app, submission).await?;
    }
    Ok(Json(SubmissionList { items, total }))
}

/// One submission of the asker's own team.
///
/// Somebody else's is answered as if it were not there. Poll it, or listen to its events.
#[utoipa::path(
    get, path = "/submissions/{id}", tag = "submissions", security(("token" = [])),
    params(("id" = Uuid, Path, description = "the submission")),
    responses((status = 200, body = SubmissionView))
)]
async fn one(State(app): State<App>, theirs: Theirs) -> Answer<Json<SubmissionView>> {
    Ok(Json(describe(&app, &theirs).await?))
}

/// Stop a submission.
///
/// Before its start that gives the quota back; a run under way is stopped within seconds and stays
/// counted.
#[utoipa::path(
    post, path = "/submissions/{id}/cancel", tag = "submissions", security(("token" = [])),
    params(("id" = Uuid, Path, description = "the submission")),
    responses((status = 200, body = SubmissionView))
)]
async fn cancel(State(app): State<App>, theirs: Theirs) -> Answer<Json<SubmissionView>> {
    let user = match theirs.here.is_organizer() {
        true => theirs.here.person()?.user,
        false => theirs.member(&app).await?.user,
    };
    actions::cancel(&app.house, theirs.submission.id, user).await?;
    Ok(Json(describe(&app, &theirs.again(&app).await?).await?))
}

async fn nominated(app: &App, theirs: Theirs, wanted: bool) -> Answer<Json<SubmissionView>> {
    let user = theirs.member(app).await?.user;
    actions::nominate(&app.house, &theirs.here.competition, theirs.submission.id, user, wanted).await?;
    Ok(Json(describe(app, &theirs.again(app).await?).await?))
}

async fn chosen(app: &App, theirs: Theirs, wanted: bool) -> Answer<Json<SubmissionView>> {
    let user = theirs.member(app).await?.user;
    actions::choose(&app.house, &theirs.here.competition, theirs.submission.id, user, wanted).await?;
    Ok(Json(describe(app, &theirs.again(app).await?).await?))
}

/// Nominate a finished submission for the next phase.
#[utoipa::path(
    put, path = "/submissions/{id}/nomination", tag = "submissions", security(("token" = [])),
    params(("id" = Uuid, Path, description = "the submission")),
    responses((status = 200, body = SubmissionView))
)]
async fn nominate(State(app): State<App>, theirs: Theirs) -> Answer<Json<SubmissionView>> {
    nominated(&app, theirs, true).await
}

/// Take a nomination back.
#[utoipa::path(
    delete, path = "/submissions/{id}/nomination", tag = "submissions", security(("token" = [])),
    params(("id" = Uuid, Path, description = "the submission")),
    responses((status = 200, body = SubmissionView))
)]
async fn withdraw(State(app): State<App>, theirs: Theirs) -> Answer<Json<SubmissionView>> {
    nominated(&app, theirs, false).await
}

/// Put a finished submission on the leaderboard, where the rule leaves that to the team.
#[utoipa::path(
    put, path = "/submissions/{id}/choice", tag = "submissions", security(("token" = [])),
    params(("id" = Uuid, Path, description = "the submission")),
    responses((status = 200, body = SubmissionView))
)]
async fn choose(State(app): State<App>, theirs: Theirs) -> Answer<Json<SubmissionView>> {
    chosen(&app, theirs, true).await
}

/// Take a submission off the leaderboard, where the rule leaves that to the team.
#[utoipa::path(
    delete, path = "/submissions/{id}/choice", tag = "submissions", security(("token" = [])),
    params(("id" = Uuid, Path, description = "the submission")),
    responses((status = 200, body = SubmissionView))
)]
async fn unchoose(State(app): State<App>, theirs: Theirs) -> Answer<Json<SubmissionView>> {
    chosen(&app, theirs, false).await
}

/// Download a submission's file.
///
/// One that was handed in from inside a sandbox cannot be downloaded again.
#[utoipa::path(
    get, path = "/submissions/{id}/file", tag = "submissions", security(("token" = [])),
    params(("id" = Uuid, Path, description = "the submission")),
    responses((status = 200, description = "the file", content_type = "application/octet-stream"))
)]
async fn file(State(app): State<App>, theirs: Theirs) -> Answer<Response> {
    let s = &theirs.submission;
    if s.origin == Origin::Sandbox {
        let status = axum::http::StatusCode::FORBIDDEN;
        return Err(Refusal::Problem(Problem::plain(status, "from-sandbox")));
    }
    if !s.has_file() {
        return Err(ActionError::FileGone.into());
    }
    let key: ObjectKey = s.object_key.parse()?;
    let reader = app.house.objects.get_stream(&key).await?;
    let headers = [
        (CONTENT_TYPE, "application/octet-stream".to_owned()),
        (CONTENT_LENGTH, reader.size().to_string()),
        attachment(&s.file_name),
    ];
    Ok((headers, Body::from_stream(ReaderStream::new(reader))).into_response())
}

/// Listen to a submission's events (Server-Sent Events).
///
/// `status` carries `{"id", "status"}`; for runs on public input `step` says what is being done.
#[utoipa::path(
    get, path = "/submissions/{id}/events", tag = "submissions", security(("token" = [])),
    params(("id" = Uuid, Path, description = "the submission")),
    responses((status = 200, description = "a stream of events", content_type = "text/event-stream"))
)]
async fn events(State(app): State<App>, theirs: Theirs, headers: HeaderMap) -> Answer<impl IntoResponse> {
    let who = theirs.here.person()?.user.to_string();
    Ok(app.live.stream(&who, vec![topic(theirs.submission.id)], &headers).await?)
}
