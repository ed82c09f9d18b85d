//! Our stream: what a capture writes to a pipe in one pass, and how it is read back.
//!
//! [`MAGIC`], then frames: 8 bytes of kind, a little-endian u64 length, and so many bytes.
//!
//! | kind | holds |
//! |---|---|
//! | `total` | u64: about the bytes in all memory frames, for who has to make room; first, when it is known |
//! | `metadata` | `snapshot.json`; the last one counts, an earlier one is for a stream that was cut |
//! | `layout` | u64 start, u64 end of every region; once, before any memory |
//! | `memory` | u64 address, then bytes, within one region, in any order; what no frame holds is zeros |
//! | `end` | u64: the bytes in all memory frames; without it the stream was cut |
//!
//! Frames of other kinds are passed over. All of it is usually one zstd frame, which is `unpack`'s concern.

use super::error::OpenError;
use super::foretold::Foretold;
use super::store::{Store, WriteError};
use super::{Addr, Metadata, Snapshot};
use crate::progress::Progress;
use std::fmt;
use std::io::{self, Read, Write};
use std::path::Path;

/// How a stream begins.
pub const MAGIC: [u8; 16] = *b"pymem-tui stream";

const TOTAL: [u8; 8] = *b"total\0\0\0";
const METADATA: [u8; 8] = *b"metadata";
const LAYOUT: [u8; 8] = *b"layout\0\0";
const MEMORY: [u8; 8] = *b"memory\0\0";
const END: [u8; 8] = *b"end\0\0\0\0\0";

/// Fast rather than small: the target's machine pays for it.
const LEVEL: i32 = 1;

/// Frames of another kind than memory are smaller than this.
const MAX_FRAME: u64 = 256 << 20;

/// Memory that is read at a time; whole pages.
const CHUNK: usize = 1 << 20;

/// How a stream is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Packing {
    /// Compressed with zstd.
    #[default]
    Zstd,
    /// As it is.
    Raw,
}

enum Sink {
    Raw(Box<dyn Write + Send>),
    Zstd(zstd::Encoder<'static, Box<dyn Write + Send>>),
}

/// The writing end.
pub(super) struct StreamWriter {
    sink: Sink,
    memory: u64,
    laid_out: bool,
}

impl fmt::Debug for StreamWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamWriter({} bytes)", self.memory)
    }
}

impl StreamWriter {
    pub(super) fn begin(out: Box<dyn Write + Send>, packing: Packing) -> io::Result<StreamWriter> {
        let sink = match packing {
            Packing::Raw => Sink::Raw(out),
            Packing::Zstd => {
                let mut encoder = zstd::Encoder::new(out, LEVEL)?;
                encoder.include_checksum(true)?;
                // one beside the thread that writes: the target needs its processors
                encoder.multithread(1)?;
                Sink::Zstd(encoder)
            }
        };
        let mut stream = StreamWriter { sink, memory: 0, laid_out: false };
        stream.out().write_all(&MAGIC)?;
        Ok(stream)
    }

    fn out(&mut self) -> &mut dyn Write {
        match &mut self.sink {
            Sink::Raw(out) => out,
            Sink::Zstd(out) => out,
        }
    }

    fn frame(&mut self, kind: [u8; 8], parts: &[&[u8]]) -> io::Result<()> {
        let len: usize = parts.iter().map(|p| p.len()).sum();
        let out = self.out();
        out.write_all(&kind)?;
        out.write_all(&(len as u64).to_le_bytes())?;
        parts.iter().try_for_each(|part| out.write_all(part))
    }

    /// Before anything else, or not at all.
    pub(super) fn total(&mut self, bytes: u64) -> io::Result<()> {
        self.frame(TOTAL, &[&bytes.to_le_bytes()])
    }

    pub(super) fn layout(&mut self, regions: impl Iterator<Item = (Addr, u64)>) -> io::Result<()> {
        if std::mem::replace(&mut self.laid_out, true) {
            return Err(io::Error::other("the layout of a stream is written already"));
        }
        let words = regions.flat_map(|(start, len)| [start.0, start.0 + len]);
        let bytes: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
        self.frame(LAYOUT, &[&bytes])
    }

    pub(super) fn memory(&mut self, at: Addr, bytes: &[u8]) -> io::Result<()> {
        self.memory += bytes.len() as u64;
        self.frame(MEMORY, &[&at.0.to_le_bytes(), bytes])
    }

