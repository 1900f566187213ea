//! Labs that are started before anybody asks for one, and paused: whoever opens a sandbox next gets one
//! in the time it takes to open a home.
//!
//! A spare has the image, the limits and the data of one competition, and nothing of anybody: its home is
//! an empty directory that cannot be written. It is claimed once, and removed with the sandbox that it
//! became. That its data may be mounted is authorised when it is started and as long as it waits; whose
//! it becomes is authorised as for every sandbox.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinSet;

use super::begin::BeginError;
use super::{Keeper, Kind, jupyter};
use crate::audit::{self, Actor, Entry};
use crate::catalog::{self, Authorised};
use crate::contest::db as contest_db;
use crate::contest::model::{Competition, Phase};
use crate::ids::{CompetitionId, SandboxId};
use crate::lab::{ask, db};
use crate::sandbox::{self, Relay, RelayLimits};
use crate::store::{Connection, StoreError};

/// How long a lab waits before a fresh one takes its place.
const FRESH: SignedDuration = SignedDuration::from_hours(6);
/// How often is looked whether what waits is what is wanted, in beats.
const LOOKED: u32 = 10;
/// How long after one did not start the next is tried.
const PAUSE: SignedDuration = SignedDuration::from_mins(5);

/// A started, paused lab that is nobody's yet.
pub(super) struct Spare {
    kind: Kind,
    pub(super) container: sandbox::Sandbox,
    pub(super) relay: Arc<Relay>,
    pub(super) token: String,
    since: Timestamp,
}

/// A kind of lab of which some are to wait.
struct Wanted {
    competition: CompetitionId,
    kind: Kind,
    proof: Authorised<catalog::Spare>,
    count: usize,
}

/// The labs that wait, and what keeps the next from being started.
#[derive(Default)]
pub(super) struct Spares {
    waiting: Vec<Spare>,
    /// One was taken, or added: the next may be due.
    taken: bool,
    /// One is being started.
    starting: bool,
    /// When the last one did not start.
    failed_at: Option<Timestamp>,
}

impl Keeper {
    /// A lab of this kind that waits, if there is one.
    pub(super) fn take_spare(&self, kind: &Kind) -> Option<Spare> {
        let mut spares = self.spares();
        let place = spares.waiting.iter().position(|spare| spare.kind == *kind)?;
        spares.taken = true;
        Some(spares.waiting.swap_remove(place))
    }

    /// How many labs wait for somebody.
    pub fn waiting_spares(&self) -> usize {
        self.spares().waiting.len()
    }

    /// Removes labs that wait for nobody, and has one more started where one is wanted and nothing else
    /// is under way.
    pub(super) async fn keep_spares(&self, tasks: &mut JoinSet<()>, beat: u32) -> Result<(), StoreError> {
        let means = self.means();
        let most = usize::try_from(means.settings.spares).unwrap_or(0);
        let due = beat.is_multiple_of(LOOKED) || self.spares().taken;
        if most == 0 || !due || !self.busy().is_empty() {
            return Ok(());
        }
        self.spares().taken = false;
        let now = means.house.clock.now();
        let wanted = self.wanted_spares(most, now).await?;
        for spare in self.superfluous(&wanted, now) {
            let keeper = self.clone();
            tasks.spawn(async move { keeper.remove_spare(spare).await });
        }
        if let Some(wanted) = self.missing(wanted, now) {
            self.spares().starting = true;
            let keeper = self.clone();
            tasks.spawn(async move { keeper.add_spare(wanted).await });
        }
        Ok(())
    }

    /// Of which competitions labs are to wait: running ones with sandboxes, first those of which one was
    /// asked for last; one each, and what is left of the first.
    async fn wanted_spares(&self, most: usize, now: Timestamp) -> Result<Vec<Wanted>, StoreError> {
        let mut conn = self.means().house.db.read().await?;
        let mut offered = Vec::new();
        for competition in contest_db::competitions(&mut conn).await? {
            let published = competition.published_at.is_some_and(|at| at <= now);
            if published && ask::is_offered(&competition) {
                let phases = contest_db::phases(&mut conn, competition.id).await?;
                let begun = phases.first().is_some_and(|phase| phase.starts_at <= now);
                let over = phases.last().and_then(|phase| phase.ends_at).is_some_and(|end| end <= now);
                let asked = db::last_asked(&mut conn, competition.id).await?;
                if begun && !over {
                    offered.push((asked, competition, phases));
                }
            }
        }
        offered.sort_by_key(|(asked, _, _)| std::cmp::Reverse(*asked));
        offered.truncate(most);
        let mut count = 1 + most - offered.len();
        let mut wanted = Vec::new();
        for (_, competition, phases) in offered {
            match self.wanted(&mut conn, &competition, &phases, count).await {
                Ok(one) => wanted.push(one),
                Err(error) => {
                    // every ten seconds; whoever opens one makes it known
                    tracing::debug!(competition = competition.slug, %error, "no lab is kept ready");
                }
            }
            count = 1;
        }
        Ok(wanted)
    }

