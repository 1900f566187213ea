//! The control group around each run. The engine removes a container's own group when the container
//! stops; the parent we name stays, and tells afterwards what the run used and whether the kernel
//! killed one of its processes for memory.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::label::Owner;

const ROOT: &str = "/sys/fs/cgroup";

/// How the engine arranges control groups on this machine.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// `/sys/fs/cgroup` itself on version 2, each hierarchy's directory on version 1.
    hierarchies: Vec<PathBuf>,
    v2: bool,
    systemd: bool,
    instance: String,
}

impl Layout {
    pub(super) fn new(v2: bool, systemd: bool, instance: &str) -> Self {
        let hierarchies = if v2 {
            vec![PathBuf::from(ROOT)]
        } else {
            let listed = fs::read_dir(ROOT).into_iter().flatten().flatten();
            listed.map(|entry| entry.path()).filter(|path| path.join("cgroup.procs").exists()).collect()
        };
        Self { hierarchies, v2, systemd, instance: instance.to_owned() }
    }

    /// The group of the run step with this slug; the runtime creates it with the container.
    pub(super) fn group(&self, slug: &str) -> Group {
        if self.systemd {
            // In a slice's name every dash is a level: shuyu.slice/shuyu-INSTANCE.slice/….
            let instance = self.instance.replace('-', "_");
            let name = format!("shuyu-{instance}-{}.slice", slug.replace('-', "_"));
            let path = format!("shuyu.slice/shuyu-{instance}.slice/{name}");
            return Group { layout: self.clone(), parent: name, path: path.into() };
        }
        let path = format!("shuyu/{}/{slug}", self.instance);
        Group { layout: self.clone(), parent: format!("/{path}"), path: path.into() }
    }

    /// Slugs of the groups there are, whoever made them, with their owners. Systemd clears away its
    /// own empty slices.
    pub(super) fn groups(&self) -> Vec<(Owner, Group)> {
        if self.systemd {
            return Vec::new();
        }
        let listed = self
            .hierarchies
            .iter()
            .filter_map(|root| fs::read_dir(root.join("shuyu").join(&self.instance)).ok());
        let mut slugs: Vec<String> =
            listed.flatten().flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
        slugs.sort_unstable();
        slugs.dedup();
        slugs.iter().filter_map(|slug| Some((Owner::from_slug(slug)?, self.group(slug)))).collect()
    }

    fn controller(&self, name: &str) -> PathBuf {
        if self.v2 { PathBuf::from(ROOT) } else { Path::new(ROOT).join(name) }
    }
}

/// What a run used.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage {
    pub(super) cpu: Option<Duration>,
    /// Bytes, page cache and tmpfs included.
    pub(super) peak_memory: Option<u64>,
    /// Processes killed for memory, where the kernel tells it for a whole group (version 2).
    pub(super) oom_kills: u64,
}

/// One run step's group, the parent of its container's.
#[derive(Clone, Debug)]
pub(super) struct Group {
    layout: Layout,
    /// What the engine is given as `CgroupParent`.
    pub(super) parent: String,
    path: PathBuf,
}

impl Group {
    /// Reads the counters, which the kernel keeps for the container's group after that is gone.
    pub(super) fn usage(&self) -> Usage {
        let read = |controller: &str, file: &str| {
            fs::read_to_string(self.layout.controller(controller).join(&self.path).join(file)).ok()
        };
        let number = |text: Option<String>| text.and_then(|text| text.trim().parse::<u64>().ok());
        if self.layout.v2 {
            let field = |file: &str, name: &str| {
                let text = read("", file)?;
                text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok())
            };
            Usage {
                cpu: field("cpu.stat", "usage_usec ").map(Duration::from_micros),
                peak_memory: number(read("", "memory.peak")),
                oom_kills: field("memory.events", "oom_kill ").unwrap_or(0),
            }
        } else {
            Usage {
                cpu: number(read("cpuacct", "cpuacct.usage")).map(Duration::from_nanos),
                peak_memory: number(read("memory", "memory.max_usage_in_bytes")),
                oom_kills: 0,
            }
        }
    }

    /// Removes the empty group. Returns whether there was one.
    ///
    /// # Errors
    /// The operating system's, when a process still lives in it.
    pub(super) fn remove(&self) -> io::Result<bool> {
        if self.layout.systemd {
            return Ok(false);
        }
        let mut found = false;
        for root in &self.layout.hierarchies {
            match remove_tree(&root.join(&self.path)) {
                Ok(()) => found = true,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }
}

/// Groups are directories whose files cannot be removed and need not be.
fn remove_tree(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    fs::remove_dir(path)
}
