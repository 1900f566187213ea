//! Extra packages (扩展包): wheels that an organizer uploads for everybody in a competition, or a
//! participant for themselves. There is no network in any container, so that they come only this way.
//!
//! Central types: [`Package`], and [`PackageSet`], what one container finds: the organizer's packages and
//! one person's. [`add`] checks a wheel before anything of it is kept ([`wheel`]); [`cache::PackageCache`]
//! lays a set out on a worker to be mounted read-only. Nothing of a package is ever run outside a
//! container, and a participant's own are mounted only where that participant's code runs.

pub mod cache;
pub mod db;
mod name;
mod places;
mod verdicts;
mod wheel;

use std::fs::{self, File};
use std::io::Seek as _;
use std::path::Path;

use jiff::Timestamp;
use tokio::io::AsyncRead;

use crate::audit::{self, Actor, Entry};
use crate::contest::entry::EntryError;
use crate::contest::model::{Competition, Phase};
use crate::crypto::sm3;
use crate::house::House;
use crate::ids::{CompetitionId, PackageId, SubmissionId, UserId};
use crate::store::{Connection, Engine, ObjectError, ObjectKey, StoreError, Tx};

pub use verdicts::left_out;
pub use wheel::WheelError;

/// Bytes of one wheel.
pub const WHEEL_BYTES: u64 = 64 << 20;
/// Packages of the organizer's, and of each person.
pub const PACKAGES: usize = 32;
/// Bytes of their wheels together.
pub const TOTAL_BYTES: u64 = 256 << 20;
/// Bytes of all that these wheels hold.
pub const UNPACKED_BYTES: u64 = 1 << 30;
/// What the image holds already: pip's own list of it.
const IMAGE: &str = include_str!("../../../sandbox-images/python/requirements.lock");

/// A wheel that was uploaded and is not removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Its id.
    pub id: PackageId,
    /// Of this competition.
    pub competition: CompetitionId,
    /// Whose it is; none: the organizer's, for everybody.
    pub user: Option<UserId>,
    /// The project's name as indexes compare it: lower case, with hyphens.
    pub name: String,
    /// Its version, as in the file's name.
    pub version: String,
    /// The wheel's file name.
    pub file_name: String,
    /// Where the wheel lies in the object store.
    pub object_key: String,
    /// Bytes of the wheel.
    pub size: u64,
    /// Bytes of what it holds.
    pub unpacked: u64,
    /// The wheel's SM3, in hexadecimal.
    pub digest: String,
    /// Projects that it cannot do without.
    pub requires: Vec<String>,
    /// When it was added.
    pub added_at: Timestamp,
}

/// What one container finds of packages, in the order in which they are laid out. Where one of the person's
/// has the name of one of the organizer's, or brings a file that one of those brings, it is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PackageSet {
    /// The organizer's.
    pub shared: Vec<Package>,
    /// The person's.
    pub own: Vec<Package>,
}

/// Why a package was not added or removed.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// The wheel is refused.
    #[error(transparent)]
    Wheel(#[from] WheelError),
    /// The person does not take part.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// There are as many as there may be.
    #[error("there are {PACKAGES} packages already; remove one that is not needed")]
    TooMany,
    /// They would be too large together.
    #[error("all packages together may have {} MiB, and {} MiB unpacked; remove one that is not needed", TOTAL_BYTES >> 20, UNPACKED_BYTES >> 20)]
    TooMuch,
    /// The project is there already.
    #[error("{name} {version} is there already; remove it first where it is yours")]
    NameTaken {
        /// Its name.
        name: String,
        /// The version that is there.
        version: String,
    },
    /// Two packages bring the same file.
    #[error("{file} is brought by {name} as well; remove one of the two")]
    Clash {
        /// The file.
        file: String,
        /// The package that is there.
        name: String,
    },
    /// There is none of this id.
    #[error("this package is not there (any more)")]
    Gone,
    /// The upload, or the object store, failed.
    #[error(transparent)]
    Upload(#[from] ObjectError),
    /// Our own disk failed.
    #[error("the wheel could not be looked at: {0}")]
    Io(#[from] std::io::Error),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl PackageSet {
    /// What somebody finds in a competition now; without a person, the organizer's alone.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn now(
        conn: &mut Connection,
        competition: CompetitionId,
        user: Option<UserId>,
    ) -> Result<Self, StoreError> {
        let shared = db::standing(conn, competition, None).await?;
        let own = match user {
            Some(user) => db::standing(conn, competition, Some(user)).await?,
            None => Vec::new(),
        };
        Ok(Self::of(shared, own))
    }

    /// What a submission finds: what was there when it was handed in.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn frozen(conn: &mut Connection, submission: SubmissionId) -> Result<Self, StoreError> {
        let all = db::of_submission(conn, submission).await?;
        let (own, shared) = all.into_iter().partition(|package| package.user.is_some());
        Ok(Self::of(shared, own))
    }

    fn of(shared: Vec<Package>, mut own: Vec<Package>) -> Self {
        own.retain(|package| shared.iter().all(|other| other.name != package.name));
        Self { shared, own }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.shared.is_empty() && self.own.is_empty()
    }

    /// A name for what it is made of: equal sets have equal names.
    fn digest(&self) -> String {
        let digests =
            |packages: &[Package]| packages.iter().map(|p| format!("\n{}", p.digest)).collect::<String>();
        let text = format!("shared{}\nown{}", digests(&self.shared), digests(&self.own));
        sm3(text.as_bytes()).to_string()
    }

    /// Projects that a package cannot do without, and that neither the image nor the set has.
    pub fn lacks(&self, package: &Package) -> Vec<String> {
        let there = |name: &String| {
            in_image(name).is_some() || self.shared.iter().chain(&self.own).any(|other| other.name == *name)
        };
        package.requires.iter().filter(|name| !there(name)).cloned().collect()
    }
}

