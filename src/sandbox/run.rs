//! One step of a run, from its mounts to its outcome.

use std::pin::pin;
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::models::{ContainerCreateBody, ContainerState};
use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::SandboxError;
use super::cgroup::{Group, Usage};
use super::container::{LogStream, lost};
use super::engine::Engine;
use super::log::{CappedLog, LogChunk};
use super::profile::{Place, RunSpec, run_container};
use super::run_slot::RunSlot;
use super::shelf::Exists;
use super::tmpfs::OutputDir;
use super::warm::Kind;

/// How long after its run time a container may exist before the reaper takes it for forgotten.
const DEADLINE_GRACE: Duration = Duration::from_secs(300);
/// How long a killed container may take to be gone.
const KILL_GRACE: Duration = Duration::from_secs(30);
/// How long to read on after the exit; the engine itself drains for two seconds.
const DRAIN: Duration = Duration::from_secs(3);
/// How long to read what a container that still runs has printed.
const AT_HAND: Duration = Duration::from_millis(5);
/// What is read of a program that goes on printing above the cap, bytes per second: enough not to
/// stall an honest one, not enough to keep the engine busy.
const FLOOD_RATE: f64 = (8 << 20) as f64;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// By itself, with this exit code; 128 + N for signal N, 127 where the command was not found.
    Exited(i64),
    /// At its wall-clock limit: killed.
    TimedOut,
    /// The kernel killed it, or one of its processes, at the memory limit.
    OutOfMemory,
    /// Cancelled: killed.
    Cancelled,
    /// It printed nothing for longer than its silent limit: killed.
    Silent,
}

/// What a run left behind.
pub struct RunOutcome {
    /// How it ended.
    pub end: End,
    /// What it printed.
    pub log: CappedLog,
    /// From start to end.
    pub wall: Duration,
    /// Processor time of all its processes, where the control group tells.
    pub cpu: Option<Duration>,
    /// The most memory it had at one time, in bytes, files in its tmpfs included.
    pub peak_memory: Option<u64>,
    /// Whether a container waited for it.
    pub waited: bool,
    /// Its output directory, whatever the end.
    pub output: OutputDir,
}

impl Engine {
    /// Holds one step of a run in a container of its own and waits for its end: one that waits for it
    /// ([`Engine::keep_warm`]), or a fresh one. When `cancel` fires, or a limit is reached, everything in
    /// the container is killed at once. Dropping the future removes the container in the background.
    ///
    /// The returned output directory is a mount that takes memory: collect and release it.
    ///
    /// # Errors
    /// Every [`SandboxError`] but `Output`: none of them is the program's doing. The container and
    /// the mount are removed then, or left to [`Engine::reap`] when the engine is gone.
    pub async fn run(&self, spec: RunSpec, cancel: CancellationToken) -> Result<RunOutcome, SandboxError> {
        spec.check()?;
        let slug = spec.label.slug();
        let output =
            OutputDir::mount(self.runs().join(&slug).join("output"), &spec.output, self.0.tracker.clone())?;
        let going = self.0.shelf.going();
        let apart = self.set_apart(self.runs().join(&slug), &spec.binds).await?;
        let spec = RunSpec { binds: apart.binds().to_vec(), ..spec };
        let warm = self.take_warm(&spec, &output).await;
        let waited = warm.is_some();
        let (container, logs) = match warm {
            Some(started) => started,
            None => self.start_fresh(&spec, &slug, &output).await?,
        };
        drop(apart);
        let mut watch = Watch::new(&spec, logs, cancel);
        let (code, wall, cut) = watch.until_exit(&container).await?;
        let lets_go = watch.lets_go && cut == Some(End::Cancelled);
        let (log, end) = tokio::join!(watch.output.finish(lets_go), container.end(cut, code));
        let end = end?;
        let usage = container.usage();
        drop(going);
        Ok(RunOutcome { end, log, wall, cpu: usage.cpu, peak_memory: usage.peak_memory, waited, output })
    }

