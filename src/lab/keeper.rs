//! The keeper: on each worker, what makes sandboxes what was asked of them. It gives waiting ones a
//! place, starts and resumes them, pauses those that nobody uses, stops those whose time is over,
//! counts what they use, and finds them again after a restart.

mod again;
mod begin;
mod copy;
mod counter;
mod homes;
mod jupyter;
mod look;
mod meter;
mod spares;
mod tell;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use counter::{Counter, Hours};
use jiff::{SignedDuration, Timestamp};
use spares::Spares;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::ask::announce;
use super::db::{self, Change};
use super::gauge::Gauge;
use super::hand_in::Clerk;
use super::model::{Grant, Sandbox, State, Wanted};
use super::reports;
use crate::audit::{self, Actor, Entry};
use crate::config::{Sandboxes as Settings, Upload};
use crate::contest::model::ParticipantState;
use crate::contest::packages::cache::PackageCache;
use crate::contest::{db as contest_db, entry};
use crate::house::House;
use crate::ids::SandboxId;
use crate::sandbox::{
    self, Engine, GpuGrants, Gpus, Home, Homes, ImageTable, ReadOnlyBind, Relay, RelayError, RelayStream,
    SandboxState,
};
use crate::store::StoreError;

pub use look::{Look, Room};

/// The loopback port of the lab inside.
pub const LAB_PORT: u16 = 8888;
/// How often the keeper looks around when nothing rings.
const BEAT: Duration = Duration::from_secs(1);
/// How often what sandboxes use is written down, in beats.
const METERED: u32 = 10;
/// How long beginnings and ends are waited for when the service stops.
const WIND_DOWN: Duration = Duration::from_secs(20);
/// How often what nobody owns is removed, in beats.
const REAPED: u32 = 60;
/// How long a stopped sandbox's programs may take to end by themselves.
const GRACE: Duration = Duration::from_secs(5);

/// What a keeper works with.
pub struct Means {
    /// Database, objects, time.
    pub house: House,
    /// The Docker engine.
    pub engine: Engine,
    /// Local images by the names that bundles use.
    pub images: ImageTable,
    /// Which competitions' sandboxes get graphics processors.
    pub gpus: GpuGrants,
    /// Participants' homes on this machine.
    pub homes: Homes,
    /// Where home files are kept.
    pub homes_dir: PathBuf,
    /// Where data sets are kept unpacked for mounting.
    pub data_dir: PathBuf,
    /// Where extra packages are laid out to be mounted.
    pub packages: PackageCache,
    /// Where the sockets of relays are: a short path.
    pub sockets_dir: PathBuf,
    /// The worker's name.
    pub host: String,
    /// Places, spans.
    pub settings: Settings,
    /// How large a file that is handed in may be, and how long it may take.
    pub upload: Upload,
    /// Who answers those that hand files in.
    pub clerk: Arc<dyn Clerk>,
}

/// The keeper of one worker. Cheap to clone.
#[derive(Clone)]
pub struct Keeper(Arc<Inner>);

struct Inner {
    means: Arc<Means>,
    hours: Arc<Hours>,
    held: Mutex<HashMap<SandboxId, Arc<Held>>>,
    /// Those that are being begun or ended: theirs is not what nobody owns.
    busy: Mutex<HashSet<SandboxId>>,
    /// Those that rest because their home is being copied.
    copying: Mutex<HashSet<SandboxId>>,
    pulses: Mutex<look::Pulses>,
    /// Containers that this keeper has, whoever's they are: nothing of theirs is for the reaper.
    owned: Mutex<HashSet<SandboxId>>,
    spares: Mutex<Spares>,
}

/// What a sandbox is made of, before it is anybody's.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Kind {
    /// The engine's id of the image: one that is built anew under its name is another.
    image: String,
    grant: Grant,
    /// Graphics processors, where the operator lends them to the competition.
    gpus: Option<Gpus>,
    /// The data, the folder that says what to hand in, and extra packages.
    binds: Vec<ReadOnlyBind>,
}

/// A sandbox that this worker holds.
pub(super) struct Held {
    /// What it was asked for as.
    grant: Grant,
    sandbox: sandbox::Sandbox,
    home: Home,
    relay: Arc<Relay>,
    /// Where files are handed in.
    _counter: Counter,
    gauge: Arc<Gauge>,
    token: String,
    /// Processor time written down, in milliseconds, and when memory was last looked at.
    metered: Mutex<meter::Metered>,
}

/// What a request needs to go into a sandbox.
#[derive(Clone)]
pub struct WayIn {
    /// Counts what is shown.
    pub gauge: Arc<Gauge>,
    /// What the lab inside takes for its owner's; it never leaves this process.
    pub token: String,
}

