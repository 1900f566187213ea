//! Importing, importing again, and exporting.

use shuyu::audit::Actor;
use shuyu::contest::{export, import};
use shuyu::submission::model::State;

use super::bundles::{closed, native, predictions};
use super::world::World;

#[tokio::test]
async fn importing_again_changes_nothing_or_says_what() {
    let world = World::new().await;
    let carrier = world.carrier().await;
    let contest = world.import("again", &native()).await;
    let alice = world.contestant(&contest, "alice").await;
    let id = world.submit(&contest, alice, "a.csv", &predictions(5)).await;
    world.run_all(&carrier).await;

    let (same, imported) = world.reimport("again", &native(), contest.organizer).await;
    assert!(!imported.created && imported.changes.is_empty() && imported.files.is_empty());
    assert_eq!(same.competition.revision, 1);

    let changed = native().edit("title: Small", "title: Smaller").file("page.md", "# Another");
    let (now, imported) = world.reimport("again", &changed, contest.organizer).await;
    assert!(!imported.created);
    assert_eq!(now.competition.revision, 2);
    assert_eq!(imported.files, ["page.md"]);
    let [change] = &imported.changes[..] else { panic!("{:?}", imported.changes) };
    assert!(change.path.contains("title"), "{change:?}");
    assert_eq!(change.new, Some("Smaller".into()));
    // what was there stays: submissions, board, ids
    assert_eq!(now.phases[0].id, contest.phases[0].id);
    assert_eq!(world.submission(id).await.state, State::Finished);
    assert_eq!(world.standing(&now, 0).await, [id]);
}

#[tokio::test]
async fn an_exported_bundle_imports_to_the_same_competition() {
    let world = World::new().await;
    let carrier = world.carrier().await;
    let contest = world.import("original", &closed()).await;
    // the organizer moved the phase's end on the desk
    let mut tx = world.house.db.begin().await.unwrap();
    let mut moved = contest.phases[0].clone();
    moved.ends_at = Some("2041-02-03T04:05:06Z".parse().unwrap());
    shuyu::contest::db::save_phase(&mut tx, &moved).await.unwrap();
    tx.commit().await.unwrap();

    let target = world.dir.path().join("out.zip");
    export::export(&world.house, "original", Actor::Operator, &target).await.unwrap();
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&target).unwrap().permissions());
    assert_eq!(mode & 0o077, 0, "the hidden data in it is nobody else's");
    export::export(&world.house, "original", Actor::Operator, &target)
        .await
        .expect_err("a target that exists is not replaced");

    let bundle = world.bundle_at(&target);
    let packed = tempfile::tempdir_in(world.dir.path()).unwrap();
    import::import(&world.house, &bundle, "copy", contest.organizer, packed.path()).await.unwrap();
    let copy = world.contest("copy", contest.organizer).await;
    let mut expected = contest.competition.definition.clone();
    expected.phases[0].end = moved.ends_at;
    assert_eq!(copy.competition.definition, expected);
    assert_eq!(copy.phases[0].ends_at, moved.ends_at);
    // and it scores the same
    let alice = world.contestant(&copy, "alice").await;
    let id = world.submit(&copy, alice, "a.csv", &predictions(5)).await;
    world.run_all(&carrier).await;
    assert_eq!(world.scores(&copy, id).await["accuracy"], 0.714_286);
    let left: Vec<_> = std::fs::read_dir("/dev/shm")
        .unwrap()
        .flatten()
        .filter(|e| e.file_name().to_string_lossy().starts_with("shuyu-export-"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn publishing_survives_importing_again_and_the_other_way_round() {
    let world = World::new().await;
    let contest = world.import("meanwhile", &native()).await;
    import::publish(&world.house, "meanwhile", None).await.unwrap();
    let changed = native().edit("title: Small", "title: Smaller");
    let (now, _) = world.reimport("meanwhile", &changed, contest.organizer).await;
    assert!(now.competition.published_at.is_some());
    let twice = import::publish(&world.house, "meanwhile", None).await.unwrap();
    assert_eq!(twice.published_at, now.competition.published_at);
    assert_eq!(twice.definition.title, "Smaller");
}
