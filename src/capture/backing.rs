//! The files behind a process's private mappings, opened so that their unchanged pages need not be read from it.
//!
//! A page of a private file mapping that the process never wrote to is the file's own. Reading it from the file costs
//! no pause and leaves the process's page tables alone. A file counts only when it is certainly the one that is
//! mapped (device and inode); a deleted or replaced one is read through the process instead.

use super::proc::Map;
use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

type Identity = ((u64, u64), u64);

/// How the memory of a mapping is had.
#[derive(Clone)]
pub(super) enum Source {
    /// Not at all.
    Skip,
    /// From the process.
    Anonymous,
    /// Pages the process changed from the process, the others from the file; `whole`: pages it never touched too.
    File { file: Arc<File>, whole: bool },
    /// As above, but the file cannot be had: all from the process.
    Gone { whole: bool },
}

/// The files, opened before the process is stopped.
pub(super) struct Backings {
    files: HashMap<Identity, Arc<File>>,
}

impl Backings {
    pub(super) fn open(pid: i32, maps: &[Map]) -> Backings {
        let mut files = HashMap::new();
        for map in maps.iter().filter(|m| m.is_file() && wanted(m)) {
            let identity = (map.device, map.inode);
            if !files.contains_key(&identity)
                && let Some(file) = open(pid, map)
            {
                files.insert(identity, Arc::new(file));
            }
        }
        Backings { files }
    }

    /// Decides for each of the mappings.
    pub(super) fn sources(&self, maps: &[Map]) -> Vec<Source> {
        // Program text: the symbols and the names of static types lie in pages the process may never have touched.
        let identity = |m: &Map| (m.device, m.inode);
        let images: HashSet<Identity> = maps.iter().filter(|m| m.is_file() && m.executable()).map(identity).collect();
        let source = |map: &Map| {
            if !wanted(map) {
                return Source::Skip;
            }
            if !map.is_file() {
                return Source::Anonymous;
            }
            let whole = images.contains(&identity(map));
            match self.files.get(&identity(map)) {
                Some(file) => Source::File { file: file.clone(), whole },
                None => Source::Gone { whole },
            }
        };
        maps.iter().map(source).collect()
    }
}

/// Private memory that can be read and means something: no devices, no pages of the kernel's clock.
fn wanted(map: &Map) -> bool {
    let device = map.has_name("/dev/") && !map.has_name("/dev/zero") && !map.has_name("/dev/shm/");
    map.readable() && map.private() && !device && !map.has_name("[vvar") && !map.has_name("[vsyscall]")
}

fn open(pid: i32, map: &Map) -> Option<File> {
    // exact, deleted files too, where the kernel lets us; else by name, as the process sees it
    let exact = format!("/proc/{pid}/map_files/{:x}-{:x}", map.start, map.end);
    if let Ok(file) = File::open(exact) {
        return file.metadata().is_ok_and(|info| info.is_file()).then_some(file);
    }
    let path = map.name.as_ref()?.strip_prefix("/").ok()?;
    let root = Path::new("/proc").join(pid.to_string()).join("root");
    // the kernel tells names from the root of the process's mounts on, and its own root may lie below that (chroot)
    let mounts = root.join("../".repeat(MAX_DEPTH));
    [root, mounts].iter().find_map(|root| open_the_same(&root.join(path), map))
}

/// Folders between a process's root and that of its mounts: more are not looked through.
const MAX_DEPTH: usize = 64;

/// The file at `path`, if it is the one that is mapped.
fn open_the_same(path: &Path, map: &Map) -> Option<File> {
    let file = OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open(path).ok()?;
    let info = file.metadata().ok()?;
    let device = (nix::sys::stat::major(info.dev()), nix::sys::stat::minor(info.dev()));
    (info.is_file() && info.ino() == map.inode && device == map.device).then_some(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::proc;

    #[test]
    fn only_private_readable_memory_is_wanted() {
        let map = |permissions: &str, name: Option<&str>| Map {
            start: 0x1000,
            end: 0x2000,
            permissions: permissions.into(),
            offset: 0,
            device: (0, 0),
            inode: 0,
            name: name.map(Into::into),
        };
        assert!(wanted(&map("rw-p", None)) && wanted(&map("r--p", Some("[heap]"))));
        assert!(wanted(&map("rw-p", Some("/dev/zero"))));
        for (permissions, name) in
            [("rw-s", None), ("---p", None), ("r--p", Some("[vvar_vclock]")), ("rw-p", Some("/dev/dri/card0"))]
        {
            assert!(!wanted(&map(permissions, name)), "{permissions} {name:?}");
        }
    }

    #[test]
    fn only_the_file_that_is_mapped_is_opened() {
        let maps = proc::maps(std::process::id() as i32).unwrap();
        let exe = std::env::current_exe().unwrap();
        let map = maps.iter().find(|m| m.name.as_ref() == Some(&exe)).unwrap();
        assert!(open_the_same(&exe, map).is_some());
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("copy");
        std::fs::copy(&exe, &copy).unwrap();
        assert!(open_the_same(&copy, map).is_none(), "the same bytes, another file");
        assert!(open_the_same(folder.path(), map).is_none());
        // names from the root of all mounts on lead there from anywhere below
        let below = folder.path().join("../".repeat(MAX_DEPTH)).join(exe.strip_prefix("/").unwrap());
        assert!(open_the_same(&below, map).is_some());
    }

    #[test]
    fn our_own_program_is_found_behind_its_mappings() {
        let pid = std::process::id() as i32;
        let maps = proc::maps(pid).unwrap();
        let sources = Backings::open(pid, &maps).sources(&maps);
        let exe = std::env::current_exe().unwrap();
        let ours = maps.iter().zip(&sources).filter(|(m, _)| m.name.as_ref() == Some(&exe));
        let whole: Vec<_> = ours.map(|(_, s)| matches!(s, Source::File { whole: true, .. })).collect();
        assert!(!whole.is_empty() && whole.iter().all(|w| *w), "{whole:?}");
    }
}
