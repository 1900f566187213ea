//! A participant's interactive container: what it is started with, and the handle on it while it
//! lives. It runs in a slot, so that it can be started, and paused, before its user is known.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::models::{ContainerState, HostConfigLogConfig};
use jiff::Timestamp;

use super::SandboxError;
use super::cgroup::Group;
use super::engine::Engine;
use super::gpus::Gpus;
use super::home::{HOME_PATH, Home, HomeKind, HomeQuota};
use super::label::{SandboxLabel, sandbox_slug};
use super::log::CappedLog;
use super::printed::Printed;
use super::profile::{
    Held, Place, ReadOnlyBind, Resources, check_program, check_targets, container, read_only_mount,
    slot_mount,
};
use super::slot::{SLOT_TARGET, Slot};
use crate::ids::SandboxId;

/// Where the sandbox sees its [`InteractiveSpec::socket_dir`].
pub const SOCKET_DIR: &str = "/run/shuyu";
/// The least of a log that is kept: the engine's log files are at least a few kilobytes.
const LEAST_LOG: usize = 64 << 10;
/// Files in `/tmp` and in `/dev/shm`.
const TMP_INODES: u64 = 65_536;
const SHM_INODES: u64 = 1024;

/// An interactive sandbox to be started, for somebody or for the pool.
#[derive(Clone, Debug)]
pub struct InteractiveSpec {
    /// Names the container, its slot, its control group, and the home that is attached for it.
    pub id: SandboxId,
    /// A local image ([`super::ImageTable::local`]).
    pub image: String,
    /// Program and arguments; no shell is put around it.
    pub command: Vec<String>,
    /// Working directory, an absolute path in the container. Not the home where that is mounted later:
    /// a process that stands in the empty slot does not see what is mounted over it.
    pub workdir: String,
    /// Environment on top of the image's. `HOME=/home/participant`, `PYTHONUNBUFFERED=1` and the
    /// thread counts of numerical libraries are set already, and can be replaced here.
    pub env: Vec<(String, String)>,
    /// What it may read: the data sets, under `/data/…`.
    pub binds: Vec<ReadOnlyBind>,
    /// A directory of ours with the unix socket on which we listen for its relay, seen at
    /// [`SOCKET_DIR`], where nothing can be made or removed. Where nobody may listen, an empty one.
    pub socket_dir: PathBuf,
    /// What it may use at a time. The limit of memory is this plus the tmpfs sizes below, plus the
    /// home's where that lies in memory.
    pub resources: Resources,
    /// The graphics processors it may use; ordinarily none.
    pub gpus: Option<Gpus>,
    /// Bytes of `/tmp`.
    pub tmp_bytes: u64,
    /// Bytes of `/dev/shm`.
    pub shm_bytes: u64,
    /// What the home it will be given holds at most; no file can be longer.
    pub home: HomeQuota,
    /// What that home is made of ([`super::Homes::kind`]).
    pub home_kind: HomeKind,
    /// Bytes of standard output and standard error to keep, at least 64 KiB.
    pub log_cap: usize,
    /// When the reaper takes it for forgotten, whoever owns it. It cannot be changed later: that of a
    /// pooled one must leave room for a whole session after its claim.
    pub deadline: Timestamp,
}

impl InteractiveSpec {
    /// Two processors, 2 GiB and 512 processes.
    pub fn default_resources() -> Resources {
        Resources { cpus: 2.0, memory: 2 << 30, pids: 512 }
    }

    fn check(&self) -> Result<(), SandboxError> {
        check_program(&self.command, &self.env, &self.resources)?;
        let fixed = [SLOT_TARGET, SOCKET_DIR].map(str::to_owned);
        check_targets(self.binds.iter().map(|bind| &bind.container).chain(&fixed), &self.workdir)?;
        let under = |path: &str, parent: &str| Path::new(path).starts_with(parent);
        let hidden = |bind: &&ReadOnlyBind| fixed.iter().any(|fixed| under(&bind.container, fixed));
        match self.binds.iter().find(hidden) {
            Some(bind) => Err(SandboxError::Spec {
                what: format!("{} is mounted inside {SLOT_TARGET} or {SOCKET_DIR}", bind.container),
            }),
            None => Ok(()),
        }
    }

    fn memory_limit(&self) -> u64 {
        let home = match self.home_kind {
            HomeKind::Image => 0,
            HomeKind::Memory => self.home.bytes,
        };
        self.resources.memory + self.tmp_bytes + self.shm_bytes + home
    }
}

