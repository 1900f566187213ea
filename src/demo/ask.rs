//! What people ask of demos: to start one, to stop it, to open it to visitors.

use super::db;
use super::model::{Demo, State};
use crate::audit::{self, Actor, Entry};
use crate::house::House;
use crate::ids::{EntryId, SandboxId, UserId};
use crate::store::{Connection, StoreError, events};
use crate::submission::model::{Origin, Submission};

/// Demos that a person may have open at a time.
pub const OPEN_AT_A_TIME: i64 = 2;

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The person has as many open as may be.
    #[error("you have {OPEN_AT_A_TIME} apps open; close one of them first")]
    TooMany,
    /// What was handed in from inside stays there until it is released.
    #[error("this app was handed in from inside a sandbox; it can be opened to visitors after its release")]
    NotReleased,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The live topic of a demo.
pub fn topic(id: SandboxId) -> String {
    format!("demo {id}")
}

/// Tells whoever watches that a demo has changed.
pub(super) async fn announce(conn: &mut Connection, house: &House, id: SandboxId) -> Result<(), StoreError> {
    let payload = serde_json::json!({ "id": id });
    events::publish(conn, house.clock.now(), (&topic(id), "state"), &payload).await
}

/// Starts a submission's app for somebody who may try it; gives the one that is open where there is one. A judge
/// says which entry they judge, and has one of their own.
///
/// # Errors
/// [`AskError::TooMany`], [`AskError::Store`].
pub async fn open(
    house: &House,
    submission: &Submission,
    user: UserId,
    judging: Option<EntryId>,
) -> Result<Demo, AskError> {
    let mut tx = house.db.begin().await?;
    let own = judging.map(|_| user);
    let open = db::latest(&mut tx, submission.id, own).await?.filter(|demo| !demo.state.is_over());
    if let Some(open) = open {
        return Ok(open);
    }
    if db::open_of(&mut tx, user).await? >= OPEN_AT_A_TIME {
        return Err(AskError::TooMany);
    }
    let now = house.clock.now();
    let demo = Demo {
        id: house.entropy.id(&house.clock),
        submission: submission.id,
        competition: submission.competition,
        state: State::Waiting,
        host: None,
        requested_by: user,
        entry: judging,
        requested_at: now,
        ready_at: None,
        active_at: None,
        deadline_at: None,
        stop_asked_at: None,
        ended_at: None,
        reason: String::new(),
        detail: String::new(),
    };
    if !db::insert(&mut tx, &demo).await? {
        // somebody else of the team was quicker
        let open = db::latest(&mut tx, submission.id, own).await?;
        return Ok(open.unwrap_or(demo));
    }
    let entry = Entry::new(now, Actor::User(user), "demo.opened", ("demo", demo.id))
        .competition(demo.competition)
        .detail("submission", submission.id.to_string());
    audit::record(&mut tx, entry).await?;
    tx.commit().await?;
    house.ring();
    Ok(demo)
}

/// Asks to stop a demo.
///
/// # Errors
/// When the database fails.
pub async fn close(house: &House, demo: &Demo, user: UserId) -> Result<(), AskError> {
    let mut tx = house.db.begin().await?;
    let now = house.clock.now();
    db::ask_to_stop(&mut tx, demo.id, now).await?;
    if demo.state == State::Waiting {
        db::end(&mut tx, demo.id, (State::Stopped, "asked", ""), now).await?;
    }
    let entry =
        Entry::new(now, Actor::User(user), "demo.closed", ("demo", demo.id)).competition(demo.competition);
    audit::record(&mut tx, entry).await?;
    announce(&mut tx, house, demo.id).await?;
    tx.commit().await?;
    house.ring();
    Ok(())
}

/// Opens a submission's app to visitors once the competition is over, or closes it to them.
///
/// # Errors
/// [`AskError::NotReleased`], [`AskError::Store`].
pub async fn open_to_visitors(
    house: &House,
    submission: &Submission,
    user: UserId,
    on: bool,
) -> Result<(), AskError> {
    if on && submission.origin == Origin::Sandbox {
        return Err(AskError::NotReleased);
    }
    let mut tx = house.db.begin().await?;
    db::open_to_visitors(&mut tx, submission.id, on).await?;
    let action = if on { "demo.published" } else { "demo.unpublished" };
    let entry = Entry::new(house.clock.now(), Actor::User(user), action, ("submission", submission.id))
        .competition(submission.competition);
    audit::record(&mut tx, entry).await?;
    tx.commit().await?;
    Ok(())
}
