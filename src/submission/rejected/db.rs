//! SQL of refused submissions' files.

use jiff::Timestamp;

use crate::ids::{CompetitionId, SubmissionId};
use crate::store::{Connection, Row, StoreError};

/// Submissions that were refused before then, and told so, and have a file of their own that no other has
/// taken over; so many at most.
pub(super) async fn due(
    conn: &mut Connection,
    before: Timestamp,
    limit: i64,
) -> Result<Vec<SubmissionId>, StoreError> {
    let rows = sqlx::query(
        "SELECT id FROM submissions WHERE state = 'rejected' AND release_at IS NULL AND finished_at < $1 \
         AND object_key = 'submissions/' || id \
         AND id NOT IN (SELECT migrated_from FROM submissions WHERE migrated_from IS NOT NULL) \
         ORDER BY created_at LIMIT $2",
    )
    .bind(before.as_millisecond())
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| row.parsed("id")).collect()
}

/// Notes that a refused submission has no file any more; gives its competition and the object that it was.
/// `None` when it is not refused by now, or nothing was left.
pub(super) async fn forget_file(
    conn: &mut Connection,
    id: SubmissionId,
) -> Result<Option<(CompetitionId, String)>, StoreError> {
    let row = sqlx::query(
        "UPDATE submissions SET object_key = '' WHERE id = $1 AND state = 'rejected' AND object_key <> '' \
         RETURNING competition_id",
    )
    .bind(id.to_string())
    .fetch_optional(conn)
    .await?;
    row.map(|row| Ok((row.parsed("competition_id")?, format!("submissions/{id}")))).transpose()
}
