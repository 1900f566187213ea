//! Compares an answer with what is expected of it.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use super::answer::Answer;
use super::bounds;
use super::fill::{Bindings, FillError, Template, fill_json, fill_number};
use super::latency::LatencyClass;
use super::suite::{Capture, Digest, Expect, JsonRule, JsonTest, TextTest, Tolerance};

/// Characters of an answer that a report quotes in one place.
const QUOTED: usize = 200;
/// Characters quoted before the place at which two texts part.
const BEFORE: usize = 80;
/// Places in which a schema is not satisfied that are told.
const SCHEMA_FAULTS: usize = 3;

/// One expectation that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Unmet {
    /// What was looked at: `status`, `header`, `json`, `schema`, `body`, `digest`, `latency` or `capture`.
    pub what: String,
    /// Where: a header's name, a JSONPath, a place in the body; empty for the whole.
    pub place: String,
    /// What was expected.
    pub expected: String,
    /// What was found, cut to 200 characters.
    pub found: String,
}

impl Unmet {
    fn new(what: &str, place: &str, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self {
            what: what.to_owned(),
            place: place.to_owned(),
            expected: quoted(&expected.into()),
            found: quoted(&found.into()),
        }
    }
}

/// Cuts a text and shows what cannot be printed.
fn quoted(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(QUOTED)
        .map(|c| if c.is_control() && c != '\n' { char::REPLACEMENT_CHARACTER } else { c })
        .collect();
    if text.chars().nth(QUOTED).is_some() {
        shown.push('…');
    }
    shown
}

/// Everything in which an answer is not as expected; nothing when the step passes.
pub fn unmet(expect: &Expect, answer: &Answer, bindings: &Bindings) -> Vec<Unmet> {
    let mut unmet = Vec::new();
    check_status(expect, answer, &mut unmet);
    for (name, test) in &expect.headers {
        check_text("header", name, answer.header(name).as_deref(), test, bindings, &mut unmet);
    }
    if !expect.body.is_empty() {
        let text = answer.text();
        for test in &expect.body {
            check_text("body", "", Some(&text), test, bindings, &mut unmet);
        }
    }
    if !expect.json.is_empty() || expect.schema.is_some() {
        match answer.json() {
            Ok(json) => check_json(expect, &json, bindings, &mut unmet),
            Err(error) => {
                let expected = format!("JSON ({error})");
                unmet.push(Unmet::new("json", "", expected, answer.text()));
            }
        }
    }
    if let Some(digest) = &expect.digest {
        check_digest(digest, &answer.body, bindings, &mut unmet);
    }
    let class = LatencyClass::of(answer.took);
    if let Some(within) = expect.within.filter(|within| class > *within) {
        unmet.push(Unmet::new("latency", "", within.to_string(), class.to_string()));
    }
    unmet
}

fn check_status(expect: &Expect, answer: &Answer, unmet: &mut Vec<Unmet>) {
    let fits = |(from, to): &(u16, u16)| (*from..=*to).contains(&answer.status);
    if expect.status.is_empty() || expect.status.iter().any(fits) {
        return;
    }
    let range = |(from, to): &(u16, u16)| match from == to {
        true => from.to_string(),
        false => format!("{from}–{to}"),
    };
    let expected: Vec<String> = expect.status.iter().map(range).collect();
    unmet.push(Unmet::new("status", "", expected.join(", "), answer.status.to_string()));
}

/// `text` is `None` for a header that is not there.
fn check_text(
    what: &str,
    place: &str,
    text: Option<&str>,
    test: &TextTest,
    bindings: &Bindings,
    unmet: &mut Vec<Unmet>,
) {
    let found = text.unwrap_or("—");
    let (holds, expected) = match test {
        TextTest::Equals(template) => match template.fill(bindings) {
            Ok(wanted) => (text.map(str::trim) == Some(wanted.trim()), wanted),
            Err(error) => (false, error.to_string()),
        },
        TextTest::Contains(template) => match template.fill(bindings) {
            Ok(wanted) => (text.is_some_and(|text| text.contains(&wanted)), format!("… {wanted} …")),
            Err(error) => (false, error.to_string()),
        },
        TextTest::Lacks(template) => match template.fill(bindings) {
            Ok(unwanted) => (!text.is_some_and(|text| text.contains(&unwanted)), format!("≠ … {unwanted} …")),
            Err(error) => (false, error.to_string()),
        },
        TextTest::Matches(pattern) => {
            (text.is_some_and(|text| pattern.is_match(text)), format!("/{}/", pattern.as_str()))
        }
        TextTest::Present(wanted) => (text.is_some() == *wanted, if *wanted { "…" } else { "—" }.to_owned()),
    };
    if holds {
        return;
    }
    match (test, parted(expected.trim(), found.trim())) {
        (TextTest::Equals(_), Some((at, expected, found))) if what == "body" => {
            unmet.push(Unmet::new(what, &at, expected, found));
        }
        _ => unmet.push(Unmet::new(what, place, expected, found)),
    }
}

