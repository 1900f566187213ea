//! What participants and organizers ask of sandboxes. It is written down here, and made so by the
//! keeper of the worker that holds the sandbox.

use std::collections::HashMap;

use jiff::Timestamp;

use super::model::{Grant, Home, Sandbox, State, Used, Wanted};
use super::{db, homes};
use crate::audit::{self, Actor, Entry};
use crate::catalog::{self, CatalogError};
use crate::contest::entry::{self, EntryError};
use crate::contest::model::{Competition, Phase};
use crate::house::House;
use crate::ids::{SandboxId, UserId};
use crate::store::{Connection, StoreError, Tx, events};

/// Why something was not granted.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The competition has no sandboxes.
    #[error("this competition offers no sandbox")]
    NotOffered,
    /// The competition has not begun.
    #[error("this competition begins at {0}; its sandboxes open then")]
    NotBegun(Timestamp),
    /// The competition is over.
    #[error("the competition ended at {0}; its sandboxes are closed")]
    Over(Timestamp),
    /// The person may not.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// The data may not be used (any more).
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The last one is on its way out.
    #[error("your sandbox is being stopped; open it again in a moment")]
    Stopping,
    /// There is none.
    #[error("you have no sandbox in this competition; open one first")]
    None,
    /// The last copy of the home is young.
    #[error("your files were copied at {0}; ask again five minutes later")]
    Copied(Timestamp),
    /// The organizer meant one that is not there.
    #[error("this sandbox is over already, or of another competition")]
    Gone,
    /// A text is too long.
    #[error("a message or a reason has at most {} characters; shorten it", super::desk::LONGEST)]
    TooLong,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The live topic of a sandbox.
pub fn topic(id: SandboxId) -> String {
    format!("sandbox {id}")
}

/// Tells whoever listens where a sandbox stands.
pub(crate) async fn announce(
    tx: &mut Tx,
    now: Timestamp,
    id: SandboxId,
    state: State,
) -> Result<(), StoreError> {
    let payload = serde_json::json!({ "id": id, "state": state });
    events::publish(tx, now, (&topic(id), "state"), &payload).await
}

/// Whether a competition offers sandboxes: it says so, or has data sets to work on in them.
pub fn is_offered(competition: &Competition) -> bool {
    let d = &competition.definition;
    d.sandbox.is_some() || !d.datasets.is_empty()
}

/// Asks for a sandbox: the one that is there, or a new one, which waits for a place. `terms` is the
/// digest of the terms as they are now; the use of the competition's data is authorised and put on
/// record here, and again when it is mounted.
///
/// # Errors
/// [`AskError`], saying why not.
pub async fn open(
    house: &House,
    competition: &Competition,
    phases: &[Phase],
    user: UserId,
    terms: &str,
) -> Result<Sandbox, AskError> {
    let now = house.clock.now();
    if !is_offered(competition) {
        return Err(AskError::NotOffered);
    }
    if let Some(begin) = phases.first().map(|phase| phase.starts_at).filter(|begin| *begin > now) {
        return Err(AskError::NotBegun(begin));
    }
    if let Some(end) = phases.last().and_then(|phase| phase.ends_at).filter(|end| *end <= now) {
        return Err(AskError::Over(end));
    }
    let mut tx = house.db.begin().await?;
    // one asks at a time, so that a double click makes one sandbox
    entry::db::lock_teams(&mut tx, competition.id).await?;
    entry::admitted(&mut tx, competition, user, terms).await?;
    let present = db::latest(&mut tx, competition.id, user).await?;
    if let Some(present) = present.filter(|s| !s.state.is_over()) {
        // what the organizer asked for is not taken back
        if present.state == State::Stopping || present.wanted == Wanted::Dismissed {
            return Err(AskError::Stopping);
        }
        // one that was to be stopped and is not yet stays
        if present.wanted != Wanted::Running {
            db::set_wanted(&mut tx, present.id, Wanted::Running).await?;
            let entry = Entry::new(now, Actor::User(user), "sandbox.stop_withdrawn", ("sandbox", present.id))
                .competition(competition.id);
            audit::record(&mut tx, entry).await?;
        }
        tx.commit().await?;
        return Ok(Sandbox { wanted: Wanted::Running, ..present });
    }
    let datasets = &competition.definition.datasets;
    let proof = catalog::authorise_sandbox(&mut tx, competition.id, user, datasets).await?;
    let sandbox = request(&mut tx, house, competition, user, now).await?;
    let entry = Entry::new(now, Actor::User(user), "sandbox.requested", ("sandbox", sandbox.id))
        .competition(competition.id)
        .detail("authorised", proof.about());
    audit::record(&mut tx, entry).await?;
    announce(&mut tx, now, sandbox.id, sandbox.state).await?;
    tx.commit().await?;
    house.ring();
    Ok(sandbox)
}

