//! The hidden directory that a snapshot is written in until it is whole, and what killed captures left of theirs.
//!
//! Whoever writes one holds a lock on it (flock(2)), which the kernel lets go of however its holder ends. So one that
//! nobody has locked was left behind, and the next snapshot for the same place removes it: only one of our own user, and
//! of that only the files that a snapshot is made of. What goes into a directory is not known here.

use super::meta;
use super::open::parse_region_file_name;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::unistd::{UnlinkatFlags, geteuid, unlinkat};
use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Between the name that is asked for and what makes the hidden one unique.
const MARK: &str = ".partial-";

/// So often another is made when somebody takes a new one for a stale one, between its making and its locking.
const TRIES: usize = 16;

/// A directory with a lock, or without one where the file system has none.
#[derive(Debug)]
pub(super) struct Hidden {
    /// Removes it, unless it is kept.
    pub folder: tempfile::TempDir,
    /// Its files are reached through this: where others may write to the folder around it, its name may come to mean
    /// another directory.
    pub dir: Handle,
}

/// An open directory.
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
    /// Makes one in `parent` for a snapshot that is going to be called `name`, and removes those that were left.
    pub(super) fn make(parent: &Path, name: &str) -> io::Result<Hidden> {
        let prefix = format!(".{name}{MARK}");
        remove_stale(parent, &prefix);
        for _ in 0..TRIES {
            let mut builder = tempfile::Builder::new();
            let folder = builder.prefix(&prefix).permissions(Permissions::from_mode(0o700)).tempdir_in(parent)?;
            let dir = match open(folder.path()) {
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

/// Whether a directory of this name was left by a capture that did not come to its end.
pub(super) fn is_partial(path: &Path) -> bool {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    name.starts_with('.') && name.contains(MARK) && !path.join(meta::FILE_NAME).exists()
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(nix::libc::O_DIRECTORY | nix::libc::O_NOFOLLOW).open(path)
}

fn is_at(dir: &File, path: &Path) -> bool {
    let identity = |info: std::fs::Metadata| (info.dev(), info.ino());
    let (here, there) = (dir.metadata().map(identity), path.symlink_metadata().map(identity));
    here.ok().is_some_and(|here| there.is_ok_and(|there| here == there))
}

/// As far as it can; what cannot be removed is no obstacle.
fn remove_stale(parent: &Path, prefix: &str) {
    for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_some_and(|name| name.starts_with(prefix)) {
            let _ = remove_if_stale(&entry.path());
        }
    }
}

fn remove_if_stale(path: &Path) -> io::Result<()> {
    let dir = open(path)?;
    if dir.metadata()?.uid() != geteuid().as_raw() {
        return Ok(());
    }
    let Ok(dir) = Flock::lock(dir, FlockArg::LockExclusiveNonblock) else { return Ok(()) }; // it is being written
    // it may have got its name between our look at it and the lock
    if !is_at(&dir, path) {
        return Ok(());
    }
    for entry in std::fs::read_dir(path)?.flatten() {
        let name = entry.file_name();
        if name.to_str().is_some_and(|n| n == meta::FILE_NAME || parse_region_file_name(n).is_some()) {
            unlinkat(&*dir, name.as_os_str(), UnlinkatFlags::NoRemoveDir)?;
        }
    }
    std::fs::remove_dir(path) // not when there is something else in it
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
        let first = Hidden::make(dir.path(), "dump").unwrap();
        let second = Hidden::make(dir.path(), "dump").unwrap();
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
        let hidden = Hidden::make(dir.path(), "dump").unwrap();
        let (before, after) = (hidden.folder.path().to_owned(), dir.path().join("dump"));
        let region = super::super::region_file_name(super::super::Addr(0x1000), super::super::Addr(0x2000));
        std::fs::write(before.join(region), "x").unwrap();
        let seen = open(&before).unwrap();
        std::fs::rename(&before, &after).unwrap();
        assert!(!is_at(&seen, &before) && is_at(&seen, &after));
        assert!(remove_if_stale(&before).is_err());
        assert_eq!(names(&after).len(), 1);
        let _ = hidden.folder.keep();
    }

    #[test]
    fn many_at_once_do_not_remove_each_others() {
        let dir = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let hidden = Hidden::make(dir.path(), "dump").unwrap();
                        assert!(is_at(&hidden.dir, hidden.folder.path()));
                    }
                });
            }
        });
        assert!(names(dir.path()).is_empty(), "{:?}", names(dir.path()));
    }
}