    /// A container that waited for a run of this kind and has taken this one on.
    async fn take_warm(&self, spec: &RunSpec, output: &OutputDir) -> Option<(Container, LogStream)> {
        // the name may stand for a newer build by now; what is wrong with it the fresh container tells
        let kind = Kind::of(spec, self.image_id(&spec.image).await.ok()?)?;
        let warm = self.0.shelf.take(kind)?;
        match warm.take_on(spec, output).await {
            Ok(started) => Some(started),
            Err(error) => {
                tracing::warn!(run = %spec.label.run, %error, "a container that waited is of no use; a fresh one is started");
                None
            }
        }
    }

    async fn start_fresh(
        &self,
        spec: &RunSpec,
        slug: &str,
        output: &OutputDir,
    ) -> Result<(Container, LogStream), SandboxError> {
        let group = self.0.layout.group(slug);
        let body = self.body(spec, output, &group);
        let container = Container::create(self, slug, body, group, None).await?;
        let logs = self.attach(container.name()).await?;
        self.start(container.name()).await?;
        Ok((container, logs))
    }

    fn body(&self, spec: &RunSpec, output: &OutputDir, group: &Group) -> ContainerCreateBody {
        let settings = &self.0.settings;
        let deadline = self.deadline_after(spec.wall_clock + DEADLINE_GRACE);
        let place = Place {
            labels: spec.label.to_docker(&settings.instance, spec.profile.as_str(), deadline),
            cgroup_parent: &group.parent,
            runtime: &settings.runtime,
            cpus: self.0.cpus,
        };
        run_container(spec, output.path().to_string_lossy().into_owned(), place)
    }

    /// The moment after which the reaper takes a container for forgotten, in milliseconds since 1970.
    pub(super) fn deadline_after(&self, span: Duration) -> i64 {
        let span = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        self.0.settings.clock.millis().saturating_add(span)
    }
}

/// A container of ours. Dropping it removes it in the background, whatever state it is in.
pub(super) struct Container {
    engine: Engine,
    name: String,
    group: Group,
    /// Of one that was started before its run was known.
    slot: Option<(RunSlot, Exists)>,
    /// Processor time used before the run.
    before: Duration,
}

impl Container {
    pub(super) async fn create(
        engine: &Engine,
        slug: &str,
        body: ContainerCreateBody,
        group: Group,
        slot: Option<(RunSlot, Exists)>,
    ) -> Result<Self, SandboxError> {
        // The name stands for the container from here on, so that a create that is cut off in the
        // middle is removed too.
        let name = engine.container_name(slug);
        let container = Self { engine: engine.clone(), name, group, slot, before: Duration::ZERO };
        engine.create(&container.name, body).await?;
        Ok(container)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Where the host mounts what its run reads and writes.
    pub(super) fn slot(&self) -> Option<&RunSlot> {
        self.slot.as_ref().map(|(slot, _)| slot)
    }

    /// Whether a process lives in it, as far as its control group tells.
    pub(super) fn lives(&self) -> bool {
        self.group.now().is_none_or(|now| now.pids > 0)
    }

    /// What it has used until now was not for the run.
    pub(super) fn count_from_here(&mut self) {
        self.before = self.group.usage().cpu.unwrap_or_default();
    }

    fn usage(&self) -> Usage {
        let usage = self.group.usage();
        Usage { cpu: usage.cpu.map(|cpu| cpu.saturating_sub(self.before)), ..usage }
    }

    /// The end, given why we cut it off (if we did) and its exit code. An engine that is going down
    /// kills its containers first and reports them as exited; it takes no new call then, so this
    /// call tells such an exit from the program's own.
    async fn end(&self, cut: Option<End>, code: i64) -> Result<End, SandboxError> {
        if let Some(end) = cut {
            return Ok(end);
        }
        let Some(ContainerState { oom_killed, .. }) = self.engine.inspect_ended(&self.name).await? else {
            return Err(lost("inspect a container", "it is not there any more".to_owned()));
        };
        let killed_for_memory = oom_killed == Some(true) || self.group.usage().oom_kills > 0;
        Ok(if killed_for_memory { End::OutOfMemory } else { End::Exited(code) })
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let (engine, name, group) = (self.engine.clone(), std::mem::take(&mut self.name), self.group.clone());
        let slot = self.slot.take();
        if tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        let tracker = engine.0.tracker.clone();
        tracker.spawn(async move {
            if let Err(error) = engine.remove(&name).await {
                tracing::warn!(container = name, %error, "a container is left to the reaper");
            }
            if let Some((slot, _exists)) = slot
                && let Err(error) = slot.remove()
            {
                tracing::warn!(container = name, %error, "a slot is left to the reaper");
            }
            if let Err(error) = group.remove() {
                tracing::warn!(container = name, %error, "a control group is left to the reaper");
            }
        });
    }
}

/// Holds a started container to its limits.
struct Watch {
    output: Output,
    cancel: CancellationToken,
    started: Instant,
    deadline: Instant,
    silent_limit: Option<Duration>,
    /// Nothing of it is read once it is cancelled: it is killed with its removal, and not waited for.
    lets_go: bool,
}

impl Watch {
    fn new(spec: &RunSpec, logs: LogStream, cancel: CancellationToken) -> Self {
        let now = Instant::now();
        let log = CappedLog::new(spec.log_cap);
        let output = Output { logs, log, sink: spec.log_sink.clone(), last: now, read_at: now, open: true };
        Self {
            output,
            cancel,
            started: now,
            deadline: now + spec.wall_clock,
            silent_limit: spec.silent_limit,
            lets_go: spec.relay.is_some(),
        }
    }

