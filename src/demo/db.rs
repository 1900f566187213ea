//! SQL of demos.

use jiff::Timestamp;
use sqlx::any::AnyRow;

use super::model::{Demo, State};
use crate::ids::{EntryId, SandboxId, SubmissionId, UserId};
use crate::store::{Connection, Row, StoreError};

fn demo(row: &AnyRow) -> Result<Demo, StoreError> {
    Ok(Demo {
        id: row.parsed("id")?,
        submission: row.parsed("submission_id")?,
        competition: row.parsed("competition_id")?,
        state: row.parsed("state")?,
        host: row.text_or_null("host")?,
        requested_by: row.parsed("requested_by")?,
        entry: row.parsed_or_null("entry_id")?,
        requested_at: row.time("requested_at")?,
        ready_at: row.time_or_null("ready_at")?,
        active_at: row.time_or_null("active_at")?,
        deadline_at: row.time_or_null("deadline_at")?,
        stop_asked_at: row.time_or_null("stop_asked_at")?,
        ended_at: row.time_or_null("ended_at")?,
        reason: row.text("reason")?,
        detail: row.text("detail")?,
    })
}

/// Whose alone a demo is, as it is kept.
fn judge(judge: Option<UserId>) -> String {
    judge.map(|judge| judge.to_string()).unwrap_or_default()
}

/// Adds one that waits; false when the submission has one already, shared or of the same judge.
pub(super) async fn insert(conn: &mut Connection, demo: &Demo) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "INSERT INTO demos (id, submission_id, competition_id, state, requested_by, requested_at, entry_id, judge) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
         ON CONFLICT (submission_id, judge) WHERE ended_at IS NULL DO NOTHING",
    )
    .bind(demo.id.to_string())
    .bind(demo.submission.to_string())
    .bind(demo.competition.to_string())
    .bind(demo.state.as_str())
    .bind(demo.requested_by.to_string())
    .bind(demo.requested_at.as_millisecond())
    .bind(demo.entry.map(|entry| entry.to_string()))
    .bind(judge(demo.judge()))
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// A demo by its id.
pub async fn by_id(conn: &mut Connection, id: SandboxId) -> Result<Option<Demo>, StoreError> {
    let row =
        sqlx::query("SELECT * FROM demos WHERE id = $1").bind(id.to_string()).fetch_optional(conn).await?;
    row.as_ref().map(demo).transpose()
}

/// The newest of a submission, over or not: that of a judge, or the one that is shared.
pub async fn latest(
    conn: &mut Connection,
    submission: SubmissionId,
    of: Option<UserId>,
) -> Result<Option<Demo>, StoreError> {
    let row = sqlx::query(
        "SELECT * FROM demos WHERE submission_id = $1 AND judge = $2 ORDER BY requested_at DESC, id DESC LIMIT 1",
    )
    .bind(submission.to_string())
    .bind(judge(of))
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(demo).transpose()
}

/// How many of a person's are open.
pub(super) async fn open_of(conn: &mut Connection, user: UserId) -> Result<i64, StoreError> {
    let row = sqlx::query("SELECT COUNT(*) AS n FROM demos WHERE requested_by = $1 AND ended_at IS NULL")
        .bind(user.to_string())
        .fetch_one(conn)
        .await?;
    row.int("n")
}

/// How many wait that were asked for before this one.
pub async fn ahead(conn: &mut Connection, demo: &Demo) -> Result<i64, StoreError> {
    let row = sqlx::query("SELECT COUNT(*) AS n FROM demos WHERE state = 'waiting' AND requested_at < $1")
        .bind(demo.requested_at.as_millisecond())
        .fetch_one(conn)
        .await?;
    row.int("n")
}

