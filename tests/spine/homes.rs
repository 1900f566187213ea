//! Homes that are copied to the store, restored from it, and removed when their time is over; and
//! sandboxes that are restarted and stopped by the desk. On the real engine, with a real lab inside.

use std::path::PathBuf;

use shuyu::audit::Actor;
use shuyu::contest::entry;
use shuyu::contest::model::ParticipantState;
use shuyu::ids::{SandboxId, UserId};
use shuyu::lab::ask::AskError;
use shuyu::lab::keeper::Keeper;
use shuyu::lab::model::{Home, Sandbox, State, Wanted};
use shuyu::lab::{ask, db, desk, homes};

use super::labs::{answer, keep, offered, open, until_it_is};
use super::world::{Contest, World};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
const NOTE: &str = "what alice wrote, and nobody else may read";

async fn home(world: &World, id: SandboxId) -> Home {
    let mut conn = world.house.db.read().await.unwrap();
    let sandbox = db::by_id(&mut conn, id).await.unwrap().unwrap();
    db::home_by_id(&mut conn, sandbox.home).await.unwrap().unwrap()
}

/// Opens a sandbox and waits until its lab answers.
async fn ready(world: &World, contest: &Contest, user: UserId) -> Sandbox {
    let id = open(world, contest, user).await.unwrap().id;
    until_it_is(world, id, State::Ready).await
}

