//! Rounds: opened by a draw, closed by the chair, opened again, and a second one for entries that were
//! judged too differently.

use std::collections::BTreeMap;

use super::{db, entries_of};
use crate::contest::model::Competition;
use crate::house::House;
use crate::ids::{EntryId, PanelId, UserId};
use crate::judging::act::Act;
use crate::judging::entries::Entry;
use crate::judging::minutes::Note;
use crate::judging::model::{AssignmentState, JudgeState, PanelState};
use crate::judging::{JudgingError, Seat, panel, reason_of, rubric};

/// Opens the first round: draws who marks what.
///
/// # Errors
/// [`JudgingError::NoRubric`], [`JudgingError::NoJudges`], [`JudgingError::NoEntries`],
/// [`JudgingError::WrongState`] when it was opened already.
pub async fn open(
    house: &House,
    competition: &Competition,
    id: PanelId,
    seat: Seat,
) -> Result<(), JudgingError> {
    seat.runs()?;
    let mut act = Act::begin(house, competition, id, seat).await?;
    if act.panel.state != PanelState::Preparing {
        return Err(JudgingError::WrongState { state: act.panel.state });
    }
    let (version, _) = rubric::settled(&mut act.tx, competition.id, (act.now, seat.actor)).await?;
    let judges = panel::db::judges(&mut act.tx, id).await?;
    if !judges.iter().any(|judge| judge.state == JudgeState::Accepted) {
        return Err(JudgingError::NoJudges);
    }
    if entries_of(&mut act.tx, &act.panel).await?.is_empty() {
        return Err(JudgingError::NoEntries);
    }
    act.panel.state = PanelState::Open;
    act.panel.seed = hex::encode(house.entropy.bytes::<8>());
    act.save().await?;
    let note = Note::new("round-opened")
        .with("round", 1)
        .with("rubric", version)
        .with("seed", act.panel.seed.as_str());
    act.note(note).await?;
    act.redraw().await?;
    act.commit().await
}

/// Draws again what changed: for entries that were submitted since, and whenever an organizer likes.
///
/// # Errors
/// [`JudgingError::WrongState`] unless a round is open.
pub async fn again(
    house: &House,
    competition: &Competition,
    id: PanelId,
    seat: Seat,
) -> Result<(), JudgingError> {
    seat.runs()?;
    let mut act = Act::begin(house, competition, id, seat).await?;
    if act.panel.state != PanelState::Open {
        return Err(JudgingError::WrongState { state: act.panel.state });
    }
    act.redraw().await?;
    act.commit().await
}

/// Closes the open round: nothing can be marked any more.
///
/// # Errors
/// [`JudgingError::WrongState`] unless one is open.
pub async fn close(
    house: &House,
    competition: &Competition,
    id: PanelId,
    seat: Seat,
) -> Result<(), JudgingError> {
    seat.chairs()?;
    let mut act = Act::begin(house, competition, id, seat).await?;
    if act.panel.state != PanelState::Open {
        return Err(JudgingError::WrongState { state: act.panel.state });
    }
    let all = db::of_panel(&mut act.tx, id).await?;
    let of = |state| all.iter().filter(|a| a.round == act.panel.round && a.state == state).count() as i64;
    let (submitted, missing) = (of(AssignmentState::Submitted), of(AssignmentState::Assigned));
    let note = Note::new("round-closed").with("round", act.panel.round);
    let note = note.with("submitted", submitted).with("missing", missing);
    act.panel.state = PanelState::Closed;
    act.save().await?;
    act.note(note).await?;
    act.commit().await
}

/// Opens the closed round again; a signed panel, as a new edition: what was signed stays on record.
///
/// # Errors
/// [`JudgingError::NoReason`]; [`JudgingError::WrongState`] while a round is open.
pub async fn reopen(
    house: &House,
    competition: &Competition,
    id: PanelId,
    seat: Seat,
    reason: &str,
) -> Result<(), JudgingError> {
    seat.chairs()?;
    let reason = reason_of(reason)?;
    let mut act = Act::begin(house, competition, id, seat).await?;
    let kind = match act.panel.state {
        PanelState::Signed => {
            act.panel.edition += 1;
            "panel-reopened"
        }
        PanelState::Closed => "round-reopened",
        state => return Err(JudgingError::WrongState { state }),
    };
    act.panel.state = PanelState::Open;
    act.save().await?;
    let note = Note::new(kind)
        .with("edition", act.panel.edition)
        .with("round", act.panel.round)
        .with("reason", reason);
    act.note(note).await?;
    act.redraw().await?;
    act.commit().await
}

/// Opens a second round for some entries: who marked them sees the others' marks and comments and may change
/// theirs; with `more`, one further judge marks each.
///
/// # Errors
/// [`JudgingError::NothingChosen`]; [`JudgingError::WrongState`] unless the first round is closed.
pub async fn second_round(
    house: &House,
    competition: &Competition,
    id: PanelId,
    seat: Seat,
    (numbers, more): (&[i64], bool),
) -> Result<(), JudgingError> {
    seat.chairs()?;
    let mut act = Act::begin(house, competition, id, seat).await?;
    if act.panel.state != PanelState::Closed || act.panel.round != 1 {
        return Err(JudgingError::WrongState { state: act.panel.state });
    }
    rubric::settled(&mut act.tx, competition.id, (act.now, seat.actor)).await?;
    let entries = entries_of(&mut act.tx, &act.panel).await?;
    let chosen: Vec<&Entry> = entries.iter().filter(|entry| numbers.contains(&entry.number)).collect();
    if chosen.is_empty() {
        return Err(JudgingError::NothingChosen);
    }
    let judges = panel::db::judges(&mut act.tx, id).await?;
    let accepted =
        |user: UserId| judges.iter().any(|judge| judge.user == user && judge.state == JudgeState::Accepted);
    let mut asked: BTreeMap<EntryId, i64> = chosen.iter().map(|entry| (entry.id, i64::from(more))).collect();
    for assignment in db::of_panel(&mut act.tx, id).await? {
        if assignment.state == AssignmentState::Submitted && accepted(assignment.judge) {
            asked.entry(assignment.entry).and_modify(|judges| *judges += 1);
        }
    }
    for (entry, judges) in &asked {
        db::ask_again(&mut act.tx, id, *entry, *judges).await?;
    }
    act.panel.round = 2;
    act.panel.state = PanelState::Open;
    act.save().await?;
    let numbers: Vec<i64> = chosen.iter().map(|entry| entry.number).collect();
    let further = if more { chosen.len() } else { 0 };
    let note = Note::new("second-round").with("entries", numbers).with("further", further);
    act.note(note).await?;
    act.redraw().await?;
    act.commit().await
}
