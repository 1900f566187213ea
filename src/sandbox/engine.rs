//! The connection to the Docker engine, and what it knows of this machine.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bollard::{API_DEFAULT_VERSION, Docker};
use rustix::mount::MountFlags;
use tokio_util::task::TaskTracker;

use super::SandboxError;
use super::cgroup::Layout;
use super::label::Owner;
use super::printed::Heard;
use super::profile::GVISOR;
use super::run_relay::Listening;
use super::shelf::Shelf;
use super::tmpfs::{SharedDir, Staging};
use crate::clock::Clock;

/// Where sandboxes run and what marks them as ours.
#[derive(Clone, Debug)]
pub struct SandboxSettings {
    /// Marks what belongs to this worker on a machine that may have several: 1 to 32 of `a-z`,
    /// `0-9`, `_`. It must be the same after a restart, or nobody reaps what was left behind.
    pub instance: String,
    /// Absolute path of a directory of this worker alone; mounts are made below it. The engine must
    /// see the same mounts (same machine, same mount namespace).
    pub work_dir: PathBuf,
    /// `runc`, or `runsc` where gVisor is registered with the engine.
    pub runtime: String,
    /// The engine's unix socket; `None` for `DOCKER_HOST` or the usual place.
    pub socket: Option<PathBuf>,
    /// For the deadline written on each container.
    pub clock: Clock,
}

impl SandboxSettings {
    fn check(&self) -> Result<(), SandboxError> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if self.instance.is_empty() || self.instance.len() > 32 || !self.instance.chars().all(plain) {
            let what = format!("the instance {:?} is not 1 to 32 of a-z, 0-9 and _", self.instance);
            return Err(SandboxError::Spec { what });
        }
        if !self.work_dir.is_absolute() || self.work_dir.to_str().is_none() {
            let what = format!("the work directory {:?} is not an absolute path in UTF-8", self.work_dir);
            return Err(SandboxError::Spec { what });
        }
        Ok(())
    }
}

/// A handle on the Docker engine of this machine; clones share it. Every call connects anew, so an
/// engine that was restarted is found again without doing anything.
#[derive(Clone)]
pub struct Engine(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) docker: Docker,
    pub(super) settings: SandboxSettings,
    pub(super) layout: Layout,
    /// Whether the relay in a container can reach the host.
    joins: bool,
    /// Processors of the machine.
    pub(super) cpus: f64,
    pub(super) tracker: TaskTracker,
    staged: AtomicU64,
    pub(super) heard: Heard,
    /// Run containers that wait for their run.
    pub(super) shelf: Shelf,
    /// Relays of runs.
    pub(super) listening: Listening,
}

impl Engine {
    /// Connects, and checks that the engine has the runtime that the settings name.
    ///
    /// # Errors
    /// [`SandboxError::EngineLost`] when no engine answers, [`SandboxError::RuntimeMissing`],
    /// [`SandboxError::Spec`] for settings that make no sense.
    pub async fn connect(settings: SandboxSettings) -> Result<Self, SandboxError> {
        settings.check()?;
        let lost = |error| SandboxError::engine("connect", error);
        let docker = match &settings.socket {
            Some(path) => Docker::connect_with_unix(&path.to_string_lossy(), 120, API_DEFAULT_VERSION),
            None => Docker::connect_with_local_defaults(),
        };
        let docker = docker.map_err(lost)?.negotiate_version().await.map_err(lost)?;
        let info = docker.info().await.map_err(lost)?;
        let runtimes = info.runtimes.unwrap_or_default();
        let Some(runtime) = runtimes.get(&settings.runtime) else {
            let mut names: Vec<String> = runtimes.into_keys().collect();
            names.sort_unstable();
            let available = names.join(", ");
            return Err(SandboxError::RuntimeMissing { runtime: settings.runtime, available });
        };
        let joins = joins(&settings.runtime, runtime.runtime_args.as_deref().unwrap_or_default());
        let v2 = info.cgroup_version.is_some_and(|version| version.to_string() == "2");
        let systemd = info.cgroup_driver.is_some_and(|driver| driver.to_string() == "systemd");
        let inner = Inner {
            layout: Layout::new(v2, systemd, &settings.instance),
            joins,
            cpus: info.ncpu.map_or(1.0, |count| count as f64),
            docker,
            settings,
            tracker: TaskTracker::new(),
            staged: AtomicU64::new(0),
            heard: Heard::default(),
            shelf: Shelf::default(),
            listening: Listening::default(),
        };
        Ok(Self(Arc::new(inner)))
    }

    /// Asks the engine whether it is there.
    ///
    /// # Errors
    /// [`SandboxError::EngineLost`].
    pub async fn ping(&self) -> Result<(), SandboxError> {
        self.0.docker.ping().await.map(drop).map_err(|error| SandboxError::engine("answer a ping", error))
    }

