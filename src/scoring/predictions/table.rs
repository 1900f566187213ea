//! A table in memory, and reading one from a file of either format.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use super::columns::{Builder, Coded, Kind, Values, Wanted};
use super::fault::{Fault, FaultKind, Faults, excerpt};
use super::ids::Ids;
use super::{Limits, csv_table, parquet_table};

/// Rows with their ids and wanted columns.
pub(crate) struct Table {
    /// One id by row.
    pub(crate) ids: Ids,
    /// Where the rows stand in the file.
    pub(crate) lines: Lines,
    columns: Vec<(Wanted, Values)>,
}

impl Table {
    /// Number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.ids.len()
    }

    /// Values of a column of numbers.
    pub(crate) fn numbers(&self, name: &str, kind: &Kind) -> Option<&[f64]> {
        match self.values(name, kind)? {
            Values::Numbers(numbers) => Some(numbers),
            Values::Coded(_) => None,
        }
    }

    /// Values of a column of classes or text.
    pub(crate) fn coded(&self, name: &str, kind: &Kind) -> Option<&Coded> {
        match self.values(name, kind)? {
            Values::Coded(coded) => Some(coded),
            Values::Numbers(_) => None,
        }
    }

    fn values(&self, name: &str, kind: &Kind) -> Option<&Values> {
        self.columns
            .iter()
            .find(|(wanted, _)| wanted.name == name && wanted.kind == *kind)
            .map(|(_, values)| values)
    }
}

/// The line of each row, kept short for files where it goes up by one.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    /// From this row on, this line and the following.
    breaks: Vec<(u32, u32)>,
    next: u64,
}

impl Lines {
    /// Says where the next row stands.
    fn push(&mut self, row: usize, line: u64) {
        if self.breaks.is_empty() || line != self.next {
            self.breaks.push((row as u32, u32::try_from(line).unwrap_or(u32::MAX)));
        }
        self.next = line + 1;
    }

    /// The line of a row.
    pub(crate) fn of(&self, row: usize) -> u64 {
        let after = self.breaks.partition_point(|(first, _)| *first as usize <= row);
        match after.checked_sub(1).and_then(|before| self.breaks.get(before)) {
            Some((first, line)) => u64::from(*line) + (row as u64 - u64::from(*first)),
            None => row as u64 + 1,
        }
    }
}

/// A table while its rows come in; the readers of both formats feed it.
pub(super) struct Rows<'a> {
    ids: Ids,
    lines: Lines,
    id_column: &'a str,
    limits: &'a Limits,
    /// The columns, in the order of the wanted ones.
    pub(super) columns: Vec<Builder<'a>>,
}

impl<'a> Rows<'a> {
    /// Counts the row; false when there are too many, after which reading stops.
    pub(super) fn begin(&mut self, line: u64, faults: &mut Faults) -> bool {
        if self.ids.len() as u64 >= self.limits.rows {
            let expected = format!("at most {} rows", self.limits.rows);
            faults.about_file(FaultKind::TooLarge, None, expected);
            return false;
        }
        self.lines.push(self.ids.len(), line);
        true
    }

    /// Takes the row's id as text.
    pub(super) fn id_text(&mut self, cell: &[u8], line: u64, faults: &mut Faults) {
        match std::str::from_utf8(cell).map(str::trim) {
            Ok("") => {
                self.ids.push("");
                self.id_fault(FaultKind::EmptyId, None, "an id", line, faults);
            }
            Ok(text) => self.ids.push(text),
            Err(_) => {
                self.ids.push("");
                self.id_fault(FaultKind::NotUtf8, Some(cell), "text in UTF-8", line, faults);
            }
        }
    }

    /// Takes the row's id as a whole number.
    pub(super) fn id_whole(&mut self, id: i64) {
        self.ids.push_whole(id);
    }

    fn id_fault(&self, kind: FaultKind, cell: Option<&[u8]>, expected: &str, line: u64, faults: &mut Faults) {
        faults.add(kind, || Fault {
            line: Some(line),
            column: Some(excerpt(self.id_column)),
            found: cell.map(|cell| excerpt(&String::from_utf8_lossy(cell))),
            expected: expected.to_owned(),
            about: None,
            kind,
        });
    }
}

