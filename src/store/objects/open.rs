//! Getting objects: plain ones as a stream, hidden ones onto a tmpfs or into the airlock's hands.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::TryStreamExt as _;
use object_store::{GetResultPayload, ObjectStoreExt as _};
use tokio::io::{AsyncRead, AsyncReadExt as _, ReadBuf};
use tokio_util::io::StreamReader;

use super::key::{Class, ObjectKey};
use super::{ObjectError, Objects, Stored, path_of};
use crate::airlock::Hidden;
use crate::crypto::{HEADER_LEN, KeyId, Opening, Sealer, Sm3Hasher};

/// How much is read before it is worked on.
const PIECE: usize = 8 << 20;

/// Where snapshots of homes lie.
const HOMES: &str = "hidden/homes/";

/// The type of a tmpfs in `statfs(2)`.
const TMPFS_MAGIC: i64 = 0x0102_1994;

/// A stored object's bytes as a stream.
pub struct ObjectReader {
    size: u64,
    inner: Pin<Box<dyn AsyncRead + Send>>,
}

impl ObjectReader {
    /// The number of bytes it will give.
    pub fn size(&self) -> u64 {
        self.size
    }
}

impl AsyncRead for ObjectReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.inner.as_mut().poll_read(context, buffer)
    }
}

impl Objects {
    /// A plain object's content.
    ///
    /// # Errors
    /// [`ObjectError::Sealed`] for a hidden one, [`ObjectError::Missing`], [`ObjectError::Store`].
    pub async fn get_stream(&self, key: &ObjectKey) -> Result<ObjectReader, ObjectError> {
        match key.class() {
            Class::Plain => self.reader(key).await,
            Class::Hidden => Err(ObjectError::Sealed { object: key.to_string() }),
        }
    }

    /// A plain object's content in memory, `cap` bytes at most.
    ///
    /// # Errors
    /// As [`Objects::get_stream`], and [`ObjectError::TooLarge`].
    pub async fn get_bytes(&self, key: &ObjectKey, cap: u64) -> Result<Vec<u8>, ObjectError> {
        let mut reader = self.get_stream(key).await?;
        if reader.size > cap {
            return Err(ObjectError::TooLarge { object: key.to_string(), cap });
        }
        let mut bytes = Vec::new();
        let read = reader.read_to_end(&mut bytes).await;
        read.map_err(|source| ObjectError::Source { object: key.to_string(), source })?;
        Ok(bytes)
    }

    /// A hidden object's content in memory, `cap` bytes at most, for the airlock.
    ///
    /// # Errors
    /// [`ObjectError::Seal`] when it does not open, [`ObjectError::TooLarge`],
    /// [`ObjectError::Missing`], [`ObjectError::Key`] for a plain key, [`ObjectError::Store`].
    pub async fn open_hidden_bytes(&self, key: &ObjectKey, cap: u64) -> Result<Hidden<Vec<u8>>, ObjectError> {
        if key.class() == Class::Plain {
            return Err(ObjectError::Key { key: key.to_string(), problem: "a plain object is not hidden" });
        }
        let too_large = || ObjectError::TooLarge { object: key.to_string(), cap };
        let reader = self.reader(key).await?;
        if reader.size > cap.saturating_add(cap / 1024).saturating_add(4 * HEADER_LEN as u64) {
            return Err(too_large());
        }
        let (_, bytes) = self.take_out(key, reader, Vec::new()).await?;
        if bytes.len() as u64 > cap {
            return Err(too_large());
        }
        Ok(Hidden::new(bytes))
    }

