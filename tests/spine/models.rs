//! Submitted models: looked at before they run, run by the platform's own runner, scored as predictions are.

use shuyu::store::{Class, ObjectKey};
use shuyu::submission::model::{Aim, Kind, Run, State, Submission};
use shuyu::submission::worker::Worker;
use tokio_util::sync::CancellationToken;

use super::bundles::{Folder, board, native, phase, predictions, zipped};
use super::diode::class_of;
use super::support::onnx::{Message, floats, message, model, model_with, node, port, tensor};
use super::world::{Contest, World};

/// A competition whose labels are its feature `a`, with more keys of its task's extension.
fn competition(input: &str, more: &str) -> Folder {
    let rows: String = (0..70).map(|row| format!("{row},{}.5,{},k{row}\n", row % 7, row % 3)).collect();
    let labels: String = (0..70).map(|row| format!("{row},{}.5\n", row % 7)).collect();
    let metric = "{name: rmse, column: rmse, prediction: label, target: label, id: id, range: [0, 100]}";
    Folder::new(
        "- {index: 0, name: T0, description: d, input_data: input, reference_data: reference}",
        &phase(0, 0, 0, "[0]").replace("execution_time_limit: 60", "execution_time_limit: 20"),
        &board("Force_Best", &[("rmse", "sorting: asc")]),
        &format!(
            "  tasks:\n    0:\n      metric: {metric}\n      input: {input}\n      \
             model: {{table: rows.csv, features: [a, b, c], max_bytes: 1MiB}}\n{more}"
        ),
    )
    .file("input/rows.csv", format!("id,a,b,c\n{rows}"))
    .file("reference/labels.csv", format!("id,label\n{labels}"))
}

const MAPPING: &str = "inputs: {X: [a, b]}\noutput: y\n";

fn with(mapping: &str, model: &Message) -> Vec<u8> {
    zipped(&[("model.yaml", mapping.as_bytes()), ("m.onnx", &model.0)])
}

async fn log(world: &World, run: &Run) -> String {
    let key: ObjectKey = run.prediction_log.as_ref().expect("a log").parse().unwrap();
    String::from_utf8_lossy(&world.house.objects.get_bytes(&key, 1 << 20).await.unwrap()).into_owned()
}

/// Submits a file and carries its runs to their end.
async fn ran(world: &World, contest: &Contest, user: &str, file: (&str, &[u8])) -> (Submission, Run) {
    let carrier = world.carrier().await;
    let user = world.contestant(contest, user).await;
    let id = world.submit(contest, user, file.0, file.1).await;
    assert!(world.run_all(&carrier).await > 0);
    carrier.engine.settle().await;
    world.assert_clean(&world.settings);
    (world.submission(id).await, world.runs(id).await.remove(0))
}

#[tokio::test]
async fn a_model_scores_without_a_program() {
    let world = World::new().await;
    let contest = world.import("models", &competition("public", "")).await;
    let (done, run) = ran(&world, &contest, "alice", ("m.zip", &with(MAPPING, &model()))).await;
    assert_eq!((done.kind, done.state), (Kind::Model, State::Finished), "{:?}", done.reason);
    assert_eq!(world.scores(&contest, done.id).await["rmse"], 0.0);
    assert_eq!(world.standing(&contest, 0).await, [done.id]);
    assert!(!run.closed && log(&world, &run).await.starts_with("70 rows"), "{}", log(&world, &run).await);

    // alone, where its inputs are called like columns; one takes text, which passes by
    let graph = message().within(11, port("a", 1, &[0, 1])).within(11, port("c", 8, &[0, 1]));
    let graph = graph.within(12, port("out", 1, &[0, 1]));
    let nodes = [node("Identity", &["a"], &["out"]), node("Identity", &["c"], &["same"])];
    let graph = nodes.into_iter().fold(graph, |graph, node| graph.within(1, node));
    let by_name = message().number(1, 10).within(8, message().number(2, 15)).within(7, graph);
    let (done, _) = ran(&world, &contest, "bob", ("模型 1.onnx", &by_name.0)).await;
    assert_eq!(done.state, State::Finished, "{:?}", done.reason);
    assert_eq!(world.scores(&contest, done.id).await["rmse"], 0.0);

    // programs and predictions are taken as before
    let rows: String = (0..70).map(|row| format!("{row},{}.5\n", row % 7)).collect();
    let (done, _) = ran(&world, &contest, "carol", ("p.csv", format!("id,label\n{rows}").as_bytes())).await;
    assert_eq!((done.kind, done.state), (Kind::Result, State::Finished), "{:?}", done.reason);
}

