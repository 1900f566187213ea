//! The queue: runs wait in their table, a worker leases one at a time.
//!
//! A lease lasts [`LEASE`]; the worker renews it while it works. Every lease has a fencing number,
//! and a result is taken only from the holder of the newest, so a run that was handed on because its
//! worker seemed dead is scored once, whoever finishes first. The order is fair: what may wait
//! comes last; then the competition with the fewest runs under way, then the one served longest ago;
//! within it priority, then the same between its teams, then age.

pub mod db;

use std::time::Duration;

use jiff::Timestamp;

use super::model::{Purpose, Run, RunState, State, Step};
use crate::clock::{Clock, Entropy};
use crate::ids::{CompetitionId, RescoreId, RunId, SubmissionId, TaskId, TeamId, WorkerId};
use crate::store::{Db, StoreError, Tx, events};

/// How long a lease lasts unless renewed.
pub const LEASE: Duration = Duration::from_secs(30);

/// How often a run is begun before our own failures end it.
pub const MAX_ATTEMPTS: i64 = 3;

/// How often a run is begun when what failed may come back by itself (the engine is restarted, the
/// disk gets free; with the pauses between, that is about a quarter of an hour) or its worker goes
/// away, which may be another run's doing.
pub const MAX_PATIENT_ATTEMPTS: i64 = 9;

/// Priority of a team's submission; smaller goes first.
pub const NORMAL: i64 = 100;
/// Priority of a rescore that may wait until nothing else does, in any competition.
pub const LATER: i64 = 200;
/// Priority of a rescore that goes before everything else of its own competition.
pub const URGENT: i64 = 50;

/// Right to work on a run and to write its result.
#[derive(Clone, Debug)]
pub struct Lease {
    /// The run, as it was when leased.
    pub run: Run,
    /// The worker.
    pub worker: WorkerId,
}

/// What a worker learns when it renews its lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// Go on.
    Held,
    /// Somebody asked to stop the submission.
    CancelAsked,
    /// The lease was lost; stop, and write nothing.
    Lost,
}

/// Why a result was not taken.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// Another worker holds the run, or it is over.
    #[error("run {0} is not this worker's any more; its result is dropped")]
    Fenced(RunId),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a new run is about.
#[derive(Clone, Copy, Debug)]
pub struct NewRun {
    /// The submission.
    pub submission: SubmissionId,
    /// Its competition.
    pub competition: CompetitionId,
    /// Its team.
    pub team: TeamId,
    /// The task.
    pub task: TaskId,
    /// What it is for.
    pub purpose: Purpose,
    /// Whether its outcome may have to wait for a tick; what it turns out to be when it ends counts.
    pub closed: bool,
    /// The rescore it is part of.
    pub rescore: Option<RescoreId>,
    /// [`NORMAL`], [`LATER`] or [`URGENT`].
    pub priority: i64,
}

/// Puts a run in the queue.
///
/// # Errors
/// When the database fails.
pub async fn enqueue(tx: &mut Tx, clock: &Clock, entropy: Entropy, new: NewRun) -> Result<RunId, StoreError> {
    let run = Run {
        id: entropy.id(clock),
        submission: new.submission,
        competition: new.competition,
        team: new.team,
        task: new.task,
        purpose: new.purpose,
        closed: new.closed,
        state: RunState::Queued,
        step: Step::Waiting,
        priority: new.priority,
        created_at: clock.now(),
        attempt: 0,
        fence: 0,
        started_at: None,
        finished_at: None,
        told_at: None,
        prediction_end: None,
        scoring_end: None,
        prediction_log: None,
        report: None,
        scoring_log: None,
        fault: None,
    };
    db::insert(tx, &run, new.rescore).await?;
    Ok(run.id)
}

/// Leases the next run, if one waits.
///
/// # Errors
/// When the database fails.
pub async fn lease(db: &Db, clock: &Clock, worker: WorkerId) -> Result<Option<Lease>, StoreError> {
    // most polls find nothing: look before taking the write lock
    if !db::anything_waits(&mut *db.read().await?, clock.now()).await? {
        return Ok(None);
    }
    let mut tx = db.begin().await?;
    let now = clock.now();
    while let Some((id, submission)) = db::next(&mut tx, now).await? {
        super::db::lock(&mut tx, submission).await?;
        // on PostgreSQL another worker may have taken it since
        if let Some(run) = db::take(&mut tx, id, worker, now, until(now)).await? {
            let turn = db::next_turn(&mut tx).await?;
            db::serve(&mut tx, &format!("competition {}", run.competition), turn).await?;
            db::serve(&mut tx, &format!("team {}", run.team), turn).await?;
            if run.purpose.is_asked_for() && super::db::mark_started(&mut tx, submission, now).await? {
                tell(&mut tx, now, submission, State::Running).await?;
            }
            tx.commit().await?;
            return Ok(Some(Lease { run, worker }));
        }
    }
    Ok(None)
}

async fn tell(tx: &mut Tx, now: Timestamp, id: SubmissionId, state: State) -> Result<(), StoreError> {
    let payload = serde_json::json!({ "id": id, "status": state });
    events::publish(tx, now, (&super::topic(id), "status"), &payload).await
}

fn until(now: Timestamp) -> Timestamp {
    now.checked_add(LEASE).unwrap_or(Timestamp::MAX)
}

/// Renews a lease.
///
/// # Errors
/// When the database fails; the lease may then still be renewed in time.
pub async fn renew(db: &Db, clock: &Clock, lease: &Lease) -> Result<Renewal, StoreError> {
    let mut tx = db.begin().await?;
    let now = clock.now();
    let renewal = if db::renew(&mut tx, lease.run.id, lease.run.fence, until(now)).await? {
        let submission = super::db::by_id(&mut tx, lease.run.submission).await?;
        // a team stops its submission, not the organizer's rescore of it
        let stoppable = lease.run.purpose.is_asked_for();
        match submission.and_then(|s| s.cancel_requested_at) {
            Some(_) if stoppable => Renewal::CancelAsked,
            _ => Renewal::Held,
        }
    } else {
        Renewal::Lost
    };
    tx.commit().await?;
    Ok(renewal)
}

