//! Reads a probe file: YAML with everything that is wrong told at once, with its line and how to mend it.

mod draw;
mod expect;
mod request;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value as Json;

use super::fill::{FillError, Template, names_in_json};
use super::suite::{
    BODY, Body, Capture, Digest, Expect, JsonRule, LARGEST_BODY, LONGEST, MOST_PROBES, MOST_STEPS, Probe,
    Request, Step, Suite, TIMEOUT, TextTest, Texts, Visibility,
};
use crate::contest::bundle::finding::{Findings, Place};
use crate::contest::bundle::node::{self, Node, Value};
use crate::contest::bundle::quantity::read_size;
use crate::contest::bundle::section::{Section, missing, nearest, scalar_text, whole_number, wrong_kind};

/// Bytes of a probe file at most.
pub const FILE_BYTES: u64 = 1 << 20;
/// Bytes of a file that a probe file names at most.
pub const ATTACHED_BYTES: u64 = 16 << 20;
/// The largest weight of a probe; sums stay exact.
const HEAVIEST: f64 = 1e6;
/// Characters of a probe's or a group's name.
const NAME: usize = 100;
/// Characters of a group's name: with `weighted_score_` before it, it is the key of a column.
const GROUP: usize = 20;

/// What a probe file names: gives the bytes of a file by its path from the folder of the probe file, or what is
/// wrong with that path.
pub type Attached<'a> = &'a mut dyn FnMut(&str) -> Result<Arc<[u8]>, String>;

/// Reads a probe file called `name`. The suite is usable only if no error was found.
pub(crate) fn suite(name: &str, text: &str, attached: Attached<'_>) -> (Option<Suite>, Findings) {
    let mut reader = Reader {
        findings: Findings::strictly_about(name),
        attached,
        timeout: TIMEOUT,
        largest: BODY,
        headers: Vec::new(),
        unnamed: false,
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let suite = node::parse(text, &mut reader.findings).and_then(|root| reader.suite(&root));
    let usable = !reader.findings.has_errors();
    (suite.filter(|_| usable), reader.findings)
}

struct Reader<'a> {
    findings: Findings,
    attached: Attached<'a>,
    /// What holds for requests that do not say otherwise.
    timeout: Duration,
    largest: u64,
    headers: Vec<(String, Template)>,
    /// Whether the table of the probe that is being read cannot be: nobody knows which names it gives.
    unnamed: bool,
}

