//! Static files, embedded, under addresses that change with their content.

use std::sync::OnceLock;

use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;
use sm3::{Digest as _, Sm3};

use super::error::PageError;

#[derive(RustEmbed)]
#[folder = "$CARGO_MANIFEST_DIR/static"]
struct StaticFiles;

/// Twelve digits of the digest of all static files: one changed file gives all of them new
/// addresses, and modules can import each other by relative path.
fn version() -> &'static str {
    static VERSION: OnceLock<String> = OnceLock::new();
    VERSION.get_or_init(|| {
        let mut names: Vec<_> = StaticFiles::iter().collect();
        names.sort();
        let mut digest = Sm3::new();
        for name in names {
            digest.update(name.as_bytes());
            if let Some(file) = StaticFiles::get(&name) {
                digest.update(&file.data);
            }
        }
        hex::encode(&digest.finalize()[..6])
    })
}

/// The address of a static file, as `/static/0123456789ab/app.css`.
pub(super) fn address(path: &str) -> Option<String> {
    StaticFiles::get(path).map(|_| format!("/static/{}/{path}", version()))
}

/// `GET /static/{version}/{*path}`. Files of another version are served too, but not kept: a page
/// from before an update still asks for them.
pub(super) async fn serve(Path((asked, path)): Path<(String, String)>) -> Result<Response, PageError> {
    let file = StaticFiles::get(&path).ok_or_else(PageError::not_found)?;
    let kind = match path.rsplit('.').next() {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    };
    let lasting = asked == version() && !cfg!(debug_assertions);
    let cache = if lasting { "public, max-age=31536000, immutable" } else { "no-cache" };
    Ok(([(CONTENT_TYPE, kind), (CACHE_CONTROL, cache)], file.data).into_response())
}
