//! The runner's job, and what keeps a model from having one.

use serde::Serialize;

use super::manifest::{Asked, Fed, MOST_ROWS, Manifest, Take};
use crate::contest::definition::ModelRules;
use crate::submission::onnx::{Element, Port, PortKind, Signature};

/// Rows that pass at once where nobody says how many.
const ROWS: u64 = 1 << 14;
/// Names that a text lists.
const LISTED: usize = 20;

/// What the runner does (`run_model.py` in the image); it is handed over as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The model's file, beside the job's.
    pub model: String,
    /// The table below the input data.
    pub table: String,
    /// Its column that says which row is which.
    pub id: String,
    /// Rows that pass at once.
    pub batch: u64,
    /// Whether the model takes no other number of rows.
    pub fixed: bool,
    /// What the model is fed with.
    pub inputs: Vec<Feed>,
    /// What is made of what it gives.
    pub predictions: Vec<Prediction>,
}

/// An input of the model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Feed {
    /// Its name.
    pub name: String,
    /// The columns, in order.
    pub columns: Vec<String>,
    /// The type of its elements, as NumPy calls it.
    #[serde(rename = "type")]
    pub element: &'static str,
    /// Whether it is one column, and not a table of columns.
    pub vector: bool,
}

/// A column of the predictions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Prediction {
    /// Its name.
    pub column: String,
    /// The model's output.
    pub output: String,
    /// Which of its values.
    pub take: Take,
}

fn listed<T: ToString>(names: impl Iterator<Item = T>) -> String {
    names.take(LISTED).map(|name| name.to_string()).collect::<Vec<_>>().join(", ")
}

/// Brings a task, a model and its author's words together.
///
/// # Errors
/// The first thing that does not fit, and how to mend it.
pub fn plan(
    rules: &ModelRules,
    signature: &Signature,
    manifest: &Manifest,
    model: &str,
) -> Result<Plan, String> {
    if signature.inputs.is_empty() {
        return Err(
            "the model has no input, so nothing can be predicted from the data; export it with its inputs"
                .to_owned(),
        );
    }
    if let Some(name) =
        manifest.inputs.keys().find(|name| signature.inputs.iter().all(|port| port.name != **name))
    {
        let known = listed(signature.inputs.iter());
        return Err(format!(
            "model.yaml maps the input {name}, which the model does not have; it has {known}"
        ));
    }
    let mut inputs = Vec::new();
    let mut rows: Option<u64> = None;
    for port in &signature.inputs {
        let (feed, takes) = feed(rules, signature, manifest, port)?;
        match (rows, takes) {
            (Some(known), Some(takes)) if known != takes => {
                return Err(format!(
                    "one input of the model takes {known} rows at once and {} takes {takes}; leave the number of rows open when exporting it",
                    port.name
                ));
            }
            _ => rows = rows.or(takes),
        }
        inputs.push(feed);
    }
    if let Some(rows) = rows.filter(|rows| !(1..=MOST_ROWS).contains(rows)) {
        return Err(format!(
            "the model takes {rows} rows at once, and 1 to {MOST_ROWS} can be; leave the number of rows open when exporting it"
        ));
    }
    Ok(Plan {
        model: model.to_owned(),
        table: rules.table.clone(),
        id: rules.id.clone(),
        batch: rows.or(manifest.batch).unwrap_or(ROWS),
        fixed: rows.is_some(),
        inputs,
        predictions: predictions(rules, signature, manifest)?,
    })
}

/// What an input gets, and how many rows it takes at once where that is not open.
fn feed(
    rules: &ModelRules,
    signature: &Signature,
    manifest: &Manifest,
    port: &Port,
) -> Result<(Feed, Option<u64>), String> {
    let name = &port.name;
    let PortKind::Tensor { element, shape } = &port.kind else {
        return Err(format!(
            "the input {port} is not a tensor, and a table's columns can be fed to no other; export the model with tensors as inputs"
        ));
    };
    let Fed { columns, element: said } = fed(rules, signature, manifest, port)?;
    if let Some(said) = said.filter(|said| said != element) {
        return Err(format!(
            "model.yaml says {} for the input {port}; write dtype: {} or leave it out, columns are converted",
            said.name(),
            element.name()
        ));
    }
    if let Some(strange) = columns.iter().find(|column| !rules.features.contains(*column)) {
        return Err(format!(
            "the input {name} is mapped to {strange}, which is no feature of this task; its features are {}",
            listed(rules.features.iter())
        ));
    }
    let count = columns.len() as u64;
    let (rows, vector) = match shape.as_deref() {
        None => (None, false),
        Some([rows]) if count == 1 => (*rows, true),
        Some([_]) => {
            return Err(format!(
                "the input {port} takes one column and {count} are mapped to it; name one in model.yaml"
            ));
        }
        Some([rows, width]) => {
            if let Some(width) = width.filter(|width| *width != count) {
                return Err(format!(
                    "the input {port} takes {width} columns and {count} are mapped to it ({}); say which in model.yaml, as in `inputs: {{{name}: [A, B]}}`",
                    listed(columns.iter())
                ));
            }
            (*rows, false)
        }
        Some(_) => {
            return Err(format!(
                "the input {port} is neither a column nor a table of rows and columns; reshape it inside the model"
            ));
        }
    };
    Ok((Feed { name: name.clone(), columns, element: element.name(), vector }, rows))
}

