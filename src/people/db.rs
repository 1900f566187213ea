//! The SQL of people.

use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, query};

use super::account::{UserFilter, UserRow};
use super::organisation::Organisation;
use super::{Grant, Role};
use crate::ids::{CompetitionId, OrganisationId, UserId};
use crate::store::{Connection, Row, StoreError};

type Stored<T> = Result<T, StoreError>;

// Users ------------------------------------------------------------------------------------------

/// A row of `users`.
pub(super) struct StoredUser {
    pub id: UserId,
    pub login: String,
    pub name: String,
    pub email: String,
    pub password: String,
    pub organisation: Option<OrganisationId>,
    pub locale: String,
    pub disabled_at: Option<Timestamp>,
    pub failed_logins: i64,
    pub locked_until: i64,
}

fn stored_user(row: &AnyRow) -> Stored<StoredUser> {
    Ok(StoredUser {
        id: row.parsed("id")?,
        login: row.text("login")?,
        name: row.text("name")?,
        email: row.text("email")?,
        password: row.text("password")?,
        organisation: row.parsed_or_null("organisation_id")?,
        locale: row.text("locale")?,
        disabled_at: row.time_or_null("disabled_at")?,
        failed_logins: row.int("failed_logins")?,
        locked_until: row.int("locked_until")?,
    })
}

pub(super) struct FreshUser<'a> {
    pub id: UserId,
    pub login: &'a str,
    pub name: &'a str,
    pub email: &'a str,
    pub password: &'a str,
    pub organisation: Option<OrganisationId>,
    pub locale: &'a str,
    pub at: Timestamp,
}

