//! The cache of public inputs and programs, kept unpacked between runs, by content.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};

use super::prepare::{fetch, file_name, is_hidden, is_packed};
use super::{Carrier, RunError};
use crate::contest::definition::{InputVisibility, Task};
use crate::contest::model::StoredFile;

/// How long what no bundle names any more is kept: a run may still be using it.
const KEPT: SignedDuration = SignedDuration::from_hours(24);

/// Unpacks a public file of the bundle into the cache, once; several runs may ask at a time.
pub(super) async fn cached(carrier: &Carrier, file: &StoredFile) -> Result<PathBuf, RunError> {
    if is_hidden(file)? {
        return Err(RunError::Ours(format!("{} is hidden and cannot be cached", file.path)));
    }
    let place = cache_name(file);
    let target = carrier.cache.join(&place);
    if target.exists() {
        return Ok(target);
    }
    let failed = |e: std::io::Error| RunError::io("filling the cache", &e);
    let unique = hex::encode(carrier.house.entropy.bytes::<8>());
    // a dot is in no name but those of what is being filled: what a crash left is told by it
    let filling = carrier.cache.join(format!("{place}.{unique}"));
    fs::create_dir(&filling).map_err(failed)?;
    let archive = carrier.cache.join(format!("{place}.{unique}.packed"));
    let filled = fetch(carrier, file, &archive, &filling).await;
    if archive.exists() {
        fs::remove_file(&archive).map_err(failed)?;
    }
    let filled = filled.and_then(|()| match fs::rename(&filling, &target) {
        Err(error) if !target.exists() => Err(failed(error)),
        _ => Ok(()),
    });
    if filling.exists() {
        fs::remove_dir_all(&filling).map_err(failed)?;
    }
    filled.map(|()| target)
}

/// The input of a task that everybody may see, for whoever tries an app: its own where that is public, else the
/// twin's.
pub(crate) async fn public_input(
    carrier: &Carrier,
    files: &[StoredFile],
    task: &Task,
) -> Result<Option<PathBuf>, RunError> {
    let own = task.input_data.as_ref().filter(|_| task.input == InputVisibility::Public);
    let Some(path) = own.or(task.twin.as_ref().map(|twin| &twin.input)) else { return Ok(None) };
    let file = files.iter().find(|file| file.path == *path);
    let file =
        file.ok_or_else(|| RunError::Ours(format!("the competition's file {path} is not in the store")))?;
    cached(carrier, file).await.map(Some)
}

/// The cache is by content; a single file's name counts too, since programs see it.
fn cache_name(file: &StoredFile) -> String {
    if is_packed(file) {
        return file.digest.clone();
    }
    let name = crate::crypto::sm3(file_name(file).as_bytes()).to_string();
    format!("{}-{}", file.digest, &name[..16])
}

/// Removes from a cache what a crash left half filled, which a dot in its name tells. Nobody may be filling
/// it: the work directory is locked by one process.
///
/// # Errors
/// When the directory cannot be read or a file not removed.
pub(crate) fn tidy_cache(cache: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(cache)? {
        let path = entry?.path();
        match path.file_name().is_some_and(|name| name.as_encoded_bytes().contains(&b'.')) {
            true if path.is_dir() => fs::remove_dir_all(&path)?,
            true => fs::remove_file(&path)?,
            false => {}
        }
    }
    Ok(())
}

/// The names in the cache of what these files are; `files` are those of all bundles there are.
pub(crate) fn cache_names(files: &[StoredFile]) -> HashSet<OsString> {
    files.iter().map(|file| cache_name(file).into()).collect()
}

/// What lies in a cache that nothing names any more, and since when that is known.
#[derive(Debug, Default)]
pub(crate) struct Leftovers {
    since: HashMap<OsString, Timestamp>,
}

impl Leftovers {
    /// Removes what nothing has named for a day; gives how many entries.
    ///
    /// # Errors
    /// When the directory cannot be read or an entry not removed.
    pub fn sweep(
        &mut self,
        cache: &Path,
        named: &HashSet<OsString>,
        now: Timestamp,
    ) -> std::io::Result<usize> {
        let mut present = HashMap::new();
        let mut removed = 0;
        for entry in fs::read_dir(cache)? {
            let entry = entry?;
            let name = entry.file_name();
            // a dot is in the names of what is being filled
            if named.contains(&name) || name.as_encoded_bytes().contains(&b'.') {
                continue;
            }
            let since = self.since.get(&name).copied().unwrap_or(now);
            if now.duration_since(since) < KEPT {
                present.insert(name, since);
                continue;
            }
            fs::remove_dir_all(entry.path())?;
            removed += 1;
        }
        self.since = present;
        Ok(removed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contest::model::FileKind;

    #[test]
    fn what_was_being_filled_is_cleared_away_and_nothing_else() {
        let cache = tempfile::tempdir().unwrap();
        for name in ["aa.0123", "flights-1", "0123.filling"] {
            fs::create_dir_all(cache.path().join(name).join("deeper")).unwrap();
        }
        for name in ["aa.0123.whl", "bb.whl", "0123.kit"] {
            fs::write(cache.path().join(name), "").unwrap();
        }
        tidy_cache(cache.path()).unwrap();
        let left: Vec<_> = fs::read_dir(cache.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["flights-1"]);
    }

    #[test]
    fn what_no_bundle_names_goes_after_a_day() {
        let cache = tempfile::tempdir().unwrap();
        let file = |digest: &str| StoredFile {
            path: "input".to_owned(),
            kind: FileKind::Directory,
            object_key: format!("files/{digest}"),
            size: 1,
            digest: digest.to_owned(),
        };
        for name in ["aa", "bb", "cc.filling"] {
            fs::create_dir_all(cache.path().join(name).join("deeper")).unwrap();
        }
        let mut leftovers = Leftovers::default();
        let mut at = |hours: i64, files: &[StoredFile]| {
            let now = Timestamp::from_second(hours * 3600).unwrap();
            leftovers.sweep(cache.path(), &cache_names(files), now).unwrap()
        };
        assert_eq!(at(0, &[file("aa")]), 0);
        assert_eq!(at(23, &[file("aa")]), 0);
        // named again in between: the day begins anew
        assert_eq!(at(24, &[file("aa"), file("bb")]), 0);
        assert_eq!(at(25, &[file("aa")]), 0);
        assert_eq!(at(48, &[file("aa")]), 0);
        assert_eq!(at(49, &[file("aa")]), 1);
        let mut left: Vec<_> = fs::read_dir(cache.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["aa", "cc.filling"]);
    }
}
