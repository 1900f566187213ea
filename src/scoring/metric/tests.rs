//! Properties that hold whatever the data, and how a declaration is read.

use proptest::prelude::*;

use super::*;

fn spec(name: MetricName) -> MetricSpec {
    MetricSpec::new(name, "score", "p", "t", "id")
}

fn names(classes: usize) -> Vec<String> {
    (0..classes).map(|class| class.to_string()).collect()
}

fn read(yaml: &str) -> Result<MetricList, String> {
    serde_saphyr::from_str(yaml).map_err(|error| error.to_string())
}

#[test]
fn a_declaration_is_one_mapping_or_a_list() {
    let one = read(
        "{name: rmse, column: rmse, prediction: arr_delay, target: arr_delay, id: row_id, range: [0, 300]}",
    );
    let rmse = MetricSpec {
        range: Some([0.0, 300.0]),
        ..MetricSpec::new(MetricName::Rmse, "rmse", "arr_delay", "arr_delay", "row_id")
    };
    assert_eq!(rmse.validate(), []);
    assert_eq!(one.unwrap().0, [rmse]);
    let several = read(
        "- {name: ndcg@10, column: a, prediction: s, target: r, id: i, group: q}\n\
         - {name: f1_macro, column: b, prediction: c, target: t, id: i, labels: [1, 2.0, no]}\n\
         - {name: log_loss, column: c, prediction: [p, q], target: t, id: i, labels: [true, false]}\n\
         - {name: accuracy_score, column: d, prediction: c, target: t, id: i, prediktion: c}\n",
    )
    .unwrap()
    .0;
    assert_eq!((several[0].name, several[0].k), (MetricName::Ndcg, Some(10)));
    assert_eq!((several[1].name, several[1].average), (MetricName::F1, Some(Average::Macro)));
    assert_eq!(several[1].labels.as_ref().unwrap()[..2], ["1".to_owned(), "2".to_owned()]);
    assert_eq!(several[2].labels, Some(vec!["True".to_owned(), "False".to_owned()]));
    let problems = validate_list(&several);
    assert_eq!(problems.len(), 1);
    assert_eq!((problems[0].0, problems[0].1.key.as_str()), (3, "prediktion"));
}

#[test]
fn a_wrong_declaration_says_which_names_there_are() {
    let error = read("{name: rsme, column: a, prediction: p, target: t, id: i}").unwrap_err();
    assert!(error.contains("rsme") && error.contains("rmsle"), "{error}");
    assert!(read("{name: rmse, column: a, target: t, id: i}").unwrap_err().contains("prediction"));
    assert!(read("rmse").is_err());
}

#[test]
fn every_contradiction_is_found() {
    let keys = |spec: MetricSpec| spec.validate().into_iter().map(|found| found.key).collect::<Vec<_>>();
    let rmse = spec(MetricName::Rmse);
    assert_eq!(keys(MetricSpec { range: Some([3.0, 1.0]), ..rmse.clone() }), ["range"]);
    assert_eq!(keys(MetricSpec { range: Some([-1.0, 1.0]), ..rmse.clone() }), ["range"]);
    assert_eq!(keys(MetricSpec { k: Some(3), ..rmse.clone() }), ["k"]);
    assert_eq!(keys(MetricSpec { average: Some(Average::Macro), ..rmse.clone() }), ["average"]);
    assert_eq!(keys(MetricSpec { weights: Some(KappaWeights::Linear), ..rmse.clone() }), ["weights"]);
    assert_eq!(keys(MetricSpec { prediction: vec![], ..rmse.clone() }), ["prediction"]);
    assert_eq!(keys(MetricSpec { id: "p".to_owned(), ..rmse.clone() }), ["prediction"]);
    assert_eq!(keys(MetricSpec { target: "id".to_owned(), ..rmse }), ["target"]);
    assert_eq!(keys(spec(MetricName::Map)), ["group"]);
    let both =
        MetricSpec { average: Some(Average::Macro), pos_label: Some("1".to_owned()), ..spec(MetricName::F1) };
    assert_eq!(keys(both), ["pos_label"]);
    let loss = MetricSpec { labels: Some(names(3)), ..spec(MetricName::LogLoss) };
    assert_eq!(keys(loss), ["labels"]);
    let two = [spec(MetricName::Mae), MetricSpec { id: "other".to_owned(), ..spec(MetricName::Rmse) }];
    let found: Vec<_> = validate_list(&two).into_iter().map(|(index, found)| (index, found.key)).collect();
    assert_eq!(found, [(1, "column".to_owned()), (1, "id".to_owned())]);
}

