//! What the sandboxes of this worker use at this moment, for whoever looks; and what the lab in one has
//! printed, kept for the organizer when it broke.

use std::collections::HashMap;
use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::begin::PIDS;
use super::{Keeper, ReachError};
use crate::ids::SandboxId;
use crate::lab::desk;
use crate::lab::model::{SHM_BYTES, TMP_BYTES};
use crate::lab::outbox::{self, Outbox};
use crate::sandbox::{self, HomeKind, HomeUsage};

/// How far apart two looks at the processor time are: a shorter span says little.
const SPAN: Duration = Duration::from_secs(3);
/// Bytes of a broken lab's output that are kept for the organizer.
pub(super) const KEPT_LOG: usize = 16 << 10;
/// The hundredths of a home in use from which there is little room left.
const TIGHT: u64 = 90;
/// The hundredths from which there is none.
const FULL: u64 = 99;

/// What a sandbox uses at this moment.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Look {
    /// Processors in use, over the last few seconds; `None` before they have passed.
    pub cpus: Option<f64>,
    /// Bytes of memory, with those of its `/tmp` and `/dev/shm`.
    pub memory: u64,
    /// How many there may be.
    pub memory_limit: u64,
    /// Processes and threads.
    pub processes: u64,
    /// How many there may be.
    pub processes_limit: u64,
    /// Programs that the kernel has stopped at the memory limit since the sandbox began.
    pub killed_for_memory: u64,
    /// How full its home is; `None` where that cannot be told.
    pub home: Option<HomeUsage>,
    /// Bytes of content shown in the session.
    pub shown: u64,
}

/// How much room a home has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Room {
    /// Enough.
    Enough,
    /// Less than a tenth, of its bytes or of its files.
    Little,
    /// No more bytes fit.
    NoBytes,
    /// No more files fit.
    NoFiles,
}

impl Room {
    /// The room that is left in a home.
    pub fn of(home: &HomeUsage) -> Self {
        let hundredths = |used: u64, all: u64| used.saturating_mul(100) / all.max(1);
        let bytes = hundredths(home.bytes_used, home.bytes);
        let files = hundredths(home.inodes_used, home.inodes);
        match (bytes, files) {
            (FULL.., _) => Self::NoBytes,
            (_, FULL..) => Self::NoFiles,
            (TIGHT.., _) | (_, TIGHT..) => Self::Little,
            _ => Self::Enough,
        }
    }
}

/// A sandbox's processor time as it was last looked at, and what was in use until then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pulse {
    at: Instant,
    cpu: Duration,
    cpus: Option<f64>,
    killed: u64,
}

impl Pulse {
    /// The pulse after another look.
    fn next(before: Option<Self>, cpu: Duration, killed: u64) -> Self {
        let at = Instant::now();
        let cpus = before.map(|before| {
            cpu.saturating_sub(before.cpu).as_secs_f64() / at.duration_since(before.at).as_secs_f64()
        });
        Self { at, cpu, cpus, killed }
    }
}

pub(super) type Pulses = HashMap<SandboxId, Pulse>;

impl Keeper {
    fn pulses(&self) -> MutexGuard<'_, Pulses> {
        self.0.pulses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a sandbox uses at this moment; `None` where this worker does not hold it, or it does not run.
    pub fn look(&self, id: SandboxId) -> Option<Look> {
        let held = self.get(id)?;
        let usage = held.sandbox.usage().ok()?;
        let home = held.home.usage().ok();
        let in_memory = match held.home.kind() {
            HomeKind::Memory => home.map_or(0, |home| home.bytes),
            HomeKind::Image => 0,
        };
        Some(Look {
            cpus: self.pulses().get(&id).and_then(|pulse| pulse.cpus),
            memory: usage.memory,
            memory_limit: held.grant.memory + TMP_BYTES + SHM_BYTES + in_memory,
            processes: usage.pids,
            processes_limit: u64::from(PIDS),
            killed_for_memory: usage.killed_for_memory,
            home,
            shown: held.gauge.shown(),
        })
    }

    /// What lies in the outbox of a sandbox that is open here.
    ///
    /// # Errors
    /// [`ReachError::NotHere`]; [`ReachError::Engine`] when it cannot be read.
    pub async fn outbox(&self, id: SandboxId) -> Result<Outbox, ReachError> {
        let held = self.get(id).ok_or(ReachError::NotHere)?;
        Ok(outbox::look_into(&held.home).await?)
    }

    /// Whether the engine has a local image.
    pub async fn has_image(&self, image: &str) -> bool {
        self.means().engine.check_image(image).await.is_ok()
    }

    /// What a sandbox has printed until now: the lab's own messages. Untrusted: everything in the sandbox
    /// can write there.
    pub fn printed(&self, id: SandboxId) -> Option<String> {
        Some(self.get(id)?.sandbox.log().text())
    }

    /// Looks at the processor time of all that are held, and puts down what the kernel has stopped since.
    pub(super) async fn feel_pulses(&self) {
        let held: Vec<_> = self.held().iter().map(|(id, held)| (*id, held.clone())).collect();
        self.pulses().retain(|id, _| held.iter().any(|(held, _)| held == id));
        for (id, held) in held {
            let before = self.pulses().get(&id).copied();
            if before.is_some_and(|before| before.at.elapsed() < SPAN) {
                continue;
            }
            let Ok(usage) = held.sandbox.usage() else { continue };
            let killed = usage.killed_for_memory;
            self.pulses().insert(id, Pulse::next(before, usage.cpu, killed));
            if killed > before.map_or(0, |before| before.killed)
                && let Err(error) = desk::note_kills(&self.means().house, id, killed).await
            {
                tracing::warn!(sandbox = %id, %error, "programs stopped for memory were not put down");
            }
        }
    }

    /// Keeps the end of what a broken lab printed, which goes with its container.
    pub(super) async fn keep_log(&self, id: SandboxId, sandbox: &sandbox::Sandbox) {
        let text = sandbox.log().text();
        let from = text.ceil_char_boundary(text.len().saturating_sub(KEPT_LOG));
        if let Err(error) = desk::keep_log(&self.means().house, id, &text[from..]).await {
            tracing::warn!(sandbox = %id, %error, "what a broken lab printed was not kept");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_is_full_in_bytes_or_in_files() {
        let room = |bytes_used, inodes_used| {
            Room::of(&HomeUsage { bytes: 1000, bytes_used, inodes: 200, inodes_used })
        };
        assert_eq!(room(899, 179), Room::Enough);
        assert_eq!(room(900, 0), Room::Little);
        assert_eq!(room(0, 180), Room::Little);
        assert_eq!(room(990, 200), Room::NoBytes);
        assert_eq!(room(500, 198), Room::NoFiles);
    }
}
