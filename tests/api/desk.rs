//! What organizers do over the API.

use futures_util::TryStreamExt as _;
use reqwest::Method;
use serde_json::json;
use shuyu::catalog::{self, CatalogError};
use shuyu::contest::definition::DatasetUse;
use shuyu::people::Role;

use super::support::arena::{Arena, BundleFiles, SLUG, finished, leaderboard, off_by, put_bundle, send_json};
use super::{bare, problem, submit};

#[tokio::test]
async fn a_submission_is_disqualified_with_a_reason_restored_and_scored_again() {
    let arena = Arena::working(&BundleFiles::new()).await;
    let alice = arena.participant("alice", "submit").await;
    let made = submit(&alice, off_by(2.0), &[]).await.is(201);
    let location = made.header("location").to_owned();
    finished(&alice, &location).await;
    let path = format!("{location}/disqualification");
    let why = json!({ "reason": "labels were used" });
    problem(&send_json(&alice, Method::PUT, &path, &why).await, 403, "forbidden");
    let empty = send_json(&arena.organizer, Method::PUT, &path, &json!({ "reason": " " })).await;
    problem(&empty, 422, "no-reason");
    send_json(&arena.organizer, Method::PUT, &path, &why).await.ok();
    let told = alice.get(&location).await.ok().json();
    assert_eq!((&told["disqualified"], &told["improved"]), (&json!("labels were used"), &json!(null)));
    assert_eq!(alice.get(&leaderboard()).await.ok().json()["total"], 0);
    bare(&arena.organizer, Method::DELETE, &path).await.ok();
    let board = alice.get(&leaderboard()).await.ok().json();
    assert_eq!((&board["total"], &board["mine"]["rank"]), (&json!(1), &json!(1)));

    let rescore = format!("/api/v1/competitions/{SLUG}/desk/rescore");
    let wanted = json!({ "phase": 0, "reason": "the scorer rounded" });
    problem(&send_json(&alice, Method::POST, &rescore, &wanted).await, 403, "forbidden");
    let queued = send_json(&arena.organizer, Method::POST, &rescore, &wanted).await.ok().json();
    assert_eq!(queued, json!({ "submissions": 1 }));
    let version = board["version"].as_i64().unwrap();
    arena
        .app
        .until(|| async {
            alice.get(&leaderboard()).await.ok().json()["version"].as_i64().unwrap() > version
        })
        .await;
    assert_eq!(alice.get(&location).await.ok().json()["scores"], json!({ "rmse": 2.0 }));
    bare(&arena.organizer, Method::POST, &format!("{location}/rerun")).await.ok();
    arena.close().await;
}

#[tokio::test]
async fn phases_are_moved_and_stay_in_order() {
    let arena = Arena::waiting(&BundleFiles::new(), |_| {}).await;
    let alice = arena.participant("alice", "submit").await;
    let path = format!("/api/v1/competitions/{SLUG}/desk/phases/0");
    let earlier = json!({ "ends_at": "2001-01-01T00:00:00Z" });
    problem(&send_json(&alice, Method::PATCH, &path, &earlier).await, 403, "forbidden");
    for wrong in [
        json!({ "ends_at": "1999-01-01T00:00:00Z" }),
        json!({ "ends_at": null }),
        json!({ "ends_at": "2222-01-01T00:00:00Z" }),
    ] {
        problem(&send_json(&arena.organizer, Method::PATCH, &path, &wrong).await, 422, "invalid");
    }
    let odd = send_json(&arena.organizer, Method::PATCH, &path, &json!({ "ends_at": "soon" })).await;
    problem(&odd, 422, "invalid");
    let moved = send_json(&arena.organizer, Method::PATCH, &path, &earlier).await.ok().json();
    assert_eq!((&moved["state"], &moved["ends_at"]), (&json!("over"), &json!("2001-01-01T00:00:00Z")));
    problem(&submit(&alice, off_by(1.0), &[]).await, 409, "phase-over");
}

