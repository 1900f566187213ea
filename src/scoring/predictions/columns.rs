//! Columns while they are read: what is wanted, how a cell becomes a value, and what is at fault.

use std::collections::HashMap;

use super::Limits;
use super::fault::{Fault, FaultKind, Faults, excerpt};
use crate::scoring::metric::canonical_label;

/// A column to read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Wanted {
    /// Name in the header.
    pub(crate) name: String,
    /// What its cells hold.
    pub(crate) kind: Kind,
}

/// What the cells of a column hold.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    /// Finite numbers from `lo` to `hi`.
    Number {
        /// Lowest allowed.
        lo: f64,
        /// Highest allowed.
        hi: f64,
        /// What that means, for a fault.
        meaning: &'static str,
    },
    /// Names of classes.
    Class {
        /// The only ones allowed.
        among: Option<Vec<String>>,
    },
    /// Any text that tells rows apart, such as a query.
    Text,
}

impl Kind {
    /// Any finite number.
    pub(crate) fn number() -> Self {
        Self::Number { lo: f64::MIN, hi: f64::MAX, meaning: "a finite number" }
    }

    /// A number from 0 to 1.
    pub(crate) fn probability() -> Self {
        Self::Number { lo: 0.0, hi: 1.0, meaning: "a number from 0 to 1" }
    }

    /// A number above -1.
    pub(crate) fn above_minus_one() -> Self {
        // The number after -1.
        Self::Number { lo: -1.0 + f64::EPSILON / 2.0, hi: f64::MAX, meaning: "a number above -1" }
    }
}

/// Text as codes, with the text of each code.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Coded {
    /// One code by row.
    pub(crate) codes: Vec<u32>,
    /// What the codes stand for.
    pub(crate) names: Vec<String>,
}

/// The values of a column.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Values {
    /// Of [`Kind::Number`].
    Numbers(Vec<f64>),
    /// Of [`Kind::Class`] and [`Kind::Text`].
    Coded(Coded),
}

/// A column being read.
pub(crate) struct Builder<'a> {
    wanted: &'a Wanted,
    limits: &'a Limits,
    values: Values,
    /// Raw text already seen, to its code.
    raw: HashMap<Box<[u8]>, u32>,
    /// Names in their one way of writing, to their code.
    canonical: HashMap<String, u32>,
}

impl<'a> Builder<'a> {
    /// An empty column.
    pub(crate) fn new(wanted: &'a Wanted, limits: &'a Limits) -> Self {
        let values = match wanted.kind {
            Kind::Number { .. } => Values::Numbers(Vec::new()),
            Kind::Class { .. } | Kind::Text => Values::Coded(Coded::default()),
        };
        Self { wanted, limits, values, raw: HashMap::new(), canonical: HashMap::new() }
    }

    /// What was read.
    pub(crate) fn finish(self) -> Values {
        self.values
    }

    /// Takes a cell of a text file. A value is stored even for a faulty cell, so that rows stay
    /// aligned.
    pub(crate) fn text(&mut self, cell: &[u8], line: u64, faults: &mut Faults) {
        if let Values::Numbers(numbers) = &mut self.values {
            let parsed = std::str::from_utf8(cell).ok().and_then(|text| text.trim().parse::<f64>().ok());
            if let Some(number) = parsed.filter(|number| in_kind(&self.wanted.kind, *number)) {
                numbers.push(number);
            } else {
                numbers.push(f64::NAN);
                self.number_fault(cell, parsed, line, faults);
            }
            return;
        }
        if let Some(code) = self.raw.get(cell) {
            let code = *code;
            self.push_code(code);
            return;
        }
        match std::str::from_utf8(cell) {
            Ok(text) => {
                let name = match self.wanted.kind {
                    Kind::Text => super::ids::canonical_id(text.trim()).into_owned(),
                    _ => canonical_label(text),
                };
                let code = self.code(name, line, faults);
                if let Some(code) = code {
                    self.raw.insert(cell.into(), code);
                }
                self.push_code(code.unwrap_or(0));
            }
            Err(_) => {
                self.fault(FaultKind::NotUtf8, Some(cell), "text in UTF-8", line, faults);
                self.push_code(0);
            }
        }
    }

