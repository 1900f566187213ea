//! The bounded unpacker: the one door through which an uploaded zip becomes files, for bundles and
//! for submissions alike.
//!
//! Every name is checked before the first byte is written, bytes are counted while they inflate
//! (never believed from a header), and files are created one by one below a directory handle, with
//! `O_NOFOLLOW | O_EXCL`, so that nothing in an archive can name a place outside.

pub(crate) mod contents;
pub mod detect;
mod write;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::rc::Rc;

use thiserror::Error;
use zip::read::ZipFileEntry;
use zip::{CompressionMethod, ZipArchive};

/// What an archive may contain at most. All sizes are of inflated bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnpackLimits {
    /// Bytes of all files together.
    pub total_bytes: u64,
    /// Bytes of one file.
    pub file_bytes: u64,
    /// Files and directories, those included that are only named on the way to another.
    pub entries: usize,
    /// Parts of one path.
    pub depth: usize,
    /// Bytes of one path.
    pub path_bytes: usize,
    /// How many times its packed size an archive may grow, once it has grown past
    /// [`RATIO_GRACE`] bytes.
    pub ratio: u64,
}

/// Inflated bytes up to which the ratio of an archive is not looked at: a small file of zeros packs
/// a thousand to one and harms nobody.
pub const RATIO_GRACE: u64 = 32 << 20;

impl Default for UnpackLimits {
    fn default() -> Self {
        Self {
            total_bytes: 4 << 30,
            file_bytes: 2 << 30,
            entries: 50_000,
            depth: 24,
            path_bytes: 512,
            ratio: 200,
        }
    }
}

/// What was unpacked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// Regular files written.
    pub files: u64,
    /// Their bytes together.
    pub bytes: u64,
    /// Paths that differ from an earlier one in case only (they collide on some systems).
    pub case_clashes: Vec<String>,
}

/// Why an archive was refused. Names of entries are shown with control characters escaped and cut
/// to a readable length.
#[derive(Debug, Error)]
pub enum UnpackError {
    /// The file is no zip archive, or its directory cannot be read.
    #[error("this is not a zip archive that can be read: {detail}")]
    NotZip {
        /// What the reader of the archive said.
        detail: String,
    },
    /// A name that points, or may be taken to point, outside the archive.
    #[error("the entry {entry} has an unsafe name: {why}")]
    UnsafeName {
        /// The entry.
        entry: String,
        /// What is wrong with its name.
        why: &'static str,
    },
    /// Neither a regular file nor a directory.
    #[error("the entry {entry} is a {kind}, not a regular file or a directory")]
    NotRegular {
        /// The entry.
        entry: String,
        /// What it is.
        kind: &'static str,
    },
    /// An entry locked with a password.
    #[error("the entry {entry} is encrypted")]
    Encrypted {
        /// The entry.
        entry: String,
    },
    /// A compression method other than stored and deflated.
    #[error("the entry {entry} is packed with {method}, which is not read here")]
    Method {
        /// The entry.
        entry: String,
        /// The method's name.
        method: String,
    },
    /// Two entries with one name, or a file where a directory stands.
    #[error("the entry {entry} stands in the archive more than once")]
    Duplicate {
        /// The entry.
        entry: String,
    },
    /// Entries that share bytes of the archive, as only crafted archives have them.
    #[error("entries of the archive overlap")]
    Overlap,
    /// Too many files and directories.
    #[error("the archive has more than {limit} files and directories")]
    TooManyEntries {
        /// How many are allowed.
        limit: usize,
    },
    /// Directories nested too deeply.
    #[error("the path {entry} is more than {limit} directories deep")]
    TooDeep {
        /// The entry.
        entry: String,
        /// How many parts are allowed.
        limit: usize,
    },
    /// A path that is too long.
    #[error("the path {entry} is longer than {limit} bytes")]
    PathTooLong {
        /// The entry.
        entry: String,
        /// How many bytes are allowed.
        limit: usize,
    },
    /// A single file that grows too large.
    #[error("the file {entry} is larger than {limit} bytes when unpacked")]
    FileTooLarge {
        /// The entry.
        entry: String,
        /// How many bytes are allowed.
        limit: u64,
    },
    /// All files together grow too large.
    #[error("the archive holds more than {limit} bytes when unpacked")]
    TotalTooLarge {
        /// How many bytes are allowed.
        limit: u64,
    },
    /// An archive that grows out of proportion: a zip bomb.
    #[error("the archive grows to more than {ratio} times its size at the entry {entry}")]
    Bomb {
        /// The entry.
        entry: String,
        /// How many times is allowed.
        ratio: u64,
    },
    /// An entry whose bytes or checksum are wrong.
    #[error("the entry {entry} is damaged: {detail}")]
    Corrupt {
        /// The entry.
        entry: String,
        /// What the decoder said.
        detail: String,
    },
    /// The file system refused.
    #[error("writing {entry} failed: {source}")]
    Io {
        /// What was being written.
        entry: String,
        /// The system's answer.
        source: io::Error,
    },
}

