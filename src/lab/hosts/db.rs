//! SQL of the workers that hold sandboxes.

use jiff::{SignedDuration, Timestamp};

use super::Host;
use crate::lab::door::Door;
use crate::store::{Connection, Row, StoreError};

/// How long ago a worker was heard of at most that counts as alive.
const HEARD_OF: SignedDuration = SignedDuration::from_mins(1);

/// The workers alive that hold sandboxes, each with what its newest process says of it.
pub async fn alive(conn: &mut Connection, now: Timestamp) -> Result<Vec<Host>, StoreError> {
    let rows = sqlx::query(
        "SELECT name, sandbox_origin, sandbox_places FROM workers WHERE stopped_at IS NULL \
         AND seen_at > $1 AND sandbox_origin <> '' ORDER BY started_at DESC, id DESC",
    )
    .bind(now.checked_sub(HEARD_OF).unwrap_or(now).as_millisecond())
    .fetch_all(conn)
    .await?;
    let mut hosts: Vec<Host> = Vec::new();
    for row in &rows {
        let name = row.text("name")?;
        // a process that was killed a moment ago has not been forgotten yet
        if hosts.iter().any(|host| host.name == name) {
            continue;
        }
        if let Some(door) = Door::read(&row.text("sandbox_origin")?) {
            hosts.push(Host { name, door, places: row.int("sandbox_places")? });
        }
    }
    Ok(hosts)
}
