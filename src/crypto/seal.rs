//! Sealed files: a header that holds the file's own key, wrapped by a master key and bound to the
//! object's name, then the chunks of `super::chunks`.
//!
//! | bytes | content |
//! |---|---|
//! | 0..8 | `SHUYUSM4` |
//! | 8 | version, 1 |
//! | 9 | binary logarithm of the chunk size, 20 |
//! | 10..12 | zero |
//! | 12..20 | id of the master key |
//! | 20..32 | nonce of the wrapping |
//! | 32..64 | the file's key, sealed by SM4-GCM; bytes 0..20 and the object's name are authenticated with it |
//!
//! A sealed object put in another's place fails at the header, since the name differs. Changing the
//! master key rewrites the header alone.

use std::io::{self, Read, Write};

use aes_gcm::aead::{AeadInOut as _, KeyInit as _};
use aes_gcm::{Nonce, Tag};
use zeroize::Zeroizing;

use super::chunks::{CHUNK, ChunkCipher, Sm4Gcm, TAG};
use super::keys::{KeyId, KeyRing, MasterKey};
use crate::clock::Entropy;

/// Length of a sealed file's header in bytes.
pub const HEADER_LEN: usize = 64;

const MAGIC: &[u8; 8] = b"SHUYUSM4";
const VERSION: u8 = 1;
const BOUND: usize = 20;
const WRAPPED: usize = 32;

/// How much is read before it is worked on: several chunks, so that several threads can share them.
const BATCH: usize = 8 * CHUNK;

/// What can be wrong with a sealed object, or with reading and writing it.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// It does not begin as a sealed file does.
    #[error("{object} is not a sealed object. Restore it from a backup")]
    NotSealed {
        /// The object's name.
        object: String,
    },
    /// It was sealed in a form this program does not know.
    #[error("{object} is sealed in form {version}, which this version cannot open. Use a newer shuyu")]
    Version {
        /// The object's name.
        object: String,
        /// The form's number.
        version: u8,
    },
    /// The key file lacks the key.
    #[error(
        "{object} was sealed with master key {key}, which the key file does not hold. \
         Put back the key file that holds it"
    )]
    UnknownKey {
        /// The object's name.
        object: String,
        /// The missing key.
        key: KeyId,
    },
    /// The header does not authenticate for this name: another object's content, or an altered header.
    #[error(
        "{object} holds what was sealed under another name, or its header was altered. \
         Restore it from a backup, and find out who wrote to the object store"
    )]
    WrongObject {
        /// The object's name.
        object: String,
    },
    /// It ends too early.
    #[error("{object} is cut off: its end is missing. Restore it from a backup")]
    Truncated {
        /// The object's name.
        object: String,
    },
    /// A chunk does not authenticate: altered, moved, doubled or left out.
    #[error(
        "{object} was altered at chunk {chunk} (of 1 MiB, from 0). \
         Restore it from a backup, and find out who wrote to the object store"
    )]
    Altered {
        /// The object's name.
        object: String,
        /// The chunk, counted from 0.
        chunk: u64,
    },
    /// Reading or writing failed.
    #[error("{object} could not be read or written: {source}")]
    Io {
        /// The object's name.
        object: String,
        /// The operating system's answer.
        source: io::Error,
    },
}

/// Seals and opens streams with the keys of a ring. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Sealer {
    ring: KeyRing,
    entropy: Entropy,
}

impl Sealer {
    /// A sealer with these keys.
    pub fn new(ring: KeyRing) -> Self {
        Self { ring, entropy: Entropy }
    }

    /// The keys it uses.
    pub fn ring(&self) -> &KeyRing {
        &self.ring
    }