/// The version of a project that the image holds, which comes before every package.
pub fn in_image(name: &str) -> Option<&'static str> {
    IMAGE.lines().find_map(|line| {
        let (held, version) = line.split_once("==")?;
        (name::normalized(held.trim()) == name).then(|| version.trim_end_matches(['\\', ' ']))
    })
}

/// Whether packages are of use without a sandbox: some phase takes programs.
pub fn takes_code(phases: &[Phase]) -> bool {
    phases.iter().any(|phase| !phase.definition.accepts_only_result_submissions)
}

/// What somebody finds, and all that is theirs.
pub struct Found {
    /// What is laid out.
    pub set: PackageSet,
    /// The person's, each with whether it is left out.
    pub own: Vec<(Package, bool)>,
}

/// What somebody finds in a competition now; without a person, the organizer's alone.
///
/// # Errors
/// When the database fails.
pub async fn found(
    house: &House,
    competition: CompetitionId,
    user: Option<UserId>,
) -> Result<Found, PackageError> {
    let mut conn = house.db.read().await?;
    let set = PackageSet::now(&mut conn, competition, user).await?;
    let Some(user) = user else { return Ok(Found { set, own: Vec::new() }) };
    let own = db::standing(&mut conn, competition, Some(user)).await?;
    drop(conn);
    let out = left_out(house, competition, user).await?;
    let own = own.into_iter().map(|package| (out.contains(&package.id), package));
    Ok(Found { set, own: own.map(|(out, package)| (package, out)).collect() })
}

/// Takes a wheel in: for one person, or for everybody in the competition. Whoever adds it was let in by
/// the caller: an organizer, or somebody who takes part.
///
/// # Errors
/// [`PackageError`]; nothing is kept then.
pub async fn add(
    house: &House,
    competition: &Competition,
    user: Option<UserId>,
    by: Actor,
    file_name: &str,
    content: impl AsyncRead + Send + Unpin,
) -> Result<Package, PackageError> {
    name::FileName::parse(file_name)?;
    let id: PackageId = house.entropy.id(&house.clock);
    let key = ObjectKey::plain(format!("packages/{id}"))?;
    let room = db::room(&mut *house.db.read().await?, competition.id, user).await?;
    room.admit(0, 0)?;
    let stored = house.objects.put_stream(&key, content, WHEEL_BYTES).await?;
    let entered = async {
        let wheel = look_at(house, &key, file_name).await?;
        let package = Package {
            id,
            competition: competition.id,
            user,
            name: wheel.name,
            version: wheel.version,
            file_name: file_name.to_owned(),
            object_key: key.as_str().to_owned(),
            size: stored.size,
            unpacked: wheel.unpacked,
            digest: stored.sm3.to_string(),
            requires: wheel.requires,
            added_at: house.clock.now(),
        };
        // again where others came between
        while !enter(house, &package, by, &wheel.files).await? {}
        Ok(package)
    };
    let entered = entered.await;
    if entered.is_err()
        && let Err(left) = house.objects.delete(&key).await
    {
        tracing::warn!(%id, error = %left, "a wheel that was refused could not be removed");
    }
    entered
}

/// Reads a wheel of the store through.
async fn look_at(house: &House, key: &ObjectKey, file_name: &str) -> Result<wheel::Wheel, PackageError> {
    // it has no name, and goes with the process
    let place = std::env::temp_dir().join(format!("shuyu-wheel-{}", hex::encode(house.entropy.bytes::<8>())));
    house.objects.get_to_file(key, &place).await?;
    let opened = File::open(&place);
    fs::remove_file(&place)?;
    let (file, name) = (opened?, file_name.to_owned());
    let looking = tokio::task::spawn_blocking(move || wheel::check(file, &name));
    Ok(looking.await.map_err(std::io::Error::from)??)
}

