//! The tables as the database itself describes them, so that a new migration needs no change here;
//! and their rows as JSON.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AssertSqlSafe, Row as _};

use super::BackupError;
use crate::store::{Connection, Engine, Row as _, StoreError};

/// What a column holds. In JSON: a string, a whole number, a decimal string (exact, unlike a JSON
/// number), hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Int,
    Real,
    Bytes,
}

#[derive(Clone, Debug)]
struct Column {
    name: String,
    kind: Kind,
    /// Whether PostgreSQL numbers it.
    numbered: bool,
}

/// A table and its columns.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) name: String,
    columns: Vec<Column>,
}

/// The number of the last migration applied.
pub(super) async fn version(connection: &mut Connection) -> Result<i64, StoreError> {
    sqlx::query("SELECT MAX(version) AS version FROM _sqlx_migrations")
        .fetch_one(connection)
        .await?
        .int("version")
}

/// All tables of ours, each after those it refers to.
pub(super) async fn tables(connection: &mut Connection, engine: Engine) -> Result<Vec<Table>, BackupError> {
    let list = match engine {
        Engine::Sqlite => {
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!'"
        }
        Engine::Postgres => {
            "SELECT CAST(table_name AS TEXT) AS name FROM information_schema.tables
             WHERE table_schema = current_schema() AND table_type = 'BASE TABLE'"
        }
    };
    let rows = sqlx::query(list).fetch_all(&mut *connection).await.map_err(StoreError::from)?;
    let mut waiting = Vec::new();
    for row in rows {
        let name = row.text("name")?;
        if name != "_sqlx_migrations" {
            let parents = parents(connection, engine, &name).await?;
            waiting.push((table(connection, engine, name).await?, parents));
        }
    }
    waiting.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
    parents_first(waiting)
}

fn parents_first(mut waiting: Vec<(Table, BTreeSet<String>)>) -> Result<Vec<Table>, BackupError> {
    let mut ordered: Vec<Table> = Vec::new();
    let mut done = BTreeSet::new();
    while !waiting.is_empty() {
        let (ready, rest): (Vec<_>, Vec<_>) = waiting
            .into_iter()
            .partition(|(table, parents)| parents.iter().all(|p| done.contains(p) || *p == table.name));
        if ready.is_empty() {
            return Err(BackupError::Circle(rest.into_iter().map(|(table, _)| table.name).collect()));
        }
        done.extend(ready.iter().map(|(table, _)| table.name.clone()));
        ordered.extend(ready.into_iter().map(|(table, _)| table));
        waiting = rest;
    }
    Ok(ordered)
}

async fn parents(
    connection: &mut Connection,
    engine: Engine,
    table: &str,
) -> Result<BTreeSet<String>, StoreError> {
    let query = match engine {
        Engine::Sqlite => "SELECT DISTINCT \"table\" AS parent FROM pragma_foreign_key_list($1)",
        Engine::Postgres => {
            "SELECT DISTINCT CAST(parent.relname AS TEXT) AS parent
             FROM pg_constraint c
             JOIN pg_class child ON child.oid = c.conrelid
             JOIN pg_class parent ON parent.oid = c.confrelid
             JOIN pg_namespace n ON n.oid = child.relnamespace
             WHERE c.contype = 'f' AND child.relname = $1 AND n.nspname = current_schema()"
        }
    };
    let rows = sqlx::query(query).bind(table).fetch_all(connection).await?;
    rows.iter().map(|row| row.text("parent")).collect()
}

async fn table(connection: &mut Connection, engine: Engine, name: String) -> Result<Table, BackupError> {
    let query = match engine {
        Engine::Sqlite => {
            "SELECT name, type AS kind, 'NO' AS numbered FROM pragma_table_info($1) ORDER BY cid"
        }
        Engine::Postgres => {
            "SELECT CAST(column_name AS TEXT) AS name, CAST(data_type AS TEXT) AS kind,
                    CAST(is_identity AS TEXT) AS numbered
             FROM information_schema.columns
             WHERE table_schema = current_schema() AND table_name = $1 ORDER BY ordinal_position"
        }
    };
    let rows =
        sqlx::query(query).bind(name.as_str()).fetch_all(connection).await.map_err(StoreError::from)?;
    let mut columns = Vec::new();
    for row in rows {
        let (column, kind) = (row.text("name")?, row.text("kind")?);
        let kind = match kind.to_ascii_uppercase().as_str() {
            "TEXT" => Kind::Text,
            "BIGINT" | "INTEGER" => Kind::Int,
            "DOUBLE PRECISION" => Kind::Real,
            "BLOB" | "BYTEA" => Kind::Bytes,
            _ => return Err(BackupError::ColumnType { table: name, column, kind }),
        };
        columns.push(Column { name: column, kind, numbered: row.text("numbered")? == "YES" });
    }
    Ok(Table { name, columns })
}

impl Table {
    /// The statement that reads every row.
    pub(super) fn select(&self) -> String {
        format!("SELECT {} FROM {}", self.column_list(), quoted(&self.name))
    }

