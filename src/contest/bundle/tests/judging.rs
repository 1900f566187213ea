use jiff::Timestamp;

use super::fixture::Fixture;
use crate::contest::definition::Leaderboard;
use crate::contest::definition::judging::*;

/// A way of judging that is right beside this leaderboard, with some things in it and others not.
pub(super) fn sample(flags: &[bool; 11], board: &Leaderboard) -> Judging {
    let shown = crate::airlock::lane1::visible(board);
    let column = shown.columns.first().filter(|_| !board.hidden).map(|column| column.key.clone());
    let both = |zh: &str, en: &str| Text::of(zh, en);
    let anchor = |mark, text: Text| Anchor { mark, text };
    let criteria = vec![
        Criterion {
            key: "use".to_owned(),
            title: both("实用: 性", "Use: fulness"),
            description: if flags[0] { both("", "- of use?\n- to whom?") } else { Text::default() },
            weight: 37.5,
            max: 10.0,
            step: 0.5,
            anchors: vec![anchor(0.0, both("无", "None")), anchor(7.5, both("好", ""))],
        },
        Criterion {
            key: "novel_1".to_owned(),
            title: Text::Plain("No".to_owned()),
            description: Text::Plain("2024".to_owned()),
            weight: 1.0,
            max: 5.0,
            step: 1.0,
            anchors: Vec::new(),
        },
    ];
    Judging {
        criteria,
        per_entry: if flags[1] { 5 } else { 3 },
        blind: flags[2],
        normalisation: if flags[3] { Normalisation::Zscore } else { Normalisation::Rank },
        disagreement: flags[4].then_some(Disagreement { measure: Spread::Deviation, threshold: 12.5 }),
        weights: Weights { automatic: if column.is_some() { 40.0 } else { 0.0 }, judged: 60.0 },
        automatic: column.map(|column| Automatic {
            column,
            phase: flags[5].then_some(0),
            from: 0.5,
            to: -3.25,
        }),
        ties: vec![Tie::Judged, Tie::Criterion("novel_1".to_owned()), Tie::Automatic, Tie::Earlier],
        deadline: flags[6].then(|| Timestamp::from_second(1_900_000_000).unwrap()),
    }
}

const WRONG: &str = "shuyu:
  judging:
    rubric:
      criteria:
        - {key: Use, title: A, weight: 0, step: 3}
        - key: novel
          anchors:
            11: too much
            x: y
        - {key: novel, title: {zh: 新, fr: neuf}, max: 5}
    judges_per_entry: 0
    blnd: true
    normalisation: average
    disagreement: {threshold: 130}
    weights: {automatic: 40, judged: -1}
    automatic: {column: nowhere, phase: 7, from: 1, to: 1}
    ties: [judged, criterion missing, luck]
";

#[test]
fn mistakes_in_judging_are_named_with_their_lines() {
    let fixture = Fixture::new();
    fixture.edit("shuyu:\n", WRONG);
    insta::assert_snapshot!(fixture.report());
}

#[test]
fn a_short_way_of_judging_has_defaults() {
    let fixture = Fixture::new();
    let short = "shuyu:\n  judging:\n    rubric:\n      scale: 5\n      criteria: [{key: a, title: A}]\n";
    fixture.edit("shuyu:\n", short);
    let judging = fixture.bundle().definition.judging.unwrap();
    // it has entries though nothing is said of them, and these could be changed for ever
    let report = fixture.report();
    assert!(report.contains("warning[entries-never-close]") && report.contains("shuyu.judging"), "{report}");
    let criterion = &judging.criteria[0];
    assert_eq!((criterion.max, criterion.step, criterion.weight), (5.0, 1.0, 1.0));
    assert_eq!(criterion.scale(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    assert_eq!((judging.per_entry, judging.blind), (3, true));
    assert_eq!(judging.weights, Weights { automatic: 0.0, judged: 100.0 });
}

#[test]
fn a_scale_of_tenths_ends_at_its_best_mark() {
    let criterion = Criterion {
        key: String::new(),
        title: Text::default(),
        description: Text::default(),
        weight: 1.0,
        max: 1.0,
        step: 0.1,
        anchors: Vec::new(),
    };
    let scale = criterion.scale();
    assert_eq!((scale.len(), scale[3], scale[10]), (11, 0.3, 1.0));
    assert_eq!(criterion.on_scale(0.1 + 0.2), Some(0.3));
    assert_eq!(criterion.on_scale(0.35), None);
}
