//! Text a terminal may see: sanitised strings, sizes and numbers.
//!
//! Every string that comes out of a snapshot is hostile: it passes through [`sanitize`] before it is shown or
//! printed. This module knows nothing of snapshots, terminals or colours; it turns values into plain text.

pub mod repr;

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::Write as _;

/// `text` without anything a terminal could act on: control characters, escape sequences, bidirectional overrides
/// and invisible characters become visible escapes (`\n`, `\x1b`, `\u{202e}`).
pub fn sanitize(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        push_escaped(&mut out, c);
    }
    Cow::Owned(out)
}

/// Appends one character as [`sanitize`] shows it.
pub fn push_escaped(out: &mut String, c: char) {
    match c {
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        c if is_plain(c) => out.push(c),
        c if (c as u32) < 0x100 => {
            let _ = write!(out, "\\x{:02x}", c as u32);
        }
        c => {
            let _ = write!(out, "\\u{{{:x}}}", c as u32);
        }
    }
}

/// Whether a terminal shows `c` as itself, in its own place, and does nothing else.
pub fn is_plain(c: char) -> bool {
    if c.is_control() {
        return false; // C0, DEL and C1: 8-bit CSI and OSC are among the latter
    }
    !matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'
        | '\u{200b}'..='\u{200f}'      // zero width, left-to-right and right-to-left marks
        | '\u{2028}'..='\u{202e}'      // line separators, bidirectional embeddings and overrides
        | '\u{2060}'..='\u{206f}'      // word joiner, isolates, deprecated format characters
        | '\u{fff9}'..='\u{fffb}'      // interlinear annotation
        | '\u{e0000}'..='\u{e0fff}'    // tags, variation selectors supplement
        | '\u{1d173}'..='\u{1d17a}') // musical format controls
}

/// A line on standard error. Where none can be written (a full disk, a reader or a terminal that is gone) nobody can be
/// told, and that is no reason to end, as `eprintln!` would.
pub fn tell(line: std::fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// A number of bytes in three significant digits and decimal units: `120 B`, `12.0 MB`, `812 MB`, `1.23 GB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64;
    let mut unit = 0;
    // 999.5 would print as 1000
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let digits = if value < 9.995 {
        2
    } else if value < 99.95 {
        1
    } else {
        0
    };
    format!("{value:.digits$} {}", UNITS[unit])
}

/// Reads a number of bytes as people write it: `4096`, `512M`, `1.5GB`, `2GiB`; decimal units, and with an `i` those of
/// 1024.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no size: give a number of bytes, or one with K, M, G or T (512M, 1.5GB, 2GiB)");
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text.get(number.len()..).unwrap_or_default().to_ascii_uppercase();
    let letter = unit.trim_end_matches('B').trim_end_matches('I');
    let power = ["", "K", "M", "G", "T"].iter().position(|u| *u == letter).ok_or_else(wrong)?;
    let base: f64 = if unit.contains('I') { 1024.0 } else { 1000.0 };
    let bytes = number.parse::<f64>().map_err(|_| wrong())? * base.powi(power as i32);
    if bytes.is_finite() && (0.0..9e18).contains(&bytes) { Ok(bytes as u64) } else { Err(wrong()) }
}

/// A count with its thousands separated: `1,234,567`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// A time in seconds, in its two largest units: `3d 4h`, `5m 6s`.
pub fn age(seconds: u64) -> String {
    let parts = [(seconds / 86400, 'd'), (seconds / 3600 % 24, 'h'), (seconds / 60 % 60, 'm'), (seconds % 60, 's')];
    let first = parts.iter().position(|(n, _)| *n > 0).unwrap_or(3);
    let two = parts.iter().skip(first).take(2).map(|(n, unit)| format!("{n}{unit}"));
    two.collect::<Vec<_>>().join(" ")
}

