//! Takes a checked bundle into the installation: its files into the object store, its definition
//! into the database. Importing the same bundle again changes nothing; importing a changed one keeps
//! every submission and says what changed.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use zip::write::SimpleFileOptions;

use super::bundle::Bundle;
use super::bundle::diff::{Change, diff};
use super::definition::{BundlePath, Definition};
use super::model::{Competition, FileKind, Phase, StoredFile, Task};
use super::{db, entry};
use crate::airlock::lane1;
use crate::audit::{self, Actor, Entry};
use crate::crypto::{Sm3Hasher, sm3};
use crate::house::House;
use crate::ids::{CompetitionId, TaskId, UserId};
use crate::people::make_organizer;
use crate::probing::suite::Visibility;
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
    let board_before = competition.definition.leaderboard.clone();
    competition.definition = bundle.definition.clone();
    competition.digest.clone_from(&bundle.digest);
    competition.revision += 1;
    competition.updated_at = now;
    save(&mut tx, house, &competition, &files, existing.as_ref()).await?;
    if existing.is_some() && board_before != competition.definition.leaderboard {
        rebuild_boards(&mut tx, house, &competition).await?;
    }
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
    house.ring();
    Ok(Imported { competition, created: existing.is_none(), changes, files: changed })
}

/// Makes every board anew by the rule and the columns that hold now: a column that has become hidden
/// must not stand in rows that were made before.
async fn rebuild_boards(tx: &mut Tx, house: &House, competition: &Competition) -> Result<(), StoreError> {
    let board = &competition.definition.leaderboard;
    let teams = entry::db::teams(tx, competition.id).await?;
    for phase in db::phases(tx, competition.id).await? {
        let mut version = None;
        for team in &teams {
            version = Some(lane1::update_standing(tx, board, phase.id, team.id).await?);
        }
        if let Some(version) = version {
            crate::submission::announce_board(tx, house, phase.id, version).await?;
        }
    }
    Ok(())
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
        for file in &task.probes {
            let paths = file.attached.values().chain([&file.path]).map(String::as_str);
            match file.visibility {
                Visibility::Public => plain.extend(paths),
                Visibility::Hidden => hidden.extend(paths),
            }
        }
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

pub(super) fn collect(folder: &Path, paths: &mut Vec<PathBuf>) -> io::Result<()> {
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
