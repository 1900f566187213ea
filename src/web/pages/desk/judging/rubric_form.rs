//! The rubric as a form: into fields, and back.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::contest::definition::judging::{
    Anchor, Automatic, Criterion, Disagreement, Judging, Normalisation, Spread, Text, Tie, Weights,
};
use crate::web::error::FieldFault;
use crate::web::pages::judging::number;

/// The fields of a criterion.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct CriterionFields {
    key: String,
    title_zh: String,
    title_en: String,
    description_zh: String,
    description_en: String,
    weight: String,
    max: String,
    step: String,
    /// A line for each: `5 | Chinese | English`.
    anchors: String,
}

/// The fields of the form.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Fields {
    criteria: Vec<CriterionFields>,
    per_entry: String,
    blind: bool,
    normalisation: String,
    measure: String,
    threshold: String,
    weight_automatic: String,
    weight_judged: String,
    column: String,
    phase: String,
    from: String,
    to: String,
    ties: String,
    deadline: String,
    pub reason: String,
}

fn anchors_text(anchors: &[Anchor]) -> String {
    let line = |anchor: &Anchor| {
        let (zh, en) = (anchor.text.written("zh"), anchor.text.written("en"));
        let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let more = if en.is_empty() { String::new() } else { format!(" | {}", flat(en)) };
        format!("{} | {}{more}", number(anchor.mark), flat(zh))
    };
    anchors.iter().map(line).collect::<Vec<_>>().join("\n")
}

