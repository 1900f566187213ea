//! The mask: finds the names of an entry's authors in its texts, and blots them out for blind judges.
//!
//! A name is found whatever its case, in full-width letters, with invisible characters in it, and with
//! other separators between its words (`li-wei` for `Li Wei`). Where it begins or ends in a letter or
//! digit of an alphabetic script it has to stand as a word; Chinese, Japanese and Korean names are found
//! anywhere, also when set with spaces (`王 伟`). A name of one character is not looked for: it would
//! blot out half a text.

use std::collections::HashMap;
use std::ops::Range;

use crate::people::invisible;

/// What stands in a name's place.
pub const BLOT: &str = "▇▇▇";

/// A character of a text as it is compared, and the bytes it comes from.
struct Unit {
    c: char,
    from: usize,
    to: usize,
}

/// A part of a name: a character as it is compared, or a place between words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Char(char),
    Gap,
}

#[derive(Clone, Debug)]
struct Name {
    /// As its owner writes it.
    shown: String,
    parts: Vec<Part>,
}

/// The names that blind judges must not read.
#[derive(Clone, Debug, Default)]
pub struct Names {
    list: Vec<Name>,
    by_first: HashMap<char, Vec<usize>>,
}

/// Whether a character is of a script that sets no spaces between words, or may not.
fn unspaced(c: char) -> bool {
    matches!(c, '\u{2e80}'..='\u{9fff}' | '\u{a000}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7af}' | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{3ffff}')
}

fn separates(c: char) -> bool {
    c.is_whitespace() || matches!(c, '-' | '_' | '.' | '·' | '•' | '・' | '‐' | '‑' | '–' | '+' | '\'' | '’')
}

/// A letter or digit that has to stand apart from others to end a word.
fn spaced_letter(c: char) -> bool {
    c.is_alphanumeric() && !unspaced(c)
}

/// A character as it is compared: lower case, ASCII where it has a full-width twin.
fn folded(c: char) -> impl Iterator<Item = char> {
    let narrow = match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        '\u{3000}' => ' ',
        c => c,
    };
    narrow.to_lowercase()
}

fn units(text: &str) -> Vec<Unit> {
    let mut units = Vec::with_capacity(text.len());
    for (from, c) in text.char_indices() {
        // line ends and tabs count as control characters, and separate all the same
        if invisible(c) && !c.is_whitespace() {
            continue;
        }
        let to = from + c.len_utf8();
        units.extend(folded(c).map(|c| Unit { c, from, to }));
    }
    units
}

fn parts(name: &str) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for Unit { c, .. } in units(name) {
        match separates(c) {
            true if parts.last().is_some_and(|last| *last != Part::Gap) => parts.push(Part::Gap),
            true => {}
            false => parts.push(Part::Char(c)),
        }
    }
    while parts.last() == Some(&Part::Gap) {
        parts.pop();
    }
    // between characters of unspaced scripts a gap says nothing: it is allowed everywhere
    let close = |at: usize| matches!(parts.get(at), Some(Part::Char(c)) if unspaced(*c));
    let keep: Vec<bool> = (0..parts.len())
        .map(|at| parts[at] != Part::Gap || !(at > 0 && close(at - 1) && close(at + 1)))
        .collect();
    parts.iter().zip(keep).filter_map(|(part, keep)| keep.then_some(*part)).collect()
}

impl Names {
    /// The names to look for; such as are blank or of one character are left out, and doubles.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut all = Self::default();
        for shown in names {
            let parts = parts(shown);
            let letters = parts.iter().filter(|part| matches!(part, Part::Char(c) if c.is_alphanumeric()));
            if letters.count() < 2 || all.list.iter().any(|name| name.parts == parts) {
                continue;
            }
            if let Some(Part::Char(first)) = parts.first() {
                all.by_first.entry(*first).or_default().push(all.list.len());
                all.list.push(Name { shown: shown.trim().to_owned(), parts });
            }
        }
        all
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Where names stand in a text, as bytes, with the name as its owner writes it; in order, and they
    /// may overlap.
    /// An address that names somebody, be it within a longer word, is found as a whole.
    pub fn find(&self, text: &str) -> Vec<(Range<usize>, &str)> {
        let mut found = self.search(text, true);
        if text.contains("://") || text.contains('@') || text.contains("www.") {
            for (from, address) in addresses(text) {
                let named = self.named_in_address(address);
                found.extend(named.into_iter().map(|name| (from..from + address.len(), name)));
            }
        }
        found
    }

