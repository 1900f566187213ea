//! Hands one request on to a server inside a sandbox, and its answer back: HTTP, and WebSockets as
//! they are.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use futures_util::StreamExt as _;
use futures_util::future::{BoxFuture, Shared};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf};

use super::frames::Frames;
use super::headers;
use super::policy::{self, Verdict};
use crate::clock::Clock;
use crate::lab::gauge::{Gauge, Spent};

/// Bytes read at once of a connection that was upgraded.
const PIECE: usize = 16 << 10;

/// Bytes of the head of an answer from inside; the lab's have some hundreds.
const HEAD: usize = 32 << 10;

/// Why a request was not answered from inside.
#[derive(Debug, thiserror::Error)]
pub(super) enum ForwardError {
    /// What is asked for is larger than may be shown at once.
    #[error("this file has {0} bytes, more than may be shown at once")]
    TooLarge(u64),
    /// The session has shown as much as it may.
    #[error(transparent)]
    Spent(#[from] Spent),
    /// The server inside did not speak as it should.
    #[error("the server inside the sandbox broke off: {0}")]
    Broken(#[from] hyper::Error),
}

/// What a request is handed on with.
#[derive(Clone)]
pub(super) struct Way {
    /// Whether other sandboxes are reached at the same origin.
    pub shared: bool,
    /// What the server inside takes for the owner's, where it asks for that; the browser never sees it.
    pub token: Option<HeaderValue>,
    /// Counts what is shown.
    pub gauge: Arc<Gauge>,
    /// The time.
    pub clock: Clock,
    /// Over when the visit is: a connection that stays open ends with it.
    pub visit: Shared<BoxFuture<'static, ()>>,
}

/// Hands a request on over a fresh connection to the server inside.
pub(super) async fn forward<S>(
    stream: S,
    mut request: Request,
    verdict: Verdict,
    way: Way,
) -> Result<Response, ForwardError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    if verdict != Verdict::Interface {
        way.gauge.check()?;
    }
    let upgrades = headers::wants_websocket(request.headers());
    let theirs = upgrades.then(|| hyper::upgrade::on(&mut request));
    note(&way, request.method(), request.uri().path());
    headers::inward(request.headers_mut(), way.token.as_ref());
    if upgrades {
        request.headers_mut().extend(headers::websocket());
    }
    let (mut sender, connection) =
        hyper::client::conn::http1::Builder::new().max_buf_size(HEAD).handshake(TokioIo::new(stream)).await?;
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "a connection into a sandbox broke off");
        }
    });
    // the server inside is asked by path, as by a browser that sits there
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
    if let Ok(uri) = path.parse() {
        *request.uri_mut() = uri;
    }
    let mut answer = sender.send_request(request).await?;
    headers::outward(answer.headers_mut(), way.shared);
    // its words for the status would go out as they are
    answer.extensions_mut().remove::<hyper::ext::ReasonPhrase>();
    // whoever answers there can put into the head what may not go out in the body
    let wait = counted(&way, verdict, headers::head_length(answer.headers()))?;
    tokio::time::sleep(wait).await;
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        let Some(theirs) = theirs else {
            // nobody asked for another protocol
            return Ok(StatusCode::BAD_GATEWAY.into_response());
        };
        let inside = hyper::upgrade::on(&mut answer);
        tokio::spawn(async move {
            if let (Ok(theirs), Ok(inside)) = tokio::join!(theirs, inside) {
                splice(TokioIo::new(theirs), TokioIo::new(inside), way).await;
            }
        });
        answer.headers_mut().extend(headers::websocket());
        return Ok(answer.map(|_| Body::empty()));
    }
    if verdict == Verdict::Capped
        && let Some(length) =
            headers::length(answer.headers()).filter(|length| *length > policy::SHOWN_AT_ONCE)
    {
        return Err(ForwardError::TooLarge(length));
    }
    Ok(answer.map(|body| shown(Body::new(body), verdict, way)))
}

/// Counts what goes out; gives how long to wait before it may.
fn counted(way: &Way, verdict: Verdict, bytes: u64) -> Result<Duration, Spent> {
    match verdict {
        Verdict::Interface => way.gauge.load(bytes, way.clock.now()),
        _ => way.gauge.show(bytes, way.clock.now()),
    }
}

