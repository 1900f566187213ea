//! Interactive sandboxes against the real engine: their life, their homes, what a crash leaves; and the
//! red team's programs 1 to 33 (`tests/redteam/`) held in them. `SHUYU_TEST_RUNTIME=runsc` runs all of it
//! on gVisor. Needs root, the Docker engine and the image of `scripts/image python`; it fails without.

#![expect(clippy::expect_used, clippy::panic, reason = "a test's own functions fail by panicking too")]

#[path = "../redteam/escape.rs"]
mod escape;
mod home;
#[path = "../redteam/host.rs"]
mod host;
mod jupyter;
#[path = "../redteam/lab.rs"]
mod lab;
mod life;
mod lost;
#[path = "../redteam/network.rs"]
mod network;
mod profile;
#[path = "../redteam/resources.rs"]
mod resources;
#[path = "../redteam/signals.rs"]
mod signals;
mod stage;