    /// Seals all of `reader` into `writer` under the object's name and gives the number of plain
    /// bytes. Blocking; uses up to four threads.
    ///
    /// # Errors
    /// [`SealError::Io`]; what `writer` holds then is incomplete and will not open.
    pub fn seal(&self, reader: impl Read, writer: impl Write, object: &str) -> Result<u64, SealError> {
        let mut sealing = self.sealing(object);
        let size = pump(reader, writer, object, |bytes, out| sealing.push(bytes, out), Feed::Input)?;
        Ok(size)
    }

    /// Opens all of `reader` into `writer` and gives the number of plain bytes. Blocking; uses up to
    /// four threads.
    ///
    /// # Errors
    /// Any [`SealError`]. Only authenticated bytes are ever written, but the writer may hold a
    /// beginning of the content by then: discard it.
    pub fn open(&self, reader: impl Read, writer: impl Write, object: &str) -> Result<u64, SealError> {
        let mut opening = self.opening(object);
        pump(reader, writer, object, |bytes, out| opening.push(bytes, out), Feed::Output)
    }

    /// Seals piece by piece; for callers that are not `std::io`.
    pub fn sealing(&self, object: &str) -> Sealing {
        let data_key = Zeroizing::new(self.entropy.bytes::<16>());
        let header = wrap(self.ring.current(), &data_key, self.entropy.bytes(), object);
        Sealing {
            cipher: ChunkCipher::new(&data_key),
            header: Some(header),
            buffer: Vec::new(),
            next: 0,
            object: object.to_owned(),
        }
    }

    /// Opens piece by piece; for callers that are not `std::io`.
    pub fn opening(&self, object: &str) -> Opening {
        Opening {
            ring: self.ring.clone(),
            cipher: None,
            buffer: Vec::new(),
            next: 0,
            object: object.to_owned(),
        }
    }

    /// Copies a sealed object, its file key wrapped anew by the current master key, and gives the
    /// number of bytes copied. The content stays as it is and is not checked.
    ///
    /// # Errors
    /// [`SealError`] of the header, or of reading and writing.
    pub fn rewrap(
        &self,
        mut reader: impl Read,
        mut writer: impl Write,
        object: &str,
    ) -> Result<u64, SealError> {
        let io_error = |source| SealError::Io { object: object.to_owned(), source };
        let mut header = [0u8; HEADER_LEN];
        reader.read_exact(&mut header).map_err(|source| match source.kind() {
            io::ErrorKind::UnexpectedEof => SealError::Truncated { object: object.to_owned() },
            _ => io_error(source),
        })?;
        let fresh = self.rewrap_header(&header, object)?;
        writer.write_all(&fresh).map_err(io_error)?;
        let body = io::copy(&mut reader, &mut writer).map_err(io_error)?;
        Ok(body + HEADER_LEN as u64)
    }

    /// The header that [`Sealer::rewrap`] puts in place of `header`.
    ///
    /// # Errors
    /// [`SealError`] when the header does not open.
    pub fn rewrap_header(
        &self,
        header: &[u8; HEADER_LEN],
        object: &str,
    ) -> Result<[u8; HEADER_LEN], SealError> {
        let data_key = unwrap(&self.ring, header, object)?;
        Ok(wrap(self.ring.current(), &data_key, self.entropy.bytes(), object))
    }

    /// The master key that a header names.
    ///
    /// # Errors
    /// [`SealError::NotSealed`] or [`SealError::Version`].
    pub fn key_of(header: &[u8; HEADER_LEN], object: &str) -> Result<KeyId, SealError> {
        if !header.starts_with(MAGIC) {
            return Err(SealError::NotSealed { object: object.to_owned() });
        }
        if header[8] != VERSION {
            return Err(SealError::Version { object: object.to_owned(), version: header[8] });
        }
        let mut id = [0u8; 8];
        id.copy_from_slice(&header[12..BOUND]);
        Ok(KeyId(id))
    }
}

/// Seals a stream that arrives in pieces of any size.
pub struct Sealing {
    cipher: ChunkCipher,
    header: Option<[u8; HEADER_LEN]>,
    /// Plain bytes not sealed yet. At least one stays back until the end, as only then is it known
    /// which chunk is the last.
    buffer: Vec<u8>,
    next: u64,
    object: String,
}

