//! Judging in a browser: a judge on a telephone by keyboard, drafts that survive a lost connection, two tabs;
//! and every page at both widths, checked by axe.

use std::fs;

use shuyu::people::Role;

use super::support::chromium::{Chromium, DESK, PHONE};
use super::support::contest::bundle_in;
use super::support::{PASSWORD, TestApp};
use super::{AUTO, C, base};

const JUDGING: &str = "  judging:
    judges_per_entry: 2
    disagreement: {threshold: 20}
    normalisation: zscore
    rubric:
      criteria:
        - key: use
          title: {zh: 实用性, en: Usefulness}
          description: {zh: 能否解决实际问题, en: Does it solve a real problem}
          anchors: {0: {zh: 无法使用, en: unusable}, 5: {zh: 可用, en: usable}, 10: {zh: 可直接使用, en: ready}}
        - {key: novel, title: {zh: 新颖性, en: Novelty}, max: 5}
        - {key: fine, title: {zh: 精细度, en: Finish}, max: 100, anchors: {50: {zh: 一般, en: fair}}}
";

async fn scene() -> TestApp {
    let app = TestApp::start().await;
    let org = app.user_with("org", &[Role::Organizer]).await;
    let directory = tempfile::tempdir().unwrap();
    let root = bundle_in(directory.path(), &AUTO);
    let yaml = fs::read_to_string(root.join("competition.yaml")).unwrap();
    fs::write(root.join("competition.yaml"), format!("{yaml}{JUDGING}")).unwrap();
    app.import_from(&root, "small", "org").await;
    for (login, title) in [("alice", "晚点地图"), ("bob", "准点预报")] {
        let team = app.user(login).await;
        let rules = team.get(&format!("{C}/rules")).await.ok().body;
        let terms =
            rules.split("name=\"terms\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        team.post(&format!("{C}/register"), &[("terms", &terms), ("accept", "yes")]).await.is(303);
        let form = reqwest::multipart::Form::new()
            .text("seen", "0")
            .text("title", title)
            .text("summary", "一张能看**晚点**的地图，按月、按承运人。")
            .text("do", "submit");
        let save = format!("{C}/entry/save");
        team.send(reqwest::Method::POST, &save, &[], |request| request.multipart(form)).await.is(303);
    }
    for login in ["jia", "yin"] {
        let judge = app.user(login).await;
        let chair = if login == "jia" { "yes" } else { "" };
        let appoint = format!("{C}/desk/judging/main/appoint");
        org.post(&appoint, &[("login", login), ("chair", chair)]).await.is(303);
        let page = judge.get("/judging").await.ok().body;
        let at = page.find("/judging/panels/").unwrap();
        let answer = format!("{C}/judging/panels/{}", &page[at + 16..at + 52]);
        judge.post(&answer, &[("state", "accepted")]).await.is(303);
    }
    app
}

async fn numbers(app: &TestApp) -> Vec<i64> {
    let jia = app.visitor();
    jia.log_in("jia", PASSWORD).await.is(303);
    let page = jia.get(&format!("{C}/judging")).await.ok().body;
    let link = format!("<li><a href=\"{C}/judging/");
    let links = page.split(&link).skip(1);
    links.map(|rest| rest.split('"').next().unwrap().parse().unwrap()).collect()
}

async fn open(app: &TestApp) {
    let org = app.visitor();
    org.log_in("org", PASSWORD).await.is(303);
    org.post(&format!("{C}/desk/judging/main/open"), &[]).await.is(303);
}

#[tokio::test]
async fn a_judge_on_a_telephone_loses_nothing() {
    let app = scene().await;
    open(&app).await;
    let number = numbers(&app).await[0];
    let page = Chromium::open(&base(&app), PHONE).await;
    page.log_in("jia", PASSWORD).await;
    let address = format!("{C}/judging/{number}");
    page.go(&address).await;
    // a digit marks, j goes on, a number is typed where the scale is long
    page.click("input[name=mark-use][value='3']").await;
    page.client.active_element().await.unwrap().send_keys("7").await.unwrap();
    page.find("input[name=mark-use][value='7']:checked").await;
    page.client.active_element().await.unwrap().send_keys("j").await.unwrap();
    page.client.active_element().await.unwrap().send_keys("4").await.unwrap();
    page.find("input[name=mark-novel][value='4']:checked").await;
    page.find("input[name=seen]:not([value='0'])").await;

    // the connection is lost: what is written is kept here, and saved when it is back
    let gone = "window.fetch = () => Promise.reject(new TypeError('gone'));";
    page.script(gone).await;
    page.fill("textarea[name=to_team]", "离线时写的").await;
    page.shows("连接中断").await;
    page.go(&address).await;
    page.shows("已自动保存").await;
    let judge = app.visitor();
    judge.log_in("jia", PASSWORD).await.is(303);
    let shown = judge.get(&address).await.ok().has("离线时写的");

    // another tab saves: this one is told, and keeps its own when the judge says so
    let seen =
        shown.body.split("name=\"seen\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let fields = [("seen", seen.as_str()), ("mark-use", "1"), ("to_team", "另一页")];
    judge.post(&format!("{address}/draft"), &fields).await.is(303);
    let nine = "input[name=mark-use][value='9']";
    page.script(&format!("document.querySelector(\"{nine}\").scrollIntoView({{ block: 'center' }})")).await;
    page.click(nine).await;
    page.shows("内容已在别处保存").await;
    page.shows("另一页").await;
    page.click("[data-take-mine]").await;
    page.shows("已自动保存").await;
    judge.get(&address).await.ok().has("离线时写的").lacks("另一页");
    page.close().await;
}

#[tokio::test]
async fn judgings_pages_have_no_faults_at_both_widths() {
    let app = scene().await;
    let mut faults: Vec<String> = Vec::new();
    let desk = format!("{C}/desk/judging");
    let look = async |who: &str, path: &str, faults: &mut Vec<String>| {
        for window in [PHONE, DESK] {
            let page = Chromium::open(&base(&app), window).await;
            page.log_in(who, PASSWORD).await;
            page.go(path).await;
            faults.extend(page.flaws().await.into_iter().map(|fault| format!("{who} {path}: {fault}")));
            page.close().await;
        }
    };
    look("org", &format!("{desk}?q=a"), &mut faults).await;
    look("org", &format!("{desk}/rubric"), &mut faults).await;
    open(&app).await;
    let mine = numbers(&app).await;
    look("jia", "/judging", &mut faults).await;
    look("jia", &format!("{C}/judging"), &mut faults).await;
    look("jia", &format!("{C}/judging/{}", mine[0]), &mut faults).await;
    look("jia", &format!("{desk}/main/read/{}", mine[0]), &mut faults).await;
    look("jia", &desk, &mut faults).await;
    for (login, mark) in [("jia", "2"), ("yin", "9")] {
        let judge = app.visitor();
        judge.log_in(login, PASSWORD).await.is(303);
        for number in &mine {
            let fields = [
                ("seen", "0"),
                ("mark-use", mark),
                ("mark-novel", "3"),
                ("mark-fine", "60"),
                ("to_team", "图例请写清单位。"),
                ("to_jury", "数据来源可靠。"),
            ];
            judge.post(&format!("{C}/judging/{number}/submit"), &fields).await.is(303);
        }
    }
    look("jia", &format!("{C}/judging/{}", mine[0]), &mut faults).await;
    let chair = app.visitor();
    chair.log_in("jia", PASSWORD).await.is(303);
    chair.post(&format!("{desk}/main/close"), &[]).await.is(303);
    look("jia", &format!("{desk}/main/results"), &mut faults).await;
    look("jia", &format!("{desk}/main/entries/{}", mine[0]), &mut faults).await;
    look("org", &format!("{desk}/main/print"), &mut faults).await;
    look("org", &format!("{desk}/main/minutes"), &mut faults).await;
    chair.post(&format!("{desk}/main/sign"), &[("password", PASSWORD)]).await.is(303);
    let org = app.visitor();
    org.log_in("org", PASSWORD).await.is(303);
    org.post(&format!("{desk}/main/publish"), &[("on", "yes")]).await.is(303);
    look("org", &format!("{desk}/main/results"), &mut faults).await;
    look("alice", &format!("{C}/judged"), &mut faults).await;
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
