//! The real binary: workers and services that are killed in the middle of their work.

use std::process::{Child, Command, Stdio};

use shuyu::config::Settings;
use shuyu::ids::SubmissionId;
use shuyu::submission::actions;
use shuyu::submission::model::{RunState, State};

use super::bundles::{native, predictions};
use super::world::World;

/// Waits for a file that the test cannot give it, at its first attempt; the second finds the marker
/// that tells it to go on.
const WAITS: &str = "
import os, sys, time
print('here I am', flush=True)
if sys.argv[3] == 'wait':
    while True:
        time.sleep(60)
";

/// A process of ours, killed when dropped.
pub(super) struct Process {
    child: Child,
    pub(super) settings: Settings,
}

impl Process {
    /// Starts the binary on the world's database and objects, with a work directory of its own.
    pub(super) fn start(world: &World, name: &str, args: &[&str]) -> Self {
        Self::start_with(world, name, args, &[])
    }

    /// The same with more of an environment.
    pub(super) fn start_with(world: &World, name: &str, args: &[&str], more: &[(&str, &str)]) -> Self {
        let mut settings = world.settings.clone();
        settings.work_dir = world.dir.path().join(format!("work-{name}"));
        let child = Command::new(env!("CARGO_BIN_EXE_shuyu"))
            .args(args)
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap())
            .envs(world.environment())
            .env("SHUYU_WORK_DIR", &settings.work_dir)
            .env("SHUYU_WORKER__SLOTS", "1")
            .env("SHUYU_WORKER__NAME", name)
            .envs(more.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, settings }
    }

    /// SIGKILL: it cannot clear up.
    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and waits until it has ended well.
    pub(super) fn stop(mut self) -> Settings {
        let id = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success());
        self.settings.clone()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The processes' clock is the system's: a lease that should have lapsed is made to have.
async fn lapse(world: &World) {
    let mut tx = world.house.db.begin().await.unwrap();
    sqlx::query("UPDATE runs SET lease_until = 1 WHERE state = 'running'").execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
}

/// Code whose run goes on until its worker is killed; the organizer's public input is exchanged
/// before the second attempt.
fn waiting_program() -> String {
    WAITS.replace("sys.argv[3] == 'wait'", "open(sys.argv[1] + '/rows.csv').read().startswith('wait')")
        + "rows = ''.join(f'{i},{i % 2 if i < 5 else 1 - i % 2}\\n' for i in range(7))\n\
           open(sys.argv[2] + '/predictions.csv', 'w').write('id,label\\n' + rows)\n"
}

async fn says_hello(world: &World, id: SubmissionId) {
    world
        .until("the program runs", || async {
            world.events(id).await.iter().any(|(kind, text)| kind == "output" && text.contains("here I am"))
        })
        .await;
}

#[tokio::test]
async fn two_workers_share_a_queue_and_one_is_killed() {
    let world = World::large().await;
    let waits = native().file("input/rows.csv", "wait\n");
    let contest = world.import("shared", &waits).await;
    let alice = world.contestant(&contest, "alice").await;
    let killed_in = world.submit(&contest, alice, "main.py", waiting_program().as_bytes()).await;
    let mut first = Process::start(&world, "first", &["worker"]);
    says_hello(&world, killed_in).await;
    assert_eq!(world.containers(&first.settings).len(), 1);

    // more than the second has to do, while the first holds its run
    let mut others = Vec::new();
    for number in 0..4 {
        others.push(world.submit(&contest, alice, "a.csv", &predictions(number)).await);
    }
    let second = Process::start(&world, "second", &["worker"]);
    for id in &others {
        assert_eq!(world.over(*id).await.state, State::Finished);
    }
    assert_eq!(world.runs(killed_in).await[0].state, RunState::Running);

    first.kill();
    world.reimport("shared", &native(), contest.organizer).await;
    lapse(&world).await;
    let done = world.over(killed_in).await;
    assert_eq!(done.state, State::Finished, "{:?}", done.reason);
    let run = &world.runs(killed_in).await[0];
    assert_eq!((run.attempt, run.fence), (2, 2));
    // nothing lost, nothing doubled
    for id in others.iter().chain([&killed_in]) {
        assert_eq!(world.bits(*id).await.len(), 1);
        assert_eq!(world.runs(*id).await.len(), 1);
    }
    let settings = second.stop();
    world.assert_clean(&settings);
    // the dead worker's container is reaped when its host works again
    let again = Process::start(&world, "first", &["worker"]);
    world.until("the reaper has been", || async { world.containers(&again.settings).is_empty() }).await;
    let settings = again.stop();
    world.assert_clean(&settings);
    assert_eq!(world.number("SELECT COUNT(*) FROM runs WHERE state IN ('queued', 'running')").await, 0);
    assert_eq!(world.number("SELECT COUNT(*) FROM runs WHERE lease_until IS NOT NULL").await, 0);
}

/// Red team 50.
#[tokio::test]
async fn a_service_killed_in_mid_run_reruns_once_and_scores_once() {
    let world = World::new().await;
    let contest = world.import("served", &native().file("input/rows.csv", "wait\n")).await;
    let alice = world.contestant(&contest, "alice").await;
    let id = world.submit(&contest, alice, "main.py", waiting_program().as_bytes()).await;
    let serve = ["serve", "--listen", "127.0.0.1:0"];
    let mut service = Process::start(&world, "served", &serve);
    says_hello(&world, id).await;
    service.kill();
    assert_eq!(world.containers(&service.settings).len(), 1, "its container goes on without it");
    world.reimport("served", &native(), contest.organizer).await;
    lapse(&world).await;

    let service = Process::start(&world, "served", &serve);
    let done = world.over(id).await;
    assert_eq!(done.state, State::Finished, "{:?}", done.reason);
    world.until("the reaper has been", || async { world.containers(&service.settings).is_empty() }).await;
    let settings = service.stop();
    world.assert_clean(&settings);
    let run = &world.runs(id).await[0];
    assert_eq!((run.attempt, world.runs(id).await.len()), (2, 1));
    assert_eq!(world.bits(id).await.len(), 1);
    assert_eq!(world.scores(&contest, id).await["accuracy"], 0.714_286);
    assert_eq!(world.number("SELECT COUNT(*) FROM audit_log WHERE action = 'run.concluded'").await, 1);
    assert_eq!(world.number("SELECT COUNT(*) FROM audit_log WHERE number IS NULL").await, 0);
}

