//! The keeper: on each worker, what makes sandboxes what was asked of them. It gives waiting ones a
//! place, starts and resumes them, pauses those that nobody uses, stops those whose time is over,
//! counts what they use, and finds them again after a restart.

mod again;
mod begin;
mod copy;
mod counter;
mod ending;
mod homes;
mod jupyter;
mod look;
mod marks;
mod meter;
mod rest;
mod rounds;
mod spares;
mod start;
mod tell;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use counter::{Counter, Hours};
use marks::Marks;
use spares::Spares;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::gauge::Gauge;
use super::hand_in::Clerk;
use super::model::{Grant, Sandbox};
use crate::config::{Sandboxes as Settings, Upload};
use crate::contest::packages::cache::PackageCache;
use crate::demo::stage::{self, Owned, Stage};
use crate::house::House;
use crate::ids::SandboxId;
use crate::sandbox::{
    self, Engine, GpuGrants, Gpus, Home, Homes, ImageTable, ReadOnlyBind, Relay, RelayError, SandboxState,
};
use crate::store::StoreError;
use crate::submission::run::Carrier;

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
    /// What apps are started with that people want to try.
    pub carrier: Carrier,
    /// Where such apps are laid out.
    pub demos_dir: PathBuf,
}

/// The keeper of one worker. Cheap to clone.
#[derive(Clone)]
pub struct Keeper(Arc<Inner>);

struct Inner {
    means: Arc<Means>,
    hours: Arc<Hours>,
    held: Mutex<HashMap<SandboxId, Arc<Held>>>,
    /// Those that are being begun or ended.
    busy: Marks,
    /// Those that rest because their home is being copied.
    copying: Marks,
    pulses: Mutex<look::Pulses>,
    /// Containers that this keeper has, whoever's they are: nothing of theirs is for the reaper.
    owned: Owned,
    spares: Mutex<Spares>,
    /// Apps that people try: they share the door, and the reaper.
    stage: Stage,
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
    /// Held by whoever freezes it or has it go on.
    turn: tokio::sync::Mutex<()>,
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
    /// It is paused, and nobody came: something asked by itself. Or its home is being copied.
    #[error("this sandbox rests, until somebody uses it again or a copy of its home is whole")]
    Resting,
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
        let owned = Owned::default();
        let stage = Stage::new(
            stage::Means {
                carrier: means.carrier.clone(),
                area: means.demos_dir.clone(),
                sockets_dir: means.sockets_dir.clone(),
                host: means.host.clone(),
                places: means.settings.demos as usize,
            },
            Arc::clone(&owned),
        );
        Self(Arc::new(Inner {
            stage,
            means: Arc::new(means),
            hours: Arc::default(),
            held: Mutex::default(),
            busy: Marks::default(),
            copying: Marks::default(),
            pulses: Mutex::default(),
            owned,
            spares: Mutex::default(),
        }))
    }

    /// The name of the worker that it is the keeper of.
    pub fn host(&self) -> &str {
        &self.means().host
    }

    /// The apps that people try on this worker.
    pub fn stage(&self) -> &Stage {
        &self.0.stage
    }

    fn means(&self) -> &Means {
        &self.0.means
    }

    fn held(&self) -> MutexGuard<'_, HashMap<SandboxId, Arc<Held>>> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn busy(&self) -> &Marks {
        &self.0.busy
    }

    fn copying(&self) -> &Marks {
        &self.0.copying
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

    /// Where what is handed in through a relay becomes its owner's submissions.
    fn counter(&self, sandbox: &Sandbox, relay: &Arc<Relay>) -> Counter {
        Counter::open(&self.0.means, &self.0.hours, (sandbox.id, sandbox.user), relay)
    }

    /// Looks after the sandboxes of this worker until `stop` fires; they go on without it.
    pub async fn work(self, stop: CancellationToken) {
        let stage = self.stage().clone();
        tokio::join!(self.look_after(stop.clone()), stage.work(stop));
    }

    async fn look_after(self, stop: CancellationToken) {
        if !self.start(&stop).await {
            return;
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

    fn home_file(&self, sandbox: &Sandbox) -> PathBuf {
        self.means().homes_dir.join(sandbox.home.to_string())
    }
}

/// Whether the engine still has a sandbox's container.
pub(super) fn lives(state: SandboxState) -> bool {
    matches!(state, SandboxState::Running | SandboxState::Paused)
}
