//! One line of text being typed: filter, search, command.
//!
//! Editing only; what the text means is decided elsewhere. Control characters never get in.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// Longest line that is taken; a paste of a file is cut.
const LIMIT: usize = 1000;

/// Text and a cursor in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Input {
    text: String,
    /// Byte offset, always on a character boundary.
    cursor: usize,
}

impl Input {
    /// A line that holds `text`, the cursor behind it.
    pub fn new(text: &str) -> Input {
        Input { text: text.to_owned(), cursor: text.len() }
    }

    /// What is typed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What stands before the cursor.
    pub fn before_cursor(&self) -> &str {
        &self.text[..self.cursor]
    }

    /// Puts text at the cursor.
    pub fn insert(&mut self, text: &str) {
        for c in text.chars().filter(|c| !c.is_control()) {
            if self.text.len() + c.len_utf8() > LIMIT {
                break;
            }
            self.text.insert(self.cursor, c);
            self.cursor += c.len_utf8();
        }
    }

    /// Edits by key; false when the key is none that edits.
    pub fn key(&mut self, key: KeyEvent) -> bool {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match (key.code, control) {
            (KeyCode::Char('u'), true) => drop(self.text.drain(..std::mem::take(&mut self.cursor))),
            (KeyCode::Char('k'), true) => self.text.truncate(self.cursor),
            (KeyCode::Char('w'), true) => {
                let kept = self.before_cursor().trim_end();
                let start = kept.rfind(char::is_whitespace).map_or(0, |i| i + 1);
                self.text.drain(start..self.cursor);
                self.cursor = start;
            }
            (KeyCode::Char('a'), true) | (KeyCode::Home, _) => self.cursor = 0,
            (KeyCode::Char('e'), true) | (KeyCode::End, _) => self.cursor = self.text.len(),
            (KeyCode::Char(c), false) if !key.modifiers.contains(KeyModifiers::ALT) => {
                self.insert(c.encode_utf8(&mut [0; 4]))
            }
            (KeyCode::Backspace, _) => {
                if let Some(c) = self.before_cursor().chars().next_back() {
                    self.cursor -= c.len_utf8();
                    self.text.remove(self.cursor);
                }
            }
            (KeyCode::Delete, _) => {
                if self.cursor < self.text.len() {
                    self.text.remove(self.cursor);
                }
            }
            (KeyCode::Left, _) => {
                self.cursor -= self.before_cursor().chars().next_back().map_or(0, char::len_utf8);
            }
            (KeyCode::Right, _) => {
                self.cursor += self.text[self.cursor..].chars().next().map_or(0, char::len_utf8);
            }
            _ => return false,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(input: &mut Input, code: KeyCode, modifiers: KeyModifiers) {
        input.key(KeyEvent::new(code, modifiers));
    }

    #[test]
    fn edits_by_character_and_by_word() {
        let mut input = Input::new("größe alt");
        press(&mut input, KeyCode::Char('w'), KeyModifiers::CONTROL);
        assert_eq!(input.text(), "größe ");
        for _ in 0..3 {
            press(&mut input, KeyCode::Left, KeyModifiers::NONE);
        }
        press(&mut input, KeyCode::Backspace, KeyModifiers::NONE);
        assert_eq!(input.text(), "grße ");
        input.insert("o\x1b[2J\n");
        assert_eq!(input.text(), "gro[2Jße ", "control characters stay out");
        press(&mut input, KeyCode::Char('u'), KeyModifiers::CONTROL);
        assert_eq!(input.text(), "ße ");
    }
}
