//! Dates as bundles write them: ISO 8601, or month first as Codabench's users do, always UTC unless
//! an offset is written.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Offset, TimeZone};

/// A date that was understood, and what is worth saying about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ReadDate {
    /// The moment.
    pub(super) at: Timestamp,
    /// The day stood before the month, because no month has that number.
    pub(super) day_first: bool,
    /// An offset from UTC was written; Codabench ignores it.
    pub(super) offset: bool,
}

/// Reads a date or a date with a time; a date alone means midnight UTC. `None` when it is not one.
pub(super) fn read_date(text: &str) -> Option<ReadDate> {
    let text = text.trim().replace(',', " ");
    let (date, rest, day_first) = split_date(&text)?;
    let rest = rest.trim_start_matches(['T', 't']).trim();
    let (time, offset) = if rest.is_empty() { (Time::midnight(), None) } else { read_time(rest)? };
    let zone = TimeZone::fixed(offset.unwrap_or(Offset::UTC));
    let at = DateTime::from_parts(date, time).to_zoned(zone).ok()?.timestamp();
    Some(ReadDate { at, day_first, offset: offset.is_some_and(|offset| offset != Offset::UTC) })
}

/// The date at the beginning, and what follows it.
fn split_date(text: &str) -> Option<(Date, &str, bool)> {
    if text.starts_with(|c: char| c.is_ascii_alphabetic()) {
        // Jan 31 2026
        let (month, rest) = word(text)?;
        let (day, rest) = number(rest.trim_start())?;
        let (year, rest) = number(rest.trim_start())?;
        return Some((date(year, month_named(month)?, day)?, rest, false));
    }
    let (first, rest) = number(text)?;
    let separator = rest.chars().next()?;
    if separator == ' ' && rest.trim_start().starts_with(|c: char| c.is_ascii_alphabetic()) {
        // 31 Jan 2026
        let (month, rest) = word(rest.trim_start())?;
        let (year, rest) = number(rest.trim_start())?;
        return Some((date(year, month_named(month)?, first)?, rest, false));
    }
    if !matches!(separator, '-' | '/' | '.') {
        return None;
    }
    let (second, rest) = number(&rest[1..])?;
    let (third, rest) = number(rest.strip_prefix(separator)?)?;
    if first >= 1000 {
        return Some((date(first, second, third)?, rest, false));
    }
    // Month first, unless the first number can only be a day.
    match date(third, first, second) {
        Some(date) => Some((date, rest, false)),
        None => Some((date(third, second, first)?, rest, true)),
    }
}

fn date(year: i64, month: i64, day: i64) -> Option<Date> {
    if !(1970..=9998).contains(&year) {
        return None;
    }
    Date::new(year.try_into().ok()?, month.try_into().ok()?, day.try_into().ok()?).ok()
}

fn number(text: &str) -> Option<(i64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (1..=4).contains(&end).then(|| text[..end].parse().ok().map(|value| (value, &text[end..])))?
}

fn word(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(text.len());
    Some((&text[..end], text[end..].trim_start_matches('.')))
}

fn month_named(name: &str) -> Option<i64> {
    const MONTHS: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let name = name.to_ascii_lowercase();
    let found = MONTHS.iter().position(|month| name.len() >= 3 && month.starts_with(&name))?;
    i64::try_from(found + 1).ok()
}

