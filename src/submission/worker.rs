//! The worker: takes runs from the queue and carries them, as many at a time as it has slots; and
//! the housekeeping that must go on beside them.
//!
//! A worker that is killed leaves leases that run out and containers that the reaper removes; one
//! that is asked to stop finishes what it has begun, or hands it back when that takes too long.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::SignedDuration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::queue::{self, Lease, Renewal};
use super::run::{Carrier, Leftovers, RunError, cache_names, give_up};
use super::{actions, disclose, migrate, rejected, rescore};
use crate::contest::{db as contest_db, packages};
use crate::ids::{RunId, WorkerId};
use crate::sandbox::{Owner, SandboxError};
use crate::scoring::board::mark;
use crate::store::StoreError;

/// How often a waiting worker looks for runs queued by another process.
const LOOK: Duration = Duration::from_millis(500);
/// How often leases are renewed and cancellations noticed.
const RENEW: Duration = Duration::from_secs(1);
/// How long a worker that is asked to stop lets its runs go on.
const GRACE: Duration = Duration::from_secs(20);
/// How long a run waits that was handed back for our own fault the first time; twice that the next.
const PAUSE: Duration = Duration::from_secs(5);
/// How often half-written files of killed uploads are looked for, in beats of a second.
const SWEEP: u32 = 3600;
/// How old such a file is at least: no upload takes that long.
const UNFINISHED: SignedDuration = SignedDuration::from_hours(24);
/// What a team is told of a run that failed for our own fault; of an app on a machine that can run none.
const OURS: &str =
    "the platform failed to run it, several times over; it costs no quota and the organizer was told";
const NO_APPS: &str = "the machine that it came to cannot run apps: its container runtime lets no connection into a \
     container. Nothing is wrong with the app; it costs no quota and the organizer was told";
/// How long it waits at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Takes runs from the queue and carries them.
pub struct Worker {
    carrier: Carrier,
    id: WorkerId,
    name: String,
    slots: usize,
    /// Containers kept started for the next runs.
    warm: usize,
    /// Days that the files of refused submissions are kept; 0: for ever.
    keep_rejected_days: u32,
    /// Where browsers reach the sandboxes that this process holds beside the runs, and how many it can hold.
    sandboxes: (String, u32),
    busy: Arc<Runs>,
    /// In the cache of public inputs, and in that of wheels.
    leftovers: Mutex<(Leftovers, Leftovers)>,
}

impl Worker {
    /// A worker with a new id.
    pub fn new(carrier: Carrier, name: &str, slots: usize) -> Self {
        let id = carrier.house.entropy.id(&carrier.house.clock);
        Self {
            carrier,
            id,
            name: name.to_owned(),
            slots: slots.max(1),
            warm: 0,
            keep_rejected_days: 0,
            sandboxes: Default::default(),
            busy: Arc::default(),
            leftovers: Mutex::default(),
        }
    }

    /// Keeps so many containers started for the next runs.
    #[must_use]
    pub fn keeping_warm(self, warm: usize) -> Self {
        Self { warm, ..self }
    }

    /// Removes the files of refused submissions after so many days; 0: never.
    #[must_use]
    pub fn keeping_rejected(self, days: u32) -> Self {
        Self { keep_rejected_days: days, ..self }
    }

    /// Says in its row that this process holds sandboxes: behind which origin, and how many.
    #[must_use]
    pub fn holding(self, origin: &str, places: u32) -> Self {
        Self { sandboxes: (origin.to_owned(), places), ..self }
    }

