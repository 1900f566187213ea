//! SQL of registrations, teams and memberships.

use jiff::Timestamp;
use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::{Decision, name_key};
use crate::contest::model::{Membership, Participant, ParticipantState, Registration, Team};
use crate::ids::{CompetitionId, TeamId, UserId};
use crate::store::{Connection, Row, StoreError};

fn team(row: &AnyRow) -> Result<Team, StoreError> {
    Ok(Team {
        id: row.parsed("id")?,
        competition: row.parsed("competition_id")?,
        name: row.text("name")?,
        created_at: row.time("created_at")?,
        created_by: row.parsed("created_by")?,
    })
}

/// Where a person's registration stands.
pub async fn state(
    conn: &mut Connection,
    competition: CompetitionId,
    user: UserId,
) -> Result<Option<ParticipantState>, StoreError> {
    Ok(registration(conn, competition, user).await?.map(|registration| registration.state))
}

/// Where a person's registration stands, with the terms accepted and what the organizer said.
pub async fn registration(
    conn: &mut Connection,
    competition: CompetitionId,
    user: UserId,
) -> Result<Option<Registration>, StoreError> {
    let row = sqlx::query(
        "SELECT state, terms_digest, reason FROM participants WHERE competition_id = $1 AND user_id = $2",
    )
    .bind(competition.to_string())
    .bind(user.to_string())
    .fetch_optional(conn)
    .await?;
    row.map(|row| {
        Ok(Registration {
            state: row.parsed("state")?,
            terms: row.text("terms_digest")?,
            reason: row.text("reason")?,
        })
    })
    .transpose()
}

/// Writes a registration; one that exists keeps its state and gets the terms.
pub async fn register(
    conn: &mut Connection,
    competition: CompetitionId,
    user: UserId,
    state: ParticipantState,
    terms: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO participants (competition_id, user_id, state, terms_digest, registered_at) \
         VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (competition_id, user_id) DO UPDATE SET terms_digest = excluded.terms_digest",
    )
    .bind(competition.to_string())
    .bind(user.to_string())
    .bind(state.as_str())
    .bind(terms)
    .bind(now.as_millisecond())
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes the organizer's decision; false when the person never registered.
pub(super) async fn decide(
    conn: &mut Connection,
    competition: CompetitionId,
    user: UserId,
    decision: &Decision<'_>,
) -> Result<bool, StoreError> {
    write_decision(conn, competition, user, decision, "").await
}

/// The same for somebody who waits for it; false when they do not.
pub(super) async fn decide_waiting(
    conn: &mut Connection,
    competition: CompetitionId,
    user: UserId,
    decision: &Decision<'_>,
) -> Result<bool, StoreError> {
    write_decision(conn, competition, user, decision, "AND state = 'pending'").await
}

async fn write_decision(
    conn: &mut Connection,
    competition: CompetitionId,
    user: UserId,
    decision: &Decision<'_>,
    condition: &'static str,
) -> Result<bool, StoreError> {
    let done = sqlx::query(AssertSqlSafe(format!(
        "UPDATE participants SET state = $3, decided_by = $4, reason = $5, decided_at = $6 \
         WHERE competition_id = $1 AND user_id = $2 {condition}"
    )))
    .bind(competition.to_string())
    .bind(user.to_string())
    .bind(decision.state.as_str())
    .bind(decision.by.to_string())
    .bind(decision.reason)
    .bind(decision.at.as_millisecond())
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Everyone registered, those who wait first.
pub async fn participants(
    conn: &mut Connection,
    competition: CompetitionId,
) -> Result<Vec<Participant>, StoreError> {
    let rows = sqlx::query(
        "SELECT p.user_id, u.login, u.name, o.name AS organisation, p.state, p.registered_at, p.reason \
         FROM participants p JOIN users u ON u.id = p.user_id \
         LEFT JOIN organisations o ON o.id = u.organisation_id WHERE p.competition_id = $1 \
         ORDER BY CASE p.state WHEN 'pending' THEN 0 ELSE 1 END, p.registered_at, u.login",
    )
    .bind(competition.to_string())
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Participant {
                user: row.parsed("user_id")?,
                login: row.text("login")?,
                name: row.text("name")?,
                organisation: row.text_or_null("organisation")?,
                state: row.parsed("state")?,
                registered_at: row.time("registered_at")?,
                reason: row.text("reason")?,
            })
        })
        .collect()
}

/// How many people are admitted.
pub async fn admitted_count(conn: &mut Connection, competition: CompetitionId) -> Result<i64, StoreError> {
    sqlx::query("SELECT COUNT(*) AS n FROM participants WHERE competition_id = $1 AND state = 'approved'")
        .bind(competition.to_string())
        .fetch_one(conn)
        .await?
        .int("n")
}

