//! The table `audit_log`.

use jiff::Timestamp;
use serde_json::Value;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AssertSqlSafe};

use super::entry::{Actor, Entry};
use crate::ids::{AuditId, CompetitionId, UserId};
use crate::store::{Connection, Row as _, StoreError};

/// Rows a page may have.
const MAX_PER_PAGE: u32 = 200;

/// Which entries to list; all when nothing is set.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of this person, in a browser or by token.
    pub user: Option<UserId>,
    /// Whose action starts so: `submission.` or `submission.created`.
    pub action: Option<String>,
    /// About this object: kind, and id.
    pub object: Option<(String, String)>,
    /// Of this competition.
    pub competition: Option<CompetitionId>,
    /// At this time or later.
    pub from: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
    /// The page, counted from 0.
    pub page: u32,
    /// Entries on a page; 1 to 200.
    pub per_page: u32,
}

/// An entry as the log has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Its place in the log, counted from 0; nothing until the sequencer came by.
    pub number: Option<i64>,
    /// Its id.
    pub id: AuditId,
    /// When it happened.
    pub at: Timestamp,
    /// Who did it.
    pub actor: Actor,
    /// What was done.
    pub action: String,
    /// The kind of what it was done to.
    pub object_kind: String,
    /// Its id.
    pub object_id: String,
    /// The competition it belongs to.
    pub competition: Option<CompetitionId>,
    /// What else was said.
    pub detail: Value,
}

/// A page of entries, latest first.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// The entries.
    pub entries: Vec<Record>,
    /// How many there are on all pages.
    pub total: i64,
}

/// A row that has a number, as stored: what the verification reads.
pub(super) struct Numbered {
    pub(super) number: i64,
    pub(super) id: String,
    pub(super) at: i64,
    pub(super) actor: String,
    pub(super) action: String,
    pub(super) object_kind: String,
    pub(super) object_id: String,
    pub(super) competition: Option<String>,
    pub(super) bytes: Vec<u8>,
    pub(super) leaf: Vec<u8>,
    pub(super) chain: Vec<u8>,
}

/// Adds a row without a number.
pub(super) async fn insert(
    connection: &mut Connection,
    entry: &Entry,
    bytes: &[u8],
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO audit_log (id, at, actor, action, object_kind, object_id, competition_id, bytes)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(entry.id.to_string())
    .bind(entry.at.as_millisecond())
    .bind(entry.actor.to_string())
    .bind(entry.action)
    .bind(entry.object_kind)
    .bind(entry.object_id.as_str())
    .bind(entry.competition.map(|id| id.to_string()))
    .bind(bytes.to_vec())
    .execute(connection)
    .await?;
    Ok(())
}

/// Lets one sequencer at a time go on: the row stays locked until the transaction ends.
pub(super) async fn take_turn(connection: &mut Connection, holder: &str) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO leases (name, holder, lease_until) VALUES ('audit-sequencer', $1, 0)
         ON CONFLICT (name) DO UPDATE SET holder = excluded.holder",
    )
    .bind(holder)
    .execute(connection)
    .await?;
    Ok(())
}

/// The number and chain hash of the last numbered row.
pub(super) async fn head(connection: &mut Connection) -> Result<Option<(i64, Vec<u8>)>, StoreError> {
    let row = sqlx::query(
        "SELECT number, chain FROM audit_log WHERE number IS NOT NULL ORDER BY number DESC LIMIT 1",
    )
    .fetch_optional(connection)
    .await?;
    row.map(|row| Ok((row.int("number")?, row.bytes("chain")?))).transpose()
}

/// How many rows have no number yet.
pub(super) async fn waiting(connection: &mut Connection) -> Result<i64, StoreError> {
    sqlx::query("SELECT COUNT(*) AS n FROM audit_log WHERE number IS NULL")
        .fetch_one(connection)
        .await?
        .int("n")
}

/// The ids and bytes of the next rows to number, in the order they will have.
pub(super) async fn next_waiting(
    connection: &mut Connection,
    limit: i64,
) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
    let rows = sqlx::query("SELECT id, bytes FROM audit_log WHERE number IS NULL ORDER BY at, id LIMIT $1")
        .bind(limit)
        .fetch_all(connection)
        .await?;
    rows.iter().map(|row| Ok((row.text("id")?, row.bytes("bytes")?))).collect()
}

/// Gives a row its place. The number is unique, so two sequencers could never give one twice.
pub(super) async fn set_number(
    connection: &mut Connection,
    id: &str,
    number: i64,
    leaf: &[u8],
    chain: &[u8],
) -> Result<(), StoreError> {
    sqlx::query("UPDATE audit_log SET number = $2, leaf = $3, chain = $4 WHERE id = $1 AND number IS NULL")
        .bind(id)
        .bind(number)
        .bind(leaf.to_vec())
        .bind(chain.to_vec())
        .execute(connection)
        .await?;
    Ok(())
}

