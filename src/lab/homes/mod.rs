//! How long participants' files are kept, and who may have them copied or removed. A home is removed
//! here in the database; the keepers then clear away what is left of it, on their disks and in the
//! object store.

pub(in crate::lab) mod db;

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use super::ask::AskError;
use super::db as lab_db;
use super::model::State;
use crate::audit::{self, Actor, Entry};
use crate::contest::db as contest_db;
use crate::contest::entry;
use crate::house::House;
use crate::ids::{CompetitionId, HomeId, SandboxId, UserId};
use crate::store::{Connection, StoreError, Tx};

/// How long after a copy of a home the next one can be asked for: each reads, seals and stores all of it.
pub const COPIED_ANEW: SignedDuration = SignedDuration::from_mins(5);

/// When a home is removed: so many days after the competition's end or its owner's removal, whichever is
/// first; `None` while neither is known.
pub fn kept_until(
    ends_at: Option<Timestamp>,
    dismissed_at: Option<Timestamp>,
    days: u32,
) -> Option<Timestamp> {
    let first = [ends_at, dismissed_at].into_iter().flatten().min()?;
    Some(first.checked_add(SignedDuration::from_hours(24 * i64::from(days))).unwrap_or(Timestamp::MAX))
}

/// When the home of a person in a competition is removed, as far as that is known; `ends_at` is the
/// competition's end.
///
/// # Errors
/// When the database fails.
pub async fn until(
    conn: &mut Connection,
    (competition, user): (CompetitionId, UserId),
    ends_at: Option<Timestamp>,
    days: u32,
) -> Result<Option<Timestamp>, StoreError> {
    Ok(kept_until(ends_at, db::dismissed_at(conn, competition, user).await?, days))
}

/// Removes the homes whose time is over, each on the record; gives how many.
///
/// # Errors
/// When the database fails.
pub async fn remove_due(house: &House, days: u32) -> Result<usize, StoreError> {
    let now = house.clock.now();
    let mut conn = house.db.read().await?;
    let mut ends: HashMap<CompetitionId, Option<Timestamp>> = HashMap::new();
    let mut due = Vec::new();
    for standing in db::standing(&mut conn).await? {
        let end = match ends.get(&standing.competition) {
            Some(end) => *end,
            None => {
                let phases = contest_db::phases(&mut conn, standing.competition).await?;
                *ends.entry(standing.competition).or_insert(phases.last().and_then(|phase| phase.ends_at))
            }
        };
        if kept_until(end, standing.dismissed_at, days).is_some_and(|until| until <= now) {
            due.push(standing);
        }
    }
    drop(conn);
    let mut removed = 0;
    for standing in due {
        let mut tx = house.db.begin().await?;
        let about = (standing.home, standing.competition, standing.user);
        if remove_in(&mut tx, about, (Actor::System, "time"), now).await? {
            removed += 1;
        }
        tx.commit().await?;
    }
    Ok(removed)
}

/// Marks a home as removed and puts that on record, with who did it and why.
pub(super) async fn remove_in(
    tx: &mut Tx,
    (home, competition, owner): (HomeId, CompetitionId, UserId),
    (by, why): (Actor, &'static str),
    now: Timestamp,
) -> Result<bool, StoreError> {
    if !db::remove(tx, home, now).await? {
        return Ok(false);
    }
    let entry = Entry::new(now, by, "home.removed", ("home", home))
        .competition(competition)
        .detail("owner", owner.to_string())
        .detail("why", why);
    audit::record(tx, entry).await?;
    Ok(true)
}

/// Removes a person's home in a competition at their own wish, while no sandbox of theirs is open.
///
/// # Errors
/// [`AskError::Stopping`] while one is, [`AskError::None`] where there is no home.
pub async fn empty(house: &House, competition: CompetitionId, owner: UserId) -> Result<(), AskError> {
    let now = house.clock.now();
    let mut tx = house.db.begin().await?;
    // none is opened meanwhile
    entry::db::lock_teams(&mut tx, competition).await?;
    let latest = lab_db::latest(&mut tx, competition, owner).await?;
    if latest.is_some_and(|sandbox| !sandbox.state.is_over()) {
        return Err(AskError::Stopping);
    }
    let home = lab_db::home_of(&mut tx, competition, owner).await?.ok_or(AskError::None)?;
    remove_in(&mut tx, (home.id, competition, owner), (Actor::User(owner), "asked"), now).await?;
    tx.commit().await?;
    house.ring();
    Ok(())
}

/// Asks for a snapshot of the home of a sandbox that is in use.
///
/// # Errors
/// [`AskError::None`] where it is not, [`AskError::Copied`] where the last one is younger than [`COPIED_ANEW`].
pub async fn ask_copy(house: &House, id: SandboxId, by: UserId) -> Result<(), AskError> {
    let now = house.clock.now();
    let mut tx = house.db.begin().await?;
    let sandbox = lab_db::by_id(&mut tx, id).await?;
    let in_use = sandbox.filter(|s| matches!(s.state, State::Ready | State::Paused));
    let sandbox = in_use.ok_or(AskError::None)?;
    let home = lab_db::home_by_id(&mut tx, sandbox.home).await?;
    if let Some((_, at)) =
        home.and_then(|home| home.snapshot).filter(|(_, at)| now.duration_since(*at) < COPIED_ANEW)
    {
        return Err(AskError::Copied(at));
    }
    db::ask_copy(&mut tx, sandbox.home, now).await?;
    let entry = Entry::new(now, Actor::User(by), "home.copy_asked", ("home", sandbox.home))
        .competition(sandbox.competition);
    audit::record(&mut tx, entry).await?;
    tx.commit().await?;
    house.ring();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_two_ends_counts() {
        let at = |day: i64| Timestamp::from_second(day * 86_400).ok();
        assert_eq!(kept_until(None, None, 30), None);
        assert_eq!(kept_until(at(100), None, 30), at(130));
        assert_eq!(kept_until(at(100), at(50), 30), at(80));
        assert_eq!(kept_until(None, at(50), 0), at(50));
        assert_eq!(kept_until(Some(Timestamp::MAX), None, 30), Some(Timestamp::MAX));
    }
}
