//! A participant's home from a tar that [`super::snapshot`] made, which by now may be anybody's: every
//! entry is made beneath the home's root and through no link, as the sandbox's user's, and every count
//! has a limit.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{
    AtFlags, Gid, Mode, OFlags, Timespec, Timestamps, Uid, chownat, fchmod, fchown, futimens, linkat,
    mkdirat, openat2, symlinkat,
};
use rustix::io::Errno;
use tar::{Archive, Entry, EntryType};

use super::SandboxError;
use super::collect::shown;
use super::home_error::HomeError;
use super::profile::SANDBOX_UID;
use super::snapshot::{BENEATH, Snapshot, SnapshotLimits, open};

/// What a file system keeps a hole in units of.
const BLOCK: usize = 4096;

/// Restores an archive of [`super::snapshot::write`] below `root`.
pub(super) fn read<R: Read>(
    root: BorrowedFd<'_>,
    reader: R,
    limits: &SnapshotLimits,
) -> Result<Snapshot, SandboxError> {
    let mut archive = Archive::new(reader);
    let entries = archive.entries().map_err(|error| refused(Path::new(""), error))?;
    let mut done = Snapshot::default();
    for entry in entries {
        let mut entry = entry.map_err(|error| refused(Path::new(""), error))?;
        if done.files + done.directories + done.links >= limits.entries {
            return Err(HomeError::Entries { limit: limits.entries }.into());
        }
        let path = entry.path().map_err(|error| refused(Path::new(""), error))?.into_owned();
        let (parent, name) = split(&path)?;
        let parent = open(root, parent, OFlags::DIRECTORY).map_err(|error| refused(&path, error))?;
        let place = Place { root, parent: parent.as_fd(), name, path: &path };
        match entry.header().entry_type() {
            EntryType::Directory => {
                place.directory(&entry)?;
                done.directories += 1;
            }
            EntryType::Symlink => {
                place.symlink(&entry)?;
                done.links += 1;
            }
            EntryType::Link => {
                place.hard_link(&entry)?;
                done.files += 1;
            }
            EntryType::Regular | EntryType::GNUSparse => {
                done.bytes += place.file(&mut entry, limits.bytes - done.bytes)?;
                done.files += 1;
            }
            other => return Err(wrong(&path, format!("an entry of the kind {other:?} is none of ours"))),
        }
    }
    Ok(done)
}

/// Directory and name of a plain relative path.
fn split(path: &Path) -> Result<(&Path, &OsStr), SandboxError> {
    let plain = path.components().all(|component| matches!(component, Component::Normal(_)));
    match (plain, path.parent(), path.file_name()) {
        (true, Some(parent), Some(name)) => Ok((parent, name)),
        _ => Err(wrong(path, "its path leads elsewhere".to_owned())),
    }
}

/// Where an entry goes.
struct Place<'a> {
    root: BorrowedFd<'a>,
    parent: BorrowedFd<'a>,
    name: &'a OsStr,
    path: &'a Path,
}

