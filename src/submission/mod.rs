//! Accepts an upload safely, queues it, runs it and publishes its outcome.

pub mod command;
pub mod unpack;
