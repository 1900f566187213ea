//! ONNX files, written field by field.

use protobuf::CodedOutputStream;

/// A message written field by field.
#[derive(Clone, Default)]
pub struct Message(pub Vec<u8>);

impl Message {
    fn write(mut self, write: impl FnOnce(&mut CodedOutputStream<'_>) -> protobuf::Result<()>) -> Self {
        let mut output = CodedOutputStream::vec(&mut self.0);
        write(&mut output).unwrap();
        output.flush().unwrap();
        drop(output);
        self
    }

    pub fn number(self, field: u32, value: i64) -> Self {
        self.write(|output| output.write_int64(field, value))
    }

    pub fn text(self, field: u32, value: &str) -> Self {
        self.write(|output| output.write_string(field, value))
    }

    pub fn bytes(self, field: u32, value: &[u8]) -> Self {
        self.write(|output| output.write_bytes(field, value))
    }

    pub fn within(self, field: u32, inner: Message) -> Self {
        self.bytes(field, &inner.0)
    }
}

/// A message without fields.
pub fn message() -> Message {
    Message::default()
}

/// An input, an output or a value between, of elements of this type; sides of 0 are open.
pub fn port(name: &str, element: i64, shape: &[i64]) -> Message {
    let dimension = |side: i64| if side == 0 { message() } else { message().number(1, side) };
    let shape = shape.iter().fold(message(), |shape, side| shape.within(1, dimension(*side)));
    let tensor = message().number(1, element).within(2, shape);
    message().text(1, name).within(2, message().within(1, tensor))
}

/// A node.
pub fn node(operator: &str, inputs: &[&str], outputs: &[&str]) -> Message {
    let node = inputs.iter().fold(message(), |node, name| node.text(1, name));
    outputs.iter().fold(node, |node, name| node.text(2, name)).text(4, operator)
}

/// A tensor of 32-bit floats with these values.
pub fn floats(name: &str, sides: &[i64], values: &[f32]) -> Message {
    let data: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    tensor_of(name, sides, &data)
}

/// A tensor of 32-bit floats with so many bytes of data.
pub fn tensor(name: &str, sides: &[i64], data: usize) -> Message {
    tensor_of(name, sides, &vec![0; data])
}

fn tensor_of(name: &str, sides: &[i64], data: &[u8]) -> Message {
    let tensor = sides.iter().fold(message(), |tensor, side| tensor.number(1, *side));
    tensor.number(2, 1).text(8, name).bytes(9, data)
}

/// A model of two columns, the first of which its weights choose, with these nodes and what else is in its graph.
pub fn model_with(graph: Message, nodes: &[Message]) -> Message {
    let graph = graph.within(5, floats("w", &[2, 1], &[1.0, 0.0]));
    let graph = graph.within(11, port("X", 1, &[0, 2])).within(12, port("y", 1, &[0, 1]));
    let graph = nodes.iter().fold(graph, |graph, node| graph.within(1, node.clone()));
    message().number(1, 10).within(8, message().text(1, "").number(2, 15)).within(7, graph)
}

/// A model that predicts its first column.
pub fn model() -> Message {
    model_with(message(), &[node("MatMul", &["X", "w"], &["y"])])
}
