//! The data diode: what a program sees, and what its author learns.

use shuyu::airlock::lane1;
use shuyu::store::{Class, ObjectKey};
use shuyu::submission::model::{Aim, Purpose, RunState, State};
use shuyu::submission::{actions, disclose, queue, rescore};

use super::bundles::{self, ECHO, PROGRAM, SECRET, closed, native, predictions, programmed, zipped};
use super::world::{Contest, World};

/// Fails on the task's hidden input, which has a row the twin's has not.
const FAILS: &str = "
import os, sys
hidden = 'marker' in open(sys.argv[1] + '/rows.csv').read()
print('the input has the marker:', hidden)
if hidden:
    print('about to fail on hidden input', file=sys.stderr)
    open(sys.argv[2] + '/told-by-a-name.txt', 'w').write('x')
    os.utime(sys.argv[2] + '/told-by-a-name.txt', (7, 7))
    sys.exit(7)
rows = ''.join(f'{i},{i % 2}\\n' for i in range(7))
open(sys.argv[2] + '/predictions.csv', 'w').write('id,label\\n' + rows)
";

pub fn class_of(key: Option<&String>) -> Class {
    key.unwrap().parse::<ObjectKey>().unwrap().class()
}

#[tokio::test]
async fn a_closed_run_tells_its_outcome_at_its_tick_and_nothing_more() {
    let world = World::new().await;
    let carrier = world.carrier().await;
    let contest = world.import("closed", &closed()).await;
    let alice = world.contestant(&contest, "alice").await;
    let id = world.submit(&contest, alice, "main.py", FAILS.as_bytes()).await;
    assert_eq!(world.run_all(&carrier).await, 1);
    // before the tick: the truth is known to us alone
    world.clock.shift(-120_000);
    assert_eq!(disclose::tell_due(&world.house).await.unwrap(), 0);
    let waiting = world.submission(id).await;
    assert_eq!((waiting.state, waiting.disclosed_state), (State::Failed, State::Running));
    assert_eq!(waiting.disclosed_reason.text, "");
    assert!(waiting.counts);
    let runs = world.runs(id).await;
    assert_eq!(runs.len(), 1, "a twin that waits would tell of the failure");
    assert_eq!(class_of(runs[0].prediction_log.as_ref()), Class::Hidden);
    let events = world.events(id).await;
    let kinds: Vec<&str> = events.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["status", "status"], "queued and running: {events:?}");
    assert_eq!(world.bits(id).await, [("failure".to_owned(), 1.0), ("outcome".to_owned(), 2.0)]);

    world.clock.shift(120_000);
    world.tick(id).await;
    let told = world.submission(id).await;
    assert_eq!((told.disclosed_state, told.disclosed_reason.code.as_str()), (State::Failed, "closed"));
    for word in ["7", "exit", "marker", "told-by-a-name", "no predictions"] {
        assert!(!told.disclosed_reason.text.contains(word), "{word:?}: {}", told.disclosed_reason.text);
    }
    let took = told.finished_at.unwrap().as_millisecond() - told.started_at.unwrap().as_millisecond();
    assert!([1_000, 10_000, 60_000].contains(&took), "the exact end is kept from the row too: {took}");

    // the twin runs by itself, in the open, and is charged nothing
    let bits = world.bits(id).await.len();
    assert_eq!(world.run_all(&carrier).await, 1);
    let twin = world.runs(id).await.pop().unwrap();
    assert_eq!((twin.purpose, twin.state), (Purpose::Twin, RunState::Finished));
    let log: ObjectKey = twin.prediction_log.unwrap().parse().unwrap();
    assert_eq!(log.class(), Class::Plain);
    let text = world.house.objects.get_bytes(&log, 1 << 20).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&text), "the input has the marker: False\n");
    let charged: f64 = world.bits(id).await[..].iter().map(|(_, bits)| bits).sum();
    assert_eq!((charged, world.bits(id).await.len()), (3.0, bits + 1));
    let mut conn = world.house.db.read().await.unwrap();
    let board = &contest.competition.definition.leaderboard;
    let row = lane1::row_on_twin(&mut conn, board, id).await.unwrap();
    assert_eq!(row.scores.get()["accuracy"], 1.0);
    drop(conn);
    assert!(world.scores(&contest, id).await.is_empty());
    let state = world.submission(id).await;
    assert_eq!((state.state, state.disclosed_state), (State::Failed, State::Failed));
}

