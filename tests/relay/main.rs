//! The way into a container that has no network, with a real container on the real engine. Needs root,
//! the Docker engine and the image of `scripts/image python`; it fails without them. Not for gVisor,
//! which lets no program dial a socket of the host.

#![expect(clippy::expect_used, clippy::panic, reason = "a test's own functions fail by panicking too")]

mod container;
mod hostile;
mod profile;
mod traffic;