pub(super) async fn insert_user(c: &mut Connection, user: FreshUser<'_>) -> Stored<()> {
    query(
        "INSERT INTO users (id, login, name, email, password, organisation_id, locale, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(user.id.to_string())
    .bind(user.login)
    .bind(user.name)
    .bind(user.email)
    .bind(user.password)
    .bind(user.organisation.map(|id| id.to_string()))
    .bind(user.locale)
    .bind(user.at.as_millisecond())
    .execute(c)
    .await?;
    Ok(())
}

pub(super) async fn user_by_login(c: &mut Connection, login: &str) -> Stored<Option<StoredUser>> {
    let row = query("SELECT * FROM users WHERE login = $1").bind(login).fetch_optional(c).await?;
    row.as_ref().map(stored_user).transpose()
}

pub(super) async fn user(c: &mut Connection, id: UserId) -> Stored<Option<StoredUser>> {
    let row = query("SELECT * FROM users WHERE id = $1").bind(id.to_string()).fetch_optional(c).await?;
    row.as_ref().map(stored_user).transpose()
}

pub(super) async fn update_profile(
    c: &mut Connection,
    id: UserId,
    (name, email, locale): (&str, &str, &str),
    organisation: Option<OrganisationId>,
) -> Stored<()> {
    query("UPDATE users SET name = $2, email = $3, locale = $4, organisation_id = $5 WHERE id = $1")
        .bind(id.to_string())
        .bind(name)
        .bind(email)
        .bind(locale)
        .bind(organisation.map(|id| id.to_string()))
        .execute(c)
        .await?;
    Ok(())
}

pub(super) async fn set_password(c: &mut Connection, id: UserId, hash: &str) -> Stored<()> {
    query("UPDATE users SET password = $2, failed_logins = 0, locked_until = 0 WHERE id = $1")
        .bind(id.to_string())
        .bind(hash)
        .execute(c)
        .await?;
    Ok(())
}

/// Counts one more failure and says how many there are now.
pub(super) async fn count_failure(c: &mut Connection, id: UserId) -> Stored<i64> {
    let sql = "UPDATE users SET failed_logins = failed_logins + 1 WHERE id = $1 RETURNING failed_logins";
    query(sql).bind(id.to_string()).fetch_one(c).await?.int("failed_logins")
}

pub(super) async fn lock(c: &mut Connection, id: UserId, until_millis: i64) -> Stored<()> {
    query("UPDATE users SET locked_until = $2 WHERE id = $1")
        .bind(id.to_string())
        .bind(until_millis)
        .execute(c)
        .await?;
    Ok(())
}

pub(super) async fn clear_failures(c: &mut Connection, id: UserId) -> Stored<()> {
    query("UPDATE users SET failed_logins = 0, locked_until = 0 WHERE id = $1")
        .bind(id.to_string())
        .execute(c)
        .await?;
    Ok(())
}

pub(super) async fn set_disabled(c: &mut Connection, id: UserId, at: Option<Timestamp>) -> Stored<()> {
    query("UPDATE users SET disabled_at = $2 WHERE id = $1")
        .bind(id.to_string())
        .bind(at.map(Timestamp::as_millisecond))
        .execute(c)
        .await?;
    Ok(())
}

const USER_FILTER: &str = "($1 = '' OR lower(u.login) LIKE $1 ESCAPE '!' OR lower(u.name) LIKE $1 ESCAPE '!' \
     OR lower(u.email) LIKE $1 ESCAPE '!') \
     AND ($2 = '' OR EXISTS (SELECT 1 FROM roles r WHERE r.user_id = u.id AND r.role = $2)) \
     AND ($3 = '' OR ($3 = 'disabled' AND u.disabled_at IS NOT NULL) \
          OR ($3 = 'active' AND u.disabled_at IS NULL))";

fn like(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    let escaped = text.to_lowercase().replace('!', "!!").replace('%', "!%").replace('_', "!_");
    format!("%{escaped}%")
}

pub(super) async fn count_users(c: &mut Connection, filter: &UserFilter) -> Stored<i64> {
    query(AssertSqlSafe(format!("SELECT COUNT(*) AS n FROM users u WHERE {USER_FILTER}")))
        .bind(like(&filter.search))
        .bind(filter.role.map_or("", Role::as_str))
        .bind(filter.state.as_str())
        .fetch_one(c)
        .await?
        .int("n")
}

pub(super) async fn users(
    c: &mut Connection,
    filter: &UserFilter,
    (limit, offset): (i64, i64),
) -> Stored<Vec<UserRow>> {
    let sql =
        format!("{USER_ROW} WHERE {USER_FILTER} ORDER BY u.created_at DESC, u.id DESC LIMIT $4 OFFSET $5");
    let rows = query(AssertSqlSafe(sql))
        .bind(like(&filter.search))
        .bind(filter.role.map_or("", Role::as_str))
        .bind(filter.state.as_str())
        .bind(limit)
        .bind(offset)
        .fetch_all(c)
        .await?;
    rows.iter().map(listed_user).collect()
}

/// One user as in the list, without the roles.
pub(super) async fn user_row(c: &mut Connection, login: &str) -> Stored<Option<UserRow>> {
    let sql = AssertSqlSafe(format!("{USER_ROW} WHERE u.login = $1"));
    query(sql).bind(login).fetch_optional(c).await?.as_ref().map(listed_user).transpose()
}

const USER_ROW: &str = "SELECT u.id, u.login, u.name, u.email, u.created_at, u.disabled_at, u.locked_until, \
            o.name AS organisation, o.verified_at AS organisation_verified_at, \
            (SELECT MAX(s.seen_at) FROM sessions s WHERE s.user_id = u.id) AS last_seen_at \
     FROM users u LEFT JOIN organisations o ON o.id = u.organisation_id";

fn listed_user(row: &AnyRow) -> Stored<UserRow> {
    Ok(UserRow {
        id: row.parsed("id")?,
        login: row.text("login")?,
        name: row.text("name")?,
        email: row.text("email")?,
        organisation: row.text_or_null("organisation")?,
        organisation_verified: row.int_or_null("organisation_verified_at")?.is_some(),
        created_at: row.time("created_at")?,
        disabled_at: row.time_or_null("disabled_at")?,
        locked_until: row.time("locked_until")?,
        last_seen_at: row.time_or_null("last_seen_at")?,
        roles: Vec::new(),
    })
}

// Roles ------------------------------------------------------------------------------------------

pub(super) async fn grants(c: &mut Connection, user: UserId) -> Stored<Vec<Grant>> {
    let rows =
        query("SELECT role, competition_id FROM roles WHERE user_id = $1 ORDER BY competition_id, role")
            .bind(user.to_string())
            .fetch_all(c)
            .await?;
    rows.iter()
        .map(|row| {
            let everywhere = row.text("competition_id")?.is_empty();
            let competition = if everywhere { None } else { Some(row.parsed("competition_id")?) };
            Ok(Grant { role: row.parsed("role")?, competition })
        })
        .collect()
}

fn place(competition: Option<CompetitionId>) -> String {
    competition.map(|id| id.to_string()).unwrap_or_default()
}

/// Says whether the role is new.
pub(super) async fn insert_grant(
    c: &mut Connection,
    user: UserId,
    grant: Grant,
    (at, by): (Timestamp, &str),
) -> Stored<bool> {
    let done = query(
        "INSERT INTO roles (user_id, competition_id, role, granted_at, granted_by) \
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
    )
    .bind(user.to_string())
    .bind(place(grant.competition))
    .bind(grant.role.as_str())
    .bind(at.as_millisecond())
    .bind(by)
    .execute(c)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Says whether the role was held.
pub(super) async fn delete_grant(c: &mut Connection, user: UserId, grant: Grant) -> Stored<bool> {
    let done = query("DELETE FROM roles WHERE user_id = $1 AND competition_id = $2 AND role = $3")
        .bind(user.to_string())
        .bind(place(grant.competition))
        .bind(grant.role.as_str())
        .execute(c)
        .await?;
    Ok(done.rows_affected() > 0)
}

/// The people who hold a role in one place, by name.
pub(super) async fn holders(
    c: &mut Connection,
    competition: Option<CompetitionId>,
) -> Stored<Vec<(UserId, String, String, Role)>> {
    let rows = query(
        "SELECT u.id, u.login, u.name, r.role FROM roles r JOIN users u ON u.id = r.user_id \
         WHERE r.competition_id = $1 AND u.disabled_at IS NULL ORDER BY r.role, u.login",
    )
    .bind(place(competition))
    .fetch_all(c)
    .await?;
    rows.iter()
        .map(|row| Ok((row.parsed("id")?, row.text("login")?, row.text("name")?, row.parsed("role")?)))
        .collect()
}

// Organisations ----------------------------------------------------------------------------------

const ORGANISATION: &str = "SELECT o.id, o.name, o.created_at, o.verified_at, \
     (SELECT COUNT(*) FROM users u WHERE u.organisation_id = o.id) AS members FROM organisations o";

fn stored_organisation(row: &AnyRow) -> Stored<Organisation> {
    Ok(Organisation {
        id: row.parsed("id")?,
        name: row.text("name")?,
        created_at: row.time("created_at")?,
        verified_at: row.time_or_null("verified_at")?,
        members: row.int("members")?,
    })
}

pub(super) async fn organisation_by_name(c: &mut Connection, name: &str) -> Stored<Option<Organisation>> {
    let sql = AssertSqlSafe(format!("{ORGANISATION} WHERE o.name = $1"));
    let row = query(sql).bind(name).fetch_optional(c).await?;
    row.as_ref().map(stored_organisation).transpose()
}

pub(super) async fn organisation(c: &mut Connection, id: OrganisationId) -> Stored<Option<Organisation>> {
    let sql = AssertSqlSafe(format!("{ORGANISATION} WHERE o.id = $1"));
    let row = query(sql).bind(id.to_string()).fetch_optional(c).await?;
    row.as_ref().map(stored_organisation).transpose()
}

pub(super) async fn organisations(c: &mut Connection) -> Stored<Vec<Organisation>> {
    let sql = AssertSqlSafe(format!("{ORGANISATION} ORDER BY o.verified_at IS NOT NULL, o.name LIMIT 1000"));
    query(sql).fetch_all(c).await?.iter().map(stored_organisation).collect()
}

pub(super) async fn insert_organisation(
    c: &mut Connection,
    id: OrganisationId,
    name: &str,
    at: Timestamp,
) -> Stored<()> {
    query("INSERT INTO organisations (id, name, created_at) VALUES ($1, $2, $3)")
        .bind(id.to_string())
        .bind(name)
        .bind(at.as_millisecond())
        .execute(c)
        .await?;
    Ok(())
}

pub(super) async fn set_verified(
    c: &mut Connection,
    id: OrganisationId,
    (at, by): (Option<Timestamp>, &str),
) -> Stored<()> {
    query("UPDATE organisations SET verified_at = $2, verified_by = $3 WHERE id = $1")
        .bind(id.to_string())
        .bind(at.map(Timestamp::as_millisecond))
        .bind(by)
        .execute(c)
        .await?;
    Ok(())
}
