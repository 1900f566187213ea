//! The pages of competitions. [`hall::Hall`] is one visitor in one competition: it decides nothing, but
//! knows what every page of it shows. One file a tab.

mod apps;
mod chart;
mod compare;
mod data;
mod demo;
mod entry;
mod faults;
pub(in crate::web) mod hall;
mod judged;
mod latest;
mod leaderboard;
mod list;
mod outbox;
mod overview;
pub(in crate::web::pages) mod packages;
pub(in crate::web::pages) mod probes;
pub(in crate::web::pages) mod sandbox;
mod showcase;
pub(in crate::web::pages) mod stream;
pub(in crate::web) mod submission;
mod submissions;
mod submit;
mod team;
pub(in crate::web::pages) mod upload;

pub(super) use latest::latest;
pub(super) use list::running;

use axum::Router;

use crate::web::App;

pub(super) fn router() -> Router<App> {
    Router::new()
        .merge(list::router())
        .merge(overview::router())
        .merge(data::router())
        .merge(team::router())
        .merge(submit::router())
        .merge(submissions::router())
        .merge(compare::router())
        .merge(submission::router())
        .merge(faults::router())
        .merge(probes::router())
        .merge(demo::router())
        .merge(leaderboard::router())
        .merge(sandbox::router())
        .merge(judged::router())
        .merge(packages::router())
        .merge(entry::router())
        .merge(showcase::router())
}

pub(super) fn uploads() -> Router<App> {
    submit::uploads().merge(packages::uploads()).merge(entry::uploads())
}
