//! Giving and taking roles, and recognising who holds them.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::record::{By, Deed};
use super::{Actor, Grant, People, PeopleError, Role, Scope, db};
use crate::audit::{self, Entry};
use crate::ids::{CompetitionId, TokenId, UserId};
use crate::store::{Connection, StoreError, Tx};

/// Somebody who holds a role.
#[derive(Clone, Debug, Serialize)]
pub struct Holder {
    /// Who.
    pub user: UserId,
    /// The name they log in with.
    pub login: String,
    /// The name shown to others.
    pub name: String,
    /// The role.
    pub role: Role,
}

/// Refuses whoever may not give this role: administrators give any; who manages a competition names
/// its organizers and judges.
fn may_give(by: By<'_>, grant: Grant) -> Result<(), PeopleError> {
    if let (By::Actor(actor), Some(competition)) = (by, grant.competition)
        && matches!(grant.role, Role::Organizer | Role::Judge)
        && actor.may_manage(competition)
    {
        return Ok(());
    }
    by.administering("give this role")
}

/// Makes somebody an organizer of a competition, in the transaction that takes it in. Gives whether
/// that is new; one who is its organizer already stays so.
///
/// # Errors
/// When the database fails.
pub async fn make_organizer(
    tx: &mut Tx,
    user: UserId,
    competition: CompetitionId,
    (at, by): (Timestamp, audit::Actor),
) -> Result<bool, StoreError> {
    let grant = Grant { role: Role::Organizer, competition: Some(competition) };
    let giver = by.user().map_or_else(|| by.to_string(), |giver| giver.to_string());
    let fresh = db::insert_grant(tx, user, grant, (at, &giver)).await?;
    if fresh {
        let entry = Entry::new(at, by, "role.granted", ("user", user)).competition(competition);
        audit::record(tx, entry.detail("role", grant.role.as_str())).await?;
    }
    Ok(fresh)
}

/// An account that can log in, as it is asked for a task.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Who.
    pub user: UserId,
    /// The name shown to others.
    pub name: String,
    grants: Vec<Grant>,
}

impl Candidate {
    /// Whether they manage a competition, as its organizer or as an administrator.
    pub fn runs(&self, competition: CompetitionId) -> bool {
        let here = Grant { role: Role::Organizer, competition: Some(competition) };
        let everywhere = Grant { role: Role::Administrator, competition: None };
        self.grants.iter().any(|grant| *grant == here || *grant == everywhere)
    }
}

/// The account of a login, unless it is disabled.
///
/// # Errors
/// When the database fails.
pub async fn standing_named(conn: &mut Connection, login: &str) -> Result<Option<Candidate>, StoreError> {
    let found = db::user_by_login(conn, login).await?.filter(|user| user.disabled_at.is_none());
    let Some(found) = found else { return Ok(None) };
    let grants = db::grants(conn, found.id).await?;
    Ok(Some(Candidate { user: found.id, name: found.name, grants }))
}

/// Gives or takes the role of a judge in a competition, in the transaction that appoints or releases them.
///
/// # Errors
/// When the database fails.
pub async fn set_judge(
    tx: &mut Tx,
    user: UserId,
    competition: CompetitionId,
    holds: bool,
    (at, by): (Timestamp, audit::Actor),
) -> Result<(), StoreError> {
    let grant = Grant { role: Role::Judge, competition: Some(competition) };
    let giver = by.user().map_or_else(|| by.to_string(), |giver| giver.to_string());
    let changed = match holds {
        true => db::insert_grant(tx, user, grant, (at, &giver)).await?,
        false => db::delete_grant(tx, user, grant).await?,
    };
    if changed {
        let action = if holds { "role.granted" } else { "role.revoked" };
        let entry = Entry::new(at, by, action, ("user", user)).competition(competition);
        audit::record(tx, entry.detail("role", grant.role.as_str())).await?;
    }
    Ok(())
}

impl People {
    /// Gives a role. Giving one that is held already changes nothing.
    ///
    /// # Errors
    /// [`PeopleError::Forbidden`] when it is not theirs to give.
    pub async fn give(&self, by: By<'_>, user: UserId, grant: Grant) -> Result<(), PeopleError> {
        may_give(by, grant)?;
        let mut tx = self.db.begin().await?;
        db::user(&mut tx, user).await?.ok_or(PeopleError::Unknown("user"))?;
        if db::insert_grant(&mut tx, user, grant, (self.clock.now(), &by.name())).await? {
            self.audited(&mut tx, granted(by, "role.granted", user, grant)).await?;
        }
        Ok(tx.commit().await?)
    }

    /// Takes a role back. Taking one that is not held changes nothing.
    ///
    /// # Errors
    /// [`PeopleError::Forbidden`] when it is not theirs to take, [`PeopleError::LastAdministrator`].
    pub async fn take(&self, by: By<'_>, user: UserId, grant: Grant) -> Result<(), PeopleError> {
        may_give(by, grant)?;
        let mut tx = self.db.begin().await?;
        if grant == (Grant { role: Role::Administrator, competition: None }) {
            self.refuse_without_administrator(&mut tx, user).await?;
        }
        if db::delete_grant(&mut tx, user, grant).await? {
            self.audited(&mut tx, granted(by, "role.revoked", user, grant)).await?;
        }
        Ok(tx.commit().await?)
    }

    /// The people with a role in a competition, or (`None`) in the whole installation.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn holders(&self, competition: Option<CompetitionId>) -> Result<Vec<Holder>, PeopleError> {
        let rows = db::holders(&mut *self.db.read().await?, competition).await?;
        Ok(rows.into_iter().map(|(user, login, name, role)| Holder { user, login, name, role }).collect())
    }

    /// The user as somebody recognised, unless disabled or gone.
    pub(super) async fn actor(
        &self,
        connection: &mut Connection,
        user: UserId,
        (scope, token): (Scope, Option<TokenId>),
    ) -> Result<Option<Actor>, PeopleError> {
        let Some(stored) = db::user(connection, user).await? else { return Ok(None) };
        if stored.disabled_at.is_some() {
            return Ok(None);
        }
        let grants = db::grants(connection, user).await?;
        Ok(Some(Actor {
            user,
            login: stored.login,
            name: stored.name,
            organisation: stored.organisation,
            locale: stored.locale,
            grants,
            scope,
            token,
        }))
    }
}

fn granted(by: By<'_>, action: &'static str, user: UserId, grant: Grant) -> Deed {
    Deed::by(by, action, "user", user).competition(grant.competition).detail(json!({ "role": grant.role }))
}
