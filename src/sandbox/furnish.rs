//! What the host puts into a participant's home before anybody has worked in it.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::BorrowedFd;
use std::path::{Component, Path};

use rustix::fs::{AtFlags, Dir, Gid, Mode, OFlags, Uid, fchmod, fchown, openat2, unlinkat};
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

/// Makes a file at the top of the home; false when something of that name is there.
pub(super) fn put(root: BorrowedFd<'_>, name: &str, content: &[u8]) -> Result<bool, SandboxError> {
    let path = Path::new(name);
    let mut parts = path.components();
    if !matches!((parts.next(), parts.next()), (Some(Component::Normal(part)), None) if part == name) {
        return Err(failed(path, Errno::INVAL));
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
        for path in ["", ".", "..", "../made", "outbox/x", "/tmp/x", "x/"] {
            assert!(put(root, path, b"").is_err(), "{path:?}");
        }
    }
}
