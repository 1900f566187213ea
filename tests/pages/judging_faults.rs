//! What must not happen to a jury's marks: sheets that are none, acts at the same instant, a rubric that changes
//! under an open page, an entry that goes while it is marked.

use reqwest::Method;

use super::C;
use super::judging::{DESK, JUDGE, JUDGING, Scene, change_rubric, fields, seen, submit_entry, theirs};
use super::support::{Answer, PASSWORD};

/// Both answers' status, the lower first.
fn statuses(a: &Answer, b: &Answer) -> [u16; 2] {
    let mut both = [a.status.as_u16(), b.status.as_u16()];
    both.sort_unstable();
    both
}

#[tokio::test]
async fn a_sheet_that_is_none_is_refused_field_by_field_and_changes_nothing() {
    let scene = Scene::new(JUDGING).await;
    scene.act(&scene.org, "open", &[]).await.is(303);
    let judge = scene.chair();
    let number = theirs(judge).await[0];
    let (draft, whole) = (format!("{JUDGE}/{number}/draft"), format!("{JUDGE}/{number}/submit"));
    for mark in ["NaN", "inf", "-inf", "-1", "11", "1e300", "7.3", "很好", "0x5", "5,5"] {
        let refused = judge.post(&whole, &fields("0", mark, "2.5", "好")).await;
        refused.is(422).has("不是可选的分值").has("好</textarea>");
    }
    let at = seen(judge, number).await;
    judge.post(&whole, &fields(&at, "", "", "")).await.is(422).has("请给这一项打分");
    let unknown = [
        ("seen", at.as_str()),
        ("mark-use", "5"),
        ("mark-novel", "2"),
        ("mark-<b>other", "5"),
        ("mark-", "1"),
    ];
    judge.post(&whole, &unknown).await.is(422).has("评审表中没有这一项").lacks("<b>other");
    let long = "长".repeat(5001);
    let huge = judge.post(&whole, &fields(&at, "5", "2", &long)).await.is(422);
    assert!(huge.body.contains(&long), "what was written is kept in the form");
    let enormous = "x".repeat(4 << 20);
    judge.post(&draft, &fields(&at, "5", "2", &enormous)).await.is(413);
    assert_eq!(seen(judge, number).await, at, "nothing of all that was kept");
    // over the API likewise
    let chair = judge.program(&judge.token("organize").await);
    let path = format!("/api/v1{JUDGE}/{number}");
    for body in [
        r#"{"version":0,"marks":{"use":1e999}}"#,
        r#"{"version":0,"marks":{"use":NaN}}"#,
        r#"{"version":0,"marks":{"use":"5"}}"#,
        r#"{"version":0,"marks":[5]}"#,
        r#"{"version":-1,"marks":{"use":5,"unheard":5}}"#,
    ] {
        let send = |r: reqwest::RequestBuilder| r.header("content-type", "application/json").body(body);
        let answer = chair.send(Method::PUT, &path, &[], send).await;
        assert!(answer.status.is_client_error(), "{body}: {answer:#?}");
    }
    let sent =
        serde_json::json!({ "version": at.parse::<i64>().unwrap(), "marks": {"use": 5.0, "unheard": 5.0} });
    let answer = chair.send(Method::PUT, &path, &[], |r| r.json(&sent)).await;
    answer.is(422).has("mark-unknown");
    assert_eq!(seen(judge, number).await, at);
}

