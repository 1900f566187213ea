//! What a scoring program wrote: `scores.json`, else `scores.txt` read as YAML.
//!
//! The file derives from hidden data, so nothing of it reaches a message but the declared key that
//! is at fault. It is bounded before it is parsed, and both parsers are bounded in depth.

use std::cell::RefCell;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::Scores;
use crate::airlock::Hidden;

/// Size of the file at most, in bytes.
pub const SCORES_BYTES: u64 = 64 << 10;
/// Depth of nesting at most; deeper values could only be ignored ones.
const DEPTH: usize = 64;

/// Why a scoring program's result cannot be used. No message holds anything of the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScoresError {
    /// Neither file exists.
    #[error("the scoring program wrote neither scores.json nor scores.txt to its output directory")]
    Missing,
    /// The file is a link, a pipe, a directory, or cannot be read.
    #[error("the scores are not in a regular file that can be read")]
    NotAFile,
    /// The file is too large.
    #[error("the scores file is larger than 64 KiB; write nothing but the scores to it")]
    TooLarge,
    /// Neither JSON nor YAML, or nested too deeply.
    #[error("the scores file is not valid {format}; write one mapping from column keys to numbers")]
    Malformed {
        /// The format the file's name promises.
        format: &'static str,
    },
    /// A declared key has no number.
    #[error("the value of `{key}` in the scores file is not a finite number; write a number for it")]
    NotANumber {
        /// The leaderboard column's key.
        key: String,
    },
    /// No declared key occurs.
    #[error("the scores file has none of the leaderboard's columns; write at least one of their keys")]
    NoneDeclared,
}

/// Reads the scores in a scoring program's output directory. `declared` are the keys of the
/// leaderboard's columns; others, and nested values, are ignored. A declared key may be absent as
/// long as one is there.
///
/// # Errors
/// When there is no usable file, or a declared key has something else than a finite number.
pub fn read_scores(output: &Path, declared: &[String]) -> Result<Hidden<Scores>, ScoresError> {
    match read_file(&output.join("scores.json"))? {
        Some(bytes) => parse_json(&bytes, declared),
        None => match read_file(&output.join("scores.txt"))? {
            Some(bytes) => parse_yaml(&bytes, declared),
            None => Err(ScoresError::Missing),
        },
    }
    .map(Hidden::new)
}

fn read_file(path: &Path) -> Result<Option<Vec<u8>>, ScoresError> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(_) => return Err(ScoresError::NotAFile),
    };
    let regular = file.metadata().is_ok_and(|metadata| metadata.is_file());
    let mut bytes = Vec::new();
    if !regular || file.take(SCORES_BYTES + 1).read_to_end(&mut bytes).is_err() {
        return Err(ScoresError::NotAFile);
    }
    if bytes.len() as u64 > SCORES_BYTES { Err(ScoresError::TooLarge) } else { Ok(Some(bytes)) }
}

/// Reads JSON as Python writes it, that is, with bare `NaN` and `Infinity`.
fn parse_json(bytes: &[u8], declared: &[String]) -> Result<Scores, ScoresError> {
    let malformed = ScoresError::Malformed { format: "JSON" };
    if bytes.len() as u64 > SCORES_BYTES {
        return Err(ScoresError::TooLarge);
    }
    let Some(text) = python_constants_to_null(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)) else {
        return Err(malformed);
    };
    let reader = Reader { declared, current: RefCell::new(None) };
    let mut deserializer = serde_json::Deserializer::from_slice(&text);
    let scores = (&reader).deserialize(&mut deserializer).and_then(|scores| {
        deserializer.end()?;
        Ok(scores)
    });
    reader.finish(scores.ok(), malformed)
}

/// Replaces the constants that are not JSON by `null`, so that an ignored key may hold one. `None`
/// where the nesting is too deep.
fn python_constants_to_null(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::with_capacity(bytes.len());
    let (mut in_string, mut escaped, mut depth) = (false, false, 0usize);
    let mut rest = bytes;
    while let [byte, tail @ ..] = rest {
        if in_string {
            in_string = escaped || *byte != b'"';
            escaped = !escaped && *byte == b'\\';
        } else {
            let constant =
                [&b"-Infinity"[..], b"Infinity", b"NaN"].into_iter().find(|name| rest.starts_with(name));
            if let Some(constant) = constant {
                text.extend_from_slice(b"null");
                rest = &rest[constant.len()..];
                continue;
            }
            match byte {
                b'"' => in_string = true,
                b'[' | b'{' => depth += 1,
                b']' | b'}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth > DEPTH {
                return None;
            }
        }
        text.push(*byte);
        rest = tail;
    }
    Some(text)
}

