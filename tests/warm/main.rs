//! Run containers that were started before their run was known: the red team's programs held in them
//! (`tests/redteam/`), and their own life. On gVisor there are none. Needs root, the Docker engine and
//! the image of `scripts/image python`; it fails without.

#![expect(clippy::expect_used, clippy::panic, reason = "a test's own functions fail by panicking too")]

#[path = "../redteam/escape.rs"]
mod escape;
#[path = "../redteam/host.rs"]
mod host;
#[path = "../redteam/lab.rs"]
mod lab;
mod life;
#[path = "../redteam/network.rs"]
mod network;
mod profile;
#[path = "../redteam/resources.rs"]
mod resources;
#[path = "../redteam/results.rs"]
mod results;
#[path = "../redteam/signals.rs"]
mod signals;
