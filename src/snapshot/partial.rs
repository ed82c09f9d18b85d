//! The hidden directory or file that something is written in until it is whole, and what killed writers left of theirs.
//!
//! Whoever writes one holds a lock on it (flock(2)), which the kernel lets go of however its holder ends. So one that
//! nobody has locked was left behind, and the next writer for the same place removes it: only one of our own user, and
//! of a directory only the files that it is made of. A file needs no name where the file system has such; then nothing
//! is ever left. What is written is not known here.

use super::directory::parse_region_file_name;
use super::meta;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, Flock, FlockArg};
use nix::libc::{O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_TMPFILE};
use nix::unistd::{UnlinkatFlags, geteuid, linkat, unlinkat};
use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Between the name that is asked for and what makes the hidden one unique.
const MARK: &str = ".partial-";

/// So often another is made when somebody takes a new one for a stale one, between its making and its locking.
const TRIES: usize = 16;

/// A directory with a lock, or without one where the file system has none.
#[derive(Debug)]
pub struct Hidden {
    /// Removes it, unless it is kept.
    pub folder: tempfile::TempDir,
    /// Its files are reached through this: where others may write to the folder around it, its name may come to mean
    /// another directory.
    pub(super) dir: Handle,
}

/// An open directory or file.
#[derive(Debug)]
pub(super) enum Handle {
    Locked(Flock<File>),
    Unlocked(File),
}

impl std::ops::Deref for Handle {
    type Target = File;

    fn deref(&self) -> &File {
        match self {
            Handle::Locked(file) => file,
            Handle::Unlocked(file) => file,
        }
    }
}

impl Hidden {
    /// Makes one in `parent` for what is going to be called `name`, and removes those that were left. `is_part`: the
    /// names of files that may be in one.
    pub fn make(parent: &Path, name: &str, is_part: fn(&str) -> bool) -> io::Result<Hidden> {
        let prefix = format!(".{name}{MARK}");
        remove_stale(parent, &prefix, is_part);
        for _ in 0..TRIES {
            let mut builder = tempfile::Builder::new();
            let folder = builder.prefix(&prefix).permissions(Permissions::from_mode(0o700)).tempdir_in(parent)?;
            let dir = match open_directory(folder.path()) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                opened => opened?,
            };
            match Flock::lock(dir, FlockArg::LockExclusiveNonblock) {
                Ok(dir) if is_at(&dir, folder.path()) => return Ok(Hidden { folder, dir: Handle::Locked(dir) }),
                Ok(_) | Err((_, Errno::EWOULDBLOCK)) => {}
                Err((dir, _)) => return Ok(Hidden { folder, dir: Handle::Unlocked(dir) }),
            }
        }
        Err(io::Error::other("somebody removes what is made there"))
    }
}

/// A file that has its name only when it is whole.
#[derive(Debug)]
pub struct HiddenFile {
    file: File,
    /// Where the file system has no files without one.
    named: Option<(tempfile::TempPath, Option<Flock<File>>)>,
    path: PathBuf,
}

impl HiddenFile {
    /// Makes one that is going to be `path`, and removes those that were left.
    pub fn make(path: &Path) -> io::Result<HiddenFile> {
        let (parent, prefix) = place(path);
        remove_stale(parent, &prefix, |_| false);
        let nameless = OpenOptions::new().read(true).write(true).mode(0o600).custom_flags(O_TMPFILE).open(parent);
        match nameless {
            // it gets its name through /proc
            Ok(file) if link_of(&file).symlink_metadata().is_ok() => {
                Ok(HiddenFile { file, named: None, path: path.to_owned() })
            }
            _ => HiddenFile::named(path),
        }
    }

    fn named(path: &Path) -> io::Result<HiddenFile> {
        let (parent, prefix) = place(path);
        for _ in 0..TRIES {
            let (file, hidden) = tempfile::Builder::new().prefix(&prefix).tempfile_in(parent)?.into_parts();
            let lock = match Flock::lock(file.try_clone()?, FlockArg::LockExclusiveNonblock) {
                Ok(lock) if is_at(&lock, &hidden) => Some(lock),
                Ok(_) | Err((_, Errno::EWOULDBLOCK)) => continue,
                Err(_) => None,
            };
            return Ok(HiddenFile { file, named: Some((hidden, lock)), path: path.to_owned() });
        }
        Err(io::Error::other("somebody removes what is made there"))
    }