#[tokio::test]
async fn a_closed_score_is_read_and_stands_only_from_its_tick() {
    let world = World::new().await;
    let carrier = world.carrier().await;
    let contest = world.import("closed", &closed()).await;
    let alice = world.contestant(&contest, "alice").await;
    let id = world.submit(&contest, alice, "main.py", PROGRAM.as_bytes()).await;
    let next = world.submit(&contest, alice, "next.csv", &predictions(7)).await;
    let lease = world.lease().await.unwrap();
    assert_eq!(lease.run.submission, id);
    world.carry(&carrier, lease).await.unwrap();
    assert_eq!(world.submission(id).await.state, State::Finished);
    assert!(world.scores(&contest, id).await.is_empty());
    assert!(world.standing(&contest, 0).await.is_empty());
    // the start of the team's next run would tell when this one ended
    assert!(world.lease().await.is_none());
    world.tick(id).await;
    assert_eq!(world.scores(&contest, id).await["accuracy"], 0.714_286);
    assert_eq!(world.standing(&contest, 0).await, [id]);
    assert_eq!(world.run_all(&carrier).await, 1);
    assert_eq!(world.standing(&contest, 0).await, [next]);
}

#[tokio::test]
async fn stopping_a_closed_run_does_not_tell_whether_it_had_ended() {
    let world = World::new().await;
    let carrier = world.carrier().await;
    let contest = world.import("closed", &closed()).await;
    let alice = world.contestant(&contest, "alice").await;
    let ended = world.submit(&contest, alice, "main.py", PROGRAM.as_bytes()).await;
    world.run_all(&carrier).await;
    assert_eq!(world.submission(ended).await.state, State::Finished);
    assert_eq!(actions::cancel(&world.house, ended, alice).await.unwrap(), State::Running);
    world.tick(ended).await;
    let told_ended = world.submission(ended).await;

    let running = world.submit(&contest, alice, "main.py", PROGRAM.as_bytes()).await;
    let lease = world.lease().await.unwrap();
    assert_eq!(actions::cancel(&world.house, running, alice).await.unwrap(), State::Running);
    world.carry(&carrier, lease).await.unwrap();
    if world.submission(running).await.release_at.is_some() {
        world.tick(running).await;
    }
    let told_running = world.submission(running).await;
    for told in [&told_ended, &told_running] {
        assert_eq!((told.disclosed_state, told.counts), (State::Cancelled, true));
    }
    assert_eq!(told_ended.disclosed_reason, told_running.disclosed_reason);
    assert!(world.scores(&contest, ended).await.is_empty());
    assert!(world.standing(&contest, 0).await.is_empty());
}

#[tokio::test]
async fn ways_to_fail_on_hidden_input_look_the_same() {
    let world = World::new().await;
    let carrier = world.carrier().await;
    let contest = world.import("closed", &closed()).await;
    let ways = [
        "import sys; sys.exit(3)",
        "raise ValueError('the third label is 1')",
        "import os, sys; os.symlink('/etc/passwd', sys.argv[2] + '/the-label-is-1')",
        "import sys; open(sys.argv[2] + '/predictions.csv', 'w').write('id,label\\n0,the label is 1\\n')",
    ];
    let mut told = Vec::new();
    for (number, way) in ways.iter().enumerate() {
        let user = world.contestant(&contest, &format!("user{number}")).await;
        let id = world.submit(&contest, user, "main.py", way.as_bytes()).await;
        let lease = world.lease().await.unwrap();
        world.carry(&carrier, lease).await.unwrap();
        world.tick(id).await;
        let s = world.submission(id).await;
        let events: Vec<String> = world.events(id).await.into_iter().map(|(kind, _)| kind).collect();
        told.push((s.disclosed_state, s.disclosed_reason, s.counts, events, world.bits(id).await));
    }
    for other in &told[1..] {
        assert_eq!(other, &told[0]);
    }
}

