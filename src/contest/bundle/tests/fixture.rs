use std::io::Write;

use zip::write::SimpleFileOptions;

use super::super::*;

/// A bundle that has nothing wrong with it.
pub(super) const YAML: &str = r#"version: 2
title: Iris
image: logo.png
terms: pages/terms.md
docker_image: python
pages:
  - title: Overview
    file: pages/overview.md
tasks:
  - index: 0
    name: Development
    description: First half
    input_data: data/dev
    reference_data: ref/dev
    scoring_program: scoring
  - index: 1
    name: Final
    input_data: data/final/
    reference_data: ./ref/final
    scoring_program: scoring
    ingestion_program: ingestion
solutions:
  - index: 0
    path: solution
    tasks: [0, 1]
phases:
  - index: 0
    name: Development
    start: 1-1-2026
    end: "2026-06-30 23:59:59"
    tasks: [0]
    public_data: data/dev
    starting_kit: kit
  - index: 1
    name: Final
    start: 2026-07-01
    auto_migrate_to_this_phase: true
    max_submissions: 0
    tasks: [1]
leaderboards:
  - title: Results
    key: main
    submission_rule: Force_Best
    columns:
      - {title: Score, key: score, index: 0, sorting: desc}
      - {title: Seconds, key: seconds, index: 1, sorting: asc, precision: 4, hidden: true}
      - {title: Both, key: both, index: 2, sorting: desc, computation: avg, computation_indexes: [0, 1]}
shuyu:
  tasks:
    1: {input: hidden, twin: {input: twin/input, reference: twin/reference}}
"#;

/// A bundle in a folder of its own.
pub(super) struct Fixture {
    pub(super) dir: tempfile::TempDir,
}

impl Fixture {
    /// The bundle of [`YAML`] with all its files.
    pub(super) fn new() -> Self {
        let fixture = Self { dir: tempfile::tempdir().unwrap() };
        for (path, text) in [
            ("competition.yaml", YAML),
            ("logo.png", "not looked at"),
            ("pages/terms.md", "Be fair."),
            ("pages/overview.md", "# Iris"),
            ("data/dev/x.csv", "id,width\n1,0.2\n2,1.3\n"),
            ("data/final/x.csv", "id,width\n3,0.4\n4,1.7\n"),
            ("ref/dev/y.csv", "id,kind\n1,setosa\n2,virginica\n"),
            ("ref/final/y.csv", "id,kind\n3,setosa\n4,versicolor\n"),
            ("scoring/metadata.yaml", "command: python3 score.py $input $output\n"),
            ("scoring/score.py", "print('score')\n"),
            ("ingestion/metadata", "command: python3 $program/run.py $input $output\n"),
            ("solution/metadata", "command: python3 predict.py\n"),
            ("kit/README.md", "Start here."),
            ("twin/input/x.csv", "id,width\n9,0.9\n"),
            ("twin/reference/y.csv", "id,kind\n9,setosa\n"),
        ] {
            fixture.put(path, text);
        }
        fixture
    }

    /// Adds or replaces a file.
    pub(super) fn put(&self, path: &str, bytes: impl AsRef<[u8]>) -> &Self {
        let path = self.dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
        self
    }

    /// Replaces text of `competition.yaml`, which must be there.
    pub(super) fn edit(&self, old: &str, new: &str) -> &Self {
        let text = fs::read_to_string(self.dir.path().join("competition.yaml")).unwrap();
        assert!(text.contains(old), "{old}");
        self.put("competition.yaml", text.replacen(old, new, 1))
    }

    pub(super) fn read(&self) -> (Option<Bundle>, Report) {
        read_at(self.dir.path())
    }

    /// The bundle, which must be without errors.
    pub(super) fn bundle(&self) -> Bundle {
        let (bundle, report) = self.read();
        bundle.unwrap_or_else(|| panic!("{report}"))
    }

    /// The report as text, of a bundle that has something wrong.
    pub(super) fn report(&self) -> String {
        let (bundle, report) = self.read();
        assert_eq!(bundle.is_none(), report.has_errors());
        report.to_string()
    }
}

/// Reads what stands at a path, with a staging directory that is removed again.
pub(super) fn read_at(path: &Path) -> (Option<Bundle>, Report) {
    let staging = tempfile::tempdir().unwrap();
    read(path, staging.path(), &Limits::default()).unwrap()
}

/// A zip of some files.
pub(super) fn zip_of(files: &[(&str, &str)]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
    for (path, text) in files {
        zip.start_file(*path, SimpleFileOptions::default()).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// A zip of a folder, with a prefix before each path.
pub(super) fn zip_folder(folder: &Path, prefix: &str) -> Vec<u8> {
    fn walk(dir: &Path, prefix: &str, files: &mut Vec<(String, String)>) {
        for entry in fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{prefix}{}", entry.file_name().into_string().unwrap());
            if entry.path().is_dir() {
                walk(&entry.path(), &format!("{name}/"), files);
            } else {
                files.push((name, fs::read_to_string(entry.path()).unwrap()));
            }
        }
    }
    let mut files = Vec::new();
    walk(folder, prefix, &mut files);
    zip_of(&files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect::<Vec<_>>())
}
