//! The stage of one worker: starts the apps that people ask for, holds them, and stops those that nobody uses.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::model::{Demo, IDLE, LONGEST, State};
use super::start::NotStarted;
use super::{ask, db};
use crate::ids::SandboxId;
use crate::lab::gauge::Gauge;
use crate::lab::shown;
use crate::sandbox::{Relay, RelayError, RelayStream, Sandbox, SandboxState};
use crate::store::StoreError;
use crate::submission::model::Submission;
use crate::submission::run::Carrier;
use crate::ticket;

/// How often the stage looks around.
const BEAT: Duration = Duration::from_secs(1);
/// How often what is shown is written down, in beats.
const METERED: u32 = 10;
/// How often it is asked whether containers still live, in beats.
const ASKED: u32 = 5;

/// The containers that a worker's keeper has, whoever's they are: nothing of theirs is for the reaper.
pub type Owned = Arc<Mutex<HashSet<SandboxId>>>;

/// What a stage works with.
pub struct Means {
    /// The engine, the images, the store, and public inputs.
    pub carrier: Carrier,
    /// Where apps are laid out.
    pub area: PathBuf,
    /// Where the sockets of relays are: a short path.
    pub sockets_dir: PathBuf,
    /// The worker's name.
    pub host: String,
    /// Apps at a time; 0: none.
    pub places: usize,
}

/// The stage of one worker. Cheap to clone.
#[derive(Clone)]
pub struct Stage(Arc<Inner>);

struct Inner {
    means: Means,
    owned: Owned,
    running: Mutex<HashMap<SandboxId, Arc<Running>>>,
    /// Those that are being started, and what stops that.
    starting: Mutex<HashMap<SandboxId, CancellationToken>>,
}

/// An app that runs.
pub(super) struct Running {
    pub(super) sandbox: Sandbox,
    pub(super) relay: Arc<Relay>,
    pub(super) gauge: Arc<Gauge>,
    pub(super) port: u16,
    pub(super) submission: Submission,
    /// Whether it is a judge's own.
    pub(super) judged: bool,
}

/// The way to an app that runs here.
#[derive(Clone)]
pub struct WayIn {
    /// Counts what is shown.
    pub gauge: Arc<Gauge>,
    relay: Arc<Relay>,
    port: u16,
}

impl WayIn {
    /// A fresh connection to the app.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn open(&self) -> Result<RelayStream, RelayError> {
        self.relay.open(self.port).await
    }
}

impl Stage {
    /// A stage without apps.
    pub fn new(means: Means, owned: Owned) -> Self {
        Self(Arc::new(Inner { means, owned, running: Mutex::default(), starting: Mutex::default() }))
    }

    pub(super) fn means(&self) -> &Means {
        &self.0.means
    }

    fn running(&self) -> MutexGuard<'_, HashMap<SandboxId, Arc<Running>>> {
        self.0.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn starting(&self) -> MutexGuard<'_, HashMap<SandboxId, CancellationToken>> {
        self.0.starting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn area_of(&self, id: SandboxId) -> PathBuf {
        self.means().area.join(id.to_string())
    }

    pub(super) fn sockets_of(&self, id: SandboxId) -> PathBuf {
        self.means().sockets_dir.join(id.to_string())
    }

    /// The way to an app that runs here; `None` for any other id.
    pub fn way_in(&self, id: SandboxId) -> Option<WayIn> {
        let running = self.running().get(&id).cloned()?;
        let (gauge, relay) = (Arc::clone(&running.gauge), Arc::clone(&running.relay));
        Some(WayIn { gauge, relay, port: running.port })
    }

    /// Holds apps until `stop` fires; then those that run are stopped.
    pub async fn work(self, stop: CancellationToken) {
        if self.means().places == 0 {
            return;
        }
        if let Err(error) = self.begin().await {
            tracing::error!(%error, "apps that an earlier process held could not be ended");
        }
        let mut tasks = JoinSet::new();
        let mut beat: u32 = 0;
        while !stop.is_cancelled() {
            if let Err(error) = self.look_around(&mut tasks, beat).await {
                tracing::error!(%error, "apps could not be looked after; trying again");
            }
            while tasks.try_join_next().is_some() {}
            beat = beat.wrapping_add(1);
            tokio::select! {
                () = tokio::time::sleep(BEAT) => {}
                () = self.means().carrier.house.demo_bell.notified() => {}
                () = stop.cancelled() => {}
            }
        }
        self.starting().values().for_each(CancellationToken::cancel);
        while tasks.join_next().await.is_some() {}
        let running: Vec<SandboxId> = self.running().keys().copied().collect();
        for id in running {
            self.end(id, (State::Stopped, "service", "")).await;
        }
    }

