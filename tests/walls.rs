//! The walls of the house, checked in the source tree: which room may use what, and that every code has
//! its words. Each rule is also shown a text that breaks it, so that it cannot pass by seeing nothing.

#![expect(clippy::expect_used, reason = "a test's own functions fail by panicking too")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use shuyu::web::lang::Lang;
use shuyu::web::words::Words;

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

/// What each call of `call` is given at `position`, as written. Arguments before it hold no commas.
fn given<'c>(code: &'c str, call: &'c str, position: usize) -> impl Iterator<Item = &'c str> {
    code.split(call).skip(1).filter_map(move |inside| inside.split(',').nth(position)).map(str::trim)
}

fn literal(written: &str) -> Option<&str> {
    written.strip_prefix('"')?.strip_suffix('"')
}

/// A name of parts with hyphens, as codes have it.
fn is_hyphenated(text: &str) -> bool {
    let part =
        |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    text.contains('-') && text.starts_with(|c: char| c.is_ascii_lowercase()) && text.split('-').all(part)
}

/// The codes that the reader of bundles gives its findings, those of zips among them, and the calls
/// that hide theirs.
fn finding_codes(sources: &[Source]) -> (BTreeSet<String>, Vec<String>) {
    let (mut codes, mut hidden) = (BTreeSet::new(), Vec::new());
    let bundle = |path: &str| path.starts_with("contest/bundle/") && !path.contains("/tests");
    let reader = |s: &&Source| bundle(&s.path) || s.path.starts_with("probing/read/");
    for Source { path, code } in sources.iter().filter(reader) {
        // A table may hold the code before the call does.
        if bundle(path) {
            codes.extend(code.split('"').filter(|text| is_hyphenated(text)).map(str::to_owned));
        }
        for (call, position) in [(".error(", 0), (".warn(", 0), (".record(", 1)] {
            for written in given(code, call, position) {
                match literal(written) {
                    Some(code) => {
                        codes.insert(code.to_owned());
                    }
                    None if matches!(written, "code" | "error.code()") => {}
                    None => hidden.push(format!("src/{path}: {call}{written}")),
                }
            }
        }
    }
    let zip = sources.iter().filter(|source| source.path == "submission/unpack.rs");
    let literals = zip.flat_map(|source| source.code.split('"')).filter(|text| is_hyphenated(text));
    codes.extend(literals.filter(|text| text.starts_with("zip-")).map(str::to_owned));
    (codes, hidden)
}

/// The codes of the reasons that submissions end with, and the calls that hide theirs. What is wrong
/// with a zip falls under `zip`.
fn reason_codes(sources: &[Source]) -> (BTreeSet<String>, Vec<String>) {
    let (mut codes, mut hidden) = (BTreeSet::new(), Vec::new());
    let room = |s: &&Source| s.path.starts_with("submission/") && !s.path.contains("/tests");
    for Source { path, code } in sources.iter().filter(room) {
        let made = ["Reason::new(", "Reason::faulty("];
        for written in made.iter().flat_map(|made| given(code, made, 0)) {
            let constant = format!("const {written}: &str = ");
            let named = || literal(code.split_once(&constant)?.1.split(';').next()?);
            match literal(written).or_else(named) {
                Some(code) => {
                    codes.insert(code.to_owned());
                }
                None if written == "error.code()" => {}
                None => hidden.push(format!("src/{path}: Reason::new({written}")),
            }
        }
        // an upload's own faults; a zip's fall under one word
        let named = named_codes(code).filter(|name| !name.starts_with("zip-"));
        codes.extend(named.map(str::to_owned));
        for set in [" code: \"", ".code = \""] {
            let after = code.split(set).skip(1);
            codes.extend(after.filter_map(|text| text.split('"').next()).map(str::to_owned));
        }
    }
    (codes, hidden)
}

/// The codes of errors: every name in the functions `code` of web/.
fn error_codes(sources: &[Source]) -> BTreeSet<String> {
    let web = sources.iter().filter(|source| source.path.starts_with("web/"));
    web.flat_map(|source| named_codes(&source.code)).map(str::to_owned).collect()
}

