//! Judging as judges see it: where they judge, what is theirs to mark, the sheet of an entry.

mod app;
mod explain;
mod marking;
mod mine;
mod seen;
mod sheet_view;

use axum::Router;

use crate::web::App;

pub(in crate::web::pages) use seen::view as seen_by_judges;
pub(in crate::web) use sheet_view::{criteria, number};

pub(super) fn router() -> Router<App> {
    Router::new().merge(mine::router()).merge(marking::router()).merge(seen::router()).merge(app::router())
}
