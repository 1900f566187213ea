//! Writes a run's outcome: its row, the airlock's reply, the submission's two states, the board,
//! the audit row and the events, all in one transaction under the run's fence.

use jiff::Timestamp;

use super::{Carrier, Job, Outcome, Report, RunError};
use crate::airlock::db::Context;
use crate::airlock::lane1::{self, ReplyKind, Tick};
use crate::airlock::rule::failure_bits;
use crate::audit::{self, Actor, Entry};
use crate::contest::db as contest_db;
use crate::house::House;
use crate::ids::RunId;
use crate::store::{ObjectKey, StoreError, Tx};
use crate::submission::db::{self, Change};
use crate::submission::model::{Purpose, Reason, Run, RunState, State, Submission};
use crate::submission::queue::{self, NORMAL, NewRun};
use crate::submission::{announce, announce_board};

/// Code of the reason that is told of a closed run's failure.
const CLOSED: &str = "closed";

/// Concludes a run. Dropped or refused, nothing of it was written.
pub(super) async fn conclude(carrier: &Carrier, job: &Job, report: Report) -> Result<(), RunError> {
    let house = &carrier.house;
    let Report { kind, outcome, mut ending } = report;
    let closed = job.is_closed(kind);
    let outcome = match outcome {
        Outcome::Scored { scores, columns } if !job.on_twin() => {
            let place = ObjectKey::hidden(format!("scores/{}/{}", job.run().id, job.run().attempt))?;
            ending.exact_scores = Some(place.as_str().to_owned());
            let scores = lane1::keep_exact(&house.objects, &place, scores).await?;
            Outcome::Scored { scores, columns }
        }
        other => other,
    };
    let mut tx = house.db.begin().await?;
    // two runs of a submission that end at the same moment see each other
    db::lock(&mut tx, job.submission.id).await?;
    let gone = || RunError::Ours("the run's submission is not in the database".to_owned());
    let submission = db::by_id(&mut tx, job.submission.id).await?.ok_or_else(gone)?;
    let runs = queue::db::of_submission(&mut tx, submission.id).await?;
    let purpose = job.run().purpose;
    if !queue::db::is_held(&mut tx, job.run().id, job.run().fence).await? {
        return Err(queue::QueueError::Fenced(job.run().id).into());
    }
    // who asked to stop a closed run is told that it was stopped, whatever came first: else the
    // answer would tell when it ended
    let outcome = match outcome {
        _ if closed && purpose == Purpose::Score && submission.cancel_requested_at.is_some() => {
            Outcome::Cancelled
        }
        outcome => outcome,
    };
    let now = house.clock.now();
    let tick = closed.then(|| {
        let started = newest(&runs, purpose).iter().filter_map(|r| r.started_at).min().unwrap_or(now);
        lane1::release_tick(started, now, job.limit())
    });
    let scored = ending.scoring_end.is_some();
    let (state, reason) = told(&mut tx, house, job, tick, scored, outcome).await?;
    queue::finish(&mut tx, &house.clock, &job.lease, state, &ending).await?;
    if submission.kind != kind {
        db::set_kind(&mut tx, submission.id, kind).await?;
    }
    let entry = Entry::new(now, Actor::System, "run.concluded", ("run", job.run().id))
        .competition(job.competition.id)
        .detail("submission", submission.id.to_string())
        .detail("purpose", purpose.as_str())
        .detail("attempt", job.run().attempt)
        .detail("bundle", job.competition.digest.as_str())
        .detail("authorised", job.authorised.about());
    audit::record(&mut tx, entry).await?;
    settle(&mut tx, house, job, &submission, tick, reason).await?;
    tx.commit().await?;
    house.ring();
    tracing::info!(submission = %submission.id, %purpose, closed, kind = %kind, "run concluded");
    Ok(())
}

fn context(job: &Job) -> Context {
    Context {
        hidden_set: job.task.hidden_set,
        person: job.submission.user,
        team: job.submission.team,
        competition: job.competition.id,
        phase: job.phase.id,
        submission: job.submission.id,
        run: job.run().id,
    }
}

