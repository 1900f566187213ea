//! A jury at work over HTTP: appointing, drawing, marking, a second round, the signature; and what is kept from
//! whom.

use std::fs;

use reqwest::Method;
use reqwest::multipart::Form;
use serde_json::Value;
use shuyu::audit::{self, Filter};
use shuyu::contest::definition::Definition;
use shuyu::people::{By, Role};

use super::support::contest::bundle_in;
use super::support::{Answer, Browser, PASSWORD, TestApp};
use super::{AUTO, C, enter, field};

pub(super) const DESK: &str = "/competitions/small/desk/judging";
pub(super) const JUDGE: &str = "/competitions/small/judging";

pub(super) const JUDGING: &str = "  judging:
    rubric:
      criteria:
        - key: use
          title: {zh: 实用性, en: Usefulness}
          weight: 3
          anchors: {0: {zh: 无用, en: none}, 10: {zh: 很有用, en: very}}
        - {key: novel, title: {zh: 新颖性, en: Novelty}, weight: 1, max: 5, step: 0.5}
    judges_per_entry: 2
    normalisation: zscore
    disagreement: {threshold: 30}
    ties: [judged, criterion use, earlier]
";

/// A service with a judged competition, its organizer, three judges who accepted (the first in the chair) and
/// three teams whose entries are submitted.
pub(super) struct Scene {
    pub app: TestApp,
    pub org: Browser,
    pub judges: Vec<Browser>,
    pub teams: Vec<Browser>,
}

impl Scene {
    pub(super) async fn new(judging: &str) -> Self {
        let app = TestApp::start().await;
        let org = app.user_with("org", &[Role::Organizer]).await;
        let directory = tempfile::tempdir().unwrap();
        let root = bundle_in(directory.path(), &AUTO);
        let path = root.join("competition.yaml");
        let yaml = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{yaml}{judging}")).unwrap();
        app.import_from(&root, "small", "org").await;
        let mut scene = Self { app, org, judges: Vec::new(), teams: Vec::new() };
        for (login, title) in [("alice", "晚点地图"), ("bob", "准点预报"), ("carol", "换乘助手")]
        {
            let team = scene.app.user(login).await;
            enter(&team).await.is(303);
            submit_entry(&team, title, &format!("由 {login} 先生 制作")).await;
            scene.teams.push(team);
        }
        for login in ["jia", "yin", "bing"] {
            let judge = scene.app.user(login).await;
            scene.appoint(login, login == "jia").await.is(303);
            scene.answer(&judge, "accepted", "").await.see_other("/judging");
            scene.judges.push(judge);
        }
        scene
    }

    pub(super) async fn appoint(&self, login: &str, chair: bool) -> Answer {
        let chair = if chair { "yes" } else { "" };
        self.org.post(&format!("{DESK}/main/appoint"), &[("login", login), ("chair", chair)]).await
    }

    pub(super) async fn answer(&self, judge: &Browser, state: &str, reason: &str) -> Answer {
        let page = judge.get("/judging").await.ok();
        let at = page.body.find("/judging/panels/").unwrap();
        let panel = &page.body[at + 16..at + 52];
        judge.post(&format!("{JUDGE}/panels/{panel}"), &[("state", state), ("reason", reason)]).await
    }

    /// What is done to the main panel.
    pub(super) async fn act(&self, who: &Browser, act: &str, fields: &[(&str, &str)]) -> Answer {
        who.post(&format!("{DESK}/main/{act}"), fields).await
    }

    pub(super) fn chair(&self) -> &Browser {
        &self.judges[0]
    }

    /// Every judge submits marks for everything that is theirs; `mark` says which for judge and entry.
    pub(super) async fn mark_all(&self, mark: impl Fn(usize, i64) -> (f64, f64)) {
        for (index, judge) in self.judges.iter().enumerate() {
            for number in theirs(judge).await {
                let (a, b) = mark(index, number);
                submit(judge, number, a, b).await.is(303);
            }
        }
    }

    pub(super) async fn minutes(&self) -> Vec<Value> {
        let filter = Filter { action: Some("judging.noted".to_owned()), per_page: 200, ..Filter::default() };
        let page = audit::list(&self.app.app.db, &filter).await.unwrap();
        page.entries.into_iter().map(|entry| entry.detail).collect()
    }

    pub(super) async fn results(&self) -> String {
        let page = self.org.get(DESK).await.ok();
        let at = page.body.find("/results\"").unwrap();
        let start = page.body[..at].rfind("href=\"").unwrap() + 6;
        page.body[start..at].to_owned()
    }
}

/// Writes an entry and hands it in.
pub(super) async fn submit_entry(team: &Browser, title: &str, summary: &str) {
    let form = || Form::new().text("title", title.to_owned()).text("summary", summary.to_owned());
    let seen = field(&team.get(&format!("{C}/entry")).await.ok(), "seen");
    let sent = form().text("seen", seen).text("do", "submit");
    let answer = team.send(Method::POST, &format!("{C}/entry/save"), &[], |r| r.multipart(sent)).await;
    answer.see_other(&format!("{C}/entry"));
}

/// The numbers of the entries in a judge's list.
pub(super) async fn theirs(judge: &Browser) -> Vec<i64> {
    let page = judge.get(JUDGE).await.ok();
    let links = page.body.split("<li><a href=\"/competitions/small/judging/").skip(1);
    links.filter_map(|rest| rest.split('"').next()?.parse().ok()).collect()
}

