//! `shuyu.tasks.N.probes`: the probe files of a task and what they name.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::competition::Reader;
use super::files::{Kind, clean_path};
use super::finding::Place;
use super::node::{Node, Value};
use super::section::{Section, scalar_text, wrong_kind};
use crate::contest::definition::{BundlePath, Definition, ProbeFile, Task};
use crate::probing::read::{ATTACHED_BYTES, FILE_BYTES, suite};
use crate::probing::suite::{MOST_PROBES, Suite, Visibility};
use crate::probing::tally;

impl Reader<'_> {
    /// The probe files of a task: a path, a pattern with `*` in its last part, a folder, or a list of such.
    pub(super) fn probes(&mut self, section: &mut Section<'_>, task: &mut Task) {
        let Some(node) = section.get("probes") else { return };
        let at = section.at("probes");
        self.places.probes.insert(task.index, at.clone());
        let written: Vec<(&Node, Place)> = match &node.value {
            Value::List(_) => {
                let items = section.list("probes", &mut self.findings);
                items.into_iter().map(|(place, node)| (node, place)).collect()
            }
            _ => vec![(node, at.clone())],
        };
        let mut suites: Vec<Suite> = Vec::new();
        for (node, place) in written {
            let Some(text) = scalar_text(node) else {
                wrong_kind(&place, &node.value, "a path in the bundle", &mut self.findings);
                continue;
            };
            for path in self.probe_files(&text, &place) {
                if task.probes.iter().any(|known| known.path == path) {
                    continue;
                }
                if let Some((file, suite)) = self.probe_file(path, &place) {
                    self.check_names_across(&suites, &suite, &file.path);
                    task.probes.push(file);
                    suites.push(suite);
                }
            }
        }
        let asked: usize = suites.iter().flat_map(|suite| &suite.probes).map(|probe| probe.times()).sum();
        if asked > MOST_PROBES {
            let problem = format!("the task asks {asked} probes; {MOST_PROBES} are the most");
            self.findings.error(
                "probes-too-many",
                &at,
                problem,
                "ask fewer, or draw fewer of the randomized ones",
            );
        }
        if suites.iter().all(|suite| suite.probes.is_empty()) && !self.findings.has_errors() {
            self.findings.error(
                "probes-none",
                &at,
                "there is no probe",
                "list some under `probes` in that file",
            );
        }
        self.places.suites.insert(task.index, suites);
    }

    fn probe_files(&mut self, text: &str, place: &Place) -> Vec<BundlePath> {
        let path = match clean_path(text) {
            Ok(path) => path,
            Err(why) => {
                let mend = "write a path below the bundle's root, such as probes/public.yaml";
                self.findings.error("path-unsafe", place, format!("`{text}`: {why}"), mend);
                return Vec::new();
            }
        };
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
        let found = match (self.files.kind(&path), name.split_once('*')) {
            (Some(Kind::File), _) => vec![path.clone()],
            (Some(Kind::Directory), _) => self.files.in_folder(&path, is_yaml),
            (None, Some((start, end))) => self.files.in_folder(folder, |name| {
                name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end)
            }),
            (None, None) => Vec::new(),
        };
        if found.is_empty() {
            let problem = format!("there is no probe file at `{path}` in the bundle");
            self.findings.error(
                "file-missing",
                place,
                problem,
                "name a file such as probes/public.yaml, or probes/*.yaml",
            );
        }
        found
    }

    fn probe_file(&mut self, path: BundlePath, place: &Place) -> Option<(ProbeFile, Suite)> {
        let unreadable = |reader: &mut Self, problem: String| {
            reader.findings.error(
                "probes-unreadable",
                place,
                problem,
                "save it as UTF-8 text, and keep data in files beside it",
            );
        };
        if self.files.size(&path).is_none_or(|size| size > FILE_BYTES) {
            unreadable(self, format!("`{path}` has more than {FILE_BYTES} bytes"));
            return None;
        }
        let Some(text) = self.files.text(&path) else {
            unreadable(self, format!("`{path}` is not text in UTF-8"));
            return None;
        };
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
        let mut attached: BTreeMap<String, BundlePath> = BTreeMap::new();
        let files = self.files;
        let (suite, findings) = suite(&path, &text, &mut |name| {
            let joined = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
            let clean = clean_path(&joined).map_err(|why| format!("`{name}`: {why}"))?;
            match files.size(&clean) {
                None => Err(format!("there is no file `{clean}` in the bundle")),
                Some(size) if size > ATTACHED_BYTES => {
                    Err(format!("`{clean}` has more than {ATTACHED_BYTES} bytes"))
                }
                Some(_) => {
                    let bytes = files.bytes(&clean).map_err(|error| format!("`{clean}`: {error}"))?;
                    attached.insert(name.to_owned(), clean);
                    Ok(Arc::from(bytes))
                }
            }
        });
        // several tasks may name one file: it is told of once
        if self.probe_files_told.insert(path.clone()) {
            self.findings.take_over(findings);
        }
        let suite = suite?;
        Some((ProbeFile { path, visibility: suite.visibility, attached }, suite))
    }

    fn check_names_across(&mut self, before: &[Suite], suite: &Suite, path: &str) {
        let known =
            |name: &str| before.iter().flat_map(|suite| &suite.probes).any(|probe| probe.name == name);
        let twice: Vec<&str> =
            suite.probes.iter().map(|probe| probe.name.as_str()).filter(|name| known(name)).collect();
        if !twice.is_empty() {
            let problem = format!(
                "{path}: another file of the task has probes of the same names: {}",
                twice.join(", ")
            );
            let mend = "give each probe of a task a name of its own";
            self.findings.error("probe-name-twice", &Place::default(), problem, mend);
        }
    }

    /// What a task's probes fill of the board, and what stands in their way.
    pub(super) fn check_probes(&mut self, task: &Task, definition: &Definition) {
        if task.probes.is_empty() {
            return;
        }
        let at = self.places.probes.get(&task.index).cloned().unwrap_or_default();
        let beside = [
            (task.scoring_program.is_some(), "a scoring program"),
            (!task.metrics.is_empty(), "a metric"),
            (task.ingestion_program.is_some(), "an ingestion program"),
        ];
        for (_, what) in beside.into_iter().filter(|(there, _)| *there) {
            let problem = format!("the task has probes and {what}; an app is scored by its probes alone");
            self.findings.error("probes-beside", &at, problem, "give each a task of its own");
        }
        let suites = self.places.suites.get(&task.index).cloned().unwrap_or_default();
        let columns = &definition.leaderboard.columns;
        let unfilled: Vec<&str> = columns
            .iter()
            .filter(|column| column.computation.is_none() && !tally::fills(&column.key, &suites))
            .map(|column| column.key.as_str())
            .collect();
        let keys = format!("{} (and `_GROUP` after the first three)", tally::KEYS.join(", "));
        if unfilled.len() == columns.len() {
            let problem = "no leaderboard column has a key that probes fill";
            self.findings.error("probe-columns", &at, problem, format!("call columns by these keys: {keys}"));
        } else if !unfilled.is_empty() {
            let problem = format!("probes do not fill the columns {}", unfilled.join(", "));
            self.findings.warn("column-unfilled", &at, problem, format!("the keys that they fill: {keys}"));
        }
        self.check_probe_leaks(task, definition, &at);
        // one that could not be read may be what is missing
        let whole = !self.findings.has_errors();
        if whole && task.has_hidden_probes() && !task.has_trial() {
            let problem = "all probes are hidden: an author whose app fails learns nothing about why";
            let mend = "add a file with `visibility: public` and a few probes";
            self.findings.warn("hidden-without-twin", &at, problem, mend);
        }
    }

    /// Hidden files that something public names too.
    fn check_probe_leaks(&mut self, task: &Task, definition: &Definition, at: &Place) {
        let of = |visibility: Visibility| {
            let files = task.probes.iter().filter(move |file| file.visibility == visibility);
            files.flat_map(|file| file.attached.values().chain([&file.path]))
        };
        for hidden in of(Visibility::Hidden) {
            if of(Visibility::Public).any(|public| public == hidden) {
                let problem = format!("`{hidden}` belongs to hidden probes and to public ones");
                self.findings.error("probe-file-shared", at, problem, "keep a copy of its own for each");
            }
            let given = definition
                .phases
                .iter()
                .flat_map(|phase| [&phase.public_data, &phase.starting_kit])
                .flatten();
            let given = given.chain(definition.solutions.iter().map(|solution| &solution.path));
            for folder in
                given.filter(|folder| hidden == *folder || hidden.starts_with(&format!("{folder}/")))
            {
                let problem = format!("`{hidden}` is hidden, and `{folder}` gives it to participants");
                self.findings.error(
                    "probe-file-given",
                    at,
                    problem,
                    "keep hidden probes outside what can be downloaded",
                );
            }
        }
    }
}

fn is_yaml(name: &str) -> bool {
    name.ends_with(".yaml") || name.ends_with(".yml")
}
