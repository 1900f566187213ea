//! Attempts to use more than was given, or to stay longer.

use std::time::Duration;

use shuyu::sandbox::End;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::lab::{Lab, MIB, gvisor, on};
use super::profile::{OUTPUT_INODES, hold};

/// The limit is 64 processes.
const FORK_BOMB: &str = r#"
count = 0
while True:
    try:
        if os.fork() == 0:
            import signal
            signal.pause()
    except OSError as error:
        print(errno.errorcode[error.errno], count)
        break
    count += 1
    if STEPS:
        print(count, flush=True)
"#;

#[tokio::test]
async fn n23_fork_bomb_stops_at_the_process_limit() {
    let lab = Lab::new().await;
    let mut spec = lab.python(&format!("STEPS = {}\n{FORK_BOMB}", on("False", "True")));
    // gVisor keeps its own books of every process; here they shall not be what stops it.
    spec.resources.memory = on(64 * MIB, 2048 * MIB);
    let ran = lab.run(spec).await;
    if gvisor() {
        // The host counts gVisor's own threads, 128 and 16 for each declared process: at the limit
        // its kernel dies, and everything in it.
        assert_eq!(ran.outcome.end, End::Exited(2), "{}", ran.printed);
        let count: u32 = ran.printed.lines().last().and_then(|line| line.parse().ok()).expect("a number");
        assert!((64..1152).contains(&count), "{count}");
    } else {
        assert_eq!(ran.outcome.end, End::Exited(0), "{}", ran.printed);
        let (error, count) = ran.printed.trim().split_once(' ').expect("two words");
        assert_eq!(error, "EAGAIN");
        let count: u32 = count.parse().expect("a number");
        assert!((32..64).contains(&count), "{count} of 64");
    }
    drop(ran);
    lab.finish().await;
}

/// Takes memory until killed; the limit is the declared 64 MiB plus 592 MiB of tmpfs.
const HOG: &str = "
blocks = []
while len(blocks) < 2048:
    blocks.append(bytearray(b'x') * (1 << 20))
print('unharmed')
";

#[tokio::test]
async fn n24_twice_the_memory_is_out_of_memory() {
    let lab = Lab::new().await;
    let ran = lab.run(lab.python(HOG)).await;
    assert_eq!(ran.outcome.end, End::OutOfMemory, "{}", ran.printed);
    let peak = ran.outcome.peak_memory.expect("the control group tells");
    assert!(peak > 600 * MIB && peak <= 660 * MIB, "{peak}");
    drop(ran);
    lab.finish().await;
}

#[tokio::test]
async fn n25_a_child_out_of_memory_is_reported() {
    let lab = Lab::new().await;
    let child = HOG.replace('\n', "\n    ");
    let ran = lab
        .run(lab.python(&format!(
            "child = os.fork()\nif child == 0:\n    {child}\nprint('signal', os.waitpid(child, 0)[1])"
        )))
        .await;
    // gVisor's kernel holds the memory of all processes: they go down together.
    assert_eq!(ran.printed, on("signal 9\n", ""));
    assert_eq!(ran.outcome.end, End::OutOfMemory);
    drop(ran);
    lab.finish().await;
}

/// Writes a file until there is no room; prints the error and the whole MiB that fitted.
fn fill(path: &str) -> String {
    format!(
        r#"
written = 0
with open("{path}/fill", "wb", buffering=0) as file:
    while True:
        try:
            written += file.write(b"x" * (1 << 20))
        except OSError as error:
            print(errno.errorcode[error.errno], written >> 20)
            break
"#
    )
}

#[tokio::test]
async fn n26_tmp_fills_up_alone() {
    assert_eq!(Lab::new().await.printed(&fill("/tmp")).await, "ENOSPC 512\n");
}

/// Makes a million files in each of the folders, with the file count each is held to.
fn litter(folders: &[(&str, u32)]) -> String {
    let folders: String = folders.iter().map(|(folder, most)| format!("({folder:?}, {most}), ")).collect();
    format!(
        r#"
for folder, most in ({folders}):
    count = 0
    try:
        while count < 1_000_000:
            os.close(os.open(f"{{folder}}/{{count:0200}}", os.O_CREAT))
            count += 1
        print("unharmed", folder)
    except OSError as error:
        print(errno.errorcode[error.errno], most - 1 <= count <= most, flush=True)
"#
    )
}

