//! Ways out of a container.

use super::lab::Lab;

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
"#;
    let none = "0000000000000000";
    let capabilities =
        ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"].map(|set| format!("{set} {none}"));
    let mut expected: Vec<&str> = capabilities.iter().map(String::as_str).collect();
    expected.extend(["NoNewPrivs: 1", "Seccomp: 2", "61000 61000 [61000]"]);
    prints(code, &expected).await;
}

#[tokio::test]
async fn n02_no_new_namespaces() {
    let code = r#"
for flag in (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000):
    print(syscall("unshare", flag), syscall("clone", flag | 17, 0, 0, 0, 0))
print(syscall("clone3", 0, 0), syscall("setns", os.open("/proc/1/ns/net", os.O_RDONLY), 0))
"#;
    let mut expected = vec!["EPERM EPERM"; 7];
    expected.push("ENOSYS EPERM");
    prints(code, &expected).await;
}

#[tokio::test]
async fn n03_no_mounts() {
    let code = r#"
print(syscall("mount", b"x", b"/tmp", b"tmpfs", 0, 0))
print(syscall("mount", b"x", b"/", b"", 32 | 4096, 0))
print(syscall("umount2", b"/app/program", 2), syscall("pivot_root", b"/tmp", b"/tmp"))
print(syscall("fsopen", b"tmpfs", 0), syscall("open_tree", -100, b"/", 1), syscall("move_mount", -1, b"", -1, b"", 0))
"#;
    prints(code, &["EPERM", "EPERM", "EPERM EPERM", "EPERM EPERM EPERM"]).await;
}

#[tokio::test]
async fn n04_no_kernel_crypto_sockets() {
    prints("import socket\nprint(named(lambda: socket.socket(38, 5, 0)))", &["EPERM"]).await;
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
    prints(code, &["EPERM EPERM EPERM EPERM EPERM EPERM", "EPERM EPERM", "EPERM EPERM", "EPERM", "OK OK OK"])
        .await;
}

#[tokio::test]
async fn n06_no_io_uring() {
    prints(
        r#"print(syscall("io_uring_setup", 8, ctypes.addressof(ctypes.create_string_buffer(256))))"#,
        &["EPERM"],
    )
    .await;
}

#[tokio::test]
async fn n07_no_kernel_keyrings() {
    let code = r#"
print(syscall("keyctl", 0, -3, 0))
print(syscall("add_key", b"user", b"name", b"value", 5, -3), syscall("request_key", b"user", b"name", 0, 0))
"#;
    prints(code, &["EPERM", "EPERM EPERM"]).await;
}

#[tokio::test]
async fn n08_no_bpf_perf_or_userfaultfd() {
    let code = r#"
attributes = ctypes.addressof(ctypes.create_string_buffer(256))
print(syscall("bpf", 0, attributes, 72), syscall("perf_event_open", attributes, 0, -1, -1, 0), syscall("userfaultfd", 1))
"#;
    prints(code, &["EPERM EPERM EPERM"]).await;
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
print(opened("/proc/sys/kernel/core_pattern"), opened("/proc/sys/kernel/hostname"))
# Not every kernel has these.
print({opened(f"/proc/{name}") for name in ("sys/kernel/modprobe", "sysrq-trigger")} <= {"EACCES", "ENOENT"})
print(bool(os.statvfs("/proc/sys").f_flag & os.ST_RDONLY), bool(os.statvfs("/sys").f_flag & os.ST_RDONLY))
print(os.access("/proc/kcore", os.R_OK), len(open("/proc/keys").read()))
"#;
    prints(code, &["EACCES EACCES", "True", "True True", "False 0"]).await;
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
    prints(code, &["True True", "True", "True", "{'/'}"]).await;
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
    prints(code, &["EPERM", "EPERM"]).await;
}

#[tokio::test]
async fn n14_no_devices() {
    let code = r#"
import stat
for folder in ("/tmp", "/app/output", "/dev/shm"):
    print(named(lambda: os.mknod(folder + "/disk", stat.S_IFBLK | 0o666, os.makedev(8, 0))),
        named(lambda: os.mknod(folder + "/memory", stat.S_IFCHR | 0o666, os.makedev(1, 1))))
print([name for name in os.listdir("/dev") if stat.S_ISBLK(os.lstat("/dev/" + name).st_mode)])
print(sorted(name for name in os.listdir("/dev") if stat.S_ISCHR(os.lstat("/dev/" + name).st_mode)))
"#;
    let known = "['full', 'null', 'random', 'tty', 'urandom', 'zero']";
    prints(code, &["EPERM EPERM", "EPERM EPERM", "EPERM EPERM", "[]", known]).await;
}

#[tokio::test]
async fn n15_executables_cannot_be_overwritten() {
    let code = r#"
print(*(named(lambda: os.open(f"/proc/{who}/exe", os.O_WRONLY)) for who in ("self", "1")))
print(named(lambda: os.chmod("/usr/bin/python3.11", 0o777)), named(lambda: os.unlink("/usr/sbin/docker-init")))
print(bool(os.statvfs("/").f_flag & os.ST_RDONLY))
"#;
    prints(code, &["EACCES EACCES", "EROFS EROFS", "True"]).await;
}

#[tokio::test]
async fn n16_no_host_descriptors_leak() {
    let code = r#"
for process in ("self", "1"):
    links = {fd: os.readlink(f"/proc/{process}/fd/{fd}") for fd in os.listdir(f"/proc/{process}/fd")
        if os.path.exists(f"/proc/{process}/fd/{fd}")}
    print(sorted(links), all(link == "/dev/null" or link.startswith("pipe:") for link in links.values()))
    print(os.readlink(f"/proc/{process}/cwd"), os.readlink(f"/proc/{process}/root"))
"#;
    let line = "['0', '1', '2'] True";
    prints(code, &[line, "/app/program /", line, "/app/program /"]).await;
}

#[tokio::test]
async fn n17_no_tracing_and_no_other_processes() {
    let code = r#"
print(syscall("ptrace", 16, 1, 0, 0), syscall("process_vm_readv", 1, 0, 0, 0, 0, 0))
print(sorted(int(name) for name in os.listdir("/proc") if name.isdigit()) == [1, os.getpid()])
"#;
    prints(code, &["EPERM EPERM", "True"]).await;
}
