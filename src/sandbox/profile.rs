//! What every container is held to, and what differs between the kinds of run.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::models::{
    ContainerCreateBody, HostConfig, HostConfigCgroupnsModeEnum, HostConfigLogConfig, Mount,
    MountBindOptions, MountBindOptionsPropagationEnum, MountType, ResourcesUlimits,
};
use tokio::sync::mpsc;

use super::gpus::Gpus;
use super::label::RunLabel;
use super::log::LogChunk;
use super::run_relay::RUN_SOCKET_DIR;
use super::run_slot::APP;
use super::tmpfs::OutputSpec;
use super::warm::Kind;
use super::{SandboxError, seccomp};

/// User and group of every sandboxed process; it owns nothing on the host. The images know it as
/// `participant` (`scripts/image`).
pub const SANDBOX_UID: u32 = 61_000;

/// Size and file count of `/tmp` in a run container. Its memory is on top of the declared memory.
const TMP: (u64, u64) = (512 << 20, 65_536);
/// The same for `/dev/shm`, which Python's multiprocessing uses.
const SHM: (u64, u64) = (64 << 20, 1024);
const OPEN_FILES: i64 = 4096;
/// What of `/proc` and `/sys` reads as empty: what the engine masks by itself, in its newer versions too,
/// and the table of locks, in which the kernel shows each "open file description" lock (fcntl(2)) to every
/// container, with a range that the program chose.
const MASKED: [&str; 13] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/locks",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];
/// The runtime that puts a kernel of its own between the program and the host's.
pub(super) const GVISOR: &str = "runsc";
/// Host tasks of gVisor itself: so many for its kernel and its file server, and so many for each
/// process of the program, to compute in. Measured with build 20221219: 58 for a sleeping program,
/// about 5 for each further sleeping process; for busy ones it grows with the square, as every
/// thread of its kernel may come to run every process (8: 188, 20: 524, 40: 2,117).
const GVISOR_TASKS: (u32, u32) = (128, 16);
/// The engine refuses less (6 MiB), and no interpreter starts in it.
const LEAST_MEMORY: u64 = 16 << 20;

/// The kinds of run container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// A submission's program (or ingestion around it): sees input data, never reference data.
    Submission,
    /// The organizer's scoring program: sees predictions and reference data, no participant code.
    Scoring,
}

impl Profile {
    /// The name used in labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Submission => "submission",
            Self::Scoring => "scoring",
        }
    }

    /// What a run gets where the bundle says nothing: one processor, 2 GiB, 256 processes for a
    /// submission and 128 for a scorer.
    pub fn default_resources(self) -> Resources {
        let pids = match self {
            Self::Submission => 256,
            Self::Scoring => 128,
        };
        Resources { cpus: 1.0, memory: 2 << 30, pids }
    }
}

/// What a run may use at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Resources {
    /// Processors; 0.5 is half of one. More than the machine has is cut to that.
    pub cpus: f64,
    /// Bytes for the program itself. The container's limit is this plus the sizes of its tmpfs
    /// mounts (output, `/tmp`, `/dev/shm`), since the kernel charges those to it; there is no swap.
    pub memory: u64,
    /// Processes and threads together. On gVisor the host counts more than those (`host_tasks`).
    pub pids: u32,
}

/// A directory or file of the host that the program may read. Mounts below it are not seen, and what is
/// changed there later may or may not be. It must be readable for everyone (0644, 0755): the sandbox's
/// user owns nothing. Each container sees it with inodes of its own (`apart.rs`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadOnlyBind {
    /// An existing absolute path.
    pub host: PathBuf,
    /// Where the program sees it, an absolute path.
    pub container: String,
}

/// A directory that two containers write at the same time: the one exception to the diode, where an
/// organizer opted in. Its memory is on top of the declared memory of each.
#[derive(Clone, Debug)]
pub struct SharedBind {
    /// [`super::SharedDir::path`], an existing absolute path.
    pub host: PathBuf,
    /// Where the programs see it, an absolute path.
    pub container: String,
    /// Bytes that fit.
    pub bytes: u64,
}

