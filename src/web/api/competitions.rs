//! Competitions: the list, and one with its phases, tasks and columns.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Time;
use super::ask::{Answer, Here};
use crate::airlock::lane1;
use crate::contest::definition::{self, CompetitionType, FactKind, InputVisibility, Sorting, SubmissionRule};
use crate::contest::entry::db as entry_db;
use crate::contest::model::{Competition, ParticipantState, Phase, PhaseTime};
use crate::contest::{db as contest_db, terms_digest};
use crate::ids::TeamId;
use crate::store::Connection;
use crate::submission::quota;
use crate::web::App;
use crate::web::guard::Bearer;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(one))
}

/// A competition in the list.
#[derive(Serialize, ToSchema)]
pub(super) struct CompetitionLine {
    /// Its short name; part of every address.
    #[schema(example = "flight-delay")]
    pub slug: String,
    /// Its title in the bundle's own language.
    #[schema(example = "航班延误预测")]
    pub title: String,
    /// Who holds it.
    #[schema(example = "龙岩市数据管理局")]
    pub organiser: Option<String>,
    /// `competition` or `benchmark`.
    #[schema(value_type = String, example = "competition")]
    pub competition_type: CompetitionType,
    /// The reward.
    pub reward: Option<String>,
    /// Whether everybody sees it; a draft is seen by its organizers alone.
    pub published: bool,
    /// The phase that is open now, counted from 0; null when none is.
    #[schema(example = 0)]
    pub open_phase: Option<i64>,
    /// When the open phase ends; null when it does not or none is open.
    pub ends_at: Option<Time>,
}

/// The list of competitions.
#[derive(Serialize, ToSchema)]
pub(super) struct CompetitionList {
    /// The competitions, the newest first.
    pub items: Vec<CompetitionLine>,
    /// How many there are in all.
    #[schema(example = 2)]
    pub total: usize,
}

/// The competitions there are.
#[utoipa::path(
    get, path = "/competitions", tag = "competitions", security((), ("token" = [])),
    responses((status = 200, body = CompetitionList))
)]
async fn list(State(app): State<App>, bearer: Option<Bearer>) -> Answer<Json<CompetitionList>> {
    let mut conn = app.db.read().await?;
    let now = app.clock.now();
    let mut items = Vec::new();
    for competition in contest_db::competitions(&mut conn).await? {
        let manages = bearer.as_ref().is_some_and(|Bearer(actor)| actor.may_manage(competition.id));
        if competition.published_at.is_none() && !manages {
            continue;
        }
        let phases = contest_db::phases(&mut conn, competition.id).await?;
        let open = phases.iter().find(|phase| phase.time(now) == PhaseTime::Open);
        let Competition { slug, definition, published_at, .. } = competition;
        items.push(CompetitionLine {
            slug,
            title: definition.title,
            organiser: definition.organiser,
            competition_type: definition.competition_type,
            reward: definition.reward,
            published: published_at.is_some(),
            open_phase: open.map(|phase| phase.position),
            ends_at: open.and_then(|phase| phase.ends_at).map(Time),
        });
    }
    let total = items.len();
    Ok(Json(CompetitionList { items, total }))
}

/// A competition.
#[derive(Serialize, ToSchema)]
pub(super) struct CompetitionView {
    /// Its short name; part of every address.
    #[schema(example = "flight-delay")]
    pub slug: String,
    /// Its title in the bundle's own language.
    pub title: String,
    /// One paragraph, Markdown.
    pub description: String,
    /// Who holds it.
    pub organiser: Option<String>,
    /// `competition` or `benchmark`.
    #[schema(value_type = String, example = "competition")]
    pub competition_type: CompetitionType,
    /// The reward.
    pub reward: Option<String>,
    /// Where to write to.
    pub contact_email: Option<String>,
    /// Whether everybody sees it.
    pub published: bool,
    /// Counts the imports of its bundle, from 1.
    #[schema(example = 1)]
    pub revision: i64,
    /// SM3 digest of the terms, in hexadecimal; send it to accept them.
    pub terms_digest: String,
    /// Whether registering admits at once.
    pub registration_auto_approve: bool,
    /// The asker's registration; null without one or without a token.
    #[schema(value_type = Option<String>, example = "approved")]
    pub registration: Option<ParticipantState>,
    /// Why the organizer refused or removed the asker; null otherwise.
    pub registration_reason: Option<String>,
    /// The largest submission taken, in bytes.
    #[schema(example = 104857600)]
    pub upload_cap_bytes: u64,
    /// After this time teams can no longer be changed.
    pub merge_lock_at: Option<Time>,
    /// How many submissions a team may nominate for the next phase.
    pub finals_choose: Option<u32>,
    /// The phases in their order.
    pub phases: Vec<PhaseView>,
    /// The tasks in their order.
    pub tasks: Vec<TaskLine>,
    /// Whether the leaderboard is for organizers alone.
    pub leaderboard_hidden: bool,
    /// Which submissions stand on the board, in Codabench's words.
    #[schema(value_type = String, example = "Force_Best")]
    pub submission_rule: SubmissionRule,
    /// The leaderboard's columns, the primary one first. Hidden ones are listed to organizers alone.
    pub columns: Vec<ColumnView>,
    /// Questions answered with each submission.
    pub fact_sheet: Vec<FactView>,
}

