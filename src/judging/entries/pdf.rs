//! Reports as PDF: whether a file is one, and what it says of its authors outside of its pages.
//!
//! The entries of the document information dictionary (ISO 32000-2, 14.3.3) and of XMP packets (14.3.2)
//! are looked for in the file's bytes and in those of its streams that hold objects or metadata. What
//! stands on its pages is not looked through: the letters there are numbers of glyphs, and to turn them
//! into text takes a renderer.

use std::io::Read as _;

use flate2::read::ZlibDecoder;

use super::model::FileFacts;

/// Bytes taken out of one packed stream.
const STREAM_BYTES: u64 = 4 << 20;
/// Packed streams that are looked into.
const STREAMS: usize = 2000;
/// Bytes of what is listed of one field.
const VALUE: usize = 200;
/// Fields that are listed.
const FIELDS: usize = 12;

/// Entries of the information dictionary that may name somebody.
const KEYS: [&str; 4] = ["Author", "Creator", "Company", "Manager"];
/// Elements of XMP that may.
const ELEMENTS: [(&str, &str); 3] =
    [("dc:creator", "Author"), ("xmp:CreatorTool", "Creator"), ("photoshop:AuthorsPosition", "Author")];

/// Why a report was refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PdfError {
    /// Of another kind.
    #[error("this is no PDF file; export the report as PDF, or write it as text")]
    Kind,
    /// Without its end.
    #[error("the PDF file is cut off: its end is missing; export it anew")]
    CutOff,
}

/// Looks a report over.
///
/// # Errors
/// [`PdfError`] when it is no PDF, or has no end.
pub fn inspect(file: &[u8]) -> Result<FileFacts, PdfError> {
    if !file.starts_with(b"%PDF-") {
        return Err(PdfError::Kind);
    }
    let tail = &file[file.len().saturating_sub(4096)..];
    if find(tail, b"%%EOF", 0).is_none() {
        return Err(PdfError::CutOff);
    }
    let mut facts = FileFacts { locked: is_encrypted(file), says: Vec::new() };
    if !facts.locked {
        gather(file, file, &mut facts.says);
        each_stream(file, |unpacked| gather(unpacked, file, &mut facts.says));
    }
    Ok(facts)
}

fn find(bytes: &[u8], wanted: &[u8], from: usize) -> Option<usize> {
    let first = *wanted.first()?;
    let mut at = from;
    while let Some(step) = bytes.get(at..)?.iter().position(|byte| *byte == first) {
        at += step;
        if bytes[at..].starts_with(wanted) {
            return Some(at);
        }
        at += 1;
    }
    None
}

/// Whether the trailer names an encryption dictionary.
fn is_encrypted(file: &[u8]) -> bool {
    let mut at = 0;
    while let Some(found) = find(file, b"/Encrypt", at) {
        at = found + 8;
        let rest = skip_space(&file[at..]);
        if rest.first().is_some_and(u8::is_ascii_digit) || rest.starts_with(b"<<") {
            return true;
        }
    }
    false
}

fn skip_space(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|byte| !byte.is_ascii_whitespace() && *byte != 0);
    &bytes[end.unwrap_or(bytes.len())..]
}

/// Hands on the unpacked content of every packed stream of objects or metadata.
fn each_stream(file: &[u8], mut take: impl FnMut(&[u8])) {
    let mut at = 0;
    for _ in 0..STREAMS {
        let Some(found) = find(file, b"stream", at) else { return };
        at = found + 6;
        let head = &file[found.saturating_sub(600)..found];
        let head = &head[last(head, b"obj").unwrap_or(0)..];
        let of_ours = [&b"/ObjStm"[..], b"/Metadata"].iter().any(|kind| find(head, kind, 0).is_some());
        if !of_ours || find(head, b"FlateDecode", 0).is_none() {
            continue;
        }
        let mut body = &file[at..];
        body = body.strip_prefix(b"\r").unwrap_or(body);
        body = body.strip_prefix(b"\n").unwrap_or(body);
        let mut unpacked = Vec::new();
        // what could be unpacked of a broken one is looked at all the same
        let _ = ZlibDecoder::new(body).take(STREAM_BYTES).read_to_end(&mut unpacked);
        take(&unpacked);
    }
}

