//! The explorer: a terminal front end to the worker's answers.
//!
//! State, `update` and effects: every event changes the `App` and returns what should
//! happen; only [`run`] performs it. Drawing reads state and nothing else. This module never sees a snapshot, never
//! waits for the worker, and is the only one that names ratatui or crossterm.

mod app;
mod arrange;
mod ask;
mod deck;
mod event;
#[cfg(test)]
mod fake;
mod filter;
mod history;
mod input;
mod keymap;
mod palette;
mod panes;
mod run;
mod terminal;
#[cfg(test)]
mod tests;
mod theme;
mod update;
mod view;
mod widgets;

pub use run::run;
pub use theme::ThemeChoice;

/// How the person wants the explorer.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Colours; [`ThemeChoice::Auto`] looks at the environment (`NO_COLOR`, `TERM`, `COLORFGBG`).
    pub theme: ThemeChoice,
    /// Whether the mouse is used from the start; `M` switches it.
    pub mouse: bool,
    /// Whether a newer snapshot is compared with from the start.
    pub compare: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options { theme: ThemeChoice::Auto, mouse: true, compare: false }
    }
}
