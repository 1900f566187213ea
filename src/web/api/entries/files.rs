//! The files of a team's entry.

use axum::Json;
use axum::extract::multipart::{Multipart, MultipartRejection};
use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{EntryDocument, Place, document};
use crate::ids::EntryFileId;
use crate::judging::entries::{self, Change, Content, Draft, FileKind, db, look_over};
use crate::store::ObjectError;
use crate::web::App;
use crate::web::api::ask::{Answer, Here, Misread, Refusal, in_path};
use crate::web::api::upload::Upload;
use crate::web::entries::respond;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(file, remove_file))
}

pub(in crate::web::api) fn uploads() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(add_file))
}

/// What is sent to add a file.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form; it is read field by field")]
pub(in crate::web::api) struct EntryFileForm {
    /// The revision that was read.
    revision: i64,
    /// A PNG, JPEG or WebP picture, or a PDF; told apart by its content.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
    /// What stands under a picture.
    caption: Option<String>,
}

/// The file that a path names.
struct Named(EntryFileId);

impl FromRequestParts<App> for Named {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Answer<Self> {
        let id = in_path(parts, app, "id").await?;
        id.parse().map(Self).map_err(|_| Refusal::not_found())
    }
}

/// Add a picture behind those there are, or the report as PDF in place of the one there is.
#[utoipa::path(
    post, path = "/competitions/{slug}/entry/files", tag = "entries", security(("token" = [])),
    params(("slug" = String, Path, description = "the competition's short name")),
    request_body(content = EntryFileForm, content_type = "multipart/form-data"),
    responses((status = 201, body = EntryDocument, description = "checked and added"))
)]
async fn add_file(
    State(app): State<App>,
    here: Here,
    multipart: Result<Multipart, MultipartRejection>,
) -> Answer<(StatusCode, Json<EntryDocument>)> {
    let actor = here.participant()?;
    let place = Place::of(&app, &here, actor, true).await?;
    let cap = place.rules.picture_bytes.max(place.rules.report_bytes);
    let sent = Upload::take(&app, actor, multipart, (&["revision", "caption"], cap)).await?;
    let revision = match sent.text("revision").trim() {
        "" => 0,
        number => number.parse().map_err(|_| Misread::field("revision", "required"))?,
    };
    let bytes = sent.file.bytes().await?;
    if bytes.is_empty() {
        return Err(Misread::field("file", "required").into());
    }
    let is_report = bytes.starts_with(b"%PDF-");
    let cap = if is_report { place.rules.report_bytes } else { place.rules.picture_bytes };
    if bytes.len() as u64 > cap {
        return Err(ObjectError::TooLarge { object: "file".to_owned(), cap }.into());
    }
    let kind = if is_report { FileKind::Report } else { FileKind::Picture };
    let incoming = look_over(kind, bytes, sent.text("caption")).await?;
    let content = draft_of(&app, &place).await?;
    let (pictures, pdf) = if is_report { (Vec::new(), Some(incoming)) } else { (vec![incoming], None) };
    let change = Change { seen: revision, content, pictures, pdf, asked: true };
    entries::save(&app.house, place.desk(&here), actor.into(), change).await?;
    Ok((StatusCode::CREATED, document(&app, &here, &place).await?))
}

async fn draft_of(app: &App, place: &Place) -> Answer<Content> {
    let mut conn = app.db.read().await?;
    let Some(entry) = db::of_team(&mut conn, place.team.id).await? else { return Ok(Content::default()) };
    Ok(db::draft(&mut conn, entry.id).await?.content)
}

/// A file of one's team's entry.
#[utoipa::path(
    get, path = "/competitions/{slug}/entry/files/{id}", tag = "entries", security(("token" = [])),
    params(
        ("slug" = String, Path, description = "the competition's short name"),
        ("id" = Uuid, Path, description = "the file"),
    ),
    responses((status = 200, description = "the file, as it is kept", content_type = "application/octet-stream"))
)]
async fn file(State(app): State<App>, here: Here, Named(id): Named) -> Answer<Response> {
    let place = Place::of(&app, &here, here.person()?, false).await?;
    let mut conn = app.db.read().await?;
    let entry = db::of_team(&mut conn, place.team.id).await?.ok_or_else(Refusal::not_found)?;
    let (file, reader) = entries::open_any(&app.house, &mut conn, entry.id, id).await?;
    Ok(respond(entry.number, &file, reader))
}

/// Take a file out of the draft; versions that have it keep it.
#[utoipa::path(
    delete, path = "/competitions/{slug}/entry/files/{id}", tag = "entries", security(("token" = [])),
    params(
        ("slug" = String, Path, description = "the competition's short name"),
        ("id" = Uuid, Path, description = "the file"),
    ),
    responses((status = 200, body = EntryDocument))
)]
async fn remove_file(State(app): State<App>, here: Here, Named(id): Named) -> Answer<Json<EntryDocument>> {
    let actor = here.participant()?;
    let place = Place::of(&app, &here, actor, false).await?;
    let mut conn = app.db.read().await?;
    let entry = db::of_team(&mut conn, place.team.id).await?.ok_or_else(Refusal::not_found)?;
    let Draft { mut content, revision, .. } = db::draft(&mut conn, entry.id).await?;
    drop(conn);
    if !content.files().any(|named| named == id) {
        return Err(Refusal::not_found());
    }
    content.pictures.retain(|picture| picture.file != id);
    content.pdf = content.pdf.filter(|pdf| *pdf != id);
    let change = Change { seen: revision, content, pictures: Vec::new(), pdf: None, asked: true };
    entries::save(&app.house, place.desk(&here), actor.into(), change).await?;
    document(&app, &here, &place).await
}
