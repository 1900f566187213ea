//! Takes a checked bundle into the installation: its files into the object store, its definition
//! into the database. Importing the same bundle again changes nothing; importing a changed one keeps
//! every submission and says what changed.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use zip::write::SimpleFileOptions;

use super::bundle::diff::{Change, diff};
use super::bundle::{self, Bundle, FileEntry};
use super::db;
use super::definition::{BundlePath, Definition};
use super::model::{Competition, FileKind, Phase, StoredFile, Task};
use crate::audit::{self, Actor, Entry};
use crate::crypto::{Sm3Hasher, sm3};
use crate::house::House;
use crate::ids::{CompetitionId, TaskId, UserId};
use crate::people::make_organizer;
use crate::store::{ObjectError, ObjectKey, StoreError, Tx};

/// Why a bundle was not taken in.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The slug cannot be part of an address.
    #[error("{0:?} cannot be a competition's short name: use 2 to 50 of a-z, 0-9 and -, a letter first")]
    Slug(String),
    /// The competition belongs to somebody else.
    #[error("a competition {0:?} exists and you do not organize it; choose another short name")]
    NotYours(String),
    /// A file of the bundle cannot be read.
    #[error("reading {path} of the bundle failed: {source}")]
    File {
        /// Path in the bundle.
        path: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The object store failed.
    #[error(transparent)]
    Objects(#[from] ObjectError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What an import did.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The competition as it is now.
    pub competition: Competition,
    /// Whether it is new.
    pub created: bool,
    /// What is declared otherwise than before.
    pub changes: Vec<Change>,
    /// Paths of files that are new or changed.
    pub files: Vec<String>,
}

/// Whether a text can be a competition's short name.
pub fn is_slug(text: &str) -> bool {
    (2..=50).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// Imports `bundle` under `slug` on the word of whoever holds the machine, over the competition of
/// that name when there is one. `owner` becomes one of its organizers; those it has stay.
/// `scratch` is an empty directory for packed folders.
///
/// # Errors
/// [`ImportError`]; the competition is then as it was.
pub async fn import(
    house: &House,
    bundle: &Bundle,
    slug: &str,
    owner: UserId,
    scratch: &Path,
) -> Result<Imported, ImportError> {
    let known = db::by_slug(&mut *house.db.read().await?, slug).await?.map(|c| c.id);
    let imported = import_over(house, bundle, (slug, known), owner, scratch).await?;
    let mut tx = house.db.begin().await?;
    let by = (house.clock.now(), Actor::Operator);
    make_organizer(&mut tx, owner, imported.competition.id, by).await?;
    tx.commit().await?;
    Ok(imported)
}

/// Imports `bundle` under a slug for `owner`, over the competition `expected`, which is the one they
/// were found to manage; `None`: it has to be new, and is theirs then. `scratch` is an empty directory
/// for packed folders. A new competition is a draft until it is published.
///
/// # Errors
/// [`ImportError::NotYours`] when the slug has become another competition's meanwhile; any
/// [`ImportError`] leaves the competition as it was.
pub async fn import_over(
    house: &House,
    bundle: &Bundle,
    (slug, expected): (&str, Option<CompetitionId>),
    owner: UserId,
    scratch: &Path,
) -> Result<Imported, ImportError> {
    if !is_slug(slug) {
        return Err(ImportError::Slug(slug.to_owned()));
    }
    let existing = db::by_slug(&mut *house.db.read().await?, slug).await?;
    refuse_another(existing.as_ref(), expected, slug)?;
    let (id, before) = match &existing {
        Some(c) => (c.id, db::files(&mut *house.db.read().await?, c.id).await?),
        None => (house.entropy.id(&house.clock), Vec::new()),
    };
    let (files, changed) = store_files(house, bundle, id, &before, scratch).await?;
    let changes = existing.as_ref().map(|c| diff(&c.definition, &bundle.definition)).unwrap_or_default();
    if let Some(competition) = &existing
        && changes.is_empty()
        && changed.is_empty()
        && before.len() == files.len()
    {
        return Ok(Imported { competition: competition.clone(), created: false, changes, files: changed });
    }
    let now = house.clock.now();
    let mut tx = house.db.begin().await?;
    db::lock(&mut tx, id).await?;
    // storing the files took a while: what was decided meanwhile (published, teams locked) stays
    let standing = db::by_slug(&mut tx, slug).await?;
    refuse_another(standing.as_ref(), expected, slug)?;
    let mut competition = standing.unwrap_or_else(|| Competition {
        id,
        slug: slug.to_owned(),
        definition: bundle.definition.clone(),
        digest: String::new(),
        revision: 0,
        published_at: None,
        merge_lock_at: None,
        created_at: now,
        created_by: owner,
        updated_at: now,
    });
    competition.definition = bundle.definition.clone();
    competition.digest.clone_from(&bundle.digest);
    competition.revision += 1;
    competition.updated_at = now;
    save(&mut tx, house, &competition, &files, existing.as_ref()).await?;
    let action = if existing.is_some() { "competition.reimported" } else { "competition.imported" };
    let entry = Entry::new(now, Actor::User(owner), action, ("competition", id))
        .competition(id)
        .detail("slug", slug)
        .detail("digest", bundle.digest.as_str())
        .detail("revision", competition.revision);
    audit::record(&mut tx, entry).await?;
    if existing.is_none() {
        make_organizer(&mut tx, owner, id, (now, Actor::User(owner))).await?;
    }
    tx.commit().await?;
    Ok(Imported { competition, created: existing.is_none(), changes, files: changed })
}

/// A slow upload must not land on a competition that was made, or made anew, while it came in.
fn refuse_another(
    found: Option<&Competition>,
    expected: Option<CompetitionId>,
    slug: &str,
) -> Result<(), ImportError> {
    if found.map(|c| c.id) == expected { Ok(()) } else { Err(ImportError::NotYours(slug.to_owned())) }
}

/// Stores what the definition names; gives the files, and the paths of those that are new or changed.
async fn store_files(
    house: &House,
    bundle: &Bundle,
    id: CompetitionId,
    before: &[StoredFile],
    scratch: &Path,
) -> Result<(Vec<StoredFile>, Vec<BundlePath>), ImportError> {
    let (mut files, mut changed) = (Vec::new(), Vec::new());
    for wanted in wanted_files(&bundle.definition) {
        let file = store_file(house, bundle, id, &wanted, before, scratch).await?;
        if !before.contains(&file) {
            changed.push(file.path.clone());
        }
        files.push(file);
    }
    Ok((files, changed))
}

/// A path of the bundle that has to be stored, and whether its content is hidden.
struct Wanted {
    path: BundlePath,
    hidden: bool,
}

/// Every path a definition names. What is reference data or hidden input anywhere is hidden
/// everywhere, unless the author offers the same path as public data.
fn wanted_files(d: &Definition) -> Vec<Wanted> {
    use super::definition::InputVisibility::Hidden;
    let mut hidden: BTreeSet<&str> = BTreeSet::new();
    let mut plain: BTreeSet<&str> = BTreeSet::from([d.image.as_str(), d.terms.as_str()]);
    for task in &d.tasks {
        hidden.extend(task.reference_data.as_deref());
        match task.input {
            Hidden => hidden.extend(task.input_data.as_deref()),
            _ => plain.extend(task.input_data.as_deref()),
        }
        plain.extend(task.ingestion_program.as_deref());
        plain.extend(task.ids.as_deref());
        plain.extend(task.twin.iter().flat_map(|t| [t.input.as_str(), t.reference.as_str()]));
        // a scoring program may hold answers: it is nobody's but the organizer's, unless published
        match d.make_programs_available {
            true => plain.extend(task.scoring_program.as_deref()),
            false => hidden.extend(task.scoring_program.as_deref()),
        };
    }
    plain.extend(d.pages.iter().map(|p| p.file.as_str()));
    plain.extend(d.solutions.iter().map(|s| s.path.as_str()));
    for localised in d.locale.values() {
        plain.extend(localised.pages.values().map(String::as_str));
        plain.extend(localised.terms.as_deref());
    }
    for phase in &d.phases {
        plain.extend(phase.starting_kit.as_deref());
        plain.extend(phase.public_data.as_deref());
    }
    let published: BTreeSet<&str> = d
        .phases
        .iter()
        .flat_map(|p| [p.public_data.as_deref(), p.starting_kit.as_deref()])
        .flatten()
        .collect();
    let all: BTreeSet<&str> = plain.union(&hidden).copied().collect();
    all.into_iter()
        .map(|path| Wanted {
            path: path.to_owned(),
            hidden: hidden.contains(path) && !published.contains(path),
        })
        .collect()
}

async fn store_file(
    house: &House,
    bundle: &Bundle,
    id: CompetitionId,
    wanted: &Wanted,
    before: &[StoredFile],
    scratch: &Path,
) -> Result<StoredFile, ImportError> {
    let source = bundle.root.join(&wanted.path);
    let file_error = |source| ImportError::File { path: wanted.path.clone(), source };
    let metadata = tokio::fs::metadata(&source).await.map_err(file_error)?;
    let (kind, file) = if metadata.is_dir() {
        let packed = scratch.join(format!("{}.zip", sm3(wanted.path.as_bytes())));
        let (from, to) = (source.clone(), packed.clone());
        let done = tokio::task::spawn_blocking(move || pack(&from, &to)).await;
        done.map_err(|e| file_error(e.into()))?.map_err(file_error)?;
        (FileKind::Directory, packed)
    } else {
        (FileKind::File, source)
    };
    let reading = file.clone();
    let digested = tokio::task::spawn_blocking(move || Sm3Hasher::digest_reader(File::open(reading)?)).await;
    let (digest, size) = digested.map_err(|e| file_error(e.into()))?.map_err(file_error)?;
    let place = format!("competitions/{id}/{digest}");
    let key = if wanted.hidden { ObjectKey::hidden(place)? } else { ObjectKey::plain(place)? };
    let stored = StoredFile {
        path: wanted.path.clone(),
        kind,
        object_key: key.as_str().to_owned(),
        size,
        digest: digest.to_string(),
    };
    if !before.contains(&stored) && !house.objects.exists(&key).await? {
        house.objects.put_file(&key, &file).await?;
    }
    if kind == FileKind::Directory {
        tokio::fs::remove_file(&file).await.map_err(file_error)?;
    }
    Ok(stored)
}

/// Packs a folder into a zip that is the same for the same files: sorted names, no times, stored
/// without compression (it is unpacked for every run).
pub fn pack(folder: &Path, target: &Path) -> io::Result<()> {
    let mut archive = zip::ZipWriter::new(File::create_new(target)?);
    let options = SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Stored)
        .last_modified_time(zip::DateTime::default())
        .large_file(true)
        .unix_permissions(0o644);
    let mut paths = Vec::new();
    collect(folder, &mut paths)?;
    paths.sort();
    for path in paths {
        let name = path.strip_prefix(folder).map_err(io::Error::other)?;
        let name = name.to_str().ok_or_else(|| io::Error::other("a file name is not UTF-8"))?;
        archive.start_file(name, options).map_err(io::Error::other)?;
        io::copy(&mut File::open(&path)?, &mut archive)?;
    }
    archive.finish().map_err(io::Error::other)?.flush()
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            collect(&entry.path(), paths)?;
        } else if kind.is_file() {
            paths.push(entry.path());
        }
    }
    Ok(())
}