/// Reads the id column and the wanted columns of a CSV or Parquet file. Faults are added; there is
/// no table where the columns could not be found at all.
pub(crate) fn read_table(
    path: &Path,
    id: &str,
    wanted: &[Wanted],
    limits: &Limits,
    faults: &mut Faults,
) -> Option<Table> {
    let (mut file, size) = open(path, limits, faults)?;
    let mut magic = [0u8; 4];
    let mut filled = 0;
    while let Some(rest) = magic.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(_) => {
                faults.about_file(FaultKind::Unreadable, None, "a file that can be read");
                return None;
            }
        }
    }
    file.seek(SeekFrom::Start(0)).ok()?;
    let columns = wanted.iter().map(|wanted| Builder::new(wanted, limits)).collect();
    let mut rows = Rows { ids: Ids::default(), lines: Lines::default(), id_column: id, limits, columns };
    let found = if magic == *b"PAR1" {
        parquet_table::read(file, id, wanted, limits, &mut rows, faults)
    } else {
        csv_table::read(file, size, id, wanted, limits, &mut rows, faults)
    };
    found?;
    if rows.ids.len() == 0 && faults.is_empty() {
        faults.about_file(FaultKind::NoRows, None, "at least one row");
    }
    let values = rows.columns.into_iter().map(Builder::finish);
    Some(Table { ids: rows.ids, lines: rows.lines, columns: wanted.iter().cloned().zip(values).collect() })
}

/// Opens a regular file of allowed size: no link, no pipe that would never end.
fn open(path: &Path, limits: &Limits, faults: &mut Faults) -> Option<(File, u64)> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty()).map(File::from);
    let (file, size) = match file.and_then(|file| Ok((rustix::fs::fstat(&file)?, file))) {
        Ok((stat, file)) if rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file() => {
            (file, u64::try_from(stat.st_size).unwrap_or(u64::MAX))
        }
        _ => {
            faults.about_file(FaultKind::Unreadable, None, "a regular file");
            return None;
        }
    };
    if size > limits.file_bytes {
        let expected = format!("at most {} bytes", limits.file_bytes);
        faults.about_file(FaultKind::TooLarge, Some(&format!("{size} bytes")), expected);
        return None;
    }
    Some((file, size))
}

/// Finds the positions of the id column and the wanted ones in a header; all faults of the header
/// are added.
pub(super) fn find_columns(
    header: &[String],
    id: &str,
    wanted: &[Wanted],
    limits: &Limits,
    faults: &mut Faults,
) -> Option<(usize, Vec<usize>)> {
    if header.len() > limits.columns {
        let expected = format!("at most {} columns", limits.columns);
        faults.about_file(FaultKind::TooLarge, Some(&format!("{} columns", header.len())), expected);
        return None;
    }
    let shown = || excerpt(&header.join(","));
    let mut looked_for: Vec<&str> = Vec::new();
    let mut find = |name: &str, faults: &mut Faults| {
        let mut places = (0..header.len()).filter(|place| header[*place] == name);
        let place = places.next();
        let kind = match (place, places.next()) {
            (Some(_), None) => return place,
            (Some(_), Some(_)) => FaultKind::DuplicateColumn,
            (None, _) => FaultKind::MissingColumn,
        };
        let again = looked_for.contains(&name);
        looked_for.push(wanted.iter().map(|w| w.name.as_str()).find(|w| *w == name).unwrap_or(id));
        if !again {
            faults.add(kind, || Fault {
                line: Some(1),
                column: Some(excerpt(name)),
                found: Some(shown()),
                expected: format!("one column `{}`", excerpt(name)),
                about: None,
                kind,
            });
        }
        None
    };
    let id = find(id, faults);
    let places: Vec<Option<usize>> = wanted.iter().map(|wanted| find(&wanted.name, faults)).collect();
    Some((id?, places.into_iter().collect::<Option<Vec<_>>>()?))
}
