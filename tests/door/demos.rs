//! Apps that people try: who may, at which origin, and what such an app can do to whoever looks at it.

use std::fs;
use std::io::Write as _;

use reqwest::Method;
use reqwest::multipart::Form;
use serde_json::json;
use shuyu::demo::db;
use shuyu::demo::model::{Demo, State};
use shuyu::ids::SubmissionId;
use shuyu::people::Role;

use super::client::Guest;
use super::scene::{Person, at_the_door, participant};
use super::support::{Browser, PASSWORD, TestApp, leftovers};

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
    stage_with("").await.0
}

/// The same with more in the bundle, and its organizer.
async fn stage_with(more: &str) -> (TestApp, Browser) {
    let app = TestApp::start_keeping().await;
    let organizer = app.user_with("org", &[Role::Organizer]).await;
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("probes")).unwrap();
    let files = [
        (
            "competition.yaml",
            "version: 2\ntitle: Apps\nimage: logo.png\nterms: terms.md\ndocker_image: shuyu/python:latest\n\
          registration_auto_approve: true\npages: [{title: Overview, file: page.md}]\ntasks: [{index: 0, name: app}]\n\
          phases: [{index: 0, name: P, start: '2020-01-01', end: '2039-12-31', tasks: [0]}]\n\
          leaderboards: [{title: B, key: main, columns: [{title: W, key: pass_rate, index: 0, sorting: desc}]}]\n\
          shuyu: {tasks: {0: {probes: probes/*.yaml}}MORE}\n",
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
        fs::write(root.path().join(path), text.replace("MORE", more)).unwrap();
    }
    app.import_from(root.path(), "apps", "org").await;
    (app, organizer)
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
    db::latest(&mut app.app.db.read().await.unwrap(), id, None).await.unwrap()
}

/// Waits until the newest demo stands there.
async fn until(app: &TestApp, id: SubmissionId, state: State) -> Demo {
    app.until(|| async { latest(app, id).await.is_some_and(|demo| demo.state == state) }).await;
    latest(app, id).await.unwrap()
}

/// Goes into an app that is ready.
async fn go_in(app: &TestApp, browser: &Browser, id: SubmissionId) -> Guest {
    let demo = latest(app, id).await.unwrap();
    go_in_from(app, browser, (&address(id), &demo)).await
}

/// Goes into an app that is ready, from the page of this address.
async fn go_in_from(app: &TestApp, browser: &Browser, (page, demo): (&str, &Demo)) -> Guest {
    let sent = browser.post(&format!("{page}/enter"), &[]).await.is(303);
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
    let proxied =
        [("Authorization", "Basic abc"), ("X-Forwarded-For", "192.0.2.7"), ("Forwarded", "for=192.0.2.7")];
    let said = own.ask("GET /page?a=1", &proxied, "").await.is(200);
    assert!(!said.body.contains("192.0.2.7"), "who asks is nothing for an app: {}", said.body);
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
    let anybody = app.visitor();
    anybody.get(&address(id)).await.is(303);
    anybody.get("/competitions/apps").await.ok().lacks("/demo");
    anybody.get("/competitions/apps/showcase").await.is(404);
    // long after the end
    app.clock.shift(20 * 366 * 86_400_000);
    // who is not signed in finds it, and is asked to sign in where they start it
    for page in ["/competitions/apps", "/competitions/apps/showcase"] {
        anybody.get(page).await.ok().has(&address(id)).has("alice").has("/showcase\"").has("登录后即可启动");
    }
    anybody.get(&address(id)).await.is(303);
    let (alice, visitor) = (app.user("alice2").await, app.user("visitor2").await);
    alice.get(&address(id)).await.ok();
    visitor.get(&address(id)).await.ok().lacks("/demo/visitors");
    visitor.post(&format!("{}/visitors", address(id)), &[("on", "no")]).await.is(403);
    visitor.post(&format!("{}/open", address(id)), &[]).await.is(303);
    until(&app, id, State::Ready).await;
    go_in(&app, &visitor, id).await.get("/").await.is(200);
    visitor.get("/competitions/apps/showcase").await.ok().has(&address(id)).lacks("登录后即可启动");
    // nobody looks at it any more
    app.clock.shift(16 * 60_000);
    assert_eq!(until(&app, id, State::Stopped).await.reason, "idle");
    app.until(|| async { leftovers::containers(&app.app.settings).is_empty() }).await;
    // closed to visitors again it is nowhere to be found; the competition's other pages are as before
    let again = app.visitor();
    again.log_in("alice", PASSWORD).await.is(303);
    again.post(&format!("{}/visitors", address(id)), &[("on", "no")]).await.is(303);
    app.visitor().get("/competitions/apps").await.ok().lacks("/demo").lacks("/showcase\"");
    app.visitor().get("/competitions/apps/showcase").await.ok().has("还没有对访客开放的应用").lacks("/demo");
    visitor.get(&address(id)).await.is(404);
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
    // the engine lists one for a moment that it is removing
    app.until(|| async { leftovers::containers(&app.app.settings).is_empty() }).await;
    app.end_keeping().await;
}

