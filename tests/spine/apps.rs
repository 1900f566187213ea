//! Submitted apps: started without network, asked their task's probes over the relay, scored by the answers.

use shuyu::probing::report::{ProbeReport, Report};
use shuyu::store::{Class, ObjectKey};
use shuyu::submission::model::{Aim, Kind, Run, State, Submission};
use shuyu::submission::worker::Worker;
use tokio_util::sync::CancellationToken;

use super::bundles::{Folder, board, phase, predictions, zipped};
use super::diode::class_of;
use super::support::wheels::wheel;
use super::world::{Contest, World};

/// What only hidden probes ask and expect.
const SECRET: &str = "carrier-7f3a91";

/// An app that adds, keeps things, and echoes everything that it was ever asked.
const APP: &str = r#"
import json, os, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse
kept, heard = {}, []

class Answer(BaseHTTPRequestHandler):
    def say(self, value, status=200):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        url = urlparse(self.path)
        asked = {name: values[0] for name, values in parse_qs(url.query).items()}
        heard.append(self.path)
        if url.path == "/health":
            self.say({"ok": True})
        elif url.path == "/add":
            self.say({"sum": int(asked["a"]) + int(asked["b"]), "heard": heard})
        elif url.path == "/echo":
            self.say({"word": asked.get("word"), "heard": heard})
        elif url.path.startswith("/kept/"):
            self.say(kept[url.path[6:]])
        else:
            self.say({"heard": heard}, 404)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        key = str(len(kept) + 1)
        kept[key] = json.loads(body)
        self.say({"id": key}, 201)

print("listening", flush=True)
ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Answer).serve_forever()
"#;

const MANIFEST: &str =
    "name: adder\ncommand: python3 $program/app.py\nport: 8000\nhealth: /health\nstart_timeout: 20s\n";

const PUBLIC: &str = "visibility: public
probes:
  - {name: health, request: GET /health, expect: {status: 200, json: [{path: $.ok, equals: true}]}}
  - {name: wrong, request: GET /nowhere, expect: {status: 200}}
  - name: kept
    group: keeping
    steps:
      - request: {method: POST, path: /kept, json: {name: x}}
        expect: {status: 2xx}
        capture: {id: {json: $.id}}
      - request: 'GET /kept/{{id}}'
        expect: {json: [{path: $.name, equals: x}]}
  - name: sums
    weight: 2
    each: {table: sums.csv, times: 2, seed: 7}
    request: {path: /add, query: {a: '{{a}}', b: '{{b}}'}}
    expect: {json: [{path: $.sum, equals: '{{sum}}'}]}
";

fn hidden() -> String {
    format!(
        "visibility: hidden\nprobes:\n  - {{name: secret, weight: 4, request: {{path: /echo, query: {{word: {SECRET}}}}}, \
         expect: {{json: [{{path: $.word, equals: {SECRET}}}]}}}}\n  - {{name: other, request: GET /nowhere, expect: {{status: 200}}}}\n"
    )
}

/// A competition of apps with these files of probes.
fn competition(probes: &[(&str, &str)]) -> Folder {
    let columns = [
        ("weighted_score", "sorting: desc"),
        ("pass_rate", "sorting: desc"),
        ("latency_p95", "sorting: asc"),
    ];
    let folder = Folder::new(
        "- {index: 0, name: T0, description: d}",
        &phase(0, 0, 0, "[0]"),
        &board("Force_Best", &columns),
        "  tasks:\n    0:\n      probes: probes/*.yaml",
    );
    let folder = folder.file("probes/sums.csv", "a,b,sum\n1,2,3\n4,5,9\n10,20,30\n");
    probes.iter().fold(folder, |folder, (name, text)| folder.file(&format!("probes/{name}.yaml"), text))
}

fn app(code: &str) -> Vec<u8> {
    zipped(&[("app.yaml", MANIFEST.as_bytes()), ("app.py", code.as_bytes())])
}

