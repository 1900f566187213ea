//! The slot of an interactive container: a host directory in which a home appears when its user is
//! known, long after the container was started.
//!
//! Mounts of a container are fixed at its creation. The slot is bound into it with `rslave`
//! propagation instead: what the host mounts in the slot later, the container sees, paused or not
//! (mount_namespaces(7), "shared subtrees"). It is a small tmpfs of its own, so that it can be made
//! shared without touching the mount of the work directory, and read-only, so that nothing can be left
//! in it.

use std::ffi::CString;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount_bind, mount_change, mount_remount, unmount,
};

use super::SandboxError;
use super::mounts;
use super::tmpfs::{mount_tmpfs, unmount_and_remove};
use crate::ids::SandboxId;

/// Where the slot appears in the container.
pub(super) const SLOT_TARGET: &str = "/home";
/// The name in the slot on which the home is mounted.
const HOME: &str = "participant";

/// The slot of one sandbox, `sandboxes/<id>/slot` under the work directory.
pub(super) struct Slot {
    pub(super) path: PathBuf,
}

impl Slot {
    pub(super) fn of(sandboxes: &Path, id: SandboxId) -> Self {
        Self { path: sandboxes.join(id.to_string()).join("slot") }
    }

    fn home(&self) -> PathBuf {
        self.path.join(HOME)
    }

    /// Makes it, empty. One that is there already is an error: its sandbox was not removed.
    pub(super) fn make(&self) -> Result<(), SandboxError> {
        let parent = self.path.parent().unwrap_or(&self.path);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(parent)
            .map_err(|error| SandboxError::host("create", parent, error))?;
        fs::create_dir(&self.path).map_err(|error| SandboxError::host("create", &self.path, error))?;
        self.fill().map_err(|error| {
            let _ = unmount_and_remove(&self.path);
            SandboxError::host("mount a slot on", &self.path, error)
        })
    }

    fn fill(&self) -> io::Result<()> {
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        let options = CString::new("size=4096,nr_inodes=2,mode=0755").map_err(io::Error::other)?;
        mount_tmpfs("shuyu", &self.path, flags, &options)?;
        fs::create_dir(self.home())?;
        fs::set_permissions(self.home(), Permissions::from_mode(0o755))?;
        mount_remount(&self.path, flags | MountFlags::RDONLY, options.as_c_str())?;
        Ok(mount_change(&self.path, MountPropagationFlags::SHARED)?)
    }

    /// Whether a home is mounted in it.
    pub(super) fn is_claimed(&self) -> Result<bool, SandboxError> {
        let mounted = mounts::at(&self.home());
        Ok(mounted.map_err(|error| SandboxError::host("read the mounts of", self.home(), error))?.is_some())
    }

    /// Mounts what is mounted at `home` here too, with the same options. The caller has asked that
    /// nothing is.
    pub(super) fn claim(&self, home: &Path) -> Result<(), SandboxError> {
        mount_bind(home, self.home())
            .map_err(|error| SandboxError::host("mount a home in", self.home(), error))
    }

    /// Takes the home out of it; none there is no error. The container's own sight of it goes with it.
    pub(super) fn release(&self) -> Result<(), SandboxError> {
        match unmount(self.home(), UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
            Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => Ok(()),
            Err(error) => Err(SandboxError::host("unmount", self.home(), error)),
        }
    }

    /// Takes it away, home or not; one that is gone already is no error.
    pub(super) fn remove(&self) -> Result<(), SandboxError> {
        self.release()?;
        unmount_and_remove(&self.path).map_err(|error| SandboxError::host("unmount", &self.path, error))
    }
}