fn parse_yaml(bytes: &[u8], declared: &[String]) -> Result<Scores, ScoresError> {
    let malformed = ScoresError::Malformed { format: "YAML" };
    if bytes.len() as u64 > SCORES_BYTES {
        return Err(ScoresError::TooLarge);
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return Err(malformed) };
    let budget = serde_saphyr::budget! {
        max_depth: DEPTH,
        flow_nesting_limit: DEPTH,
        max_documents: 1,
        max_anchors: 0,
        max_aliases: 0,
    };
    let options = serde_saphyr::options! {
        budget: budget,
        duplicate_keys: serde_saphyr::options::DuplicateKeyPolicy::LastWins,
        // An undeclared key may hold one; a declared key's is refused by name.
        non_finite_float_policy: serde_saphyr::options::NonFiniteFloatPolicy::PassThrough,
    };
    let reader = Reader { declared, current: RefCell::new(None) };
    let scores = serde_saphyr::with_deserializer_from_str_with_options(text, options, |deserializer| {
        (&reader).deserialize(deserializer)
    });
    reader.finish(scores.ok(), malformed)
}

/// Reads a mapping, remembering the declared key whose value is being read.
struct Reader<'a> {
    declared: &'a [String],
    current: RefCell<Option<String>>,
}

impl Reader<'_> {
    /// The result: where reading stopped inside a declared key's value, that key is at fault.
    fn finish(self, scores: Option<Scores>, malformed: ScoresError) -> Result<Scores, ScoresError> {
        match (scores, self.current.into_inner()) {
            (None, Some(key)) => Err(ScoresError::NotANumber { key }),
            (None, None) => Err(malformed),
            (Some(scores), _) if scores.is_empty() => Err(ScoresError::NoneDeclared),
            (Some(scores), _) => Ok(scores),
        }
    }
}

impl<'de> DeserializeSeed<'de> for &Reader<'_> {
    type Value = Scores;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Scores, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &Reader<'_> {
    type Value = Scores;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a mapping from column keys to numbers")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scores, A::Error> {
        let mut scores = Scores::new();
        while let Some(key) = map.next_key_seed(Key)? {
            let declared = key.filter(|key| self.declared.contains(key));
            let Some(key) = declared else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            *self.current.borrow_mut() = Some(key.clone());
            let number = map.next_value_seed(Number)?;
            let Some(number) = number.filter(|number| number.is_finite()) else {
                return Err(serde::de::Error::custom("not a finite number"));
            };
            *self.current.borrow_mut() = None;
            scores.insert(key, number);
        }
        Ok(scores)
    }
}

