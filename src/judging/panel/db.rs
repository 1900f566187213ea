//! SQL of panels, judges and conflicts.

use std::collections::BTreeSet;

use jiff::Timestamp;
use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use crate::audit::Actor;
use crate::ids::{CompetitionId, ConflictId, EntryId, OrganisationId, PanelId, UserId};
use crate::judging::model::{Conflict, Judge, JudgeState, Panel};
use crate::store::{Connection, Row, StoreError};

type Stored<T> = Result<T, StoreError>;

fn panel(row: &AnyRow) -> Stored<Panel> {
    Ok(Panel {
        id: row.parsed("id")?,
        competition: row.parsed("competition_id")?,
        name: row.text("name")?,
        main: row.flag("main")?,
        state: row.parsed("state")?,
        round: row.int("round")?,
        edition: row.int("edition")?,
        seed: row.text("seed")?,
        peek: row.flag("peek")?,
        created_at: row.time("created_at")?,
    })
}

fn organisation(row: &AnyRow) -> Stored<Option<(OrganisationId, String)>> {
    let id = row.parsed_or_null("organisation_id")?;
    Ok(id.zip(row.text_or_null("organisation")?))
}

fn judge_of(row: &AnyRow) -> Stored<Judge> {
    Ok(Judge {
        user: row.parsed("user_id")?,
        panel: row.parsed("panel_id")?,
        login: row.text("login")?,
        name: row.text("name")?,
        organisation: organisation(row)?,
        chair: row.flag("chair")?,
        state: row.parsed("state")?,
        changed_at: row.time("changed_at")?,
        reason: row.text("reason")?,
    })
}

// Panels -----------------------------------------------------------------------------------------

/// Keeps everybody else from changing a panel until the transaction ends.
pub(in crate::judging) async fn lock(conn: &mut Connection, id: PanelId) -> Stored<Option<Panel>> {
    sqlx::query("UPDATE panels SET name = name WHERE id = $1")
        .bind(id.to_string())
        .execute(&mut *conn)
        .await?;
    by_id(conn, id).await
}

/// The panel of this id.
pub async fn by_id(conn: &mut Connection, id: PanelId) -> Stored<Option<Panel>> {
    let row =
        sqlx::query("SELECT * FROM panels WHERE id = $1").bind(id.to_string()).fetch_optional(conn).await?;
    row.as_ref().map(panel).transpose()
}

/// The panels of a competition, the main one first.
pub async fn of_competition(conn: &mut Connection, competition: CompetitionId) -> Stored<Vec<Panel>> {
    let rows = sqlx::query("SELECT * FROM panels WHERE competition_id = $1 ORDER BY main DESC, name")
        .bind(competition.to_string())
        .fetch_all(conn)
        .await?;
    rows.iter().map(panel).collect()
}

