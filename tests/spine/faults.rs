//! Stopping, and what happens when it is we who fail.

use std::process::Command;

use shuyu::sandbox::SandboxError;
use shuyu::submission::actions::{self, ActionError};
use shuyu::submission::model::{RunState, State};
use shuyu::submission::run::RunError;
use shuyu::submission::{queue, rescore};
use tokio_util::sync::CancellationToken;

use super::bundles::{PROGRAM, native, predictions};
use super::world::World;

/// Says that it runs, and goes on until it is killed.
pub const ENDLESS: &str = "
import time
print('here I am', flush=True)
while True:
    time.sleep(60)
";

#[tokio::test]
async fn stopped_before_its_start_a_submission_gives_its_quota_back() {
    let world = World::new().await;
    let carrier = world.carrier().await;
    let contest = world.import("before", &native().edit("max_submissions: 0", "max_submissions: 1")).await;
    let alice = world.contestant(&contest, "alice").await;
    let id = world.submit(&contest, alice, "a.csv", &predictions(5)).await;
    assert_eq!(actions::cancel(&world.house, id, alice).await.unwrap(), State::Cancelled);
    assert_eq!(world.run_all(&carrier).await, 0, "nothing is left to run");
    let done = world.submission(id).await;
    assert_eq!((done.disclosed_state, done.counts), (State::Cancelled, false));
    let twice = actions::cancel(&world.house, id, alice).await.unwrap_err();
    assert!(matches!(twice, ActionError::State { state: State::Cancelled, .. }), "{twice}");
    let again = world.submit(&contest, alice, "a.csv", &predictions(5)).await;
    world.run_all(&carrier).await;
    assert_eq!(world.submission(again).await.state, State::Finished);
    // a rescore is not stopped by an old wish
    let mut tx = world.house.db.begin().await.unwrap();
    shuyu::submission::db::request_cancel(&mut tx, again, world.clock.now()).await.unwrap();
    tx.commit().await.unwrap();
    let wanted = rescore::Wanted { phase: None, team: None, reason: "r", priority: queue::NORMAL };
    rescore::begin(&world.house, &contest.competition, contest.organizer, &wanted).await.unwrap();
    let lease = world.lease().await.unwrap();
    let renewed = queue::renew(&world.house.db, &world.clock, &lease).await.unwrap();
    assert_eq!(renewed, queue::Renewal::Held);
    world.carry(&carrier, lease).await.unwrap();
    assert_eq!(world.runs(again).await[1].state, RunState::Finished);
}

#[tokio::test]
async fn stopped_while_it_runs_its_container_goes_and_its_quota_stays_used() {
    let world = World::new().await;
    let carrier = world.carrier().await;
    let contest = world.import("while", &native().edit("max_submissions: 0", "max_submissions: 1")).await;
    let alice = world.contestant(&contest, "alice").await;
    let working = world.start_worker(carrier.clone(), 1).await;
    let id = world.submit(&contest, alice, "main.py", ENDLESS.as_bytes()).await;
    world
        .until("the program runs", || async {
            world.events(id).await.iter().any(|(kind, text)| kind == "output" && text.contains("here I am"))
        })
        .await;
    assert_eq!(world.containers(&world.settings).len(), 1);
    actions::cancel(&world.house, id, alice).await.unwrap();
    let done = world.over(id).await;
    assert_eq!((done.disclosed_state, done.counts), (State::Cancelled, true));
    assert_eq!(world.bits(id).await, [], "an open run that was stopped told nothing");
    working.stop().await;
    world.assert_clean(&world.settings);
    let refused =
        world.try_submit(&contest, 0, world.request(alice, "a.csv"), &predictions(1)[..]).await.unwrap_err();
    assert!(matches!(refused, shuyu::submission::accept::AcceptError::TotalQuota { .. }), "{refused}");
}

