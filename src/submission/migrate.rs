//! Auto-migration: when a phase begins that declares it, the nominated submissions of the phase
//! before are entered into it and run on its tasks.

use super::accept;
use super::db;
use super::model::{Kind, Reason, State, Submission};
use crate::airlock;
use crate::contest::db as contest_db;
use crate::contest::entry;
use crate::contest::model::{Competition, Phase};
use crate::house::House;
use crate::ids::TeamId;
use crate::store::{Connection, StoreError, Tx};

/// Migrates every phase whose time has come and whose predecessor's runs are all over; gives how
/// many submissions were entered.
///
/// # Errors
/// When the database fails; a phase is migrated in one transaction, so it is tried again whole, and
/// one that cannot be migrated holds up no other.
pub async fn migrate_due(house: &House) -> Result<usize, StoreError> {
    let now = house.clock.now();
    let due = contest_db::phases_to_migrate(&mut *house.db.read().await?, now).await?;
    let (mut entered, mut failed) = (0, None);
    for phase in due {
        match migrate(house, &phase).await {
            Ok(more) => entered += more,
            Err(error) => {
                tracing::error!(phase = %phase.id, %error, "a phase could not be migrated; trying again");
                failed = Some(error);
            }
        }
    }
    failed.map_or(Ok(entered), Err)
}

async fn migrate(house: &House, phase: &Phase) -> Result<usize, StoreError> {
    let mut tx = house.db.begin().await?;
    let Some(competition) = contest_db::by_id(&mut tx, phase.competition).await? else { return Ok(0) };
    let phases = contest_db::phases(&mut tx, competition.id).await?;
    let Some(before) = phases.iter().find(|p| p.position == phase.position - 1) else { return Ok(0) };
    if db::under_way(&mut tx, before.id).await? > 0 {
        // a run of the last minute may yet become a team's best
        return Ok(0);
    }
    if !contest_db::mark_migrated(&mut tx, phase.id, house.clock.now()).await? {
        return Ok(0);
    }
    let mut entered = 0;
    for team in entry::db::teams(&mut tx, competition.id).await? {
        for chosen in finals(&mut tx, &competition, before, team.id).await? {
            enter(&mut tx, house, &competition, phase, &chosen).await?;
            entered += 1;
        }
    }
    tx.commit().await?;
    house.ring();
    tracing::info!(competition = %competition.slug, phase = phase.position, entered, "phase migrated");
    Ok(entered)
}

/// The submissions of a team that go on: those nominated, else its last improvements on the board;
/// none of a team whose members were all removed.
async fn finals(
    conn: &mut Connection,
    competition: &Competition,
    before: &Phase,
    team: TeamId,
) -> Result<Vec<Submission>, StoreError> {
    let most = usize::try_from(competition.definition.finals_choose.unwrap_or(1)).unwrap_or(1);
    if !db::takes_part(conn, team).await? {
        return Ok(Vec::new());
    }
    let mut scored: Vec<Submission> = db::of_team(conn, before.id, team).await?;
    scored.retain(|s| s.disclosed_state == State::Finished && s.disqualified_at.is_none() && s.competes());
    let nominated: Vec<Submission> = scored.iter().filter(|s| s.nominated_at.is_some()).cloned().collect();
    if !nominated.is_empty() {
        return Ok(nominated.into_iter().take(most).collect());
    }
    let board = &competition.definition.leaderboard;
    let improvements = airlock::lane1::improvements(conn, board, before.id, team).await?;
    let last = improvements.iter().rev().take(most);
    Ok(last.filter_map(|id| scored.iter().find(|s| s.id == *id).cloned()).collect())
}

async fn enter(
    tx: &mut Tx,
    house: &House,
    competition: &Competition,
    phase: &Phase,
    chosen: &Submission,
) -> Result<(), StoreError> {
    let migrated = Submission {
        id: house.entropy.id(&house.clock),
        phase: phase.id,
        kind: Kind::Unknown,
        created_at: chosen.created_at,
        state: State::Queued,
        reason: Reason::default(),
        disclosed_state: State::Queued,
        disclosed_reason: Reason::default(),
        release_at: None,
        started_at: None,
        finished_at: None,
        cancel_requested_at: None,
        nominated_at: None,
        migrated_from: Some(chosen.id),
        chosen: true,
        ..chosen.clone()
    };
    accept::enter(tx, house, competition, &migrated).await?;
    db::set_chosen(tx, migrated.id, true).await
}
