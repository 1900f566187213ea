//! Packages on a worker's disk: each wheel unpacked once, by its digest, and for each set that something
//! is started with one directory that holds all of it, to be mounted read-only. The directory is made of
//! hard links, so that a set takes no room of its own.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jiff::{SignedDuration, Timestamp};

use super::{Package, PackageSet, WheelError, unpack_at};
use crate::house::House;
use crate::store::ObjectError;

/// How long a set is kept that nothing was started with: longer than any container lives that has it
/// mounted. Its files would vanish from under whoever works with them.
const KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);

/// The cache of one worker. Cheap to clone.
#[derive(Clone, Debug)]
pub struct PackageCache {
    wheels: PathBuf,
    sets: PathBuf,
}

/// Why a set could not be laid out.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// A wheel cannot be read from the store.
    #[error(transparent)]
    Objects(#[from] ObjectError),
    /// A wheel that was checked when it was added is refused now.
    #[error("the wheel {file} cannot be unpacked: {source}")]
    Wheel {
        /// Its name.
        file: String,
        /// Why.
        source: WheelError,
    },
    /// The worker's disk failed.
    #[error("packages could not be laid out: {0}")]
    Io(#[from] io::Error),
}

impl PackageCache {
    /// The cache in a directory, which is made where it is not there.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(directory: &Path) -> io::Result<Self> {
        let cache = Self { wheels: directory.join("wheels"), sets: directory.join("sets") };
        for made in [&cache.wheels, &cache.sets] {
            fs::create_dir_all(made)?;
        }
        Ok(cache)
    }

    /// Where wheels lie unpacked, each under its digest.
    pub fn wheels(&self) -> &Path {
        &self.wheels
    }

    /// Where sets lie.
    pub fn sets(&self) -> &Path {
        &self.sets
    }

    /// The directory of a set, laid out where that has not been done; none for an empty one.
    ///
    /// # Errors
    /// [`CacheError`].
    pub async fn lay_out(&self, house: &House, set: &PackageSet) -> Result<Option<PathBuf>, CacheError> {
        if set.is_empty() {
            return Ok(None);
        }
        let target = self.sets.join(set.digest());
        if !target.exists() {
            for package in set.shared.iter().chain(&set.own) {
                self.unpacked(house, package).await?;
            }
            let (cache, made) = (self.clone(), target.clone());
            let (set, unique) = (set.clone(), unique(house));
            let merging = tokio::task::spawn_blocking(move || cache.merge(&set, &made, &unique));
            merging.await.map_err(io::Error::from)??;
        }
        // a sweep sees that it is in use
        File::open(&target)?.set_modified(SystemTime::from(house.clock.now()))?;
        Ok(Some(target))
    }

    /// Unpacks a wheel where that has not been done.
    async fn unpacked(&self, house: &House, package: &Package) -> Result<(), CacheError> {
        let target = self.wheels.join(&package.digest);
        if target.exists() {
            return Ok(());
        }
        // a dot is in no name but those of what is being filled: what a crash left is told by it
        let name = format!("{}.{}", package.digest, unique(house));
        let (filling, packed) = (self.wheels.join(&name), self.wheels.join(format!("{name}.whl")));
        house.objects.get_to_file(&package.object_key.parse()?, &packed).await?;
        let file = package.file_name.clone();
        let unpacking = tokio::task::spawn_blocking(move || {
            let unpacked = make_directory(&filling).map_err(CacheError::Io).and_then(|()| {
                unpack_at(&packed, &filling).map_err(|source| CacheError::Wheel { file, source })
            });
            fs::remove_file(&packed)?;
            put(unpacked, &filling, &target)
        });
        unpacking.await.map_err(io::Error::from)?
    }

    fn merge(&self, set: &PackageSet, target: &Path, unique: &str) -> Result<(), CacheError> {
        let filling = self.sets.join(format!("{}.{unique}", set.digest()));
        make_directory(&filling)?;
        let merged = self.fill(set, &filling).map_err(CacheError::Io);
        put(merged, &filling, target)
    }

    fn fill(&self, set: &PackageSet, target: &Path) -> io::Result<()> {
        for package in &set.shared {
            link_tree(&self.wheels.join(&package.digest), target)?;
        }
        for package in &set.own {
            let from = self.wheels.join(&package.digest);
            // the organizer's were there first, or have come since: theirs stand
            if !is_in_the_way(&from, target)? {
                link_tree(&from, target)?;
            }
        }
        Ok(())
    }

    /// Removes sets that nothing was started with for long; gives how many.
    ///
    /// # Errors
    /// When the directory cannot be read or a set not removed.
    pub fn sweep_sets(&self, now: Timestamp) -> io::Result<usize> {
        let before = SystemTime::from(now.checked_sub(KEPT).unwrap_or(Timestamp::MIN));
        let mut removed = 0;
        for entry in fs::read_dir(&self.sets)? {
            let entry = entry?;
            let is_whole = !entry.file_name().as_encoded_bytes().contains(&b'.');
            if is_whole && entry.metadata()?.modified()? < before {
                fs::remove_dir_all(entry.path())?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}

fn unique(house: &House) -> String {
    hex::encode(house.entropy.bytes::<8>())
}

/// A directory that everybody may read, whatever the mask says.
fn make_directory(path: &Path) -> io::Result<()> {
    fs::create_dir(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o755))
}

/// Puts what was filled in its place, or clears it away.
fn put(filled: Result<(), CacheError>, filling: &Path, target: &Path) -> Result<(), CacheError> {
    let put = filled.and_then(|()| match fs::rename(filling, target) {
        // another was quicker
        Err(_) if target.exists() => Ok(()),
        renamed => renamed.map_err(CacheError::Io),
    });
    if filling.exists() {
        fs::remove_dir_all(filling)?;
    }
    put
}

/// Whether a tree has a file where another has anything, or a directory where it has a file.
fn is_in_the_way(from: &Path, target: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let place = target.join(entry.file_name());
        if !place.exists() {
            continue;
        }
        let both_directories = entry.file_type()?.is_dir() && place.is_dir();
        if !both_directories || is_in_the_way(&entry.path(), &place)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Has a tree of ours appear below a directory, by hard links.
fn link_tree(from: &Path, target: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let place = target.join(entry.file_name());
        if !entry.file_type()?.is_dir() {
            fs::hard_link(entry.path(), &place)?;
            continue;
        }
        if !place.exists() {
            make_directory(&place)?;
        }
        link_tree(&entry.path(), &place)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, digest: &str) -> Package {
        Package {
            id: uuid::Uuid::nil().into(),
            competition: uuid::Uuid::nil().into(),
            user: None,
            name: name.to_owned(),
            version: "1".to_owned(),
            file_name: format!("{name}-1-py3-none-any.whl"),
            object_key: "packages/x".to_owned(),
            size: 1,
            unpacked: 1,
            digest: digest.to_owned(),
            requires: Vec::new(),
            added_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn cache_with(wheels: &[(&str, &[&str])]) -> (tempfile::TempDir, PackageCache) {
        let place = tempfile::tempdir().unwrap();
        let cache = PackageCache::open(place.path()).unwrap();
        for (digest, files) in wheels {
            for file in *files {
                let path = cache.wheels().join(digest).join(file);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, digest).unwrap();
            }
        }
        (place, cache)
    }

    #[test]
    fn a_set_holds_all_of_its_packages_but_those_that_meet_the_organizers() {
        let (_place, cache) =
            cache_with(&[("aa", &["a/x.py", "top.py"]), ("bb", &["a/y.py"]), ("cc", &["c.py", "a/x.py"])]);
        let set = PackageSet {
            shared: vec![package("a", "aa")],
            own: vec![package("b", "bb"), package("c", "cc")],
        };
        let target = cache.sets().join(set.digest());
        cache.merge(&set, &target, "1").unwrap();
        let held = |file: &str| fs::read_to_string(target.join(file)).ok();
        assert_eq!(held("a/x.py").as_deref(), Some("aa"));
        assert_eq!(held("a/y.py").as_deref(), Some("bb"));
        assert_eq!(held("c.py"), None, "all of it is left out");
        assert_eq!(fs::metadata(target.join("a")).unwrap().permissions().mode() & 0o777, 0o755);
        // whoever comes second finds the first one's
        cache.merge(&set, &target, "2").unwrap();
        assert_eq!(fs::read_dir(cache.sets()).unwrap().count(), 1);
        // gone from the cache of wheels, a set stands by itself
        fs::remove_dir_all(cache.wheels().join("aa")).unwrap();
        assert_eq!(held("top.py").as_deref(), Some("aa"));
    }

    #[test]
    fn what_a_set_is_made_of_decides_its_name() {
        let set = |shared: &[&str], own: &[&str]| PackageSet {
            shared: shared.iter().map(|digest| package(digest, digest)).collect(),
            own: own.iter().map(|digest| package(digest, digest)).collect(),
        };
        assert_eq!(set(&["aa"], &[]).digest(), set(&["aa"], &[]).digest());
        assert_ne!(set(&["aa"], &["bb"]).digest(), set(&["bb"], &["aa"]).digest());
        assert_ne!(set(&["aa", "bb"], &[]).digest(), set(&["aa"], &["bb"]).digest());
    }

    #[test]
    fn a_set_goes_that_nothing_was_started_with_for_long() {
        let (_place, cache) = cache_with(&[]);
        let now: Timestamp = "2026-03-01T00:00:00Z".parse().unwrap();
        for (name, hours) in [("aa", 1), ("bb", 29 * 24), ("cc", 31 * 24), ("dd.filling", 99 * 24)] {
            fs::create_dir(cache.sets().join(name)).unwrap();
            let used = now - SignedDuration::from_hours(hours);
            File::open(cache.sets().join(name)).unwrap().set_modified(SystemTime::from(used)).unwrap();
        }
        assert_eq!(cache.sweep_sets(now).unwrap(), 1);
        assert!(cache.sets().join("bb").exists() && !cache.sets().join("cc").exists());
    }
}
