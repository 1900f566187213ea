//! `shuyu.judging`: read with the line of every fault, checked by the same rules as the rubric editor of
//! the desk, and written back.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value as Json, json};

use super::competition::Reader;
use super::finding::{Findings, Place};
use super::node::{Node, Value};
use super::section::{Section, scalar_text, wrong_kind};
use super::write::moment;
use crate::contest::definition::judging::{
    Anchor, Automatic, Criterion, Disagreement, Judging, MOST_STEPS, Normalisation, Spread, Text, Tie,
    Weights,
};
use crate::contest::definition::{Column, Leaderboard};

/// Criteria that a rubric may have.
pub const MOST_CRITERIA: usize = 30;
/// Judges that an entry may have.
pub const MOST_JUDGES: u32 = 50;

/// The largest weight: proportions beyond it decide nothing that one can see, and sums stay exact.
const HEAVIEST: f64 = 1e6;
/// Characters of a criterion's title.
const TITLE: usize = 200;
/// Characters of an anchor, or of a criterion's description.
const ANCHOR: usize = 4000;

/// Something in a way of judging that cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where below `shuyu.judging`: `rubric.criteria[1].step`.
    pub key: String,
    /// The kind, as findings have it.
    pub code: &'static str,
    /// What is wrong.
    pub problem: String,
    /// How to mend it.
    pub mend: String,
}

impl Fault {
    fn new(
        key: impl Into<String>,
        code: &'static str,
        problem: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Self { key: key.into(), code, problem: problem.into(), mend: mend.into() }
    }
}

/// What cannot be about a way of judging, beside this leaderboard and so many phases.
pub fn faults(judging: &Judging, board: &Leaderboard, phases: usize) -> Vec<Fault> {
    let mut faults = Vec::new();
    let count = judging.criteria.len();
    if count == 0 || count > MOST_CRITERIA {
        let problem = format!("a rubric of {count} criteria cannot be marked");
        faults.push(Fault::new("rubric.criteria", "rubric-size", problem, "list 1 to 30 criteria"));
    }
    let mut keys = BTreeSet::new();
    for (index, criterion) in judging.criteria.iter().enumerate() {
        let fresh = keys.insert(criterion.key.as_str());
        criterion_faults(criterion, fresh, &format!("rubric.criteria[{index}]"), &mut faults);
    }
    if !(1..=MOST_JUDGES).contains(&judging.per_entry) {
        let problem = format!("{} judges cannot mark an entry", judging.per_entry);
        faults.push(Fault::new("judges_per_entry", "value-out-of-range", problem, "write 1 to 50"));
    }
    if let Some(Disagreement { threshold, .. }) = judging.disagreement
        && !(0.0..=100.0).contains(&threshold)
    {
        let problem = format!("marks of 0 to 100 are never {threshold} apart");
        let mend = "write the points out of 100 from which judges are asked again, such as 30";
        faults.push(Fault::new("disagreement.threshold", "value-out-of-range", problem, mend));
    }
    automatic_faults(judging, board, phases, &mut faults);
    for (index, tie) in judging.ties.iter().enumerate() {
        if let Tie::Criterion(key) = tie
            && !keys.contains(key.as_str())
        {
            let problem = format!("no criterion has the key `{key}`");
            let mend = "name the key of a criterion of the rubric";
            faults.push(Fault::new(format!("ties[{index}]"), "judging-tie", problem, mend));
        }
    }
    faults
}

