//! A sandbox's beginning: its data, its home, its container, and the wait for the lab inside; and
//! taking one up again that went on while the service was restarted.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::homes::HomeGone;
use super::{Held, Keeper, LAB_PORT, Metered, lives};
use crate::audit::{self, Actor, Entry};
use crate::catalog::{self, CatalogError};
use crate::contest::db as contest_db;
use crate::lab::gauge::Gauge;
use crate::lab::guide::{self, GuideError};
use crate::lab::model::{Grant, Sandbox, State};
use crate::lab::{data, db, starter};
use crate::sandbox::{
    self, Found, Home, HomeQuota, InteractiveSpec, ReadOnlyBind, Relay, RelayLimits, Resources, SandboxError,
    SandboxState,
};
use crate::store::{ObjectError, StoreError};

/// How long the lab inside may take to answer.
const COMING_UP: Duration = Duration::from_secs(90);
/// How often it is asked meanwhile.
const ASKED: Duration = Duration::from_millis(100);
/// Files that fit in a home, for each MiB of it.
const INODES_PER_MIB: u64 = 128;
pub(super) const PIDS: u32 = 512;
pub(super) const TMP_BYTES: u64 = 1 << 30;
pub(super) const SHM_BYTES: u64 = 256 << 20;
const LOG_BYTES: usize = 1 << 20;
/// How long after its session the reaper may take a container for forgotten.
const FORGOTTEN: SignedDuration = SignedDuration::from_hours(1);

