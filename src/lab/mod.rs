//! Participants' sandboxes: who has one, who waits for one, what each has used, and the way in.
//!
//! Central types: [`model::Sandbox`] and [`model::Home`] with their states, [`model::Grant`] (what a
//! competition gives each), [`ask`] (what participants and organizers ask for) and [`ticket`] (from
//! the main site to a sandbox's own origin). What is asked for is written down; the keeper of the
//! worker that holds a sandbox makes it so. May call `contest`, `catalog`, `sandbox`, `audit`,
//! `store`; it never touches HTTP, and nothing leaves a sandbox through it.

pub mod ask;
mod data;
pub mod db;
pub mod gauge;
pub mod keeper;
pub mod model;
pub mod ticket;
