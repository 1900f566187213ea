//! Everything that is refused is refused in one form, says what to do, and changes nothing.

use reqwest::Method;
use serde_json::json;

use super::support::arena::{Arena, BundleFiles, SLUG, off_by, put_bundle, register, send_json, submissions};
use super::support::{PASSWORD, TestApp};
use super::{bare, problem, submit};

const NOBODYS: &str = "/api/v1/submissions/01976c6e-0c1f-7d2a-9a52-7c44ad3f0b11";

#[tokio::test]
async fn requests_that_cannot_be_understood() {
    let arena = Arena::waiting(&BundleFiles::new(), |_| {}).await;
    let alice = arena.participant("alice", "submit").await;
    problem(&alice.get("/api/v1/nothing").await, 404, "not-found");
    problem(&alice.get("/api/v1/competitions/unknown").await, 404, "not-found");
    problem(&alice.get("/api/v1/competitions/%FF").await, 404, "not-found");
    problem(&alice.get(&format!("/api/v1/competitions/{SLUG}/phases/7/leaderboard")).await, 404, "not-found");
    problem(&alice.get(&format!("/api/v1/competitions/{SLUG}/phases/x/leaderboard")).await, 404, "not-found");
    problem(&alice.get("/api/v1/submissions/not-an-id").await, 404, "not-found");
    problem(&alice.get(NOBODYS).await, 404, "not-found");
    let answer = bare(&alice, Method::DELETE, "/api/v1/me").await;
    problem(&answer, 405, "method-not-allowed");
    assert!(answer.header("allow").contains("GET"));
    let listing = format!("/api/v1/competitions/{SLUG}/submissions?limit=many");
    problem(&alice.get(&listing).await, 400, "bad-request");

    let registration = format!("/api/v1/competitions/{SLUG}/registration");
    let post = async |kind: &'static str, body: Vec<u8>| {
        let headers = [("content-type", kind)];
        alice.send(Method::POST, &registration, &headers, |request| request.body(body)).await
    };
    problem(&post("text/plain", b"{}".to_vec()).await, 415, "unsupported-media-type");
    problem(&post("application/json", b"{\"terms".to_vec()).await, 400, "bad-request");
    problem(&post("application/json", b"{\"terms_digest\": 7}".to_vec()).await, 422, "invalid");
    problem(&post("application/json", vec![b' '; 2 << 20]).await, 413, "too-large");
    problem(
        &post("application/json", b"{\"terms_digest\": \"old\"}".to_vec()).await,
        403,
        "terms-not-accepted",
    );

    let send = async |kind: &'static str, body: &'static str| {
        let headers = [("content-type", kind)];
        alice.send(Method::POST, &submissions(), &headers, |request| request.body(body)).await
    };
    problem(&send("application/json", "{}").await, 415, "unsupported-media-type");
    problem(&send("multipart/form-data", "x").await, 415, "unsupported-media-type");
    problem(&send("multipart/form-data; boundary=X", "no boundary at all").await, 400, "bad-request");
    let cut = "--X\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.csv\"\r\n\r\nrow_id,ra";
    problem(&send("multipart/form-data; boundary=X", cut).await, 400, "upload-broken");
    let spool = arena.app.app.settings.work_dir.join("spool");
    assert_eq!(std::fs::read_dir(spool).unwrap().count(), 0, "nothing is left of an upload that broke off");
}

