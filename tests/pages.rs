//! Competitions as people use them in a browser: entering, submitting, the board, the desk.

#![allow(clippy::unwrap_used, clippy::panic, reason = "the steps that tests share fail like tests")]

#[path = "pages/entries.rs"]
mod entries;
#[path = "pages/entries_desk.rs"]
mod entries_desk;
#[path = "pages/inside.rs"]
mod inside;
#[path = "pages/judging.rs"]
mod judging;
#[path = "pages/judging_faults.rs"]
mod judging_faults;
#[path = "pages/packages.rs"]
mod packages;
#[path = "pages/panels.rs"]
mod panels;
#[path = "pages/participants.rs"]
mod participants;
#[path = "pages/results.rs"]
mod results;
#[path = "pages/sandboxes.rs"]
mod sandboxes;
mod support;

use std::io::Write as _;

use futures_util::TryStreamExt as _;
use reqwest::Method;
use shuyu::contest::bundle;
use shuyu::contest::import::{self, ImportError};
use shuyu::people::Role;
use support::{Answer, Browser, TestApp, Wanted, predictions};

const AUTO: Wanted = Wanted { top: "registration_auto_approve: true", phase: "", board: "" };
const C: &str = "/competitions/small";

/// A service with the little competition, its organizer and two participants.
async fn scene(wanted: &Wanted) -> (TestApp, Browser, Browser, Browser) {
    let app = TestApp::start().await;
    let org = app.user_with("org", &[Role::Organizer]).await;
    app.import(wanted, "small", "org").await;
    let alice = app.user("alice").await;
    let bob = app.user("bob").await;
    (app, org, alice, bob)
}

/// The value of a hidden field.
#[track_caller]
fn field(page: &Answer, name: &str) -> String {
    let start = format!("name=\"{name}\" value=\"");
    let at = page.body.find(&start).unwrap_or_else(|| panic!("no field {name} in {page:#?}")) + start.len();
    page.body[at..].split('"').next().unwrap().to_owned()
}

async fn enter(browser: &Browser) -> Answer {
    enter_at(browser, C).await
}

/// Enters the competition whose pages are below this address.
async fn enter_at(browser: &Browser, competition: &str) -> Answer {
    let rules = browser.get(&format!("{competition}/rules")).await.ok();
    let terms = field(&rules, "terms");
    browser.post(&format!("{competition}/register"), &[("terms", &terms), ("accept", "yes")]).await
}

/// Uploads from the form; gives the submission's address.
async fn submit(browser: &Browser, file: (&str, Vec<u8>), message: &str) -> String {
    let answer = browser.upload(&format!("{C}/upload"), file, &[("phase", "0"), ("message", message)]).await;
    let answer = answer.is(303);
    answer.header("location").to_owned()
}

/// Waits until a submission's page shows a word.
async fn until_shown(app: &TestApp, browser: &Browser, address: &str, word: &str) -> Answer {
    app.until(|| async { browser.get(address).await.ok().body.contains(word) }).await;
    browser.get(address).await.ok()
}

/// Every submission's object.
async fn kept(app: &TestApp) -> usize {
    app.app.house.objects.list("submissions").try_collect::<Vec<_>>().await.unwrap().len()
}

