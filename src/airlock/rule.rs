//! The rule of lane 1, in its simple form: declared columns only, finite, inside their declared
//! range, told with six decimals; and what each reply is charged.
//!
//! A charge is an upper bound of the reply's entropy in bits: the logarithm of the number of replies
//! that could have been given, or the length of a prefix code for a value without a declared range.
//! Charges of replies add up (the chain rule of entropy), so the ledger's sum bounds everything that
//! was told (Blum & Hardt 2015; AIRLOCK, lane 1).

use crate::scoring::leaderboard::Scores;

/// Decimals that a reply carries.
pub const DECIMALS: i32 = 6;

/// Charge, in bits, for telling at which of its first three ticks a closed run was told (lane 1 has
/// the ticks and the code; the ones after them cost more).
pub const OUTCOME_BITS: f64 = 2.0;

/// Charge, in bits, for telling whether a run was scored or failed.
pub const ENDING_BITS: f64 = 1.0;

/// Charge, in bits, for telling that scoring failed, and with which text: there are fewer than eight
/// that name no column and at most four for each of `columns`.
pub fn failure_bits(columns: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a board has a handful of columns")]
    let texts = 8.0 + 4.0 * columns as f64;
    ENDING_BITS + texts.log2()
}

/// Who a column is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnAudience {
    /// The team and the public board.
    Team,
    /// Organizers alone (a hidden column).
    Organizer,
}

/// What is declared of a leaderboard column that a task writes.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnRule {
    /// Key in the scores.
    pub key: String,
    /// The declared range of values, inclusive.
    pub range: Option<[f64; 2]>,
    /// The number of values the column can take, where the metric tells (accuracy on n rows: n + 1).
    pub distinct: Option<f64>,
    /// Whether the scorer may leave it out; then "absent" is one more possible reply.
    pub optional: bool,
    /// Who it is for.
    pub audience: ColumnAudience,
}

/// Why scores were not let pass. It names a column, never a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A declared column is missing and may not be.
    #[error("the scorer wrote no value for column {0:?}; the organizer has to mend the scorer")]
    Missing(String),
    /// None of the declared columns was written.
    #[error("the scorer wrote none of the leaderboard's columns ({0}); the organizer has to mend the scorer")]
    NoColumn(String),
    /// A value is NaN or infinite.
    #[error(
        "the scorer's value for column {0:?} is not a finite number; the organizer has to mend the scorer"
    )]
    NotFinite(String),
    /// A value lies outside the declared range.
    #[error(
        "the scorer's value for column {0:?} lies outside its declared range; the organizer has to mend the range or the scorer"
    )]
    OutOfRange(String),
}

/// What may be told of one run, and what it costs.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::airlock) struct Verdict {
    /// For the team and the board.
    pub team: Scores,
    /// For organizers alone.
    pub organizer: Scores,
    /// Bits charged for what the team is told: [`ENDING_BITS`] and the columns'.
    pub bits: f64,
}

/// Applies the rule to exact scores.
pub(in crate::airlock) fn judge(columns: &[ColumnRule], scores: &Scores) -> Result<Verdict, Refusal> {
    let mut verdict = Verdict { bits: ENDING_BITS, ..Verdict::default() };
    for column in columns {
        let Some(&exact) = scores.get(&column.key) else {
            if !column.optional {
                return Err(Refusal::Missing(column.key.clone()));
            }
            if column.audience == ColumnAudience::Team {
                verdict.bits += charge(column, 0.0);
            }
            continue;
        };
        if !exact.is_finite() {
            return Err(Refusal::NotFinite(column.key.clone()));
        }
        if column.range.is_some_and(|[low, high]| exact < low || exact > high) {
            return Err(Refusal::OutOfRange(column.key.clone()));
        }
        let told = round(exact);
        match column.audience {
            ColumnAudience::Team => {
                verdict.bits += charge(column, told);
                verdict.team.insert(column.key.clone(), told);
            }
            ColumnAudience::Organizer => {
                verdict.organizer.insert(column.key.clone(), told);
            }
        }
    }
    if verdict.team.is_empty() && verdict.organizer.is_empty() {
        let keys: Vec<&str> = columns.iter().map(|c| c.key.as_str()).collect();
        return Err(Refusal::NoColumn(keys.join(", ")));
    }
    Ok(verdict)
}

/// Rounds to [`DECIMALS`]; values too large to have decimals stay as they are.
pub(in crate::airlock) fn round(value: f64) -> f64 {
    let scale = 10f64.powi(DECIMALS);
    let scaled = value * scale;
    if scaled.abs() < 2f64.powi(53) { scaled.round() / scale + 0.0 } else { value }
}

/// Bits charged for telling `told` in a column.
fn charge(column: &ColumnRule, told: f64) -> f64 {
    let absent = f64::from(u8::from(column.optional));
    match (column.distinct, column.range) {
        (Some(distinct), _) => (distinct + absent).log2(),
        (None, Some([low, high])) => {
            // the ends are rounded as the values are
            ((round(high) - round(low)) * 10f64.powi(DECIMALS) + 1.0 + absent).log2()
        }
        (None, None) => code_length(told) + absent,
    }
}

