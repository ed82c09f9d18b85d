//! Sources that cannot be mapped as they are: compressed files, streams of ours, packed folders, pipes.
//!
//! Each is read once, from its beginning to its end, into a file without a name; pages of zeros become holes. What the
//! bytes are is told by how they begin, through as many layers of compression as people stack. Data that was cut or
//! damaged is kept up to that place, and that is told. A few bytes can unpack to more than a disk holds: before the
//! disk is full it is refused; where the size was told, before it begins.

use super::error::OpenError;
use super::foretold::{Foretold, first_frame};
use super::packed::Packed;
use super::store::WriteError;
use super::{Snapshot, archive, spool, stream};
use crate::progress::{Cancelled, Progress};
use std::fs::File;
use std::io::{self, Cursor, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Layers of compression that are looked through.
pub(super) const MAX_LAYERS: usize = 4;

/// Enough of a beginning to tell what it is: a tar archive's mark lies at 257.
pub(super) const HEAD: usize = 512;

/// Read at a time; whole pages.
const CHUNK: usize = 1 << 20;

pub(super) fn is_tar(head: &[u8]) -> bool {
    head.get(257..262) == Some(b"ustar")
}

/// Counts what is read, and ends with an error when it is asked to stop.
struct Watched<'r> {
    inner: Box<dyn Read + 'r>,
    progress: &'r Progress,
}

impl Read for Watched<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.progress.check().map_err(io::Error::other)?;
        let got = self.inner.read(into)?;
        self.progress.advance(got as u64);
        Ok(got)
    }
}

/// Whether this is the error of a reader that was asked to stop.
pub(super) fn was_cancelled(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Cancelled>())
}

/// Opens what `input` holds; `name` is what it is called, below `root` lie the programs that a core file names. `told`
/// is what is known of its size already.
pub(super) fn open(
    input: &mut dyn Read,
    told: Foretold,
    name: &Path,
    root: &Path,
    progress: &Progress,
) -> Result<Snapshot, OpenError> {
    let io_error = |error: io::Error| match was_cancelled(&error) {
        true => OpenError::Cancelled,
        false => OpenError::Io { path: name.to_owned(), error },
    };
    let mut input: Box<dyn Read + '_> = Box::new(Watched { inner: Box::new(input), progress });
    let mut layers: Vec<&'static str> = Vec::new();
    let mut expected = None;
    loop {
        let damaged = |error: io::Error| match layers.last() {
            Some(form) if !was_cancelled(&error) => {
                OpenError::Damaged { path: name.to_owned(), form, reason: error.to_string() }
            }
            _ => io_error(error),
        };
        let head = head(&mut input).map_err(damaged)?;
        let packed = Packed::of(&head).filter(|_| layers.len() < MAX_LAYERS);
        let (is_stream, is_tar) = (head.starts_with(&stream::MAGIC), is_tar(&head));
        expected = match packed {
            Some(packed) => first_frame(packed, &head),
            None => expected,
        };
        let whole = Cursor::new(head).chain(input);
        match packed {
            Some(packed) => {
                layers.push(packed.name());
                input = packed.decoder(Box::new(whole)).map_err(io_error)?;
            }
            None if is_stream => return stream::read(&mut { whole }, told, name, progress),
            None if is_tar => return archive::open(whole, told, name),
            None => {
                let told = match (told, expected) {
                    (Foretold::Unknown, Some(size)) => Foretold::AtLeast(size),
                    _ => told,
                };
                return open_spooled(whole, &layers, told, name, root);
            }
        }
    }
}

pub(super) fn head(input: &mut dyn Read) -> io::Result<Vec<u8>> {
    let mut head = vec![0; HEAD];
    let mut got = 0;
    while let Some(rest) = head.get_mut(got..).filter(|rest| !rest.is_empty()) {
        match input.read(rest) {
            Ok(0) => break,
            Ok(n) => got += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if got > 0 && !was_cancelled(&error) => break, // comes again, when more is asked for
            Err(error) => return Err(error),
        }
    }
    head.truncate(got);
    Ok(head)
}

