//! The organizer's desk: who takes part, what was submitted in truth, and what is done about it.

use std::collections::{BTreeMap, HashMap};

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::Time;
use super::ask::{Answer, Asked, Body, Here, InPhase, Misread, Refusal, Theirs, in_path};
use super::competitions::{PhaseView, phase_view};
use super::submissions::{ReasonView, Status, SubmissionView, TeamName, describe, or_empty};
use crate::airlock::{Cleared, Organizer, lane1};
use crate::contest::entry::{self, db as entry_db};
use crate::contest::import;
use crate::contest::model::{Participant, ParticipantState};
use crate::contest::{db as contest_db, desk};
use crate::ids::{TeamId, UserId};
use crate::scoring::leaderboard::Scores;
use crate::submission::actions;
use crate::submission::desk::db as submissions_db;
use crate::submission::model::{Aim, Kind, State as Stage, Submission};
use crate::submission::{queue, rescore};
use crate::web::App;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(participants))
        .routes(routes!(decide))
        .routes(routes!(submissions))
        .routes(routes!(rerun))
        .routes(routes!(disqualify, restore))
        .routes(routes!(rescore))
        .routes(routes!(reschedule))
        .routes(routes!(publish))
}

/// Somebody registered for a competition.
#[derive(Serialize, ToSchema)]
pub(super) struct ParticipantView {
    /// The person.
    pub user: Uuid,
    /// The name they log in with.
    #[schema(example = "alice")]
    pub login: String,
    /// The name others see.
    pub name: String,
    /// Their organisation's name.
    pub organisation: Option<String>,
    /// `pending`, `approved`, `denied` or `removed`.
    #[schema(value_type = String, example = "pending")]
    pub state: ParticipantState,
    /// When they registered.
    pub registered_at: Time,
    /// Why the organizer decided so.
    pub reason: String,
}

/// The people registered for a competition.
#[derive(Serialize, ToSchema)]
pub(super) struct ParticipantList {
    /// Those who wait first, then by time.
    pub items: Vec<ParticipantView>,
    /// How many there are.
    pub total: usize,
}

fn participant(p: Participant) -> ParticipantView {
    ParticipantView {
        user: p.user.0,
        login: p.login,
        name: p.name,
        organisation: p.organisation,
        state: p.state,
        registered_at: Time(p.registered_at),
        reason: p.reason,
    }
}

async fn all_participants(app: &App, here: &Here) -> Answer<Json<ParticipantList>> {
    let all = entry::participants(&mut *app.db.read().await?, &here.competition).await?;
    let items: Vec<ParticipantView> = all.into_iter().map(participant).collect();
    Ok(Json(ParticipantList { total: items.len(), items }))
}

/// Who is registered.
#[utoipa::path(
    get, path = "/competitions/{slug}/desk/participants", tag = "desk", security(("token" = [])),
    params(("slug" = String, Path, description = "the competition's short name")),
    responses((status = 200, body = ParticipantList))
)]
async fn participants(State(app): State<App>, here: Here) -> Answer<Json<ParticipantList>> {
    here.organizer()?;
    all_participants(&app, &here).await
}

/// A decision on a registration.
#[derive(Deserialize, ToSchema)]
pub(super) struct Decision {
    /// `approved`, `denied`, `removed` or `pending`.
    #[schema(value_type = String, example = "approved")]
    pub state: ParticipantState,
    /// Why; the person may read it.
    #[serde(default)]
    pub reason: String,
}

/// The person that a path names.
struct Person(UserId);

impl FromRequestParts<App> for Person {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Answer<Self> {
        let id = in_path(parts, app, "user").await?;
        id.parse().map(Self).map_err(|_| Refusal::not_found())
    }
}

/// Admit, refuse or remove somebody.
#[utoipa::path(
    put, path = "/competitions/{slug}/desk/participants/{user}", tag = "desk", security(("token" = [])),
    params(
        ("slug" = String, Path, description = "the competition's short name"),
        ("user" = Uuid, Path, description = "the person"),
    ),
    request_body = Decision,
    responses((status = 200, body = ParticipantList))
)]
async fn decide(
    State(app): State<App>,
    here: Here,
    Person(user): Person,
    Body(decision): Body<Decision>,
) -> Answer<Json<ParticipantList>> {
    let by = here.organizer()?.user;
    let Decision { state, reason } = decision?;
    let mut tx = app.db.begin().await?;
    entry::decide(&mut tx, &app.clock, &here.competition, by, user, state, reason.trim()).await?;
    tx.commit().await?;
    all_participants(&app, &here).await
}

