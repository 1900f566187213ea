//! SQL of homes that are copied to the object store, and removed when their time is over.

use jiff::Timestamp;

use crate::contest::model::ParticipantState;
use crate::ids::{CompetitionId, HomeId, SandboxId, UserId};
use crate::lab::db;
use crate::lab::model::Sandbox;
use crate::store::{Connection, Row, StoreError};

/// A home that stands, and what its end hangs on.
pub(super) struct Standing {
    pub(super) home: HomeId,
    pub(super) competition: CompetitionId,
    pub(super) user: UserId,
    /// When its owner was removed from the competition, if they were.
    pub(super) dismissed_at: Option<Timestamp>,
}

/// Homes that nobody has open.
pub(super) async fn standing(conn: &mut Connection) -> Result<Vec<Standing>, StoreError> {
    let rows = sqlx::query(
        "SELECT h.id AS id, h.competition_id AS competition_id, h.user_id AS user_id, p.state AS state, \
         p.decided_at AS decided_at FROM homes h LEFT JOIN participants p \
         ON p.competition_id = h.competition_id AND p.user_id = h.user_id \
         WHERE h.removed_at IS NULL AND NOT EXISTS \
         (SELECT 1 FROM sandboxes s WHERE s.home_id = h.id AND s.ended_at IS NULL) ORDER BY h.id",
    )
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            let state: Option<ParticipantState> = row.parsed_or_null("state")?;
            let decided_at = row.time_or_null("decided_at")?;
            Ok(Standing {
                home: row.parsed("id")?,
                competition: row.parsed("competition_id")?,
                user: row.parsed("user_id")?,
                dismissed_at: decided_at.filter(|_| state == Some(ParticipantState::Removed)),
            })
        })
        .collect()
}

/// When a person was removed from a competition, if they are.
pub(super) async fn dismissed_at(
    conn: &mut Connection,
    competition: CompetitionId,
    user: UserId,
) -> Result<Option<Timestamp>, StoreError> {
    let row = sqlx::query(
        "SELECT decided_at FROM participants WHERE competition_id = $1 AND user_id = $2 AND state = 'removed'",
    )
    .bind(competition.to_string())
    .bind(user.to_string())
    .fetch_optional(conn)
    .await?;
    row.map(|row| row.time_or_null("decided_at")).transpose().map(Option::flatten)
}

/// Marks a home as removed; false when it was before.
pub(super) async fn remove(conn: &mut Connection, id: HomeId, now: Timestamp) -> Result<bool, StoreError> {
    let done = sqlx::query("UPDATE homes SET removed_at = $2 WHERE id = $1 AND removed_at IS NULL")
        .bind(id.to_string())
        .bind(now.as_millisecond())
        .execute(conn)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Whether nothing of a home may stay on this worker's disk: it is removed, or whole on another's.
pub(in crate::lab) async fn is_elsewhere(
    conn: &mut Connection,
    id: HomeId,
    host: &str,
) -> Result<bool, StoreError> {
    let row = sqlx::query("SELECT id FROM homes WHERE id = $1 AND (removed_at IS NOT NULL OR host <> $2)")
        .bind(id.to_string())
        .bind(host)
        .fetch_optional(conn)
        .await?;
    Ok(row.is_some())
}

/// Homes that are removed and whose snapshot is still in the store, with its key.
pub(in crate::lab) async fn left_in_store(
    conn: &mut Connection,
) -> Result<Vec<(HomeId, String)>, StoreError> {
    let rows = sqlx::query(
        "SELECT id, snapshot_key FROM homes WHERE removed_at IS NOT NULL AND snapshot_key IS NOT NULL",
    )
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| Ok((row.parsed("id")?, row.text("snapshot_key")?))).collect()
}

/// Notes that a removed home's snapshot is gone from the store.
pub(in crate::lab) async fn forget_snapshot(conn: &mut Connection, id: HomeId) -> Result<(), StoreError> {
    sqlx::query("UPDATE homes SET snapshot_key = NULL WHERE id = $1 AND removed_at IS NOT NULL")
        .bind(id.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

/// Has a home's snapshot be this one; false when the home is removed by now.
pub(in crate::lab) async fn set_snapshot(
    conn: &mut Connection,
    id: HomeId,
    key: &str,
    taken_at: Timestamp,
) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "UPDATE homes SET snapshot_key = $2, snapshot_at = $3, copy_asked_at = NULL, copy_problem = '' \
         WHERE id = $1 AND removed_at IS NULL",
    )
    .bind(id.to_string())
    .bind(key)
    .bind(taken_at.as_millisecond())
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Notes why a snapshot could not be taken.
pub(in crate::lab) async fn set_problem(
    conn: &mut Connection,
    id: HomeId,
    problem: &str,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE homes SET copy_asked_at = NULL, copy_problem = $2 WHERE id = $1")
        .bind(id.to_string())
        .bind(problem)
        .execute(conn)
        .await?;
    Ok(())
}

/// Notes that a home's owner wants a snapshot.
pub(super) async fn ask_copy(conn: &mut Connection, id: HomeId, now: Timestamp) -> Result<(), StoreError> {
    sqlx::query("UPDATE homes SET copy_asked_at = $2 WHERE id = $1 AND removed_at IS NULL")
        .bind(id.to_string())
        .bind(now.as_millisecond())
        .execute(conn)
        .await?;
    Ok(())
}

/// The sandboxes in use on a worker whose owners want a snapshot.
pub(in crate::lab) async fn copies_asked(
    conn: &mut Connection,
    host: &str,
) -> Result<Vec<Sandbox>, StoreError> {
    let rows = sqlx::query(
        "SELECT s.* FROM sandboxes s JOIN homes h ON h.id = s.home_id WHERE h.copy_asked_at IS NOT NULL \
         AND s.host = $1 AND s.ended_at IS NULL AND s.state IN ('ready', 'paused') ORDER BY h.copy_asked_at",
    )
    .bind(host)
    .fetch_all(conn)
    .await?;
    rows.iter().map(db::sandbox).collect()
}

/// Notes of when the copy is that a sandbox's home was restored from.
pub(in crate::lab) async fn set_restored(
    conn: &mut Connection,
    id: SandboxId,
    taken_at: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE sandboxes SET restored_from = $2 WHERE id = $1")
        .bind(id.to_string())
        .bind(taken_at.as_millisecond())
        .execute(conn)
        .await?;
    Ok(())
}
