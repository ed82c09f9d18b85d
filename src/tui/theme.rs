//! Colours and what they mean.
//!
//! Each colour says one thing: types, strings, numbers, addresses, warnings. Foreground and background stay the
//! terminal's own and colours are the sixteen named ones, so that a person's palette decides. Nothing is said by
//! colour alone: without colours only weight, underline and reversal are left, and every meaning survives.

use ratatui::style::{Color, Modifier, Style};

/// What the person asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ThemeChoice {
    /// Look at the environment.
    #[default]
    Auto,
    /// For a dark background.
    Dark,
    /// For a light background.
    Light,
    /// No colours at all.
    Plain,
}

/// The style of each meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Theme {
    /// Names of types.
    pub types: Style,
    /// Text and bytes.
    pub strings: Style,
    /// Counts, sizes, numeric values.
    pub numbers: Style,
    /// Addresses.
    pub addresses: Style,
    /// Something to look at; always with a mark or a word.
    pub warning: Style,
}

/// Emphasis, the same in every theme.
pub const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
/// Secondary text, and content that is about to be replaced.
pub const DIM: Style = Style::new().add_modifier(Modifier::DIM);
/// The selected row: one even bar, whatever colours its cells have.
pub const SELECTED: Style = Style::new().fg(Color::Reset).add_modifier(Modifier::REVERSED);
/// Characters that made a filter match.
pub const MATCHED: Style = Style::new().add_modifier(Modifier::UNDERLINED.union(Modifier::BOLD));

impl Theme {
    /// The theme for a choice and what the environment says (`variable` reads it).
    pub fn choose(choice: ThemeChoice, variable: impl Fn(&str) -> Option<String>) -> Theme {
        match choice {
            ThemeChoice::Dark => Theme::dark(),
            ThemeChoice::Light => Theme::light(),
            ThemeChoice::Plain => Theme::plain(),
            ThemeChoice::Auto => {
                let no_color = variable("NO_COLOR").is_some_and(|v| !v.is_empty()); // no-color.org: when not empty
                if no_color || variable("TERM").is_some_and(|t| t == "dumb" || t.starts_with("vt1")) {
                    return Theme::plain();
                }
                // COLORFGBG is `foreground;background`, 7 and 15 are the light ones
                let background = variable("COLORFGBG").and_then(|v| v.rsplit(';').next().map(str::to_owned));
                if matches!(background.as_deref(), Some("7" | "15")) { Theme::light() } else { Theme::dark() }
            }
        }
    }

    fn dark() -> Theme {
        Theme {
            types: Style::new().fg(Color::Cyan),
            strings: Style::new().fg(Color::Green),
            numbers: Style::new().fg(Color::LightMagenta),
            addresses: Style::new().fg(Color::LightBlue),
            warning: Style::new().fg(Color::Yellow).add_modifier(Modifier::BOLD),
        }
    }

    fn light() -> Theme {
        Theme {
            types: Style::new().fg(Color::Cyan),
            strings: Style::new().fg(Color::Green),
            numbers: Style::new().fg(Color::Magenta),
            addresses: Style::new().fg(Color::Blue),
            warning: Style::new().fg(Color::Red).add_modifier(Modifier::BOLD),
        }
    }

    fn plain() -> Theme {
        Theme {
            types: Style::new(),
            strings: Style::new(),
            numbers: Style::new(),
            addresses: Style::new(),
            warning: BOLD,
        }
    }

    /// The style of a value shown as Python would write it.
    pub fn value(&self, text: &str) -> Style {
        let literal = text.trim_start_matches(['b', 'r', 'f', 'u']);
        if literal.starts_with(['\'', '"']) {
            self.strings
        } else if text.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
            self.numbers
        } else {
            Style::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(variables: &'static [(&str, &str)]) -> Theme {
        Theme::choose(ThemeChoice::Auto, |name| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| v.to_string()))
    }

    #[test]
    fn the_environment_decides() {
        assert_eq!(chosen(&[("NO_COLOR", "1")]), Theme::plain());
        assert_eq!(chosen(&[("NO_COLOR", "")]), Theme::dark());
        assert_eq!(chosen(&[("TERM", "dumb")]), Theme::plain());
        assert_eq!(chosen(&[("COLORFGBG", "0;15")]), Theme::light());
        assert_eq!(chosen(&[("COLORFGBG", "15;0")]), Theme::dark());
    }

    #[test]
    fn no_two_meanings_share_a_colour() {
        for theme in [Theme::dark(), Theme::light()] {
            let all = [theme.types, theme.strings, theme.numbers, theme.addresses, theme.warning];
            let mut colours: Vec<_> = all.iter().map(|s| format!("{:?}", s.fg)).collect();
            colours.sort();
            colours.dedup();
            assert_eq!(colours.len(), all.len());
        }
    }
}
