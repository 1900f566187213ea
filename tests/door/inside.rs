//! Red team 48 and 49 from inside two labs of one competition, and homes that are full of tricks.

use std::collections::BTreeSet;

use shuyu::lab::model::State;

use super::scene::{Inside, participant, scene};

/// What is mounted writable, as file system and the directory in it; and the namespaces.
const SHARES: &str = "python3 -c \"
import os
for line in open('/proc/self/mountinfo'):
    words = line.split()
    if 'rw' in words[5].split(','):
        print('mount', words[2], words[3], words[4])
for name in ('ipc', 'net', 'uts', 'pid', 'mnt', 'cgroup'):
    print('namespace', os.readlink('/proc/self/ns/' + name))
\"";

#[tokio::test]
async fn n48_two_sandboxes_share_nothing_that_either_can_write() {
    let app = scene().await;
    let (alice, bob) = (participant(&app, "alice", "small").await, participant(&app, "bob", "small").await);
    let (hers, his) = tokio::join!(alice.open(&app), bob.open(&app));
    let (ours, theirs) = tokio::join!(hers.sh(SHARES), his.sh(SHARES));
    let read = |text: &str| {
        let parts = text.lines().map(|line| line.split(' ').take(3).collect::<Vec<_>>().join(" "));
        parts.collect::<BTreeSet<String>>()
    };
    let common: Vec<String> = read(&ours).intersection(&read(&theirs)).cloned().collect();
    assert_eq!(common, Vec::<String>::new(), "\n{ours}\n{theirs}");
    assert!(ours.contains(" /home/participant") && ours.contains(" /dev/shm"), "{ours}");

    // what both can read is one file to neither: a lock of the one is none for the other
    let same = "stat -L -c '%d' /submit/README.md";
    let (a, b) = tokio::join!(hers.sh(same), his.sh(same));
    assert_ne!(a, b, "each has a file system of its own to read from");
    let signal = "import fcntl, sys
file = open('/submit/README.md')
try:
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    print('free', flush=True)
except BlockingIOError:
    print('taken', flush=True)";
    let hold = format!("{signal}\nimport time; time.sleep(3600)");
    hers.sh(&format!("nohup python3 -c \"{hold}\" > held 2>&1 & until grep -q free held; do :; done")).await;
    assert_eq!(hers.sh(&format!("python3 -c \"{signal}\"")).await, "taken\n");
    assert_eq!(his.sh(&format!("python3 -c \"{signal}\"")).await, "free\n");
    app.end_keeping().await;
}

/// Every way of writing where there is only reading; prints those that worked.
const WRITES: &str = r#"
import os, shutil
ways = {
    'open': lambda p: open(p + '/README.md', 'r+'),
    'truncate': lambda p: os.truncate(p + '/README.md', 0),
    'make': lambda p: open(p + '/made', 'w'),
    'folder': lambda p: os.mkdir(p + '/folder'),
    'remove': lambda p: os.unlink(p + '/README.md'),
    'rename': lambda p: os.rename(p + '/README.md', p + '/other'),
    'link': lambda p: os.symlink('/etc', p + '/link'),
    'hard link': lambda p: os.link(p + '/README.md', '/home/participant/hard'),
    'mode': lambda p: os.chmod(p + '/README.md', 0o777),
    'owner': lambda p: os.chown(p + '/README.md', 61000, 61000),
    'time': lambda p: os.utime(p + '/README.md'),
    'attribute': lambda p: os.setxattr(p + '/README.md', 'user.x', b'1'),
    'descriptor': lambda p: open('/proc/self/fd/%d' % os.open(p + '/README.md', os.O_RDONLY), 'r+'),
    'remount': lambda p: os.system('mount -o remount,rw ' + p + ' 2> /dev/null') == 0 or 1 / 0,
}
worked = []
for path in ('/submit', '/run/shuyu', '/usr', '/etc'):
    for name, way in ways.items():
        try:
            way(path)
            worked.append(path + ' ' + name)
        except (OSError, ZeroDivisionError):
            pass
print('worked:', worked, 'of', len(ways))
"#;

