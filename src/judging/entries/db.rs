//! SQL of entries, their drafts, versions and files.

use jiff::Timestamp;
use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::model::{Cause, Content, Draft, Entry, EntryFile, Version};
use crate::ids::{CompetitionId, EntryFileId, EntryId, PhaseId, SubmissionId, TeamId, UserId};
use crate::store::{Connection, Row, StoreError};
use crate::submission::model::Origin;

/// Entries, with since when judges have them and whether a signed ranking names them.
macro_rules! entries {
    ($which:literal) => {
        concat!(
            "SELECT e.*, (SELECT MIN(a.assigned_at) FROM assignments a \
             WHERE a.entry_id = e.id AND a.state <> 'ended') AS judged_since, \
             (SELECT COUNT(*) FROM assignments a JOIN panels p ON p.id = a.panel_id \
             WHERE a.entry_id = e.id AND p.state = 'signed') AS signed FROM entries e WHERE ",
            $which
        )
    };
}

fn entry(row: &AnyRow) -> Result<Entry, StoreError> {
    Ok(Entry {
        id: row.parsed("id")?,
        competition: row.parsed("competition_id")?,
        team: row.parsed("team_id")?,
        number: row.int("number")?,
        state: row.parsed("state")?,
        submitted_version: row.int_or_null("submitted_version")?,
        created_at: row.time("created_at")?,
        submitted_at: row.time_or_null("submitted_at")?,
        submitted_by: row.parsed_or_null("submitted_by")?,
        withdrawn_at: row.time_or_null("withdrawn_at")?,
        withdrawn_reason: row.text("withdrawn_reason")?,
        late_until: row.time_or_null("late_until")?,
        late_reason: row.text("late_reason")?,
        published_at: row.time_or_null("published_at")?,
        hidden_reason: row.text("hidden_reason")?,
        judged_since: row.time_or_null("judged_since")?,
        signed: row.int("signed")? > 0,
    })
}

fn version(row: &AnyRow) -> Result<Version, StoreError> {
    Ok(Version {
        number: row.int("version")?,
        cause: row.parsed("cause")?,
        content: row.json("content")?,
        at: row.time("made_at")?,
        by: row.parsed("made_by")?,
    })
}

fn file(row: &AnyRow) -> Result<EntryFile, StoreError> {
    let pixels = |column| Ok::<_, StoreError>(u32::try_from(row.int(column)?).unwrap_or(0));
    Ok(EntryFile {
        id: row.parsed("id")?,
        entry: row.parsed("entry_id")?,
        kind: row.parsed("kind")?,
        media_type: row.text("media_type")?,
        size: u64::try_from(row.int("size")?).unwrap_or(0),
        width: pixels("width")?,
        height: pixels("height")?,
        digest: row.text("digest")?,
        object_key: row.text("object_key")?,
        facts: row.json("facts")?,
        added_at: row.time("added_at")?,
        added_by: row.parsed("added_by")?,
    })
}

fn json(content: &Content) -> String {
    serde_json::to_string(content).unwrap_or_else(|_| "{}".to_owned())
}

/// The entry of this id.
pub async fn by_id(conn: &mut Connection, id: EntryId) -> Result<Option<Entry>, StoreError> {
    let row = sqlx::query(entries!("id = $1")).bind(id.to_string()).fetch_optional(conn).await?;
    row.as_ref().map(entry).transpose()
}

/// The entry of a team.
pub async fn of_team(conn: &mut Connection, team: TeamId) -> Result<Option<Entry>, StoreError> {
    let row = sqlx::query(entries!("team_id = $1")).bind(team.to_string()).fetch_optional(conn).await?;
    row.as_ref().map(entry).transpose()
}

/// The entry of this number in a competition.
pub async fn by_number(
    conn: &mut Connection,
    competition: CompetitionId,
    number: i64,
) -> Result<Option<Entry>, StoreError> {
    let row = sqlx::query(entries!("competition_id = $1 AND number = $2"))
        .bind(competition.to_string())
        .bind(number)
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(entry).transpose()
}

/// Every entry of a competition, by number.
pub async fn all(conn: &mut Connection, competition: CompetitionId) -> Result<Vec<Entry>, StoreError> {
    let rows = sqlx::query(entries!("competition_id = $1 ORDER BY number"))
        .bind(competition.to_string())
        .fetch_all(conn)
        .await?;
    rows.iter().map(entry).collect()
}

/// The entries that stand as submitted, by number.
pub async fn submitted(conn: &mut Connection, competition: CompetitionId) -> Result<Vec<Entry>, StoreError> {
    let rows = sqlx::query(entries!("competition_id = $1 AND state = 'submitted' ORDER BY number"))
        .bind(competition.to_string())
        .fetch_all(conn)
        .await?;
    rows.iter().map(entry).collect()
}

