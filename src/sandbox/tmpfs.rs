//! Host-side tmpfs mounts: a run's output directory, and the stage on which sealed inputs lie in
//! plain for as long as a run needs them.

use std::ffi::{CStr, CString};
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, chown};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use rustix::path::Arg;
use tokio_util::task::TaskTracker;

use super::SandboxError;
use super::collect::{self, CollectLimits, Collected};
use super::profile::SANDBOX_UID;

/// A tmpfs of ours, `runs/<slug>/<name>` under the work directory. Unmounting it frees its memory.
struct Tmpfs {
    path: PathBuf,
    /// The mount's own root: reading starts here and cannot leave it. `None` once released.
    root: Option<OwnedFd>,
    tracker: TaskTracker,
}

impl Tmpfs {
    /// `bytes` and `inodes` are hard limits of the kernel; `options` the owner and mode of the root.
    fn mount(
        path: PathBuf,
        (bytes, inodes): (u64, u64),
        options: &str,
        flags: MountFlags,
        tracker: TaskTracker,
    ) -> Result<Self, SandboxError> {
        let parent = path.parent().unwrap_or(&path);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(parent)
            .map_err(|error| SandboxError::host("create", parent, error))?;
        fs::create_dir(&path).map_err(|error| SandboxError::host("create", &path, error))?;
        // The size counts whole pages; the root directory is one inode.
        let options = format!("size={bytes},nr_inodes={},{options}", inodes.saturating_add(1));
        let flags = flags | MountFlags::NOSUID | MountFlags::NODEV;
        if let Err(error) = mount_unswapped("shuyu", &path, flags, &options) {
            let refused = SandboxError::host("mount a tmpfs on", &path, error);
            remove_directories(&path);
            return Err(refused);
        }
        let opened =
            openat(CWD, &path, OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
        match opened {
            Ok(root) => Ok(Self { path, root: Some(root), tracker }),
            Err(error) => {
                let refused = SandboxError::host("open", &path, error);
                let _ = unmount_and_remove(&path);
                Err(refused)
            }
        }
    }

    fn root(&self) -> io::Result<BorrowedFd<'_>> {
        self.root.as_ref().map(OwnedFd::as_fd).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    async fn release(mut self) -> Result<(), SandboxError> {
        drop(self.root.take());
        let path = self.path.clone();
        let done = tokio::task::spawn_blocking(move || unmount_and_remove(&path)).await;
        done.map_err(io::Error::from)
            .and_then(|result| result)
            .map_err(|error| SandboxError::host("unmount", &self.path, error))
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let Some(root) = self.root.take() else { return };
        drop(root);
        let path = std::mem::take(&mut self.path);
        let unmount = move || {
            if let Err(error) = unmount_and_remove(&path) {
                tracing::warn!(path = %path.display(), %error, "a tmpfs is left to the reaper");
            }
        };
        // Outside a runtime (a process that is going down) the reaper does it at the next start.
        if tokio::runtime::Handle::try_current().is_ok() {
            self.tracker.spawn_blocking(unmount);
        }
    }
}

/// `source` is a word for the table of mounts.
pub(super) fn mount_tmpfs(
    source: impl Arg,
    path: &Path,
    flags: MountFlags,
    options: &CStr,
) -> rustix::io::Result<()> {
    mount(source, path, "tmpfs", flags, options)
}

/// The same; plain data must not reach a swap device, and kernels before 6.4 do not know the option.
pub(super) fn mount_unswapped(
    source: impl Arg + Copy,
    path: &Path,
    flags: MountFlags,
    options: &str,
) -> io::Result<()> {
    let unswapped = CString::new(format!("{options},noswap")).map_err(io::Error::other)?;
    let plain = CString::new(options).map_err(io::Error::other)?;
    let mounted = mount_tmpfs(source, path, flags, &unswapped);
    Ok(mounted.or_else(|_| mount_tmpfs(source, path, flags, &plain))?)
}

/// Takes the mount away at once, even where something still has a file of it open, then removes its
/// directory, and the run's when that is empty.
pub(super) fn unmount_and_remove(path: &Path) -> io::Result<()> {
    match unmount(path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
        // EINVAL: not a mount point any more.
        Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    remove_directories(path);
    Ok(())
}

/// `rmdir`, never recursive: a directory with something in it is not ours to empty.
fn remove_directories(path: &Path) {
    for directory in [Some(path), path.parent()].into_iter().flatten() {
        let _ = fs::remove_dir(directory);
    }
}

/// What a run may write: one directory, exactly capped by the kernel.
#[derive(Clone, Debug)]
pub struct OutputSpec {
    /// Where the program sees it, an absolute path; `/app/output` for bundles.
    pub container: String,
    /// Bytes that fit, rounded up to whole pages by the kernel. The run's memory limit grows by it,
    /// since the kernel charges a tmpfs to whoever writes it.
    pub bytes: u64,
    /// Files and directories that fit.
    pub inodes: u64,
    /// A directory of ours whose files lie in the output before the program starts, as the
    /// program's own: a result submission's predictions, which ingestion may then add to.
    pub seed: Option<PathBuf>,
}

/// A run's output directory after its container has stopped. Nothing in it can be trusted: it is
/// read only through [`OutputDir::collect`]. Dropping it unmounts it in the background.
pub struct OutputDir(Tmpfs);

impl OutputDir {
    pub(super) fn mount(
        path: PathBuf,
        spec: &OutputSpec,
        tracker: TaskTracker,
    ) -> Result<Self, SandboxError> {
        let options = format!("mode=0700,uid={SANDBOX_UID},gid={SANDBOX_UID}");
        let output = Tmpfs::mount(path, (spec.bytes, spec.inodes), &options, MountFlags::empty(), tracker)
            .map(Self)?;
        if let Some(seed) = &spec.seed {
            sow(seed, output.path()).map_err(|error| SandboxError::host("fill", output.path(), error))?;
        }
        Ok(output)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0.path
    }

    /// Copies what the program left into `destination`, an existing directory of ours: regular
    /// files and directories only, within `limits`; nothing outside the mount can be reached.
    ///
    /// # Errors
    /// [`SandboxError::Output`] where something else lies there or a limit is passed, with its path;
    /// [`SandboxError::Host`] or [`SandboxError::DiskFull`] where the destination cannot be written.
    /// What was copied until then stays in `destination`.
    pub async fn collect(
        &self,
        destination: &Path,
        limits: &CollectLimits,
    ) -> Result<Collected, SandboxError> {
        let host = |error: io::Error| SandboxError::host("read", &self.0.path, error);
        let root = self.0.root().and_then(|root| root.try_clone_to_owned()).map_err(host)?;
        let (destination, limits) = (destination.to_path_buf(), limits.clone());
        tokio::task::spawn_blocking(move || collect::copy_tree(root.as_fd(), &destination, &limits))
            .await
            .map_err(|error| host(error.into()))?
    }

    /// Unmounts it and gives its memory back.
    ///
    /// # Errors
    /// [`SandboxError::Host`]; the reaper tries again.
    pub async fn release(self) -> Result<(), SandboxError> {
        self.0.release().await
    }
}

/// Copies regular files of ours into a fresh output directory and gives them to the sandbox's user.
fn sow(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            fs::create_dir(&target)?;
            sow(&entry.path(), &target)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), &target)?;
        } else {
            continue;
        }
        chown(&target, Some(SANDBOX_UID), Some(SANDBOX_UID))?;
    }
    Ok(())
}