impl Reader<'_> {
    fn suite(&mut self, root: &Node) -> Option<Suite> {
        let mut top = Section::of(root, Place::default(), &mut self.findings)?;
        let words = [("public", Visibility::Public), ("hidden", Visibility::Hidden)];
        let declared = top.choice("visibility", &words, &mut self.findings);
        if declared.is_none() && !top.has("visibility") {
            let problem = "the file does not say who may see its probes; they are taken for hidden";
            self.findings.warn(
                "probe-visibility",
                &top.at("visibility"),
                problem,
                "write `visibility: public` or `visibility: hidden`",
            );
        }
        if let Some(mut defaults) = top.section("defaults", &mut self.findings) {
            self.timeout = self.span(&mut defaults, "timeout").unwrap_or(TIMEOUT);
            self.largest = self.largest(&mut defaults).unwrap_or(BODY);
            self.headers = self.templates(&mut defaults, "headers");
            defaults.finish(&mut self.findings);
        }
        let mut probes: Vec<Probe> = Vec::new();
        if top.get("probes").is_none() {
            missing(&top.at("probes"), &mut self.findings);
        }
        for (place, node) in top.list("probes", &mut self.findings) {
            let Some(section) = Section::of(node, place.clone(), &mut self.findings) else { continue };
            let Some(probe) = self.probe(section) else { continue };
            if probes.iter().any(|known| known.name == probe.name) {
                let problem = format!("two probes are called `{}`", probe.name);
                self.findings.error("probe-name-twice", &place, problem, "give each a name of its own");
            }
            probes.push(probe);
        }
        top.finish(&mut self.findings);
        let asked: usize = probes.iter().map(Probe::times).sum();
        if asked > MOST_PROBES {
            let at = Place { key: "probes".to_owned(), line: None };
            let problem = format!("{asked} probes are asked; {MOST_PROBES} are the most");
            self.findings.error(
                "probes-too-many",
                &at,
                problem,
                "ask fewer, or draw fewer of the randomized ones",
            );
        }
        Some(Suite { visibility: declared.unwrap_or_default(), probes })
    }

    fn probe(&mut self, mut section: Section<'_>) -> Option<Probe> {
        let name = section.required_text("name", &mut self.findings);
        self.check_length(&name, NAME, &section.at("name"));
        let title = self.texts(&mut section, "title");
        let group = section.text("group", &mut self.findings).unwrap_or_default();
        if !group.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')) {
            let problem = format!("`{group}` cannot be part of a column's key");
            self.findings.error(
                "probe-group",
                &section.at("group"),
                problem,
                "use letters, digits, `_` and `-`",
            );
        }
        self.check_length(&group, GROUP, &section.at("group"));
        let weight = section.positive("weight", &mut self.findings).unwrap_or(1.0);
        if weight > HEAVIEST {
            let problem = format!("a probe cannot weigh {weight}");
            let mend = format!("write a number above 0, of {HEAVIEST} at most");
            self.findings.error("value-out-of-range", &section.at("weight"), problem, mend);
        }
        self.unnamed = false;
        let draw = section.get("each").map(|node| (node, section.at("each")));
        let draw =
            draw.and_then(|(node, at)| Section::of(node, at, &mut self.findings)).map(|each| self.draw(each));
        let mut known: BTreeSet<String> = BTreeSet::new();
        if let Some(draw) = &draw {
            known.extend(draw.table.iter().flat_map(|table| table.columns.iter().cloned()));
            known.extend(draw.values.iter().map(|(name, _)| name.clone()));
        }
        let mut steps = Vec::new();
        if section.has("steps") {
            let written = section.list("steps", &mut self.findings);
            if !(1..=MOST_STEPS).contains(&written.len()) {
                let problem = format!("{} steps; a probe has 1 to {MOST_STEPS}", written.len());
                self.findings.error("probe-steps", &section.at("steps"), problem, "list its requests");
            }
            for (place, node) in written {
                let Some(mut step) = Section::of(node, place, &mut self.findings) else { continue };
                steps.extend(self.step(&mut step, &mut known));
                step.finish(&mut self.findings);
            }
        } else {
            steps.extend(self.step(&mut section, &mut known));
        }
        section.finish(&mut self.findings);
        (!name.is_empty() && !steps.is_empty()).then_some(Probe { name, title, group, weight, steps, draw })
    }

    fn step(&mut self, section: &mut Section<'_>, known: &mut BTreeSet<String>) -> Option<Step> {
        if section.get("request").is_none() {
            missing(&section.at("request"), &mut self.findings);
            return None;
        }
        let request = self.request(section);
        let before = self.findings.count();
        let expect = match section.section("expect", &mut self.findings) {
            Some(expect) => self.expect(expect),
            None => Expect::default(),
        };
        let readable = self.findings.count() == before;
        let mut captured = BTreeSet::new();
        let capture = self.capture(section, &mut captured);
        let request = request?;
        if expect.is_empty() && readable {
            let problem = "nothing is expected of the answer: any answer passes";
            self.findings.warn(
                "probe-expects-nothing",
                &section.at("expect"),
                problem,
                "add at least `expect: {status: 200}`",
            );
        }
        self.check_names(&request, &expect, known, &section.at("request"), &section.at("expect"));
        known.append(&mut captured);
        Some(Step { request, expect, capture })
    }

    /// Names that no draw and no earlier step gives a value.
    fn check_names(
        &mut self,
        request: &Request,
        expect: &Expect,
        known: &BTreeSet<String>,
        request_at: &Place,
        expect_at: &Place,
    ) {
        if self.unnamed {
            return;
        }
        let mut asked = BTreeSet::new();
        in_request(request, &mut |name| {
            asked.insert(name.to_owned());
        });
        let mut expected = BTreeSet::new();
        in_expect(expect, &mut |name| {
            expected.insert(name.to_owned());
        });
        for (names, at) in [(asked, request_at), (expected, expect_at)] {
            for name in names.iter().filter(|name| !known.contains(*name)) {
                let problem = format!("nothing is known by the name `{name}` here");
                let mend = match nearest(name, known.iter().map(String::as_str)) {
                    Some(near) => format!("write `{near}`, if that is meant"),
                    None => "capture it in an earlier step, or draw it in `each`".to_owned(),
                };
                self.findings.error("probe-name-unknown", at, problem, mend);
            }
        }
    }

    fn capture(&mut self, section: &mut Section<'_>, names: &mut BTreeSet<String>) -> Vec<(String, Capture)> {
        let Some(captures) = section.section("capture", &mut self.findings) else { return Vec::new() };
        let mut read = Vec::new();
        for (name, place, node) in captures.all() {
            names.insert(name.to_owned());
            let Some(mut from) = Section::of(node, place.clone(), &mut self.findings) else { continue };
            let json = self.json_path(&mut from, "json");
            let header = from.text("header", &mut self.findings).map(|name| name.to_ascii_lowercase());
            let pattern = self.pattern(&mut from, "matches");
            from.finish(&mut self.findings);
            if self.template(&format!("{{{{{name}}}}}"), &place).is_none() {
                continue;
            }
            match (json, header, pattern) {
                (Some(path), None, None) => read.push((name.to_owned(), Capture::Json(path))),
                (None, Some(header), None) => read.push((name.to_owned(), Capture::Header(header))),
                (None, None, Some(pattern)) => read.push((name.to_owned(), Capture::Pattern(pattern))),
                _ => {
                    let problem = "a value is captured from one place";
                    let mend = "write one of `json: $.path`, `header: name` and `matches: pattern`";
                    self.findings.error("probe-capture", &place, problem, mend);
                }
            }
        }
        read
    }

    /// The bytes of a file that stands beside the probe file.
    fn attachment(&mut self, path: &str, at: &Place) -> Option<Arc<[u8]>> {
        match (self.attached)(path) {
            Ok(bytes) => Some(bytes),
            Err(problem) => {
                let mend = "name a file by its path from the folder of the probe file";
                self.findings.error("probe-file-missing", at, problem, mend);
                None
            }
        }
    }

    fn texts(&mut self, section: &mut Section<'_>, key: &'static str) -> Texts {
        let Some(node) = section.get(key) else { return Texts::new() };
        if let Some(text) = scalar_text(node) {
            return Texts::from([(String::new(), text)]);
        }
        let Some(by_language) = Section::of(node, section.at(key), &mut self.findings) else {
            return Texts::new();
        };
        let mut texts = Texts::new();
        for (language, place, node) in by_language.all() {
            match scalar_text(node) {
                Some(text) => drop(texts.insert(language.to_owned(), text)),
                None => wrong_kind(&place, &node.value, "text", &mut self.findings),
            }
        }
        texts
    }

    fn check_length(&mut self, text: &str, most: usize, at: &Place) {
        if text.chars().count() > most {
            let problem = format!("it has more than {most} characters");
            self.findings.error("probe-name-long", at, problem, "shorten it; `title` has room for words");
        }
    }

    fn template(&mut self, text: &str, at: &Place) -> Option<Template> {
        match Template::parse(text) {
            Ok(template) => Some(template),
            Err(error) => {
                self.malformed(&error, at);
                None
            }
        }
    }

    fn malformed(&mut self, error: &FillError, at: &Place) {
        self.findings.error(
            "probe-placeholder",
            at,
            error.to_string(),
            "write {{name}}; other braces stand alone",
        );
    }

    /// A mapping of names to texts with placeholders.
    fn templates(&mut self, section: &mut Section<'_>, key: &'static str) -> Vec<(String, Template)> {
        let Some(pairs) = section.section(key, &mut self.findings) else { return Vec::new() };
        let mut read = Vec::new();
        for (name, place, node) in pairs.all() {
            match scalar_text(node) {
                Some(text) => read.extend(self.template(&text, &place).map(|value| (name.to_owned(), value))),
                None => wrong_kind(&place, &node.value, "text", &mut self.findings),
            }
        }
        read
    }

    /// A span such as `500ms`, `2s` or `1m`, up to the longest a probe may wait.
    fn span(&mut self, section: &mut Section<'_>, key: &'static str) -> Option<Duration> {
        let text = section.text(key, &mut self.findings)?;
        let span = read_milliseconds(&text)
            .map(Duration::from_millis)
            .filter(|span| !span.is_zero() && *span <= LONGEST);
        if span.is_none() {
            let problem = format!("`{text}` is no span of time up to {} s", LONGEST.as_secs());
            self.findings.error("span-unreadable", &section.at(key), problem, "write 500ms, 2s or 1m");
        }
        span
    }

    fn largest(&mut self, section: &mut Section<'_>) -> Option<u64> {
        let text = section.text("max_body", &mut self.findings)?;
        let size = read_size(&text).filter(|size| (1..=LARGEST_BODY).contains(size));
        if size.is_none() {
            let problem = format!("`{text}` is no size up to {} MiB", LARGEST_BODY >> 20);
            self.findings.error("size-unreadable", &section.at("max_body"), problem, "write 512KiB or 8MiB");
        }
        size
    }
}

