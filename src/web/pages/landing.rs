//! The first page, and the choice of language.

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Form, Router};
use serde::Deserialize;

use crate::web::App;
use crate::web::error::PageError;
use crate::web::guard::safe_next;
use crate::web::lang::Lang;
use crate::web::page::Frame;
use crate::web::visit::LANG_COOKIE;

/// How long a browser keeps the chosen language.
const LANG_KEPT: Duration = Duration::from_secs(365 * 86_400);

pub(super) fn router() -> Router<App> {
    Router::new().route("/", get(landing)).route("/language", post(language))
}

async fn landing(frame: Frame, State(app): State<App>) -> Result<Response, PageError> {
    let running = super::competition::running(&app, &frame).await?;
    let latest = super::competition::latest(&app, &frame).await?;
    frame.page("landing.html").with("cards", &running).with("latest", &latest).render()
}

#[derive(Deserialize)]
struct Choice {
    lang: String,
    #[serde(default)]
    next: String,
}

/// Keeps the choice on this browser.
async fn language(frame: Frame, State(app): State<App>, Form(choice): Form<Choice>) -> Response {
    if let Some(lang) = Lang::from_tag(&choice.lang) {
        frame.visit().set_cookie(&app, LANG_COOKIE, lang.tag().to_owned(), Some(LANG_KEPT));
    }
    frame.go(safe_next(&choice.next))
}
