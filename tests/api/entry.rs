//! Logging in, files, registration and teams.

use reqwest::Method;
use serde_json::json;

use super::support::arena::{Arena, BundleFiles, SLUG, off_by, put_bundle, register, send_json};
use super::support::{PASSWORD, TestApp};
use super::{bare, problem, submit};

#[tokio::test]
async fn a_program_logs_in_with_a_password_and_its_token_can_be_revoked() {
    let app = TestApp::start().await;
    app.user("alice").await;
    let visitor = app.visitor();
    let login = |password: &str| json!({ "login": "alice", "password": password, "name": "laptop" });
    let wrong = send_json(&visitor, Method::POST, "/api/v1/tokens", &login("wrong password")).await;
    problem(&wrong, 401, "wrong-login");
    let mut odd = login(PASSWORD);
    odd["scope"] = json!("everything");
    problem(&send_json(&visitor, Method::POST, "/api/v1/tokens", &odd).await, 422, "invalid");
    let made = send_json(&visitor, Method::POST, "/api/v1/tokens", &login(PASSWORD)).await.is(201);
    assert_eq!(made.header("set-cookie"), "", "no session is opened for a browser");
    let made = made.json();
    let program = visitor.program(made["token"].as_str().unwrap());
    let me = program.get("/api/v1/me").await.ok().json();
    assert_eq!((&me["login"], &me["scope"]), (&json!("alice"), &json!("submit")));
    let listed = program.get("/api/v1/tokens").await.ok().json();
    assert_eq!((&listed["total"], &listed["items"][0]["name"]), (&json!(1), &json!("laptop")));
    let path = format!("/api/v1/tokens/{}", made["id"].as_str().unwrap());
    problem(&bare(&program, Method::DELETE, "/api/v1/tokens/none").await, 404, "not-found");
    bare(&program, Method::DELETE, &path).await.is(204);
    problem(&program.get("/api/v1/me").await, 401, "token-needed");
}

#[tokio::test]
async fn only_what_is_public_can_be_downloaded() {
    let arena = Arena::waiting(&BundleFiles::new(), |_| {}).await;
    let visitor = arena.app.visitor();
    let files = format!("/api/v1/competitions/{SLUG}/files");
    let listed = visitor.get(&files).await.ok().json();
    let names: Vec<_> =
        listed["items"].as_array().unwrap().iter().map(|f| json!([f["name"], f["kind"]])).collect();
    assert_eq!(names, [json!(["kit.zip", "starting_kit"]), json!(["public.zip", "public_data"])]);
    let file = &listed["items"][1];
    let path = file["url"].as_str().unwrap();
    problem(&visitor.get(path).await, 401, "token-needed");
    let alice = arena.app.user("alice").await;
    let alice = alice.program(&alice.token("submit").await);
    problem(&alice.get(path).await, 403, "not-admitted");
    register(&alice).await.ok();
    let url = format!("http://{}{path}", arena.app.address);
    let response = reqwest::Client::new().get(url).bearer_auth(alice.bearer()).send().await.unwrap();
    assert_eq!(response.headers()["content-length"], file["size"].to_string().as_str());
    let bytes = response.bytes().await.unwrap();
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes.to_vec())).unwrap();
    let text = std::io::read_to_string(archive.by_name("stations.csv").unwrap()).unwrap();
    assert_eq!(text, "station,height\nA,12\n");
    for secret in [
        "reference",
        "ids.csv",
        "later",
        "later.zip",
        "competition.yaml",
        "..%2F..%2Fkey",
        "kit%2F..%2Freference",
    ] {
        problem(&visitor.get(&format!("{files}/{secret}")).await, 404, "not-found");
    }
    let all = arena.organizer.get(&files).await.ok().json();
    assert_eq!(all["total"], 3, "the organizer sees those of phases that have not begun");

    let mut stricter = BundleFiles::new();
    stricter.0.insert("terms.md".to_owned(), b"Be fair, and share nothing.".to_vec());
    put_bundle(&arena.organizer, SLUG, stricter.zip()).await.ok();
    problem(&alice.get(path).await, 403, "terms-not-accepted");
    register(&alice).await.ok();
    alice.get(path).await.ok();
}

#[tokio::test]
async fn reference_data_that_is_offered_under_another_name_stays_inside() {
    let bundle = BundleFiles::new().with("starting_kit: kit", "starting_kit: reference");
    let arena = Arena::waiting(&bundle, |_| {}).await;
    let alice = arena.participant("alice", "submit").await;
    let files = format!("/api/v1/competitions/{SLUG}/files");
    assert_eq!(alice.get(&files).await.ok().json()["total"], 1);
    problem(&alice.get(&format!("{files}/reference")).await, 404, "not-found");
}

