//! Looks at an ONNX file before anything runs it: what goes in and what comes out of the model, and whether
//! it is one that may run here.
//!
//! The file comes from a stranger. It passes through a bounded reader of its wire format ([`wire`]) that
//! keeps names, shapes and types and steps over everything else, so that memory does not grow with what
//! the file claims; it is never made into objects as a whole. What the runtime then does with a model that
//! passed here is bounded by its container. Field numbers are those of the ONNX 1.23 schema (`onnx.proto`).

mod graph;
mod tensor;
mod types;
mod wire;

use std::io::BufRead;

use thiserror::Error;

use self::graph::Walk;
pub use self::types::{Element, Port, PortKind};
use self::wire::Wire;

/// Opsets of the domain `ai.onnx` that the image's runtime knows, first and last.
pub const OPSETS: [i64; 2] = [7, 28];
/// Bytes of a model at most, where the organizer says nothing.
pub const MODEL_BYTES: u64 = 64 << 20;
/// The newest opset of `ai.onnx.ml` that it knows.
const ML_OPSET: i64 = 5;
/// The newest version of the format itself.
const IR_VERSION: i64 = 14;

/// What a task takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the file at most.
    pub bytes: u64,
    /// Bytes of memory of the container that runs it.
    pub memory: u64,
    /// Opsets of `ai.onnx`, first and last.
    pub opset: [i64; 2],
}

/// What goes in and what comes out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signature {
    /// What has to be fed, in the order of the file.
    pub inputs: Vec<Port>,
    /// What can be asked for.
    pub outputs: Vec<Port>,
}

/// Why a file is refused. Each says how to mend it.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum OnnxFault {
    /// It is no ONNX file, or a broken one.
    #[error("the file cannot be read as an ONNX model: {0}; export it again, and try it with onnx.checker")]
    Unreadable(String),
    /// It is too large.
    #[error(
        "the model has {size} bytes and this task takes {limit}; make it smaller: fewer or shallower trees, or quantize it"
    )]
    TooLarge {
        /// Its bytes.
        size: u64,
        /// Bytes at most.
        limit: u64,
    },
    /// Of another time.
    #[error("{0}")]
    Opset(String),
    /// An operator that the runtime does not bring.
    #[error(
        "the node {node} is the operator {operator} of the domain {domain}; only the standard domains ai.onnx and ai.onnx.ml are taken: export the model without custom operators"
    )]
    Operator {
        /// The node's name or place.
        node: String,
        /// What it does.
        operator: String,
        /// Whose it is.
        domain: String,
    },
    /// Weights in another file.
    #[error(
        "the tensor {0} lies in another file; save the model with its weights inside: onnx.save(model, path, save_as_external_data=False)"
    )]
    ExternalData(String),
    /// The graph cannot be carried out in its order.
    #[error("{0}")]
    Graph(String),
    /// A tensor larger than what there is of it, or than memory.
    #[error("{0}")]
    Shape(String),
    /// Too much of something.
    #[error("the model has more than {most} {what}; make it simpler")]
    Complex {
        /// Of what.
        what: &'static str,
        /// How many may be.
        most: usize,
    },
    /// It brings more than a graph.
    #[error(
        "the model brings {0} of its own; export it for inference, with local functions inlined (onnx.inliner.inline_local_functions)"
    )]
    Functions(&'static str),
}

impl OnnxFault {
    /// Stable word for the fault.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "model-unreadable",
            Self::TooLarge { .. } => "model-too-large",
            Self::Opset(_) => "model-opset",
            Self::Operator { .. } => "model-operator",
            Self::ExternalData(_) => "model-external-data",
            Self::Graph(_) => "model-graph",
            Self::Shape(_) => "model-shape",
            Self::Complex { .. } => "model-complex",
            Self::Functions(_) => "model-functions",
        }
    }
}

/// Looks at the whole file, `size` bytes.
///
/// # Errors
/// [`OnnxFault`], the first one met.
pub fn read(mut file: impl BufRead, size: u64, limits: &Limits) -> Result<Signature, OnnxFault> {
    if size > limits.bytes {
        return Err(OnnxFault::TooLarge { size, limit: limits.bytes });
    }
    let mut wire = Wire::of(&mut file, size)?;
    let mut walk = Walk::new(limits.memory);
    let (mut graph, mut imports, mut ir_version) = (None, Vec::new(), 0);
    while let Some(field) = wire.field()? {
        match field.number {
            1 => ir_version = wire.number(field)?,
            7 => {
                let walked = wire.within(field, |wire| walk.graph(wire, 0))?;
                if graph.replace(walked).is_some() {
                    return Err(OnnxFault::Unreadable("it holds two graphs".to_owned()));
                }
            }
            8 => imports.push(wire.within(field, opset_import)?),
            20 => return Err(OnnxFault::Functions("training steps")),
            25 => return Err(OnnxFault::Functions("functions")),
            _ => wire.skip(field)?,
        }
    }
    let Some(graph) = graph else {
        return Err(OnnxFault::Unreadable("there is no graph in it".to_owned()));
    };
    check_versions(ir_version, &imports, limits.opset)?;
    graph.into_signature()
}

/// A domain and the version of its operators.
fn opset_import(wire: &mut Wire<'_>) -> Result<(String, i64), OnnxFault> {
    let mut import = (String::new(), 0);
    while let Some(field) = wire.field()? {
        match field.number {
            1 => import.0 = wire.text(field)?,
            2 => import.1 = wire.number(field)?,
            _ => wire.skip(field)?,
        }
    }
    Ok(import)
}

fn check_versions(ir_version: i64, imports: &[(String, i64)], opset: [i64; 2]) -> Result<(), OnnxFault> {
    if !(1..=IR_VERSION).contains(&ir_version) {
        let problem = format!(
            "the file is of version {ir_version} of the ONNX format and 1 to {IR_VERSION} are known here; export it with an \
             older onnx, or set model.ir_version"
        );
        return Err(OnnxFault::Opset(problem));
    }
    let main = |domain: &str| matches!(domain, "" | "ai.onnx");
    if !imports.iter().any(|(domain, _)| main(domain) || domain == "ai.onnx.ml") {
        return Err(OnnxFault::Opset(
            "the model names no opset; export it again, with a target_opset".to_owned(),
        ));
    }
    for (domain, version) in imports {
        let [first, last] = match domain.as_str() {
            domain if main(domain) => opset,
            "ai.onnx.ml" => [1, ML_OPSET],
            // what is imported and not used does no harm; what is used is refused where it stands
            _ => continue,
        };
        if !(first..=last).contains(version) {
            let name = if main(domain) { "ai.onnx" } else { domain };
            let problem = format!(
                "the model is of opset {version} of {name}, and {first} to {last} are taken here; export it with \
                 target_opset={last}"
            );
            return Err(OnnxFault::Opset(problem));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
