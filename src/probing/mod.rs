//! Probe suites: what an app is asked over HTTP, what it has to answer, and what the answers are worth.
//!
//! An organizer writes probes in YAML (`shuyu.tasks.N.probes`); [`read::suite`] reads them with a finding for
//! everything that is wrong. A run opens connections to the app over its relay and hands them to
//! [`session::ask`], which sends each [`Step`](suite::Step), compares the [`Answer`](answer::Answer) with what
//! is expected and gives an outcome for each probe; [`tally`] makes columns of them and
//! [`report`] what its author may read of the public ones.
//!
//! The app is hostile: whatever it answers is bounded in time and bytes, patterns match in linear time, and
//! nothing it says is run or followed. The room knows neither containers nor the database, and decides
//! nothing about who may see an outcome: what hidden probes gave goes to the airlock.

pub mod answer;
pub mod ask;
mod bounds;
pub mod compare;
pub mod draw;
pub mod fill;
pub mod latency;
pub mod read;
pub mod report;
pub mod session;
pub mod suite;
pub mod tally;
