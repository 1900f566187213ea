//! Who takes part: registrations, terms accepted, teams and dated memberships.
//!
//! A participant without a team gets one of their own at the first submission. A team may be joined
//! by a secret link until the competition's merge lock (two that have submitted merge so, in
//! `submission::merge`); who was ever a member stays on record,
//! because the ledger counts what each of them was told.

pub mod db;

use jiff::Timestamp;

use super::model::{Competition, Membership, Participant, ParticipantState, Team};
use crate::audit::{self, Actor, Entry};
use crate::clock::{Clock, Entropy};
use crate::crypto::Sm3Digest;
use crate::ids::{TeamId, UserId};
use crate::people::invisible;
use crate::store::{Connection, StoreError, Tx};

/// Members that a team may have.
pub const TEAM_LIMIT: usize = 10;

/// Why an entry was refused.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    /// The terms shown were not accepted, or have changed since.
    #[error("the terms have to be accepted first; they may have changed since you last saw them")]
    TermsNotAccepted,
    /// The person is not admitted.
    #[error("you are not admitted to this competition ({0}); register on its page, or ask its organizer")]
    NotAdmitted(String),
    /// The person judges the competition, or did.
    #[error("who is asked to judge a competition, or did, cannot take part in it")]
    Judges,
    /// The merge lock has passed.
    #[error("teams of this competition have been fixed since {0}; ask the organizer")]
    TeamsLocked(Timestamp),
    /// The person has a team already.
    #[error("you are in team {0:?}; leave it first")]
    InTeam(String),
    /// The person has no team.
    #[error("you are in no team of this competition")]
    NoTeam,
    /// The name is taken.
    #[error("a team named {0:?} exists in this competition; choose another name")]
    NameTaken(String),
    /// The name is empty, too long, or has control characters.
    #[error("a team's name has 1 to 40 characters, none of them invisible")]
    BadName,
    /// The link is not valid (any more).
    #[error("this invitation is not valid any more; ask a member of the team for a new link")]
    BadInvitation,
    /// The team is full.
    #[error("team {0:?} has {TEAM_LIMIT} members, the most there may be")]
    TeamFull(String),
    /// Leaving would lose submissions.
    #[error("team {0:?} has submitted and you are its last member, so you cannot leave it")]
    LastMember(String),
    /// A team cannot be merged while its submissions are not over.
    #[error("team {0:?} has submissions that wait, run or are still to be told; join when they are over")]
    UnderWay(String),
    /// Two teams have submitted more together than a phase allows.
    #[error(
        "both teams together have made {together} submissions to the phase {phase:?}, which allows {limit}"
    )]
    TooManyTogether {
        /// The phase's name.
        phase: String,
        /// Submissions of both that count.
        together: i64,
        /// Allowed in all.
        limit: i64,
    },
    /// Someone is refused or removed without a reason.
    #[error("give a reason; the person will read it")]
    NoReason,
    /// The person is not registered.
    #[error("no registration of this person is known; refresh the page")]
    NoRegistration,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Registers a person who accepts the terms whose digest is `terms`; admits at once where the
/// competition says so. Registering twice changes nothing but the terms accepted.
///
/// # Errors
/// [`EntryError::NotAdmitted`] for someone who was refused or removed; [`EntryError::Judges`].
pub async fn register(
    tx: &mut Tx,
    clock: &Clock,
    competition: &Competition,
    user: UserId,
    terms: &str,
) -> Result<ParticipantState, EntryError> {
    let now = clock.now();
    if db::judges(tx, competition.id, user).await? {
        return Err(EntryError::Judges);
    }
    let state = match db::state(tx, competition.id, user).await? {
        Some(state @ (ParticipantState::Denied | ParticipantState::Removed)) => {
            return Err(EntryError::NotAdmitted(state.to_string()));
        }
        Some(state) => state,
        None if competition.definition.registration_auto_approve => ParticipantState::Approved,
        None => ParticipantState::Pending,
    };
    db::register(tx, competition.id, user, state, terms, now).await?;
    let entry = Entry::new(now, Actor::User(user), "participant.registered", ("user", user))
        .competition(competition.id)
        .detail("state", state.as_str())
        .detail("terms", terms);
    audit::record(tx, entry).await?;
    Ok(state)
}

