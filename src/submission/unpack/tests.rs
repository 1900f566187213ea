use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use proptest::prelude::*;
use zip::write::SimpleFileOptions;

use super::detect::{DetectError, SubmissionKind, lay_out};
use super::*;

/// An entry of an archive written byte by byte, so that it may say anything.
#[derive(Clone, Debug)]
struct Raw {
    name: Vec<u8>,
    data: Vec<u8>,
    mode: u32,
    flags: u16,
    method: u16,
    /// Points the directory at the local header of this entry instead of its own.
    at: Option<usize>,
}

impl Raw {
    fn new(name: &str, data: &str) -> Self {
        Self { name: name.into(), data: data.into(), mode: 0o100_644, flags: 0, method: 0, at: None }
    }
}

fn crc32(data: &[u8]) -> u32 {
    !data.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
    })
}

fn raw_zip(entries: &[Raw]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut offsets = Vec::new();
    let common = |entry: &Raw| {
        let mut head = Vec::new();
        head.extend(20u16.to_le_bytes());
        head.extend(entry.flags.to_le_bytes());
        head.extend(entry.method.to_le_bytes());
        head.extend([0; 4]);
        head.extend(crc32(&entry.data).to_le_bytes());
        head.extend((entry.data.len() as u32).to_le_bytes());
        head.extend((entry.data.len() as u32).to_le_bytes());
        head.extend((entry.name.len() as u16).to_le_bytes());
        head.extend([0; 2]);
        head
    };
    for entry in entries {
        offsets.push(out.len() as u32);
        out.extend(b"PK\x03\x04");
        out.extend(common(entry));
        out.extend(&entry.name);
        out.extend(&entry.data);
    }
    let start = out.len() as u32;
    for (index, entry) in entries.iter().enumerate() {
        out.extend(b"PK\x01\x02");
        out.extend([20, 3]);
        out.extend(common(entry));
        out.extend([0; 6]);
        out.extend((entry.mode << 16).to_le_bytes());
        out.extend(offsets[entry.at.unwrap_or(index)].to_le_bytes());
        out.extend(&entry.name);
    }
    let size = out.len() as u32 - start;
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend([(entries.len() as u16).to_le_bytes(); 2].concat());
    out.extend(size.to_le_bytes());
    out.extend(start.to_le_bytes());
    out.extend([0; 2]);
    out
}

struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("dest")).unwrap();
        Self { dir }
    }

    fn dest(&self) -> PathBuf {
        self.dir.path().join("dest")
    }

    fn open(&self, bytes: &[u8]) -> File {
        let path = self.dir.path().join("upload.zip");
        fs::write(&path, bytes).unwrap();
        File::open(path).unwrap()
    }

    fn unpack(&self, bytes: &[u8], limits: &UnpackLimits) -> Result<Unpacked, UnpackError> {
        unpack_zip(self.open(bytes), &self.dest(), limits)
    }

    /// Regular files below `dest` and their bytes; panics on anything that is neither file nor
    /// directory.
    fn written(&self) -> (u64, u64) {
        fn walk(dir: &Path, sum: &mut (u64, u64)) {
            for entry in fs::read_dir(dir).unwrap() {
                let entry = entry.unwrap();
                let data = entry.path().symlink_metadata().unwrap();
                if data.is_dir() {
                    walk(&entry.path(), sum);
                } else {
                    assert!(data.is_file(), "{:?}", entry.path());
                    *sum = (sum.0 + 1, sum.1 + data.len());
                }
            }
        }
        let mut sum = (0, 0);
        walk(&self.dest(), &mut sum);
        sum
    }
}

fn small() -> UnpackLimits {
    UnpackLimits { total_bytes: 4096, file_bytes: 2048, entries: 16, depth: 4, path_bytes: 64, ratio: 10 }
}

fn refusal(entries: &[Raw]) -> String {
    let bench = Bench::new();
    let error = bench.unpack(&raw_zip(entries), &small()).expect_err("refused");
    assert_eq!(bench.written(), (0, 0), "nothing is written before all names are checked");
    format!("[{}] {error}; {}", error.code(), error.mend())
}

