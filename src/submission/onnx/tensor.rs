//! Tensors that stand in the file: what they claim to hold against what there is of them.

use super::OnnxFault;
use super::types::RANK;
use super::wire::Wire;

/// Numbers of a small tensor that are kept, to know the shapes that they stand for.
const KEPT: usize = RANK;

/// A tensor of the file, without its data.
#[derive(Debug, Default)]
pub(super) struct Tensor {
    pub(super) name: String,
    /// Its numbers, of a small one of whole numbers.
    pub(super) values: Vec<i64>,
}

/// What a tensor says of itself.
#[derive(Default)]
struct Told {
    name: String,
    sides: Vec<i64>,
    kind: i64,
    /// Bytes of each way to hold data.
    raw: Option<u64>,
    small: Option<Vec<u8>>,
    floats: u64,
    doubles: u64,
    varints: u64,
    texts: u64,
    values: Vec<i64>,
    elsewhere: bool,
}

/// `TensorProto`.
pub(super) fn tensor(wire: &mut Wire<'_>, memory: u64) -> Result<Tensor, OnnxFault> {
    let mut told = Told::default();
    while let Some(field) = wire.field()? {
        match field.number {
            1 => {
                wire.numbers(field, &mut told.sides, RANK + 1)?;
            }
            2 => told.kind = wire.number(field)?,
            4 => told.floats += wire.fixed(field)?,
            5 | 7 | 11 => told.varints += wire.numbers(field, &mut told.values, KEPT)?,
            6 => {
                wire.skip(field)?;
                told.texts += 1;
            }
            8 => told.name = wire.text(field)?,
            9 => {
                let (length, small) = wire.data(field, 8 * KEPT as u64)?;
                told.raw = Some(told.raw.unwrap_or(0) + length);
                told.small = small;
            }
            10 => told.doubles += wire.fixed(field)?,
            13 => {
                wire.skip(field)?;
                told.elsewhere = true;
            }
            14 => told.elsewhere |= wire.number(field)? != 0,
            _ => wire.skip(field)?,
        }
    }
    told.check(memory)
}

impl Told {
    fn check(mut self, memory: u64) -> Result<Tensor, OnnxFault> {
        let name = if self.name.is_empty() { "without a name".to_owned() } else { self.name };
        if self.elsewhere {
            return Err(OnnxFault::ExternalData(name));
        }
        if self.sides.len() > RANK {
            return Err(OnnxFault::Complex { what: "dimensions of a tensor", most: RANK });
        }
        let sides: Option<Vec<u64>> = self.sides.iter().map(|side| u64::try_from(*side).ok()).collect();
        let Some(sides) = sides else {
            return Err(OnnxFault::Shape(format!(
                "the tensor {name} has a side of negative length; export the model again"
            )));
        };
        let Some(bits) = bits(self.kind) else {
            return Err(OnnxFault::Unreadable(format!(
                "the tensor {name} is of an unknown type ({})",
                self.kind
            )));
        };
        let elements =
            if sides.contains(&0) { 0 } else { size_of(&name, sides.iter().copied(), bits, memory)? };
        // each number written as a varint takes a byte at least; several small ones may share one
        let held = match (self.raw, self.kind) {
            (Some(raw), _) => u128::from(raw) * 8 / u128::from(bits),
            (None, 1 | 14) => u128::from(self.floats) * 8 / u128::from(bits),
            (None, 11 | 15) => u128::from(self.doubles) * 8 / u128::from(bits),
            (None, 8) => u128::from(self.texts),
            (None, _) => u128::from(self.varints) * u128::from(8 / bits).max(1),
        };
        if elements > held {
            return Err(OnnxFault::Shape(format!(
                "the tensor {name} claims {elements} values and the file holds {held} of them; export the model again"
            )));
        }
        if let Some(raw) = self.small.take().filter(|_| self.kind == 7) {
            let (whole, _) = raw.as_chunks::<8>();
            self.values = whole.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect();
        }
        let known = matches!(self.kind, 6 | 7) && u128::try_from(self.values.len()) == Ok(elements);
        Ok(Tensor { name, values: if known { self.values } else { Vec::new() } })
    }
}

/// Values of a tensor of such sides.
///
/// # Errors
/// When memory does not hold them.
pub(super) fn size_of(
    name: &str,
    sides: impl Iterator<Item = u64>,
    bits: u64,
    memory: u64,
) -> Result<u128, OnnxFault> {
    let mut elements: u128 = 1;
    for side in sides {
        elements = elements.saturating_mul(u128::from(side));
    }
    if elements.saturating_mul(u128::from(bits)) / 8 > u128::from(memory) {
        return Err(OnnxFault::Shape(format!(
            "the tensor {name} would have {elements} values, more than the {} MiB of memory here hold; leave the number \
             of rows open and make the model smaller",
            memory >> 20
        )));
    }
    Ok(elements)
}

/// Bits of an element, by the number of its type (`TensorProto.DataType`); of text those of its length.
fn bits(kind: i64) -> Option<u64> {
    Some(match kind {
        25 | 26 => 2,
        21..=23 => 4,
        2 | 3 | 8 | 9 | 17..=20 | 24 => 8,
        4 | 5 | 10 | 16 => 16,
        1 | 6 | 12 => 32,
        7 | 11 | 13 | 14 => 64,
        15 => 128,
        _ => return None,
    })
}

/// `SparseTensorProto`: its values and where they stand.
pub(super) fn sparse(wire: &mut Wire<'_>, memory: u64) -> Result<Tensor, OnnxFault> {
    let (mut values, mut sides) = (Tensor::default(), Vec::new());
    while let Some(field) = wire.field()? {
        match field.number {
            1 => values = wire.within(field, |wire| tensor(wire, memory))?,
            2 => {
                wire.within(field, |wire| tensor(wire, memory))?;
            }
            3 => {
                wire.numbers(field, &mut sides, RANK)?;
            }
            _ => wire.skip(field)?,
        }
    }
    // the runtime makes it dense
    let sides = sides.iter().map(|side| u64::try_from(*side).unwrap_or(u64::MAX));
    size_of(&values.name, sides, 8, memory)?;
    Ok(Tensor { name: values.name, values: Vec::new() })
}
