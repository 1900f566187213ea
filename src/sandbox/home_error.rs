//! What can go wrong with a participant's home, and how to mend it.

use std::path::PathBuf;

/// What can go wrong with a home.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// It is mounted, or being mounted, already.
    #[error("the home {} is in use at {}; stop the sandbox that has it first", file.display(), by.display())]
    InUse {
        /// The home's file.
        file: PathBuf,
        /// Where it is mounted.
        by: PathBuf,
    },
    /// A program of the system failed.
    #[error("{program} failed ({said}); it comes with Debian's e2fsprogs and mount, and needs root")]
    Tool {
        /// Which.
        program: &'static str,
        /// What it printed.
        said: String,
    },
    /// The file system in the image cannot be mended without a decision.
    #[error(
        "the file system of the home {} is damaged ({said}); keep a copy of the file and run e2fsck -y on it",
        file.display()
    )]
    Damaged {
        /// The image.
        file: PathBuf,
        /// What e2fsck printed.
        said: String,
    },
    /// It was kept as an image, and this machine mounts none any more.
    #[error("the home {} is an ext4 image, which this machine cannot mount; see what /readyz says of homes", file.display())]
    Kind {
        /// The image.
        file: PathBuf,
    },
    /// The disk on which homes are kept has less room than must stay free.
    #[error("{free} bytes are free where the homes are kept ({}), {reserve} must stay free; make room", path.display())]
    NoRoom {
        /// The directory.
        path: PathBuf,
        /// Bytes free.
        free: u64,
        /// Bytes that must stay free.
        reserve: u64,
    },
    /// Nothing is mounted where it should be.
    #[error("no home is mounted at {}; attach it again", path.display())]
    NotAttached {
        /// Where.
        path: PathBuf,
    },
    /// More files, directories and links than a snapshot takes: the participant's doing.
    #[error("the home has more than {limit} files and folders; remove some and take the snapshot again")]
    Entries {
        /// The cap.
        limit: usize,
    },
    /// More bytes than a snapshot takes: the participant's doing.
    #[error("the home holds more than {limit} bytes (at {path}); remove some and take the snapshot again")]
    Bytes {
        /// The file that passed the cap.
        path: String,
        /// The cap.
        limit: u64,
    },
    /// A file changed while it was copied.
    #[error("the home changed at {path} while the snapshot was taken; pause the sandbox first")]
    Changed {
        /// Which file.
        path: String,
    },
    /// Something cannot be read or written.
    #[error("the home's snapshot failed at {path}: {cause}")]
    Copy {
        /// At which file of the home.
        path: String,
        /// What the operating system said.
        cause: String,
    },
    /// A snapshot to be restored is not one of ours, or does not fit.
    #[error("the snapshot cannot be restored at {path}: {what}")]
    Archive {
        /// At which entry.
        path: String,
        /// What is wrong.
        what: String,
    },
    /// What was asked for in the outbox is not there, or not a regular file.
    #[error("the outbox has no file {path}")]
    NoFile {
        /// As asked for, with everything but plain characters escaped.
        path: String,
    },
}
