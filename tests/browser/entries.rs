//! The page of a team's entry in a browser: the draft is kept while it is written, another member's
//! change is told, and every page about entries is sound at both widths.

use std::fs;

use jiff::SignedDuration;
use shuyu::people::Role;

use super::support::chromium::{Chromium, DESK, PHONE, Window};
use super::support::contest::bundle_in;
use super::support::{PASSWORD, TestApp};
use super::{AUTO, C, base, file, take_part};

async fn scene() -> TestApp {
    let app = TestApp::start().await;
    app.user_with("org", &[Role::Organizer]).await;
    let directory = tempfile::tempdir().unwrap();
    let root = bundle_in(directory.path(), &AUTO);
    let yaml = fs::read_to_string(root.join("competition.yaml")).unwrap();
    let end = (app.clock.now() + SignedDuration::from_hours(48)).strftime("\"%Y-%m-%d %H:%M:%S\"");
    let yaml = yaml.replace("2090-01-01", &end.to_string());
    fs::write(root.join("competition.yaml"), format!("{yaml}  entries: {{required: [summary]}}\n")).unwrap();
    app.import_from(&root, "small", "org").await;
    app.user("alice").await;
    app
}

fn picture() -> Vec<u8> {
    let shades = image::RgbImage::from_fn(640, 400, |x, y| image::Rgb([(x / 3) as u8, (y / 2) as u8, 160]));
    let mut bytes = std::io::Cursor::new(Vec::new());
    image::DynamicImage::ImageRgb8(shades).write_to(&mut bytes, image::ImageFormat::Jpeg).unwrap();
    bytes.into_inner()
}

/// Writes an entry with everything in it and hands it in; gives the page's number of it.
async fn hand_in(app: &TestApp, page: &Chromium) {
    page.go(&format!("{C}/entry")).await;
    page.fill("input[name=title]", "航班晚点地图").await;
    page.fill("textarea[name=summary]", "把**晚点**画成地图。作者 alice。").await;
    page.shows("草稿已自动保存").await;
    // what is no picture is refused where it was chosen, and nothing that was typed is lost
    page.fill("input[name=new-picture]", &file(app, "none.jpg", b"GIF89a, says who")).await;
    page.click(".form-wide .actions .button-plain").await;
    page.shows("只接受 PNG、JPEG 或 WebP 图片").await;
    assert_eq!(page.script("return document.querySelector('[data-upload-progress]').hidden").await, false);
    assert_eq!(page.script("return document.querySelector('[name=title]').value").await, "航班晚点地图");
    page.script("document.querySelector('[name=new-picture]').value = ''").await;
    page.fill("input[name=new-picture]", &file(app, "map.jpg", &picture())).await;
    let pdf = b"%PDF-1.4\n1 0 obj << /Author (Alice Author) >>\nendobj\ntrailer <<>>\n%%EOF\n";
    page.fill("input[name=new-pdf]", &file(app, "report.pdf", pdf)).await;
    page.fill("textarea[name=report]", "# 方法\n\n| 列 | 值 |\n|---|---|\n| a | 1 |\n").await;
    page.fill("input[name=demo]", "https://demo.example.cn/x").await;
    page.click(".form-wide .actions .button-plain").await;
    page.shows("Author: Alice Author").await;
    page.fill(".entry-picture input[name^=caption]", "各机场每小时的晚点").await;
    page.click(".form-wide .actions .button-primary").await;
    page.shows("已提交，评委会看到这一版").await;
}

#[tokio::test]
async fn a_draft_is_kept_while_it_is_written_and_another_members_change_is_told() {
    let app = scene().await;
    let page = Chromium::open(&base(&app), PHONE).await;
    page.log_in("alice", PASSWORD).await;
    take_part(&page).await;
    page.go(&format!("{C}/entry")).await;
    page.fill("input[name=title]", "first words").await;
    page.shows("草稿已自动保存").await;
    page.go(&format!("{C}/entry")).await;
    assert_eq!(page.script("return document.querySelector('[name=title]').value").await, "first words");

    // another tab changes it: this one stops, and shows both when it is asked to save
    let other = Chromium::open(&base(&app), DESK).await;
    other.log_in("alice", PASSWORD).await;
    other.go(&format!("{C}/entry")).await;
    other.fill("input[name=demo]", "https://other.example.cn").await;
    other.shows("草稿已自动保存").await;
    page.fill("textarea[name=summary]", "written here").await;
    page.shows("另一位队员已修改了作品").await;
    page.click(".form-wide .actions .button-plain").await;
    page.shows("保存之前，另一位队员已修改了作品").await;
    assert_eq!(page.script("return document.querySelector('[name=summary]').value").await, "written here");
    let texts =
        page.script("return [...document.querySelectorAll('.entry-theirs')].map((e) => e.textContent)").await;
    assert!(texts.to_string().contains("https://other.example.cn"), "{texts}");
    assert!(page.flaws().await.is_empty(), "{:?}", page.flaws().await);
    other.close().await;
    page.close().await;
}

#[tokio::test]
async fn every_page_about_entries_is_sound_at_both_widths() {
    let app = scene().await;
    let page = Chromium::open(&base(&app), DESK).await;
    page.log_in("alice", PASSWORD).await;
    take_part(&page).await;
    hand_in(&app, &page).await;
    page.close().await;
    let org = app.visitor();
    org.log_in("org", PASSWORD).await.is(303);
    let list = org.get(&format!("{C}/desk/entries")).await.ok();
    let number = list.body.split("/desk/entries/").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let alice = app.visitor();
    alice.log_in("alice", PASSWORD).await.is(303);
    alice.post(&format!("{C}/entry/publish"), &[("shown", "yes")]).await.is(303);

    let team = ["/entry", "/entry/preview", "/entry/versions/1"].map(|tab| format!("{C}{tab}")).to_vec();
    let desk = vec![format!("{C}/desk/entries"), format!("{C}/desk/entries/{number}")];
    let mut flaws = sound(&app, &[("alice", &team), ("org", &desk)]).await;
    // once it is over: the showcase for everybody, and the team's page as it stays
    app.clock.shift(3 * 86_400_000);
    let shown = vec![format!("{C}/showcase"), format!("{C}/showcase/{number}"), format!("{C}/entry")];
    flaws.extend(sound(&app, &[("alice", &shown)]).await);
    assert!(flaws.is_empty(), "{}", flaws.join("\n"));
}

/// What axe finds on pages at both widths, and whether any scrolls sideways.
async fn sound(app: &TestApp, all: &[(&str, &Vec<String>)]) -> Vec<String> {
    let mut flaws = Vec::new();
    for (width, dark) in [(1440, false), (390, false), (390, true)] {
        for (who, paths) in all {
            let page = Chromium::open(&base(app), Window { width, dark, script: true }).await;
            page.log_in(who, PASSWORD).await;
            for path in *paths {
                page.go(path).await;
                assert_eq!(&page.path().await, path, "{who} was sent elsewhere");
                let found = page.flaws().await;
                flaws.extend(found.into_iter().map(|flaw| format!("{path} at {width}, dark {dark}: {flaw}")));
                let wide = "return document.documentElement.scrollWidth > innerWidth";
                assert_eq!(page.script(wide).await, false, "{path} at {width} scrolls sideways");
            }
            page.close().await;
        }
    }
    flaws
}
