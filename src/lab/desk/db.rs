//! SQL of the organizer's view of sandboxes.

use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::{Line, Numbers, Totals};
use crate::ids::{CompetitionId, SandboxId};
use crate::lab::db;
use crate::lab::model::Used;
use crate::store::{Connection, Row, StoreError};

/// A sandbox with whose it is: their login, their name, and the team they are in now.
const LINES: &str = "SELECT s.*, u.login AS login, u.name AS person, (SELECT t.name FROM memberships m \
     JOIN teams t ON t.id = m.team_id AND t.desk = 0 WHERE m.competition_id = s.competition_id \
     AND m.user_id = s.user_id AND m.left_at IS NULL LIMIT 1) AS team, \
     (SELECT COUNT(*) FROM sandbox_logs l WHERE l.sandbox_id = s.id) AS logs \
     FROM sandboxes s JOIN users u ON u.id = s.user_id WHERE s.competition_id = $1";

fn line(row: &AnyRow) -> Result<Line, StoreError> {
    Ok(Line {
        sandbox: db::sandbox(row)?,
        login: row.text("login")?,
        name: row.text("person")?,
        team: row.text_or_null("team")?,
        has_log: row.int("logs")? > 0,
    })
}

/// Sandboxes of a competition that are not over, the oldest first.
pub(super) async fn open(conn: &mut Connection, competition: CompetitionId) -> Result<Vec<Line>, StoreError> {
    let rows =
        sqlx::query(AssertSqlSafe(format!("{LINES} AND s.ended_at IS NULL ORDER BY s.requested_at, s.id")))
            .bind(competition.to_string())
            .fetch_all(conn)
            .await?;
    rows.iter().map(line).collect()
}

/// Sandboxes of a competition that are over, the newest first.
pub(super) async fn over(
    conn: &mut Connection,
    competition: CompetitionId,
    most: i64,
) -> Result<Vec<Line>, StoreError> {
    let rows = sqlx::query(AssertSqlSafe(format!(
        "{LINES} AND s.ended_at IS NOT NULL ORDER BY s.ended_at DESC, s.id DESC LIMIT $2"
    )))
    .bind(competition.to_string())
    .bind(most)
    .fetch_all(conn)
    .await?;
    rows.iter().map(line).collect()
}

/// All sandboxes that a competition ever had, by time.
pub(super) async fn all(conn: &mut Connection, competition: CompetitionId) -> Result<Vec<Line>, StoreError> {
    let rows = sqlx::query(AssertSqlSafe(format!("{LINES} ORDER BY s.requested_at, s.id")))
        .bind(competition.to_string())
        .fetch_all(conn)
        .await?;
    rows.iter().map(line).collect()
}

/// What all sandboxes of a competition have used.
pub(super) async fn totals(conn: &mut Connection, competition: CompetitionId) -> Result<Totals, StoreError> {
    let row = sqlx::query(
        "SELECT COUNT(*) AS n, COUNT(DISTINCT user_id) AS people, \
         CAST(COALESCE(SUM(cpu_ms), 0) AS BIGINT) AS cpu_ms, \
         CAST(COALESCE(SUM(memory_mib_s), 0) AS BIGINT) AS memory_mib_s, \
         CAST(COALESCE(SUM(shown_bytes), 0) AS BIGINT) AS shown_bytes, \
         CAST(COALESCE(SUM(kernels), 0) AS BIGINT) AS kernels, \
         CAST(COALESCE(SUM(terminals), 0) AS BIGINT) AS terminals \
         FROM sandboxes WHERE competition_id = $1",
    )
    .bind(competition.to_string())
    .fetch_one(conn)
    .await?;
    Ok(Totals {
        sandboxes: row.int("n")?,
        people: row.int("people")?,
        used: Used {
            cpu_ms: row.int("cpu_ms")?,
            memory_mib_s: row.int("memory_mib_s")?,
            shown_bytes: row.int("shown_bytes")?,
            kernels: row.int("kernels")?,
            terminals: row.int("terminals")?,
        },
    })
}

const NUMBERS: &str = "SELECT CAST(COALESCE(SUM(CASE state WHEN 'waiting' THEN 0 ELSE 1 END), 0) AS BIGINT) \
     AS held, CAST(COALESCE(SUM(CASE state WHEN 'waiting' THEN 1 ELSE 0 END), 0) AS BIGINT) AS waiting \
     FROM sandboxes WHERE ended_at IS NULL";

/// How many sandboxes have a place, and how many wait for one.
pub(super) async fn numbers(conn: &mut Connection) -> Result<Numbers, StoreError> {
    let row = sqlx::query(NUMBERS).fetch_one(conn).await?;
    Ok(Numbers { held: row.int("held")?, waiting: row.int("waiting")? })
}

/// The same in one competition.
pub(super) async fn numbers_of(
    conn: &mut Connection,
    competition: CompetitionId,
) -> Result<Numbers, StoreError> {
    let row = sqlx::query(AssertSqlSafe(format!("{NUMBERS} AND competition_id = $1")))
        .bind(competition.to_string())
        .fetch_one(conn)
        .await?;
    Ok(Numbers { held: row.int("held")?, waiting: row.int("waiting")? })
}

/// Writes what the organizer has to say to whoever uses a sandbox.
pub(super) async fn set_message(
    conn: &mut Connection,
    id: SandboxId,
    message: &str,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE sandboxes SET message = $2 WHERE id = $1")
        .bind(id.to_string())
        .bind(message)
        .execute(conn)
        .await?;
    Ok(())
}

/// Writes why the organizer stopped a sandbox.
pub(super) async fn set_said(conn: &mut Connection, id: SandboxId, said: &str) -> Result<(), StoreError> {
    sqlx::query("UPDATE sandboxes SET said = $2 WHERE id = $1")
        .bind(id.to_string())
        .bind(said)
        .execute(conn)
        .await?;
    Ok(())
}

/// Writes how many programs the kernel has stopped in a sandbox at the memory limit.
pub(super) async fn set_kills(conn: &mut Connection, id: SandboxId, kills: i64) -> Result<(), StoreError> {
    sqlx::query("UPDATE sandboxes SET memory_kills = $2 WHERE id = $1")
        .bind(id.to_string())
        .bind(kills)
        .execute(conn)
        .await?;
    Ok(())
}

/// Keeps the last of what a sandbox printed.
pub(super) async fn set_log(conn: &mut Connection, id: SandboxId, log: &str) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO sandbox_logs (sandbox_id, log) VALUES ($1, $2) \
         ON CONFLICT (sandbox_id) DO UPDATE SET log = excluded.log",
    )
    .bind(id.to_string())
    .bind(log)
    .execute(conn)
    .await?;
    Ok(())
}

/// The last of what a sandbox printed, where that was kept.
pub(super) async fn log(conn: &mut Connection, id: SandboxId) -> Result<Option<String>, StoreError> {
    let row = sqlx::query("SELECT log FROM sandbox_logs WHERE sandbox_id = $1")
        .bind(id.to_string())
        .fetch_optional(conn)
        .await?;
    row.map(|row| row.text("log")).transpose()
}