impl Fields {
    /// What is in force, or what one begins with.
    pub(super) fn of(judging: Option<&Judging>, zone: &TimeZone) -> Self {
        let Some(judging) = judging else {
            return Self {
                criteria: vec![blank()],
                per_entry: "3".to_owned(),
                blind: true,
                normalisation: "none".to_owned(),
                measure: "range".to_owned(),
                weight_automatic: "0".to_owned(),
                weight_judged: "100".to_owned(),
                ties: "judged, earlier".to_owned(),
                ..Self::default()
            };
        };
        let criterion = |c: &Criterion| CriterionFields {
            key: c.key.clone(),
            title_zh: c.title.written("zh").to_owned(),
            title_en: c.title.written("en").to_owned(),
            description_zh: c.description.written("zh").to_owned(),
            description_en: c.description.written("en").to_owned(),
            weight: number(c.weight),
            max: number(c.max),
            step: number(c.step),
            anchors: anchors_text(&c.anchors),
        };
        let automatic = judging.automatic.as_ref();
        let deadline = judging.deadline.map(|at| at.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S"));
        Self {
            criteria: judging.criteria.iter().map(criterion).collect(),
            per_entry: judging.per_entry.to_string(),
            blind: judging.blind,
            normalisation: judging.normalisation.as_str().to_owned(),
            measure: judging.disagreement.map_or("range", |rule| rule.measure.as_str()).to_owned(),
            threshold: judging.disagreement.map(|rule| number(rule.threshold)).unwrap_or_default(),
            weight_automatic: number(judging.weights.automatic),
            weight_judged: number(judging.weights.judged),
            column: automatic.map(|source| source.column.clone()).unwrap_or_default(),
            phase: automatic.and_then(|source| source.phase).map(|n| n.to_string()).unwrap_or_default(),
            from: automatic.map(|source| number(source.from)).unwrap_or_default(),
            to: automatic.map(|source| number(source.to)).unwrap_or_default(),
            ties: judging.ties.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
            deadline: deadline.map(|text| text.to_string()).unwrap_or_default(),
            reason: String::new(),
        }
    }

    /// What was sent. A criterion without a key and title is left out: that is how one is removed.
    pub(super) fn sent(sent: &[(String, String)]) -> Self {
        let all: BTreeMap<&str, &str> =
            sent.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let text = |name: &str| all.get(name).copied().unwrap_or_default().trim().replace("\r\n", "\n");
        let mut criteria = Vec::new();
        for at in 0..=crate::contest::bundle::judging::MOST_CRITERIA {
            let of = |name: &str| text(&format!("{name}-{at}"));
            let fields = CriterionFields {
                key: of("key"),
                title_zh: of("title_zh"),
                title_en: of("title_en"),
                description_zh: of("description_zh"),
                description_en: of("description_en"),
                weight: of("weight"),
                max: of("max"),
                step: of("step"),
                anchors: of("anchors"),
            };
            if !fields.key.is_empty() || !fields.title_zh.is_empty() || !fields.title_en.is_empty() {
                criteria.push(fields);
            }
        }
        Self {
            criteria,
            per_entry: text("per_entry"),
            blind: text("blind") == "yes",
            normalisation: text("normalisation"),
            measure: text("measure"),
            threshold: text("threshold"),
            weight_automatic: text("weight_automatic"),
            weight_judged: text("weight_judged"),
            column: text("column"),
            phase: text("phase"),
            from: text("from"),
            to: text("to"),
            ties: text("ties"),
            deadline: text("deadline"),
            reason: text("reason"),
        }
    }

    /// Adds an empty criterion to be filled in.
    pub(super) fn with_blank(mut self) -> Self {
        self.criteria.push(blank());
        self
    }

    /// The rubric that the fields mean.
    pub(super) fn read(&self, zone: &TimeZone) -> Result<Judging, Vec<FieldFault>> {
        let mut faults = Vec::new();
        let mut num = |name: String, text: &str, default: f64| match text.trim() {
            "" => default,
            text => text.parse().ok().filter(|value: &f64| value.is_finite()).unwrap_or_else(|| {
                faults.push(FieldFault::new(name, "number"));
                default
            }),
        };
        let mut criteria = Vec::new();
        let mut unread = Vec::new();
        for (at, fields) in self.criteria.iter().enumerate() {
            criteria.push(Criterion {
                key: fields.key.clone(),
                title: Text::of(&fields.title_zh, &fields.title_en),
                description: Text::of(&fields.description_zh, &fields.description_en),
                weight: num(format!("weight-{at}"), &fields.weight, 1.0),
                max: num(format!("max-{at}"), &fields.max, 10.0),
                step: num(format!("step-{at}"), &fields.step, 1.0),
                anchors: anchors(&fields.anchors).unwrap_or_else(|| {
                    unread.push(FieldFault::new(format!("anchors-{at}"), "anchor-line"));
                    Vec::new()
                }),
            });
        }
        let threshold = (!self.threshold.is_empty()).then(|| num("threshold".into(), &self.threshold, 0.0));
        let weights = Weights {
            automatic: num("weight_automatic".into(), &self.weight_automatic, 0.0),
            judged: num("weight_judged".into(), &self.weight_judged, 100.0),
        };
        let automatic = (!self.column.is_empty()).then(|| Automatic {
            column: self.column.clone(),
            phase: self.phase.parse().ok(),
            from: num("from".into(), &self.from, 0.0),
            to: num("to".into(), &self.to, 100.0),
        });
        let per_entry = self.per_entry.parse().unwrap_or_else(|_| {
            unread.push(FieldFault::new("per_entry", "number"));
            3
        });
        let ties = self.ties.split([',', '，', '、', '\n']).map(str::trim).filter(|text| !text.is_empty());
        let ties: Result<Vec<Tie>, String> = ties.map(str::parse).collect();
        let ties = ties.unwrap_or_else(|_| {
            unread.push(FieldFault::new("ties", "tie"));
            Vec::new()
        });
        let deadline = match self.deadline.as_str() {
            "" => None,
            text => moment(text, zone).or_else(|| {
                unread.push(FieldFault::new("deadline", "date-unreadable"));
                None
            }),
        };
        faults.extend(unread);
        if !faults.is_empty() {
            return Err(faults);
        }
        let measure = if self.measure == "deviation" { Spread::Deviation } else { Spread::Range };
        Ok(Judging {
            criteria,
            per_entry,
            blind: self.blind,
            normalisation: match self.normalisation.as_str() {
                "zscore" => Normalisation::Zscore,
                "rank" => Normalisation::Rank,
                _ => Normalisation::None,
            },
            disagreement: threshold.map(|threshold| Disagreement { measure, threshold }),
            weights,
            automatic,
            ties,
            deadline,
        })
    }
}

fn blank() -> CriterionFields {
    let text = |text: &str| text.to_owned();
    CriterionFields { weight: text("1"), max: text("10"), step: text("1"), ..CriterionFields::default() }
}

fn moment(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let civil: DateTime = text.trim().parse().ok()?;
    zone.to_timestamp(civil).ok()
}

/// Lines of `5 | Chinese | English`; none where one is not.
fn anchors(text: &str) -> Option<Vec<Anchor>> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut anchors: Vec<Anchor> = lines
        .map(|line| {
            let mut parts = line.split(['|', '｜']).map(str::trim);
            let mark = parts.next()?.parse().ok().filter(|mark: &f64| mark.is_finite())?;
            let (zh, en) = (parts.next()?, parts.next().unwrap_or_default());
            Some(Anchor { mark, text: Text::of(zh, en) })
        })
        .collect::<Option<_>>()?;
    anchors.sort_by(|a, b| a.mark.total_cmp(&b.mark));
    Some(anchors)
}

