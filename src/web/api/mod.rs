//! REST under `/api/v1`, described by OpenAPI 3.1 at `/api/openapi.json`. One file a subject; each
//! gives an `OpenApiRouter` that [`router`] takes in.

mod me;

use axum::Router;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;

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

/// Every route of the API but uploads, and its description. A new subject is merged here.
pub(super) fn router() -> (Router<App>, utoipa::openapi::OpenApi) {
    OpenApiRouter::with_openapi(Description::openapi()).nest("/api/v1", me::router()).split_for_parts()
}

/// Routes that take uploads: without the limits on time and size of ordinary requests; they keep
/// their own cap.
pub(super) fn uploads() -> Router<App> {
    Router::new()
}
