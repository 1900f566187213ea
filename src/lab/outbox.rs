//! What lies in an outbox, with the shapes of its tables.

use serde::{Deserialize, Serialize};

use crate::airlock::lane3::{self, Shape};
use crate::sandbox::{Home, OutboxFile, OutboxLimits, SandboxError};

/// Bytes of tables that are read for their shapes each time an outbox is looked at; further tables have none.
const MEASURED: u64 = 2 * lane3::FILE_BYTES;

/// A file of the outbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lying {
    /// What is seen of it from outside.
    pub file: OutboxFile,
    /// Its rows and columns, where it is a table that they were counted of.
    pub shape: Option<Shape>,
}

/// What lies in an outbox.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outbox {
    /// Regular files, sorted by path.
    pub files: Vec<Lying>,
    /// What cannot be handed in: links, special files, names that are not UTF-8, what lies too deep.
    pub left_out: usize,
    /// Whether there is more than was looked at.
    pub truncated: bool,
}

/// Looks into the outbox of a home, while its sandbox runs or not.
///
/// # Errors
/// When the home cannot be read.
pub(super) async fn look_into(home: &Home) -> Result<Outbox, SandboxError> {
    let listing = home.outbox(OutboxLimits::default()).await?;
    let mut left = MEASURED;
    let mut files = Vec::with_capacity(listing.files.len());
    for file in listing.files {
        let mut shape = None;
        if lane3::has_shape(&file.path, file.bytes) && file.bytes <= left {
            left -= file.bytes;
            shape = shape_of(home, &file.path).await;
        }
        files.push(Lying { file, shape });
    }
    Ok(Outbox { files, left_out: listing.left_out, truncated: listing.truncated })
}

/// `None` also where the file is gone by now: it is the participant's to remove it.
async fn shape_of(home: &Home, path: &str) -> Option<Shape> {
    let file = home.open_in_outbox(path).await.ok()?;
    let counting = tokio::task::spawn_blocking(move || lane3::shape_of(file));
    counting.await.ok().flatten()
}
