//! The real binary: how browsers reach sandboxes where all share a port, and where a worker elsewhere
//! holds them.

use super::processes::Process;
use super::spares::published;
use super::support::{Browser, PASSWORD, leftovers};
use super::world::World;
use shuyu::config::Settings;

/// No container is kept waiting, for runs or for sandboxes: these tests are about neither.
const PLAIN: [(&str, &str); 2] = [("SHUYU_SANDBOXES__SPARES", "0"), ("SHUYU_WORKER__WARM", "0")];

/// A port that nobody has.
fn free_port() -> String {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    taken.local_addr().unwrap().to_string()
}

/// What a process leaves when its test fails.
struct Leftovers(Settings);

impl Drop for Leftovers {
    fn drop(&mut self) {
        leftovers::clear(&self.0);
    }
}

async fn until_it_answers(world: &World, browser: &Browser, path: &str, wanted: &str) {
    let address = browser.base().trim_start_matches("http://").to_owned();
    world
        .until("the service listens", || async { tokio::net::TcpStream::connect(&address).await.is_ok() })
        .await;
    let shown = || async { browser.get(path).await.body.contains(wanted) };
    world.until(&format!("{path} shows {wanted}"), shown).await;
}

/// Opens a sandbox and gives the address that its ticket is redeemed at.
async fn opened(world: &World, person: &Browser, slug: &str) -> String {
    let page = format!("/competitions/{slug}/sandbox");
    person.post(&format!("{page}/open"), &[]).await.see_other(&page);
    until_it_answers(world, person, &page, "可使用").await;
    person.post(&format!("{page}/enter"), &[]).await.is(303).header("location").to_owned()
}

async fn stopped(world: &World, person: &Browser, slug: &str) {
    let page = format!("/competitions/{slug}/sandbox");
    person.post(&format!("{page}/stop"), &[]).await.see_other(&page);
    until_it_answers(world, person, &page, "已按您的要求停止").await;
}

