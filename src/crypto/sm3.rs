//! SM3 (GB/T 32905-2016) digests, HMAC-SM3, and comparison in constant time.

use std::fmt;
use std::io::{self, Read, Write};
use std::str::FromStr;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sm3::{Digest as _, Sm3};
use subtle::ConstantTimeEq as _;

/// An SM3 digest: 32 bytes, written as 64 lower-case hexadecimal digits in text, JSON and the
/// database.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sm3Digest(pub [u8; 32]);

/// A text that is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no SM3 digest: give 64 hexadecimal digits")]
pub struct DigestSyntax(String);

impl Sm3Digest {
    /// The digest of `bytes`; the same as [`sm3`].
    pub fn of(bytes: &[u8]) -> Self {
        sm3(bytes)
    }

    /// The digest's bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Sm3Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Sm3Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sm3Digest({self})")
    }
}

impl FromStr for Sm3Digest {
    type Err = DigestSyntax;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0u8; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| DigestSyntax(text.chars().take(80).collect()))?;
        Ok(Self(bytes))
    }
}

impl Serialize for Sm3Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sm3Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Digests a stream piece by piece. Also an [`io::Write`], so that `io::copy` can feed it.
#[derive(Clone, Default)]
pub struct Sm3Hasher(Sm3);

impl Sm3Hasher {
    /// A hasher that has seen nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of everything taken in.
    pub fn finish(self) -> Sm3Digest {
        Sm3Digest(self.0.finalize().into())
    }

    /// Reads `reader` to its end and gives the digest and the number of bytes read.
    ///
    /// # Errors
    /// Those of the reader.
    pub fn digest_reader(mut reader: impl Read) -> io::Result<(Sm3Digest, u64)> {
        let mut hasher = Self::new();
        let size = io::copy(&mut reader, &mut hasher)?;
        Ok((hasher.finish(), size))
    }
}

impl fmt::Debug for Sm3Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sm3Hasher")
    }
}

impl Write for Sm3Hasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The SM3 digest of `bytes`.
pub fn sm3(bytes: &[u8]) -> Sm3Digest {
    Sm3Digest(Sm3::digest(bytes).into())
}

/// HMAC-SM3 (RFC 2104 with SM3; GM/T 0042-2015) of `bytes` under a key of any length.
#[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
pub fn hmac_sm3(key: &[u8], bytes: &[u8]) -> Sm3Digest {
    let mut mac = Hmac::<Sm3>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(bytes);
    Sm3Digest(mac.finalize().into_bytes().into())
}

/// Whether two byte strings are equal, in a time that depends on their lengths alone: for tokens,
/// digests of tokens and message authentication codes.
pub fn same_bytes(left: &[u8], right: &[u8]) -> bool {
    left.ct_eq(right).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_in_pieces_has_the_digest_of_the_whole() {
        let bytes: Vec<u8> = (0..10_000u32).map(|i| (i % 251) as u8).collect();
        let mut hasher = Sm3Hasher::new();
        for piece in bytes.chunks(977) {
            hasher.update(piece);
        }
        assert_eq!(hasher.finish(), sm3(&bytes));
        assert_eq!(Sm3Hasher::digest_reader(&bytes[..]).unwrap(), (sm3(&bytes), 10_000));
    }

    #[test]
    fn a_digest_survives_text_and_json_and_nothing_else_parses() {
        let digest = sm3(b"abc");
        assert_eq!(digest.to_string().parse::<Sm3Digest>().unwrap(), digest);
        let json = serde_json::to_string(&digest).unwrap();
        assert_eq!(json, "\"66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0\"");
        assert_eq!(serde_json::from_str::<Sm3Digest>(&json).unwrap(), digest);
        for bad in ["", "66c7", &"g".repeat(64), &"0".repeat(66)] {
            assert!(bad.parse::<Sm3Digest>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn comparison_tells_equal_from_unequal() {
        assert!(same_bytes(b"token", b"token"));
        assert!(!same_bytes(b"token", b"tokem"));
        assert!(!same_bytes(b"token", b"token1"));
    }
}