async fn trial(world: &World, contest: &Contest, user: shuyu::ids::UserId) -> shuyu::ids::SubmissionId {
    let mut request = world.request(user, "main.py");
    request.aim = Aim::Trial;
    world.try_submit(contest, 0, request, FAILS.as_bytes()).await.unwrap().id
}

#[tokio::test]
async fn a_trial_run_costs_neither_quota_nor_bits() {
    let world = World::new().await;
    let carrier = world.carrier().await;
    let contest = world.import("trial", &closed().edit("max_submissions: 0", "max_submissions: 1")).await;
    let alice = world.contestant(&contest, "alice").await;
    for _ in 0..2 {
        let id = trial(&world, &contest, alice).await;
        world.run_all(&carrier).await;
        let done = world.submission(id).await;
        assert_eq!((done.state, done.disclosed_state), (State::Finished, State::Finished));
        assert_eq!(world.scores(&contest, id).await["accuracy"], 1.0);
        assert_eq!(world.bits(id).await, [("twin".to_owned(), 0.0)]);
        assert_eq!(class_of(world.runs(id).await[0].prediction_log.as_ref()), Class::Plain);
    }
    // the twin is public: what is wrong with a trial is told line by line, of a result and a program alike
    let row = "id,label\n0,0\n99,1\n";
    let program = format!("import sys\nopen(sys.argv[2] + '/predictions.csv', 'w').write({row:?})\n");
    for (name, content) in [("a.csv", row.to_owned()), ("main.py", program)] {
        let mut request = world.request(alice, name);
        request.aim = Aim::Trial;
        let id = world.try_submit(&contest, 0, request, content.as_bytes()).await.unwrap().id;
        world.run_all(&carrier).await;
        let reason = world.submission(id).await.disclosed_reason;
        assert_eq!(reason.code, "faulty-file", "{reason:?}");
        let faults = reason.faults.unwrap();
        assert!(faults["total"].as_u64().unwrap() >= 2, "{faults}");
        assert!(reason.text.contains("99"), "{}", reason.text);
    }
    assert!(world.standing(&contest, 0).await.is_empty(), "a trial never stands on the board");
    world.submit(&contest, alice, "main.py", PROGRAM.as_bytes()).await;

    let none = world.import("no-twin", &native()).await;
    world.register(&none, alice).await;
    let mut request = world.request(alice, "main.py");
    request.aim = Aim::Trial;
    let refused = world.try_submit(&none, 0, request, PROGRAM.as_bytes()).await.unwrap_err();
    assert!(matches!(refused, shuyu::submission::accept::AcceptError::NoTwin), "{refused}");
}

/// Red team 42: a program that looks everywhere finds neither the labels nor what scores.
#[tokio::test]
async fn labels_are_nowhere_in_the_view_of_a_submission() {
    let world = World::new().await;
    let carrier = world.carrier().await;
    let contest = world.import("walk", &native()).await;
    let alice = world.contestant(&contest, "alice").await;
    let walk = format!(
        "
import os, sys
seen, found = 0, []
for folder, folders, files in os.walk('/'):
    if folder.startswith(('/proc', '/sys', '/usr', '/opt', '/var/lib/dpkg')):
        folders[:] = []
        continue
    for name in files:
        path = os.path.join(folder, name)
        seen += 1
        if name == 'labels.csv':
            found.append(path)
        try:
            if os.path.isfile(path) and os.path.getsize(path) < 1 << 20 and b'{}' in open(path, 'rb').read():
                found.append(path)
        except OSError:
            pass
for at in ('/app/input/ref', '/app/reference', '/app/shared'):
    if os.path.exists(at):
        found.append(at)
sys.stdout.write('found %r in more than ten: %r, input: %r' % (found, seen > 10, os.listdir(sys.argv[1])))
",
        // in two parts, so that the program does not find itself
        format_args!("{}' b'{}", &SECRET[..5], &SECRET[5..])
    );
    let id = world.submit(&contest, alice, "main.py", walk.as_bytes()).await;
    world.run_all(&carrier).await;
    let log: ObjectKey = world.runs(id).await[0].prediction_log.clone().unwrap().parse().unwrap();
    let text = world.house.objects.get_bytes(&log, 1 << 20).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&text), "found [] in more than ten: True, input: ['rows.csv']");
}

