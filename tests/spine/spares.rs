//! Labs that wait for whoever opens a sandbox next: claimed once, with nothing of anybody before, and
//! never left behind.

use std::process::Command;

use shuyu::contest::import;
use shuyu::lab::ask;
use shuyu::lab::keeper::Keeper;
use shuyu::lab::model::{State, Wanted};

use super::labs::{answer, keep, offered, open, until_it_is};
use super::world::{Contest, World};

pub(super) async fn published(world: &World, slug: &str) -> Contest {
    let contest = offered(world, slug).await;
    import::publish(&world.house, slug, Some(contest.organizer)).await.unwrap();
    contest
}

async fn waits(world: &World, keeper: &Keeper, count: usize) {
    world.until("labs wait", || async { keeper.waiting_spares() == count }).await;
}

/// The names of this world's containers.
fn names(world: &World) -> Vec<String> {
    let ids = world.containers(&world.settings);
    let asked =
        Command::new("docker").args(["inspect", "--format", "{{.Name}}"]).args(&ids).output().unwrap();
    String::from_utf8(asked.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn whoever_opens_next_gets_the_lab_that_waits_and_nobody_gets_it_twice() {
    let mut world = World::new().await;
    world.settings.sandboxes.spares = 1;
    let contest = published(&world, "ready").await;
    let (alice, bob) = (world.contestant(&contest, "alice").await, world.contestant(&contest, "bob").await);
    let (keeper, stop, working) = keep(&world).await;
    waits(&world, &keeper, 1).await;
    let waiting = names(&world);
    assert_eq!(waiting.len(), 1);

    let hers = open(&world, &contest, alice).await.unwrap().id;
    let ready = until_it_is(&world, hers, State::Ready).await;
    assert!(names(&world).contains(&waiting[0]), "it goes on in the container that waited");
    assert!(!names(&world).iter().any(|name| name.contains(&hers.to_string())), "none was made for her");
    assert!(ready.deadline_at.is_some() && ready.used.cpu_ms == 0, "{ready:?}");
    let file = r#"{"type":"file","format":"text","content":"hers"}"#;
    let made = answer(&keeper, hers, "PUT /api/contents/a.txt", file).await;
    assert!(made.starts_with("HTTP/1.1 201"), "{made}");
    let token = keeper.way_in(hers).unwrap().token;

    // the next one is another container, with another's home and another token
    waits(&world, &keeper, 1).await;
    let his = open(&world, &contest, bob).await.unwrap().id;
    until_it_is(&world, his, State::Ready).await;
    let read = answer(&keeper, his, "GET /api/contents/a.txt", "").await;
    assert!(read.starts_with("HTTP/1.1 404"), "{read}");
    assert_ne!(keeper.way_in(his).unwrap().token, token);

    // a restart of the service finds both, by their containers, and what it took to start is not theirs
    waits(&world, &keeper, 1).await;
    stop.cancel();
    working.await.unwrap();
    drop(keeper);
    assert_eq!(names(&world).len(), 2, "what waits is not left behind");
    let (keeper, stop, working) = keep(&world).await;
    world
        .until("both are found again", || async { keeper.way_in(hers).is_ok() && keeper.way_in(his).is_ok() })
        .await;
    let read = answer(&keeper, hers, "GET /api/contents/a.txt", "").await;
    assert!(read.contains("\"hers\""), "{read}");

    // stopped and opened again, it is another container with the same home
    waits(&world, &keeper, 1).await;
    ask::stop(&world.house, hers, alice, Wanted::Stopped).await.unwrap();
    until_it_is(&world, hers, State::Stopped).await;
    assert!(!names(&world).contains(&waiting[0]), "it is gone with her sandbox");
    waits(&world, &keeper, 1).await;
    let again = open(&world, &contest, alice).await.unwrap().id;
    until_it_is(&world, again, State::Ready).await;
    let read = answer(&keeper, again, "GET /api/contents/a.txt", "").await;
    assert!(read.contains("\"hers\""), "{read}");
    for (sandbox, user) in [(again, alice), (his, bob)] {
        ask::stop(&world.house, sandbox, user, Wanted::Stopped).await.unwrap();
        until_it_is(&world, sandbox, State::Stopped).await;
    }
    stop.cancel();
    working.await.unwrap();
    world.assert_clean(&world.settings);
}

#[tokio::test]
async fn a_lab_that_died_or_is_of_another_make_is_not_given_out() {
    let mut world = World::new().await;
    world.settings.sandboxes.spares = 1;
    let contest = published(&world, "changed").await;
    let alice = world.contestant(&contest, "alice").await;
    let (keeper, stop, working) = keep(&world).await;
    waits(&world, &keeper, 1).await;
    let dead = names(&world);
    assert!(
        Command::new("docker")
            .args(["rm", "-f", dead[0].trim_start_matches('/')])
            .status()
            .unwrap()
            .success()
    );
    let hers = open(&world, &contest, alice).await.unwrap().id;
    until_it_is(&world, hers, State::Ready).await;
    let read = answer(&keeper, hers, "GET /api/status", "").await;
    assert!(read.starts_with("HTTP/1.1 200"), "{read}");

    // the competition grants something else now: what waits is replaced
    waits(&world, &keeper, 1).await;
    let before = names(&world);
    let other =
        super::bundles::native().edit("shuyu:", "shuyu:\n  sandbox: {image: python, session: 2h, cpus: 1}");
    world.reimport("changed", &other, contest.organizer).await;
    world
        .until("another waits in its place", || async {
            keeper.waiting_spares() == 1 && names(&world).len() == 2 && names(&world) != before
        })
        .await;
    ask::stop(&world.house, hers, alice, Wanted::Stopped).await.unwrap();
    until_it_is(&world, hers, State::Stopped).await;
    stop.cancel();
    working.await.unwrap();
    world.assert_clean(&world.settings);
}
