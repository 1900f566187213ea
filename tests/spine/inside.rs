//! From inside a sandbox: the command `submit` through the real relay and container, the guide at
//! `/submit`, the starter notebook and the outbox.

use std::process::{Command, Output};

use serde_json::{Value, json};
use shuyu::ids::{SandboxId, SubmissionId, UserId};
use shuyu::lab::keeper::Keeper;
use shuyu::lab::model::{State as Stands, Wanted};
use shuyu::lab::{ask, shown};
use shuyu::submission::model::{Origin, State};

use super::bundles::{Folder, native, predictions};
use super::labs::{answer, keep, open, until_it_is};
use super::world::{Contest, World};

fn offered(folder: &Folder) -> Folder {
    folder.clone().edit("shuyu:", "shuyu:\n  sandbox: {image: python, session: 2h}")
}

/// A sandbox that is open, and its container.
struct Inside {
    keeper: Keeper,
    id: SandboxId,
    container: String,
}

impl Inside {
    async fn of(world: &World, contest: &Contest, user: UserId, keeper: &Keeper) -> Self {
        let id = open(world, contest, user).await.unwrap().id;
        until_it_is(world, id, Stands::Ready).await;
        let container = world.containers(&world.settings).pop().expect("its container");
        Self { keeper: keeper.clone(), id, container }
    }

    /// Runs a command in the sandbox as its participant.
    async fn run(&self, words: &[&str]) -> Output {
        let home = ["exec", "-w", "/home/participant", &self.container];
        let words: Vec<String> = home.iter().chain(words).map(|word| (*word).to_owned()).collect();
        tokio::task::spawn_blocking(move || Command::new("docker").args(words).output().unwrap())
            .await
            .unwrap()
    }

    async fn says(&self, words: &[&str]) -> String {
        let done = self.run(words).await;
        let text = String::from_utf8(done.stdout).unwrap();
        assert!(done.status.success(), "{words:?}: {text}{}", String::from_utf8_lossy(&done.stderr));
        text
    }

    /// Puts a file into the home, as its participant would.
    async fn write(&self, name: &str, content: &[u8]) {
        let text = String::from_utf8(content.to_vec()).unwrap();
        let file = json!({ "type": "file", "format": "text", "content": text }).to_string();
        let made = answer(&self.keeper, self.id, &format!("PUT /api/contents/{name}"), &file).await;
        assert!(made.starts_with("HTTP/1.1 201"), "{made}");
    }

    /// What `submit` prints, and what its last line says; whether it says yes must agree with its exit code.
    async fn submit(&self, words: &[&str]) -> (String, Value) {
        let done = self.run(&[&["submit"], words].concat()).await;
        let text = String::from_utf8(done.stdout).unwrap();
        let last = text.lines().last().unwrap_or_default();
        let last: Value = serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!(last["ok"], json!(done.status.success()), "{text}");
        (text, last)
    }

    async fn refused(&self, words: &[&str], code: &str, why: &str) {
        let (text, last) = self.submit(words).await;
        assert_eq!((last["ok"].as_bool(), last["code"].as_str()), (Some(false), Some(code)), "{text}");
        assert!(text.starts_with("没有提交：") && text.contains(why), "{text}");
    }
}

async fn submissions(world: &World) -> i64 {
    world.number("SELECT COUNT(*) FROM submissions").await
}

