//! What participants and organizers ask of sandboxes. It is written down here, and made so by the
//! keeper of the worker that holds the sandbox.

use jiff::Timestamp;

use super::db;
use super::model::{Grant, Home, Sandbox, State, Used, Wanted};
use crate::audit::{self, Actor, Entry};
use crate::catalog::{self, CatalogError};
use crate::contest::entry::{self, EntryError};
use crate::contest::model::Competition;
use crate::house::House;
use crate::ids::{SandboxId, UserId};
use crate::store::{Connection, StoreError, Tx, events};

/// Why something was not granted.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The competition has no sandboxes.
    #[error("this competition offers no sandbox")]
    NotOffered,
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
    ends_at: Option<Timestamp>,
    user: UserId,
    terms: &str,
) -> Result<Sandbox, AskError> {
    let now = house.clock.now();
    if !is_offered(competition) {
        return Err(AskError::NotOffered);
    }
    if let Some(end) = ends_at.filter(|end| *end <= now) {
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
        db::set_wanted(&mut tx, present.id, Wanted::Running).await?;
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
        db::change(tx, sandbox.id, &change, now).await?;
        announce(tx, now, sandbox.id, State::Stopped).await?;
    }
    Ok(())
}

/// Where a waiting sandbox stands, and how long it may take, in seconds: the places before it, each of
/// which falls free after the mean stay divided by the number of places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Place {
    /// How many wait before it.
    pub ahead: i64,
    /// What is expected; `None` before anybody's stay has been measured.
    pub expected_seconds: Option<i64>,
}

/// The place of a sandbox in the waiting list; `None` when it does not wait. `places` is how many
/// there are in all.
///
/// # Errors
/// When the database fails.
pub async fn place(conn: &mut Connection, id: SandboxId, places: i64) -> Result<Option<Place>, StoreError> {
    let Some(ahead) = db::ahead(conn, id).await? else { return Ok(None) };
    let mean = db::mean_stay_ms(conn).await?;
    let expected_seconds = mean.map(|mean| (ahead + 1) * mean / 1000 / places.max(1));
    Ok(Some(Place { ahead, expected_seconds }))
}
