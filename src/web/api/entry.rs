//! Taking part: the registration with its terms, and the asker's team.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::Time;
use super::ask::{Answer, Body, Here, Refusal};
use crate::contest::entry::{self, EntryError, db as entry_db};
use crate::contest::model::{ParticipantState, Team};
use crate::contest::{db as contest_db, terms_digest};
use crate::store::{Class, ObjectKey};
use crate::submission::merge;
use crate::web::App;

/// The most of the terms that is told, in bytes.
const TERMS_BYTES: u64 = 4 << 20;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(registration, register))
        .routes(routes!(team, create, rename, leave))
        .routes(routes!(invite))
        .routes(routes!(join))
}

/// A registration.
#[derive(Serialize, ToSchema)]
pub(super) struct RegistrationView {
    /// `pending`, `approved`, `denied` or `removed`; null when the asker never registered.
    #[schema(value_type = Option<String>, example = "approved")]
    pub state: Option<ParticipantState>,
    /// Why the organizer refused or removed the asker; null otherwise.
    #[schema(example = "未附单位证明")]
    pub reason: Option<String>,
    /// Whether the terms of now were accepted: they may have changed since.
    pub terms_accepted: bool,
    /// SM3 digest of the terms, in hexadecimal; send it to accept them.
    pub terms_digest: String,
    /// The terms, Markdown or HTML.
    pub terms: String,
}

/// What is sent to register.
#[derive(Deserialize, ToSchema)]
pub(super) struct NewRegistration {
    /// The digest of the terms that were read and are accepted.
    pub terms_digest: String,
}

async fn registered(app: &App, here: &Here) -> Answer<RegistrationView> {
    let actor = here.person()?;
    let c = &here.competition;
    let mut conn = app.db.read().await?;
    let digest = terms_digest(&mut conn, c).await?;
    let known = entry_db::registration(&mut conn, c.id, actor.user).await?;
    let file = contest_db::file(&mut conn, c.id, &c.definition.terms).await?;
    drop(conn);
    let mut terms = String::new();
    if let Some(file) = file {
        let key: ObjectKey = file.object_key.parse()?;
        if key.class() == Class::Plain {
            let bytes = app.house.objects.get_bytes(&key, TERMS_BYTES).await?;
            terms = String::from_utf8_lossy(&bytes).into_owned();
        }
    }
    Ok(RegistrationView {
        terms_accepted: known.as_ref().is_some_and(|r| r.terms == digest),
        reason: known.as_ref().and_then(|r| r.refusal()).map(str::to_owned),
        state: known.map(|r| r.state),
        terms_digest: digest,
        terms,
    })
}

/// The asker's registration, and the terms.
#[utoipa::path(
    get, path = "/competitions/{slug}/registration", tag = "entry", security(("token" = [])),
    params(("slug" = String, Path, description = "the competition's short name")),
    responses((status = 200, body = RegistrationView))
)]
async fn registration(State(app): State<App>, here: Here) -> Answer<Json<RegistrationView>> {
    Ok(Json(registered(&app, &here).await?))
}

/// Register, accepting the terms.
///
/// Registering again accepts terms that have changed.
#[utoipa::path(
    post, path = "/competitions/{slug}/registration", tag = "entry", security(("token" = [])),
    params(("slug" = String, Path, description = "the competition's short name")),
    request_body = NewRegistration,
    responses((status = 200, body = RegistrationView))
)]
async fn register(
    State(app): State<App>,
    here: Here,
    Body(new): Body<NewRegistration>,
) -> Answer<Json<RegistrationView>> {
    let actor = here.participant()?;
    let new = new?;
    let c = &here.competition;
    let mut tx = app.db.begin().await?;
    let terms = terms_digest(&mut tx, c).await?;
    if new.terms_digest != terms {
        return Err(EntryError::TermsNotAccepted.into());
    }
    entry::register(&mut tx, &app.clock, c, actor.user, &terms).await?;
    tx.commit().await?;
    Ok(Json(registered(&app, &here).await?))
}

/// A team.
#[derive(Serialize, ToSchema)]
pub(super) struct TeamView {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    #[schema(example = "北斗")]
    pub name: String,
    /// Its members, in the order in which they joined.
    pub members: Vec<MemberView>,
    /// When it was made.
    pub created_at: Time,
}

/// A member of a team.
#[derive(Serialize, ToSchema)]
pub(super) struct MemberView {
    /// The name others see.
    pub name: String,
    /// When they joined.
    pub joined_at: Time,
}

/// A team's name.
#[derive(Deserialize, ToSchema)]
pub(super) struct NewTeamName {
    /// 1 to 40 characters, unique in the competition.
    #[schema(example = "北斗")]
    pub name: String,
}

