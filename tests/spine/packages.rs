//! Extra packages: found in their owner's lab and in the runs of what they hand in, the organizer's in
//! everybody's; and a participant's nowhere else, least of all where scores are made.

use std::process::Command;

use shuyu::audit::Actor;
use shuyu::contest::packages::{self, Package, PackageError, PackageSet, WheelError};
use shuyu::ids::{SubmissionId, UserId};
use shuyu::lab::ask;
use shuyu::lab::model::{State as Stands, Wanted};
use shuyu::submission::worker::Worker;
use shuyu::submission::{queue, rescore};
use tokio_util::sync::CancellationToken;

use super::bundles::{Folder, native, programmed, zipped};
use super::labs::{keep, open, until_it_is};
use super::support::wheels::wheel;
use super::world::{Contest, World};

/// As many predictions right as the imports that worked say: four for `mine`, two for `common`, and one.
const PROGRAM: &str = "
import sys
right = 1
for name, worth in (('mine', 4), ('common', 2)):
    try:
        right += worth if __import__(name).word == name else -99
    except ImportError as error:
        print(error)
rows = ''.join(f'{i},{i % 2 if i < right else 1 - i % 2}\\n' for i in range(7))
open(sys.argv[2] + '/predictions.csv', 'w').write('id,label\\n' + rows)
";
/// A scorer that says what it finds.
const SCORER: &str = "
import json, sys
points = 0
for name, worth in (('mine', 10), ('common', 1)):
    try:
        points += worth if __import__(name).word == name else 0
    except ImportError:
        pass
json.dump({'points': points}, open(sys.argv[2] + '/scores.json', 'w'))
";

async fn try_add(
    world: &World,
    contest: &Contest,
    whose: Option<UserId>,
    (name, bytes): &(String, Vec<u8>),
) -> Result<Package, PackageError> {
    let by = Actor::User(whose.unwrap_or(contest.organizer));
    packages::add(&world.house, &contest.competition, whose, by, name, bytes.as_slice()).await
}

/// Adds a package with one module that knows its own name.
async fn add(world: &World, contest: &Contest, whose: Option<UserId>, name: &str) -> Package {
    let module = (&*format!("{name}/__init__.py"), &*format!("word = '{name}'\n"));
    try_add(world, contest, whose, &wheel(name, "1.0", &[module])).await.unwrap()
}

async fn remove(world: &World, contest: &Contest, whose: Option<UserId>, package: &Package) {
    let by = Actor::User(whose.unwrap_or(contest.organizer));
    packages::remove(&world.house, contest.competition.id, whose, package.id, by).await.unwrap();
}

/// Of seven predictions, how many are right.
async fn right(world: &World, contest: &Contest, id: SubmissionId) -> i64 {
    (world.scores(contest, id).await["accuracy"] * 7.0).round() as i64
}

fn with_labs(folder: &Folder) -> Folder {
    folder.clone().edit("shuyu:", "shuyu:\n  sandbox: {image: python, session: 2h}")
}

#[tokio::test]
async fn a_run_finds_what_was_there_when_its_program_was_handed_in() {
    let world = World::large().await;
    let contest = world.import("frozen", &native()).await;
    let (alice, bob) = (world.contestant(&contest, "alice").await, world.contestant(&contest, "bob").await);
    let before = world.submit(&contest, alice, "main.py", PROGRAM.as_bytes()).await;
    let common = add(&world, &contest, None, "common").await;
    let mine = add(&world, &contest, Some(alice), "mine").await;
    let hers = world.submit(&contest, alice, "main.py", PROGRAM.as_bytes()).await;
    let his = world.submit(&contest, bob, "main.py", PROGRAM.as_bytes()).await;
    // what is removed before the run stays for what was handed in with it
    remove(&world, &contest, None, &common).await;
    remove(&world, &contest, Some(alice), &mine).await;
    let after = world.submit(&contest, alice, "main.py", PROGRAM.as_bytes()).await;
    let carrier = world.carrier().await;
    world.run_all(&carrier).await;
    let all = [before, hers, his, after];
    let mut found = Vec::new();
    for id in all {
        found.push(right(&world, &contest, id).await);
    }
    assert_eq!(found, [1, 7, 3, 1], "neither, both, the organizer's, neither");
    // again from the store, as on another worker
    std::fs::remove_dir_all(carrier.packages.sets()).unwrap();
    std::fs::create_dir(carrier.packages.sets()).unwrap();
    let laid = carrier.packages.wheels().join(&mine.digest).join("mine/__init__.py");
    std::fs::remove_dir_all(carrier.packages.wheels().join(&mine.digest)).unwrap();
    let wanted = rescore::Wanted { phase: None, team: None, reason: "again", priority: queue::NORMAL };
    rescore::begin(&world.house, &contest.competition, contest.organizer, &wanted).await.unwrap();
    assert_eq!(world.run_all(&carrier).await, 4);
    assert_eq!(right(&world, &contest, hers).await, 7);
    assert!(laid.exists(), "unpacked again");
    // nobody was handed in with it: it goes with its object
    let unused = add(&world, &contest, Some(bob), "unused").await;
    assert_eq!(world.objects("packages/").len(), 3);
    remove(&world, &contest, Some(bob), &unused).await;
    assert_eq!(world.objects("packages/").len(), 2);
    assert_eq!(world.number("SELECT COUNT(*) FROM audit_log WHERE action = 'package.added'").await, 3);
    assert_eq!(world.number("SELECT COUNT(*) FROM audit_log WHERE action = 'package.removed'").await, 3);
    world.assert_clean(&world.settings);
}

