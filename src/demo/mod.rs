//! Trying an app live: a submitted app is started on demand for people to use in their browsers, on an origin
//! of its own, and stopped when nobody does.
//!
//! [`rights`] says who may: its team at any time, organizers, judges while it is theirs to mark, and once the
//! competition is over visitors, where the team lets them. [`ask::open`] asks for a [`Demo`](model::Demo), one at a
//! time for a submission, which all of them share, but for judges, who have one each; [`stage::Stage`] on a worker
//! makes it so and is the way in; [`ticket`] brings people from the main site to its origin.
//!
//! A judge's own is no luxury: in one that is shared, the team could sit behind what the judge sees, read what
//! they do, and judges could write to each other. May call `judging` for whose an entry is to mark.
//!
//! The app runs as in a scoring run, without network, on public input alone: never on hidden data, so what it
//! shows derives from what everybody has, and from what its team put into it. The room knows no HTTP but the
//! question whether an app is ready.

pub mod ask;
pub mod db;
pub mod model;
pub mod rights;
pub mod stage;
mod start;
pub mod ticket;
