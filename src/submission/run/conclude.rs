//! Writes a run's outcome: its row, the airlock's reply, the submission's two states, the board,
//! the audit row and the events, all in one transaction under the run's fence.

use jiff::Timestamp;

use super::{Carrier, Job, Outcome, Report, RunError};
use crate::airlock::db::Context;
use crate::airlock::lane1::{self, ReplyKind};
use crate::audit::{self, Actor, Entry};
use crate::contest::db as contest_db;
use crate::house::House;
use crate::ids::RunId;
use crate::store::{ObjectKey, StoreError, Tx};
use crate::submission::db::{self, Change};
use crate::submission::model::{Kind, Purpose, Reason, Run, RunState, State, Submission};
use crate::submission::queue::{self, NORMAL, NewRun};
use crate::submission::{announce, announce_board};

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
    let now = house.clock.now();
    let (state, reason) = told(&mut tx, house, job, closed, outcome).await?;
    queue::finish(&mut tx, &house.clock, &job.lease, state, &ending).await?;
    if job.submission.kind != kind {
        db::set_kind(&mut tx, job.submission.id, kind).await?;
    }
    let entry = Entry::new(now, Actor::System, "run.concluded", ("run", job.run().id))
        .competition(job.competition.id)
        .detail("submission", job.submission.id.to_string())
        .detail("purpose", job.run().purpose.as_str())
        .detail("attempt", job.run().attempt)
        .detail("bundle", job.competition.digest.as_str())
        .detail("authorised", job.authorised.about());
    audit::record(&mut tx, entry).await?;
    settle(&mut tx, house, job, kind, closed, state, reason).await?;
    tx.commit().await?;
    house.ring();
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

/// Passes an outcome through the airlock; what comes out may be told.
async fn told(
    tx: &mut Tx,
    house: &House,
    job: &Job,
    closed: bool,
    outcome: Outcome,
) -> Result<(RunState, Reason), StoreError> {
    let task = job.task.id;
    let context = context(job);
    if closed && !matches!(outcome, Outcome::Rejected(_)) {
        lane1::reply_outcome(tx, house, &context, task).await?;
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
                Err(refusal) => (RunState::Failed, Reason::new("scores-refused", refusal.to_string())),
            })
        }
        Outcome::Rejected(reason) => Ok((RunState::Rejected, reason)),
        Outcome::Cancelled => Ok((RunState::Cancelled, Reason::new("cancelled", "stopped before it ended"))),
        Outcome::Failed(_) if closed => {
            let text = "the run failed; what happened on hidden input is not told. The log of the same \
                        program on the public twin, where the task has one, helps to find out";
            Ok((RunState::Failed, Reason::new("closed", text)))
        }
        Outcome::Failed(reason) => {
            if !job.on_twin() {
                lane1::reply_failure(tx, house, &context, task).await?;
            }
            Ok((RunState::Failed, reason))
        }
    }
}

/// Draws the submission's states from those of its runs, and what follows from them.
async fn settle(
    tx: &mut Tx,
    house: &House,
    job: &Job,
    kind: Kind,
    closed: bool,
    state: RunState,
    reason: Reason,
) -> Result<(), StoreError> {
    let submission = &job.submission;
    match job.run().purpose {
        Purpose::Twin => {
            // that a twin ran tells of a failure: not before the failure itself is told
            return match db::by_id(tx, submission.id).await? {
                Some(now) if now.disclosed_state.is_final() => {
                    announce(tx, house, submission, now.disclosed_state).await
                }
                _ => Ok(()),
            };
        }
        Purpose::Rescore => return settle_rescore(tx, house, job).await,
        Purpose::Score | Purpose::Trial => {}
    }
    if state == RunState::Failed && closed && job.task.definition.twin.is_some() {
        enqueue_twin(tx, house, job).await?;
    }
    let runs = queue::db::of_submission(tx, submission.id).await?;
    let Some((overall, deciding)) = overall(&runs, job.run().purpose) else {
        return Ok(());
    };
    let reason = if deciding == job.run().id { reason } else { stored_reason(tx, submission).await? };
    let now = house.clock.now();
    let release_at = closed.then(|| {
        let started = runs.iter().filter_map(|r| r.started_at).min().unwrap_or(now);
        lane1::release_time(started, now, job.limit())
    });
    let release_at = release_at.filter(|&at| at > now);
    let told = release_at.is_none().then(|| (overall, reason.clone()));
    db::change(tx, submission.id, &Change { state: overall, reason, told, release_at }, now).await?;
    if overall == State::Rejected {
        db::set_counts(tx, submission.id, false).await?;
    }
    if release_at.is_none() {
        announce(tx, house, submission, overall).await?;
        if overall == State::Finished && !submission.trial {
            stand(tx, house, job).await?;
        }
    }
    tracing::info!(submission = %submission.id, state = %overall, kind = %kind, closed, "submission concluded");
    Ok(())
}

async fn stored_reason(tx: &mut Tx, submission: &Submission) -> Result<Reason, StoreError> {
    Ok(db::by_id(tx, submission.id).await?.map(|s| s.reason).unwrap_or_default())
}

/// The submission's state once all its runs are over, and the run that decides it: a rejection
/// before a failure before a stop; finished only when all have. `None` while one is under way.
fn overall(runs: &[Run], purpose: Purpose) -> Option<(State, RunId)> {
    // the newest run of each task counts: the organizer may have started the submission anew
    let mut newest: Vec<&Run> = Vec::new();
    for run in runs.iter().filter(|r| r.purpose == purpose) {
        newest.retain(|r| r.task != run.task);
        newest.push(run);
    }
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

async fn enqueue_twin(tx: &mut Tx, house: &House, job: &Job) -> Result<(), StoreError> {
    let run = NewRun {
        submission: job.submission.id,
        competition: job.competition.id,
        team: job.submission.team,
        task: job.task.id,
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
async fn settle_rescore(tx: &mut Tx, house: &House, job: &Job) -> Result<(), StoreError> {
    let runs = queue::db::of_submission(tx, job.submission.id).await?;
    if let Some((State::Finished, _)) = overall(&runs, Purpose::Rescore) {
        let now: Timestamp = house.clock.now();
        if job.submission.state != State::Finished {
            let told = Some((State::Finished, Reason::default()));
            let change = Change { state: State::Finished, reason: Reason::default(), told, release_at: None };
            db::change(tx, job.submission.id, &change, now).await?;
        }
        stand(tx, house, job).await?;
        announce(tx, house, &job.submission, State::Finished).await?;
    }
    Ok(())
}

/// Ends a run for good because of our own failure: the submission fails without using quota.
pub(crate) async fn give_up(house: &House, lease: &queue::Lease, fault: &str) -> Result<(), RunError> {
    let mut tx = house.db.begin().await?;
    let now = house.clock.now();
    let ending = queue::Ending { fault: Some(fault.to_owned()), ..queue::Ending::default() };
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
pub(crate) async fn disclose(house: &House, submission: &Submission) -> Result<(), StoreError> {
    let mut tx = house.db.begin().await?;
    if !db::release(&mut tx, submission.id).await? {
        return Ok(());
    }
    announce(&mut tx, house, submission, submission.state).await?;
    if submission.state == State::Finished
        && !submission.trial
        && let Some(competition) = contest_db::by_id(&mut tx, submission.competition).await?
    {
        let board = &competition.definition.leaderboard;
        let version = lane1::update_standing(&mut tx, board, submission.phase, submission.team).await?;
        announce_board(&mut tx, house, submission.phase, version).await?;
    }
    tx.commit().await?;
    house.ring();
    Ok(())
}
