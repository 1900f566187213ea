use std::future::Future;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

use super::*;

/// The container's side, played by the test.
struct Place {
    directory: TempDir,
    relay: Relay,
}

type Dialled = BufReader<UnixStream>;

impl Place {
    fn new(limits: RelayLimits) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let relay = Relay::listen(directory.path(), limits).expect("listens");
        Self { directory, relay }
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join(SOCKET_NAME)
    }

    async fn dial(&self, first: impl AsRef<[u8]>) -> Dialled {
        let mut stream = UnixStream::connect(self.socket()).await.expect("dialled");
        // It may be closed before it has taken everything.
        let _ = stream.write_all(first.as_ref()).await;
        BufReader::new(stream)
    }

    async fn control(&self) -> Dialled {
        let control = self.dial("control 1\n").await;
        self.relay.until_connected().await;
        control
    }

    /// Opens a port, with `answer` in the relay's place, given the nonce.
    async fn opened<F: Future>(
        &self,
        control: &mut Dialled,
        answer: impl FnOnce(String) -> F,
    ) -> (Result<RelayStream, RelayError>, F::Output) {
        tokio::join!(self.relay.open(8888), async {
            let mut line = String::new();
            control.read_line(&mut line).await.expect("asked");
            let nonce = line.strip_prefix("open 8888 ").expect("the port").trim_end().to_owned();
            assert_eq!(nonce.len(), 32);
            answer(nonce).await
        })
    }
}

/// What comes until the end; an end that cuts off what we sent is one too.
async fn rest(stream: &mut Dialled) -> String {
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    String::from_utf8(rest).expect("text")
}

#[tokio::test]
async fn a_stream_goes_both_ways_is_counted_and_ends_one_way_at_a_time() {
    let place = Place::new(RelayLimits::default());
    let mut control = place.control().await;
    let (stream, mut far) =
        place.opened(&mut control, |nonce| place.dial(format!("dial {nonce}\nearly, "))).await;
    let mut stream = stream.expect("opened");
    far.get_mut().write_all(b"late").await.expect("sent");
    far.get_mut().shutdown().await.expect("shut down");
    let mut received = [0; 3];
    stream.read_exact(&mut received).await.expect("received");
    assert_eq!(&received, b"ear");
    let mut received = String::new();
    stream.read_to_string(&mut received).await.expect("received");
    assert_eq!(received, "ly, late");
    stream.write_all(b"answer").await.expect("sent");
    stream.shutdown().await.expect("shut down");
    assert_eq!(rest(&mut far).await, "answer");
}

#[tokio::test]
async fn counted_is_what_the_streams_carried() {
    let place = Place::new(RelayLimits::default());
    let mut control = place.control().await;
    for _ in 0..3 {
        let answer = |nonce| place.dial(format!("dial {nonce}\n12345"));
        let (stream, far) = place.opened(&mut control, answer).await;
        let (mut stream, mut five) = (stream.expect("opened"), [0; 5]);
        stream.read_exact(&mut five).await.expect("received");
        stream.write_all(b"123").await.expect("sent");
        drop(far);
    }
    assert_eq!(place.relay.counted(), Counted { received: 15, sent: 9 });
    assert_eq!(place.relay.counted_handed_in(), Counted::default());
}

#[tokio::test]
async fn a_refusal_says_why() {
    let place = Place::new(RelayLimits::default());
    let mut control = place.control().await;
    for (why, error) in [
        ("refused", RelayError::Refused { port: 8888 }),
        ("unreachable", RelayError::Refused { port: 8888 }),
        ("timeout", RelayError::Silent { port: 8888 }),
        ("busy", RelayError::Busy),
    ] {
        let answer = |nonce| place.dial(format!("refused {nonce} {why}\n"));
        let (stream, _) = place.opened(&mut control, answer).await;
        assert_eq!(stream.expect_err(why), error);
    }
}

#[tokio::test]
async fn a_nonce_is_good_once_and_a_guess_never() {
    let place = Place::new(RelayLimits::default());
    let mut control = place.control().await;
    let (stream, (nonce, mut dialled)) = place
        .opened(&mut control, |nonce| async {
            let mut guess = place.dial(format!("dial {}\n", "0".repeat(32))).await;
            assert_eq!(rest(&mut guess).await, "");
            let first = format!("dial {nonce}\n");
            let dialled = [place.dial(&first).await, place.dial(&first).await];
            (nonce, dialled)
        })
        .await;
    stream.expect("opened").write_all(b"to one of them").await.expect("sent");
    let mut heard = [rest(&mut dialled[0]).await, rest(&mut dialled[1]).await];
    heard.sort_unstable();
    assert_eq!(heard, ["", "to one of them"]);
    assert_eq!(rest(&mut place.dial(format!("dial {nonce}\n")).await).await, "");
}

