//! The SQL of what people are recognised by: sessions, tokens, reset links.

use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::query;

use super::session::SessionRow;
use super::token::TokenRow;
use crate::ids::{SessionId, TokenId, UserId};
use crate::people::Scope;
use crate::store::{Connection, Row, StoreError};

type Stored<T> = Result<T, StoreError>;

// Sessions ---------------------------------------------------------------------------------------

/// A row of `sessions`.
pub(in crate::people) struct StoredSession {
    pub id: SessionId,
    pub digest: String,
    pub user: UserId,
    pub created_at: Timestamp,
    pub seen_at: Timestamp,
    pub rotated_at: Timestamp,
    pub expires_at: Timestamp,
    pub revoked_at: Option<Timestamp>,
    pub agent: String,
    pub address: String,
}

pub(in crate::people) async fn insert_session(c: &mut Connection, s: &StoredSession) -> Stored<()> {
    query(
        "INSERT INTO sessions (id, digest, user_id, created_at, seen_at, rotated_at, expires_at, agent, address) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(s.id.to_string())
    .bind(&s.digest)
    .bind(s.user.to_string())
    .bind(s.created_at.as_millisecond())
    .bind(s.seen_at.as_millisecond())
    .bind(s.rotated_at.as_millisecond())
    .bind(s.expires_at.as_millisecond())
    .bind(&s.agent)
    .bind(&s.address)
    .execute(c)
    .await?;
    Ok(())
}

pub(in crate::people) async fn session_by_digest(
    c: &mut Connection,
    digest: &str,
) -> Stored<Option<StoredSession>> {
    let row = query("SELECT * FROM sessions WHERE digest = $1").bind(digest).fetch_optional(c).await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(StoredSession {
        id: row.parsed("id")?,
        digest: row.text("digest")?,
        user: row.parsed("user_id")?,
        created_at: row.time("created_at")?,
        seen_at: row.time("seen_at")?,
        rotated_at: row.time("rotated_at")?,
        expires_at: row.time("expires_at")?,
        revoked_at: row.time_or_null("revoked_at")?,
        agent: row.text("agent")?,
        address: row.text("address")?,
    }))
}

pub(in crate::people) async fn touch_session(
    c: &mut Connection,
    id: SessionId,
    (at, address): (Timestamp, &str),
) -> Stored<()> {
    query("UPDATE sessions SET seen_at = $2, address = $3 WHERE id = $1")
        .bind(id.to_string())
        .bind(at.as_millisecond())
        .bind(address)
        .execute(c)
        .await?;
    Ok(())
}

/// Ends a session that nobody has ended yet, at a time that may lie ahead; says whether it did.
pub(in crate::people) async fn retire_session(
    c: &mut Connection,
    id: SessionId,
    at: Timestamp,
) -> Stored<bool> {
    let done = query("UPDATE sessions SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL")
        .bind(id.to_string())
        .bind(at.as_millisecond())
        .execute(c)
        .await?;
    Ok(done.rows_affected() > 0)
}

/// Ends at once what of a person's sessions is still usable: the one named, or all but the one
/// kept; and in any case those in their grace after a rotation.
pub(in crate::people) async fn revoke_sessions(
    c: &mut Connection,
    user: UserId,
    (only, keep): (Option<SessionId>, Option<SessionId>),
    at: Timestamp,
) -> Stored<u64> {
    let done = query(
        "UPDATE sessions SET revoked_at = $2 WHERE user_id = $1 AND (revoked_at > $2 \
         OR (revoked_at IS NULL AND ($3 = '' OR id = $3) AND id <> $4))",
    )
    .bind(user.to_string())
    .bind(at.as_millisecond())
    .bind(only.map(|id| id.to_string()).unwrap_or_default())
    .bind(keep.map(|id| id.to_string()).unwrap_or_default())
    .execute(c)
    .await?;
    Ok(done.rows_affected())
}

pub(in crate::people) async fn open_sessions(
    c: &mut Connection,
    user: UserId,
    (now, idle_since): (Timestamp, Timestamp),
) -> Stored<Vec<SessionRow>> {
    let rows = query(
        "SELECT id, created_at, seen_at, expires_at, agent, address FROM sessions \
         WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > $2 AND seen_at > $3 ORDER BY seen_at DESC",
    )
    .bind(user.to_string())
    .bind(now.as_millisecond())
    .bind(idle_since.as_millisecond())
    .fetch_all(c)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(SessionRow {
                id: row.parsed("id")?,
                created_at: row.time("created_at")?,
                seen_at: row.time("seen_at")?,
                expires_at: row.time("expires_at")?,
                agent: row.text("agent")?,
                address: row.text("address")?,
            })
        })
        .collect()
}