/// Where two texts begin to differ, as `line:column` counted from 1, and both from there on: from the beginning of that
/// line, or shortly before where the line is long. None where they differ within the first characters that are
/// quoted anyway.
fn parted(expected: &str, found: &str) -> Option<(String, String, String)> {
    let same = expected.chars().zip(found.chars()).take_while(|(a, b)| a == b).count();
    let before: String = expected.chars().take(same).collect();
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    let from = same - (column - 1).min(BEFORE);
    let cut = column - 1 > BEFORE;
    let rest = |text: &str| {
        let rest: String = text.chars().skip(from).collect();
        if cut { format!("…{rest}") } else { rest }
    };
    (from > 0).then(|| (format!("{line}:{column}"), rest(expected), rest(found)))
}

fn check_json(expect: &Expect, json: &Value, bindings: &Bindings, unmet: &mut Vec<Unmet>) {
    for test in &expect.json {
        if let Err(error) = check_path(test, json, bindings, unmet) {
            unmet.push(Unmet::new("json", test.path.as_written(), error, "—"));
        }
    }
    if let Some(schema) = &expect.schema {
        for fault in schema.iter_errors(json).take(SCHEMA_FAULTS) {
            let place = fault.instance_path().to_string();
            unmet.push(Unmet::new("schema", &place, fault.schema_path().to_string(), fault.to_string()));
        }
    }
}

/// What a path selects: the value, or the list of all values where it is not one.
fn select(path: &Template, json: &Value, bindings: &Bindings) -> Result<(usize, Value), String> {
    let text = path.fill(bindings).map_err(|error| error.to_string())?;
    // what was filled in came from an app
    let path = bounds::json_path(&text)?;
    let nodes = path.query(json).all();
    let value = match nodes.as_slice() {
        [one] => (*one).clone(),
        many => many.iter().map(|value| (*value).clone()).collect(),
    };
    Ok((nodes.len(), value))
}

fn check_path(
    test: &JsonTest,
    json: &Value,
    bindings: &Bindings,
    unmet: &mut Vec<Unmet>,
) -> Result<(), String> {
    let (count, value) = select(&test.path, json, bindings)?;
    let place = test.path.fill(bindings).map_err(|error| error.to_string())?;
    for rule in &test.rules {
        let (holds, expected) =
            check_rule(rule, count, &value, bindings).map_err(|error: FillError| error.to_string())?;
        if !holds {
            let found = if count == 0 { "—".to_owned() } else { value.to_string() };
            unmet.push(Unmet::new("json", &place, expected, found));
        }
    }
    Ok(())
}

