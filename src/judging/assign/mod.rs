//! Assignments: who marks what. A round is opened by drawing; whatever changes later (a judge goes, a
//! conflict is declared, an entry comes or goes) is drawn again at once, with as few moves as can be.

pub mod db;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::json;

use super::draw::{Draw, Drawn, Short, Wanted, draw};
use super::entries::{self, Entry};
use super::minutes::{self, Note};
use super::model::{Assignment, AssignmentState, JudgeState, Panel, PanelState, Sheet};
use super::{JudgingError, Seat, panel, reason_of, rubric};
use crate::audit::Actor;
use crate::clock::Entropy;
use crate::contest::model::Competition;
use crate::house::House;
use crate::ids::{CompetitionId, EntryId, OrganisationId, PanelId, UserId};
use crate::store::{Connection, StoreError, Tx};

/// The panel that an entry belongs to.
pub(super) async fn panel_of(conn: &mut Connection, entry: &Entry) -> Result<Option<Panel>, StoreError> {
    let given = panel::db::given(conn, entry.competition).await?;
    let given = given.into_iter().find(|(id, _)| *id == entry.id).map(|(_, panel)| panel);
    let panels = panel::db::of_competition(conn, entry.competition).await?;
    Ok(panels.into_iter().find(|panel| given.map_or(panel.main, |id| id == panel.id)))
}

/// The submitted entries of a panel, by number.
///
/// # Errors
/// When the database fails.
pub async fn entries_of(conn: &mut Connection, panel: &Panel) -> Result<Vec<Entry>, StoreError> {
    let given = panel::db::given(conn, panel.competition).await?;
    let given: BTreeMap<EntryId, PanelId> = given.into_iter().collect();
    let all = entries::submitted(conn, panel.competition).await?;
    let here = |entry: &Entry| given.get(&entry.id).map_or(panel.main, |id| *id == panel.id);
    Ok(all.into_iter().filter(here).collect())
}

/// Pairs of judge and entry that may not be: declared, or of one organisation.
///
/// # Errors
/// When the database fails.
pub async fn conflicts(
    conn: &mut Connection,
    panel: &Panel,
) -> Result<BTreeSet<(UserId, EntryId)>, StoreError> {
    let judges = panel::db::judges(conn, panel.id).await?;
    let mut of_organisation: BTreeMap<OrganisationId, Vec<EntryId>> = BTreeMap::new();
    for (entry, organisation) in panel::db::organisations_of_entries(conn, panel.competition).await? {
        of_organisation.entry(organisation).or_default().push(entry);
    }
    let entries = |organisation: &OrganisationId| of_organisation.get(organisation).into_iter().flatten();
    let mut pairs = BTreeSet::new();
    for judge in &judges {
        let own = judge.organisation.iter().flat_map(|(organisation, _)| entries(organisation));
        pairs.extend(own.map(|entry| (judge.user, *entry)));
    }
    for conflict in panel::db::conflicts(conn, panel.competition).await? {
        pairs.extend(conflict.entry.map(|entry| (conflict.user, entry)));
        let theirs = conflict.organisation.iter().flat_map(|(organisation, _)| entries(organisation));
        pairs.extend(theirs.map(|entry| (conflict.user, *entry)));
    }
    Ok(pairs)
}

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
    let now = house.clock.now();
    let mut tx = house.db.begin().await?;
    let mut panel = panel::held(&mut tx, competition.id, id).await?;
    if panel.state != PanelState::Preparing {
        return Err(JudgingError::WrongState { state: panel.state });
    }
    let (version, _) = rubric::settled(&mut tx, competition.id, (now, seat.actor)).await?;
    let judges = panel::db::judges(&mut tx, id).await?;
    if !judges.iter().any(|judge| judge.state == JudgeState::Accepted) {
        return Err(JudgingError::NoJudges);
    }
    if entries_of(&mut tx, &panel).await?.is_empty() {
        return Err(JudgingError::NoEntries);
    }
    panel.state = PanelState::Open;
    panel.seed = hex::encode(house.entropy.bytes::<8>());
    panel::db::save(&mut tx, &panel).await?;
    let note =
        Note::new("round-opened").with("round", 1).with("rubric", version).with("seed", panel.seed.as_str());
    minutes::write(&mut tx, &panel, (now, seat.actor), note).await?;
    redraw(&mut tx, &panel, (now, seat.actor)).await?;
    Ok(tx.commit().await?)
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
    let now = house.clock.now();
    let mut tx = house.db.begin().await?;
    let panel = panel::held(&mut tx, competition.id, id).await?;
    if panel.state != PanelState::Open {
        return Err(JudgingError::WrongState { state: panel.state });
    }
    redraw(&mut tx, &panel, (now, seat.actor)).await?;
    Ok(tx.commit().await?)
}

