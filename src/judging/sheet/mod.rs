//! Marking: a judge's drafts, submitting, taking back. Every save names the version it was made from, so
//! that of two tabs the later is told what differs and nothing is overwritten unseen.

use std::collections::BTreeMap;

use super::minutes::{self, Note};
use super::model::{Assignment, AssignmentState, JudgeState, Panel, PanelState, Sheet, TEXT_CHARACTERS};
use super::{JudgingError, assign, panel, rubric};
use crate::audit::Actor;
use crate::contest::definition::judging::Judging;
use crate::house::House;
use crate::ids::{AssignmentId, CompetitionId, UserId};
use crate::store::{Connection, StoreError, Tx};

/// What a judge has before them for one entry.
#[derive(Clone, Debug)]
pub struct Desk {
    /// The panel.
    pub panel: Panel,
    /// The assignment, of the latest round.
    pub assignment: Assignment,
    /// The rubric in force.
    pub judging: Judging,
    /// What others wrote about the entry, where this judge may see it.
    pub peers: Vec<Peer>,
    /// How many others mark it.
    pub others: usize,
}

/// What another judge wrote; who, is not told.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The round it is of.
    pub round: i64,
    /// What they submitted.
    pub sheet: Sheet,
}

/// What somebody is to mark in a competition, the latest round of each entry alone.
///
/// # Errors
/// When the database fails.
pub async fn list(
    conn: &mut Connection,
    competition: CompetitionId,
    user: UserId,
) -> Result<Vec<Assignment>, StoreError> {
    let mut latest: BTreeMap<i64, Assignment> = BTreeMap::new();
    for assignment in assign::db::of_judge(conn, competition, user).await? {
        // they come by round
        latest.insert(assignment.number, assignment);
    }
    Ok(latest.into_values().collect())
}

/// What a judge has before them for the entry of this number; none where it is not theirs.
///
/// # Errors
/// [`JudgingError::NoRubric`], or when the database fails.
pub async fn desk(
    conn: &mut Connection,
    competition: CompetitionId,
    user: UserId,
    number: i64,
) -> Result<Option<Desk>, JudgingError> {
    let mine = list(conn, competition, user).await?;
    let Some(assignment) = mine.into_iter().find(|a| a.number == number) else { return Ok(None) };
    let panel = panel::db::by_id(conn, assignment.panel).await?.ok_or(JudgingError::Unknown("panel"))?;
    let (_, judging) = rubric::in_force(conn, competition).await?.ok_or(JudgingError::NoRubric)?;
    let all = assign::db::of_entry(conn, assignment.entry).await?;
    let others = all.iter().filter(|a| a.judge != user && a.round == assignment.round).count();
    let peers = peers(&panel, &assignment, all);
    Ok(Some(Desk { panel, assignment, judging, peers, others }))
}

/// What a judge may see of the others: in a second round what they submitted in the first; of the same
/// round, what they submitted once one's own is, where the chair allows it.
fn peers(panel: &Panel, own: &Assignment, all: Vec<Assignment>) -> Vec<Peer> {
    let shown = |a: &Assignment| {
        let same = panel.peek && own.state == AssignmentState::Submitted;
        a.judge != own.judge && a.state == AssignmentState::Submitted && (a.round < own.round || same)
    };
    // they come by round: of each judge the latest, in an order that stays from visit to visit
    let latest: BTreeMap<UserId, Peer> =
        all.into_iter().filter(shown).map(|a| (a.judge, Peer { round: a.round, sheet: a.sheet })).collect();
    latest.into_values().collect()
}

/// What stands, locked for a change of its judge's.
struct Held {
    panel: Panel,
    assignment: Assignment,
    judging: Judging,
}

async fn held(tx: &mut Tx, id: AssignmentId, user: UserId) -> Result<Held, JudgingError> {
    let unknown = || JudgingError::Unknown("assignment");
    let found = assign::db::by_id(tx, id).await?.filter(|a| a.judge == user).ok_or_else(unknown)?;
    let panel = panel::db::lock(tx, found.panel).await?.ok_or_else(unknown)?;
    // as it is now that nobody else can change it
    let assignment = assign::db::by_id(tx, id).await?.ok_or_else(unknown)?;
    let judge = panel::db::judge(tx, panel.id, user).await?;
    let judges = judge.is_some_and(|judge| judge.state == JudgeState::Accepted);
    if !judges || assignment.state == AssignmentState::Ended {
        return Err(unknown());
    }
    if panel.state != PanelState::Open || assignment.round != panel.round {
        return Err(JudgingError::WrongState { state: panel.state });
    }
    let (_, judging) = rubric::in_force(tx, panel.competition).await?.ok_or(JudgingError::NoRubric)?;
    Ok(Held { panel, assignment, judging })
}

/// The sheet as it is kept: marks of the rubric and on its scale alone, comments within their bounds.
fn checked(judging: &Judging, sheet: Sheet, whole: bool) -> Result<Sheet, JudgingError> {
    let mut faults = Vec::new();
    let mut marks = BTreeMap::new();
    for criterion in &judging.criteria {
        match sheet.marks.get(&criterion.key).map(|mark| criterion.on_scale(*mark)) {
            Some(Some(mark)) => {
                marks.insert(criterion.key.clone(), mark);
            }
            Some(None) => faults.push((criterion.key.clone(), "mark-off-scale")),
            None if whole => faults.push((criterion.key.clone(), "mark-missing")),
            None => {}
        }
    }
    let unknown = sheet.marks.keys().filter(|key| judging.criterion(key).is_none());
    faults.extend(unknown.take(10).map(|key| (key.chars().take(60).collect(), "mark-unknown")));
    for (name, text) in [("to_team", &sheet.to_team), ("to_jury", &sheet.to_jury)] {
        if text.chars().count() > TEXT_CHARACTERS {
            faults.push((name.to_owned(), "comment-too-long"));
        }
    }
    if faults.is_empty() { Ok(Sheet { marks, ..sheet }) } else { Err(JudgingError::Marks(faults)) }
}

