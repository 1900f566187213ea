//! The lab inside a sandbox: how JupyterLab is started, and how we ask it whether it is there.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::LAB_PORT;
use super::begin::BeginError;
use crate::sandbox::{Relay, Sandbox, SandboxState};

/// How long it may take to answer.
pub(super) const COMING_UP: Duration = Duration::from_secs(90);
/// How often it is asked meanwhile.
const ASKED: Duration = Duration::from_millis(100);
/// What its page asks for first. Asked before anybody comes, it is read and reckoned by then.
const FIRST_ASKED: [&str; 4] =
    ["/lab", "/lab/api/settings", "/lab/api/translations/zh_CN", "/api/kernelspecs"];

/// A terminal begins in the home: the server itself stands at `/`, since the home may come later.
const TERMINAL: &str = "--ServerApp.terminado_settings={'shell_command': \
                        ['/bin/bash', '-c', '[ $PWD = / ] && cd; exec /bin/bash']}";

/// JupyterLab on a loopback port, started by the relay. Who comes in is known before.
pub(super) fn command() -> Vec<String> {
    let words = [
        "shuyu-relay",
        "serve",
        "--socket",
        "/run/shuyu/relay.sock",
        "--",
        "jupyter",
        "lab",
        "--no-browser",
        "--ServerApp.ip=127.0.0.1",
        "--ServerApp.port=8888",
        "--ServerApp.port_retries=0",
        "--ServerApp.root_dir=/home/participant",
        "--ServerApp.allow_remote_access=True",
        "--ServerApp.quit_button=False",
        "--ServerApp.shutdown_no_activity_timeout=0",
        "--ServerApp.terminals_enabled=True",
        "--ServerApp.extra_template_paths=/usr/local/share/jupyter/templates",
        TERMINAL,
        "--LabApp.extension_manager=readonly",
        "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LabApp.user_settings_dir=/home/participant/.jupyter/lab/user-settings",
        "--LabApp.workspaces_dir=/home/participant/.jupyter/lab/workspaces",
    ];
    words.map(str::to_owned).to_vec()
}

/// Its environment. What it writes for itself while it starts lies in `/tmp`: the home may come later.
pub(super) fn environment(token: &str) -> Vec<(String, String)> {
    let pairs = [
        ("JUPYTER_TOKEN", token),
        ("JUPYTER_RUNTIME_DIR", "/tmp/jupyter/runtime"),
        ("JUPYTER_DATA_DIR", "/tmp/jupyter/data"),
        ("JUPYTER_CONFIG_DIR", "/tmp/jupyter/config"),
        ("SHELL", "/bin/bash"),
        ("TERM", "xterm-256color"),
    ];
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
}

/// Waits until it answers a request, or its container has ended.
pub(super) async fn until_it_answers(
    container: &Sandbox,
    relay: &Relay,
    token: &str,
) -> Result<(), BeginError> {
    let answered = async {
        while !answers(relay, token, "/api/status").await {
            if let Some(code) = relay.ended() {
                return Err(BeginError::Ended(code.into()));
            }
            tokio::time::sleep(ASKED).await;
        }
        Ok(())
    };
    // one that ends at once may not come to tell the relay's other end
    let ended = async {
        match container.ended().await {
            Ok(SandboxState::Stopped { code, .. }) => Err(BeginError::Ended(code)),
            _ => std::future::pending().await,
        }
    };
    let either = async {
        tokio::select! {
            answered = answered => answered,
            ended = ended => ended,
        }
    };
    tokio::time::timeout(COMING_UP, either).await.unwrap_or(Err(BeginError::Silent))
}

/// Asks for what a browser will ask for first.
pub(super) async fn warm_up(relay: &Relay, token: &str) {
    for path in FIRST_ASKED {
        let answered = tokio::time::timeout(COMING_UP, answers(relay, token, path));
        if !answered.await.unwrap_or(false) {
            tracing::debug!(path, "a lab does not have what its page asks for first");
        }
    }
}

/// Whether it answers a request of its owner with success, to the end.
async fn answers(relay: &Relay, token: &str, path: &str) -> bool {
    let Ok(mut stream) = relay.open(LAB_PORT).await else { return false };
    let ask = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: token {token}\r\nConnection: close\r\n\r\n"
    );
    let mut head = [0; 12];
    stream.write_all(ask.as_bytes()).await.is_ok()
        && stream.read_exact(&mut head).await.is_ok()
        && head.ends_with(b" 200")
        && tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.is_ok()
}