fn criterion_faults(criterion: &Criterion, fresh: bool, at: &str, faults: &mut Vec<Fault>) {
    let key = &criterion.key;
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    if key.is_empty() || key.len() > 36 || !key.chars().all(plain) || !fresh {
        let problem = if fresh { format!("`{key}` is no key") } else { format!("`{key}` stands twice") };
        let mend = "write a name of its own of at most 36 lower-case letters, digits, `_` or `-`";
        faults.push(Fault::new(format!("{at}.key"), "rubric-key", problem, mend));
    }
    if criterion.title.is_empty() {
        faults.push(Fault::new(format!("{at}.title"), "missing-key", "`title` is required", "add `title`"));
    }
    let texts = criterion.anchors.iter().map(|anchor| (&anchor.text, ANCHOR, "anchors"));
    for (text, most, key) in texts.chain([(&criterion.title, TITLE, "title")]) {
        if text.longest() > most {
            let problem = format!("a text of `{key}` is longer than {most} characters");
            faults.push(Fault::new(format!("{at}.{key}"), "value-out-of-range", problem, "write less"));
        }
    }
    if !criterion.weight.is_finite() || criterion.weight <= 0.0 || criterion.weight > HEAVIEST {
        let problem = format!("a criterion cannot weigh {}", criterion.weight);
        faults.push(Fault::new(
            format!("{at}.weight"),
            "value-out-of-range",
            problem,
            format!("write a number above 0, of {HEAVIEST} at most"),
        ));
    }
    let steps = criterion.max / criterion.step;
    let whole = steps.is_finite() && (steps - steps.round()).abs() < 1e-6;
    if !whole || criterion.step <= 0.0 || !(1.0..=MOST_STEPS).contains(&steps.round()) {
        let problem = format!("steps of {} do not lead from 0 to {}", criterion.step, criterion.max);
        let mend = "write a `step` that goes into `max` 1 to 100 times";
        faults.push(Fault::new(format!("{at}.step"), "rubric-step", problem, mend));
        return;
    }
    for anchor in &criterion.anchors {
        if criterion.on_scale(anchor.mark).is_none() {
            let problem = format!("nobody can give the mark {}", anchor.mark);
            let mend = "describe marks from 0 to `max` that `step` leads to";
            faults.push(Fault::new(format!("{at}.anchors"), "rubric-anchor", problem, mend));
        }
    }
}

fn automatic_faults(judging: &Judging, board: &Leaderboard, phases: usize, faults: &mut Vec<Fault>) {
    let Weights { automatic, judged } = judging.weights;
    let number = |weight: f64| (0.0..=HEAVIEST).contains(&weight);
    if !number(automatic) || !number(judged) || automatic + judged <= 0.0 {
        let problem = format!("the parts weigh {automatic} and {judged}");
        let mend = format!("write two numbers of 0 to {HEAVIEST}, one of them above 0");
        faults.push(Fault::new("weights", "value-out-of-range", problem, mend));
    }
    let Some(source) = &judging.automatic else {
        if automatic > 0.0 {
            let problem = "the automatic part weighs something, but no column is named";
            let mend = "add `automatic` with a `column`, or let it weigh 0";
            faults.push(Fault::new("weights.automatic", "judging-automatic", problem, mend));
        }
        return;
    };
    let shown = crate::airlock::lane1::visible(board);
    if !shown.columns.iter().any(|column: &Column| column.key == source.column) || board.hidden {
        let problem = format!("`{}` is no column that everybody may see", source.column);
        let mend = "name a column of the leaderboard that is not hidden: the ranking shows its values";
        faults.push(Fault::new("automatic.column", "judging-column", problem, mend));
    }
    if !(source.from.is_finite() && source.to.is_finite()) || source.from == source.to {
        let problem = format!("from {} to {} nothing can be told apart", source.from, source.to);
        let mend = "write the value that is worth 0 and the one that is worth 100";
        faults.push(Fault::new("automatic.to", "judging-span", problem, mend));
    }
    if source.phase.is_some_and(|phase| usize::try_from(phase).is_ok_and(|phase| phase >= phases)) {
        let problem = "there is no such phase".to_owned();
        let mend = "phases are counted from 0; leave it out for the last one";
        faults.push(Fault::new("automatic.phase", "value-out-of-range", problem, mend));
    }
}

/// The block as it is written into a bundle.
pub(super) fn written(judging: &Judging) -> Json {
    let criteria: Vec<Json> = judging.criteria.iter().map(criterion_written).collect();
    let automatic = judging.automatic.as_ref();
    json!({
        "rubric": { "criteria": criteria },
        "judges_per_entry": judging.per_entry,
        "blind": judging.blind,
        "normalisation": judging.normalisation,
        "disagreement": judging.disagreement,
        "weights": judging.weights,
        "automatic": automatic,
        "ties": judging.ties,
        "deadline": judging.deadline.map(moment),
    })
}

fn criterion_written(criterion: &Criterion) -> Json {
    let anchors = criterion.anchors.iter().map(|a| (a.mark.to_string(), json!(a.text)));
    let anchors: Map<String, Json> = anchors.collect();
    json!({
        "key": criterion.key,
        "title": criterion.title,
        "description": (!criterion.description.is_empty()).then_some(&criterion.description),
        "weight": criterion.weight,
        "max": criterion.max,
        "step": criterion.step,
        "anchors": (!anchors.is_empty()).then_some(anchors),
    })
}

