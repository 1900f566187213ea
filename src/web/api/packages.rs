//! Extra packages over the API: a participant's own, and on the desk everybody's.

use axum::Json;
use axum::extract::multipart::{Multipart, MultipartRejection};
use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::Time;
use super::ask::{Answer, Here, Refusal, in_path};
use super::upload::Upload;
use crate::contest::packages::{self, Package, PackageSet, WHEEL_BYTES};
use crate::contest::{db as contest_db, entry, terms_digest};
use crate::ids::{PackageId, UserId};
use crate::lab::ask;
use crate::people::Actor;
use crate::web::App;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(remove))
        .routes(routes!(list_everybodys))
        .routes(routes!(remove_everybodys))
}

pub(super) fn uploads() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(add)).routes(routes!(add_everybodys))
}

/// A package.
#[derive(Serialize, ToSchema)]
pub(super) struct PackageView {
    /// Its id.
    pub id: Uuid,
    /// The project's name as indexes compare it.
    #[schema(example = "holidays")]
    pub name: String,
    /// Its version.
    #[schema(example = "0.57")]
    pub version: String,
    /// The wheel's file name.
    #[schema(example = "holidays-0.57-py3-none-any.whl")]
    pub file_name: String,
    /// Bytes of the wheel.
    pub size: u64,
    /// Bytes of what it holds.
    pub unpacked: u64,
    /// The wheel's SM3, in hexadecimal.
    pub digest: String,
    /// Projects that it cannot do without and that neither the image nor the packages here have.
    pub lacks: Vec<String>,
    /// The version that the image has of the same project, which comes before it.
    pub in_image: Option<String>,
    /// Whether it is not used, since the organizer's bring the same project or file.
    pub left_out: bool,
    /// When it was added.
    pub added_at: Time,
}

/// The packages that somebody finds.
#[derive(Serialize, ToSchema)]
pub(super) struct PackageList {
    /// The organizer's, for everybody.
    pub shared: Vec<PackageView>,
    /// The asker's own; on the desk none.
    pub own: Vec<PackageView>,
}

/// What is sent to add a package.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form; it is read field by field")]
pub(super) struct PackageForm {
    /// The wheel, under the file name that pip gave it.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
}

fn view(package: &Package, set: &PackageSet, left_out: bool) -> PackageView {
    PackageView {
        id: package.id.0,
        name: package.name.clone(),
        version: package.version.clone(),
        file_name: package.file_name.clone(),
        size: package.size,
        unpacked: package.unpacked,
        digest: package.digest.clone(),
        lacks: set.lacks(package),
        in_image: packages::in_image(&package.name).map(str::to_owned),
        left_out,
        added_at: Time(package.added_at),
    }
}

async fn listed(app: &App, here: &Here, user: Option<UserId>) -> Answer<Json<PackageList>> {
    let found = packages::found(&app.house, here.competition.id, user).await?;
    let shared = found.set.shared.iter().map(|package| view(package, &found.set, false)).collect();
    let own = found.own.iter().map(|(package, out)| view(package, &found.set, *out)).collect();
    Ok(Json(PackageList { shared, own }))
}

/// Somebody who may have packages here: who takes part, where sandboxes are offered or code is taken.
async fn taking_part<'a>(app: &App, here: &'a Here, actor: &'a Actor) -> Answer<&'a Actor> {
    let mut conn = app.db.read().await?;
    let phases = contest_db::phases(&mut conn, here.competition.id).await?;
    if !ask::is_offered(&here.competition) && !packages::takes_code(&phases) {
        return Err(Refusal::not_found());
    }
    let terms = terms_digest(&mut conn, &here.competition).await?;
    entry::admitted(&mut conn, &here.competition, actor.user, &terms).await?;
    Ok(actor)
}

async fn take(
    app: &App,
    here: &Here,
    actor: &Actor,
    whose: Option<UserId>,
    multipart: Result<Multipart, MultipartRejection>,
) -> Answer<(StatusCode, Json<PackageView>)> {
    let Upload { file_name, file, .. } = Upload::take(app, actor, multipart, (&[], WHEEL_BYTES)).await?;
    let content = file.open().await?;
    let added =
        packages::add(&app.house, &here.competition, whose, actor.into(), &file_name, content).await?;
    let set = PackageSet::now(&mut *app.db.read().await?, here.competition.id, whose).await?;
    Ok((StatusCode::CREATED, Json(view(&added, &set, false))))
}

