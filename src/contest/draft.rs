//! A bundle that an organizer uploaded and has not taken in yet: kept sealed, opened on a tmpfs alone,
//! since it holds the hidden data. Each organizer has one at a time.

use tokio::io::AsyncRead;

use super::bundle::{self, Bundle, BundleError, ImageTable, Limits, Report};
use super::import::{self, ImportError, Imported};
use super::scratch::Scratch;
use crate::house::House;
use crate::ids::{CompetitionId, UserId};
use crate::store::{ObjectError, ObjectKey};

/// Why a draft cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum DraftError {
    /// A directory on the tmpfs cannot be made.
    #[error("a directory on the tmpfs /dev/shm cannot be made: {0}")]
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
    open_at(house, &key(user)?, knows).await
}

async fn open_at(
    house: &House,
    key: &ObjectKey,
    knows: impl Fn(&str) -> bool + Send + 'static,
) -> Result<Draft, DraftError> {
    let scratch = Scratch::new(house.entropy, "draft")?;
    let zip = scratch.path().join("bundle.zip");
    let staging = scratch.path().join("bundle");
    std::fs::create_dir(&staging)?;
    std::fs::create_dir(scratch.path().join("packed"))?;
    house.objects.get_to_file(key, &zip).await?;
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
    let imported =
        import::import_over(house, bundle, target, user, &draft.scratch.path().join("packed")).await?;
    house.objects.delete(&key(user)?).await?;
    Ok(imported)
}

/// A bundle that a program sent to be taken in at once: kept sealed like a draft, under a key of its
/// own, so that it is no page's draft.
#[derive(Debug)]
pub struct Sent(ObjectKey);

/// Keeps a sent bundle, `cap` bytes at most.
///
/// # Errors
/// When it breaks off or is too large; nothing is kept then.
pub async fn receive(
    house: &House,
    user: UserId,
    content: impl AsyncRead + Send + Unpin,
    cap: u64,
) -> Result<Sent, ObjectError> {
    let key = ObjectKey::hidden(format!("drafts/{user}-{}", hex::encode(house.entropy.bytes::<8>())))?;
    house.objects.put_stream(&key, content, cap).await?;
    Ok(Sent(key))
}

/// Reads a sent bundle and takes it in, under a slug and over the competition that was found to be the
/// sender's (`None`: as a new one), unless it has errors, which are in the report. It is forgotten
/// either way, and so it is when whoever sent it hangs up.
///
/// # Errors
/// [`DraftError`], when it cannot be read at all or not be taken in.
pub async fn take(
    house: &House,
    sent: Sent,
    user: UserId,
    (slug, expected): (&str, Option<CompetitionId>),
    knows: impl Fn(&str) -> bool + Send + 'static,
) -> Result<(Report, Option<Imported>), DraftError> {
    let (house, slug) = (house.clone(), slug.to_owned());
    let task = tokio::spawn(async move {
        let taken = read_and_take(&house, &sent.0, user, (&slug, expected), knows).await;
        house.objects.delete(&sent.0).await?;
        taken
    });
    task.await.map_err(std::io::Error::other)?
}

async fn read_and_take(
    house: &House,
    key: &ObjectKey,
    user: UserId,
    target: (&str, Option<CompetitionId>),
    knows: impl Fn(&str) -> bool + Send + 'static,
) -> Result<(Report, Option<Imported>), DraftError> {
    let draft = open_at(house, key, knows).await?;
    let Some(bundle) = &draft.bundle else { return Ok((draft.report, None)) };
    let packed = draft.scratch.path().join("packed");
    let imported = import::import_over(house, bundle, target, user, &packed).await?;
    Ok((draft.report, Some(imported)))
}
