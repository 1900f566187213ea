//! What an upload is: code, a single script or a result, as Codabench tells them apart.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::contents;
use super::{UnpackError, UnpackLimits, Unpacked, shown, unpack_zip};
use crate::submission::app::{MANIFEST, MANIFEST_BYTES};
use crate::submission::command::{METADATA_NAMES, command_of};
use crate::submission::mapping;

/// A submission laid out as files, and what it is.
#[derive(Debug)]
pub struct LaidOut {
    /// What it is.
    pub kind: SubmissionKind,
    /// The directory that becomes `/app/program` (or, with an ingestion program,
    /// `/app/ingested_program`): where the metadata file stands, or all of a result.
    pub root: PathBuf,
    /// What was written.
    pub unpacked: Unpacked,
}

/// What a submission is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubmissionKind {
    /// A program that answers over HTTP: it has an `app.yaml`.
    App {
        /// The text of that file.
        manifest: String,
    },
    /// A program: it has a metadata file. Without a command an ingestion program must run it.
    Code {
        /// The command before substitution.
        command: Option<String>,
    },
    /// A model without a program.
    Model {
        /// The text of `model.yaml`, where there is one.
        manifest: Option<String>,
        /// The ONNX files; one is meant.
        files: Vec<PathBuf>,
    },
    /// Predictions, or whatever the scoring program reads; no metadata file.
    Result,
}

/// Why an upload is no submission.
#[derive(Debug, Error)]
pub enum DetectError {
    /// A file of a kind that is not taken.
    #[error("{name} is not a .zip, .py, .csv, .parquet or .onnx file; upload one of these")]
    UnknownKind {
        /// The uploaded file's name.
        name: String,
    },
    /// The content does not fit the ending of the name.
    #[error("{name} does not contain what its name says ({expected}); save it again in that format")]
    WrongContent {
        /// The uploaded file's name.
        name: String,
        /// What was expected.
        expected: &'static str,
    },
    /// An archive without a single file.
    #[error("the archive holds no file; add the predictions or the program")]
    Empty,
    /// The archive was refused.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// The file system refused.
    #[error("laying out the submission failed: {0}")]
    Io(#[from] io::Error),
}

impl DetectError {
    /// Stable word for the fault.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownKind { .. } => "file-kind",
            Self::WrongContent { .. } => "wrong-content",
            Self::Empty => "zip-empty",
            Self::Unpack(error) => error.code(),
            Self::Io(_) => "platform",
        }
    }
}

/// Lays an uploaded file out in `dest`, an empty directory, and tells what it is.
///
/// A zip is unpacked within `limits` (one folder around everything is looked through for the
/// metadata file); `.onnx` is a model; `.csv` and `.parquet` are a result of one file; a single `.py` becomes a program
/// whose command is `python3 $program/NAME $input $output`.
///
/// # Errors
/// [`DetectError`]; `dest` may then hold a part of the files and is to be removed.
pub fn lay_out(
    mut file: File,
    name: &str,
    dest: &Path,
    limits: &UnpackLimits,
) -> Result<LaidOut, DetectError> {
    let lower = name.to_lowercase();
    let ending = lower.rsplit_once('.').map_or("", |(_, ending)| ending);
    let wrong = |expected| DetectError::WrongContent { name: shown(name.as_bytes()), expected };
    let head = head(&mut file)?;
    match ending {
        "zip" => {
            if !head.starts_with(b"PK") {
                return Err(wrong("a zip archive"));
            }
            let unpacked = unpack_zip(file, dest, limits)?;
            if unpacked.files == 0 {
                return Err(DetectError::Empty);
            }
            let (kind, root) = detect(dest)?;
            Ok(LaidOut { kind, root, unpacked })
        }
        "parquet" if !head.starts_with(b"PAR1") => Err(wrong("Parquet")),
        "onnx" => {
            let model = dest.join(plain_name(name, ending));
            let unpacked = copy(file, &model, limits)?;
            let kind = SubmissionKind::Model { manifest: None, files: vec![model] };
            Ok(LaidOut { kind, root: dest.to_owned(), unpacked })
        }
        "csv" | "py" if head.contains(&0) => Err(wrong("text in UTF-8")),
        "parquet" | "csv" => {
            let unpacked = copy(file, &dest.join(plain_name(name, ending)), limits)?;
            Ok(LaidOut { kind: SubmissionKind::Result, root: dest.to_owned(), unpacked })
        }
        "py" => {
            let script = plain_name(name, ending);
            let unpacked = copy(file, &dest.join(&script), limits)?;
            let command = format!("python3 $program/{script} $input $output");
            fs::write(dest.join(METADATA_NAMES[0]), format!("command: {command}\n"))?;
            let kind = SubmissionKind::Code { command: Some(command) };
            Ok(LaidOut { kind, root: dest.to_owned(), unpacked })
        }
        _ => Err(DetectError::UnknownKind { name: shown(name.as_bytes()) }),
    }
}

