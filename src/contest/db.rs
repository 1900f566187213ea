//! SQL of competitions, phases, tasks and bundle files.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sqlx::any::AnyRow;

use super::definition;
use super::model::{Competition, Phase, StoredFile, Task};
use crate::ids::{CompetitionId, HiddenSetId, PhaseId, TaskId, UserId};
use crate::store::{Connection, Row, StoreError};

fn competition(row: &AnyRow) -> Result<Competition, StoreError> {
    Ok(Competition {
        id: row.parsed("id")?,
        slug: row.text("slug")?,
        definition: row.json("definition")?,
        digest: row.text("digest")?,
        revision: row.int("revision")?,
        published_at: row.time_or_null("published_at")?,
        merge_lock_at: row.time_or_null("merge_lock_at")?,
        created_at: row.time("created_at")?,
        created_by: row.parsed("created_by")?,
        updated_at: row.time("updated_at")?,
    })
}

fn phase(row: &AnyRow) -> Result<Phase, StoreError> {
    Ok(Phase {
        id: row.parsed("id")?,
        competition: row.parsed("competition_id")?,
        position: row.int("position")?,
        starts_at: row.time("starts_at")?,
        ends_at: row.time_or_null("ends_at")?,
        definition: row.json("definition")?,
        migrated_at: row.time_or_null("migrated_at")?,
        board_version: row.int("board_version")?,
    })
}

fn task(row: &AnyRow) -> Result<Task, StoreError> {
    Ok(Task {
        id: row.parsed("id")?,
        competition: row.parsed("competition_id")?,
        position: row.int("position")?,
        hidden_set: row.parsed("hidden_set_id")?,
        definition: row.json("definition")?,
    })
}

/// Every competition, the newest first.
pub async fn competitions(conn: &mut Connection) -> Result<Vec<Competition>, StoreError> {
    let rows =
        sqlx::query("SELECT * FROM competitions ORDER BY created_at DESC, id DESC").fetch_all(conn).await?;
    rows.iter().map(competition).collect()
}

/// The ids of all competitions.
pub async fn ids(conn: &mut Connection) -> Result<Vec<CompetitionId>, StoreError> {
    let rows = sqlx::query("SELECT id FROM competitions").fetch_all(conn).await?;
    rows.iter().map(|row| row.parsed("id")).collect()
}

/// The competition of this slug.
pub async fn by_slug(conn: &mut Connection, slug: &str) -> Result<Option<Competition>, StoreError> {
    let row =
        sqlx::query("SELECT * FROM competitions WHERE slug = $1").bind(slug).fetch_optional(conn).await?;
    row.as_ref().map(competition).transpose()
}

/// The competition of this id.
pub async fn by_id(conn: &mut Connection, id: CompetitionId) -> Result<Option<Competition>, StoreError> {
    let row = sqlx::query("SELECT * FROM competitions WHERE id = $1")
        .bind(id.to_string())
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(competition).transpose()
}

/// Writes a competition's row, new or changed.
pub async fn save(conn: &mut Connection, c: &Competition) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO competitions (id, slug, title, definition, digest, revision, published_at, \
         merge_lock_at, created_at, created_by, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
         ON CONFLICT (id) DO UPDATE SET title = excluded.title, definition = excluded.definition, \
         digest = excluded.digest, revision = excluded.revision, published_at = excluded.published_at, \
         merge_lock_at = excluded.merge_lock_at, updated_at = excluded.updated_at",
    )
    .bind(c.id.to_string())
    .bind(&c.slug)
    .bind(&c.definition.title)
    .bind(document(&c.definition)?)
    .bind(&c.digest)
    .bind(c.revision)
    .bind(c.published_at.map(Timestamp::as_millisecond))
    .bind(c.merge_lock_at.map(Timestamp::as_millisecond))
    .bind(c.created_at.as_millisecond())
    .bind(c.created_by.to_string())
    .bind(c.updated_at.as_millisecond())
    .execute(conn)
    .await?;
    Ok(())
}

/// Locks a competition's row for the rest of the transaction. Whoever changes a part of what
/// [`save`] writes reads it anew under this lock.
pub async fn lock(conn: &mut Connection, id: CompetitionId) -> Result<(), StoreError> {
    sqlx::query("UPDATE competitions SET revision = revision WHERE id = $1")
        .bind(id.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

fn document<T: serde::Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|e| StoreError::Unreadable {
        column: "definition".to_owned(),
        value: String::new(),
        problem: e.to_string(),
    })
}

/// The phases of a competition in their order.
pub async fn phases(conn: &mut Connection, id: CompetitionId) -> Result<Vec<Phase>, StoreError> {
    let rows = sqlx::query(
        "SELECT * FROM phases WHERE competition_id = $1 AND retired_at IS NULL ORDER BY position",
    )
    .bind(id.to_string())
    .fetch_all(conn)
    .await?;
    rows.iter().map(phase).collect()
}

