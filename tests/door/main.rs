//! The way into sandboxes and what happens to them, over real HTTP and WebSockets: whoever should not come
//! in, what should not come out, crowds, floods, and engines that fail. On the real Docker engine.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on must fail"
)]

#[path = "../support/mod.rs"]
mod support;

mod client;
mod crowd;
mod demos;
mod engine;
mod exports;
mod flood;
mod hostile;
mod inside;
mod rest;
mod scene;
mod strangers;