    pub(super) fn metadata(&mut self, metadata: &Metadata) -> io::Result<()> {
        let text = serde_json::to_vec(metadata)?;
        self.frame(METADATA, &[&text])
    }

    pub(super) fn end(mut self) -> io::Result<()> {
        let memory = self.memory;
        self.frame(END, &[&memory.to_le_bytes()])?;
        let mut out = match self.sink {
            Sink::Raw(out) => out,
            Sink::Zstd(encoder) => encoder.finish()?,
        };
        out.flush()
    }
}

/// What the beginning of a stream says of the bytes that will come.
pub(super) fn told_total(head: &[u8]) -> Option<u64> {
    let (kind, rest) = head.strip_prefix(&MAGIC)?.split_first_chunk()?;
    let (len, rest) = rest.split_first_chunk()?;
    let told = *kind == TOTAL && u64::from_le_bytes(*len) == 8;
    Some(u64::from_le_bytes(*rest.first_chunk().filter(|_| told)?))
}

/// Reads a stream, [`MAGIC`] first, into an unnamed file. One that was cut or damaged holds what came before. `told` is
/// what is known of its size already.
pub(super) fn read(
    input: &mut dyn Read,
    told: Foretold,
    name: &Path,
    progress: &Progress,
) -> Result<Snapshot, OpenError> {
    let mut input = Input { inner: input, at: 0 };
    let refused = |reason: String| OpenError::NotAStream { path: name.to_owned(), reason };
    let unwritable = |error: WriteError| OpenError::unpack(name, error);
    let mut magic = MAGIC;
    input.fill(&mut magic).map_err(|stop| refused(stop.to_string()))?;
    let mut found = Found { most: told.most(), ..Found::default() };
    let stop = frames(&mut input, &mut found, progress);
    let problem = match stop {
        Ok(whole) => whole,
        Err(Stop::Write(error)) => return Err(unwritable(error)),
        Err(Stop::Cancelled) => return Err(OpenError::Cancelled),
        Err(stop) => Some(format!(
            "the stream {stop}: {} of memory came before that, and all else reads as zeros",
            crate::text::size(found.memory)
        )),
    };
    let Some(store) = found.store else {
        return Err(refused(problem.unwrap_or_else(|| "it holds no memory".into())));
    };
    let mut snapshot = store.finish(found.metadata.as_ref()).map_err(unwritable)?.open()?;
    snapshot.source = name.to_owned();
    snapshot.problems.extend(problem);
    snapshot.problems.extend(found.problems);
    Ok(snapshot)
}

#[derive(Default)]
struct Found {
    store: Option<Store>,
    /// Sorted; without overlaps.
    regions: Vec<(Addr, u64)>,
    metadata: Option<Metadata>,
    problems: Vec<String>,
    memory: u64,
    /// What the stream says that will come.
    total: Option<u64>,
    /// More than this cannot come.
    most: u64,
}

/// Why reading ended before the end.
#[derive(Debug, thiserror::Error)]
enum Stop {
    #[error("was cut after {0} bytes")]
    Cut(u64),
    #[error("is damaged after {0} bytes ({1})")]
    Damaged(u64, String),
    #[error(transparent)]
    Write(WriteError),
    #[error("cancelled")]
    Cancelled,
}

impl From<WriteError> for Stop {
    fn from(error: WriteError) -> Stop {
        Stop::Write(error)
    }
}

struct Input<'i> {
    inner: &'i mut dyn Read,
    at: u64,
}

impl Input<'_> {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Stop> {
        let wanted = bytes.len();
        if self.fill_some(bytes)? == wanted { Ok(()) } else { Err(Stop::Cut(self.at)) }
    }

    /// Fills `bytes` as far as the input goes.
    fn fill_some(&mut self, bytes: &mut [u8]) -> Result<usize, Stop> {
        let mut got = 0;
        while let Some(rest) = bytes.get_mut(got..).filter(|rest| !rest.is_empty()) {
            match self.inner.read(rest) {
                Ok(0) => break,
                Ok(n) => {
                    got += n;
                    self.at += n as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
                Err(error) if super::unpack::was_cancelled(&error) => return Err(Stop::Cancelled),
                Err(error) => return Err(Stop::Damaged(self.at, error.to_string())),
            }
        }
        Ok(got)
    }

    fn word(&mut self) -> Result<u64, Stop> {
        let mut word = [0; 8];
        self.fill(&mut word)?;
        Ok(u64::from_le_bytes(word))
    }

    /// A whole frame that is not memory; grows as bytes come, so that a length alone takes no memory.
    fn bytes(&mut self, len: u64) -> Result<Vec<u8>, Stop> {
        if len > MAX_FRAME {
            return Err(Stop::Damaged(self.at, format!("a frame of {len} bytes")));
        }
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < len {
            let from = bytes.len();
            bytes.resize(from + CHUNK.min((len - from as u64) as usize), 0);
            self.fill(bytes.get_mut(from..).unwrap_or_default())?;
        }
        Ok(bytes)
    }
}

