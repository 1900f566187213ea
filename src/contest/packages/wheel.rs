//! Reading a wheel: what it is, and whether it may be mounted. Nothing of it is ever run here.
//!
//! A wheel is taken when its name, its `.dist-info` and every byte agree (the binary distribution format,
//! packaging.python.org/specifications), the image's Python takes it, and it brings nothing that runs
//! by itself at every start of an interpreter. Of its `.data` only `purelib` and `platlib` are used: scripts,
//! headers and data files would lie outside the folder that is mounted.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use super::name::{FileName, Tag, machine, normalized, python_minor, same_version};
use crate::submission::unpack::{UnpackError, UnpackLimits, above, unpack_zip_to, visit_zip};

/// What a wheel may hold.
const LIMITS: UnpackLimits = UnpackLimits {
    total_bytes: 256 << 20,
    file_bytes: 256 << 20,
    entries: 20_000,
    depth: 24,
    path_bytes: 512,
    ratio: 200,
};
/// Bytes of one of the files that say what a wheel is.
const SAYS_BYTES: usize = 8 << 20;
/// Bytes of the paths it installs together: they are kept, to be compared with those of other packages.
const PATH_BYTES: usize = 2 << 20;
/// Modules that Python loads by itself whenever it starts.
const AT_START: [&str; 2] = ["sitecustomize", "usercustomize"];

/// A wheel that may be mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wheel {
    /// The project's name as indexes compare it.
    pub(super) name: String,
    pub(super) version: String,
    /// Projects that it cannot do without, by the same kind of name: those under a condition are left out.
    pub(super) requires: Vec<String>,
    /// The paths it installs, in order.
    pub(super) files: Vec<String>,
    /// Their bytes together.
    pub(super) unpacked: u64,
}

/// Why a wheel is not taken.
#[derive(Debug, thiserror::Error)]
pub enum WheelError {
    /// Its name is none of a wheel.
    #[error(
        "{file:?} is not named as wheels are: NAME-VERSION-PYTHON-ABI-PLATFORM.whl; keep the name that pip gave it"
    )]
    FileName {
        /// The file's name.
        file: String,
    },
    /// It is for another Python or machine.
    #[error(
        "it is for {tags}; the sandbox has CPython 3.{python} on {machine} with glibc 2.36: take a wheel for that, or one for any platform"
    )]
    Tags {
        /// What it is for.
        tags: String,
        /// The image's minor version.
        python: u32,
        /// The processor.
        machine: &'static str,
    },
    /// It asks for another version of Python.
    #[error("it needs Python {wanted}; the sandbox has 3.{python}: take an older or newer version of it")]
    Python {
        /// `Requires-Python`.
        wanted: String,
        /// The image's minor version.
        python: u32,
    },
    /// The archive is refused.
    #[error(transparent)]
    Archive(#[from] UnpackError),
    /// A file is missing that says what the wheel is, or is not to be read.
    #[error("{file} is missing, is there twice, or cannot be read; build the wheel anew")]
    Says {
        /// Which.
        file: String,
    },
    /// A file says something else than the name.
    #[error(
        "{file} says {said:?}, which is not what the file's name says; build the wheel anew instead of renaming it"
    )]
    Mismatch {
        /// Which.
        file: String,
        /// What it says.
        said: String,
    },
    /// A file is not in `RECORD`.
    #[error("{file} is in the wheel and not in its RECORD; build the wheel anew")]
    Unrecorded {
        /// Which.
        file: String,
    },
    /// A file of `RECORD` is not there.
    #[error("{file} is in RECORD and not in the wheel; build the wheel anew")]
    Lost {
        /// Which.
        file: String,
    },
    /// A file is not what `RECORD` says.
    #[error("{file} is not what RECORD says (by its SHA-256); load the wheel again from where it comes from")]
    Changed {
        /// Which.
        file: String,
    },
    /// A file would run at every start of Python.
    #[error("{file} would run whenever Python starts; take it out and build the wheel anew")]
    AtStart {
        /// Which.
        file: String,
    },
    /// A file lies where others of its own want a folder.
    #[error("{file} is installed both as a file and as a folder by the same wheel; build the wheel anew")]
    InTheWay {
        /// Where.
        file: String,
    },
    /// Its paths are too long together.
    #[error("the paths of its files have more than {} MiB together; leave data and tests out", PATH_BYTES >> 20)]
    Paths,
    /// Two of its own files lie at one place.
    #[error("{file} is installed twice by the same wheel; build the wheel anew")]
    Twice {
        /// Where.
        file: String,
    },
}

