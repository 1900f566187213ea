//! Panels and who sits on them: appointing, accepting, resigning, conflicts of interest.

pub mod db;
mod follow;

use super::act::Act;
use super::entries;
use super::minutes::{self, Note};
use super::model::{Conflict, JudgeState, Panel, PanelState};
use super::{JudgingError, Seat, assign, reason_of, rubric};
use crate::audit::Actor;
use crate::contest::db as contest_db;
use crate::contest::model::Competition;
use crate::house::House;
use crate::ids::{CompetitionId, ConflictId, EntryId, PanelId, UserId};
use crate::people;
use crate::store::{Connection, StoreError, Tx};

pub use follow::{entry_submitted, entry_withdrawn, organisation_changed, team_changed};

/// Whom a conflict is with.
#[derive(Clone, Debug)]
pub enum With {
    /// One entry, which a judge has recognised.
    Entry(EntryId),
    /// Everything of an organisation's people, by its name.
    Organisation(String),
}

/// The panel of a competition, locked for a change.
pub(super) async fn held(
    tx: &mut Tx,
    competition: CompetitionId,
    id: PanelId,
) -> Result<Panel, JudgingError> {
    let panel = db::lock(tx, id).await?;
    panel.filter(|panel| panel.competition == competition).ok_or(JudgingError::Unknown("panel"))
}

/// The panel that judges what no other was given; made when there is none yet.
///
/// # Errors
/// When the database fails.
pub async fn main(house: &House, competition: &Competition, by: Actor) -> Result<Panel, JudgingError> {
    let found = db::of_competition(&mut *house.db.read().await?, competition.id).await?;
    match found.into_iter().find(|panel| panel.main) {
        Some(panel) => Ok(panel),
        None => make(house, competition, (by, true), "").await,
    }
}

/// Makes a panel beside the main one.
///
/// # Errors
/// [`JudgingError::BadName`].
pub async fn add(
    house: &House,
    competition: &Competition,
    organizer: Actor,
    name: &str,
) -> Result<Panel, JudgingError> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > 60 || name.chars().any(people::invisible) {
        return Err(JudgingError::BadName);
    }
    make(house, competition, (organizer, false), name).await
}

async fn make(
    house: &House,
    competition: &Competition,
    (by, main): (Actor, bool),
    name: &str,
) -> Result<Panel, JudgingError> {
    let now = house.clock.now();
    let mut tx = house.db.begin().await?;
    contest_db::lock(&mut tx, competition.id).await?;
    let there = db::of_competition(&mut tx, competition.id).await?;
    if let Some(panel) = there.iter().find(|panel| panel.name == name) {
        // somebody else made the main one between
        return if main { Ok(panel.clone()) } else { Err(JudgingError::BadName) };
    }
    let panel = Panel {
        id: house.entropy.id(&house.clock),
        competition: competition.id,
        name: name.to_owned(),
        main,
        state: PanelState::Preparing,
        round: 1,
        edition: 1,
        seed: String::new(),
        peek: true,
        created_at: now,
    };
    db::insert(&mut tx, &panel, by).await?;
    minutes::write(&mut tx, &panel, (now, by), Note::new("panel-made").with("name", name)).await?;
    tx.commit().await?;
    Ok(panel)
}

/// Gives an entry to this panel; to the main one, gives it back.
///
/// # Errors
/// [`JudgingError::WrongState`] where the panel it comes from or goes to has closed its round.
pub async fn take_entry(
    house: &House,
    competition: &Competition,
    id: PanelId,
    seat: Seat,
    number: i64,
) -> Result<(), JudgingError> {
    seat.organizes()?;
    let mut act = Act::begin(house, competition, id, seat).await?;
    let entry = entries::db::by_number(&mut act.tx, competition.id, number).await?;
    let entry = entry.ok_or(JudgingError::Unknown("entry"))?;
    let from = assign::panel_of(&mut act.tx, &entry).await?;
    if from.as_ref().is_some_and(|from| from.id == act.panel.id) {
        return Ok(());
    }
    for touched in [Some(&act.panel), from.as_ref()].into_iter().flatten() {
        changeable(touched)?;
    }
    db::give(&mut act.tx, entry.id, Some(act.panel.id).filter(|_| !act.panel.main)).await?;
    let name = act.panel.name.clone();
    let note = || Note::new("entry-given").with("entry", number).with("panel", name.as_str());
    act.note(note()).await?;
    if let Some(from) = from {
        let from = held(&mut act.tx, competition.id, from.id).await?;
        minutes::write(&mut act.tx, &from, (act.now, seat.actor), note()).await?;
        assign::redraw(&mut act.tx, &from, (act.now, seat.actor)).await?;
    }
    act.redraw().await?;
    act.commit().await
}

