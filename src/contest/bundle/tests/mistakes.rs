use super::fixture::{Fixture, YAML, zip_of};

/// The report after one edit of the declaration.
fn after(old: &str, new: &str) -> String {
    let fixture = Fixture::new();
    fixture.edit(old, new);
    fixture.report()
}

#[test]
fn broken_yaml_is_shown_with_its_line() {
    insta::assert_snapshot!(after("    key: main", "   key: main"));
    insta::assert_snapshot!(after("title: Iris", "title: Iris: a flower"));
    insta::assert_snapshot!(after("title: Iris", "title: [Iris\n\u{1b}[31m"));
}

#[test]
fn text_that_is_no_declaration_is_refused() {
    let fixture = Fixture::new();
    let reports = [
        &b""[..],
        b"- a list",
        b"just text",
        b"\xff\xfe",
        b"version: 2\n\xb2\xe2",
        b"\xef\xbb\xbfversion: 3",
    ]
    .map(|bytes| fixture.put("competition.yaml", bytes).report());
    insta::assert_snapshot!(reports.join("\n"));
}

#[test]
fn other_versions_are_refused() {
    let reports =
        ["", "version: 1\n", "version: 1.5\n", "version: '1.5'\n", "version: 3\n", "version: [2]\n"]
            .map(|line| after("version: 2\n", line));
    insta::assert_snapshot!(reports.join("\n"));
}

#[test]
fn yaml_bombs_are_bounded() {
    let mut aliases = "a: &a [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (name, of) in ["b", "c", "d", "e", "f", "g", "h"].iter().zip(["a", "b", "c", "d", "e", "f", "g"]) {
        let list = vec![format!("*{of}"); 9].join(", ");
        aliases.push_str(&format!("{name}: &{name} [{list}]\n"));
    }
    let deep = format!("a: {}{}", "[".repeat(5000), "]".repeat(5000));
    let many = format!("a: [{}]", "1,".repeat(200_000));
    let number = format!("a: {}", "9".repeat(100_000));
    let long = format!("a: {}", "x".repeat(2 << 20));
    for (bomb, code) in [
        (aliases, "yaml-broken"),
        (deep, "yaml-broken"),
        (many, "yaml-broken"),
        (number, "version-1"),
        (long, "yaml-too-large"),
    ] {
        let fixture = Fixture::new();
        let (_, report) = fixture.put("competition.yaml", &bomb).read();
        assert_eq!(report.findings[0].code, code, "{report}");
        assert!(report.to_string().len() < 4000, "{report}");
    }
}

#[test]
fn a_missing_competition_yaml_is_looked_for_nearby() {
    let fixture = Fixture::new();
    let at = |name: &str| fixture.dir.path().join(name);
    std::fs::rename(at("competition.yaml"), at("Competition.yaml")).unwrap();
    let other_case = fixture.report();
    std::fs::rename(at("Competition.yaml"), at("competition.yml")).unwrap();
    let other_ending = fixture.report();
    std::fs::remove_file(at("competition.yml")).unwrap();
    insta::assert_snapshot!([other_case, other_ending, fixture.report()].join("\n"));
}

#[test]
fn every_missing_key_is_found_at_once() {
    let fixture = Fixture::new();
    fixture.put("competition.yaml", "version: 2\n");
    let empty = fixture.report();
    fixture.put(
        "competition.yaml",
        "version: 2\ntitle: ' '\nimage: logo.png\nterms: pages/terms.md\npages: [{}]\ntasks: [{}]\n\
         solutions: [{}]\nphases: [{}]\nleaderboards: [{columns: [{}]}]\nshuyu: {datasets: [{}], tasks: {0: {}}}\n",
    );
    insta::assert_snapshot!([empty, fixture.report()].join("\n"));
}

