//! The standards' published vectors, run at every start: a build or a machine that computes them
//! wrongly must not touch a sealed file.

use aes_gcm::aead::{AeadInOut as _, KeyInit as _};
use sm4::Sm4;
use sm4::cipher::{BlockCipherDecrypt as _, BlockCipherEncrypt as _};

use super::chunks::Sm4Gcm;
use super::sm3::{hmac_sm3, sm3};

/// A published vector that came out differently.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the cryptographic self-test failed: {vector} does not give the published result. \
     Nothing was opened or sealed. Rebuild the program, and check this machine's memory"
)]
pub struct SelfTestError {
    /// The standard and the example in it.
    vector: &'static str,
}

const KEY: &str = "0123456789abcdeffedcba9876543210";

/// Each vector: its source, what was computed, and what the source says.
type Vector = (&'static str, Vec<u8>, &'static str);

/// Computes the published examples of SM3, HMAC-SM3, SM4 and SM4-GCM and compares.
///
/// # Errors
/// [`SelfTestError`] names the first example that differs.
pub fn self_test() -> Result<(), SelfTestError> {
    let vectors = sm3_vectors().into_iter().chain(sm4_vectors()).chain(sm4_gcm_vectors());
    check(vectors)
}

fn check(vectors: impl Iterator<Item = Vector>) -> Result<(), SelfTestError> {
    for (vector, computed, published) in vectors {
        if hex::encode(computed) != published {
            return Err(SelfTestError { vector });
        }
    }
    Ok(())
}

fn sm3_vectors() -> Vec<Vector> {
    let hmac_key: Vec<u8> = (1..=32).collect();
    let hmac_text = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq".repeat(2);
    vec![
        (
            "GB/T 32905-2016, A.1 (SM3 of \"abc\")",
            sm3(b"abc").0.to_vec(),
            "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0",
        ),
        (
            "GB/T 32905-2016, A.2 (SM3 of 64 bytes)",
            sm3("abcd".repeat(16).as_bytes()).0.to_vec(),
            "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732",
        ),
        (
            "GM/T 0042-2015, D.3 (HMAC-SM3, 32-byte key)",
            hmac_sm3(&hmac_key, hmac_text.as_bytes()).0.to_vec(),
            "ca05e144ed05d1857840d1f318a4a8669e559fc8391f414485bfdf7bb408963a",
        ),
        (
            "GM/T 0042-2015, D.3 (HMAC-SM3, short key)",
            hmac_sm3(b"Jefe", b"what do ya want for nothing?").0.to_vec(),
            "2e87f1d16862e6d964b50a5200bf2b10b764faa9680a296a2405f24bec39f882",
        ),
    ]
}

fn sm4_vectors() -> Vec<Vector> {
    let key = array::<16>(KEY);
    let cipher = Sm4::new(&key.into());
    let mut block = key.into();
    cipher.encrypt_block(&mut block);
    let sealed = block.to_vec();
    cipher.decrypt_block(&mut block);
    vec![
        ("GB/T 32907-2016, A.1 (SM4, one block)", sealed, "681edf34d206965e86b3e94f536e4246"),
        ("GB/T 32907-2016, A.1 (SM4, the block back)", block.to_vec(), KEY),
    ]
}

fn sm4_gcm_vectors() -> Vec<Vector> {
    const SOURCE: &str = "RFC 8998, A.1 (SM4-GCM)";
    const SEALED: &str = "17f399f08c67d5ee19d0dc9969c4bb7d5fd46fd3756489069157b282bb200735\
                          d82710ca5c22f0ccfa7cbf93d496ac15a56834cbcf98c397b4024a2691233b8d\
                          83de3541e4c2b58177e065a9bf7b62ec";
    let cipher = Sm4Gcm::new(&array::<16>(KEY).into());
    let nonce = array::<12>("00001234567800000000abcd").into();
    let associated = array::<20>("feedfacedeadbeeffeedfacedeadbeefabaddad2");
    let mut text = Vec::new();
    for byte in [0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff, 0xee, 0xaa] {
        text.extend_from_slice(&[byte; 8]);
    }
    let sealed = cipher
        .encrypt_inout_detached(&nonce, &associated, text.as_mut_slice().into())
        .map(|tag| [text.as_slice(), tag.as_slice()].concat())
        .unwrap_or_default();
    vec![(SOURCE, sealed, SEALED)]
}

/// Reads a constant of this file; a wrong length gives zeros, which no vector accepts.
fn array<const N: usize>(digits: &str) -> [u8; N] {
    let mut bytes = [0u8; N];
    if hex::decode_to_slice(digits, &mut bytes).is_err() {
        return [0u8; N];
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_vectors_hold() {
        assert_eq!(self_test(), Ok(()));
    }

    #[test]
    fn a_differing_vector_is_named() {
        let wrong = ("a standard, A.1", sm3(b"abd").0.to_vec(), sm3_vectors()[0].2);
        let error = check(sm3_vectors().into_iter().chain([wrong])).unwrap_err();
        assert!(error.to_string().contains("a standard, A.1"), "{error}");
    }

    /// GB/T 32907-2016, A.2: the block enciphered a million times under one key.
    #[test]
    fn a_million_rounds_of_sm4_give_the_published_block() {
        let key = array::<16>(KEY);
        let cipher = Sm4::new(&key.into());
        let mut block = key.into();
        for _ in 0..1_000_000 {
            cipher.encrypt_block(&mut block);
        }
        assert_eq!(hex::encode(block), "595298c7c6fd271f0402f804c33d3f66");
    }
}
