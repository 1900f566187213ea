//! The host's ear: what dials the socket, until it has said what it is for.

use std::collections::VecDeque;
use std::fs::{self, Permissions};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::stream::{HandedIn, RelayStream};
use super::{
    CONNECTION_BURST, CONNECTIONS_PER_SECOND, FIRST_LINE, GREETING_WAIT, HEADER, LINES, Nonce, PATH,
    REPLACEMENTS_PER_SECOND, Refusal, SILENT, SOCKET_NAME, Shared,
};
use crate::sandbox::SandboxError;

/// Where the socket is made before it takes its name; no longer than [`SOCKET_NAME`].
const NEW_NAME: &str = "relay.new";
/// How long to wait when this process has no descriptor left for another connection.
const EXHAUSTED: Duration = Duration::from_millis(100);
/// The word that begins a hand-in.
const SUBMIT: &[u8] = b"submit ";

/// Makes the socket, with its mode, and then gives it its name: there is no moment at which it can
/// be seen and not be dialled, and one left by an earlier service is replaced.
pub(super) fn bind(directory: &Path) -> Result<UnixListener, SandboxError> {
    let refuse = |what: String| Err(SandboxError::Spec { what });
    let path = directory.join(SOCKET_NAME);
    let length = path.as_os_str().len();
    if length > PATH {
        return refuse(format!(
            "the socket's path {} has {length} bytes; {PATH} are the most, so choose a shorter work directory",
            path.display()
        ));
    }
    let host = |action| move |error| SandboxError::host(action, directory, error);
    let found = fs::symlink_metadata(directory).map_err(host("look at"))?;
    let own = found.uid() == rustix::process::geteuid().as_raw();
    if !found.is_dir() || !own || found.mode() & 0o022 != 0 {
        return refuse(format!(
            "{} is not a directory that only this service's user may write (chmod 0755)",
            directory.display()
        ));
    }
    let new = directory.join(NEW_NAME);
    for name in [&new, &path] {
        match fs::symlink_metadata(name) {
            Ok(found) if !found.file_type().is_socket() => {
                return refuse(format!("{} is no socket; move it away", name.display()));
            }
            Ok(_) if *name == new => fs::remove_file(name).map_err(host("remove an old socket from"))?,
            _ => {}
        }
    }
    let listener = UnixListener::bind(&new).map_err(host("make a socket in"))?;
    fs::set_permissions(&new, Permissions::from_mode(0o666)).map_err(host("set a socket's mode in"))?;
    fs::rename(&new, &path).map_err(host("name a socket in"))?;
    Ok(listener)
}

/// What a connection is for, and what was read after its first line.
enum Said {
    Control(Vec<u8>),
    Answer(Nonce, Result<Vec<u8>, Refusal>),
    Submit(Value, Vec<u8>),
    /// A hand-in whose description is not one.
    Unreadable,
}

/// Takes every connection, hears what it is for, and hands it on.
pub(super) struct Desk {
    shared: Arc<Shared>,
    handed_in: mpsc::Sender<HandedIn>,
    hand_ins: Arc<Semaphore>,
    control: Option<AbortOnDropHandle<()>>,
    /// When a control connection took the place of one that still stood, the last few times.
    replaced: VecDeque<Instant>,
}

impl Desk {
    pub(super) fn new(shared: Arc<Shared>, handed_in: mpsc::Sender<HandedIn>, hand_ins: usize) -> Self {
        let hand_ins = Arc::new(Semaphore::new(hand_ins));
        let replaced = VecDeque::with_capacity(REPLACEMENTS_PER_SECOND);
        Self { shared, handed_in, hand_ins, control: None, replaced }
    }

    /// Goes on until it is dropped, and every connection that it still has is dropped with it.
    pub(super) async fn run(mut self, listener: UnixListener) {
        let mut greetings = JoinSet::new();
        let mut silent: VecDeque<AbortHandle> = VecDeque::with_capacity(SILENT);
        let mut pace = Pace::new();
        loop {
            let next = async {
                pace.ready().await;
                listener.accept().await
            };
            tokio::select! {
                Some(greeted) = greetings.join_next() => {
                    if let Ok(Some((stream, said))) = greeted
                        && self.hand_on(stream, said)
                    {
                        pace.give_back();
                    }
                }
                accepted = next => match accepted {
                    Ok((stream, _)) => {
                        pace.take();
                        silent.retain(|greeting| !greeting.is_finished());
                        if silent.len() >= SILENT
                            && let Some(oldest) = silent.pop_front()
                        {
                            oldest.abort();
                        }
                        silent.push_back(greetings.spawn(greeting(stream)));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a sandbox's connection cannot be taken");
                        sleep(EXHAUSTED).await;
                    }
                },
            }
        }
    }

    /// Whether we had asked for it.
    fn hand_on(&mut self, stream: UnixStream, said: Said) -> bool {
        match said {
            Said::Control(rest) => self.take_control(stream, rest),
            Said::Answer(nonce, answer) => {
                return self.shared.answer(&nonce, answer.map(|early| (stream, early)));
            }
            Said::Submit(header, early) => self.hand_in(stream, header, early),
            Said::Unreadable => say(&stream, "header", "the first line is not `submit` and a JSON object"),
        }
        false
    }

