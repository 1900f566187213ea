//! Typed access to a YAML mapping that keeps count of the keys asked for, so that what is left over
//! can be reported as unknown.

use super::finding::{Findings, Place};
use super::node::{Node, Value, join};

/// A mapping of the file being read.
pub(crate) struct Section<'n> {
    /// Where the mapping stands.
    pub(crate) place: Place,
    entries: &'n [(String, Node)],
    asked: Vec<&'static str>,
}

impl<'n> Section<'n> {
    /// The node as a mapping; anything else is an error.
    pub(crate) fn of(node: &'n Node, place: Place, findings: &mut Findings) -> Option<Self> {
        match &node.value {
            Value::Map(entries) => Some(Self { place, entries, asked: Vec::new() }),
            other => {
                wrong_kind(&place, other, "a mapping (keys with values)", findings);
                None
            }
        }
    }

    /// Where a key of this mapping stands; the mapping's own line when the key is missing.
    pub(crate) fn at(&self, key: &str) -> Place {
        let line = self.entries.iter().find(|(name, _)| name == key).and_then(|(_, node)| node.line);
        Place { key: join(&self.place.key, key), line: line.or(self.place.line) }
    }

    /// The value of a key; `None` when it is missing or null.
    pub(crate) fn get(&mut self, key: &'static str) -> Option<&'n Node> {
        self.asked.push(key);
        let node = self.entries.iter().find(|(name, _)| name == key).map(|(_, node)| node)?;
        (node.value != Value::Null).then_some(node)
    }

    /// Whether the key stands there at all, be it with null.
    pub(crate) fn has(&mut self, key: &'static str) -> bool {
        self.asked.push(key);
        self.entries.iter().any(|(name, _)| name == key)
    }

    /// All keys and values, for mappings whose keys are the author's; they all count as asked for.
    pub(crate) fn all(self) -> impl Iterator<Item = (&'n str, Place, &'n Node)> {
        let path = self.place.key;
        self.entries
            .iter()
            .map(move |(name, node)| (name.as_str(), Place { key: join(&path, name), line: node.line }, node))
    }

    /// Text; numbers and booleans count as they were written.
    pub(crate) fn text(&mut self, key: &'static str, findings: &mut Findings) -> Option<String> {
        let node = self.get(key)?;
        let text = scalar_text(node);
        if text.is_none() {
            wrong_kind(&self.at(key), &node.value, "text", findings);
        }
        text
    }

    /// Text that must be there and not blank; an error and empty text otherwise.
    pub(crate) fn required_text(&mut self, key: &'static str, findings: &mut Findings) -> String {
        if self.get(key).is_none() {
            missing(&self.at(key), findings);
            return String::new();
        }
        let text = self.text(key, findings).unwrap_or_default();
        if text.trim().is_empty() && !findings.has_errors_at(&self.at(key).key) {
            missing(&self.at(key), findings);
        }
        text
    }

    /// True or false; `"true"`, `yes`, `1` and the like count, as they do in Codabench.
    pub(crate) fn flag(&mut self, key: &'static str, default: bool, findings: &mut Findings) -> bool {
        let Some(node) = self.get(key) else { return default };
        let text = scalar_text(node).unwrap_or_default().to_ascii_lowercase();
        match (&node.value, text.as_str()) {
            (Value::Bool(value, _), _) => *value,
            (_, "true" | "t" | "yes" | "y" | "on" | "1") => true,
            (_, "false" | "f" | "no" | "n" | "off" | "0") => false,
            (other, _) => {
                wrong_kind(&self.at(key), other, "true or false", findings);
                default
            }
        }
    }

    /// A whole number, also one written in quotes.
    pub(crate) fn whole(&mut self, key: &'static str, findings: &mut Findings) -> Option<i64> {
        let node = self.get(key)?;
        let whole = whole_number(node);
        if whole.is_none() {
            wrong_kind(&self.at(key), &node.value, "a whole number", findings);
        }
        whole
    }

    /// A whole number from 0 to 2³² − 1.
    pub(crate) fn count(&mut self, key: &'static str, default: u32, findings: &mut Findings) -> u32 {
        let Some(whole) = self.whole(key, findings) else { return default };
        u32::try_from(whole).unwrap_or_else(|_| {
            let problem = format!("{whole} is not a count");
            findings.error(
                "value-out-of-range",
                &self.at(key),
                problem,
                "write 0 or a positive whole number",
            );
            default
        })
    }

    /// A finite number above 0.
    pub(crate) fn positive(&mut self, key: &'static str, findings: &mut Findings) -> Option<f64> {
        let node = self.get(key)?;
        let number = match &node.value {
            Value::Int(value, _) => Some(*value as f64),
            Value::Float(value, _) => Some(*value),
            _ => scalar_text(node).and_then(|text| text.parse().ok()),
        };
        let number = number.filter(|number| number.is_finite() && *number > 0.0);
        if number.is_none() {
            wrong_kind(&self.at(key), &node.value, "a number above 0", findings);
        }
        number
    }

    /// The items of a list; a missing or null one is empty, anything else an error.
    pub(crate) fn list(&mut self, key: &'static str, findings: &mut Findings) -> Vec<(Place, &'n Node)> {
        let Some(node) = self.get(key) else { return Vec::new() };
        let at = self.at(key);
        let Value::List(items) = &node.value else {
            wrong_kind(&at, &node.value, "a list", findings);
            return Vec::new();
        };
        let place =
            |index: usize, node: &Node| Place { key: format!("{}[{index}]", at.key), line: node.line };
        items.iter().enumerate().map(|(index, node)| (place(index, node), node)).collect()
    }

    /// A list of whole numbers, also written as text `1,2`; what is none of these is an error.
    pub(crate) fn wholes(&mut self, key: &'static str, findings: &mut Findings) -> Vec<i64> {
        if let Some(Node { value: Value::Text(text), .. }) = self.get(key) {
            let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
            if let Ok(wholes) = parts.map(str::parse).collect() {
                return wholes;
            }
        }
        let items = self.list(key, findings);
        items
            .into_iter()
            .filter_map(|(place, node)| {
                let whole = whole_number(node);
                if whole.is_none() {
                    wrong_kind(&place, &node.value, "a whole number", findings);
                }
                whole
            })
            .collect()
    }

    /// A mapping under a key.
    pub(crate) fn section(&mut self, key: &'static str, findings: &mut Findings) -> Option<Section<'n>> {
        let node = self.get(key)?;
        Section::of(node, self.at(key), findings)
    }

    /// One of a few words, compared exactly.
    pub(crate) fn choice<T: Copy>(
        &mut self,
        key: &'static str,
        words: &[(&str, T)],
        findings: &mut Findings,
    ) -> Option<T> {
        let text = self.text(key, findings)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let list: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            findings.error(
                "value-unknown",
                &self.at(key),
                format!("`{text}` is not known here"),
                format!("write one of: {}", list.join(", ")),
            );
        }
        found
    }

    /// Warns of every key that nobody asked for.
    pub(crate) fn finish(self, findings: &mut Findings) {
        for (name, node) in self.entries {
            if self.asked.iter().any(|asked| asked == name) {
                continue;
            }
            let mend = match nearest(name, self.asked.iter().copied()) {
                Some(asked) => format!("write `{asked}`, if that is meant"),
                None => "remove it, if nothing else needs it".to_owned(),
            };
            let at = Place { key: join(&self.place.key, name), line: node.line };
            findings.unknown_key(&at, format!("the key `{name}` is not known here and ignored"), mend);
        }
    }
}

/// The known name that a name is likely to be a slip of, if any is near: one letter off, and one more for each six.
pub(crate) fn nearest<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let near = known.map(|known| (strsim::damerau_levenshtein(known, &name.to_lowercase()), known));
    near.filter(|(distance, known)| *distance <= 1 + known.len() / 6 && *distance < known.len())
        .min()
        .map(|(_, known)| known)
}

/// Text of a scalar as it was written.
pub(crate) fn scalar_text(node: &Node) -> Option<String> {
    match &node.value {
        Value::Text(text) | Value::Bool(_, text) | Value::Int(_, text) | Value::Float(_, text) => {
            Some(text.clone())
        }
        Value::Null | Value::List(_) | Value::Map(_) => None,
    }
}

/// A whole number, also one written in quotes.
pub(crate) fn whole_number(node: &Node) -> Option<i64> {
    match &node.value {
        Value::Int(whole, _) => Some(*whole),
        Value::Text(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// Records that a value is of the wrong kind.
pub(crate) fn wrong_kind(place: &Place, value: &Value, wanted: &str, findings: &mut Findings) {
    let problem = format!("here stands {}, where {wanted} is wanted", value.kind());
    findings.error("wrong-kind", place, problem, format!("write {wanted}"));
}

/// Records that a required key is missing.
pub(crate) fn missing(place: &Place, findings: &mut Findings) {
    let key = place.key.rsplit('.').next().unwrap_or_default();
    findings.error("missing-key", place, format!("`{key}` is required"), format!("add `{key}`"));
}
