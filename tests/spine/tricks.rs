//! Red team, results (34–41): what programs and archives try to bring out or in.

use shuyu::submission::model::State;

use super::bundles::{self, ECHO, native, predictions, programmed, zipped};
use super::world::World;

/// 34, 35 and their like: what a program leaves in its output directory.
#[tokio::test]
async fn what_is_no_regular_file_is_refused_with_a_clear_reason() {
    let world = World::new().await;
    let carrier = world.carrier().await;
    let contest = world.import("outputs", &native()).await;
    let alice = world.contestant(&contest, "alice").await;
    let tricks = [
        ("os.symlink('/app/input/ref/labels.csv', out + '/predictions.csv')", "output-refused"),
        ("os.symlink('/etc/hostname', out + '/predictions.csv')", "output-refused"),
        ("os.mkfifo(out + '/predictions.csv')", "output-refused"),
        ("open(out + '/predictions.csv', 'w').write('id,label\\n' + '9' * (1 << 20))", "faulty-file"),
        ("open(out + '/predictions.csv', 'w').write('id,label\\n0,1\\n')", "faulty-file"),
        ("pass", "no-predictions"),
        ("sys.exit(3)", "program-failed"),
        // 40: what is printed is no score
        ("print('{\"accuracy\": 1.0}')", "no-predictions"),
    ];
    for (trick, code) in tricks {
        let program = format!("import os, sys\nout = sys.argv[2]\n{trick}\n");
        let id = world.submit(&contest, alice, "main.py", program.as_bytes()).await;
        world.run_all(&carrier).await;
        let done = world.submission(id).await;
        assert_eq!((done.state, done.disclosed_reason.code.as_str()), (State::Failed, code), "{trick}");
        assert!(done.disclosed_reason.text.len() > 20, "{trick}: {:?}", done.disclosed_reason);
        assert!(world.scores(&contest, id).await.is_empty(), "{trick}");
    }
    assert!(world.standing(&contest, 0).await.is_empty());
    carrier.engine.settle().await;
    world.assert_clean(&world.settings);
}

