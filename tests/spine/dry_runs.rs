//! An organizer's dry run of a baseline: on the real data, for the desk alone.

use std::collections::BTreeMap;

use shuyu::contest::db as contest_db;
use shuyu::ids::{SubmissionId, UserId};
use shuyu::store::Class;
use shuyu::submission::accept::{self, AcceptError};
use shuyu::submission::model::{Aim, Purpose, State};
use shuyu::submission::{actions, migrate, queue, rescore};

use super::bundles::{PROGRAM, closed, predictions, zipped};
use super::diode::class_of;
use super::world::{Contest, World};

async fn dry_run(world: &World, contest: &Contest, by: UserId, content: &[u8]) -> SubmissionId {
    let mut request = world.request(by, "main.py");
    request.aim = Aim::DryRun;
    world.try_submit(contest, 0, request, content).await.unwrap().id
}

#[tokio::test]
async fn a_dry_run_scores_on_hidden_data_and_stands_nowhere() {
    let world = World::new().await;
    let carrier = world.carrier().await;
    let contest = world.import("rehearsed", &closed().edit("max_submissions: 0", "max_submissions: 1")).await;
    let alice = world.contestant(&contest, "alice").await;
    // long before the phase begins, by somebody who takes no part
    let begins = contest.phases[0].starts_at.as_millisecond();
    world.clock.shift(begins - 86_400_000 - world.clock.millis());
    let organizer = world.person("somebody").await;
    let id = dry_run(&world, &contest, organizer, PROGRAM.as_bytes()).await;
    assert_eq!(world.run_all(&carrier).await, 1);
    let done = world.submission(id).await;
    assert_eq!(
        (done.state, done.disclosed_state, done.release_at, done.counts),
        (State::Finished, State::Finished, None, false),
        "{:?}",
        done.reason
    );
    let run = world.runs(id).await.remove(0);
    assert_eq!((run.purpose, run.closed), (Purpose::DryRun, false));
    // what its program printed saw hidden input, and is sealed; nothing of it was told live
    assert_eq!(class_of(run.prediction_log.as_ref()), Class::Hidden);
    assert!(world.events(id).await.iter().all(|(kind, _)| kind != "output"));
    assert!(world.scores(&contest, id).await.contains_key("accuracy"));
    assert!(world.bits(id).await[0].1 > 0.0, "what the organizer was told is charged too");
    assert!(world.standing(&contest, 0).await.is_empty());

    // again: as it was, never as a rescore
    actions::run_again(&world.house, id, organizer, queue::NORMAL).await.unwrap();
    world.run_all(&carrier).await;
    assert!(world.runs(id).await.iter().all(|r| r.purpose == Purpose::DryRun));
    for refused in [
        actions::nominate(&world.house, &contest.competition, id, organizer, true).await,
        actions::choose(&world.house, &contest.competition, id, organizer, true).await,
        actions::publish(&world.house, &contest.competition, id, organizer, true).await,
    ] {
        refused.unwrap_err();
    }
    // nobody's quota is used, no team is there for the pages, and nothing migrates
    world.clock.shift(begins + 1_000 - world.clock.millis());
    world.submit(&contest, alice, "main.py", PROGRAM.as_bytes()).await;
    let mut conn = world.house.db.read().await.unwrap();
    let labels = shuyu::contest::entry::db::team_labels(&mut conn, contest.competition.id).await.unwrap();
    assert_eq!(labels.len(), 1, "alice's: {labels:?}");
    drop(conn);
    migrate::migrate_due(&world.house).await.unwrap();
    assert_eq!(world.number("SELECT COUNT(*) FROM submissions WHERE migrated_from IS NOT NULL").await, 0);
    let wanted = rescore::Wanted { phase: None, team: None, reason: "a new scorer", priority: queue::NORMAL };
    assert_eq!(
        rescore::begin(&world.house, &contest.competition, organizer, &wanted).await.unwrap(),
        0,
        "a dry run is not rescored"
    );
}

#[tokio::test]
async fn a_solution_of_the_bundle_is_run_where_it_lies() {
    let world = World::new().await;
    let carrier = world.carrier().await;
    let folder = closed()
        .edit("shuyu:", "solutions: [{index: 0, path: solution, tasks: [0], name: Baseline}]\nshuyu:")
        .file("solution/predictions.csv", predictions(7));
    let contest = world.import("solved", &folder).await;
    let organizer = world.person("somebody").await;
    let mut conn = world.house.db.read().await.unwrap();
    let path = &contest.competition.definition.solutions[0].path;
    let file = contest_db::file(&mut conn, contest.competition.id, path).await.unwrap().unwrap();
    drop(conn);
    let mut request = world.request(organizer, "solution.zip");
    request.aim = Aim::DryRun;
    let (house, phase) = (&world.house, &contest.phases[0]);
    let made = accept::dry_run_solution(house, &contest.competition, phase, request, &file).await.unwrap();
    assert_eq!((&made.object_key, made.size), (&file.object_key, file.size));
    world.run_all(&carrier).await;
    let done = world.submission(made.id).await;
    assert_eq!(done.state, State::Finished, "{:?}", done.reason);
    assert!(world.scores(&contest, made.id).await.contains_key("accuracy"));
}

#[tokio::test]
async fn dry_runs_do_not_flood_the_queue_and_are_stopped_like_any_other() {
    let world = World::new().await;
    let contest = world.import("many", &closed()).await;
    let organizer = world.person("somebody").await;
    let mut last = None;
    for _ in 0..accept::DRY_RUNS_AT_A_TIME {
        last = Some(dry_run(&world, &contest, organizer, PROGRAM.as_bytes()).await);
    }
    let mut request = world.request(organizer, "main.zip");
    request.aim = Aim::DryRun;
    request.facts = BTreeMap::new();
    let packed = zipped(&[("main.py", PROGRAM.as_bytes())]);
    let refused = world.try_submit(&contest, 0, request, packed.as_slice()).await.unwrap_err();
    assert!(matches!(refused, AcceptError::TooManyDryRuns), "{refused}");
    let last = last.unwrap();
    assert_eq!(actions::cancel(&world.house, last, organizer).await.unwrap(), State::Cancelled);
    // one whose members are all gone is stopped; the desk has none and goes on
    assert_eq!(actions::cancel_of_removed(&world.house).await.unwrap(), 0);
}
