//! What authors get wrong: checks over the whole definition and its files, after it was read.

use std::collections::HashMap;

use super::competition::Reader;
use super::extras::Extras;
use super::files::{FileEntry, digest_of, is_zip};
use super::finding::{COMPETITION_YAML, Place, Severity};
use crate::contest::definition::{Column, Definition, InputVisibility, Sorting, Task};
use crate::scoring::metric::Direction;
use crate::submission::command::{METADATA_NAMES, read_metadata, split};

/// Files smaller than this are not taken for the answers when the same bytes stand elsewhere.
const ANSWER_BYTES: u64 = 16;

impl Reader<'_> {
    /// Sets the visibility of each task's input: public when declared so, when
    /// `make_input_data_available` gives it away, when it is the same as some `public_data`, or when
    /// there is none; else hidden.
    pub(super) fn check_visibility(&mut self, definition: &mut Definition, extras: &Extras) {
        let public: Vec<String> = definition
            .phases
            .iter()
            .filter_map(|phase| phase.public_data.as_deref())
            .filter_map(|path| self.content_digest(path))
            .collect();
        for task in &mut definition.tasks {
            let digest = task.input_data.as_deref().and_then(|path| self.content_digest(path));
            let given_away = match digest {
                Some(digest) if public.contains(&digest) => Some("it is the same as `public_data`"),
                Some(_) if definition.make_input_data_available => {
                    Some("`make_input_data_available` gives it to everybody")
                }
                _ => None,
            };
            // An ingestion program beside the scorer may hand hidden data on.
            let nothing = task.input_data.is_none() && !task.ingestion_only_during_scoring;
            task.input = match extras.input.get(&task.index) {
                Some((InputVisibility::Hidden, at)) => {
                    if let Some(why) = given_away {
                        let problem = format!("the input is declared hidden, but {why}");
                        let mend = "declare it public, or keep it out of what can be downloaded";
                        self.findings.error("input-not-hidden", at, problem, mend);
                    }
                    InputVisibility::Hidden
                }
                Some((InputVisibility::Public, _)) => InputVisibility::Public,
                None if nothing || given_away.is_some() => InputVisibility::Public,
                None => InputVisibility::Hidden,
            };
        }
    }

    /// One digest of what a value contains, the same for a folder and its zip; `None` for nothing.
    fn content_digest(&self, path: &str) -> Option<String> {
        let contents = self.files.contents(path).ok()?;
        (!contents.is_empty()).then(|| digest_of(&contents))
    }

    /// All checks over the whole.
    pub(super) fn lint(&mut self, definition: &Definition, image_at: &Place) {
        let needs_image = definition.tasks.iter().any(|task| {
            task.scoring_program.is_some()
                || task.ingestion_program.is_some()
                || definition.phases.iter().any(|phase| !phase.accepts_only_result_submissions)
        });
        if needs_image {
            self.check_image(&definition.docker_image, image_at);
        }
        let native = |column: &Column| {
            definition.tasks.iter().flat_map(|task| &task.metrics).any(|metric| metric.column == column.key)
        };
        for column in definition.leaderboard.columns.iter().filter(|column| !native(column)) {
            self.check_direction(column);
        }
        for task in &definition.tasks {
            let at = self.places.tasks.get(&task.index).cloned().unwrap_or_default();
            self.check_scoring(task, definition, &at);
            if let Some(program) = &task.ingestion_program {
                self.check_command(program, "ingestion_program", &at);
            }
            if task.has_ingestion_beside_scoring() && !task.shared {
                let problem = "the ingestion program runs while scoring and talks with the scorer through a \
                               writable directory; without your opt-in this task's submissions are rejected";
                let mend = format!(
                    "set `shuyu.tasks.{}.shared: true` if participants may learn what the scorer writes \
                     there, or let ingestion run before scoring",
                    task.index
                );
                self.findings.warn("shared-not-allowed", &at, problem, mend);
            }
            self.check_probes(task, definition);
            self.check_model(task);
            self.check_leaks(task, definition, &at);
            self.check_twin(task);
            if task.input == InputVisibility::Hidden && !task.has_trial() {
                let problem = "the input is hidden and there is no twin: a participant whose program fails \
                               learns nothing about why";
                let mend = format!(
                    "add `shuyu.tasks.{}.twin` with public or made-up data of the same layout, or declare the \
                     input public",
                    task.index
                );
                self.findings.warn("hidden-without-twin", &at, problem, mend);
            }
        }
        self.check_hidden_sets(&definition.tasks);
        self.check_entries(definition);
        if !self.html_pages.is_empty() {
            self.html_pages.sort();
            self.html_pages.dedup();
            let problem = format!(
                "HTML is cleaned before it is shown (scripts, styles, frames and forms go): {}",
                self.html_pages.join(", ")
            );
            let mend = "look at the pages after the import, or write them in Markdown".to_owned();
            let at = Place { key: "pages".to_owned(), line: None };
            self.findings.record(Severity::Note, "page-html", COMPETITION_YAML, &at, problem, mend);
        }
        for path in &self.files.strange {
            let problem = "a link or a special file, which is not part of the bundle".to_owned();
            let mend = "replace it by a copy of what it stands for".to_owned();
            let nowhere = Place::default();
            self.findings.record(Severity::Warning, "not-a-file", path, &nowhere, problem, mend);
        }
    }

    fn check_direction(&mut self, column: &Column) {
        let words: Vec<String> = [&column.key, &column.title]
            .iter()
            .flat_map(|name| name.split(|c: char| !c.is_alphanumeric()).map(str::to_lowercase))
            .collect();
        let has = |list: &[&str]| words.iter().any(|word| list.contains(&word.as_str()));
        let larger = has(&[
            "accuracy",
            "acc",
            "auc",
            "f1",
            "precision",
            "recall",
            "r2",
            "dice",
            "iou",
            "map",
            "ndcg",
            "mcc",
            "kappa",
            "spearman",
            "pearson",
            "bleu",
            "rouge",
            "准确率",
            "精度",
            "召回率",
        ]);
        let smaller = has(&[
            "rmse", "mae", "mse", "mape", "rmsle", "loss", "logloss", "error", "wer", "cer", "duration",
            "runtime", "time", "cost", "误差", "损失", "耗时",
        ]);
        let at = self.places.columns.get(&column.key).cloned().unwrap_or_default();
        let (way, mend) = match column.sorting {
            Sorting::Asc if larger && !smaller => ("smaller", "write `sorting: desc`, if larger is better"),
            Sorting::Desc if smaller && !larger => ("larger", "write `sorting: asc`, if smaller is better"),
            _ => return,
        };
        let problem = format!("`{}` ranks {way} values first, which is unusual for its name", column.title);
        self.findings.warn("sorting-direction", &at, problem, mend);
    }

    fn check_scoring(&mut self, task: &Task, definition: &Definition, at: &Place) {
        let key = |name: &str| Place { key: format!("{}.{name}", at.key), line: at.line };
        match (&task.scoring_program, task.metrics.is_empty()) {
            (None, true) if task.takes_apps() => {}
            (None, true) => {
                let problem = format!("the task `{}` has neither a scoring program nor a metric", task.name);
                let mend = "add `scoring_program`, or a native metric or probes in `shuyu.tasks`";
                self.findings.error("scoring-missing", &key("scoring_program"), problem, mend);
            }
            (Some(program), true) => self.check_command(program, "scoring_program", at),
            (Some(_), false) => {
                let problem = "the native metric scores; the scoring program is not run";
                let mend = "remove one of them";
                self.findings.warn("scoring-twice", &key("scoring_program"), problem, mend);
            }
            (None, false) => {}
        }
        if task.metrics.is_empty() {
            return;
        }
        if task.reference_data.is_none() {
            let problem = "a native metric compares with reference data, and there is none";
            let mend = "add `reference_data`";
            self.findings.error("reference-missing", &key("reference_data"), problem, mend);
        }
        self.check_metric_columns(task, definition);
    }

    fn check_metric_columns(&mut self, task: &Task, definition: &Definition) {
        let columns = &definition.leaderboard.columns;
        let at = self.places.metrics.get(&task.index).cloned().unwrap_or_default();
        for metric in &task.metrics {
            match columns.iter().find(|column| column.key == metric.column) {
                None => {
                    let problem = format!("no leaderboard column has the key `{}`", metric.column);
                    let mend = "name the key of a column in `column`";
                    self.findings.error("metric-column-unknown", &at, problem, mend);
                }
                Some(column) if column.computation.is_some() => {
                    let problem = format!("the column `{}` is computed from others", metric.column);
                    let mend = "name a column without `computation`";
                    self.findings.error("metric-column-computed", &at, problem, mend);
                }
                Some(column) => {
                    let (sorting, word) = match metric.direction() {
                        Direction::Higher => (Sorting::Desc, "desc"),
                        Direction::Lower => (Sorting::Asc, "asc"),
                    };
                    if column.sorting != sorting {
                        let place = self.places.columns.get(&column.key).cloned().unwrap_or_default();
                        let problem = format!(
                            "{} is sorted the other way round: its worst value comes first",
                            metric.name
                        );
                        let mend = format!("write `sorting: {word}`");
                        self.findings.warn("sorting-direction", &place, problem, mend);
                    }
                }
            }
        }
        let filled = |column: &&Column| {
            column.computation.is_some() || task.metrics.iter().any(|metric| metric.column == column.key)
        };
        for column in columns.iter().filter(|column| !filled(column)) {
            let problem = format!("no metric of the task {} writes the column `{}`", task.index, column.key);
            self.findings.warn("column-unfilled", &at, problem, "add a metric, or remove the column");
        }
    }

    /// A program that is run needs a metadata file with a command at its root.
    fn check_command(&mut self, program: &str, key: &str, at: &Place) {
        let at = Place { key: format!("{}.{key}", at.key), line: at.line };
        let Ok(contents) = self.files.contents(program) else { return };
        if self.files.kind(program).is_none() {
            return;
        }
        let Some(metadata) = self.files.text_within(program, &METADATA_NAMES) else {
            let deeper = contents.iter().find(|entry| {
                entry.path.split('/').next_back().is_some_and(|name| METADATA_NAMES.contains(&name))
            });
            let (problem, mend) = match deeper {
                Some(entry) => (
                    format!(
                        "`{program}` has its metadata file in a folder (`{}`), not at its root",
                        entry.path
                    ),
                    if is_zip(program) {
                        "zip the files from inside that folder"
                    } else {
                        "name that folder"
                    },
                ),
                None => (
                    format!(
                        "`{program}` has no `metadata.yaml` (or `metadata`), so there is no command to run"
                    ),
                    "add `metadata.yaml` with a line such as `command: python3 $program/score.py $input $output`",
                ),
            };
            self.findings.error("program-without-command", &at, problem, mend);
            return;
        };
        let command = match read_metadata(&metadata) {
            Ok(Some(command)) => command,
            Ok(None) => {
                let problem = format!("the metadata file of `{program}` has no `command`");
                let mend = "add a line such as `command: python3 $program/score.py $input $output`";
                self.findings.error("program-without-command", &at, problem, mend);
                return;
            }
            Err(error) => {
                let problem = format!("the metadata file of `{program}` is not valid YAML: {error}");
                let mend = "correct that line; quote text that holds `: ` or `#`";
                self.findings.error("program-without-command", &at, problem, mend);
                return;
            }
        };
        if let Err(error) = split(&command) {
            let problem = format!("`{program}`: {error}");
            self.findings.error("command-unreadable", &at, problem, "correct the quotation marks");
        }
    }

    /// Looks for the answers in what participants, or their programs, can read.
    fn check_leaks(&mut self, task: &Task, definition: &Definition, at: &Place) {
        let Some(reference) = &task.reference_data else { return };
        let mut places: Vec<(&str, &str, String)> = Vec::new();
        if let Some(input) = &task.input_data {
            places.push((input, "input_data", "the submitted programs can".to_owned()));
        }
        if let Some(ingestion) = &task.ingestion_program {
            places.push((ingestion, "ingestion_program", "the submitted programs can".to_owned()));
        }
        for phase in &definition.phases {
            let everybody = format!("from the phase `{}` on, participants can", phase.name);
            places.extend(
                phase.public_data.iter().map(|path| (path.as_str(), "public_data", everybody.clone())),
            );
            places.extend(
                phase.starting_kit.iter().map(|path| (path.as_str(), "starting_kit", everybody.clone())),
            );
        }
        if let Some(ids) = &task.ids {
            places.push((ids, "ids", "participants can".to_owned()));
        }
        let Ok(answers) = self.files.contents(reference) else { return };
        let answers: HashMap<&str, &str> = answers
            .iter()
            .filter(|entry| entry.size >= ANSWER_BYTES && !harmless(&entry.path))
            .map(|entry| (entry.sm3.as_str(), entry.path.as_str()))
            .collect();
        let mut told = Vec::new();
        for (path, what, who) in places {
            if told.contains(&(path, what)) {
                continue;
            }
            told.push((path, what));
            let Ok(contents) = self.files.contents(path) else { continue };
            let Some((entry, answer)) =
                contents.iter().find_map(|entry| Some((entry, answers.get(entry.sm3.as_str())?)))
            else {
                continue;
            };
            let more = contents.iter().filter(|entry| answers.contains_key(entry.sm3.as_str())).count() - 1;
            let more = if more == 0 { String::new() } else { format!(" and {more} more") };
            let problem = format!(
                "the reference data's `{answer}` is also in {what} (`{}` of `{path}`{more}): {who} read the \
                 answers",
                entry.path
            );
            let at = Place { key: format!("{}.reference_data", at.key), line: at.line };
            let mend = "take it out there, unless the answers are meant to be open".to_owned();
            self.findings.record(
                Severity::Warning,
                "reference-exposed",
                COMPETITION_YAML,
                &at,
                problem,
                mend,
            );
        }
    }
}

