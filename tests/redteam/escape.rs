//! Ways out of a container. Where gVisor answers differently, what its own kernel says is expected
//! word for word, and the host's view tells that nothing of it reached the host's.

use std::collections::BTreeSet;

use super::host::{Namespaces, seen};
use super::lab::{Lab, on};
use super::profile::FIRST_DIRECTORY;

async fn prints(code: &str, expected: &[&str]) {
    let printed = Lab::new().await.printed(code).await;
    assert_eq!(printed.lines().collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn n01_no_capabilities() {
    let code = r#"
for line in open("/proc/self/status"):
    if line.startswith(("Cap", "NoNewPrivs", "Seccomp:")):
        print(*line.split())
print(os.getuid(), os.getgid(), os.getgroups())
# PR_GET_NO_NEW_PRIVS, PR_CAPBSET_READ of CAP_SYS_ADMIN
print(libc.prctl(39, 0, 0, 0, 0), libc.prctl(23, 21, 0, 0, 0))
"#;
    let none = "0000000000000000";
    let sets: &[&str] = on(
        &["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"],
        // It has no ambient set.
        &["CapInh:", "CapPrm:", "CapEff:", "CapBnd:"],
    );
    let capabilities: Vec<String> = sets.iter().map(|set| format!("{set} {none}")).collect();
    let mut expected: Vec<&str> = capabilities.iter().map(String::as_str).collect();
    // gVisor leaves the list to its own kernel, which the host filters: the next test.
    expected.extend(on(&["NoNewPrivs: 1", "Seccomp: 2"][..], &["Seccomp: 0"]));
    expected.extend(["61000 61000 [61000]", "1 0"]);
    prints(code, &expected).await;
}

#[tokio::test]
async fn n01_the_host_sees_no_privileges_either() {
    /// CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER, FSETID and SYS_CHROOT: gVisor's file server.
    const FILES: u64 = 0x4_001f;
    /// SYS_CHROOT and SYS_PTRACE, in a user namespace of its own: gVisor's kernel.
    const KERNEL: u64 = 0x24_0000;
    let (processes, own) = (seen("").await, Namespaces::own());
    assert!(processes.len() >= on(2, 3), "{processes:?}");
    for process in processes {
        assert!(process.no_new_privileges && process.filtered, "{process:?}");
        let (these, host) = (&process.namespaces, &own);
        assert!(these.network != host.network && these.mounts != host.mounts, "{process:?}");
        let (uid, capabilities) = on(
            (process.uid == 61_000, 0),
            if these.user == host.user { (true, FILES) } else { (process.uid == 65_534, KERNEL) },
        );
        assert!(uid && process.capabilities & !capabilities == 0, "{process:?}");
    }
}

#[tokio::test]
async fn n02_no_new_namespaces() {
    let code = r#"
def apart(*actions):
    """Each attempt in a process of its own, which may get what it asks for."""
    sys.stdout.flush()
    if os.fork() == 0:
        print(*(action() for action in actions), flush=True)
        os._exit(0)
    os.wait()

def clone(flag):
    parent = os.getpid()
    answer = syscall("clone", flag | 17, 0, 0, 0, 0)
    if os.getpid() != parent:
        os._exit(0)
    return answer

# Mounts, control groups, host name, IPC, users, processes, network.
for flag in (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000):
    apart(lambda: syscall("unshare", flag), lambda: clone(flag))
apart(lambda: syscall("clone3", 0, 0), lambda: syscall("setns", os.open("/proc/1/ns/net", os.O_RDONLY), 0))
"#;
    let refused = "EPERM EPERM";
    let expected = on(
        [refused, refused, refused, refused, refused, refused, refused, "ENOSYS EPERM"],
        // It has none of the first two kinds and takes the flags for done. Namespaces of users it has,
        // and of its own: the next tests.
        ["OK OK", "OK OK", refused, refused, "OK EPERM", refused, refused, "ENOSYS ENOTSUP"],
    );
    prints(code, &expected).await;
}

/// Asks for a user namespace with the program's own user as its root.
const USER_NAMESPACE: &str = r#"
answer = syscall("unshare", 0x10000000)
print(answer)
if answer == "OK":
    open("/proc/self/uid_map", "w").write("0 61000 1")
"#;

#[tokio::test]
async fn n02_a_user_namespace_gains_nothing() {
    let code = r#"
MS_REMOUNT, MS_BIND = 32, 4096
print(syscall("mount", b"x", b"/tmp", b"tmpfs", 0, 0), syscall("mount", b"/app/program", b"/tmp", b"", MS_BIND, 0))
print(*(syscall("mount", b"x", b"/tmp", kind, 0, 0) for kind in (b"proc", b"sysfs", b"cgroup", b"overlay", b"9p")))
print(*(syscall("mount", b"x", path, b"", MS_REMOUNT | bind, 0) for path in (b"/", b"/app/program") for bind in (0, MS_BIND)))
print(syscall("umount2", b"/app/program", 2), syscall("pivot_root", b"/tmp", b"/tmp"))
print(named(lambda: open("/var/tmp/x", "w")), named(lambda: open("/app/program/main.py", "a")), named(lambda: open("/etc/shadow")))
print(named(lambda: os.setuid(1)), named(lambda: os.mknod("/app/output/x", 0o20666, os.makedev(1, 1))))
"#;
    let refused = "EPERM EPERM EPERM EPERM";
    let expected = [
        on("EPERM", "OK"),
        "EPERM EPERM",
        "EPERM EPERM EPERM EPERM EPERM",
        refused,
        on("EPERM EPERM", "EPERM EINVAL"),
        // each mount is read-only as a whole, which is asked before whose the file is
        on("EROFS EROFS EACCES", "EROFS EACCES EACCES"),
        on("EPERM EPERM", "EINVAL EPERM"),
    ];
    prints(&format!("{USER_NAMESPACE}{code}"), &expected).await;
}

#[tokio::test]
async fn n02_no_new_namespace_on_the_host() {
    let users: BTreeSet<String> =
        seen(USER_NAMESPACE).await.into_iter().map(|process| process.namespaces.user).collect();
    // gVisor's kernel has one from its start; its file server has the host's.
    assert_eq!(users.len(), on(1, 2), "{users:?}");
    assert!(users.contains(&Namespaces::own().user));
}

#[tokio::test]
async fn n03_no_mounts() {
    let code = r#"
print(syscall("mount", b"x", b"/tmp", b"tmpfs", 0, 0))
print(syscall("mount", b"x", b"/", b"", 32 | 4096, 0))
print(syscall("umount2", b"/app/program", 2), syscall("pivot_root", b"/tmp", b"/tmp"))
print(syscall("fsopen", b"tmpfs", 0), syscall("open_tree", -100, b"/", 1), syscall("move_mount", -1, b"", -1, b"", 0))
"#;
    let modern = on("EPERM EPERM EPERM", "ENOSYS ENOSYS ENOSYS");
    prints(code, &["EPERM", "EPERM", "EPERM EPERM", modern]).await;
}

#[tokio::test]
async fn n04_no_kernel_crypto_sockets() {
    let code = "import socket\nprint(named(lambda: socket.socket(38, 5, 0)))";
    prints(code, &[on("EPERM", "EAFNOSUPPORT")]).await;
}

#[tokio::test]
async fn n05_no_vsock_nor_other_rare_sockets() {
    let code = r#"
import socket
# AF_VSOCK, AF_PACKET, AF_TIPC, AF_BLUETOOTH, AF_CAN, AF_XDP.
print(*(named(lambda: socket.socket(family, socket.SOCK_DGRAM, 0)) for family in (40, 17, 30, 31, 29, 44)))
# NETLINK_NETFILTER, NETLINK_XFRM; SCTP, MPTCP.
print(*(named(lambda: socket.socket(16, 3, protocol)) for protocol in (12, 6)))
print(*(named(lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM, protocol)) for protocol in (132, 262)))
print(named(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)))
# What programs do need.
print(*(named(lambda: socket.socket(family, socket.SOCK_STREAM)) for family in (1, 2)), named(lambda: socket.socket(16, 3, 0)))
"#;
    let [families, netlink, internet] = on(
        ["EPERM EPERM EPERM EPERM EPERM EPERM", "EPERM EPERM", "EPERM EPERM"],
        [
            "EAFNOSUPPORT EPERM EAFNOSUPPORT EAFNOSUPPORT EAFNOSUPPORT EAFNOSUPPORT",
            "EPROTONOSUPPORT EPROTONOSUPPORT",
            "EINVAL EINVAL",
        ],
    );
    prints(code, &[families, netlink, internet, "EPERM", "OK OK OK"]).await;
}

