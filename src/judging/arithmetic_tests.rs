use proptest::prelude::*;

use super::*;
use crate::contest::definition::judging::Text;

fn criterion(key: &str, weight: f64, max: f64) -> Criterion {
    Criterion {
        key: key.to_owned(),
        title: Text::Plain(key.to_owned()),
        description: Text::default(),
        weight,
        max,
        step: 1.0,
        anchors: Vec::new(),
    }
}

fn marks(all: &[(&str, f64)]) -> Marks {
    all.iter().map(|(key, mark)| ((*key).to_owned(), *mark)).collect()
}

fn near(a: f64, b: f64) {
    assert!((a - b).abs() < 1e-9, "{a} is not {b}");
}

#[test]
fn a_sheet_is_the_weighted_mean_of_shares() {
    let rubric = [criterion("a", 30.0, 10.0), criterion("b", 10.0, 5.0)];
    near(sheet_score(&rubric, &marks(&[("a", 6.0), ("b", 5.0)])).unwrap(), 70.0);
    assert_eq!(sheet_score(&rubric, &marks(&[("a", 6.0)])), None, "a mark is missing");
    assert_eq!(sheet_score(&[], &marks(&[])), None);
    near(sheet_score(&rubric, &marks(&[("a", 10.0), ("b", 5.0), ("gone", 1.0)])).unwrap(), 100.0);
}

#[test]
fn z_scores_take_strictness_away_and_a_constant_judge_says_nothing() {
    // judge 0 is mild, judge 1 strict by 40 points; both order the entries alike; judge 2 gives 50 to all
    let scores = [(0, 90.0), (0, 70.0), (1, 50.0), (1, 30.0), (2, 50.0), (2, 50.0)];
    let fair = normalise(Normalisation::Zscore, &scores);
    near(fair[0], fair[2]);
    near(fair[1], fair[3]);
    let (mean, deviation) = moments(&scores.map(|(_, score)| score));
    near(fair[0], mean + deviation);
    near(fair[4], mean);
    near(fair[5], mean);
    near(normalise(Normalisation::Zscore, &[(0, 80.0)])[0], 80.0);
}

#[test]
fn ranks_share_places_and_one_entry_is_in_the_middle() {
    let scores = [(0, 10.0), (0, 30.0), (0, 30.0), (0, 90.0), (1, 99.0)];
    let fair = normalise(Normalisation::Rank, &scores);
    near(fair[0], 0.0);
    near(fair[1], 50.0);
    near(fair[2], 50.0);
    near(fair[3], 100.0);
    near(fair[4], 50.0);
}

#[test]
fn spread_is_of_two_or_more() {
    assert_eq!(spread(Spread::Range, &[50.0]), None);
    near(spread(Spread::Range, &[50.0, 80.0, 60.0]).unwrap(), 30.0);
    near(
        spread(Spread::Deviation, &[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]).unwrap(),
        (32.0_f64 / 7.0).sqrt(),
    );
}

#[test]
fn both_parts_make_a_total() {
    let weights = Weights { automatic: 40.0, judged: 60.0 };
    near(total(weights, Some(50.0), Some(100.0)).unwrap(), 80.0);
    near(total(weights, None, Some(100.0)).unwrap(), 60.0);
    assert_eq!(total(weights, Some(50.0), None), None, "an entry that nobody judged has no rank");
    near(total(Weights { automatic: 1.0, judged: 0.0 }, Some(50.0), None).unwrap(), 50.0);
}

fn standing(total: f64, judged: f64, criterion: f64, at: i64) -> Standing {
    let criteria = marks(&[("a", criterion)]);
    Standing { total: Some(total), judged: Some(judged), automatic: None, criteria, submitted_at: at }
}