/// Neither an image that no setting maps nor one that is not there is the participant's fault.
#[tokio::test]
async fn a_missing_image_costs_no_quota_and_says_platform() {
    let world = World::new().await;
    // the first was leased by the test once already; what no setting maps is given up the next time
    let images = [("unmapped", "nowhere/nothing:9", 2), ("missing", "mapped/name:1", queue::MAX_ATTEMPTS)];
    for (slug, image, attempts) in images {
        let mut carrier = world.carrier().await;
        let table = [("mapped/name:1".to_owned(), "shuyu/not-built:latest".to_owned())];
        carrier.images = shuyu::sandbox::ImageTable::with(table.into_iter().collect());
        let contest = world.import(slug, &native().edit("shuyu/python:latest", image)).await;
        let user = world.contestant(&contest, slug).await;
        let id = world.submit(&contest, user, "main.py", PROGRAM.as_bytes()).await;
        let lease = world.lease().await.unwrap();
        let error = world.carry(&carrier, lease).await.unwrap_err();
        let named = matches!(
            error,
            RunError::Sandbox(SandboxError::ImageUnmapped { .. } | SandboxError::ImageMissing { .. })
        );
        assert!(named && error.to_string().contains("image"), "{error}");
        world.clock.shift(31_000);
        let working = world.start_worker(carrier, 1).await;
        // handed back, and begun again after a pause, until it was tried often enough
        world
            .until("the run is given up", || async {
                world.hurry(id).await;
                world.submission(id).await.state.is_final()
            })
            .await;
        working.stop().await;
        let done = world.submission(id).await;
        assert_eq!((done.state, done.disclosed_reason.code.as_str()), (State::Failed, "platform"));
        assert!(!done.counts);
        let run = &world.runs(id).await[0];
        assert!(run.fault.as_deref().unwrap().contains("image"), "{:?}", run.fault);
        assert_eq!(run.attempt, attempts);
        assert_eq!(world.bits(id).await, []);
    }
    world.assert_clean(&world.settings);
}

/// An engine that goes away is waited for; nothing is lost meanwhile.
#[tokio::test]
async fn a_run_waits_for_an_engine_that_went_away() {
    let world = World::new().await;
    // an engine behind a socket that we can take away
    let socket = world.dir.path().join("docker.sock");
    let relay = Relay::start(&socket);
    let mut settings = world.settings.clone();
    settings.docker_host = format!("unix://{}", socket.display());
    let instance = shuyu::cli::assembly::instance_of(&settings).unwrap();
    let mut carrier = shuyu::cli::assembly::carrier(&settings, world.house.clone(), &instance).await.unwrap();
    carrier.scorer = env!("CARGO_BIN_EXE_shuyu").into();
    let contest = world.import("engine", &native()).await;
    let alice = world.contestant(&contest, "alice").await;
    let id = world.submit(&contest, alice, "main.py", PROGRAM.as_bytes()).await;
    relay.stop();
    let working = world.start_worker(carrier, 1).await;
    // longer than three attempts last
    world
        .until("it was tried five times", || async {
            world.hurry(id).await;
            world.runs(id).await[0].attempt >= 5
        })
        .await;
    assert_eq!(world.submission(id).await.disclosed_reason.code, "");
    let _relay = Relay::start(&socket);
    world
        .until("it is scored", || async {
            world.hurry(id).await;
            world.submission(id).await.state == State::Finished
        })
        .await;
    working.stop().await;
    assert_eq!(world.scores(&contest, id).await["accuracy"], 0.714_286);
    assert_eq!(world.bits(id).await.len(), 1);
    world.assert_clean(&world.settings);
}

/// Passes connections on to the Docker engine.
struct Relay {
    task: tokio::task::JoinHandle<()>,
    path: std::path::PathBuf,
}

impl Relay {
    fn start(path: &std::path::Path) -> Self {
        let _ = std::fs::remove_file(path);
        let listener = tokio::net::UnixListener::bind(path).unwrap();
        let task = tokio::spawn(async move {
            let mut open = tokio::task::JoinSet::new();
            while let Ok((mut here, _)) = listener.accept().await {
                open.spawn(async move {
                    if let Ok(mut there) = tokio::net::UnixStream::connect("/var/run/docker.sock").await {
                        let _ = tokio::io::copy_bidirectional(&mut here, &mut there).await;
                    }
                });
            }
        });
        Self { task, path: path.to_owned() }
    }

    fn stop(self) {
        self.task.abort();
        std::fs::remove_file(&self.path).unwrap();
    }
}