impl UnpackError {
    /// A stable name of the error, for pages that translate it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotZip { .. } => "zip-unreadable",
            Self::UnsafeName { .. } => "zip-unsafe-name",
            Self::NotRegular { .. } => "zip-not-regular",
            Self::Encrypted { .. } => "zip-encrypted",
            Self::Method { .. } => "zip-method",
            Self::Duplicate { .. } => "zip-duplicate",
            Self::Overlap => "zip-overlap",
            Self::TooManyEntries { .. } => "zip-too-many-entries",
            Self::TooDeep { .. } => "zip-too-deep",
            Self::PathTooLong { .. } => "zip-path-too-long",
            Self::FileTooLarge { .. } => "zip-file-too-large",
            Self::TotalTooLarge { .. } => "zip-too-large",
            Self::Bomb { .. } => "zip-bomb",
            Self::Corrupt { .. } => "zip-corrupt",
            Self::Io { .. } => "zip-io",
        }
    }

    /// How the person who made the archive can mend it.
    pub fn mend(&self) -> &'static str {
        match self {
            Self::NotZip { .. } => "make the archive anew as a plain .zip and upload it completely",
            Self::UnsafeName { .. } => {
                "zip the files from inside their own folder, with plain names saved as UTF-8"
            }
            Self::NotRegular { .. } => {
                "replace links and special files by copies of the files they stand for"
            }
            Self::Encrypted { .. } => "make the archive without a password",
            Self::Method { .. } => "pack with the usual method (deflate)",
            Self::Duplicate { .. } => "make the archive anew with each file once",
            Self::Overlap | Self::Corrupt { .. } => "make the archive anew and check it with `unzip -t`",
            Self::TooManyEntries { .. } => "leave out caches and dependencies, or put small files together",
            Self::TooDeep { .. } | Self::PathTooLong { .. } => "use fewer nested folders and shorter names",
            Self::FileTooLarge { .. } | Self::TotalTooLarge { .. } | Self::Bomb { .. } => {
                "leave out what is not needed, or ask for a larger limit"
            }
            Self::Io { .. } => "try again; if it stays, the operator must look at disk space and permissions",
        }
    }
}

/// Unpacks a zip into `dest`, an existing directory (best an empty one of its own).
///
/// Regular files get mode 0644, directories 0755, whatever the archive says. After an error, what
/// was written until then is still there: the caller removes `dest`.
///
/// # Errors
/// Anything that [`UnpackError`] lists; names are all checked before the first file is written.
pub fn unpack_zip(file: File, dest: &Path, limits: &UnpackLimits) -> Result<Unpacked, UnpackError> {
    unpack_zip_to(file, dest, limits, &|path| Some(path))
}

/// The same, with each file and directory at the path that `place` gives for its own, a part of it; none for
/// what is left out.
///
/// # Errors
/// As [`unpack_zip`].
pub(crate) fn unpack_zip_to(
    file: File,
    dest: &Path,
    limits: &UnpackLimits,
    place: &dyn for<'a> Fn(&'a str) -> Option<&'a str>,
) -> Result<Unpacked, UnpackError> {
    let mut writer = write::Writer::open(dest)?;
    let mut done = Unpacked::default();
    let mut folded = BTreeSet::new();
    visit_zip(file, limits, &mut |entry| {
        let Some(path) = place(entry.path) else { return Ok(()) };
        if !folded.insert(path.to_lowercase()) {
            done.case_clashes.push(shown(path.as_bytes()));
        }
        if entry.is_dir {
            return writer.directory(path);
        }
        let mut out = writer.file(path)?;
        done.bytes += entry.copy_to(&mut out)?;
        done.files += 1;
        Ok(())
    })?;
    Ok(done)
}

/// One entry of an archive whose name has been checked.
pub(crate) struct Entry<'a> {
    /// Its path: parts joined by `/`, none of them empty, `.` or `..`.
    pub(crate) path: &'a str,
    /// Whether it is a directory.
    pub(crate) is_dir: bool,
    reader: &'a mut dyn Read,
    budget: &'a mut Budget,
}

