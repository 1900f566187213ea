//! Judging over the API, for organizers and chairs: panels, judges, rounds, the ranking, the minutes, the
//! rubric. Signing is done on the page alone: it asks for the chair's password.

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::Time;
use super::ask::{Answer, Body, Here, Misread, Refusal, in_path};
use crate::contest::db as contest_db;
use crate::contest::definition::Judging;
use crate::ids::PanelId;
use crate::judging::{AssignmentState, Panel, Seat, assign, minutes, panel, result, rubric};
use crate::web::App;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(overview))
        .routes(routes!(appoint))
        .routes(routes!(act))
        .routes(routes!(ranking))
        .routes(routes!(shown_minutes))
        .routes(routes!(shown_rubric, change_rubric))
}

/// A judge of a panel.
#[derive(Serialize, ToSchema)]
pub(super) struct JudgeView {
    /// The name they log in with.
    pub login: String,
    /// The name shown.
    pub name: String,
    /// Whether they are in the chair.
    pub chair: bool,
    /// `invited`, `accepted`, `declined`, `resigned` or `removed`.
    pub state: &'static str,
    /// Entries to mark in this round.
    pub assigned: usize,
    /// Of them submitted.
    pub submitted: usize,
}

/// A panel.
#[derive(Serialize, ToSchema)]
pub(super) struct PanelView {
    /// Its id.
    pub id: Uuid,
    /// Its name; empty for the main one.
    pub name: String,
    /// `preparing`, `open`, `closed` or `signed`.
    pub state: &'static str,
    /// The round: 1 or 2.
    pub round: i64,
    /// Counts the rankings to be signed.
    pub edition: i64,
    /// Its judges.
    pub judges: Vec<JudgeView>,
    /// Its submitted entries.
    pub entries: usize,
}

/// Somebody to be asked to judge.
#[derive(Deserialize, ToSchema)]
pub(super) struct Appointment {
    /// The name they log in with.
    #[schema(example = "zhang.san")]
    pub login: String,
    /// Whether they are to be in the chair.
    #[serde(default)]
    pub chair: bool,
    /// The panel; the main one where it is left out.
    pub panel: Option<Uuid>,
}

/// What an act on a panel may need.
#[derive(Default, Deserialize, ToSchema)]
pub(super) struct ActSent {
    /// Why, for `reopen`.
    #[serde(default)]
    pub reason: String,
    /// The numbers of entries, for `second-round`.
    #[serde(default)]
    pub entries: Vec<i64>,
    /// Whether each gets one more judge, for `second-round`.
    #[serde(default)]
    pub more: bool,
}

/// One row of the minutes.
#[derive(Serialize, ToSchema)]
pub(super) struct MinuteView {
    /// Its number, from 1.
    pub number: i64,
    /// When it was written.
    pub at: Time,
    /// Who did it; `team` in place of a contestant whom the asker may not know.
    pub actor: String,
    /// What happened.
    pub kind: String,
    /// More of it.
    #[schema(value_type = Object)]
    pub detail: serde_json::Map<String, serde_json::Value>,
    /// SM3 over the digest before and this row.
    pub digest: String,
}

/// The rubric in force, as a bundle's `shuyu.judging` has it after defaults.
#[derive(Serialize, ToSchema)]
pub(super) struct RubricView {
    /// Its version; 0 before anything was done by it.
    pub version: i64,
    /// What it says.
    #[schema(value_type = Object)]
    pub judging: Judging,
}

/// A rubric to be put into force.
#[derive(Deserialize, ToSchema)]
pub(super) struct RubricSent {
    /// What it says.
    #[schema(value_type = Object)]
    pub judging: Judging,
    /// Why, once marks were given.
    #[serde(default)]
    pub reason: String,
}

/// The panels of a competition that the asker runs.
async fn theirs(app: &App, here: &Here) -> Answer<Vec<(Panel, Seat)>> {
    let actor = here.person()?;
    let mut conn = app.db.read().await?;
    let mut all = Vec::new();
    for panel in panel::db::of_competition(&mut conn, here.competition.id).await? {
        let seat = Seat::of(&mut conn, &panel, (actor.into(), actor.user), here.is_organizer()).await?;
        if seat.organizer || (seat.chair && actor.may_judge(here.competition.id)) {
            all.push((panel, seat));
        }
    }
    if all.is_empty() && !here.is_organizer() { Err(Refusal::forbidden()) } else { Ok(all) }
}