fn last(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).rposition(|window| window == wanted)
}

fn gather(bytes: &[u8], file: &[u8], says: &mut Vec<(String, String)>) {
    for key in KEYS {
        let wanted = format!("/{key}");
        let mut at = 0;
        while let Some(found) = find(bytes, wanted.as_bytes(), at) {
            at = found + wanted.len();
            if let Some(value) = value(&bytes[at..], file) {
                note(says, key, &value);
            }
        }
    }
    for (element, field) in ELEMENTS {
        let mut at = 0;
        let (open, close) = (format!("<{element}"), format!("</{element}>"));
        while let Some(found) = find(bytes, open.as_bytes(), at) {
            at = found + open.len();
            let Some(end) = find(bytes, close.as_bytes(), at) else { break };
            let inner = String::from_utf8_lossy(&bytes[at..end.min(at + 4096)]).into_owned();
            note(says, field, &text_of(&inner));
        }
    }
}

fn note(says: &mut Vec<(String, String)>, field: &str, value: &str) {
    let value: String = value.chars().filter(|c| !c.is_control()).take(VALUE).collect();
    let entry = (field.to_owned(), value.trim().to_owned());
    if !entry.1.is_empty() && says.len() < FIELDS && !says.contains(&entry) {
        says.push(entry);
    }
}

/// The text between the tags of a piece of XML that begins within a tag.
fn text_of(xml: &str) -> String {
    let pieces = xml.split('<').map(|piece| piece.split_once('>').map_or("", |(_, text)| text).trim());
    let text = pieces.filter(|text| !text.is_empty()).collect::<Vec<_>>().join(", ");
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}

/// The string that stands there, or in the object that is referred to there.
fn value(bytes: &[u8], file: &[u8]) -> Option<String> {
    let rest = skip_space(bytes);
    match rest.first()? {
        b'(' => literal(rest),
        b'<' if rest.get(1) != Some(&b'<') => hexadecimal(rest),
        digit if digit.is_ascii_digit() => referred(rest, file),
        _ => None,
    }
}

fn referred(bytes: &[u8], file: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes[..bytes.len().min(24)].split(|b| !b.is_ascii()).next()?).ok()?;
    let mut words = text.split_ascii_whitespace();
    let (number, generation) = (words.next()?, words.next()?);
    if !words.next()?.starts_with('R') || !number.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let wanted = format!("{number} {generation} obj");
    let mut at = 0;
    while let Some(found) = find(file, wanted.as_bytes(), at) {
        at = found + wanted.len();
        if found == 0 || !file[found - 1].is_ascii_digit() {
            let rest = skip_space(&file[at..]);
            return match rest.first()? {
                b'(' => literal(rest),
                b'<' if rest.get(1) != Some(&b'<') => hexadecimal(rest),
                _ => None,
            };
        }
    }
    None
}

/// A string in parentheses (7.3.4.2).
fn literal(bytes: &[u8]) -> Option<String> {
    let mut raw = Vec::new();
    let (mut depth, mut at) = (0, 0);
    while at < bytes.len() && raw.len() < 4 * VALUE {
        match bytes[at] {
            b'(' => {
                depth += 1;
                if depth > 1 {
                    raw.push(b'(');
                }
            }
            b')' => {
                depth -= 1;
                if depth == 0 {
                    return Some(string(&raw));
                }
                raw.push(b')');
            }
            b'\\' => at += escape(&bytes[at + 1..], &mut raw),
            byte => raw.push(byte),
        }
        at += 1;
    }
    (!raw.is_empty()).then(|| string(&raw))
}

/// What stands behind a backslash; gives how many bytes that are.
fn escape(bytes: &[u8], raw: &mut Vec<u8>) -> usize {
    let Some(byte) = bytes.first() else { return 0 };
    let octal = bytes.iter().take(3).take_while(|b| (b'0'..=b'7').contains(b)).count();
    if octal > 0 {
        let value = bytes[..octal].iter().fold(0u32, |sum, b| sum * 8 + u32::from(b - b'0'));
        raw.push((value & 0xff) as u8);
        return octal;
    }
    match byte {
        b'n' | b'r' | b't' => raw.push(b' '),
        b'\n' | b'\r' => {}
        byte => raw.push(*byte),
    }
    1
}

