//! The checked copy: takes what an untrusted program left in a directory and trusts nothing of it.
//!
//! Every name is opened from its directory's descriptor with `openat2` under `RESOLVE_BENEATH |
//! NO_SYMLINKS | NO_MAGICLINKS | NO_XDEV` and `O_NONBLOCK` (a FIFO must not hold us), looked at by
//! `fstat` on the descriptor, and only then read; so there is no moment between check and use. The
//! container has stopped before, so nothing moves meanwhile; were it otherwise, the caps still hold.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Dir, FileType, Mode, OFlags, ResolveFlags, fstat, openat2};

use super::SandboxError;

/// What a program may leave behind.
#[derive(Clone, Debug)]
pub struct CollectLimits {
    /// Regular files and directories together.
    pub entries: usize,
    /// Directories inside one another; 1 allows files at the top only.
    pub depth: usize,
    /// The sum of the files' lengths (`st_size`: a sparse file counts whole, a hard link each time).
    pub bytes: u64,
}

impl Default for CollectLimits {
    /// 10,000 entries, 16 deep, 256 MiB.
    fn default() -> Self {
        Self { entries: 10_000, depth: 16, bytes: 256 << 20 }
    }
}

/// What was copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Regular files.
    pub files: usize,
    /// The sum of their lengths.
    pub bytes: u64,
}

/// Why a program's output is refused: its own doing. Paths are relative to the output directory,
/// with everything but plain characters escaped, and cut at 200 characters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutputRefused {
    /// Neither a regular file nor a directory.
    #[error("the output has a {kind} at {path}; write regular files only")]
    Kind {
        /// Where.
        path: String,
        /// "symbolic link", "FIFO", "socket", "device".
        kind: &'static str,
    },
    /// A name that is not UTF-8, or a path longer than 1024 bytes.
    #[error("the output has a path that is not UTF-8 or longer than 1024 bytes at {path}")]
    Name {
        /// Where.
        path: String,
    },
    /// More files and directories than allowed.
    #[error("the output has more than {limit} files and directories")]
    Entries {
        /// The cap.
        limit: usize,
    },
    /// Directories nested deeper than allowed.
    #[error("the output has directories nested deeper than {limit} at {path}")]
    Depth {
        /// The first directory too deep.
        path: String,
        /// The cap.
        limit: usize,
    },
    /// Longer than allowed altogether.
    #[error("the output is longer than {limit} bytes (at {path})")]
    Bytes {
        /// The file that passed the cap.
        path: String,
        /// The cap.
        limit: u64,
    },
    /// Its own program made it unreadable, or it changed while being read.
    #[error("the output cannot be read at {path}: {cause}")]
    Unreadable {
        /// Where.
        path: String,
        /// What the operating system said.
        cause: String,
    },
}

/// Bytes of a path relative to the output directory: well below what any file system here takes.
const LONGEST_PATH: usize = 1024;

/// Copies the tree below `root` into the existing directory `destination`.
pub(super) fn copy_tree(
    root: BorrowedFd<'_>,
    destination: &Path,
    limits: &CollectLimits,
) -> Result<Collected, SandboxError> {
    let mut copy = Copy { root, destination, limits, entries: 0, done: Collected::default() };
    // Paths, not descriptors: a wide tree must not use them all up.
    let mut pending = vec![(PathBuf::new(), 1)];
    while let Some((relative, depth)) = pending.pop() {
        copy.directory(&relative, depth, &mut pending)?;
    }
    Ok(copy.done)
}

struct Copy<'a> {
    root: BorrowedFd<'a>,
    destination: &'a Path,
    limits: &'a CollectLimits,
    entries: usize,
    done: Collected,
}

