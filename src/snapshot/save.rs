//! Writing an open snapshot: as a directory, which keeps a temporary one and turns a stream into region files, or as a
//! stream.

use super::store::{Store, Stored, WriteError};
use super::stream::Packing;
use super::{Addr, Metadata, Snapshot};
use crate::progress::Progress;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Bytes between two looks at the cancellation token.
const CHUNK: u64 = 2 << 20;

/// Writes `snapshot` to the directory `path`, which must not exist. Holes stay holes; on an error, or when cancelled,
/// nothing is left.
pub fn write_directory(snapshot: &Snapshot, path: &Path, progress: &Progress) -> Result<PathBuf, WriteError> {
    let total = snapshot.data_bytes();
    progress.begin(total);
    let store = Store::directory(path, total)?;
    match write(snapshot, store, progress)? {
        Stored::Directory(path) => Ok(path),
        _ => Ok(path.to_owned()),
    }
}

/// Writes `snapshot` as a stream with all that is known of it.
pub fn write_framed(
    snapshot: &Snapshot,
    out: Box<dyn Write + Send>,
    packing: Packing,
    progress: &Progress,
) -> Result<(), WriteError> {
    progress.begin(snapshot.data_bytes());
    let store = Store::stream(out, packing)?;
    store.foretell(snapshot.data_bytes())?;
    snapshot.metadata().map_or(Ok(()), |metadata| store.announce(metadata))?;
    write(snapshot, store, progress).map(|_| ())
}

/// Changes a copy of the memory at an address.
type Edit<'e> = &'e dyn Fn(Addr, &mut [u8]);

/// Writes `snapshot` with other metadata, each piece of memory changed by `edit` on its way.
pub fn write_edited(
    snapshot: &Snapshot,
    store: Store,
    metadata: &Metadata,
    edit: Edit,
    progress: &Progress,
) -> Result<Stored, WriteError> {
    progress.begin(snapshot.data_bytes());
    store.foretell(snapshot.data_bytes())?;
    store.announce(metadata)?;
    write_with(snapshot, store, Some(metadata), Some(edit), progress)
}

fn write(snapshot: &Snapshot, store: Store, progress: &Progress) -> Result<Stored, WriteError> {
    write_with(snapshot, store, snapshot.metadata(), None, progress)
}

fn write_with(
    snapshot: &Snapshot,
    mut store: Store,
    metadata: Option<&Metadata>,
    edit: Option<Edit>,
    progress: &Progress,
) -> Result<Stored, WriteError> {
    let mut buffer = Vec::new();
    store.lay_out(snapshot.regions().iter().map(|r| (r.start, r.len())))?;
    let mut writer = store.writer();
    for (index, region) in snapshot.regions().iter().enumerate() {
        for extent in region.extents() {
            let mut at = extent.start;
            while at < extent.end {
                progress.check()?;
                // chunks end on multiples of their size, so that pages stay whole
                let end = extent.end.min((at / CHUNK + 1) * CHUNK);
                let mut bytes = region.bytes().get(at as usize..end as usize).unwrap_or(&[]);
                if let Some(edit) = edit {
                    buffer.clear();
                    buffer.extend_from_slice(bytes);
                    edit(region.start + at, &mut buffer);
                    bytes = &buffer;
                }
                writer.write(index, at, bytes)?;
                progress.advance(end - at);
                at = end;
            }
        }
    }
    if let Some(damage) = snapshot.damage() {
        let error = io::Error::other(damage);
        return Err(WriteError::Io { path: snapshot.source().to_owned(), error });
    }
    store.finish(metadata)
}

/// Writes `snapshot` as python-memtools' stream of records, one for each region; holes become zeros, and what is known
/// beside the memory is not in it.
pub fn write_stream(snapshot: &Snapshot, out: &mut impl Write) -> io::Result<()> {
    for region in snapshot.regions() {
        out.write_all(&region.start.0.to_le_bytes())?;
        out.write_all(&region.end.0.to_le_bytes())?;
        out.write_all(region.bytes())?;
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Addr;

    #[test]
    fn what_was_saved_opens_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let pieces = vec![(Addr(0x1000), vec![1; 5000]), (Addr(0x10_0000), vec![0; 0x5000])];
        let snapshot = Snapshot::from_memory(pieces, None);
        let path = write_directory(&snapshot, &dir.path().join("kept"), &Progress::default()).unwrap();
        let kept = Snapshot::open(&path).unwrap();
        assert_eq!(kept.problems(), [] as [String; 0]);
        for (old, new) in snapshot.regions().iter().zip(kept.regions()) {
            assert_eq!((old.start, old.bytes()), (new.start, new.bytes()));
        }
        let cancelled = Progress::default();
        cancelled.cancel();
        let error = write_directory(&snapshot, &dir.path().join("again"), &cancelled).unwrap_err();
        assert!(matches!(error, WriteError::Cancelled(_)));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