    /// Copies an object's content to a new file (mode 0600), unsealing a hidden one, which must go
    /// to a tmpfs. After an error, or when dropped midway, no file is left.
    ///
    /// # Errors
    /// [`ObjectError::NotOnTmpfs`], [`ObjectError::File`] (also when there is a file already),
    /// [`ObjectError::Seal`], [`ObjectError::Missing`], [`ObjectError::Full`], [`ObjectError::Store`].
    pub async fn get_to_file(&self, key: &ObjectKey, destination: &Path) -> Result<Stored, ObjectError> {
        let reader = self.reader(key).await?;
        let file_error = |error| ObjectError::of_file(key, destination, error);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(destination)
            .map_err(file_error)?;
        let guard = Unfinished(Some(destination.to_owned()));
        if key.class() == Class::Hidden {
            let found = rustix::fs::fstatfs(&file).map_err(|error| file_error(error.into()))?;
            // The field's width differs between architectures.
            #[allow(clippy::unnecessary_cast, clippy::useless_conversion)]
            if found.f_type as i64 != TMPFS_MAGIC {
                return Err(ObjectError::NotOnTmpfs {
                    object: key.to_string(),
                    destination: destination.display().to_string(),
                });
            }
        }
        let target = Target { file, path: destination.to_owned() };
        let (stored, _) = self.take_out(key, reader, target).await?;
        guard.keep();
        Ok(stored)
    }

    /// Unseals the snapshot of a participant's home into `writer`, as it is read: it is sealed for its
    /// owner's sake, and goes back to them. What was written before an error is not to be trusted.
    ///
    /// # Errors
    /// [`ObjectError::Sealed`] for any other object; [`ObjectError::File`] when it cannot be written,
    /// [`ObjectError::Seal`], [`ObjectError::Missing`], [`ObjectError::Store`].
    pub(crate) async fn pour_home(
        &self,
        key: &ObjectKey,
        writer: impl io::Write + Send + 'static,
    ) -> Result<Stored, ObjectError> {
        if !key.as_str().starts_with(HOMES) {
            return Err(ObjectError::Sealed { object: key.to_string() });
        }
        let reader = self.reader(key).await?;
        self.take_out(key, reader, Poured(writer)).await.map(|(stored, _)| stored)
    }

    /// An object in the form it is kept in, sealed when hidden. For backups.
    ///
    /// # Errors
    /// [`ObjectError::Missing`] or [`ObjectError::Store`].
    pub(crate) async fn get_as_stored(&self, key: &ObjectKey) -> Result<ObjectReader, ObjectError> {
        self.reader(key).await
    }

    /// Wraps a hidden object's file key anew when another than the current master key wraps it;
    /// tells whether it did. The content is copied as it is.
    ///
    /// # Errors
    /// [`ObjectError::Seal`] when its header does not open; else those of getting and putting.
    pub async fn rewrap(&self, key: &ObjectKey) -> Result<bool, ObjectError> {
        let mut reader = self.reader(key).await?;
        let mut header = [0u8; HEADER_LEN];
        let read = reader.read_exact(&mut header).await;
        read.map_err(|source| ObjectError::Source { object: key.to_string(), source })?;
        let sealer = self.sealer();
        if Sealer::key_of(&header, key.as_str())? == sealer.ring().current().id() {
            return Ok(false);
        }
        let header = sealer.rewrap_header(&header, key.as_str())?;
        self.put_as_stored(key, header.as_slice().chain(reader)).await?;
        Ok(true)
    }

    /// A master key that a hidden object is sealed with and the ring has not, where there is one. It
    /// looks at one object: all are sealed with the same keys.
    ///
    /// # Errors
    /// When the store cannot be listed, or the object not be read.
    pub async fn foreign_key(&self) -> Result<Option<KeyId>, ObjectError> {
        let Some(listed) = self.list("hidden").try_next().await? else { return Ok(None) };
        let mut header = [0u8; HEADER_LEN];
        let mut reader = match self.reader(&listed.key).await {
            // removed since it was listed
            Err(ObjectError::Missing { .. }) => return Ok(None),
            reader => reader?,
        };
        if reader.read_exact(&mut header).await.is_err() {
            return Ok(None);
        }
        let id = Sealer::key_of(&header, listed.key.as_str())?;
        Ok(self.sealer().ring().get(id).is_none().then_some(id))
    }

