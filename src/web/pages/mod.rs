//! The pages, one file a subject; each gives a router that [`router`] takes in.

mod account;
mod admin;
mod audit_log;
pub(in crate::web) mod competition;
mod desk;
pub(in crate::web) mod judging;
mod landing;
mod register;
mod sign_in;
mod styleguide;
mod trying;

use axum::Router;

use super::App;

/// Every page. A new subject is merged here.
pub(super) fn router() -> Router<App> {
    Router::new()
        .merge(landing::router())
        .merge(sign_in::router())
        .merge(register::router())
        .merge(account::router())
        .merge(admin::router())
        .merge(competition::router())
        .merge(desk::router())
        .merge(judging::router())
        .merge(audit_log::router())
        .merge(styleguide::router())
}

/// Pages that take uploads: without the limits on time and size of ordinary forms; they keep their
/// own cap.
pub(super) fn uploads() -> Router<App> {
    competition::uploads().merge(desk::uploads())
}
