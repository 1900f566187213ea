//! Entries: written by a team, previewed blind, submitted, withdrawn, shown; and what is kept from others.

use std::fs;

use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use shuyu::audit;
use shuyu::people::Role;

use super::support::contest::bundle_in;
use super::support::{Answer, Browser, PASSWORD, TestApp};
use super::{AUTO, C, enter, field};

pub(super) const DAY: i64 = 86_400_000;

/// A service with a competition that takes entries for two days from now, and three people in it.
pub(super) async fn scene(rules: &str) -> (TestApp, Browser, Browser, Browser, Browser) {
    let app = TestApp::start().await;
    let org = app.user_with("org", &[Role::Organizer]).await;
    let directory = tempfile::tempdir().unwrap();
    let root = bundle_in(directory.path(), &AUTO);
    let path = root.join("competition.yaml");
    let end = app.clock.now() + SignedDuration::from_hours(48);
    let yaml = fs::read_to_string(&path).unwrap().replace("2090-01-01", &written(end));
    fs::write(&path, format!("{yaml}  entries: {rules}\n")).unwrap();
    app.import_from(&root, "small", "org").await;
    let [alice, bob, carol] = [app.user("alice").await, app.user("bob").await, app.user("carol").await];
    for person in [&alice, &bob, &carol] {
        enter(person).await.is(303);
    }
    (app, org, alice, bob, carol)
}

fn written(at: Timestamp) -> String {
    format!("\"{}\"", at.strftime("%Y-%m-%d %H:%M:%S"))
}

pub(super) fn form(fields: &[(&str, &str)]) -> Form {
    fields.iter().fold(Form::new(), |form, (name, value)| form.text((*name).to_owned(), (*value).to_owned()))
}

pub(super) async fn send(browser: &Browser, form: Form) -> Answer {
    browser.send(Method::POST, &format!("{C}/entry/save"), &[], |request| request.multipart(form)).await
}

/// A red JPEG; the real thing, made by the encoder.
pub(super) fn picture() -> Vec<u8> {
    let red = image::RgbImage::from_pixel(60, 30, image::Rgb([200, 30, 30]));
    let mut bytes = std::io::Cursor::new(Vec::new());
    image::DynamicImage::ImageRgb8(red).write_to(&mut bytes, image::ImageFormat::Jpeg).unwrap();
    bytes.into_inner()
}

pub(super) const PDF: &[u8] =
    b"%PDF-1.4\n1 0 obj << /Author (Alice Author) >>\nendobj\ntrailer <<>>\n%%EOF\n";

/// The ids of the pictures in the form.
fn pictures(page: &Answer) -> Vec<String> {
    let found = page.body.match_indices("name=\"picture\" value=\"");
    found.map(|(at, start)| page.body[at + start.len()..][..36].to_owned()).collect()
}

pub(super) async fn actions(app: &TestApp) -> Vec<String> {
    let page = audit::list(
        &app.app.db,
        &audit::Filter { action: Some("entry.".into()), per_page: 100, ..audit::Filter::default() },
    )
    .await
    .unwrap();
    page.entries
        .iter()
        .map(|entry| entry.action.to_string())
        .filter(|action| action.starts_with("entry."))
        .collect()
}

/// Brings a second person into the team that the first makes.
async fn together(one: &Browser, other: &Browser, name: &str) {
    one.post(&format!("{C}/team/create"), &[("name", name)]).await.is(303);
    let page = one.post(&format!("{C}/team/invite"), &[]).await.ok();
    let at = page.body.find("/join/").unwrap() + 6;
    let secret = &page.body[at..at + 64];
    other.post(&format!("{C}/join/{secret}"), &[]).await.is(303);
}

