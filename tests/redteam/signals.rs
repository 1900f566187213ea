//! Two programs of which one tries to tell the other something through a file that both only read: by locks
//! (flock, POSIX and "open file description" ones), by the table of locks, and by being watched at reading.

use std::process::Command;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::lab::Lab;

/// Reads `PATH` and locks it in each way, and a file of its own too; then sleeps.
pub const TELL: &str = r#"
import errno, fcntl, os, struct, time
def lock(file, command, kind, start):
    try:
        fcntl.fcntl(file, command, struct.pack("hhqqi4x", kind, 0, start, 77, 0))
    except OSError as error:
        assert error.errno == errno.EINVAL, "gVisor does not know those of descriptions"
exclusive, posix, described, own = open(PATH), open(PATH), open(PATH), open("/tmp/own", "w")
exclusive.read()
fcntl.flock(exclusive, fcntl.LOCK_EX)
lock(posix, fcntl.F_SETLK, fcntl.F_RDLCK, 4711)
lock(described, 37, fcntl.F_RDLCK, 4712)
lock(own, 37, fcntl.F_WRLCK, 4713)
open("/tmp/told", "w").close()
time.sleep(600)
"#;

/// Watches `PATH`, waits for `/tmp/go`, and prints what it sees of the other.
pub const LISTEN: &str = r#"
import ctypes, errno, fcntl, os, struct, time
libc = ctypes.CDLL(None)
events = libc.inotify_init1(os.O_NONBLOCK)
for watched in (PATH, os.path.dirname(PATH)):
    assert libc.inotify_add_watch(events, watched.encode(), 0xfff) > 0
file = open(PATH)
os.read(events, 4096)
open("/tmp/listening", "w").close()
while not os.path.exists("/tmp/go"):
    time.sleep(0.02)
def free(action):
    try:
        return action() in (None, fcntl.F_UNLCK)
    except OSError as error:
        return error.errno == errno.EINVAL
def asked(command):
    question = struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0)
    return struct.unpack("hhqqi4x", fcntl.fcntl(file, command, question))[0]
try:
    read = bool(os.read(events, 4096))
except BlockingIOError:
    read = False
print("flock", free(lambda: fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)))
print("posix", free(lambda: asked(fcntl.F_GETLK)), "described", free(lambda: asked(36)))
table = open("/proc/locks").read() if os.path.exists("/proc/locks") else ""
print("table", not any(str(start) in table for start in (4711, 4712, 4713)), "quiet", not read)
"#;

/// What the listener prints where nothing crosses.
pub const NOTHING: &str = "flock True\nposix True described True\ntable True quiet True\n";

/// One of them about this file.
pub fn about(path: &str, code: &str) -> String {
    format!("PATH = {path:?}\n{code}")
}

/// Waits until one of a laboratory's containers has a file in its `/tmp`, and gives that container.
pub async fn until_marked(lab: &Lab, file: &str) -> String {
    let waiting = async {
        loop {
            let containers = lab.containers();
            let has = |id: &&String| in_container(id, &["test", "-e", file]);
            if let Some(found) = containers.iter().find(has) {
                return found.clone();
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(60), waiting).await.expect("a container has it within a minute")
}

/// Whether a command succeeds in a container.
pub fn in_container(id: &str, command: &[&str]) -> bool {
    Command::new("docker").args(["exec", id]).args(command).output().expect("docker").status.success()
}
