use std::os::unix::fs::symlink;

use proptest::prelude::*;

use super::super::*;
use super::fixture::{Fixture, YAML, read_at, zip_folder, zip_of};
use crate::contest::definition::{InputVisibility, SubmissionRule};
use crate::submission::unpack::UnpackLimits;

#[test]
fn a_plain_bundle_gets_codabenchs_defaults() {
    let bundle = Fixture::new().bundle();
    insta::assert_json_snapshot!(bundle.definition);
}

#[test]
fn a_sound_bundle_has_no_findings() {
    assert_eq!(Fixture::new().report(), "0 errors, 0 warnings, 0 notes\n");
}

#[test]
fn the_block_of_our_own_is_read() {
    let fixture = Fixture::new();
    fixture.put("pages/overview.zh.md", "# 鸢尾花").put("pages/terms.zh.md", "公平");
    fixture.put("ids.csv", "id\n1\n2\n");
    fixture.edit("    scoring_program: scoring\n", "").edit("    scoring_program: scoring\n", "");
    let at = YAML.find("shuyu:").unwrap();
    fixture.edit(
        &YAML[at..],
        r#"shuyu:
  organiser: 龙岩市数据管理局
  locale:
    zh:
      title: 鸢尾花
      terms: pages/terms.zh.md
      pages: {overview: pages/overview.zh.md}
      names: {phases.0: 开发, columns.score: 得分}
    en: {description: Three kinds of iris}
  datasets: [{slug: iris, version: 2}]
  sandbox: {image: python, cpus: 2, memory: 4GiB, idle: 30m, session: 8h}
  tasks:
    0:
      metric: {name: rmse, column: score, prediction: y, target: y, id: id, range: [0, 300]}
      ids: ids.csv
      hidden_set: iris-2026
      resources: {cpus: 0.5, memory: 1GiB, pids: 64, output: 16MiB}
    1:
      metric:
        - {name: rmse, column: score, prediction: y, target: y, id: id}
        - {name: mae, column: seconds, prediction: y, target: y, id: id}
      input: public
      twin: {input: twin/input, reference: twin/reference}
  airlock: {ladder: {step: 0.05}, budget_bits: 400}
  finals: {choose: 2}
  awards: [{title: 一等奖, count: 1}, 二等奖]
"#,
    );
    let (bundle, report) = fixture.read();
    let definition = bundle.unwrap_or_else(|| panic!("{report}")).definition;
    let of_task = |index: usize| {
        let task = &definition.tasks[index];
        serde_json::json!([
            task.metrics.len(),
            task.ids,
            task.input,
            task.hidden_set,
            task.twin,
            task.resources
        ])
    };
    insta::assert_json_snapshot!([
        serde_json::json!(definition.locale),
        serde_json::json!(definition.datasets),
        serde_json::json!([definition.organiser, definition.sandbox, definition.airlock]),
        serde_json::json!([definition.finals_choose, definition.awards]),
        of_task(0),
        of_task(1),
    ]);
    insta::assert_snapshot!(report);
}