/// Adds a panel.
pub(super) async fn insert(conn: &mut Connection, p: &Panel, by: Actor) -> Stored<()> {
    sqlx::query(
        "INSERT INTO panels (id, competition_id, name, main, state, round, edition, seed, peek, created_at, \
         created_by) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(p.id.to_string())
    .bind(p.competition.to_string())
    .bind(&p.name)
    .bind(i64::from(p.main))
    .bind(p.state.as_str())
    .bind(p.round)
    .bind(p.edition)
    .bind(&p.seed)
    .bind(i64::from(p.peek))
    .bind(p.created_at.as_millisecond())
    .bind(by.to_string())
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes where a panel stands.
pub(in crate::judging) async fn save(conn: &mut Connection, p: &Panel) -> Stored<()> {
    sqlx::query("UPDATE panels SET state = $2, round = $3, edition = $4, seed = $5, peek = $6 WHERE id = $1")
        .bind(p.id.to_string())
        .bind(p.state.as_str())
        .bind(p.round)
        .bind(p.edition)
        .bind(&p.seed)
        .bind(i64::from(p.peek))
        .execute(conn)
        .await?;
    Ok(())
}

/// Which entries of a competition belong to a panel beside the main one.
pub async fn given(conn: &mut Connection, competition: CompetitionId) -> Stored<Vec<(EntryId, PanelId)>> {
    let rows = sqlx::query(
        "SELECT g.entry_id, g.panel_id FROM panel_entries g JOIN panels p ON p.id = g.panel_id \
         WHERE p.competition_id = $1",
    )
    .bind(competition.to_string())
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| Ok((row.parsed("entry_id")?, row.parsed("panel_id")?))).collect()
}

/// Gives an entry to a panel, or back to the main one.
pub(super) async fn give(conn: &mut Connection, entry: EntryId, panel: Option<PanelId>) -> Stored<()> {
    match panel {
        Some(panel) => {
            sqlx::query(
                "INSERT INTO panel_entries (entry_id, panel_id) VALUES ($1, $2) \
                 ON CONFLICT (entry_id) DO UPDATE SET panel_id = $2",
            )
            .bind(entry.to_string())
            .bind(panel.to_string())
            .execute(conn)
            .await?
        }
        None => {
            let forget = sqlx::query("DELETE FROM panel_entries WHERE entry_id = $1");
            forget.bind(entry.to_string()).execute(conn).await?
        }
    };
    Ok(())
}

// Judges -----------------------------------------------------------------------------------------

const JUDGE: &str = "SELECT j.*, u.login, u.name, u.organisation_id, o.name AS organisation FROM judges j \
     JOIN users u ON u.id = j.user_id LEFT JOIN organisations o ON o.id = u.organisation_id";

/// The judges of a panel, the chair first; those who went come last.
pub async fn judges(conn: &mut Connection, panel: PanelId) -> Stored<Vec<Judge>> {
    let sql = format!(
        "{JUDGE} WHERE j.panel_id = $1 \
         ORDER BY CASE WHEN j.state IN ('invited', 'accepted') THEN 0 ELSE 1 END, j.chair DESC, u.login"
    );
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(panel.to_string()).fetch_all(conn).await?;
    rows.iter().map(judge_of).collect()
}

/// Somebody on a panel.
pub async fn judge(conn: &mut Connection, panel: PanelId, user: UserId) -> Stored<Option<Judge>> {
    let sql = AssertSqlSafe(format!("{JUDGE} WHERE j.panel_id = $1 AND j.user_id = $2"));
    let row = sqlx::query(sql).bind(panel.to_string()).bind(user.to_string()).fetch_optional(conn).await?;
    row.as_ref().map(judge_of).transpose()
}

/// Where somebody is a judge or asked to be, the latest first.
pub async fn seats(conn: &mut Connection, user: UserId) -> Stored<Vec<(Panel, Judge)>> {
    let sql = AssertSqlSafe(format!(
        "{JUDGE} WHERE j.user_id = $1 AND j.state IN ('invited', 'accepted') ORDER BY j.appointed_at DESC"
    ));
    let rows = sqlx::query(sql).bind(user.to_string()).fetch_all(&mut *conn).await?;
    let mut seats = Vec::new();
    for row in &rows {
        let judge = judge_of(row)?;
        if let Some(panel) = by_id(conn, judge.panel).await? {
            seats.push((panel, judge));
        }
    }
    Ok(seats)
}

/// What waits for somebody as a judge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Waiting {
    /// Invitations to answer.
    pub invitations: i64,
    /// Sheets of rounds that are open, not submitted yet.
    pub sheets: i64,
}

/// What waits for somebody as a judge, in all competitions.
pub async fn waiting(conn: &mut Connection, user: UserId) -> Stored<Waiting> {
    let row = sqlx::query(
        "SELECT (SELECT COUNT(*) FROM judges j JOIN panels p ON p.id = j.panel_id WHERE j.user_id = $1 \
         AND j.state = 'invited' AND p.state <> 'signed') AS invitations, \
         (SELECT COUNT(*) FROM assignments a JOIN panels p ON p.id = a.panel_id AND p.round = a.round \
         JOIN judges j ON j.panel_id = a.panel_id AND j.user_id = a.user_id WHERE a.user_id = $1 \
         AND a.state = 'assigned' AND p.state = 'open' AND j.state = 'accepted') AS sheets",
    )
    .bind(user.to_string())
    .fetch_one(conn)
    .await?;
    Ok(Waiting { invitations: row.int("invitations")?, sheets: row.int("sheets")? })
}

