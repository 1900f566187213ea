//! Splitting rows over the cores, and sums that are exact to the last digits and the same on any
//! number of cores.

use std::ops::Range;
use std::thread;

/// Rows below which a second thread costs more than it saves.
const WORTH_A_THREAD: usize = 1 << 16;
/// Rows that are added with plain lanes before the compensated sum takes their total.
const BLOCK: usize = 1024;
/// Independent partial sums inside a block, so that the additions vectorise.
const LANES: usize = 8;
/// Threads at most: the child process of a score should not starve the machine it runs on.
const MOST_THREADS: usize = 8;

/// How many threads `rows` rows deserve.
pub(super) fn threads_for(rows: usize) -> usize {
    let cores = thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
    cores.min(rows / WORTH_A_THREAD + 1)
}

/// Runs `work` once per element of `parts`, each on its own thread (the last on this one), and
/// returns the results in order. Where no thread can be had the work is done here.
pub(super) fn each<P: Send, T: Send>(parts: Vec<P>, work: impl Fn(P) -> T + Sync) -> Vec<T> {
    let work = &work;
    thread::scope(|scope| {
        let mut parts = parts;
        let last = parts.pop();
        let mut running = Vec::with_capacity(parts.len());
        for part in parts {
            // The part travels in a slot so that it survives a thread that could not be started.
            let slot = std::sync::Arc::new(std::sync::Mutex::new(Some(part)));
            let theirs = slot.clone();
            let task = move || take(&theirs).map(work);
            match thread::Builder::new().spawn_scoped(scope, task) {
                Ok(handle) => running.push(Ok(handle)),
                Err(_) => running.push(Err(take(&slot).map(work))),
            }
        }
        let last = last.map(work);
        let mut results = Vec::with_capacity(running.len() + 1);
        for outcome in running {
            let value = match outcome {
                Ok(handle) => handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                Err(value) => value,
            };
            results.extend(value);
        }
        results.extend(last);
        results
    })
}

fn take<P>(slot: &std::sync::Mutex<Option<P>>) -> Option<P> {
    slot.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take()
}

/// Cuts `0..rows` into one range per thread, each but the last a multiple of `unit` long.
pub(super) fn ranges(rows: usize, unit: usize) -> Vec<Range<usize>> {
    let threads = threads_for(rows);
    let units = rows.div_ceil(unit.max(1));
    let share = units.div_ceil(threads.max(1)) * unit.max(1);
    let mut ranges = Vec::with_capacity(threads);
    let mut start = 0;
    while start < rows {
        let end = rows.min(start + share);
        ranges.push(start..end);
        start = end;
    }
    ranges
}

/// A compensated sum: Neumaier, "Rundungsfehleranalyse einiger Verfahren zur Summation endlicher
/// Summen", ZAMM 54 (1974). Its error does not grow with the number of terms.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sum {
    total: f64,
    lost: f64,
}

impl Sum {
    /// Adds one term.
    pub(super) fn add(&mut self, term: f64) {
        let total = self.total + term;
        self.lost += if self.total.abs() >= term.abs() {
            (self.total - total) + term
        } else {
            (term - total) + self.total
        };
        self.total = total;
    }

    /// The sum so far.
    pub(super) fn value(self) -> f64 {
        // An infinite total has a lost part of NaN, which must not hide the overflow.
        if self.total.is_finite() { self.total + self.lost } else { self.total }
    }
}

/// The compensated sum of some terms, on this thread.
pub(super) fn sum(terms: impl IntoIterator<Item = f64>) -> f64 {
    let mut sum = Sum::default();
    for term in terms {
        sum.add(term);
    }
    sum.value()
}

/// `Σ f(rows)` for `K` quantities at once, where `block` adds up one short range of rows. Blocks
/// have the same borders whatever the number of threads, so the result does too.
pub(super) fn sum_blocks<const K: usize>(
    rows: usize,
    block: impl Fn(Range<usize>) -> [f64; K] + Sync,
) -> [f64; K] {
    let per_thread = each(ranges(rows, BLOCK), |range| {
        let mut start = range.start;
        let mut sums = Vec::with_capacity(range.len().div_ceil(BLOCK));
        while start < range.end {
            let end = range.end.min(start + BLOCK);
            sums.push(block(start..end));
            start = end;
        }
        sums
    });
    let mut totals = [Sum::default(); K];
    for sums in per_thread.iter().flatten() {
        for (total, term) in totals.iter_mut().zip(sums) {
            total.add(*term);
        }
    }
    totals.map(Sum::value)
}

/// `Σ f(aᵢ, bᵢ)` over two short slices of one length, in lanes.
pub(super) fn lanes(a: &[f64], b: &[f64], f: impl Fn(f64, f64) -> f64) -> f64 {
    let mut partial = [0.0; LANES];
    let (a_lanes, b_lanes) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest = a_lanes.remainder().iter().zip(b_lanes.remainder());
    for (index, (x, y)) in rest.enumerate() {
        partial[index] = f(*x, *y);
    }
    for (xs, ys) in a_lanes.zip(b_lanes) {
        for lane in 0..LANES {
            partial[lane] += f(xs[lane], ys[lane]);
        }
    }
    partial.iter().sum()
}

/// `Σ wᵢ·f(aᵢ, bᵢ)` over three short slices of one length.
pub(super) fn lanes_weighted(a: &[f64], b: &[f64], w: &[f64], f: impl Fn(f64, f64) -> f64) -> f64 {
    let mut partial = [0.0; LANES];
    for (index, ((x, y), w)) in a.iter().zip(b).zip(w).enumerate() {
        partial[index % LANES] += w * f(*x, *y);
    }
    partial.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compensated_sum_keeps_what_a_plain_one_loses() {
        assert_eq!(sum([1e16, 1.0, 1.0, -1e16]), 2.0);
        assert_eq!(sum([f64::MAX, f64::MAX]), f64::INFINITY);
    }

    #[test]
    fn ranges_cover_every_row_once() {
        for rows in [0, 1, 1023, 70_000, 1_000_001] {
            let ranges = ranges(rows, BLOCK);
            assert_eq!(ranges.iter().map(ExactSizeIterator::len).sum::<usize>(), rows);
            assert!(ranges.windows(2).all(|pair| pair[0].end == pair[1].start));
        }
    }

    #[test]
    fn blocks_add_up_to_the_whole() {
        let values: Vec<f64> = (0..300_001).map(f64::from).collect();
        let [total] = sum_blocks(values.len(), |r| [lanes(&values[r.clone()], &values[r], |x, _| x)]);
        assert_eq!(total, 300_000.0 * 300_001.0 / 2.0);
    }

    #[test]
    fn results_come_back_in_order() {
        assert_eq!(each((0..7).collect(), |n| n * n), [0, 1, 4, 9, 16, 25, 36]);
        assert!(each(Vec::<u8>::new(), |n| n).is_empty());
    }
}
