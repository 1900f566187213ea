//! The web: pages, REST, live updates.
//!
//! Central types: [`App`] is what every handler has at hand, [`Frame`](page::Frame) makes pages, the
//! extractors of [`guard`] say who asks, [`PageError`](error::PageError) and
//! [`Problem`](error::Problem) are what goes wrong. Nothing here decides: a handler authenticates,
//! parses, calls a room and renders. `docs/pages.md` shows how to make a page. May call every domain
//! room; must never contain SQL, talk to Docker or look into `Hidden`.

pub mod api;
mod app;
mod assets;
pub mod entries;
pub mod error;
mod explain;
mod findings;
pub mod format;
mod gauges;
pub mod guard;
pub mod health;
mod hosts;
pub mod lang;
mod layers;
pub mod limits;
pub mod live;
pub mod markdown;
pub mod page;
mod pages;
pub mod templates;
mod terminal;
pub(in crate::web) mod tunnel;
pub mod visit;
pub mod words;

pub use app::{App, Shared};
pub use health::Check;
pub use layers::{router, sandbox_router, serve_sandboxes};
pub use terminal::Terminal;