/// A finite number under a key.
fn number(section: &mut Section<'_>, key: &'static str, findings: &mut Findings) -> Option<f64> {
    let node = section.get(key)?;
    let number = number_of(node);
    if number.is_none() {
        wrong_kind(&section.at(key), &node.value, "a number", findings);
    }
    number
}

fn number_of(node: &Node) -> Option<f64> {
    let number = match &node.value {
        Value::Int(value, _) => Some(*value as f64),
        Value::Float(value, _) => Some(*value),
        _ => scalar_text(node).and_then(|text| text.trim().parse().ok()),
    };
    number.filter(|number: &f64| number.is_finite())
}

/// A text, or one for each language.
fn text_of(node: &Node, at: &Place, findings: &mut Findings) -> Text {
    if let Some(text) = scalar_text(node) {
        return Text::Plain(text);
    }
    let Value::Map(entries) = &node.value else {
        wrong_kind(at, &node.value, "text, or texts under `zh` and `en`", findings);
        return Text::default();
    };
    let mut texts = BTreeMap::new();
    for (tag, node) in entries {
        match (tag.as_str(), scalar_text(node)) {
            ("zh" | "en", Some(text)) => {
                texts.insert(tag.clone(), text);
            }
            ("zh" | "en", None) => wrong_kind(at, &node.value, "text", findings),
            _ => {
                let place = Place { key: format!("{}.{tag}", at.key), line: node.line };
                findings.error(
                    "locale-tag",
                    &place,
                    format!("`{tag}` is not a language here"),
                    "write `zh` or `en`",
                );
            }
        }
    }
    Text::Both(texts)
}