/// `14`, `14:30`, `14:30:05.25`, with `am` or `pm` and `Z`, `UTC`, `GMT` or an offset behind.
fn read_time(text: &str) -> Option<(Time, Option<Offset>)> {
    let (hour, mut rest) = number(text)?;
    let (mut minute, mut second, mut nanosecond) = (0, 0, 0);
    let mut precise = false;
    if let Some(more) = rest.strip_prefix(':') {
        precise = true;
        (minute, rest) = number(more)?;
        if let Some(more) = rest.strip_prefix(':') {
            (second, rest) = number(more)?;
            if let Some(more) = rest.strip_prefix('.') {
                let end = more.find(|c: char| !c.is_ascii_digit()).unwrap_or(more.len());
                let digits = more.get(..end.min(9)).filter(|digits| !digits.is_empty())?;
                nanosecond = format!("{digits:0<9}").parse().ok()?;
                rest = &more[end..];
            }
        }
    }
    let rest = rest.trim().to_ascii_lowercase();
    let (hour, rest) = match (rest.strip_prefix("am"), rest.strip_prefix("pm")) {
        (Some(rest), _) if (1..=12).contains(&hour) => (hour % 12, rest.trim()),
        (_, Some(rest)) if (1..=12).contains(&hour) => (hour % 12 + 12, rest.trim()),
        _ if precise => (hour, rest.as_str()),
        _ => return None,
    };
    let offset = match rest {
        "" => None,
        "z" | "utc" | "gmt" => Some(Offset::UTC),
        rest => Some(read_offset(rest)?),
    };
    let time = Time::new(hour.try_into().ok()?, minute.try_into().ok()?, second.try_into().ok()?, nanosecond)
        .ok()?;
    Some((time, offset))
}

fn read_offset(text: &str) -> Option<Offset> {
    let text = text.strip_prefix("utc").or_else(|| text.strip_prefix("gmt")).unwrap_or(text);
    let sign = match text.chars().next()? {
        '+' => 1,
        '-' => -1,
        _ => return None,
    };
    let digits = text[1..].replace(':', "");
    if !digits.chars().all(|c| c.is_ascii_digit()) || !matches!(digits.len(), 1 | 2 | 4) {
        return None;
    }
    let (hours, minutes) = if digits.len() == 4 { digits.split_at(2) } else { (digits.as_str(), "0") };
    let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
    if minutes > 59 {
        return None;
    }
    Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        match read_date(text) {
            None => "none".to_owned(),
            Some(ReadDate { at, day_first, offset }) => {
                let note = [(day_first, " day-first"), (offset, " offset")];
                let note: String = note.iter().filter(|(is, _)| *is).map(|(_, note)| *note).collect();
                format!("{at}{note}")
            }
        }
    }

    #[test]
    fn dates_are_read_month_first_or_iso() {
        let table = [
            ("2026-01-31", "2026-01-31T00:00:00Z"),
            ("2026-1-5 0:0:0", "2026-01-05T00:00:00Z"),
            ("12-31-2026", "2026-12-31T00:00:00Z"),
            ("8-7-2019", "2019-08-07T00:00:00Z"),
            ("8/7/2019 13:30", "2019-08-07T13:30:00Z"),
            ("31-12-2026", "2026-12-31T00:00:00Z day-first"),
            ("2019-12-12 13:30:00", "2019-12-12T13:30:00Z"),
            ("2019-12-12T13:30:00Z", "2019-12-12T13:30:00Z"),
            ("2019-12-12T13:30:00.250+08:00", "2019-12-12T05:30:00.25Z offset"),
            ("2019-12-12 13:30 UTC", "2019-12-12T13:30:00Z"),
            ("2019-12-12 00:30 +0800", "2019-12-11T16:30:00Z offset"),
            ("January 31, 2026", "2026-01-31T00:00:00Z"),
            ("31 Jan. 2026 11:59 pm", "2026-01-31T23:59:00Z"),
            ("May 1 2026 5pm", "2026-05-01T17:00:00Z"),
            ("12-31-2026 12am", "2026-12-31T00:00:00Z"),
            ("2024-02-29", "2024-02-29T00:00:00Z"),
            ("2023-02-29", "none"),
            ("13-13-2026", "none"),
            ("2026-01-31 25:00", "none"),
            ("2026-01", "none"),
            ("20260131", "none"),
            ("tomorrow", "none"),
            ("1-1-26", "none"),
            ("2026-01-01 5", "none"),
            ("", "none"),
            ("2026-01-01 10:00 数", "none"),
        ];
        for (text, expected) in table {
            assert_eq!(read(text), expected, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,24}") {
            let _ = read_date(&text);
        }

        #[test]
        fn what_is_written_is_read_again(seconds in 0i64..253_000_000_000, nanosecond in 0i32..1_000_000_000) {
            let at = Timestamp::new(seconds, nanosecond).unwrap();
            proptest::prop_assert_eq!(read_date(&at.to_string()).map(|read| read.at), Some(at));
        }
    }
}
