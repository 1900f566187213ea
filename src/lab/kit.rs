//! Single files out of what a competition gives to its participants: a starter notebook, a sample of a
//! result file.

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

use tokio::io::AsyncReadExt as _;

use crate::contest::given::is_plain;
use crate::contest::model::{FileKind, StoredFile};
use crate::house::House;
use crate::store::{ObjectError, ObjectKey};

/// A file that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Its name, without folders.
    pub name: String,
    /// What it holds.
    pub content: Vec<u8>,
}

/// Why it was not looked for to the end.
#[derive(Debug, thiserror::Error)]
pub(super) enum KitError {
    /// The object store failed.
    #[error(transparent)]
    Objects(#[from] ObjectError),
    /// The worker's disk failed.
    #[error("the copy of {0} cannot be used: {1}")]
    Copy(String, io::Error),
    /// An archive cannot be read.
    #[error("{0} is no archive that can be read: {1}")]
    Archive(String, zip::result::ZipError),
}

/// The first file that `wanted` takes for itself by its name, the one in the fewest folders first, with `cap` bytes
/// at most; in a directory or a zip of the bundle, or the file itself. An archive is looked into in
/// `scratch`.
pub(super) async fn find(
    house: &House,
    scratch: &Path,
    stored: &StoredFile,
    wanted: fn(&str) -> bool,
    cap: u64,
) -> Result<Option<Found>, KitError> {
    if !is_plain(stored) {
        return Ok(None);
    }
    let key: ObjectKey = stored.object_key.parse()?;
    let copy = |error| KitError::Copy(stored.path.clone(), error);
    let name = file_name(&stored.path);
    if stored.kind == FileKind::File && !name.ends_with(".zip") {
        if !wanted(name) || stored.size > cap {
            return Ok(None);
        }
        let mut content = Vec::new();
        house.objects.get_stream(&key).await?.take(cap).read_to_end(&mut content).await.map_err(copy)?;
        return Ok(Some(Found { name: name.to_owned(), content }));
    }
    let unique = hex::encode(house.entropy.bytes::<8>());
    let place = scratch.join(format!("{unique}.kit"));
    house.objects.get_to_file(&key, &place).await?;
    let path = stored.path.clone();
    let looking = tokio::task::spawn_blocking(move || {
        let looked = File::open(&place).map_err(|error| KitError::Copy(path.clone(), error));
        let looked = looked
            .and_then(|file| look(file, wanted, cap).map_err(|error| KitError::Archive(path.clone(), error)));
        fs::remove_file(&place).map_err(|error| KitError::Copy(path, error)).and(looked)
    });
    looking.await.map_err(|error| copy(error.into()))?
}

fn look(archive: File, wanted: fn(&str) -> bool, cap: u64) -> Result<Option<Found>, zip::result::ZipError> {
    let mut archive = zip::ZipArchive::new(archive)?;
    // notebooks kept by editors, and what a Mac adds, are nobody's
    let is_shown = |path: &str| !path.split('/').any(|part| part.starts_with('.') || part == "__MACOSX");
    let names = archive.file_names().filter_map(|path| path.ok().map(Cow::into_owned));
    let found = names.filter(|path| is_shown(path) && wanted(file_name(path)));
    let Some(path) = found.min_by_key(|path| (path.matches('/').count(), path.clone())) else {
        return Ok(None);
    };
    let entry = archive.by_name(&path)?;
    let mut content = Vec::new();
    // what it says of its size need not be so
    entry.take(cap + 1).read_to_end(&mut content)?;
    let name = file_name(&path).to_owned();
    Ok((content.len() as u64 <= cap).then_some(Found { name, content }))
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use std::io::{Seek as _, Write as _};

    use super::*;

    #[test]
    fn the_notebook_in_the_fewest_folders_is_found() {
        let wanted = |name: &str| name.ends_with(".ipynb");
        let mut file = tempfile::tempfile().unwrap();
        let mut made = zip::ZipWriter::new(&mut file);
        let paths =
            ["deep/a.ipynb", ".ipynb_checkpoints/b.ipynb", "__MACOSX/c.ipynb", "start.ipynb", "a.csv"];
        for path in paths {
            made.start_file(path, zip::write::SimpleFileOptions::default()).unwrap();
            made.write_all(path.as_bytes()).unwrap();
        }
        made.finish().unwrap();
        let mut found = |wanted: fn(&str) -> bool, cap| {
            file.rewind().unwrap();
            look(file.try_clone().unwrap(), wanted, cap).unwrap()
        };
        let start = Found { name: "start.ipynb".to_owned(), content: b"start.ipynb".to_vec() };
        assert_eq!(found(wanted, 11), Some(start));
        assert_eq!(found(wanted, 10), None, "too large");
        assert_eq!(found(|name| name == "b.ipynb" || name == "c.ipynb", 100), None);
    }
}