#[test]
fn values_of_the_wrong_kind_are_found_at_once() {
    let fixture = Fixture::new();
    fixture.put(
        "competition.yaml",
        "version: 2\ntitle: [x]\nimage: {}\nterms: true\nregistration_auto_approve: perhaps\n\
         competition_type: course\npages: none\ntasks: 3\nphases: [1, {name: x, start: [1], end: soon, \
         tasks: [a], index: x, max_submissions: -1, max_submissions_per_day: 1e99}]\nleaderboards: [{title: {}, \
         key: k, submission_rule: Best, columns: [{title: t, key: a key far longer than thirty-six characters, \
         index: 0, sorting: up, precision: 99}]}]\nfact_sheet: {a: {type: radio}, b: {type: select}}\n\
         shuyu: {sandbox: {memory: lots, idle: often, cpus: 0}, airlock: {ladder: {step: -1}}, \
         finals: {choose: 0}, locale: {'中文': {}}}\n",
    );
    insta::assert_snapshot!(fixture.report());
}

#[test]
fn paths_cannot_leave_the_bundle() {
    let reports = [
        "../pages/terms.md",
        "/etc/passwd",
        "pages/../../x",
        "C:\\terms.md",
        "\"pages\\0\"",
        "https://example.org/terms.md",
        "./",
        "Pages/Terms.md",
        "pages",
        "b1b5ad3d-b5c2-4a3a-9d0c-4a6b6e3b2f11",
    ]
    .map(|path| after("pages/terms.md", path));
    insta::assert_snapshot!(reports.join("\n"));
}

#[test]
fn files_must_suit_their_use() {
    let fixture = Fixture::new();
    fixture
        .put("pages/terms.md", " \n")
        .put("pages/overview.md", b"\xb2\xe2")
        .put("logo.xyz", "x")
        .put("data.csv", "x")
        .put("broken.zip", "PK no")
        .put("evil.zip", zip_of(&[("../x", "y")]))
        .edit("logo.png", "logo.xyz")
        .edit("data/dev\n", "data.csv\n")
        .edit("ref/dev", "broken.zip")
        .edit("ref/final", "evil.zip");
    insta::assert_snapshot!(fixture.report());
}

#[test]
fn references_to_other_servers_are_refused() {
    let fixture = Fixture::new();
    fixture
        .edit(
            "    name: Development\n    description",
            "    key: b1b5ad3d-b5c2-4a3a-9d0c-4a6b6e3b2f11\n    description",
        )
        .edit("path: solution", "key: b1b5ad3d-b5c2-4a3a-9d0c-4a6b6e3b2f11");
    insta::assert_snapshot!(fixture.report());
}

#[test]
fn phases_must_follow_each_other() {
    let overlap = after("start: 2026-07-01", "start: 2026-06-30");
    let touching = after("start: 2026-07-01", "start: 2026-06-30 23:59:59");
    let open = after("    end: \"2026-06-30 23:59:59\"\n", "");
    let backwards = after("2026-06-30 23:59:59", "2025-06-30");
    let empty = after("2026-06-30 23:59:59", "1-1-2026");
    let dates = Fixture::new();
    dates
        .edit("1-1-2026", "2026-02-30")
        .edit("\"2026-06-30 23:59:59\"", "30-6-2026")
        .edit("2026-07-01", "2026-07-01T00:00:00+08:00");
    let unknown = after("    tasks: [1]\n", "    tasks: [1, 2, 1]\n");
    let without = after("    tasks: [1]\n", "    tasks: []\n");
    insta::assert_snapshot!(
        [overlap, touching, open, backwards, empty, dates.report(), unknown, without].join("\n")
    );
}

#[test]
fn indexes_and_keys_are_unique() {
    let fixture = Fixture::new();
    fixture
        .edit("  - index: 1\n    name: Final\n    input", "  - index: 0\n    name: Final\n    input")
        .edit("key: seconds, index: 1", "key: score, index: 0")
        .edit(
            "path: solution\n    tasks: [0, 1]",
            "path: solution\n    tasks: [0, 5]\n  - {index: 0, path: solution, tasks: [0]}",
        );
    insta::assert_snapshot!(fixture.report());
}

