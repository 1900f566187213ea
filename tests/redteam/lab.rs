//! A laboratory for one test: an instance of its own on the real engine, a program to run, and the
//! check that nothing of it is left afterwards.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use shuyu::clock::{Clock, Entropy};
use shuyu::sandbox::{
    End, Engine, OutputSpec, Owner, PYTHON_IMAGE, Profile, ReadOnlyBind, Resources, RunLabel, RunSpec,
    SandboxSettings, Step,
};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::profile::{Outcome, hold};

pub const MIB: u64 = 1 << 20;

/// Calls the kernel by number and names the error, so that a test can ask for the exact one.
const PRELUDE: &str = r#"
import ctypes, errno, os, platform, sys
libc = ctypes.CDLL(None, use_errno=True)
_NUMBERS = {
    "x86_64": dict(add_key=248, bpf=321, clone=56, clone3=435, fsopen=430, io_uring_setup=425, keyctl=250,
        mount=165, move_mount=429, name_to_handle_at=303, open_by_handle_at=304, open_tree=428,
        perf_event_open=298, pivot_root=155, process_vm_readv=310, ptrace=101, request_key=249, setns=308,
        umount2=166, unshare=272, userfaultfd=323),
    "aarch64": dict(add_key=217, bpf=280, clone=220, clone3=435, fsopen=430, io_uring_setup=425, keyctl=219,
        mount=40, move_mount=429, name_to_handle_at=264, open_by_handle_at=265, open_tree=428,
        perf_event_open=241, pivot_root=41, process_vm_readv=270, ptrace=117, request_key=218, setns=268,
        umount2=39, unshare=97, userfaultfd=282),
}[platform.machine()]

def named(action):
    """What the action fails with, by name; "OK" when it does not."""
    try:
        action()
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))
    return "OK"

def syscall(name, *args):
    ctypes.set_errno(0)
    args = [ctypes.c_char_p(a) if isinstance(a, bytes) else ctypes.c_long(a) for a in args]
    result = libc.syscall(ctypes.c_long(_NUMBERS[name]), *args)
    return "OK" if result >= 0 else errno.errorcode[ctypes.get_errno()]
"#;

fn runtime() -> String {
    std::env::var("SHUYU_TEST_RUNTIME").unwrap_or_else(|_| "runc".to_owned())
}

/// Whether the tests run on gVisor, which answers system calls with a kernel of its own.
pub fn gvisor() -> bool {
    runtime() == "runsc"
}

/// What is expected on the host's kernel, and what on gVisor.
pub fn on<T>(runc: T, runsc: T) -> T {
    if gvisor() { runsc } else { runc }
}

pub struct Lab {
    pub engine: Engine,
    pub settings: SandboxSettings,
    pub dir: TempDir,
}

/// What came of a run.
pub struct Ran {
    pub outcome: Outcome,
    pub printed: String,
}

