//! Reads, checks, writes and compares competition bundles: Codabench's format v2 and our optional
//! `shuyu:` block (COMPAT section 1).
//!
//! [`read`] takes a folder or a zip and returns everything it has to say at once: a [`Report`] of
//! findings, and a [`Bundle`] when none of them is an error. [`write`](write::write) makes a bundle
//! that reads as the same [`Definition`]; [`diff`](diff::diff) lists what changed between two. Touches
//! files, never the store.

mod board;
mod competition;
mod dates;
pub mod diff;
mod entries;
mod extras;
mod files;
pub(crate) mod finding;
pub mod judging;
mod lint;
mod models;
pub(crate) mod node;
mod phases;
mod probes;
pub(crate) mod quantity;
pub(crate) mod section;
mod tasks;
pub mod write;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

pub use self::files::FileEntry;
pub use self::finding::{Faulty, Finding, Report, Severity};

use self::competition::Reader;
use self::files::{Files, digest_of};
use self::finding::{COMPETITION_YAML, Findings, Place};
use super::definition::Definition;
use crate::submission::unpack::detect::only_folder;
use crate::submission::unpack::{UnpackLimits, unpack_zip};

/// What a bundle may contain at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Limits of the bundle as a whole, and of each zip within it.
    pub unpack: UnpackLimits,
    /// Bytes of `competition.yaml`.
    pub yaml_bytes: u64,
    /// Bytes of a page, the terms or a metadata file.
    pub text_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { unpack: UnpackLimits::default(), yaml_bytes: 1 << 20, text_bytes: 4 << 20 }
    }
}

/// Which image names can run here; an unknown one is a warning that names the setting.
#[derive(Clone, Copy)]
pub struct ImageTable<'a> {
    /// Tells whether a name is in the table or is a local image.
    pub knows: &'a dyn Fn(&str) -> bool,
    /// The setting that holds the table, as the user would write it.
    pub setting: &'a str,
}

/// A bundle without errors.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// The directory that holds `competition.yaml`.
    pub root: PathBuf,
    /// What it declares.
    pub definition: Definition,
    /// All its files, in the order of their paths; links are not among them.
    pub manifest: Vec<FileEntry>,
    /// One SM3 digest for all of them: the same for the same files, however they were packed.
    pub digest: String,
}

/// Why a bundle could not be looked at at all.
#[derive(Debug, Error)]
pub enum BundleError {
    /// No such file or folder.
    #[error("there is no folder or zip at {path}; name the folder that holds competition.yaml, or its zip")]
    Missing {
        /// What was named.
        path: PathBuf,
    },
    /// A folder of too many files.
    #[error("the bundle has more than {limit} files and folders; leave out caches and pack small files")]
    TooManyFiles {
        /// How many are allowed.
        limit: usize,
    },
    /// A folder of too many bytes.
    #[error("the bundle is larger than {limit} bytes; large data belongs into the catalogue")]
    TooLarge {
        /// How many bytes are allowed.
        limit: u64,
    },
    /// The file system refused.
    #[error("{what} failed: {source}")]
    Io {
        /// What was done.
        what: String,
        /// The system's answer.
        source: io::Error,
    },
}

/// Reads and checks the bundle at `source`: a folder, its `competition.yaml`, or a zip. A zip is unpacked below `staging`,
/// an existing empty directory, where the bundle's files then stay; a folder is read in place.
///
/// # Errors
/// [`BundleError`] when there is nothing to read; whatever is wrong with the bundle itself is in the
/// report instead.
pub fn read(source: &Path, staging: &Path, limits: &Limits) -> Result<(Option<Bundle>, Report), BundleError> {
    read_with_images(source, staging, limits, None)
}

/// As [`read`], and checks the names of images.
///
/// # Errors
/// As [`read`].
pub fn read_with_images(
    source: &Path,
    staging: &Path,
    limits: &Limits,
    images: Option<ImageTable<'_>>,
) -> Result<(Option<Bundle>, Report), BundleError> {
    let mut findings = Findings::default();
    let Some(root) = locate(source, staging, limits, &mut findings)? else {
        return Ok((None, findings.into_report()));
    };
    let files = Files::scan(&root, limits)?;
    let Some(text) = competition_yaml(&files, limits, &mut findings)? else {
        return Ok((None, findings.into_report()));
    };
    let mut reader = Reader::new(&files, findings, images);
    let definition = node::parse(&text, &mut reader.findings).and_then(|node| reader.definition(&node));
    let findings = reader.findings;
    let bundle = definition.filter(|_| !findings.has_errors()).map(|definition| {
        let manifest = files.into_manifest();
        Bundle { root, definition, digest: digest_of(&manifest), manifest }
    });
    Ok((bundle, findings.into_report()))
}

