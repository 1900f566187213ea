//! The pages in a real Chromium: the main path by keyboard alone on a telephone, without scripts, and
//! every main page at both widths, light and dark, checked by axe.

#![allow(clippy::unwrap_used, clippy::panic, reason = "the steps that tests share fail like tests")]

#[path = "browser/demo.rs"]
mod demo;
#[path = "browser/entries.rs"]
mod entries;
#[path = "browser/judging.rs"]
mod judging;
#[path = "browser/lab.rs"]
mod lab;
mod support;

use std::path::PathBuf;

use shuyu::people::Role;
use support::chromium::{Chromium, DESK, PHONE, Window};
use support::wheels::wheel;
use support::{PASSWORD, TestApp, Wanted, leftovers, predictions};

const AUTO: Wanted = Wanted { top: "registration_auto_approve: true", phase: "", board: "" };
const C: &str = "/competitions/small";

async fn scene() -> TestApp {
    let app = TestApp::start().await;
    app.user_with("org", &[Role::Organizer]).await;
    app.import(&AUTO, "small", "org").await;
    app.user("alice").await;
    app
}

fn base(app: &TestApp) -> String {
    format!("http://{}", app.address)
}

/// A file of predictions on disk, as a person chooses one.
fn file(app: &TestApp, name: &str, content: &[u8]) -> String {
    let path: PathBuf = app.directory.path().join(name);
    std::fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Accepts the terms by the form, as each test needs before it submits.
async fn take_part(page: &Chromium) {
    page.go(&format!("{C}/rules")).await;
    page.click("main input[type=checkbox]").await;
    page.click("main form button").await;
    page.find("main input[type=file]").await;
}

#[tokio::test]
async fn the_main_path_by_keyboard_alone_on_a_telephone() {
    let app = scene().await;
    let worker = app.worker().await;
    let page = Chromium::open(&base(&app), PHONE).await;

    page.go("/login").await;
    page.tab_to("input[name=login]").await;
    page.client.active_element().await.unwrap().send_keys("alice").await.unwrap();
    page.tab_to("input[name=password]").await;
    page.client.active_element().await.unwrap().send_keys(PASSWORD).await.unwrap();
    page.enter().await;
    page.shows("小竞赛").await;

    page.go("/competitions").await;
    page.tab_to(&format!("main a[href='{C}']")).await;
    page.enter().await;
    page.tab_to(&format!("a[href='{C}/rules']")).await;
    page.enter().await;
    page.tab_to("main input[type=checkbox]").await;
    page.press(' ').await;
    page.enter().await;

    page.find("main input[type=file]").await;
    page.tab_to("main input[type=file]").await;
    let good = file(&app, "good.csv", &predictions(2.0));
    page.client.active_element().await.unwrap().send_keys(&good).await.unwrap();
    page.tab_to("main form button:not([type=button])").await;
    page.enter().await;
    // the page of the submission fills itself in: nobody reloads
    page.shows("2.000").await;
    assert!(page.path().await.contains("/submissions/"), "{}", page.path().await);

    page.tab_to(&format!("a[href^='{C}/leaderboard']")).await;
    page.enter().await;
    page.shows("alice 先生").await;
    page.shows("2.000").await;
    page.close().await;
    worker.end().await;
}

#[tokio::test]
async fn the_board_that_is_open_changes_by_itself() {
    let app = scene().await;
    let worker = app.worker().await;
    let page = Chromium::open(&base(&app), DESK).await;
    page.log_in("alice", PASSWORD).await;
    take_part(&page).await;
    let watching = Chromium::open(&base(&app), PHONE).await;
    watching.go(&format!("{C}/leaderboard")).await;
    for (name, off, shown) in [("a.csv", 3.0, "3.000"), ("b.csv", 1.5, "1.500")] {
        page.go(&format!("{C}/submit")).await;
        page.fill("main input[type=file]", &file(&app, name, &predictions(off))).await;
        page.click("main form button:not([type=button])").await;
        page.shows(shown).await;
        watching.shows(shown).await;
    }
    page.close().await;
    watching.close().await;
    worker.end().await;
}

#[tokio::test]
async fn without_scripts_the_main_path_works_too() {
    let app = scene().await;
    let worker = app.worker().await;
    let page = Chromium::open(&base(&app), Window { script: false, ..DESK }).await;
    page.log_in("alice", PASSWORD).await;
    take_part(&page).await;
    page.fill("main input[type=file]", &file(&app, "good.csv", &predictions(2.0))).await;
    page.click("main form button:not([type=button])").await;
    page.find("h1").await;
    let address = page.path().await;
    assert!(address.contains("/submissions/"), "{address}");
    app.until(|| async {
        page.client.refresh().await.unwrap();
        page.text().await.contains("2.000")
    })
    .await;
    page.go(&format!("{C}/leaderboard")).await;
    page.shows("alice 先生").await;
    page.close().await;
    worker.end().await;
}

/// A competition whose organizer decides on each registration: bob waits, carol was refused. Gives the
/// pages where she reads why.
async fn registrations(app: &TestApp) -> Vec<String> {
    app.import(&Wanted::default(), "waiting", "org").await;
    for login in ["bob", "carol"] {
        let browser = app.user(login).await;
        let rules = browser.get("/competitions/waiting/rules").await.ok();
        let terms = rules.body.split("name=\"terms\" value=\"").nth(1).unwrap().split('"').next().unwrap();
        let fields = [("terms", terms), ("accept", "yes")];
        browser.post("/competitions/waiting/register", &fields).await.is(303);
    }
    let org = app.visitor();
    org.log_in("org", PASSWORD).await.is(303);
    let decide = format!("/competitions/waiting/desk/participants/{}", app.id_of("carol").await);
    org.post(&decide, &[("state", "denied"), ("reason", "名额已满")]).await.is(303);
    ["/rules", "/submit", "/team"].map(|tab| format!("/competitions/waiting{tab}")).to_vec()
}

#[tokio::test]
async fn every_main_page_is_sound_at_both_widths_light_and_dark() {
    let app = scene().await;
    let worker = app.worker().await;
    let page = Chromium::open(&base(&app), DESK).await;
    page.log_in("alice", PASSWORD).await;
    take_part(&page).await;
    let mut submitted = Vec::new();
    let bad = b"row,y\nr0,abc\nr1,1\n".to_vec();
    for (name, content) in
        [("good.csv", predictions(2.0)), ("better.csv", predictions(1.0)), ("bad.csv", bad)]
    {
        page.go(&format!("{C}/submit")).await;
        page.fill("main input[type=file]", &file(&app, name, &content)).await;
        page.click("main form button:not([type=button])").await;
        page.shows("SM3").await;
        submitted.push(page.path().await);
    }
    app.until(|| async {
        page.client.refresh().await.unwrap();
        page.text().await.contains("abc")
    })
    .await;
    page.close().await;
    worker.end().await;
    // a day later the board says who moved
    app.clock.shift(86_400_000);
    shuyu::scoring::board::mark::take_due(&app.app.house).await.unwrap();
    let refused = registrations(&app).await;

    let visitor = ["/", "/competitions", "/login", "/register"].map(str::to_owned).to_vec();
    let mut contestant: Vec<String> =
        ["", "/data", "/rules", "/submit", "/submissions", "/leaderboard", "/team"]
            .map(|tab| format!("{C}{tab}"))
            .to_vec();
    let ids: Vec<&str> = submitted.iter().filter_map(|path| path.rsplit('/').next()).collect();
    contestant.push(format!("{C}/submissions/compare?s={}&s={}", ids[0], ids[1]));
    contestant.extend(submitted.clone());
    contestant.extend(["/account".to_owned(), "/".to_owned()]);
    let mut desk: Vec<String> = [
        "",
        "/participants",
        "/submissions",
        "/dry-run",
        "/rescore",
        "/settings",
        "/announcements",
        "/exports",
        "/bundle",
    ]
    .map(|tab| format!("{C}/desk{tab}"))
    .to_vec();
    desk.push("/desk".to_owned());
    desk.push("/competitions/waiting/desk/participants?all=yes".to_owned());
    let mut flaws = Vec::new();
    for (width, dark) in [(1440, false), (390, false), (1440, true), (390, true)] {
        for (who, paths) in
            [(None, &visitor), (Some("alice"), &contestant), (Some("carol"), &refused), (Some("org"), &desk)]
        {
            let page = Chromium::open(&base(&app), Window { width, dark, script: true }).await;
            if let Some(login) = who {
                page.log_in(login, PASSWORD).await;
            }
            for path in paths {
                page.go(path).await;
                let here = page.path().await;
                assert_eq!(Some(here.as_str()), path.split('?').next(), "{who:?} was sent elsewhere");
                let asked = format!("return matchMedia('(prefers-color-scheme: dark)').matches === {dark}");
                assert_eq!(page.script(&asked).await, true, "the browser's scheme");
                let found = page.flaws().await;
                flaws.extend(found.into_iter().map(|flaw| format!("{path} at {width}, dark {dark}: {flaw}")));
            }
            page.close().await;
        }
    }
    assert!(flaws.is_empty(), "{}", flaws.join("\n"));
}

/// What lies in the outbox, and what each file would have to pass: in a real sandbox, at both widths.
#[tokio::test]
async fn the_outbox_is_listed_with_what_each_file_would_have_to_pass() {
    let app = TestApp::start_keeping().await;
    app.user_with("org", &[Role::Organizer]).await;
    app.import_with_sandboxes(&AUTO, "small", "org").await;
    let alice = app.user("alice").await;
    let rules = alice.get(&format!("{C}/rules")).await.ok().body;
    let terms = rules.split("name=\"terms\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    alice.post(&format!("{C}/register"), &[("terms", &terms), ("accept", "yes")]).await.is(303);

    let address = format!("{C}/sandbox");
    alice.get(&address).await.ok().lacks("出域目录");
    alice.post(&format!("{address}/open"), &[]).await.is(303);
    app.until(|| async { alice.get(&address).await.ok().body.contains("可使用") }).await;
    alice.get(&address).await.ok().has("出域目录是空的").has("~/outbox").has("尚未开放出域申请");
    let fill = "cd outbox; echo a,b > means.csv; echo > '<i>plot.png'; echo > all.zip; \
                truncate -s 17M large.json; ln -s / link";
    let container = leftovers::containers(&app.app.settings).pop().unwrap();
    let exec = ["exec", "-w", "/home/participant", &container, "sh", "-c", fill].map(str::to_owned);
    let filled = tokio::task::spawn_blocking(|| std::process::Command::new("docker").args(exec).output());
    assert!(filled.await.unwrap().unwrap().status.success());

    let shown = alice.get(&address).await.ok();
    let shown =
        shown.has("means.csv").has("不超过 5000 行、100 列").has("&lt;i&gt;plot.png").lacks("<i>plot");
    shown.has("重新编码").has("不接收这种类型").has("超过单个文件上限").has("另有 1 项不能出域");
    // many files with long names make a short page
    let many = "cd outbox; long=$(printf 'n%.0s' $(seq 200)); for i in $(seq 120); do : > z$i$long.csv; done";
    let exec = ["exec", "-w", "/home/participant", &container, "sh", "-c", many].map(str::to_owned);
    let filled = tokio::task::spawn_blocking(|| std::process::Command::new("docker").args(exec).output());
    assert!(filled.await.unwrap().unwrap().status.success());
    let shown = alice.get(&address).await.ok().has("means.csv").has("另有 24 个文件未列出");
    assert!(!shown.body.contains(&"n".repeat(80)), "a long name is cut");

    let mut flaws = Vec::new();
    for window in [PHONE, DESK, Window { dark: true, ..DESK }] {
        let page = Chromium::open(&base(&app), window).await;
        page.log_in("alice", PASSWORD).await;
        page.go(&address).await;
        page.shows("means.csv").await;
        flaws.extend(page.flaws().await);
        page.close().await;
    }
    assert!(flaws.is_empty(), "{}", flaws.join("\n"));

    alice.post(&format!("{address}/stop"), &[]).await.is(303);
    app.until(|| async {
        alice.get(&address).await.ok().body.contains("沙箱打开时可查看出域目录")
    })
    .await;
    alice.get(&address).await.ok().lacks("means.csv");
    app.end_keeping().await;
}

#[tokio::test]
async fn sandboxes_are_seen_as_they_are_used_and_stopped_from_the_desk() {
    let app = TestApp::start_keeping().await;
    let org = app.user_with("org", &[Role::Organizer]).await;
    app.import_with_sandboxes(&AUTO, "small", "org").await;
    let alice = app.user("alice").await;
    let page = Chromium::open(&base(&app), DESK).await;
    page.log_in("alice", PASSWORD).await;
    take_part(&page).await;
    for (person, to, name) in [(&alice, "packages", "mine"), (&org, "desk/packages/upload", "common")] {
        let (file, bytes) = wheel(name, "1.0", &[(&format!("{name}.py"), "")]);
        person.upload(&format!("{C}/{to}"), (&file, bytes), &[]).await.is(303);
    }
    page.go(&format!("{C}/sandbox")).await;
    page.click("form[action$='/open'] button").await;
    // it becomes ready, and its gauges come, with nobody reloading
    page.find("#gauges .gauge").await;
    page.shows("空间充足").await;

    // the bar above the lab knows them too
    page.script(
        "const way = document.querySelector(\"form[action$='/enter']\"); way.target = ''; way.submit()",
    )
    .await;
    page.find("#home").await;
    page.shows("%").await;
    page.go(&format!("{C}/sandbox")).await;

    let desk = Chromium::open(&base(&app), DESK).await;
    desk.log_in("org", PASSWORD).await;
    desk.go(&format!("{C}/desk/sandboxes")).await;
    desk.find("#sandboxes .gauge").await;
    desk.shows("可使用").await;
    desk.click("#sandboxes .acts details:nth-of-type(2) summary").await;
    desk.fill("#sandboxes .acts details:nth-of-type(2) input", "六点维护").await;
    desk.click("#sandboxes .acts details:nth-of-type(2) .button-primary").await;
    page.shows("六点维护").await;

    let mut flaws = Vec::new();
    for (width, dark) in [(1440, false), (390, true)] {
        for (who, paths) in [
            ("alice", vec![format!("{C}/sandbox")]),
            ("org", vec![format!("{C}/desk/sandboxes"), format!("{C}/desk/packages")]),
        ] {
            let page = Chromium::open(&base(&app), Window { width, dark, script: true }).await;
            page.log_in(who, PASSWORD).await;
            for path in paths {
                page.go(&path).await;
                page.find(if path.ends_with("packages") { ".drop" } else { ".gauge" }).await;
                let found = page.flaws().await;
                flaws.extend(found.into_iter().map(|flaw| format!("{path} at {width}, dark {dark}: {flaw}")));
            }
            page.close().await;
        }
    }
    assert!(flaws.is_empty(), "{}", flaws.join("\n"));

    desk.click("#sandboxes .acts a").await;
    desk.shows("不可信").await;
    assert_eq!(desk.flaws().await, Vec::<String>::new());
    desk.go(&format!("{C}/desk/sandboxes")).await;
    desk.click("#all ~ .actions details:nth-of-type(2) summary").await;
    desk.fill("#all ~ .actions details:nth-of-type(2) input", "请先看规则").await;
    desk.click("#all ~ .actions details:nth-of-type(2) .button-danger").await;
    page.shows("主办方停止了它").await;
    page.shows("请先看规则").await;
    page.shows("个人目录备份于").await;
    page.close().await;
    desk.close().await;
    app.end_keeping().await;
}

/// A port of their own for all sandboxes: the form leads there, and the sandbox opened last is the one.
#[tokio::test]
async fn on_a_network_without_names_one_sandbox_is_open_at_a_time() {
    let app = TestApp::start_on_lan().await;
    app.user_with("org", &[Role::Organizer]).await;
    app.import_with_sandboxes(&AUTO, "small", "org").await;
    app.import_with_sandboxes(&AUTO, "other", "org").await;
    let alice = app.user("alice").await;
    for slug in ["small", "other"] {
        let base = format!("/competitions/{slug}");
        let rules = alice.get(&format!("{base}/rules")).await.ok().body;
        let terms = rules.split("name=\"terms\" value=\"").nth(1).unwrap().split('"').next().unwrap();
        alice.post(&format!("{base}/register"), &[("terms", terms), ("accept", "yes")]).await.is(303);
        alice.post(&format!("{base}/sandbox/open"), &[]).await.is(303);
        let ready = || async { alice.get(&format!("{base}/sandbox")).await.ok().body.contains("可使用") };
        app.until(ready).await;
    }
    let mut flaws = Vec::new();
    for window in [PHONE, DESK] {
        let page = Chromium::open(&base(&app), window).await;
        page.log_in("alice", PASSWORD).await;
        page.go(&format!("{C}/sandbox")).await;
        page.shows("此连接未加密").await;
        flaws.extend(page.flaws().await);
        page.close().await;
    }
    assert!(flaws.is_empty(), "{}", flaws.join("\n"));

    let page = Chromium::open(&base(&app), DESK).await;
    page.log_in("alice", PASSWORD).await;
    let go_in =
        "const way = document.querySelector(\"form[action$='/enter']\"); way.target = ''; way.submit()";
    page.go(&format!("{C}/sandbox")).await;
    page.script(go_in).await;
    page.find(".shell-lab iframe").await;
    // in the language of the account
    page.shows("此连接未加密").await;
    page.shows("以最后打开的为准").await;
    let first = page.client.window().await.unwrap();
    let second = page.client.new_window(true).await.unwrap();
    page.client.switch_to_window(second.handle).await.unwrap();
    page.go("/competitions/other/sandbox").await;
    page.script(go_in).await;
    page.find(".shell-lab iframe").await;
    page.client.switch_to_window(first).await.unwrap();
    page.shows("本浏览器中打开了另一个沙箱").await;
    assert_eq!(page.script("return document.querySelectorAll('iframe').length").await, 0);
    // still signed in on the main site
    page.go(&format!("{C}/sandbox")).await;
    page.shows("可使用").await;
    page.close().await;
    for slug in ["small", "other"] {
        alice.post(&format!("/competitions/{slug}/sandbox/stop"), &[]).await.is(303);
        let over = || async {
            alice.get(&format!("/competitions/{slug}/sandbox")).await.ok().body.contains("已按您的要求停止")
        };
        app.until(over).await;
    }
    app.end_keeping().await;
}
