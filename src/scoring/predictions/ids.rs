//! Ids as whole numbers or text, and matching the rows of one table with those of another.

use std::borrow::Cow;
use std::collections::HashMap;

use super::fault::{Fault, FaultKind, Faults, excerpt};
use super::table::Table;

/// An id without a row, or a row without an id, in a table of row numbers.
const NONE: u32 = u32::MAX;

/// The ids of a table, one by row, in their one way of writing.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ids {
    /// All are whole numbers.
    Whole(Vec<i64>),
    /// Text, one after the other.
    Text {
        /// Where each id ends in `bytes`.
        ends: Vec<usize>,
        /// All ids.
        bytes: String,
    },
}

impl Default for Ids {
    fn default() -> Self {
        Self::Whole(Vec::new())
    }
}

impl Ids {
    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Whole(ids) => ids.len(),
            Self::Text { ends, .. } => ends.len(),
        }
    }

    /// Appends an id that is already trimmed.
    pub(crate) fn push(&mut self, text: &str) {
        if let Self::Whole(ids) = self {
            if let Some(number) = whole(text.as_bytes()) {
                ids.push(number);
                return;
            }
            let canonical = canonical_id(text);
            if let Some(number) = whole(canonical.as_bytes()) {
                ids.push(number);
                return;
            }
            *self = self.as_text();
        }
        if let Self::Text { ends, bytes } = self {
            bytes.push_str(&canonical_id(text));
            ends.push(bytes.len());
        }
    }

    /// Appends a whole number.
    pub(crate) fn push_whole(&mut self, number: i64) {
        match self {
            Self::Whole(ids) => ids.push(number),
            Self::Text { .. } => self.push(&number.to_string()),
        }
    }

    /// The id of a row, as text.
    pub(crate) fn text(&self, row: usize) -> Cow<'_, str> {
        match self {
            Self::Whole(ids) => ids.get(row).map_or(Cow::Borrowed(""), |id| Cow::Owned(id.to_string())),
            Self::Text { ends, bytes } => {
                let start = row.checked_sub(1).and_then(|before| ends.get(before)).copied().unwrap_or(0);
                let end = ends.get(row).copied().unwrap_or(start);
                Cow::Borrowed(bytes.get(start..end).unwrap_or(""))
            }
        }
    }

    fn as_text(&self) -> Self {
        let (mut ends, mut bytes) = (Vec::with_capacity(self.len()), String::new());
        for row in 0..self.len() {
            bytes.push_str(&self.text(row));
            ends.push(bytes.len());
        }
        Self::Text { ends, bytes }
    }
}

/// The one way to write an id: `7.0`, which pandas makes of a 7 beside a gap, is `7`.
pub(super) fn canonical_id(text: &str) -> Cow<'_, str> {
    match text.split_once('.') {
        Some((number, zeros)) if !zeros.is_empty() && zeros.bytes().all(|b| b == b'0') => {
            whole(number.as_bytes()).map_or(Cow::Borrowed(text), |number| Cow::Owned(number.to_string()))
        }
        _ => Cow::Borrowed(text),
    }
}

/// A whole number in its usual writing, at most 18 digits: `007` and `+7` stay text.
fn whole(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let usual = match digits {
        [] => false,
        [b'0', ..] => digits.len() == 1 && !negative,
        _ => digits.len() <= 18,
    };
    if !usual {
        return None;
    }
    let mut number = 0i64;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        number = number * 10 + i64::from(digit - b'0');
    }
    Some(if negative { -number } else { number })
}

/// Where the rows of the reference lie in the predictions.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Order {
    /// In the same order.
    Same,
    /// By reference row, the predictions' row.
    Rows(Vec<u32>),
}

/// Finds, for every id of `reference`, its row in `predictions`; duplicate, unknown and missing ids
/// become faults, and then there is no order.
pub(crate) fn match_ids(
    reference: &Ids,
    predictions: &Table,
    column: &str,
    faults: &mut Faults,
) -> Option<Order> {
    if *reference == predictions.ids {
        return Some(Order::Same);
    }
    let rows = match (reference, &predictions.ids) {
        (Ids::Whole(reference), Ids::Whole(ids)) => {
            let index = WholeIndex::new(reference);
            let found = ids.iter().map(|id| index.row(*id));
            pair(reference.len(), found, predictions, column, faults)
        }
        _ => {
            let mut index: HashMap<Cow<'_, str>, u32> = HashMap::with_capacity(reference.len());
            for row in 0..reference.len() {
                index.insert(reference.text(row), row as u32);
            }
            let found = (0..predictions.rows()).map(|row| index.get(&predictions.ids.text(row)).copied());
            pair(reference.len(), found, predictions, column, faults)
        }
    };
    let mut complete = true;
    for (row, _) in rows.iter().enumerate().filter(|(_, found)| **found == NONE) {
        complete = false;
        faults.add(FaultKind::MissingId, || Fault {
            line: None,
            column: Some(excerpt(column)),
            found: None,
            expected: format!("a row for the id {}", excerpt(&reference.text(row))),
            about: Some(excerpt(&reference.text(row))),
            kind: FaultKind::MissingId,
        });
    }
    (complete && rows.len() == predictions.rows()).then_some(Order::Rows(rows))
}

