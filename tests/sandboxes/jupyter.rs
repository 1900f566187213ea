//! JupyterLab of the image in a sandbox: started for somebody, and for the pool.

use std::fs;
use std::time::{Duration, Instant};

use shuyu::sandbox::{InteractiveSpec, Resources, Sandbox};

use super::lab::MIB;
use super::stage::{Stage, later, on_host, until};

/// Where Jupyter writes what belongs to nobody: the home may not be there yet.
const RUNTIME: &str = "/tmp/jupyter";

fn lab(stage: &Stage) -> InteractiveSpec {
    let command = [
        "jupyter",
        "lab",
        "--no-browser",
        "--ServerApp.ip=127.0.0.1",
        "--ServerApp.port=8888",
        "--ServerApp.root_dir=/home/participant",
        "--IdentityProvider.token=",
        "--ServerApp.disable_check_xsrf=True",
    ];
    let mut spec = stage.spec(&command);
    spec.resources = Resources { memory: 1024 * MIB, ..InteractiveSpec::default_resources() };
    spec.env = ["JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR"]
        .map(|name| (name.to_owned(), RUNTIME.to_owned()))
        .to_vec();
    spec
}

/// What the lab answers to a request from inside.
const GET: &str = "import sys, urllib.request as r; print(r.urlopen('http://127.0.0.1:8888' + sys.argv[1], timeout=10).read().decode())";

/// Starts a kernel as the notebook page does, and runs a cell in it.
const CELL: &str = r#"
import json, urllib.request as r
import jupyter_client
session = {"path": "a.ipynb", "name": "", "type": "notebook", "kernel": {"name": "python3"}}
request = r.Request("http://127.0.0.1:8888/api/sessions", json.dumps(session).encode(), {"Content-Type": "application/json"})
kernel = json.load(r.urlopen(request, timeout=30))["kernel"]["id"]
client = jupyter_client.BlockingKernelClient()
client.load_connection_file(f"/tmp/jupyter/kernel-{kernel}.json")
client.start_channels()
for attempt in range(60):
    try:
        client.wait_for_ready(timeout=60)
        break
    except RuntimeError as error:
        # It takes a heart that has not begun to beat for a dead one.
        assert attempt < 59, error
cell = "import os; open('made.txt', 'w').write('here'); print(os.getcwd(), open('note.txt').read())"
client.execute_interactive(cell, timeout=60)
"#;

fn get(stage: &Stage, sandbox: &Sandbox, path: &str) -> Option<String> {
    let output = stage.exec(sandbox, &["python3", "-c", GET, path]);
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Waits until the port answers, from inside and without an interpreter.
async fn ready(stage: &Stage, sandbox: &Sandbox) {
    let port = "exec 3<>/dev/tcp/127.0.0.1/8888";
    until("the lab answers", || stage.exec(sandbox, &["bash", "-c", port]).status.success()).await;
}

#[tokio::test]
async fn a_lab_is_started_for_somebody() {
    let stage = Stage::new().await;
    let started = Instant::now();
    let spec = lab(&stage);
    let id = spec.id;
    let home = stage.home(id, "a").await;
    let attached = started.elapsed();
    fs::write(on_host(&stage, id).join("note.txt"), "mine").expect("written");
    let sandbox = stage.lab.engine.start_sandbox(spec, Some(&home)).await.expect("started");
    let running = started.elapsed();
    ready(&stage, &sandbox).await;
    println!(
        "cold: home attached {attached:?}, container runs {running:?}, port answers {:?}",
        started.elapsed()
    );
    let contents = get(&stage, &sandbox, "/api/contents/").expect("an answer");
    assert!(contents.contains("note.txt") && contents.contains("outbox"), "{contents}");
    let usage = sandbox.usage().expect("it runs");
    println!("idle: {} MiB, {} tasks, {:?} of processor", usage.memory >> 20, usage.pids, usage.cpu);
    let stopping = Instant::now();
    sandbox.stop(Duration::from_secs(5)).await.expect("stopped");
    println!("stopped in {:?}", stopping.elapsed());
    assert!(sandbox.log().text().contains("Jupyter Server"), "{}", sandbox.log().text());
    let removing = Instant::now();
    stage.end(&sandbox).await;
    home.detach().await.expect("detached");
    println!("removed and detached in {:?}", removing.elapsed());
    stage.lab.finish().await;
}

#[tokio::test]
async fn a_lab_of_the_pool_is_claimed() {
    let stage = Stage::new().await;
    let sandbox = stage.lab.engine.start_sandbox(lab(&stage), None).await.expect("started");
    ready(&stage, &sandbox).await;
    let pausing = Instant::now();
    sandbox.pause().await.expect("paused");
    println!("paused in {:?}", pausing.elapsed());
    let (id, begun) = (later(&stage.lab), Instant::now());
    let home = stage.home(id, "kept").await;
    let attached = begun.elapsed();
    fs::write(on_host(&stage, id).join("note.txt"), "mine").expect("written");
    let begun = Instant::now();
    sandbox.claim(&home).await.expect("claimed");
    let claimed = begun.elapsed();
    sandbox.unpause().await.expect("unpaused");
    println!("fresh home {attached:?}, claimed {claimed:?}, claimed and unpaused {:?}", begun.elapsed());
    let contents = get(&stage, &sandbox, "/api/contents/").expect("an answer");
    println!("contents seen after {:?}", begun.elapsed());
    assert!(contents.contains("note.txt"), "{contents}");

    // A kernel that is started now works in the home.
    let begun = Instant::now();
    let output = stage.exec(&sandbox, &["python3", "-c", CELL]);
    println!("a cell ran after {:?}", begun.elapsed());
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "/home/participant mine\n", "{complaint}");
    assert_eq!(fs::read_to_string(on_host(&stage, id).join("made.txt")).expect("there"), "here");
    let usage = sandbox.usage().expect("it runs");
    println!("with a kernel: {} MiB, {} tasks", usage.memory >> 20, usage.pids);
    stage.end(&sandbox).await;
    home.detach().await.expect("detached");
    let begun = Instant::now();
    let again = stage.home(id, "kept").await;
    println!("kept home attached in {:?}", begun.elapsed());
    again.detach().await.expect("detached");
    stage.lab.finish().await;
}
