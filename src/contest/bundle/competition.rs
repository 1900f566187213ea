//! The top level of `competition.yaml`: texts, switches, pages, fact sheet and solutions.

use std::collections::{BTreeMap, BTreeSet};

use super::ImageTable;
use super::files::{Files, Kind, clean_path, is_zip};
use super::finding::{COMPETITION_YAML, Findings, Place, Severity};
use super::node::{Node, Value};
use super::section::{Section, missing, scalar_text, wrong_kind};
use super::tasks::{NO_INDEX, own_index};
use crate::contest::definition::{
    BundlePath, CompetitionType, Definition, FactKind, FactQuestion, Page, Solution,
};
use crate::probing::suite::Suite;

/// The image that Codabench runs programs in when a bundle names none.
const DEFAULT_IMAGE: &str = "codalab/codalab-legacy:py37";

/// Top-level keys of CodaLab v1.5 and of other servers that mean nothing in a v2 bundle.
const FOREIGN_KEYS: [&str; 12] = [
    "queue",
    "html",
    "has_registration",
    "competition_docker_image",
    "end_date",
    "leaderboard",
    "force_submission_to_leaderboard",
    "disallow_leaderboard_modifying",
    "enable_forum",
    "published",
    "allow_robot_submissions",
    "admin_names",
];

/// What a declared file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// A text that is shown: a page, the terms.
    Page,
    /// The logo.
    Image,
    /// A program or data that containers see: a zip or a directory.
    Data,
    /// A single file that the service reads, such as a list of ids.
    Table,
    /// Something to download: any file or directory.
    Any,
}

/// Reads a declaration, gathering findings.
pub(super) struct Reader<'a> {
    pub(super) files: &'a Files,
    pub(super) findings: Findings,
    pub(super) images: Option<ImageTable<'a>>,
    /// Where each task and each column of the leaderboard stands: both are sorted after reading.
    pub(super) places: Places,
    /// Pages in HTML, for one note about all of them.
    pub(super) html_pages: Vec<BundlePath>,
    /// Files of probes whose findings are among these.
    pub(super) probe_files_told: BTreeSet<BundlePath>,
}

/// Where things stand that are looked at again after reading.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// Tasks by their index.
    pub(super) tasks: BTreeMap<i64, Place>,
    /// Metrics by the index of their task.
    pub(super) metrics: BTreeMap<i64, Place>,
    /// Twins by the index of their task.
    pub(super) twins: BTreeMap<i64, Place>,
    /// Columns by their key.
    pub(super) columns: BTreeMap<String, Place>,
    /// Probes by the index of their task.
    pub(super) probes: BTreeMap<i64, Place>,
    /// What models are asked for, likewise.
    pub(super) models: BTreeMap<i64, Place>,
    /// What files of probes hold, likewise.
    pub(super) suites: BTreeMap<i64, Vec<Suite>>,
    /// The section about entries.
    pub(super) entries: Place,
}

impl<'a> Reader<'a> {
    /// A reader without findings yet.
    pub(super) fn new(files: &'a Files, findings: Findings, images: Option<ImageTable<'a>>) -> Self {
        Self {
            files,
            findings,
            images,
            places: Places::default(),
            html_pages: Vec::new(),
            probe_files_told: BTreeSet::new(),
        }
    }
}