/// Every name in the functions `code` of a source.
fn named_codes(code: &str) -> impl Iterator<Item = &str> {
    let bodies = code.split("fn code(&self) -> &'static str {").skip(1);
    let names = bodies.filter_map(|after| after.split("\n    }\n").next());
    names.flat_map(|body| body.split('"').skip(1).step_by(2))
}

/// The keys that begin with `prefix` in the Chinese texts, without it.
fn keys(prefix: &str) -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("locales/zh-CN");
    let files = fs::read_dir(folder).expect("a folder of texts").flatten();
    let texts: Vec<String> = files.map(|file| fs::read_to_string(file.path()).expect("readable")).collect();
    let lines = texts.iter().flat_map(|text| text.lines());
    let key = |line: &str| Some(line.strip_prefix(prefix)?.split_once(" =")?.0.to_owned());
    lines.filter_map(key).collect()
}

/// The attributes that a code's text lacks in one of the languages, the text itself being "".
fn unsaid(prefix: &str, codes: &BTreeSet<String>, attributes: &[&str]) -> Vec<String> {
    let words = Words::load().expect("texts");
    let wanted = codes.iter().flat_map(|code| attributes.iter().map(move |a| format!("{prefix}{code}{a}")));
    let missing = |key: &String| Lang::ALL.iter().any(|lang| !words.has(*lang, key));
    wanted.filter(missing).collect()
}

#[test]
fn every_finding_has_words() {
    let call = "self.findings.error(\n    &name(),\n    at)";
    let (codes, hidden) = finding_codes(&sample("contest/bundle/lint.rs", call));
    assert!(codes.is_empty() && hidden == ["src/contest/bundle/lint.rs: .error(&name()"]);
    let call = "findings.record(Severity::Note, \"plain\", at); (\"in-a-table\", at)";
    let (codes, _) = finding_codes(&sample("contest/bundle/lint.rs", call));
    assert_eq!(Vec::from_iter(&codes), ["in-a-table", "plain"]);
    assert_eq!(unsaid("finding-", &codes, &[""]), ["finding-in-a-table", "finding-plain"]);

    let (codes, hidden) = finding_codes(&sources());
    none(hidden, "the code of a finding is written out");
    assert!(codes.len() >= 90, "{codes:?}");
    none(unsaid("finding-", &codes, &["", ".mend"]), "a finding has words in both languages");
    assert_eq!(keys("finding-"), codes, "no words are left of a finding that is gone");
}

#[test]
fn every_reason_has_words() {
    let call = "const GONE: &str = \"gone\";\nReason::new(GONE, text); Reason::new(word, text)";
    let (codes, hidden) = reason_codes(&sample("submission/run/mod.rs", call));
    assert_eq!(Vec::from_iter(&codes), ["gone"]);
    assert_eq!(hidden, ["src/submission/run/mod.rs: Reason::new(word"]);

    let (mut codes, hidden) = reason_codes(&sources());
    none(hidden, "the code of a reason is written out");
    assert!(codes.len() >= 25, "{codes:?}");
    codes.extend(["zip", "other"].map(str::to_owned));
    none(unsaid("reason-", &codes, &["", ".mend"]), "a reason has words in both languages");
    let keys: BTreeSet<String> = keys("reason-").into_iter().filter(|key| key != "detail").collect();
    assert_eq!(keys, codes, "no words are left of a reason that is gone");
}

#[test]
fn every_error_has_words() {
    let function = "fn code(&self) -> &'static str {\n        \"busy\"\n    }\n\"x\"";
    assert_eq!(Vec::from_iter(error_codes(&sample("web/x.rs", function))), ["busy"]);
    let codes = error_codes(&sources());
    assert!(codes.len() >= 40, "{codes:?}");
    none(unsaid("error-", &codes, &["", ".why", ".mend"]), "an error has words in both languages");
}
