//! From the main site to an origin of its own, that of a lab or of an app being tried: a ticket in the address opens
//! once, within a minute, and leaves a visit's secret in a cookie of that origin alone.
//!
//! Secrets are kept as their SM3. What else has to hold of a visitor is asked by the room that they visit.

mod db;

use std::time::Duration;

use jiff::Timestamp;

use crate::crypto::Sm3Digest;
use crate::house::House;
use crate::ids::{SandboxId, SessionId, UserId};
use crate::store::{Connection, StoreError, Tx};

/// How long a ticket may be on its way.
pub const TICKET: Duration = Duration::from_secs(60);

/// What a ticket opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A lab.
    Lab(SandboxId),
    /// An app that is tried.
    Demo(SandboxId),
}

/// A visit that a ticket has opened.
pub(crate) struct Visit {
    /// What its cookie holds.
    pub secret: String,
    /// Whose it is.
    pub user: UserId,
}

fn digest(secret: &str) -> String {
    Sm3Digest::of(secret.as_bytes()).to_string()
}

/// Makes a ticket for somebody who may go there, and gives its secret. The visit that it opens ends with the session on
/// the main site that it was made in.
///
/// # Errors
/// When the database fails.
pub(crate) async fn make(
    house: &House,
    place: Place,
    whose: (UserId, SessionId),
) -> Result<String, StoreError> {
    let expires = house.clock.now().checked_add(TICKET).unwrap_or(Timestamp::MAX);
    let secret = house.entropy.secret();
    let mut tx = house.db.begin().await?;
    db::insert_ticket(&mut tx, &digest(&secret), place, whose, expires).await?;
    tx.commit().await?;
    Ok(secret)
}

/// Uses a ticket up and opens a visit, up to its end; `None` for one that does not open this place (any more).
///
/// # Errors
/// When the database fails.
pub(crate) async fn redeem(
    tx: &mut Tx,
    house: &House,
    (place, secret): (Place, &str),
    ends: Timestamp,
) -> Result<Option<Visit>, StoreError> {
    let Some(whose) = db::use_ticket(tx, &digest(secret), place, house.clock.now()).await? else {
        return Ok(None);
    };
    let secret = house.entropy.secret();
    db::insert_visit(tx, &digest(&secret), place, whose, ends).await?;
    Ok(Some(Visit { secret, user: whose.0 }))
}

/// Whose visit a cookie's secret is: of somebody whose account is in use and whose session on the main site, in which
/// they came, goes on.
///
/// # Errors
/// When the database fails.
pub(crate) async fn visitor(
    conn: &mut Connection,
    place: Place,
    secret: &str,
    now: Timestamp,
) -> Result<Option<UserId>, StoreError> {
    db::visitor(conn, &digest(secret), place, now).await
}

/// Forgets tickets and visits that are over.
///
/// # Errors
/// When the database fails.
pub(crate) async fn sweep(tx: &mut Tx, now: Timestamp) -> Result<(), StoreError> {
    db::sweep(tx, now).await
}