/// Notes what only a person does, and what is started.
fn note(way: &Way, method: &Method, path: &str) {
    if !policy::changes(method, path) {
        return;
    }
    tracing::trace!(%method, path, "somebody is there");
    way.gauge.active(way.clock.now());
    if *method == Method::POST {
        match path.trim_end_matches('/') {
            "/api/kernels" | "/api/sessions" => way.gauge.kernel(),
            "/api/terminals" => way.gauge.terminal(),
            _ => {}
        }
    }
}

/// A body that is counted and slowed as it goes out, and breaks off when the visit is over, the budget is
/// spent, or what may be shown at once: its length is what the server inside says.
fn shown(body: Body, verdict: Verdict, way: Way) -> Body {
    let mut passed = 0;
    let over = way.visit.clone();
    let pieces = body.into_data_stream().then(move |piece| {
        let way = way.clone();
        let length = piece.as_ref().map_or(0, |piece| piece.len() as u64);
        passed += length;
        let too_large = verdict == Verdict::Capped && passed > policy::SHOWN_AT_ONCE;
        async move {
            let piece: Bytes = piece.map_err(std::io::Error::other)?;
            if too_large {
                return Err(std::io::Error::other(ForwardError::TooLarge(passed)));
            }
            let wait = counted(&way, verdict, length).map_err(std::io::Error::other)?;
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
            }
            Ok::<_, std::io::Error>(piece)
        }
    });
    Body::from_stream(pieces.take_until(over))
}

/// Passes the bytes of an upgraded connection both ways until one side ends it, or the visit is over.
/// What comes out is counted, every byte: who speaks there need be no lab, and who listens no browser.
/// What goes in tells whether a person is at work.
async fn splice<A, B>(browser: A, inside: B, way: Way)
where
    A: AsyncRead + AsyncWrite + Send + 'static,
    B: AsyncRead + AsyncWrite + Send + 'static,
{
    let (from_browser, to_browser) = tokio::io::split(browser);
    let (from_inside, to_inside) = tokio::io::split(inside);
    let mut frames = Frames::default();
    let inward = pass(from_browser, to_inside, |bytes| {
        if frames.pass(bytes).data > 0 {
            tracing::trace!(bytes = bytes.len(), "somebody is there");
            way.gauge.active(way.clock.now());
        }
        Ok(Duration::ZERO)
    });
    let outward = pass(from_inside, to_browser, |bytes| way.gauge.show(bytes.len() as u64, way.clock.now()));
    // whichever ends first ends both: half of a WebSocket is of no use
    tokio::select! {
        () = inward => {}
        () = outward => {}
        () = way.visit.clone() => {}
    }
}