    /// Whether it has no rows.
    pub(super) async fn is_empty(&self, connection: &mut Connection) -> Result<bool, StoreError> {
        let query = format!("SELECT 1 AS one FROM {} LIMIT 1", quoted(&self.name));
        Ok(sqlx::query(AssertSqlSafe(query)).fetch_optional(connection).await?.is_none())
    }

    /// A row as a line of JSON.
    pub(super) fn encode(&self, row: &AnyRow) -> Result<Value, StoreError> {
        let mut members = Map::new();
        for column in &self.columns {
            let name = column.name.as_str();
            let value = match column.kind {
                Kind::Text => row.try_get::<Option<String>, _>(name)?.map(Value::from),
                Kind::Int => row.try_get::<Option<i64>, _>(name)?.map(Value::from),
                Kind::Real => row.try_get::<Option<f64>, _>(name)?.map(|real| real.to_string().into()),
                Kind::Bytes => row.try_get::<Option<Vec<u8>>, _>(name)?.map(|b| hex::encode(b).into()),
            };
            members.insert(column.name.clone(), value.unwrap_or_default());
        }
        Ok(members.into())
    }

    /// The statement that [`Table::bind`] fills in.
    pub(super) fn insert(&self, engine: Engine) -> String {
        let places: Vec<String> = (1..=self.columns.len()).map(|n| format!("${n}")).collect();
        let overriding = match engine {
            Engine::Sqlite => "",
            Engine::Postgres => "OVERRIDING SYSTEM VALUE",
        };
        let (table, columns) = (quoted(&self.name), self.column_list());
        format!("INSERT INTO {table} ({columns}) {overriding} VALUES ({})", places.join(", "))
    }

    /// Binds a line's values; the error says what does not fit.
    pub(super) fn bind<'q>(
        &self,
        mut query: Query<'q, Any, AnyArguments>,
        line: &Value,
    ) -> Result<Query<'q, Any, AnyArguments>, String> {
        let members = line.as_object().ok_or("a line is not a JSON object")?;
        if let Some(unknown) = members.keys().find(|name| !self.columns.iter().any(|c| c.name == **name)) {
            return Err(format!("there is no column {unknown}"));
        }
        for column in &self.columns {
            let value =
                members.get(&column.name).ok_or_else(|| format!("column {} is missing", column.name))?;
            let wrong = || format!("column {} has a value of another type", column.name);
            let text = if value.is_null() { None } else { value.as_str() };
            query = match (column.kind, value) {
                (Kind::Text, Value::Null | Value::String(_)) => query.bind(text.map(str::to_owned)),
                (Kind::Int, Value::Null) => query.bind(None::<i64>),
                (Kind::Int, Value::Number(number)) => query.bind(Some(number.as_i64().ok_or_else(wrong)?)),
                (Kind::Real, Value::Null | Value::String(_)) => {
                    query.bind(text.map(str::parse::<f64>).transpose().map_err(|_| wrong())?)
                }
                (Kind::Bytes, Value::Null | Value::String(_)) => {
                    query.bind(text.map(hex::decode).transpose().map_err(|_| wrong())?)
                }
                _ => return Err(wrong()),
            };
        }
        Ok(query)
    }

    /// Lets numbered columns go on after the highest number restored. SQLite does so by itself.
    pub(super) async fn renumber(
        &self,
        connection: &mut Connection,
        engine: Engine,
    ) -> Result<(), StoreError> {
        if engine == Engine::Sqlite {
            return Ok(());
        }
        for column in self.columns.iter().filter(|column| column.numbered) {
            let (table, name) = (quoted(&self.name), quoted(&column.name));
            let query = format!(
                "SELECT setval(pg_get_serial_sequence($1, $2), COALESCE(MAX({name}), 1), COUNT(*) > 0) AS last
                 FROM {table}"
            );
            sqlx::query(AssertSqlSafe(query))
                .bind(table)
                .bind(column.name.as_str())
                .fetch_one(&mut *connection)
                .await?;
        }
        Ok(())
    }

    fn column_list(&self) -> String {
        self.columns.iter().map(|column| quoted(&column.name)).collect::<Vec<_>>().join(", ")
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_parents(name: &str, parents: &[&str]) -> (Table, BTreeSet<String>) {
        let table = Table { name: name.to_owned(), columns: Vec::new() };
        (table, parents.iter().map(|&parent| parent.to_owned()).collect())
    }

    #[test]
    fn a_table_comes_after_those_it_refers_to() {
        let tables = vec![with_parents("a", &["c", "a"]), with_parents("b", &[]), with_parents("c", &["b"])];
        let order: Vec<_> = parents_first(tables).unwrap().into_iter().map(|table| table.name).collect();
        assert_eq!(order, ["b", "c", "a"]);
        let circle = vec![with_parents("a", &["b"]), with_parents("b", &["a"])];
        assert!(matches!(parents_first(circle), Err(BackupError::Circle(names)) if names == ["a", "b"]));
    }
}