#[tokio::test]
async fn a_nonce_is_worth_nothing_once_nobody_waits_for_it() {
    let place = Place::new(RelayLimits::default());
    let mut control = place.control().await;
    let nonce = {
        let mut line = String::new();
        tokio::select! {
            _ = place.relay.open(8888) => unreachable!("nobody dials"),
            read = control.read_line(&mut line) => read.expect("asked"),
        };
        line.rsplit(' ').next().expect("a nonce").to_owned()
    };
    assert_eq!(rest(&mut place.dial(format!("dial {nonce}")).await).await, "");
    assert!(place.relay.shared.asked().is_empty());
}

#[tokio::test]
async fn what_says_nothing_known_is_closed() {
    let place = Place::new(RelayLimits::default());
    for first in [
        "GET / HTTP/1.1\r\n\r\n".to_owned(),
        "\n".to_owned(),
        "control 2\n".to_owned(),
        "dial\n".to_owned(),
        "dial 0\n".to_owned(),
        format!("refused {}\n", "0".repeat(32)),
        "x".repeat(FIRST_LINE),
        format!("{}\n", "x".repeat(100_000)),
        format!("submit {}", " ".repeat(HEADER + 1)),
    ] {
        assert_eq!(rest(&mut place.dial(&first).await).await, "", "{first}");
    }
    assert_eq!(rest(&mut place.dial(b"\xff\xfe\n").await).await, "");
    assert!(!place.relay.connected());
}

#[tokio::test]
async fn the_oldest_of_too_many_silent_ones_makes_room() {
    let place = Place::new(RelayLimits::default());
    let mut silent = Vec::new();
    for _ in 0..=SILENT {
        silent.push(place.dial("").await);
    }
    let mut control = place.control().await;
    assert_eq!(rest(&mut silent[0]).await, "");
    let answer = |nonce| place.dial(format!("dial {nonce}\n"));
    place.opened(&mut control, answer).await.0.expect("opened");
}

/// The one test that waits the waits out, all at once.
#[tokio::test]
async fn every_wait_has_an_end() {
    let one = RelayLimits { streams: 1, ..RelayLimits::default() };
    let (none, silent, full) = (Place::new(one), Place::new(one), Place::new(one));
    let mut half = none.dial("dia").await;
    let _control = silent.control().await;
    let mut control = full.control().await;
    let (stream, far) = full.opened(&mut control, |nonce| full.dial(format!("dial {nonce}\n"))).await;
    let stream = stream.expect("opened");
    let (closed, away, nothing, busy) =
        tokio::join!(rest(&mut half), none.relay.open(8888), silent.relay.open(8888), full.relay.open(8888));
    assert_eq!(closed, "");
    assert_eq!(away.expect_err("no relay"), RelayError::Away);
    assert_eq!(nothing.expect_err("no answer"), RelayError::Silent { port: 8888 });
    assert_eq!(busy.expect_err("one is open"), RelayError::Busy);
    drop((stream, far));
    let (again, _far) = full.opened(&mut control, |nonce| full.dial(format!("dial {nonce}\n"))).await;
    again.expect("there is room again");
}

#[tokio::test]
async fn a_control_connection_takes_the_place_of_another_now_and_then() {
    let place = Place::new(RelayLimits::default());
    let mut controls = vec![place.control().await];
    for _ in 0..REPLACEMENTS_PER_SECOND {
        controls.push(place.dial("control 1\n").await);
        let old = controls.len() - 2;
        assert_eq!(rest(&mut controls[old]).await, "");
    }
    // Within the same second: the newcomer goes, what stands stays.
    assert_eq!(rest(&mut place.dial("control 1\n").await).await, "");
    let answer = |nonce| place.dial(format!("dial {nonce}\n"));
    place.opened(controls.last_mut().expect("one"), answer).await.0.expect("opened");
}

#[tokio::test]
async fn who_asked_a_relay_that_went_away_asks_the_next_one() {
    let place = Place::new(RelayLimits::default());
    let mut control = place.control().await;
    let (stream, ()) = tokio::join!(place.relay.open(8888), async {
        let mut line = String::new();
        control.read_line(&mut line).await.expect("asked");
        drop(control);
        let mut control = place.dial("control 1\n").await;
        line.clear();
        control.read_line(&mut line).await.expect("asked again");
        let nonce = line.rsplit(' ').next().expect("a nonce");
        place.dial(format!("dial {nonce}hello")).await;
    });
    let mut hello = String::new();
    stream.expect("opened").read_to_string(&mut hello).await.expect("received");
    assert_eq!(hello, "hello");
}