/// The way into a team.
#[derive(Serialize, Deserialize, ToSchema)]
pub(super) struct Invitation {
    /// The secret to be passed on; earlier ones no longer work.
    pub invitation: String,
}

async fn view(app: &App, team: Team) -> Answer<Json<TeamView>> {
    let members = entry_db::members(&mut *app.db.read().await?, team.id).await?;
    let present = members.into_iter().filter(|member| member.left_at.is_none());
    Ok(Json(TeamView {
        id: team.id.0,
        name: team.name,
        members: present.map(|m| MemberView { name: m.name, joined_at: Time(m.joined_at) }).collect(),
        created_at: Time(team.created_at),
    }))
}

/// The asker's team.
#[utoipa::path(
    get, path = "/competitions/{slug}/team", tag = "entry", security(("token" = [])),
    params(("slug" = String, Path, description = "the competition's short name")),
    responses((status = 200, body = TeamView))
)]
async fn team(State(app): State<App>, here: Here) -> Answer<Json<TeamView>> {
    let actor = here.person()?;
    let team = entry_db::team_of(&mut *app.db.read().await?, here.competition.id, actor.user).await?;
    view(&app, team.ok_or_else(Refusal::not_found)?).await
}

/// Make a team.
///
/// Whoever submits without a team gets one of their own.
#[utoipa::path(
    post, path = "/competitions/{slug}/team", tag = "entry", security(("token" = [])),
    params(("slug" = String, Path, description = "the competition's short name")),
    request_body = NewTeamName,
    responses((status = 201, body = TeamView))
)]
async fn create(
    State(app): State<App>,
    here: Here,
    Body(new): Body<NewTeamName>,
) -> Answer<(StatusCode, Json<TeamView>)> {
    let user = here.participant()?.user;
    let new = new?;
    let c = &here.competition;
    let mut tx = app.db.begin().await?;
    let terms = terms_digest(&mut tx, c).await?;
    entry::admitted(&mut tx, c, user, &terms).await?;
    let team = entry::create_team(&mut tx, &app.clock, app.entropy, c, user, &new.name).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, view(&app, team).await?))
}

/// Give the asker's team another name.
#[utoipa::path(
    patch, path = "/competitions/{slug}/team", tag = "entry", security(("token" = [])),
    params(("slug" = String, Path, description = "the competition's short name")),
    request_body = NewTeamName,
    responses((status = 200, body = TeamView))
)]
async fn rename(State(app): State<App>, here: Here, Body(new): Body<NewTeamName>) -> Answer<Json<TeamView>> {
    let user = here.participant()?.user;
    let new = new?;
    let mut tx = app.db.begin().await?;
    let team = entry::rename_team(&mut tx, &app.clock, &here.competition, user, &new.name).await?;
    tx.commit().await?;
    view(&app, team).await
}

/// Leave the asker's team.
#[utoipa::path(
    delete, path = "/competitions/{slug}/team", tag = "entry", security(("token" = [])),
    params(("slug" = String, Path, description = "the competition's short name")),
    responses((status = 204, description = "left"))
)]
async fn leave(State(app): State<App>, here: Here) -> Answer<StatusCode> {
    let user = here.participant()?.user;
    let mut tx = app.db.begin().await?;
    entry::leave(&mut tx, &app.clock, &here.competition, user).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Make a new invitation for the asker's team.
#[utoipa::path(
    post, path = "/competitions/{slug}/team/invitation", tag = "entry", security(("token" = [])),
    params(("slug" = String, Path, description = "the competition's short name")),
    responses((status = 201, body = Invitation))
)]
async fn invite(State(app): State<App>, here: Here) -> Answer<(StatusCode, Json<Invitation>)> {
    let user = here.participant()?.user;
    let mut tx = app.db.begin().await?;
    let invitation = entry::invite(&mut tx, &app.clock, app.entropy, &here.competition, user).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(Invitation { invitation })))
}

/// Join the team that an invitation leads to.
#[utoipa::path(
    post, path = "/competitions/{slug}/team/members", tag = "entry", security(("token" = [])),
    params(("slug" = String, Path, description = "the competition's short name")),
    request_body = Invitation,
    responses((status = 201, body = TeamView))
)]
async fn join(
    State(app): State<App>,
    here: Here,
    Body(sent): Body<Invitation>,
) -> Answer<(StatusCode, Json<TeamView>)> {
    let user = here.participant()?.user;
    let sent = sent?;
    let c = &here.competition;
    let terms = terms_digest(&mut *app.db.read().await?, c).await?;
    let team = merge::join(&app.house, c, user, &terms, &sent.invitation).await?;
    Ok((StatusCode::CREATED, view(&app, team).await?))
}
