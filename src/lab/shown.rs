//! What comes out of a sandbox by way of a submission, and is shown to its team: logs of what was handed in
//! from inside.

use super::db;
use super::keeper::Keeper;
use super::model::Used;
use crate::house::House;
use crate::store::StoreError;
use crate::submission::model::{Origin, Submission};

/// Counts bytes of a submission's logs as content shown, each time that its team is shown them, whoever of
/// it looks: to the newest sandbox of whoever handed it in, and to its session's budget while it is
/// open here. Nothing of a submission that came from outside is counted. A spent budget keeps no log
/// away: logs are few and short, by quota and by their cap.
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
    // the keeper writes down what its gauges have counted
    if let Some(way_in) = keeper.and_then(|keeper| keeper.way_in(sandbox.id).ok()) {
        if way_in.gauge.show(bytes, house.clock.now()).is_err() {
            tracing::info!(sandbox = %sandbox.id, bytes, "a log was shown beyond the session's budget");
        }
        return Ok(());
    }
    let more = Used { shown_bytes: i64::try_from(bytes).unwrap_or(i64::MAX), ..Used::default() };
    let mut tx = house.db.begin().await?;
    db::add_used(&mut tx, sandbox.id, &more, None).await?;
    tx.commit().await
}
