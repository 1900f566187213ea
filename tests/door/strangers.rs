//! Red team 45 and 47: foreign origins, other people's tickets and visits, and visits that are over.

use shuyu::contest::entry;
use shuyu::contest::model::ParticipantState;
use shuyu::ids::SandboxId;
use shuyu::lab::model::State;

use super::client::{Guest, Said};
use super::scene::{Inside, at_the_door, participant, scene};
use super::support::TestApp;

const KERNEL: &str = r#"{"name":"python3"}"#;

#[tokio::test]
async fn n45_only_its_own_pages_change_anything_or_open_a_websocket() {
    let app = scene().await;
    let alice = participant(&app, "alice", "small").await.open(&app).await;
    let own = alice.guest.origin();
    let other: SandboxId = app.app.entropy.id(&app.clock);
    let foreign = [
        "null",
        "",
        "http://evil.example",
        &format!("http://{}.localhost.evil.example", alice.id),
        &format!("http://{}.evil.localhost:{}", alice.id, app.address.port()),
        &at_the_door(&app, other).origin(),
        &app.app.settings.public_url,
        &format!("http://localhost:{}", app.address.port()),
        &own.replace("http://", "https://"),
        &own.replace(&format!(":{}", app.address.port()), ""),
        &format!("{own}/"),
        &format!("{own} http://evil.example"),
        &own.to_ascii_uppercase(),
    ]
    .map(str::to_owned);
    let kernels = "/api/kernels";
    let channels = format!("{kernels}/{}/channels", alice.guest.kernel().await);
    for origin in &foreign {
        let headers = [("Origin", origin.as_str()), ("Content-Type", "application/json")];
        for line in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "post", "EVIL"] {
            let said = alice.guest.ask(&format!("{line} {kernels}"), &headers, KERNEL).await;
            assert_eq!(said.status, 403, "{line} from {origin:?}: {said:?}");
            assert!(!said.head.contains("access-control"), "{said:?}");
        }
        let said = alice.guest.socket_from(Some(origin), &channels).await.err();
        assert_eq!(said.map(|said| said.status), Some(403), "a WebSocket from {origin:?}");
        // what is read is not for another's page either, nor is the page around the lab
        for path in [kernels, "/shuyu/state", "/lab", "/"] {
            alice.guest.ask(&format!("GET {path}"), &headers, "").await.is(403);
        }
    }
    alice.guest.ask(&format!("POST {kernels}"), &[], KERNEL).await.is(403);
    let silent = alice.guest.socket_from(None, &channels).await.err();
    assert_eq!(silent.map(|said| said.status), Some(403), "a WebSocket that does not say where it is from");
    let twice = [("Origin", own.as_str()), ("Origin", "http://evil.example")];
    alice.guest.ask(&format!("POST {kernels}"), &twice, KERNEL).await.is(403);
    for site in ["cross-site", "same-site"] {
        let headers = [("Sec-Fetch-Site", site), ("Sec-Fetch-Mode", "no-cors"), ("Sec-Fetch-Dest", "image")];
        alice.guest.ask("GET /lab", &headers, "").await.is(403);
    }

    // one kernel was started, by its own page; and that one can be talked to
    let started = alice.guest.get(kernels).await.is(200);
    assert_eq!(started.body.matches("last_activity").count(), 1, "{started:?}");
    alice.guest.socket(&channels).await;
    app.end_keeping().await;
}

/// Nothing of the lab, its shell or its WebSockets is there for whoever asks.
async fn stays_out(guest: &Guest, channels: &str) {
    for path in ["/", "/shuyu/", "/shuyu/state", "/lab", "/api/kernels", "/static/favicon.ico", "/metrics"] {
        guest.get(path).await.is(401);
    }
    guest.change("POST /api/kernels", KERNEL).await.is(401);
    let refused = guest.socket_from(Some(&guest.origin()), channels).await.err();
    assert_eq!(refused.map(|said| said.status), Some(401));
}

async fn redeem(guest: &Guest, path: &str) -> Said {
    let mut stranger = guest.clone();
    stranger.cookies.clear();
    stranger.get(path).await
}