pub(super) async fn seen(judge: &Browser, number: i64) -> String {
    field(&judge.get(&format!("{JUDGE}/{number}")).await.ok(), "seen")
}

pub(super) fn fields<'a>(seen: &'a str, a: &'a str, b: &'a str, said: &'a str) -> [(&'a str, &'a str); 5] {
    [("seen", seen), ("mark-use", a), ("mark-novel", b), ("to_team", said), ("to_jury", "内部")]
}

pub(super) async fn submit(judge: &Browser, number: i64, a: f64, b: f64) -> Answer {
    let (seen, a, b) = (seen(judge, number).await, a.to_string(), b.to_string());
    let said = format!("意见 {number}");
    judge.post(&format!("{JUDGE}/{number}/submit"), &fields(&seen, &a, &b, &said)).await
}

#[tokio::test]
async fn from_appointing_to_the_signed_and_published_ranking() {
    let scene = Scene::new(JUDGING).await;
    let (org, chair) = (&scene.org, scene.chair());
    org.get(DESK).await.ok().has("jia 先生").has("已接受").has("分配作品并开始评审").has("alice 先生");
    chair.get(JUDGE).await.ok().has("暂无分配给您的作品").has("实用性");
    scene.act(org, "open", &[]).await.is(303);
    // the chair sees the panel, blind, and nothing else of the desk
    chair.get(DESK).await.ok().has("准点预报").lacks("bob").lacks("alice").lacks("desk/participants");
    chair.get(&format!("{C}/desk")).await.is(403);
    scene.judges[1].get(DESK).await.is(403);

    // three entries, two judges each, three judges: two each
    for judge in &scene.judges {
        assert_eq!(theirs(judge).await.len(), 2);
    }
    let number = theirs(chair).await[0];
    let page = chair.get(&format!("{JUDGE}/{number}")).await.ok();
    page.has("很有用").has("mark-novel").has("value=\"4.5\"").has("提交评分");
    // what is missing or off the scale is refused, and kept in the form
    let sent = fields("0", "3.5", "", "好");
    let refused = chair.post(&format!("{JUDGE}/{number}/submit"), &sent).await.is(422);
    refused.has("请给这一项打分").has("不是可选的分值").has(">好</textarea>");
    scene.mark_all(|judge, number| ((judge as f64 * 2.0) + (number % 3) as f64, 2.5)).await;
    chair.get("/judging").await.ok().has("2 / 2");

    // while the round is open nobody sees anybody's marks, the chair included
    let results = format!("{DESK}/main/results");
    for who in [org, chair] {
        who.get(&results).await.is(409);
        who.get(&format!("{DESK}/main/ranking.csv")).await.is(409);
    }
    scene.act(org, "close", &[]).await.is(403);
    scene.act(chair, "close", &[]).await.is(303);
    let page = chair.get(&results).await.ok().has("签署排名").has("校准前").lacks("alice");
    assert!(page.body.contains("各评委的宽严"));
    org.get(&results).await.ok().has("alice 先生").has("由组长签署");
    chair.post(&format!("{JUDGE}/{number}/back"), &[]).await.is(409);

    let again = scene.act(chair, "sign", &[("password", "wrong wrong wrong")]).await.is(422);
    again.has("签署排名").has("晚点地图");
    scene.act(org, "sign", &[("password", PASSWORD)]).await.is(403);
    scene.act(chair, "sign", &[("password", PASSWORD)]).await.is(303);
    chair.get(&results).await.ok().has("排名已签署").has("alice 先生");
    org.get(&format!("{DESK}/main/print")).await.ok().has("SM3").has("bob 先生");

    // nothing of it reaches anybody before it is published
    let alice = &scene.teams[0];
    alice.get(&format!("{C}/judged")).await.is(404);
    alice.get(C).await.ok().lacks("评审结果");
    scene.act(chair, "publish", &[("on", "yes")]).await.is(403);
    scene.act(org, "publish", &[("on", "yes")]).await.is(303);
    let own = alice.get(&format!("{C}/judged")).await.ok();
    let own = own.has("您的作品").has("意见").lacks("内部").lacks("jia").has("bob 先生");
    assert_eq!(own.body.matches("<blockquote").count(), 2);
    let public = scene.app.visitor().get(&format!("{C}/judged")).await.ok();
    public.has("alice 先生").lacks("您的作品").lacks("意见 ").lacks("内部");
}

