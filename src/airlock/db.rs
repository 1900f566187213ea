//! SQL of replies and standings. Reading a row here is the one way, beside the rule, to a
//! [`Cleared`]: what it holds was told already.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::{Cleared, Team};
use crate::ids::{CompetitionId, HiddenSetId, PhaseId, ReplyId, RunId, SubmissionId, TaskId, TeamId, UserId};
use crate::scoring::leaderboard::Scores;
use crate::store::{Connection, Row, StoreError, places};

/// Who is told about what.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    /// The hidden set that the reply derives from.
    pub hidden_set: HiddenSetId,
    /// The person who submitted.
    pub person: UserId,
    /// The person's team.
    pub team: TeamId,
    /// The competition.
    pub competition: CompetitionId,
    /// The phase.
    pub phase: PhaseId,
    /// The submission.
    pub submission: SubmissionId,
    /// The run.
    pub run: RunId,
}

#[derive(Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Payload {
    pub task: Option<TaskId>,
    pub team: Scores,
    pub organizer: Scores,
}

/// A reply `r` that tells the scores of submission `s`: those of a trial are the twin's.
const SCORES: &str = "(r.kind IN ('score', 'rescore') OR (s.aim = 'trial' AND r.kind = 'twin'))";

/// A reply `r` about a run whose outcome is not told yet is as if it were not there.
pub(super) const TOLD: &str = "NOT EXISTS (SELECT 1 FROM runs q WHERE q.id = r.run_id AND q.told_at IS NULL)";

pub(super) async fn insert(
    conn: &mut Connection,
    id: ReplyId,
    context: &Context,
    kind: &str,
    payload: &Payload,
    bits: f64,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO replies (id, hidden_set_id, person_id, team_id, competition_id, phase_id, \
         submission_id, run_id, kind, payload, bits, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    )
    .bind(id.to_string())
    .bind(context.hidden_set.to_string())
    .bind(context.person.to_string())
    .bind(context.team.to_string())
    .bind(context.competition.to_string())
    .bind(context.phase.to_string())
    .bind(context.submission.to_string())
    .bind(context.run.to_string())
    .bind(kind)
    .bind(serde_json::to_string(payload).unwrap_or_else(|_| "{}".to_owned()))
    .bind(bits)
    .bind(now.as_millisecond())
    .execute(conn)
    .await?;
    Ok(())
}

/// The newest scores of each task of a submission, told or about to be.
pub(super) async fn newest_scores(
    conn: &mut Connection,
    submission: SubmissionId,
) -> Result<Vec<Payload>, StoreError> {
    newest(conn, submission, SCORES.to_owned()).await
}

/// The same for many submissions in one query.
pub(super) async fn newest_scores_of(
    conn: &mut Connection,
    submissions: &[SubmissionId],
) -> Result<HashMap<SubmissionId, Vec<Payload>>, StoreError> {
    let mut found: HashMap<SubmissionId, Vec<Payload>> = HashMap::new();
    if submissions.is_empty() {
        return Ok(found);
    }
    let sql = format!(
        "SELECT r.submission_id AS id, r.payload AS payload FROM replies r \
         JOIN submissions s ON s.id = r.submission_id WHERE r.submission_id IN ({}) AND {SCORES} \
         ORDER BY r.created_at, r.id",
        places(1, submissions.len())
    );
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for id in submissions {
        query = query.bind(id.to_string());
    }
    for row in &query.fetch_all(conn).await? {
        let (payloads, payload) =
            (found.entry(row.parsed("id")?).or_default(), row.json::<Payload>("payload")?);
        payloads.retain(|p| p.task != payload.task);
        payloads.push(payload);
    }
    Ok(found)
}

/// What was told of each task of a submission before its last rescore: the last but one score of a task
/// that was rescored, the only one of another.
pub(super) async fn scores_before_rescore(
    conn: &mut Connection,
    submission: SubmissionId,
) -> Result<Vec<Payload>, StoreError> {
    let rows = sqlx::query(AssertSqlSafe(format!(
        "SELECT r.payload AS payload FROM replies r WHERE r.submission_id = $1 \
         AND r.kind IN ('score', 'rescore') AND {TOLD} ORDER BY r.created_at, r.id"
    )))
    .bind(submission.to_string())
    .fetch_all(conn)
    .await?;
    let mut told: Vec<Vec<Payload>> = Vec::new();
    for row in &rows {
        let payload: Payload = row.json("payload")?;
        match told.iter_mut().find(|of_task| of_task[0].task == payload.task) {
            Some(of_task) => of_task.push(payload),
            None => told.push(vec![payload]),
        }
    }
    let before = |mut of_task: Vec<Payload>| {
        let last = of_task.pop();
        of_task.pop().or(last)
    };
    Ok(told.into_iter().filter_map(before).collect())
}

