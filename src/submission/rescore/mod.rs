//! Scoring again with the current programs and data: everything, one phase or one team.
//!
//! A rescore is written down first and then queued in parts, so that one of 200,000 submissions holds
//! up nobody; what a crash interrupts the workers' housekeeping goes on with.

pub mod db;

use jiff::Timestamp;

use super::accept::start;
use super::actions::ActionError;
use super::db as submission_db;
use super::model::Purpose;
use crate::audit::{self, Actor, Entry};
use crate::contest;
use crate::contest::model::{Competition, Phase};
use crate::house::House;
use crate::ids::{CompetitionId, PhaseId, RescoreId, SubmissionId, TeamId, UserId};
use crate::store::StoreError;

/// Submissions that are queued in one transaction.
const PART: i64 = 250;
/// Parts that are queued before whoever asked is answered; the rest follows.
const PARTS_AT_ONCE: usize = 4;
/// The announcement of a rescore, in the two languages of the pages.
const RESCORED: &str = "重新评分 Rescored";

/// What is to be scored again.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    /// One phase, or all.
    pub phase: Option<&'a Phase>,
    /// One team, or all.
    pub team: Option<TeamId>,
    /// Why; participants read it as an announcement, unless one team alone is scored again.
    pub reason: &'a str,
    /// [`super::queue::URGENT`], [`super::queue::NORMAL`] or [`super::queue::LATER`].
    pub priority: i64,
}

/// A rescore that was asked for.
#[derive(Clone, Debug)]
pub struct Rescore {
    /// Its id.
    pub id: RescoreId,
    /// The competition.
    pub competition: CompetitionId,
    /// One phase, or all.
    pub phase: Option<PhaseId>,
    /// One team, or all.
    pub team: Option<TeamId>,
    /// The organizer.
    pub requested_by: UserId,
    /// Why.
    pub reason: String,
    /// Of its runs.
    pub priority: i64,
    /// When; what is handed in later is not part of it.
    pub created_at: Timestamp,
}

/// How far a rescore is, in submissions.
#[derive(Clone, Debug)]
pub struct Progress {
    /// What was asked for.
    pub rescore: Rescore,
    /// The name of whoever asked.
    pub organizer: String,
    /// How many there are.
    pub total: i64,
    /// How many are over.
    pub done: i64,
    /// Whether all of them are in the queue, or were.
    pub all_queued: bool,
}

/// Has scored submissions, and those that the scorer failed, scored again with the current scorer;
/// gives how many. Old scores stay beside the new ones.
///
/// # Errors
/// [`ActionError::NoReason`]; when the database fails.
pub async fn begin(
    house: &House,
    competition: &Competition,
    organizer: UserId,
    wanted: &Wanted<'_>,
) -> Result<i64, ActionError> {
    let reason = wanted.reason.trim();
    if reason.is_empty() {
        return Err(ActionError::NoReason);
    }
    let now = house.clock.now();
    let rescore = Rescore {
        id: house.entropy.id(&house.clock),
        competition: competition.id,
        phase: wanted.phase.map(|p| p.id),
        team: wanted.team,
        requested_by: organizer,
        reason: reason.to_owned(),
        priority: wanted.priority,
        created_at: now,
    };
    let mut tx = house.db.begin().await?;
    let total = db::count(&mut tx, &rescore).await?;
    db::insert(&mut tx, &rescore, total).await?;
    let entry =
        Entry::new(now, Actor::User(organizer), "competition.rescored", ("competition", competition.id))
            .competition(competition.id)
            .detail("reason", reason)
            .detail("submissions", total);
    audit::record(&mut tx, entry).await?;
    if wanted.team.is_none() {
        contest::desk::announce_in(&mut tx, house, competition, organizer, (RESCORED, reason)).await?;
    }
    tx.commit().await?;
    go_on(house, &rescore, PARTS_AT_ONCE).await?;
    Ok(total)
}

/// Queues what rescores have not queued yet.
///
/// # Errors
/// When the database fails; the next call goes on.
pub async fn continue_all(house: &House) -> Result<(), StoreError> {
    let unfinished = db::unfinished(&mut *house.db.read().await?).await?;
    for rescore in &unfinished {
        go_on(house, rescore, usize::MAX).await?;
    }
    Ok(())
}

/// Queues up to so many parts of a rescore.
async fn go_on(house: &House, rescore: &Rescore, parts: usize) -> Result<(), StoreError> {
    let mut after: Option<(Timestamp, SubmissionId)> = None;
    for _ in 0..parts {
        let mut tx = house.db.begin().await?;
        if !db::lock(&mut tx, rescore.id).await? {
            return Ok(());
        }
        let part = db::next(&mut tx, rescore, after, PART).await?;
        for (_, id) in &part {
            submission_db::lock(&mut tx, *id).await?;
            if let Some(submission) = submission_db::by_id(&mut tx, *id).await? {
                let why = (Purpose::Rescore, Some(rescore.id));
                start(&mut tx, house, &submission, why, rescore.priority).await?;
            }
        }
        let over = i64::try_from(part.len()).unwrap_or(PART) < PART;
        if over {
            db::finish(&mut tx, rescore.id, house.clock.now()).await?;
        }
        tx.commit().await?;
        house.ring();
        if over {
            return Ok(());
        }
        after = part.last().copied();
    }
    Ok(())
}