/// The numbers that are taken in a competition.
pub(super) async fn numbers(
    conn: &mut Connection,
    competition: CompetitionId,
) -> Result<Vec<i64>, StoreError> {
    let rows = sqlx::query("SELECT number FROM entries WHERE competition_id = $1")
        .bind(competition.to_string())
        .fetch_all(conn)
        .await?;
    rows.iter().map(|row| row.int("number")).collect()
}

/// Locks an entry for the rest of the transaction.
pub async fn lock(conn: &mut Connection, id: EntryId) -> Result<(), StoreError> {
    sqlx::query("UPDATE entries SET number = number WHERE id = $1")
        .bind(id.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

/// Adds an entry with an empty draft.
pub(super) async fn insert(conn: &mut Connection, e: &Entry, by: UserId) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO entries (id, competition_id, team_id, number, state, created_at, created_by) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(e.id.to_string())
    .bind(e.competition.to_string())
    .bind(e.team.to_string())
    .bind(e.number)
    .bind(e.state.as_str())
    .bind(e.created_at.as_millisecond())
    .bind(by.to_string())
    .execute(&mut *conn)
    .await?;
    sqlx::query(
        "INSERT INTO entry_drafts (entry_id, content, revision, changed_by, changed_at) \
         VALUES ($1, $2, 1, $3, $4)",
    )
    .bind(e.id.to_string())
    .bind(json(&Content::default()))
    .bind(by.to_string())
    .bind(e.created_at.as_millisecond())
    .execute(conn)
    .await?;
    Ok(())
}

/// What a team works on.
pub async fn draft(conn: &mut Connection, id: EntryId) -> Result<Draft, StoreError> {
    let row = sqlx::query("SELECT * FROM entry_drafts WHERE entry_id = $1")
        .bind(id.to_string())
        .fetch_one(conn)
        .await?;
    Ok(Draft {
        content: row.json("content")?,
        revision: row.int("revision")?,
        by: row.parsed("changed_by")?,
        at: row.time("changed_at")?,
    })
}

/// Replaces a draft, where it is still of this revision; false where it is not.
pub(super) async fn set_draft(
    conn: &mut Connection,
    id: EntryId,
    seen: i64,
    content: &Content,
    (by, at): (UserId, Timestamp),
) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "UPDATE entry_drafts SET content = $3, revision = revision + 1, changed_by = $4, changed_at = $5 \
         WHERE entry_id = $1 AND revision = $2",
    )
    .bind(id.to_string())
    .bind(seen)
    .bind(json(content))
    .bind(by.to_string())
    .bind(at.as_millisecond())
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Adds a version and gives its number.
pub(super) async fn insert_version(
    conn: &mut Connection,
    id: EntryId,
    cause: Cause,
    content: &Content,
    (by, at): (UserId, Timestamp),
) -> Result<i64, StoreError> {
    sqlx::query(
        "INSERT INTO entry_versions (entry_id, version, cause, title, content, made_at, made_by) \
         VALUES ($1, (SELECT COALESCE(MAX(v.version), 0) + 1 FROM entry_versions v WHERE v.entry_id = $1), \
         $2, $3, $4, $5, $6) RETURNING version",
    )
    .bind(id.to_string())
    .bind(cause.as_str())
    .bind(&content.title)
    .bind(json(content))
    .bind(at.as_millisecond())
    .bind(by.to_string())
    .fetch_one(conn)
    .await?
    .int("version")
}

/// An entry's versions, the newest first.
pub async fn versions(conn: &mut Connection, id: EntryId) -> Result<Vec<Version>, StoreError> {
    let rows = sqlx::query("SELECT * FROM entry_versions WHERE entry_id = $1 ORDER BY version DESC")
        .bind(id.to_string())
        .fetch_all(conn)
        .await?;
    rows.iter().map(version).collect()
}

/// One version of an entry.
pub async fn version_of(
    conn: &mut Connection,
    id: EntryId,
    number: i64,
) -> Result<Option<Version>, StoreError> {
    let row = sqlx::query("SELECT * FROM entry_versions WHERE entry_id = $1 AND version = $2")
        .bind(id.to_string())
        .bind(number)
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(version).transpose()
}

/// The newest version of an entry.
pub(super) async fn newest_version(
    conn: &mut Connection,
    id: EntryId,
) -> Result<Option<Version>, StoreError> {
    let row = sqlx::query("SELECT * FROM entry_versions WHERE entry_id = $1 ORDER BY version DESC LIMIT 1")
        .bind(id.to_string())
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(version).transpose()
}