async fn text(world: &World, key: Option<&String>) -> String {
    let key: ObjectKey = key.expect("an object").parse().unwrap();
    String::from_utf8_lossy(&world.house.objects.get_bytes(&key, 1 << 24).await.unwrap()).into_owned()
}

async fn report(world: &World, run: &Run) -> Report {
    serde_json::from_str(&text(world, run.report.as_ref()).await).unwrap()
}

/// Submits an app and carries its runs to their end.
async fn ran(world: &World, contest: &Contest, user: &str, content: &[u8]) -> (Submission, Run) {
    let carrier = world.carrier().await;
    let user = world.contestant(contest, user).await;
    let id = world.submit(contest, user, "app.zip", content).await;
    assert!(world.run_all(&carrier).await > 0);
    carrier.engine.settle().await;
    world.assert_clean(&world.settings);
    assert_eq!(
        std::fs::read_dir(world.settings.work_dir.join("relays")).unwrap().count(),
        0,
        "a socket is left"
    );
    (world.submission(id).await, world.runs(id).await.remove(0))
}

#[tokio::test]
async fn an_app_on_public_probes_is_an_open_book() {
    let world = World::new().await;
    let contest = world.import("apps", &competition(&[("public", PUBLIC)])).await;
    let (done, run) = ran(&world, &contest, "alice", &app(APP)).await;
    assert_eq!(
        (done.kind, done.state, done.release_at),
        (Kind::App, State::Finished, None),
        "{:?}",
        done.reason
    );
    assert!(!run.closed);
    let report = report(&world, &run).await;
    let passed: Vec<(&str, bool)> = report.probes.iter().map(|p| (p.name.as_str(), p.passed)).collect();
    assert_eq!(
        passed,
        [("health", true), ("wrong", false), ("kept", true), ("sums #1", true), ("sums #2", true)]
    );
    let wrong = &report.probes[1].steps[0];
    assert_eq!(
        (wrong.status, wrong.unmet[0].what.as_str(), wrong.unmet[0].expected.as_str()),
        (Some(404), "status", "200")
    );
    assert_eq!(report.probes[2].steps[1].target, "/kept/1");
    let scores = world.scores(&contest, done.id).await;
    assert_eq!((scores["weighted_score"], scores["pass_rate"]), (0.8, 0.8));
    assert_eq!(world.standing(&contest, 0).await, [done.id]);
    assert_eq!(run.prediction_end.as_deref(), Some("exit 0"));
    assert!(text(&world, run.prediction_log.as_ref()).await.starts_with("listening"));
}

#[tokio::test]
async fn what_an_app_heard_of_hidden_probes_reaches_nobody() {
    let world = World::new().await;
    let contest = world.import("hidden", &competition(&[("a-hidden", &hidden()), ("public", PUBLIC)])).await;
    let (done, run) = ran(&world, &contest, "alice", &app(APP)).await;
    assert!(run.closed);
    assert_eq!((done.state, done.disclosed_state), (State::Finished, State::Running), "told at its tick");
    // public probes were asked first, though their file comes second: the app had nothing to echo
    let told = text(&world, run.report.as_ref()).await;
    assert!(told.contains("/nowhere") && !told.contains(SECRET), "{told}");
    assert_eq!(report(&world, &run).await.hidden, 2);
    // its log and what came of hidden probes are sealed
    assert_eq!(class_of(run.prediction_log.as_ref()), Class::Hidden);
    assert_eq!(class_of(run.scoring_log.as_ref()), Class::Hidden);
    assert!(
        world
            .events(done.id)
            .await
            .iter()
            .all(|(kind, payload)| kind != "output" && !payload.contains(SECRET))
    );
    world.tick(done.id).await;
    let scores = world.scores(&contest, done.id).await;
    // 4 of 5 public weights, 4 of 5 hidden ones
    assert_eq!(scores["weighted_score"], 0.8);
    let bits: f64 = world.bits(done.id).await.iter().map(|(_, bits)| bits).sum();
    assert!(bits > 2.0 + 8f64.log2() + 7f64.log2(), "{bits}");

    // a trial asks the public ones alone, and shows everything
    let carrier = world.carrier().await;
    let alice = done.user;
    let mut request = world.request(alice, "app.zip");
    request.aim = Aim::Trial;
    let trial = world.try_submit(&contest, 0, request, app(APP).as_slice()).await.unwrap().id;
    world.run_all(&carrier).await;
    let tried = world.submission(trial).await;
    assert_eq!(
        (tried.state, tried.disclosed_state),
        (State::Finished, State::Finished),
        "{:?}",
        tried.reason
    );
    let run = world.runs(trial).await.remove(0);
    assert_eq!(class_of(run.prediction_log.as_ref()), Class::Plain);
    assert!(run.scoring_log.is_none() && !text(&world, run.prediction_log.as_ref()).await.contains(SECRET));
    assert_eq!(world.bits(trial).await.iter().map(|(_, bits)| bits).sum::<f64>(), 0.0);
}

