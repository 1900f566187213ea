//! Tells the outcomes of closed runs when their time has come.

use crate::house::House;
use crate::store::StoreError;

use super::db;
use super::run::disclose_outcome;

/// Tells every outcome that is due; gives how many.
///
/// # Errors
/// When the database fails; what was not told is told the next time. An outcome that cannot be told
/// holds up no other.
pub async fn tell_due(house: &House) -> Result<usize, StoreError> {
    let due = db::due(&mut *house.db.read().await?, house.clock.now()).await?;
    let (mut told, mut failed) = (0, None);
    for submission in &due {
        match disclose_outcome(house, submission).await {
            Ok(()) => told += 1,
            Err(error) => {
                tracing::error!(submission = %submission.id, %error, "an outcome could not be told; trying again");
                failed = Some(error);
            }
        }
    }
    failed.map_or(Ok(told), Err)
}