/// The columns of an input: its author's, else the organizer's, else those that fit by themselves.
fn fed(rules: &ModelRules, signature: &Signature, manifest: &Manifest, port: &Port) -> Result<Fed, String> {
    let name = &port.name;
    if let Some(fed) = manifest.inputs.get(name) {
        return match fed.columns.is_empty() {
            true => Err(format!(
                "model.yaml maps no column to the input {name}; name one or more of {}",
                listed(rules.features.iter())
            )),
            false => Ok(fed.clone()),
        };
    }
    let columns = if let Some(columns) = rules.inputs.get(name) {
        columns.clone()
    } else if signature.inputs.len() == 1 && !(takes_one(port) && rules.features.contains(name)) {
        rules.features.clone()
    } else if rules.features.contains(name) {
        vec![name.clone()]
    } else {
        return Err(format!(
            "nothing says what the input {port} is fed with; map it in model.yaml, as in `inputs: {{{name}: [A, B]}}`, to features of this task: {}",
            listed(rules.features.iter())
        ));
    };
    Ok(Fed { columns, element: None })
}

fn takes_one(port: &Port) -> bool {
    matches!(&port.kind, PortKind::Tensor { shape: Some(shape), .. } if matches!(shape.as_slice(), [_] | [_, Some(1)]))
}

fn predictions(
    rules: &ModelRules,
    signature: &Signature,
    manifest: &Manifest,
) -> Result<Vec<Prediction>, String> {
    let Some(first) = signature.outputs.first() else {
        return Err("the model has no output; export it with what it predicts".to_owned());
    };
    let strange = |column: &&String| !column.is_empty() && !rules.predictions.contains(*column);
    if let Some(strange) = manifest.outputs.keys().find(strange) {
        return Err(format!(
            "model.yaml names an output for {strange}, which is not predicted here; this task asks for {}",
            listed(rules.predictions.iter())
        ));
    }
    let several = rules.predictions.len() > 1;
    let mut predictions = Vec::new();
    for (place, column) in rules.predictions.iter().enumerate() {
        let own = manifest.outputs.get(column);
        let Asked { output, mut take } = own.or(manifest.outputs.get("")).cloned().unwrap_or_default();
        let name = output.unwrap_or_else(|| first.name.clone());
        let Some(port) = signature.outputs.iter().find(|port| port.name == name) else {
            return Err(format!(
                "model.yaml asks for the output {name}, which the model does not have; it has {}",
                listed(signature.outputs.iter())
            ));
        };
        // one output for several columns: its columns in their order
        if several && own.is_none() && take.is_plain() {
            take.column = Some(place as u64);
        }
        check_output(port, &take, column)?;
        predictions.push(Prediction { column: column.clone(), output: name, take });
    }
    Ok(predictions)
}

