//! From the main site to a sandbox's own origin ([`crate::ticket`]), for the person whose it is.

mod db;

use std::time::Duration;

use jiff::Timestamp;

use super::model::Sandbox;
use crate::audit::{self, Actor, Entry};
use crate::house::House;
use crate::ids::{SandboxId, SessionId, UserId};
use crate::store::{Connection, StoreError};
use crate::ticket::{self, Place};

pub use crate::ticket::TICKET;

/// How long a visit lasts where the session of the sandbox has no end of its own.
const VISIT: Duration = Duration::from_secs(12 * 3600);

/// Makes a ticket to a sandbox for the person whose it is, and gives its secret. The visit that it opens ends with the
/// session on the main site that it was made in.
///
/// # Errors
/// When the database fails.
pub async fn make(house: &House, sandbox: &Sandbox, session: SessionId) -> Result<String, StoreError> {
    ticket::make(house, Place::Lab(sandbox.id), (sandbox.user, session)).await
}

/// Uses a ticket up; gives the secret of the visit that it opens, and when that ends. `None` for a
/// ticket that does not open this sandbox (any more).
///
/// # Errors
/// When the database fails.
pub async fn redeem(
    house: &House,
    sandbox: &Sandbox,
    secret: &str,
) -> Result<Option<(String, Timestamp)>, StoreError> {
    let now = house.clock.now();
    let ends = sandbox.deadline_at.unwrap_or_else(|| now.checked_add(VISIT).unwrap_or(Timestamp::MAX));
    let mut tx = house.db.begin().await?;
    let visit = ticket::redeem(&mut tx, house, (Place::Lab(sandbox.id), secret), ends).await?;
    let Some(visit) = visit.filter(|visit| visit.user == sandbox.user) else { return Ok(None) };
    let entry = Entry::new(now, Actor::User(visit.user), "sandbox.entered", ("sandbox", sandbox.id))
        .competition(sandbox.competition);
    audit::record(&mut tx, entry).await?;
    tx.commit().await?;
    Ok(Some((visit.secret, ends)))
}

/// Whose visit to a sandbox a cookie's secret is, as long as the session lasts on the main site that it came
/// from, and that person takes part.
///
/// # Errors
/// When the database fails.
pub async fn visitor(
    conn: &mut Connection,
    sandbox: SandboxId,
    secret: &str,
    now: Timestamp,
) -> Result<Option<UserId>, StoreError> {
    let Some(user) = ticket::visitor(conn, Place::Lab(sandbox), secret, now).await? else { return Ok(None) };
    Ok(db::is_theirs(conn, sandbox, user).await?.then_some(user))
}