#[tokio::test]
async fn on_a_network_without_names_all_sandboxes_share_a_port() {
    let world = World::new().await;
    let (one, two) = (published(&world, "one").await, published(&world, "two").await);
    let alice = world.contestant(&one, "alice").await;
    world.register(&two, alice).await;
    let (main, port) = (free_port(), free_port());
    let environment = [PLAIN[0], PLAIN[1], ("SHUYU_SANDBOXES__LAN_LISTEN", port.as_str())];
    let service = Process::start_with(&world, "lan", &["serve", "--listen", &main], &environment);
    let _leftovers = Leftovers(service.settings.clone());
    let (main, lan) = (format!("http://{main}"), format!("http://{port}"));
    let alice = Browser::at(&main);
    until_it_answers(&world, &alice, "/healthz", "ok").await;
    alice.log_in("alice", PASSWORD).await.see_other("/");

    let page = alice.get("/competitions/one/sandbox").await.ok().has("此连接未加密").has("最后打开的为准");
    let policy = format!("form-action 'self' {lan};");
    assert!(page.header("content-security-policy").contains(&policy), "{page:#?}");
    let entrance = opened(&world, &alice, "one").await;
    let way = entrance.strip_prefix(&lan).unwrap();
    let first = way.strip_prefix("/shuyu/enter/").unwrap().split('?').next().unwrap().to_owned();

    // the ticket opens its own sandbox, once; the browser brings the session of the main site along
    let inside = alice.on(&lan);
    let elsewhere = way.replace(&first, "0198c0de-0000-7000-8000-000000000001");
    inside.get(&elsewhere).await.is(401).lacks("alice");
    let entered = inside.get(way).await.see_other("/shuyu/");
    let set = entered.header("set-cookie");
    assert!(set.starts_with(&format!("shuyu_sandbox={first}.")), "{set}");
    assert!(set.contains("HttpOnly; SameSite=Lax") && !set.contains("Secure"), "{set}");
    Browser::at(&lan).get(way).await.is(401);
    let shell = inside.get("/shuyu/").await.ok().has("此连接未加密").has("最后打开的为准");
    shell.lacks("nav-").lacks("name=\"login\"");
    inside.get("/lab").await.ok().has("JupyterLab");

    // nothing of the main site is there
    for path in ["/", "/competitions", "/login", "/healthz", "/metrics", "/api/v1/competitions", "/readyz"] {
        Browser::at(&lan).get(path).await.is(401).lacks("name=\"login\"").lacks("shuyu_");
    }
    inside.get_with("/shuyu/", &[("host", "evil.example")]).await.is(404);

    // what changes something comes from there alone, and from there nothing of the main site is changed
    let terminals = "/api/terminals";
    inside.post_with(terminals, &[], &[("origin", &main)]).await.is(403);
    inside.post_with(terminals, &[], &[]).await.is(403);
    let file = "/api/contents/a.txt";
    let text = r#"{"type":"file","format":"text","content":"of the first"}"#;
    let put = |origin: String| {
        let headers = [("origin", origin)];
        let inside = inside.on(&lan);
        async move {
            let headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
            inside.send(reqwest::Method::PUT, file, &headers, |request| request.body(text)).await
        }
    };
    put(main.clone()).await.is(403);
    put(lan.clone()).await.is(201);
    let from_there = [("origin", lan.as_str()), ("sec-fetch-site", "same-site")];
    // over plain HTTP off this machine browsers tell the origin alone
    for headers in [&from_there[..], &from_there[..1]] {
        alice.post_with("/competitions/one/sandbox/stop", &[], headers).await.is(403);
        alice.post_with("/logout", &[], headers).await.is(403);
    }
    alice.get("/competitions/one/sandbox").await.ok().has("可使用");
    let read = inside.get(file).await.ok().has("of the first");
    assert_eq!(read.header("cache-control"), "no-store");

    // the newer visit replaces the older in this browser
    let entrance = opened(&world, &alice, "two").await;
    let way = entrance.strip_prefix(&lan).unwrap();
    let second = way.strip_prefix("/shuyu/enter/").unwrap().split('?').next().unwrap();
    assert_eq!(inside.get("/shuyu/state").await.ok().json()["id"], first);
    inside.get(way).await.see_other("/shuyu/");
    assert_eq!(inside.get("/shuyu/state").await.ok().json()["id"], second);
    inside.get(file).await.is(404);

    // a second session's cookie, as a page of that port can set for a longer path, is nobody's
    let session = alice.jar.lock().unwrap()["shuyu_session"].clone();
    let twice = format!("shuyu_session=slipped-in; shuyu_session={session}");
    let tossed = Browser::at(&main).get_with("/account", &[("cookie", &twice)]).await;
    assert_eq!(tossed.is(303).header("location"), "/login?next=%2Faccount");

    for slug in ["one", "two"] {
        stopped(&world, &alice, slug).await;
    }
    inside.get("/shuyu/").await.is(401);
    let settings = service.stop();
    world.assert_clean(&settings);
}

