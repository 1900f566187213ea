//! A run container that is started before its run is known, so that a run need not wait for a container,
//! nor a Python program for its imports.
//!
//! It holds what every run container holds (`profile.rs`) and nothing of anybody: an empty slot at
//! `/app` (`run_slot.rs`) and `shuyu-start`, which waits on standard input. Taking a run on mounts its
//! directories in the slot and says its command. It serves that one run and is removed with it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::models::ContainerCreateBody;
use futures_util::StreamExt;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::SandboxError;
use super::container::{InputStream, LogStream, lost};
use super::engine::Engine;
use super::label::WarmLabel;
use super::profile::{Place, RunSpec, waiting_container};
use super::run::Container;
use super::run_slot::{RunSlot, below};
use super::tmpfs::OutputDir;
use crate::clock::Entropy;

/// How long the program that waits may take to say that it does.
const COMING_UP: Duration = Duration::from_secs(60);
/// What it says.
const READY: &[u8] = b"ready\n";
/// How long such a container may exist before the reaper takes it for forgotten: kept for a while, then
/// for a run of [`LONGEST_RUN`].
const DEADLINE: Duration = Duration::from_secs(48 * 3600);
/// A longer one gets a container whose deadline is its own.
const LONGEST_RUN: Duration = Duration::from_secs(24 * 3600);

/// What is fixed when a container is started: runs that have it in common can be held in the same kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Kind {
    /// The engine's id of the image, not a name that may stand for another tomorrow.
    pub(super) image: String,
    nano_cpus: u64,
    pub(super) pids: u32,
    /// Bytes, with every tmpfs of the run.
    pub(super) memory_limit: u64,
}

impl Kind {
    /// The kind that can hold a run; `None` for one that needs a container made for it: an environment of
    /// its own, graphics processors, something mounted outside the slot, or more time than a container waits with.
    pub(super) fn of(spec: &RunSpec, image: String) -> Option<Self> {
        let targets = spec.binds.iter().map(|bind| &bind.container).chain([&spec.output.container]);
        let mut targets = targets.chain(spec.shared.iter().map(|shared| &shared.container));
        let fits = spec.env.is_empty()
            && spec.gpus.is_none()
            && spec.wall_clock <= LONGEST_RUN
            && targets.all(|target| below(target).is_some());
        fits.then(|| Self {
            image,
            nano_cpus: (spec.resources.cpus * 1e9) as u64,
            pids: spec.resources.pids,
            memory_limit: spec.memory_limit(),
        })
    }

    pub(super) fn cpus(&self) -> f64 {
        self.nano_cpus as f64 / 1e9
    }
}

/// A container that waits for its run. Dropping it removes it in the background.
pub(super) struct Warm {
    container: Container,
    logs: LogStream,
    input: InputStream,
}

impl Engine {
    /// Starts a container of this kind and waits until it waits; `None` when `stop` fires before. The
    /// engine's own calls are not broken off: it would go on with them after the removal.
    pub(super) async fn start_warm(
        &self,
        kind: &Kind,
        stop: &CancellationToken,
    ) -> Result<Option<Warm>, SandboxError> {
        let id: Uuid = Entropy.id(&self.0.settings.clock);
        let label = WarmLabel { id, deadline: self.deadline_after(DEADLINE) };
        let directory = self.warm().join(id.to_string());
        let held = self.0.shelf.holds(id);
        let slot = RunSlot::make(directory)?;
        let group = self.0.layout.group(&label.slug());
        let body = self.waiting(kind, &slot, label, &group.parent);
        let container = Container::create(self, &label.slug(), body, group, Some((slot, held))).await?;
        let (mut logs, input) = self.attach_both(container.name()).await?;
        self.start(container.name()).await?;
        let said = tokio::select! {
            said = timeout(COMING_UP, says_ready(&mut logs)) => said,
            () = stop.cancelled() => return Ok(None),
        };
        match said {
            Ok(true) => Ok(Some(Warm { container, logs, input })),
            Ok(false) => Err(lost("start a container that waits", "its program ended".to_owned())),
            Err(_) => Err(lost("start a container that waits", "its program says nothing".to_owned())),
        }
    }

    fn waiting(&self, kind: &Kind, slot: &RunSlot, label: WarmLabel, parent: &str) -> ContainerCreateBody {
        let settings = &self.0.settings;
        let labels: HashMap<String, String> = label.to_docker(&settings.instance);
        let place = Place { labels, cgroup_parent: parent, runtime: &settings.runtime, cpus: self.0.cpus };
        waiting_container(kind, &slot.path(), place)
    }

    /// Where the slots of containers that wait are made.
    pub(super) fn warm(&self) -> PathBuf {
        self.0.settings.work_dir.join("warm")
    }
}

impl Warm {
    /// Whether its program still waits.
    pub(super) fn waits(&self) -> bool {
        self.container.lives()
    }

    /// Has it carry this run from now on: gives the container and what it prints.
    pub(super) async fn take_on(
        mut self,
        spec: &RunSpec,
        output: &OutputDir,
    ) -> Result<(Container, LogStream), SandboxError> {
        if let Some(slot) = self.container.slot() {
            slot.take_on(spec, output.path())?;
        }
        self.container.count_from_here();
        let said = async {
            self.input.write_all(&job(spec)).await?;
            self.input.flush().await
        };
        said.await.map_err(|error| lost("tell a container its run", error.to_string()))?;
        Ok((self.container, self.logs))
    }
}

async fn says_ready(logs: &mut LogStream) -> bool {
    let mut said = Vec::new();
    while let Some(Ok(piece)) = logs.next().await {
        if let LogOutput::StdOut { message } = piece {
            said.extend_from_slice(&message);
        }
        if said == READY {
            return true;
        }
    }
    false
}

/// The run's working directory and command, as `shuyu-start` reads them.
fn job(spec: &RunSpec) -> Vec<u8> {
    let mut words = Vec::new();
    for word in [&spec.workdir].into_iter().chain(&spec.command) {
        words.extend_from_slice(word.as_bytes());
        words.push(0);
    }
    let mut job = format!("{}\n", words.len()).into_bytes();
    job.append(&mut words);
    job
}
