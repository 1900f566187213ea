//! What containers only read, as one of them alone sees it: through an overlay mount of its own.
//!
//! Two containers that have the same directory bound share its inodes, and with them whatever the kernel
//! keeps for an inode: locks (flock(2), fcntl(2)) and watches (inotify(7)). A program could tell another
//! container by them what it reads. Overlayfs gives each mount inodes of its own, over one copy of the
//! data. A mount below is needed only until the container has started: the container has its own by then,
//! which goes with it.

use std::ffi::CString;
use std::fs::{self, Permissions};
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Once;

use rustix::fs::{CWD, Mode, OFlags, StatVfsMountFlags, openat, statvfs};
use rustix::mount::{MountFlags, mount};

use super::SandboxError;
use super::engine::Engine;
use super::profile::ReadOnlyBind;
use super::tmpfs::{mount_tmpfs, unmount_and_remove};

/// What one container reads, mounted for it alone. Dropping it unmounts it, which a container that has
/// started does not notice.
pub(super) struct Apart {
    binds: Vec<ReadOnlyBind>,
    mounts: Vec<PathBuf>,
}

impl Engine {
    /// Mounts what these binds name below `area`, the working area of one container, which nobody else
    /// has. What lies in the area of runs is theirs alone already, and stays as it is.
    pub(super) async fn set_apart(
        &self,
        area: PathBuf,
        binds: &[ReadOnlyBind],
    ) -> Result<Apart, SandboxError> {
        let (binds, own, empty) = (binds.to_vec(), self.runs(), self.0.settings.work_dir.join("empty"));
        let mounting = tokio::task::spawn_blocking(move || {
            let mut apart = Apart { binds: Vec::new(), mounts: Vec::new() };
            for bind in binds {
                match bind.host.starts_with(&own) {
                    true => apart.binds.push(bind),
                    false => apart.add(&area, &empty, bind)?,
                }
            }
            Ok(apart)
        });
        mounting.await.map_err(|error| SandboxError::host("mount", self.runs(), io::Error::from(error)))?
    }
}

impl Apart {
    /// The same binds, from the mounts.
    pub(super) fn binds(&self) -> &[ReadOnlyBind] {
        &self.binds
    }

    fn add(&mut self, area: &Path, empty: &Path, bind: ReadOnlyBind) -> Result<(), SandboxError> {
        let ReadOnlyBind { host, container } = bind;
        let failed = |error| SandboxError::host("mount what a container reads from", &host, error);
        fs::metadata(&host).map_err(failed)?;
        // a file comes with its directory, of which the container sees nothing else
        let (directory, file) = match (host.is_file(), host.parent(), host.file_name()) {
            (true, Some(parent), Some(name)) => (parent, Some(name)),
            _ => (host.as_path(), None),
        };
        let point = area.join(format!("read{}", self.mounts.len()));
        for made in [empty, &point] {
            make(made).map_err(failed)?;
        }
        self.mounts.push(point.clone());
        if let Err(error) = mount_overlay(directory, empty, &point) {
            warn_once(&error);
            copy(&host, &point).map_err(failed)?;
        }
        let host = file.map_or_else(|| point.clone(), |name| point.join(name));
        self.binds.push(ReadOnlyBind { host, container });
        Ok(())
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        for point in &self.mounts {
            if let Err(error) = unmount_and_remove(point) {
                tracing::warn!(path = %point.display(), %error, "a mount is left to the reaper");
            }
        }
    }
}

