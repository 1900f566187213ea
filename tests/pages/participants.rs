//! Deciding on registrations, and what those who were refused read.

use serde_json::{Value, json};
use shuyu::audit::{self, Filter};

use super::support::{Browser, TestApp, Wanted};
use super::{C, enter, scene};

const DESK: &str = "/competitions/small/desk/participants";

/// What the log says was decided about a person, the latest first.
async fn decided(app: &TestApp, login: &str) -> Vec<Value> {
    let filter = Filter {
        action: Some("participant.decided".to_owned()),
        object: Some(("user".to_owned(), app.id_of(login).await.to_string())),
        per_page: 10,
        ..Filter::default()
    };
    audit::list(&app.app.db, &filter).await.unwrap().entries.into_iter().map(|entry| entry.detail).collect()
}

/// Sends the form with these people's boxes ticked.
async fn several(org: &Browser, ids: &[String], state: &str, reason: &str) -> super::Answer {
    let mut fields: Vec<(&str, &str)> = ids.iter().map(|id| ("user", id.as_str())).collect();
    fields.extend([("state", state), ("reason", reason)]);
    org.post(DESK, &fields).await
}

#[tokio::test]
async fn several_are_decided_on_at_once_and_only_those_who_wait() {
    let (app, org, alice, bob) = scene(&Wanted::default()).await;
    org.get(DESK).await.ok().lacks("通过所选");
    let carol = app.user("carol").await;
    let dan = app.user("dan").await;
    for person in [&alice, &bob, &carol, &dan] {
        enter(person).await.is(303);
    }
    let mut ids = Vec::new();
    for login in ["alice", "bob", "carol", "dan"] {
        ids.push(app.id_of(login).await.to_string());
    }
    let page = org.get(DESK).await.ok().has("通过所选").has("全选本页待审核的 4 人").lacks(" checked");
    assert_eq!(page.body.matches("form=\"several\" name=\"user\"").count(), 4);
    let page = org.get(&format!("{DESK}?all=yes")).await.ok();
    assert_eq!(page.body.matches(" checked>").count(), 4);

    several(&org, &[], "approved", "").await.see_other(DESK);
    org.get(DESK).await.ok().has("没有勾选任何人");
    several(&org, &ids[..2], "removed", "no").await.is(404);
    several(&org, &ids[..2], "denied", " ").await.is(422).has("请填写理由");
    several(&alice, &ids[..2], "approved", "").await.is(403);
    assert!(decided(&app, "alice").await.is_empty(), "nothing of it was done");

    // whoever was removed, and whoever never registered, is not admitted by the way
    org.post(&format!("{DESK}/{}", ids[3]), &[("state", "approved")]).await.is(303);
    org.post(&format!("{DESK}/{}", ids[3]), &[("state", "removed"), ("reason", "copied")]).await.is(303);
    app.user("eve").await;
    let eve = app.id_of("eve").await.to_string();
    let many = [ids[0].clone(), ids[0].clone(), ids[1].clone(), ids[3].clone(), eve];
    several(&org, &many, "approved", "").await.see_other(DESK);
    org.get(DESK).await.ok().has("已处理 2 人；另有 2 人已不在待审核之列");
    let approved = vec![json!({ "state": "approved", "reason": "" })];
    assert_eq!(decided(&app, "alice").await, approved, "one entry a person, as when decided one by one");
    assert_eq!(decided(&app, "bob").await, approved);
    assert_eq!(decided(&app, "dan").await.len(), 2);
    assert!(decided(&app, "eve").await.is_empty());
    alice.get(&format!("{C}/submit")).await.ok().has("今天还可提交");
    dan.get(&format!("{C}/submit")).await.ok().has("已被移出");

    several(&org, &ids[2..3], "denied", "名额已满").await.see_other(DESK);
    org.get(DESK).await.ok().has("未通过 1 人").lacks("通过所选");
    assert_eq!(decided(&app, "carol").await, [json!({ "state": "denied", "reason": "名额已满" })]);
}

#[tokio::test]
async fn who_is_refused_or_removed_reads_why() {
    let (app, org, alice, bob) = scene(&Wanted::default()).await;
    let pages = ["/submit", "/rules", "/team"].map(|tab| format!("{C}{tab}"));
    let said = |state: &'static str| [("state", state), ("reason", "未附 <i>单位</i> 证明")];
    enter(&alice).await.is(303);
    let place = format!("{DESK}/{}", app.id_of("alice").await);
    for page in &pages {
        alice.get(page).await.ok().lacks("主办方给出的理由");
    }
    org.post(&place, &said("denied")).await.is(303);
    for page in &pages {
        let page = alice.get(page).await.ok().has("主办方未通过您的报名").has("主办方给出的理由");
        page.has("未附 &lt;i&gt;单位&lt;/i&gt; 证明").lacks("<i>单位");
    }
    // admitted after all: what was said before is no more
    org.post(&place, &[("state", "approved")]).await.is(303);
    alice.get(&pages[0]).await.ok().lacks("单位").has("今天还可提交");
    alice.post(&format!("{C}/team/create"), &[("name", "Alices")]).await.is(303);
    let invite = alice.post(&format!("{C}/team/invite"), &[]).await;
    let at = invite.body.find("/join/").expect("the page shows the link");
    let link = invite.body[at..].split(['"', '<']).next().unwrap().to_owned();
    org.post(&place, &said("removed")).await.is(303);
    for page in &pages {
        alice.get(page).await.ok().has("已将您移出").has("未附 &lt;i&gt;单位");
    }
    enter(&bob).await.is(303);
    org.post(&format!("{DESK}/{}", app.id_of("bob").await), &said("denied")).await.is(303);
    bob.get(&format!("{C}{link}")).await.ok().has("未附 &lt;i&gt;单位");
    app.visitor().get(&pages[1]).await.ok().lacks("单位");
}
