//! Graphs: that every node is of the standard, reads only what was made before it, and that there are not
//! too many.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::tensor::{self, size_of};
use super::types::{self, Port};
use super::wire::Wire;
use super::{OnnxFault, Signature};

/// Nodes of all graphs of a model.
const NODES: usize = 100_000;
/// Names of values of all graphs of a model.
const NAMES: usize = 500_000;
/// Graphs within graphs (the branches of an `If`, the body of a `Loop`).
const DEPTH: usize = 8;

/// What is counted over all graphs of a model.
pub(super) struct Walk {
    memory: u64,
    nodes: usize,
    names: usize,
}

/// A graph whose nodes have been read.
#[derive(Default)]
pub(super) struct Graph {
    inputs: Vec<Port>,
    outputs: Vec<Port>,
    initializers: HashSet<String>,
    nodes: Vec<Node>,
    /// Small tensors of whole numbers, by name: they may be shapes.
    constants: HashMap<String, Vec<i64>>,
    /// What is read from the graphs around this one.
    from_outside: BTreeSet<String>,
}

#[derive(Default)]
struct Node {
    name: String,
    operator: String,
    domain: String,
    inputs: Vec<String>,
    outputs: Vec<String>,
    /// What graphs within it read from around them.
    read_within: BTreeSet<String>,
    /// The numbers of a constant.
    values: Vec<i64>,
}

impl Walk {
    pub(super) fn new(memory: u64) -> Self {
        Self { memory, nodes: 0, names: 0 }
    }

    fn count_name(&mut self) -> Result<(), OnnxFault> {
        self.names += 1;
        if self.names > NAMES { Err(OnnxFault::Complex { what: "values", most: NAMES }) } else { Ok(()) }
    }

    /// `GraphProto`, so deep within others.
    pub(super) fn graph(&mut self, wire: &mut Wire<'_>, depth: usize) -> Result<Graph, OnnxFault> {
        if depth > DEPTH {
            return Err(OnnxFault::Complex { what: "graphs within graphs", most: DEPTH });
        }
        let (mut graph, memory) = (Graph::default(), self.memory);
        while let Some(field) = wire.field()? {
            match field.number {
                1 => {
                    self.nodes += 1;
                    if self.nodes > NODES {
                        return Err(OnnxFault::Complex { what: "nodes", most: NODES });
                    }
                    let node = wire.within(field, |wire| self.node(wire, depth))?;
                    graph.nodes.push(node);
                }
                5 => {
                    self.count_name()?;
                    let found = wire.within(field, |wire| tensor::tensor(wire, memory))?;
                    graph.add_initializer(found);
                }
                15 => {
                    self.count_name()?;
                    let found = wire.within(field, |wire| tensor::sparse(wire, memory))?;
                    graph.add_initializer(found);
                }
                11 | 12 => {
                    self.count_name()?;
                    let port = wire.within(field, |wire| types::port(wire, memory))?;
                    if field.number == 11 { &mut graph.inputs } else { &mut graph.outputs }.push(port);
                }
                13 => {
                    wire.within(field, |wire| types::port(wire, memory))?;
                }
                _ => wire.skip(field)?,
            }
        }
        graph.check(memory)?;
        Ok(graph)
    }

    /// `NodeProto`.
    fn node(&mut self, wire: &mut Wire<'_>, depth: usize) -> Result<Node, OnnxFault> {
        let mut node = Node::default();
        while let Some(field) = wire.field()? {
            match field.number {
                1 | 2 => {
                    self.count_name()?;
                    let name = wire.text(field)?;
                    if field.number == 1 { &mut node.inputs } else { &mut node.outputs }.push(name);
                }
                3 => node.name = wire.text(field)?,
                4 => node.operator = wire.text(field)?,
                5 => wire.within(field, |wire| self.attribute(wire, depth, &mut node))?,
                7 => node.domain = wire.text(field)?,
                _ => wire.skip(field)?,
            }
        }
        if !matches!(node.domain.as_str(), "" | "ai.onnx" | "ai.onnx.ml") {
            let Node { operator, domain, .. } = &node;
            let (operator, domain) = (operator.clone(), domain.clone());
            return Err(OnnxFault::Operator { node: node.called(), operator, domain });
        }
        Ok(node)
    }