/// Passes an outcome through the airlock; what comes out may be told, of a closed run at its `tick`.
/// `scored` says whether the scoring began: what fails before it on public input is a public fact.
async fn told(
    tx: &mut Tx,
    house: &House,
    job: &Job,
    tick: Option<Tick>,
    scored: bool,
    outcome: Outcome,
) -> Result<(RunState, Reason), StoreError> {
    let task = job.task.id;
    let context = context(job);
    if let Some(tick) = tick
        && !matches!(outcome, Outcome::Rejected(_))
    {
        lane1::reply_outcome(tx, house, &context, task, tick.bits).await?;
    }
    match outcome {
        Outcome::Scored { scores, columns } => {
            let kind = match job.run().purpose {
                Purpose::Rescore => ReplyKind::Rescore,
                _ => ReplyKind::Score,
            };
            let cleared = if job.on_twin() {
                lane1::reply_twin(tx, house, &context, task, &columns, scores).await?
            } else {
                lane1::reply_scores(tx, house, &context, task, kind, &columns, scores).await?
            };
            Ok(match cleared {
                Ok(()) => (RunState::Finished, Reason::default()),
                Err(_) if tick.is_some() => (RunState::Failed, closed_failure()),
                Err(refusal) => (RunState::Failed, Reason::new("scores-refused", refusal.to_string())),
            })
        }
        Outcome::Rejected(reason) => Ok((RunState::Rejected, reason)),
        Outcome::Cancelled => Ok((RunState::Cancelled, Reason::new("cancelled", "stopped before it ended"))),
        Outcome::Failed(_) if tick.is_some() => {
            lane1::reply_closed_failure(tx, house, &context, task).await?;
            Ok((RunState::Failed, closed_failure()))
        }
        Outcome::Failed(reason) => {
            if scored && !job.on_twin() {
                let bits = failure_bits(job.competition.definition.leaderboard.columns.len());
                lane1::reply_failure(tx, house, &context, task, bits).await?;
            }
            Ok((RunState::Failed, reason))
        }
    }
}

fn closed_failure() -> Reason {
    let text = "the run failed; what happened on hidden input is not told. The log of the same \
                program on the public twin, where the task has one, helps to find out";
    Reason::new(CLOSED, text)
}

/// Draws the submission's states from those of its runs, and what follows from them.
async fn settle(
    tx: &mut Tx,
    house: &House,
    job: &Job,
    submission: &Submission,
    tick: Option<Tick>,
    reason: Reason,
) -> Result<(), StoreError> {
    match job.run().purpose {
        Purpose::Twin => return announce(tx, house, submission, submission.disclosed_state).await,
        Purpose::Rescore => return settle_rescore(tx, house, job, submission).await,
        Purpose::Score | Purpose::Trial => {}
    }
    let runs = queue::db::of_submission(tx, submission.id).await?;
    let Some((overall, deciding)) = overall(&runs, job.run().purpose) else {
        // the reason of a run that failed is kept until the others are over
        let own = runs.iter().find(|r| r.id == job.run().id);
        if own.is_some_and(|r| matches!(r.state, RunState::Failed | RunState::Rejected)) {
            db::keep_reason(tx, submission.id, &reason).await?;
        }
        return Ok(());
    };
    let reason = if deciding == job.run().id { reason } else { submission.reason.clone() };
    let now = house.clock.now();
    // what is refused for public facts may be told at once
    let release_at = tick.map(|t| t.at).filter(|&at| at > now && overall != State::Rejected);
    let told = release_at.is_none().then(|| (overall, reason.clone()));
    let concluded = Submission { reason: reason.clone(), ..submission.clone() };
    db::change(tx, submission.id, &Change { state: overall, reason, told, release_at }, now).await?;
    if overall == State::Rejected {
        db::set_counts(tx, submission.id, false).await?;
    }
    if release_at.is_none() {
        follow(tx, house, &concluded, overall).await?;
    }
    Ok(())
}

/// What follows when a submission's outcome is told: its event, its place on the board, and the
/// twin's run where one on hidden input failed (not before, for its start tells of the failure).
async fn follow(tx: &mut Tx, house: &House, submission: &Submission, told: State) -> Result<(), StoreError> {
    announce(tx, house, submission, told).await?;
    if submission.trial {
        return Ok(());
    }
    if told == State::Finished
        && let Some(competition) = contest_db::by_id(tx, submission.competition).await?
    {
        let board = &competition.definition.leaderboard;
        let version = lane1::update_standing(tx, board, submission.phase, submission.team).await?;
        announce_board(tx, house, submission.phase, version).await?;
    }
    if told == State::Failed && submission.reason.code == CLOSED {
        let runs = queue::db::of_submission(tx, submission.id).await?;
        for run in newest(&runs, Purpose::Score) {
            let task = contest_db::task_by_id(tx, run.task).await?;
            let has_twin = task.is_some_and(|task| task.definition.twin.is_some());
            if run.state == RunState::Failed && has_twin {
                enqueue_twin(tx, house, run).await?;
            }
        }
    }
    Ok(())
}