/// The panel that a path names, for who runs it.
struct AtPanel {
    here: Here,
    panel: Panel,
    seat: Seat,
}

impl FromRequestParts<App> for AtPanel {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Answer<Self> {
        let here = Here::from_request_parts(parts, app).await?;
        let all = theirs(app, &here).await?;
        let id: PanelId = in_path(parts, app, "panel").await?.parse().map_err(|_| Refusal::not_found())?;
        let found = all.into_iter().find(|(panel, _)| panel.id == id);
        let (panel, seat) = found.ok_or_else(Refusal::not_found)?;
        Ok(Self { here, panel, seat })
    }
}

async fn view(app: &App, panel: &Panel) -> Answer<PanelView> {
    let mut conn = app.db.read().await?;
    let assignments = assign::db::of_panel(&mut conn, panel.id).await?;
    let judges = panel::db::judges(&mut conn, panel.id).await?;
    let judges = judges.into_iter().map(|judge| {
        let own = || assignments.iter().filter(|a| a.judge == judge.user && a.round == panel.round);
        JudgeView {
            assigned: own().filter(|a| a.state != AssignmentState::Ended).count(),
            submitted: own().filter(|a| a.state == AssignmentState::Submitted).count(),
            login: judge.login.clone(),
            name: judge.name.clone(),
            chair: judge.chair,
            state: judge.state.as_str(),
        }
    });
    Ok(PanelView {
        id: panel.id.0,
        name: panel.name.clone(),
        state: panel.state.as_str(),
        round: panel.round,
        edition: panel.edition,
        judges: judges.collect(),
        entries: assign::entries_of(&mut conn, panel).await?.len(),
    })
}

/// The panels that you run, with how far their judges are. No marks.
#[utoipa::path(
    get, path = "/competitions/{slug}/desk/judging", tag = "desk", security(("token" = [])),
    params(("slug" = String, Path, description = "the competition's short name")),
    responses((status = 200, body = Vec<PanelView>))
)]
async fn overview(State(app): State<App>, here: Here) -> Answer<Json<Vec<PanelView>>> {
    let mut views = Vec::new();
    for (panel, _) in theirs(&app, &here).await? {
        views.push(view(&app, &panel).await?);
    }
    Ok(Json(views))
}

/// Ask somebody to judge.
#[utoipa::path(
    post, path = "/competitions/{slug}/desk/judging/judges", tag = "desk", security(("token" = [])),
    params(("slug" = String, Path, description = "the competition's short name")),
    request_body = Appointment,
    responses((status = 201, body = PanelView))
)]
async fn appoint(
    State(app): State<App>,
    here: Here,
    Body(sent): Body<Appointment>,
) -> Answer<(StatusCode, Json<PanelView>)> {
    let actor = here.organizer()?;
    let Appointment { login, chair, panel } = sent?;
    let main = panel::main(&app.house, &here.competition, actor.into()).await?;
    let all = theirs(&app, &here).await?;
    let wanted = panel.map_or(main.id, PanelId);
    let found = all.into_iter().find(|(panel, _)| panel.id == wanted);
    let (panel, seat) = found.ok_or_else(Refusal::not_found)?;
    panel::appoint(&app.house, &here.competition, panel.id, seat, (&login, chair)).await?;
    Ok((StatusCode::CREATED, Json(view(&app, &panel).await?)))
}

/// Do something to a panel: `open`, `redraw`, `close`, `reopen`, `second-round`, `publish` or `unpublish`.
#[utoipa::path(
    post, path = "/competitions/{slug}/desk/judging/panels/{panel}/{act}", tag = "desk",
    security(("token" = [])),
    params(
        ("slug" = String, Path, description = "the competition's short name"),
        ("panel" = Uuid, Path, description = "the panel"),
        ("act" = String, Path, description = "what to do"),
    ),
    request_body = ActSent,
    responses((status = 200, body = PanelView))
)]
async fn act(
    State(app): State<App>,
    at: AtPanel,
    Act(act): Act,
    Body(sent): Body<ActSent>,
) -> Answer<Json<PanelView>> {
    let AtPanel { here, panel, seat } = at;
    let sent = sent?;
    let (house, competition, id) = (&app.house, &here.competition, panel.id);
    match act.as_str() {
        "open" => assign::open(house, competition, id, seat).await?,
        "redraw" => assign::again(house, competition, id, seat).await?,
        "close" => assign::close(house, competition, id, seat).await?,
        "reopen" => assign::reopen(house, competition, id, seat, &sent.reason).await?,
        "second-round" => {
            assign::second_round(house, competition, id, seat, (&sent.entries, sent.more)).await?;
        }
        "publish" => result::publish(house, competition, id, seat, true).await?,
        "unpublish" => result::publish(house, competition, id, seat, false).await?,
        _ => return Err(Refusal::not_found()),
    }
    let now = panel::db::by_id(&mut *app.db.read().await?, id).await?.ok_or_else(Refusal::not_found)?;
    Ok(Json(view(&app, &now).await?))
}

