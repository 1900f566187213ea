//! What a competition is, as its bundle declares it: the typed form of `competition.yaml` after
//! defaults, ready to be stored as one JSON document and shown on pages. Reading and linting live in
//! [`super::bundle`]; nothing here touches files.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::probing::suite::Visibility;
use crate::scoring::metric::MetricSpec;
use crate::submission::onnx::{MODEL_BYTES, OPSETS};

pub mod judging;

pub use judging::Judging;

/// A path inside the bundle, with `/` between its parts, never absolute and never with `..`.
pub type BundlePath = String;

/// A competition as its bundle declares it (Codabench bundle format v2, COMPAT section 1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Definition {
    /// Title in the bundle's own language.
    pub title: String,
    /// One paragraph, Markdown.
    pub description: String,
    /// Path of the logo.
    pub image: BundlePath,
    /// Path of the terms a participant accepts (Markdown or HTML).
    pub terms: BundlePath,
    /// Image name that programs run in, before the table of the configuration maps it.
    pub docker_image: String,
    /// Whether registering admits at once (else the organizer approves).
    pub registration_auto_approve: bool,
    /// Whether a scorer's detailed results are kept (organizer only, unless the airlock clears them).
    pub enable_detailed_results: bool,
    /// Codabench's switch for the submission panel.
    pub show_detailed_results_in_submission_panel: bool,
    /// Codabench's switch for the leaderboard.
    pub show_detailed_results_in_leaderboard: bool,
    /// Whether submissions are run at once (else the organizer starts them).
    pub auto_run_submissions: bool,
    /// Whether a participant may publish a submission of origin *outside*.
    pub can_participants_make_submissions_public: bool,
    /// Whether ingestion and scoring programs may be downloaded.
    pub make_programs_available: bool,
    /// Whether input data may be downloaded; makes every task's input *public*.
    pub make_input_data_available: bool,
    /// `competition` or `benchmark`.
    pub competition_type: CompetitionType,
    /// Codabench's switch for its forum, kept for export.
    pub forum_enabled: bool,
    /// Reward, free text.
    pub reward: Option<String>,
    /// Where to write to.
    pub contact_email: Option<String>,
    /// Pages in their order.
    pub pages: Vec<Page>,
    /// Questions answered with each submission, in their order.
    pub fact_sheet: Vec<FactQuestion>,
    /// Tasks in the order of their `index`.
    pub tasks: Vec<Task>,
    /// Sample solutions.
    pub solutions: Vec<Solution>,
    /// Phases in their order, counted from 0 by position.
    pub phases: Vec<Phase>,
    /// The leaderboard that serves all phases.
    pub leaderboard: Leaderboard,
    /// Translations, by locale tag (`zh`, `en`).
    pub locale: BTreeMap<String, Localised>,
    /// Who holds the competition (主办方).
    pub organiser: Option<String>,
    /// Datasets mounted, in their sandbox form, in interactive sandboxes.
    pub datasets: Vec<DatasetUse>,
    /// Settings of the interactive sandbox, kept as written for the room that reads them.
    pub sandbox: Option<serde_json::Value>,
    /// The airlock's rule, absent when the bundle sets none.
    pub airlock: Option<AirlockRule>,
    /// How many submissions a team may nominate for the next phase; absent: the last improvements.
    pub finals_choose: Option<u32>,
    /// Awards, kept as written.
    pub awards: Vec<serde_json::Value>,
    /// What teams hand in beside their submissions (`shuyu.entries`), where they do.
    #[serde(default)]
    pub entries: Option<EntryRules>,
    /// How a jury judges, where one does.
    #[serde(default)]
    pub judging: Option<Judging>,
}

/// Codabench's `competition_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CompetitionType {
    /// A competition.
    Competition,
    /// A benchmark.
    Benchmark,
}

/// A page of the competition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Page {
    /// Title shown on its tab.
    pub title: String,
    /// Markdown or HTML file.
    pub file: BundlePath,
}

/// Translated texts of one locale.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Localised {
    /// Title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Files that replace pages, by the page's file stem or title in lower case.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pages: BTreeMap<String, BundlePath>,
    /// File that replaces the terms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<BundlePath>,
    /// Names and descriptions of phases, tasks and leaderboard columns by `phases.0`, `tasks.0`,
    /// `columns.KEY`; titles of pages by `pages.STEM`, the name of the page's file without its ending.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub names: BTreeMap<String, String>,
}