#[tokio::test]
async fn no_byte_of_a_judges_pages_names_who_made_it() {
    let scene = Scene::new(JUDGING).await;
    for (login, organisation) in [("alice", "东港大学"), ("bob", "西山研究所"), ("carol", "南湖中学")]
    {
        let id = scene.app.id_of(login).await;
        scene.app.app.people.set_organisation(By::Machine, id, organisation).await.unwrap();
        scene.teams[0].post(&format!("{C}/team/rename"), &[("name", "飞鸟队")]).await.is(303);
    }
    submit_entry(&scene.teams[0], "飞鸟队的晚点地图", "飞鸟队（alice 先生，东港大学）做的").await;
    scene.act(&scene.org, "open", &[]).await.is(303);
    let mut seen = 0;
    for judge in &scene.judges {
        let mut pages = vec![judge.get("/judging").await.ok(), judge.get(JUDGE).await.ok()];
        for number in theirs(judge).await {
            pages.push(judge.get(&format!("{JUDGE}/{number}")).await.ok());
            pages.push(submit(judge, number, 5.0, 2.5).await.is(303));
            pages.push(judge.get(&format!("{JUDGE}/{number}")).await.ok());
        }
        seen += pages.len();
        for page in pages {
            let all = format!("{:?}{}", page.headers, page.body);
            for name in ["alice", "bob", "carol", "飞鸟队", "东港大学", "西山研究所", "南湖中学", "Alice"]
            {
                assert!(!all.contains(name), "{name} is in {page:#?}");
            }
        }
    }
    assert_eq!(seen, 3 * (2 + 2 * 3));
    // what is not theirs is not there: pages, files, acts
    let all: Vec<i64> = theirs(&scene.judges[0]).await;
    let other = theirs(&scene.judges[1]).await.into_iter().find(|number| !all.contains(number)).unwrap();
    scene.judges[0].get(&format!("{JUDGE}/{other}")).await.is(404);
    scene.judges[0].post(&format!("{JUDGE}/{other}/draft"), &fields("0", "1", "1", "")).await.is(404);
    for outsider in [&scene.teams[0], &scene.org] {
        outsider.get(&format!("{JUDGE}/{other}")).await.is(404);
        outsider.get(JUDGE).await.is(403);
    }
    scene.app.visitor().get(DESK).await.is(401);
    scene.teams[0].get(DESK).await.is(403);
}

#[tokio::test]
async fn who_takes_part_never_judges_and_who_runs_it_not_blind() {
    let scene = Scene::new(JUDGING).await;
    scene.appoint("alice", false).await.is(409).has("参赛者不能担任评委");
    scene.appoint("org", false).await.is(409).has("主办人员不能参加盲评");
    scene.appoint("jia", false).await.is(409).has("已是评委");
    scene.appoint("nobody", false).await.is(422);
    // nor does a judge take part, asked or resigned
    let dora = scene.app.user("dora").await;
    let terms = field(&dora.get(&format!("{C}/rules")).await.ok(), "terms");
    let enters = [("terms", terms.as_str()), ("accept", "yes")];
    scene.judges[1].post(&format!("{C}/register"), &enters).await.is(403).has("评委不能参赛");
    scene.answer(&scene.judges[1], "resigned", "忙").await.is(303);
    scene.judges[1].post(&format!("{C}/register"), &enters).await.is(403);
    scene.appoint("dora", false).await.is(303);
    dora.get("/").await.ok().has("我的评审");
    scene.answer(&dora, "declined", "").await.is(303);
    dora.get("/").await.ok().lacks("我的评审");
    dora.post(&format!("{C}/register"), &enters).await.is(303);
}

#[tokio::test]
async fn conflicts_are_kept_out_and_a_judge_who_goes_leaves_nothing_open() {
    let scene = Scene::new(JUDGING).await;
    // jia is of alice's organisation, without anybody saying so
    for login in ["jia", "alice"] {
        let id = scene.app.id_of(login).await;
        scene.app.app.people.set_organisation(By::Machine, id, "东港大学").await.unwrap();
    }
    scene.act(&scene.org, "open", &[]).await.is(303);
    let shown = scene.org.get(DESK).await.ok();
    let row = |login: &str| {
        let at = shown.body.find(&format!("<td>{login} 先生</td>")).unwrap();
        let start = shown.body[..at].rfind("<th scope=\"row\" class=\"num\">").unwrap();
        shown.body[start + 28..].split('<').next().unwrap().parse::<i64>().unwrap()
    };
    let (alice, bob) = (row("alice"), row("bob"));
    assert!(!theirs(&scene.judges[0]).await.contains(&alice));
    assert!(
        theirs(&scene.judges[1]).await.contains(&alice) && theirs(&scene.judges[2]).await.contains(&alice)
    );

    // yi knows bob's work: it goes to jia and bing, or stays with them
    let (yi, bing) = (&scene.judges[1], &scene.judges[2]);
    if theirs(yi).await.contains(&bob) {
        yi.post(&format!("{JUDGE}/{bob}/conflict"), &[("reason", " ")]).await.is(422);
        yi.post(&format!("{JUDGE}/{bob}/conflict"), &[("reason", "曾指导此项目")]).await.is(303);
        yi.get(&format!("{JUDGE}/{bob}")).await.is(404);
        scene.org.get(DESK).await.ok().has("曾指导此项目");
    }
    // bing submits one and resigns: what is submitted stays, the rest goes on
    let first = theirs(bing).await.into_iter().find(|number| *number != alice).unwrap();
    submit(bing, first, 7.0, 3.0).await.is(303);
    scene.answer(bing, "resigned", "出差").await.is(303);
    bing.get(JUDGE).await.is(403);
    bing.get(&format!("{JUDGE}/{first}")).await.is(404);
    let open = [theirs(&scene.judges[0]).await, theirs(yi).await].concat();
    for number in [alice, bob] {
        assert!(open.contains(&number) || number == first, "{number} in {open:?}");
    }
    let minutes = scene.minutes().await;
    assert!(minutes.iter().any(|m| m["kind"] == "judge-answered" && m["state"] == "resigned"));
    let drawn = minutes.iter().find(|m| m["kind"] == "drawn").unwrap();
    assert!(drawn["short"].as_array().is_some(), "{drawn}");
    scene.org.get(DESK).await.ok().has("评委不足");
    // an organisation that the chair names
    let chair = scene.chair();
    let id = scene.app.id_of("yin").await.to_string();
    let declared = [("judge", id.as_str()), ("organisation", "东港大学"), ("reason", "合作单位")];
    chair.post(&format!("{DESK}/main/conflicts"), &declared).await.is(303);
    assert!(!theirs(yi).await.contains(&alice));
}

