//! Reading a row's columns into our types.

use std::fmt::Display;
use std::str::FromStr;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::StoreError;

/// Typed access to a row's columns by name. Every method fails with
/// [`StoreError::Unreadable`] or [`StoreError::Database`] when the column is missing or has a form
/// that this version does not know.
pub trait Row {
    /// A text.
    fn text(&self, column: &str) -> Result<String, StoreError>;
    /// A text, or nothing.
    fn text_or_null(&self, column: &str) -> Result<Option<String>, StoreError>;
    /// A whole number.
    fn int(&self, column: &str) -> Result<i64, StoreError>;
    /// A whole number, or nothing.
    fn int_or_null(&self, column: &str) -> Result<Option<i64>, StoreError>;
    /// A floating-point number.
    fn float(&self, column: &str) -> Result<f64, StoreError>;
    /// Bytes.
    fn bytes(&self, column: &str) -> Result<Vec<u8>, StoreError>;
    /// A truth value (0 or 1).
    fn flag(&self, column: &str) -> Result<bool, StoreError>;
    /// A time.
    fn time(&self, column: &str) -> Result<Timestamp, StoreError>;
    /// A time, or nothing.
    fn time_or_null(&self, column: &str) -> Result<Option<Timestamp>, StoreError>;
    /// A text parsed into an identifier or an enum.
    fn parsed<T: FromStr<Err: Display>>(&self, column: &str) -> Result<T, StoreError>;
    /// The same, or nothing.
    fn parsed_or_null<T: FromStr<Err: Display>>(&self, column: &str) -> Result<Option<T>, StoreError>;
    /// A JSON document.
    fn json<T: DeserializeOwned>(&self, column: &str) -> Result<T, StoreError>;
}

/// The places of `count` values in a statement's list, from the `first`: `$2, $3, $4`.
pub fn places(first: usize, count: usize) -> String {
    let mut list = String::new();
    for place in first..first + count {
        if place > first {
            list.push_str(", ");
        }
        list.push_str(&format!("${place}"));
    }
    list
}

fn unreadable(column: &str, value: &str, problem: impl Display) -> StoreError {
    StoreError::Unreadable {
        column: column.to_owned(),
        value: value.chars().take(80).collect(),
        problem: problem.to_string(),
    }
}

fn timestamp(column: &str, millis: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_millisecond(millis).map_err(|e| unreadable(column, &millis.to_string(), e))
}

impl Row for AnyRow {
    fn text(&self, column: &str) -> Result<String, StoreError> {
        Ok(self.try_get(column)?)
    }

    fn text_or_null(&self, column: &str) -> Result<Option<String>, StoreError> {
        Ok(self.try_get(column)?)
    }

    fn int(&self, column: &str) -> Result<i64, StoreError> {
        Ok(self.try_get(column)?)
    }

    fn int_or_null(&self, column: &str) -> Result<Option<i64>, StoreError> {
        Ok(self.try_get(column)?)
    }

    fn float(&self, column: &str) -> Result<f64, StoreError> {
        Ok(self.try_get(column)?)
    }

    fn bytes(&self, column: &str) -> Result<Vec<u8>, StoreError> {
        Ok(self.try_get(column)?)
    }

    fn flag(&self, column: &str) -> Result<bool, StoreError> {
        Ok(self.int(column)? != 0)
    }

    fn time(&self, column: &str) -> Result<Timestamp, StoreError> {
        timestamp(column, self.int(column)?)
    }

    fn time_or_null(&self, column: &str) -> Result<Option<Timestamp>, StoreError> {
        self.int_or_null(column)?.map(|millis| timestamp(column, millis)).transpose()
    }

    fn parsed<T: FromStr<Err: Display>>(&self, column: &str) -> Result<T, StoreError> {
        let text = self.text(column)?;
        text.parse().map_err(|e| unreadable(column, &text, e))
    }

    fn parsed_or_null<T: FromStr<Err: Display>>(&self, column: &str) -> Result<Option<T>, StoreError> {
        let Some(text) = self.text_or_null(column)? else { return Ok(None) };
        text.parse().map(Some).map_err(|e| unreadable(column, &text, e))
    }

    fn json<T: DeserializeOwned>(&self, column: &str) -> Result<T, StoreError> {
        let text = self.text(column)?;
        serde_json::from_str(&text).map_err(|e| unreadable(column, &text, e))
    }
}