/// A question of the fact sheet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FactQuestion {
    /// Key in the answers.
    pub key: String,
    /// What is asked.
    pub title: String,
    /// The kind of answer.
    pub kind: FactKind,
    /// Choices of a `select`.
    pub selection: Vec<String>,
    /// Whether an answer is needed to submit.
    pub is_required: bool,
    /// Whether the answer is a column of the leaderboard.
    pub is_on_leaderboard: bool,
}

/// The kind of answer a fact-sheet question takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FactKind {
    /// Yes or no.
    Checkbox,
    /// Free text.
    Text,
    /// One of the choices.
    Select,
}

/// A task: what is computed and how it is scored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// The author's `index`.
    pub index: i64,
    /// Name.
    pub name: String,
    /// Description.
    pub description: String,
    /// Organizer's scoring program (zip or directory); absent with a native metric.
    pub scoring_program: Option<BundlePath>,
    /// Organizer's ingestion program.
    pub ingestion_program: Option<BundlePath>,
    /// What submissions are run on.
    pub input_data: Option<BundlePath>,
    /// The hidden answers.
    pub reference_data: Option<BundlePath>,
    /// The ingestion program runs beside the scoring program and talks with it through a shared
    /// directory: only where `shared` allows it.
    pub ingestion_only_during_scoring: bool,
    /// The organizer's opt-in to that directory (`shuyu.tasks.N.shared`), through which participant
    /// code can learn what the scorer chooses to tell it.
    #[serde(default)]
    pub shared: bool,
    /// Native metrics (`shuyu.tasks.N.metric`); empty when the scoring program scores.
    pub metrics: Vec<MetricSpec>,
    /// File in the bundle with the published ids a result is checked against.
    pub ids: Option<BundlePath>,
    /// Whether the input is public or hidden (`shuyu.tasks.N.input`, `make_input_data_available`, or
    /// the same digest as `public_data`).
    pub input: InputVisibility,
    /// Name of the hidden set; tasks with the same name share a ledger. Default: the task's own.
    pub hidden_set: Option<String>,
    /// Public or synthetic data of the same layout, for trial runs and debugging.
    pub twin: Option<Twin>,
    /// Limits of the run containers.
    pub resources: Resources,
    /// Probe files (`shuyu.tasks.N.probes`), in the order in which they are asked; with them the task takes
    /// apps, and nothing else.
    #[serde(default)]
    pub probes: Vec<ProbeFile>,
    /// What models are given and asked for (`shuyu.tasks.N.model`); absent where the task takes none.
    #[serde(default)]
    pub model: Option<ModelRules>,
}

impl Task {
    /// Whether it takes apps.
    pub fn takes_apps(&self) -> bool {
        !self.probes.is_empty()
    }

    /// Whether an app is asked what nobody may see.
    pub fn has_hidden_probes(&self) -> bool {
        self.probes.iter().any(|file| file.visibility == Visibility::Hidden)
    }

    /// Whether there is something a submission can be tried on without quota and ledger: a twin, or probes
    /// that are public.
    pub fn has_trial(&self) -> bool {
        self.twin.is_some() || self.probes.iter().any(|file| file.visibility == Visibility::Public)
    }

    /// Whether the ingestion program runs in the prediction step, around the submission.
    pub fn has_ingestion_before_scoring(&self) -> bool {
        self.ingestion_program.is_some() && !self.ingestion_only_during_scoring
    }

    /// Whether the ingestion program runs beside the scoring program, opted in or not.
    pub fn has_ingestion_beside_scoring(&self) -> bool {
        self.ingestion_program.is_some() && self.ingestion_only_during_scoring
    }

    /// Whether nothing may be told of a submitted program but its outcome at its tick, since it saw
    /// hidden data.
    pub fn closes_programs(&self) -> bool {
        let hidden_input = self.input_data.is_some() && self.input == InputVisibility::Hidden;
        hidden_input || self.has_ingestion_beside_scoring() || self.has_hidden_probes()
    }

    /// The same for a submitted result, which an ingestion program may work on.
    pub fn closes_results(&self) -> bool {
        self.closes_programs() && self.ingestion_program.is_some()
    }
}

