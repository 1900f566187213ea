//! What becomes of sandboxes that nobody uses, that are asked for two things at once, or that somebody has
//! left half begun. On the real engine, with a real lab inside.

use shuyu::audit::Actor;
use shuyu::ids::{SandboxId, UserId};
use shuyu::lab::db::{self, Change};
use shuyu::lab::keeper::{Keeper, LAB_PORT, ReachError};
use shuyu::lab::model::{Sandbox, State, Wanted};
use shuyu::lab::{ask, desk, homes};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::labs::{keep, offered, open, until_it_is};
use super::world::{Contest, World};

const MINUTE: i64 = 60_000;
/// Longer than a sandbox goes on unused.
const IDLE: i64 = 31 * MINUTE;

async fn ready(world: &World, contest: &Contest, user: UserId) -> Sandbox {
    let id = open(world, contest, user).await.unwrap().id;
    until_it_is(world, id, State::Ready).await
}

async fn newest(world: &World, contest: &Contest, user: UserId) -> Sandbox {
    let mut conn = world.house.db.read().await.unwrap();
    db::latest(&mut conn, contest.competition.id, user).await.unwrap().unwrap()
}

async fn until_another_is_ready(world: &World, contest: &Contest, before: &Sandbox) -> Sandbox {
    let now = async || newest(world, contest, before.user).await;
    world
        .until("it comes again", || async {
            let now = now().await;
            now.id != before.id && now.state == State::Ready
        })
        .await;
    now().await
}

async fn paused(world: &World, id: SandboxId) -> Sandbox {
    world.clock.shift(IDLE);
    until_it_is(world, id, State::Paused).await
}

#[tokio::test]
async fn only_a_person_has_a_paused_sandbox_go_on() {
    let world = World::new().await;
    let contest = offered(&world, "unused").await;
    let alice = world.contestant(&contest, "alice").await;
    let (keeper, stop, working) = keep(&world).await;
    let id = ready(&world, &contest, alice).await.id;
    // what an open page asks by itself is answered while the sandbox runs, and keeps nothing awake
    keeper.dial_quietly(id, LAB_PORT).await.unwrap();
    paused(&world, id).await;
    let asked = keeper.dial_quietly(id, LAB_PORT).await.err();
    assert!(matches!(asked, Some(ReachError::Resting)), "{asked:?}");
    until_it_is(&world, id, State::Paused).await;
    // somebody goes to the lab's page
    keeper.dial(id, LAB_PORT).await.unwrap();
    until_it_is(&world, id, State::Ready).await;
    keeper.dial_quietly(id, LAB_PORT).await.unwrap();
    // presses Go on above the lab
    paused(&world, id).await;
    keeper.wake(id).await.unwrap();
    until_it_is(&world, id, State::Ready).await;
    // or types into a terminal that had stayed open
    paused(&world, id).await;
    world.clock.shift(1);
    keeper.way_in(id).unwrap().gauge.active(world.clock.now());
    until_it_is(&world, id, State::Ready).await;
    end(stop, working).await;
}

#[tokio::test]
async fn what_was_shown_counts_on_in_the_next_sandbox() {
    let world = World::new().await;
    let contest = offered(&world, "shown").await;
    let alice = world.contestant(&contest, "alice").await;
    let (keeper, stop, working) = keep(&world).await;
    let shown = |keeper: &Keeper, id| keeper.way_in(id).unwrap().gauge.shown();
    let first = ready(&world, &contest, alice).await;
    keeper.way_in(first.id).unwrap().gauge.show(1_000_000, world.clock.now()).unwrap();
    ask::stop(&world.house, first.id, alice, Wanted::Restart).await.unwrap();
    let second = until_another_is_ready(&world, &contest, &first).await;
    assert_eq!(shown(&keeper, second.id), 1_000_000);
    keeper.way_in(second.id).unwrap().gauge.show(10, world.clock.now()).unwrap();
    ask::stop(&world.house, second.id, alice, Wanted::Stopped).await.unwrap();
    assert_eq!(until_it_is(&world, second.id, State::Stopped).await.used.shown_bytes, 10, "its own alone");
    let third = ready(&world, &contest, alice).await;
    assert_eq!(shown(&keeper, third.id), 1_000_010);
    ask::stop(&world.house, third.id, alice, Wanted::Stopped).await.unwrap();
    until_it_is(&world, third.id, State::Stopped).await;
    // the length of a session later it begins anew
    world.clock.shift(121 * MINUTE);
    let fourth = ready(&world, &contest, alice).await;
    assert_eq!(shown(&keeper, fourth.id), 0);
    end(stop, working).await;
}

