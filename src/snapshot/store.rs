//! Writing a snapshot: region files in a directory that appears whole or not at all, one unnamed file, or a stream.
//!
//! A directory is made under a hidden name beside its place and renamed at the end, so that nothing half-written ever
//! has the name that was asked for. Pages of zeros are not written: they become holes. Where the bytes come from is
//! not known here.

pub use super::error::WriteError;
use super::partial::{Hidden, is_of_snapshot};
use super::stream::{Packing, StreamWriter};
use super::{Addr, Metadata, OpenError, Snapshot, meta, region_file_name, spool};
use nix::errno::Errno;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

const PAGE: usize = 4096;

/// Where the bytes of each region go. Shared by the threads that write; each has its own [`Writer`].
#[derive(Debug)]
pub struct Store {
    place: Place,
    slots: Vec<Slot>,
    needed: u64,
}

#[derive(Debug)]
enum Place {
    /// A hidden directory, and the name it gets in the end.
    Directory { hidden: Hidden, path: PathBuf },
    /// One file without a name.
    Unnamed { file: File, folder: PathBuf },
    /// What somebody reads as it is written; `aside` is where it goes while it must not wait for the reader.
    Stream { out: Mutex<StreamWriter>, aside: Option<(File, PathBuf)> },
}

/// What a stream that cannot be written is called in messages.
const STREAM: &str = "the stream";

/// Bytes of what was put aside that are read at a time.
const CHUNK: u64 = 1 << 20;

#[derive(Debug, Clone, Copy)]
struct Slot {
    start: Addr,
    len: u64,
    /// Where it begins in [`Place::Unnamed`].
    offset: u64,
}

impl Store {
    /// Will become the directory `path`, which must not exist. About `needed` bytes are going to be written.
    pub fn directory(path: &Path, needed: u64) -> Result<Store, WriteError> {
        check_absent(path)?;
        let Some(name) = path.file_name() else { return Err(WriteError::Exists(path.to_owned())) }; // `/`, `..`
        let parent = folder_of(path);
        let io_error = |error| WriteError::io(path, needed, error);
        let free = spool::free_bytes(parent).map_err(io_error)?;
        if free < needed {
            return Err(WriteError::Full { path: path.to_owned(), needed, free: Some(free) });
        }
        let hidden = Hidden::make(parent, &name.to_string_lossy(), is_of_snapshot).map_err(io_error)?;
        Ok(Store { place: Place::Directory { hidden, path: path.to_owned() }, slots: Vec::new(), needed })
    }

    /// A file without a name, on a disk with room for `needed` bytes.
    pub fn temporary(needed: u64) -> Result<Store, WriteError> {
        let (file, folder) = spool::unnamed_file(needed)?;
        Ok(Store { place: Place::Unnamed { file, folder }, slots: Vec::new(), needed })
    }

    /// A stream to `out`, written in one pass, without a disk.
    pub fn stream(out: Box<dyn io::Write + Send>, packing: Packing) -> Result<Store, WriteError> {
        let out = StreamWriter::begin(out, packing).map_err(|error| WriteError::io(Path::new(STREAM), 0, error))?;
        Ok(Store { place: Place::Stream { out: Mutex::new(out), aside: None }, slots: Vec::new(), needed: 0 })
    }

    /// From here to [`finish`](Self::finish) no reader of a stream is waited for: what is written goes to a disk with
    /// room for `needed` bytes first. Before [`lay_out`](Self::lay_out).
    pub fn put_aside(&mut self, needed: u64) -> Result<(), WriteError> {
        if let Place::Stream { aside, .. } = &mut self.place {
            *aside = Some(spool::unnamed_file(needed)?);
        }
        Ok(())
    }

    /// Tells whoever reads a stream how many bytes will come, about; before anything else. Does nothing elsewhere.
    pub fn foretell(&self, bytes: u64) -> Result<(), WriteError> {
        match &self.place {
            Place::Stream { out, .. } => locked(out).total(bytes).map_err(|error| self.error(error)),
            _ => Ok(()),
        }
    }

    /// What is known of the process already, for a stream that is cut before its end. Does nothing elsewhere.
    pub fn announce(&self, metadata: &Metadata) -> Result<(), WriteError> {
        match &self.place {
            Place::Stream { out, .. } => locked(out).metadata(metadata).map_err(|error| self.error(error)),
            _ => Ok(()),
        }
    }