/// Milliseconds of a span: a whole number with `ms`, `s` or `m`; without a unit, seconds.
pub(crate) fn read_milliseconds(text: &str) -> Option<u64> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..end].parse().ok()?;
    let factor = match text[end..].trim() {
        "ms" => 1,
        "" | "s" => 1000,
        "m" | "min" => 60_000,
        _ => return None,
    };
    number.checked_mul(factor)
}

fn in_json(value: &Json, found: &mut dyn FnMut(&str)) {
    // what is malformed was told when it was read
    let _ = names_in_json(value, found);
}

fn in_request(request: &Request, found: &mut dyn FnMut(&str)) {
    let pairs = request.query.iter().chain(&request.headers).map(|(_, value)| value);
    let fields: Vec<&Template> = match &request.body {
        Body::Form(fields) | Body::Upload { fields, .. } => fields.iter().map(|(_, value)| value).collect(),
        Body::Text(text) => vec![text],
        Body::None | Body::Json(_) => Vec::new(),
    };
    for template in pairs.chain([&request.path]).chain(fields) {
        template.names().for_each(&mut *found);
    }
    if let Body::Json(value) = &request.body {
        in_json(value, found);
    }
}

fn in_expect(expect: &Expect, found: &mut dyn FnMut(&str)) {
    for test in expect.headers.iter().map(|(_, test)| test).chain(&expect.body) {
        if let TextTest::Equals(text) | TextTest::Contains(text) | TextTest::Lacks(text) = test {
            text.names().for_each(&mut *found);
        }
    }
    for test in &expect.json {
        test.path.names().for_each(&mut *found);
        for rule in &test.rules {
            if let JsonRule::Equals { value, .. }
            | JsonRule::Contains(value)
            | JsonRule::Min(value)
            | JsonRule::Max(value)
            | JsonRule::Length(value) = rule
            {
                in_json(value, found);
            }
        }
    }
    if let Some(Digest::Sm3(text) | Digest::Sha256(text)) = &expect.digest {
        text.names().for_each(&mut *found);
    }
}

