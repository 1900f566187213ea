//! SQL of what boards have shown.

use crate::airlock::db::Payload;
use crate::airlock::{Cleared, Public};
use crate::ids::CompetitionId;
use crate::scoring::leaderboard::Entry;
use crate::store::{Connection, Row as _, StoreError, places};

/// A row of some board, with whose it is.
#[derive(Clone, Debug)]
pub struct Latest {
    /// The competition.
    pub competition: CompetitionId,
    /// The phase's place among the competition's phases, counted from 0.
    pub position: i64,
    /// The team's name.
    pub team: String,
    /// The row, as anybody may see it.
    pub entry: Entry<Public>,
}

/// The rows on the boards of these competitions that were handed in last, the latest first. Whether a
/// competition's board is shown to everybody is for the caller to know.
///
/// # Errors
/// When the database fails.
pub async fn latest(
    conn: &mut Connection,
    competitions: &[CompetitionId],
    limit: i64,
) -> Result<Vec<Latest>, StoreError> {
    if competitions.is_empty() {
        return Ok(Vec::new());
    }
    // CROSS JOIN has SQLite go through the latest rows until it has enough, not through all to sort them
    let sql = format!(
        "SELECT s.submission_id, s.team_id, s.scores, s.submitted_at, s.entries, \
         p.position, p.competition_id, t.name AS team FROM standings s CROSS JOIN phases p CROSS JOIN teams t \
         WHERE p.id = s.phase_id AND t.id = s.team_id AND s.removed = 0 AND p.retired_at IS NULL \
         AND p.competition_id IN ({}) ORDER BY s.submitted_at DESC, s.submission_id DESC LIMIT $1",
        places(2, competitions.len())
    );
    let mut query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(limit);
    for competition in competitions {
        query = query.bind(competition.to_string());
    }
    let rows = query.fetch_all(conn).await?;
    rows.iter()
        .map(|row| {
            let payload: Payload = row.json("scores")?;
            Ok(Latest {
                competition: row.parsed("competition_id")?,
                position: row.int("position")?,
                team: row.text("team")?,
                entry: Entry {
                    submission: row.parsed("submission_id")?,
                    team: row.parsed("team_id")?,
                    scores: Cleared::new(payload.team),
                    submitted_at: row.time("submitted_at")?,
                    entries: row.int("entries")?,
                },
            })
        })
        .collect()
}
