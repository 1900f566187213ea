//! Participants' sandboxes: who has one, who waits for one, what each has used, and the way in.
//!
//! Central types: [`model::Sandbox`] and [`model::Home`] with their states, [`model::Grant`] (what a
//! competition gives each), [`ask`] (what participants ask for), [`desk`] (what organizers see and ask
//! for), [`homes`] (how long files are kept), [`outbox`] (what would have to pass), [`ticket`] (from the
//! main site to a sandbox's own origin), [`hosts`] (which workers hold sandboxes, and behind which
//! [`door`]) and [`reports`] (what such a worker tells of them). What is asked for is written down; the
//! keeper of the worker that holds a sandbox makes it so. May call `contest`, `catalog`, `submission`,
//! `sandbox`, `people`, `airlock`, `audit`, `store`; it never touches HTTP. What is handed in from inside ([`hand_in`]) stays inside as a submission; nothing
//! else leaves through it.

pub mod ask;
mod data;
pub mod db;
pub mod desk;
pub mod door;
pub mod gauge;
mod guide;
pub mod hand_in;
pub mod homes;
pub mod hosts;
pub mod keeper;
mod kit;
pub mod model;
pub mod outbox;
pub mod reports;
pub mod shown;
mod starter;
pub mod ticket;
