//! `leaderboards`: the first one, its columns, and how computed columns hang together.

use super::competition::Places;
use super::finding::{Findings, Place};
use super::section::{Section, missing};
use super::tasks::NO_INDEX;
use crate::contest::definition::{Column, Computation, Leaderboard, Sorting, SubmissionRule};

/// Characters a key may have in Codabench.
const KEY_CHARS: usize = 36;

/// A leaderboard without anything, where none can be read.
pub(super) fn empty() -> Leaderboard {
    Leaderboard {
        title: String::new(),
        key: String::new(),
        hidden: false,
        submission_rule: SubmissionRule::Add,
        primary_index: 0,
        columns: Vec::new(),
    }
}

/// Reads the leaderboard that serves all phases: the first.
pub(super) fn leaderboard(
    top: &mut Section<'_>,
    places: &mut Places,
    findings: &mut Findings,
) -> Leaderboard {
    let items = top.list("leaderboards", findings);
    if items.is_empty() && !findings.has_errors_at("leaderboards") {
        missing(&top.at("leaderboards"), findings);
    }
    for (place, _) in items.iter().skip(1) {
        let problem = "only the first leaderboard is used, for all phases";
        findings.warn("leaderboard-unused", place, problem, "remove this one");
    }
    let Some((place, node)) = items.into_iter().next() else { return empty() };
    let Some(mut section) = Section::of(node, place, findings) else { return empty() };
    if section.has("index") {
        let problem = "`index` on a leaderboard has no meaning and is ignored";
        findings.warn("leaderboard-index", &section.at("index"), problem, "remove it");
    }
    let columns = columns(&mut section, places, findings);
    let board = Leaderboard {
        title: section.required_text("title", findings),
        key: key(&mut section, findings),
        hidden: section.flag("hidden", false, findings),
        submission_rule: submission_rule(&mut section, findings),
        primary_index: primary_index(&mut section, &columns, findings),
        columns,
    };
    if let Some(primary) = board.columns.iter().find(|column| column.index == board.primary_index)
        && !crate::airlock::lane1::visible(&board).columns.iter().any(|column| column.key == primary.key)
    {
        let problem = format!(
            "the primary column `{}` is hidden, or computed from a hidden one, so it cannot order a board that \
             others see: the next visible column does",
            primary.key
        );
        let mend = "name a visible column as `primary_index`, or hide the whole leaderboard";
        findings.warn("primary-hidden", &section.at("primary_index"), problem, mend);
    }
    section.finish(findings);
    board
}

fn submission_rule(section: &mut Section<'_>, findings: &mut Findings) -> SubmissionRule {
    let rules = [
        ("Add", SubmissionRule::Add),
        ("Add_And_Delete", SubmissionRule::AddAndDelete),
        ("Add_And_Delete_Multiple", SubmissionRule::AddAndDeleteMultiple),
        ("Force_Last", SubmissionRule::ForceLast),
        ("Force_Latest_Multiple", SubmissionRule::ForceLatestMultiple),
        ("Force_Best", SubmissionRule::ForceBest),
    ];
    section.choice("submission_rule", &rules, findings).unwrap_or_default()
}

fn primary_index(section: &mut Section<'_>, columns: &[Column], findings: &mut Findings) -> i64 {
    let declared = section.whole("primary_index", findings);
    let primary = declared.unwrap_or(0);
    if columns.is_empty()
        || columns[0].index == NO_INDEX
        || columns.iter().any(|column| column.index == primary)
    {
        return primary;
    }
    let at = section.at("primary_index");
    if declared.is_some() {
        let problem = format!("there is no column with the index {primary}");
        findings.error("primary-unknown", &at, problem, "name the index of a column");
        return primary;
    }
    let first = columns[0].index;
    let problem = format!("no column has the index 0, so the first one ({first}) is the primary column");
    findings.warn("primary-unknown", &at, problem, "add `primary_index`");
    first
}

fn key(section: &mut Section<'_>, findings: &mut Findings) -> String {
    let key = section.required_text("key", findings);
    if key.chars().count() > KEY_CHARS {
        let problem = format!("the key `{key}` has more than {KEY_CHARS} characters");
        findings.error("key-too-long", &section.at("key"), problem, "choose a shorter one");
    }
    key
}

fn columns(board: &mut Section<'_>, places: &mut Places, findings: &mut Findings) -> Vec<Column> {
    let items = board.list("columns", findings);
    if items.is_empty() && !findings.has_errors_at(&board.at("columns").key) {
        missing(&board.at("columns"), findings);
    }
    let mut read: Vec<(Column, Place)> = Vec::new();
    for (place, node) in items {
        let Some(mut section) = Section::of(node, place, findings) else { continue };
        let column = column(&mut section, findings);
        for (same, what, code) in [
            (read.iter().any(|(other, _)| other.index == column.index), "index", "column-index-duplicate"),
            (read.iter().any(|(other, _)| other.key == column.key), "key", "column-key-duplicate"),
        ] {
            let known = findings.has_errors_at(&section.at(what).key);
            if same && !known {
                let value = if what == "key" { column.key.clone() } else { column.index.to_string() };
                let problem = format!("two columns have the {what} {value}");
                let mend = format!("give each column its own {what}");
                findings.error(code, &section.at(what), problem, mend);
            }
        }
        let at = section.at("computation_indexes");
        places.columns.insert(column.key.clone(), section.at("sorting"));
        section.finish(findings);
        read.push((column, at));
    }
    computed(&mut read, findings);
    let mut columns: Vec<Column> = read.into_iter().map(|(column, _)| column).collect();
    columns.sort_by_key(|column| column.index);
    columns
}

