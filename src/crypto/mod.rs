//! SM3 digests and SM4-GCM sealing of files at rest.
