//! Entries over the API.

use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::json;
use shuyu::people::Role;

use super::support::{Answer, Browser, TestApp, Wanted};

const AUTO: Wanted = Wanted { top: "registration_auto_approve: true", phase: "", board: "" };
const E: &str = "/api/v1/competitions/small/entry";

async fn call(program: &Browser, method: Method, path: &str, body: serde_json::Value) -> Answer {
    program.send(method, path, &[], |request| request.json(&body)).await
}

async fn put(program: &Browser, body: serde_json::Value) -> Answer {
    call(program, Method::PUT, E, body).await
}

async fn add(program: &Browser, revision: i64, bytes: Vec<u8>) -> Answer {
    let form = Form::new().text("revision", revision.to_string()).text("caption", "图一");
    let form = form.part("file", Part::bytes(bytes).file_name("x"));
    program.send(Method::POST, &format!("{E}/files"), &[], |request| request.multipart(form)).await
}

async fn takes_part(app: &TestApp, login: &str) -> Browser {
    let browser = app.user(login).await;
    let rules = browser.get("/competitions/small/rules").await.ok();
    let at = rules.body.find("name=\"terms\" value=\"").unwrap() + 20;
    let terms = rules.body[at..at + 64].to_owned();
    browser.post("/competitions/small/register", &[("terms", &terms), ("accept", "yes")]).await.is(303);
    browser.program(&browser.token("submit").await)
}

#[tokio::test]
async fn a_program_writes_illustrates_submits_and_withdraws_an_entry() {
    let app = TestApp::start().await;
    let org = app.user_with("org", &[Role::Organizer]).await;
    app.import_with_entries("{required: [pictures]}", &AUTO, "small", "org").await;
    let alice = takes_part(&app, "alice").await;
    let bob = takes_part(&app, "bob").await;
    alice.get(E).await.is(404);

    let made = put(&alice, json!({ "revision": 0, "title": "alice's map", "demo": "https://a.cn" }))
        .await
        .ok()
        .json();
    assert_eq!((made["state"].as_str(), made["lacks"][0].as_str()), (Some("draft"), Some("pictures")));
    assert_eq!(made["leaks"][0], json!({ "part": "title", "kind": "named", "word": "alice", "seen": false }));
    let revision = made["revision"].as_i64().unwrap();
    let stale = put(&alice, json!({ "revision": revision + 7, "title": "x" })).await.is(409);
    assert_eq!(stale.json()["code"], "entry-changed");
    let wrong = put(&alice, json!({ "revision": revision, "demo": "http://a.cn" })).await.is(422);
    assert_eq!(wrong.json()["errors"][0]["code"], "entry-demo");
    let early =
        call(&alice, Method::POST, &format!("{E}/submit"), json!({ "revision": revision })).await.is(422);
    assert_eq!(early.json()["errors"][0]["field"], "pictures");

    add(&alice, revision, b"GIF89a".to_vec()).await.is(422);
    let mut png = std::io::Cursor::new(Vec::new());
    image::RgbImage::new(3, 2).write_to(&mut png, image::ImageFormat::Png).unwrap();
    let added = add(&alice, revision, png.into_inner()).await.is(201).json();
    let picture = &added["draft"]["pictures"][0];
    assert_eq!(picture["caption"], "图一");
    let file = format!("{E}/files/{}", picture["file"].as_str().unwrap());
    assert_eq!(alice.get(&file).await.ok().header("content-type"), "image/png");
    bob.get(&file).await.is(404);
    put(&bob, json!({ "revision": 0, "title": "b" })).await.ok();
    bob.get(&file).await.is(404);
    let stolen = json!({ "revision": 2, "pictures": [{ "file": picture["file"] }] });
    put(&bob, stolen).await.is(404);

    let revision = added["revision"].as_i64().unwrap();
    let done =
        call(&alice, Method::POST, &format!("{E}/submit"), json!({ "revision": revision })).await.ok().json();
    assert_eq!((done["state"].as_str(), done["lacks"].as_array().unwrap().len()), (Some("submitted"), 0));
    let desk = org.program(&org.token("organize").await);
    let list = desk.get("/api/v1/competitions/small/desk/entries").await.ok().json();
    assert_eq!(list["total"], 2);
    let titles: Vec<_> =
        list["items"].as_array().unwrap().iter().filter_map(|item| item["title"].as_str()).collect();
    assert_eq!(titles, ["alice's map"], "a draft's title is its team's alone");
    alice.get("/api/v1/competitions/small/desk/entries").await.is(403);

    let removed = call(&alice, Method::DELETE, &file, json!({})).await.ok().json();
    assert_eq!(removed["draft"]["pictures"], json!([]));
    alice.get(&file).await.ok();
    let back = call(&alice, Method::POST, &format!("{E}/withdraw"), json!({})).await.ok().json();
    assert_eq!(back["state"], "withdrawn");
    call(&alice, Method::POST, &format!("{E}/withdraw"), json!({})).await.is(409);
    app.visitor().get(E).await.is(401);
}

