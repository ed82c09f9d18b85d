//! The size of an xz file: each of its streams ends with an index that tells the size of every block.
//!
//! Read from the end to the beginning, for the last stream's footer says where its index is (The .xz File Format 1.2).

use super::Foretold;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// Streams that are looked at.
const STREAMS: u32 = 1024;

/// The largest index: `xz -T0` makes a block of 3 MiB at the least, of 24 MiB as it is.
const MAX_INDEX: u64 = 16 << 20;

/// Zeros between streams that are passed over, in words of four.
const PADDING: u32 = 1 << 14;

/// The header of a stream, and its footer.
const EDGE: u64 = 12;

/// A chunk of LZMA2 becomes at most 2 MiB, and takes 6 bytes at the least.
const CHUNK: (u64, u64) = (2 << 20, 6);

pub(super) fn size(file: &File, len: u64) -> Foretold {
    let (mut end, mut size) = (len, 0u64);
    for _ in 0..STREAMS {
        let Some((start, content)) = before_padding(file, end).and_then(|end| stream(file, end)) else {
            // it is cut, damaged, or followed by something else
            return Foretold::Unknown;
        };
        let Some(sum) = size.checked_add(content) else { return Foretold::Unknown };
        (end, size) = (start, sum);
        if end == 0 {
            return Foretold::Exactly(size);
        }
    }
    Foretold::AtLeast(size)
}

fn before_padding(file: &File, mut end: u64) -> Option<u64> {
    for _ in 0..PADDING {
        let mut word = [0; 4];
        file.read_exact_at(&mut word, end.checked_sub(4)?).ok()?;
        if word != [0; 4] {
            return Some(end);
        }
        end -= 4;
    }
    None
}

/// Where the stream that ends at `end` begins, and what is in it.
fn stream(file: &File, end: u64) -> Option<(u64, u64)> {
    let footer_at = end.checked_sub(EDGE)?;
    let mut footer = [0; EDGE as usize];
    file.read_exact_at(&mut footer, footer_at).ok()?;
    let (crc, rest) = footer.split_first_chunk::<4>()?;
    let (checked, magic) = rest.split_at_checked(6)?;
    if magic != b"YZ" || crc32(checked) != u32::from_le_bytes(*crc) {
        return None;
    }
    let index_len = (u64::from(u32::from_le_bytes(*checked.first_chunk()?)) + 1) * 4;
    let index_at = footer_at.checked_sub(index_len).filter(|_| index_len <= MAX_INDEX)?;
    let mut index = vec![0; index_len as usize];
    file.read_exact_at(&mut index, index_at).ok()?;
    let (packed, content) = blocks(&index)?;
    let start = index_at.checked_sub(packed)?.checked_sub(EDGE)?;
    let mut head = [0; 6];
    file.read_exact_at(&mut head, start).ok()?;
    (head == [0xfd, b'7', b'z', b'X', b'Z', 0]).then_some((start, content))
}

/// What the blocks of an index take, and what is in them.
fn blocks(index: &[u8]) -> Option<(u64, u64)> {
    let (body, crc) = index.split_last_chunk::<4>()?;
    if crc32(body) != u32::from_le_bytes(*crc) {
        return None;
    }
    let mut rest = body.strip_prefix(&[0])?;
    let (mut packed, mut content) = (0u64, 0u64);
    for _ in 0..number(&mut rest)? {
        let (takes, becomes) = (number(&mut rest)?, number(&mut rest)?);
        if becomes > (takes / CHUNK.1 + 1).saturating_mul(CHUNK.0) {
            return None;
        }
        packed = packed.checked_add(takes.checked_next_multiple_of(4)?)?;
        content = content.checked_add(becomes)?;
    }
    Some((packed, content))
}

/// Seven bits a byte, the lowest first.
fn number(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..63).step_by(7) {
        let (byte, tail) = rest.split_first()?;
        *rest = tail;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}
