//! The `shuyu:` block: what Codabench has no word for.

use std::collections::BTreeMap;

use super::competition::{Reader, Use};
use super::finding::Place;
use super::node::{Node, Value, join};
use super::quantity::{read_size, read_span};
use super::section::{Section, missing, scalar_text, wrong_kind};
use crate::contest::definition::{
    AirlockRule, DatasetUse, Definition, InputVisibility, Localised, Resources, Task, Twin,
};
use crate::scoring::metric::{MetricSpec, SpecProblem, validate_list};

/// What the block declares beyond what the definition keeps, for the checks that follow.
#[derive(Debug, Default)]
pub(super) struct Extras {
    /// The declared visibility of each task's input, by the task's index, and where it stands.
    pub(super) input: BTreeMap<i64, (InputVisibility, Place)>,
}

impl Reader<'_> {
    /// Reads the block into the definition.
    pub(super) fn extras(&mut self, top: &mut Section<'_>, definition: &mut Definition) -> Extras {
        let mut extras = Extras::default();
        let Some(mut block) = top.section("shuyu", &mut self.findings) else { return extras };
        self.locales(&mut block, definition);
        definition.organiser = block.text("organiser", &mut self.findings);
        definition.datasets = self.datasets(&mut block);
        definition.sandbox = self.sandbox(&mut block);
        if let Some(tasks) = block.section("tasks", &mut self.findings) {
            for (name, place, node) in tasks.all() {
                let found = name
                    .parse()
                    .ok()
                    .and_then(|index: i64| definition.tasks.iter_mut().find(|task| task.index == index));
                match (found, Section::of(node, place.clone(), &mut self.findings)) {
                    (Some(task), Some(section)) => self.task_extras(section, task, &mut extras),
                    (None, _) => {
                        let problem = format!("there is no task with the index {name}");
                        self.findings.error("task-unknown", &place, problem, "name the index of a task");
                    }
                    (Some(_), None) => {}
                }
            }
        }
        definition.airlock = self.airlock(&mut block);
        definition.judging = self.judging(&mut block, &definition.leaderboard, definition.phases.len());
        if let Some(mut finals) = block.section("finals", &mut self.findings) {
            definition.finals_choose = finals.whole("choose", &mut self.findings).and_then(|choose| {
                let count = u32::try_from(choose).ok().filter(|count| *count > 0);
                if count.is_none() {
                    let problem = format!("a team cannot nominate {choose} submissions");
                    let at = finals.at("choose");
                    self.findings.error("value-out-of-range", &at, problem, "write 1 or more");
                }
                count
            });
            finals.finish(&mut self.findings);
        }
        let awards = block.list("awards", &mut self.findings);
        definition.awards = awards.into_iter().map(|(_, node)| node.value.to_json()).collect();
        definition.entries = self.entries(&mut block);
        // a competition that is judged has entries, also where nothing is said of them
        let asked_by = if definition.entries.is_none() { "judging" } else { "entries" };
        self.places.entries = block.at(asked_by);
        block.finish(&mut self.findings);
        extras
    }

    fn locales(&mut self, block: &mut Section<'_>, definition: &mut Definition) {
        let Some(locales) = block.section("locale", &mut self.findings) else { return };
        for (tag, place, node) in locales.all() {
            let plain = tag
                .split('-')
                .all(|part| (1..=8).contains(&part.len()) && part.chars().all(|c| c.is_ascii_alphanumeric()));
            if !plain {
                let problem = format!("`{tag}` is not a language tag");
                self.findings.error("locale-tag", &place, problem, "write `zh` or `en`");
            }
            let Some(section) = Section::of(node, place, &mut self.findings) else { continue };
            let localised = self.locale(section, definition);
            definition.locale.insert(tag.to_owned(), localised);
        }
    }

    fn locale(&mut self, mut section: Section<'_>, definition: &Definition) -> Localised {
        let mut localised = Localised {
            title: section.text("title", &mut self.findings),
            description: section.text("description", &mut self.findings),
            terms: self.file(&mut section, "terms", Use::Page),
            ..Localised::default()
        };
        if let Some(pages) = section.section("pages", &mut self.findings) {
            for (name, place, node) in pages.all() {
                let known = definition.pages.iter().any(|page| {
                    let file = page.file.rsplit('/').next().unwrap_or(&page.file);
                    let stem = file.split('.').next().unwrap_or(file);
                    stem.eq_ignore_ascii_case(name) || page.title.to_lowercase() == name.to_lowercase()
                });
                if !known {
                    let problem = format!("no page has the file name or title `{name}`");
                    let mend = "name the page's file without its ending, or its title";
                    self.findings.warn("locale-page-unknown", &place, problem, mend);
                }
                if let Some(file) = self.file_at(node, &place, Use::Page) {
                    localised.pages.insert(name.to_owned(), file);
                }
            }
        }
        if let Some(names) = section.section("names", &mut self.findings) {
            for (name, place, node) in names.all() {
                match scalar_text(node) {
                    Some(text) => {
                        localised.names.insert(name.to_owned(), text);
                    }
                    None => wrong_kind(&place, &node.value, "text", &mut self.findings),
                }
            }
        }
        section.finish(&mut self.findings);
        localised
    }

    fn datasets(&mut self, block: &mut Section<'_>) -> Vec<DatasetUse> {
        let mut datasets: Vec<DatasetUse> = Vec::new();
        for (place, node) in block.list("datasets", &mut self.findings) {
            let Some(mut section) = Section::of(node, place, &mut self.findings) else { continue };
            let slug = section.required_text("slug", &mut self.findings);
            if section.get("version").is_none() {
                missing(&section.at("version"), &mut self.findings);
            }
            let version = section.whole("version", &mut self.findings).unwrap_or(1);
            section.finish(&mut self.findings);
            datasets.push(DatasetUse { slug, version });
        }
        datasets
    }

    /// Checks the sandbox's settings; they are kept as written.
    fn sandbox(&mut self, block: &mut Section<'_>) -> Option<serde_json::Value> {
        let node = block.get("sandbox")?;
        let mut section = Section::of(node, block.at("sandbox"), &mut self.findings)?;
        if let Some(image) = section.text("image", &mut self.findings) {
            self.check_image(&image, &section.at("image"));
        }
        section.positive("cpus", &mut self.findings);
        for key in ["memory", "disk"] {
            self.size(&mut section, key);
        }
        for key in ["idle", "session"] {
            let text = section.text(key, &mut self.findings);
            if let Some(text) = text.filter(|text| read_span(text).is_none()) {
                let problem = format!("`{text}` is not a span of time");
                self.findings.error("span-unreadable", &section.at(key), problem, "write 30m or 8h");
            }
        }
        section.finish(&mut self.findings);
        Some(node.value.to_json())
    }

    pub(super) fn size(&mut self, section: &mut Section<'_>, key: &'static str) -> Option<u64> {
        let text = section.text(key, &mut self.findings)?;
        let size = read_size(&text).filter(|size| *size > 0);
        if size.is_none() {
            let problem = format!("`{text}` is not a size");
            self.findings.error("size-unreadable", &section.at(key), problem, "write 2GiB or 256MiB");
        }
        size
    }

    fn airlock(&mut self, block: &mut Section<'_>) -> Option<AirlockRule> {
        let mut section = block.section("airlock", &mut self.findings)?;
        let ladder_step = section.section("ladder", &mut self.findings).and_then(|mut ladder| {
            if ladder.get("step").is_none() {
                missing(&ladder.at("step"), &mut self.findings);
            }
            let step = ladder.positive("step", &mut self.findings);
            ladder.finish(&mut self.findings);
            step
        });
        let budget_bits = section.positive("budget_bits", &mut self.findings);
        section.finish(&mut self.findings);
        Some(AirlockRule { ladder_step, budget_bits })
    }

    fn task_extras(&mut self, mut section: Section<'_>, task: &mut Task, extras: &mut Extras) {
        if let Some(node) = section.get("metric") {
            let at = section.at("metric");
            self.places.metrics.insert(task.index, at.clone());
            task.metrics = self.metrics(node, &at);
        }
        task.ids = self.file(&mut section, "ids", Use::Table);
        let words = [("public", InputVisibility::Public), ("hidden", InputVisibility::Hidden)];
        if let Some(input) = section.choice("input", &words, &mut self.findings) {
            extras.input.insert(task.index, (input, section.at("input")));
        }
        let hidden_set = section.text("hidden_set", &mut self.findings);
        task.hidden_set = hidden_set.filter(|name| !name.trim().is_empty());
        if let Some(mut twin) = section.section("twin", &mut self.findings) {
            self.places.twins.insert(task.index, twin.place.clone());
            for key in ["input", "reference"] {
                if twin.get(key).is_none() {
                    missing(&twin.at(key), &mut self.findings);
                }
            }
            let input = self.file(&mut twin, "input", Use::Data).unwrap_or_default();
            let reference = self.file(&mut twin, "reference", Use::Data).unwrap_or_default();
            twin.finish(&mut self.findings);
            task.twin = Some(Twin { input, reference });
        }
        task.shared = section.flag("shared", false, &mut self.findings);
        self.probes(&mut section, task);
        self.model(&mut section, task);
        if let Some(limits) = section.section("resources", &mut self.findings) {
            task.resources = self.resources(limits);
        }
        section.finish(&mut self.findings);
    }

    /// One metric, or a list of them.
    fn metrics(&mut self, node: &Node, at: &Place) -> Vec<MetricSpec> {
        let empty = node.value == Value::List(Vec::new());
        let read: Vec<(Option<MetricSpec>, Place)> = match &node.value {
            Value::List(items) => items
                .iter()
                .enumerate()
                .map(|(index, item)| {
                    let at = Place { key: format!("{}[{index}]", at.key), line: item.line };
                    (self.metric(item, &at), at)
                })
                .collect(),
            _ => vec![(self.metric(node, at), at.clone())],
        };
        let (mut metrics, places): (Vec<MetricSpec>, Vec<Place>) =
            read.into_iter().filter_map(|(metric, at)| Some((metric?, at))).unzip();
        for (index, SpecProblem { key, problem, mend }) in validate_list(&metrics) {
            let place = places.get(index).unwrap_or(at);
            let key_path = if empty { place.key.clone() } else { join(&place.key, &key) };
            let at = Place { key: key_path, line: place.line };
            let unknown = metrics.get(index).is_some_and(|metric| metric.unknown_keys.contains(&key));
            if unknown {
                self.findings.warn("unknown-key", &at, problem, mend);
            } else if !metrics.is_empty() || empty {
                self.findings.error("metric-invalid", &at, problem, mend);
            }
        }
        for metric in &mut metrics {
            metric.unknown_keys.clear();
        }
        metrics
    }

    fn metric(&mut self, node: &Node, at: &Place) -> Option<MetricSpec> {
        if !matches!(node.value, Value::Map(_)) {
            wrong_kind(at, &node.value, "a mapping (keys with values)", &mut self.findings);
            return None;
        }
        match serde_json::from_value::<MetricSpec>(node.value.to_json()) {
            Ok(spec) => Some(spec),
            Err(error) => {
                let mend = "see the metrics in the organizer's guide";
                self.findings.error(
                    "metric-invalid",
                    at,
                    format!("the metric cannot be used: {error}"),
                    mend,
                );
                None
            }
        }
    }

    fn resources(&mut self, mut section: Section<'_>) -> Resources {
        let default = Resources::default();
        let resources = Resources {
            cpus: section.positive("cpus", &mut self.findings).unwrap_or(default.cpus),
            memory: self.size(&mut section, "memory").unwrap_or(default.memory),
            pids: section.count("pids", default.pids, &mut self.findings),
            output: self.size(&mut section, "output").unwrap_or(default.output),
        };
        for (key, value, least) in [
            ("memory", resources.memory, 16 << 20),
            ("pids", u64::from(resources.pids), 8),
            ("output", resources.output, 64 << 10),
        ] {
            if value < least {
                let problem = format!("with {value} no program can start");
                let mend = format!("write at least {least}");
                self.findings.error("resources-small", &section.at(key), problem, mend);
            }
        }
        section.finish(&mut self.findings);
        resources
    }
}
