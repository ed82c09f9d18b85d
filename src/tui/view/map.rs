//! Mappings as bars: as long as they are large, in the patterns and colours of what lives there.
//!
//! A pattern as well as a colour for each, since nothing is said by colour alone.

use crate::analysis::answers::MapRow;
use crate::tui::theme::{DIM, Theme};
use ratatui::style::Style;
use ratatui::text::Span;

/// What the kinds of memory are told apart as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Group {
    Objects,
    Buffers,
    Others,
    Free,
    Files,
    Rest,
}

const GROUPS: [(Group, char, &str); 6] = [
    (Group::Objects, '█', "objects"),
    (Group::Buffers, '▓', "buffers"),
    (Group::Others, '▒', "others"),
    (Group::Free, '░', "free"),
    (Group::Files, '=', "files"),
    (Group::Rest, '·', "rest"),
];

impl Group {
    /// Of a kind as the rows have it.
    fn of(kind: &str) -> Group {
        match kind.split('_').next() {
            Some("objects") => Group::Objects,
            Some("buffers") => Group::Buffers,
            Some("other") => Group::Others,
            Some("free" | "empty" | "cached" | "top" | "overhead") => Group::Free,
            Some("files") => Group::Files,
            _ => Group::Rest,
        }
    }

    fn glyph(self) -> char {
        GROUPS.iter().find(|(group, ..)| *group == self).map_or(' ', |(_, glyph, _)| *glyph)
    }

    fn style(self, theme: &Theme) -> Style {
        match self {
            Group::Objects => theme.types,
            Group::Buffers => theme.strings,
            Group::Others => theme.numbers,
            Group::Files => theme.addresses,
            Group::Free | Group::Rest => DIM,
        }
    }
}

/// The patterns and what they stand for.
pub(super) fn legend(theme: &Theme) -> Vec<Span<'static>> {
    let each = |(group, glyph, name): &(Group, char, &str)| {
        [Span::styled(format!("  {glyph}"), group.style(theme)), Span::styled(format!(" {name}"), DIM)]
    };
    GROUPS.iter().flat_map(each).collect()
}

/// A mapping as a bar of `width` columns where the largest has `longest` bytes; one that has anything is seen.
pub(super) fn stripe(region: &MapRow, longest: u64, width: usize, theme: &Theme) -> Vec<Span<'static>> {
    let columns = |bytes: u64| (bytes as f64 * width as f64 / longest.max(1) as f64).round().min(width as f64) as usize;
    let (mut sum, mut used) = (0u64, 0);
    let mut spans = Vec::new();
    for part in &region.parts {
        sum = sum.saturating_add(part.bytes);
        let end = if used == 0 && part.bytes > 0 { columns(sum).max(1) } else { columns(sum).max(used) };
        let group = Group::of(part.kind);
        let text: String = std::iter::repeat_n(group.glyph(), end.min(width) - used).collect();
        spans.push(Span::styled(text, group.style(theme)));
        used = end.min(width);
    }
    spans.push(Span::raw(" ".repeat(width - used)));
    spans
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::answers::MapPart;
    use crate::snapshot::Addr;
    use crate::tui::theme::ThemeChoice;

    fn drawn(parts: &[(&'static str, u64)], longest: u64, width: usize) -> String {
        let parts = parts.iter().map(|(kind, bytes)| MapPart { kind, bytes: *bytes }).collect();
        let region =
            MapRow { start: Addr(0), end: Addr(1), resident_bytes: None, file: None, kind: "objects_malloc", parts };
        let theme = Theme::choose(ThemeChoice::Plain, |_| None);
        stripe(&region, longest, width, &theme).iter().map(|span| span.content.as_ref()).collect()
    }

    #[test]
    fn bars_are_as_long_as_the_mapping_and_parted_as_it_is() {
        assert_eq!(drawn(&[("objects_pymalloc", 50), ("free_pymalloc", 50)], 100, 8), "████░░░░");
        assert_eq!(drawn(&[("buffers_malloc", 25), ("top_malloc", 25)], 100, 8), "▓▓░░    ");
        assert_eq!(drawn(&[("files_private", 1)], 1_000_000, 4), "=   ", "what there is is seen");
        assert_eq!(drawn(&[("other_malloc", 30), ("stacks", 30), ("unexplained", 40)], 100, 10), "▒▒▒·······");
        assert_eq!(drawn(&[], 0, 3), "   ");
        assert_eq!(drawn(&[("shared_memory", u64::MAX), ("special", u64::MAX)], 1, 3), "···", "no number is too large");
    }
}
