//! The queue's order, its leases and its fences.

use proptest::test_runner::{Config, TestRunner};
use shuyu::clock::{Clock, Entropy};
use shuyu::ids::WorkerId;
use shuyu::submission::model::{Purpose, RunState, State};
use shuyu::submission::queue::{self, QueueError, Renewal};
use shuyu::submission::rescore;
use shuyu::submission::run::RunError;

use super::bundles::{PROGRAM, closed, native, predictions};
use super::world::World;

#[tokio::test]
async fn competitions_take_turns_and_then_their_teams() {
    let world = World::new().await;
    let big = world.import("big", &native()).await;
    let small = world.import("small", &native()).await;
    let (alice, bob) = (world.contestant(&big, "alice").await, world.contestant(&big, "bob").await);
    world.register(&small, bob).await;
    let mut names = std::collections::BTreeMap::new();
    for number in 0..4 {
        let id = world.submit(&big, alice, "a.csv", &predictions(number)).await;
        names.insert(id, format!("alice{number}"));
    }
    let late = world.submit(&big, bob, "b.csv", &predictions(1)).await;
    names.insert(late, "bob".to_owned());
    let other = world.submit(&small, bob, "b.csv", &predictions(1)).await;
    names.insert(other, "small".to_owned());

    let place = queue::place(&mut world.house.db.read().await.unwrap(), &world.clock, late).await.unwrap();
    assert_eq!(place.unwrap().ahead, 4);
    let mut order = Vec::new();
    while let Some(lease) = world.lease().await {
        order.push(names[&lease.run.submission].clone());
    }
    // alice came first with four; neither bob nor the other competition waits for all of hers
    assert_eq!(order, ["alice0", "small", "bob", "alice1", "alice2", "alice3"]);
}

#[tokio::test]
async fn a_lapsed_lease_is_handed_on_and_its_holder_writes_nothing() {
    for world in [World::new().await, World::large().await] {
        let carrier = world.carrier().await;
        let contest = world.import("fence", &native()).await;
        let alice = world.contestant(&contest, "alice").await;
        let id = world.submit(&contest, alice, "a.csv", &predictions(5)).await;
        let slow = world.lease().await.unwrap();
        assert!(world.lease().await.is_none());
        world.clock.shift(31_000);
        let recovered = queue::recover(&world.house.db, &world.clock, world.worker).await.unwrap();
        assert_eq!((recovered.queued.len(), recovered.spent.len()), (1, 0));
        let waiting = world.submission(id).await;
        assert_eq!((waiting.state, waiting.started_at), (State::Queued, None));
        let quick = world.lease().await.unwrap();
        assert_eq!((quick.run.attempt, quick.run.fence), (2, 2));

        // the first worker comes back and finishes what it had
        let renewed = queue::renew(&world.house.db, &world.clock, &slow).await.unwrap();
        assert_eq!(renewed, Renewal::Lost);
        let refused = world.carry(&carrier, slow).await.unwrap_err();
        assert!(matches!(refused, RunError::Queue(QueueError::Fenced(_))), "{refused}");
        assert_eq!(world.submission(id).await.state, State::Running);
        assert_eq!(world.bits(id).await, []);

        world.carry(&carrier, quick.clone()).await.unwrap();
        let again = world.carry(&carrier, quick).await.unwrap_err();
        assert!(matches!(again, RunError::Queue(QueueError::Fenced(_))), "{again}");
        assert_eq!(world.bits(id).await.len(), 1, "exactly one reply");
        assert_eq!(world.submission(id).await.state, State::Finished);
        carrier.engine.settle().await;
        world.assert_clean(&world.settings);
    }
}

