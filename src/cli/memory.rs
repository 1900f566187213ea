//! Memory of a process that runs for months.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// glibc's setting (mallopt(3)) and our value for it, in bytes: what is larger is asked of the kernel
/// and given back as soon as it is free. Left to itself glibc raises the limit to the largest block
/// ever freed, and from then on keeps such blocks in the arena of each thread that had one: 40 MiB at
/// the start became 215 MiB after ten passwords were hashed, and stay below 50 MiB so.
const THRESHOLD: (&str, &str) = ("MALLOC_MMAP_THRESHOLD_", "262144");

/// Starts this process over with the setting, which is read from the environment before any code of
/// ours runs. It stays the same process to whoever started it. Where it cannot be done, or somebody
/// chose a value, everything works as it is.
pub(super) fn give_back() {
    let (name, value) = THRESHOLD;
    if std::env::var_os(name).is_some() {
        return;
    }
    let mut arguments = std::env::args_os();
    let called = arguments.next();
    let Ok(program) = std::env::current_exe() else { return };
    let called = called.as_deref().unwrap_or(OsStr::new("shuyu")).to_owned();
    let error = Command::new(program).arg0(called).args(arguments).env(name, value).exec();
    eprintln!("shuyu: could not start over with {name} ({error}); memory will be kept longer");
}
