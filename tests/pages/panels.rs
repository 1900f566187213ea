//! A panel while its people change: teams that grow and merge, organisations, judges who go in a second round;
//! what the chair reads; and who is told that something waits for them.

use serde_json::Value;
use shuyu::people::By;

use super::judging::{DESK, JUDGE, JUDGING, Scene, change_rubric, submit, submit_entry, theirs};
use super::support::{Answer, Browser};
use super::{C, enter};

/// Joins the team of `host` by an invitation.
async fn join(host: &Browser, guest: &Browser) -> Answer {
    let page = host.post(&format!("{C}/team/invite"), &[]).await.ok();
    let at = page.body.find("/join/").unwrap() + 6;
    let secret: String = page.body[at..].chars().take_while(char::is_ascii_alphanumeric).collect();
    guest.post(&format!("{C}/join/{secret}"), &[]).await
}

async fn belongs(scene: &Scene, login: &str, organisation: &str) {
    let id = scene.app.id_of(login).await;
    scene.app.app.people.set_organisation(By::Machine, id, organisation).await.unwrap();
}

/// The number of the entry with this title on the organizer's list.
async fn number_of(scene: &Scene, title: &str) -> i64 {
    let page = scene.org.get(DESK).await.ok().body;
    let link = &page[..page.find(&format!("\">{title}</a>")).unwrap()];
    link.rsplit('/').next().unwrap().parse().unwrap()
}

async fn judges_of(scene: &Scene, number: i64) -> Vec<usize> {
    let mut judges = Vec::new();
    for (index, judge) in scene.judges.iter().enumerate() {
        if theirs(judge).await.contains(&number) {
            judges.push(index);
        }
    }
    judges
}

fn noted<'m>(minutes: &'m [Value], kind: &str) -> Vec<&'m Value> {
    minutes.iter().filter(|minute| minute["kind"] == kind).collect()
}

#[tokio::test]
async fn who_joins_a_team_brings_their_conflicts_and_the_draw_is_mended_at_once() {
    let scene = Scene::new(JUDGING).await;
    scene.act(&scene.org, "open", &[]).await.is(303);
    let number = number_of(&scene, "晚点地图").await;
    let before = judges_of(&scene, number).await;
    assert_eq!(before.len(), 2);
    let judge = before[0];
    submit(&scene.judges[judge], number, 9.0, 4.5).await.is(303);
    belongs(&scene, ["jia", "yin", "bing"][judge], "东港大学").await;
    assert_eq!(judges_of(&scene, number).await, before, "nobody of the team is of that organisation yet");

    let dora = scene.app.user("dora").await;
    belongs(&scene, "dora", "东港大学").await;
    enter(&dora).await.is(303);
    join(&scene.teams[0], &dora).await.is(303);
    let after = judges_of(&scene, number).await;
    assert!(after.len() == 2 && !after.contains(&judge), "{before:?} {after:?}");
    scene.judges[judge].get(&format!("{JUDGE}/{number}")).await.is(404);
    let minutes = scene.minutes().await;
    let changed = noted(&minutes, "team-changed");
    assert_eq!((changed.len(), &changed[0]["entry"]), (1, &number.into()));
    let drawn = noted(&minutes, "drawn");
    let mended = |note: &&Value| note["ended"].as_i64() >= Some(1) && note["ended"] == note["added"];
    assert!(drawn.iter().any(mended), "{drawn:?}");
    // the chair judges blind: the minutes do not tell them who of which team joined or withdrew
    scene.teams[1].post(&format!("{C}/entry/withdraw"), &[]).await.is(303);
    let read = scene.chair().get(&format!("{DESK}/main/minutes")).await.ok().has("参赛团队").has("作品撤回");
    for name in ["dora", "alice", "bob"] {
        assert!(!read.body.contains(name), "{name} is in {read:#?}");
    }
    scene.org.get(&format!("{DESK}/main/minutes")).await.ok().has("dora").has("bob").lacks("参赛团队");
}

