//! Accepts an upload safely, queues it, runs it and publishes its outcome.
//!
//! Central types: [`model::Submission`] and [`model::Run`] with their states, [`queue::Lease`] (the
//! right to work on a run), `worker::Worker` (takes leases and carries runs through the diode in
//! [`run`]). May call `contest`, `sandbox`, `scoring`, `airlock`, `audit`, `store`; what it learns
//! from hidden data it hands to the airlock unread, and it never touches HTTP.

pub mod accept;
pub mod actions;
pub mod app;
pub mod book;
pub mod command;
pub mod db;
pub mod desk;
pub mod disclose;
mod facts;
pub mod mapping;
pub mod merge;
pub mod migrate;
pub mod model;
pub mod onnx;
pub mod queue;
pub mod quota;
pub mod rejected;
pub mod rescore;
pub mod run;
pub mod unpack;
pub mod worker;

use serde_json::json;

use crate::house::House;
use crate::ids::{PhaseId, SubmissionId};
use crate::store::{StoreError, Tx, events};
use model::{State, Submission};

/// The live topic of a submission: its disclosed states, and the steps of runs on public input.
pub fn topic(id: SubmissionId) -> String {
    format!("submission {id}")
}

/// The live topic of a phase's board.
pub fn board_topic(id: PhaseId) -> String {
    format!("board {id}")
}

/// Publishes a submission's disclosed state.
pub(crate) async fn announce(
    tx: &mut Tx,
    house: &House,
    submission: &Submission,
    told: State,
) -> Result<(), StoreError> {
    let payload = json!({ "id": submission.id, "status": told });
    events::publish(tx, house.clock.now(), (&topic(submission.id), "status"), &payload).await
}

/// Publishes a new version of a board.
pub(crate) async fn announce_board(
    tx: &mut Tx,
    house: &House,
    phase: PhaseId,
    version: i64,
) -> Result<(), StoreError> {
    let payload = json!({ "phase": phase, "version": version });
    events::publish(tx, house.clock.now(), (&board_topic(phase), "board"), &payload).await
}