impl Entry<'_> {
    /// Inflates the entry into `out` under the limits and returns the number of bytes.
    pub(crate) fn copy_to(&mut self, out: &mut dyn Write) -> Result<u64, UnpackError> {
        let mut buffer = vec![0u8; 64 << 10];
        let mut size = 0u64;
        loop {
            let read = match self.reader.read(&mut buffer) {
                Ok(0) => return Ok(size),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    return Err(UnpackError::Corrupt {
                        entry: shown(self.path.as_bytes()),
                        detail: error.to_string(),
                    });
                }
            };
            size += read as u64;
            self.budget.spend(self.path, size, read as u64)?;
            out.write_all(&buffer[..read])
                .map_err(|source| UnpackError::Io { entry: shown(self.path.as_bytes()), source })?;
        }
    }
}

struct Budget {
    limits: UnpackLimits,
    packed: u64,
    total: u64,
}

impl Budget {
    fn spend(&mut self, path: &str, file_size: u64, more: u64) -> Result<(), UnpackError> {
        self.total += more;
        if file_size > self.limits.file_bytes {
            return Err(UnpackError::FileTooLarge {
                entry: shown(path.as_bytes()),
                limit: self.limits.file_bytes,
            });
        }
        if self.total > self.limits.total_bytes {
            return Err(UnpackError::TotalTooLarge { limit: self.limits.total_bytes });
        }
        if self.total > RATIO_GRACE && self.total / self.limits.ratio.max(1) > self.packed {
            return Err(UnpackError::Bomb { entry: shown(path.as_bytes()), ratio: self.limits.ratio });
        }
        Ok(())
    }
}

