//! The organizer's desk: what needs a decision, people, submissions, dates, exports, the bundle.

mod announcements;
mod bundle;
mod dry_run;
mod entries;
mod exports;
mod home;
mod judging;
mod packages;
mod participants;
mod rescore;
mod sandboxes;
mod settings;
mod submission;
mod submissions;

use axum::Router;

use crate::web::App;

pub(super) fn router() -> Router<App> {
    Router::new()
        .merge(home::router())
        .merge(participants::router())
        .merge(submissions::router())
        .merge(submission::router())
        .merge(dry_run::router())
        .merge(rescore::router())
        .merge(sandboxes::router())
        .merge(packages::router())
        .merge(entries::router())
        .merge(judging::router())
        .merge(settings::router())
        .merge(announcements::router())
        .merge(exports::router())
        .merge(bundle::router())
}

pub(super) fn uploads() -> Router<App> {
    bundle::uploads().merge(dry_run::uploads()).merge(packages::uploads()).merge(exports::long())
}