async fn save(
    tx: &mut Tx,
    house: &House,
    competition: &Competition,
    files: &[StoredFile],
    before: Option<&Competition>,
) -> Result<(), StoreError> {
    let now = house.clock.now();
    db::save(tx, competition).await?;
    db::replace_files(tx, competition.id, files).await?;
    let tasks = save_tasks(tx, house, competition, now).await?;
    let known = db::phases_ever(tx, competition.id).await?;
    let definition = &competition.definition;
    for (position, declared) in (0_i64..).zip(&definition.phases) {
        let old = known.iter().find(|p| p.position == position);
        // dates that the organizer moved on the desk stay, unless the bundle itself now says otherwise
        let before = before.and_then(|c| c.definition.phases.get(usize::try_from(position).unwrap_or(0)));
        let kept = old.zip(before).filter(|(_, b)| (b.start, b.end) == (declared.start, declared.end));
        let phase = Phase {
            id: old.map_or_else(|| house.entropy.id(&house.clock), |p| p.id),
            competition: competition.id,
            position,
            starts_at: kept.map_or(declared.start, |(p, _)| p.starts_at),
            ends_at: kept.map_or(declared.end, |(p, _)| p.ends_at),
            definition: declared.clone(),
            migrated_at: None,
            board_version: 0,
        };
        db::save_phase(tx, &phase).await?;
        let of_phase: Vec<TaskId> = declared
            .tasks
            .iter()
            .filter_map(|index| tasks.iter().find(|t| t.definition.index == *index).map(|t| t.id))
            .collect();
        db::set_phase_tasks(tx, phase.id, &of_phase).await?;
    }
    let phases = i64::try_from(definition.phases.len()).unwrap_or(i64::MAX);
    db::retire_phases(tx, competition.id, phases, now).await
}

