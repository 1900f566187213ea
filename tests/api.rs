//! REST over HTTP against the real router, with a worker in the process and real runs.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it could not do by failing")]

mod support;

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use support::arena::{
    Arena, BundleFiles, SLUG, finished, leaderboard, off_by, put_bundle, register, send_json, submissions,
};
use support::{Answer, Browser, PASSWORD, TestApp};

/// An error in the one form that all have: problem+json with a title, a reason and a mend in words.
#[track_caller]
fn problem(answer: &Answer, status: u16, code: &str) -> Value {
    assert_eq!(answer.status.as_u16(), status, "{answer:#?}");
    assert_eq!(answer.header("content-type"), "application/problem+json", "{answer:#?}");
    let document = answer.json();
    assert_eq!(document["code"], code, "{document:#}");
    assert_eq!(document["status"], status);
    assert_eq!(document["type"], format!("urn:shuyu:problem:{code}"));
    for key in ["title", "detail", "mend"] {
        let text = document[key].as_str().unwrap();
        assert!(!text.is_empty() && !text.starts_with("error-"), "{key} is {text:?}");
    }
    for fault in document["errors"].as_array().into_iter().flatten() {
        assert!(!fault["text"].as_str().unwrap().starts_with("fault-"), "{fault:#}");
    }
    document
}

async fn submit(program: &Browser, file: Vec<u8>, fields: &[(&str, &str)]) -> Answer {
    program.upload(&submissions(), ("predictions.csv", file), fields).await
}

async fn bare(program: &Browser, method: Method, path: &str) -> Answer {
    program.send(method, path, &[], |request| request).await
}

