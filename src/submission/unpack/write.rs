//! Creates files and directories below one directory handle, never following a link.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, fchmod, mkdirat, openat};
use rustix::io::Errno;

use super::{UnpackError, shown};

/// Writes below a directory that was opened once.
pub(super) struct Writer {
    root: OwnedFd,
    /// The directory of the last file: entries of one directory mostly stand together.
    last: Option<(String, OwnedFd)>,
}

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

impl Writer {
    /// Opens the directory that is to receive the files.
    pub(super) fn open(dest: &Path) -> Result<Self, UnpackError> {
        let root = openat(CWD, dest, DIRECTORY, Mode::empty()).map_err(|errno| UnpackError::Io {
            entry: "the directory to unpack into".into(),
            source: errno.into(),
        })?;
        Ok(Self { root, last: None })
    }

    /// Makes a directory and those above it; one that is there already is fine.
    pub(super) fn directory(&mut self, path: &str) -> Result<(), UnpackError> {
        if self.last.as_ref().is_none_or(|(known, _)| known != path) {
            let directory = self.descend(path)?;
            self.last = Some((path.to_owned(), directory));
        }
        Ok(())
    }

    /// Creates a file that is not there yet.
    pub(super) fn file(&mut self, path: &str) -> Result<File, UnpackError> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        if !parent.is_empty() {
            self.directory(parent)?;
        }
        let directory = match &self.last {
            Some((known, directory)) if known == parent => directory,
            _ => &self.root,
        };
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(directory, name, flags, Mode::from(0o644)).map_err(|errno| refused(path, errno))?;
        fchmod(&file, Mode::from(0o644)).map_err(|errno| refused(path, errno))?;
        Ok(File::from(file))
    }

    fn descend(&self, path: &str) -> Result<OwnedFd, UnpackError> {
        let mut here: Option<OwnedFd> = None;
        for part in path.split('/') {
            let above = here.as_ref().unwrap_or(&self.root).as_fd();
            let next = match openat(above, part, DIRECTORY, Mode::empty()) {
                Err(Errno::NOENT) => {
                    mkdirat(above, part, Mode::from(0o755)).map_err(|errno| refused(path, errno))?;
                    let made = openat(above, part, DIRECTORY, Mode::empty())
                        .map_err(|errno| refused(path, errno))?;
                    fchmod(&made, Mode::from(0o755)).map_err(|errno| refused(path, errno))?;
                    made
                }
                other => other.map_err(|errno| refused(path, errno))?,
            };
            here = Some(next);
        }
        here.ok_or_else(|| refused(path, Errno::INVAL))
    }
}

fn refused(path: &str, errno: Errno) -> UnpackError {
    let entry = shown(path.as_bytes());
    match errno {
        // A file where the archive wants a directory, or the other way round.
        Errno::EXIST | Errno::NOTDIR | Errno::ISDIR => UnpackError::Duplicate { entry },
        other => UnpackError::Io { entry, source: io::Error::from(other) },
    }
}
