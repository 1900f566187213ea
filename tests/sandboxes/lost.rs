//! What is found again after a restart, what the reaper takes, and an engine that goes away.

use std::fs;
use std::process::Command;
use std::time::Duration;

use shuyu::sandbox::{Engine, HomeKind, SandboxError, SandboxSettings, SandboxState};
use tokio::io::copy_bidirectional;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::lab::Lab;
use super::stage::{Stage, later, on_host, until};

#[tokio::test]
async fn a_restarted_service_finds_its_sandboxes() {
    let stage = Stage::new().await;
    let spec = stage.spec(&["sh", "-c", "echo hello; sleep infinity"]);
    let id = spec.id;
    let home = stage.home(id, "a").await;
    let working = stage.lab.engine.start_sandbox(spec, Some(&home)).await.expect("started");
    let pooled = stage.idle(None).await;
    pooled.pause().await.expect("paused");
    let stopped = stage
        .lab
        .engine
        .start_sandbox(stage.spec(&["sh", "-c", "echo bye; exit 7"]), None)
        .await
        .expect("started");
    stopped.ended().await.expect("it ends");
    until("it speaks", || working.log().text() == "hello\n").await;

    let engine = Engine::connect(stage.lab.settings.clone()).await.expect("the engine runs");
    let mut found = engine.find_sandboxes().await.expect("found");
    found.sort_by_key(|found| found.sandbox.id());
    let told: Vec<_> = found
        .iter()
        .map(|found| (found.sandbox.id(), found.state, found.claimed, found.sandbox.log().text()))
        .collect();
    assert_eq!(
        told,
        [
            (working.id(), SandboxState::Running, true, "hello\n".to_owned()),
            (pooled.id(), SandboxState::Paused, false, String::new()),
            (
                stopped.id(),
                SandboxState::Stopped { code: 7, out_of_memory: false },
                false,
                "bye\n".to_owned()
            ),
        ]
    );
    for found in &found {
        assert!(found.started.is_some() && found.deadline > stage.lab.settings.clock.now());
    }

    // All of it can be used on.
    let again = stage.homes.find(id).expect("looked").expect("attached");
    assert_eq!(again.usage().expect("attached"), home.usage().expect("attached"));
    let (working, pooled) = (&found[0].sandbox, &found[1].sandbox);
    stage.sh(working, "echo still here > /proc/1/fd/1");
    until("it is heard", || working.log().text().ends_with("still here\n")).await;
    pooled.unpause().await.expect("unpaused");
    let other = stage.home(pooled.id(), "b").await;
    pooled.claim(&other).await.expect("claimed");
    stage.sh(pooled, "touch ~/x; echo and here > /proc/1/fd/1");
    until("it is heard", || pooled.log().text().ends_with("and here\n")).await;
    for found in &found {
        stage.end(&found.sandbox).await;
    }
    for home in [again, other] {
        home.detach().await.expect("detached");
    }
    assert!(engine.find_sandboxes().await.expect("looked").is_empty());
    stage.lab.finish().await;
}

#[tokio::test]
async fn the_reaper_takes_what_nobody_owns_and_nothing_else() {
    for kind in [HomeKind::Image, HomeKind::Memory] {
        let stage = Stage::of(kind).await;
        let (owned, orphan) = (stage.spec(&["sleep", "infinity"]), stage.spec(&["sleep", "infinity"]));
        let (kept, lost) = (stage.home(owned.id, "a").await, stage.home(orphan.id, "b").await);
        let owned = stage.lab.engine.start_sandbox(owned, Some(&kept)).await.expect("started");
        let orphan = stage.lab.engine.start_sandbox(orphan, Some(&lost)).await.expect("started");
        stage.sh(&orphan, "echo mine > ~/note");
        orphan.pause().await.expect("paused");
        // A home whose container never came to be, and a slot.
        let alone = later(&stage.lab);
        stage.home(alone, "c").await;
        let (containers, mounts) = (stage.lab.containers().len(), stage.lab.mounts().len());
        assert_eq!((containers, mounts), (2, 3 + 2 + 2));

        // After a crash nothing is left of the handles, and everything of what they stood for.
        let engine = Engine::connect(stage.lab.settings.clone()).await.expect("the engine runs");
        assert!(engine.reap(|_| false).await.expect("reaped").is_nothing(), "runs are another matter");
        assert!(
            engine.reap_sandboxes(|_| true).await.expect("reaped").is_nothing(),
            "the living are left alone"
        );
        let other = SandboxSettings { instance: "test_other".to_owned(), ..stage.lab.settings.clone() };
        let other = Engine::connect(other).await.expect("the engine runs");
        assert_eq!(other.reap_sandboxes(|_| true).await.expect("reaped").containers, 0);

        let reaped = engine.reap_sandboxes(|id| id == owned.id()).await.expect("reaped");
        assert_eq!((reaped.containers, reaped.mounts, reaped.cgroups), (1, 4, 1), "{reaped:?}");
        assert!(engine.reap_sandboxes(|id| id == owned.id()).await.expect("reaped").is_nothing());
        assert_eq!(orphan.state().await.expect("known"), SandboxState::Gone);
        assert_eq!(owned.state().await.expect("known"), SandboxState::Running);
        assert_eq!(stage.sh(&owned, "touch ~/x; names ~"), "outbox x");

        // What was in the home is kept.
        let id = later(&stage.lab);
        let again = stage.home(id, "b").await;
        assert_eq!(fs::read_to_string(on_host(&stage, id).join("note")).expect("there"), "mine\n");
        again.detach().await.expect("detached");

        // Past its deadline it goes, whoever owns it, with its home.
        stage.lab.settings.clock.shift(2 * 3_600_000);
        let reaped = engine.reap_sandboxes(|_| true).await.expect("reaped");
        assert_eq!((reaped.containers, reaped.mounts, reaped.cgroups), (1, 3, 1), "{reaped:?}");
        assert!(stage.homes.find(owned.id()).expect("looked").is_none());
        stage.lab.finish().await;
    }
}

