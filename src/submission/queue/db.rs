//! SQL of the queue: runs, leases, turns and workers.

use jiff::Timestamp;
use sqlx::any::AnyRow;

use super::{Ending, MAX_PATIENT_ATTEMPTS, NORMAL};
use crate::ids::{CompetitionId, RescoreId, RunId, SubmissionId, WorkerId};
use crate::store::{Connection, Row, StoreError};
use crate::submission::model::{Run, RunState, Step};

/// Runs that count as under way for whoever looks on: those that are, and the closed ones that have
/// ended and are not told yet. Each half has an index of its own.
const SEEMS_RUNNING: &str = "id IN (SELECT id FROM runs WHERE state = 'running' UNION ALL \
     SELECT id FROM runs WHERE closed = 1 AND told_at IS NULL AND started_at IS NOT NULL \
     AND state NOT IN ('queued', 'running'))";

/// What keeps a run back: a person of its team has a closed run, in this competition or another,
/// that has ended and is not told yet. The start of the next would tell when it ended.
const NOT_HELD: &str = "AND NOT EXISTS (SELECT 1 FROM submissions held WHERE held.release_at IS NOT NULL \
     AND (held.team_id = r.team_id OR EXISTS (SELECT 1 FROM memberships mine \
          JOIN memberships theirs ON theirs.user_id = mine.user_id \
          WHERE mine.team_id = r.team_id AND theirs.team_id = held.team_id \
          AND mine.left_at IS NULL AND theirs.left_at IS NULL)))";

/// Runs that wait, in the order in which they will be served: the one place that says what is fair.
/// `under_way` says which runs use up a turn, `unless` what keeps a run back.
fn fair_order(under_way: &str, unless: &str) -> String {
    format!(
        "FROM runs r \
         LEFT JOIN (SELECT competition_id, COUNT(*) AS n FROM runs WHERE {under_way} \
                    GROUP BY competition_id) cb ON cb.competition_id = r.competition_id \
         LEFT JOIN (SELECT team_id, COUNT(*) AS n FROM runs WHERE {under_way} \
                    GROUP BY team_id) tb ON tb.team_id = r.team_id \
         LEFT JOIN queue_turns ct ON ct.scope = 'competition ' || r.competition_id \
         LEFT JOIN queue_turns tt ON tt.scope = 'team ' || r.team_id \
         WHERE r.state = 'queued' AND r.available_at <= $1 {unless} \
         ORDER BY CASE WHEN r.priority > {NORMAL} THEN 1 ELSE 0 END, COALESCE(cb.n, 0), \
         COALESCE(ct.turn, 0), r.priority, COALESCE(tb.n, 0), COALESCE(tt.turn, 0), r.created_at, r.id"
    )
}

fn run(row: &AnyRow) -> Result<Run, StoreError> {
    Ok(Run {
        id: row.parsed("id")?,
        submission: row.parsed("submission_id")?,
        competition: row.parsed("competition_id")?,
        team: row.parsed("team_id")?,
        task: row.parsed("task_id")?,
        purpose: row.parsed("purpose")?,
        closed: row.flag("closed")?,
        state: row.parsed("state")?,
        step: row.parsed("step")?,
        priority: row.int("priority")?,
        created_at: row.time("created_at")?,
        attempt: row.int("attempt")?,
        fence: row.int("fence")?,
        started_at: row.time_or_null("started_at")?,
        finished_at: row.time_or_null("finished_at")?,
        told_at: row.time_or_null("told_at")?,
        prediction_end: row.text_or_null("prediction_end")?,
        scoring_end: row.text_or_null("scoring_end")?,
        prediction_log: row.text_or_null("prediction_log")?,
        scoring_log: row.text_or_null("scoring_log")?,
        report: row.text_or_null("report")?,
        fault: row.text_or_null("fault")?,
    })
}