    async fn wanted(
        &self,
        conn: &mut Connection,
        competition: &Competition,
        phases: &[Phase],
        count: usize,
    ) -> Result<Wanted, BeginError> {
        let datasets = &competition.definition.datasets;
        let proof = catalog::authorise_spare(conn, competition.id, datasets).await?;
        let kind = self.kind(competition, phases, &proof, None).await?;
        Ok(Wanted { competition: competition.id, kind, proof, count })
    }

    /// Takes out labs that nobody is to have: made of something else than wanted now, more than wanted,
    /// waiting for too long.
    fn superfluous(&self, wanted: &[Wanted], now: Timestamp) -> Vec<Spare> {
        let mut left: Vec<usize> = wanted.iter().map(|wanted| wanted.count).collect();
        let mut spares = self.spares();
        let mut out = Vec::new();
        for spare in std::mem::take(&mut spares.waiting) {
            let place = wanted.iter().position(|wanted| wanted.kind == spare.kind);
            match place.filter(|place| left[*place] > 0) {
                Some(place) if now.duration_since(spare.since) < FRESH && spare.relay.ended().is_none() => {
                    left[place] -= 1;
                    spares.waiting.push(spare);
                }
                _ => out.push(spare),
            }
        }
        out
    }

    /// One of which fewer wait than are wanted, when it may be started now.
    fn missing(&self, wanted: Vec<Wanted>, now: Timestamp) -> Option<Wanted> {
        let spares = self.spares();
        if spares.starting || spares.failed_at.is_some_and(|at| now.duration_since(at) < PAUSE) {
            return None;
        }
        let waiting = |kind: &Kind| spares.waiting.iter().filter(|spare| spare.kind == *kind).count();
        wanted.into_iter().find(|wanted| waiting(&wanted.kind) < wanted.count)
    }

    async fn add_spare(&self, wanted: Wanted) {
        let started = self.start_spare(wanted).await;
        let mut spares = self.spares();
        spares.starting = false;
        match started {
            Ok(spare) => {
                spares.waiting.push(spare);
                spares.taken = true;
            }
            Err(error) => {
                tracing::warn!(%error, "no lab waits for the next who opens one");
                spares.failed_at = Some(self.means().house.clock.now());
            }
        }
    }

    async fn start_spare(&self, wanted: Wanted) -> Result<Spare, BeginError> {
        let house = &self.means().house;
        let id: SandboxId = house.entropy.id(&house.clock);
        let mut tx = house.db.begin().await?;
        let entry = Entry::new(house.clock.now(), Actor::System, "sandbox.kept_ready", ("container", id))
            .competition(wanted.competition)
            .detail("authorised", wanted.proof.about());
        audit::record(&mut tx, entry).await?;
        tx.commit().await?;
        self.owned().insert(id);
        let started = self.launch_spare(id, wanted.kind).await;
        if started.is_err() {
            self.disown(id);
            self.reap().await;
        }
        started
    }

    async fn launch_spare(&self, id: SandboxId, kind: Kind) -> Result<Spare, BeginError> {
        let house = &self.means().house;
        let socket_dir = self.socket_dir(id)?;
        let relay = Arc::new(Relay::listen(&socket_dir, RelayLimits::default())?);
        let token = house.entropy.secret();
        let since = house.clock.now();
        let session = SignedDuration::try_from(kind.grant.session).unwrap_or(SignedDuration::MAX);
        let until = since.checked_add(FRESH).and_then(|at| at.checked_add(session)).unwrap_or(Timestamp::MAX);
        let spec = self.spec(id, &kind, &token, socket_dir, until);
        let container = self.means().engine.start_sandbox(spec, None).await?;
        jupyter::until_it_answers(&container, &relay, &token).await?;
        jupyter::warm_up(&relay, &token).await;
        container.pause().await?;
        Ok(Spare { kind, container, relay, token, since })
    }

    async fn remove_spare(&self, spare: Spare) {
        let id = spare.container.id();
        let removed = async {
            spare.container.stop(Duration::ZERO).await?;
            spare.container.remove().await
        };
        if let Err(error) = removed.await {
            tracing::warn!(sandbox = %id, %error, "a lab that waited is left to the reaper");
        }
        self.disown(id);
    }

    /// Removes every lab that waits: nobody would find it again.
    pub(super) async fn remove_spares(&self) {
        let waiting = std::mem::take(&mut self.spares().waiting);
        for spare in waiting {
            self.remove_spare(spare).await;
        }
    }
}
