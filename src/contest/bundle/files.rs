//! The files of a bundle: found once, without following links, with size and digest; paths of the
//! declaration are looked up here and can therefore not leave the bundle.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use serde::{Deserialize, Serialize};
use sm3::{Digest, Sm3};

use super::{BundleError, Limits};
use crate::contest::definition::BundlePath;
use crate::submission::unpack::{UnpackError, shown, visit_zip};

/// A regular file of a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Its path in the bundle.
    pub path: BundlePath,
    /// Its size in bytes.
    pub size: u64,
    /// SM3 (GB/T 32905) of its bytes, 64 hexadecimal digits.
    pub sm3: String,
}

/// What a declared path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
}

/// The files below a bundle's root.
#[derive(Debug)]
pub(super) struct Files {
    /// The directory that holds `competition.yaml`.
    pub(super) root: PathBuf,
    entries: BTreeMap<BundlePath, FileEntry>,
    directories: BTreeSet<BundlePath>,
    /// Links and special files, which are not part of the bundle.
    pub(super) strange: BTreeSet<BundlePath>,
    limits: Limits,
    /// Contents of zips already looked into, by the zip's path.
    inside: RefCell<HashMap<BundlePath, Rc<Vec<FileEntry>>>>,
}

/// What operating systems and version control leave in folders.
const LITTER: [&str; 5] = [".git", ".DS_Store", "__MACOSX", "Thumbs.db", "desktop.ini"];

impl Files {
    /// Finds and digests all files below `root`.
    pub(super) fn scan(root: &Path, limits: &Limits) -> Result<Self, BundleError> {
        let mut files = Self {
            root: root.to_owned(),
            entries: BTreeMap::new(),
            directories: BTreeSet::new(),
            strange: BTreeSet::new(),
            limits: *limits,
            inside: RefCell::default(),
        };
        let mut total = 0;
        files.walk(root, "", 0, &mut total)?;
        Ok(files)
    }

    fn walk(&mut self, dir: &Path, prefix: &str, depth: usize, total: &mut u64) -> Result<(), BundleError> {
        let failed = |source| BundleError::Io { what: format!("reading {}", dir.display()), source };
        let mut names = fs::read_dir(dir).map_err(failed)?.collect::<Result<Vec<_>, _>>().map_err(failed)?;
        names.sort_by_key(fs::DirEntry::file_name);
        for entry in names {
            let name = entry.file_name();
            if LITTER.iter().any(|litter| name == *litter) {
                continue;
            }
            let Some(name) = name.to_str() else {
                self.strange.insert(format!("{prefix}{}", shown(name.as_encoded_bytes())));
                continue;
            };
            let path = format!("{prefix}{name}");
            let kind = entry.file_type().map_err(failed)?;
            if self.entries.len() + self.directories.len() >= self.limits.unpack.entries {
                return Err(BundleError::TooManyFiles { limit: self.limits.unpack.entries });
            }
            if kind.is_dir() && depth < self.limits.unpack.depth {
                self.walk(&entry.path(), &format!("{path}/"), depth + 1, total)?;
                self.directories.insert(path);
            } else if kind.is_file() {
                let entry = digest(&entry.path(), &path)?;
                *total += entry.size;
                if *total > self.limits.unpack.total_bytes {
                    return Err(BundleError::TooLarge { limit: self.limits.unpack.total_bytes });
                }
                self.entries.insert(path, entry);
            } else {
                self.strange.insert(path);
            }
        }
        Ok(())
    }

    /// What stands at a clean path.
    pub(super) fn kind(&self, path: &str) -> Option<Kind> {
        if self.entries.contains_key(path) {
            Some(Kind::File)
        } else {
            self.directories.contains(path).then_some(Kind::Directory)
        }
    }

    /// A path that differs from this one in case only.
    pub(super) fn other_case(&self, path: &str) -> Option<&str> {
        let lower = path.to_lowercase();
        let mut all = self.entries.keys().chain(&self.directories);
        all.find(|known| known.to_lowercase() == lower).map(String::as_str)
    }