/// A whole number of a node, or of the text in it.
fn status_number(node: &Node) -> Option<u16> {
    whole_number(node)
        .and_then(|whole| u16::try_from(whole).ok())
        .filter(|status| (100..=599).contains(status))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(text: &str) -> String {
        let mut attached = |name: &str| match name {
            "cases.csv" => Ok(Arc::from(&b"a,b\n1,2\n3,4\n"[..])),
            "ragged.csv" => Ok(Arc::from(&b"a,b\n1\n"[..])),
            "schema.json" => Ok(Arc::from(&b"{"[..])),
            other => Err(format!("there is no file `probes/{other}` in the bundle")),
        };
        suite("probes/p.yaml", text, &mut attached).1.into_report().to_string()
    }

    #[test]
    fn everything_wrong_with_a_probe_file_is_told_with_its_line() {
        insta::assert_snapshot!(report(
            "defaults: {timeout: 1h, max_body: 1TiB, headers: {accept: application/json}}
probes:
  - name: twice
    request: BREW /pot
    expect: {status: 999, within: 5ms}
  - name: twice
    group: a b
    weight: -1
    request: {path: 'delays?x=1', method: get}
  - name: paths
    request: {path: '/{{carrier}}', query: {m: '{{m'}, headers: {Host: x}, json: {a: 1}, body: b}
    expect:
      json:
        - {path: '$.a['}
        - {path: '$..a..b', equals: 1}
        - {path: $.a, tolerance: 1}
        - {path: $.a, type: float}
      body: {matches: '(?=x)y'}
      schema: schema.json
      digest: {sha256: abc}
  - name: schemas
    request: GET /
    expect: {schema: {type: 12}}
  - name: far
    request: GET /
    expect: {schema: {$ref: 'https://example.org/schema.json'}}
  - name: drawn
    each: {table: ragged.csv, times: 5, values: {n: {from: 3, to: 1}, c: []}}
    request: GET /
  - name: more-than-there-is
    each: {table: cases.csv, times: 5, seed: 1}
    request: {path: /, query: {a: '{{a}}', c: '{{c}}'}}
    expect: {status: 200}
  - name: steps
    steps:
      - request: GET /a
        expect: {status: 200}
        capture: {id: {json: $.id, header: x}, 'b c': {header: x}}
      - request: {path: '/{{id}}', upload: {files: [{field: f, file: nothing.bin}]}}
        expect: {body: {}}
      - expect: {status: 200}
"
        ));
        insta::assert_snapshot!(report("probes: {a: 1}\n"));
        insta::assert_snapshot!(report("visibility: secret\nprobes: [1, {name: x}]\nprobs: 2\n"));
        insta::assert_snapshot!(report("probes:\n  - name: [\n"));
    }

    #[test]
    fn as_many_probes_as_are_drawn_are_counted() {
        let many = "visibility: public\nprobes:\n- {name: a, each: {seed: 1, times: 1999, values: {n: [1]}}, request: GET /, expect: {status: 200}}\n";
        assert!(report(many).starts_with("0 errors"), "{}", report(many));
        let more = format!(
            "{many}- {{name: b, each: {{seed: 1, times: 2, values: {{n: [1]}}}}, request: GET /, expect: {{status: 200}}}}\n"
        );
        assert!(report(&more).contains("probes-too-many"));
    }
}