#[tokio::test]
async fn two_tabs_never_overwrite_each_other_unseen() {
    let scene = Scene::new(JUDGING).await;
    scene.act(&scene.org, "open", &[]).await.is(303);
    let judge = scene.chair();
    let number = theirs(judge).await[0];
    let draft = format!("{JUDGE}/{number}/draft");
    let json = [("accept", "application/json"), ("sec-fetch-site", "same-origin")];
    let saved = judge.post_with(&draft, &fields("0", "4", "", "一"), &json).await.ok().json();
    assert_eq!(saved["version"], 1);
    // the same again, as after an answer that was lost, changes nothing
    let again = judge.post_with(&draft, &fields("0", "4", "", "一"), &json).await.ok().json();
    assert_eq!(again["version"], 1);
    let other = judge.post_with(&draft, &fields("0", "9", "", "二"), &json).await.is(409).json();
    assert_eq!((&other["code"], &other["version"]), (&"marks-newer".into(), &1.into()));
    assert_eq!(other["sheet"]["marks"]["use"], 4.0);
    // without a script: both stand beside each other, and what was sent can be saved then
    let page = judge.post(&draft, &fields("0", "9", "", "二")).await.is(409);
    let page = page.has("内容已在别处保存").has("实用性").has("二</textarea>");
    assert_eq!(field(&page, "seen"), "1");
    assert!(page.body.contains("<strong class=\"said-text\">4</strong>"), "{page:#?}");
    judge.post(&draft, &fields("1", "9", "5", "二")).await.is(303);
    // submitting from the old tab is refused likewise
    judge.post(&format!("{JUDGE}/{number}/submit"), &fields("1", "1", "1", "旧")).await.is(409);
    judge.post(&format!("{JUDGE}/{number}/submit"), &fields("2", "9", "5", "二")).await.is(303);
    judge.post(&draft, &fields("3", "1", "1", "旧")).await.is(409).has("评分已提交");
    judge.post(&format!("{JUDGE}/{number}/back"), &[]).await.is(303);
    judge.post(&draft, &fields("4", "1", "1", "新")).await.is(303);
}

#[tokio::test]
async fn others_marks_are_seen_after_ones_own_and_a_second_round_shows_them_before() {
    let scene = Scene::new(JUDGING).await;
    scene.act(&scene.org, "open", &[]).await.is(303);
    let (jia, yi) = (&scene.judges[0], &scene.judges[1]);
    let both = theirs(yi).await;
    let shared = theirs(jia).await.into_iter().find(|number| both.contains(number)).unwrap();
    submit(yi, shared, 10.0, 5.0).await.is(303);
    jia.get(&format!("{JUDGE}/{shared}"))
        .await
        .ok()
        .lacks("评委 A")
        .lacks(&format!("意见 {shared}"))
        .lacks("内部");
    submit(jia, shared, 0.0, 0.5).await.is(303);
    jia.get(&format!("{JUDGE}/{shared}")).await.ok().has("评委 A").has("内部").lacks("yin 先生");
    // who has seen them keeps their own
    jia.get(&format!("{JUDGE}/{shared}")).await.ok().lacks("取回修改").has("您已看到其他评委的评分");
    jia.post(&format!("{JUDGE}/{shared}/back"), &[]).await.is(409).has("评分不能再修改");
    // the chair may close that
    scene.act(yi, "peek", &[("on", "no")]).await.is(403);
    scene.act(jia, "peek", &[("on", "no")]).await.is(303);
    jia.get(&format!("{JUDGE}/{shared}")).await.ok().lacks("评委 A").lacks("不显示姓名");
    for judge in &scene.judges {
        for number in theirs(judge).await.into_iter().filter(|number| *number != shared) {
            submit(judge, number, 5.0, 2.5).await.is(303);
        }
    }
    scene.act(jia, "close", &[]).await.is(303);
    let results = scene.results().await;
    let page = jia.get(&format!("{results}/results")).await.ok().has("1 件作品的分歧大于 30");
    assert!(page.body.contains(&format!("name=\"entry\" value=\"{shared}\" checked")));
    jia.get(&format!("{results}/entries/{shared}")).await.ok().has("jia 先生").has("yin 先生").has("内部");
    scene.act(jia, "second-round", &[]).await.is(409);
    let chosen = shared.to_string();
    scene.act(yi, "second-round", &[("entry", &chosen)]).await.is(403);
    scene.act(jia, "second-round", &[("entry", &chosen), ("more", "yes")]).await.is(303);
    // each sees the other's before submitting, and finds their own filled in; a third judge is asked
    let page = yi.get(&format!("{JUDGE}/{shared}")).await.ok();
    page.has("评委 A").has("复评").has("value=\"10\" checked").has("意见");
    let bing = &scene.judges[2];
    let page = bing.get(&format!("{JUDGE}/{shared}")).await.ok();
    page.has("评委 A").has("评委 B").lacks("checked");
    let elsewhere = theirs(bing).await.into_iter().find(|number| *number != shared).unwrap();
    bing.post(&format!("{JUDGE}/{elsewhere}/back"), &[]).await.is(409);
    submit(yi, shared, 4.0, 2.5).await.is(303);
    submit(bing, shared, 4.0, 2.5).await.is(303);
    scene.act(jia, "close", &[]).await.is(303);
    // jia said nothing more: their first marks count
    let csv = scene.org.get(&format!("{results}/marks.csv")).await.ok();
    let of_shared: Vec<&str> = csv.body.lines().filter(|l| l.starts_with(&format!("{shared},"))).collect();
    assert_eq!(of_shared.len(), 3, "{}", csv.body);
    assert!(of_shared.iter().any(|line| line.contains("jia 先生,1,")), "{}", csv.body);
    assert!(of_shared.iter().any(|line| line.contains("yin 先生,2,")), "{}", csv.body);
}