    /// What an earlier process held is over: its containers are the reaper's.
    async fn begin(&self) -> Result<(), StoreError> {
        let left = db::held_by(&mut *self.means().carrier.house.db.read().await?, &self.means().host).await?;
        for demo in left {
            self.end(demo.id, (State::Stopped, "service", "")).await;
        }
        match std::fs::remove_dir_all(&self.means().area) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(%error, "what apps of an earlier process left could not be removed");
            }
            _ => {}
        }
        Ok(())
    }

    async fn look_around(&self, tasks: &mut JoinSet<()>, beat: u32) -> Result<(), StoreError> {
        let house = &self.means().carrier.house;
        let now = house.clock.now();
        let held = db::held_by(&mut *house.db.read().await?, &self.means().host).await?;
        for demo in &held {
            if let Some(why) = self.is_over(demo, now, beat).await {
                self.starting().get(&demo.id).inspect(|starting| starting.cancel());
                self.end(demo.id, (State::Stopped, why, "")).await;
            }
        }
        if beat.is_multiple_of(METERED) {
            self.meter().await?;
            let mut tx = house.db.begin().await?;
            ticket::sweep(&mut tx, now).await?;
            tx.commit().await?;
        }
        let mut free = self.means().places.saturating_sub(held.len());
        while free > 0 {
            let deadline = now.checked_add(LONGEST).unwrap_or(Timestamp::MAX);
            let mut tx = house.db.begin().await?;
            let Some(demo) = db::claim(&mut tx, &self.means().host, deadline).await? else { break };
            ask::announce(&mut tx, house, demo.id).await?;
            tx.commit().await?;
            free -= 1;
            let token = CancellationToken::new();
            self.starting().insert(demo.id, token.clone());
            self.own(demo.id);
            let stage = self.clone();
            tasks.spawn(async move { stage.bring_up(demo, token).await });
        }
        Ok(())
    }

    fn own(&self, id: SandboxId) {
        self.0.owned.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
    }

    /// Why an app is to be stopped, if it is.
    async fn is_over(&self, demo: &Demo, now: Timestamp, beat: u32) -> Option<&'static str> {
        if demo.stop_asked_at.is_some() {
            return Some("asked");
        }
        if demo.deadline_at.is_some_and(|deadline| deadline <= now) {
            return Some("time");
        }
        let running = self.running().get(&demo.id).cloned()?;
        if running.gauge.idle_since(now, IDLE) {
            return Some("idle");
        }
        let asked = beat.is_multiple_of(ASKED) && !running.relay.connected();
        match asked && running.sandbox.state().await.is_ok_and(|state| state != SandboxState::Running) {
            true => Some("ended"),
            false => None,
        }
    }

    async fn bring_up(&self, demo: Demo, stop: CancellationToken) {
        let started = self.start(&demo, &stop).await;
        self.starting().remove(&demo.id);
        let (reason, detail) = match started {
            Ok(running) => {
                self.running().insert(demo.id, Arc::new(running));
                match self.tell_ready(&demo).await {
                    Ok(true) => return,
                    Ok(false) => ("asked", String::new()),
                    Err(error) => ("platform", error.to_string()),
                }
            }
            Err(NotStarted::Stopped) => ("asked", String::new()),
            Err(NotStarted::App { reason, detail }) => (reason, detail),
            Err(error) => {
                tracing::error!(demo = %demo.id, %error, "an app could not be started to be tried");
                ("platform", String::new())
            }
        };
        let state = if reason == "asked" { State::Stopped } else { State::Failed };
        self.end(demo.id, (state, reason, &detail)).await;
    }

    async fn tell_ready(&self, demo: &Demo) -> Result<bool, StoreError> {
        let house = &self.means().carrier.house;
        let mut tx = house.db.begin().await?;
        let ready = db::set_ready(&mut tx, demo.id, house.clock.now()).await?;
        ask::announce(&mut tx, house, demo.id).await?;
        tx.commit().await?;
        house.event_bell.notify_waiters();
        house.event_bell.notify_one();
        Ok(ready)
    }

    /// Stops an app and removes all that was made of it; in the database it is over whatever comes of that.
    async fn end(&self, id: SandboxId, how: (State, &str, &str)) {
        let house = &self.means().carrier.house;
        if let Err(error) = self.meter_one(id).await {
            tracing::warn!(demo = %id, %error, "the last of what an app showed was not written down");
        }
        let ended = async {
            let mut tx = house.db.begin().await?;
            db::end(&mut tx, id, how, house.clock.now()).await?;
            ask::announce(&mut tx, house, id).await?;
            tx.commit().await
        };
        if let Err(error) = ended.await {
            tracing::error!(demo = %id, %error, "the end of an app could not be written down; trying again");
            return;
        }
        house.event_bell.notify_waiters();
        house.event_bell.notify_one();
        let running = self.running().remove(&id);
        let removed = match running {
            Some(running) => running.sandbox.remove().await,
            // it may have been made half-way
            None => self.means().carrier.engine.remove_sandbox(id).await,
        };
        if let Err(error) = removed {
            tracing::warn!(demo = %id, %error, "the container of an app is left to the reaper");
        }
        self.0.owned.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        for directory in [self.area_of(id), self.sockets_of(id)] {
            match std::fs::remove_dir_all(&directory) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    tracing::warn!(path = %directory.display(), %error, "an app's files could not be removed");
                }
                _ => {}
            }
        }
    }

    async fn meter(&self) -> Result<(), StoreError> {
        let running: Vec<SandboxId> = self.running().keys().copied().collect();
        for id in running {
            self.meter_one(id).await?;
        }
        Ok(())
    }

    /// Writes down what an app has shown. What was handed in from inside a sandbox counts as content shown of
    /// that; but not what a judge saw, which is no business of the team's.
    async fn meter_one(&self, id: SandboxId) -> Result<(), StoreError> {
        let Some(running) = self.running().get(&id).cloned() else { return Ok(()) };
        let taken = running.gauge.take();
        if taken.shown == 0 && taken.active_at.is_none() {
            return Ok(());
        }
        let house = &self.means().carrier.house;
        let mut tx = house.db.begin().await?;
        db::add_shown(&mut tx, id, taken.shown, taken.active_at).await?;
        tx.commit().await?;
        if running.judged {
            return Ok(());
        }
        shown::count(house, None, &running.submission, taken.shown).await
    }
}