    /// Whether the disk that an unnamed file grows on has room for `more` bytes.
    pub(super) fn check_room(&self, more: u64) -> Result<(), WriteError> {
        match &self.place {
            Place::Unnamed { folder, .. } => spool::check_room(folder, 0, more),
            _ => Ok(()),
        }
    }

    /// Says which regions there are, by first address and length; before any [`writer`](Self::writer) is made. Their pages
    /// together are fewer than there are addresses.
    pub fn lay_out(&mut self, regions: impl IntoIterator<Item = (Addr, u64)>) -> Result<(), WriteError> {
        let mut offset = 0;
        self.slots.clear();
        for (start, len) in regions {
            self.slots.push(Slot { start, len, offset });
            offset += len.next_multiple_of(PAGE as u64);
        }
        match &self.place {
            Place::Directory { hidden, .. } => {
                self.slots.iter().try_for_each(|slot| open_in(&hidden.dir, &slot.name(), true)?.set_len(slot.len))
            }
            Place::Unnamed { file, .. } => file.set_len(offset),
            Place::Stream { out, aside } => aside
                .iter()
                .try_for_each(|(file, _)| file.set_len(offset))
                .and_then(|()| locked(out).layout(self.slots.iter().map(|slot| (slot.start, slot.len)))),
        }
        .map_err(|error| self.error(error))
    }

    /// Whether the regions are known already.
    pub fn is_laid_out(&self) -> bool {
        !self.slots.is_empty()
    }

    /// Writes into the regions; one for each thread.
    pub fn writer(&self) -> Writer<'_> {
        Writer { store: self, open: None }
    }

    /// Everything is written: adds `snapshot.json` and gives the directory its name, or opens the unnamed file.
    pub fn finish(self, metadata: Option<&Metadata>) -> Result<Stored, WriteError> {
        let needed = self.needed;
        match self.place {
            Place::Directory { hidden: Hidden { folder: hidden, dir }, path } => {
                let io_error = |error| WriteError::io(&path, needed, error);
                if let Some(metadata) = metadata {
                    write_metadata(open_in(&dir, meta::FILE_NAME, true).map_err(io_error)?, metadata)
                        .map_err(io_error)?;
                }
                give_to_invoker(hidden.path());
                rename_new(hidden.path(), &path).map_err(|error| match error.kind() {
                    io::ErrorKind::AlreadyExists => WriteError::Exists(path.clone()),
                    _ => io_error(error),
                })?;
                let _ = hidden.keep(); // it has its name: nothing is left to remove
                let identity = |info: std::fs::Metadata| (info.dev(), info.ino());
                let (ours, there) = (dir.metadata().map(identity), path.symlink_metadata().map(identity));
                if ours.map_err(io_error)? != there.map_err(io_error)? {
                    return Err(io_error(io::Error::other("somebody exchanged the folder while it was written")));
                }
                Ok(Stored::Directory(path))
            }
            Place::Unnamed { file, .. } => {
                let parts = self.slots.iter().map(|slot| (slot.start, slot.offset, slot.len)).collect();
                Ok(Stored::Unnamed { file, parts, metadata: metadata.cloned().map(Box::new) })
            }
            Place::Stream { out, aside } => {
                let mut out = out.into_inner().unwrap_or_else(PoisonError::into_inner);
                let end = || {
                    for slot in &self.slots {
                        aside.iter().try_for_each(|(file, _)| copy(file, slot, &mut out))?;
                    }
                    metadata.map_or(Ok(()), |metadata| out.metadata(metadata))?;
                    out.end()
                };
                end().map_err(|error| WriteError::io(Path::new(STREAM), needed, error))?;
                Ok(Stored::Streamed)
            }
        }
    }

    fn error(&self, error: io::Error) -> WriteError {
        let path = match &self.place {
            Place::Directory { path, .. } => path,
            Place::Unnamed { folder, .. } | Place::Stream { aside: Some((_, folder)), .. } => folder,
            Place::Stream { .. } => Path::new(STREAM),
        };
        WriteError::io(path, self.needed, error)
    }
}