const IO_URING: &str = r#"
parameters = ctypes.create_string_buffer(256)
print(syscall("io_uring_setup", 8, ctypes.addressof(parameters)))
"#;

#[tokio::test]
async fn n06_no_io_uring() {
    // gVisor has one of its own, in its own memory.
    prints(IO_URING, &[on("EPERM", "OK")]).await;
}

#[tokio::test]
async fn n06_no_io_uring_on_the_host() {
    let files: Vec<String> = seen(IO_URING).await.into_iter().flat_map(|process| process.files).collect();
    assert!(files.iter().any(|file| file.starts_with("pipe:")), "{files:?}");
    assert!(!files.iter().any(|file| file.contains("io_uring")), "{files:?}");
}

#[tokio::test]
async fn n07_no_kernel_keyrings() {
    let code = r#"
print(syscall("keyctl", 0, -3, 0))
print(syscall("add_key", b"user", b"name", b"value", 5, -3), syscall("request_key", b"user", b"name", 0, 0))
"#;
    prints(code, &on(["EPERM", "EPERM EPERM"], ["EACCES", "EACCES EACCES"])).await;
}

#[tokio::test]
async fn n08_no_bpf_perf_or_userfaultfd() {
    let code = r#"
buffer = ctypes.create_string_buffer(256)
attributes = ctypes.addressof(buffer)
print(syscall("bpf", 0, attributes, 72), syscall("perf_event_open", attributes, 0, -1, -1, 0), syscall("userfaultfd", 1))
"#;
    prints(code, &[on("EPERM EPERM EPERM", "EPERM ENODEV ENOSYS")]).await;
}