#[test]
fn classes_have_one_writing() {
    for (written, canonical) in [
        (" a ", "a"),
        ("1.0", "1"),
        ("007", "7"),
        ("-0.0", "0"),
        ("true", "True"),
        ("1e3", "1000"),
        ("nan", "nan"),
    ] {
        assert_eq!(canonical_label(written), canonical);
    }
}

#[test]
fn a_declared_range_bounds_every_row_of_log_loss() {
    let ranged = MetricSpec { range: Some([0.0, 3.0]), ..spec(MetricName::LogLoss) };
    let rows = Rows::Scores { classes: &names(2), truth: &[0, 1], columns: &[&[1.0, 1.0]], weights: None };
    let expected = (3.0 - (1.0 - (-3.0f64).exp()).ln()) / 2.0;
    assert!((ranged.score(&rows).unwrap() - expected).abs() < 1e-15);
}

#[test]
fn what_has_no_value_is_a_typed_error() {
    let empty = Rows::Numbers { truth: &[], predicted: &[], weights: None };
    assert_eq!(spec(MetricName::Rmse).score(&empty), Err(MetricError::NoRows));
    let uneven = Rows::Numbers { truth: &[1.0], predicted: &[], weights: None };
    assert_eq!(spec(MetricName::Rmse).score(&uneven), Err(MetricError::Lengths));
    let numbers = Rows::Numbers { truth: &[1.0], predicted: &[f64::MAX], weights: None };
    assert_eq!(spec(MetricName::Accuracy).score(&numbers), Err(MetricError::WrongRows));
    assert_eq!(spec(MetricName::Rmse).score(&numbers), Err(MetricError::NotFinite));
    let weightless = Rows::Numbers { truth: &[1.0], predicted: &[1.0], weights: Some(&[0.0]) };
    assert_eq!(spec(MetricName::Rmse).score(&weightless), Err(MetricError::Weights));
    let one = Rows::Scores { classes: &names(1), truth: &[0], columns: &[&[0.5]], weights: None };
    assert_eq!(spec(MetricName::RocAuc).score(&one), Err(MetricError::OneClass));
    let ones = Rows::Scores { classes: &names(2), truth: &[0], columns: &[&[1.0], &[1.0]], weights: None };
    assert!(matches!(spec(MetricName::LogLoss).score(&ones), Err(MetricError::Domain(_))));
}

#[test]
fn one_value_for_all_wins_nothing_in_map() {
    let relevance = [1.0, 0.0, 0.0, 0.0];
    let value = |scores: &[f64], k| {
        let rows = Rows::Rankings { relevance: &relevance, scores, queries: None };
        MetricSpec { k, ..spec(MetricName::Map) }.score(&rows).unwrap()
    };
    assert_eq!(value(&[0.5; 4], None), 0.25);
    assert_eq!(value(&[0.5; 4], Some(2)), 0.0);
    assert_eq!(value(&[0.9, 0.5, 0.5, 0.5], Some(2)), 1.0);
}

fn labelled() -> impl Strategy<Value = Vec<(u32, u32, f64)>> {
    prop::collection::vec((0..4u32, 0..4u32, 0.0..1.0f64), 2..300)
}