    /// To write to.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Gives it its name, which nothing may have.
    pub fn finish(self) -> io::Result<()> {
        match self.named {
            None => Ok(linkat(AT_FDCWD, &link_of(&self.file), AT_FDCWD, &self.path, AtFlags::AT_SYMLINK_FOLLOW)?),
            Some((hidden, _lock)) => hidden.persist_noclobber(&self.path).map_err(|e| e.error),
        }
    }
}

fn link_of(file: &File) -> PathBuf {
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}

/// The folder that something goes into, and how hidden ones of it begin.
fn place(path: &Path) -> (&Path, String) {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    (parent, format!(".{name}{MARK}"))
}

/// Whether a directory of this name was left by a capture that did not come to its end.
pub(super) fn is_partial(path: &Path) -> bool {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    name.starts_with('.') && name.contains(MARK) && !path.join(meta::FILE_NAME).exists()
}

fn open_directory(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(O_DIRECTORY | O_NOFOLLOW).open(path)
}

/// Without waiting for whoever writes to a pipe.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(O_NOFOLLOW | O_NONBLOCK).open(path)
}

fn is_at(dir: &File, path: &Path) -> bool {
    let identity = |info: std::fs::Metadata| (info.dev(), info.ino());
    let (here, there) = (dir.metadata().map(identity), path.symlink_metadata().map(identity));
    here.ok().is_some_and(|here| there.is_ok_and(|there| here == there))
}

/// As far as it can; what cannot be removed is no obstacle.
fn remove_stale(parent: &Path, prefix: &str, is_part: fn(&str) -> bool) {
    for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_some_and(|name| name.starts_with(prefix)) {
            let _ = remove_if_stale(&entry.path(), is_part);
        }
    }
}

fn remove_if_stale(path: &Path, is_part: fn(&str) -> bool) -> io::Result<()> {
    remove_opened(open(path)?, path, is_part)
}

/// What was at `path` when it was opened.
fn remove_opened(left: File, path: &Path, is_part: fn(&str) -> bool) -> io::Result<()> {
    let info = left.metadata()?;
    if info.uid() != geteuid().as_raw() {
        return Ok(());
    }
    let Ok(left) = Flock::lock(left, FlockArg::LockExclusiveNonblock) else { return Ok(()) }; // it is being written
    // it may have got its name between our look at it and the lock
    if !is_at(&left, path) {
        return Ok(());
    }
    if info.is_file() {
        return std::fs::remove_file(path);
    }
    if !info.is_dir() {
        return Ok(());
    }
    for entry in std::fs::read_dir(path)?.flatten() {
        let name = entry.file_name();
        if name.to_str().is_some_and(is_part) {
            unlinkat(&*left, name.as_os_str(), UnlinkatFlags::NoRemoveDir)?;
        }
    }
    std::fs::remove_dir(path) // not when there is something else in it
}

