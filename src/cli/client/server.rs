//! The server, and asking it.

use std::time::Duration;

use reqwest::header::{ACCEPT_LANGUAGE, HeaderMap, HeaderValue};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;

use super::credentials::Credentials;
use super::dto::Problem;
use super::{Common, Done, Failure};

/// The longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// The longest silence while something is read.
const SILENCE: Duration = Duration::from_secs(60);

/// A server, and the token it is asked with.
pub(super) struct Server {
    http: Client,
    base: String,
    token: Option<String>,
}

impl Server {
    /// The server that the command line, the environment or the last login names.
    pub fn of(common: &Common) -> Done<Self> {
        let kept = Credentials::load()?;
        let named = common.server.clone();
        let server = named.or_else(|| kept.as_ref().map(|kept| kept.server.clone()));
        let Some(server) = server else {
            let text = "no server is known: run `shuyu login --server URL --login NAME`, or set SHUYU_SERVER";
            return Err(Failure::Usage(text.to_owned()));
        };
        let base = address(&server)?;
        let token = std::env::var("SHUYU_TOKEN").ok().filter(|token| !token.is_empty());
        // a token is for the server that gave it, and for no other
        let token = token.or_else(|| kept.filter(|kept| kept.server == base).map(|kept| kept.token));
        Self::at(&base, token)
    }

    /// The server at an address.
    pub fn at(base: &str, token: Option<String>) -> Done<Self> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_LANGUAGE, HeaderValue::from_static(language()));
        let http = Client::builder()
            .user_agent(concat!("shuyu/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            .build()
            .map_err(|error| Failure::Local(error.into()))?;
        Ok(Self { http, base: base.to_owned(), token })
    }

    /// A request; `path` begins with a slash.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Sends a request; an answer that is no success is a failure.
    pub async fn send(&self, request: RequestBuilder) -> Done<Response> {
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let text = response.text().await.unwrap_or_default();
        match serde_json::from_str::<Problem>(&text) {
            Ok(problem) if !problem.title.is_empty() => Err(Failure::Refused(Box::new(problem))),
            _ if is_gateway(status) => Err(Failure::Unreachable(format!(
                "{} answers {status}: the service behind it does not run; try again later",
                self.base
            ))),
            _ => Err(Failure::Refused(Box::new(Problem {
                title: format!("{} answers {status}", self.base),
                mend: "is this the address of a Shuyu server?".to_owned(),
                ..Problem::default()
            }))),
        }
    }

    /// Asks for a document.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Done<T> {
        let response = self.send(self.request(Method::GET, path)).await?;
        self.document(response).await
    }

    /// Reads an answer's document.
    pub async fn document<T: DeserializeOwned>(&self, response: Response) -> Done<T> {
        let text = response.text().await.map_err(|error| self.unreachable(&error))?;
        serde_json::from_str(&text).map_err(|error| {
            Failure::Refused(Box::new(Problem {
                title: format!("{} answers something that this client cannot read: {error}", self.base),
                mend: "is this the address of a Shuyu server, and the client of about its age?".to_owned(),
                ..Problem::default()
            }))
        })
    }

    /// What to say when there was no answer.
    pub fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let mut cause: &dyn std::error::Error = error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        Failure::Unreachable(format!(
            "{} cannot be reached: {cause}; check the address and the network, then try again",
            self.base
        ))
    }
}

fn is_gateway(status: StatusCode) -> bool {
    matches!(status, StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT)
}

/// A server's address without a slash at its end.
pub(super) fn address(text: &str) -> Done<String> {
    let base = text.trim().trim_end_matches('/');
    match base.starts_with("http://") || base.starts_with("https://") {
        true => Ok(base.to_owned()),
        false => Err(Failure::Usage(format!("{text:?} is no server's address: give http://… or https://…"))),
    }
}

/// The language that errors are asked for in: that of the terminal.
fn language() -> &'static str {
    let set = ["LC_ALL", "LC_MESSAGES", "LANG"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    match set.is_some_and(|value| value.starts_with("zh")) {
        true => "zh-CN",
        false => "en",
    }
}