#[tokio::test]
async fn n09_setuid_gains_nothing() {
    let code = r#"
import shutil, stat, subprocess
print(named(lambda: os.setuid(0)), named(lambda: os.setgid(0)), named(lambda: os.setgroups([0])))
found = [os.path.join(top, name) for top, _, names in os.walk("/") if not top.startswith("/proc") for name in names
    if os.lstat(os.path.join(top, name)).st_mode & (stat.S_ISUID | stat.S_ISGID)]
print(found)
shutil.copy("/usr/bin/id", "/app/output/id")
os.chmod("/app/output/id", 0o6755)
print(subprocess.run(["/app/output/id", "-u"], capture_output=True, text=True).stdout.strip())
print(named(lambda: os.chown("/app/output/id", 0, 0)))
"#;
    prints(code, &["EPERM EPERM EPERM", "[]", "61000", "EPERM"]).await;
}

#[tokio::test]
async fn n10_kernel_settings_are_read_only() {
    let code = r#"
def opened(path):
    return named(lambda: os.open(path, os.O_WRONLY))
def told(question):
    try:
        return question()
    except OSError as error:
        return errno.errorcode[error.errno]
print(opened("/proc/sys/kernel/core_pattern"), opened("/proc/sys/kernel/hostname"))
# Not every kernel has these.
print({opened(f"/proc/{name}") for name in ("sys/kernel/modprobe", "sysrq-trigger")} <= {"EACCES", "ENOENT"})
settings = {opened(os.path.join(top, name)) for root in ("/proc/sys", "/sys") for top, _, names in os.walk(root) for name in names}
print(bool(settings), settings <= {"EACCES", "EROFS"})
print(*(told(lambda: bool(os.statvfs(path).f_flag & os.ST_RDONLY)) for path in ("/proc/sys", "/sys")))
print(os.access("/proc/kcore", os.R_OK), told(lambda: len(open("/proc/keys").read())))
"#;
    // gVisor has no core_pattern and no keys, and does not tell how these are mounted.
    let [patterns, mounts, memory] =
        on(["EACCES EACCES", "True True", "False 0"], ["ENOENT EACCES", "ENOSYS False", "False ENOENT"]);
    prints(code, &[patterns, "True", "True True", mounts, memory]).await;
}

#[tokio::test]
async fn n11_no_release_agent() {
    let code = r#"
groups = [line.split()[4] for line in open("/proc/self/mountinfo") if " - cgroup" in line]
print(bool(groups), all(os.statvfs(group).f_flag & os.ST_RDONLY for group in groups))
print({named(lambda: os.mkdir(group + "/x")) for group in groups} <= {"EACCES", "EROFS"})
print({named(lambda: os.open(f"{group}/release_agent", os.O_WRONLY)) for group in groups} <= {"EACCES", "EROFS", "ENOENT"})
# A private namespace: nothing tells where on the host the group is.
print({line.strip().split(":", 2)[2] for line in open("/proc/self/cgroup")})
"#;
    // gVisor shows no control groups at all.
    let [groups, own] = on(["True True", "{'/'}"], ["False True", "set()"]);
    prints(code, &[groups, "True", "True", own]).await;
}

