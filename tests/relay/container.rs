//! A container as sandboxes are held, whose main command is the relay around a web server.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use shuyu::clock::Entropy;
use shuyu::sandbox::{PYTHON_IMAGE, Relay, RelayError, RelayLimits, RelayStream, SANDBOX_UID};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdout};

/// Where the web server of every container listens.
pub const WEB: u16 = 8888;
/// What the container's programs run in and serve.
const SERVED: &str = "/srv/served";

/// A running container. Removed when dropped.
pub struct Container {
    pub name: String,
    directory: TempDir,
}

impl Container {
    /// Starts one that serves these files, and listens for its relay.
    pub async fn serving(files: &[(&str, &[u8])]) -> (Self, Relay) {
        let directory = tempfile::tempdir().expect("a directory");
        let container =
            Self { name: format!("shuyu-test-relay-{}", hex::encode(Entropy.bytes::<8>())), directory };
        for folder in ["socket", "served"] {
            let folder = container.directory.path().join(folder);
            fs::create_dir(&folder).expect("a folder");
            fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("its mode");
        }
        for (name, content) in files {
            fs::write(container.directory.path().join("served").join(name), content).expect("a file");
        }
        let relay = container.listen();
        container.start();
        relay.until_connected().await;
        opened(&relay, WEB).await;
        (container, relay)
    }

    /// Listens as a service does that has just been started.
    pub fn listen(&self) -> Relay {
        Relay::listen(&self.socket(), RelayLimits::default()).expect("listens")
    }

    /// The host's directory of the socket.
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("socket")
    }

    fn start(&self) {
        let bind = |from: &str, to: &str| {
            let from = self.directory.path().join(from);
            format!("type=bind,source={},target={to},readonly,bind-propagation=rprivate", from.display())
        };
        let (socket, served, user) =
            (bind("socket", "/run/shuyu"), bind("served", SERVED), format!("{SANDBOX_UID}:{SANDBOX_UID}"));
        let held =
            ["--network", "none", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"];
        let limits = ["--init", "--pids-limit", "128", "--memory", "256m", "--tmpfs", "/tmp"];
        let place = ["--mount", &socket, "--mount", &served, "--workdir", SERVED, "--user", &user];
        let relay = ["shuyu-relay", "serve", "--"];
        let port = WEB.to_string();
        let web = ["python3", "-m", "http.server", "--bind", "127.0.0.1", &port];
        docker(
            &[
                &["run", "--detach", "--name", &self.name][..],
                &held,
                &limits,
                &place,
                &[PYTHON_IMAGE],
                &relay,
                &web,
            ]
            .concat(),
        );
    }

    /// Runs a Python program inside, as anything that the participant starts.
    pub fn python(&self, code: &str) -> Program {
        self.program(&["python3", "-u", "-c", code])
    }

    /// Runs a command inside.
    pub fn program(&self, command: &[&str]) -> Program {
        let mut docker = tokio::process::Command::new("docker");
        docker.args(["exec", &self.name]).args(command).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = docker.spawn().expect("docker");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        Program { child, output }
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rm", "--force", &self.name]).output();
    }
}

/// A program that was started inside.
pub struct Program {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Program {
    /// The next line it prints.
    pub async fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).await.expect("a line");
        line.trim_end().to_owned()
    }

    /// Waits for its end: everything it still prints, and its exit code.
    pub async fn end(mut self) -> (String, Option<i32>) {
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).await.expect("text");
        (rest, self.child.wait().await.expect("ended").code())
    }
}

/// Runs a command of the engine that must succeed, and gives what it prints.
pub fn docker(words: &[&str]) -> String {
    let Output { status, stdout, stderr } = Command::new("docker").args(words).output().expect("docker");
    assert!(status.success(), "docker {words:?}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).expect("text").trim().to_owned()
}

/// A connection to a program that may still be starting.
pub async fn opened(relay: &Relay, port: u16) -> RelayStream {
    loop {
        match relay.open(port).await {
            Ok(stream) => return stream,
            Err(RelayError::Refused { .. }) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    }
}

/// The status and the body of a page.
pub async fn get(relay: &Relay, path: &str) -> (String, Vec<u8>) {
    let mut stream = relay.open(WEB).await.expect("opened");
    stream.write_all(format!("GET /{path} HTTP/1.0\r\n\r\n").as_bytes()).await.expect("asked");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("read to its end");
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("a head") + 4;
    let body = answer.split_off(end);
    let head = String::from_utf8(answer).expect("text");
    (head.lines().next().expect("a status").to_owned(), body)
}
