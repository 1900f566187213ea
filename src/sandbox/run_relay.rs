//! The relay of a run: the host's side of the way to an app's port while a run asks it questions.

use std::collections::HashSet;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::SandboxError;
use super::engine::Engine;
use super::relay::{Relay, RelayLimits};
use crate::clock::Entropy;

/// Where a run container sees the directory with the relay's socket: below its slot, as everything of a run.
pub(super) const RUN_SOCKET_DIR: &str = "/app/relay";
/// Connections to the app at a time: one that asks, and those of earlier questions that still close.
const STREAMS: usize = 16;

/// The names of the directories that this process listens in.
pub(super) type Listening = Arc<Mutex<HashSet<String>>>;

/// A relay for one container of a run. Dropping it stops listening and removes its directory.
pub struct RunRelay {
    relay: Relay,
    directory: PathBuf,
    name: String,
    listening: Listening,
}

impl Engine {
    /// Listens for the relay of a run container that is to be started with [`super::RunSpec::relay`].
    ///
    /// Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// [`SandboxError::NoRelay`] where nothing could dial it, [`SandboxError::Host`] when the socket cannot be made,
    /// [`SandboxError::Spec`] where the work directory's path is too long for one.
    pub fn listen_for_run(&self) -> Result<RunRelay, SandboxError> {
        self.check_relay()?;
        let name = hex::encode(Entropy.bytes::<8>());
        let area = self.relays();
        let directory = area.join(&name);
        let host = |error| SandboxError::host("create", &directory, error);
        // others may not come as far as the socket; the container is given the directory itself
        DirBuilder::new().recursive(true).mode(0o700).create(&area).map_err(host)?;
        self.0.listening.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone());
        let made = DirBuilder::new().mode(0o755).create(&directory).map_err(host);
        let limits = RelayLimits { streams: STREAMS, hand_ins: 0 };
        match made.and_then(|()| Relay::listen(&directory, limits)) {
            Ok(relay) => Ok(RunRelay { relay, directory, name, listening: Arc::clone(&self.0.listening) }),
            Err(error) => {
                let _ = fs::remove_dir_all(&directory);
                self.0.listening.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
                Err(error)
            }
        }
    }

    /// Where the sockets of runs are.
    pub(super) fn relays(&self) -> PathBuf {
        self.0.settings.work_dir.join("relays")
    }

    /// Removes the sockets that an earlier process left; gives how many.
    pub(super) fn reap_relays(&self) -> usize {
        let listening = self.0.listening.lock().unwrap_or_else(PoisonError::into_inner);
        let mut removed = 0;
        for entry in fs::read_dir(self.relays()).into_iter().flatten().flatten() {
            let own = entry.file_name().to_str().is_some_and(|name| listening.contains(name));
            if !own && fs::remove_dir_all(entry.path()).is_ok() {
                removed += 1;
            }
        }
        removed
    }
}

impl RunRelay {
    /// The relay.
    pub fn relay(&self) -> &Relay {
        &self.relay
    }

    /// The directory with its socket.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// A command that runs `command` with the relay beside it.
    pub fn around(command: Vec<String>) -> Vec<String> {
        let socket = format!("{RUN_SOCKET_DIR}/relay.sock");
        let words = ["shuyu-relay", "serve", "--socket", &socket, "--"];
        words.into_iter().map(str::to_owned).chain(command).collect()
    }
}

impl Drop for RunRelay {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.directory) {
            tracing::warn!(path = %self.directory.display(), %error, "a relay's socket is left to the reaper");
        }
        self.listening.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}
