//! [`Relay`]: the way into a container that has no network, seen from the host.
//!
//! # The protocol
//!
//! The host listens on a unix socket, `relay.sock`, in a directory that the container sees
//! read-only at `/run/shuyu`. In the container `shuyu-relay` (`sandbox-images/relay`) is the main
//! command and dials that socket. Every connection begins with one line, and what the line says is
//! what the connection is for:
//!
//! | first line | who says it | what follows |
//! |---|---|---|
//! | `control 1` | the relay, once; again 250 ms after the host went away, for ever | the host's lines, and at the end one of the relay's |
//! | `dial NONCE` | the relay, on a fresh connection | the bytes of the connection to the port, both ways, each way ended by itself |
//! | `refused NONCE WHY` | the relay, on a fresh connection | nothing; WHY is `refused`, `timeout`, `busy` or `unreachable` |
//! | `submit JSON` | the command `submit` | the bytes of the file, to the end of that way; the host answers lines for the participant, the last of which is JSON with `"ok"` first |
//!
//! On the control connection the host says `open PORT NONCE` for each connection it wants to
//! 127.0.0.1:PORT in the container, and the relay says `ended CODE` when the command it runs has
//! ended. A nonce is 32 lower-case hexadecimal digits, random, and good for one connection within
//! [`DIAL_WAIT`]. Nothing is multiplexed: each connection has its own flow control and its own end.
//!
//! # What it withstands
//!
//! Every program in the container can dial the socket, as the relay does, and can say what the
//! relay says. So nothing it says is believed beyond the container: who answers a nonce shows its
//! own sandbox's pages to its own sandbox's participant; `ended` is a hint, the engine knows; a
//! second control connection takes the place of the first, as the relay's own does after a cut, and
//! the relay takes it back. Nobody in the container can move the socket aside or put a link in its
//! place, because the directory is read-only there and [`Relay::listen`] refuses one on the host
//! that others may write. Connections that say nothing are few ([`SILENT`]), short
//! ([`GREETING_WAIT`]), and the oldest of them makes room; connections altogether come at a bounded
//! pace ([`CONNECTIONS_PER_SECOND`]), and streams and hand-ins are counted ([`RelayLimits`]).
//!
//! A paused container answers nothing, and [`Relay::open`] says [`RelayError::Silent`]; the
//! connections there are wait as they stand, for hours. When the host's side is dropped (a service
//! restart) its connections end, the container goes on, and the next [`Relay::listen`] on the same
//! directory is connected within a moment. gVisor needs `--host-uds=open` for any of this
//! ([`super::Engine::check_relay`]).

mod listen;
mod stream;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use subtle::ConstantTimeEq as _;
use tokio::net::UnixStream;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use super::SandboxError;
use crate::clock::Entropy;

use stream::Traffic;
pub use stream::{Counted, HandedIn, RelayStream};

/// How long [`Relay::open`] waits for a relay that is not connected: a container that starts, or a
/// service that has just come back.
pub const CONTROL_WAIT: Duration = Duration::from_secs(10);
/// How long [`Relay::open`] waits for the answer to what it asked; a nonce is good for as long.
pub const DIAL_WAIT: Duration = Duration::from_secs(5);
/// How long a connection may take to say its first line.
pub const GREETING_WAIT: Duration = Duration::from_secs(5);
/// Connections at a time that have not said their first line; one more, and the oldest is closed.
pub const SILENT: usize = 32;
/// Bytes of a first line, its end included.
pub const FIRST_LINE: usize = 256;
/// Bytes of the JSON in the first line of a hand-in.
pub const HEADER: usize = 4096;
/// New connections a second from one container that we did not ask for, once [`CONNECTION_BURST`]
/// came at once.
pub const CONNECTIONS_PER_SECOND: u32 = 500;
/// New connections that may come at once without being asked for.
pub const CONNECTION_BURST: u32 = 256;
/// How often a second a control connection may take the place of one that still stands.
pub const REPLACEMENTS_PER_SECOND: usize = 4;
/// The name of the socket in its directory.
pub const SOCKET_NAME: &str = "relay.sock";
/// Bytes of a socket's path, without the NUL that ends it (unix(7)).
const PATH: usize = 107;
/// Lines that wait to be said on the control connection.
const LINES: usize = 64;

