//! Two teams that become one: the last member of a team that has submitted joins another, and brings
//! the submissions along.

use super::{announce_board, db, quota};
use crate::airlock::lane1;
use crate::audit::{self, Actor, Entry};
use crate::contest::db as contest_db;
use crate::contest::entry::{self, EntryError};
use crate::contest::model::{Competition, Team};
use crate::house::House;
use crate::ids::UserId;
use crate::judging::{entries, panel};
use crate::store::Tx;

/// Joins the team that an invitation leads to, for somebody who is admitted under the terms whose
/// digest is `terms`. Whoever is the last of a team that has submitted brings its submissions along:
/// they count against the quotas of both as one. What was put on the board or nominated by hand is put
/// back, since the new team may not have so many.
///
/// # Errors
/// [`EntryError`]; nothing has changed then. A merger is refused while a submission of either team is
/// not over, and when both together have submitted more to a phase than it allows in all.
pub async fn join(
    house: &House,
    competition: &Competition,
    user: UserId,
    terms: &str,
    secret: &str,
) -> Result<Team, EntryError> {
    let mut tx = house.db.begin().await?;
    entry::admitted(&mut tx, competition, user, terms).await?;
    let (target, present) = entry::before_joining(&mut tx, &house.clock, competition, user, secret).await?;
    match present {
        Some(own) if own.id == target.id => return Ok(target),
        Some(own) if entry::holds_its_last_member(&mut tx, own.id).await? => {
            merge(&mut tx, house, competition, &own, &target, user).await?;
        }
        Some(_) => {
            entry::leave(&mut tx, &house.clock, competition, user).await?;
        }
        None => {}
    }
    entry::enter_team(&mut tx, &house.clock, competition, &target, user).await?;
    panel::team_changed(&mut tx, target.id, (house.clock.now(), Actor::User(user))).await?;
    tx.commit().await?;
    house.ring();
    Ok(target)
}

async fn merge(
    tx: &mut Tx,
    house: &House,
    competition: &Competition,
    own: &Team,
    target: &Team,
    user: UserId,
) -> Result<(), EntryError> {
    let now = house.clock.now();
    // in the order of their ids, as everybody who locks two
    let (first, second) = if own.id < target.id { (own, target) } else { (target, own) };
    for team in [first, second] {
        entry::db::lock(tx, team.id, now).await?;
        if db::team_waits(tx, team.id).await? {
            return Err(EntryError::UnderWay(team.name.clone()));
        }
    }
    let moved = db::move_to_team(tx, own.id, target.id).await?;
    let phases = contest_db::phases(tx, competition.id).await?;
    for phase in &phases {
        let quota = quota::quota(tx, phase, target.id, now).await?;
        let (together, limit) = (quota.used, quota.in_all);
        if limit > 0 && together > limit {
            let phase = phase.definition.name.clone();
            return Err(EntryError::TooManyTogether { phase, together, limit });
        }
    }
    entries::follow_team(tx, now, own, target, user).await?;
    entry::db::set_merged(tx, own.id, target.id).await?;
    entry::db::leave(tx, own.id, user, now).await?;
    let entry = Entry::new(now, Actor::User(user), "team.merged", ("team", target.id))
        .competition(competition.id)
        .detail("from", own.id.to_string())
        .detail("submissions", moved);
    audit::record(tx, entry).await?;
    let board = &competition.definition.leaderboard;
    for phase in &phases {
        lane1::update_standing(tx, board, phase.id, own.id).await?;
        let version = lane1::update_standing(tx, board, phase.id, target.id).await?;
        announce_board(tx, house, phase.id, version).await?;
    }
    Ok(())
}