/// One step of a run, to be held in a container of its own.
#[derive(Debug)]
pub struct RunSpec {
    /// The kind of run.
    pub profile: Profile,
    /// Whose it is.
    pub label: RunLabel,
    /// A local image ([`super::ImageTable::local`]).
    pub image: String,
    /// Program and arguments; no shell is put around it.
    pub command: Vec<String>,
    /// Working directory, an absolute path in the container; read-only unless it is the output.
    pub workdir: String,
    /// Environment on top of the image's. `HOME=/tmp`, `PYTHONUNBUFFERED=1` and the thread counts of
    /// numerical libraries are set already, and can be replaced here.
    pub env: Vec<(String, String)>,
    /// What the program may read.
    pub binds: Vec<ReadOnlyBind>,
    /// What it may write, besides `/tmp` and `/dev/shm`.
    pub output: OutputSpec,
    /// What it shares with the container that runs beside it.
    pub shared: Option<SharedBind>,
    /// The directory with the socket of its relay ([`super::RunRelay`]), for an app that is asked questions. Such
    /// a run ends when it is cancelled, and its container is killed with its removal.
    pub relay: Option<PathBuf>,
    /// What it may use at a time.
    pub resources: Resources,
    /// The graphics processors it may use; ordinarily none.
    pub gpus: Option<Gpus>,
    /// How long it may take, from its start.
    pub wall_clock: Duration,
    /// How long it may print nothing; `None` for as long as it likes.
    pub silent_limit: Option<Duration>,
    /// Bytes of standard output and standard error to keep.
    pub log_cap: usize,
    /// Where to send output as it comes, up to `log_cap` bytes. Chunks are dropped rather than
    /// waited for when the receiver is slow.
    pub log_sink: Option<mpsc::Sender<LogChunk>>,
}

impl RunSpec {
    /// The container's hard memory limit in bytes.
    pub(super) fn memory_limit(&self) -> u64 {
        let shared = self.shared.as_ref().map_or(0, |shared| shared.bytes);
        self.resources.memory + self.output.bytes + shared + TMP.0 + SHM.0
    }

    /// The relay's directory as it is mounted.
    pub(super) fn relay_bind(&self) -> Option<ReadOnlyBind> {
        self.relay.clone().map(|host| ReadOnlyBind { host, container: RUN_SOCKET_DIR.to_owned() })
    }

    pub(super) fn check(&self) -> Result<(), SandboxError> {
        check_program(&self.command, &self.env, &self.resources)?;
        let relay = self.relay_bind().map(|bind| bind.container);
        let targets = self.binds.iter().map(|bind| &bind.container).chain(&relay);
        let targets = targets.chain(self.shared.iter().map(|shared| &shared.container));
        check_targets(targets.chain([&self.output.container]), &self.workdir)
    }
}

/// Refuses what no container can be started with.
pub(super) fn check_program(
    command: &[String],
    env: &[(String, String)],
    resources: &Resources,
) -> Result<(), SandboxError> {
    let refuse = |what: String| Err(SandboxError::Spec { what });
    if command.is_empty() {
        return refuse("the command is empty".to_owned());
    }
    if !resources.cpus.is_finite() || resources.cpus < 0.01 {
        return refuse(format!("{} processors; at least 0.01 are needed", resources.cpus));
    }
    if resources.memory < LEAST_MEMORY {
        return refuse(format!("{} bytes of memory; at least {LEAST_MEMORY} are needed", resources.memory));
    }
    if resources.pids < 4 {
        return refuse(format!("{} processes; at least 4 are needed", resources.pids));
    }
    let words = command.iter().chain(env.iter().flat_map(|(name, value)| [name, value]));
    if words.into_iter().any(|word| word.contains('\0')) {
        return refuse("the command or the environment has a NUL character".to_owned());
    }
    Ok(())
}

/// Refuses paths in the container that are relative, and two mounts at the same place.
pub(super) fn check_targets<'a>(
    targets: impl Iterator<Item = &'a String>,
    workdir: &str,
) -> Result<(), SandboxError> {
    let refuse = |what: String| Err(SandboxError::Spec { what });
    let mut targets: Vec<&str> = targets.map(|path| path.trim_end_matches('/')).collect();
    if let Some(path) = targets.iter().chain([&workdir]).find(|path| !path.starts_with('/')) {
        return refuse(format!("{path:?} in the container is not an absolute path"));
    }
    targets.sort_unstable();
    match targets.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => refuse(format!("{} is mounted twice", pair[0])),
        None => Ok(()),
    }
}

/// What a container is called and belongs to, beside its specification.
pub(super) struct Place<'a> {
    pub(super) labels: HashMap<String, String>,
    pub(super) cgroup_parent: &'a str,
    pub(super) runtime: &'a str,
    /// Processors of the machine.
    pub(super) cpus: f64,
}