/// The newest run of each task counts: the organizer may have started the submission anew.
fn newest(runs: &[Run], purpose: Purpose) -> Vec<&Run> {
    let mut newest: Vec<&Run> = Vec::new();
    for run in runs.iter().filter(|r| r.purpose == purpose) {
        newest.retain(|r| r.task != run.task);
        newest.push(run);
    }
    newest
}

/// The submission's state once all its runs are over, and the run that decides it: a rejection
/// before a failure before a stop; finished only when all have. `None` while one is under way.
fn overall(runs: &[Run], purpose: Purpose) -> Option<(State, RunId)> {
    let newest = newest(runs, purpose);
    if newest.iter().any(|r| matches!(r.state, RunState::Queued | RunState::Running)) {
        return None;
    }
    let first = |state: RunState| newest.iter().find(|r| r.state == state).map(|r| r.id);
    [
        (RunState::Rejected, State::Rejected),
        (RunState::Failed, State::Failed),
        (RunState::Cancelled, State::Cancelled),
        (RunState::Finished, State::Finished),
    ]
    .into_iter()
    .find_map(|(run, submission)| first(run).map(|id| (submission, id)))
}

async fn enqueue_twin(tx: &mut Tx, house: &House, failed: &Run) -> Result<(), StoreError> {
    let run = NewRun {
        submission: failed.submission,
        competition: failed.competition,
        team: failed.team,
        task: failed.task,
        purpose: Purpose::Twin,
        priority: NORMAL,
    };
    queue::enqueue(tx, &house.clock, house.entropy, run).await.map(|_| ())
}

/// Puts the team's right submissions on the board.
async fn stand(tx: &mut Tx, house: &House, job: &Job) -> Result<(), StoreError> {
    let board = &job.competition.definition.leaderboard;
    let version = lane1::update_standing(tx, board, job.phase.id, job.submission.team).await?;
    announce_board(tx, house, job.phase.id, version).await
}

/// A rescore replaces what stands on the board once all tasks of the submission were scored again.
async fn settle_rescore(
    tx: &mut Tx,
    house: &House,
    job: &Job,
    submission: &Submission,
) -> Result<(), StoreError> {
    let runs = queue::db::of_submission(tx, submission.id).await?;
    if let Some((State::Finished, _)) = overall(&runs, Purpose::Rescore) {
        let now: Timestamp = house.clock.now();
        if submission.state != State::Finished {
            let told = Some((State::Finished, Reason::default()));
            let change = Change { state: State::Finished, reason: Reason::default(), told, release_at: None };
            db::change(tx, submission.id, &change, now).await?;
        }
        stand(tx, house, job).await?;
        announce(tx, house, submission, State::Finished).await?;
    }
    Ok(())
}

/// Ends a run for good because of our own failure: the submission fails without using quota.
pub(crate) async fn give_up(house: &House, lease: &queue::Lease, fault: &str) -> Result<(), RunError> {
    let mut tx = house.db.begin().await?;
    let now = house.clock.now();
    let ending = queue::Ending { fault: Some(fault.to_owned()), ..queue::Ending::default() };
    db::lock(&mut tx, lease.run.submission).await?;
    queue::finish(&mut tx, &house.clock, lease, RunState::Failed, &ending).await?;
    let run = &lease.run;
    if let Some(submission) = db::by_id(&mut tx, run.submission).await? {
        if matches!(run.purpose, Purpose::Score | Purpose::Trial) {
            let reason = Reason::new(
                "platform",
                "the platform failed to run it, several times over; it costs no quota and the organizer was told",
            );
            let told = Some((State::Failed, reason.clone()));
            let change = Change { state: State::Failed, reason, told, release_at: None };
            queue::db::cancel_waiting(&mut tx, submission.id, now).await?;
            db::change(&mut tx, submission.id, &change, now).await?;
            db::set_counts(&mut tx, submission.id, false).await?;
            announce(&mut tx, house, &submission, State::Failed).await?;
        }
        let entry = Entry::new(now, Actor::System, "run.given_up", ("run", run.id))
            .competition(run.competition)
            .detail("fault", fault);
        audit::record(&mut tx, entry).await?;
    }
    tx.commit().await?;
    house.ring();
    Ok(())
}

/// Tells a closed run's outcome at its tick.
pub(crate) async fn disclose(house: &House, due: &Submission) -> Result<(), StoreError> {
    let mut tx = house.db.begin().await?;
    if !db::release(&mut tx, due.id).await? {
        return Ok(());
    }
    // it may have been stopped since it was found to be due
    if let Some(submission) = db::by_id(&mut tx, due.id).await? {
        follow(&mut tx, house, &submission, submission.disclosed_state).await?;
    }
    tx.commit().await?;
    house.ring();
    Ok(())
}
