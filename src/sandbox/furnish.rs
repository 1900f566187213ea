//! What the host puts into a participant's home before anybody has worked in it.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::BorrowedFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, Dir, Gid, Mode, OFlags, Uid, fchmod, fchown, mkdirat, openat2, unlinkat};
use rustix::io::Errno;

use super::SandboxError;
use super::home::OUTBOX;
use super::profile::SANDBOX_UID;
use super::snapshot::{BENEATH, failed, open};

/// What a file system makes for itself, and the outbox, which every home has.
const FURNITURE: [&[u8]; 4] = [b".", b"..", b"lost+found", OUTBOX.as_bytes()];

/// Whether the home at `root` holds nothing of anybody's.
pub(super) fn is_untouched(root: BorrowedFd<'_>) -> Result<bool, SandboxError> {
    let top = Path::new("");
    let directory = open(root, top, OFlags::DIRECTORY).map_err(|error| failed(top, error))?;
    for entry in Dir::read_from(&directory).map_err(|error| failed(top, error))? {
        let entry = entry.map_err(|error| failed(top, error))?;
        if !FURNITURE.contains(&entry.file_name().to_bytes()) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Makes a file in the home, and the folders it lies in; false when something else of such a name is there.
pub(super) fn put(root: BorrowedFd<'_>, name: &str, content: &[u8]) -> Result<bool, SandboxError> {
    let path = Path::new(name);
    let plain: PathBuf = path.components().filter(|part| matches!(part, Component::Normal(_))).collect();
    if name.is_empty() || plain.as_os_str() != name {
        return Err(failed(path, Errno::INVAL));
    }
    let folders: Vec<&Path> = path.ancestors().skip(1).filter(|folder| *folder != Path::new("")).collect();
    for folder in folders.into_iter().rev() {
        if !put_folder(root, folder)? {
            return Ok(false);
        }
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut made = match openat2(root, path, flags, Mode::RUSR | Mode::WUSR, BENEATH) {
        Ok(made) => File::from(made),
        Err(Errno::EXIST | Errno::LOOP) => return Ok(false),
        Err(error) => return Err(failed(path, error)),
    };
    let (user, group) = (Uid::from_raw(SANDBOX_UID), Gid::from_raw(SANDBOX_UID));
    let written = made.write_all(content).and_then(|()| {
        fchown(&made, Some(user), Some(group))?;
        Ok(fchmod(&made, Mode::from_raw_mode(0o644))?)
    });
    written.map_err(|error| {
        // a piece of it would pass for all of it
        let _ = unlinkat(root, path, AtFlags::empty());
        failed(path, error)
    })?;
    Ok(true)
}

/// Makes a folder, or finds it; false when something else of its name is there.
fn put_folder(root: BorrowedFd<'_>, path: &Path) -> Result<bool, SandboxError> {
    let parent = path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let enter = |path: &Path| openat2(root, path, flags, Mode::empty(), BENEATH);
    let name = path.file_name().ok_or_else(|| failed(path, Errno::INVAL))?;
    let within = enter(parent).map_err(|error| failed(path, error))?;
    match mkdirat(&within, name, Mode::from_raw_mode(0o755)) {
        Ok(()) => {}
        Err(Errno::EXIST) => return Ok(enter(path).is_ok()),
        Err(error) => return Err(failed(path, error)),
    }
    let made = enter(path).map_err(|error| failed(path, error))?;
    let (user, group) = (Uid::from_raw(SANDBOX_UID), Gid::from_raw(SANDBOX_UID));
    fchown(&made, Some(user), Some(group)).map_err(|error| failed(path, error))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::fd::AsFd as _;
    use std::os::unix::fs::{MetadataExt as _, symlink};

    use super::*;

    #[test]
    fn a_file_is_put_once_and_over_nothing() {
        let (home, outside) =
            (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let root = File::open(home.path()).expect("opened");
        let root = root.as_fd();
        fs::create_dir(home.path().join(OUTBOX)).expect("a folder");
        fs::create_dir(home.path().join("lost+found")).expect("a folder");
        assert!(is_untouched(root).expect("read"));
        assert!(put(root, "开始.ipynb", b"{}").expect("put"));
        let made = fs::metadata(home.path().join("开始.ipynb")).expect("there");
        assert_eq!((made.uid(), made.gid(), made.mode() & 0o777), (SANDBOX_UID, SANDBOX_UID, 0o644));
        assert!(!is_untouched(root).expect("read"));
        assert!(!put(root, "开始.ipynb", b"other").expect("there already"));
        assert_eq!(fs::read(home.path().join("开始.ipynb")).expect("there"), b"{}");

        let target = outside.path().join("made");
        symlink(&target, home.path().join("link")).expect("a link");
        assert!(!put(root, "link", b"through it").expect("something is there"));
        assert!(!target.exists());
        for path in ["", ".", "..", "../made", "a/../x", "./x", "/tmp/x", "x/", "a//x"] {
            assert!(put(root, path, b"").is_err(), "{path:?}");
        }
        // folders are made on the way, never through a link or a file
        assert!(
            put(root, ".set/deep/one", b"1").expect("put") && put(root, ".set/deep/two", b"2").expect("put")
        );
        let folder = fs::metadata(home.path().join(".set/deep")).expect("there");
        assert_eq!((folder.uid(), folder.mode() & 0o777), (SANDBOX_UID, 0o755));
        symlink(outside.path(), home.path().join("way")).expect("a link");
        assert!(!put(root, "way/x", b"out").expect("something is there"));
        assert!(!put(root, "开始.ipynb/x", b"in a file").expect("something is there"));
        assert_eq!(fs::read_dir(outside.path()).expect("read").count(), 0);
    }
}
