//! A service with competitions that offer sandboxes, its people, and their open sandboxes.

use std::process::{Command, Output};

use shuyu::ids::SandboxId;
use shuyu::lab::db;
use shuyu::lab::model::{Sandbox, State};
use shuyu::people::Role;

use super::client::Guest;
use super::support::{Browser, TestApp, Wanted, leftovers};

pub const AUTO: Wanted = Wanted { top: "registration_auto_approve: true", phase: "", board: "" };

/// A service with the competition `small`, whose sandboxes have little homes.
pub async fn scene() -> TestApp {
    let app = TestApp::start_keeping().await;
    offer(&app, "small", "python").await;
    app
}

/// Adds a competition that offers sandboxes of an image.
pub async fn offer(app: &TestApp, slug: &str, image: &str) {
    if app.app.people.user_named(shuyu::people::By::Machine, "org").await.is_err() {
        app.user_with("org", &[Role::Organizer]).await;
    }
    let sandbox = format!("{{image: {image}, memory: 1GiB, disk: 128MiB}}");
    app.import_offering(&sandbox, &AUTO, slug, "org").await;
}

/// Somebody new who takes part.
pub async fn participant(app: &TestApp, login: &str, slug: &str) -> Person {
    let browser = app.user(login).await;
    enter(&browser, slug).await;
    Person { login: login.to_owned(), slug: slug.to_owned(), browser }
}

pub async fn enter(browser: &Browser, slug: &str) {
    let rules = browser.get(&format!("/competitions/{slug}/rules")).await.ok().body;
    let terms = rules.split("name=\"terms\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    let fields = [("terms", terms), ("accept", "yes")];
    browser.post(&format!("/competitions/{slug}/register"), &fields).await.is(303);
}

/// A participant on the main site.
pub struct Person {
    pub login: String,
    pub slug: String,
    pub browser: Browser,
}

impl Person {
    pub fn page(&self) -> String {
        format!("/competitions/{}/sandbox", self.slug)
    }

    /// Presses a button of the sandbox's page.
    pub async fn press(&self, button: &str) {
        self.browser.post(&format!("{}/{button}", self.page()), &[]).await.is(303);
    }

    /// Where the newest sandbox stands.
    pub async fn sandbox(&self, app: &TestApp) -> Sandbox {
        let user = app.id_of(&self.login).await;
        let mut conn = app.app.db.read().await.unwrap();
        let contest = shuyu::contest::db::by_slug(&mut conn, &self.slug).await.unwrap().unwrap();
        db::latest(&mut conn, contest.id, user).await.unwrap().expect("one was asked for")
    }

    /// Waits until the newest sandbox stands there.
    pub async fn until(&self, app: &TestApp, state: State) -> Sandbox {
        let end = std::time::Instant::now() + std::time::Duration::from_secs(150);
        loop {
            let now = self.sandbox(app).await;
            if now.state == state {
                return now;
            }
            let gone = now.state.is_over() && !state.is_over();
            assert!(!gone && std::time::Instant::now() < end, "{state} does not come: {now:?}");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    /// Opens a sandbox, waits until it can be used, and goes in.
    pub async fn open(&self, app: &TestApp) -> Inside {
        self.press("open").await;
        let sandbox = self.until(app, State::Ready).await;
        self.go_in(app, sandbox.id).await
    }

    /// Goes into a sandbox that is open.
    pub async fn go_in(&self, app: &TestApp, id: SandboxId) -> Inside {
        let mut guest = at_the_door(app, id);
        let entered = guest.get(&self.ticket(app, id).await).await.is(303);
        let visit = entered.cookie("shuyu_sandbox").expect("a visit");
        guest.cookies = format!("shuyu_sandbox={visit}");
        Inside { id, guest, container: container(app, id) }
    }

    /// The path, with a fresh ticket, that opens a sandbox.
    pub async fn ticket(&self, app: &TestApp, id: SandboxId) -> String {
        let sent = self.browser.post(&format!("{}/enter", self.page()), &[]).await.is(303);
        let host = format!("http://{}", at_the_door(app, id).host);
        sent.header("location").strip_prefix(&host).expect("to the sandbox's own origin").to_owned()
    }
}

/// Somebody at a sandbox's own origin, without a cookie.
pub fn at_the_door(app: &TestApp, id: SandboxId) -> Guest {
    let host = format!("{id}.localhost:{}", app.address.port());
    Guest { address: app.address, host, cookies: String::new() }
}

/// A sandbox's container: the one whose lab was started with its token.
fn container(app: &TestApp, id: SandboxId) -> String {
    let token = app.app.keeper.as_ref().unwrap().way_in(id).expect("it is open").token;
    let knows = |container: &String| {
        let environment = docker(&["inspect", "-f", "{{.Config.Env}}", container]).stdout;
        String::from_utf8_lossy(&environment).contains(&token)
    };
    leftovers::containers(&app.app.settings).into_iter().find(knows).expect("its container")
}

pub fn docker(words: &[&str]) -> Output {
    Command::new("docker").args(words).output().unwrap()
}

/// A sandbox that is open, and its owner's visit.
pub struct Inside {
    pub id: SandboxId,
    pub guest: Guest,
    pub container: String,
}

impl Inside {
    /// Runs a shell's command in it, as its participant; it must end well.
    pub async fn sh(&self, command: &str) -> String {
        let words = ["exec", "-w", "/home/participant", &self.container, "sh", "-c", command];
        let words = words.map(str::to_owned);
        let done = tokio::task::spawn_blocking(move || Command::new("docker").args(words).output().unwrap());
        let done = done.await.unwrap();
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        assert!(done.status.success(), "{command}: {said}{}", String::from_utf8_lossy(&done.stderr));
        said
    }
}