    /// Whether the path goes through something that is no part of the bundle (a link, a device).
    pub(super) fn through_strange(&self, path: &str) -> bool {
        self.strange.iter().any(|strange| {
            path.strip_prefix(strange.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }

    /// Size of the file at a path.
    pub(super) fn size(&self, path: &str) -> Option<u64> {
        self.entries.get(path).map(|entry| entry.size)
    }

    /// The file's text; `None` when it is no regular file, too large or not UTF-8.
    pub(super) fn text(&self, path: &str) -> Option<String> {
        if self.size(path)? > self.limits.text_bytes {
            return None;
        }
        fs::read_to_string(self.root.join(path)).ok()
    }

    /// The bytes of a file.
    ///
    /// # Errors
    /// What the file system says.
    pub(super) fn bytes(&self, path: &str) -> io::Result<Vec<u8>> {
        fs::read(self.root.join(path))
    }

    /// The files directly in a folder (`""` for the bundle's root) whose names are wanted, in their order.
    pub(super) fn in_folder(&self, folder: &str, wanted: impl Fn(&str) -> bool) -> Vec<BundlePath> {
        let name_in = |path: &str| match folder {
            "" => Some(path.to_owned()),
            folder => path.strip_prefix(folder)?.strip_prefix('/').map(str::to_owned),
        };
        let fits = |path: &&String| name_in(path).is_some_and(|name| !name.contains('/') && wanted(&name));
        self.entries.keys().filter(fits).cloned().collect()
    }

    /// All files in the order of their paths.
    pub(super) fn into_manifest(self) -> Vec<FileEntry> {
        self.entries.into_values().collect()
    }

    /// The files that a declared value stands for, with paths relative to it: those of a directory,
    /// those inside a zip, or the one plain file.
    ///
    /// # Errors
    /// When a file that ends in `.zip` cannot be unpacked.
    pub(super) fn contents(&self, path: &str) -> Result<Rc<Vec<FileEntry>>, UnpackError> {
        if let Some(known) = self.inside.borrow().get(path) {
            return Ok(Rc::clone(known));
        }
        let contents = Rc::new(match self.kind(path) {
            Some(Kind::File) if is_zip(path) => self.inside_zip(path)?,
            Some(Kind::File) => {
                let entry = &self.entries[path];
                let name = path.rsplit('/').next().unwrap_or(path);
                vec![FileEntry { path: name.to_owned(), ..entry.clone() }]
            }
            Some(Kind::Directory) => {
                let below = format!("{path}/");
                let inside =
                    self.entries.range(below.clone()..).take_while(|(path, _)| path.starts_with(&below));
                inside
                    .map(|(path, entry)| FileEntry { path: path[below.len()..].to_owned(), ..entry.clone() })
                    .collect()
            }
            None => Vec::new(),
        });
        self.inside.borrow_mut().insert(path.to_owned(), Rc::clone(&contents));
        Ok(contents)
    }

    fn inside_zip(&self, path: &str) -> Result<Vec<FileEntry>, UnpackError> {
        let mut found = Vec::new();
        visit_zip(self.open(path)?, &self.limits.unpack, &mut |entry| {
            if !entry.is_dir {
                let mut hash = Hashing(Sm3::new());
                let size = entry.copy_to(&mut hash)?;
                found.push(FileEntry {
                    path: entry.path.to_owned(),
                    size,
                    sm3: hex::encode(hash.0.finalize()),
                });
            }
            Ok(())
        })?;
        found.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }

    /// Text of the first of these files that a program (directory or zip) has at its root.
    pub(super) fn text_within(&self, path: &str, names: &[&str]) -> Option<String> {
        if self.kind(path)? == Kind::Directory {
            return names.iter().find_map(|name| self.text(&format!("{path}/{name}")));
        }
        if !is_zip(path) {
            return None;
        }
        let mut found: Vec<(usize, String)> = Vec::new();
        let limits = self.limits;
        visit_zip(self.open(path).ok()?, &limits.unpack, &mut |entry| {
            if let Some(rank) = names.iter().position(|name| *name == entry.path) {
                let mut text = Capped { bytes: Vec::new(), limit: limits.text_bytes };
                entry.copy_to(&mut text)?;
                found.push((rank, String::from_utf8_lossy(&text.bytes).into_owned()));
            }
            Ok(())
        })
        .ok()?;
        found.into_iter().min().map(|(_, text)| text)
    }

    /// The columns of a CSV or Parquet file within a directory or zip, as far as they can be told from its
    /// beginning (CSV) or where it lies as a file (Parquet).
    pub(super) fn columns_of(&self, path: &str, name: &str) -> Option<Vec<String>> {
        /// A header is read so far.
        const HEADER_BYTES: u64 = 1 << 20;
        let in_folder = self.kind(path)? == Kind::Directory;
        let place = self.root.join(path).join(name);
        if name.to_ascii_lowercase().ends_with(".parquet") {
            let file = File::open(place).ok().filter(|_| in_folder)?;
            let table = ArrowReaderMetadata::load(&file, ArrowReaderOptions::default()).ok()?;
            return Some(table.schema().fields().iter().map(|field| field.name().clone()).collect());
        }
        let mut head = Capped { bytes: Vec::new(), limit: HEADER_BYTES };
        if in_folder {
            io::copy(&mut File::open(place).ok()?.take(HEADER_BYTES), &mut head).ok()?;
        } else {
            visit_zip(self.open(path).ok()?, &self.limits.unpack, &mut |entry| {
                if entry.path == name {
                    entry.copy_to(&mut head)?;
                }
                Ok(())
            })
            .ok()?;
        }
        let bytes = head.bytes.strip_prefix(b"\xef\xbb\xbf".as_slice()).unwrap_or(&head.bytes);
        let mut table = csv::ReaderBuilder::new().flexible(true).from_reader(bytes);
        Some(table.headers().ok()?.iter().map(str::to_owned).collect())
    }

    fn open(&self, path: &str) -> Result<File, UnpackError> {
        File::open(self.root.join(path))
            .map_err(|source| UnpackError::Io { entry: shown(path.as_bytes()), source })
    }
}

/// Whether a path names a zip.
pub(super) fn is_zip(path: &str) -> bool {
    path.len() > 4
        && path.is_char_boundary(path.len() - 4)
        && path[path.len() - 4..].eq_ignore_ascii_case(".zip")
}

fn digest(path: &Path, name: &str) -> Result<FileEntry, BundleError> {
    let failed = |source| BundleError::Io { what: format!("reading {}", path.display()), source };
    let mut file = File::open(path).map_err(failed)?;
    let mut hash = Hashing(Sm3::new());
    let mut buffer = vec![0u8; 64 << 10];
    let mut size = 0;
    loop {
        let read = file.read(&mut buffer).map_err(failed)?;
        if read == 0 {
            break;
        }
        size += read as u64;
        hash.0.update(&buffer[..read]);
    }
    Ok(FileEntry { path: name.to_owned(), size, sm3: hex::encode(hash.0.finalize()) })
}

struct Hashing(Sm3);

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Keeps the first bytes and lets the others pass.
struct Capped {
    bytes: Vec<u8>,
    limit: u64,
}

impl Write for Capped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = usize::try_from(self.limit).unwrap_or(usize::MAX).saturating_sub(self.bytes.len());
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One digest for many files: SM3 over a line `sm3  size  path` for each, in the order of paths.
pub(super) fn digest_of(files: &[FileEntry]) -> String {
    let mut lines: Vec<String> =
        files.iter().map(|file| format!("{}  {}  {}\n", file.sm3, file.size, file.path)).collect();
    lines.sort();
    hex::encode(Sm3::digest(lines.concat()))
}

/// Cleans a path of the declaration: `./` and a slash at the end go; what leaves the bundle is
/// refused with the reason.
pub(super) fn clean_path(text: &str) -> Result<BundlePath, &'static str> {
    let text = text.trim();
    if text.starts_with('/') || text.starts_with('~') {
        return Err("the path is absolute");
    }
    if text.contains('\\') {
        return Err("the path has a backslash");
    }
    if text.chars().any(char::is_control) {
        return Err("the path has a control character");
    }
    if text.contains("://") {
        return Err("this is an address on the network, not a path in the bundle");
    }
    let mut drive = text.chars();
    if drive.next().is_some_and(|c| c.is_ascii_alphabetic()) && drive.next() == Some(':') {
        return Err("the path begins with a drive letter");
    }
    let parts: Vec<&str> = text.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if parts.contains(&"..") {
        return Err("the path leads out of the bundle");
    }
    if parts.is_empty() {
        return Err("the path is empty");
    }
    Ok(parts.join("/"))
}