/// A string of hexadecimal digits (7.3.4.3).
fn hexadecimal(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().take(8 * VALUE).position(|byte| *byte == b'>')?;
    let mut digits: String =
        bytes[1..end].iter().filter(|b| b.is_ascii_hexdigit()).map(|b| char::from(*b)).collect();
    if digits.len() % 2 == 1 {
        digits.push('0');
    }
    hex::decode(digits).ok().map(|raw| string(&raw))
}

/// A text string (7.9.2.2): UTF-16 or UTF-8 with a byte order mark, else Latin letters.
fn string(raw: &[u8]) -> String {
    match raw {
        [0xfe, 0xff, rest @ ..] => {
            let pairs: Vec<u16> = rest.chunks_exact(2).map(|p| u16::from_be_bytes([p[0], p[1]])).collect();
            String::from_utf16_lossy(&pairs)
        }
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest).into_owned(),
        raw => match std::str::from_utf8(raw) {
            Ok(text) => text.to_owned(),
            Err(_) => raw.iter().map(|byte| char::from(*byte)).collect(),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use proptest::prelude::*;

    use super::*;

    fn says(body: &[u8]) -> Vec<(String, String)> {
        let mut file = b"%PDF-1.7\n".to_vec();
        file.extend(body);
        file.extend(b"\nstartxref\n0\n%%EOF\n");
        inspect(&file).unwrap().says
    }

    fn pair(field: &str, value: &str) -> (String, String) {
        (field.to_owned(), value.to_owned())
    }

    #[test]
    fn names_in_the_description_are_found_in_every_way_they_are_written() {
        assert_eq!(
            says(b"<< /Author (Wang \\(Wei\\) \\101) /Creator(Word) >>"),
            [pair("Author", "Wang (Wei) A"), pair("Creator", "Word")]
        );
        assert_eq!(says(b"/Author <FEFF738B4F1F>"), [pair("Author", "王伟")]);
        assert_eq!(
            says(b"/Author 12 0 R\n112 0 obj (no)\n12 0 obj\n(Li Wei)\nendobj"),
            [pair("Author", "Li Wei")]
        );
        let xmp =
            b"<dc:creator><rdf:Seq><rdf:li>Li &amp; Wei</rdf:li><rdf:li>B</rdf:li></rdf:Seq></dc:creator>";
        assert_eq!(says(xmp), [pair("Author", "Li & Wei, B")]);
        assert!(says(b"/Title (x) /Authors 3 /Author /Creator").is_empty());
    }

    #[test]
    fn packed_descriptions_are_looked_into_and_bombs_are_not_blown_up() {
        let packed = |text: &[u8]| {
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
            encoder.write_all(text).unwrap();
            let mut body = b"3 0 obj << /Type /ObjStm /Filter /FlateDecode >> stream\r\n".to_vec();
            body.extend(encoder.finish().unwrap());
            body.extend(b"\nendstream");
            body
        };
        assert_eq!(says(&packed(b"<< /Author (Zhang San) >>")), [pair("Author", "Zhang San")]);
        let bomb = packed(&vec![b'('; 64 << 20]);
        assert!(bomb.len() < 1 << 20);
        assert!(says(&bomb).is_empty());
    }

    #[test]
    fn other_files_cut_ones_and_locked_ones_are_told_apart() {
        assert_eq!(inspect(b"hello"), Err(PdfError::Kind));
        assert_eq!(inspect(b"%PDF-1.4\n1 0 obj"), Err(PdfError::CutOff));
        let locked = inspect(b"%PDF-1.4\n/Author (x) trailer << /Encrypt 5 0 R >>\n%%EOF").unwrap();
        assert!(locked.locked && locked.says.is_empty());
    }

    proptest! {
        #[test]
        fn no_file_makes_it_fail(body in proptest::collection::vec(any::<u8>(), 0..600), key in 0..4usize) {
            let mut file = b"/Author".to_vec();
            file.insert(1, [b'(', b'<', b'1', b'\\'][key]);
            file.extend(&body);
            file.extend(b"/Author (\\");
            says(&file);
        }
    }
}
