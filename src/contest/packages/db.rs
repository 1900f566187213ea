//! SQL of packages.

use jiff::Timestamp;
use sqlx::AssertSqlSafe;

use super::{Package, Room};
use crate::ids::{CompetitionId, PackageId, SubmissionId, UserId};
use crate::store::{Connection, Engine, Row, StoreError};

fn package(row: &sqlx::any::AnyRow) -> Result<Package, StoreError> {
    Ok(Package {
        id: row.parsed("id")?,
        competition: row.parsed("competition_id")?,
        user: row.parsed_or_null("user_id")?,
        name: row.text("name")?,
        version: row.text("version")?,
        file_name: row.text("file_name")?,
        object_key: row.text("object_key")?,
        size: u64::try_from(row.int("size")?).unwrap_or(0),
        unpacked: u64::try_from(row.int("unpacked")?).unwrap_or(0),
        digest: row.text("digest")?,
        requires: row.text("requires")?.lines().map(str::to_owned).collect(),
        added_at: row.time("added_at")?,
    })
}

/// All but the files, which are many.
const COLUMNS: &str = "p.id, p.competition_id, p.user_id, p.name, p.version, p.file_name, p.object_key, p.size, \
     p.unpacked, p.digest, p.requires, p.added_at";

/// Whose: $2, or the organizer's where that is NULL. The cast is for PostgreSQL, which cannot tell.
const WHOSE: &str = "p.competition_id = $1 AND p.removed_at IS NULL \
     AND (p.user_id = $2 OR (p.user_id IS NULL AND CAST($2 AS TEXT) IS NULL))";

/// Adds a package with the paths that it installs.
pub(super) async fn insert(
    conn: &mut Connection,
    p: &Package,
    by: UserId,
    files: &[String],
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO packages (id, competition_id, user_id, name, version, file_name, object_key, size, unpacked, \
         digest, requires, files, added_at, added_by) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
    )
    .bind(p.id.to_string())
    .bind(p.competition.to_string())
    .bind(p.user.map(|user| user.to_string()))
    .bind(p.name.clone())
    .bind(p.version.clone())
    .bind(p.file_name.clone())
    .bind(p.object_key.clone())
    .bind(i64::try_from(p.size).unwrap_or(i64::MAX))
    .bind(i64::try_from(p.unpacked).unwrap_or(i64::MAX))
    .bind(p.digest.clone())
    .bind(p.requires.join("\n"))
    .bind(files.join("\n"))
    .bind(p.added_at.as_millisecond())
    .bind(by.to_string())
    .execute(conn)
    .await?;
    Ok(())
}

/// The packages of a person, or the organizer's, by name.
pub async fn standing(
    conn: &mut Connection,
    competition: CompetitionId,
    user: Option<UserId>,
) -> Result<Vec<Package>, StoreError> {
    let rows =
        sqlx::query(AssertSqlSafe(format!("SELECT {COLUMNS} FROM packages p WHERE {WHOSE} ORDER BY p.name")))
            .bind(competition.to_string())
            .bind(user.map(|user| user.to_string()))
            .fetch_all(conn)
            .await?;
    rows.iter().map(package).collect()
}

/// What lies in one directory with a package of a person's, or of the organizer's.
pub(super) async fn in_the_same_place(
    conn: &mut Connection,
    competition: CompetitionId,
    user: Option<UserId>,
) -> Result<Vec<Package>, StoreError> {
    let mut all = standing(conn, competition, None).await?;
    if user.is_some() {
        all.extend(standing(conn, competition, user).await?);
    }
    Ok(all)
}

/// Which of a person's packages are left out, of those of which that was found out for these of the
/// organizer's.
pub(super) async fn verdicts(
    conn: &mut Connection,
    competition: CompetitionId,
    user: UserId,
    judged: &str,
) -> Result<Vec<(PackageId, bool)>, StoreError> {
    let rows = sqlx::query(
        "SELECT id, left_out FROM packages WHERE competition_id = $1 AND user_id = $2 AND removed_at IS NULL \
         AND judged = $3 ORDER BY name",
    )
    .bind(competition.to_string())
    .bind(user.to_string())
    .bind(judged.to_owned())
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| Ok((row.parsed("id")?, row.int("left_out")? != 0))).collect()
}

/// Notes whether a package is left out beside these of the organizer's.
pub(super) async fn judge(
    conn: &mut Connection,
    id: PackageId,
    left_out: bool,
    judged: &str,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE packages SET left_out = $2, judged = $3 WHERE id = $1")
        .bind(id.to_string())
        .bind(i64::from(left_out))
        .bind(judged.to_owned())
        .execute(conn)
        .await?;
    Ok(())
}

