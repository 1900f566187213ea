//! What pages say of results: who moved on the board and how they came there, two submissions side by
//! side, the star, and the first page.

use shuyu::scoring::board::mark;

use super::support::{Answer, Browser, PASSWORD, TestApp, Wanted, predictions};
use super::{AUTO, C, enter, scene, submit, until_shown};

const DAY: i64 = 86_400_000;

/// Scores one submission; gives its address.
async fn score(app: &TestApp, who: &Browser, name: &str, off: f64) -> String {
    let address = submit(who, (name, predictions(off)), name).await;
    until_shown(app, who, &address, &format!("{off:.3}")).await;
    address
}

/// The next day, as the housekeeping finds it.
async fn next_day(app: &TestApp, people: &[(&str, &Browser)]) {
    app.clock.shift(DAY);
    mark::take_due(&app.app.house).await.unwrap();
    for (login, browser) in people {
        browser.log_in(login, PASSWORD).await.is(303);
    }
}

/// The part of the board's page that is a team's row.
#[track_caller]
fn row(page: &Answer, team: &str) -> String {
    let end = page.body.find(&format!("<th scope=\"row\">{team}")).unwrap_or_else(|| panic!("{page:#?}"));
    let start = page.body[..end].rfind("<tr").unwrap();
    page.body[start..].split("</tr>").next().unwrap().to_owned()
}

#[tokio::test]
async fn the_board_says_who_moved_since_the_day_began_and_how_they_came_there() {
    let (app, org, alice, bob) = scene(&AUTO).await;
    let worker = app.worker().await;
    enter(&alice).await.is(303);
    enter(&bob).await.is(303);
    let board = format!("{C}/leaderboard");
    score(&app, &alice, "a.csv", 3.0).await;
    score(&app, &bob, "b.csv", 2.0).await;
    // on its first day there is nothing to compare with, and one score is no line
    alice.get(&board).await.ok().has("最近提升").lacks("升降").lacks("走势");

    next_day(&app, &[("alice", &alice), ("bob", &bob)]).await;
    let page = app.visitor().get(&board).await.ok().has("升降起算时间");
    assert!(row(&page, "alice").contains("名次未变"));
    score(&app, &alice, "better.csv", 1.0).await;
    score(&app, &alice, "worse.csv", 2.5).await;
    let carol = app.user("carol").await;
    enter(&carol).await.is(303);
    score(&app, &carol, "c.csv", 1.5).await;
    let page = app.visitor().get(&board).await.ok().lacks("2.500").lacks("暗栏");
    let alices = row(&page, "alice");
    assert!(alices.contains("▲1</span><span class=\"hidden-text\">上升 1 名"), "{alices}");
    // what never stood on the board is no part of the line: it stays level
    assert!(alices.contains("<polyline points=\"0,19 40,1 80,1\"/>"), "{alices}");
    assert!(alices.contains("aria-label=\"上榜成绩走势：3 次，从 3.000 到 1.000\""), "{alices}");
    assert!(row(&page, "bob").contains("▼2</span><span class=\"hidden-text\">下降 2 名"));
    assert!(row(&page, "carol").contains("<td class=\"moved\"><span class=\"up\">新</span>"));
    // the line of a team that scored again is drawn again, those beside it are kept
    score(&app, &bob, "b2.csv", 0.5).await;
    let page = app.visitor().get(&format!("{board}?q=bob")).await.ok();
    assert!(row(&page, "bob").contains("从 2.000 到 0.500"));
    assert!(row(&page, "bob").contains("名次未变"), "first again, as in the morning");

    next_day(&app, &[]).await;
    let page = app.visitor().get(&board).await.ok().lacks("▲").lacks("▼");
    assert_eq!(page.body.matches("名次未变").count(), 3);
    org.log_in("org", PASSWORD).await.is(303);
    org.get(&board).await.ok().has("暗栏").has("上榜成绩走势");
    worker.end().await;
}

const NOMINATES: Wanted = Wanted {
    top: "registration_auto_approve: true\nfact_sheet:\n  method: {key: method, type: text, title: 用了什么方法, selection: \"\", is_required: \"false\", is_on_leaderboard: \"false\"}",
    phase: "  - name: 决赛\n    start: 2090-01-02\n    tasks: [0]\n    auto_migrate_to_this_phase: true",
    board: "",
};

