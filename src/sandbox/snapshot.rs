//! A participant's home as a tar. The tree is hostile: every name is opened beneath the home's root with
//! `openat2` and without links, nothing is opened that is not a regular file or a directory, and every
//! count has a limit.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io::{self, BufWriter, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, openat2, readlinkat, statat};
use tar::{Builder, EntryType, Header, HeaderMode};

use super::SandboxError;
use super::collect::shown;
use super::home_error::HomeError;

/// What a snapshot may hold.
#[derive(Clone, Debug)]
pub struct SnapshotLimits {
    /// Files, directories and links together.
    pub entries: usize,
    /// Bytes of files, as they lie on the disk: a sparse file counts what is in it, a hard link once.
    pub bytes: u64,
}

impl Default for SnapshotLimits {
    /// 200,000 entries and 4 GiB.
    fn default() -> Self {
        Self { entries: 200_000, bytes: 4 << 30 }
    }
}

/// What a snapshot holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Regular files, a hard link each time.
    pub files: usize,
    /// Directories.
    pub directories: usize,
    /// Symbolic links.
    pub links: usize,
    /// Bytes of files, as the limit counts them.
    pub bytes: u64,
    /// What was left out: FIFOs, sockets, and what lies too deep.
    pub left_out: usize,
}

/// The longest path that one system call takes, with room for the name.
const LONGEST_PATH: usize = 3500;
/// Room for what a tar says of one file beside its content: long names, and on top a fiftieth of the
/// content for the list of a sparse file's parts.
const HEADERS: u64 = 64 << 10;

/// Writes what lies below `root`, up to `limits`.
pub(super) fn write<W: Write>(
    root: BorrowedFd<'_>,
    writer: W,
    limits: &SnapshotLimits,
) -> Result<(W, Snapshot), SandboxError> {
    let bounded = Bounded { inner: BufWriter::with_capacity(128 << 10, writer), room: 0 };
    let mut walk = Walk {
        root,
        limits,
        tar: Builder::new(bounded),
        done: Snapshot::default(),
        seen: HashMap::new(),
        pending: vec![PathBuf::new()],
    };
    // Paths, not descriptors: a wide tree must not use them all up.
    while let Some(relative) = walk.pending.pop() {
        walk.directory(&relative)?;
    }
    let Walk { mut tar, done, .. } = walk;
    tar.get_mut().room = HEADERS;
    let finished = tar.into_inner().and_then(|bounded| bounded.inner.into_inner().map_err(Into::into));
    Ok((finished.map_err(|error| failed(Path::new(""), error))?, done))
}

/// A writer that takes no more than it was told to expect: a file that grows while it is read must
/// not fill the disk.
struct Bounded<W: Write> {
    inner: BufWriter<W>,
    room: u64,
}

impl<W: Write> Write for Bounded<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left = self.room.checked_sub(bytes.len() as u64);
        self.room = left.ok_or_else(|| io::Error::other("it grows while being read"))?;
        self.inner.write_all(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

struct Walk<'a, W: Write> {
    root: BorrowedFd<'a>,
    limits: &'a SnapshotLimits,
    tar: Builder<Bounded<W>>,
    done: Snapshot,
    /// Files with several names, by inode, under their first name.
    seen: HashMap<u64, PathBuf>,
    pending: Vec<PathBuf>,
}

