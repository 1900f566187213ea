//! SQL of rescores.

use jiff::Timestamp;
use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::{Progress, Rescore};
use crate::ids::{CompetitionId, RescoreId, SubmissionId};
use crate::store::{Connection, Row, StoreError};

fn rescore(row: &AnyRow) -> Result<Rescore, StoreError> {
    Ok(Rescore {
        id: row.parsed("id")?,
        competition: row.parsed("competition_id")?,
        phase: row.parsed_or_null("phase_id")?,
        team: row.parsed_or_null("team_id")?,
        requested_by: row.parsed("requested_by")?,
        reason: row.text("reason")?,
        priority: row.int("priority")?,
        created_at: row.time("created_at")?,
    })
}

/// Submissions `s` that a rescore is about: those that were scored, and those that failed once they had
/// come to be scored, for the scorer may have been to blame. What waits to be scored again already, and
/// what was handed in later, gets the present scorer anyhow.
fn wanted(rescore: &Rescore) -> String {
    let phase = rescore.phase.map(|id| format!("AND s.phase_id = '{id}' ")).unwrap_or_default();
    let team = rescore.team.map(|id| format!("AND s.team_id = '{id}' ")).unwrap_or_default();
    format!(
        "FROM submissions s WHERE s.competition_id = $1 AND s.aim = 'compete' {phase}{team}\
         AND s.created_at <= $2 AND (s.state = 'finished' OR (s.state = 'failed' AND EXISTS \
         (SELECT 1 FROM runs f WHERE f.submission_id = s.id AND f.purpose = 'score' \
         AND f.scoring_end IS NOT NULL))) AND NOT EXISTS (SELECT 1 FROM runs r \
         WHERE r.submission_id = s.id AND r.purpose = 'rescore' \
         AND (r.state = 'queued' OR r.created_at >= $2))"
    )
}

/// How many submissions a rescore is still to queue.
pub(super) async fn count(conn: &mut Connection, rescore: &Rescore) -> Result<i64, StoreError> {
    sqlx::query(AssertSqlSafe(format!("SELECT COUNT(*) AS n {}", wanted(rescore))))
        .bind(rescore.competition.to_string())
        .bind(rescore.created_at.as_millisecond())
        .fetch_one(conn)
        .await?
        .int("n")
}

/// The next submissions to queue, after one that was; by time, then id.
pub(super) async fn next(
    conn: &mut Connection,
    rescore: &Rescore,
    after: Option<(Timestamp, SubmissionId)>,
    limit: i64,
) -> Result<Vec<(Timestamp, SubmissionId)>, StoreError> {
    let (at, id) = after.map_or((i64::MIN, String::new()), |(at, id)| (at.as_millisecond(), id.to_string()));
    let rows = sqlx::query(AssertSqlSafe(format!(
        "SELECT s.id AS id, s.created_at AS created_at {} \
         AND (s.created_at > $3 OR (s.created_at = $3 AND s.id > $4)) ORDER BY s.created_at, s.id LIMIT $5",
        wanted(rescore)
    )))
    .bind(rescore.competition.to_string())
    .bind(rescore.created_at.as_millisecond())
    .bind(at)
    .bind(id)
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| Ok((row.time("created_at")?, row.parsed("id")?))).collect()
}

/// Adds a rescore of which nothing is queued yet.
pub(super) async fn insert(conn: &mut Connection, r: &Rescore, total: i64) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO rescores (id, competition_id, phase_id, team_id, requested_by, reason, priority, \
         created_at, total) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(r.id.to_string())
    .bind(r.competition.to_string())
    .bind(r.phase.map(|id| id.to_string()))
    .bind(r.team.map(|id| id.to_string()))
    .bind(r.requested_by.to_string())
    .bind(&r.reason)
    .bind(r.priority)
    .bind(r.created_at.as_millisecond())
    .bind(total)
    .execute(conn)
    .await?;
    Ok(())
}

/// Locks a rescore for the rest of the transaction; false when all of it is queued.
pub(super) async fn lock(conn: &mut Connection, id: RescoreId) -> Result<bool, StoreError> {
    let done = sqlx::query("UPDATE rescores SET total = total WHERE id = $1 AND finished_at IS NULL")
        .bind(id.to_string())
        .execute(conn)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Notes that all of a rescore is queued.
pub(super) async fn finish(conn: &mut Connection, id: RescoreId, now: Timestamp) -> Result<(), StoreError> {
    sqlx::query("UPDATE rescores SET finished_at = $2 WHERE id = $1")
        .bind(id.to_string())
        .bind(now.as_millisecond())
        .execute(conn)
        .await?;
    Ok(())
}

/// Rescores that are not all queued yet, the oldest first.
pub(super) async fn unfinished(conn: &mut Connection) -> Result<Vec<Rescore>, StoreError> {
    let rows = sqlx::query("SELECT * FROM rescores WHERE finished_at IS NULL ORDER BY created_at")
        .fetch_all(conn)
        .await?;
    rows.iter().map(rescore).collect()
}

/// The newest rescores of a competition and how far they are.
pub async fn of_competition(
    conn: &mut Connection,
    competition: CompetitionId,
    limit: i64,
) -> Result<Vec<Progress>, StoreError> {
    let rows = sqlx::query(
        "SELECT r.*, u.name AS organizer, (SELECT COUNT(DISTINCT q.submission_id) FROM runs q WHERE q.rescore_id = r.id) AS begun, \
         (SELECT COUNT(DISTINCT q.submission_id) FROM runs q WHERE q.rescore_id = r.id \
          AND q.state IN ('queued', 'running')) AS open FROM rescores r \
         LEFT JOIN users u ON u.id = r.requested_by \
         WHERE r.competition_id = $1 ORDER BY r.created_at DESC LIMIT $2",
    )
    .bind(competition.to_string())
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Progress {
                rescore: rescore(row)?,
                organizer: row.text_or_null("organizer")?.unwrap_or_default(),
                total: row.int("total")?,
                done: row.int("begun")? - row.int("open")?,
                all_queued: row.time_or_null("finished_at")?.is_some(),
            })
        })
        .collect()
}