/// What is taken of a person's room, or the organizer's.
pub(super) async fn room(
    conn: &mut Connection,
    competition: CompetitionId,
    user: Option<UserId>,
) -> Result<Room, StoreError> {
    let mut room = Room::default();
    for package in standing(conn, competition, user).await? {
        room.count += 1;
        room.bytes += package.size;
        room.unpacked += package.unpacked;
    }
    Ok(room)
}

/// The paths that a package installs.
pub(super) async fn files(conn: &mut Connection, id: PackageId) -> Result<Vec<String>, StoreError> {
    let row =
        sqlx::query("SELECT files FROM packages WHERE id = $1").bind(id.to_string()).fetch_one(conn).await?;
    Ok(row.text("files")?.lines().map(str::to_owned).collect())
}

/// Takes a package away, with the paths that it installs: they are compared with those of others no more.
pub(super) async fn remove(conn: &mut Connection, id: PackageId, now: Timestamp) -> Result<(), StoreError> {
    sqlx::query("UPDATE packages SET removed_at = $2, files = '' WHERE id = $1")
        .bind(id.to_string())
        .bind(now.as_millisecond())
        .execute(conn)
        .await?;
    Ok(())
}

/// Forgets a package that was taken away and that nothing was handed in with.
pub(super) async fn forget(conn: &mut Connection, id: PackageId) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM packages WHERE id = $1").bind(id.to_string()).execute(conn).await?;
    Ok(())
}

/// Whether something was handed in with a package.
pub(super) async fn is_frozen(conn: &mut Connection, id: PackageId) -> Result<bool, StoreError> {
    let row = sqlx::query("SELECT COUNT(*) AS n FROM submission_packages WHERE package_id = $1")
        .bind(id.to_string())
        .fetch_one(conn)
        .await?;
    Ok(row.int("n")? > 0)
}

/// Freezes what is there now for a submission of a person's. On PostgreSQL their rows are locked: one that is
/// being taken away is waited for and then not found, and one that is found is not taken away before the end of
/// the transaction. SQLite has one writer.
pub(super) async fn freeze(
    conn: &mut Connection,
    engine: Engine,
    (competition, user): (CompetitionId, UserId),
    submission: SubmissionId,
) -> Result<(), StoreError> {
    let lock = match engine {
        Engine::Postgres => " FOR SHARE OF p",
        Engine::Sqlite => "",
    };
    sqlx::query(AssertSqlSafe(format!(
        "INSERT INTO submission_packages (submission_id, package_id) SELECT s.id, p.id FROM submissions s \
         JOIN packages p ON p.competition_id = s.competition_id WHERE s.id = $3 AND p.competition_id = $1 \
         AND p.removed_at IS NULL AND (p.user_id IS NULL OR p.user_id = $2){lock}"
    )))
    .bind(competition.to_string())
    .bind(user.to_string())
    .bind(submission.to_string())
    .execute(conn)
    .await?;
    Ok(())
}

/// Freezes for a submission what another found.
pub(super) async fn freeze_like(
    conn: &mut Connection,
    submission: SubmissionId,
    before: SubmissionId,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO submission_packages (submission_id, package_id) SELECT s.id, f.package_id FROM submissions s \
         JOIN submission_packages f ON f.submission_id = $2 WHERE s.id = $1",
    )
    .bind(submission.to_string())
    .bind(before.to_string())
    .execute(conn)
    .await?;
    Ok(())
}

/// What a submission finds, by name.
pub(super) async fn of_submission(
    conn: &mut Connection,
    submission: SubmissionId,
) -> Result<Vec<Package>, StoreError> {
    let rows = sqlx::query(AssertSqlSafe(format!(
        "SELECT {COLUMNS} FROM packages p JOIN submission_packages f ON f.package_id = p.id \
         WHERE f.submission_id = $1 ORDER BY p.name"
    )))
    .bind(submission.to_string())
    .fetch_all(conn)
    .await?;
    rows.iter().map(package).collect()
}

/// The digests of all wheels that something may yet be laid out from.
pub async fn digests(conn: &mut Connection) -> Result<Vec<String>, StoreError> {
    let rows = sqlx::query(
        "SELECT DISTINCT digest FROM packages WHERE removed_at IS NULL \
         OR id IN (SELECT package_id FROM submission_packages)",
    )
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| row.text("digest")).collect()
}