#[tokio::test]
async fn a_team_writes_submits_changes_and_withdraws_its_entry() {
    let (app, org, alice, _, _) = scene("{required: [summary, pictures], pictures: 2}").await;
    let page = alice.get(&format!("{C}/entry")).await.ok();
    assert_eq!(field(&page, "seen"), "0");
    page.has("未开始").has("截止时间").lacks("历史版本</h2>");

    // submitted at once, it is saved, and says what is missing
    let missing = send(&alice, form(&[("seen", "0"), ("title", "晚点地图"), ("do", "submit")])).await.is(422);
    missing.has("提交前必须填写").has("晚点地图").has("f-summary").has("f-pictures");
    let page = alice.get(&format!("{C}/entry")).await.ok().has("晚点地图").has("草稿，未提交");
    let seen = field(&page, "seen");

    let with_files = form(&[("seen", &seen), ("title", "晚点地图"), ("summary", "**好看**的图")])
        .part("new-picture", Part::bytes(picture()).file_name("a.jpg"))
        .part("new-pdf", Part::bytes(PDF).file_name("report.pdf"));
    send(&alice, with_files).await.see_other(&format!("{C}/entry"));
    let page = alice.get(&format!("{C}/entry")).await.ok().has("Author: Alice Author").has("打开 PDF 报告");
    let ids = pictures(&page);
    assert_eq!(ids.len(), 1, "{page:#?}");

    let seen = field(&page, "seen");
    let pdf = field(&page, "pdf");
    let caption = format!("caption-{}", ids[0]);
    let whole = |seen: &str, press: &str, title: &str| {
        let fields = [("seen", seen), ("title", title), ("summary", "**好看**的图"), ("picture", &ids[0])];
        form(&fields).text("pdf", pdf.clone()).text(caption.clone(), "热力图").text("do", press.to_owned())
    };
    send(&alice, whole(&seen, "submit", "晚点地图")).await.see_other(&format!("{C}/entry"));
    let page = alice.get(&format!("{C}/entry")).await.ok().has("已提交").has("评委看到的版本").has("热力图");
    let seen = field(&page, "seen");
    send(&alice, whole(&seen, "save", "新的题目")).await.is(303);
    let page = alice.get(&format!("{C}/entry")).await.ok().has("有尚未提交的修改");
    let page_of_desk = org.get(&format!("{C}/desk/entries")).await.ok().has("晚点地图").lacks("新的题目");
    let number =
        page_of_desk.body.split("/desk/entries/").nth(1).unwrap().split('"').next().unwrap().to_owned();

    // the version before is brought back
    let seen_now = field(&page, "seen");
    alice.get(&format!("{C}/entry/versions/2")).await.ok().has("晚点地图").has("热力图");
    alice.post(&format!("{C}/entry/versions/2/restore"), &[]).await.see_other(&format!("{C}/entry"));
    let page =
        alice.get(&format!("{C}/entry")).await.ok().has("value=\"晚点地图\"").lacks("有尚未提交的修改");
    assert_ne!(field(&page, "seen"), seen_now);

    // what an organizer does is told with its reason
    let desk = format!("{C}/desk/entries/{number}");
    org.get(&desk).await.ok().has("Author: Alice Author").has("晚点地图").has("alice 先生");
    org.post(&format!("{desk}/unsubmit"), &[("reason", " ")]).await.is(422);
    org.post(&format!("{desk}/unsubmit"), &[("reason", "缺少数据来源")]).await.see_other(&desk);
    alice.get(&format!("{C}/entry")).await.ok().has("缺少数据来源").has("已撤回");
    alice.post(&format!("{C}/entry/withdraw"), &[]).await.is(409);
    let seen = field(&alice.get(&format!("{C}/entry")).await.ok(), "seen");
    send(&alice, whole(&seen, "submit", "晚点地图")).await.is(303);
    alice.get(&format!("{C}/entry")).await.ok().has("已提交").lacks("缺少数据来源");
    alice.post(&format!("{C}/entry/withdraw"), &[]).await.is(303);
    alice.get(&format!("{C}/entry")).await.ok().has("已撤回");
    assert_eq!(
        actions(&app).await,
        ["entry.withdrawn", "entry.submitted", "entry.unsubmitted", "entry.submitted"]
    );
    org.get(&format!("{C}/desk/entries.csv")).await.ok().has(&number).has("withdrawn");
    alice.get(&desk).await.is(403);
}

