//! Backups between the two databases and the two kinds of object store.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::collections::BTreeMap;
use std::io::{Read as _, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex};

use futures_util::TryStreamExt as _;
use shuyu::audit::{self, Actor, Entry, Sequencer};
use shuyu::cli::backup::{BackupArgs, RestoreArgs, run_backup, run_restore};
use shuyu::clock::{Clock, Entropy};
use shuyu::crypto::{KeyFile, KeyRing, MasterKey, Sealer};
use shuyu::store::backup::{BackupError, Summary, backup, restore};
use shuyu::store::{Db, ObjectKey, ObjectPlace, Objects};
use sqlx::Row as _;
use support::databases::TestDb;
use support::s3::S3Server;

const OLD_TIME: i64 = 1_700_000_000_000;

/// Takes an archive in memory from the thread that writes it.
#[derive(Clone, Default)]
struct Tape(Arc<Mutex<Vec<u8>>>);

impl Tape {
    fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }
}

impl Write for Tape {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn ring() -> KeyRing {
    KeyRing::new(MasterKey::from_bytes([9; 32]))
}

fn local() -> (tempfile::TempDir, Objects) {
    let directory = tempfile::tempdir().unwrap();
    let place = ObjectPlace::Directory(directory.path().join("objects"));
    let objects = Objects::open(&place, Sealer::new(ring())).unwrap();
    (directory, objects)
}

async fn run(db: &Db, sql: &'static str) {
    let mut tx = db.begin().await.unwrap();
    sqlx::query(sql).execute(&mut *tx).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    tx.commit().await.unwrap();
}

/// Rows with NULLs, bytes, fractions, numbered keys, references in both directions of the alphabet,
/// and texts that quoting could spoil.
async fn fill(db: &Db, objects: &Objects) {
    for sql in [
        "INSERT INTO settings VALUES ('motto', '原始数据不出域 \"quoted\" back\\slash
next line')",
        "INSERT INTO organisations VALUES ('o1', '数据局', 1700000000000, NULL, NULL)",
        "INSERT INTO users VALUES ('u1', 'ann', '安', 'a@example.org', 'x', 'o1', 'zh-CN', 1, NULL, 0, 0)",
        "INSERT INTO users VALUES ('u2', 'bob', 'Bob', '', 'x', NULL, 'en', -9223372036854775807, 7, 2, 3)",
        "INSERT INTO hidden_sets VALUES ('h1', 'flights', 5)",
        "INSERT INTO replies VALUES ('r1', 'h1', 'u1', 't', 'c', 'p', 's', NULL, 'score', '{}', 0.1, 6)",
        "INSERT INTO replies VALUES ('r2', 'h1', 'u1', 't', 'c', 'p', 's', NULL, 'score', '{}', 19.931568569324174, 6)",
        "INSERT INTO replies VALUES ('r3', 'h1', 'u1', 't', 'c', 'p', 's', NULL, 'score', '{}', 40, 6)",
        "INSERT INTO replies VALUES ('r4', 'h1', 'u1', 't', 'c', 'p', 's', NULL, 'score', '{}', 5e-324, 6)",
        "INSERT INTO events (topic, kind, payload, created_at) VALUES ('t', 'k', '1', 1), ('t', 'k', '2', 2), ('t', 'k', '3', 3)",
        "DELETE FROM events WHERE payload = '2'",
    ] {
        run(db, sql).await;
    }
    for n in 0..3 {
        let at = jiff::Timestamp::from_millisecond(OLD_TIME + n).unwrap();
        let mut tx = db.begin().await.unwrap();
        let entry = Entry::new(at, Actor::Operator, "user.created", ("user", n)).detail("名", "安");
        audit::record(&mut tx, entry).await.unwrap();
        tx.commit().await.unwrap();
    }
    Sequencer::new(db.clone()).number_waiting().await.unwrap();
    let long = format!("competitions/{}/{}", "a".repeat(50), "b".repeat(50));
    for (key, content) in [
        (ObjectKey::plain("submissions/1").unwrap(), vec![7; 1_300_000]),
        (ObjectKey::plain(long).unwrap(), Vec::new()),
        (ObjectKey::hidden("sets/1/labels.csv").unwrap(), b"id,label\n".repeat(1_000)),
    ] {
        objects.put_bytes(&key, &content).await.unwrap();
    }
}

async fn write(db: &Db, objects: &Objects) -> (Summary, Vec<u8>) {
    let tape = Tape::default();
    let summary = backup(db, objects, &Clock::system(), None, tape.clone(), |_, _| {}).await.unwrap();
    (summary, tape.bytes())
}

async fn read(db: &Db, objects: &Objects, archive: &[u8]) -> Result<Summary, BackupError> {
    restore(db, objects, std::io::Cursor::new(archive.to_vec()), |_, _| {}).await
}

/// What an archive says, the order of rows and objects apart.
fn content(archive: &[u8]) -> BTreeMap<String, Vec<Vec<u8>>> {
    let mut content: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
    let mut tar = tar::Archive::new(archive);
    for entry in tar.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        if let Some((table, _)) = path.strip_prefix("tables/").and_then(|rest| rest.split_once('/')) {
            let rows = content.entry(table.to_owned()).or_default();
            rows.extend(bytes.split_inclusive(|&b| b == b'\n').map(<[u8]>::to_vec));
            rows.sort();
        } else if path.starts_with("objects/") {
            content.insert(path, vec![bytes]);
        }
    }
    content
}

