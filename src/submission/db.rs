//! SQL of submissions.

use jiff::Timestamp;
use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::model::{Aim, Kind, Reason, State, Submission};
use crate::ids::{CompetitionId, PhaseId, SubmissionId, TeamId};
use crate::store::{Connection, Row, StoreError};

/// Members `m` of teams who are admitted to the team's competition.
const ADMITTED: &str = "FROM memberships m JOIN participants p ON p.competition_id = m.competition_id \
     AND p.user_id = m.user_id WHERE m.left_at IS NULL AND p.state = 'approved'";

pub(super) fn submission(row: &AnyRow) -> Result<Submission, StoreError> {
    Ok(Submission {
        id: row.parsed("id")?,
        competition: row.parsed("competition_id")?,
        phase: row.parsed("phase_id")?,
        team: row.parsed("team_id")?,
        user: row.parsed("user_id")?,
        kind: row.parsed("kind")?,
        origin: row.parsed("origin")?,
        aim: row.parsed("aim")?,
        file_name: row.text("file_name")?,
        object_key: row.text("object_key")?,
        size: u64::try_from(row.int("size")?).unwrap_or(0),
        digest: row.text("digest")?,
        message: row.text("message")?,
        facts: row.json("facts")?,
        created_at: row.time("created_at")?,
        state: row.parsed("state")?,
        reason: row.json("reason")?,
        disclosed_state: row.parsed("disclosed_state")?,
        disclosed_reason: row.json("disclosed_reason")?,
        release_at: row.time_or_null("release_at")?,
        counts: row.flag("counts")?,
        started_at: row.time_or_null("started_at")?,
        finished_at: row.time_or_null("finished_at")?,
        cancel_requested_at: row.time_or_null("cancel_requested_at")?,
        disqualified_at: row.time_or_null("disqualified_at")?,
        disqualified_reason: row.text("disqualified_reason")?,
        nominated_at: row.time_or_null("nominated_at")?,
        migrated_from: row.parsed_or_null("migrated_from")?,
        chosen: row.flag("chosen")?,
        is_public: row.flag("is_public")?,
    })
}

fn reason_text(reason: &Reason) -> String {
    serde_json::to_string(reason).unwrap_or_else(|_| "{}".to_owned())
}

/// Adds a submission.
pub async fn insert(conn: &mut Connection, s: &Submission) -> Result<(), StoreError> {
    let facts = serde_json::to_string(&s.facts).unwrap_or_else(|_| "{}".to_owned());
    sqlx::query(
        "INSERT INTO submissions (id, competition_id, phase_id, team_id, user_id, kind, origin, aim, \
         file_name, object_key, size, digest, message, facts, created_at, state, reason, \
         disclosed_state, disclosed_reason, counts, migrated_from) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, \
         $20, $21)",
    )
    .bind(s.id.to_string())
    .bind(s.competition.to_string())
    .bind(s.phase.to_string())
    .bind(s.team.to_string())
    .bind(s.user.to_string())
    .bind(s.kind.as_str())
    .bind(s.origin.as_str())
    .bind(s.aim.as_str())
    .bind(&s.file_name)
    .bind(&s.object_key)
    .bind(i64::try_from(s.size).unwrap_or(i64::MAX))
    .bind(&s.digest)
    .bind(&s.message)
    .bind(facts)
    .bind(s.created_at.as_millisecond())
    .bind(s.state.as_str())
    .bind(reason_text(&s.reason))
    .bind(s.disclosed_state.as_str())
    .bind(reason_text(&s.disclosed_reason))
    .bind(i64::from(s.counts))
    .bind(s.migrated_from.map(|id| id.to_string()))
    .execute(conn)
    .await?;
    Ok(())
}

/// The submission of this id.
pub async fn by_id(conn: &mut Connection, id: SubmissionId) -> Result<Option<Submission>, StoreError> {
    let row = sqlx::query("SELECT * FROM submissions WHERE id = $1")
        .bind(id.to_string())
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(submission).transpose()
}

/// The apps of a competition that their teams have opened to visitors, in the order in which they were handed
/// in.
pub async fn opened(
    conn: &mut Connection,
    competition: CompetitionId,
) -> Result<Vec<Submission>, StoreError> {
    let rows = sqlx::query(
        "SELECT * FROM submissions WHERE competition_id = $1 AND demo_open = 1 ORDER BY created_at, id",
    )
    .bind(competition.to_string())
    .fetch_all(conn)
    .await?;
    rows.iter().map(submission).collect()
}

/// A team's submissions to a phase, the newest first; trials too.
pub async fn of_team(
    conn: &mut Connection,
    phase: PhaseId,
    team: TeamId,
) -> Result<Vec<Submission>, StoreError> {
    let rows = sqlx::query(
        "SELECT * FROM submissions WHERE phase_id = $1 AND team_id = $2 ORDER BY created_at DESC, id DESC",
    )
    .bind(phase.to_string())
    .bind(team.to_string())
    .fetch_all(conn)
    .await?;
    rows.iter().map(submission).collect()
}