    /// Works until `stop` fires, and then until its runs are over or handed back.
    pub async fn work(self, stop: CancellationToken) {
        let me = Arc::new(self);
        me.reap().await;
        let mut tasks = JoinSet::new();
        tasks.spawn(Self::housekeeping(Arc::clone(&me), stop.clone()));
        if me.warm > 0 {
            let (engine, warm, stop) = (me.carrier.engine.clone(), me.warm, stop.clone());
            tasks.spawn(async move { engine.keep_warm(warm, stop).await });
        }
        let slots = Arc::new(Semaphore::new(me.slots));
        let abandon = CancellationToken::new();
        while !stop.is_cancelled() {
            let permit = tokio::select! {
                permit = Arc::clone(&slots).acquire_owned() => permit,
                () = stop.cancelled() => break,
            };
            let Ok(permit) = permit else { break };
            while let Some(over) = tasks.try_join_next() {
                note_panic(over);
            }
            match queue::lease(&me.carrier.house.db, &me.carrier.house.clock, me.id).await {
                Ok(Some(lease)) => {
                    me.carrier.house.event_bell.notify_waiters();
                    me.carrier.house.event_bell.notify_one();
                    let (me, abandon) = (Arc::clone(&me), abandon.clone());
                    tasks.spawn(async move {
                        me.carry(lease, abandon).await;
                        drop(permit);
                    });
                    continue;
                }
                Ok(None) => {}
                Err(error) => tracing::error!(%error, "the queue could not be read; trying again"),
            }
            drop(permit);
            tokio::select! {
                () = me.carrier.house.queue_bell.notified() => {}
                () = tokio::time::sleep(LOOK) => {}
                () = stop.cancelled() => {}
            }
        }
        me.wind_down(tasks, &abandon).await;
    }

    async fn wind_down(&self, mut tasks: JoinSet<()>, abandon: &CancellationToken) {
        let over = async {
            while let Some(over) = tasks.join_next().await {
                note_panic(over);
            }
        };
        if tokio::time::timeout(GRACE, over).await.is_err() {
            tracing::info!("handing back the runs that are still under way");
            abandon.cancel();
            let _ = tokio::time::timeout(GRACE, async { while tasks.join_next().await.is_some() {} }).await;
        }
        if let Err(error) = self.say_alive(true).await {
            tracing::warn!(%error, "could not note that this worker stopped");
        }
        self.carrier.engine.settle().await;
    }

    /// Carries one run while renewing its lease.
    async fn carry(&self, lease: Lease, abandon: CancellationToken) {
        let run = lease.run.id;
        let busy = Busy::enter(&self.busy, (run, lease.run.attempt));
        let cancel = CancellationToken::new();
        let stop_renewing = CancellationToken::new();
        let carrying = self.carrier.carry(lease.clone(), cancel.clone());
        let renewing = self.keep_lease(&lease, &cancel, &abandon, &stop_renewing);
        let (result, kept) = tokio::join!(
            async {
                let result = carrying.await;
                stop_renewing.cancel();
                result
            },
            renewing
        );
        drop(busy);
        match (result, kept) {
            (Ok(()), _) => {}
            (Err(RunError::Queue(queue::QueueError::Fenced(_))), _) | (Err(_), Kept::Lost) => {
                tracing::warn!(%run, "the run was handed on while this worker had it; its result is dropped");
            }
            (Err(error), _) => self.put_back(&lease, &error).await,
        }
    }

    /// Hands a run back for our own fault, or ends it when that was tried often enough.
    async fn put_back(&self, lease: &Lease, error: &RunError) {
        let fault = error.to_string();
        let attempt = lease.run.attempt;
        tracing::error!(run = %lease.run.id, attempt, fault, "a run failed for our own fault");
        let most = match error {
            error if error.is_transient() => queue::MAX_PATIENT_ATTEMPTS,
            // the table of images is read at the start: the next attempt finds the same
            RunError::Sandbox(SandboxError::ImageUnmapped { .. }) => 1,
            _ => queue::MAX_ATTEMPTS,
        };
        if attempt < most {
            self.hand_back(lease, &fault, pause_after(attempt)).await;
        } else if let Err(error) = give_up(&self.carrier.house, lease, (&fault, told_of(error))).await {
            tracing::warn!(run = %lease.run.id, %error, "the run could not be ended; its lease will run out");
        }
    }

    async fn hand_back(&self, lease: &Lease, fault: &str, pause: Duration) {
        let house = &self.carrier.house;
        let done: Result<(), RunError> = async {
            let mut tx = house.db.begin().await?;
            queue::hand_back(&mut tx, &house.clock, lease, fault, pause).await?;
            Ok(tx.commit().await?)
        }
        .await;
        house.ring();
        if let Err(error) = done {
            tracing::warn!(run = %lease.run.id, %error, "the run could not be handed back; its lease will run out");
        }
    }

