//! Which packages cannot be beside which: found out away from the database, since lists of files are long,
//! and once for each set of the organizer's.

use std::collections::BTreeSet;

use super::places::Places;
use super::{Package, PackageError, db};
use crate::house::House;
use crate::ids::{CompetitionId, PackageId, UserId};
use crate::store::StoreError;

/// A package with the paths that it installs.
struct Listed {
    package: Package,
    files: Vec<String>,
}

async fn listed(house: &House, packages: Vec<Package>) -> Result<Vec<Listed>, StoreError> {
    let mut conn = house.db.read().await?;
    let mut all = Vec::with_capacity(packages.len());
    for package in packages {
        let files = db::files(&mut conn, package.id).await?;
        all.push(Listed { package, files });
    }
    Ok(all)
}

fn places(packages: &[Listed]) -> Places<'_> {
    let mut places = Places::default();
    for (number, listed) in packages.iter().enumerate() {
        places.add(number, &listed.files);
    }
    places
}

/// Whether a package can be beside those of its owner's and the organizer's that are there now: gives those
/// it was compared with, or what stands in its way.
pub(super) async fn beside(
    house: &House,
    package: &Package,
    files: &[String],
) -> Result<BTreeSet<PackageId>, PackageError> {
    let mut conn = house.db.read().await?;
    let others = db::in_the_same_place(&mut conn, package.competition, package.user).await?;
    drop(conn);
    if let Some(other) = others.iter().find(|other| other.name == package.name) {
        let (name, version) = (other.name.clone(), other.version.clone());
        return Err(PackageError::NameTaken { name, version });
    }
    let compared = others.iter().map(|other| other.id).collect();
    let (others, files) = (listed(house, others).await?, files.to_vec());
    let comparing = tokio::task::spawn_blocking(move || {
        let (file, number) = places(&others).meets(&files)?;
        Some(PackageError::Clash { file: file.to_owned(), name: others[number].package.name.clone() })
    });
    match comparing.await.map_err(std::io::Error::from)? {
        Some(clash) => Err(clash),
        None => Ok(compared),
    }
}

/// Which of a person's packages are left out, since the organizer's bring the same project or file. What was
/// found out for the same packages of the organizer's is not looked at again.
///
/// # Errors
/// When the database fails.
pub async fn left_out(
    house: &House,
    competition: CompetitionId,
    user: UserId,
) -> Result<Vec<PackageId>, PackageError> {
    let mut conn = house.db.read().await?;
    let shared = db::standing(&mut conn, competition, None).await?;
    if shared.is_empty() {
        return Ok(Vec::new());
    }
    let judged: String = shared.iter().map(|package| format!("{}\n", package.id)).collect();
    let known = db::verdicts(&mut conn, competition, user, &judged).await?;
    let mut own = db::standing(&mut conn, competition, Some(user)).await?;
    drop(conn);
    own.retain(|package| known.iter().all(|(id, _)| *id != package.id));
    let found = compare(house, shared, own).await?;
    if !found.is_empty() {
        let mut tx = house.db.begin().await?;
        for (id, out) in &found {
            db::judge(&mut tx, *id, *out, &judged).await?;
        }
        tx.commit().await?;
    }
    Ok(known.into_iter().chain(found).filter_map(|(id, out)| out.then_some(id)).collect())
}

/// Whether each of a person's packages meets one of the organizer's.
async fn compare(
    house: &House,
    shared: Vec<Package>,
    own: Vec<Package>,
) -> Result<Vec<(PackageId, bool)>, PackageError> {
    if own.is_empty() {
        return Ok(Vec::new());
    }
    let (shared, own) = (listed(house, shared).await?, listed(house, own).await?);
    let comparing = tokio::task::spawn_blocking(move || {
        let places = places(&shared);
        let meets = |one: &Listed| {
            shared.iter().any(|other| other.package.name == one.package.name)
                || places.meets(&one.files).is_some()
        };
        own.iter().map(|one| (one.package.id, meets(one))).collect()
    });
    Ok(comparing.await.map_err(std::io::Error::from)?)
}