impl Sealing {
    /// Takes in the next plain bytes, `None` at the end, and appends the sealed bytes that are ready
    /// to `out`. Work is shared between threads when a call completes several chunks of 1 MiB.
    ///
    /// # Errors
    /// [`SealError::Altered`] when the cipher refuses a chunk, which its limits make impossible.
    pub fn push(&mut self, bytes: Option<&[u8]>, out: &mut Vec<u8>) -> Result<(), SealError> {
        if let Some(header) = self.header.take() {
            out.extend_from_slice(&header);
        }
        let last = bytes.is_none();
        self.buffer.extend_from_slice(bytes.unwrap_or_default());
        let ready = if last { self.buffer.len() } else { whole(self.buffer.len(), CHUNK) };
        if ready > 0 || last {
            let sealed = self
                .cipher
                .seal(self.next, &self.buffer[..ready], last)
                .map_err(|bad| SealError::Altered { object: self.object.clone(), chunk: bad.0 })?;
            out.extend_from_slice(&sealed);
            self.next += (ready / CHUNK) as u64;
            self.buffer.drain(..ready);
        }
        Ok(())
    }
}

/// Opens a sealed stream that arrives in pieces of any size.
pub struct Opening {
    ring: KeyRing,
    cipher: Option<ChunkCipher>,
    /// Sealed bytes not opened yet.
    buffer: Vec<u8>,
    next: u64,
    object: String,
}

impl Opening {
    /// Takes in the next sealed bytes, `None` at the end, and appends the plain bytes that are ready
    /// and authenticated to `out`. The content is complete only when the call with `None` succeeds.
    ///
    /// # Errors
    /// Any [`SealError`] but `Io`.
    pub fn push(&mut self, bytes: Option<&[u8]>, out: &mut Vec<u8>) -> Result<(), SealError> {
        let last = bytes.is_none();
        self.buffer.extend_from_slice(bytes.unwrap_or_default());
        if self.cipher.is_none() {
            if let Some(header) = self.buffer.first_chunk::<HEADER_LEN>() {
                let data_key = unwrap(&self.ring, header, &self.object)?;
                self.cipher = Some(ChunkCipher::new(&data_key));
                self.buffer.drain(..HEADER_LEN);
            } else if last {
                return Err(self.too_short());
            }
        }
        let Some(cipher) = &self.cipher else { return Ok(()) };
        let ready = if last { self.buffer.len() } else { whole(self.buffer.len(), CHUNK + TAG) };
        if ready > 0 || last {
            match cipher.open(self.next, &self.buffer[..ready], last) {
                Ok(plain) => out.extend_from_slice(&plain),
                Err(bad) => return Err(self.refusal(bad.0, ready, last)),
            }
            self.next += (ready / (CHUNK + TAG)) as u64;
            self.buffer.drain(..ready);
        }
        Ok(())
    }

    fn too_short(&self) -> SealError {
        let object = self.object.clone();
        if self.buffer.len() >= MAGIC.len() && !self.buffer.starts_with(MAGIC) {
            SealError::NotSealed { object }
        } else {
            SealError::Truncated { object }
        }
    }

    /// Tells a cut from an alteration: an end that authenticates as a middle chunk, or is too short
    /// to be one, was cut off there.
    fn refusal(&self, chunk: u64, ready: usize, last: bool) -> SealError {
        let object = self.object.clone();
        let start = usize::try_from(chunk - self.next).unwrap_or(0) * (CHUNK + TAG);
        let piece = self.buffer.get(start..ready.min(start + CHUNK + TAG)).unwrap_or_default();
        let at_end = last && start + piece.len() == ready;
        let as_middle = || self.cipher.as_ref().is_some_and(|c| c.open(chunk, piece, false).is_ok());
        if at_end && (piece.len() < TAG || as_middle()) {
            SealError::Truncated { object }
        } else {
            SealError::Altered { object, chunk }
        }
    }
}

