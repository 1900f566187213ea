//! Files out of the object store into a response. Only plain objects can get here: the store itself
//! refuses to stream a sealed one.

use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use tokio_util::io::ReaderStream;

use crate::store::{Class, ObjectKey};
use crate::web::App;
use crate::web::error::PageError;

/// How a file is handed over.
pub(in crate::web::pages) enum As<'a> {
    /// To be saved under a name.
    Download(&'a str),
    /// To be shown, as this type: pictures only.
    Shown(&'static str),
}

/// Streams a plain object.
pub(in crate::web::pages) async fn object(app: &App, key: &str, how: As<'_>) -> Result<Response, PageError> {
    let key: ObjectKey = key.parse()?;
    if key.class() != Class::Plain {
        return Err(PageError::not_found());
    }
    let reader = app.house.objects.get_stream(&key).await?;
    let size = reader.size();
    let mut response = Body::from_stream(ReaderStream::with_capacity(reader, 64 << 10)).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(size));
    match how {
        As::Download(name) => {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
            headers.insert(CONTENT_DISPOSITION, disposition(name));
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
        }
        As::Shown(kind) => {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, max-age=300"));
        }
    }
    Ok(response)
}

/// A text made for saving.
pub(in crate::web::pages) fn text(name: &str, kind: &'static str, content: impl Into<Body>) -> Response {
    let mut response = content.into().into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CONTENT_DISPOSITION, disposition(name));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    response
}

/// A table made for saving and opened in a spreadsheet: with a byte order mark, without which they take Chinese for
/// another encoding. (The API's tables have none.)
pub(in crate::web::pages) fn csv(name: &str, table: &[u8]) -> Response {
    text(name, "text/csv; charset=utf-8", [b"\xef\xbb\xbf", table].concat())
}

/// `attachment` with the name in both forms (RFC 6266).
fn disposition(name: &str) -> HeaderValue {
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' }).collect();
    let exact = percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC);
    let text = format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{exact}");
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("attachment"))
}

/// A cell of a CSV that a spreadsheet will not take for a formula.
pub(in crate::web::pages) fn cell(text: &str) -> String {
    match text.chars().next() {
        Some('=' | '+' | '-' | '@' | '\t' | '\r') => format!("'{text}"),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_formula_becomes_a_text_and_a_name_cannot_break_out_of_its_header() {
        assert_eq!(cell("=HYPERLINK(\"x\")"), "'=HYPERLINK(\"x\")");
        assert_eq!(cell("队伍"), "队伍");
        let header = disposition("a\"; b\r\n数.csv");
        assert_eq!(
            header,
            "attachment; filename=\"a___b___.csv\"; filename*=UTF-8''a%22%3B%20b%0D%0A%E6%95%B0%2Ecsv"
        );
    }
}