/// Where logs and scores are kept there is no room: the run is tried again, and succeeds when there
/// is.
#[tokio::test]
async fn a_full_disk_is_told_and_loses_nothing() {
    let world = World::new().await;
    let carrier = world.carrier().await;
    let contest = world.import("full", &native()).await;
    let alice = world.contestant(&contest, "alice").await;
    let id = world.submit(&contest, alice, "a.csv", &predictions(5)).await;
    // the exact scores go to a directory that is full
    let scores = world.settings.data_dir.join("objects/hidden/scores");
    std::fs::create_dir_all(&scores).unwrap();
    let mounted =
        Command::new("mount").args(["-t", "tmpfs", "-o", "size=8k", "tmpfs"]).arg(&scores).status().unwrap();
    assert!(mounted.success());
    std::fs::write(scores.join("filler"), vec![0u8; 8 << 10]).unwrap();
    let lease = world.lease().await.unwrap();
    let error = world.carry(&carrier, lease).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("space"), "{text}");
    assert_eq!(world.bits(id).await, []);

    let unmounted = Command::new("umount").arg(&scores).status().unwrap();
    assert!(unmounted.success());
    world.clock.shift(31_000);
    queue::recover(&world.house.db, &world.clock, world.worker).await.unwrap();
    world.run_all(&carrier).await;
    assert_eq!(world.scores(&contest, id).await["accuracy"], 0.714_286);
}

/// A worker that is asked to stop finishes what it has begun; what a killed task leaves is cleared.
#[tokio::test]
async fn a_run_that_is_cut_off_leaves_no_desk() {
    let world = World::new().await;
    let carrier = world.carrier().await;
    let contest = world.import("cut", &native()).await;
    let alice = world.contestant(&contest, "alice").await;
    let id = world.submit(&contest, alice, "main.py", ENDLESS.as_bytes()).await;
    let lease = world.lease().await.unwrap();
    let cutting = carrier.clone();
    let task = tokio::spawn(async move { cutting.carry(lease, CancellationToken::new()).await });
    world
        .until("the program runs", || async {
            world.events(id).await.iter().any(|(kind, _)| kind == "output")
        })
        .await;
    task.abort();
    let _ = task.await;
    carrier.engine.settle().await;
    world.assert_clean(&world.settings);
    assert_eq!(world.submission(id).await.state, State::Running, "its lease will run out");
}

/// A worker that is asked to stop waits a while for its runs and hands back those that go on.
#[tokio::test]
async fn a_worker_that_stops_hands_back_what_goes_on() {
    let world = World::new().await;
    let contest = world.import("stops", &native()).await;
    let alice = world.contestant(&contest, "alice").await;
    let working = world.start_worker(world.carrier().await, 2).await;
    let id = world.submit(&contest, alice, "main.py", ENDLESS.as_bytes()).await;
    world
        .until("the program runs", || async {
            world.events(id).await.iter().any(|(kind, _)| kind == "output")
        })
        .await;
    working.stop().await;
    world.assert_clean(&world.settings);
    let run = &world.runs(id).await[0];
    assert_eq!((run.state, run.attempt), (RunState::Queued, 1));
    assert_eq!(run.fault.as_deref(), Some("the worker was stopped"));
    let waiting = world.submission(id).await;
    assert_eq!((waiting.disclosed_state, waiting.started_at), (State::Queued, None));
    assert_eq!(world.lease().await.unwrap().run.attempt, 2, "another worker may take it at once");
    assert_eq!(world.number("SELECT COUNT(*) FROM workers WHERE stopped_at IS NOT NULL").await, 1);
}

/// Another process holds the database's write lock for longer than we wait.
#[tokio::test]
async fn a_locked_database_loses_no_score() {
    let world = World::new().await;
    let carrier = world.carrier().await;
    let contest = world.import("locked", &native()).await;
    let alice = world.contestant(&contest, "alice").await;
    let id = world.submit(&contest, alice, "a.csv", &predictions(5)).await;
    let lease = world.lease().await.unwrap();
    let other = shuyu::store::Db::connect(&world.settings.database).await.unwrap();
    let holding = other.begin().await.unwrap();
    let error = world.carry(&carrier, lease.clone()).await.unwrap_err();
    assert!(error.to_string().contains("database"), "{error}");
    drop(holding);
    assert_eq!(world.bits(id).await, []);
    // the same worker still holds its lease and simply tries again
    world.carry(&carrier, lease).await.unwrap();
    assert_eq!(world.scores(&contest, id).await["accuracy"], 0.714_286);
    assert_eq!(world.bits(id).await.len(), 1);
    other.close().await;
}