#[tokio::test]
async fn what_an_app_reads_of_hidden_input_reaches_nobody() {
    let world = World::new().await;
    let folder = competition(&[("public", PUBLIC)])
        .edit("name: T0, description: d}", "name: T0, description: d, input_data: input}")
        .edit("probes: probes/*.yaml", "probes: probes/*.yaml\n      input: hidden")
        .file("input/secret.txt", SECRET);
    let contest = world.import("input", &folder).await;
    let quoting =
        APP.replace("kept, heard = {}, []", "kept, heard = {}, [open('/app/input_data/secret.txt').read()]");
    assert!(quoting.contains("/app/input_data"));
    let (done, run) = ran(&world, &contest, "alice", &app(&quoting)).await;
    assert!(run.closed && done.state == State::Finished, "{:?}", done.reason);
    assert!(run.report.is_none(), "an answer could quote the input");
    assert_eq!(class_of(run.prediction_log.as_ref()), Class::Hidden);
    assert_eq!(class_of(run.scoring_log.as_ref()), Class::Hidden);
    assert!(world.objects("reports/").is_empty());
    world.tick(done.id).await;
    assert!(world.scores(&contest, done.id).await.contains_key("pass_rate"));
    // one that fails at its start may tell of it too
    let failing = "raise SystemExit(len(open('/app/input_data/secret.txt').read()))";
    let (done, _) = ran(&world, &contest, "bob", &app(failing)).await;
    world.tick(done.id).await;
    let told = world.submission(done.id).await;
    assert_eq!((told.disclosed_state, told.disclosed_reason.code.as_str()), (State::Failed, "closed"));
}

#[tokio::test]
async fn a_closed_app_that_fails_is_tried_on_the_public_probes() {
    let world = World::new().await;
    let contest = world.import("broken", &competition(&[("hidden", &hidden()), ("public", PUBLIC)])).await;
    let (done, _) = ran(&world, &contest, "alice", &app("print('no idea')\nraise SystemExit(3)\n")).await;
    world.tick(done.id).await;
    let told = world.submission(done.id).await;
    // it had seen nothing hidden yet: why is no secret, and costs nothing
    assert_eq!((told.disclosed_state, told.disclosed_reason.code.as_str()), (State::Failed, "app-ended"));
    assert_eq!(world.bits(done.id).await.iter().map(|(_, bits)| bits).sum::<f64>(), 0.0);
    let carrier = world.carrier().await;
    assert_eq!(world.run_all(&carrier).await, 1);
    let twin = world.runs(done.id).await.into_iter().find(|run| run.purpose.is_on_twin()).unwrap();
    assert!(text(&world, twin.prediction_log.as_ref()).await.contains("no idea"));
}

/// What each path of a hostile app does, and how that ends.
const HOSTILE: &str = r#"
import os, socket, sys, threading, time
from urllib.parse import urlparse
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

