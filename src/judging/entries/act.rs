//! What is done to entries: written, submitted, withdrawn, shown, and what organizers do.

use jiff::Timestamp;

use super::db;
use super::files::{self, Incoming};
use super::model::{Cause, Content, Draft, Entry, EntryState, Version};
use super::{EntryFault, Window, checked};
use crate::audit::{self, Actor};
use crate::contest::definition::{EntryPart, EntryRules};
use crate::contest::model::{Competition, Team};
use crate::house::House;
use crate::ids::{EntryId, SubmissionId, UserId};
use crate::judging::panel;
use crate::store::{Connection, Tx};
use crate::submission::model::Origin;

/// Versions kept that were never submitted; the oldest go first.
const VERSIONS: i64 = 60;
/// The longest that an organizer may let a team go on after the deadline, in days.
pub const LATE_DAYS: i64 = 60;

/// Where a team writes: the competition with what it asks for, the team, and when.
#[derive(Clone, Copy)]
pub struct Desk<'a> {
    /// The competition.
    pub competition: &'a Competition,
    /// What it asks for.
    pub rules: &'a EntryRules,
    /// When it takes entries.
    pub window: Window,
    /// The team.
    pub team: &'a Team,
}

/// A change that a member makes.
pub struct Change {
    /// The revision that the member saw; 0 where there was nothing yet.
    pub seen: i64,
    /// What it is to say.
    pub content: Content,
    /// Pictures to put behind those it names.
    pub pictures: Vec<Incoming>,
    /// A report in place of the one it names.
    pub pdf: Option<Incoming>,
    /// Whether the member asked for it to be saved: then it becomes a version. Else it was saved while
    /// they wrote.
    pub asked: bool,
}

/// The entry of a team, locked, made where there is none.
async fn locked(tx: &mut Tx, house: &House, desk: Desk<'_>, by: UserId) -> Result<Entry, EntryFault> {
    let now = house.clock.now();
    if let Some(entry) = db::of_team(tx, desk.team.id).await? {
        db::lock(tx, entry.id).await?;
        // again: another request may have changed it meanwhile
        return db::by_id(tx, entry.id).await?.ok_or(EntryFault::Gone);
    }
    desk.window.open(None, now)?;
    // one at a time in the competition, so that numbers and teams stay unique
    crate::contest::db::lock(tx, desk.competition.id).await?;
    if let Some(entry) = db::of_team(tx, desk.team.id).await? {
        return Ok(entry);
    }
    let taken = db::numbers(tx, desk.competition.id).await?;
    let entry = Entry {
        id: house.entropy.id(&house.clock),
        competition: desk.competition.id,
        team: desk.team.id,
        number: super::drawn(&taken, || u64::from_le_bytes(house.entropy.bytes::<8>())),
        state: EntryState::Draft,
        submitted_version: None,
        created_at: now,
        submitted_at: None,
        submitted_by: None,
        withdrawn_at: None,
        withdrawn_reason: String::new(),
        late_until: None,
        late_reason: String::new(),
        published_at: None,
        hidden_reason: String::new(),
        judged_since: None,
        signed: false,
    };
    db::insert(tx, &entry, by).await?;
    Ok(entry)
}

/// Changes a draft; what it replaces is kept as a version where somebody else wrote it.
///
/// # Errors
/// [`EntryFault::Changed`] with what stands there now, where it is not what the member saw; other
/// [`EntryFault`]s for what cannot be taken. Nothing has changed then.
pub async fn save(house: &House, desk: Desk<'_>, by: Actor, change: Change) -> Result<Draft, EntryFault> {
    let user = by.user().ok_or(EntryFault::Gone)?;
    let mut content = checked(change.content, desk.rules)?;
    let now = house.clock.now();
    let mut tx = house.db.begin().await?;
    let entry = locked(&mut tx, house, desk, user).await?;
    desk.window.open(Some(&entry), now)?;
    let before = db::draft(&mut tx, entry.id).await?;
    // who saw nothing yet saw the empty draft that was just made
    let seen = if change.seen == 0 { 1 } else { change.seen };
    if before.revision != seen {
        return Err(EntryFault::Changed(Box::new(before)));
    }
    named_files_are_theirs(&mut tx, entry.id, &content).await?;
    submission_is_theirs(&mut tx, desk.team, &content).await?;
    let kept = files::keep(house, &mut tx, desk.rules, &entry, user, change.pictures, change.pdf).await?;
    let written = async {
        files::enter(&mut content, &kept, desk.rules)?;
        if before.by != user && !is_kept(&mut tx, entry.id, &before.content).await? {
            db::insert_version(&mut tx, entry.id, Cause::Kept, &before.content, (before.by, before.at))
                .await?;
        }
        let same = before.content == content;
        if !same && !db::set_draft(&mut tx, entry.id, seen, &content, (user, now)).await? {
            return Err(EntryFault::Changed(Box::new(db::draft(&mut tx, entry.id).await?)));
        }
        if change.asked && !is_kept(&mut tx, entry.id, &content).await? {
            db::insert_version(&mut tx, entry.id, Cause::Saved, &content, (user, now)).await?;
            db::prune_versions(&mut tx, entry.id, VERSIONS).await?;
        }
        files::forget_unnamed(&mut tx, entry.id).await
    };
    let outcome = match written.await {
        Ok(gone) => tx.commit().await.map(|()| gone).map_err(EntryFault::from),
        Err(fault) => Err(fault),
    };
    match outcome {
        Ok(gone) => files::delete(house, &gone).await,
        Err(fault) => {
            files::delete(house, &kept).await;
            return Err(fault);
        }
    }
    Ok(db::draft(&mut *house.db.read().await?, entry.id).await?)
}

