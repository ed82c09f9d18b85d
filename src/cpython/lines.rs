//! Which line of the source an instruction belongs to, and from 3.11 on which columns.
//!
//! One decoder for each encoding: `co_lnotab` (3.8, 3.9), the line table of 3.10, the location table from 3.11 on.
//! The source itself is not read. Guides: `Objects/lnotab_notes.txt`, `Objects/locations.md`.

use super::layout::{FrameVariant, LineTableVariant};
use super::memory::Memory;
use crate::snapshot::Addr;

/// Longer tables are damage: a function of a million lines needs a few megabytes.
const MAX_TABLE: u64 = 1 << 24;

/// Where the source of an instruction begins and ends, as `co_positions()` tells it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Position {
    /// The line; `None` for instructions that have none.
    pub line: Option<u32>,
    /// The line of its end; `None` up to 3.10.
    pub end_line: Option<u32>,
    /// Bytes of UTF-8 before it in its line; `None` up to 3.10, and where the code was compiled without columns.
    pub column: Option<u32>,
    /// The same of what is behind it.
    pub end_column: Option<u32>,
}

impl Memory<'_> {
    /// The line that the code begins at.
    pub fn first_line(&self, code: Addr) -> Option<u32> {
        u32::try_from(self.reader.i32(code + self.layout.structs.code.co_firstlineno)?).ok()
    }

    /// The line of the instruction at the byte offset `at` of the code; `None` for instructions that have none. An
    /// offset below 0 means that nothing ran yet.
    pub fn line_at(&self, code: Addr, at: i64) -> Option<u32> {
        self.position(code, at).line
    }

    /// The same with the columns. Time is proportional to the table's length up to the instruction.
    pub fn position(&self, code: Addr, at: i64) -> Position {
        let Some(first) = self.reader.i32(code + self.layout.structs.code.co_firstlineno) else {
            return Position::default();
        };
        let line_alone = |line: Option<i64>| Position {
            line: line.and_then(|line| u32::try_from(line).ok()),
            ..Position::default()
        };
        if at < 0 {
            return line_alone(Some(i64::from(first)));
        }
        let Some(table) = self.line_table(code) else { return Position::default() };
        match self.layout.variants.line_table {
            LineTableVariant::Lnotab => line_alone(lnotab(&table, first, at)),
            LineTableVariant::V310 => line_alone(table_310(&table, first, at)),
            LineTableVariant::Locations => locations(&table, first, at),
        }
    }

    /// The line that an embedded frame is at.
    pub fn frame_line(&self, frame: Addr) -> Option<u32> {
        let f = &self.layout.structs.frame;
        let code = self.frame_code(frame)?;
        let at = self.reader.pointer(frame + f.prev_instr.or(f.instr_ptr)?)?;
        let start = code + self.layout.structs.code.co_code_adaptive?;
        self.line_at(code, at.0.wrapping_sub(start.0) as i64)
    }

    /// The line that a frame object is at, in any version.
    pub fn frame_object_line(&self, frame: Addr) -> Option<u32> {
        let f = &self.layout.structs.frame_object;
        match self.layout.variants.frame {
            FrameVariant::Embedded => self.frame_line(self.reader.pointer(frame + f.f_frame?)?),
            FrameVariant::Object => {
                let code = self.reader.pointer(frame + f.f_code?)?;
                let last = i64::from(self.reader.i32(frame + f.f_lasti?)?);
                // counted in units of two bytes from 3.10 on
                let unit = if self.layout.variants.line_table == LineTableVariant::Lnotab { 1 } else { 2 };
                self.line_at(code, last * unit)
            }
        }
    }

    fn line_table(&self, code: Addr) -> Option<Vec<u8>> {
        let c = &self.layout.structs.code;
        let table = self.reader.pointer(code + c.co_linetable.or(c.co_lnotab)?)?;
        let len = u64::try_from(self.ob_size(table)?).ok().filter(|n| *n <= MAX_TABLE)?;
        self.bytes_at(table + self.layout.structs.bytes.ob_sval, len)
    }

    /// `len` bytes, however they lie; nothing is set aside for bytes that are not there.
    pub(super) fn bytes_at(&self, at: Addr, len: u64) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        for (_, piece) in self.reader.chunks(at, len) {
            bytes.extend_from_slice(piece);
        }
        (bytes.len() as u64 == len).then_some(bytes)
    }
}

/// Pairs of address and line increments; the line grows at the address that a pair ends at.
fn lnotab(table: &[u8], first: i32, at: i64) -> Option<i64> {
    let (mut address, mut line) = (0, i64::from(first));
    for pair in table.chunks_exact(2) {
        address += i64::from(pair[0]);
        if address > at {
            break;
        }
        line += i64::from(pair[1] as i8);
    }
    Some(line)
}

