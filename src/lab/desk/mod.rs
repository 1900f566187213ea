//! What organizers see of their competition's sandboxes, and what they ask of them: stop one or all, say
//! something to one or all, read what a lab has printed. All of it is on record.

mod db;

use super::ask::{self, AskError, announce};
use super::db as lab_db;
use super::keeper::Keeper;
use super::model::{Sandbox, Used, Wanted};
use super::reports::{self, About};
use crate::audit::{self, Actor, Entry};
use crate::house::House;
use crate::ids::{CompetitionId, SandboxId};
use crate::store::{Connection, StoreError, Tx};

/// The longest message and the longest reason, in characters.
pub const LONGEST: usize = 500;

/// A sandbox and whose it is.
#[derive(Clone, Debug)]
pub struct Line {
    /// The sandbox.
    pub sandbox: Sandbox,
    /// Its owner's login.
    pub login: String,
    /// The name others see.
    pub name: String,
    /// The team the owner is in now.
    pub team: Option<String>,
    /// Whether the end of what it printed was kept.
    pub has_log: bool,
}

/// What all sandboxes of a competition have used together.
#[derive(Clone, Copy, Debug)]
pub struct Totals {
    /// Sandboxes there were and are.
    pub sandboxes: i64,
    /// People who had one.
    pub people: i64,
    /// What they used.
    pub used: Used,
}

/// How many sandboxes there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers {
    /// With a place.
    pub held: i64,
    /// Waiting for one.
    pub waiting: i64,
}

/// Sandboxes of a competition that are not over, the oldest first.
///
/// # Errors
/// When the database fails.
pub async fn open(conn: &mut Connection, competition: CompetitionId) -> Result<Vec<Line>, StoreError> {
    db::open(conn, competition).await
}

/// The newest of a competition's sandboxes that are over.
///
/// # Errors
/// When the database fails.
pub async fn over(
    conn: &mut Connection,
    competition: CompetitionId,
    most: i64,
) -> Result<Vec<Line>, StoreError> {
    db::over(conn, competition, most).await
}

/// All sandboxes that a competition ever had, by time: the record of use for the data office (计量).
///
/// # Errors
/// When the database fails.
pub async fn all(conn: &mut Connection, competition: CompetitionId) -> Result<Vec<Line>, StoreError> {
    db::all(conn, competition).await
}

/// What all sandboxes of a competition have used.
///
/// # Errors
/// When the database fails.
pub async fn totals(conn: &mut Connection, competition: CompetitionId) -> Result<Totals, StoreError> {
    db::totals(conn, competition).await
}

/// How many sandboxes there are in a competition, or in all.
///
/// # Errors
/// When the database fails.
pub async fn numbers(
    conn: &mut Connection,
    competition: Option<CompetitionId>,
) -> Result<Numbers, StoreError> {
    match competition {
        Some(competition) => db::numbers_of(conn, competition).await,
        None => db::numbers(conn).await,
    }
}

/// The sandboxes that something is asked of: one that is not over, or all of them.
async fn meant(
    tx: &mut Tx,
    competition: CompetitionId,
    one: Option<SandboxId>,
) -> Result<Vec<Sandbox>, AskError> {
    let Some(id) = one else { return Ok(lab_db::open_in(tx, competition).await?) };
    let found = lab_db::by_id(tx, id).await?.filter(|s| s.competition == competition && !s.state.is_over());
    Ok(vec![found.ok_or(AskError::Gone)?])
}

fn fitting(text: &str) -> Result<&str, AskError> {
    let text = text.trim();
    if text.chars().count() > LONGEST { Err(AskError::TooLong) } else { Ok(text) }
}

