//! The leaderboard's arithmetic: computed columns, and who stands before whom. It works on values
//! that the airlock has cleared and knows nothing else, so a rank tells nothing more than they do.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::airlock::{Audience, Cleared};
use crate::contest::definition::{Column, Computation, Leaderboard, Sorting};
use crate::ids::{SubmissionId, TeamId};

pub use super::Scores;

/// One submission on the board.
#[derive(Clone, Debug)]
pub struct Entry<A: Audience> {
    /// The submission.
    pub submission: SubmissionId,
    /// Its team.
    pub team: TeamId,
    /// Cleared scores by column key.
    pub scores: Cleared<Scores, A>,
    /// When it was handed in.
    pub submitted_at: Timestamp,
    /// How many submissions the team has had scored in the phase.
    pub entries: i64,
}

/// What a submission's tasks come to on a board: of a column that tasks wrote the mean, and the
/// computed columns. Keys that are no column of the board are left out.
///
/// Codabench shows one column a task and orders by the sum; the mean gives the same order and can be
/// read on the metric's own scale. A computed column takes every task's value of each of its sources
/// (`Submission.calculate_scores` there), of a computed source its one value; it has none when none of
/// them has. The bundle reader has refused cycles.
pub fn join<'a>(board: &Leaderboard, tasks: impl IntoIterator<Item = &'a Scores>) -> Scores {
    let mut values: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    let tasks: Vec<&Scores> = tasks.into_iter().collect();
    for column in board.columns.iter().filter(|c| c.computation.is_none()) {
        let told: Vec<f64> = tasks.iter().filter_map(|scores| scores.get(&column.key).copied()).collect();
        if !told.is_empty() {
            values.insert(&column.key, told);
        }
    }
    let computed: Vec<&Column> = board.columns.iter().filter(|c| c.computation.is_some()).collect();
    // as many passes as there are computed columns: each fixes at least one that rests on fixed ones
    for _ in 0..computed.len() {
        for column in &computed {
            let Some(computation) = column.computation else { continue };
            let sources: Vec<&Column> = sources(board, column);
            let ready = sources.iter().all(|s| s.computation.is_none() || values.contains_key(&*s.key));
            let found: Vec<f64> =
                sources.iter().filter_map(|s| values.get(&*s.key)).flatten().copied().collect();
            if ready && !found.is_empty() {
                values.insert(&column.key, vec![compute(computation, &found)]);
            }
        }
    }
    values.into_iter().map(|(key, told)| (key.to_owned(), compute(Computation::Avg, &told))).collect()
}

fn sources<'a>(board: &'a Leaderboard, column: &Column) -> Vec<&'a Column> {
    let named = &column.computation_indexes;
    board
        .columns
        .iter()
        .filter(|c| match named.is_empty() {
            true => c.computation.is_none(),
            false => c.index != column.index && named.contains(&c.index),
        })
        .collect()
}

fn compute(computation: Computation, values: &[f64]) -> f64 {
    let sum = values.iter().sum::<f64>();
    match computation {
        #[expect(clippy::cast_precision_loss, reason = "a board has a handful of columns")]
        Computation::Avg => sum / values.len() as f64,
        Computation::Sum => sum,
        Computation::Min => values.iter().copied().fold(f64::INFINITY, f64::min),
        Computation::Max => values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
    }
}

/// Which of two sets of scores stands first: the primary column decides, then the others by index;
/// one without a value stands after one with. Equal when all columns are.
pub fn compare(ranking: &[&Column], a: &Scores, b: &Scores) -> Ordering {
    for column in ranking {
        let ordering = match (a.get(&column.key), b.get(&column.key)) {
            (Some(x), Some(y)) => match column.sorting {
                Sorting::Desc => y.total_cmp(x),
                Sorting::Asc => x.total_cmp(y),
            },
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        };
        if ordering != Ordering::Equal {
            return ordering;
        }
    }
    Ordering::Equal
}

