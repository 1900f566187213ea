//! The fact sheet: what an organizer asks beside the file.

use std::collections::BTreeMap;

use super::accept::AcceptError;
use crate::contest::definition::{FactKind, FactQuestion};

/// Makes sure that a question is answered as asked.
pub(super) fn check(
    question: &FactQuestion,
    facts: &BTreeMap<String, serde_json::Value>,
) -> Result<(), AcceptError> {
    let wrong = |problem: &str| AcceptError::Facts {
        key: question.key.clone(),
        title: question.title.clone(),
        problem: problem.to_owned(),
    };
    let answer = facts.get(&question.key);
    let given = answer.is_some_and(|a| !a.is_null() && a.as_str() != Some(""));
    if !given {
        return if question.is_required { Err(wrong("has to be answered")) } else { Ok(()) };
    }
    let text = answer.and_then(|a| a.as_str());
    match question.kind {
        FactKind::Checkbox if !answer.is_some_and(serde_json::Value::is_boolean) => {
            Err(wrong("takes true or false"))
        }
        FactKind::Text if text.is_none_or(|t| t.chars().count() > 1000) => {
            Err(wrong("takes a text of at most 1000 characters"))
        }
        FactKind::Select if !text.is_some_and(|t| question.selection.iter().any(|s| s == t)) => {
            Err(wrong(&format!("takes one of: {}", question.selection.join(", "))))
        }
        _ => Ok(()),
    }
}
