//! Placeholders: `{{name}}` in what a probe sends and expects.
//!
//! A text that is one placeholder and nothing else becomes the value itself, with its type; inside a longer
//! text a value is written as it would be printed. `{{name:number}}` makes a number of a text and `{{name:json}}` whatever
//! JSON it holds, for values that come from a table.

use std::collections::BTreeMap;

use serde_json::{Number, Value};

/// Values by name.
pub type Bindings = BTreeMap<String, Value>;

/// A text that may hold placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    text: String,
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Value { name: String, reading: Reading },
}

/// What a text that stands for a value is read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    Text,
    Number,
    Json,
}

/// Why a text cannot be filled in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FillError {
    /// A placeholder that is not closed, or holds something else than a name.
    #[error("`{{{{{0}` is no placeholder; write {{{{name}}}}, {{{{name:number}}}} or {{{{name:json}}}}")]
    Malformed(String),
    /// Nothing has this name.
    #[error("nothing is known by the name `{0}` here")]
    Unknown(String),
    /// A captured value is no path on the app.
    #[error("`{0}` is no path on the app: it has to begin with one `/`")]
    NotAPath(String),
    /// The value is no number.
    #[error("the value of `{0}` is not a number")]
    NotANumber(String),
    /// The value is no JSON.
    #[error("the value of `{0}` is not JSON")]
    NotJson(String),
}

