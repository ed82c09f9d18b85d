//! Raw memory: address, bytes, ASCII, what the words point to, and the word under the cursor below.

use super::layout::Layout;
use super::{boxed, foreign, foreign_end};
use crate::snapshot::Addr;
use crate::text;
use crate::tui::app::App;
use crate::tui::panes::hex::{HexPane, ROW, WORD};
use crate::tui::theme::{BOLD, DIM, SELECTED};
use crate::tui::widgets::{line, row_of};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};

/// Columns before the bytes: mark, address, blank.
const BEFORE: u16 = 14;
/// Columns of one word in bytes, with the blank behind it.
const WORD_COLUMNS: u16 = 24;
const ASCII: u16 = BEFORE + 2 * WORD_COLUMNS;
const NAMES: u16 = ASCII + ROW as u16 + 2;

pub(super) fn draw(buffer: &mut Buffer, layout: &Layout, app: &App, pane: &HexPane) {
    boxed(buffer, layout.body, &title(pane, usize::from(layout.body.width)));
    let area = layout.content;
    if pane.missing || pane.refusal().is_some() {
        let said = pane.refusal().unwrap_or("nothing is captured at this address");
        let said = foreign(said, usize::from(area.width.saturating_sub(4)));
        line(buffer, row_of(area, 0), &Line::from(Span::styled(format!(" ▲ {said}"), app.theme.warning)));
    } else {
        for at in 0..area.height {
            let Some(address) = pane.top.0.checked_add(u64::from(at) * ROW) else { break };
            row(buffer, row_of(area, at), Addr(address), app, pane);
        }
    }
    if let Some(area) = layout.inspector {
        inspector(buffer, area, app, pane);
    }
}

fn title(pane: &HexPane, width: usize) -> String {
    let region = match &pane.memory {
        Some(memory) if !pane.missing => format!(" · {}", memory.region),
        _ => String::new(),
    };
    let waiting = if pane.is_waiting() && pane.memory.is_none() { " · …" } else { "" };
    foreign_end(&format!("{}{region}{waiting}", pane.cursor), width.saturating_sub(6))
}

fn row(buffer: &mut Buffer, area: Rect, start: Addr, app: &App, pane: &HexPane) {
    if area.height == 0 || pane.beyond(start) {
        return;
    }
    let here = pane.cursor.0 / ROW == start.0 / ROW;
    let style = if here { BOLD } else { app.theme.addresses };
    put(buffer, area, 0, if here { "▌" } else { " " }, BOLD);
    put(buffer, area, 1, &format!("{:012x}", start.0)[..usize::from(BEFORE) - 2], style);
    let mut names = Vec::new();
    for word in 0..ROW / WORD {
        let address = start + word * WORD;
        let pointer = pane.pointer(address);
        let mut style = match pointer {
            Some(_) => app.theme.addresses.add_modifier(Modifier::UNDERLINED),
            None => Style::new(),
        };
        if address == pane.cursor {
            style = style.patch(SELECTED);
        }
        if let Some(pointer) = pointer {
            names.push(pointer.type_name.as_str());
        }
        for i in 0..WORD {
            let byte = pane.byte(address + i);
            let shown = byte.map_or("··".into(), |b| format!("{b:02x}"));
            let mut style = match byte {
                Some(0) if pointer.is_none() && address != pane.cursor => DIM,
                Some(_) => style,
                None => DIM,
            };
            if hit(pane, address + i) {
                style = style.add_modifier(Modifier::BOLD | Modifier::REVERSED);
            }
            let at = word * WORD + i;
            let x = BEFORE + word as u16 * WORD_COLUMNS + i as u16 * 3;
            put(buffer, area, x, &shown, style);
            if i + 1 < WORD && address == pane.cursor {
                put(buffer, area, x + 2, " ", SELECTED);
            }
            let c = byte.map_or(' ', |b| if (b' '..=b'~').contains(&b) { char::from(b) } else { '.' });
            let plain = if c == '.' { DIM } else { app.theme.strings };
            let style = if hit(pane, address + i) { style } else { plain };
            put(buffer, area, ASCII + at as u16, c.encode_utf8(&mut [0; 4]), style);
        }
    }
    if area.width > NAMES + 8 && !names.is_empty() {
        let room = usize::from(area.width - NAMES);
        let each = (room.saturating_sub(2) / names.len()).saturating_sub(2);
        let said: Vec<String> = names.iter().map(|name| foreign_end(name, each)).collect();
        buffer.set_stringn(area.x + NAMES, area.y, format!("→ {}", said.join(", ")), room, app.theme.types);
    }
}

