//! From the main site to a demo's own origin ([`crate::ticket`]).

use jiff::Timestamp;

use super::db;
use super::model::Demo;
use crate::house::House;
use crate::ids::{SandboxId, SessionId, UserId};
use crate::judging::panel;
use crate::store::{Connection, StoreError};
use crate::ticket::{self, Place};

/// Makes a ticket for somebody who may try it, and gives its secret.
///
/// # Errors
/// When the database fails.
pub async fn make(house: &House, demo: &Demo, whose: (UserId, SessionId)) -> Result<String, StoreError> {
    ticket::make(house, Place::Demo(demo.id), whose).await
}

/// Uses a ticket up; gives the secret of the visit that it opens, and when that ends.
///
/// # Errors
/// When the database fails.
pub async fn redeem(
    house: &House,
    demo: &Demo,
    secret: &str,
) -> Result<Option<(String, Timestamp)>, StoreError> {
    let ends = demo.deadline_at.unwrap_or_else(|| house.clock.now());
    let mut tx = house.db.begin().await?;
    let Some(visit) = ticket::redeem(&mut tx, house, (Place::Demo(demo.id), secret), ends).await? else {
        return Ok(None);
    };
    tx.commit().await?;
    Ok(Some((visit.secret, ends)))
}

/// Whose visit a secret is of, while the demo goes on. A judge's ends with their part in judging: where they resign,
/// declare a conflict, the entry is withdrawn or the round closed.
///
/// # Errors
/// When the database fails.
pub async fn visitor(
    conn: &mut Connection,
    id: SandboxId,
    secret: &str,
    now: Timestamp,
) -> Result<Option<UserId>, StoreError> {
    let Some(user) = ticket::visitor(conn, Place::Demo(id), secret, now).await? else { return Ok(None) };
    match db::goes_on(conn, id).await? {
        Some(Some(entry)) => Ok(panel::marks_now(conn, entry, user).await?.then_some(user)),
        Some(None) => Ok(Some(user)),
        None => Ok(None),
    }
}
