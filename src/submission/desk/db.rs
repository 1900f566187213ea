//! SQL of the desk's lists and numbers.

use jiff::Timestamp;
use sqlx::AssertSqlSafe;

use crate::ids::{CompetitionId, PhaseId, TeamId};
use crate::store::{Connection, Row, StoreError};
use crate::submission::db::submission;
use crate::submission::model::{State, Submission};

/// What an organizer's list is narrowed to.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// One phase.
    pub phase: Option<PhaseId>,
    /// One team.
    pub team: Option<TeamId>,
    /// One true state.
    pub state: Option<State>,
    /// Rows to skip.
    pub offset: i64,
    /// Rows to give.
    pub limit: i64,
}

/// A competition's submissions by filter, the newest first, and how many there are in all.
pub async fn filtered(
    conn: &mut Connection,
    competition: CompetitionId,
    filter: &Filter,
) -> Result<(Vec<Submission>, i64), StoreError> {
    let condition = "competition_id = $1 AND ($2 = '' OR phase_id = $2) AND ($3 = '' OR team_id = $3) \
                     AND ($4 = '' OR state = $4)";
    let phase = filter.phase.map(|id| id.to_string()).unwrap_or_default();
    let team = filter.team.map(|id| id.to_string()).unwrap_or_default();
    let state = filter.state.map(State::as_str).unwrap_or_default();
    let total =
        sqlx::query(AssertSqlSafe(format!("SELECT COUNT(*) AS n FROM submissions WHERE {condition}")))
            .bind(competition.to_string())
            .bind(&phase)
            .bind(&team)
            .bind(state)
            .fetch_one(&mut *conn)
            .await?
            .int("n")?;
    let rows = sqlx::query(AssertSqlSafe(format!(
        "SELECT * FROM submissions WHERE {condition} ORDER BY created_at DESC, id DESC LIMIT $5 OFFSET $6"
    )))
    .bind(competition.to_string())
    .bind(&phase)
    .bind(&team)
    .bind(state)
    .bind(filter.limit)
    .bind(filter.offset)
    .fetch_all(conn)
    .await?;
    let submissions: Result<_, StoreError> = rows.iter().map(submission).collect();
    Ok((submissions?, total))
}

/// How many submissions of a competition are in each true state.
pub async fn count_by_state(
    conn: &mut Connection,
    competition: CompetitionId,
) -> Result<Vec<(State, i64)>, StoreError> {
    let rows = sqlx::query(
        "SELECT state, COUNT(*) AS n FROM submissions WHERE competition_id = $1 AND aim = 'compete' \
         GROUP BY state",
    )
    .bind(competition.to_string())
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| Ok((row.parsed("state")?, row.int("n")?))).collect()
}

/// The newest submissions of a competition that failed through our own fault.
pub async fn failed_by_us(
    conn: &mut Connection,
    competition: CompetitionId,
    since: Timestamp,
) -> Result<Vec<Submission>, StoreError> {
    let rows = sqlx::query(
        "SELECT * FROM submissions WHERE competition_id = $1 AND state = 'failed' AND aim = 'compete' \
         AND created_at >= $2 AND EXISTS (SELECT 1 FROM runs r WHERE r.submission_id = submissions.id \
         AND r.state = 'failed' AND r.fault IS NOT NULL) ORDER BY created_at DESC LIMIT 20",
    )
    .bind(competition.to_string())
    .bind(since.as_millisecond())
    .fetch_all(conn)
    .await?;
    rows.iter().map(submission).collect()
}

/// Submissions of a competition by the day (UTC, as milliseconds of its start), since a time.
pub async fn by_day(
    conn: &mut Connection,
    competition: CompetitionId,
    since: Timestamp,
) -> Result<Vec<(i64, i64)>, StoreError> {
    let rows = sqlx::query(
        "SELECT created_at / 86400000 AS day, COUNT(*) AS n FROM submissions \
         WHERE competition_id = $1 AND aim = 'compete' AND created_at >= $2 \
         GROUP BY created_at / 86400000 ORDER BY 1",
    )
    .bind(competition.to_string())
    .bind(since.as_millisecond())
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| Ok((row.int("day")? * 86_400_000, row.int("n")?))).collect()
}