#[tokio::test]
async fn a_bundle_is_taken_in_again_refused_with_its_faults_and_given_out() {
    let arena = Arena::waiting(&BundleFiles::new(), |_| {}).await;
    let again = put_bundle(&arena.organizer, SLUG, BundleFiles::new().zip()).await.ok().json();
    assert_eq!(
        (&again["created"], &again["revision"], &again["changes"]),
        (&json!(false), &json!(1), &json!([]))
    );
    let renamed = BundleFiles::new().with("title: Rainfall", "title: Rain and snow");
    let changed = put_bundle(&arena.organizer, SLUG, renamed.zip()).await.ok().json();
    assert_eq!(changed["changes"], json!([{ "path": "title", "old": "Rainfall", "new": "Rain and snow" }]));

    let faulty = BundleFiles::new().with("reference_data: reference", "reference_data: nowhere");
    let refused = problem(&put_bundle(&arena.organizer, SLUG, faulty.zip()).await, 422, "bundle-faulty");
    let field = refused["errors"][0]["field"].as_str().unwrap();
    assert!(field.starts_with("competition.yaml:") && field.ends_with("tasks[0].reference_data"), "{field}");
    let no_zip = put_bundle(&arena.organizer, SLUG, b"not a zip".to_vec()).await;
    assert!(
        problem(&no_zip, 422, "bundle-faulty")["errors"][0]["field"]
            .as_str()
            .unwrap()
            .starts_with("bundle.zip")
    );
    problem(&put_bundle(&arena.organizer, "No Slug", BundleFiles::new().zip()).await, 422, "invalid");

    let path = format!("/api/v1/competitions/{SLUG}/bundle");
    let alice = arena.participant("alice", "submit").await;
    problem(&alice.get(&path).await, 403, "forbidden");
    let url = format!("http://{}{path}", arena.app.address);
    let given = reqwest::Client::new().get(url).bearer_auth(arena.organizer.bearer()).send().await.unwrap();
    assert_eq!(given.status(), 200);
    let bytes = given.bytes().await.unwrap().to_vec();
    let copy = put_bundle(&arena.organizer, "rainfall-copy", bytes).await.is(201).json();
    assert_eq!((&copy["slug"], &copy["created"]), (&json!("rainfall-copy"), &json!(true)));
    let title = |slug: &str| {
        let path = format!("/api/v1/competitions/{slug}");
        let organizer = &arena.organizer;
        async move { organizer.get(&path).await.ok().json()["title"].clone() }
    };
    assert_eq!(title("rainfall-copy").await, title(SLUG).await);
    // a bundle holds hidden data: it never lies on the disk but sealed, and not even so afterwards
    assert!(!arena.app.app.settings.work_dir.join("spool").exists());
    let kept = arena.app.app.house.objects.list("drafts").try_collect::<Vec<_>>().await.unwrap();
    assert!(kept.is_empty(), "{kept:?}");
    let root = arena.app.admin("root").await;
    let log = root.get("/admin/audit?action=competition.exported").await.ok();
    assert!(log.body.contains("competition.exported"), "{log:#?}");
}

#[tokio::test]
async fn an_organizer_of_the_installation_does_not_run_the_competitions_of_others() {
    let arena = Arena::waiting(&BundleFiles::new(), |_| {}).await;
    let otto = arena.app.user_with("otto", &[Role::Organizer]).await;
    let otto = otto.program(&otto.token("organize").await);
    let desk = format!("/api/v1/competitions/{SLUG}");
    problem(&otto.get(&format!("{desk}/bundle")).await, 403, "forbidden");
    let dates = json!({ "ends_at": "2001-01-01T00:00:00Z" });
    let moved = send_json(&otto, Method::PATCH, &format!("{desk}/desk/phases/0"), &dates).await;
    problem(&moved, 403, "forbidden");
    problem(&put_bundle(&otto, SLUG, BundleFiles::new().zip()).await, 409, "slug-taken");
    // whoever takes a bundle in runs what came of it
    put_bundle(&otto, "snowfall", BundleFiles::new().zip()).await.is(201);
    put_bundle(&otto, "snowfall", BundleFiles::new().zip()).await.ok();
    bare(&otto, Method::POST, "/api/v1/competitions/snowfall/desk/publish").await.ok();
}