/// Tells what an unpacked submission is, and which directory its program stands in.
///
/// # Errors
/// When the directory cannot be read.
pub fn detect(unpacked: &Path) -> io::Result<(SubmissionKind, PathBuf)> {
    let mut places = vec![unpacked.to_owned()];
    places.extend(only_folder(unpacked)?);
    for place in &places {
        if let Some(manifest) = text_of(&place.join(MANIFEST), MANIFEST_BYTES)? {
            return Ok((SubmissionKind::App { manifest }, place.clone()));
        }
    }
    for place in &places {
        if let Some(command) = command_in(place)? {
            return Ok((SubmissionKind::Code { command }, place.clone()));
        }
    }
    let mut models = contents::below(unpacked)?;
    models.retain(|path| contents::ending_of(path) == "onnx");
    let mut manifest = None;
    for place in &places {
        manifest = manifest.or(text_of(&place.join(mapping::FILE), mapping::FILE_BYTES)?);
    }
    // beside a table one of them alone may be anything
    let is_model = match (manifest.is_some(), !models.is_empty()) {
        (true, true) => true,
        (true, false) | (false, true) => !contents::has_table(unpacked)?,
        (false, false) => false,
    };
    let kind =
        if is_model { SubmissionKind::Model { manifest, files: models } } else { SubmissionKind::Result };
    Ok((kind, unpacked.to_owned()))
}

/// The metadata file of a program directory: `None` without one, `Some(None)` when it has no
/// command.
pub(crate) fn command_in(directory: &Path) -> io::Result<Option<Option<String>>> {
    /// A metadata file is a few lines; what stands beyond is not read.
    const METADATA_BYTES: u64 = 64 << 10;
    for name in METADATA_NAMES {
        if let Some(text) = text_of(&directory.join(name), METADATA_BYTES)? {
            return Ok(Some(command_of(&text)));
        }
    }
    Ok(None)
}

/// The beginning of a regular file, as text; `None` where there is none.
fn text_of(path: &Path, most: u64) -> io::Result<Option<String>> {
    if !path.symlink_metadata().is_ok_and(|data| data.is_file()) {
        return Ok(None);
    }
    let mut text = Vec::new();
    File::open(path)?.take(most).read_to_end(&mut text)?;
    Ok(Some(String::from_utf8_lossy(&text).into_owned()))
}

/// The one folder that everything stands in, apart from what macOS adds.
pub(crate) fn only_folder(directory: &Path) -> io::Result<Option<PathBuf>> {
    let mut found = None;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if matches!(entry.file_name().to_str(), Some("__MACOSX" | ".DS_Store")) {
            continue;
        }
        if found.is_some() || !entry.file_type()?.is_dir() {
            return Ok(None);
        }
        found = Some(entry.path());
    }
    Ok(found)
}

pub(super) fn head(file: &mut File) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    Read::by_ref(file).take(512).read_to_end(&mut head)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(head)
}

/// The upload's own name where it is plain enough to stand in a command, else a name of ours.
fn plain_name(name: &str, ending: &str) -> String {
    let plain = name.len() <= 100
        && !name.starts_with(['.', '-'])
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'));
    if plain {
        return name.to_owned();
    }
    match ending {
        "py" => "main.py".to_owned(),
        "onnx" => "model.onnx".to_owned(),
        other => format!("predictions.{other}"),
    }
}

fn copy(file: File, to: &Path, limits: &UnpackLimits) -> Result<Unpacked, DetectError> {
    let limit = limits.file_bytes.min(limits.total_bytes);
    let mut out = File::create_new(to)?;
    let bytes = io::copy(&mut file.take(limit.saturating_add(1)), &mut out)?;
    out.flush()?;
    if bytes > limit {
        let entry = to.file_name().map(|name| shown(name.as_encoded_bytes())).unwrap_or_default();
        return Err(UnpackError::FileTooLarge { entry, limit }.into());
    }
    Ok(Unpacked { files: 1, bytes, case_clashes: Vec::new() })
}
