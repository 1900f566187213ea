//! Wheels as `pip wheel` makes them, for any platform.

use std::io::{Cursor, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

/// A wheel's file name and bytes, with these files beside what says what it is.
pub fn wheel(name: &str, version: &str, files: &[(&str, &str)]) -> (String, Vec<u8>) {
    let info = format!("{name}-{version}.dist-info");
    let metadata = format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n");
    let says = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n";
    let mut all: Vec<(String, Vec<u8>)> =
        files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect();
    all.push((format!("{info}/METADATA"), metadata.into_bytes()));
    all.push((format!("{info}/WHEEL"), says.as_bytes().to_vec()));
    let line = |(path, content): &(String, Vec<u8>)| {
        format!("{path},sha256={},{}\n", URL_SAFE_NO_PAD.encode(Sha256::digest(content)), content.len())
    };
    let record: String = all.iter().map(line).collect();
    all.push((format!("{info}/RECORD"), format!("{record}{info}/RECORD,,\n").into_bytes()));
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (path, content) in &all {
        archive.start_file(path.as_str(), zip::write::SimpleFileOptions::default()).unwrap();
        archive.write_all(content).unwrap();
    }
    (format!("{name}-{version}-py3-none-any.whl"), archive.finish().unwrap().into_inner())
}
