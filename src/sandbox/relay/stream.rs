//! What comes out of the relay: counted streams, and files handed in.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use futures_util::FutureExt as _;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::UnixStream;
use tokio::sync::OwnedSemaphorePermit;

/// Bytes that went through streams, since the relay was listened for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Out of the container.
    pub received: u64,
    /// Into the container.
    pub sent: u64,
}

/// The counters behind [`Counted`].
#[derive(Debug, Default)]
pub(super) struct Traffic {
    received: AtomicU64,
    sent: AtomicU64,
}

impl Traffic {
    pub(super) fn counted(&self) -> Counted {
        Counted { received: self.received.load(Ordering::Relaxed), sent: self.sent.load(Ordering::Relaxed) }
    }
}

/// A connection to a program in the container. Its bytes are counted as they are read and written.
/// Shutting the writing down ends that way alone; dropping it ends both.
#[derive(Debug)]
pub struct RelayStream {
    stream: UnixStream,
    /// What was read together with the first line, last byte first.
    early: Vec<u8>,
    traffic: Arc<Traffic>,
    _permit: OwnedSemaphorePermit,
}

impl RelayStream {
    pub(super) fn new(
        stream: UnixStream,
        mut early: Vec<u8>,
        traffic: Arc<Traffic>,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        early.reverse();
        Self { stream, early, traffic, _permit: permit }
    }

    /// Whether the program at the other end has closed it altogether, and not only its own way of it:
    /// what is written now nobody reads.
    pub fn is_gone(&self) -> bool {
        let ready = self.stream.ready(Interest::WRITABLE).now_or_never();
        ready.is_some_and(|ready| ready.is_ok_and(|ready| ready.is_write_closed()))
    }
}

impl AsyncRead for RelayStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if self.early.is_empty() {
            ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        } else {
            let rest = self.early.len().saturating_sub(buffer.remaining());
            let mut piece = self.early.split_off(rest);
            piece.reverse();
            buffer.put_slice(&piece);
        }
        let count = buffer.filled().len() - before;
        self.traffic.received.fetch_add(count as u64, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for RelayStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let count = ready!(Pin::new(&mut self.stream).poll_write(context, bytes))?;
        self.traffic.sent.fetch_add(count as u64, Ordering::Relaxed);
        Poll::Ready(Ok(count))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let count = ready!(Pin::new(&mut self.stream).poll_write_vectored(context, pieces))?;
        self.traffic.sent.fetch_add(count as u64, Ordering::Relaxed);
        Poll::Ready(Ok(count))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// A file that a program in the container hands in with the command `submit`.
#[derive(Debug)]
pub struct HandedIn {
    /// What the program says of it, a JSON object: `name`, `size` in bytes, `message` and `phase` (both
    /// may be null) when the command is ours. Nothing of it is checked.
    pub header: serde_json::Value,
    /// The file's bytes, to the end of the stream; `size` of them if the program told the truth. What
    /// is written to it is shown to the participant line by line, as it stands: words, and at the end one
    /// line of JSON, which begins with `{"ok":true` when the file was taken.
    pub stream: RelayStream,
}