/// A way to the engine that can be cut and opened again.
async fn relay(path: std::path::PathBuf, cut: CancellationToken) {
    let _ = fs::remove_file(&path);
    let listener = UnixListener::bind(&path).expect("a socket");
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = cut.cancelled() => return,
            accepted = listener.accept() => {
                let (mut near, _) = accepted.expect("a connection");
                connections.spawn(async move {
                    let mut far = UnixStream::connect("/var/run/docker.sock").await.expect("the engine");
                    let _ = copy_bidirectional(&mut near, &mut far).await;
                });
            }
        }
    }
}

#[tokio::test]
async fn an_engine_that_went_down_takes_the_containers_and_not_the_homes() {
    let stage = Stage::new().await;
    let socket = stage.lab.dir.path().join("docker.sock");
    let cut = CancellationToken::new();
    let relaying = tokio::spawn(relay(socket.clone(), cut.clone()));
    while !socket.exists() {
        tokio::task::yield_now().await;
    }
    let settings = SandboxSettings { socket: Some(socket.clone()), ..stage.lab.settings.clone() };
    let engine = Engine::connect(settings).await.expect("through the relay");
    let spec = stage.spec(&["sleep", "infinity"]);
    let id = spec.id;
    let home = stage.home(id, "a").await;
    let sandbox = engine.start_sandbox(spec, Some(&home)).await.expect("started");
    stage.sh(&sandbox, "echo kept > ~/note; sync ~/note");

    // Down: nobody knows what the sandbox does, and its home is still there.
    let (ended, ()) = tokio::join!(sandbox.ended(), async { cut.cancel() });
    assert!(matches!(ended, Err(SandboxError::EngineLost { .. })), "{ended:?}");
    relaying.await.expect("the relay stops");
    for error in [
        sandbox.state().await.err(),
        sandbox.pause().await.err(),
        sandbox.claim(&home).await.err(),
        sandbox.remove().await.err(),
    ] {
        let error = error.expect("the engine is gone");
        assert!(matches!(error, SandboxError::EngineLost { .. }) && error.is_transient(), "{error}");
    }
    assert!(engine.reap_sandboxes(|_| false).await.is_err(), "mounts may be in use");
    assert_eq!(fs::read_to_string(on_host(&stage, id).join("note")).expect("there"), "kept\n");
    // An engine without live-restore kills its containers as it goes down.
    let killed = Command::new("docker").args(["kill", &stage.name(&sandbox)]).output().expect("docker");
    assert!(killed.status.success());

    // Up again: the same handle works.
    let up = CancellationToken::new();
    let relaying = tokio::spawn(relay(socket, up.clone()));
    while engine.ping().await.is_err() {
        tokio::task::yield_now().await;
    }
    assert_eq!(
        sandbox.ended().await.expect("known"),
        SandboxState::Stopped { code: 137, out_of_memory: false }
    );
    assert!(matches!(sandbox.unpause().await, Err(SandboxError::State { .. })), "it has stopped");
    assert!(matches!(sandbox.usage(), Err(SandboxError::State { .. })), "it has stopped");
    sandbox.release().await.expect("released");
    sandbox.remove().await.expect("removed");
    assert!(matches!(sandbox.unpause().await, Err(SandboxError::State { .. })), "it is gone");
    home.detach().await.expect("detached");
    let home = stage.home(later(&stage.lab), "a").await;
    let again = stage.idle(Some(&home)).await;
    assert_eq!(stage.sh(&again, "cat ~/note"), "kept");
    stage.end(&again).await;
    home.detach().await.expect("detached");
    up.cancel();
    relaying.await.expect("the relay stops");
    stage.lab.finish().await;
}

#[tokio::test]
async fn a_dropped_start_is_left_to_the_reaper() {
    let stage = Stage::new().await;
    for polls in [1, 2, 3, 5, 8] {
        let spec = stage.spec(&["sleep", "infinity"]);
        let mut start = Box::pin(stage.lab.engine.start_sandbox(spec, None));
        for _ in 0..polls {
            if timeout(Duration::from_millis(10), &mut start).await.is_ok() {
                break;
            }
        }
    }
    // The engine may still be at it.
    let mut left = Lab::containers(&stage.lab).len();
    loop {
        stage.lab.engine.reap_sandboxes(|_| false).await.expect("reaped");
        let now = stage.lab.containers().len() + stage.lab.mounts().len() + stage.lab.groups().len();
        if (left, now) == (0, 0) {
            break;
        }
        left = now;
    }
    stage.lab.finish().await;
}
