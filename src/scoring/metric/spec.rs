//! How a bundle declares a metric, and what can be wrong with that.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::{Average, Direction, Family, KappaWeights, MetricName};

/// Length of the list of classes at most.
const MOST_LABELS: usize = 1000;

/// One entry under `shuyu.tasks.N.metric` of `competition.yaml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Declared")]
pub struct MetricSpec {
    /// The metric; in the bundle also `ndcg@10`, `f1_macro`, `accuracy_score` and the like.
    pub name: MetricName,
    /// Key of the leaderboard column the value goes to.
    pub column: String,
    /// Columns of the predictions file: one, or one by class in the order of `labels` (else of the
    /// sorted classes).
    pub prediction: Vec<String>,
    /// Column of the reference file that holds the truth.
    pub target: String,
    /// Column of both files that says which row is which.
    pub id: String,
    /// Lowest and highest value a score may take; a value beyond is pulled to the end.
    pub range: Option<[f64; 2]>,
    /// Lowest and highest value a prediction may take (numbers only), in the target's unit; a value
    /// beyond is pulled to the end.
    pub clip: Option<[f64; 2]>,
    /// Averaging over classes.
    pub average: Option<Average>,
    /// The positive class of a binary metric, as [`canonical_label`](crate::scoring) writes it.
    pub pos_label: Option<String>,
    /// The classes, in order.
    pub labels: Option<Vec<String>>,
    /// Weighting of disagreements (cohen_kappa).
    pub weights: Option<KappaWeights>,
    /// Column of the reference file with row weights.
    pub sample_weight: Option<String>,
    /// Places that count (ndcg, map).
    pub k: Option<usize>,
    /// Column of the reference file that says which query a row belongs to (ndcg, map).
    pub group: Option<String>,
    /// Keys that mean nothing here, kept for [`MetricSpec::validate`].
    #[serde(default, skip_serializing)]
    pub unknown_keys: Vec<String>,
}

/// What is wrong with a declaration, for the bundle linter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SpecProblem {
    /// Key inside the metric's mapping.
    pub key: String,
    /// What is wrong.
    pub problem: String,
    /// How to mend it.
    pub mend: String,
}

impl MetricSpec {
    /// A declaration with nothing but what every metric needs.
    pub fn new(name: MetricName, column: &str, prediction: &str, target: &str, id: &str) -> Self {
        Self {
            name,
            column: column.to_owned(),
            prediction: vec![prediction.to_owned()],
            target: target.to_owned(),
            id: id.to_owned(),
            range: None,
            clip: None,
            average: None,
            pos_label: None,
            labels: None,
            weights: None,
            sample_weight: None,
            k: None,
            group: None,
            unknown_keys: Vec::new(),
        }
    }

    /// Whether more is better.
    pub fn direction(&self) -> Direction {
        self.name.direction()
    }

    /// The values a score can take: the declared range, else the definition's; an end may be
    /// infinite.
    pub fn score_range(&self) -> [f64; 2] {
        self.range.unwrap_or_else(|| self.name.natural_range())
    }

    /// Everything that is wrong with the declaration.
    pub fn validate(&self) -> Vec<SpecProblem> {
        let mut found = Vec::new();
        let mut say = |key: &str, problem: String, mend: &str| {
            found.push(SpecProblem { key: key.to_owned(), problem, mend: mend.to_owned() });
        };
        for key in &self.unknown_keys {
            say(key, format!("`{key}` is not a key of a metric"), "remove it or correct its spelling");
        }
        for (key, value) in [("column", &self.column), ("target", &self.target), ("id", &self.id)] {
            if value.trim().is_empty() {
                say(key, format!("`{key}` is empty"), "name a column");
            }
        }
        self.check_columns(&mut say);
        self.check_ranges(&mut say);
        self.check_classes(&mut say);
        self.check_places(&mut say);
        found
    }