impl Reader<'_> {
    /// Reads the whole declaration. The result is usable only if no error was found.
    pub(super) fn definition(&mut self, root: &Node) -> Option<Definition> {
        let findings = &mut self.findings;
        let mut top = Section::of(root, Place::default(), findings)?;
        if !version_is_2(&mut top, findings) {
            return None;
        }
        let mut definition = head(&mut top, findings);
        let image_at = top.at("docker_image");
        definition.image = self.required_file(&mut top, "image", Use::Image);
        definition.terms = self.required_file(&mut top, "terms", Use::Page);
        definition.pages = self.pages(&mut top);
        definition.tasks = self.tasks(&mut top);
        definition.solutions = self.solutions(&mut top, &definition.tasks);
        definition.phases = self.phases(&mut top, &definition.tasks);
        definition.leaderboard = super::board::leaderboard(&mut top, &mut self.places, &mut self.findings);
        let extras = self.extras(&mut top, &mut definition);
        foreign_keys(&mut top, &mut self.findings);
        top.finish(&mut self.findings);
        self.check_visibility(&mut definition, &extras);
        self.lint(&definition, &image_at);
        Some(definition)
    }

    /// A file value that must be there.
    fn required_file(&mut self, section: &mut Section<'_>, key: &'static str, purpose: Use) -> BundlePath {
        if section.get(key).is_none() {
            missing(&section.at(key), &mut self.findings);
        }
        self.file(section, key, purpose).unwrap_or_default()
    }

    /// A file value: a path in the bundle to something that exists and suits its purpose.
    pub(super) fn file(
        &mut self,
        section: &mut Section<'_>,
        key: &'static str,
        purpose: Use,
    ) -> Option<BundlePath> {
        let node = section.get(key)?;
        self.file_at(node, &section.at(key), purpose)
    }

    /// As [`Reader::file`], for a value already in hand.
    pub(super) fn file_at(&mut self, node: &Node, at: &Place, purpose: Use) -> Option<BundlePath> {
        let Some(text) = scalar_text(node) else {
            wrong_kind(at, &node.value, "a path in the bundle", &mut self.findings);
            return None;
        };
        let path = match clean_path(&text) {
            Ok(path) => path,
            Err(why) => {
                let problem = format!("`{text}`: {why}");
                self.findings.error("path-unsafe", at, problem, "write a path below the bundle's root");
                return None;
            }
        };
        match self.files.kind(&path) {
            None => self.no_such_file(&path, at),
            Some(kind) => self.suits(&path, kind, at, purpose),
        }
        Some(path)
    }

    fn no_such_file(&mut self, path: &str, at: &Place) {
        let findings = &mut self.findings;
        if self.files.through_strange(path) {
            let problem = format!("`{path}` is or goes through a link or a special file");
            findings.error("path-link", at, problem, "put a copy of the file itself into the bundle");
        } else if uuid::Uuid::parse_str(path).is_ok() {
            uuid_reference(path, at, findings);
        } else if let Some(other) = self.files.other_case(path) {
            let problem = format!("there is no `{path}`, but there is `{other}`");
            findings.error("file-missing", at, problem, format!("write `{other}`"));
        } else {
            let problem = format!("there is no `{path}` in the bundle");
            findings.error("file-missing", at, problem, "add the file, or correct the path");
        }
    }

    fn suits(&mut self, path: &str, kind: Kind, at: &Place, purpose: Use) {
        let findings = &mut self.findings;
        match (purpose, kind) {
            (Use::Page | Use::Image | Use::Table, Kind::Directory) => {
                findings.error("file-missing", at, format!("`{path}` is a folder"), "name a file in it");
            }
            (Use::Page, Kind::File) => self.check_page(path, at),
            (Use::Image, Kind::File) => {
                let name = path.to_ascii_lowercase();
                let known = [".png", ".jpg", ".jpeg", ".gif", ".webp", ".svg"];
                if !known.iter().any(|ending| name.ends_with(ending)) {
                    let problem = format!("`{path}` has no ending of a picture");
                    findings.warn("image-kind", at, problem, "use a PNG, JPEG, GIF, WebP or SVG file");
                }
            }
            (Use::Data, Kind::File) if !is_zip(path) => {
                let problem = format!("`{path}` is neither a folder nor a zip");
                findings.error("not-a-zip", at, problem, "put the file into a folder and name the folder");
            }
            (Use::Table, Kind::File) => {}
            (Use::Data | Use::Any, _) => {
                if let Err(error) = self.files.contents(path) {
                    findings.error(error.code(), at, format!("`{path}`: {error}"), error.mend());
                }
            }
        }
    }

    fn check_page(&mut self, path: &str, at: &Place) {
        let findings = &mut self.findings;
        match self.files.text(path) {
            None => {
                let problem = format!("`{path}` is not text in UTF-8, or too long to be shown");
                findings.error("page-unreadable", at, problem, "save it as UTF-8 Markdown");
            }
            Some(text) if text.trim().is_empty() => {
                findings.error("page-empty", at, format!("`{path}` is empty"), "write something into it");
            }
            Some(_) if is_html(path) => self.html_pages.push(path.to_owned()),
            Some(_) => {}
        }
    }

    fn pages(&mut self, top: &mut Section<'_>) -> Vec<Page> {
        if top.get("pages").is_none() {
            missing(&top.at("pages"), &mut self.findings);
        }
        let mut pages = Vec::new();
        for (place, node) in top.list("pages", &mut self.findings) {
            let Some(mut page) = Section::of(node, place, &mut self.findings) else { continue };
            let title = page.required_text("title", &mut self.findings);
            let file = self.required_file(&mut page, "file", Use::Page);
            page.finish(&mut self.findings);
            pages.push(Page { title, file });
        }
        pages
    }

    fn solutions(
        &mut self,
        top: &mut Section<'_>,
        tasks: &[crate::contest::definition::Task],
    ) -> Vec<Solution> {
        let mut solutions: Vec<Solution> = Vec::new();
        for (place, node) in top.list("solutions", &mut self.findings) {
            let Some(mut section) = Section::of(node, place, &mut self.findings) else { continue };
            let index = own_index(&mut section, &mut self.findings);
            if index != NO_INDEX && solutions.iter().any(|solution| solution.index == index) {
                let problem = format!("two solutions have the index {index}");
                let mend = "give each its own index";
                self.findings.error("solution-index-duplicate", &section.at("index"), problem, mend);
            }
            let of = section.wholes("tasks", &mut self.findings);
            if of.is_empty() {
                let mend = "list the index of each task it solves";
                self.findings.error("missing-key", &section.at("tasks"), "`tasks` is required", mend);
            }
            for unknown in of.iter().filter(|index| !tasks.iter().any(|task| task.index == **index)) {
                let problem = format!("there is no task with the index {unknown}");
                let mend = "name the index of a task";
                self.findings.error("task-unknown", &section.at("tasks"), problem, mend);
            }
            let key = section.text("key", &mut self.findings);
            if let (Some(key), None) = (&key, section.get("path")) {
                uuid_reference(key, &section.at("key"), &mut self.findings);
            }
            let path = if key.is_none() {
                self.required_file(&mut section, "path", Use::Data)
            } else {
                self.file(&mut section, "path", Use::Data).unwrap_or_default()
            };
            let name = section.text("name", &mut self.findings);
            let name = name.unwrap_or_else(|| format!("solution {index}"));
            let description = section.text("description", &mut self.findings).unwrap_or_default();
            section.finish(&mut self.findings);
            solutions.push(Solution { index, tasks: of, path, name, description });
        }
        solutions
    }
}

