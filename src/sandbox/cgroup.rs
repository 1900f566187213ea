//! The control group around each run. The engine removes a container's own group when the container
//! stops; the parent we name stays, and tells afterwards what the run used and whether the kernel
//! killed one of its processes for memory.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use uuid::Uuid;

use super::label::{self, Owner};
use crate::ids::SandboxId;

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

    /// The groups of runs that there are, whoever made them, with their owners.
    pub(super) fn groups(&self) -> Vec<(Owner, Group)> {
        let slugs = self.slugs();
        slugs.iter().filter_map(|slug| Some((Owner::from_slug(slug)?, self.group(slug)))).collect()
    }

    /// The groups of interactive sandboxes that there are.
    pub(super) fn sandbox_groups(&self) -> Vec<(SandboxId, Group)> {
        let slugs = self.slugs();
        slugs.iter().filter_map(|slug| Some((label::sandbox_from_slug(slug)?, self.group(slug)))).collect()
    }

    /// The groups of run containers that wait, or waited, for their run.
    pub(super) fn warm_groups(&self) -> Vec<(Uuid, Group)> {
        let slugs = self.slugs();
        slugs.iter().filter_map(|slug| Some((label::warm_from_slug(slug)?, self.group(slug)))).collect()
    }

    /// Systemd clears away its own empty slices.
    fn slugs(&self) -> Vec<String> {
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
        slugs
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

/// What a running container uses.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Now {
    pub(super) cpu: Duration,
    /// Bytes, without the page cache that the kernel would give up first.
    pub(super) memory: u64,
    pub(super) pids: u64,
    /// Processes killed for memory so far.
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
        if self.layout.v2 {
            Usage {
                cpu: self.field("cpu", "cpu.stat", "usage_usec ").map(Duration::from_micros),
                peak_memory: self.number("memory", "memory.peak"),
                oom_kills: self.field("memory", "memory.events", "oom_kill ").unwrap_or(0),
            }
        } else {
            Usage {
                cpu: self.number("cpuacct", "cpuacct.usage").map(Duration::from_nanos),
                peak_memory: self.number("memory", "memory.max_usage_in_bytes"),
                oom_kills: 0,
            }
        }
    }

    /// What is used at this moment; `None` when the kernel has no such group.
    pub(super) fn now(&self) -> Option<Now> {
        let (memory, idle, cpu, oom_kills) = if self.layout.v2 {
            let cpu = self.field("cpu", "cpu.stat", "usage_usec ").map(Duration::from_micros);
            let kills = self.field("memory", "memory.events", "oom_kill ").unwrap_or(0);
            ("memory.current", "inactive_file ", cpu, kills)
        } else {
            let cpu = self.number("cpuacct", "cpuacct.usage").map(Duration::from_nanos);
            ("memory.usage_in_bytes", "total_inactive_file ", cpu, self.oom_kills_inside())
        };
        let idle = self.field("memory", "memory.stat", idle).unwrap_or(0);
        Some(Now {
            cpu: cpu?,
            memory: self.number("memory", memory)?.saturating_sub(idle),
            pids: self.number("pids", "pids.current")?,
            oom_kills,
        })
    }

    /// Version 1 counts them for each group alone: the container's is inside ours.
    fn oom_kills_inside(&self) -> u64 {
        let inside = fs::read_dir(self.layout.controller("memory").join(&self.path));
        let counts = inside.into_iter().flatten().flatten().filter_map(|entry| {
            let text = fs::read_to_string(entry.path().join("memory.oom_control")).ok()?;
            text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse::<u64>().ok())
        });
        counts.sum()
    }

    fn read(&self, controller: &str, file: &str) -> Option<String> {
        fs::read_to_string(self.layout.controller(controller).join(&self.path).join(file)).ok()
    }

    fn number(&self, controller: &str, file: &str) -> Option<u64> {
        self.read(controller, file)?.trim().parse().ok()
    }

    fn field(&self, controller: &str, file: &str, name: &str) -> Option<u64> {
        let text = self.read(controller, file)?;
        text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
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