/// The numbered rows after `number`, in order.
pub(super) async fn numbered_after(
    connection: &mut Connection,
    number: i64,
    limit: i64,
) -> Result<Vec<Numbered>, StoreError> {
    let rows = sqlx::query(
        // A hash that somebody removed must be found wrong, not unreadable.
        "SELECT number, id, at, actor, action, object_kind, object_id, competition_id, bytes,
                COALESCE(leaf, bytes) AS leaf, COALESCE(chain, bytes) AS chain
         FROM audit_log WHERE number > $1 ORDER BY number LIMIT $2",
    )
    .bind(number)
    .bind(limit)
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Numbered {
                number: row.int("number")?,
                id: row.text("id")?,
                at: row.int("at")?,
                actor: row.text("actor")?,
                action: row.text("action")?,
                object_kind: row.text("object_kind")?,
                object_id: row.text("object_id")?,
                competition: row.text_or_null("competition_id")?,
                bytes: row.bytes("bytes")?,
                leaf: row.bytes("leaf")?,
                chain: row.bytes("chain")?,
            })
        })
        .collect()
}

/// A value for a condition.
enum Bound {
    Text(String),
    Int(i64),
}

/// The conditions of a filter, and what they are bound to, in order.
fn conditions(filter: &Filter) -> (String, Vec<Bound>) {
    let mut bound = Vec::new();
    let mut all = Vec::new();
    let mut condition = |text: &str, value: Bound| {
        bound.push(value);
        all.push(text.replace('?', &format!("${}", bound.len())));
    };
    if let Some(user) = filter.user {
        // Covers `user:ID` and `user:ID/token:ID`; an id has a fixed length.
        condition("actor LIKE ?", Bound::Text(format!("user:{user}%")));
    }
    if let Some(action) = &filter.action {
        let literal = action.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
        condition("action LIKE ? ESCAPE '\\'", Bound::Text(format!("{literal}%")));
    }
    if let Some((kind, id)) = &filter.object {
        condition("object_kind = ?", Bound::Text(kind.clone()));
        condition("object_id = ?", Bound::Text(id.clone()));
    }
    if let Some(competition) = filter.competition {
        condition("competition_id = ?", Bound::Text(competition.to_string()));
    }
    if let Some(from) = filter.from {
        condition("at >= ?", Bound::Int(from.as_millisecond()));
    }
    if let Some(until) = filter.until {
        condition("at < ?", Bound::Int(until.as_millisecond()));
    }
    let text = if all.is_empty() { "1 = 1".to_owned() } else { all.join(" AND ") };
    (text, bound)
}

fn bind<'q>(query: Query<'q, Any, AnyArguments>, bound: &[Bound]) -> Query<'q, Any, AnyArguments> {
    bound.iter().fold(query, |query, value| match value {
        Bound::Text(text) => query.bind(text.clone()),
        Bound::Int(number) => query.bind(*number),
    })
}

/// A page of the entries that fit.
pub(super) async fn list(connection: &mut Connection, filter: &Filter) -> Result<Page, StoreError> {
    let (conditions, bound) = conditions(filter);
    let count = format!("SELECT COUNT(*) AS n FROM audit_log WHERE {conditions}");
    let total =
        bind(sqlx::query(AssertSqlSafe(count)), &bound).fetch_one(&mut *connection).await?.int("n")?;
    let per_page = i64::from(filter.per_page.clamp(1, MAX_PER_PAGE));
    let select = format!(
        "SELECT number, id, at, actor, action, object_kind, object_id, competition_id, bytes
         FROM audit_log WHERE {conditions} ORDER BY at DESC, id DESC LIMIT ${} OFFSET ${}",
        bound.len() + 1,
        bound.len() + 2
    );
    let rows = bind(sqlx::query(AssertSqlSafe(select)), &bound)
        .bind(per_page)
        .bind(per_page * i64::from(filter.page))
        .fetch_all(connection)
        .await?;
    let entries = rows.iter().map(record).collect::<Result<_, _>>()?;
    Ok(Page { entries, total })
}

fn record(row: &AnyRow) -> Result<Record, StoreError> {
    let bytes = row.bytes("bytes")?;
    let mut document: Value = serde_json::from_slice(&bytes).map_err(|error| StoreError::Unreadable {
        column: "bytes".to_owned(),
        value: String::from_utf8_lossy(&bytes).chars().take(80).collect(),
        problem: error.to_string(),
    })?;
    Ok(Record {
        number: row.int_or_null("number")?,
        id: row.parsed("id")?,
        at: row.time("at")?,
        actor: row.parsed("actor")?,
        action: row.text("action")?,
        object_kind: row.text("object_kind")?,
        object_id: row.text("object_id")?,
        competition: row.parsed_or_null("competition_id")?,
        detail: document.get_mut("detail").map(Value::take).unwrap_or_default(),
    })
}