/// Pairs of address and line increments; the line holds for the range that the pair ends. -128: no line.
fn table_310(table: &[u8], first: i32, at: i64) -> Option<i64> {
    let (mut end, mut line) = (0, i64::from(first));
    for pair in table.chunks_exact(2) {
        end += i64::from(pair[0]);
        let delta = pair[1] as i8;
        if delta != -128 {
            line += i64::from(delta);
        }
        if at < end {
            return (delta != -128).then_some(line);
        }
    }
    None
}

/// Entries of a range of instructions each: how its line differs from the last one's, and its columns.
fn locations(table: &[u8], first: i32, at: i64) -> Position {
    let (mut end, mut line) = (0, i64::from(first));
    let mut rest = table;
    while let Some((head, tail)) = rest.split_first() {
        // entries begin with a byte that has the high bit, and no other byte of theirs has it
        let len = tail.iter().position(|b| b & 0x80 != 0).unwrap_or(tail.len());
        let (entry, following) = tail.split_at(len);
        rest = following;
        let kind = (head >> 3) & 15;
        line += match kind {
            13 | 14 => signed(Varints(entry).next().unwrap_or(0)),
            10..=12 => i64::from(kind) - 10,
            _ => 0,
        };
        end += (i64::from(head & 7) + 1) * 2;
        if at < end {
            return position(kind, entry, line);
        }
    }
    Position::default()
}

fn position(kind: u8, entry: &[u8], line: i64) -> Position {
    let byte = |i: usize| entry.get(i).copied().map(u32::from);
    let number = |n: i64| u32::try_from(n).ok();
    let mut numbers = Varints(entry);
    let (end_line, column, end_column) = match kind {
        // the columns of an expression within one line
        0..=9 => {
            let column = byte(0).map(|b| u32::from(kind) << 3 | b >> 4 & 7);
            (line, column, column.zip(byte(0)).map(|(column, b)| column + (b & 15)))
        }
        10..=12 => (line, byte(0), byte(1)),
        14 => {
            let lines = numbers.nth(1).unwrap_or(0);
            // 0 stands for none, so that they count from 1
            let mut column = || numbers.next().and_then(|n| number(n - 1));
            (line + lines, column(), column())
        }
        15 => return Position::default(),
        _ => (line, None, None),
    };
    Position { line: number(line), end_line: number(end_line), column, end_column }
}

/// Numbers of six bits a byte, the least significant first; bit 6 says that more follow.
struct Varints<'t>(&'t [u8]);

impl Iterator for Varints<'_> {
    type Item = i64;

    fn next(&mut self) -> Option<i64> {
        let (mut value, mut shift) = (0, 0);
        while let Some((byte, rest)) = self.0.split_first() {
            self.0 = rest;
            // more than 36 bits are damage
            if shift < 36 {
                value |= i64::from(byte & 63) << shift;
            }
            shift += 6;
            if byte & 64 == 0 {
                return Some(value);
            }
        }
        (shift > 0).then_some(value)
    }
}

/// Bit 0 is the sign.
fn signed(value: i64) -> i64 {
    if value & 1 != 0 { -(value >> 1) } else { value >> 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_encoding_is_read_by_its_rules() {
        // 3.8: 6 bytes in line 10, 4 in line 11, then back to line 9
        let table = [6, 1, 4, 0xfe];
        let lines: Vec<_> = [0, 5, 6, 9, 10].into_iter().map(|at| lnotab(&table, 10, at)).collect();
        assert_eq!(lines, [10, 10, 11, 11, 9].map(Some));
        // 3.10: the delta comes with the range
        let table = [4, 1, 2, 0x80, 6, 2];
        let lines: Vec<_> = [0, 3, 4, 6, 11, 12].into_iter().map(|at| table_310(&table, 10, at)).collect();
        assert_eq!(lines, [Some(11), Some(11), None, Some(13), Some(13), None]);
        // 3.11: no location (1 unit), +1 line short form (2 units), long form -2 lines (1 unit)
        let table = [0xf8, 0xd9, 0, 0, 0xf0, 5, 0, 0, 0];
        let lines: Vec<_> = [0, 2, 5, 6, 8].into_iter().map(|at| locations(&table, 10, at).line).collect();
        assert_eq!(lines, [None, Some(11), Some(11), Some(9), None]);
    }

    proptest! {
        #[test]
        fn any_table_is_read_without_a_panic(table: Vec<u8>, first: i32, at: i64) {
            lnotab(&table, first, at);
            table_310(&table, first, at);
            locations(&table, first, at);
        }
    }
}
