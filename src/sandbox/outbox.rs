//! What lies in a participant's outbox, seen from the host while the sandbox may be running.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, OFlags, fstat, statat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::SandboxError;
use super::collect::shown;
use super::home::OUTBOX;
use super::home_error::HomeError;
use super::snapshot::{failed, open};

/// How much of an outbox is looked at, and how much of it can be handed in.
#[derive(Clone, Debug)]
pub struct OutboxLimits {
    /// Files and directories that are looked at; what comes after them is not listed.
    pub entries: usize,
    /// Directories inside one another; 1 for files at the top only.
    pub depth: usize,
    /// Bytes that can be handed in together.
    pub bytes: u64,
}

impl Default for OutboxLimits {
    /// 1,000 entries, 8 deep, 256 MiB.
    fn default() -> Self {
        Self { entries: 1_000, depth: 8, bytes: 256 << 20 }
    }
}

/// A regular file of the outbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxFile {
    /// Its path in the outbox, in UTF-8. The participant chose it: escape it wherever it is shown.
    pub path: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// When it was last written, in milliseconds since 1970; the participant can set it to anything.
    pub modified: i64,
    /// Whether it, and all files before it in the list, keep within the limit of bytes.
    pub fits: bool,
}

/// What lies in an outbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutboxListing {
    /// Regular files, sorted by path.
    pub files: Vec<OutboxFile>,
    /// Their bytes together.
    pub bytes: u64,
    /// What cannot be handed in: links, FIFOs, sockets, names that are not UTF-8, what lies too deep.
    pub left_out: usize,
    /// Whether there is more than was looked at.
    pub truncated: bool,
}

/// Lists the outbox of the home at `root`; one that is not there, or no directory, is empty.
pub(super) fn list(root: BorrowedFd<'_>, limits: &OutboxLimits) -> Result<OutboxListing, SandboxError> {
    let mut listing = OutboxListing::default();
    let mut entries = 0;
    let mut pending = vec![(PathBuf::new(), 1)];
    while let Some((relative, depth)) = pending.pop() {
        let path = Path::new(OUTBOX).join(&relative);
        let directory = match open(root, &path, OFlags::DIRECTORY) {
            Ok(directory) => directory,
            // Gone or swapped meanwhile: it is the participant's to do so.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => continue,
            Err(error) => return Err(failed(&path, error)),
        };
        for entry in Dir::read_from(&directory).map_err(|error| failed(&path, error))? {
            let entry = entry.map_err(|error| failed(&path, error))?;
            if matches!(entry.file_name().to_bytes(), b"." | b"..") {
                continue;
            }
            entries += 1;
            if entries > limits.entries {
                listing.truncated = true;
                pending.clear();
                break;
            }
            let Ok(name) = entry.file_name().to_str() else {
                listing.left_out += 1;
                continue;
            };
            let Ok(stat) = statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile => listing.files.push(OutboxFile {
                    path: relative.join(name).to_string_lossy().into_owned(),
                    bytes: u64::try_from(stat.st_size).unwrap_or(0),
                    modified: stat.st_mtime.saturating_mul(1000),
                    fits: false,
                }),
                FileType::Directory if depth < limits.depth => pending.push((relative.join(name), depth + 1)),
                _ => listing.left_out += 1,
            }
        }
    }
    listing.files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    for file in &mut listing.files {
        listing.bytes = listing.bytes.saturating_add(file.bytes);
        file.fits = listing.bytes <= limits.bytes;
    }
    Ok(listing)
}

/// Opens a regular file of the outbox.
pub(super) fn open_file(root: BorrowedFd<'_>, path: &Path) -> Result<File, SandboxError> {
    let none = || SandboxError::from(HomeError::NoFile { path: shown(path) });
    if !path.components().all(|component| matches!(component, Component::Normal(_))) {
        return Err(none());
    }
    // A FIFO is opened without waiting for its other end, and refused by what it is.
    let path = Path::new(OUTBOX).join(path);
    let file = open(root, &path, OFlags::empty()).map_err(|_| none())?;
    match fstat(file.as_fd()) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => Ok(File::from(file)),
        _ => Err(none()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;
    use std::os::unix::fs::symlink;

    use rustix::fs::{Mode, mknodat};

    use super::*;

    #[test]
    fn only_regular_files_are_listed_and_opened() {
        let home = tempfile::tempdir().expect("a folder");
        let root = File::open(home.path()).expect("opened");
        assert_eq!(list(root.as_fd(), &OutboxLimits::default()).expect("none"), OutboxListing::default());

        let outbox = home.path().join(OUTBOX);
        fs::create_dir_all(outbox.join("deep/deeper")).expect("folders");
        fs::write(home.path().join("private"), "private").expect("a file");
        for (name, content) in
            [("b.csv", "bb"), ("a.csv", "a"), ("deep/c.csv", "ccc"), ("deep/deeper/d.csv", "d")]
        {
            fs::write(outbox.join(name), content).expect("a file");
        }
        symlink("../private", outbox.join("link")).expect("a link");
        symlink("..", outbox.join("up")).expect("a link");
        mknodat(File::open(&outbox).expect("opened"), "fifo", FileType::Fifo, Mode::RUSR, 0).expect("a FIFO");

        let limits = OutboxLimits { entries: 100, depth: 2, bytes: 3 };
        let listing = list(root.as_fd(), &limits).expect("listed");
        let told: Vec<_> = listing.files.iter().map(|file| (&*file.path, file.bytes, file.fits)).collect();
        assert_eq!(told, [("a.csv", 1, true), ("b.csv", 2, true), ("deep/c.csv", 3, false)]);
        assert_eq!((listing.bytes, listing.left_out, listing.truncated), (6, 4, false));
        assert!(list(root.as_fd(), &OutboxLimits { entries: 3, ..limits }).expect("listed").truncated);

        let mut content = String::new();
        let mut file = open_file(root.as_fd(), Path::new("deep/c.csv")).expect("a file");
        file.read_to_string(&mut content).expect("read");
        assert_eq!(content, "ccc");
        for path in ["link", "up/private", "../private", "fifo", "deep", "/etc/passwd", "absent", ""] {
            assert!(open_file(root.as_fd(), Path::new(path)).is_err(), "{path}");
        }
        fs::remove_dir_all(&outbox).expect("gone");
        symlink("/", &outbox).expect("a link in its place");
        assert_eq!(list(root.as_fd(), &limits).expect("listed"), OutboxListing::default());
    }
}