impl Lab {
    pub async fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let settings = SandboxSettings {
            instance: format!("test_{}", hex::encode(Entropy.bytes::<8>())),
            work_dir: dir.path().join("work dir"),
            runtime: runtime(),
            socket: None,
            clock: Clock::movable(),
        };
        let engine = Engine::connect(settings.clone()).await.expect("the Docker engine runs");
        engine.check_image(PYTHON_IMAGE).await.expect("scripts/image python has been run");
        Self { engine, settings, dir }
    }

    pub fn owner(&self) -> Owner {
        Owner { run: Entropy.id(&self.settings.clock), attempt: 1 }
    }

    /// A directory of the host, readable for everyone.
    pub fn folder(&self, name: &str, files: &[(&str, &str)]) -> PathBuf {
        let folder = self.dir.path().join(name);
        fs::create_dir_all(&folder).expect("a folder");
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).expect("its mode");
        for (file, content) in files {
            fs::write(folder.join(file), content).expect(file);
            fs::set_permissions(folder.join(file), fs::Permissions::from_mode(0o644)).expect("its mode");
        }
        folder
    }

    /// A submission run of `command` with small limits.
    pub fn command(&self, command: &[&str]) -> RunSpec {
        let Owner { run, attempt } = self.owner();
        RunSpec {
            profile: Profile::Submission,
            label: RunLabel { run, attempt, step: Step::Prediction },
            image: PYTHON_IMAGE.to_owned(),
            command: command.iter().map(|&word| word.to_owned()).collect(),
            workdir: "/app".to_owned(),
            env: Vec::new(),
            binds: Vec::new(),
            output: OutputSpec {
                container: "/app/output".to_owned(),
                bytes: 16 * MIB,
                inodes: 1000,
                seed: None,
            },
            shared: None,
            relay: None,
            resources: Resources { cpus: 1.0, memory: 64 * MIB, pids: 64 },
            gpus: None,
            wall_clock: Duration::from_secs(60),
            silent_limit: None,
            log_cap: 64 << 10,
            log_sink: None,
        }
    }

    /// A submission run of a Python program, with the prelude before it.
    pub fn python(&self, code: &str) -> RunSpec {
        let program = self.folder("program", &[("main.py", &format!("{PRELUDE}\n{code}\n"))]);
        let mut spec = self.command(&["python", "main.py"]);
        spec.workdir = "/app/program".to_owned();
        spec.binds = vec![ReadOnlyBind { host: program, container: "/app/program".to_owned() }];
        spec
    }

    pub async fn run(&self, spec: RunSpec) -> Ran {
        let outcome = hold(self, spec, CancellationToken::new()).await.expect("the run is held to its end");
        Ran { printed: outcome.log.text(), outcome }
    }

    /// Runs a Python program that must exit with 0, and gives what it printed; nothing may be left.
    pub async fn printed(self, code: &str) -> String {
        let ran = self.run(self.python(code)).await;
        assert_eq!(ran.outcome.end, End::Exited(0), "{}", ran.printed);
        ran.outcome.output.release().await.expect("released");
        self.finish().await;
        ran.printed
    }

    /// Waits for the background and checks, with other means than ours, that nothing is left.
    pub async fn finish(self) {
        self.engine.settle().await;
        assert_eq!(self.containers(), Vec::<String>::new(), "containers are left");
        assert_eq!(self.mounts(), Vec::<String>::new(), "mounts are left");
        assert_eq!(self.groups(), Vec::<PathBuf>::new(), "control groups are left");
        assert_eq!(self.loop_devices(), Vec::<String>::new(), "loop devices are left");
        for folder in ["runs", "sandboxes", "warm"] {
            let left = entries(&self.settings.work_dir.join(folder));
            assert_eq!(left, Vec::<PathBuf>::new(), "directories are left");
        }
    }

    pub fn containers(&self) -> Vec<String> {
        let filter = format!("label=shuyu.instance={}", self.settings.instance);
        let listed =
            Command::new("docker").args(["ps", "-aq", "--filter", &filter]).output().expect("docker");
        assert!(listed.status.success());
        String::from_utf8(listed.stdout).expect("text").lines().map(str::to_owned).collect()
    }

    pub fn mounts(&self) -> Vec<String> {
        let name = self.dir.path().to_str().expect("UTF-8");
        let table = fs::read_to_string("/proc/mounts").expect("the mount table");
        table.lines().filter(|line| line.contains(name)).map(str::to_owned).collect()
    }

    /// The files of ours that loop devices hold.
    pub fn loop_devices(&self) -> Vec<String> {
        let name = self.dir.path().to_str().expect("UTF-8");
        let held = entries(Path::new("/sys/block")).into_iter();
        let held = held.filter_map(|device| fs::read_to_string(device.join("loop/backing_file")).ok());
        held.filter(|file| file.contains(name)).collect()
    }

    pub fn groups(&self) -> Vec<PathBuf> {
        let root = Path::new("/sys/fs/cgroup");
        let hierarchies = entries(root).into_iter().chain([root.to_path_buf()]);
        hierarchies
            .flat_map(|hierarchy| entries(&hierarchy.join("shuyu").join(&self.settings.instance)))
            .filter(|path| path.is_dir())
            .collect()
    }
}

impl Drop for Lab {
    /// A test that failed leaves what it had; and the instance's own control group always stays.
    fn drop(&mut self) {
        for container in self.containers() {
            let _ = Command::new("docker").args(["rm", "-f", &container]).output();
        }
        for mount in self.mounts() {
            let point = mount.split(' ').nth(1).unwrap_or_default().replace("\\040", " ");
            let _ = Command::new("umount").args(["-l", &point]).output();
        }
        let root = Path::new("/sys/fs/cgroup");
        for hierarchy in entries(root).into_iter().chain([root.to_path_buf()]) {
            let _ = fs::remove_dir(hierarchy.join("shuyu").join(&self.settings.instance));
        }
    }
}

pub fn entries(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}