/// The act that a path names.
struct Act(String);

impl FromRequestParts<App> for Act {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Answer<Self> {
        Ok(Self(in_path(parts, app, "act").await?))
    }
}

/// The ranking with all that it came from, once no round is open; signed, the document and its digest.
#[utoipa::path(
    get, path = "/competitions/{slug}/desk/judging/panels/{panel}/ranking", tag = "desk",
    security(("token" = [])),
    params(
        ("slug" = String, Path, description = "the competition's short name"),
        ("panel" = Uuid, Path, description = "the panel"),
    ),
    responses((status = 200, body = Object))
)]
async fn ranking(State(app): State<App>, at: AtPanel) -> Answer<Json<serde_json::Value>> {
    let mut conn = app.db.read().await?;
    let phases = contest_db::phases(&mut conn, at.here.competition.id).await?;
    let of = (&at.here.competition, phases.as_slice());
    let shown = result::shown(&mut conn, &app.boards, of, (&at.panel, at.seat)).await?;
    Ok(Json(shown.document()))
}

/// The minutes of a panel.
#[utoipa::path(
    get, path = "/competitions/{slug}/desk/judging/panels/{panel}/minutes", tag = "desk",
    security(("token" = [])),
    params(
        ("slug" = String, Path, description = "the competition's short name"),
        ("panel" = Uuid, Path, description = "the panel"),
    ),
    responses((status = 200, body = Vec<MinuteView>))
)]
async fn shown_minutes(State(app): State<App>, at: AtPanel) -> Answer<Json<Vec<MinuteView>>> {
    let mut conn = app.db.read().await?;
    let force = rubric::in_force(&mut conn, at.here.competition.id).await?;
    let blind = force.is_none_or(|(_, judging)| judging.blind);
    let all = minutes::shown(&mut conn, &at.panel, at.seat, blind).await?;
    let view = |m: minutes::Minute| MinuteView {
        number: m.number,
        at: Time(m.at),
        actor: m.actor,
        kind: m.kind,
        detail: m.detail,
        digest: m.digest,
    };
    Ok(Json(all.into_iter().map(view).collect()))
}

/// The rubric in force.
#[utoipa::path(
    get, path = "/competitions/{slug}/desk/judging/rubric", tag = "desk", security(("token" = [])),
    params(("slug" = String, Path, description = "the competition's short name")),
    responses((status = 200, body = RubricView))
)]
async fn shown_rubric(State(app): State<App>, here: Here) -> Answer<Json<RubricView>> {
    theirs(&app, &here).await?;
    let force = rubric::in_force(&mut *app.db.read().await?, here.competition.id).await?;
    let (version, judging) = force.ok_or_else(Refusal::not_found)?;
    Ok(Json(RubricView { version, judging }))
}

/// Put another rubric into force; once marks were given with a reason, and judges are asked again.
#[utoipa::path(
    put, path = "/competitions/{slug}/desk/judging/rubric", tag = "desk", security(("token" = [])),
    params(("slug" = String, Path, description = "the competition's short name")),
    request_body = RubricSent,
    responses((status = 200, body = RubricView))
)]
async fn change_rubric(
    State(app): State<App>,
    here: Here,
    Body(sent): Body<RubricSent>,
) -> Answer<Json<RubricView>> {
    let mut all = theirs(&app, &here).await?;
    let RubricSent { judging, reason } = sent?;
    if all.is_empty() {
        let actor = here.organizer()?;
        panel::main(&app.house, &here.competition, actor.into()).await?;
        all = theirs(&app, &here).await?;
    }
    let Some((_, seat)) = all.first() else { return Err(Misread::broken("no panel").into()) };
    let version = rubric::change(&app.house, &here.competition, *seat, judging.clone(), &reason).await?;
    Ok(Json(RubricView { version, judging }))
}
