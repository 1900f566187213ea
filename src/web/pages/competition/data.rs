//! The files a competition gives out, and nothing else of its bundle.

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use serde::Serialize;

use super::hall::Hall;
use super::stream::{self, As};
use crate::contest::db as contest_db;
use crate::contest::entry::EntryError;
use crate::contest::given::{self, Given, Use};
use crate::contest::model::{FileKind, StoredFile};
use crate::web::App;
use crate::web::error::PageError;
use crate::web::page::Frame;

pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/competitions/{slug}/data", get(data))
        .route("/competitions/{slug}/files/{*path}", get(download))
}

/// A file on the page.
#[derive(Serialize)]
struct FileView {
    r#use: Use,
    path: String,
    name: String,
    folder: bool,
    size: u64,
    digest: String,
    phases: Vec<String>,
}

/// Everything that this visitor may know of.
fn given_out(hall: &Hall) -> Vec<Given> {
    given::given_out(&hall.competition.definition, &hall.phases, hall.now, hall.organizer)
}

/// The name a file is saved under: a folder is a zip of it.
fn save_name(slug: &str, file: &StoredFile) -> String {
    let last = file.path.trim_end_matches('/').rsplit('/').next().unwrap_or("file");
    match file.kind {
        FileKind::File => last.to_owned(),
        FileKind::Directory => format!("{slug}-{}.zip", file.path.trim_matches('/').replace('/', "-")),
    }
}

async fn data(frame: Frame, State(app): State<App>, Path(slug): Path<String>) -> Result<Response, PageError> {
    let hall = Hall::enter(&app, &frame, &slug).await?;
    let stored = contest_db::files(&mut *app.db.read().await?, hall.competition.id).await?;
    let phase_name = |position: &i64| {
        let phase = hall.phases.iter().find(|p| p.position == *position);
        phase.map(|p| hall.phase_name(p).to_owned())
    };
    let mut files = Vec::new();
    for Given { kind, path, phases } in given_out(&hall) {
        let Some(file) = stored.iter().find(|f| f.path == path && given::is_plain(f)) else { continue };
        files.push(FileView {
            r#use: kind,
            name: save_name(&slug, file),
            folder: file.kind == FileKind::Directory,
            size: file.size,
            digest: file.digest.clone(),
            phases: phases.iter().filter_map(phase_name).collect(),
            path,
        });
    }
    files.sort_by_key(|file| file.r#use);
    let may = hall.organizer || (hall.admitted() && !hall.terms_due());
    hall.page(&app, &frame, "competition/data.html", "data")
        .await?
        .with("files", &files)
        .with("datasets", &hall.competition.definition.datasets)
        .with("may_download", &may)
        .render()
}

async fn download(
    frame: Frame,
    State(app): State<App>,
    Path((slug, path)): Path<(String, String)>,
) -> Result<Response, PageError> {
    let hall = Hall::enter(&app, &frame, &slug).await?;
    if !given_out(&hall).iter().any(|given| given.path == path) {
        return Err(PageError::not_found());
    }
    let mut conn = app.db.read().await?;
    if !hall.organizer {
        let actor = frame.actor().ok_or(EntryError::TermsNotAccepted)?;
        given::may_have(&mut conn, &hall.competition, actor.user).await?;
    }
    let file = contest_db::file(&mut conn, hall.competition.id, &path).await?;
    drop(conn);
    let file = file.filter(given::is_plain).ok_or_else(PageError::not_found)?;
    stream::object(&app, &file.object_key, As::Download(&save_name(&slug, &file))).await
}
