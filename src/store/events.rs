//! The table behind live updates. Whoever changes something publishes an event in the same
//! transaction; each web process reads what is new and tells the browsers that listen.

use jiff::Timestamp;
use sqlx::query;

use super::{Connection, Row, StoreError};

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its number. On PostgreSQL a lower number may become visible after a higher one.
    pub number: i64,
    /// What it is about, as in `phase:0198…`.
    pub topic: String,
    /// What happened, as in `board`.
    pub kind: String,
    /// A JSON document; never anything that the listeners to the topic may not read.
    pub payload: String,
    /// When.
    pub at: Timestamp,
}

/// Publishes an event, when the transaction commits.
///
/// # Errors
/// When the database refuses.
pub async fn publish(
    connection: &mut Connection,
    at: Timestamp,
    (topic, kind): (&str, &str),
    payload: &serde_json::Value,
) -> Result<(), StoreError> {
    query("INSERT INTO events (topic, kind, payload, created_at) VALUES ($1, $2, $3, $4)")
        .bind(topic)
        .bind(kind)
        .bind(payload.to_string())
        .bind(at.as_millisecond())
        .execute(connection)
        .await?;
    Ok(())
}

/// The events with a number above `after`, in order, at most `limit`.
///
/// # Errors
/// When the database refuses.
pub async fn after(connection: &mut Connection, after: i64, limit: i64) -> Result<Vec<Event>, StoreError> {
    let rows = query("SELECT number, topic, kind, payload, created_at FROM events WHERE number > $1 ORDER BY number LIMIT $2")
        .bind(after)
        .bind(limit)
        .fetch_all(connection)
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Event {
                number: row.int("number")?,
                topic: row.text("topic")?,
                kind: row.text("kind")?,
                payload: row.text("payload")?,
                at: row.time("created_at")?,
            })
        })
        .collect()
}

/// The highest number so far; 0 when there is none.
///
/// # Errors
/// When the database refuses.
pub async fn latest(connection: &mut Connection) -> Result<i64, StoreError> {
    query("SELECT COALESCE(MAX(number), 0) AS number FROM events").fetch_one(connection).await?.int("number")
}

/// Forgets events from before a time; says how many.
///
/// # Errors
/// When the database refuses.
pub async fn forget(connection: &mut Connection, before: Timestamp) -> Result<u64, StoreError> {
    let done = query("DELETE FROM events WHERE created_at < $1")
        .bind(before.as_millisecond())
        .execute(connection)
        .await?;
    Ok(done.rows_affected())
}