fn check_rule(
    rule: &JsonRule,
    count: usize,
    value: &Value,
    bindings: &Bindings,
) -> Result<(bool, String), FillError> {
    let number = value.as_f64();
    let some = count > 0;
    Ok(match rule {
        JsonRule::Equals { value: wanted, tolerance } => {
            let wanted = fill_json(wanted, bindings)?;
            // nothing selected equals an empty list only
            let holds = (some || wanted == Value::Array(Vec::new())) && equal(&wanted, value, *tolerance);
            let near = match *tolerance {
                Tolerance { absolute, relative } if relative > 0.0 && absolute > 0.0 => {
                    format!(" ± {absolute} / {} %", relative * 100.0)
                }
                Tolerance { relative, .. } if relative > 0.0 => format!(" ± {} %", relative * 100.0),
                Tolerance { absolute, .. } if absolute > 0.0 => format!(" ± {absolute}"),
                Tolerance { .. } => String::new(),
            };
            (holds, format!("{wanted}{near}"))
        }
        JsonRule::Min(least) => {
            let least = fill_number(least, bindings)?;
            (number.is_some_and(|n| n >= least), format!("≥ {least}"))
        }
        JsonRule::Max(most) => {
            let most = fill_number(most, bindings)?;
            (number.is_some_and(|n| n <= most), format!("≤ {most}"))
        }
        JsonRule::Length(wanted) => {
            let wanted = fill_number(wanted, bindings)?;
            let length = match value {
                Value::Array(items) => Some(items.len()),
                Value::Object(entries) => Some(entries.len()),
                Value::String(text) => Some(text.chars().count()),
                _ => None,
            };
            #[expect(clippy::float_cmp, reason = "both are whole")]
            let holds = some && length.is_some_and(|length| length as f64 == wanted);
            (holds, format!("length {wanted}"))
        }
        JsonRule::Type(wanted) => (some && is_of_type(value, wanted), wanted.clone()),
        JsonRule::Matches(pattern) => {
            (value.as_str().is_some_and(|text| pattern.is_match(text)), format!("/{}/", pattern.as_str()))
        }
        JsonRule::Contains(wanted) => {
            let wanted = fill_json(wanted, bindings)?;
            let holds = match (value, &wanted) {
                (Value::Array(items), wanted) => {
                    items.iter().any(|item| equal(wanted, item, Tolerance::default()))
                }
                (Value::String(text), Value::String(part)) => text.contains(part),
                (Value::String(text), Value::Number(part)) => text.contains(&part.to_string()),
                _ => false,
            };
            (some && holds, format!("… {wanted} …"))
        }
        JsonRule::Exists(wanted) => (some == *wanted, if *wanted { "…" } else { "—" }.to_owned()),
    })
}

fn is_of_type(value: &Value, wanted: &str) -> bool {
    match wanted {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    }
}

/// Whether a value is the expected one: numbers within the tolerance, objects with the same keys in any
/// order. A number that is expected as text (a table's cells are texts) equals the same number.
fn equal(wanted: &Value, found: &Value, tolerance: Tolerance) -> bool {
    match (wanted, found) {
        (Value::Number(wanted), Value::Number(found)) => match (wanted.as_f64(), found.as_f64()) {
            (Some(wanted), Some(found)) => near(wanted, found, tolerance),
            _ => wanted == found,
        },
        (Value::String(wanted), Value::Number(found)) => {
            let (wanted, found) = (wanted.trim().parse::<f64>().ok(), found.as_f64());
            wanted.zip(found).is_some_and(|(wanted, found)| near(wanted, found, tolerance))
        }
        (Value::Array(wanted), Value::Array(found)) => {
            wanted.len() == found.len()
                && wanted.iter().zip(found).all(|(wanted, found)| equal(wanted, found, tolerance))
        }
        (Value::Object(wanted), Value::Object(found)) => {
            wanted.len() == found.len()
                && wanted
                    .iter()
                    .all(|(key, wanted)| found.get(key).is_some_and(|found| equal(wanted, found, tolerance)))
        }
        (wanted, found) => wanted == found,
    }
}

#[expect(clippy::float_cmp, reason = "without a tolerance numbers have to be the same")]
fn near(wanted: f64, found: f64, tolerance: Tolerance) -> bool {
    let off = (wanted - found).abs();
    wanted == found || off <= tolerance.absolute || off <= tolerance.relative * wanted.abs()
}

fn check_digest(digest: &Digest, body: &[u8], bindings: &Bindings, unmet: &mut Vec<Unmet>) {
    let (wanted, found) = match digest {
        Digest::Sm3(wanted) => (wanted, crate::crypto::sm3(body).to_string()),
        Digest::Sha256(wanted) => (wanted, hex::encode(Sha256::digest(body))),
    };
    match wanted.fill(bindings) {
        Ok(wanted) if wanted.trim().eq_ignore_ascii_case(&found) => {}
        Ok(wanted) => unmet.push(Unmet::new("digest", "", wanted, found)),
        Err(error) => unmet.push(Unmet::new("digest", "", error.to_string(), found)),
    }
}

