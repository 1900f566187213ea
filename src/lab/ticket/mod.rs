//! From the main site to a sandbox's own origin: a ticket in the address opens once, within a minute,
//! and leaves a visit's secret in a cookie of that origin alone.

pub(super) mod db;

use std::time::Duration;

use jiff::Timestamp;

use super::model::Sandbox;
use crate::audit::{self, Actor, Entry};
use crate::crypto::Sm3Digest;
use crate::house::House;
use crate::ids::{SandboxId, SessionId, UserId};
use crate::store::{Connection, StoreError};

/// How long a ticket may be on its way.
pub const TICKET: Duration = Duration::from_secs(60);
/// How long a visit lasts where the session of the sandbox has no end of its own.
const VISIT: Duration = Duration::from_secs(12 * 3600);

fn digest(secret: &str) -> String {
    Sm3Digest::of(secret.as_bytes()).to_string()
}

fn later(now: Timestamp, by: Duration) -> Timestamp {
    now.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// Makes a ticket to a sandbox for the person whose it is, and gives its secret. The visit that it opens ends with the
/// session on the main site that it was made in.
///
/// # Errors
/// When the database fails.
pub async fn make(house: &House, sandbox: &Sandbox, session: SessionId) -> Result<String, StoreError> {
    let now = house.clock.now();
    let secret = house.entropy.secret();
    let mut tx = house.db.begin().await?;
    let about = (sandbox.id, sandbox.user, session);
    db::insert_ticket(&mut tx, &digest(&secret), about, later(now, TICKET)).await?;
    tx.commit().await?;
    Ok(secret)
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
    let mut tx = house.db.begin().await?;
    let used = db::use_ticket(&mut tx, &digest(secret), sandbox.id, now).await?;
    let Some((user, session)) = used.filter(|(user, _)| *user == sandbox.user) else { return Ok(None) };
    let visit = house.entropy.secret();
    let ends = sandbox.deadline_at.unwrap_or_else(|| later(now, VISIT));
    db::insert_visit(&mut tx, &digest(&visit), (sandbox.id, user, session), (now, ends)).await?;
    let entry = Entry::new(now, Actor::User(user), "sandbox.entered", ("sandbox", sandbox.id))
        .competition(sandbox.competition);
    audit::record(&mut tx, entry).await?;
    tx.commit().await?;
    Ok(Some((visit, ends)))
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
    db::visitor(conn, &digest(secret), sandbox, now).await
}