/// The phase of this id.
pub async fn phase_by_id(conn: &mut Connection, id: PhaseId) -> Result<Option<Phase>, StoreError> {
    let row =
        sqlx::query("SELECT * FROM phases WHERE id = $1").bind(id.to_string()).fetch_optional(conn).await?;
    row.as_ref().map(phase).transpose()
}

/// Phases that are over, or begin right after one that is, and whose migration is still to be done.
pub async fn phases_to_migrate(conn: &mut Connection, now: Timestamp) -> Result<Vec<Phase>, StoreError> {
    let rows = sqlx::query(
        "SELECT * FROM phases WHERE migrated_at IS NULL AND retired_at IS NULL AND position > 0 \
         AND starts_at <= $1",
    )
    .bind(now.as_millisecond())
    .fetch_all(conn)
    .await?;
    let phases: Result<Vec<Phase>, StoreError> = rows.iter().map(phase).collect();
    Ok(phases?.into_iter().filter(|p| p.definition.auto_migrate_to_this_phase).collect())
}

/// Marks a phase as migrated; false when another process did so first.
pub async fn mark_migrated(conn: &mut Connection, id: PhaseId, now: Timestamp) -> Result<bool, StoreError> {
    let done = sqlx::query("UPDATE phases SET migrated_at = $2 WHERE id = $1 AND migrated_at IS NULL")
        .bind(id.to_string())
        .bind(now.as_millisecond())
        .execute(conn)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Writes a phase's row, new or changed.
pub async fn save_phase(conn: &mut Connection, p: &Phase) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO phases (id, competition_id, position, starts_at, ends_at, definition, migrated_at, \
         board_version) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
         ON CONFLICT (id) DO UPDATE SET starts_at = excluded.starts_at, ends_at = excluded.ends_at, \
         definition = excluded.definition, retired_at = NULL",
    )
    .bind(p.id.to_string())
    .bind(p.competition.to_string())
    .bind(p.position)
    .bind(p.starts_at.as_millisecond())
    .bind(p.ends_at.map(Timestamp::as_millisecond))
    .bind(document(&p.definition)?)
    .bind(p.migrated_at.map(Timestamp::as_millisecond))
    .bind(p.board_version)
    .execute(conn)
    .await?;
    Ok(())
}

/// Every phase of a competition, those that a later bundle dropped too.
pub async fn phases_ever(conn: &mut Connection, id: CompetitionId) -> Result<Vec<Phase>, StoreError> {
    let rows = sqlx::query("SELECT * FROM phases WHERE competition_id = $1 ORDER BY position")
        .bind(id.to_string())
        .fetch_all(conn)
        .await?;
    rows.iter().map(phase).collect()
}

/// Hides the phases from `position` on, which the newest bundle no longer has.
pub async fn retire_phases(
    conn: &mut Connection,
    id: CompetitionId,
    position: i64,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE phases SET retired_at = $3 WHERE competition_id = $1 AND position >= $2")
        .bind(id.to_string())
        .bind(position)
        .bind(now.as_millisecond())
        .execute(conn)
        .await?;
    Ok(())
}

/// The tasks of a phase in their order.
pub async fn tasks_of_phase(conn: &mut Connection, id: PhaseId) -> Result<Vec<Task>, StoreError> {
    let rows = sqlx::query(
        "SELECT t.* FROM tasks t JOIN phase_tasks p ON p.task_id = t.id WHERE p.phase_id = $1 \
         ORDER BY p.position",
    )
    .bind(id.to_string())
    .fetch_all(conn)
    .await?;
    rows.iter().map(task).collect()
}

/// Every task of a competition, those that a later bundle dropped too.
pub async fn tasks_ever(conn: &mut Connection, id: CompetitionId) -> Result<Vec<Task>, StoreError> {
    let rows = sqlx::query("SELECT * FROM tasks WHERE competition_id = $1 ORDER BY position")
        .bind(id.to_string())
        .fetch_all(conn)
        .await?;
    rows.iter().map(task).collect()
}

/// The task of this id.
pub async fn task_by_id(conn: &mut Connection, id: TaskId) -> Result<Option<Task>, StoreError> {
    let row =
        sqlx::query("SELECT * FROM tasks WHERE id = $1").bind(id.to_string()).fetch_optional(conn).await?;
    row.as_ref().map(task).transpose()
}

/// Writes a task's row, new or changed.
pub async fn save_task(conn: &mut Connection, t: &Task) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO tasks (id, competition_id, position, hidden_set_id, definition) \
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id) DO UPDATE SET \
         hidden_set_id = excluded.hidden_set_id, definition = excluded.definition, retired_at = NULL",
    )
    .bind(t.id.to_string())
    .bind(t.competition.to_string())
    .bind(t.position)
    .bind(t.hidden_set.to_string())
    .bind(document(&t.definition)?)
    .execute(conn)
    .await?;
    Ok(())
}

/// Hides the tasks from `position` on, which the newest bundle no longer has.
pub async fn retire_tasks(
    conn: &mut Connection,
    id: CompetitionId,
    position: i64,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE tasks SET retired_at = $3 WHERE competition_id = $1 AND position >= $2")
        .bind(id.to_string())
        .bind(position)
        .bind(now.as_millisecond())
        .execute(conn)
        .await?;
    Ok(())
}

