//! Extra packages over the API: one's own, and everybody's.

use reqwest::Method;
use reqwest::multipart::Form;
use serde_json::{Value, json};

use super::support::arena::{Arena, BundleFiles, SLUG};
use super::support::wheels::wheel;
use super::{bare, problem};

#[tokio::test]
async fn people_manage_their_own_and_organizers_everybodys() {
    let arena = Arena::waiting(&BundleFiles::new(), |_| {}).await;
    let alice = arena.participant("alice", "submit").await;
    let (own, desk) = (
        format!("/api/v1/competitions/{SLUG}/packages"),
        format!("/api/v1/competitions/{SLUG}/desk/packages"),
    );
    assert_eq!(alice.get(&own).await.ok().json(), json!({ "shared": [], "own": [] }));

    let (name, bytes) = wheel("mine", "1.0", &[("mine.py", "")]);
    let added = alice.upload(&own, (&name, bytes.clone()), &[]).await.is(201).json();
    assert_eq!((&added["name"], &added["file_name"]), (&json!("mine"), &json!("mine-1.0-py3-none-any.whl")));
    assert_eq!((&added["lacks"], &added["left_out"]), (&json!([]), &json!(false)));
    let id = added["id"].as_str().unwrap();
    problem(&alice.upload(&own, (&name, bytes.clone()), &[]).await, 409, "package-name-taken");
    problem(&alice.upload(&own, ("mine.whl", bytes.clone()), &[]).await, 422, "wheel-file-name");
    let empty = alice.send(Method::POST, &own, &[], |r| r.multipart(Form::new().text("note", "none"))).await;
    problem(&empty, 422, "invalid");

    problem(&alice.get(&desk).await, 403, "forbidden");
    let (name, everybodys) = wheel("common", "1.0", &[("mine.py", "")]);
    problem(&alice.upload(&desk, (&name, everybodys.clone()), &[]).await, 403, "forbidden");
    let common = arena.organizer.upload(&desk, (&name, everybodys), &[]).await.is(201).json();
    let common = common["id"].as_str().unwrap();
    let names = |list: &Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|p| format!("{} {}", p["name"], p["left_out"])).collect()
    };
    let seen = alice.get(&own).await.ok().json();
    assert_eq!(names(&seen["shared"]), ["\"common\" false"]);
    assert_eq!(names(&seen["own"]), ["\"mine\" true"], "the organizer's come before it");
    assert_eq!(names(&arena.organizer.get(&desk).await.ok().json()["own"]), [""; 0]);

    // a token that only reads, somebody else, and somebody who does not take part
    let reader = arena.participant("rita", "read").await;
    problem(&reader.upload(&own, ("mine-1.0-py3-none-any.whl", bytes.clone()), &[]).await, 403, "forbidden");
    assert_eq!(names(&reader.get(&own).await.ok().json()["own"]), [""; 0]);
    let bob = arena.participant("bob", "submit").await;
    problem(&bare(&bob, Method::DELETE, &format!("{own}/{id}")).await, 404, "package-gone");
    problem(&bare(&alice, Method::DELETE, &format!("{own}/{common}")).await, 404, "package-gone");
    let stranger = arena.app.user("stranger").await;
    let stranger = stranger.program(&stranger.token("submit").await);
    problem(&stranger.get(&own).await, 403, "not-admitted");
    problem(&stranger.upload(&own, ("mine-1.0-py3-none-any.whl", bytes), &[]).await, 403, "not-admitted");

    bare(&alice, Method::DELETE, &format!("{own}/{id}")).await.is(204);
    bare(&arena.organizer, Method::DELETE, &format!("{desk}/{common}")).await.is(204);
    assert_eq!(alice.get(&own).await.ok().json(), json!({ "shared": [], "own": [] }));
}