#[tokio::test]
async fn a_fixed_number_of_rows_is_fed_row_by_row() {
    let world = World::new().await;
    let contest = world.import("fixed", &competition("public", "")).await;
    let graph = message().within(11, port("X", 1, &[32, 2])).within(12, port("y", 1, &[32, 1]));
    let graph = graph.within(5, floats("w", &[2, 1], &[1.0, 0.0]));
    let graph = graph.within(1, node("MatMul", &["X", "w"], &["y"]));
    let fixed = message().number(1, 10).within(8, message().number(2, 15)).within(7, graph);
    let (done, _) = ran(&world, &contest, "alice", ("m.zip", &with("inputs: {X: [a, b]}", &fixed))).await;
    assert_eq!(done.state, State::Finished, "{:?}", done.reason);
    assert_eq!(world.scores(&contest, done.id).await["rmse"], 0.0);
}

#[tokio::test]
async fn what_may_not_run_is_refused_before_it_does() {
    let world = World::new().await;
    let carrier = world.carrier().await;
    let contest = world.import("picky", &competition("public", "")).await;
    let alice = world.contestant(&contest, "alice").await;
    let fine = [node("MatMul", &["X", "w"], &["y"])];
    let zip = |model: &Message| with(MAPPING, model);
    let custom = node("Evil", &["X"], &["y"]).text(7, "com.evil");
    let elsewhere =
        tensor("v", &[1], 4).within(13, message().text(1, "location").text(2, "../../etc/passwd"));
    let circle = [node("Add", &["X", "b"], &["a"]), node("Neg", &["a"], &["b"]), node("Neg", &["b"], &["y"])];
    let mut deep = message();
    for _ in 0..1000 {
        deep = message().within(1, node("If", &["X"], &["y"]).within(5, message().within(6, deep)));
    }
    let old = message().number(1, 10).within(8, message().number(2, 3)).within(7, message());
    let refused: [(&str, Vec<u8>, &str, &str); 17] = [
        ("m.zip", zip(&model_with(message(), &[custom])), "model-operator", "com.evil"),
        ("m.zip", zip(&model_with(message().within(5, elsewhere), &fine)), "model-external-data", "inside"),
        ("m.zip", zip(&model_with(message(), &circle)), "model-graph", "circle"),
        (
            "m.zip",
            zip(&model_with(message().within(5, tensor("v", &[1 << 40], 4)), &fine)),
            "model-shape",
            "MiB",
        ),
        ("m.zip", zip(&message().within(7, deep)), "model-complex", "graphs within graphs"),
        ("m.onnx", [model().0, vec![0x3a, 0xff, 0xff, 0xff, 0x7f]].concat(), "model-unreadable", "longer"),
        ("m.onnx", b"version https://git-lfs.github.com/spec/v1".to_vec(), "model-unreadable", "export"),
        ("m.onnx", vec![0x3a; (1 << 20) - 1], "model-unreadable", "export"),
        (
            "m.zip",
            zip(&model_with(message().bytes(10, &vec![b'x'; 1 << 20]), &fine)),
            "model-too-large",
            "1048576",
        ),
        ("m.onnx", old.0, "model-opset", "7 to 28"),
        ("m.onnx", model().within(25, message()).0, "model-functions", "inline"),
        ("m.onnx", model().0, "model-mapping", "inputs: {X: [A, B]}"),
        ("m.zip", with("inputs: {X: [a, secret]}", &model()), "model-mapping", "a, b, c"),
        ("m.zip", with("inputs: [a]\n", &model()), "model-manifest", "line 1"),
        ("m.zip", zipped(&[("a.onnx", &model().0), ("b.onnx", &model().0)]), "model-files", "2 .onnx"),
        ("m.onnx", b"\x80\x04\x95\x10\x00".to_vec(), "model-pickle", "skl2onnx"),
        (
            "m.zip",
            zipped(&[("model/model.pkl", b"\x80\x04."), ("README.md", b"hello")]),
            "model-pickle",
            "model.pkl",
        ),
    ];
    for (name, content, code, word) in refused {
        let request = world.request(alice, name);
        let id = world.try_submit(&contest, 0, request, content.as_slice()).await.unwrap().id;
        world.run_all(&carrier).await;
        let done = world.submission(id).await;
        assert_eq!(
            (done.state, done.reason.code.as_str(), done.counts),
            (State::Rejected, code, false),
            "{:?}",
            done.reason
        );
        assert!(done.reason.text.contains(word), "{}", done.reason.text);
    }
    let pickle = world.try_submit(&contest, 0, world.request(alice, "model.joblib"), &b"x"[..]).await;
    assert!(pickle.unwrap_err().to_string().contains("skl2onnx"));
    let tables = world.import("tables", &native()).await;
    let bob = world.contestant(&tables, "bob").await;
    let id = world.submit(&tables, bob, "m.onnx", &model().0).await;
    world.run_all(&carrier).await;
    assert_eq!(world.submission(id).await.reason.code, "no-models");
    // beside a table, a file called like a model's is nothing
    let result = zipped(&[("predictions.csv", &predictions(7)), ("model.yaml", b"a: b")]);
    let id = world.submit(&tables, bob, "p.zip", &result).await;
    world.run_all(&carrier).await;
    assert_eq!(world.submission(id).await.kind, Kind::Result);
    carrier.engine.settle().await;
    world.assert_clean(&world.settings);
}

