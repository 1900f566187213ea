use std::collections::BTreeMap;
use std::fs::File;
use std::io::Cursor;

use jiff::Timestamp;
use proptest::prelude::*;

use super::super::diff::{Change, diff};
use super::super::write::{competition_yaml, write};
use super::super::*;
use super::fixture::{Fixture, read_at};
use crate::contest::definition::*;
use crate::scoring::metric::MetricSpec;

fn exported(bundle: &Bundle) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    let root = bundle.root.clone();
    write(
        &bundle.definition,
        &bundle.manifest,
        &mut |file| Ok(Box::new(File::open(root.join(&file.path))?)),
        &mut out,
    )
    .unwrap();
    out.into_inner()
}

#[test]
fn an_exported_bundle_imports_to_the_same_competition() {
    let bundle = Fixture::new().bundle_kept();
    let bytes = exported(&bundle.1);
    assert_eq!(bytes, exported(&bundle.1), "the same bytes each time");
    let out = tempfile::tempdir().unwrap();
    let path = out.path().join("export.zip");
    fs::write(&path, bytes).unwrap();
    let (again, report) = read_at(&path);
    let again = again.unwrap_or_else(|| panic!("{report}"));
    assert_eq!(diff(&bundle.1.definition, &again.definition), []);
    assert_eq!(again.definition, bundle.1.definition);
    let others = |bundle: &Bundle| -> Vec<FileEntry> {
        bundle.manifest.iter().filter(|file| file.path != "competition.yaml").cloned().collect()
    };
    assert_eq!(others(&again), others(&bundle.1));
    insta::assert_snapshot!(competition_yaml(&again.definition).unwrap());
}

impl Fixture {
    /// The bundle together with the folder that keeps its files.
    fn bundle_kept(self) -> (Self, Bundle) {
        let bundle = self.bundle();
        (self, bundle)
    }
}

#[test]
fn differences_are_listed_by_name() {
    let fixture = Fixture::new();
    let old = fixture.bundle().definition;
    assert_eq!(diff(&old, &old), []);
    fixture
        .edit("title: Iris", "title: Iris 2\nreward: 奖")
        .edit("2026-07-01", "2026-08-01")
        .edit("precision: 4", "precision: 3")
        .edit("key: both", "key: all")
        .edit("tasks: [0, 1]", "tasks: [1]");
    let changes: Vec<String> = diff(&old, &fixture.bundle().definition)
        .into_iter()
        .map(|Change { path, old, new }| {
            let shown =
                |value: Option<serde_json::Value>| value.map_or("-".to_owned(), |value| value.to_string());
            format!("{path}: {} -> {}", shown(old), shown(new))
        })
        .collect();
    insta::assert_snapshot!(changes.join("\n"));
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,30}",
        "[ -~\n\t]{0,120}",
        "[0-9a-f:.+-]{1,12}",
        prop::sample::select(vec![
            "",
            "~",
            "null",
            "yes",
            "No",
            "2026-01-01",
            "2026-01-01 10:00:00",
            "0x1F",
            "007",
            "1e3",
            "- a",
            "a: b",
            "#",
            "a #b",
            " lead",
            "trail ",
            "\n",
            "a\n\n",
            "\u{feff}x",
            "'",
            "\"",
            "\\",
            "&a",
            "*a",
            "!x",
            "%",
            "@",
            "`",
            "|",
            ">",
            "? x",
            "数域\u{3000}竞赛",
            "a\r\nb",
            "\u{85}",
            "\u{2028}x",
            "<<",
            "=",
            ".inf",
            "-.NaN",
        ])
        .prop_map(str::to_owned),
    ]
}

fn title() -> impl Strategy<Value = String> {
    text().prop_filter("a title is not blank", |text| !text.trim().is_empty())
}

fn key(prefix: char) -> impl Strategy<Value = String> {
    "[a-z_]{0,20}".prop_map(move |key| format!("{prefix}{key}"))
}

fn path(from: &'static [&'static str]) -> impl Strategy<Value = Option<String>> {
    prop::option::of(prop::sample::select(from).prop_map(str::to_owned))
}