/// Why a sandbox cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum ReachError {
    /// This worker does not hold it.
    #[error("this sandbox is not open here (any more)")]
    NotHere,
    /// The relay says why.
    #[error(transparent)]
    Relay(#[from] RelayError),
    /// It could not be resumed, or its home not be read.
    #[error("the sandbox could not be used: {0}")]
    Engine(#[from] sandbox::SandboxError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Held {
    /// Whether its container ended behind our back, as when the engine was restarted. While the engine does
    /// not answer, nobody knows.
    async fn has_gone(&self) -> bool {
        !self.relay.connected() && self.sandbox.state().await.is_ok_and(|state| !lives(state))
    }
}

impl Keeper {
    /// A keeper that holds nothing yet.
    pub fn new(means: Means) -> Self {
        Self(Arc::new(Inner {
            means: Arc::new(means),
            hours: Arc::default(),
            held: Mutex::default(),
            busy: Mutex::default(),
            copying: Mutex::default(),
            pulses: Mutex::default(),
            owned: Mutex::default(),
            spares: Mutex::default(),
        }))
    }

    /// The name of the worker that it is the keeper of.
    pub fn host(&self) -> &str {
        &self.means().host
    }

    fn means(&self) -> &Means {
        &self.0.means
    }

    fn held(&self) -> MutexGuard<'_, HashMap<SandboxId, Arc<Held>>> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn busy(&self) -> MutexGuard<'_, HashSet<SandboxId>> {
        self.0.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn copying(&self) -> MutexGuard<'_, HashSet<SandboxId>> {
        self.0.copying.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn owned(&self) -> MutexGuard<'_, HashSet<SandboxId>> {
        self.0.owned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is left of a container is for the reaper from now on.
    fn disown(&self, container: SandboxId) {
        self.owned().remove(&container);
    }

    fn spares(&self) -> MutexGuard<'_, Spares> {
        self.0.spares.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, id: SandboxId) -> Option<Arc<Held>> {
        self.held().get(&id).cloned()
    }

    /// What a request needs to go into a sandbox that is open here.
    ///
    /// # Errors
    /// [`ReachError::NotHere`].
    pub fn way_in(&self, id: SandboxId) -> Result<WayIn, ReachError> {
        let held = self.get(id).ok_or(ReachError::NotHere)?;
        Ok(WayIn { gauge: Arc::clone(&held.gauge), token: held.token.clone() })
    }

    /// A connection to a port inside a sandbox; one that was paused goes on.
    ///
    /// # Errors
    /// [`ReachError`].
    pub async fn dial(&self, id: SandboxId, port: u16) -> Result<RelayStream, ReachError> {
        let held = self.get(id).ok_or(ReachError::NotHere)?;
        let house = &self.means().house;
        let known = db::by_id(&mut *house.db.read().await?, id).await?;
        if known.is_some_and(|s| s.state == State::Paused) {
            held.gauge.active(house.clock.now());
            held.sandbox.unpause().await?;
            self.moved(id, State::Paused, State::Ready, "").await?;
        }
        Ok(held.relay.open(port).await?)
    }

    /// Where what is handed in through a relay becomes its owner's submissions.
    fn counter(&self, id: SandboxId, relay: &Arc<Relay>) -> Counter {
        Counter::open(&self.0.means, &self.0.hours, id, relay)
    }

    /// Looks after the sandboxes of this worker until `stop` fires; they go on without it.
    pub async fn work(self, stop: CancellationToken) {
        self.find_again().await;
        if let Err(error) = self.put_right().await {
            tracing::error!(%error, "sandboxes that were interrupted were not put right");
        }
        // what a crash left of them stands in the way of their next beginning
        self.reap().await;
        let mut tasks = JoinSet::new();
        let mut beat: u32 = 0;
        while !stop.is_cancelled() {
            if let Err(error) = self.look_around(&mut tasks, beat).await {
                tracing::error!(%error, "sandboxes could not be looked after; trying again");
            }
            while let Some(over) = tasks.try_join_next() {
                if let Err(error) = over {
                    tracing::error!(%error, "looking after a sandbox broke off");
                }
            }
            beat = beat.wrapping_add(1);
            tokio::select! {
                () = tokio::time::sleep(BEAT) => {}
                () = self.means().house.keeper_bell.notified() => {}
                () = stop.cancelled() => {}
            }
        }
        // what has been begun is ended properly: a sandbox half started belongs to nobody, and whoever
        // hands a file in has a right to know whether it was taken
        let Hours { closing, served } = &*self.0.hours;
        closing.cancel();
        served.close();
        let over = async {
            while tasks.join_next().await.is_some() {}
            served.wait().await;
        };
        if tokio::time::timeout(WIND_DOWN, over).await.is_err() {
            // the next start has them wait again
            tasks.shutdown().await;
        }
        self.remove_spares().await;
        if let Err(error) = self.meter().await {
            tracing::warn!(%error, "the last use of the sandboxes was not written down");
        }
    }

    /// Sandboxes of ours that go on since before a restart of the service.
    async fn find_again(&self) {
        let found = match self.means().engine.find_sandboxes().await {
            Ok(found) => found,
            Err(error) => {
                tracing::error!(%error, "the sandboxes that go on could not be found");
                return;
            }
        };
        for found in found {
            let id = found.sandbox.id();
            match self.take_up(found).await {
                Ok(true) => tracing::info!(sandbox = %id, "a sandbox goes on"),
                Ok(false) => {}
                Err(error) => tracing::error!(sandbox = %id, %error, "a sandbox could not be taken up again"),
            }
        }
    }

    /// Puts right what the database says of sandboxes that a crash interrupted: one that was being begun
    /// waits again, one that was being ended is over.
    async fn put_right(&self) -> Result<(), StoreError> {
        let means = self.means();
        for sandbox in db::held_by(&mut *means.house.db.read().await?, &means.host).await? {
            match sandbox.state {
                State::Starting => self.moved(sandbox.id, State::Starting, State::Waiting, "").await?,
                State::Stopping => {
                    if sandbox.wanted == Wanted::Reset {
                        self.remove_home(&sandbox).await?;
                    }
                    self.moved(sandbox.id, State::Stopping, State::Stopped, &sandbox.reason).await?
                }
                _ => false,
            };
        }
        Ok(())
    }

    /// Removes what belongs to no sandbox of this worker any more.
    async fn reap(&self) {
        let keeper = self.clone();
        // asked at the moment of removal: one may begin while the reaper looks around
        let alive = move |container| keeper.owned().contains(&container);
        match self.means().engine.reap_sandboxes(alive).await {
            Ok(reaped) if reaped.is_nothing() => {}
            Ok(reaped) => tracing::warn!(?reaped, "removed what sandboxes left behind that nobody owns"),
            Err(error) => tracing::warn!(%error, "could not look for what sandboxes left behind"),
        }
    }

    /// Gives waiting sandboxes their places, and sees to those that are held.
    async fn look_around(&self, tasks: &mut JoinSet<()>, beat: u32) -> Result<(), StoreError> {
        let means = self.means();
        let now = means.house.clock.now();
        for sandbox in db::held_by(&mut *means.house.db.read().await?, &means.host).await? {
            self.see_to(tasks, &sandbox, now).await?;
        }
        self.copy_asked(tasks).await?;
        self.feel_pulses().await;
        self.answer(tasks).await?;
        while let Some(sandbox) = self.give_place(now).await? {
            let keeper = self.clone();
            self.busy().insert(sandbox.id);
            tasks.spawn(async move {
                keeper.begin(&sandbox).await;
                keeper.busy().remove(&sandbox.id);
            });
        }
        if beat % REAPED == REAPED - 1 {
            self.reap().await;
            let mut tx = means.house.db.begin().await?;
            db::sweep_visits(&mut tx, now).await?;
            reports::db::sweep(&mut tx, now).await?;
            tx.commit().await?;
            self.look_after_homes().await;
        }
        if beat % METERED == METERED - 1 {
            self.meter().await?;
        }
        self.keep_spares(tasks, beat).await?;
        Ok(())
    }

    /// Takes the next waiting sandbox on, while there is a place.
    async fn give_place(&self, now: Timestamp) -> Result<Option<Sandbox>, StoreError> {
        let Means { house, host, settings, .. } = self.means();
        let mut conn = house.db.read().await?;
        if db::places_taken(&mut conn, host).await? >= i64::from(settings.places) {
            return Ok(None);
        }
        let Some(next) = db::next_waiting(&mut conn, host, now).await? else { return Ok(None) };
        drop(conn);
        let mut tx = house.db.begin().await?;
        let competition = contest_db::by_id(&mut tx, next.competition).await?;
        let grant = Grant::of(competition.and_then(|c| c.definition.sandbox).as_ref());
        let session = SignedDuration::try_from(grant.session).unwrap_or(SignedDuration::from_hours(8));
        let change = Change {
            from: State::Waiting,
            to: State::Starting,
            host: Some(host),
            deadline_at: now.checked_add(session).ok(),
            reason: "",
        };
        if !db::change(&mut tx, next.id, &change, now).await? {
            return Ok(None);
        }
        announce(&mut tx, now, next.id, State::Starting).await?;
        let taken = db::by_id(&mut tx, next.id).await?;
        tx.commit().await?;
        house.ring();
        Ok(taken)
    }

    /// What has to be done about one that is held, if anything.
    async fn see_to(
        &self,
        tasks: &mut JoinSet<()>,
        sandbox: &Sandbox,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if !matches!(sandbox.state, State::Ready | State::Paused) || self.is_being_copied(sandbox.id) {
            return Ok(());
        }
        let Some(held) = self.get(sandbox.id) else {
            // its container went while nobody looked
            self.moved(sandbox.id, sandbox.state, State::Failed, "engine").await?;
            return Ok(());
        };
        let settings = &self.means().settings;
        let passed = |since: Option<Timestamp>, span: Duration| {
            let span = SignedDuration::try_from(span).unwrap_or(SignedDuration::MAX);
            since.is_some_and(|since| now.duration_since(since) >= span)
        };
        let stop_paused = Duration::from_secs(u64::from(settings.stop_paused_minutes) * 60);
        let mut conn = self.means().house.db.read().await?;
        let registered = entry::db::state(&mut conn, sandbox.competition, sandbox.user).await?;
        drop(conn);
        let over = if let Some(asked) = sandbox.wanted.reason() {
            Some(asked)
        } else if registered != Some(ParticipantState::Approved) {
            Some("removed")
        } else if sandbox.deadline_at.is_some_and(|deadline| deadline <= now) {
            Some("session")
        } else if sandbox.state == State::Paused && passed(sandbox.paused_at, stop_paused) {
            Some("idle")
        } else if held.relay.ended().is_some() {
            Some("lab")
        } else if held.has_gone().await {
            Some("engine")
        } else {
            None
        };
        if let Some(reason) = over {
            if self.moved(sandbox.id, sandbox.state, State::Stopping, reason).await? {
                let (keeper, sandbox) = (self.clone(), sandbox.clone());
                self.busy().insert(sandbox.id);
                tasks.spawn(async move {
                    keeper.end(&sandbox, held, reason).await;
                    keeper.busy().remove(&sandbox.id);
                });
            }
        } else if sandbox.state == State::Ready
            && passed(sandbox.active_at, held.grant.idle)
            && held.gauge.idle_since(now, held.grant.idle)
            && self.moved(sandbox.id, State::Ready, State::Paused, "").await?
            && let Err(error) = held.sandbox.pause().await
        {
            tracing::warn!(sandbox = %sandbox.id, %error, "a sandbox could not be paused");
        }
        Ok(())
    }

    /// Notes where a sandbox stands and tells whoever listens; false when it stands elsewhere by now.
    async fn moved(&self, id: SandboxId, from: State, to: State, reason: &str) -> Result<bool, StoreError> {
        let house = &self.means().house;
        let now = house.clock.now();
        let mut tx = house.db.begin().await?;
        let change = Change { from, to, host: None, deadline_at: None, reason };
        if !db::change(&mut tx, id, &change, now).await? {
            return Ok(false);
        }
        announce(&mut tx, now, id, to).await?;
        if to.is_over() {
            let entry = Entry::new(now, Actor::System, "sandbox.over", ("sandbox", id))
                .detail("state", to.as_str())
                .detail("reason", reason);
            audit::record(&mut tx, entry).await?;
        }
        tx.commit().await?;
        house.ring();
        Ok(true)
    }

    /// Ends a sandbox that is being stopped: its programs, its container, and, when that was asked for,
    /// its home. One that is to come again keeps its place.
    async fn end(&self, sandbox: &Sandbox, held: Arc<Held>, reason: &str) {
        if let Err(error) = self.meter_one(sandbox.id, &held).await {
            tracing::warn!(sandbox = %sandbox.id, %error, "its last use was not written down");
        }
        self.held().remove(&sandbox.id);
        if reason == "lab" {
            self.keep_log(sandbox.id, &held.sandbox).await;
        }
        let put_away = self.put_away(sandbox, &held).await;
        let (state, reason) = match &put_away {
            Ok(()) => (State::Stopped, reason),
            Err(error) => {
                tracing::error!(sandbox = %sandbox.id, %error, "a sandbox was not put away; the reaper will");
                (State::Failed, "engine")
            }
        };
        self.disown(held.sandbox.id());
        let again = state == State::Stopped && sandbox.wanted == Wanted::Restart;
        let over = match again {
            true => self.come_again(sandbox).await,
            false => self.moved(sandbox.id, State::Stopping, state, reason).await.map(drop),
        };
        if let Err(error) = over {
            tracing::error!(sandbox = %sandbox.id, %error, "that a sandbox is over was not written down");
        }
    }

    async fn put_away(&self, sandbox: &Sandbox, held: &Held) -> Result<(), sandbox::SandboxError> {
        held.sandbox.stop(GRACE).await?;
        held.sandbox.release().await?;
        held.sandbox.remove().await?;
        self.keep_or_remove(sandbox, &held.home).await
    }

    fn home_file(&self, sandbox: &Sandbox) -> PathBuf {
        self.means().homes_dir.join(sandbox.home.to_string())
    }
}

/// Whether the engine still has a sandbox's container.
pub(super) fn lives(state: SandboxState) -> bool {
    matches!(state, SandboxState::Running | SandboxState::Paused)
}
