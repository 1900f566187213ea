//! The loop: one thread that waits for the program, the host and every pair at once.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, read};
use rustix::net::SocketAddrUnix;

use crate::child::{Child, Signals};
use crate::control::{Control, Open};
use crate::pair::{Pair, Side};

/// Pairs joined at a time.
const PAIRS: usize = 128;
/// Refusals on their way to the host at a time; what would be more is not answered.
const REFUSALS: usize = 32;
/// The exit code for what is no program's fault.
const BROKEN: u8 = 125;

/// Runs the program and relays until it ends; then its exit code is ours.
pub fn main(socket: &Path, program: &OsStr, arguments: &[OsString]) -> ExitCode {
    ended(socket, serve(socket, program, arguments))
}

/// Relays beside a program that somebody else runs, until standard input ends: whoever started us holds the
/// other end of it, and is gone then.
pub fn beside(socket: &Path) -> ExitCode {
    let relayed = SocketAddrUnix::new(socket).map_err(io::Error::from).and_then(|host| {
        let control = Control::new(host.clone());
        Relay { host, control, until: Until::InputEnds(io::stdin()), pairs: Vec::new() }.until_end()
    });
    ended(socket, relayed)
}

fn ended(socket: &Path, code: io::Result<u8>) -> ExitCode {
    let code = code.unwrap_or_else(|error| {
        eprintln!("shuyu-relay: {}: {error}", socket.display());
        BROKEN
    });
    ExitCode::from(code)
}

fn serve(socket: &Path, program: &OsStr, arguments: &[OsString]) -> io::Result<u8> {
    let host = SocketAddrUnix::new(socket)?;
    let mut control = Control::new(host.clone());
    // Before there is a program, so that no signal and no end of it is missed.
    let signals = Signals::noted()?;
    let code = match Child::start(program, arguments) {
        Ok(child) => {
            let mut relay = Relay { host, control, until: Until::Ended(child, signals), pairs: Vec::new() };
            let code = relay.until_end()?;
            // What the program said last is on its way.
            relay.pairs.iter_mut().for_each(Pair::advance);
            control = relay.control;
            code
        }
        Err(code) => code,
    };
    control.report(code);
    Ok(code)
}

struct Relay {
    host: SocketAddrUnix,
    control: Control,
    until: Until,
    pairs: Vec<Pair>,
}

/// How long to relay.
enum Until {
    /// Until our program has ended, of which a signal tells.
    Ended(Child, Signals),
    /// Until there is nothing more to read.
    InputEnds(io::Stdin),
}

impl Until {
    /// Readable when there is something to look at.
    fn bell(&self) -> BorrowedFd<'_> {
        match self {
            Self::Ended(_, signals) => signals.bell(),
            Self::InputEnds(input) => input.as_fd(),
        }
    }

    /// The exit code, once it is over.
    fn answer(&mut self) -> Option<u8> {
        match self {
            Self::Ended(child, signals) => child.answer(signals),
            Self::InputEnds(input) => {
                let mut piece = [0; 64];
                // nobody writes there; what cannot be read is over too
                matches!(read(&*input, &mut piece), Ok(0) | Err(_)).then_some(0)
            }
        }
    }
}

/// Whom an entry of the poll list stands for.
#[derive(Clone, Copy)]
enum Who {
    Bell,
    Control,
    Pair(usize, Side),
}

impl Relay {
    fn until_end(&mut self) -> io::Result<u8> {
        loop {
            let now = Instant::now();
            self.control.tick(now);
            for happened in self.wait(now)? {
                match happened {
                    (Who::Bell, _) => {
                        if let Some(code) = self.until.answer() {
                            return Ok(code);
                        }
                    }
                    (Who::Control, _) => {
                        for open in self.control.read() {
                            self.open(&open);
                        }
                    }
                    (Who::Pair(index, side), events) => {
                        self.pairs[index].happened(side, events, &self.host);
                    }
                }
            }
            let now = Instant::now();
            for pair in &mut self.pairs {
                pair.tick(now, &self.host);
            }
            self.pairs.retain(|pair| !pair.is_over());
        }
    }

    /// Waits until something happens, or something is due; gives what happened.
    fn wait(&self, now: Instant) -> io::Result<Vec<(Who, PollFlags)>> {
        let mut who = vec![Who::Bell];
        let mut list = vec![PollFd::from_borrowed_fd(self.until.bell(), PollFlags::IN)];
        if let Some(control) = self.control.waits() {
            who.push(Who::Control);
            list.push(PollFd::from_borrowed_fd(control, PollFlags::IN));
        }
        for (index, pair) in self.pairs.iter().enumerate() {
            for (side, socket, events) in pair.waits() {
                who.push(Who::Pair(index, side));
                list.push(PollFd::from_borrowed_fd(socket, events));
            }
        }
        let due = self.pairs.iter().filter_map(Pair::wakes_at).chain(self.control.wakes_at()).min();
        let timeout = due.map(|due| timespec(due.saturating_duration_since(now)));
        match poll(&mut list, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let happened = who.into_iter().zip(list.iter().map(PollFd::revents));
        Ok(happened.filter(|(_, events)| !events.is_empty()).collect())
    }

    fn open(&mut self, Open { port, nonce }: &Open) {
        let refusals = self.pairs.iter().filter(|pair| pair.is_refusal()).count();
        if refusals >= REFUSALS {
            return;
        }
        let full = self.pairs.len() - refusals >= PAIRS;
        let pair = if full { Pair::busy(nonce, &self.host) } else { Pair::open(nonce, *port, &self.host) };
        if !pair.is_over() {
            self.pairs.push(pair);
        }
    }
}

/// Rounded up to a millisecond, so that what is due then is due.
fn timespec(duration: Duration) -> Timespec {
    let duration = duration + Duration::from_millis(1);
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(duration.subsec_millis()) * 1_000_000,
    }
}
