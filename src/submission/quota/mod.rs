//! How many submissions a team may make to a phase, a day and in all, and how many bytes a person may hand in
//! to a competition in a day.

mod db;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::contest::model::Phase;
use crate::ids::{CompetitionId, TeamId, UserId};
use crate::store::{Connection, StoreError};

/// What is left of a team's quota in a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Quota {
    /// Allowed a day; 0 means unlimited.
    pub per_day: i64,
    /// Used today (UTC).
    pub used_today: i64,
    /// Allowed in all; 0 means unlimited.
    pub in_all: i64,
    /// Used in all.
    pub used: i64,
}

impl Quota {
    /// What may still be submitted today; `None` when there is no limit.
    pub fn left_today(&self) -> Option<i64> {
        let left = |limit: i64, used: i64| (limit > 0).then_some((limit - used).max(0));
        match (left(self.per_day, self.used_today), left(self.in_all, self.used)) {
            (Some(day), Some(all)) => Some(day.min(all)),
            (day, all) => day.or(all),
        }
    }
}

/// Midnight UTC before and after `now`.
pub fn day_of(now: Timestamp) -> (Timestamp, Timestamp) {
    let day = now.to_zoned(TimeZone::UTC).start_of_day();
    let start = day.map_or(now, |d| d.timestamp());
    let end = start.checked_add(jiff::SignedDuration::from_hours(24)).unwrap_or(Timestamp::MAX);
    (start, end)
}

/// What is left of a team's quota.
///
/// # Errors
/// When the database fails.
pub async fn quota(
    conn: &mut Connection,
    phase: &Phase,
    team: TeamId,
    now: Timestamp,
) -> Result<Quota, StoreError> {
    let (used_today, used) = db::counted(conn, phase.id, team, day_of(now)).await?;
    let d = &phase.definition;
    Ok(Quota {
        per_day: i64::from(d.max_submissions_per_day),
        used_today,
        in_all: i64::from(d.max_submissions),
        used,
    })
}

/// How many bytes a person may still hand in to a competition on the day of `now`, where `daily` is the most
/// there may be; 0 bounds nothing. What was refused since counts as well: it was stored.
///
/// # Errors
/// When the database fails.
pub async fn bytes_left(
    conn: &mut Connection,
    daily: u64,
    (competition, user): (CompetitionId, UserId),
    now: Timestamp,
) -> Result<u64, StoreError> {
    if daily == 0 {
        return Ok(u64::MAX);
    }
    let used = db::bytes_handed_in(conn, competition, user, day_of(now)).await?;
    Ok(daily.saturating_sub(used))
}