#[tokio::test]
async fn files_that_are_not_taken() {
    let arena = Arena::waiting(&BundleFiles::new(), |settings| settings.upload.cap_bytes = 64 << 10).await;
    let alice = arena.participant("alice", "submit").await;
    let fault = |answer: &super::Answer, code: &str| {
        let document = problem(answer, 422, "invalid");
        assert_eq!(document["errors"][0]["code"], code, "{document:#}");
    };
    let form = |request: reqwest::RequestBuilder| {
        request.multipart(reqwest::multipart::Form::new().text("message", "no file"))
    };
    fault(&alice.send(Method::POST, &submissions(), &[], form).await, "required");
    fault(&alice.upload(&submissions(), ("a.exe", off_by(1.0)), &[]).await, "file-ending");
    fault(&alice.upload(&submissions(), ("a", off_by(1.0)), &[]).await, "file-ending");
    fault(&submit(&alice, Vec::new(), &[]).await, "file-empty");
    fault(&submit(&alice, off_by(1.0), &[("message", &"长".repeat(501))]).await, "message-long");
    fault(&submit(&alice, off_by(1.0), &[("trial", "perhaps")]).await, "truth");
    fault(&submit(&alice, off_by(1.0), &[("facts", "[1]")]).await, "json-object");
    problem(&submit(&alice, off_by(1.0), &[("trial", "true")]).await, 409, "no-twin");
    // far above the cap: the sender gets to read the answer, and the limit is named
    let large = problem(&submit(&alice, vec![b'1'; 24 << 20], &[]).await, 413, "upload-too-large");
    assert!(large.to_string().contains("64"), "{large:#}");
    let own = alice.get(&format!("/api/v1/competitions/{SLUG}")).await.ok().json();
    assert_eq!(own["phases"][0]["quota"]["used"], 0, "nothing of this took from the quota");
}

#[tokio::test]
async fn who_may_not_submit() {
    let arena = Arena::waiting(&BundleFiles::new(), |_| {}).await;
    let answer = submit(&arena.app.visitor(), off_by(1.0), &[]).await;
    problem(&answer, 401, "token-needed");
    assert!(answer.header("www-authenticate").starts_with("Bearer"));
    let forged = arena.app.visitor().program("shy_0000");
    problem(&submit(&forged, off_by(1.0), &[]).await, 401, "token-needed");

    let reader = arena.participant("rita", "read").await;
    reader.get(&format!("/api/v1/competitions/{SLUG}/submissions")).await.ok();
    problem(&submit(&reader, off_by(1.0), &[]).await, 403, "forbidden");
    problem(&register(&reader).await, 403, "forbidden");

    let stranger = arena.app.user("sam").await;
    let stranger = stranger.program(&stranger.token("submit").await);
    problem(&submit(&stranger, off_by(1.0), &[]).await, 403, "not-admitted");
    register(&stranger).await.ok();
    let ahead = format!("/api/v1/competitions/{SLUG}/phases/1/submissions");
    problem(&stranger.upload(&ahead, ("a.csv", off_by(1.0)), &[]).await, 409, "phase-not-begun");

    // an organizer's token of scope submit carries no organizer's rights
    let narrow = arena.app.visitor();
    narrow.log_in("olga", PASSWORD).await.see_other("/");
    let narrow = narrow.program(&narrow.token("submit").await);
    let desk = format!("/api/v1/competitions/{SLUG}/desk/submissions");
    problem(&narrow.get(&desk).await, 403, "forbidden");
    problem(&stranger.get(&desk).await, 403, "forbidden");
    problem(&put_bundle(&narrow, "another", BundleFiles::new().zip()).await, 403, "forbidden");
    arena.organizer.get(&desk).await.ok();
}

#[tokio::test]
async fn the_submissions_of_others_are_as_if_they_were_not_there() {
    let arena = Arena::waiting(&BundleFiles::new(), |_| {}).await;
    let alice = arena.participant("alice", "submit").await;
    let bob = arena.participant("bob", "submit").await;
    let location = submit(&alice, off_by(1.0), &[]).await.is(201).header("location").to_owned();
    let absent = bob.get(NOBODYS).await;
    for (method, path) in [
        (Method::GET, location.clone()),
        (Method::GET, format!("{location}/file")),
        (Method::GET, format!("{location}/events")),
        (Method::POST, format!("{location}/cancel")),
        (Method::PUT, format!("{location}/nomination")),
        (Method::DELETE, format!("{location}/choice")),
        (Method::POST, format!("{location}/rerun")),
    ] {
        let answer = bare(&bob, method, &path).await;
        let (told, mut nothing) = (problem(&answer, 404, "not-found"), absent.json());
        nothing["instance"] = told["instance"].clone();
        assert_eq!(told, nothing, "{path}");
    }
    problem(&arena.app.visitor().get(&location).await, 401, "token-needed");
    let listed = bob.get(&format!("/api/v1/competitions/{SLUG}/submissions")).await.ok().json();
    assert_eq!(listed["total"], 0);
    assert_eq!(alice.get(&location).await.ok().json()["status"], "queued");
}

