//! The organizer's view of sandboxes, on the desk and over the API. No worker holds them here: what is
//! asked for waits.

use std::fs;

use reqwest::Method;
use serde_json::{Value, json};
use shuyu::audit::{self, Filter};
use shuyu::people::Role;
use shuyu::submission::queue;

use super::support::{Answer, Browser, TestApp, Wanted, contest};
use super::{AUTO, C, enter};

const DESK: &str = "/competitions/small/desk/sandboxes";
const API: &str = "/api/v1/competitions/small/desk/sandboxes";

/// A competition that offers sandboxes, and one that does not.
pub(super) async fn scene() -> (TestApp, Browser, Browser, Browser) {
    let app = TestApp::start_with(|settings| "{id}.localhost".clone_into(&mut settings.sandboxes.host)).await;
    let org = app.user_with("org", &[Role::Organizer]).await;
    let directory = tempfile::tempdir().unwrap();
    let root = contest::bundle_in(directory.path(), &AUTO);
    let file = root.join("competition.yaml");
    let yaml = fs::read_to_string(&file).unwrap();
    fs::write(&file, yaml.replace("shuyu:\n", "shuyu:\n  sandbox: {cpus: 1.5, session: 3h}\n")).unwrap();
    app.import_from(&root, "small", "org").await;
    app.import(&Wanted::default(), "plain", "org").await;
    let (alice, bob) = (app.user("alice").await, app.user("bob").await);
    for person in [&alice, &bob] {
        enter(person).await.is(303);
    }
    (app, org, alice, bob)
}

async fn open(person: &Browser) {
    person.post(&format!("{C}/sandbox/open"), &[]).await.see_other(&format!("{C}/sandbox"));
}

/// What the log says was done so, the latest first.
async fn audited(app: &TestApp, action: &str) -> Vec<Value> {
    let filter = Filter { action: Some(action.to_owned()), per_page: 10, ..Filter::default() };
    audit::list(&app.app.db, &filter).await.unwrap().entries.into_iter().map(|entry| entry.detail).collect()
}

async fn send(program: &Browser, method: Method, path: &str, body: &Value) -> Answer {
    program.send(method, path, &[], |request| request.json(body)).await
}

