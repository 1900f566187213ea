//! Native metrics against scikit-learn, run by the Python of the sandbox image `shuyu/python` or by
//! the command in `SHUYU_TEST_PYTHON`. Without either the test fails: it is the oracle.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says what it could not do by failing")]

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use shuyu::scoring::metric::{Average, KappaWeights, MetricError, MetricName, MetricSpec, Rows};

/// Largest difference from scikit-learn, relative to the larger of the value and 1.
const TOLERANCE: f64 = 1e-12;

/// One comparison: what scikit-learn gets and what ours said.
struct Case {
    request: Value,
    ours: Result<f64, MetricError>,
}

/// Reproducible numbers (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u32 {
        (self.next() % bound) as u32
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

fn python() -> Command {
    if let Ok(prefix) = std::env::var("SHUYU_TEST_PYTHON") {
        let mut words = prefix.split_whitespace();
        let mut command = Command::new(words.next().expect("SHUYU_TEST_PYTHON names a command"));
        command.args(words);
        return command;
    }
    let listed = Command::new("docker")
        .args(["images", "--format", "{{.Repository}}:{{.Tag}}", "shuyu/python"])
        .output()
        .expect("docker runs, or SHUYU_TEST_PYTHON names a Python with scikit-learn");
    let listed = String::from_utf8(listed.stdout).unwrap();
    let image = listed.lines().next().expect(
        "the sandbox image shuyu/python is built (shuyu image build python), or SHUYU_TEST_PYTHON names a Python",
    );
    let mut command = Command::new("docker");
    command.args(["run", "--rm", "-i", "--network", "none", image, "python3"]);
    command
}

