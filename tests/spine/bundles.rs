//! Small bundles, written into temporary directories.

use std::fs;
use std::io::Write as _;
use std::path::Path;

/// A word that stands in hidden labels and nowhere else.
pub const SECRET: &str = "label-7f3a91";

/// A bundle under construction.
#[derive(Clone)]
pub struct Folder {
    pub yaml: String,
    files: Vec<(String, Vec<u8>)>,
}

impl Folder {
    /// What every bundle has, with these tasks, phases, leaderboard and extension.
    pub fn new(tasks: &str, phases: &str, board: &str, shuyu: &str) -> Self {
        let yaml = format!(
            "version: 2\ntitle: Small\ndescription: A small one\nimage: logo.png\nterms: terms.md\n\
             docker_image: shuyu/python:latest\nregistration_auto_approve: true\n\
             pages:\n- {{title: Overview, file: page.md}}\ntasks:\n{tasks}\nphases:\n{phases}\n\
             leaderboards:\n{board}\nshuyu:\n{shuyu}\n"
        );
        Self { yaml, files: Vec::new() }
            .file("logo.png", "\u{89}PNG")
            .file("terms.md", "Be kind.")
            .file("page.md", "# A page")
    }

    /// Adds or replaces a file.
    pub fn file(mut self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.files.retain(|(known, _)| known != path);
        self.files.push((path.to_owned(), content.as_ref().to_vec()));
        self
    }

    /// Replaces text of `competition.yaml` that must be there.
    pub fn edit(mut self, from: &str, to: &str) -> Self {
        assert!(self.yaml.contains(from), "{from:?} is not in\n{}", self.yaml);
        self.yaml = self.yaml.replace(from, to);
        self
    }

    pub fn write(&self, root: &Path) {
        fs::create_dir_all(root).unwrap();
        fs::write(root.join("competition.yaml"), &self.yaml).unwrap();
        for (path, content) in &self.files {
            let place = root.join(path);
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            fs::write(place, content).unwrap();
        }
    }
}

/// A phase that is open, with these quotas.
pub fn phase(index: usize, per_day: u32, in_all: u32, tasks: &str) -> String {
    let start = 2020 + 20 * index;
    let end = 2039 + 20 * index;
    format!(
        "- {{index: {index}, name: P{index}, description: d, start: '{start}-01-01', end: '{end}-12-31', \
         max_submissions_per_day: {per_day}, max_submissions: {in_all}, execution_time_limit: 60, tasks: {tasks}}}\n"
    )
}

/// A board with these columns, `key sorting rest`, under a rule.
pub fn board(rule: &str, columns: &[(&str, &str)]) -> String {
    let mut text =
        format!("- title: Board\n  key: main\n  submission_rule: {rule}\n  primary_index: 0\n  columns:\n");
    for (index, (key, rest)) in columns.iter().enumerate() {
        text.push_str(&format!("  - {{title: {key}, key: {key}, index: {index}, {rest}}}\n"));
    }
    text
}

/// Labels of seven rows, half of them 1, each with the secret word beside it.
pub fn labels() -> String {
    let rows: String = (0..7).map(|i| format!("{i},{},{SECRET}\n", i % 2)).collect();
    format!("id,label,note\n{rows}")
}

/// Predictions of which the first `right` are.
pub fn predictions(right: i32) -> Vec<u8> {
    let rows: String =
        (0..7).map(|i| format!("{i},{}\n", if i < right { i % 2 } else { 1 - i % 2 })).collect();
    format!("id,label\n{rows}").into_bytes()
}

fn ids() -> String {
    let rows: String = (0..7).map(|i| format!("{i}\n")).collect();
    format!("id\n{rows}")
}

/// A competition with the native accuracy, the best submission of a team on its board.
pub fn native() -> Folder {
    native_with("public", "")
}

/// The same with an input that is public or hidden, and more keys of the task's extension.
pub fn native_with(input: &str, more: &str) -> Folder {
    Folder::new(
        "- {index: 0, name: T0, description: d, input_data: input, reference_data: reference}",
        &phase(0, 0, 0, "[0]"),
        &board("Force_Best", &[("accuracy", "sorting: desc")]),
        &format!(
            "  tasks:\n    0:\n      metric: {{name: accuracy, column: accuracy, prediction: label, target: label, id: id}}\n      \
             ids: ids.csv\n      input: {input}\n{more}"
        ),
    )
    .file("input/rows.csv", format!("{}marker\n", ids()))
    .file("reference/labels.csv", labels())
    .file("ids.csv", ids())
}

/// Hidden input and a twin.
pub fn closed() -> Folder {
    native_with("hidden", "      twin: {input: twin/input, reference: twin/reference}\n")
        .file("twin/input/rows.csv", "id\n0\n1\n2\n3\n4\n5\n6\n7\n")
        .file("twin/reference/made-up.csv", "id,label\n0,0\n1,1\n2,0\n3,1\n4,0\n5,1\n6,0\n")
}

/// A competition whose scoring program is `score` (Python), with one column `points`.
pub fn programmed(score: &str) -> Folder {
    Folder::new(
        "- {index: 0, name: T0, description: d, scoring_program: scoring, reference_data: reference}",
        &phase(0, 0, 0, "[0]"),
        &board("Force_Best", &[("points", "sorting: desc")]),
        "  organiser: Somebody",
    )
    .file("scoring/metadata.yaml", "command: python3 $program/score.py $input $output")
    .file("scoring/score.py", score)
    .file("reference/labels.csv", labels())
}

/// A scoring program that writes what the submission's `out.json` holds.
pub const ECHO: &str = "
import shutil, sys
source, output = sys.argv[1], sys.argv[2]
shutil.copyfile(source + '/res/out.json', output + '/scores.json')
";

/// A zip of these files.
pub fn zipped(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, content) in files {
        archive.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        archive.write_all(content).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// A program that writes seven predictions, all of them right but the last two.
pub const PROGRAM: &str = "
import sys
rows = ''.join(f'{i},{i % 2 if i < 5 else 1 - i % 2}\\n' for i in range(7))
open(sys.argv[2] + '/predictions.csv', 'w').write('id,label\\n' + rows)
print('hello from the program')
";
