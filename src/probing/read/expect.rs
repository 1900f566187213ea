//! Reads what is expected of an answer.

use std::sync::Arc;

use jsonschema::PatternOptions;
use regex::{Regex, RegexBuilder};

use super::{
    Expect, Json, JsonRule, Node, Place, Reader, Section, Template, TextTest, Value, scalar_text,
    status_number, wrong_kind,
};
use crate::probing::bounds;
use crate::probing::latency::LatencyClass;
use crate::probing::suite::{Digest, JsonTest, Tolerance};

/// Bytes that a compiled pattern may take.
const PATTERN: usize = 1 << 20;
/// What makes a digest of the text that it is written as.
type MakeDigest = fn(Template) -> Digest;
/// What makes a test of the text that it compares with.
type Make = fn(Template) -> TextTest;

const TYPES: [&str; 7] = ["null", "boolean", "number", "integer", "string", "array", "object"];

impl Reader<'_> {
    pub(super) fn expect(&mut self, mut section: Section<'_>) -> Expect {
        let status = section.get("status").map(|node| (node, section.at("status")));
        let expect = Expect {
            status: status.map(|(node, at)| self.status(node, &at)).unwrap_or_default(),
            headers: self.header_tests(&mut section),
            json: self.json_tests(&mut section),
            schema: self.schema(&mut section),
            body: self.body_tests(&mut section),
            digest: self.digest(&mut section),
            within: section.choice("within", &LatencyClass::BOUNDED, &mut self.findings),
        };
        section.finish(&mut self.findings);
        expect
    }

    /// `200`, `2xx`, or a list of such.
    fn status(&mut self, node: &Node, at: &Place) -> Vec<(u16, u16)> {
        let items: Vec<&Node> = match &node.value {
            Value::List(items) => items.iter().collect(),
            _ => vec![node],
        };
        let mut ranges = Vec::new();
        for item in items {
            let written = scalar_text(item).unwrap_or_default();
            let class = written.strip_suffix("xx").and_then(|digit| digit.parse::<u16>().ok());
            match (status_number(item), class.filter(|class| (1..=5).contains(class))) {
                (Some(status), _) => ranges.push((status, status)),
                (None, Some(class)) => ranges.push((class * 100, class * 100 + 99)),
                (None, None) => {
                    let problem = format!("`{written}` is no status code");
                    self.findings.error("probe-status", at, problem, "write 200, 2xx or a list of such");
                }
            }
        }
        ranges
    }

    fn header_tests(&mut self, section: &mut Section<'_>) -> Vec<(String, TextTest)> {
        let Some(headers) = section.section("headers", &mut self.findings) else { return Vec::new() };
        let mut tests = Vec::new();
        for (name, place, node) in headers.all() {
            let read = match scalar_text(node) {
                Some(text) => self.template(&text, &place).map(TextTest::Equals).into_iter().collect(),
                None => self.text_tests(node, place, true),
            };
            tests.extend(read.into_iter().map(|test| (name.to_ascii_lowercase(), test)));
        }
        tests
    }

    /// A mapping of tests, or a list of such.
    fn body_tests(&mut self, section: &mut Section<'_>) -> Vec<TextTest> {
        let Some(node) = section.get("body") else { return Vec::new() };
        match &node.value {
            Value::List(_) => {
                let items = section.list("body", &mut self.findings);
                items.into_iter().flat_map(|(place, node)| self.text_tests(node, place, false)).collect()
            }
            _ => self.text_tests(node, section.at("body"), false),
        }
    }

    fn text_tests(&mut self, node: &Node, place: Place, header: bool) -> Vec<TextTest> {
        let Some(mut tests) = Section::of(node, place.clone(), &mut self.findings) else { return Vec::new() };
        let mut read = Vec::new();
        let makes: [(&'static str, Make); 3] =
            [("equals", TextTest::Equals), ("contains", TextTest::Contains), ("lacks", TextTest::Lacks)];
        for (key, make) in makes {
            if let Some(text) = tests.text(key, &mut self.findings) {
                read.extend(self.template(&text, &tests.at(key)).map(make));
            }
        }
        read.extend(self.pattern(&mut tests, "matches").map(TextTest::Matches));
        if header && tests.has("present") {
            read.push(TextTest::Present(tests.flag("present", true, &mut self.findings)));
        }
        tests.finish(&mut self.findings);
        if read.is_empty() && !self.findings.has_errors() {
            let mend = "write `equals`, `contains`, `lacks` or `matches`";
            self.findings.error("probe-test-empty", &place, "nothing is tested here", mend);
        }
        read
    }

    fn json_tests(&mut self, section: &mut Section<'_>) -> Vec<JsonTest> {
        let mut tests = Vec::new();
        for (place, node) in section.list("json", &mut self.findings) {
            let Some(mut test) = Section::of(node, place.clone(), &mut self.findings) else { continue };
            if test.get("path").is_none() {
                super::missing(&test.at("path"), &mut self.findings);
            }
            let path = self.json_path(&mut test, "path");
            let rules = self.json_rules(&mut test);
            test.finish(&mut self.findings);
            if rules.is_empty() && !self.findings.has_errors() {
                let mend = "add `equals`, `min`, `max`, `length`, `type`, `matches`, `contains` or `exists`";
                self.findings.error("probe-test-empty", &place, "nothing is tested at this path", mend);
            }
            tests.extend(path.map(|path| JsonTest { path, rules }));
        }
        tests
    }

    fn json_rules(&mut self, test: &mut Section<'_>) -> Vec<JsonRule> {
        let mut rules = Vec::new();
        let tolerance = Tolerance {
            absolute: test.positive("tolerance", &mut self.findings).unwrap_or(0.0),
            relative: test.positive("relative", &mut self.findings).unwrap_or(0.0),
        };
        // null is a value to be expected too
        let wanted =
            test.has("equals").then(|| test.get("equals").map_or(Json::Null, |node| node.value.to_json()));
        if let Some(value) = wanted {
            self.check_json(&value, &test.at("equals"));
            rules.push(JsonRule::Equals { value, tolerance });
        } else if tolerance != Tolerance::default() {
            let problem = "a tolerance without a value that is expected";
            self.findings.error("probe-tolerance", &test.at("tolerance"), problem, "add `equals`");
        }
        rules.extend(self.number(test, "min").map(JsonRule::Min));
        rules.extend(self.number(test, "max").map(JsonRule::Max));
        rules.extend(self.number(test, "length").map(JsonRule::Length));
        let types = TYPES.map(|name| (name, name));
        rules.extend(
            test.choice("type", &types, &mut self.findings).map(|name| JsonRule::Type(name.to_owned())),
        );
        rules.extend(self.pattern(test, "matches").map(JsonRule::Matches));
        if let Some(node) = test.get("contains") {
            let value = node.value.to_json();
            self.check_json(&value, &test.at("contains"));
            rules.push(JsonRule::Contains(value));
        }
        if test.has("exists") {
            rules.push(JsonRule::Exists(test.flag("exists", true, &mut self.findings)));
        }
        rules
    }

    /// A number, or a text with placeholders that says one once they are filled in. A length is whole and not below 0.
    fn number(&mut self, section: &mut Section<'_>, key: &'static str) -> Option<Json> {
        let (node, at) = (section.get(key)?, section.at(key));
        let is_length = key == "length";
        let read = match &node.value {
            Value::Int(number, _) if !is_length || *number >= 0 => Some(Json::from(*number)),
            Value::Float(number, _) if number.is_finite() && !is_length => Some(Json::from(*number)),
            Value::Text(text) if self.template(text, &at)?.fixed().is_none() => {
                Some(Json::from(text.as_str()))
            }
            _ => None,
        };
        if read.is_none() {
            let wanted = if is_length { "a whole number, 0 or more" } else { "a number" };
            wrong_kind(&at, &node.value, wanted, &mut self.findings);
        }
        read
    }

    /// A JSONPath; one with placeholders is looked at when they are filled in.
    pub(super) fn json_path(&mut self, section: &mut Section<'_>, key: &'static str) -> Option<Template> {
        let text = section.text(key, &mut self.findings)?;
        let at = section.at(key);
        let template = self.template(&text, &at)?;
        if template.fixed().is_some()
            && let Err(error) = bounds::json_path(&text)
        {
            // as much of it as a line holds
            let start: String = text.chars().take(100).collect();
            let problem = format!("`{start}` is not a JSONPath that can be used: {error}");
            let mend = "write it as RFC 9535 has it, such as $.items[0].name";
            self.findings.error("probe-jsonpath", &at, problem, mend);
            return None;
        }
        Some(template)
    }

    /// A pattern; the engine takes time in proportion to the text, whatever the pattern.
    pub(super) fn pattern(&mut self, section: &mut Section<'_>, key: &'static str) -> Option<Regex> {
        let text = section.text(key, &mut self.findings)?;
        match RegexBuilder::new(&text).size_limit(PATTERN).build() {
            Ok(pattern) => Some(pattern),
            Err(error) => {
                let problem = format!("`{text}` is not a pattern that can be used: {error}");
                let mend = "write a regular expression without look-around and back-references";
                self.findings.error("probe-pattern", &section.at(key), problem, mend);
                None
            }
        }
    }

    /// A schema: a mapping, or the path of a file with one.
    fn schema(&mut self, section: &mut Section<'_>) -> Option<Arc<jsonschema::Validator>> {
        let (node, at) = (section.get("schema")?, section.at("schema"));
        let schema = match scalar_text(node).filter(|_| !matches!(node.value, Value::Bool(..))) {
            None => node.value.to_json(),
            Some(path) => {
                let bytes = self.attachment(&path, &at)?;
                match serde_json::from_slice(&bytes) {
                    Ok(schema) => schema,
                    Err(error) => {
                        let problem = format!("`{path}` is not JSON: {error}");
                        self.findings.error("probe-schema", &at, problem, "write the schema as JSON");
                        return None;
                    }
                }
            }
        };
        if let Err(error) = bounds::schema(&schema) {
            let problem = format!("the schema cannot be used: {error}");
            let mend =
                "let a schema refer to itself for parts of the value alone, and name each way there once";
            self.findings.error("probe-schema", &at, problem, mend);
            return None;
        }
        let patterns = PatternOptions::regex().size_limit(PATTERN);
        match jsonschema::options().offline().with_pattern_options(patterns).build(&schema) {
            Ok(validator) => Some(Arc::new(validator)),
            Err(error) => {
                let place = error.schema_path().to_string();
                let problem = format!("the schema cannot be used: {error} ({place})");
                let mend = "see json-schema.org; `$ref` can name places within the schema only";
                self.findings.error("probe-schema", &at, problem, mend);
                None
            }
        }
    }

    fn digest(&mut self, section: &mut Section<'_>) -> Option<Digest> {
        let mut digest = section.section("digest", &mut self.findings)?;
        let mut read = Vec::new();
        let makes: [(&'static str, MakeDigest); 2] = [("sm3", Digest::Sm3), ("sha256", Digest::Sha256)];
        for (key, make) in makes {
            if let Some(text) = digest.text(key, &mut self.findings) {
                read.extend(
                    self.template(&text, &digest.at(key)).map(|template| (template.clone(), make(template))),
                );
            }
        }
        let at = digest.place.clone();
        digest.finish(&mut self.findings);
        let whole = |text: &str| text.len() == 64 && text.chars().all(|c| c.is_ascii_hexdigit());
        match read.pop() {
            Some((text, digest)) if read.is_empty() && text.fixed().is_none_or(whole) => Some(digest),
            _ => {
                let mend = "write `{sha256: …}` or `{sm3: …}` with 64 hexadecimal digits";
                self.findings.error("probe-digest", &at, "this is no digest", mend);
                None
            }
        }
    }
}
