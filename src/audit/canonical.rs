//! Canonical JSON: one text for one value, after RFC 8785 (JSON Canonicalization Scheme), except that
//! numbers with a fraction, whose text two languages could disagree about, become strings.

use serde_json::Value;

/// The largest whole number that every reader of JSON takes for the same (RFC 7493, section 2.2).
const EXACT: u64 = (1 << 53) - 1;

/// The canonical text: no white space, members sorted by the UTF-16 code units of their names (RFC
/// 8785, section 3.2.3). A number that has a fraction or an exponent, or is beyond 2^53 - 1, is written
/// as a string.
pub fn canonical(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    write(value, &mut out);
    out
}

fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => {
            out.extend_from_slice(value.to_string().as_bytes())
        }
        Value::Number(number) => {
            let magnitude = number.as_u64().or_else(|| number.as_i64().map(i64::unsigned_abs));
            let text = number.to_string();
            let exact = magnitude.is_some_and(|magnitude| magnitude <= EXACT);
            out.extend_from_slice(if exact { text } else { Value::from(text).to_string() }.as_bytes());
        }
        Value::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write(item, out);
            }
            out.push(b']');
        }
        Value::Object(members) => {
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
            out.push(b'{');
            for (index, (name, member)) in sorted.into_iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                out.extend_from_slice(Value::from(name.as_str()).to_string().as_bytes());
                out.push(b':');
                write(member, out);
            }
            out.push(b'}');
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn text(value: &Value) -> String {
        String::from_utf8(canonical(value)).unwrap()
    }

    /// RFC 8785, section 3.2.3, its example of sorting.
    #[test]
    fn members_are_sorted_by_utf_16_code_units() {
        let value = json!({
            "\u{20ac}": "Euro Sign", "\r": "Carriage Return", "\u{fb33}": "Hebrew Letter Dalet With Dagesh",
            "1": "One", "\u{1f600}": "Emoji: Grinning Face", "\u{80}": "Control",
            "\u{f6}": "Latin Small Letter O With Diaeresis"
        });
        let parsed = text(&value);
        let order: Vec<usize> = ["Carriage", "One", "Control", "Latin", "Euro", "Emoji", "Hebrew"]
            .iter()
            .map(|word| parsed.find(word).unwrap())
            .collect();
        assert!(order.is_sorted(), "{parsed}");
    }

    /// RFC 8785, section 3.2.2.2: which characters are escaped, and how.
    #[test]
    fn strings_are_escaped_as_the_standard_says() {
        let value = json!("\u{20ac}$\u{f}\nA'B\"\\\"/\u{7f}");
        assert_eq!(text(&value), "\"\u{20ac}$\\u000f\\nA'B\\\"\\\\\\\"/\u{7f}\"");
    }

    #[test]
    fn numbers_that_readers_disagree_about_become_strings() {
        let exact = json!({"b": [-9007199254740991i64, 0], "a": null});
        assert_eq!(text(&exact), r#"{"a":null,"b":[-9007199254740991,0]}"#);
        let others = json!([0.5, 9007199254740992u64, i64::MIN, 1.0, 1e300]);
        assert_eq!(text(&others), r#"["0.5","9007199254740992","-9223372036854775808","1.0","1e+300"]"#);
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-1000i64..1000).prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((any::<String>(), inner), 0..4)
                    .prop_map(|m| Value::Object(m.into_iter().collect())),
            ]
        })
    }

    fn reversed(value: &Value) -> Value {
        match value {
            Value::Array(items) => items.iter().map(reversed).collect(),
            Value::Object(members) => {
                Value::Object(members.iter().rev().map(|(k, v)| (k.clone(), reversed(v))).collect())
            }
            other => other.clone(),
        }
    }

    proptest! {
        /// The text says the same value, and does not depend on the order members came in.
        #[test]
        fn the_text_is_faithful_and_unique(value in values()) {
            let bytes = canonical(&value);
            prop_assert_eq!(&serde_json::from_slice::<Value>(&bytes).unwrap(), &value);
            prop_assert_eq!(canonical(&reversed(&value)), bytes);
        }
    }
}
