//! `shuyu.tasks.N.model`: what models are given and asked for.

use std::collections::BTreeMap;

use super::competition::Reader;
use super::finding::Place;
use super::node::{Node, Value};
use super::section::{Section, missing, scalar_text, wrong_kind};
use crate::contest::definition::{ModelRules, Task};
use crate::submission::onnx::OPSETS;

/// Features of a task.
const MOST_FEATURES: usize = 10_000;
/// Columns of a table that a text lists.
const LISTED: usize = 20;

impl Reader<'_> {
    /// Reads the rules; what is not said comes from the task's metrics.
    pub(super) fn model(&mut self, section: &mut Section<'_>, task: &mut Task) {
        let Some(mut rules) = section.section("model", &mut self.findings) else { return };
        self.places.models.insert(task.index, rules.place.clone());
        let default = ModelRules::default();
        let table = rules.required_text("table", &mut self.findings);
        let at = rules.at("features");
        let (features, inputs) = match rules.get("features") {
            Some(node) => self.features(node, &at),
            None => {
                missing(&at, &mut self.findings);
                Default::default()
            }
        };
        let id = rules.text("id", &mut self.findings);
        let at = rules.at("prediction");
        let predictions = rules.get("prediction").map(|node| self.names(node, &at));
        let of_metrics = || {
            let mut columns: Vec<String> = Vec::new();
            for column in task.metrics.iter().flat_map(|metric| &metric.prediction) {
                if !columns.contains(column) {
                    columns.push(column.clone());
                }
            }
            columns
        };
        task.model = Some(ModelRules {
            table: table.trim().trim_start_matches("./").to_owned(),
            features,
            inputs,
            id: id.or_else(|| task.metrics.first().map(|metric| metric.id.clone())).unwrap_or_default(),
            predictions: predictions.unwrap_or_else(of_metrics),
            max_bytes: self.size(&mut rules, "max_bytes").unwrap_or(default.max_bytes),
            opset: self.opset(&mut rules).unwrap_or(default.opset),
        });
        rules.finish(&mut self.findings);
    }

    /// A list of columns, or lists of them by the input's name.
    fn features(&mut self, node: &Node, at: &Place) -> (Vec<String>, BTreeMap<String, Vec<String>>) {
        let Value::Map(entries) = &node.value else { return (self.names(node, at), BTreeMap::new()) };
        let (mut all, mut inputs) = (Vec::new(), BTreeMap::new());
        for (name, node) in entries {
            let place = Place { key: format!("{}.{name}", at.key), line: node.line };
            let columns = self.names(node, &place);
            for column in &columns {
                if !all.contains(column) {
                    all.push(column.clone());
                }
            }
            inputs.insert(name.clone(), columns);
        }
        (all, inputs)
    }

    /// A list of columns, or one.
    fn names(&mut self, node: &Node, at: &Place) -> Vec<String> {
        let items = match &node.value {
            Value::List(items) => items.iter().collect(),
            _ => vec![node],
        };
        let mut names: Vec<String> = Vec::new();
        for item in items {
            match scalar_text(item).filter(|name| !name.trim().is_empty()) {
                Some(name) => names.push(name),
                None => wrong_kind(
                    at,
                    &item.value,
                    "the name of a column, or a list of names",
                    &mut self.findings,
                ),
            }
        }
        names
    }

    fn opset(&mut self, rules: &mut Section<'_>) -> Option<[i64; 2]> {
        rules.get("opset")?;
        let at = rules.at("opset");
        let [known_first, known_last] = OPSETS;
        match rules.wholes("opset", &mut self.findings).as_slice() {
            [first, last] if known_first <= *first && first <= last && *last <= known_last => {
                Some([*first, *last])
            }
            _ => {
                let problem = "these are not a first and a last opset that can be run here";
                let mend = format!(
                    "write two numbers from {known_first} to {known_last}, such as [{known_first}, {known_last}]"
                );
                self.findings.error("model-opset-range", &at, problem, mend);
                None
            }
        }
    }

    /// What stands in the way of models on this task.
    pub(super) fn check_model(&mut self, task: &Task) {
        let Some(rules) = &task.model else { return };
        let at = self.places.models.get(&task.index).cloned().unwrap_or_default();
        let beside = [
            (task.takes_apps(), "takes apps", "give each a task of its own"),
            (task.ingestion_program.is_some(), "has an ingestion program", "remove one of them"),
            (task.metrics.is_empty(), "has no native metric", "add `metric`: it scores what models predict"),
            (task.input_data.is_none(), "has no input data", "add `input_data` with the table of features"),
        ];
        for (_, what, mend) in beside.into_iter().filter(|(there, ..)| *there) {
            self.findings.error("model-beside", &at, format!("the task takes models and {what}"), mend);
        }
        for metric in &task.metrics {
            if let Some(column) = metric.prediction.iter().find(|column| !rules.predictions.contains(column))
            {
                let problem = format!(
                    "the metric {} reads the column `{column}`, which no model is asked for",
                    metric.name
                );
                self.findings.error("model-prediction", &at, problem, "add it to `prediction`");
            }
            if metric.id != rules.id {
                let problem = format!(
                    "rows are called by `{}` here and by `{}` in the metric {}",
                    rules.id, metric.id, metric.name
                );
                self.findings.error("model-id", &at, problem, "name the same column in both");
            }
        }
        if rules.features.is_empty() || rules.features.len() > MOST_FEATURES {
            let problem = format!("there are {} features", rules.features.len());
            self.findings.error(
                "model-feature",
                &at,
                problem,
                format!("name 1 to {MOST_FEATURES} columns of the table"),
            );
        }
        let data = task.input_data.iter().chain(task.twin.as_ref().map(|twin| &twin.input));
        if rules.table.is_empty() {
            return;
        }
        for folder in data.cloned().collect::<Vec<_>>() {
            self.check_table(&folder, rules, &at);
        }
    }

    /// That the table is in a folder (or zip) of data, with its columns.
    fn check_table(&mut self, folder: &str, rules: &ModelRules, at: &Place) {
        let Ok(contents) = self.files.contents(folder) else { return };
        let lower = rules.table.to_ascii_lowercase();
        let known = lower.ends_with(".csv") || lower.ends_with(".parquet");
        if !known || !contents.iter().any(|entry| entry.path == rules.table) {
            let tables: Vec<&str> = contents
                .iter()
                .map(|entry| entry.path.as_str())
                .filter(|path| {
                    [".csv", ".parquet"].iter().any(|end| path.to_ascii_lowercase().ends_with(end))
                })
                .take(LISTED)
                .collect();
            let problem = format!("there is no table `{}` in `{folder}`", rules.table);
            let mend = match tables.as_slice() {
                [] => "put a CSV or Parquet file with the features there".to_owned(),
                tables => format!("name one of: {}", tables.join(", ")),
            };
            self.findings.error("model-table", at, problem, mend);
            return;
        }
        let Some(columns) = self.files.columns_of(folder, &rules.table) else { return };
        let needed = rules.features.iter().chain([&rules.id]).filter(|name| !name.is_empty());
        let absent: Vec<&str> = needed.filter(|name| !columns.contains(name)).map(String::as_str).collect();
        if !absent.is_empty() {
            let problem = format!("`{}` of `{folder}` has no column {}", rules.table, absent.join(", "));
            let known: Vec<&str> = columns.iter().take(LISTED).map(String::as_str).collect();
            self.findings.error(
                "model-feature",
                at,
                problem,
                format!("its columns are {}", known.join(", ")),
            );
        }
    }
}