#[tokio::test]
async fn what_a_scorer_prints_is_sealed_and_its_refused_scores_are_charged() {
    let world = World::new().await;
    let carrier = world.carrier().await;
    let score = format!("print(open('/app/input/ref/labels.csv').read())\n{ECHO}");
    let contest = world.import("sealed", &programmed(&score)).await;
    let alice = world.contestant(&contest, "alice").await;
    let id = world.submit(&contest, alice, "a.zip", &zipped(&[("out.json", b"{\"points\": 2.5}")])).await;
    world.run_all(&carrier).await;
    assert_eq!(world.scores(&contest, id).await["points"], 2.5);
    assert_eq!(class_of(world.runs(id).await[0].scoring_log.as_ref()), Class::Hidden);
    // sealed at rest: the store's own files hold nothing of the labels
    for key in world.objects("") {
        let bytes = std::fs::read(world.settings.data_dir.join("objects").join(&key)).unwrap();
        let plain = bytes.windows(SECRET.len()).any(|w| w == SECRET.as_bytes());
        assert!(!plain, "{key} holds labels in plain");
    }

    let bad = world.submit(&contest, alice, "a.zip", &zipped(&[("out.json", b"{\"points\": \"x\"}")])).await;
    world.run_all(&carrier).await;
    let told = world.submission(bad).await;
    assert_eq!(told.disclosed_reason.code, "scorer-scores");
    let [(kind, bits)] = &world.bits(bad).await[..] else { panic!("one reply") };
    assert_eq!((kind.as_str(), *bits), ("failure", shuyu::airlock::rule::failure_bits(1)));
}

/// A result that goes through the organizer's program on hidden input is closed like code.
#[tokio::test]
async fn an_ingestion_program_on_hidden_input_closes_results_too() {
    let world = World::new().await;
    let carrier = world.carrier().await;
    let ingest = "
import sys
print('hidden rows:', open(sys.argv[1] + '/rows.csv').read())
";
    let folder = bundles::native_with("hidden", "")
        .edit("input_data: input,", "input_data: input, ingestion_program: ingestion,")
        .file("ingestion/metadata.yaml", "command: python3 $program/ingest.py $input $output")
        .file("ingestion/ingest.py", ingest);
    let contest = world.import("ingestion", &folder).await;
    let alice = world.contestant(&contest, "alice").await;
    let id = world.submit(&contest, alice, "mine.csv", &predictions(6)).await;
    world.run_all(&carrier).await;
    let done = world.submission(id).await;
    assert_eq!((done.state, done.disclosed_state), (State::Finished, State::Running), "{:?}", done.reason);
    assert_eq!(class_of(world.runs(id).await[0].prediction_log.as_ref()), Class::Hidden);
    world.tick(id).await;
    assert_eq!(world.scores(&contest, id).await["accuracy"], 0.857_143);
}

/// A task on public input beside one on hidden input: with the first one's end the second one's
/// would be told.
#[tokio::test]
async fn a_closed_run_closes_its_siblings_on_public_input() {
    let world = World::new().await;
    let carrier = world.carrier().await;
    let metric = "    1: {metric: {name: accuracy, column: accuracy, prediction: label, target: label, id: id}, input: public}\n";
    let folder = closed()
        .edit("tasks: [0]", "tasks: [0, 1]")
        .edit(
            "reference_data: reference}",
            "reference_data: reference}\n- {index: 1, name: T1, description: d, input_data: open, reference_data: reference}",
        )
        .edit("shuyu:\n  tasks:\n", &format!("shuyu:\n  tasks:\n{metric}"))
        .file("open/rows.csv", "id\n0\n");
    let contest = world.import("mixed", &folder).await;
    let alice = world.contestant(&contest, "alice").await;
    let id = world.submit(&contest, alice, "main.py", PROGRAM.as_bytes()).await;
    let (one, two) = (world.lease().await.unwrap(), world.lease().await.unwrap());
    let task = |run: &shuyu::submission::model::Run| run.task;
    let tasks = world.number("SELECT COUNT(*) FROM tasks").await;
    assert_eq!((tasks, task(&one.run) == task(&two.run)), (2, false));
    for lease in [one, two] {
        world.carry(&carrier, lease).await.unwrap();
    }
    let done = world.submission(id).await;
    assert_eq!((done.state, done.disclosed_state), (State::Finished, State::Running), "{:?}", done.reason);
    let kinds: Vec<String> = world.events(id).await.into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, ["status", "status"], "neither steps nor output");
    for run in world.runs(id).await {
        assert!(run.closed && run.told_at.is_none());
        assert_eq!(class_of(run.prediction_log.as_ref()), Class::Hidden);
    }
    world.tick(id).await;
    assert_eq!(world.submission(id).await.disclosed_state, State::Finished);
    assert!(world.runs(id).await.iter().all(|run| run.told_at.is_some()));
}