    /// `AttributeProto`: the tensors and graphs in it.
    fn attribute(&mut self, wire: &mut Wire<'_>, depth: usize, node: &mut Node) -> Result<(), OnnxFault> {
        let memory = self.memory;
        while let Some(field) = wire.field()? {
            match field.number {
                5 | 10 => node.values = wire.within(field, |wire| tensor::tensor(wire, memory))?.values,
                6 | 11 => {
                    let graph = wire.within(field, |wire| self.graph(wire, depth + 1))?;
                    node.read_within.extend(graph.from_outside);
                }
                22 | 23 => {
                    wire.within(field, |wire| tensor::sparse(wire, memory))?;
                }
                _ => wire.skip(field)?,
            }
        }
        Ok(())
    }
}

impl Node {
    fn called(&self) -> String {
        match (self.name.is_empty(), self.outputs.first()) {
            (false, _) => self.name.clone(),
            (true, Some(output)) => format!("that makes {output}"),
            (true, None) => format!("of {}", self.operator),
        }
    }

    fn reads(&self) -> impl Iterator<Item = &String> {
        self.inputs.iter().filter(|name| !name.is_empty()).chain(&self.read_within)
    }

    fn makes(&self) -> impl Iterator<Item = &String> {
        self.outputs.iter().filter(|name| !name.is_empty())
    }
}

impl Graph {
    fn add_initializer(&mut self, found: tensor::Tensor) {
        if !found.values.is_empty() {
            self.constants.insert(found.name.clone(), found.values);
        }
        self.initializers.insert(found.name);
    }

    /// That nodes stand in an order in which they can be carried out, as the standard asks for; what is
    /// read and made nowhere here comes from outside.
    fn check(&mut self, memory: u64) -> Result<(), OnnxFault> {
        let made: HashSet<&String> = self.nodes.iter().flat_map(Node::makes).collect();
        let mut there: HashSet<&String> =
            self.inputs.iter().map(|port| &port.name).chain(&self.initializers).collect();
        let mut outside = BTreeSet::new();
        for node in &self.nodes {
            for name in node.reads().filter(|name| !there.contains(name)) {
                if made.contains(name) {
                    return Err(OnnxFault::Graph(format!(
                        "the node {} reads {name}, which is made only after it: the graph goes in a circle, or its nodes \
                         are not in order; export the model again, and try it with onnx.checker",
                        node.called()
                    )));
                }
                outside.insert(name.clone());
            }
            for name in node.makes() {
                if !there.insert(name) {
                    return Err(OnnxFault::Graph(format!(
                        "the value {name} is made twice; give each value a name of its own"
                    )));
                }
            }
        }
        outside
            .extend(self.outputs.iter().map(|port| &port.name).filter(|name| !there.contains(name)).cloned());
        self.check_filled(memory)?;
        self.from_outside = outside;
        Ok(())
    }

    /// The shapes that nodes fill with one value.
    fn check_filled(&self, memory: u64) -> Result<(), OnnxFault> {
        let mut constants: HashMap<&String, &Vec<i64>> = self.constants.iter().collect();
        for node in &self.nodes {
            let shape = match node.operator.as_str() {
                "Constant" => {
                    constants.extend(node.outputs.first().map(|name| (name, &node.values)));
                    continue;
                }
                "ConstantOfShape" => node.inputs.first(),
                "Expand" => node.inputs.get(1),
                _ => continue,
            };
            if let Some(sides) = shape.and_then(|name| constants.get(name)) {
                let sides = sides.iter().map(|side| u64::try_from(*side).unwrap_or(1));
                size_of(&node.called(), sides, 8, memory)?;
            }
        }
        Ok(())
    }

    /// What the outermost graph asks for and gives.
    ///
    /// # Errors
    /// When it reads something from outside, where there is nothing.
    pub(super) fn into_signature(mut self) -> Result<Signature, OnnxFault> {
        if let Some(name) = self.from_outside.first() {
            return Err(OnnxFault::Graph(format!(
                "the value {name} is read and made nowhere; export the model again, and try it with onnx.checker"
            )));
        }
        // older files list what has a value of its own among the inputs
        self.inputs.retain(|port| !self.initializers.contains(&port.name));
        Ok(Signature { inputs: self.inputs, outputs: self.outputs })
    }
}
