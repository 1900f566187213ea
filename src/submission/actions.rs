//! What teams and organizers do to submissions after they were accepted.

use super::accept::start;
use super::db::{self, Change};
use super::model::{Origin, Purpose, Reason, State, Submission};
use super::queue;
use crate::airlock::lane1;
use crate::audit::{self, Actor, Entry};
use crate::contest::definition::SubmissionRule;
use crate::contest::model::{Competition, ParticipantState};
use crate::house::House;
use crate::ids::{SubmissionId, UserId};
use crate::store::{StoreError, Tx};

/// Why an action was refused.
#[derive(Debug, thiserror::Error)]
pub enum ActionError {
    /// There is no such submission.
    #[error("there is no submission {0}, or it is not yours to see")]
    Missing(SubmissionId),
    /// The submission's state does not allow it.
    #[error("the submission is {state}, so it cannot be {action}")]
    State {
        /// Its disclosed state.
        state: State,
        /// What was asked for.
        action: &'static str,
    },
    /// More nominations than allowed.
    #[error("{0} submissions are nominated already, the most there may be; take one back first")]
    TooManyNominations(u32),
    /// The competition's rule decides what stands on the board.
    #[error("in this competition the board is filled by the rule {0:?}; nothing can be added or removed")]
    BoardIsAutomatic(SubmissionRule),
    /// Rule Add: what is on the board stays.
    #[error("in this competition a submission stays on the board once it was added")]
    AddIsFinal,
    /// The competition does not let teams publish, or the file came from inside a sandbox.
    #[error("in this competition submissions stay private, and so does what came from a sandbox")]
    StaysPrivate,
    /// The submission was disqualified.
    #[error("the submission was disqualified; only its organizer can bring it back")]
    Disqualified,
    /// The person was removed from the competition.
    #[error("you are not admitted to this competition (any more); ask its organizer")]
    NotAdmitted,
    /// Its file was removed.
    #[error("the file is not kept any more, so it cannot run again; have it handed in again")]
    FileGone,
    /// A reason is needed.
    #[error("give a reason; the team will read it")]
    NoReason,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn entry(house: &House, actor: UserId, action: &'static str, s: &Submission) -> Entry {
    entry_by(house, Actor::User(actor), action, s)
}

fn entry_by(house: &House, actor: Actor, action: &'static str, s: &Submission) -> Entry {
    Entry::new(house.clock.now(), actor, action, ("submission", s.id)).competition(s.competition)
}

/// Makes sure that a submission may be brought forward, and that whoever wants to still takes part.
async fn may_go_on(
    tx: &mut Tx,
    competition: &Competition,
    submission: &Submission,
    actor: UserId,
) -> Result<(), ActionError> {
    if submission.disqualified_at.is_some() {
        return Err(ActionError::Disqualified);
    }
    match crate::contest::entry::db::state(tx, competition.id, actor).await? {
        Some(ParticipantState::Approved) => Ok(()),
        _ => Err(ActionError::NotAdmitted),
    }
}

/// Loads a submission for change, with its newest state, and locks it.
async fn load(tx: &mut Tx, id: SubmissionId) -> Result<Submission, ActionError> {
    db::lock(tx, id).await?;
    db::by_id(tx, id).await?.ok_or(ActionError::Missing(id))
}

/// The same for a change that looks at the team's other submissions, which lock the team first.
async fn load_of_team(house: &House, tx: &mut Tx, id: SubmissionId) -> Result<Submission, ActionError> {
    let submission = db::by_id(tx, id).await?.ok_or(ActionError::Missing(id))?;
    crate::contest::entry::db::lock(tx, submission.team, house.clock.now()).await?;
    load(tx, id).await
}

/// Stops a submission. Before its start that gives the quota back; after its start a run under way
/// is killed by its worker within a second, and the quota stays used.
///
/// # Errors
/// When it is over already.
pub async fn cancel(house: &House, id: SubmissionId, actor: UserId) -> Result<State, ActionError> {
    cancel_by(house, id, Actor::User(actor)).await
}

/// Stops what waits of teams whose members were all removed from the competition; gives how much.
///
/// # Errors
/// When the database fails.
pub async fn cancel_of_removed(house: &House) -> Result<usize, StoreError> {
    let waiting = db::waiting_of_removed(&mut *house.db.read().await?).await?;
    let mut stopped = 0;
    for id in waiting {
        match cancel_by(house, id, Actor::System).await {
            Ok(_) => stopped += 1,
            Err(ActionError::Store(error)) => return Err(error),
            // it ended meanwhile
            Err(_) => {}
        }
    }
    Ok(stopped)
}

async fn cancel_by(house: &House, id: SubmissionId, actor: Actor) -> Result<State, ActionError> {
    let mut tx = house.db.begin().await?;
    let submission = load(&mut tx, id).await?;
    if submission.disclosed_state.is_final()
        || (submission.state.is_final() && submission.release_at.is_none())
    {
        return Err(ActionError::State { state: submission.disclosed_state, action: "cancelled" });
    }
    let now = house.clock.now();
    db::request_cancel(&mut tx, id, now).await?;
    queue::db::cancel_waiting(&mut tx, id, now).await?;
    let runs = queue::db::of_submission(&mut tx, id).await?;
    let under_way = runs.iter().any(|r| r.state == super::model::RunState::Running);
    let reason = Reason::new("cancelled", "stopped before it ended");
    let state = if under_way {
        submission.disclosed_state
    } else if submission.release_at.is_some() {
        // a closed run that has ended and is not told yet: the answer, and what is told at the tick,
        // are those of a run still under way, else they would tell when it ended
        let release_at = submission.release_at;
        let change = Change { state: State::Cancelled, reason, told: None, release_at };
        db::change(&mut tx, id, &change, now).await?;
        submission.disclosed_state
    } else if super::run::stop_closed(&mut tx, house, &submission, &reason).await? {
        submission.disclosed_state
    } else {
        let told = Some((State::Cancelled, reason.clone()));
        let change = Change { state: State::Cancelled, reason, told, release_at: None };
        db::change(&mut tx, id, &change, now).await?;
        if submission.started_at.is_none() {
            db::set_counts(&mut tx, id, false).await?;
        }
        super::announce(&mut tx, house, &submission, State::Cancelled).await?;
        State::Cancelled
    };
    audit::record(&mut tx, entry_by(house, actor, "submission.cancelled", &submission)).await?;
    tx.commit().await?;
    house.ring();
    Ok(state)
}

/// Starts a submission that waits for the organizer, or runs one again with the current programs.
/// The quota is not touched.
///
/// # Errors
/// While it is waiting or running.
pub async fn run_again(
    house: &House,
    id: SubmissionId,
    organizer: UserId,
    priority: i64,
) -> Result<(), ActionError> {
    let mut tx = house.db.begin().await?;
    let submission = load(&mut tx, id).await?;
    let untold = submission.release_at.is_some();
    if untold || !submission.state.may_become(State::Queued) || submission.state == State::Running {
        return Err(ActionError::State { state: submission.state, action: "run again" });
    }
    if !submission.has_file() {
        return Err(ActionError::FileGone);
    }
    let scored = lane1::was_scored(&mut tx, id).await?;
    let purpose = if submission.competes() && scored { Purpose::Rescore } else { submission.aim.purpose() };
    db::forget_cancel(&mut tx, id).await?;
    start(&mut tx, house, &submission, (purpose, None), priority).await?;
    if purpose != Purpose::Rescore {
        // a rescore leaves the old outcome standing until the new one is there
        let told = Some((State::Queued, Reason::default()));
        let change = Change { state: State::Queued, reason: Reason::default(), told, release_at: None };
        db::change(&mut tx, id, &change, house.clock.now()).await?;
        super::announce(&mut tx, house, &submission, State::Queued).await?;
    }
    let detail = entry(house, organizer, "submission.rerun", &submission).detail("purpose", purpose.as_str());
    audit::record(&mut tx, detail).await?;
    tx.commit().await?;
    house.ring();
    Ok(())
}

/// Takes a submission off the board with a reason, or restores it.
///
/// # Errors
/// Without a reason.
pub async fn disqualify(
    house: &House,
    competition: &Competition,
    id: SubmissionId,
    organizer: UserId,
    reason: Option<&str>,
) -> Result<(), ActionError> {
    let now = house.clock.now();
    let mut tx = house.db.begin().await?;
    let submission = load(&mut tx, id).await?;
    let action = match reason {
        Some(reason) if reason.trim().is_empty() => return Err(ActionError::NoReason),
        Some(reason) => {
            db::set_disqualified(&mut tx, id, Some(now), reason.trim()).await?;
            "submission.disqualified"
        }
        None => {
            db::set_disqualified(&mut tx, id, None, "").await?;
            "submission.restored"
        }
    };
    rebuild(&mut tx, house, competition, &submission).await?;
    let detail = entry(house, organizer, action, &submission).detail("reason", reason.unwrap_or_default());
    audit::record(&mut tx, detail).await?;
    tx.commit().await?;
    house.ring();
    Ok(())
}

async fn rebuild(
    tx: &mut Tx,
    house: &House,
    competition: &Competition,
    submission: &Submission,
) -> Result<(), StoreError> {
    let board = &competition.definition.leaderboard;
    let version = lane1::update_standing(tx, board, submission.phase, submission.team).await?;
    super::announce_board(tx, house, submission.phase, version).await
}

/// Nominates a submission for the next phase, or takes that back.
///
/// # Errors
/// When the actor was removed, it is not finished, or more are nominated than the competition allows.
pub async fn nominate(
    house: &House,
    competition: &Competition,
    id: SubmissionId,
    actor: UserId,
    wanted: bool,
) -> Result<(), ActionError> {
    let now = house.clock.now();
    let mut tx = house.db.begin().await?;
    let submission = load_of_team(house, &mut tx, id).await?;
    if submission.disclosed_state != State::Finished || !submission.competes() {
        return Err(ActionError::State { state: submission.disclosed_state, action: "nominated" });
    }
    if wanted {
        may_go_on(&mut tx, competition, &submission, actor).await?;
    }
    if wanted && submission.nominated_at.is_none() {
        let most = competition.definition.finals_choose.unwrap_or(1);
        let others = db::of_team(&mut tx, submission.phase, submission.team).await?;
        let stands = |s: &&Submission| s.nominated_at.is_some() && s.disqualified_at.is_none();
        let nominated = others.iter().filter(stands).count();
        if nominated >= usize::try_from(most).unwrap_or(usize::MAX) {
            return Err(ActionError::TooManyNominations(most));
        }
    }
    db::set_nominated(&mut tx, id, wanted.then_some(now)).await?;
    let action = if wanted { "submission.nominated" } else { "submission.nomination_withdrawn" };
    audit::record(&mut tx, entry(house, actor, action, &submission)).await?;
    tx.commit().await?;
    Ok(())
}

/// Puts a submission on the board under the rules Add…, or takes it off.
///
/// # Errors
/// When the actor was removed, it is not finished or the competition's rule does not leave it to the team.
pub async fn choose(
    house: &House,
    competition: &Competition,
    id: SubmissionId,
    actor: UserId,
    wanted: bool,
) -> Result<(), ActionError> {
    let rule = competition.definition.leaderboard.submission_rule;
    let mut tx = house.db.begin().await?;
    let submission = load_of_team(house, &mut tx, id).await?;
    if submission.disclosed_state != State::Finished || !submission.competes() {
        return Err(ActionError::State { state: submission.disclosed_state, action: "put on the board" });
    }
    if wanted {
        may_go_on(&mut tx, competition, &submission, actor).await?;
    }
    match rule {
        SubmissionRule::Add if !wanted => return Err(ActionError::AddIsFinal),
        SubmissionRule::Add | SubmissionRule::AddAndDelete if wanted => {
            for other in db::of_team(&mut tx, submission.phase, submission.team).await? {
                if other.chosen && other.id != id {
                    if rule == SubmissionRule::Add && other.disqualified_at.is_none() {
                        return Err(ActionError::AddIsFinal);
                    }
                    db::set_chosen(&mut tx, other.id, false).await?;
                }
            }
        }
        SubmissionRule::Add | SubmissionRule::AddAndDelete | SubmissionRule::AddAndDeleteMultiple => {}
        rule => return Err(ActionError::BoardIsAutomatic(rule)),
    }
    db::set_chosen(&mut tx, id, wanted).await?;
    rebuild(&mut tx, house, competition, &submission).await?;
    let action = if wanted { "submission.chosen" } else { "submission.unchosen" };
    audit::record(&mut tx, entry(house, actor, action, &submission)).await?;
    tx.commit().await?;
    house.ring();
    Ok(())
}

/// Makes a submission public, or private again. What came from inside a sandbox stays there.
///
/// # Errors
/// When the actor was removed, it is not finished, or the competition or its origin keeps it private.
pub async fn publish(
    house: &House,
    competition: &Competition,
    id: SubmissionId,
    actor: UserId,
    wanted: bool,
) -> Result<(), ActionError> {
    let mut tx = house.db.begin().await?;
    let submission = load(&mut tx, id).await?;
    let allowed = competition.definition.can_participants_make_submissions_public
        && submission.origin == Origin::Outside;
    if wanted {
        may_go_on(&mut tx, competition, &submission, actor).await?;
    }
    if wanted && !allowed {
        return Err(ActionError::StaysPrivate);
    }
    if wanted && (submission.disclosed_state != State::Finished || !submission.competes()) {
        return Err(ActionError::State { state: submission.disclosed_state, action: "made public" });
    }
    db::set_public(&mut tx, id, wanted).await?;
    let action = if wanted { "submission.published" } else { "submission.unpublished" };
    audit::record(&mut tx, entry(house, actor, action, &submission)).await?;
    tx.commit().await?;
    Ok(())
}
