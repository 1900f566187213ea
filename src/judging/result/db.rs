//! SQL of signed rankings.

use jiff::Timestamp;
use sqlx::any::AnyRow;

use super::Signature;
use crate::ids::{CompetitionId, PanelId};
use crate::store::{Connection, Row, StoreError};

fn signature(row: &AnyRow) -> Result<Signature, StoreError> {
    Ok(Signature {
        panel: row.parsed("panel_id")?,
        edition: row.int("edition")?,
        document: row.json("document")?,
        digest: row.text("digest")?,
        signed_at: row.time("signed_at")?,
        signed_by: row.parsed("signed_by")?,
        published_at: row.time_or_null("published_at")?,
    })
}

/// Adds a signature.
pub(super) async fn insert(conn: &mut Connection, s: &Signature) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO judging_signatures (panel_id, edition, document, digest, signed_at, signed_by) \
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(s.panel.to_string())
    .bind(s.edition)
    .bind(s.document.to_string())
    .bind(&s.digest)
    .bind(s.signed_at.as_millisecond())
    .bind(s.signed_by.to_string())
    .execute(conn)
    .await?;
    Ok(())
}

/// Says since when a signed ranking is shown.
pub(super) async fn set_published(
    conn: &mut Connection,
    (panel, edition): (PanelId, i64),
    at: Option<Timestamp>,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE judging_signatures SET published_at = $3 WHERE panel_id = $1 AND edition = $2")
        .bind(panel.to_string())
        .bind(edition)
        .bind(at.map(Timestamp::as_millisecond))
        .execute(conn)
        .await?;
    Ok(())
}

/// Every ranking that a panel's chair signed, the latest first.
pub async fn of_panel(conn: &mut Connection, panel: PanelId) -> Result<Vec<Signature>, StoreError> {
    let rows = sqlx::query("SELECT * FROM judging_signatures WHERE panel_id = $1 ORDER BY edition DESC")
        .bind(panel.to_string())
        .fetch_all(conn)
        .await?;
    rows.iter().map(signature).collect()
}

/// The published rankings of a competition that stand, each with its panel's name, the main one first.
pub async fn published(
    conn: &mut Connection,
    competition: CompetitionId,
) -> Result<Vec<(String, Signature)>, StoreError> {
    let rows = sqlx::query(
        "SELECT s.*, p.name AS panel FROM judging_signatures s JOIN panels p ON p.id = s.panel_id \
         AND p.edition = s.edition WHERE p.competition_id = $1 AND p.state = 'signed' \
         AND s.published_at IS NOT NULL ORDER BY p.main DESC, p.name",
    )
    .bind(competition.to_string())
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| Ok((row.text("panel")?, signature(row)?))).collect()
}

/// Whether a competition has a published ranking that stands.
pub async fn any_published(conn: &mut Connection, competition: CompetitionId) -> Result<bool, StoreError> {
    let row = sqlx::query(
        "SELECT COUNT(*) AS n FROM judging_signatures s JOIN panels p ON p.id = s.panel_id \
         AND p.edition = s.edition WHERE p.competition_id = $1 AND p.state = 'signed' \
         AND s.published_at IS NOT NULL",
    )
    .bind(competition.to_string())
    .fetch_one(conn)
    .await?;
    Ok(row.int("n")? > 0)
}