    /// The exit code, how long it took, and why we killed it, if we did.
    async fn until_exit(
        &mut self,
        container: &Container,
    ) -> Result<(i64, Duration, Option<End>), SandboxError> {
        let mut exit = pin!(container.engine.exit_code(&container.name));
        loop {
            let silent = self.silent_limit.map(|limit| self.output.last + limit);
            let cut = tokio::select! {
                code = &mut exit => return Ok((code?, self.started.elapsed(), None)),
                () = self.cancel.cancelled() => End::Cancelled,
                () = sleep_until(self.deadline) => End::TimedOut,
                () = sleep_until(silent.unwrap_or(self.deadline)), if silent.is_some() => End::Silent,
                () = self.output.read(), if self.output.open => continue,
            };
            if self.lets_go && cut == End::Cancelled {
                return Ok((0, self.started.elapsed(), Some(cut)));
            }
            let stop = async {
                container.engine.kill(&container.name).await?;
                exit.await
            };
            return match timeout(KILL_GRACE, self.output.read_while(stop)).await {
                Ok(code) => Ok((code?, self.started.elapsed(), Some(cut))),
                Err(_) => Err(lost("kill a container", "it does not die".to_owned())),
            };
        }
    }
}

/// Reads what a container prints.
struct Output {
    logs: LogStream,
    log: CappedLog,
    sink: Option<mpsc::Sender<LogChunk>>,
    /// When the last piece came.
    last: Instant,
    /// When to read on, while the program floods us.
    read_at: Instant,
    open: bool,
}

impl Output {
    /// One piece of output. Safe to drop between pieces.
    async fn read(&mut self) {
        sleep_until(self.read_at).await;
        let Some(Ok(piece)) = self.logs.next().await else {
            self.open = false;
            return;
        };
        self.last = Instant::now();
        let stderr = matches!(piece, LogOutput::StdErr { .. });
        let bytes = piece.into_bytes();
        if self.log.is_full() {
            self.read_at = self.last + Duration::from_secs_f64(bytes.len() as f64 / FLOOD_RATE);
        } else if let Some(sink) = &self.sink {
            // A slow reader misses pieces; the program never waits for one.
            let _ = sink.try_send(LogChunk { stderr, bytes: bytes.clone() });
        }
        self.log.push(&bytes);
    }

    /// Reads as fast as it comes until `action` is done. While a container dies its output must
    /// flow: an engine that cannot deliver it does not answer the kill.
    async fn read_while<T>(&mut self, action: impl Future<Output = T>) -> T {
        let mut action = pin!(action);
        loop {
            self.read_at = self.last;
            tokio::select! {
                done = &mut action => return done,
                () = self.read(), if self.open => {}
            }
        }
    }

    /// Reads what the engine still has after the exit; of a container that still runs what is there.
    async fn finish(mut self, still_runs: bool) -> CappedLog {
        let rest = async {
            while self.open {
                self.read_at = self.last;
                self.read().await;
            }
        };
        let _ = timeout(if still_runs { AT_HAND } else { DRAIN }, rest).await;
        self.log
    }
}