/// Enters a package beside those that it can be beside; false where there is one by now with which it was not
/// compared.
async fn enter(house: &House, package: &Package, by: Actor, files: &[String]) -> Result<bool, PackageError> {
    let compared = verdicts::beside(house, package, files).await?;
    let mut tx = house.db.begin().await?;
    // one at a time, so that the limits hold
    super::db::lock(&mut tx, package.competition).await?;
    db::room(&mut tx, package.competition, package.user).await?.admit(package.size, package.unpacked)?;
    let there = db::in_the_same_place(&mut tx, package.competition, package.user).await?;
    if there.iter().any(|other| !compared.contains(&other.id)) {
        return Ok(false);
    }
    let by_user = by.user().ok_or(PackageError::Gone)?;
    db::insert(&mut tx, package, by_user, files).await?;
    note(&mut tx, house.clock.now(), by, "package.added", package).await?;
    tx.commit().await?;
    Ok(true)
}

/// Removes a package of a person's, or one of the organizer's. What was handed in with it keeps it.
///
/// # Errors
/// [`PackageError::Gone`] when there is none of theirs.
pub async fn remove(
    house: &House,
    competition: CompetitionId,
    user: Option<UserId>,
    id: PackageId,
    by: Actor,
) -> Result<Package, PackageError> {
    let now = house.clock.now();
    let mut tx = house.db.begin().await?;
    super::db::lock(&mut tx, competition).await?;
    let standing = db::standing(&mut tx, competition, user).await?;
    let package = standing.into_iter().find(|package| package.id == id).ok_or(PackageError::Gone)?;
    // waits for whoever is handing in something with it (`freeze`); who comes later does not find it
    db::remove(&mut tx, id, now).await?;
    let needed = db::is_frozen(&mut tx, id).await?;
    if !needed {
        db::forget(&mut tx, id).await?;
    }
    note(&mut tx, now, by, "package.removed", &package).await?;
    tx.commit().await?;
    if !needed {
        house.objects.delete(&package.object_key.parse()?).await?;
    }
    Ok(package)
}

/// Freezes what a submission finds: what another found that it was made of, or what is there now.
///
/// # Errors
/// When the database fails.
pub async fn freeze(
    tx: &mut Tx,
    engine: Engine,
    (competition, user): (CompetitionId, UserId),
    submission: SubmissionId,
    made_of: Option<SubmissionId>,
) -> Result<(), StoreError> {
    match made_of {
        Some(before) => db::freeze_like(tx, submission, before).await,
        None => db::freeze(tx, engine, (competition, user), submission).await,
    }
}

async fn note(
    tx: &mut Tx,
    now: Timestamp,
    by: Actor,
    action: &'static str,
    package: &Package,
) -> Result<(), StoreError> {
    let entry = Entry::new(now, by, action, ("package", package.id))
        .competition(package.competition)
        .detail("file", package.file_name.as_str())
        .detail("digest", package.digest.as_str())
        .detail("for", if package.user.is_some() { "its owner" } else { "everybody" });
    audit::record(tx, entry).await.map(drop)
}

/// What is taken of somebody's room for packages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Room {
    count: usize,
    bytes: u64,
    unpacked: u64,
}

impl Room {
    /// Whether one more fits, of so many bytes as a wheel and unpacked.
    fn admit(self, bytes: u64, unpacked: u64) -> Result<(), PackageError> {
        if self.count >= PACKAGES {
            return Err(PackageError::TooMany);
        }
        match self.bytes + bytes <= TOTAL_BYTES && self.unpacked + unpacked <= UNPACKED_BYTES {
            true => Ok(()),
            false => Err(PackageError::TooMuch),
        }
    }
}

/// Checks a wheel that a submission brings along and unpacks what it installs into a directory, beside others.
///
/// # Errors
/// [`WheelError`], also where another has put a file at the same place.
pub fn lay_out_wheel(mut file: File, name: &str, dest: &Path) -> Result<(), WheelError> {
    let again = |source| {
        WheelError::Archive(crate::submission::unpack::UnpackError::Io {
            entry: "the wheel".to_owned(),
            source,
        })
    };
    wheel::check(file.try_clone().map_err(again)?, name)?;
    file.rewind().map_err(again)?;
    wheel::unpack(file, dest)
}

/// Opens the wheel at `path` and unpacks what it installs into an empty directory.
fn unpack_at(path: &Path, dest: &Path) -> Result<(), WheelError> {
    let opened = File::open(path).map_err(|source| {
        WheelError::Archive(crate::submission::unpack::UnpackError::Io {
            entry: "the wheel".to_owned(),
            source,
        })
    });
    wheel::unpack(opened?, dest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_images_own_packages_are_known_by_name() {
        assert!(in_image("numpy").is_some_and(|version| version.starts_with(|c: char| c.is_ascii_digit())));
        assert!(in_image("scikit-learn").is_some() && in_image("no-such-thing").is_none());
    }

    #[test]
    fn room_is_bounded_by_number_and_bytes() {
        let room = Room { count: PACKAGES - 1, bytes: TOTAL_BYTES - 5, unpacked: 0 };
        assert!(room.admit(5, 0).is_ok());
        assert!(matches!(room.admit(6, 0), Err(PackageError::TooMuch)));
        assert!(matches!(room.admit(0, UNPACKED_BYTES + 1), Err(PackageError::TooMuch)));
        assert!(matches!(Room { count: PACKAGES, ..room }.admit(0, 0), Err(PackageError::TooMany)));
    }
}