/// Asks somebody, or asks again who went.
pub(super) async fn invite(
    conn: &mut Connection,
    panel: &Panel,
    user: UserId,
    (chair, at): (bool, Timestamp),
) -> Stored<()> {
    sqlx::query(
        "INSERT INTO judges (panel_id, user_id, competition_id, chair, state, appointed_at, changed_at) \
         VALUES ($1, $2, $3, $4, 'invited', $5, $5) ON CONFLICT (panel_id, user_id) \
         DO UPDATE SET chair = $4, state = 'invited', appointed_at = $5, changed_at = $5, reason = ''",
    )
    .bind(panel.id.to_string())
    .bind(user.to_string())
    .bind(panel.competition.to_string())
    .bind(i64::from(chair))
    .bind(at.as_millisecond())
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes where a judge stands.
pub(super) async fn set_judge(
    conn: &mut Connection,
    (panel, user): (PanelId, UserId),
    state: JudgeState,
    (at, reason): (Timestamp, &str),
) -> Stored<()> {
    sqlx::query(
        "UPDATE judges SET state = $3, changed_at = $4, reason = $5 WHERE panel_id = $1 AND user_id = $2",
    )
    .bind(panel.to_string())
    .bind(user.to_string())
    .bind(state.as_str())
    .bind(at.as_millisecond())
    .bind(reason)
    .execute(conn)
    .await?;
    Ok(())
}

/// Puts one judge of a panel into the chair.
pub(super) async fn set_chair(conn: &mut Connection, panel: PanelId, user: UserId) -> Stored<()> {
    sqlx::query("UPDATE judges SET chair = CASE WHEN user_id = $2 THEN 1 ELSE 0 END WHERE panel_id = $1")
        .bind(panel.to_string())
        .bind(user.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

/// Whether somebody stands as a judge on any panel of a competition.
pub(super) async fn stands(conn: &mut Connection, competition: CompetitionId, user: UserId) -> Stored<bool> {
    let row = sqlx::query(
        "SELECT COUNT(*) AS n FROM judges WHERE competition_id = $1 AND user_id = $2 \
         AND state IN ('invited', 'accepted')",
    )
    .bind(competition.to_string())
    .bind(user.to_string())
    .fetch_one(conn)
    .await?;
    Ok(row.int("n")? > 0)
}

/// Whether somebody takes part in a competition, has asked to, or ever was on a team of it.
pub(super) async fn takes_part(
    conn: &mut Connection,
    competition: CompetitionId,
    user: UserId,
) -> Stored<bool> {
    let row = sqlx::query(
        "SELECT (SELECT COUNT(*) FROM participants WHERE competition_id = $1 AND user_id = $2 \
         AND state IN ('pending', 'approved')) + (SELECT COUNT(*) FROM memberships \
         WHERE competition_id = $1 AND user_id = $2) AS n",
    )
    .bind(competition.to_string())
    .bind(user.to_string())
    .fetch_one(conn)
    .await?;
    Ok(row.int("n")? > 0)
}

/// Accounts whose login or name holds a text, with name and organisation, for appointing.
pub async fn accounts(
    conn: &mut Connection,
    text: &str,
) -> Stored<Vec<(UserId, String, String, Option<String>)>> {
    let pattern = text.trim().to_lowercase().replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    let rows = sqlx::query(
        "SELECT u.id, u.login, u.name, o.name AS organisation FROM users u \
         LEFT JOIN organisations o ON o.id = u.organisation_id WHERE u.disabled_at IS NULL \
         AND (LOWER(u.login) LIKE $1 ESCAPE '\\' OR LOWER(u.name) LIKE $1 ESCAPE '\\') ORDER BY u.login LIMIT 20",
    )
    .bind(format!("%{pattern}%"))
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            Ok((row.parsed("id")?, row.text("login")?, row.text("name")?, row.text_or_null("organisation")?))
        })
        .collect()
}

// Conflicts --------------------------------------------------------------------------------------

/// The conflicts that stand in a competition.
pub async fn conflicts(conn: &mut Connection, competition: CompetitionId) -> Stored<Vec<Conflict>> {
    let rows = sqlx::query(
        "SELECT c.*, o.name AS organisation FROM judging_conflicts c \
         LEFT JOIN organisations o ON o.id = c.organisation_id \
         WHERE c.competition_id = $1 AND c.withdrawn_at IS NULL ORDER BY c.declared_at, c.id",
    )
    .bind(competition.to_string())
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Conflict {
                id: row.parsed("id")?,
                user: row.parsed("user_id")?,
                entry: row.parsed_or_null("entry_id")?,
                organisation: organisation(row)?,
                reason: row.text("reason")?,
                declared_at: row.time("declared_at")?,
            })
        })
        .collect()
}