#[tokio::test]
async fn a_run_that_kills_its_worker_every_time_is_given_up_at_last() {
    let world = World::new().await;
    let contest = world.import("killer", &native()).await;
    let alice = world.contestant(&contest, "alice").await;
    let id = world.submit(&contest, alice, "a.csv", &predictions(5)).await;
    for attempt in 1..queue::MAX_PATIENT_ATTEMPTS {
        assert_eq!(world.lease().await.unwrap().run.attempt, attempt);
        world.clock.shift(31_000);
        let recovered = queue::recover(&world.house.db, &world.clock, world.worker).await.unwrap();
        assert_eq!((recovered.queued.len(), recovered.spent.len()), (1, 0));
    }
    let last = world.lease().await.unwrap();
    world.clock.shift(31_000);
    // a real worker's housekeeping finds it
    let working = world.start_worker(world.carrier().await, 1).await;
    let done = world.over(id).await;
    working.stop().await;
    assert_eq!((done.state, done.disclosed_reason.code.as_str()), (State::Failed, "platform"));
    assert!(!done.counts, "our own failure costs no quota");
    let run = &world.runs(id).await[0];
    assert_eq!((run.state, run.attempt), (RunState::Failed, last.run.attempt));
}

/// The end of a closed run, by our own fault too, waits for its tick.
#[tokio::test]
async fn giving_up_a_closed_run_is_told_and_charged_at_its_tick() {
    let world = World::new().await;
    let contest = world.import("killer", &closed()).await;
    let alice = world.contestant(&contest, "alice").await;
    let id = world.submit(&contest, alice, "main.py", PROGRAM.as_bytes()).await;
    for _ in 1..queue::MAX_PATIENT_ATTEMPTS {
        world.lease().await.unwrap();
        world.clock.shift(31_000);
        queue::recover(&world.house.db, &world.clock, world.worker).await.unwrap();
    }
    world.lease().await.unwrap();
    world.clock.shift(31_000);
    let working = world.start_worker(world.carrier().await, 1).await;
    let done = world.over(id).await;
    working.stop().await;
    assert_eq!((done.state, done.disclosed_state), (State::Failed, State::Running));
    assert!(done.counts, "the quota would tell");
    // nine attempts of 31 s: the fifth multiple of the limit, 300 s after the first begin
    assert_eq!(world.bits(id).await, [("failure".to_owned(), 1.0), ("outcome".to_owned(), 7.0)]);
    world.tick(id).await;
    let told = world.submission(id).await;
    assert_eq!((told.disclosed_state, told.disclosed_reason.code.as_str()), (State::Failed, "platform"));
    assert!(!told.counts);
}

/// The place shown to a team must not move when a closed run of its own ends before it is told.
#[tokio::test]
async fn a_place_in_the_queue_does_not_tell_when_a_closed_run_ended() {
    let world = World::new().await;
    let carrier = world.carrier().await;
    let contest = world.import("closed", &closed()).await;
    let other = world.import("other", &native()).await;
    let (alice, bob) = (world.contestant(&contest, "alice").await, world.contestant(&contest, "bob").await);
    world.register(&other, alice).await;
    let first = world.submit(&contest, alice, "main.py", PROGRAM.as_bytes()).await;
    let lease = world.lease().await.unwrap();
    let next = world.submit(&contest, alice, "main.py", PROGRAM.as_bytes()).await;
    let bobs = world.submit(&contest, bob, "main.py", PROGRAM.as_bytes()).await;
    let elsewhere = world.submit(&other, alice, "a.csv", &predictions(3)).await;
    let places = async || {
        let mut places = Vec::new();
        for id in [next, bobs, elsewhere] {
            let mut conn = world.house.db.read().await.unwrap();
            places.push(queue::place(&mut conn, &world.clock, id).await.unwrap().unwrap());
        }
        places
    };
    let before = places().await;
    world.carry(&carrier, lease).await.unwrap();
    assert!(world.submission(first).await.release_at.is_some());
    assert_eq!(places().await, before);
    // neither alice's next run nor hers in another competition begins before she is told
    assert_eq!(world.lease().await.unwrap().run.submission, bobs);
    assert!(world.lease().await.is_none());
    world.tick(first).await;
    assert_eq!(world.lease().await.unwrap().run.submission, elsewhere);
    assert_eq!(world.lease().await.unwrap().run.submission, next);
}

