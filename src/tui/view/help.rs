//! What lies over the pane: the keys for where the person is, made from the keymap; and the snapshot's problems.

use super::{boxed, wrap};
use crate::tui::app::{App, Overlay};
use crate::tui::keymap::{self, Context};
use crate::tui::theme::{BOLD, DIM};
use crate::tui::widgets::{line, row_of};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Widget};
use unicode_width::UnicodeWidthStr;

/// Columns of the keys' names.
const KEYS: usize = 18;

pub(super) fn draw(buffer: &mut Buffer, screen: Rect, app: &App, overlay: Overlay, top: u16) {
    let width = screen.width.saturating_sub(8).min(100);
    let inside = usize::from(width.saturating_sub(4));
    let (title, lines) = match overlay {
        Overlay::Help => ("keys here", help(app.pane().context(), inside)),
        Overlay::Problems => ("what was wrong with this snapshot", problems(app, inside)),
    };
    let height = (lines.len() as u16 + 2).min(screen.height.saturating_sub(2));
    let area = Rect { x: (screen.width - width) / 2, y: (screen.height - height) / 2, width, height };
    Clear.render(area, buffer);
    let hidden = (lines.len() as u16).saturating_sub(height - 2);
    let top = top.min(hidden);
    let title =
        if hidden > 0 { format!("{title} · ↓ more · Esc closes") } else { format!("{title} · Esc closes") };
    let inner = boxed(buffer, area, &title);
    let inner = Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), ..inner };
    for (at, content) in (0..inner.height).zip(&lines[usize::from(top)..]) {
        line(buffer, row_of(inner, at), content);
    }
}

fn help(context: Context, width: usize) -> Vec<Line<'static>> {
    let mut lines: Vec<_> = wrap(sentences(context), width).into_iter().map(Line::from).collect();
    lines.push(Line::default());
    for binding in keymap::help(context) {
        let names: Vec<String> = binding.keys.iter().map(|key| key.name()).collect();
        let names = names.join(" ");
        let pad = " ".repeat(KEYS.saturating_sub(names.width()));
        lines.push(Line::from(vec![Span::styled(names + &pad, BOLD), Span::raw(" "), Span::raw(binding.help)]));
    }
    lines
}

/// What the columns mean.
fn sentences(context: Context) -> &'static str {
    if context.meets(Context::OVERVIEW) {
        "What stands out, the gravest first (✗ never goes on, ▲ is probably wrong, ● is worth knowing), then the biggest \
         types. Each line leads to where it comes from. What is still being worked out is told as long as it is missing."
    } else if context.meets(Context::TASKS) {
        "Every unfinished task, under the one that awaits it; cycles first, drawn closed. Many tasks at one place are one \
         line with their number. A task unfolds to what it waits in and its coroutines, the innermost first, these to \
         their variables. A filter or another order lists tasks one by one, finished ones too."
    } else if context.meets(Context::TYPES) {
        "Every type that has live objects: how many there are of exactly this type, and the sum of their own sizes \
         as sys.getsizeof would say, without what they hold. Retained, once it is worked out, is what would go with all \
         of them. The bar is a type's share of the size of all objects."
    } else if context.meets(Context::OBJECTS) {
        "Where each object is, how many references it counts (immortal: none are counted), its own size without what \
         it holds (~: estimated), and its value in a line. The list is in the order of the column with the arrow."
    } else if context.meets(Context::TREE) {
        "Each line is a reference: its name as in Python, the object at the other end, that object's type, address \
         and own size. (weak) keeps nothing alive, (guessed) is a word that looks like a reference, ↺ stands above \
         already."
    } else if context.meets(Context::THREADS) {
        "Every thread and its stack, from the innermost frame out; what the kernel said of it before the stop, who holds \
         the GIL, what a thread waits for. Deadlocks stand first. A frame unfolds to its variables, each of which can \
         be entered; threads without Python state come last."
    } else if context.meets(Context::RETAINED) {
        "Retained is what would go if nothing held the object any more: everything to which no way leads but through it, \
         itself included. Biggest first; ↵ goes in, to what it alone keeps, Esc comes out. At the top the same can be \
         grouped by type, module, thread, frame, variable, task or root."
    } else if context.meets(Context::PATHS) {
        "The shortest path from a root to the object, then others that differ; each unfolds to its steps, with the name \
         of each reference as in Python. Whoever wants the object gone has to break all of them. Weak references keep \
         nothing alive and come last."
    } else if context.meets(Context::DIFF) {
        "What the newer snapshot has more or less of each type, the biggest change first: bytes, objects, how many are \
         new and how many are gone (an address that was given away again counts as both); with a third snapshot, first \
         how many of the new are kept there. \u{21b5} lists them: new ones are in the newer snapshot, gone ones in this; s \
         goes from one to the other. Both stay in memory until the explorer ends or R takes the next."
    } else if context.meets(Context::PROCESSES) {
        "Every open process has a column: what of its resident memory is its own, what a fork still shares with others \
         (copied once somebody writes), how many objects it has; then their sizes by type, those first in which the \
         processes differ most. \u{21b5} goes to the process of the column, } and { to the next and the one before."
    } else if context.meets(Context::MEMORY) {
        "Every resident page by what uses it: the rows add up to the resident set. A row unfolds to what it consists of; \
         below are the largest blocks with their owners, arenas, heaps and mappings, each of which can be entered."
    } else {
        "Sixteen bytes a row, lowest address first, then the same as ASCII; a word that is the address of a known \
         object is underlined. Below: the object that the cursor is in, and what the word under it could mean."
    }
}

fn problems(app: &App, width: usize) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    for problem in app.problems.iter().take(500) {
        for (i, part) in wrap(problem, width.saturating_sub(2)).into_iter().enumerate() {
            let mark = if i == 0 { Span::styled("▲ ", app.theme.warning) } else { Span::raw("  ") };
            lines.push(Line::from(vec![mark, Span::raw(part)]));
        }
    }
    if app.problems.len() > 500 {
        lines.push(Line::from(Span::styled(format!("… {} more", app.problems.len() - 500), DIM)));
    }
    lines
}
