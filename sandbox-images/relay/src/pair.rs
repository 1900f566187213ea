//! [`Pair`]: one connection of the host, joined to one connection to a loopback port.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with, sockopt::socket_error,
};

use crate::flow::Flow;

/// How long the program may take to accept a connection, and the host to have room for ours. The
/// host waits a little longer.
const DIAL: Duration = Duration::from_secs(4);
/// When to dial a host again whose queue was full.
const AGAIN: Duration = Duration::from_millis(20);
/// When to dial a port anew that has not answered. On loopback that means that the program's queue
/// was full and the kernel dropped our question, to repeat it after whole seconds (tcp(7)); many
/// small servers have a queue of five.
const ANEW: Duration = Duration::from_millis(100);
/// How long what is on its way to the program may wait to be taken once the host is gone. What is on
/// its way to the host waits as long as the host likes.
const LINGER: Duration = Duration::from_secs(30);

/// The two ends of a pair.
#[derive(Clone, Copy)]
pub enum Side {
    /// The connection to the host's socket.
    Host,
    /// The connection to the loopback port.
    Local,
}

/// A connection on its way, or made.
pub struct Pair {
    nonce: String,
    port: u16,
    host: Option<OwnedFd>,
    local: Option<OwnedFd>,
    stage: Stage,
    host_gone: bool,
    /// From the host to the port.
    inward: Flow,
    /// From the port to the host.
    outward: Flow,
    /// When it is given up as it is now.
    deadline: Option<Instant>,
}

#[derive(Clone, Copy, PartialEq)]
enum Stage {
    /// The port is being dialled; anew from this moment on.
    Reaching(Instant),
    /// The host is to be dialled; from this moment on, where it had no room.
    Dialling(Instant),
    /// Bytes go both ways.
    Joined,
    /// To be forgotten.
    Over,
}

impl Pair {
    /// Dials the port, then the host with this nonce, as soon as the port answers.
    pub fn open(nonce: &str, port: u16, host: &SocketAddrUnix) -> Self {
        let mut pair = Self::new(nonce, port);
        pair.reach(host);
        pair
    }

    /// Tells the host that there is no room for this one.
    pub fn busy(nonce: &str, host: &SocketAddrUnix) -> Self {
        let mut pair = Self::new(nonce, 0);
        pair.refused("busy", host);
        pair
    }

    fn new(nonce: &str, port: u16) -> Self {
        let now = Instant::now();
        Self {
            nonce: nonce.to_owned(),
            port,
            host: None,
            local: None,
            stage: Stage::Reaching(now),
            host_gone: false,
            inward: Flow::over(),
            outward: Flow::over(),
            deadline: Some(now + DIAL),
        }
    }

    /// Whether it takes part in the count of joined pairs, or only tells the host why not.
    pub fn is_refusal(&self) -> bool {
        self.local.is_none()
    }

    /// Whether nothing more will come of it.
    pub fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// When it wants to be looked at though nothing happened.
    pub fn wakes_at(&self) -> Option<Instant> {
        match self.stage {
            Stage::Reaching(at) | Stage::Dialling(at) => {
                Some(self.deadline.map_or(at, |deadline| at.min(deadline)))
            }
            _ => self.deadline,
        }
    }

    /// What it waits for on each side. A side that is waited for in no way is left out, or its
    /// hang-up would be reported again and again.
    pub fn waits(&self) -> impl Iterator<Item = (Side, BorrowedFd<'_>, PollFlags)> {
        let waits = |side| {
            let (from, to, socket) = match side {
                Side::Host => (&self.inward, &self.outward, &self.host),
                Side::Local => (&self.outward, &self.inward, &self.local),
            };
            let mut events = PollFlags::empty();
            events.set(PollFlags::IN, from.wants_source());
            events.set(PollFlags::OUT, to.wants_sink());
            let listens = match side {
                Side::Host => !self.host_gone,
                Side::Local => from.source_ended() && !to.is_over(),
            } || !events.is_empty();
            Some((side, socket.as_ref().filter(|_| listens)?.as_fd(), events))
        };
        let reaching = || Some((Side::Local, self.local.as_ref()?.as_fd(), PollFlags::OUT));
        let (host, local) = match self.stage {
            Stage::Reaching(_) => (None, reaching()),
            Stage::Joined => (waits(Side::Host), waits(Side::Local)),
            Stage::Dialling(_) | Stage::Over => (None, None),
        };
        host.into_iter().chain(local)
    }