fn pair(
    reference_rows: usize,
    found: impl Iterator<Item = Option<u32>>,
    predictions: &Table,
    column: &str,
    faults: &mut Faults,
) -> Vec<u32> {
    let mut rows = vec![NONE; reference_rows];
    for (row, found) in found.enumerate() {
        match found.and_then(|reference_row| rows.get_mut(reference_row as usize)) {
            Some(place) if *place == NONE => *place = row as u32,
            Some(place) => {
                let first = predictions.lines.of(*place as usize);
                duplicate_id(predictions, row, first, column, faults);
            }
            None => {
                // An empty id is a fault of its own already.
                if !predictions.ids.text(row).is_empty() {
                    let expected = "an id that is asked for".to_owned();
                    faults.add(FaultKind::UnknownId, || {
                        id_fault(FaultKind::UnknownId, predictions, row, column, expected)
                    });
                }
            }
        }
    }
    rows
}

fn id_fault(kind: FaultKind, table: &Table, row: usize, column: &str, expected: String) -> Fault {
    Fault {
        line: Some(table.lines.of(row)),
        column: Some(excerpt(column)),
        found: Some(excerpt(&table.ids.text(row))),
        expected,
        about: None,
        kind,
    }
}

/// An id that stood on the line `first` already.
fn duplicate_id(table: &Table, row: usize, first: u64, column: &str, faults: &mut Faults) {
    faults.add(FaultKind::DuplicateId, || {
        let expected = format!("every id once; the first time is line {first}");
        let fault = id_fault(FaultKind::DuplicateId, table, row, column, expected);
        Fault { about: Some(first.to_string()), ..fault }
    });
}

impl Table {
    /// Adds a fault for every id that occurs again.
    pub(crate) fn find_duplicates(&self, column: &str, faults: &mut Faults) {
        let mut order: Vec<u32> = (0..self.rows() as u32).collect();
        match &self.ids {
            Ids::Whole(ids) => order.sort_unstable_by_key(|row| (ids[*row as usize], *row)),
            Ids::Text { .. } => {
                order.sort_unstable_by(|a, b| {
                    let text = |row: &u32| self.ids.text(*row as usize);
                    text(a).cmp(&text(b)).then(a.cmp(b))
                });
            }
        }
        let mut again: Vec<(u32, u32)> = Vec::new();
        let mut first = None;
        for row in order {
            let text = self.ids.text(row as usize);
            match first {
                Some(earlier) if self.ids.text(earlier as usize) == text => {
                    if !text.is_empty() {
                        again.push((row, earlier));
                    }
                }
                _ => first = Some(row),
            }
        }
        again.sort_unstable();
        for (row, earlier) in again {
            let line = self.lines.of(earlier as usize);
            duplicate_id(self, row as usize, line, column, faults);
        }
    }
}

/// From a whole number to its row.
enum WholeIndex {
    /// Numbers that lie close together: a table from the lowest.
    Table { lowest: i64, rows: Vec<u32> },
    /// Any others.
    Map(HashMap<i64, u32>),
}

impl WholeIndex {
    fn new(ids: &[i64]) -> Self {
        let (lowest, highest) =
            ids.iter().fold((i64::MAX, i64::MIN), |(lo, hi), id| (lo.min(*id), hi.max(*id)));
        let span = i128::from(highest) - i128::from(lowest);
        if span < 4 * ids.len() as i128 + 1024 {
            let mut rows = vec![NONE; usize::try_from(span + 1).unwrap_or(0)];
            for (row, id) in (0u32..).zip(ids) {
                if let Some(place) = rows.get_mut((id - lowest) as usize) {
                    *place = row;
                }
            }
            Self::Table { lowest, rows }
        } else {
            Self::Map(ids.iter().copied().zip(0u32..).collect())
        }
    }

    fn row(&self, id: i64) -> Option<u32> {
        match self {
            Self::Table { lowest, rows } => {
                let place = usize::try_from(id.checked_sub(*lowest)?).ok()?;
                rows.get(place).copied().filter(|row| *row != NONE)
            }
            Self::Map(rows) => rows.get(&id).copied(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_has_one_writing() {
        assert_eq!(whole(b"-12"), Some(-12));
        assert_eq!(whole(b"0"), Some(0));
        for text in ["", "-", "-0", "007", "+7", "1e3", "1234567890123456789", "1 "] {
            assert_eq!(whole(text.as_bytes()), None, "{text}");
        }
        assert_eq!(canonical_id("7.00"), "7");
        assert_eq!(canonical_id("7.5"), "7.5");
        assert_eq!(canonical_id("v1.0"), "v1.0");
    }

    #[test]
    fn numbers_before_a_text_keep_their_writing() {
        let mut ids = Ids::default();
        for id in ["7.0", "12", "x7", "3.0", "007"] {
            ids.push(id);
        }
        let texts: Vec<_> = (0..ids.len()).map(|row| ids.text(row)).collect();
        assert_eq!(texts, ["7", "12", "x7", "3", "007"]);
    }

    #[test]
    fn far_and_near_numbers_are_found() {
        for ids in [vec![5, 3, 9], vec![i64::MIN, 0, i64::MAX]] {
            let index = WholeIndex::new(&ids);
            assert!(ids.iter().enumerate().all(|(row, id)| index.row(*id) == Some(row as u32)));
            assert_eq!(index.row(4), None);
        }
        assert_eq!(WholeIndex::new(&[]).row(0), None);
    }
}
