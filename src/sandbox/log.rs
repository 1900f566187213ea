//! What a run printed, with a bound: the first and the last part of it.

use std::collections::VecDeque;

use bytes::Bytes;

/// One piece of what a running program prints, as it comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogChunk {
    /// Whether it came on standard error.
    pub stderr: bool,
    /// The bytes, cut anywhere, in any encoding. Untrusted.
    pub bytes: Bytes,
}

/// Standard output and standard error, in the order in which they came. Of more than the cap, the
/// first and the last half-cap are kept: the start says what ran, the end says why it failed.
/// Untrusted bytes: escape them wherever they are shown.
#[derive(Clone, Debug, Default)]
pub struct CappedLog {
    cap: usize,
    head: Vec<u8>,
    tail: VecDeque<u8>,
    total: u64,
}

impl CappedLog {
    /// An empty log that keeps `cap` bytes.
    pub(super) fn new(cap: usize) -> Self {
        Self { cap, ..Self::default() }
    }

    pub(super) fn push(&mut self, mut bytes: &[u8]) {
        self.total += bytes.len() as u64;
        let room = (self.cap - self.cap / 2).saturating_sub(self.head.len());
        let (first, rest) = bytes.split_at(room.min(bytes.len()));
        self.head.extend_from_slice(first);
        let keep = self.cap / 2;
        bytes = &rest[rest.len().saturating_sub(keep)..];
        let surplus = (self.tail.len() + bytes.len()).saturating_sub(keep);
        self.tail.drain(..surplus.min(self.tail.len()));
        self.tail.extend(bytes);
    }

    /// Whether something was left out.
    pub fn truncated(&self) -> bool {
        self.total > (self.head.len() + self.tail.len()) as u64
    }

    /// How many bytes the program printed, up to the moment we stopped reading.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Whether everything from now on falls outside the first half.
    pub(super) fn is_full(&self) -> bool {
        self.total >= self.cap as u64
    }

    /// The kept bytes; where some were left out, one line says how many.
    pub fn bytes(&self) -> Vec<u8> {
        let mut all = self.head.clone();
        if self.truncated() {
            let omitted = self.total - (self.head.len() + self.tail.len()) as u64;
            all.extend_from_slice(format!("\n[... {omitted} bytes left out ...]\n").as_bytes());
        }
        all.extend(&self.tail);
        all
    }

    /// The kept bytes as text; what is not UTF-8 becomes U+FFFD.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_log_is_kept_whole() {
        let mut log = CappedLog::new(8);
        log.push(b"abc");
        log.push(b"defgh");
        assert_eq!(log.text(), "abcdefgh");
        assert!(!log.truncated());
    }

    #[test]
    fn of_a_long_log_both_ends_are_kept() {
        for piece in [1, 2, 3, 5, 26] {
            let mut log = CappedLog::new(8);
            for chunk in b"abcdefghijklmnopqrstuvwxyz".chunks(piece) {
                log.push(chunk);
            }
            assert_eq!(log.text(), "abcd\n[... 18 bytes left out ...]\nwxyz", "pieces of {piece}");
            assert!(log.truncated());
            assert_eq!(log.total(), 26);
        }
    }
}
