//! The files a competition gives out, and nothing else of its bundle.

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use serde::Serialize;

use super::hall::Hall;
use super::stream::{self, As};
use crate::contest::db as contest_db;
use crate::contest::definition::{BundlePath, InputVisibility};
use crate::contest::model::{FileKind, PhaseTime, StoredFile};
use crate::store::{Class, ObjectKey};
use crate::web::App;
use crate::web::error::PageError;
use crate::web::page::Frame;

pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/competitions/{slug}/data", get(data))
        .route("/competitions/{slug}/files/{*path}", get(download))
}

/// What a file is given out as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Use {
    PublicData,
    StartingKit,
    InputData,
    IngestionProgram,
    ScoringProgram,
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

/// Everything that this visitor may download, by path. Data of a phase that has not begun is for
/// organizers alone, as the phase is not there to be worked on yet.
fn given_out(hall: &Hall) -> Vec<(Use, BundlePath, Vec<i64>)> {
    let d = &hall.competition.definition;
    let mut out: Vec<(Use, BundlePath, Vec<i64>)> = Vec::new();
    let mut give = |kind: Use, path: &Option<BundlePath>, phase: i64| {
        let Some(path) = path else { return };
        match out.iter_mut().find(|(_, p, _)| p == path) {
            Some((_, _, phases)) if !phases.contains(&phase) => phases.push(phase),
            Some(_) => {}
            None => out.push((kind, path.clone(), vec![phase])),
        }
    };
    for phase in &hall.phases {
        if phase.time(hall.now) == PhaseTime::Ahead && !hall.organizer {
            continue;
        }
        let p = phase.position;
        give(Use::PublicData, &phase.definition.public_data, p);
        give(Use::StartingKit, &phase.definition.starting_kit, p);
        for task in d.tasks.iter().filter(|t| phase.definition.tasks.contains(&t.index)) {
            if d.make_input_data_available && task.input == InputVisibility::Public {
                give(Use::InputData, &task.input_data, p);
            }
            if d.make_programs_available {
                give(Use::IngestionProgram, &task.ingestion_program, p);
                give(Use::ScoringProgram, &task.scoring_program, p);
            }
        }
    }
    // what is reference data under any name stays inside
    let secret = |path: &BundlePath| d.tasks.iter().any(|t| t.reference_data.as_ref() == Some(path));
    out.retain(|(_, path, _)| !secret(path));
    out
}

/// Whether a stored file may be streamed at all.
fn plain(file: &StoredFile) -> bool {
    file.object_key.parse::<ObjectKey>().is_ok_and(|key| key.class() == Class::Plain)
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
    for (r#use, path, phases) in given_out(&hall) {
        let Some(file) = stored.iter().find(|f| f.path == path && plain(f)) else { continue };
        files.push(FileView {
            r#use,
            name: save_name(&slug, file),
            folder: file.kind == FileKind::Directory,
            size: file.size,
            digest: file.digest.clone(),
            phases: phases.iter().filter_map(phase_name).collect(),
            path,
        });
    }
    files.sort_by_key(|file| file.r#use);
    let may = may_download(&hall);
    hall.page(&app, &frame, "competition/data.html", "data")
        .await?
        .with("files", &files)
        .with("datasets", &hall.competition.definition.datasets)
        .with("may_download", &may)
        .render()
}

/// Data is for those who accepted the terms, and for organizers.
fn may_download(hall: &Hall) -> bool {
    hall.organizer || (hall.admitted() && !hall.terms_due())
}

async fn download(
    frame: Frame,
    State(app): State<App>,
    Path((slug, path)): Path<(String, String)>,
) -> Result<Response, PageError> {
    let hall = Hall::enter(&app, &frame, &slug).await?;
    if !given_out(&hall).iter().any(|(_, given, _)| *given == path) {
        return Err(PageError::not_found());
    }
    if !may_download(&hall) {
        return Err(crate::contest::entry::EntryError::TermsNotAccepted.into());
    }
    let file = contest_db::file(&mut *app.db.read().await?, hall.competition.id, &path).await?;
    let file = file.filter(plain).ok_or_else(PageError::not_found)?;
    stream::object(&app, &file.object_key, As::Download(&save_name(&slug, &file))).await
}
