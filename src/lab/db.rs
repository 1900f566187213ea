//! SQL of sandboxes and homes.

use jiff::{SignedDuration, Timestamp};
use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::model::{Home, Sandbox, State, Used, Wanted};
use crate::ids::{CompetitionId, HomeId, SandboxId, UserId};
use crate::store::{Connection, Row, StoreError};

pub(super) fn sandbox(row: &AnyRow) -> Result<Sandbox, StoreError> {
    Ok(Sandbox {
        id: row.parsed("id")?,
        competition: row.parsed("competition_id")?,
        user: row.parsed("user_id")?,
        home: row.parsed("home_id")?,
        state: row.parsed("state")?,
        wanted: row.parsed("wanted")?,
        host: row.text_or_null("host")?,
        requested_at: row.time("requested_at")?,
        started_at: row.time_or_null("started_at")?,
        ready_at: row.time_or_null("ready_at")?,
        active_at: row.time_or_null("active_at")?,
        paused_at: row.time_or_null("paused_at")?,
        ended_at: row.time_or_null("ended_at")?,
        deadline_at: row.time_or_null("deadline_at")?,
        reason: row.text("reason")?,
        message: row.text("message")?,
        said: row.text("said")?,
        memory_kills: row.int("memory_kills")?,
        restored_from: row.time_or_null("restored_from")?,
        used: Used {
            cpu_ms: row.int("cpu_ms")?,
            memory_mib_s: row.int("memory_mib_s")?,
            shown_bytes: row.int("shown_bytes")?,
            kernels: row.int("kernels")?,
            terminals: row.int("terminals")?,
        },
    })
}

pub(super) fn home(row: &AnyRow) -> Result<Home, StoreError> {
    let snapshot = row.text_or_null("snapshot_key")?.zip(row.time_or_null("snapshot_at")?);
    Ok(Home {
        id: row.parsed("id")?,
        competition: row.parsed("competition_id")?,
        user: row.parsed("user_id")?,
        host: row.text_or_null("host")?,
        bytes: u64::try_from(row.int("bytes")?).unwrap_or(0),
        created_at: row.time("created_at")?,
        snapshot,
        copy_asked: row.time_or_null("copy_asked_at")?.is_some(),
        copy_problem: row.text("copy_problem")?,
    })
}

/// Adds a sandbox that waits.
pub async fn insert(conn: &mut Connection, s: &Sandbox) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO sandboxes (id, competition_id, user_id, home_id, state, wanted, requested_at, message) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(s.id.to_string())
    .bind(s.competition.to_string())
    .bind(s.user.to_string())
    .bind(s.home.to_string())
    .bind(s.state.as_str())
    .bind(s.wanted.as_str())
    .bind(s.requested_at.as_millisecond())
    .bind(s.message.clone())
    .execute(conn)
    .await?;
    Ok(())
}

/// The sandbox of this id.
pub async fn by_id(conn: &mut Connection, id: SandboxId) -> Result<Option<Sandbox>, StoreError> {
    let row = sqlx::query("SELECT * FROM sandboxes WHERE id = $1")
        .bind(id.to_string())
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(sandbox).transpose()
}

/// A participant's sandbox in a competition that is not over; the newest that is, when there is none.
pub async fn latest(
    conn: &mut Connection,
    competition: CompetitionId,
    user: UserId,
) -> Result<Option<Sandbox>, StoreError> {
    let row = sqlx::query(
        "SELECT * FROM sandboxes WHERE competition_id = $1 AND user_id = $2 \
         ORDER BY CASE WHEN ended_at IS NULL THEN 0 ELSE 1 END, requested_at DESC LIMIT 1",
    )
    .bind(competition.to_string())
    .bind(user.to_string())
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(sandbox).transpose()
}

/// Sandboxes of a competition that are not over, the oldest first.
pub async fn open_in(conn: &mut Connection, competition: CompetitionId) -> Result<Vec<Sandbox>, StoreError> {
    let rows = sqlx::query(
        "SELECT * FROM sandboxes WHERE competition_id = $1 AND ended_at IS NULL ORDER BY requested_at, id",
    )
    .bind(competition.to_string())
    .fetch_all(conn)
    .await?;
    rows.iter().map(sandbox).collect()
}

