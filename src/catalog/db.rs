//! SQL of datasets, versions and the files of their forms.

use jiff::Timestamp;
use sqlx::any::AnyRow;

use super::{Dataset, Document, FormFile};
use crate::ids::{DatasetId, DatasetVersionId, UserId};
use crate::store::{Connection, Row, StoreError};

const DATASET: &str = "SELECT d.id AS id, d.slug AS slug, v.id AS version, v.document AS document, \
     v.created_at AS created_at, v.withdrawn_at AS withdrawn_at \
     FROM datasets d JOIN dataset_versions v ON v.dataset_id = d.id";

fn dataset(row: &AnyRow) -> Result<Dataset, StoreError> {
    Ok(Dataset {
        id: row.parsed("id")?,
        slug: row.text("slug")?,
        version: row.parsed("version")?,
        document: row.json("document")?,
        created_at: row.time("created_at")?,
        withdrawn_at: row.time_or_null("withdrawn_at")?,
    })
}

/// Every dataset with its newest version, by slug.
pub async fn datasets(conn: &mut Connection) -> Result<Vec<Dataset>, StoreError> {
    let sql = format!(
        "{DATASET} WHERE v.number = (SELECT MAX(n.number) FROM dataset_versions n WHERE n.dataset_id = d.id) \
         ORDER BY d.slug"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(conn).await?;
    rows.iter().map(dataset).collect()
}

/// A dataset with its newest version.
pub async fn by_slug(conn: &mut Connection, slug: &str) -> Result<Option<Dataset>, StoreError> {
    let sql = format!("{DATASET} WHERE d.slug = $1 ORDER BY v.number DESC LIMIT 1");
    let row = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(slug).fetch_optional(conn).await?;
    row.as_ref().map(dataset).transpose()
}

/// A dataset with one version.
pub async fn version(conn: &mut Connection, slug: &str, number: i64) -> Result<Option<Dataset>, StoreError> {
    let sql = format!("{DATASET} WHERE d.slug = $1 AND v.number = $2");
    let row = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(slug).bind(number).fetch_optional(conn).await?;
    row.as_ref().map(dataset).transpose()
}

/// Adds a version, and its dataset with `fresh` as its id when there is none yet.
pub async fn insert(
    conn: &mut Connection,
    fresh: DatasetId,
    version: DatasetVersionId,
    document: &Document,
    steward: UserId,
    now: Timestamp,
) -> Result<DatasetId, StoreError> {
    let text = serde_json::to_string(document).unwrap_or_else(|_| "{}".to_owned());
    let row = sqlx::query(
        "INSERT INTO datasets (id, slug, title_zh, title_en, document, created_at, created_by) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (slug) DO UPDATE SET \
         title_zh = excluded.title_zh, title_en = excluded.title_en, document = excluded.document \
         RETURNING id",
    )
    .bind(fresh.to_string())
    .bind(&document.slug)
    .bind(&document.title.zh)
    .bind(&document.title.en)
    .bind(&text)
    .bind(now.as_millisecond())
    .bind(steward.to_string())
    .fetch_one(&mut *conn)
    .await?;
    let id: DatasetId = row.parsed("id")?;
    sqlx::query(
        "INSERT INTO dataset_versions (id, dataset_id, number, document, created_at, created_by) \
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(version.to_string())
    .bind(id.to_string())
    .bind(document.version)
    .bind(&text)
    .bind(now.as_millisecond())
    .bind(steward.to_string())
    .execute(conn)
    .await?;
    Ok(id)
}

/// Adds a version's files.
pub async fn insert_files(
    conn: &mut Connection,
    version: DatasetVersionId,
    files: &[FormFile],
) -> Result<(), StoreError> {
    for file in files {
        sqlx::query(
            "INSERT INTO dataset_files (version_id, form, path, object_key, size, digest) \
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(version.to_string())
        .bind(file.form.as_str())
        .bind(&file.path)
        .bind(&file.object_key)
        .bind(i64::try_from(file.size).unwrap_or(i64::MAX))
        .bind(&file.digest)
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

/// A version's files, by form and path.
pub async fn files(conn: &mut Connection, version: DatasetVersionId) -> Result<Vec<FormFile>, StoreError> {
    let rows = sqlx::query(
        "SELECT form, path, object_key, size, digest FROM dataset_files WHERE version_id = $1 \
         ORDER BY form, path",
    )
    .bind(version.to_string())
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(FormFile {
                form: row.parsed("form")?,
                path: row.text("path")?,
                object_key: row.text("object_key")?,
                size: u64::try_from(row.int("size")?).unwrap_or(0),
                digest: row.text("digest")?,
            })
        })
        .collect()
}

/// Marks a version as withdrawn.
pub async fn withdraw(
    conn: &mut Connection,
    version: DatasetVersionId,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE dataset_versions SET withdrawn_at = COALESCE(withdrawn_at, $2) WHERE id = $1")
        .bind(version.to_string())
        .bind(now.as_millisecond())
        .execute(conn)
        .await?;
    Ok(())
}
