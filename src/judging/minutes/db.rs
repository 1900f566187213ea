//! SQL of minutes.

use super::Minute;
use crate::ids::PanelId;
use crate::store::{Connection, Row, StoreError};

/// The last row's number and digest.
pub async fn head(conn: &mut Connection, panel: PanelId) -> Result<Option<(i64, String)>, StoreError> {
    let row =
        sqlx::query("SELECT number, digest FROM minutes WHERE panel_id = $1 ORDER BY number DESC LIMIT 1")
            .bind(panel.to_string())
            .fetch_optional(conn)
            .await?;
    row.map(|row| Ok((row.int("number")?, row.text("digest")?))).transpose()
}

/// Adds a row.
pub(super) async fn insert(conn: &mut Connection, panel: PanelId, m: &Minute) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO minutes (panel_id, number, at, actor, kind, detail, digest) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(panel.to_string())
    .bind(m.number)
    .bind(m.at.as_millisecond())
    .bind(&m.actor)
    .bind(&m.kind)
    .bind(serde_json::Value::Object(m.detail.clone()).to_string())
    .bind(&m.digest)
    .execute(conn)
    .await?;
    Ok(())
}

/// All rows, in order.
pub async fn all(conn: &mut Connection, panel: PanelId) -> Result<Vec<Minute>, StoreError> {
    let rows = sqlx::query("SELECT * FROM minutes WHERE panel_id = $1 ORDER BY number")
        .bind(panel.to_string())
        .fetch_all(conn)
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Minute {
                number: row.int("number")?,
                at: row.time("at")?,
                actor: row.text("actor")?,
                kind: row.text("kind")?,
                detail: row.json("detail")?,
                digest: row.text("digest")?,
            })
        })
        .collect()
}
