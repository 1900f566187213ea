//! What the host sees of a sandbox while it runs: its processes, with their privileges and files.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use shuyu::sandbox::End;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::lab::{Lab, entries};
use super::profile::hold;

/// The namespaces of a process, as the kernel names them.
#[derive(Debug)]
pub struct Namespaces {
    pub user: String,
    pub network: String,
    pub mounts: String,
}

impl Namespaces {
    /// The test's own: the host's.
    pub fn own() -> Self {
        Self::of(Path::new("/proc/self")).expect("our own namespaces")
    }

    fn of(process: &Path) -> Option<Self> {
        let name = |kind| Some(fs::read_link(process.join("ns").join(kind)).ok()?.display().to_string());
        Some(Self { user: name("user")?, network: name("net")?, mounts: name("mnt")? })
    }
}

/// A process of a sandbox. On gVisor these are its kernel, its file server, and the processes in
/// which it lets the program compute.
#[derive(Debug)]
pub struct HostProcess {
    pub uid: u32,
    /// The effective set.
    pub capabilities: u64,
    pub no_new_privileges: bool,
    /// Whether a seccomp filter is loaded.
    pub filtered: bool,
    pub namespaces: Namespaces,
    /// What its descriptors stand for.
    pub files: Vec<String>,
}

impl HostProcess {
    /// `None` where it has ended meanwhile.
    fn of(process: &Path) -> Option<Self> {
        let status = fs::read_to_string(process.join("status")).ok()?;
        let field = |name| {
            let value = status.lines().find_map(|line| line.strip_prefix(name));
            Some(value?.split_whitespace().next()?.to_owned())
        };
        let files = entries(&process.join("fd"));
        Some(Self {
            uid: field("Uid:")?.parse().ok()?,
            capabilities: u64::from_str_radix(&field("CapEff:")?, 16).ok()?,
            no_new_privileges: field("NoNewPrivs:")? == "1",
            filtered: field("Seccomp:")? == "2",
            namespaces: Namespaces::of(process)?,
            files: files
                .iter()
                .filter_map(|file| Some(fs::read_link(file).ok()?.display().to_string()))
                .collect(),
        })
    }
}

/// Every process in these control groups and the groups in them.
fn members(groups: Vec<PathBuf>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for group in groups {
        let listed = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
        found.extend(listed.lines().map(str::to_owned));
        found.extend(members(entries(&group).into_iter().filter(|path| path.is_dir()).collect()));
    }
    found
}

/// Runs a Python program and looks at it from the host once all of it is done, before it ends.
pub async fn seen(code: &str) -> Vec<HostProcess> {
    let lab = Lab::new().await;
    let code = format!("{code}\nimport time\nprint('all done', flush=True)\ntime.sleep(3600)");
    let mut spec = lab.python(&code);
    let (sink, mut chunks) = mpsc::channel(8);
    spec.log_sink = Some(sink);
    let cancel = CancellationToken::new();
    let watcher = async {
        let mut printed = Vec::new();
        while !printed.ends_with(b"all done\n") {
            let Some(chunk) = chunks.recv().await else { break };
            printed.extend_from_slice(&chunk.bytes);
        }
        let found = members(lab.groups());
        let processes = found.iter().filter_map(|id| HostProcess::of(&Path::new("/proc").join(id))).collect();
        cancel.cancel();
        processes
    };
    let (outcome, processes): (_, Vec<HostProcess>) = tokio::join!(hold(&lab, spec, cancel.clone()), watcher);
    let outcome = outcome.expect("held to its end");
    assert_eq!(outcome.end, End::Cancelled, "{}", outcome.log.text());
    drop(outcome);
    lab.finish().await;
    processes
}
