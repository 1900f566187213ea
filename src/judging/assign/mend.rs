//! Mending a draw: whatever changes while a round is open (a judge goes, a conflict comes up, an entry comes
//! or goes) is drawn again at once, with as few moves as can be.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::json;

use super::{conflicts, db, entries_of};
use crate::audit::Actor;
use crate::clock::Entropy;
use crate::ids::{EntryId, UserId};
use crate::judging::draw::{Draw, Drawn, Short, Wanted, draw};
use crate::judging::entries::Entry;
use crate::judging::minutes::{self, Note};
use crate::judging::model::{Assignment, AssignmentState, JudgeState, Panel, PanelState, Sheet};
use crate::judging::{panel, rubric};
use crate::store::{StoreError, Tx};

/// What stands before a draw: people, entries, conflicts, assignments.
struct Before {
    /// The entries of the round: in a second one those that were chosen for it.
    entries: Vec<Entry>,
    /// How many judges each is to have.
    wanted: Vec<usize>,
    judges: Vec<UserId>,
    pairs: BTreeSet<(UserId, EntryId)>,
    /// Those of the round.
    assignments: Vec<Assignment>,
    /// Those of the round before; none in the first.
    earlier: Vec<Assignment>,
}

/// Makes the assignments of the open round right again; nothing before the first draw and after the
/// signature. While no round is open, what cannot be ends, and nobody is put in its place.
pub(in crate::judging) async fn redraw(
    tx: &mut Tx,
    panel: &Panel,
    (now, actor): (Timestamp, Actor),
) -> Result<(), StoreError> {
    let started = panel.state != PanelState::Preparing && panel.state != PanelState::Signed;
    let Some((rubric, judging)) = rubric::in_force(tx, panel.competition).await?.filter(|_| started) else {
        return Ok(());
    };
    let judges = panel::db::judges(tx, panel.id).await?;
    let judges = judges.iter().filter(|judge| judge.state == JudgeState::Accepted).map(|judge| judge.user);
    let mut before = Before {
        entries: entries_of(tx, panel).await?,
        wanted: Vec::new(),
        judges: judges.collect(),
        pairs: conflicts(tx, panel).await?,
        assignments: db::of_panel(tx, panel.id).await?,
        earlier: Vec::new(),
    };
    let ended = end_what_cannot_be(tx, &mut before, now).await?;
    if panel.state != PanelState::Open {
        return told(tx, panel, (now, actor), (0, ended, &[])).await;
    }
    let (own, earlier) = before.assignments.into_iter().partition(|a| a.round == panel.round);
    (before.assignments, before.earlier) = (own, earlier);
    if panel.round > 1 {
        let asked = db::asked_again(tx, panel.id).await?;
        before.entries.retain(|entry| asked.contains_key(&entry.id));
        before.wanted = before.entries.iter().map(|entry| asked[&entry.id]).collect();
    } else {
        before.wanted = vec![judging.per_entry as usize; before.entries.len()];
    }
    let (short, drawn) = drawn(panel, &before);
    let mut added = 0;
    let mut moved = 0;
    for assignment in before.assignments.iter_mut().filter(|a| a.state == AssignmentState::Assigned) {
        if !drawn.contains(&(assignment.entry, assignment.judge)) {
            assignment.state = AssignmentState::Ended;
            db::end(tx, assignment.id, (now, "moved")).await?;
            moved += 1;
        }
    }
    for (entry, judge) in drawn {
        let there = before.assignments.iter().find(|a| (a.entry, a.judge) == (entry, judge));
        match there.map(|a| (a.state, a.id)) {
            Some((AssignmentState::Assigned | AssignmentState::Submitted, _)) => continue,
            Some((AssignmentState::Ended, id)) => db::revive(tx, id, (now, rubric)).await?,
            None => {
                let id = Entropy.id_at(now);
                let first = before.earlier.iter().find(|a| (a.entry, a.judge) == (entry, judge));
                let sheet = first.map_or_else(Sheet::default, |first| first.sheet.clone());
                db::insert(tx, (id, panel, entry, judge), (panel.round, rubric, &sheet), now).await?;
            }
        }
        added += 1;
    }
    told(tx, panel, (now, actor), (added, ended + moved, &short)).await
}