/// Calls `visit` for each entry of a zip, in the archive's order, after all names were checked. An
/// entry that `visit` does not copy is not inflated.
///
/// # Errors
/// As [`unpack_zip`], and whatever `visit` returns.
pub(crate) fn visit_zip(
    file: File,
    limits: &UnpackLimits,
    visit: &mut dyn FnMut(&mut Entry<'_>) -> Result<(), UnpackError>,
) -> Result<(), UnpackError> {
    let (mut archive, packed) = open(file, limits)?;
    let mut plan = Vec::with_capacity(archive.len());
    let mut seen = BTreeSet::new();
    let mut places = BTreeSet::new();
    for index in 0..archive.len() {
        let entry = archive.by_index_data(index).map_err(unreadable)?;
        let Some(path) = check_entry(&entry, limits)? else { continue };
        if !seen.insert(path.clone()) {
            return Err(UnpackError::Duplicate { entry: shown(path.as_bytes()) });
        }
        // a directory takes an inode although the archive need not have an entry for it
        places.insert(path.clone());
        for directory in above(&path) {
            if !places.insert(directory.to_owned()) {
                break;
            }
        }
        if places.len() > limits.entries {
            return Err(UnpackError::TooManyEntries { limit: limits.entries });
        }
        plan.push((index, path));
    }
    let mut budget = Budget { limits: *limits, packed, total: 0 };
    for (index, path) in &plan {
        let mut file = archive.by_index(*index).map_err(|error| UnpackError::Corrupt {
            entry: shown(path.as_bytes()),
            detail: error.to_string(),
        })?;
        let is_dir = file.is_dir();
        visit(&mut Entry { path, is_dir, reader: &mut file, budget: &mut budget })?;
    }
    Ok(())
}

/// The directories on the way to a path, the innermost first.
pub(crate) fn above(path: &str) -> impl Iterator<Item = &str> {
    path.rmatch_indices('/').map(|(end, _)| &path[..end])
}

fn unreadable(error: zip::result::ZipError) -> UnpackError {
    UnpackError::NotZip { detail: shown(error.to_string().as_bytes()) }
}

type Archive = ZipArchive<Metered<BufReader<File>>>;

/// Opens the archive and refuses what is wrong with it as a whole.
fn open(file: File, limits: &UnpackLimits) -> Result<(Archive, u64), UnpackError> {
    let packed =
        file.metadata().map_err(|source| UnpackError::Io { entry: "the archive".into(), source })?.len();
    // The directory of an archive is read before its entries can be counted, so its bytes are: what
    // the allowed number of entries can need (46 bytes, a name, an extra field), and some slack.
    let per_entry = 128 + 2 * limits.path_bytes as u64;
    let left = Rc::new(Cell::new(Some(per_entry.saturating_mul(limits.entries as u64) + (1 << 20))));
    let reader = Metered { inner: BufReader::new(file), left: Rc::clone(&left) };
    let mut archive = match ZipArchive::new(reader) {
        Ok(archive) => archive,
        Err(_) if left.get() == Some(0) => {
            return Err(UnpackError::TooManyEntries { limit: limits.entries });
        }
        Err(error) => return Err(unreadable(error)),
    };
    left.set(None);
    if archive.len() > limits.entries {
        return Err(UnpackError::TooManyEntries { limit: limits.entries });
    }
    if archive.has_duplicate_names() {
        return Err(UnpackError::Duplicate { entry: "(one of its names)".into() });
    }
    if archive.has_overlapping_entries().map_err(unreadable)? {
        return Err(UnpackError::Overlap);
    }
    Ok((archive, packed))
}

/// Checks one entry of the directory and returns its path, cleaned of `.` and empty parts; `None`
/// for the archive's root itself.
fn check_entry(entry: &ZipFileEntry<'_>, limits: &UnpackLimits) -> Result<Option<String>, UnpackError> {
    let raw = entry.name_raw();
    let name = || shown(raw);
    let path = safe_path(raw, limits)?;
    const TYPE: u32 = 0o170_000;
    match entry.unix_mode().unwrap_or(0) & TYPE {
        0 | 0o100_000 | 0o040_000 => {}
        0o120_000 => return Err(UnpackError::NotRegular { entry: name(), kind: "symbolic link" }),
        _ => return Err(UnpackError::NotRegular { entry: name(), kind: "device, pipe or socket" }),
    }
    if entry.encrypted() {
        return Err(UnpackError::Encrypted { entry: name() });
    }
    match entry.compression() {
        CompressionMethod::Stored | CompressionMethod::Deflated => {}
        other => return Err(UnpackError::Method { entry: name(), method: other.to_string() }),
    }
    Ok((!path.is_empty()).then_some(path))
}

fn safe_path(raw: &[u8], limits: &UnpackLimits) -> Result<String, UnpackError> {
    let unsafe_name = |why| UnpackError::UnsafeName { entry: shown(raw), why };
    let Ok(name) = std::str::from_utf8(raw) else {
        return Err(unsafe_name("it is not UTF-8"));
    };
    if name.len() > limits.path_bytes {
        return Err(UnpackError::PathTooLong { entry: shown(raw), limit: limits.path_bytes });
    }
    if name.chars().any(char::is_control) {
        return Err(unsafe_name("it has a control character"));
    }
    if name.contains('\\') {
        return Err(unsafe_name("it has a backslash"));
    }
    if name.starts_with('/') {
        return Err(unsafe_name("it is absolute"));
    }
    let mut drive = name.chars();
    if drive.next().is_some_and(|c| c.is_ascii_alphabetic()) && drive.next() == Some(':') {
        return Err(unsafe_name("it begins with a drive letter"));
    }
    let mut parts = Vec::new();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => return Err(unsafe_name("it climbs out with `..`")),
            part if part.len() > 255 => {
                return Err(UnpackError::PathTooLong { entry: shown(raw), limit: 255 });
            }
            part => parts.push(part),
        }
    }
    if parts.len() > limits.depth {
        return Err(UnpackError::TooDeep { entry: shown(raw), limit: limits.depth });
    }
    Ok(parts.join("/"))
}

/// A name or message from an archive, made fit to be shown: control characters (and with them ANSI
/// sequences), direction marks and invalid bytes escaped, cut at 120 characters.
pub(crate) fn shown(raw: &[u8]) -> String {
    let mut text = String::new();
    let lossy = String::from_utf8_lossy(raw);
    for (count, c) in lossy.chars().enumerate() {
        if count == 120 {
            text.push('…');
            break;
        }
        let direction =
            matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if c.is_control() || direction {
            text.extend(c.escape_default());
        } else {
            text.push(c);
        }
    }
    text
}

/// A reader that fails once it has handed out a number of bytes (`None`: any number).
struct Metered<R> {
    inner: R,
    left: Rc<Cell<Option<u64>>>,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(left) = self.left.get() else { return self.inner.read(buffer) };
        if left == 0 {
            return Err(io::Error::other("the directory of the archive is too large"));
        }
        let allowed = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.inner.read(&mut buffer[..allowed])?;
        self.left.set(Some(left - read as u64));
        Ok(read)
    }
}

impl<R: Seek> Seek for Metered<R> {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.inner.seek(position)
    }
}

#[cfg(test)]
mod tests;