/// Sets which tasks a phase has, in this order.
pub async fn set_phase_tasks(
    conn: &mut Connection,
    phase: PhaseId,
    tasks: &[TaskId],
) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM phase_tasks WHERE phase_id = $1")
        .bind(phase.to_string())
        .execute(&mut *conn)
        .await?;
    for (position, task) in (0_i64..).zip(tasks) {
        sqlx::query("INSERT INTO phase_tasks (phase_id, task_id, position) VALUES ($1, $2, $3)")
            .bind(phase.to_string())
            .bind(task.to_string())
            .bind(position)
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

/// The hidden set of this name, made with `fresh` as its id when there is none.
pub async fn hidden_set(
    conn: &mut Connection,
    name: &str,
    fresh: HiddenSetId,
    now: Timestamp,
) -> Result<HiddenSetId, StoreError> {
    let row = sqlx::query(
        "INSERT INTO hidden_sets (id, name, created_at) VALUES ($1, $2, $3) \
         ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING id",
    )
    .bind(fresh.to_string())
    .bind(name)
    .bind(now.as_millisecond())
    .fetch_one(conn)
    .await?;
    row.parsed("id")
}

fn stored_file(row: &AnyRow) -> Result<StoredFile, StoreError> {
    Ok(StoredFile {
        path: row.text("path")?,
        kind: row.parsed("kind")?,
        object_key: row.text("object_key")?,
        size: u64::try_from(row.int("size")?).unwrap_or(0),
        digest: row.text("digest")?,
    })
}

/// The files of a competition's bundle.
pub async fn files(conn: &mut Connection, id: CompetitionId) -> Result<Vec<StoredFile>, StoreError> {
    let rows = sqlx::query(
        "SELECT path, kind, object_key, size, digest FROM competition_files WHERE competition_id = $1 \
         ORDER BY path",
    )
    .bind(id.to_string())
    .fetch_all(conn)
    .await?;
    rows.iter().map(stored_file).collect()
}

/// The files of every competition's bundle.
pub async fn all_files(conn: &mut Connection) -> Result<Vec<StoredFile>, StoreError> {
    let rows = sqlx::query("SELECT path, kind, object_key, size, digest FROM competition_files")
        .fetch_all(conn)
        .await?;
    rows.iter().map(stored_file).collect()
}

/// One file of a competition's bundle.
pub async fn file(
    conn: &mut Connection,
    id: CompetitionId,
    path: &definition::BundlePath,
) -> Result<Option<StoredFile>, StoreError> {
    let row = sqlx::query(
        "SELECT path, kind, object_key, size, digest FROM competition_files \
         WHERE competition_id = $1 AND path = $2",
    )
    .bind(id.to_string())
    .bind(path)
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(stored_file).transpose()
}

/// Replaces what is known of a competition's files.
pub async fn replace_files(
    conn: &mut Connection,
    id: CompetitionId,
    files: &[StoredFile],
) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM competition_files WHERE competition_id = $1")
        .bind(id.to_string())
        .execute(&mut *conn)
        .await?;
    for file in files {
        sqlx::query(
            "INSERT INTO competition_files (competition_id, path, kind, object_key, size, digest) \
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(id.to_string())
        .bind(&file.path)
        .bind(file.kind.as_str())
        .bind(&file.object_key)
        .bind(i64::try_from(file.size).unwrap_or(i64::MAX))
        .bind(&file.digest)
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

/// The competitions that a person has to do with: `entered` for each that they take part in, else their role's name.
pub async fn competitions_of(
    conn: &mut Connection,
    user: UserId,
) -> Result<BTreeMap<CompetitionId, String>, StoreError> {
    let rows = sqlx::query(
        "SELECT competition_id, MIN(word) AS word FROM (\
           SELECT competition_id, 'entered' AS word FROM participants \
             WHERE user_id = $1 AND state IN ('approved', 'pending') \
           UNION SELECT competition_id, role AS word FROM roles WHERE user_id = $1 AND competition_id <> ''\
         ) AS known GROUP BY competition_id",
    )
    .bind(user.to_string())
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| Ok((row.parsed("competition_id")?, row.text("word")?))).collect()
}

/// Sets a phase's dates.
pub async fn set_dates(
    conn: &mut Connection,
    phase: PhaseId,
    starts_at: Timestamp,
    ends_at: Option<Timestamp>,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE phases SET starts_at = $2, ends_at = $3 WHERE id = $1")
        .bind(phase.to_string())
        .bind(starts_at.as_millisecond())
        .bind(ends_at.map(Timestamp::as_millisecond))
        .execute(conn)
        .await?;
    Ok(())
}

/// The phases of all competitions, in their order.
pub async fn all_phases(conn: &mut Connection) -> Result<Vec<Phase>, StoreError> {
    let rows = sqlx::query("SELECT * FROM phases WHERE retired_at IS NULL ORDER BY competition_id, position")
        .fetch_all(conn)
        .await?;
    rows.iter().map(phase).collect()
}
