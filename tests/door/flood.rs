//! Floods of frames and connections into one sandbox, and out of it: the others are answered, and what the
//! service holds of it stays bounded.

use std::time::Duration;

use shuyu::lab::gauge::{BUDGET, BURST};
use tokio::io::AsyncWriteExt as _;

use super::client::Socket;
use super::scene::{participant, scene};

/// As many connections as may be open into one sandbox (`RelayLimits`).
const STREAMS: usize = 128;

#[tokio::test]
async fn a_flood_into_one_sandbox_or_out_of_it_is_that_sandboxes_own_affair() {
    let app = scene().await;
    let alice = participant(&app, "alice", "small").await;
    let bob = participant(&app, "bob", "small").await;
    let (hers, his) = tokio::join!(alice.open(&app), bob.open(&app));
    let gauge = app.app.keeper.as_ref().unwrap().way_in(hers.id).unwrap().gauge;
    let others = async || {
        app.visitor().get("/competitions").await.ok();
        bob.browser.get(&bob.page()).await.ok();
        his.guest.get("/api/status").await.is(200);
    };

    // twenty thousand frames, in pieces that are no frames each: small ones, pings, and ones that lie
    let kernel = hers.guest.kernel().await;
    let channels = format!("/api/kernels/{kernel}/channels");
    let mut socket = hers.guest.socket(&channels).await;
    let garbage: Vec<u8> =
        (0..200).flat_map(|n| Socket::frame([1, 9, 10, 2][n % 4], &b"{}xy"[..n % 5])).collect();
    for _ in 0..100 {
        if socket.stream.write_all(&garbage).await.is_err() {
            // the lab has had enough of it
            break;
        }
    }
    others().await;
    let lying = [0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
    let mut liar = hers.guest.socket(&channels).await;
    let _ = liar.stream.write_all(&lying).await;
    let mut broken = hers.guest.socket(&channels).await;
    let _ = broken.stream.write_all(&[0xff; 4096]).await;
    others().await;

    // more connections than may be open: the rest are told, and there is room again once they go
    let mut sockets = tokio::task::JoinSet::new();
    for _ in 0..STREAMS + 40 {
        let (guest, channels) = (hers.guest.clone(), channels.clone());
        sockets.spawn(async move {
            let origin = guest.origin();
            guest.socket_from(Some(&origin), &channels).await.map_err(|said| said.status)
        });
    }
    // meanwhile, whatever comes
    others().await;
    let opened = sockets.join_all().await;
    others().await;
    let refused: Vec<u16> = opened.iter().filter_map(|one| one.as_ref().err().copied()).collect();
    assert!(opened.len() - refused.len() <= STREAMS, "{} are open", opened.len() - refused.len());
    assert!(refused.len() >= 40 && refused.iter().all(|status| *status == 503), "{refused:?}");
    drop((opened, socket, liar, broken));
    let again = std::time::Instant::now();
    while hers.guest.get("/api/status").await.status != 200 {
        assert!(again.elapsed() < Duration::from_secs(30), "no room again");
    }

    // out of it, to somebody who does not read: what is on its way is bounded
    let made = hers.guest.change("POST /api/terminals", "{}").await.is(200).json();
    let mut terminal =
        hers.guest.socket(&format!("/terminals/websocket/{}", made["name"].as_str().unwrap())).await;
    let before = gauge.shown();
    let much = r#"["stdin", "yes a-rather-long-line-of-no-meaning | head -c 200000000\r"]"#;
    terminal.say(much).await;
    let mut seen = gauge.shown();
    loop {
        for _ in 0..10 {
            others().await;
        }
        let now = gauge.shown();
        match now == seen {
            true if now > before + 1000 => break,
            // a shell that was not there yet has not heard it
            true => terminal.say(much).await,
            false => seen = now,
        }
    }
    assert!(seen - before < BURST, "{} bytes are on their way", seen - before);

    // a session that has shown what it may shows nothing more, and says so
    gauge.show(BUDGET, app.clock.now()).unwrap();
    while terminal.hear().await.is_some() {}
    let spent = hers.guest.ask("GET /api/contents", &[("Accept-Language", "zh-CN")], "").await;
    spent.is(403).has("显示量已达上限");
    let refused = hers.guest.socket_from(Some(&hers.guest.origin()), &channels).await.err();
    assert_eq!(refused.map(|said| said.status), Some(403));
    // the bar above the lab still answers, and the other's lab is none the worse
    hers.guest.get("/shuyu/state").await.is(200);
    others().await;
    app.end_keeping().await;
}
