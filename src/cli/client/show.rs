//! Lists on a terminal, and as CSV.

use std::io::{self, Write as _};

use anyhow::Context as _;
use console::measure_text_width;

use super::Done;

/// A server's text without anything a terminal would act on.
pub(super) fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A value with up to six decimals.
pub(super) fn number(value: f64) -> String {
    let text = format!("{value:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Prints rows under a head: as columns, or as CSV.
pub(super) fn table(head: &[&str], rows: &[Vec<String>], csv: bool) -> Done {
    if csv {
        let mut writer = csv::Writer::from_writer(io::stdout().lock());
        writer.write_record(head).context("cannot write")?;
        for row in rows {
            writer.write_record(row).context("cannot write")?;
        }
        return Ok(writer.flush().context("cannot write")?);
    }
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| clean(cell)).collect()).collect();
    let widths: Vec<usize> = (0..head.len())
        .map(|place| {
            let cells = rows.iter().filter_map(|row| row.get(place)).map(|cell| measure_text_width(cell));
            cells.chain([measure_text_width(head[place])]).max().unwrap_or(0)
        })
        .collect();
    let mut out = io::stdout().lock();
    let mut line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut text = String::new();
        for (cell, width) in cells.zip(&widths) {
            text.push_str(cell);
            text.push_str(&" ".repeat(width - measure_text_width(cell) + 2));
        }
        writeln!(out, "{}", text.trim_end())
    };
    line(&mut head.iter().copied()).context("cannot write")?;
    for row in &rows {
        line(&mut row.iter().map(String::as_str)).context("cannot write")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lose_trailing_zeros_and_texts_their_escapes() {
        assert_eq!([2.5, 3.0, 0.1234567].map(number), ["2.5", "3", "0.123457"]);
        assert_eq!(clean("a\u{1b}[31mb\n"), "a [31mb ");
    }
}
