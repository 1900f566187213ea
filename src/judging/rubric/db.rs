//! SQL of rubrics.

use jiff::Timestamp;
use sqlx::any::AnyRow;

use crate::audit::Actor;
use crate::contest::definition::judging::Judging;
use crate::ids::CompetitionId;
use crate::store::{Connection, Row, StoreError};

/// A version of a competition's rubric.
#[derive(Clone, Debug)]
pub struct Version {
    /// Its number, from 1.
    pub number: i64,
    /// What it says.
    pub judging: Judging,
    /// Since when it is, or was, in force.
    pub adopted_at: Timestamp,
    /// Why it came.
    pub reason: String,
}

fn version(row: &AnyRow) -> Result<Version, StoreError> {
    Ok(Version {
        number: row.int("version")?,
        judging: row.json("document")?,
        adopted_at: row.time("adopted_at")?,
        reason: row.text("reason")?,
    })
}

/// The version in force.
pub async fn latest(
    conn: &mut Connection,
    competition: CompetitionId,
) -> Result<Option<Version>, StoreError> {
    let row =
        sqlx::query("SELECT * FROM judging_rubrics WHERE competition_id = $1 ORDER BY version DESC LIMIT 1")
            .bind(competition.to_string())
            .fetch_optional(conn)
            .await?;
    row.as_ref().map(version).transpose()
}

/// All versions, the latest first.
pub async fn all(conn: &mut Connection, competition: CompetitionId) -> Result<Vec<Version>, StoreError> {
    let rows = sqlx::query("SELECT * FROM judging_rubrics WHERE competition_id = $1 ORDER BY version DESC")
        .bind(competition.to_string())
        .fetch_all(conn)
        .await?;
    rows.iter().map(version).collect()
}

/// Adds a version.
pub(super) async fn insert(
    conn: &mut Connection,
    competition: CompetitionId,
    (number, judging): (i64, &Judging),
    (at, by, reason): (Timestamp, Actor, &str),
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO judging_rubrics (competition_id, version, document, adopted_at, adopted_by, reason) \
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(competition.to_string())
    .bind(number)
    .bind(serde_json::to_string(judging).unwrap_or_default())
    .bind(at.as_millisecond())
    .bind(by.to_string())
    .bind(reason)
    .execute(conn)
    .await?;
    Ok(())
}
