//! A sandbox's beginning: its data, its home, its container, and the wait for the lab inside; and
//! taking one up again that went on while the service was restarted.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, Timestamp};

use super::homes::HomeGone;
use super::jupyter::{self, COMING_UP};
use super::meter::{Metered, milliseconds};
use super::spares::Spare;
use super::{Held, Keeper, Kind, Means, lives};
use crate::audit::{self, Actor, Entry};
use crate::catalog::{self, Authorised, CatalogError, MountsSandboxForm};
use crate::contest::db as contest_db;
use crate::contest::model::{Competition, Phase};
use crate::contest::packages::PackageSet;
use crate::contest::packages::cache::CacheError;
use crate::ids::{SandboxId, UserId};
use crate::lab::gauge::Gauge;
use crate::lab::guide::{self, GuideError};
use crate::lab::model::{Grant, Home as Known, SHM_BYTES, Sandbox, State, TMP_BYTES};
use crate::lab::{data, db, starter};
use crate::people;
use crate::sandbox::{
    self, Found, Home, HomeError, HomeQuota, InteractiveSpec, ReadOnlyBind, Relay, RelayLimits, Resources,
    SandboxError, SandboxState,
};
use crate::store::{ObjectError, StoreError};

/// Files that fit in a home, for each MiB of it.
const INODES_PER_MIB: u64 = 128;
pub(super) const PIDS: u32 = 512;
const LOG_BYTES: usize = 1 << 20;
/// Where a lab finds extra packages; the image's Python looks there.
const PACKAGES: &str = "/packages";
/// How long after its session the reaper may take a container for forgotten.
const FORGOTTEN: SignedDuration = SignedDuration::from_hours(1);

