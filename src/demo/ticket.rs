//! From the main site to a demo's own origin: a ticket in the address opens once, within a minute, and leaves
//! a visit's secret in a cookie of that origin alone.

use std::time::Duration;

use jiff::Timestamp;

use super::db;
use super::model::Demo;
use crate::crypto::Sm3Digest;
use crate::house::House;
use crate::ids::{SandboxId, SessionId, UserId};
use crate::judging::panel;
use crate::store::{Connection, StoreError};

/// How long a ticket may be on its way.
const TICKET: Duration = Duration::from_secs(60);

fn digest(secret: &str) -> String {
    Sm3Digest::of(secret.as_bytes()).to_string()
}

/// Makes a ticket for somebody who may try it, and gives its secret.
///
/// # Errors
/// When the database fails.
pub async fn make(
    house: &House,
    demo: &Demo,
    (user, session): (UserId, SessionId),
) -> Result<String, StoreError> {
    let now = house.clock.now();
    let secret = house.entropy.secret();
    let mut tx = house.db.begin().await?;
    let expires = now.checked_add(TICKET).unwrap_or(Timestamp::MAX);
    db::insert_ticket(&mut tx, &digest(&secret), (demo.id, user, session), expires).await?;
    tx.commit().await?;
    Ok(secret)
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
    let now = house.clock.now();
    let mut tx = house.db.begin().await?;
    let Some((user, session)) = db::use_ticket(&mut tx, &digest(secret), demo.id, now).await? else {
        return Ok(None);
    };
    let visit = house.entropy.secret();
    let ends = demo.deadline_at.unwrap_or(now);
    db::insert_visit(&mut tx, &digest(&visit), (demo.id, user, session), ends).await?;
    tx.commit().await?;
    Ok(Some((visit, ends)))
}

/// Whose visit a secret is of. A judge's ends with their part in judging: where they resign, declare a conflict,
/// the entry is withdrawn or the round closed.
///
/// # Errors
/// When the database fails.
pub async fn visitor(
    conn: &mut Connection,
    id: SandboxId,
    secret: &str,
    now: Timestamp,
) -> Result<Option<UserId>, StoreError> {
    match db::visitor(conn, &digest(secret), id, now).await? {
        Some((user, Some(entry))) => Ok(panel::marks_now(conn, entry, user).await?.then_some(user)),
        visit => Ok(visit.map(|(user, _)| user)),
    }
}
