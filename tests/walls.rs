//! The walls of the house, checked in the source tree: which room may use what. Each rule is also
//! shown a text that breaks it, so that it cannot pass by seeing nothing.

#![expect(clippy::expect_used, reason = "a test's own functions fail by panicking too")]

use std::fs;
use std::path::{Path, PathBuf};

/// A source file: its path below `src/`, and its code without comments and without unit tests.
struct Source {
    path: String,
    code: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    let read = |file: &PathBuf| Source {
        path: file.strip_prefix(&root).expect("below src").to_str().expect("UTF-8").to_owned(),
        code: code(&fs::read_to_string(file).expect("readable")),
    };
    files.iter().map(read).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of sources").flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let bare = text.lines().map(|line| match line.find("//") {
        // Not the slashes of an address in a string.
        Some(at) if !line[..at].ends_with(':') => &line[..at],
        _ => line,
    });
    bare.collect::<Vec<_>>().join("\n")
}

/// Where `word` stands as a word of its own, as line numbers.
fn lines_with(code: &str, word: &str) -> Vec<usize> {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    let stands = |line: &str| {
        line.match_indices(word)
            .any(|(at, _)| !line[..at].ends_with(part) && !line[at + word.len()..].starts_with(part))
    };
    code.lines().enumerate().filter(|(_, line)| stands(line)).map(|(number, _)| number + 1).collect()
}

/// Every place where one of `words` stands in a file that `allowed` does not name.
fn breaches(sources: &[Source], words: &[&str], allowed: impl Fn(&str) -> bool) -> Vec<String> {
    let outside = sources.iter().filter(|source| !allowed(&source.path));
    outside
        .flat_map(|source| {
            words.iter().flat_map(move |word| {
                lines_with(&source.code, word)
                    .into_iter()
                    .map(move |line| format!("src/{}:{line}: {word}", source.path))
            })
        })
        .collect()
}

fn sample(path: &str, text: &str) -> Vec<Source> {
    vec![Source { path: path.to_owned(), code: code(text) }]
}

fn none(breaches: Vec<String>, rule: &str) {
    assert!(breaches.is_empty(), "{rule}:\n{}", breaches.join("\n"));
}

#[test]
fn only_the_sandbox_talks_to_docker() {
    let breaches = |sources: &[Source]| breaches(sources, &["bollard"], |path| path.starts_with("sandbox/"));
    assert_eq!(
        breaches(&sample("web/mod.rs", "//! bollard\nuse bollard::Docker;")),
        ["src/web/mod.rs:2: bollard"]
    );
    none(breaches(&sources()), "bollard is imported in sandbox/ alone");
}

#[test]
fn only_the_web_knows_axum() {
    let allowed = |path: &str| path.starts_with("web/") || path.starts_with("cli/serve");
    let breaches = |sources: &[Source]| breaches(sources, &["axum", "axum_extra", "tower_http"], allowed);
    assert_eq!(breaches(&sample("people/mod.rs", "use axum::Router;")).len(), 1);
    assert!(breaches(&sample("cli/serve.rs", "use axum::Router;")).is_empty());
    none(breaches(&sources()), "axum is imported in web/ and cli/serve alone");
}

#[test]
fn sql_stands_in_db_files_and_the_store() {
    let words = [
        "sqlx::query",
        "sqlx::query_as",
        "sqlx::query_scalar",
        "AssertSqlSafe",
        "QueryBuilder",
        "SELECT",
        "INSERT INTO",
        "DELETE FROM",
        "CREATE TABLE",
        "ON CONFLICT",
    ];
    let allowed = |path: &str| path.starts_with("store/") || path.ends_with("/db.rs");
    let breaches = |sources: &[Source]| breaches(sources, &words, allowed);
    assert_eq!(breaches(&sample("people/mod.rs", "let sql = \"SELECT 1\";")).len(), 1);
    assert!(breaches(&sample("people/db.rs", "let sql = \"SELECT 1\";")).is_empty());
    none(breaches(&sources()), "SQL text stands in */db.rs and store/ alone");
}

#[test]
fn time_and_randomness_come_in_through_the_clock() {
    let words = [
        "SystemTime::now",
        "Timestamp::now",
        "Zoned::now",
        "Utc::now",
        "now_v7",
        "new_v4",
        "getrandom::fill",
        "OsRng",
        "thread_rng",
    ];
    let breaches = |sources: &[Source]| breaches(sources, &words, |path| path == "clock.rs");
    assert_eq!(breaches(&sample("web/mod.rs", "let t = jiff::Timestamp::now();")).len(), 1);
    none(breaches(&sources()), "time and randomness come from clock.rs");
}