/// An archive with entries changed, left out or added.
fn rewritten(archive: &[u8], change: impl Fn(&str, Vec<u8>) -> Vec<(String, Vec<u8>)>) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut tar = tar::Archive::new(archive);
    for entry in tar.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        for (path, bytes) in change(&path, bytes) {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o600);
            builder.append_data(&mut header, path, bytes.as_slice()).unwrap();
        }
    }
    builder.into_inner().unwrap()
}

#[tokio::test]
async fn from_sqlite_to_postgres_and_s3_and_back_nothing_changes() {
    let [sqlite, postgres] = TestDb::both().await;
    let (_directory, files) = local();
    fill(&sqlite.db, &files).await;
    let (first, archive) = write(&sqlite.db, &files).await;
    assert_eq!(first.objects, 3);
    assert_eq!(first.keys, [ring().current().id().to_string()]);

    let server = S3Server::start().await;
    let bucket = Objects::open(&ObjectPlace::S3(server.settings()), Sealer::new(ring())).unwrap();
    let restored = read(&postgres.db, &bucket, &archive).await.unwrap();
    assert_eq!((restored.rows, restored.objects, restored.bytes), (first.rows, 3, first.bytes));
    assert_eq!(audit::verify(&postgres.db).await.unwrap(), audit::verify(&sqlite.db).await.unwrap());
    let (_, second) = write(&postgres.db, &bucket).await;
    assert_eq!(content(&second), content(&archive));

    let again = TestDb::sqlite().await;
    let (_directory, files) = local();
    read(&again.db, &files, &second).await.unwrap();
    let (_, third) = write(&again.db, &files).await;
    assert_eq!(content(&third), content(&archive));
    let labels = tempfile::tempdir_in("/dev/shm").unwrap();
    let file = labels.path().join("labels.csv");
    files.get_to_file(&ObjectKey::hidden("sets/1/labels.csv").unwrap(), &file).await.unwrap();
    assert_eq!(std::fs::read(&file).unwrap(), b"id,label\n".repeat(1_000));

    for db in [&postgres.db, &again.db] {
        run(db, "INSERT INTO events (topic, kind, payload, created_at) VALUES ('t', 'k', '4', 4)").await;
        let row = sqlx::query("SELECT number FROM events WHERE payload = '4'")
            .fetch_one(&mut *db.read().await.unwrap())
            .await
            .unwrap();
        assert_eq!(row.get::<i64, _>("number"), 4, "numbering goes on after the restored rows");
    }
}