/// Reads frames to the end; a problem when the end does not say what came.
fn frames(input: &mut Input<'_>, found: &mut Found, progress: &Progress) -> Result<Option<String>, Stop> {
    let mut buffer = vec![0; CHUNK];
    loop {
        progress.check().map_err(|_| Stop::Cancelled)?;
        let mut kind = [0; 8];
        input.fill(&mut kind)?;
        let len = input.word()?;
        match kind {
            TOTAL if len == 8 => found.total = Some(input.word()?),
            LAYOUT if found.store.is_none() => layout(&input.bytes(len)?, input.at, found)?,
            MEMORY => memory(input, len, &mut buffer, found, progress)?,
            METADATA => match serde_json::from_slice::<Metadata>(&input.bytes(len)?) {
                Ok(metadata) => found.metadata = Some(metadata),
                Err(error) => found.problems.push(format!("the stream's metadata is left out: {error}")),
            },
            END => {
                let told = input.word()?;
                let same = told == found.memory;
                input.fill_some(&mut [0])?; // a checksum stands behind it
                return Ok((!same).then(|| format!("{told} bytes of memory were written, {} came", found.memory)));
            }
            _ if kind.iter().all(|b| b.is_ascii_lowercase() || *b == 0) => drop(input.bytes(len)?),
            _ => return Err(Stop::Damaged(input.at - 16, "no frame begins there".into())),
        }
    }
}

fn layout(bytes: &[u8], at: u64, found: &mut Found) -> Result<(), Stop> {
    let words = bytes.as_chunks::<8>().0.iter().map(|w| u64::from_le_bytes(*w));
    let words: Vec<u64> = words.collect();
    let mut regions: Vec<(Addr, u64)> = words
        .as_chunks::<2>()
        .0
        .iter()
        .filter_map(|[start, end]| Some((Addr(*start), end.checked_sub(*start).filter(|len| *len > 0)?)))
        .collect();
    regions.sort();
    let mut end = 0;
    regions.retain(|(start, len)| {
        let fits = start.0 >= end;
        end = if fits { start.0 + len } else { end };
        fits
    });
    let left = (words.len() / 2).saturating_sub(regions.len());
    if left > 0 {
        found.problems.push(format!("{left} regions of the stream overlap others or are empty and were left out"));
    }
    let pages = |sum: u64, len: u64| sum.checked_add(len.checked_next_multiple_of(4096)?);
    if regions.iter().try_fold(0, |sum, (_, len)| pages(sum, *len)).is_none() {
        return Err(Stop::Damaged(at, "its regions are larger than all addresses together".into()));
    }
    // a total that cannot be true is none
    let most = regions.iter().fold(0u64, |sum, (_, len)| sum.saturating_add(*len)).min(found.most);
    let mut store = Store::temporary(found.total.filter(|total| *total <= most).unwrap_or(0))?;
    store.lay_out(regions.iter().copied())?;
    (found.store, found.regions) = (Some(store), regions);
    Ok(())
}

