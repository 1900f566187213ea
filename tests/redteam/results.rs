//! What a program may leave in its output directory, and what it can see of the answers.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use shuyu::sandbox::{CollectLimits, Collected, End, OutputRefused, ReadOnlyBind, SandboxError};

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::lab::{Lab, MIB, entries, gvisor, on};
use super::profile::hold;
use super::signals;

impl Lab {
    /// Runs a Python program that must exit with 0, and copies its output.
    pub async fn collected(
        &self,
        code: &str,
        limits: &CollectLimits,
    ) -> (Result<Collected, SandboxError>, PathBuf) {
        let ran = self.run(self.python(code)).await;
        assert_eq!(ran.outcome.end, End::Exited(0), "{}", ran.printed);
        let destination = self.folder("collected", &[]);
        let collected = ran.outcome.output.collect(&destination, limits).await;
        ran.outcome.output.release().await.expect("released");
        (collected, destination)
    }
}

/// Runs a program that writes to the output directory, and says why its output is refused.
async fn refused(code: &str, limits: CollectLimits) -> OutputRefused {
    let lab = Lab::new().await;
    let (collected, _) = lab.collected(&format!("os.chdir('/app/output')\n{code}"), &limits).await;
    lab.finish().await;
    match collected {
        Err(SandboxError::Output(refused)) => refused,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn n34_a_link_to_the_labels_is_refused() {
    let lab = Lab::new().await;
    let labels = lab.folder("labels", &[("truth.csv", "id,label\n1,1\n")]).join("truth.csv");
    for target in
        [labels.to_str().expect("UTF-8"), "/etc/shadow", "../../../../etc/shadow", "/proc/self/fd/0", "a.csv"]
    {
        let code =
            format!("open('/app/output/a.csv', 'w').close()\nos.symlink({target:?}, '/app/output/b.csv')");
        let (collected, destination) = lab.collected(&code, &CollectLimits::default()).await;
        let expected = OutputRefused::Kind { path: "b.csv".to_owned(), kind: "symbolic link" };
        match collected {
            Err(SandboxError::Output(refused)) => assert_eq!(refused, expected, "{target}"),
            other => panic!("{target}: {other:?}"),
        }
        assert!(!destination.join("b.csv").exists(), "{target}");
        fs::remove_dir_all(destination).expect("ours");
    }
    lab.finish().await;
}

#[tokio::test]
async fn n34_a_linked_directory_is_refused() {
    let refused = refused("os.symlink('/etc', 'predictions')", CollectLimits::default()).await;
    assert_eq!(refused, OutputRefused::Kind { path: "predictions".to_owned(), kind: "symbolic link" });
}

/// A special file in the output directory: refused by name, or, on gVisor, nothing but an entry of
/// its own kernel, which never comes to lie in the host's directory.
async fn never_taken(code: &str, is: &str, kind: &'static str) {
    let lab = Lab::new().await;
    let code = format!(
        "import stat\nos.chdir('/app/output')\n{code}\nassert stat.{is}(os.stat('scores.json').st_mode)"
    );
    let (collected, destination) = lab.collected(&code, &CollectLimits::default()).await;
    match collected {
        Err(SandboxError::Output(refused)) if !gvisor() => {
            assert_eq!(refused, OutputRefused::Kind { path: "scores.json".to_owned(), kind });
        }
        Ok(collected) if gvisor() => assert_eq!(collected, Collected::default()),
        other => panic!("{other:?}"),
    }
    assert!(entries(&destination).is_empty());
    lab.finish().await;
}

#[tokio::test]
async fn n35_a_fifo_is_refused_and_holds_nobody() {
    never_taken("os.mkfifo('scores.json')", "S_ISFIFO", "FIFO").await;
}

#[tokio::test]
async fn n35_a_socket_is_refused() {
    let code = "import socket\nsocket.socket(socket.AF_UNIX).bind('scores.json')";
    never_taken(code, "S_ISSOCK", "socket").await;
}

#[tokio::test]
async fn a_sparse_file_counts_whole() {
    let limits = CollectLimits { bytes: MIB, ..CollectLimits::default() };
    let refused = refused("open('huge', 'w').truncate(1 << 29)", limits).await;
    assert_eq!(refused, OutputRefused::Bytes { path: "huge".to_owned(), limit: MIB });
}

#[tokio::test]
async fn hard_links_count_each_time() {
    let limits = CollectLimits { bytes: 2 * MIB, ..CollectLimits::default() };
    let code = "open('0', 'wb').write(b'x' * (1 << 20))\nfor n in range(1, 3): os.link('0', str(n))";
    assert!(matches!(refused(code, limits).await, OutputRefused::Bytes { limit, .. } if limit == 2 * MIB));
}

#[tokio::test]
async fn too_many_files_are_refused() {
    let limits = CollectLimits { entries: 100, ..CollectLimits::default() };
    let refused = refused("for n in range(101): open(str(n), 'w').close()", limits).await;
    assert_eq!(refused, OutputRefused::Entries { limit: 100 });
}

#[tokio::test]
async fn deep_directories_are_refused() {
    let limits = CollectLimits { depth: 3, ..CollectLimits::default() };
    let refused = refused("os.makedirs('a/b/c')", limits).await;
    assert_eq!(refused, OutputRefused::Depth { path: "a/b/c".to_owned(), limit: 3 });
}

#[tokio::test]
async fn names_are_checked_and_shown_escaped() {
    let refused = refused("open(b'\\xff\\x1b[31m<b>', 'w').close()", CollectLimits::default()).await;
    let OutputRefused::Name { path } = refused else { panic!("{refused:?}") };
    assert_eq!(path, "\\u{fffd}\\u{1b}[31m\\u{3c}b\\u{3e}");
}

#[tokio::test]
async fn regular_files_are_copied_whatever_their_mode() {
    let lab = Lab::new().await;
    let code = r#"
os.makedirs("/app/output/图/表")
open("/app/output/图/表/结果.csv", "w").write("id,score\n")
open("/app/output/empty", "w").close()
open("/app/output/secret", "w").write("x" * 300_000)
os.chmod("/app/output/secret", 0o4000)
os.chmod("/app/output/图", 0)
"#;
    let (collected, destination) = lab.collected(code, &CollectLimits::default()).await;
    assert_eq!(collected.expect("all regular"), Collected { files: 3, bytes: 300_009 });
    assert_eq!(fs::read_to_string(destination.join("图/表/结果.csv")).expect("copied"), "id,score\n");
    let mode = fs::metadata(destination.join("secret")).expect("copied").permissions().mode();
    assert_eq!(mode & 0o7777, 0o644);
    lab.finish().await;
}

#[tokio::test]
async fn a_full_disk_on_our_side_is_not_the_programs_fault() {
    let lab = Lab::new().await;
    let stage = lab.engine.stage(lab.owner(), 64 << 10).expect("a tmpfs as small disk");
    let ran = lab.run(lab.python("open('/app/output/big', 'w').write('x' * (1 << 20))")).await;
    let collected = ran.outcome.output.collect(stage.path(), &CollectLimits::default()).await;
    match collected {
        Err(error @ SandboxError::DiskFull { .. }) => assert!(error.is_transient()),
        other => panic!("{other:?}"),
    }
    drop((ran, stage));
    lab.finish().await;
}

#[tokio::test]
async fn n40_what_is_printed_is_no_result() {
    let lab = Lab::new().await;
    let code = r#"print('{"accuracy": 1.0}')
print('{"accuracy": 1.0}', file=sys.stderr)
open("/tmp/scores.json", "w").write('{"accuracy": 1.0}')"#;
    let (collected, destination) = lab.collected(code, &CollectLimits::default()).await;
    assert_eq!(collected.expect("an empty directory"), Collected::default());
    assert!(entries(&destination).is_empty());
    lab.finish().await;
}

#[tokio::test]
async fn n42_labels_are_out_of_a_submissions_sight() {
    let lab = Lab::new().await;
    let owner = lab.owner();
    let stage = lab.engine.stage(owner, MIB).expect("a stage");
    fs::write(stage.path().join("truth-4711.csv"), "secret-label-4711").expect("staged");
    let input = lab.folder("input", &[("rows.csv", "id\n1\n")]);
    let code = format!(
        r#"
found = []
for root in ("/", "/proc/1/root", "/proc/self/root"):
    for top, folders, names in os.walk(root):
        folders[:] = [name for name in folders if os.path.join(top, name) not in ("/proc", "/sys", root + "/proc", root + "/sys")]
        found += [os.path.join(top, name) for name in names if "truth" in name and "4711" in name]
print(found)
mounts = open("/proc/self/mountinfo").read()
print("staged" in mounts, "stage" in mounts, "{owner}" in mounts)
print(sorted(os.listdir("/app")), os.listdir("/app/input_data"))
"#,
        owner = owner.run
    );
    let mut spec = lab.python(&code);
    spec.binds.push(ReadOnlyBind { host: input, container: "/app/input_data".to_owned() });
    let ran = lab.run(spec).await;
    let expected = "[]\nFalse False False\n['input_data', 'output', 'program'] ['rows.csv']\n";
    assert_eq!(ran.printed, expected);
    drop((ran, stage));
    lab.finish().await;
}

#[tokio::test]
async fn n49_input_data_is_read_only() {
    let lab = Lab::new().await;
    let input = lab.folder("input", &[("rows.csv", "id\n1\n")]);
    // Open to everyone on the host, so that nothing but the mount stands in the way.
    fs::set_permissions(&input, fs::Permissions::from_mode(0o777)).expect("its mode");
    fs::set_permissions(input.join("rows.csv"), fs::Permissions::from_mode(0o666)).expect("its mode");
    let code = r#"
data = "/app/input_data/"
print(named(lambda: open(data + "rows.csv", "a")), named(lambda: open(data + "new", "w")))
print(named(lambda: os.unlink(data + "rows.csv")), named(lambda: os.rename(data + "rows.csv", data + "x")))
print(named(lambda: os.chmod(data + "rows.csv", 0)), named(lambda: os.utime(data + "rows.csv")))
print(named(lambda: os.link(data + "rows.csv", "/tmp/rows.csv")), named(lambda: os.mkdir("/app/new")))
print(named(lambda: open("/app/program/main.py", "a")) in ("EROFS", "EACCES"), open(data + "rows.csv").read().split())
"#;
    let mut spec = lab.python(code);
    spec.binds.push(ReadOnlyBind { host: input.clone(), container: "/app/input_data".to_owned() });
    let ran = lab.run(spec).await;
    // gVisor asks whose the file is before it looks at the mount.
    let mode = on("EROFS", "EPERM");
    let expected = format!("EROFS EROFS\nEROFS EROFS\n{mode} EROFS\nEXDEV EROFS\nTrue ['id', '1']\n");
    assert_eq!(ran.printed, expected);
    assert_eq!(fs::metadata(input.join("rows.csv")).expect("there").permissions().mode() & 0o777, 0o666);
    assert_eq!(entries(&input), [input.join("rows.csv")]);
    assert_eq!(fs::read_to_string(input.join("rows.csv")).expect("unharmed"), "id\n1\n");
    drop(ran);
    lab.finish().await;
}

#[tokio::test]
async fn n48_runs_cannot_signal_each_other_through_what_both_read() {
    // two workers of one machine: what they lay out may be the same
    let (lab, other) = (Lab::new().await, Lab::new().await);
    let shared = lab.folder("shared", &[("module.py", "x = 1\n")]);
    let with_shared = |lab: &Lab, code: &str| {
        let mut spec = lab.python(&signals::about("/app/packages/module.py", code));
        spec.binds.push(ReadOnlyBind { host: shared.clone(), container: "/app/packages".to_owned() });
        spec
    };
    let cancel = CancellationToken::new();
    let telling = hold(&other, with_shared(&other, signals::TELL), cancel.clone());
    let listening = lab.run(with_shared(&lab, signals::LISTEN));
    let (told, ran, ()) = tokio::join!(telling, listening, async {
        let listener = signals::until_marked(&lab, "/tmp/listening").await;
        signals::until_marked(&other, "/tmp/told").await;
        assert!(signals::in_container(&listener, &["touch", "/tmp/go"]));
        let gone = || !signals::in_container(&listener, &["true"]);
        while !gone() {
            sleep(Duration::from_millis(50)).await;
        }
        cancel.cancel();
    });
    assert_eq!(ran.printed, signals::NOTHING);
    drop((told.expect("held to its end"), ran));
    lab.finish().await;
    other.finish().await;
}

/// With what a program can ask whether another has read a page, or make it be read from the disk again.
#[tokio::test]
async fn n48_the_page_cache_is_not_told_nor_emptied() {
    let lab = Lab::new().await;
    let code = r#"
import sysconfig
path = os.path.join(sysconfig.get_paths()["stdlib"], "os.py")
file = os.open(path, os.O_RDONLY)
buffer = [bytearray(4096)]
print(os.preadv(file, buffer, 0), named(lambda: os.preadv(file, buffer, 0, os.RWF_NOWAIT)))
os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
print(os.preadv(file, buffer, 0, os.RWF_HIPRI), os.pread(file, 6, 0) == bytes(buffer[0][:6]))
ctypes.set_errno(0)
wanted, told = (ctypes.c_uint64 * 2)(0, 1 << 20), (ctypes.c_uint64 * 5)()
print(libc.syscall(451, file, wanted, told, 0), errno.errorcode[ctypes.get_errno()])
"#;
    let refused = on("EPERM", "ENOTSUP");
    let unknown = on("EPERM", "ENOSYS");
    assert_eq!(lab.printed(code).await, format!("4096 {refused}\n4096 True\n-1 {unknown}\n"));
}