/// `text` in at most `width` columns; the beginning gives way, because type names differ at their end.
pub fn keep_end(text: &str, width: usize) -> Cow<'_, str> {
    use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};
    if text.width() <= width {
        return Cow::Borrowed(text);
    }
    let mut used = 1; // the ellipsis
    let mut start = text.len();
    for (i, c) in text.char_indices().rev() {
        used += c.width().unwrap_or(0);
        if used > width {
            break;
        }
        start = i;
    }
    if width == 0 { Cow::Borrowed("") } else { Cow::Owned(format!("…{}", &text[start..])) }
}

/// `text` in at most `width` columns; the end gives way.
pub fn keep_start(text: &str, width: usize) -> Cow<'_, str> {
    use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};
    if text.width() <= width {
        return Cow::Borrowed(text);
    }
    let mut used = 1;
    let mut end = 0;
    for (i, c) in text.char_indices() {
        used += c.width().unwrap_or(0);
        if used > width {
            break;
        }
        end = i + c.len_utf8();
    }
    if width == 0 { Cow::Borrowed("") } else { Cow::Owned(format!("{}…", &text[..end])) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_sequences_become_visible() {
        assert_eq!(sanitize("\x1b]52;c;aGk=\x07"), "\\x1b]52;c;aGk=\\x07");
        assert_eq!(sanitize("a\u{9b}31mb"), "a\\x9b31mb");
        assert_eq!(sanitize("abc\u{202e}def\u{200b}"), "abc\\u{202e}def\\u{200b}");
        assert_eq!(sanitize("line\nnext\tcolumn"), "line\\nnext\\tcolumn");
        assert!(matches!(sanitize("Grüße, 世界"), Cow::Borrowed(_)));
    }

    /// One or more of every class that `is_plain` names: what of it were forgotten would come through.
    #[test]
    fn nothing_that_is_hidden_or_acted_on_is_plain() {
        let controls = ('\0'..=' ').filter(|c| *c != ' ').chain('\u{7f}'..='\u{9f}');
        let marks = "\u{61c}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}";
        let unseen =
            "\u{ad}\u{180e}\u{200b}\u{200c}\u{200d}\u{2060}\u{2064}\u{206f}\u{feff}\u{fff9}\u{fffb}\u{1d173}\u{e0041}";
        let lines = "\u{2028}\u{2029}";
        for c in controls.chain(marks.chars()).chain(unseen.chars()).chain(lines.chars()) {
            assert!(!is_plain(c) && sanitize(&c.to_string()).starts_with('\\'), "{c:?}");
        }
    }

    #[test]
    fn sizes_have_three_significant_digits() {
        let shown: Vec<_> =
            [0, 999, 1000, 1234, 99_949, 99_960, 999_499, 999_500, 1_230_000_000, u64::MAX].map(size).into();
        assert_eq!(
            shown,
            ["0 B", "999 B", "1.00 kB", "1.23 kB", "99.9 kB", "100 kB", "999 kB", "1.00 MB", "1.23 GB", "18.4 EB"]
        );
    }

    #[test]
    fn thousands_are_separated() {
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn an_age_has_two_units() {
        assert_eq!([0, 59, 61, 7200, 90061].map(age), ["0s", "59s", "1m 1s", "2h 0m", "1d 1h"]);
    }

    #[test]
    fn cut_names_keep_the_end_that_tells_them_apart() {
        assert_eq!(keep_end("aiohttp.client.ClientResponse", 12), "…entResponse");
        assert_eq!(keep_start("0123456789", 4), "012…");
        assert_eq!(keep_end("short", 5), "short");
        assert_eq!(keep_end("世界世界", 5), "…世界");
    }

    #[test]
    fn sizes_are_read_as_people_write_them() {
        let read = |text| parse_size(text).ok();
        assert_eq!([read("4096"), read("512M"), read("1.5GB")], [Some(4096), Some(512_000_000), Some(1_500_000_000)]);
        assert_eq!([read("2GiB"), read("1k"), read("0")], [Some(2 << 30), Some(1000), Some(0)]);
        for text in ["", "M", "-1", "1X", "nan", "inf", "1e30", "1 M"] {
            assert!(parse_size(text).is_err(), "{text:?}");
        }
    }
}
