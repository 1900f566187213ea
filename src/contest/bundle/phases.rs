//! `phases`: spans of time, one after the other.

use jiff::Timestamp;

use super::competition::{Reader, Use};
use super::dates::read_date;
use super::finding::Place;
use super::section::{Section, missing, scalar_text, wrong_kind};
use super::tasks::NO_INDEX;
use crate::contest::definition::{Phase, Task};

/// A phase and where its dates stand.
struct Draft {
    phase: Phase,
    declared_index: Option<i64>,
    place: Place,
    start_at: Place,
    end_at: Place,
}

impl Reader<'_> {
    /// Reads the phases: sorted by `index` (default 0), then renumbered.
    pub(super) fn phases(&mut self, top: &mut Section<'_>, tasks: &[Task]) -> Vec<Phase> {
        let items = top.list("phases", &mut self.findings);
        if items.is_empty() && !self.findings.has_errors_at("phases") {
            missing(&top.at("phases"), &mut self.findings);
        }
        let mut drafts: Vec<Draft> = Vec::new();
        for (place, node) in items {
            let Some(section) = Section::of(node, place, &mut self.findings) else { continue };
            drafts.push(self.phase(section, tasks));
        }
        self.check_indexes(&drafts);
        drafts.sort_by_key(|draft| draft.declared_index.unwrap_or(0));
        for (position, draft) in drafts.iter_mut().enumerate() {
            draft.phase.index = i64::try_from(position).unwrap_or(i64::MAX);
        }
        self.check_order(&mut drafts);
        self.check_use(&drafts, tasks);
        drafts.into_iter().map(|draft| draft.phase).collect()
    }

    fn phase(&mut self, mut section: Section<'_>, tasks: &[Task]) -> Draft {
        let name = section.required_text("name", &mut self.findings);
        let declared_index = section.whole("index", &mut self.findings);
        let start = self.date(&mut section, "start");
        if start.is_none() && section.get("start").is_none() {
            missing(&section.at("start"), &mut self.findings);
        }
        let end = self.date(&mut section, "end");
        let findings = &mut self.findings;
        if section.has("solutions") {
            let problem = "`solutions` inside a phase is ignored";
            findings.warn(
                "phase-solutions",
                &section.at("solutions"),
                problem,
                "list solutions at the top level",
            );
        }
        let limit = match section.count("execution_time_limit", 600, findings) {
            0 => 600,
            limit => limit,
        };
        let phase = Phase {
            index: 0,
            name,
            description: section.text("description", findings).unwrap_or_default(),
            start: start.unwrap_or(Timestamp::UNIX_EPOCH),
            end,
            tasks: self.phase_tasks(&mut section, tasks),
            max_submissions_per_day: section.count("max_submissions_per_day", 5, &mut self.findings),
            max_submissions: section.count("max_submissions", 100, &mut self.findings),
            execution_time_limit: limit,
            auto_migrate_to_this_phase: section.flag("auto_migrate_to_this_phase", false, &mut self.findings),
            hide_output: section.flag("hide_output", false, &mut self.findings),
            hide_prediction_output: section.flag("hide_prediction_output", false, &mut self.findings),
            hide_score_output: section.flag("hide_score_output", false, &mut self.findings),
            starting_kit: self.file(&mut section, "starting_kit", Use::Any),
            public_data: self.file(&mut section, "public_data", Use::Any),
            accepts_only_result_submissions: section.flag(
                "accepts_only_result_submissions",
                false,
                &mut self.findings,
            ),
        };
        let (start_at, end_at) = (section.at("start"), section.at("end"));
        let place = section.place.clone();
        section.finish(&mut self.findings);
        Draft { phase, declared_index, place, start_at, end_at }
    }

    fn phase_tasks(&mut self, section: &mut Section<'_>, tasks: &[Task]) -> Vec<i64> {
        let at = section.at("tasks");
        let mut indexes = Vec::new();
        for index in section.wholes("tasks", &mut self.findings) {
            if !tasks.iter().any(|task| task.index == index) {
                let problem = format!("there is no task with the index {index}");
                self.findings.error("task-unknown", &at, problem, "name the index of a task");
            } else if indexes.contains(&index) {
                let problem = format!("the task {index} is listed twice");
                self.findings.warn("phase-task-twice", &at, problem, "list it once");
            } else {
                indexes.push(index);
            }
        }
        if indexes.is_empty() && !self.findings.has_errors_at(&at.key) {
            let mend = "list the index of at least one task";
            self.findings.error("phase-without-task", &at, "a phase needs a task", mend);
        }
        indexes
    }

    pub(super) fn date(&mut self, section: &mut Section<'_>, key: &'static str) -> Option<Timestamp> {
        let node = section.get(key)?;
        let at = section.at(key);
        let Some(text) = scalar_text(node) else {
            wrong_kind(&at, &node.value, "a date", &mut self.findings);
            return None;
        };
        if text.trim().is_empty() {
            return None;
        }
        let Some(date) = read_date(&text) else {
            let problem = format!("`{text}` is not a date that exists");
            let mend = "write 2026-12-31 or \"2026-12-31 23:59:59\" (UTC)";
            self.findings.error("date-unreadable", &at, problem, mend);
            return None;
        };
        if date.day_first {
            let problem = format!("`{text}` has the day first; it is read as {}", date.at);
            self.findings.warn("date-day-first", &at, problem, "write the year first: 2026-12-31");
        }
        if date.offset {
            let problem =
                format!("`{text}` has an offset; it is read as {}. Codabench ignores offsets", date.at);
            self.findings.warn("date-offset", &at, problem, "write the time in UTC");
        }
        Some(date.at)
    }

    fn check_indexes(&mut self, drafts: &[Draft]) {
        for (position, draft) in drafts.iter().enumerate() {
            match draft.declared_index {
                None => {
                    let problem = "the phase has no `index`; it is taken as 0";
                    let mend = "number the phases from 0";
                    self.findings.warn("phase-without-index", &draft.place, problem, mend);
                }
                Some(index) if drafts[..position].iter().any(|other| other.declared_index == Some(index)) => {
                    let problem = format!("two phases have the index {index}; they keep the file's order");
                    let mend = "number the phases from 0";
                    self.findings.warn("phase-index-duplicate", &draft.place, problem, mend);
                }
                Some(_) => {}
            }
        }
    }

    fn check_order(&mut self, drafts: &mut [Draft]) {
        let findings = &mut self.findings;
        for draft in drafts.iter() {
            let Phase { start, end, name, .. } = &draft.phase;
            let Some(end) = end.filter(|_| !findings.has_errors_at(&draft.start_at.key)) else { continue };
            if end < *start {
                let problem =
                    format!("the phase `{name}` ends at {end}, before it starts ({start}): it is never open");
                findings.warn("phase-ends-before-start", &draft.end_at, problem, "correct one of the dates");
            } else if end == *start {
                let problem =
                    format!("the phase `{name}` ends when it starts ({start}): a date means midnight");
                let mend = "write the day after as `end`, or a time";
                findings.warn("phase-empty", &draft.end_at, problem, mend);
            }
        }
        for pair in drafts.windows(2) {
            let [before, after] = pair else { continue };
            let (first, second) = (&before.phase.name, &after.phase.name);
            let broken = [&before.end_at, &after.start_at];
            if broken.iter().any(|at| findings.has_errors_at(&at.key)) {
                continue;
            }
            match before.phase.end {
                None => {
                    let problem = format!("the phase `{first}` has no end, but `{second}` follows it");
                    findings.error("phase-without-end", &before.end_at, problem, "add `end`");
                }
                Some(end) if after.phase.start <= end => {
                    let start = after.phase.start;
                    let problem =
                        format!("`{second}` starts at {start}, but `{first}` ends at {end}: they overlap");
                    let mend = "let each phase start later than the one before ends";
                    findings.error("phase-overlap", &after.start_at, problem, mend);
                }
                Some(_) => {}
            }
        }
        if let Some(first) = drafts.first_mut().filter(|draft| draft.phase.auto_migrate_to_this_phase) {
            let at = Place {
                key: format!("{}.auto_migrate_to_this_phase", first.place.key),
                line: first.place.line,
            };
            let problem = "nothing can migrate to the first phase; the switch is ignored";
            findings.warn("auto-migrate-first", &at, problem, "set it on a later phase");
            first.phase.auto_migrate_to_this_phase = false;
        }
    }

    fn check_use(&mut self, drafts: &[Draft], tasks: &[Task]) {
        for task in tasks.iter().filter(|task| task.index != NO_INDEX) {
            let users: Vec<&str> = drafts
                .iter()
                .filter(|draft| draft.phase.tasks.contains(&task.index))
                .map(|draft| draft.phase.name.as_str())
                .collect();
            let at = Place { key: "phases".to_owned(), line: None };
            match users.as_slice() {
                [] => {
                    let problem = format!("the task {} (`{}`) is in no phase", task.index, task.name);
                    self.findings.warn("task-unused", &at, problem, "list it in a phase, or remove it");
                }
                [_] => {}
                several => {
                    let problem = format!(
                        "the task {} (`{}`) is used by several phases: {}",
                        task.index,
                        task.name,
                        several.join(", ")
                    );
                    let mend = "give the last phase its own task with other hidden data, if it decides";
                    self.findings.warn("task-shared", &at, problem, mend);
                }
            }
        }
    }
}
