//! Competition bundles: taken in with everything there is to say about them, and given out.

use axum::Json;
use axum::body::Body;
use axum::extract::multipart::{Multipart, MultipartRejection};
use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use serde_json::Value;
use std::path::{Path, PathBuf};
use tokio_util::io::ReaderStream;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ask::{Answer, Here, Misread, Refusal, in_path};
use super::files::attachment;
use super::spool::Spooled;
use crate::audit::{self, Entry};
use crate::contest::bundle::{self, Bundle, BundleError, Finding, Limits, Report, Severity};
use crate::contest::db as contest_db;
use crate::contest::import::{self, ImportError, Imported};
use crate::ids::CompetitionId;
use crate::sandbox::ImageTable;
use crate::web::App;
use crate::web::error::{Explain, FieldFault};
use crate::web::guard::Bearer;
use crate::web::limits::Limited;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(put, get))
}

/// The bundle to take in.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form; it is read field by field")]
pub(super) struct BundleForm {
    /// A zip with competition.yaml.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
}

/// What taking in a bundle did.
#[derive(Serialize, ToSchema)]
pub(super) struct ImportView {
    /// The competition's short name.
    #[schema(example = "flight-delay")]
    pub slug: String,
    /// Whether it is new; then it is a draft until it is published.
    pub created: bool,
    /// Counts the imports, from 1.
    pub revision: i64,
    /// What is declared otherwise than before.
    pub changes: Vec<ChangeView>,
    /// Files that are new or changed.
    pub files: Vec<String>,
    /// What the reader has to say about the bundle.
    pub findings: Vec<FindingView>,
}

/// One value that is declared otherwise than before.
#[derive(Serialize, ToSchema)]
pub(super) struct ChangeView {
    /// Where.
    #[schema(example = "phases[1].end")]
    pub path: String,
    /// The value before; null when it is new.
    #[schema(value_type = Option<Object>)]
    pub old: Option<Value>,
    /// The value now; null when it was removed.
    #[schema(value_type = Option<Object>)]
    pub new: Option<Value>,
}

/// Something found in a bundle.
#[derive(Serialize, ToSchema)]
pub(super) struct FindingView {
    /// `error`, `warning` or `note`.
    #[schema(value_type = String, example = "warning")]
    pub severity: Severity,
    /// The kind of finding.
    #[schema(example = "phase-overlap")]
    pub code: String,
    /// The file in the bundle.
    #[schema(example = "competition.yaml")]
    pub file: String,
    /// The key in that file.
    #[schema(example = "phases[1].start")]
    pub key: String,
    /// The line in that file, counted from 1.
    pub line: Option<u64>,
    /// What is wrong.
    pub problem: String,
    /// How to mend it.
    pub mend: String,
}

fn finding(found: &Finding) -> FindingView {
    let Finding { severity, code, file, key, line, problem, mend } = found.clone();
    FindingView { severity, code, file, key, line, problem, mend }
}

/// A bundle with errors: every finding is a fault of the answer.
#[derive(Debug, thiserror::Error)]
#[error("the bundle has {} errors", .0.count(Severity::Error))]
struct Faulty(Report);

impl Explain for Faulty {
    fn status(&self) -> StatusCode {
        StatusCode::UNPROCESSABLE_ENTITY
    }

    fn code(&self) -> &'static str {
        "bundle-faulty"
    }

    fn faults(&self) -> Vec<FieldFault> {
        let fault = |found: &Finding| {
            let line = found.line.map(|line| format!(":{line}")).unwrap_or_default();
            let mut fault =
                FieldFault::new(format!("{}{line} {}", found.file, found.key).trim_end(), "finding");
            fault.code = found.code.clone().into();
            fault.text = Some(format!("{}; mend: {}", found.problem, found.mend));
            fault
        };
        self.0.findings.iter().filter(|found| found.severity == Severity::Error).map(fault).collect()
    }
}

/// A directory of the work directory that is gone when this is dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn under(app: &App, folder: &Path) -> Result<Self, BundleError> {
        let path = folder.join(format!("shuyu-bundle-{}", hex::encode(app.entropy.bytes::<12>())));
        let failed = |source| BundleError::Io { what: format!("making {}", path.display()), source };
        for part in ["bundle", "packed"] {
            std::fs::create_dir_all(path.join(part)).map_err(failed)?;
        }
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "a bundle's directory could not be removed");
        }
    }
}

/// The short name that a path gives, and whoever may take in a bundle under it.
struct Target {
    slug: String,
    known: Option<CompetitionId>,
    bearer: Bearer,
}

impl FromRequestParts<App> for Target {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Answer<Self> {
        let bearer = <Bearer as FromRequestParts<App>>::from_request_parts(parts, app).await?;
        let slug = in_path(parts, app, "slug").await?;
        let known = contest_db::by_slug(&mut *app.db.read().await?, &slug).await?;
        let Bearer(actor) = &bearer;
        match known {
            Some(competition) if actor.may_manage(competition.id) => {
                Ok(Self { slug, known: Some(competition.id), bearer })
            }
            Some(_) if actor.may_create_competitions() => Err(ImportError::NotYours(slug).into()),
            None if actor.may_create_competitions() => Ok(Self { slug, known: None, bearer }),
            _ => Err(Refusal::forbidden()),
        }
    }
}

