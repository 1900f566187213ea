//! From an upload to the board, on both databases and both object stores.

use std::sync::Arc;

use arrow_array::{Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use shuyu::airlock::lane1;
use shuyu::audit::Sequencer;
use shuyu::submission::model::{Kind, State};

use super::bundles::{self, PROGRAM, native, predictions, zipped};
use super::world::World;

fn parquet_predictions() -> Vec<u8> {
    let fields = vec![Field::new("id", DataType::Int64, false), Field::new("label", DataType::Int64, false)];
    let schema = Arc::new(Schema::new(fields));
    let ids = Int64Array::from_iter_values(0..7);
    let labels = Int64Array::from_iter_values([0, 1, 0, 1, 0, 1, 1]);
    let batch = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(ids), Arc::new(labels)]).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), schema, None).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

async fn results_reach_the_board(world: World) {
    let carrier = world.carrier().await;
    let contest = world.import("small", &native()).await;
    let alice = world.contestant(&contest, "alice").await;
    let first = world.submit(&contest, alice, "mine.csv", &predictions(5)).await;
    assert_eq!(world.submission(first).await.state, State::Queued);
    assert_eq!(world.run_all(&carrier).await, 1);

    let done = world.submission(first).await;
    assert_eq!(
        (done.state, done.disclosed_state, done.kind),
        (State::Finished, State::Finished, Kind::Result)
    );
    assert_eq!(world.scores(&contest, first).await["accuracy"], 0.714_286);
    assert_eq!(world.standing(&contest, 0).await, [first]);
    // one of 8 accuracies, or a failure
    assert_eq!(world.bits(first).await, [("score".to_owned(), 1.0 + 8f64.log2())]);

    let second = world.submit(&contest, alice, "mine.parquet", &parquet_predictions()).await;
    world.run_all(&carrier).await;
    assert_eq!(world.scores(&contest, second).await["accuracy"], 0.857_143);
    assert_eq!(world.standing(&contest, 0).await, [second]);

    // the sequencer numbers what was decided, without gaps
    assert!(Sequencer::new(world.house.db.clone()).number_waiting().await.unwrap() > 0);
    assert_eq!(world.number("SELECT COUNT(*) FROM audit_log WHERE action = 'run.concluded'").await, 2);
    assert_eq!(world.number("SELECT COUNT(*) FROM audit_log WHERE number IS NULL").await, 0);
    let gaps = world.number("SELECT MAX(number) + 1 - COUNT(*) FROM audit_log").await;
    assert_eq!(gaps, 0);
    // the exact scores are kept, sealed
    assert_eq!(world.objects("scores/").len(), 2);
    carrier.engine.settle().await;
    world.assert_clean(&world.settings);
}

#[tokio::test]
async fn results_reach_the_board_on_sqlite_and_a_directory() {
    results_reach_the_board(World::new().await).await;
}

#[tokio::test]
async fn results_reach_the_board_on_postgresql_and_s3() {
    results_reach_the_board(World::large().await).await;
}

#[tokio::test]
async fn code_on_public_input_is_an_open_book() {
    let world = World::new().await;
    let carrier = world.carrier().await;
    let contest = world.import("open", &native()).await;
    let alice = world.contestant(&contest, "alice").await;
    let id = world.submit(&contest, alice, "main.py", PROGRAM.as_bytes()).await;
    let lease = world.lease().await.unwrap();
    let begun = world.submission(id).await;
    assert_eq!((begun.state, begun.disclosed_state), (State::Running, State::Running));
    world.carry(&carrier, lease).await.unwrap();

    let done = world.submission(id).await;
    assert_eq!((done.state, done.kind), (State::Finished, Kind::Code), "{:?}", done.reason);
    assert_eq!(done.release_at, None);
    assert_eq!(world.scores(&contest, id).await["accuracy"], 0.714_286);
    let kinds: Vec<String> = world.events(id).await.into_iter().map(|(kind, _)| kind).collect();
    assert!(kinds.contains(&"step".to_owned()) && kinds.contains(&"output".to_owned()), "{kinds:?}");
    // its author may read the log, so it lies there in plain
    let log: shuyu::store::ObjectKey =
        world.runs(id).await[0].prediction_log.clone().unwrap().parse().unwrap();
    assert_eq!(log.class(), shuyu::store::Class::Plain);
    assert_eq!(world.house.objects.get_bytes(&log, 1 << 20).await.unwrap(), &b"hello from the program\n"[..]);
}

#[tokio::test]
async fn a_zip_with_metadata_and_its_own_command_is_code() {
    let world = World::new().await;
    let carrier = world.carrier().await;
    let contest = world.import("zip", &native()).await;
    let alice = world.contestant(&contest, "alice").await;
    let archive = zipped(&[
        ("mine/metadata.yaml", b"command: python3 $program/run.py x $output"),
        ("mine/run.py", PROGRAM.as_bytes()),
    ]);
    let id = world.submit(&contest, alice, "mine.zip", &archive).await;
    world.run_all(&carrier).await;
    assert_eq!(world.submission(id).await.state, State::Finished);
    assert_eq!(world.scores(&contest, id).await["accuracy"], 0.714_286);
}

#[tokio::test]
async fn a_faulty_result_is_rejected_in_detail_for_nothing() {
    let world = World::new().await;
    let carrier = world.carrier().await;
    let contest = world.import("faults", &native().edit("max_submissions: 0", "max_submissions: 1")).await;
    let alice = world.contestant(&contest, "alice").await;
    let id = world.submit(&contest, alice, "mine.csv", b"id,label\n0,1\n0,1\n99,0\n1,x\n").await;
    world.run_all(&carrier).await;
    let done = world.submission(id).await;
    assert_eq!((done.state, done.counts), (State::Rejected, false));
    assert_eq!(done.disclosed_reason.code, "faulty-file");
    assert!(done.disclosed_reason.text.contains("99"), "{}", done.disclosed_reason.text);
    assert_eq!(world.bits(id).await, []);
    // it cost no quota: the one submission there is can still be made
    let again = world.submit(&contest, alice, "mine.csv", &predictions(7)).await;
    world.run_all(&carrier).await;
    assert_eq!(world.scores(&contest, again).await["accuracy"], 1.0);
}