fn make(directory: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

/// Its own flags, and not more than the file system gives on which the directory lies.
fn flags(directory: &Path) -> io::Result<MountFlags> {
    let mut flags = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV;
    if statvfs(directory)?.f_flag.contains(StatVfsMountFlags::NOEXEC) {
        flags |= MountFlags::NOEXEC;
    }
    Ok(flags)
}

/// Overlayfs wants a layer to write in, or two to read: the second is empty. They are named by descriptor,
/// since a path may hold what the options are separated by.
fn mount_overlay(directory: &Path, empty: &Path, point: &Path) -> io::Result<()> {
    let open = |path: &Path| -> io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(openat(CWD, path, flags, Mode::empty())?)
    };
    let (layer, empty) = (open(directory)?, open(empty)?);
    let named = |layer: &OwnedFd| format!("/proc/self/fd/{}", layer.as_raw_fd());
    let options = CString::new(format!("lowerdir={}:{}", named(&layer), named(&empty)))?;
    Ok(mount("shuyu", point, "overlay", flags(directory)?, options.as_c_str())?)
}

fn warn_once(error: &io::Error) {
    static SAID: Once = Once::new();
    SAID.call_once(|| {
        tracing::warn!(%error, "overlayfs is not there: each container gets a copy in memory of what it reads");
    });
}

/// Where overlayfs cannot be mounted: a tmpfs with a copy, which takes memory for as long as the container
/// is there. A file is copied without those beside it.
fn copy(host: &Path, point: &Path) -> io::Result<()> {
    mount_tmpfs("shuyu", point, flags(host)? - MountFlags::RDONLY, c"mode=0755,size=100%")?;
    match host.is_file() {
        true => copy_file(host, &point.join(host.file_name().unwrap_or_default())),
        false => copy_tree(host, point),
    }
}

fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            fs::create_dir(&target)?;
            fs::set_permissions(&target, Permissions::from_mode(0o755))?;
            copy_tree(&entry.path(), &target)?;
        } else if kind.is_file() {
            copy_file(&entry.path(), &target)?;
        }
    }
    Ok(())
}

fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    fs::copy(from, to).map(drop)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    /// Two mounts of a directory with one file, and what the directory is called.
    fn two(name: &str, mount: impl Fn(&Path, &Path, &Path)) -> (tempfile::TempDir, Vec<PathBuf>) {
        let place = tempfile::tempdir().unwrap();
        let (shared, empty) = (place.path().join(name), place.path().join("empty"));
        fs::create_dir_all(shared.join("deeper")).unwrap();
        fs::write(shared.join("deeper/file"), "content").unwrap();
        let points = ["one", "two"].map(|point| place.path().join(point));
        for point in points.iter().chain([&empty]) {
            fs::create_dir(point).unwrap();
        }
        for point in &points {
            mount(&shared, &empty, point);
        }
        (place, points.to_vec())
    }

    fn expect_apart(points: &[PathBuf], original: &Path) {
        let node = |at: &Path| {
            let data = fs::metadata(at.join("deeper/file")).unwrap();
            (data.dev(), data.ino())
        };
        let held = fs::File::open(points[0].join("deeper/file")).unwrap();
        held.lock().unwrap();
        let other = fs::File::open(points[1].join("deeper/file")).unwrap();
        other.try_lock().expect("another mount's lock is not seen");
        assert_eq!(fs::read_to_string(points[1].join("deeper/file")).unwrap(), "content");
        assert!(node(&points[0]) != node(&points[1]) && node(&points[0]) != node(original));
        assert!(fs::File::open(points[0].join("deeper/file")).unwrap().try_lock().is_err());
        drop((held, other));
        for point in points {
            unmount_and_remove(point).unwrap();
        }
    }

    #[test]
    fn two_overlays_of_a_directory_share_no_inode() {
        for name in ["shared", "a b,c:d\\e=f"] {
            let (place, points) =
                two(name, |shared, empty, point| mount_overlay(shared, empty, point).unwrap());
            assert!(fs::write(points[0].join("deeper/file"), "").is_err(), "it is read-only");
            expect_apart(&points, &place.path().join(name));
        }
    }

    #[test]
    fn two_copies_of_a_directory_share_no_inode() {
        let (place, points) = two("shared", |shared, _, point| copy(shared, point).unwrap());
        expect_apart(&points, &place.path().join("shared"));
    }
}