#[tokio::test]
async fn registering_waits_for_the_organizer_where_the_competition_says_so() {
    let bundle =
        BundleFiles::new().with("registration_auto_approve: true", "registration_auto_approve: false");
    let arena = Arena::waiting(&bundle, |_| {}).await;
    let alice = arena.app.user("alice").await;
    let alice = alice.program(&alice.token("submit").await);
    let own = format!("/api/v1/competitions/{SLUG}/registration");
    let before = alice.get(&own).await.ok().json();
    assert_eq!((&before["state"], &before["terms"]), (&json!(null), &json!("Be fair.")));
    let after = register(&alice).await.ok().json();
    assert_eq!((&after["state"], &after["terms_accepted"]), (&json!("pending"), &json!(true)));
    problem(&submit(&alice, off_by(1.0), &[]).await, 403, "not-admitted");

    let desk = format!("/api/v1/competitions/{SLUG}/desk/participants");
    problem(&alice.get(&desk).await, 403, "forbidden");
    let waiting = arena.organizer.get(&desk).await.ok().json();
    let user = waiting["items"][0]["user"].as_str().unwrap().to_owned();
    assert_eq!(
        (&waiting["items"][0]["login"], &waiting["items"][0]["state"]),
        (&json!("alice"), &json!("pending"))
    );
    let path = format!("{desk}/{user}");
    let odd = send_json(&arena.organizer, Method::PUT, &path, &json!({ "state": "perhaps" })).await;
    problem(&odd, 422, "invalid");
    let nobody = format!("{desk}/01976c6e-0c1f-7d2a-9a52-7c44ad3f0b11");
    let approved = json!({ "state": "approved" });
    problem(&send_json(&arena.organizer, Method::PUT, &nobody, &approved).await, 404, "not-found");
    send_json(&arena.organizer, Method::PUT, &path, &approved).await.ok();
    submit(&alice, off_by(1.0), &[]).await.is(201);
    let removed = json!({ "state": "removed", "reason": "left the country" });
    send_json(&arena.organizer, Method::PUT, &path, &removed).await.ok();
    problem(&submit(&alice, off_by(1.0), &[]).await, 403, "not-admitted");
    let told = alice.get(&own).await.ok().json();
    assert_eq!((&told["state"], &told["reason"]), (&json!("removed"), &json!("left the country")));
    let one = format!("/api/v1/competitions/{SLUG}");
    assert_eq!(alice.get(&one).await.ok().json()["registration_reason"], "left the country");
    assert_eq!(arena.app.visitor().get(&one).await.ok().json()["registration_reason"], json!(null));
    let back = json!({ "state": "approved", "reason": "came back" });
    send_json(&arena.organizer, Method::PUT, &path, &back).await.ok();
    assert_eq!(alice.get(&own).await.ok().json()["reason"], json!(null), "nobody is kept out");
}

#[tokio::test]
async fn a_team_is_made_named_joined_and_left() {
    let arena = Arena::waiting(&BundleFiles::new(), |_| {}).await;
    let alice = arena.participant("alice", "submit").await;
    let bob = arena.participant("bob", "submit").await;
    let carol = arena.participant("carol", "submit").await;
    let team = format!("/api/v1/competitions/{SLUG}/team");
    problem(&alice.get(&team).await, 404, "not-found");
    problem(&bare(&alice, Method::DELETE, &team).await, 409, "no-team");
    problem(&send_json(&alice, Method::POST, &team, &json!({ "name": " " })).await, 422, "invalid");
    send_json(&alice, Method::POST, &team, &json!({ "name": "北斗 Dipper" })).await.is(201);
    let taken = problem(
        &send_json(&bob, Method::POST, &team, &json!({ "name": "北斗  DIPPER" })).await,
        422,
        "invalid",
    );
    assert_eq!(taken["errors"][0]["code"], "team-name-taken");
    problem(&send_json(&alice, Method::POST, &team, &json!({ "name": "南斗" })).await, 409, "in-team");
    let renamed = send_json(&alice, Method::PATCH, &team, &json!({ "name": "南斗" })).await.ok().json();
    assert_eq!(renamed["name"], "南斗");

    let invitation = bare(&alice, Method::POST, &format!("{team}/invitation")).await.is(201).json();
    let members = format!("{team}/members");
    problem(
        &send_json(&bob, Method::POST, &members, &json!({ "invitation": "no" })).await,
        410,
        "bad-invitation",
    );
    let joined = send_json(&bob, Method::POST, &members, &invitation).await.is(201).json();
    let names: Vec<_> = joined["members"].as_array().unwrap().iter().map(|m| m["name"].clone()).collect();
    assert_eq!(names, ["alice 先生", "bob 先生"]);
    let location = submit(&alice, off_by(1.0), &[]).await.is(201).header("location").to_owned();
    bob.get(&location).await.ok();
    problem(&carol.get(&location).await, 404, "not-found");
    bare(&bob, Method::DELETE, &team).await.is(204);
    problem(&bob.get(&location).await, 404, "not-found");
    problem(&bare(&alice, Method::DELETE, &team).await, 409, "last-member");
}