/// A container of any kind, for [`container`].
pub(super) struct Held<'a> {
    pub(super) image: &'a str,
    pub(super) command: &'a [String],
    pub(super) workdir: &'a str,
    pub(super) env: &'a [(String, String)],
    /// `HOME`, where the environment does not name another.
    pub(super) home: &'a str,
    pub(super) mounts: Vec<Mount>,
    /// Bytes and file count of `/tmp`.
    pub(super) tmp: (u64, u64),
    /// The same for `/dev/shm`.
    pub(super) shm: (u64, u64),
    pub(super) resources: &'a Resources,
    pub(super) gpus: Option<&'a Gpus>,
    /// The hard limit in bytes, tmpfs included.
    pub(super) memory_limit: u64,
    /// Bytes of the longest file that may be written.
    pub(super) longest_file: u64,
    pub(super) log: HostConfigLogConfig,
    pub(super) place: Place<'a>,
}

/// How many tasks of the host a run may have. On gVisor nobody counts the program's own processes:
/// the host counts gVisor's tasks, and refused one, gVisor dies with everything in it. So it is given
/// what programs with that many processes ordinarily make it need.
fn host_tasks(pids: u32, runtime: &str) -> i64 {
    let tasks = match runtime {
        GVISOR => pids.saturating_mul(GVISOR_TASKS.1).saturating_add(GVISOR_TASKS.0),
        _ => pids,
    };
    i64::from(tasks)
}

/// The body of the engine's create call for a run container, whose output lies at `output`.
pub(super) fn run_container(spec: &RunSpec, output: String, place: Place<'_>) -> ContainerCreateBody {
    let mut mounts: Vec<Mount> = spec.binds.iter().map(read_only_mount).collect();
    mounts.push(bind_mount(output, &spec.output.container, false));
    if let Some(shared) = &spec.shared {
        mounts.push(bind_mount(shared.host.to_string_lossy().into_owned(), &shared.container, false));
    }
    mounts.extend(spec.relay_bind().as_ref().map(read_only_mount));
    let memory_limit = spec.memory_limit();
    container(Held {
        image: &spec.image,
        command: &spec.command,
        workdir: &spec.workdir,
        env: &spec.env,
        home: "/tmp",
        mounts,
        tmp: TMP,
        shm: SHM,
        resources: &spec.resources,
        gpus: spec.gpus.as_ref(),
        memory_limit,
        longest_file: memory_limit,
        log: HostConfigLogConfig { typ: Some("none".to_owned()), config: None },
        place,
    })
}

/// The body of the engine's create call for a run container that waits for its run, with the slot in
/// which that run's directories will be mounted.
pub(super) fn waiting_container(kind: &Kind, slot: &Path, place: Place<'_>) -> ContainerCreateBody {
    let resources = Resources { cpus: kind.cpus(), memory: kind.memory_limit, pids: kind.pids };
    let body = container(Held {
        image: &kind.image,
        command: &["shuyu-start".to_owned()],
        workdir: "/",
        env: &[],
        home: "/tmp",
        mounts: vec![slot_mount(slot, APP)],
        tmp: TMP,
        shm: SHM,
        resources: &resources,
        gpus: None,
        memory_limit: kind.memory_limit,
        longest_file: kind.memory_limit,
        log: HostConfigLogConfig { typ: Some("none".to_owned()), config: None },
        place,
    });
    ContainerCreateBody { attach_stdin: Some(true), open_stdin: Some(true), stdin_once: Some(true), ..body }
}

/// The body of the engine's create call for a container of any kind.
pub(super) fn container(held: Held<'_>) -> ContainerCreateBody {
    let cpus = held.resources.cpus.min(held.place.cpus);
    let tasks = host_tasks(held.resources.pids, held.place.runtime);
    let host = HostConfig {
        mounts: Some(held.mounts),
        tmpfs: Some(HashMap::from([
            ("/tmp".to_owned(), tmpfs_options(held.tmp, "exec")),
            ("/dev/shm".to_owned(), tmpfs_options(held.shm, "noexec")),
        ])),
        runtime: Some(held.place.runtime.to_owned()),
        cgroup_parent: Some(held.place.cgroup_parent.to_owned()),
        log_config: Some(held.log),
        device_requests: held.gpus.map(|gpus| vec![gpus.request()]),
        ..isolation(cpus, held.memory_limit, held.longest_file, tasks)
    };
    ContainerCreateBody {
        image: Some(held.image.to_owned()),
        entrypoint: Some(Vec::new()),
        cmd: Some(held.command.to_vec()),
        working_dir: Some(held.workdir.to_owned()),
        env: Some(environment(held.env, held.home, cpus)),
        user: Some(format!("{SANDBOX_UID}:{SANDBOX_UID}")),
        hostname: Some("sandbox".to_owned()),
        network_disabled: Some(true),
        attach_stdin: Some(false),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        tty: Some(false),
        open_stdin: Some(false),
        labels: Some(held.place.labels),
        host_config: Some(host),
        ..ContainerCreateBody::default()
    }
}

