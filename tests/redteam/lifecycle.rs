//! The life of a run's container, and its death.

use std::fs;
use std::mem;
use std::pin::pin;
use std::process::Command;
use std::time::Duration;

use shuyu::sandbox::{End, Engine, Profile, SandboxError, SandboxSettings, Step};
use tokio::io::copy_bidirectional;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::lab::{Lab, entries, on};

#[tokio::test]
async fn an_exit_code_and_both_streams_come_through() {
    let lab = Lab::new().await;
    let mut spec = lab.command(&["sh", "-c", "echo out; echo err >&2; echo $WORD $HOME; exit 7"]);
    spec.profile = Profile::Scoring;
    spec.label.step = Step::Scoring;
    spec.env = vec![("WORD".to_owned(), "域".to_owned())];
    let ran = lab.run(spec).await;
    assert_eq!(ran.outcome.end, End::Exited(7));
    let mut lines: Vec<&str> = ran.printed.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["err", "out", "域 /tmp"]);
    assert!(!ran.outcome.log.truncated());
    assert!(ran.outcome.cpu.expect("the control group tells") > Duration::ZERO);
    drop(ran);
    lab.finish().await;
}

#[tokio::test]
async fn a_fast_exit_loses_nothing() {
    let lab = Lab::new().await;
    for number in 0..8 {
        let ran = lab.run(lab.command(&["echo", &number.to_string()])).await;
        assert_eq!((ran.outcome.end, ran.printed.trim()), (End::Exited(0), number.to_string().as_str()));
    }
    lab.finish().await;
}

#[tokio::test]
async fn a_command_that_is_not_there_exits_with_127() {
    let lab = Lab::new().await;
    let ran = lab.run(lab.command(&["no-such-program"])).await;
    assert_eq!(ran.outcome.end, End::Exited(127), "{}", ran.printed);
    assert!(ran.printed.contains("no-such-program"), "{}", ran.printed);
    drop(ran);
    lab.finish().await;
}

#[tokio::test]
async fn death_by_a_signal_of_its_own_is_an_exit() {
    let lab = Lab::new().await;
    let ran = lab.run(lab.command(&["sh", "-c", "kill -9 $$"])).await;
    assert_eq!(ran.outcome.end, End::Exited(137));
    drop(ran);
    lab.finish().await;
}

#[tokio::test]
async fn silence_ends_a_run_and_talking_does_not() {
    let lab = Lab::new().await;
    let mut spec =
        lab.command(&["sh", "-c", "for n in 1 2 3 4 5 6; do echo $n; sleep 0.5; done; sleep infinity"]);
    spec.silent_limit = Some(Duration::from_secs(2));
    let ran = lab.run(spec).await;
    assert_eq!((ran.outcome.end, ran.printed.as_str()), (End::Silent, "1\n2\n3\n4\n5\n6\n"));
    drop(ran);
    lab.finish().await;
}

#[tokio::test]
async fn the_output_directory_is_capped_and_outlives_a_kill() {
    let lab = Lab::new().await;
    let code = r#"
written = 0
with open("/app/output/part", "wb", buffering=0) as file:
    try:
        while True:
            written += file.write(b"x" * (1 << 16))
    except OSError as error:
        print(errno.errorcode[error.errno], written, flush=True)
import time
time.sleep(3600)
"#;
    let mut spec = lab.python(code);
    let (sink, mut chunks) = mpsc::channel(8);
    spec.log_sink = Some(sink);
    let cancel = CancellationToken::new();
    let canceller = async {
        let mut printed = Vec::new();
        while !printed.ends_with(b"\n") {
            printed.extend(chunks.recv().await.expect("it says when it is full").bytes);
        }
        cancel.cancel();
        printed
    };
    let (outcome, printed) = tokio::join!(lab.engine.run(spec, cancel.clone()), canceller);
    let outcome = outcome.expect("held to its end");
    assert_eq!(outcome.end, End::Cancelled);
    assert_eq!(String::from_utf8(printed).expect("text"), format!("ENOSPC {}\n", 16 << 20));
    let destination = lab.folder("collected", &[]);
    let collected = outcome.output.collect(&destination, &Default::default()).await.expect("readable");
    assert_eq!((collected.files, collected.bytes), (1, 16 << 20));
    outcome.output.release().await.expect("released");
    lab.finish().await;
}