#[tokio::test]
async fn the_list_nominates_with_a_star_and_compares_two() {
    let (app, _org, alice, bob) = scene(&NOMINATES).await;
    let worker = app.worker().await;
    enter(&alice).await.is(303);
    enter(&bob).await.is(303);
    let list = format!("{C}/submissions");
    let first = score(&app, &alice, "first.csv", 2.0).await;
    alice.get(&list).await.ok().lacks("比较所选两次").has("☆").lacks("value=\"no\"");
    let fields = [("phase", "0"), ("message", "<b>more</b> trees"), ("fact-method", "random forest")];
    let second =
        alice.upload(&format!("{C}/upload"), ("second.csv", predictions(1.25)), &fields).await.is(303);
    let second = second.header("location").to_owned();
    until_shown(&app, &alice, &second, "1.250").await;

    let on = [("on", "yes"), ("back", "list")];
    alice.post(&format!("{first}/nominate"), &on).await.see_other(&format!("{list}?phase=0"));
    let page = alice.get(&list).await.ok().has("比较所选两次");
    assert_eq!(page.body.matches("class=\"star-button\" name=\"on\" value=\"no\"").count(), 1);
    assert_eq!(page.body.matches("class=\"star-button\" name=\"on\" value=\"yes\"").count(), 1);
    alice.post(&format!("{second}/nominate"), &on).await.is(409);
    bob.post(&format!("{first}/nominate"), &[("on", "no"), ("back", "list")]).await.is(404);
    let off = [("on", "no"), ("back", "https://example.com")];
    alice.post(&format!("{first}/nominate"), &off).await.see_other(&first);
    alice.get(&list).await.ok().lacks("value=\"no\"");

    let id = |address: &str| address.rsplit('/').next().unwrap().to_owned();
    let both = format!("{list}/compare?phase=0&s={}&s={}", id(&second), id(&first));
    let page = alice.get(&both).await.ok();
    assert!(
        page.body.find("first.csv").unwrap() < page.body.find("second.csv").unwrap(),
        "the earlier first"
    );
    let page = page.has("2.000").has("1.250").has("▼ −0.750 更好").has("文件不同").lacks("暗栏");
    page.has("&lt;b&gt;more&lt;/b&gt; trees").has("用了什么方法").has("random forest").has("第 1 名");
    let same = score(&app, &alice, "again.csv", 2.0).await;
    let page = alice.get(&format!("{list}/compare?s={}&s={}", id(&first), id(&same))).await.ok();
    page.has("文件相同").has("±0");
    for wrong in ["", &format!("s={}", id(&first)), &format!("s={0}&s={0}", id(&first))] {
        alice.get(&format!("{list}/compare?phase=0&{wrong}")).await.see_other(&format!("{list}?phase=0"));
        alice.get(&list).await.ok().has("请勾选两次提交");
    }
    bob.get(&both).await.is(404);
    app.visitor().get(&both).await.is(303);
    worker.end().await;
}

#[tokio::test]
async fn the_first_page_shows_the_latest_results_of_boards_that_all_may_see() {
    let (app, org, alice, _bob) = scene(&AUTO).await;
    app.visitor().get("/").await.ok().has("最新成绩").has("还没有成绩");
    let hidden = Wanted { board: "    hidden: true", ..AUTO };
    app.import(&hidden, "quiet", "org").await;
    let worker = app.worker().await;
    enter(&alice).await.is(303);
    score(&app, &alice, "a.csv", 2.0).await;
    let rules = alice.get("/competitions/quiet/rules").await.ok();
    let terms = super::field(&rules, "terms");
    alice.post("/competitions/quiet/register", &[("terms", &terms), ("accept", "yes")]).await.is(303);
    let file = ("q.csv", predictions(7.5));
    let quiet = alice.upload("/competitions/quiet/upload", file, &[("phase", "0")]).await.is(303);
    until_shown(&app, &alice, quiet.header("location"), "7.500").await;
    for browser in [&app.visitor(), &alice, &org] {
        let page = browser.get("/").await.ok().has("最新成绩").lacks("还没有成绩");
        page.has("alice 先生").has("2.000").lacks("7.500").lacks("暗栏").lacks("/quiet/leaderboard");
    }
    score(&app, &alice, "better.csv", 1.5).await;
    app.visitor().get("/").await.ok().has("1.500").lacks("2.000");
    org.post(&format!("{C}/desk/unpublish"), &[]).await.is(303);
    for browser in [&app.visitor(), &org] {
        browser.get("/").await.ok().has("还没有成绩").lacks("1.500");
    }
    worker.end().await;
}
