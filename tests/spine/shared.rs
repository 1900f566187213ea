//! The ingestion program beside the scoring program: the one exception to the diode.

use shuyu::store::Class;
use shuyu::submission::model::State;

use super::bundles::{Folder, SECRET, programmed, zipped};
use super::diode::class_of;
use super::world::World;

/// Asks the submission, through the shared directory, and writes what it answers as the score.
const SCORE: &str = "
import json, os, sys, time
shared, output = '/app/shared', '/app/output'
labels = open('/app/input/ref/labels.csv').read().splitlines()[1:]
asked = len(labels)
open(shared + '/question.part', 'w').write(str(asked))
os.rename(shared + '/question.part', shared + '/question')
while not os.path.exists(shared + '/answer'):
    time.sleep(0.05)
answer = json.load(open(shared + '/answer'))
assert answer['reference'] == [], answer
json.dump({'points': answer['points']}, open(output + '/scores.json', 'w'))
";

/// Waits for the question, hands it to the submission, and writes its answer; also a score of its own.
const INGEST: &str = "
import glob, json, os, sys, time
sys.path.insert(0, '/app/ingested_program')
import model
shared = '/app/shared'
while not os.path.exists(shared + '/question'):
    time.sleep(0.05)
answer = {'points': model.answer(int(open(shared + '/question').read())), 'reference': glob.glob('/app/input/ref*')}
json.dump({'points': 1000}, open('/app/output/scores.json', 'w'))
json.dump(answer, open(shared + '/answer.part', 'w'))
os.rename(shared + '/answer.part', shared + '/answer')
print('answered')
time.sleep(600)
";

fn talking(extension: &str) -> Folder {
    programmed(SCORE)
        .edit(
            "scoring_program: scoring,",
            "scoring_program: scoring, ingestion_program: ingestion, ingestion_only_during_scoring: true,",
        )
        .edit("  organiser: Somebody", extension)
        .file("ingestion/metadata.yaml", "command: python3 $program/ingest.py")
        .file("ingestion/ingest.py", INGEST)
}

#[tokio::test]
async fn where_the_organizer_allows_it_both_programs_talk_and_nothing_else_leaves() {
    let world = World::new().await;
    let carrier = world.carrier().await;
    let contest = world.import("talking", &talking("  tasks: {0: {shared: true}}")).await;
    let alice = world.contestant(&contest, "alice").await;
    let model = b"def answer(n):\n    return 2 * n\n";
    let id = world.submit(&contest, alice, "model.zip", &zipped(&[("model.py", model)])).await;
    world.run_all(&carrier).await;
    let done = world.submission(id).await;
    // the scorer may have told the submission anything: the run is closed, though its input is public
    assert_eq!((done.state, done.disclosed_state), (State::Finished, State::Running), "{:?}", done.reason);
    let run = world.runs(id).await.remove(0);
    for log in [&run.prediction_log, &run.scoring_log] {
        assert_eq!(class_of(log.as_ref()), Class::Hidden);
    }
    world.tick(id).await;
    assert_eq!(world.scores(&contest, id).await["points"], 14.0);
    carrier.engine.settle().await;
    world.assert_clean(&world.settings);
}

#[tokio::test]
async fn without_the_opt_in_it_is_refused_for_nothing() {
    let world = World::new().await;
    let carrier = world.carrier().await;
    let contest = world.import("talking", &talking("  organiser: Somebody")).await;
    let alice = world.contestant(&contest, "alice").await;
    let id = world.submit(&contest, alice, "model.zip", &zipped(&[("model.py", b"")])).await;
    world.run_all(&carrier).await;
    let done = world.submission(id).await;
    assert_eq!((done.state, done.counts), (State::Rejected, false));
    assert_eq!(done.reason.code, "shared-not-allowed");
    assert!(done.reason.text.contains("shuyu.tasks.0.shared: true"), "{}", done.reason.text);
    assert!(!done.reason.text.contains(SECRET));
}
