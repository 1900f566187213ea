//! Removes what a crash left behind: containers, mounts, directories and control groups whose owner
//! no longer lives. `Drop` cannot survive a SIGKILL; this does.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use bollard::models::ContainerSummary;
use bollard::query_parameters::ListContainersOptionsBuilder;

use super::cgroup::Group;
use super::engine::Engine;
use super::home;
use super::homes;
use super::label::{self, Owner, SandboxLabel, WarmLabel};
use super::tmpfs::unmount_and_remove;
use super::{SandboxError, mounts};
use crate::ids::SandboxId;

/// How much the reaper found and removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reaped {
    /// Containers, running or not.
    pub containers: usize,
    /// Mounts under the work directory.
    pub mounts: usize,
    /// Directories of runs and sandboxes under the work directory.
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
    /// Removes everything of this instance's runs whose owner is not `alive`, and every container past its
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
        for mount in mounts_below(&runs)? {
            if owner_of(&runs, &mount).is_none_or(|owner| alive(&owner)) {
                continue;
            }
            reaped.mounts += usize::from(unmounted(&mount));
        }
        for entry in fs::read_dir(&runs).into_iter().flatten().flatten() {
            let path = entry.path();
            if owner_of(&runs, &path).is_none_or(|owner| alive(&owner)) {
                continue;
            }
            reaped.directories += usize::from(remove_empty_tree(&path));
        }
        for (owner, group) in self.0.layout.groups() {
            if !alive(&owner) {
                reaped.cgroups += usize::from(cleared(&group));
            }
        }
        self.reap_warm(&mut reaped)?;
        reaped.directories += self.reap_relays();
        Ok(reaped)
    }

    /// The slots and control groups of run containers that waited for their run; their containers are
    /// gone by now.
    fn reap_warm(&self, reaped: &mut Reaped) -> Result<(), SandboxError> {
        // The kernel shows real paths.
        let Ok(warm) = self.warm().canonicalize() else { return Ok(()) };
        let forgotten = |path: &Path| {
            let inside = path.strip_prefix(&warm).ok().and_then(|path| path.components().next());
            let id = inside.and_then(|name| name.as_os_str().to_str()?.parse().ok());
            id.is_some_and(|id| !self.0.shelf.has(id))
        };
        for mount in mounts_below(&warm)? {
            if forgotten(&mount) {
                reaped.mounts += usize::from(unmounted(&mount));
            }
        }
        for entry in fs::read_dir(&warm).into_iter().flatten().flatten() {
            if forgotten(&entry.path()) {
                reaped.directories += usize::from(remove_empty_tree(&entry.path()));
            }
        }
        for (id, group) in self.0.layout.warm_groups() {
            if !self.0.shelf.has(id) {
                reaped.cgroups += usize::from(cleared(&group));
            }
        }
        Ok(())
    }

    /// The same for interactive sandboxes: containers, slots, control groups, and homes, which are put
    /// away ([`super::Home::detach`]), never erased. What belongs to a container past its deadline goes with
    /// it, whoever owns it.
    ///
    /// # Errors
    /// As [`reap`](Self::reap).
    pub async fn reap_sandboxes(
        &self,
        alive: impl Fn(SandboxId) -> bool + Send,
    ) -> Result<Reaped, SandboxError> {
        let mut reaped = Reaped::default();
        let now = self.0.settings.clock.millis();
        let mut late = HashSet::new();
        for (container, label) in self.listed_sandboxes().await? {
            if label.is_some_and(|label| label.deadline >= now && alive(label.id)) {
                continue;
            }
            late.extend(label.map(|label| label.id));
            reaped.containers += usize::from(told(&container, self.thaw_and_remove(&container).await));
        }
        let alive = |id: &SandboxId| alive(*id) && !late.contains(id);
        let sandboxes = self.sandboxes();
        for mount in mounts_below(&sandboxes)? {
            let Some(id) = sandbox_of(&sandboxes, &mount).filter(|id| !alive(id)) else { continue };
            self.forget_printed(id);
            reaped.mounts += usize::from(put_away(&homes::home_point(&sandboxes, id), &mount).await);
        }
        for entry in fs::read_dir(&sandboxes).into_iter().flatten().flatten() {
            if sandbox_of(&sandboxes, &entry.path()).is_some_and(|id| !alive(&id)) {
                reaped.directories += usize::from(remove_empty_tree(&entry.path()));
            }
        }
        for (id, group) in self.0.layout.sandbox_groups() {
            if !alive(&id) {
                reaped.cgroups += usize::from(cleared(&group));
            }
        }
        Ok(reaped)
    }

    async fn reap_containers(&self, alive: &(impl Fn(&Owner) -> bool + Send)) -> Result<usize, SandboxError> {
        let now = self.0.settings.clock.millis();
        let mut removed = 0;
        for container in self.listed().await? {
            let labels = container.labels.unwrap_or_default();
            let forgotten = match WarmLabel::read(&labels) {
                Some(warm) => warm.deadline < now || !self.0.shelf.has(warm.id),
                None => label::read_docker(&labels)
                    .is_none_or(|(owner, deadline)| deadline < now || !alive(&owner)),
            };
            if is_sandbox(&labels) || !forgotten {
                continue;
            }
            let id = container.id.unwrap_or_default();
            removed += usize::from(told(&id, self.remove(&id).await));
        }
        Ok(removed)
    }

    /// The containers of interactive sandboxes, with what their labels say where that can be read.
    pub(super) async fn listed_sandboxes(&self) -> Result<Vec<(String, Option<SandboxLabel>)>, SandboxError> {
        let sandbox = |container: ContainerSummary| {
            let labels = container.labels.unwrap_or_default();
            Some((container.id.filter(|_| is_sandbox(&labels))?, SandboxLabel::read(&labels)))
        };
        Ok(self.listed().await?.into_iter().filter_map(sandbox).collect())
    }

    /// Every container of this instance.
    async fn listed(&self) -> Result<Vec<ContainerSummary>, SandboxError> {
        let ours = format!("{}={}", label::INSTANCE, self.0.settings.instance);
        let filters = HashMap::from([("label", vec![ours])]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        let listed = self.0.docker.list_containers(Some(options)).await;
        listed.map_err(|error| SandboxError::engine("list containers", error))
    }
}

