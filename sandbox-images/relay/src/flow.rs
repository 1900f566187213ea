//! [`Flow`]: one direction of a pair, from one socket to the other through a buffer of fixed size.

use std::os::fd::BorrowedFd;

use rustix::io::{Errno, read, write};
use rustix::net::{Shutdown, shutdown};

/// Bytes held on the way in one direction of one pair.
pub const BUFFER: usize = 16 << 10;
/// How often one flow reads and writes before the next has its turn.
const ROUNDS: usize = 8;

/// Bytes on their way from a source to a sink. The end of the source is passed on once everything
/// before it was.
pub struct Flow {
    buffer: Box<[u8]>,
    /// What is in the buffer: from here …
    start: usize,
    /// … to here.
    end: usize,
    source_ended: bool,
    sink_ended: bool,
}

impl Flow {
    /// A flow that begins with `first`, cut to [`BUFFER`] bytes.
    pub fn beginning_with(first: &[u8]) -> Self {
        let mut buffer = vec![0; BUFFER].into_boxed_slice();
        let end = first.len().min(BUFFER);
        buffer[..end].copy_from_slice(&first[..end]);
        Self { buffer, start: 0, end, source_ended: false, sink_ended: false }
    }

    /// A flow whose source has nothing more to say than `last`.
    pub fn ending_with(last: &[u8]) -> Self {
        Self { source_ended: true, ..Self::beginning_with(last) }
    }

    /// A flow that is over.
    pub fn over() -> Self {
        let buffer = Box::default();
        Self { buffer, start: 0, end: 0, source_ended: true, sink_ended: true }
    }

    /// Whether it waits for the source to say more.
    pub fn wants_source(&self) -> bool {
        !self.source_ended && self.end - self.start < self.buffer.len()
    }

    /// Whether it waits for the sink to take more.
    pub fn wants_sink(&self) -> bool {
        !self.sink_ended && self.start < self.end
    }

    /// Whether the source has said its last.
    pub fn source_ended(&self) -> bool {
        self.source_ended
    }

    /// Whether nothing more will go this way.
    pub fn is_over(&self) -> bool {
        self.sink_ended
    }

    /// Nobody is left to take anything.
    pub fn abandon(&mut self) {
        (self.start, self.end) = (0, 0);
        (self.source_ended, self.sink_ended) = (true, true);
    }

    /// Moves what can be moved without waiting, a few buffers of it at most. A flow has no source
    /// while its source is `None`.
    pub fn advance(&mut self, source: Option<BorrowedFd<'_>>, sink: BorrowedFd<'_>) {
        for _ in 0..ROUNDS {
            let moved = self.fill(source) | self.drain(source, sink);
            if self.source_ended && self.start == self.end && !self.sink_ended {
                // The sink may be gone already, and then knows.
                let _ = shutdown(sink, Shutdown::Write);
                self.sink_ended = true;
            }
            if !moved {
                return;
            }
        }
    }

    fn fill(&mut self, source: Option<BorrowedFd<'_>>) -> bool {
        let Some(source) = source.filter(|_| self.wants_source()) else { return false };
        if self.end == self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        match read(source, &mut self.buffer[self.end..]) {
            Ok(0) => self.source_ended = true,
            Ok(count) => self.end += count,
            Err(Errno::AGAIN | Errno::INTR) => return false,
            // Cut off: what came before it is passed on, and the end with it.
            Err(_) => self.source_ended = true,
        }
        true
    }

    fn drain(&mut self, source: Option<BorrowedFd<'_>>, sink: BorrowedFd<'_>) -> bool {
        if !self.wants_sink() {
            return false;
        }
        match write(sink, &self.buffer[self.start..self.end]) {
            Ok(count) => self.start += count,
            Err(Errno::AGAIN | Errno::INTR) => return false,
            Err(_) => {
                self.abandon();
                if let Some(source) = source {
                    // A unix socket's other side learns of it, and stops.
                    let _ = shutdown(source, Shutdown::Read);
                }
            }
        }
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    /// The far ends are the tests', the near ends the flow's.
    fn ends() -> (UnixStream, UnixStream) {
        let (far, near) = UnixStream::pair().expect("a pair of sockets");
        near.set_nonblocking(true).expect("non-blocking");
        (far, near)
    }

    #[test]
    fn what_comes_is_passed_on_in_order_and_the_end_after_it() {
        let ((mut far_source, source), (mut far_sink, sink)) = (ends(), ends());
        let mut flow = Flow::beginning_with(b"first ");
        far_source.write_all(b"then").expect("written");
        flow.advance(Some(source.as_fd()), sink.as_fd());
        assert!(flow.wants_source() && !flow.wants_sink() && !flow.is_over());
        far_source.write_all(b" last").expect("written");
        far_source.shutdown(std::net::Shutdown::Write).expect("shut down");
        flow.advance(Some(source.as_fd()), sink.as_fd());
        assert!(flow.is_over());
        let mut text = String::new();
        far_sink.read_to_string(&mut text).expect("read to its end");
        assert_eq!(text, "first then last");
    }

    #[test]
    fn a_slow_sink_holds_the_source_back_and_loses_nothing() {
        let ((mut far_source, source), (mut far_sink, sink)) = (ends(), ends());
        let sent: Vec<u8> = (0..4_000_000u32).map(|n| (n % 251) as u8).collect();
        let (mut written, mut received) = (0, Vec::new());
        far_source.set_nonblocking(true).expect("non-blocking");
        far_sink.set_nonblocking(true).expect("non-blocking");
        let mut flow = Flow::beginning_with(b"");
        let mut held_back = false;
        while received.len() < sent.len() {
            // The source is pressed until nothing moves, then the sink takes a little.
            loop {
                let more = far_source.write(&sent[written..]).unwrap_or(0);
                written += more;
                flow.advance(Some(source.as_fd()), sink.as_fd());
                if more == 0 {
                    break;
                }
            }
            held_back |= flow.wants_sink() && !flow.wants_source();
            let mut piece = [0; 7777];
            let count = far_sink.read(&mut piece).expect("something was passed on");
            received.extend_from_slice(&piece[..count]);
        }
        assert!(held_back);
        assert!(received == sent);
    }

    #[test]
    fn a_sink_that_is_gone_ends_the_flow_and_tells_the_source() {
        let ((mut far_source, source), (far_sink, sink)) = (ends(), ends());
        drop(far_sink);
        let mut flow = Flow::beginning_with(b"to nobody");
        flow.advance(Some(source.as_fd()), sink.as_fd());
        assert!(flow.is_over() && flow.source_ended());
        let refused = far_source.write(b"more").expect_err("nobody reads it");
        assert_eq!(refused.kind(), std::io::ErrorKind::BrokenPipe);
    }
}