    /// Does what can be done after `side` was reported with `events`.
    pub fn happened(&mut self, side: Side, events: PollFlags, host: &SocketAddrUnix) {
        match self.stage {
            Stage::Reaching(_) => {
                let answer = self.local.as_ref().map(socket_error);
                match answer {
                    Some(Ok(Ok(()))) => self.reached(host),
                    Some(Ok(Err(error)) | Err(error)) => self.refused(reason(error), host),
                    None => self.stage = Stage::Over,
                }
            }
            Stage::Joined => {
                if events.intersects(PollFlags::HUP | PollFlags::ERR) {
                    self.hung_up(side);
                }
                self.advance();
            }
            Stage::Dialling(_) | Stage::Over => {}
        }
    }

    /// Does what the time asks for.
    pub fn tick(&mut self, now: Instant, host: &SocketAddrUnix) {
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            match self.stage {
                Stage::Reaching(_) => self.refused("timeout", host),
                _ => self.stage = Stage::Over,
            }
            return;
        }
        match self.stage {
            Stage::Reaching(at) if at <= now => self.reach(host),
            Stage::Dialling(at) if at <= now => self.dial(host),
            _ => {}
        }
    }

    /// Moves what can be moved.
    pub fn advance(&mut self) {
        if let (Stage::Joined, Some(host)) = (self.stage, &self.host) {
            let local = self.local.as_ref().map(AsFd::as_fd);
            if let Some(local) = local {
                self.inward.advance(Some(host.as_fd()), local);
            }
            self.outward.advance(local, host.as_fd());
            if self.inward.is_over() && self.outward.is_over() {
                self.stage = Stage::Over;
            }
        }
    }

    /// A side that is gone takes nothing more. The program's may still have something to say.
    fn hung_up(&mut self, side: Side) {
        match side {
            Side::Host if !self.host_gone => {
                self.host_gone = true;
                self.outward.abandon();
                self.deadline = Some(Instant::now() + LINGER);
            }
            Side::Local if self.outward.source_ended() => self.inward.abandon(),
            _ => {}
        }
    }

    fn reach(&mut self, host: &SocketAddrUnix) {
        let dialled = stream_socket(AddressFamily::INET).and_then(|local| {
            let dialled = connect(&local, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, self.port));
            self.local = Some(local);
            dialled
        });
        match dialled {
            Ok(()) => self.reached(host),
            Err(Errno::INPROGRESS | Errno::INTR) => self.stage = Stage::Reaching(Instant::now() + ANEW),
            Err(error) => self.refused(reason(error), host),
        }
    }

    fn reached(&mut self, host: &SocketAddrUnix) {
        self.inward = Flow::beginning_with(b"");
        self.outward = Flow::beginning_with(format!("dial {}\n", self.nonce).as_bytes());
        self.dial(host);
    }

    fn refused(&mut self, why: &str, host: &SocketAddrUnix) {
        self.local = None;
        self.inward = Flow::over();
        self.outward = Flow::ending_with(format!("refused {} {why}\n", self.nonce).as_bytes());
        self.deadline = Some(Instant::now() + DIAL);
        self.dial(host);
    }

    fn dial(&mut self, address: &SocketAddrUnix) {
        let dialled =
            stream_socket(AddressFamily::UNIX).and_then(|socket| connect(&socket, address).map(|()| socket));
        match dialled {
            Ok(socket) => {
                self.host = Some(socket);
                self.deadline = None;
                self.stage = Stage::Joined;
                self.advance();
            }
            Err(Errno::AGAIN | Errno::INTR) => self.stage = Stage::Dialling(Instant::now() + AGAIN),
            // Whoever asked is gone.
            Err(_) => self.stage = Stage::Over,
        }
    }
}

/// A stream socket that never waits and that the program's children do not inherit.
pub fn stream_socket(family: AddressFamily) -> Result<OwnedFd, Errno> {
    socket_with(family, SocketType::STREAM, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC, None)
}

/// Why a port could not be dialled, as the word that the host is told.
fn reason(error: Errno) -> &'static str {
    match error {
        Errno::CONNREFUSED => "refused",
        Errno::TIMEDOUT => "timeout",
        Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM | Errno::ADDRNOTAVAIL => "busy",
        _ => "unreachable",
    }
}
