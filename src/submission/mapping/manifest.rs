//! `model.yaml`: what an author says of a model beside its file.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::contest::bundle::Faulty;
use crate::contest::bundle::finding::{Findings, Place};
use crate::contest::bundle::node::{self, Node, Value};
use crate::contest::bundle::section::{Section, missing, scalar_text, wrong_kind};
use crate::submission::onnx::Element;

/// The file beside a model in a zip.
pub const FILE: &str = "model.yaml";
/// Bytes of it at most.
pub const FILE_BYTES: u64 = 64 << 10;
/// Rows that pass through the model at once, at most.
pub(super) const MOST_ROWS: u64 = 1 << 16;

/// What an author says of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// The columns of each input that is named.
    pub inputs: BTreeMap<String, Fed>,
    /// The output of each column of the predictions that is named; under the empty name, of all.
    pub outputs: BTreeMap<String, Asked>,
    /// Rows that pass through the model at once.
    pub batch: Option<u64>,
}

/// What an input is fed with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fed {
    /// Columns, in order.
    pub columns: Vec<String>,
    /// The type that the author takes the input to be of.
    pub element: Option<Element>,
}

/// What of an output is meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Its name; the model's first one where nothing is said.
    pub output: Option<String>,
    /// What of it.
    pub take: Take,
}

/// Which of the values that an output gives for a row is the prediction.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub struct Take {
    /// The one at this place, counted from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<u64>,
    /// The probability of this class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// The place, or the class, of the largest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub argmax: Option<bool>,
}

impl Take {
    /// Whether nothing is said.
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }
}

/// Reads the text of `model.yaml`.
///
/// # Errors
/// Everything that is wrong with it, with lines and how to mend it.
pub fn read(text: &str) -> Result<Manifest, Faulty> {
    let mut findings = Findings::about(FILE);
    let manifest = node::parse(text.trim_start_matches('\u{feff}'), &mut findings).and_then(|root| {
        let top = Section::of(&root, Place::default(), &mut findings)?;
        Some(manifest(top, &mut findings))
    });
    if !findings.has_errors()
        && let Some(manifest) = manifest
    {
        return Ok(manifest);
    }
    Err(findings.into_faulty())
}

fn manifest(mut top: Section<'_>, findings: &mut Findings) -> Manifest {
    let mut manifest = Manifest::default();
    // for people alone
    top.text("name", findings);
    if let Some(inputs) = top.section("inputs", findings) {
        for (name, place, node) in inputs.all() {
            manifest.inputs.insert(name.to_owned(), fed(node, place, findings));
        }
    }
    let at = top.at("output");
    if let Some(node) = top.get("output") {
        manifest.outputs.insert(String::new(), asked(node, at, findings));
    }
    if let Some(outputs) = top.section("outputs", findings) {
        for (column, place, node) in outputs.all() {
            manifest.outputs.insert(column.to_owned(), asked(node, place, findings));
        }
    }
    if let Some(whole) = top.whole("batch", findings) {
        let rows = u64::try_from(whole).ok().filter(|rows| (1..=MOST_ROWS).contains(rows));
        if rows.is_none() {
            let problem = format!("{whole} rows cannot pass at once");
            let mend = format!("write a number from 1 to {MOST_ROWS}");
            findings.error("model-batch", &top.at("batch"), problem, mend);
        }
        manifest.batch = rows;
    }
    top.finish(findings);
    manifest
}

/// `[a, b]`, `a`, or `{columns: [a, b], dtype: float32}`.
fn fed(node: &Node, place: Place, findings: &mut Findings) -> Fed {
    if !matches!(node.value, Value::Map(_)) {
        return Fed { columns: columns(node, &place, findings), element: None };
    }
    let Some(mut section) = Section::of(node, place, findings) else { return Fed::default() };
    let at = section.at("columns");
    let columns = match section.get("columns") {
        Some(node) => columns(node, &at, findings),
        None => {
            missing(&at, findings);
            Vec::new()
        }
    };
    let element = section.text("dtype", findings).and_then(|name| {
        let element = Element::named(name.trim());
        if element.is_none() {
            let problem = format!("`{name}` is no type of an input");
            let mend = "write float32, float64, int64, str or the like";
            findings.error("model-dtype", &section.at("dtype"), problem, mend);
        }
        element
    });
    section.finish(findings);
    Fed { columns, element }
}

fn columns(node: &Node, place: &Place, findings: &mut Findings) -> Vec<String> {
    if let Some(one) = scalar_text(node) {
        return vec![one];
    }
    let Value::List(items) = &node.value else {
        wrong_kind(place, &node.value, "a list of columns", findings);
        return Vec::new();
    };
    let mut names = Vec::new();
    for item in items {
        match scalar_text(item) {
            Some(name) => names.push(name),
            None => wrong_kind(place, &item.value, "a list of columns", findings),
        }
    }
    names
}

/// `NAME`, or `{name: NAME, column: 1}` and the like.
fn asked(node: &Node, place: Place, findings: &mut Findings) -> Asked {
    if let Some(name) = scalar_text(node) {
        return Asked { output: Some(name), take: Take::default() };
    }
    let Some(mut section) = Section::of(node, place.clone(), findings) else { return Asked::default() };
    let output = section.text("name", findings);
    let column = section.whole("column", findings).and_then(|whole| {
        let column = u64::try_from(whole).ok();
        if column.is_none() {
            let problem = format!("there is no place {whole}");
            findings.error("model-column", &section.at("column"), problem, "count places from 0");
        }
        column
    });
    let class = section.text("class", findings);
    let argmax = section.flag("argmax", false, findings).then_some(true);
    let take = Take { column, class, argmax };
    section.finish(findings);
    let said = [take.column.is_some(), take.class.is_some(), take.argmax.is_some()];
    if said.into_iter().filter(|said| *said).count() > 1 {
        let problem = "`column`, `class` and `argmax` exclude each other";
        findings.error("model-take", &place, problem, "keep one of them");
    }
    Asked { output, take }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_is_read_in_its_short_and_its_long_forms() {
        let text = "name: 航班\ninputs:\n  X: [distance, month]\n  carrier: carrier\n  d: {columns: [day], dtype: float}\n\
                    output: {name: probabilities, class: 1}\noutputs: {label: y, p: {argmax: true}}\nbatch: 64\n";
        let manifest = read(text).unwrap();
        assert_eq!(manifest.inputs["X"].columns, ["distance", "month"]);
        assert_eq!(manifest.inputs["carrier"].columns, ["carrier"]);
        assert_eq!(manifest.inputs["d"].element, Some(Element::Float32));
        assert_eq!(manifest.outputs[""].take.class.as_deref(), Some("1"));
        assert_eq!(manifest.outputs["label"].output.as_deref(), Some("y"));
        assert_eq!((manifest.outputs["p"].take.argmax, manifest.batch), (Some(true), Some(64)));
        assert_eq!(read("").unwrap_err().to_string().lines().count(), 1);
    }

    #[test]
    fn everything_wrong_is_told_with_its_line() {
        let text = "inputs:\n  X: {dtype: complex}\n  Y: [[a]]\noutput: {column: -1, class: a}\nbatch: 0\n";
        insta::assert_snapshot!(read(text).unwrap_err().to_string());
    }
}
