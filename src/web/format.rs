//! How numbers, sizes, durations and times are written (UX.md, Words).

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};

use super::lang::Lang;

/// Between groups of three digits: a narrow space that does not break.
const THIN: char = '\u{202f}';

/// A whole number in groups of three: `1 234 567`.
pub fn integer(number: i64) -> String {
    grouped(&number.unsigned_abs().to_string(), number < 0)
}

fn grouped(digits: &str, negative: bool) -> String {
    let mut text = String::with_capacity(digits.len() * 2);
    if negative {
        text.push('−');
    }
    for (i, digit) in digits.chars().enumerate() {
        let left = digits.len() - i;
        // Four digits stay together (ISO 80000-1, section 7.3.1).
        if i > 0 && left.is_multiple_of(3) && digits.len() > 4 {
            text.push(THIN);
        }
        text.push(digit);
    }
    text
}

/// A number with so many decimals: `1 234.50`; `–` when it is none.
pub fn decimal(number: f64, decimals: usize) -> String {
    if !number.is_finite() {
        return "–".into();
    }
    let text = format!("{:.decimals$}", number.abs());
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let negative = number < 0.0 && text.chars().any(|c| c.is_ascii_digit() && c != '0');
    let whole = grouped(whole, negative);
    if fraction.is_empty() { whole } else { format!("{whole}.{fraction}") }
}

/// A size in bytes: `512 B`, `1.5 KiB`, `100 MiB`.
pub fn size(bytes: i64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let mut value = bytes.unsigned_abs() as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let decimals = usize::from(unit > 0 && value < 10.0);
    let number = decimal(value, decimals);
    format!("{}{THIN}{}", number.strip_suffix(".0").unwrap_or(&number), UNITS[unit])
}

/// A duration in seconds, in its two largest units: `2 小时 5 分`, `2 h 5 min`.
pub fn duration(lang: Lang, seconds: i64) -> String {
    let units = match lang {
        Lang::Zh => [" 天", " 小时", " 分", " 秒"],
        Lang::En => [" d", " h", " min", " s"],
    };
    let seconds = seconds.max(0);
    let parts = [seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60];
    let first = parts.iter().position(|part| *part > 0).unwrap_or(3);
    let shown = (first..4).take(2).filter(|i| parts[*i] > 0 || *i == first);
    shown.map(|i| format!("{}{}", parts[i], units[i])).collect::<Vec<_>>().join(" ")
}

/// The time zone of the server's pages. On a machine without a zone database only the default is
/// known, as its offset.
pub fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap_or_else(|error| {
        if name != "Asia/Shanghai" {
            tracing::warn!(%error, "site.zone is not known on this machine; times are shown in UTC+8");
        }
        TimeZone::fixed(Offset::constant(8))
    })
}

/// A time to the minute in `zone`: `2026-07-01 09:30`.
pub fn minute(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M").to_string()
}

/// A date in `zone`: `2026-07-01`.
pub fn day(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%Y-%m-%d").to_string()
}

/// A time to the second with its offset, for the hover text: `2026-07-01 09:30:00 UTC+08:00`.
pub fn exact(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S UTC%:z").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thin_spaces() {
        assert_eq!(integer(1234), "1234");
        assert_eq!(integer(-1_234_567), "−1\u{202f}234\u{202f}567");
        assert_eq!(decimal(12345.678, 2), "12\u{202f}345.68");
        assert_eq!(decimal(-0.001, 2), "0.00");
        assert_eq!(decimal(f64::NAN, 2), "–");
    }

    #[test]
    fn sizes_are_binary() {
        assert_eq!(size(512), "512\u{202f}B");
        assert_eq!(size(1536), "1.5\u{202f}KiB");
        assert_eq!(size(100 * 1024 * 1024), "100\u{202f}MiB");
        assert_eq!(size(2 * 1024 * 1024), "2\u{202f}MiB");
    }

    #[test]
    fn durations_show_two_units() {
        assert_eq!(duration(Lang::Zh, 7500), "2 小时 5 分");
        assert_eq!(duration(Lang::En, 86_400), "1 d");
        assert_eq!(duration(Lang::En, 0), "0 s");
        assert_eq!(duration(Lang::En, 3601), "1 h");
    }

    #[test]
    fn times_are_local_with_the_offset_on_hover() {
        let at: Timestamp = "2026-07-01T01:30:00Z".parse().unwrap();
        let zone = zone("Asia/Shanghai");
        assert_eq!(minute(at, &zone), "2026-07-01 09:30");
        assert_eq!(exact(at, &zone), "2026-07-01 09:30:00 UTC+08:00");
    }
}