/// A plain stream or a core file: into a file that can be mapped.
fn open_spooled(
    mut input: impl Read,
    layers: &[&'static str],
    told: Foretold,
    name: &Path,
    root: &Path,
) -> Result<Snapshot, OpenError> {
    let unwritable = |error| OpenError::unpack(name, error);
    // what it is compressed from may have been full of holes, as core files are
    let mut spool = Spool::new(told.with_holes()).map_err(unwritable)?;
    let end = spool.append(&mut input, u64::MAX).map_err(unwritable)?;
    if matches!(end, End::Cancelled) {
        return Err(OpenError::Cancelled);
    }
    let problem = end.problem(spool.len, layers.last().copied());
    let mut snapshot = match (Snapshot::open_file(spool.finish().map_err(unwritable)?, name, None, root), problem) {
        (Ok(mut snapshot), problem) => {
            snapshot.problems.extend(problem);
            snapshot
        }
        // the damage says more than what is missing for it
        (Err(OpenError::NotAStream { path, .. }), Some(reason)) => {
            return Err(OpenError::NotAStream { path, reason });
        }
        (Err(error), _) => return Err(error),
    };
    snapshot.source = name.to_owned();
    Ok(snapshot)
}

/// How reading ended.
pub(super) enum End {
    Whole,
    Cut,
    Damaged(String),
    Cancelled,
}

impl End {
    pub fn problem(&self, len: u64, form: Option<&str>) -> Option<String> {
        let form = form.map(|form| format!("the {form} data ")).unwrap_or_else(|| "the data ".into());
        match self {
            End::Whole | End::Cancelled => None,
            End::Cut => Some(format!("{form}was cut short: {len} bytes came before that")),
            End::Damaged(why) => Some(format!("{form}is damaged ({why}): {len} bytes came before that")),
        }
    }
}

/// A file without a name that grows, with holes where there are zeros.
pub(super) struct Spool {
    file: File,
    folder: PathBuf,
    pub len: u64,
}

impl Spool {
    pub fn new(told: Foretold) -> Result<Spool, WriteError> {
        let (file, folder) = spool::file_for(told)?;
        Ok(Spool { file, folder, len: 0 })
    }

    /// Appends `input`, at most `most` bytes of it.
    pub fn append(&mut self, input: &mut dyn Read, most: u64) -> Result<End, WriteError> {
        let mut buffer = vec![0; CHUNK];
        let mut left = most;
        while left > 0 {
            let take = (CHUNK as u64).min(left) as usize;
            let mut got = 0;
            let mut end = None;
            while let Some(rest) = buffer.get_mut(got..take).filter(|rest| !rest.is_empty()) {
                match input.read(rest) {
                    Ok(0) => end = Some(End::Whole),
                    Ok(n) => got += n,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => end = Some(End::Cut),
                    Err(error) if was_cancelled(&error) => end = Some(End::Cancelled),
                    Err(error) => end = Some(End::Damaged(error.to_string())),
                }
                if end.is_some() {
                    break;
                }
            }
            spool::check_room(&self.folder, self.len, got as u64)?;
            let put = |at: u64, bytes: &[u8]| self.file.write_all_at(bytes, self.len + at);
            super::store::each_run(buffer.get(..got).unwrap_or_default(), put)
                .map_err(|error| WriteError::io(&self.folder, self.len, error))?;
            self.len += got as u64;
            left -= got as u64;
            if let Some(end) = end {
                return Ok(end);
            }
        }
        Ok(End::Whole)
    }

    pub fn finish(self) -> Result<File, WriteError> {
        self.file.set_len(self.len).map_err(|error| WriteError::io(&self.folder, self.len, error))?;
        Ok(self.file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Addr;
    use std::io::Write;

    fn plain() -> Vec<u8> {
        let mut bytes = Vec::new();
        for (start, fill, len) in [(0x10_0000u64, 7u8, 0x4000u64), (0x20_0000, 0, 0x40_0000), (0x80_0000, 9, 0x1000)] {
            bytes.extend(start.to_le_bytes());
            bytes.extend((start + len).to_le_bytes());
            bytes.extend(std::iter::repeat_n(fill, len as usize));
        }
        bytes
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn lz4(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn open_bytes(bytes: &[u8]) -> Result<Snapshot, OpenError> {
        open(&mut &bytes[..], Foretold::Unknown, Path::new("test"), Path::new("/"), &Progress::default())
    }

    fn check(snapshot: &Snapshot) {
        assert_eq!(snapshot.problems(), [] as [String; 0]);
        let reader = snapshot.reader();
        let byte = |at| reader.u8(Addr(at));
        assert_eq!([byte(0x10_3fff), byte(0x20_0000), byte(0x80_0fff)], [7, 0, 9].map(Some));
        assert!(snapshot.data_bytes() < 0x1_0000, "zeros are holes: {}", snapshot.data_bytes());
    }

    #[test]
    fn every_compression_and_several_at_once_are_read() {
        let plain = plain();
        let zstd = zstd::encode_all(&plain[..], 1).unwrap();
        // compressed piece by piece, as `cat a.lz4 b.lz4` makes it
        let pieces = |pack: fn(&[u8]) -> Vec<u8>| plain.chunks(0x2_0000).flat_map(pack).collect::<Vec<u8>>();
        let joined = [pieces(gzip), pieces(lz4), pieces(|piece| zstd::encode_all(piece, 1).unwrap())];
        for bytes in [&plain, &gzip(&plain), &lz4(&plain), &zstd, &gzip(&zstd)].into_iter().chain(&joined) {
            check(&open_bytes(bytes).unwrap());
        }
    }

    #[test]
    fn damage_is_one_sentence_and_keeps_what_came_before() {
        let mut noise = plain();
        let mut state = 1u64;
        noise[16..0x4010].iter_mut().for_each(|b| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            *b = (state >> 33) as u8;
        });
        for (name, packed) in
            [("zstd", zstd::encode_all(&noise[..], 1).unwrap()), ("gzip", gzip(&noise)), ("lz4", lz4(&noise))]
        {
            let cut = open_bytes(&packed[..packed.len() - 8]);
            let problems = cut.map_or_else(|e| vec![e.to_string()], |s| s.problems().to_vec());
            let told = problems.iter().any(|p| p.contains("cut short") || p.contains("is damaged"));
            assert!(told, "{name}: {problems:?}");
            let early = open_bytes(&packed[..30]).map(|s| s.problems().to_vec());
            assert!(!matches!(&early, Ok(p) if p.is_empty()), "{name}: {early:?}");
        }
    }

    #[test]
    fn a_packed_folder_opens() {
        let folder = tempfile::tempdir().unwrap();
        let bytes = plain();
        let region = &bytes[16..0x4010];
        let mut builder = tar::Builder::new(Vec::new());
        let mut add = |name: &str, bytes: &[u8]| {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o600);
            header.set_cksum();
            builder.append_data(&mut header, name, bytes).unwrap();
        };
        add("dump/snapshot.json", b"{\"format\":\"x\",\"tool\":\"\",\"mode\":\"plain\",\"bytes\":5,\"process\":{\"pid\":7},\"regions\":[],\"threads\":[]}");
        add("dump/mem.0000000000100000.0000000000104000.bin", region);
        add("dump/mem.0000000000200000.0000000000204000.bin.gz", &gzip(region));
        let archive = builder.into_inner().unwrap();
        for bytes in [archive.clone(), gzip(&archive)] {
            let snapshot = open_bytes(&bytes).unwrap();
            assert_eq!(snapshot.problems(), [] as [String; 0]);
            assert_eq!((snapshot.regions().len(), snapshot.metadata().map(|m| m.process.pid)), (2, Some(7)));
            assert_eq!(snapshot.reader().u8(Addr(0x20_3fff)), Some(7));
        }
        std::fs::write(folder.path().join("mem.0000000000200000.0000000000204000.bin.gz"), gzip(region)).unwrap();
        std::fs::write(folder.path().join("mem.0000000000100000.0000000000104000.bin"), region).unwrap();
        let snapshot = Snapshot::open(folder.path()).unwrap();
        assert_eq!((snapshot.regions().len(), snapshot.problems().len()), (2, 0), "{:?}", snapshot.problems());
    }

    #[test]
    fn work_that_is_cancelled_leaves_nothing() {
        let progress = Progress::default();
        progress.cancel();
        for bytes in [plain(), gzip(&plain())] {
            let error =
                open(&mut &bytes[..], Foretold::Unknown, Path::new("test"), Path::new("/"), &progress).unwrap_err();
            assert!(matches!(error, OpenError::Cancelled), "{error}");
        }
    }
}