#[tokio::test]
async fn a_merged_team_keeps_the_conflicts_and_names_of_everybody_who_was_on_either() {
    let scene = Scene::new(JUDGING).await;
    let worker = scene.app.worker().await;
    // a team that has submitted, of two; the first leaves, the second merges it into one without an entry
    let (erin, fay) = (scene.app.user("erin").await, scene.app.user("fay").await);
    enter(&erin).await.is(303);
    enter(&fay).await.is(303);
    let address = super::submit(&erin, ("p.csv", super::predictions(1.0)), "").await;
    super::until_shown(&scene.app, &erin, &address, "1.000").await;
    submit_entry(&erin, "客流看板", "由 erin 先生 制作").await;
    join(&erin, &fay).await.is(303);
    erin.post(&format!("{C}/team/leave"), &[]).await.is(303);
    let gus = scene.app.user("gus").await;
    enter(&gus).await.is(303);
    gus.post(&format!("{C}/team/create"), &[("name", "新队")]).await.is(303);
    scene.act(&scene.org, "open", &[]).await.is(303);
    let number = number_of(&scene, "客流看板").await;
    join(&gus, &fay).await.is(303);
    scene.org.get(DESK).await.ok().has("新队");
    worker.end().await;

    let judges = judges_of(&scene, number).await;
    let judge = judges[0];
    let page = scene.judges[judge].get(&format!("{JUDGE}/{number}")).await.ok();
    page.has("▇").lacks("erin").lacks("fay").lacks("gus");
    // erin was on it before the merger: her organisation's judge goes
    belongs(&scene, "erin", "西山研究所").await;
    assert_eq!(judges_of(&scene, number).await, judges);
    belongs(&scene, ["jia", "yin", "bing"][judge], "西山研究所").await;
    assert!(!judges_of(&scene, number).await.contains(&judge));
    let minutes = scene.minutes().await;
    let changed = noted(&minutes, "organisation-changed");
    assert!(changed.iter().any(|note| note["judge"].is_string()), "{changed:?}");

    // two entries: the one of the team that is over is withdrawn, and its judges have it no more
    let carol = number_of(&scene, "换乘助手").await;
    assert!(!judges_of(&scene, carol).await.is_empty());
    let address = super::submit(&scene.teams[2], ("p.csv", super::predictions(2.0)), "").await;
    let worker = scene.app.worker().await;
    super::until_shown(&scene.app, &scene.teams[2], &address, "2.000").await;
    worker.end().await;
    join(&scene.teams[0], &scene.teams[2]).await.is(303);
    assert!(judges_of(&scene, carol).await.is_empty());
    let minutes = scene.minutes().await;
    assert!(noted(&minutes, "entry-withdrawn").iter().any(|note| note["entry"] == carol), "{minutes:?}");
}

#[tokio::test]
async fn somebody_who_says_another_organisation_is_theirs_is_kept_from_its_entries() {
    let scene = Scene::new(JUDGING).await;
    belongs(&scene, "alice", "东港大学").await;
    scene.act(&scene.org, "open", &[]).await.is(303);
    let number = number_of(&scene, "晚点地图").await;
    let judge = judges_of(&scene, number).await[0];
    let profile =
        [("name", "改名"), ("email", "judge@example.cn"), ("organisation", "东港大学"), ("locale", "zh-CN")];
    scene.judges[judge].post("/account", &profile).await.is(303);
    let after = judges_of(&scene, number).await;
    assert!(after.len() == 2 && !after.contains(&judge), "{after:?}");
    // the same saved again is no change
    let count = noted(&scene.minutes().await, "organisation-changed").len();
    scene.judges[judge].post("/account", &profile).await.is(303);
    assert_eq!(noted(&scene.minutes().await, "organisation-changed").len(), count);
    // nothing of a panel that is signed
    scene.mark_all(|_, _| (5.0, 2.5)).await;
    scene.act(scene.chair(), "close", &[]).await.is(303);
    scene.act(scene.chair(), "sign", &[("password", super::support::PASSWORD)]).await.is(303);
    belongs(&scene, "bob", "南湖中学").await;
    assert_eq!(noted(&scene.minutes().await, "organisation-changed").len(), count);
}

/// A panel of four in its second round for one entry: who marked it, and who did not.
async fn second_round() -> (Scene, i64, Vec<usize>, Vec<usize>) {
    let mut scene = Scene::new(JUDGING).await;
    let ding = scene.app.user("ding").await;
    scene.appoint("ding", false).await.is(303);
    scene.answer(&ding, "accepted", "").await.is(303);
    scene.judges.push(ding);
    scene.act(&scene.org, "open", &[]).await.is(303);
    let number = number_of(&scene, "晚点地图").await;
    scene.mark_all(|judge, _| (judge as f64, 2.5)).await;
    let (with, without) = {
        let with = judges_of(&scene, number).await;
        let without = (0..4).filter(|judge| !with.contains(judge)).collect();
        (with, without)
    };
    scene.act(scene.chair(), "close", &[]).await.is(303);
    let chosen = number.to_string();
    scene.act(scene.chair(), "second-round", &[("entry", &chosen)]).await.is(303);
    (scene, number, with, without)
}

