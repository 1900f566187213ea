//! The homes of a worker: which kind its machine can do, and how a home that is kept is mounted, made or
//! erased.

use std::collections::HashSet;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::statvfs;
use rustix::mount::MountFlags;
use uuid::Builder;

use super::home::{Home, HomeKind, HomeQuota, find_at, host};
use super::home_error::HomeError;
use super::profile::SANDBOX_UID;
use super::tmpfs::{mount_unswapped, unmount_and_remove};
use super::{SandboxError, image, mounts};
use crate::clock::Entropy;
use crate::ids::SandboxId;

/// The homes of one worker.
#[derive(Clone, Debug)]
pub struct Homes {
    /// Where they are mounted: `sandboxes` in the work directory.
    sandboxes: PathBuf,
    kind: HomeKind,
    why: Option<String>,
    reserve: u64,
    /// The files that are being attached.
    attaching: Arc<Mutex<HashSet<PathBuf>>>,
}

impl Homes {
    /// Finds out which kind this machine can do, by doing it once below `work_dir`, the work directory
    /// of [`super::SandboxSettings`]. No home is attached when less than `reserve` bytes would stay free
    /// on the disk that keeps it: images are sparse, and a full disk is every home's trouble.
    ///
    /// # Errors
    /// [`SandboxError::Host`] when the work directory cannot be written.
    pub async fn probe(work_dir: &Path, reserve: u64) -> Result<Self, SandboxError> {
        let sandboxes = work_dir.join("sandboxes");
        // Like a sandbox's, so that the reaper finds it after a crash.
        let name = Builder::from_random_bytes(Entropy.bytes()).into_uuid();
        let trial = home_point(&sandboxes, SandboxId(name));
        make_directory(&trial)?;
        let file = sandboxes.join(format!("{name}.ext4"));
        let tried = try_image(&file, &trial).await;
        let _ = fs::remove_file(&file);
        let _ = unmount_and_remove(&trial);
        let (kind, why) = match tried {
            Ok(()) => (HomeKind::Image, None),
            Err(error) => (HomeKind::Memory, Some(error.to_string())),
        };
        Ok(Self { sandboxes, kind, why, reserve, attaching: Arc::default() })
    }

    /// The kind that homes on this machine are of.
    pub fn kind(&self) -> HomeKind {
        self.kind
    }

    /// Why they are not images, if they are not.
    pub fn why(&self) -> Option<&str> {
        self.why.as_deref()
    }

    /// The same homes in memory, whatever the machine can do.
    pub fn in_memory(self) -> Self {
        Self { kind: HomeKind::Memory, ..self }
    }

    /// Mounts the home that is kept in `file` for the sandbox `id`, or makes it. `file` has no
    /// extension: each kind adds its own. The quota is that of the making; a kept image has the size it
    /// was made with. A home that was kept in memory becomes an image where the machine can do those now.
    ///
    /// When the future is dropped half-way, the reaper removes what it made.
    ///
    /// # Errors
    /// [`HomeError::InUse`], [`HomeError::NoRoom`], [`HomeError::Damaged`], [`HomeError::Kind`],
    /// [`HomeError::Tool`]; [`SandboxError::Host`].
    pub async fn attach(&self, id: SandboxId, file: &Path, quota: HomeQuota) -> Result<Home, SandboxError> {
        let _guard = Attaching::begin(self, file)?;
        let point = self.point(id);
        if host("read the mounts of", &point, mounts::at(&point))?.is_some() {
            return Err(HomeError::InUse { file: file.to_path_buf(), by: point }.into());
        }
        self.check_room(file)?;
        make_directory(&point)?;
        let attached = match self.kind {
            HomeKind::Image => attach_image(file, &point, quota).await,
            HomeKind::Memory => attach_memory(file, &point, quota).await,
        };
        let attached = attached.and_then(|home| home.furnish().map(|()| home));
        if attached.is_err() {
            let _ = unmount_and_remove(&point);
        }
        attached
    }

    /// The home that is mounted for this sandbox, after a restart of the service.
    ///
    /// # Errors
    /// [`SandboxError::Host`] when the table of mounts cannot be read.
    pub fn find(&self, id: SandboxId) -> Result<Option<Home>, SandboxError> {
        find_at(self.point(id))
    }

    /// Whether a home is kept in `file` (as given to [`attach`](Self::attach)).
    pub fn keeps(&self, file: &Path) -> bool {
        image_of(file).exists() || archive_of(file).exists()
    }