/// Why a sandbox did not begin.
#[derive(Debug, thiserror::Error)]
enum BeginError {
    #[error(transparent)]
    Data(#[from] CatalogError),
    #[error(transparent)]
    Engine(#[from] SandboxError),
    #[error(transparent)]
    Home(#[from] HomeGone),
    #[error("the lab did not answer within {} s", COMING_UP.as_secs())]
    Silent,
    #[error("the lab ended with code {0}")]
    Ended(i32),
    #[error(transparent)]
    Objects(#[from] ObjectError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Guide(#[from] GuideError),
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
            | Self::Io(_)
            | Self::Gone(_) => "engine",
        }
    }
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
        drop(conn);
        let phases = contest_db::phases(&mut *means.house.db.read().await?, competition.id).await?;
        let mut binds = data::lay_out(&means.house, &means.data_dir, datasets, &proof).await?;
        binds.push(guide::lay_out(&means.house, &means.data_dir, &competition, &phases).await?);
        let now = means.house.clock.now();
        let mut tx = means.house.db.begin().await?;
        let entry = Entry::new(now, Actor::System, "sandbox.mounted", ("sandbox", sandbox.id))
            .competition(competition.id)
            .detail("authorised", proof.about());
        audit::record(&mut tx, entry).await?;
        tx.commit().await?;

        let quota = HomeQuota { bytes: home.bytes, inodes: (home.bytes >> 20) * INODES_PER_MIB };
        let attached = self.open_home(sandbox, &home, quota).await?;
        let put = starter::put(&means.house, &means.data_dir, &competition, &phases, &attached).await;
        if let Err(error) = put {
            tracing::warn!(sandbox = %sandbox.id, %error, "a home has no notebook to start from");
        }
        let grant = Grant::of(competition.definition.sandbox.as_ref());
        let started = self.start(sandbox, &grant, binds, quota, attached).await;
        if started.is_err() {
            self.clear_away(sandbox).await;
        }
        started
    }

    async fn start(
        &self,
        asked: &Sandbox,
        grant: &Grant,
        binds: Vec<ReadOnlyBind>,
        quota: HomeQuota,
        home: Home,
    ) -> Result<(), BeginError> {
        let means = self.means();
        let socket_dir = self.socket_dir(asked)?;
        let relay = Arc::new(Relay::listen(&socket_dir, RelayLimits::default())?);
        let now = means.house.clock.now();
        let token = means.house.entropy.secret();
        let mut tx = means.house.db.begin().await?;
        db::set_token(&mut tx, asked.id, &token).await?;
        tx.commit().await?;
        let deadline = asked.deadline_at.unwrap_or(now);
        let spec = InteractiveSpec {
            id: asked.id,
            image: means.images.local(&grant.image)?.to_owned(),
            command: command(),
            workdir: "/".to_owned(),
            env: environment(&token),
            binds,
            socket_dir,
            resources: Resources { cpus: grant.cpus, memory: grant.memory, pids: PIDS },
            tmp_bytes: TMP_BYTES,
            shm_bytes: SHM_BYTES,
            home: quota,
            home_kind: means.homes.kind(),
            log_cap: LOG_BYTES,
            deadline: deadline.checked_add(FORGOTTEN).unwrap_or(Timestamp::MAX),
        };
        let container = means.engine.start_sandbox(spec, Some(&home)).await?;
        let held = Held {
            grant: grant.clone(),
            sandbox: container,
            home,
            _counter: self.counter(asked.id, &relay),
            relay,
            gauge: Arc::new(Gauge::new(0, now)),
            token,
            metered: Mutex::new(Metered { cpu_ms: 0, at: now }),
        };
        until_it_answers(&held).await?;
        self.held().insert(asked.id, Arc::new(held));
        Ok(())
    }

    /// A directory of its own for the relay's socket, under a short path.
    fn socket_dir(&self, sandbox: &Sandbox) -> std::io::Result<PathBuf> {
        let directory = self.means().sockets_dir.join(sandbox.id.to_string());
        std::fs::create_dir_all(&directory)?;
        Ok(directory)
    }

    /// Removes what is left of a sandbox that did not begin; what cannot be removed the reaper will.
    async fn clear_away(&self, sandbox: &Sandbox) {
        let engine = &self.means().engine;
        let cleared = async {
            for found in engine.find_sandboxes().await? {
                if found.sandbox.id() == sandbox.id {
                    self.keep_log(sandbox.id, &found.sandbox).await;
                    found.sandbox.stop(Duration::ZERO).await?;
                    found.sandbox.release().await?;
                    found.sandbox.remove().await?;
                }
            }
            match self.means().homes.find(sandbox.id)? {
                Some(home) => home.detach().await,
                None => Ok(()),
            }
        };
        if let Err(error) = cleared.await {
            tracing::warn!(sandbox = %sandbox.id, %error, "a sandbox that did not begin is left to the reaper");
        }
    }

    /// Takes up a sandbox that went on while the service was away; false when it is nobody's any more.
    pub(super) async fn take_up(&self, found: Found) -> Result<bool, sandbox::SandboxError> {
        let means = self.means();
        let id = found.sandbox.id();
        let gone = |error: StoreError| SandboxError::Spec { what: error.to_string() };
        let mut conn = means.house.db.read().await.map_err(gone)?;
        let known = db::by_id(&mut conn, id).await.map_err(gone)?;
        let Some(known) = known.filter(|s| matches!(s.state, State::Ready | State::Paused)) else {
            return Ok(false);
        };
        let competition = contest_db::by_id(&mut conn, known.competition).await.map_err(gone)?;
        let token = db::token(&mut conn, id).await.map_err(gone)?;
        drop(conn);
        let (Some(home), true) = (means.homes.find(id)?, lives(found.state)) else { return Ok(false) };
        if (known.state, found.state) == (State::Ready, SandboxState::Paused) {
            // it rested for a copy of its home when the service went away
            found.sandbox.unpause().await?;
        }
        let directory = means.sockets_dir.join(id.to_string());
        let relay = Arc::new(Relay::listen(&directory, RelayLimits::default())?);
        let now = means.house.clock.now();
        let shown = u64::try_from(known.used.shown_bytes).unwrap_or(0);
        let gauge = Gauge::new(shown, now);
        if let Some(active) = known.active_at {
            gauge.active(active);
        }
        let held = Held {
            grant: Grant::of(competition.and_then(|c| c.definition.sandbox).as_ref()),
            sandbox: found.sandbox,
            home,
            _counter: self.counter(id, &relay),
            relay,
            gauge: Arc::new(gauge),
            token,
            metered: Mutex::new(Metered { cpu_ms: known.used.cpu_ms, at: now }),
        };
        self.held().insert(id, Arc::new(held));
        Ok(true)
    }
}

/// The lab: JupyterLab on a loopback port, started by the relay. Who comes in is known before.
fn command() -> Vec<String> {
    let words = [
        "shuyu-relay",
        "serve",
        "--socket",
        "/run/shuyu/relay.sock",
        "--",
        "jupyter",
        "lab",
        "--no-browser",
        "--ServerApp.ip=127.0.0.1",
        "--ServerApp.port=8888",
        "--ServerApp.port_retries=0",
        "--ServerApp.root_dir=/home/participant",
        "--ServerApp.allow_remote_access=True",
        "--ServerApp.quit_button=False",
        "--ServerApp.shutdown_no_activity_timeout=0",
        "--ServerApp.terminals_enabled=True",
        "--LabApp.extension_manager=readonly",
        "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ];
    words.map(str::to_owned).to_vec()
}

fn environment(token: &str) -> Vec<(String, String)> {
    let pairs = [
        ("JUPYTER_TOKEN", token),
        ("JUPYTER_PLATFORM_DIRS", "1"),
        ("SHELL", "/bin/bash"),
        ("TERM", "xterm-256color"),
    ];
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
}

/// Waits until the lab inside answers a request.
async fn until_it_answers(held: &Held) -> Result<(), BeginError> {
    let answered = async {
        loop {
            if let Some(code) = held.relay.ended() {
                return Err(BeginError::Ended(code));
            }
            if answers(held).await {
                return Ok(());
            }
            tokio::time::sleep(ASKED).await;
        }
    };
    tokio::time::timeout(COMING_UP, answered).await.unwrap_or(Err(BeginError::Silent))
}

/// Whether the lab answers its status with success.
async fn answers(held: &Held) -> bool {
    let Ok(mut stream) = held.relay.open(LAB_PORT).await else { return false };
    let ask = format!(
        "GET /api/status HTTP/1.1\r\nHost: localhost\r\nAuthorization: token {}\r\nConnection: close\r\n\r\n",
        held.token
    );
    let mut head = [0; 12];
    stream.write_all(ask.as_bytes()).await.is_ok()
        && stream.read_exact(&mut head).await.is_ok()
        && head.ends_with(b" 200")
}