/// Sandboxes that a worker holds and that are not over.
pub async fn held_by(conn: &mut Connection, host: &str) -> Result<Vec<Sandbox>, StoreError> {
    let rows =
        sqlx::query("SELECT * FROM sandboxes WHERE host = $1 AND ended_at IS NULL ORDER BY requested_at")
            .bind(host)
            .fetch_all(conn)
            .await?;
    rows.iter().map(sandbox).collect()
}

/// Sandboxes that wait for a place, in the order in which they get one when nobody who has one leaves: the
/// competition that then holds the fewest first, then by age.
const WAITING: &str = "FROM sandboxes w LEFT JOIN (SELECT competition_id, COUNT(*) AS n FROM sandboxes \
     WHERE state IN ('starting', 'ready', 'paused', 'stopping') AND ended_at IS NULL \
     GROUP BY competition_id) held ON held.competition_id = w.competition_id \
     WHERE w.state = 'waiting' AND w.ended_at IS NULL";
const IN_TURN: &str = "ORDER BY COALESCE(held.n, 0) + ROW_NUMBER() OVER \
     (PARTITION BY w.competition_id ORDER BY w.requested_at, w.id), w.requested_at, w.id";

/// How long a worker must not have been heard of before another takes over the homes on its disk.
const LOST: SignedDuration = SignedDuration::from_mins(15);

/// The sandbox that gets the next place on a worker: one whose home is there, or nowhere yet, or on a
/// worker that is lost while the store has a snapshot of it.
pub async fn next_waiting(
    conn: &mut Connection,
    host: &str,
    now: Timestamp,
) -> Result<Option<Sandbox>, StoreError> {
    let row = sqlx::query(AssertSqlSafe(format!(
        "SELECT w.* {WAITING} AND w.home_id IN (SELECT id FROM homes WHERE host IS NULL OR host = $1 OR \
         (snapshot_key IS NOT NULL AND host NOT IN (SELECT name FROM workers WHERE seen_at > $2))) \
         {IN_TURN} LIMIT 1"
    )))
    .bind(host)
    .bind(now.checked_sub(LOST).unwrap_or(now).as_millisecond())
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(sandbox).transpose()
}

/// The sandboxes that wait, in turn.
pub async fn waiting(conn: &mut Connection) -> Result<Vec<SandboxId>, StoreError> {
    let rows =
        sqlx::query(AssertSqlSafe(format!("SELECT w.id AS id {WAITING} {IN_TURN}"))).fetch_all(conn).await?;
    rows.iter().map(|row| row.parsed("id")).collect()
}

/// How many places are taken on a worker.
pub async fn places_taken(conn: &mut Connection, host: &str) -> Result<i64, StoreError> {
    sqlx::query(
        "SELECT COUNT(*) AS n FROM sandboxes WHERE host = $1 AND ended_at IS NULL \
         AND state IN ('starting', 'ready', 'paused', 'stopping')",
    )
    .bind(host)
    .fetch_one(conn)
    .await?
    .int("n")
}

/// How long sandboxes keep their places.
#[derive(Clone, Debug, Default)]
pub(super) struct Stays {
    /// How many of the last hundred to give theirs up have done so: at most as many.
    pub(super) ended: i64,
    /// The time that those and all who have a place now have kept it, in milliseconds.
    pub(super) kept_ms: i64,
    /// When those who have a place now give it up at the latest, the first of them first.
    pub(super) until: Vec<Timestamp>,
    /// How many have a place now.
    pub(super) taken: i64,
}

/// How long sandboxes keep their places, those that have one now included: of many that stay long, few have
/// ended yet.
pub(super) async fn stays(conn: &mut Connection, now: Timestamp) -> Result<Stays, StoreError> {
    let over = sqlx::query(
        "SELECT COUNT(*) AS n, CAST(COALESCE(SUM(ended_at - started_at), 0) AS BIGINT) AS kept FROM \
         (SELECT ended_at, started_at FROM sandboxes WHERE ended_at IS NOT NULL AND started_at IS NOT NULL \
          ORDER BY ended_at DESC LIMIT 100) AS latest",
    )
    .fetch_one(&mut *conn)
    .await?;
    let held = sqlx::query(
        "SELECT started_at, deadline_at FROM sandboxes WHERE ended_at IS NULL \
         AND state IN ('starting', 'ready', 'paused', 'stopping')",
    )
    .fetch_all(conn)
    .await?;
    let mut stays = Stays { ended: over.int("n")?, kept_ms: over.int("kept")?, ..Stays::default() };
    for row in &held {
        let started = row.time_or_null("started_at")?.unwrap_or(now);
        stays.kept_ms += i64::try_from(now.duration_since(started).as_millis()).unwrap_or(0).max(0);
        stays.until.extend(row.time_or_null("deadline_at")?);
        stays.taken += 1;
    }
    stays.until.sort_unstable();
    Ok(stays)
}