/// Sorts entries into the board's order: by [`compare`], then the earlier submission first, then by
/// id so that the order is always the same.
pub fn sort<A: Audience>(board: &Leaderboard, entries: &mut [Entry<A>]) {
    let ranking = board.ranking_columns();
    entries.sort_by(|a, b| {
        compare(&ranking, a.scores.get(), b.scores.get())
            .then(a.submitted_at.cmp(&b.submitted_at))
            .then(a.submission.cmp(&b.submission))
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(key: &str, index: i64, sorting: Sorting) -> Column {
        Column {
            title: key.to_owned(),
            key: key.to_owned(),
            index,
            sorting,
            computation: None,
            computation_indexes: vec![],
            precision: 2,
            hidden: false,
        }
    }

    fn board(columns: Vec<Column>) -> Leaderboard {
        Leaderboard {
            title: "Results".into(),
            key: "main".into(),
            hidden: false,
            submission_rule: crate::contest::definition::SubmissionRule::ForceBest,
            primary_index: 0,
            columns,
        }
    }

    fn scores(pairs: &[(&str, f64)]) -> Scores {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), *v)).collect()
    }

    #[test]
    fn computed_columns_may_rest_on_computed_columns_in_any_order() {
        let mut total = column("total", 0, Sorting::Desc);
        total.computation = Some(Computation::Sum);
        total.computation_indexes = vec![1, 2];
        let mut mean = column("mean", 1, Sorting::Desc);
        mean.computation = Some(Computation::Avg);
        mean.computation_indexes = vec![2, 3];
        let board = board(vec![total, mean, column("a", 2, Sorting::Desc), column("b", 3, Sorting::Desc)]);
        let row = join(&board, [&scores(&[("a", 1.0), ("b", 3.0), ("total", 99.0)])]);
        assert_eq!(row, scores(&[("a", 1.0), ("b", 3.0), ("mean", 2.0), ("total", 3.0)]));
    }

    #[test]
    fn a_computed_column_without_any_source_has_no_value() {
        let mut least = column("least", 0, Sorting::Asc);
        least.computation = Some(Computation::Min);
        let board = board(vec![least, column("a", 1, Sorting::Desc)]);
        assert!(join(&board, [&Scores::new()]).is_empty());
    }

    #[test]
    fn ties_go_to_the_next_column_and_missing_values_last() {
        let a = column("error", 0, Sorting::Asc);
        let b = column("hits", 1, Sorting::Desc);
        let ranking = [&a, &b];
        let low = scores(&[("error", 0.1), ("hits", 3.0)]);
        let low_more = scores(&[("error", 0.1), ("hits", 4.0)]);
        let none = scores(&[("hits", 9.0)]);
        assert_eq!(compare(&ranking, &low_more, &low), Ordering::Less);
        assert_eq!(compare(&ranking, &none, &low), Ordering::Greater);
        assert_eq!(compare(&ranking, &none, &none), Ordering::Equal);
    }

    #[test]
    fn tasks_are_joined_by_the_mean_of_those_that_wrote_a_column() {
        let board = board(vec![column("x", 0, Sorting::Desc), column("y", 1, Sorting::Desc)]);
        let joined =
            join(&board, [&scores(&[("x", 1.0), ("y", 5.0), ("no column", 1.0)]), &scores(&[("x", 2.0)])]);
        assert_eq!(joined, scores(&[("x", 1.5), ("y", 5.0)]));
    }

    #[test]
    fn a_computed_column_takes_every_tasks_values() {
        let computed = |key: &str, index, computation| {
            let mut column = column(key, index, Sorting::Desc);
            column.computation = Some(computation);
            column.computation_indexes = vec![0, 1];
            column
        };
        let board = board(vec![
            column("x", 0, Sorting::Desc),
            column("y", 1, Sorting::Desc),
            computed("least", 2, Computation::Min),
            computed("most", 3, Computation::Max),
            computed("sum", 4, Computation::Sum),
            computed("mean", 5, Computation::Avg),
        ]);
        let tasks = [scores(&[("x", 1.0), ("y", 10.0)]), scores(&[("x", 5.0), ("y", 2.0)])];
        let row = join(&board, &tasks);
        assert_eq!(
            row,
            scores(&[("x", 3.0), ("y", 6.0), ("least", 1.0), ("most", 10.0), ("sum", 18.0), ("mean", 4.5)])
        );
    }
}