/// A phase.
#[derive(Serialize, ToSchema)]
pub(super) struct PhaseView {
    /// Its place, counted from 0; part of addresses.
    #[schema(example = 0)]
    pub index: i64,
    /// Its name.
    pub name: String,
    /// What it is about.
    pub description: String,
    /// When submitting becomes possible.
    pub starts_at: Time,
    /// When submitting ends (exclusive); null when it does not.
    pub ends_at: Option<Time>,
    /// `ahead`, `open` or `over`.
    #[schema(example = "open")]
    pub state: &'static str,
    /// The indexes of its tasks.
    pub tasks: Vec<i64>,
    /// Submissions a team may make a day (UTC); 0: unlimited.
    #[schema(example = 5)]
    pub max_submissions_per_day: u32,
    /// Submissions a team may make in all; 0: unlimited.
    #[schema(example = 100)]
    pub max_submissions: u32,
    /// Time limit of each step, in seconds.
    #[schema(example = 600)]
    pub execution_time_limit_seconds: u32,
    /// Whether programs are refused.
    pub accepts_only_results: bool,
    /// What is left of the asker's team's quota; null without a team.
    pub quota: Option<QuotaView>,
}

/// A team's quota in a phase.
#[derive(Serialize, ToSchema)]
pub(super) struct QuotaView {
    /// Allowed a day (UTC); 0: unlimited.
    #[schema(example = 5)]
    pub per_day: i64,
    /// Used today.
    #[schema(example = 2)]
    pub used_today: i64,
    /// Allowed in all; 0: unlimited.
    #[schema(example = 100)]
    pub in_all: i64,
    /// Used in all.
    #[schema(example = 17)]
    pub used: i64,
    /// What may still be submitted today; null when there is no limit.
    #[schema(example = 3)]
    pub left_today: Option<i64>,
    /// When the day's quota begins anew.
    pub renewed_at: Time,
}

/// A task.
#[derive(Serialize, ToSchema)]
pub(super) struct TaskLine {
    /// Its index.
    #[schema(example = 0)]
    pub index: i64,
    /// Its name.
    pub name: String,
    /// What it is about.
    pub description: String,
    /// Whether programs run on `public` or `hidden` input. After hidden input no logs are shown.
    #[schema(value_type = String, example = "hidden")]
    pub input: InputVisibility,
    /// Whether trial runs on public data of the same layout are possible.
    pub has_twin: bool,
}

/// A column of the leaderboard.
#[derive(Clone, Serialize, ToSchema)]
pub(super) struct ColumnView {
    /// Its key in the scores.
    #[schema(example = "rmse")]
    pub key: String,
    /// Its title.
    #[schema(example = "RMSE")]
    pub title: String,
    /// `desc` when larger is better, `asc` when smaller is.
    #[schema(value_type = String, example = "asc")]
    pub sorting: Sorting,
    /// Decimals shown on pages.
    #[schema(example = 2)]
    pub precision: u32,
    /// Whether it decides the rank.
    pub primary: bool,
    /// Whether it is computed from other columns.
    pub computed: bool,
    /// Whether only organizers see it.
    pub hidden: bool,
}

/// A question answered with each submission.
#[derive(Serialize, ToSchema)]
pub(super) struct FactView {
    /// Its key in the answers.
    #[schema(example = "method")]
    pub key: String,
    /// What is asked.
    pub title: String,
    /// `checkbox`, `text` or `select`.
    #[schema(value_type = String, example = "select")]
    pub kind: FactKind,
    /// The choices of a `select`.
    pub selection: Vec<String>,
    /// Whether an answer is needed.
    pub is_required: bool,
}

