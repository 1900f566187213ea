//! The object store on a local directory and on an S3 server over HTTP: every test runs on both.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::Command;
use std::task::{Context, Poll};

use futures_util::TryStreamExt as _;
use shuyu::clock::Entropy;
use shuyu::crypto::{KeyRing, MasterKey, SealError, Sealer, sm3};
use shuyu::store::{ObjectError, ObjectKey, ObjectPlace, Objects};
use support::s3::S3Server;
use tokio::io::{AsyncRead, AsyncReadExt as _, ReadBuf};

/// More than one part of an upload, and than one piece of reading.
const LARGE: usize = 9 << 20;
const CHUNK: usize = (1 << 20) + 16;
const HEADER: usize = 64;

/// A store under test, and the directories where it really keeps its files.
struct Bench {
    place: ObjectPlace,
    /// Each object is a file of its key's name in here.
    objects_in: PathBuf,
    /// Everything the store writes, unfinished uploads included.
    root: PathBuf,
    /// Keeps the directory or the server alive.
    _holder: Holder,
}

enum Holder {
    Directory(#[expect(dead_code, reason = "held for its drop")] tempfile::TempDir),
    Server(#[expect(dead_code, reason = "held for its drop")] S3Server),
}

impl Bench {
    async fn both() -> [Self; 2] {
        let directory = tempfile::tempdir().unwrap();
        let local = directory.path().join("objects");
        let server = S3Server::start().await;
        [
            Self {
                place: ObjectPlace::Directory(local.clone()),
                objects_in: local.clone(),
                root: local,
                _holder: Holder::Directory(directory),
            },
            Self {
                place: ObjectPlace::S3(server.settings()),
                objects_in: server.bucket(),
                root: server.root().to_owned(),
                _holder: Holder::Server(server),
            },
        ]
    }

    fn open(&self) -> Objects {
        self.open_with(&KeyRing::new(MasterKey::from_bytes([1; 32])))
    }

    fn open_with(&self, ring: &KeyRing) -> Objects {
        Objects::open(&self.place, Sealer::new(ring.clone())).unwrap()
    }

    fn file(&self, key: &ObjectKey) -> PathBuf {
        self.objects_in.join(key.as_str())
    }

    /// Every file the store has, apart from the S3 server's notes on attributes and checksums.
    fn files(&self) -> Vec<PathBuf> {
        fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(&path, found);
                } else if !path.file_name().unwrap().to_string_lossy().starts_with(".bucket-") {
                    found.push(path);
                }
            }
        }
        let mut found = Vec::new();
        walk(&self.root, &mut found);
        found
    }
}

fn content(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 % 251) as u8).collect()
}

fn plain(path: &str) -> ObjectKey {
    ObjectKey::plain(path).unwrap()
}

fn hidden(path: &str) -> ObjectKey {
    ObjectKey::hidden(path).unwrap()
}

/// A directory on a tmpfs, as a run has one.
fn tmpfs() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap()
}

/// Gives `left` bytes, then breaks off as a connection does, or just waits for ever.
struct Upload {
    left: usize,
    hangs: bool,
}

impl AsyncRead for Upload {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match (self.left, self.hangs) {
            (0, true) => Poll::Pending,
            (0, false) => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            (left, _) => {
                let give = left.min(buffer.remaining()).min(65_536);
                buffer.put_slice(&vec![7; give]);
                self.left -= give;
                Poll::Ready(Ok(()))
            }
        }
    }
}

