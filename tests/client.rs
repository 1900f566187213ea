//! The client verbs: the real binary against the real router.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it could not do by failing")]

mod support;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;

use support::arena::{Arena, BundleFiles, SLUG, off_by};
use support::{PASSWORD, TestApp};
use tokio::io::AsyncWriteExt as _;

/// A home directory, and the binary run in it.
struct Terminal {
    home: tempfile::TempDir,
    server: Option<String>,
    token: Option<String>,
}

/// What a command said.
#[derive(Debug)]
struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Said {
    #[track_caller]
    fn is(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }
}

impl Terminal {
    fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap(), server: None, token: None }
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.home.path().join(name), bytes).unwrap();
    }

    async fn run(&self, line: &str) -> Said {
        self.run_with(line, "").await
    }

    async fn run_with(&self, line: &str, input: &str) -> Said {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_shuyu"));
        command.args(line.split_whitespace()).current_dir(self.home.path());
        for name in ["SHUYU_SERVER", "SHUYU_TOKEN", "XDG_CONFIG_HOME", "LC_ALL", "LC_MESSAGES"] {
            command.env_remove(name);
        }
        command.env("HOME", self.home.path()).env("LANG", "en_GB.UTF-8").env("NO_PROXY", "127.0.0.1");
        if let Some(server) = &self.server {
            command.env("SHUYU_SERVER", server);
        }
        if let Some(token) = &self.token {
            command.env("SHUYU_TOKEN", token);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).await.unwrap();
        let output = child.wait_with_output().await.unwrap();
        Said {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_participant_works_from_a_terminal() {
    let bundle = BundleFiles::new().with("max_submissions_per_day: 5", "max_submissions_per_day: 3");
    let arena = Arena::working(&bundle).await;
    arena.participant("alice", "submit").await;
    let at = Terminal::new();
    let server = format!("http://{}", arena.app.address);

    at.run("competitions submissions rainfall").await.is(2);
    let wrong =
        at.run_with(&format!("login --server {server} --login alice"), "wrong password\n").await.is(1);
    assert!(wrong.err.contains("Login or password is wrong"), "{wrong:?}");
    at.run_with(&format!("login --server {server}/ --login alice"), &format!("{PASSWORD}\n")).await.is(0);
    let kept = at.home.path().join(".config/shuyu/credentials");
    assert_eq!((mode(&kept), mode(kept.parent().unwrap())), (0o600, 0o700));

    let listed = at.run("competitions list").await.is(0);
    assert!(listed.out.lines().nth(1).unwrap().starts_with("rainfall  "), "{listed:?}");
    let listed = at.run("competitions list -v").await.is(0);
    assert!(listed.out.starts_with("competition,open phase,ends,organiser,title\nrainfall,0,"), "{listed:?}");
    let files = at.run("competitions files rainfall --csv").await.is(0);
    assert!(files.out.contains("kit.zip,") && !files.out.contains("later"), "{files:?}");
    at.run("competitions download rainfall -q").await.is(0);
    assert!(at.home.path().join("kit.zip").exists() && at.home.path().join("public.zip").exists());
    let again = at.run("competitions download rainfall -f kit.zip").await.is(0);
    assert!(again.out.contains("here already"), "{again:?}");
    at.write("kit.zip", b"mine");
    at.run("competitions download rainfall -f kit.zip").await.is(1);
    assert_eq!(std::fs::read(at.home.path().join("kit.zip")).unwrap(), b"mine");
    at.run("competitions download rainfall -f kit.zip --force -p .").await.is(0);
    assert!(at.run("competitions download rainfall -f reference").await.is(1).err.contains("no file"));

    at.write("good.csv", &off_by(1.5));
    let done = at.run("competitions submit rainfall -f good.csv -m first").await.is(0);
    assert!(done.out.starts_with("finished\nrmse\t1.5\n"), "{done:?}");
    at.write("bad.csv", b"row_id,rain\n1,x\n");
    let bad = at.run("competitions submit rainfall -f bad.csv").await.is(1);
    assert!(bad.out.starts_with("rejected") && bad.err.contains("line 2"), "{bad:?}");
    let quiet = at.run("competitions submit rainfall -f good.csv --no-wait -q").await.is(0);
    assert!(quiet.err.starts_with("accepted: "), "{quiet:?}");
    at.run("competitions submit rainfall -f good.csv").await.is(0);
    let spent = at.run("competitions submit rainfall -f good.csv").await.is(1);
    assert!(spent.err.contains("3 of 3 submissions of today are used"), "{spent:?}");
    assert_eq!(spent.out, "");

    let own = at.run("competitions submissions rainfall -v").await.is(0);
    assert!(own.out.starts_with("id,phase,file,handed in,status,rmse,improved,message\n"), "{own:?}");
    assert_eq!((own.out.lines().count(), own.out.matches(",rejected,").count()), (5, 1), "{own:?}");
    let board = at.run("competitions leaderboard rainfall -s --csv").await.is(0);
    assert!(board.out.starts_with("rank,team,rmse,entries,last improved\n1,alice 先生,1.5,"), "{board:?}");
    assert!(!board.out.contains("mae_secret"));
    let file = at.run("competitions leaderboard rainfall -d").await.is(0).out.trim().to_owned();
    let saved = std::fs::read_to_string(at.home.path().join(file)).unwrap();
    assert!(saved.starts_with("rank,team,rmse,entries,last_improved\n1,"), "{saved}");

    at.run("logout").await.is(0);
    assert!(!kept.exists());
    at.run("competitions list").await.is(2);
    arena.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exit_codes_tell_refusal_usage_and_silence_apart() {
    let arena = Arena::waiting(&BundleFiles::new(), |settings| settings.upload.cap_bytes = 1 << 10).await;
    let mut at = Terminal::new();
    at.server = Some(format!("http://{}", arena.app.address));
    at.write("good.csv", &off_by(1.5));
    at.write("large.csv", &vec![b'1'; 4 << 10]);
    at.write("program.exe", b"MZ");
    at.run("competitions submit rainfall -f missing.csv").await.is(2);
    at.run("competitions leaderboard rainfall -s -d").await.is(2);
    let unknown = at.run("competitions files nowhere").await.is(1);
    assert!(unknown.err.contains("Not found"), "{unknown:?}");
    let nobody = at.run("competitions submit rainfall -f good.csv").await.is(1);
    assert!(nobody.err.contains("A valid token is needed"), "{nobody:?}");

    let reader = arena.participant("rita", "read").await;
    at.token = Some(reader.bearer().to_owned());
    assert!(at.run("competitions submit rainfall -f good.csv").await.is(1).err.contains("Not allowed"));
    let alice = arena.participant("alice", "submit").await;
    at.token = Some(alice.bearer().to_owned());
    let large = at.run("competitions submit rainfall -f large.csv").await.is(1);
    assert!(large.err.contains("at most"), "{large:?}");
    let ending = at.run("competitions submit rainfall -f program.exe").await.is(1);
    assert!(ending.err.contains(".zip, .csv, .parquet, .py or .onnx"), "{ending:?}");
    at.run("competitions submit rainfall -f good.csv --phase 9").await.is(2);
    let ahead = at.run("competitions submit rainfall -f good.csv --phase 1").await.is(1);
    assert!(ahead.err.contains("2100-01-01"), "{ahead:?}");
    at.run("competitions submit rainfall -f good.csv --no-wait").await.is(0);

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    at.server = Some(format!("http://{}", listener.local_addr().unwrap()));
    drop(listener);
    let silent = at.run("competitions list").await.is(3);
    assert!(silent.err.contains("cannot be reached"), "{silent:?}");
    at.server = Some("nowhere.example".to_owned());
    at.run("competitions list").await.is(2);
    assert_eq!(SLUG, "rainfall");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_sent_to_no_other_server_than_the_one_that_gave_it() {
    let (one, other) = (TestApp::start().await, TestApp::start().await);
    one.user("alice").await;
    let mut at = Terminal::new();
    let login = format!("login --server http://{} --login alice", one.address);
    at.run_with(&login, &format!("{PASSWORD}\n")).await.is(0);
    at.run("competitions submissions nowhere").await.is(1);
    at.server = Some(format!("http://{}", other.address));
    // a token that the other server does not know would be refused even where none is needed
    let listed = at.run("competitions list").await.is(0);
    assert_eq!(listed.out, "There is no competition yet.\n");
}
