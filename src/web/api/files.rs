//! Files that a competition gives out: starting kits, public data, and what the organizer makes
//! available. Anybody who sees the competition may know of them; those who take part and have accepted
//! its terms may have them. Nothing else of a bundle can be named here.

use axum::Json;
use axum::body::Body;
use axum::extract::{FromRequestParts, State};
use axum::http::HeaderName;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, ETAG};
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use tokio_util::io::ReaderStream;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ask::{Answer, Here, Refusal, in_path};
use crate::contest::db as contest_db;
use crate::contest::given::{Given, Use, given_out, is_plain, may_have};
use crate::contest::model::{FileKind, StoredFile};
use crate::store::ObjectKey;
use crate::web::App;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(one))
}

/// The characters of an extended header value (RFC 8187, `attr-char`) that need no encoding.
const IN_HEADER: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'-').remove(b'_');

/// The header that has a browser save the answer under a name (RFC 6266).
pub(super) fn attachment(name: &str) -> (HeaderName, String) {
    let value = format!("attachment; filename*=UTF-8''{}", utf8_percent_encode(name, IN_HEADER));
    (CONTENT_DISPOSITION, value)
}

/// A file to download.
#[derive(Clone, Serialize, ToSchema)]
pub(super) struct FileView {
    /// The name to save it under.
    #[schema(example = "starting_kit.zip")]
    pub name: String,
    /// Its path in the bundle; percent-encoded, part of its address.
    #[schema(example = "starting_kit")]
    pub path: String,
    /// `starting_kit`, `public_data`, `input_data` or `program`.
    #[schema(example = "starting_kit")]
    pub kind: &'static str,
    /// The phase it belongs to, counted from 0.
    #[schema(example = 0)]
    pub phase: i64,
    /// Its size in bytes.
    #[schema(example = 20480)]
    pub size: u64,
    /// Its SM3 digest, in hexadecimal.
    pub digest: String,
    /// Where it is.
    #[schema(example = "/api/v1/competitions/flight-delay/files/starting_kit")]
    pub url: String,
}

/// The files to download.
#[derive(Serialize, ToSchema)]
pub(super) struct FileList {
    /// The files, by phase.
    pub items: Vec<FileView>,
    /// How many there are.
    #[schema(example = 3)]
    pub total: usize,
}

/// The files that the asker may know of now: those of phases that have begun, for organizers all.
async fn open_files(app: &App, here: &Here) -> Answer<Vec<(FileView, StoredFile)>> {
    let mut conn = app.db.read().await?;
    let c = &here.competition;
    let (phases, stored) =
        (contest_db::phases(&mut conn, c.id).await?, contest_db::files(&mut conn, c.id).await?);
    drop(conn);
    let mut files = Vec::new();
    for Given { kind, path, phases } in
        given_out(&c.definition, &phases, app.clock.now(), here.is_organizer())
    {
        let Some(file) = stored.iter().find(|file| file.path == path && is_plain(file)) else { continue };
        let url = format!("/api/v1/competitions/{}/files/{}", c.slug, utf8_percent_encode(&path, IN_HEADER));
        let view = FileView {
            name: saved_as(file),
            kind: word(kind),
            phase: phases.first().copied().unwrap_or_default(),
            size: file.size,
            digest: file.digest.clone(),
            url,
            path,
        };
        files.push((view, file.clone()));
    }
    files.sort_by_key(|(view, _)| view.phase);
    Ok(files)
}

/// The kind of a file, as the API names it.
fn word(kind: Use) -> &'static str {
    match kind {
        Use::StartingKit => "starting_kit",
        Use::PublicData => "public_data",
        Use::InputData => "input_data",
        Use::IngestionProgram | Use::ScoringProgram => "program",
    }
}

fn saved_as(file: &StoredFile) -> String {
    let last = file.path.rsplit('/').next().unwrap_or(&file.path);
    match file.kind {
        FileKind::File => last.to_owned(),
        FileKind::Directory => format!("{last}.zip"),
    }
}

/// The files of a competition to download.
#[utoipa::path(
    get, path = "/competitions/{slug}/files", tag = "competitions", security((), ("token" = [])),
    params(("slug" = String, Path, description = "the competition's short name")),
    responses((status = 200, body = FileList))
)]
async fn list(State(app): State<App>, here: Here) -> Answer<Json<FileList>> {
    let items: Vec<FileView> = open_files(&app, &here).await?.into_iter().map(|(view, _)| view).collect();
    let total = items.len();
    Ok(Json(FileList { items, total }))
}

/// The path or name of a file, decoded.
struct Wanted(String);

impl FromRequestParts<App> for Wanted {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Answer<Self> {
        in_path(parts, app, "path").await.map(Self)
    }
}

/// Download a file of a competition.
///
/// It is for those who take part and have accepted the terms as they are now, and for organizers.
#[utoipa::path(
    get, path = "/competitions/{slug}/files/{path}", tag = "competitions", security(("token" = [])),
    params(
        ("slug" = String, Path, description = "the competition's short name"),
        ("path" = String, Path, description = "the file's path or name as listed, percent-encoded"),
    ),
    responses((status = 200, description = "the file", content_type = "application/octet-stream"))
)]
async fn one(State(app): State<App>, here: Here, Wanted(path): Wanted) -> Answer<Response> {
    let files = open_files(&app, &here).await?;
    let named = |(view, _): &&(FileView, StoredFile)| view.path == path;
    let found = files.iter().find(named).or_else(|| files.iter().find(|(view, _)| view.name == path));
    let (view, file) = found.ok_or_else(Refusal::not_found)?;
    if !here.is_organizer() {
        let user = here.person()?.user;
        may_have(&mut *app.db.read().await?, &here.competition, user).await?;
    }
    let key: ObjectKey = file.object_key.parse()?;
    let reader = app.house.objects.get_stream(&key).await?;
    let headers = [
        (CONTENT_TYPE, "application/octet-stream".to_owned()),
        (CONTENT_LENGTH, reader.size().to_string()),
        (ETAG, format!("\"{}\"", view.digest)),
        attachment(&view.name),
    ];
    Ok((headers, Body::from_stream(ReaderStream::new(reader))).into_response())
}
