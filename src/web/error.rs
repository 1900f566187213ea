//! Errors as people and programs see them. A room's error says through [`Explain`] what kind it is;
//! the texts stand in `locales/*/errors.ftl` under `error-CODE`: the message is the title, `.why` the
//! reason, `.mend` what to do. Handlers only use `?`: pages end in [`PageError`], the API in
//! [`Problem`]; both are written out by the visit layer, which knows language and reference number.

use std::borrow::Cow;
use std::fmt::Display;
use std::sync::Arc;

use axum::Json;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::lang::Lang;
use super::words::{Args, Words};
use crate::people::PeopleError;
use crate::store::StoreError;

/// One field of a form or document that cannot be taken. The text is `fault-CODE`.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldFault {
    /// The field.
    pub field: String,
    /// What is wrong.
    pub code: Cow<'static, str>,
    /// Values put into the text.
    pub args: Args,
    /// A text that replaces the one of the code, where a room words it itself.
    pub text: Option<String>,
}

/// How a room's error is told.
pub trait Explain: Display {
    /// The HTTP status. From 500 on, the error's own text is logged and never shown.
    fn status(&self) -> StatusCode;

    /// The kind, in kebab case: part of the API, and the key of the texts.
    fn code(&self) -> &'static str;

    /// Values put into the texts.
    fn args(&self) -> Args {
        Args::new()
    }

    /// A reason that replaces the text `error-CODE.why`, where the room words it itself.
    fn why(&self) -> Option<String> {
        None
    }

    /// The fields that cannot be taken.
    fn faults(&self) -> Vec<FieldFault> {
        Vec::new()
    }

    /// Seconds to wait before trying again.
    fn retry_after(&self) -> Option<u64> {
        None
    }
}

/// An error on its way out.
#[derive(Clone, Debug)]
pub(super) struct Explanation {
    pub status: StatusCode,
    pub code: &'static str,
    pub args: Args,
    pub why: Option<String>,
    pub faults: Vec<FieldFault>,
    pub retry_after: Option<u64>,
    /// For the log alone.
    pub internal: Option<String>,
    /// Whether a program asked.
    pub problem: bool,
}

/// An error worded in a language.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Worded {
    pub title: String,
    pub why: String,
    pub mend: String,
    pub faults: Vec<WordedFault>,
}

/// A field's fault, worded in a language.
#[derive(Clone, Debug, Serialize)]
pub struct WordedFault {
    /// The field.
    pub field: String,
    /// The kind, in kebab case.
    pub code: String,
    /// What is wrong with it.
    pub text: String,
}

impl Explanation {
    pub(super) fn of(error: &dyn Explain) -> Self {
        let status = error.status();
        Self {
            status,
            code: error.code(),
            args: error.args(),
            why: error.why(),
            faults: error.faults(),
            retry_after: error.retry_after(),
            internal: status.is_server_error().then(|| error.to_string()),
            problem: false,
        }
    }

    pub(super) fn plain(status: StatusCode, code: &'static str) -> Self {
        Self {
            status,
            code,
            args: Args::new(),
            why: None,
            faults: Vec::new(),
            retry_after: None,
            internal: None,
            problem: false,
        }
    }

    /// What to say about a response that has no body of ours: a path that is not there, a body too
    /// large, a form that cannot be read.
    pub(super) fn of_status(status: StatusCode) -> Self {
        let code = match status.as_u16() {
            404 => "not-found",
            405 => "method-not-allowed",
            408 | 504 => "timeout",
            413 => "too-large",
            415 => "unsupported-media-type",
            429 => "too-many-requests",
            500.. => "internal",
            _ => "bad-request",
        };
        Self::plain(status, code)
    }

    pub(super) fn worded(&self, words: &Words, lang: Lang) -> Worded {
        let key = format!("error-{}", self.code);
        Worded {
            title: words.say_or_key(lang, &key, &self.args),
            why: self
                .why
                .clone()
                .unwrap_or_else(|| words.say_or_key(lang, &format!("{key}.why"), &self.args)),
            mend: words.say_or_key(lang, &format!("{key}.mend"), &self.args),
            faults: self.faults.iter().map(|fault| fault.worded(words, lang)).collect(),
        }
    }

    /// As `application/problem+json` (RFC 9457).
    pub(super) fn problem_json(&self, words: &Words, lang: Lang, reference: &str) -> Response {
        #[derive(Serialize)]
        struct Document<'a> {
            r#type: String,
            title: String,
            status: u16,
            detail: String,
            instance: String,
            code: &'a str,
            mend: String,
            #[serde(skip_serializing_if = "Vec::is_empty")]
            errors: Vec<WordedFault>,
        }
        let Worded { title, why, mend, faults } = self.worded(words, lang);
        let document = Document {
            r#type: format!("urn:shuyu:problem:{}", self.code),
            title,
            status: self.status.as_u16(),
            detail: why,
            instance: format!("urn:shuyu:request:{reference}"),
            code: self.code,
            mend,
            errors: faults,
        };
        let mut response = (self.status, Json(document)).into_response();
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(CONTENT_TYPE, kind);
        response
    }

    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