/// Length in bits of a prefix code for a value with six decimals: whether it is told in fixed point, its sign
/// and the Elias gamma code (Elias 1975) of its magnitude + 1; larger values by their 64 bits.
fn code_length(told: f64) -> f64 {
    let steps = (told.abs() * 10f64.powi(DECIMALS)).round();
    if steps < 2f64.powi(53) { 1.0 + 1.0 + 2.0 * (steps + 1.0).log2().floor() + 1.0 } else { 1.0 + 64.0 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn column(key: &str) -> ColumnRule {
        ColumnRule {
            key: key.into(),
            range: None,
            distinct: None,
            optional: false,
            audience: ColumnAudience::Team,
        }
    }

    fn scores(pairs: &[(&str, f64)]) -> Scores {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), *v)).collect()
    }

    #[test]
    fn undeclared_columns_are_dropped_and_hidden_ones_cost_the_team_nothing() {
        let mut hidden = column("secret");
        hidden.audience = ColumnAudience::Organizer;
        let mut rmse = column("rmse");
        rmse.range = Some([0.0, 300.0]);
        let verdict =
            judge(&[rmse, hidden], &scores(&[("rmse", 12.345_678_9), ("secret", 1.0), ("labels", 7.0)]))
                .unwrap();
        assert_eq!(verdict.team, scores(&[("rmse", 12.345_679)]));
        assert_eq!(verdict.organizer, scores(&[("secret", 1.0)]));
        assert!((verdict.bits - ENDING_BITS - 300_000_001_f64.log2()).abs() < 1e-12);
    }

    #[test]
    fn refusals_name_the_column_and_no_value() {
        let mut rmse = column("rmse");
        rmse.range = Some([0.0, 1.0]);
        let refused = judge(&[rmse.clone()], &scores(&[("rmse", 77.25)])).unwrap_err().to_string();
        assert!(refused.contains("rmse") && !refused.contains("77"), "{refused}");
        assert_eq!(
            judge(&[rmse.clone()], &scores(&[("rmse", f64::NAN)])),
            Err(Refusal::NotFinite("rmse".into()))
        );
        assert_eq!(judge(&[rmse], &scores(&[])), Err(Refusal::Missing("rmse".into())));
    }

    #[test]
    fn accuracy_on_n_rows_costs_log2_of_n_plus_1() {
        let mut accuracy = column("accuracy");
        accuracy.distinct = Some(4001.0);
        let verdict = judge(&[accuracy], &scores(&[("accuracy", 0.5)])).unwrap();
        assert!((verdict.bits - ENDING_BITS - 4001f64.log2()).abs() < 1e-12);
    }

    #[test]
    fn the_prefix_code_satisfies_krafts_inequality() {
        // all fixed-point values of magnitude below 2^20 steps; a complete code sums to at most 1
        let sum: f64 = (0..1 << 20)
            .map(|steps| {
                let signs = if steps == 0 { 1.0 } else { 2.0 };
                signs * 2f64.powf(-code_length(f64::from(steps) / 1e6))
            })
            .sum();
        assert!(sum <= 1.0, "{sum}");
    }

    proptest! {
        // Kraft's inequality over every reply that a run on public input can get, so that no way of
        // choosing replies has more entropy than it is charged (Shannon 1948).
        #[test]
        fn no_reply_is_charged_less_than_its_entropy(
            distinct in proptest::collection::vec((2u32..12, any::<bool>()), 1..4),
        ) {
            let columns: Vec<ColumnRule> = distinct.iter().enumerate().map(|(i, (n, optional))| {
                let mut rule = column(&format!("c{i}"));
                rule.distinct = Some(f64::from(*n));
                rule.optional = *optional;
                rule
            }).collect();
            // every combination of values, "absent" among them where the scorer may leave one out
            let mut replies: Vec<Scores> = vec![Scores::new()];
            for (rule, (n, optional)) in columns.iter().zip(&distinct) {
                replies = replies.into_iter().flat_map(|scores| {
                    let mut more: Vec<Scores> = (0..*n).map(|value| {
                        let mut scores = scores.clone();
                        scores.insert(rule.key.clone(), f64::from(value));
                        scores
                    }).collect();
                    if *optional {
                        more.push(scores);
                    }
                    more
                }).collect();
            }
            let scored: f64 = replies.iter().filter_map(|scores| judge(&columns, scores).ok())
                .map(|verdict| (-verdict.bits).exp2()).sum();
            // what can be said of a failure: each refusal of each column, and the scorer's own seven
            let texts = 7.0 + 3.0 * columns.len() as f64;
            let failed = texts * (-failure_bits(columns.len())).exp2();
            prop_assert!(scored + failed <= 1.0 + 1e-9, "{scored} + {failed}");
            prop_assert!(failed > 0.25 && scored > 0.25, "the charge is not far above: {scored} + {failed}");
        }

        #[test]
        fn what_is_told_is_within_half_a_step_of_what_is_true(value in -1e9..1e9f64) {
            let verdict = judge(&[column("x")], &scores(&[("x", value)])).unwrap();
            prop_assert!((verdict.team["x"] - value).abs() <= 0.5e-6 + value.abs() * 1e-15);
            prop_assert!(verdict.bits > 0.0);
        }
    }
}