/// Has one sandbox of a competition stopped, or all; their owners read the reason, when one is given.
/// Gives how many.
///
/// # Errors
/// [`AskError::Gone`] for one that is over or of another competition, [`AskError::TooLong`].
pub async fn dismiss(
    house: &House,
    competition: CompetitionId,
    one: Option<SandboxId>,
    by: Actor,
    reason: &str,
) -> Result<usize, AskError> {
    let (now, reason) = (house.clock.now(), fitting(reason)?);
    let mut tx = house.db.begin().await?;
    let meant = meant(&mut tx, competition, one).await?;
    for sandbox in &meant {
        db::set_said(&mut tx, sandbox.id, reason).await?;
        ask::end(&mut tx, sandbox, Wanted::Dismissed, now).await?;
        let entry = Entry::new(now, by, "sandbox.stop_asked", ("sandbox", sandbox.id))
            .competition(competition)
            .detail("wanted", Wanted::Dismissed.as_str())
            .detail("reason", reason)
            .detail("all", one.is_none());
        audit::record(&mut tx, entry).await?;
    }
    tx.commit().await?;
    house.ring();
    Ok(meant.len())
}

/// Says something to whoever uses one sandbox of a competition, or any that is open now; an empty text
/// takes back what was said. Gives how many.
///
/// # Errors
/// As [`dismiss`].
pub async fn tell(
    house: &House,
    competition: CompetitionId,
    one: Option<SandboxId>,
    by: Actor,
    message: &str,
) -> Result<usize, AskError> {
    let (now, message) = (house.clock.now(), fitting(message)?);
    let mut tx = house.db.begin().await?;
    let meant = meant(&mut tx, competition, one).await?;
    for sandbox in &meant {
        db::set_message(&mut tx, sandbox.id, message).await?;
        announce(&mut tx, now, sandbox.id, sandbox.state).await?;
    }
    let object = match one {
        Some(id) => ("sandbox", id.to_string()),
        None => ("competition", competition.to_string()),
    };
    let entry = Entry::new(now, by, "sandbox.told", object)
        .competition(competition)
        .detail("message", message)
        .detail("sandboxes", u64::try_from(meant.len()).unwrap_or(u64::MAX));
    audit::record(&mut tx, entry).await?;
    tx.commit().await?;
    house.ring();
    Ok(meant.len())
}

/// What the lab in a sandbox of a competition has printed: until now, or what was kept when it broke;
/// `None` where neither is known, and for a second or two where another worker holds it and is asked.
/// Everything in the sandbox can write there. Each reading is on record.
///
/// # Errors
/// [`AskError::Gone`] where the competition has no such sandbox.
pub async fn read_log(
    house: &House,
    keeper: Option<&Keeper>,
    (competition, id): (CompetitionId, SandboxId),
    by: Actor,
) -> Result<(Sandbox, Option<String>), AskError> {
    let now = house.clock.now();
    let mut tx = house.db.begin().await?;
    let sandbox = lab_db::by_id(&mut tx, id).await?.filter(|s| s.competition == competition);
    let sandbox = sandbox.ok_or(AskError::Gone)?;
    let entry = Entry::new(now, by, "sandbox.log_read", ("sandbox", id)).competition(competition);
    audit::record(&mut tx, entry).await?;
    let kept = db::log(&mut tx, id).await?;
    tx.commit().await?;
    if let Some(printed) = keeper.and_then(|keeper| keeper.printed(id)) {
        return Ok((sandbox, Some(printed)));
    }
    if sandbox.state.is_over() {
        return Ok((sandbox, kept));
    }
    let told = reports::ask(house, &[id], About::Log).await?.remove(&id).and_then(|report| report.printed);
    Ok((sandbox, told.or(kept)))
}

/// Puts down how many programs the kernel has stopped in a sandbox at the memory limit.
pub(super) async fn note_kills(house: &House, id: SandboxId, kills: u64) -> Result<(), StoreError> {
    let mut tx = house.db.begin().await?;
    db::set_kills(&mut tx, id, i64::try_from(kills).unwrap_or(i64::MAX)).await?;
    tx.commit().await
}

/// Keeps the last of what a sandbox printed.
pub(super) async fn keep_log(house: &House, id: SandboxId, log: &str) -> Result<(), StoreError> {
    let mut tx = house.db.begin().await?;
    // PostgreSQL takes no NUL in a text
    db::set_log(&mut tx, id, &log.replace('\0', "\u{fffd}")).await?;
    tx.commit().await
}
