//! The types of inputs and outputs.

use std::fmt;

use super::OnnxFault;
use super::tensor::size_of;
use super::wire::Wire;

/// Types within types (a sequence of maps is two) that are looked into.
const DEPTH: usize = 4;
/// Dimensions of a shape.
pub(super) const RANK: usize = 64;

/// What a table's cell can become, and what an output can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "ONNX's own names")]
pub enum Element {
    Float16,
    Float32,
    Float64,
    Int8,
    Int16,
    Int32,
    Int64,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
    Bool,
    Text,
}

impl Element {
    /// Each with its number in the format and its name in NumPy.
    const ALL: [(Self, i64, &str); 13] = [
        (Self::Float32, 1, "float32"),
        (Self::Uint8, 2, "uint8"),
        (Self::Int8, 3, "int8"),
        (Self::Uint16, 4, "uint16"),
        (Self::Int16, 5, "int16"),
        (Self::Int32, 6, "int32"),
        (Self::Int64, 7, "int64"),
        (Self::Text, 8, "str"),
        (Self::Bool, 9, "bool"),
        (Self::Float16, 10, "float16"),
        (Self::Float64, 11, "float64"),
        (Self::Uint32, 12, "uint32"),
        (Self::Uint64, 13, "uint64"),
    ];

    fn of(number: i64) -> Option<Self> {
        Self::ALL.iter().find(|(_, known, _)| *known == number).map(|(element, ..)| *element)
    }

    /// Its name in NumPy.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(element, ..)| *element == self).map_or("", |(.., name)| name)
    }

    /// By its name in NumPy or in ONNX.
    pub fn named(name: &str) -> Option<Self> {
        let name = match name {
            "float" => "float32",
            "double" => "float64",
            "string" | "text" => "str",
            name => name,
        };
        Self::ALL.iter().find(|(.., known)| *known == name).map(|(element, ..)| *element)
    }
}

/// An input or output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: PortKind,
}

/// What an input or output is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortKind {
    /// A tensor.
    Tensor {
        /// Of what.
        element: Element,
        /// Its dimensions, nothing for those that are open; nothing at all where it does not say.
        shape: Option<Vec<Option<u64>>>,
    },
    /// For each row, a map from a class to its probability.
    Classes,
    /// Anything else.
    Other,
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            PortKind::Tensor { element, shape } => {
                write!(f, "{} ({}", self.name, element.name())?;
                if let Some(shape) = shape {
                    let side = |side: &Option<u64>| side.map_or("?".to_owned(), |side| side.to_string());
                    let shape: Vec<String> = shape.iter().take(8).map(side).collect();
                    write!(f, ", {}", shape.join(" × "))?;
                }
                write!(f, ")")
            }
            PortKind::Classes => write!(f, "{} (a probability by class)", self.name),
            PortKind::Other => write!(f, "{} (no table)", self.name),
        }
    }
}

/// `ValueInfoProto`. A shape that no memory holds is refused.
pub(super) fn port(wire: &mut Wire<'_>, memory: u64) -> Result<Port, OnnxFault> {
    let mut port = Port { name: String::new(), kind: PortKind::Other };
    while let Some(field) = wire.field()? {
        match field.number {
            1 => port.name = wire.text(field)?,
            2 => port.kind = wire.within(field, |wire| kind(wire, 0))?,
            _ => wire.skip(field)?,
        }
    }
    if let PortKind::Tensor { shape: Some(shape), .. } = &port.kind {
        size_of(&port.name, shape.iter().flatten().copied(), 8, memory)?;
    }
    Ok(port)
}

/// `TypeProto`.
fn kind(wire: &mut Wire<'_>, depth: usize) -> Result<PortKind, OnnxFault> {
    if depth > DEPTH {
        return Err(OnnxFault::Complex { what: "types within types", most: DEPTH });
    }
    let mut found = PortKind::Other;
    while let Some(field) = wire.field()? {
        match field.number {
            1 => found = wire.within(field, tensor)?,
            // of sequences, only those of maps mean something here
            4 => {
                let inner = wire.within(field, |wire| of_sequence(wire, depth))?;
                found = if inner == PortKind::Classes { inner } else { PortKind::Other };
            }
            5 => {
                wire.skip(field)?;
                found = if depth == 1 { PortKind::Classes } else { PortKind::Other };
            }
            _ => wire.skip(field)?,
        }
    }
    Ok(found)
}

fn of_sequence(wire: &mut Wire<'_>, depth: usize) -> Result<PortKind, OnnxFault> {
    let mut found = PortKind::Other;
    while let Some(field) = wire.field()? {
        match field.number {
            1 => found = wire.within(field, |wire| kind(wire, depth + 1))?,
            _ => wire.skip(field)?,
        }
    }
    Ok(found)
}

/// `TypeProto.Tensor`.
fn tensor(wire: &mut Wire<'_>) -> Result<PortKind, OnnxFault> {
    let (mut element, mut shape) = (None, None);
    while let Some(field) = wire.field()? {
        match field.number {
            1 => element = Element::of(wire.number(field)?),
            2 => shape = Some(wire.within(field, dimensions)?),
            _ => wire.skip(field)?,
        }
    }
    Ok(element.map_or(PortKind::Other, |element| PortKind::Tensor { element, shape }))
}

/// `TensorShapeProto`.
fn dimensions(wire: &mut Wire<'_>) -> Result<Vec<Option<u64>>, OnnxFault> {
    let mut shape = Vec::new();
    while let Some(field) = wire.field()? {
        if field.number != 1 {
            wire.skip(field)?;
            continue;
        }
        if shape.len() == RANK {
            return Err(OnnxFault::Complex { what: "dimensions of a tensor", most: RANK });
        }
        shape.push(wire.within(field, dimension)?);
    }
    Ok(shape)
}

fn dimension(wire: &mut Wire<'_>) -> Result<Option<u64>, OnnxFault> {
    let mut side = None;
    while let Some(field) = wire.field()? {
        match field.number {
            // the runtime takes −1 for open, and 0 for none
            1 => side = u64::try_from(wire.number(field)?).ok(),
            _ => wire.skip(field)?,
        }
    }
    Ok(side)
}
