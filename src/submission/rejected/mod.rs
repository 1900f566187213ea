//! The files of submissions that were refused before they were scored. Such a submission costs no quota, so
//! its file is kept for a while only; its row, its faults and its logs stay.

mod db;

use jiff::{SignedDuration, Timestamp};

use crate::audit::{self, Actor, Entry};
use crate::house::House;
use crate::ids::SubmissionId;
use crate::store::{ObjectError, ObjectKey, StoreError};

/// Files that are removed at a time.
const PART: i64 = 100;

/// Why files could not be removed.
#[derive(Debug, thiserror::Error)]
pub enum RemovalError {
    /// The object store failed.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Removes the files of submissions that were refused so many days ago; gives how many.
///
/// # Errors
/// [`RemovalError`]; the next call goes on.
pub async fn remove_files(house: &House, days: u32) -> Result<usize, RemovalError> {
    let now = house.clock.now();
    let before = now.checked_sub(SignedDuration::from_hours(24 * i64::from(days))).unwrap_or(Timestamp::MIN);
    let mut removed = 0;
    loop {
        let due = db::due(&mut *house.db.read().await?, before, PART).await?;
        for id in &due {
            remove(house, *id).await?;
        }
        removed += due.len();
        if i64::try_from(due.len()).is_ok_and(|found| found < PART) {
            return Ok(removed);
        }
    }
}

async fn remove(house: &House, id: SubmissionId) -> Result<(), RemovalError> {
    let mut tx = house.db.begin().await?;
    let Some((competition, key)) = db::forget_file(&mut tx, id).await? else { return Ok(()) };
    let entry = Entry::new(house.clock.now(), Actor::System, "submission.file_removed", ("submission", id))
        .competition(competition);
    audit::record(&mut tx, entry).await?;
    // before the commit: what cannot be removed now is found again, and nothing begins to run from it meanwhile
    let key: ObjectKey = key.parse()?;
    house.objects.delete(&key).await?;
    Ok(tx.commit().await?)
}