impl Copy<'_> {
    fn directory(
        &mut self,
        relative: &Path,
        depth: usize,
        pending: &mut Vec<(PathBuf, usize)>,
    ) -> Result<(), SandboxError> {
        let name = if relative.as_os_str().is_empty() { Path::new(".") } else { relative };
        let directory =
            open(self.root, name, OFlags::DIRECTORY).map_err(|error| unreadable(relative, error))?;
        let entries = Dir::read_from(&directory).map_err(|error| unreadable(relative, error))?;
        for entry in entries {
            let entry = entry.map_err(|error| unreadable(relative, error))?;
            if matches!(entry.file_name().to_bytes(), b"." | b"..") {
                continue;
            }
            self.entries += 1;
            if self.entries > self.limits.entries {
                return Err(OutputRefused::Entries { limit: self.limits.entries }.into());
            }
            let path = relative.join(&*entry.file_name().to_string_lossy());
            let name = match entry.file_name().to_str() {
                Ok(name) if path.as_os_str().len() <= LONGEST_PATH => name,
                _ => return Err(OutputRefused::Name { path: shown(&path) }.into()),
            };
            let file = open(directory.as_fd(), Path::new(name), OFlags::empty())
                .map_err(|error| refused_open(&path, entry.file_type(), error))?;
            let stat = fstat(&file).map_err(|error| unreadable(&path, error))?;
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile => {
                    let length = u64::try_from(stat.st_size).unwrap_or(u64::MAX);
                    self.file(&path, File::from(file), length)?;
                }
                FileType::Directory if depth < self.limits.depth => {
                    make_directory(&self.destination.join(&path))?;
                    pending.push((path, depth + 1));
                }
                FileType::Directory => {
                    return Err(OutputRefused::Depth { path: shown(&path), limit: self.limits.depth }.into());
                }
                other => return Err(OutputRefused::Kind { path: shown(&path), kind: kind(other) }.into()),
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, from: File, length: u64) -> Result<(), SandboxError> {
        let too_long = || OutputRefused::Bytes { path: shown(path), limit: self.limits.bytes };
        let room = self.limits.bytes - self.done.bytes;
        if length > room {
            return Err(too_long().into());
        }
        let target = self.destination.join(path);
        let host = |error: io::Error| SandboxError::host("write", &target, error);
        let mut to = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o644)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(&target)
            .map_err(host)?;
        let mut from = from.take(length + 1);
        let mut buffer = vec![0; 128 << 10];
        let mut copied = 0u64;
        loop {
            let read = from.read(&mut buffer).map_err(|error| unreadable(path, error))?;
            if read == 0 {
                break;
            }
            copied += read as u64;
            if copied > length {
                return Err(unreadable(path, io::Error::other("it grows while being read")));
            }
            to.write_all(&buffer[..read]).map_err(host)?;
        }
        self.done.files += 1;
        self.done.bytes += copied;
        Ok(())
    }
}

fn open(directory: BorrowedFd<'_>, name: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    openat2(
        directory,
        name,
        flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::BENEATH
            | ResolveFlags::NO_SYMLINKS
            | ResolveFlags::NO_MAGICLINKS
            | ResolveFlags::NO_XDEV,
    )
}

/// Links and sockets cannot be opened at all: the error is told from what the directory says they are.
fn refused_open(path: &Path, listed: FileType, error: rustix::io::Errno) -> SandboxError {
    match (error, listed) {
        (rustix::io::Errno::LOOP, _) => {
            OutputRefused::Kind { path: shown(path), kind: "symbolic link" }.into()
        }
        (_, FileType::RegularFile | FileType::Directory | FileType::Unknown) => unreadable(path, error),
        (_, other) => OutputRefused::Kind { path: shown(path), kind: kind(other) }.into(),
    }
}

fn kind(file_type: FileType) -> &'static str {
    match file_type {
        FileType::Symlink => "symbolic link",
        FileType::Fifo => "FIFO",
        FileType::Socket => "socket",
        _ => "device",
    }
}

fn make_directory(path: &Path) -> Result<(), SandboxError> {
    fs::create_dir(path).map_err(|error| SandboxError::host("create", path, error))
}

fn unreadable(path: &Path, error: impl Into<io::Error>) -> SandboxError {
    OutputRefused::Unreadable { path: shown(path), cause: error.into().to_string() }.into()
}

/// A path of the program's making, fit for a message.
pub(super) fn shown(path: &Path) -> String {
    let text: String = path.to_string_lossy().chars().flat_map(escaped).take(200).collect();
    if text.is_empty() { ".".to_owned() } else { text }
}

fn escaped(character: char) -> impl Iterator<Item = char> {
    let plain = character.is_alphanumeric() || " ._-/()[]{}@+=,~#%:".contains(character);
    let escape = (!plain).then(|| character.escape_unicode());
    plain.then_some(character).into_iter().chain(escape.into_iter().flatten())
}
