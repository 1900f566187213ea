//! Removes what a crash left behind: containers, mounts, directories and control groups whose owner
//! no longer lives. `Drop` cannot survive a SIGKILL; this does.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bollard::query_parameters::ListContainersOptionsBuilder;

use super::SandboxError;
use super::engine::Engine;
use super::label::{self, Owner};
use super::tmpfs::unmount_and_remove;

/// How much the reaper found and removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reaped {
    /// Containers, running or not.
    pub containers: usize,
    /// Mounts under the work directory.
    pub mounts: usize,
    /// Directories of runs under the work directory.
    pub directories: usize,
    /// Control groups.
    pub cgroups: usize,
}

impl Reaped {
    /// Whether there was nothing to do.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl Engine {
    /// Removes everything of this instance whose owner is not `alive`, and every container past its
    /// deadline. Call it at the start, when nobody is alive yet, and every minute. What belongs to
    /// other instances, or is not labelled as ours, is never touched.
    ///
    /// # Errors
    /// [`SandboxError::EngineLost`] when the containers cannot be listed; nothing is removed then,
    /// since mounts may be in use. A single thing that cannot be removed is logged, not counted,
    /// and tried again the next time.
    pub async fn reap(&self, alive: impl Fn(&Owner) -> bool + Send) -> Result<Reaped, SandboxError> {
        let mut reaped = Reaped { containers: self.reap_containers(&alive).await?, ..Reaped::default() };
        let runs = self.runs();
        for mount in
            mounts_below(&runs).map_err(|error| SandboxError::host("read the mounts of", &runs, error))?
        {
            if owner_of(&runs, &mount).is_none_or(|owner| alive(&owner)) {
                continue;
            }
            match unmount_and_remove(&mount) {
                Ok(()) => reaped.mounts += 1,
                Err(error) => tracing::warn!(mount = %mount.display(), %error, "cannot unmount"),
            }
        }
        for entry in fs::read_dir(&runs).into_iter().flatten().flatten() {
            let path = entry.path();
            if owner_of(&runs, &path).is_none_or(|owner| alive(&owner)) {
                continue;
            }
            reaped.directories += usize::from(remove_empty_tree(&path));
        }
        for (owner, group) in self.0.layout.groups() {
            if alive(&owner) {
                continue;
            }
            match group.remove() {
                Ok(found) => reaped.cgroups += usize::from(found),
                Err(error) => tracing::warn!(group = group.parent, %error, "cannot remove a control group"),
            }
        }
        Ok(reaped)
    }

    async fn reap_containers(&self, alive: &(impl Fn(&Owner) -> bool + Send)) -> Result<usize, SandboxError> {
        let ours = format!("{}={}", label::INSTANCE, self.0.settings.instance);
        let filters = HashMap::from([("label", vec![ours])]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        let listed = self.0.docker.list_containers(Some(options)).await;
        let listed = listed.map_err(|error| SandboxError::engine("list containers", error))?;
        let now = self.0.settings.clock.millis();
        let forgotten: Vec<String> = listed
            .into_iter()
            .filter(|container| {
                let labels = container.labels.clone().unwrap_or_default();
                label::read_docker(&labels).is_none_or(|(owner, deadline)| deadline < now || !alive(&owner))
            })
            .filter_map(|container| container.id)
            .collect();
        let mut removed = 0;
        for id in forgotten {
            match self.remove(&id).await {
                Ok(()) => removed += 1,
                Err(error) => tracing::warn!(container = id, %error, "cannot remove a container"),
            }
        }
        Ok(removed)
    }
}

/// The owner that the first component of `path` below `runs` names.
fn owner_of(runs: &Path, path: &Path) -> Option<Owner> {
    let slug = path.strip_prefix(runs).ok()?.components().next()?;
    Owner::from_slug(slug.as_os_str().to_str()?)
}

/// Mount points strictly below `directory`, inner ones first.
fn mounts_below(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let table = fs::read_to_string("/proc/self/mountinfo")?;
    // The kernel shows real paths.
    let Ok(directory) = directory.canonicalize() else { return Ok(Vec::new()) };
    let points = table.lines().filter_map(|line| line.split(' ').nth(4)).map(unescape);
    let mut found: Vec<PathBuf> =
        points.filter(|point| point.starts_with(&directory) && *point != directory).collect();
    found.reverse();
    Ok(found)
}

/// Undoes mountinfo's octal escapes of space, tab, newline and backslash (proc(5)).
fn unescape(field: &str) -> PathBuf {
    let plain = field.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n");
    PathBuf::from(plain.replace("\\134", "\\"))
}

/// Removes a directory and the empty directories in it. Files, or a mount that is still there, stop
/// it: nothing of ours has any.
fn remove_empty_tree(path: &Path) -> bool {
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) || !remove_empty_tree(&entry.path()) {
            tracing::warn!(path = %path.display(), "left alone: it is not empty");
            return false;
        }
    }
    fs::remove_dir(path).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_mount_points_are_read() {
        assert_eq!(unescape("/a\\040b\\134c"), Path::new("/a b\\c"));
    }

    #[test]
    fn only_slugs_below_the_directory_have_an_owner() {
        let runs = Path::new("/w/runs");
        let slug = "0193e4a0-0000-7000-8000-00000000002a-1-scoring";
        assert!(owner_of(runs, &runs.join(slug).join("output")).is_some());
        assert!(owner_of(runs, &runs.join("other")).is_none());
        assert!(owner_of(runs, Path::new("/w").join(slug).as_path()).is_none());
    }
}