fn id_of(last: &Value) -> SubmissionId {
    last["id"].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_file_handed_in_from_inside_is_scored_and_a_wrong_one_refused_with_the_reason() {
    let mut world = World::new().await;
    world.settings.upload.cap_bytes = 64 << 10;
    world.settings.public_url = "http://contest.example".to_owned();
    let folder = native().edit("max_submissions_per_day: 0", "max_submissions_per_day: 2");
    let contest = world.import("inside", &offered(&folder)).await;
    let alice = world.contestant(&contest, "alice").await;
    let (keeper, stop, working) = keep(&world).await;
    let inside = Inside::of(&world, &contest, alice, &keeper).await;

    // what lies there from the beginning
    let guide = inside.says(&["cat", "/submit/README.md"]).await;
    assert!(
        guide.contains("submit 文件") && guide.contains("`id`, `label`") && guide.contains("      0,"),
        "{guide}"
    );
    assert!(!inside.run(&["touch", "/submit/x"]).await.status.success(), "the guide is read-only");
    let notebook = inside.says(&["stat", "-c", "%u %a", "start.ipynb"]).await;
    assert_eq!(notebook.trim(), format!("{} 644", shuyu::sandbox::SANDBOX_UID));
    let valid = "import nbformat; nbformat.validate(nbformat.read('start.ipynb', 4))";
    inside.says(&["python3", "-c", valid]).await;

    inside.write("good.csv", &predictions(7)).await;
    inside.write("notes.txt", b"no submission").await;
    inside.write("empty.csv", b"").await;
    inside.write("large.csv", &vec![b'x'; 65 << 10]).await;
    inside.refused(&["good.csv", "--phase", "7"], "hand-in-phase", "序号为 7 的阶段").await;
    inside.refused(&["large.csv"], "upload-too-large", "64").await;
    inside.refused(&["notes.txt"], "invalid", "notes.txt").await;
    inside.refused(&["empty.csv"], "invalid", "文件是空的").await;
    // less than announced, and a person that is none of the sandbox's business
    let cut = "import socket; s = socket.socket(socket.AF_UNIX); s.connect('/run/shuyu/relay.sock'); \
               s.sendall(b'submit {\"name\":\"a.csv\",\"size\":100,\"user\":\"bob\",\"competition\":\"other\"}\\nid,label'); \
               s.shutdown(socket.SHUT_WR); print(s.makefile().read())";
    let cut = inside.says(&["python3", "-c", cut]).await;
    assert!(cut.contains("upload-broken"), "{cut}");
    assert_eq!((submissions(&world).await, world.objects("submissions").len()), (0, 0));

    let worker = world.start_worker(world.carrier().await, 1).await;
    let (text, last) = inside.submit(&["good.csv", "-m", "第一次"]).await;
    assert!(text.contains("已接收：good.csv") && text.contains("已评分：\n  accuracy  1.0"), "{text}");
    assert_eq!((last["status"].as_str(), last["scores"]["accuracy"].as_f64()), (Some("finished"), Some(1.0)));
    let page = format!("/competitions/inside/submissions/{}", id_of(&last));
    assert_eq!(last["page"].as_str(), Some(page.as_str()));
    assert!(text.contains(&format!("http://contest.example{page}")), "{text}");
    let made = world.submission(id_of(&last)).await;
    assert_eq!((made.origin, made.user, &*made.message), (Origin::Sandbox, alice, "第一次"));
    let audited = "SELECT COUNT(*) FROM audit_log WHERE action = 'submission.accepted' \
                   AND CAST(bytes AS TEXT) LIKE '%\"origin\":\"sandbox\"%'";
    assert_eq!(world.number(audited).await, 1);

    // one that is taken and then found faulty says so, and costs nothing
    inside.write("bad.csv", b"id,label\n0,x\n").await;
    let (text, last) = inside.submit(&["bad.csv"]).await;
    assert!(last["status"] == "rejected" && text.contains("结果文件有错误"), "{text}");
    assert_eq!(inside.submit(&["good.csv"]).await.1["status"], "finished");
    inside.refused(&["good.csv"], "daily-quota", "已用 2／2 次").await;
    assert_eq!(submissions(&world).await, 3);
    worker.stop().await;

    // its logs count as content shown, to the open sandbox
    let before = keeper.way_in(inside.id).unwrap().gauge.shown();
    shown::count(&world.house, Some(&keeper), &made, 1000).await.unwrap();
    assert_eq!(keeper.way_in(inside.id).unwrap().gauge.shown(), before + 1000);
    stop.cancel();
    working.await.unwrap();
}

#[tokio::test]
async fn who_stops_waiting_and_a_restart_lose_nothing_that_was_accepted() {
    let world = World::new().await;
    let contest = world.import("restarted", &offered(&native())).await;
    let alice = world.contestant(&contest, "alice").await;
    let (keeper, stop, working) = keep(&world).await;
    let mut inside = Inside::of(&world, &contest, alice, &keeper).await;
    inside.write("good.csv", &predictions(7)).await;

    // Ctrl-C as soon as it was accepted, more often than there are places at the counter
    let interrupted = "import signal, subprocess; p = subprocess.Popen(['submit', 'good.csv'], stdout=-1, text=True); \
                       print(p.stdout.readline()); p.send_signal(signal.SIGINT); p.wait()";
    for _ in 0..3 {
        let more = submissions(&world).await + 1;
        world
            .until("a place at the counter is free", || async {
                let said = inside.says(&["python3", "-c", interrupted]).await;
                assert!(said.starts_with("已接收") || said.contains("\"busy\""), "{said}");
                said.starts_with("已接收")
            })
            .await;
        assert_eq!(submissions(&world).await, more);
    }

    // the service stops while somebody waits
    let before = submissions(&world).await;
    let waits = world.until("it is taken", || async { submissions(&world).await > before });
    let ((text, last), ()) = tokio::join!(
        async {
            loop {
                let (text, last) = inside.submit(&["good.csv"]).await;
                if last["code"] != "busy" {
                    return (text, last);
                }
            }
        },
        async {
            waits.await;
            stop.cancel();
        }
    );
    working.await.unwrap();
    drop(keeper);
    assert!(last["ok"] == true && last["status"] == "queued" && text.contains("仍在进行"), "{text}");

    let (keeper, stop, working) = keep(&world).await;
    world.until("it is found again", || async { keeper.way_in(inside.id).is_ok() }).await;
    inside.keeper = keeper.clone();
    let worker = world.start_worker(world.carrier().await, 1).await;
    let (_, latest) = inside.submit(&["good.csv"]).await;
    assert_eq!(latest["status"], "finished");
    assert_eq!(world.over(id_of(&last)).await.state, State::Finished);
    assert_eq!(world.number("SELECT COUNT(*) FROM submissions WHERE state = 'finished'").await, 5);
    worker.stop().await;

    // the outbox is seen while it is open; the notebook stays away once it was thrown away
    inside
        .says(&["sh", "-c", "echo a,b > outbox/means.csv; ln -s /etc/passwd outbox/link; rm start.ipynb"])
        .await;
    let listed = keeper.outbox(inside.id).await.unwrap();
    assert_eq!((listed.files.len(), &*listed.files[0].file.path, listed.left_out), (1, "means.csv", 1));
    ask::stop(&world.house, inside.id, alice, Wanted::Stopped).await.unwrap();
    until_it_is(&world, inside.id, Stands::Stopped).await;
    assert!(keeper.outbox(inside.id).await.is_err());
    let again = Inside::of(&world, &contest, alice, &keeper).await;
    let kept = again.says(&["ls"]).await;
    assert!(kept.contains("good.csv") && !kept.contains("start.ipynb"), "{kept}");
    stop.cancel();
    working.await.unwrap();
}

#[tokio::test]
async fn questions_are_answered_as_the_same_person_last_did() {
    let world = World::new().await;
    let question = "fact_sheet:\n  method: {key: method, type: text, title: 方法, selection: '', is_required: 'true', \
                    is_on_leaderboard: 'false'}\ntasks:";
    let contest = world.import("asked", &offered(&native().edit("\ntasks:", &format!("\n{question}")))).await;
    let alice = world.contestant(&contest, "alice").await;
    let (keeper, stop, working) = keep(&world).await;
    let inside = Inside::of(&world, &contest, alice, &keeper).await;
    inside.write("good.csv", &predictions(7)).await;
    inside.refused(&["good.csv"], "invalid", "请先在网页“提交”中回答一次").await;

    let mut request = world.request(alice, "outside.csv");
    request.facts.insert("method".to_owned(), json!("boosting"));
    world.try_submit(&contest, 0, request, &*predictions(3)).await.unwrap();
    let worker = world.start_worker(world.carrier().await, 1).await;
    let (_, last) = inside.submit(&["good.csv"]).await;
    assert_eq!(last["status"], "finished");
    assert_eq!(world.submission(id_of(&last)).await.facts["method"], "boosting");
    worker.stop().await;
    stop.cancel();
    working.await.unwrap();
}