/// The package that a path names.
struct Named(PackageId);

impl FromRequestParts<App> for Named {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Answer<Self> {
        let id = in_path(parts, app, "id").await?;
        id.parse().map(Self).map_err(|_| Refusal::not_found())
    }
}

/// The organizer's extra packages, and one's own.
#[utoipa::path(
    get, path = "/competitions/{slug}/packages", tag = "packages", security(("token" = [])),
    params(("slug" = String, Path, description = "the competition's short name")),
    responses((status = 200, body = PackageList))
)]
async fn list(State(app): State<App>, here: Here) -> Answer<Json<PackageList>> {
    let actor = taking_part(&app, &here, here.person()?).await?;
    listed(&app, &here, Some(actor.user)).await
}

/// Add a package of one's own: for one's sandbox, and for what one submits from then on.
#[utoipa::path(
    post, path = "/competitions/{slug}/packages", tag = "packages", security(("token" = [])),
    params(("slug" = String, Path, description = "the competition's short name")),
    request_body(content = PackageForm, content_type = "multipart/form-data"),
    responses((status = 201, body = PackageView, description = "checked and added"))
)]
async fn add(
    State(app): State<App>,
    here: Here,
    multipart: Result<Multipart, MultipartRejection>,
) -> Answer<(StatusCode, Json<PackageView>)> {
    let actor = taking_part(&app, &here, here.participant()?).await?;
    take(&app, &here, actor, Some(actor.user), multipart).await
}

/// Remove a package of one's own; what was submitted with it keeps it.
#[utoipa::path(
    delete, path = "/competitions/{slug}/packages/{id}", tag = "packages", security(("token" = [])),
    params(
        ("slug" = String, Path, description = "the competition's short name"),
        ("id" = Uuid, Path, description = "the package"),
    ),
    responses((status = 204, description = "removed"))
)]
async fn remove(State(app): State<App>, here: Here, Named(id): Named) -> Answer<StatusCode> {
    let actor = here.participant()?;
    packages::remove(&app.house, here.competition.id, Some(actor.user), id, actor.into()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The extra packages that everybody finds.
#[utoipa::path(
    get, path = "/competitions/{slug}/desk/packages", tag = "desk", security(("token" = [])),
    params(("slug" = String, Path, description = "the competition's short name")),
    responses((status = 200, body = PackageList))
)]
async fn list_everybodys(State(app): State<App>, here: Here) -> Answer<Json<PackageList>> {
    here.organizer()?;
    listed(&app, &here, None).await
}

/// Add a package for everybody.
#[utoipa::path(
    post, path = "/competitions/{slug}/desk/packages", tag = "desk", security(("token" = [])),
    params(("slug" = String, Path, description = "the competition's short name")),
    request_body(content = PackageForm, content_type = "multipart/form-data"),
    responses((status = 201, body = PackageView, description = "checked and added"))
)]
async fn add_everybodys(
    State(app): State<App>,
    here: Here,
    multipart: Result<Multipart, MultipartRejection>,
) -> Answer<(StatusCode, Json<PackageView>)> {
    let actor = here.organizer()?;
    take(&app, &here, actor, None, multipart).await
}

/// Remove a package of everybody's; what was submitted with it keeps it.
#[utoipa::path(
    delete, path = "/competitions/{slug}/desk/packages/{id}", tag = "desk", security(("token" = [])),
    params(
        ("slug" = String, Path, description = "the competition's short name"),
        ("id" = Uuid, Path, description = "the package"),
    ),
    responses((status = 204, description = "removed"))
)]
async fn remove_everybodys(State(app): State<App>, here: Here, Named(id): Named) -> Answer<StatusCode> {
    let actor = here.organizer()?;
    packages::remove(&app.house, here.competition.id, None, id, actor.into()).await?;
    Ok(StatusCode::NO_CONTENT)
}