/// Notes what a run is doing.
///
/// # Errors
/// [`QueueError::Fenced`] when the lease was lost.
pub async fn step(tx: &mut Tx, lease: &Lease, step: Step) -> Result<(), QueueError> {
    match db::set_step(tx, lease.run.id, lease.run.fence, step).await? {
        true => Ok(()),
        false => Err(QueueError::Fenced(lease.run.id)),
    }
}

/// How a run ended, for its row.
#[derive(Clone, Debug, Default)]
pub struct Ending {
    /// How the prediction step ended.
    pub prediction_end: Option<String>,
    /// How the scoring step ended.
    pub scoring_end: Option<String>,
    /// Object with the prediction step's log.
    pub prediction_log: Option<String>,
    /// Object with the scoring step's log.
    pub scoring_log: Option<String>,
    /// Object with what came of the public probes.
    pub report: Option<String>,
    /// Sealed object with the exact scores.
    pub exact_scores: Option<String>,
    /// Processor time used, in milliseconds.
    pub cpu_ms: Option<i64>,
    /// Most memory used, in bytes.
    pub memory_peak: Option<i64>,
    /// Our own fault, if it was one.
    pub fault: Option<String>,
}

/// Ends a run. Everything that follows from it must be written in the same transaction. The outcome
/// of a `closed` one is told later.
///
/// # Errors
/// [`QueueError::Fenced`] when the lease was lost: then the transaction must be dropped.
pub async fn finish(
    tx: &mut Tx,
    clock: &Clock,
    lease: &Lease,
    (state, closed): (RunState, bool),
    ending: &Ending,
) -> Result<(), QueueError> {
    match db::finish(tx, lease.run.id, lease.run.fence, (state, closed), ending, clock.now()).await? {
        true => Ok(()),
        false => Err(QueueError::Fenced(lease.run.id)),
    }
}

/// Gives a run back to the queue because of our own `fault` (the engine went away, the disk is full,
/// the service stops), to be begun again after `pause`.
///
/// # Errors
/// [`QueueError::Fenced`] when the lease was lost.
pub async fn hand_back(
    tx: &mut Tx,
    clock: &Clock,
    lease: &Lease,
    fault: &str,
    pause: Duration,
) -> Result<(), QueueError> {
    let again = clock.now().checked_add(pause).unwrap_or(Timestamp::MAX);
    super::db::lock(tx, lease.run.submission).await?;
    if !db::hand_back(tx, lease.run.id, lease.run.fence, fault, again).await? {
        return Err(QueueError::Fenced(lease.run.id));
    }
    Ok(wait_again(tx, clock.now(), &lease.run).await?)
}

/// Says that a submission waits again when its run was given back. Of a closed one nothing is said:
/// it seems under way until its outcome is told.
async fn wait_again(tx: &mut Tx, now: Timestamp, run: &Run) -> Result<(), StoreError> {
    if run.purpose.is_asked_for() && super::db::mark_waiting(tx, run.submission, run.closed).await? {
        tell(tx, now, run.submission, State::Queued).await?;
    }
    Ok(())
}

/// What became of the runs whose worker let its lease run out.
#[derive(Clone, Debug, Default)]
pub struct Recovered {
    /// Those that wait again.
    pub queued: Vec<Run>,
    /// Those that were begun as often as they may: they are the caller's now, to be ended.
    pub spent: Vec<Lease>,
}

/// Gives back to the queue every run whose worker let its lease run out, and takes over for `worker`
/// those that killed their worker too often.
///
/// # Errors
/// When the database fails.
pub async fn recover(db: &Db, clock: &Clock, worker: WorkerId) -> Result<Recovered, StoreError> {
    let now = clock.now();
    let mut recovered = Recovered::default();
    if !db::any_lapsed(&mut *db.read().await?, now).await? {
        return Ok(recovered);
    }
    let mut tx = db.begin().await?;
    for (id, submission) in db::lapsed(&mut tx, now).await? {
        super::db::lock(&mut tx, submission).await?;
        if let Some(run) = db::recover(&mut tx, id, now).await? {
            wait_again(&mut tx, now, &run).await?;
            recovered.queued.push(run);
        } else if let Some(run) = db::take_over(&mut tx, id, worker, now, until(now)).await? {
            recovered.spent.push(Lease { run, worker });
        }
    }
    tx.commit().await?;
    Ok(recovered)
}

/// A submission's place in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Place {
    /// Runs that are ahead of its first waiting one, as far as can be foreseen.
    pub ahead: i64,
    /// Expected wait in seconds, from the mean of the last runs and the workers' slots.
    pub expected_seconds: i64,
}

/// Where a submission's first waiting run stands, if one waits.
///
/// # Errors
/// When the database fails.
pub async fn place(
    conn: &mut crate::store::Connection,
    clock: &Clock,
    submission: SubmissionId,
) -> Result<Option<Place>, StoreError> {
    let Some(ahead) = db::ahead(conn, submission).await? else { return Ok(None) };
    let now = clock.now();
    let slots = db::live_slots(conn, now).await?.max(1);
    let mean = db::mean_run_ms(conn).await?.unwrap_or(2_000);
    let under_way = db::under_way(conn).await?;
    let waves = (ahead + under_way.min(slots)) / slots;
    Ok(Some(Place { ahead, expected_seconds: (waves * mean + mean).div_euclid(1000).max(1) }))
}
