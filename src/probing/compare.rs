//! Compares an answer with what is expected of it.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json_path::JsonPath;
use sha2::{Digest as _, Sha256};

use super::answer::Answer;
use super::fill::{Bindings, FillError, Template, fill_json};
use super::latency::LatencyClass;
use super::suite::{Capture, Digest, Expect, JsonRule, JsonTest, TextTest, Tolerance};

/// Characters of an answer that a report quotes in one place.
const QUOTED: usize = 200;
/// Places in which a schema is not satisfied that are told.
const SCHEMA_FAULTS: usize = 3;

/// One expectation that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
        check_digest(digest, &answer.body, &mut unmet);
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
    if !holds {
        unmet.push(Unmet::new(what, place, expected, found));
    }
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
    let path = JsonPath::parse(&text).map_err(|error| error.to_string())?;
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
        JsonRule::Min(least) => (number.is_some_and(|n| n >= *least), format!("≥ {least}")),
        JsonRule::Max(most) => (number.is_some_and(|n| n <= *most), format!("≤ {most}")),
        JsonRule::Length(wanted) => {
            let length = match value {
                Value::Array(items) => Some(items.len()),
                Value::Object(entries) => Some(entries.len()),
                Value::String(text) => Some(text.chars().count()),
                _ => None,
            };
            (some && length.is_some_and(|length| length as u64 == *wanted), format!("length {wanted}"))
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

fn check_digest(digest: &Digest, body: &[u8], unmet: &mut Vec<Unmet>) {
    let (wanted, found) = match digest {
        Digest::Sm3(wanted) => (wanted, crate::crypto::sm3(body).to_string()),
        Digest::Sha256(wanted) => (wanted, hex::encode(Sha256::digest(body))),
    };
    if *wanted != found {
        unmet.push(Unmet::new("digest", "", wanted, found));
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
