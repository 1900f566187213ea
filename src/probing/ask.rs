//! One request to an app and its answer, over a connection that somebody else opened.
//!
//! Nothing of the app's is trusted: the answer is bounded in time, headers and bytes, redirects are answers
//! like any other, and an offer to speak another protocol is refused.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::answer::{Answer, AskError};
use super::fill::{Bindings, FillError, fill_json};
use super::suite::{self, Body, Upload};

/// Headers of an answer that are read.
const HEADERS: usize = 100;
/// Bytes of an answer's head that are read.
const HEAD: usize = 64 << 10;
/// What a path is sent with as it stands (RFC 3986, 3.3); `%` too, for authors who encode themselves.
const PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'`')
    .add(b'{')
    .add(b'}')
    .add(b'\\')
    .add(b'^')
    .add(b'|')
    .add(b'[')
    .add(b']');
/// What a query's names and values are sent with as they stand: letters, digits and `-._~`.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// What separates the parts of an upload. Files that hold it are refused when probes are read.
pub const BOUNDARY: &str = "shuyu-probe-7d1f9c2e5a";
/// Who asks.
const AGENT: &str = concat!("shuyu-probe/", env!("CARGO_PKG_VERSION"));

/// A request with every value in its place, ready to be sent.
#[derive(Clone, Debug)]
pub struct Ready {
    /// The method.
    pub method: String,
    /// Path and query, percent-encoded.
    pub target: String,
    headers: Vec<(String, String)>,
    content_type: Option<String>,
    body: Bytes,
    timeout: Duration,
    largest: u64,
}

/// Puts values into a request.
///
/// # Errors
/// What is not known, or not to be sent.
pub fn fill(request: &suite::Request, bindings: &Bindings) -> Result<Ready, FillError> {
    let pairs = |pairs: &[(String, super::fill::Template)]| {
        pairs
            .iter()
            .map(|(name, value)| Ok((name.clone(), value.fill(bindings)?)))
            .collect::<Result<Vec<_>, _>>()
    };
    let path = request.path.fill(bindings)?;
    if !path.starts_with('/') || path.starts_with("//") {
        return Err(FillError::NotAPath(path.chars().take(100).collect()));
    }
    let mut target = utf8_percent_encode(&path, PATH).to_string();
    let query = encoded(&pairs(&request.query)?);
    if !query.is_empty() {
        target = format!("{target}?{query}");
    }
    let (content_type, body) = match &request.body {
        Body::None => (None, Bytes::new()),
        Body::Text(text) => (Some("text/plain; charset=utf-8"), text.fill(bindings)?.into()),
        Body::Json(value) => (Some("application/json"), fill_json(value, bindings)?.to_string().into()),
        Body::Form(fields) => (Some("application/x-www-form-urlencoded"), encoded(&pairs(fields)?).into()),
        Body::Upload { fields, files } => (None, multipart(&pairs(fields)?, files)),
    };
    let content_type = match &request.body {
        Body::Upload { .. } => Some(format!("multipart/form-data; boundary={BOUNDARY}")),
        _ => content_type.map(str::to_owned),
    };
    Ok(Ready {
        method: request.method.clone(),
        target,
        headers: pairs(&request.headers)?,
        content_type,
        body,
        timeout: request.timeout,
        largest: request.largest,
    })
}

fn encoded(pairs: &[(String, String)]) -> String {
    let encode = |text: &str| utf8_percent_encode(text, QUERY).to_string();
    let pairs: Vec<String> =
        pairs.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    pairs.join("&")
}

fn multipart(fields: &[(String, String)], files: &[Upload]) -> Bytes {
    // names in quotes, as browsers write them
    let quoted = |name: &str| name.replace('"', "%22").replace(['\r', '\n'], " ");
    let mut body = Vec::new();
    for (name, value) in fields {
        let head =
            format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{}\"\r\n\r\n", quoted(name));
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(value.as_bytes());
        body.extend_from_slice(b"\r\n");
    }
    for file in files {
        let head = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{}\"; filename=\"{}\"\r\nContent-Type: {}\r\n\r\n",
            quoted(&file.field),
            quoted(&file.name),
            file.media_type
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(&file.content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    body.into()
}

impl Ready {
    /// A plain GET.
    pub fn get(target: &str, timeout: Duration, largest: u64) -> Self {
        Self {
            method: "GET".to_owned(),
            target: target.to_owned(),
            headers: Vec::new(),
            content_type: None,
            body: Bytes::new(),
            timeout,
            largest,
        }
    }

    fn into_request(self, port: u16) -> Result<Request<Full<Bytes>>, AskError> {
        let not_asked = |what: String| AskError::NotAsked { what };
        let mut request = Request::builder()
            .method(self.method.as_str())
            .uri(self.target.as_str())
            .header(HOST, format!("localhost:{port}"))
            .header(USER_AGENT, AGENT)
            .body(Full::new(self.body))
            .map_err(|error| not_asked(error.to_string()))?;
        if let Some(content_type) = self.content_type {
            let value = HeaderValue::from_str(&content_type).map_err(|error| not_asked(error.to_string()))?;
            request.headers_mut().insert(CONTENT_TYPE, value);
        }
        for (name, value) in self.headers {
            let name = HeaderName::try_from(name.as_str()).map_err(|error| not_asked(error.to_string()))?;
            let value = HeaderValue::from_str(&value)
                .map_err(|_| not_asked(format!("the value of the header {name} holds what no header can")))?;
            request.headers_mut().insert(name, value);
        }
        Ok(request)
    }
}

/// Sends a request to the app behind `stream` and reads the whole answer. `port` is the one the app was told
/// to listen on, for the `Host` header.
///
/// # Errors
/// [`AskError`]; the connection is closed either way.
pub async fn ask(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    port: u16,
    ready: Ready,
) -> Result<Answer, AskError> {
    let (limit, largest) = (ready.timeout, ready.largest);
    let request = ready.into_request(port)?;
    let late = AskError::TimedOut { milliseconds: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX) };
    timeout(limit, exchange(stream, request, largest)).await.map_err(|_| late)?
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Full<Bytes>>,
    largest: u64,
) -> Result<Answer, AskError> {
    let mut builder = http1::Builder::new();
    builder.max_headers(HEADERS).max_buf_size(HEAD);
    let (mut sender, connection) =
        builder.handshake(TokioIo::new(stream)).await.map_err(|error| fault(&error))?;
    let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
    let sent = Instant::now();
    let response = sender.send_request(request).await.map_err(|error| fault(&error))?;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Err(AskError::Upgrade);
    }
    let (status, headers) = (response.status().as_u16(), headers(&response));
    let body = read(response.into_body(), largest).await?;
    Ok(Answer { status, headers, body, took: sent.elapsed() })
}

fn headers(response: &Response<Incoming>) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    response.headers().iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
}

async fn read(mut body: Incoming, largest: u64) -> Result<Bytes, AskError> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        // trailers are read over
        let Ok(piece) = frame.map_err(|error| fault(&error))?.into_data() else { continue };
        if (bytes.len() + piece.len()) as u64 > largest {
            return Err(AskError::TooLarge { bytes: largest });
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes.into())
}

fn fault(error: &hyper::Error) -> AskError {
    if error.is_parse_too_large() {
        return AskError::Headers;
    }
    if error.is_parse() {
        return AskError::Malformed { what: error.to_string() };
    }
    AskError::Broken
}
