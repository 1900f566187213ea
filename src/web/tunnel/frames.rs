//! Reads the headers of WebSocket frames as they pass through a tunnel, to tell a person at work from
//! a ping (RFC 6455, section 5.2). The payload is neither looked into nor changed.

/// What has passed since one asked last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Passed {
    /// Frames that carry data: text, binary and their continuations.
    pub data: u64,
    /// Pings, pongs and closes.
    pub control: u64,
}

/// One direction of a WebSocket connection, after its handshake.
#[derive(Debug, Default)]
pub(super) struct Frames {
    header: [u8; 14],
    /// Bytes of the header that have come.
    have: usize,
    /// Bytes of the payload that are still to come.
    left: u64,
    /// The stream broke the protocol: nothing more is read from it.
    broken: bool,
}

impl Frames {
    /// Takes the next bytes of the stream.
    pub fn pass(&mut self, mut bytes: &[u8]) -> Passed {
        let mut passed = Passed::default();
        while !bytes.is_empty() && !self.broken {
            if self.left > 0 {
                let taken = usize::try_from(self.left).map_or(bytes.len(), |left| left.min(bytes.len()));
                self.left -= taken as u64;
                bytes = &bytes[taken..];
                continue;
            }
            self.header[self.have] = bytes[0];
            self.have += 1;
            bytes = &bytes[1..];
            if self.have >= 2 && self.have == self.header_length() {
                self.begin(&mut passed);
            }
        }
        passed
    }

    /// How long the header is, as its second byte tells.
    fn header_length(&self) -> usize {
        let extended = match self.header[1] & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mask = if self.header[1] & 0x80 == 0 { 0 } else { 4 };
        2 + extended + mask
    }

    fn begin(&mut self, passed: &mut Passed) {
        self.left = match self.header[1] & 0x7f {
            126 => u64::from(u16::from_be_bytes([self.header[2], self.header[3]])),
            127 => {
                let mut length = [0; 8];
                length.copy_from_slice(&self.header[2..10]);
                u64::from_be_bytes(length)
            }
            length => u64::from(length),
        };
        self.have = 0;
        match self.header[0] & 0x0f {
            0..=2 => passed.data += 1,
            8..=10 => passed.control += 1,
            _ => self.broken = true,
        }
        // the most significant bit of a length must be 0
        self.broken |= self.left > u64::MAX >> 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(opcode: u8, length: usize, masked: bool) -> Vec<u8> {
        let mut bytes = vec![0x80 | opcode];
        let mask = if masked { 0x80 } else { 0 };
        match length {
            0..126 => bytes.push(mask | u8::try_from(length).unwrap()),
            126..65_536 => {
                bytes.push(mask | 126);
                bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
            _ => {
                bytes.push(mask | 127);
                bytes.extend((length as u64).to_be_bytes());
            }
        }
        bytes.extend(vec![7; if masked { 4 } else { 0 } + length]);
        bytes
    }

    proptest! {
        #[test]
        fn frames_are_counted_however_the_stream_is_cut(
            frames in prop::collection::vec((0_usize..6, 0_usize..3, any::<bool>()), 0..12),
            cuts in prop::collection::vec(1_usize..400, 1..40),
        ) {
            let mut stream = Vec::new();
            let mut expected = Passed::default();
            for (opcode, size, masked) in frames {
                let opcode = [0, 1, 2, 8, 9, 10][opcode];
                let size = [5, 300, 70_000][size];
                stream.extend(frame(opcode, size, masked));
                if opcode < 8 {
                    expected.data += 1;
                } else {
                    expected.control += 1;
                }
            }
            let (mut reader, mut found, mut rest) = (Frames::default(), Passed::default(), stream.as_slice());
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, after) = rest.split_at((*cut).min(rest.len()));
                let passed = reader.pass(piece);
                found.data += passed.data;
                found.control += passed.control;
                rest = after;
            }
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn nothing_is_made_of_garbage(bytes in prop::collection::vec(any::<u8>(), 0..4000)) {
            Frames::default().pass(&bytes);
        }
    }

    #[test]
    fn after_a_broken_frame_nothing_is_counted() {
        let mut reader = Frames::default();
        assert_eq!(reader.pass(&[0x83, 0x00]).data, 0);
        assert_eq!(reader.pass(&frame(1, 3, true)), Passed::default());
    }
}
