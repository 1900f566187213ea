//! The master keys: where they are kept, and what is derived from them.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::sm3::hmac_sm3;
use crate::clock::Entropy;

/// What can be wrong with the master keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or written.
    #[error("the key file {path} cannot be {doing}: {source}. Check the directory and its owner")]
    File {
        /// The key file.
        path: PathBuf,
        /// "read" or "written".
        doing: &'static str,
        /// The operating system's answer.
        source: io::Error,
    },
    /// Others than the owner may read it.
    #[error(
        "the key file {path} has mode {mode:03o}: others could read it. \
         Run `chmod 600 {path}`, and rotate the key if others had access"
    )]
    Exposed {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is a directory, a socket or the like.
    #[error("the key file {path} is not a regular file. Name another path, or move it away")]
    NotAFile {
        /// The key file.
        path: PathBuf,
    },
    /// The text is not a list of keys.
    #[error(
        "the master keys in {place} are malformed: line {line}: {problem}. Restore the file from your \
         copy of it; what was sealed with a lost key cannot be opened again"
    )]
    Malformed {
        /// The file, or the environment variable.
        place: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
}

/// Names a master key without telling it: 8 bytes, 16 hexadecimal digits in text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; 8]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

impl FromStr for KeyId {
    type Err = hex::FromHexError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0u8; 8];
        hex::decode_to_slice(text, &mut bytes)?;
        Ok(Self(bytes))
    }
}

/// A master key: 256 random bits from which the keys in use are derived, so that no two purposes
/// share one. Wiped from memory when dropped; `Debug` shows its id alone.
#[derive(Clone)]
pub struct MasterKey {
    id: KeyId,
    secret: Zeroizing<[u8; 32]>,
}

impl MasterKey {
    /// The key with these bytes. Its id follows from them.
    pub fn from_bytes(secret: [u8; 32]) -> Self {
        let mut id = [0u8; 8];
        id.copy_from_slice(&hmac_sm3(&secret, b"shuyu master key id v1").0[..8]);
        Self { id: KeyId(id), secret: Zeroizing::new(secret) }
    }

    /// A fresh random key.
    pub fn generate(entropy: &Entropy) -> Self {
        Self::from_bytes(entropy.bytes())
    }

    /// Its name.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// A 256-bit key for one purpose, HMAC-SM3 of the purpose under the master key: knowing it tells
    /// nothing of the master key or of another purpose's key.
    pub fn derive(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(hmac_sm3(&*self.secret, purpose.as_bytes()).0)
    }

    /// The SM4 key that wraps the files' own keys.
    pub(super) fn wrapping_key(&self) -> Zeroizing<[u8; 16]> {
        let derived = self.derive("shuyu wrap data keys v1");
        let mut key = Zeroizing::new([0u8; 16]);
        key.copy_from_slice(&derived[..16]);
        key
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({})", self.id)
    }
}

/// The master keys in use: the first seals, all open.
#[derive(Clone, Debug)]
pub struct KeyRing(Arc<Vec<MasterKey>>);

impl KeyRing {
    /// A ring of one key.
    pub fn new(current: MasterKey) -> Self {
        Self(Arc::new(vec![current]))
    }

    /// The ring with `current` put in front: it seals from now on, the others still open.
    pub fn rotated(&self, current: MasterKey) -> Self {
        let mut keys = vec![current];
        keys.extend(self.0.iter().filter(|key| key.id != keys[0].id).cloned().collect::<Vec<_>>());
        Self(Arc::new(keys))
    }

    /// The key that seals.
    pub fn current(&self) -> &MasterKey {
        &self.0[0]
    }

    /// The key of that name, when the ring has it.
    pub fn get(&self, id: KeyId) -> Option<&MasterKey> {
        self.0.iter().find(|key| key.id == id)
    }

    /// The names of all keys, the current one first.
    pub fn ids(&self) -> Vec<KeyId> {
        self.0.iter().map(MasterKey::id).collect()
    }