/// What one sandbox may have at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelayLimits {
    /// Open [`RelayStream`]s; the relay itself joins no more than 128.
    pub streams: usize,
    /// Files being handed in, those that wait in the queue included.
    pub hand_ins: usize,
}

impl Default for RelayLimits {
    /// 128 streams and 2 hand-ins.
    fn default() -> Self {
        Self { streams: 128, hand_ins: 2 }
    }
}

/// Why there is no connection to a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RelayError {
    /// The relay is not connected: the container is not started yet, or has ended.
    #[error("nothing in the sandbox has answered for {} s; see whether its container runs", CONTROL_WAIT.as_secs())]
    Away,
    /// The relay is connected and did not answer in time: the container is paused, or the program
    /// on that port accepts nothing.
    #[error("the sandbox did not answer for port {port} in time; resume it if it is paused, and try again")]
    Silent {
        /// The loopback port in the container.
        port: u16,
    },
    /// No program in the container listens on the port.
    #[error("no program in the sandbox listens on port {port}; start one on 127.0.0.1:{port}, and try again")]
    Refused {
        /// The loopback port in the container.
        port: u16,
    },
    /// As many connections as may be are open.
    #[error("the sandbox has as many open connections as it may have; close some pages of it")]
    Busy,
}

/// The host's side of one container's relay. Dropping it stops listening and closes the control
/// connection; streams that were opened go on.
pub struct Relay {
    shared: Arc<Shared>,
    handed_in: tokio::sync::Mutex<mpsc::Receiver<HandedIn>>,
    _listening: AbortOnDropHandle<()>,
}

/// What the listening task and the callers both need.
struct Shared {
    /// Where lines for the relay go, while it is connected.
    control: watch::Sender<Option<mpsc::Sender<String>>>,
    ended: watch::Sender<Option<i32>>,
    asked: Mutex<Vec<(Nonce, Answer)>>,
    streams: Arc<Semaphore>,
    traffic: Arc<Traffic>,
    handed_in: Arc<Traffic>,
}

type Nonce = [u8; 16];
type Answer = oneshot::Sender<Result<(UnixStream, Vec<u8>), Refusal>>;

/// Why the relay did not dial, in its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    Refused,
    TimedOut,
    Busy,
}

impl Relay {
    /// Listens in `directory`, which is to be mounted read-only at `/run/shuyu` in the container. A
    /// socket that an earlier service left there is replaced. Every user of this machine who can
    /// reach the directory could dial: keep it below one that only the service's user may enter.
    ///
    /// Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// [`SandboxError::Spec`] for a directory that others may write or whose path is too long,
    /// [`SandboxError::Host`] when the socket cannot be made.
    pub fn listen(directory: &Path, limits: RelayLimits) -> Result<Self, SandboxError> {
        let listener = listen::bind(directory)?;
        let shared = Arc::new(Shared {
            control: watch::Sender::new(None),
            ended: watch::Sender::new(None),
            asked: Mutex::default(),
            streams: Arc::new(Semaphore::new(limits.streams)),
            traffic: Arc::default(),
            handed_in: Arc::default(),
        });
        // As many as may be: whoever has a permit finds room.
        let (sender, receiver) = mpsc::channel(limits.hand_ins.max(1));
        let desk = listen::Desk::new(Arc::clone(&shared), sender, limits.hand_ins);
        let listening = AbortOnDropHandle::new(tokio::spawn(desk.run(listener)));
        Ok(Self { shared, handed_in: tokio::sync::Mutex::new(receiver), _listening: listening })
    }

