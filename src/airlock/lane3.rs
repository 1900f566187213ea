//! Lane 3: files from a sandbox's outbox. Release requests are not open yet; what is here says of a file,
//! from its name and size alone, what it would have to pass.

/// The largest file that may leave, in bytes.
pub const FILE_BYTES: u64 = 16 << 20;
/// Rows of a table that may leave.
pub const ROWS: i64 = 5_000;
/// Columns of a table that may leave.
pub const COLUMNS: i64 = 100;

/// What stands before a file on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Its type is not taken.
    NoType,
    /// It has more than [`FILE_BYTES`].
    TooLarge,
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
        !matches!(self, Self::NoType | Self::TooLarge)
    }
}

/// What a file of this path and size would have to pass: by its ending, in any case of letters.
pub fn way_out(path: &str, bytes: u64) -> Way {
    let name = path.rsplit('/').next().unwrap_or_default();
    let ending = name.rsplit_once('.').map(|(stem, ending)| (stem, ending.to_ascii_lowercase()));
    let way = match ending.as_ref().filter(|(stem, _)| !stem.is_empty()).map(|(_, ending)| ending.as_str()) {
        Some("csv" | "json") => Way::Table,
        Some("png") => Way::Picture,
        Some("md") => Way::Text,
        _ => return Way::NoType,
    };
    if bytes > FILE_BYTES { Way::TooLarge } else { way }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn type_and_size_decide_what_is_ahead() {
        assert_eq!(way_out("means.csv", FILE_BYTES), Way::Table);
        assert_eq!(way_out("a/b/plot.PNG", 10), Way::Picture);
        assert_eq!(way_out("notes.md", 10), Way::Text);
        assert_eq!(way_out("means.csv", FILE_BYTES + 1), Way::TooLarge);
        for path in ["all.zip", "model.pkl", "README", ".csv", "a.csv/x", "x.csv.gz", ""] {
            assert_eq!(way_out(path, 1), Way::NoType, "{path}");
        }
        assert!(Way::Table.is_open() && !Way::TooLarge.is_open() && !Way::NoType.is_open());
    }
}
