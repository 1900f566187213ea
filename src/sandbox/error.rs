//! What can go wrong between us and the Docker engine.

use std::io;
use std::path::PathBuf;

use bollard::errors::Error as DockerError;

use super::collect::OutputRefused;
use super::home_error::HomeError;
use crate::ids::SandboxId;

/// Why a run or a sandbox could not be held to its end. None of these is the participant's fault,
/// except [`SandboxError::Output`] and what [`HomeError`] says of the home's content: a run that ends
/// with any of the others is ours to repeat, and eats no quota.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The engine does not answer, or stopped answering while the run was going on. The run's
    /// container may still exist; the reaper removes it.
    #[error(
        "the Docker engine is gone ({action}: {cause}); start it (systemctl start docker) and the run is repeated"
    )]
    EngineLost {
        /// What was asked of the engine.
        action: &'static str,
        /// What the connection said.
        cause: String,
    },
    /// The engine answered and refused.
    #[error("the Docker engine refused to {action} (status {status}): {message}")]
    EngineRefused {
        /// What was asked of the engine.
        action: &'static str,
        /// Its HTTP status.
        status: u16,
        /// Its own words.
        message: String,
    },
    /// The image is not in the local engine.
    #[error(
        "the sandbox image {image} is not in the Docker engine; build it with `scripts/image {}`",
        short_name(image)
    )]
    ImageMissing {
        /// The local image asked for.
        image: String,
    },
    /// A bundle names an image that no setting maps to a local one.
    #[error(
        "no local sandbox image stands for {image:?}; add it to the `images` table of the configuration, or set \
         SHUYU_IMAGES={image}=shuyu/python:latest"
    )]
    ImageUnmapped {
        /// The name as the bundle has it.
        image: String,
    },
    /// The configured container runtime is not registered with the engine.
    #[error(
        "the Docker engine has no runtime {runtime:?} (it has: {available}); register it in /etc/docker/daemon.json \
         or set sandbox.runtime = \"runc\""
    )]
    RuntimeMissing {
        /// The runtime of the configuration.
        runtime: String,
        /// The engine's runtimes, separated by commas.
        available: String,
    },
    /// The runtime lets nothing in a container reach the socket that its relay is to dial.
    #[error(
        "the container runtime {runtime} lets no connection into a container, so that neither apps nor interactive \
         sandboxes can run on this machine; add \"--host-uds=open\" to its runtimeArgs in /etc/docker/daemon.json (a \
         build newer than Debian 12's) and have the engine read it (systemctl reload docker), or set SHUYU_RUNTIME=runc"
    )]
    NoRelay {
        /// The runtime of the configuration.
        runtime: String,
    },
    /// The engine's or our own disk is full.
    #[error(
        "no space left on the device ({what}); free some (docker system df, df -h) and the run is repeated"
    )]
    DiskFull {
        /// Where it happened.
        what: String,
    },
    /// The run as asked for makes no sense.
    #[error("the run cannot start: {what}")]
    Spec {
        /// What is wrong and what would be right.
        what: String,
    },
    /// A directory or a mount of ours failed.
    #[error("cannot {action} {}: {source}; the worker must run as root and own its work directory", path.display())]
    Host {
        /// What was tried.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// What the program left in its output directory is refused.
    #[error(transparent)]
    Output(#[from] OutputRefused),
    /// Something about a participant's home.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// An interactive sandbox is not in a state in which this can be done.
    #[error("cannot {action} the sandbox {id}: {what}")]
    State {
        /// What was asked for.
        action: &'static str,
        /// Of which sandbox.
        id: SandboxId,
        /// Why not.
        what: &'static str,
    },
}

impl SandboxError {
    /// Whether the same run may succeed a little later without anyone changing the competition: it
    /// is handed back to the queue instead of failed.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::EngineLost { .. } | Self::DiskFull { .. })
    }

    pub(super) fn host(action: &'static str, path: impl Into<PathBuf>, source: impl Into<io::Error>) -> Self {
        let (path, source) = (path.into(), source.into());
        if source.kind() == io::ErrorKind::StorageFull {
            return Self::DiskFull { what: format!("{action} {}", path.display()) };
        }
        Self::Host { action, path, source }
    }

    /// Reads the engine's answer to `action`.
    pub(super) fn engine(action: &'static str, error: DockerError) -> Self {
        match error {
            DockerError::DockerResponseServerError { message, .. }
                if message.contains("no space left on device") =>
            {
                Self::DiskFull { what: format!("the engine, to {action}: {message}") }
            }
            DockerError::DockerResponseServerError { status_code, message } => {
                Self::EngineRefused { action, status: status_code, message }
            }
            other => Self::EngineLost { action, cause: other.to_string() },
        }
    }
}

/// `shuyu/python:latest` is built from `sandbox-images/python`.
fn short_name(image: &str) -> &str {
    let name = image.rsplit('/').next().unwrap_or(image);
    name.split(':').next().unwrap_or(name)
}
