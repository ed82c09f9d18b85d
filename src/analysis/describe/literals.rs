//! Texts and bytes as literals, whole or with how long they are.

use super::parts;
use crate::cpython::value::{Data, Text};
use crate::text::{self, repr};

/// `'text'`, or `'the beginning…' (8,200 chars)`.
pub(super) fn str_line(text: &Text, width: usize) -> String {
    let quoted = |piece: &str, cut: &str| repr::str_with(piece, &text.surrogates, cut);
    let whole = quoted(&text.text, "");
    if text.is_whole() && parts::width(&whole) <= width {
        return whole;
    }
    let note = format!(" ({} chars)", text::count(text.len));
    let room = width.saturating_sub(note.len() + 3);
    let kept = parts::longest(&text.text, |piece| parts::width(&quoted(piece, "")) <= room + 2);
    quoted(kept, "…") + &note
}

/// `b'data'`, or `b'the beginning…' (8.20 kB)`.
pub(super) fn bytes_line(data: &Data, width: usize, around: (&str, &str)) -> String {
    let (before, after) = around;
    let extra = before.len() + after.len();
    let whole = repr::bytes(&data.bytes, "");
    if data.bytes.len() as u64 == data.len && whole.len() + extra <= width {
        return format!("{before}{whole}{after}");
    }
    let note = format!(" ({})", text::size(data.len));
    let room = width.saturating_sub(note.len() + extra + 1);
    // a byte takes a column at least, and the width grows with each
    let longest: Vec<usize> = (0..=data.bytes.len().min(room)).collect();
    let kept = longest.partition_point(|n| repr::bytes(&data.bytes[..*n], "").len() <= room).saturating_sub(1);
    format!("{before}{}{after}{note}", repr::bytes(&data.bytes[..kept], "…"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str, len: u64) -> Text {
        Text::plain(text.to_owned(), len)
    }

    #[test]
    fn long_text_is_cut_and_says_how_long_it_is() {
        assert_eq!(str_line(&text("short", 5), 20), "'short'");
        assert_eq!(str_line(&text("0123456789012345678901234", 8200), 26), "'012345678…' (8,200 chars)");
        let lone = Text { text: "a\u{fffd}\u{fffd}".to_owned(), surrogates: vec![(2, 0xdc80)], len: 3 };
        assert_eq!(str_line(&lone, 20), "'a\u{fffd}\\udc80'");
        // escapes take their columns
        assert_eq!(str_line(&text(&"\n".repeat(30), 30), 26), "'\\n\\n\\n\\n\\n\\n…' (30 chars)");
        let data = Data { bytes: vec![0; 40], len: 8200 };
        assert_eq!(bytes_line(&data, 24, ("", "")), "b'\\x00\\x00…' (8.20 kB)");
    }
}