#[tokio::test]
async fn of_two_members_who_write_at_once_neither_is_overwritten_unseen() {
    let (_app, _org, alice, bob, _) = scene("{}").await;
    together(&alice, &bob, "极光队").await;
    send(&alice, form(&[("seen", "0"), ("title", "起点")])).await.is(303);
    let seen = field(&alice.get(&format!("{C}/entry")).await.ok(), "seen");
    send(&alice, form(&[("seen", &seen), ("title", "alice writes"), ("summary", "one")])).await.is(303);

    let clash =
        send(&bob, form(&[("seen", &seen), ("title", "bob writes"), ("summary", "one")])).await.is(409);
    let clash = clash
        .has("另一位队员已修改了作品")
        .has("value=\"bob writes\"")
        .has(">alice writes</pre>")
        .has("alice 先生");
    let summary = clash.body.contains("<li>摘要");
    assert!(!summary, "only what differs is listed");
    // a script is told so, and nothing is kept
    let auto = form(&[("seen", &seen), ("title", "bob writes"), ("do", "auto")]);
    let json = [("accept", "application/json")];
    let told = bob.send(Method::POST, &format!("{C}/entry/save"), &json, |r| r.multipart(auto)).await.is(409);
    assert_eq!(told.json()["code"], "entry-changed");

    let seen = field(&clash, "seen");
    send(&bob, form(&[("seen", &seen), ("title", "bob writes"), ("summary", "one")])).await.is(303);
    let page = alice.get(&format!("{C}/entry")).await.ok().has("value=\"bob writes\"").has("alice writes");
    // who was not asked to save keeps the draft without a version
    let seen = field(&page, "seen");
    let auto = form(&[("seen", &seen), ("title", "alice goes on"), ("do", "auto")]);
    let told = alice.send(Method::POST, &format!("{C}/entry/save"), &json, |r| r.multipart(auto)).await.ok();
    assert_eq!(told.json()["revision"].as_i64().unwrap(), seen.parse::<i64>().unwrap() + 1);
    let page = bob.get(&format!("{C}/entry")).await.ok().has("value=\"alice goes on\"");
    assert_eq!(page.body.matches("/entry/versions/").count(), 3, "{page:#?}");
}

#[tokio::test]
async fn the_blind_preview_names_nobody_in_any_byte() {
    let (_app, _org, alice, bob, carol) = scene("{}").await;
    together(&alice, &bob, "极光队").await;
    let summary =
        "作者 alice先生，来自极光队；Bob 先生 helped. Al**i**ce, &#65;lice. [repo](https://git.cn/alice2024)";
    let fields = [
        ("seen", "0"),
        ("title", "极 光 队的晚点地图 by ALICE"),
        ("summary", summary),
        ("report", "# bob\n\n`alice` wrote <script>x</script> it\n\n![Bob](https://a.cn/bob.png)"),
        ("demo", "https://alice.example.cn/demo"),
    ];
    send(&alice, form(&fields)).await.is(303);
    let page = alice.get(&format!("{C}/entry")).await.ok();
    page.has("标题 中出现了“极光队”").has("会暴露身份的内容").has("的地址中含有“alice”");

    let blind = alice.get(&format!("{C}/entry/preview")).await.ok().has("▇▇▇").has("晚点地图").has("wrote");
    let bytes = blind.body.to_lowercase();
    for name in ["alice", "bob", "极光", "极 光", "先生", "git.cn", "<script>x"] {
        assert!(!bytes.contains(name), "{name} in {}", blind.body);
    }
    for (name, value) in &blind.headers {
        let value = String::from_utf8_lossy(value.as_bytes()).to_lowercase();
        assert!(!value.contains("alice") && !value.contains("bob"), "{name}: {value}");
    }
    carol.get(&format!("{C}/entry/preview")).await.is(404);
}