#[test]
fn plain_archives_come_out_as_they_went_in() {
    let bench = Bench::new();
    let mut executable = Raw::new("./program/run.py", "print(1)");
    executable.mode = 0o104_777;
    let entries =
        [Raw::new("program/", ""), executable, Raw::new("数据/a b.csv", "x"), Raw::new("EMPTY", ""), {
            let mut directory = Raw::new("deep/er/", "");
            directory.mode = 0o040_700;
            directory
        }];
    let done = bench.unpack(&raw_zip(&entries), &small()).unwrap();
    assert_eq!(done, Unpacked { files: 3, bytes: 9, case_clashes: Vec::new() });
    assert_eq!(fs::read_to_string(bench.dest().join("program/run.py")).unwrap(), "print(1)");
    assert_eq!(fs::read_to_string(bench.dest().join("数据/a b.csv")).unwrap(), "x");
    let mode = |path: &str| bench.dest().join(path).metadata().unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("program/run.py"), mode("deep/er"), mode("EMPTY")), (0o644, 0o755, 0o644));
}

#[test]
fn crafted_entries_are_refused_with_what_and_how_to_mend() {
    let with = |change: fn(&mut Raw)| {
        let mut raw = Raw::new("entry", "data");
        change(&mut raw);
        refusal(&[Raw::new("first", "1"), raw])
    };
    let overlap = {
        let mut second = Raw::new("b", "xy");
        second.at = Some(0);
        refusal(&[Raw::new("a", "xy"), second])
    };
    let all = [
        with(|e| e.name = b"../../etc/passwd".to_vec()),
        with(|e| e.name = b"a/../b".to_vec()),
        with(|e| e.name = b"/etc/passwd".to_vec()),
        with(|e| e.name = b"C:/x".to_vec()),
        with(|e| e.name = b"..\\x".to_vec()),
        with(|e| e.name = b"a\0b".to_vec()),
        with(|e| e.name = b"\x1b[31mred\x1b[0m".to_vec()),
        with(|e| e.name = b"\xb2\xe2\xca\xd4.csv".to_vec()),
        with(|e| e.mode = 0o120_777),
        with(|e| e.mode = 0o020_666),
        with(|e| e.mode = 0o010_666),
        with(|e| e.flags = 1),
        with(|e| e.method = 12),
        with(|e| e.name = b"first".to_vec()),
        with(|e| e.name = b"./first".to_vec()),
        with(|e| e.name = b"1/2/3/4/5".to_vec()),
        with(|e| e.name = b"n".repeat(70)),
        overlap,
        refusal(&(0..5).map(|i| Raw::new(&format!("{i}/a/b/f"), "")).collect::<Vec<_>>()),
        refusal(&(0..17).map(|i| Raw::new(&format!("f{i}"), "")).collect::<Vec<_>>()),
    ];
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn a_directory_counts_once_however_often_it_is_named() {
    let deep: Vec<_> = (0..12).map(|i| Raw::new(&format!("a/b/c/{i}"), "")).collect();
    let named = ["a/", "a/b/", "a/b/c/"].map(|name| Raw::new(name, ""));
    let all: Vec<_> = named.into_iter().chain(deep).collect();
    assert_eq!(Bench::new().unpack(&raw_zip(&all), &small()).unwrap().files, 12);
}

#[test]
fn a_file_cannot_also_be_a_directory() {
    for entries in [[Raw::new("a", "1"), Raw::new("a/b", "2")], [Raw::new("a/b", "2"), Raw::new("a", "1")]] {
        let bench = Bench::new();
        let error = bench.unpack(&raw_zip(&entries), &small()).expect_err("refused");
        assert_eq!(error.code(), "zip-duplicate", "{error}");
    }
}

#[test]
fn a_link_that_stands_in_the_way_is_not_followed() {
    let bench = Bench::new();
    let outside = bench.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    symlink(&outside, bench.dest().join("a")).unwrap();
    symlink(outside.join("made"), bench.dest().join("b")).unwrap();
    for name in ["a/file", "b"] {
        assert!(bench.unpack(&raw_zip(&[Raw::new(name, "1")]), &small()).is_err());
    }
    assert_eq!(fs::read_dir(outside).unwrap().count(), 0);
}

#[test]
fn names_that_differ_in_case_only_are_reported() {
    let bench = Bench::new();
    let done = bench.unpack(&raw_zip(&[Raw::new("A.csv", "1"), Raw::new("a.csv", "2")]), &small()).unwrap();
    assert_eq!(done.case_clashes, ["a.csv"]);
}

#[test]
fn damaged_bytes_are_noticed() {
    let mut bytes = raw_zip(&[Raw::new("a", "hello")]);
    let at = bytes.windows(5).position(|window| window == b"hello").unwrap();
    bytes[at] = b'j';
    let error = Bench::new().unpack(&bytes, &small()).expect_err("refused");
    assert_eq!(error.code(), "zip-corrupt");
    for end in [0, 3, 30, bytes.len() - 1] {
        let error = Bench::new().unpack(&bytes[..end], &small()).expect_err("refused");
        assert_eq!(error.code(), "zip-unreadable", "{end}");
    }
}

fn zeros(files: usize, bytes: usize) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
    for index in 0..files {
        zip.start_file(format!("f{index}"), SimpleFileOptions::default()).unwrap();
        zip.write_all(&vec![0; bytes]).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

#[test]
fn sizes_are_counted_while_inflating_whatever_the_headers_say() {
    let mut lying = zeros(1, 100_000);
    // Both headers claim ten bytes.
    let real = 100_000u32.to_le_bytes();
    while let Some(at) = lying.windows(4).position(|window| window == real) {
        lying[at..at + 4].copy_from_slice(&10u32.to_le_bytes());
    }
    for archive in [zeros(1, 100_000), lying] {
        let bench = Bench::new();
        assert!(bench.unpack(&archive, &small()).is_err());
        assert!(bench.written().1 <= small().file_bytes);
    }
    let bench = Bench::new();
    let error = bench.unpack(&zeros(3, 2000), &small()).expect_err("refused");
    assert_eq!(error.code(), "zip-too-large");
    assert!(bench.written().1 <= small().total_bytes);
}

#[test]
fn an_archive_that_grows_out_of_proportion_is_a_bomb() {
    let limits = UnpackLimits { ratio: 100, ..UnpackLimits::default() };
    let bench = Bench::new();
    let error = bench.unpack(&zeros(5, 8 << 20), &limits).expect_err("refused");
    assert_eq!(error.code(), "zip-bomb");
    assert!(bench.written().1 <= RATIO_GRACE);
    assert_eq!(Bench::new().unpack(&zeros(1, 8 << 20), &limits).unwrap().bytes, 8 << 20);
}

#[test]
fn a_directory_of_millions_of_entries_is_not_read_to_its_end() {
    let limits = UnpackLimits { entries: 10, ..small() };
    let entries: Vec<Raw> = (0..60_000).map(|i| Raw::new(&format!("{i:064}"), "")).collect();
    let error = Bench::new().unpack(&raw_zip(&entries), &limits).expect_err("refused");
    assert_eq!(error.code(), "zip-too-many-entries");
}

#[test]
fn uploads_are_told_apart() {
    let lay = |name: &str, bytes: &[u8]| {
        let bench = Bench::new();
        let laid = lay_out(bench.open(bytes), name, &bench.dest(), &small());
        laid.map(|laid| {
            let root = laid.root.strip_prefix(bench.dest()).unwrap().display().to_string();
            let mut files: Vec<_> = fs::read_dir(bench.dest())
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            files.sort();
            (laid.kind, root, files.join(" "))
        })
    };
    let code = |command: &str| SubmissionKind::Code { command: Some(command.to_owned()) };
    let at_root = raw_zip(&[Raw::new("metadata", "command: python x.py")]);
    assert_eq!(lay("s.zip", &at_root).unwrap(), (code("python x.py"), String::new(), "metadata".to_owned()));
    let folder = raw_zip(&[
        Raw::new("s/metadata", "command: old"),
        Raw::new("s/metadata.yaml", "command: new"),
        Raw::new("__MACOSX/._s", ""),
    ]);
    assert_eq!(lay("S.ZIP", &folder).unwrap().0, code("new"));
    assert_eq!(lay("S.ZIP", &folder).unwrap().1, "s");
    let silent = raw_zip(&[Raw::new("metadata", "description: a model"), Raw::new("model.py", "")]);
    assert_eq!(lay("s.zip", &silent).unwrap().0, SubmissionKind::Code { command: None });
    let result = raw_zip(&[Raw::new("out/predictions.csv", "1")]);
    assert_eq!(lay("s.zip", &result).unwrap(), (SubmissionKind::Result, String::new(), "out".to_owned()));
    assert_eq!(
        lay("my model.py", b"print(1)").unwrap(),
        (code("python3 $program/main.py $input $output"), String::new(), "main.py metadata.yaml".to_owned())
    );
    assert_eq!(lay("predict.py", b"print(1)").unwrap().2, "metadata.yaml predict.py");
    assert_eq!(lay("结果.csv", b"id,y\n").unwrap().2, "predictions.csv");
    assert_eq!(lay("p.parquet", b"PAR1...").unwrap().0, SubmissionKind::Result);
    let refused = [
        lay("p.parquet", b"id,y"),
        lay("s.zip", b"id,y"),
        lay("p.csv", b"PK\x03\x04\0"),
        lay("\x1b[1mx.tar.gz", b""),
        lay("s.zip", &raw_zip(&[Raw::new("d/", "")])),
        lay("p.csv", &[b'1'; 3000]),
    ];
    let messages = refused.map(|refused| {
        let error: DetectError = refused.expect_err("refused");
        error.to_string()
    });
    insta::assert_snapshot!(messages.join("\n"));
}

fn any_name() -> impl Strategy<Value = Vec<u8>> {
    let part = prop::sample::select(vec![
        &b"a"[..],
        b"b",
        b"..",
        b".",
        b"",
        b"C:",
        b"\\",
        b"\xff",
        "数".as_bytes(),
        b"\0",
        b"metadata",
    ]);
    prop::collection::vec(part, 0..6).prop_map(|parts| parts.join(&b'/'))
}

fn any_entry() -> impl Strategy<Value = Raw> {
    let mode = prop::sample::select(vec![0, 0o100_644, 0o040_755, 0o120_777, 0o060_600]);
    let data = prop::collection::vec(any::<u8>(), 0..1500);
    (any_name(), data, mode, 0..4u16, prop::sample::select(vec![0u16, 0, 0, 8, 12])).prop_map(
        |(name, data, mode, flags, method)| Raw { name, data, mode, flags: flags & 1, method, at: None },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn no_archive_escapes_or_outgrows(
        entries in prop::collection::vec(any_entry(), 0..8),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
    ) {
        let bench = Bench::new();
        let mut bytes = raw_zip(&entries);
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let outcome = bench.unpack(&bytes, &small());
        let (files, size) = bench.written();
        prop_assert!(size <= small().total_bytes);
        prop_assert!(files <= small().entries as u64);
        if let Ok(done) = outcome {
            prop_assert_eq!((done.files, done.bytes), (files, size));
        }
        let mut beside: Vec<_> = fs::read_dir(bench.dir.path()).unwrap()
            .map(|entry| entry.unwrap().file_name()).collect();
        beside.sort();
        prop_assert_eq!(beside, ["dest", "upload.zip"]);
    }

    #[test]
    fn arbitrary_bytes_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        let bench = Bench::new();
        let _ = bench.unpack(&bytes, &small());
        prop_assert!(bench.written().1 <= small().total_bytes);
    }
}