fn locked(out: &Mutex<StreamWriter>) -> std::sync::MutexGuard<'_, StreamWriter> {
    out.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What was put aside of one region, into the stream.
fn copy(file: &File, slot: &Slot, out: &mut StreamWriter) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK as usize];
    let mut at = 0;
    while at < slot.len {
        let bytes = buffer.get_mut(..CHUNK.min(slot.len - at) as usize).unwrap_or_default();
        file.read_exact_at(bytes, slot.offset + at)?;
        each_run(bytes, |inner, bytes| out.memory(slot.start + at + inner, bytes))?;
        at += bytes.len() as u64;
    }
    Ok(())
}

impl Slot {
    fn name(&self) -> String {
        region_file_name(self.start, self.start + self.len)
    }
}

/// A snapshot that is written to its end.
#[derive(Debug)]
pub enum Stored {
    /// It lies here.
    Directory(PathBuf),
    /// It goes when this is dropped.
    Unnamed {
        /// The only handle to the file.
        file: File,
        /// Its regions: first address, offset in the file, length.
        parts: Vec<(Addr, u64, u64)>,
        /// What is known of the process.
        metadata: Option<Box<Metadata>>,
    },
    /// It went to whoever read it.
    Streamed,
}

impl Stored {
    /// The directory's path.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Stored::Directory(path) => Some(path),
            Stored::Unnamed { .. } | Stored::Streamed => None,
        }
    }

    /// Opens it for reading.
    pub fn open(self) -> Result<Snapshot, OpenError> {
        match self {
            Stored::Directory(path) => Snapshot::open(&path),
            Stored::Unnamed { file, parts, metadata } => Snapshot::from_parts(file, &parts, metadata.map(|m| *m))
                .map_err(|error| OpenError::Io { path: PathBuf::from("the temporary snapshot"), error }),
            Stored::Streamed => Err(OpenError::Io {
                path: PathBuf::from(STREAM),
                error: io::Error::other("it is with whoever read it"),
            }),
        }
    }
}

/// One thread's way into a [`Store`].
pub struct Writer<'s> {
    store: &'s Store,
    /// The region file that was written last: work comes region by region.
    open: Option<(usize, File)>,
}

impl Writer<'_> {
    /// Writes at an offset within a region; both offset and length are whole pages. Pages of zeros become holes.
    pub fn write(&mut self, region: usize, offset: u64, bytes: &[u8]) -> Result<(), WriteError> {
        let store = self.store;
        each_run(bytes, |at, bytes| self.put(region, offset + at, bytes)).map_err(|error| store.error(error))
    }

    fn put(&mut self, region: usize, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let slot = self.store.slots.get(region).ok_or_else(|| io::Error::other("no such region"))?;
        match &self.store.place {
            Place::Unnamed { file, .. } | Place::Stream { aside: Some((file, _)), .. } => {
                file.write_all_at(bytes, slot.offset + offset)
            }
            Place::Stream { out, aside: None } => locked(out).memory(slot.start + offset, bytes),
            Place::Directory { hidden: Hidden { dir, .. }, .. } => {
                if self.open.as_ref().is_none_or(|(open, _)| *open != region) {
                    self.open = Some((region, open_in(dir, &slot.name(), false)?));
                }
                self.open.as_ref().map_or(Ok(()), |(_, file)| file.write_all_at(bytes, offset))
            }
        }
    }
}