#[tokio::test]
async fn files_go_to_their_team_alone_and_can_do_nothing_in_a_browser() {
    let (app, org, alice, _, carol) = scene("{pictures: 1, picture_size: 100KiB, report_size: 64KiB}").await;
    let with_files = form(&[("seen", "0"), ("title", "图")])
        .part("new-picture", Part::bytes(picture()).file_name("alice.jpg"))
        .part("new-pdf", Part::bytes(PDF).file_name("alice.pdf"));
    send(&alice, with_files).await.is(303);
    let page = alice.get(&format!("{C}/entry")).await.ok();
    let (id, pdf) = (pictures(&page)[0].clone(), field(&page, "pdf"));
    let shown = alice.get(&format!("{C}/entry/files/{id}")).await.ok();
    assert_eq!(shown.header("content-type"), "image/jpeg");
    let report = alice.get(&format!("{C}/entry/files/{pdf}")).await.ok();
    assert_eq!(report.header("content-type"), "application/pdf");
    assert!(report.header("content-disposition").starts_with("attachment; filename=\"entry-"));
    for file in [&shown, &report] {
        assert_eq!(file.header("x-content-type-options"), "nosniff");
        assert!(file.header("content-security-policy").contains("default-src 'none'; sandbox"));
    }
    // neither another team, nor the desk before it is submitted, nor a stranger
    send(&carol, form(&[("seen", "0"), ("title", "theirs")])).await.is(303);
    carol.get(&format!("{C}/entry/files/{id}")).await.is(404);
    let number = org.get(&format!("{C}/desk/entries")).await.ok();
    let numbers = number.body.split("/desk/entries/").skip(1).filter_map(|part| part.split('"').next());
    for number in numbers.filter(|number| number.parse::<i64>().is_ok()) {
        org.get(&format!("{C}/desk/entries/{number}/files/{id}")).await.is(404);
    }
    app.visitor().get(&format!("{C}/entry/files/{id}")).await.is(303);
    // nor as a picture of another team's entry
    let seen = field(&carol.get(&format!("{C}/entry")).await.ok(), "seen");
    send(&carol, form(&[("seen", &seen), ("title", "theirs"), ("picture", &id)])).await.is(404);

    let with = |name: &'static str, bytes: Vec<u8>, seen: &str| {
        form(&[("seen", seen), ("title", "typed")]).part(name, Part::bytes(bytes).file_name("x.bin"))
    };
    let again = send(&carol, with("new-picture", b"<svg/>".to_vec(), &seen)).await.is(422);
    again.has("只接受 PNG、JPEG 或 WebP").has("value=\"typed\"");
    send(&carol, with("new-picture", picture()[..200].to_vec(), &seen)).await.is(422).has("损坏");
    send(&carol, with("new-pdf", b"PK\x03\x04".to_vec(), &seen)).await.is(422).has("不是 PDF");
    send(&carol, with("new-pdf", vec![b'%'; 70 << 10], &seen)).await.is(413);
    let kept = carol.get(&format!("{C}/entry")).await.ok().has("value=\"theirs\"");
    let two = with("new-picture", picture(), &field(&kept, "seen"))
        .part("new-picture", Part::bytes(picture()).file_name("y.jpg"));
    send(&carol, two).await.is(422).has("最多 1 张图片");
    // what was refused left nothing in the store
    use futures_util::TryStreamExt as _;
    let objects = app.app.house.objects.list("entries").try_collect::<Vec<_>>().await.unwrap();
    assert_eq!(objects.len(), 2);
    // a file that nothing names any more goes
    let seen = field(&alice.get(&format!("{C}/entry")).await.ok(), "seen");
    let auto = form(&[("seen", &seen), ("title", "图"), ("do", "auto")]);
    send(&alice, auto).await.ok();
    alice.get(&format!("{C}/entry/files/{id}")).await.ok();
}

