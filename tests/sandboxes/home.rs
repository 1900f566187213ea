//! Homes: their limits, their snapshots, and what they survive.

use std::fs::{self, File};
use std::io::{Read, Seek};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::Duration;

use shuyu::sandbox::{
    HomeError, HomeKind, HomeQuota, Homes, OutboxLimits, SandboxError, Snapshot, SnapshotLimits,
};

use tokio::task::JoinSet;

use super::lab::{MIB, gvisor};
use super::stage::{QUOTA, Stage, later, on_host};

#[tokio::test]
async fn a_full_home_says_so_inside_and_outside() {
    for kind in [HomeKind::Image, HomeKind::Memory] {
        let stage = Stage::of(kind).await;
        let home = stage.home(later(&stage.lab), "a").await;
        let sandbox = stage.idle(Some(&home)).await;
        let empty = home.usage().expect("attached");
        assert!(empty.bytes > 16 * MIB && empty.bytes <= QUOTA.bytes && empty.bytes_used < MIB, "{empty:?}");
        assert!(empty.inodes >= QUOTA.inodes && empty.inodes < QUOTA.inodes + 1000, "{empty:?}");

        let said = stage.fails(&sandbox, "dd if=/dev/zero of=$HOME/big bs=65536");
        assert!(said.contains("No space left on device"), "{said}");
        let full = home.usage().expect("attached");
        assert!(full.bytes - full.bytes_used < MIB, "{full:?}");
        stage.sh(&sandbox, "rm ~/big; sync ~; echo again > ~/small");
        assert!(home.usage().expect("attached").bytes_used < 2 * MIB);

        let many = "import os\nos.mkdir('many')\nn = 0\ntry:\n    while n < 100_000:\n        open(f'many/{n}', 'w').close()\n        n += 1\nexcept OSError as error:\n    print(error.strerror, n)";
        let said = stage.sh(&sandbox, &format!("cd ~; python3 -c \"{many}\""));
        let count: u64 =
            said.strip_prefix("No space left on device ").expect(&said).parse().expect("a number");
        assert!(count + 10 > QUOTA.inodes, "{count}");
        let full = home.usage().expect("attached");
        assert_eq!(full.inodes, full.inodes_used);

        // A full home can be put away, and mended from inside.
        stage.end(&sandbox).await;
        home.detach().await.expect("detached");
        let home = stage.home(later(&stage.lab), "a").await;
        let sandbox = stage.idle(Some(&home)).await;
        stage.sh(&sandbox, "test $(names ~/many | wc -w) -gt 3900; rm -r ~/many; touch ~/new");
        stage.end(&sandbox).await;
        home.detach().await.expect("detached");
        stage.lab.finish().await;
    }
}

