//! The router with its layers.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::{
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::compression::CompressionLayer;
use tower_http::csrf::{CsrfLayer, ProtectionError};
use tower_http::timeout::TimeoutLayer;

use super::error::PageError;
use super::limits::Limited;
use super::visit::Visit;
use super::{App, api, assets, guard, health, pages, tunnel, visit};

/// The longest a page may take.
const PAGE_TIME: Duration = Duration::from_secs(30);
/// The largest form, in bytes; uploads have their own cap.
const FORM_BYTES: usize = 1 << 20;

/// Nothing may be loaded from elsewhere, no script or style stands in a page, nobody may frame us.
pub(super) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'; \
                      font-src 'self'";

/// The whole service as one router. Serve it with
/// `into_make_service_with_connect_info::<SocketAddr>()`.
pub fn router(app: App) -> Router {
    let (api, description) = api::router();
    let (api_uploads, page_uploads) = (api::uploads(), pages::uploads());
    let limited_api = api
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, PAGE_TIME))
        .layer(DefaultBodyLimit::max(FORM_BYTES))
        .merge(api_uploads.layer(upload_time(&app)).layer(DefaultBodyLimit::disable()))
        .route_layer(middleware::from_fn_with_state(app.clone(), limit_api));
    let quick = pages::router()
        .route("/api/openapi.json", get(move || async move { axum::Json(description) }))
        .route("/static/{version}/{*path}", get(assets::serve))
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, PAGE_TIME))
        .layer(DefaultBodyLimit::max(FORM_BYTES));
    let long = page_uploads.layer(upload_time(&app)).layer(DefaultBodyLimit::disable());
    let probes = Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics))
        .layer(middleware::from_fn_with_state(app.clone(), tunnel::own_origin));
    quick
        .merge(long)
        .merge(limited_api)
        .fallback(|| async { PageError::not_found() })
        .layer(csrf(&app))
        .layer(middleware::from_fn_with_state(app.clone(), tunnel::own_origin))
        .layer(middleware::from_fn_with_state(app.clone(), visit::around))
        .merge(probes)
        .layer(CompressionLayer::new())
        .layer(middleware::from_fn_with_state(app.clone(), headers))
        .layer(middleware::from_fn(health::measured))
        .with_state(app)
}

/// Sandboxes' own origins and nothing else, for a port of their own. Serve it as [`router`].
pub fn sandbox_router(app: App) -> Router {
    Router::new()
        .fallback(tunnel::alone)
        .layer(middleware::from_fn_with_state(app.clone(), visit::around))
        .layer(axum::Extension(tunnel::Alone))
        .layer(CompressionLayer::new())
        .layer(middleware::from_fn_with_state(app.clone(), headers))
        .layer(middleware::from_fn(health::measured))
        .with_state(app)
}

/// Serves sandboxes' own origins on a port of their own until `stop` fires, and then what is under way.
///
/// # Errors
/// When the port fails.
pub async fn serve_sandboxes(
    listener: TcpListener,
    app: App,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let service = sandbox_router(app).into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).with_graceful_shutdown(stop.cancelled_owned()).await
}

fn upload_time(app: &App) -> TimeoutLayer {
    let seconds = app.settings.upload.timeout_seconds;
    TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, Duration::from_secs(seconds))
}

/// Refuses a POST that another site's page sent (by `Sec-Fetch-Site` and `Origin`). The session's
/// cookie is `SameSite=Lax` besides. Programs send neither header and no cookie.
fn csrf(app: &App) -> CsrfLayer<impl Fn(ProtectionError) -> Response + Clone + use<>> {
    let layer = CsrfLayer::new();
    let layer = match layer.clone().add_trusted_origin(&app.settings.public_url) {
        Ok(trusting) => trusting,
        Err(error) => {
            tracing::warn!(%error, "public_url cannot be an origin; only same-origin forms are taken");
            layer
        }
    };
    layer.with_rejection_response(|error: ProtectionError| {
        tracing::info!(%error, "a request from another site was refused");
        PageError::plain(StatusCode::FORBIDDEN, "cross-site").into_response()
    })
}

async fn limit_api(State(app): State<App>, request: Request, next: Next) -> Response {
    let address = request.extensions().get::<std::sync::Arc<Visit>>().map(|visit| visit.address.clone());
    let key = match guard::bearer_secret(request.headers()) {
        Some(secret) => secret.chars().take(24).collect(),
        None => address.unwrap_or_default(),
    };
    match app.limits.check(Limited::Api, &key) {
        Ok(()) => next.run(request).await,
        Err(too_many) => super::error::Problem::from(too_many).into_response(),
    }
}

async fn headers(State(app): State<App>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let fixed: [(HeaderName, &'static str); 6] = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), microphone=(), geolocation=()"),
    ];
    for (name, value) in fixed {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    // a reverse proxy that gathers an answer before it passes it on would keep live updates back
    if headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream")) {
        headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    }
    if app.settings.is_https() {
        headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
    response
}
