//! Writes a bundle that reads as the same definition, dates included.

use std::io::{self, Read, Seek, Write};

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use thiserror::Error;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::files::FileEntry;
use super::finding::COMPETITION_YAML;
use super::quantity::write_size;
use crate::contest::definition::{
    Column, Definition, EntryRules, FactKind, FactQuestion, InputVisibility, Leaderboard, ModelRules, Phase,
    Resources, Solution, Task,
};

/// Why a bundle could not be written.
#[derive(Debug, Error)]
pub enum WriteError {
    /// The declaration cannot be put into YAML.
    #[error("the definition cannot be written as YAML: {0}")]
    Yaml(String),
    /// The archive refused an entry.
    #[error("writing {path} into the zip failed: {detail}")]
    Zip {
        /// The entry.
        path: String,
        /// What the archive said.
        detail: String,
    },
    /// A file of the bundle could not be read.
    #[error("reading {path} failed: {source}; is the object store complete?")]
    Read {
        /// The file.
        path: String,
        /// The system's answer.
        source: io::Error,
    },
}

/// Writes a zip with `competition.yaml` made from the definition and every other file of the
/// manifest, whose bytes `open` gives. The same input gives the same bytes.
///
/// # Errors
/// [`WriteError`]; `out` then holds a part of an archive.
pub fn write<W: Write + Seek>(
    definition: &Definition,
    manifest: &[FileEntry],
    open: &mut dyn FnMut(&FileEntry) -> io::Result<Box<dyn Read>>,
    out: W,
) -> Result<(), WriteError> {
    let mut zip = ZipWriter::new(out);
    let refused = |path: &str, detail: String| WriteError::Zip { path: path.to_owned(), detail };
    let options = SimpleFileOptions::default().unix_permissions(0o644);
    let text = competition_yaml(definition)?;
    zip.start_file(COMPETITION_YAML, options)
        .map_err(|error| refused(COMPETITION_YAML, error.to_string()))?;
    zip.write_all(text.as_bytes()).map_err(|error| refused(COMPETITION_YAML, error.to_string()))?;
    for entry in manifest.iter().filter(|entry| entry.path != COMPETITION_YAML) {
        let method =
            if packed(&entry.path) { CompressionMethod::Stored } else { CompressionMethod::Deflated };
        let options = options.compression_method(method).large_file(entry.size >= u64::from(u32::MAX));
        zip.start_file(&entry.path, options).map_err(|error| refused(&entry.path, error.to_string()))?;
        let read = |source| WriteError::Read { path: entry.path.clone(), source };
        let mut from = open(entry).map_err(read)?;
        let mut buffer = vec![0u8; 64 << 10];
        loop {
            let count = from.read(&mut buffer).map_err(read)?;
            if count == 0 {
                break;
            }
            zip.write_all(&buffer[..count]).map_err(|error| refused(&entry.path, error.to_string()))?;
        }
    }
    zip.finish().map_err(|error| refused("the end of the archive", error.to_string()))?;
    Ok(())
}

/// Whether a file's format is compressed already.
fn packed(path: &str) -> bool {
    let path = path.to_ascii_lowercase();
    [".zip", ".gz", ".png", ".jpg", ".jpeg", ".webp", ".parquet"].iter().any(|ending| path.ends_with(ending))
}

/// The text of `competition.yaml` for a definition.
///
/// # Errors
/// [`WriteError::Yaml`].
pub fn competition_yaml(definition: &Definition) -> Result<String, WriteError> {
    let options = serde_saphyr::ser_options! { compact_list_indent: false };
    serde_saphyr::to_string_with_options(&tree(definition)?, options)
        .map_err(|error| WriteError::Yaml(error.to_string()))
}

fn tree(definition: &Definition) -> Result<Value, WriteError> {
    let d = definition;
    let pages: Vec<Value> =
        d.pages.iter().map(|page| json!({ "title": page.title, "file": page.file })).collect();
    let facts: Map<String, Value> =
        d.fact_sheet.iter().map(|question| (question.key.clone(), fact(question))).collect();
    let mut top = json!({
        "version": 2,
        "title": d.title,
        "description": d.description,
        "image": d.image,
        "terms": d.terms,
        "docker_image": d.docker_image,
        "registration_auto_approve": d.registration_auto_approve,
        "enable_detailed_results": d.enable_detailed_results,
        "show_detailed_results_in_submission_panel": d.show_detailed_results_in_submission_panel,
        "show_detailed_results_in_leaderboard": d.show_detailed_results_in_leaderboard,
        "auto_run_submissions": d.auto_run_submissions,
        "can_participants_make_submissions_public": d.can_participants_make_submissions_public,
        "make_programs_available": d.make_programs_available,
        "make_input_data_available": d.make_input_data_available,
        "competition_type": d.competition_type,
        "forum_enabled": d.forum_enabled,
        "reward": d.reward,
        "contact_email": d.contact_email,
        "pages": pages,
        "tasks": d.tasks.iter().map(task).collect::<Vec<_>>(),
        "solutions": d.solutions.iter().map(solution).collect::<Vec<_>>(),
        "phases": d.phases.iter().map(phase).collect::<Vec<_>>(),
        "leaderboards": [leaderboard(&d.leaderboard)],
        "shuyu": extras(d)?,
    });
    if let Some(top) = top.as_object_mut().filter(|_| !facts.is_empty()) {
        top.insert("fact_sheet".to_owned(), Value::Object(facts));
    }
    Ok(without_nulls(top))
}

/// Leaves out keys without a value.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.into_iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(key, value)| (key, without_nulls(value)))
                .collect(),
        ),
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