#[tokio::test]
async fn what_is_put_comes_back_small_and_large() {
    for bench in Bench::both().await {
        let objects = bench.open();
        objects.check().await.unwrap();
        for len in [0, 1, 100_000, LARGE] {
            let key = plain(&format!("submissions/{len}/input.zip"));
            let bytes = content(len);
            assert!(!objects.exists(&key).await.unwrap());
            let stored = objects.put_stream(&key, &bytes[..], len as u64).await.unwrap();
            assert_eq!((stored.size, stored.sm3), (len as u64, sm3(&bytes)), "{:?}", bench.place);
            assert!(objects.exists(&key).await.unwrap());

            let mut reader = objects.get_stream(&key).await.unwrap();
            let mut back = Vec::new();
            assert_eq!(reader.size(), len as u64);
            reader.read_to_end(&mut back).await.unwrap();
            assert!(back == bytes, "{len}");

            let directory = tempfile::tempdir().unwrap();
            let copy = directory.path().join("copy");
            assert_eq!(objects.get_to_file(&key, &copy).await.unwrap(), stored);
            assert!(std::fs::read(&copy).unwrap() == bytes);
            let again = plain(&format!("again/{len}"));
            assert_eq!(objects.put_file(&again, &copy).await.unwrap().sm3, stored.sm3);
        }
        let mut listed: Vec<_> = objects.list("submissions").try_collect().await.unwrap();
        listed.sort_by_key(|entry| entry.stored_size);
        let sizes: Vec<u64> = listed.iter().map(|entry| entry.stored_size).collect();
        assert_eq!(sizes, [0, 1, 100_000, LARGE as u64]);
        assert_eq!(objects.list("").try_collect::<Vec<_>>().await.unwrap().len(), 8);

        let key = plain("submissions/1/input.zip");
        objects.delete(&key).await.unwrap();
        objects.delete(&key).await.unwrap();
        assert!(matches!(objects.get_stream(&key).await, Err(ObjectError::Missing { .. })));
    }
}

#[tokio::test]
async fn an_object_is_replaced_as_a_whole() {
    for bench in Bench::both().await {
        let objects = bench.open();
        let key = plain("a/b");
        objects.put_bytes(&key, b"first").await.unwrap();
        let broken = objects.put_stream(&key, Upload { left: LARGE, hangs: false }, u64::MAX).await;
        assert!(matches!(broken, Err(ObjectError::Source { .. })), "{broken:?}");
        assert_eq!(objects.get_bytes(&key, 5).await.unwrap(), b"first");
        objects.put_bytes(&key, b"second").await.unwrap();
        assert_eq!(objects.get_bytes(&key, 6).await.unwrap(), b"second");
        assert!(matches!(objects.get_bytes(&key, 5).await, Err(ObjectError::TooLarge { cap: 5, .. })));
    }
}

#[tokio::test]
async fn an_upload_that_breaks_off_or_is_too_large_leaves_nothing() {
    for bench in Bench::both().await {
        let objects = bench.open();
        // Sealing is slow in a debug build: the sealed content is as small as it may be.
        for (key, sizes) in [(plain("p"), [1_000, LARGE]), (hidden("h"), [1_000, CHUNK])] {
            for left in sizes {
                let broken = objects.put_stream(&key, Upload { left, hangs: false }, u64::MAX).await;
                assert!(matches!(broken, Err(ObjectError::Source { .. })), "{broken:?}");
                let bytes = content(left);
                let large = objects.put_stream(&key, &bytes[..], left as u64 - 1).await;
                assert!(matches!(large, Err(ObjectError::TooLarge { cap, .. }) if cap == left as u64 - 1));
                assert_eq!(bench.files(), Vec::<PathBuf>::new(), "{:?}", bench.place);
            }
        }
    }
}

/// A client that hangs up drops the handler's future in the middle of an upload.
#[tokio::test]
async fn an_upload_dropped_midway_is_taken_back() {
    for bench in Bench::both().await {
        let objects = bench.open();
        let key = plain("dropped");
        let upload = tokio::spawn({
            let (objects, key) = (objects.clone(), key.clone());
            // Enough that a first part is on its way while the rest is awaited.
            let content = Upload { left: LARGE + (4 << 20), hangs: true };
            async move { objects.put_stream(&key, content, u64::MAX).await }
        });
        while bench.files().is_empty() {
            tokio::task::yield_now().await;
        }
        upload.abort();
        assert!(upload.await.unwrap_err().is_cancelled());
        while !bench.files().is_empty() {
            tokio::task::yield_now().await;
        }
        assert!(!objects.exists(&key).await.unwrap());
    }
}