impl Template {
    /// Reads a text.
    ///
    /// # Errors
    /// [`FillError::Malformed`].
    pub fn parse(text: &str) -> Result<Self, FillError> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            let malformed = || FillError::Malformed(after.chars().take(40).collect());
            let (inside, beyond) = after.split_once("}}").ok_or_else(malformed)?;
            let (name, reading) = match inside.trim().split_once(':') {
                None => (inside.trim(), Reading::Text),
                Some((name, "number")) => (name.trim(), Reading::Number),
                Some((name, "json")) => (name.trim(), Reading::Json),
                Some(_) => return Err(malformed()),
            };
            if !is_name(name) {
                return Err(malformed());
            }
            pieces.push(Piece::Value { name: name.to_owned(), reading });
            rest = beyond;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(Self { text: text.to_owned(), pieces })
    }

    /// A text that is taken as it stands.
    pub fn plain(text: &str) -> Self {
        Self { text: text.to_owned(), pieces: vec![Piece::Text(text.to_owned())] }
    }

    /// As it was written.
    pub fn as_written(&self) -> &str {
        &self.text
    }

    /// The text itself where it holds no placeholder.
    pub fn fixed(&self) -> Option<&str> {
        self.names().next().is_none().then_some(self.text.as_str())
    }

    /// The names it uses.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Text(_) => None,
            Piece::Value { name, .. } => Some(name.as_str()),
        })
    }

    /// The text with every value in its place.
    ///
    /// # Errors
    /// [`FillError::Unknown`], [`FillError::NotANumber`], [`FillError::NotJson`].
    pub fn fill(&self, bindings: &Bindings) -> Result<String, FillError> {
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(fixed) => text.push_str(fixed),
                Piece::Value { name, reading } => match value(bindings, name, *reading)? {
                    Value::String(value) => text.push_str(&value),
                    other => text.push_str(&other.to_string()),
                },
            }
        }
        Ok(text)
    }

    /// The value of a text that is one placeholder; any other text as text.
    ///
    /// # Errors
    /// As [`Template::fill`].
    pub fn fill_value(&self, bindings: &Bindings) -> Result<Value, FillError> {
        match self.pieces.as_slice() {
            [Piece::Value { name, reading }] => value(bindings, name, *reading),
            _ => self.fill(bindings).map(Value::String),
        }
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

fn value(bindings: &Bindings, name: &str, reading: Reading) -> Result<Value, FillError> {
    let value = bindings.get(name).ok_or_else(|| FillError::Unknown(name.to_owned()))?;
    let not_a_number = || FillError::NotANumber(name.to_owned());
    match (reading, value) {
        (Reading::Number, Value::String(text)) => {
            text.trim().parse::<Number>().map(Value::Number).map_err(|_| not_a_number())
        }
        (Reading::Number, Value::Number(_)) | (Reading::Text, _) => Ok(value.clone()),
        (Reading::Number, _) => Err(not_a_number()),
        (Reading::Json, Value::String(text)) => {
            serde_json::from_str(text).map_err(|_| FillError::NotJson(name.to_owned()))
        }
        (Reading::Json, value) => Ok(value.clone()),
    }
}

/// A JSON value with the placeholders of its texts filled in, keys too.
///
/// # Errors
/// [`FillError`].
pub fn fill_json(value: &Value, bindings: &Bindings) -> Result<Value, FillError> {
    Ok(match value {
        Value::String(text) => Template::parse(text)?.fill_value(bindings)?,
        Value::Array(items) => {
            Value::Array(items.iter().map(|item| fill_json(item, bindings)).collect::<Result<_, _>>()?)
        }
        Value::Object(entries) => {
            let filled = entries
                .iter()
                .map(|(key, value)| Ok((Template::parse(key)?.fill(bindings)?, fill_json(value, bindings)?)));
            Value::Object(filled.collect::<Result<_, FillError>>()?)
        }
        other => other.clone(),
    })
}

/// The number that a JSON value is, or that the text in it says once filled in.
///
/// # Errors
/// [`FillError`].
pub fn fill_number(value: &Value, bindings: &Bindings) -> Result<f64, FillError> {
    let filled = fill_json(value, bindings)?;
    let number = match &filled {
        Value::String(text) => text.trim().parse().ok(),
        other => other.as_f64(),
    };
    number.filter(|number: &f64| number.is_finite()).ok_or_else(|| FillError::NotANumber(value.to_string()))
}

/// Calls `found` for every name that the texts of a value use.
///
/// # Errors
/// [`FillError::Malformed`].
pub fn names_in_json(value: &Value, found: &mut dyn FnMut(&str)) -> Result<(), FillError> {
    match value {
        Value::String(text) => Template::parse(text)?.names().for_each(found),
        Value::Array(items) => items.iter().try_for_each(|item| names_in_json(item, found))?,
        Value::Object(entries) => {
            for (key, value) in entries {
                Template::parse(key)?.names().for_each(&mut *found);
                names_in_json(value, found)?;
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn bindings() -> Bindings {
        let values = json!({"carrier": "AA", "month": "07", "id": 12, "on": true, "list": [1, 2]});
        values.as_object().unwrap().clone().into_iter().collect()
    }

    #[test]
    fn values_stand_where_their_names_stood() {
        let filled = |text: &str| Template::parse(text).unwrap().fill(&bindings());
        assert_eq!(filled("/delays/{{carrier}}?m={{ month }}").unwrap(), "/delays/AA?m=07");
        assert_eq!(filled("{{id}}{{on}}{{list}}").unwrap(), "12true[1,2]");
        assert_eq!(filled("{ } }} {x}").unwrap(), "{ } }} {x}");
        assert_eq!(filled("{{nobody}}"), Err(FillError::Unknown("nobody".to_owned())));
        for wrong in ["{{", "{{a", "{{}}", "{{a b}}", "{{a:text}}", "x{{{a}}"] {
            assert!(matches!(Template::parse(wrong), Err(FillError::Malformed(_))), "{wrong}");
        }
    }

    #[test]
    fn a_placeholder_alone_keeps_the_type() {
        let given = json!({"{{carrier}}": ["{{id}}", "{{month}}", "{{month:number}}", "n {{id}}", 5, null]});
        let error = fill_json(&given, &bindings());
        // 07 is no JSON number: a code is not read as one by mistake
        assert_eq!(error, Err(FillError::NotANumber("month".to_owned())));
        let mut bindings = bindings();
        bindings.insert("month".to_owned(), json!("7"));
        let filled = fill_json(&given, &bindings).unwrap();
        assert_eq!(filled, json!({"AA": [12, "7", 7, "n 12", 5, null]}));
        bindings.insert("cell".to_owned(), json!("[1, null, {\"a\": true}]"));
        assert_eq!(fill_json(&json!("{{cell:json}}"), &bindings), Ok(json!([1, null, {"a": true}])));
        assert_eq!(
            fill_json(&json!("{{carrier:json}}"), &bindings),
            Err(FillError::NotJson("carrier".to_owned()))
        );
        assert_eq!(fill_number(&json!("{{month}}"), &bindings), Ok(7.0));
        assert!(fill_number(&json!("{{carrier}}"), &bindings).is_err());
    }
}