/// The team a person is in now.
pub async fn team_of(
    conn: &mut Connection,
    competition: CompetitionId,
    user: UserId,
) -> Result<Option<Team>, StoreError> {
    let row = sqlx::query(
        "SELECT t.* FROM teams t JOIN memberships m ON m.team_id = t.id \
         WHERE m.competition_id = $1 AND m.user_id = $2 AND m.left_at IS NULL",
    )
    .bind(competition.to_string())
    .bind(user.to_string())
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(team).transpose()
}

/// The team of this id.
pub async fn team_by_id(conn: &mut Connection, id: TeamId) -> Result<Option<Team>, StoreError> {
    let row =
        sqlx::query("SELECT * FROM teams WHERE id = $1").bind(id.to_string()).fetch_optional(conn).await?;
    row.as_ref().map(team).transpose()
}

/// The teams that take part in a competition, by name.
pub async fn teams(conn: &mut Connection, competition: CompetitionId) -> Result<Vec<Team>, StoreError> {
    let rows = sqlx::query(
        "SELECT * FROM teams WHERE competition_id = $1 AND desk = 0 \
         AND merged_into IS NULL ORDER BY name, id",
    )
    .bind(competition.to_string())
    .fetch_all(conn)
    .await?;
    rows.iter().map(team).collect()
}

/// The team that a competition's dry runs belong to: it has no members, and takes no part.
pub async fn desk_team(
    conn: &mut Connection,
    competition: CompetitionId,
) -> Result<Option<Team>, StoreError> {
    let row = sqlx::query("SELECT * FROM teams WHERE competition_id = $1 AND desk = 1")
        .bind(competition.to_string())
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(team).transpose()
}

/// Adds the team that a competition's dry runs belong to.
pub async fn insert_desk_team(conn: &mut Connection, team: &Team) -> Result<(), StoreError> {
    insert_team(&mut *conn, team).await?;
    sqlx::query("UPDATE teams SET desk = 1 WHERE id = $1").bind(team.id.to_string()).execute(conn).await?;
    Ok(())
}

/// Notes that a team became part of another: it is over.
pub async fn set_merged(conn: &mut Connection, id: TeamId, into: TeamId) -> Result<(), StoreError> {
    sqlx::query("UPDATE teams SET merged_into = $2 WHERE id = $1")
        .bind(id.to_string())
        .bind(into.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

/// Whether a name is taken, in whatever case.
pub async fn team_named(
    conn: &mut Connection,
    competition: CompetitionId,
    name: &str,
) -> Result<bool, StoreError> {
    let row = sqlx::query("SELECT id FROM teams WHERE competition_id = $1 AND name_key = $2")
        .bind(competition.to_string())
        .bind(name_key(name))
        .fetch_optional(conn)
        .await?;
    Ok(row.is_some())
}

/// Adds a team.
pub async fn insert_team(conn: &mut Connection, team: &Team) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO teams (id, competition_id, name, created_at, created_by, touched_at, name_key) \
         VALUES ($1, $2, $3, $4, $5, $4, $6)",
    )
    .bind(team.id.to_string())
    .bind(team.competition.to_string())
    .bind(&team.name)
    .bind(team.created_at.as_millisecond())
    .bind(team.created_by.to_string())
    .bind(name_key(&team.name))
    .execute(conn)
    .await?;
    Ok(())
}

/// Locks who is in which team of a competition for the rest of the transaction: names, members and
/// memberships are looked at and changed by one transaction at a time.
pub async fn lock_teams(conn: &mut Connection, competition: CompetitionId) -> Result<(), StoreError> {
    crate::contest::db::lock(conn, competition).await
}

/// Locks a team's row for the rest of the transaction, so that quotas are counted one at a time.
pub async fn lock(conn: &mut Connection, id: TeamId, now: Timestamp) -> Result<(), StoreError> {
    sqlx::query("UPDATE teams SET touched_at = $2 WHERE id = $1")
        .bind(id.to_string())
        .bind(now.as_millisecond())
        .execute(conn)
        .await?;
    Ok(())
}

/// Sets a team's name.
pub async fn rename(conn: &mut Connection, id: TeamId, name: &str) -> Result<(), StoreError> {
    sqlx::query("UPDATE teams SET name = $2, name_key = $3 WHERE id = $1")
        .bind(id.to_string())
        .bind(name)
        .bind(name_key(name))
        .execute(conn)
        .await?;
    Ok(())
}

/// Sets the digest of a team's invitation, or takes it back.
pub async fn set_invitation(
    conn: &mut Connection,
    id: TeamId,
    digest: Option<&str>,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE teams SET invite_digest = $2 WHERE id = $1")
        .bind(id.to_string())
        .bind(digest.map(str::to_owned))
        .execute(conn)
        .await?;
    Ok(())
}

