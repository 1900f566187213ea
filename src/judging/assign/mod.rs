//! Assignments: who marks what. A round is opened by drawing; whatever changes later (a judge goes, a
//! conflict is declared, an entry comes or goes) is drawn again at once, with as few moves as can be.

pub mod db;
mod mend;
mod rounds;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::entries::{self, Entry};
use super::model::{AssignmentState, Panel};
use super::panel;
use crate::ids::{CompetitionId, EntryId, OrganisationId, PanelId, UserId};
use crate::store::{Connection, StoreError, Tx};

pub(super) use mend::redraw;
pub use rounds::{again, close, open, reopen, second_round};

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

/// Pairs of judge and entry that may not be: declared, of one organisation, or of one and the same person.
///
/// # Errors
/// When the database fails.
pub async fn conflicts(
    conn: &mut Connection,
    panel: &Panel,
) -> Result<BTreeSet<(UserId, EntryId)>, StoreError> {
    let judges = panel::db::judges(conn, panel.id).await?;
    let mut of_organisation: BTreeMap<OrganisationId, BTreeSet<EntryId>> = BTreeMap::new();
    let mut pairs = BTreeSet::new();
    for (entry, person, organisation) in panel::db::people_of_entries(conn, panel.competition).await? {
        // nobody is appointed who takes part; should it come to that, not with their own
        pairs.extend(judges.iter().filter(|judge| judge.user == person).map(|judge| (judge.user, entry)));
        if let Some(organisation) = organisation {
            of_organisation.entry(organisation).or_default().insert(entry);
        }
    }
    let entries = |organisation: &OrganisationId| of_organisation.get(organisation).into_iter().flatten();
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

/// How many sheets of a competition judges have begun.
///
/// # Errors
/// When the database fails.
pub async fn begun(conn: &mut Connection, competition: CompetitionId) -> Result<i64, StoreError> {
    db::marked(conn, competition).await
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