fn changeable(panel: &Panel) -> Result<(), JudgingError> {
    match panel.state {
        PanelState::Preparing | PanelState::Open => Ok(()),
        state => Err(JudgingError::WrongState { state }),
    }
}

/// Asks somebody to judge, in the chair or not. A new chair replaces the old one, who stays a judge.
///
/// # Errors
/// [`JudgingError::TakesPart`], [`JudgingError::Runs`], [`JudgingError::JudgeAlready`].
pub async fn appoint(
    house: &House,
    competition: &Competition,
    id: PanelId,
    seat: Seat,
    (login, chair): (&str, bool),
) -> Result<(), JudgingError> {
    seat.organizes()?;
    let mut act = Act::begin(house, competition, id, seat).await?;
    changeable(&act.panel)?;
    let person = people::standing_named(&mut act.tx, login).await?.ok_or(JudgingError::Unknown("account"))?;
    if db::takes_part(&mut act.tx, competition.id, person.user).await? {
        return Err(JudgingError::TakesPart);
    }
    let blind = rubric::in_force(&mut act.tx, competition.id).await?.is_none_or(|(_, judging)| judging.blind);
    if blind && person.runs(competition.id) {
        return Err(JudgingError::Runs);
    }
    if db::judge(&mut act.tx, id, person.user).await?.is_some_and(|judge| judge.state.stands()) {
        return Err(JudgingError::JudgeAlready);
    }
    db::invite(&mut act.tx, &act.panel, person.user, (false, act.now)).await?;
    if chair {
        db::set_chair(&mut act.tx, id, person.user).await?;
    }
    people::set_judge(&mut act.tx, person.user, competition.id, true, (act.now, seat.actor)).await?;
    let note = Note::new("judge-appointed").with("judge", person.name).with("chair", chair);
    act.note(note).await?;
    act.commit().await
}

/// Puts a judge into the chair.
///
/// # Errors
/// When they are not a judge of the panel.
pub async fn make_chair(
    house: &House,
    competition: &Competition,
    id: PanelId,
    seat: Seat,
    user: UserId,
) -> Result<(), JudgingError> {
    seat.organizes()?;
    let mut act = Act::begin(house, competition, id, seat).await?;
    if act.panel.state == PanelState::Signed {
        return Err(JudgingError::WrongState { state: act.panel.state });
    }
    let judge = db::judge(&mut act.tx, id, user).await?.filter(|judge| judge.state.stands());
    let judge = judge.ok_or(JudgingError::Unknown("judge"))?;
    db::set_chair(&mut act.tx, id, user).await?;
    let note = Note::new("chair-appointed").with("judge", judge.name);
    act.note(note).await?;
    act.commit().await
}

/// What becomes of a judge: they accept, decline or resign themselves, an organizer removes them. What they
/// have not submitted is given to others at once.
///
/// # Errors
/// [`JudgingError::WrongState`] when they are not asked or do not judge; [`JudgingError::NoReason`].
pub async fn answer(
    house: &House,
    competition: &Competition,
    id: PanelId,
    seat: Seat,
    (user, state, reason): (UserId, JudgeState, &str),
) -> Result<(), JudgingError> {
    let mut act = Act::begin(house, competition, id, seat).await?;
    let judge = db::judge(&mut act.tx, id, user).await?.ok_or(JudgingError::Unknown("judge"))?;
    match state {
        JudgeState::Removed => seat.organizes()?,
        _ if seat.user == user => {}
        _ => return Err(JudgingError::NotYours("the judge")),
    }
    let fits = match state {
        JudgeState::Accepted | JudgeState::Declined => judge.state == JudgeState::Invited,
        JudgeState::Resigned => judge.state == JudgeState::Accepted,
        JudgeState::Removed => judge.state.stands(),
        JudgeState::Invited => false,
    };
    if !fits || act.panel.state == PanelState::Signed {
        return Err(JudgingError::WrongState { state: act.panel.state });
    }
    if state == JudgeState::Accepted && db::takes_part(&mut act.tx, competition.id, user).await? {
        return Err(JudgingError::TakesPart);
    }
    let reason = match state {
        JudgeState::Resigned | JudgeState::Removed => reason_of(reason)?,
        _ => reason.trim().chars().take(500).collect(),
    };
    db::set_judge(&mut act.tx, (id, user), state, (act.now, &reason)).await?;
    let note = Note::new("judge-answered").with("judge", judge.name).with("state", state.as_str());
    act.note(note.with("reason", reason)).await?;
    if !db::stands(&mut act.tx, competition.id, user).await? {
        people::set_judge(&mut act.tx, user, competition.id, false, (act.now, seat.actor)).await?;
    }
    act.redraw().await?;
    act.commit().await
}