/// What the type `name` derives or implements that `forbidden` lists, wherever that stands.
fn traits_of(sources: &[Source], name: &str, forbidden: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources {
        let mut derived: Vec<&str> = Vec::new();
        for line in source.code.lines().map(str::trim) {
            if line.starts_with("#[") {
                derived.push(line);
            } else if declares(line, name) {
                let attributes = derived.concat();
                found.extend(
                    forbidden
                        .iter()
                        .filter(|word| !lines_with(&attributes, word).is_empty())
                        .map(|word| format!("src/{}: {name} derives {word}", source.path)),
                );
            } else if let (true, Some((head, target))) = (line.starts_with("impl"), line.split_once(" for "))
                && !lines_with(target.split('{').next().unwrap_or_default(), name).is_empty()
            {
                found.extend(
                    forbidden
                        .iter()
                        .filter(|word| !lines_with(head, word).is_empty())
                        .map(|word| format!("src/{}: {name} implements {word}", source.path)),
                );
            }
            if !line.starts_with("#[") && !line.is_empty() {
                derived.clear();
            }
        }
    }
    found
}

fn declares(line: &str, name: &str) -> bool {
    line.split_once("struct ").is_some_and(|(before, after)| {
        (before.is_empty() || before.starts_with("pub"))
            && after.strip_prefix(name).is_some_and(|rest| rest.starts_with(['<', '(', ' ', '{']))
    })
}

/// `Hidden` shows itself to nobody; `Cleared` may be shown, but never made from outside.
const PROOFS: [(&str, &[&str]); 2] = [
    ("Hidden", &["Debug", "Display", "Serialize", "Deserialize", "Deref", "AsRef", "FromRow", "ToSchema"]),
    ("Cleared", &["Deserialize", "FromRow", "From", "Default"]),
];

#[test]
fn what_is_hidden_stays_hidden() {
    let bad = "#[derive(Clone, Debug)]\npub struct Hidden<T>(T);\nimpl<T> Serialize for Hidden<T> {}";
    assert_eq!(
        traits_of(&sample("airlock/hidden.rs", bad), "Hidden", PROOFS[0].1),
        ["src/airlock/hidden.rs: Hidden derives Debug", "src/airlock/hidden.rs: Hidden implements Serialize"]
    );
    let sources = sources();
    for (name, forbidden) in PROOFS {
        none(traits_of(&sources, name, forbidden), "the airlock's proof types");
    }
    // As soon as the airlock is built, both types must be there to be looked at.
    if sources.iter().filter(|source| source.path.starts_with("airlock/")).count() > 1 {
        for (name, _) in PROOFS {
            let homes: Vec<&str> = sources
                .iter()
                .filter(|source| source.code.lines().any(|line| declares(line.trim(), name)))
                .map(|source| source.path.as_str())
                .collect();
            assert!(homes.len() == 1 && homes[0].starts_with("airlock/"), "{name} is declared in {homes:?}");
        }
    }
}

/// Literals of a proof type: `Name {` or `Name(` in an expression.
fn built(source: &Source, name: &str) -> Vec<String> {
    let literal = |line: &str| {
        line.match_indices(name).any(|(at, _)| {
            let before = line[..at].trim_end();
            let after = line[at + name.len()..].trim_start();
            let word = line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '<');
            // A variant of that name (`Visibility::Hidden {`) is no proof.
            let variant =
                before.ends_with("::") && !before.ends_with("airlock::") && !before.ends_with("catalog::");
            let declared = ["struct", "for", "enum", "trait"].iter().any(|keyword| before.ends_with(keyword));
            !word && !variant && !declared && after.starts_with(['(', '{'])
        })
    };
    let lines = source.code.lines().enumerate();
    lines
        .filter(|(_, line)| literal(line))
        .map(|(n, line)| format!("src/{}:{}: {line}", source.path, n + 1))
        .collect()
}

#[test]
fn proofs_are_built_in_their_own_rooms() {
    assert_eq!(built(&sample("web/mod.rs", "let x = Cleared { value };")[0], "Cleared").len(), 1);
    assert!(built(&sample("web/mod.rs", "fn f(x: Cleared<f64, Public>) {}")[0], "Cleared").is_empty());
    for (name, room) in [("Cleared", "airlock/"), ("Hidden", "airlock/"), ("Authorised", "catalog/")] {
        let outside = sources().into_iter().filter(|source| !source.path.starts_with(room));
        none(
            outside.flat_map(|source| built(&source, name)).collect(),
            &format!("{name} is built in {room} alone"),
        );
    }
}
