//! A laboratory with homes, and ways to look into a sandbox from outside.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use shuyu::clock::Entropy;
use shuyu::ids::SandboxId;
use shuyu::sandbox::{
    Home, HomeKind, HomeQuota, Homes, InteractiveSpec, PYTHON_IMAGE, ReadOnlyBind, Resources, Sandbox,
};
use tokio::time::{sleep, timeout};

use super::lab::{Lab, MIB};

pub const QUOTA: HomeQuota = HomeQuota { bytes: 32 * MIB, inodes: 4000 };

/// `names DIRECTORY…`: the names in each, on a line. The `ls` of Debian 12 asks for what its gVisor does not know (EINVAL).
const NAMES: &str =
    r"names() { for dir; do echo $(find $dir -mindepth 1 -maxdepth 1 -printf '%f\n' | sort); done; }";

pub fn later(lab: &Lab) -> SandboxId {
    Entropy.id(&lab.settings.clock)
}

pub struct Stage {
    pub lab: Lab,
    pub homes: Homes,
}

impl Stage {
    pub async fn new() -> Self {
        let lab = Lab::new().await;
        let homes = Homes::probe(&lab.settings.work_dir, 0).await.expect("a work directory");
        assert_eq!((homes.kind(), homes.why()), (HomeKind::Image, None), "the tests need loop devices");
        Self { lab, homes }
    }

    /// With homes of this kind.
    pub async fn of(kind: HomeKind) -> Self {
        let stage = Self::new().await;
        match kind {
            HomeKind::Image => stage,
            HomeKind::Memory => Self { homes: stage.homes.in_memory(), ..stage },
        }
    }

    /// Where a home is kept.
    pub fn kept(&self, name: &str) -> PathBuf {
        self.lab.folder("homes", &[]).join(name)
    }

    pub async fn home(&self, id: SandboxId, name: &str) -> Home {
        self.homes.attach(id, &self.kept(name), QUOTA).await.expect("attached")
    }

    /// A sandbox of this command, with one data set and a socket directory of its own.
    pub fn spec(&self, command: &[&str]) -> InteractiveSpec {
        let id = later(&self.lab);
        let data = self.lab.folder("flights", &[("flights.csv", "id,delay\n1,5\n")]);
        InteractiveSpec {
            id,
            image: PYTHON_IMAGE.to_owned(),
            command: command.iter().map(|&word| word.to_owned()).collect(),
            workdir: "/".to_owned(),
            env: Vec::new(),
            binds: vec![ReadOnlyBind { host: data, container: "/data/flights".to_owned() }],
            socket_dir: self.lab.folder(&format!("s{}", id.0.simple()), &[]),
            resources: Resources { cpus: 2.0, memory: 256 * MIB, pids: 128 },
            gpus: None,
            tmp_bytes: 64 * MIB,
            shm_bytes: 16 * MIB,
            home: QUOTA,
            home_kind: self.homes.kind(),
            log_cap: 64 << 10,
            deadline: self.lab.settings.clock.now() + Duration::from_secs(3600),
        }
    }

    /// A sandbox that only sleeps, and waits for what is done in it.
    pub async fn idle(&self, home: Option<&Home>) -> Sandbox {
        self.lab.engine.start_sandbox(self.spec(&["sleep", "infinity"]), home).await.expect("started")
    }

    pub fn name(&self, sandbox: &Sandbox) -> String {
        format!("shuyu-{}-{}-sandbox", self.lab.settings.instance, sandbox.id())
    }

    pub fn exec(&self, sandbox: &Sandbox, command: &[&str]) -> Output {
        let mut docker = Command::new("docker");
        docker.args(["exec", &self.name(sandbox)]).args(command).output().expect("docker")
    }

    /// What a shell script in the sandbox prints; it must succeed.
    pub fn sh(&self, sandbox: &Sandbox, script: &str) -> String {
        let output = self.exec(sandbox, &["sh", "-ec", &format!("{NAMES}\n{script}")]);
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text").trim_end().to_owned()
    }

    /// What a shell script that must fail complains of.
    pub fn fails(&self, sandbox: &Sandbox, script: &str) -> String {
        let output = self.exec(sandbox, &["sh", "-ec", script]);
        assert!(!output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    pub async fn end(&self, sandbox: &Sandbox) {
        sandbox.remove().await.expect("removed");
        sandbox.remove().await.expect("a second time is no error");
    }
}

/// Waits until something holds.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(timeout(Duration::from_secs(60), waiting).await.is_ok(), "never: {what}");
}

/// The home's directory on the host, by the table of mounts.
pub fn on_host(stage: &Stage, id: SandboxId) -> PathBuf {
    let path = stage.lab.settings.work_dir.join("sandboxes").join(id.to_string()).join("home");
    assert!(Path::new(&path).is_dir());
    path
}