#[tokio::test]
async fn a_rescore_of_a_closed_run_is_told_at_its_tick() {
    let world = World::new().await;
    let carrier = world.carrier().await;
    let contest = world.import("rescored", &closed()).await;
    let alice = world.contestant(&contest, "alice").await;
    let id = world.submit(&contest, alice, "main.py", PROGRAM.as_bytes()).await;
    world.run_all(&carrier).await;
    world.tick(id).await;
    let before = (world.scores(&contest, id).await, world.events(id).await);
    assert_eq!(before.0["accuracy"], 0.714_286);
    let labels = "id,label\n0,1\n1,0\n2,1\n3,0\n4,1\n5,0\n6,1\n";
    let mended = closed().file("reference/labels.csv", labels);
    let (contest, _) = world.reimport("rescored", &mended, contest.organizer).await;
    let wanted = rescore::Wanted { phase: None, team: None, reason: "labels", priority: queue::URGENT };
    rescore::begin(&world.house, &contest.competition, contest.organizer, &wanted).await.unwrap();
    let next = world.submit(&contest, alice, "next.csv", &predictions(7)).await;
    let lease = world.lease().await.unwrap();
    assert_eq!(lease.run.purpose, Purpose::Rescore);
    world.carry(&carrier, lease).await.unwrap();
    assert_eq!(world.runs(id).await[1].state, RunState::Finished);
    assert_eq!((world.scores(&contest, id).await, world.events(id).await), before);
    // nor does anything else that is put on the board before the tick tell it
    actions::disqualify(&world.house, &contest.competition, id, contest.organizer, Some("x")).await.unwrap();
    actions::disqualify(&world.house, &contest.competition, id, contest.organizer, None).await.unwrap();
    let mut conn = world.house.db.read().await.unwrap();
    let board =
        shuyu::airlock::standings::db::board_changes(&mut conn, contest.phases[0].id, 0).await.unwrap();
    assert_eq!(board[0].entry.scores.get()["accuracy"], 0.714_286);
    drop(conn);
    assert!(world.lease().await.is_none(), "the next run waits for the rescore's tick");
    world.tick(id).await;
    assert_eq!(world.scores(&contest, id).await["accuracy"], 0.285_714);
    assert_eq!(world.events(id).await.len(), before.1.len() + 1);
    assert_eq!(world.lease().await.unwrap().run.submission, next);
}

/// What a run was when it ran counts, not what the bundle says later.
#[tokio::test]
async fn opening_the_input_later_opens_no_past_run() {
    let world = World::new().await;
    let carrier = world.carrier().await;
    let contest = world.import("opened", &closed()).await;
    let alice = world.contestant(&contest, "alice").await;
    let id = world.submit(&contest, alice, "main.py", FAILS.as_bytes()).await;
    world.run_all(&carrier).await;
    world.tick(id).await;
    let open = closed().edit("input: hidden", "input: public");
    let (contest, _) = world.reimport("opened", &open, contest.organizer).await;
    assert!(world.runs(id).await[0].closed);
    let late = world.submit(&contest, alice, "main.py", PROGRAM.as_bytes()).await;
    world.run_all(&carrier).await;
    let run = world.runs(late).await.remove(0);
    assert!(!run.closed && run.told_at == run.finished_at);
}

