//! SQL of standings. Reading a row here makes a [`Cleared`]: what it holds was told already.

use jiff::Timestamp;
use sqlx::AssertSqlSafe;

use crate::airlock::db::{Payload, TOLD};
use crate::airlock::{Cleared, Organizer, Public};
use crate::ids::{PhaseId, SubmissionId, TeamId};
use crate::scoring::leaderboard::{Entry, Scores};
use crate::store::{Connection, Row, StoreError, places};

/// Gives the board of a phase its next version, and locks it for the rest of the transaction.
pub(in crate::airlock) async fn next_version(
    conn: &mut Connection,
    phase: PhaseId,
) -> Result<i64, StoreError> {
    sqlx::query("UPDATE phases SET board_version = board_version + 1 WHERE id = $1 RETURNING board_version")
        .bind(phase.to_string())
        .fetch_one(conn)
        .await?
        .int("board_version")
}

/// The version of a phase's board.
pub async fn board_version(conn: &mut Connection, phase: PhaseId) -> Result<i64, StoreError> {
    sqlx::query("SELECT board_version FROM phases WHERE id = $1")
        .bind(phase.to_string())
        .fetch_one(conn)
        .await?
        .int("board_version")
}

pub(in crate::airlock) struct Standing {
    pub phase: PhaseId,
    pub submission: SubmissionId,
    pub team: TeamId,
    pub scores: Payload,
    pub submitted_at: Timestamp,
    pub entries: i64,
}

pub(in crate::airlock) async fn put_standing(
    conn: &mut Connection,
    standing: &Standing,
    version: i64,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO standings (phase_id, submission_id, team_id, scores, submitted_at, entries, removed, \
         version) VALUES ($1, $2, $3, $4, $5, $6, 0, $7) ON CONFLICT (phase_id, submission_id) \
         DO UPDATE SET scores = excluded.scores, team_id = excluded.team_id, \
         entries = excluded.entries, removed = 0, \
         version = excluded.version",
    )
    .bind(standing.phase.to_string())
    .bind(standing.submission.to_string())
    .bind(standing.team.to_string())
    .bind(serde_json::to_string(&standing.scores).unwrap_or_else(|_| "{}".to_owned()))
    .bind(standing.submitted_at.as_millisecond())
    .bind(standing.entries)
    .bind(version)
    .execute(conn)
    .await?;
    Ok(())
}

/// Takes a team's rows off the board except `keep`.
pub(in crate::airlock) async fn remove_standings(
    conn: &mut Connection,
    phase: PhaseId,
    team: TeamId,
    keep: &[SubmissionId],
    version: i64,
) -> Result<(), StoreError> {
    let rows = sqlx::query(
        "SELECT submission_id FROM standings WHERE phase_id = $1 AND team_id = $2 AND removed = 0",
    )
    .bind(phase.to_string())
    .bind(team.to_string())
    .fetch_all(&mut *conn)
    .await?;
    for row in &rows {
        let submission: SubmissionId = row.parsed("submission_id")?;
        if !keep.contains(&submission) {
            sqlx::query(
                "UPDATE standings SET removed = 1, version = $3 \
                 WHERE phase_id = $1 AND submission_id = $2",
            )
            .bind(phase.to_string())
            .bind(submission.to_string())
            .bind(version)
            .execute(&mut *conn)
            .await?;
        }
    }
    Ok(())
}

/// A change of the board: a row that stands, or one that was removed.
#[derive(Clone, Debug)]
pub struct BoardChange {
    /// The row, as anybody may see it.
    pub entry: Entry<Public>,
    /// The hidden columns, for organizers.
    pub organizer: Cleared<Scores, Organizer>,
    /// Whether it stands no more.
    pub removed: bool,
}

/// The board's rows that changed after `version` (0: all of them).
pub async fn board_changes(
    conn: &mut Connection,
    phase: PhaseId,
    version: i64,
) -> Result<Vec<BoardChange>, StoreError> {
    let rows = sqlx::query(
        "SELECT submission_id, team_id, scores, submitted_at, entries, removed FROM standings \
         WHERE phase_id = $1 AND version > $2 AND (removed = 0 OR $2 > 0)",
    )
    .bind(phase.to_string())
    .bind(version)
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            let payload: Payload = row.json("scores")?;
            Ok(BoardChange {
                entry: Entry {
                    submission: row.parsed("submission_id")?,
                    team: row.parsed("team_id")?,
                    scores: Cleared::new(payload.team),
                    submitted_at: row.time("submitted_at")?,
                    entries: row.int("entries")?,
                },
                organizer: Cleared::new(payload.organizer),
                removed: row.flag("removed")?,
            })
        })
        .collect()
}

/// A finished submission that may stand on the board.
pub(in crate::airlock) struct Candidate {
    pub submission: SubmissionId,
    pub team: TeamId,
    pub submitted_at: Timestamp,
    pub chosen: bool,
    pub payloads: Vec<Payload>,
}

/// Finished and told submissions of some teams to a phase, in order of time, with what was told of
/// each task last; those disqualified are left out.
pub(in crate::airlock) async fn candidates(
    conn: &mut Connection,
    phase: PhaseId,
    teams: &[TeamId],
) -> Result<Vec<Candidate>, StoreError> {
    let sql = format!(
        "SELECT s.id AS id, s.team_id AS team_id, s.created_at AS created_at, s.chosen AS chosen, \
         r.payload AS payload FROM submissions s JOIN replies r ON r.submission_id = s.id \
         WHERE s.phase_id = $1 AND s.team_id IN ({}) AND s.disclosed_state = 'finished' \
         AND s.disqualified_at IS NULL AND s.aim = 'compete' AND r.kind IN ('score', 'rescore') AND {TOLD} \
         ORDER BY s.created_at, s.id, r.created_at, r.id",
        places(2, teams.len())
    );
    let mut query = sqlx::query(AssertSqlSafe(sql)).bind(phase.to_string());
    for team in teams {
        query = query.bind(team.to_string());
    }
    let rows = query.fetch_all(conn).await?;
    let mut candidates: Vec<Candidate> = Vec::new();
    for row in &rows {
        let submission: SubmissionId = row.parsed("id")?;
        let payload: Payload = row.json("payload")?;
        if candidates.last().is_none_or(|c| c.submission != submission) {
            candidates.push(Candidate {
                submission,
                team: row.parsed("team_id")?,
                submitted_at: row.time("created_at")?,
                chosen: row.flag("chosen")?,
                payloads: Vec::new(),
            });
        }
        if let Some(candidate) = candidates.last_mut() {
            candidate.payloads.retain(|p| p.task != payload.task);
            candidate.payloads.push(payload);
        }
    }
    Ok(candidates)
}