/// Whether the newest version says the same.
async fn is_kept(conn: &mut Connection, id: EntryId, content: &Content) -> Result<bool, EntryFault> {
    Ok(db::newest_version(conn, id).await?.is_some_and(|version| version.content == *content))
}

async fn named_files_are_theirs(
    conn: &mut Connection,
    id: EntryId,
    content: &Content,
) -> Result<(), EntryFault> {
    let theirs = db::files(conn, id).await?;
    match content.files().all(|named| theirs.iter().any(|file| file.id == named)) {
        true => Ok(()),
        false => Err(EntryFault::NoFile),
    }
}

async fn submission_is_theirs(
    conn: &mut Connection,
    team: &Team,
    content: &Content,
) -> Result<(), EntryFault> {
    let Some(wanted) = content.submission else { return Ok(()) };
    match db::choices(conn, team.id).await?.iter().any(|choice| choice.id == wanted) {
        true => Ok(()),
        false => Err(EntryFault::NoSubmission),
    }
}

/// Hands the draft in as it stands. `best`: the team's best submission on the board, which it is about
/// where the team chose none.
///
/// # Errors
/// [`EntryFault::Lacks`] what is required; [`EntryFault::Changed`] where the draft is not what the
/// member saw.
pub async fn submit(
    house: &House,
    desk: Desk<'_>,
    by: Actor,
    seen: i64,
    best: Option<SubmissionId>,
) -> Result<Entry, EntryFault> {
    let user = by.user().ok_or(EntryFault::Gone)?;
    let now = house.clock.now();
    let mut tx = house.db.begin().await?;
    let mut entry = locked(&mut tx, house, desk, user).await?;
    desk.window.open(Some(&entry), now)?;
    let draft = db::draft(&mut tx, entry.id).await?;
    if draft.revision != seen {
        return Err(EntryFault::Changed(Box::new(draft)));
    }
    let mut content = draft.content;
    submission_is_theirs(&mut tx, desk.team, &content).await?;
    content.submission = content.submission.or(best);
    let lacks = content.lacks(&desk.rules.required, content.submission.is_some());
    if content.title.trim().is_empty() || !lacks.is_empty() {
        return Err(EntryFault::Lacks { title: content.title.trim().is_empty(), parts: lacks });
    }
    let standing = entry.standing_version();
    if let Some(newest) = db::newest_version(&mut tx, entry.id).await?
        && standing == Some(newest.number)
        && newest.content == content
    {
        // it stands so already
        return Ok(entry);
    }
    let version = db::insert_version(&mut tx, entry.id, Cause::Submitted, &content, (user, now)).await?;
    entry.state = EntryState::Submitted;
    entry.submitted_version = Some(version);
    entry.submitted_at = Some(now);
    entry.submitted_by = Some(user);
    entry.withdrawn_at = None;
    entry.withdrawn_reason = String::new();
    refuse_unreleased(&mut tx, &mut entry, &content).await?;
    db::set_standing(&mut tx, &entry).await?;
    panel::entry_submitted(&mut tx, &entry, (now, by)).await?;
    let row = note(&entry, now, by, "entry.submitted").detail("version", version);
    audit::record(&mut tx, row).await?;
    tx.commit().await?;
    Ok(entry)
}

/// An entry that is shown and comes to be about a submission from a sandbox is shown no more.
async fn refuse_unreleased(
    conn: &mut Connection,
    entry: &mut Entry,
    content: &Content,
) -> Result<(), EntryFault> {
    if entry.published_at.is_some() && embeds(conn, content).await? {
        entry.published_at = None;
    }
    Ok(())
}

