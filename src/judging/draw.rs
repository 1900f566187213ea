//! Who marks what: every entry gets k judges without a conflict, the load is as even as the conflicts
//! allow, and a change moves as few as possible.
//!
//! It is a semi-matching in a bipartite graph, each entry taken k times: the load is balanced exactly when
//! no alternating path leads from a judge to another who has two or more fewer (Harvey, Ladner, Lovász,
//! Tamir: Semi-matchings for bipartite graphs and load balancing, J. Algorithms 59, 2006). What stands is
//! kept, what is missing goes to the judge with the least, and then such paths are shifted along, the
//! shortest first. Where that leaves a choice, the seed decides; the same seed and people give the same.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::crypto::sm3;

/// An entry to be marked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// What the seed is mixed with for it.
    pub name: String,
    /// Judges it is to have.
    pub judges: usize,
}

/// What there is to be drawn. Entries and judges are named by their places in the lists.
#[derive(Clone, Debug, Default)]
pub struct Draw {
    /// Decides where several are equally right.
    pub seed: String,
    /// The entries.
    pub entries: Vec<Wanted>,
    /// The judges: what the seed is mixed with for each.
    pub judges: Vec<String>,
    /// Pairs of entry and judge that may not be.
    pub conflicts: BTreeSet<(usize, usize)>,
    /// Pairs that stand already and cannot be moved: marks were given.
    pub fixed: BTreeSet<(usize, usize)>,
    /// Pairs that stand already and may be moved where that helps.
    pub standing: BTreeSet<(usize, usize)>,
}

/// An entry that does not get as many judges as it is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Short {
    /// The entry.
    pub entry: usize,
    /// Judges it gets.
    pub judges: usize,
    /// Judges it is to have.
    pub wanted: usize,
    /// Judges who are kept from it by a conflict.
    pub conflicts: usize,
}

/// Who marks what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drawn {
    /// Pairs of entry and judge, those that stood among them.
    pub pairs: BTreeSet<(usize, usize)>,
    /// The entries that are short of judges.
    pub short: Vec<Short>,
}

/// Draws.
pub fn draw(draw: &Draw) -> Drawn {
    let mut table = Table::of(draw);
    table.fill();
    while table.improve() {}
    let short = draw.entries.iter().enumerate().filter_map(|(entry, wanted)| {
        let judges = table.of_entry[entry].len();
        let conflicts = draw.conflicts.iter().filter(|(e, _)| *e == entry).count();
        (judges < wanted.judges).then_some(Short { entry, judges, wanted: wanted.judges, conflicts })
    });
    let short = short.collect();
    let pairs = table.of_entry.iter().enumerate();
    Drawn {
        pairs: pairs.flat_map(|(entry, judges)| judges.iter().map(move |j| (entry, *j))).collect(),
        short,
    }
}

struct Table<'a> {
    draw: &'a Draw,
    /// For each pair, a number that the seed gives it.
    luck: BTreeMap<(usize, usize), u64>,
    of_entry: Vec<BTreeSet<usize>>,
    of_judge: Vec<BTreeSet<usize>>,
}

impl<'a> Table<'a> {
    fn of(draw: &'a Draw) -> Self {
        let mut luck = BTreeMap::new();
        for (e, entry) in draw.entries.iter().enumerate() {
            for (j, judge) in draw.judges.iter().enumerate() {
                let digest = sm3(format!("{}\n{}\n{judge}", draw.seed, entry.name).as_bytes());
                let head = digest.as_bytes().iter().take(8);
                luck.insert((e, j), head.fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte)));
            }
        }
        let mut table = Self {
            draw,
            luck,
            of_entry: vec![BTreeSet::new(); draw.entries.len()],
            of_judge: vec![BTreeSet::new(); draw.judges.len()],
        };
        for (entry, judge) in &draw.fixed {
            table.put(*entry, *judge);
        }
        for (entry, judge) in &draw.standing {
            let room = table.of_entry[*entry].len() < draw.entries[*entry].judges;
            if room && !draw.conflicts.contains(&(*entry, *judge)) {
                table.put(*entry, *judge);
            }
        }
        table
    }

    fn put(&mut self, entry: usize, judge: usize) {
        self.of_entry[entry].insert(judge);
        self.of_judge[judge].insert(entry);
    }

    fn load(&self, judge: usize) -> usize {
        self.of_judge[judge].len()
    }

    fn may(&self, entry: usize, judge: usize) -> bool {
        !self.of_entry[entry].contains(&judge) && !self.draw.conflicts.contains(&(entry, judge))
    }

    /// Gives every entry the judges it lacks, those with the least to do; entries that few can mark first.
    fn fill(&mut self) {
        let able = |entry: &usize| self.draw.conflicts.range((*entry, 0)..(*entry + 1, 0)).count();
        let mut order: Vec<usize> = (0..self.draw.entries.len()).collect();
        order.sort_by_key(|entry| {
            (std::cmp::Reverse(able(entry)), self.luck.get(&(*entry, 0)).copied(), *entry)
        });
        for entry in order {
            while self.of_entry[entry].len() < self.draw.entries[entry].judges {
                let free = (0..self.draw.judges.len()).filter(|judge| self.may(entry, *judge));
                let Some(judge) = free.min_by_key(|judge| (self.load(*judge), self.luck[&(entry, *judge)]))
                else {
                    break;
                };
                self.put(entry, judge);
            }
        }
    }

    /// Shifts one along the shortest path that makes the load more even; false where there is none.
    fn improve(&mut self) -> bool {
        let mut from: Vec<usize> = (0..self.draw.judges.len()).collect();
        from.sort_by_key(|judge| (std::cmp::Reverse(self.load(*judge)), *judge));
        for start in from {
            if let Some(path) = self.path_from(start) {
                for (entry, old, new) in path {
                    self.of_entry[entry].remove(&old);
                    self.of_judge[old].remove(&entry);
                    self.put(entry, new);
                }
                return true;
            }
        }
        false
    }

    /// The moves (entry, from, to) of the shortest path from a judge to one with two or more fewer; of those
    /// equally short, to the one with the least.
    fn path_from(&self, start: usize) -> Option<Vec<(usize, usize, usize)>> {
        let mut came: BTreeMap<usize, (usize, usize, usize)> = BTreeMap::new();
        let mut waiting = VecDeque::from([(start, 0_usize)]);
        let mut best: Option<(usize, usize)> = None;
        while let Some((judge, steps)) = waiting.pop_front() {
            if best.is_some_and(|(_, found)| steps > found) {
                break;
            }
            if self.load(judge) + 2 <= self.load(start)
                && best.is_none_or(|(other, _)| self.load(judge) < self.load(other))
            {
                best = Some((judge, steps));
            }
            for entry in &self.of_judge[judge] {
                if self.draw.fixed.contains(&(*entry, judge)) {
                    continue;
                }
                for next in 0..self.draw.judges.len() {
                    if next != start && !came.contains_key(&next) && self.may(*entry, next) {
                        came.insert(next, (*entry, judge, next));
                        waiting.push_back((next, steps + 1));
                    }
                }
            }
        }
        let (mut at, _) = best?;
        let mut path = Vec::new();
        while at != start {
            let step = *came.get(&at)?;
            path.push(step);
            at = step.1;
        }
        Some(path)
    }
}

#[cfg(test)]
#[path = "draw_tests.rs"]
mod tests;