#[tokio::test]
async fn what_is_asked_last_is_done() {
    let world = World::new().await;
    let contest = offered(&world, "twice").await;
    let alice = world.contestant(&contest, "alice").await;
    let (_keeper, stop, working) = keep(&world).await;
    let first = ready(&world, &contest, alice).await;
    // on its way out to come again, when the organizer stops it
    ask::stop(&world.house, first.id, alice, Wanted::Restart).await.unwrap();
    until_it_is(&world, first.id, State::Stopping).await;
    let (competition, by) = (contest.competition.id, Actor::User(contest.organizer));
    assert_eq!(desk::dismiss(&world.house, competition, None, by, "enough").await.unwrap(), 1);
    assert_eq!(until_it_is(&world, first.id, State::Stopped).await.reason, "organizer");
    assert_eq!(newest(&world, &contest, alice).await.id, first.id, "nothing comes in its place");
    // on its way out, when its owner wants the files gone, too
    let second = ready(&world, &contest, alice).await;
    ask::stop(&world.house, second.id, alice, Wanted::Stopped).await.unwrap();
    until_it_is(&world, second.id, State::Stopping).await;
    ask::stop(&world.house, second.id, alice, Wanted::Reset).await.unwrap();
    assert_eq!(until_it_is(&world, second.id, State::Stopped).await.reason, "reset");
    let mut conn = world.house.db.read().await.unwrap();
    assert!(db::home_of(&mut conn, competition, alice).await.unwrap().is_none());
    drop(conn);
    end(stop, working).await;
    // one that waits, with files from before
    let third = open(&world, &contest, alice).await.unwrap();
    ask::stop(&world.house, third.id, alice, Wanted::Reset).await.unwrap();
    let mut conn = world.house.db.read().await.unwrap();
    assert!(db::home_of(&mut conn, competition, alice).await.unwrap().is_none());
}

#[tokio::test]
async fn what_nobody_is_about_any_more_is_settled_while_the_service_runs() {
    let world = World::new().await;
    let contest = offered(&world, "left").await;
    let (anna, berta) = (world.contestant(&contest, "anna").await, world.contestant(&contest, "berta").await);
    let (_keeper, stop, working) = keep(&world).await;
    let (begun, ending) = (ready(&world, &contest, anna).await, ready(&world, &contest, berta).await);
    // as a task leaves them whose last writing the database refused
    let mut tx = world.house.db.begin().await.unwrap();
    for (sandbox, from, to) in
        [(&begun, State::Ready, State::Starting), (&ending, State::Ready, State::Stopping)]
    {
        let change = Change { from, to, host: None, deadline_at: None, reason: "stopped" };
        assert!(db::change(&mut tx, sandbox.id, &change, world.clock.now()).await.unwrap());
    }
    tx.commit().await.unwrap();
    until_it_is(&world, begun.id, State::Ready).await;
    assert_eq!(until_it_is(&world, ending.id, State::Stopped).await.reason, "stopped");
    end(stop, working).await;
}

#[tokio::test]
async fn a_home_that_is_lost_without_a_copy_is_not_replaced_in_silence() {
    let world = World::new().await;
    let contest = offered(&world, "gone").await;
    let alice = world.contestant(&contest, "alice").await;
    let (_keeper, stop, working) = keep(&world).await;
    let first = ready(&world, &contest, alice).await;
    ask::stop(&world.house, first.id, alice, Wanted::Stopped).await.unwrap();
    until_it_is(&world, first.id, State::Stopped).await;
    let mut tx = world.house.db.begin().await.unwrap();
    sqlx::query("UPDATE homes SET snapshot_key = NULL, snapshot_at = NULL").execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    for entry in std::fs::read_dir(world.dir.path().join("homes")).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    let second = open(&world, &contest, alice).await.unwrap().id;
    assert_eq!(until_it_is(&world, second, State::Failed).await.reason, "home-lost");
    // once its owner has given it up, a new one is made
    homes::empty(&world.house, contest.competition.id, alice).await.unwrap();
    ready(&world, &contest, alice).await;
    end(stop, working).await;
}

async fn end(stop: CancellationToken, working: JoinHandle<()>) {
    stop.cancel();
    working.await.unwrap();
}