    async fn reader(&self, key: &ObjectKey) -> Result<ObjectReader, ObjectError> {
        let got = self.store.get(&path_of(key)).await.map_err(|error| ObjectError::of(key, error))?;
        let size = got.meta.size;
        let inner: Pin<Box<dyn AsyncRead + Send>> = match got.payload {
            GetResultPayload::File(file, _) => Box::pin(tokio::fs::File::from_std(file)),
            GetResultPayload::Stream(stream) => Box::pin(StreamReader::new(stream.map_err(io::Error::other))),
        };
        Ok(ObjectReader { size, inner })
    }

    /// Reads, unseals where needed, digests and writes, the work on a processor apart from the reactor.
    async fn take_out<S: Receive>(
        &self,
        key: &ObjectKey,
        mut reader: ObjectReader,
        target: S,
    ) -> Result<(Stored, S), ObjectError> {
        let opening = (key.class() == Class::Hidden).then(|| self.sealer().opening(key.as_str()));
        let mut outlet = Outlet { opening, hasher: Sm3Hasher::new(), size: 0, target };
        loop {
            let mut piece = Vec::new();
            let read = (&mut reader).take(PIECE as u64).read_to_end(&mut piece).await;
            read.map_err(|source| ObjectError::Source { object: key.to_string(), source })?;
            let end = piece.is_empty();
            let owner = key.clone();
            let worked = tokio::task::spawn_blocking(move || outlet.pass(&owner, piece)).await;
            outlet = worked.map_err(|error| ObjectError::cut_short(key, error))??;
            if end {
                let stored = Stored { key: key.clone(), size: outlet.size, sm3: outlet.hasher.finish() };
                return Ok((stored, outlet.target));
            }
        }
    }
}

/// What takes the plain bytes.
trait Receive: Send + 'static {
    fn receive(&mut self, key: &ObjectKey, bytes: &[u8]) -> Result<(), ObjectError>;
}

impl Receive for Vec<u8> {
    fn receive(&mut self, _key: &ObjectKey, bytes: &[u8]) -> Result<(), ObjectError> {
        self.extend_from_slice(bytes);
        Ok(())
    }
}

struct Target {
    file: File,
    path: PathBuf,
}

impl Receive for Target {
    fn receive(&mut self, key: &ObjectKey, bytes: &[u8]) -> Result<(), ObjectError> {
        self.file.write_all(bytes).map_err(|error| ObjectError::of_file(key, &self.path, error))
    }
}

struct Poured<W>(W);

impl<W: io::Write + Send + 'static> Receive for Poured<W> {
    fn receive(&mut self, key: &ObjectKey, bytes: &[u8]) -> Result<(), ObjectError> {
        self.0.write_all(bytes).map_err(|error| ObjectError::of_file(key, Path::new("a pipe"), error))
    }
}

struct Outlet<S> {
    opening: Option<Opening>,
    hasher: Sm3Hasher,
    size: u64,
    target: S,
}

impl<S: Receive> Outlet<S> {
    /// Passes a piece on; an empty one is the end.
    fn pass(mut self, key: &ObjectKey, piece: Vec<u8>) -> Result<Self, ObjectError> {
        let plain = match &mut self.opening {
            None => piece,
            Some(opening) => {
                let mut plain = Vec::new();
                opening.push((!piece.is_empty()).then_some(&piece), &mut plain)?;
                plain
            }
        };
        self.hasher.update(&plain);
        self.size += plain.len() as u64;
        self.target.receive(key, &plain)?;
        Ok(self)
    }
}

/// A file that is removed unless it was kept.
struct Unfinished(Option<PathBuf>);

impl Unfinished {
    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(path) = self.0.take()
            && let Err(error) = std::fs::remove_file(&path)
        {
            tracing::warn!(file = %path.display(), %error, "an unfinished copy could not be removed");
        }
    }
}
