//! How many bytes a compressed file will be, told before any of it is unpacked.
//!
//! Only what the file says of itself is read: headers, trailers, an index; their number is bounded. What it says is
//! held against what its compressed bytes can become at all: a size that cannot be true is not repeated, and nobody is
//! refused for it. A pipe tells nothing before it is read.

mod blocks;
mod xz;

use super::directory::parse_region_file_name;
use super::packed::Packed;
use super::unpack::{self, MAX_LAYERS};
use super::{meta, stream};
use crate::text::size;
use std::fmt;
use std::fs::File;
use std::io::{Cursor, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Bytes that will come out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foretold {
    /// So many.
    Exactly(u64),
    /// So many, but for what lies between them.
    About(u64),
    /// So many, and perhaps more.
    AtLeast(u64),
    /// So many when nothing compresses well.
    AtMost(u64),
    /// Nobody knows before the end.
    Unknown,
}

impl fmt::Display for Foretold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Foretold::Exactly(n) => f.write_str(&size(*n)),
            Foretold::About(n) => write!(f, "about {}", size(*n)),
            Foretold::AtLeast(n) => write!(f, "at least {}", size(*n)),
            Foretold::AtMost(n) => write!(f, "at most {}", size(*n)),
            Foretold::Unknown => f.write_str("an unknown size"),
        }
    }
}

impl Foretold {
    /// What has to be free before it is worth beginning.
    pub(super) fn needed(self) -> Option<u64> {
        match self {
            Foretold::Exactly(n) | Foretold::About(n) => Some(n),
            _ => None,
        }
    }

    /// The number that is known, whatever its certainty: what had better be free.
    pub fn hoped(self) -> u64 {
        match self {
            Foretold::Exactly(n) | Foretold::About(n) | Foretold::AtLeast(n) | Foretold::AtMost(n) => n,
            Foretold::Unknown => 0,
        }
    }

    /// More than this will not come.
    pub(super) fn most(self) -> u64 {
        match self {
            Foretold::Exactly(n) | Foretold::About(n) | Foretold::AtMost(n) => n,
            _ => u64::MAX,
        }
    }

    /// The bytes of which parts turn out to be zeros, which take no room.
    pub(super) fn with_holes(self) -> Foretold {
        match self {
            Foretold::Exactly(n) | Foretold::About(n) => Foretold::AtMost(n),
            other => other,
        }
    }
}

/// What has to be unpacked before it can be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpacking {
    /// `zstd`, `gzip`, `xz`, `lz4`, `tar`, `stream`, `packed directory`.
    pub form: &'static str,
    /// Bytes of the file, or of the files in a directory that are compressed.
    pub packed: u64,
    /// Bytes that will come out.
    pub unpacked: Foretold,
}

/// Whether the file or directory at `path` has to be unpacked; `None` also when it cannot be read.
pub fn unpacking(path: &Path) -> Option<Unpacking> {
    // a pipe is not to be opened: that would take it from whoever writes to it
    let info = std::fs::metadata(path).ok()?;
    if info.is_dir() {
        return directory(path);
    }
    if !info.is_file() {
        return None;
    }
    let file = File::open(path).ok()?;
    let len = file.metadata().ok()?.len();
    let mut head = vec![0; unpack::HEAD.min(len as usize)];
    file.read_exact_at(&mut head, 0).ok()?;
    let (form, unpacked) = match Packed::of(&head) {
        Some(packed) => (packed.name(), inner(&file, packed, outer(&file, packed, len))),
        None if head.starts_with(&stream::MAGIC) => ("stream", of_stream(&head, Foretold::AtMost(len))),
        None if unpack::is_tar(&head) => ("tar", tar(&file).unwrap_or(Foretold::Unknown)),
        None => return None,
    };
    Some(Unpacking { form, packed: len, unpacked })
}

/// What comes out of the outermost layer of compression.
fn outer(file: &File, packed: Packed, len: u64) -> Foretold {
    match packed {
        Packed::Zstd => blocks::zstd(file, len),
        Packed::Lz4 => blocks::lz4(file, len),
        Packed::Xz => xz::size(file, len),
        Packed::Gzip => gzip(file, len).unwrap_or(Foretold::Unknown),
    }
}