    async fn keep_lease(
        &self,
        lease: &Lease,
        cancel: &CancellationToken,
        abandon: &CancellationToken,
        stop: &CancellationToken,
    ) -> Kept {
        let house = &self.carrier.house;
        loop {
            tokio::select! {
                () = stop.cancelled() => return Kept::Held,
                () = abandon.cancelled(), if !cancel.is_cancelled() => {
                    // hand back first: the run's own end then finds its fence gone and writes nothing
                    self.hand_back(lease, "the worker was stopped", Duration::ZERO).await;
                    cancel.cancel();
                    return Kept::Lost;
                }
                () = tokio::time::sleep(RENEW) => {}
            }
            match queue::renew(&house.db, &house.clock, lease).await {
                Ok(Renewal::Held) => {}
                Ok(Renewal::CancelAsked) => cancel.cancel(),
                Ok(Renewal::Lost) => {
                    cancel.cancel();
                    return Kept::Lost;
                }
                Err(error) => tracing::warn!(%error, "a lease could not be renewed; trying again"),
            }
        }
    }

    async fn say_alive(&self, stopped: bool) -> Result<(), StoreError> {
        let house = &self.carrier.house;
        let now = house.clock.now();
        let mut tx = house.db.begin().await?;
        let worker = queue::db::Worker {
            id: self.id,
            name: self.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            slots: i64::try_from(self.slots).unwrap_or(i64::MAX),
            started_at: now,
            seen_at: now,
            stopped_at: stopped.then_some(now),
            sandbox_origin: self.sandboxes.0.clone(),
            sandbox_places: self.sandboxes.1.into(),
        };
        queue::db::seen(&mut tx, &worker).await?;
        tx.commit().await
    }

