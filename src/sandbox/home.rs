//! A participant's home: a file system of its own, with a hard limit in bytes and files, that is kept
//! when the container that had it mounted is gone.
//!
//! [`super::Homes::attach`] makes a [`Home`] or mounts the one that was kept, [`Home::detach`] puts it away.
//! Its content is untrusted: it is read through [`Home::snapshot`], [`Home::outbox`] and [`Home::open_in_outbox`] alone, and
//! written through [`Home::restore`] and [`Home::put`], which follow no links and wait for nobody.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, Uid, chownat, mkdirat, openat};
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};
use serde::{Deserialize, Serialize};

use super::home_error::HomeError;
use super::outbox::{self, OutboxLimits, OutboxListing};
use super::profile::SANDBOX_UID;
use super::snapshot::{self, Snapshot, SnapshotLimits};
use super::tmpfs::unmount_and_remove;
use super::{SandboxError, furnish, image, mounts, restore};

/// Where a sandbox sees its home.
pub const HOME_PATH: &str = "/home/participant";
/// The folder of the home in which a participant puts what they want to hand in or take out.
///
/// It is a folder of the home, not a file system of its own: what lies in it is kept when the sandbox
/// stops, counts against the same quota, and takes no memory. It has no limit of the kernel's; the
/// limit holds where it matters, in [`Home::outbox`], which says what of it can be handed in.
pub const OUTBOX: &str = "outbox";

/// How long a file system may be busy after its container has stopped.
const BUSY: Duration = Duration::from_secs(5);
const BUSY_STEP: Duration = Duration::from_millis(20);

/// What a home is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HomeKind {
    /// An ext4 image file on the disk, mounted through a loop device. It survives a crash.
    Image,
    /// A tmpfs, written to a tar file when it is detached. What was written since is lost in a crash,
    /// and its bytes count as memory of the sandbox.
    Memory,
}

impl HomeKind {
    /// The name used in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Memory => "memory",
        }
    }
}

/// What fits in a home.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HomeQuota {
    /// Bytes of the file system. Of an image, 16 MiB of them are its journal (4 MiB below 256 MiB), and 256
    /// bytes are set aside for each file that may be made; at least 16 MiB are needed.
    pub bytes: u64,
    /// Files, directories and links that may be made, at least.
    pub inodes: u64,
}

/// What a home holds, and what fits in it altogether.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HomeUsage {
    /// Bytes that fit.
    pub bytes: u64,
    /// Bytes in use, whole blocks.
    pub bytes_used: u64,
    /// Files, directories and links that fit.
    pub inodes: u64,
    /// Those there are.
    pub inodes_used: u64,
}

/// A home that is mounted. Dropping this leaves it mounted: it outlives the service.
#[derive(Clone, Debug)]
pub struct Home {
    pub(super) kind: HomeKind,
    /// With its extension.
    pub(super) file: PathBuf,
    pub(super) point: PathBuf,
}

impl Home {
    /// What it is made of.
    pub fn kind(&self) -> HomeKind {
        self.kind
    }

    pub(super) fn point(&self) -> &Path {
        &self.point
    }

    /// How full it is. Cheap: it asks the file system for its counters.
    ///
    /// # Errors
    /// [`HomeError::NotAttached`].
    pub fn usage(&self) -> Result<HomeUsage, SandboxError> {
        let root = self.root()?;
        let found = rustix::fs::fstatvfs(&root).map_err(|error| self.host("look at", error))?;
        Ok(HomeUsage {
            bytes: found.f_blocks * found.f_frsize,
            bytes_used: (found.f_blocks - found.f_bfree) * found.f_frsize,
            inodes: found.f_files,
            inodes_used: found.f_files - found.f_ffree,
        })
    }