/// Take in a bundle.
///
/// Taking in the same one again changes nothing; a changed one keeps every submission. A bundle with
/// errors is refused with all that was found in it.
#[utoipa::path(
    put, path = "/competitions/{slug}/bundle", tag = "desk", security(("token" = [])),
    params(("slug" = String, Path, description = "the competition's short name, new or known")),
    request_body(content = BundleForm, content_type = "multipart/form-data"),
    responses((status = 200, body = ImportView), (status = 201, body = ImportView, description = "it is new"))
)]
async fn put(
    State(app): State<App>,
    target: Target,
    multipart: Result<Multipart, MultipartRejection>,
) -> Answer<(StatusCode, Json<ImportView>)> {
    let Target { slug, known, bearer: Bearer(actor) } = target;
    app.limits.check(Limited::Upload, &actor.user.to_string())?;
    let mut fields = multipart.map_err(|_| Misread::media_type("multipart/form-data"))?;
    let cap = Limits::default().unpack.total_bytes;
    let mut file = None;
    while let Some(field) = fields.next_field().await.map_err(|e| Misread::broken(e.body_text()))? {
        if field.name() == Some("file") {
            file = Some(Spooled::take(&app, field, cap).await?);
        }
    }
    let file = file.ok_or_else(|| Misread::field("file", "required"))?;
    let scratch = Scratch::under(&app, &app.settings.work_dir.join("spool"))?;
    let (bundle, report) = read(&app, &file, &scratch).await?;
    let Some(bundle) = bundle else { return Err(Faulty(report).into()) };
    let packed = scratch.0.join("packed");
    let imported = import::import_over(&app.house, &bundle, (&slug, known), actor.user, &packed).await?;
    let status = if imported.created { StatusCode::CREATED } else { StatusCode::OK };
    let Imported { competition, created, changes, files } = imported;
    let changes = changes.into_iter().map(|c| ChangeView { path: c.path, old: c.old, new: c.new });
    let view = ImportView {
        slug: competition.slug,
        created,
        revision: competition.revision,
        changes: changes.collect(),
        files,
        findings: report.findings.iter().map(finding).collect(),
    };
    Ok((status, Json(view)))
}

async fn read(app: &App, file: &Spooled, scratch: &Scratch) -> Answer<(Option<Bundle>, Report)> {
    let (path, staging) = (scratch.0.join("bundle.zip"), scratch.0.join("bundle"));
    let moved = tokio::fs::rename(file.path(), &path).await;
    moved.map_err(|source| BundleError::Io { what: "keeping the bundle".to_owned(), source })?;
    let images = ImageTable::with(app.settings.images.clone());
    let reading = tokio::task::spawn_blocking(move || {
        let knows = |name: &str| images.local(name).is_ok();
        let setting = "SHUYU_IMAGES (or [images] in the configuration)";
        let table = bundle::ImageTable { knows: &knows, setting };
        bundle::read_with_images(&path, &staging, &Limits::default(), Some(table))
    });
    let read = reading.await.map_err(|error| BundleError::Io {
        what: "reading the bundle".to_owned(),
        source: std::io::Error::other(error),
    })?;
    Ok(read?)
}

/// Get the competition as a bundle that imports to the same competition.
///
/// The zip holds the hidden data in plain: keep it like the data itself. That it was given out is
/// written to the audit log.
#[utoipa::path(
    get, path = "/competitions/{slug}/bundle", tag = "desk", security(("token" = [])),
    params(("slug" = String, Path, description = "the competition's short name")),
    responses((status = 200, description = "the bundle", content_type = "application/zip"))
)]
async fn get(State(app): State<App>, here: Here) -> Answer<Response> {
    let actor = here.organizer()?;
    let c = &here.competition;
    // hidden data lies in plain on a tmpfs only, and only until it is sent
    let scratch = Scratch::under(&app, Path::new("/dev/shm"))?;
    let target = scratch.0.join("bundle.zip");
    import::export(&app.house, &c.slug, &target).await?;
    let entry = Entry::new(app.clock.now(), actor.into(), "competition.exported", ("competition", c.id));
    let mut tx = app.db.begin().await?;
    audit::record(&mut tx, entry.competition(c.id)).await?;
    tx.commit().await?;
    let opened = tokio::fs::File::open(&target).await;
    let failed = |source| BundleError::Io { what: "opening the bundle".to_owned(), source };
    let file = opened.map_err(failed)?;
    let size = file.metadata().await.map_err(failed)?.len();
    drop(scratch);
    let headers = [
        (CONTENT_TYPE, "application/zip".to_owned()),
        (CONTENT_LENGTH, size.to_string()),
        attachment(&format!("{}.zip", c.slug)),
    ];
    Ok((headers, Body::from_stream(ReaderStream::new(file))).into_response())
}