    /// A new control connection takes the place of the old one: the relay has come back, and we have
    /// not heard of its going yet. One that does so too often is sent away.
    fn take_control(&mut self, stream: UnixStream, rest: Vec<u8>) {
        if self.control.as_ref().is_some_and(|control| !control.is_finished()) {
            let now = Instant::now();
            if self.replaced.len() >= REPLACEMENTS_PER_SECOND {
                if self.replaced.front().is_some_and(|&first| now - first < Duration::from_secs(1)) {
                    return;
                }
                self.replaced.pop_front();
            }
            self.replaced.push_back(now);
        }
        let (sender, lines) = mpsc::channel(LINES);
        self.shared.control.send_replace(Some(sender.clone()));
        let shared = Arc::clone(&self.shared);
        self.control = Some(AbortOnDropHandle::new(tokio::spawn(async move {
            let (reader, writer) = stream.into_split();
            tokio::select! {
                code = listen(reader, rest) => {
                    if code.is_some() {
                        shared.ended.send_replace(code);
                    }
                }
                () = speak(writer, lines) => {}
            }
            // Unless another has its place by now.
            shared.control.send_if_modified(|current| {
                let ours = current.as_ref().is_some_and(|current| current.same_channel(&sender));
                if ours {
                    *current = None;
                }
                ours
            });
        })));
    }

    fn hand_in(&self, stream: UnixStream, header: Value, early: Vec<u8>) {
        let Ok(permit) = Arc::clone(&self.hand_ins).try_acquire_owned() else {
            return say(&stream, "busy", "another file is being handed in; try again in a minute");
        };
        let stream = RelayStream::new(stream, early, Arc::clone(&self.shared.handed_in), permit);
        // There is room for every permit; only a relay that is being dropped takes none.
        let _ = self.handed_in.try_send(HandedIn { header, stream });
    }
}

/// One last line to a hand-in that goes no further. It fits, or the other side reads nothing.
fn say(stream: &UnixStream, code: &str, why: &str) {
    let line = serde_json::json!({ "ok": false, "code": code, "error": why });
    let _ = stream.try_write(format!("{line}\n").as_bytes());
}

/// The lines of the host, one after the other, whole. While the container is paused they wait.
async fn speak(mut writer: OwnedWriteHalf, mut lines: mpsc::Receiver<String>) {
    while let Some(line) = lines.recv().await {
        if writer.write_all(line.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// The one line that the relay has to say after the first; then, or at anything else, it is over.
async fn listen(mut reader: OwnedReadHalf, mut heard: Vec<u8>) -> Option<i32> {
    let line = line(&mut reader, &mut heard).await?;
    let code = std::str::from_utf8(&line).ok()?.strip_prefix("ended ")?;
    code.parse::<u8>().ok().map(i32::from)
}

/// Hears what a connection is for. `None` for one that says nothing in time, or nothing known.
async fn greeting(mut stream: UnixStream) -> Option<(UnixStream, Said)> {
    let mut heard = Vec::new();
    let line = timeout(GREETING_WAIT, line(&mut stream, &mut heard)).await.ok()??;
    let said = if let Some(json) = line.strip_prefix(SUBMIT) {
        match serde_json::from_slice(json) {
            Ok(header @ Value::Object(_)) => Said::Submit(header, heard),
            _ => Said::Unreadable,
        }
    } else {
        parse(std::str::from_utf8(&line).ok()?, heard)?
    };
    Some((stream, said))
}

fn parse(line: &str, rest: Vec<u8>) -> Option<Said> {
    if line == "control 1" {
        return Some(Said::Control(rest));
    }
    if let Some(nonce) = line.strip_prefix("dial ") {
        return Some(Said::Answer(parse_nonce(nonce)?, Ok(rest)));
    }
    let (nonce, why) = line.strip_prefix("refused ")?.split_once(' ')?;
    let refusal = match why {
        "timeout" => Refusal::TimedOut,
        "busy" => Refusal::Busy,
        _ => Refusal::Refused,
    };
    Some(Said::Answer(parse_nonce(nonce)?, Err(refusal)))
}

fn parse_nonce(text: &str) -> Option<Nonce> {
    let mut nonce = Nonce::default();
    hex::decode_to_slice(text, &mut nonce).ok()?;
    Some(nonce)
}

/// The next line without its end; what was read after it stays in `heard`. `None` at the end of the
/// stream, and for a line that is too long.
async fn line(stream: &mut (impl AsyncReadExt + Unpin), heard: &mut Vec<u8>) -> Option<Vec<u8>> {
    let mut piece = [0; 1024];
    loop {
        let most = if heard.starts_with(SUBMIT) { SUBMIT.len() + HEADER + 1 } else { FIRST_LINE };
        if let Some(end) = heard.iter().take(most).position(|&byte| byte == b'\n') {
            let rest = heard.split_off(end + 1);
            let mut line = std::mem::replace(heard, rest);
            line.pop();
            return Some(line);
        }
        if heard.len() >= most {
            return None;
        }
        let count = stream.read(&mut piece).await.ok().filter(|&count| count > 0)?;
        heard.extend_from_slice(&piece[..count]);
    }
}

/// How fast connections are taken; the others wait in the socket's own queue.
struct Pace {
    left: f64,
    at: Instant,
}

impl Pace {
    fn new() -> Self {
        Self { left: f64::from(CONNECTION_BURST), at: Instant::now() }
    }

    /// Waits until one more may be taken. Safe to drop.
    async fn ready(&self) {
        if self.left < 1.0 {
            let missing = (1.0 - self.left) / f64::from(CONNECTIONS_PER_SECOND);
            sleep_until(self.at + Duration::from_secs_f64(missing)).await;
        }
    }

    fn take(&mut self) {
        let now = Instant::now();
        let grown = (now - self.at).as_secs_f64() * f64::from(CONNECTIONS_PER_SECOND);
        self.left = (self.left + grown).min(f64::from(CONNECTION_BURST)) - 1.0;
        self.at = now;
    }

    /// What we asked for does not count: we know how much we ask.
    fn give_back(&mut self) {
        self.left = (self.left + 1.0).min(f64::from(CONNECTION_BURST));
    }
}