/// How many of a team's submissions with this aim are not over yet.
pub async fn aimed_under_way(conn: &mut Connection, team: TeamId, aim: Aim) -> Result<i64, StoreError> {
    sqlx::query(
        "SELECT COUNT(*) AS n FROM submissions WHERE team_id = $1 AND aim = $2 \
         AND state IN ('queued', 'running')",
    )
    .bind(team.to_string())
    .bind(aim.as_str())
    .fetch_one(conn)
    .await?
    .int("n")
}

/// Whether a submission of a team is not over yet, or not told yet.
pub async fn team_waits(conn: &mut Connection, team: TeamId) -> Result<bool, StoreError> {
    let row = sqlx::query(
        "SELECT id FROM submissions WHERE team_id = $1 \
         AND (state IN ('uploaded', 'queued', 'running') OR release_at IS NOT NULL \
         OR EXISTS (SELECT 1 FROM runs r WHERE r.submission_id = submissions.id \
         AND r.state IN ('queued', 'running'))) LIMIT 1",
    )
    .bind(team.to_string())
    .fetch_optional(conn)
    .await?;
    Ok(row.is_some())
}

/// Gives a team's submissions to another, with nothing chosen or nominated by hand; gives how many.
pub async fn move_to_team(conn: &mut Connection, from: TeamId, to: TeamId) -> Result<i64, StoreError> {
    let done = sqlx::query(
        "UPDATE submissions SET team_id = $2, chosen = 0, nominated_at = NULL WHERE team_id = $1",
    )
    .bind(from.to_string())
    .bind(to.to_string())
    .execute(&mut *conn)
    .await?;
    sqlx::query("UPDATE runs SET team_id = $2 WHERE team_id = $1")
        .bind(from.to_string())
        .bind(to.to_string())
        .execute(conn)
        .await?;
    Ok(i64::try_from(done.rows_affected()).unwrap_or(i64::MAX))
}

/// A change of what is true, and of what is told where that follows at once.
#[derive(Clone, Debug)]
pub struct Change {
    /// What is true now.
    pub state: State,
    /// Why.
    pub reason: Reason,
    /// What is told now, and why; `None` leaves what was told.
    pub told: Option<(State, Reason)>,
    /// When what is true will be told, if not now.
    pub release_at: Option<Timestamp>,
}

/// Locks a submission for the rest of the transaction. Whoever changes a submission and its runs
/// locks the submission first, so that two runs that end at the same moment see each other.
pub async fn lock(conn: &mut Connection, id: SubmissionId) -> Result<(), StoreError> {
    sqlx::query("UPDATE submissions SET state = state WHERE id = $1")
        .bind(id.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

/// Changes a submission's states. The caller has checked the transition. An outcome that is told
/// later gets the time at which it is told as its end: the true one would tell how long it took.
pub async fn change(
    conn: &mut Connection,
    id: SubmissionId,
    change: &Change,
    now: Timestamp,
) -> Result<(), StoreError> {
    let over = change.state.is_final().then(|| change.release_at.unwrap_or(now).as_millisecond());
    sqlx::query(
        "UPDATE submissions SET state = $2, reason = $3, release_at = $4, finished_at = $5 WHERE id = $1",
    )
    .bind(id.to_string())
    .bind(change.state.as_str())
    .bind(reason_text(&change.reason))
    .bind(change.release_at.map(Timestamp::as_millisecond))
    .bind(over)
    .execute(&mut *conn)
    .await?;
    if let Some((state, reason)) = &change.told {
        tell(conn, id, *state, reason).await?;
    }
    Ok(())
}

/// Keeps the reason of a run that failed while others of its submission go on.
pub async fn keep_reason(conn: &mut Connection, id: SubmissionId, reason: &Reason) -> Result<(), StoreError> {
    sqlx::query("UPDATE submissions SET reason = $2 WHERE id = $1")
        .bind(id.to_string())
        .bind(reason_text(reason))
        .execute(conn)
        .await?;
    Ok(())
}

/// Sets what participants are told.
pub async fn tell(
    conn: &mut Connection,
    id: SubmissionId,
    state: State,
    reason: &Reason,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE submissions SET disclosed_state = $2, disclosed_reason = $3 WHERE id = $1")
        .bind(id.to_string())
        .bind(state.as_str())
        .bind(reason_text(reason))
        .execute(conn)
        .await?;
    Ok(())
}

/// Sets what was found out about a submission's kind when it was first looked into.
pub async fn set_kind(conn: &mut Connection, id: SubmissionId, kind: Kind) -> Result<(), StoreError> {
    sqlx::query("UPDATE submissions SET kind = $2 WHERE id = $1")
        .bind(id.to_string())
        .bind(kind.as_str())
        .execute(conn)
        .await?;
    Ok(())
}

/// Notes that a waiting submission's first run began; true when that is news to its team.
pub async fn mark_started(
    conn: &mut Connection,
    id: SubmissionId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "UPDATE submissions SET state = 'running', disclosed_state = 'running', \
         started_at = COALESCE(started_at, $2) WHERE id = $1 AND state = 'queued' \
         AND disclosed_state <> 'running'",
    )
    .bind(id.to_string())
    .bind(now.as_millisecond())
    .execute(&mut *conn)
    .await?;
    if done.rows_affected() == 1 {
        return Ok(true);
    }
    // a closed one that was given back to the queue
    sqlx::query("UPDATE submissions SET state = 'running' WHERE id = $1 AND state = 'queued'")
        .bind(id.to_string())
        .execute(conn)
        .await?;
    Ok(false)
}

/// Notes that a submission waits again because its only run was given back to the queue: it has not
/// been begun then, so that stopping it gives the quota back. What is told of a `closed` one stays as
/// it is. True when its team is to be told.
pub async fn mark_waiting(conn: &mut Connection, id: SubmissionId, closed: bool) -> Result<bool, StoreError> {
    let told = if closed { "" } else { ", disclosed_state = 'queued', started_at = NULL" };
    let done = sqlx::query(AssertSqlSafe(format!(
        "UPDATE submissions SET state = 'queued'{told} WHERE id = $1 AND state = 'running' AND NOT EXISTS \
         (SELECT 1 FROM runs WHERE submission_id = $1 AND state <> 'queued')"
    )))
    .bind(id.to_string())
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1 && !closed)
}

