//! Competition bundles: taken in with everything there is to say about them, and given out.

use std::io;

use axum::Json;
use axum::body::Body;
use axum::extract::multipart::{Multipart, MultipartRejection};
use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use futures_util::TryStreamExt as _;
use serde::Serialize;
use serde_json::Value;
use tokio_util::io::{ReaderStream, StreamReader};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ask::{Answer, Here, Misread, Refusal, in_path};
use super::files::attachment;
use crate::contest::bundle::{Finding, Limits, Report, Severity};
use crate::contest::db as contest_db;
use crate::contest::import::{ImportError, Imported};
use crate::contest::{draft, export};
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
    let mut sent = None;
    while let Some(field) = fields.next_field().await.map_err(|e| Misread::broken(e.body_text()))? {
        if field.name() == Some("file") {
            let content = Box::pin(field.map_err(|error| io::Error::other(error.body_text())));
            // it holds the hidden data: sealed from its first byte on
            sent = Some(draft::receive(&app.house, actor.user, StreamReader::new(content), cap).await?);
            break;
        }
    }
    let sent = sent.ok_or_else(|| Misread::field("file", "required"))?;
    let images = ImageTable::with(app.settings.images.clone());
    let knows = move |name: &str| images.local(name).is_ok();
    let (report, imported) = draft::take(&app.house, sent, actor.user, (&slug, known), knows).await?;
    let Some(imported) = imported else { return Err(Faulty(report).into()) };
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
    let (file, size) = export::export_to_send(&app.house, &c.slug, actor.into()).await?;
    let headers = [
        (CONTENT_TYPE, "application/zip".to_owned()),
        (CONTENT_LENGTH, size.to_string()),
        attachment(&format!("{}.zip", c.slug)),
    ];
    Ok((headers, Body::from_stream(ReaderStream::new(file))).into_response())
}