#[tokio::test]
async fn a_dropped_run_is_removed_in_the_background() {
    let lab = Lab::new().await;
    started(&lab, |run| drop(run)).await;
    lab.finish().await;
}

/// Starts a run that never ends, and when it has started gives its future to `end`.
async fn started<F>(lab: &Lab, end: F)
where
    F: FnOnce(std::pin::Pin<Box<dyn Future<Output = ()> + '_>>),
{
    let mut spec = lab.command(&["sh", "-c", "echo ready; sleep infinity"]);
    spec.wall_clock = Duration::from_secs(3600);
    let (sink, mut chunks) = mpsc::channel(8);
    spec.log_sink = Some(sink);
    let mut run: std::pin::Pin<Box<dyn Future<Output = ()> + '_>> = Box::pin(async {
        let outcome = lab.engine.run(spec, CancellationToken::new()).await;
        panic!("it ended: {:?}", outcome.map(|outcome| outcome.end));
    });
    tokio::select! {
        () = &mut run => {}
        chunk = chunks.recv() => assert_eq!(chunk.expect("it prints").bytes, "ready\n"),
    }
    end(run);
}

#[tokio::test]
async fn the_reaper_takes_what_a_crash_left() {
    let lab = Lab::new().await;
    // As if killed in the middle: no destructor runs.
    started(&lab, |run| mem::forget(run)).await;
    mem::forget(lab.engine.stage(lab.owner(), 1 << 20).expect("a stage"));
    let runs = lab.settings.work_dir.join("runs");
    let apart = entries(&runs).pop().expect("that of the run").join("read0");
    fs::create_dir(&apart).expect("a mount point");
    let layers =
        format!("lowerdir={}:{}", lab.folder("read", &[]).display(), lab.folder("none", &[]).display());
    let mount = Command::new("mount").args(["-t", "overlay", "-o", &layers, "shuyu"]).arg(&apart).status();
    assert!(mount.expect("mount").success());
    assert_eq!((lab.containers().len(), lab.mounts().len()), (1, 3));
    assert!(!lab.groups().is_empty());

    let restarted = Engine::connect(lab.settings.clone()).await.expect("the engine runs");
    assert!(restarted.reap(|_| true).await.expect("reaped").is_nothing(), "the living are left alone");
    let other = SandboxSettings { instance: "test_other".to_owned(), ..lab.settings.clone() };
    let other = Engine::connect(other).await.expect("the engine runs");
    assert_eq!(other.reap(|_| true).await.expect("reaped").containers, 0);
    assert_eq!(lab.containers().len(), 1, "another instance's containers are left alone");

    let reaped = restarted.reap(|_| false).await.expect("reaped");
    assert_eq!((reaped.containers, reaped.mounts, reaped.cgroups), (1, 3, 1));
    assert!(restarted.reap(|_| false).await.expect("reaped").is_nothing());
    lab.finish().await;
}

#[tokio::test]
async fn the_reaper_takes_a_container_past_its_deadline() {
    let lab = Lab::new().await;
    started(&lab, |run| mem::forget(run)).await;
    assert_eq!(lab.engine.reap(|_| true).await.expect("reaped").containers, 0);
    lab.settings.clock.shift(2 * 3_600_000);
    assert_eq!(lab.engine.reap(|_| true).await.expect("reaped").containers, 1);
    assert_eq!(lab.engine.reap(|_| false).await.expect("reaped").mounts, 1);
    lab.finish().await;
}

#[tokio::test]
async fn a_missing_image_says_how_to_build_it() {
    let lab = Lab::new().await;
    let mut spec = lab.command(&["true"]);
    spec.image = "shuyu/absent:latest".to_owned();
    let error = lab.engine.run(spec, CancellationToken::new()).await.err().expect("there is no such image");
    assert!(
        matches!(&error, SandboxError::ImageMissing { image } if image == "shuyu/absent:latest"),
        "{error}"
    );
    assert!(error.to_string().contains("scripts/image absent"), "{error}");
    assert!(lab.engine.check_image("shuyu/absent:latest").await.is_err());
    lab.finish().await;
}