    fn check_columns(&self, say: &mut impl FnMut(&str, String, &str)) {
        let columns = self.prediction.len();
        if columns == 0 || self.prediction.iter().any(|column| column.trim().is_empty()) {
            say(
                "prediction",
                "`prediction` names no column".to_owned(),
                "name a column of the predictions file",
            );
        }
        if columns > 1 && self.name.family() != Family::Scores {
            let problem = format!("{} takes one prediction column, not {columns}", self.name);
            say("prediction", problem, "name one column");
        }
        if has_duplicates(&self.prediction) {
            say("prediction", "a prediction column is named twice".to_owned(), "name every column once");
        }
        if self.prediction.contains(&self.id) {
            let problem = format!("`{}` is both the id and a prediction", self.id);
            say("prediction", problem, "use different columns");
        }
        if self.target == self.id {
            say("target", "the target is the id column".to_owned(), "name the column that holds the truth");
        }
        if self.sample_weight.is_some()
            && (self.name.family() == Family::Rankings || self.name == MetricName::Spearman)
        {
            say("sample_weight", format!("{} has no row weights", self.name), "remove `sample_weight`");
        }
    }

    fn check_ranges(&self, say: &mut impl FnMut(&str, String, &str)) {
        for (key, range) in [("range", self.range), ("clip", self.clip)] {
            if range.is_some_and(|[lo, hi]| !(lo.is_finite() && hi.is_finite() && lo < hi)) {
                let problem = format!("`{key}` is not two finite numbers in rising order");
                say(key, problem, "write [lowest, highest]");
            }
        }
        if let Some([lo, hi]) = self.range {
            let [least, most] = self.name.natural_range();
            if lo < least || hi > most {
                let problem = format!("{} lies between {least} and {most}", self.name);
                say("range", problem, "narrow the range");
            }
            if self.name == MetricName::LogLoss && hi < std::f64::consts::LN_2 {
                let problem = "a coin's log_loss, 0.6931, would lie outside the range".to_owned();
                say("range", problem, "let the range reach 1 at least");
            }
        }
        if self.clip.is_some() && (self.name.family() != Family::Numbers || self.name == MetricName::Spearman)
        {
            say("clip", format!("predictions of {} are not clipped", self.name), "remove `clip`");
        }
    }

    fn check_classes(&self, say: &mut impl FnMut(&str, String, &str)) {
        let columns = self.prediction.len();
        let ratio = matches!(self.name, MetricName::Precision | MetricName::Recall | MetricName::F1);
        let areas = matches!(self.name, MetricName::RocAuc | MetricName::AveragePrecision) && columns > 1;
        match self.average {
            None => {}
            Some(_) if ratio => {}
            Some(Average::Macro | Average::Weighted) if areas => {}
            Some(_) if areas => {
                say("average", "areas are averaged macro or weighted".to_owned(), "use macro or weighted");
            }
            Some(_) => say("average", format!("{} has no average", self.name), "remove `average`"),
        }
        let binary = (ratio && self.average.is_none_or(|average| average == Average::Binary))
            || (self.name.family() == Family::Scores && columns == 1);
        if self.pos_label.is_some() && !binary {
            let problem = "`pos_label` has no meaning here".to_owned();
            say("pos_label", problem, "remove it, or set `average: binary`");
        }
        if let Some(labels) = &self.labels {
            if labels.is_empty() || labels.len() > MOST_LABELS || has_duplicates(labels) {
                let problem = format!("`labels` is not a list of 1 to {MOST_LABELS} different classes");
                say("labels", problem, "list every class once");
            }
            let by_column = self.name.family() == Family::Scores;
            if by_column && columns > 1 && labels.len() != columns {
                let problem = format!("{} labels for {columns} prediction columns", labels.len());
                say("labels", problem, "list one class by column, in the same order");
            }
            if by_column && columns == 1 && labels.len() != 2 {
                let problem = "one prediction column speaks of two classes".to_owned();
                say("labels", problem, "list two classes, or name one column by class");
            }
            let averaged = ratio && self.average.is_some_and(|average| average != Average::Binary);
            if !(averaged || by_column || self.name == MetricName::CohenKappa) {
                say("labels", format!("`labels` has no meaning for {}", self.name), "remove it");
            }
        }
        if self.weights.is_some() && self.name != MetricName::CohenKappa {
            let problem = "`weights` (none, linear, quadratic) belongs to cohen_kappa".to_owned();
            say("weights", problem, "remove it; a column of row weights is `sample_weight`");
        }
    }

