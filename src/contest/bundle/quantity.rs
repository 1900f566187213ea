//! Sizes such as `2GiB` and spans such as `30m`, as the `shuyu:` block writes them.

/// Bytes of a size: a whole or decimal number with `B`, `KB`, `MB`, `GB`, `TB` (powers of 1000) or
/// `KiB`, `MiB`, `GiB`, `TiB` (powers of 1024); without a unit, bytes.
pub(crate) fn read_size(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" | "k" => 1000,
        "mb" | "m" => 1000 * 1000,
        "gb" | "g" => 1000 * 1000 * 1000,
        "tb" | "t" => 1000 * 1000 * 1000 * 1000,
        "kib" | "ki" => 1 << 10,
        "mib" | "mi" => 1 << 20,
        "gib" | "gi" => 1 << 30,
        "tib" | "ti" => 1 << 40,
        _ => return None,
    };
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(factor);
    }
    let bytes = number.parse::<f64>().ok()? * factor as f64;
    (bytes.is_finite() && (0.0..1e18).contains(&bytes)).then_some(bytes.round() as u64)
}

/// The shortest way to write a number of bytes that [`read_size`] reads as the same number.
pub(super) fn write_size(bytes: u64) -> String {
    let units = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
    match units.iter().find(|(shift, _)| bytes > 0 && bytes.is_multiple_of(1 << shift)) {
        Some((shift, unit)) => format!("{}{unit}", bytes >> shift),
        None => format!("{bytes}B"),
    }
}

/// Seconds of a span: a number with `s`, `m`, `h` or `d`; without a unit, seconds.
pub(crate) fn read_span(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    let factor: u64 = match unit {
        "" | "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

fn split(text: &str) -> Option<(&str, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    (end > 0).then(|| (&text[..end], text[end..].trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_spans_are_read_with_their_units() {
        let sizes = [
            ("2GiB", Some(2 << 30)),
            ("256 MiB", Some(256 << 20)),
            ("1.5GiB", Some(3 << 29)),
            ("10MB", Some(10_000_000)),
            ("4096", Some(4096)),
            ("GiB", None),
            ("-1", None),
            ("1.2.3MB", None),
            ("99999999999999TiB", None),
            ("3 apples", None),
        ];
        for (text, expected) in sizes {
            assert_eq!(read_size(text), expected, "{text}");
        }
        for (text, expected) in [("30m", Some(1800)), ("8h", Some(28_800)), ("90", Some(90)), ("1w", None)] {
            assert_eq!(read_span(text), expected, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn written_sizes_are_read_again(bytes: u64) {
            proptest::prop_assert_eq!(read_size(&write_size(bytes)), Some(bytes));
        }
    }
}
