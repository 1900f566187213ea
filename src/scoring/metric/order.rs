//! Sorting tens of millions of numbers: order-preserving integer keys, a split by sampled values so
//! that each thread sorts its own part, and a least-significant-digit radix sort of the part.

use super::parallel::{each, threads_for};

/// Values looked at to find where to split.
const SAMPLE: usize = 1021;
/// Bits that the radix sort looks at.
const RADIX_BITS: u32 = 32;

/// An integer that sorts as the number does; both zeros get one key. NaN must not occur.
pub(crate) fn key(value: f64) -> u64 {
    let bits = (value + 0.0).to_bits();
    bits ^ (((bits as i64 >> 63) as u64) | (1 << 63))
}

/// Keys in rising order, each with the row it came from when asked for.
#[derive(Debug, Default)]
pub(super) struct Run {
    pub(super) keys: Vec<u64>,
    pub(super) rows: Vec<u32>,
}

/// Keys at which `values` are split into about equal parts, one per thread.
pub(super) fn splitters(values: &[f64]) -> Vec<u64> {
    let threads = threads_for(values.len());
    if threads < 2 {
        return Vec::new();
    }
    let step = (values.len() / SAMPLE).max(1);
    let mut sample: Vec<u64> = values.iter().step_by(step).map(|v| key(*v)).collect();
    sample.sort_unstable();
    let mut keys: Vec<u64> =
        (1..threads).filter_map(|part| sample.get(part * sample.len() / threads).copied()).collect();
    keys.dedup();
    keys
}

/// The part a key belongs to: how many splitters are not above it.
pub(super) fn part_of(splitters: &[u64], key: u64) -> usize {
    splitters.iter().filter(|splitter| **splitter <= key).count()
}

/// All values with their rows, as sorted runs; each run's keys lie below the next one's.
pub(super) fn sorted_with_rows(values: &[f64]) -> Vec<Run> {
    let splitters = splitters(values);
    let mut sizes = vec![0usize; splitters.len() + 1];
    for value in values {
        sizes[part_of(&splitters, key(*value))] += 1;
    }
    let mut runs: Vec<Run> = sizes
        .iter()
        .map(|size| Run { keys: Vec::with_capacity(*size), rows: Vec::with_capacity(*size) })
        .collect();
    for (row, value) in (0u32..).zip(values) {
        let key = key(*value);
        let run = &mut runs[part_of(&splitters, key)];
        run.keys.push(key);
        run.rows.push(row);
    }
    each(runs, |mut run| {
        radix_sort::<true>(&mut run.keys, &mut run.rows);
        run
    })
}

/// Sorts keys in place.
pub(super) fn sort_keys(keys: &mut Vec<u64>) {
    radix_sort::<false>(keys, &mut Vec::new());
}

/// Sorts keys in place; with `CARRY`, `carried` (of the same length) is permuted along. A byte-wise
/// radix sort by the 32 highest bits that differ brings almost all keys to their place; the few that
/// share those bits are then sorted among themselves.
fn radix_sort<const CARRY: bool>(keys: &mut Vec<u64>, carried: &mut Vec<u32>) {
    let Some(first) = keys.first().copied() else { return };
    let differing = keys.iter().fold(0, |bits, key| bits | (key ^ first));
    let shift = (u64::BITS - differing.leading_zeros()).saturating_sub(RADIX_BITS);
    let mut counts = [[0usize; 256]; RADIX_BITS as usize / 8];
    for key in keys.iter() {
        for (byte, counts) in counts.iter_mut().enumerate() {
            counts[(key >> shift >> (8 * byte)) as usize & 255] += 1;
        }
    }
    let mut spare_keys = vec![0u64; keys.len()];
    let mut spare_carried = vec![0u32; carried.len()];
    for (byte, counts) in counts.iter().enumerate() {
        if counts.contains(&keys.len()) {
            continue;
        }
        let mut next = [0usize; 256];
        let mut start = 0;
        for (next, count) in next.iter_mut().zip(counts) {
            *next = start;
            start += count;
        }
        for (index, key) in keys.iter().enumerate() {
            let place = &mut next[(key >> shift >> (8 * byte)) as usize & 255];
            spare_keys[*place] = *key;
            if CARRY {
                spare_carried[*place] = carried[index];
            }
            *place += 1;
        }
        std::mem::swap(keys, &mut spare_keys);
        std::mem::swap(carried, &mut spare_carried);
    }
    drop((spare_keys, spare_carried));
    if shift > 0 {
        sort_within_prefixes::<CARRY>(keys, carried, shift);
    }
}