#[tokio::test]
async fn two_runs_that_end_at_the_same_moment_end_their_submission() {
    let world = World::large().await;
    let carrier = world.carrier().await;
    let folder = native().edit("tasks: [0]", "tasks: [0, 1]").edit(
        "reference_data: reference}",
        "reference_data: reference}\n- {index: 1, name: T1, description: d, input_data: input, reference_data: reference}",
    );
    let metric = "    1: {metric: {name: accuracy, column: accuracy, prediction: label, target: label, id: id}, input: public}\n";
    let folder = folder.edit("shuyu:\n  tasks:\n", &format!("shuyu:\n  tasks:\n{metric}"));
    let contest = world.import("both", &folder).await;
    let alice = world.contestant(&contest, "alice").await;
    for _ in 0..5 {
        let id = world.submit(&contest, alice, "a.csv", &predictions(5)).await;
        let (one, two) = (world.lease().await.unwrap(), world.lease().await.unwrap());
        // both are held up while they write their end, and let go together
        let mut held = world.house.db.begin().await.unwrap();
        sqlx::query("SELECT id FROM runs FOR UPDATE").fetch_all(&mut *held).await.unwrap();
        let waiting = "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
        let (one, two, ()) = tokio::join!(world.carry(&carrier, one), world.carry(&carrier, two), async {
            world.until("both wait", || async { world.number(waiting).await == 2 }).await;
            drop(held);
        });
        one.unwrap();
        two.unwrap();
        assert_eq!(world.submission(id).await.state, State::Finished);
    }
}

#[tokio::test]
async fn the_organizers_rescore_goes_first_or_last_as_asked() {
    let world = World::new().await;
    let carrier = world.carrier().await;
    let contest = world.import("order", &native()).await;
    let alice = world.contestant(&contest, "alice").await;
    world.submit(&contest, alice, "a.csv", &predictions(5)).await;
    world.run_all(&carrier).await;
    for (priority, purposes) in [
        (queue::URGENT, [Purpose::Rescore, Purpose::Score]),
        (queue::LATER, [Purpose::Score, Purpose::Rescore]),
    ] {
        let new = world.submit(&contest, alice, "b.csv", &predictions(2)).await;
        let wanted = rescore::Wanted { phase: None, team: None, reason: "new scorer", priority };
        let done = world.number("SELECT COUNT(*) FROM submissions WHERE state = 'finished'").await;
        let count = rescore::begin(&world.house, &contest.competition, contest.organizer, &wanted).await;
        assert_eq!(count.unwrap(), done);
        let mut order = Vec::new();
        while let Some(lease) = world.lease().await {
            order.push(lease.run.purpose);
            world.carry(&carrier, lease).await.unwrap();
        }
        assert_eq!((order[0], order[order.len() - 1]), (purposes[0], purposes[1]), "{order:?}");
        assert_eq!(world.submission(new).await.state, State::Finished);
    }
}

/// Whatever waits, is begun, lapses and ends in whatever order: a run is under way at most once, and
/// ends at most once.
#[test]
fn no_sequence_of_leases_begins_or_ends_a_run_twice() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (world, contest, alice) = runtime.block_on(async {
        let world = World::new().await;
        let contest = world.import("sequence", &native()).await;
        let alice = world.contestant(&contest, "alice").await;
        (world, contest, alice)
    });
    let mut runner = TestRunner::new(Config { cases: 24, failure_persistence: None, ..Config::default() });
    let steps = proptest::collection::vec((0u8..5, 0usize..8), 1..30);
    runner
        .run(&steps, |steps| {
            runtime.block_on(async {
                let workers: Vec<WorkerId> = (0..2).map(|_| Entropy.id(&Clock::system())).collect();
                let (mut held, mut ended): (Vec<queue::Lease>, Vec<_>) = (Vec::new(), Vec::new());
                for (what, which) in steps {
                    match what {
                        0 => drop(world.submit(&contest, alice, "a.csv", &predictions(1)).await),
                        1 | 2 => {
                            let worker = workers[which % 2];
                            let db = &world.house.db;
                            if let Some(lease) = queue::lease(db, &world.clock, worker).await.unwrap() {
                                let same = |l: &&queue::Lease| l.run.id == lease.run.id;
                                assert!(held.iter().filter(same).all(|l| l.run.fence < lease.run.fence));
                                assert!(!ended.contains(&lease.run.id));
                                held.push(lease);
                            }
                        }
                        3 => {
                            world.clock.shift(31_000);
                            queue::recover(&world.house.db, &world.clock, workers[0]).await.unwrap();
                        }
                        _ if held.is_empty() => {}
                        _ => {
                            let lease = held.remove(which % held.len());
                            let mut tx = world.house.db.begin().await.unwrap();
                            let ending = queue::Ending::default();
                            let state = RunState::Cancelled;
                            let done =
                                queue::finish(&mut tx, &world.clock, &lease, (state, false), &ending).await;
                            tx.commit().await.unwrap();
                            if done.is_ok() {
                                assert!(!ended.contains(&lease.run.id), "ended twice");
                                ended.push(lease.run.id);
                            }
                        }
                    }
                    let doubled = world
                        .number("SELECT COUNT(*) FROM runs WHERE state = 'running' AND lease_until IS NULL")
                        .await;
                    assert_eq!(doubled, 0);
                }
                // the next case begins with an empty queue
                let mut tx = world.house.db.begin().await.unwrap();
                sqlx::query("UPDATE runs SET state = 'cancelled' WHERE state IN ('queued', 'running')")
                    .execute(&mut *tx)
                    .await
                    .unwrap();
                tx.commit().await.unwrap();
            });
            Ok(())
        })
        .unwrap();
}