/// A loop that goes on for as long as it is let.
fn endless() -> Message {
    let scalar = |name: &str, kind: i64| {
        message().text(1, name).within(2, message().within(1, message().number(1, kind).within(2, message())))
    };
    let body = message().within(1, node("Identity", &["c"], &["d"])).within(1, node("Sin", &["v"], &["u"]));
    let body = body.within(11, scalar("i", 7)).within(11, scalar("c", 9)).within(11, port("v", 1, &[0, 2]));
    let body = body.text(2, "body").within(12, scalar("d", 9)).within(12, port("u", 1, &[0, 2]));
    let body = message().text(1, "body").number(20, 5).within(6, body);
    let times = message().number(2, 7).text(8, "times").number(7, i64::MAX);
    let on = message().number(2, 9).text(8, "on").number(5, 1);
    let nodes = [
        node("Loop", &["times", "on", "X"], &["looped"]).within(5, body),
        node("MatMul", &["looped", "w"], &["y"]),
    ];
    model_with(message().within(5, times).within(5, on), &nodes)
}

/// A tensor whose shape nobody knows before it is worked out.
fn hungry() -> Message {
    let side = message().number(1, 1).number(2, 7).text(8, "side").number(7, 200_000);
    let sum = [("keepdims", 0)].iter().fold(node("ReduceSum", &["full"], &["sum"]), |node, (name, value)| {
        node.within(5, message().text(1, name).number(3, *value).number(20, 2))
    });
    let nodes = [
        node("Mul", &["side", "side"], &["sides"]),
        node("ConstantOfShape", &["sides"], &["full"]),
        sum,
        node("MatMul", &["X", "w"], &["z"]),
        node("Add", &["z", "sum"], &["y"]),
    ];
    model_with(message().within(5, side), &nodes)
}