/// The id of a login's sandbox.
async fn id_of(program: &Browser, login: &str) -> String {
    let list = program.get(API).await.ok().json();
    let items = list["items"].as_array().unwrap();
    let found = items.iter().find(|item| item["login"] == login).unwrap();
    found["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_desk_shows_who_waits_says_something_and_stops() {
    let (app, org, alice, bob) = scene().await;
    org.get("/competitions/plain/desk/sandboxes").await.is(404);
    org.get("/competitions/plain/desk").await.ok().lacks("desk/sandboxes");
    org.get(&format!("{C}/desk")).await.ok().has("0 个使用中，0 个排队").has("desk/sandboxes");
    org.get(DESK).await.ok().has("没有人在使用沙箱").has("1.5").has("shuyu/python:latest").has("30 天");
    open(&alice).await;
    open(&bob).await;
    let page = org.get(DESK).await.ok().has("排队").has("alice 先生").has("bob 先生");
    assert!(page.body.find("alice 先生") < page.body.find("bob 先生"), "in their turn");
    org.get(&format!("{C}/desk")).await.ok().has("0 个使用中，2 个排队");
    app.visitor().get("/metrics").await.ok().has("shuyu_sandboxes_waiting 2").has("shuyu_sandbox_places 0");

    let token = org.program(&org.token("organize").await);
    let (hers, his) = (id_of(&token, "alice").await, id_of(&token, "bob").await);
    org.post(&format!("{DESK}/message"), &[("message", "18 点维护 <b>请保存</b>")]).await.see_other(DESK);
    org.post(&format!("{DESK}/{his}/message"), &[("message", "只给您")]).await.see_other(DESK);
    alice.get(&format!("{C}/sandbox")).await.ok().has("18 点维护 &lt;b&gt;请保存").lacks("<b>请保存");
    bob.get(&format!("{C}/sandbox")).await.ok().has("只给您").lacks("18 点");
    org.post(&format!("{DESK}/{his}/message"), &[("message", " ")]).await.see_other(DESK);
    bob.get(&format!("{C}/sandbox")).await.ok().lacks("主办方通知");
    let long = "长".repeat(501);
    org.post(&format!("{DESK}/message"), &[("message", &long)]).await.is(422);
    assert_eq!(audited(&app, "sandbox.told").await.len(), 3);

    org.post(&format!("{DESK}/{hers}/stop"), &[("reason", "请先看规则")]).await.see_other(DESK);
    alice.get(&format!("{C}/sandbox")).await.ok().has("主办方停止了它").has("请先看规则").has("打开沙箱");
    org.post(&format!("{DESK}/{hers}/stop"), &[]).await.is(404);
    org.get(DESK).await.ok().has("由主办方停止").has("请先看规则");
    open(&alice).await;
    org.post(&format!("{DESK}/stop"), &[("reason", "")]).await.see_other(DESK);
    org.get(DESK).await.ok().has("正在停止 2 个沙箱").has("没有人在使用沙箱");
    org.post(&format!("{DESK}/stop"), &[]).await.see_other(DESK);
    org.get(DESK).await.ok().has("没有正在使用的沙箱");
    assert_eq!(audited(&app, "sandbox.stop_asked").await.len(), 3);

    org.get(&format!("{DESK}/{hers}/log")).await.ok().has("不可信").has("没有日志");
    org.get(&format!("{DESK}/{}/log", app.id_of("alice").await)).await.is(404);
    assert_eq!(audited(&app, "sandbox.log_read").await.len(), 1);
    let csv = org.get(&format!("{C}/desk/exports/sandboxes.csv")).await.ok().has("cpu_seconds");
    assert_eq!(csv.body.lines().count(), 4, "{}", csv.body);
    for path in ["", &format!("/{hers}/log")] {
        alice.get(&format!("{DESK}{path}")).await.is(403);
    }
    app.visitor().get(DESK).await.is(401);
    for path in ["stop", "message", &format!("{hers}/stop"), &format!("{hers}/message")] {
        alice.post(&format!("{DESK}/{path}"), &[]).await.is(403);
    }
}

#[tokio::test]
async fn the_same_is_asked_over_the_api() {
    let (app, org, alice, bob) = scene().await;
    open(&alice).await;
    open(&bob).await;
    let token = org.program(&org.token("organize").await);
    let list = token.get(API).await.ok().json();
    assert_eq!((&list["held"], &list["waiting"]), (&json!(0), &json!(2)));
    assert_eq!(list["items"][1]["ahead"], 1, "{list:#}");
    assert_eq!((&list["items"][0]["state"], &list["items"][0]["now"]), (&json!("waiting"), &Value::Null));

    let told = send(&token, Method::PUT, &format!("{API}/message"), &json!({ "message": "six" })).await;
    assert_eq!(told.ok().json(), json!({ "sandboxes": 2 }));
    let his = id_of(&token, "bob").await;
    let one = format!("{API}/{his}");
    send(&token, Method::PUT, &format!("{one}/message"), &json!({ "message": "seven" })).await.ok();
    let said = token.get(API).await.ok().json();
    assert_eq!(
        (&said["items"][0]["message"], &said["items"][1]["message"]),
        (&json!("six"), &json!("seven"))
    );
    send(&token, Method::POST, &format!("{one}/stop"), &json!({ "reason": "done" })).await.ok();
    send(&token, Method::POST, &format!("{one}/stop"), &json!({})).await.is(404);
    let over = token.get(&format!("{API}?over=true")).await.ok().json();
    assert_eq!(over["items"][0]["reason"], "organizer");
    let all = send(&token, Method::POST, &format!("{API}/stop"), &json!({})).await.ok().json();
    assert_eq!(all, json!({ "sandboxes": 1 }));

    let log = token.get(&format!("{one}/log")).await.ok().json();
    assert_eq!(log, json!({ "state": "stopped", "log": null }));
    assert_eq!(audited(&app, "sandbox.log_read").await.len(), 1);

    // another competition's organizer cannot reach these, nor can a participant
    let plain = "/api/v1/competitions/plain/desk/sandboxes";
    send(&token, Method::POST, &format!("{plain}/{his}/stop"), &json!({})).await.is(404);
    let hers = alice.program(&alice.token("submit").await);
    hers.get(API).await.is(403);
    send(&hers, Method::POST, &format!("{API}/stop"), &json!({})).await.is(403);
    hers.get(&format!("{one}/log")).await.is(403);
    token.get(&format!("{plain}/{his}/log")).await.is(404);
    send(&hers, Method::PUT, &format!("{API}/message"), &json!({ "message": "x" })).await.is(403);
    app.visitor().get(API).await.is(401);
}

#[tokio::test]
async fn how_long_a_home_is_kept_stands_on_its_owners_page() {
    let (_app, _org, alice, _bob) = scene().await;
    alice.get(&format!("{C}/sandbox")).await.ok().lacks("个人目录保留至");
    open(&alice).await;
    // the phase ends in 2090
    alice.get(&format!("{C}/sandbox")).await.ok().has("个人目录保留至").has("2090-01-31");
    alice.post(&format!("{C}/sandbox/empty"), &[]).await.is(409);
    alice.post(&format!("{C}/sandbox/copy"), &[]).await.is(409);
    alice.post(&format!("{C}/sandbox/stop"), &[]).await.is(303);
    alice.get(&format!("{C}/sandbox")).await.ok().has("已退出排队").lacks("沙箱已停止");
    alice.post(&format!("{C}/sandbox/empty"), &[]).await.is(303);
    alice
        .get(&format!("{C}/sandbox"))
        .await
        .ok()
        .has("个人目录已删除")
        .lacks("个人目录保留至")
        .lacks("，文件保留")
        .lacks("文件在停止后仍保留");
    alice.post(&format!("{C}/sandbox/empty"), &[]).await.is(409);
}

#[tokio::test]
async fn participants_ask_for_their_own_over_the_api() {
    let (app, _org, alice, bob) = scene().await;
    let own = "/api/v1/competitions/small/sandbox";
    let hers = alice.program(&alice.token("submit").await);
    let his = bob.program(&bob.token("submit").await);
    assert_eq!(hers.get(own).await.ok().json(), Value::Null);
    send(&hers, Method::POST, &format!("{own}/stop"), &json!({})).await.is(409);
    for program in [&hers, &his] {
        send(program, Method::POST, &format!("{own}/open"), &Value::Null).await.ok();
    }
    let waiting = his.get(own).await.ok().json();
    assert_eq!(
        (&waiting["state"], &waiting["place"]["ahead"]),
        (&json!("waiting"), &json!(1)),
        "{waiting:#}"
    );
    assert!(waiting["page"].as_str().unwrap().ends_with(&format!("{C}/sandbox")), "{waiting:#}");
    assert_ne!(hers.get(own).await.ok().json()["id"], waiting["id"]);

    send(&his, Method::POST, &format!("{own}/restart"), &Value::Null).await.ok();
    let left = send(&his, Method::POST, &format!("{own}/stop"), &json!({ "reset": false })).await.ok().json();
    assert_eq!((&left["state"], &left["reason"]), (&json!("stopped"), &json!("left")), "{left:#}");
    assert_eq!(hers.get(own).await.ok().json()["state"], "waiting", "each their own");

    let reader = bob.program(&bob.token("read").await);
    reader.get(own).await.ok();
    send(&reader, Method::POST, &format!("{own}/open"), &Value::Null).await.is(403);
    hers.get("/api/v1/competitions/plain/sandbox").await.is(404);
    let stranger = app.user("stranger").await;
    let stranger = stranger.program(&stranger.token("submit").await);
    send(&stranger, Method::POST, &format!("{own}/open"), &Value::Null).await.is(403);
    app.visitor().get(own).await.is(401);
}

/// A worker elsewhere that holds sandboxes, as far as the pages know.
async fn host(app: &TestApp) {
    let (house, now) = (&app.app.house, app.clock.now());
    let worker = queue::db::Worker {
        id: house.entropy.id(&house.clock),
        name: "elsewhere".to_owned(),
        version: "1".to_owned(),
        slots: 1,
        started_at: now,
        seen_at: now,
        stopped_at: None,
        sandbox_origin: "http://{id}.localhost".to_owned(),
        sandbox_places: 4,
    };
    let mut tx = house.db.begin().await.unwrap();
    queue::db::seen(&mut tx, &worker).await.unwrap();
    tx.commit().await.unwrap();
}

/// A competition with sandboxes whose only phase is then; `carol` takes part in it.
async fn when(from: &str, to: &str) -> (TestApp, Browser) {
    let app = TestApp::start_with(|settings| "{id}.localhost".clone_into(&mut settings.sandboxes.host)).await;
    app.user_with("org", &[Role::Organizer]).await;
    let directory = tempfile::tempdir().unwrap();
    let root = contest::bundle_in(directory.path(), &AUTO);
    let file = root.join("competition.yaml");
    let yaml = fs::read_to_string(&file).unwrap();
    let yaml = yaml.replace("shuyu:\n", "shuyu:\n  sandbox: {cpus: 2}\n");
    let dated = yaml.replace("2020-01-01", from).replace("2090-01-01", to);
    fs::write(&file, dated).unwrap();
    app.import_from(&root, "small", "org").await;
    host(&app).await;
    let carol = app.user("carol").await;
    carol.get(&format!("{C}/sandbox")).await.ok().has("请先接受规则参赛").lacks("才能提交");
    enter(&carol).await.is(303);
    (app, carol)
}

#[tokio::test]
async fn a_sandbox_is_offered_from_the_beginning_to_the_end_and_no_longer() {
    let button = format!("action=\"{C}/sandbox/open\"");
    let link = format!("<a class=\"button button-plain\" href=\"{C}/sandbox\"");
    let (_app, carol) = when("2080-01-01", "2090-01-01").await;
    carol
        .get(&format!("{C}/sandbox"))
        .await
        .ok()
        .has("竞赛开始后可打开沙箱")
        .has("2080-01-01")
        .lacks(&button);
    carol.get(C).await.ok().lacks(&link);
    let (_app, carol) = when("2020-01-01", "2021-01-01").await;
    carol.get(&format!("{C}/sandbox")).await.ok().has("竞赛结束于").has("2021-01-01").lacks(&button);
    carol.get(C).await.ok().lacks(&link);
    let (app, carol) = when("2020-01-01", "2090-01-01").await;
    carol.get(&format!("{C}/submit")).await.ok().has("可以打开沙箱").has(&link);
    let page = carol.get(&format!("{C}/sandbox")).await.ok().has(&button).lacks(&link);
    // two processors are two, and a competition without data sets speaks of none
    page.has(">2</dd>").has("另有 /tmp 1\u{202f}GiB、/dev/shm 256\u{202f}MiB").lacks("数据在 /data 下");

    // whoever was logged out meanwhile can log in from the page that says so, and comes back
    let visitor = app.visitor();
    let from = format!("http://{}{C}/sandbox", app.address);
    let refused = visitor.post_with(&format!("{C}/sandbox/open"), &[], &[("referer", &from)]).await.is(401);
    let next = "/login?next=%2Fcompetitions%2Fsmall%2Fsandbox";
    refused.has(next);
}
