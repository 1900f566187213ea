//! `tasks`: what is computed and how it is scored.

use super::competition::{Reader, Use, uuid_reference};
use super::finding::Findings;
use super::section::{Section, missing};
use crate::contest::definition::{InputVisibility, Resources, Task};

/// Keys that Codabench's own exports carry and that mean nothing here.
const EXPORTED_KEYS: [&str; 1] = ["is_public"];

/// Stands for an `index` that is missing or unreadable, which is an error already.
pub(super) const NO_INDEX: i64 = i64::MIN;

impl Reader<'_> {
    /// Reads the tasks, in the order of their `index`.
    pub(super) fn tasks(&mut self, top: &mut Section<'_>) -> Vec<Task> {
        let items = top.list("tasks", &mut self.findings);
        if items.is_empty() && !self.findings.has_errors_at("tasks") {
            missing(&top.at("tasks"), &mut self.findings);
        }
        let mut tasks: Vec<Task> = Vec::new();
        for (place, node) in items {
            let Some(mut section) = Section::of(node, place, &mut self.findings) else { continue };
            let task = self.task(&mut section);
            if task.index != NO_INDEX && tasks.iter().any(|known| known.index == task.index) {
                let problem = format!("two tasks have the index {}", task.index);
                let mend = "give each task its own index, and name it in `phases`";
                self.findings.error("task-index-duplicate", &section.at("index"), problem, mend);
            }
            for key in EXPORTED_KEYS {
                section.get(key);
            }
            self.places.tasks.insert(task.index, section.place.clone());
            section.finish(&mut self.findings);
            tasks.push(task);
        }
        tasks.sort_by_key(|task| task.index);
        tasks
    }

    fn task(&mut self, section: &mut Section<'_>) -> Task {
        let index = own_index(section, &mut self.findings);
        if let Some(key) = section.text("key", &mut self.findings) {
            uuid_reference(&key, &section.at("key"), &mut self.findings);
        }
        let name = section.text("name", &mut self.findings);
        let name = name.filter(|name| !name.trim().is_empty()).unwrap_or_else(|| {
            let mend = "add `name`";
            self.findings.warn("task-unnamed", &section.at("name"), "the task has no name", mend);
            if index == NO_INDEX { "Task".to_owned() } else { format!("Task {index}") }
        });
        Task {
            index,
            name,
            description: section.text("description", &mut self.findings).unwrap_or_default(),
            scoring_program: self.file(section, "scoring_program", Use::Data),
            ingestion_program: self.file(section, "ingestion_program", Use::Data),
            input_data: self.file(section, "input_data", Use::Data),
            reference_data: self.file(section, "reference_data", Use::Data),
            ingestion_only_during_scoring: section.flag(
                "ingestion_only_during_scoring",
                false,
                &mut self.findings,
            ),
            shared: false,
            metrics: Vec::new(),
            ids: None,
            input: InputVisibility::Hidden,
            hidden_set: None,
            twin: None,
            resources: Resources::default(),
            probes: Vec::new(),
            model: None,
        }
    }
}

/// The `index` that an author gives a task or a solution; required.
pub(super) fn own_index(section: &mut Section<'_>, findings: &mut Findings) -> i64 {
    if section.get("index").is_none() {
        missing(&section.at("index"), findings);
    }
    section.whole("index", findings).unwrap_or(NO_INDEX)
}