#[tokio::test]
async fn after_the_deadline_what_was_submitted_last_counts_unless_an_organizer_gives_time() {
    let (app, org, alice, bob, _) = scene("{}").await;
    let submitted = form(&[("seen", "0"), ("title", "handed in"), ("summary", "x"), ("do", "submit")]);
    send(&alice, submitted).await.is(303);
    let seen = field(&alice.get(&format!("{C}/entry")).await.ok(), "seen");
    send(&alice, form(&[("seen", &seen), ("title", "too late"), ("summary", "x")])).await.is(303);
    app.clock.shift(3 * DAY);
    for (person, login) in [(&alice, "alice"), (&bob, "bob"), (&org, "org")] {
        person.log_in(login, PASSWORD).await.is(303);
    }
    let page = alice.get(&format!("{C}/entry")).await.ok().has("作品提交已截止").has("handed in");
    page.has("没有提交的修改不计入").lacks("name=\"seen\"");
    let seen = (seen.parse::<i64>().unwrap() + 1).to_string();
    let late = || form(&[("seen", &seen), ("title", "too late"), ("summary", "x"), ("do", "submit")]);
    send(&alice, late()).await.is(409).has("作品提交已截止");
    // who has nothing yet cannot begin now
    send(&bob, form(&[("seen", "0"), ("title", "b")])).await.is(409);
    bob.get(&format!("{C}/entry")).await.ok().has("你们没有提交作品");

    let list = org.get(&format!("{C}/desk/entries")).await.ok();
    let number = list.body.split("/desk/entries/").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let desk = format!("{C}/desk/entries/{number}");
    org.post(&format!("{desk}/late"), &[("reason", ""), ("hours", "5")]).await.is(422);
    org.post(&format!("{desk}/late"), &[("reason", "停电"), ("hours", "0")]).await.is(422);
    org.post(&format!("{desk}/late"), &[("reason", "停电"), ("hours", "5")]).await.see_other(&desk);
    alice.get(&format!("{C}/entry")).await.ok().has("停电").has("name=\"seen\"");
    send(&alice, late()).await.is(303);
    org.get(&desk).await.ok().has("too late");
    app.clock.shift(6 * 3_600_000);
    send(&alice, late()).await.is(409);
}

#[tokio::test]
async fn visitors_see_what_a_team_chose_to_show_and_only_once_it_is_over() {
    let (app, org, alice, _, _) = scene("{}").await;
    let fields = [("seen", "0"), ("title", "晚点地图"), ("summary", "x"), ("do", "submit")];
    let whole = form(&fields).part("new-picture", Part::bytes(picture()).file_name("a.jpg"));
    send(&alice, whole).await.is(303);
    let id = pictures(&alice.get(&format!("{C}/entry")).await.ok())[0].clone();
    let list = org.get(&format!("{C}/desk/entries")).await.ok();
    let number = list.body.split("/desk/entries/").nth(1).unwrap().split('"').next().unwrap().to_owned();
    alice.post(&format!("{C}/entry/publish"), &[("shown", "yes")]).await.is(303);
    let visitor = app.visitor();
    visitor.get(&format!("{C}/showcase")).await.is(404);
    app.clock.shift(3 * DAY);
    let shown = format!("{C}/showcase/{number}");
    visitor.get(C).await.ok().has("/showcase");
    visitor.get(&format!("{C}/showcase")).await.ok().has("晚点地图").has("alice 先生");
    visitor.get(&shown).await.ok().has("晚点地图");
    visitor.get(&format!("{shown}/files/{id}")).await.ok();
    org.log_in("org", PASSWORD).await.is(303);
    org.post(&format!("{C}/desk/entries/{number}/showcase"), &[("reason", "含真实车牌")]).await.is(303);
    visitor.get(&shown).await.is(404);
    visitor.get(&format!("{shown}/files/{id}")).await.is(404);
    visitor.get(C).await.ok().lacks("/showcase");
    alice.log_in("alice", PASSWORD).await.is(303);
    alice.get(&format!("{C}/entry")).await.ok().has("含真实车牌");
    alice.post(&format!("{C}/entry/publish"), &[("shown", "yes")]).await.is(409);
    assert_eq!(actions(&app).await, ["entry.showcase_decided", "entry.published", "entry.submitted"]);
}