    fn check_places(&self, say: &mut impl FnMut(&str, String, &str)) {
        let ranking = self.name.family() == Family::Rankings;
        if self.k.is_some() && !ranking {
            say("k", format!("{} has no `k`", self.name), "remove it");
        }
        if self.k == Some(0) {
            say("k", "`k` is 0".to_owned(), "count from 1");
        }
        match &self.group {
            Some(_) if !ranking => say("group", format!("{} has no groups", self.name), "remove `group`"),
            None if ranking => {
                say(
                    "group",
                    format!("{} needs to know the queries", self.name),
                    "set `group` to a column of the reference file",
                );
            }
            _ => {}
        }
    }
}

/// Everything that is wrong with the metrics of one task, each problem with the index of its entry.
pub fn validate_list(metrics: &[MetricSpec]) -> Vec<(usize, SpecProblem)> {
    let mut found: Vec<(usize, SpecProblem)> = Vec::new();
    if metrics.is_empty() {
        let problem = "the list of metrics is empty".to_owned();
        found.push((
            0,
            SpecProblem { key: "metric".to_owned(), problem, mend: "declare one metric".to_owned() },
        ));
    }
    for (index, metric) in metrics.iter().enumerate() {
        found.extend(metric.validate().into_iter().map(|problem| (index, problem)));
        let earlier = &metrics[..index];
        if earlier.iter().any(|other| other.column == metric.column) {
            let problem = format!("two metrics write the column `{}`", metric.column);
            let mend = "give each metric its own leaderboard column".to_owned();
            found.push((index, SpecProblem { key: "column".to_owned(), problem, mend }));
        }
        if earlier.first().is_some_and(|first| first.id != metric.id) {
            let problem = "the metrics of a task have different id columns".to_owned();
            let mend = "use one id column in all of them".to_owned();
            found.push((index, SpecProblem { key: "id".to_owned(), problem, mend }));
        }
    }
    found
}

fn has_duplicates(names: &[String]) -> bool {
    let mut sorted: Vec<_> = names.iter().collect();
    sorted.sort_unstable();
    sorted.windows(2).any(|pair| pair[0] == pair[1])
}

/// How a class is written, so that a file that says `1.0` or `true` agrees with one that says `1`
/// or `True` (pandas reads them as the same): whole numbers without a fraction or leading zeros,
/// booleans capitalised, everything else as it stands without surrounding blanks.
pub(crate) fn canonical_label(text: &str) -> String {
    let text = text.trim();
    match text {
        "true" | "TRUE" => return "True".to_owned(),
        "false" | "FALSE" => return "False".to_owned(),
        _ => {}
    }
    // "nan", "inf" and the like parse as numbers, but are names here.
    if !text.bytes().any(|byte| byte.is_ascii_digit()) {
        return text.to_owned();
    }
    if let Ok(whole) = text.parse::<i64>() {
        return whole.to_string();
    }
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => (number + 0.0).to_string(),
        _ => text.to_owned(),
    }
}

/// The metrics of a task: one mapping, or a list of mappings.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct MetricList(pub Vec<MetricSpec>);

impl<'de> Deserialize<'de> for MetricList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrMore).map(MetricList)
    }
}

struct OneOrMore;

impl<'de> Visitor<'de> for OneOrMore {
    type Value = Vec<MetricSpec>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a metric (a mapping with `name`) or a list of metrics")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        MetricSpec::deserialize(de::value::MapAccessDeserializer::new(map)).map(|spec| vec![spec])
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
        Vec::deserialize(de::value::SeqAccessDeserializer::new(list))
    }
}