/// The organizer's decision on a registration. Whoever is not admitted is told why.
///
/// # Errors
/// [`EntryError::NoReason`]; [`EntryError::NoRegistration`] when the person never registered.
pub async fn decide(
    tx: &mut Tx,
    clock: &Clock,
    competition: &Competition,
    organizer: UserId,
    user: UserId,
    state: ParticipantState,
    reason: &str,
) -> Result<(), EntryError> {
    let decision = Decision::new(clock, organizer, state, reason)?;
    if !db::decide(tx, competition.id, user, &decision).await? {
        return Err(EntryError::NoRegistration);
    }
    Ok(audit::record(tx, decision.entry(competition, user)).await?)
}

/// What an organizer decides about registrations.
struct Decision<'a> {
    state: ParticipantState,
    by: UserId,
    reason: &'a str,
    at: Timestamp,
}

impl<'a> Decision<'a> {
    fn new(clock: &Clock, by: UserId, state: ParticipantState, reason: &'a str) -> Result<Self, EntryError> {
        let reason = reason.trim();
        if state != ParticipantState::Approved && reason.is_empty() {
            return Err(EntryError::NoReason);
        }
        Ok(Self { state, by, reason, at: clock.now() })
    }

    fn entry(&self, competition: &Competition, user: UserId) -> Entry {
        Entry::new(self.at, Actor::User(self.by), "participant.decided", ("user", user))
            .competition(competition.id)
            .detail("state", self.state.as_str())
            .detail("reason", self.reason)
    }
}

/// One decision about several people who wait: admits or refuses those who still do when it is
/// written, each with an audit entry of their own, and leaves everybody else as they are. Gives how
/// many it was written for.
///
/// # Errors
/// [`EntryError::NoReason`]; [`EntryError::NoRegistration`] for a decision other than to admit or to
/// refuse.
pub async fn decide_waiting(
    tx: &mut Tx,
    clock: &Clock,
    competition: &Competition,
    organizer: UserId,
    users: &[UserId],
    state: ParticipantState,
    reason: &str,
) -> Result<usize, EntryError> {
    if !matches!(state, ParticipantState::Approved | ParticipantState::Denied) {
        return Err(EntryError::NoRegistration);
    }
    let decision = Decision::new(clock, organizer, state, reason)?;
    let mut decided = 0;
    for user in users {
        if db::decide_waiting(tx, competition.id, *user, &decision).await? {
            audit::record(tx, decision.entry(competition, *user)).await?;
            decided += 1;
        }
    }
    Ok(decided)
}

/// Makes sure that a person is admitted and has accepted the current terms.
///
/// # Errors
/// [`EntryError::NotAdmitted`] or [`EntryError::TermsNotAccepted`].
pub async fn admitted(
    conn: &mut Connection,
    competition: &Competition,
    user: UserId,
    terms: &str,
) -> Result<(), EntryError> {
    let registration = db::registration(conn, competition.id, user).await?;
    match registration {
        Some(r) if r.state != ParticipantState::Approved => Err(EntryError::NotAdmitted(r.state.to_string())),
        Some(r) if r.terms != terms => Err(EntryError::TermsNotAccepted),
        Some(_) => Ok(()),
        None => Err(EntryError::NotAdmitted("not registered".to_owned())),
    }
}

fn open_for_teams(competition: &Competition, now: Timestamp) -> Result<(), EntryError> {
    match competition.merge_lock_at {
        Some(lock) if now >= lock => Err(EntryError::TeamsLocked(lock)),
        _ => Ok(()),
    }
}

fn checked_name(name: &str) -> Result<String, EntryError> {
    let name = name.trim();
    let length = name.chars().count();
    if length == 0 || length > 40 || name.chars().any(invisible) {
        return Err(EntryError::BadName);
    }
    Ok(name.to_owned())
}