/// Sets whether a submission counts against the quota.
pub async fn set_counts(conn: &mut Connection, id: SubmissionId, counts: bool) -> Result<(), StoreError> {
    sqlx::query("UPDATE submissions SET counts = $2 WHERE id = $1")
        .bind(id.to_string())
        .bind(i64::from(counts))
        .execute(conn)
        .await?;
    Ok(())
}

/// Notes that somebody asked to stop a submission.
pub async fn request_cancel(
    conn: &mut Connection,
    id: SubmissionId,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE submissions SET cancel_requested_at = COALESCE(cancel_requested_at, $2) WHERE id = $1",
    )
    .bind(id.to_string())
    .bind(now.as_millisecond())
    .execute(conn)
    .await?;
    Ok(())
}

/// Forgets a stop that was asked for, before the organizer starts the submission anew.
pub async fn forget_cancel(conn: &mut Connection, id: SubmissionId) -> Result<(), StoreError> {
    sqlx::query("UPDATE submissions SET cancel_requested_at = NULL WHERE id = $1")
        .bind(id.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

/// Takes a submission off the board with a reason, or puts it back.
pub async fn set_disqualified(
    conn: &mut Connection,
    id: SubmissionId,
    at: Option<Timestamp>,
    reason: &str,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE submissions SET disqualified_at = $2, disqualified_reason = $3 WHERE id = $1")
        .bind(id.to_string())
        .bind(at.map(Timestamp::as_millisecond))
        .bind(reason)
        .execute(conn)
        .await?;
    Ok(())
}

/// Nominates a submission for the next phase, or takes that back.
pub async fn set_nominated(
    conn: &mut Connection,
    id: SubmissionId,
    at: Option<Timestamp>,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE submissions SET nominated_at = $2 WHERE id = $1")
        .bind(id.to_string())
        .bind(at.map(Timestamp::as_millisecond))
        .execute(conn)
        .await?;
    Ok(())
}

/// Puts a submission on the board under the rules Add…, or takes it off.
pub async fn set_chosen(conn: &mut Connection, id: SubmissionId, chosen: bool) -> Result<(), StoreError> {
    sqlx::query("UPDATE submissions SET chosen = $2 WHERE id = $1")
        .bind(id.to_string())
        .bind(i64::from(chosen))
        .execute(conn)
        .await?;
    Ok(())
}

/// Makes a submission public, or private again.
pub async fn set_public(conn: &mut Connection, id: SubmissionId, public: bool) -> Result<(), StoreError> {
    sqlx::query("UPDATE submissions SET is_public = $2 WHERE id = $1")
        .bind(id.to_string())
        .bind(i64::from(public))
        .execute(conn)
        .await?;
    Ok(())
}

/// Keeps back until `at` what a rescore found; what was told before stands until then.
pub async fn hold(conn: &mut Connection, id: SubmissionId, at: Timestamp) -> Result<(), StoreError> {
    sqlx::query("UPDATE submissions SET release_at = $2 WHERE id = $1")
        .bind(id.to_string())
        .bind(at.as_millisecond())
        .execute(conn)
        .await?;
    Ok(())
}

/// Submissions whose outcome is due to be told, a hundred at most.
pub async fn due(conn: &mut Connection, now: Timestamp) -> Result<Vec<Submission>, StoreError> {
    let rows = sqlx::query(
        "SELECT * FROM submissions WHERE release_at IS NOT NULL AND release_at <= $1 \
         ORDER BY release_at LIMIT 100",
    )
    .bind(now.as_millisecond())
    .fetch_all(conn)
    .await?;
    rows.iter().map(submission).collect()
}

/// Tells an outcome that was held back until now; false when another process did.
pub async fn release(conn: &mut Connection, id: SubmissionId) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "UPDATE submissions SET disclosed_state = state, disclosed_reason = reason, release_at = NULL \
         WHERE id = $1 AND release_at IS NOT NULL",
    )
    .bind(id.to_string())
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Whether a member of a team may take part in its competition: one who was not removed from it.
pub async fn takes_part(conn: &mut Connection, team: TeamId) -> Result<bool, StoreError> {
    let row = sqlx::query(AssertSqlSafe(format!("SELECT 1 AS n {ADMITTED} AND m.team_id = $1 LIMIT 1")))
        .bind(team.to_string())
        .fetch_optional(conn)
        .await?;
    Ok(row.is_some())
}

/// Submissions with a waiting run of their team's whose members were all removed from the competition.
pub async fn waiting_of_removed(conn: &mut Connection) -> Result<Vec<SubmissionId>, StoreError> {
    let rows = sqlx::query(AssertSqlSafe(format!(
        "SELECT DISTINCT r.submission_id AS id FROM runs r WHERE r.state = 'queued' \
         AND r.purpose IN ('score', 'trial') AND NOT EXISTS (SELECT 1 {ADMITTED} AND m.team_id = r.team_id)"
    )))
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| row.parsed("id")).collect()
}

