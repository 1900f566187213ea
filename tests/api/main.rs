//! REST over HTTP against the real router, with a worker in the process and real runs.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it could not do by failing")]

mod desk;
mod entries;
mod entry;
mod openapi;
mod packages;
mod path;
mod refusals;
#[path = "../support/mod.rs"]
mod support;

use reqwest::Method;
use serde_json::Value;
use support::arena::submissions;
use support::{Answer, Browser};

/// An error in the one form that all have: problem+json with a title, a reason and a mend in words.
#[track_caller]
fn problem(answer: &Answer, status: u16, code: &str) -> Value {
    assert_eq!(answer.status.as_u16(), status, "{answer:#?}");
    assert_eq!(answer.header("content-type"), "application/problem+json", "{answer:#?}");
    let document = answer.json();
    assert_eq!(document["code"], code, "{document:#}");
    assert_eq!(document["status"], status);
    assert_eq!(document["type"], format!("urn:shuyu:problem:{code}"));
    for key in ["title", "detail", "mend"] {
        let text = document[key].as_str().unwrap();
        assert!(!text.is_empty() && !text.starts_with("error-"), "{key} is {text:?}");
    }
    for fault in document["errors"].as_array().into_iter().flatten() {
        assert!(!fault["text"].as_str().unwrap().starts_with("fault-"), "{fault:#}");
    }
    document
}

async fn submit(program: &Browser, file: Vec<u8>, fields: &[(&str, &str)]) -> Answer {
    program.upload(&submissions(), ("predictions.csv", file), fields).await
}

async fn bare(program: &Browser, method: Method, path: &str) -> Answer {
    program.send(method, path, &[], |request| request).await
}