def answer(one):
    with one:
        asked = b""
        while b"\r\n\r\n" not in asked:
            piece = one.recv(65536)
            if not piece:
                return
            asked += piece
        path = urlparse(asked.split(b" ")[1].decode()).path
        try:
            if path == "/slow":
                for byte in OK:
                    one.sendall(bytes([byte]))
                    time.sleep(0.2)
            elif path == "/huge":
                one.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n")
                while True:
                    one.sendall(b"x" * 65536)
            elif path == "/endless":
                one.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                while True:
                    one.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")
            elif path == "/chunks":
                one.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nnonsense\r\n")
            elif path == "/elsewhere":
                one.sendall(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n")
            elif path == "/headers":
                one.sendall(b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: y\r\n" % i for i in range(5000)) + b"\r\n")
            elif path == "/long-header":
                one.sendall(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 1000000 + b"\r\n\r\n")
            elif path == "/less":
                one.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nok")
            elif path == "/more":
                one.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokay, and more")
            elif path == "/two-lengths":
                one.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok")
            elif path == "/upgrade":
                one.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
            elif path == "/noise":
                one.sendall(b"\x00\xff\x00 who is there?\r\n\r\n")
            elif path == "/silence":
                time.sleep(30)
            elif path == "/fork":
                for _ in range(20):
                    if os.fork() == 0:
                        time.sleep(600)
                        os._exit(0)
                one.sendall(OK)
            elif path == "/crash":
                os._exit(7)
            else:
                one.sendall(OK)
        except OSError:
            pass

with socket.create_server(("127.0.0.1", 8000)) as server:
    while True:
        threading.Thread(target=answer, args=(server.accept()[0],), daemon=True).start()
"#;

#[tokio::test]
async fn hostile_answers_end_each_in_its_own_way_and_the_run_goes_on() {
    let ends = [
        ("slow", "timed-out"),
        ("huge", "too-large"),
        ("endless", "too-large"),
        ("chunks", "broken"),
        ("elsewhere", "status 302"),
        ("headers", "headers"),
        ("long-header", "headers"),
        ("less", "broken"),
        ("more", "passed"),
        ("two-lengths", "malformed"),
        ("upgrade", "upgrade"),
        ("noise", "malformed"),
        ("silence", "timed-out"),
        ("fork", "passed"),
        ("after", "passed"),
        ("crash", "broken"),
        ("gone", "gone"),
    ];
    let mut probes = "visibility: public\ndefaults: {timeout: 2s, max_body: 1MiB}\nprobes:\n".to_owned();
    for (name, _) in ends {
        probes.push_str(&format!("  - {{name: {name}, request: GET /{name}, expect: {{status: 200}}}}\n"));
    }
    let world = World::new().await;
    let contest = world.import("hostile", &competition(&[("public", &probes)])).await;
    let (done, run) = ran(&world, &contest, "mallory", &app(HOSTILE)).await;
    assert_eq!(done.state, State::Finished, "{:?}", done.reason);
    let told = |probe: &ProbeReport| {
        let step = &probe.steps[0];
        match (&step.fault, probe.passed) {
            (_, true) => "passed".to_owned(),
            (Some(fault), _) => serde_json::to_value(fault).unwrap()["code"].as_str().unwrap().to_owned(),
            (None, _) => format!("status {}", step.status.unwrap()),
        }
    };
    let report = report(&world, &run).await;
    let ended: Vec<(&str, String)> = report.probes.iter().map(|p| (p.name.as_str(), told(p))).collect();
    // a crash may be noticed by the next connection, before or after it is taken, and only then told by the engine
    let same = |(name, told): &(&str, String), (_, wanted): &(&str, &str)| {
        told == wanted || (*name == "gone" && ["refused", "no-connection", "broken"].contains(&told.as_str()))
    };
    for (one, wanted) in ended.iter().zip(&ends) {
        assert!(same(one, wanted), "{one:?} is not {wanted:?}");
    }
    assert_eq!(run.prediction_end.as_deref(), Some("exit 7"));
}

#[tokio::test]
async fn an_app_that_does_not_get_ready_is_told_why() {
    let world = World::new().await;
    let contest = world.import("late", &competition(&[("public", PUBLIC)])).await;
    let manifest = MANIFEST.replace("20s", "1s");
    let packed = |code: &str| zipped(&[("app.yaml", manifest.as_bytes()), ("app.py", code.as_bytes())]);
    let deaf = packed("import time\nprint('busy', flush=True)\ntime.sleep(600)\n");
    let (done, run) = ran(&world, &contest, "deaf", &deaf).await;
    assert_eq!((done.state, done.reason.code.as_str()), (State::Failed, "app-not-up"));
    assert!(
        done.reason.text.contains("GET /health") && done.reason.text.contains("8000"),
        "{}",
        done.reason.text
    );
    assert_eq!(text(&world, run.prediction_log.as_ref()).await, "busy\n");
    let (done, _) = ran(&world, &contest, "brief", &packed("raise SystemExit(5)")).await;
    assert_eq!((done.state, done.reason.code.as_str()), (State::Failed, "app-ended"));
    assert!(done.reason.text.contains("exit code 5"), "{}", done.reason.text);
    let sick = APP.replace("self.say({\"ok\": True})", "self.say({}, 503)");
    let (done, _) = ran(&world, &contest, "sick", &packed(&sick)).await;
    assert!(done.reason.text.contains("status 503"), "{}", done.reason.text);
    // one that takes its time is waited for
    let late = app(&format!("import time\ntime.sleep(2)\n{APP}"));
    let (done, _) = ran(&world, &contest, "slow", &late).await;
    assert_eq!(done.state, State::Finished, "{:?}", done.reason);
}

#[tokio::test]
async fn files_machine_code_and_wheels_make_apps_too() {
    let probes = "visibility: public\nprobes:\n  - {name: page, request: GET /, expect: {status: 200, headers: \
                  {content-type: {contains: text/html}}, body: {matches: '<title>[^<]+</title>'}}}\n";
    let world = World::new().await;
    let contest = world.import("kinds", &competition(&[("public", probes)])).await;
    let page = b"<!doctype html><title>City</title>";
    let site = zipped(&[("app.yaml", b"static: site"), ("site/index.html", page)]);
    let (done, run) = ran(&world, &contest, "files", &site).await;
    assert_eq!(world.scores(&contest, done.id).await["pass_rate"], 1.0, "{:?}", report(&world, &run).await);

    let serve = "cd /app/program/site && exec python3 -m http.server 9000 --bind 127.0.0.1";
    let manifest = format!("command: $program/bin/shell -c '{serve}'\nport: 9000\n");
    let shell = std::fs::read("/bin/bash").unwrap();
    let native =
        zipped(&[("app.yaml", manifest.as_bytes()), ("bin/shell", &shell), ("site/index.html", page)]);
    let (done, run) = ran(&world, &contest, "native", &native).await;
    assert_eq!(done.state, State::Finished, "{:?}", done.reason);
    assert_eq!(world.scores(&contest, done.id).await["pass_rate"], 1.0, "{:?}", report(&world, &run).await);

    let library = "from http.server import SimpleHTTPRequestHandler, test\ndef serve(port):\n    \
                   test(SimpleHTTPRequestHandler, port=port, bind='127.0.0.1')\n";
    let (name, packed) = wheel("cityweb", "1.0", &[("cityweb/__init__.py", library)]);
    let manifest = format!("command: python3 $program/app.py\nport: 8000\nwheels: [wheels/{name}]\n");
    let code = b"import os, cityweb\nos.chdir('/app/program/site')\ncityweb.serve(int(os.environ['PORT']))\n";
    let path = format!("wheels/{name}");
    let files: [(&str, &[u8]); 4] =
        [("app.yaml", manifest.as_bytes()), ("app.py", code), (&path, &packed), ("site/index.html", page)];
    let (done, run) = ran(&world, &contest, "wheel", &zipped(&files)).await;
    assert_eq!(done.state, State::Finished, "{:?}", done.reason);
    assert_eq!(world.scores(&contest, done.id).await["pass_rate"], 1.0, "{:?}", report(&world, &run).await);
}

#[tokio::test]
async fn what_is_no_app_is_refused_with_its_mend() {
    let world = World::new().await;
    let carrier = world.carrier().await;
    let contest = world.import("picky", &competition(&[("public", PUBLIC)])).await;
    let alice = world.contestant(&contest, "alice").await;
    let zip = |manifest: &str| zipped(&[("app.yaml", manifest.as_bytes()), ("app.py", APP.as_bytes())]);
    let refused: [(&str, Vec<u8>, &str, &str); 7] = [
        ("p.csv", predictions(7), "app-wanted", "app.yaml"),
        ("p.py", b"print(1)".to_vec(), "app-wanted", "app.yaml"),
        ("a.zip", zip("command: python3 app.py\nport: 80"), "app-manifest", "1024"),
        ("a.zip", zip(&format!("{MANIFEST}resources: {{memory: 64GiB}}")), "app-resources", "2048 MiB"),
        ("a.zip", zip("command: $program/server\nport: 8000"), "app-command", "server"),
        (
            "a.zip",
            zip(&format!("{MANIFEST}wheels: [wheels/a-1.0-py3-none-any.whl]")),
            "app-wheel",
            "wheels/a-1.0",
        ),
        ("a.zip", zip("static: nothing"), "app-static", "nothing"),
    ];
    for (name, content, code, word) in refused {
        let id = world.submit(&contest, alice, name, &content).await;
        world.run_all(&carrier).await;
        let done = world.submission(id).await;
        assert_eq!(
            (done.state, done.reason.code.as_str(), done.counts),
            (State::Rejected, code, false),
            "{:?}",
            done.reason
        );
        assert!(done.reason.text.contains(word), "{}", done.reason.text);
    }
    let tables = world.import("tables", &super::bundles::native()).await;
    let bob = world.contestant(&tables, "bob").await;
    let id = world.submit(&tables, bob, "app.zip", &app(APP)).await;
    world.run_all(&carrier).await;
    assert_eq!(world.submission(id).await.reason.code, "no-apps");
    carrier.engine.settle().await;
    world.assert_clean(&world.settings);
}

#[tokio::test]
async fn a_container_that_waits_takes_an_app_on_too() {
    let world = World::new().await;
    let carrier = world.carrier().await;
    let contest = world.import("warm", &competition(&[("public", PUBLIC)])).await;
    let alice = world.contestant(&contest, "alice").await;
    let engine = carrier.engine.clone();
    let stop = CancellationToken::new();
    let working = tokio::spawn(Worker::new(carrier, "test", 1).keeping_warm(1).work(stop.clone()));
    // the first one tells what kind is asked for
    for _ in 0..2 {
        let id = world.submit(&contest, alice, "app.zip", &app(APP)).await;
        let done = world.over(id).await;
        assert_eq!(done.state, State::Finished, "{:?}", done.reason);
        assert_eq!(world.scores(&contest, id).await["weighted_score"], 0.8);
        world.until("a container waits", || async { engine.waiting_warm() > 0 }).await;
    }
    stop.cancel();
    working.await.unwrap();
}

#[tokio::test]
async fn an_app_is_stopped_when_somebody_says_so() {
    let world = World::new().await;
    let carrier = world.carrier().await;
    let slow = "visibility: public\ndefaults: {timeout: 60s}\nprobes:\n  - {name: long, request: GET /silence, expect: {status: 200}}\n";
    let contest = world.import("stopped", &competition(&[("public", slow)])).await;
    let alice = world.contestant(&contest, "alice").await;
    let id = world.submit(&contest, alice, "app.zip", &app(HOSTILE)).await;
    let lease = world.lease().await.unwrap();
    let cancel = CancellationToken::new();
    let going = tokio::spawn({
        let (carrier, cancel) = (carrier.clone(), cancel.clone());
        async move { carrier.carry(lease, cancel).await }
    });
    world.until("its container runs", || async { !world.containers(&world.settings).is_empty() }).await;
    cancel.cancel();
    going.await.unwrap().unwrap();
    assert_eq!(world.submission(id).await.state, State::Cancelled);
}
