//! [`House`]: what a room needs to act: the database, the objects, time, randomness, and the bells
//! that wake whoever waits in the same process.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::clock::{Clock, Entropy};
use crate::store::{Db, Objects};

/// What every acting room is handed. Cheap to clone.
#[derive(Clone)]
pub struct House {
    /// The database.
    pub db: Db,
    /// The object store.
    pub objects: Objects,
    /// Time.
    pub clock: Clock,
    /// Randomness.
    pub entropy: Entropy,
    /// Rung when a run was queued, so that a worker in this process takes it at once; workers
    /// elsewhere find it at their next look.
    pub queue_bell: Arc<Notify>,
    /// Rung when an event was published.
    pub event_bell: Arc<Notify>,
    /// Rung when something was asked of a sandbox, so that a keeper in this process sees to it at
    /// once. A bell of its own: a ring that nobody waits for wakes the next who does, and only one.
    pub keeper_bell: Arc<Notify>,
    /// The same for apps that are to be tried.
    pub demo_bell: Arc<Notify>,
    /// How much a person may hand in to a competition in a day, in bytes; 0: any amount.
    pub daily_bytes: u64,
}

impl House {
    /// Puts a house together.
    pub fn new(db: Db, objects: Objects, clock: Clock) -> Self {
        Self {
            db,
            objects,
            clock,
            entropy: Entropy,
            queue_bell: Arc::default(),
            event_bell: Arc::default(),
            keeper_bell: Arc::default(),
            demo_bell: Arc::default(),
            daily_bytes: 0,
        }
    }

    /// Bounds what a person may hand in to a competition in a day, in bytes.
    #[must_use]
    pub fn taking_daily(self, daily_bytes: u64) -> Self {
        Self { daily_bytes, ..self }
    }

    /// Wakes the workers, the live pages and the keeper of this process, after a commit.
    pub fn ring(&self) {
        for bell in [&self.queue_bell, &self.event_bell, &self.keeper_bell, &self.demo_bell] {
            bell.notify_waiters();
            bell.notify_one();
        }
    }
}