/// A change of where a sandbox stands.
#[derive(Clone, Debug)]
pub struct Change<'a> {
    /// From, or it is not made.
    pub from: State,
    /// To.
    pub to: State,
    /// The worker that holds it from now on.
    pub host: Option<&'a str>,
    /// When its session is over.
    pub deadline_at: Option<Timestamp>,
    /// Why, in a stable word.
    pub reason: &'a str,
}

/// Changes where a sandbox stands; false when it stands elsewhere by now.
pub async fn change(
    conn: &mut Connection,
    id: SandboxId,
    change: &Change<'_>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    debug_assert!(change.from.may_become(change.to), "{} → {}", change.from, change.to);
    let at = |wanted: State| (change.to == wanted).then(|| now.as_millisecond());
    // one that goes on, or could not be paused, is as idle as it was: a person's doing is counted by its gauge
    let begun = at(State::Ready).filter(|_| change.from == State::Starting);
    let over = change.to.is_over().then(|| now.as_millisecond());
    let done = sqlx::query(
        "UPDATE sandboxes SET state = $3, host = COALESCE($4, host), \
         deadline_at = COALESCE($5, deadline_at), reason = $6, \
         started_at = COALESCE(started_at, $7), ready_at = COALESCE(ready_at, $8), \
         active_at = COALESCE($8, active_at), paused_at = $9, ended_at = $10 \
         WHERE id = $1 AND state = $2",
    )
    .bind(id.to_string())
    .bind(change.from.as_str())
    .bind(change.to.as_str())
    .bind(change.host.map(str::to_owned))
    .bind(change.deadline_at.map(Timestamp::as_millisecond))
    .bind(change.reason)
    .bind(at(State::Starting))
    .bind(begun)
    .bind(at(State::Paused))
    .bind(over)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Notes a sandbox's container, the processor time it had used before, in milliseconds, and what the lab
/// inside takes for its owner's.
pub(super) async fn set_container(
    conn: &mut Connection,
    id: SandboxId,
    (container, cpu_before_ms): (SandboxId, i64),
    token: &str,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE sandboxes SET container = $2, cpu_before_ms = $3, token = $4 WHERE id = $1")
        .bind(id.to_string())
        .bind(container.to_string())
        .bind(cpu_before_ms)
        .bind(token)
        .execute(conn)
        .await?;
    Ok(())
}

/// The sandbox in a container, the newest if there were several.
pub(super) async fn by_container(
    conn: &mut Connection,
    container: SandboxId,
) -> Result<Option<Sandbox>, StoreError> {
    let row = sqlx::query(
        "SELECT * FROM sandboxes WHERE container = $1 OR (container IS NULL AND id = $1) \
         ORDER BY requested_at DESC LIMIT 1",
    )
    .bind(container.to_string())
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(sandbox).transpose()
}

/// What the lab inside takes for its owner's, and the processor time its container had used before it
/// was the sandbox's, in milliseconds.
pub(super) async fn token_and_start(
    conn: &mut Connection,
    id: SandboxId,
) -> Result<(String, i64), StoreError> {
    let row = sqlx::query("SELECT token, cpu_before_ms FROM sandboxes WHERE id = $1")
        .bind(id.to_string())
        .fetch_one(conn)
        .await?;
    Ok((row.text("token")?, row.int("cpu_before_ms")?))
}

/// When a sandbox was last asked for in a competition.
pub(super) async fn last_asked(
    conn: &mut Connection,
    competition: CompetitionId,
) -> Result<Option<Timestamp>, StoreError> {
    sqlx::query("SELECT MAX(requested_at) AS asked_at FROM sandboxes WHERE competition_id = $1")
        .bind(competition.to_string())
        .fetch_one(conn)
        .await?
        .time_or_null("asked_at")
}

/// Writes what was asked of a sandbox.
pub async fn set_wanted(conn: &mut Connection, id: SandboxId, wanted: Wanted) -> Result<(), StoreError> {
    sqlx::query("UPDATE sandboxes SET wanted = $2 WHERE id = $1")
        .bind(id.to_string())
        .bind(wanted.as_str())
        .execute(conn)
        .await?;
    Ok(())
}

/// What is asked of a sandbox, which nobody else can change before the end of the transaction.
pub(super) async fn settled_wish(conn: &mut Connection, id: SandboxId) -> Result<Option<Wanted>, StoreError> {
    let row = sqlx::query("UPDATE sandboxes SET wanted = wanted WHERE id = $1 RETURNING wanted")
        .bind(id.to_string())
        .fetch_optional(conn)
        .await?;
    row.map(|row| row.parsed("wanted")).transpose()
}

/// Bytes of content that a participant was shown in a competition since a time, in other sandboxes than this.
pub(super) async fn shown_since(
    conn: &mut Connection,
    sandbox: &Sandbox,
    since: Timestamp,
) -> Result<u64, StoreError> {
    let row = sqlx::query(
        "SELECT CAST(COALESCE(SUM(shown_bytes), 0) AS BIGINT) AS shown FROM sandboxes WHERE competition_id = $1 \
         AND user_id = $2 AND id <> $3 AND (ended_at IS NULL OR ended_at > $4)",
    )
    .bind(sandbox.competition.to_string())
    .bind(sandbox.user.to_string())
    .bind(sandbox.id.to_string())
    .bind(since.as_millisecond())
    .fetch_one(conn)
    .await?;
    Ok(u64::try_from(row.int("shown")?).unwrap_or(0))
}

/// Adds to what a sandbox has used, and notes when a person last did something in it.
pub async fn add_used(
    conn: &mut Connection,
    id: SandboxId,
    more: &Used,
    active_at: Option<Timestamp>,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE sandboxes SET cpu_ms = cpu_ms + $2, memory_mib_s = memory_mib_s + $3, \
         shown_bytes = shown_bytes + $4, kernels = kernels + $5, terminals = terminals + $6, \
         active_at = COALESCE($7, active_at) WHERE id = $1",
    )
    .bind(id.to_string())
    .bind(more.cpu_ms)
    .bind(more.memory_mib_s)
    .bind(more.shown_bytes)
    .bind(more.kernels)
    .bind(more.terminals)
    .bind(active_at.map(Timestamp::as_millisecond))
    .execute(conn)
    .await?;
    Ok(())
}

