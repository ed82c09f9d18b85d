//! Raw memory around an address: which rows are shown, where the cursor is, what is searched.
//!
//! It holds a few screens of bytes and asks for more when the person scrolls towards their edge.

use super::{Detail, Motion, Sight, State, Subject};
use crate::analysis::answers::{Hex, WordRow};
use crate::snapshot::Addr;
use crate::tui::ask::{Desk, Slot};
use crate::tui::keymap::{Action, Context};
use crate::worker::protocol::{Answer, Request, Ticket};

/// Bytes in a row.
pub const ROW: u64 = 16;
/// Bytes in a word.
pub const WORD: u64 = 8;

/// See the module.
#[derive(Debug)]
pub struct HexPane {
    /// The word under the cursor.
    pub cursor: Addr,
    /// The first row shown.
    pub top: Addr,
    /// What is here.
    pub memory: Option<Hex>,
    /// Nothing is captured where the cursor is.
    pub missing: bool,
    /// About the object under the cursor.
    pub detail: Detail,
    /// As typed.
    pub search: String,
    /// What that means in bytes.
    pattern: Vec<u8>,
    /// The last hit: address and length.
    pub hit: Option<(Addr, u64)>,
    slot: Slot,
    find: Slot,
    rows: u64,
    /// The next search goes up.
    backwards: bool,
    /// What to tell the person, once.
    pub told: Option<String>,
}

impl HexPane {
    /// The memory around an address.
    pub fn new(address: Addr) -> HexPane {
        HexPane {
            cursor: word(address),
            top: row(address) - 4 * ROW.min(row(address).0 / 4),
            memory: None,
            missing: false,
            detail: Detail::default(),
            search: String::new(),
            pattern: Vec::new(),
            hit: None,
            slot: Slot::default(),
            find: Slot::default(),
            rows: 0,
            backwards: false,
            told: None,
        }
    }

    /// The byte at an address, when it is here.
    pub fn byte(&self, address: Addr) -> Option<u8> {
        let memory = self.memory.as_ref()?;
        let at = address.0.checked_sub(memory.start.0)?;
        memory.bytes.get(usize::try_from(at).ok()?).copied()
    }

    /// Whether an address is known to lie beyond what is captured without a gap.
    pub fn beyond(&self, address: Addr) -> bool {
        let (low, high) = self.range();
        address < low || address >= high
    }

    /// The object that the word at an address points to.
    pub fn pointer(&self, address: Addr) -> Option<&WordRow> {
        // Words come in address order, but a worker that got that wrong must not hide one
        self.memory.as_ref()?.words.iter().find(|word| word.address == address)
    }