fn tasks() -> impl Strategy<Value = Vec<Task>> {
    let one = (
        title(),
        text(),
        any::<bool>(),
        path(&["data/dev", "data/final"]),
        path(&["ids.csv"]),
        any::<bool>(),
    );
    let limits = (1u32..8, (16u64 << 20)..(1 << 40), 8u32..4096, (64u64 << 10)..(1 << 36));
    let more = (prop::option::of(title()), any::<bool>(), limits);
    prop::collection::vec((one, more), 1..4).prop_map(|tasks| {
        let task = |(position, (one, more)): (usize, (_, _))| {
            let (name, description, ingestion, input_data, ids, declared): (
                String,
                String,
                bool,
                Option<String>,
                _,
                bool,
            ) = one;
            let (hidden_set, twin, (cpus, memory, pids, output)): (_, bool, _) = more;
            let takes_models = !ingestion && declared && input_data.is_some();
            // Data that nobody gives away may be declared either way.
            let input = if declared { InputVisibility::Public } else { InputVisibility::Hidden };
            Task {
                index: position as i64 * 2,
                name,
                description,
                scoring_program: Some("scoring".to_owned()),
                ingestion_program: ingestion.then(|| "ingestion".to_owned()),
                input_data,
                reference_data: Some("ref/dev".to_owned()),
                ingestion_only_during_scoring: ingestion && declared,
                shared: ingestion && declared,
                metrics: if ingestion { Vec::new() } else { metrics() },
                ids,
                input,
                hidden_set,
                twin: twin.then(|| Twin { input: "twin/input".into(), reference: "twin/reference".into() }),
                resources: Resources { cpus: f64::from(cpus) / 4.0, memory, pids, output },
                probes: Vec::new(),
                model: takes_models.then(model_rules),
            }
        };
        tasks.into_iter().enumerate().map(task).collect()
    })
}

/// Inputs by name, and limits of their own.
fn model_rules() -> ModelRules {
    let features = vec!["width".to_owned()];
    ModelRules {
        table: "x.csv".to_owned(),
        inputs: [("X".to_owned(), features.clone())].into(),
        features,
        id: "id".to_owned(),
        predictions: vec!["y".to_owned()],
        max_bytes: 3 << 20,
        opset: [9, 21],
    }
}

/// A metric with everything that may be said about it.
fn metrics() -> Vec<MetricSpec> {
    let full = "{\"name\": \"f1_macro\", \"column\": \"c0\", \"prediction\": \"y\", \"target\": \"2024\", \"id\": \"id\", \
                \"range\": [0, 1], \"labels\": [\"yes\", \"no\", \"3\"], \"sample_weight\": \"w\"}";
    vec![serde_json::from_str(full).unwrap()]
}

fn phases() -> impl Strategy<Value = Vec<Phase>> {
    let one = (
        title(),
        text(),
        (1i64..10_000_000_000_000, 0i64..4),
        any::<[bool; 5]>(),
        any::<(u32, u32)>(),
        1u32..100_000,
    );
    let kit = (path(&["kit"]), any::<bool>());
    prop::collection::vec((one, kit), 1..4).prop_map(|phases| {
        let mut clock = 1_500_000_000_000_000i64;
        let count = phases.len();
        let mut made = Vec::new();
        for (position, (one, (starting_kit, open))) in phases.into_iter().enumerate() {
            let (name, description, (length, gap), flags, (per_day, total), limit) = one;
            let at = |micros: i64| Timestamp::from_microsecond(micros).unwrap();
            let start = clock + 1 + gap;
            clock = start + length;
            made.push(Phase {
                index: position as i64,
                name,
                description,
                start: at(start),
                end: (position + 1 < count || !open).then(|| at(clock)),
                tasks: vec![0],
                max_submissions_per_day: per_day,
                max_submissions: total,
                execution_time_limit: limit,
                auto_migrate_to_this_phase: flags[0] && position > 0,
                hide_output: flags[1],
                hide_prediction_output: flags[2],
                hide_score_output: flags[3],
                starting_kit,
                public_data: None,
                accepts_only_result_submissions: flags[4],
            });
        }
        made
    })
}

fn leaderboard() -> impl Strategy<Value = Leaderboard> {
    let rule = prop::sample::select(vec![
        SubmissionRule::Add,
        SubmissionRule::AddAndDelete,
        SubmissionRule::AddAndDeleteMultiple,
        SubmissionRule::ForceLast,
        SubmissionRule::ForceLatestMultiple,
        SubmissionRule::ForceBest,
    ]);
    let computation = prop::option::of(prop::sample::select(vec![
        Computation::Avg,
        Computation::Sum,
        Computation::Min,
        Computation::Max,
    ]));
    let column = (title(), any::<bool>(), computation, 0u32..=10, any::<bool>());
    (
        title(),
        key('k'),
        any::<bool>(),
        rule,
        prop::collection::vec(column, 1..5),
        any::<prop::sample::Index>(),
    )
        .prop_map(|(title, key, hidden, submission_rule, columns, primary)| {
            let columns: Vec<Column> = columns
                .into_iter()
                .enumerate()
                .map(|(position, (title, asc, computation, precision, hidden))| {
                    let index = position as i64 * 3;
                    let computation = computation.filter(|_| position > 0);
                    Column {
                        title,
                        key: format!("c{position}"),
                        index,
                        sorting: if asc { Sorting::Asc } else { Sorting::Desc },
                        computation,
                        computation_indexes: computation
                            .map_or(Vec::new(), |_| (0..index).step_by(3).collect()),
                        precision,
                        hidden,
                    }
                })
                .collect();
            let primary_index = columns[primary.index(columns.len())].index;
            Leaderboard { title, key, hidden, submission_rule, primary_index, columns }
        })
}