/// How many sheets of a competition judges have begun.
///
/// # Errors
/// When the database fails.
pub async fn begun(conn: &mut Connection, competition: CompetitionId) -> Result<i64, StoreError> {
    db::marked(conn, competition).await
}

/// What stands before a draw: people, entries, conflicts, assignments.
struct Before {
    entries: Vec<Entry>,
    judges: Vec<UserId>,
    pairs: BTreeSet<(UserId, EntryId)>,
    assignments: Vec<Assignment>,
}

/// Makes the assignments of the open round right again; nothing while none is open.
pub(super) async fn redraw(
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
        judges: judges.collect(),
        pairs: conflicts(tx, panel).await?,
        assignments: db::of_panel(tx, panel.id).await?,
    };
    let ended = end_what_cannot_be(tx, panel, &mut before, now).await?;
    // a second round is for the judges and entries that were chosen for it: nobody is put in their place
    if panel.round > 1 || panel.state != PanelState::Open {
        return told(tx, panel, (now, actor), (0, ended, &[])).await;
    }
    let (wanted, drawn) = drawn(panel, &before, judging.per_entry as usize);
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
                db::insert(tx, (id, panel, entry, judge), (1, rubric, &Sheet::default()), now).await?;
            }
        }
        added += 1;
    }
    told(tx, panel, (now, actor), (added, ended + moved, &wanted)).await
}

/// Ends what may not go on: of entries that are gone, of judges who are gone and had not submitted, and
/// whatever is in conflict. Gives how many.
async fn end_what_cannot_be(
    tx: &mut Tx,
    panel: &Panel,
    before: &mut Before,
    now: Timestamp,
) -> Result<i64, StoreError> {
    let Before { entries, judges, pairs, assignments } = before;
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
    assignments.retain(|assignment| assignment.round == panel.round);
    Ok(ended)
}

/// Pairs of entry and judge.
type Pairs = BTreeSet<(EntryId, UserId)>;