/// Which submissions.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct DeskFilter {
    /// One phase, counted from 0.
    phase: Option<i64>,
    /// One team.
    team: Option<Uuid>,
    /// One true state.
    #[param(value_type = Option<Status>)]
    state: Option<String>,
    /// How many, 1 to 200; 50 when absent.
    limit: Option<i64>,
    /// How many to skip.
    offset: Option<i64>,
}

/// A submission as organizers may see it: what is true, and hidden columns too.
#[derive(Serialize, ToSchema)]
pub(super) struct DeskSubmission {
    /// Its id.
    pub id: Uuid,
    /// Its phase, counted from 0.
    pub phase: Option<i64>,
    /// Its team.
    pub team: TeamName,
    /// Who handed it in.
    pub user: Uuid,
    /// Where it stands in truth.
    #[schema(value_type = Status, example = "finished")]
    pub state: Stage,
    /// Why, in truth.
    pub reason: Option<ReasonView>,
    /// What its team is told.
    #[schema(value_type = Status, example = "finished")]
    pub disclosed_state: Stage,
    /// When what is true will be told; null when it was.
    pub release_at: Option<Time>,
    /// Scores by column, hidden ones too; empty until there are any.
    #[serde(serialize_with = "or_empty")]
    #[schema(value_type = BTreeMap<String, f64>, example = json!({ "rmse": 38.214075 }))]
    pub scores: Option<Cleared<Scores, Organizer>>,
    /// The uploaded file's name.
    pub file_name: String,
    /// Its size in bytes.
    pub size: u64,
    /// `unknown`, `result` or `code`.
    #[schema(value_type = String, example = "code")]
    pub kind: Kind,
    /// `compete`, `trial` (on public data alone) or `dry_run` (an organizer's, off every board).
    #[schema(value_type = String, example = "compete")]
    pub aim: Aim,
    /// The team's own note.
    pub message: String,
    /// Answers to the fact sheet.
    #[schema(value_type = Object)]
    pub facts: BTreeMap<String, Value>,
    /// When it was handed in.
    pub created_at: Time,
    /// When its first run began.
    pub started_at: Option<Time>,
    /// When its last run ended.
    pub finished_at: Option<Time>,
    /// Why it was taken off the board; null when it was not.
    pub disqualified: Option<String>,
}

/// One page of a competition's submissions.
#[derive(Serialize, ToSchema)]
pub(super) struct DeskList {
    /// The submissions, the newest first.
    pub items: Vec<DeskSubmission>,
    /// How many there are in all.
    pub total: i64,
}

/// The competition's submissions, in truth.
#[utoipa::path(
    get, path = "/competitions/{slug}/desk/submissions", tag = "desk", security(("token" = [])),
    params(("slug" = String, Path, description = "the competition's short name"), DeskFilter),
    responses((status = 200, body = DeskList))
)]
async fn submissions(
    State(app): State<App>,
    here: Here,
    Asked(asked): Asked<DeskFilter>,
) -> Answer<Json<DeskList>> {
    here.organizer()?;
    let phase = match asked.phase {
        Some(position) => Some(here.phase(&app, position).await?.id),
        None => None,
    };
    let state = match asked.state.as_deref() {
        Some(state) => Some(state.parse::<Stage>().map_err(|_| Misread::field("state", "state"))?),
        None => None,
    };
    let filter = submissions_db::Filter {
        phase,
        team: asked.team.map(TeamId),
        state,
        offset: asked.offset.unwrap_or(0).max(0),
        limit: asked.limit.unwrap_or(50).clamp(1, 200),
    };
    let c = &here.competition;
    let mut conn = app.db.read().await?;
    let (found, total) = submissions_db::filtered(&mut conn, c.id, &filter).await?;
    let phases = contest_db::phases(&mut conn, c.id).await?;
    let teams: HashMap<TeamId, String> =
        entry_db::teams(&mut conn, c.id).await?.into_iter().map(|t| (t.id, t.name)).collect();
    let mut items = Vec::new();
    let ids: Vec<_> = found.iter().filter(|s| s.state == Stage::Finished).map(|s| s.id).collect();
    let mut scores = lane1::scores_for_organizer(&mut conn, &c.definition.leaderboard, &ids).await?;
    for s in found {
        let scores = scores.remove(&s.id);
        let phase = phases.iter().find(|phase| phase.id == s.phase).map(|phase| phase.position);
        let team = TeamName { id: s.team.0, name: teams.get(&s.team).cloned().unwrap_or_default() };
        items.push(desk_view(s, phase, team, scores));
    }
    Ok(Json(DeskList { items, total }))
}