/// What a task's models are given and asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelRules {
    /// The file of the input data whose rows are predicted: CSV or Parquet.
    pub table: String,
    /// Its columns that a model may read, in the order in which a model with one input gets them.
    pub features: Vec<String>,
    /// The columns of inputs that the organizer named, by the input's name.
    pub inputs: BTreeMap<String, Vec<String>>,
    /// Its column that says which row is which.
    pub id: String,
    /// The columns of the predictions, which the metrics read.
    pub predictions: Vec<String>,
    /// Bytes of a model at most.
    pub max_bytes: u64,
    /// Opsets of ONNX's own operators (`ai.onnx`) that are taken, first and last.
    pub opset: [i64; 2],
}

impl Default for ModelRules {
    fn default() -> Self {
        Self {
            table: String::new(),
            features: Vec::new(),
            inputs: BTreeMap::new(),
            id: String::new(),
            predictions: Vec::new(),
            max_bytes: MODEL_BYTES,
            opset: OPSETS,
        }
    }
}

/// A file of probes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeFile {
    /// Its path.
    pub path: BundlePath,
    /// Who may see its probes.
    pub visibility: Visibility,
    /// The files that it names, by the name it has for them.
    pub attached: BTreeMap<String, BundlePath>,
}

/// Who may see what a submission is run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InputVisibility {
    /// Anybody: runs are open books.
    Public,
    /// Nobody: runs are closed.
    Hidden,
}

/// A task's debug twin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Twin {
    /// Input data of the same layout.
    pub input: BundlePath,
    /// Reference data of the same layout.
    pub reference: BundlePath,
}

/// Limits of a task's run containers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resources {
    /// Processor cores.
    pub cpus: f64,
    /// Memory in bytes, without the tmpfs sizes.
    pub memory: u64,
    /// Processes and threads.
    pub pids: u32,
    /// Size of the output directory in bytes.
    pub output: u64,
}

impl Default for Resources {
    fn default() -> Self {
        Self { cpus: 1.0, memory: 2 << 30, pids: 256, output: 256 << 20 }
    }
}

/// A sample solution shipped with the bundle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Solution {
    /// The author's `index`.
    pub index: i64,
    /// Indexes of the tasks it solves.
    pub tasks: Vec<i64>,
    /// File or directory.
    pub path: BundlePath,
    /// Name.
    pub name: String,
    /// Description.
    pub description: String,
}

/// A phase: a span of time with its tasks and quotas.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    /// Its position, counted from 0: the author's `index` only sorts.
    pub index: i64,
    /// Name.
    pub name: String,
    /// Description.
    pub description: String,
    /// When submitting becomes possible, UTC.
    pub start: Timestamp,
    /// When submitting ends, UTC; the last phase may stay open.
    pub end: Option<Timestamp>,
    /// The `index` of each task of the phase, in order.
    pub tasks: Vec<i64>,
    /// Submissions a team may make a day (UTC); 0 means unlimited.
    pub max_submissions_per_day: u32,
    /// Submissions a team may make in all; 0 means unlimited.
    pub max_submissions: u32,
    /// Wall-clock limit of each step, in seconds.
    pub execution_time_limit: u32,
    /// Whether nominated submissions of the phase before migrate here when it ends.
    pub auto_migrate_to_this_phase: bool,
    /// Hides all output.
    pub hide_output: bool,
    /// Hides the output of the prediction step.
    pub hide_prediction_output: bool,
    /// Hides the output of the scoring step.
    pub hide_score_output: bool,
    /// Starting kit to download.
    pub starting_kit: Option<BundlePath>,
    /// Public data to download.
    pub public_data: Option<BundlePath>,
    /// Whether code is refused.
    pub accepts_only_result_submissions: bool,
}

/// The leaderboard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Leaderboard {
    /// Title.
    pub title: String,
    /// Key.
    pub key: String,
    /// Whether only organizers see it.
    pub hidden: bool,
    /// Which submissions stand on the board.
    pub submission_rule: SubmissionRule,
    /// `index` of the primary column.
    pub primary_index: i64,
    /// Columns in the order of their `index`.
    pub columns: Vec<Column>,
}

impl Leaderboard {
    /// Columns in the order that decides rank: the primary one, then the others by `index`.
    pub fn ranking_columns(&self) -> Vec<&Column> {
        let mut columns: Vec<&Column> = self.columns.iter().collect();
        columns.sort_by_key(|c| (c.index != self.primary_index, c.index));
        columns
    }