impl FieldFault {
    /// A fault whose text needs no values.
    pub fn new(field: impl Into<String>, code: &'static str) -> Self {
        Self { field: field.into(), code: Cow::Borrowed(code), args: Args::new(), text: None }
    }

    /// The fault in a language.
    pub fn worded(&self, words: &Words, lang: Lang) -> WordedFault {
        let said = || words.say_or_key(lang, &format!("fault-{}", self.code), &self.args);
        let text = self.text.clone().unwrap_or_else(said);
        WordedFault { field: self.field.clone(), code: self.code.to_string(), text }
    }
}

/// An error of a page: what happened, why, what to do, and a reference number.
#[derive(Debug)]
pub struct PageError(Box<Explanation>);

/// An error of the API: RFC 9457 `application/problem+json`.
#[derive(Debug)]
pub struct Problem(Box<Explanation>);

impl PageError {
    /// There is no such page, or none that this person may know of.
    pub fn not_found() -> Self {
        Self(Box::new(Explanation::plain(StatusCode::NOT_FOUND, "not-found")))
    }

    /// The person may not do this.
    pub fn forbidden() -> Self {
        Self(Box::new(Explanation::plain(StatusCode::FORBIDDEN, "forbidden")))
    }

    pub(super) fn plain(status: StatusCode, code: &'static str) -> Self {
        Self(Box::new(Explanation::plain(status, code)))
    }

    /// Something of ours is broken; the text is logged with the reference number, not shown.
    pub(super) fn internal(error: &dyn Display) -> Self {
        let mut explanation = Explanation::plain(StatusCode::INTERNAL_SERVER_ERROR, "internal");
        explanation.internal = Some(error.to_string());
        Self(Box::new(explanation))
    }

    /// The same error for a program.
    pub(super) fn into_problem(self) -> Problem {
        Problem(self.0)
    }
}

impl Problem {
    /// There is no such thing, or none that the caller may know of.
    pub fn not_found() -> Self {
        PageError::not_found().into_problem()
    }

    /// The caller may not do this, or the token's scope is too narrow.
    pub fn forbidden() -> Self {
        PageError::forbidden().into_problem()
    }

    pub(super) fn plain(status: StatusCode, code: &'static str) -> Self {
        PageError::plain(status, code).into_problem()
    }
}

impl<E: Explain> From<E> for PageError {
    fn from(error: E) -> Self {
        Self(Box::new(Explanation::of(&error)))
    }
}

impl<E: Explain> From<E> for Problem {
    fn from(error: E) -> Self {
        Self(Box::new(Explanation::of(&error)))
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}

impl IntoResponse for Problem {
    fn into_response(mut self) -> Response {
        self.0.problem = true;
        self.0.into_response()
    }
}

impl Explain for StoreError {
    fn status(&self) -> StatusCode {
        match self {
            Self::Busy { .. } => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Busy { .. } => "busy",
            _ => "internal",
        }
    }

    fn retry_after(&self) -> Option<u64> {
        matches!(self, Self::Busy { .. }).then_some(5)
    }
}

impl Explain for PeopleError {
    fn status(&self) -> StatusCode {
        match self {
            Self::Store(error) => error.status(),
            Self::Faults(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::WrongLogin => StatusCode::UNAUTHORIZED,
            Self::Locked { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::Unknown(_) => StatusCode::NOT_FOUND,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::StaleLink => StatusCode::GONE,
            Self::LastAdministrator => StatusCode::CONFLICT,
            Self::Hash(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Store(error) => error.code(),
            Self::Faults(_) => "invalid",
            Self::WrongLogin => "wrong-login",
            Self::Locked { .. } => "locked",
            Self::Busy => "busy",
            Self::Unknown(_) => "not-found",
            Self::Forbidden(_) => "forbidden",
            Self::StaleLink => "stale-link",
            Self::LastAdministrator => "last-administrator",
            Self::Hash(_) => "internal",
        }
    }

    fn args(&self) -> Args {
        match self {
            Self::Locked { seconds } => vec![("seconds", (*seconds).into())],
            _ => Args::new(),
        }
    }

    fn faults(&self) -> Vec<FieldFault> {
        match self {
            Self::Faults(faults) => faults.iter().map(|f| FieldFault::new(f.field, f.code)).collect(),
            _ => Vec::new(),
        }
    }

    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Locked { seconds } => u64::try_from(*seconds).ok(),
            Self::Busy => Some(5),
            Self::Store(error) => error.retry_after(),
            _ => None,
        }
    }
}
