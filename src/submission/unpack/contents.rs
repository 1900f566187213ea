//! What lies in an unpacked submission, by names and first bytes.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::detect::head;
use super::shown;

/// Every regular file below a directory, in order, without what macOS adds.
///
/// # Errors
/// When a directory cannot be read.
pub(super) fn below(root: &Path) -> io::Result<Vec<PathBuf>> {
    let (mut found, mut folders) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() && entry.file_name() != "__MACOSX" {
                folders.push(entry.path());
            } else if kind.is_file() {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The ending of a file's name, in lower case.
pub(super) fn ending_of(path: &Path) -> String {
    path.extension().and_then(|end| end.to_str()).map(str::to_ascii_lowercase).unwrap_or_default()
}

/// Whether there is a CSV or Parquet file below a directory.
///
/// # Errors
/// When a directory cannot be read.
pub(crate) fn has_table(root: &Path) -> io::Result<bool> {
    Ok(below(root)?.iter().any(|path| matches!(ending_of(path).as_str(), "csv" | "parquet")))
}

/// Whether a name is that of a model whose loading runs code, or that its own library alone reads.
pub(crate) fn is_pickle_name(name: &str) -> bool {
    const ENDINGS: [&str; 11] =
        ["pkl", "pickle", "joblib", "sav", "pt", "pth", "h5", "hdf5", "keras", "dill", "skops"];
    ENDINGS.contains(&ending_of(Path::new(name)).as_str())
}

/// Whether a file begins as such a model does: as a pickle (protocols 2 to 5), as HDF5, or as the zip that
/// PyTorch and Keras write.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn is_pickled(file: &Path) -> io::Result<bool> {
    let head = head(&mut File::open(file)?)?;
    let magic = [b"\x89HDF\r\n\x1a\n".as_slice(), b"PK\x03\x04"];
    Ok(matches!(head.as_slice(), [0x80, 2..=5, ..]) || magic.iter().any(|magic| head.starts_with(magic)))
}

/// The first such model of an unpacked submission.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn pickle_below(root: &Path) -> io::Result<Option<String>> {
    for path in below(root)? {
        let name = path.file_name().map(|name| shown(name.as_encoded_bytes())).unwrap_or_default();
        if is_pickle_name(&name) || is_pickled(&path)? {
            return Ok(Some(name));
        }
    }
    Ok(None)
}
