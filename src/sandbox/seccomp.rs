//! The system calls a sandboxed program may make. An allow-list in the shape of moby's default
//! profile, less what no data program needs: everything not named here fails with `EPERM`.
//! `docs/sandbox-runs.md` says what is left out and why.

use std::sync::LazyLock;

use serde_json::{Value, json};

/// Allowed whatever their arguments.
#[rustfmt::skip]
const ALLOWED: &[&str] = &[
    // Files and directories.
    "access", "chdir", "chmod", "chown", "close", "close_range", "copy_file_range", "creat", "dup", "dup2",
    "dup3", "faccessat", "faccessat2", "fallocate", "fchdir", "fchmod", "fchmodat", "fchmodat2",
    "fchown", "fchownat", "fcntl", "fdatasync", "fgetxattr", "flistxattr", "flock", "fremovexattr", "fsetxattr",
    "fstat", "fstatfs", "fsync", "ftruncate", "futimesat", "getcwd", "getdents", "getdents64", "getxattr",
    "inotify_add_watch", "inotify_init", "inotify_init1", "inotify_rm_watch", "ioctl", "lchown", "lgetxattr",
    "link", "linkat", "listxattr", "llistxattr", "lremovexattr", "lseek", "lsetxattr", "lstat", "mkdir",
    "mkdirat", "mknod", "mknodat", "newfstatat", "open", "openat", "openat2", "pread64", "preadv",
    "pwrite64", "pwritev", "pwritev2", "read", "readahead", "readlink", "readlinkat", "readv", "removexattr",
    "rename", "renameat", "renameat2", "rmdir", "sendfile", "setxattr", "splice", "stat", "statfs", "statx",
    "symlink", "symlinkat", "sync_file_range", "tee", "truncate", "umask", "unlink", "unlinkat", "utime",
    "utimensat", "utimes", "write", "writev",
    // Memory.
    "brk", "madvise", "map_shadow_stack", "membarrier", "memfd_create", "mincore", "mlock",
    "mlock2", "mlockall", "mmap", "mprotect", "mremap", "mseal", "msync", "munlock", "munlockall", "munmap",
    "pkey_alloc", "pkey_free", "pkey_mprotect", "shmat", "shmctl", "shmdt", "shmget",
    // Processes, threads and signals.
    "alarm", "capget", "capset", "execve", "execveat", "exit", "exit_group", "fork", "futex", "futex_requeue",
    "futex_wait", "futex_waitv", "futex_wake", "get_robust_list", "get_thread_area", "getpgid", "getpgrp",
    "getpid", "getppid", "getpriority", "getrlimit", "getrusage", "getsid", "gettid", "kill", "pause",
    "pidfd_open", "pidfd_send_signal", "prctl", "prlimit64", "restart_syscall", "rseq", "rt_sigaction",
    "rt_sigpending", "rt_sigprocmask", "rt_sigqueueinfo", "rt_sigreturn", "rt_sigsuspend", "rt_sigtimedwait",
    "rt_tgsigqueueinfo", "sched_get_priority_max", "sched_get_priority_min", "sched_getaffinity",
    "sched_getattr", "sched_getparam", "sched_getscheduler", "sched_rr_get_interval", "sched_setaffinity",
    "sched_setattr", "sched_setparam", "sched_setscheduler", "sched_yield", "seccomp", "set_robust_list",
    "set_thread_area", "set_tid_address", "setpgid", "setpriority", "setrlimit", "setsid", "sigaltstack",
    "tgkill", "times", "tkill", "vfork", "wait4", "waitid",
    // Identity: nothing is gained by them without capabilities, and programs ask.
    "getegid", "geteuid", "getgid", "getgroups", "getresgid", "getresuid", "getuid", "setfsgid", "setfsuid",
    "setgid", "setgroups", "setregid", "setresgid", "setresuid", "setreuid", "setuid",
    // Waiting and time.
    "clock_getres", "clock_gettime", "clock_nanosleep", "epoll_create", "epoll_create1", "epoll_ctl",
    "epoll_pwait", "epoll_pwait2", "epoll_wait", "eventfd", "eventfd2", "getitimer", "gettimeofday",
    "nanosleep", "poll", "ppoll", "pselect6", "select", "setitimer", "signalfd", "signalfd4", "time",
    "timer_create", "timer_delete", "timer_getoverrun", "timer_gettime", "timer_settime", "timerfd_create",
    "timerfd_gettime", "timerfd_settime",
    // Talking to oneself: there is no network, and `socket` itself is filtered below.
    "accept", "accept4", "bind", "connect", "getpeername", "getsockname", "getsockopt", "listen", "pipe",
    "pipe2", "recvfrom", "recvmmsg", "recvmsg", "semctl", "semget", "semop", "semtimedop", "sendmmsg",
    "sendmsg", "sendto", "setsockopt", "shutdown",
    // About the system.
    "arch_prctl", "getcpu", "getrandom", "sysinfo", "uname",
];