impl<W: Write> Walk<'_, W> {
    fn directory(&mut self, relative: &Path) -> Result<(), SandboxError> {
        let directory =
            open(self.root, relative, OFlags::DIRECTORY).map_err(|error| failed(relative, error))?;
        let entries = Dir::read_from(&directory).map_err(|error| failed(relative, error))?;
        for entry in entries {
            let entry = entry.map_err(|error| failed(relative, error))?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." || (relative.as_os_str().is_empty() && name == "lost+found") {
                continue;
            }
            if self.done.files + self.done.directories + self.done.links >= self.limits.entries {
                return Err(HomeError::Entries { limit: self.limits.entries }.into());
            }
            let path = relative.join(name);
            if path.as_os_str().len() > LONGEST_PATH {
                self.done.left_out += 1;
                continue;
            }
            self.entry(directory.as_fd(), name, path)?;
        }
        Ok(())
    }

    fn entry(&mut self, directory: BorrowedFd<'_>, name: &OsStr, path: PathBuf) -> Result<(), SandboxError> {
        let stat =
            statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).map_err(|error| failed(&path, error))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                let opened = open(directory, Path::new(name), OFlags::DIRECTORY);
                let opened = File::from(opened.map_err(|error| failed(&path, error))?);
                let metadata = opened.metadata().map_err(|error| failed(&path, error))?;
                self.header_only(&path, &metadata)?;
                self.done.directories += 1;
                self.pending.push(path);
            }
            FileType::Symlink => {
                let target = readlinkat(directory, name, Vec::new()).map_err(|error| failed(&path, error))?;
                let mut header = Header::new_gnu();
                header.set_entry_type(EntryType::Symlink);
                header.set_size(0);
                header.set_mode(0o777);
                header.set_mtime(u64::try_from(stat.st_mtime).unwrap_or(0));
                self.link(&mut header, &path, Path::new(OsStr::from_bytes(target.to_bytes())))?;
                self.done.links += 1;
            }
            FileType::RegularFile => {
                let opened = open(directory, Path::new(name), OFlags::empty());
                self.file(File::from(opened.map_err(|error| failed(&path, error))?), path)?;
            }
            _ => self.done.left_out += 1,
        }
        Ok(())
    }

    fn file(&mut self, mut file: File, path: PathBuf) -> Result<(), SandboxError> {
        let before = file.metadata().map_err(|error| failed(&path, error))?;
        if !before.is_file() {
            return Err(HomeError::Changed { path: shown(&path) }.into());
        }
        if before.nlink() > 1 {
            if let Some(first) = self.seen.get(&before.ino()).cloned() {
                let mut header = Header::new_gnu();
                header.set_metadata_in_mode(&before, HeaderMode::Complete);
                header.set_entry_type(EntryType::Link);
                header.set_size(0);
                self.link(&mut header, &path, &first)?;
                self.done.files += 1;
                return Ok(());
            }
            self.seen.insert(before.ino(), path.clone());
        }
        let bytes = before.len().min(before.blocks().saturating_mul(512));
        if bytes > self.limits.bytes - self.done.bytes {
            return Err(HomeError::Bytes { path: shown(&path), limit: self.limits.bytes }.into());
        }
        self.tar.get_mut().room = HEADERS.saturating_add(bytes).saturating_add(bytes / 50);
        let written = self.tar.append_file(&path, &mut file);
        let after = file.metadata().map_err(|error| failed(&path, error))?;
        if fingerprint(&before) != fingerprint(&after) {
            return Err(HomeError::Changed { path: shown(&path) }.into());
        }
        written.map_err(|error| failed(&path, error))?;
        self.done.files += 1;
        self.done.bytes += bytes;
        Ok(())
    }

    fn header_only(&mut self, path: &Path, metadata: &Metadata) -> Result<(), SandboxError> {
        let mut header = Header::new_gnu();
        header.set_metadata_in_mode(metadata, HeaderMode::Complete);
        header.set_size(0);
        self.tar.get_mut().room = HEADERS;
        self.tar.append_data(&mut header, path, io::empty()).map_err(|error| failed(path, error))
    }

    fn link(&mut self, header: &mut Header, path: &Path, target: &Path) -> Result<(), SandboxError> {
        self.tar.get_mut().room = HEADERS;
        self.tar.append_link(header, path, target).map_err(|error| failed(path, error))
    }
}

/// What differs when a file has been written to.
fn fingerprint(metadata: &Metadata) -> (u64, i64, i64) {
    (metadata.len(), metadata.ctime(), metadata.ctime_nsec())
}

/// How everything of a home is opened.
pub(super) const BENEATH: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_XDEV);

/// Opens something of a home for reading, following nothing and waiting for nobody.
pub(super) fn open(directory: BorrowedFd<'_>, path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let flags =
        flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    openat2(directory, path, flags, Mode::empty(), BENEATH)
}

pub(super) fn failed(path: &Path, error: impl Into<io::Error>) -> SandboxError {
    HomeError::Copy { path: shown(path), cause: error.into().to_string() }.into()
}
