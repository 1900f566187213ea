//! Lane 3: files from a sandbox's outbox. Release requests are not open yet; what is here says of a file,
//! from its name, its size and the shape of its table, what it would have to pass.

use std::io::{BufRead as _, BufReader, Read};

use csv_core::ReadFieldResult;
use serde::{Deserialize, Serialize};

/// The largest file that may leave, in bytes.
pub const FILE_BYTES: u64 = 16 << 20;
/// Rows of a table that may leave.
pub const ROWS: usize = 5_000;
/// Columns of a table that may leave.
pub const COLUMNS: usize = 100;

/// The shape of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// Its rows, without the line of names; one more than [`ROWS`] for any that are more.
    pub rows: usize,
    /// The fields of its longest line.
    pub columns: usize,
}

/// The shape of a CSV file, of which [`FILE_BYTES`] are read at most; `None` where it cannot be read. Nothing
/// of it is kept in memory, however long its lines and fields are.
pub fn shape_of(csv: impl Read) -> Option<Shape> {
    let (mut csv, mut reader) = (BufReader::new(csv.take(FILE_BYTES)), csv_core::Reader::new());
    let (mut lines, mut columns, mut fields) = (0_usize, 0, 0);
    let mut forgotten = [0; 1 << 10];
    while lines < ROWS + 2 {
        let piece = csv.fill_buf().ok()?;
        let (found, read, _) = reader.read_field(piece, &mut forgotten);
        csv.consume(read);
        match found {
            ReadFieldResult::InputEmpty | ReadFieldResult::OutputFull => {}
            ReadFieldResult::Field { record_end } => {
                fields += 1;
                columns = columns.max(fields);
                if record_end {
                    (lines, fields) = (lines + 1, 0);
                }
            }
            ReadFieldResult::End => break,
        }
    }
    Some(Shape { rows: lines.saturating_sub(1), columns })
}

/// What stands before a file on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Its type is not taken.
    NoType,
    /// It has more than [`FILE_BYTES`].
    TooLarge,
    /// It has more than [`ROWS`].
    TooLong,
    /// It has more than [`COLUMNS`].
    TooWide,
    /// A table: at most [`ROWS`] and [`COLUMNS`], with a recipe; automatic checks, then two checkers.
    Table,
    /// A picture: encoded anew, then two checkers.
    Picture,
    /// A text: automatic checks, then two checkers.
    Text,
}

impl Way {
    /// Whether it can leave at all as it is.
    pub fn is_open(self) -> bool {
        !matches!(self, Self::NoType | Self::TooLarge | Self::TooLong | Self::TooWide)
    }
}

/// What a file would have to pass: by the ending of its path, in any case of letters, its size, and the shape
/// of its table where that is known.
pub fn way_out(path: &str, bytes: u64, shape: Option<Shape>) -> Way {
    let way = match ending(path).as_deref() {
        Some("csv" | "json") => Way::Table,
        Some("png") => Way::Picture,
        Some("md") => Way::Text,
        _ => return Way::NoType,
    };
    match shape {
        _ if bytes > FILE_BYTES => Way::TooLarge,
        Some(shape) if shape.rows > ROWS => Way::TooLong,
        Some(shape) if shape.columns > COLUMNS => Way::TooWide,
        _ => way,
    }
}

/// Whether a file is one whose [shape](shape_of) can be told.
pub fn has_shape(path: &str, bytes: u64) -> bool {
    ending(path).as_deref() == Some("csv") && bytes <= FILE_BYTES
}

fn ending(path: &str) -> Option<String> {
    let (stem, ending) = path.rsplit('/').next()?.rsplit_once('.')?;
    (!stem.is_empty()).then(|| ending.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn type_and_size_decide_what_is_ahead() {
        let way_out = |path, bytes| way_out(path, bytes, None);
        assert_eq!(way_out("means.csv", FILE_BYTES), Way::Table);
        assert_eq!(way_out("a/b/plot.PNG", 10), Way::Picture);
        assert_eq!(way_out("notes.md", 10), Way::Text);
        assert_eq!(way_out("means.csv", FILE_BYTES + 1), Way::TooLarge);
        for path in ["all.zip", "model.pkl", "README", ".csv", "a.csv/x", "x.csv.gz", ""] {
            assert_eq!(way_out(path, 1), Way::NoType, "{path}");
        }
        assert!(Way::Table.is_open() && !Way::TooLarge.is_open() && !Way::NoType.is_open());
    }

    #[test]
    fn rows_and_columns_are_counted_as_far_as_they_matter() {
        let shape = |csv: &str| shape_of(csv.as_bytes()).expect("readable");
        assert_eq!(shape(""), Shape { rows: 0, columns: 0 });
        assert_eq!(shape("a,b\n1,\"two\nlines\"\n3\n"), Shape { rows: 2, columns: 2 });
        let long = "x\n".repeat(2 * ROWS);
        assert_eq!(shape(&long), Shape { rows: ROWS + 1, columns: 1 });
        let way = |csv: &str| way_out("means.csv", 10, Some(shape(csv)));
        assert_eq!(way(&long), Way::TooLong);
        assert_eq!(way(&"x\n".repeat(ROWS + 1)), Way::Table);
        assert_eq!(way(&"x,".repeat(COLUMNS)), Way::TooWide);
        assert_eq!(way(&"x,".repeat(COLUMNS - 1)), Way::Table);
        assert!(has_shape("a/B.CSV", 1) && !has_shape("b.csv", FILE_BYTES + 1) && !has_shape("b.json", 1));
    }
}