#[tokio::test]
async fn the_quota_is_told_truly_and_a_cancel_before_the_start_gives_back() {
    let bundle = BundleFiles::new().with("max_submissions_per_day: 5", "max_submissions_per_day: 2");
    let arena = Arena::waiting(&bundle, |_| {}).await;
    let alice = arena.participant("alice", "submit").await;
    let first = submit(&alice, off_by(1.0), &[]).await.is(201).header("location").to_owned();
    submit(&alice, off_by(2.0), &[]).await.is(201);
    for fields in [&[][..], &[("trial", "false")][..]] {
        let told = problem(&submit(&alice, off_by(3.0), fields).await, 429, "daily-quota");
        assert!(
            told["mend"].as_str().unwrap().contains("UTC")
                || told["detail"].as_str().unwrap().contains("UTC")
        );
    }
    let quota = || async {
        let document = alice.get(&format!("/api/v1/competitions/{SLUG}")).await.ok().json();
        let quota = &document["phases"][0]["quota"];
        (quota["used_today"].clone(), quota["left_today"].clone())
    };
    assert_eq!(quota().await, (json!(2), json!(0)));
    let cancelled = bare(&alice, Method::POST, &format!("{first}/cancel")).await.ok().json();
    assert_eq!((&cancelled["status"], &cancelled["counts"]), (&json!("cancelled"), &json!(false)));
    problem(&bare(&alice, Method::POST, &format!("{first}/cancel")).await, 409, "wrong-state");
    assert_eq!(quota().await, (json!(1), json!(1)));
    submit(&alice, off_by(3.0), &[]).await.is(201);
    problem(&submit(&alice, off_by(4.0), &[]).await, 429, "daily-quota");
}

#[tokio::test]
async fn too_many_requests_and_uploads() {
    let bundle = BundleFiles::new().with("max_submissions_per_day: 5", "max_submissions_per_day: 0");
    let arena = Arena::waiting(&bundle, |settings| settings.limits.upload = 2).await;
    let alice = arena.participant("alice", "submit").await;
    submit(&alice, off_by(1.0), &[]).await.is(201);
    submit(&alice, off_by(1.0), &[]).await.is(201);
    let answer = submit(&alice, off_by(1.0), &[]).await;
    problem(&answer, 429, "too-many-requests");
    assert!((1..=60).contains(&answer.header("retry-after").parse::<u64>().unwrap()));

    let app = TestApp::start_with(|settings| settings.limits.api = 3).await;
    let visitor = app.visitor();
    for _ in 0..3 {
        visitor.get("/api/v1/competitions").await.ok();
    }
    problem(&visitor.get("/api/v1/competitions").await, 429, "too-many-requests");
}

#[tokio::test]
async fn a_hidden_leaderboard_is_for_organizers_alone() {
    let bundle = BundleFiles::new().with("    key: main\n", "    key: main\n    hidden: true\n");
    let arena = Arena::waiting(&bundle, |_| {}).await;
    let alice = arena.participant("alice", "submit").await;
    let board = super::support::arena::leaderboard();
    for path in [board.clone(), format!("{board}?format=csv"), format!("{board}/events")] {
        problem(&alice.get(&path).await, 403, "board-hidden");
    }
    arena.organizer.get(&board).await.ok();
}

#[tokio::test]
async fn drafts_are_seen_by_their_organizers_alone() {
    let app = TestApp::start().await;
    let organizer = app.user_with("olga", &[shuyu::people::Role::Organizer]).await;
    let organizer = organizer.program(&organizer.token("organize").await);
    put_bundle(&organizer, SLUG, BundleFiles::new().zip()).await.is(201);
    let alice = app.user("alice").await;
    let alice = alice.program(&alice.token("submit").await);
    let path = format!("/api/v1/competitions/{SLUG}");
    problem(&alice.get(&path).await, 404, "not-found");
    assert_eq!(alice.get("/api/v1/competitions").await.ok().json()["total"], 0);
    assert_eq!(organizer.get(&path).await.ok().json()["published"], false);
    let publish = format!("{path}/desk/publish");
    problem(&bare(&alice, Method::POST, &publish).await, 404, "not-found");
    bare(&organizer, Method::POST, &publish).await.ok();
    alice.get(&path).await.ok();
    send_json(&alice, Method::POST, &format!("{path}/team"), &json!({ "name": "早" })).await.is(403);
}