/// Finds the directory that holds `competition.yaml`; unpacks a zip first.
fn locate(
    source: &Path,
    staging: &Path,
    limits: &Limits,
    findings: &mut Findings,
) -> Result<Option<PathBuf>, BundleError> {
    let missing = |_| BundleError::Missing { path: source.to_owned() };
    if fs::metadata(source).map_err(missing)?.is_dir() {
        return Ok(Some(source.to_owned()));
    }
    let name = source.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if name == COMPETITION_YAML {
        return Ok(source.parent().map(|parent| parent.to_owned()));
    }
    let zip = File::open(source)
        .map_err(|source| BundleError::Io { what: "opening the bundle".to_owned(), source })?;
    let anywhere = Place::default();
    let unpacked = match unpack_zip(zip, staging, &limits.unpack) {
        Ok(unpacked) => unpacked,
        Err(error) => {
            let (problem, mend) = (error.to_string(), error.mend().to_owned());
            findings.record(Severity::Error, error.code(), &name, &anywhere, problem, mend);
            return Ok(None);
        }
    };
    for clash in unpacked.case_clashes {
        let problem = format!("`{clash}` differs from another file in case only");
        let mend = "rename one: on many systems they are the same file".to_owned();
        findings.record(Severity::Warning, "zip-case", &name, &anywhere, problem, mend);
    }
    if staging.join(COMPETITION_YAML).exists() {
        return Ok(Some(staging.to_owned()));
    }
    let folder = only_folder(staging)
        .map_err(|source| BundleError::Io { what: "reading the unpacked bundle".to_owned(), source })?;
    if let Some(folder) = folder.filter(|folder| folder.join(COMPETITION_YAML).exists()) {
        let inner = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let problem = format!("everything stands in one folder, `{inner}`, inside the zip");
        let mend = "zip the files from inside that folder; Codabench refuses the bundle otherwise".to_owned();
        findings.record(Severity::Warning, "zip-top-folder", &name, &anywhere, problem, mend);
        return Ok(Some(folder));
    }
    Ok(Some(staging.to_owned()))
}

/// The text of `competition.yaml`, without a byte order mark; findings when it cannot be had.
fn competition_yaml(
    files: &Files,
    limits: &Limits,
    findings: &mut Findings,
) -> Result<Option<String>, BundleError> {
    let anywhere = Place::default();
    let Some(size) = files.size(COMPETITION_YAML) else {
        let mend = match files
            .other_case(COMPETITION_YAML)
            .map(str::to_owned)
            .or_else(|| files.kind("competition.yml").map(|_| "competition.yml".to_owned()))
        {
            Some(other) => format!("rename `{other}` to `{COMPETITION_YAML}`"),
            None => format!("put `{COMPETITION_YAML}` at the root of the folder or zip"),
        };
        findings.error("yaml-missing", &anywhere, format!("there is no `{COMPETITION_YAML}`"), mend);
        return Ok(None);
    };
    if size > limits.yaml_bytes {
        let problem = format!("it has {size} bytes; at most {} are read", limits.yaml_bytes);
        findings.error("yaml-too-large", &anywhere, problem, "keep data out of it: name files instead");
        return Ok(None);
    }
    let bytes = fs::read(files.root.join(COMPETITION_YAML))
        .map_err(|source| BundleError::Io { what: format!("reading {COMPETITION_YAML}"), source })?;
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Some(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))),
        Err(error) => {
            let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = 1 + before.iter().filter(|byte| **byte == b'\n').count() as u64;
            let at = Place { key: String::new(), line: Some(line) };
            findings.error("yaml-not-utf8", &at, "the text is not UTF-8", "save the file as UTF-8");
            Ok(None)
        }
    }
}

#[cfg(test)]
mod tests;