/// Whether what it is about was handed in from inside a sandbox, and may embed data of the domain.
async fn embeds(conn: &mut Connection, content: &Content) -> Result<bool, EntryFault> {
    let Some(id) = content.submission else { return Ok(false) };
    let found = crate::submission::db::by_id(conn, id).await?;
    Ok(found.is_none_or(|submission| submission.origin == Origin::Sandbox))
}

/// Takes an entry back: judges see it no more. The team may do so until the ranking is signed, and hand it in
/// again while entries are taken.
///
/// # Errors
/// [`EntryFault::NotSubmitted`] where there is nothing to take back, [`EntryFault::Signed`].
pub async fn withdraw(house: &House, desk: Desk<'_>, by: Actor) -> Result<Entry, EntryFault> {
    take_back(house, desk.team.id, by, "", "entry.withdrawn").await
}

/// An organizer takes an entry back, with the reason that the team reads.
///
/// # Errors
/// [`EntryFault::NoReason`], or as [`withdraw`].
pub async fn unsubmit(house: &House, entry: &Entry, by: Actor, reason: &str) -> Result<Entry, EntryFault> {
    let reason = reasoned(reason)?;
    take_back(house, entry.team, by, reason, "entry.unsubmitted").await
}

async fn take_back(
    house: &House,
    team: crate::ids::TeamId,
    by: Actor,
    reason: &str,
    action: &'static str,
) -> Result<Entry, EntryFault> {
    let now = house.clock.now();
    change(house, team, |entry| {
        if entry.state != EntryState::Submitted {
            return Err(EntryFault::NotSubmitted);
        }
        // a team may not undo what its judges signed; an organizer may, and says why
        if entry.signed && reason.is_empty() {
            return Err(EntryFault::Signed);
        }
        entry.state = EntryState::Withdrawn;
        entry.withdrawn_at = Some(now);
        entry.withdrawn_reason = reason.to_owned();
        entry.published_at = None;
        Ok(note(entry, now, by, action).detail("reason", reason))
    })
    .await
}

/// Lets a team change and hand in its entry after the deadline, until then.
///
/// # Errors
/// [`EntryFault::NoReason`]; [`EntryFault::Late`] for a time that is past or too far away.
pub async fn allow_late(
    house: &House,
    entry: &Entry,
    by: Actor,
    until: Timestamp,
    reason: &str,
) -> Result<Entry, EntryFault> {
    let (now, reason) = (house.clock.now(), reasoned(reason)?);
    let days = until.duration_since(now).as_hours() / 24;
    if until <= now || days > LATE_DAYS {
        return Err(EntryFault::Late);
    }
    change(house, entry.team, |entry| {
        entry.late_until = Some(until);
        entry.late_reason = reason.to_owned();
        let row = note(entry, now, by, "entry.late_allowed").detail("until", until.to_string());
        Ok(row.detail("reason", reason))
    })
    .await
}

/// Shows an entry to visitors once the competition is over, or takes it down again: the team's choice.
///
/// # Errors
/// [`EntryFault::NotSubmitted`]; [`EntryFault::Unreleased`] where it is about a submission from a
/// sandbox; [`EntryFault::TakenDown`] where an organizer took it down.
pub async fn publish(house: &House, desk: Desk<'_>, by: Actor, shown: bool) -> Result<Entry, EntryFault> {
    let now = house.clock.now();
    let mut tx = house.db.begin().await?;
    let entry = db::of_team(&mut tx, desk.team.id).await?.ok_or(EntryFault::NotSubmitted)?;
    db::lock(&mut tx, entry.id).await?;
    let mut entry = db::by_id(&mut tx, entry.id).await?.ok_or(EntryFault::Gone)?;
    if shown {
        let version = entry.standing_version().ok_or(EntryFault::NotSubmitted)?;
        let version = db::version_of(&mut tx, entry.id, version).await?.ok_or(EntryFault::Gone)?;
        if embeds(&mut tx, &version.content).await? {
            return Err(EntryFault::Unreleased);
        }
        if !entry.hidden_reason.is_empty() {
            return Err(EntryFault::TakenDown);
        }
    }
    entry.published_at = shown.then_some(now);
    db::set_standing(&mut tx, &entry).await?;
    let action = if shown { "entry.published" } else { "entry.unpublished" };
    audit::record(&mut tx, note(&entry, now, by, action)).await?;
    tx.commit().await?;
    Ok(entry)
}

