//! Writes a run's outcome: its row, the airlock's reply, the submission's two states, the board,
//! the audit row and the events, all in one transaction under the run's fence.

use jiff::Timestamp;

use std::time::Duration;

use super::{Carrier, Job, Outcome, Report, RunError, limit};
use crate::airlock::db::Context;
use crate::airlock::lane1::{self, ReplyKind, Tick};
use crate::airlock::rule::failure_bits;
use crate::audit::{self, Actor, Entry};
use crate::contest::db as contest_db;
use crate::house::House;
use crate::ids::{HiddenSetId, RunId};
use crate::store::{ObjectKey, StoreError, Tx};
use crate::submission::db::{self, Change};
use crate::submission::model::{Purpose, Reason, Run, RunState, State, Submission};
use crate::submission::queue::{self, NORMAL, NewRun};
use crate::submission::{announce, announce_board};

/// Code of the reason that is told of a closed run's failure.
const CLOSED: &str = "closed";
/// Code of the reason that is told when the platform failed.
const PLATFORM: &str = "platform";

/// Concludes a run. Dropped or refused, nothing of it was written.
pub(super) async fn conclude(carrier: &Carrier, job: &Job, report: Report) -> Result<(), RunError> {
    let house = &carrier.house;
    let Report { kind, outcome, mut ending } = report;
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
    // one closed sibling closes the submission, also when the bundle has opened the input since
    let closed = job.is_closed(kind)
        || (purpose.may_close() && newest(&runs, purpose).iter().any(|r| r.closed && is_over(r)));
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
    let tick = closed.then(|| tick_of(&runs, purpose, now, job.limit()));
    let scored = ending.scoring_end.is_some();
    let (state, reason) = told(&mut tx, house, job, tick, scored, outcome).await?;
    queue::finish(&mut tx, &house.clock, &job.lease, (state, closed), &ending).await?;
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

/// When the closed runs of a submission are told of which the last ends now: the tick of the last
/// one, counted from the start of the first, is the latest of all.
fn tick_of(runs: &[Run], purpose: Purpose, now: Timestamp, limit: Duration) -> Tick {
    let started = newest(runs, purpose).iter().filter_map(|r| r.started_at).min().unwrap_or(now);
    lane1::release_tick(started, now, limit)
}

fn is_over(run: &Run) -> bool {
    !matches!(run.state, RunState::Queued | RunState::Running)
}

fn context(hidden_set: HiddenSetId, submission: &Submission, run: RunId) -> Context {
    Context {
        hidden_set,
        person: submission.user,
        team: submission.team,
        competition: submission.competition,
        phase: submission.phase,
        submission: submission.id,
        run,
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
    let context = context(job.task.hidden_set, &job.submission, job.run().id);
    if let Some(tick) = tick
        && !matches!(outcome, Outcome::Rejected(_) | Outcome::FailedOpenly(_))
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
        Outcome::FailedOpenly(reason) => Ok((RunState::Failed, reason)),
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
        Purpose::Rescore => return settle_rescore(tx, house, submission, tick).await,
        Purpose::Score | Purpose::Trial | Purpose::DryRun => {}
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
    // what is refused for public facts may be told at once, unless a closed run beside it went on
    let ran = newest(&runs, job.run().purpose)
        .iter()
        .any(|r| r.closed && r.started_at.is_some() && r.state != RunState::Rejected);
    let release_at = tick.map(|t| t.at).filter(|&at| at > now && ran);
    let told = release_at.is_none().then(|| (overall, reason.clone()));
    let concluded = Submission { reason: reason.clone(), ..submission.clone() };
    db::change(tx, submission.id, &Change { state: overall, reason, told, release_at }, now).await?;
    if release_at.is_none() {
        follow(tx, house, &concluded, overall, now).await?;
    }
    Ok(())
}

/// What follows when a submission's outcome is told, `at` that time: its quota, its event, its place
/// on the board, and the twin's run where one on hidden input failed (not before, for its start tells
/// of the failure).
async fn follow(
    tx: &mut Tx,
    house: &House,
    submission: &Submission,
    told: State,
    at: Timestamp,
) -> Result<(), StoreError> {
    queue::db::mark_told(tx, submission.id, at).await?;
    if told == State::Rejected || (told == State::Failed && submission.reason.code == PLATFORM) {
        db::set_counts(tx, submission.id, false).await?;
    }
    announce(tx, house, submission, told).await?;
    if !submission.competes() {
        return Ok(());
    }
    if told == State::Finished
        && let Some(competition) = contest_db::by_id(tx, submission.competition).await?
    {
        let board = &competition.definition.leaderboard;
        let version = lane1::update_standing(tx, board, submission.phase, submission.team).await?;
        announce_board(tx, house, submission.phase, version).await?;
    }
    // what a program printed that failed openly in a closed run is sealed all the same
    let sealed = [CLOSED, "app-not-up", "app-ended"].contains(&submission.reason.code.as_str());
    if told == State::Failed && sealed {
        let runs = queue::db::of_submission(tx, submission.id).await?;
        for run in newest(&runs, Purpose::Score) {
            let task = contest_db::task_by_id(tx, run.task).await?;
            let has_twin = task.is_some_and(|task| task.definition.has_trial());
            // a rescore that was told since is no new failure
            let repeated = runs
                .iter()
                .any(|r| r.purpose == Purpose::Twin && r.task == run.task && r.created_at >= run.created_at);
            if run.state == RunState::Failed && run.closed && has_twin && !repeated {
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
        closed: false,
        rescore: None,
        priority: NORMAL,
    };
    queue::enqueue(tx, &house.clock, house.entropy, run).await.map(|_| ())
}

/// A rescore replaces what stands on the board once all tasks of the submission were scored again;
/// of closed runs, whatever came of it, at their tick.
async fn settle_rescore(
    tx: &mut Tx,
    house: &House,
    submission: &Submission,
    tick: Option<Tick>,
) -> Result<(), StoreError> {
    let runs = queue::db::of_submission(tx, submission.id).await?;
    let Some((overall, _)) = overall(&runs, Purpose::Rescore) else { return Ok(()) };
    let now: Timestamp = house.clock.now();
    let release_at = tick.map(|t| t.at).filter(|&at| at > now);
    if overall == State::Finished && submission.state != State::Finished {
        let told = release_at.is_none().then(|| (State::Finished, Reason::default()));
        let change = Change { state: State::Finished, reason: Reason::default(), told, release_at };
        db::change(tx, submission.id, &change, now).await?;
    } else if let Some(at) = release_at {
        db::hold(tx, submission.id, at).await?;
    }
    match release_at {
        None if overall == State::Finished => follow(tx, house, submission, State::Finished, now).await,
        None => queue::db::mark_told(tx, submission.id, now).await,
        Some(_) => Ok(()),
    }
}

/// Ends a run for good because of our own failure: the submission fails without using quota. Of a
/// closed run that is told, and charged, like any other end. `fault` is for operators and organizers, `told` for the
/// team: nothing of that may derive from hidden data.
pub(crate) async fn give_up(
    house: &House,
    lease: &queue::Lease,
    (fault, told): (&str, &'static str),
) -> Result<(), RunError> {
    let mut tx = house.db.begin().await?;
    let now = house.clock.now();
    let ending = queue::Ending { fault: Some(fault.to_owned()), ..queue::Ending::default() };
    db::lock(&mut tx, lease.run.submission).await?;
    let run = &lease.run;
    queue::finish(&mut tx, &house.clock, lease, (RunState::Failed, run.closed), &ending).await?;
    if let Some(submission) = db::by_id(&mut tx, run.submission).await? {
        if run.purpose != Purpose::Twin {
            give_up_submission(&mut tx, house, &submission, (run, told)).await?;
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

async fn give_up_submission(
    tx: &mut Tx,
    house: &House,
    submission: &Submission,
    (run, told): (&Run, &'static str),
) -> Result<(), StoreError> {
    let now = house.clock.now();
    if run.purpose != Purpose::Rescore {
        queue::db::cancel_waiting(tx, submission.id, now).await?;
    }
    let tick = match run.closed {
        true => Some(charge_end(tx, house, submission, run, true).await?),
        false => None,
    };
    if run.purpose == Purpose::Rescore {
        return settle_rescore(tx, house, submission, tick).await;
    }
    let reason = Reason::new(PLATFORM, told);
    let runs = queue::db::of_submission(tx, submission.id).await?;
    if run.closed && overall(&runs, run.purpose).is_none() {
        // told with the end of the runs that are still under way
        return db::keep_reason(tx, submission.id, &reason).await;
    }
    let release_at = tick.map(|t| t.at).filter(|&at| at > now);
    let told = release_at.is_none().then(|| (State::Failed, reason.clone()));
    let concluded = Submission { reason: reason.clone(), ..submission.clone() };
    let change = Change { state: State::Failed, reason, told, release_at };
    db::change(tx, submission.id, &change, now).await?;
    match release_at {
        None => follow(tx, house, &concluded, State::Failed, now).await,
        Some(_) => Ok(()),
    }
}

/// Charges for telling at its tick that a closed run was ended from outside: the tick, and of one that
/// `failed` that it did.
async fn charge_end(
    tx: &mut Tx,
    house: &House,
    submission: &Submission,
    run: &Run,
    failed: bool,
) -> Result<Tick, StoreError> {
    let phase = contest_db::phase_by_id(tx, submission.phase).await?;
    let runs = queue::db::of_submission(tx, submission.id).await?;
    let limit = phase.map(|phase| limit(&phase)).unwrap_or_default();
    let tick = tick_of(&runs, run.purpose, house.clock.now(), limit);
    if let Some(task) = contest_db::task_by_id(tx, run.task).await? {
        let context = context(task.hidden_set, submission, run.id);
        lane1::reply_outcome(tx, house, &context, task.id, tick.bits).await?;
        if failed {
            lane1::reply_closed_failure(tx, house, &context, task.id).await?;
        }
    }
    Ok(tick)
}

/// Stops a closed submission that was begun and of which no run is under way at the moment: what is
/// told, and when, is that of one under way. Its waiting runs were cancelled; false when none of them
/// is closed, or it was not begun.
pub(crate) async fn stop_closed(
    tx: &mut Tx,
    house: &House,
    submission: &Submission,
    reason: &Reason,
) -> Result<bool, StoreError> {
    let runs = queue::db::of_submission(tx, submission.id).await?;
    let newest = newest(&runs, Purpose::Score);
    let began = newest.iter().any(|r| r.closed && r.started_at.is_some());
    if submission.disclosed_state != State::Running || !began {
        return Ok(false);
    }
    let now = house.clock.now();
    let mut release_at = None;
    for run in newest.iter().filter(|r| r.closed && r.state == RunState::Cancelled) {
        release_at = release_at.max(Some(charge_end(tx, house, submission, run, false).await?.at));
    }
    let Some(at) = release_at else { return Ok(false) };
    let (state, reason) = (State::Cancelled, reason.clone());
    let change = Change { state, reason, told: None, release_at: Some(at.max(now)) };
    db::change(tx, submission.id, &change, now).await?;
    Ok(true)
}

/// Tells a closed run's outcome at its tick.
pub(crate) async fn disclose(house: &House, due: &Submission) -> Result<(), StoreError> {
    let mut tx = house.db.begin().await?;
    if !db::release(&mut tx, due.id).await? {
        return Ok(());
    }
    // it may have been stopped since it was found to be due
    if let Some(submission) = db::by_id(&mut tx, due.id).await? {
        let at = due.release_at.unwrap_or_else(|| house.clock.now());
        follow(&mut tx, house, &submission, submission.disclosed_state, at).await?;
    }
    tx.commit().await?;
    house.ring();
    Ok(())
}
