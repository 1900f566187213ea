//! The relay under the profile that runs are held to: its system calls are among those allowed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use shuyu::clock::{Clock, Entropy};
use shuyu::sandbox::{
    End, Engine, OutputSpec, PYTHON_IMAGE, Profile, ReadOnlyBind, Relay, RelayLimits, Resources, RunLabel,
    RunSpec, SandboxSettings, Step,
};
use tokio_util::sync::CancellationToken;

use super::container::{WEB, get, opened};

#[tokio::test]
async fn it_works_under_the_profile_of_runs() {
    let directory = tempfile::tempdir().expect("a directory");
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).expect("its mode");
    let settings = SandboxSettings {
        instance: format!("test_{}", hex::encode(Entropy.bytes::<8>())),
        work_dir: directory.path().join("work"),
        runtime: "runc".to_owned(),
        socket: None,
        clock: Clock::system(),
    };
    let engine = Engine::connect(settings.clone()).await.expect("the Docker engine runs");
    // the run's own area is mounted as it is: a socket is not found through an overlay
    let label = RunLabel { run: Entropy.id(&settings.clock), attempt: 1, step: Step::Prediction };
    let stage = engine.stage(label.owner(), 1 << 20).expect("mounted");
    let socket = stage.path().join("socket");
    fs::create_dir(&socket).expect("a directory");
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o755)).expect("its mode");
    let relay = Relay::listen(&socket, RelayLimits::default()).expect("listens");
    let port = WEB.to_string();
    let command =
        ["shuyu-relay", "serve", "--", "python3", "-m", "http.server", "--bind", "127.0.0.1", port.as_str()];
    let spec = RunSpec {
        profile: Profile::Submission,
        label,
        image: PYTHON_IMAGE.to_owned(),
        command: command.map(str::to_owned).to_vec(),
        workdir: "/usr/share/zoneinfo".to_owned(),
        env: Vec::new(),
        binds: vec![ReadOnlyBind { host: socket, container: "/run/shuyu".to_owned() }],
        output: OutputSpec { container: "/app/output".to_owned(), bytes: 1 << 20, inodes: 10, seed: None },
        shared: None,
        relay: None,
        resources: Resources { cpus: 1.0, memory: 64 << 20, pids: 64 },
        gpus: None,
        wall_clock: Duration::from_secs(120),
        silent_limit: None,
        log_cap: 64 << 10,
        log_sink: None,
    };
    let cancel = CancellationToken::new();
    let (outcome, page) = tokio::join!(engine.run(spec, cancel.clone()), async {
        relay.until_connected().await;
        opened(&relay, WEB).await;
        let page = get(&relay, "zone.tab").await;
        cancel.cancel();
        page
    });
    let outcome = outcome.expect("held to its end");
    assert_eq!(outcome.end, End::Cancelled, "{}", outcome.log.text());
    assert_eq!(page.0, "HTTP/1.0 200 OK");
    assert!(page.1.starts_with(b"# tzdb timezone descriptions"));
    outcome.output.release().await.expect("released");
    stage.release().await.expect("released");
    engine.settle().await;
}
