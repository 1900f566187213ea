//! A sandbox that nobody uses, with its page left open.

use shuyu::lab::model::State;

use super::scene::{participant, scene};

/// Longer than a sandbox goes on unused.
const IDLE: i64 = 31 * 60_000;

#[tokio::test]
async fn a_page_left_open_keeps_nobodys_place() {
    let app = scene().await;
    let alice = participant(&app, "alice", "small").await;
    let inside = alice.open(&app).await;
    let guest = &inside.guest;
    let kernel = guest.kernel().await;
    assert_eq!(guest.run(&kernel, "x = 20; print(x)").await, "20\n");
    let mut open = guest.socket(&format!("/api/kernels/{kernel}/channels")).await;

    app.clock.shift(IDLE);
    alice.until(&app, State::Paused).await;
    // as JupyterLab asks every few seconds, and as it comes back to a kernel
    let by_itself =
        [("Sec-Fetch-Mode", "cors"), ("Sec-Fetch-Site", "same-origin"), ("Accept-Language", "zh-CN")];
    for path in ["/api/kernels", "/api/contents", "/api/sessions"] {
        guest.ask(&format!("GET {path}"), &by_itself, "").await.is(423).has("沙箱已暂停");
    }
    assert_eq!(guest.get("/shuyu/state").await.is(200).json()["state"], "paused");
    assert_eq!(alice.sandbox(&app).await.state, State::Paused);
    // nobody else has it go on
    guest.ask("POST /shuyu/wake", &[], "").await.is(403);
    guest.ask("POST /shuyu/wake", &[("Origin", &app.app.settings.public_url)], "").await.is(403);
    guest.get("/shuyu/wake").await.is(404);
    assert_eq!(alice.sandbox(&app).await.state, State::Paused);

    // the button above the lab
    let said = guest.change("POST /shuyu/wake", "").await.is(200);
    assert_eq!(said.json()["state"], "ready");
    guest.ask("GET /api/kernels", &by_itself, "").await.is(200);

    // what is typed into a notebook that stayed open
    app.clock.shift(IDLE);
    alice.until(&app, State::Paused).await;
    app.clock.shift(1);
    open.say(r#"{"channel":"shell"}"#).await;
    alice.until(&app, State::Ready).await;
    assert_eq!(guest.run(&kernel, "print(x + 1)").await, "21\n");

    // left alone again it gives its place up
    app.clock.shift(IDLE);
    alice.until(&app, State::Paused).await;
    app.clock.shift(i64::from(app.app.settings.sandboxes.stop_paused_minutes) * 60_000);
    assert_eq!(alice.until(&app, State::Stopped).await.reason, "idle");
    app.end_keeping().await;
}
