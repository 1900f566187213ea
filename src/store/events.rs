//! Live events: rows that a change publishes in its own transaction, for whoever watches a topic.

use serde_json::Value;

use super::{StoreError, Tx};
use crate::clock::Clock;

/// Publishes an event on a topic when the transaction commits.
///
/// # Errors
/// When the database fails.
pub async fn publish(
    tx: &mut Tx,
    clock: &Clock,
    topic: &str,
    kind: &str,
    payload: &Value,
) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO events (topic, kind, payload, created_at) VALUES ($1, $2, $3, $4)")
        .bind(topic)
        .bind(kind)
        .bind(payload.to_string())
        .bind(clock.millis())
        .execute(&mut **tx)
        .await?;
    Ok(())
}