/// The mapping as it is written.
#[derive(Deserialize)]
struct Declared {
    name: String,
    column: String,
    prediction: OneOrMany,
    target: String,
    id: String,
    range: Option<[f64; 2]>,
    clip: Option<[f64; 2]>,
    average: Option<Average>,
    pos_label: Option<Label>,
    labels: Option<Vec<Label>>,
    weights: Option<KappaWeights>,
    sample_weight: Option<String>,
    k: Option<usize>,
    #[serde(alias = "query")]
    group: Option<String>,
    #[serde(default, skip_serializing)]
    unknown_keys: Vec<String>,
    #[serde(flatten)]
    others: BTreeMap<String, IgnoredAny>,
}

/// A column, or several.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// A class as YAML has it: text, number or boolean.
#[derive(Deserialize)]
#[serde(untagged)]
enum Label {
    Flag(bool),
    Whole(i64),
    Number(f64),
    Text(String),
}

impl Label {
    fn canonical(self) -> String {
        match self {
            Self::Flag(flag) => canonical_label(if flag { "True" } else { "False" }),
            Self::Whole(number) => number.to_string(),
            Self::Number(number) => canonical_label(&number.to_string()),
            Self::Text(text) => canonical_label(&text),
        }
    }
}

impl TryFrom<Declared> for MetricSpec {
    type Error = String;

    fn try_from(declared: Declared) -> Result<Self, String> {
        let (name, average, k) = read_name(&declared.name)?;
        Ok(Self {
            name,
            column: declared.column,
            prediction: match declared.prediction {
                OneOrMany::One(column) => vec![column],
                OneOrMany::Many(columns) => columns,
            },
            target: declared.target,
            id: declared.id,
            range: declared.range,
            clip: declared.clip,
            average: declared.average.or(average),
            pos_label: declared.pos_label.map(Label::canonical),
            labels: declared.labels.map(|labels| labels.into_iter().map(Label::canonical).collect()),
            weights: declared.weights,
            sample_weight: declared.sample_weight,
            k: declared.k.or(k),
            group: declared.group,
            unknown_keys: declared.unknown_keys.into_iter().chain(declared.others.into_keys()).collect(),
        })
    }
}

/// A metric's name with what scikit-learn's scorers and functions put around it.
fn read_name(written: &str) -> Result<(MetricName, Option<Average>, Option<usize>), String> {
    let unknown = || {
        let names: Vec<&str> = MetricName::ALL.iter().map(|name| name.as_str()).collect();
        format!("there is no metric `{written}`; there are: {}", names.join(", "))
    };
    let (base, k) = match written.split_once('@') {
        Some((base, "k")) => (base, None),
        Some((base, k)) => (base, Some(k.parse::<usize>().map_err(|_| unknown())?)),
        None => (written, None),
    };
    let base = base.strip_suffix("_score").unwrap_or(base);
    let known = |text: &str| MetricName::ALL.into_iter().find(|name| name.as_str() == text);
    let long = |text: &str| match text {
        "root_mean_squared_error" => Some(MetricName::Rmse),
        "mean_absolute_error" => Some(MetricName::Mae),
        "mean_absolute_percentage_error" => Some(MetricName::Mape),
        "root_mean_squared_log_error" => Some(MetricName::Rmsle),
        _ => None,
    };
    if let Some(name) = known(base).or_else(|| long(base)) {
        return Ok((name, None, k));
    }
    let averages = [
        ("_macro", Average::Macro),
        ("_micro", Average::Micro),
        ("_ovr_weighted", Average::Weighted),
        ("_weighted", Average::Weighted),
        ("_ovr", Average::Macro),
    ];
    averages
        .into_iter()
        .find_map(|(suffix, average)| Some((known(base.strip_suffix(suffix)?)?, Some(average), k)))
        .ok_or_else(unknown)
}
