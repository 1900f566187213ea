//! How a jury judges a competition (`shuyu.judging`): rubric, load, normalisation, weights, ties.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A text in the competition's own language, or in several, by locale tag (`zh`, `en`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Text {
    /// One for everybody.
    Plain(String),
    /// By locale tag.
    Both(BTreeMap<String, String>),
}

impl Default for Text {
    fn default() -> Self {
        Self::Plain(String::new())
    }
}

impl Text {
    /// The text in a locale; else the one there is.
    pub fn locale(&self, locale: &str) -> &str {
        match self {
            Self::Plain(text) => text,
            Self::Both(texts) => {
                texts.get(locale).or_else(|| texts.values().next()).map_or("", String::as_str)
            }
        }
    }

    /// The text written for just this locale; a plain one counts as Chinese.
    pub fn written(&self, locale: &str) -> &str {
        match self {
            Self::Plain(text) if locale == "zh" => text,
            Self::Plain(_) => "",
            Self::Both(texts) => texts.get(locale).map_or("", String::as_str),
        }
    }

    /// Of two texts, either of which may be empty.
    pub fn of(zh: &str, en: &str) -> Self {
        match (zh.trim(), en.trim()) {
            (zh, "") => Self::Plain(zh.to_owned()),
            ("", en) => Self::Both(BTreeMap::from([("en".to_owned(), en.to_owned())])),
            (zh, en) => {
                let texts = [("zh", zh), ("en", en)].map(|(tag, text)| (tag.to_owned(), text.to_owned()));
                Self::Both(BTreeMap::from(texts))
            }
        }
    }

    /// Whether nothing is written in any language.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Plain(text) => text.trim().is_empty(),
            Self::Both(texts) => texts.values().all(|text| text.trim().is_empty()),
        }
    }

    /// Characters of the longest of its texts.
    pub fn longest(&self) -> usize {
        match self {
            Self::Plain(text) => text.chars().count(),
            Self::Both(texts) => texts.values().map(|text| text.chars().count()).max().unwrap_or(0),
        }
    }
}

/// How a jury judges.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judging {
    /// What is marked, in the order of the page.
    pub criteria: Vec<Criterion>,
    /// Judges who mark each entry (k), 1 or more.
    pub per_entry: u32,
    /// Whether judges do not learn whose an entry is.
    pub blind: bool,
    /// How the marks of strict and mild judges are made comparable.
    pub normalisation: Normalisation,
    /// When judges disagree so much about an entry that it needs a second round.
    pub disagreement: Option<Disagreement>,
    /// What the two parts weigh in the total.
    pub weights: Weights,
    /// Where the automatic part comes from; needed where it weighs something.
    pub automatic: Option<Automatic>,
    /// What decides between equal totals, the first that differs.
    pub ties: Vec<Tie>,
    /// By when judges are asked to have marked, UTC. The chair closes the round.
    pub deadline: Option<Timestamp>,
}

/// One thing that is marked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Criterion {
    /// Its name in documents: lower-case letters, digits, `_` and `-`; unique.
    pub key: String,
    /// Its title.
    pub title: Text,
    /// What to look at.
    pub description: Text,
    /// What it weighs among the criteria, above 0; only the proportions count.
    pub weight: f64,
    /// The best mark; the worst is 0.
    pub max: f64,
    /// What marks differ by; `max` is a multiple of it.
    pub step: f64,
    /// What marks stand for, from the lowest.
    pub anchors: Vec<Anchor>,
}

impl Criterion {
    /// Whether a mark given under the one criterion says the same under the other; what it weighs is no matter.
    pub fn asks_the_same(&self, other: &Self) -> bool {
        *self == Self { weight: self.weight, ..other.clone() }
    }
}

/// What a mark stands for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Anchor {
    /// The mark.
    pub mark: f64,
    /// What an entry is like that gets it.
    pub text: Text,
}