#[tokio::test]
async fn a_hidden_object_is_sealed_in_the_store_and_opens_on_a_tmpfs_alone() {
    for bench in Bench::both().await {
        let objects = bench.open();
        let key = hidden("sets/1/labels.csv");
        let bytes = b"id,label\n".repeat(20_000);
        let stored = objects.put_stream(&key, &bytes[..], u64::MAX).await.unwrap();
        assert_eq!((stored.size, stored.sm3), (bytes.len() as u64, sm3(&bytes)));
        let kept = std::fs::read(bench.file(&key)).unwrap();
        assert!(kept.starts_with(b"SHUYUSM4") && !kept.windows(8).any(|w| w == b"id,label"));

        assert!(matches!(objects.get_stream(&key).await, Err(ObjectError::Sealed { .. })));
        assert!(matches!(objects.get_bytes(&key, u64::MAX).await, Err(ObjectError::Sealed { .. })));
        let small = objects.open_hidden_bytes(&key, bytes.len() as u64 - 1).await;
        assert!(matches!(small, Err(ObjectError::TooLarge { .. })));
        assert!(objects.open_hidden_bytes(&key, bytes.len() as u64).await.is_ok());
        let wrong = objects.open_hidden_bytes(&plain("a"), 1).await;
        assert!(matches!(wrong, Err(ObjectError::Key { .. })));

        let staged = tmpfs();
        let file = staged.path().join("labels.csv");
        assert_eq!(objects.get_to_file(&key, &file).await.unwrap(), stored);
        assert!(std::fs::read(&file).unwrap() == bytes);
        let twice = objects.get_to_file(&key, &file).await;
        assert!(matches!(twice, Err(ObjectError::File { .. })), "{twice:?}");
        assert!(std::fs::read(&file).unwrap() == bytes, "a file that was there is left alone");

        // The build directory is on a disk.
        let disk = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let refused = objects.get_to_file(&key, &disk.path().join("labels.csv")).await;
        assert!(matches!(refused, Err(ObjectError::NotOnTmpfs { .. })), "{refused:?}");
        assert_eq!(std::fs::read_dir(disk.path()).unwrap().count(), 0);
    }
}

/// Whether an error is the one that belongs to what was done.
type Expected = fn(&SealError) -> bool;

#[tokio::test]
async fn a_tampered_sealed_object_is_refused_by_what_was_done_to_it() {
    for bench in Bench::both().await {
        let objects = bench.open();
        let (key, other) = (hidden("sets/1/labels.csv"), hidden("sets/2/labels.csv"));
        objects.put_bytes(&key, &content(2 * CHUNK)).await.unwrap();
        objects.put_bytes(&other, b"other labels").await.unwrap();
        let good = std::fs::read(bench.file(&key)).unwrap();
        let staged = tmpfs();
        let file = staged.path().join("labels.csv");
        let mut flipped = good.clone();
        flipped[HEADER + CHUNK + 5] ^= 1;
        let moved =
            [&good[..HEADER], &good[HEADER + CHUNK..HEADER + 2 * CHUNK], &good[HEADER..HEADER + CHUNK]]
                .concat();
        let cases: [(&str, Vec<u8>, Expected); 5] = [
            ("cut", good[..HEADER + CHUNK].to_vec(), |e| matches!(e, SealError::Truncated { .. })),
            ("moved", moved, |e| matches!(e, SealError::Altered { chunk: 0, .. })),
            ("flipped", flipped, |e| matches!(e, SealError::Altered { chunk: 1, .. })),
            ("swapped", std::fs::read(bench.file(&other)).unwrap(), |e| {
                matches!(e, SealError::WrongObject { .. })
            }),
            ("replaced", b"id,label\n".repeat(20), |e| matches!(e, SealError::NotSealed { .. })),
        ];
        for (case, bytes, expected) in cases {
            std::fs::write(bench.file(&key), bytes).unwrap();
            let error = objects.get_to_file(&key, &file).await.unwrap_err();
            assert!(matches!(&error, ObjectError::Seal(fault) if expected(fault)), "{case}: {error}");
            assert!(error.to_string().contains(key.as_str()), "{error}");
            assert!(!file.exists(), "{case}: the part opened so far is removed");
        }
        std::fs::write(bench.file(&key), good).unwrap();
        let stranger = bench.open_with(&KeyRing::new(MasterKey::from_bytes([2; 32])));
        let error = stranger.get_to_file(&key, &file).await.unwrap_err();
        assert!(matches!(&error, ObjectError::Seal(SealError::UnknownKey { .. })), "{error}");
        objects.get_to_file(&key, &file).await.unwrap();
    }
}