/// The newest scores of each task of a submission whose outcome is told.
pub(super) async fn newest_told(
    conn: &mut Connection,
    submission: SubmissionId,
) -> Result<Vec<Payload>, StoreError> {
    let condition = format!("{SCORES} AND s.disclosed_state IN ('finished', 'failed') AND {TOLD}");
    newest(conn, submission, condition).await
}

/// The newest scores on the twin of each task of a submission whose outcome is told.
pub(super) async fn newest_on_twin(
    conn: &mut Connection,
    submission: SubmissionId,
) -> Result<Vec<Payload>, StoreError> {
    let condition = format!("r.kind = 'twin' AND s.disclosed_state IN ('finished', 'failed') AND {TOLD}");
    newest(conn, submission, condition).await
}

async fn newest(
    conn: &mut Connection,
    submission: SubmissionId,
    condition: String,
) -> Result<Vec<Payload>, StoreError> {
    let rows = sqlx::query(AssertSqlSafe(format!(
        "SELECT r.payload AS payload FROM replies r JOIN submissions s ON s.id = r.submission_id \
         WHERE r.submission_id = $1 AND {condition} ORDER BY r.created_at, r.id"
    )))
    .bind(submission.to_string())
    .fetch_all(conn)
    .await?;
    newest_of(&rows)
}

/// The newest scores told about each task of a submission on the twin.
pub(super) async fn newest_twin(
    conn: &mut Connection,
    submission: SubmissionId,
) -> Result<Vec<Payload>, StoreError> {
    let rows = sqlx::query(
        "SELECT payload FROM replies WHERE submission_id = $1 AND kind = 'twin' ORDER BY created_at, id",
    )
    .bind(submission.to_string())
    .fetch_all(conn)
    .await?;
    newest_of(&rows)
}

fn newest_of(rows: &[AnyRow]) -> Result<Vec<Payload>, StoreError> {
    let mut newest: Vec<Payload> = Vec::new();
    for row in rows {
        let payload: Payload = row.json("payload")?;
        newest.retain(|p| p.task != payload.task);
        newest.push(payload);
    }
    Ok(newest)
}

/// Scores that were told, one after the other.
#[derive(Clone, Debug)]
pub struct Told {
    /// When.
    pub at: Timestamp,
    /// The submission.
    pub submission: SubmissionId,
    /// The task.
    pub task: Option<TaskId>,
    /// Whether a rescore told it.
    pub rescored: bool,
    /// The scores.
    pub scores: Cleared<Scores, Team>,
    /// Bits charged.
    pub bits: f64,
}

/// Every score told about a submission, in order of time: old ones stay beside new ones.
pub async fn history(conn: &mut Connection, submission: SubmissionId) -> Result<Vec<Told>, StoreError> {
    let rows = sqlx::query(AssertSqlSafe(format!(
        "SELECT r.submission_id, r.kind, r.payload, r.bits, r.created_at FROM replies r \
         JOIN submissions s ON s.id = r.submission_id WHERE r.submission_id = $1 \
         AND r.kind IN ('score', 'rescore') AND s.disclosed_state IN ('finished', 'failed') AND {TOLD} \
         ORDER BY r.created_at, r.id"
    )))
    .bind(submission.to_string())
    .fetch_all(conn)
    .await?;
    rows.iter().map(told).collect()
}

/// Every score told to a team in a phase, in order of time.
pub async fn team_history(
    conn: &mut Connection,
    phase: PhaseId,
    team: TeamId,
) -> Result<Vec<Told>, StoreError> {
    let rows = sqlx::query(AssertSqlSafe(format!(
        "SELECT r.submission_id, r.kind, r.payload, r.bits, s.created_at FROM replies r \
         JOIN submissions s ON s.id = r.submission_id \
         WHERE s.phase_id = $1 AND s.team_id = $2 AND r.kind IN ('score', 'rescore') \
         AND s.disclosed_state = 'finished' AND {TOLD} ORDER BY s.created_at, r.id"
    )))
    .bind(phase.to_string())
    .bind(team.to_string())
    .fetch_all(conn)
    .await?;
    rows.iter().map(told).collect()
}

