//! `/styleguide`: every piece that pages are made of, for whoever makes pages.

use axum::Router;
use axum::response::Response;
use axum::routing::get;

use crate::web::App;
use crate::web::error::{FieldFault, PageError};
use crate::web::guard::Admin;
use crate::web::page::Frame;

pub(super) fn router() -> Router<App> {
    Router::new().route("/styleguide", get(show))
}

async fn show(frame: Frame, _: Admin) -> Result<Response, PageError> {
    let faults = frame.faults(&[FieldFault::new("login", "login-taken")]);
    frame.page("styleguide.html").with("faults", &faults).render()
}