/// A team's name as it is compared with others: case and spacing tell no two apart.
pub(in crate::contest) fn name_key(name: &str) -> String {
    name.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The team of a person, made with the person's own name when there is none.
///
/// # Errors
/// When the database fails.
pub async fn team_for_submitting(
    tx: &mut Tx,
    clock: &Clock,
    entropy: Entropy,
    competition: &Competition,
    user: UserId,
    display_name: &str,
) -> Result<Team, EntryError> {
    if let Some(team) = db::team_of(tx, competition.id, user).await? {
        return Ok(team);
    }
    db::lock_teams(tx, competition.id).await?;
    // another request of the same person may have made it meanwhile
    if let Some(team) = db::team_of(tx, competition.id, user).await? {
        return Ok(team);
    }
    let wanted: String = display_name.chars().filter(|c| !invisible(*c)).take(30).collect();
    let wanted = if wanted.trim().is_empty() { "Team".to_owned() } else { wanted.trim().to_owned() };
    let mut name = wanted.clone();
    let mut number = 2;
    while db::team_named(tx, competition.id, &name).await? {
        name = format!("{wanted} {number}");
        number += 1;
    }
    found(tx, clock, entropy, competition, user, name).await
}

/// The team that a competition's dry runs belong to, made when there is none. Its name is empty, which
/// no other's can be, and nobody is a member: what it is told is charged to the organizer who asked.
///
/// # Errors
/// When the database fails.
pub async fn desk_team(
    tx: &mut Tx,
    clock: &Clock,
    entropy: Entropy,
    competition: &Competition,
    organizer: UserId,
) -> Result<Team, EntryError> {
    if let Some(team) = db::desk_team(tx, competition.id).await? {
        return Ok(team);
    }
    db::lock_teams(tx, competition.id).await?;
    if let Some(team) = db::desk_team(tx, competition.id).await? {
        return Ok(team);
    }
    let (id, now) = (entropy.id(clock), clock.now());
    let name = String::new();
    let team = Team { id, competition: competition.id, name, created_at: now, created_by: organizer };
    db::insert_desk_team(tx, &team).await?;
    Ok(team)
}

async fn found(
    tx: &mut Tx,
    clock: &Clock,
    entropy: Entropy,
    competition: &Competition,
    user: UserId,
    name: String,
) -> Result<Team, EntryError> {
    let now = clock.now();
    let team =
        Team { id: entropy.id(clock), competition: competition.id, name, created_at: now, created_by: user };
    db::insert_team(tx, &team).await?;
    db::join(tx, &team, user, now).await?;
    let entry = Entry::new(now, Actor::User(user), "team.created", ("team", team.id))
        .competition(competition.id)
        .detail("name", team.name.as_str());
    audit::record(tx, entry).await?;
    Ok(team)
}

/// Makes a team with a chosen name.
///
/// # Errors
/// When teams are locked, the person has one, or the name is bad or taken.
pub async fn create_team(
    tx: &mut Tx,
    clock: &Clock,
    entropy: Entropy,
    competition: &Competition,
    user: UserId,
    name: &str,
) -> Result<Team, EntryError> {
    open_for_teams(competition, clock.now())?;
    let name = checked_name(name)?;
    db::lock_teams(tx, competition.id).await?;
    if let Some(team) = db::team_of(tx, competition.id, user).await? {
        return Err(EntryError::InTeam(team.name));
    }
    if db::team_named(tx, competition.id, &name).await? {
        return Err(EntryError::NameTaken(name));
    }
    found(tx, clock, entropy, competition, user, name).await
}

/// Gives the person's team another name.
///
/// # Errors
/// When the person has no team, or the name is bad or taken.
pub async fn rename_team(
    tx: &mut Tx,
    clock: &Clock,
    competition: &Competition,
    user: UserId,
    name: &str,
) -> Result<Team, EntryError> {
    let name = checked_name(name)?;
    db::lock_teams(tx, competition.id).await?;
    let mut team = db::team_of(tx, competition.id, user).await?.ok_or(EntryError::NoTeam)?;
    if name_key(&team.name) != name_key(&name) && db::team_named(tx, competition.id, &name).await? {
        return Err(EntryError::NameTaken(name));
    }
    db::rename(tx, team.id, &name).await?;
    let entry = Entry::new(clock.now(), Actor::User(user), "team.renamed", ("team", team.id))
        .competition(competition.id)
        .detail("from", team.name.as_str())
        .detail("to", name.as_str());
    audit::record(tx, entry).await?;
    team.name = name;
    Ok(team)
}

/// Makes a new invitation for the person's team and gives its secret; earlier ones stop working.
///
/// # Errors
/// When teams are locked or the person has no team.
pub async fn invite(
    tx: &mut Tx,
    clock: &Clock,
    entropy: Entropy,
    competition: &Competition,
    user: UserId,
) -> Result<String, EntryError> {
    open_for_teams(competition, clock.now())?;
    let team = db::team_of(tx, competition.id, user).await?.ok_or(EntryError::NoTeam)?;
    let secret = entropy.secret();
    db::set_invitation(tx, team.id, Some(&Sm3Digest::of(secret.as_bytes()).to_string())).await?;
    let entry = Entry::new(clock.now(), Actor::User(user), "team.invited", ("team", team.id))
        .competition(competition.id);
    audit::record(tx, entry).await?;
    Ok(secret)
}

/// The team that an invitation's secret leads to.
///
/// # Errors
/// [`EntryError::BadInvitation`] when there is none.
pub async fn invited_to(
    conn: &mut Connection,
    competition: &Competition,
    secret: &str,
) -> Result<(Team, Vec<Membership>), EntryError> {
    let digest = Sm3Digest::of(secret.as_bytes()).to_string();
    let team =
        db::team_by_invitation(conn, competition.id, &digest).await?.ok_or(EntryError::BadInvitation)?;
    let members = db::members(conn, team.id).await?;
    Ok((team, members))
}

/// The team that an invitation leads to, which the person may join, and the person's present one.
///
/// # Errors
/// When teams are locked, the link is not valid or the team is full.
pub async fn before_joining(
    tx: &mut Tx,
    clock: &Clock,
    competition: &Competition,
    user: UserId,
    secret: &str,
) -> Result<(Team, Option<Team>), EntryError> {
    open_for_teams(competition, clock.now())?;
    db::lock_teams(tx, competition.id).await?;
    let (team, members) = invited_to(tx, competition, secret).await?;
    let present = db::team_of(tx, competition.id, user).await?;
    let is_member = present.as_ref().is_some_and(|own| own.id == team.id);
    if !is_member && members.iter().filter(|m| m.left_at.is_none()).count() >= TEAM_LIMIT {
        return Err(EntryError::TeamFull(team.name));
    }
    Ok((team, present))
}

/// Makes somebody who is in no team a member of one; that they may is for the caller to know.
///
/// # Errors
/// When the database fails.
pub async fn enter_team(
    tx: &mut Tx,
    clock: &Clock,
    competition: &Competition,
    team: &Team,
    user: UserId,
) -> Result<(), StoreError> {
    let now = clock.now();
    db::join(tx, team, user, now).await?;
    let entry =
        Entry::new(now, Actor::User(user), "team.joined", ("team", team.id)).competition(competition.id);
    audit::record(tx, entry).await
}

/// Whether a team has one member, whom it holds since it has submitted: else a new team after every
/// submission would be a new quota.
///
/// # Errors
/// When the database fails.
pub async fn holds_its_last_member(conn: &mut Connection, team: TeamId) -> Result<bool, StoreError> {
    let present = db::members(conn, team).await?.iter().filter(|m| m.left_at.is_none()).count();
    Ok(present == 1 && db::has_submitted(conn, team).await?)
}

/// Leaves the person's team.
///
/// # Errors
/// When teams are locked, the person has none, or is the last member of one that has submitted.
pub async fn leave(
    tx: &mut Tx,
    clock: &Clock,
    competition: &Competition,
    user: UserId,
) -> Result<TeamId, EntryError> {
    let now = clock.now();
    open_for_teams(competition, now)?;
    db::lock_teams(tx, competition.id).await?;
    let team = db::team_of(tx, competition.id, user).await?.ok_or(EntryError::NoTeam)?;
    db::lock(tx, team.id, now).await?;
    if holds_its_last_member(tx, team.id).await? {
        return Err(EntryError::LastMember(team.name));
    }
    db::leave(tx, team.id, user, now).await?;
    let entry =
        Entry::new(now, Actor::User(user), "team.left", ("team", team.id)).competition(competition.id);
    audit::record(tx, entry).await?;
    Ok(team.id)
}

/// Everyone registered for a competition, those who wait first, then by time.
///
/// # Errors
/// When the database fails.
pub async fn participants(
    conn: &mut Connection,
    competition: &Competition,
) -> Result<Vec<Participant>, StoreError> {
    db::participants(conn, competition.id).await
}