/// What stands as submitted in a competition, with the entry it belongs to, by the entry's number.
pub async fn standing(
    conn: &mut Connection,
    competition: CompetitionId,
) -> Result<Vec<(EntryId, Version)>, StoreError> {
    let rows = sqlx::query(
        "SELECT v.* FROM entries e JOIN entry_versions v \
         ON v.entry_id = e.id AND v.version = e.submitted_version \
         WHERE e.competition_id = $1 AND e.state = 'submitted' ORDER BY e.number",
    )
    .bind(competition.to_string())
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| Ok((row.parsed("entry_id")?, version(row)?))).collect()
}

/// Forgets the oldest versions that were never submitted, so that this many are left of those.
pub(super) async fn prune_versions(conn: &mut Connection, id: EntryId, most: i64) -> Result<(), StoreError> {
    sqlx::query(
        "DELETE FROM entry_versions WHERE entry_id = $1 AND cause <> 'submitted' AND version < \
         (SELECT MIN(k.version) FROM (SELECT version FROM entry_versions WHERE entry_id = $1 \
         AND cause <> 'submitted' ORDER BY version DESC LIMIT $2) k)",
    )
    .bind(id.to_string())
    .bind(most)
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes where an entry stands.
pub(super) async fn set_standing(conn: &mut Connection, e: &Entry) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE entries SET state = $2, submitted_version = $3, submitted_at = $4, submitted_by = $5, \
         withdrawn_at = $6, late_until = $7, late_reason = $8, published_at = $9, hidden_reason = $10, withdrawn_reason = $11 \
         WHERE id = $1",
    )
    .bind(e.id.to_string())
    .bind(e.state.as_str())
    .bind(e.submitted_version)
    .bind(e.submitted_at.map(Timestamp::as_millisecond))
    .bind(e.submitted_by.map(|user| user.to_string()))
    .bind(e.withdrawn_at.map(Timestamp::as_millisecond))
    .bind(e.late_until.map(Timestamp::as_millisecond))
    .bind(&e.late_reason)
    .bind(e.published_at.map(Timestamp::as_millisecond))
    .bind(&e.hidden_reason)
    .bind(&e.withdrawn_reason)
    .execute(conn)
    .await?;
    Ok(())
}

/// Gives an entry to another team, when its own becomes part of that.
pub(super) async fn set_team(conn: &mut Connection, id: EntryId, team: TeamId) -> Result<(), StoreError> {
    sqlx::query("UPDATE entries SET team_id = $2 WHERE id = $1")
        .bind(id.to_string())
        .bind(team.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

/// The titles of what stands as submitted, with the entry and its team, by the entry's number.
pub(super) async fn standing_titles(
    conn: &mut Connection,
    competition: CompetitionId,
) -> Result<Vec<(EntryId, TeamId, String)>, StoreError> {
    let rows = sqlx::query(
        "SELECT e.id AS id, e.team_id AS team_id, v.title AS title FROM entries e \
         JOIN entry_versions v ON v.entry_id = e.id AND v.version = e.submitted_version \
         WHERE e.competition_id = $1 AND e.state = 'submitted' ORDER BY e.number",
    )
    .bind(competition.to_string())
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| Ok((row.parsed("id")?, row.parsed("team_id")?, row.text("title")?))).collect()
}

/// A submission that an entry may be about.
#[derive(Clone, Debug)]
pub struct Choice {
    /// Its id.
    pub id: SubmissionId,
    /// The phase it was made to.
    pub phase: PhaseId,
    /// Its file's name.
    pub file_name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Where it came from.
    pub origin: Origin,
}

/// The submissions that a team's entry may be about: those told to be scored, the newest first.
pub async fn choices(conn: &mut Connection, team: TeamId) -> Result<Vec<Choice>, StoreError> {
    let rows = sqlx::query(
        "SELECT id, phase_id, file_name, created_at, origin FROM submissions WHERE team_id = $1 \
         AND aim = 'compete' AND disclosed_state = 'finished' AND disqualified_at IS NULL \
         ORDER BY created_at DESC, id DESC LIMIT 300",
    )
    .bind(team.to_string())
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Choice {
                id: row.parsed("id")?,
                phase: row.parsed("phase_id")?,
                file_name: row.text("file_name")?,
                created_at: row.time("created_at")?,
                origin: row.parsed("origin")?,
            })
        })
        .collect()
}