/// How many of `len` buffered bytes make whole pieces, leaving at least one byte for the end.
fn whole(len: usize, piece: usize) -> usize {
    len.saturating_sub(1) / piece * piece
}

/// Which side of [`pump`] counts the plain bytes.
#[derive(Clone, Copy)]
enum Feed {
    Input,
    Output,
}

/// Reads everything through `push` into `writer`.
fn pump(
    mut reader: impl Read,
    mut writer: impl Write,
    object: &str,
    mut push: impl FnMut(Option<&[u8]>, &mut Vec<u8>) -> Result<(), SealError>,
    plain: Feed,
) -> Result<u64, SealError> {
    let io_error = |source| SealError::Io { object: object.to_owned(), source };
    let (mut read, mut written) = (0u64, 0u64);
    let mut input = Vec::new();
    let mut output = Vec::new();
    loop {
        input.clear();
        output.clear();
        let taken = reader.by_ref().take(BATCH as u64).read_to_end(&mut input).map_err(io_error)?;
        push((taken > 0).then_some(input.as_slice()), &mut output)?;
        writer.write_all(&output).map_err(io_error)?;
        read += taken as u64;
        written += output.len() as u64;
        if taken == 0 {
            writer.flush().map_err(io_error)?;
            return Ok(match plain {
                Feed::Input => read,
                Feed::Output => written,
            });
        }
    }
}

/// Makes a header: the file's key under the master key, bound to the object's name.
#[expect(clippy::expect_used, reason = "the cipher's only error is an input beyond 64 GiB")]
fn wrap(master: &MasterKey, data_key: &[u8; 16], nonce: [u8; 12], object: &str) -> [u8; HEADER_LEN] {
    let mut header = [0u8; HEADER_LEN];
    header[..8].copy_from_slice(MAGIC);
    header[8] = VERSION;
    header[9] = CHUNK.ilog2() as u8;
    header[12..BOUND].copy_from_slice(&master.id().0);
    header[BOUND..WRAPPED].copy_from_slice(&nonce);
    let bound = [&header[..BOUND], object.as_bytes()].concat();
    let cipher = Sm4Gcm::new((&*master.wrapping_key()).into());
    let mut wrapped = Zeroizing::new(*data_key);
    let tag = cipher
        .encrypt_inout_detached(&Nonce::from(nonce), &bound, wrapped.as_mut_slice().into())
        .expect("16 bytes are below GCM's limit of 64 GiB");
    header[WRAPPED..WRAPPED + 16].copy_from_slice(&*wrapped);
    header[WRAPPED + 16..].copy_from_slice(&tag);
    header
}

/// Reads a header: the file's key, when this ring holds the master key and the name is right.
fn unwrap(ring: &KeyRing, header: &[u8; HEADER_LEN], object: &str) -> Result<Zeroizing<[u8; 16]>, SealError> {
    let id = Sealer::key_of(header, object)?;
    let master = ring.get(id).ok_or_else(|| SealError::UnknownKey { object: object.to_owned(), key: id })?;
    let wrong = || SealError::WrongObject { object: object.to_owned() };
    let bound = [&header[..BOUND], object.as_bytes()].concat();
    let (nonce, rest) = header[BOUND..].split_first_chunk::<12>().ok_or_else(wrong)?;
    let (wrapped, tag) = rest.split_first_chunk::<16>().ok_or_else(wrong)?;
    let tag = Tag::try_from(tag).map_err(|_| wrong())?;
    let mut data_key = Zeroizing::new(*wrapped);
    Sm4Gcm::new((&*master.wrapping_key()).into())
        .decrypt_inout_detached(&Nonce::from(*nonce), &bound, data_key.as_mut_slice().into(), &tag)
        .map_err(|_| wrong())?;
    Ok(data_key)
}

#[cfg(test)]
mod tests;