/// Adds a waiting run, part of a rescore or not.
pub async fn insert(conn: &mut Connection, r: &Run, rescore: Option<RescoreId>) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO runs (id, submission_id, competition_id, team_id, task_id, purpose, state, step, \
         priority, created_at, available_at, attempt, fence, closed, rescore_id) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10, 0, 0, $11, $12)",
    )
    .bind(r.id.to_string())
    .bind(r.submission.to_string())
    .bind(r.competition.to_string())
    .bind(r.team.to_string())
    .bind(r.task.to_string())
    .bind(r.purpose.as_str())
    .bind(r.state.as_str())
    .bind(r.step.as_str())
    .bind(r.priority)
    .bind(r.created_at.as_millisecond())
    .bind(i64::from(r.closed))
    .bind(rescore.map(|id| id.to_string()))
    .execute(conn)
    .await?;
    Ok(())
}

/// Whether a run could be leased now.
pub async fn anything_waits(conn: &mut Connection, now: Timestamp) -> Result<bool, StoreError> {
    let row = sqlx::query("SELECT id FROM runs WHERE state = 'queued' AND available_at <= $1 LIMIT 1")
        .bind(now.as_millisecond())
        .fetch_optional(conn)
        .await?;
    Ok(row.is_some())
}

/// The run to be served next, and its submission.
pub async fn next(
    conn: &mut Connection,
    now: Timestamp,
) -> Result<Option<(RunId, SubmissionId)>, StoreError> {
    let order = fair_order("state = 'running'", NOT_HELD);
    let chosen = format!("SELECT r.id AS id, r.submission_id AS submission_id {order} LIMIT 1");
    let row =
        sqlx::query(sqlx::AssertSqlSafe(chosen)).bind(now.as_millisecond()).fetch_optional(conn).await?;
    row.map(|row| Ok((row.parsed("id")?, row.parsed("submission_id")?))).transpose()
}

/// How many runs are ahead of a submission's first waiting one; `None` when none waits. This is
/// shown: a closed run that has ended counts as under way until it is told.
pub async fn ahead(conn: &mut Connection, submission: SubmissionId) -> Result<Option<i64>, StoreError> {
    let order = fair_order(SEEMS_RUNNING, "");
    let rows = sqlx::query(sqlx::AssertSqlSafe(format!("SELECT r.submission_id AS submission_id {order}")))
        .bind(i64::MAX)
        .fetch_all(conn)
        .await?;
    let wanted = submission.to_string();
    for (place, row) in (0_i64..).zip(&rows) {
        if row.text("submission_id")? == wanted {
            return Ok(Some(place));
        }
    }
    Ok(None)
}

/// Leases a waiting run; `None` when it waits no more. A closed run keeps the start of its first
/// attempt: its ticks are counted from there.
pub async fn take(
    conn: &mut Connection,
    id: RunId,
    worker: WorkerId,
    now: Timestamp,
    until: Timestamp,
) -> Result<Option<Run>, StoreError> {
    let row = sqlx::query(
        "UPDATE runs SET state = 'running', step = 'preparing', worker_id = $2, attempt = attempt + 1, \
         fence = fence + 1, lease_until = $4, \
         started_at = CASE WHEN closed = 1 THEN COALESCE(started_at, $3) ELSE $3 END \
         WHERE id = $1 AND state = 'queued' RETURNING *",
    )
    .bind(id.to_string())
    .bind(worker.to_string())
    .bind(now.as_millisecond())
    .bind(until.as_millisecond())
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(run).transpose()
}

/// The number of the next turn.
pub async fn next_turn(conn: &mut Connection) -> Result<i64, StoreError> {
    sqlx::query(
        "INSERT INTO queue_turns (scope, turn) VALUES ('all', 1) \
         ON CONFLICT (scope) DO UPDATE SET turn = queue_turns.turn + 1 RETURNING turn",
    )
    .fetch_one(conn)
    .await?
    .int("turn")
}