/// A tmpfs that two containers of one run write at the same time ([`super::SharedBind`]). We never
/// read it. Dropping it unmounts it in the background.
pub struct SharedDir(Tmpfs);

impl SharedDir {
    pub(super) fn mount(path: PathBuf, bytes: u64, tracker: TaskTracker) -> Result<Self, SandboxError> {
        let inodes = (bytes / 4096).clamp(1024, 65_536);
        let options = format!("mode=0700,uid={SANDBOX_UID},gid={SANDBOX_UID}");
        Tmpfs::mount(path, (bytes, inodes), &options, MountFlags::NOEXEC, tracker).map(Self)
    }

    /// The mount's directory on this machine.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Unmounts it.
    ///
    /// # Errors
    /// [`SandboxError::Host`]; the reaper tries again.
    pub async fn release(self) -> Result<(), SandboxError> {
        self.0.release().await
    }
}

/// A tmpfs on which hidden inputs lie in plain while a run needs them: only root on this machine
/// can enter it, and sandboxes see of it what is bound into them. Where the kernel can (6.4), it is
/// never swapped. Dropping it unmounts it in the background.
pub struct Staging(Tmpfs);

impl Staging {
    pub(super) fn mount(
        path: PathBuf,
        bytes: u64,
        flags: MountFlags,
        tracker: TaskTracker,
    ) -> Result<Self, SandboxError> {
        let inodes = (bytes / 4096).clamp(1024, 1 << 20);
        Tmpfs::mount(path, (bytes, inodes), "mode=0755", flags, tracker).map(Self)
    }

    /// The mount's directory. What is put there for a sandbox must be readable for everyone (files
    /// 0644, directories 0755): the sandbox's user owns nothing.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Unmounts it; the plain data is gone.
    ///
    /// # Errors
    /// [`SandboxError::Host`]; the reaper tries again.
    pub async fn release(self) -> Result<(), SandboxError> {
        self.0.release().await
    }
}