#[tokio::test]
async fn an_organizers_program_does_what_the_desk_does() {
    let app = TestApp::start().await;
    let org = app.user_with("org", &[Role::Organizer]).await;
    app.import_with_entries("{}", &AUTO, "small", "org").await;
    let alice = takes_part(&app, "alice").await;
    put(&alice, json!({ "revision": 0, "title": "晚点地图", "summary": "图" })).await.ok();
    let program = org.program(&org.token("organize").await);
    let reader = org.program(&org.token("read").await);
    let list = program.get("/api/v1/competitions/small/desk/entries").await.ok().json();
    let number = list["items"][0]["number"].as_i64().unwrap();
    let desk = format!("/api/v1/competitions/small/desk/entries/{number}");
    let draft = program.get(&desk).await.ok().lacks("晚点地图").json();
    assert_eq!((&draft["state"], &draft["submitted"]), (&"draft".into(), &serde_json::Value::Null));
    call(&program, Method::POST, &format!("{desk}/unsubmit"), json!({ "reason": "x" })).await.is(409);

    let submit = || async {
        let revision = alice.get(E).await.ok().json()["revision"].clone();
        call(&alice, Method::POST, &format!("{E}/submit"), json!({ "revision": revision })).await.ok()
    };
    submit().await;
    let shown =
        call(&alice, Method::POST, &format!("{E}/publish"), json!({ "shown": true })).await.ok().json();
    assert_eq!(shown["published"], true);
    let one = program.get(&desk).await.ok().json();
    assert_eq!((&one["submitted"]["title"], &one["published"]), (&"晚点地图".into(), &true.into()));
    // out of the showcase with a reason, and in again
    let showcase = format!("{desk}/showcase");
    call(&program, Method::POST, &showcase, json!({ "shown": false })).await.is(422);
    let out = json!({ "shown": false, "reason": "含真实车牌" });
    let down = call(&program, Method::POST, &showcase, out).await.ok().json();
    assert_eq!((&down["published"], &down["hidden_reason"]), (&false.into(), &"含真实车牌".into()));
    call(&alice, Method::POST, &format!("{E}/publish"), json!({ "shown": true })).await.is(409);
    call(&program, Method::POST, &showcase, json!({ "shown": true })).await.ok();
    call(&alice, Method::POST, &format!("{E}/publish"), json!({ "shown": true })).await.ok();
    // given back, more time
    call(&program, Method::POST, &format!("{desk}/unsubmit"), json!({ "reason": " " })).await.is(422);
    let back = json!({ "reason": "缺少说明" });
    let back = call(&program, Method::POST, &format!("{desk}/unsubmit"), back).await.ok().json();
    assert_eq!((&back["state"], &back["withdrawn_reason"]), (&"withdrawn".into(), &"缺少说明".into()));
    assert_eq!(alice.get(E).await.ok().json()["withdrawn_reason"], "缺少说明");
    let late = format!("{desk}/late");
    for hours in [0, -5, 100_000] {
        call(&program, Method::POST, &late, json!({ "hours": hours, "reason": "停电" })).await.is(422);
    }
    let given =
        call(&program, Method::POST, &late, json!({ "hours": 5, "reason": "停电" })).await.ok().json();
    assert!(given["late_until"].is_string(), "{given}");
    assert!(program.download("/api/v1/competitions/small/desk/entries.zip").await.starts_with(b"PK"));
    // none of it for others
    for who in [&alice, &reader] {
        for act in ["unsubmit", "late", "showcase"] {
            let body = json!({ "reason": "x", "hours": 1, "shown": true });
            call(who, Method::POST, &format!("{desk}/{act}"), body).await.is(403);
        }
    }
    alice.get(&desk).await.is(403);
    alice.get("/api/v1/competitions/small/desk/entries.zip").await.is(403);
    program.get("/api/v1/competitions/small/desk/entries/9999").await.is(404);
    call(&program, Method::POST, "/api/v1/competitions/small/desk/entries/x/late", json!({})).await.is(404);
}
