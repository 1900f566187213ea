//! SQL of what boards have shown.

use std::collections::HashMap;

use serde::Deserialize;

use crate::airlock::db::Payload;
use crate::airlock::{Cleared, Public};
use crate::ids::{CompetitionId, EntryId, PanelId};
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

/// What a signed ranking took from the public board for one entry.
#[derive(Clone, Debug, Default)]
pub struct SignedPart {
    /// The value that stood there.
    pub board: Option<Cleared<f64, Public>>,
    /// Its points.
    pub points: Option<Cleared<f64, Public>>,
}

/// What a signed ranking took from the public board, by entry: read back from what its chair signed, which
/// takes cleared values alone.
///
/// # Errors
/// When the database fails.
pub async fn signed_parts(
    conn: &mut Connection,
    panel: PanelId,
    edition: i64,
) -> Result<HashMap<EntryId, SignedPart>, StoreError> {
    #[derive(Deserialize)]
    struct Document {
        outcome: Outcome,
    }
    #[derive(Deserialize)]
    struct Outcome {
        entries: Vec<Part>,
    }
    #[derive(Deserialize)]
    struct Part {
        id: EntryId,
        board: Option<f64>,
        automatic: Option<f64>,
    }
    let row = sqlx::query("SELECT document FROM judging_signatures WHERE panel_id = $1 AND edition = $2")
        .bind(panel.to_string())
        .bind(edition)
        .fetch_optional(conn)
        .await?;
    let Some(row) = row else { return Ok(HashMap::new()) };
    let document: Document = row.json("document")?;
    let part = |part: Part| {
        let board = part.board.map(Cleared::new);
        // without a value on the board the points are nobody's
        let points = part.automatic.filter(|_| board.is_some()).map(Cleared::new);
        (part.id, SignedPart { board, points })
    };
    Ok(document.outcome.entries.into_iter().map(part).collect())
}