/// Declares a conflict of interest: a judge their own, with an entry that they are to mark; the chair or an
/// organizer anybody's, with an organisation. Marks given in spite of it count no more.
///
/// # Errors
/// [`JudgingError::Unknown`], [`JudgingError::NoReason`], [`JudgingError::WrongState`].
pub async fn declare(
    house: &House,
    competition: &Competition,
    id: PanelId,
    seat: Seat,
    (user, with, reason): (UserId, With, &str),
) -> Result<(), JudgingError> {
    let reason = reason_of(reason)?;
    let mut act = Act::begin(house, competition, id, seat).await?;
    if act.panel.state == PanelState::Signed {
        return Err(JudgingError::WrongState { state: act.panel.state });
    }
    let judge = db::judge(&mut act.tx, id, user).await?.filter(|judge| judge.state.stands());
    let judge = judge.ok_or(JudgingError::Unknown("judge"))?;
    let note = Note::new("conflict-declared").with("judge", judge.name).with("reason", reason.as_str());
    let (entry, organisation, note) = match with {
        With::Entry(entry) if seat.user == user || seat.runs().is_ok() => {
            let found = entries::by_id(&mut act.tx, entry).await?;
            let found = found.filter(|found| found.competition == competition.id);
            let number = found.ok_or(JudgingError::Unknown("entry"))?.number;
            (Some(entry), None, note.with("entry", number))
        }
        With::Entry(_) => return Err(JudgingError::NotYours("the judge")),
        With::Organisation(name) => {
            seat.runs()?;
            let found = db::organisation_named(&mut act.tx, &name).await?;
            let found = found.ok_or(JudgingError::Unknown("organisation"))?;
            let note = note.with("organisation", found.1.as_str());
            (None, Some(found), note)
        }
    };
    let id = house.entropy.id(&house.clock);
    let conflict = Conflict { id, user, entry, organisation, reason, declared_at: act.now };
    db::declare(&mut act.tx, competition.id, &conflict, seat.actor).await?;
    act.note(note).await?;
    act.redraw().await?;
    act.commit().await
}

/// Takes a conflict back that was declared by mistake.
///
/// # Errors
/// [`JudgingError::Unknown`] when it does not stand.
pub async fn retract(
    house: &House,
    competition: &Competition,
    id: PanelId,
    seat: Seat,
    conflict: ConflictId,
) -> Result<(), JudgingError> {
    seat.runs()?;
    let mut act = Act::begin(house, competition, id, seat).await?;
    changeable(&act.panel)?;
    let all = db::conflicts(&mut act.tx, competition.id).await?;
    let found = all.into_iter().find(|c| c.id == conflict).ok_or(JudgingError::Unknown("conflict"))?;
    let judge = db::judge(&mut act.tx, id, found.user).await?.ok_or(JudgingError::Unknown("conflict"))?;
    db::retract(&mut act.tx, conflict, act.now).await?;
    let note = Note::new("conflict-retracted").with("judge", judge.name).with("reason", found.reason);
    act.note(note).await?;
    act.redraw().await?;
    act.commit().await
}

/// Says whether judges see each other's marks for an entry once they submitted theirs.
///
/// # Errors
/// [`JudgingError::NotYours`] for others than the chair.
pub async fn set_peek(
    house: &House,
    competition: &Competition,
    id: PanelId,
    seat: Seat,
    peek: bool,
) -> Result<(), JudgingError> {
    seat.chairs()?;
    let mut act = Act::begin(house, competition, id, seat).await?;
    if act.panel.state == PanelState::Signed {
        return Err(JudgingError::WrongState { state: act.panel.state });
    }
    act.panel.peek = peek;
    act.save().await?;
    act.note(Note::new("peek-set").with("peek", peek)).await?;
    act.commit().await
}

/// Whether somebody may see an entry as a judge: it is theirs to mark, or they are in the chair of its panel
/// and a round was opened.
///
/// # Errors
/// When the database fails.
pub async fn may_see(
    conn: &mut Connection,
    entry: &entries::Entry,
    user: UserId,
) -> Result<bool, StoreError> {
    assign::db::sees(conn, entry.id, user).await
}

/// Whether an entry is somebody's to mark now: it stands, is assigned to them, and its round is open.
///
/// # Errors
/// When the database fails.
pub async fn marks_now(conn: &mut Connection, entry: EntryId, user: UserId) -> Result<bool, StoreError> {
    assign::db::marks_now(conn, entry, user).await
}