/// The team whose invitation has this digest.
pub async fn team_by_invitation(
    conn: &mut Connection,
    competition: CompetitionId,
    digest: &str,
) -> Result<Option<Team>, StoreError> {
    let row = sqlx::query("SELECT * FROM teams WHERE competition_id = $1 AND invite_digest = $2")
        .bind(competition.to_string())
        .bind(digest)
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(team).transpose()
}

/// Starts a membership.
pub async fn join(
    conn: &mut Connection,
    team: &Team,
    user: UserId,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO memberships (team_id, competition_id, user_id, joined_at) VALUES ($1, $2, $3, $4)",
    )
    .bind(team.id.to_string())
    .bind(team.competition.to_string())
    .bind(user.to_string())
    .bind(now.as_millisecond())
    .execute(conn)
    .await?;
    Ok(())
}

/// Ends a membership.
pub async fn leave(
    conn: &mut Connection,
    team: TeamId,
    user: UserId,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE memberships SET left_at = $3 WHERE team_id = $1 AND user_id = $2 AND left_at IS NULL",
    )
    .bind(team.to_string())
    .bind(user.to_string())
    .bind(now.as_millisecond())
    .execute(conn)
    .await?;
    Ok(())
}

/// Everyone who was ever a member, in the order they joined.
pub async fn members(conn: &mut Connection, team: TeamId) -> Result<Vec<Membership>, StoreError> {
    let rows = sqlx::query(
        "SELECT m.user_id, u.name, m.joined_at, m.left_at FROM memberships m \
         JOIN users u ON u.id = m.user_id WHERE m.team_id = $1 ORDER BY m.joined_at, m.user_id",
    )
    .bind(team.to_string())
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Membership {
                user: row.parsed("user_id")?,
                name: row.text("name")?,
                joined_at: row.time("joined_at")?,
                left_at: row.time_or_null("left_at")?,
            })
        })
        .collect()
}

/// Whether a team has ever submitted.
pub async fn has_submitted(conn: &mut Connection, team: TeamId) -> Result<bool, StoreError> {
    let row = sqlx::query("SELECT id FROM submissions WHERE team_id = $1 AND aim = 'compete' LIMIT 1")
        .bind(team.to_string())
        .fetch_optional(conn)
        .await?;
    Ok(row.is_some())
}

/// Every team of a competition with each of its present members' names: one row a member, and one
/// without a name for a team that nobody is in.
pub async fn team_labels(
    conn: &mut Connection,
    competition: CompetitionId,
) -> Result<Vec<(TeamId, String, Option<String>)>, StoreError> {
    let rows = sqlx::query(
        "SELECT t.id AS id, t.name AS name, u.name AS member FROM teams t \
         LEFT JOIN memberships m ON m.team_id = t.id AND m.left_at IS NULL \
         LEFT JOIN users u ON u.id = m.user_id WHERE t.competition_id = $1 AND t.desk = 0 \
         AND t.merged_into IS NULL \
         ORDER BY t.id, m.joined_at",
    )
    .bind(competition.to_string())
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| Ok((row.parsed("id")?, row.text("name")?, row.text_or_null("member")?))).collect()
}

/// How many people wait for the organizer's decision.
pub async fn waiting_count(conn: &mut Connection, competition: CompetitionId) -> Result<i64, StoreError> {
    sqlx::query("SELECT COUNT(*) AS n FROM participants WHERE competition_id = $1 AND state = 'pending'")
        .bind(competition.to_string())
        .fetch_one(conn)
        .await?
        .int("n")
}

/// How many people are admitted to each competition.
pub async fn admitted_counts(
    conn: &mut Connection,
) -> Result<std::collections::HashMap<CompetitionId, i64>, StoreError> {
    let rows = sqlx::query(
        "SELECT competition_id, COUNT(*) AS n FROM participants WHERE state = 'approved' GROUP BY competition_id",
    )
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| Ok((row.parsed("competition_id")?, row.int("n")?))).collect()
}

/// Whether somebody was asked to judge a competition and has not declined, whatever came of it since.
pub async fn judges(
    conn: &mut Connection,
    competition: CompetitionId,
    user: UserId,
) -> Result<bool, StoreError> {
    let row = sqlx::query(
        "SELECT COUNT(*) AS n FROM judges WHERE competition_id = $1 AND user_id = $2 AND state <> 'declined'",
    )
    .bind(competition.to_string())
    .bind(user.to_string())
    .fetch_one(conn)
    .await?;
    Ok(row.int("n")? > 0)
}