/// The rubric's form with its fields as the page holds them, some replaced.
async fn rubric_fields(who: &Browser, change: &[(&str, &str)]) -> Vec<(String, String)> {
    let page = who.get(&format!("{DESK}/rubric")).await.ok();
    let form = page.body.split("class=\"rubric-form\"").nth(1).unwrap().split("</form>").next().unwrap();
    let mut fields: Vec<(String, String)> = Vec::new();
    for tag in form.split('<').filter(|tag| tag.starts_with("input ") || tag.starts_with("textarea ")) {
        let of = |name: &str| tag.split(&format!(" {name}=\"")).nth(1).and_then(|t| t.split('"').next());
        let Some(name) = of("name") else { continue };
        if of("type") == Some("checkbox") && !tag.contains(" checked") {
            continue;
        }
        let text = if tag.starts_with("textarea") { tag.split_once('>').map(|t| t.1) } else { of("value") };
        fields.push((name.to_owned(), text.unwrap_or_default().to_owned()));
    }
    fields.push(("normalisation".to_owned(), "zscore".to_owned()));
    for (name, value) in change {
        fields.retain(|(other, _)| other != name);
        fields.push(((*name).to_owned(), (*value).to_owned()));
    }
    fields
}

pub(super) async fn change_rubric(who: &Browser, change: &[(&str, &str)]) -> Answer {
    let fields = rubric_fields(who, change).await;
    let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    who.post(&format!("{DESK}/rubric"), &fields).await
}

#[tokio::test]
async fn a_rubric_changed_after_the_first_mark_is_a_version_and_asks_again() {
    let scene = Scene::new(JUDGING).await;
    scene.act(&scene.org, "open", &[]).await.is(303);
    let jia = scene.chair();
    let number = theirs(jia).await[0];
    submit(jia, number, 8.0, 3.0).await.is(303);
    // the same saved again is no change
    change_rubric(&scene.org, &[]).await.is(303);
    scene.org.get(&format!("{DESK}/rubric")).await.ok().has("1 份评分表").lacks("value=\"2\"> ");
    change_rubric(&scene.org, &[("max-1", "10")]).await.is(422).has("已有评分，请写明修改理由");
    change_rubric(&scene.org, &[("step-1", "3")]).await.is(422).has("评审项的分值无法从 0");
    jia.get(&format!("{JUDGE}/{number}")).await.ok().has("取回修改");
    // what a criterion weighs asks nobody again
    let untouched = theirs(jia).await[1];
    change_rubric(&scene.org, &[("weight-0", "2"), ("reason", "改权重")]).await.is(303);
    jia.get(&format!("{JUDGE}/{number}")).await.ok().has("取回修改");
    scene.org.get(&format!("{DESK}/rubric")).await.ok().has("1 份评分表");
    // names are an organizer's to show
    change_rubric(jia, &[("blind", ""), ("reason", "看一看")]).await.is(403);
    change_rubric(&scene.org, &[("max-1", "10"), ("reason", "统一为十分制")]).await.is(303);
    jia.get(JUDGE).await.ok().has("评审表已改为第 3 版").has("统一为十分制").has("未评");
    jia.get(&format!("{JUDGE}/{untouched}")).await.ok().has("未评").lacks("草稿</span>");
    // asked again: the mark of the criterion that stayed is there, the other's is not
    let page = jia.get(&format!("{JUDGE}/{number}")).await.ok().has("提交评分");
    assert!(page.body.contains("name=\"mark-use\" value=\"8\" checked"), "{page:#?}");
    assert!(!page.body.contains("name=\"mark-novel\" value=\"3\" checked"));
    scene.org.get(&format!("{DESK}/rubric")).await.ok().has("统一为十分制");
    let minutes = scene.minutes().await;
    let noted: Vec<_> = minutes.iter().filter(|m| m["kind"] == "rubric-changed").collect();
    let noted: Vec<_> = noted.iter().map(|m| (m["version"].as_i64(), m["asked_again"].as_i64())).collect();
    assert!(noted.contains(&(Some(2), Some(0))) && noted.contains(&(Some(3), Some(1))), "{noted:?}");
    // an exported bundle has it
    let yaml = scene.org.get(&format!("{C}/desk/bundle")).await.ok();
    assert!(yaml.body.contains("judging"), "{yaml:#?}");
    scene.mark_all(|_, _| (5.0, 5.0)).await;
    scene.act(jia, "close", &[]).await.is(303);
    change_rubric(&scene.org, &[("weight-0", "9"), ("reason", "x")]).await.is(409).has("评审表已固定");
}