#[tokio::test]
async fn an_image_takes_of_the_disk_what_is_in_it() {
    let stage = Stage::new().await;
    let quota = HomeQuota { bytes: 2048 * MIB, inodes: 100_000 };
    let home = stage.homes.attach(later(&stage.lab), &stage.kept("a"), quota).await.expect("attached");
    let image = stage.kept("a.ext4");
    let on_disk = || fs::metadata(&image).expect("an image").blocks() * 512;
    assert!(on_disk() < 16 * MIB, "{}", on_disk());
    let big = on_host(&stage, stage_id(&home_ids(&stage))).join("big");
    fs::write(&big, vec![1; 64 << 20]).expect("written");
    File::open(&big).expect("there").sync_all().expect("synced");
    assert!(on_disk() > 64 * MIB);
    fs::remove_file(&big).expect("removed");
    home.detach().await.expect("detached");
    // the kernel lets go of a busy machine's loop device a moment after it is unmounted
    let end = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while on_disk() >= 32 * MIB && std::time::Instant::now() < end {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(on_disk() < 32 * MIB, "what is deleted is given back: {}", on_disk());
    stage.lab.finish().await;
}

fn home_ids(stage: &Stage) -> Vec<String> {
    let entries = fs::read_dir(stage.lab.settings.work_dir.join("sandboxes")).expect("a directory");
    entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

fn stage_id(ids: &[String]) -> shuyu::ids::SandboxId {
    assert_eq!(ids.len(), 1);
    ids[0].parse().expect("an id")
}

/// Everything that a participant could leave to trouble whoever reads it.
const TREE: &str = r#"
import os, socket
os.chdir(os.environ["HOME"])
os.makedirs("work/.hidden")
open("work/plain.txt", "w").write("plain")
os.chmod("work/plain.txt", 0o4755)
os.link("work/plain.txt", "work/hard")
for name, target in (("near", "work/plain.txt"), ("out", "/etc/shadow"), ("up", "../../../../etc"), ("loop", "loop"), ("proc", "/proc/self/root")):
    os.symlink(target, name)
os.mkfifo("fifo")
socket.socket(socket.AF_UNIX).bind("socket")
with open("sparse", "wb") as file:
    file.seek(150_000_000)
    file.write(b"end")
os.mkdir("many")
for n in range(2000):
    open(f"many/{n:04}", "w").write(str(n))
open("名字 with\nnewline", "w").write("odd")
open(b"\xff\xfe", "w").write("bytes")
for _ in range(120):
    os.mkdir("d" * 60)
    os.chdir("d" * 60)
print("made")
"#;

/// What the program above left, as the sandbox sees it.
const LOOK: &str = r#"
import os
os.chdir(os.environ["HOME"])
print(open("work/plain.txt").read(), oct(os.stat("work/plain.txt").st_mode), os.stat("work/hard").st_ino == os.stat("work/plain.txt").st_ino)
print([os.readlink(name) for name in ("near", "out", "up", "loop", "proc")])
print(os.stat("sparse").st_size, open("sparse", "rb").read()[-3:])
print(sum(int(open(f"many/{n:04}").read()) for n in range(2000)), os.path.isdir("work/.hidden"))
print(open("名字 with\nnewline").read(), open(b"\xff\xfe").read(), os.path.lexists("fifo"), os.path.lexists("socket"))
print({os.lstat(os.path.join(top, name)).st_uid for top, folders, files in os.walk(".") for name in folders + files})
"#;

#[tokio::test]
async fn a_snapshot_comes_back_whole() {
    for kind in [HomeKind::Image, HomeKind::Memory] {
        let stage = Stage::of(kind).await;
        let home = stage.home(later(&stage.lab), "a").await;
        let sandbox = stage.idle(Some(&home)).await;
        assert_eq!(stage.sh(&sandbox, &format!("python3 - <<'END'\n{TREE}\nEND")), "made");
        sandbox.pause().await.expect("paused");

        let tar = tempfile::tempfile().expect("a file");
        let (mut tar, taken) = home.snapshot(tar, SnapshotLimits::default()).await.expect("a snapshot");
        assert_eq!((taken.files, taken.links), (2 + 1 + 2000 + 2, 5));
        // FIFO, socket (which gVisor does not show the host), and the end of the endless path.
        assert!(taken.left_out == if gvisor() { 1 } else { 3 }, "{taken:?}");
        let length = tar.metadata().expect("a length").len();
        assert!(length < 8 * MIB, "{length}: the hole is not in it");
        let few = SnapshotLimits { entries: 500, ..SnapshotLimits::default() };
        let error = home.snapshot(Vec::new(), few).await.expect_err("too many files");
        assert!(matches!(error, SandboxError::Home(HomeError::Entries { limit: 500 })), "{error}");
        assert!(error.to_string().contains("more than 500 files"), "{error}");
        stage.end(&sandbox).await;

        tar.rewind().expect("from the start");
        let again = stage.home(later(&stage.lab), "b").await;
        let restored = again.restore(tar, SnapshotLimits::default()).await.expect("restored");
        let expected = Snapshot { left_out: 0, bytes: restored.bytes, ..taken };
        assert_eq!(restored, expected);
        let used = again.usage().expect("attached").bytes_used;
        assert!(used < 16 * MIB, "{used}: the hole is a hole again");
        let sandbox = stage.idle(Some(&again)).await;
        let seen = stage.sh(&sandbox, &format!("python3 - <<'END'\n{LOOK}\nEND"));
        let lines: Vec<&str> = seen.lines().collect();
        assert_eq!(
            lines,
            [
                "plain 0o100755 True",
                "['work/plain.txt', '/etc/shadow', '../../../../etc', 'loop', '/proc/self/root']",
                "150000003 b'end'",
                "1999000 True",
                "odd bytes False False",
                "{61000}",
            ]
        );
        stage.end(&sandbox).await;
        for home in [home, again] {
            home.detach().await.expect("detached");
        }
        stage.lab.finish().await;
    }
}

#[tokio::test]
async fn the_outbox_is_listed_and_read_from_outside() {
    let stage = Stage::new().await;
    let home = stage.home(later(&stage.lab), "a").await;
    let sandbox = stage.idle(Some(&home)).await;
    stage.sh(&sandbox, "cd ~/outbox; mkdir sub; echo 12345 > a.csv; echo 1 > sub/b.csv; ln -s /etc/shadow link; mkfifo fifo; truncate -s 9G huge || truncate -s 100M huge");
    let limits = OutboxLimits { bytes: 1000, ..OutboxLimits::default() };
    let listing = home.outbox(limits.clone()).await.expect("listed");
    let told: Vec<_> = listing.files.iter().map(|file| (&*file.path, file.fits)).collect();
    assert_eq!(told, [("a.csv", true), ("huge", false), ("sub/b.csv", false)]);
    assert!(listing.bytes > 100 * MIB && !listing.truncated);
    assert_eq!(listing.left_out, if gvisor() { 1 } else { 2 });
    let mut content = String::new();
    let mut file = home.open_in_outbox("a.csv").await.expect("a file");
    file.read_to_string(&mut content).expect("read");
    assert_eq!(content, "12345\n");
    drop(file);
    for path in ["link", "fifo", "sub", "../note", "/etc/passwd"] {
        let error = home.open_in_outbox(path).await.expect_err(path);
        assert!(matches!(error, SandboxError::Home(HomeError::NoFile { .. })), "{error}");
    }
    // Swapped for a link to somewhere else, it is empty, and nothing behind the link is told.
    stage.sh(&sandbox, "rm -r ~/outbox; ln -s /etc ~/outbox");
    assert!(home.outbox(limits).await.expect("listed").files.is_empty());
    assert!(home.open_in_outbox("passwd").await.is_err());
    stage.end(&sandbox).await;
    home.detach().await.expect("detached");
    stage.lab.finish().await;
}

#[tokio::test]
async fn a_home_left_by_a_crash_is_mended() {
    let stage = Stage::new().await;
    let home = stage.home(later(&stage.lab), "a").await;
    let inside = on_host(&stage, stage_id(&home_ids(&stage)));
    fs::write(inside.join("note"), "kept").expect("written");
    File::open(inside.join("note")).expect("there").sync_all().expect("synced");
    // As the disk would be found after the power failed: mounted, and its journal not yet replayed.
    fs::copy(stage.kept("a.ext4"), stage.kept("crashed.ext4")).expect("copied");
    let crashed = stage.home(later(&stage.lab), "crashed").await;
    crashed.detach().await.expect("detached");
    home.detach().await.expect("detached");
    let again = stage.home(later(&stage.lab), "crashed").await;
    let note = on_host(&stage, stage_id(&home_ids(&stage))).join("note");
    assert_eq!(fs::read_to_string(note).expect("there"), "kept");
    again.detach().await.expect("detached");

    // What cannot be mended is said, and not touched.
    let image = File::options().write(true).open(stage.kept("crashed.ext4")).expect("an image");
    image.write_all_at(&[0x5a; 4096], 0).expect("damaged");
    let before = fs::read(stage.kept("crashed.ext4")).expect("read");
    let error =
        stage.homes.attach(later(&stage.lab), &stage.kept("crashed"), QUOTA).await.expect_err("refused");
    assert!(matches!(error, SandboxError::Home(HomeError::Damaged { .. })), "{error}");
    assert!(before == fs::read(stage.kept("crashed.ext4")).expect("read"));
    stage.lab.finish().await;
}

#[tokio::test]
async fn a_home_is_attached_once() {
    for kind in [HomeKind::Image, HomeKind::Memory] {
        let stage = Stage::of(kind).await;
        let id = later(&stage.lab);
        let home = stage.home(id, "a").await;
        assert_eq!(home.kind(), kind);
        for (id, name) in [(later(&stage.lab), "a"), (id, "b")] {
            let error = stage.homes.attach(id, &stage.kept(name), QUOTA).await.expect_err("in use");
            assert!(matches!(error, SandboxError::Home(HomeError::InUse { .. })), "{error}");
        }
        assert!(stage.homes.erase(&stage.kept("a")).await.is_err(), "it is in use");
        let (one, two) = (later(&stage.lab), later(&stage.lab));
        let kept = stage.kept("c");
        let (first, second) =
            tokio::join!(stage.homes.attach(one, &kept, QUOTA), stage.homes.attach(two, &kept, QUOTA));
        assert!(first.is_ok() != second.is_ok(), "at the same time");
        first.or(second).expect("one of them").detach().await.expect("detached");
        home.detach().await.expect("detached");
        home.detach().await.expect("a second time is no error");
        assert!(matches!(home.usage(), Err(SandboxError::Home(HomeError::NotAttached { .. }))));
        stage.homes.erase(&stage.kept("a")).await.expect("erased");
        stage.homes.erase(&stage.kept("c")).await.expect("erased");
        assert_eq!(fs::read_dir(stage.kept(".")).expect("a directory").count(), 0);
        stage.lab.finish().await;
    }
}

#[tokio::test]
async fn more_homes_than_the_machine_has_loop_devices_are_attached_at_once() {
    let stage = Stage::new().await;
    let mut attaching = JoinSet::new();
    for number in 0..24 {
        let (homes, kept, id) = (stage.homes.clone(), stage.kept(&number.to_string()), later(&stage.lab));
        attaching.spawn(async move { homes.attach(id, &kept, QUOTA).await });
    }
    let homes = attaching.join_all().await;
    assert_eq!(stage.lab.loop_devices().len(), 24);
    for home in homes {
        home.expect("attached").detach().await.expect("detached");
    }
    stage.lab.finish().await;
}

#[tokio::test]
async fn a_home_in_memory_becomes_an_image_and_not_the_other_way() {
    let stage = Stage::new().await;
    let (memory, id) = (stage.homes.clone().in_memory(), later(&stage.lab));
    let home = memory.attach(id, &stage.kept("a"), QUOTA).await.expect("attached");
    fs::write(on_host(&stage, id).join("note"), "kept").expect("written");
    // A service that was killed finds it again, and a save in between is whole.
    let found =
        Homes::probe(&stage.lab.settings.work_dir, 0).await.expect("probed").find(id).expect("looked");
    assert_eq!(found.expect("found").kind(), HomeKind::Memory);
    home.save().await.expect("saved");
    assert!(stage.kept("a.tar").exists());
    home.detach().await.expect("detached");
    assert!(stage.homes.find(id).expect("looked").is_none());

    let home = stage.home(id, "a").await;
    assert_eq!(home.kind(), HomeKind::Image);
    assert_eq!(fs::read_to_string(on_host(&stage, id).join("note")).expect("there"), "kept");
    assert!(!stage.kept("a.tar").exists() && stage.kept("a.ext4").exists());
    home.detach().await.expect("detached");
    let error = memory.attach(id, &stage.kept("a"), QUOTA).await.expect_err("it cannot");
    assert!(matches!(error, SandboxError::Home(HomeError::Kind { .. })), "{error}");
    stage.lab.finish().await;
}

#[tokio::test]
async fn a_full_disk_is_said_before_a_home_is_attached() {
    let stage = Stage::new().await;
    let homes = Homes::probe(&stage.lab.settings.work_dir, 1 << 60).await.expect("probed");
    let error = homes.attach(later(&stage.lab), &stage.kept("a"), QUOTA).await.expect_err("no room");
    assert!(matches!(error, SandboxError::Home(HomeError::NoRoom { .. })), "{error}");
    stage.lab.finish().await;
}

#[tokio::test]
async fn a_home_that_changes_makes_no_snapshot() {
    let stage = Stage::new().await;
    let home = stage.home(later(&stage.lab), "a").await;
    let sandbox = stage.idle(Some(&home)).await;
    stage.sh(&sandbox, "head -c 4000000 /dev/urandom > ~/grows; (while true; do head -c 1000 /dev/zero; done >> ~/grows 2>/dev/null &)");
    let error = loop {
        // It may end before the writer comes to it again.
        match home.snapshot(std::io::sink(), SnapshotLimits::default()).await {
            Ok(_) => tokio::time::sleep(Duration::from_millis(1)).await,
            Err(error) => break error,
        }
    };
    assert!(matches!(&error, SandboxError::Home(HomeError::Changed { path }) if path == "grows"), "{error}");
    assert!(error.to_string().contains("pause the sandbox"), "{error}");
    stage.end(&sandbox).await;
    home.detach().await.expect("detached");
    assert!(Path::new(&stage.kept("a.ext4")).exists());
    stage.lab.finish().await;
}