/// A worker that cannot reach its engine says so and takes nothing from the queue.
#[tokio::test]
async fn a_worker_without_an_engine_says_so_and_takes_nothing() {
    let world = World::new().await;
    let contest = world.import("engineless", &native()).await;
    let alice = world.contestant(&contest, "alice").await;
    let id = world.submit(&contest, alice, "a.csv", &predictions(5)).await;
    let output = Command::new(env!("CARGO_BIN_EXE_shuyu"))
        .arg("worker")
        .env_clear()
        .envs(world.environment())
        .env("DOCKER_HOST", "unix:///nowhere/docker.sock")
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("Docker"), "{said}");
    assert_eq!(world.submission(id).await.state, State::Queued);
    assert_eq!(world.runs(id).await[0].attempt, 0);
}

/// What `shuyu dry-run` prints is what the board would show.
#[tokio::test]
async fn a_dry_run_prints_one_document() {
    let dir = tempfile::tempdir().unwrap();
    super::bundles::closed().write(&dir.path().join("bundle"));
    std::fs::write(dir.path().join("mine.csv"), predictions(5)).unwrap();
    std::fs::write(dir.path().join("main.py"), super::bundles::PROGRAM).unwrap();
    std::fs::write(dir.path().join("bad.py"), "import sys; print('seen by its tester'); sys.exit(4)")
        .unwrap();
    let run = |file: &str, more: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_shuyu"))
            .arg("dry-run")
            .arg(dir.path().join("bundle"))
            .arg("--submission")
            .arg(dir.path().join(file))
            .arg("--json")
            .args(more)
            .env("TMPDIR", dir.path())
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let document: serde_json::Value = serde_json::from_str(&text)
            .unwrap_or_else(|_| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)));
        (output.status.code(), document)
    };
    for (file, more) in [("mine.csv", &[][..]), ("main.py", &[]), ("main.py", &["--twin"])] {
        let (code, document) = run(file, more);
        assert_eq!(code, Some(0), "{document}");
        assert_eq!(document["status"], "finished");
        assert_eq!(document["scores"]["accuracy"], 0.714_286);
        assert_eq!(document["tasks"][0]["index"], 0);
        assert_eq!(document["tasks"][0]["scores"]["accuracy"], 0.714_286);
    }
    let (code, document) = run("bad.py", &[]);
    assert_eq!((code, document["status"].as_str()), (Some(1), Some("failed")), "{document}");
    let (code, document) = run("nothing.csv", &[]);
    assert_eq!((code, document["status"].as_str()), (Some(2), Some("error")), "{document}");
    // the bundle, with its hidden data, is gone from the disk
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().flatten().map(|e| e.file_name()).collect();
    assert_eq!(left.len(), 4, "{left:?}");
}

/// A second service on the same work directory, or the same address, touches nothing of the first.
#[tokio::test]
async fn a_second_service_takes_nothing_from_the_first() {
    let world = World::new().await;
    let carrier = world.carrier().await;
    let contest = world.import("shared", &native()).await;
    let alice = world.contestant(&contest, "alice").await;
    let first = Process::start(&world, "only", &["worker"]);
    let id = world.submit(&contest, alice, "main.py", super::faults::ENDLESS.as_bytes()).await;
    world.until("it runs", || async { world.containers(&first.settings).len() == 1 }).await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (args, said) in [
        (&["worker"][..], "another shuyu works in"),
        (&["serve", "--listen", "127.0.0.1:0"], "another shuyu works in"),
        (&["serve", "--listen", &address], "cannot listen on"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_shuyu"))
            .args(args)
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap())
            .envs(world.environment())
            .env("SHUYU_WORK_DIR", &first.settings.work_dir)
            .output()
            .unwrap();
        assert!(!output.status.success());
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains(said), "{args:?}: {text}");
    }
    assert_eq!(world.containers(&first.settings).len(), 1, "the first one's container goes on");
    let run = world.runs(id).await.remove(0);
    assert_eq!((run.attempt, run.prediction_end), (1, None));
    actions::cancel(&world.house, id, alice).await.unwrap();
    world.until("it is over", || async { world.submission(id).await.state.is_final() }).await;
    let settings = first.stop();
    carrier.engine.settle().await;
    world.assert_clean(&settings);
}

/// Hidden data whose key is not there is no reason to begin with another key.
#[tokio::test]
async fn without_the_key_of_its_data_nothing_is_started() {
    let world = World::new().await;
    world.import("sealed", &native()).await;
    let start = || {
        Command::new(env!("CARGO_BIN_EXE_shuyu"))
            .args(["competition", "list"])
            .env_clear()
            .envs(world.environment())
            .output()
            .unwrap()
    };
    assert!(start().status.success());
    let (key, aside) = (&world.settings.key_file, world.dir.path().join("aside"));
    std::fs::rename(key, &aside).unwrap();
    let refused = start();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("is sealed with master key"), "{said}");
    assert!(!key.exists(), "no key was made that would seal what comes next");
    std::fs::rename(&aside, key).unwrap();
    assert!(start().status.success());
}
