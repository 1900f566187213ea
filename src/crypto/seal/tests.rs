//! What a sealed file must withstand.

use proptest::prelude::*;

use super::*;

const NAME: &str = "hidden/sets/1/labels.csv";
const SEALED_CHUNK: usize = CHUNK + TAG;

fn sealer(byte: u8) -> Sealer {
    Sealer::new(KeyRing::new(MasterKey::from_bytes([byte; 32])))
}

fn sealed(sealer: &Sealer, plain: &[u8], name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    assert_eq!(sealer.seal(plain, &mut out, name).unwrap(), plain.len() as u64);
    out
}

fn opened(sealer: &Sealer, sealed: &[u8], name: &str) -> Result<Vec<u8>, SealError> {
    let mut out = Vec::new();
    sealer.open(sealed, &mut out, name).map(|_| out)
}

fn content(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 % 253) as u8).collect()
}

#[test]
fn every_length_around_a_chunks_edge_comes_back() {
    let sealer = sealer(1);
    for len in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK] {
        let plain = content(len);
        let bytes = sealed(&sealer, &plain, NAME);
        let chunks = len.div_ceil(CHUNK).max(1);
        assert_eq!(bytes.len(), HEADER_LEN + len + chunks * TAG, "{len}");
        assert!(opened(&sealer, &bytes, NAME).unwrap() == plain, "{len}");
    }
}

#[test]
fn no_two_sealings_are_alike_and_the_content_is_not_in_them() {
    let sealer = sealer(1);
    let plain = b"label,label,label,label,label,label";
    let (one, two) = (sealed(&sealer, plain, NAME), sealed(&sealer, plain, NAME));
    assert_ne!(one[HEADER_LEN..], two[HEADER_LEN..]);
    assert!(!one.windows(5).any(|window| window == b"label"));
}

#[test]
fn a_cut_anywhere_is_told_as_a_cut() {
    let sealer = sealer(1);
    let bytes = sealed(&sealer, &content(2 * CHUNK + 100), NAME);
    let edges = [0, 5, HEADER_LEN - 1, HEADER_LEN, HEADER_LEN + 7];
    let at_chunks =
        [HEADER_LEN + SEALED_CHUNK, HEADER_LEN + 2 * SEALED_CHUNK, HEADER_LEN + 2 * SEALED_CHUNK + 9];
    for end in edges.into_iter().chain(at_chunks) {
        let error = opened(&sealer, &bytes[..end], NAME).unwrap_err();
        assert!(matches!(error, SealError::Truncated { .. }), "{end}: {error}");
    }
    // Inside a chunk the rest cannot authenticate, whatever it was.
    let error = opened(&sealer, &bytes[..bytes.len() - 1], NAME).unwrap_err();
    assert!(matches!(error, SealError::Altered { chunk: 2, .. }), "{error}");
}

#[test]
fn moved_doubled_dropped_or_added_chunks_are_refused() {
    let sealer = sealer(1);
    let bytes = sealed(&sealer, &content(3 * CHUNK), NAME);
    let (header, body) = bytes.split_at(HEADER_LEN);
    let chunk = |i: usize| &body[i * SEALED_CHUNK..(i + 1) * SEALED_CHUNK];
    let cases: [(&str, Vec<u8>, u64); 4] = [
        ("swapped", [header, chunk(1), chunk(0), chunk(2)].concat(), 0),
        ("doubled", [header, chunk(0), chunk(0), chunk(1), chunk(2)].concat(), 1),
        ("dropped", [header, chunk(0), chunk(2)].concat(), 1),
        ("added", [&bytes[..], &[0u8; 20]].concat(), 2),
    ];
    for (case, altered, at) in cases {
        let error = opened(&sealer, &altered, NAME).unwrap_err();
        assert!(matches!(error, SealError::Altered { chunk, .. } if chunk == at), "{case}: {error}");
    }
}

#[test]
fn another_objects_content_and_another_key_are_told_apart() {
    let sealer_1 = sealer(1);
    let bytes = sealed(&sealer_1, b"labels", NAME);
    let error = opened(&sealer_1, &bytes, "hidden/sets/2/labels.csv").unwrap_err();
    assert!(matches!(error, SealError::WrongObject { .. }), "{error}");
    let error = opened(&sealer(2), &bytes, NAME).unwrap_err();
    assert!(
        matches!(error, SealError::UnknownKey { key, .. } if key == sealer_1.ring().current().id()),
        "{error}"
    );
    let error = opened(&sealer_1, b"id,label\n1,0\n", NAME).unwrap_err();
    assert!(matches!(error, SealError::NotSealed { .. }), "{error}");
    let mut newer = bytes;
    newer[8] = 2;
    let error = opened(&sealer_1, &newer, NAME).unwrap_err();
    assert!(matches!(error, SealError::Version { version: 2, .. }), "{error}");
}

#[test]
fn a_rewrapped_object_opens_with_the_new_key_alone() {
    let old = MasterKey::from_bytes([1; 32]);
    let new = MasterKey::from_bytes([2; 32]);
    let bytes = sealed(&Sealer::new(KeyRing::new(old.clone())), b"labels", NAME);
    let both = Sealer::new(KeyRing::new(old.clone()).rotated(new.clone()));
    let mut fresh = Vec::new();
    assert_eq!(both.rewrap(&bytes[..], &mut fresh, NAME).unwrap(), bytes.len() as u64);
    assert_eq!(opened(&Sealer::new(KeyRing::new(new)), &fresh, NAME).unwrap(), b"labels");
    let error = opened(&Sealer::new(KeyRing::new(old)), &fresh, NAME).unwrap_err();
    assert!(matches!(error, SealError::UnknownKey { .. }), "{error}");
    let error = both.rewrap(&bytes[..], io::sink(), "hidden/other").unwrap_err();
    assert!(matches!(error, SealError::WrongObject { .. }), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever the pieces a stream arrives in, it comes back; and a flipped bit never passes.
    #[test]
    fn pieces_do_not_matter_and_bits_do(
        plain in proptest::collection::vec(any::<u8>(), 0..3000),
        piece in 1usize..700,
        at in any::<prop::sample::Index>(),
        bit in 0u8..8,
    ) {
        let sealer = sealer(3);
        let mut sealing = sealer.sealing(NAME);
        let mut bytes = Vec::new();
        for part in plain.chunks(piece) {
            sealing.push(Some(part), &mut bytes).unwrap();
        }
        sealing.push(None, &mut bytes).unwrap();
        let mut opening = sealer.opening(NAME);
        let mut back = Vec::new();
        for part in bytes.chunks(piece) {
            opening.push(Some(part), &mut back).unwrap();
        }
        opening.push(None, &mut back).unwrap();
        prop_assert_eq!(&back, &plain);

        let place = at.index(bytes.len());
        bytes[place] ^= 1 << bit;
        prop_assert!(opened(&sealer, &bytes, NAME).is_err(), "byte {}", place);
    }
}