fn ask_scikit_learn(cases: &[Case]) -> Vec<Value> {
    let script = include_str!("oracle/metrics.py");
    let mut child = python()
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the oracle's Python starts");
    let requests: Vec<&Value> = cases.iter().map(|case| &case.request).collect();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&serde_json::to_vec(&requests).unwrap()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "the oracle failed");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn compare(cases: &[Case]) {
    let answers = ask_scikit_learn(cases);
    assert_eq!(answers.len(), cases.len());
    let mut wrong = Vec::new();
    for (case, answer) in cases.iter().zip(&answers) {
        let agrees = match (&case.ours, answer["value"].as_f64()) {
            (Ok(ours), Some(theirs)) => (ours - theirs).abs() <= TOLERANCE * theirs.abs().max(1.0),
            (Err(_), None) => answer["error"].is_string(),
            _ => false,
        };
        if !agrees {
            let about = (&case.request["metric"], &case.request["options"], &case.request["note"]);
            wrong.push(format!("{about:?}: ours {:?}, scikit-learn {answer}", case.ours));
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

fn spec(name: MetricName) -> MetricSpec {
    MetricSpec::new(name, "score", "p", "t", "id")
}

fn names(classes: usize) -> Vec<String> {
    (0..classes).map(|class| class.to_string()).collect()
}

fn with_weights(mut request: Value, weights: Option<&[f64]>) -> Value {
    if let Some(weights) = weights {
        request["weights"] = json!(weights);
    }
    request
}

/// Every way to ask for a class metric.
fn class_specs() -> Vec<(MetricSpec, Value)> {
    let mut specs = Vec::new();
    for name in [MetricName::Accuracy, MetricName::BalancedAccuracy, MetricName::MatthewsCorrcoef] {
        specs.push((spec(name), json!({})));
    }
    for name in [MetricName::Precision, MetricName::Recall, MetricName::F1] {
        for (average, text) in [
            (Average::Binary, "binary"),
            (Average::Macro, "macro"),
            (Average::Micro, "micro"),
            (Average::Weighted, "weighted"),
        ] {
            let plain = MetricSpec { average: Some(average), ..spec(name) };
            specs.push((plain.clone(), json!({"average": text})));
            if average != Average::Binary {
                let among = MetricSpec { labels: Some(vec!["0".into(), "2".into()]), ..plain };
                specs.push((among, json!({"average": text, "labels": [0, 2]})));
            }
        }
        let zero = MetricSpec { pos_label: Some("0".into()), ..spec(name) };
        specs.push((zero, json!({"average": "binary", "pos_label": 0})));
    }
    for (weights, text) in [
        (KappaWeights::None, json!(null)),
        (KappaWeights::Linear, json!("linear")),
        (KappaWeights::Quadratic, json!("quadratic")),
    ] {
        let kappa = MetricSpec { weights: Some(weights), ..spec(MetricName::CohenKappa) };
        specs.push((kappa, json!({"weights": text})));
    }
    specs
}

#[test]
fn class_metrics_agree() {
    let mut random = Random(1);
    let mut cases = Vec::new();
    for (note, classes_true, classes_predicted, rows) in [
        ("binary", 2, 2, 500),
        ("three", 3, 3, 700),
        ("many", 90, 95, 3000),
        ("unpredicted class", 4, 2, 300),
        ("unknown class predicted", 2, 4, 300),
        ("only ones", 1, 1, 20),
        ("one true class", 1, 2, 50),
        ("one row", 2, 2, 1),
    ] {
        let offset = u32::from(note == "only ones");
        let truth: Vec<u32> = (0..rows).map(|_| offset + random.below(classes_true)).collect();
        // Right about half of the time, so that no metric sits at chance.
        let predicted: Vec<u32> = truth
            .iter()
            .map(|t| {
                let guess = offset + random.below(classes_predicted);
                if random.unit() < 0.5 && u64::from(*t) < classes_predicted { *t } else { guess }
            })
            .collect();
        let weights: Vec<f64> =
            (0..rows).map(|_| if random.unit() < 0.1 { 0.0 } else { random.unit() }).collect();
        let classes = names(96);
        for (spec, options) in class_specs() {
            for weights in [None, Some(weights.as_slice())] {
                if weights.is_some_and(|weights| weights.iter().sum::<f64>() == 0.0) {
                    continue;
                }
                let rows = Rows::Classes { classes: &classes, truth: &truth, predicted: &predicted, weights };
                let name = spec.name.as_str();
                let request = json!({"metric": name, "truth": truth, "predicted": predicted,
                    "options": options, "note": note});
                cases.push(Case { request: with_weights(request, weights), ours: spec.score(&rows) });
            }
        }
    }
    compare(&cases);
}

#[test]
fn score_metrics_agree() {
    let mut random = Random(2);
    let mut cases = Vec::new();
    for (note, rows, levels) in
        [("smooth", 1000, 1 << 30), ("ties", 800, 7), ("constant", 60, 1), ("large", 150_000, 5000)]
    {
        let truth: Vec<u32> = (0..rows).map(|_| u32::from(random.unit() < 0.3)).collect();
        let scores: Vec<f64> = truth
            .iter()
            .map(|t| ((random.unit() + f64::from(*t)) / 2.0 * f64::from(levels)).floor() / f64::from(levels))
            .collect();
        let weights: Vec<f64> = (0..rows).map(|_| f64::from(random.below(4))).collect();
        for name in [MetricName::RocAuc, MetricName::AveragePrecision, MetricName::LogLoss] {
            for weights in [None, Some(weights.as_slice())] {
                let columns = [scores.as_slice()];
                let rows = Rows::Scores { classes: &names(2), truth: &truth, columns: &columns, weights };
                let request =
                    json!({"metric": name.as_str(), "truth": truth, "predicted": scores, "note": note});
                cases.push(Case { request: with_weights(request, weights), ours: spec(name).score(&rows) });
            }
        }
    }
    cases.extend(one_class_cases());
    cases.extend(several_columns(&mut random));
    compare(&cases);
}

/// A target with a single class, and scores that are no probabilities.
fn one_class_cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let scores = [0.1, 0.9, 0.4];
    for (truth, classes) in [([0u32; 3], names(1)), ([1u32; 3], names(2))] {
        for name in [MetricName::RocAuc, MetricName::AveragePrecision, MetricName::LogLoss] {
            // The classes found in the truth, as a reader finds them.
            let found: Vec<String> = classes[classes.len() - 1..].to_vec();
            let rows = Rows::Scores { classes: &found, truth: &[0; 3], columns: &[&scores], weights: None };
            let request =
                json!({"metric": name.as_str(), "truth": truth, "predicted": scores, "note": "one class"});
            cases.push(Case { request, ours: spec(name).score(&rows) });
        }
    }
    let truth = [0u32, 1, 0];
    for scores in [[0.1, 1.5, 0.4], [-0.1, 0.5, 0.4]] {
        let rows = Rows::Scores { classes: &names(2), truth: &truth, columns: &[&scores], weights: None };
        let request =
            json!({"metric": "log_loss", "truth": truth, "predicted": scores, "note": "no probability"});
        cases.push(Case { request, ours: spec(MetricName::LogLoss).score(&rows) });
    }
    let edge = [0.0, 1.0, 1.0];
    let rows = Rows::Scores { classes: &names(2), truth: &truth, columns: &[&edge], weights: None };
    let request =
        json!({"metric": "log_loss", "truth": truth, "predicted": edge, "note": "certain and wrong"});
    cases.push(Case { request, ours: spec(MetricName::LogLoss).score(&rows) });
    cases
}

/// One probability column by class.
fn several_columns(random: &mut Random) -> Vec<Case> {
    let mut cases = Vec::new();
    for (note, classes, in_truth, rows) in
        [("three", 3usize, 3, 600), ("declared, one absent", 4, 3, 400), ("two columns", 2, 2, 300)]
    {
        let truth: Vec<u32> = (0..rows).map(|_| random.below(in_truth)).collect();
        let mut columns = vec![Vec::new(); classes];
        let mut predicted = Vec::new();
        for t in &truth {
            let raw: Vec<f64> = (0..classes)
                .map(|c| f64::from(random.below(20)) + 1.0 + if c == *t as usize { 9.0 } else { 0.0 })
                .collect();
            let total: f64 = raw.iter().sum();
            let row: Vec<f64> = raw.iter().map(|x| x / total).collect();
            columns.iter_mut().zip(&row).for_each(|(column, p)| column.push(*p));
            predicted.push(row);
        }
        let weights: Vec<f64> = (0..rows).map(|_| random.unit()).collect();
        let slices: Vec<&[f64]> = columns.iter().map(Vec::as_slice).collect();
        let mut asked = vec![(MetricName::LogLoss, None, json!({}))];
        if classes > 2 {
            asked.push((MetricName::RocAuc, Some(Average::Macro), json!({"average": "macro"})));
            asked.push((MetricName::RocAuc, Some(Average::Weighted), json!({"average": "weighted"})));
        }
        if classes == 3 {
            asked.push((MetricName::AveragePrecision, Some(Average::Macro), json!({"average": "macro"})));
            asked.push((
                MetricName::AveragePrecision,
                Some(Average::Weighted),
                json!({"average": "weighted"}),
            ));
        }
        for (name, average, mut options) in asked {
            if name != MetricName::AveragePrecision {
                options["labels"] = json!((0..classes).collect::<Vec<_>>());
            }
            for weights in [None, Some(weights.as_slice())] {
                let rows =
                    Rows::Scores { classes: &names(classes), truth: &truth, columns: &slices, weights };
                let ours = MetricSpec { average, ..spec(name) }.score(&rows);
                let request = json!({"metric": name.as_str(), "truth": truth, "predicted": predicted,
                    "options": options, "note": note});
                cases.push(Case { request: with_weights(request, weights), ours });
            }
        }
    }
    cases
}

#[test]
fn number_metrics_agree() {
    let mut random = Random(3);
    let metrics = [
        MetricName::Rmse,
        MetricName::Mae,
        MetricName::Mape,
        MetricName::Rmsle,
        MetricName::R2,
        MetricName::Spearman,
    ];
    let mut columns: Vec<(&str, Vec<f64>, Vec<f64>)> = vec![
        ("constant target", vec![3.0; 10], (0..10).map(f64::from).collect()),
        ("constant, hit", vec![3.0; 10], vec![3.0; 10]),
        ("one row", vec![2.0], vec![1.0]),
        ("zeros in the target", vec![0.0, 1.0, 0.0, 2.0], vec![0.5, 1.0, 0.0, 3.0]),
        ("minus one", vec![0.0, 1.0], vec![-1.0, 2.0]),
        ("minus one in the target", vec![-1.0, 1.0], vec![0.0, 2.0]),
        ("far from zero", (0..5000).map(|n| 1e9 + f64::from(n)).collect(), vec![1e9; 5000]),
    ];
    for (note, rows, levels) in [("smooth", 2000, 1e9), ("ties", 1500, 5.0), ("large", 200_000, 1e6)] {
        let truth: Vec<f64> = (0..rows).map(|_| (random.unit() * levels).floor()).collect();
        let predicted =
            truth.iter().map(|t| (t + (random.unit() - 0.5) * levels).abs().floor()).collect::<Vec<_>>();
        columns.push((note, truth, predicted));
    }
    let mut cases = Vec::new();
    for (note, truth, predicted) in &columns {
        let weights: Vec<f64> = truth.iter().map(|_| random.unit()).collect();
        for name in metrics {
            for weights in [None, Some(weights.as_slice())] {
                if weights.is_some() && name == MetricName::Spearman {
                    continue;
                }
                let ours = spec(name).score(&Rows::Numbers { truth, predicted, weights });
                let request =
                    json!({"metric": name.as_str(), "truth": truth, "predicted": predicted, "note": note});
                cases.push(Case { request: with_weights(request, weights), ours });
            }
        }
    }
    compare(&cases);
}

#[test]
fn ranking_metrics_agree() {
    let mut random = Random(4);
    let mut cases = Vec::new();
    for (note, levels) in [("smooth", 1 << 30), ("ties", 4), ("constant", 1)] {
        let queries: Vec<u32> = (0..1500).map(|_| random.below(60)).collect();
        let relevance: Vec<f64> = queries.iter().map(|_| f64::from(random.below(4))).collect();
        let scores: Vec<f64> =
            relevance.iter().map(|r| (f64::from(random.below(levels)) + r).floor()).collect();
        for (name, ks) in
            [(MetricName::Ndcg, vec![None, Some(1), Some(5), Some(1000)]), (MetricName::Map, vec![None])]
        {
            for k in ks {
                let ours = MetricSpec { k, ..spec(name) }.score(&Rows::Rankings {
                    relevance: &relevance,
                    scores: &scores,
                    queries: Some(&queries),
                });
                let request = json!({"metric": name.as_str(), "truth": relevance, "predicted": scores,
                    "groups": queries, "k": k, "note": note});
                cases.push(Case { request, ours });
            }
        }
    }
    for relevance in [[-1.0, 2.0], [0.0, 0.0]] {
        let rows = Rows::Rankings { relevance: &relevance, scores: &[0.5, 0.1], queries: Some(&[0, 0]) };
        let request = json!({"metric": "ndcg", "truth": relevance, "predicted": [0.5, 0.1], "groups": [0, 0],
            "k": null, "note": "edge"});
        cases.push(Case { request, ours: spec(MetricName::Ndcg).score(&rows) });
    }
    compare(&cases);
}