/// Why a sandbox did not begin.
#[derive(Debug, thiserror::Error)]
pub(super) enum BeginError {
    #[error(transparent)]
    Data(#[from] CatalogError),
    #[error(transparent)]
    Engine(#[from] SandboxError),
    #[error(transparent)]
    Home(#[from] HomeGone),
    #[error("the lab did not answer within {} s", COMING_UP.as_secs())]
    Silent,
    #[error("the lab ended with code {0}")]
    Ended(i64),
    #[error(transparent)]
    Objects(#[from] ObjectError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Guide(#[from] GuideError),
    #[error(transparent)]
    Packages(#[from] CacheError),
    #[error("the data could not be laid out: {0}")]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Gone(&'static str),
}

impl BeginError {
    /// The stable word that its owner is told.
    fn reason(&self) -> &'static str {
        match self {
            Self::Data(_) => "data",
            Self::Home(gone) => gone.reason(),
            Self::Silent | Self::Ended(_) => "lab",
            Self::Engine(_)
            | Self::Objects(_)
            | Self::Store(_)
            | Self::Guide(_)
            | Self::Packages(_)
            | Self::Io(_)
            | Self::Gone(_) => "engine",
        }
    }
}

/// A sandbox that has been given a place, with all that decides how it begins.
struct Asked<'a> {
    sandbox: &'a Sandbox,
    home: &'a Known,
    competition: &'a Competition,
    phases: &'a [Phase],
    kind: Kind,
    /// Bytes of content shown to the owner within the length of a session.
    shown: u64,
    /// The language of the owner's account.
    locale: String,
}

fn quota(bytes: u64) -> HomeQuota {
    HomeQuota { bytes, inodes: (bytes >> 20) * INODES_PER_MIB }
}

impl Keeper {
    /// Begins a sandbox that has been given a place here, up to the lab's first answer.
    pub(super) async fn begin(&self, sandbox: &Sandbox) {
        let begun = self.bring_up(sandbox).await;
        let (to, reason) = match &begun {
            Ok(()) => (State::Ready, ""),
            Err(error) => {
                tracing::error!(sandbox = %sandbox.id, %error, "a sandbox did not begin");
                (State::Failed, error.reason())
            }
        };
        match self.moved(sandbox.id, State::Starting, to, reason).await {
            Ok(true) => {}
            Ok(false) => tracing::warn!(sandbox = %sandbox.id, "a sandbox is elsewhere by now"),
            // the next round settles it
            Err(error) => tracing::error!(sandbox = %sandbox.id, %error, "its begin was not written down"),
        }
    }

    async fn bring_up(&self, sandbox: &Sandbox) -> Result<(), BeginError> {
        let means = self.means();
        let mut conn = means.house.db.read().await?;
        let competition = contest_db::by_id(&mut conn, sandbox.competition)
            .await?
            .ok_or(BeginError::Gone("its competition is not in the database"))?;
        let home = db::home_by_id(&mut conn, sandbox.home)
            .await?
            .ok_or(BeginError::Gone("its home is not in the database"))?;
        let datasets = &competition.definition.datasets;
        let proof = catalog::authorise_sandbox(&mut conn, competition.id, sandbox.user, datasets).await?;
        let phases = contest_db::phases(&mut conn, competition.id).await?;
        let grant = Grant::of(competition.definition.sandbox.as_ref());
        let locale = people::addressed(&mut conn, sandbox.user).await?.map(|person| person.locale);
        let shown = db::shown_since(&mut conn, sandbox, self.session_ago(&grant)).await?;
        drop(conn);
        let kind = self.kind(&competition, &phases, &proof, Some(sandbox.user)).await?;
        let spare = self.take_spare(&kind);
        let container = spare.as_ref().map_or(sandbox.id, |spare| spare.container.id());
        let now = means.house.clock.now();
        let mut tx = means.house.db.begin().await?;
        let entry = Entry::new(now, Actor::System, "sandbox.mounted", ("sandbox", sandbox.id))
            .competition(competition.id)
            .detail("authorised", proof.about())
            .detail("container", container.to_string());
        audit::record(&mut tx, entry).await?;
        tx.commit().await?;
        let (competition, phases, locale) = (&competition, &*phases, locale.unwrap_or_default());
        let asked = Asked { sandbox, home: &home, competition, phases, kind, shown, locale };
        if let Some(spare) = spare {
            let Err(error) = self.claim(&asked, spare).await else { return Ok(()) };
            self.clear_away(container, sandbox.id).await;
            if matches!(error, BeginError::Home(_)) {
                return Err(error);
            }
            tracing::warn!(sandbox = %sandbox.id, %error, "a lab that waited is of no use; a fresh one is started");
        }
        let started = self.start_fresh(&asked).await;
        if started.is_err() {
            self.clear_away(sandbox.id, sandbox.id).await;
        }
        started
    }

    /// What a competition's sandboxes are made of now, with the data and the extra packages laid out to be
    /// mounted: the organizer's, and those of whoever it is for.
    pub(super) async fn kind<U: MountsSandboxForm>(
        &self,
        competition: &Competition,
        phases: &[Phase],
        proof: &Authorised<U>,
        user: Option<UserId>,
    ) -> Result<Kind, BeginError> {
        let Means { house, engine, data_dir, images, gpus, packages, .. } = self.means();
        let mut binds = data::lay_out(house, data_dir, &competition.definition.datasets, proof).await?;
        let found = PackageSet::now(&mut *house.db.read().await?, competition.id, user).await?;
        binds.push(guide::lay_out(house, data_dir, competition, phases, &found.shared).await?);
        let laid = packages.lay_out(house, &found).await?;
        binds.extend(laid.map(|host| ReadOnlyBind { host, container: PACKAGES.to_owned() }));
        let grant = Grant::of(competition.definition.sandbox.as_ref());
        let image = engine.image_id(images.local(&grant.image)?).await?;
        let gpus = gpus.of(&competition.slug);
        Ok(Kind { image, grant, gpus, binds })
    }

    /// What a container is started with. A home larger than its competition grants now stays so.
    pub(super) fn spec(
        &self,
        id: SandboxId,
        kind: &Kind,
        token: &str,
        socket_dir: PathBuf,
        until: Timestamp,
    ) -> InteractiveSpec {
        let Kind { image, grant, gpus, binds } = kind;
        InteractiveSpec {
            id,
            image: image.clone(),
            command: jupyter::command(),
            workdir: "/".to_owned(),
            env: jupyter::environment(token),
            binds: binds.clone(),
            socket_dir,
            resources: Resources { cpus: grant.cpus, memory: grant.memory, pids: PIDS },
            gpus: gpus.clone(),
            tmp_bytes: TMP_BYTES,
            shm_bytes: SHM_BYTES,
            home: quota(grant.disk),
            home_kind: self.means().homes.kind(),
            log_cap: LOG_BYTES,
            deadline: until.checked_add(FORGOTTEN).unwrap_or(Timestamp::MAX),
        }
    }

    /// Opens a home for a container, with the notebook that a new one begins with.
    async fn furnished_home(&self, asked: &Asked<'_>, container: SandboxId) -> Result<Home, BeginError> {
        let Means { house, data_dir, .. } = self.means();
        let Asked { sandbox, home, competition, phases, .. } = asked;
        let mut opened = self.open_home(sandbox, container, home, quota(home.bytes)).await;
        if matches!(opened, Err(HomeGone::Disk(SandboxError::Home(HomeError::InUse { .. })))) {
            // the engine was away when the last sandbox was to be put away
            self.reap().await;
            opened = self.open_home(sandbox, container, home, quota(home.bytes)).await;
        }
        let opened = opened?;
        if let Err(error) = starter::put(house, data_dir, competition, phases, &opened, &asked.locale).await {
            tracing::warn!(sandbox = %sandbox.id, %error, "a home has no notebook to start from");
        }
        Ok(opened)
    }

    async fn start_fresh(&self, asked: &Asked<'_>) -> Result<(), BeginError> {
        let means = self.means();
        let id = asked.sandbox.id;
        self.owned().insert(id);
        let home = self.furnished_home(asked, id).await?;
        let socket_dir = self.socket_dir(id)?;
        let relay = Arc::new(Relay::listen(&socket_dir, RelayLimits::default())?);
        let token = means.house.entropy.secret();
        self.note_container(asked.sandbox, id, &token, 0).await?;
        let until = asked.sandbox.deadline_at.unwrap_or_else(|| means.house.clock.now());
        let mut spec = self.spec(id, &asked.kind, &token, socket_dir, until);
        // one made when the competition granted more keeps that
        spec.home = quota(asked.home.bytes);
        let container = means.engine.start_sandbox(spec, Some(&home)).await?;
        jupyter::until_it_answers(&container, &relay, &token).await?;
        self.hold(asked, (container, home, relay, token), 0);
        Ok(())
    }

    /// Gives a lab that waited to whoever asked: their home appears in it, and it goes on.
    async fn claim(&self, asked: &Asked<'_>, spare: Spare) -> Result<(), BeginError> {
        let Spare { container, relay, token, .. } = spare;
        let home = self.furnished_home(asked, container.id()).await?;
        // what it took to start was not for them
        let used = container.usage().map_or(0, |usage| milliseconds(usage.cpu));
        self.note_container(asked.sandbox, container.id(), &token, used).await?;
        container.claim(&home).await?;
        container.unpause().await?;
        jupyter::until_it_answers(&container, &relay, &token).await?;
        self.hold(asked, (container, home, relay, token), used);
        Ok(())
    }

    async fn note_container(
        &self,
        sandbox: &Sandbox,
        container: SandboxId,
        token: &str,
        cpu_before_ms: i64,
    ) -> Result<(), StoreError> {
        let mut tx = self.means().house.db.begin().await?;
        db::set_container(&mut tx, sandbox.id, (container, cpu_before_ms), token).await?;
        tx.commit().await
    }

    fn hold(
        &self,
        asked: &Asked<'_>,
        (container, home, relay, token): (sandbox::Sandbox, Home, Arc<Relay>, String),
        cpu_ms: i64,
    ) {
        let id = asked.sandbox.id;
        let now = self.means().house.clock.now();
        let held = Held {
            grant: asked.kind.grant.clone(),
            sandbox: container,
            home,
            _counter: self.counter(asked.sandbox, &relay),
            relay,
            gauge: Arc::new(Gauge::new(asked.shown, now)),
            token,
            metered: Mutex::new(Metered { cpu_ms, at: now }),
            turn: tokio::sync::Mutex::default(),
        };
        self.held().insert(id, Arc::new(held));
    }

    /// A directory of its own for the relay's socket, under a short path.
    pub(super) fn socket_dir(&self, container: SandboxId) -> std::io::Result<PathBuf> {
        let directory = self.means().sockets_dir.join(container.to_string());
        std::fs::create_dir_all(&directory)?;
        Ok(directory)
    }

    /// Removes what is left of a sandbox that did not begin, whatever there is of it by now; what its lab
    /// printed is kept for the organizer.
    async fn clear_away(&self, container: SandboxId, sandbox: SandboxId) {
        match self.means().engine.find_sandboxes().await {
            Ok(found) => {
                for found in found.iter().filter(|found| found.sandbox.id() == container) {
                    self.keep_log(sandbox, &found.sandbox).await;
                }
            }
            Err(error) => tracing::warn!(%sandbox, %error, "what it printed was not kept"),
        }
        self.disown(container);
        self.reap().await;
    }

    /// When a session would have begun that ends now.
    fn session_ago(&self, grant: &Grant) -> Timestamp {
        let session = SignedDuration::try_from(grant.session).unwrap_or(SignedDuration::ZERO);
        self.means().house.clock.now().checked_sub(session).unwrap_or(Timestamp::MIN)
    }

    /// Takes up a sandbox that went on while the service was away, once; false when it is nobody's any more.
    pub(super) async fn take_up(&self, found: Found) -> Result<bool, BeginError> {
        let means = self.means();
        let container = found.sandbox.id();
        let mut conn = means.house.db.read().await?;
        let known = db::by_container(&mut conn, container).await?;
        let Some(known) = known.filter(|s| matches!(s.state, State::Ready | State::Paused)) else {
            return Ok(false);
        };
        let id = known.id;
        if self.get(id).is_some() {
            return Ok(true);
        }
        let competition = contest_db::by_id(&mut conn, known.competition).await?;
        let grant = Grant::of(competition.and_then(|c| c.definition.sandbox).as_ref());
        let before = db::shown_since(&mut conn, &known, self.session_ago(&grant)).await?;
        let (token, cpu_before_ms) = db::token_and_start(&mut conn, id).await?;
        drop(conn);
        let (Some(home), true) = (means.homes.find(container)?, lives(found.state)) else { return Ok(false) };
        self.owned().insert(container);
        if (known.state, found.state) == (State::Ready, SandboxState::Paused) {
            // it rested for a copy of its home when the service went away
            found.sandbox.unpause().await?;
        }
        let directory = means.sockets_dir.join(container.to_string());
        let relay = Arc::new(Relay::listen(&directory, RelayLimits::default())?);
        let now = means.house.clock.now();
        let shown = u64::try_from(known.used.shown_bytes).unwrap_or(0);
        let gauge = Gauge::new(before + shown, now);
        if let Some(active) = known.active_at {
            gauge.active(active);
        }
        let held = Held {
            grant,
            sandbox: found.sandbox,
            home,
            _counter: self.counter(&known, &relay),
            relay,
            gauge: Arc::new(gauge),
            token,
            metered: Mutex::new(Metered { cpu_ms: known.used.cpu_ms + cpu_before_ms, at: now }),
            turn: tokio::sync::Mutex::default(),
        };
        self.held().insert(id, Arc::new(held));
        Ok(true)
    }
}