#[tokio::test]
async fn whoever_is_not_admitted_is_told_why() {
    let arena = Arena::waiting(&BundleFiles::new(), |_| {}).await;
    arena.participant("alice", "submit").await;
    let id = arena.app.id_of("alice").await;
    let path = format!("/api/v1/competitions/{SLUG}/desk/participants/{id}");
    let removed = |reason: &str| json!({ "state": "removed", "reason": reason });
    problem(&send_json(&arena.organizer, Method::PUT, &path, &removed(" ")).await, 422, "no-reason");
    send_json(&arena.organizer, Method::PUT, &path, &removed("two accounts")).await.ok();
}

#[tokio::test]
async fn a_column_that_becomes_hidden_leaves_the_rows_that_stand() {
    let arena = Arena::working(&BundleFiles::new()).await;
    let alice = arena.participant("alice", "submit").await;
    let location = submit(&alice, off_by(2.0), &[]).await.is(201).header("location").to_owned();
    finished(&alice, &location).await;
    let before = alice.get(&leaderboard()).await.ok().json();
    assert_eq!(before["entries"][0]["scores"], json!({ "rmse": 2.0 }));
    let hidden = BundleFiles::new()
        .with("sorting: asc, hidden: true", "sorting: asc, hidden: false")
        .with("sorting: asc, precision: 3", "sorting: asc, precision: 3, hidden: true");
    put_bundle(&arena.organizer, SLUG, hidden.zip()).await.ok();
    let after = alice.get(&leaderboard()).await.ok().json();
    assert_eq!((&after["total"], &after["entries"][0]["scores"]), (&json!(1), &json!({})), "{after:#}");
    assert!(after["version"].as_i64() > before["version"].as_i64(), "{after:#}");
    assert!(!alice.get(&location).await.ok().body.contains("rmse"));
    let organizer = arena.organizer.get(&leaderboard()).await.ok().json();
    assert_eq!(organizer["entries"][0]["hidden_scores"]["rmse"], 2.0, "{organizer:#}");
    arena.close().await;
}

#[tokio::test]
async fn nothing_is_scored_on_a_dataset_that_nobody_catalogued() {
    let arena = Arena::waiting(&BundleFiles::new(), |_| {}).await;
    let mut conn = arena.app.app.db.read().await.unwrap();
    let here = shuyu::contest::db::by_slug(&mut conn, SLUG).await.unwrap().unwrap();
    catalog::authorise_scoring(&mut conn, here.id, &[]).await.unwrap();
    let unknown = [DatasetUse { slug: "nowhere".to_owned(), version: 1 }];
    let refused = catalog::authorise_scoring(&mut conn, here.id, &unknown).await;
    assert!(matches!(refused, Err(CatalogError::Unknown(_))), "{refused:?}");
}

#[tokio::test]
async fn a_dry_run_is_for_organizers_and_reaches_no_board() {
    let arena = Arena::working(&BundleFiles::new()).await;
    let alice = arena.participant("alice", "submit").await;
    let path = format!("/api/v1/competitions/{SLUG}/phases/0/dry-runs");
    let file = || ("predictions.csv", off_by(2.0));
    problem(&alice.upload(&path, file(), &[]).await, 403, "forbidden");
    let made = arena.organizer.upload(&path, file(), &[("message", "mean")]).await.is(201);
    let location = made.header("location").to_owned();
    let done = finished(&arena.organizer, &location).await;
    assert_eq!((&done["scores"]["rmse"], &done["counts"]), (&json!(2.0), &json!(false)), "{done}");
    problem(&alice.get(&location).await, 404, "not-found");
    assert_eq!(alice.get(&leaderboard()).await.ok().json()["total"], 0);
    let desk = format!("/api/v1/competitions/{SLUG}/desk/submissions");
    assert_eq!(arena.organizer.get(&desk).await.ok().json()["items"][0]["aim"], "dry_run");
    arena.close().await;
}
