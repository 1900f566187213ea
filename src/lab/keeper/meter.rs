//! Counting what sandboxes use (计量): written down every few seconds, and at the end of each.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::{Held, Keeper};
use crate::ids::SandboxId;
use crate::lab::db;
use crate::lab::model::Used;
use crate::store::StoreError;

/// Processor time of a container that is written down or not for its owner, in milliseconds, and when its
/// memory was last looked at.
#[derive(Clone, Copy)]
pub(super) struct Metered {
    pub(super) cpu_ms: i64,
    pub(super) at: Timestamp,
}

pub(super) fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

impl Keeper {
    /// Writes down what every sandbox has used since the last time.
    pub(super) async fn meter(&self) -> Result<(), StoreError> {
        let held: Vec<_> = self.held().iter().map(|(id, held)| (*id, Arc::clone(held))).collect();
        for (id, held) in held {
            self.meter_one(id, &held).await?;
        }
        Ok(())
    }

    pub(super) async fn meter_one(&self, id: SandboxId, held: &Held) -> Result<(), StoreError> {
        let house = &self.means().house;
        let now = house.clock.now();
        let taken = held.gauge.take();
        let mut more = Used {
            shown_bytes: i64::try_from(taken.shown).unwrap_or(i64::MAX),
            kernels: taken.kernels,
            terminals: taken.terminals,
            ..Used::default()
        };
        if let Ok(usage) = held.sandbox.usage() {
            let mut metered = held.metered.lock().unwrap_or_else(PoisonError::into_inner);
            let cpu_ms = milliseconds(usage.cpu);
            let seconds = now.duration_since(metered.at).as_secs().max(0);
            more.cpu_ms = (cpu_ms - metered.cpu_ms).max(0);
            more.memory_mib_s = i64::try_from(usage.memory >> 20).unwrap_or(0).saturating_mul(seconds);
            *metered = Metered { cpu_ms, at: now };
        }
        let mut tx = house.db.begin().await?;
        db::add_used(&mut tx, id, &more, taken.active_at).await?;
        tx.commit().await
    }
}
