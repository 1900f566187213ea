//! A rubric and a sheet as pages show them, and a sheet out of a form.

use serde::Serialize;

use crate::contest::definition::judging::{Criterion, Judging};
use crate::judging::Sheet;

/// Marks up to which a scale is shown mark by mark; a longer one is typed.
const SHOWN_MARKS: usize = 21;

/// A mark that can be given.
#[derive(Debug, Serialize)]
pub(in crate::web) struct MarkView {
    /// As forms send it.
    value: String,
    /// What it stands for.
    anchor: Option<String>,
    /// Whether it is the one given.
    chosen: bool,
}

/// A criterion with the mark that was given.
#[derive(Debug, Serialize)]
pub(in crate::web) struct CriterionView {
    /// Its key.
    pub key: String,
    /// Its title in the page's language.
    pub title: String,
    /// What to look at.
    pub description: String,
    /// What it weighs, in percent of all.
    pub share: f64,
    /// The best mark.
    pub max: String,
    /// What marks differ by.
    pub step: String,
    /// The mark given; empty before.
    pub given: String,
    /// Every mark, unless there are too many to choose from.
    pub marks: Vec<MarkView>,
    /// What marks stand for, where the scale is too long to show.
    pub anchors: Vec<(String, String)>,
}

/// A number without needless digits: `7.5`, `10`.
pub(in crate::web) fn number(value: f64) -> String {
    let text = format!("{value:.6}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text.is_empty() || text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// The rubric with what a sheet says so far, in a locale (`zh`, `en`).
pub(in crate::web) fn criteria(judging: &Judging, sheet: Option<&Sheet>, locale: &str) -> Vec<CriterionView> {
    let all: f64 = judging.criteria.iter().map(|criterion| criterion.weight).sum();
    judging.criteria.iter().map(|criterion| view(criterion, all, sheet, locale)).collect()
}

fn view(criterion: &Criterion, all: f64, sheet: Option<&Sheet>, locale: &str) -> CriterionView {
    let given = sheet.and_then(|sheet| sheet.marks.get(&criterion.key)).copied();
    let scale = criterion.scale();
    let anchor = |mark: f64| criterion.anchor(mark).map(|anchor| anchor.text.locale(locale).to_owned());
    let shown = scale.len() <= SHOWN_MARKS;
    let marks = scale.iter().filter(|_| shown).map(|mark| MarkView {
        value: number(*mark),
        anchor: anchor(*mark),
        chosen: given.is_some_and(|given| (given - mark).abs() < 1e-6),
    });
    let anchors = criterion.anchors.iter().filter(|_| !shown);
    CriterionView {
        key: criterion.key.clone(),
        title: criterion.title.locale(locale).to_owned(),
        description: criterion.description.locale(locale).to_owned(),
        share: criterion.weight / all,
        max: number(criterion.max),
        step: number(criterion.step),
        given: given.map(number).unwrap_or_default(),
        marks: marks.collect(),
        anchors: anchors.map(|a| (number(a.mark), a.text.locale(locale).to_owned())).collect(),
    }
}

/// A sheet out of a form's fields: `mark-KEY`, `to_team`, `to_jury`. What is no number is left for the
/// rubric's own check to refuse.
pub(in crate::web) fn read_sheet(fields: &[(String, String)]) -> Sheet {
    let text = |name: &str| {
        let found = fields.iter().find(|(field, _)| field == name);
        // browsers send line ends as CR LF
        found.map(|(_, value)| value.replace("\r\n", "\n")).unwrap_or_default()
    };
    let marks = fields.iter().filter_map(|(field, value)| {
        let key = field.strip_prefix("mark-")?;
        let value = value.trim();
        (!value.is_empty()).then(|| (key.to_owned(), value.parse().unwrap_or(f64::NAN)))
    });
    Sheet { marks: marks.collect(), to_team: text("to_team"), to_jury: text("to_jury") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_no_needless_digits() {
        for (value, text) in [(10.0, "10"), (7.5, "7.5"), (0.0, "0"), (0.1 + 0.2, "0.3"), (-0.0, "0")] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn a_form_becomes_a_sheet() {
        let fields =
            [("mark-a", " 7.5 "), ("mark-b", ""), ("mark-c", "x"), ("to_team", "one\r\ntwo"), ("seen", "3")];
        let sheet = read_sheet(&fields.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(sheet.marks.get("a"), Some(&7.5));
        assert!(!sheet.marks.contains_key("b") && sheet.marks["c"].is_nan());
        assert_eq!((sheet.to_team.as_str(), sheet.to_jury.as_str()), ("one\ntwo", ""));
    }
}