/// Reads a wheel through and says what it is.
///
/// # Errors
/// [`WheelError`], with [`UnpackError::Io`] for a failure of our own.
pub(super) fn check(file: File, file_name: &str) -> Result<Wheel, WheelError> {
    let named = FileName::parse(file_name)?;
    if !named.tags.iter().any(|tag| tag.fits(machine())) {
        let tags: Vec<_> = named.tags.iter().map(Tag::to_string).take(4).collect();
        return Err(WheelError::Tags { tags: tags.join(", "), python: python_minor(), machine: machine() });
    }
    let info = Info::find(&file)?;
    let read = Read::all(file, &info)?;
    info.agrees(&named)?;
    let metadata = read.says("METADATA")?;
    expect_says(metadata, "Name", |name| normalized(name) == named.name, "METADATA")?;
    expect_says(metadata, "Version", |version| same_version(version, &named.version), "METADATA")?;
    let wheel = read.says("WHEEL")?;
    expect_says(wheel, "Wheel-Version", |version| version.starts_with("1."), "WHEEL")?;
    let said: Vec<Tag> = headers(wheel, "Tag").flat_map(Tag::of_line).collect();
    if !said.iter().any(|tag| named.tags.contains(tag)) {
        let said: Vec<_> = said.iter().map(Tag::to_string).take(4).collect();
        return Err(WheelError::Mismatch { file: "WHEEL".to_owned(), said: said.join(", ") });
    }
    if let Some(wanted) = headers(metadata, "Requires-Python").find(|wanted| !takes_python(wanted)) {
        let wanted = wanted.chars().take(80).collect();
        return Err(WheelError::Python { wanted, python: python_minor() });
    }
    check_record(&info, read.says("RECORD")?, &read.digests)?;
    let files = info.installed(&read)?;
    let requires = requirements(metadata);
    Ok(Wheel { name: named.name, version: named.version, requires, files, unpacked: read.bytes })
}

/// Unpacks what a checked wheel installs into an empty directory.
///
/// # Errors
/// As [`check`].
pub(super) fn unpack(file: File, dest: &Path) -> Result<(), WheelError> {
    let info = Info::find(&file)?;
    unpack_zip_to(file, dest, &LIMITS, &|path| info.place(path))?;
    Ok(())
}

/// The stem of a wheel's `.dist-info` and `.data`.
struct Info {
    stem: String,
}

impl Info {
    fn find(file: &File) -> Result<Self, WheelError> {
        let file =
            file.try_clone().map_err(|source| UnpackError::Io { entry: "the archive".to_owned(), source })?;
        let mut stems = BTreeSet::new();
        visit_zip(file, &LIMITS, &mut |entry| {
            let top = entry.path.split_once('/').map_or(entry.path, |(top, _)| top);
            if let Some(stem) = top.strip_suffix(".dist-info") {
                stems.insert(stem.to_owned());
            }
            Ok(())
        })?;
        match (stems.pop_first(), stems.is_empty()) {
            (Some(stem), true) => Ok(Self { stem }),
            _ => Err(WheelError::Says { file: "*.dist-info".to_owned() }),
        }
    }

    fn agrees(&self, named: &FileName) -> Result<(), WheelError> {
        let agrees = self.stem.split_once('-').is_some_and(|(name, version)| {
            normalized(name) == named.name && same_version(version, &named.version)
        });
        let mismatch =
            || WheelError::Mismatch { file: format!("{}.dist-info", self.stem), said: self.stem.clone() };
        agrees.then_some(()).ok_or_else(mismatch)
    }