#[tokio::test]
async fn an_entry_withdrawn_is_nobodys_and_one_submitted_later_is_given_at_once() {
    let scene = Scene::new(JUDGING).await;
    scene.act(&scene.org, "open", &[]).await.is(303);
    let before: Vec<Vec<i64>> = [theirs(&scene.judges[0]).await, theirs(&scene.judges[1]).await].into();
    scene.mark_all(|_, _| (5.0, 2.5)).await;
    // what judges have stays as it is, unless it is taken back
    let page = scene.teams[1].get(&format!("{C}/entry")).await.ok();
    page.has("作品已进入评审").lacks("name=\"do\"");
    let form =
        Form::new().text("title", "改了").text("summary", "改了").text("seen", "1").text("do", "submit");
    let save = format!("{C}/entry/save");
    let sent = scene.teams[1].send(Method::POST, &save, &[], |r| r.multipart(form)).await;
    sent.is(409).has("作品已进入评审");
    scene.teams[1].post(&format!("{C}/entry/withdraw"), &[]).await.is(303);
    let mut gone = Vec::new();
    for (judge, before) in scene.judges.iter().zip(&before) {
        let now = theirs(judge).await;
        gone.extend(before.iter().filter(|number| !now.contains(number)).copied());
    }
    assert!(!gone.is_empty());
    scene.judges[0].get(&format!("{JUDGE}/{}", gone[0])).await.is(404);
    assert!(scene.minutes().await.iter().any(|m| m["kind"] == "entry-withdrawn" && m["entry"] == gone[0]));
    scene.act(scene.chair(), "close", &[]).await.is(303);
    let results = scene.results().await;
    let csv = scene.org.get(&format!("{results}/ranking.csv")).await.ok().lacks("bob");
    assert_eq!(csv.body.lines().count(), 3, "{}", csv.body);
    scene.act(scene.chair(), "reopen", &[("reason", "有队伍重新提交")]).await.is(303);
    submit_entry(&scene.teams[1], "准点预报 2", "新版").await;
    let all: usize =
        futures_util::future::join_all(scene.judges.iter().map(theirs)).await.iter().map(Vec::len).sum();
    assert_eq!(all, 6, "two judges for each of three");
}

#[tokio::test]
async fn what_is_signed_stays_and_a_reopened_panel_is_a_new_edition() {
    let scene = Scene::new(JUDGING).await;
    let chair = scene.chair();
    scene.act(&scene.org, "open", &[]).await.is(303);
    scene.mark_all(|judge, _| (judge as f64 + 3.0, 2.5)).await;
    scene.act(chair, "close", &[]).await.is(303);
    let results = scene.results().await;
    scene.act(chair, "sign", &[("password", PASSWORD)]).await.is(303);
    let signed = scene.org.get(&format!("{results}/ranking.json")).await.ok().json();
    assert_eq!(signed["document"]["outcome"]["entries"].as_array().unwrap().len(), 3);
    assert_eq!(signed["document"]["edition"], 1);
    let csv = scene.org.get(&format!("{results}/ranking.csv")).await.ok().body;

    // nothing changes it any more
    for (act, fields) in [
        ("open", vec![]),
        ("redraw", vec![]),
        ("close", vec![]),
        ("second-round", vec![("entry", "1")]),
        ("sign", vec![("password", PASSWORD)]),
        ("peek", vec![("on", "no")]),
    ] {
        let answer = scene.act(chair, act, &fields).await;
        assert!(matches!(answer.status.as_u16(), 409), "{act}: {answer:#?}");
    }
    scene.teams[0].post(&format!("{C}/entry/withdraw"), &[]).await.is(409).has("评审结果已签署");
    scene.teams[0].get(&format!("{C}/entry")).await.ok().has("评审已结束").lacks("name=\"do\"");
    let taken = signed["document"]["outcome"]["entries"][0]["number"].to_string();
    let why = [("reason", "侵权")];
    scene.org.post(&format!("{C}/desk/entries/{taken}/unsubmit"), &why).await.is(303);
    scene.teams[1].post(&format!("{C}/team/rename"), &[("name", "改名队")]).await.is(303);
    assert_eq!(scene.org.get(&format!("{results}/ranking.csv")).await.ok().body, csv);
    assert_eq!(scene.org.get(&format!("{results}/ranking.json")).await.ok().json(), signed);
    let logged = Filter { action: Some("ranking.signed".to_owned()), per_page: 10, ..Filter::default() };
    let logged = audit::list(&scene.app.app.db, &logged).await.unwrap().entries;
    assert_eq!((logged.len(), &logged[0].detail["digest"]), (1, &signed["digest"]));

    scene.act(&scene.org, "publish", &[("on", "yes")]).await.is(303);
    scene.app.visitor().get(&format!("{C}/judged")).await.ok();
    scene.act(chair, "reopen", &[("reason", " ")]).await.is(422);
    scene.act(chair, "reopen", &[("reason", "计分有误")]).await.is(303);
    scene.app.visitor().get(&format!("{C}/judged")).await.is(404);
    scene.act(chair, "close", &[]).await.is(303);
    scene.act(chair, "sign", &[("password", PASSWORD)]).await.is(303);
    let again = scene.org.get(&format!("{results}/ranking.json")).await.ok().json();
    assert_eq!(again["document"]["edition"], 2);
    assert_eq!(again["document"]["outcome"]["entries"].as_array().unwrap().len(), 2, "one was withdrawn");
    scene.org.get(&format!("{results}/minutes")).await.ok().has("计分有误").has("签署排名").lacks("不符");
}