#[tokio::test]
async fn a_closed_run_that_is_handed_back_seems_under_way() {
    let world = World::new().await;
    let carrier = world.carrier().await;
    let contest = world.import("back", &closed()).await;
    let alice = world.contestant(&contest, "alice").await;
    let hand_back = async |lease: &queue::Lease| {
        let mut tx = world.house.db.begin().await.unwrap();
        queue::hand_back(&mut tx, &world.clock, lease, "a fault", std::time::Duration::ZERO).await.unwrap();
        tx.commit().await.unwrap();
    };
    let id = world.submit(&contest, alice, "main.py", PROGRAM.as_bytes()).await;
    let lease = world.lease().await.unwrap();
    let began = world.submission(id).await.started_at;
    let events = world.events(id).await;
    hand_back(&lease).await;
    world.clock.shift(5_000);
    let waiting = world.submission(id).await;
    assert_eq!((waiting.state, waiting.disclosed_state), (State::Queued, State::Running));
    let again = world.lease().await.unwrap();
    assert_eq!(world.events(id).await, events, "neither the hand-back nor the second begin is told");
    world.carry(&carrier, again).await.unwrap();
    world.tick(id).await;
    let told = world.submission(id).await;
    assert_eq!((told.disclosed_state, told.started_at), (State::Finished, began));
    let took = told.finished_at.unwrap().as_millisecond() - began.unwrap().as_millisecond();
    assert!([10_000, 60_000].contains(&took), "counted from the first begin: {took}");

    // stopped while it waits again: told like one that is stopped under way
    let id = world.submit(&contest, alice, "main.py", PROGRAM.as_bytes()).await;
    hand_back(&world.lease().await.unwrap()).await;
    assert_eq!(actions::cancel(&world.house, id, alice).await.unwrap(), State::Running);
    assert_eq!(world.submission(id).await.disclosed_state, State::Running);
    assert_eq!(world.bits(id).await, [("outcome".to_owned(), 2.0)]);
    world.tick(id).await;
    let told = world.submission(id).await;
    assert_eq!((told.disclosed_state, told.counts), (State::Cancelled, true));
}

/// Why a metric has no value may tell of the labels: the organizer reads it, the team does not.
#[tokio::test]
async fn why_a_metric_has_no_value_is_kept_from_the_team() {
    let world = World::new().await;
    let carrier = world.carrier().await;
    let score = "{name: roc_auc, column: accuracy, prediction: label, target: label, id: id}";
    let folder = native()
        .edit("{name: accuracy, column: accuracy, prediction: label, target: label, id: id}", score)
        .file("reference/labels.csv", "id,label\n0,1\n1,1\n2,1\n3,1\n4,1\n5,1\n6,1\n");
    let contest = world.import("undefined", &folder).await;
    let alice = world.contestant(&contest, "alice").await;
    let id = world.submit(&contest, alice, "a.csv", &predictions(5)).await;
    world.run_all(&carrier).await;
    let told = world.submission(id).await;
    assert_eq!((told.state, told.disclosed_reason.code.as_str()), (State::Failed, "metric-undefined"));
    let text =
        "the metric of column `accuracy` has no value for these predictions; the organizer can read why";
    assert_eq!(told.disclosed_reason.text, text);
    let key: ObjectKey = world.runs(id).await[0].scoring_log.clone().unwrap().parse().unwrap();
    assert_eq!(key.class(), Class::Hidden);
    let log = lane1::scoring_log_for_organizer(&world.house.objects, &key).await.unwrap();
    assert!(log.get().len() > "the metric of column `accuracy` has no value: ".len(), "{}", log.get());
}

#[tokio::test]
async fn a_command_with_a_nul_is_the_uploads_fault() {
    let world = World::new().await;
    let carrier = world.carrier().await;
    let contest = world.import("nul", &closed()).await;
    let alice = world.contestant(&contest, "alice").await;
    let metadata = b"command: \"python3 main.py \\0\"\n";
    let upload = zipped(&[("metadata.yaml", metadata), ("main.py", b"")]);
    let id = world.submit(&contest, alice, "a.zip", &upload).await;
    world.run_all(&carrier).await;
    let told = world.submission(id).await;
    assert_eq!((told.disclosed_state, told.disclosed_reason.code.as_str()), (State::Rejected, "command"));
    assert!(!told.counts);
}