/// The texts and switches of the top level; everything else is still empty.
fn head(top: &mut Section<'_>, findings: &mut Findings) -> Definition {
    let types = [("competition", CompetitionType::Competition), ("benchmark", CompetitionType::Benchmark)];
    let mut flag = |key, default| top.flag(key, default, findings);
    Definition {
        registration_auto_approve: flag("registration_auto_approve", false),
        enable_detailed_results: flag("enable_detailed_results", false),
        show_detailed_results_in_submission_panel: flag("show_detailed_results_in_submission_panel", true),
        show_detailed_results_in_leaderboard: flag("show_detailed_results_in_leaderboard", true),
        auto_run_submissions: flag("auto_run_submissions", true),
        can_participants_make_submissions_public: flag("can_participants_make_submissions_public", true),
        make_programs_available: flag("make_programs_available", false),
        make_input_data_available: flag("make_input_data_available", false),
        forum_enabled: flag("forum_enabled", true),
        title: top.required_text("title", findings),
        description: top.text("description", findings).unwrap_or_default(),
        docker_image: top.text("docker_image", findings).unwrap_or_else(|| DEFAULT_IMAGE.to_owned()),
        competition_type: top
            .choice("competition_type", &types, findings)
            .unwrap_or(CompetitionType::Competition),
        reward: top.text("reward", findings),
        contact_email: top.text("contact_email", findings),
        fact_sheet: fact_sheet(top, findings),
        image: BundlePath::new(),
        terms: BundlePath::new(),
        pages: Vec::new(),
        tasks: Vec::new(),
        solutions: Vec::new(),
        phases: Vec::new(),
        leaderboard: super::board::empty(),
        locale: BTreeMap::new(),
        organiser: None,
        datasets: Vec::new(),
        sandbox: None,
        airlock: None,
        finals_choose: None,
        awards: Vec::new(),
        entries: None,
        judging: None,
    }
}

/// Refuses a reference to an object on some server.
pub(super) fn uuid_reference(key: &str, at: &Place, findings: &mut Findings) {
    let problem = format!("`{key}` refers to an object on another server, which cannot be had from here");
    let mend = "export the competition there with its files, or put the files themselves into the bundle";
    findings.error("uuid-reference", at, problem, mend);
}

