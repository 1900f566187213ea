//! Bad input from below: an engine that goes away and comes back, containers that end behind our back,
//! images that are missing, exchanged or useless, and a disk without room for homes.

use std::path::PathBuf;
use std::process::Command;

use shuyu::clock::Entropy;
use shuyu::lab::model::State;
use tokio::io::copy_bidirectional;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::scene::{docker, offer, participant};
use super::support::{TestApp, leftovers};

const IMAGE: &str = "shuyu/python:latest";

/// A way to the engine that can be cut and mended.
struct Wire {
    path: PathBuf,
    whole: watch::Sender<bool>,
    _directory: tempfile::TempDir,
}

impl Wire {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("docker.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let whole = watch::Sender::new(true);
        let mut is_whole = whole.subscribe();
        tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        if !*is_whole.borrow() {
                            continue;
                        }
                        let (mut near, _) = accepted.unwrap();
                        connections.spawn(async move {
                            let mut far = UnixStream::connect("/var/run/docker.sock").await.unwrap();
                            let _ = copy_bidirectional(&mut near, &mut far).await;
                        });
                    }
                    changed = is_whole.changed() => {
                        if changed.is_err() {
                            return;
                        }
                        connections.abort_all();
                    }
                }
            }
        });
        Self { path, whole, _directory: directory }
    }
}

#[tokio::test]
async fn an_engine_that_goes_away_takes_no_open_sandbox_with_it_and_all_is_put_right_when_it_is_back() {
    let wire = Wire::new();
    let socket = format!("unix://{}", wire.path.display());
    let app = TestApp::start_keeping_with(|settings| {
        settings.docker_host = socket;
        settings.sandboxes.places = 3;
    })
    .await;
    offer(&app, "small", "python").await;
    let mut people = Vec::new();
    for login in ["alice", "bob", "carol", "dora"] {
        people.push(participant(&app, login, "small").await);
    }
    let [alice, bob, carol, dora] = people.try_into().ok().unwrap();
    let (hers, his, _) = tokio::join!(alice.open(&app), bob.open(&app), carol.open(&app));
    hers.sh("echo kept > note; sync").await;

    wire.whole.send_replace(false);
    // what is open goes on
    let kernel = hers.guest.kernel().await;
    assert_eq!(hers.guest.run(&kernel, "print(6 * 7)").await, "42\n");
    // what is stopped or asked for now is told that its host failed
    bob.press("stop").await;
    let failed = bob.until(&app, State::Failed).await;
    assert_eq!(failed.reason, "engine");
    bob.browser.get(&bob.page()).await.ok().has("沙箱主机出现故障").has("打开沙箱");
    dora.press("open").await;
    assert_eq!(dora.until(&app, State::Failed).await.reason, "engine");
    dora.browser.get(&dora.page()).await.ok().has("沙箱主机出现故障");
    // an engine that goes down without live-restore kills its containers
    let killed = docker(&["kill", &hers.container]);
    assert!(killed.status.success());

    wire.whole.send_replace(true);
    let over = alice.until(&app, State::Stopped).await;
    assert_eq!(over.reason, "engine");
    alice.browser.get(&alice.page()).await.ok().has("沙箱主机出现故障，沙箱已停止，文件保留");
    // all three come again, with their homes; nothing of before is left
    let again = alice.open(&app).await;
    assert_eq!(again.sh("cat note").await, "kept\n");
    bob.open(&app).await;
    carol.press("stop").await;
    carol.until(&app, State::Stopped).await;
    dora.open(&app).await;
    assert!(!leftovers::containers(&app.app.settings).contains(&his.container), "the reaper came by");
    assert_eq!(leftovers::containers(&app.app.settings).len(), 3);
    app.end_keeping().await;
}

/// An image made for one test, with another `jupyter`.
struct Image(String);