fn desk_view(
    s: Submission,
    phase: Option<i64>,
    team: TeamName,
    scores: Option<Cleared<Scores, Organizer>>,
) -> DeskSubmission {
    let reason = s.reason;
    DeskSubmission {
        id: s.id.0,
        phase,
        team,
        user: s.user.0,
        state: s.state,
        reason: (!reason.code.is_empty() || !reason.text.is_empty()).then(|| ReasonView {
            code: reason.code,
            text: reason.text,
            faults: reason.faults,
        }),
        disclosed_state: s.disclosed_state,
        release_at: s.release_at.map(Time),
        scores,
        file_name: s.file_name,
        size: s.size,
        kind: s.kind,
        aim: s.aim,
        message: s.message,
        facts: s.facts,
        created_at: Time(s.created_at),
        started_at: s.started_at.map(Time),
        finished_at: s.finished_at.map(Time),
        disqualified: s.disqualified_at.map(|_| s.disqualified_reason),
    }
}

/// Start a submission that waits for the organizer, or run one again with the current programs.
///
/// The quota is not touched; scores told before stay beside the new ones.
#[utoipa::path(
    post, path = "/submissions/{id}/rerun", tag = "desk", security(("token" = [])),
    params(("id" = Uuid, Path, description = "the submission")),
    responses((status = 200, body = SubmissionView))
)]
async fn rerun(State(app): State<App>, theirs: Theirs) -> Answer<Json<SubmissionView>> {
    let by = theirs.here.organizer()?.user;
    actions::run_again(&app.house, theirs.submission.id, by, queue::NORMAL).await?;
    Ok(Json(describe(&app, &theirs.again(&app).await?).await?))
}

/// Why something is done.
#[derive(Deserialize, ToSchema)]
pub(super) struct Why {
    /// The team reads it.
    #[schema(example = "uses the test labels")]
    pub reason: String,
}

/// Take a submission off the leaderboard.
#[utoipa::path(
    put, path = "/submissions/{id}/disqualification", tag = "desk", security(("token" = [])),
    params(("id" = Uuid, Path, description = "the submission")),
    request_body = Why,
    responses((status = 200, body = SubmissionView))
)]
async fn disqualify(
    State(app): State<App>,
    theirs: Theirs,
    Body(why): Body<Why>,
) -> Answer<Json<SubmissionView>> {
    theirs.here.organizer()?;
    disqualified(&app, theirs, Some(&why?.reason)).await
}

/// Put a submission back that was taken off the leaderboard.
#[utoipa::path(
    delete, path = "/submissions/{id}/disqualification", tag = "desk", security(("token" = [])),
    params(("id" = Uuid, Path, description = "the submission")),
    responses((status = 200, body = SubmissionView))
)]
async fn restore(State(app): State<App>, theirs: Theirs) -> Answer<Json<SubmissionView>> {
    disqualified(&app, theirs, None).await
}

async fn disqualified(app: &App, theirs: Theirs, reason: Option<&str>) -> Answer<Json<SubmissionView>> {
    let by = theirs.here.organizer()?.user;
    actions::disqualify(&app.house, &theirs.here.competition, theirs.submission.id, by, reason).await?;
    Ok(Json(describe(app, &theirs.again(app).await?).await?))
}