/// The form's field that a key of `shuyu.judging` stands in.
pub(super) fn field_of(key: &str) -> String {
    let criterion = key.strip_prefix("rubric.criteria[").and_then(|rest| rest.split_once(']'));
    match (criterion, key) {
        (Some((at, ".title")), _) => format!("title_zh-{at}"),
        (Some((at, part)), _) => format!("{}-{at}", part.trim_start_matches('.')),
        (None, "judges_per_entry") => "per_entry".to_owned(),
        (None, "disagreement.threshold") => "threshold".to_owned(),
        (None, "weights" | "weights.automatic") => "weight_automatic".to_owned(),
        (None, "rubric.criteria") => "key-0".to_owned(),
        (None, key) if key.starts_with("ties") => "ties".to_owned(),
        (None, key) => key.trim_start_matches("automatic.").to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rubric_goes_through_the_form_unchanged() {
        let both = |zh: &str, en: &str| Text::of(zh, en);
        let criterion = Criterion {
            key: "use".to_owned(),
            title: both("实用", "Use"),
            description: both("", "of use?"),
            weight: 2.5,
            max: 5.0,
            step: 0.5,
            anchors: vec![
                Anchor { mark: 0.0, text: both("无", "") },
                Anchor { mark: 4.5, text: both("好", "good") },
            ],
        };
        let judging = Judging {
            criteria: vec![criterion],
            per_entry: 4,
            blind: false,
            normalisation: Normalisation::Zscore,
            disagreement: Some(Disagreement { measure: Spread::Deviation, threshold: 12.5 }),
            weights: Weights { automatic: 40.0, judged: 60.0 },
            automatic: Some(Automatic { column: "rmse".to_owned(), phase: Some(1), from: 9.0, to: 0.5 }),
            ties: vec![Tie::Criterion("use".to_owned()), Tie::Earlier],
            deadline: Some(Timestamp::from_second(1_900_000_000).unwrap()),
        };
        let zone = TimeZone::get("Asia/Shanghai").unwrap();
        let fields = Fields::of(Some(&judging), &zone);
        assert_eq!(fields.read(&zone).unwrap(), judging);
        let faulty = Fields { per_entry: "x".into(), deadline: "soon".into(), ties: "luck".into(), ..fields };
        let fields: Vec<String> = faulty.read(&zone).unwrap_err().into_iter().map(|f| f.field).collect();
        assert_eq!(fields, ["per_entry", "ties", "deadline"]);
    }

    #[test]
    fn every_fault_has_its_field() {
        for (key, field) in [
            ("rubric.criteria[2].step", "step-2"),
            ("rubric.criteria[0].title", "title_zh-0"),
            ("automatic.column", "column"),
            ("ties[1]", "ties"),
            ("weights", "weight_automatic"),
        ] {
            assert_eq!(field_of(key), field);
        }
    }
}