#[tokio::test]
async fn a_scorer_finds_the_organizers_packages_and_none_of_a_participants() {
    let world = World::new().await;
    let contest = world.import("scorer", &programmed(SCORER)).await;
    let alice = world.contestant(&contest, "alice").await;
    add(&world, &contest, Some(alice), "mine").await;
    let handed_in = zipped(&[("out.json", b"{}")]);
    let bare = world.submit(&contest, alice, "result.zip", &handed_in).await;
    let carrier = world.carrier().await;
    world.run_all(&carrier).await;
    assert_eq!(world.scores(&contest, bare).await["points"], 0.0);
    // the scorer's own are there at once, whenever something was handed in
    let waiting = world.submit(&contest, alice, "result.zip", &handed_in).await;
    add(&world, &contest, None, "common").await;
    world.run_all(&carrier).await;
    assert_eq!(world.scores(&contest, waiting).await["points"], 1.0);
}

#[tokio::test]
async fn a_container_that_waited_finds_them_too() {
    let world = World::new().await;
    let contest = world.import("waited", &native()).await;
    let alice = world.contestant(&contest, "alice").await;
    add(&world, &contest, None, "common").await;
    add(&world, &contest, Some(alice), "mine").await;
    let carrier = world.carrier().await;
    let engine = carrier.engine.clone();
    let stop = CancellationToken::new();
    let working = tokio::spawn(Worker::new(carrier, "test", 1).keeping_warm(1).work(stop.clone()));
    let first = world.submit(&contest, alice, "main.py", PROGRAM.as_bytes()).await;
    world.over(first).await;
    world.until("a container waits", || async { engine.waiting_warm() > 0 }).await;
    let second = world.submit(&contest, alice, "main.py", PROGRAM.as_bytes()).await;
    world.over(second).await;
    assert_eq!([right(&world, &contest, first).await, right(&world, &contest, second).await], [7, 7]);
    stop.cancel();
    working.await.unwrap();
    world.assert_clean(&world.settings);
}

/// What Python says in the one lab that is open.
async fn says(world: &World, code: &str) -> String {
    let container = world.containers(&world.settings).pop().expect("a lab");
    let code = code.to_owned();
    let run = move || Command::new("docker").args(["exec", &container, "python3", "-c", &code]).output();
    let done = tokio::task::spawn_blocking(run).await.unwrap().unwrap();
    String::from_utf8([done.stdout, done.stderr].concat()).unwrap()
}

/// What Python says in somebody's lab, which is opened for it and stopped again.
async fn in_lab_of(world: &World, contest: &Contest, user: UserId, code: &str) -> String {
    let id = open(world, contest, user).await.unwrap().id;
    until_it_is(world, id, Stands::Ready).await;
    let said = says(world, code).await;
    ask::stop(&world.house, id, user, Wanted::Stopped).await.unwrap();
    until_it_is(world, id, Stands::Stopped).await;
    said
}

