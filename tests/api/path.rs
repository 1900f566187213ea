//! From upload to leaderboard, and what each may see of it.

use futures_util::StreamExt as _;
use serde_json::{Value, json};

use super::submit;
use super::support::arena::{Arena, BundleFiles, SLUG, finished, leaderboard, off_by, submissions};

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
    let desk =
        arena.organizer.get(&format!("{competition}/desk/submissions?state=finished")).await.ok().json();
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
    assert_eq!(
        (&over["status"], &over["scores"], &over["improved"]),
        (&json!("rejected"), &json!({}), &Value::Null)
    );
    assert!(over["reason"]["text"].as_str().is_some_and(|text| !text.is_empty()), "{over:#}");
    assert!(over["reason"]["faults"].to_string().contains('8'), "the line is named: {over:#}");
    assert_eq!(over["counts"], false, "a rejected one costs no quota");
    arena.close().await;
}

#[tokio::test]
async fn events_tell_when_it_is_finished() {
    let mut arena = Arena::waiting(&BundleFiles::new(), |_| {}).await;
    let alice = arena.participant("alice", "submit").await;
    let made = submit(&alice, off_by(1.0), &[]).await.is(201);
    let location = made.header("location").to_owned();
    assert_eq!(made.json()["status"], "queued");
    assert_eq!(made.json()["queue"]["ahead"], 0);
    let stream = |path: String| {
        let token = alice.bearer().to_owned();
        let url = format!("http://{}{path}", arena.app.address);
        async move {
            let client = reqwest::Client::builder().no_proxy().build().unwrap();
            let response = client.get(url).bearer_auth(token).send().await.unwrap();
            assert_eq!(response.headers()["content-type"], "text/event-stream");
            response.bytes_stream()
        }
    };
    let mut of_submission = stream(format!("{location}/events")).await;
    let mut of_board = stream(format!("{}/events", leaderboard())).await;
    arena.work().await;
    let mut heard = String::new();
    while !heard.contains("finished") {
        heard.push_str(std::str::from_utf8(&of_submission.next().await.unwrap().unwrap()).unwrap());
    }
    assert!(heard.contains("event: status"), "{heard}");
    let mut heard = String::new();
    while !heard.contains("\"version\"") {
        heard.push_str(std::str::from_utf8(&of_board.next().await.unwrap().unwrap()).unwrap());
    }
    assert!(heard.contains("event: board"), "{heard}");
    assert_eq!(finished(&alice, &location).await["status"], "finished");
    arena.close().await;
}

#[tokio::test]
async fn a_file_may_come_before_the_texts_and_nothing_of_it_is_left_behind() {
    let arena = Arena::waiting(&BundleFiles::new(), |_| {}).await;
    let alice = arena.participant("alice", "submit").await;
    let part = reqwest::multipart::Part::bytes(off_by(1.0)).file_name("a.csv");
    let form = reqwest::multipart::Form::new()
        .part("file", part)
        .text("message", "after the file")
        .text("later", "a field that nobody knows");
    let sent =
        alice.send(reqwest::Method::POST, &submissions(), &[], |request| request.multipart(form)).await;
    assert_eq!(sent.is(201).json()["message"], "after the file");
    let spool = arena.app.app.settings.work_dir.join("spool");
    assert_eq!(std::fs::read_dir(spool).unwrap().count(), 0);
    let listed = alice.get(&format!("/api/v1/competitions/{SLUG}/submissions?phase=0")).await.ok().json();
    assert_eq!(listed["total"], 1);
}
