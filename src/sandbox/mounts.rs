//! The kernel's table of mounts (proc_pid_mountinfo(5)): after a crash it alone knows what is mounted.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// One mount of this process's namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mounted {
    /// Where.
    pub(super) point: PathBuf,
    /// The file system's type, `ext4` or `tmpfs`.
    pub(super) kind: String,
    /// The device, or whatever a file system without one was given as its source.
    pub(super) source: PathBuf,
}

/// Mounts strictly below `directory`, inner ones first.
pub(super) fn below(directory: &Path) -> io::Result<Vec<Mounted>> {
    // The kernel shows real paths.
    let Ok(directory) = directory.canonicalize() else { return Ok(Vec::new()) };
    let mut found = all()?;
    found.retain(|mount| mount.point.starts_with(&directory) && mount.point != directory);
    found.reverse();
    Ok(found)
}

/// The topmost mount exactly at `point`, if there is one.
pub(super) fn at(point: &Path) -> io::Result<Option<Mounted>> {
    let Ok(point) = point.canonicalize() else { return Ok(None) };
    Ok(all()?.into_iter().rev().find(|mount| mount.point == point))
}

/// Every mount, in the order in which they were made.
pub(super) fn all() -> io::Result<Vec<Mounted>> {
    Ok(fs::read_to_string("/proc/self/mountinfo")?.lines().filter_map(read).collect())
}

fn read(line: &str) -> Option<Mounted> {
    let (ours, theirs) = line.split_once(" - ")?;
    let mut theirs = theirs.split(' ');
    Some(Mounted {
        point: unescape(ours.split(' ').nth(4)?),
        kind: theirs.next()?.to_owned(),
        source: unescape(theirs.next()?),
    })
}

/// Undoes the octal escapes of space, tab, newline and backslash.
fn unescape(field: &str) -> PathBuf {
    let plain = field.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n");
    PathBuf::from(plain.replace("\\134", "\\"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_mount_points_are_read() {
        let line = "36 35 98:0 / /a\\040b\\134c rw,noatime shared:1 - ext4 /dev/loop\\0401 rw";
        let mounted = read(line).expect("a line of the kernel's");
        assert_eq!(mounted.point, Path::new("/a b\\c"));
        assert_eq!((mounted.kind.as_str(), mounted.source.as_path()), ("ext4", Path::new("/dev/loop 1")));
    }

    #[test]
    fn the_root_is_mounted() {
        assert!(at(Path::new("/")).expect("readable").is_some());
        assert!(at(Path::new("/proc/self")).expect("readable").is_none());
    }
}
