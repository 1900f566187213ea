//! SQL of tickets and visits.

use jiff::Timestamp;
use sqlx::AssertSqlSafe;

use crate::ids::{SandboxId, SessionId, UserId};
use crate::store::{Connection, Row, StoreError};

/// Adds a ticket.
pub(super) async fn insert_ticket(
    conn: &mut Connection,
    digest: &str,
    (sandbox, user, session): (SandboxId, UserId, SessionId),
    expires_at: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO sandbox_tickets (digest, sandbox_id, user_id, session_id, expires_at) \
         VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(digest)
    .bind(sandbox.to_string())
    .bind(user.to_string())
    .bind(session.to_string())
    .bind(expires_at.as_millisecond())
    .execute(conn)
    .await?;
    Ok(())
}

/// Uses a ticket to a sandbox up; `None` when it is unknown, used, too old or another sandbox's.
pub(super) async fn use_ticket(
    conn: &mut Connection,
    digest: &str,
    sandbox: SandboxId,
    now: Timestamp,
) -> Result<Option<(UserId, SessionId)>, StoreError> {
    let row = sqlx::query(
        "UPDATE sandbox_tickets SET used_at = $3 WHERE digest = $1 AND sandbox_id = $2 \
         AND used_at IS NULL AND expires_at > $3 RETURNING user_id, session_id",
    )
    .bind(digest)
    .bind(sandbox.to_string())
    .bind(now.as_millisecond())
    .fetch_optional(conn)
    .await?;
    row.map(|row| Ok((row.parsed("user_id")?, row.parsed("session_id")?))).transpose()
}

/// Adds a visit.
pub(super) async fn insert_visit(
    conn: &mut Connection,
    digest: &str,
    (sandbox, user, session): (SandboxId, UserId, SessionId),
    (now, expires_at): (Timestamp, Timestamp),
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO sandbox_visits (digest, sandbox_id, user_id, session_id, created_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(digest)
    .bind(sandbox.to_string())
    .bind(user.to_string())
    .bind(session.to_string())
    .bind(now.as_millisecond())
    .bind(expires_at.as_millisecond())
    .execute(conn)
    .await?;
    Ok(())
}

/// Whose visit a cookie on a sandbox's origin is: somebody whose session on the main site, in which they came,
/// goes on, and who still takes part.
pub(super) async fn visitor(
    conn: &mut Connection,
    digest: &str,
    sandbox: SandboxId,
    now: Timestamp,
) -> Result<Option<UserId>, StoreError> {
    let row = sqlx::query(
        "SELECT v.user_id AS user_id FROM sandbox_visits v \
         JOIN sandboxes b ON b.id = v.sandbox_id AND b.user_id = v.user_id \
         JOIN users u ON u.id = v.user_id AND u.disabled_at IS NULL \
         JOIN participants p ON p.competition_id = b.competition_id AND p.user_id = v.user_id \
         AND p.state = 'approved' \
         WHERE v.digest = $1 AND v.sandbox_id = $2 AND v.expires_at > $3 AND EXISTS \
         (SELECT 1 FROM sessions s WHERE s.id = v.session_id AND s.user_id = v.user_id AND s.expires_at > $3 \
          AND (s.revoked_at IS NULL OR s.revoked_at > $3))",
    )
    .bind(digest)
    .bind(sandbox.to_string())
    .bind(now.as_millisecond())
    .fetch_optional(conn)
    .await?;
    row.map(|row| row.parsed("user_id")).transpose()
}

/// Forgets tickets and visits that are over.
pub(in crate::lab) async fn sweep_visits(conn: &mut Connection, now: Timestamp) -> Result<(), StoreError> {
    for table in ["sandbox_tickets", "sandbox_visits"] {
        sqlx::query(AssertSqlSafe(format!("DELETE FROM {table} WHERE expires_at <= $1")))
            .bind(now.as_millisecond())
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}
