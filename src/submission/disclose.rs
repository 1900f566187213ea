//! Tells the outcomes of closed runs when their time has come.

use crate::house::House;
use crate::store::StoreError;

use super::db;
use super::run::disclose_outcome;

/// Tells every outcome that is due; gives how many.
///
/// # Errors
/// When the database fails; what was not told is told the next time.
pub async fn tell_due(house: &House) -> Result<usize, StoreError> {
    let due = db::due(&mut *house.db.read().await?, house.clock.now()).await?;
    for submission in &due {
        disclose_outcome(house, submission).await?;
    }
    Ok(due.len())
}
