//! A whole service for a test: the real router on a loopback port, its own database (SQLite, or a
//! PostgreSQL server of its own when the environment says `SHUYU_TEST_DATABASE=postgres`), and a clock
//! that can be moved.
//!
//! ```ignore
//! let app = TestApp::start().await;
//! let alice = app.user("alice").await;
//! alice.get("/account").await.ok().has("alice");
//! ```

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use reqwest::header::{HeaderMap, HeaderName, HeaderValue, SET_COOKIE};
use reqwest::{Method, StatusCode};
use shuyu::cli::assembly;
use shuyu::clock::Clock;
use shuyu::config::{RateLimits, Settings};
use shuyu::people::{By, NewUser, Role};
use shuyu::web::limits::Limits;
use shuyu::web::{App, router, sandbox_router};
use tokio_util::sync::CancellationToken;

use super::leftovers;
use super::postgres::PostgresServer;

/// The password of every test user.
pub const PASSWORD: &str = "correct horse battery";

/// A running service.
pub struct TestApp {
    /// Its parts, to be asked directly.
    pub app: App,
    /// Its clock; `clock.shift(ms)` moves it.
    pub clock: Clock,
    /// Where it listens.
    pub address: SocketAddr,
    /// Its data directory, removed at the end.
    pub directory: tempfile::TempDir,
    serving: tokio::task::JoinHandle<()>,
    sandbox_port: Option<tokio::task::JoinHandle<()>>,
    live: tokio::task::JoinHandle<()>,
    keeping: Option<(CancellationToken, tokio::task::JoinHandle<()>)>,
    _postgres: Option<PostgresServer>,
}

