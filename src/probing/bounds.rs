//! Bounds on what probes select and check with, so that neither reading nor using it takes longer than it may:
//! paths are written by organizers, and may hold what an app answered.

use serde_json::Value as Json;
use serde_json_path::JsonPath;

/// Bytes of a JSONPath.
const PATH: usize = 1000;
/// Brackets and parentheses open at once in one: its parser goes down a level with each, and tries what a
/// filter may be several times over.
const DEPTH: usize = 8;
/// Filters of one: each may look through all that the others select.
const FILTERS: usize = 3;
/// Schemas that one value may be held against, references followed.
const SCHEMAS: usize = 1000;

/// Reads a JSONPath (RFC 9535) within bounds.
///
/// # Errors
/// What is wrong with it.
pub(super) fn json_path(text: &str) -> Result<JsonPath, String> {
    if text.len() > PATH {
        return Err(format!("it has more than {PATH} bytes"));
    }
    // those within quotes count, too: they are few, and a quote can be hard to tell
    let mut open: usize = 0;
    for c in text.chars() {
        match c {
            '[' | '(' => open += 1,
            ']' | ')' => open = open.saturating_sub(1),
            _ => {}
        }
        if open > DEPTH {
            return Err(format!("more than {DEPTH} brackets are open at once"));
        }
    }
    if text.matches('?').count() > FILTERS {
        return Err(format!("it has more than {FILTERS} filters"));
    }
    // what two of them select can be more than all that an answer holds, many times over
    if text.matches("..").count() > 1 {
        return Err("it looks through all levels (`..`) more than once".to_owned());
    }
    JsonPath::parse(text).map_err(|error| error.to_string())
}

/// Whether holding a value against a schema takes time in proportion to it.
///
/// # Errors
/// Which part of the schema stands in the way.
pub(super) fn schema(schema: &Json) -> Result<(), String> {
    Walk { root: schema, open: Vec::new(), met: 0 }.value(schema)
}

/// Goes through a schema as a validator does, references followed.
struct Walk<'s> {
    root: &'s Json,
    /// References that are being followed.
    open: Vec<Followed<'s>>,
    met: usize,
}

/// A reference that is being followed.
#[derive(Clone, Copy)]
struct Followed<'s> {
    to: &'s str,
    /// Whether a part of the value was entered since.
    entered: bool,
    /// Whether one of several schemas for the same value was entered since.
    branched: bool,
}

impl<'s> Walk<'s> {
    fn value(&mut self, schema: &'s Json) -> Result<(), String> {
        let Json::Object(keys) = schema else { return Ok(()) };
        self.met += 1;
        if self.met > SCHEMAS {
            return Err(format!("with its references followed it has more than {SCHEMAS} schemas"));
        }
        let entered = |followed: &mut Followed<'_>| followed.entered = true;
        let branched = |followed: &mut Followed<'_>| followed.branched = true;
        for (key, below) in keys {
            match (key.as_str(), below) {
                ("$ref", Json::String(to)) => self.reference(to)?,
                ("$dynamicRef" | "$recursiveRef", _) => {
                    return Err(format!("`{key}` is not taken; write `$ref`"));
                }
                ("allOf" | "anyOf" | "oneOf", Json::Array(all)) => self.each(all, branched)?,
                ("not" | "if" | "then" | "else", one) => self.each([one], branched)?,
                ("dependentSchemas" | "dependencies", Json::Object(all)) => {
                    self.each(all.values(), branched)?
                }
                ("properties" | "patternProperties", Json::Object(all)) => {
                    self.each(all.values(), entered)?
                }
                ("prefixItems" | "items", Json::Array(all)) => self.each(all, entered)?,
                (
                    "items"
                    | "additionalItems"
                    | "unevaluatedItems"
                    | "contains"
                    | "additionalProperties"
                    | "unevaluatedProperties"
                    | "propertyNames",
                    one,
                ) => self.each([one], entered)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Schemas that are reached in one way.
    fn each(
        &mut self,
        schemas: impl IntoIterator<Item = &'s Json>,
        mark: impl Fn(&mut Followed<'s>),
    ) -> Result<(), String> {
        let before = self.open.clone();
        self.open.iter_mut().for_each(mark);
        for schema in schemas {
            self.value(schema)?;
        }
        self.open = before;
        Ok(())
    }

    fn reference(&mut self, to: &'s str) -> Result<(), String> {
        match self.open.iter().find(|followed| followed.to == to) {
            None => {}
            Some(Followed { entered: false, .. }) => {
                return Err(format!("`{to}` refers to itself without end"));
            }
            // each level of the value would be looked at more often than the one above
            Some(Followed { branched: true, .. }) => {
                let within = "`allOf`, `anyOf`, `oneOf`, `not` or `if`";
                return Err(format!("`{to}` refers to itself from within {within}"));
            }
            Some(_) => return Ok(()),
        }
        let Some(target) = to.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer)) else {
            return Err(format!("`$ref: {to}` names no place in the schema, such as #/$defs/NAME"));
        };
        self.open.push(Followed { to, entered: false, branched: false });
        let looked = self.value(target);
        self.open.pop();
        looked
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_is_short_and_flat() {
        for good in ["$.items[0].name", "$['a', 'b'][?@.x > 1].y", "$..name", "$[?count(@.a[*]) > 2]"] {
            assert!(json_path(good).is_ok(), "{good}");
        }
        let nested = |levels: usize| format!("${}.a{}", "[?@".repeat(levels), "]".repeat(levels));
        assert!(json_path(&nested(3)).is_ok());
        for bad in
            [nested(4), nested(20), nested(3000), "(".repeat(900), "[".repeat(100_000), "$..a..b".to_owned()]
        {
            assert!(json_path(&bad).is_err(), "{} bytes", bad.len());
        }
    }

    #[test]
    fn a_schema_ends_and_stays_small() {
        let list = json!({"$ref": "#/$defs/l", "$defs": {"l": {"items": {"$ref": "#/$defs/l"}}}});
        assert_eq!(schema(&list), Ok(()));
        let beside = json!({"allOf": [{"type": "object"}, {"properties": {"l": list["$defs"]["l"]}}],
            "$defs": list["$defs"]});
        assert_eq!(schema(&beside), Ok(()));
        let tree = json!({"properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}}});
        assert_eq!(schema(&tree), Ok(()));
        let doubled: serde_json::Map<String, Json> = (0..40)
            .map(|n| {
                let next = json!({"$ref": format!("#/$defs/d{}", n + 1)});
                (format!("d{n}"), json!({"allOf": [next, next]}))
            })
            .chain([("d40".to_owned(), json!({}))])
            .collect();
        for bad in [
            json!({"$ref": "#"}),
            json!({"not": {"$ref": "#"}}),
            json!({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}),
            json!({"$ref": "#/$defs/d0", "$defs": doubled}),
            json!({"allOf": [{"properties": {"c": {"$ref": "#"}}}, {"properties": {"c": {"$ref": "#"}}}]}),
            json!({"$ref": "#/nowhere"}),
            json!({"$dynamicRef": "#a"}),
        ] {
            assert!(schema(&bad).is_err(), "{bad}");
        }
    }
}