impl Reader<'_> {
    /// A twin's logs and scores are open, so it must not hold what is hidden.
    fn check_twin(&mut self, task: &Task) {
        let Some(twin) = &task.twin else { return };
        let mut pairs = vec![(&twin.reference, &task.reference_data, "reference")];
        if task.input == InputVisibility::Hidden {
            pairs.push((&twin.input, &task.input_data, "input"));
        }
        for (open, hidden, what) in pairs {
            let Some(hidden) = hidden else { continue };
            let (Ok(open), Ok(secret)) = (self.files.contents(open), self.files.contents(hidden)) else {
                continue;
            };
            let same = |entry: &&FileEntry| secret.iter().any(|other| other.sm3 == entry.sm3);
            let telling = |entry: &&FileEntry| entry.size >= ANSWER_BYTES && !harmless(&entry.path);
            if let Some(entry) = open.iter().filter(telling).find(same) {
                let problem = format!(
                    "the twin's {what} holds `{}`, which is also in the hidden {what}: everything about the twin is \
                     shown to participants",
                    entry.path
                );
                let at = self.places.twins.get(&task.index).cloned().unwrap_or_default();
                let mend = "give the twin public or made-up data of its own";
                self.findings.error("twin-not-separate", &at, problem, mend);
            }
        }
    }

    /// Tasks that ask about the same answers must share a ledger.
    fn check_hidden_sets(&mut self, tasks: &[Task]) {
        let mut seen: Vec<(String, &Task)> = Vec::new();
        for task in tasks {
            let Some(digest) = task.reference_data.as_deref().and_then(|path| self.content_digest(path))
            else {
                continue;
            };
            let first = seen.iter().find(|(known, _)| *known == digest).map(|(_, first)| *first);
            match first {
                Some(first) if first.hidden_set.is_none() || first.hidden_set != task.hidden_set => {
                    let problem = format!(
                        "the tasks {} and {} have the same reference data but count what was learnt about it apart",
                        first.index, task.index
                    );
                    let mend = "give both the same `hidden_set` in `shuyu.tasks`";
                    let at = self.places.tasks.get(&task.index).cloned().unwrap_or_default();
                    self.findings.warn("hidden-set-split", &at, problem, mend);
                }
                Some(_) => {}
                None => seen.push((digest, task)),
            }
        }
    }
}

/// Files that stand in many folders and answer nothing.
fn harmless(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
    let stem = name.split('.').next().unwrap_or_default();
    name.starts_with('.')
        || matches!(stem, "readme" | "license" | "licence" | "metadata" | "__init__" | "requirements")
}