/// What the engine says of a sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SandboxState {
    /// Its processes run.
    Running,
    /// Its processes are frozen.
    Paused,
    /// Its first process has ended, by itself or because it was stopped, or the engine went down. Its log
    /// can still be read.
    Stopped {
        /// Exit code; 128 + N for signal N.
        code: i64,
        /// Whether the kernel killed it, or one of its processes, at the memory limit.
        out_of_memory: bool,
    },
    /// There is no such container.
    Gone,
}

/// What a sandbox uses, all its processes together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SandboxUsage {
    /// Processor time since its start.
    pub cpu: Duration,
    /// Bytes of memory at this moment, tmpfs included, without the file cache that can be given up.
    pub memory: u64,
    /// Processes and threads at this moment.
    pub pids: u64,
    /// Processes that the kernel has killed at the memory limit since its start.
    pub killed_for_memory: u64,
}

/// A sandbox that a restarted service finds.
pub struct Found {
    /// The handle on it.
    pub sandbox: Sandbox,
    /// What it is doing.
    pub state: SandboxState,
    /// When its container was started.
    pub started: Option<Timestamp>,
    /// Its deadline.
    pub deadline: Timestamp,
    /// Whether a home is mounted in its slot.
    pub claimed: bool,
}

impl Engine {
    /// Starts an interactive sandbox with this home, or for the pool without one: it sees an empty
    /// directory that it cannot write until [`Sandbox::claim`]. It returns when the container's first
    /// process runs, not when the lab in it answers.
    ///
    /// When it fails, everything it made is removed; when its future is dropped half-way, or the service
    /// dies, the reaper does: whoever is asked there must call this id alive before this is called.
    ///
    /// # Errors
    /// [`SandboxError::ImageMissing`], [`SandboxError::Spec`], [`SandboxError::Host`] (also where a sandbox
    /// of this id was not removed), and what the engine answers.
    pub async fn start_sandbox(
        &self,
        spec: InteractiveSpec,
        home: Option<&Home>,
    ) -> Result<Sandbox, SandboxError> {
        spec.check()?;
        let sandbox = Sandbox::new(self, spec.id, spec.log_cap.max(LEAST_LOG));
        sandbox.slot().make()?;
        if let Err(error) = sandbox.launch(&spec, home).await {
            if let Err(error) = sandbox.remove().await {
                tracing::warn!(sandbox = %spec.id, %error, "a sandbox that did not start is left to the reaper");
            }
            return Err(error);
        }
        Ok(sandbox)
    }

    /// The sandboxes of this instance that there are, after a restart of the service. What they printed
    /// until now is read again, as far as the engine has kept it.
    ///
    /// # Errors
    /// [`SandboxError::EngineLost`]; [`SandboxError::Host`] when the table of mounts cannot be read.
    pub async fn find_sandboxes(&self) -> Result<Vec<Found>, SandboxError> {
        let mut found = Vec::new();
        for (_, label) in self.listed_sandboxes().await? {
            let Some(label) = label else { continue };
            let sandbox = Sandbox::new(self, label.id, label.log_cap);
            let Some(container) = self.inspect(&sandbox.name).await? else { continue };
            let state = state_of(&container);
            sandbox.printed.recall(self, &sandbox.name).await;
            if state == SandboxState::Running
                && let Err(error) = sandbox.printed.follow(self, &sandbox.name).await
            {
                tracing::warn!(sandbox = %label.id, %error, "what a sandbox prints from now on is not kept");
            }
            found.push(Found {
                state,
                started: container.started_at.and_then(|at| at.to_string().parse().ok()),
                deadline: Timestamp::from_millisecond(label.deadline).unwrap_or(Timestamp::MAX),
                claimed: sandbox.slot().is_claimed()?,
                sandbox,
            });
        }
        Ok(found)
    }

    /// Removes whatever there is of a sandbox of this id, as of one whose start was broken off.
    ///
    /// # Errors
    /// As [`Sandbox::remove`].
    pub async fn remove_sandbox(&self, id: SandboxId) -> Result<(), SandboxError> {
        Sandbox::new(self, id, LEAST_LOG).remove().await
    }

    /// Where every slot and home is mounted.
    pub(super) fn sandboxes(&self) -> PathBuf {
        self.0.settings.work_dir.join("sandboxes")
    }
}