/// An organizer takes an entry out of the showcase, or with an empty reason lets it in again.
///
/// # Errors
/// When the database fails.
pub async fn take_down(house: &House, entry: &Entry, by: Actor, reason: &str) -> Result<Entry, EntryFault> {
    let (now, reason) = (house.clock.now(), reason.trim());
    change(house, entry.team, |entry| {
        entry.hidden_reason = reason.chars().take(500).collect();
        if !reason.is_empty() {
            entry.published_at = None;
        }
        Ok(note(entry, now, by, "entry.showcase_decided").detail("reason", reason))
    })
    .await
}

/// Brings an earlier version back as the draft; what stood there is kept as a version.
///
/// # Errors
/// [`EntryFault::Gone`] when there is no such version, [`EntryFault::NoFile`] when a file of it is not kept.
pub async fn restore(house: &House, desk: Desk<'_>, by: Actor, number: i64) -> Result<Version, EntryFault> {
    let user = by.user().ok_or(EntryFault::Gone)?;
    let now = house.clock.now();
    let mut tx = house.db.begin().await?;
    let entry = locked(&mut tx, house, desk, user).await?;
    desk.window.open(Some(&entry), now)?;
    let version = db::version_of(&mut tx, entry.id, number).await?.ok_or(EntryFault::Gone)?;
    let before = db::draft(&mut tx, entry.id).await?;
    if !is_kept(&mut tx, entry.id, &before.content).await? {
        db::insert_version(&mut tx, entry.id, Cause::Kept, &before.content, (before.by, before.at)).await?;
    }
    db::set_draft(&mut tx, entry.id, before.revision, &version.content, (user, now)).await?;
    db::insert_version(&mut tx, entry.id, Cause::Restored, &version.content, (user, now)).await?;
    db::prune_versions(&mut tx, entry.id, VERSIONS).await?;
    tx.commit().await?;
    Ok(version)
}

/// What becomes of the entry of a team that becomes part of another: the other has it, where it has
/// none of its own; else it is withdrawn and stays with the team that is over.
///
/// # Errors
/// When the database fails.
pub async fn follow_team(
    tx: &mut Tx,
    now: Timestamp,
    own: &Team,
    target: &Team,
    by: UserId,
) -> Result<(), crate::store::StoreError> {
    let Some(mut entry) = db::of_team(tx, own.id).await? else { return Ok(()) };
    let by = Actor::User(by);
    if db::of_team(tx, target.id).await?.is_none() {
        db::set_team(tx, entry.id, target.id).await?;
        let row = note(&entry, now, by, "entry.moved").detail("to", target.id.to_string());
        return audit::record(tx, row).await;
    }
    if entry.state == EntryState::Submitted {
        entry.state = EntryState::Withdrawn;
        entry.withdrawn_at = Some(now);
        entry.published_at = None;
        db::set_standing(tx, &entry).await?;
        panel::entry_withdrawn(tx, &entry, (now, by)).await?;
        audit::record(tx, note(&entry, now, by, "entry.withdrawn").detail("reason", "merged")).await?;
    }
    Ok(())
}

/// Changes where a team's entry stands, with its audit row.
async fn change(
    house: &House,
    team: crate::ids::TeamId,
    make: impl FnOnce(&mut Entry) -> Result<audit::Entry, EntryFault>,
) -> Result<Entry, EntryFault> {
    let mut tx = house.db.begin().await?;
    let entry = db::of_team(&mut tx, team).await?.ok_or(EntryFault::NotSubmitted)?;
    db::lock(&mut tx, entry.id).await?;
    let mut entry = db::by_id(&mut tx, entry.id).await?.ok_or(EntryFault::Gone)?;
    let before = entry.state;
    let row = make(&mut entry)?;
    db::set_standing(&mut tx, &entry).await?;
    if (before, entry.state) == (EntryState::Submitted, EntryState::Withdrawn) {
        panel::entry_withdrawn(&mut tx, &entry, (house.clock.now(), row.actor())).await?;
    }
    audit::record(&mut tx, row).await?;
    tx.commit().await?;
    Ok(entry)
}

fn reasoned(reason: &str) -> Result<&str, EntryFault> {
    let reason = reason.trim();
    if reason.is_empty() { Err(EntryFault::NoReason) } else { Ok(reason) }
}

fn note(entry: &Entry, now: Timestamp, by: Actor, action: &'static str) -> audit::Entry {
    audit::Entry::new(now, by, action, ("entry", entry.id))
        .competition(entry.competition)
        .detail("team", entry.team.to_string())
        .detail("number", entry.number)
}

/// The required parts that a draft lacks, for the page that says so before it is submitted.
pub fn lacking(content: &Content, rules: &EntryRules, best: Option<SubmissionId>) -> Vec<EntryPart> {
    content.lacks(&rules.required, content.submission.or(best).is_some())
}