    /// Its own path of a file that says what the wheel is.
    fn own<'a>(&self, path: &'a str) -> Option<&'a str> {
        path.strip_prefix(self.stem.as_str())?.strip_prefix(".dist-info/")
    }

    /// Where a file is installed; none for scripts, headers and data.
    fn place<'a>(&self, path: &'a str) -> Option<&'a str> {
        let data = path.strip_prefix(self.stem.as_str()).and_then(|rest| rest.strip_prefix(".data"));
        match data.filter(|rest| rest.is_empty() || rest.starts_with('/')) {
            None => Some(path),
            Some(rest) => {
                let (scheme, path) = rest.strip_prefix('/')?.split_once('/')?;
                (matches!(scheme, "purelib" | "platlib") && !path.is_empty()).then_some(path)
            }
        }
    }

    /// The places of its files, where each can be what it is beside the others.
    fn installed(&self, read: &Read) -> Result<Vec<String>, WheelError> {
        let mut places = BTreeSet::new();
        for place in read.digests.keys().filter_map(|path| self.place(path)) {
            if runs_at_start(place) {
                return Err(WheelError::AtStart { file: place.to_owned() });
            }
            if !places.insert(place.to_owned()) {
                return Err(WheelError::Twice { file: place.to_owned() });
            }
        }
        let folders = read.folders.iter().filter_map(|path| self.place(path));
        let folders = places.iter().flat_map(|place| above(place)).chain(folders);
        if let Some(file) = folders.into_iter().find(|folder| places.contains(*folder)) {
            return Err(WheelError::InTheWay { file: file.to_owned() });
        }
        if places.iter().map(String::len).sum::<usize>() > PATH_BYTES {
            return Err(WheelError::Paths);
        }
        Ok(places.into_iter().collect())
    }
}

/// Whether Python would load it by itself: a `.pth` file, or a module of the names that `site` looks for.
fn runs_at_start(place: &str) -> bool {
    let top = place.split('/').next().unwrap_or(place);
    let is_path_file = top == place && top.to_ascii_lowercase().ends_with(".pth");
    is_path_file || AT_START.contains(&top.split('.').next().unwrap_or(top))
}

/// What was read of a wheel: the digest of each file, and the files that say what it is.
struct Read {
    digests: BTreeMap<String, [u8; 32]>,
    says: BTreeMap<String, Vec<u8>>,
    /// Folders that have an entry of their own.
    folders: Vec<String>,
    bytes: u64,
}

impl Read {
    fn all(file: File, info: &Info) -> Result<Self, WheelError> {
        let mut read =
            Self { digests: BTreeMap::new(), says: BTreeMap::new(), folders: Vec::new(), bytes: 0 };
        visit_zip(file, &LIMITS, &mut |entry| {
            if entry.is_dir {
                read.folders.push(entry.path.to_owned());
                return Ok(());
            }
            let path = entry.path.to_owned();
            let own = info.own(&path).filter(|own| matches!(*own, "METADATA" | "WHEEL" | "RECORD"));
            let mut reading = Reading { hash: Sha256::new(), kept: own.map(|_| Vec::new()) };
            read.bytes += entry.copy_to(&mut reading)?;
            if let (Some(own), Some(kept)) = (own, reading.kept) {
                read.says.insert(own.to_owned(), kept);
            }
            read.digests.insert(path, reading.hash.finalize().into());
            Ok(())
        })?;
        Ok(read)
    }

    /// The text of a file that says what the wheel is.
    fn says(&self, own: &str) -> Result<&str, WheelError> {
        let bytes = self.says.get(own).filter(|bytes| bytes.len() <= SAYS_BYTES);
        let text = bytes.and_then(|bytes| std::str::from_utf8(bytes).ok());
        text.ok_or_else(|| WheelError::Says { file: own.to_owned() })
    }
}

