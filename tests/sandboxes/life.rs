//! The life of an interactive sandbox, and what it sees of the others.

use std::fs;
use std::io::Read;
use std::os::unix::net::UnixListener;
use std::time::Duration;

use shuyu::sandbox::{HOME_PATH, HomeKind, ReadOnlyBind, SandboxError, SandboxState};
use tokio_util::sync::CancellationToken;

use super::lab::{Lab, gvisor, on};
use super::signals;
use super::stage::{Stage, later, on_host, until};

#[tokio::test]
async fn it_reads_its_data_and_writes_its_home_alone() {
    for kind in [HomeKind::Image, HomeKind::Memory] {
        let stage = Stage::of(kind).await;
        let home = stage.home(later(&stage.lab), "a").await;
        let sandbox = stage.idle(Some(&home)).await;
        assert_eq!(sandbox.state().await.expect("known"), SandboxState::Running);
        assert_eq!(stage.sh(&sandbox, "cat /data/flights/flights.csv"), "id,delay\n1,5");
        assert_eq!(
            stage.sh(&sandbox, "echo $HOME; id -u; find ~ -printf '%U:%m\\n'"),
            format!("{HOME_PATH}\n61000\n61000:755\n61000:755")
        );
        stage.sh(&sandbox, "printf 'echo hello' > ~/run; chmod +x ~/run; test $(~/run) = hello");
        for path in ["/data/x", "/data/flights/x", "/home/x", "/run/shuyu/x", "/x"] {
            let said = stage.fails(&sandbox, &format!("touch {path}"));
            assert!(said.contains("Read-only file system") || said.contains("Permission denied"), "{said}");
        }
        if !gvisor() {
            let mounted = stage.sh(&sandbox, "grep ' /home/participant ' /proc/self/mountinfo");
            assert!(mounted.contains("rw,nosuid,nodev"), "{mounted}");
            let slot = stage.sh(&sandbox, "grep ' /home ' /proc/self/mountinfo");
            assert!(slot.contains(" ro,") && slot.contains(" master:"), "{slot}");
        }
        stage.end(&sandbox).await;
        assert_eq!(sandbox.state().await.expect("known"), SandboxState::Gone);
        home.detach().await.expect("detached");
        stage.lab.finish().await;
    }
}

#[tokio::test]
async fn frozen_processes_go_on_where_they_were() {
    let stage = Stage::new().await;
    let id = later(&stage.lab);
    let home = stage.home(id, "a").await;
    let count = "import itertools, time\nfor n in itertools.count():\n    open('/home/participant/n', 'w').write(str(n))\n    time.sleep(0.01)";
    let sandbox = stage
        .lab
        .engine
        .start_sandbox(stage.spec(&["python3", "-c", count]), Some(&home))
        .await
        .expect("started");
    let file = on_host(&stage, id).join("n");
    // Empty while it is written.
    let read = || fs::read_to_string(&file).ok().and_then(|text| text.parse::<u64>().ok());
    until("it counts", || read().is_some()).await;
    let usage = sandbox.usage().expect("it runs");
    assert!(usage.cpu > Duration::ZERO && usage.memory > 0 && usage.pids >= 2, "{usage:?}");

    sandbox.pause().await.expect("paused");
    sandbox.pause().await.expect("a second time is no error");
    assert_eq!(sandbox.state().await.expect("known"), SandboxState::Paused);
    let (before, cpu) = (read(), sandbox.usage().expect("it is there").cpu);
    assert!(!stage.exec(&sandbox, &["true"]).status.success(), "nothing can be started in it");
    assert_eq!(read(), before, "a frozen process counts no further");

    sandbox.unpause().await.expect("unpaused");
    sandbox.unpause().await.expect("a second time is no error");
    until("it goes on", || read() > before).await;
    assert!(sandbox.usage().expect("it runs").cpu > cpu);
    stage.end(&sandbox).await;
    assert!(matches!(sandbox.usage(), Err(SandboxError::State { .. })));
    home.detach().await.expect("detached");
    stage.lab.finish().await;
}