impl Place<'_> {
    fn directory<R: Read>(&self, entry: &Entry<'_, R>) -> Result<(), SandboxError> {
        match mkdirat(self.parent, self.name, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(refused(self.path, error)),
        }
        let made = open(self.parent, Path::new(self.name), OFlags::DIRECTORY);
        let made = made.map_err(|error| refused(self.path, error))?;
        self.own(&made, entry)
    }

    fn symlink<R: Read>(&self, entry: &Entry<'_, R>) -> Result<(), SandboxError> {
        let target = self.target(entry)?;
        symlinkat(&target, self.parent, self.name).map_err(|error| refused(self.path, error))?;
        let (user, group) = owner();
        chownat(self.parent, self.name, user, group, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|error| refused(self.path, error))
    }

    fn hard_link<R: Read>(&self, entry: &Entry<'_, R>) -> Result<(), SandboxError> {
        let target = self.target(entry)?;
        let (parent, name) = split(&target)?;
        let parent = open(self.root, parent, OFlags::DIRECTORY).map_err(|error| refused(self.path, error))?;
        linkat(parent, name, self.parent, self.name, AtFlags::empty())
            .map_err(|error| refused(self.path, error))
    }

    /// Writes a file with the holes it had; returns how many bytes it takes.
    fn file<R: Read>(&self, entry: &mut Entry<'_, R>, room: u64) -> Result<u64, SandboxError> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = openat2(self.parent, self.name, flags, Mode::RUSR | Mode::WUSR, BENEATH);
        let mut made = File::from(made.map_err(|error| refused(self.path, error))?);
        let io = |error: io::Error| refused(self.path, error);
        let mut buffer = vec![0; 64 << 10];
        let (mut length, mut written) = (0u64, 0u64);
        loop {
            let read = fill(entry, &mut buffer).map_err(io)?;
            for block in buffer[..read].chunks(BLOCK) {
                length += block.len() as u64;
                if block.iter().all(|&byte| byte == 0) {
                    made.seek(SeekFrom::Start(length)).map_err(io)?;
                    continue;
                }
                written += block.len() as u64;
                if written > room {
                    return Err(wrong(self.path, "it holds more bytes than allowed".to_owned()));
                }
                made.write_all(block).map_err(io)?;
            }
            if read < buffer.len() {
                break;
            }
        }
        made.set_len(length).map_err(io)?;
        self.own(&made, entry)?;
        Ok(written)
    }

    /// Owner, permissions (without set-user-id and its like) and time.
    fn own<R: Read>(&self, made: impl AsFd, entry: &Entry<'_, R>) -> Result<(), SandboxError> {
        let mode = entry.header().mode().map_err(|error| refused(self.path, error))?;
        let seconds = entry.header().mtime().map_err(|error| refused(self.path, error))?;
        let time = Timespec { tv_sec: i64::try_from(seconds).unwrap_or(0), tv_nsec: 0 };
        let (user, group) = owner();
        fchown(&made, user, group)
            .and_then(|()| fchmod(&made, Mode::from_raw_mode(mode & 0o777)))
            .and_then(|()| futimens(&made, &Timestamps { last_access: time, last_modification: time }))
            .map_err(|error| refused(self.path, error))
    }

    fn target<R: Read>(&self, entry: &Entry<'_, R>) -> Result<PathBuf, SandboxError> {
        let target = entry.link_name().map_err(|error| refused(self.path, error))?;
        target.map(Into::into).ok_or_else(|| wrong(self.path, "it links to nothing".to_owned()))
    }
}

fn owner() -> (Option<Uid>, Option<Gid>) {
    (Some(Uid::from_raw(SANDBOX_UID)), Some(Gid::from_raw(SANDBOX_UID)))
}

/// Reads until the buffer is full or nothing is left.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}

fn refused(path: &Path, error: impl Into<io::Error>) -> SandboxError {
    wrong(path, error.into().to_string())
}

