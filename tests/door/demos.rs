//! Apps that people try: who may, at which origin, and what such an app can do to whoever looks at it.

use std::fs;
use std::io::Write as _;

use shuyu::demo::db;
use shuyu::demo::model::{Demo, State};
use shuyu::ids::SubmissionId;
use shuyu::people::Role;

use super::client::Guest;
use super::scene::{Person, at_the_door, participant};
use super::support::{Browser, TestApp, leftovers};

/// Tells what it was asked with, and says a good deal that it has no business to say.
const APP: &str = r#"
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        body = f"asked {self.path} with {self.headers}".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Set-Cookie", "shuyu_session=forged; Path=/")
        self.send_header("Set-Cookie", "own=1")
        self.send_header("Content-Security-Policy", "frame-ancestors *")
        self.send_header("Cross-Origin-Opener-Policy", "unsafe-none")
        self.end_headers()
        self.wfile.write(body)
    do_POST = do_GET

ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Answer).serve_forever()
"#;

fn packed(code: &str) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let manifest = "command: python3 $program/app.py\nport: 8000\nstart_timeout: 5s\n";
    for (name, text) in [("app.yaml", manifest), ("app.py", code)] {
        zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// A service with a competition of apps, which ends in 2039.
async fn stage() -> TestApp {
    let app = TestApp::start_keeping().await;
    app.user_with("org", &[Role::Organizer]).await;
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("probes")).unwrap();
    let files = [
        (
            "competition.yaml",
            "version: 2\ntitle: Apps\nimage: logo.png\nterms: terms.md\ndocker_image: shuyu/python:latest\n\
          registration_auto_approve: true\npages: [{title: Overview, file: page.md}]\ntasks: [{index: 0, name: app}]\n\
          phases: [{index: 0, name: P, start: '2020-01-01', end: '2039-12-31', tasks: [0]}]\n\
          leaderboards: [{title: B, key: main, columns: [{title: W, key: pass_rate, index: 0, sorting: desc}]}]\n\
          shuyu: {tasks: {0: {probes: probes/*.yaml}}}\n",
        ),
        ("logo.png", "\u{89}PNG"),
        ("terms.md", "Be kind."),
        ("page.md", "# Apps"),
        (
            "probes/p.yaml",
            "visibility: public\nprobes: [{name: home, request: GET /, expect: {status: 200}}]\n",
        ),
    ];
    for (path, text) in files {
        fs::write(root.path().join(path), text).unwrap();
    }
    app.import_from(root.path(), "apps", "org").await;
    app
}

/// Hands an app in and has it scored.
async fn handed_in(app: &TestApp, person: &Person, code: &str) -> SubmissionId {
    let sent = person
        .browser
        .upload("/competitions/apps/upload", ("app.zip", packed(code)), &[("phase", "0")])
        .await;
    let location = sent.is(303).header("location").to_owned();
    let id: SubmissionId = location.rsplit('/').next().unwrap().split('?').next().unwrap().parse().unwrap();
    let worker = app.worker().await;
    app.until(|| async {
        let mut conn = app.app.db.read().await.unwrap();
        shuyu::submission::db::by_id(&mut conn, id).await.unwrap().unwrap().state.is_final()
    })
    .await;
    worker.end().await;
    id
}

fn address(id: SubmissionId) -> String {
    format!("/competitions/apps/submissions/{id}/demo")
}

async fn latest(app: &TestApp, id: SubmissionId) -> Option<Demo> {
    db::latest(&mut app.app.db.read().await.unwrap(), id).await.unwrap()
}

/// Waits until the newest demo stands there.
async fn until(app: &TestApp, id: SubmissionId, state: State) -> Demo {
    app.until(|| async { latest(app, id).await.is_some_and(|demo| demo.state == state) }).await;
    latest(app, id).await.unwrap()
}

/// Goes into an app that is ready.
async fn go_in(app: &TestApp, browser: &Browser, id: SubmissionId) -> Guest {
    let demo = latest(app, id).await.unwrap();
    let sent = browser.post(&format!("{}/enter", address(id)), &[]).await.is(303);
    let mut guest = at_the_door(app, demo.id);
    let ticket = sent.header("location").strip_prefix(&guest.origin()).expect("to its own origin").to_owned();
    let visit = guest.get(&ticket).await.is(303).cookie("shuyu_sandbox").expect("a visit");
    guest.get(&ticket).await.is(401);
    guest.cookies = format!("shuyu_sandbox={visit}");
    guest
}