#[tokio::test]
async fn a_submission_is_scored_and_stands_on_the_leaderboard() {
    let arena = Arena::working(&BundleFiles::new()).await;
    let alice = arena.participant("alice", "submit").await;
    let bob = arena.participant("bob", "submit").await;

    let made = submit(&alice, off_by(2.5), &[("message", "first try")]).await.is(201);
    let location = made.header("location").to_owned();
    let id = made.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(location, format!("/api/v1/submissions/{id}"));
    assert!(["queued", "running", "finished"].contains(&made.json()["status"].as_str().unwrap()));
    let first = finished(&alice, &location).await;
    assert_eq!(first["status"], "finished", "{first:#}");
    assert_eq!(first["scores"], json!({ "rmse": 2.5 }));
    assert_eq!(first["improved"], true);
    assert_eq!(first["message"], "first try");
    assert_eq!(first["tasks"], json!([{ "index": 0, "status": "finished", "scores": { "rmse": 2.5 } }]));
    assert_eq!((&first["reason"], &first["queue"]), (&Value::Null, &Value::Null));

    // worse, then better; six decimals
    let second = submit(&alice, off_by(3.0), &[]).await.is(201);
    assert_eq!(finished(&alice, second.header("location")).await["improved"], false);
    let third = submit(&alice, off_by(1.123_456_789), &[]).await.is(201);
    let third = finished(&alice, third.header("location")).await;
    assert_eq!((&third["improved"], &third["scores"]), (&json!(true), &json!({ "rmse": 1.123_457 })));
    assert_eq!(alice.get(&location).await.json()["improved"], true, "what was better then stays so");
    let by_bob = submit(&bob, off_by(2.0), &[]).await.is(201);
    finished(&bob, by_bob.header("location")).await;

    let board = arena.app.visitor().get(&leaderboard()).await.ok().json();
    let rows: Vec<_> = board["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| json!([row["rank"], row["team"]["name"], row["scores"], row["entries"]]))
        .collect();
    assert_eq!(
        rows,
        [json!([1, "alice 先生", { "rmse": 1.123_457 }, 3]), json!([2, "bob 先生", { "rmse": 2.0 }, 1])]
    );
    assert_eq!((&board["total"], &board["mine"]), (&json!(2), &Value::Null));
    let part = bob.get(&format!("{}?limit=1", leaderboard())).await.ok().json();
    assert_eq!(part["entries"].as_array().unwrap().len(), 1);
    assert_eq!(part["mine"]["rank"], 2);

    let csv = bob.get_with(&leaderboard(), &[("accept", "text/csv")]).await.ok();
    assert!(csv.header("content-type").starts_with("text/csv"));
    let lines: Vec<&str> = csv.body.lines().collect();
    assert_eq!(lines[0], "rank,team,rmse,entries,last_improved");
    assert!(lines[1].starts_with("1,alice 先生,1.123457,3,"), "{lines:?}");
    assert_eq!(csv.body, bob.get(&format!("{}?format=csv", leaderboard())).await.ok().body);

    let own = format!("/api/v1/competitions/{SLUG}/submissions");
    let listed = alice.get(&own).await.ok().json();
    let scores: Vec<_> = listed["items"].as_array().unwrap().iter().map(|s| &s["scores"]["rmse"]).collect();
    assert_eq!(scores, [&json!(1.123_457), &json!(3.0), &json!(2.5)]);
    let content = alice.get(&format!("{location}/file")).await.ok();
    assert_eq!(content.body.as_bytes(), off_by(2.5));
    assert!(content.header("content-disposition").contains("predictions.csv"));
    arena.close().await;
}

#[tokio::test]
async fn hidden_columns_are_in_no_response_but_the_organizers() {
    let arena = Arena::working(&BundleFiles::new()).await;
    let alice = arena.participant("alice", "submit").await;
    let made = submit(&alice, off_by(4.0), &[]).await.is(201);
    let location = made.header("location").to_owned();
    finished(&alice, &location).await;
    let competition = format!("/api/v1/competitions/{SLUG}");
    let addresses = [
        location.clone(),
        competition.clone(),
        format!("{competition}/submissions"),
        leaderboard(),
        format!("{}?format=csv", leaderboard()),
        "/api/v1/competitions".to_owned(),
        format!("{competition}/files"),
        format!("{competition}/registration"),
        format!("{competition}/team"),
    ];
    for address in &addresses {
        alice.get(address).await.ok().lacks("mae_secret").lacks("MAE");
    }
    for address in [&competition, &leaderboard(), &"/api/v1/competitions".to_owned()] {
        arena.app.visitor().get(address).await.ok().lacks("mae_secret");
    }
    let board = arena.organizer.get(&leaderboard()).await.ok().json();
    assert_eq!(board["entries"][0]["hidden_scores"], json!({ "mae_secret": 4.0 }));
    let desk = arena.organizer.get(&format!("{competition}/desk/submissions?state=finished")).await.ok().json();
    assert_eq!(desk["items"][0]["scores"], json!({ "rmse": 4.0, "mae_secret": 4.0 }));
    assert_eq!((&desk["items"][0]["state"], &desk["total"]), (&json!("finished"), &json!(1)));
    arena.organizer.get(&location).await.ok().lacks("mae_secret");
    arena.close().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_result_is_said_with_its_line() {
    let arena = Arena::working(&BundleFiles::new()).await;
    let alice = arena.participant("alice", "submit").await;
    let text = String::from_utf8(off_by(0.0)).unwrap().replace("\n7,", "\n7,x");
    let made = submit(&alice, text.into_bytes(), &[]).await.is(201);
    let over = finished(&alice, made.header("location")).await;
    assert_eq!((&over["status"], &over["scores"], &over["improved"]), (&json!("rejected"), &json!({}), &Value::Null));
    assert!(over["reason"]["text"].as_str().is_some_and(|text| !text.is_empty()), "{over:#}");
    assert!(over["reason"]["faults"].to_string().contains('8'), "the line is named: {over:#}");
    assert_eq!(over["counts"], false, "a rejected one costs no quota");
    arena.close().await;
}