#[tokio::test]
async fn a_paused_sandbox_is_claimed_once() {
    let stage = Stage::new().await;
    let sandbox = stage.idle(None).await;
    assert_eq!(stage.sh(&sandbox, "names ~"), "");
    assert!(stage.fails(&sandbox, "touch ~/x").contains(on("Read-only file system", "Permission denied")));
    sandbox.pause().await.expect("paused");

    let home = stage.home(later(&stage.lab), "a").await;
    let earlier = stage.idle(Some(&home)).await;
    stage.sh(&earlier, "echo mine > ~/note");
    stage.end(&earlier).await;
    sandbox.claim(&home).await.expect("claimed");
    let other = stage.home(later(&stage.lab), "b").await;
    assert!(matches!(sandbox.claim(&other).await, Err(SandboxError::State { .. })), "it has one");
    sandbox.unpause().await.expect("unpaused");
    assert_eq!(stage.sh(&sandbox, "cat ~/note; touch ~/outbox/x; names ~"), "mine\nnote outbox");
    assert!(matches!(sandbox.release().await, Err(SandboxError::State { .. })), "it runs");
    assert!(home.detach().await.is_err(), "a sandbox has it");

    sandbox.stop(Duration::from_secs(1)).await.expect("stopped");
    assert!(matches!(sandbox.claim(&other).await, Err(SandboxError::State { .. })), "it does not live");
    sandbox.release().await.expect("released");
    assert!(matches!(sandbox.claim(&home).await, Err(SandboxError::State { .. })), "it does not live");
    for home in [home, other] {
        home.detach().await.expect("detached");
        assert!(matches!(sandbox.claim(&home).await, Err(SandboxError::Home(_))), "it is put away");
    }
    stage.end(&sandbox).await;
    stage.lab.finish().await;
}

#[tokio::test]
async fn a_home_is_kept_when_its_sandbox_is_stopped() {
    for kind in [HomeKind::Image, HomeKind::Memory] {
        let stage = Stage::of(kind).await;
        for round in 0..3 {
            let home = stage.home(later(&stage.lab), "a").await;
            let sandbox = stage.idle(Some(&home)).await;
            assert_eq!(stage.sh(&sandbox, "names ~/kept 2>/dev/null | wc -w; names /tmp"), round.to_string());
            stage.sh(&sandbox, &format!("mkdir -p ~/kept; echo {round} > ~/kept/{round}; touch /tmp/x"));
            if round == 1 {
                sandbox.pause().await.expect("paused");
            }
            sandbox.stop(Duration::from_secs(1)).await.expect("stopped, frozen or not");
            let state = sandbox.state().await.expect("known");
            assert_eq!(state, SandboxState::Stopped { code: 143, out_of_memory: false });
            stage.end(&sandbox).await;
            home.detach().await.expect("detached");
        }
        stage.lab.finish().await;
    }
}

#[tokio::test]
async fn sandboxes_cannot_see_each_other() {
    let stage = Stage::new().await;
    let (ours, theirs) = (stage.spec(&["sleep", "infinity"]), stage.spec(&["sleep", "infinity"]));
    let (our_socket, their_socket) = (ours.socket_dir.join("relay"), theirs.socket_dir.join("relay"));
    let listener = UnixListener::bind(&our_socket).expect("we listen");
    let other = UnixListener::bind(&their_socket).expect("we listen");
    for socket in [&our_socket, &their_socket] {
        fs::set_permissions(socket, std::os::unix::fs::PermissionsExt::from_mode(0o666))
            .expect("open to all");
    }
    other.set_nonblocking(true).expect("it does not wait");
    let (our_home, their_home) = (stage.home(ours.id, "a").await, stage.home(theirs.id, "b").await);
    let ours = stage.lab.engine.start_sandbox(ours, Some(&our_home)).await.expect("started");
    let theirs = stage.lab.engine.start_sandbox(theirs, Some(&their_home)).await.expect("started");
    stage.sh(&theirs, "echo secret > ~/secret-of-theirs; echo secret > /tmp/secret-of-theirs; echo > /dev/shm/secret-of-theirs");
    let seen = "find / -name 'secret-of-theirs*' -not -path '/proc/*' 2>/dev/null || true; names ~ /home /run/shuyu /dev/shm";
    assert_eq!(stage.sh(&ours, seen), "outbox\nparticipant\nrelay");
    // Homes that are attached later appear in their own slot alone.
    let third = stage.home(later(&stage.lab), "c").await;
    assert_eq!(stage.sh(&ours, "grep -c home/participant /proc/self/mountinfo || true"), on("1", "0"));

    if !gvisor() {
        let connect = "import socket; s = socket.socket(socket.AF_UNIX); s.connect('/run/shuyu/relay'); s.sendall(b'hello')";
        assert!(stage.exec(&ours, &["python3", "-c", connect]).status.success());
        let mut said = String::new();
        listener.accept().expect("a connection").0.read_to_string(&mut said).expect("its words");
        assert_eq!(said, "hello");
        assert!(other.accept().is_err(), "nobody came to the other socket");
    }
    let said = stage.fails(&ours, "rm /run/shuyu/relay");
    assert!(said.contains("Read-only file system") || said.contains("Permission denied"), "{said}");
    for sandbox in [ours, theirs] {
        stage.end(&sandbox).await;
    }
    for home in [our_home, their_home, third] {
        home.detach().await.expect("detached");
    }
    stage.lab.finish().await;
}