#[tokio::test]
async fn what_is_done_at_the_same_instant_is_done_one_after_the_other() {
    let scene = Scene::new(JUDGING).await;
    scene.act(&scene.org, "open", &[]).await.is(303);
    let chair = scene.chair();
    let number = theirs(chair).await[0];
    // two tabs submit different marks: one is taken, and the other is told
    let (one, two) = (chair.copy(), chair.copy());
    let path = format!("{JUDGE}/{number}/submit");
    let (low, high) = (fields("0", "1", "1", "低"), fields("0", "9", "5", "高"));
    let (a, b) = tokio::join!(one.post(&path, &low), two.post(&path, &high));
    assert_eq!(statuses(&a, &b), [303, 409], "{a:#?} {b:#?}");
    let kept = chair.get(&format!("{JUDGE}/{number}")).await.ok();
    let (is, is_not) = if a.status == 303 { ("低", "高") } else { ("高", "低") };
    kept.has(is).lacks(is_not);

    // the chair closes from two windows while the others submit
    let others: Vec<(usize, i64)> = {
        let mut all = Vec::new();
        for (index, judge) in scene.judges.iter().enumerate().skip(1) {
            all.extend(theirs(judge).await.into_iter().map(|number| (index, number)));
        }
        all
    };
    let five = fields("0", "5", "2.5", "中");
    let marking = others.iter().map(|(judge, number)| {
        let path = format!("{JUDGE}/{number}/submit");
        let (judge, five) = (&scene.judges[*judge], &five);
        async move { judge.post(&path, five).await }
    });
    let closing = async { tokio::join!(scene.act(&one, "close", &[]), scene.act(&two, "close", &[])) };
    let (marked, (c, d)) = tokio::join!(futures_util::future::join_all(marking), closing);
    assert_eq!(statuses(&c, &d), [303, 409], "{c:#?} {d:#?}");
    let taken = marked.iter().filter(|answer| answer.status == 303).count();
    assert!(marked.iter().all(|answer| matches!(answer.status.as_u16(), 303 | 409)), "{marked:#?}");
    let minutes = scene.minutes().await;
    let closed: Vec<_> = minutes.iter().filter(|minute| minute["kind"] == "round-closed").collect();
    assert_eq!(closed.len(), 1);
    assert_eq!(closed[0]["submitted"], taken + 1, "what the minutes say is what counts");
    let results = scene.results().await;
    let csv = scene.org.get(&format!("{results}/marks.csv")).await.ok();
    assert_eq!(csv.body.lines().count(), 1 + taken + 1, "{}", csv.body);

    // a signature and a second round, and two signatures
    let chosen = number.to_string();
    let again = [("entry", chosen.as_str())];
    let password = [("password", PASSWORD)];
    let (signed, second) =
        tokio::join!(scene.act(&one, "sign", &password), scene.act(&two, "second-round", &again));
    assert_eq!(statuses(&signed, &second), [303, 409]);
    if signed.status != 303 {
        scene.act(chair, "close", &[]).await.is(303);
        let (a, b) = tokio::join!(scene.act(&one, "sign", &password), scene.act(&two, "sign", &password));
        assert_eq!(statuses(&a, &b), [303, 409], "{a:#?} {b:#?}");
    }
    scene.org.get(&format!("{results}/minutes")).await.ok().has("签署排名").lacks("不符");
}

#[tokio::test]
async fn a_page_from_before_a_change_is_told_of_it() {
    let scene = Scene::new(JUDGING).await;
    scene.act(&scene.org, "open", &[]).await.is(303);
    let judge = scene.chair();
    let number = theirs(judge).await[0];
    judge.post(&format!("{JUDGE}/{number}/draft"), &fields("0", "8", "3", "一")).await.is(303);
    // the rubric changes under an open page: its marks are not on the new scale, and that is not the point
    change_rubric(&scene.org, &[("max-1", "2"), ("reason", "改")]).await.is(303);
    let stale = fields("1", "8", "3", "一");
    judge.post(&format!("{JUDGE}/{number}/submit"), &stale).await.is(409).has("内容已在别处保存");
    let json = [("accept", "application/json"), ("sec-fetch-site", "same-origin")];
    let told = judge.post_with(&format!("{JUDGE}/{number}/draft"), &stale, &json).await.is(409).json();
    assert_eq!(told["code"], "marks-newer", "{told}");

    // the entry is withdrawn under an open page: what is sent for it is kept nowhere, and said
    let mine = theirs(judge).await;
    let at = seen(judge, mine[0]).await;
    for team in &scene.teams {
        team.post(&format!("{C}/entry/withdraw"), &[]).await.is(303);
    }
    for path in ["draft", "submit", "conflict", "back"] {
        let sent = [("seen", at.as_str()), ("mark-use", "5"), ("mark-novel", "2"), ("reason", "有关")];
        judge.post(&format!("{JUDGE}/{}/{path}", mine[0]), &sent).await.is(404);
    }
    assert!(theirs(judge).await.is_empty());
    // it comes back to somebody, and once more with what its judge had written
    submit_entry(&scene.teams[0], "晚点地图", "新版").await;
    let mut open = 0;
    for judge in &scene.judges {
        open += theirs(judge).await.len();
    }
    assert_eq!(open, 2);
    // a judge who goes in the middle of it: what they send afterwards is theirs no more
    let judge = &scene.judges[1];
    let number = theirs(judge).await.first().copied();
    scene.answer(judge, "resigned", "忙").await.is(303);
    if let Some(number) = number {
        judge.post(&format!("{JUDGE}/{number}/draft"), &fields("0", "5", "1", "")).await.is(404);
    }
    scene.org.get(&format!("{DESK}/main/minutes")).await.ok().has("评委答复").lacks("不符");
}