#[tokio::test]
async fn a_missing_runtime_names_those_there_are() {
    let lab = Lab::new().await;
    let settings = SandboxSettings { runtime: "no_such_runtime".to_owned(), ..lab.settings.clone() };
    let error = Engine::connect(settings).await.err().expect("there is no such runtime");
    assert!(
        matches!(&error, SandboxError::RuntimeMissing { available, .. } if available.contains("runc")),
        "{error}"
    );
    lab.finish().await;
}

#[tokio::test]
async fn a_run_that_makes_no_sense_is_refused_before_anything_is_made() {
    let lab = Lab::new().await;
    let mut twice = lab.python("pass");
    twice
        .binds
        .push(shuyu::sandbox::ReadOnlyBind { host: "/etc".into(), container: "/app/output/".to_owned() });
    let mut small = lab.command(&["true"]);
    small.resources.memory = 1;
    for spec in [twice, small, lab.command(&[])] {
        let error = lab.engine.run(spec, CancellationToken::new()).await.err().expect("refused");
        assert!(matches!(error, SandboxError::Spec { .. }), "{error}");
    }
    lab.finish().await;
}

#[tokio::test]
async fn an_absent_input_is_an_error_of_ours() {
    let lab = Lab::new().await;
    let mut spec = lab.python("pass");
    spec.binds[0].host = lab.dir.path().join("absent");
    let error = lab.engine.run(spec, CancellationToken::new()).await.err().expect("refused");
    assert!(matches!(error, SandboxError::Host { .. }), "{error}");
    lab.finish().await;
}

/// A way to the engine that can be cut.
async fn relay(path: std::path::PathBuf, cut: CancellationToken) {
    let listener = UnixListener::bind(path).expect("a socket");
    let mut connections = tokio::task::JoinSet::new();
    let mut stopped = pin!(cut.cancelled());
    loop {
        tokio::select! {
            () = &mut stopped => return,
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
async fn an_engine_lost_in_the_middle_hands_the_run_back() {
    let lab = Lab::new().await;
    let socket = lab.dir.path().join("docker.sock");
    let cut = CancellationToken::new();
    let relaying = tokio::spawn(relay(socket.clone(), cut.clone()));
    while !socket.exists() {
        tokio::task::yield_now().await;
    }
    let settings = SandboxSettings { socket: Some(socket), ..lab.settings.clone() };
    let engine = Engine::connect(settings).await.expect("through the relay");
    let mut spec = lab.command(&["sh", "-c", "echo ready; sleep infinity"]);
    let (sink, mut chunks) = mpsc::channel(8);
    spec.log_sink = Some(sink);
    let stop = async {
        chunks.recv().await.expect("it says when it is ready");
        cut.cancel();
    };
    let (outcome, ()) = tokio::join!(engine.run(spec, CancellationToken::new()), stop);
    let error = outcome.err().expect("the engine is gone");
    assert!(matches!(error, SandboxError::EngineLost { .. }), "{error}");
    assert!(error.is_transient());
    assert!(engine.ping().await.is_err() && engine.reap(|_| false).await.is_err());
    relaying.await.expect("the relay stops");
    engine.settle().await;

    // The engine is back: the container is still there, and goes.
    assert_eq!(lab.containers().len(), 1);
    assert_eq!(lab.engine.reap(|_| false).await.expect("reaped").containers, 1);
    lab.finish().await;
}

#[tokio::test]
async fn a_runtime_that_lets_no_relay_in_is_known_before_anything_runs() {
    let lab = Lab::new().await;
    let asked = Command::new("docker").args(["info", "--format", "{{json .Runtimes}}"]).output();
    let told = String::from_utf8(asked.expect("docker").stdout).expect("text").contains("host-uds=open");
    let joins = on(true, told);
    assert_eq!(lab.engine.check_relay().is_ok(), joins);
    match lab.engine.listen_for_run() {
        Ok(_) => assert!(joins),
        Err(error) => assert!(!joins && error.to_string().contains("--host-uds=open"), "{error}"),
    }
    lab.finish().await;
}
