//! What a program in the container may try against the relay and the host behind it.

use std::fs;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::container::{Container, WEB, docker, get, opened};
use shuyu::sandbox::{Relay, RelayError};

const DIAL: &str = r#"
import errno, os, socket
PATH = "/run/shuyu/relay.sock"
def dial(first=b""):
    stream = socket.socket(socket.AF_UNIX)
    stream.connect(PATH)
    stream.sendall(first)
    return stream
def named(action):
    try:
        action()
    except OSError as error:
        return errno.errorcode[error.errno]
    return "OK"
def heard(stream):
    """What comes next; nothing when the host has closed, whether it had read all or not."""
    stream.settimeout(60)
    try:
        return stream.recv(100)
    except ConnectionResetError:
        return b""
"#;

fn attack(container: &Container, code: &str) -> super::container::Program {
    container.python(&format!("{DIAL}{code}"))
}

async fn goes_on(relay: &Relay) {
    assert_eq!(get(relay, "small.txt").await.1, b"hello");
}

async fn serving() -> (Container, Relay) {
    Container::serving(&[("small.txt", b"hello")]).await
}

#[tokio::test]
async fn n46_nothing_takes_the_sockets_place() {
    let (container, relay) = serving().await;
    let code = r#"
other = socket.socket(socket.AF_UNIX)
print(named(lambda: os.unlink(PATH)), named(lambda: os.rename(PATH, "/run/shuyu/x")))
print(named(lambda: os.rename(PATH, "/tmp/x")), named(lambda: os.symlink("/etc/passwd", "/run/shuyu/x")))
print(named(lambda: os.link(PATH, "/tmp/x")), named(lambda: other.bind("/run/shuyu/x")))
print(named(lambda: other.bind(PATH)), named(lambda: os.chmod(PATH, 0)), named(lambda: os.chmod("/run/shuyu", 0o777)))
print(named(lambda: os.rename("/run/shuyu", "/run/x")), named(lambda: open("/run/shuyu/x", "w")))
print(sorted(os.listdir("/run/shuyu")))
"#;
    let (printed, code) = attack(&container, code).end().await;
    let expected = [
        "EROFS EROFS",
        "EXDEV EROFS",
        "EXDEV EROFS",
        "EADDRINUSE EROFS EROFS",
        "EROFS EROFS",
        "['relay.sock']",
    ];
    assert_eq!((printed.lines().collect::<Vec<_>>(), code), (expected.to_vec(), Some(0)));
    let listed = fs::read_dir(container.socket()).expect("a directory").count();
    assert_eq!(listed, 1);
    goes_on(&relay).await;
}

/// Descriptors of this process that are sockets: other tests of it run in processes of their own.
fn sockets() -> usize {
    let open = fs::read_dir("/proc/self/fd").expect("our descriptors").flatten();
    open.filter(|entry| {
        fs::read_link(entry.path()).is_ok_and(|file| file.to_string_lossy().starts_with("socket:"))
    })
    .count()
}

#[tokio::test]
async fn a_thousand_silent_connections_leave_the_relay_its_room() {
    let (container, relay) = serving().await;
    let before = sockets();
    let code = r#"
streams = [dial(b"" if number % 2 else b"dial ") for number in range(1000)]
print("dialled")
# Each is closed by the host, the last ones once they were silent for too long.
for stream in streams:
    assert heard(stream) == b""
print("closed")
"#;
    let mut program = attack(&container, code);
    assert_eq!(program.line().await, "dialled");
    goes_on(&relay).await;
    assert!(sockets() < before + 64, "{} after {before}", sockets());
    assert_eq!(program.end().await, ("closed\n".to_owned(), Some(0)));
    goes_on(&relay).await;
}

#[tokio::test]
async fn garbage_is_closed_and_forgotten() {
    let (container, relay) = serving().await;
    let code = r#"
firsts = [os.urandom(255) + b"\n", b"\0" * 1000000, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"control 1\nwhat\n",
    b"control 1\n" + b"x" * 1000000, b"control 99999999999999999999\n", b"dial " + b"0" * 32 + b"\n",
    b"refused " + b"0" * 32 + b" " + b"x" * 100 + b"\n", b"submit " + b"[" * 4000 + b"\n", b"submit {}x\n"]
for first in firsts * 10:
    try:
        answer = heard(dial(first))
    except BrokenPipeError:
        answer = b""
    assert answer == b"" or answer.startswith((b'{"ok":false', b"open ")), answer
print("done")
"#;
    let program = attack(&container, code);
    assert_eq!(program.end().await, ("done\n".to_owned(), Some(0)));
    relay.until_connected().await;
    goes_on(&relay).await;
}

#[tokio::test]
async fn who_takes_the_control_connection_speaks_for_its_own_container_only() {
    let (container, relay) = serving().await;
    // Nobody listens on the port: what answers is not the relay.
    let code = r#"
while True:
    control = dial(b"control 1\n")
    line = control.makefile().readline()
    if line:
        break
word, port, nonce = line.split()
first = dial(b"dial %s\n" % nonce.encode())
first.recv(1)
second = dial(b"dial %s\n" % nonce.encode())
print(word, port, len(nonce), second.recv(1))
first.sendall(b"a lie")
"#;
    let program = attack(&container, code);
    let mut lie = loop {
        match relay.open(9).await {
            Ok(stream) => break stream,
            Err(RelayError::Refused { .. } | RelayError::Silent { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    };
    lie.write_all(b"?").await.expect("said");
    assert_eq!(program.end().await, ("open 9 32 b''\n".to_owned(), Some(0)));
    let mut heard = String::new();
    lie.read_to_string(&mut heard).await.expect("read to its end");
    assert_eq!(heard, "a lie");
    // The relay takes its place back.
    relay.until_connected().await;
    opened(&relay, WEB).await;
    goes_on(&relay).await;
}

#[tokio::test]
async fn an_end_that_is_told_by_another_ends_nothing() {
    let (container, relay) = serving().await;
    let program = attack(&container, "print(dial(b'control 1\\nended 3\\n').recv(1))");
    assert_eq!(program.end().await, ("b''\n".to_owned(), Some(0)));
    assert_eq!(relay.ended(), Some(3));
    assert_eq!(docker(&["inspect", "--format", "{{.State.Running}}", &container.name]), "true");
    relay.until_connected().await;
    goes_on(&relay).await;
}
