//! The spine, from an upload to the board: on the real Docker engine, on SQLite with a directory and
//! on PostgreSQL with an S3 server. Time is the test's: nothing here waits for a clock.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on must fail"
)]

#[path = "../support/mod.rs"]
mod support;

mod apps;
mod boards;
mod bundles;
mod diode;
mod doors;
mod dry_runs;
mod faults;
mod homes;
mod imports;
mod inside;
mod labs;
mod models;
mod packages;
mod path;
mod processes;
mod queueing;
mod quotas;
mod rest;
mod shared;
mod spares;
mod stored;
mod tricks;
mod world;