#[tokio::test]
async fn a_competition_without_the_key_is_given_a_rubric_at_the_desk() {
    let scene = Scene::new("  entries: {}\n").await;
    scene.org.get(DESK).await.ok().has("还没有评审表");
    scene.act(&scene.org, "open", &[]).await.is(409).has("还没有评审表");
    let more =
        scene.org.post(&format!("{DESK}/rubric"), &[("more", "yes"), ("title_zh-0", "清楚")]).await.ok();
    more.has("value=\"清楚\"").has("评审项 2");
    let rubric = [
        ("title_zh-0", "清楚"),
        ("key-0", "clear"),
        ("anchors-0", "0 | 看不懂\n10 | 一目了然 | plain at once"),
        ("per_entry", "2"),
        ("blind", "yes"),
        ("weight_judged", "100"),
        ("weight_automatic", "0"),
    ];
    scene.org.post(&format!("{DESK}/rubric"), &rubric).await.is(303);
    scene.act(&scene.org, "open", &[]).await.is(303);
    let number = theirs(scene.chair()).await[0];
    scene.chair().get(&format!("{JUDGE}/{number}")).await.ok().has("一目了然").has("清楚");
    scene.chair().get_with(&format!("{JUDGE}/{number}"), &[("accept-language", "en")]).await.ok();
}

#[tokio::test]
async fn the_same_is_done_over_the_api() {
    let scene = Scene::new(JUDGING).await;
    let api = "/api/v1/competitions/small";
    let org = scene.org.program(&scene.org.token("organize").await);
    let chair = scene.chair().program(&scene.chair().token("organize").await);
    let reader = scene.chair().program(&scene.chair().token("read").await);
    let send = |who: &Browser, method: Method, path: String, body: Value| {
        let who = who.copy();
        async move { who.send(method, &path, &[], |request| request.json(&body)).await }
    };
    let panels = org.get(&format!("{api}/desk/judging")).await.ok().json();
    let panel = panels[0]["id"].as_str().unwrap().to_owned();
    assert_eq!((&panels[0]["state"], &panels[0]["entries"]), (&"preparing".into(), &3.into()));
    assert_eq!(panels[0]["judges"].as_array().unwrap().len(), 3);
    let dora = scene.app.user("dora").await;
    let asked = serde_json::json!({ "login": "dora" });
    send(&chair, Method::POST, format!("{api}/desk/judging/judges"), asked.clone()).await.is(403);
    send(&org, Method::POST, format!("{api}/desk/judging/judges"), asked).await.is(201);
    scene.answer(&dora, "accepted", "").await.is(303);
    let act = |who: &Browser, act: &str| {
        send(who, Method::POST, format!("{api}/desk/judging/panels/{panel}/{act}"), serde_json::json!({}))
    };
    act(&reader, "open").await.is(403);
    act(&org, "open").await.ok();
    act(&org, "close").await.is(403);
    act(&org, "explode").await.is(404);

    let mine = chair.get(&format!("{api}/judging")).await.ok().json();
    let number = mine[0]["number"].as_i64().unwrap();
    let at = format!("{api}/judging/{number}");
    reader.get(&at).await.is(403);
    org.get(&at).await.is(403);
    let shown = chair.get(&at).await.ok().lacks("alice").lacks("bob").lacks("carol").json();
    assert_eq!(shown["own"]["version"], 0);
    let draft = serde_json::json!({ "version": 0, "marks": {"use": 4.0}, "to_team": "好" });
    let saved = send(&chair, Method::PUT, at.clone(), draft).await.ok().json();
    assert_eq!((&saved["version"], &saved["state"]), (&1.into(), &"assigned".into()));
    let stale = serde_json::json!({ "version": 0, "marks": {"use": 9.0} });
    let kept = send(&chair, Method::PUT, at.clone(), stale).await.is(409).json();
    assert_eq!(kept["sheet"]["marks"]["use"], 4.0);
    let short = serde_json::json!({ "version": 1, "marks": {"use": 4.0}, "submit": true });
    send(&chair, Method::PUT, at.clone(), short).await.is(422).has("mark-missing");
    let whole = serde_json::json!({ "version": 1, "marks": {"use": 4.0, "novel": 1.5}, "submit": true });
    let done = send(&chair, Method::PUT, at.clone(), whole).await.ok().json();
    assert_eq!(done["state"], "submitted");
    org.get(&format!("{api}/desk/judging/panels/{panel}/ranking")).await.is(409);
    act(&chair, "close").await.ok();
    let ranking = chair.get(&format!("{api}/desk/judging/panels/{panel}/ranking")).await.ok();
    ranking.lacks("alice").has("\"rank\":1");
    org.get(&format!("{api}/desk/judging/panels/{panel}/ranking")).await.ok().has("alice 先生");
    let minutes = org.get(&format!("{api}/desk/judging/panels/{panel}/minutes")).await.ok().json();
    assert!(minutes.as_array().unwrap().len() > 8);
    let rubric = org.get(&format!("{api}/desk/judging/rubric")).await.ok().json();
    assert_eq!((&rubric["version"], &rubric["judging"]["per_entry"]), (&1.into(), &2.into()));
    let put = serde_json::json!({ "judging": rubric["judging"] });
    send(&org, Method::PUT, format!("{api}/desk/judging/rubric"), put).await.is(409);
    for path in ["judging", "desk/judging", "desk/judging/rubric"] {
        scene.app.visitor().get(&format!("{api}/{path}")).await.is(401);
    }
    let alice = scene.teams[0].program(&scene.teams[0].token("organize").await);
    for path in ["judging", "desk/judging", "desk/judging/rubric"] {
        alice.get(&format!("{api}/{path}")).await.is(403);
    }
}

