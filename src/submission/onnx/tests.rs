use std::io::Cursor;

use super::*;
use proptest::prelude::*;

#[path = "../../../tests/support/onnx.rs"]
mod make;
use make::*;

const LIMITS: Limits = Limits { bytes: 1 << 20, memory: 1 << 30, opset: OPSETS };

fn looked(model: &Message) -> Result<Signature, OnnxFault> {
    read(Cursor::new(&model.0), model.0.len() as u64, &LIMITS)
}

fn refused(model: &Message) -> (&'static str, String) {
    let fault = looked(model).expect_err("a fault");
    (fault.code(), fault.to_string())
}

#[test]
fn a_model_tells_what_goes_in_and_what_comes_out() {
    let signature = looked(&model()).unwrap();
    let shape = |sides: [Option<u64>; 2]| Some(sides.to_vec());
    let kind = |sides| PortKind::Tensor { element: Element::Float32, shape: shape(sides) };
    assert_eq!(signature.inputs, [Port { name: "X".to_owned(), kind: kind([None, Some(2)]) }]);
    assert_eq!(signature.outputs, [Port { name: "y".to_owned(), kind: kind([None, Some(1)]) }]);
    assert_eq!(signature.inputs[0].to_string(), "X (float32, ? × 2)");
    // what has a value of its own need not be fed
    let older = message().within(11, port("w", 1, &[2, 1]));
    let older = looked(&model_with(older, &[node("MatMul", &["X", "w"], &["y"])])).unwrap();
    assert_eq!(older.inputs.len(), 1);
    // a sequence of maps is what exporters of scikit-learn make of probabilities
    let map =
        message().within(5, message().number(1, 7).within(2, message().within(1, message().number(1, 1))));
    let classes = message().text(1, "p").within(2, message().within(4, message().within(1, map)));
    let graph = message().within(12, classes);
    let classes = looked(&model_with(graph, &[node("MatMul", &["X", "w"], &["y", "p"])])).unwrap();
    assert_eq!(classes.outputs[0].kind, PortKind::Classes);
}

#[test]
fn operators_of_others_are_refused() {
    let custom = node("ReadFile", &["X"], &["y"]).text(7, "com.evil");
    let (code, told) = refused(&model_with(message(), &[custom]));
    assert_eq!(code, "model-operator");
    assert!(told.contains("ReadFile") && told.contains("com.evil"), "{told}");
    let ours = node("LinearRegressor", &["X"], &["y"]).text(7, "ai.onnx.ml");
    assert!(looked(&model_with(message(), &[ours])).is_ok());
}

#[test]
fn data_elsewhere_is_refused() {
    let entry = message().text(1, "location").text(2, "/etc/passwd");
    for elsewhere in [tensor("v", &[1], 4).within(13, entry), tensor("v", &[1], 4).number(14, 1)] {
        let (code, told) = refused(&model_with(message().within(5, elsewhere.clone()), &[]));
        assert_eq!((code, told.contains("tensor v")), ("model-external-data", true), "{told}");
        // in a constant too, and in a graph within a graph
        let constant = node("Constant", &[], &["c"]).within(5, message().within(5, elsewhere));
        assert_eq!(refused(&model_with(message(), std::slice::from_ref(&constant))).0, "model-external-data");
        let branch = node("If", &["X"], &["y"]).within(5, message().within(6, message().within(1, constant)));
        assert_eq!(refused(&model_with(message(), &[branch])).0, "model-external-data");
    }
}

#[test]
fn shapes_are_held_against_what_there_is() {
    let with = |tensor: Message| refused(&model_with(message().within(5, tensor), &[]));
    for (sides, data) in [(vec![2, 2], 8), (vec![1 << 40, 1 << 40], 8), (vec![-1], 4), (vec![1 << 30], 4)] {
        let (code, told) = with(tensor("v", &sides, data));
        assert_eq!((code, told.contains("tensor v")), ("model-shape", true), "{told}");
    }
    // what a node would fill
    let shape = message().number(1, 2).number(2, 7).text(8, "s").number(7, 1 << 30).number(7, 1 << 30);
    let filled = model_with(message().within(5, shape), &[node("ConstantOfShape", &["s"], &["y"])]);
    assert_eq!(refused(&filled).0, "model-shape");
    let declared = message().within(13, port("v", 1, &[1 << 20, 1 << 20]));
    assert_eq!(refused(&model_with(declared, &[])).0, "model-shape");
    let empty =
        model_with(message().within(5, tensor("none", &[0, 5], 0)), &[node("MatMul", &["X", "w"], &["y"])]);
    assert!(looked(&empty).is_ok());
}

