//! SQL of what has been submitted already.

use jiff::Timestamp;

use crate::ids::{CompetitionId, PhaseId, TeamId, UserId};
use crate::store::{Connection, Row, StoreError};

/// How many submissions count for a team: its own, and what its present members submitted in other
/// teams, for quotas follow persons; those of the day from `start` to before `end`, and in all.
pub(super) async fn counted(
    conn: &mut Connection,
    phase: PhaseId,
    team: TeamId,
    (start, end): (Timestamp, Timestamp),
) -> Result<(i64, i64), StoreError> {
    let row = sqlx::query(
        "SELECT COUNT(*) AS total, \
         COALESCE(SUM(CASE WHEN created_at >= $3 AND created_at < $4 THEN 1 ELSE 0 END), 0) AS recent \
         FROM submissions WHERE phase_id = $1 AND counts = 1 AND aim = 'compete' \
         AND migrated_from IS NULL AND (team_id = $2 OR user_id IN \
         (SELECT m.user_id FROM memberships m WHERE m.team_id = $2 AND m.left_at IS NULL))",
    )
    .bind(phase.to_string())
    .bind(team.to_string())
    .bind(start.as_millisecond())
    .bind(end.as_millisecond())
    .fetch_one(conn)
    .await?;
    Ok((row.int("recent")?, row.int("total")?))
}

/// How many bytes a person has handed in to a competition from `start` to before `end`, dry runs apart.
pub(super) async fn bytes_handed_in(
    conn: &mut Connection,
    competition: CompetitionId,
    user: UserId,
    (start, end): (Timestamp, Timestamp),
) -> Result<u64, StoreError> {
    let row = sqlx::query(
        "SELECT CAST(COALESCE(SUM(size), 0) AS BIGINT) AS bytes FROM submissions WHERE competition_id = $1 \
         AND user_id = $2 AND created_at >= $3 AND created_at < $4 AND aim <> 'dry_run' \
         AND migrated_from IS NULL",
    )
    .bind(competition.to_string())
    .bind(user.to_string())
    .bind(start.as_millisecond())
    .bind(end.as_millisecond())
    .fetch_one(conn)
    .await?;
    Ok(u64::try_from(row.int("bytes")?).unwrap_or(0))
}