/// Takes what a step captures out of its answer.
///
/// # Errors
/// What could not be captured.
pub fn capture(
    captures: &[(String, Capture)],
    answer: &Answer,
    bindings: &Bindings,
) -> Result<Bindings, Unmet> {
    let mut captured = Bindings::new();
    for (name, from) in captures {
        let (place, value) = match from {
            Capture::Header(header) => (header.clone(), answer.header(header).map(Value::String)),
            Capture::Pattern(pattern) => {
                let text = answer.text();
                let found = pattern.captures(&text).and_then(|found| found.get(1).or_else(|| found.get(0)));
                (format!("/{}/", pattern.as_str()), found.map(|found| found.as_str().into()))
            }
            Capture::Json(path) => {
                let selected = answer.json().ok().and_then(|json| select(path, &json, bindings).ok());
                let one = selected.filter(|(count, _)| *count == 1).map(|(_, value)| value);
                (path.as_written().to_owned(), one)
            }
        };
        match value {
            Some(value) => captured.insert(name.clone(), value),
            None => return Err(Unmet::new("capture", &place, format!("{{{{{name}}}}}"), answer.text())),
        };
    }
    Ok(captured)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::probing::read;
    use crate::probing::suite::Step;

    /// The first step of a probe that expects this.
    fn step(expect: &str) -> Step {
        let text = format!(
            "visibility: public\nprobes:\n- name: p\n  each: {{seed: 1, values: {{sum: [12], word: [AA], rows: ['']}}}}\n  request: GET /\n  expect: {expect}\n"
        );
        let (suite, findings) = read::suite("p.yaml", &text, &mut |_| {
            Ok(Arc::from(&b"{\"type\":\"object\",\"required\":[\"a\"]}"[..]))
        });
        let report = findings.into_report();
        suite.unwrap_or_else(|| panic!("{report}")).probes.remove(0).steps.remove(0)
    }

    fn answer(body: &str) -> Answer {
        Answer {
            status: 200,
            headers: vec![
                ("content-type".to_owned(), "application/json".to_owned()),
                ("x-a".to_owned(), "1".to_owned()),
            ],
            body: body.to_owned().into(),
            took: Duration::from_millis(20),
        }
    }

    fn holds(expect: &str, body: &str) -> bool {
        let bindings = Bindings::from([("sum".to_owned(), json!("12")), ("word".to_owned(), json!("AA"))]);
        unmet(&step(expect).expect, &answer(body), &bindings).is_empty()
    }

    #[test]
    fn each_expectation_holds_where_it_should_and_nowhere_else() {
        let body = r#"{"a": 12.04, "n": null, "list": [1, 2, 3], "items": [{"id": 1, "name": "AA"}, {"id": 2, "name": "BB"}], "text": "über 12 min"}"#;
        let cases = [
            ("{status: 200}", true),
            ("{status: [201, 2xx]}", true),
            ("{status: 4xx}", false),
            ("{headers: {Content-Type: application/json}}", true),
            ("{headers: {content-type: {matches: '^text/'}}}", false),
            ("{headers: {x-b: {present: false}, x-a: {present: true}}}", true),
            ("{headers: {x-b: ''}}", false),
            ("{json: [{path: $.a, equals: 12, tolerance: 0.05}]}", true),
            ("{json: [{path: $.a, equals: 12, relative: 0.001}]}", false),
            ("{json: [{path: $.a, equals: 12}]}", false),
            ("{json: [{path: $.a, equals: '{{sum}}', tolerance: 0.05}]}", true),
            ("{json: [{path: $.a, equals: '12.04'}]}", true),
            ("{json: [{path: $.n, equals: null}]}", true),
            ("{json: [{path: $.missing, equals: null}]}", false),
            ("{json: [{path: $.missing, equals: []}]}", true),
            ("{json: [{path: $.missing, exists: false}, {path: $.n, exists: true}]}", true),
            ("{json: [{path: '$.items[*].id', equals: [1, 2]}]}", true),
            ("{json: [{path: '$.items[*].id', length: 2}]}", true),
            ("{json: [{path: '$.items[?@.name == \"{{word}}\"].id', equals: 1}]}", true),
            ("{json: [{path: $.list, contains: 3}, {path: $.list, contains: 4}]}", false),
            ("{json: [{path: $.text, contains: 13}]}", false),
            ("{json: [{path: $.text, contains: 12, matches: '[0-9]+ min'}]}", true),
            ("{json: [{path: $.text, contains: '12', matches: '[0-9]+ min', length: 11}]}", true),
            ("{json: [{path: $.a, min: 12, max: 13, type: number}]}", true),
            ("{json: [{path: $.a, min: '{{sum}}', max: '{{sum}}.5'}]}", true),
            ("{json: [{path: $.a, max: '{{word}}'}]}", false),
            ("{json: [{path: $.text, length: '{{sum}}'}]}", false),
            ("{json: [{path: $.text, length: 11}]}", true),
            ("{json: [{path: $.a, type: integer}]}", false),
            ("{json: [{path: $.list, equals: [1, 2.0, 3]}]}", true),
            ("{schema: {type: object, required: [a, zzz]}}", false),
            ("{schema: schema.json}", true),
            ("{body: {contains: '{{sum}}', lacks: error}}", true),
            ("{body: [{matches: 'ü'}, {lacks: min}]}", false),
            ("{within: 30ms}", true),
            ("{within: 10ms}", false),
        ];
        for (expect, wanted) in cases {
            assert_eq!(holds(expect, body), wanted, "{expect}");
        }
        assert!(!holds("{json: [{path: $.a, exists: true}]}", "<html>"), "what is no JSON has no paths");
        // SM3 and SHA-256 of "abc" (GB/T 32905, FIPS 180-4)
        let sm3 = "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0";
        let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert!(holds(&format!("{{digest: {{sm3: {sm3}}}}}"), "abc"));
        assert!(holds(&format!("{{digest: {{sha256: {sha256}}}}}"), "abc"));
        assert!(!holds(&format!("{{digest: {{sha256: {sm3}}}}}"), "abc"));
    }

    #[test]
    fn a_body_is_quoted_from_where_it_differs() {
        let rows: String = (0..40).map(|row| format!("q{row},119,0.310\n")).collect();
        let bindings = Bindings::from([("rows".to_owned(), json!(rows))]);
        let expect = step("{body: {equals: '{{rows}}'}}").expect;
        let unmet = |body: &str| unmet(&expect, &answer(body), &bindings).pop();
        assert_eq!(unmet(&rows), None);
        let told = unmet(&rows.replace("q30,119", "q30,118")).unwrap();
        assert_eq!(told.place, "31:7");
        assert!(
            told.expected.starts_with("q30,119,0.310\nq31") && told.found.starts_with("q30,118,0.310\nq31")
        );
        // what breaks off is told from its last line on; what differs at once, from the beginning
        let told = unmet(&rows[..20]).unwrap();
        assert_eq!((told.place.as_str(), told.found.as_str()), ("2:8", "q1,119,"));
        assert_eq!(unmet("{}").unwrap().place, "");
        let long = "x".repeat(500);
        let told = super::parted(&format!("{long}a"), &format!("{long}b")).unwrap();
        assert_eq!((told.0.as_str(), told.1.chars().count()), ("1:501", 82));
    }

    #[test]
    fn a_schema_of_any_depth_is_held_against_an_answer() {
        let list = "{$ref: '#/$defs/l', $defs: {l: {type: array, items: {$ref: '#/$defs/l'}}}}";
        assert!(holds(&format!("{{schema: {list}}}"), &format!("{}{}", "[".repeat(100), "]".repeat(100))));
        assert!(!holds(&format!("{{schema: {list}}}"), "[[1]]"));
    }

    #[test]
    fn a_pattern_takes_no_longer_than_its_text() {
        let body = "a".repeat(200_000);
        assert!(!holds("{body: {matches: '^(a+)+$b'}}", &body));
        assert!(!holds("{schema: {type: string, pattern: '^(a+)+b$'}}", &format!("\"{body}\"")));
    }

    #[test]
    fn what_is_captured_is_one_value() {
        let captured = |capture_text: &str, body: &str| {
            let text = format!(
                "visibility: public\nprobes:\n- {{name: p, request: GET /, expect: {{status: 200}}, capture: {{v: {capture_text}}}}}\n"
            );
            let (suite, _) = read::suite("p.yaml", &text, &mut |_| Err(String::new()));
            let step = suite.unwrap().probes.remove(0).steps.remove(0);
            capture(&step.capture, &answer(body), &Bindings::new()).map(|values| values["v"].clone()).ok()
        };
        assert_eq!(captured("{json: $.id}", r#"{"id": 7}"#), Some(json!(7)));
        assert_eq!(captured("{json: '$.id[*]'}", r#"{"id": [7, 8]}"#), None);
        assert_eq!(captured("{header: X-A}", ""), Some(json!("1")));
        assert_eq!(captured("{matches: 'id=(\\d+)'}", "… id=42 …"), Some(json!("42")));
        assert_eq!(captured("{matches: 'id=\\d+'}", "no"), None);
    }
}