    /// Whether the relay in a container can reach the host: without it there are neither apps nor interactive
    /// sandboxes.
    ///
    /// # Errors
    /// [`SandboxError::NoRelay`].
    pub fn check_relay(&self) -> Result<(), SandboxError> {
        match self.0.joins {
            true => Ok(()),
            false => Err(SandboxError::NoRelay { runtime: self.0.settings.runtime.clone() }),
        }
    }

    /// Whether a local image is there.
    ///
    /// # Errors
    /// [`SandboxError::ImageMissing`], [`SandboxError::EngineLost`].
    pub async fn check_image(&self, image: &str) -> Result<(), SandboxError> {
        self.image_id(image).await.map(drop)
    }

    /// The engine's id of the image that a name stands for at this moment (`sha256:…`): containers can be
    /// started from it as from the name, and one that is built anew under the same name has another.
    ///
    /// # Errors
    /// [`SandboxError::ImageMissing`], [`SandboxError::EngineLost`].
    pub async fn image_id(&self, image: &str) -> Result<String, SandboxError> {
        let missing = || SandboxError::ImageMissing { image: image.to_owned() };
        match self.0.docker.inspect_image(image).await {
            Ok(found) => found.id.ok_or_else(missing),
            Err(bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }) => Err(missing()),
            Err(error) => Err(SandboxError::engine("look for an image", error)),
        }
    }

    /// A tmpfs of `bytes` for this attempt's plain copies of sealed data.
    ///
    /// # Errors
    /// [`SandboxError::Host`] when it cannot be mounted.
    pub fn stage(&self, owner: Owner, bytes: u64) -> Result<Staging, SandboxError> {
        Staging::mount(self.staged(owner).join("stage"), bytes, MountFlags::NOEXEC, self.0.tracker.clone())
    }

    /// The same for a program of this attempt's that is machine code, or loads some.
    ///
    /// # Errors
    /// [`SandboxError::Host`] when it cannot be mounted.
    pub fn stage_program(&self, owner: Owner, bytes: u64) -> Result<Staging, SandboxError> {
        Staging::mount(self.staged(owner).join("program"), bytes, MountFlags::empty(), self.0.tracker.clone())
    }

    /// A tmpfs of `bytes` that two containers of this attempt write at the same time.
    ///
    /// # Errors
    /// [`SandboxError::Host`] when it cannot be mounted.
    pub fn share(&self, owner: Owner, bytes: u64) -> Result<SharedDir, SandboxError> {
        SharedDir::mount(self.staged(owner).join("shared"), bytes, self.0.tracker.clone())
    }

    fn staged(&self, owner: Owner) -> PathBuf {
        let number = self.0.staged.fetch_add(1, Ordering::Relaxed);
        self.runs().join(owner.slug(format_args!("staged{number}")))
    }

    /// Waits for the removals that go on in the background (stopped containers, dropped mounts).
    pub async fn settle(&self) {
        self.0.tracker.close();
        self.0.tracker.wait().await;
        self.0.tracker.reopen();
    }

    /// Where every mount for a run is made.
    pub(super) fn runs(&self) -> PathBuf {
        self.0.settings.work_dir.join("runs")
    }
}

/// Whether a container of a runtime that is registered with these arguments can dial a unix socket of the host.
/// gVisor's kernel does so where it is told to alone: `--host-uds` (`open` or `all`), in older builds
/// `--fsgofer-host-uds`.
fn joins(runtime: &str, args: &[String]) -> bool {
    let said = args.iter().enumerate().rev().find_map(|(place, arg)| {
        let flag = arg.trim_start_matches('-');
        let (name, value) = flag.split_once('=').map_or((flag, None), |(name, value)| (name, Some(value)));
        match name {
            "host-uds" => {
                let value = value.or_else(|| args.get(place + 1).map(String::as_str));
                Some(matches!(value, Some("open" | "all")))
            }
            "fsgofer-host-uds" => Some(!matches!(value, Some("false" | "0"))),
            _ => None,
        }
    });
    runtime != GVISOR || said.unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::joins;

    #[test]
    fn gvisor_reaches_the_host_only_where_it_is_told_to() {
        let with =
            |args: &[&str]| joins("runsc", &args.iter().map(|&arg| arg.to_owned()).collect::<Vec<_>>());
        assert!(joins("runc", &[]));
        for not in [
            vec![],
            vec!["--platform=ptrace", "--network=none"],
            vec!["--host-uds=none"],
            vec!["--host-uds=create"],
            vec!["--host-uds=open", "--host-uds=none"],
            vec!["--fsgofer-host-uds=false"],
        ] {
            assert!(!with(&not), "{not:?}");
        }
        for told in [
            vec!["--network=none", "--host-uds=open"],
            vec!["-host-uds=all"],
            vec!["--host-uds", "open", "--network=none"],
            vec!["--fsgofer-host-uds"],
        ] {
            assert!(with(&told), "{told:?}");
        }
    }
}
