//! A bundle that an organizer uploaded and has not taken in yet: kept sealed, opened on a tmpfs alone,
//! since it holds the hidden data. Each organizer has one at a time.

use std::path::{Path, PathBuf};

use tokio::io::AsyncRead;

use super::bundle::{self, Bundle, BundleError, ImageTable, Limits, Report};
use super::import::{self, ImportError, Imported};
use crate::house::House;
use crate::ids::{CompetitionId, UserId};
use crate::store::{ObjectError, ObjectKey};

/// Where a bundle lies in plain while it is looked at.
const TMPFS: &str = "/dev/shm";

/// Why a draft cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum DraftError {
    /// A directory on the tmpfs cannot be made.
    #[error("a directory on {TMPFS} cannot be made: {0}")]
    Scratch(#[from] std::io::Error),
    /// The bundle cannot be read at all.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The object store failed, or nothing was uploaded.
    #[error(transparent)]
    Objects(#[from] ObjectError),
    /// The import failed.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// The draft is not the one that was shown.
    #[error("the uploaded bundle is not the one whose changes were shown; upload it again")]
    Other,
}

/// A draft laid open on a tmpfs, which is cleared when it is dropped.
pub struct Draft {
    /// The bundle, unless it has errors.
    pub bundle: Option<Bundle>,
    /// Everything there is to say about it.
    pub report: Report,
    scratch: Scratch,
}

struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, "an opened bundle could not be cleared away");
        }
    }
}

fn key(user: UserId) -> Result<ObjectKey, ObjectError> {
    ObjectKey::hidden(format!("drafts/{user}"))
}

/// Keeps an uploaded bundle, `cap` bytes at most, in place of the organizer's draft before it.
///
/// # Errors
/// When the upload breaks off or is too large; the draft before stays then.
pub async fn keep(
    house: &House,
    user: UserId,
    content: impl AsyncRead + Send + Unpin,
    cap: u64,
) -> Result<(), ObjectError> {
    house.objects.put_stream(&key(user)?, content, cap).await.map(|_| ())
}

/// Opens an organizer's draft and reads it. `knows` tells whether an image name can run here.
///
/// # Errors
/// [`DraftError`]; what is wrong with the bundle itself is in the report instead.
pub async fn open(
    house: &House,
    user: UserId,
    knows: impl Fn(&str) -> bool + Send + 'static,
) -> Result<Draft, DraftError> {
    let place = Path::new(TMPFS).join(format!("shuyu-draft-{}", hex::encode(house.entropy.bytes::<8>())));
    std::fs::create_dir(&place)?;
    let scratch = Scratch(place);
    let zip = scratch.0.join("bundle.zip");
    let staging = scratch.0.join("bundle");
    std::fs::create_dir(&staging)?;
    std::fs::create_dir(scratch.0.join("packed"))?;
    house.objects.get_to_file(&key(user)?, &zip).await?;
    let read = tokio::task::spawn_blocking(move || {
        let images = ImageTable { knows: &knows, setting: "SHUYU_IMAGES" };
        bundle::read_with_images(&zip, &staging, &Limits::default(), Some(images))
    });
    let (bundle, report) = read.await.map_err(std::io::Error::other)??;
    Ok(Draft { bundle, report, scratch })
}

/// Takes a draft in under a slug, over the competition that the organizer was found to manage or
/// (`None`) as a new one, and forgets it. `digest` is that of the bundle whose changes they were shown.
///
/// # Errors
/// [`DraftError::Other`] when the draft is another one by now, or has errors; [`ImportError`].
pub async fn apply(
    house: &House,
    user: UserId,
    target: (&str, Option<CompetitionId>),
    digest: &str,
) -> Result<Imported, DraftError> {
    let draft = open(house, user, |_| true).await?;
    let bundle = draft.bundle.as_ref().filter(|bundle| bundle.digest == digest).ok_or(DraftError::Other)?;
    let imported = import::import_over(house, bundle, target, user, &draft.scratch.0.join("packed")).await?;
    house.objects.delete(&key(user)?).await?;
    Ok(imported)
}
