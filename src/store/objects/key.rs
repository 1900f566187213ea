//! [`ObjectKey`]: where an object lies, and of which class it is.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::ObjectError;

const HIDDEN: &str = "hidden/";
const MAX_LENGTH: usize = 512;
const MAX_SEGMENT: usize = 200;

/// How an object is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// As it is.
    Plain,
    /// Sealed: reference data, hidden input, restricted forms, exact scores.
    Hidden,
}

/// The name of an object: segments between slashes, each of ASCII letters, digits, `.`, `_` and `-`,
/// none starting with a dot; at most 512 bytes. Keys of class [`Class::Hidden`] start with
/// `hidden/`, and no others do, so a key tells its class.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey(String);

impl ObjectKey {
    /// The key of a plain object.
    ///
    /// # Errors
    /// [`ObjectError::Key`] when `path` has another form, or starts with `hidden/`.
    pub fn plain(path: impl fmt::Display) -> Result<Self, ObjectError> {
        let key: Self = path.to_string().parse()?;
        match key.class() {
            Class::Plain => Ok(key),
            Class::Hidden => Err(key.refused("a plain object's key must not start with hidden/")),
        }
    }

    /// The key of a hidden object; `path` comes without `hidden/`.
    ///
    /// # Errors
    /// [`ObjectError::Key`] when `path` has another form.
    pub fn hidden(path: impl fmt::Display) -> Result<Self, ObjectError> {
        format!("{HIDDEN}{path}").parse()
    }

    /// How the object is kept.
    pub fn class(&self) -> Class {
        if self.0.starts_with(HIDDEN) { Class::Hidden } else { Class::Plain }
    }

    /// The key as text, with `hidden/` where it belongs.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn refused(&self, problem: &'static str) -> ObjectError {
        ObjectError::Key { key: self.0.clone(), problem }
    }
}

impl FromStr for ObjectKey {
    type Err = ObjectError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let problem = if text.len() > MAX_LENGTH {
            "it has more than 512 bytes"
        } else if text == HIDDEN.trim_end_matches('/') {
            "the name is a folder's"
        } else if text.split('/').any(|part| part.is_empty() || part.starts_with('.')) {
            "a segment is empty or starts with a dot"
        } else if text.split('/').any(|part| part.len() > MAX_SEGMENT) {
            "a segment has more than 200 bytes"
        } else if !text.split('/').all(|part| part.chars().all(allowed)) {
            "only ASCII letters, digits, '.', '_' and '-' may stand in it"
        } else {
            return Ok(Self(text.to_owned()));
        };
        Err(ObjectError::Key { key: text.chars().take(80).collect(), problem })
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectKey({})", self.0)
    }
}

impl Serialize for ObjectKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ObjectKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_tells_its_class() {
        let plain = ObjectKey::plain("submissions/0198/input.zip").unwrap();
        assert_eq!((plain.class(), plain.as_str()), (Class::Plain, "submissions/0198/input.zip"));
        let hidden = ObjectKey::hidden("sets/0198/labels.csv").unwrap();
        assert_eq!((hidden.class(), hidden.as_str()), (Class::Hidden, "hidden/sets/0198/labels.csv"));
        assert_eq!(hidden.as_str().parse::<ObjectKey>().unwrap(), hidden);
        assert!(ObjectKey::plain("hidden/sets/x").is_err());
    }

    #[test]
    fn no_key_leads_out_of_the_store() {
        let long = "a".repeat(513);
        let wide = "a".repeat(201);
        for bad in [
            "",
            "/",
            "a/",
            "/a",
            "a//b",
            "..",
            "../a",
            "a/../b",
            "a/.hidden",
            ".a",
            "hidden",
            "a b",
            "a#1",
            "a%2e",
            "a\\b",
            "数据",
            "a\0b",
            &long,
            &wide,
        ] {
            assert!(bad.parse::<ObjectKey>().is_err(), "{bad:?}");
        }
        assert!(ObjectKey::hidden("").is_err());
        assert!(ObjectKey::hidden("../plain").is_err());
    }
}
