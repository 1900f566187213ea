//! The only room that talks to Docker: it holds untrusted programs in containers, and what they
//! leave behind at arm's length.
//!
//! [`Engine`] is the connection; [`Engine::run`] holds one step of a run ([`RunSpec`]) in a fresh
//! container with no network, no capabilities, a read-only root and hard limits, and gives a
//! [`RunOutcome`]; [`Engine::keep_warm`] keeps containers waiting for their run. What the program wrote lies in an [`OutputDir`], read by a checked copy only.
//! [`Staging`] is where sealed inputs lie in plain for as long as a run needs them. [`ImageTable`]
//! says which local image a bundle's image name means.
//!
//! [`Engine::start_sandbox`] starts a participant's interactive container ([`InteractiveSpec`]), held in
//! the same way, and gives a [`Sandbox`]. Its [`Home`] ([`Homes`]) is mounted into it at the claim and
//! outlives it. [`Relay`] is the way to a program's loopback ports in a container that has no network.
//! [`Engine::reap`] and [`Engine::reap_sandboxes`] remove what a crash left.
//!
//! It may call `ids` and `clock`. It must never read a database, know what a score is, pull an
//! image, or put participant code and reference data within reach of each other: which binds a
//! step gets is the caller's to say, and `submission/` says it in one place.
//! `docs/sandbox-runs.md` has what is guaranteed and what is not.

mod apart;
mod cgroup;
mod collect;
mod container;
mod engine;
mod error;
mod furnish;
mod gpus;
mod home;
mod home_error;
mod homes;
mod image;
mod images;
mod interactive;
mod label;
mod log;
mod mounts;
mod outbox;
mod printed;
mod profile;
mod reaper;
mod relay;
mod restore;
mod run;
mod run_relay;
mod run_slot;
mod seccomp;
mod shelf;
mod slot;
mod snapshot;
mod tmpfs;
mod warm;

pub use collect::{CollectLimits, Collected, OutputRefused};
pub use engine::{Engine, SandboxSettings};
pub use error::SandboxError;
pub use gpus::{GpuGrants, Gpus};
pub use home::{HOME_PATH, Home, HomeKind, HomeQuota, HomeUsage, OUTBOX};
pub use home_error::HomeError;
pub use homes::Homes;
pub use images::{ImageTable, PYTHON_IMAGE, image_names};
pub use interactive::{Found, InteractiveSpec, SOCKET_DIR, Sandbox, SandboxState, SandboxUsage};
pub use label::{Owner, RunLabel, Step};
pub use log::{CappedLog, LogChunk};
pub use outbox::{OutboxFile, OutboxLimits, OutboxListing};
pub use profile::{Profile, ReadOnlyBind, Resources, RunSpec, SANDBOX_UID, SharedBind};
pub use reaper::Reaped;
pub use relay::{Counted, HandedIn, Relay, RelayError, RelayLimits, RelayStream};
pub use run::{End, RunOutcome};
pub use run_relay::RunRelay;
pub use snapshot::{Snapshot, SnapshotLimits};
pub use tmpfs::{OutputDir, OutputSpec, SharedDir, Staging};
