//! What an app answered, or why there is no answer.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Names in lower case and values, in the order in which they came; bytes that are no text are replaced.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
    /// From sending the request to the end of the body.
    pub took: Duration,
}

impl Answer {
    /// The value of a header, several of one name joined by a comma (RFC 9110, 5.3).
    pub fn header(&self, name: &str) -> Option<String> {
        let values: Vec<&str> =
            self.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    /// The body as text; bytes that are none are replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON, of at most 128 levels.
    ///
    /// # Errors
    /// Where it stops being JSON.
    pub fn json(&self) -> Result<Value, serde_json::Error> {
        serde_json::from_slice(&self.body)
    }
}

/// Why a request has no answer that can be compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, thiserror::Error)]
#[serde(tag = "code", rename_all = "kebab-case")]
pub enum AskError {
    /// Nothing listens on the port any more.
    #[error("nothing listens on port {port}; keep the app running and listening on 127.0.0.1:{port}")]
    Refused {
        /// The loopback port.
        port: u16,
    },
    /// The app ended while it was asked, or before.
    #[error("the app has ended; keep it running until it is stopped")]
    Gone,
    /// The container does not answer.
    #[error("the connection to the app was not made in time; accept connections while you answer others")]
    NoConnection,
    /// The answer did not end in time.
    #[error("no whole answer within {milliseconds} ms; answer faster")]
    TimedOut {
        /// The probe's limit.
        milliseconds: u64,
    },
    /// The answer is longer than allowed.
    #[error("the answer has more than {bytes} bytes; send less")]
    TooLarge {
        /// The probe's limit.
        bytes: u64,
    },
    /// More headers, or longer ones, than are read.
    #[error("the answer's headers are too many or too long; send fewer than 100 and less than 64 KiB")]
    Headers,
    /// The connection closed in the middle of the answer.
    #[error("the connection closed before the answer was whole; send as many bytes as the headers say")]
    Broken,
    /// The answer is no HTTP.
    #[error("the answer is not HTTP/1.1: {what}; answer with a status line, headers and a body")]
    Malformed {
        /// What the parser said.
        what: String,
    },
    /// The app wants to speak another protocol.
    #[error("the app switched protocols (101) though nobody asked it to; answer plain HTTP")]
    Upgrade,
    /// A value that the request needs was not in an earlier answer.
    #[error("the request could not be made: {what}")]
    NotAsked {
        /// What is missing.
        what: String,
    },
}
