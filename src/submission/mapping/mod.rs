//! How a submitted model meets its task: which columns become its inputs, and which of its outputs become
//! the columns of the predictions.
//!
//! The organizer says what there is ([`ModelRules`](crate::contest::definition::ModelRules)), the model what
//! it takes ([`Signature`](super::onnx::Signature)), and its author, where that leaves a choice, which is
//! meant ([`Manifest`]). Out of the three comes the [`Plan`] that the runner inside the container follows.

mod manifest;
mod plan;

pub use manifest::{FILE, FILE_BYTES, Manifest, read};
pub use plan::{Plan, plan};