fn fact_sheet() -> impl Strategy<Value = Vec<FactQuestion>> {
    let kind = prop::sample::select(vec![FactKind::Checkbox, FactKind::Text, FactKind::Select]);
    let one = (text(), kind, prop::collection::vec(title(), 1..4), any::<bool>(), any::<bool>());
    prop::collection::btree_map(title(), one, 0..3).prop_map(|questions| {
        questions
            .into_iter()
            .map(|(key, (title, kind, selection, is_required, is_on_leaderboard))| FactQuestion {
                key,
                title,
                kind,
                selection: if kind == FactKind::Select { selection } else { Vec::new() },
                is_required,
                is_on_leaderboard,
            })
            .collect()
    })
}

fn locale() -> impl Strategy<Value = BTreeMap<String, Localised>> {
    let one = (
        prop::option::of(text()),
        prop::option::of(text()),
        prop::collection::btree_map(title(), text(), 0..3),
    );
    prop::collection::btree_map(prop::sample::select(vec!["zh".to_owned(), "en".to_owned()]), one, 0..3)
        .prop_map(|locales| {
            let localised = |(title, description, names)| Localised {
                title,
                description,
                pages: BTreeMap::from([("overview".to_owned(), "pages/terms.md".to_owned())]),
                terms: Some("pages/terms.md".to_owned()),
                names,
            };
            locales.into_iter().map(|(tag, one)| (tag, localised(one))).collect()
        })
}

fn definition() -> impl Strategy<Value = Definition> {
    let texts = (title(), text(), title(), prop::option::of(text()), prop::option::of(text()));
    let parts = (fact_sheet(), tasks(), phases(), leaderboard(), locale());
    let extras =
        (prop::option::of(text()), prop::option::of(1u32..9), prop::option::of(0.001f64..10.0), text());
    (texts, any::<[bool; 11]>(), parts, extras).prop_map(|(texts, flags, parts, extras)| {
        let (title, description, docker_image, reward, contact_email) = texts;
        let (fact_sheet, tasks, phases, leaderboard, locale) = parts;
        let (organiser, finals_choose, ladder_step, note) = extras;
        let award = serde_json::json!({ "title": note, "count": 3 });
        let judging = flags[8].then(|| super::judging::sample(&flags, &leaderboard));
        Definition {
            title,
            description,
            image: "logo.png".to_owned(),
            terms: "pages/terms.md".to_owned(),
            docker_image,
            registration_auto_approve: flags[0],
            enable_detailed_results: flags[1],
            show_detailed_results_in_submission_panel: flags[2],
            show_detailed_results_in_leaderboard: flags[3],
            auto_run_submissions: flags[4],
            can_participants_make_submissions_public: flags[5],
            make_programs_available: flags[6],
            make_input_data_available: false,
            competition_type: if flags[7] {
                CompetitionType::Benchmark
            } else {
                CompetitionType::Competition
            },
            forum_enabled: flags[8],
            reward,
            contact_email,
            pages: vec![Page { title: "Overview".to_owned(), file: "pages/overview.md".to_owned() }],
            fact_sheet,
            solutions: vec![Solution {
                index: 4,
                tasks: vec![0],
                path: "solution".to_owned(),
                name: "A solution".to_owned(),
                description: String::new(),
            }],
            tasks,
            phases,
            leaderboard,
            locale,
            organiser,
            datasets: vec![DatasetUse { slug: "iris".to_owned(), version: 3 }],
            sandbox: flags[9].then(|| serde_json::json!({ "image": "python", "memory": "4GiB" })),
            airlock: ladder_step
                .map(|step| AirlockRule { ladder_step: Some(step), budget_bits: Some(400.0) }),
            finals_choose,
            awards: vec![award],
            judging,
            entries: flags[10].then(|| EntryRules {
                opens: flags[0].then(|| Timestamp::from_second(1_788_000_000).unwrap()),
                closes: flags[0].then(|| Timestamp::from_second(1_900_000_000).unwrap()),
                required: if flags[2] { EntryPart::ALL.to_vec() } else { Vec::new() },
                report_bytes: if flags[3] { 1_234_567 } else { 5 << 20 },
                ..EntryRules::default()
            }),
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_reads_the_same(definition in definition()) {
        let fixture = Fixture::new();
        fixture.put("ids.csv", "id\n1\n");
        let yaml = competition_yaml(&definition).unwrap();
        fixture.put("competition.yaml", &yaml);
        let (bundle, report) = fixture.read();
        let Some(bundle) = bundle else { return Err(TestCaseError::fail(format!("{report}\n{yaml}"))) };
        prop_assert_eq!(diff(&definition, &bundle.definition), [], "{}", yaml);
        prop_assert_eq!(bundle.definition, definition);
    }
}