#[tokio::test]
async fn an_urgent_rescore_takes_no_other_competitions_turn() {
    let world = World::new().await;
    let carrier = world.carrier().await;
    let (urgent, other) = (world.import("urgent", &native()).await, world.import("other", &native()).await);
    let alice = world.contestant(&urgent, "alice").await;
    world.register(&other, alice).await;
    for _ in 0..3 {
        world.submit(&urgent, alice, "a.csv", &predictions(5)).await;
    }
    world.run_all(&carrier).await;
    let wanted = rescore::Wanted { phase: None, team: None, reason: "r", priority: queue::URGENT };
    for _ in 0..2 {
        // asked twice, what waits already is not queued again
        rescore::begin(&world.house, &urgent.competition, urgent.organizer, &wanted).await.unwrap();
    }
    for _ in 0..3 {
        world.submit(&other, alice, "a.csv", &predictions(5)).await;
    }
    let mut order = Vec::new();
    while let Some(lease) = world.lease().await {
        order.push(lease.run.competition == urgent.competition.id);
        world.carry(&carrier, lease).await.unwrap();
    }
    assert_eq!(order, [false, true, false, true, false, true], "turn by turn");
    let mut conn = world.house.db.read().await.unwrap();
    let made = rescore::db::of_competition(&mut conn, urgent.competition.id, 10).await.unwrap();
    let far: Vec<_> = made.iter().map(|p| (p.total, p.done, p.all_queued)).collect();
    assert_eq!(far, [(0, 0, true), (3, 3, true)]);
}

#[tokio::test]
async fn a_rescore_that_a_crash_cut_short_is_gone_on_with() {
    let world = World::new().await;
    let carrier = world.carrier().await;
    let contest = world.import("cut", &native()).await;
    let alice = world.contestant(&contest, "alice").await;
    for _ in 0..3 {
        world.submit(&contest, alice, "a.csv", &predictions(5)).await;
    }
    world.run_all(&carrier).await;
    let wanted = rescore::Wanted { phase: None, team: None, reason: "r", priority: queue::NORMAL };
    rescore::begin(&world.house, &contest.competition, contest.organizer, &wanted).await.unwrap();
    // as if the process had died after the first of them was queued
    for sql in [
        "DELETE FROM runs WHERE purpose = 'rescore' AND id <> (SELECT MIN(id) FROM runs WHERE purpose = 'rescore')",
        "UPDATE rescores SET finished_at = NULL",
    ] {
        let mut tx = world.house.db.begin().await.unwrap();
        sqlx::query(sql).execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
    }
    rescore::continue_all(&world.house).await.unwrap();
    rescore::continue_all(&world.house).await.unwrap();
    let queued = "SELECT COUNT(*) FROM runs WHERE purpose = 'rescore'";
    assert_eq!(world.number(queued).await, 3, "each once");
    assert_eq!(world.run_all(&carrier).await, 3);
}
