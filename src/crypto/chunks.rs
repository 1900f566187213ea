//! A sealed file's chunks: SM4-GCM (RFC 8998) under the file's own random key, each under a nonce
//! that states the chunk's place and whether it is the last one (the STREAM construction of Hoang,
//! Reyhanitabar, Rogaway and Vizár, 2015). A chunk moved, dropped, doubled, or cut off at the end
//! therefore fails to authenticate.

use std::num::NonZero;
use std::thread;

use aes_gcm::aead::consts::U12;
use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::aead::{AeadInOut as _, KeyInit as _};
use aes_gcm::{AesGcm, Nonce, Tag};
use sm4::Sm4;

/// SM4 in Galois/counter mode with a 96-bit nonce and a 128-bit tag.
pub(super) type Sm4Gcm = AesGcm<Sm4, U12>;

/// Plain bytes in every chunk but the last, which has 1 to this many (none only in an empty file).
pub(super) const CHUNK: usize = 1 << 20;

/// Bytes that a chunk grows by: its tag.
pub(super) const TAG: usize = 16;

/// More threads than this gain nothing while a disk or a network waits behind them.
const MAX_THREADS: usize = 4;

/// The chunk that did not authenticate, counted from 0.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadChunk(pub(super) u64);

/// Seals and opens the chunks of one file.
pub(super) struct ChunkCipher(Sm4Gcm);

impl ChunkCipher {
    /// A cipher under the file's own key.
    pub(super) fn new(data_key: &[u8; 16]) -> Self {
        Self(Sm4Gcm::new(data_key.into()))
    }

    /// Seals `plain`, whose first byte starts chunk number `first`. All chunks in it are whole;
    /// with `last`, the final one ends the file and may be shorter.
    pub(super) fn seal(&self, first: u64, plain: &[u8], last: bool) -> Result<Vec<u8>, BadChunk> {
        let count = plain.len().div_ceil(CHUNK).max(1);
        let mut sealed = vec![0u8; plain.len() + count * TAG];
        let jobs = jobs(first, last, pieces(plain, CHUNK), sealed.chunks_mut(CHUNK + TAG));
        in_parallel(jobs, |job| self.seal_one(job))?;
        Ok(sealed)
    }

    /// The reverse of [`ChunkCipher::seal`]: nothing comes back unless every chunk authenticates.
    pub(super) fn open(&self, first: u64, sealed: &[u8], last: bool) -> Result<Vec<u8>, BadChunk> {
        let count = sealed.len().div_ceil(CHUNK + TAG).max(1);
        let Some(length) = sealed.len().checked_sub(count * TAG) else {
            return Err(BadChunk(first + count as u64 - 1));
        };
        let mut plain = vec![0u8; length];
        let outputs: Vec<&mut [u8]> =
            if length == 0 { vec![&mut []] } else { plain.chunks_mut(CHUNK).collect() };
        if outputs.len() != count {
            return Err(BadChunk(first + count as u64 - 1));
        }
        let jobs = jobs(first, last, pieces(sealed, CHUNK + TAG), outputs);
        in_parallel(jobs, |job| self.open_one(job))?;
        Ok(plain)
    }

    fn seal_one(&self, job: Job<'_>) -> Result<(), BadChunk> {
        let bad = BadChunk(job.index);
        let (body, tag_place) = job.output.split_at_mut(job.input.len());
        let buffer = InOutBuf::new(job.input, body).map_err(|_| BadChunk(job.index))?;
        let tag = self.0.encrypt_inout_detached(&nonce(job.index, job.last), b"", buffer).map_err(|_| bad)?;
        tag_place.copy_from_slice(&tag);
        Ok(())
    }

    fn open_one(&self, job: Job<'_>) -> Result<(), BadChunk> {
        let bad = || BadChunk(job.index);
        let (body, tag) = job.input.split_last_chunk::<TAG>().ok_or_else(bad)?;
        let tag: Tag = (*tag).into();
        let buffer = InOutBuf::new(body, job.output).map_err(|_| BadChunk(job.index))?;
        self.0
            .decrypt_inout_detached(&nonce(job.index, job.last), b"", buffer, &tag)
            .map_err(|_| BadChunk(job.index))
    }
}

/// One chunk's work.
struct Job<'a> {
    index: u64,
    last: bool,
    input: &'a [u8],
    output: &'a mut [u8],
}

/// Slices of `bytes`, one empty slice when there are none: an empty file is one empty last chunk.
fn pieces(bytes: &[u8], size: usize) -> Vec<&[u8]> {
    if bytes.is_empty() { vec![bytes] } else { bytes.chunks(size).collect() }
}

fn jobs<'a>(
    first: u64,
    last: bool,
    inputs: Vec<&'a [u8]>,
    outputs: impl IntoIterator<Item = &'a mut [u8]>,
) -> Vec<Job<'a>> {
    let count = inputs.len();
    (0..count)
        .zip(inputs)
        .zip(outputs)
        .map(|((place, input), output)| Job {
            index: first + place as u64,
            last: last && place + 1 == count,
            input,
            output,
        })
        .collect()
}

/// The nonce of a chunk: its number in 8 bytes, three zeros, and 1 for the last one. No nonce
/// repeats, as each file has its own key.
fn nonce(index: u64, last: bool) -> Nonce<U12> {
    let mut bytes = [0u8; 12];
    bytes[..8].copy_from_slice(&index.to_be_bytes());
    bytes[11] = u8::from(last);
    bytes.into()
}

/// Runs the jobs, on several threads when there are several, and gives the first failure in order.
fn in_parallel<'a>(
    mut jobs: Vec<Job<'a>>,
    work: impl Fn(Job<'a>) -> Result<(), BadChunk> + Sync,
) -> Result<(), BadChunk> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get).min(MAX_THREADS);
    if jobs.len() < 2 || cores < 2 {
        return jobs.into_iter().try_for_each(work);
    }
    let share = jobs.len().div_ceil(cores);
    let work = &work;
    thread::scope(|scope| {
        let mut handles = Vec::new();
        while !jobs.is_empty() {
            let mine: Vec<Job<'a>> = jobs.drain(..share.min(jobs.len())).collect();
            handles.push(scope.spawn(move || mine.into_iter().try_for_each(work)));
        }
        handles.into_iter().try_for_each(|handle| match handle.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })
}