/// Forgets sessions that ended long ago.
pub(in crate::people) async fn forget_sessions(c: &mut Connection, before: Timestamp) -> Stored<u64> {
    let done = query("DELETE FROM sessions WHERE expires_at < $1 OR revoked_at < $1")
        .bind(before.as_millisecond())
        .execute(c)
        .await?;
    Ok(done.rows_affected())
}

// Tokens -----------------------------------------------------------------------------------------

pub(in crate::people) async fn insert_token(
    c: &mut Connection,
    user: UserId,
    digest: &str,
    t: &TokenRow,
) -> Stored<()> {
    query(
        "INSERT INTO tokens (id, digest, user_id, name, scope, created_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(t.id.to_string())
    .bind(digest)
    .bind(user.to_string())
    .bind(&t.name)
    .bind(t.scope.as_str())
    .bind(t.created_at.as_millisecond())
    .bind(t.expires_at.as_millisecond())
    .execute(c)
    .await?;
    Ok(())
}

fn stored_token(row: &AnyRow) -> Stored<TokenRow> {
    Ok(TokenRow {
        id: row.parsed("id")?,
        name: row.text("name")?,
        scope: row.parsed::<Scope>("scope")?,
        created_at: row.time("created_at")?,
        expires_at: row.time("expires_at")?,
        used_at: row.time_or_null("used_at")?,
    })
}

pub(in crate::people) async fn token_by_digest(
    c: &mut Connection,
    digest: &str,
) -> Stored<Option<(UserId, TokenRow)>> {
    let row = query("SELECT * FROM tokens WHERE digest = $1 AND revoked_at IS NULL")
        .bind(digest)
        .fetch_optional(c)
        .await?;
    row.map(|row| Ok((row.parsed("user_id")?, stored_token(&row)?))).transpose()
}

pub(in crate::people) async fn tokens(c: &mut Connection, user: UserId) -> Stored<Vec<TokenRow>> {
    let rows =
        query("SELECT * FROM tokens WHERE user_id = $1 AND revoked_at IS NULL ORDER BY created_at DESC")
            .bind(user.to_string())
            .fetch_all(c)
            .await?;
    rows.iter().map(stored_token).collect()
}

pub(in crate::people) async fn touch_token(c: &mut Connection, id: TokenId, at: Timestamp) -> Stored<()> {
    query("UPDATE tokens SET used_at = $2 WHERE id = $1")
        .bind(id.to_string())
        .bind(at.as_millisecond())
        .execute(c)
        .await?;
    Ok(())
}

/// Revokes one token of a person, or all; says how many.
pub(in crate::people) async fn revoke_tokens(
    c: &mut Connection,
    user: UserId,
    only: Option<TokenId>,
    at: Timestamp,
) -> Stored<u64> {
    let done = query(
        "UPDATE tokens SET revoked_at = $2 WHERE user_id = $1 AND revoked_at IS NULL AND ($3 = '' OR id = $3)",
    )
    .bind(user.to_string())
    .bind(at.as_millisecond())
    .bind(only.map(|id| id.to_string()).unwrap_or_default())
    .execute(c)
    .await?;
    Ok(done.rows_affected())
}

// Reset links ------------------------------------------------------------------------------------

pub(in crate::people) async fn insert_reset(
    c: &mut Connection,
    digest: &str,
    user: UserId,
    by: &str,
    (at, until): (Timestamp, Timestamp),
) -> Stored<()> {
    query("UPDATE reset_links SET used_at = $2 WHERE user_id = $1 AND used_at IS NULL")
        .bind(user.to_string())
        .bind(at.as_millisecond())
        .execute(&mut *c)
        .await?;
    query(
        "INSERT INTO reset_links (digest, user_id, created_by, created_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(digest)
    .bind(user.to_string())
    .bind(by)
    .bind(at.as_millisecond())
    .bind(until.as_millisecond())
    .execute(c)
    .await?;
    Ok(())
}

/// Whose link this is, as long as it can be used.
pub(in crate::people) async fn reset_owner(
    c: &mut Connection,
    digest: &str,
    now: Timestamp,
) -> Stored<Option<UserId>> {
    let row =
        query("SELECT user_id FROM reset_links WHERE digest = $1 AND used_at IS NULL AND expires_at > $2")
            .bind(digest)
            .bind(now.as_millisecond())
            .fetch_optional(c)
            .await?;
    row.map(|row| row.parsed("user_id")).transpose()
}

/// Uses a link up; says whose it was when it could still be used.
pub(in crate::people) async fn use_reset(
    c: &mut Connection,
    digest: &str,
    now: Timestamp,
) -> Stored<Option<UserId>> {
    let row = query(
        "UPDATE reset_links SET used_at = $2 WHERE digest = $1 AND used_at IS NULL AND expires_at > $2 \
         RETURNING user_id",
    )
    .bind(digest)
    .bind(now.as_millisecond())
    .fetch_optional(c)
    .await?;
    row.map(|row| row.parsed("user_id")).transpose()
}