    /// What must go on beside the runs: lapsed leases, outcomes that are due, phases to migrate,
    /// what crashed runs left behind, the boards' ranks of the day, and the sign of life.
    async fn housekeeping(me: Arc<Self>, stop: CancellationToken) {
        let mut beat: u32 = 0;
        while !stop.is_cancelled() {
            if let Err(error) = me.keep_house(beat).await {
                tracing::error!(%error, "housekeeping failed; trying again");
            }
            if beat % 60 == 59 {
                me.reap().await;
            }
            if beat % SWEEP == 59 {
                me.sweep().await;
            }
            beat = beat.wrapping_add(1);
            tokio::select! {
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    async fn keep_house(&self, beat: u32) -> Result<(), StoreError> {
        let house = &self.carrier.house;
        // what fails here must not keep the rest from being done
        let told = disclose::tell_due(house).await;
        let recovered = queue::recover(&house.db, &house.clock, self.id).await?;
        if !recovered.queued.is_empty() {
            let runs = recovered.queued.len();
            tracing::warn!(runs, "runs of a worker that went away are queued again");
            house.ring();
        }
        for lease in &recovered.spent {
            match give_up(house, lease, ("its worker went away each time", OURS)).await {
                Ok(()) => {
                    tracing::error!(run = %lease.run.id, "a run was given up: its worker went away each time")
                }
                Err(error) => tracing::warn!(run = %lease.run.id, %error, "a run could not be given up"),
            }
        }
        match actions::cancel_of_removed(house).await? {
            0 => {}
            stopped => tracing::info!(stopped, "stopped what waited of teams that were removed"),
        }
        metrics::gauge!("shuyu_run_containers_waiting").set(self.carrier.engine.waiting_warm() as f64);
        if beat.is_multiple_of(10) {
            self.say_alive(false).await?;
        }
        if beat.is_multiple_of(5) {
            rescore::continue_all(house).await?;
            migrate::migrate_due(house).await?;
            mark::take_due(house).await?;
        }
        told.map(|_| ())
    }

    /// Removes from the caches what no bundle and no package names any more, and sets of packages that
    /// nothing was started with for long.
    async fn sweep_caches(&self) -> Result<usize, StoreError> {
        let Carrier { house, cache, packages, .. } = &self.carrier;
        let mut conn = house.db.read().await?;
        let files = cache_names(&contest_db::all_files(&mut conn).await?);
        let wheels = packages::db::digests(&mut conn).await?.into_iter().map(Into::into).collect();
        drop(conn);
        let now = house.clock.now();
        let mut leftovers = self.leftovers.lock().unwrap_or_else(PoisonError::into_inner);
        let swept = [
            leftovers.0.sweep(cache, &files, now),
            leftovers.1.sweep(packages.wheels(), &wheels, now),
            packages.sweep_sets(now),
        ];
        let or_none = |swept: std::io::Result<usize>| {
            swept.unwrap_or_else(|error| {
                tracing::warn!(%error, "a cache could not be swept");
                0
            })
        };
        Ok(swept.into_iter().map(or_none).sum())
    }

    async fn sweep_rejected(&self) {
        if self.keep_rejected_days == 0 {
            return;
        }
        match rejected::remove_files(&self.carrier.house, self.keep_rejected_days).await {
            Ok(0) => {}
            Ok(files) => tracing::info!(files, "removed the files of submissions that were refused"),
            Err(error) => tracing::warn!(%error, "the files of refused submissions could not be removed"),
        }
    }

    /// Removes what uploads left behind whose process was killed, what the cache needs no more, and the files
    /// of submissions that were refused long ago.
    async fn sweep(&self) {
        self.sweep_rejected().await;
        match self.sweep_caches().await {
            Ok(0) => {}
            Ok(entries) => tracing::info!(entries, "removed from the caches what nothing names any more"),
            Err(error) => tracing::warn!(%error, "could not look for what the caches need no more"),
        }
        let house = &self.carrier.house;
        let before = house.clock.now().checked_sub(UNFINISHED).unwrap_or(jiff::Timestamp::MIN);
        match house.objects.sweep_unfinished(before).await {
            Ok(0) => {}
            Ok(files) => tracing::warn!(files, "removed what broken uploads left behind"),
            Err(error) => tracing::warn!(%error, "could not look for what broken uploads left behind"),
        }
    }

    /// Removes what runs of this machine left behind that nobody holds any more.
    async fn reap(&self) {
        let busy = Arc::clone(&self.busy);
        // asked at the moment of removal: a run may begin while the reaper looks around
        let alive = move |o: &Owner| {
            busy.lock().unwrap_or_else(std::sync::PoisonError::into_inner).contains(&(o.run, o.attempt))
        };
        let reaped = self.carrier.engine.reap(alive).await;
        match reaped {
            Ok(reaped) if reaped.is_nothing() => {}
            Ok(reaped) => tracing::warn!(?reaped, "removed what crashed runs left behind"),
            Err(error) => tracing::warn!(%error, "could not look for what crashed runs left behind"),
        }
    }
}

/// How long a run waits after its `attempt`-th failure for our own fault.
fn pause_after(attempt: i64) -> Duration {
    let doublings = u32::try_from(attempt - 1).unwrap_or(0).min(10);
    PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE)
}

/// What a team is told of our own failure: what holds of this machine whatever the data is.
fn told_of(error: &RunError) -> &'static str {
    match error {
        RunError::Sandbox(SandboxError::NoRelay { .. }) => NO_APPS,
        _ => OURS,
    }
}

fn note_panic(over: Result<(), tokio::task::JoinError>) {
    if let Err(error) = over {
        tracing::error!(%error, "a task of the worker broke off; its lease will run out");
    }
}

type Runs = Mutex<HashSet<(RunId, i64)>>;

/// Marks a run as this worker's for as long as it lives, however its task ends.
struct Busy {
    runs: Arc<Runs>,
    key: (RunId, i64),
}

impl Busy {
    fn enter(runs: &Arc<Runs>, key: (RunId, i64)) -> Self {
        runs.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(key);
        Self { runs: Arc::clone(runs), key }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.runs.lock().unwrap_or_else(std::sync::PoisonError::into_inner).remove(&self.key);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kept {
    Held,
    Lost,
}