#[tokio::test]
async fn a_lab_finds_its_owners_and_the_organizers_and_cannot_change_them() {
    let world = World::new().await;
    let contest = world.import("labs", &with_labs(&native())).await;
    let (alice, bob) = (world.contestant(&contest, "alice").await, world.contestant(&contest, "bob").await);
    add(&world, &contest, None, "common").await;
    add(&world, &contest, Some(alice), "mine").await;
    // the image's own come first: what a package brings under their names is never imported
    let shadow = wheel("shadow", "1.0", &[("json.py", "word = 'shadow'"), ("numpy.py", "word = 'shadow'")]);
    try_add(&world, &contest, Some(alice), &shadow).await.unwrap();
    let (_keeper, stop, working) = keep(&world).await;
    let code = "import common, mine, json, numpy\nprint(common.__file__, mine.word, hasattr(json, 'word'), hasattr(numpy, 'word'))\n\
                import os\nprint(sorted(os.listdir('/submit')), 'common 1.0' in open('/submit/README.md').read())\n\
                open('/packages/mine/__init__.py', 'w')";
    let hers = in_lab_of(&world, &contest, alice, code).await;
    assert!(hers.starts_with("/packages/common/__init__.py mine False False\n"), "{hers}");
    assert!(hers.contains("True\n") && hers.contains("Read-only file system"), "{hers}");
    let code = "import common, os\nprint(common.word, sorted(os.listdir('/packages')))\nimport mine";
    let his = in_lab_of(&world, &contest, bob, code).await;
    assert!(his.starts_with("common ['common', 'common-1.0.dist-info']\n"), "{his}");
    assert!(his.contains("No module named 'mine'"), "{his}");
    stop.cancel();
    working.await.unwrap();
    world.assert_clean(&world.settings);
}

#[tokio::test]
async fn what_is_refused_leaves_nothing_behind() {
    let world = World::large().await;
    let contest = world.import("refused", &native()).await;
    let alice = world.contestant(&contest, "alice").await;
    let whose = Some(alice);
    add(&world, &contest, None, "common").await;
    let mine = add(&world, &contest, whose, "mine").await;
    let module = ("common/extra.py", "");
    let refused = async |made: (String, Vec<u8>)| try_add(&world, &contest, whose, &made).await.unwrap_err();
    let again = refused(wheel("Mine", "2.0", &[])).await;
    assert!(
        matches!(&again, PackageError::NameTaken { name, version } if name == "mine" && version == "1.0"),
        "{again}"
    );
    let clash = refused(wheel("other", "1.0", &[("common/__init__.py", "")])).await;
    assert!(
        matches!(&clash, PackageError::Clash { file, name } if file == "common/__init__.py" && name == "common"),
        "{clash}"
    );
    let (name, bytes) = wheel("fine", "1.0", &[module]);
    let renamed = refused((name.replace("fine", "evil"), bytes.clone())).await;
    assert!(matches!(renamed, PackageError::Wheel(WheelError::Mismatch { .. })), "{renamed}");
    let cut = refused((name.clone(), bytes[..bytes.len() / 2].to_vec())).await;
    assert!(matches!(cut, PackageError::Wheel(WheelError::Archive(_))), "{cut}");
    let path_file = refused(wheel("evil", "1.0", &[("evil.pth", "import os")])).await;
    assert!(matches!(path_file, PackageError::Wheel(WheelError::AtStart { .. })), "{path_file}");
    let large = refused(wheel("zeros", "1.0", &[("zeros", &"0".repeat(80 << 20))])).await;
    assert!(matches!(large, PackageError::Wheel(WheelError::Archive(_))), "{large}");
    assert_eq!(world.objects("packages/").len(), 2, "of those refused nothing is kept");
    assert_eq!(world.number("SELECT COUNT(*) FROM packages").await, 2);

    // a directory may be shared; what is another's cannot be removed
    try_add(&world, &contest, whose, &(name, bytes)).await.unwrap();
    let bob = world.contestant(&contest, "bob").await;
    let not_his =
        packages::remove(&world.house, contest.competition.id, Some(bob), mine.id, Actor::User(bob)).await;
    assert!(matches!(not_his, Err(PackageError::Gone)), "{not_his:?}");
    // the organizer's come before those that are there: these are left out and said to be
    let theirs =
        try_add(&world, &contest, None, &wheel("theirs", "1.0", &[("mine/__init__.py", "")])).await.unwrap();
    let left_out = async || packages::left_out(&world.house, contest.competition.id, alice).await.unwrap();
    assert_eq!(left_out().await, [mine.id]);
    // what was found out is kept, for as long as the organizer's are the same
    assert_eq!(world.number("SELECT COUNT(*) FROM packages WHERE judged <> ''").await, 2);
    assert_eq!(world.number("SELECT COUNT(*) FROM packages WHERE left_out = 1").await, 1);
    assert_eq!(left_out().await, [mine.id]);
    remove(&world, &contest, None, &theirs).await;
    assert_eq!(left_out().await, []);
    // as many as there may be, whoever comes at the same time
    for n in 0..packages::PACKAGES - 3 {
        add(&world, &contest, whose, &format!("p{n}")).await;
    }
    let (one, two) = (wheel("one", "1", &[]), wheel("two", "1", &[]));
    let both = tokio::join!(try_add(&world, &contest, whose, &one), try_add(&world, &contest, whose, &two),);
    let errors: Vec<_> = [both.0, both.1].into_iter().filter_map(Result::err).collect();
    assert!(matches!(errors[..], [PackageError::TooMany]), "{errors:?}");
}

