//! What comes out of a sandbox beside its lab, and is shown on pages: what is told of a submission that was
//! handed in from inside (its logs, the excerpts in its faults), and the names in an outbox.

use std::time::Duration;

use super::db;
use super::gauge::{BUDGET, Gauge};
use super::keeper::Keeper;
use super::model::{Sandbox, Used};
use crate::house::House;
use crate::ids::SandboxId;
use crate::store::StoreError;
use crate::submission::model::{Origin, Reason, Submission};

/// Counts bytes told of a submission as content shown, each time that its team is shown them, whoever of
/// it looks: to the newest sandbox of whoever handed it in, and to its session's budget while it is
/// open here. Nothing of a submission that came from outside is counted. A spent budget keeps nothing of it
/// away: logs and faults are few and short, by quota and by their cap.
///
/// # Errors
/// When the database fails.
pub async fn count(
    house: &House,
    keeper: Option<&Keeper>,
    submission: &Submission,
    bytes: u64,
) -> Result<(), StoreError> {
    if submission.origin != Origin::Sandbox || bytes == 0 {
        return Ok(());
    }
    let latest = db::latest(&mut *house.db.read().await?, submission.competition, submission.user).await?;
    let Some(sandbox) = latest else { return Ok(()) };
    let Some(gauge) = here(keeper, sandbox.id) else { return write_down(house, sandbox.id, bytes).await };
    if gauge.show(bytes, house.clock.now()).is_err() {
        tracing::info!(sandbox = %sandbox.id, bytes, "a submission was shown beyond the session's budget");
    }
    Ok(())
}

/// Bytes that are told of why a submission was refused or failed: what is quoted of the file is in them.
pub fn reason_bytes(reason: &Reason) -> u64 {
    let faults = reason.faults.as_ref().map_or(0, |faults| faults.to_string().len());
    (reason.text.len() + faults) as u64
}

/// Counts bytes that lie in a sandbox and are to be shown to its owner, as content shown; `session` is how
/// long one may last. False, with nothing counted, once its budget is spent: then they may not be shown.
///
/// # Errors
/// When the database fails.
pub async fn admit(
    house: &House,
    keeper: Option<&Keeper>,
    sandbox: &Sandbox,
    session: Duration,
    bytes: u64,
) -> Result<bool, StoreError> {
    if bytes == 0 {
        return Ok(true);
    }
    let now = house.clock.now();
    if let Some(gauge) = here(keeper, sandbox.id) {
        return Ok(gauge.check().is_ok() && gauge.show(bytes, now).is_ok());
    }
    let since = now.checked_sub(session).unwrap_or(now);
    let before = db::shown_since(&mut *house.db.read().await?, sandbox, since).await?;
    if before.saturating_add_signed(sandbox.used.shown_bytes) >= BUDGET {
        return Ok(false);
    }
    write_down(house, sandbox.id, bytes).await?;
    Ok(true)
}

/// The gauge of a sandbox that is open here; the keeper writes down what it has counted.
fn here(keeper: Option<&Keeper>, id: SandboxId) -> Option<std::sync::Arc<Gauge>> {
    keeper.and_then(|keeper| keeper.way_in(id).ok()).map(|way_in| way_in.gauge)
}

async fn write_down(house: &House, id: SandboxId, bytes: u64) -> Result<(), StoreError> {
    let more = Used { shown_bytes: i64::try_from(bytes).unwrap_or(i64::MAX), ..Used::default() };
    let mut tx = house.db.begin().await?;
    db::add_used(&mut tx, id, &more, None).await?;
    tx.commit().await
}