#[tokio::test]
async fn n12_no_engine_socket() {
    let code = r#"
import stat
for path in ("/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock"):
    print(named(lambda: os.stat(path)))
print([os.path.join(top, name) for top, _, names in os.walk("/") if not top.startswith(("/proc", "/sys"))
    for name in names if stat.S_ISSOCK(os.lstat(os.path.join(top, name)).st_mode)])
"#;
    prints(code, &["ENOENT", "ENOENT", "ENOENT", "[]"]).await;
}

#[tokio::test]
async fn n13_no_file_handles() {
    let code = r#"
handle = ctypes.create_string_buffer(b"\x08\x00\x00\x00\x01\x00\x00\x00" + b"\x02" + b"\x00" * 7, 64)
print(syscall("open_by_handle_at", os.open("/app/program", os.O_RDONLY), ctypes.addressof(handle), 0))
print(syscall("name_to_handle_at", -100, b"/app/program", ctypes.addressof(handle), ctypes.addressof(handle), 0))
"#;
    prints(code, &on(["EPERM", "EPERM"], ["ENOTSUP", "ENOTSUP"])).await;
}

#[tokio::test]
async fn n14_no_devices() {
    let code = r#"
import stat
for folder in ("/tmp", "/app/output", "/dev/shm"):
    disk, memory = folder + "/disk", folder + "/memory"
    print(named(lambda: os.mknod(disk, stat.S_IFBLK | 0o666, os.makedev(8, 0))),
        named(lambda: os.mknod(memory, stat.S_IFCHR | 0o666, os.makedev(1, 1))),
        named(lambda: os.open(disk, os.O_RDONLY)), named(lambda: os.open(memory, os.O_RDONLY)))
print([name for name in os.listdir("/dev") if stat.S_ISBLK(os.lstat("/dev/" + name).st_mode)])
print(sorted(name for name in os.listdir("/dev") if stat.S_ISCHR(os.lstat("/dev/" + name).st_mode)))
"#;
    let refused = "EPERM EPERM ENOENT ENOENT";
    // In its own memory gVisor makes such a node, and has no device behind it. Its fuse is its own.
    let [scratch, known] = on(
        [refused, "['full', 'null', 'random', 'tty', 'urandom', 'zero']"],
        ["OK OK ENXIO ENXIO", "['full', 'fuse', 'null', 'random', 'tty', 'urandom', 'zero']"],
    );
    prints(code, &[scratch, refused, scratch, "[]", known]).await;
}

#[tokio::test]
async fn n15_executables_cannot_be_overwritten() {
    let code = r#"
print(*(named(lambda: os.open(f"/proc/{who}/exe", os.O_WRONLY)) for who in ("self", "1")))
print(named(lambda: os.chmod("/usr/bin/python3.11", 0o777)), named(lambda: os.unlink("/usr/sbin/docker-init")))
print(bool(os.statvfs("/").f_flag & os.ST_RDONLY), named(lambda: open("/var/tmp/open-to-everyone", "w")))
"#;
    // gVisor looks at the file's owner before the mount, and does not tell how the root is mounted.
    let [refused, root] = on(["EROFS EROFS", "True EROFS"], ["EPERM EACCES", "False EROFS"]);
    prints(code, &["EACCES EACCES", refused, root]).await;
}

#[tokio::test]
async fn n16_no_host_descriptors_leak() {
    let code = r#"
def read(path):
    try:
        return os.readlink(path)
    except OSError as error:
        return errno.errorcode[error.errno]
for process in ("self", "1"):
    folder = f"/proc/{process}/fd"
    links = {fd: os.readlink(f"{folder}/{fd}") for fd in os.listdir(folder) if os.path.lexists(f"{folder}/{fd}")}
    print(sorted(links), all(map(known, links.values())))
    print(read(f"/proc/{process}/cwd"), read(f"/proc/{process}/root"))
"#;
    let line = "['0', '1', '2'] True";
    let first = on(FIRST_DIRECTORY, "EACCES EACCES");
    let known = on(
        "known = lambda link: link == '/dev/null' or link.startswith('pipe:')",
        "known = {'host:[1]', 'host:[2]', 'host:[3]'}.__contains__",
    );
    prints(&format!("{known}\n{code}"), &[line, "/app/program /", line, first]).await;
}

#[tokio::test]
async fn n17_no_tracing_and_no_other_processes() {
    let code = r#"
print(syscall("ptrace", 16, 1, 0, 0), syscall("process_vm_readv", 1, 0, 0, 0, 0, 0))
print(sorted(int(name) for name in os.listdir("/proc") if name.isdigit()) == [1, os.getpid()])
"#;
    prints(code, &[on("EPERM EPERM", "EPERM ENOSYS"), "True"]).await;
}