/// The automatic part is what the board shows to everybody, and nothing of a hidden column.
#[tokio::test]
async fn the_automatic_part_comes_from_the_public_board() {
    let judging = JUDGING.to_owned()
        + "    weights: {automatic: 50, judged: 50}\n    automatic: {column: rmse, from: 10, to: 0}\n";
    let scene = Scene::new(&judging).await;
    let worker = scene.app.worker().await;
    for (team, off) in [(&scene.teams[0], 5.0), (&scene.teams[1], 2.0)] {
        let address = super::submit(team, ("p.csv", super::predictions(off)), "").await;
        super::until_shown(&scene.app, team, &address, &format!("{off:.3}")).await;
    }
    scene.act(&scene.org, "open", &[]).await.is(303);
    scene.mark_all(|_, _| (10.0, 5.0)).await;
    scene.act(scene.chair(), "close", &[]).await.is(303);
    let results = scene.results().await;
    let csv = scene.org.get(&format!("{results}/ranking.csv")).await.ok().lacks("secret_mae");
    let total = |team: &str| {
        let line = csv.body.lines().find(|line| line.contains(team)).unwrap();
        let cells: Vec<&str> = line.split(',').collect();
        [cells[4], cells[7], cells[8]].map(|cell| cell.parse::<f64>().unwrap_or(-1.0))
    };
    // all marks are alike, so that z-scores leave them at their mean, 100
    assert_eq!(total("alice"), [75.0, 50.0, 5.0]);
    assert_eq!(total("bob"), [90.0, 80.0, 2.0]);
    assert_eq!(total("carol"), [50.0, 0.0, -1.0], "who stands on no board has nothing");
    // that a board goes on, and that somebody is not on it, has to be known to who signs
    scene
        .chair()
        .get(&format!("{results}/results"))
        .await
        .ok()
        .has("尚未结束")
        .has("1 件作品在排行榜上没有成绩");
    let signed = |known| [("password", PASSWORD), ("known", known)];
    scene.act(scene.chair(), "sign", &signed("")).await.is(422).has("我知道上面所说的自动评分情况");
    scene.org.get(&format!("{C}/desk")).await.ok().lacks("等待公布");
    scene.act(scene.chair(), "sign", &signed("yes")).await.is(303);
    scene.org.get(&format!("{C}/desk")).await.ok().has("评审结果已签署，等待公布");
    scene.act(&scene.org, "publish", &[("on", "yes")]).await.is(303);
    scene.org.get(&format!("{C}/desk")).await.ok().lacks("等待公布");
    worker.end().await;
}

#[tokio::test]
async fn a_rubric_alone_asks_for_entries_everywhere() {
    let scene = Scene::new(JUDGING).await;
    let (org, alice) = (&scene.org, &scene.teams[0]);
    // the team: a tab, its page, its preview, over the API
    alice.get(C).await.ok().has(&format!("href=\"{C}/entry\"")).has("作品");
    alice.get(&format!("{C}/entry")).await.ok().has("晚点地图").has("已提交");
    alice.get(&format!("{C}/entry/preview")).await.ok().has("晚点地图").lacks("alice");
    let program = alice.program(&alice.token("submit").await);
    let told = program.get("/api/v1/competitions/small/entry").await.ok().json();
    assert_eq!(told["state"], "submitted", "{told}");
    // the organizer: on the desk, and over the API
    org.get(&format!("{C}/desk")).await.ok().has(&format!("{C}/desk/entries")).has(DESK);
    org.get(&format!("{C}/desk/entries")).await.ok().has("晚点地图").has("准点预报");
    let program = org.program(&org.token("organize").await);
    let listed = program.get("/api/v1/competitions/small/desk/entries").await.ok().json();
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(3), "{listed}");
    // the judge
    scene.act(org, "open", &[]).await.is(303);
    let number = theirs(scene.chair()).await[0];
    scene.chair().get(&format!("{JUDGE}/{number}")).await.ok().has("实用性").lacks("先生 制作");
    // a later bundle that says nothing of judging takes nothing away: the rubric in force stays
    let mut tx = scene.app.app.db.begin().await.unwrap();
    let found = shuyu::contest::db::by_slug(&mut tx, "small").await.unwrap().unwrap();
    let definition = Definition { judging: None, ..found.definition.clone() };
    let text = serde_json::to_string(&definition).unwrap();
    sqlx::query("UPDATE competitions SET definition = $1 WHERE id = $2")
        .bind(text)
        .bind(found.id.to_string())
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    alice.get(&format!("{C}/entry")).await.ok().has("晚点地图");
    scene.chair().get(&format!("{JUDGE}/{number}")).await.ok().has("实用性");
}