impl Reader<'_> {
    /// Reads the block, and checks it.
    pub(super) fn judging(
        &mut self,
        block: &mut Section<'_>,
        board: &Leaderboard,
        phases: usize,
    ) -> Option<Judging> {
        let mut section = block.section("judging", &mut self.findings)?;
        let top = section.place.clone();
        let mut places: BTreeMap<String, Place> = BTreeMap::new();
        let criteria = self.rubric(&mut section, &mut places);
        let normalisations =
            [("none", Normalisation::None), ("zscore", Normalisation::Zscore), ("rank", Normalisation::Rank)];
        let before = self.findings.count();
        let judging = Judging {
            criteria,
            per_entry: section.count("judges_per_entry", 3, &mut self.findings),
            blind: section.flag("blind", true, &mut self.findings),
            normalisation: section
                .choice("normalisation", &normalisations, &mut self.findings)
                .unwrap_or_default(),
            disagreement: self.disagreement(&mut section, &mut places),
            weights: self.weights(&mut section, &mut places),
            automatic: self.automatic(&mut section, &mut places),
            ties: self.ties(&mut section, &mut places),
            deadline: self.date(&mut section, "deadline"),
        };
        for key in ["judges_per_entry", "weights", "disagreement", "automatic"] {
            places.insert(key.to_owned(), section.at(key));
        }
        section.finish(&mut self.findings);
        let readable = self.findings.count() == before;
        for Fault { key, code, problem, mend } in faults(&judging, board, phases) {
            // the nearest that stands in the file: a key that is missing has its parent's line
            let mut known = key.as_str();
            let place = loop {
                match (places.get(known), known.rfind(['.', '['])) {
                    (Some(place), _) => break place.clone(),
                    (None, Some(at)) => known = &known[..at],
                    (None, None) => break top.clone(),
                }
            };
            let at = Place { key: format!("{}.{key}", top.key), line: place.line };
            if readable || !self.findings.has_errors_at(&at.key) {
                self.findings.error(code, &at, problem, mend);
            }
        }
        Some(judging)
    }

    fn rubric(&mut self, section: &mut Section<'_>, places: &mut BTreeMap<String, Place>) -> Vec<Criterion> {
        let findings = &mut self.findings;
        places.insert("rubric".to_owned(), section.at("rubric"));
        let Some(mut rubric) = section.section("rubric", findings) else { return Vec::new() };
        let scale = number(&mut rubric, "scale", findings).unwrap_or(10.0);
        let mut criteria = Vec::new();
        places.insert("rubric.criteria".to_owned(), rubric.at("criteria"));
        for (index, (place, node)) in rubric.list("criteria", findings).into_iter().enumerate() {
            let Some(mut item) = Section::of(node, place, findings) else { continue };
            places.insert(format!("rubric.criteria[{index}]"), item.place.clone());
            for key in ["key", "title", "weight", "max", "step", "anchors"] {
                places.insert(format!("rubric.criteria[{index}].{key}"), item.at(key));
            }
            let text = |item: &mut Section<'_>, key: &'static str, findings: &mut Findings| {
                let at = item.at(key);
                item.get(key).map(|node| text_of(node, &at, findings)).unwrap_or_default()
            };
            criteria.push(Criterion {
                key: item.required_text("key", findings),
                title: text(&mut item, "title", findings),
                description: text(&mut item, "description", findings),
                weight: number(&mut item, "weight", findings).unwrap_or(1.0),
                max: number(&mut item, "max", findings).unwrap_or(scale),
                step: number(&mut item, "step", findings).unwrap_or(1.0),
                anchors: anchors(&mut item, findings),
            });
            item.finish(findings);
        }
        rubric.finish(findings);
        criteria
    }

    fn disagreement(
        &mut self,
        section: &mut Section<'_>,
        places: &mut BTreeMap<String, Place>,
    ) -> Option<Disagreement> {
        let mut part = section.section("disagreement", &mut self.findings)?;
        places.insert("disagreement.threshold".to_owned(), part.at("threshold"));
        let measures = [("range", Spread::Range), ("deviation", Spread::Deviation)];
        let measure = part.choice("measure", &measures, &mut self.findings).unwrap_or_default();
        let threshold = number(&mut part, "threshold", &mut self.findings);
        if threshold.is_none() && !self.findings.has_errors_at(&part.at("threshold").key) {
            super::section::missing(&part.at("threshold"), &mut self.findings);
        }
        part.finish(&mut self.findings);
        threshold.map(|threshold| Disagreement { measure, threshold })
    }

    fn weights(&mut self, section: &mut Section<'_>, places: &mut BTreeMap<String, Place>) -> Weights {
        let Some(mut part) = section.section("weights", &mut self.findings) else {
            return Weights::default();
        };
        places.insert("weights.automatic".to_owned(), part.at("automatic"));
        let weights = Weights {
            automatic: number(&mut part, "automatic", &mut self.findings).unwrap_or(0.0),
            judged: number(&mut part, "judged", &mut self.findings).unwrap_or(100.0),
        };
        part.finish(&mut self.findings);
        weights
    }

    fn automatic(
        &mut self,
        section: &mut Section<'_>,
        places: &mut BTreeMap<String, Place>,
    ) -> Option<Automatic> {
        let mut part = section.section("automatic", &mut self.findings)?;
        for key in ["column", "phase", "from", "to"] {
            places.insert(format!("automatic.{key}"), part.at(key));
        }
        let column = part.required_text("column", &mut self.findings);
        let phase = part.get("phase").is_some().then(|| part.count("phase", 0, &mut self.findings));
        let from = number(&mut part, "from", &mut self.findings).unwrap_or(0.0);
        let to = number(&mut part, "to", &mut self.findings).unwrap_or(100.0);
        part.finish(&mut self.findings);
        Some(Automatic { column, phase, from, to })
    }

    fn ties(&mut self, section: &mut Section<'_>, places: &mut BTreeMap<String, Place>) -> Vec<Tie> {
        let mut ties = Vec::new();
        for (place, node) in section.list("ties", &mut self.findings) {
            let text = scalar_text(node).unwrap_or_default();
            match text.parse() {
                Ok(tie) => {
                    places.insert(format!("ties[{}]", ties.len()), place);
                    ties.push(tie);
                }
                Err(problem) => {
                    let mend = "write `judged`, `automatic`, `earlier`, or `criterion` and the key of one";
                    self.findings.error("judging-tie", &place, problem, mend);
                }
            }
        }
        ties
    }
}

fn anchors(item: &mut Section<'_>, findings: &mut Findings) -> Vec<Anchor> {
    let Some(section) = item.section("anchors", findings) else { return Vec::new() };
    let mut anchors = Vec::new();
    for (name, place, node) in section.all() {
        match name.trim().parse::<f64>() {
            Ok(mark) if mark.is_finite() => {
                anchors.push(Anchor { mark, text: text_of(node, &place, findings) })
            }
            _ => {
                let problem = format!("`{name}` is no mark");
                let mend = "write each description under its mark, such as `5: convincing`";
                findings.error("rubric-anchor", &place, problem, mend);
            }
        }
    }
    anchors.sort_by(|a, b| a.mark.total_cmp(&b.mark));
    anchors
}