/// Notes that a competition or team was served in a turn.
pub async fn serve(conn: &mut Connection, scope: &str, turn: i64) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO queue_turns (scope, turn) VALUES ($1, $2) \
         ON CONFLICT (scope) DO UPDATE SET turn = excluded.turn",
    )
    .bind(scope)
    .bind(turn)
    .execute(conn)
    .await?;
    Ok(())
}

/// Renews a lease; false when it was lost.
pub async fn renew(
    conn: &mut Connection,
    id: RunId,
    fence: i64,
    until: Timestamp,
) -> Result<bool, StoreError> {
    let done =
        sqlx::query("UPDATE runs SET lease_until = $3 WHERE id = $1 AND fence = $2 AND state = 'running'")
            .bind(id.to_string())
            .bind(fence)
            .bind(until.as_millisecond())
            .execute(conn)
            .await?;
    Ok(done.rows_affected() == 1)
}

/// Whether a run is still held under this fencing number.
pub async fn is_held(conn: &mut Connection, id: RunId, fence: i64) -> Result<bool, StoreError> {
    let row = sqlx::query("SELECT id FROM runs WHERE id = $1 AND fence = $2 AND state = 'running'")
        .bind(id.to_string())
        .bind(fence)
        .fetch_optional(conn)
        .await?;
    Ok(row.is_some())
}

/// Notes a run's step; false when the lease was lost.
pub async fn set_step(conn: &mut Connection, id: RunId, fence: i64, step: Step) -> Result<bool, StoreError> {
    let done = sqlx::query("UPDATE runs SET step = $3 WHERE id = $1 AND fence = $2 AND state = 'running'")
        .bind(id.to_string())
        .bind(fence)
        .bind(step.as_str())
        .execute(conn)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends a run; false when the lease was lost. The outcome of a `closed` one is still to be told.
pub async fn finish(
    conn: &mut Connection,
    id: RunId,
    fence: i64,
    (state, closed): (RunState, bool),
    ending: &Ending,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "UPDATE runs SET state = $3, step = 'done', finished_at = $4, lease_until = NULL, \
         prediction_end = $5, scoring_end = $6, prediction_log = $7, scoring_log = $8, \
         exact_scores = $9, cpu_ms = $10, memory_peak = $11, fault = $12, closed = $13, told_at = $14, report = $15 \
         WHERE id = $1 AND fence = $2 AND state = 'running'",
    )
    .bind(id.to_string())
    .bind(fence)
    .bind(state.as_str())
    .bind(now.as_millisecond())
    .bind(ending.prediction_end.clone())
    .bind(ending.scoring_end.clone())
    .bind(ending.prediction_log.clone())
    .bind(ending.scoring_log.clone())
    .bind(ending.exact_scores.clone())
    .bind(ending.cpu_ms)
    .bind(ending.memory_peak)
    .bind(ending.fault.clone())
    .bind(i64::from(closed))
    .bind((!closed).then(|| now.as_millisecond()))
    .bind(ending.report.clone())
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Puts a leased run back in the queue; false when the lease was lost.
pub async fn hand_back(
    conn: &mut Connection,
    id: RunId,
    fence: i64,
    fault: &str,
    again: Timestamp,
) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "UPDATE runs SET state = 'queued', step = 'waiting', worker_id = NULL, lease_until = NULL, \
         fault = $3, available_at = $4 WHERE id = $1 AND fence = $2 AND state = 'running'",
    )
    .bind(id.to_string())
    .bind(fence)
    .bind(fault)
    .bind(again.as_millisecond())
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Whether a lease has run out.
pub async fn any_lapsed(conn: &mut Connection, now: Timestamp) -> Result<bool, StoreError> {
    let row = sqlx::query("SELECT id FROM runs WHERE state = 'running' AND lease_until < $1 LIMIT 1")
        .bind(now.as_millisecond())
        .fetch_optional(conn)
        .await?;
    Ok(row.is_some())
}