/// A rubric, and nothing else about entries.
const JUDGED: &str =
    ", judging: {rubric: {criteria: [{key: use, title: Use, weight: 1}]}, judges_per_entry: 2}";
const JUDGING: &str = "/competitions/apps/judging";
const PANEL: &str = "/competitions/apps/desk/judging/main";

/// Writes an entry about a submission and hands it in; gives its number.
async fn entry_about(app: &TestApp, team: &Browser, id: SubmissionId) -> i64 {
    let page = team.get("/competitions/apps/entry").await.ok();
    let seen =
        page.body.split("name=\"seen\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let form = Form::new().text("title", "晚点问答").text("summary", "查询晚点").text("seen", seen);
    let form = form.text("submission", id.to_string()).text("do", "submit");
    team.send(Method::POST, "/competitions/apps/entry/save", &[], |r| r.multipart(form)).await.is(303);
    let mut conn = app.app.db.read().await.unwrap();
    let contest = shuyu::contest::db::by_slug(&mut conn, "apps").await.unwrap().unwrap();
    let entries = shuyu::judging::entries::submitted(&mut conn, contest.id).await.unwrap();
    entries.first().unwrap().number
}

/// Somebody new whom the organizer asks to judge; whether they accept.
async fn judge(app: &TestApp, organizer: &Browser, (login, chair, accepts): (&str, &str, bool)) -> Browser {
    let judge = app.user(login).await;
    organizer.post(&format!("{PANEL}/appoint"), &[("login", login), ("chair", chair)]).await.is(303);
    if accepts {
        let page = judge.get("/judging").await.ok();
        let at = page.body.find("/judging/panels/").unwrap();
        let panel = format!("{JUDGING}/panels/{}", &page.body[at + 16..at + 52]);
        judge.post(&panel, &[("state", "accepted"), ("reason", "")]).await.is(303);
    }
    judge
}

/// A judge's own app, ready.
async fn judged_ready(app: &TestApp, id: SubmissionId, login: &str) -> Demo {
    let user = app.id_of(login).await;
    let own = || async {
        let mut conn = app.app.db.read().await.unwrap();
        db::latest(&mut conn, id, Some(user)).await.unwrap().filter(|demo| demo.state == State::Ready)
    };
    app.until(|| async { own().await.is_some() }).await;
    own().await.unwrap()
}

#[tokio::test]
async fn judges_try_an_app_blind_and_each_alone_while_it_is_theirs_to_mark() {
    let (app, organizer) = stage_with(JUDGED).await;
    let alice = participant(&app, "alice", "apps").await;
    let id = handed_in(&app, &alice, APP).await;
    let number = entry_about(&app, &alice.browser, id).await;
    // the team sees what the judges will find
    alice
        .browser
        .get("/competitions/apps/entry/preview")
        .await
        .ok()
        .has(&address(id))
        .has("评委在这里会看到");
    let jia = judge(&app, &organizer, ("jia", "yes", true)).await;
    let yin = judge(&app, &organizer, ("yin", "", true)).await;
    let asked = judge(&app, &organizer, ("bing", "", false)).await;
    let (page, sheet) = (format!("{JUDGING}/{number}/app"), format!("{JUDGING}/{number}"));
    jia.get(&page).await.is(404);
    organizer.post(&format!("{PANEL}/open"), &[]).await.is(303);

    // the way there tells neither whose it is nor which submission
    for shown in [jia.get(&sheet).await.ok(), jia.get(&page).await.ok()] {
        shown.has(&page).lacks("alice").lacks(&id.to_string()).lacks("app.zip");
    }
    for stranger in [&asked, &alice.browser, &organizer] {
        stranger.get(&page).await.is(404);
        stranger.post(&format!("{page}/open"), &[]).await.is(404);
    }
    // nor is the team's own page for a judge
    jia.get(&address(id)).await.is(404);
    jia.post(&format!("{page}/open"), &[]).await.is(303);
    let first = judged_ready(&app, id, "jia").await;
    let shown = jia.get(&page).await.ok();
    shown.has(&format!("{page}/enter")).lacks("alice").lacks(&id.to_string());
    let guest = go_in_from(&app, &jia, (&page, &first)).await;
    guest.get("/").await.is(200);

    // it is nobody else's: neither the team's nor another judge's
    assert!(latest(&app, id).await.is_none());
    alice.browser.get(&address(id)).await.ok().has("/demo/open").lacks("/demo/enter");
    yin.get(&page).await.ok().has(&format!("{page}/open"));
    yin.post(&format!("{page}/open"), &[]).await.is(303);
    let second = judged_ready(&app, id, "yin").await;
    assert_ne!(first.id, second.id);
    let other = go_in_from(&app, &yin, (&page, &second)).await;
    let crossed = Guest { cookies: guest.cookies.clone(), ..at_the_door(&app, second.id) };
    crossed.get("/").await.is(401);

    // who declares a conflict is out at once, with what was open
    yin.post(&format!("{sheet}/conflict"), &[("reason", "同事")]).await.is(303);
    other.get("/").await.is(401);
    yin.get(&page).await.is(404);
    guest.get("/").await.is(200);
    jia.post(&format!("{PANEL}/close"), &[]).await.is(303);
    guest.get("/").await.is(401);
    jia.get(&page).await.is(403).has("现在不能试用这个应用");
    jia.get(&sheet).await.ok().lacks(&page);
    app.end_keeping().await;
}

#[tokio::test]
async fn an_app_that_cannot_be_started_is_told_to_its_judge() {
    let (app, organizer) = stage_with(JUDGED).await;
    let alice = participant(&app, "alice", "apps").await;
    let id = handed_in(&app, &alice, APP).await;
    let number = entry_about(&app, &alice.browser, id).await;
    let jia = judge(&app, &organizer, ("jia", "yes", true)).await;
    organizer.post(&format!("{PANEL}/open"), &[]).await.is(303);
    let (page, sheet) = (format!("{JUDGING}/{number}/app"), format!("{JUDGING}/{number}"));
    jia.get(&page).await.ok();
    let mut tx = app.app.db.begin().await.unwrap();
    sqlx::query("UPDATE submissions SET object_key = ''").execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    jia.get(&sheet).await.ok().has("文件已不保存").lacks(&page);
    jia.get(&page).await.is(410).has("应用已无法启动").lacks("alice");
    jia.post(&format!("{page}/open"), &[]).await.is(410);
    app.end_keeping().await;
}

#[tokio::test]
async fn what_came_of_public_probes_is_told_to_team_and_organizer() {
    let (app, organizer) = stage_with("").await;
    let alice = participant(&app, "alice", "apps").await;
    let bob = participant(&app, "bob", "apps").await;
    let id = handed_in(&app, &alice, APP).await;
    let desk = format!("/competitions/apps/desk/submissions/{id}");
    let page = organizer.get(&desk).await.ok().has("公开检测项").has("home").has("GET /").has(&address(id));
    let at = page.body.find("/probes/").unwrap();
    let report = &page.body[at..at + 8 + 36];
    let taken = organizer.get(&format!("{desk}{report}")).await.ok().json();
    assert_eq!((taken["probes"][0]["name"].as_str(), taken["hidden"].as_u64()), (Some("home"), Some(0)));
    alice.browser.get(&format!("{desk}{report}")).await.is(403);
    organizer.get(&format!("{desk}/probes/{id}")).await.is(404);

    let own = format!("/api/v1/submissions/{id}/probes");
    for (browser, scope) in [(&alice.browser, "submit"), (&organizer, "organize")] {
        let told = browser.program(&browser.token(scope).await).get(&own).await.ok().json();
        let run = &told["runs"][0];
        assert_eq!((run["task"].as_i64(), run["purpose"].as_str()), (Some(0), Some("score")), "{told}");
        assert_eq!(run["probes"], taken["probes"]);
        assert_eq!(run["probes"][0]["steps"][0]["unmet"], json!([]));
    }
    bob.browser.program(&bob.browser.token("submit").await).get(&own).await.is(404);
    app.end_keeping().await;
}