    fn search(&self, text: &str, words: bool) -> Vec<(Range<usize>, &str)> {
        let mut found = Vec::new();
        if self.is_empty() {
            return found;
        }
        let units = units(text);
        for at in 0..units.len() {
            let Some(candidates) = self.by_first.get(&units[at].c) else { continue };
            for name in candidates.iter().map(|index| &self.list[*index]) {
                if let Some(end) = matched(&name.parts, &units, at, words) {
                    found.push((units[at].from..units[end - 1].to, name.shown.as_str()));
                }
            }
        }
        found
    }

    /// The names that stand in a text, each once.
    pub fn named(&self, text: &str) -> Vec<&str> {
        distinct(self.find(text).into_iter().map(|(_, name)| name))
    }

    /// The names that stand in the address of a link: there they need not be words (`alice2024`).
    pub fn named_in_address(&self, address: &str) -> Vec<&str> {
        let plain = percent_encoding::percent_decode_str(address).decode_utf8_lossy();
        distinct(self.search(&plain, false).into_iter().map(|(_, name)| name))
    }

    /// The text with every name blotted out. Masking twice is masking once, and nothing that
    /// [`Names::find`] finds is left.
    pub fn mask(&self, text: &str) -> String {
        let mut masked = text.to_owned();
        loop {
            let ranges = joined(self.find(&masked).into_iter().map(|(range, _)| range).collect());
            if ranges.is_empty() {
                return masked;
            }
            masked = blotted(&masked, 0, &ranges);
        }
    }
}

/// The pieces of a text that may be addresses, and the byte at which each begins.
fn addresses(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let ends = |c: char| c.is_whitespace() || "()<>[]{}\"'`|，。；：、！？（）《》“”「」【】¶▇".contains(c);
    let pieces = text.split(ends).map(move |piece| (piece.as_ptr() as usize - text.as_ptr() as usize, piece));
    pieces.filter(|(_, piece)| piece.contains("://") || piece.contains('@') || piece.contains("www."))
}

/// The end of a name that begins at a unit, if it stands there.
fn matched(parts: &[Part], units: &[Unit], at: usize, words: bool) -> Option<usize> {
    let mut place = at;
    let mut before: Option<char> = None;
    for part in parts {
        let skip = match (part, before) {
            (Part::Gap, _) => true,
            (Part::Char(next), Some(before)) => unspaced(before) && unspaced(*next),
            (Part::Char(_), None) => false,
        };
        while skip && units.get(place).is_some_and(|unit| separates(unit.c)) {
            place += 1;
        }
        if let Part::Char(c) = part {
            if units.get(place).is_none_or(|unit| unit.c != *c) {
                return None;
            }
            place += 1;
            before = Some(*c);
        }
    }
    let first = units.get(at).map(|unit| unit.c)?;
    let beside = |index: Option<usize>| index.and_then(|index| units.get(index)).map(|unit| unit.c);
    let runs_on = |edge: char, next: Option<char>| spaced_letter(edge) && next.is_some_and(spaced_letter);
    let stands = !runs_on(first, beside(at.checked_sub(1)))
        && !before.is_some_and(|last| runs_on(last, beside(Some(place))));
    (stands || !words).then_some(place)
}

fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut distinct = Vec::new();
    for name in names {
        if !distinct.contains(&name) {
            distinct.push(name);
        }
    }
    distinct
}

/// Ranges in order, those that overlap made one.
pub fn joined(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.sort_by_key(|range| (range.start, range.end));
    let mut joined: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if range.start < last.end => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}