    /// The word under the cursor as a number.
    pub fn value(&self) -> Option<u64> {
        let mut bytes = [0; WORD as usize];
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = self.byte(self.cursor + i as u64)?;
        }
        Some(u64::from_le_bytes(bytes))
    }

    /// Whether bytes are still coming.
    pub fn is_waiting(&self) -> bool {
        self.slot.is_waiting()
    }

    /// Why there are none.
    pub fn refusal(&self) -> Option<&str> {
        self.slot.refusal()
    }

    fn motion(&mut self, action: Action) {
        let bytes = |rows: i64| rows.saturating_mul(ROW as i64);
        match action {
            Action::Left => self.move_to(self.cursor.offset(-(WORD as i64))),
            Action::Right => self.move_to(self.cursor + WORD),
            Action::NextPointer => self.seek_pointer(false),
            Action::PreviousPointer => self.seek_pointer(true),
            Action::Top => self.move_to(self.range().0),
            Action::Bottom => self.move_to(self.range().1 - WORD),
            Action::PageUp | Action::PageDown | Action::HalfUp | Action::HalfDown => {
                if let Some(Motion::By(rows)) = Motion::of(action, self.rows) {
                    let top = self.top.0.saturating_add_signed(bytes(rows));
                    let cursor = self.cursor.0.saturating_add_signed(bytes(rows));
                    self.top = Addr(top);
                    self.move_to(Addr(cursor));
                }
            }
            other => {
                if let Some(Motion::By(rows)) = Motion::of(other, self.rows) {
                    self.move_to(Addr(self.cursor.0.saturating_add_signed(bytes(rows))));
                }
            }
        }
    }

    /// Puts the cursor on the word at an address.
    pub fn move_to(&mut self, address: Addr) {
        let (low, high) = self.range();
        // A wrapped address must not go round the address space
        let far = address.0.abs_diff(self.cursor.0) > u64::MAX / 2;
        if !far {
            self.cursor = word(address.clamp(low, Addr(high.0.saturating_sub(WORD)).max(low)));
        }
    }

    /// What is captured around the cursor without a gap, once that is known.
    fn range(&self) -> (Addr, Addr) {
        match &self.memory {
            Some(memory) if memory.within.0 < memory.within.1 => memory.within,
            _ => (Addr::NULL, Addr(u64::MAX)),
        }
    }

    /// Goes where the person asked to go, in this pane.
    pub fn jump(&mut self, address: Addr) {
        let fresh = HexPane::new(address);
        self.cursor = fresh.cursor;
        if self.byte(address).is_none() {
            self.top = fresh.top;
        }
        if self.beyond(address) {
            self.memory = None;
        }
    }

    fn seek_pointer(&mut self, back: bool) {
        let Some(memory) = &self.memory else { return };
        let others = memory.words.iter().map(|word| word.address);
        let next =
            if back { others.filter(|a| *a < self.cursor).max() } else { others.filter(|a| *a > self.cursor).min() };
        if let Some(address) = next {
            self.move_to(address);
        }
    }

    /// Sets what to look for and looks below the cursor.
    pub fn set_search(&mut self, text: &str) -> Result<(), String> {
        self.pattern = pattern(text)?;
        self.search = text.to_owned();
        self.hit = None;
        Ok(())
    }

    /// Looks for the next hit.
    pub fn find(&mut self, backwards: bool, desk: &mut Desk) {
        if self.pattern.is_empty() {
            self.told = Some("nothing to search for yet: / begins a search".into());
            return;
        }
        self.backwards = backwards;
        let from = self.hit.map_or(self.cursor, |(address, _)| address);
        self.find = Slot::default();
        self.find.want(Request::Find { pattern: self.pattern.clone(), from, backwards }, desk);
    }
}

impl State for HexPane {
    fn context(&self) -> Context {
        Context::HEX
    }

    fn act(&mut self, action: Action, _: u64, desk: &mut Desk) {
        match action {
            Action::Next => self.find(false, desk),
            Action::Previous => self.find(true, desk),
            other => self.motion(other),
        }
    }

    fn go(&mut self, motion: Motion) {
        let to = match motion {
            Motion::By(rows) => self.cursor.0.saturating_add_signed(rows.saturating_mul(ROW as i64)),
            Motion::To(row) => self.top.0.saturating_add(row.saturating_mul(ROW)),
        };
        self.move_to(Addr(to));
    }

    fn choose(&mut self, line: u64) -> bool {
        self.move_to(self.top + line * ROW);
        true
    }

    fn filter(&self) -> &str {
        &self.search
    }

    /// The object pointed to, else the object it lies in, else the address itself.
    fn subject(&self) -> Option<Subject> {
        let inside = self.memory.as_ref().and_then(|m| m.object.as_ref()).map(|(address, ..)| *address);
        let address = self.pointer(self.cursor).map(|word| word.object).or(inside).unwrap_or(self.cursor);
        Some(Subject { address, name: address.to_string() })
    }