#[tokio::test]
async fn a_second_round_is_marked_by_the_criteria_of_the_first() {
    let (scene, number, with, _) = second_round().await;
    let other = [("max-1", "10"), ("reason", "十分制")];
    change_rubric(&scene.org, &other).await.is(409).has("评审表已固定");
    change_rubric(&scene.org, &[("weight-0", "2"), ("reason", "改权重")]).await.is(303);
    for judge in with {
        submit(&scene.judges[judge], number, 5.0, 2.5).await.is(303);
    }
    scene.act(scene.chair(), "close", &[]).await.is(303);
    let results = scene.results().await;
    let csv = scene.org.get(&format!("{results}/ranking.csv")).await.ok();
    let ranked = |line: &str| line.starts_with(|c: char| c.is_ascii_digit());
    assert_eq!(csv.body.lines().skip(1).filter(|line| ranked(line)).count(), 3, "{}", csv.body);
}

/// Whether an entry is a judge's to mark in the round that is open.
async fn marks(scene: &Scene, judge: usize, number: i64) -> bool {
    let page = scene.judges[judge].get(&format!("{JUDGE}/{number}")).await;
    page.status == 200 && page.body.contains("提交评分")
}

async fn marking(scene: &Scene, number: i64) -> Vec<usize> {
    let mut judges = Vec::new();
    for judge in 0..scene.judges.len() {
        if marks(scene, judge, number).await {
            judges.push(judge);
        }
    }
    judges
}

#[tokio::test]
async fn a_judge_who_goes_in_a_second_round_is_replaced_in_it() {
    let (scene, number, with, without) = second_round().await;
    assert_eq!(marking(&scene, number).await, with);
    // the chair stays in the chair: the other resigns
    let (goes, stays) = if with[0] == 0 { (with[1], with[0]) } else { (with[0], with[1]) };
    scene.answer(&scene.judges[goes], "resigned", "出差").await.is(303);
    let now = marking(&scene, number).await;
    let new = *now.iter().find(|judge| without.contains(judge)).unwrap();
    assert_eq!(now.len(), 2);
    assert!(now.contains(&stays), "{now:?}");
    // who takes the place sees what was said in the first round, and begins with an empty sheet
    let page = scene.judges[new].get(&format!("{JUDGE}/{number}")).await.ok().has("评委 A").lacks("checked");
    page.has("复评");
    // a conflict likewise, once more: the last who is left
    let declared = [("reason", "曾指导此项目")];
    scene.judges[new].post(&format!("{JUDGE}/{number}/conflict"), &declared).await.is(303);
    let last = marking(&scene, number).await;
    assert!(last.len() == 2 && !last.contains(&new) && !last.contains(&goes), "{last:?}");
    let minutes = scene.minutes().await;
    let drawn = noted(&minutes, "drawn");
    assert!(drawn.iter().filter(|note| note["added"] == 1 && note["ended"] == 1).count() >= 2, "{drawn:?}");
    // nobody is left for the next: the desk says so
    let (chair, other) = (0, *last.iter().find(|judge| **judge != 0).unwrap());
    scene.answer(&scene.judges[other], "resigned", "出差").await.is(303);
    scene.org.get(DESK).await.ok().has("1 件作品的评委不足");
    if marks(&scene, chair, number).await {
        submit(&scene.judges[chair], number, 6.0, 2.5).await.is(303);
    }
    scene.act(scene.chair(), "close", &[]).await.is(303);
    // what was submitted before counts: of both who went, the first round's marks; of the conflict nothing
    let results = scene.results().await;
    let csv = scene.org.get(&format!("{results}/marks.csv")).await.ok();
    let of = csv.body.lines().filter(|line| line.starts_with(&format!("{number},"))).count();
    assert!((2..=3).contains(&of), "{}", csv.body);
}

#[tokio::test]
async fn an_entry_handed_in_again_in_a_second_round_goes_to_those_who_had_it() {
    let (scene, number, with, _) = second_round().await;
    scene.teams[0].post(&format!("{C}/entry/withdraw"), &[]).await.is(303);
    assert!(marking(&scene, number).await.is_empty());
    // another entry, which the round is not about, is given to nobody
    scene.teams[1].post(&format!("{C}/entry/withdraw"), &[]).await.is(303);
    submit_entry(&scene.teams[1], "准点预报 2", "新版").await;
    submit_entry(&scene.teams[0], "晚点地图", "新版").await;
    assert_eq!(marking(&scene, number).await, with);
    let other = number_of(&scene, "准点预报 2").await;
    assert!(marking(&scene, other).await.is_empty());
}