/// Adds a conflict.
pub(super) async fn declare(
    conn: &mut Connection,
    competition: CompetitionId,
    c: &Conflict,
    by: Actor,
) -> Stored<()> {
    sqlx::query(
        "INSERT INTO judging_conflicts (id, competition_id, user_id, entry_id, organisation_id, reason, \
         declared_at, declared_by) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(c.id.to_string())
    .bind(competition.to_string())
    .bind(c.user.to_string())
    .bind(c.entry.map(|id| id.to_string()))
    .bind(c.organisation.as_ref().map(|(id, _)| id.to_string()))
    .bind(&c.reason)
    .bind(c.declared_at.as_millisecond())
    .bind(by.to_string())
    .execute(conn)
    .await?;
    Ok(())
}

/// Takes a conflict back.
pub(super) async fn retract(conn: &mut Connection, id: ConflictId, at: Timestamp) -> Stored<()> {
    sqlx::query("UPDATE judging_conflicts SET withdrawn_at = $2 WHERE id = $1")
        .bind(id.to_string())
        .bind(at.as_millisecond())
        .execute(conn)
        .await?;
    Ok(())
}

/// The organisation of this name.
pub async fn organisation_named(
    conn: &mut Connection,
    name: &str,
) -> Stored<Option<(OrganisationId, String)>> {
    let row = sqlx::query("SELECT id, name FROM organisations WHERE name = $1")
        .bind(name.trim())
        .fetch_optional(conn)
        .await?;
    row.map(|row| Ok((row.parsed("id")?, row.text("name")?))).transpose()
}

/// Everybody who is or was on the team of each entry of a competition, or on one that became part of it,
/// with their organisation.
pub(in crate::judging) async fn people_of_entries(
    conn: &mut Connection,
    competition: CompetitionId,
) -> Stored<Vec<(EntryId, UserId, Option<OrganisationId>)>> {
    let rows = sqlx::query(
        "WITH RECURSIVE whole (entry_id, team_id) AS (SELECT id, team_id FROM entries WHERE competition_id = $1 \
         UNION SELECT w.entry_id, t.id FROM whole w JOIN teams t ON t.merged_into = w.team_id) \
         SELECT DISTINCT w.entry_id, u.id AS user_id, u.organisation_id FROM whole w \
         JOIN memberships m ON m.team_id = w.team_id JOIN users u ON u.id = m.user_id",
    )
    .bind(competition.to_string())
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            Ok((row.parsed("entry_id")?, row.parsed("user_id")?, row.parsed_or_null("organisation_id")?))
        })
        .collect()
}

/// The panels, neither preparing nor signed, whose conflicts hang on where somebody belongs: those they judge
/// on, and those of competitions in which they are or were on a team. In an order in which all may be locked.
pub(super) async fn touched_by(conn: &mut Connection, user: UserId) -> Stored<Vec<PanelId>> {
    let rows = sqlx::query(
        "SELECT p.id FROM panels p WHERE p.state IN ('open', 'closed') AND (EXISTS (SELECT 1 FROM judges j \
         WHERE j.panel_id = p.id AND j.user_id = $1) OR EXISTS (SELECT 1 FROM memberships m \
         WHERE m.competition_id = p.competition_id AND m.user_id = $1)) ORDER BY p.id",
    )
    .bind(user.to_string())
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| row.parsed("id")).collect()
}

/// Everybody who is or was on a team of a competition.
pub(in crate::judging) async fn on_teams(
    conn: &mut Connection,
    competition: CompetitionId,
) -> Stored<BTreeSet<UserId>> {
    let rows = sqlx::query("SELECT DISTINCT user_id FROM memberships WHERE competition_id = $1")
        .bind(competition.to_string())
        .fetch_all(conn)
        .await?;
    rows.iter().map(|row| row.parsed("user_id")).collect()
}