    /// Reads keys from text: 64 hexadecimal digits a line (or between commas), the current key first;
    /// `#` starts a comment. `place` names the file or the environment variable for the error.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] when a line is something else, a key stands twice, or there is none.
    pub fn parse(text: &str, place: &str) -> Result<Self, KeyError> {
        let malformed = |line, problem| KeyError::Malformed { place: place.to_owned(), line, problem };
        let mut keys: Vec<MasterKey> = Vec::new();
        let mut lines = 0;
        for (index, line) in text.lines().enumerate() {
            lines = index + 1;
            let content = line.split('#').next().unwrap_or_default();
            for digits in content.split(',').map(str::trim).filter(|part| !part.is_empty()) {
                let mut secret = Zeroizing::new([0u8; 32]);
                hex::decode_to_slice(digits, &mut *secret)
                    .map_err(|_| malformed(lines, "a key is 64 hexadecimal digits"))?;
                let key = MasterKey::from_bytes(*secret);
                if keys.iter().any(|other| other.id == key.id) {
                    return Err(malformed(lines, "this key stands here twice"));
                }
                keys.push(key);
            }
        }
        if keys.is_empty() {
            return Err(malformed(lines.max(1), "there is no key"));
        }
        Ok(Self(Arc::new(keys)))
    }

    /// The text that [`KeyRing::parse`] reads.
    pub(crate) fn to_text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::from(
            "# The master keys of a Shuyu service. Without this file no sealed object can be opened.\n\
             # Keep a copy apart from the backups. The first key seals; the others only open.\n",
        ));
        for key in self.0.iter() {
            let digits = Zeroizing::new(hex::encode(*key.secret));
            text.push_str(&digits);
            text.push_str(&format!(" # {}\n", key.id));
        }
        text
    }
}

/// The file that holds the master keys, mode 0600.
#[derive(Debug)]
pub struct KeyFile;

impl KeyFile {
    /// Reads the keys, or creates the file with one fresh key at the first start.
    ///
    /// # Errors
    /// [`KeyError`]: unreadable, readable by others than its owner, or malformed. An existing file is
    /// never overwritten.
    pub fn load_or_create(path: &Path, entropy: &Entropy) -> Result<KeyRing, KeyError> {
        match Self::load(path) {
            Err(KeyError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            result => return result,
        }
        let ring = KeyRing::new(MasterKey::generate(entropy));
        let staged = Self::stage(path, &ring, entropy)?;
        // A link, unlike a rename, never replaces a file that another process made meanwhile.
        let linked = fs::hard_link(&staged, path);
        let removed = fs::remove_file(&staged);
        match linked {
            Ok(()) => {
                removed.and_then(|()| sync_directory(path)).map_err(Self::write_error(path))?;
                Ok(ring)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Self::load(path),
            Err(error) => Err(Self::write_error(path)(error)),
        }
    }

    /// Reads the keys.
    ///
    /// # Errors
    /// As [`KeyFile::load_or_create`], and when there is no such file.
    pub fn load(path: &Path) -> Result<KeyRing, KeyError> {
        let read_error = |source| KeyError::File { path: path.to_owned(), doing: "read", source };
        let mut file = File::open(path).map_err(read_error)?;
        let metadata = file.metadata().map_err(read_error)?;
        if !metadata.is_file() {
            return Err(KeyError::NotAFile { path: path.to_owned() });
        }
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeyError::Exposed { path: path.to_owned(), mode });
        }
        let mut text = Zeroizing::new(String::new());
        file.read_to_string(&mut text).map_err(read_error)?;
        KeyRing::parse(&text, &path.display().to_string())
    }

    /// Puts a fresh key in front of those in the file. Objects sealed before still open; rewrap them
    /// before the old key is taken out.
    ///
    /// # Errors
    /// As [`KeyFile::load`]; the file keeps its content when the new one cannot be written.
    pub fn rotate(path: &Path, entropy: &Entropy) -> Result<KeyRing, KeyError> {
        let ring = Self::load(path)?.rotated(MasterKey::generate(entropy));
        let staged = Self::stage(path, &ring, entropy)?;
        fs::rename(&staged, path).and_then(|()| sync_directory(path)).map_err(Self::write_error(path))?;
        Ok(ring)
    }

