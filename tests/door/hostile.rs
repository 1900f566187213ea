//! A lab that its participant turned against the service: its home holds settings that record what arrives,
//! set cookies of ours, and put files where the interface is.

use super::scene::{participant, scene};
use shuyu::lab::gauge::INTERFACE;
use shuyu::lab::model::State;

/// Settings of the server inside, read when it starts: every request is recorded, every answer sets our
/// cookies, and a WebSocket floods with what is no WebSocket frame.
const SETTINGS: &str = r#"
import os
from tornado import web, websocket

served = web.RequestHandler.finish
def finish(self, *args, **kwargs):
    with open('/home/participant/recorded', 'a') as file:
        print(self.request.method, self.request.uri, dict(self.request.headers), file=file)
    self.add_header('Set-Cookie', 'shuyu_sandbox=forged; Path=/')
    self.add_header('Set-Cookie', 'shuyu_sandbox=forged; Domain=localhost')
    self.add_header('Set-Cookie', 'kept=1')
    return served(self, *args, **kwargs)
web.RequestHandler.finish = finish

opened = websocket.WebSocketHandler.open
get = websocket.WebSocketHandler.get
async def flooding(self, *args, **kwargs):
    if 'flood' not in self.request.uri:
        return await get(self, *args, **kwargs)
    stream = self.detach()
    await stream.write(b'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n'
                       b'Set-Cookie: shuyu_sandbox=forged\r\n\r\n')
    await stream.write(b'\x83\x00' + b'x' * (5 << 20))
    stream.close()
websocket.WebSocketHandler.get = flooding

c.ServerApp.extra_static_paths = ['/home/participant/static']
c.ServerApp.allow_origin = '*'
"#;

#[tokio::test]
async fn a_lab_turned_hostile_learns_nothing_of_ours_and_shows_no_more_than_it_may() {
    let app = scene().await;
    let person = participant(&app, "alice", "small").await;
    let lab = person.open(&app).await;
    lab.guest
        .change(
            "PUT /api/contents/settings.py",
            &serde_json::json!({"type": "file", "format": "text", "content": SETTINGS}).to_string(),
        )
        .await
        .is(201);
    lab.sh("d=.local/etc/jupyter; mkdir -p $d static; mv settings.py $d/jupyter_server_config.py; \
         head -c 20000000 /dev/urandom > static/secret.bin; sync")
        .await;
    person.press("stop").await;
    person.until(&app, State::Stopped).await;
    let mut lab = person.open(&app).await;

    // what arrives inside: not our cookies, not the browser's credentials
    let visit = lab.guest.cookies.clone();
    let session = person.browser.jar.lock().unwrap()["shuyu_session"].clone();
    lab.guest.cookies = format!("a=1; {visit}; theirs=2; shuyu_session={session}");
    let said = lab.guest.ask("GET /api/status?seen", &[("Authorization", "Bearer of-the-browser")], "").await;
    let said = said.is(200);
    assert_eq!((said.cookie("shuyu_sandbox"), said.cookie("kept").as_deref()), (None, Some("1")), "{said:?}");
    let recorded = lab.sh("grep seen recorded").await;
    let secret = visit.split_once('=').unwrap().1;
    assert!(recorded.contains("a=1") && recorded.contains("theirs=2"), "{recorded}");
    for ours in [secret, "of-the-browser", &lab.guest.host, "shuyu_sandbox", &session, "shuyu_session"] {
        assert!(!recorded.contains(ours), "{ours} arrived: {recorded}");
    }

    // files where the interface is: free up to a bound, then counted
    let before = shown(&lab).await;
    for _ in 0..4 {
        let said = lab.guest.get("/static/secret.bin").await.is(200);
        assert!(said.head.contains("20000000"), "{said:?}");
    }
    let more = shown(&lab).await - before;
    // the piece that goes over the bound is free as a whole
    let least = 80_000_000 - INTERFACE - (1 << 20);
    assert!((least..80_000_000).contains(&more), "{more} counted");

    // what is no WebSocket frame is counted as well
    let before = shown(&lab).await;
    let mut socket = lab.guest.socket("/api/events/subscribe?flood=1").await;
    let mut read = Vec::new();
    let _ = tokio::io::AsyncReadExt::read_to_end(&mut socket.stream, &mut read).await;
    assert!(read.len() > 5 << 20, "{} bytes came", read.len());
    assert!(shown(&lab).await - before >= read.len() as u64);
    app.end_keeping().await;
}

async fn shown(lab: &super::scene::Inside) -> u64 {
    lab.guest.get("/shuyu/state").await.is(200).json()["shown"].as_u64().unwrap()
}
