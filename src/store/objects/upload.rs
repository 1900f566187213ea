//! Putting objects: streamed, capped, digested and, for hidden ones, sealed on the way.
//!
//! The store is written by a task of its own. If the caller breaks off, or is dropped as when a
//! client hangs up, the task sees its channel close without an end and aborts the upload: nothing is
//! left behind.

use std::path::Path;
use std::sync::Arc;

use bytes::BytesMut;
use object_store::path::Path as StorePath;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt as _, PutPayload};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::mpsc;

use super::key::{Class, ObjectKey};
use super::{ObjectError, Objects, Stored, path_of};
use crate::crypto::{Sealing, Sm3Hasher};

/// How much is read before it is handed on.
const PIECE: usize = 4 << 20;

/// The size of the parts of a large upload: S3 wants at least 5 MiB, and at most 10,000 parts.
const PART: usize = 8 << 20;

/// What the reading side tells the writing task.
enum Piece {
    Content(Vec<u8>),
    End,
}

/// Whether content is sealed on its way in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Treat {
    /// By its key's class.
    ByClass,
    /// Already in the form it is kept in: from a backup, or rewrapped.
    AsStored,
}

impl Objects {
    /// Stores everything `content` gives, which may be `cap` bytes at most. An object at `key` is
    /// replaced once, at the end; until then, and after any error, the store is as it was.
    ///
    /// # Errors
    /// [`ObjectError::TooLarge`], [`ObjectError::Source`] when `content` breaks off,
    /// [`ObjectError::Full`], or [`ObjectError::Store`].
    pub async fn put_stream(
        &self,
        key: &ObjectKey,
        content: impl AsyncRead + Unpin,
        cap: u64,
    ) -> Result<Stored, ObjectError> {
        self.put(key, content, cap, Treat::ByClass).await
    }

    /// Stores these bytes.
    ///
    /// # Errors
    /// As [`Objects::put_stream`].
    pub async fn put_bytes(&self, key: &ObjectKey, content: &[u8]) -> Result<Stored, ObjectError> {
        self.put(key, content, u64::MAX, Treat::ByClass).await
    }

    /// Stores the content of a file.
    ///
    /// # Errors
    /// [`ObjectError::File`] when it cannot be opened; else as [`Objects::put_stream`].
    pub async fn put_file(&self, key: &ObjectKey, file: &Path) -> Result<Stored, ObjectError> {
        let content =
            tokio::fs::File::open(file).await.map_err(|error| ObjectError::of_file(key, file, error))?;
        self.put(key, content, u64::MAX, Treat::ByClass).await
    }

    /// Stores content in the form it is kept in, sealed when the key is hidden; the digest and size
    /// given back are of that form. For backups.
    ///
    /// # Errors
    /// As [`Objects::put_stream`].
    pub(crate) async fn put_as_stored(
        &self,
        key: &ObjectKey,
        content: impl AsyncRead + Unpin,
    ) -> Result<Stored, ObjectError> {
        self.put(key, content, u64::MAX, Treat::AsStored).await
    }

    async fn put(
        &self,
        key: &ObjectKey,
        mut content: impl AsyncRead + Unpin,
        cap: u64,
        treat: Treat,
    ) -> Result<Stored, ObjectError> {
        let sealing = (treat == Treat::ByClass && key.class() == Class::Hidden)
            .then(|| self.sealer.sealing(key.as_str()));
        let intake = Intake { hasher: Sm3Hasher::new(), size: 0, sealing };
        let sink = Sink::new(self.store.clone(), path_of(key));
        let (sender, receiver) = mpsc::channel(1);
        let task = tokio::spawn(write(key.clone(), intake, sink, receiver));

        let mut size = 0u64;
        let fault = loop {
            let mut piece = Vec::new();
            let read = (&mut content).take(PIECE as u64).read_to_end(&mut piece).await;
            size += piece.len() as u64;
            if let Err(source) = read {
                break Some(ObjectError::Source { object: key.to_string(), source });
            }
            if size > cap {
                break Some(ObjectError::TooLarge { object: key.to_string(), cap });
            }
            let end = piece.is_empty();
            // The task stops listening only when it failed; its own error is the one to tell.
            if sender.send(if end { Piece::End } else { Piece::Content(piece) }).await.is_err() || end {
                break None;
            }
        };
        drop(sender);
        let written = task.await.map_err(|error| ObjectError::cut_short(key, error))?;
        if let Some(fault) = fault {
            return Err(fault);
        }
        let stored = written?;
        self.persist(key).await?;
        Ok(stored)
    }