async fn request(
    tx: &mut Tx,
    house: &House,
    competition: &Competition,
    user: UserId,
    now: Timestamp,
) -> Result<Sandbox, StoreError> {
    let home = match db::home_of(tx, competition.id, user).await? {
        Some(home) => home,
        None => {
            let grant = Grant::of(competition.definition.sandbox.as_ref());
            let home = Home {
                id: house.entropy.id(&house.clock),
                competition: competition.id,
                user,
                host: None,
                bytes: grant.disk,
                created_at: now,
                snapshot: None,
                copy_asked: false,
                copy_problem: String::new(),
            };
            db::insert_home(tx, &home).await?;
            home
        }
    };
    let sandbox = Sandbox {
        id: house.entropy.id(&house.clock),
        competition: competition.id,
        user,
        home: home.id,
        state: State::Waiting,
        wanted: Wanted::Running,
        host: None,
        requested_at: now,
        started_at: None,
        ready_at: None,
        active_at: None,
        paused_at: None,
        ended_at: None,
        deadline_at: None,
        reason: String::new(),
        message: String::new(),
        said: String::new(),
        memory_kills: 0,
        restored_from: None,
        used: Used::default(),
    };
    db::insert(tx, &sandbox).await?;
    Ok(sandbox)
}

/// Asks for a sandbox to be stopped by its owner: [`Wanted::Stopped`]; with [`Wanted::Reset`] its home
/// goes too, with [`Wanted::Restart`] it comes again. One that waits is over at once, or has nothing
/// that could be started again.
///
/// # Errors
/// [`AskError::None`] when it is over already.
pub async fn stop(house: &House, id: SandboxId, by: UserId, wanted: Wanted) -> Result<(), AskError> {
    let now = house.clock.now();
    let mut tx = house.db.begin().await?;
    let sandbox = db::by_id(&mut tx, id).await?.filter(|s| !s.state.is_over()).ok_or(AskError::None)?;
    if sandbox.wanted == Wanted::Dismissed || (sandbox.state, wanted) == (State::Waiting, Wanted::Restart) {
        return Ok(());
    }
    end(&mut tx, &sandbox, wanted, now).await?;
    let entry = Entry::new(now, Actor::User(by), "sandbox.stop_asked", ("sandbox", id))
        .competition(sandbox.competition)
        .detail("wanted", wanted.as_str());
    audit::record(&mut tx, entry).await?;
    tx.commit().await?;
    house.ring();
    Ok(())
}

/// Writes down that a sandbox is to end; one that waits is over at once.
pub(super) async fn end(
    tx: &mut Tx,
    sandbox: &Sandbox,
    wanted: Wanted,
    now: Timestamp,
) -> Result<(), StoreError> {
    db::set_wanted(tx, sandbox.id, wanted).await?;
    if sandbox.state == State::Waiting {
        let change = db::Change {
            from: State::Waiting,
            to: State::Stopped,
            host: None,
            deadline_at: None,
            reason: wanted.reason().unwrap_or_default(),
        };
        if !db::change(tx, sandbox.id, &change, now).await? {
            // it has a place by now: its keeper sees what is wanted
            return Ok(());
        }
        announce(tx, now, sandbox.id, State::Stopped).await?;
        if wanted == Wanted::Reset {
            let about = (sandbox.home, sandbox.competition, sandbox.user);
            homes::remove_in(tx, about, (Actor::User(sandbox.user), "asked"), now).await?;
        }
    }
    Ok(())
}

/// Where a waiting sandbox stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Place {
    /// How many wait before it.
    pub ahead: i64,
    /// How long it may take, in seconds: 0 when there is a place for it now, `None` before anybody has given one up.
    pub expected_seconds: Option<i64>,
}

/// The waiting list.
#[derive(Clone, Debug)]
pub struct WaitingList {
    ahead: HashMap<SandboxId, i64>,
    stays: db::Stays,
    places: i64,
    now: Timestamp,
}

impl WaitingList {
    /// As it is now; `places` is how many there are in all.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn read(conn: &mut Connection, places: i64, now: Timestamp) -> Result<Self, StoreError> {
        let ahead: HashMap<_, _> = db::waiting(conn).await?.into_iter().zip(0_i64..).collect();
        let stays = if ahead.is_empty() { db::Stays::default() } else { db::stays(conn, now).await? };
        Ok(Self { ahead, stays, places, now })
    }

    /// The place of a sandbox in it; `None` when it does not wait.
    pub fn place(&self, id: SandboxId) -> Option<Place> {
        let ahead = *self.ahead.get(&id)?;
        Some(Place { ahead, expected_seconds: self.expected_seconds(ahead) })
    }

    /// How long it takes until so many have given their places up that there is one behind `ahead` others.
    ///
    /// Places are given up at the rate at which they were: ends over time kept, of those that ended and those
    /// that go on alike (the estimate of largest likelihood for exponential stays, some of which are censored).
    /// It takes no longer than until the sessions of so many are over.
    fn expected_seconds(&self, ahead: i64) -> Option<i64> {
        let db::Stays { ended, kept_ms, until, taken } = &self.stays;
        let leaving = ahead + 1 - (self.places - taken);
        if leaving <= 0 {
            return Some(0);
        }
        let expected = (*ended > 0).then(|| leaving * (kept_ms / 1000) / (ended * self.places.max(1)));
        let over = usize::try_from(leaving - 1).ok().and_then(|nth| until.get(nth));
        let latest = over.map(|at| at.duration_since(self.now).as_secs().max(0));
        match (expected, latest) {
            (Some(expected), Some(latest)) => Some(expected.min(latest)),
            (expected, latest) => expected.or(latest),
        }
    }
}