/// Whether a file of a snapshot's directory is called so.
pub(super) fn is_of_snapshot(name: &str) -> bool {
    name == meta::FILE_NAME || parse_region_file_name(name).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn names(folder: &Path) -> BTreeSet<String> {
        std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn what_nobody_writes_is_removed_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let make = |name: &str, file: &str| {
            std::fs::create_dir(dir.path().join(name)).unwrap();
            std::fs::write(dir.path().join(name).join(file), "x").unwrap();
        };
        let region = super::super::region_file_name(super::super::Addr(0x1000), super::super::Addr(0x2000));
        make(".dump.partial-left", &region);
        make(".dump.partial-json", meta::FILE_NAME);
        make(".dump.partial-foreign", "letter");
        make(".other.partial-left", &region);
        make("victim", &region);
        std::os::unix::fs::symlink(dir.path().join("victim"), dir.path().join(".dump.partial-link")).unwrap();
        let kept = [".dump.partial-foreign", ".other.partial-left", "victim", ".dump.partial-link"];
        let kept: BTreeSet<String> = kept.into_iter().map(str::to_owned).collect();
        let first = Hidden::make(dir.path(), "dump", is_of_snapshot).unwrap();
        let second = Hidden::make(dir.path(), "dump", is_of_snapshot).unwrap();
        assert!(first.folder.path().exists(), "it is being written");
        assert!(matches!(first.dir, Handle::Locked(_)));
        drop((first, second));
        assert_eq!(names(dir.path()), kept);
        assert_eq!(
            (names(&dir.path().join("victim")).len(), names(&dir.path().join(kept.first().unwrap())).len()),
            (1, 1)
        );
    }

    #[test]
    fn one_that_got_its_name_is_let_be() {
        let dir = tempfile::tempdir().unwrap();
        let hidden = Hidden::make(dir.path(), "dump", is_of_snapshot).unwrap();
        let (before, after) = (hidden.folder.path().to_owned(), dir.path().join("dump"));
        let region = super::super::region_file_name(super::super::Addr(0x1000), super::super::Addr(0x2000));
        std::fs::write(before.join(region), "x").unwrap();
        let seen = open(&before).unwrap();
        std::fs::rename(&before, &after).unwrap();
        assert!(!is_at(&seen, &before) && is_at(&seen, &after));
        assert!(remove_if_stale(&before, is_of_snapshot).is_err());
        assert_eq!(names(&after).len(), 1);
        // another is at its place when it gets the lock
        let _ = hidden.folder.keep();
        drop(hidden.dir);
        std::fs::create_dir(&before).unwrap();
        remove_opened(seen, &before, is_of_snapshot).unwrap();
        assert!(before.exists(), "what it has opened is elsewhere now");
    }

    #[test]
    fn another_users_and_what_is_no_file_are_let_be() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join(".dump.partial-pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let link = dir.path().join(".dump.partial-link");
        std::os::unix::fs::symlink(dir.path(), &link).unwrap();
        assert!(open(&link).is_err(), "what a link leads to is not even opened");
        let mut kept = BTreeSet::from([".dump.partial-pipe".to_owned(), ".dump.partial-link".to_owned()]);
        if geteuid().is_root() {
            let another = dir.path().join(".dump.partial-another");
            std::fs::create_dir(&another).unwrap();
            std::os::unix::fs::chown(&another, Some(65534), Some(65534)).unwrap();
            kept.insert(".dump.partial-another".to_owned());
        } else {
            println!("not covered: another user's, which only root can make");
        }
        let (parent, (done, waits)) = (dir.path().to_owned(), std::sync::mpsc::channel());
        std::thread::spawn(move || {
            let made = Hidden::make(&parent, "dump", is_of_snapshot).is_ok(); // and is removed again
            done.send(made)
        });
        let made = waits.recv_timeout(std::time::Duration::from_secs(20));
        assert_eq!(made, Ok(true), "it waits for nobody to write to a pipe");
        assert_eq!(names(dir.path()), kept);
    }

    #[test]
    fn many_at_once_do_not_remove_each_others() {
        let dir = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let hidden = Hidden::make(dir.path(), "dump", is_of_snapshot).unwrap();
                        assert!(is_at(&hidden.dir, hidden.folder.path()));
                    }
                });
            }
        });
        assert!(names(dir.path()).is_empty(), "{:?}", names(dir.path()));
    }

    #[test]
    fn a_file_that_nobody_writes_any_more_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.html");
        let is_whole = |file: HiddenFile, said: &str| {
            io::Write::write_all(&mut file.file(), said.as_bytes()).unwrap();
            file.finish().unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), said);
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
            assert_eq!(names(dir.path()), BTreeSet::from(["out.html".to_owned()]));
            std::fs::remove_file(&path).unwrap();
        };
        is_whole(HiddenFile::make(&path).unwrap(), "without a name");
        is_whole(HiddenFile::named(&path).unwrap(), "with one");
        // one that is written, and what another left
        let written = HiddenFile::named(&path).unwrap();
        std::fs::write(dir.path().join(format!(".out.html{MARK}left")), "half").unwrap();
        std::fs::write(dir.path().join(format!(".other.html{MARK}left")), "of another").unwrap();
        drop(HiddenFile::make(&path).unwrap());
        assert_eq!(names(dir.path()).len(), 2, "{:?}", names(dir.path()));
        drop(written);
        assert_eq!(names(dir.path()), BTreeSet::from([format!(".other.html{MARK}left")]));
        // a name that is taken
        for file in [HiddenFile::make(&path).unwrap(), HiddenFile::named(&path).unwrap()] {
            std::fs::write(&path, "another's").unwrap();
            assert!(file.finish().is_err());
            assert_eq!(std::fs::read_to_string(&path).unwrap(), "another's");
        }
    }
}