#[tokio::test]
async fn n49_nothing_read_only_is_written_from_a_kernel_or_a_terminal() {
    let app = scene().await;
    let alice = participant(&app, "alice", "small").await.open(&app).await;
    let guide = alice.sh("cat /submit/README.md").await;
    let kernel = alice.guest.kernel().await;
    assert_eq!(alice.guest.run(&kernel, WRITES).await, "worked: [] of 14\n");

    let file = serde_json::json!({"type": "file", "format": "text", "content": WRITES}).to_string();
    alice.guest.change("PUT /api/contents/writes.py", &file).await.is(201);
    let made = alice.guest.change("POST /api/terminals", "{}").await.is(200).json();
    let path = format!("/terminals/websocket/{}", made["name"].as_str().unwrap());
    let mut terminal = alice.guest.socket(&path).await;
    terminal.say(r#"["stdin", "python3 writes.py; id -u; echo over-$((40 + 2))\r"]"#).await;
    let mut printed = String::new();
    while !printed.contains("over-42") {
        let message = terminal.hear().await.expect("the terminal answers");
        let message: serde_json::Value = serde_json::from_str(&message).unwrap();
        if message[0] == "stdout" {
            printed += message[1].as_str().unwrap();
        }
    }
    assert!(printed.contains("worked: [] of 14") && printed.contains("61000"), "{printed}");
    assert_eq!(alice.sh("cat /submit/README.md").await, guide);
    app.end_keeping().await;
}

/// A home of 128 MiB and 16,384 files that its owner has filled with what trips up those who come after.
const TRICKS: &str = r#"
import os, socket
os.chdir('/home/participant')
os.makedirs('outbox/folder')
for target, name in [('/etc/passwd', 'passwd.csv'), ('/etc', 'etc'), ('..', 'up'), ('self.csv', 'self.csv'),
                     ('/proc/1/environ', 'environ.csv'), ('/run/shuyu/relay.sock', 'sock.csv')]:
    os.symlink(target, 'outbox/' + name)
    os.symlink(target, name)
os.mkfifo('outbox/fifo.csv'); os.mkfifo('fifo')
s = socket.socket(socket.AF_UNIX); s.bind('socket')
with open('outbox/means.csv', 'w') as file: file.write('a,b\n')
with open('sparse', 'w') as file: file.truncate(20 << 20)
with open('outbox/sparse.csv', 'w') as file: file.truncate(20 << 20)
os.link('outbox/means.csv', 'outbox/hard.csv')
for odd in (b'\xff\xfe.csv', b'new\nline.csv', b'<b>.csv', b'-rf'): open(b'outbox/' + odd, 'w').close()
open('locked', 'w').close(); os.chmod('locked', 0)
depth = 0
here = os.getcwd()
try:
    while depth < 400:
        os.mkdir('d' * 200); os.chdir('d' * 200); depth += 1
except OSError: pass
os.chdir(here)
count = 0
os.mkdir('many'); os.chdir('many')
try:
    while count < 1000000:
        open(str(count), 'w').close(); count += 1
except OSError as error:
    print(error.errno, count, depth)
"#;

#[tokio::test]
async fn homes_full_of_tricks_are_listed_copied_and_kept_and_nothing_is_followed() {
    let app = scene().await;
    let alice = participant(&app, "alice", "small").await;
    let lab = alice.open(&app).await;
    let file = serde_json::json!({"type": "file", "format": "text", "content": TRICKS}).to_string();
    lab.guest.change("PUT /api/contents/tricks.py", &file).await.is(201);
    let full = lab.sh("python3 tricks.py").await;
    let figures: Vec<u64> = full.split_whitespace().map(|word| word.parse().unwrap()).collect();
    assert!(figures[0] == 28 && (10_000..16_384).contains(&figures[1]) && figures[2] == 400, "{full}");

    let page = listed(&alice, &app).await;
    assert!(page.contains("means.csv") && page.contains("sparse.csv"), "{page}");
    for followed in ["passwd.csv", "environ.csv", "sock.csv", "fifo.csv", "root:", "<b>.csv"] {
        assert!(!page.contains(followed), "{followed} in {page}");
    }
    // the outbox itself is a link
    lab.sh("rm many/0; mv outbox boxed; ln -s /etc outbox").await;
    let page = listed(&alice, &app).await;
    assert!(!page.contains("passwd") && !page.contains("hostname"), "{page}");

    alice.press("stop").await;
    let over = alice.until(&app, State::Stopped).await;
    assert_eq!(over.reason, "stopped");
    // a copy was made, or it is said why not
    let mut conn = app.app.db.read().await.unwrap();
    let home = shuyu::lab::db::home_by_id(&mut conn, over.home).await.unwrap().unwrap();
    drop(conn);
    assert!(home.snapshot.is_some(), "no copy: {:?}", home.copy_problem);
    let lab: Inside = alice.open(&app).await;
    let kept = lab.sh("cat boxed/means.csv; ls many | wc -l; stat -c %s sparse; readlink etc").await;
    assert_eq!(kept, format!("a,b\n{}\n{}\n/etc\n", figures[1] - 1, 20 << 20));
    app.end_keeping().await;
}

/// The sandbox's page, with the outbox on it.
async fn listed(alice: &super::scene::Person, app: &super::support::TestApp) -> String {
    let page = alice.browser.get(&alice.page()).await.ok().body;
    app.visitor().get("/competitions").await.ok();
    page
}