/// A piece of a text that begins at byte `from` of the whole, with the ranges of the whole blotted out. A
/// range that reaches over several pieces is blotted in each.
pub fn blotted(piece: &str, from: usize, ranges: &[Range<usize>]) -> String {
    let mut out = String::with_capacity(piece.len());
    let mut done = 0;
    for range in ranges {
        let (start, end) = (range.start.max(from), range.end.min(from + piece.len()));
        if start >= end {
            continue;
        }
        out.push_str(piece.get(done..start - from).unwrap_or_default());
        out.push_str(BLOT);
        done = end - from;
    }
    out.push_str(piece.get(done..).unwrap_or_default());
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names() -> Names {
        Names::new(["Alice", "Li Wei", "王伟", "北京数据局", "A队", "x", "···", "ALICE", "O'Neil"])
    }

    #[test]
    fn names_are_found_as_words_whatever_their_form() {
        let names = names();
        for (text, masked) in [
            ("Made by alice.", "Made by ▇▇▇."),
            ("Malice and alices stay, ALICE_2 goes", "Malice and alices stay, ▇▇▇_2 goes"),
            ("我是Alice的朋友", "我是▇▇▇的朋友"),
            ("ＡＬＩＣＥ", "▇▇▇"),
            ("al\u{200b}ice", "▇▇▇"),
            ("li-wei, LI  WEI, liwei\nLi\nWei", "▇▇▇, ▇▇▇, ▇▇▇\n▇▇▇"),
            ("作者王伟和王 伟，王大伟不是", "作者▇▇▇和▇▇▇，王大伟不是"),
            ("来自北京数据局的作品", "来自▇▇▇的作品"),
            ("BA队 A队员", "BA队 ▇▇▇员"),
            ("x marks ·", "x marks ·"),
            ("see https://git.example/alice2024, or mail x@alices.example", "see ▇▇▇ or mail ▇▇▇"),
            ("O’Neil and oneil", "▇▇▇ and ▇▇▇"),
        ] {
            assert_eq!(names.mask(text), masked, "{text}");
        }
        assert_eq!(names.named("alice, ALICE, 王伟"), ["Alice", "王伟"]);
    }

    #[test]
    fn an_address_hides_no_name_in_a_longer_word() {
        let names = names();
        assert_eq!(names.named_in_address("https://git.example/alice2024/x"), ["Alice"]);
        assert_eq!(names.named_in_address("https://e.cn/%E7%8E%8B%E4%BC%9F"), ["王伟"]);
        assert!(names.named_in_address("https://example.cn/demo").is_empty());
    }

    #[test]
    fn overlapping_names_leave_nothing_between() {
        let names = Names::new(["Anna Li", "Li Wei", "数据局", "京数据"]);
        assert_eq!(names.mask("Anna Li Wei"), "▇▇▇");
        assert_eq!(names.mask("北京数据局"), "北▇▇▇");
    }

    proptest! {
        #[test]
        fn no_name_is_left_and_masking_twice_is_masking_once(
            names in proptest::collection::vec("[a-cA-C王伟李 .'Ａ1]{1,5}", 0..6),
            text in "[a-cA-C王伟李 \n.'Ａ1\u{200b}*▇]{0,40}",
        ) {
            let names = Names::new(names.iter().map(String::as_str));
            let masked = names.mask(&text);
            prop_assert_eq!(names.find(&masked), vec![]);
            prop_assert_eq!(names.mask(&masked), masked);
        }

        #[test]
        fn a_name_is_found_wherever_it_stands_as_a_word(
            before in "[a-z王 ,。]{0,10}", name in "[a-z王伟]{2,8}", after in "[a-z王 ,。]{0,10}",
        ) {
            let text = format!("{before} {} {after}", name.to_uppercase());
            let masked = Names::new([name.as_str()]).mask(&text);
            prop_assert!(!masked.contains(&name.to_uppercase()), "{}", masked);
        }
    }
}