impl Image {
    fn with_jupyter(script: &str) -> Self {
        let number = hex::encode(Entropy.bytes::<8>());
        let (name, container) = (format!("shuyu/door-{number}:test"), format!("shuyu-door-{number}"));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), script).unwrap();
        std::fs::set_permissions(file.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let path = file.path().to_str().unwrap();
        for words in [
            vec!["create", "--name", &container, IMAGE, "true"],
            vec!["cp", path, &format!("{container}:/usr/local/bin/jupyter")],
            vec!["commit", &container, &name],
            vec!["rm", &container],
        ] {
            let done = docker(&words);
            assert!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
        }
        Self(name)
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        docker(&["rmi", "-f", &self.0]);
    }
}

#[tokio::test]
async fn labs_that_do_not_come_up_fail_with_the_reason_and_free_their_places() {
    let ends = Image::with_jupyter("#!/bin/sh\necho no module named lab\nexit 3\n");
    let hangs = Image::with_jupyter("#!/bin/sh\necho hanging about\nexec sleep infinity\n");
    let changing = Image::with_jupyter("#!/bin/sh\nexec python3 -m jupyter \"$@\"\n");
    let app = TestApp::start_keeping_with(|settings| {
        settings.sandboxes.places = 2;
        let named =
            [("ends", &*ends.0), ("hangs", &*hangs.0), ("changing", &*changing.0), ("gone", "shuyu/absent")];
        settings.images.extend(named.map(|(name, image)| (name.to_owned(), image.to_owned())));
    })
    .await;
    for slug in ["ends", "hangs", "changing", "gone"] {
        offer(&app, slug, slug).await;
    }
    offer(&app, "small", "python").await;
    let hanger = participant(&app, "hanger", "hangs").await;
    hanger.press("open").await;
    hanger.until(&app, State::Starting).await;

    // ends at once: told, its log kept for the organizer, and its place free
    let ender = participant(&app, "ender", "ends").await;
    ender.press("open").await;
    assert_eq!(ender.until(&app, State::Failed).await.reason, "lab");
    ender.browser.get(&ender.page()).await.ok().has("JupyterLab 没有启动成功").has("打开沙箱");
    let organizer = app.visitor();
    organizer.log_in("org", super::support::PASSWORD).await.is(303);
    let desk = "/competitions/ends/desk/sandboxes";
    let log = format!("{desk}/{}/log", ender.sandbox(&app).await.id);
    organizer.get(&log).await.ok().has("no module named lab");

    // no such image
    let gone = participant(&app, "gone", "gone").await;
    gone.press("open").await;
    assert_eq!(gone.until(&app, State::Failed).await.reason, "engine");

    // the disk is full where homes are made; when there is room again, it opens
    let person = participant(&app, "alice", "small").await;
    let homes = app.app.settings.data_dir.join("homes");
    let mount = |words: &[&str]| {
        let done = Command::new(words[0]).args(&words[1..]).arg(&homes).output().unwrap();
        assert!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
    };
    mount(&["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs"]);
    person.press("open").await;
    assert_eq!(person.until(&app, State::Failed).await.reason, "home");
    person.browser.get(&person.page()).await.ok().has("个人目录未能打开");
    mount(&["umount"]);
    person.open(&app).await;
    person.press("stop").await;
    person.until(&app, State::Stopped).await;

    // built anew while in use: what is open goes on, what is opened next is the new one
    let first = participant(&app, "first", "changing").await.open(&app).await;
    assert!(docker(&["tag", &ends.0, &changing.0]).status.success());
    assert_eq!(first.sh("jupyter --version > /dev/null; echo $?").await, "0\n");
    first.guest.get("/api/status").await.is(200);

    // never answers: told, after the time that a lab may take; its log, and its place
    assert_eq!(hanger.until(&app, State::Failed).await.reason, "lab");
    let log = format!("/competitions/hangs/desk/sandboxes/{}/log", hanger.sandbox(&app).await.id);
    organizer.get(&log).await.ok().has("hanging about");
    let second = participant(&app, "second", "changing").await;
    second.press("open").await;
    assert_eq!(second.until(&app, State::Failed).await.reason, "lab");
    assert_eq!(leftovers::containers(&app.app.settings).len(), 1);
    app.end_keeping().await;
}
