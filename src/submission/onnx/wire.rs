//! The wire format of Protocol Buffers, read as a stream within bounds: every message lies within the one
//! around it, whatever its length claims, and what nobody asks for is stepped over without being kept.

use std::io::BufRead;

use protobuf::CodedInputStream;
use protobuf::rt::WireType;

use super::OnnxFault;

/// Bytes of a name.
const NAME_BYTES: u64 = 4096;

/// The number of a field and how its value is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub(super) number: u32,
    pub(super) wire: WireType,
}

/// A message being read.
pub(super) struct Wire<'a> {
    input: CodedInputStream<'a>,
}

fn broken(error: &protobuf::Error) -> OnnxFault {
    OnnxFault::Unreadable(error.to_string())
}

impl<'a> Wire<'a> {
    /// A file of so many bytes.
    pub(super) fn of(file: &'a mut dyn BufRead, size: u64) -> Result<Self, OnnxFault> {
        let mut input = CodedInputStream::from_buf_read(file);
        input.push_limit(size).map_err(|error| broken(&error))?;
        Ok(Self { input })
    }

    /// The next field of the message; `None` at its end.
    pub(super) fn field(&mut self) -> Result<Option<Field>, OnnxFault> {
        let Some(tag) = self.input.read_raw_tag_or_eof().map_err(|error| broken(&error))? else {
            return Ok(None);
        };
        let wire =
            WireType::new(tag & 7).filter(|wire| !matches!(wire, WireType::StartGroup | WireType::EndGroup));
        match (tag >> 3, wire) {
            (number @ 1.., Some(wire)) => Ok(Some(Field { number, wire })),
            _ => Err(OnnxFault::Unreadable("it is not written in the format of ONNX".to_owned())),
        }
    }

    fn expect(&self, field: Field, wire: WireType) -> Result<(), OnnxFault> {
        match field.wire == wire {
            true => Ok(()),
            false => Err(OnnxFault::Unreadable(format!(
                "field {} is of another kind than it should be",
                field.number
            ))),
        }
    }

    /// The length of what follows, which lies within the message.
    fn length(&mut self, field: Field) -> Result<u64, OnnxFault> {
        self.expect(field, WireType::LengthDelimited)?;
        let length = self.input.read_raw_varint64().map_err(|error| broken(&error))?;
        if length > self.input.bytes_until_limit() {
            return Err(OnnxFault::Unreadable("a part claims to be longer than what it lies in".to_owned()));
        }
        Ok(length)
    }

    /// Steps over a value.
    pub(super) fn skip(&mut self, field: Field) -> Result<(), OnnxFault> {
        let skipped = match field.wire {
            WireType::Varint => self.input.read_raw_varint64().map(|_| ()),
            WireType::Fixed64 => self.input.read_fixed64().map(|_| ()),
            WireType::Fixed32 => self.input.read_fixed32().map(|_| ()),
            _ => {
                let length = self.length(field)?;
                return self.pass(length);
            }
        };
        skipped.map_err(|error| broken(&error))
    }

    fn pass(&mut self, mut bytes: u64) -> Result<(), OnnxFault> {
        while bytes > 0 {
            let step = u32::try_from(bytes).unwrap_or(1 << 30).min(1 << 30);
            self.input.skip_raw_bytes(step).map_err(|error| broken(&error))?;
            bytes -= u64::from(step);
        }
        Ok(())
    }

    /// A whole number.
    pub(super) fn number(&mut self, field: Field) -> Result<i64, OnnxFault> {
        self.expect(field, WireType::Varint)?;
        self.input.read_int64().map_err(|error| broken(&error))
    }

    /// A name.
    pub(super) fn text(&mut self, field: Field) -> Result<String, OnnxFault> {
        let length = self.length(field)?;
        if length > NAME_BYTES {
            return Err(OnnxFault::Unreadable(format!("a name has more than {NAME_BYTES} bytes")));
        }
        String::from_utf8(self.bytes(length)?)
            .map_err(|_| OnnxFault::Unreadable("a name is not text in UTF-8".to_owned()))
    }

    fn bytes(&mut self, length: u64) -> Result<Vec<u8>, OnnxFault> {
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        self.input.read_raw_bytes(length).map_err(|error| broken(&error))
    }

    /// Bytes: how many they are, and themselves when they are at most so many.
    pub(super) fn data(&mut self, field: Field, kept: u64) -> Result<(u64, Option<Vec<u8>>), OnnxFault> {
        let length = self.length(field)?;
        if length > kept {
            self.pass(length)?;
            return Ok((length, None));
        }
        Ok((length, Some(self.bytes(length)?)))
    }

    /// Whole numbers, packed or one: the bytes that they take, and the first of them.
    pub(super) fn numbers(
        &mut self,
        field: Field,
        into: &mut Vec<i64>,
        most: usize,
    ) -> Result<u64, OnnxFault> {
        if field.wire == WireType::Varint {
            let number = self.number(field)?;
            if into.len() < most {
                into.push(number);
            }
            return Ok(1);
        }
        let length = self.length(field)?;
        let outer = self.input.push_limit(length).map_err(|error| broken(&error))?;
        while into.len() < most && !self.at_end()? {
            into.push(self.input.read_int64().map_err(|error| broken(&error))?);
        }
        self.pass(self.input.bytes_until_limit())?;
        self.input.pop_limit(outer);
        Ok(length)
    }

    /// The bytes that numbers of a fixed width take, packed or one.
    pub(super) fn fixed(&mut self, field: Field) -> Result<u64, OnnxFault> {
        match field.wire {
            WireType::Fixed32 => self.skip(field).map(|()| 4),
            WireType::Fixed64 => self.skip(field).map(|()| 8),
            _ => {
                let length = self.length(field)?;
                self.pass(length).map(|()| length)
            }
        }
    }

    fn at_end(&mut self) -> Result<bool, OnnxFault> {
        self.input.eof().map_err(|error| broken(&error))
    }

    /// Reads a message within this one to its end.
    pub(super) fn within<T>(
        &mut self,
        field: Field,
        read: impl FnOnce(&mut Self) -> Result<T, OnnxFault>,
    ) -> Result<T, OnnxFault> {
        let length = self.length(field)?;
        let outer = self.input.push_limit(length).map_err(|error| broken(&error))?;
        let value = read(self)?;
        self.input.pop_limit(outer);
        Ok(value)
    }
}