fn is_html(path: &str) -> bool {
    let path = path.to_ascii_lowercase();
    path.ends_with(".html") || path.ends_with(".htm")
}

fn version_is_2(top: &mut Section<'_>, findings: &mut Findings) -> bool {
    let at = top.at("version");
    let written = |node: &Node| scalar_text(node).unwrap_or_else(|| node.value.kind().to_owned());
    let text = top.get("version").map(written);
    match text.as_deref().map(str::trim) {
        Some("2") => true,
        None | Some("1" | "1.5") => {
            let mend = if top.has("tasks") && top.has("leaderboards") {
                "add `version: 2`, if this is meant to be a Codabench bundle"
            } else {
                "write it in Codabench's format v2 and set `version: 2`"
            };
            let written = text.map_or("without a `version`".to_owned(), |text| format!("of version {text}"));
            findings.error(
                "version-1",
                &at,
                format!("a bundle {written} is in CodaLab's old format (v1.5), which is not read yet"),
                mend,
            );
            false
        }
        Some(other) => {
            let problem = format!("version {other} is not known");
            findings.error("version-unknown", &at, problem, "write `version: 2`");
            false
        }
    }
}

fn foreign_keys(top: &mut Section<'_>, findings: &mut Findings) {
    for key in FOREIGN_KEYS {
        if top.has(key) {
            let problem = format!("`{key}` belongs to another server or to CodaLab v1.5 and is ignored");
            findings.warn("foreign-key", &top.at(key), problem, "remove it");
        }
    }
}

fn fact_sheet(top: &mut Section<'_>, findings: &mut Findings) -> Vec<FactQuestion> {
    let Some(sheet) = top.section("fact_sheet", findings) else { return Vec::new() };
    let mut questions = Vec::new();
    for (name, place, node) in sheet.all() {
        let Some(mut section) = Section::of(node, place, findings) else { continue };
        let key = section.text("key", findings).unwrap_or_else(|| name.to_owned());
        if key != name {
            let problem = format!("`key: {key}` differs from the name `{name}` it stands under");
            findings.error("fact-key", &section.at("key"), problem, format!("write `key: {name}`"));
        }
        let kinds =
            [("checkbox", FactKind::Checkbox), ("text", FactKind::Text), ("select", FactKind::Select)];
        if section.get("type").is_none() {
            missing(&section.at("type"), findings);
        }
        let kind = section.choice("type", &kinds, findings).unwrap_or(FactKind::Text);
        let selection = selection(&mut section, kind, findings);
        let title = section.text("title", findings).unwrap_or_else(|| name.to_owned());
        let is_required = section.flag("is_required", false, findings);
        let is_on_leaderboard = section.flag("is_on_leaderboard", false, findings);
        section.finish(findings);
        questions.push(FactQuestion { key, title, kind, selection, is_required, is_on_leaderboard });
    }
    questions
}

/// The choices of a `select`: a list, or text with commas. The other kinds have none.
fn selection(section: &mut Section<'_>, kind: FactKind, findings: &mut Findings) -> Vec<String> {
    let node = section.get("selection");
    if kind != FactKind::Select {
        return Vec::new();
    }
    let choices: Vec<String> = match node.map(|node| &node.value) {
        Some(Value::List(items)) => items.iter().map(|item| scalar_text(item).unwrap_or_default()).collect(),
        Some(Value::Text(text)) => text.split(',').map(|choice| choice.trim().to_owned()).collect(),
        _ => Vec::new(),
    };
    if choices.iter().all(String::is_empty) {
        let problem = "a `select` without choices cannot be answered";
        findings.error("fact-selection", &section.at("selection"), problem, "list the choices");
    }
    choices
}

impl Reader<'_> {
    /// Warns of an image that is not in the table.
    pub(super) fn check_image(&mut self, image: &str, at: &Place) {
        let Some(table) = self.images else { return };
        if !(table.knows)(image) {
            let problem = format!("the image `{image}` is not mapped to a local one, so nothing can run");
            let mend = format!("map it in the setting {}", table.setting);
            let at = if at.line.is_some() { at.clone() } else { Place::default() };
            self.findings.record(Severity::Warning, "image-unmapped", COMPETITION_YAML, &at, problem, mend);
        }
    }
}
