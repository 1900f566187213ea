//! Entries taken along by an organizer, and the bounds on how often a team sends.

use std::io::{Cursor, Read as _};

use reqwest::multipart::Part;
use serde_json::Value;
use shuyu::audit;
use shuyu::config::RateLimits;

use super::entries::{PDF, form, picture, scene, send};
use super::support::TestApp;
use super::{AUTO, C, enter};

type Zip = zip::ZipArchive<Cursor<Vec<u8>>>;

fn names(zip: &Zip) -> Vec<String> {
    let mut names: Vec<String> = zip.file_names().map(|name| name.unwrap().into_owned()).collect();
    names.sort();
    names
}

fn bytes(zip: &mut Zip, name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    zip.by_name(name).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

#[tokio::test]
async fn an_organizer_takes_all_files_along_and_no_draft() {
    let (app, org, alice, bob, carol) = scene("{}").await;
    let whole = form(&[
        ("seen", "0"),
        ("title", "../../晚点\\地图"),
        ("summary", "图"),
        ("report", "# 方法"),
        ("demo", "https://demo.example.cn"),
        ("do", "submit"),
    ]);
    let whole = whole
        .part("new-picture", Part::bytes(picture()).file_name("../../evil.jpg"))
        .part("new-pdf", Part::bytes(PDF).file_name("alice.pdf"));
    send(&alice, whole).await.is(303);
    send(&bob, form(&[("seen", "0"), ("title", "只是草稿"), ("summary", "x")])).await.is(303);
    send(&carol, form(&[("seen", "0"), ("title", "撤回的"), ("summary", "x"), ("do", "submit")]))
        .await
        .is(303);
    carol.post(&format!("{C}/entry/withdraw"), &[]).await.is(303);

    let path = format!("{C}/desk/entries.zip");
    for (who, status) in [(&alice, 403), (&app.visitor(), 303)] {
        who.get(&path).await.is(status);
    }
    let list = org.get(&format!("{C}/desk/entries")).await.ok().has("entries.zip");
    let at = list.body.find(">alice 先生<").unwrap();
    let number = list.body[..at].rsplit("/desk/entries/").next().unwrap().split('"').next().unwrap();
    let packed = org.download(&path).await;
    let mut zip = Zip::new(Cursor::new(packed.clone())).unwrap();
    let all = names(&zip);
    let folder = format!("entry-{number}");
    let own: Vec<&str> = all.iter().filter_map(|name| name.strip_prefix(&format!("{folder}/"))).collect();
    assert_eq!(own, ["entry.json", "picture-1.jpg", "report.md", "report.pdf"], "{all:?}");
    assert_eq!(all.len(), 5, "alice's four files, and carol's text: {all:?}");
    let told: Value = serde_json::from_slice(&bytes(&mut zip, &format!("{folder}/entry.json"))).unwrap();
    assert_eq!((&told["title"], &told["team"]), (&"../../晚点\\地图".into(), &"alice 先生".into()));
    assert_eq!((&told["state"], &told["members"][0]), (&"submitted".into(), &"alice 先生".into()));
    assert_eq!(told["pictures"][0]["file"], "picture-1.jpg");
    assert_eq!(bytes(&mut zip, &format!("{folder}/report.pdf")), PDF);
    assert_eq!(bytes(&mut zip, &format!("{folder}/report.md")), "# 方法".as_bytes());
    assert!(bytes(&mut zip, &format!("{folder}/picture-1.jpg")).starts_with(&[0xff, 0xd8]));
    let text = String::from_utf8_lossy(&packed).into_owned();
    assert!(!text.contains("只是草稿") && !text.contains("evil"));
    assert_eq!(packed, org.download(&path).await, "the same entries give the same ZIP");
    let filter =
        audit::Filter { action: Some("entries.exported".into()), per_page: 9, ..audit::Filter::default() };
    let noted = || async { audit::list(&app.app.db, &filter).await.unwrap().entries };
    app.until(|| async { noted().await.len() == 2 }).await;
    assert_eq!(noted().await[0].detail["entries"], 2);

    // a file that is gone from the store: nobody gets a ZIP that looks whole
    use futures_util::TryStreamExt as _;
    for object in app.app.house.objects.list("entries").try_collect::<Vec<_>>().await.unwrap() {
        app.app.house.objects.delete(&object.key).await.unwrap();
    }
    let broken = std::panic::AssertUnwindSafe(org.download(&path));
    assert!(futures_util::FutureExt::catch_unwind(broken).await.is_err());
}

#[tokio::test]
async fn a_team_that_sends_without_end_is_asked_to_wait() {
    let app =
        TestApp::start_with(|settings| settings.limits = RateLimits { api: 3, ..settings.limits.clone() })
            .await;
    app.user_with("org", &[shuyu::people::Role::Organizer]).await;
    app.import_with_entries("{}", &AUTO, "small", "org").await;
    let alice = app.user("alice").await;
    enter(&alice).await.is(303);
    let draft = |seen: &str| form(&[("seen", seen), ("title", "图"), ("summary", "x"), ("do", "auto")]);
    for seen in ["0", "2", "2"] {
        send(&alice, draft(seen)).await.ok();
    }
    send(&alice, draft("2")).await.is(429);
    for act in ["withdraw", "publish", "versions/1/restore"] {
        alice.post(&format!("{C}/entry/{act}"), &[]).await.is(429);
    }
    // reading goes on, and after a while writing does
    alice.get(&format!("{C}/entry")).await.ok();
    app.clock.shift(61_000);
    send(&alice, draft("2")).await.ok();
}