fn memory(
    input: &mut Input<'_>,
    len: u64,
    buffer: &mut [u8],
    found: &mut Found,
    progress: &Progress,
) -> Result<(), Stop> {
    let at = Addr(input.word()?);
    let mut left = len.checked_sub(8).ok_or_else(|| Stop::Damaged(input.at, "a frame too short".into()))?;
    let index = found.regions.partition_point(|(start, _)| *start <= at).checked_sub(1);
    let place = index.and_then(|i| Some((i, *found.regions.get(i)?)));
    let inner = place.map_or(0, |(_, (start, _))| at.0 - start.0);
    let room = place.map_or(0, |(_, (_, len))| len.saturating_sub(inner));
    let (Some((region, _)), Some(store)) = (place.filter(|_| left <= room), &found.store) else {
        return Err(Stop::Damaged(input.at, format!("{left} bytes at {at}, where no region is")));
    };
    let mut writer = store.writer();
    let mut offset = inner;
    while left > 0 {
        progress.check().map_err(|_| Stop::Cancelled)?;
        let take = (CHUNK as u64).min(left) as usize;
        let bytes = buffer.get_mut(..take).unwrap_or_default();
        // what came of a frame that was cut counts too
        let got = input.fill_some(bytes)?;
        store.check_room(got as u64)?;
        writer.write(region, offset, bytes.get(..got).unwrap_or_default())?;
        found.memory += got as u64;
        if got < take {
            return Err(Stop::Cut(input.at));
        }
        offset += got as u64;
        left -= got as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::save;

    fn written(packing: Packing) -> Vec<u8> {
        let metadata = Metadata { mode: "plain".into(), bytes: 42, ..Metadata::default() };
        let mut bytes = vec![0; 0x5000];
        bytes[0x1000..0x2000].fill(7);
        bytes[0x4000..].fill(9);
        let snapshot =
            Snapshot::from_memory(vec![(Addr(0x1000), bytes), (Addr(0x10_0000), vec![3; 100])], Some(metadata));
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let out = Box::new(file.reopen().unwrap());
        save::write_framed(&snapshot, out, packing, &Progress::default()).unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        bytes
    }

    fn open(bytes: &[u8]) -> Result<Snapshot, OpenError> {
        super::super::unpack::open(
            &mut &bytes[..],
            Foretold::Unknown,
            Path::new("test"),
            Path::new("/"),
            &Progress::default(),
        )
    }

    #[test]
    fn what_was_written_is_read() {
        for packing in [Packing::Raw, Packing::Zstd] {
            let snapshot = open(&written(packing)).unwrap();
            assert_eq!(snapshot.problems(), [] as [String; 0]);
            assert_eq!(snapshot.metadata().map(|m| m.bytes), Some(42));
            let reader = snapshot.reader();
            let bytes = |at| reader.u8(Addr(at));
            assert_eq!([bytes(0x1fff), bytes(0x2000), bytes(0x3000), bytes(0x5fff)], [0, 7, 0, 9].map(Some));
            assert_eq!((bytes(0x6000), bytes(0x10_0063), bytes(0x10_0064)), (None, Some(3), None));
        }
    }

    #[test]
    fn a_stream_that_was_cut_holds_what_came_before() {
        let whole = written(Packing::Raw);
        let mut answers = 0;
        for len in 0..whole.len() {
            match open(&whole[..len]) {
                Ok(snapshot) => {
                    answers += 1;
                    let problems = snapshot.problems();
                    assert!(problems.len() == 1 && problems[0].contains("was cut after"), "{len}: {problems:?}");
                }
                Err(error) => assert!(len < 900, "{len}: {error}"),
            }
        }
        assert!(answers > 0x2000);
        let packed = written(Packing::Zstd);
        let mut damaged = packed.clone();
        *damaged.last_mut().unwrap() ^= 1;
        let told = open(&damaged).unwrap().problems().join("; ");
        assert!(told.contains("is damaged after"), "{told}");
        assert!(open(&packed[..packed.len() / 2]).is_err(), "less than a block came");
    }

    #[test]
    fn absurd_frames_are_told() {
        let head = |kind: [u8; 8], len: u64| [&kind[..], &len.to_le_bytes()].concat();
        let with = |frames: &[Vec<u8>]| [&MAGIC[..], &frames.concat()].concat();
        for (frames, words) in [
            (vec![head(END, 8), vec![0; 8]], "holds no memory"),
            (vec![head(LAYOUT, u64::MAX)], "a frame of 18446744073709551615 bytes"),
            (vec![head(MEMORY, 20), vec![0; 20]], "where no region is"),
            (vec![head(*b"?!?!?!?!", 20), vec![0; 20]], "no frame begins there"),
        ] {
            let error = open(&with(&frames)).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        let words = |words: &[u64]| words.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<u8>>();
        let layout = words(&[0x1000, 0x3000, 0x2000, 0x4000, 5, 5]);
        let frames = [head(LAYOUT, 48), layout, head(*b"unknown\0", 3), vec![1; 3], head(END, 8), words(&[9])];
        let snapshot = open(&with(&frames)).unwrap();
        assert_eq!(snapshot.regions().len(), 1);
        let problems = snapshot.problems().join("\n");
        assert!(problems.contains("2 regions of the stream overlap") && problems.contains("9 bytes of memory were"));
    }
}