proptest! {
    #[test]
    fn the_order_of_rows_changes_nothing(rows in labelled(), turn in any::<prop::sample::Index>()) {
        let mut turned = rows.clone();
        turned.rotate_left(turn.index(rows.len()));
        turned.reverse();
        for name in MetricName::ALL {
            let (a, b) = (value(name, &rows), value(name, &turned));
            match (a, b) {
                (Ok(a), Ok(b)) => prop_assert!((a - b).abs() <= 1e-12 * a.abs().max(1.0), "{name}: {a} {b}"),
                (a, b) => prop_assert_eq!(a, b),
            }
        }
    }

    #[test]
    fn values_lie_in_the_natural_range(rows in labelled()) {
        for name in MetricName::ALL {
            if let Ok(value) = value(name, &rows) {
                let [lo, hi] = name.natural_range();
                prop_assert!(value >= lo - 1e-12 && value <= hi + 1e-12, "{name}: {value}");
            }
        }
    }

    #[test]
    fn ranks_survive_any_rising_change_of_scores(rows in labelled()) {
        let changed: Vec<_> = rows.iter().map(|(t, p, s)| (*t, *p, (s * 3.0).exp() - 7.0)).collect();
        for name in [MetricName::RocAuc, MetricName::AveragePrecision, MetricName::Spearman] {
            prop_assert_eq!(value(name, &rows), value(name, &changed));
        }
    }

    #[test]
    fn weights_of_one_are_no_weights(rows in labelled()) {
        let ones = vec![1.0; rows.len()];
        let binary: Vec<u32> = rows.iter().map(|(t, ..)| t % 2).collect();
        let scores: Vec<f64> = rows.iter().map(|(.., s)| (s * 8.0).floor() / 8.0).collect();
        for name in [MetricName::RocAuc, MetricName::AveragePrecision, MetricName::LogLoss] {
            let score = |weights| {
                let rows = Rows::Scores { classes: &names(2), truth: &binary, columns: &[&scores], weights };
                spec(name).score(&rows)
            };
            match (score(None), score(Some(&ones))) {
                (Ok(a), Ok(b)) => prop_assert!((a - b).abs() < 1e-13, "{name}: {a} {b}"),
                (a, b) => prop_assert_eq!(a, b),
            }
        }
    }

    #[test]
    fn turning_the_scores_round_turns_the_area_round(rows in labelled()) {
        let turned: Vec<_> = rows.iter().map(|(t, p, s)| (*t, *p, -s)).collect();
        if let (Ok(a), Ok(b)) = (value(MetricName::RocAuc, &rows), value(MetricName::RocAuc, &turned)) {
            prop_assert!((a + b - 1.0).abs() < 1e-14);
        }
    }
}

/// The metric on rows of (class, class, number), each family taking what it needs.
fn value(name: MetricName, rows: &[(u32, u32, f64)]) -> Result<f64, MetricError> {
    let truth: Vec<u32> = rows.iter().map(|(t, ..)| *t).collect();
    let predicted: Vec<u32> = rows.iter().map(|(_, p, _)| *p).collect();
    let numbers: Vec<f64> = rows.iter().map(|(.., s)| *s).collect();
    match name.family() {
        Family::Classes => {
            let rows =
                Rows::Classes { classes: &names(4), truth: &truth, predicted: &predicted, weights: None };
            MetricSpec { average: Some(Average::Macro), ..spec(name) }.score(&rows)
        }
        Family::Scores => {
            let binary: Vec<u32> = truth.iter().map(|t| t % 2).collect();
            let rows =
                Rows::Scores { classes: &names(2), truth: &binary, columns: &[&numbers], weights: None };
            spec(name).score(&rows)
        }
        Family::Numbers => {
            let truth: Vec<f64> = truth.iter().map(|t| f64::from(*t)).collect();
            spec(name).score(&Rows::Numbers { truth: &truth, predicted: &numbers, weights: None })
        }
        Family::Rankings => {
            let relevance: Vec<f64> = truth.iter().map(|t| f64::from(*t)).collect();
            let rows = Rows::Rankings { relevance: &relevance, scores: &numbers, queries: Some(&predicted) };
            spec(name).score(&rows)
        }
    }
}