#[test]
fn computed_columns_cannot_go_in_circles() {
    let own = after("computation_indexes: [0, 1]", "computation_indexes: [0, 2]");
    let fixture = Fixture::new();
    fixture.edit(
        "key: seconds, index: 1, sorting: asc",
        "key: seconds, index: 1, sorting: asc, computation: sum, computation_indexes: [2]",
    );
    let circle = fixture.report();
    let unknown = after("computation_indexes: [0, 1]", "computation_indexes: [0, 9]");
    let unnamed = after(", computation_indexes: [0, 1]", "");
    let useless = after("computation: avg, ", "");
    let primary = after("key: main", "key: main\n    primary_index: 7");
    insta::assert_snapshot!([own, circle, unknown, unnamed, useless, primary].join("\n"));
    let chain = Fixture::new();
    chain.edit("    columns:\n", "    columns:\n      - {title: T, key: t, index: 3, sorting: asc, computation: max, computation_indexes: [2, 0]}\n");
    assert!(!chain.read().1.has_errors(), "computed columns may be made of computed columns");
}

#[test]
fn programs_need_a_command() {
    let none = Fixture::new();
    std::fs::remove_file(none.dir.path().join("scoring/metadata.yaml")).unwrap();
    let silent = Fixture::new();
    silent.put("scoring/metadata.yaml", "description: scores\n");
    let broken = Fixture::new();
    broken.put("scoring/metadata.yaml", "command: python3 score.py\ndescription: scores (metric: rmse)\n");
    let open = Fixture::new();
    open.put("ingestion/metadata", "command: python3 'run.py\n");
    let deep = Fixture::new();
    deep.put("scoring.zip", zip_of(&[("scoring/metadata", "command: x")]))
        .edit("scoring_program: scoring\n", "scoring_program: scoring.zip\n");
    let fine = Fixture::new();
    fine.put("scoring.zip", zip_of(&[("metadata", "command: x")]))
        .edit("scoring_program: scoring\n", "scoring_program: scoring.zip\n");
    assert!(!fine.read().1.has_errors());
    let missing = after("    scoring_program: scoring\n", "");
    insta::assert_snapshot!(
        [none.report(), silent.report(), broken.report(), open.report(), deep.report(), missing].join("\n")
    );
}

#[test]
fn answers_in_the_open_are_noticed_also_inside_zips() {
    let answers = "id,kind\n1,setosa\n2,virginica\n";
    let fixture = Fixture::new();
    fixture
        .put("kit.zip", zip_of(&[("deep/labels.txt", answers)]))
        .put("data/final/hint.csv", "id,kind\n3,setosa\n4,versicolor\n")
        .edit("starting_kit: kit", "starting_kit: kit.zip");
    insta::assert_snapshot!(fixture.report());
    let harmless = Fixture::new();
    harmless
        .put("ref/dev/README.md", "The same text in both places.")
        .put("data/dev/README.md", "The same text in both places.");
    assert_eq!(harmless.read().1.findings, []);
}

#[test]
fn hidden_input_is_held_to_it() {
    let given = after("input: hidden", "input: hidden}\n    0: {input: hidden");
    let available = after("version: 2", "version: 2\nmake_input_data_available: yes");
    let no_twin = after(", twin: {input: twin/input, reference: twin/reference}", "");
    insta::assert_snapshot!([given, available, no_twin].join("\n"));
}

#[test]
fn models_are_held_to_their_data_and_their_metric() {
    let task = |model: &str| {
        let metric = "{name: rmse, column: seconds, prediction: y, target: kind, id: id}";
        after("  tasks:\n    1:", &format!("  tasks:\n    0: {{metric: {metric}, model: {model}}}\n    1:"))
    };
    let reports = [
        task("{table: x.csv, features: [width]}"),
        task("{table: y.csv, features: [width, width2], opset: [3, 99], max_bytes: much}"),
        task("{table: x.csv, features: {X: [width, height]}, id: row, prediction: z}"),
        task("{features: []}"),
        after("{input: hidden,", "{model: {table: x.csv, features: [width]}, input: hidden,"),
    ];
    insta::assert_snapshot!(reports.join("\n---\n"));
}