#[tokio::test]
async fn several_tasks_finish_together_and_one_failure_fails_all() {
    let world = World::new().await;
    let carrier = world.carrier().await;
    let score = "
import sys
source, output = sys.argv[1], sys.argv[2]
points = int(open(source + '/res/points.txt').read()) + int(open(source + '/ref/bonus').read())
if points < 0:
    sys.exit('less than nothing')
open(output + '/scores.json', 'w').write('{\"points\": %d}' % points)
";
    let folder = bundles::Folder::new(
        "- {index: 0, name: A, description: d, scoring_program: scoring, reference_data: ref/a}\n\
         - {index: 1, name: B, description: d, scoring_program: scoring, reference_data: ref/b}",
        &bundles::phase(0, 0, 0, "[0, 1]"),
        &bundles::board("Force_Best", &[("points", "sorting: desc")]),
        "  organiser: Somebody",
    )
    .file("scoring/metadata.yaml", "command: python3 $program/score.py $input $output")
    .file("scoring/score.py", score)
    .file("ref/a/bonus", "10")
    .file("ref/b/bonus", "20");
    let contest = world.import("two", &folder).await;
    let alice = world.contestant(&contest, "alice").await;

    let id = world.submit(&contest, alice, "a.zip", &zipped(&[("points.txt", b"1")])).await;
    let lease = world.lease().await.unwrap();
    world.carry(&carrier, lease).await.unwrap();
    // half of it is over: it goes on, and nothing is told
    assert_eq!(world.submission(id).await.state, State::Running);
    assert!(world.scores(&contest, id).await.is_empty());
    world.run_all(&carrier).await;
    assert_eq!(world.submission(id).await.state, State::Finished);
    // tasks are joined by their mean
    assert_eq!(world.scores(&contest, id).await["points"], 16.0);

    let bad = world.submit(&contest, alice, "b.zip", &zipped(&[("points.txt", b"-15")])).await;
    world.run_all(&carrier).await;
    let failed = world.submission(bad).await;
    assert_eq!((failed.state, failed.counts), (State::Failed, true));
    assert_eq!(failed.disclosed_reason.code, "scorer-failed");
    assert_eq!(world.standing(&contest, 0).await, [id]);
    let mut conn = world.house.db.read().await.unwrap();
    let board = &contest.competition.definition.leaderboard;
    let row = lane1::row_for_team(&mut conn, board, bad).await.unwrap();
    assert_eq!(row.tasks.len(), 1, "the task that was scored keeps its score");
}

#[tokio::test]
async fn runs_that_fill_the_cache_at_the_same_moment_share_it() {
    let world = World::new().await;
    let carrier = world.carrier().await;
    let contest = world.import("cache", &native()).await;
    let alice = world.contestant(&contest, "alice").await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(world.submit(&contest, alice, "main.py", PROGRAM.as_bytes()).await);
    }
    let (one, two, three) =
        (world.lease().await.unwrap(), world.lease().await.unwrap(), world.lease().await.unwrap());
    let (one, two, three) =
        tokio::join!(world.carry(&carrier, one), world.carry(&carrier, two), world.carry(&carrier, three));
    one.and(two).and(three).unwrap();
    for id in ids {
        assert_eq!(world.submission(id).await.state, State::Finished);
    }
    let cached = || {
        let entries = std::fs::read_dir(&carrier.cache).unwrap().flatten();
        entries.map(|e| e.file_name().into_string().unwrap()).collect::<Vec<_>>()
    };
    // the input and the ids, whole; nothing half filled
    assert_eq!(cached().len(), 2, "{:?}", cached());
    assert!(cached().iter().all(|name| !name.contains('.')), "{:?}", cached());

    // what a crash left half filled goes at the next start; the rest stays
    std::fs::create_dir(carrier.cache.join("0123.4567")).unwrap();
    std::fs::write(carrier.cache.join("0123.4567.packed"), "half").unwrap();
    world.carrier().await;
    assert_eq!(cached().len(), 2, "{:?}", cached());
}

/// Codabench's scorers read there how the prediction step went.
#[tokio::test]
async fn a_scorer_reads_how_the_program_ended_beside_its_predictions() {
    const SCORE: &str = "
import json, sys
lines = open(sys.argv[1] + '/res/metadata').read().splitlines()
told = dict(line.split(': ') for line in lines)
assert sorted(told) == ['elapsedTime', 'exitCode', 'ingestionElapsedTime', 'ingestionExitCode'], told
points = -1 if told['exitCode'] == 'null' else int(told['exitCode']) + (float(told['elapsedTime']) > 0)
json.dump({'points': points}, open(sys.argv[2] + '/scores.json', 'w'))
";
    let world = World::new().await;
    let carrier = world.carrier().await;
    let contest = world.import("ends", &bundles::programmed(SCORE)).await;
    let alice = world.contestant(&contest, "alice").await;
    for (name, content, points) in [
        ("main.py", b"raise SystemExit(3)".to_vec(), 4.0),
        ("result.zip", zipped(&[("out.txt", b"x")]), -1.0),
    ] {
        let id = world.submit(&contest, alice, name, &content).await;
        world.run_all(&carrier).await;
        assert_eq!(
            world.scores(&contest, id).await["points"],
            points,
            "{:?}",
            world.submission(id).await.reason
        );
    }
}
