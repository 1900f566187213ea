//! `shuyu.entries`: what teams hand in beside their submissions.

use std::ops::RangeInclusive;

use super::competition::Reader;
use super::section::{Section, scalar_text, wrong_kind};
use crate::contest::definition::{Definition, EntryPart, EntryRules};

/// Pictures that an entry may have at most.
const MOST_PICTURES: i64 = 30;
/// Bytes that a file of an entry may have, whatever a bundle says.
const FILE_BYTES: RangeInclusive<u64> = (64 << 10)..=(100 << 20);
/// Bytes that all files of a team may have together, whatever a bundle says.
const TOTAL_BYTES: RangeInclusive<u64> = (1 << 20)..=(2 << 30);

impl Reader<'_> {
    /// Reads the section, if there is one; a section without keys takes every default.
    pub(super) fn entries(&mut self, block: &mut Section<'_>) -> Option<EntryRules> {
        let mut section = block.section("entries", &mut self.findings)?;
        let default = EntryRules::default();
        let opens = self.date(&mut section, "opens");
        let closes = self.date(&mut section, "closes");
        if let (Some(from), Some(to)) = (opens, closes)
            && to <= from
        {
            let problem = format!("entries close at {to}, before they open at {from}");
            self.findings.error("entries-span", &section.at("closes"), problem, "write a later date");
        }
        let rules = EntryRules {
            opens,
            closes,
            required: self.required(&mut section).unwrap_or(default.required),
            pictures: self.pictures(&mut section).unwrap_or(default.pictures),
            picture_bytes: self.within(&mut section, "picture_size", FILE_BYTES, default.picture_bytes),
            report_bytes: self.within(&mut section, "report_size", FILE_BYTES, default.report_bytes),
            total_bytes: self.within(&mut section, "total_size", TOTAL_BYTES, default.total_bytes),
        };
        if rules.pictures == 0 && rules.required.contains(&EntryPart::Pictures) {
            let problem = "a picture is required, and none is allowed";
            let mend = "take `pictures` out of `required`, or allow at least one";
            self.findings.error("entries-pictures", &section.at("pictures"), problem, mend);
        }
        let largest = rules.picture_bytes.max(rules.report_bytes);
        if rules.total_bytes < largest {
            let problem = format!("all files together may have less than one alone ({largest} bytes)");
            let mend = "make `total_size` several times as large: files of earlier versions count too";
            self.findings.error("entries-total", &section.at("total_size"), problem, mend);
        }
        section.finish(&mut self.findings);
        Some(rules)
    }

    /// The parts that are required; none where the key is missing.
    fn required(&mut self, section: &mut Section<'_>) -> Option<Vec<EntryPart>> {
        if !section.has("required") {
            return None;
        }
        let mut parts = Vec::new();
        for (place, node) in section.list("required", &mut self.findings) {
            let Some(word) = scalar_text(node) else {
                wrong_kind(&place, &node.value, "text", &mut self.findings);
                continue;
            };
            match EntryPart::ALL.into_iter().find(|part| part.as_str() == word) {
                Some(part) => parts.push(part),
                None => {
                    let list: Vec<&str> = EntryPart::ALL.into_iter().map(EntryPart::as_str).collect();
                    let mend = format!("write one of: {}; a title is always required", list.join(", "));
                    let problem = format!("`{word}` is no part of an entry");
                    self.findings.error("value-unknown", &place, problem, mend);
                }
            }
        }
        parts.sort();
        parts.dedup();
        Some(parts)
    }

    fn pictures(&mut self, section: &mut Section<'_>) -> Option<u32> {
        let wanted = section.whole("pictures", &mut self.findings)?;
        if !(0..=MOST_PICTURES).contains(&wanted) {
            let problem = format!("an entry cannot have {wanted} pictures");
            let mend = format!("write a number from 0 to {MOST_PICTURES}");
            self.findings.error("value-out-of-range", &section.at("pictures"), problem, mend);
        }
        u32::try_from(wanted).ok()
    }

    fn within(
        &mut self,
        section: &mut Section<'_>,
        key: &'static str,
        range: RangeInclusive<u64>,
        default: u64,
    ) -> u64 {
        let Some(size) = self.size(section, key) else { return default };
        if !range.contains(&size) {
            let problem = format!("{size} bytes are outside of what is possible here");
            let mend = format!("write {} to {} MiB", (range.start() >> 20).max(1), range.end() >> 20);
            self.findings.error("value-out-of-range", &section.at(key), problem, mend);
        }
        size
    }

    /// Warns of dates that no phase is about.
    pub(super) fn check_entries(&mut self, definition: &Definition) {
        let usual = definition.judging.is_some().then(EntryRules::default);
        let (Some(rules), Some(last)) =
            (definition.entries.as_ref().or(usual.as_ref()), definition.phases.last())
        else {
            return;
        };
        let at = self.places.entries.clone();
        if rules.closes.is_none() && last.end.is_none() {
            let problem =
                "the last phase has no end and `closes` is missing: entries can be changed for ever";
            let mend = "add `shuyu.entries.closes`: judges need an entry that stands still";
            self.findings.warn("entries-never-close", &at, problem, mend);
        }
        let closes = rules.closes.or(last.end);
        let opens = rules.opens.or(definition.phases.first().map(|phase| phase.start));
        if let (Some(from), Some(to), true) = (opens, closes, rules.opens.is_none() != rules.closes.is_none())
            && to <= from
        {
            let problem = format!("entries would close at {to}, before they open at {from}");
            let mend = "write both `opens` and `closes`";
            self.findings.error("entries-span", &at, problem, mend);
        }
    }
}
