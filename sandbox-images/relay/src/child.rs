//! [`Child`]: the program the container is there for, and the signals that concern it.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::read;
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGCHLD, SIGINT, SIGTERM};
use signal_hook::{flag, low_level::pipe};

/// Exit codes of shells for a command that is not there, and one that cannot be run.
const NOT_FOUND: u8 = 127;
const NOT_RUNNABLE: u8 = 126;

/// Signals as they come: `SIGCHLD`, and those that are passed on to the program.
pub struct Signals {
    /// Readable when there is one.
    bell: UnixStream,
    passed_on: [(Arc<AtomicBool>, Signal); 2],
}

impl Signals {
    /// From here on signals are noted; none ends the relay itself.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn noted() -> io::Result<Self> {
        let (bell, rope) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        let mut passed_on = Vec::new();
        for (number, signal) in [(SIGTERM, Signal::TERM), (SIGINT, Signal::INT)] {
            let noted = Arc::new(AtomicBool::new(false));
            // The note first: who hears the bell must find it.
            flag::register(number, Arc::clone(&noted))?;
            pipe::register(number, rope.try_clone()?)?;
            passed_on.push((noted, signal));
        }
        pipe::register(SIGCHLD, rope)?;
        let passed_on = <[_; 2]>::try_from(passed_on).map_err(|_| io::Error::other("two signals"))?;
        Ok(Self { bell, passed_on })
    }

    /// What to wait for.
    pub fn bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

/// The program, running.
pub struct Child(std::process::Child);

impl Child {
    /// Starts it.
    ///
    /// # Errors
    /// The exit code that stands for why not; what happened was printed.
    pub fn start(program: &OsStr, arguments: &[OsString]) -> Result<Self, u8> {
        Command::new(program).args(arguments).spawn().map(Self).map_err(|error| {
            eprintln!("shuyu-relay: cannot start {}: {error}", program.display());
            if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { NOT_RUNNABLE }
        })
    }

    /// After the bell rang: passes signals on, and gives the exit code once the program has ended;
    /// 128 + N for signal N, as shells have it.
    pub fn answer(&mut self, signals: &Signals) -> Option<u8> {
        let mut rings = [0; 64];
        while matches!(read(&signals.bell, &mut rings), Ok(count) if count > 0) {}
        match self.0.try_wait() {
            Ok(Some(status)) => return Some(exit_code(status)),
            Ok(None) => {}
            Err(error) => eprintln!("shuyu-relay: cannot wait for the program: {error}"),
        }
        let process = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        for (noted, signal) in &signals.passed_on {
            if noted.swap(false, Ordering::SeqCst)
                && let Some(process) = process
                && let Err(error) = kill_process(process, *signal)
            {
                eprintln!("shuyu-relay: cannot pass {signal:?} on: {error}");
            }
        }
        None
    }
}

fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}
