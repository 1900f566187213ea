//! REST under `/api/v1`, described by OpenAPI 3.1 at `/api/openapi.json`. One file a subject; each
//! gives an `OpenApiRouter` that [`router`] takes in.

mod ask;
mod bundles;
mod competitions;
mod desk;
mod dry_run;
mod entries;
mod entry;
mod files;
mod judging;
mod judging_desk;
mod leaderboard;
mod me;
mod own_sandbox;
mod packages;
mod probes;
mod sandboxes;
mod spool;
mod submissions;
mod submit;
mod tokens;
mod upload;

use axum::{Router, middleware};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::response::Response;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, Ref, RefOr};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Shuyu 数域",
        description = "Competitions and courses on public data that may not leave its domain. \
                       Errors are application/problem+json (RFC 9457)."
    ),
    components(schemas(ProblemDocument, FieldProblem)),
    modifiers(&Tokens)
)]
struct Description;

/// An error (RFC 9457).
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes the document; the errors write it")]
struct ProblemDocument {
    /// `urn:shuyu:problem:CODE`.
    r#type: String,
    /// What happened.
    title: String,
    /// The HTTP status.
    status: u16,
    /// Why.
    detail: String,
    /// `urn:shuyu:request:NUMBER`; support asks for the number.
    instance: String,
    /// The kind of error, in kebab case.
    code: String,
    /// What to do.
    mend: String,
    /// The fields that cannot be taken.
    errors: Option<Vec<FieldProblem>>,
}

/// A field that cannot be taken.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes the document; the errors write it")]
struct FieldProblem {
    /// The field.
    field: String,
    /// The kind of fault, in kebab case.
    code: String,
    /// What is wrong with it.
    text: String,
}

struct Tokens;

impl Modify for Tokens {
    fn modify(&self, description: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("An API token, made under 帐户 → 令牌 (account, tokens)."))
            .build();
        let components = description.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

/// A time, as RFC 3339 in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, format = DateTime, example = "2026-11-23T08:00:00Z")]
struct Time(Timestamp);

/// Every route of the API but uploads, and the description of all. A new subject is merged here.
pub(super) fn router() -> (Router<App>, utoipa::openapi::OpenApi) {
    let subjects = me::router()
        .merge(competitions::router())
        .merge(files::router())
        .merge(submissions::router())
        .merge(probes::router())
        .merge(leaderboard::router())
        .merge(entry::router())
        .merge(tokens::router())
        .merge(desk::router())
        .merge(sandboxes::router())
        .merge(entries::router())
        .merge(packages::router())
        .merge(judging::router())
        .merge(judging_desk::router())
        .merge(own_sandbox::router());
    let (router, description) =
        OpenApiRouter::with_openapi(Description::openapi()).nest("/api/v1", subjects).split_for_parts();
    let (_, of_uploads) = upload_routes().split_for_parts();
    let mut description = description.merge_from(of_uploads);
    for (path, item) in &mut description.paths.paths {
        for (method, operation) in operations(item) {
            operation.operation_id = Some(operation_id(method, path));
            describe_errors(operation);
        }
    }
    (router, description)
}

fn upload_routes() -> OpenApiRouter<App> {
    let routes = OpenApiRouter::new()
        .routes(routes!(submit::submit))
        .routes(routes!(dry_run::dry_run))
        .merge(packages::uploads())
        .merge(entries::uploads())
        .merge(bundles::router());
    OpenApiRouter::new().nest("/api/v1", routes)
}

/// Routes that take uploads: without the limits on time and size of ordinary requests; they keep
/// their own cap.
pub(super) fn uploads() -> Router<App> {
    let (router, _) = upload_routes().split_for_parts();
    router.layer(middleware::from_fn(spool::linger))
}

fn operations(path: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    let PathItem { get, put, post, delete, patch, .. } = path;
    let all = [("get", get), ("put", put), ("post", post), ("delete", delete), ("patch", patch)];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// `get_competitions_slug_files` for GET on `/api/v1/competitions/{slug}/files`.
fn operation_id(method: &str, path: &str) -> String {
    let parts = path.trim_start_matches("/api/v1/").split('/').map(|part| part.trim_matches(['{', '}']));
    std::iter::once(method).chain(parts).collect::<Vec<_>>().join("_")
}

/// Every operation may end in an error, always in the same form.
fn describe_errors(operation: &mut Operation) {
    let mut problem = Response::new("the request was refused or failed (RFC 9457)");
    let schema = Ref::from_schema_name("ProblemDocument");
    problem
        .content
        .insert("application/problem+json".into(), RefOr::T(Content::new(Some(RefOr::Ref(schema)))));
    operation.responses.responses.insert("default".into(), RefOr::T(problem));
}
