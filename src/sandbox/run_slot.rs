//! The slot of a run container that was started before its run was known: a host directory that the
//! container sees at [`APP`], in which the host mounts the run's programs, data and output when it takes
//! the run on (mount_namespaces(7), "shared subtrees"; `slot.rs` does the same for homes).
//!
//! The slot is a tmpfs without room for a file's content, writable for nobody. What is mounted in it
//! read-only is made so in a place that the container does not see, and bound from there: a bind that is
//! set read-only later would stay writable where it has appeared already.

use std::ffi::CString;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{StatVfsMountFlags, statvfs};
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount_bind, mount_change, mount_remount, unmount,
};

use super::SandboxError;
use super::profile::RunSpec;
use super::tmpfs::{mount_tmpfs, unmount_and_remove};

/// Where the slot appears in the container: everything that a bundle's programs know lies below it.
pub(super) const APP: &str = "/app";
/// Directories that fit: the root, and for each mount its own and those on the way to it.
const INODES: u32 = 64;

/// The slot of one container, `warm/<id>/slot` under the work directory.
#[derive(Debug)]
pub(super) struct RunSlot {
    directory: PathBuf,
}

impl RunSlot {
    /// Makes it, empty.
    pub(super) fn make(directory: PathBuf) -> Result<Self, SandboxError> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory);
        made.map_err(|error| SandboxError::host("create", &directory, error))?;
        let slot = Self { directory };
        match slot.fill() {
            Ok(()) => Ok(slot),
            Err(error) => {
                let path = slot.path();
                let _ = slot.remove();
                Err(SandboxError::host("mount a slot on", path, error))
            }
        }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.directory.join("slot")
    }

    fn flags() -> MountFlags {
        MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC
    }

    fn fill(&self) -> io::Result<()> {
        let path = self.path();
        fs::create_dir(&path)?;
        fs::create_dir(self.aside())?;
        mount_tmpfs("shuyu", &path, Self::flags(), &options()?)?;
        self.write_protect(true)?;
        Ok(mount_change(&path, MountPropagationFlags::SHARED)?)
    }

    /// Where a bind is made read-only before the container sees it.
    fn aside(&self) -> PathBuf {
        self.directory.join("aside")
    }

    fn write_protect(&self, on: bool) -> io::Result<()> {
        let flags = if on { Self::flags() | MountFlags::RDONLY } else { Self::flags() };
        Ok(mount_remount(self.path(), flags, options()?.as_c_str())?)
    }

    /// Mounts what a run reads and writes. The container sees it at once.
    ///
    /// # Errors
    /// [`SandboxError::Host`]; the container is good for nothing then.
    pub(super) fn take_on(&self, spec: &RunSpec, output: &Path) -> Result<(), SandboxError> {
        let failed = |error| SandboxError::host("mount a run's directories in", self.path(), error);
        let relay = spec.relay_bind();
        let read = spec.binds.iter().chain(&relay);
        let read = read.map(|bind| (bind.host.as_path(), bind.container.as_str(), true));
        let written = [(output, spec.output.container.as_str(), false)];
        let shared =
            spec.shared.iter().map(|shared| (shared.host.as_path(), shared.container.as_str(), false));
        let mut mounts: Vec<_> = read.chain(written).chain(shared).collect();
        // an outer one would hide an inner one that is there already
        mounts.sort_by_key(|(_, target, _)| target.len());
        self.write_protect(false).map_err(failed)?;
        for (source, target, _) in &mounts {
            self.make_room(source, target).map_err(failed)?;
        }
        self.write_protect(true).map_err(failed)?;
        for (source, target, read_only) in mounts {
            self.bind(source, &self.inside(target)?, read_only).map_err(failed)?;
        }
        Ok(())
    }

    /// Where the slot has what the container sees at `target`.
    fn inside(&self, target: &str) -> Result<PathBuf, SandboxError> {
        match below(target) {
            Some(path) => Ok(self.path().join(path)),
            None => Err(SandboxError::Spec { what: format!("{target} is not below {APP}") }),
        }
    }

    fn make_room(&self, source: &Path, target: &str) -> io::Result<()> {
        let Some(path) = below(target) else { return Ok(()) };
        let mut place = self.path();
        let mut parts = path.split('/').peekable();
        while let Some(part) = parts.next() {
            place.push(part);
            if parts.peek().is_none() && source.is_file() {
                drop(fs::File::create(&place)?);
            } else if !place.exists() {
                fs::create_dir(&place)?;
                fs::set_permissions(&place, Permissions::from_mode(0o755))?;
            }
        }
        Ok(())
    }

    /// Binds `source` alone, not what is mounted below it, with no more rights than it has.
    fn bind(&self, source: &Path, target: &Path, read_only: bool) -> io::Result<()> {
        if !read_only {
            return Ok(mount_bind(source, target)?);
        }
        let mut aside = self.aside();
        if source.is_file() {
            aside = self.directory.join("aside-file");
            drop(fs::File::create(&aside)?);
        }
        mount_bind(source, &aside)?;
        let mut flags = MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV;
        if statvfs(source)?.f_flag.contains(StatVfsMountFlags::NOEXEC) {
            flags |= MountFlags::NOEXEC;
        }
        let bound = mount_remount(&aside, flags, c"").and_then(|()| mount_bind(&aside, target));
        unmount(&aside, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)?;
        if source.is_file() {
            fs::remove_file(&aside)?;
        }
        Ok(bound?)
    }

    /// Takes it away with everything mounted in it; one that is gone already is no error.
    pub(super) fn remove(&self) -> Result<(), SandboxError> {
        for path in [self.aside(), self.path()] {
            unmount_and_remove(&path).map_err(|error| SandboxError::host("unmount", &path, error))?;
        }
        Ok(())
    }
}

/// The path below [`APP`]; `None` for one that is elsewhere or goes up.
pub(super) fn below(target: &str) -> Option<&str> {
    let path = target.strip_prefix(APP)?.strip_prefix('/')?.trim_end_matches('/');
    let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    path.split('/').all(plain).then_some(path)
}

fn options() -> io::Result<CString> {
    CString::new(format!("size=4096,nr_inodes={INODES},mode=0755")).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_below_has_room() {
        assert_eq!(below("/app/input/ref/"), Some("input/ref"));
        for elsewhere in ["/app", "/app/", "/application/x", "/data", "/app/../etc", "/app//x", "app/x"] {
            assert_eq!(below(elsewhere), None, "{elsewhere}");
        }
    }
}