#[tokio::test]
async fn what_takes_too_much_ends_as_a_program_does() {
    let world = World::new().await;
    let folder = competition("public", "      resources: {memory: 512MiB}\n");
    let contest =
        world.import("heavy", &folder.edit("execution_time_limit: 20", "execution_time_limit: 6")).await;
    let wrong = model_with(message(), &[node("Mul", &["X", "w"], &["y"])]);
    for (user, model, code, word) in [
        ("endless", endless(), "model-time-limit", "6 s"),
        ("hungry", hungry(), "model-out-of-memory", "512 MiB"),
        // what only shows when it is run
        ("wrong", wrong, "model-failed", "could not be run"),
    ] {
        let (done, _) = ran(&world, &contest, user, ("m.zip", &with(MAPPING, &model))).await;
        assert_eq!((done.state, done.reason.code.as_str()), (State::Failed, code), "{:?}", done.reason);
        assert!(done.reason.text.contains(word), "{}", done.reason.text);
    }
}

#[tokio::test]
async fn on_hidden_input_a_models_run_is_closed() {
    let world = World::new().await;
    let twin = "      twin: {input: twin/input, reference: twin/reference}\n";
    let folder = competition("hidden", twin)
        .file("twin/input/rows.csv", "id,a,b,c\n0,1.5,0,x\n1,,1,\n")
        .file("twin/reference/labels.csv", "id,label\n0,1.5\n1,2\n");
    let contest = world.import("hidden", &folder).await;
    let (done, run) = ran(&world, &contest, "alice", ("m.zip", &with(MAPPING, &model()))).await;
    assert!(run.closed);
    assert_eq!((done.state, done.disclosed_state), (State::Finished, State::Running), "told at its tick");
    assert_eq!(class_of(run.prediction_log.as_ref()), Class::Hidden);
    assert!(world.events(done.id).await.iter().all(|(kind, _)| kind != "output" && kind != "step"));
    world.tick(done.id).await;
    assert_eq!(world.scores(&contest, done.id).await["rmse"], 0.0);

    // on the twin a gap stays one, and its author reads which line it is
    let carrier = world.carrier().await;
    let mut request = world.request(done.user, "m.zip");
    request.aim = Aim::Trial;
    let trial = world.try_submit(&contest, 0, request, with(MAPPING, &model()).as_slice()).await.unwrap().id;
    world.run_all(&carrier).await;
    let tried = world.submission(trial).await;
    assert_eq!(
        (tried.state, tried.reason.code.as_str()),
        (State::Failed, "faulty-file"),
        "{:?}",
        tried.reason
    );
    let run = world.runs(trial).await.remove(0);
    assert_eq!(
        (class_of(run.prediction_log.as_ref()), log(&world, &run).await.starts_with("2 rows")),
        (Class::Plain, true)
    );
}

#[tokio::test]
async fn a_container_that_waits_takes_a_model_on_too() {
    let world = World::new().await;
    let carrier = world.carrier().await;
    let contest = world.import("warm", &competition("public", "")).await;
    let alice = world.contestant(&contest, "alice").await;
    let engine = carrier.engine.clone();
    let stop = CancellationToken::new();
    let working = tokio::spawn(Worker::new(carrier, "test", 1).keeping_warm(1).work(stop.clone()));
    // the first one tells what kind is asked for
    for _ in 0..2 {
        let id = world.submit(&contest, alice, "m.zip", &with(MAPPING, &model())).await;
        let done = world.over(id).await;
        assert_eq!(done.state, State::Finished, "{:?}", done.reason);
        assert_eq!(world.scores(&contest, id).await["rmse"], 0.0);
        world.until("a container waits", || async { engine.waiting_warm() > 0 }).await;
    }
    stop.cancel();
    working.await.unwrap();
}

#[test]
fn the_runner_converts_and_refuses_as_its_guide_says() {
    let script =
        std::fs::File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracle/run_model.py")).unwrap();
    let docker = ["run", "--rm", "-i", "--network", "none", shuyu::sandbox::PYTHON_IMAGE, "python3", "-"];
    let done = std::process::Command::new("docker").args(docker).stdin(script).output().unwrap();
    let told = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && done.stdout == b"as it should be\n", "{told}");
}
