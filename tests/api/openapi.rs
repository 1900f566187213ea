//! The description of the API: OpenAPI 3.1, complete, and true.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::Value;

use super::support::arena::{Arena, BundleFiles, SLUG};

const METHODS: [&str; 5] = ["get", "put", "post", "delete", "patch"];

/// Every `$ref` of a document.
fn references<'a>(value: &'a Value, into: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(map) => {
            into.extend(map.get("$ref").and_then(Value::as_str));
            map.values().for_each(|value| references(value, into));
        }
        Value::Array(list) => list.iter().for_each(|value| references(value, into)),
        _ => {}
    }
}

#[tokio::test]
async fn the_description_is_whole_and_every_operation_is_served() {
    let arena = Arena::waiting(&BundleFiles::new(), |_| {}).await;
    let visitor = arena.app.visitor();
    let description = visitor.get("/api/openapi.json").await.ok().json();
    assert_eq!(description["openapi"], "3.1.0");
    let mut found = BTreeSet::new();
    references(&description, &mut found);
    assert!(found.len() > 20);
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(description.pointer(pointer).is_some(), "{reference} leads nowhere");
    }

    let mut names = BTreeSet::new();
    let mut list = String::new();
    for (path, item) in description["paths"].as_object().unwrap() {
        for method in METHODS {
            let Some(operation) = item.get(method) else { continue };
            let name = operation["operationId"].as_str().unwrap();
            assert!(names.insert(name.to_owned()), "{name} stands twice");
            assert!(!operation["summary"].as_str().unwrap_or_default().is_empty(), "{name} has no summary");
            let problem = &operation["responses"]["default"]["content"]["application/problem+json"];
            assert_eq!(problem["schema"]["$ref"], "#/components/schemas/ProblemDocument", "{name}");
            let wanted: BTreeSet<&str> =
                path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
            let declared: BTreeSet<&str> = operation["parameters"]
                .as_array()
                .into_iter()
                .flatten()
                .filter(|parameter| parameter["in"] == "path")
                .map(|parameter| parameter["name"].as_str().unwrap())
                .collect();
            assert_eq!(wanted, declared, "{name}: its path and its parameters");

            let address = path
                .replace("{slug}", SLUG)
                .replace("{index}", "0")
                .replace("{number}", "1")
                .replace("{panel}", "01976c6e-0c1f-7d2a-9a52-7c44ad3f0b11")
                .replace("{path}", "kit")
                .replace("{id}", "01976c6e-0c1f-7d2a-9a52-7c44ad3f0b11")
                .replace("{user}", "01976c6e-0c1f-7d2a-9a52-7c44ad3f0b11");
            if address.ends_with("/events") && operation["security"][0] == serde_json::json!({}) {
                list.push_str(&format!("{method:6} {path}: a stream for anybody\n"));
                continue;
            }
            let method_name = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let answer = visitor.send(method_name, &address, &[], |request| request).await;
            assert!(![404, 405].contains(&answer.status.as_u16()), "{method} {path}: {answer:#?}");
            let secured = operation["security"].as_array().is_some_and(|all| all.len() == 1);
            assert_eq!(answer.status == 401, secured, "{method} {path}: {}", answer.status);
            list.push_str(&format!("{method:6} {path}: {} for a visitor\n", answer.status.as_u16()));
        }
    }
    insta::assert_snapshot!(list);
}