async fn pass<A, B>(
    mut from: ReadHalf<A>,
    mut to: WriteHalf<B>,
    mut note: impl FnMut(&[u8]) -> Result<Duration, Spent>,
) where
    A: AsyncRead,
    B: AsyncWrite,
{
    let mut piece = vec![0; PIECE];
    while let Ok(read) = from.read(&mut piece).await {
        if read == 0 {
            break;
        }
        let Ok(wait) = note(&piece[..read]) else { break };
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        if to.write_all(&piece[..read]).await.is_err() || to.flush().await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::http::header::{CACHE_CONTROL, CONNECTION, ETAG, SET_COOKIE, UPGRADE};
    use axum::routing::any;
    use futures_util::FutureExt as _;
    use jiff::Timestamp;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::lab::gauge::INTERFACE;

    /// What the server inside saw of the headers; a WebSocket's bytes come back as they are.
    async fn inside(mut request: Request) -> Response {
        if request.headers().contains_key(UPGRADE) {
            let upgrade = hyper::upgrade::on(&mut request);
            tokio::spawn(async move {
                let (mut from, mut to) = tokio::io::split(TokioIo::new(upgrade.await.unwrap()));
                tokio::io::copy(&mut from, &mut to).await.unwrap();
            });
            let answer = Response::builder().status(101).header(UPGRADE, "websocket");
            return answer.header(CONNECTION, "upgrade").body(Body::empty()).unwrap();
        }
        let mut lines: Vec<String> = request
            .headers()
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        lines.push(format!("{} {}", request.method(), request.uri()));
        lines.sort();
        Response::builder()
            .header(SET_COOKIE, "_xsrf=1")
            .header(SET_COOKIE, "shuyu_sandbox=forged; Path=/")
            .header(SET_COOKIE, "shuyu_session=forged; Path=/competitions")
            .header(SET_COOKIE, " __host-shuyu_session=forged; Path=/; Secure")
            .header(SET_COOKIE, "=shuyu_session=forged")
            .header(SET_COOKIE, "shuyu_session")
            .header(SET_COOKIE, "wide=1; Path=/; domain=example.net")
            .header("clear-site-data", "\"cookies\"")
            .header(ETAG, "\"1\"")
            .body(Body::from(lines.join("\n")))
            .unwrap()
    }

    fn way() -> Way {
        Way {
            shared: true,
            token: Some(HeaderValue::from_static("token secret")),
            gauge: Arc::new(Gauge::new(0, Timestamp::UNIX_EPOCH)),
            clock: Clock::system(),
            visit: std::future::pending().boxed().shared(),
        }
    }

    /// The server inside, and a proxy in front of it that a browser may talk to.
    async fn serve(way: Way, verdict: Verdict) -> String {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(server, Router::new().fallback(any(inside))).await.unwrap() });
        let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let front = proxy.local_addr().unwrap();
        let handler = move |request: Request| {
            let way = way.clone();
            async move {
                let stream = TcpStream::connect(address).await.unwrap();
                forward(stream, request, verdict, way).await.map_err(|error| error.to_string())
            }
        };
        tokio::spawn(async move { axum::serve(proxy, Router::new().fallback(any(handler))).await.unwrap() });
        front.to_string()
    }

    /// A connection to the server inside that is a WebSocket by now.
    async fn upgraded(front: &str) -> TcpStream {
        let mut browser = TcpStream::connect(front).await.unwrap();
        let hello = format!(
            "GET /api/kernels/1/channels HTTP/1.1\r\nHost: {front}\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        browser.write_all(hello.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(browser.read_u8().await.unwrap());
        }
        assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
        browser
    }

    #[tokio::test]
    async fn our_cookie_and_the_browsers_credentials_stay_outside() {
        let way = way();
        let front = serve(way.clone(), Verdict::Content).await;
        let answer = reqwest::Client::new()
            .post(format!("http://{front}/api/kernels?x=1"))
            .header(
                "cookie",
                "a=1; shuyu_sandbox=visit; shuyu_session=visit; __Host-shuyu_session=visit; _xsrf=2",
            )
            .header("authorization", "Bearer stolen")
            .body("{}")
            .send()
            .await
            .unwrap();
        let cookies: Vec<_> = answer.headers().get_all(SET_COOKIE).iter().collect();
        assert_eq!(cookies, ["_xsrf=1"], "the server inside sets no cookie of ours");
        let headers = answer.headers();
        assert!(!headers.contains_key("clear-site-data") && !headers.contains_key(ETAG));
        assert_eq!(headers[CACHE_CONTROL], "no-store");
        let head = headers::head_length(answer.headers());
        let seen = answer.text().await.unwrap();
        for line in ["authorization: token secret", "cookie: a=1; _xsrf=2", "host: localhost"] {
            assert!(seen.contains(line), "{line} in {seen}");
        }
        assert!(seen.contains("POST /api/kernels?x=1") && !seen.contains("visit"), "{seen}");
        let taken = way.gauge.take();
        // the outer server adds what is its own
        assert!((seen.len() as u64..=seen.len() as u64 + head).contains(&taken.shown), "{taken:?}");
        assert_eq!(taken.kernels, 1);
        assert!(taken.active_at.is_some());
    }

    #[tokio::test]
    async fn what_comes_without_a_person_is_no_activity_and_the_interface_is_not_counted() {
        let way = way();
        let front = serve(way.clone(), Verdict::Interface).await;
        reqwest::get(format!("http://{front}/static/x.js")).await.unwrap().text().await.unwrap();
        assert_eq!(way.gauge.take(), crate::lab::gauge::Taken::default());
    }

    #[tokio::test]
    async fn a_websocket_passes_both_ways_and_only_data_is_activity() {
        let (over, visit) = tokio::sync::oneshot::channel::<()>();
        let way = Way { visit: visit.map(drop).boxed().shared(), ..way() };
        let front = serve(way.clone(), Verdict::Content).await;
        let mut browser = upgraded(&front).await;
        let head = way.gauge.take().shown;
        assert!(head > 0, "the head counts, too");
        let ping = [0x89, 0x80, 1, 2, 3, 4];
        browser.write_all(&ping).await.unwrap();
        let mut back = [0; 6];
        browser.read_exact(&mut back).await.unwrap();
        assert_eq!(back, ping);
        let taken = way.gauge.take();
        assert_eq!((taken.active_at, taken.shown), (None, 6), "a ping is nobody, and its bytes are bytes");
        let text = [0x81, 0x83, 1, 2, 3, 4, b'a', b'b', b'c'];
        browser.write_all(&text).await.unwrap();
        let mut back = [0; 9];
        browser.read_exact(&mut back).await.unwrap();
        assert_eq!(back, text);
        let taken = way.gauge.take();
        assert_eq!(taken.shown, 9);
        assert!(taken.active_at.is_some());
        browser.shutdown().await.unwrap();
        assert_eq!(browser.read(&mut back).await.unwrap(), 0, "one end ends the other");

        let mut browser = upgraded(&front).await;
        over.send(()).unwrap();
        assert_eq!(browser.read(&mut back).await.unwrap(), 0, "with the visit all of it ends");
    }

    #[tokio::test]
    async fn what_may_be_shown_at_once_is_bounded_whatever_its_length_is_said_to_be() {
        let long = |_: Request| async {
            let pieces =
                futures_util::stream::repeat(Bytes::from(vec![b'x'; 1 << 20])).map(Ok::<_, std::io::Error>);
            Response::new(Body::from_stream(pieces))
        };
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(server, Router::new().fallback(any(long))).await.unwrap() });
        let way = way();
        let stream = TcpStream::connect(address).await.unwrap();
        let asked = Request::new(Body::empty());
        let answer = forward(stream, asked, Verdict::Capped, way.clone()).await.unwrap();
        let head = way.gauge.shown();
        assert!(head > 0, "the head counts, too");
        let cut = axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap_err();
        assert!(format!("{cut:?}").contains("TooLarge"), "{cut:?}");
        assert!(way.gauge.shown() - head <= policy::SHOWN_AT_ONCE);
    }

    #[tokio::test]
    async fn a_head_is_counted_and_bounded_and_says_nothing_in_its_first_line() {
        // whoever answers inside need be no web server
        async fn answering(head: String) -> (Result<Response, ForwardError>, u64) {
            let (inside, mut far) = tokio::io::duplex(1 << 20);
            tokio::spawn(async move {
                let mut asked = [0; 1 << 10];
                let _ = far.read(&mut asked).await.unwrap();
                far.write_all(head.as_bytes()).await.unwrap();
            });
            let way = way();
            let asked = Request::new(Body::empty());
            let answer = forward(inside, asked, Verdict::Interface, way.clone()).await;
            // of the interface, which is free at first
            way.gauge.load(INTERFACE - 1, way.clock.now()).unwrap();
            way.gauge.load(0, way.clock.now()).unwrap();
            let before = way.gauge.shown();
            way.gauge.load(1, way.clock.now()).unwrap();
            (answer, way.gauge.shown() - before)
        }
        let long = "x".repeat(4_000);
        let (answer, counted) =
            answering(format!("HTTP/1.1 200 {long}\r\nx-a: {long}\r\nx-sendfile: /etc/passwd\r\n\r\n")).await;
        let answer = answer.unwrap();
        assert!(answer.extensions().get::<hyper::ext::ReasonPhrase>().is_none());
        assert!(answer.headers().contains_key("x-a") && !answer.headers().contains_key("x-sendfile"));
        assert_eq!(counted, 1, "its head had used up some of what is free");
        let lines: String = (0..20).map(|n| format!("x-{n}: {long}\r\n")).collect();
        let (refused, _) = answering(format!("HTTP/1.1 200 OK\r\n{lines}\r\n")).await;
        assert!(matches!(refused, Err(ForwardError::Broken(_))), "{refused:?}");
    }

    #[tokio::test]
    async fn a_session_that_is_spent_shows_nothing_more() {
        let way = way();
        way.gauge.show(crate::lab::gauge::BUDGET, Timestamp::UNIX_EPOCH).unwrap();
        let front = serve(way, Verdict::Content).await;
        let answer = reqwest::get(format!("http://{front}/api/contents/a")).await.unwrap();
        assert!(answer.text().await.unwrap().contains("as much as it may"));
    }
}