/// What is to be scored again.
#[derive(Deserialize, ToSchema)]
pub(super) struct RescoreRequest {
    /// One phase, counted from 0; all when absent.
    pub phase: Option<i64>,
    /// One team; all when absent.
    pub team: Option<Uuid>,
    /// Why; participants read it as an announcement, unless one team alone is scored again.
    #[schema(example = "the scorer rounded")]
    pub reason: String,
    /// Whether it goes before everything else of this competition; else it waits until nothing else does.
    #[serde(default)]
    pub urgent: bool,
}

/// What was queued.
#[derive(Serialize, ToSchema)]
pub(super) struct RescoreAnswer {
    /// Submissions that will be scored again.
    #[schema(example = 120)]
    pub submissions: i64,
}

/// Score submissions again with the current scorer: those that were scored, and those it failed.
#[utoipa::path(
    post, path = "/competitions/{slug}/desk/rescore", tag = "desk", security(("token" = [])),
    params(("slug" = String, Path, description = "the competition's short name")),
    request_body = RescoreRequest,
    responses((status = 200, body = RescoreAnswer))
)]
async fn rescore(
    State(app): State<App>,
    here: Here,
    Body(wanted): Body<RescoreRequest>,
) -> Answer<Json<RescoreAnswer>> {
    let by = here.organizer()?.user;
    let wanted = wanted?;
    let phase = match wanted.phase {
        Some(position) => Some(here.phase(&app, position).await?),
        None => None,
    };
    let wanted = rescore::Wanted {
        phase: phase.as_ref(),
        team: wanted.team.map(TeamId),
        reason: &wanted.reason,
        priority: if wanted.urgent { queue::URGENT } else { queue::LATER },
    };
    let submissions = rescore::begin(&app.house, &here.competition, by, &wanted).await?;
    Ok(Json(RescoreAnswer { submissions }))
}

/// New dates of a phase; what is absent stays.
#[derive(Deserialize, ToSchema)]
pub(super) struct NewDates {
    /// When submitting becomes possible.
    pub starts_at: Option<Time>,
    /// When submitting ends (exclusive); null opens the last phase for good.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Time>)]
    pub ends_at: Option<Option<Time>>,
}

/// Tells null from absent.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<Time>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Move a phase's dates.
///
/// Each phase begins after the one before it ends, and only the last may stay open.
#[utoipa::path(
    patch, path = "/competitions/{slug}/desk/phases/{index}", tag = "desk", security(("token" = [])),
    params(
        ("slug" = String, Path, description = "the competition's short name"),
        ("index" = i64, Path, description = "the phase, counted from 0"),
    ),
    request_body = NewDates,
    responses((status = 200, body = PhaseView))
)]
async fn reschedule(
    State(app): State<App>,
    InPhase { here, phase }: InPhase,
    Body(new): Body<NewDates>,
) -> Answer<Json<PhaseView>> {
    let by = here.organizer()?.user;
    let new = new?;
    let phases = contest_db::phases(&mut *app.db.read().await?, here.competition.id).await?;
    let dates: Vec<desk::Dates> = phases
        .iter()
        .map(|p| match p.id == phase.id {
            true => (
                new.starts_at.map_or(p.starts_at, |at| at.0),
                new.ends_at.map_or(p.ends_at, |at| at.map(|at| at.0)),
            ),
            false => (p.starts_at, p.ends_at),
        })
        .collect();
    desk::set_dates(&app.house, &here.competition, by, &dates).await?;
    let moved = here.phase(&app, phase.position).await?;
    Ok(Json(phase_view(&app, &mut *app.db.read().await?, moved, None).await?))
}

/// What was published.
#[derive(Serialize, ToSchema)]
pub(super) struct Published {
    /// The competition's short name.
    pub slug: String,
    /// Since when everybody sees it.
    pub published_at: Option<Time>,
}

/// Let everybody see the competition.
#[utoipa::path(
    post, path = "/competitions/{slug}/desk/publish", tag = "desk", security(("token" = [])),
    params(("slug" = String, Path, description = "the competition's short name")),
    responses((status = 200, body = Published))
)]
async fn publish(State(app): State<App>, here: Here) -> Answer<Json<Published>> {
    let by = here.organizer()?.user;
    let competition = import::publish(&app.house, &here.competition.slug, Some(by)).await?;
    Ok(Json(Published { slug: competition.slug, published_at: competition.published_at.map(Time) }))
}
