//! What can go wrong with an object.

use std::error::Error;
use std::io;

use super::key::ObjectKey;
use crate::crypto::SealError;

/// What can go wrong between us and the object store.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// The store's directory or settings cannot be used.
    #[error("the object store at {place} cannot be used: {problem}. Check --data-dir, or the S3 settings")]
    Place {
        /// The directory or endpoint.
        place: String,
        /// What is wrong.
        problem: String,
    },
    /// A text that names no object.
    #[error("{key:?} is no object key: {problem}")]
    Key {
        /// The text, shortened.
        key: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// There is no such object.
    #[error("the object {object} is not in the store. Restore it from a backup")]
    Missing {
        /// The object's key.
        object: String,
    },
    /// The content is larger than allowed. Nothing was kept.
    #[error("{object} is larger than the {cap} bytes allowed here. Send a smaller file, or raise the limit")]
    TooLarge {
        /// The object's key.
        object: String,
        /// The limit in bytes.
        cap: u64,
    },
    /// The stream to be stored broke off. Nothing was kept.
    #[error("the content of {object} broke off while it was received: {source}. Send it again")]
    Source {
        /// The object's key.
        object: String,
        /// What the stream answered.
        source: io::Error,
    },
    /// The disk or the quota of the store is full. Nothing was kept.
    #[error("there is no space left for {object}. Free space on the object store's disk, then try again")]
    Full {
        /// The object's key.
        object: String,
    },
    /// A sealed object was asked for where only plain ones may go.
    #[error("{object} is sealed: it is opened on a tmpfs of the run that needs it, or by the airlock")]
    Sealed {
        /// The object's key.
        object: String,
    },
    /// A sealed object would be opened onto a disk.
    #[error(
        "{object} is opened on a tmpfs alone, and {destination} is not on one. \
         Mount a tmpfs there, or set the staging directory to one"
    )]
    NotOnTmpfs {
        /// The object's key.
        object: String,
        /// The directory that was asked for.
        destination: String,
    },
    /// The file an object was to be copied to or from cannot be used.
    #[error("the file {file} cannot be used for {object}: {source}")]
    File {
        /// The object's key.
        object: String,
        /// The file.
        file: String,
        /// The operating system's answer.
        source: io::Error,
    },
    /// A sealed object does not open.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The store failed.
    #[error("the object store failed at {object}: {source}. Check that it runs and lets this service in")]
    Store {
        /// The object's key, or what was asked.
        object: String,
        /// The store's answer.
        source: Box<object_store::Error>,
    },
}

impl ObjectError {
    /// The store's error on an object, told apart by what can be done about it.
    pub(super) fn of(key: &ObjectKey, source: object_store::Error) -> Self {
        let object = key.to_string();
        if matches!(source, object_store::Error::NotFound { .. }) {
            Self::Missing { object }
        } else if is_full(&source) {
            Self::Full { object }
        } else {
            Self::Store { object, source: Box::new(source) }
        }
    }

    /// An error of the file beside the store, told apart likewise.
    pub(super) fn of_file(key: &ObjectKey, file: &std::path::Path, source: io::Error) -> Self {
        if is_full(&source) {
            Self::Full { object: key.to_string() }
        } else {
            Self::File { object: key.to_string(), file: file.display().to_string(), source }
        }
    }

    /// A panic or a shutdown in the middle of blocking work.
    pub(super) fn cut_short(key: &ObjectKey, source: tokio::task::JoinError) -> Self {
        Self::Store { object: key.to_string(), source: Box::new(object_store::Error::from(source)) }
    }
}

/// Whether a disk or quota is full, anywhere down the chain of causes.
fn is_full(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        if matches!(kind, Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)) {
            return true;
        }
        cause = error.source();
    }
    false
}