#[tokio::test]
async fn a_worker_elsewhere_holds_the_sandboxes_and_the_pages_come_and_go() {
    let world = World::large().await;
    let contest = published(&world, "far").await;
    world.contestant(&contest, "alice").await;
    let (main, port) = (free_port(), free_port());
    let public = format!("http://{main}");
    let environment = [PLAIN[0], PLAIN[1], ("SHUYU_PUBLIC_URL", public.as_str())];
    let serve = ["serve", "--no-worker", "--listen", main.as_str()];
    let pages = Process::start_with(&world, "pages", &serve, &environment);
    let alice = Browser::at(&public);
    until_it_answers(&world, &alice, "/healthz", "ok").await;
    alice.log_in("alice", PASSWORD).await.see_other("/");
    let tab = "/competitions/far/sandbox";
    alice.get("/competitions/far").await.ok().lacks(tab);
    alice.get("/metrics").await.ok().has("shuyu_sandbox_places 0");

    let more = [environment[0], environment[1], environment[2], ("SHUYU_SANDBOXES__PLACES", "3")];
    let worker = Process::start_with(&world, "holder", &["worker", "--listen", &port], &more);
    let _leftovers = Leftovers(worker.settings.clone());
    until_it_answers(&world, &alice, "/competitions/far", tab).await;
    alice.get("/metrics").await.ok().has("shuyu_sandbox_places 3");
    let entrance = opened(&world, &alice, "far").await;
    let (origin, way) = entrance.split_at(entrance.find("/shuyu").unwrap());
    let host = origin.strip_prefix("http://").unwrap();
    let id = host.strip_suffix(&format!(".localhost:{}", port.rsplit(':').next().unwrap())).unwrap();
    let page = alice.get(tab).await.ok().lacks("出域目录暂时无法读取");
    let sources = page.header("content-security-policy");
    assert!(sources.contains(&format!("http://*.{}", host.split_once('.').unwrap().1)), "{sources}");

    // the name of a sandbox's origin is looked up by browsers; here the worker is asked by its address
    let inside = Browser::at(&format!("http://{port}"));
    let here = [("host", host), ("origin", origin)];
    inside.get("/login").await.is(404);
    inside.get_with(way, &here[..1]).await.see_other("/shuyu/");
    inside.get_with("/shuyu/", &here[..1]).await.ok().has(&format!("{public}/competitions/far/sandbox"));
    inside.get_with("/lab", &here[..1]).await.ok().has("JupyterLab");
    let text = r#"{"type":"file","format":"text","content":"kept"}"#;
    let file = "/api/contents/a.txt";
    inside.send(reqwest::Method::PUT, file, &here, |request| request.body(text)).await.is(201);
    let state = inside.get_with("/shuyu/state", &here[..1]).await.ok().json();
    assert_eq!((&state["id"], &state["state"]), (&id.into(), &"ready".into()));
    assert!(state["gauges"]["memory"].as_u64().unwrap() > 0, "{state}");

    // what is seen there is told here, while somebody looks
    let table = r#"{"type":"file","format":"text","content":"carrier,delay\nAA,3\nB6,5\n"}"#;
    let means = "/api/contents/outbox/means.csv";
    inside.send(reqwest::Method::PUT, means, &here, |request| request.body(table)).await.is(201);
    until_it_answers(&world, &alice, tab, "2 行 2 列").await;
    alice.get(tab).await.ok().has("means.csv").has("当前用量");

    // the organizer is told where it is, and what it uses and has printed
    let organizer = Browser::at(&public);
    organizer.log_in("org-far", PASSWORD).await.see_other("/");
    let log = format!("/competitions/far/desk/sandboxes/{id}/log");
    organizer.get(&log).await.ok().has("holder");
    until_it_answers(&world, &organizer, &log, "Jupyter Server").await;
    organizer.get("/competitions/far/desk/sandboxes").await.ok().lacks("位于 holder").has("1 / 3");

    // the pages' node goes and comes back; the lab goes on, and so does the session
    pages.stop();
    inside.get_with(file, &here[..1]).await.ok().has("kept");
    let pages = Process::start_with(&world, "pages", &serve, &environment);
    until_it_answers(&world, &alice, tab, "可使用").await;
    inside.get_with(file, &here[..1]).await.ok().has("kept");
    let again = alice.post(&format!("{tab}/enter"), &[]).await.is(303).header("location").to_owned();
    inside.get_with(again.strip_prefix(origin).unwrap(), &here[..1]).await.see_other("/shuyu/");

    stopped(&world, &alice, "far").await;
    inside.get_with("/shuyu/", &here[..1]).await.is(401);
    let settings = worker.stop();
    world.assert_clean(&settings);
    // it said that it stops: nobody waits for it
    alice.get("/competitions/far").await.ok().lacks(tab);
    pages.stop();
}
