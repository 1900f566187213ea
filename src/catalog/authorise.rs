//! [`Authorised`]: proof that a data use was checked, at the moment of the use.

use std::marker::PhantomData;

use super::{Form, FormFile, db};
use crate::contest::definition::DatasetUse;
use crate::contest::entry::db as entry_db;
use crate::contest::model::ParticipantState;
use crate::ids::{CompetitionId, UserId};
use crate::store::{Connection, StoreError};

/// Why a use was refused, or a dataset not taken in.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The version was withdrawn.
    #[error("dataset {slug} version {version} was withdrawn; nothing new may use it. Ask its steward")]
    Withdrawn {
        /// The dataset.
        slug: String,
        /// The version.
        version: i64,
    },
    /// There is no such dataset, version or file.
    #[error("the catalogue has no {0}")]
    Unknown(String),
    /// The person does not take part (any more).
    #[error("whoever works on the data has to take part in the competition")]
    NotAdmitted,
    /// Only the public form may be downloaded.
    #[error("{0} is not opened for download; work on it inside a sandbox")]
    NotPublic(String),
    /// `dataset.yaml` or a file beside it cannot be read or says something impossible.
    #[error("{file}: {problem}")]
    Source {
        /// The file.
        file: String,
        /// What is wrong and how to mend it.
        problem: String,
    },
    /// A version is immutable.
    #[error(
        "dataset {slug} version {version} exists with other content; versions never change: give the new one the next number"
    )]
    Immutable {
        /// The dataset.
        slug: String,
        /// The version.
        version: i64,
    },
    /// The object store failed.
    #[error(transparent)]
    Objects(#[from] crate::store::ObjectError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The use of scoring a run of a competition against what derives from its datasets.
#[derive(Clone, Debug)]
pub enum Scoring {}

/// The use of working on the sandbox form inside an interactive sandbox.
#[derive(Clone, Debug)]
pub enum Interactive {}

/// The use of having the sandbox form mounted in a sandbox that is nobody's yet: no person sees it before
/// an [`Interactive`] use is authorised.
#[derive(Clone, Debug)]
pub enum Spare {}

/// The uses for which the sandbox form is laid out to be mounted.
pub trait MountsSandboxForm {}
impl MountsSandboxForm for Interactive {}
impl MountsSandboxForm for Spare {}

/// The use of downloading a file of the public form.
#[derive(Clone, Debug)]
pub enum Download {}

/// Proof that a use of data was authorised a moment ago. Only this room makes one, and it says what
/// it is for; whoever starts a run or reads a form asks for it.
#[derive(Clone, Debug)]
pub struct Authorised<U> {
    about: String,
    using: PhantomData<U>,
}

impl<U> Authorised<U> {
    fn new(about: String) -> Self {
        Self { about, using: PhantomData }
    }

    /// What was authorised, for the audit log.
    pub fn about(&self) -> &str {
        &self.about
    }
}

/// Checks that a run of a competition may be scored: each of the dataset versions that the competition
/// declares is in the catalogue and none has been withdrawn.
///
/// # Errors
/// [`CatalogError::Unknown`], [`CatalogError::Withdrawn`], or when the database fails.
pub async fn authorise_scoring(
    conn: &mut Connection,
    competition: CompetitionId,
    datasets: &[DatasetUse],
) -> Result<Authorised<Scoring>, CatalogError> {
    standing(conn, datasets).await?;
    Ok(Authorised::new(format!("scoring in competition {competition}")))
}

/// Checks that a participant may work on the sandbox form of a competition's datasets: each version
/// stands, the person is admitted now, and has accepted terms. That these are the terms as they are
/// now is checked where they are at hand.
///
/// # Errors
/// [`CatalogError::Unknown`], [`CatalogError::Withdrawn`], [`CatalogError::NotAdmitted`], or when the
/// database fails.
pub async fn authorise_sandbox(
    conn: &mut Connection,
    competition: CompetitionId,
    user: UserId,
    datasets: &[DatasetUse],
) -> Result<Authorised<Interactive>, CatalogError> {
    standing(conn, datasets).await?;
    let registration = entry_db::registration(conn, competition, user).await?;
    if !registration.is_some_and(|r| r.state == ParticipantState::Approved && !r.terms.is_empty()) {
        return Err(CatalogError::NotAdmitted);
    }
    let versions: Vec<String> = datasets.iter().map(|d| format!("{} {}", d.slug, d.version)).collect();
    Ok(Authorised::new(format!("sandbox of {user} in competition {competition}: {}", versions.join(", "))))
}

/// Checks that the sandbox form of a competition's datasets may be mounted in a sandbox that waits for
/// whoever opens one next: each version stands.
///
/// # Errors
/// [`CatalogError::Unknown`], [`CatalogError::Withdrawn`], or when the database fails.
pub async fn authorise_spare(
    conn: &mut Connection,
    competition: CompetitionId,
    datasets: &[DatasetUse],
) -> Result<Authorised<Spare>, CatalogError> {
    standing(conn, datasets).await?;
    let versions: Vec<String> = datasets.iter().map(|d| format!("{} {}", d.slug, d.version)).collect();
    Ok(Authorised::new(format!("sandbox kept ready in competition {competition}: {}", versions.join(", "))))
}

/// Makes sure that every dataset version is in the catalogue and none was withdrawn.
async fn standing(conn: &mut Connection, datasets: &[DatasetUse]) -> Result<(), CatalogError> {
    for used in datasets {
        let (slug, version) = (used.slug.clone(), used.version);
        match db::version(conn, &slug, version).await? {
            // what nobody has catalogued, nobody has cleared
            None => {
                let what = format!("dataset {slug} version {version}; ask a data steward to import it");
                return Err(CatalogError::Unknown(what));
            }
            Some(known) if known.withdrawn_at.is_some() => {
                return Err(CatalogError::Withdrawn { slug, version });
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Checks that a file may be downloaded: it is of the public form of a version that stands.
///
/// # Errors
/// [`CatalogError`], saying why not.
pub async fn authorise_download(
    conn: &mut Connection,
    slug: &str,
    path: &str,
) -> Result<(FormFile, Authorised<Download>), CatalogError> {
    let unknown = || CatalogError::Unknown(format!("file {path} in dataset {slug}"));
    let dataset = db::by_slug(conn, slug).await?.ok_or_else(unknown)?;
    if dataset.withdrawn_at.is_some() {
        let version = dataset.document.version;
        return Err(CatalogError::Withdrawn { slug: slug.to_owned(), version });
    }
    let files = db::files(conn, dataset.version).await?;
    let mut same_path = files.into_iter().filter(|f| f.path == path).peekable();
    if same_path.peek().is_none() {
        return Err(unknown());
    }
    let public = same_path.find(|f| f.form == Form::Public);
    let file = public.ok_or_else(|| CatalogError::NotPublic(path.to_owned()))?;
    let proof = Authorised::new(format!("download of {slug}/{path}"));
    Ok((file, proof))
}