/// What holds for every container without exception, whatever is mounted into it.
fn isolation(cpus: f64, memory: u64, longest_file: u64, tasks: i64) -> HostConfig {
    let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let memory = signed(memory);
    let limit = |name: &str, value: i64| ResourcesUlimits {
        name: Some(name.to_owned()),
        soft: Some(value),
        hard: Some(value),
    };
    HostConfig {
        network_mode: Some("none".to_owned()),
        cap_drop: Some(vec!["ALL".to_owned()]),
        security_opt: Some(vec!["no-new-privileges".to_owned(), format!("seccomp={}", seccomp::profile())]),
        readonly_rootfs: Some(true),
        privileged: Some(false),
        init: Some(true),
        memory: Some(memory),
        memory_swap: Some(memory),
        nano_cpus: Some((cpus * 1e9) as i64),
        pids_limit: Some(tasks),
        // Counted by the kernel over all sandboxes, since they share a user: POSIX queues none.
        ulimits: Some(vec![
            limit("core", 0),
            limit("nofile", OPEN_FILES),
            limit("fsize", signed(longest_file)),
            limit("msgqueue", 0),
        ]),
        oom_score_adj: Some(1000),
        masked_paths: Some(MASKED.map(str::to_owned).to_vec()),
        ipc_mode: Some("private".to_owned()),
        cgroupns_mode: Some(HostConfigCgroupnsModeEnum::PRIVATE),
        auto_remove: Some(false),
        ..HostConfig::default()
    }
}

/// Mounts below it are not seen.
pub(super) fn read_only_mount(bind: &ReadOnlyBind) -> Mount {
    bind_mount(bind.host.to_string_lossy().into_owned(), &bind.container, true)
}

/// A directory of the host in which mounts that the host makes later appear, with the options they have
/// there: the one exception to private propagation. What it holds itself is read-only by its own file
/// system: gVisor takes a read-only bind to mean what is mounted in it too, and engines from 25 on likewise.
pub(super) fn slot_mount(host: &Path, container: &str) -> Mount {
    Mount {
        bind_options: Some(MountBindOptions {
            propagation: Some(MountBindOptionsPropagationEnum::RSLAVE),
            non_recursive: Some(false),
            ..MountBindOptions::default()
        }),
        ..bind_mount(host.to_string_lossy().into_owned(), container, false)
    }
}

fn bind_mount(host: String, container: &str, read_only: bool) -> Mount {
    Mount {
        typ: Some(MountType::BIND),
        source: Some(host),
        target: Some(container.to_owned()),
        read_only: Some(read_only),
        bind_options: Some(MountBindOptions {
            propagation: Some(MountBindOptionsPropagationEnum::RPRIVATE),
            // A mount below it would stay writable: engines before 25 set read-only on the top alone.
            non_recursive: Some(true),
            ..MountBindOptions::default()
        }),
        ..Mount::default()
    }
}

fn tmpfs_options((bytes, inodes): (u64, u64), exec: &str) -> String {
    format!("rw,nosuid,nodev,{exec},size={bytes},nr_inodes={inodes},mode=1777")
}

fn environment(env: &[(String, String)], home: &str, cpus: f64) -> Vec<String> {
    let threads = (cpus.ceil() as u64).max(1).to_string();
    let defaults = [
        ("HOME", home),
        ("PYTHONUNBUFFERED", "1"),
        // Numerical libraries count the machine's processors, not the share a run has of them.
        ("OMP_NUM_THREADS", &*threads),
        ("OPENBLAS_NUM_THREADS", &*threads),
        // Threads that wait by spinning hold up the very ones they wait for where processors are shared:
        // scikit-learn's boosting took 40 times as long on a busy machine.
        ("OMP_WAIT_POLICY", "passive"),
    ];
    let given = env.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let kept = defaults.into_iter().filter(|(name, _)| env.iter().all(|(given, _)| given != name));
    kept.chain(given).map(|(name, value)| format!("{name}={value}")).collect()
}