#[test]
fn oddities_of_real_bundles_are_tolerated_with_a_warning() {
    let fixture = Fixture::new();
    fixture
        .edit("version: 2", "version: \"2\"\nhas_registration: True\ncolour: red\nqueue: null")
        .edit("tasks: [0]\n", "tasks: ['0']\n    solutions: []\n    max_submissions:\n")
        .edit("  - index: 1\n    name: Final\n    start", "  - name: Final\n    index: 0\n    start")
        .edit("    tasks: [1]\n", "    tasks: [1, 0]\n")
        .edit("key: main", "key: main\n    index: 0")
        .edit("key: score, index: 0, sorting: desc", "key: score, index: 0, computation: null")
        .edit("Force_Best", "\"Force_Latest_Multiple\"")
        .edit("computation_indexes: [0, 1]", "computation_indexes: '0,1'")
        .edit("shuyu:", "solutions: []\nshuyu:");
    let report = fixture.report();
    insta::assert_snapshot!(report);
    let definition = fixture.bundle().definition;
    assert_eq!(definition.leaderboard.submission_rule, SubmissionRule::ForceLatestMultiple);
    assert_eq!(definition.leaderboard.columns[2].computation_indexes, [0, 1]);
    assert_eq!((definition.phases[0].max_submissions, definition.solutions.len()), (100, 0));
    assert_eq!(definition.phases.iter().map(|phase| phase.index).collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn phases_are_sorted_by_index_and_renumbered() {
    let fixture = Fixture::new();
    fixture
        .edit(
            "  - index: 0\n    name: Development\n    start",
            "  - index: 7\n    name: Development\n    start",
        )
        .edit("1-1-2026", "1-1-2028")
        .edit("2026-06-30", "2028-06-30")
        .edit("start: 2026-07-01", "start: 2026-07-01\n    end: 2026-12-31");
    let phases = fixture.bundle().definition.phases;
    let order: Vec<_> = phases.iter().map(|phase| (phase.index, phase.name.as_str())).collect();
    assert_eq!(order, [(0, "Final"), (1, "Development")]);
    assert!(!phases[0].auto_migrate_to_this_phase, "nothing comes before the first phase");
}

#[test]
fn input_is_public_only_where_everybody_has_it() {
    let inputs = |fixture: &Fixture| -> Vec<bool> {
        let tasks = fixture.bundle().definition.tasks;
        tasks.iter().map(|task| task.input == InputVisibility::Public).collect()
    };
    let fixture = Fixture::new();
    assert_eq!(inputs(&fixture), [true, false], "public_data is the first task's input");
    fixture.edit("    public_data: data/dev\n", "");
    assert_eq!(inputs(&fixture), [false, false]);
    fixture.edit("input: hidden", "input: public");
    assert_eq!(inputs(&fixture), [false, true]);
    fixture.edit("version: 2", "version: 2\nmake_input_data_available: true");
    assert_eq!(inputs(&fixture), [true, true]);

    let zipped = Fixture::new();
    let data = fs::read_to_string(zipped.dir.path().join("data/dev/x.csv")).unwrap();
    zipped
        .put("public.zip", zip_of(&[("x.csv", &data)]))
        .edit("public_data: data/dev", "public_data: public.zip");
    assert_eq!(inputs(&zipped), [true, false], "a zip of the same files is the same data");

    let without = Fixture::new();
    without.edit("    input_data: data/dev\n", "");
    assert_eq!(inputs(&without), [true, false], "nothing can be hidden where there is no input");
    without.edit("    reference_data: ref/dev\n", "    reference_data: ref/dev\n    ingestion_only_during_scoring: true\n    ingestion_program: ingestion\n");
    assert_eq!(
        inputs(&without),
        [false, false],
        "an ingestion program beside the scorer may show hidden data"
    );
}

#[test]
fn the_declaration_itself_may_be_named() {
    let fixture = Fixture::new();
    let (bundle, report) = read_at(&fixture.dir.path().join("competition.yaml"));
    assert_eq!(bundle.unwrap_or_else(|| panic!("{report}")).digest, fixture.bundle().digest);
}

#[test]
fn a_zip_reads_as_its_folder_also_with_one_folder_around_it() {
    let fixture = Fixture::new();
    let folder = fixture.bundle();
    let out = tempfile::tempdir().unwrap();
    for (prefix, findings) in [("", 0), ("iris/", 1)] {
        let path = out.path().join("iris.zip");
        fs::write(&path, zip_folder(fixture.dir.path(), prefix)).unwrap();
        let (bundle, report) = read_at(&path);
        let bundle = bundle.unwrap_or_else(|| panic!("{report}"));
        assert_eq!((&bundle.digest, &bundle.manifest), (&folder.digest, &folder.manifest));
        assert_eq!(bundle.definition, folder.definition);
        assert_eq!(report.findings.len(), findings);
        assert!(report.findings.iter().all(|finding| finding.code == "zip-top-folder"));
    }
}

#[test]
fn links_are_no_part_of_a_bundle() {
    let fixture = Fixture::new();
    let secret = tempfile::tempdir().unwrap();
    fs::write(secret.path().join("key"), "secret").unwrap();
    symlink(secret.path().join("key"), fixture.dir.path().join("pages/key.md")).unwrap();
    symlink(secret.path(), fixture.dir.path().join("linked")).unwrap();
    assert!(fixture.bundle().manifest.iter().all(|file| !file.path.contains("key")));
    fixture.edit("pages/overview.md", "pages/key.md").edit("path: solution", "path: linked/deeper");
    insta::assert_snapshot!(fixture.report());
}

#[test]
fn limits_hold_for_folders_and_for_the_zips_inside() {
    let fixture = Fixture::new();
    let staging = tempfile::tempdir().unwrap();
    let with = |unpack: UnpackLimits| {
        read(fixture.dir.path(), staging.path(), &Limits { unpack, ..Limits::default() })
    };
    let usual = UnpackLimits::default();
    assert!(matches!(
        with(UnpackLimits { entries: 3, ..usual }),
        Err(BundleError::TooManyFiles { limit: 3 })
    ));
    assert!(matches!(
        with(UnpackLimits { total_bytes: 9, ..usual }),
        Err(BundleError::TooLarge { limit: 9 })
    ));
    fixture
        .put("data/dev.zip", zip_of(&[("zeros", &"0".repeat(100_000))]))
        .edit("data/dev\n", "data/dev.zip\n");
    let (bundle, report) = with(UnpackLimits { file_bytes: 50_000, ..usual }).unwrap();
    assert!(bundle.is_none());
    assert_eq!(report.findings[0].code, "zip-file-too-large");
    let missing = read(&fixture.dir.path().join("nowhere"), staging.path(), &Limits::default());
    assert!(matches!(missing, Err(BundleError::Missing { .. })));
}

#[test]
fn images_are_looked_up_in_the_table() {
    let fixture = Fixture::new();
    let staging = tempfile::tempdir().unwrap();
    let table = ImageTable { knows: &|name| name == "other", setting: "images" };
    let read = read_with_images(fixture.dir.path(), staging.path(), &Limits::default(), Some(table));
    let (bundle, report) = read.unwrap();
    assert!(bundle.is_some());
    insta::assert_snapshot!(report);
}

fn reads_without_panic(yaml: &[u8]) {
    let fixture = Fixture::new();
    fixture.put("competition.yaml", yaml);
    let (bundle, report) = fixture.read();
    assert_eq!(bundle.is_none(), report.has_errors());
    assert!(!report.to_string().contains('\u{1b}'), "nothing in a report drives a terminal");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_get_a_report(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        reads_without_panic(&bytes);
    }

    #[test]
    fn any_text_behind_a_version_gets_a_report(text in "[\\[\\]{}:,\\-&*!|>'\"#%@a-c0-9 \n\x1b数]{0,200}") {
        reads_without_panic(format!("version: 2\n{text}").as_bytes());
    }

    #[test]
    fn a_damaged_declaration_gets_a_report(
        lines in prop::collection::vec((any::<prop::sample::Index>(), 0..6u8, "[-a-z0-9: \\[\\]{}'\"*&]{0,12}"), 1..5)
    ) {
        let mut text: Vec<String> = YAML.lines().map(str::to_owned).collect();
        for (at, what, with) in lines {
            let at = at.index(text.len());
            match what {
                0 => { text.remove(at); }
                1 => text.insert(at, with),
                2 => text[at] = format!("  {}", text[at]),
                3 => { let key = text[at].split(':').next().unwrap_or_default().to_owned(); text[at] = format!("{key}: {with}"); }
                4 => { let line = text[at].clone(); text.push(line); }
                _ => text[at].push_str(&with),
            }
            if text.is_empty() { text.push(String::new()); }
        }
        reads_without_panic(text.join("\n").as_bytes());
    }
}