async fn write(keeper: &Keeper, id: SandboxId) {
    let file = format!(r#"{{"type":"file","format":"text","content":"{NOTE}"}}"#);
    let made = answer(keeper, id, "PUT /api/contents/a.txt", &file).await;
    assert!(made.starts_with("HTTP/1.1 20"), "{made}");
}

async fn read(keeper: &Keeper, id: SandboxId) -> String {
    answer(keeper, id, "GET /api/contents/a.txt", "").await
}

async fn stopped(world: &World, sandbox: &Sandbox) -> Sandbox {
    ask::stop(&world.house, sandbox.id, sandbox.user, Wanted::Stopped).await.unwrap();
    until_it_is(world, sandbox.id, State::Stopped).await
}

/// The files in which this machine keeps homes.
fn kept(world: &World) -> Vec<PathBuf> {
    std::fs::read_dir(world.dir.path().join("homes")).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// Waits for what the keeper does now and then, by ringing for it.
async fn until_looked_after<F: Future<Output = bool>>(
    world: &World,
    what: &str,
    mut condition: impl FnMut() -> F,
) {
    world
        .until(what, || {
            world.house.ring();
            condition()
        })
        .await;
}

#[tokio::test]
async fn a_home_that_was_lost_comes_back_from_its_copy() {
    let world = World::new().await;
    let contest = offered(&world, "lost").await;
    let alice = world.contestant(&contest, "alice").await;
    let (keeper, stop, working) = keep(&world).await;
    let first = ready(&world, &contest, alice).await;
    write(&keeper, first.id).await;
    stopped(&world, &first).await;
    let copies = world.objects("hidden/homes/");
    assert_eq!(copies.len(), 1, "{copies:?}");
    let sealed = std::fs::read(world.settings.data_dir.join("objects").join(&copies[0])).unwrap();
    assert!(!sealed.windows(NOTE.len()).any(|part| part == NOTE.as_bytes()), "sealed at rest");
    let copied_at = home(&world, first.id).await.snapshot.unwrap().1;

    world.clock.shift(5_000);
    for file in kept(&world) {
        std::fs::remove_file(file).unwrap();
    }
    let second = ready(&world, &contest, alice).await;
    assert_eq!(second.restored_from, Some(copied_at));
    assert!(read(&keeper, second.id).await.contains(NOTE));
    // a copy on demand takes the place of the one before, once that is some minutes old; the lab goes on
    let at_once = homes::ask_copy(&world.house, second.id, alice).await;
    assert!(matches!(at_once, Err(AskError::Copied(at)) if at == copied_at), "{at_once:?}");
    world.clock.shift(300_000);
    homes::ask_copy(&world.house, second.id, alice).await.unwrap();
    world
        .until("a new copy", || async {
            home(&world, second.id).await.snapshot.is_some_and(|(_, at)| at > copied_at)
        })
        .await;
    world.until("the old copy is gone", || async { world.objects("hidden/homes/").len() == 1 }).await;
    assert_ne!(world.objects("hidden/homes/"), copies);
    world.until("it goes on", || async { !keeper.is_being_copied(second.id) }).await;
    assert!(read(&keeper, second.id).await.contains(NOTE));

    // a store that fails keeps no sandbox from stopping, and the copy there was stays
    let before = home(&world, second.id).await.snapshot.unwrap().0;
    let folder = world.settings.data_dir.join("objects").join(&before).parent().unwrap().to_owned();
    let aside = folder.with_extension("aside");
    std::fs::rename(&folder, &aside).unwrap();
    std::fs::write(&folder, "in the way").unwrap();
    stopped(&world, &second).await;
    let after = home(&world, second.id).await;
    assert_eq!((after.copy_problem.as_str(), &after.snapshot.unwrap().0), ("store", &before));
    std::fs::remove_file(&folder).unwrap();
    std::fs::rename(&aside, &folder).unwrap();
    let third = ready(&world, &contest, alice).await;
    assert_eq!(third.restored_from, None, "the files here are newer");
    stopped(&world, &third).await;
    assert_eq!(home(&world, third.id).await.copy_problem, "");

    // a worker that is lost gives its homes to whoever is there
    let mut tx = world.house.db.begin().await.unwrap();
    db::set_home_host(&mut tx, third.home, Some("lost")).await.unwrap();
    tx.commit().await.unwrap();
    let fourth = ready(&world, &contest, alice).await;
    assert!(fourth.restored_from.is_some());
    assert!(read(&keeper, fourth.id).await.contains(NOTE));
    // emptied at last: neither the file nor its copy is left
    ask::stop(&world.house, fourth.id, alice, Wanted::Reset).await.unwrap();
    until_it_is(&world, fourth.id, State::Stopped).await;
    world.until("nothing is left", || async { world.objects("hidden/homes/").is_empty() }).await;
    assert_eq!(kept(&world), Vec::<PathBuf>::new());
    stop.cancel();
    working.await.unwrap();
    assert!(world.containers(&world.settings).is_empty());
}

#[tokio::test]
async fn a_restart_keeps_place_and_files_and_the_desk_stops_all() {
    let mut world = World::new().await;
    world.settings.sandboxes.places = 1;
    let contest = offered(&world, "again").await;
    let alice = world.contestant(&contest, "alice").await;
    let bob = world.contestant(&contest, "bob").await;
    let (keeper, stop, working) = keep(&world).await;
    let first = ready(&world, &contest, alice).await;
    write(&keeper, first.id).await;
    let waits = open(&world, &contest, bob).await.unwrap();
    let organizer = Actor::User(contest.organizer);
    let competition = contest.competition.id;
    desk::tell(&world.house, competition, None, organizer, "at six").await.unwrap();
    let look = keeper.look(first.id).unwrap();
    assert!(look.memory > 0 && look.memory < look.memory_limit && look.processes > 0, "{look:?}");
    assert!(look.home.unwrap().bytes_used < look.home.unwrap().bytes, "{look:?}");
    world.until("its pulse is felt", || async { keeper.look(first.id).unwrap().cpus.is_some() }).await;

    ask::stop(&world.house, first.id, alice, Wanted::Restart).await.unwrap();
    assert_eq!(until_it_is(&world, first.id, State::Stopped).await.reason, "restart");
    let newest = async || {
        let mut conn = world.house.db.read().await.unwrap();
        db::latest(&mut conn, competition, alice).await.unwrap().unwrap()
    };
    world.until("it has come again", || async { newest().await.state == State::Ready }).await;
    let again = newest().await;
    assert_ne!(again.id, first.id);
    assert_eq!((again.deadline_at, again.message.as_str()), (first.deadline_at, "at six"));
    assert!(read(&keeper, again.id).await.contains(NOTE));
    let his = db::by_id(&mut world.house.db.read().await.unwrap(), waits.id).await.unwrap().unwrap();
    assert_eq!((his.state, his.message.as_str()), (State::Waiting, "at six"), "he waits still");

    let (_, log) =
        desk::read_log(&world.house, Some(&keeper), (competition, again.id), organizer).await.unwrap();
    assert!(log.unwrap().contains("Jupyter"), "the lab's own output");
    assert_eq!(desk::dismiss(&world.house, competition, None, organizer, "enough").await.unwrap(), 2);
    // their wish to go on does not undo it
    let undone = open(&world, &contest, alice).await;
    assert!(undone.is_err() || undone.unwrap().id != again.id);
    let over = until_it_is(&world, again.id, State::Stopped).await;
    assert_eq!((over.reason.as_str(), over.said.as_str()), ("organizer", "enough"));
    assert_eq!(until_it_is(&world, waits.id, State::Stopped).await.reason, "organizer");
    stop.cancel();
    working.await.unwrap();
}

#[tokio::test]
async fn homes_are_kept_for_so_many_days_after_the_end_or_a_removal() {
    let mut world = World::large().await;
    world.settings.sandboxes.keep_homes_days = 10;
    let contest = offered(&world, "ends").await;
    let (alice, bob) = (world.contestant(&contest, "alice").await, world.contestant(&contest, "bob").await);
    let (_keeper, stop, working) = keep(&world).await;
    let (hers, his) = (ready(&world, &contest, alice).await, ready(&world, &contest, bob).await);
    stopped(&world, &hers).await;
    stopped(&world, &his).await;
    assert_eq!((kept(&world).len(), world.objects("hidden/homes/").len()), (2, 2));

    let before = world.clock.now().as_millisecond();
    let mut tx = world.house.db.begin().await.unwrap();
    let (competition, removed) = (&contest.competition, ParticipantState::Removed);
    entry::decide(&mut tx, &world.clock, competition, contest.organizer, bob, removed, "r").await.unwrap();
    tx.commit().await.unwrap();
    let about = (competition.id, bob);
    let until = homes::until(&mut world.house.db.read().await.unwrap(), about, None, 10).await.unwrap();
    let dismissed = until.unwrap().as_millisecond() - 10 * DAY;
    assert!((before..=world.clock.now().as_millisecond()).contains(&dismissed));
    world.clock.shift(10 * DAY);
    until_looked_after(&world, "his home is gone", || async {
        kept(&world).len() == 1 && world.objects("hidden/homes/").len() == 1
    })
    .await;
    assert_eq!(kept(&world)[0].file_stem().unwrap().to_str().unwrap(), hers.home.to_string());
    assert_eq!(world.number("SELECT COUNT(*) FROM audit_log WHERE action = 'home.removed'").await, 1);

    let end = contest.phases.last().unwrap().ends_at.unwrap();
    world.clock.shift(end.as_millisecond() + 10 * DAY - HOUR - world.clock.millis());
    assert_eq!(homes::remove_due(&world.house, 10).await.unwrap(), 0, "not yet");
    world.clock.shift(HOUR);
    until_looked_after(&world, "her home is gone", || async {
        kept(&world).is_empty() && world.objects("hidden/homes/").is_empty()
    })
    .await;
    assert_eq!(world.number("SELECT COUNT(*) FROM homes WHERE removed_at IS NULL").await, 0);
    stop.cancel();
    working.await.unwrap();
}