    /// Writes a tar of it: regular files (sparse ones as such, hard links as such), directories and
    /// symbolic links, which are never followed. FIFOs, sockets, and what lies deeper than a path can
    /// say, are left out and counted. The sandbox must be paused or stopped.
    ///
    /// # Errors
    /// [`HomeError::Entries`], [`HomeError::Bytes`], [`HomeError::Changed`], [`HomeError::Copy`];
    /// what was written until then is no snapshot.
    pub async fn snapshot<W: Write + Send + 'static>(
        &self,
        writer: W,
        limits: SnapshotLimits,
    ) -> Result<(W, Snapshot), SandboxError> {
        self.blocking(move |root| snapshot::write(root, writer, &limits)).await
    }

    /// Fills an empty home from a snapshot. Nothing outside the home can be reached, whatever the
    /// archive says.
    ///
    /// # Errors
    /// [`HomeError::Archive`] where the archive is not a snapshot or does not fit, or something of that name
    /// is there already; what was restored until then stays.
    pub async fn restore<R: Read + Send + 'static>(
        &self,
        reader: R,
        limits: SnapshotLimits,
    ) -> Result<Snapshot, SandboxError> {
        self.blocking(move |root| restore::read(root, reader, &limits)).await
    }

    /// What lies in the [outbox](OUTBOX), sorted by path, while the sandbox runs or not.
    ///
    /// # Errors
    /// [`HomeError::NotAttached`], [`HomeError::Copy`].
    pub async fn outbox(&self, limits: OutboxLimits) -> Result<OutboxListing, SandboxError> {
        self.blocking(move |root| outbox::list(root, &limits)).await
    }

    /// Opens a regular file of the outbox for reading, by a path that [`outbox`](Self::outbox) gave. It
    /// may change while it is read: read no more than a limit, and trust no length. The home cannot
    /// be detached while it is open.
    ///
    /// # Errors
    /// [`HomeError::NoFile`].
    pub async fn open_in_outbox(&self, path: &str) -> Result<File, SandboxError> {
        let path = PathBuf::from(path);
        self.blocking(move |root| outbox::open_file(root, &path)).await
    }

    /// Whether nobody has worked in it yet: it holds its [outbox](OUTBOX) and nothing else, as one does
    /// that was just made or emptied.
    ///
    /// # Errors
    /// [`HomeError::NotAttached`], [`HomeError::Copy`].
    pub async fn is_untouched(&self) -> Result<bool, SandboxError> {
        self.blocking(furnish::is_untouched).await
    }

    /// Puts a file of the sandbox's user at its top, readable to all; false when something of that name
    /// is there already, which stays as it is, whatever it is.
    ///
    /// # Errors
    /// [`HomeError::NotAttached`]; [`HomeError::Copy`] for a name that is a path, and when it cannot be
    /// written: nothing of it is left then.
    pub async fn put(&self, name: &str, content: Vec<u8>) -> Result<bool, SandboxError> {
        let name = name.to_owned();
        self.blocking(move |root| furnish::put(root, &name, &content)).await
    }

    /// Puts it away: one in memory is written to its file first. Its container must have stopped.
    ///
    /// # Errors
    /// [`HomeError::InUse`] while it is in a slot, or when something still has a file of it open after 5 s:
    /// it stays attached. What a snapshot and [`SandboxError::Host`] say: likewise.
    pub async fn detach(&self) -> Result<(), SandboxError> {
        let all = host("read the mounts of", &self.point, mounts::all())?;
        let point = host("find", &self.point, real(&self.point))?;
        let Some(own) = all.iter().rev().find(|mount| Some(&mount.point) == point.as_ref()) else {
            return Ok(());
        };
        // In a slot: unmounted here, it would live on there.
        if let Some(slot) = all.iter().find(|mount| mount.source == own.source && mount.point != own.point) {
            return Err(HomeError::InUse { file: self.file.clone(), by: slot.point.clone() }.into());
        }
        if self.kind == HomeKind::Memory {
            self.save().await?;
        }
        let started = std::time::Instant::now();
        loop {
            match unmount(&self.point, UnmountFlags::NOFOLLOW) {
                Ok(()) => break,
                Err(Errno::BUSY) if started.elapsed() < BUSY => tokio::time::sleep(BUSY_STEP).await,
                Err(Errno::BUSY) => {
                    return Err(HomeError::InUse { file: self.file.clone(), by: self.point.clone() }.into());
                }
                Err(error) => return Err(self.host("unmount", error)),
            }
        }
        host("remove", &self.point, unmount_and_remove(&self.point))
    }

    /// Writes a home in memory to its file, which is replaced only by a whole one. The sandbox must be
    /// paused or stopped. An image needs none of it.
    ///
    /// # Errors
    /// As [`snapshot`](Self::snapshot); [`SandboxError::DiskFull`].
    pub async fn save(&self) -> Result<(), SandboxError> {
        if self.kind == HomeKind::Image {
            return Ok(());
        }
        let part = self.file.with_extension("part");
        let made = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part);
        let (written, _) = self.snapshot(host("create", &part, made)?, self.everything()?).await?;
        host("write", &part, written.sync_all())?;
        host("name", &self.file, fs::rename(&part, &self.file))
    }

    pub(super) async fn restore_file(&self, archive: &Path) -> Result<(), SandboxError> {
        let archive = host("open", archive, File::open(archive))?;
        self.restore(archive, self.everything()?).await.map(drop)
    }

    /// Limits that hold whatever fits in it.
    fn everything(&self) -> Result<SnapshotLimits, SandboxError> {
        let usage = self.usage()?;
        Ok(SnapshotLimits {
            entries: usize::try_from(usage.inodes).unwrap_or(usize::MAX),
            bytes: usage.bytes,
        })
    }

    /// Makes the outbox, where there is none.
    pub(super) fn furnish(&self) -> Result<(), SandboxError> {
        let root = self.root()?;
        match mkdirat(&root, OUTBOX, Mode::from_raw_mode(0o755)) {
            Ok(()) => {
                let (user, group) = (Uid::from_raw(SANDBOX_UID), Gid::from_raw(SANDBOX_UID));
                chownat(&root, OUTBOX, Some(user), Some(group), AtFlags::SYMLINK_NOFOLLOW)
                    .map_err(|error| self.host("furnish", error))
            }
            // There already; or full, which the participant must be able to mend from inside.
            Err(Errno::EXIST | Errno::NOSPC) => Ok(()),
            Err(error) => Err(self.host("furnish", error)),
        }
    }

    /// The root of the file system itself, and never of what it should be mounted on.
    fn root(&self) -> Result<OwnedFd, SandboxError> {
        if host("read the mounts of", &self.point, mounts::at(&self.point))?.is_none() {
            return Err(HomeError::NotAttached { path: self.point.clone() }.into());
        }
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(CWD, &self.point, flags, Mode::empty()).map_err(|error| self.host("open", error))
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(BorrowedFd<'_>) -> Result<T, SandboxError> + Send + 'static,
    ) -> Result<T, SandboxError> {
        let root = self.root()?;
        let done = tokio::task::spawn_blocking(move || work(root.as_fd())).await;
        done.map_err(|error| self.host("read", io::Error::from(error)))?
    }

    fn host(&self, action: &'static str, error: impl Into<io::Error>) -> SandboxError {
        SandboxError::host(action, &self.point, error)
    }
}

/// The home mounted at this place.
pub(super) fn find_at(point: PathBuf) -> Result<Option<Home>, SandboxError> {
    let Some(mounted) = host("read the mounts of", &point, mounts::at(&point))? else { return Ok(None) };
    let (kind, file) = match mounted.kind.as_str() {
        "tmpfs" => (HomeKind::Memory, Some(mounted.source)),
        _ => (HomeKind::Image, image::file_of(&mounted.source)),
    };
    Ok(file.map(|file| Home { kind, file, point }))
}

pub(super) fn host<T>(action: &'static str, path: &Path, result: io::Result<T>) -> Result<T, SandboxError> {
    result.map_err(|error| SandboxError::host(action, path, error))
}

/// The path as the kernel shows it; `None` where there is nothing.
fn real(path: &Path) -> io::Result<Option<PathBuf>> {
    match path.canonicalize() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        path => path.map(Some),
    }
}