#[test]
fn a_twin_must_not_be_the_hidden_data_itself() {
    let fixture = Fixture::new();
    fixture
        .edit("reference: twin/reference", "reference: ref/final")
        .edit("input: twin/input", "input: data/final");
    insta::assert_snapshot!(fixture.report());
    fixture.edit("input: hidden", "input: public");
    let codes: Vec<_> = fixture.read().1.findings.into_iter().map(|finding| finding.key).collect();
    assert_eq!(codes, ["shuyu.tasks.1.twin"], "public input may be shared, answers may not");
}

#[test]
fn tasks_with_the_same_answers_share_a_ledger() {
    let fixture = Fixture::new();
    fixture.edit("./ref/final", "ref/dev");
    insta::assert_snapshot!(fixture.report());
    fixture.edit("    1: {input", "    0: {hidden_set: kinds}\n    1: {hidden_set: kinds, input");
    assert_eq!(fixture.read().1.findings, []);
}

#[test]
fn directions_that_do_not_fit_the_name_are_questioned() {
    let columns = [
        ("accuracy", "asc"),
        ("RMSE (min)", "desc"),
        ("f1_macro", "desc"),
        ("val loss", "asc"),
        ("score", "asc"),
    ];
    let reports = columns.map(|(name, sorting)| {
        after(
            "{title: Score, key: score, index: 0, sorting: desc}",
            &format!("{{title: {name}, key: a, index: 0, sorting: {sorting}}}"),
        )
    });
    insta::assert_snapshot!(reports.join("\n"));
}

#[test]
fn metrics_must_fit_the_leaderboard() {
    let metric =
        |text: &str| after("shuyu:\n  tasks:\n", &format!("shuyu:\n  tasks:\n    0: {{metric: {text}}}\n"));
    let reports = [
        metric("{name: rmse, column: nowhere, prediction: y, target: y, id: id}"),
        metric("{name: rmse, column: both, prediction: y, target: y, id: id}"),
        metric(
            "[{name: rmse, column: score, prediction: y, target: y, id: id}, {name: mae, column: score, prediction: y, target: y, id: id}]",
        ),
        metric("{column: score}"),
        metric("[]"),
        metric("{name: rmsle2, column: score, prediction: y, target: y, id: id}"),
        metric("{name: f1, column: seconds, prediction: y, target: y, id: y, range: [1, 0], colour: red}"),
        metric("rmse"),
        after("shuyu:\n  tasks:\n", "shuyu:\n  tasks:\n    7: {}\n    1x: {}\n"),
    ];
    insta::assert_snapshot!(reports.join("\n"));
    let without = Fixture::new();
    without
        .edit("    reference_data: ref/dev\n    scoring_program: scoring\n", "")
        .edit("shuyu:\n  tasks:\n", "shuyu:\n  tasks:\n    0: {metric: {name: rmse, column: score, prediction: y, target: y, id: id}, ids: nowhere.csv}\n");
    insta::assert_snapshot!(without.report());
    insta::assert_snapshot!(after("input: hidden", "ids: kit, input: hidden"));
}

#[test]
fn html_pages_are_noted_once() {
    let fixture = Fixture::new();
    fixture.put("pages/a.html", "<p>a</p>").put("pages/b.HTM", "<p>b</p>");
    fixture.edit("pages/terms.md", "pages/a.html").edit("pages/overview.md", "pages/b.HTM");
    insta::assert_snapshot!(fixture.report());
    assert_eq!(YAML.matches("pages/terms.md").count(), 1);
}

#[test]
fn entries_that_cannot_be_are_refused_with_their_line() {
    let tasks = "  tasks:\n    1: {input: hidden";
    let with = |entries: &str| after(tasks, &format!("  entries:{entries}\n{tasks}"));
    let reports = [
        with(" {opens: 2026-06-01, closes: 2026-05-01, required: [summary, film], picture: 3}"),
        with(" {required: [pictures], pictures: 0, picture_size: 1GiB}"),
        with("\n    pictures: 400\n    total_size: 5MiB\n    closes: someday"),
        with(" {opens: 2027-01-01, closes: 2027-02-01, required: []}"),
        with(" {}"),
    ];
    insta::assert_snapshot!(reports.join("\n"));
}