fn wrong(path: &Path, what: String) -> SandboxError {
    HomeError::Archive { path: shown(path), what }.into()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{FileExt, MetadataExt, symlink};

    use rustix::fs::FileType;
    use tar::{Builder, Header};

    use super::super::snapshot::write;
    use super::*;

    fn folder() -> (tempfile::TempDir, File) {
        let folder = tempfile::tempdir().expect("a folder");
        let root = File::open(folder.path()).expect("opened");
        (folder, root)
    }

    fn restored(tar: &[u8]) -> (tempfile::TempDir, Result<Snapshot, SandboxError>) {
        let (folder, root) = folder();
        let done = read(root.as_fd(), tar, &SnapshotLimits::default());
        (folder, done)
    }

    #[test]
    fn a_tree_comes_back_as_it_was() {
        let (from, root) = folder();
        let long = "名".repeat(60);
        fs::create_dir_all(from.path().join("a").join(&long).join(&long)).expect("folders");
        fs::write(from.path().join("a").join(&long).join(&long).join("x"), "x").expect("a file");
        fs::write(from.path().join("a/plain"), "plain").expect("a file");
        fs::hard_link(from.path().join("a/plain"), from.path().join("another")).expect("a hard link");
        for (name, target) in [("up", "../../../etc/passwd"), ("far", "/etc/shadow"), ("near", "a/plain")] {
            symlink(target, from.path().join(name)).expect("a link");
        }
        let sparse = File::create(from.path().join("sparse")).expect("a file");
        sparse.write_all_at(b"end", 1 << 30).expect("its end");
        rustix::fs::mknodat(&root, "fifo", FileType::Fifo, Mode::RUSR, 0).expect("a FIFO");

        let (tar, done) = write(root.as_fd(), Vec::new(), &SnapshotLimits::default()).expect("a snapshot");
        assert_eq!((done.files, done.directories, done.links, done.left_out), (4, 3, 3, 1));
        assert!(tar.len() < 100 << 10, "{}", tar.len());
        let (to, again) = restored(&tar);
        let again = again.expect("restored");
        assert_eq!((again.files, again.directories, again.links, again.left_out), (4, 3, 3, 0));

        let at = |name: &str| to.path().join(name);
        assert_eq!(fs::read_to_string(at("a").join(&long).join(&long).join("x")).expect("there"), "x");
        assert_eq!(fs::read_link(at("up")).expect("a link"), Path::new("../../../etc/passwd"));
        assert_eq!(fs::read_link(at("far")).expect("a link"), Path::new("/etc/shadow"));
        let (plain, another) =
            (fs::metadata(at("a/plain")).expect("there"), fs::metadata(at("another")).expect("there"));
        assert_eq!((plain.ino(), plain.uid()), (another.ino(), SANDBOX_UID));
        let sparse = fs::metadata(at("sparse")).expect("there");
        assert!(sparse.len() == (1 << 30) + 3 && sparse.blocks() * 512 < 1 << 20, "{sparse:?}");
        let mut end = [0; 3];
        File::open(at("sparse")).expect("there").read_exact_at(&mut end, 1 << 30).expect("its end");
        assert_eq!(&end, b"end");
    }

    #[test]
    fn limits_are_named() {
        let (from, root) = folder();
        for number in 0..10 {
            fs::write(from.path().join(number.to_string()), vec![1; 4096]).expect("a file");
        }
        let few = SnapshotLimits { entries: 9, ..SnapshotLimits::default() };
        let error = write(root.as_fd(), Vec::new(), &few).expect_err("too many");
        assert!(matches!(error, SandboxError::Home(HomeError::Entries { limit: 9 })), "{error}");
        let small = SnapshotLimits { bytes: 40_000, ..SnapshotLimits::default() };
        let error = write(root.as_fd(), Vec::new(), &small).expect_err("too long");
        assert!(matches!(error, SandboxError::Home(HomeError::Bytes { limit: 40_000, .. })), "{error}");
        let (tar, done) = write(root.as_fd(), Vec::new(), &SnapshotLimits::default()).expect("a snapshot");
        assert_eq!((done.files, done.bytes), (10, 40_960));
        let (_, root) = folder();
        assert!(read(root.as_fd(), &tar[..], &few).is_err() && read(root.as_fd(), &tar[..], &small).is_err());
    }

    /// An archive that [`super::snapshot::write`] would not make.
    fn forged(entries: &[(EntryType, &str, &str)]) -> Vec<u8> {
        let mut tar = Builder::new(Vec::new());
        for (kind, path, target) in entries {
            let mut header = Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_mode(0o6755);
            header.set_mtime(0);
            header.set_size(0);
            let name = &mut header.as_old_mut().name;
            name[..path.len()].copy_from_slice(path.as_bytes());
            header.set_link_name_literal(target).expect("short");
            header.set_cksum();
            tar.append(&header, io::empty()).expect("written");
        }
        tar.into_inner().expect("written")
    }

    #[test]
    fn nothing_outside_is_reached() {
        use EntryType::{Char, Directory, Fifo, Link, Regular, Symlink};
        let outside = tempfile::tempdir().expect("a folder");
        fs::write(outside.path().join("secret"), "secret").expect("a file");
        let target = outside.path().to_str().expect("UTF-8").to_owned();
        let secret = format!("{target}/secret");
        let forgeries: &[&[(EntryType, &str, &str)]] = &[
            &[(Regular, "../x", "")],
            &[(Regular, "/tmp/shuyu-x", "")],
            &[(Symlink, "d", &target), (Regular, "d/x", "")],
            &[(Symlink, "d", &secret), (Regular, "d", "")],
            &[(Link, "x", &secret)],
            &[(Link, "x", "../secret")],
            &[(Symlink, "d", &target), (Link, "x", "d/secret")],
            &[(Symlink, "d", &target), (Directory, "d", "")],
            &[(Fifo, "x", "")],
            &[(Char, "x", "")],
        ];
        for forgery in forgeries {
            let (_, done) = restored(&forged(forgery));
            let error = done.expect_err("refused");
            assert!(matches!(error, SandboxError::Home(HomeError::Archive { .. })), "{forgery:?}: {error}");
        }
        assert_eq!(fs::read_dir(outside.path()).expect("there").count(), 1);
        let (to, done) = restored(&forged(&[(Regular, "x", "")]));
        assert_eq!(done.expect("plain").files, 1);
        assert_eq!(fs::metadata(to.path().join("x")).expect("there").mode() & 0o7777, 0o755);
        assert!(
            restored(b"no archive at all").1.is_ok_and(|done| done == Snapshot::default())
                || restored(&[1; 512]).1.is_err()
        );
    }
}