fn told(row: &AnyRow) -> Result<Told, StoreError> {
    let payload: Payload = row.json("payload")?;
    Ok(Told {
        at: row.time("created_at")?,
        submission: row.parsed("submission_id")?,
        task: payload.task,
        rescored: row.text("kind")? == "rescore",
        scores: Cleared::new(payload.team),
        bits: row.float("bits")?,
    })
}

/// What one person was charged about one hidden set, in bits.
pub async fn charged_to_person(
    conn: &mut Connection,
    set: HiddenSetId,
    person: UserId,
) -> Result<f64, StoreError> {
    sqlx::query(
        "SELECT CAST(COALESCE(SUM(bits), 0) AS DOUBLE PRECISION) AS bits FROM replies \
         WHERE hidden_set_id = $1 AND person_id = $2",
    )
    .bind(set.to_string())
    .bind(person.to_string())
    .fetch_one(conn)
    .await?
    .float("bits")
}

/// What a team can know of a hidden set, in bits: everything told to anybody who was ever a member.
pub async fn charged_to_team(
    conn: &mut Connection,
    set: HiddenSetId,
    team: TeamId,
) -> Result<f64, StoreError> {
    sqlx::query(
        "SELECT CAST(COALESCE(SUM(bits), 0) AS DOUBLE PRECISION) AS bits FROM replies \
         WHERE hidden_set_id = $1 AND (team_id = $2 OR \
         person_id IN (SELECT user_id FROM memberships WHERE team_id = $2))",
    )
    .bind(set.to_string())
    .bind(team.to_string())
    .fetch_one(conn)
    .await?
    .float("bits")
}

/// One line of the organizer's view of the ledger.
#[derive(Clone, Debug, Serialize)]
pub struct Exposure {
    /// The hidden set.
    pub hidden_set: String,
    /// Replies given about it.
    pub replies: i64,
    /// Different people who got one.
    pub people: i64,
    /// Bits, all of them together: what the whole field knows if it pools its answers.
    pub bits: f64,
}

/// What has been told about each hidden set that a competition's tasks ask about, in all competitions.
pub async fn exposures(
    conn: &mut Connection,
    competition: CompetitionId,
) -> Result<Vec<Exposure>, StoreError> {
    let rows = sqlx::query(
        "SELECT h.name AS name, COUNT(r.id) AS replies, COUNT(DISTINCT r.person_id) AS people, \
         CAST(COALESCE(SUM(r.bits), 0) AS DOUBLE PRECISION) AS bits FROM hidden_sets h \
         LEFT JOIN replies r ON r.hidden_set_id = h.id \
         WHERE h.id IN (SELECT hidden_set_id FROM tasks WHERE competition_id = $1) \
         GROUP BY h.name ORDER BY h.name",
    )
    .bind(competition.to_string())
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Exposure {
                hidden_set: row.text("name")?,
                replies: row.int("replies")?,
                people: row.int("people")?,
                bits: row.float("bits")?,
            })
        })
        .collect()
}

/// Bits charged to each team of a competition: the replies about what is its submission now, whoever's
/// it was when they were given.
pub async fn bits_by_team(
    conn: &mut Connection,
    competition: CompetitionId,
) -> Result<HashMap<TeamId, f64>, StoreError> {
    let rows = sqlx::query(
        "SELECT s.team_id AS team_id, CAST(SUM(r.bits) AS DOUBLE PRECISION) AS bits FROM replies r \
         JOIN submissions s ON s.id = r.submission_id WHERE r.competition_id = $1 GROUP BY s.team_id",
    )
    .bind(competition.to_string())
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| Ok((row.parsed("team_id")?, row.float("bits")?))).collect()
}

/// Whether any score was told about a submission.
pub(super) async fn has_scores(conn: &mut Connection, submission: SubmissionId) -> Result<bool, StoreError> {
    let row = sqlx::query(
        "SELECT id FROM replies WHERE submission_id = $1 AND kind IN ('score', 'rescore') LIMIT 1",
    )
    .bind(submission.to_string())
    .fetch_optional(conn)
    .await?;
    Ok(row.is_some())
}

/// Submissions of a competition that were told a score again, the newest first.
pub async fn rescored(
    conn: &mut Connection,
    competition: CompetitionId,
    limit: i64,
) -> Result<Vec<SubmissionId>, StoreError> {
    let rows = sqlx::query(
        "SELECT submission_id, MAX(created_at) AS at FROM replies \
         WHERE competition_id = $1 AND kind = 'rescore' GROUP BY submission_id ORDER BY 2 DESC LIMIT $2",
    )
    .bind(competition.to_string())
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| row.parsed("submission_id")).collect()
}