/// Adds a file.
pub(super) async fn insert_file(conn: &mut Connection, f: &EntryFile) -> Result<(), StoreError> {
    let facts = serde_json::to_string(&f.facts).unwrap_or_else(|_| "{}".to_owned());
    sqlx::query(
        "INSERT INTO entry_files (id, entry_id, kind, media_type, size, width, height, digest, object_key, \
         facts, added_at, added_by) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    )
    .bind(f.id.to_string())
    .bind(f.entry.to_string())
    .bind(f.kind.as_str())
    .bind(&f.media_type)
    .bind(i64::try_from(f.size).unwrap_or(i64::MAX))
    .bind(i64::from(f.width))
    .bind(i64::from(f.height))
    .bind(&f.digest)
    .bind(&f.object_key)
    .bind(facts)
    .bind(f.added_at.as_millisecond())
    .bind(f.added_by.to_string())
    .execute(conn)
    .await?;
    Ok(())
}

/// A file of an entry.
pub async fn file_of(
    conn: &mut Connection,
    entry: EntryId,
    id: EntryFileId,
) -> Result<Option<EntryFile>, StoreError> {
    let row = sqlx::query("SELECT * FROM entry_files WHERE id = $1 AND entry_id = $2")
        .bind(id.to_string())
        .bind(entry.to_string())
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(file).transpose()
}

/// Every file of an entry that is kept.
pub async fn files(conn: &mut Connection, entry: EntryId) -> Result<Vec<EntryFile>, StoreError> {
    let rows = sqlx::query("SELECT * FROM entry_files WHERE entry_id = $1 ORDER BY added_at, id")
        .bind(entry.to_string())
        .fetch_all(conn)
        .await?;
    rows.iter().map(file).collect()
}

/// Every report of a competition's entries: what their files say of their authors.
pub async fn reports(
    conn: &mut Connection,
    competition: CompetitionId,
) -> Result<Vec<EntryFile>, StoreError> {
    let rows = sqlx::query(
        "SELECT f.* FROM entry_files f JOIN entries e ON e.id = f.entry_id \
         WHERE e.competition_id = $1 AND f.kind = 'report'",
    )
    .bind(competition.to_string())
    .fetch_all(conn)
    .await?;
    rows.iter().map(file).collect()
}

/// How many versions each entry of a competition has.
pub async fn version_counts(
    conn: &mut Connection,
    competition: CompetitionId,
) -> Result<std::collections::HashMap<EntryId, i64>, StoreError> {
    let rows = sqlx::query(
        "SELECT v.entry_id AS id, COUNT(*) AS n FROM entry_versions v JOIN entries e ON e.id = v.entry_id \
         WHERE e.competition_id = $1 GROUP BY v.entry_id",
    )
    .bind(competition.to_string())
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| Ok((row.parsed("id")?, row.int("n")?))).collect()
}

/// The entries that their teams show to visitors, by number.
pub async fn shown(conn: &mut Connection, competition: CompetitionId) -> Result<Vec<Entry>, StoreError> {
    let rows = sqlx::query(entries!(
        "competition_id = $1 AND state = 'submitted' \
         AND published_at IS NOT NULL AND hidden_reason = '' ORDER BY number"
    ))
    .bind(competition.to_string())
    .fetch_all(conn)
    .await?;
    rows.iter().map(entry).collect()
}

/// Forgets a file.
pub(super) async fn forget_file(conn: &mut Connection, id: EntryFileId) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM entry_files WHERE id = $1").bind(id.to_string()).execute(conn).await?;
    Ok(())
}

/// Whom a competition's entries name, or one team's alone: the team, its name or that of one that became
/// part of it, and the name, login and organisation of everybody who was ever a member; one row a member.
pub(super) async fn people(
    conn: &mut Connection,
    competition: CompetitionId,
    team: Option<TeamId>,
) -> Result<Vec<(TeamId, [Option<String>; 4])>, StoreError> {
    let one = if team.is_some() { "AND id = $2" } else { "AND CAST($2 AS TEXT) IS NULL" };
    let rows = sqlx::query(AssertSqlSafe(format!(
        "WITH RECURSIVE whole (part, team_id) AS (SELECT id, id FROM teams WHERE competition_id = $1 {one} \
         UNION SELECT t.id, w.team_id FROM whole w JOIN teams t ON t.merged_into = w.part) \
         SELECT w.team_id AS id, t.name AS team, u.name AS name, u.login AS login, o.name AS organisation \
         FROM whole w JOIN teams t ON t.id = w.part LEFT JOIN memberships m ON m.team_id = t.id \
         LEFT JOIN users u ON u.id = m.user_id LEFT JOIN organisations o ON o.id = u.organisation_id"
    )))
    .bind(competition.to_string())
    .bind(team.map(|team| team.to_string()))
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            let names = ["team", "name", "login", "organisation"].map(|column| row.text_or_null(column));
            let [team, name, login, organisation] = names;
            Ok((row.parsed("id")?, [team?, name?, login?, organisation?]))
        })
        .collect()
}
