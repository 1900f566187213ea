//! What interactive sandboxes print, followed for as long as they live.
//!
//! The engine keeps a capped file of it (its `local` log driver), from which a restarted service reads
//! what was before. Besides, somebody must read slowly: everything in a sandbox can write to the
//! first process's output, the engine would copy as fast as that comes, and a connection that is read
//! slowly holds it back.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::SandboxError;
use super::container::LogStream;
use super::engine::Engine;
use super::log::CappedLog;
use crate::ids::SandboxId;

/// Bytes per second that are read of a sandbox's output.
const RATE: f64 = (4 << 20) as f64;
/// How long to read on after the exit; the engine itself drains for two seconds.
const DRAIN: Duration = Duration::from_secs(3);
/// How long the engine may take to tell what it has kept.
const RECALL: Duration = Duration::from_secs(10);

/// The outputs that an engine's sandboxes have been heard to print, so that each is read once.
pub(super) type Heard = Mutex<HashMap<SandboxId, Printed>>;

/// One sandbox's output; clones are the same.
#[derive(Clone)]
pub(super) struct Printed {
    log: Arc<Mutex<CappedLog>>,
    cap: usize,
    /// Whether it is being read.
    following: Arc<watch::Sender<bool>>,
}

impl Engine {
    /// The output of this sandbox, empty where nobody has heard of it yet.
    pub(super) fn printed(&self, id: SandboxId, cap: usize) -> Printed {
        let mut heard = self.0.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || Printed {
            log: Arc::new(Mutex::new(CappedLog::new(cap))),
            cap,
            following: Arc::new(watch::Sender::new(false)),
        };
        heard.entry(id).or_insert_with(fresh).clone()
    }

    pub(super) fn forget_printed(&self, id: SandboxId) {
        self.0.heard.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }
}

impl Printed {
    pub(super) fn cap(&self) -> usize {
        self.cap
    }

    pub(super) fn log(&self) -> CappedLog {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn push(&self, bytes: &[u8]) {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).push(bytes);
    }

    /// Reads what the engine has kept, where nothing is known yet.
    pub(super) async fn recall(&self, engine: &Engine, name: &str) {
        if self.log().total() > 0 || *self.following.borrow() {
            return;
        }
        let mut kept = engine.kept_log(name);
        let all = async {
            while let Some(Ok(piece)) = kept.next().await {
                self.push(&piece.into_bytes());
            }
        };
        if timeout(RECALL, all).await.is_err() {
            tracing::warn!(container = name, "the engine does not tell what a sandbox printed");
        }
    }

    /// Reads what comes from now on, in the background, until the container stops. Nothing where somebody
    /// does already.
    pub(super) async fn follow(&self, engine: &Engine, name: &str) -> Result<(), SandboxError> {
        if self.following.send_replace(true) {
            return Ok(());
        }
        match engine.attach(name).await {
            Ok(logs) => {
                tokio::spawn(self.clone().read(logs));
                Ok(())
            }
            Err(error) => {
                self.following.send_replace(false);
                Err(error)
            }
        }
    }

    async fn read(self, mut logs: LogStream) {
        while let Some(Ok(piece)) = logs.next().await {
            let bytes = piece.into_bytes();
            self.push(&bytes);
            sleep(Duration::from_secs_f64(bytes.len() as f64 / RATE)).await;
        }
        self.following.send_replace(false);
    }

    /// Waits until all is read of a container that has stopped.
    pub(super) async fn finished(&self) {
        let mut following = self.following.subscribe();
        let _ = timeout(DRAIN, following.wait_for(|following| !following)).await;
    }
}
