//! What an organizer changes on the desk once a competition stands: dates, the merge lock, whether it
//! is public, announcements. Each change and its audit row commit together.

use jiff::Timestamp;

use super::announcements::{self, Announcement};
use super::db;
use super::model::Competition;
use crate::audit::{self, Actor, Entry};
use crate::house::House;
use crate::ids::{AnnouncementId, UserId};
use crate::store::{StoreError, Tx};

/// Why the desk refused.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// The dates do not follow each other.
    #[error("the dates of phase {position} do not fit: {code}; each phase begins after the one before ends")]
    Dates {
        /// The phase, counted from 0.
        position: i64,
        /// What is wrong: `phase-overlap`, `phase-no-end`, `phase-backwards` or `date-unreadable`.
        code: &'static str,
    },
    /// There is no such phase.
    #[error("the competition has other phases; load the page again")]
    NoPhase,
    /// There is no such announcement, or it was taken back.
    #[error("there is no such announcement; load the page again")]
    NoAnnouncement,
    /// Something has to be filled in.
    #[error("{0} has to be filled in")]
    Empty(&'static str),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The dates of one phase.
pub type Dates = (Timestamp, Option<Timestamp>);

/// Whether phases with these dates can follow each other: each ends after it begins, begins strictly
/// after the one before it ends (COMPAT section 1), and only the last may stay open.
///
/// # Errors
/// [`DeskError::Dates`] with the first phase that does not fit.
pub fn check_dates(dates: &[Dates]) -> Result<(), DeskError> {
    let last = dates.len().saturating_sub(1);
    for (place, (start, end)) in dates.iter().enumerate() {
        let position = i64::try_from(place).unwrap_or(i64::MAX);
        let wrong = |code| Err(DeskError::Dates { position, code });
        match end {
            None if place < last => return wrong("phase-no-end"),
            Some(end) if end <= start => return wrong("phase-backwards"),
            _ => {}
        }
        let before = place.checked_sub(1).and_then(|p| dates[p].1);
        if before.is_some_and(|before| *start <= before) {
            return wrong("phase-overlap");
        }
    }
    Ok(())
}

/// Sets the dates of all phases, in their order.
///
/// # Errors
/// When they do not fit together, or the competition has another number of phases.
pub async fn set_dates(
    house: &House,
    competition: &Competition,
    organizer: UserId,
    dates: &[Dates],
) -> Result<(), DeskError> {
    check_dates(dates)?;
    let mut tx = house.db.begin().await?;
    db::lock(&mut tx, competition.id).await?;
    let phases = db::phases(&mut tx, competition.id).await?;
    if phases.len() != dates.len() {
        return Err(DeskError::NoPhase);
    }
    for (phase, (start, end)) in phases.iter().zip(dates) {
        if (phase.starts_at, phase.ends_at) == (*start, *end) {
            continue;
        }
        db::set_dates(&mut tx, phase.id, *start, *end).await?;
        let shown = |at: Option<Timestamp>| at.map_or_else(|| "open".to_owned(), |at| at.to_string());
        let entry = entry(house, competition, organizer, "phase.rescheduled")
            .detail("phase", phase.position)
            .detail("old", format!("{} / {}", phase.starts_at, shown(phase.ends_at)))
            .detail("new", format!("{start} / {}", shown(*end)));
        audit::record(&mut tx, entry).await?;
    }
    Ok(tx.commit().await?)
}

fn entry(house: &House, competition: &Competition, by: UserId, action: &'static str) -> Entry {
    Entry::new(house.clock.now(), Actor::User(by), action, ("competition", competition.id))
        .competition(competition.id)
}

/// Sets when teams are fixed, or that they never are.
///
/// # Errors
/// When the database fails.
pub async fn set_merge_lock(
    house: &House,
    competition: &Competition,
    organizer: UserId,
    at: Option<Timestamp>,
) -> Result<(), DeskError> {
    let mut tx = house.db.begin().await?;
    // what another request saves meanwhile (an import, a publication) must not be written over
    db::lock(&mut tx, competition.id).await?;
    let mut now_held = db::by_id(&mut tx, competition.id).await?.ok_or(DeskError::NoPhase)?;
    now_held.merge_lock_at = at;
    db::save(&mut tx, &now_held).await?;
    let shown = at.map_or_else(|| "never".to_owned(), |at| at.to_string());
    let entry = entry(house, competition, organizer, "competition.merge_lock_set").detail("at", shown);
    audit::record(&mut tx, entry).await?;
    Ok(tx.commit().await?)
}

/// Takes a published competition back: only its organizers see it then. Nothing is lost.
///
/// # Errors
/// When the database fails.
pub async fn unpublish(house: &House, competition: &Competition, organizer: UserId) -> Result<(), DeskError> {
    let mut tx = house.db.begin().await?;
    // what another request saves meanwhile (an import, a publication) must not be written over
    db::lock(&mut tx, competition.id).await?;
    let mut now_held = db::by_id(&mut tx, competition.id).await?.ok_or(DeskError::NoPhase)?;
    now_held.published_at = None;
    db::save(&mut tx, &now_held).await?;
    audit::record(&mut tx, entry(house, competition, organizer, "competition.unpublished")).await?;
    Ok(tx.commit().await?)
}

/// Makes an announcement.
///
/// # Errors
/// When title or text are empty.
pub async fn announce(
    house: &House,
    competition: &Competition,
    organizer: UserId,
    (title, body): (&str, &str),
) -> Result<(), DeskError> {
    let (title, body) = (title.trim(), body.trim());
    for (field, value) in [("title", title), ("body", body)] {
        if value.is_empty() {
            return Err(DeskError::Empty(field));
        }
    }
    let mut tx = house.db.begin().await?;
    announce_in(&mut tx, house, competition, organizer, (title, body)).await?;
    Ok(tx.commit().await?)
}

/// The same inside a change that it tells of.
///
/// # Errors
/// When the database fails.
pub(crate) async fn announce_in(
    tx: &mut Tx,
    house: &House,
    competition: &Competition,
    organizer: UserId,
    (title, body): (&str, &str),
) -> Result<(), StoreError> {
    let announcement = Announcement {
        id: house.entropy.id(&house.clock),
        title: title.chars().take(200).collect(),
        body: body.chars().take(20_000).collect(),
        created_at: house.clock.now(),
        created_by: organizer,
    };
    announcements::db::insert(tx, competition.id, &announcement).await?;
    let entry = entry(house, competition, organizer, "announcement.made")
        .detail("announcement", announcement.id.to_string())
        .detail("title", announcement.title.as_str());
    audit::record(tx, entry).await
}

/// Takes an announcement back.
///
/// # Errors
/// When there is none of this id.
pub async fn withdraw(
    house: &House,
    competition: &Competition,
    organizer: UserId,
    id: AnnouncementId,
) -> Result<(), DeskError> {
    let mut tx = house.db.begin().await?;
    if !announcements::db::withdraw(&mut tx, competition.id, id, house.clock.now()).await? {
        return Err(DeskError::NoAnnouncement);
    }
    let entry =
        entry(house, competition, organizer, "announcement.withdrawn").detail("announcement", id.to_string());
    audit::record(&mut tx, entry).await?;
    Ok(tx.commit().await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: i64) -> Timestamp {
        Timestamp::from_second(day * 86_400).unwrap()
    }

    #[test]
    fn phases_follow_each_other_and_only_the_last_stays_open() {
        assert!(check_dates(&[(at(1), Some(at(2))), (at(3), None)]).is_ok());
        let refused = |dates: &[Dates]| match check_dates(dates) {
            Err(DeskError::Dates { position, code }) => (position, code),
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(&[(at(1), Some(at(3))), (at(3), None)]), (1, "phase-overlap"));
        assert_eq!(refused(&[(at(1), None), (at(3), None)]), (0, "phase-no-end"));
        assert_eq!(refused(&[(at(2), Some(at(1)))]), (0, "phase-backwards"));
    }
}