#[test]
fn ties_are_decided_in_their_order_or_shared() {
    let all = [
        standing(80.0, 70.0, 1.0, 3),
        standing(80.0, 70.0, 2.0, 2),
        standing(90.0, 1.0, 1.0, 9),
        standing(80.0 + 1e-9, 60.0, 9.0, 1),
        Standing::default(),
    ];
    let order = |ties: &[Tie]| rank(ties, &all);
    assert_eq!(order(&[]), [(2, Some(1)), (0, Some(2)), (1, Some(2)), (3, Some(2)), (4, None)]);
    assert_eq!(
        order(&[Tie::Judged, Tie::Criterion("a".to_owned())]),
        [(2, Some(1)), (1, Some(2)), (0, Some(3)), (3, Some(4)), (4, None)]
    );
    assert_eq!(order(&[Tie::Judged]), [(2, Some(1)), (0, Some(2)), (1, Some(2)), (3, Some(4)), (4, None)]);
    assert_eq!(order(&[Tie::Earlier])[1..4], [(3, Some(2)), (1, Some(3)), (0, Some(4))]);
}

proptest! {
    /// A judge who is stricter by any amount, or spreads marks by any factor, changes nothing.
    #[test]
    fn z_scores_do_not_depend_on_a_judges_scale(
        own in prop::collection::vec(0.0..100.0_f64, 2..8), shift in -50.0..50.0_f64, factor in 0.1..3.0_f64,
    ) {
        prop_assume!(moments(&own).1 > 0.01);
        let ranked = |scores: &[f64]| {
            let scores: Vec<(usize, f64)> = scores.iter().map(|score| (0, *score)).collect();
            let all = normalise(Normalisation::Zscore, &scores);
            let (mean, deviation) = moments(&all);
            all.into_iter().map(|score| (score - mean) / deviation).collect::<Vec<_>>()
        };
        let moved: Vec<f64> = own.iter().map(|score| score * factor + shift).collect();
        for (a, b) in ranked(&own).into_iter().zip(ranked(&moved)) {
            prop_assert!((a - b).abs() < 1e-6);
        }
    }

    /// No normalisation turns a judge's own order round, and each keeps the mean that it promises.
    #[test]
    fn each_judges_order_is_kept(scores in prop::collection::vec((0_usize..4, 0.0..100.0_f64), 1..40)) {
        for method in [Normalisation::None, Normalisation::Zscore, Normalisation::Rank] {
            let fair = normalise(method, &scores);
            prop_assert_eq!(fair.len(), scores.len());
            for (i, (judge, score)) in scores.iter().enumerate() {
                prop_assert!(fair[i].is_finite());
                for (j, (other, theirs)) in scores.iter().enumerate() {
                    if judge == other && score < theirs {
                        prop_assert!(fair[i] <= fair[j] + 1e-9);
                    }
                }
            }
            let mean_of = |judge: usize| {
                let own: Vec<f64> =
                    scores.iter().zip(&fair).filter(|((j, _), _)| *j == judge).map(|(_, f)| *f).collect();
                mean(&own)
            };
            let all = moments(&scores.iter().map(|(_, score)| *score).collect::<Vec<_>>()).0;
            for mean in (0..4).filter_map(mean_of) {
                match method {
                    Normalisation::Rank => prop_assert!((mean - 50.0).abs() < 1e-6),
                    Normalisation::Zscore => prop_assert!((mean - all).abs() < 1e-6),
                    Normalisation::None => {}
                }
            }
        }
    }

    /// A ranking names everybody once, in an order that its ranks never go back on.
    #[test]
    fn a_ranking_is_whole(totals in prop::collection::vec(prop::option::of(0_u8..5), 0..20)) {
        let all: Vec<Standing> = totals
            .iter()
            .map(|total| Standing { total: total.map(f64::from), ..Standing::default() })
            .collect();
        let ranked = rank(&[], &all);
        let mut seen: Vec<usize> = ranked.iter().map(|(index, _)| *index).collect();
        seen.sort_unstable();
        prop_assert_eq!(seen, (0..all.len()).collect::<Vec<_>>());
        for (index, rank) in &ranked {
            let better = all.iter().filter(|other| other.total > all[*index].total).count();
            prop_assert_eq!(*rank, all[*index].total.map(|_| better + 1));
        }
    }
}
