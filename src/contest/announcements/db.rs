//! SQL of announcements.

use jiff::Timestamp;

use super::Announcement;
use crate::ids::{AnnouncementId, CompetitionId};
use crate::store::{Connection, Row, StoreError};

/// Adds an announcement.
pub async fn insert(
    conn: &mut Connection,
    competition: CompetitionId,
    a: &Announcement,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO announcements (id, competition_id, title, body, created_at, created_by) \
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(a.id.to_string())
    .bind(competition.to_string())
    .bind(&a.title)
    .bind(&a.body)
    .bind(a.created_at.as_millisecond())
    .bind(a.created_by.to_string())
    .execute(conn)
    .await?;
    Ok(())
}

/// The announcements that stand, the newest first.
pub async fn standing(
    conn: &mut Connection,
    competition: CompetitionId,
) -> Result<Vec<Announcement>, StoreError> {
    let rows = sqlx::query(
        "SELECT * FROM announcements WHERE competition_id = $1 AND withdrawn_at IS NULL \
         ORDER BY created_at DESC, id DESC LIMIT 50",
    )
    .bind(competition.to_string())
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Announcement {
                id: row.parsed("id")?,
                title: row.text("title")?,
                body: row.text("body")?,
                created_at: row.time("created_at")?,
                created_by: row.parsed("created_by")?,
            })
        })
        .collect()
}

/// Takes an announcement back; false when there is none of this id in the competition.
pub async fn withdraw(
    conn: &mut Connection,
    competition: CompetitionId,
    id: AnnouncementId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "UPDATE announcements SET withdrawn_at = $3 WHERE id = $1 AND competition_id = $2 AND withdrawn_at IS NULL",
    )
    .bind(id.to_string())
    .bind(competition.to_string())
    .bind(now.as_millisecond())
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}
