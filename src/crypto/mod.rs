//! Chinese national cryptography (国密): SM3 digests, HMAC-SM3, and SM4-GCM sealing of files at rest.
//!
//! Central types: [`Sm3Digest`] (what a file or a row is known by), [`KeyRing`] (the master keys,
//! read from a file or an environment variable, never from the database) and [`Sealer`], which
//! turns a stream of plain bytes into a sealed one bound to the name of its object, and back.
//!
//! May call [`crate::clock::Entropy`] and nothing else of this crate. Must never log or print a
//! key or a plain byte, and never reach for a database or the network.

mod chunks;
mod keys;
mod seal;
mod self_test;
mod sm3;

pub use keys::{KeyError, KeyFile, KeyId, KeyRing, MasterKey};
pub use seal::{HEADER_LEN, Opening, SealError, Sealer, Sealing};
pub use self_test::{SelfTestError, self_test};
pub use sm3::{DigestSyntax, Sm3Digest, Sm3Hasher, hmac_sm3, same_bytes, sm3};
