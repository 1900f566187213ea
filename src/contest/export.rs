//! Writes a competition out as a bundle.

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::bundle::{self, FileEntry};
use super::db;
use super::definition::Definition;
use super::import::{PublishError, collect};
use super::model::{FileKind, StoredFile};
use super::scratch::Scratch;
use crate::audit::{self, Actor, Entry};
use crate::crypto::Sm3Hasher;
use crate::house::House;
use crate::store::ObjectKey;

fn wrong(path: &Path, problem: impl ToString) -> PublishError {
    PublishError::Target { path: path.display().to_string(), problem: problem.to_string() }
}

/// Writes a competition as a bundle, a zip that imports to the same competition: the phases' dates
/// are those that hold now. The zip holds the hidden data in plain: keep it like the data itself.
/// That it was given out, and to whom, is written to the audit log.
///
/// # Errors
/// [`PublishError`]; a target that exists is not replaced.
pub async fn export(house: &House, slug: &str, by: Actor, target: &Path) -> Result<(), PublishError> {
    let (house, slug, place) = (house.clone(), slug.to_owned(), target.to_owned());
    // to its end whatever becomes of whoever asked, so that nothing is left lying open
    let task = tokio::spawn(async move { write_out(&house, &slug, by, &place).await });
    task.await.map_err(|error| wrong(target, error))?
}

/// The same to a file that has no name any more, and its size in bytes: to be sent, and gone when it
/// is closed.
///
/// # Errors
/// [`PublishError`].
pub async fn export_to_send(
    house: &House,
    slug: &str,
    by: Actor,
) -> Result<(tokio::fs::File, u64), PublishError> {
    let (house, slug) = (house.clone(), slug.to_owned());
    let task = tokio::spawn(async move {
        let scratch = Scratch::new(house.entropy, "export").map_err(|e| wrong(Path::new("the tmpfs"), e))?;
        let target = scratch.path().join("bundle.zip");
        write_out(&house, &slug, by, &target).await?;
        let file = tokio::fs::File::open(&target).await.map_err(|e| wrong(&target, e))?;
        let size = file.metadata().await.map_err(|e| wrong(&target, e))?.len();
        Ok((file, size))
    });
    task.await.map_err(|error| wrong(Path::new("bundle.zip"), error))?
}

async fn write_out(house: &House, slug: &str, by: Actor, target: &Path) -> Result<(), PublishError> {
    let mut conn = house.db.read().await?;
    let competition =
        db::by_slug(&mut conn, slug).await?.ok_or_else(|| PublishError::Unknown(slug.to_owned()))?;
    let phases = db::phases(&mut conn, competition.id).await?;
    let files = db::files(&mut conn, competition.id).await?;
    drop(conn);
    let mut definition = competition.definition;
    for (declared, phase) in definition.phases.iter_mut().zip(&phases) {
        declared.start = phase.starts_at;
        declared.end = phase.ends_at;
    }
    // hidden data is opened on a tmpfs only
    let scratch = Scratch::new(house.entropy, "export").map_err(|e| wrong(target, e))?;
    lay_out(house, &files, scratch.path()).await?;
    let place = target.to_owned();
    let written = tokio::task::spawn_blocking(move || write_zip(&definition, scratch.path(), &place)).await;
    written.map_err(|e| wrong(target, e))?.map_err(|e| wrong(target, e))?;
    let entry = Entry::new(house.clock.now(), by, "competition.exported", ("competition", competition.id))
        .competition(competition.id)
        .detail("revision", competition.revision);
    let mut tx = house.db.begin().await?;
    audit::record(&mut tx, entry).await?;
    Ok(tx.commit().await?)
}

async fn lay_out(house: &House, files: &[StoredFile], root: &Path) -> Result<(), PublishError> {
    for file in files {
        let place = root.join(&file.path);
        let parent = place.parent().unwrap_or(root);
        std::fs::create_dir_all(parent).map_err(|e| wrong(parent, e))?;
        let key: ObjectKey = file.object_key.parse()?;
        match file.kind {
            FileKind::File => {
                if !place.exists() {
                    house.objects.get_to_file(&key, &place).await?;
                }
            }
            FileKind::Directory => {
                let packed = root.join(format!(".{}", file.digest));
                house.objects.get_to_file(&key, &packed).await?;
                let (from, to) = (packed.clone(), place.clone());
                let unpacked = tokio::task::spawn_blocking(move || expand(&from, &to)).await;
                unpacked.map_err(|e| e.to_string()).and_then(|u| u).map_err(|e| wrong(&place, e))?;
            }
        }
    }
    Ok(())
}

/// Unpacks a folder that [`pack`] made; folders may lie in one another, so a file may be there already.
fn expand(packed: &Path, target: &Path) -> Result<(), String> {
    let open = File::open(packed).map_err(|e| e.to_string())?;
    let mut archive = zip::ZipArchive::new(open).map_err(|e| e.to_string())?;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(|e| e.to_string())?;
        let name = entry.enclosed_name().ok_or("a name leads outside")?;
        let place = target.join(name);
        std::fs::create_dir_all(place.parent().unwrap_or(target)).map_err(|e| e.to_string())?;
        let mut file = File::create(&place).map_err(|e| e.to_string())?;
        io::copy(&mut entry, &mut file).map_err(|e| e.to_string())?;
    }
    std::fs::create_dir_all(target).map_err(|e| e.to_string())?;
    std::fs::remove_file(packed).map_err(|e| e.to_string())
}

fn write_zip(definition: &Definition, root: &Path, target: &Path) -> Result<(), String> {
    let mut paths = Vec::new();
    collect(root, &mut paths).map_err(|e| e.to_string())?;
    let mut manifest = Vec::new();
    for path in paths {
        let file = File::open(&path).map_err(|e| e.to_string())?;
        let (digest, size) = Sm3Hasher::digest_reader(file).map_err(|e| e.to_string())?;
        let name = path.strip_prefix(root).ok().and_then(Path::to_str).ok_or("a name is not UTF-8")?;
        manifest.push(FileEntry { path: name.to_owned(), size, sm3: digest.to_string() });
    }
    manifest.sort_by(|a, b| a.path.cmp(&b.path));
    let out = File::options().write(true).create_new(true).mode(0o600).open(target);
    let out = out.map_err(|e| e.to_string())?;
    let mut open =
        |entry: &FileEntry| File::open(root.join(&entry.path)).map(|f| Box::new(f) as Box<dyn io::Read>);
    let written = bundle::write::write(definition, &manifest, &mut open, out).map_err(|e| e.to_string());
    if written.is_err() {
        std::fs::remove_file(target).map_err(|e| e.to_string())?;
    }
    written
}
