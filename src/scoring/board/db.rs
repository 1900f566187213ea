//! SQL of the ranks that boards are compared with.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::ids::{PhaseId, TeamId};
use crate::store::{Connection, Row as _, StoreError};

/// A phase whose mark is older than the day.
pub(super) struct Due {
    pub phase: PhaseId,
    /// The version of its board.
    pub version: i64,
    /// The version of the board that the mark was taken of, if there is one.
    pub marked: Option<i64>,
}

/// The phases without a mark taken at `since` or later.
pub(super) async fn due(conn: &mut Connection, since: Timestamp) -> Result<Vec<Due>, StoreError> {
    let rows = sqlx::query(
        "SELECT p.id AS id, p.board_version AS version, m.version AS marked FROM phases p \
         LEFT JOIN board_marks m ON m.phase_id = p.id \
         WHERE p.retired_at IS NULL AND (m.taken_at IS NULL OR m.taken_at < $1)",
    )
    .bind(since.as_millisecond())
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Due {
                phase: row.parsed("id")?,
                version: row.int("version")?,
                marked: row.int_or_null("marked")?,
            })
        })
        .collect()
}

/// Notes that the ranks of a board are still those of its mark.
pub(super) async fn touch(conn: &mut Connection, phase: PhaseId, at: Timestamp) -> Result<(), StoreError> {
    sqlx::query("UPDATE board_marks SET taken_at = $2 WHERE phase_id = $1 AND taken_at < $2")
        .bind(phase.to_string())
        .bind(at.as_millisecond())
        .execute(conn)
        .await?;
    Ok(())
}

/// Keeps the ranks of a board, unless another process kept them since `since`.
pub(super) async fn put(
    conn: &mut Connection,
    (phase, version): (PhaseId, i64),
    ranks: &HashMap<TeamId, usize>,
    (at, since): (Timestamp, Timestamp),
) -> Result<(), StoreError> {
    let ranks: HashMap<String, usize> = ranks.iter().map(|(team, rank)| (team.to_string(), *rank)).collect();
    sqlx::query(
        "INSERT INTO board_marks (phase_id, taken_at, version, ranks) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (phase_id) DO UPDATE SET taken_at = excluded.taken_at, version = excluded.version, \
         ranks = excluded.ranks WHERE board_marks.taken_at < $5",
    )
    .bind(phase.to_string())
    .bind(at.as_millisecond())
    .bind(version)
    .bind(serde_json::to_string(&ranks).unwrap_or_else(|_| "{}".to_owned()))
    .bind(since.as_millisecond())
    .execute(conn)
    .await?;
    Ok(())
}

/// When a phase's mark was taken, if there is one.
pub(super) async fn taken_at(conn: &mut Connection, phase: PhaseId) -> Result<Option<Timestamp>, StoreError> {
    let row = sqlx::query("SELECT taken_at FROM board_marks WHERE phase_id = $1")
        .bind(phase.to_string())
        .fetch_optional(conn)
        .await?;
    row.map(|row| row.time("taken_at")).transpose()
}

/// A phase's mark: when it was taken, and the ranks.
pub(super) async fn mark(
    conn: &mut Connection,
    phase: PhaseId,
) -> Result<Option<(Timestamp, HashMap<TeamId, usize>)>, StoreError> {
    let row = sqlx::query("SELECT taken_at, ranks FROM board_marks WHERE phase_id = $1")
        .bind(phase.to_string())
        .fetch_optional(conn)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let ranks: HashMap<String, usize> = row.json("ranks")?;
    // a team that cannot be read did not stand
    let ranks = ranks.into_iter().filter_map(|(team, rank)| Some((team.parse().ok()?, rank)));
    Ok(Some((row.time("taken_at")?, ranks.collect())))
}