/// `CLONE_NEWNS | NEWCGROUP | NEWUTS | NEWIPC | NEWUSER | NEWPID | NEWNET` (linux/sched.h).
const CLONE_NAMESPACES: u64 = 0x7e02_0000;
const ENOSYS: u32 = 38;
/// A flag of `preadv2` (linux/fs.h): fail instead of waiting for the disk.
const RWF_NOWAIT: u64 = 8;

const AF_UNIX: u64 = 1;
const AF_INET: u64 = 2;
const AF_INET6: u64 = 10;
const AF_NETLINK: u64 = 16;
const NETLINK_ROUTE: u64 = 0;
/// Unspecified, TCP and UDP: no other protocol's kernel module is ever loaded for a sandbox.
const PROTOCOLS: [u64; 3] = [0, 6, 17];

/// `personality` values of ordinary programs (none, Linux 32-bit and UNAME26 marks, query).
const PERSONALITIES: [u64; 5] = [0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];

fn equal(index: u32, value: u64) -> Value {
    json!({ "index": index, "value": value, "op": "SCMP_CMP_EQ" })
}

/// None of these bits.
fn without(index: u32, bits: u64) -> Value {
    json!({ "index": index, "value": bits, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ" })
}

fn allow(name: &str, arguments: Vec<Value>) -> Value {
    json!({ "names": [name], "action": "SCMP_ACT_ALLOW", "args": arguments })
}

/// The profile as the JSON the engine takes inline. Only the machine's own system call table is in
/// it: 32-bit and x32 calls, whose arguments would pass the filters unseen, kill the process.
pub(super) fn profile() -> &'static str {
    static PROFILE: LazyLock<String> = LazyLock::new(|| {
        let mut rules = vec![json!({ "names": ALLOWED, "action": "SCMP_ACT_ALLOW" })];
        rules.push(allow("clone", vec![without(0, CLONE_NAMESPACES)]));
        // Its flags stand in memory where no filter can read them; the C library falls back to clone.
        rules.push(json!({ "names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": ENOSYS }));
        // Advice, which may go unheeded: it throws pages out of the cache that other containers read.
        rules.push(json!({ "names": ["fadvise64"], "action": "SCMP_ACT_ERRNO", "errnoRet": 0 }));
        rules.push(allow("preadv2", vec![without(5, RWF_NOWAIT)]));
        rules.push(allow("socket", vec![equal(0, AF_UNIX)]));
        rules.push(allow("socketpair", vec![equal(0, AF_UNIX)]));
        rules.push(allow("socket", vec![equal(0, AF_NETLINK), equal(2, NETLINK_ROUTE)]));
        for family in [AF_INET, AF_INET6] {
            for protocol in PROTOCOLS {
                rules.push(allow("socket", vec![equal(0, family), equal(2, protocol)]));
            }
        }
        for value in PERSONALITIES {
            rules.push(allow("personality", vec![equal(0, value)]));
        }
        json!({
            "defaultAction": "SCMP_ACT_ERRNO",
            "archMap": [
                { "architecture": "SCMP_ARCH_X86_64", "subArchitectures": [] },
                { "architecture": "SCMP_ARCH_AARCH64", "subArchitectures": [] },
            ],
            "syscalls": rules,
        })
        .to_string()
    });
    &PROFILE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_led_out_of_containers_is_not_allowed() {
        for name in [
            "add_key",
            "bpf",
            "cachestat",
            "clone3",
            "fadvise64",
            "fanotify_init",
            "fsopen",
            "init_module",
            "io_setup",
            "io_uring_enter",
            "io_uring_register",
            "io_uring_setup",
            "kcmp",
            "kexec_load",
            "keyctl",
            "mount",
            "move_mount",
            "name_to_handle_at",
            "open_by_handle_at",
            "open_tree",
            "perf_event_open",
            "personality",
            "pidfd_getfd",
            "pivot_root",
            "preadv2",
            "process_vm_readv",
            "ptrace",
            "request_key",
            "setns",
            "socket",
            "socketcall",
            "swapon",
            "syslog",
            "umount2",
            "unshare",
            "userfaultfd",
            "vmsplice",
        ] {
            assert!(!ALLOWED.contains(&name), "{name}");
        }
    }

    #[test]
    fn every_name_stands_once() {
        let mut names = ALLOWED.to_vec();
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