#[test]
fn a_graph_has_an_order() {
    let circle = [
        node("Add", &["X", "b"], &["a"]),
        node("Add", &["a", "w"], &["b"]),
        node("Add", &["a", "b"], &["y"]),
    ];
    let (code, told) = refused(&model_with(message(), &circle));
    assert_eq!((code, told.contains("circle")), ("model-graph", true), "{told}");
    for (nodes, said) in [
        (vec![node("Add", &["y", "X"], &["y"])], "circle"),
        (vec![node("Add", &["X", "nothing"], &["y"])], "nowhere"),
        (vec![node("Add", &["X", "w"], &["y"]), node("Add", &["X", "w"], &["y"])], "twice"),
        (vec![], "nowhere"),
    ] {
        let (code, told) = refused(&model_with(message(), &nodes));
        assert_eq!((code, told.contains(said)), ("model-graph", true), "{told}");
    }
    // a branch may read what was made around it, and only before it
    let branch = |name: &str| {
        let graph = message().within(1, node("Neg", &[name], &["z"])).within(12, message().text(1, "z"));
        node("If", &["X"], &["y"]).within(5, message().within(6, graph))
    };
    let before = [node("Abs", &["X"], &["a"]), branch("a")];
    assert!(looked(&model_with(message(), &before)).is_ok());
    let after = [branch("a"), node("Abs", &["X"], &["a"])];
    assert_eq!(refused(&model_with(message(), &after)).0, "model-graph");
}

#[test]
fn versions_are_those_that_run_here() {
    let of = |version: i64, imports: &[(&str, i64)]| {
        let model = message().number(1, version);
        imports.iter().fold(model, |model, (domain, version)| {
            model.within(8, message().text(1, domain).number(2, *version))
        })
    };
    let graph = message().within(11, port("X", 1, &[0, 2])).within(12, port("X", 1, &[0, 2]));
    for (start, fits) in [
        (of(10, &[("", 15)]), true),
        (of(10, &[("ai.onnx.ml", 3)]), true),
        (of(10, &[("", 15), ("com.microsoft", 1)]), true),
        (of(10, &[("", 6)]), false),
        (of(10, &[("ai.onnx", 29)]), false),
        (of(10, &[("", 15), ("ai.onnx.ml", 6)]), false),
        (of(15, &[("", 15)]), false),
        (of(10, &[]), false),
    ] {
        let looked = looked(&start.within(7, graph.clone()));
        assert_eq!(looked.is_ok(), fits, "{looked:?}");
        assert!(looked.is_ok() || matches!(looked, Err(OnnxFault::Opset(_))));
    }
}

#[test]
fn bombs_are_refused_and_cost_little() {
    let mut deep = message();
    for _ in 0..2000 {
        deep = message().within(1, node("If", &["X"], &["y"]).within(5, message().within(6, deep)));
    }
    assert_eq!(refused(&message().within(7, deep)).0, "model-complex");
    let mut deep = message();
    for _ in 0..2000 {
        deep = message().within(4, message().within(1, deep));
    }
    let deep = message().text(1, "X").within(2, deep);
    assert_eq!(refused(&model_with(message().within(11, deep), &[])).0, "model-complex");
    // a node of two bytes takes far more than that in memory
    let many = vec![[0x0a, 0x00]; 100_001].concat();
    assert_eq!(refused(&message().bytes(7, &many)).0, "model-complex");
    let mut lie = model().0;
    lie.extend([0x3a, 0xff, 0xff, 0xff, 0xff, 0x0f]);
    assert_eq!(refused(&Message(lie)).0, "model-unreadable");
    assert_eq!(refused(&Message(vec![0x3a; 1000])).0, "model-unreadable");
    assert_eq!(refused(&message()).0, "model-unreadable");
    assert_eq!(refused(&Message(b"<!doctype html><title>404</title>".to_vec())).0, "model-unreadable");
    let large = Message(vec![0; LIMITS.bytes as usize + 1]);
    assert_eq!(refused(&large).0, "model-too-large");
    assert_eq!(refused(&model().within(25, message())).0, "model-functions");
    assert_eq!(refused(&model().within(20, message())).0, "model-functions");
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_told_about_and_nothing_else(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        let _ = looked(&Message(bytes));
    }

    #[test]
    fn a_model_with_other_bytes_in_it_is_too(
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let branch = message().within(1, node("Neg", &["X"], &["z"])).within(12, port("z", 1, &[0]));
        let graph = message().within(15, message().within(1, tensor("s", &[1], 4)).number(3, 1));
        let nodes = [
            node("If", &["X"], &["b"]).within(5, message().within(6, branch)),
            node("MatMul", &["X", "w"], &["y"]),
        ];
        let mut bytes = model_with(graph, &nodes).0;
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let _ = looked(&Message(bytes.clone()));
        bytes.truncate(cut.index(bytes.len()));
        let _ = looked(&Message(bytes));
    }
}