    fn ask(&mut self, sight: Sight, desk: &mut Desk) {
        self.rows = sight.rows;
        let (line, page) = (row(self.cursor), sight.rows.saturating_sub(1) * ROW);
        if line < self.top {
            self.top = line;
        } else if line.0 - self.top.0 > page {
            self.top = Addr(line.0.saturating_sub(page));
        }
        let (low, high) = self.range();
        self.top = self.top.max(row(low)).min(line);
        let span = sight.rows * ROW;
        let first = low.max(self.top);
        let last = high.min(Addr(self.top.0.saturating_add(span)));
        let here = self.byte(first).is_some() && self.byte(Addr(last.0.saturating_sub(1))).is_some();
        // The cursor is part of the question, because the answer names the object it lies in
        let (start, len) = match &self.memory {
            Some(memory) if here => (memory.start, memory.bytes.len() as u64),
            _ => (Addr(self.top.0.saturating_sub(span)), span * 3),
        };
        self.slot.want(Request::Hex { address: self.cursor, start, len }, desk);
        if sight.side {
            let inside = self.memory.as_ref().and_then(|m| m.object.as_ref()).map(|(address, ..)| *address);
            self.detail.want(inside, desk);
        }
    }

    fn answer(&mut self, ticket: Ticket, answer: Answer) -> bool {
        match answer {
            Answer::Hex(memory) => {
                if self.slot.accept(ticket, true).is_none() {
                    return false;
                }
                self.missing = memory.is_none();
                self.memory = memory;
                true
            }
            Answer::Found(hit) => {
                if self.find.accept(ticket, true).is_none() {
                    return false;
                }
                match hit {
                    Some(address) => {
                        self.jump(address);
                        self.hit = Some((address, self.pattern.len() as u64));
                    }
                    None if self.backwards => self.told = Some("not found above; n searches downwards".into()),
                    None => self.told = Some("not found below; N searches upwards".into()),
                }
                true
            }
            other => self.detail.answer(ticket, other),
        }
    }

    fn refuse(&mut self, ticket: Ticket, reason: &str) -> bool {
        if self.find.refuse(ticket, reason) {
            self.told = Some(reason.to_owned());
            return true;
        }
        self.slot.refuse(ticket, reason) || self.detail.slot.refuse(ticket, reason)
    }

    fn resume(&mut self) {
        self.slot.forget_open();
        self.find.forget_open();
        self.detail.slot.forget_open();
    }
}

fn word(address: Addr) -> Addr {
    Addr(address.0 / WORD * WORD)
}

fn row(address: Addr) -> Addr {
    Addr(address.0 / ROW * ROW)
}

/// The bytes a search means: `0x` and hex digits, `"text"`, or text as it is.
fn pattern(text: &str) -> Result<Vec<u8>, String> {
    if let Some(digits) = text.strip_prefix("0x") {
        let digits: Vec<u8> = digits.bytes().filter(|b| *b != b' ').collect();
        let pairs = digits.chunks(2).map(|pair| {
            let pair = std::str::from_utf8(pair).ok().filter(|p| p.len() == 2)?;
            u8::from_str_radix(pair, 16).ok().filter(|_| !pair.starts_with('+'))
        });
        return match pairs.collect::<Option<Vec<u8>>>() {
            Some(bytes) if !bytes.is_empty() => Ok(bytes),
            _ => Err("bytes are written as 0x and pairs of hex digits, text that begins so in quotes".into()),
        };
    }
    let bare = text.strip_prefix('"').map_or(text, |t| t.strip_suffix('"').unwrap_or(t));
    if bare.is_empty() { Err("nothing to search for".into()) } else { Ok(bare.as_bytes().to_vec()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn searches_are_bytes_or_text() {
        assert_eq!(pattern("0x00 1F"), Ok(vec![0, 0x1f]));
        assert_eq!(pattern("\"0x00\""), Ok(b"0x00".to_vec()));
        assert_eq!(pattern("naïve"), Ok("naïve".into()));
        for bad in ["0x", "0x1", "0x+1", "0xéé", "\"\"", ""] {
            assert!(pattern(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_ends_of_the_address_space_are_no_trap() {
        for address in [0, 1, 17, u64::MAX, u64::MAX - 16] {
            let mut pane = HexPane::new(Addr(address));
            let mut desk = Desk::new(crate::worker::protocol::SourceId(0));
            for action in [Action::Up, Action::PageUp, Action::Left, Action::Right, Action::PageDown, Action::Bottom] {
                pane.act(action, 20, &mut desk);
                pane.ask(Sight { rows: 20, side: true, indexed: true }, &mut desk);
            }
        }
    }
}
