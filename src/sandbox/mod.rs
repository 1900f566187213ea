//! The only room that talks to Docker: it holds untrusted programs in containers, and what they
//! leave behind at arm's length.
//!
//! [`Engine`] is the connection; [`Engine::run`] holds one step of a run ([`RunSpec`]) in a fresh
//! container with no network, no capabilities, a read-only root and hard limits, and gives a
//! [`RunOutcome`]. What the program wrote lies in an [`OutputDir`], read by a checked copy only.
//! [`Staging`] is where sealed inputs lie in plain for as long as a run needs them. [`ImageTable`]
//! says which local image a bundle's image name means. [`Engine::reap`] removes what a crash left.
//! [`Relay`] is the way to a program's loopback ports in a container that has no network.
//!
//! It may call `ids` and `clock`. It must never read a database, know what a score is, pull an
//! image, or put participant code and reference data within reach of each other: which binds a
//! step gets is the caller's to say, and `submission/` says it in one place.
//! `docs/sandbox-runs.md` has what is guaranteed and what is not.

mod cgroup;
mod collect;
mod engine;
mod error;
mod images;
mod label;
mod log;
mod profile;
mod reaper;
mod relay;
mod run;
mod seccomp;
mod tmpfs;

pub use collect::{CollectLimits, Collected, OutputRefused};
pub use engine::{Engine, SandboxSettings};
pub use error::SandboxError;
pub use images::{ImageTable, PYTHON_IMAGE, image_names};
pub use label::{Owner, RunLabel, Step};
pub use log::{CappedLog, LogChunk};
pub use profile::{Profile, ReadOnlyBind, Resources, RunSpec, SANDBOX_UID, SharedBind};
pub use reaper::Reaped;
pub use relay::{Counted, HandedIn, Relay, RelayError, RelayLimits, RelayStream};
pub use run::{End, RunOutcome};
pub use tmpfs::{OutputDir, OutputSpec, SharedDir, Staging};