    /// Removes what is kept in `file` (as given to [`attach`](Self::attach)); nothing there is no error.
    ///
    /// # Errors
    /// [`HomeError::InUse`] while it is attached, [`SandboxError::Host`].
    pub async fn erase(&self, file: &Path) -> Result<(), SandboxError> {
        let _guard = Attaching::begin(self, file)?;
        refuse_mounted(file)?;
        // and what a crash left of one that was being made or saved
        let begun = ["new", "part"].map(|ending| file.with_extension(ending));
        for kept in [image_of(file), archive_of(file)].into_iter().chain(begun) {
            match fs::remove_file(&kept) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(SandboxError::host("remove", kept, error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn point(&self, id: SandboxId) -> PathBuf {
        home_point(&self.sandboxes, id)
    }

    fn check_room(&self, file: &Path) -> Result<(), SandboxError> {
        let path = file.parent().unwrap_or(file);
        let found = host("look at the disk of", path, statvfs(path).map_err(io::Error::from))?;
        let free = found.f_bavail * found.f_frsize;
        if free < self.reserve {
            return Err(HomeError::NoRoom { path: path.to_path_buf(), free, reserve: self.reserve }.into());
        }
        Ok(())
    }
}

/// Where the home of a sandbox is mounted.
pub(super) fn home_point(sandboxes: &Path, id: SandboxId) -> PathBuf {
    sandboxes.join(id.to_string()).join("home")
}

/// Keeps a file from being attached twice at a time.
struct Attaching<'a>(&'a Homes, PathBuf);

impl<'a> Attaching<'a> {
    fn begin(homes: &'a Homes, file: &Path) -> Result<Self, SandboxError> {
        let mut files = homes.attaching.lock().unwrap_or_else(PoisonError::into_inner);
        if !files.insert(file.to_path_buf()) {
            return Err(HomeError::InUse { file: file.to_path_buf(), by: homes.sandboxes.clone() }.into());
        }
        Ok(Self(homes, file.to_path_buf()))
    }
}

impl Drop for Attaching<'_> {
    fn drop(&mut self) {
        self.0.attaching.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.1);
    }
}

fn image_of(file: &Path) -> PathBuf {
    file.with_extension("ext4")
}

fn archive_of(file: &Path) -> PathBuf {
    file.with_extension("tar")
}

fn refuse_mounted(file: &Path) -> Result<(), SandboxError> {
    let (image, archive) = (image_of(file), archive_of(file));
    let in_memory = |mounts: Vec<mounts::Mounted>| {
        mounts
            .into_iter()
            .find(|mount| mount.kind == "tmpfs" && mount.source == archive)
            .map(|mount| mount.point)
    };
    let by = host("find the mounts of", &image, image::mounted_at(&image))?;
    let by = by.or(in_memory(host("find the mounts of", &archive, mounts::all())?));
    match by {
        Some(by) => Err(HomeError::InUse { file: file.to_path_buf(), by }.into()),
        None => Ok(()),
    }
}

async fn attach_image(file: &Path, point: &Path, quota: HomeQuota) -> Result<Home, SandboxError> {
    refuse_mounted(file)?;
    let (image, archive) = (image_of(file), archive_of(file));
    let home = Home { kind: HomeKind::Image, file: image.clone(), point: point.to_path_buf() };
    if image.exists() {
        // One that another mount namespace still holds is mounted there by the same device: not to be mended.
        if !host("find the loop device of", &image, image::is_held(&image))? {
            image::mend(&image).await?;
        }
        image::mount(&image, point).await?;
        return Ok(home);
    }
    // Under its name only when it is whole.
    let fresh = image.with_extension("new");
    if host("find the loop device of", &fresh, image::is_held(&fresh))? {
        return Err(HomeError::InUse { file: fresh, by: point.to_path_buf() }.into());
    }
    image::make(&fresh, quota).await?;
    image::mount(&fresh, point).await?;
    let _ = fs::remove_dir(point.join("lost+found"));
    if archive.exists() {
        home.restore_file(&archive).await?;
    }
    host("name", &image, fs::rename(&fresh, &image))?;
    let _ = fs::remove_file(&archive);
    Ok(home)
}

async fn attach_memory(file: &Path, point: &Path, quota: HomeQuota) -> Result<Home, SandboxError> {
    refuse_mounted(file)?;
    let archive = archive_of(file);
    if image_of(file).exists() {
        return Err(HomeError::Kind { file: image_of(file) }.into());
    }
    let inodes = quota.inodes.saturating_add(1);
    let owner = format!("mode=0755,uid={SANDBOX_UID},gid={SANDBOX_UID}");
    let options = format!("size={},nr_inodes={inodes},{owner}", quota.bytes);
    // The source is what tells after a crash whose home it is.
    let mounted = mount_unswapped(&*archive, point, MountFlags::NOSUID | MountFlags::NODEV, &options);
    host("mount a tmpfs on", point, mounted)?;
    let home = Home { kind: HomeKind::Memory, file: archive.clone(), point: point.to_path_buf() };
    if archive.exists() {
        home.restore_file(&archive).await?;
    }
    Ok(home)
}

/// Makes and mounts a small image, and writes to it.
async fn try_image(file: &Path, point: &Path) -> Result<(), SandboxError> {
    image::make(file, HomeQuota { bytes: 16 << 20, inodes: 100 }).await?;
    image::mount(file, point).await?;
    host("write to a trial home at", point, fs::write(point.join("probe"), b"probe"))
}

fn make_directory(path: &Path) -> Result<(), SandboxError> {
    host("create", path, DirBuilder::new().recursive(true).mode(0o700).create(path))
}