#[tokio::test]
async fn two_that_need_a_wheel_for_the_first_time_both_get_it_whatever_a_crash_left() {
    let world = World::new().await;
    let contest = world.import("together", &native()).await;
    let common = add(&world, &contest, None, "common").await;
    let carrier = world.carrier().await;
    let wheels = carrier.packages.wheels().to_owned();
    // what was being filled when the service was killed
    std::fs::write(wheels.join(format!("{}.whl", common.digest)), "half a wheel").unwrap();
    std::fs::create_dir(wheels.join(format!("{}.0123456789abcdef", common.digest))).unwrap();
    let set = PackageSet::now(&mut world.house.db.read().await.unwrap(), contest.competition.id, None).await;
    let set = set.unwrap();
    let cache = &carrier.packages;
    let both = tokio::join!(cache.lay_out(&world.house, &set), cache.lay_out(&world.house, &set));
    for laid in [both.0, both.1] {
        assert!(laid.unwrap().unwrap().join("common/__init__.py").is_file());
    }
    world.carrier().await;
    let left: Vec<_> = std::fs::read_dir(&wheels).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, [common.digest.as_str()], "the next start clears away what was left");
}

/// What is handed in while one of its packages is being removed has it, whoever is quicker.
async fn removed_while_it_is_frozen(world: World) {
    let contest = world.import("race", &native()).await;
    let alice = world.contestant(&contest, "alice").await;
    let id = world.submit(&contest, alice, "main.py", PROGRAM.as_bytes()).await;
    let common = add(&world, &contest, None, "common").await;
    let db = &world.house.db;
    let mut handing_in = db.begin().await.unwrap();
    let whose = (contest.competition.id, alice);
    packages::freeze(&mut handing_in, db.engine(), whose, id, None).await.unwrap();
    let removing = tokio::spawn({
        let (house, competition, by) = (world.house.clone(), contest.competition.id, contest.organizer);
        async move { packages::remove(&house, competition, None, common.id, Actor::User(by)).await }
    });
    if world.is_large() {
        let waits = "SELECT COUNT(*) FROM pg_locks WHERE NOT granted";
        world
            .until("it waits, or is done", || async {
                removing.is_finished() || world.number(waits).await > 0
            })
            .await;
    }
    handing_in.commit().await.unwrap();
    removing.await.unwrap().unwrap();
    assert_eq!(world.objects("packages/").len(), 1, "it is needed");
    let set = PackageSet::frozen(&mut db.read().await.unwrap(), id).await.unwrap();
    assert_eq!(set.shared.iter().map(|package| package.id).collect::<Vec<_>>(), [common.id]);
    assert_eq!(world.number("SELECT COUNT(*) FROM packages WHERE files <> ''").await, 0, "its paths are not");
    // nothing was handed in with this one: nothing of it stays
    let unused = add(&world, &contest, None, "unused").await;
    remove(&world, &contest, None, &unused).await;
    assert_eq!(world.number("SELECT COUNT(*) FROM packages").await, 1);
}

#[tokio::test]
async fn what_is_being_handed_in_keeps_its_packages_on_sqlite() {
    removed_while_it_is_frozen(World::new().await).await;
}

#[tokio::test]
async fn what_is_being_handed_in_keeps_its_packages_on_postgresql() {
    removed_while_it_is_frozen(World::large().await).await;
}
