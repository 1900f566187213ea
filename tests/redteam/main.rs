//! The red team: what untrusted programs try, against the real engine. The numbers in the names are
//! those of the list in `docs/sandbox-runs.md`. `SHUYU_TEST_RUNTIME=runsc` runs all of it on gVisor.
//! Needs root, the Docker engine and the image of `scripts/image python`; it fails without them.

#![expect(clippy::expect_used, clippy::panic, reason = "a test's own functions fail by panicking too")]

mod escape;
mod host;
mod lab;
mod lifecycle;
mod network;
mod profile;
mod resources;
mod results;
mod signals;