    /// A fresh connection to 127.0.0.1:`port` in the container. It is not retried when the port is
    /// refused: a program that is starting is the caller's to wait for.
    ///
    /// # Errors
    /// [`RelayError`], after [`CONTROL_WAIT`] and [`DIAL_WAIT`] together at the latest.
    pub async fn open(&self, port: u16) -> Result<RelayStream, RelayError> {
        let permit = timeout(DIAL_WAIT, Arc::clone(&self.shared.streams).acquire_owned()).await;
        let Ok(Ok(permit)) = permit else { return Err(RelayError::Busy) };
        let deadline = Instant::now() + CONTROL_WAIT;
        let mut control = self.shared.control.subscribe();
        loop {
            // Also once it has come and gone for so long.
            let line = match timeout_at(deadline, control.wait_for(Option::is_some)).await {
                Ok(Ok(line)) if Instant::now() < deadline => line.clone(),
                _ => None,
            };
            let line = line.ok_or(RelayError::Away)?;
            let asked = tokio::select! {
                asked = timeout(DIAL_WAIT, self.ask(&line, port)) => asked,
                // Who was asked may be gone: whoever came in its place is asked anew.
                _ = control.changed() => continue,
            };
            return match asked {
                Ok(Some(Ok((stream, early)))) => {
                    Ok(RelayStream::new(stream, early, Arc::clone(&self.shared.traffic), permit))
                }
                Ok(Some(Err(Refusal::Refused))) => Err(RelayError::Refused { port }),
                Ok(Some(Err(Refusal::Busy))) => Err(RelayError::Busy),
                Ok(Some(Err(Refusal::TimedOut))) | Err(_) => Err(RelayError::Silent { port }),
                // The control connection is gone; the end of it is about to be noted.
                Ok(None) => {
                    let _ = timeout_at(deadline, control.changed()).await;
                    continue;
                }
            };
        }
    }

    /// Asks for one connection; `None` when nobody is there to be asked. Dropping it takes the
    /// question back.
    async fn ask(
        &self,
        line: &mpsc::Sender<String>,
        port: u16,
    ) -> Option<Result<(UnixStream, Vec<u8>), Refusal>> {
        let (sender, answer) = oneshot::channel();
        let asked = Asked { shared: &self.shared, nonce: Entropy.bytes() };
        self.shared.asked().push((asked.nonce, sender));
        line.send(format!("open {port} {}\n", hex::encode(asked.nonce))).await.ok()?;
        answer.await.ok()
    }

    /// Whether the relay is connected. It stays so while the container is paused.
    pub fn connected(&self) -> bool {
        self.shared.control.borrow().is_some()
    }

    /// Waits until the relay is connected, without end.
    pub async fn until_connected(&self) {
        let _ = self.shared.control.subscribe().wait_for(Option::is_some).await;
    }

    /// The exit code of the command that the relay ran, 0 to 255, once it said that the command has
    /// ended. Any program in the container can say so: the engine's word is what counts.
    pub fn ended(&self) -> Option<i32> {
        *self.shared.ended.borrow()
    }

    /// Waits for the next file that is handed in; for ever, when none is. May be dropped and called
    /// again without losing any.
    pub async fn handed_in(&self) -> Option<HandedIn> {
        self.handed_in.lock().await.recv().await
    }

    /// What went through every stream so far.
    pub fn counted(&self) -> Counted {
        self.shared.traffic.counted()
    }

    /// What went through every hand-in so far, the first lines not counted.
    pub fn counted_handed_in(&self) -> Counted {
        self.shared.handed_in.counted()
    }
}

impl Shared {
    fn asked(&self) -> std::sync::MutexGuard<'_, Vec<(Nonce, Answer)>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands what came for a nonce to whoever asked for it, once; a nonce that nobody waits for is
    /// nothing. The comparison takes the same time wherever a guess goes wrong. Whether somebody
    /// had asked for it.
    fn answer(&self, nonce: &Nonce, answer: Result<(UnixStream, Vec<u8>), Refusal>) -> bool {
        let mut asked = self.asked();
        let mut found = None;
        for (index, (expected, _)) in asked.iter().enumerate() {
            if bool::from(expected.ct_eq(nonce)) {
                found = Some(index);
            }
        }
        if let Some(index) = found {
            let (_, sender) = asked.swap_remove(index);
            // Who asked may have given up meanwhile: the connection closes.
            let _ = sender.send(answer);
        }
        found.is_some()
    }
}

/// A question that stands; dropping it takes it back.
struct Asked<'a> {
    shared: &'a Shared,
    nonce: Nonce,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.shared.asked().retain(|(nonce, _)| *nonce != self.nonce);
    }
}

#[cfg(test)]
mod tests;