fn column(section: &mut Section<'_>, findings: &mut Findings) -> Column {
    let title = section.required_text("title", findings);
    if title.chars().count() > KEY_CHARS {
        let problem = format!("the title has more than {KEY_CHARS} characters, which Codabench refuses");
        findings.warn("title-long", &section.at("title"), problem, "shorten it");
    }
    if section.get("index").is_none() {
        missing(&section.at("index"), findings);
    }
    for key in ["computation", "computation_indexes"] {
        if section.has(key) && section.get(key).is_none() {
            let problem = format!("`{key}: null` says nothing");
            findings.warn("computation-null", &section.at(key), problem, "remove it");
        }
    }
    if section.get("sorting").is_none() {
        let problem = "the column has no `sorting`; larger counts as better (desc)";
        findings.warn(
            "column-without-sorting",
            &section.at("sorting"),
            problem,
            "write `sorting: desc` or `asc`",
        );
    }
    let directions = [("desc", Sorting::Desc), ("asc", Sorting::Asc)];
    let kinds = [
        ("avg", Computation::Avg),
        ("sum", Computation::Sum),
        ("min", Computation::Min),
        ("max", Computation::Max),
    ];
    Column {
        title,
        key: key(section, findings),
        index: section.whole("index", findings).unwrap_or(NO_INDEX),
        sorting: section.choice("sorting", &directions, findings).unwrap_or_default(),
        computation: section.choice("computation", &kinds, findings),
        computation_indexes: section.wholes("computation_indexes", findings),
        precision: precision(section, findings),
        hidden: section.flag("hidden", false, findings),
    }
}

fn precision(section: &mut Section<'_>, findings: &mut Findings) -> u32 {
    let precision = section.count("precision", 2, findings);
    if precision > 10 {
        let problem = format!("{precision} decimals are more than a score has");
        findings.warn("precision", &section.at("precision"), problem, "write at most 10");
        return 10;
    }
    precision
}

/// Checks what computed columns are made of, and fills in the columns where none are named.
fn computed(columns: &mut [(Column, Place)], findings: &mut Findings) {
    let known: Vec<i64> = columns.iter().map(|(column, _)| column.index).collect();
    let plain: Vec<i64> = columns
        .iter()
        .filter(|(column, _)| column.computation.is_none())
        .map(|(column, _)| column.index)
        .collect();
    for (column, at) in columns.iter_mut() {
        if column.computation.is_none() {
            if !column.computation_indexes.is_empty() {
                let problem = "`computation_indexes` without `computation` says nothing";
                findings.warn("computation-missing", at, problem, "add `computation`, or remove the indexes");
                column.computation_indexes.clear();
            }
            continue;
        }
        for index in column.computation_indexes.iter().filter(|index| !known.contains(index)) {
            let problem = format!("there is no column with the index {index}");
            findings.error("computation-unknown", at, problem, "name indexes of columns");
        }
        if column.computation_indexes.is_empty() && !findings.has_errors_at(&at.key) {
            if plain.is_empty() {
                let problem = "the column is computed from nothing";
                findings.error("computation-empty", at, problem, "name the columns in `computation_indexes`");
            } else {
                let problem = "`computation_indexes` is missing; all columns that are not computed are taken";
                findings.warn("computation-without-indexes", at, problem, "name the columns");
                column.computation_indexes.clone_from(&plain);
            }
        }
    }
    for (column, at) in columns.iter() {
        if let Some(circle) = circle_from(column.index, columns) {
            let way: Vec<String> = circle.iter().map(i64::to_string).collect();
            let problem = format!("the column is computed from itself: {}", way.join(" → "));
            findings.error("computation-cycle", at, problem, "take one of these indexes out");
        }
    }
}

/// The way from a computed column back to itself, if there is one.
fn circle_from(start: i64, columns: &[(Column, Place)]) -> Option<Vec<i64>> {
    let sources = |index: i64| {
        columns
            .iter()
            .find(|(column, _)| column.index == index)
            .filter(|(column, _)| column.computation.is_some())
            .map_or(&[][..], |(column, _)| column.computation_indexes.as_slice())
    };
    let mut seen = Vec::new();
    let mut ways = vec![vec![start]];
    while let Some(way) = ways.pop() {
        let here = *way.last()?;
        for next in sources(here) {
            let mut longer = way.clone();
            longer.push(*next);
            if *next == start {
                return Some(longer);
            }
            if !seen.contains(next) {
                seen.push(*next);
                ways.push(longer);
            }
        }
    }
    None
}