#[tokio::test]
async fn rotation_rewraps_what_the_old_key_sealed() {
    for bench in Bench::both().await {
        let old = KeyRing::new(MasterKey::from_bytes([1; 32]));
        let new = MasterKey::generate(&Entropy);
        let key = hidden("sets/1/labels.csv");
        let bytes = content(100_000);
        let stored = bench.open_with(&old).put_bytes(&key, &bytes).await.unwrap();
        let both = bench.open_with(&old.rotated(new.clone()));
        assert!(both.rewrap(&key).await.unwrap());
        assert!(!both.rewrap(&key).await.unwrap(), "once is enough");
        let staged = tmpfs();
        let file = staged.path().join("labels.csv");
        assert_eq!(bench.open_with(&KeyRing::new(new)).get_to_file(&key, &file).await.unwrap(), stored);
        assert!(bench.open_with(&old).open_hidden_bytes(&key, u64::MAX).await.is_err());
    }
}

/// A tmpfs of a given size, unmounted when dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(size: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(directory.path())
            .status()
            .unwrap();
        assert!(status.success(), "the test mounts a small tmpfs, which takes root");
        Self(directory)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn a_full_disk_is_told_as_such_and_leaves_nothing() {
    let disk = SmallDisk::mount("1m");
    let sealer = Sealer::new(KeyRing::new(MasterKey::from_bytes([1; 32])));
    let objects = Objects::open(&ObjectPlace::Directory(disk.path().join("objects")), sealer).unwrap();
    for (key, len) in [(plain("a"), 2 * CHUNK), (plain("a"), LARGE), (hidden("a"), CHUNK)] {
        let error = objects.put_bytes(&key, &content(len)).await.unwrap_err();
        assert!(matches!(error, ObjectError::Full { .. }), "{error}");
        assert!(error.to_string().contains("Free space"), "{error}");
    }
    objects.put_bytes(&hidden("b"), &content(600_000)).await.unwrap();
    let error = objects.get_to_file(&hidden("b"), &disk.path().join("out")).await.unwrap_err();
    assert!(matches!(error, ObjectError::Full { .. }), "{error}");
    assert!(!disk.path().join("out").exists());
    assert_eq!(objects.list("").try_collect::<Vec<_>>().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_told_at_the_check() {
    let server = S3Server::start().await;
    let mut settings = server.settings();
    settings.secret_key = "wrong".to_owned();
    let sealer = Sealer::new(KeyRing::new(MasterKey::from_bytes([1; 32])));
    let objects = Objects::open(&ObjectPlace::S3(settings), sealer.clone()).unwrap();
    let error = objects.check().await.unwrap_err();
    assert!(matches!(error, ObjectError::Store { .. }), "{error}");

    let directory = tempfile::tempdir().unwrap();
    let place = ObjectPlace::Directory(directory.path().join("objects"));
    let objects = Objects::open(&place, sealer).unwrap();
    std::fs::remove_dir(directory.path().join("objects")).unwrap();
    assert!(matches!(objects.check().await, Err(ObjectError::Place { .. })));
}