/// Ends what may not go on, in every round: of entries that are gone, of judges who are gone and had not
/// submitted, and whatever is in conflict. Gives how many.
async fn end_what_cannot_be(tx: &mut Tx, before: &mut Before, now: Timestamp) -> Result<i64, StoreError> {
    let Before { entries, judges, pairs, assignments, .. } = before;
    let mut ended = 0;
    for assignment in assignments.iter_mut().filter(|a| a.state != AssignmentState::Ended) {
        let open = assignment.state == AssignmentState::Assigned;
        let why = match () {
            () if !entries.iter().any(|entry| entry.id == assignment.entry) => "entry-gone",
            () if pairs.contains(&(assignment.judge, assignment.entry)) => "conflict",
            () if open && !judges.contains(&assignment.judge) => "judge-gone",
            () => continue,
        };
        assignment.state = AssignmentState::Ended;
        db::end(tx, assignment.id, (now, why)).await?;
        ended += 1;
    }
    Ok(ended)
}

/// Pairs of entry and judge.
type Pairs = BTreeSet<(EntryId, UserId)>;

/// Draws the round that is open; gives the entries that are short, and the pairs. In a second round nothing
/// that stands is moved, and who marked an entry in the first marks it again.
fn drawn(panel: &Panel, before: &Before) -> (Vec<(i64, Short)>, Pairs) {
    let Before { entries, wanted, judges, pairs, assignments, earlier } = before;
    let entry_at: BTreeMap<EntryId, usize> = entries.iter().map(|e| e.id).zip(0..).collect();
    let judge_at: BTreeMap<UserId, usize> = judges.iter().copied().zip(0..).collect();
    let at = |judge: &UserId, entry: &EntryId| Some((*entry_at.get(entry)?, *judge_at.get(judge)?));
    let names = entries.iter().map(|e| e.id.to_string()).zip(wanted);
    let mut input = Draw {
        seed: panel.seed.clone(),
        entries: names.map(|(name, judges)| Wanted { name, judges: *judges }).collect(),
        judges: judges.iter().map(ToString::to_string).collect(),
        conflicts: pairs.iter().filter_map(|(judge, entry)| at(judge, entry)).collect(),
        ..Draw::default()
    };
    for a in earlier {
        match a.state {
            AssignmentState::Submitted => input.fixed.extend(at(&a.judge, &a.entry)),
            // of an entry that was taken back and is there again
            AssignmentState::Ended if a.version > 0 => input.standing.extend(at(&a.judge, &a.entry)),
            _ => {}
        }
    }
    for assignment in assignments.iter().filter(|a| a.state != AssignmentState::Ended) {
        let submitted = assignment.state == AssignmentState::Submitted;
        match at(&assignment.judge, &assignment.entry) {
            Some(pair) if submitted || assignment.version > 0 || panel.round > 1 => {
                input.fixed.insert(pair);
            }
            Some(pair) => {
                input.standing.insert(pair);
            }
            // marks of a judge who is gone count for the entry
            None => {
                if let Some(entry) = entry_at.get(&assignment.entry) {
                    input.entries[*entry].judges = input.entries[*entry].judges.saturating_sub(1);
                }
            }
        }
    }
    let Drawn { pairs, short } = draw(&input);
    let short = short.into_iter().map(|short| (entries[short.entry].number, short)).collect();
    (short, pairs.into_iter().map(|(entry, judge)| (entries[entry].id, judges[judge])).collect())
}

/// Notes what a draw changed, and who is short of judges.
async fn told(
    tx: &mut Tx,
    panel: &Panel,
    (now, actor): (Timestamp, Actor),
    (added, ended, short): (i64, i64, &[(i64, Short)]),
) -> Result<(), StoreError> {
    if added == 0 && ended == 0 {
        return Ok(());
    }
    let short: Vec<_> = short
        .iter()
        .map(|(number, s)| json!({"entry": number, "judges": s.judges, "wanted": s.wanted, "conflicts": s.conflicts}))
        .collect();
    let note = Note::new("drawn").with("added", added).with("ended", ended).with("short", short);
    minutes::write(tx, panel, (now, actor), note).await
}
