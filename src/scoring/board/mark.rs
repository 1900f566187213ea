//! [`Mark`]: a board's ranks when the day began, and who moved since.
//!
//! The day is that of the quotas: it begins at midnight UTC. The housekeeping takes a mark of every
//! board within seconds of it, so that a page compares two maps and asks for nothing; a phase that is
//! new, or an installation that was down at midnight, gets its mark as soon as somebody is there, and
//! the page says when that was.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::Serialize;

use super::{Board, db};
use crate::contest::db as contest_db;
use crate::house::House;
use crate::ids::{PhaseId, TeamId};
use crate::store::{Connection, StoreError};

/// Milliseconds of a day.
const DAY: i64 = 86_400_000;

/// The ranks of a phase's teams at one time.
#[derive(Clone, Debug)]
pub struct Mark {
    /// When they were these.
    pub taken_at: Timestamp,
    ranks: HashMap<TeamId, usize>,
}

/// How a team's best row moved since a [`Mark`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "way", content = "by", rename_all = "lowercase")]
pub enum Movement {
    /// Up by so many ranks.
    Up(usize),
    /// Down by so many.
    Down(usize),
    /// Not at all.
    Same,
    /// It was not on the board.
    New,
}

impl Mark {
    pub(super) async fn read(conn: &mut Connection, phase: PhaseId) -> Result<Option<Self>, StoreError> {
        Ok(db::mark(conn, phase).await?.map(|(taken_at, ranks)| Self { taken_at, ranks }))
    }

    /// Whether nobody stood on the board: then there is nothing to compare with.
    pub fn is_empty(&self) -> bool {
        self.ranks.is_empty()
    }

    /// How a team moved that now has this rank.
    pub fn movement(&self, team: TeamId, rank: usize) -> Movement {
        match self.ranks.get(&team) {
            None => Movement::New,
            Some(before) if *before > rank => Movement::Up(before - rank),
            Some(before) if *before < rank => Movement::Down(rank - before),
            Some(_) => Movement::Same,
        }
    }
}

/// The day of a time, counted from 1970 in UTC.
pub(super) fn day_of(at: Timestamp) -> i64 {
    at.as_millisecond().div_euclid(DAY)
}

/// Takes a mark of every board that has none of today; gives how many were written anew.
///
/// # Errors
/// When the database fails; what was written before stays.
pub async fn take_due(house: &House) -> Result<usize, StoreError> {
    let now = house.clock.now();
    let midnight = Timestamp::from_millisecond(day_of(now) * DAY).unwrap_or(Timestamp::MIN);
    let due = db::due(&mut *house.db.read().await?, midnight).await?;
    let mut written = 0;
    for due in due {
        if due.marked == Some(due.version) {
            let mut tx = house.db.begin().await?;
            db::touch(&mut tx, due.phase, now).await?;
            tx.commit().await?;
            continue;
        }
        let Some(board) = board_of(house, due.phase).await? else { continue };
        let mut tx = house.db.begin().await?;
        db::put(&mut tx, (due.phase, board.version), &board.best, (now, midnight)).await?;
        tx.commit().await?;
        written += 1;
    }
    Ok(written)
}

/// A phase's board as it is now, read for this once.
async fn board_of(house: &House, phase: PhaseId) -> Result<Option<Board>, StoreError> {
    let mut conn = house.db.read().await?;
    let Some(phase) = contest_db::phase_by_id(&mut conn, phase).await? else { return Ok(None) };
    let Some(competition) = contest_db::by_id(&mut conn, phase.competition).await? else { return Ok(None) };
    let mut board = Board::default();
    board.catch_up(&mut conn, phase.id, &competition.definition.leaderboard).await?;
    Ok(Some(board))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, Entropy};

    #[test]
    fn a_smaller_rank_is_further_up() {
        let clock = Clock::system();
        let team: TeamId = Entropy.id(&clock);
        let mark = Mark { taken_at: clock.now(), ranks: HashMap::from([(team, 3)]) };
        let moves = [1, 3, 7].map(|rank| mark.movement(team, rank));
        assert_eq!(moves, [Movement::Up(2), Movement::Same, Movement::Down(4)]);
        assert_eq!(mark.movement(Entropy.id(&clock), 1), Movement::New);
    }

    #[test]
    fn days_begin_at_midnight_utc() {
        let day = |text: &str| day_of(text.parse().unwrap());
        assert_eq!(day("2026-07-01T23:59:59.999Z") + 1, day("2026-07-02T00:00:00Z"));
        assert_eq!(day("2026-07-02T07:59:59+08:00") + 1, day("2026-07-02T08:00:00+08:00"));
        assert_eq!(day("1969-12-31T23:00:00Z"), -1);
    }
}