fn task(task: &Task) -> Value {
    json!({
        "index": task.index,
        "name": task.name,
        "description": task.description,
        "scoring_program": task.scoring_program,
        "ingestion_program": task.ingestion_program,
        "input_data": task.input_data,
        "reference_data": task.reference_data,
        "ingestion_only_during_scoring": task.ingestion_only_during_scoring,
    })
}

fn solution(solution: &Solution) -> Value {
    json!({
        "index": solution.index,
        "tasks": solution.tasks,
        "path": solution.path,
        "name": solution.name,
        "description": solution.description,
    })
}

fn phase(phase: &Phase) -> Value {
    json!({
        "index": phase.index,
        "name": phase.name,
        "description": phase.description,
        "start": moment(phase.start),
        "end": phase.end.map(moment),
        "tasks": phase.tasks,
        "max_submissions_per_day": phase.max_submissions_per_day,
        "max_submissions": phase.max_submissions,
        "execution_time_limit": phase.execution_time_limit,
        "auto_migrate_to_this_phase": phase.auto_migrate_to_this_phase,
        "hide_output": phase.hide_output,
        "hide_prediction_output": phase.hide_prediction_output,
        "hide_score_output": phase.hide_score_output,
        "starting_kit": phase.starting_kit,
        "public_data": phase.public_data,
        "accepts_only_result_submissions": phase.accepts_only_result_submissions,
    })
}

/// A moment as `2026-12-31 23:59:59`, UTC. The writer quotes it: unquoted, YAML readers in Python
/// make a date of it and Codabench drops the time.
pub(super) fn moment(at: Timestamp) -> String {
    at.to_string().replacen('T', " ", 1).trim_end_matches('Z').to_owned()
}

fn leaderboard(board: &Leaderboard) -> Value {
    json!({
        "title": board.title,
        "key": board.key,
        "hidden": board.hidden,
        "submission_rule": board.submission_rule,
        "primary_index": board.primary_index,
        "columns": board.columns.iter().map(column).collect::<Vec<_>>(),
    })
}

fn column(column: &Column) -> Value {
    let computed = column.computation.map(|_| &column.computation_indexes);
    json!({
        "title": column.title,
        "key": column.key,
        "index": column.index,
        "sorting": column.sorting,
        "computation": column.computation,
        "computation_indexes": computed,
        "precision": column.precision,
        "hidden": column.hidden,
    })
}

fn fact(question: &FactQuestion) -> Value {
    let selection = match question.kind {
        FactKind::Checkbox => json!([true, false]),
        FactKind::Text => json!(""),
        FactKind::Select => json!(question.selection),
    };
    json!({
        "key": question.key,
        "type": question.kind,
        "title": question.title,
        "selection": selection,
        "is_required": question.is_required.to_string(),
        "is_on_leaderboard": question.is_on_leaderboard.to_string(),
    })
}

fn extras(d: &Definition) -> Result<Value, WriteError> {
    let mut tasks = Map::new();
    for task in &d.tasks {
        tasks.insert(task.index.to_string(), task_extras(task)?);
    }
    let airlock = d.airlock.as_ref().map(|rule| {
        json!({ "ladder": rule.ladder_step.map(|step| json!({ "step": step })), "budget_bits": rule.budget_bits })
    });
    Ok(json!({
        "locale": (!d.locale.is_empty()).then_some(&d.locale),
        "organiser": d.organiser,
        "datasets": (!d.datasets.is_empty()).then_some(&d.datasets),
        "sandbox": d.sandbox,
        "tasks": tasks,
        "airlock": airlock,
        "finals": d.finals_choose.map(|choose| json!({ "choose": choose })),
        "awards": (!d.awards.is_empty()).then_some(&d.awards),
        "entries": d.entries.as_ref().map(entries),
        "judging": d.judging.as_ref().map(super::judging::written),
    }))
}

fn entries(rules: &EntryRules) -> Value {
    json!({
        "opens": rules.opens.map(moment),
        "closes": rules.closes.map(moment),
        "required": rules.required.iter().map(|part| part.as_str()).collect::<Vec<_>>(),
        "pictures": rules.pictures,
        "picture_size": write_size(rules.picture_bytes),
        "report_size": write_size(rules.report_bytes),
        "total_size": write_size(rules.total_bytes),
    })
}

fn task_extras(task: &Task) -> Result<Value, WriteError> {
    let metrics: Result<Vec<Value>, _> = task.metrics.iter().map(serde_json::to_value).collect();
    let metrics = metrics.map_err(|error| WriteError::Yaml(error.to_string()))?;
    let resources = (task.resources != Resources::default()).then(|| {
        let Resources { cpus, memory, pids, output } = task.resources;
        json!({ "cpus": cpus, "memory": write_size(memory), "pids": pids, "output": write_size(output) })
    });
    Ok(json!({
        "metric": (!metrics.is_empty()).then_some(metrics),
        "ids": task.ids,
        "input": match task.input {
            InputVisibility::Public => "public",
            InputVisibility::Hidden => "hidden",
        },
        "hidden_set": task.hidden_set,
        "twin": task.twin.as_ref().map(|twin| json!({ "input": twin.input, "reference": twin.reference })),
        "shared": task.shared.then_some(true),
        "probes": task.takes_apps().then(|| task.probes.iter().map(|file| &file.path).collect::<Vec<_>>()),
        "model": task.model.as_ref().map(model),
        "resources": resources,
    }))
}

fn model(rules: &ModelRules) -> Value {
    let features = if rules.inputs.is_empty() { json!(rules.features) } else { json!(rules.inputs) };
    json!({
        "table": rules.table,
        "features": features,
        "id": rules.id,
        "prediction": rules.predictions,
        "max_bytes": write_size(rules.max_bytes),
        "opset": rules.opset,
    })
}
