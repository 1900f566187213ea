//! What goes through, and what happens to it when one side is paused, stopped or started anew.

use futures_util::future::join_all;
use shuyu::sandbox::RelayError;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::container::{Container, WEB, docker, get, opened};

const OK: &str = "HTTP/1.0 200 OK";

/// Says what it hears until the other side has said its last, and then how much that was.
const ECHO: &str = r#"
import asyncio
async def talk(reader, writer):
    count = 0
    while piece := await reader.read(65536):
        count += len(piece)
        writer.write(piece)
        await writer.drain()
    writer.write(b"after %d bytes" % count)
    writer.close()
async def main():
    server = await asyncio.start_server(talk, "127.0.0.1", 7777)
    print("ready")
    await server.serve_forever()
asyncio.run(main())
"#;

fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 1u32;
    let step = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    std::iter::repeat_with(step).take(bytes).collect()
}

#[tokio::test]
async fn pages_come_through_many_at_once_and_large_ones_whole() {
    let large = noise(20_000_000);
    let (_container, relay) = Container::serving(&[("small.txt", b"hello"), ("large", &large)]).await;
    assert_eq!(get(&relay, "small.txt").await, (OK.to_owned(), b"hello".to_vec()));
    let before = relay.counted();
    let (status, body) = get(&relay, "large").await;
    assert!(status == OK && body == large);
    let after = relay.counted();
    assert!(after.received - before.received > 20_000_000 && after.received - before.received < 20_001_000);
    assert_eq!(after.sent - before.sent, "GET /large HTTP/1.0\r\n\r\n".len() as u64);
    for page in join_all((0..50).map(|_| get(&relay, "small.txt"))).await {
        assert_eq!(page, (OK.to_owned(), b"hello".to_vec()));
    }
    assert_eq!(relay.open(7).await.expect_err("nobody listens"), RelayError::Refused { port: 7 });
}

#[tokio::test]
async fn a_raw_connection_goes_both_ways_and_ends_one_way_at_a_time() {
    let (container, relay) = Container::serving(&[]).await;
    let mut echo = container.python(ECHO);
    assert_eq!(echo.line().await, "ready");
    let mut stream = opened(&relay, 7777).await;
    for word in ["a word", "another"] {
        stream.write_all(word.as_bytes()).await.expect("said");
        let mut heard = vec![0; word.len()];
        stream.read_exact(&mut heard).await.expect("heard");
        assert_eq!(heard, word.as_bytes());
    }
    let said = noise(5_000_000);
    let (mut reader, mut writer) = tokio::io::split(stream);
    let (heard, ()) = tokio::join!(
        async {
            let mut heard = Vec::new();
            reader.read_to_end(&mut heard).await.expect("read to its end");
            heard
        },
        async {
            writer.write_all(&said).await.expect("said");
            writer.shutdown().await.expect("shut down");
        }
    );
    let (echoed, last) = heard.split_at(said.len());
    assert!(echoed == said);
    assert_eq!(last, b"after 5000013 bytes");
}

#[tokio::test]
async fn a_paused_container_goes_on_where_it_was() {
    let large = noise(20_000_000);
    let (container, relay) = Container::serving(&[("large", &large), ("small.txt", b"hello")]).await;
    let mut stream = relay.open(WEB).await.expect("opened");
    stream.write_all(b"GET /large HTTP/1.0\r\n\r\n").await.expect("asked");
    let mut body = vec![0; 100_000];
    stream.read_exact(&mut body).await.expect("the beginning");
    docker(&["pause", &container.name]);
    // More than the relay's line and the socket hold would wait; these few are answered late, to nobody.
    for opened in join_all((0..20).map(|_| relay.open(WEB))).await {
        assert_eq!(opened.expect_err("paused"), RelayError::Silent { port: WEB });
    }
    assert!(relay.connected());
    docker(&["unpause", &container.name]);
    assert_eq!(get(&relay, "small.txt").await, (OK.to_owned(), b"hello".to_vec()));
    stream.read_to_end(&mut body).await.expect("read to its end");
    assert!(body.ends_with(&large));
}

#[tokio::test]
async fn the_service_may_restart_while_the_container_goes_on() {
    let (container, relay) = Container::serving(&[("small.txt", b"hello")]).await;
    let mut cut = relay.open(WEB).await.expect("opened");
    drop(relay);
    for _ in 0..2 {
        let relay = container.listen();
        assert!(!relay.connected());
        relay.until_connected().await;
        assert_eq!(get(&relay, "small.txt").await, (OK.to_owned(), b"hello".to_vec()));
    }
    // Only the process that held it ends a stream.
    cut.write_all(b"GET /small.txt HTTP/1.0\r\n\r\n").await.expect("asked");
    let mut answer = String::new();
    cut.read_to_string(&mut answer).await.expect("read to its end");
    assert!(answer.ends_with("\r\n\r\nhello"));
    let state = docker(&["inspect", "--format", "{{.State.Running}} {{.RestartCount}}", &container.name]);
    assert_eq!(state, "true 0");
}

#[tokio::test]
async fn stopping_reaches_the_program_and_its_end_is_told() {
    let (container, relay) = Container::serving(&[]).await;
    assert_eq!(relay.ended(), None);
    docker(&["kill", "--signal", "TERM", &container.name]);
    assert_eq!(docker(&["wait", &container.name]), "143");
    while relay.ended().is_none() {
        tokio::task::yield_now().await;
    }
    assert_eq!(relay.ended(), Some(143));
}

#[tokio::test]
async fn a_file_is_handed_in_from_inside() {
    let content = noise(3_000_000);
    let (container, relay) = Container::serving(&[("predictions.zip", &content)]).await;
    for (answer, code) in [("{\"ok\":true,\"id\":1}\n", 0), ("{\"ok\":false}\n", 1)] {
        let submit = container.program(&["submit", "predictions.zip", "-m", "第一次", "--phase", "1"]);
        let (handed_in, ended) = tokio::join!(
            async {
                let mut handed_in = relay.handed_in().await.expect("handed in");
                let mut received = Vec::new();
                handed_in.stream.read_to_end(&mut received).await.expect("read to its end");
                assert!(received == content);
                handed_in.stream.write_all(answer.as_bytes()).await.expect("answered");
                handed_in.header
            },
            submit.end()
        );
        let expected = serde_json::json!({ "name": "predictions.zip", "size": 3_000_000, "message": "第一次", "phase": 1 });
        assert_eq!(handed_in, expected);
        assert_eq!(ended, (answer.to_owned(), Some(code)));
    }
    assert_eq!(relay.counted_handed_in().received, 6_000_000);
}
