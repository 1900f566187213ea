//! What changed between two definitions, for importing a bundle again.

use serde::Serialize;
use serde_json::Value;

use crate::contest::definition::Definition;

/// One value that differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// Where, such as `phases[1].end`; columns and tasks are named by key and index:
    /// `leaderboard.columns[rmse].precision`, `tasks[0].name`.
    pub path: String,
    /// The value before; absent when it is new.
    pub old: Option<Value>,
    /// The value now; absent when it was removed.
    pub new: Option<Value>,
}

/// Lists every value that differs, in the order of the definition. Equal definitions give nothing.
pub fn diff(old: &Definition, new: &Definition) -> Vec<Change> {
    let json = |definition: &Definition| serde_json::to_value(definition).unwrap_or(Value::Null);
    let mut changes = Vec::new();
    compare("", Some(&json(old)), Some(&json(new)), &mut changes);
    changes
}

fn compare(path: &str, old: Option<&Value>, new: Option<&Value>, changes: &mut Vec<Change>) {
    let (old, new) = (old.filter(|value| !value.is_null()), new.filter(|value| !value.is_null()));
    match (old, new) {
        (old, new) if old == new => {}
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let added = new.keys().filter(|key| !old.contains_key(*key));
            for key in old.keys().chain(added) {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                compare(&path, old.get(key), new.get(key), changes);
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) => compare_lists(path, old, new, changes),
        (old, new) => {
            changes.push(Change { path: path.to_owned(), old: old.cloned(), new: new.cloned() });
        }
    }
}

/// Items that name themselves are compared by name, the others by position.
fn compare_lists(path: &str, old: &[Value], new: &[Value], changes: &mut Vec<Change>) {
    let named = |items: &[Value]| {
        let names: Option<Vec<String>> = items.iter().map(name_of).collect();
        names.filter(|names| (1..names.len()).all(|at| !names[..at].contains(&names[at])))
    };
    let (Some(before), Some(after)) = (named(old), named(new)) else {
        if old.iter().chain(new).all(|item| !item.is_object()) {
            let list = |items: &[Value]| Some(Value::Array(items.to_vec()));
            changes.push(Change { path: path.to_owned(), old: list(old), new: list(new) });
            return;
        }
        for at in 0..old.len().max(new.len()) {
            compare(&format!("{path}[{at}]"), old.get(at), new.get(at), changes);
        }
        return;
    };
    let added = after.iter().filter(|name| !before.contains(name));
    for name in before.iter().chain(added) {
        let of = |names: &[String]| names.iter().position(|known| known == name);
        let old = of(&before).and_then(|at| old.get(at));
        let new = of(&after).and_then(|at| new.get(at));
        compare(&format!("{path}[{name}]"), old, new, changes);
    }
    let kept_before: Vec<&String> = before.iter().filter(|name| after.contains(name)).collect();
    let kept_after: Vec<&String> = after.iter().filter(|name| before.contains(name)).collect();
    if kept_before != kept_after {
        let order = |names: Vec<String>| Some(Value::from(names));
        changes.push(Change { path: format!("{path} (order)"), old: order(before), new: order(after) });
    }
}

/// The name of an item: its `key`, else its `index`, else its `file`, else its `slug`.
fn name_of(item: &Value) -> Option<String> {
    let name = ["key", "index", "file", "slug"].iter().find_map(|key| item.get(key))?;
    Some(name.as_str().map_or_else(|| name.to_string(), str::to_owned))
}