/// A handle on an interactive sandbox; clones are the same one. Dropping it does nothing: the
/// sandbox outlives the service.
#[derive(Clone)]
pub struct Sandbox {
    engine: Engine,
    id: SandboxId,
    name: String,
    group: Group,
    printed: Printed,
}

impl Sandbox {
    pub(super) fn new(engine: &Engine, id: SandboxId, log_cap: usize) -> Self {
        let slug = sandbox_slug(id);
        Self {
            name: engine.container_name(&slug),
            group: engine.0.layout.group(&slug),
            printed: engine.printed(id, log_cap),
            engine: engine.clone(),
            id,
        }
    }

    async fn launch(&self, spec: &InteractiveSpec, home: Option<&Home>) -> Result<(), SandboxError> {
        if let Some(home) = home {
            home.usage()?;
            self.slot().claim(home.point())?;
        }
        let settings = &self.engine.0.settings;
        let deadline = spec.deadline.as_millisecond();
        let label = SandboxLabel { id: spec.id, deadline, log_cap: self.printed.cap() };
        let mut mounts = vec![slot_mount(&self.slot().path, SLOT_TARGET)];
        let socket = ReadOnlyBind { host: spec.socket_dir.clone(), container: SOCKET_DIR.to_owned() };
        let area = self.engine.sandboxes().join(spec.id.to_string());
        let apart = self.engine.set_apart(area, &spec.binds).await?;
        mounts.extend(apart.binds().iter().chain([&socket]).map(read_only_mount));
        let memory_limit = spec.memory_limit();
        let body = container(Held {
            image: &spec.image,
            command: &spec.command,
            workdir: &spec.workdir,
            env: &spec.env,
            home: HOME_PATH,
            mounts,
            tmp: (spec.tmp_bytes, TMP_INODES),
            shm: (spec.shm_bytes, SHM_INODES),
            resources: &spec.resources,
            gpus: spec.gpus.as_ref(),
            memory_limit,
            longest_file: memory_limit.max(spec.home.bytes),
            log: log_files(self.printed.cap()),
            place: Place {
                labels: label.to_docker(&settings.instance),
                cgroup_parent: &self.group.parent,
                runtime: &settings.runtime,
                cpus: self.engine.0.cpus,
            },
        });
        self.engine.create(&self.name, body).await?;
        self.printed.follow(&self.engine, &self.name).await?;
        self.engine.start(&self.name).await
    }

    fn slot(&self) -> Slot {
        Slot::of(&self.engine.sandboxes(), self.id)
    }

    /// Its identifier.
    pub fn id(&self) -> SandboxId {
        self.id
    }

    /// What it is doing. An engine that was restarted has stopped it, or with `live-restore` kept it
    /// running; its output is then followed anew.
    ///
    /// # Errors
    /// [`SandboxError::EngineLost`]: nobody knows, and its processes may well go on.
    pub async fn state(&self) -> Result<SandboxState, SandboxError> {
        let state =
            self.engine.inspect(&self.name).await?.map_or(SandboxState::Gone, |state| state_of(&state));
        if state == SandboxState::Running {
            self.printed.follow(&self.engine, &self.name).await?;
        }
        Ok(state)
    }

    /// Waits until its first process has ended and all it printed has been read.
    ///
    /// # Errors
    /// [`SandboxError::EngineLost`], also when the engine goes down while we wait: ask for the
    /// [state](Self::state) when it is back.
    pub async fn ended(&self) -> Result<SandboxState, SandboxError> {
        self.engine.exit_code(&self.name).await?;
        self.printed.finished().await;
        let told = self.engine.inspect_ended(&self.name).await?;
        Ok(told.map_or(SandboxState::Gone, |state| state_of(&state)))
    }

    /// Freezes all its processes; they take no processor time and keep their memory. One that is
    /// paused already is no error.
    ///
    /// # Errors
    /// What the engine answers; [`SandboxError::EngineRefused`] where it does not run.
    pub async fn pause(&self) -> Result<(), SandboxError> {
        self.engine.freeze(&self.name).await
    }

    /// Lets its processes go on where they were. One that runs already is no error.
    ///
    /// # Errors
    /// [`SandboxError::State`] where it has stopped or is gone, and what the engine answers.
    pub async fn unpause(&self) -> Result<(), SandboxError> {
        self.engine.thaw(&self.name).await?;
        match self.state().await? {
            SandboxState::Running | SandboxState::Paused => Ok(()),
            SandboxState::Stopped { .. } | SandboxState::Gone => {
                Err(self.refused("unpause", "it has stopped"))
            }
        }
    }