/// A service that goes on writing: the rows are those of one moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_written_meanwhile_are_not_half_in_the_backup() {
    for bench in TestDb::both().await {
        let (_directory, objects) = local();
        fill(&bench.db, &objects).await;
        let before = write(&bench.db, &objects).await.1;
        let (db, runtime) = (bench.db.clone(), tokio::runtime::Handle::current());
        let mut written = false;
        let meanwhile = move |_: &str, _: u64| {
            if !std::mem::replace(&mut written, true) {
                let (db, runtime) = (db.clone(), runtime.clone());
                let insert = async move {
                    run(&db, "INSERT INTO settings VALUES ('late', '1')").await;
                    run(&db, "INSERT INTO hidden_sets VALUES ('late', 'late', 5)").await;
                    run(&db, "INSERT INTO replies VALUES ('late', 'late', 'u1', 't', 'c', 'p', 's', NULL, 'score', '{}', 1, 6)").await;
                };
                std::thread::spawn(move || runtime.block_on(insert)).join().unwrap();
            }
        };
        let tape = Tape::default();
        backup(&bench.db, &objects, &Clock::system(), None, tape.clone(), meanwhile).await.unwrap();
        assert_eq!(content(&tape.bytes()), content(&before));
        assert_ne!(content(&write(&bench.db, &objects).await.1), content(&before), "the rows were written");
    }
}

#[tokio::test]
async fn a_damaged_archive_is_refused_and_nothing_is_restored() {
    let source = TestDb::sqlite().await;
    let (_directory, files) = local();
    fill(&source.db, &files).await;
    let (_, archive) = write(&source.db, &files).await;

    let flipped = |wanted: &'static str| {
        rewritten(&archive, move |path, mut bytes| {
            if path == wanted {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
            }
            vec![(path.to_owned(), bytes)]
        })
    };
    let replaced = |table: &'static str, from: &'static str, to: &'static str| {
        rewritten(&archive, move |path, bytes| {
            let text = if path.starts_with(&format!("tables/{table}/")) {
                let text = String::from_utf8(bytes).unwrap();
                assert!(text.contains(from), "{text}");
                text.replace(from, to).into_bytes()
            } else {
                bytes
            };
            vec![(path.to_owned(), text)]
        })
    };
    let without = |wanted: &'static str| {
        rewritten(
            &archive,
            move |path, bytes| {
                if path == wanted { vec![] } else { vec![(path.to_owned(), bytes)] }
            },
        )
    };
    let added = rewritten(&archive, |path, bytes| match path {
        "manifest.json" => {
            vec![("objects/added".to_owned(), b"x".to_vec()), (path.to_owned(), bytes)]
        }
        _ => vec![(path.to_owned(), bytes)],
    });
    let outside = rewritten(&archive, |path, bytes| match path {
        "objects/submissions/1" => vec![("objects/.x/1".to_owned(), bytes)],
        _ => vec![(path.to_owned(), bytes)],
    });
    let cases = [
        ("an object", flipped("objects/submissions/1"), "objects/submissions/1"),
        ("a row", replaced("users", "a@example.org", "b@example.org"), "tables/users/0000.jsonl"),
        ("a column", replaced("users", "\"email\"", "\"mail\""), "no column mail"),
        ("a type", replaced("users", "\"failed_logins\":2", "\"failed_logins\":\"2\""), "failed_logins"),
        ("a reference", replaced("organisations", "\"o1\"", "\"o2\""), "tables/users/0000.jsonl"),
        ("left out", without("objects/submissions/1"), "objects/submissions/1"),
        ("a table left out", without("tables/settings/0000.jsonl"), "tables/settings/0000.jsonl"),
        ("added", added, "objects/added"),
        ("a name", outside, "objects/.x/1"),
        ("no manifest", without("manifest.json"), "manifest.json"),
        ("cut off", archive[..archive.len() / 2].to_vec(), ""),
        ("empty", Vec::new(), "manifest.json"),
        ("no archive", b"id,label\n".repeat(500), ""),
    ];
    let target = TestDb::sqlite().await;
    let (directory, objects) = local();
    for (case, archive, said) in cases {
        let error = read(&target.db, &objects, &archive).await.unwrap_err();
        assert!(matches!(error, BackupError::Damaged { .. }), "{case}: {error}");
        assert!(error.to_string().contains(said), "{case}: {error}");
        assert!(objects.list("").try_next().await.unwrap().is_none(), "{case}");
        let rows = content(&write(&target.db, &objects).await.1);
        assert!(rows.is_empty(), "{case}: {rows:?}");
    }
    drop(directory);

    let newer = rewritten(&archive, |path, bytes| {
        if path != "manifest.json" {
            return vec![(path.to_owned(), bytes)];
        }
        let mut manifest: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        manifest["schema"] = 999.into();
        vec![(path.to_owned(), manifest.to_string().into_bytes())]
    });
    let (_directory, objects) = local();
    let error = read(&target.db, &objects, &newer).await.unwrap_err();
    assert!(matches!(error, BackupError::Schema { theirs: 999.., .. }), "{error}");
    read(&target.db, &objects, &archive).await.unwrap();
}

