//! SQL of tickets and visits.

use jiff::Timestamp;
use sqlx::AssertSqlSafe;

use super::Place;
use crate::ids::{SessionId, UserId};
use crate::store::{Connection, Row, StoreError};

impl Place {
    /// The word for its kind, and its id.
    fn columns(self) -> (&'static str, String) {
        match self {
            Self::Lab(id) => ("lab", id.to_string()),
            Self::Demo(id) => ("demo", id.to_string()),
        }
    }
}

/// Adds a ticket.
pub(super) async fn insert_ticket(
    conn: &mut Connection,
    digest: &str,
    place: Place,
    whose: (UserId, SessionId),
    expires_at: Timestamp,
) -> Result<(), StoreError> {
    insert(conn, "tickets", digest, place, whose, expires_at).await
}

/// Adds a visit.
pub(super) async fn insert_visit(
    conn: &mut Connection,
    digest: &str,
    place: Place,
    whose: (UserId, SessionId),
    expires_at: Timestamp,
) -> Result<(), StoreError> {
    insert(conn, "visits", digest, place, whose, expires_at).await
}

async fn insert(
    conn: &mut Connection,
    table: &'static str,
    digest: &str,
    place: Place,
    (user, session): (UserId, SessionId),
    expires_at: Timestamp,
) -> Result<(), StoreError> {
    let (kind, id) = place.columns();
    let sql = format!(
        "INSERT INTO {table} (digest, kind, place_id, user_id, session_id, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6)"
    );
    sqlx::query(AssertSqlSafe(sql))
        .bind(digest)
        .bind(kind)
        .bind(id)
        .bind(user.to_string())
        .bind(session.to_string())
        .bind(expires_at.as_millisecond())
        .execute(conn)
        .await?;
    Ok(())
}

/// Uses a ticket up; `None` when it is unknown, used, too old or another place's.
pub(super) async fn use_ticket(
    conn: &mut Connection,
    digest: &str,
    place: Place,
    now: Timestamp,
) -> Result<Option<(UserId, SessionId)>, StoreError> {
    let (kind, id) = place.columns();
    let row = sqlx::query(
        "UPDATE tickets SET used_at = $4 WHERE digest = $1 AND kind = $2 AND place_id = $3 \
         AND used_at IS NULL AND expires_at > $4 RETURNING user_id, session_id",
    )
    .bind(digest)
    .bind(kind)
    .bind(id)
    .bind(now.as_millisecond())
    .fetch_optional(conn)
    .await?;
    row.map(|row| Ok((row.parsed("user_id")?, row.parsed("session_id")?))).transpose()
}

/// Whose visit it is, as long as their account is in use and the session that they came in goes on.
pub(super) async fn visitor(
    conn: &mut Connection,
    digest: &str,
    place: Place,
    now: Timestamp,
) -> Result<Option<UserId>, StoreError> {
    let (kind, id) = place.columns();
    let row = sqlx::query(
        "SELECT v.user_id AS user_id FROM visits v \
         JOIN users u ON u.id = v.user_id AND u.disabled_at IS NULL \
         WHERE v.digest = $1 AND v.kind = $2 AND v.place_id = $3 AND v.expires_at > $4 AND EXISTS \
         (SELECT 1 FROM sessions s WHERE s.id = v.session_id AND s.user_id = v.user_id AND s.expires_at > $4 \
          AND (s.revoked_at IS NULL OR s.revoked_at > $4))",
    )
    .bind(digest)
    .bind(kind)
    .bind(id)
    .bind(now.as_millisecond())
    .fetch_optional(conn)
    .await?;
    row.map(|row| row.parsed("user_id")).transpose()
}

/// Forgets tickets and visits that are over.
pub(super) async fn sweep(conn: &mut Connection, now: Timestamp) -> Result<(), StoreError> {
    for table in ["tickets", "visits"] {
        sqlx::query(AssertSqlSafe(format!("DELETE FROM {table} WHERE expires_at <= $1")))
            .bind(now.as_millisecond())
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}