/// How many submissions to a phase are not over yet, or not told yet.
pub async fn under_way(conn: &mut Connection, phase: PhaseId) -> Result<i64, StoreError> {
    sqlx::query(
        "SELECT COUNT(*) AS n FROM submissions WHERE phase_id = $1 AND aim = 'compete' \
         AND (state IN ('queued', 'running') OR release_at IS NOT NULL)",
    )
    .bind(phase.to_string())
    .fetch_one(conn)
    .await?
    .int("n")
}

/// Fact-sheet answers of the submissions on a phase's board whose rows changed after `version`.
pub async fn facts_on_board(
    conn: &mut Connection,
    phase: PhaseId,
    version: i64,
) -> Result<Vec<(SubmissionId, std::collections::BTreeMap<String, serde_json::Value>)>, StoreError> {
    let rows = sqlx::query(
        "SELECT s.id AS id, s.facts AS facts FROM standings b JOIN submissions s ON s.id = b.submission_id \
         WHERE b.phase_id = $1 AND b.version > $2 AND b.removed = 0 AND s.facts <> '{}'",
    )
    .bind(phase.to_string())
    .bind(version)
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| Ok((row.parsed("id")?, row.json("facts")?))).collect()
}

/// A team's submissions in a competition, the newest first, `limit` from `offset` on, and how many
/// there are in all; trials too.
pub async fn page_of_team(
    conn: &mut Connection,
    phase: PhaseId,
    team: TeamId,
    (offset, limit): (i64, i64),
) -> Result<(Vec<Submission>, i64), StoreError> {
    let total = sqlx::query("SELECT COUNT(*) AS n FROM submissions WHERE phase_id = $1 AND team_id = $2")
        .bind(phase.to_string())
        .bind(team.to_string())
        .fetch_one(&mut *conn)
        .await?
        .int("n")?;
    let rows = sqlx::query(
        "SELECT * FROM submissions WHERE phase_id = $1 AND team_id = $2 \
         ORDER BY created_at DESC, id DESC LIMIT $3 OFFSET $4",
    )
    .bind(phase.to_string())
    .bind(team.to_string())
    .bind(limit)
    .bind(offset)
    .fetch_all(conn)
    .await?;
    let submissions: Result<_, StoreError> = rows.iter().map(submission).collect();
    Ok((submissions?, total))
}

/// Public, finished submissions of a phase, the newest first.
pub async fn public_of_phase(conn: &mut Connection, phase: PhaseId) -> Result<Vec<Submission>, StoreError> {
    let rows = sqlx::query(
        "SELECT * FROM submissions WHERE phase_id = $1 AND is_public = 1 AND disqualified_at IS NULL \
         ORDER BY created_at DESC, id DESC LIMIT 100",
    )
    .bind(phase.to_string())
    .fetch_all(conn)
    .await?;
    rows.iter().map(submission).collect()
}