/// Those that a worker holds and that are not over.
pub(super) async fn held_by(conn: &mut Connection, host: &str) -> Result<Vec<Demo>, StoreError> {
    let rows = sqlx::query("SELECT * FROM demos WHERE host = $1 AND ended_at IS NULL ORDER BY requested_at")
        .bind(host)
        .fetch_all(conn)
        .await?;
    rows.iter().map(demo).collect()
}

/// Gives the one that waits longest to a worker; `None` when none waits.
pub(super) async fn claim(
    conn: &mut Connection,
    host: &str,
    deadline: Timestamp,
) -> Result<Option<Demo>, StoreError> {
    let row = sqlx::query(
        "UPDATE demos SET host = $1, state = 'starting', deadline_at = $2 WHERE state = 'waiting' AND id = \
         (SELECT id FROM demos WHERE state = 'waiting' ORDER BY requested_at, id LIMIT 1) RETURNING *",
    )
    .bind(host)
    .bind(deadline.as_millisecond())
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(demo).transpose()
}

/// Notes that the app answers; false when it is over meanwhile.
pub(super) async fn set_ready(
    conn: &mut Connection,
    id: SandboxId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "UPDATE demos SET state = 'ready', ready_at = $2, active_at = $2 WHERE id = $1 AND state = 'starting'",
    )
    .bind(id.to_string())
    .bind(now.as_millisecond())
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends it; false when it was over already.
pub(super) async fn end(
    conn: &mut Connection,
    id: SandboxId,
    (state, reason, detail): (State, &str, &str),
    now: Timestamp,
) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "UPDATE demos SET state = $2, reason = $3, detail = $4, ended_at = $5 WHERE id = $1 AND ended_at IS NULL",
    )
    .bind(id.to_string())
    .bind(state.as_str())
    .bind(reason)
    .bind(detail)
    .bind(now.as_millisecond())
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Writes down what was used since the last time.
pub(super) async fn add_shown(
    conn: &mut Connection,
    id: SandboxId,
    bytes: u64,
    active_at: Option<Timestamp>,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE demos SET shown_bytes = shown_bytes + $2, active_at = COALESCE($3, active_at) WHERE id = $1",
    )
    .bind(id.to_string())
    .bind(i64::try_from(bytes).unwrap_or(i64::MAX))
    .bind(active_at.map(Timestamp::as_millisecond))
    .execute(conn)
    .await?;
    Ok(())
}

/// Notes that somebody wants it stopped.
pub(super) async fn ask_to_stop(
    conn: &mut Connection,
    id: SandboxId,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE demos SET stop_asked_at = $2 WHERE id = $1 AND stop_asked_at IS NULL")
        .bind(id.to_string())
        .bind(now.as_millisecond())
        .execute(conn)
        .await?;
    Ok(())
}

/// Whether visitors may try a submission's app once the competition is over.
pub async fn is_open_to_visitors(
    conn: &mut Connection,
    submission: SubmissionId,
) -> Result<bool, StoreError> {
    let row = sqlx::query("SELECT demo_open FROM submissions WHERE id = $1")
        .bind(submission.to_string())
        .fetch_optional(conn)
        .await?;
    row.map_or(Ok(false), |row| row.flag("demo_open"))
}

/// Sets that.
pub(super) async fn open_to_visitors(
    conn: &mut Connection,
    submission: SubmissionId,
    open: bool,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE submissions SET demo_open = $2 WHERE id = $1")
        .bind(submission.to_string())
        .bind(i64::from(open))
        .execute(conn)
        .await?;
    Ok(())
}

/// Whether a demo goes on, and the entry that whoever comes to it judges: `None` once it has ended.
pub(super) async fn goes_on(
    conn: &mut Connection,
    demo: SandboxId,
) -> Result<Option<Option<EntryId>>, StoreError> {
    let row = sqlx::query("SELECT entry_id FROM demos WHERE id = $1 AND ended_at IS NULL")
        .bind(demo.to_string())
        .fetch_optional(conn)
        .await?;
    row.map(|row| row.parsed_or_null("entry_id")).transpose()
}
