//! YAML as a tree that remembers its lines: parsed once with bounds, then read by [`super::section`].

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{DuplicateKeyPolicy, NonFiniteFloatPolicy, Spanned};

use super::finding::{Findings, Place};

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    /// Line, counted from 1; `None` where the parser lost it.
    pub(crate) line: Option<u64>,
    /// The value.
    pub(crate) value: Value,
}

/// What a YAML node may be here. Scalars that are not text keep how they were written, for places
/// that want text (`title: 2024`).
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// `null`, `~` or nothing.
    Null,
    /// A boolean of YAML 1.1.
    Bool(bool, String),
    /// An integer.
    Int(i64, String),
    /// Any other number.
    Float(f64, String),
    /// Text, quoted or not; dates too.
    Text(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping; later duplicates have replaced earlier ones.
    Map(Vec<(String, Node)>),
}

impl Value {
    /// What it is, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(..) => "true or false",
            Self::Int(..) => "a whole number",
            Self::Float(..) => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }

    /// The same as JSON, for keys whose meaning another room knows.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match self {
            Self::Null => Json::Null,
            Self::Bool(value, _) => Json::Bool(*value),
            Self::Int(value, _) => Json::from(*value),
            Self::Float(value, _) => Json::from(*value),
            Self::Text(text) => Json::from(text.as_str()),
            Self::List(nodes) => nodes.iter().map(|node| node.value.to_json()).collect(),
            Self::Map(entries) => {
                let entries = entries.iter().map(|(key, node)| (key.clone(), node.value.to_json()));
                Json::Object(entries.collect())
            }
        }
    }
}

/// Parses YAML within bounds. What is wrong becomes a finding with its line, its column and the text
/// around it; duplicate keys a warning, for the last one counts, as with PyYAML.
pub(crate) fn parse(text: &str, findings: &mut Findings) -> Option<Node> {
    let options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 20_000,
            max_replay_stack_depth: 16,
            max_alias_expansions_per_anchor: 2_000,
        },
        budget: serde_saphyr::budget! {
            max_events: 100_000,
            max_nodes: 50_000,
            max_depth: 24,
            max_documents: 1,
            max_aliases: 2_000,
            max_anchors: 1_000,
            max_merge_keys: 1_000,
            flow_nesting_limit: 24,
        },
    };
    match serde_saphyr::from_str_with_options::<Spanned<Raw>>(text, options) {
        Ok(raw) => Some(node(raw, text, &Place::default(), findings)),
        Err(error) => {
            let shown = error.to_string().replace("<input>", findings.file());
            let location = error.location();
            let line = location.map(|location| location.line()).filter(|line| *line > 0);
            let column = location.map_or(0, |location| location.column());
            let at = Place { key: String::new(), line };
            let problem = match line {
                Some(line) => format!("not valid YAML, line {line}, column {column}:\n{shown}"),
                None => format!("not valid YAML:\n{shown}"),
            };
            let mend = "correct the line shown; indent with spaces and quote text that holds `: ` or `#`";
            findings.error("yaml-broken", &at, problem, mend);
            None
        }
    }
}

enum Raw {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

fn node(raw: Spanned<Raw>, text: &str, at: &Place, findings: &mut Findings) -> Node {
    let line = Some(raw.referenced.line()).filter(|line| *line > 0);
    let span = raw.defined.span();
    let written = || {
        let slice = || {
            let start = usize::try_from(span.byte_offset()?).ok()?;
            let end = start.checked_add(usize::try_from(span.byte_len()?).ok()?)?;
            text.get(start..end).map(str::trim)
        };
        slice().unwrap_or_default().to_owned()
    };
    let value = match raw.value {
        Raw::Null => Value::Null,
        // One letter is text for PyYAML, and so for the authors of bundles: `target: y`.
        Raw::Bool(_) if written().len() == 1 => Value::Text(written()),
        Raw::Bool(value) => Value::Bool(value, written()),
        Raw::Int(value) => Value::Int(value, written()),
        Raw::Float(value) => Value::Float(value, written()),
        Raw::Text(text) => Value::Text(text),
        Raw::List(items) => {
            let items = items.into_iter().enumerate().map(|(index, item)| {
                let place = Place { key: format!("{}[{index}]", at.key), line: None };
                node(item, text, &place, findings)
            });
            Value::List(items.collect())
        }
        Raw::Map(entries) => Value::Map(mapping(entries, text, at, findings)),
    };
    Node { line, value }
}

fn mapping(
    entries: Vec<(Spanned<String>, Spanned<Raw>)>,
    text: &str,
    at: &Place,
    findings: &mut Findings,
) -> Vec<(String, Node)> {
    let mut kept: Vec<(String, Node)> = Vec::with_capacity(entries.len());
    for (key, raw) in entries {
        let name = key.value;
        let line = Some(key.referenced.line()).filter(|line| *line > 0);
        let place = Place { key: join(&at.key, &name), line };
        let mut value = node(raw, text, &place, findings);
        value.line = line.or(value.line);
        match kept.iter_mut().find(|(known, _)| *known == name) {
            None => kept.push((name, value)),
            Some(known) => {
                let first = known.1.line.map_or(String::new(), |line| format!(" (first on line {line})"));
                findings.warn(
                    "duplicate-key",
                    &place,
                    format!("the key stands here twice{first}; the last one counts"),
                    "keep one of them",
                );
                known.1 = value;
            }
        }
    }
    kept
}

/// `phases[1]` and `end` make `phases[1].end`.
pub(crate) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any YAML value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        Raw::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(i64::try_from(value).map_or(Raw::Float(value as f64), Raw::Int))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Raw, E> {
        Ok(i64::try_from(value).map_or(Raw::Float(value as f64), Raw::Int))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Raw, E> {
        Ok(i64::try_from(value).map_or(Raw::Float(value as f64), Raw::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Raw, E> {
        Ok(Raw::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Raw, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Raw::Map(map))
    }
}