/// A key of any scalar type; text and whole numbers can be declared ones.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for Key {
    type Value = Option<String>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a key")
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(text.to_owned()))
    }

    fn visit_i64<E>(self, key: i64) -> Result<Self::Value, E> {
        Ok(Some(key.to_string()))
    }

    fn visit_u64<E>(self, key: u64) -> Result<Self::Value, E> {
        Ok(Some(key.to_string()))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

/// A number, or text that is one (a scorer's formatted number); nothing for any other value.
struct Number;

impl<'de> DeserializeSeed<'de> for Number {
    type Value = Option<f64>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Number {
    type Value = Option<f64>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a number")
    }

    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Some(number))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Some(number as f64))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Some(number as f64))
    }

    fn visit_i128<E>(self, number: i128) -> Result<Self::Value, E> {
        Ok(Some(number as f64))
    }

    fn visit_u128<E>(self, number: u128) -> Result<Self::Value, E> {
        Ok(Some(number as f64))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(text.trim().parse().ok())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn declared() -> Vec<String> {
        vec!["accuracy".to_owned(), "f1".to_owned()]
    }

    fn json(text: &str) -> Result<Scores, ScoresError> {
        parse_json(text.as_bytes(), &declared())
    }

    fn yaml(text: &str) -> Result<Scores, ScoresError> {
        parse_yaml(text.as_bytes(), &declared())
    }

    fn one(key: &str, value: f64) -> Result<Scores, ScoresError> {
        Ok(Scores::from([(key.to_owned(), value)]))
    }

    fn not_a_number(key: &str) -> Result<Scores, ScoresError> {
        Err(ScoresError::NotANumber { key: key.to_owned() })
    }

    #[test]
    fn declared_numbers_are_taken_and_the_rest_is_ignored() {
        let text = r#"{"accuracy": 0.85, "truth": [1, 0], "log": {"accuracy": 3}, "n": NaN, "m": -Infinity, "s": "a\"NaN["}"#;
        assert_eq!(json(text), one("accuracy", 0.85));
        assert_eq!(json("\u{feff}{\"accuracy\": 1, \"accuracy\": 2}"), one("accuracy", 2.0));
        assert_eq!(json(r#"{"big": 1e999, "accuracy": "0.5"}"#), one("accuracy", 0.5));
        assert_eq!(
            yaml("accuracy: 0.85\ntruth: [1, 0]\nn: .nan\n1: 2\nlog: {a: b}\n"),
            one("accuracy", 0.85)
        );
        assert_eq!(yaml("f1: 1e-3\n"), one("f1", 1e-3));
        assert_eq!(yaml("f1: 1\nf1: 2\n"), one("f1", 2.0));
    }

    #[test]
    fn a_declared_key_without_a_finite_number_is_named() {
        for value in [
            "\"high\"",
            "null",
            "true",
            "[1]",
            "{\"a\": 1}",
            "NaN",
            "-Infinity",
            "1e999",
            "\"nan\"",
            "\"inf\"",
        ] {
            assert_eq!(json(&format!("{{\"accuracy\": 1, \"f1\": {value}}}")), not_a_number("f1"), "{value}");
        }
        let digits = "9".repeat(60_000);
        assert_eq!(json(&format!("{{\"f1\": {digits}}}")), not_a_number("f1"));
        for value in ["high", "", "~", "true", "[1]", "{a: 1}", ".nan", "-.inf", "1e999", "nan"] {
            assert_eq!(yaml(&format!("accuracy: 1\nf1: {value}\n")), not_a_number("f1"), "{value}");
        }
        let secret = json("{\"f1\": \"label 17 is 1\"}").unwrap_err().to_string();
        assert!(secret.contains("`f1`") && !secret.contains("label"));
    }

    #[test]
    fn what_is_no_mapping_or_declares_nothing_is_refused() {
        let malformed = |format| Err(ScoresError::Malformed { format });
        for text in ["", "[]", "3", "{\"accuracy\": 1", "{\"accuracy\": 1} x", "{accuracy: 1}"] {
            assert_eq!(json(text), malformed("JSON"), "{text}");
        }
        for text in ["", "- 1", "3", "a: [", "\t", "a: 1\n---\nb: 2\n", "a: &x 1\nb: *x\n"] {
            assert_eq!(yaml(text), malformed("YAML"), "{text}");
        }
        assert_eq!(json("{\"other\": 1}"), Err(ScoresError::NoneDeclared));
        assert_eq!(yaml("other: 1\n"), Err(ScoresError::NoneDeclared));
    }

    #[test]
    fn depth_and_size_are_bounded() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let nested = format!("{{\"x\": {}1{}, \"f1\": 1}}", open.repeat(9000), close.repeat(9000));
            assert_eq!(json(&nested), Err(ScoresError::Malformed { format: "JSON" }));
            assert_eq!(json(&open.repeat(9000)), Err(ScoresError::Malformed { format: "JSON" }));
            assert_eq!(yaml(&nested), Err(ScoresError::Malformed { format: "YAML" }));
            assert_eq!(yaml(&open.repeat(9000)), Err(ScoresError::Malformed { format: "YAML" }));
        }
        assert_eq!(yaml(&"- ".repeat(30_000)), Err(ScoresError::Malformed { format: "YAML" }));
        assert_eq!(json(&"[".repeat(1_000_000)), Err(ScoresError::TooLarge));
        assert_eq!(yaml(&"[".repeat(1_000_000)), Err(ScoresError::TooLarge));
    }

    #[test]
    fn json_comes_before_text_and_only_from_a_regular_file() {
        let folder = tempfile::tempdir().unwrap();
        let read = || read_scores(folder.path(), &declared()).map(|_| ());
        assert_eq!(read(), Err(ScoresError::Missing));
        let (text, json) = (folder.path().join("scores.txt"), folder.path().join("scores.json"));
        std::fs::write(&text, "accuracy: 1\n").unwrap();
        assert_eq!(read(), Ok(()));
        std::os::unix::fs::symlink(&text, &json).unwrap();
        assert_eq!(read(), Err(ScoresError::NotAFile));
        std::fs::remove_file(&json).unwrap();
        std::fs::create_dir(&json).unwrap();
        assert_eq!(read(), Err(ScoresError::NotAFile));
        std::fs::remove_dir(&json).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, &json, rustix::fs::FileType::Fifo, Mode::RWXU, 0).unwrap();
        assert_eq!(read(), Err(ScoresError::NotAFile));
        std::fs::remove_file(&json).unwrap();
        std::fs::File::create(&json).unwrap().set_len(1 << 30).unwrap();
        assert_eq!(read(), Err(ScoresError::TooLarge));
    }

    proptest! {
        #[test]
        fn any_text_gives_declared_finite_scores_or_an_error(text in "[\\[\\]{}:,\"'\\-\\.0-9a-f &*!|>#~\n\tNInfityaccuracy]{0,200}") {
            for scores in [json(&text), yaml(&text)].into_iter().flatten() {
                prop_assert!(scores.iter().all(|(key, value)| declared().contains(key) && value.is_finite()));
            }
        }

        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse_json(&bytes, &declared());
            let _ = parse_yaml(&bytes, &declared());
        }

        #[test]
        fn a_written_number_is_read_back(value in any::<f64>().prop_filter("finite", |v| v.is_finite())) {
            let near = |read: Result<Scores, ScoresError>| {
                let read = read.unwrap()["f1"];
                // below the smallest normal number there are no 15 digits to keep
                (read - value).abs() <= 1e-15 * value.abs() + f64::MIN_POSITIVE
            };
            let (as_json, as_yaml) = (format!("{{\"f1\": {value:?}}}"), format!("f1: {value:?}\n"));
            prop_assert!(near(json(&as_json)));
            prop_assert!(near(yaml(&as_yaml)));
        }
    }
}
