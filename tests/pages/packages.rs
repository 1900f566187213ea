//! Extra packages: a participant's on the page of their sandbox, everybody's on the desk.

use reqwest::Method;
use serde_json::json;

use super::sandboxes::scene;
use super::support::contest::Wanted;
use super::support::wheels::wheel;
use super::{AUTO, C, enter_at};

const DESK: &str = "/competitions/small/desk/packages";

/// The id in the first form that removes one.
fn id_in(page: &str) -> String {
    let end = page.find("/remove\"").unwrap();
    page[..end].rsplit('/').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_participant_adds_and_removes_their_own_and_an_organizer_everybodys() {
    let (app, org, alice, bob) = scene().await;
    let page = format!("{C}/sandbox");
    let to = format!("{C}/packages");
    alice.get(&page).await.ok().has("扩展包").has("添加 wheel").lacks("我的</caption>");
    let file = |name: &str, text: &str| {
        let (file_name, bytes) = wheel(name, "1.0", &[(&format!("{name}.py"), text)]);
        (file_name, bytes)
    };
    let (name, bytes) = file("mine", "");
    alice.upload(&to, (&name, bytes.clone()), &[]).await.see_other(&format!("{page}#packages"));
    let shown = alice.get(&page).await.ok().has("mine 1.0").has("已通过检查");
    let id = id_in(&shown.body);
    bob.get(&page).await.ok().lacks("mine 1.0");
    org.get(DESK).await.ok().lacks("mine 1.0").has("还没有扩展包");

    let refused = alice.upload(&to, (&name, bytes.clone()), &[]).await.is(409);
    refused.has("已有 mine 1.0").has("请先移除");
    let refused = alice.upload(&to, ("mine.zip", bytes.clone()), &[]).await.is(422);
    refused.has("mine.zip").has("请保留 pip 给出的文件名");
    let refused = alice.upload(&to, ("mine-2.0-py3-none-any.whl", bytes), &[]).await.is(422);
    refused.has("与文件名不符").has("mine-1.0");
    let (name, bytes) = wheel("evil", "1.0", &[("evil.pth", "import os")]);
    alice.upload(&to, (&name, bytes), &[]).await.is(422).has("evil.pth").has("自动运行");

    // the organizer's are for everybody, and come before a participant's
    let (name, bytes) = wheel("common", "1.0", &[("mine.py", "")]);
    alice.upload(&format!("{DESK}/upload"), (&name, bytes.clone()), &[]).await.is(403);
    org.upload(&format!("{DESK}/upload"), (&name, bytes), &[]).await.see_other(DESK);
    let everybodys = id_in(&org.get(DESK).await.ok().has("common 1.0").body);
    bob.get(&page).await.ok().has("common 1.0").has("主办方提供");
    alice.get(&page).await.ok().has("未启用");

    let remove = |id: &str| format!("{to}/{id}/remove");
    bob.post(&remove(&id), &[]).await.is(404);
    alice.post(&remove(&everybodys), &[]).await.is(404);
    alice.post(&remove(&id), &[]).await.see_other(&format!("{page}#packages"));
    alice.get(&page).await.ok().has("已移除").lacks("mine 1.0");
    alice.post(&remove(&id), &[]).await.is(404);
    org.post(&format!("{DESK}/{everybodys}/remove"), &[]).await.see_other(DESK);
    bob.get(&page).await.ok().lacks("common 1.0");

    // a script is told where to go on, and the notice waits for it there
    let (name, bytes) = file("scripted", "");
    let part = reqwest::multipart::Part::bytes(bytes).file_name(name);
    let form = reqwest::multipart::Form::new().part("file", part);
    let told = bob.send(Method::POST, &to, &[("accept", "application/json")], |r| r.multipart(form)).await;
    assert_eq!(told.ok().json(), json!({ "location": format!("{page}#packages") }));
    bob.get(&page).await.ok().has("scripted 1.0").has("已通过检查");

    let stranger = app.user("stranger").await;
    let (name, bytes) = file("theirs", "");
    stranger.upload(&to, (&name, bytes.clone()), &[]).await.is(403);
    bob.upload("/competitions/plain/packages", (&name, bytes), &[]).await.is(403);
}

#[tokio::test]
async fn without_sandboxes_packages_are_added_where_programs_are_submitted() {
    let (app, org, alice, _) = scene().await;
    app.import(&AUTO, "code", "org").await;
    let base = "/competitions/code";
    let page = format!("{base}/submit");
    let to = format!("{base}/packages");
    alice.get(&page).await.ok().lacks("扩展包");
    let (name, bytes) = wheel("mine", "1.0", &[("mine.py", "")]);
    alice.upload(&to, (&name, bytes.clone()), &[]).await.is(403);
    enter_at(&alice, base).await.is(303);
    alice.get(&page).await.ok().has("扩展包").has("程序运行时没有网络").lacks("沙箱没有网络");
    alice.upload(&to, (&name, bytes), &[]).await.see_other(&format!("{page}#packages"));
    let shown = alice.get(&page).await.ok().has("mine 1.0").has("已通过检查");
    let id = id_in(&shown.body);
    alice.post(&format!("{to}/{id}/remove"), &[]).await.see_other(&format!("{page}#packages"));
    alice.get(&page).await.ok().lacks("mine 1.0");
    // where sandboxes are offered, they are on that page
    alice.get(&format!("{C}/submit")).await.ok().lacks("扩展包");
    // and where results alone are taken, nowhere
    app.import(&Wanted { phase: "    accepts_only_result_submissions: true\n", ..AUTO }, "results", "org")
        .await;
    enter_at(&alice, "/competitions/results").await.is(303);
    alice.get("/competitions/results/submit").await.ok().lacks("扩展包");
    let (name, bytes) = wheel("mine", "1.0", &[("mine.py", "")]);
    alice.upload("/competitions/results/packages", (&name, bytes), &[]).await.is(404);
    org.get("/competitions/results/desk/packages").await.ok();
}
