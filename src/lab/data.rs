//! The data sets of a competition as its sandboxes see them: the sandbox form of each version, laid out
//! once on the worker's disk and mounted read-only.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};

use crate::catalog::{self, Authorised, CatalogError, Form, MountsSandboxForm};
use crate::contest::definition::DatasetUse;
use crate::house::House;
use crate::sandbox::ReadOnlyBind;
use crate::store::ObjectKey;

/// Lays out the data sets under `directory`, where that has not been done, and gives the mounts, under
/// `/data/SLUG`. A version never changes, so what lies there is right.
///
/// # Errors
/// When a version has no sandbox form, a file cannot be read or written.
pub(super) async fn lay_out<U: MountsSandboxForm>(
    house: &House,
    directory: &Path,
    datasets: &[DatasetUse],
    _proof: &Authorised<U>,
) -> Result<Vec<ReadOnlyBind>, CatalogError> {
    let mut binds = Vec::new();
    for used in datasets {
        let target = directory.join(format!("{}-{}", used.slug, used.version));
        if !target.exists() {
            fill(house, directory, &target, used).await?;
        }
        binds.push(ReadOnlyBind { host: target, container: format!("/data/{}", used.slug) });
    }
    Ok(binds)
}

async fn fill(house: &House, directory: &Path, target: &Path, used: &DatasetUse) -> Result<(), CatalogError> {
    let what = format!("dataset {} version {}", used.slug, used.version);
    let source = |problem: String| CatalogError::Source { file: what.clone(), problem };
    let failed = |error: std::io::Error| source(format!("cannot be laid out: {error}"));
    let mut conn = house.db.read().await?;
    let unknown = || CatalogError::Unknown(what.clone());
    let version = catalog::db::version(&mut conn, &used.slug, used.version).await?.ok_or_else(unknown)?;
    let files = catalog::db::files(&mut conn, version.version).await?;
    drop(conn);
    let unique = hex::encode(house.entropy.bytes::<8>());
    let filling = directory.join(format!("{unique}.filling"));
    fs::create_dir_all(&filling).map_err(failed)?;
    for file in files.iter().filter(|file| file.form == Form::Sandbox) {
        let path = PathBuf::from(&file.path);
        if !path.components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(source(format!("{:?} is no path inside it", file.path)));
        }
        let place = filling.join(&path);
        if let Some(parent) = place.parent() {
            fs::create_dir_all(parent).map_err(failed)?;
        }
        let key: ObjectKey = file.object_key.parse()?;
        house.objects.get_to_file(&key, &place).await?;
        fs::set_permissions(&place, fs::Permissions::from_mode(0o644)).map_err(failed)?;
    }
    match fs::rename(&filling, target) {
        Ok(()) => Ok(()),
        // another sandbox was quicker
        Err(_) if target.exists() => fs::remove_dir_all(&filling).map_err(failed),
        Err(error) => Err(failed(error)),
    }
}
