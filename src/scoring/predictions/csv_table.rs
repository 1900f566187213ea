//! CSV: UTF-8 with or without byte order mark, commas, a header line.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Read};
use std::rc::Rc;

use csv::ByteRecord;

use super::Limits;
use super::columns::Wanted;
use super::fault::{Fault, FaultKind, Faults, excerpt};
use super::table::{Rows, find_columns};

/// Bytes read from the file at once.
const BUFFER: usize = 256 << 10;

/// The file, with a bound on how much one line may take and a last line that is always ended.
struct Bounded {
    file: File,
    /// Bytes handed out since the last complete line.
    since_line: Rc<Cell<u64>>,
    most: u64,
    last: u8,
    /// What ends the first line: CR (before LF) or LF.
    end: Option<u8>,
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.since_line.get() > self.most {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "a line is too long"));
        }
        let read = self.file.read(buffer)?;
        if self.end.is_none()
            && let Some(place) = buffer.iter().take(read).position(|byte| *byte == b'\n')
        {
            let before = place.checked_sub(1).and_then(|before| buffer.get(before));
            self.end = Some(if before == Some(&b'\r') { b'\r' } else { b'\n' });
        }
        self.since_line.set(self.since_line.get() + read as u64);
        match (read.checked_sub(1).and_then(|last| buffer.get(last).copied()), buffer.first_mut()) {
            (Some(last), _) => self.last = last,
            (None, Some(first)) if !matches!(self.last, b'\n' | b'\r') => {
                *first = self.end.unwrap_or(b'\n');
                self.last = b'\n';
                return Ok(1);
            }
            _ => {}
        }
        Ok(read)
    }
}

/// Feeds the rows of a CSV file to `rows`; `None` where the header is at fault.
pub(super) fn read(
    file: File,
    size: u64,
    id: &str,
    wanted: &[Wanted],
    limits: &Limits,
    rows: &mut Rows<'_>,
    faults: &mut Faults,
) -> Option<()> {
    let since_line = Rc::new(Cell::new(0));
    let most = limits.record_bytes + BUFFER as u64;
    let source = Bounded { file, since_line: since_line.clone(), most, last: b'\n', end: None };
    let buffer = BUFFER.min(usize::try_from(size).unwrap_or(BUFFER).max(4096));
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .buffer_capacity(buffer)
        .from_reader(source);
    let mut record = ByteRecord::new();
    let header = match reader.read_byte_record(&mut record) {
        Ok(true) => read_header(&record, faults)?,
        Ok(false) => {
            faults.about_file(FaultKind::NoRows, None, "a header line and at least one row");
            return None;
        }
        Err(error) => {
            unreadable(&error, 1, faults);
            return None;
        }
    };
    let (id_place, places) = find_columns(&header, id, wanted, limits, faults)?;
    // After a line that ends in CR LF the reader has not yet counted the LF.
    let ahead = reader.position().line() - 1 - newlines(&record);
    loop {
        since_line.set(0);
        match reader.read_byte_record(&mut record) {
            Ok(true) => {}
            Ok(false) => return Some(()),
            Err(error) => {
                unreadable(&error, reader.position().line(), faults);
                return Some(());
            }
        }
        let line = reader.position().line().saturating_sub(ahead + newlines(&record));
        if record.len() != header.len() {
            let found = record.len();
            faults.add(FaultKind::CellCount, || Fault {
                line: Some(line),
                column: None,
                found: Some(format!("{found} cells")),
                expected: format!("{} cells, as in the header", header.len()),
                about: None,
                kind: FaultKind::CellCount,
            });
        }
        if !rows.begin(line, faults) {
            return Some(());
        }
        let cell = |place: usize, faults: &mut Faults| {
            let cell = record.get(place).unwrap_or_default();
            if cell.len() <= limits.cell_bytes {
                return cell;
            }
            faults.add(FaultKind::CellTooLong, || Fault {
                line: Some(line),
                column: header.get(place).map(|name| excerpt(name)),
                found: Some(format!("{} bytes", cell.len())),
                expected: format!("at most {} bytes", limits.cell_bytes),
                about: None,
                kind: FaultKind::CellTooLong,
            });
            cell.get(..limits.cell_bytes).unwrap_or_default()
        };
        rows.id_text(cell(id_place, faults), line, faults);
        for (column, place) in rows.columns.iter_mut().zip(&places) {
            column.text(cell(*place, faults), line, faults);
        }
    }
}

fn read_header(record: &ByteRecord, faults: &mut Faults) -> Option<Vec<String>> {
    let mut header = Vec::with_capacity(record.len());
    for name in record {
        let Ok(name) = std::str::from_utf8(name) else {
            faults.add(FaultKind::NotUtf8, || Fault {
                line: Some(1),
                column: None,
                found: Some(excerpt(&String::from_utf8_lossy(name))),
                expected: "text in UTF-8 (save the file as CSV UTF-8)".to_owned(),
                about: None,
                kind: FaultKind::NotUtf8,
            });
            return None;
        };
        header.push(name.trim_start_matches('\u{feff}').trim().to_owned());
    }
    Some(header)
}

fn newlines(record: &ByteRecord) -> u64 {
    record.as_slice().iter().filter(|byte| **byte == b'\n').count() as u64
}

fn unreadable(error: &csv::Error, line: u64, faults: &mut Faults) {
    let too_long =
        matches!(error.kind(), csv::ErrorKind::Io(error) if error.kind() == io::ErrorKind::FileTooLarge);
    let (kind, expected) = if too_long {
        (FaultKind::CellTooLong, "a shorter line (is a quotation mark left open?)")
    } else {
        (FaultKind::Unreadable, "a CSV file that can be read to its end")
    };
    faults.add(kind, || Fault {
        line: Some(line),
        column: None,
        found: None,
        expected: expected.to_owned(),
        about: None,
        kind,
    });
}
