//! The rubric in force: the bundle's until the desk or a later import changes it, each change a version of
//! its own. Marks stay with the version that they were given by.

pub mod db;

use super::minutes::{self, Note};
use super::model::{AssignmentState, PanelState, Sheet};
use super::{JudgingError, Seat, assign, panel};
use crate::audit::{self, Actor, Entry};
use crate::contest::bundle::judging::faults;
use crate::contest::db as contest_db;
use crate::contest::definition::judging::Judging;
use crate::contest::model::Competition;
use crate::house::House;
use crate::ids::CompetitionId;
use crate::store::{Connection, StoreError, Tx};
use jiff::Timestamp;

/// A rubric with its version; 0: declared by the bundle, and nothing was done by it yet.
pub type InForce = (i64, Judging);

/// The rubric that counts in a competition now.
///
/// # Errors
/// When the database fails.
pub async fn in_force(
    conn: &mut Connection,
    competition: CompetitionId,
) -> Result<Option<InForce>, StoreError> {
    if let Some(version) = db::latest(conn, competition).await? {
        return Ok(Some((version.number, version.judging)));
    }
    let declared = contest_db::by_id(conn, competition).await?.and_then(|c| c.definition.judging);
    Ok(declared.map(|judging| (0, judging)))
}

/// The rubric in force, written down as version 1 when it was not yet: from now on something is done by it.
pub(super) async fn settled(
    tx: &mut Tx,
    competition: CompetitionId,
    (now, actor): (Timestamp, Actor),
) -> Result<InForce, JudgingError> {
    let (number, judging) = in_force(tx, competition).await?.ok_or(JudgingError::NoRubric)?;
    if number > 0 {
        return Ok((number, judging));
    }
    db::insert(tx, competition, (1, &judging), (now, actor, "")).await?;
    Ok((1, judging))
}

/// Puts another rubric into force. Once marks were given a reason is needed, and whoever marked is asked
/// again where the criteria differ: their marks for criteria that stay as they were are filled in already,
/// and what they submitted stays on record under the old version.
///
/// # Errors
/// [`JudgingError::Rubric`], [`JudgingError::MarksGiven`]; [`JudgingError::RubricFixed`] once a round is closed;
/// [`JudgingError::NotYours`] where a chair would lift blindness.
pub async fn change(
    house: &House,
    competition: &Competition,
    seat: Seat,
    judging: Judging,
    reason: &str,
) -> Result<i64, JudgingError> {
    seat.runs()?;
    let now = house.clock.now();
    let mut tx = house.db.begin().await?;
    contest_db::lock(&mut tx, competition.id).await?;
    let mut held =
        contest_db::by_id(&mut tx, competition.id).await?.ok_or(JudgingError::Unknown("competition"))?;
    let phases = contest_db::phases(&mut tx, competition.id).await?.len();
    let wrong = faults(&judging, &held.definition.leaderboard, phases);
    if !wrong.is_empty() {
        return Err(JudgingError::Rubric(wrong));
    }
    let mut panels = Vec::new();
    for found in panel::db::of_competition(&mut tx, competition.id).await? {
        let panel = panel::held(&mut tx, competition.id, found.id).await?;
        if matches!(panel.state, PanelState::Closed | PanelState::Signed) {
            return Err(JudgingError::RubricFixed);
        }
        panels.push(panel);
    }
    let old = in_force(&mut tx, competition.id).await?;
    let asked_again = old.as_ref().is_none_or(|(_, old)| !ask_the_same(old, &judging));
    // what was marked in the first round could not be marked anew
    if asked_again && panels.iter().any(|panel| panel.round > 1) {
        return Err(JudgingError::RubricFixed);
    }
    // the chair judges blind, too
    if old.as_ref().is_some_and(|(_, old)| old.blind != judging.blind) {
        seat.organizes()?;
    }
    let reason: String = reason.trim().chars().take(500).collect();
    let marked = assign::db::marked(&mut tx, competition.id).await?;
    if marked > 0 && reason.is_empty() && old.as_ref().is_some_and(|(_, old)| *old != judging) {
        return Err(JudgingError::MarksGiven);
    }
    let recorded = old.as_ref().map_or(0, |(number, _)| *number);
    if recorded > 0 && old.as_ref().is_some_and(|(_, old)| *old == judging) {
        held.definition.judging = Some(judging);
        contest_db::save(&mut tx, &held).await?;
        tx.commit().await?;
        return Ok(recorded);
    }
    let number = recorded + 1;
    db::insert(&mut tx, competition.id, (number, &judging), (now, seat.actor, &reason)).await?;
    held.definition.judging = Some(judging.clone());
    contest_db::save(&mut tx, &held).await?;
    let entry = Entry::new(now, seat.actor, "rubric.changed", ("competition", competition.id))
        .competition(competition.id)
        .detail("version", number)
        .detail("reason", reason.as_str());
    audit::record(&mut tx, entry).await?;
    for panel in &panels {
        let mut again = 0;
        for mut assignment in assign::db::of_panel(&mut tx, panel.id).await? {
            if assignment.state == AssignmentState::Ended {
                continue;
            }
            if asked_again {
                again += i64::from(assignment.state == AssignmentState::Submitted);
                assignment.state = AssignmentState::Assigned;
                assignment.submitted_at = None;
                assignment.sheet =
                    carried_over(old.as_ref().map(|(_, old)| old), &judging, &assignment.sheet);
                assignment.version += 1;
            }
            assignment.rubric = number;
            assign::db::save(&mut tx, &assignment).await?;
        }
        let note = Note::new("rubric-changed").with("version", number).with("asked_again", again);
        minutes::write(&mut tx, panel, (now, seat.actor), note.with("reason", reason.as_str())).await?;
        assign::redraw(&mut tx, panel, (now, seat.actor)).await?;
    }
    tx.commit().await?;
    Ok(number)
}

/// Whether two rubrics ask judges for the same marks.
fn ask_the_same(old: &Judging, new: &Judging) -> bool {
    let (old, new) = (&old.criteria, &new.criteria);
    old.len() == new.len() && old.iter().zip(new).all(|(old, new)| old.asks_the_same(new))
}

/// A sheet under another rubric: the comments, and the marks of criteria that stay as they were.
fn carried_over(old: Option<&Judging>, new: &Judging, sheet: &Sheet) -> Sheet {
    let same = |key: &str| {
        let pair = old.and_then(|old| old.criterion(key)).zip(new.criterion(key));
        pair.is_some_and(|(old, new)| old.asks_the_same(new))
    };
    let marks = sheet.marks.iter().filter(|(key, _)| same(key)).map(|(key, mark)| (key.clone(), *mark));
    Sheet { marks: marks.collect(), ..sheet.clone() }
}
