//! Reads what is drawn for a randomized probe: rows of a table, values made up.

use std::sync::Arc;

use super::{Node, Place, Reader, Section, Value, missing};
use crate::probing::suite::{Draw, MOST_PROBES, Table, Values};

impl Reader<'_> {
    /// The key `each` of a probe.
    pub(super) fn draw(&mut self, mut each: Section<'_>) -> Draw {
        let at = each.place.clone();
        let seed = each.whole("seed", &mut self.findings);
        // where every row is asked, nothing is left to chance but the order
        if !each.has("seed") && (each.has("times") || each.has("values")) {
            missing(&each.at("seed"), &mut self.findings);
        }
        let each_submission = each.flag("each_submission", false, &mut self.findings);
        let table = self.table(&mut each);
        self.unnamed = each.has("table") && table.is_none();
        let mut values = Vec::new();
        if let Some(section) = each.section("values", &mut self.findings) {
            for (name, place, node) in section.all() {
                values.extend(self.values(node, &place).map(|read| (name.to_owned(), read)));
            }
        }
        let times = each.count("times", 1, &mut self.findings) as usize;
        let times = if each.has("times") {
            times
        } else {
            table.as_ref().map_or(1, |table: &Table| table.rows.len())
        };
        if !(1..=MOST_PROBES).contains(&times) {
            let problem = format!("drawn {times} times");
            self.findings.error(
                "value-out-of-range",
                &each.at("times"),
                problem,
                format!("write 1 to {MOST_PROBES}"),
            );
        }
        if let Some(table) = table.as_ref().filter(|table| times > table.rows.len()) {
            let problem = format!("{times} rows are drawn from {}; each comes once", table.rows.len());
            self.findings.warn(
                "probe-draws-all",
                &each.at("times"),
                problem,
                "draw fewer, or leave `times` out",
            );
        }
        if table.is_none() && values.is_empty() && !self.findings.has_errors() {
            let mend = "add `table` with questions and their answers, or `values`";
            self.findings.error("probe-draws-nothing", &at, "nothing is drawn", mend);
        }
        each.finish(&mut self.findings);
        Draw { seed: seed.unwrap_or_default(), each_submission, times, table, values }
    }

    fn values(&mut self, node: &Node, place: &Place) -> Option<Values> {
        if let Value::List(items) = &node.value {
            if items.is_empty() {
                self.findings.error("probe-draws-nothing", place, "the list is empty", "list values");
                return None;
            }
            return Some(Values::OneOf(items.iter().map(|item| item.value.to_json()).collect()));
        }
        let mut section = Section::of(node, place.clone(), &mut self.findings)?;
        let (first, last) =
            (section.whole("from", &mut self.findings), section.whole("to", &mut self.findings));
        section.finish(&mut self.findings);
        match (first, last) {
            (Some(first), Some(last)) if first <= last => Some(Values::Whole(first, last)),
            _ => {
                let problem = "these are no values to draw from";
                let mend = "write a list, or `{from: 1, to: 12}` with whole numbers";
                self.findings.error("probe-values", place, problem, mend);
                None
            }
        }
    }

    fn table(&mut self, each: &mut Section<'_>) -> Option<Table> {
        let path = each.text("table", &mut self.findings)?;
        let at = each.at("table");
        let bytes = self.attachment(&path, &at)?;
        let mut reader = csv::Reader::from_reader(bytes.as_ref());
        let mut read = || -> Result<Table, csv::Error> {
            let columns = reader.headers()?.iter().map(str::to_owned).collect();
            let rows: Result<Vec<Vec<String>>, csv::Error> =
                reader.records().map(|row| Ok(row?.iter().map(str::to_owned).collect())).collect();
            Ok(Table { columns, rows: Arc::new(rows?) })
        };
        match read() {
            Ok(table) if !table.rows.is_empty() => Some(table),
            Ok(_) => {
                self.findings.error(
                    "probe-table",
                    &at,
                    format!("`{path}` has no rows"),
                    "add rows below the header",
                );
                None
            }
            Err(error) => {
                let problem = format!("`{path}` is not a table in CSV: {error}");
                self.findings.error(
                    "probe-table",
                    &at,
                    problem,
                    "write a header and rows of as many cells, in UTF-8",
                );
                None
            }
        }
    }
}