fn check_output(port: &Port, take: &Take, column: &str) -> Result<(), String> {
    let name = &port.name;
    match &port.kind {
        PortKind::Other => Err(format!(
            "the output {port} cannot become the column {column}; name another one in model.yaml, as in `output: NAME`"
        )),
        PortKind::Classes if take.class.is_some() || take.argmax.is_some() => Ok(()),
        PortKind::Classes => Err(format!(
            "the output {port} has one value by class, and {column} is one value a row; write in model.yaml `output: {{name: {name}, class: 1}}`, or `argmax: true`"
        )),
        PortKind::Tensor { .. } if take.class.is_some() => Err(format!(
            "the output {port} does not name its classes; write `column:` and the place of the class, counted from 0, in model.yaml"
        )),
        PortKind::Tensor { element: Element::Text, .. } if take.argmax.is_some() => {
            Err(format!("the output {port} is text and has no largest value; leave argmax out"))
        }
        PortKind::Tensor { shape: Some(shape), .. } => {
            let width = match shape.as_slice() {
                [_] => Some(1),
                [_, width] => *width,
                [_, rest @ ..] if rest.iter().all(|side| *side == Some(1)) => Some(1),
                _ => {
                    return Err(format!(
                        "the output {port} is not one row of values for each row; reshape it inside the model, or name another output in model.yaml"
                    ));
                }
            };
            match (width, take.column) {
                (Some(width), Some(place)) if place >= width => Err(format!(
                    "the output {port} has no place {place}, counted from 0, for the column {column}; name another in model.yaml"
                )),
                (Some(width @ 2..), None) if take.argmax.is_none() => Err(format!(
                    "the output {port} has {width} values for each row, and {column} is one; write in model.yaml `output: {{name: {name}, column: 0}}`, or `argmax: true`"
                )),
                _ => Ok(()),
            }
        }
        PortKind::Tensor { shape: None, .. } => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::read;
    use super::*;

    fn rules(features: &[&str], predictions: &[&str]) -> ModelRules {
        let texts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        ModelRules {
            table: "test.csv".to_owned(),
            id: "id".to_owned(),
            features: texts(features),
            predictions: texts(predictions),
            ..ModelRules::default()
        }
    }

    fn tensor(name: &str, element: Element, shape: &[u64]) -> Port {
        let shape = shape.iter().map(|side| Some(*side).filter(|side| *side > 0)).collect();
        Port { name: name.to_owned(), kind: PortKind::Tensor { element, shape: Some(shape) } }
    }

    fn model(inputs: Vec<Port>, outputs: Vec<Port>) -> Signature {
        Signature { inputs, outputs }
    }

    fn made(rules: &ModelRules, signature: &Signature, yaml: &str) -> Result<Plan, String> {
        let manifest = if yaml.is_empty() { Manifest::default() } else { read(yaml).unwrap() };
        plan(rules, signature, &manifest, "model.onnx")
    }

    #[test]
    fn what_fits_by_itself_needs_no_words() {
        let task = rules(&["a", "b"], &["y"]);
        let y = || tensor("variable", Element::Float32, &[0, 1]);
        let one = made(&task, &model(vec![tensor("X", Element::Float32, &[0, 2])], vec![y()]), "").unwrap();
        assert_eq!(
            (one.inputs[0].columns.as_slice(), one.fixed),
            (["a", "b"].map(str::to_owned).as_slice(), false)
        );
        let by_name = vec![tensor("b", Element::Text, &[0, 1]), tensor("a", Element::Int64, &[0])];
        let by_name = made(&task, &model(by_name, vec![y()]), "").unwrap();
        assert_eq!((by_name.inputs[0].columns[0].as_str(), by_name.inputs[0].element), ("b", "str"));
        assert!(by_name.inputs[1].vector);
        let fixed = made(&task, &model(vec![tensor("X", Element::Float32, &[8, 2])], vec![y()]), "").unwrap();
        assert_eq!((fixed.batch, fixed.fixed), (8, true));
        let three = rules(&["a"], &["p0", "p1"]);
        let shares =
            model(vec![tensor("X", Element::Float32, &[0, 1])], vec![tensor("p", Element::Float32, &[0, 2])]);
        let shares = made(&three, &shares, "").unwrap();
        assert_eq!(shares.predictions[1].take.column, Some(1));
    }

    #[test]
    fn what_does_not_fit_is_told_with_a_mend() {
        let task = rules(&["a", "b"], &["y"]);
        let x = || vec![tensor("X", Element::Float32, &[0, 2])];
        let y = || vec![tensor("y", Element::Float32, &[0, 1])];
        let classes = Port { name: "p".to_owned(), kind: PortKind::Classes };
        for (signature, yaml, told) in [
            (model(Vec::new(), y()), "", "no input"),
            (model(x(), Vec::new()), "", "no output"),
            (model(vec![tensor("X", Element::Float32, &[0, 3])], y()), "", "takes 3 columns and 2"),
            (model(vec![tensor("X", Element::Float32, &[0, 2, 2])], y()), "", "reshape it"),
            (
                model(vec![tensor("X", Element::Float32, &[1 << 20, 2])], y()),
                "",
                "leave the number of rows open",
            ),
            (
                model(
                    vec![tensor("X", Element::Float32, &[0, 1]), tensor("Z", Element::Float32, &[0, 1])],
                    y(),
                ),
                "",
                "nothing says what",
            ),
            (model(x(), y()), "inputs: {Z: [a]}", "does not have"),
            (model(x(), y()), "inputs: {X: [a, secret]}", "no feature of this task"),
            (model(x(), y()), "inputs: {X: {columns: [a, b], dtype: int64}}", "dtype: float32"),
            (model(x(), y()), "output: z", "it has y"),
            (model(x(), y()), "outputs: {z: y}", "not predicted here"),
            (model(x(), y()), "output: {class: 1}", "does not name its classes"),
            (model(x(), y()), "output: {column: 1}", "no place 1"),
            (model(x(), vec![tensor("y", Element::Float32, &[0, 3])]), "", "3 values for each row"),
            (model(x(), vec![classes.clone()]), "", "class: 1"),
        ] {
            let problem = made(&task, &signature, yaml).unwrap_err();
            assert!(problem.contains(told), "{problem}");
        }
        let chosen = made(&task, &model(x(), vec![classes]), "output: {name: p, class: 1}").unwrap();
        assert_eq!(
            serde_json::to_value(&chosen.predictions[0].take).unwrap(),
            serde_json::json!({ "class": "1" })
        );
    }
}