#[tokio::test]
async fn the_chair_reads_every_entry_of_the_panel_blind_and_no_marks_of_an_open_round() {
    let scene = Scene::new(JUDGING).await;
    let chair = scene.chair();
    let number = number_of(&scene, "晚点地图").await;
    let read = |number: i64| format!("{DESK}/main/read/{number}");
    chair.get(&read(number)).await.is(404);
    scene.act(&scene.org, "open", &[]).await.is(303);
    let own = theirs(chair).await;
    let all = [number, number_of(&scene, "准点预报").await, number_of(&scene, "换乘助手").await];
    let other = *all.iter().find(|number| !own.contains(number)).unwrap();
    for judge in &scene.judges[1..] {
        if theirs(judge).await.contains(&other) {
            submit(judge, other, 3.0, 1.5).await.is(303);
        }
        judge.get(&read(other)).await.is(403);
    }
    chair.get(DESK).await.ok().has(&format!("/read/{other}\">"));
    let page = chair.get(&read(other)).await.ok().has("▇").lacks("提交评分").lacks("意见");
    for name in ["alice", "bob", "carol", "yin", "bing"] {
        assert!(!page.body.contains(name), "{name} is in {page:#?}");
    }
    // their own sheet stays where it was: reading gives them nothing to mark
    chair.get(&format!("{JUDGE}/{other}")).await.is(404);
    scene.teams[0].get(&read(other)).await.is(403);
    scene.app.visitor().get(&read(other)).await.is(401);
    chair.get(&read(9999)).await.is(404);
    scene.act(chair, "close", &[]).await.is(303);
    let results = scene.results().await;
    chair.get(&format!("{results}/entries/{other}")).await.ok().has(&format!("/read/{other}"));
}

/// What stands by 我的评审 in the menu, for the eye and read out.
fn waits(page: &Answer) -> Option<(i64, String)> {
    let link = page.body.split("<a href=\"/judging\">我的评审").nth(1)?.split("</a>").next()?;
    let shown = link.split("aria-hidden=\"true\">").nth(1)?.split('<').next()?.parse().ok()?;
    Some((shown, link.split("hidden-text\">").nth(1)?.split('<').next()?.to_owned()))
}

#[tokio::test]
async fn who_judges_is_told_on_every_page_what_waits_for_them() {
    let scene = Scene::new(JUDGING).await;
    let dora = scene.app.user("dora").await;
    assert!(!dora.get("/").await.ok().body.contains("class=\"waits\""));
    scene.appoint("dora", false).await.is(303);
    let (count, said) = waits(&dora.get("/competitions").await.ok()).unwrap();
    assert_eq!((count, said.as_str()), (1, "，1 个邀请待答复，0 份评分未提交"));
    let english = dora.copy();
    english.post("/language", &[("lang", "en"), ("next", "/")]).await.is(303);
    let page = english.get("/").await.ok().has(", 1 to do as a judge");
    page.has(", 1 invitation to answer, 0 sheets not submitted");
    scene.answer(&dora, "declined", "").await.is(303);
    assert_eq!(waits(&dora.get("/").await.ok()), None);

    let judge = &scene.judges[1];
    assert_eq!(waits(&judge.get("/").await.ok()), None, "nothing is drawn yet");
    scene.act(&scene.org, "open", &[]).await.is(303);
    assert_eq!(waits(&judge.get("/").await.ok()).unwrap().0, 2);
    // on pages that are none of theirs, and on an error's
    assert_eq!(waits(&judge.get("/nothing/here").await.is(404)).unwrap().0, 2);
    let number = theirs(judge).await[0];
    submit(judge, number, 5.0, 2.5).await.is(303);
    let (count, said) = waits(&judge.get("/account").await.ok()).unwrap();
    assert_eq!((count, said.as_str()), (1, "，0 个邀请待答复，1 份评分未提交"));
    for other in [&scene.org, &scene.teams[0]] {
        assert!(!other.get("/").await.ok().body.contains("class=\"waits\""));
    }
    scene.act(scene.chair(), "close", &[]).await.is(303);
    assert_eq!(waits(&judge.get("/").await.ok()), None, "a closed round asks nobody for anything");
}
