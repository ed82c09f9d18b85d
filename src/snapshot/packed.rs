//! The kinds of compression that people put around a snapshot: how each is recognised and undone.
//!
//! How large what comes out will be is `foretold`'s concern.

use lz4_flex::frame::FrameDecoder;
use std::io::{self, BufRead, BufReader, Read};

/// What a decoder of xz may take for its window, in KiB: 1 GiB, which is more than `xz -9` asks for.
const XZ_MEMORY: u32 = 1 << 20;

/// The kinds of compression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packed {
    Zstd,
    Gzip,
    Xz,
    Lz4,
}

impl Packed {
    pub(super) fn of(head: &[u8]) -> Option<Packed> {
        let begins = |magic: &[u8]| head.starts_with(magic);
        // a zstd file may begin with a frame to be skipped (pzstd writes one)
        let skipped = head.get(1..4) == Some(&[0x2a, 0x4d, 0x18]) && head.first().is_some_and(|b| b & 0xf0 == 0x50);
        match () {
            () if begins(&[0x28, 0xb5, 0x2f, 0xfd]) || skipped => Some(Packed::Zstd),
            () if begins(&[0x1f, 0x8b, 8]) => Some(Packed::Gzip),
            () if begins(&[0xfd, b'7', b'z', b'X', b'Z', 0]) => Some(Packed::Xz),
            () if begins(&[0x04, 0x22, 0x4d, 0x18]) => Some(Packed::Lz4),
            () => None,
        }
    }

    /// A name without the ending that a compressor gave it.
    pub(super) fn plain_name(name: &str) -> (&str, Option<Packed>) {
        let endings = [(".zst", Packed::Zstd), (".gz", Packed::Gzip), (".xz", Packed::Xz), (".lz4", Packed::Lz4)];
        let found = endings.into_iter().find_map(|(ending, packed)| Some((name.strip_suffix(ending)?, Some(packed))));
        found.unwrap_or((name, None))
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Packed::Zstd => "zstd",
            Packed::Gzip => "gzip",
            Packed::Xz => "xz",
            Packed::Lz4 => "lz4",
        }
    }

    pub(super) fn decoder<'r>(self, input: Box<dyn Read + 'r>) -> io::Result<Box<dyn Read + 'r>> {
        Ok(match self {
            Packed::Zstd => Box::new(zstd::Decoder::new(input)?),
            Packed::Gzip => Box::new(flate2::read::MultiGzDecoder::new(input)),
            Packed::Xz => Box::new(lzma_rust2::XzReader::new_mem_limit(input, true, XZ_MEMORY)),
            Packed::Lz4 => Box::new(Lz4(Some(FrameDecoder::new(BufReader::new(input))))),
        })
    }
}

/// Frame after frame, each with a decoder of its own: one that has read a frame is not meant for blocks of another size.
struct Lz4<R: Read>(Option<FrameDecoder<BufReader<R>>>);

impl<R: Read> Read for Lz4<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while let Some(decoder) = &mut self.0 {
            let got = decoder.read(into)?;
            if got > 0 || into.is_empty() || decoder.get_mut().fill_buf()?.is_empty() {
                return Ok(got);
            }
            self.0 = self.0.take().map(|decoder| FrameDecoder::new(decoder.into_inner()));
        }
        Ok(0)
    }
}
