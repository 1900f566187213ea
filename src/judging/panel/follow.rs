//! What follows for a panel from what happens elsewhere: entries that come and go, people who join a team or
//! belong to another organisation. Each is to be called in the transaction of what happened.

use jiff::Timestamp;

use super::db;
use crate::audit::Actor;
use crate::ids::{TeamId, UserId};
use crate::judging::minutes::{self, Note};
use crate::judging::model::PanelState;
use crate::judging::{assign, entries};
use crate::store::{StoreError, Tx};

/// What an entry's withdrawal means for its judges: what they were to mark ends, in whatever round; their
/// marks stay on record, and a ranking that is not signed yet leaves it out.
///
/// # Errors
/// When the database fails.
pub async fn entry_withdrawn(
    tx: &mut Tx,
    entry: &entries::Entry,
    (now, actor): (Timestamp, Actor),
) -> Result<(), StoreError> {
    let Some(panel) = assign::panel_of(tx, entry).await? else { return Ok(()) };
    let Some(panel) = db::lock(tx, panel.id).await? else { return Ok(()) };
    let note = Note::new("entry-withdrawn").with("entry", entry.number);
    minutes::write(tx, &panel, (now, actor), note).await?;
    // what is signed stays as it was signed
    if panel.state == PanelState::Signed {
        return Ok(());
    }
    assign::end_all_of(tx, &panel, entry.id, now).await
}

/// What it means for the judges that an entry was submitted: while the first round is open it is given to
/// some of them at once.
///
/// # Errors
/// When the database fails.
pub async fn entry_submitted(
    tx: &mut Tx,
    entry: &entries::Entry,
    (now, actor): (Timestamp, Actor),
) -> Result<(), StoreError> {
    let Some(panel) = assign::panel_of(tx, entry).await? else { return Ok(()) };
    match db::lock(tx, panel.id).await? {
        Some(panel) if entry.judged_since.is_some() => {
            // an organizer let its team: whoever has marked it marked another text
            let note = Note::new("entry-changed").with("entry", entry.number);
            minutes::write(tx, &panel, (now, actor), note).await?;
            assign::redraw(tx, &panel, (now, actor)).await
        }
        Some(panel) => assign::redraw(tx, &panel, (now, actor)).await,
        None => Ok(()),
    }
}

/// What it means for the judges that a team's people changed, by a member who joined or a team that became
/// part of it: whoever is of an organisation of theirs marks its entry no more, and the draw is mended.
///
/// # Errors
/// When the database fails.
pub async fn team_changed(
    tx: &mut Tx,
    team: TeamId,
    (now, actor): (Timestamp, Actor),
) -> Result<(), StoreError> {
    let Some(entry) = entries::db::of_team(tx, team).await? else { return Ok(()) };
    if entry.standing_version().is_none() {
        return Ok(());
    }
    let Some(panel) = assign::panel_of(tx, &entry).await? else { return Ok(()) };
    match db::lock(tx, panel.id).await? {
        Some(panel) if matches!(panel.state, PanelState::Open | PanelState::Closed) => {
            let note = Note::new("team-changed").with("entry", entry.number);
            minutes::write(tx, &panel, (now, actor), note).await?;
            assign::redraw(tx, &panel, (now, actor)).await
        }
        _ => Ok(()),
    }
}

/// What it means for the judges that somebody belongs to another organisation, a judge or somebody on a team:
/// the conflicts of interest of their panels are other ones, and the draws are mended. The minutes name a
/// judge; who on a team it is, they do not, since the chair reads them.
///
/// # Errors
/// When the database fails.
pub async fn organisation_changed(
    tx: &mut Tx,
    user: UserId,
    (now, actor): (Timestamp, Actor),
) -> Result<(), StoreError> {
    for id in db::touched_by(tx, user).await? {
        let Some(panel) = db::lock(tx, id).await? else { continue };
        if !matches!(panel.state, PanelState::Open | PanelState::Closed) {
            continue;
        }
        let judge = db::judge(tx, id, user).await?;
        let note = Note::new("organisation-changed").with("judge", judge.map(|judge| judge.name));
        minutes::write(tx, &panel, (now, actor), note).await?;
        assign::redraw(tx, &panel, (now, actor)).await?;
    }
    Ok(())
}