/// Text at a column of a row, cut at its end.
fn put(buffer: &mut Buffer, area: Rect, x: u16, text: &str, style: Style) {
    buffer.set_stringn(area.x + x.min(area.width), area.y, text, usize::from(area.width.saturating_sub(x)), style);
}

fn hit(pane: &HexPane, address: Addr) -> bool {
    pane.hit.is_some_and(|(start, len)| address.0.checked_sub(start.0).is_some_and(|at| at < len))
}

/// Three lines: a rule, the object the cursor is in, the word itself.
fn inspector(buffer: &mut Buffer, area: Rect, app: &App, pane: &HexPane) {
    let width = usize::from(area.width);
    line(buffer, row_of(area, 0), &Line::from(Span::styled("─".repeat(width), DIM)));
    let inside = pane.memory.as_ref().and_then(|memory| memory.object.as_ref());
    let first = match inside {
        Some((object, type_name, summary)) => {
            let offset = pane.cursor.0.wrapping_sub(object.0);
            let kind = foreign_end(type_name, width / 3);
            let head = format!(" {object} + {offset}  in  ");
            let rest = width.saturating_sub(head.chars().count() + kind.chars().count() + 2);
            Line::from(vec![
                Span::styled(head, app.theme.addresses),
                Span::styled(kind, app.theme.types),
                Span::raw(format!("  {}", foreign(summary, rest))),
            ])
        }
        None => Line::from(Span::styled(" in no known object", DIM)),
    };
    line(buffer, row_of(area, 1), &first);
    let second = match (pane.value(), pane.pointer(pane.cursor)) {
        (Some(value), Some(word)) => {
            let inner = word.value.0.wrapping_sub(word.object.0);
            let inner = if inner == 0 { String::new() } else { format!(" + {inner}") };
            Line::from(vec![
                Span::styled(format!(" {value:#x}{inner}  is  "), app.theme.addresses),
                Span::styled(foreign_end(&word.type_name, width / 2), app.theme.types),
                Span::styled("  ↵ follows", DIM),
            ])
        }
        (Some(value), None) => Line::from(format!(" {}", meanings(value))),
        (None, _) => Line::from(Span::styled(" …", DIM)),
    };
    line(buffer, row_of(area, 2), &second);
}

/// A word as what it may be.
fn meanings(value: u64) -> String {
    let mut said = format!("{value:#x}  u64 {}", text::count(value));
    if value > i64::MAX as u64 {
        said += &format!("  i64 {}", value as i64);
    }
    let bytes = value.to_le_bytes();
    if bytes.iter().all(|b| (b' '..=b'~').contains(b)) {
        said += &format!("  {:?}", String::from_utf8_lossy(&bytes));
        return said;
    }
    let double = f64::from_bits(value);
    if double.is_normal() && (1e-9..1e15).contains(&double.abs()) {
        said += &format!("  f64 {double}");
    }
    let (low, high) = (value as u32, (value >> 32) as u32);
    if high != 0 {
        said += &format!("  u32 {low}, {high}");
    }
    said
}

/// Which word of a row is drawn at `x`.
pub fn word_at(content: Rect, x: u16) -> u64 {
    let x = x.saturating_sub(content.x);
    if x >= ASCII { u64::from((x - ASCII) / 8).min(1) } else { u64::from(x >= BEFORE + WORD_COLUMNS) }
}

/// The cursor's row as text.
pub(super) fn line_text(pane: &HexPane) -> Option<String> {
    let start = Addr(pane.cursor.0 / ROW * ROW);
    let bytes: Vec<u8> = (0..ROW).map_while(|i| pane.byte(start + i)).collect();
    if bytes.is_empty() {
        return None;
    }
    let hex: Vec<String> = bytes.iter().map(|b| format!("{b:02x}")).collect();
    let ascii: String = bytes.iter().map(|b| if (b' '..=b'~').contains(b) { char::from(*b) } else { '.' }).collect();
    Some(format!("{:012x}\t{}\t{ascii}", start.0, hex.join(" ")))
}