/// The leaderboard's columns in the order that decides rank; those that only organizers may see are
/// left out for others.
pub(super) fn columns(competition: &Competition, organizer: bool) -> Vec<ColumnView> {
    let board = &competition.definition.leaderboard;
    let visible = lane1::visible(board);
    let all = board.ranking_columns();
    let shown = all.into_iter().filter(|c| organizer || visible.columns.iter().any(|v| v.key == c.key));
    shown
        .map(|c| ColumnView {
            key: c.key.clone(),
            title: c.title.clone(),
            sorting: c.sorting,
            precision: c.precision,
            primary: c.index == board.primary_index,
            computed: c.computation.is_some(),
            hidden: !visible.columns.iter().any(|v| v.key == c.key),
        })
        .collect()
}

/// One competition.
#[utoipa::path(
    get, path = "/competitions/{slug}", tag = "competitions", security((), ("token" = [])),
    params(("slug" = String, Path, description = "the competition's short name", example = "flight-delay")),
    responses((status = 200, body = CompetitionView))
)]
async fn one(State(app): State<App>, here: Here) -> Answer<Json<CompetitionView>> {
    let team = here.team(&app).await?;
    let mut conn = app.db.read().await?;
    let c = &here.competition;
    let registration = match &here.actor {
        Some(actor) => entry_db::registration(&mut conn, c.id, actor.user).await?,
        None => None,
    };
    let mut phases = Vec::new();
    for phase in contest_db::phases(&mut conn, c.id).await? {
        phases.push(phase_view(&app, &mut conn, phase, team).await?);
    }
    let d = &c.definition;
    Ok(Json(CompetitionView {
        slug: c.slug.clone(),
        title: d.title.clone(),
        description: d.description.clone(),
        organiser: d.organiser.clone(),
        competition_type: d.competition_type,
        reward: d.reward.clone(),
        contact_email: d.contact_email.clone(),
        published: c.published_at.is_some(),
        revision: c.revision,
        terms_digest: terms_digest(&mut conn, c).await?,
        registration_auto_approve: d.registration_auto_approve,
        registration: registration.as_ref().map(|r| r.state),
        registration_reason: registration.as_ref().and_then(|r| r.refusal()).map(str::to_owned),
        upload_cap_bytes: app.settings.upload.cap_bytes,
        merge_lock_at: c.merge_lock_at.map(Time),
        finals_choose: d.finals_choose,
        phases,
        tasks: d.tasks.iter().map(task_line).collect(),
        leaderboard_hidden: d.leaderboard.hidden,
        submission_rule: d.leaderboard.submission_rule,
        columns: columns(c, here.is_organizer()),
        fact_sheet: d.fact_sheet.iter().map(fact_view).collect(),
    }))
}

fn task_line(task: &definition::Task) -> TaskLine {
    TaskLine {
        index: task.index,
        name: task.name.clone(),
        description: task.description.clone(),
        input: task.input,
        has_twin: task.has_trial(),
    }
}

fn fact_view(question: &definition::FactQuestion) -> FactView {
    FactView {
        key: question.key.clone(),
        title: question.title.clone(),
        kind: question.kind,
        selection: question.selection.clone(),
        is_required: question.is_required,
    }
}

/// A phase as shown, with what is left of a team's quota.
pub(super) async fn phase_view(
    app: &App,
    conn: &mut Connection,
    phase: Phase,
    team: Option<TeamId>,
) -> Answer<PhaseView> {
    let now = app.clock.now();
    let quota = match team {
        Some(team) => Some(quota::quota(conn, &phase, team, now).await?),
        None => None,
    };
    let quota = quota.map(|quota| QuotaView {
        per_day: quota.per_day,
        used_today: quota.used_today,
        in_all: quota.in_all,
        used: quota.used,
        left_today: quota.left_today(),
        renewed_at: Time(quota::day_of(now).1),
    });
    let state = match phase.time(now) {
        PhaseTime::Ahead => "ahead",
        PhaseTime::Open => "open",
        PhaseTime::Over => "over",
    };
    let d = phase.definition;
    Ok(PhaseView {
        index: phase.position,
        name: d.name,
        description: d.description,
        starts_at: Time(phase.starts_at),
        ends_at: phase.ends_at.map(Time),
        state,
        tasks: d.tasks,
        max_submissions_per_day: d.max_submissions_per_day,
        max_submissions: d.max_submissions,
        execution_time_limit_seconds: d.execution_time_limit,
        accepts_only_results: d.accepts_only_result_submissions,
        quota,
    })
}