/// Sorts every run of keys that agree in all bits from `shift` on.
fn sort_within_prefixes<const CARRY: bool>(keys: &mut [u64], carried: &mut [u32], shift: u32) {
    let mut pairs = Vec::new();
    let mut start = 0;
    while start < keys.len() {
        let prefix = keys[start] >> shift;
        let end = start + keys[start..].iter().take_while(|key| **key >> shift == prefix).count();
        let run = &mut keys[start..end];
        if !run.is_sorted() {
            if CARRY {
                let rows = &mut carried[start..end];
                pairs.clear();
                pairs.extend(run.iter().copied().zip(rows.iter().copied()));
                pairs.sort_unstable();
                for (place, (key, row)) in pairs.iter().enumerate() {
                    run[place] = *key;
                    rows[place] = *row;
                }
            } else {
                run.sort_unstable();
            }
        }
        start = end;
    }
}

/// Twice the average rank of every value, counted from 1, so that ranks of ties stay integers.
/// At most 2³¹ - 1 values.
pub(super) fn doubled_ranks(values: &[f64]) -> Vec<u32> {
    let runs = sorted_with_rows(values);
    let mut ranks = vec![0u32; values.len()];
    let mut before = 0u32;
    for Run { keys, rows } in runs {
        let mut start = 0;
        while start < keys.len() {
            let end = tie_end(&keys, start);
            let doubled = 2 * before + (start + end) as u32 + 1;
            for row in &rows[start..end] {
                ranks[*row as usize] = doubled;
            }
            start = end;
        }
        before += keys.len() as u32;
    }
    ranks
}

/// Where the run of keys equal to the one at `start` ends.
pub(super) fn tie_end(keys: &[u64], start: usize) -> usize {
    let tied = keys[start..].iter().take_while(|key| **key == keys[start]).count();
    start + tied
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keys_sort_as_numbers_do() {
        let rising = [f64::NEG_INFINITY, -1e300, -1.0, -1e-300, 0.0, 1e-300, 1.0, 2.5, f64::INFINITY];
        assert!(rising.windows(2).all(|pair| key(pair[0]) < key(pair[1])));
        assert_eq!(key(0.0), key(-0.0));
    }

    #[test]
    fn tied_values_share_their_average_rank() {
        assert_eq!(doubled_ranks(&[10.0, 20.0, 10.0, 5.0]), [5, 8, 5, 2]);
        assert!(doubled_ranks(&[]).is_empty());
    }

    #[test]
    fn many_values_split_over_threads_stay_in_order() {
        let values: Vec<f64> = (0..200_000u64).map(|n| ((n * 7919) % 1000) as f64 - 500.0).collect();
        let runs = sorted_with_rows(&values);
        let keys: Vec<u64> = runs.iter().flat_map(|run| run.keys.clone()).collect();
        assert_eq!(keys.len(), values.len());
        assert!(keys.is_sorted());
        assert!(runs.iter().all(|r| r.keys.iter().zip(&r.rows).all(|(k, i)| *k == key(values[*i as usize]))));
    }

    proptest! {
        #[test]
        fn radix_sort_sorts(mut keys in prop::collection::vec(any::<u64>(), 0..500), mask in any::<u64>()) {
            // Under a mask many keys share their high bits, or differ in few.
            keys.iter_mut().for_each(|key| *key &= mask | 0xff);
            let mut expected: Vec<(u64, u32)> = keys.iter().copied().zip(0..).collect();
            expected.sort_unstable();
            let (mut sorted, mut rows) = (keys.clone(), (0..keys.len() as u32).collect());
            radix_sort::<true>(&mut sorted, &mut rows);
            prop_assert!(sorted.iter().zip(&rows).all(|(key, row)| *key == keys[*row as usize]));
            sort_keys(&mut keys);
            prop_assert_eq!(&keys, &sorted);
            prop_assert_eq!(keys, expected.iter().map(|(key, _)| *key).collect::<Vec<_>>());
            rows.sort_unstable();
            prop_assert!(rows.into_iter().eq(0..expected.len() as u32));
        }
    }
}