#[tokio::test]
async fn a_team_tries_its_app_at_an_origin_of_its_own() {
    let app = stage().await;
    let alice = participant(&app, "alice", "apps").await;
    let bob = participant(&app, "bob", "apps").await;
    let id = handed_in(&app, &alice, APP).await;
    alice.browser.get(&address(id)).await.ok().has("/demo/open").lacks("/demo/enter");
    bob.browser.get(&address(id)).await.is(404);
    bob.browser.post(&format!("{}/open", address(id)), &[]).await.is(404);

    alice.browser.post(&format!("{}/open", address(id)), &[]).await.is(303);
    let demo = until(&app, id, State::Ready).await;
    alice.browser.get(&address(id)).await.ok().has("/demo/enter");
    // asked for again it is the same
    alice.browser.post(&format!("{}/open", address(id)), &[]).await.is(303);
    assert_eq!(latest(&app, id).await.unwrap().id, demo.id);
    let guest = go_in(&app, &alice.browser, id).await;
    let own = Guest {
        cookies: format!("{}; own=1; shuyu_session=abc", guest.cookies),
        ..at_the_door(&app, demo.id)
    };
    let said = own.ask("GET /page?a=1", &[("Authorization", "Basic abc")], "").await.is(200);
    assert!(said.body.starts_with("asked /page?a=1") && said.body.contains("own=1"), "{}", said.body);
    // neither our cookies nor the browser's credentials reach it
    assert!(
        !said.body.contains("shuyu") && !said.body.to_lowercase().contains("authorization"),
        "{}",
        said.body
    );
    let head = said.head.to_lowercase();
    assert!(head.contains("own=1") && !head.contains("forged"), "{head}");
    for ours in [
        "frame-ancestors 'none'",
        "connect-src 'self'",
        "form-action 'self'",
        "cross-origin-opener-policy: same-origin",
        "referrer-policy: no-referrer",
    ] {
        assert!(head.contains(ours), "{ours} is not in {head}");
    }
    assert!(!head.contains("unsafe-none"), "{head}");
    // nothing of ours lies below it, no worker of its own outlives it, and only its own pages change anything
    guest.get("/shuyu/state").await.is(404);
    guest.ask("GET /worker.js", &[("Service-Worker", "script")], "").await.is(403);
    guest.ask("POST /", &[("Origin", "http://evil.example")], "").await.is(403);
    guest.ask("POST /", &[], "").await.is(403);
    guest.ask("GET /", &[("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "no-cors")], "").await.is(403);
    guest.change("POST /", "").await.is(200);
    at_the_door(&app, demo.id).get("/").await.is(401);

    alice.browser.post(&format!("{}/close", address(id)), &[]).await.is(303);
    assert_eq!(until(&app, id, State::Stopped).await.reason, "asked");
    guest.get("/").await.is(401);
    app.until(|| async { leftovers::containers(&app.app.settings).is_empty() }).await;
    let shown = { latest(&app, id).await.unwrap() };
    assert!(shown.active_at.is_some());
    app.end_keeping().await;
}

#[tokio::test]
async fn visitors_come_after_the_end_where_the_team_lets_them() {
    let app = stage().await;
    let alice = participant(&app, "alice", "apps").await;
    let id = handed_in(&app, &alice, APP).await;
    let visitor = app.user("visitor").await;
    alice.browser.post(&format!("{}/visitors", address(id)), &[("on", "yes")]).await.is(303);
    visitor.get(&address(id)).await.is(404);
    let organizer = app.visitor();
    organizer.get(&address(id)).await.is(303);
    // long after the end
    app.clock.shift(20 * 366 * 86_400_000);
    let (alice, visitor) = (app.user("alice2").await, app.user("visitor2").await);
    alice.get(&address(id)).await.ok();
    visitor.get(&address(id)).await.ok().lacks("/demo/visitors");
    visitor.post(&format!("{}/visitors", address(id)), &[("on", "no")]).await.is(403);
    visitor.post(&format!("{}/open", address(id)), &[]).await.is(303);
    until(&app, id, State::Ready).await;
    go_in(&app, &visitor, id).await.get("/").await.is(200);
    // nobody looks at it any more
    app.clock.shift(16 * 60_000);
    assert_eq!(until(&app, id, State::Stopped).await.reason, "idle");
    app.until(|| async { leftovers::containers(&app.app.settings).is_empty() }).await;
    app.end_keeping().await;
}

#[tokio::test]
async fn an_app_that_does_not_start_says_why_to_its_team() {
    let app = stage().await;
    let alice = participant(&app, "alice", "apps").await;
    let id = handed_in(&app, &alice, "print('no port, sorry')\nraise SystemExit(3)").await;
    alice.browser.post(&format!("{}/open", address(id)), &[]).await.is(303);
    let demo = until(&app, id, State::Failed).await;
    assert_eq!(demo.reason, "app-not-up");
    alice.browser.get(&address(id)).await.ok().has("no port, sorry").has("/demo/open");
    assert_eq!(leftovers::containers(&app.app.settings), Vec::<String>::new());
    app.end_keeping().await;
}