/// Draws the first round; gives the entries that are short, and the pairs.
fn drawn(panel: &Panel, before: &Before, k: usize) -> (Vec<(i64, Short)>, Pairs) {
    let Before { entries, judges, pairs, assignments } = before;
    let entry_at: BTreeMap<EntryId, usize> = entries.iter().map(|e| e.id).zip(0..).collect();
    let judge_at: BTreeMap<UserId, usize> = judges.iter().copied().zip(0..).collect();
    let at = |judge: &UserId, entry: &EntryId| Some((*entry_at.get(entry)?, *judge_at.get(judge)?));
    let mut input = Draw {
        seed: panel.seed.clone(),
        entries: entries.iter().map(|e| Wanted { name: e.id.to_string(), judges: k }).collect(),
        judges: judges.iter().map(ToString::to_string).collect(),
        conflicts: pairs.iter().filter_map(|(judge, entry)| at(judge, entry)).collect(),
        ..Draw::default()
    };
    for assignment in assignments.iter().filter(|a| a.state != AssignmentState::Ended) {
        let submitted = assignment.state == AssignmentState::Submitted;
        match at(&assignment.judge, &assignment.entry) {
            Some(pair) if submitted || assignment.version > 0 => {
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

/// Ends everything that is to be marked of an entry, in every round.
pub(super) async fn end_all_of(
    tx: &mut Tx,
    panel: &Panel,
    entry: EntryId,
    now: Timestamp,
) -> Result<(), StoreError> {
    for assignment in db::of_panel(tx, panel.id).await? {
        if assignment.entry == entry && assignment.state != AssignmentState::Ended {
            db::end(tx, assignment.id, (now, "entry-gone")).await?;
        }
    }
    Ok(())
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
    let now = house.clock.now();
    let mut tx = house.db.begin().await?;
    let mut panel = panel::held(&mut tx, competition.id, id).await?;
    if panel.state != PanelState::Open {
        return Err(JudgingError::WrongState { state: panel.state });
    }
    let all = db::of_panel(&mut tx, id).await?;
    let of = |state| all.iter().filter(|a| a.round == panel.round && a.state == state).count() as i64;
    let (submitted, missing) = (of(AssignmentState::Submitted), of(AssignmentState::Assigned));
    let note = Note::new("round-closed").with("round", panel.round);
    let note = note.with("submitted", submitted).with("missing", missing);
    panel.state = PanelState::Closed;
    panel::db::save(&mut tx, &panel).await?;
    minutes::write(&mut tx, &panel, (now, seat.actor), note).await?;
    Ok(tx.commit().await?)
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
    let now = house.clock.now();
    let mut tx = house.db.begin().await?;
    let mut panel = panel::held(&mut tx, competition.id, id).await?;
    let kind = match panel.state {
        PanelState::Signed => {
            panel.edition += 1;
            "panel-reopened"
        }
        PanelState::Closed => "round-reopened",
        state => return Err(JudgingError::WrongState { state }),
    };
    panel.state = PanelState::Open;
    panel::db::save(&mut tx, &panel).await?;
    let note =
        Note::new(kind).with("edition", panel.edition).with("round", panel.round).with("reason", reason);
    minutes::write(&mut tx, &panel, (now, seat.actor), note).await?;
    redraw(&mut tx, &panel, (now, seat.actor)).await?;
    Ok(tx.commit().await?)
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
    let now = house.clock.now();
    let mut tx = house.db.begin().await?;
    let mut panel = panel::held(&mut tx, competition.id, id).await?;
    if panel.state != PanelState::Closed || panel.round != 1 {
        return Err(JudgingError::WrongState { state: panel.state });
    }
    let (version, _) = rubric::settled(&mut tx, competition.id, (now, seat.actor)).await?;
    let entries = entries_of(&mut tx, &panel).await?;
    let chosen: Vec<&Entry> = entries.iter().filter(|entry| numbers.contains(&entry.number)).collect();
    if chosen.is_empty() {
        return Err(JudgingError::NothingChosen);
    }
    let judges = panel::db::judges(&mut tx, id).await?;
    let judges: Vec<UserId> =
        judges.iter().filter(|judge| judge.state == JudgeState::Accepted).map(|judge| judge.user).collect();
    let first = db::of_panel(&mut tx, id).await?;
    let marked: Vec<&Assignment> = first.iter().filter(|a| a.state == AssignmentState::Submitted).collect();
    let extra =
        if more { further(&mut tx, &panel, &chosen, (&judges, &marked)).await? } else { BTreeSet::new() };
    panel.round = 2;
    panel.state = PanelState::Open;
    panel::db::save(&mut tx, &panel).await?;
    for entry in &chosen {
        for assignment in marked.iter().filter(|a| a.entry == entry.id && judges.contains(&a.judge)) {
            let id = house.entropy.id_at(now);
            let sheet = (2, version, &assignment.sheet);
            db::insert(&mut tx, (id, &panel, entry.id, assignment.judge), sheet, now).await?;
        }
    }
    for (entry, judge) in &extra {
        let sheet = (2, version, &Sheet::default());
        db::insert(&mut tx, (house.entropy.id_at(now), &panel, *entry, *judge), sheet, now).await?;
    }
    let numbers: Vec<i64> = chosen.iter().map(|entry| entry.number).collect();
    let note = Note::new("second-round").with("entries", numbers).with("further", extra.len() as i64);
    minutes::write(&mut tx, &panel, (now, seat.actor), note).await?;
    Ok(tx.commit().await?)
}

/// One further judge for each entry, where somebody is without conflict.
async fn further(
    tx: &mut Tx,
    panel: &Panel,
    chosen: &[&Entry],
    (judges, marked): (&[UserId], &[&Assignment]),
) -> Result<BTreeSet<(EntryId, UserId)>, StoreError> {
    let conflicts = conflicts(tx, panel).await?;
    let place = |judge: UserId| judges.iter().position(|other| *other == judge);
    let mut input = Draw { seed: panel.seed.clone(), ..Draw::default() };
    input.judges = judges.iter().map(ToString::to_string).collect();
    for (at, entry) in chosen.iter().enumerate() {
        let had = marked.iter().filter(|a| a.entry == entry.id);
        let had: BTreeSet<(usize, usize)> = had.filter_map(|a| Some((at, place(a.judge)?))).collect();
        input.entries.push(Wanted { name: entry.id.to_string(), judges: had.len() + 1 });
        input.fixed.extend(had);
        let barred = conflicts.iter().filter(|(_, other)| *other == entry.id);
        input.conflicts.extend(barred.filter_map(|(judge, _)| Some((at, place(*judge)?))));
    }
    let pairs = draw(&input).pairs;
    Ok(pairs.difference(&input.fixed).map(|(entry, judge)| (chosen[*entry].id, judges[*judge])).collect())
}