/// Whether a container was removed.
fn told(container: &str, removed: Result<(), SandboxError>) -> bool {
    removed.inspect_err(|error| tracing::warn!(container, %error, "cannot remove a container")).is_ok()
}

fn is_sandbox(labels: &HashMap<String, String>) -> bool {
    labels.get(label::KIND).is_some_and(|kind| kind == label::SANDBOX)
}

fn cleared(group: &Group) -> bool {
    group.remove().unwrap_or_else(|error| {
        tracing::warn!(group = group.parent, %error, "cannot remove a control group");
        false
    })
}

fn unmounted(mount: &Path) -> bool {
    let done = unmount_and_remove(mount);
    done.inspect_err(|error| tracing::warn!(mount = %mount.display(), %error, "cannot unmount")).is_ok()
}

/// Unmounts something of a sandbox; a home in its own way, so that nothing of it is lost.
async fn put_away(home: &Path, mount: &Path) -> bool {
    if !home.canonicalize().is_ok_and(|home| home == mount) {
        return unmounted(mount);
    }
    let done = match home::find_at(mount.to_path_buf()) {
        Ok(Some(home)) => home.detach().await,
        Ok(None) => return unmounted(mount),
        Err(error) => Err(error),
    };
    done.inspect_err(|error| tracing::warn!(home = %mount.display(), %error, "cannot put a home away"))
        .is_ok()
}

/// Mount points strictly below `directory`, inner ones first.
fn mounts_below(directory: &Path) -> Result<Vec<PathBuf>, SandboxError> {
    let found = mounts::below(directory);
    let found = found.map_err(|error| SandboxError::host("read the mounts of", directory, error))?;
    Ok(found.into_iter().map(|mount| mount.point).collect())
}

/// The sandbox that the first component of `path` below `sandboxes` names.
fn sandbox_of(sandboxes: &Path, path: &Path) -> Option<SandboxId> {
    let sandboxes = sandboxes.canonicalize().ok()?;
    let name =
        path.canonicalize().ok()?.strip_prefix(sandboxes).ok()?.components().next()?.as_os_str().to_owned();
    name.to_str()?.parse().ok()
}

/// The owner that the first component of `path` below `runs` names.
fn owner_of(runs: &Path, path: &Path) -> Option<Owner> {
    let slug = path.strip_prefix(runs).ok()?.components().next()?;
    Owner::from_slug(slug.as_os_str().to_str()?)
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
    fn only_slugs_below_the_directory_have_an_owner() {
        let runs = Path::new("/w/runs");
        let slug = "0193e4a0-0000-7000-8000-00000000002a-1-scoring";
        assert!(owner_of(runs, &runs.join(slug).join("output")).is_some());
        assert!(owner_of(runs, &runs.join("other")).is_none());
        assert!(owner_of(runs, Path::new("/w").join(slug).as_path()).is_none());
    }
}