#[tokio::test]
async fn from_entering_to_the_leaderboard() {
    let (app, org, alice, bob) = scene(&AUTO).await;
    let worker = app.worker().await;
    app.visitor().get("/competitions").await.ok().has("小竞赛");
    app.visitor().get("/").await.ok().has("小竞赛");
    alice.get(&format!("{C}/submit")).await.ok().has("您还没有报名");
    let refused = alice.upload(&format!("{C}/upload"), ("a.csv", predictions(1.0)), &[("phase", "0")]).await;
    refused.is(403).has("您尚未参赛");
    enter(&alice).await.see_other(&format!("{C}/submit"));
    alice.get(&format!("{C}/submit")).await.ok().has("今天还可提交 5 次").has("r0").has("r2");

    let bad = b"row,y\nr0,abc\nr1,1\nr1,2\n<i>r9</i>,3\n".to_vec();
    let address = submit(&alice, ("bad.csv", bad), "<script>alert('message')</script>").await;
    let page = until_shown(&app, &alice, &address, "结果文件有错误").await;
    page.has("abc").has("&lt;script&gt;").lacks("<script>alert").lacks("<i>r9").has("本次不占提交次数");
    let list = alice.get(&format!("{address}/faults.json")).await.ok().json();
    assert!(list["total"].as_u64().unwrap() > 4, "{list}");
    alice.get(&format!("{address}/faults.csv")).await.ok().has("line,column,found,expected,kind");
    alice.get(&format!("{C}/submit")).await.ok().has("今天还可提交 5 次");

    let address = submit(&alice, ("good.csv", predictions(2.0)), "mine").await;
    let page = until_shown(&app, &alice, &address, "2.000").await;
    page.has("第 1 名").lacks("secret_mae").lacks("暗栏");
    let address = submit(&alice, ("better.csv", predictions(1.0)), "").await;
    until_shown(&app, &alice, &address, "1.000").await.has("−1.000").lacks("暗栏");
    alice
        .get(&format!("{C}/submissions"))
        .await
        .ok()
        .has("better.csv")
        .has("<svg viewBox=\"0 0 640")
        .lacks("暗栏");

    // another's submission is not there, whatever is asked of it
    enter(&bob).await.is(303);
    for path in ["", "/live", "/file", "/faults.csv"] {
        bob.get(&format!("{address}{path}")).await.is(404);
        app.visitor().get(&format!("{address}{path}")).await.is(303);
    }
    bob.post(&format!("{address}/cancel"), &[]).await.is(404);
    bob.post(&format!("{address}/publish"), &[("on", "yes")]).await.is(404);

    bob.post(&format!("{C}/team/create"), &[("name", "<b>Bobs</b>")]).await.is(303);
    let other = submit(&bob, ("bob.csv", predictions(3.0)), "").await;
    until_shown(&app, &bob, &other, "第 2 名").await;
    for browser in [&app.visitor(), &alice, &bob] {
        let board = browser.get(&format!("{C}/leaderboard")).await.ok();
        board
            .has("1.000")
            .has("3.000")
            .lacks("暗栏")
            .lacks("secret_mae")
            .has("&lt;b&gt;Bobs")
            .lacks("<b>Bobs");
        let csv = browser.get(&format!("{C}/leaderboard.csv")).await.ok();
        csv.has("rank,team,rmse,entries").has("1.000000").lacks("secret_mae");
    }
    org.get(&format!("{C}/leaderboard")).await.ok().has("暗栏");
    worker.end().await;
}

#[tokio::test]
async fn pages_of_a_bundle_are_cleaned_and_only_its_public_files_go_out() {
    let (_app, _org, alice, _bob) = scene(&AUTO).await;
    alice.get(C).await.ok().has("Welcome").lacks("onerror");
    alice.get(&format!("{C}/rules")).await.ok().has("Be fair").lacks("alert('terms')");
    alice.get(&format!("{C}/logo")).await.ok();
    alice.get(&format!("{C}/files/open")).await.is(403);
    enter(&alice).await.is(303);
    alice.get(&format!("{C}/data")).await.ok().has("small-open.zip").lacks("labels");
    assert_eq!(
        alice.get(&format!("{C}/files/open")).await.ok().header("content-type"),
        "application/octet-stream"
    );
    for path in ["labels", "labels/labels.csv", "open/ids.csv", "terms.md", "competition.yaml", "../labels"] {
        alice.get(&format!("{C}/files/{path}")).await.is(404);
    }
}