#[tokio::test]
async fn a_competition_without_entries_has_no_page_of_them() {
    let (_app, org, alice, _) = super::scene(&AUTO).await;
    enter(&alice).await;
    alice.get(C).await.ok().lacks("/entry\"");
    for path in ["entry", "entry/preview", "showcase"] {
        alice.get(&format!("{C}/{path}")).await.is(404);
    }
    org.get(&format!("{C}/desk/entries")).await.is(404);
    send(&alice, form(&[("seen", "0"), ("title", "x")])).await.is(404);
}

#[tokio::test]
async fn an_entry_is_about_the_best_submission_and_one_from_a_sandbox_is_not_shown() {
    let (app, org, alice, bob, _) = scene("{required: [submission]}").await;
    let worker = app.worker().await;
    let asked = form(&[("seen", "0"), ("title", "t"), ("do", "submit")]);
    send(&alice, asked).await.is(422).has("f-submission");
    let address = super::submit(&alice, ("good.csv", super::predictions(1.0)), "").await;
    super::until_shown(&app, &alice, &address, "已完成").await;
    worker.end().await;
    let id = address.rsplit('/').next().unwrap();
    let page = alice.get(&format!("{C}/entry")).await.ok().has("good.csv ★").has(id);
    let seen = field(&page, "seen");
    // another team's submission cannot be chosen
    send(&bob, form(&[("seen", "0"), ("title", "b"), ("submission", id)])).await.is(422);
    send(&alice, form(&[("seen", &seen), ("title", "t"), ("do", "submit")])).await.is(303);
    alice.get(&format!("{C}/entry")).await.ok().lacks("有尚未提交的修改");
    alice.post(&format!("{C}/entry/publish"), &[("shown", "yes")]).await.is(303);
    alice.post(&format!("{C}/entry/publish"), &[("shown", "no")]).await.is(303);

    let mut tx = app.app.db.begin().await.unwrap();
    sqlx::query("UPDATE submissions SET origin = 'sandbox'").execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    let refused = alice.post(&format!("{C}/entry/publish"), &[("shown", "yes")]).await.is(409);
    refused.has("来自沙箱");
    org.get(&format!("{C}/desk/entries")).await.ok().has("已提交");
}

#[tokio::test]
async fn a_team_that_becomes_part_of_another_brings_its_entry_where_that_has_none() {
    let (app, _org, alice, bob, carol) = scene("{}").await;
    let worker = app.worker().await;
    let address = super::submit(&bob, ("good.csv", super::predictions(1.0)), "").await;
    super::until_shown(&app, &bob, &address, "已完成").await;
    worker.end().await;
    send(&bob, form(&[("seen", "0"), ("title", "brought along"), ("summary", "x"), ("do", "submit")]))
        .await
        .is(303);
    together(&alice, &bob, "极光队").await;
    alice.get(&format!("{C}/entry")).await.ok().has("brought along").has("已提交");
    // one that has its own keeps it
    send(&carol, form(&[("seen", "0"), ("title", "carol's"), ("summary", "x"), ("do", "submit")]))
        .await
        .is(303);
    let page = alice.post(&format!("{C}/team/invite"), &[]).await.ok();
    let at = page.body.find("/join/").unwrap() + 6;
    carol.post(&format!("{C}/join/{}", &page.body[at..at + 64]), &[]).await.is(303);
    carol.get(&format!("{C}/entry")).await.ok().has("brought along").lacks("carol&#x27;s");
}