/// Takes a file's bytes: its digest, and the bytes themselves where they are wanted, one more than the cap
/// at most.
struct Reading {
    hash: Sha256,
    kept: Option<Vec<u8>>,
}

impl Write for Reading {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hash.update(bytes);
        if let Some(kept) = &mut self.kept {
            let room = (SAYS_BYTES + 1).saturating_sub(kept.len());
            kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The values of a header in the form of e-mail's, which metadata has: up to the first empty line.
fn headers<'a>(text: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    let lines = text.lines().take_while(|line| !line.trim().is_empty());
    lines.filter_map(move |line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

fn expect_says(
    text: &str,
    header: &str,
    expected: impl Fn(&str) -> bool,
    file: &str,
) -> Result<(), WheelError> {
    let said = headers(text, header).next().unwrap_or_default();
    if expected(said) {
        return Ok(());
    }
    let said = format!("{header}: {}", said.chars().take(80).collect::<String>());
    Err(WheelError::Mismatch { file: file.to_owned(), said })
}

/// Whether the image's Python is in a range. Bounds on minor versions are looked at; what is more exact,
/// such as a patch level to leave out, does not decide.
fn takes_python(wanted: &str) -> bool {
    let minor = python_minor();
    wanted.split(',').map(str::trim).all(|clause| {
        let digits =
            |version: &str| version.trim().strip_prefix("3.")?.split('.').next()?.parse::<u32>().ok();
        let bound = |operator: &str| clause.strip_prefix(operator);
        if let Some(version) = bound(">=").or_else(|| bound("~=")) {
            digits(version).is_none_or(|least| least <= minor) && !version.trim().starts_with('4')
        } else if let Some(version) = bound("==") {
            digits(version).is_none_or(|only| only == minor)
        } else if let Some(version) = bound("<=") {
            digits(version).is_none_or(|most| minor <= most) && !version.trim().starts_with('2')
        } else if let Some(version) = bound("<") {
            let major = version.trim();
            digits(version).is_none_or(|end| minor < end) && major != "3" && !major.starts_with('2')
        } else {
            true
        }
    })
}

/// The names in `Requires-Dist` without a condition.
fn requirements(metadata: &str) -> Vec<String> {
    let unconditional = headers(metadata, "Requires-Dist").filter(|line| !line.contains(';'));
    let names = unconditional.map(|line| {
        let end = line.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '.' | '_' | '-'));
        normalized(&line[..end.unwrap_or(line.len())])
    });
    names.filter(|name| !name.is_empty()).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Every file is in `RECORD` with its SHA-256, and nothing else is. `RECORD` itself and its signatures have
/// none.
fn check_record(info: &Info, record: &str, digests: &BTreeMap<String, [u8; 32]>) -> Result<(), WheelError> {
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(record.as_bytes());
    let unsigned = |path: &str| matches!(info.own(path), Some("RECORD" | "RECORD.jws" | "RECORD.p7s"));
    let mut recorded = BTreeSet::new();
    for line in reader.records() {
        let line = line.map_err(|_| WheelError::Says { file: "RECORD".to_owned() })?;
        let path = line.get(0).unwrap_or_default();
        let path = path.strip_prefix("./").unwrap_or(path).to_owned();
        let Some(digest) = digests.get(&path) else {
            return Err(WheelError::Lost { file: path.chars().take(120).collect() });
        };
        let said = line.get(1).and_then(|hash| hash.strip_prefix("sha256="));
        let same = said
            .and_then(|said| URL_SAFE_NO_PAD.decode(said.trim_end_matches('=')).ok())
            .is_some_and(|said| said == digest);
        if !same && !unsigned(&path) {
            return Err(WheelError::Changed { file: path });
        }
        recorded.insert(path);
    }
    match digests.keys().find(|path| !recorded.contains(*path) && !unsigned(path)) {
        Some(path) => Err(WheelError::Unrecorded { file: path.clone() }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