    /// Writes keys that a backup brought along to a file that must not exist yet.
    ///
    /// # Errors
    /// [`KeyError::File`] when there is a file already or it cannot be written.
    pub(crate) fn restore(path: &Path, ring: &KeyRing, entropy: &Entropy) -> Result<(), KeyError> {
        let staged = Self::stage(path, ring, entropy)?;
        let linked = fs::hard_link(&staged, path);
        fs::remove_file(&staged)
            .and(linked)
            .and_then(|()| sync_directory(path))
            .map_err(Self::write_error(path))
    }

    /// Writes the keys beside `path`, complete and on disk, and gives the new file's name.
    fn stage(path: &Path, ring: &KeyRing, entropy: &Entropy) -> Result<PathBuf, KeyError> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}", hex::encode(entropy.bytes::<8>())));
        let staged = path.with_file_name(name);
        let write = || -> io::Result<()> {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&staged)?;
            file.write_all(ring.to_text().as_bytes())?;
            file.sync_all()
        };
        write().map_err(Self::write_error(path))?;
        Ok(staged)
    }

    fn write_error(path: &Path) -> impl Fn(io::Error) -> KeyError {
        move |source| KeyError::File { path: path.to_owned(), doing: "written", source }
    }
}

/// Makes a new or renamed entry of the file's directory survive a power cut.
fn sync_directory(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn temporary() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("master.key");
        (directory, path)
    }

    #[test]
    fn the_first_start_makes_a_private_file_and_the_next_reads_it() {
        let (directory, path) = temporary();
        let made = KeyFile::load_or_create(&path, &Entropy).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let read = KeyFile::load_or_create(&path, &Entropy).unwrap();
        assert_eq!(made.ids(), read.ids());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "no staged file stays behind");
    }

    #[test]
    fn a_file_others_can_read_is_refused_with_the_mend() {
        let (_directory, path) = temporary();
        KeyFile::load_or_create(&path, &Entropy).unwrap();
        for mode in [0o640, 0o604, 0o620] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = KeyFile::load_or_create(&path, &Entropy).unwrap_err();
            assert!(matches!(error, KeyError::Exposed { mode: found, .. } if found == mode));
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
    }

    #[test]
    fn a_malformed_file_is_refused_and_left_as_it_is() {
        let (_directory, path) = temporary();
        let good = "ab".repeat(32);
        for (text, line) in [
            (String::new(), 1),
            ("# nothing\n".to_owned(), 1),
            (format!("{good}\nabc\n"), 2),
            (format!("{good}\n\n{good}\n"), 3),
        ] {
            let _ = fs::remove_file(&path);
            fs::write(&path, &text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            let error = KeyFile::load_or_create(&path, &Entropy).unwrap_err();
            assert!(matches!(error, KeyError::Malformed { line: found, .. } if found == line), "{error}");
            assert!(!error.to_string().contains(&good), "the error must not tell a key");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        let error = KeyFile::load_or_create(&path, &Entropy).unwrap_err();
        assert!(matches!(error, KeyError::NotAFile { .. }), "{error}");
    }

    #[test]
    fn rotation_keeps_the_old_key_behind_the_new() {
        let (_directory, path) = temporary();
        let old = KeyFile::load_or_create(&path, &Entropy).unwrap().current().id();
        let ring = KeyFile::rotate(&path, &Entropy).unwrap();
        assert_ne!(ring.current().id(), old);
        assert_eq!(KeyFile::load(&path).unwrap().ids(), ring.ids());
        assert!(ring.get(old).is_some());
    }

    #[test]
    fn keys_come_from_a_variable_too_and_debug_tells_only_ids() {
        let ring =
            KeyRing::parse(&format!("{}, {}", "01".repeat(32), "02".repeat(32)), "SHUYU_MASTER_KEY").unwrap();
        assert_eq!(ring.ids().len(), 2);
        let shown = format!("{ring:?}");
        assert!(!shown.contains("0101") && shown.contains(&ring.current().id().to_string()), "{shown}");
    }

    #[test]
    fn purposes_have_keys_of_their_own() {
        let key = MasterKey::from_bytes([7; 32]);
        assert_ne!(*key.derive("a"), *key.derive("b"));
        assert_eq!(*key.derive("a"), *MasterKey::from_bytes([7; 32]).derive("a"));
    }
}