impl TestApp {
    /// Starts a service with the default settings but no rate limits.
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// Starts a service after `change` changed its settings.
    pub async fn start_with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::start_as(change, false).await
    }

    /// Starts a service that holds sandboxes on a network without names: all on a port of their own.
    pub async fn start_on_lan() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap();
        let on_a_port = |settings: &mut Settings| {
            settings.sandboxes.host = String::new();
            settings.sandboxes.lan_listen = Some(port);
            settings.sandboxes.lan_url = format!("http://{port}");
        };
        let mut app = Self::start_as(on_a_port, true).await;
        let service = sandbox_router(app.app.clone()).into_make_service_with_connect_info::<SocketAddr>();
        let serving = async move { axum::serve(listener, service).await.unwrap() };
        app.sandbox_port = Some(tokio::spawn(serving));
        app
    }

    /// Starts a service that holds sandboxes. Needs root and the Docker engine.
    pub async fn start_keeping() -> Self {
        Self::start_keeping_with(|_| {}).await
    }

    /// The same after `change` changed its settings.
    pub async fn start_keeping_with(change: impl FnOnce(&mut Settings)) -> Self {
        let on_this_port = |settings: &mut Settings| {
            let port = settings.public_url.rsplit(':').next().unwrap();
            settings.sandboxes.host = format!("{{id}}.localhost:{port}");
            change(settings);
        };
        Self::start_as(on_this_port, true).await
    }

    async fn start_as(change: impl FnOnce(&mut Settings), keeps: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut settings = Settings::under(directory.path());
        settings.sandboxes.spares = 0;
        settings.public_url = format!("http://{address}");
        settings.limits =
            RateLimits { login: 0, registration: 0, upload: 0, api: 0, sandbox: 0, ..RateLimits::default() };
        let wanted = std::env::var("SHUYU_TEST_DATABASE").is_ok_and(|kind| kind == "postgres");
        let postgres = match wanted {
            true => Some(tokio::task::spawn_blocking(PostgresServer::start).await.unwrap()),
            false => None,
        };
        if let Some(server) = &postgres {
            settings.database = server.address();
        }
        change(&mut settings);

        let clock = Clock::movable();
        let house = assembly::house(&settings, clock.clone()).await.unwrap();
        let limits = Arc::new(Limits::new(&settings.limits, &house.clock));
        let (mut keeper, mut keeping) = (None, None);
        if keeps {
            let instance = assembly::instance_of(&settings).unwrap();
            let carrier = assembly::carrier(&settings, house.clone(), &instance).await.unwrap();
            keeper = assembly::keeper(&settings, &carrier, "test", &limits).await.unwrap();
            let stop = CancellationToken::new();
            let working = keeper.clone().map(|keeper| tokio::spawn(keeper.work(stop.clone())));
            keeping = working.map(|working| (stop, working));
        }
        let app = App::new(settings, house, Vec::new(), keeper, limits).unwrap();
        let service = router(app.clone()).into_make_service_with_connect_info::<SocketAddr>();
        let serving = tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
        let reading = app.live.clone();
        let live = tokio::spawn(async move { reading.run().await });
        Self {
            app,
            clock,
            address,
            directory,
            serving,
            sandbox_port: None,
            live,
            keeping,
            _postgres: postgres,
        }
    }

    /// Lets the keeper end what it has begun.
    pub async fn end_keeping(mut self) {
        if let Some((stop, working)) = self.keeping.take() {
            stop.cancel();
            working.await.unwrap();
        }
    }

    /// Somebody who is not logged in.
    pub fn visitor(&self) -> Browser {
        Browser::at(&format!("http://{}", self.address))
    }

    /// A new user without roles, logged in. Its password is [`PASSWORD`].
    pub async fn user(&self, login: &str) -> Browser {
        self.user_with(login, &[]).await
    }

    /// A new administrator, logged in.
    pub async fn admin(&self, login: &str) -> Browser {
        self.user_with(login, &[Role::Administrator]).await
    }

    /// A new user with roles in the whole installation, logged in.
    pub async fn user_with(&self, login: &str, roles: &[Role]) -> Browser {
        let new = NewUser {
            login: login.into(),
            name: format!("{login} 先生"),
            email: format!("{login}@example.cn"),
            password: PASSWORD.into(),
            organisation: String::new(),
            locale: "zh-CN".into(),
        };
        self.app.people.add_user(By::Machine, new, roles).await.unwrap();
        let browser = self.visitor();
        browser.log_in(login, PASSWORD).await.see_other("/");
        browser
    }

    /// Waits for what other tasks write, until `true`; fails after a minute.
    pub async fn until<F: Future<Output = bool>>(&self, mut condition: impl FnMut() -> F) {
        for _ in 0..3000 {
            if condition().await {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("what was waited for did not happen");
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.app.live.close();
        self.serving.abort();
        self.live.abort();
        if let Some(serving) = &self.sandbox_port {
            serving.abort();
        }
        if let Some((_, working)) = &self.keeping {
            working.abort();
        }
        if self.app.keeper.is_some() {
            leftovers::clear(&self.app.settings);
        }
    }
}

/// A browser with its cookies, or a program with its token. Redirects are not followed.
pub struct Browser {
    http: reqwest::Client,
    base: String,
    /// The cookies, by name.
    pub jar: Mutex<BTreeMap<String, String>>,
    bearer: Option<String>,
}

impl Browser {
    /// Somebody who is not logged in, at the service of this origin.
    pub fn at(base: &str) -> Self {
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .unwrap();
        Self { http, base: base.to_owned(), jar: Mutex::default(), bearer: None }
    }

    /// The same browser at another port of the host: it sends the same cookies there.
    pub fn on(&self, base: &str) -> Self {
        Self { base: base.to_owned(), ..self.copy() }
    }

    /// The same address asked by a program with a token, without cookies.
    pub fn program(&self, token: &str) -> Self {
        Self {
            http: self.http.clone(),
            base: self.base.clone(),
            jar: Mutex::default(),
            bearer: Some(token.into()),
        }
    }

    /// The origin it talks to.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// A program's token.
    pub fn bearer(&self) -> &str {
        self.bearer.as_deref().unwrap()
    }

    /// A copy with the same cookies.
    pub fn copy(&self) -> Self {
        let jar = Mutex::new(self.jar.lock().unwrap().clone());
        Self { http: self.http.clone(), base: self.base.clone(), jar, bearer: self.bearer.clone() }
    }

    /// `GET path`.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], |request| request).await
    }

    /// `GET path` with headers.
    pub async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(Method::GET, path, headers, |request| request).await
    }

    /// `POST path` with a form's fields, as this site's own page sends it.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let headers = [("origin", self.base.as_str()), ("sec-fetch-site", "same-origin")];
        self.post_with(path, fields, &headers).await
    }

    /// `POST path` with a form's fields and headers.
    pub async fn post_with(&self, path: &str, fields: &[(&str, &str)], headers: &[(&str, &str)]) -> Answer {
        self.send(Method::POST, path, headers, |request| request.form(fields)).await
    }

    /// `POST path` with a file and fields, as `multipart/form-data`.
    pub async fn upload(&self, path: &str, (name, file): (&str, Vec<u8>), fields: &[(&str, &str)]) -> Answer {
        let part = reqwest::multipart::Part::bytes(file).file_name(name.to_owned());
        let mut form = reqwest::multipart::Form::new();
        for (name, value) in fields {
            form = form.text((*name).to_owned(), (*value).to_owned());
        }
        let form = form.part("file", part);
        self.send(Method::POST, path, &[], |request| request.multipart(form)).await
    }

    /// Any request.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        fill: impl FnOnce(reqwest::RequestBuilder) -> reqwest::RequestBuilder,
    ) -> Answer {
        let response = fill(self.request(method, path, headers)).send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        self.keep(&headers);
        Answer { status, headers, body: response.text().await.unwrap() }
    }

    /// The bytes at a path, which has to answer 200.
    pub async fn download(&self, path: &str) -> Vec<u8> {
        let response = self.request(Method::GET, path, &[]).send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        response.bytes().await.unwrap().to_vec()
    }

    fn request(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> reqwest::RequestBuilder {
        let mut all = HeaderMap::new();
        for (name, value) in headers {
            all.insert(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
        }
        let cookies: Vec<_> =
            self.jar.lock().unwrap().iter().map(|(name, value)| format!("{name}={value}")).collect();
        if !cookies.is_empty() {
            all.insert("cookie", HeaderValue::from_str(&cookies.join("; ")).unwrap());
        }
        let mut request = self.http.request(method, format!("{}{path}", self.base)).headers(all);
        if let Some(token) = &self.bearer {
            request = request.bearer_auth(token);
        }
        request
    }

    fn keep(&self, headers: &HeaderMap) {
        let mut jar = self.jar.lock().unwrap();
        for line in headers.get_all(SET_COOKIE) {
            let line = line.to_str().unwrap();
            let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
            if line.contains("Max-Age=0") {
                jar.remove(name);
            } else {
                jar.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    /// Fills in the login form.
    pub async fn log_in(&self, login: &str, password: &str) -> Answer {
        self.post("/login", &[("login", login), ("password", password)]).await
    }

    /// Makes an API token on the account page.
    pub async fn token(&self, scope: &str) -> String {
        let page = self.post("/account/tokens", &[("name", "test"), ("scope", scope), ("days", "7")]).await;
        let at = page.body.find("shy_").expect("the page shows the token");
        page.body[at..at + 68].to_owned()
    }
}

/// An answer; the checks fail with the whole of it.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: String,
}

impl Answer {
    /// Status 200.
    #[track_caller]
    pub fn ok(self) -> Self {
        self.is(200)
    }

    /// That status.
    #[track_caller]
    pub fn is(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{self:#?}");
        self
    }

    /// A redirect after a form (303), or of an extractor, to that path.
    #[track_caller]
    pub fn see_other(self, path: &str) -> Self {
        assert_eq!((self.status.as_u16(), self.header("location")), (303, path), "{self:#?}");
        self
    }

    /// A body with that text.
    #[track_caller]
    pub fn has(self, text: &str) -> Self {
        assert!(self.body.contains(text), "{text:?} is not in {self:#?}");
        self
    }

    /// A body without that text.
    #[track_caller]
    pub fn lacks(self, text: &str) -> Self {
        assert!(!self.body.contains(text), "{text:?} is in {self:#?}");
        self
    }

    /// A header's value, or nothing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}
