//! An app with evil in mind, tried live in a real Chromium by somebody who is logged in on the main site.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use fantoccini::Locator;
use serde_json::Value;
use shuyu::people::Role;

use super::lab::{PATIENCE, Service, reaches, until};
use super::support::chromium::{Chromium, DESK};
use super::support::{PASSWORD, TestApp};

const APPS: &str = "/competitions/apps";

/// Serves a page that reaches for the main site, with every header that could help it.
const APP: &str = r#"
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SCRIPT = (Path(__file__).parent / "attack.js").read_bytes()
PAGE = b"<!doctype html><html><title>app</title><body><p>an app</p><script src='/attack.js'></script></body></html>"

class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        kind, body = ("text/javascript", SCRIPT) if self.path.endswith(".js") else ("text/html", PAGE)
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Service-Worker-Allowed", "/")
        self.send_header("Clear-Site-Data", '"*"')
        self.send_header("Set-Cookie", "shuyu_session=forged; Domain=localhost; Path=/")
        self.send_header("Set-Cookie", "shuyu_session=forged; Domain=127.0.0.1; Path=/")
        self.send_header("Content-Security-Policy", "default-src * 'unsafe-inline'; frame-ancestors *")
        self.send_header("Cross-Origin-Opener-Policy", "unsafe-none")
        self.end_headers()
        self.wfile.write(body)

ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Answer).serve_forever()
"#;

fn packed(script: &str) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let manifest = "command: python3 $program/app.py\nport: 8000\n";
    for (name, text) in [("app.yaml", manifest), ("app.py", APP), ("attack.js", script)] {
        zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// A competition that takes apps.
async fn import(app: &TestApp) {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("probes")).unwrap();
    let files = [
        (
            "competition.yaml",
            "version: 2\ntitle: Apps\nimage: logo.png\nterms: terms.md\ndocker_image: shuyu/python:latest\n\
             registration_auto_approve: true\npages: [{title: Overview, file: page.md}]\ntasks: [{index: 0, name: app}]\n\
             phases: [{index: 0, name: P, start: '2020-01-01', tasks: [0]}]\n\
             leaderboards: [{title: B, key: main, columns: [{title: W, key: pass_rate, index: 0, sorting: desc}]}]\n\
             shuyu: {tasks: {0: {probes: probes/p.yaml}}}\n",
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
}

/// What the app's page tries beside what a notebook tries: a service worker, a page of its own around the main
/// site, and to be framed by a page elsewhere.
fn attack(base: &str) -> String {
    let more = "note('worker', () => navigator.serviceWorker.register('/attack.js', {scope: '/'}).then(() => 'registered')),\n  \
                note('opened', () => { const w = window.open(base + '/account'); return w && w.document.body && w.document.body.innerText; }),\n  \
                note('form', () => new Promise(good => { const f = document.createElement('form'); f.method = 'post'; \
                f.action = base + '/logout'; f.target = 'elsewhere'; document.body.append(f); f.submit(); setTimeout(good, 500); })),\n  \
                note('message',";
    reaches(base, "/logout").replace("note('message',", more)
}

/// Presses the button of a form; the live page draws it anew now and then.
async fn press(page: &Chromium, act: &str) {
    let css = format!("form[action$='/demo/{act}'] button");
    let begun = Instant::now();
    loop {
        if let Ok(button) = page.client.find(Locator::Css(&css)).await
            && button.click().await.is_ok()
        {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "no button to {act}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn an_app_reaches_nothing_of_whoever_tries_it() {
    let app = TestApp::start().await;
    app.user_with("org", &[Role::Organizer]).await;
    import(&app).await;
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut service = Service::start(&app, port).await;
    let mallory = app.user("mallory").await;
    let rules = mallory.get(&format!("{APPS}/rules")).await.ok();
    let terms = rules.body.split("name=\"terms\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    mallory.post(&format!("{APPS}/register"), &[("terms", terms), ("accept", "yes")]).await.is(303);
    let sent = mallory
        .upload(&format!("{APPS}/upload"), ("app.zip", packed(&attack(&service.base()))), &[("phase", "0")])
        .await;
    let submission = sent.is(303).header("location").split('?').next().unwrap().to_owned();

    // the organizer, whose session could do most, tries the app
    let page = Chromium::open(&service.base(), DESK).await;
    page.log_in("org", PASSWORD).await;
    let begun = Instant::now();
    loop {
        page.go(&format!("{submission}/demo")).await;
        if page.client.source().await.unwrap().contains("启动应用") {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "it cannot be tried");
    }
    press(&page, "open").await;
    let main = page.client.window().await.unwrap();
    press(&page, "enter").await;
    let begun = Instant::now();
    let tab = loop {
        let windows = page.client.windows().await.unwrap();
        if let Some(other) = windows.into_iter().find(|window| *window != main) {
            break other;
        }
        assert!(begun.elapsed() < PATIENCE, "no new tab");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    page.client.switch_to_window(tab).await.unwrap();
    let tried = until(&page, "the script", "return document.body.dataset.tried").await;
    let tried: Value = serde_json::from_str(tried.as_str().unwrap()).unwrap();
    assert_eq!(tried.as_object().unwrap().len(), 15, "{tried}");
    let reached =
        tried.as_object().unwrap().values().any(|told| told.as_str().unwrap().starts_with("reached"));
    assert!(!reached, "{tried}");
    for refused in ["fetch", "post", "api", "xhr", "script", "blind", "worker"] {
        assert!(tried[refused].as_str().unwrap().starts_with("failed"), "{refused}: {tried}");
    }

    // whoever tried it is logged in still, and stops it
    page.client.switch_to_window(main).await.unwrap();
    page.go("/account").await;
    page.shows("org").await;
    page.go(&format!("{submission}/demo")).await;
    press(&page, "close").await;
    page.close().await;
    service.stop().await;
}