/// The sheet that was checked. One made from an older version may be of an older rubric: then that is what
/// has to be said, not where it does not fit the one in force.
fn made_from(
    seen: i64,
    assignment: &Assignment,
    checked: Result<Sheet, JudgingError>,
) -> Result<Sheet, JudgingError> {
    match checked {
        Err(JudgingError::Marks(_)) if seen != assignment.version => {
            let sheet = Box::new(assignment.sheet.clone());
            Err(JudgingError::Newer { version: assignment.version, sheet })
        }
        other => other,
    }
}

/// Saves a draft made from the version `seen`; gives the version that it is now. The same text again changes
/// nothing.
///
/// # Errors
/// [`JudgingError::Newer`] when another was saved meanwhile, [`JudgingError::Submitted`],
/// [`JudgingError::Marks`], [`JudgingError::WrongState`] when the round is closed.
pub async fn save(
    house: &House,
    user: UserId,
    id: AssignmentId,
    (seen, sheet): (i64, Sheet),
) -> Result<i64, JudgingError> {
    let now = house.clock.now();
    let mut tx = house.db.begin().await?;
    let Held { mut assignment, judging, .. } = held(&mut tx, id, user).await?;
    if assignment.state == AssignmentState::Submitted {
        return Err(JudgingError::Submitted);
    }
    let sheet = made_from(seen, &assignment, checked(&judging, sheet, false))?;
    if sheet == assignment.sheet {
        return Ok(assignment.version);
    }
    if seen != assignment.version {
        return Err(JudgingError::Newer { version: assignment.version, sheet: Box::new(assignment.sheet) });
    }
    assignment.sheet = sheet;
    assignment.version += 1;
    assignment.saved_at = Some(now);
    assign::db::save(&mut tx, &assignment).await?;
    tx.commit().await?;
    Ok(assignment.version)
}

/// Submits marks made from the version `seen`: all of them, each on its scale.
///
/// # Errors
/// As [`save`].
pub async fn submit(
    house: &House,
    (user, actor): (UserId, Actor),
    id: AssignmentId,
    (seen, sheet): (i64, Sheet),
) -> Result<(), JudgingError> {
    let now = house.clock.now();
    let mut tx = house.db.begin().await?;
    let Held { panel, mut assignment, judging } = held(&mut tx, id, user).await?;
    if assignment.state == AssignmentState::Submitted {
        return Err(JudgingError::Submitted);
    }
    let sheet = made_from(seen, &assignment, checked(&judging, sheet, true))?;
    if seen != assignment.version && sheet != assignment.sheet {
        return Err(JudgingError::Newer { version: assignment.version, sheet: Box::new(assignment.sheet) });
    }
    assignment.sheet = sheet;
    assignment.version += 1;
    assignment.saved_at = Some(now);
    assignment.submitted_at = Some(now);
    assignment.state = AssignmentState::Submitted;
    assign::db::save(&mut tx, &assignment).await?;
    assign::db::keep(&mut tx, &assignment, now).await?;
    let note = noted("marks-submitted", &assignment);
    minutes::write(&mut tx, &panel, (now, actor), note).await?;
    Ok(tx.commit().await?)
}

/// Takes submitted marks back to change them, as long as the round is open and others' marks of it are not shown.
///
/// # Errors
/// [`JudgingError::WrongState`] when it is closed, or nothing is submitted; [`JudgingError::OthersSeen`].
pub async fn take_back(
    house: &House,
    (user, actor): (UserId, Actor),
    id: AssignmentId,
) -> Result<(), JudgingError> {
    let now = house.clock.now();
    let mut tx = house.db.begin().await?;
    let Held { panel, mut assignment, .. } = held(&mut tx, id, user).await?;
    if assignment.state != AssignmentState::Submitted {
        return Err(JudgingError::WrongState { state: panel.state });
    }
    // marks are given independently: who has seen the others' of this round keeps their own
    let all = assign::db::of_entry(&mut tx, assignment.entry).await?;
    if peers(&panel, &assignment, all).iter().any(|peer| peer.round == assignment.round) {
        return Err(JudgingError::OthersSeen);
    }
    assignment.state = AssignmentState::Assigned;
    assignment.submitted_at = None;
    assignment.version += 1;
    assign::db::save(&mut tx, &assignment).await?;
    minutes::write(&mut tx, &panel, (now, actor), noted("marks-taken-back", &assignment)).await?;
    Ok(tx.commit().await?)
}

/// For the minutes: which sheet, and not a word of what it says. Not its digest either: few marks are so
/// quickly tried out that it would tell them.
fn noted(kind: &'static str, assignment: &Assignment) -> Note {
    Note::new(kind)
        .with("entry", assignment.number)
        .with("round", assignment.round)
        .with("rubric", assignment.rubric)
}