/// Runs whose lease has run out, and their submissions, in an order that is the same for everybody.
pub async fn lapsed(conn: &mut Connection, now: Timestamp) -> Result<Vec<(RunId, SubmissionId)>, StoreError> {
    let rows = sqlx::query(
        "SELECT id, submission_id FROM runs WHERE state = 'running' AND lease_until < $1 \
         ORDER BY submission_id, id",
    )
    .bind(now.as_millisecond())
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| Ok((row.parsed("id")?, row.parsed("submission_id")?))).collect()
}

/// Puts a run whose lease has run out back in the queue; `None` when it was begun as often as it may,
/// or is held again.
pub async fn recover(conn: &mut Connection, id: RunId, now: Timestamp) -> Result<Option<Run>, StoreError> {
    let row = sqlx::query(
        "UPDATE runs SET state = 'queued', step = 'waiting', worker_id = NULL, lease_until = NULL, \
         fault = 'the worker went away' \
         WHERE id = $1 AND state = 'running' AND lease_until < $2 AND attempt < $3 RETURNING *",
    )
    .bind(id.to_string())
    .bind(now.as_millisecond())
    .bind(MAX_PATIENT_ATTEMPTS)
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(run).transpose()
}

/// Takes over a run whose lease has run out and that was begun as often as it may.
pub async fn take_over(
    conn: &mut Connection,
    id: RunId,
    worker: WorkerId,
    now: Timestamp,
    until: Timestamp,
) -> Result<Option<Run>, StoreError> {
    let row = sqlx::query(
        "UPDATE runs SET fence = fence + 1, worker_id = $2, lease_until = $4 \
         WHERE id = $1 AND state = 'running' AND lease_until < $3 RETURNING *",
    )
    .bind(id.to_string())
    .bind(worker.to_string())
    .bind(now.as_millisecond())
    .bind(until.as_millisecond())
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(run).transpose()
}

/// Takes a submission's waiting runs out of the queue.
pub async fn cancel_waiting(
    conn: &mut Connection,
    submission: SubmissionId,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let done = sqlx::query(
        "UPDATE runs SET state = 'cancelled', step = 'done', finished_at = $2 \
         WHERE submission_id = $1 AND state = 'queued'",
    )
    .bind(submission.to_string())
    .bind(now.as_millisecond())
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Notes that the outcomes of a submission's runs that are over were told.
pub async fn mark_told(conn: &mut Connection, id: SubmissionId, at: Timestamp) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE runs SET told_at = $2 WHERE submission_id = $1 AND told_at IS NULL \
         AND state NOT IN ('queued', 'running')",
    )
    .bind(id.to_string())
    .bind(at.as_millisecond())
    .execute(conn)
    .await?;
    Ok(())
}

/// A submission's runs, the oldest first.
pub async fn of_submission(conn: &mut Connection, id: SubmissionId) -> Result<Vec<Run>, StoreError> {
    let rows = sqlx::query("SELECT * FROM runs WHERE submission_id = $1 ORDER BY created_at, id")
        .bind(id.to_string())
        .fetch_all(conn)
        .await?;
    rows.iter().map(run).collect()
}

/// The run of this id.
pub async fn by_id(conn: &mut Connection, id: RunId) -> Result<Option<Run>, StoreError> {
    let row =
        sqlx::query("SELECT * FROM runs WHERE id = $1").bind(id.to_string()).fetch_optional(conn).await?;
    row.as_ref().map(run).transpose()
}

/// How many runs are under way as far as may be known: a closed run is until it is told.
pub async fn under_way(conn: &mut Connection) -> Result<i64, StoreError> {
    sqlx::query(sqlx::AssertSqlSafe(format!("SELECT COUNT(*) AS n FROM runs WHERE {SEEMS_RUNNING}")))
        .fetch_one(conn)
        .await?
        .int("n")
}