#[tokio::test]
async fn the_log_is_capped_and_read_to_its_end() {
    let stage = Stage::new().await;
    let spec = stage.spec(&[
        "sh",
        "-c",
        "echo first; head -c 1000000 /dev/zero | tr '\\0' x; echo; echo last; exit 3",
    ]);
    let sandbox = stage.lab.engine.start_sandbox(spec, None).await.expect("started");
    let state = sandbox.ended().await.expect("it ends");
    assert_eq!(state, SandboxState::Stopped { code: 3, out_of_memory: false });
    let log = sandbox.log();
    let text = log.text();
    assert!(text.starts_with("first\n") && text.ends_with("last\n"), "{}", text.len());
    assert!(log.truncated() && text.len() < (64 << 10) + 100 && log.total() > 1_000_000, "{}", text.len());
    stage.end(&sandbox).await;
    stage.lab.finish().await;
}

#[tokio::test]
async fn what_cannot_start_leaves_nothing() {
    let stage = Stage::new().await;
    let absent = {
        let mut spec = stage.spec(&["true"]);
        spec.image = "shuyu/absent:latest".to_owned();
        spec
    };
    let error = stage.lab.engine.start_sandbox(absent, None).await.err().expect("there is no such image");
    assert!(matches!(error, SandboxError::ImageMissing { .. }), "{error}");
    for container in ["/home/participant/data", "/home", "/run/shuyu/x", "data", "/data/flights/"] {
        let mut spec = stage.spec(&["true"]);
        spec.binds
            .push(ReadOnlyBind { host: stage.lab.dir.path().to_path_buf(), container: container.to_owned() });
        let error = stage.lab.engine.start_sandbox(spec, None).await.err().expect(container);
        assert!(matches!(error, SandboxError::Spec { .. }), "{container}: {error}");
    }
    let mut lost = stage.spec(&["true"]);
    lost.socket_dir = stage.lab.dir.path().join("absent");
    let error = stage.lab.engine.start_sandbox(lost, None).await.err().expect("there is no such directory");
    assert!(matches!(error, SandboxError::EngineRefused { status: 400, .. }), "{error}");
    let spec = stage.spec(&["sleep", "infinity"]);
    let sandbox = stage.lab.engine.start_sandbox(spec.clone(), None).await.expect("started");
    assert!(stage.lab.engine.start_sandbox(spec, None).await.is_err(), "its id is taken");
    assert_eq!(sandbox.state().await.expect("known"), SandboxState::Running, "and it is unharmed");
    stage.end(&sandbox).await;
    stage.lab.finish().await;
}

#[tokio::test]
async fn n48_sandboxes_cannot_signal_each_other_through_what_both_read() {
    let stage = Stage::new().await;
    let about = |code: &str| signals::about("/data/flights/flights.csv", code);
    let listener =
        stage.lab.engine.start_sandbox(stage.spec(&["python3", "-c", &about(signals::LISTEN)]), None);
    let listener = listener.await.expect("started");
    let container = signals::until_marked(&stage.lab, "/tmp/listening").await;
    let teller = stage.lab.engine.start_sandbox(stage.spec(&["python3", "-c", &about(signals::TELL)]), None);
    let teller = teller.await.expect("started");
    // and a run that has the same data, as one on hidden input may
    let mut run = stage.lab.python(&signals::about("/app/input/flights.csv", signals::TELL));
    let data = stage.lab.dir.path().join("flights");
    run.binds.push(ReadOnlyBind { host: data, container: "/app/input".to_owned() });
    let (worker, cancel) = (Lab::new().await, CancellationToken::new());
    let running = worker.engine.run(run, cancel.clone());
    let (run, ()) = tokio::join!(running, async {
        signals::until_marked(&stage.lab, "/tmp/told").await;
        signals::until_marked(&worker, "/tmp/told").await;
        assert!(signals::in_container(&container, &["touch", "/tmp/go"]));
        until("it has said what it saw", || listener.log().text().contains("quiet")).await;
        cancel.cancel();
    });
    assert_eq!(listener.log().text(), signals::NOTHING);
    drop(run.expect("held to its end"));
    stage.end(&listener).await;
    stage.end(&teller).await;
    stage.lab.finish().await;
    worker.finish().await;
}
