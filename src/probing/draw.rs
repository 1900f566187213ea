//! Drawing the values of randomized probes.
//!
//! The generator is SM3 over the seed, the submission where each has values of its own, the probe's name
//! and a counter: the same on every machine and in every version, so that a rescore asks what was asked.

use sm3::{Digest as _, Sm3};

use super::fill::Bindings;
use super::suite::{Draw, Values};
use serde_json::Value;

/// The sets of values that a probe of this name is asked with. `submission` tells submissions apart.
pub fn draw(draw: &Draw, name: &str, submission: &str) -> Vec<Bindings> {
    let mut stream = Stream::new(draw.seed, if draw.each_submission { submission } else { "" }, name);
    let rows = draw.table.as_ref().map(|table| stream.distinct(table.rows.len(), draw.times));
    let times = rows.as_ref().map_or(draw.times, Vec::len);
    let mut sets = Vec::with_capacity(times);
    for turn in 0..times {
        let mut bindings = Bindings::new();
        if let (Some(table), Some(rows)) = (&draw.table, &rows)
            && let Some(row) = rows.get(turn).and_then(|&row| table.rows.get(row))
        {
            let cells = row.iter().map(|cell| Value::String(cell.clone()));
            bindings.extend(table.columns.iter().cloned().zip(cells));
        }
        for (name, values) in &draw.values {
            bindings.insert(name.clone(), stream.one(values));
        }
        sets.push(bindings);
    }
    sets
}

/// An endless stream of numbers.
struct Stream {
    start: Sm3,
    counter: u64,
}

impl Stream {
    fn new(seed: i64, submission: &str, name: &str) -> Self {
        let mut start = Sm3::new();
        start.update(seed.to_be_bytes());
        for text in [submission, name] {
            start.update((text.len() as u64).to_be_bytes());
            start.update(text);
        }
        Self { start, counter: 0 }
    }

    fn next(&mut self) -> u64 {
        let mut block = self.start.clone();
        block.update(self.counter.to_be_bytes());
        self.counter += 1;
        let digest = block.finalize();
        digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    /// A number below `bound`, each as likely as any other: those of an incomplete last round are drawn again.
    fn below(&mut self, bound: u64) -> u64 {
        let whole = u64::MAX - u64::MAX % bound.max(1);
        loop {
            let number = self.next();
            if number < whole {
                return number % bound.max(1);
            }
        }
    }

    /// As many different numbers below `bound` as are wanted, or all of them (Fisher and Yates).
    fn distinct(&mut self, bound: usize, wanted: usize) -> Vec<usize> {
        let mut all: Vec<usize> = (0..bound).collect();
        let wanted = wanted.min(bound);
        for place in 0..wanted {
            let left = (bound - place) as u64;
            let chosen = place + usize::try_from(self.below(left)).unwrap_or(0);
            all.swap(place, chosen);
        }
        all.truncate(wanted);
        all
    }

    fn one(&mut self, values: &Values) -> Value {
        match values {
            Values::OneOf(values) => {
                let chosen = usize::try_from(self.below(values.len() as u64)).unwrap_or(0);
                values.get(chosen).cloned().unwrap_or_default()
            }
            Values::Whole(first, last) => {
                let span = first.abs_diff(*last);
                let offset = if span == u64::MAX { self.next() } else { self.below(span + 1) };
                Value::from(first.wrapping_add_unsigned(offset))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::probing::suite::Table;

    fn months(seed: i64, each_submission: bool) -> Draw {
        let rows = (1..=12).map(|month| vec![month.to_string(), format!("{}.5", month * 2)]).collect();
        let columns = vec!["month".to_owned(), "mean".to_owned()];
        let table = Some(Table { columns, rows: Arc::new(rows) });
        let values = vec![("n".to_owned(), Values::Whole(-3, 3))];
        Draw { seed, each_submission, times: 5, table, values }
    }

    #[test]
    fn the_same_is_drawn_again_and_something_else_for_others() {
        let of = |seed, each, name, submission| draw(&months(seed, each), name, submission);
        assert_eq!(of(1, false, "a", "x"), of(1, false, "a", "y"));
        assert_eq!(of(1, true, "a", "x"), of(1, true, "a", "x"));
        let others = [of(1, true, "a", "y"), of(2, true, "a", "x"), of(1, true, "b", "x")];
        assert!(others.iter().all(|other| *other != of(1, true, "a", "x")));
        // what a version draws the next one must draw too
        let shown: Vec<_> = of(7, false, "delays", "").iter().map(|set| json!(set).to_string()).collect();
        insta::assert_snapshot!(shown.join("\n"));
    }

    #[test]
    fn a_row_comes_once_with_its_own_answer() {
        let mut wanted = months(3, false);
        wanted.times = 50;
        let sets = draw(&wanted, "a", "");
        assert_eq!(sets.len(), 12);
        let mut seen: Vec<i64> = sets
            .iter()
            .map(|set| {
                let number = |name: &str| set[name].as_str().unwrap().parse::<f64>().unwrap();
                assert_eq!(number("mean"), number("month") * 2.0 + 0.5);
                number("month") as i64
            })
            .collect();
        seen.sort_unstable();
        assert_eq!(seen, (1..=12).collect::<Vec<_>>());
    }

    proptest! {
        #[test]
        fn whole_numbers_stay_within_their_ends(seed: i64, a: i64, b: i64) {
            let (first, last) = (a.min(b), a.max(b));
            let wanted = Draw {
                seed, each_submission: false, times: 3, table: None,
                values: vec![("n".to_owned(), Values::Whole(first, last))],
            };
            for set in draw(&wanted, "p", "") {
                let n = set["n"].as_i64().unwrap();
                prop_assert!((first..=last).contains(&n));
            }
        }
    }
}