/// Calls `put` with each run of pages that are not all zero: where it begins in `bytes`, and the run.
pub(super) fn each_run(bytes: &[u8], mut put: impl FnMut(u64, &[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut at = 0;
    while at < bytes.len() {
        at += run(&bytes[at..], true);
        let data = run(&bytes[at..], false);
        if data > 0 {
            put(at as u64, &bytes[at..at + data])?;
        }
        at += data;
    }
    Ok(())
}

/// How many bytes of whole pages at the beginning of `bytes` are all zero (or not).
fn run(bytes: &[u8], zero: bool) -> usize {
    let pages = bytes.chunks(PAGE).take_while(|page| is_zero(page) == zero);
    pages.map(<[u8]>::len).sum()
}

fn is_zero(page: &[u8]) -> bool {
    let (words, rest) = page.as_chunks::<64>();
    words.iter().all(|word| *word == [0; 64]) && rest.iter().all(|b| *b == 0)
}

/// Says so when something, if only a dangling link, has this name.
pub fn check_absent(path: &Path) -> Result<(), WriteError> {
    match std::fs::symlink_metadata(path) {
        Ok(_) => Err(WriteError::Exists(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => match folder_of(path).metadata() {
            Ok(info) if info.is_dir() => Ok(()),
            Ok(_) => {
                Err(WriteError::Io { path: path.to_owned(), error: io::Error::from(io::ErrorKind::NotADirectory) })
            }
            Err(error) => Err(WriteError::Io { path: path.to_owned(), error }),
        },
        Err(error) => Err(WriteError::Io { path: path.to_owned(), error }),
    }
}

/// Under sudo, gives a directory and the files in it to whoever called it: nobody else should have to be root to read
/// the snapshot. As far as the file system lets us.
pub fn give_to_invoker(folder: &Path) {
    let id = |name| std::env::var(name).ok()?.parse::<u32>().ok();
    let Some((user, group)) = id("SUDO_UID").zip(id("SUDO_GID")).filter(|_| nix::unistd::geteuid().is_root()) else {
        return;
    };
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    for path in files.chain([folder.to_owned()]) {
        let _ = std::os::unix::fs::lchown(path, Some(user), Some(group));
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A file of this directory for writing, made `new` or there already; never through a link.
fn open_in(dir: &File, name: &str, new: bool) -> io::Result<File> {
    use nix::fcntl::{OFlag, openat};
    let flags = OFlag::O_WRONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let made = if new { OFlag::O_CREAT | OFlag::O_EXCL } else { OFlag::empty() };
    Ok(openat(dir, name, flags | made, nix::sys::stat::Mode::from_bits_truncate(0o600))?.into())
}

fn write_metadata(file: File, metadata: &Metadata) -> io::Result<()> {
    let mut out = io::BufWriter::new(file);
    serde_json::to_writer_pretty(&mut out, metadata)?;
    io::Write::flush(&mut out)
}

/// Renames, but never onto something that came into being meanwhile (rename(2) replaces an empty directory).
pub fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(target_env = "gnu")]
    {
        use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
        match renameat2(AT_FDCWD, from, AT_FDCWD, to, RenameFlags::RENAME_NOREPLACE) {
            Err(Errno::EINVAL | Errno::ENOSYS) => {} // a file system without it
            done => return Ok(done?),
        }
    }
    if to.symlink_metadata().is_ok() {
        return Err(io::Error::from(io::ErrorKind::AlreadyExists));
    }
    std::fs::rename(from, to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_opened_through_no_link() {
        let folder = tempfile::tempdir().unwrap();
        let victim = folder.path().join("victim");
        std::fs::write(&victim, "untouched").unwrap();
        std::os::unix::fs::symlink(&victim, folder.path().join("link")).unwrap();
        let dir = File::open(folder.path()).unwrap();
        assert!(open_in(&dir, "victim", false).is_ok());
        for (name, new) in [("link", false), ("link", true), ("victim", true)] {
            assert!(open_in(&dir, name, new).is_err(), "{name} {new}");
        }
    }

    #[test]
    fn a_directory_appears_whole_with_holes_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("dump");
        let mut store = Store::directory(&path, 100).unwrap();
        store.lay_out([(Addr(0x1000), 0x10_0000), (Addr(0x40_0000), 0x1000)]).unwrap();
        let mut writer = store.writer();
        let mut bytes = vec![0; 0x10_0000];
        bytes[0x8_0000] = 7;
        writer.write(0, 0, &bytes).unwrap();
        writer.write(1, 0, &[9; 0x1000]).unwrap();
        assert!(!path.exists());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        let stored = store.finish(Some(&Metadata { mode: "plain".into(), ..Metadata::default() })).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o700);
        let file = path.join(region_file_name(Addr(0x1000), Addr(0x10_1000))).metadata().unwrap();
        assert_eq!(file.mode() & 0o777, 0o600);
        assert!(file.blocks() * 512 < 0x8000, "{} blocks", file.blocks());
        let snapshot = stored.open().unwrap();
        assert_eq!(snapshot.reader().u8(Addr(0x8_1000)), Some(7));
        assert_eq!(snapshot.reader().u8(Addr(0x40_0fff)), Some(9));
        assert_eq!(snapshot.metadata().map(|m| m.mode.as_str()), Some("plain"));
    }

    #[test]
    fn an_output_that_exists_is_never_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("dump");
        let store = Store::directory(&path, 0).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert!(matches!(Store::directory(&path, 0), Err(WriteError::Exists(_))));
        assert!(matches!(store.finish(None), Err(WriteError::Exists(_))));
        std::os::unix::fs::symlink("nowhere", dir.path().join("link")).unwrap();
        assert!(matches!(Store::directory(&dir.path().join("link"), 0), Err(WriteError::Exists(_))));
        let error = Store::directory(&dir.path().join("none/dump"), 0).unwrap_err().to_string();
        assert!(error.contains("No such file"), "{error}");
        let names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names.len(), 2, "{names:?}");
    }

    /// The folder around is another's: the hidden directory gets another name, and a link takes its place.
    #[test]
    fn a_directory_that_is_exchanged_leads_nowhere_else() {
        let dir = tempfile::tempdir().unwrap();
        let (path, victim) = (dir.path().join("dump"), dir.path().join("victim"));
        std::fs::create_dir(&victim).unwrap();
        let mut store = Store::directory(&path, 0).unwrap();
        let Place::Directory { hidden, .. } = &store.place else { panic!("it is a directory") };
        std::fs::rename(hidden.folder.path(), dir.path().join("moved")).unwrap();
        std::os::unix::fs::symlink(&victim, hidden.folder.path()).unwrap();
        store.lay_out([(Addr(0x1000), 0x1000)]).unwrap();
        store.writer().write(0, 0, &[7; 0x1000]).unwrap();
        let error = store.finish(Some(&Metadata::default())).unwrap_err().to_string();
        assert!(error.contains("somebody exchanged the folder"), "{error}");
        assert_eq!(std::fs::read_dir(&victim).unwrap().count(), 0, "the victim's folder is written to");
    }

    #[test]
    fn planted_links_are_refused_and_their_ends_are_untouched() {
        let dir = tempfile::tempdir().unwrap();
        let (victim, link, hard) = (dir.path().join("victim"), dir.path().join("link"), dir.path().join("hard"));
        std::fs::write(&victim, "untouched").unwrap();
        std::os::unix::fs::symlink(&victim, &link).unwrap();
        std::fs::hard_link(&victim, &hard).unwrap();
        for path in [&link, &hard] {
            assert!(matches!(Store::directory(path, 0), Err(WriteError::Exists(_))));
        }
        // planted while it is written
        let late = dir.path().join("late");
        let store = Store::directory(&late, 0).unwrap();
        std::os::unix::fs::symlink(dir.path(), &late).unwrap();
        assert!(matches!(store.finish(None), Err(WriteError::Exists(_))));
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "untouched");
        // within the hidden directory, where only we can write: an entry that is there is never followed
        let mut store = Store::directory(&dir.path().join("inner"), 0).unwrap();
        let Place::Directory { hidden, .. } = &store.place else { panic!("it is a directory") };
        let name = region_file_name(Addr(0x1000), Addr(0x2000));
        std::os::unix::fs::symlink(&victim, hidden.folder.path().join(name)).unwrap();
        assert!(store.lay_out([(Addr(0x1000), 0x1000)]).is_err());
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "untouched");
        // a hard link is no link to follow: only a file that is new will do
        let Place::Directory { hidden, .. } = &store.place else { panic!("it is a directory") };
        std::fs::hard_link(&victim, hidden.folder.path().join(region_file_name(Addr(0x3000), Addr(0x4000)))).unwrap();
        assert!(store.lay_out([(Addr(0x3000), 0x1000)]).is_err());
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "untouched");
    }

    #[test]
    fn too_little_room_is_told_before_anything_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let error = Store::directory(&dir.path().join("dump"), u64::MAX / 2).unwrap_err().to_string();
        assert!(error.contains("is full") && error.contains("is free"), "{error}");
        assert!(matches!(Store::temporary(u64::MAX / 2), Err(WriteError::NoRoom { .. })));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
