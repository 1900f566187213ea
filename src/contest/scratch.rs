//! [`Scratch`]: a directory on a tmpfs in which hidden data lies in plain for a moment.

use std::fs::File;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::clock::Entropy;

/// Where it lies.
pub const TMPFS: &str = "/dev/shm";

/// What the directories' names begin with.
const PREFIXES: [&str; 3] = ["shuyu-draft-", "shuyu-export-", "shuyu-bundle-"];

/// A directory on the tmpfs that its owner alone can read, cleared away when this is dropped. It is
/// held by a lock that ends with the process, so that [`sweep`] knows what a dead one left.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    _held: File,
}

impl Scratch {
    /// Makes one; `kind` is `draft` or `export`.
    ///
    /// # Errors
    /// When the tmpfs takes no directory.
    pub fn new(entropy: Entropy, kind: &str) -> io::Result<Self> {
        loop {
            let name = format!("shuyu-{kind}-{}", hex::encode(entropy.bytes::<8>()));
            let path = Path::new(TMPFS).join(name);
            std::fs::DirBuilder::new().mode(0o700).create(&path)?;
            // a sweep that came before the lock has taken it away
            let held = match File::open(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                opened => opened?,
            };
            flock(&held, FlockOperation::LockExclusive)?;
            if path.exists() {
                return Ok(Self { path, _held: held });
            }
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            tracing::warn!(%error, "hidden data laid open on a tmpfs could not be cleared away");
        }
    }
}

/// Clears away what processes that have died left in plain on the tmpfs; gives how many there were.
///
/// # Errors
/// When the tmpfs cannot be listed. What cannot be removed is logged.
pub fn sweep() -> io::Result<usize> {
    let mut swept = 0;
    for entry in std::fs::read_dir(TMPFS)?.flatten() {
        let name = entry.file_name();
        let ours = name.to_str().is_some_and(|name| PREFIXES.iter().any(|p| name.starts_with(p)));
        let Ok(kind) = entry.file_type() else { continue };
        if !ours || kind.is_symlink() {
            continue;
        }
        let path = entry.path();
        let Ok(held) = File::open(&path) else { continue };
        // whoever is alive holds theirs
        if flock(&held, FlockOperation::NonBlockingLockExclusive).is_err() {
            continue;
        }
        let removed =
            if kind.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
        match removed {
            Ok(()) => swept += 1,
            Err(error) => tracing::warn!(path = %path.display(), %error, "left on a tmpfs by a dead process"),
        }
    }
    Ok(swept)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_sweep_takes_what_the_dead_left_and_leaves_what_is_held() {
        let held = Scratch::new(Entropy, "draft").unwrap();
        assert_eq!(std::fs::metadata(held.path()).unwrap().permissions().mode() & 0o777, 0o700);
        let dead = Path::new(TMPFS).join(format!("shuyu-export-{}", hex::encode(Entropy.bytes::<8>())));
        std::fs::create_dir(&dead).unwrap();
        std::fs::write(dead.join("labels.csv"), "a").unwrap();
        assert!(sweep().unwrap() >= 1);
        assert!(!dead.exists() && held.path().exists());
        let path = held.path().to_owned();
        drop(held);
        assert!(!path.exists());
    }
}