    /// The primary column; a checked definition has at least one column.
    pub fn primary(&self) -> Option<&Column> {
        self.columns.iter().find(|c| c.index == self.primary_index).or_else(|| self.columns.first())
    }
}

/// Codabench's rules for which submissions stand on the board.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SubmissionRule {
    /// One a team, added by the team itself, never taken back.
    #[default]
    Add,
    /// One a team, added and removed by the team itself.
    #[serde(rename = "Add_And_Delete")]
    AddAndDelete,
    /// Any number, added and removed by the team itself.
    #[serde(rename = "Add_And_Delete_Multiple")]
    AddAndDeleteMultiple,
    /// The team's last one.
    #[serde(rename = "Force_Last")]
    ForceLast,
    /// All of them, each as it comes.
    #[serde(rename = "Force_Latest_Multiple")]
    ForceLatestMultiple,
    /// The team's best one.
    #[serde(rename = "Force_Best")]
    ForceBest,
}

/// A column of the leaderboard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// Title.
    pub title: String,
    /// Key in the scores, at most 36 characters, unique.
    pub key: String,
    /// Unique position.
    pub index: i64,
    /// Which direction is better.
    pub sorting: Sorting,
    /// For computed columns, how they come from the others.
    pub computation: Option<Computation>,
    /// `index` of the columns a computed column is made of, never empty then (the reader fills in all
    /// columns that are not computed where the author names none); empty for other columns.
    pub computation_indexes: Vec<i64>,
    /// Decimals shown on pages (the interface gives six).
    pub precision: u32,
    /// Whether only organizers see it, in every response.
    pub hidden: bool,
}

/// Which direction of a column is better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sorting {
    /// Larger is better.
    #[default]
    Desc,
    /// Smaller is better.
    Asc,
}

/// How a computed column comes from the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Computation {
    /// Arithmetic mean.
    Avg,
    /// Sum.
    Sum,
    /// Smallest.
    Min,
    /// Largest.
    Max,
}

/// A dataset a competition uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetUse {
    /// Slug in the catalogue.
    pub slug: String,
    /// Version number.
    pub version: i64,
}

/// The airlock's rule of a competition (`shuyu.airlock`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AirlockRule {
    /// Step of the fixed-step Ladder on the primary column.
    pub ladder_step: Option<f64>,
    /// Bits each person may learn from one hidden set.
    pub budget_bits: Option<f64>,
}

/// What a team's entry (作品) consists of, and until when it is taken (`shuyu.entries`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryRules {
    /// When teams may begin, UTC; absent: with the first phase.
    pub opens: Option<Timestamp>,
    /// When the last change is taken (exclusive), UTC; absent: with the end of the last phase.
    pub closes: Option<Timestamp>,
    /// What an entry must have, beside its title, to be submitted; in the order of the form.
    pub required: Vec<EntryPart>,
    /// Pictures it may have.
    pub pictures: u32,
    /// Bytes of one picture as uploaded.
    pub picture_bytes: u64,
    /// Bytes of a report as PDF.
    pub report_bytes: u64,
    /// Bytes of all files of a team that are kept, those of earlier versions too.
    pub total_bytes: u64,
}

impl Default for EntryRules {
    fn default() -> Self {
        Self {
            opens: None,
            closes: None,
            required: vec![EntryPart::Summary],
            pictures: 6,
            picture_bytes: 10 << 20,
            report_bytes: 20 << 20,
            total_bytes: 200 << 20,
        }
    }
}

/// A part of an entry that may be required.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryPart {
    /// The summary.
    Summary,
    /// At least one picture.
    Pictures,
    /// A report, as Markdown or PDF.
    Report,
    /// A link to a demonstration.
    Demo,
    /// A submission that was scored.
    Submission,
}

impl EntryPart {
    /// Every part, in the order of the form.
    pub const ALL: [Self; 5] = [Self::Summary, Self::Pictures, Self::Report, Self::Demo, Self::Submission];

    /// The word of the bundle, the interface and the translations.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Summary => "summary",
            Self::Pictures => "pictures",
            Self::Report => "report",
            Self::Demo => "demo",
            Self::Submission => "submission",
        }
    }
}
