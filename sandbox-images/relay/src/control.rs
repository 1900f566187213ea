//! [`Control`]: the one connection over which the host says what to open.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::io::{Errno, read, write};
use rustix::net::{AddressFamily, SocketAddrUnix, connect};

use crate::pair::stream_socket;

/// The first line, with the version of the protocol.
const GREETING: &[u8] = b"control 1\n";
/// When to dial again after the host was not there, or went away.
const PAUSE: Duration = Duration::from_millis(250);
/// Bytes of the longest line the host may say, and a good many lines at a time.
const LINES: usize = 4096;
/// Hexadecimal characters of a nonce.
const NONCE: usize = 32;

/// The connection, or the pause until it is tried again.
pub struct Control {
    host: SocketAddrUnix,
    socket: Option<OwnedFd>,
    /// What was read of a line that is not whole yet.
    unread: Vec<u8>,
    dial_at: Instant,
}

/// What the host asks for.
#[derive(Debug, PartialEq, Eq)]
pub struct Open {
    /// The loopback port.
    pub port: u16,
    /// What the connection begins with, so that the host knows it.
    pub nonce: String,
}

impl Control {
    /// Not connected yet.
    pub fn new(host: SocketAddrUnix) -> Self {
        Self { host, socket: None, unread: Vec::with_capacity(LINES), dial_at: Instant::now() }
    }

    /// What to wait for, while there is a connection.
    pub fn waits(&self) -> Option<BorrowedFd<'_>> {
        self.socket.as_ref().map(AsFd::as_fd)
    }

    /// When to call [`Control::tick`], while there is none.
    pub fn wakes_at(&self) -> Option<Instant> {
        self.socket.is_none().then_some(self.dial_at)
    }

    /// Dials where there is no connection and the pause is over.
    pub fn tick(&mut self, now: Instant) {
        if self.socket.is_some() || now < self.dial_at {
            return;
        }
        self.dial_at = now + PAUSE;
        self.dial();
    }

    fn dial(&mut self) {
        let Ok(socket) = stream_socket(AddressFamily::UNIX) else { return };
        if connect(&socket, &self.host).is_ok() && say(&socket, GREETING) {
            self.unread.clear();
            self.socket = Some(socket);
        }
    }

    /// Reads what the host said. An answer that makes no sense, or the host's end, closes the
    /// connection until [`Control::wakes_at`].
    pub fn read(&mut self) -> Vec<Open> {
        let Some(socket) = &self.socket else { return Vec::new() };
        let mut piece = [0; LINES];
        match read(socket, &mut piece) {
            Ok(0) => self.close(),
            Ok(count) => self.unread.extend_from_slice(&piece[..count]),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => self.close(),
        }
        let mut opens = Vec::new();
        while let Some(end) = self.unread.iter().position(|&byte| byte == b'\n') {
            // A word that this version does not know is passed over.
            opens.extend(parse(&self.unread[..end]));
            self.unread.drain(..=end);
        }
        if self.unread.len() >= LINES {
            self.close();
        }
        opens
    }

    fn close(&mut self) {
        self.socket = None;
        self.unread.clear();
        self.dial_at = Instant::now() + PAUSE;
    }

    /// Tells the host how the program ended, where the host is there.
    pub fn report(&mut self, code: u8) {
        if self.socket.is_none() {
            self.dial();
        }
        if let Some(socket) = &self.socket {
            say(socket, format!("ended {code}\n").as_bytes());
        }
    }
}

/// The few short lines we say always fit into the socket's own buffer.
fn say(socket: &OwnedFd, line: &[u8]) -> bool {
    write(socket, line) == Ok(line.len())
}

fn parse(line: &[u8]) -> Option<Open> {
    let rest = std::str::from_utf8(line).ok()?.strip_prefix("open ")?;
    let (port, nonce) = rest.split_once(' ')?;
    let hex = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
    let port = port.parse().ok().filter(|&port| port != 0)?;
    (nonce.len() == NONCE && nonce.bytes().all(hex)).then(|| Open { port, nonce: nonce.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_request_is_one() {
        let nonce = "0123456789abcdef0123456789abcdef";
        let open = |port| Some(Open { port, nonce: nonce.to_owned() });
        assert_eq!(parse(format!("open 8888 {nonce}").as_bytes()), open(8888));
        assert_eq!(parse(format!("open 65535 {nonce}").as_bytes()), open(65535));
        for line in [
            format!("open 0 {nonce}"),
            format!("open 65536 {nonce}"),
            format!("open -1 {nonce}"),
            format!("open 8888 {nonce}0"),
            format!("open 8888 {}", nonce.to_uppercase()),
            format!("open  8888 {nonce}"),
            format!("opened 8888 {nonce}"),
            "open 8888".to_owned(),
            String::new(),
        ] {
            assert_eq!(parse(line.as_bytes()), None, "{line}");
        }
        assert_eq!(parse(b"open \xff"), None);
    }
}