#[tokio::test]
async fn what_is_there_already_is_not_overwritten() {
    let source = TestDb::sqlite().await;
    let (_directory, files) = local();
    fill(&source.db, &files).await;
    let (_, archive) = write(&source.db, &files).await;
    let empty = TestDb::sqlite().await;
    let error = read(&empty.db, &files, &archive).await.unwrap_err();
    assert!(matches!(&error, BackupError::NotEmpty { what } if what == "the object store"), "{error}");
    let (_directory, nothing) = local();
    let error = read(&source.db, &nothing, &archive).await.unwrap_err();
    assert!(matches!(&error, BackupError::NotEmpty { what } if what.starts_with("the table ")), "{error}");
}

#[tokio::test]
async fn the_keys_are_in_it_only_when_asked_for() {
    let source = TestDb::sqlite().await;
    let (_directory, files) = local();
    fill(&source.db, &files).await;
    let secret = "09".repeat(32);
    let tells = |archive: &[u8]| archive.windows(64).any(|window| window == secret.as_bytes());
    let (_, without) = write(&source.db, &files).await;
    assert!(!tells(&without));

    let tape = Tape::default();
    backup(&source.db, &files, &Clock::system(), Some(ring()), tape.clone(), |_, _| {}).await.unwrap();
    assert!(tells(&tape.bytes()));
    let target = TestDb::sqlite().await;
    let (_directory, objects) = local();
    let summary = read(&target.db, &objects, &tape.bytes()).await.unwrap();
    assert_eq!(summary.ring.unwrap().ids(), ring().ids());
}

/// The subcommands: files in, files out, and the key file put where it belongs.
#[tokio::test]
async fn the_subcommands_write_a_private_file_and_bring_keys_back() {
    let source = TestDb::sqlite().await;
    let (directory, files) = local();
    fill(&source.db, &files).await;
    let to = directory.path().join("backup.tar");
    let args = BackupArgs { to: to.clone(), with_key: true };
    let made = run_backup(&args, &source.db, &files, &Clock::system()).await.unwrap();
    assert_eq!(std::fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o600);
    let error = run_backup(&args, &source.db, &files, &Clock::system()).await.unwrap_err();
    assert!(error.to_string().contains("exists already"), "{error}");

    let target = TestDb::sqlite().await;
    let place = ObjectPlace::Directory(directory.path().join("restored"));
    let key_file = directory.path().join("restored.key");
    let args = RestoreArgs { from: to };
    let restored = run_restore(&args, &target.db, &place, &key_file).await.unwrap();
    assert_eq!((restored.rows, restored.objects), (made.rows, made.objects));
    let keys = KeyFile::load_or_create(&key_file, &Entropy).unwrap();
    assert_eq!(keys.ids(), ring().ids());
    let objects = Objects::open(&place, Sealer::new(keys)).unwrap();
    let labels = ObjectKey::hidden("sets/1/labels.csv").unwrap();
    assert!(objects.open_hidden_bytes(&labels, 1 << 20).await.is_ok());
}

/// A database that cannot be read ends the backup, and no file that looks like one is left.
#[tokio::test]
async fn a_backup_that_fails_leaves_no_file() {
    let source = TestDb::sqlite().await;
    let (directory, files) = local();
    fill(&source.db, &files).await;
    source.db.close().await;
    let args = BackupArgs { to: directory.path().join("backup.tar"), with_key: false };
    let error = run_backup(&args, &source.db, &files, &Clock::system()).await.unwrap_err();
    assert!(error.to_string().contains("was not written"), "{error}");
    let left: Vec<_> =
        std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["objects"]);
}
