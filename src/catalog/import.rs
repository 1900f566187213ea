//! Takes a dataset version into the catalogue from a folder with `dataset.yaml`.

use std::path::{Path, PathBuf};

use super::{CatalogError, Dataset, Document, Form, FormFile, db};
use crate::audit::{self, Actor, Entry};
use crate::contest::import::is_slug;
use crate::crypto::Sm3Hasher;
use crate::house::House;
use crate::ids::{DatasetVersionId, UserId};
use crate::store::ObjectKey;

/// What an import did.
#[derive(Clone, Debug)]
pub struct DatasetImported {
    /// The dataset with the imported version.
    pub dataset: Dataset,
    /// Whether the version is new.
    pub created: bool,
    /// How many files its forms have.
    pub files: usize,
}

fn source(file: &Path, problem: impl std::fmt::Display) -> CatalogError {
    CatalogError::Source { file: file.display().to_string(), problem: problem.to_string() }
}

/// Imports the dataset version that `folder` holds. The same version with the same content again
/// changes nothing; versions are immutable. Restricted files are sealed.
///
/// # Errors
/// [`CatalogError`]; nothing was taken in then.
pub async fn import(house: &House, folder: &Path, steward: UserId) -> Result<DatasetImported, CatalogError> {
    let yaml = folder.join("dataset.yaml");
    let text = tokio::fs::read_to_string(&yaml).await.map_err(|e| source(&yaml, e))?;
    let document: Document = serde_saphyr::from_str(&text).map_err(|e| source(&yaml, e))?;
    if !is_slug(&document.slug) || document.version < 1 {
        let problem = "slug has 2 to 50 of a-z, 0-9 and -, a letter first; version is a number from 1";
        return Err(source(&yaml, problem));
    }
    let version: DatasetVersionId = house.entropy.id(&house.clock);
    let mut files = Vec::new();
    for (form, declared) in &document.forms {
        let form: Form = form.parse().map_err(|e: String| source(&yaml, e))?;
        files.extend(form_files(&folder.join(&declared.path), form).await?);
    }
    let existing = db::version(&mut *house.db.read().await?, &document.slug, document.version).await?;
    if let Some(dataset) = existing {
        let stored = db::files(&mut *house.db.read().await?, dataset.version).await?;
        let same = stored.len() == files.len()
            && files.iter().all(|(f, _)| {
                stored.iter().any(|s| (s.form, &s.path, &s.digest) == (f.form, &f.path, &f.digest))
            });
        return match same {
            true => Ok(DatasetImported { dataset, created: false, files: stored.len() }),
            false => Err(CatalogError::Immutable { slug: document.slug, version: document.version }),
        };
    }
    for (file, path) in &mut files {
        let place = format!("datasets/{version}/{}/{}", file.form, file.digest);
        let key = match file.form {
            Form::Restricted => ObjectKey::hidden(place)?,
            Form::Sandbox | Form::Public => ObjectKey::plain(place)?,
        };
        house.objects.put_file(&key, path).await?;
        file.object_key = key.as_str().to_owned();
    }
    let stored: Vec<FormFile> = files.into_iter().map(|(file, _)| file).collect();
    let mut tx = house.db.begin().await?;
    let now = house.clock.now();
    let fresh = house.entropy.id(&house.clock);
    let id = db::insert(&mut tx, fresh, version, &document, steward, now).await?;
    db::insert_files(&mut tx, version, &stored).await?;
    let entry = Entry::new(now, Actor::User(steward), "dataset.imported", ("dataset", id))
        .detail("slug", document.slug.as_str())
        .detail("version", document.version);
    audit::record(&mut tx, entry).await?;
    tx.commit().await?;
    let dataset =
        Dataset { id, slug: document.slug.clone(), version, document, created_at: now, withdrawn_at: None };
    Ok(DatasetImported { dataset, created: true, files: stored.len() })
}

/// The files of a form's folder with their digests, and where they are now.
async fn form_files(folder: &Path, form: Form) -> Result<Vec<(FormFile, PathBuf)>, CatalogError> {
    let root = folder.to_owned();
    let walked = tokio::task::spawn_blocking(move || walk(&root, &root, form)).await;
    walked.map_err(|e| source(folder, e))?
}

fn walk(root: &Path, folder: &Path, form: Form) -> Result<Vec<(FormFile, PathBuf)>, CatalogError> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|e| source(folder, e))? {
        let entry = entry.map_err(|e| source(folder, e))?;
        let (path, kind) = (entry.path(), entry.file_type().map_err(|e| source(folder, e))?);
        if kind.is_dir() {
            files.extend(walk(root, &path, form)?);
        } else if kind.is_file() {
            let open = std::fs::File::open(&path).map_err(|e| source(&path, e))?;
            let (digest, size) = Sm3Hasher::digest_reader(open).map_err(|e| source(&path, e))?;
            let relative = path.strip_prefix(root).ok().and_then(Path::to_str);
            let relative = relative.ok_or_else(|| source(&path, "the name is not UTF-8; rename it"))?;
            let file = FormFile {
                form,
                path: relative.to_owned(),
                object_key: String::new(),
                size,
                digest: digest.to_string(),
            };
            files.push((file, path));
        }
    }
    Ok(files)
}

/// Withdraws a version: nothing new may use it. The trace stays.
///
/// # Errors
/// [`CatalogError::Unknown`], or when the database fails.
pub async fn withdraw(
    house: &House,
    slug: &str,
    version: i64,
    steward: UserId,
    reason: &str,
) -> Result<(), CatalogError> {
    let mut tx = house.db.begin().await?;
    let unknown = || CatalogError::Unknown(format!("dataset {slug} version {version}"));
    let dataset = db::version(&mut tx, slug, version).await?.ok_or_else(unknown)?;
    let now = house.clock.now();
    db::withdraw(&mut tx, dataset.version, now).await?;
    let entry = Entry::new(now, Actor::User(steward), "dataset.withdrawn", ("dataset", dataset.id))
        .detail("version", version)
        .detail("reason", reason);
    audit::record(&mut tx, entry).await?;
    Ok(tx.commit().await?)
}
