//! Attempts to use more than was given, or to stay longer.

use std::time::Duration;

use shuyu::sandbox::End;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::lab::{Lab, MIB};

#[tokio::test]
async fn n23_fork_bomb_stops_at_the_process_limit() {
    let code = r#"
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
"#;
    let printed = Lab::new().await.printed(code).await;
    let (error, count) = printed.trim().split_once(' ').expect("two words");
    assert_eq!(error, "EAGAIN");
    let count: u32 = count.parse().expect("a number");
    assert!((32..64).contains(&count), "{count} of 64");
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
    assert_eq!(ran.printed, "signal 9\n");
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

#[tokio::test]
async fn n27_inodes_run_out() {
    let code = r#"
for folder, most in (("/app/output", 1000), ("/tmp", 65536), ("/dev/shm", 1024)):
    count = 0
    try:
        while count < 1_000_000:
            os.close(os.open(f"{folder}/{count}", os.O_CREAT))
            count += 1
    except OSError as error:
        print(errno.errorcode[error.errno], most - 1 <= count <= most)
"#;
    assert_eq!(Lab::new().await.printed(code).await, "ENOSPC True\nENOSPC True\nENOSPC True\n");
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
    let (outcome, ()) = tokio::join!(lab.engine.run(spec, cancel.clone()), canceller);
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