#[tokio::test]
async fn the_end_is_heard_also_from_a_relay_that_is_gone_at_once() {
    for (said, code) in [("ended 7\n", Some(7)), ("ended 256\n", None), ("ended\n", None), ("over 1\n", None)]
    {
        let place = Place::new(RelayLimits::default());
        assert_eq!(rest(&mut place.dial(format!("control 1\n{said}")).await).await, "");
        assert_eq!(place.relay.ended(), code, "{said}");
        assert!(!place.relay.connected());
    }
}

#[tokio::test]
async fn a_file_is_handed_in_and_answered_and_there_is_an_end_to_them() {
    let place = Place::new(RelayLimits { hand_ins: 1, ..RelayLimits::default() });
    let mut far = place.dial("submit {\"name\":\"a.zip\",\"size\":3}\nabc").await;
    let HandedIn { header, mut stream } = place.relay.handed_in().await.expect("handed in");
    assert_eq!(header["name"], "a.zip");
    let mut busy = place.dial("submit {}\n").await;
    assert!(rest(&mut busy).await.starts_with("{\"ok\":false,\"code\":\"busy\""));
    far.get_mut().shutdown().await.expect("shut down");
    let mut content = String::new();
    stream.read_to_string(&mut content).await.expect("received");
    assert_eq!(content, "abc");
    stream.write_all(b"{\"ok\":true}\n").await.expect("answered");
    drop(stream);
    assert_eq!(rest(&mut far).await, "{\"ok\":true}\n");
    assert_eq!(place.relay.counted_handed_in(), Counted { received: 3, sent: 12 });
    let _next = place.dial("submit {}\n").await;
    assert_eq!(place.relay.handed_in().await.expect("there is room again").header, serde_json::json!({}));
    for header in ["[]", "{", "{} {}", "", "\"\\ud800\""] {
        let mut far = place.dial(format!("submit {header}\n")).await;
        assert!(rest(&mut far).await.starts_with("{\"ok\":false,\"code\":\"header\""), "{header}");
    }
}

#[tokio::test]
async fn only_a_directory_of_our_own_is_listened_in() {
    let directory = tempfile::tempdir().expect("a directory");
    let refused = |path: &Path| match Relay::listen(path, RelayLimits::default()) {
        Ok(_) => panic!("{} is listened in", path.display()),
        Err(error) => error.to_string(),
    };
    let long = directory.path().join("x".repeat(100));
    std::fs::create_dir(&long).expect("a directory");
    assert!(refused(&long).contains("107 are the most"));
    let open = directory.path().join("open");
    std::fs::create_dir(&open).expect("a directory");
    std::fs::set_permissions(&open, std::os::unix::fs::PermissionsExt::from_mode(0o777)).expect("its mode");
    assert!(refused(&open).contains("only this service's user may write"));
    let link = directory.path().join("link");
    symlink(directory.path(), &link).expect("a link");
    assert!(refused(&link).contains("only this service's user may write"));
    symlink("/etc/passwd", directory.path().join(SOCKET_NAME)).expect("a link");
    assert!(refused(directory.path()).contains("is no socket"));
    assert!(refused(&directory.path().join("none")).contains("No such file"));
}

#[tokio::test]
async fn a_socket_left_behind_is_replaced_and_a_dropped_relay_closes_what_it_had() {
    let Place { directory, relay } = Place::new(RelayLimits::default());
    let place =
        Place { relay: Relay::listen(directory.path(), RelayLimits::default()).expect("listens"), directory };
    let mut control = place.control().await;
    assert!(!relay.connected());
    let mode = std::fs::symlink_metadata(place.socket()).expect("a socket").permissions();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777, 0o666);
    let mut silent = place.dial("").await;
    let answer = |nonce| place.dial(format!("dial {nonce}\n"));
    let (stream, mut far) = place.opened(&mut control, answer).await;
    let Place { directory: _directory, relay } = place;
    drop(relay);
    assert_eq!((rest(&mut control).await, rest(&mut silent).await), (String::new(), String::new()));
    stream.expect("opened").write_all(b"goes on").await.expect("sent");
    assert_eq!(rest(&mut far).await, "goes on");
}