// Homes -------------------------------------------------------------------------------------------

/// A participant's home in a competition.
pub async fn home_of(
    conn: &mut Connection,
    competition: CompetitionId,
    user: UserId,
) -> Result<Option<Home>, StoreError> {
    let row =
        sqlx::query("SELECT * FROM homes WHERE competition_id = $1 AND user_id = $2 AND removed_at IS NULL")
            .bind(competition.to_string())
            .bind(user.to_string())
            .fetch_optional(conn)
            .await?;
    row.as_ref().map(home).transpose()
}

/// The home of this id.
pub async fn home_by_id(conn: &mut Connection, id: HomeId) -> Result<Option<Home>, StoreError> {
    let row =
        sqlx::query("SELECT * FROM homes WHERE id = $1").bind(id.to_string()).fetch_optional(conn).await?;
    row.as_ref().map(home).transpose()
}

/// Adds a home that is on nobody's disk yet.
pub async fn insert_home(conn: &mut Connection, h: &Home) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO homes (id, competition_id, user_id, bytes, created_at) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(h.id.to_string())
    .bind(h.competition.to_string())
    .bind(h.user.to_string())
    .bind(i64::try_from(h.bytes).unwrap_or(i64::MAX))
    .bind(h.created_at.as_millisecond())
    .execute(conn)
    .await?;
    Ok(())
}

/// Notes that a worker has a home on its disk.
pub async fn set_home_host(conn: &mut Connection, id: HomeId, host: Option<&str>) -> Result<(), StoreError> {
    sqlx::query("UPDATE homes SET host = $2 WHERE id = $1")
        .bind(id.to_string())
        .bind(host.map(str::to_owned))
        .execute(conn)
        .await?;
    Ok(())
}