impl Criterion {
    /// Every mark that can be given, from 0 to `max`.
    pub fn scale(&self) -> Vec<f64> {
        let steps = (self.max / self.step).round();
        if !steps.is_finite() || !(0.0..=MOST_STEPS).contains(&steps) {
            return Vec::new();
        }
        // multiples rather than sums, so that 0.1 steps end at max exactly
        (0..=steps as u32).map(|n| (f64::from(n) * self.step * 1e6).round() / 1e6).collect()
    }

    /// The mark of the scale that is meant; `None` for one that is not on it.
    pub fn on_scale(&self, mark: f64) -> Option<f64> {
        self.scale().into_iter().find(|step| (step - mark).abs() < 1e-6)
    }

    /// What a mark stands for, where that is written.
    pub fn anchor(&self, mark: f64) -> Option<&Anchor> {
        self.anchors.iter().find(|anchor| (anchor.mark - mark).abs() < 1e-6)
    }
}

/// Marks that a scale may have, beside 0.
pub const MOST_STEPS: f64 = 100.0;

/// How the marks of strict and mild judges are made comparable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Normalisation {
    /// As they are.
    #[default]
    None,
    /// By each judge's mean and standard deviation.
    Zscore,
    /// By each judge's order of entries.
    Rank,
}

impl Normalisation {
    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Zscore => "zscore",
            Self::Rank => "rank",
        }
    }
}

/// How far apart judges may be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Disagreement {
    /// What is measured.
    pub measure: Spread,
    /// In points of 100; more than this is flagged.
    pub threshold: f64,
}

/// How far apart several marks are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Spread {
    /// Highest less lowest.
    #[default]
    Range,
    /// Standard deviation of the sample.
    Deviation,
}

impl Spread {
    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Range => "range",
            Self::Deviation => "deviation",
        }
    }
}

/// What the two parts weigh in the total; only the proportion counts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Weights {
    /// The leaderboard's part, 0 or more.
    pub automatic: f64,
    /// The judges' part, 0 or more.
    pub judged: f64,
}

impl Default for Weights {
    fn default() -> Self {
        Self { automatic: 0.0, judged: 100.0 }
    }
}

/// Where the automatic part comes from: a value of the leaderboard, mapped to 0–100.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Automatic {
    /// Key of a column that everybody may see.
    pub column: String,
    /// Position of the phase whose board counts; absent: the last one's.
    pub phase: Option<u32>,
    /// The value that is worth 0; it may be above `to` where less is better.
    pub from: f64,
    /// The value that is worth 100.
    pub to: f64,
}

impl Automatic {
    /// The phase whose board counts, of a competition's phases in their order.
    pub fn of_phase<'p>(
        &self,
        phases: &'p [crate::contest::model::Phase],
    ) -> Option<&'p crate::contest::model::Phase> {
        match self.phase {
            Some(position) => phases.iter().find(|phase| phase.position == i64::from(position)),
            None => phases.last(),
        }
    }
}

/// What decides between equal totals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Tie {
    /// The higher judged part.
    Judged,
    /// The higher automatic part.
    Automatic,
    /// The higher mean of one criterion.
    Criterion(String),
    /// The entry submitted first.
    Earlier,
}

impl fmt::Display for Tie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Judged => f.write_str("judged"),
            Self::Automatic => f.write_str("automatic"),
            Self::Criterion(key) => write!(f, "criterion {key}"),
            Self::Earlier => f.write_str("earlier"),
        }
    }
}

impl From<Tie> for String {
    fn from(tie: Tie) -> Self {
        tie.to_string()
    }
}

impl TryFrom<String> for Tie {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for Tie {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        match (text, text.split_once(' ')) {
            ("judged", _) => Ok(Self::Judged),
            ("automatic", _) => Ok(Self::Automatic),
            ("earlier", _) => Ok(Self::Earlier),
            (_, Some(("criterion", key))) => Ok(Self::Criterion(key.trim().to_owned())),
            _ => Err(format!("`{text}` is no rule for ties")),
        }
    }
}

impl Judging {
    /// The criterion of a key.
    pub fn criterion(&self, key: &str) -> Option<&Criterion> {
        self.criteria.iter().find(|criterion| criterion.key == key)
    }
}