#[tokio::test]
async fn an_upload_over_the_cap_is_refused_with_a_clear_page_and_nothing_kept() {
    let app = TestApp::start_with(|settings| settings.upload.cap_bytes = 100_000).await;
    app.user_with("org", &[Role::Organizer]).await;
    app.import(&AUTO, "small", "org").await;
    let alice = app.user("alice").await;
    enter(&alice).await.is(303);
    let large = || ("large.csv", vec![b'x'; 3_000_000]);
    let page = alice.upload(&format!("{C}/upload"), large(), &[("phase", "0")]).await.is(413);
    page.has("文件过大").has("98\u{202f}KiB");
    let part = reqwest::multipart::Part::bytes(large().1).file_name("large.csv");
    let form = reqwest::multipart::Form::new().text("phase", "0").part("file", part);
    let json = [("accept", "application/json")];
    let answer = alice.send(Method::POST, &format!("{C}/upload"), &json, |r| r.multipart(form)).await.is(413);
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!(answer.json()["code"], "upload-too-large");
    assert_eq!(kept(&app).await, 0);
    alice.get(&format!("{C}/submissions")).await.ok().has("还没有提交");
}

#[tokio::test]
async fn a_field_after_the_file_is_refused_and_nothing_kept() {
    let (app, _org, alice, _bob) = scene(&AUTO).await;
    enter(&alice).await.is(303);
    let part = reqwest::multipart::Part::bytes(predictions(1.0)).file_name("a.csv");
    let form = reqwest::multipart::Form::new().text("phase", "0").part("file", part).text("message", "late");
    let answer = alice.send(Method::POST, &format!("{C}/upload"), &[], |r| r.multipart(form)).await;
    answer.is(400).has("文件必须放在最后");
    assert_eq!(kept(&app).await, 0);
    alice.get(&format!("{C}/submissions")).await.ok().has("还没有提交");
    let form = reqwest::multipart::Form::new().text("phase", "0");
    let answer = alice.send(Method::POST, &format!("{C}/upload"), &[], |r| r.multipart(form)).await;
    answer.is(422).has("没有文件");
    alice.post(&format!("{C}/upload"), &[("phase", "0")]).await.is(415).has("不是上传表单");
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_nothing() {
    let (app, _org, alice, _bob) = scene(&AUTO).await;
    enter(&alice).await.is(303);
    let cookie =
        alice.jar.lock().unwrap().iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join("; ");
    let address = app.address;
    tokio::task::spawn_blocking(move || {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        let head = format!(
            "POST {C}/upload HTTP/1.1\r\nhost: {address}\r\ncookie: {cookie}\r\ncontent-length: 9999999\r\n\
             content-type: multipart/form-data; boundary=b\r\n\r\n\
             --b\r\ncontent-disposition: form-data; name=\"phase\"\r\n\r\n0\r\n\
             --b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.csv\"\r\n\r\nrow,y\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&vec![b'1'; 500_000]).unwrap();
    })
    .await
    .unwrap();
    // the team is made before the upload: that it is there says that the upload was begun
    app.until(|| async { alice.get(&format!("{C}/team")).await.ok().body.contains("alice 先生</h1>") }).await;
    app.until(|| async { staged(&app) == 0 }).await;
    assert_eq!(kept(&app).await, 0);
    alice.get(&format!("{C}/submissions")).await.ok().has("还没有提交");
    alice.get(&format!("{C}/submit")).await.ok().has("今天还可提交 5 次");
}

/// Files below the object directory that belong to submissions, unfinished ones too.
fn staged(app: &TestApp) -> usize {
    let place = app.app.settings.data_dir.join("objects/submissions");
    std::fs::read_dir(place).map(|entries| entries.count()).unwrap_or(0)
}

#[tokio::test]
async fn a_spent_quota_says_so_and_when_it_comes_back() {
    let wanted = Wanted { phase: "    max_submissions_per_day: 1\n    max_submissions: 2", ..AUTO };
    let (app, _org, alice, _bob) = scene(&wanted).await;
    enter(&alice).await.is(303);
    let address = submit(&alice, ("a.csv", predictions(1.0)), "").await;
    alice.get(&format!("{C}/submit")).await.ok().has("今天还可提交 0 次");
    let path = format!("{C}/upload");
    let second = async || alice.upload(&path, ("b.csv", predictions(1.0)), &[("phase", "0")]).await;
    second().await.is(429).has("今天的提交次数已用完").has("已用 1／1 次").has("UTC");
    // cancelled before its start, it gives the quota back
    alice.post(&format!("{address}/cancel"), &[]).await.is(303);
    alice.get(&address).await.ok().has("已取消").has("本次不占提交次数");
    submit(&alice, ("c.csv", predictions(1.0)), "").await;
    app.clock.shift(86_400_000);
    alice.log_in("alice", support::PASSWORD).await.is(303);
    submit(&alice, ("d.csv", predictions(1.0)), "").await;
    app.clock.shift(86_400_000);
    alice.log_in("alice", support::PASSWORD).await.is(303);
    second().await.is(429).has("提交次数已用完").has("本阶段共 2 次");
}

#[tokio::test]
async fn what_is_wrong_with_the_form_is_said_beside_its_fields() {
    let wanted = Wanted {
        top: "registration_auto_approve: true\nfact_sheet:\n  method: {key: method, type: text, title: 用了什么方法, selection: \"\", is_required: \"true\", is_on_leaderboard: \"true\"}",
        ..AUTO
    };
    let (_app, _org, alice, _bob) = scene(&wanted).await;
    enter(&alice).await.is(303);
    let path = format!("{C}/upload");
    let upload = async |name: &str, fields: &[(&str, &str)]| {
        alice.upload(&path, (name, predictions(1.0)), fields).await
    };
    let page = upload("a.csv", &[("phase", "0"), ("message", "kept <b>")]).await.is(422);
    page.has("请按要求回答“用了什么方法”").has("kept &lt;b&gt;");
    upload("a.exe", &[("phase", "0"), ("fact-method", "x")]).await.is(422).has("a.exe");
    upload("a.csv", &[("phase", "9"), ("fact-method", "x")]).await.is(404);
    upload("a.csv", &[("phase", "0"), ("fact-method", "x")]).await.is(303);
}

#[tokio::test]
async fn a_hidden_board_and_a_draft_are_not_there_for_others() {
    let wanted = Wanted { board: "    hidden: true", ..AUTO };
    let (app, org, alice, _bob) = scene(&wanted).await;
    enter(&alice).await.is(303);
    alice.get(C).await.ok().lacks("排行榜");
    for path in ["leaderboard", "leaderboard.csv", "leaderboard/live"] {
        alice.get(&format!("{C}/{path}")).await.is(404);
        app.visitor().get(&format!("{C}/{path}")).await.is(404);
    }
    org.get(&format!("{C}/leaderboard")).await.ok().has("榜上还没有成绩");
    org.post(&format!("{C}/desk/unpublish"), &[]).await.see_other(&format!("{C}/desk"));
    alice.get(C).await.is(404);
    alice.get("/competitions").await.ok().lacks("小竞赛");
    app.visitor().get(&format!("{C}/files/open")).await.is(404);
    org.get(C).await.ok().has("草稿");
}

#[tokio::test]
async fn the_desk_is_for_those_who_manage_the_competition() {
    let (app, org, alice, _bob) = scene(&AUTO).await;
    let pages = [
        "",
        "/participants",
        "/submissions",
        "/dry-run",
        "/rescore",
        "/settings",
        "/announcements",
        "/exports",
        "/bundle",
    ];
    for page in pages {
        org.get(&format!("{C}/desk{page}")).await.ok();
        alice.get(&format!("{C}/desk{page}")).await.is(403);
        app.visitor().get(&format!("{C}/desk{page}")).await.is(401);
    }
    for path in ["exports/board.csv", "exports/submissions.json", "exports/participants.csv", "bundle.zip"] {
        alice.get(&format!("{C}/desk/{path}")).await.is(403);
    }
    for path in
        ["dates", "merge-lock", "publish", "unpublish", "rescore", "announcements", "dry-run/solution"]
    {
        let answer = alice
            .post(
                &format!("{C}/desk/{path}"),
                &[("title", "x"), ("body", "x"), ("reason", "x"), ("solution", "0"), ("phase", "0")],
            )
            .await;
        answer.is(403);
    }
}

#[tokio::test]
async fn the_organizer_admits_disqualifies_restores_and_exports() {
    let (app, org, alice, _bob) = scene(&Wanted::default()).await;
    let worker = app.worker().await;
    enter(&alice).await.see_other(C);
    alice.get(&format!("{C}/submit")).await.ok().has("报名待审核");
    org.get(&format!("{C}/desk")).await.ok().has("1 人等待审核");
    let id = app.id_of("alice").await;
    let decide = format!("{C}/desk/participants/{id}");
    org.post(&decide, &[("state", "denied"), ("reason", " ")]).await.is(422).has("请填写理由");
    org.post(&decide, &[("state", "approved")]).await.is(303);
    let address = submit(&alice, ("good.csv", predictions(2.0)), "").await;
    until_shown(&app, &alice, &address, "2.000").await;
    let desk = address.replace("/submissions/", "/desk/submissions/");
    org.get(&desk).await.ok().has("暗栏").has("2.000");

    org.post(&format!("{desk}/disqualify"), &[("reason", "")]).await.is(422);
    org.post(&format!("{desk}/disqualify"), &[("reason", "<i>copied</i>")]).await.is(303);
    alice.get(&address).await.ok().has("已取消资格").has("&lt;i&gt;copied").lacks("<i>copied");
    alice.get(&format!("{C}/leaderboard")).await.ok().has("榜上还没有成绩");
    org.post(&format!("{desk}/restore"), &[]).await.is(303);
    alice.get(&format!("{C}/leaderboard")).await.ok().has("alice 先生");

    org.get(&format!("{C}/desk/exports/board.csv")).await.ok().has("secret_mae").has("2.000000");
    let lines = org.get(&format!("{C}/desk/exports/submissions.json")).await.ok().json();
    assert_eq!(lines[0]["scores"][0]["secret_mae"], 2.0, "{lines}");
    org.get(&format!("{C}/desk/exports/participants.csv")).await.ok().has("alice");

    org.post(&format!("{C}/desk/rescore"), &[("reason", "")]).await.is(422);
    org.post(&format!("{C}/desk/rescore"), &[("reason", "new scorer"), ("priority", "urgent")]).await.is(303);
    until_shown(&app, &org, &format!("{C}/desk/rescore"), "good.csv").await;
    worker.end().await;
}

#[tokio::test]
async fn dates_are_checked_and_announcements_come_and_go() {
    let (_app, org, alice, _bob) = scene(&AUTO).await;
    let dates = format!("{C}/desk/dates");
    let backwards = [("start-0", "2026-01-02T00:00"), ("end-0", "2026-01-01T00:00")];
    org.post(&dates, &backwards).await.is(422).has("结束时间须晚于开始时间").has("2026-01-02T00:00");
    org.post(&dates, &[("start-0", "soon"), ("end-0", "")]).await.is(422).has("时间无法识别");
    org.post(&dates, &[("start-0", "2020-01-01T00:00"), ("end-0", "2020-02-01T00:00")]).await.is(303);
    enter(&alice).await.is(303);
    let late = alice.upload(&format!("{C}/upload"), ("a.csv", predictions(1.0)), &[("phase", "0")]).await;
    late.is(409).has("阶段已结束");

    org.post(&format!("{C}/desk/merge-lock"), &[("lock", "2021-01-01T00:00")]).await.is(303);
    alice.post(&format!("{C}/team/create"), &[("name", "late")]).await.is(403).has("团队已固定");

    let news = [("title", "<b>News</b>"), ("body", "**bold** <script>alert(1)</script>")];
    org.post(&format!("{C}/desk/announcements"), &news).await.is(303);
    let page =
        alice.get(C).await.ok().has("&lt;b&gt;News").has("<strong>bold</strong>").lacks("<script>alert");
    assert!(!page.body.contains("alert(1)"));
    let list = org.get(&format!("{C}/desk/announcements")).await.ok();
    let at = list.body.find("/withdraw").unwrap();
    let id = &list.body[at - 36..at];
    org.post(&format!("{C}/desk/announcements/{id}/withdraw"), &[]).await.is(303);
    alice.get(C).await.ok().lacks("News");
}

#[tokio::test]
async fn a_team_is_seen_before_it_is_joined() {
    let (_app, _org, alice, bob) = scene(&AUTO).await;
    enter(&alice).await.is(303);
    enter(&bob).await.is(303);
    alice.post(&format!("{C}/team/create"), &[("name", "")]).await.is(422).has("名称为 1–40 个字");
    alice.post(&format!("{C}/team/create"), &[("name", "飞鸟")]).await.is(303);
    let page = alice.post(&format!("{C}/team/invite"), &[]).await.ok();
    let at = page.body.find("/join/").unwrap();
    let link = format!("{C}{}", &page.body[at..at + 6 + 64]);
    bob.get(&link).await.ok().has("加入“飞鸟”").has("alice 先生");
    bob.post(&link, &[]).await.see_other(&format!("{C}/team"));
    bob.get(&format!("{C}/team")).await.ok().has("飞鸟").has("bob 先生");
    bob.get(&format!("{C}/join/{}", "0".repeat(64))).await.is(410).has("邀请已失效");
    bob.post(&format!("{C}/team/leave"), &[]).await.is(303);
    bob.get(&format!("{C}/team")).await.ok().lacks("飞鸟");
    // whoever has submitted alone is told before the button, not after
    submit(&bob, ("b.csv", predictions(1.0)), "").await;
    bob.get(&link).await.ok().has("将并入该团队");
    bob.post(&link, &[]).await.is(409).has("暂时不能加入");
}

#[tokio::test]
async fn a_bundle_is_checked_and_its_changes_shown_before_it_is_taken_in() {
    let (_app, org, alice, _bob) = scene(&AUTO).await;
    let directory = tempfile::tempdir().unwrap();
    let pack = |top: &'static str| {
        let root = support::contest::bundle_in(directory.path(), &Wanted { top, ..AUTO });
        let target = directory.path().join("packed.zip");
        let _ = std::fs::remove_file(&target);
        shuyu::contest::import::pack(&root, &target).unwrap();
        std::fs::read(target).unwrap()
    };
    let upload = format!("{C}/desk/bundle/upload");
    let broken = pack("reward: 100\nmake_input_data_available: perhaps");
    org.upload(&upload, ("b.zip", broken), &[])
        .await
        .ok()
        .has("竞赛包有错误")
        .has("make_input_data_available")
        .has("值的类型不对")
        .has("lang=\"en\">here stands text, where true or false is wanted</p>");
    let page = org.upload(&upload, ("b.zip", pack("reward: 一面锦旗")), &[]).await.ok();
    let page = page.has("reward").has("一面锦旗").has("registration_auto_approve");
    let digest = field(&page, "digest");
    alice.get(C).await.ok().lacks("一面锦旗");
    org.post(&format!("{C}/desk/bundle/apply"), &[("digest", "other")]).await.is(409);
    org.post(&format!("{C}/desk/bundle/apply"), &[("digest", &digest)]).await.see_other(&format!("{C}/desk"));
    alice.get(C).await.ok().has("一面锦旗");

    org.upload("/desk/new/upload", ("b.zip", pack("reward: x")), &[("slug", "Bad Slug")]).await.is(422);
    let page = org.upload("/desk/new/upload", ("b.zip", pack("reward: x")), &[("slug", "second")]).await.ok();
    let digest = field(&page, "digest");
    org.post("/desk/new/apply", &[("slug", "second"), ("digest", &digest)])
        .await
        .see_other("/competitions/second/desk");
    org.get("/competitions/second/desk").await.ok().has("竞赛还是草稿");
    alice.get("/competitions/second").await.is(404);
    alice.get("/desk/new").await.is(403);
}

/// After a failure on hidden input its team reads the score on the twin; of the failed run itself it
/// reads nothing, even when the organizer opens the input later.
#[tokio::test]
async fn a_failure_on_hidden_input_shows_the_twin_and_stays_closed() {
    let app = TestApp::start().await;
    let _org = app.user_with("org", &[Role::Organizer]).await;
    let alice = app.user("alice").await;
    let directory = tempfile::tempdir().unwrap();
    let top = "registration_auto_approve: true\ndocker_image: shuyu/python:latest";
    let root = support::contest::bundle_in(directory.path(), &Wanted { top, ..Wanted::default() });
    let write = |path: &str, text: &str| {
        let place = root.join(path);
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::fs::write(place, text).unwrap();
    };
    write("input/rows.csv", "row\nmarker\n");
    write("twin/input/rows.csv", "row\n");
    write("twin/labels/labels.csv", "row,y\nr0,0\nr1,1\nr2,2\n");
    let yaml = std::fs::read_to_string(root.join("competition.yaml")).unwrap();
    let task =
        "ids: open/ids.csv\n      input: hidden\n      twin: {input: twin/input, reference: twin/labels}\n";
    let yaml = yaml
        .replace("reference_data: labels\n", "reference_data: labels\n    input_data: input\n")
        .replace("ids: open/ids.csv\n", task);
    write("competition.yaml", &yaml);
    app.import_from(&root, "small", "org").await;
    let worker = app.worker().await;
    enter(&alice).await.is(303);
    let program = "
import sys
if 'marker' in open(sys.argv[1] + '/rows.csv').read():
    sys.exit(23)
open(sys.argv[2] + '/predictions.csv', 'w').write('row,y\\nr0,2\\nr1,3\\nr2,4\\n')
";
    let address = submit(&alice, ("main.py", program.as_bytes().to_vec()), "").await;
    let page = until_shown(&app, &alice, &address, "2.000").await;
    page.has("样例数据复跑").lacks("暗栏");
    worker.end().await;
    write("competition.yaml", &yaml.replace("input: hidden", "input: public"));
    app.import_from(&root, "small", "org").await;
    let page = alice.get(&address).await.ok();
    assert_eq!(page.body.matches("<section class=\"run\">").count(), 1, "the twin's run alone: {page:#?}");
}

#[tokio::test]
async fn organizers_name_each_other_and_nobody_else_runs_the_competition() {
    let (app, org, alice, _) = scene(&AUTO).await;
    let otto = app.user_with("otto", &[Role::Organizer]).await;
    let desk = format!("{C}/desk/settings");
    otto.get(&desk).await.is(403);
    let (add, remove) = (format!("{C}/desk/organizers/add"), format!("{C}/desk/organizers/remove"));
    alice.post(&add, &[("login", "alice")]).await.is(403);
    org.post(&add, &[("login", "nobody")]).await.is(422).has("没有这个用户名的帐户");
    org.post(&add, &[("login", "otto")]).await.see_other(&desk);
    otto.get(&desk).await.ok().has("otto 先生");
    // an import on the machine keeps the organizers there are, and adds its owner
    app.import(&Wanted { board: "    hidden: false", ..AUTO }, "small", "alice").await;
    alice.get(&desk).await.ok();
    otto.post(&remove, &[("login", "otto")]).await.is(422).has("不能收回自己的权限");
    otto.post(&remove, &[("login", "org")]).await.see_other(&desk);
    org.get(&desk).await.is(403);
    let root = app.admin("root").await;
    root.get(&desk).await.ok();
    for action in ["role.granted", "role.revoked"] {
        root.get(&format!("/admin/audit?action={action}")).await.ok().has(action);
    }
}

#[tokio::test]
async fn an_import_does_not_land_on_a_competition_that_was_made_meanwhile() {
    let (app, ..) = scene(&AUTO).await;
    let directory = tempfile::tempdir().unwrap();
    let root = support::contest::bundle_in(directory.path(), &AUTO);
    let [staging, packed] = ["staging", "packed"].map(|name| directory.path().join(name));
    std::fs::create_dir(&staging).unwrap();
    std::fs::create_dir(&packed).unwrap();
    let (bundle, _) = bundle::read(&root, &staging, &bundle::Limits::default()).unwrap();
    let (bundle, bob) = (bundle.unwrap(), app.id_of("bob").await);
    let house = &app.app.house;
    let new = import::import_over(house, &bundle, ("small", None), bob, &packed).await;
    assert!(matches!(new, Err(ImportError::NotYours(_))), "{new:?}");
    let other = import::import_over(house, &bundle, ("other", None), bob, &packed).await.unwrap();
    let wrong = ("small", Some(other.competition.id));
    let over = import::import_over(house, &bundle, wrong, bob, &packed).await;
    assert!(matches!(over, Err(ImportError::NotYours(_))), "{over:?}");
}

#[tokio::test]
async fn a_rescore_of_a_phase_that_is_not_there_is_refused() {
    let (_app, org, ..) = scene(&AUTO).await;
    for phase in ["7", "x", "0.0"] {
        let form = [("phase", phase), ("reason", "the scorer rounded")];
        org.post(&format!("{C}/desk/rescore"), &form).await.is(422).has("没有这个阶段");
    }
}

#[tokio::test]
async fn a_baseline_is_run_at_the_desk_before_anybody_sees_the_competition() {
    let baseline = Wanted {
        top: "registration_auto_approve: true\nsolutions: [{index: 3, path: open, tasks: [0], name: Nothing right}]",
        ..Wanted::default()
    };
    let (app, org, alice, _bob) = scene(&baseline).await;
    org.post(&format!("{C}/desk/unpublish"), &[]).await.is(303);
    let worker = app.worker().await;
    let page = format!("{C}/desk/dry-run");
    org.get(&page).await.ok().has("Nothing right").has("还没有运行过基线");
    let upload = format!("{page}/upload");
    let refused = org.upload(&upload, ("good.txt", predictions(2.0)), &[("phase", "0")]).await;
    refused.is(422).has("Nothing right");
    let made = org.upload(&upload, ("good.csv", predictions(2.0)), &[("phase", "0")]).await.is(303);
    let address = made.header("location").to_owned();
    assert!(address.starts_with(&format!("{C}/desk/submissions/")), "{address}");
    until_shown(&app, &org, &address, "2.000").await.has("基线运行").has("主办方").lacks("取消资格");
    let made = org.post(&format!("{page}/solution"), &[("solution", "3"), ("phase", "0")]).await.is(303);
    // the list of ids is no prediction: what is wrong with it is said
    until_shown(&app, &org, made.header("location"), "未受理").await.has("`y`");
    org.get(&page).await.ok().has("good.csv").has("open.zip").has("2.000");
    org.post(&format!("{page}/solution"), &[("solution", "9"), ("phase", "0")]).await.is(404);

    org.post(&format!("{C}/desk/publish"), &[]).await.is(303);
    enter(&alice).await.is(303);
    alice.get(&format!("{C}/leaderboard")).await.ok().has("榜上还没有成绩");
    let id = address.rsplit('/').next().unwrap();
    alice.get(&format!("{C}/submissions/{id}")).await.is(404);
    alice.get(&format!("{address}/live")).await.is(403);
    worker.end().await;
}
