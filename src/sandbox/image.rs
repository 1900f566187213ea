//! A file system in a file: an ext4 image, made with `mke2fs`, mended with `e2fsck -p` after a crash,
//! mounted through a loop device by `mount`, all of which Debian has in `e2fsprogs` and `mount`.
//!
//! The file is sparse: it takes of the disk what is in it, and gives back what is deleted (`discard`).
//! What a participant writes reaches the image through the kernel alone, never as raw blocks.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use super::SandboxError;
use super::home::HomeQuota;
use super::home_error::HomeError;
use super::mounts;
use super::profile::SANDBOX_UID;

/// Ample: on an idle machine each takes some milliseconds; mending a large home some seconds.
const PATIENCE: Duration = Duration::from_secs(120);
/// Where the programs are; a service's own PATH need not have them.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";
/// Inodes that every ext4 file system keeps for itself.
const OWN_INODES: u64 = 10;

/// Makes an empty image that belongs to the sandbox's user. Whatever was at `file` is gone.
pub(super) async fn make(file: &Path, quota: HomeQuota) -> Result<(), SandboxError> {
    let host = |error| SandboxError::host("create", file, error);
    let made = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(file);
    made.and_then(|made| made.set_len(quota.bytes)).map_err(host)?;
    let inodes = quota.inodes.saturating_add(OWN_INODES).to_string();
    let journal = if quota.bytes < 256 << 20 { "size=4" } else { "size=16" };
    // Nothing is initialised: what was never written of a fresh sparse file reads as zeros.
    let extended =
        format!("root_owner={SANDBOX_UID}:{SANDBOX_UID},lazy_itable_init=1,lazy_journal_init=1,nodiscard");
    let options = [
        "-q",
        "-F",
        "-b",
        "4096",
        "-m",
        "0",
        "-O",
        "^resize_inode",
        "-J",
        journal,
        "-N",
        &inodes,
        "-E",
        &extended,
    ];
    let options = options.map(OsStr::new);
    run("mkfs.ext4", options.into_iter().chain([file.as_os_str()]), &[0]).await
}

/// Mounts it; set-user-id bits and device nodes in it mean nothing, programs may run.
pub(super) async fn mount(file: &Path, point: &Path) -> Result<(), SandboxError> {
    let options = "loop,nosuid,nodev,noatime,discard,noinit_itable,errors=remount-ro";
    let options = ["-t", "ext4", "-o", options].map(OsStr::new);
    run("mount", options.into_iter().chain([file.as_os_str(), point.as_os_str()]), &[0]).await
}

/// Replays the journal and mends what can be mended without a decision, where the file system was
/// not unmounted properly. Never for an image that is in use.
pub(super) async fn mend(file: &Path) -> Result<(), SandboxError> {
    if is_clean(file).map_err(|error| SandboxError::host("read", file, error))? {
        return Ok(());
    }
    // 1: mended; e2fsck(8).
    run("e2fsck", ["-p"].map(OsStr::new).into_iter().chain([file.as_os_str()]), &[0, 1]).await.map_err(
        |error| {
            let SandboxError::Home(HomeError::Tool { said, .. }) = error else { return error };
            HomeError::Damaged { file: file.to_path_buf(), said }.into()
        },
    )
}

/// Whether it is an ext4 file system that was unmounted properly: the state and the feature flags of
/// its superblock (Documentation/filesystems/ext4/super.rst: `s_magic` at 0x38, `s_state` at 0x3a,
/// `s_feature_incompat` at 0x60).
fn is_clean(file: &Path) -> io::Result<bool> {
    let mut superblock = [0; 0x64];
    File::open(file)?.read_exact_at(&mut superblock, 1024)?;
    let word = |at: usize| u16::from_le_bytes([superblock[at], superblock[at + 1]]);
    const VALID: u16 = 1;
    const NEEDS_RECOVERY: u16 = 4;
    Ok(word(0x38) == 0xef53 && word(0x3a) == VALID && word(0x60) & NEEDS_RECOVERY == 0)
}

/// Where it is mounted now, if it is.
pub(super) fn mounted_at(file: &Path) -> io::Result<Option<PathBuf>> {
    let devices = devices(file)?;
    let mut mounts = mounts::all()?.into_iter();
    Ok(mounts.find(|mount| devices.contains(&mount.source)).map(|mount| mount.point))
}

/// Whether a loop device holds it, mounted here, in another namespace, or nowhere any more.
pub(super) fn is_held(file: &Path) -> io::Result<bool> {
    Ok(!devices(file)?.is_empty())
}

/// The file that a loop device holds.
pub(super) fn file_of(device: &Path) -> Option<PathBuf> {
    let name = device.file_name()?;
    let held = fs::read_to_string(Path::new("/sys/block").join(name).join("loop/backing_file")).ok()?;
    Some(PathBuf::from(held.trim_end_matches('\n')))
}

fn devices(file: &Path) -> io::Result<Vec<PathBuf>> {
    let file = match file.canonicalize() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        file => file?,
    };
    let names = fs::read_dir("/sys/block")?.flatten().map(|entry| Path::new("/dev").join(entry.file_name()));
    Ok(names.filter(|device| file_of(device).is_some_and(|held| held == file)).collect())
}

/// Runs a program of the system and waits for one of the `good` exit codes.
async fn run(
    program: &'static str,
    arguments: impl Iterator<Item = &OsStr>,
    good: &[i32],
) -> Result<(), SandboxError> {
    let failed = |said: String| SandboxError::from(HomeError::Tool { program, said });
    let mut command = Command::new(program);
    command.args(arguments).env_clear().env("PATH", PATH).env("LC_ALL", "C").stdin(Stdio::null());
    let output = timeout(PATIENCE, command.kill_on_drop(true).output()).await;
    let output = output.map_err(|_| failed(format!("it has not ended after {} s", PATIENCE.as_secs())))?;
    let output = output.map_err(|error| failed(error.to_string()))?;
    if output.status.code().is_some_and(|code| good.contains(&code)) {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    let said: String = String::from_utf8_lossy(&said).trim().chars().take(500).collect();
    Err(failed(format!("{}: {said}", output.status)))
}