    /// Mounts a home in its slot: the container sees it at once at [`HOME_PATH`], paused or not. A sandbox
    /// is claimed once; after that it can only be stopped.
    ///
    /// # Errors
    /// [`SandboxError::State`] when it has a home or had one, or does not live; [`SandboxError::Home`]
    /// when the home is not attached.
    pub async fn claim(&self, home: &Home) -> Result<(), SandboxError> {
        home.usage()?;
        let refuse = |what| self.refused("give a home to", what);
        if !matches!(self.state().await?, SandboxState::Running | SandboxState::Paused) {
            return Err(refuse("it does not run"));
        }
        if self.slot().is_claimed()? {
            return Err(refuse("it has one"));
        }
        self.slot().claim(home.point())
    }

    /// Takes the home out of its slot again, so that it can be detached. Only of a sandbox that has stopped.
    ///
    /// # Errors
    /// [`SandboxError::State`] while it runs; [`SandboxError::Host`].
    pub async fn release(&self) -> Result<(), SandboxError> {
        if matches!(self.state().await?, SandboxState::Running | SandboxState::Paused) {
            return Err(self.refused("take the home from", "it still runs; stop it first"));
        }
        self.slot().release()
    }

    /// Asks its processes to end, and after `grace` (whole seconds, below 100) kills them. It cannot be started
    /// again: start another with the same home. One that has stopped, or is gone, is no error.
    ///
    /// # Errors
    /// What the engine answers.
    pub async fn stop(&self, grace: Duration) -> Result<(), SandboxError> {
        // A frozen process hears nothing.
        match self.state().await? {
            SandboxState::Paused => self.engine.thaw(&self.name).await?,
            SandboxState::Running => {}
            SandboxState::Stopped { .. } | SandboxState::Gone => return Ok(()),
        }
        let seconds = i32::try_from(grace.as_secs()).unwrap_or(i32::MAX);
        self.engine.terminate(&self.name, seconds).await
    }

    /// Kills and removes it, with its slot and its log. Its home stays attached. One that is gone
    /// is no error.
    ///
    /// # Errors
    /// What the engine answers; [`SandboxError::Host`] where something of it cannot be removed. The
    /// reaper tries again.
    pub async fn remove(&self) -> Result<(), SandboxError> {
        self.engine.thaw_and_remove(&self.name).await?;
        self.engine.forget_printed(self.id);
        self.slot().remove()?;
        let directory = self.engine.sandboxes();
        self.group
            .remove()
            .map(drop)
            .map_err(|error| SandboxError::host("remove a control group of", directory, error))
    }

    /// What it uses at this moment.
    ///
    /// # Errors
    /// [`SandboxError::State`] when it does not run.
    pub fn usage(&self) -> Result<SandboxUsage, SandboxError> {
        // The group outlives the processes.
        let now = self.group.now().filter(|now| now.pids > 0);
        let now = now.ok_or_else(|| self.refused("measure", "it does not run"))?;
        Ok(SandboxUsage {
            cpu: now.cpu,
            memory: now.memory,
            pids: now.pids,
            killed_for_memory: now.oom_kills,
        })
    }

    /// The most memory it had at one time, in bytes, file cache included; known until it is removed.
    pub fn peak_memory(&self) -> Option<u64> {
        self.group.usage().peak_memory
    }

    fn refused(&self, action: &'static str, what: &'static str) -> SandboxError {
        SandboxError::State { action, id: self.id, what }
    }

    /// Its standard output and standard error until now: the lab's own messages. For the organizer, and
    /// untrusted: everything in the sandbox can write there.
    pub fn log(&self) -> CappedLog {
        self.printed.log()
    }
}

fn state_of(state: &ContainerState) -> SandboxState {
    match (state.running == Some(true), state.paused == Some(true)) {
        (true, true) => SandboxState::Paused,
        (true, false) => SandboxState::Running,
        (false, _) => SandboxState::Stopped {
            code: state.exit_code.unwrap_or(0),
            out_of_memory: state.oom_killed == Some(true),
        },
    }
}

/// Two files in turn, so that the last half is always there; a cap that is the engine's own.
fn log_files(cap: usize) -> HostConfigLogConfig {
    let options =
        [("max-size", (cap / 2).to_string()), ("max-file", "2".to_owned()), ("compress", "false".to_owned())];
    HostConfigLogConfig {
        typ: Some("local".to_owned()),
        config: Some(options.map(|(name, value)| (name.to_owned(), value)).into()),
    }
}