/// What is wrong with an upload is told by its own name.
#[tokio::test]
async fn an_upload_that_is_no_submission_is_told_why() {
    let world = World::new().await;
    let carrier = world.carrier().await;
    let contest = world.import("uploads", &native()).await;
    let alice = world.contestant(&contest, "alice").await;
    let utf16: Vec<u8> = "id,label\n0,1\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let broken = zipped(&[("metadata.yaml", b"command: [python3"), ("main.py", b"")]);
    let silent = zipped(&[("metadata.yaml", b"description: x"), ("main.py", b"")]);
    let tries: [(&str, &[u8], &str, &str); 6] = [
        ("a.csv", &utf16, "wrong-content", "UTF-8"),
        ("a.parquet", b"id,label\n", "wrong-content", "Parquet"),
        ("a.zip", b"id,label\n", "wrong-content", "zip"),
        ("a.zip", &zipped(&[]), "zip-empty", "no file"),
        ("a.zip", &broken, "metadata-unreadable", "line"),
        ("a.zip", &silent, "no-command", "python3 $program/main.py"),
    ];
    for (name, content, code, word) in tries {
        let id = world.submit(&contest, alice, name, content).await;
        world.run_all(&carrier).await;
        let done = world.submission(id).await;
        assert_eq!((done.state, done.disclosed_reason.code.as_str()), (State::Rejected, code), "{name}");
        assert!(done.disclosed_reason.text.contains(word), "{:?}", done.disclosed_reason);
        assert!(!done.counts);
    }
}

/// 39: what a scoring program may write.
#[tokio::test]
async fn scores_are_finite_numbers_of_declared_columns() {
    let world = World::new().await;
    let carrier = world.carrier().await;
    let contest = world.import("scores", &programmed(ECHO)).await;
    let alice = world.contestant(&contest, "alice").await;
    let deep = format!("{{\"points\": 1, \"x\": {}{}}}", "[".repeat(20_000), "]".repeat(20_000));
    let huge = format!("{{\"points\": 1{}}}", "0".repeat(70_000));
    let tries: [(&str, Option<f64>); 7] = [
        ("{\"points\": NaN}", None),
        ("{\"points\": 1e999}", None),
        ("{\"points\": {\"a\": 1}}", None),
        ("{\"other\": 1}", None),
        (&deep, None),
        (&huge, None),
        ("{\"points\": 0.12345678, \"extra\": {\"labels\": [1, 0]}, \"n\": NaN}", Some(0.123_457)),
    ];
    for (written, told) in tries {
        let shown = &written[..written.len().min(60)];
        let id = world.submit(&contest, alice, "a.zip", &zipped(&[("out.json", written.as_bytes())])).await;
        world.run_all(&carrier).await;
        let done = world.submission(id).await;
        let scores = world.scores(&contest, id).await;
        match told {
            Some(points) => {
                assert_eq!(scores.into_iter().collect::<Vec<_>>(), [("points".to_owned(), points)])
            }
            None => {
                assert_eq!(done.state, State::Failed, "{shown}");
                assert!(
                    done.disclosed_reason.code.starts_with("scor"),
                    "{shown}: {:?}",
                    done.disclosed_reason
                );
                assert!(scores.is_empty(), "{shown}");
            }
        }
    }
}

/// 34 again, for the scorer's side: it cannot pass a label file off as its scores.
#[tokio::test]
async fn a_scorers_link_is_the_organizers_fault_and_costs_the_team_nothing_but_the_run() {
    let world = World::new().await;
    let carrier = world.carrier().await;
    let score = "import os, sys; os.symlink('/app/input/ref/labels.csv', sys.argv[2] + '/scores.json')";
    let contest = world.import("link", &programmed(score)).await;
    let alice = world.contestant(&contest, "alice").await;
    let id = world.submit(&contest, alice, "a.zip", &zipped(&[("out.json", b"{}")])).await;
    world.run_all(&carrier).await;
    let done = world.submission(id).await;
    assert_eq!((done.state, done.disclosed_reason.code.as_str()), (State::Failed, "scorer-output"));
    assert!(done.disclosed_reason.text.contains("organizer"), "{:?}", done.disclosed_reason);
}

/// 36, 37: archives that lead outside or swell.
#[tokio::test]
async fn bad_archives_are_rejected_with_a_mend_and_cost_no_quota() {
    let world = World::new().await;
    let carrier = world.carrier().await;
    let contest = world.import("zips", &native()).await;
    let alice = world.contestant(&contest, "alice").await;
    let bomb = vec![0u8; 200 << 20];
    let archives: Vec<(&str, Vec<u8>)> = vec![
        ("up", zipped(&[("../../escape.csv", b"id,label\n")])),
        ("absolute", zipped(&[("/etc/escape.csv", b"id,label\n")])),
        ("bomb", deflated("predictions.csv", &bomb)),
        ("no zip", predictions(3)),
        ("cut", zipped(&[("predictions.csv", &predictions(7))])[..40].to_vec()),
        ("empty", zipped(&[])),
    ];
    for (name, archive) in archives {
        let id = world.submit(&contest, alice, "a.zip", &archive).await;
        world.run_all(&carrier).await;
        let done = world.submission(id).await;
        assert_eq!((done.state, done.counts), (State::Rejected, false), "{name}: {:?}", done.reason);
        assert!(!done.disclosed_reason.code.is_empty() && done.disclosed_reason.text.len() > 20, "{name}");
        assert!(world.bits(id).await.is_empty(), "{name}");
    }
    assert!(!world.dir.path().join("escape.csv").exists());
    carrier.engine.settle().await;
    world.assert_clean(&world.settings);
}

fn deflated(name: &str, content: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    archive.start_file(name, options).unwrap();
    archive.write_all(content).unwrap();
    archive.finish().unwrap().into_inner()
}

/// 41: names and messages are data; what shows them escapes them.
#[tokio::test]
async fn names_and_messages_survive_as_they_were_typed() {
    let world = World::new().await;
    let carrier = world.carrier().await;
    let contest = world.import("names", &native()).await;
    let alice = world.contestant(&contest, "alice").await;
    let mut request = world.request(alice, "\u{1b}[31m<script>alert(1)</script>.csv");
    request.message = "\u{1b}]0;x\u{7}<img src=x onerror=alert(1)>'; DROP TABLE runs; --".to_owned();
    request.display_name = "<b>小明</b>\u{1b}[2J".to_owned();
    let (name, message) = (request.file_name.clone(), request.message.clone());
    let id = world.try_submit(&contest, 0, request, &predictions(5)[..]).await.unwrap().id;
    world.run_all(&carrier).await;
    let kept = world.submission(id).await;
    assert_eq!((kept.state, kept.file_name, kept.message), (State::Finished, name, message));
    let mut conn = world.house.db.read().await.unwrap();
    let team = shuyu::contest::entry::db::team_by_id(&mut conn, kept.team).await.unwrap().unwrap();
    assert_eq!(team.name, "<b>小明</b>[2J", "no control characters in a team's name");
}

/// A program's command is no shell's: what stands in it goes to the program as it is.
#[tokio::test]
async fn a_commands_words_are_not_a_shells() {
    let world = World::new().await;
    let carrier = world.carrier().await;
    let contest = world.import("shell", &native()).await;
    let alice = world.contestant(&contest, "alice").await;
    let program = format!(
        "import sys\nassert sys.argv[3:] == [';', 'echo', '$(id)', '&&', 'x'], sys.argv\n{}",
        bundles::PROGRAM
    );
    let metadata = b"command: python3 $program/main.py $input $output ; echo $(id) && x";
    let archive = zipped(&[("metadata.yaml", metadata), ("main.py", program.as_bytes())]);
    let id = world.submit(&contest, alice, "a.zip", &archive).await;
    world.run_all(&carrier).await;
    let done = world.submission(id).await;
    assert_eq!(done.state, State::Finished, "{:?}", done.reason);
}