    /// Takes a number of a typed file; `None` for a missing value.
    pub(crate) fn number(&mut self, number: Option<f64>, line: u64, faults: &mut Faults) {
        match &mut self.values {
            Values::Numbers(numbers) => {
                let fine = number.filter(|number| in_kind(&self.wanted.kind, *number));
                numbers.push(fine.unwrap_or(f64::NAN));
                if fine.is_none() {
                    let shown = number.map(|number| number.to_string()).unwrap_or_default();
                    self.number_fault(shown.as_bytes(), number, line, faults);
                }
            }
            Values::Coded(_) => {
                let text = number.filter(|n| !n.is_nan()).map(|number| number.to_string());
                self.text(text.unwrap_or_default().as_bytes(), line, faults);
            }
        }
    }

    /// Takes a whole number of a typed file.
    pub(crate) fn whole(&mut self, number: i64, line: u64, faults: &mut Faults) {
        match self.values {
            Values::Numbers(_) => self.number(Some(number as f64), line, faults),
            Values::Coded(_) => self.text(number.to_string().as_bytes(), line, faults),
        }
    }

    fn push_code(&mut self, code: u32) {
        if let Values::Coded(coded) = &mut self.values {
            coded.codes.push(code);
        }
    }

    /// The code of a name, or nothing where the name is at fault.
    fn code(&mut self, name: String, line: u64, faults: &mut Faults) -> Option<u32> {
        if let Some(code) = self.canonical.get(&name) {
            return Some(*code);
        }
        if let Kind::Class { among } = &self.wanted.kind {
            if name.is_empty() {
                self.fault(FaultKind::EmptyClass, None, "a class", line, faults);
                return None;
            }
            if let Some(among) = among
                && !among.contains(&name)
            {
                let expected = format!("one of {}", excerpt(&among.join(", ")));
                self.fault(FaultKind::UnknownClass, Some(name.as_bytes()), &expected, line, faults);
                return None;
            }
            if self.canonical.len() >= self.limits.classes {
                let expected = format!("at most {} different classes", self.limits.classes);
                self.fault(FaultKind::TooManyClasses, Some(name.as_bytes()), &expected, line, faults);
                return None;
            }
        }
        let Values::Coded(coded) = &mut self.values else { return None };
        let code = u32::try_from(coded.names.len()).ok()?;
        coded.names.push(name.clone());
        self.canonical.insert(name, code);
        Some(code)
    }

    fn number_fault(&self, cell: &[u8], parsed: Option<f64>, line: u64, faults: &mut Faults) {
        let text = String::from_utf8_lossy(cell);
        let missing =
            ["", "na", "n/a", "null", "none", "<na>"].contains(&text.trim().to_lowercase().as_str());
        let kind = match parsed {
            None if missing => FaultKind::NotANumber,
            None => FaultKind::NotNumeric,
            Some(number) if number.is_nan() => FaultKind::NotANumber,
            Some(number) if number.is_infinite() => FaultKind::Infinite,
            Some(_) => FaultKind::OutOfRange,
        };
        let Kind::Number { meaning, .. } = self.wanted.kind else { return };
        self.fault(kind, Some(cell), meaning, line, faults);
    }

    fn fault(&self, kind: FaultKind, cell: Option<&[u8]>, expected: &str, line: u64, faults: &mut Faults) {
        faults.add(kind, || Fault {
            line: Some(line),
            column: Some(excerpt(&self.wanted.name)),
            found: cell.map(|cell| excerpt(&String::from_utf8_lossy(cell))),
            expected: expected.to_owned(),
            about: None,
            kind,
        });
    }
}

fn in_kind(kind: &Kind, number: f64) -> bool {
    matches!(kind, Kind::Number { lo, hi, .. } if number >= *lo && number <= *hi)
}
