//! The head of a request as it goes in, and of an answer as it comes out.

use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, COOKIE, ETAG, HOST, HeaderName, SET_COOKIE,
    UPGRADE,
};
use axum::http::{HeaderMap, HeaderValue};

use super::is_ours;

/// What belongs to one connection and goes no further (RFC 9110, section 7.6.1).
const HOP_BY_HOP: [HeaderName; 6] = [
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-authenticate"),
    HeaderName::from_static("proxy-authorization"),
    HeaderName::from_static("te"),
    HeaderName::from_static("trailer"),
    HeaderName::from_static("transfer-encoding"),
];

/// What is said for a host as a whole, its other ports included; to whoever stands between us and the browser;
/// or has the browser turn to other hosts by itself.
const NOT_FROM_INSIDE: [HeaderName; 18] = [
    HeaderName::from_static("clear-site-data"),
    HeaderName::from_static("alt-svc"),
    HeaderName::from_static("strict-transport-security"),
    HeaderName::from_static("public-key-pins"),
    HeaderName::from_static("expect-ct"),
    HeaderName::from_static("x-accel-redirect"),
    HeaderName::from_static("x-sendfile"),
    HeaderName::from_static("report-to"),
    HeaderName::from_static("reporting-endpoints"),
    HeaderName::from_static("nel"),
    HeaderName::from_static("origin-trial"),
    HeaderName::from_static("content-security-policy-report-only"),
    HeaderName::from_static("link"),
    HeaderName::from_static("refresh"),
    HeaderName::from_static("sourcemap"),
    HeaderName::from_static("x-sourcemap"),
    HeaderName::from_static("speculation-rules"),
    HeaderName::from_static("service-worker-allowed"),
];

/// What proxies on the way say of whoever asks: nothing for the server inside, which is told by no other way
/// who its visitor is.
const ABOUT_THE_VISITOR: [HeaderName; 9] = [
    HeaderName::from_static("forwarded"),
    HeaderName::from_static("via"),
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-port"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("x-client-ip"),
    HeaderName::from_static("x-request-id"),
];

/// Whether a request would make a WebSocket of its connection.
pub(super) fn wants_websocket(headers: &HeaderMap) -> bool {
    let words = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let upgrades =
        words.flat_map(|line| line.split(',')).any(|word| word.trim().eq_ignore_ascii_case("upgrade"));
    upgrades && headers.get(UPGRADE).is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// What makes a WebSocket of a connection (RFC 6455, section 4).
pub(super) fn websocket() -> [(HeaderName, HeaderValue); 2] {
    [(CONNECTION, HeaderValue::from_static("upgrade")), (UPGRADE, HeaderValue::from_static("websocket"))]
}

/// Bytes of an answer's head, as HTTP/1.1 writes it, without its first line.
pub(super) fn head_length(headers: &HeaderMap) -> u64 {
    let line = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len() + 4;
    headers.iter().map(line).sum::<usize>() as u64
}

/// How long an answer says that it is.
pub(super) fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The headers as they go in: without our cookies, the browser's own credentials, and what tells of the visitor.
pub(super) fn inward(headers: &mut HeaderMap, token: Option<&HeaderValue>) {
    for name in HOP_BY_HOP.iter().chain([&CONNECTION, &UPGRADE]).chain(&ABOUT_THE_VISITOR) {
        headers.remove(name);
    }
    let kept: Vec<String> = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|line| line.split(';'))
        .map(str::trim)
        .filter(|pair| !pair.is_empty() && !is_ours(pair))
        .map(str::to_owned)
        .collect();
    headers.remove(COOKIE);
    if let Ok(value) = HeaderValue::from_str(&kept.join("; "))
        && !kept.is_empty()
    {
        headers.insert(COOKIE, value);
    }
    headers.remove(AUTHORIZATION);
    headers.extend(token.map(|token| (AUTHORIZATION, token.clone())));
    headers.insert(HOST, HeaderValue::from_static("localhost"));
}

/// The headers as they come out: the server inside can neither set a cookie of ours nor speak for the
/// whole host. On an origin that others share (`shared`) nothing of it is kept by the browser.
pub(super) fn outward(headers: &mut HeaderMap, shared: bool) {
    for name in HOP_BY_HOP.iter().chain([&CONNECTION, &UPGRADE]).chain(&NOT_FROM_INSIDE) {
        headers.remove(name);
    }
    if shared {
        // whoever uses this browser next is not shown what somebody's sandbox called the lab's interface
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.remove(ETAG);
    }
    let kept: Vec<HeaderValue> = headers
        .get_all(SET_COOKIE)
        .iter()
        .filter(|value| value.to_str().is_ok_and(may_be_set))
        .cloned()
        .collect();
    headers.remove(SET_COOKIE);
    for cookie in kept {
        headers.append(SET_COOKIE, cookie);
    }
}

/// Whether the server inside may set a cookie: one with a name (without, browsers send its value as if it
/// were one), which is none of ours, for its own host.
fn may_be_set(cookie: &str) -> bool {
    let mut parts = cookie.split(';');
    let Some((name, _)) = parts.next().and_then(|pair| pair.split_once('=')) else { return false };
    let names_a_domain = |part: &str| {
        part.split('=').next().is_some_and(|attribute| attribute.trim().eq_ignore_ascii_case("domain"))
    };
    !name.trim().is_empty() && !is_ours(name) && !parts.any(names_a_domain)
}