#[tokio::test]
async fn n47_tickets_and_visits_are_good_for_one_sandbox_and_end_with_what_they_rest_on() {
    let app = scene().await;
    let (alice, bob) = (participant(&app, "alice", "small").await, participant(&app, "bob", "small").await);
    let (hers, his) = tokio::join!(alice.open(&app), bob.open(&app));
    let kernel = hers.guest.kernel().await;
    let channels = format!("/api/kernels/{kernel}/channels");
    assert_eq!(hers.guest.run(&kernel, "x = 20; print(x)").await, "20\n");

    tickets(&app, &alice, &hers, &his).await;
    // with the other's visit, with none, with the main site's login, and with a guess
    let session = alice.browser.jar.lock().unwrap()["shuyu_session"].clone();
    let visit = his.guest.cookies.clone();
    for cookies in [visit, String::new(), format!("shuyu_session={session}"), "shuyu_sandbox=guess".into()] {
        let guest = Guest { cookies, ..hers.guest.clone() };
        stays_out(&guest, &channels).await;
    }

    // signed out of the main site: the door is closed, and a WebSocket that was open ends
    let mut open = hers.guest.socket(&channels).await;
    alice.browser.post("/logout", &[]).await.is(303);
    stays_out(&hers.guest, &channels).await;
    while open.hear().await.is_some() {}
    // signed in again it stays closed to who was there before; with a new ticket the kernel goes on
    alice.browser.log_in("alice", super::support::PASSWORD).await.is(303);
    stays_out(&hers.guest, &channels).await;
    let hers = alice.go_in(&app, hers.id).await;
    assert_eq!(hers.guest.run(&kernel, "print(x + 1)").await, "21\n");

    // removed from the competition
    let (organizer, user) = (app.id_of("org").await, app.id_of("alice").await);
    let mut tx = app.app.db.begin().await.unwrap();
    let contest = shuyu::contest::db::by_slug(&mut tx, "small").await.unwrap().unwrap();
    let removed = ParticipantState::Removed;
    entry::decide(&mut tx, &app.clock, &contest, organizer, user, removed, "r").await.unwrap();
    tx.commit().await.unwrap();
    stays_out(&hers.guest, &channels).await;
    assert_eq!(alice.until(&app, State::Stopped).await.reason, "removed");

    // stopped: nothing answers, whoever asks
    bob.press("stop").await;
    bob.until(&app, State::Stopped).await;
    let said = his.guest.get("/lab").await;
    assert!([401, 503].contains(&said.status), "{said:?}");
    for path in ["/", "/shuyu/state"] {
        his.guest.get(path).await.is(401);
    }
    app.end_keeping().await;
}

async fn tickets(app: &TestApp, alice: &super::scene::Person, hers: &Inside, his: &Inside) {
    let ticket = alice.ticket(app, hers.id).await;
    redeem(&his.guest, &ticket).await.is(401);
    let entered = redeem(&hers.guest, &ticket).await.is(303);
    assert!(entered.head.contains("httponly") && entered.head.contains("samesite=lax"), "{entered:?}");
    assert!(!entered.head.contains("domain="), "{entered:?}");
    // again, by the same browser and by another one
    redeem(&hers.guest, &ticket).await.is(401);
    hers.guest.get(&ticket).await.is(401);
    let late = alice.ticket(app, hers.id).await;
    app.clock.shift(60_000);
    redeem(&hers.guest, &late).await.is(401);
    for forged in ["", "?", "?ticket=", "?ticket=guess", "?ticket=%00", "?other=1"] {
        redeem(&hers.guest, &format!("/shuyu/enter{forged}")).await.is(401);
    }
    // two at once: one comes in
    let ticket = alice.ticket(app, hers.id).await;
    let both = tokio::join!(redeem(&hers.guest, &ticket), redeem(&hers.guest, &ticket));
    let mut both = [both.0.status, both.1.status];
    both.sort_unstable();
    assert_eq!(both, [303, 401]);
}
