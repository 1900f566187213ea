//! SQL of assignments and of the sheets that were submitted.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use crate::ids::{AssignmentId, CompetitionId, EntryId, PanelId, UserId};
use crate::judging::model::{Assignment, Panel, Sheet};
use crate::store::{Connection, Row, StoreError};

type Stored<T> = Result<T, StoreError>;

const ASSIGNMENT: &str = "SELECT a.*, e.number FROM assignments a JOIN entries e ON e.id = a.entry_id";

fn assignment(row: &AnyRow) -> Stored<Assignment> {
    Ok(Assignment {
        id: row.parsed("id")?,
        competition: row.parsed("competition_id")?,
        panel: row.parsed("panel_id")?,
        entry: row.parsed("entry_id")?,
        number: row.int("number")?,
        judge: row.parsed("user_id")?,
        round: row.int("round")?,
        state: row.parsed("state")?,
        rubric: row.int("rubric")?,
        sheet: row.json("sheet")?,
        version: row.int("version")?,
        saved_at: row.time_or_null("saved_at")?,
        submitted_at: row.time_or_null("submitted_at")?,
        ended_why: row.text("ended_why")?,
    })
}

fn json(sheet: &Sheet) -> String {
    serde_json::to_string(sheet).unwrap_or_else(|_| "{}".to_owned())
}

/// All assignments of a panel, by round, entry and judge.
pub async fn of_panel(conn: &mut Connection, panel: PanelId) -> Stored<Vec<Assignment>> {
    let sql =
        AssertSqlSafe(format!("{ASSIGNMENT} WHERE a.panel_id = $1 ORDER BY a.round, e.number, a.user_id"));
    let rows = sqlx::query(sql).bind(panel.to_string()).fetch_all(conn).await?;
    rows.iter().map(assignment).collect()
}

/// What somebody is to mark in a competition, or has marked, by round and entry.
pub async fn of_judge(
    conn: &mut Connection,
    competition: CompetitionId,
    user: UserId,
) -> Stored<Vec<Assignment>> {
    let sql = AssertSqlSafe(format!(
        "{ASSIGNMENT} JOIN judges j ON j.panel_id = a.panel_id AND j.user_id = a.user_id \
         WHERE a.user_id = $1 AND a.competition_id = $2 AND a.state <> 'ended' AND j.state = 'accepted' \
         ORDER BY a.round, e.number"
    ));
    let rows = sqlx::query(sql).bind(user.to_string()).bind(competition.to_string()).fetch_all(conn).await?;
    rows.iter().map(assignment).collect()
}

/// The assignments for one entry that have not ended, by round and judge.
pub async fn of_entry(conn: &mut Connection, entry: EntryId) -> Stored<Vec<Assignment>> {
    let sql = AssertSqlSafe(format!(
        "{ASSIGNMENT} WHERE a.entry_id = $1 AND a.state <> 'ended' ORDER BY a.round, a.assigned_at, a.id"
    ));
    let rows = sqlx::query(sql).bind(entry.to_string()).fetch_all(conn).await?;
    rows.iter().map(assignment).collect()
}

/// The assignment of this id.
pub async fn by_id(conn: &mut Connection, id: AssignmentId) -> Stored<Option<Assignment>> {
    let sql = AssertSqlSafe(format!("{ASSIGNMENT} WHERE a.id = $1"));
    let row = sqlx::query(sql).bind(id.to_string()).fetch_optional(conn).await?;
    row.as_ref().map(assignment).transpose()
}

/// Adds an assignment with what its sheet begins with.
pub(super) async fn insert(
    conn: &mut Connection,
    (id, panel, entry, judge): (AssignmentId, &Panel, EntryId, UserId),
    (round, rubric, sheet): (i64, i64, &Sheet),
    at: Timestamp,
) -> Stored<()> {
    sqlx::query(
        "INSERT INTO assignments (id, competition_id, panel_id, entry_id, user_id, round, state, rubric, sheet, \
         version, assigned_at) VALUES ($1, $2, $3, $4, $5, $6, 'assigned', $7, $8, 0, $9)",
    )
    .bind(id.to_string())
    .bind(panel.competition.to_string())
    .bind(panel.id.to_string())
    .bind(entry.to_string())
    .bind(judge.to_string())
    .bind(round)
    .bind(rubric)
    .bind(json(sheet))
    .bind(at.as_millisecond())
    .execute(conn)
    .await?;
    Ok(())
}

/// Ends an assignment.
pub(super) async fn end(conn: &mut Connection, id: AssignmentId, (at, why): (Timestamp, &str)) -> Stored<()> {
    sqlx::query("UPDATE assignments SET state = 'ended', ended_at = $2, ended_why = $3 WHERE id = $1")
        .bind(id.to_string())
        .bind(at.as_millisecond())
        .bind(why)
        .execute(conn)
        .await?;
    Ok(())
}