    /// Makes a local object survive a power cut.
    async fn persist(&self, key: &ObjectKey) -> Result<(), ObjectError> {
        let Some(file) = self.local_file(key) else { return Ok(()) };
        let sync = move || -> std::io::Result<()> {
            std::fs::File::open(&file)?.sync_all()?;
            file.parent().map_or(Ok(()), |folder| std::fs::File::open(folder)?.sync_all())
        };
        match tokio::task::spawn_blocking(sync).await.map_err(|error| ObjectError::cut_short(key, error))? {
            // Deleted again by someone else: nothing to keep.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(ObjectError::of_file(key, Path::new(key.as_str()), error)),
            Ok(()) => Ok(()),
        }
    }
}

/// Receives the pieces, and completes the object only after [`Piece::End`].
async fn write(
    key: ObjectKey,
    intake: Intake,
    mut sink: Sink,
    mut pieces: mpsc::Receiver<Piece>,
) -> Result<Stored, ObjectError> {
    let result = fill(&key, intake, &mut sink, &mut pieces).await;
    // From here on the reading side must see that nobody listens any more.
    drop(pieces);
    if result.is_err() {
        sink.abort(&key).await;
    }
    result
}

async fn fill(
    key: &ObjectKey,
    mut intake: Intake,
    sink: &mut Sink,
    pieces: &mut mpsc::Receiver<Piece>,
) -> Result<Stored, ObjectError> {
    loop {
        let piece = match pieces.recv().await {
            Some(Piece::Content(bytes)) => Some(bytes),
            Some(Piece::End) => None,
            None => {
                let source = std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
                return Err(ObjectError::Source { object: key.to_string(), source });
            }
        };
        let last = piece.is_none();
        let worked = tokio::task::spawn_blocking(move || intake.take_in(piece)).await;
        let (back, bytes) = worked.map_err(|error| ObjectError::cut_short(key, error))??;
        intake = back;
        sink.write(bytes).await.map_err(|error| ObjectError::of(key, error))?;
        if last {
            sink.finish().await.map_err(|error| ObjectError::of(key, error))?;
            return Ok(Stored { key: key.clone(), size: intake.size, sm3: intake.hasher.finish() });
        }
    }
}

/// Digests and seals: the work on a processor.
struct Intake {
    hasher: Sm3Hasher,
    size: u64,
    sealing: Option<Sealing>,
}

impl Intake {
    /// Takes in a piece, `None` at the end, and gives the bytes to store.
    fn take_in(mut self, piece: Option<Vec<u8>>) -> Result<(Self, Vec<u8>), ObjectError> {
        if let Some(bytes) = &piece {
            self.hasher.update(bytes);
            self.size += bytes.len() as u64;
        }
        let out = match &mut self.sealing {
            Some(sealing) => {
                let mut out = Vec::new();
                sealing.push(piece.as_deref(), &mut out)?;
                out
            }
            None => piece.unwrap_or_default(),
        };
        Ok((self, out))
    }
}

/// Where the bytes go: one request for a small object, an upload in parts for a larger one.
struct Sink {
    store: Arc<dyn ObjectStore>,
    path: StorePath,
    waiting: BytesMut,
    upload: Option<Box<dyn MultipartUpload>>,
}

impl Sink {
    fn new(store: Arc<dyn ObjectStore>, path: StorePath) -> Self {
        Self { store, path, waiting: BytesMut::new(), upload: None }
    }

    /// Takes the next bytes and sends the parts that are whole. All parts but the last are of one
    /// size, as some stores ask.
    async fn write(&mut self, bytes: Vec<u8>) -> Result<(), object_store::Error> {
        self.waiting.extend_from_slice(&bytes);
        drop(bytes);
        while self.waiting.len() > PART {
            let part = self.waiting.split_to(PART).freeze();
            let upload = match &mut self.upload {
                Some(upload) => upload,
                none => none.insert(self.store.put_multipart(&self.path).await?),
            };
            upload.put_part(part.into()).await?;
        }
        Ok(())
    }

    async fn finish(&mut self) -> Result<(), object_store::Error> {
        let rest = PutPayload::from(std::mem::take(&mut self.waiting).freeze());
        match &mut self.upload {
            Some(upload) => {
                upload.put_part(rest).await?;
                upload.complete().await.map(|_| ())
            }
            None => self.store.put(&self.path, rest).await.map(|_| ()),
        }
    }

    async fn abort(mut self, key: &ObjectKey) {
        if let Some(upload) = &mut self.upload
            && let Err(error) = upload.abort().await
        {
            tracing::warn!(object = %key, %error, "an upload that broke off could not be removed");
        }
    }
}