/// How many runs wait and are under way in a competition.
pub async fn load_of(conn: &mut Connection, id: CompetitionId) -> Result<(i64, i64), StoreError> {
    let row = sqlx::query(
        "SELECT COALESCE(SUM(CASE WHEN state = 'queued' THEN 1 ELSE 0 END), 0) AS waiting, \
         COALESCE(SUM(CASE WHEN state = 'running' THEN 1 ELSE 0 END), 0) AS running \
         FROM runs WHERE competition_id = $1 AND state IN ('queued', 'running')",
    )
    .bind(id.to_string())
    .fetch_one(conn)
    .await?;
    Ok((row.int("waiting")?, row.int("running")?))
}

/// Mean length of the last hundred finished runs that were told, in milliseconds; a closed run lasts
/// until it is told.
pub async fn mean_run_ms(conn: &mut Connection) -> Result<Option<i64>, StoreError> {
    let row = sqlx::query(
        "SELECT CAST(AVG(told_at - started_at) AS BIGINT) AS mean FROM \
         (SELECT told_at, started_at FROM runs WHERE state = 'finished' AND told_at IS NOT NULL \
          AND started_at IS NOT NULL ORDER BY told_at DESC LIMIT 100) AS latest",
    )
    .fetch_one(conn)
    .await?;
    row.int_or_null("mean")
}

/// A worker as the database knows it.
#[derive(Clone, Debug)]
pub struct Worker {
    /// Its id, new at every start.
    pub id: WorkerId,
    /// Its name: the host's, unless configured.
    pub name: String,
    /// The version it runs.
    pub version: String,
    /// Runs it takes at a time.
    pub slots: i64,
    /// When it started.
    pub started_at: Timestamp,
    /// When it was last heard of.
    pub seen_at: Timestamp,
    /// When it said it stops.
    pub stopped_at: Option<Timestamp>,
    /// Where browsers reach the sandboxes that it holds; empty when it holds none.
    pub sandbox_origin: String,
    /// How many sandboxes it can hold at a time.
    pub sandbox_places: i64,
}

/// Writes that a worker is alive.
pub async fn seen(conn: &mut Connection, w: &Worker) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO workers (id, name, version, slots, started_at, seen_at, stopped_at, \
         sandbox_origin, sandbox_places) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (id) DO UPDATE SET \
         seen_at = excluded.seen_at, stopped_at = excluded.stopped_at",
    )
    .bind(w.id.to_string())
    .bind(&w.name)
    .bind(&w.version)
    .bind(w.slots)
    .bind(w.started_at.as_millisecond())
    .bind(w.seen_at.as_millisecond())
    .bind(w.stopped_at.map(Timestamp::as_millisecond))
    .bind(&w.sandbox_origin)
    .bind(w.sandbox_places)
    .execute(conn)
    .await?;
    Ok(())
}

/// Workers heard of in the last day.
pub async fn workers(conn: &mut Connection, now: Timestamp) -> Result<Vec<Worker>, StoreError> {
    let rows = sqlx::query("SELECT * FROM workers WHERE seen_at > $1 ORDER BY name, started_at")
        .bind(now.as_millisecond() - 86_400_000)
        .fetch_all(conn)
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Worker {
                id: row.parsed("id")?,
                name: row.text("name")?,
                version: row.text("version")?,
                slots: row.int("slots")?,
                started_at: row.time("started_at")?,
                seen_at: row.time("seen_at")?,
                stopped_at: row.time_or_null("stopped_at")?,
                sandbox_origin: row.text("sandbox_origin")?,
                sandbox_places: row.int("sandbox_places")?,
            })
        })
        .collect()
}

/// Slots of the workers that are alive.
pub async fn live_slots(conn: &mut Connection, now: Timestamp) -> Result<i64, StoreError> {
    sqlx::query(
        "SELECT CAST(COALESCE(SUM(slots), 0) AS BIGINT) AS n FROM workers \
         WHERE stopped_at IS NULL AND seen_at > $1",
    )
    .bind(now.as_millisecond() - 60_000)
    .fetch_one(conn)
    .await?
    .int("n")
}