async fn save_tasks(
    tx: &mut Tx,
    house: &House,
    competition: &Competition,
    now: Timestamp,
) -> Result<Vec<Task>, StoreError> {
    let known = db::tasks_ever(tx, competition.id).await?;
    let mut tasks = Vec::new();
    for (position, declared) in (0_i64..).zip(&competition.definition.tasks) {
        let own = format!("{}/{}", competition.slug, declared.index);
        let name = declared.hidden_set.as_deref().unwrap_or(&own);
        let fresh = house.entropy.id(&house.clock);
        let task = Task {
            id: known
                .iter()
                .find(|t| t.position == position)
                .map_or_else(|| house.entropy.id(&house.clock), |t| t.id),
            competition: competition.id,
            position,
            hidden_set: db::hidden_set(tx, name, fresh, now).await?,
            definition: declared.clone(),
        };
        db::save_task(tx, &task).await?;
        tasks.push(task);
    }
    let count = i64::try_from(tasks.len()).unwrap_or(i64::MAX);
    db::retire_tasks(tx, competition.id, count, now).await?;
    Ok(tasks)
}

/// Why a competition was not published or exported.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// There is none of this name.
    #[error("there is no competition {0:?}")]
    Unknown(String),
    /// The target exists or cannot be written.
    #[error("cannot write {path}: {problem}")]
    Target {
        /// The file.
        path: String,
        /// What happened.
        problem: String,
    },
    /// The object store failed.
    #[error(transparent)]
    Objects(#[from] ObjectError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Lets everybody see a competition. Publishing twice changes nothing.
///
/// # Errors
/// When there is none of this name, or the database fails.
pub async fn publish(house: &House, slug: &str, by: Option<UserId>) -> Result<Competition, PublishError> {
    let mut tx = house.db.begin().await?;
    let unknown = || PublishError::Unknown(slug.to_owned());
    let id = db::by_slug(&mut tx, slug).await?.ok_or_else(unknown)?.id;
    db::lock(&mut tx, id).await?;
    let mut competition = db::by_id(&mut tx, id).await?.ok_or_else(unknown)?;
    if competition.published_at.is_none() {
        let now = house.clock.now();
        competition.published_at = Some(now);
        db::save(&mut tx, &competition).await?;
        let actor = by.map_or(Actor::Operator, Actor::User);
        let entry = Entry::new(now, actor, "competition.published", ("competition", competition.id))
            .competition(competition.id);
        audit::record(&mut tx, entry).await?;
        tx.commit().await?;
    }
    Ok(competition)
}

/// Writes a competition as a bundle, a zip that imports to the same competition: the phases' dates
/// are those that hold now. The zip holds the hidden data in plain: keep it like the data itself.
///
/// # Errors
/// [`PublishError`]; a target that exists is not replaced.
pub async fn export(house: &House, slug: &str, target: &Path) -> Result<(), PublishError> {
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
    let wrong = |problem: String| PublishError::Target { path: target.display().to_string(), problem };
    // hidden data is opened on a tmpfs only
    let scratch =
        Path::new("/dev/shm").join(format!("shuyu-export-{}", hex::encode(house.entropy.bytes::<8>())));
    let made = std::fs::DirBuilder::new().mode(0o700).create(&scratch);
    made.map_err(|e| wrong(e.to_string()))?;
    let laid = lay_out(house, &files, &scratch).await;
    let written = match laid {
        Ok(()) => {
            let (scratch, target) = (scratch.clone(), target.to_owned());
            let written =
                tokio::task::spawn_blocking(move || write_zip(&definition, &scratch, &target)).await;
            written.map_err(|e| e.to_string()).and_then(|w| w).map_err(wrong)
        }
        Err(error) => Err(error),
    };
    std::fs::remove_dir_all(&scratch).map_err(|e| wrong(e.to_string()))?;
    written
}

async fn lay_out(house: &House, files: &[StoredFile], root: &Path) -> Result<(), PublishError> {
    let wrong =
        |path: &Path, problem: String| PublishError::Target { path: path.display().to_string(), problem };
    for file in files {
        let place = root.join(&file.path);
        let parent = place.parent().unwrap_or(root);
        std::fs::create_dir_all(parent).map_err(|e| wrong(parent, e.to_string()))?;
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
