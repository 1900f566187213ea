//! SQL of what workers are asked about sandboxes, and what they tell.

use jiff::{SignedDuration, Timestamp};

use super::{About, Report};
use crate::ids::SandboxId;
use crate::store::{Connection, Row, StoreError};

/// How long after a page was looked at its question stands.
const STANDS: SignedDuration = SignedDuration::from_secs(20);
/// How often a question that stands is answered.
const PAUSE: SignedDuration = SignedDuration::from_secs(3);
/// How long an answer is worth showing.
const FRESH: SignedDuration = SignedDuration::from_secs(30);
/// How long after the last question all of it is forgotten.
const KEPT: SignedDuration = SignedDuration::from_mins(2);

/// A question that is to be answered.
pub(in crate::lab) struct Question {
    pub(in crate::lab) sandbox: SandboxId,
    /// Whether the log is asked for, too.
    pub(in crate::lab) log: bool,
    /// Whether nobody has been told anything for a while.
    pub(in crate::lab) first: bool,
}

fn before(now: Timestamp, span: SignedDuration) -> i64 {
    now.checked_sub(span).unwrap_or(now).as_millisecond()
}

/// Asks about a sandbox.
pub(super) async fn ask(
    conn: &mut Connection,
    id: SandboxId,
    about: About,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO sandbox_reports (sandbox_id, asked_at, log_asked_at) VALUES ($1, $2, $3) \
         ON CONFLICT (sandbox_id) DO UPDATE SET asked_at = excluded.asked_at, \
         log_asked_at = COALESCE(excluded.log_asked_at, sandbox_reports.log_asked_at)",
    )
    .bind(id.to_string())
    .bind(now.as_millisecond())
    .bind((about == About::Log).then(|| now.as_millisecond()))
    .execute(conn)
    .await?;
    Ok(())
}

/// What was told of a sandbox a moment ago.
pub(super) async fn told(
    conn: &mut Connection,
    id: SandboxId,
    now: Timestamp,
) -> Result<Option<Report>, StoreError> {
    let row = sqlx::query("SELECT report FROM sandbox_reports WHERE sandbox_id = $1 AND told_at > $2")
        .bind(id.to_string())
        .bind(before(now, FRESH))
        .fetch_optional(conn)
        .await?;
    row.map(|row| row.json("report")).transpose()
}

/// Takes up the questions about the sandboxes of a worker that stand and have not been answered just now.
pub(in crate::lab) async fn take(
    conn: &mut Connection,
    host: &str,
    now: Timestamp,
) -> Result<Vec<Question>, StoreError> {
    let rows = sqlx::query(
        "UPDATE sandbox_reports SET taken_at = $2 WHERE asked_at > $3 AND (taken_at IS NULL OR taken_at <= $4) \
         AND sandbox_id IN (SELECT id FROM sandboxes WHERE host = $1 AND ended_at IS NULL) \
         RETURNING sandbox_id, COALESCE(log_asked_at, 0) AS log_asked_at, COALESCE(told_at, 0) AS told_at",
    )
    .bind(host)
    .bind(now.as_millisecond())
    .bind(before(now, STANDS))
    .bind(before(now, PAUSE))
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Question {
                sandbox: row.parsed("sandbox_id")?,
                log: row.int("log_asked_at")? > before(now, STANDS),
                first: row.int("told_at")? <= before(now, FRESH),
            })
        })
        .collect()
}

/// Whether any question stands at all.
pub(in crate::lab) async fn any(conn: &mut Connection, now: Timestamp) -> Result<bool, StoreError> {
    let row = sqlx::query("SELECT COUNT(*) AS n FROM sandbox_reports WHERE asked_at > $1")
        .bind(before(now, STANDS))
        .fetch_one(conn)
        .await?;
    Ok(row.int("n")? > 0)
}

/// Answers a question.
pub(in crate::lab) async fn tell(
    conn: &mut Connection,
    id: SandboxId,
    report: &Report,
    now: Timestamp,
) -> Result<(), StoreError> {
    let report = serde_json::to_string(report).map_err(|error| StoreError::Unreadable {
        column: "report".to_owned(),
        value: String::new(),
        problem: error.to_string(),
    })?;
    sqlx::query("UPDATE sandbox_reports SET report = $2, told_at = $3 WHERE sandbox_id = $1")
        .bind(id.to_string())
        .bind(report)
        .bind(now.as_millisecond())
        .execute(conn)
        .await?;
    Ok(())
}

/// Forgets what nobody has asked about for a while.
pub(in crate::lab) async fn sweep(conn: &mut Connection, now: Timestamp) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM sandbox_reports WHERE asked_at <= $1")
        .bind(before(now, KEPT))
        .execute(conn)
        .await?;
    Ok(())
}
