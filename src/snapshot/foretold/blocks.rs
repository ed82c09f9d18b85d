//! Sizes of zstd and lz4 files: each is frames, and a frame is a header that may tell a size, then blocks.
//!
//! The blocks' headers are walked to find the next frame, and to know what they can become at most (RFC 8878; LZ4 frame
//! format 1.6). Nothing is decompressed.

use super::Foretold;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// Frames and blocks that are looked at: 32 GiB of zstd's largest blocks.
const STEPS: u32 = 1 << 18;

/// The longest header of a frame.
const HEADER: usize = 19;

/// The header of a zstd frame.
pub(super) struct ZstdFrame {
    pub content: Option<u64>,
    checksum: bool,
    len: u64,
}

impl ZstdFrame {
    pub(super) fn parse(head: &[u8]) -> Option<ZstdFrame> {
        let flags = *head.strip_prefix(&[0x28, 0xb5, 0x2f, 0xfd])?.first()?;
        let single = flags >> 5 & 1 == 1;
        let dictionary = [0, 1, 2, 4][usize::from(flags & 3)];
        let at = 5 + usize::from(!single) + dictionary;
        let field = |len: usize| {
            let mut word = [0; 8];
            word.get_mut(..len)?.copy_from_slice(head.get(at..at + len)?);
            Some(u64::from_le_bytes(word))
        };
        let (content, len) = match flags >> 6 {
            0 if single => (Some(field(1)?), 1),
            0 => (None, 0),
            1 => (Some(field(2)? + 256), 2),
            2 => (Some(field(4)?), 4),
            _ => (Some(field(8)?), 8),
        };
        Some(ZstdFrame { content, checksum: flags >> 2 & 1 == 1, len: (at + len) as u64 })
    }
}

/// The header of an lz4 frame.
pub(super) struct Lz4Frame {
    pub content: Option<u64>,
    checksum: bool,
    block_checksum: bool,
    /// Bytes that a block can become.
    block: u64,
    len: u64,
}

impl Lz4Frame {
    pub(super) fn parse(head: &[u8]) -> Option<Lz4Frame> {
        let [flags, block, ..] = *head.strip_prefix(&[0x04, 0x22, 0x4d, 0x18])? else { return None };
        let sized = flags >> 3 & 1 == 1;
        let content = if sized { Some(u64::from_le_bytes(*head.get(6..)?.first_chunk()?)) } else { None };
        Some(Lz4Frame {
            content,
            checksum: flags >> 2 & 1 == 1,
            block_checksum: flags >> 4 & 1 == 1,
            block: 1 << (8 + 2 * u64::from(block >> 4 & 7)),
            len: 7 + 8 * u64::from(sized) + 4 * u64::from(flags & 1),
        })
    }
}

pub(super) fn zstd(file: &File, len: u64) -> Foretold {
    Walk::new(file, len).all(|walk| {
        let frame = ZstdFrame::parse(&walk.head::<HEADER>())?;
        walk.skip(frame.len)?;
        let most = walk.zstd_blocks()?;
        walk.skip(4 * u64::from(frame.checksum))?;
        Some((frame.content, most))
    })
}

pub(super) fn lz4(file: &File, len: u64) -> Foretold {
    Walk::new(file, len).all(|walk| {
        let frame = Lz4Frame::parse(&walk.head::<HEADER>())?;
        walk.skip(frame.len)?;
        let most = walk.lz4_blocks(&frame)?;
        walk.skip(4 * u64::from(frame.checksum))?;
        Some((frame.content, most))
    })
}

struct Walk<'f> {
    file: &'f File,
    len: u64,
    at: u64,
    steps: u32,
}

impl Walk<'_> {
    fn new(file: &File, len: u64) -> Walk<'_> {
        Walk { file, len, at: 0, steps: STEPS }
    }

    /// The next bytes; zeros behind the end.
    fn head<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        let left = self.len.saturating_sub(self.at).min(N as u64) as usize;
        let into = bytes.get_mut(..left).unwrap_or_default();
        match self.file.read_exact_at(into, self.at) {
            Ok(()) => bytes,
            Err(_) => [0; N],
        }
    }

    /// `None` at the end, and when this was long enough.
    fn skip(&mut self, bytes: u64) -> Option<()> {
        self.steps = self.steps.checked_sub(1)?;
        self.at = self.at.checked_add(bytes).filter(|at| *at <= self.len)?;
        Some(())
    }

    /// Every frame: each tells what its header says, and what its blocks can become.
    fn all(mut self, mut frame: impl FnMut(&mut Self) -> Option<(Option<u64>, u64)>) -> Foretold {
        let (mut told, mut most) = (Some(0u64), 0u64);
        while self.at < self.len {
            let head = self.head::<8>();
            if head[1..4] == [0x2a, 0x4d, 0x18] && head[0] & 0xf0 == 0x50 {
                let [.., a, b, c, d] = head;
                if self.skip(8 + u64::from(u32::from_le_bytes([a, b, c, d]))).is_some() {
                    continue;
                }
                return self.unfinished(told);
            }
            let Some((content, blocks)) = frame(&mut self) else { return self.unfinished(told) };
            // what is said and cannot be is not said
            let content = content.filter(|content| *content <= blocks);
            told = told.zip(content).and_then(|(told, content)| told.checked_add(content));
            most = most.saturating_add(blocks);
        }
        told.map_or(Foretold::AtMost(most), Foretold::Exactly)
    }

    /// What is known of a file that is cut, damaged, or of too many blocks to look at.
    fn unfinished(&self, told: Option<u64>) -> Foretold {
        told.filter(|told| *told > 0).map_or(Foretold::Unknown, Foretold::AtLeast)
    }

    fn zstd_blocks(&mut self) -> Option<u64> {
        const BLOCK: u64 = 128 << 10;
        let mut most = 0u64;
        loop {
            let [a, b, c] = self.head();
            let head = u64::from(u32::from_le_bytes([a, b, c, 0]));
            let (last, kind, size) = (head & 1 == 1, head >> 1 & 3, head >> 3);
            let (stored, becomes) = match kind {
                0 => (size, size.min(BLOCK)),
                1 => (1, size.min(BLOCK)),
                2 => (size, BLOCK),
                _ => return None,
            };
            self.skip(3 + stored)?;
            most = most.saturating_add(becomes);
            if last {
                return Some(most);
            }
        }
    }

    fn lz4_blocks(&mut self, frame: &Lz4Frame) -> Option<u64> {
        let mut most = 0u64;
        loop {
            let head = u32::from_le_bytes(self.head());
            if head == 0 {
                self.skip(4)?;
                return Some(most);
            }
            let (size, stored) = (u64::from(head & 0x7fff_ffff), head >> 31 == 1);
            self.skip(4 + size + 4 * u64::from(frame.block_checksum))?;
            most = most.saturating_add(if stored { size } else { frame.block });
        }
    }
}
