//! Values written as Python writes them: `repr` of float, complex, str and bytes.
//!
//! Only the rules of a literal live here; where the values come from, and how much of one fits a line, is for others
//! to say. The result is not sanitised: Python shows characters that a terminal had better not see.

use std::fmt::Write as _;

/// `repr` of a float.
pub fn float(value: f64) -> String {
    let mut text = number(value);
    if text.bytes().all(|b| b.is_ascii_digit() || b == b'-') {
        text.push_str(".0");
    }
    text
}

/// `repr` of a complex.
pub fn complex(real: f64, imag: f64) -> String {
    if real == 0.0 && real.is_sign_positive() {
        return format!("{}j", number(imag));
    }
    let imag = number(imag);
    let sign = if imag.starts_with('-') { "" } else { "+" };
    format!("({}{sign}{imag}j)", number(real))
}

/// The shortest digits that read back as the same number, in the form that `float_repr_style` "short" gives them.
fn number(value: f64) -> String {
    if value.is_nan() {
        return "nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        format!("{value}")
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
    }
}

/// `repr` of a str. When the text was cut, `cut` stands for the rest before the closing quote.
pub fn str(text: &str, cut: &str) -> String {
    str_with(text, &[], cut)
}

/// The same for text with lone surrogates: at which character, in order, and which. They are written as Python writes
/// them (`\ud800`), in place of what stands there.
pub fn str_with(text: &str, surrogates: &[(usize, u16)], cut: &str) -> String {
    let mut lone = surrogates.iter().peekable();
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    for (i, c) in text.chars().enumerate() {
        match lone.next_if(|(at, _)| *at == i) {
            Some((_, unit)) => {
                let _ = write!(out, "\\u{unit:04x}");
            }
            None => push_char(&mut out, c, quote),
        }
    }
    out.push_str(cut);
    out.push(quote);
    out
}

fn push_char(out: &mut String, c: char, quote: char) {
    match c {
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\\' => out.push_str("\\\\"),
        c if c == quote => {
            out.push('\\');
            out.push(c);
        }
        ' '..='~' => out.push(c),
        c if is_printable(c) => out.push(c),
        c => {
            let code = u32::from(c);
            let _ = match code {
                0..=0xff => write!(out, "\\x{code:02x}"),
                0x100..=0xffff => write!(out, "\\u{code:04x}"),
                _ => write!(out, "\\U{code:08x}"),
            };
        }
    }
}

/// `str.isprintable` of a character beyond ASCII: the standard library's `Debug` follows the same categories, and
/// escapes combining marks only at the start of a text.
fn is_printable(c: char) -> bool {
    let mut buffer = [b'a'; 5];
    let len = 1 + c.encode_utf8(&mut buffer[1..]).len();
    std::str::from_utf8(&buffer[..len]).is_ok_and(|s| s.escape_debug().nth(1) == Some(c))
}

/// `repr` of a bytes. When the bytes were cut, `cut` stands for the rest before the closing quote.
pub fn bytes(bytes: &[u8], cut: &str) -> String {
    let quote = if bytes.contains(&b'\'') && !bytes.contains(&b'"') { b'"' } else { b'\'' };
    let mut out = String::with_capacity(bytes.len() + 3);
    out.push('b');
    out.push(char::from(quote));
    for b in bytes {
        match b {
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            b'\\' => out.push_str("\\\\"),
            b if *b == quote => {
                out.push('\\');
                out.push(char::from(*b));
            }
            b' '..=b'~' => out.push(char::from(*b)),
            b => {
                let _ = write!(out, "\\x{b:02x}");
            }
        }
    }
    out.push_str(cut);
    out.push(char::from(quote));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_as_python_writes_them() {
        let all = [0.0, -0.0, 1.0, 3.25, 1e15, 1e16, 123_456_789_012_345_680.0, 1e-4, 1e-5, 1.5e-7, 1e308, 5e-324, 0.1];
        let shown: Vec<_> = all.into_iter().map(float).collect();
        let expected = [
            "0.0",
            "-0.0",
            "1.0",
            "3.25",
            "1000000000000000.0",
            "1e+16",
            "1.2345678901234568e+17",
            "0.0001",
            "1e-05",
            "1.5e-07",
            "1e+308",
            "5e-324",
            "0.1",
        ];
        assert_eq!(shown, expected);
        assert_eq!([f64::NAN, f64::INFINITY, -f64::INFINITY].map(float), ["nan", "inf", "-inf"]);
    }

    #[test]
    fn complex_numbers_hide_a_real_part_of_zero() {
        assert_eq!(complex(1.5, -2.0), "(1.5-2j)");
        assert_eq!(complex(0.0, 1.0), "1j");
        assert_eq!(complex(-0.0, 1e16), "(-0+1e+16j)");
        assert_eq!(complex(1.0, f64::NAN), "(1+nanj)");
    }

    #[test]
    fn strings_choose_their_quotes_and_escape_the_rest() {
        assert_eq!(str("it's", ""), "\"it's\"");
        assert_eq!(str("it's \"x\"", ""), "'it\\'s \"x\"'");
        assert_eq!(str("a\\b\n\t\r\x07\x7f\u{a0}\u{ad}", ""), "'a\\\\b\\n\\t\\r\\x07\\x7f\\xa0\\xad'");
        assert_eq!(str("Grüße 世界 🐍 e\u{301}", ""), "'Grüße 世界 🐍 e\u{301}'");
        assert_eq!(str("\u{200b}\u{e000}\u{e0001}", ""), "'\\u200b\\ue000\\U000e0001'");
        assert_eq!(str("cut", "…"), "'cut…'");
    }

    #[test]
    fn bytes_are_ascii_and_escapes() {
        assert_eq!(bytes(b"a'\x00\xff\n", ""), "b\"a'\\x00\\xff\\n\"");
        assert_eq!(bytes(b"'\"", ""), "b'\\'\"'");
    }
}
