//! The gauges of a sandbox as pages, the shell around a lab and the API show them.

use std::collections::HashMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::{App, hosts};
use crate::ids::SandboxId;
use crate::lab::keeper::{Look, Room};
use crate::lab::model::{Sandbox, State};
use crate::lab::reports::{self, About, Report};
use crate::store::StoreError;

/// What a sandbox uses at this moment.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub(super) struct Gauges {
    /// Processors in use, over the last few seconds; null before they have passed.
    #[schema(example = 0.8)]
    pub cpus: Option<f64>,
    /// Bytes of memory, with those of its `/tmp` and `/dev/shm`.
    #[schema(example = 314_572_800)]
    pub memory: u64,
    /// How many there may be.
    pub memory_limit: u64,
    /// Processes and threads.
    #[schema(example = 21)]
    pub processes: u64,
    /// How many there may be.
    pub processes_limit: u64,
    /// Programs that were stopped because the sandbox's memory was full.
    pub killed_for_memory: u64,
    /// How full its home is.
    pub home: Option<HomeGauge>,
}

/// How full a home is.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub(super) struct HomeGauge {
    /// Bytes in use.
    pub bytes_used: u64,
    /// Bytes that fit.
    pub bytes: u64,
    /// Files, folders and links there are.
    pub files_used: u64,
    /// How many fit.
    pub files: u64,
    /// The share in use, of bytes or of files, whichever is more: 0 to 1.
    pub share: f64,
    /// `enough`, `little` (less than a tenth left), `no-bytes` or `no-files`.
    #[schema(value_type = String, example = "enough")]
    pub room: Room,
}

impl From<Look> for Gauges {
    fn from(look: Look) -> Self {
        let share = |used: u64, all: u64| used as f64 / all.max(1) as f64;
        let home = look.home.map(|home| HomeGauge {
            bytes_used: home.bytes_used,
            bytes: home.bytes,
            files_used: home.inodes_used,
            files: home.inodes,
            share: share(home.bytes_used, home.bytes).max(share(home.inodes_used, home.inodes)),
            room: Room::of(&home),
        });
        Self {
            cpus: look.cpus,
            memory: look.memory,
            memory_limit: look.memory_limit,
            processes: look.processes,
            processes_limit: look.processes_limit,
            killed_for_memory: look.killed_for_memory,
            home,
        }
    }
}

/// The gauges of a sandbox that this process's worker holds.
pub(super) fn of(app: &App, id: SandboxId) -> Option<Gauges> {
    app.keeper.as_ref()?.look(id).map(Gauges::from)
}

/// What the workers elsewhere have told of the sandboxes that a page shows.
pub(super) struct Told(HashMap<SandboxId, Report>);

impl Told {
    /// Asks about those of the sandboxes that are open on another worker.
    ///
    /// # Errors
    /// When the database fails.
    pub(super) async fn ask(
        app: &App,
        sandboxes: impl IntoIterator<Item = &Sandbox>,
        about: About,
    ) -> Result<Self, StoreError> {
        let open =
            |s: &&Sandbox| matches!(s.state, State::Ready | State::Paused) && hosts::is_elsewhere(app, s);
        let elsewhere: Vec<_> = sandboxes.into_iter().filter(open).map(|s| s.id).collect();
        Ok(Self(reports::ask(&app.house, &elsewhere, about).await?))
    }

    /// What was told of a sandbox; `None` where it is here, or its worker has told nothing yet.
    pub(super) fn of(&self, id: SandboxId) -> Option<&Report> {
        self.0.get(&id)
    }

    /// The gauges of a sandbox, here or elsewhere.
    pub(super) fn gauges(&self, app: &App, id: SandboxId) -> Option<Gauges> {
        let told = || self.of(id).and_then(|report| report.look).map(Gauges::from);
        of(app, id).or_else(told)
    }
}
