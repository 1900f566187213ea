//! What pages say of a submission that came from inside a sandbox.

use std::collections::BTreeMap;

use shuyu::contest::db as contest_db;
use shuyu::lab::db as lab_db;
use shuyu::people::Role;
use shuyu::submission::accept::{self, Request};
use shuyu::submission::model::{Aim, Origin, Submission};

use super::support::TestApp;
use super::{AUTO, C, enter, until_shown};

/// A file of alice's, handed in from inside.
async fn hand_in(app: &TestApp, file_name: &str, content: &str) -> Submission {
    let house = &app.app.house;
    let user = app.id_of("alice").await;
    let mut conn = house.db.read().await.unwrap();
    let competition = contest_db::by_slug(&mut conn, "small").await.unwrap().unwrap();
    let phase = contest_db::phases(&mut conn, competition.id).await.unwrap().remove(0);
    drop(conn);
    let request = Request {
        user,
        display_name: "alice".to_owned(),
        file_name: file_name.to_owned(),
        message: String::new(),
        facts: BTreeMap::new(),
        aim: Aim::Compete,
        origin: Origin::Sandbox,
        began: app.clock.now(),
    };
    accept::accept(house, &competition, &phase, request, content.as_bytes(), 1 << 20).await.unwrap()
}

async fn shown_bytes(app: &TestApp, of: &Submission) -> i64 {
    let mut conn = app.app.db.read().await.unwrap();
    lab_db::latest(&mut conn, of.competition, of.user).await.unwrap().unwrap().used.shown_bytes
}

#[tokio::test]
async fn what_came_from_inside_is_named_kept_and_counted() {
    let app = TestApp::start().await;
    let org = app.user_with("org", &[Role::Organizer]).await;
    app.import_with_sandboxes(&AUTO, "small", "org").await;
    let alice = app.user("alice").await;
    enter(&alice).await.is(303);
    alice.post(&format!("{C}/sandbox/open"), &[]).await.is(303);
    let worker = app.worker().await;
    let submission = hand_in(&app, "main.py", "print('from inside')\nraise SystemExit(3)\n").await;
    let address = format!("{C}/submissions/{}", submission.id);
    app.until(|| async { alice.get(&address).await.ok().body.contains("from inside") }).await;

    // the file stays, whoever asks; everything says why
    let page = until_shown(&app, &alice, &address, "沙箱内提交").await;
    page.has("不能再下载").lacks(&format!("{address}/file"));
    alice.get(&format!("{C}/submissions")).await.ok().has("沙箱内提交");
    for who in [&alice, &org] {
        who.get(&format!("{address}/file")).await.is(403).has("该文件不可下载").has("可能含有沙箱数据");
    }
    let bob = app.user("bob").await;
    bob.get(&format!("{address}/file")).await.is(404);
    let table = org.get(&format!("{C}/desk/exports/submissions.csv")).await.ok();
    table.has("origin").has(",sandbox,main.py,");

    // each time its log is shown or handed out it counts, and nothing else does
    let before = shown_bytes(&app, &submission).await;
    assert!(before > 0, "{before}");
    let page = alice.get(&address).await.ok();
    let once = shown_bytes(&app, &submission).await - before;
    assert!(once >= "from inside".len() as i64, "{once}");
    let log = page.body.split(&format!("{address}/log/")).nth(1).unwrap().split('"').next().unwrap();
    let log = alice.get(&format!("{address}/log/{log}")).await.ok();
    let all = before + once + log.body.len() as i64;
    assert_eq!(shown_bytes(&app, &submission).await, all);
    alice.get(&format!("{C}/submissions")).await.ok();
    assert_eq!(shown_bytes(&app, &submission).await, all);

    // faults quote the file
    let quoted = "quoted-from-inside".repeat(4);
    let faulty = hand_in(&app, "bad.csv", &format!("row,y\nr0,{quoted}\n")).await;
    let address = format!("{C}/submissions/{}", faulty.id);
    app.until(|| async { alice.get(&address).await.ok().body.contains(&quoted) }).await;
    let program = alice.program(&alice.token("read").await);
    let api = format!("/api/v1/submissions/{}", faulty.id);
    let list = "/api/v1/competitions/small/submissions".to_owned();
    let paths =
        [address.clone(), format!("{address}/faults.csv"), format!("{address}/faults.json"), api, list];
    for path in &paths {
        let before = shown_bytes(&app, &faulty).await;
        let who = if path.starts_with("/api") { &program } else { &alice };
        who.get(path).await.ok().has(&quoted);
        let counted = shown_bytes(&app, &faulty).await - before;
        assert!(counted >= quoted.len() as i64, "{path}: {counted}");
    }
    let before = shown_bytes(&app, &faulty).await;
    org.get(&format!("{C}/desk/submissions/{}", faulty.id)).await.ok();
    assert_eq!(shown_bytes(&app, &faulty).await, before, "the desk is not its team");
    worker.end().await;
}