/// Begins an assignment anew that had ended; what was written is still there.
pub(super) async fn revive(
    conn: &mut Connection,
    id: AssignmentId,
    (at, rubric): (Timestamp, i64),
) -> Stored<()> {
    sqlx::query(
        "UPDATE assignments SET state = 'assigned', ended_at = NULL, ended_why = '', submitted_at = NULL, \
         assigned_at = $2, rubric = $3 WHERE id = $1",
    )
    .bind(id.to_string())
    .bind(at.as_millisecond())
    .bind(rubric)
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes what was saved, and where it stands.
pub(in crate::judging) async fn save(conn: &mut Connection, a: &Assignment) -> Stored<()> {
    sqlx::query(
        "UPDATE assignments SET state = $2, rubric = $3, sheet = $4, version = $5, saved_at = $6, \
         submitted_at = $7 WHERE id = $1",
    )
    .bind(a.id.to_string())
    .bind(a.state.as_str())
    .bind(a.rubric)
    .bind(json(&a.sheet))
    .bind(a.version)
    .bind(a.saved_at.map(Timestamp::as_millisecond))
    .bind(a.submitted_at.map(Timestamp::as_millisecond))
    .execute(conn)
    .await?;
    Ok(())
}

/// Keeps a sheet as it was submitted.
pub(in crate::judging) async fn keep(conn: &mut Connection, a: &Assignment, at: Timestamp) -> Stored<()> {
    sqlx::query(
        "INSERT INTO sheets (assignment_id, version, rubric, sheet, submitted_at) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(a.id.to_string())
    .bind(a.version)
    .bind(a.rubric)
    .bind(json(&a.sheet))
    .bind(at.as_millisecond())
    .execute(conn)
    .await?;
    Ok(())
}

/// Every sheet of an assignment that was ever submitted: the rubric's version, and what it said.
pub async fn kept(conn: &mut Connection, id: AssignmentId) -> Stored<Vec<(i64, Sheet)>> {
    let rows = sqlx::query("SELECT rubric, sheet FROM sheets WHERE assignment_id = $1 ORDER BY version")
        .bind(id.to_string())
        .fetch_all(conn)
        .await?;
    rows.iter().map(|row| Ok((row.int("rubric")?, row.json("sheet")?))).collect()
}

/// Has an entry judged a second time, by so many judges.
pub(super) async fn ask_again(
    conn: &mut Connection,
    panel: PanelId,
    entry: EntryId,
    judges: i64,
) -> Stored<()> {
    sqlx::query(
        "INSERT INTO second_rounds (panel_id, entry_id, judges) VALUES ($1, $2, $3) \
         ON CONFLICT (panel_id, entry_id) DO UPDATE SET judges = $3",
    )
    .bind(panel.to_string())
    .bind(entry.to_string())
    .bind(judges)
    .execute(conn)
    .await?;
    Ok(())
}

/// The entries of a panel that are judged a second time, with how many judges each is to have.
pub async fn asked_again(conn: &mut Connection, panel: PanelId) -> Stored<BTreeMap<EntryId, usize>> {
    let rows = sqlx::query("SELECT entry_id, judges FROM second_rounds WHERE panel_id = $1")
        .bind(panel.to_string())
        .fetch_all(conn)
        .await?;
    let judges = |row: &AnyRow| Ok::<_, StoreError>(usize::try_from(row.int("judges")?).unwrap_or(0));
    rows.iter().map(|row| Ok((row.parsed("entry_id")?, judges(row)?))).collect()
}

/// How many sheets of a competition have been begun.
pub(in crate::judging) async fn marked(conn: &mut Connection, competition: CompetitionId) -> Stored<i64> {
    sqlx::query("SELECT COUNT(*) AS n FROM assignments WHERE competition_id = $1 AND saved_at IS NOT NULL")
        .bind(competition.to_string())
        .fetch_one(conn)
        .await?
        .int("n")
}

/// Whether an entry that stands is somebody's to mark in a round that is open.
pub(in crate::judging) async fn marks_now(
    conn: &mut Connection,
    entry: EntryId,
    user: UserId,
) -> Stored<bool> {
    let row = sqlx::query(
        "SELECT COUNT(*) AS n FROM assignments a JOIN entries e ON e.id = a.entry_id \
         JOIN panels p ON p.id = a.panel_id AND p.round = a.round \
         JOIN judges j ON j.panel_id = a.panel_id AND j.user_id = a.user_id \
         WHERE a.entry_id = $1 AND a.user_id = $2 AND a.state <> 'ended' AND j.state = 'accepted' \
         AND p.state = 'open' AND e.state = 'submitted'",
    )
    .bind(entry.to_string())
    .bind(user.to_string())
    .fetch_one(conn)
    .await?;
    Ok(row.int("n")? > 0)
}

/// Whether an entry is shown to somebody as a judge: it is theirs to mark, or they are in the chair of the
/// panel that it belongs to and the panel has begun.
pub(in crate::judging) async fn sees(conn: &mut Connection, entry: EntryId, user: UserId) -> Stored<bool> {
    let row = sqlx::query(
        "SELECT (SELECT COUNT(*) FROM assignments a JOIN judges j ON j.panel_id = a.panel_id \
         WHERE a.entry_id = $1 AND a.state <> 'ended' AND a.user_id = $2 AND j.user_id = $2 \
         AND j.state = 'accepted') + (SELECT COUNT(*) FROM entries e \
         LEFT JOIN panel_entries g ON g.entry_id = e.id JOIN panels p ON p.competition_id = e.competition_id \
         AND (p.id = g.panel_id OR (g.panel_id IS NULL AND p.main = 1)) JOIN judges j ON j.panel_id = p.id \
         WHERE e.id = $1 AND e.state = 'submitted' AND p.state <> 'preparing' AND j.user_id = $2 \
         AND j.state = 'accepted' AND j.chair = 1) AS n",
    )
    .bind(entry.to_string())
    .bind(user.to_string())
    .fetch_one(conn)
    .await?;
    Ok(row.int("n")? > 0)
}