/// What the decompressed beginning says beyond that: it may be a stream of ours, or compressed once more.
fn inner(file: &File, mut packed: Packed, mut told: Foretold) -> Foretold {
    let mut input: Box<dyn Read + '_> = Box::new(FromStart { file, at: 0 });
    for layer in 1..=MAX_LAYERS {
        let Ok(mut decoder) = packed.decoder(input) else { return told };
        let Ok(head) = unpack::head(&mut decoder) else { return told };
        match Packed::of(&head).filter(|_| layer < MAX_LAYERS) {
            Some(inner) => {
                (packed, told) = (inner, first_frame(inner, &head).map_or(Foretold::Unknown, Foretold::AtLeast));
                input = Box::new(Cursor::new(head).chain(decoder));
            }
            None if head.starts_with(&stream::MAGIC) => return of_stream(&head, told),
            None if unpack::is_tar(&head) => return told.with_holes(),
            None => return told,
        }
    }
    told
}

/// What the first bytes of a stream of ours say, which cannot be more than all of it.
fn of_stream(head: &[u8], all: Foretold) -> Foretold {
    match stream::told_total(head) {
        Some(total) if total <= all.most() => Foretold::About(total),
        _ => all.with_holes(),
    }
}

/// What the first frame's header says: all that can be had of data that comes once.
pub(super) fn first_frame(packed: Packed, head: &[u8]) -> Option<u64> {
    match packed {
        Packed::Zstd => blocks::ZstdFrame::parse(head)?.content,
        Packed::Lz4 => blocks::Lz4Frame::parse(head)?.content,
        _ => None,
    }
}

/// The last four bytes are the size of the last member, modulo 2^32 (RFC 1952): there may be other members before it,
/// and more than 4 GiB in it.
fn gzip(file: &File, len: u64) -> Option<Foretold> {
    /// No deflate data becomes more than this many times as long.
    const MOST: u64 = 1032;
    let mut size = [0; 4];
    file.read_exact_at(&mut size, len.checked_sub(4)?).ok()?;
    let size = u64::from(u32::from_le_bytes(size));
    (size > 0 && size / MOST <= len).then_some(Foretold::AtLeast(size))
}

/// An archive that is not compressed itself; its parts may be.
fn tar(file: &File) -> Option<Foretold> {
    const ENTRIES: usize = 1 << 16;
    let mut most = 0u64;
    for (i, entry) in tar::Archive::new(file).entries_with_seek().ok()?.enumerate() {
        if i == ENTRIES {
            return Some(Foretold::AtLeast(0));
        }
        let entry = entry.ok()?;
        let path = entry.path().ok()?;
        let region = path.file_name().and_then(|name| region_size(Packed::plain_name(name.to_str()?).0));
        most = most.saturating_add(region.unwrap_or(0));
    }
    Some(Foretold::AtMost(most))
}

/// What the name of a region's file says; much of it may be zeros.
fn region_size(plain: &str) -> Option<u64> {
    parse_region_file_name(plain).map(|(start, end)| end.0.saturating_sub(start.0))
}

/// A directory whose parts were compressed one by one.
fn directory(path: &Path) -> Option<Unpacking> {
    let (mut packed, mut most, mut any) = (0u64, 0u64, false);
    for entry in std::fs::read_dir(path).ok()?.flatten() {
        let name = entry.file_name();
        let Some((plain, Some(_))) = name.to_str().map(Packed::plain_name) else { continue };
        let region = region_size(plain);
        if region.is_none() && plain != meta::FILE_NAME {
            continue;
        }
        any = true;
        packed = packed.saturating_add(entry.metadata().map_or(0, |info| info.len()));
        most = most.saturating_add(region.unwrap_or(0));
    }
    any.then_some(Unpacking { form: "packed directory", packed, unpacked: Foretold::AtMost(most) })
}

/// A file from its beginning, whoever else reads it.
struct FromStart<'f> {
    file: &'f File,
    at: u64,
}

impl Read for FromStart<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let got = self.file.read_at(into, self.at)?;
        self.at += got as u64;
        Ok(got)
    }
}

#[cfg(test)]
mod tests;
