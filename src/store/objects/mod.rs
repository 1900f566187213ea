//! Objects: the files the service keeps, in a local directory or an S3-compatible store.
//!
//! Central types: [`Objects`] (puts, gets and lists, always streaming) and [`ObjectKey`], which says
//! where an object lies and of which [`Class`] it is. An object of class `Hidden` is sealed on its way
//! in; what comes out of it goes to a file on a tmpfs or into a [`Hidden`](crate::airlock::Hidden),
//! never into a page. May call `crypto`; knows no database and no domain.

mod error;
mod key;
mod open;
mod place;
mod upload;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use object_store::path::Path as StorePath;
use object_store::{ObjectStore, ObjectStoreExt as _};

use crate::crypto::{Sealer, Sm3Digest};

pub use error::ObjectError;
pub use key::{Class, ObjectKey};
pub use open::ObjectReader;
pub use place::{ObjectPlace, S3Settings};

/// What was stored, or taken out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Where.
    pub key: ObjectKey,
    /// Length of the content in bytes, before sealing.
    pub size: u64,
    /// Digest of the content, before sealing.
    pub sm3: Sm3Digest,
}

/// An object in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Where.
    pub key: ObjectKey,
    /// Length in bytes as stored: a sealed object's is larger than its content's.
    pub stored_size: u64,
}

/// The object store. Cheap to clone.
#[derive(Clone)]
pub struct Objects {
    store: Arc<dyn ObjectStore>,
    /// The directory, when the store is local: for making writes survive a power cut.
    directory: Option<PathBuf>,
    sealer: Sealer,
}

impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Objects({})", self.store)
    }
}

impl Objects {
    /// Opens the store at `place`; a local directory is made when absent (mode 0700). An S3 store is
    /// not contacted yet: see [`Objects::check`].
    ///
    /// # Errors
    /// [`ObjectError::Place`] when the directory cannot be made or the settings do not fit together.
    pub fn open(place: &ObjectPlace, sealer: Sealer) -> Result<Self, ObjectError> {
        let (store, directory) = place.open()?;
        Ok(Self { store, directory, sealer })
    }

    /// The sealer in use.
    pub fn sealer(&self) -> &Sealer {
        &self.sealer
    }

    /// Asks the store for one object that is not there, to see that it answers and lets us in.
    ///
    /// # Errors
    /// [`ObjectError::Store`] when it does not.
    pub async fn check(&self) -> Result<(), ObjectError> {
        if let Some(directory) = &self.directory {
            let found = tokio::fs::metadata(directory).await;
            return found.map(|_| ()).map_err(|source| ObjectError::Place {
                place: directory.display().to_string(),
                problem: source.to_string(),
            });
        }
        let probe = ObjectKey::plain("service/check")?;
        self.exists(&probe).await.map(|_| ())
    }

    /// Whether there is an object at `key`.
    ///
    /// # Errors
    /// [`ObjectError::Store`] when the store does not answer.
    pub async fn exists(&self, key: &ObjectKey) -> Result<bool, ObjectError> {
        match self.store.head(&path_of(key)).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(source) => Err(ObjectError::of(key, source)),
        }
    }

    /// Removes the object, if it is there.
    ///
    /// # Errors
    /// [`ObjectError::Store`] when the store does not answer.
    pub async fn delete(&self, key: &ObjectKey) -> Result<(), ObjectError> {
        match self.store.delete(&path_of(key)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(ObjectError::of(key, source)),
        }
    }

    /// Every object below a folder (`submissions`, `hidden`, `competitions/ID`), or all for `""`, in
    /// no particular order. Files that are none of ours are passed over.
    pub fn list(&self, folder: &str) -> BoxStream<'static, Result<Listed, ObjectError>> {
        let prefix = (!folder.is_empty()).then(|| StorePath::from(folder));
        self.store
            .list(prefix.as_ref())
            .map_err(|source| ObjectError::Store {
                object: "the listing".to_owned(),
                source: Box::new(source),
            })
            .try_filter_map(|meta| async move {
                let key = meta.location.as_ref().parse();
                Ok(key.ok().map(|key| Listed { key, stored_size: meta.size }))
            })
            .boxed()
    }

    /// Removes what uploads left in a local directory when their process was killed: staged files not
    /// written to since `before`, such as a day ago. Gives their number. An S3 store does this by a lifecycle
    /// rule of its own (`AbortIncompleteMultipartUpload`).
    ///
    /// # Errors
    /// [`ObjectError::Place`] when the directory cannot be read.
    pub async fn sweep_unfinished(&self, before: Timestamp) -> Result<usize, ObjectError> {
        let Some(directory) = self.directory.clone() else { return Ok(0) };
        let place = directory.display().to_string();
        tokio::task::spawn_blocking(move || place::sweep(&directory, before))
            .await
            .map_err(std::io::Error::other)
            .and_then(|swept| swept)
            .map_err(|source| ObjectError::Place { place, problem: source.to_string() })
    }

    fn local_file(&self, key: &ObjectKey) -> Option<PathBuf> {
        self.directory.as_deref().map(|directory: &Path| directory.join(key.as_str()))
    }
}

fn path_of(key: &ObjectKey) -> StorePath {
    StorePath::from(key.as_str())
}
