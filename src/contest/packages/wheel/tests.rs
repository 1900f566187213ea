//! Wheels made by hand, as they should be and with one thing wrong.

use std::io::{Seek as _, Write as _};

use proptest::prelude::*;
use zip::write::SimpleFileOptions;

use super::*;

const INFO: &str = "thing-1.0.dist-info";

/// A wheel in the making: its files, without RECORD.
#[derive(Clone)]
struct Made {
    files: Vec<(String, Vec<u8>)>,
    record: Option<String>,
}

impl Made {
    fn new() -> Self {
        let made = Self { files: Vec::new(), record: None };
        made.file(
            &format!("{INFO}/METADATA"),
            "Metadata-Version: 2.1\nName: Thing\nVersion: 1.0\n\ntext\nName: x\n",
        )
        .file(&format!("{INFO}/WHEEL"), "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        .file("thing/__init__.py", "word = 'thing'\n")
    }

    fn file(mut self, path: &str, content: &str) -> Self {
        self.files.retain(|(known, _)| known != path);
        self.files.push((path.to_owned(), content.as_bytes().to_vec()));
        self
    }

    fn without(mut self, path: &str) -> Self {
        self.files.retain(|(known, _)| !known.ends_with(path));
        self
    }

    fn recorded(&self) -> String {
        let line = |(path, content): &(String, Vec<u8>)| {
            let digest = URL_SAFE_NO_PAD.encode(Sha256::digest(content));
            format!("{path},sha256={digest},{}\n", content.len())
        };
        let lines: String = self.files.iter().filter(|(path, _)| !path.ends_with('/')).map(line).collect();
        format!("{lines}{INFO}/RECORD,,\n")
    }

    fn record(self, change: impl Fn(String) -> String) -> Self {
        let record = change(self.recorded());
        Self { record: Some(record), ..self }
    }

    fn zip(&self) -> File {
        let mut file = tempfile::tempfile().unwrap();
        let mut zip = zip::ZipWriter::new(&mut file);
        let record = self.record.clone().unwrap_or_else(|| self.recorded());
        let record = (format!("{INFO}/RECORD"), record.into_bytes());
        for (path, content) in
            self.files.iter().chain((!self.record.as_ref().is_some_and(String::is_empty)).then_some(&record))
        {
            if path.ends_with('/') {
                zip.add_directory(path.as_str(), SimpleFileOptions::default()).unwrap();
                continue;
            }
            zip.start_file(path.as_str(), SimpleFileOptions::default()).unwrap();
            zip.write_all(content).unwrap();
        }
        zip.finish().unwrap();
        file.rewind().unwrap();
        file
    }

    fn check(&self) -> Result<Wheel, WheelError> {
        check(self.zip(), "thing-1.0-py3-none-any.whl")
    }

    fn refused(&self) -> String {
        self.check().unwrap_err().to_string()
    }
}

#[test]
fn a_wheel_says_what_it_is_and_unpacks_to_what_it_installs() {
    let metadata = "Name: thing\nVersion: 1.0\nRequires-Python: >=3.8,<4\nRequires-Dist: NumPy>=1\n\
                    Requires-Dist: ruamel.yaml (<1)\nRequires-Dist: rich; extra == 'x'\n";
    let made = Made::new()
        .file(&format!("{INFO}/METADATA"), metadata)
        .file("thing-1.0.data/scripts/run", "#!python")
        .file("thing-1.0.data/purelib/more.py", "x = 1");
    let wheel = made.check().unwrap();
    assert_eq!((wheel.name.as_str(), wheel.version.as_str()), ("thing", "1.0"));
    assert_eq!(wheel.requires, ["numpy", "ruamel-yaml"]);
    let own = ["METADATA", "RECORD", "WHEEL"].map(|file| format!("{INFO}/{file}"));
    let mut expected = vec!["more.py".to_owned()];
    expected.extend(own);
    expected.push("thing/__init__.py".to_owned());
    assert_eq!(wheel.files, expected);
    let place = tempfile::tempdir().unwrap();
    unpack(made.zip(), place.path()).unwrap();
    assert_eq!(std::fs::read_to_string(place.path().join("more.py")).unwrap(), "x = 1");
    assert!(!place.path().join("thing-1.0.data").exists() && !place.path().join("run").exists());
}

#[test]
fn what_does_not_agree_is_refused_with_its_place() {
    let made = Made::new();
    for (what, refused) in [
        ("METADATA", made.clone().without("METADATA").refused()),
        ("WHEEL", made.clone().without("WHEEL").refused()),
        ("RECORD", made.clone().record(|_| String::new()).refused()),
        ("*.dist-info", made.clone().file("other-1.dist-info/METADATA", "Name: other").refused()),
        (
            "Name: Other",
            made.clone().file(&format!("{INFO}/METADATA"), "Name: Other\nVersion: 1.0").refused(),
        ),
        (
            "Version: 1.1",
            made.clone().file(&format!("{INFO}/METADATA"), "Name: thing\nVersion: 1.1").refused(),
        ),
        ("Wheel-Version: 2.0", made.clone().file(&format!("{INFO}/WHEEL"), "Wheel-Version: 2.0").refused()),
        (
            "py2-none-any",
            made.clone().file(&format!("{INFO}/WHEEL"), "Wheel-Version: 1.0\nTag: py2-none-any").refused(),
        ),
        (
            ">=3.12",
            made.clone()
                .file(&format!("{INFO}/METADATA"), "Name: thing\nVersion: 1.0\nRequires-Python: >=3.12")
                .refused(),
        ),
        (
            "thing/__init__.py is not what RECORD says",
            made.clone().record(|r| r.replace("__init__.py,sha256=", "__init__.py,sha256=A")).refused(),
        ),
        (
            "in the wheel and not in its RECORD",
            made.clone().record(|r| r.lines().skip(2).map(|l| format!("{l}\n")).collect()).refused(),
        ),
        ("gone.py is in RECORD", made.clone().record(|r| format!("{r}gone.py,sha256=x,1\n")).refused()),
        ("is not what RECORD says", made.clone().record(|r| r.replace("sha256=", "md5=")).refused()),
        ("evil.pth", made.clone().file("evil.pth", "import os").refused()),
        ("evil.PTH", made.clone().file("thing-1.0.data/purelib/evil.PTH", "import os").refused()),
        ("usercustomize", made.clone().file("usercustomize.py", "").refused()),
        ("sitecustomize", made.clone().file("sitecustomize/__init__.py", "").refused()),
        ("twice", made.clone().file("thing-1.0.data/platlib/thing/__init__.py", "").refused()),
        ("both as a file and as a folder", made.clone().file("thing-1.0.data/purelib/thing", "").refused()),
        (
            "thing-1.0.dist-info is installed both",
            made.clone().file("thing-1.0.data/platlib/thing-1.0.dist-info", "").refused(),
        ),
        (
            "empty is installed both",
            made.clone().file("empty/", "").file("thing-1.0.data/purelib/empty", "").refused(),
        ),
        ("climbs out", made.clone().file("../x.py", "").refused()),
        ("absolute", made.clone().file("/x.py", "").refused()),
    ] {
        assert!(refused.contains(what), "{what}: {refused}");
    }
    assert!(made.clone().file("thing/inner.pth", "x").check().is_ok(), "below the top it is data");
}

#[test]
fn a_renamed_wheel_is_refused() {
    let made = Made::new();
    for name in ["other-1.0-py3-none-any.whl", "thing-1.1-py3-none-any.whl"] {
        assert!(matches!(check(made.zip(), name), Err(WheelError::Mismatch { .. })), "{name}");
    }
    let foreign = check(made.zip(), "thing-1.0-cp310-cp310-win_amd64.whl");
    assert!(matches!(foreign, Err(WheelError::Tags { .. })), "{foreign:?}");
}

#[test]
fn links_and_bombs_are_refused() {
    let mut file = tempfile::tempfile().unwrap();
    let mut zip = zip::ZipWriter::new(&mut file);
    zip.add_symlink("thing/x.py", "/etc/passwd", SimpleFileOptions::default()).unwrap();
    zip.finish().unwrap();
    let refused = check(file, "thing-1.0-py3-none-any.whl").unwrap_err();
    assert!(matches!(refused, WheelError::Archive(UnpackError::NotRegular { .. })), "{refused}");
    let mut folders = Made::new();
    for n in 0..1000 {
        folders = folders.file(&format!("{n}{}/x", "/d".repeat(21)), "");
    }
    let refused = folders.refused();
    assert!(refused.contains("more than 20000 files and directories"), "{refused}");
    let bomb = Made::new().file("thing/zeros", &"0".repeat(80 << 20));
    let refused = bomb.check().unwrap_err();
    assert!(matches!(refused, WheelError::Archive(UnpackError::Bomb { .. })), "{refused}");
}

#[test]
fn ranges_of_python_are_read_by_minor_versions() {
    for good in ["", ">=3", ">=3.8", ">=3.11, <4.0", "!=3.9.*, >=3.7", "~=3.8", "<3.12", "<=3.11", ">=2.7"] {
        assert!(takes_python(good), "{good}");
    }
    for bad in [">=3.12", ">=3.8,<3.11", "<3", "~=3.13", "<=3.10", ">=4", "<2.8"] {
        assert!(!takes_python(bad), "{bad}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever byte is changed, the wheel is refused or what it installs is as before.
    #[test]
    fn a_changed_byte_changes_nothing_that_is_installed(at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let made = Made::new().file("thing/data.txt", &"some text ".repeat(40));
        let mut file = made.zip();
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut file, &mut bytes).unwrap();
        let at = at.index(bytes.len());
        bytes[at] = to;
        let mut changed = tempfile::tempfile().unwrap();
        changed.write_all(&bytes).unwrap();
        if check(changed.try_clone().unwrap(), "thing-1.0-py3-none-any.whl").is_ok() {
            let place = tempfile::tempdir().unwrap();
            unpack(changed, place.path()).unwrap();
            for (path, content) in &made.files {
                prop_assert_eq!(&std::fs::read(place.path().join(path)).unwrap(), content);
            }
        }
    }

    /// Nothing is installed outside, whatever entries are called.
    #[test]
    fn no_name_leads_out(parts in prop::collection::vec("[a./]{1,4}|\\.\\.|thing-1\\.0\\.data|purelib", 1..5)) {
        let made = Made::new().file(&parts.join("/"), "x");
        if let Ok(wheel) = made.check() {
            let inside = |file: &String| file.split('/').all(|part| !matches!(part, "" | "." | ".."));
            prop_assert!(wheel.files.iter().all(inside));
        }
    }
}