#[tokio::test]
async fn n27_inodes_run_out() {
    let (output, tmp, shared) = (("/app/output", OUTPUT_INODES), ("/tmp", 65_536), ("/dev/shm", 1024));
    if !gvisor() {
        let code = litter(&[output, tmp, shared]);
        assert_eq!(Lab::new().await.printed(&code).await, "ENOSPC True\n".repeat(3));
        return;
    }
    // gVisor counts no inodes in its own tmpfs: there they take the run's own memory until it ends.
    let lab = Lab::new().await;
    let ran = lab.run(lab.python(&litter(&[output, shared]))).await;
    assert_eq!((ran.outcome.end, &*ran.printed), (End::OutOfMemory, "ENOSPC True\n"));
    drop(ran);
    lab.finish().await;
}

#[tokio::test]
async fn n28_yes_is_capped_and_ends() {
    let lab = Lab::new().await;
    let mut spec = lab.command(&["yes"]);
    spec.wall_clock = Duration::from_secs(2);
    let ran = lab.run(spec).await;
    assert_eq!(ran.outcome.end, End::TimedOut);
    assert!(ran.outcome.log.truncated());
    assert!(ran.printed.len() < (64 << 10) + 100, "{}", ran.printed.len());
    // Read slowly once the cap is reached, so that the engine is not kept busy.
    assert!(ran.outcome.log.total() < 64 * MIB, "{}", ran.outcome.log.total());
    drop(ran);
    lab.finish().await;
}

#[tokio::test]
async fn n29_an_endless_line_is_capped() {
    let lab = Lab::new().await;
    let ran = lab
        .run(lab.python("for _ in range(16): sys.stdout.write('a' * (1 << 20))\nsys.stdout.write('end')"))
        .await;
    assert_eq!(ran.outcome.end, End::Exited(0));
    assert!(ran.outcome.log.truncated());
    assert!(ran.printed.starts_with("aaa") && ran.printed.ends_with("aend"), "both ends are kept");
    assert!(ran.printed.len() < (64 << 10) + 100, "{}", ran.printed.len());
    drop(ran);
    lab.finish().await;
}

#[tokio::test]
async fn n30_sleeping_forever_ends_at_the_wall_clock() {
    let lab = Lab::new().await;
    let mut spec = lab.command(&["sleep", "infinity"]);
    spec.wall_clock = Duration::from_secs(1);
    let ran = lab.run(spec).await;
    assert_eq!(ran.outcome.end, End::TimedOut);
    assert!(ran.outcome.wall >= Duration::from_secs(1));
    drop(ran);
    lab.finish().await;
}

#[tokio::test]
async fn n31_a_daemon_dies_with_the_run() {
    let code = r#"
import time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        while True:
            time.sleep(3600)
    os._exit(0)
os.wait()
print("left a daemon")
"#;
    let lab = Lab::new().await;
    let ran = lab.run(lab.python(code)).await;
    assert_eq!((ran.outcome.end, ran.printed.as_str()), (End::Exited(0), "left a daemon\n"));
    drop(ran);
    // A control group with a process in it cannot be removed: `finish` would see it.
    lab.finish().await;
}

#[tokio::test]
async fn n32_ignoring_signals_does_not_help() {
    let code = r#"
import signal
for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
print("ready", flush=True)
while True:
    signal.pause()
"#;
    let lab = Lab::new().await;
    let mut spec = lab.python(code);
    let (sink, mut chunks) = mpsc::channel(8);
    spec.log_sink = Some(sink);
    let cancel = CancellationToken::new();
    let canceller = async {
        chunks.recv().await.expect("it says when it is ready");
        cancel.cancel();
    };
    let (outcome, ()) = tokio::join!(hold(&lab, spec, cancel.clone()), canceller);
    assert_eq!(outcome.expect("held to its end").end, End::Cancelled);
    lab.finish().await;
}

#[tokio::test]
async fn n33_shared_memory_fills_up_alone() {
    let code = fill("/dev/shm") + "print(named(lambda: os.open('/dev/mqueue/x', os.O_CREAT | os.O_RDWR)))";
    let printed = Lab::new().await.printed(&code).await;
    assert!(printed.starts_with("ENOSPC 64\n"), "{printed}");
    assert!(!printed.contains("OK"), "a message queue was made: {printed}");
}
