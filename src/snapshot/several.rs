//! A directory that holds the snapshots of several processes, each in a directory of its own.

use super::directory::parse_region_file_name;
use super::meta;
use std::path::{Path, PathBuf};

/// So many are looked at.
const LIMIT: usize = 1024;

/// The snapshots in a directory that is none itself, by process id; empty where there are none.
pub fn several(path: &Path) -> Vec<PathBuf> {
    let entries: Vec<_> = std::fs::read_dir(path).into_iter().flatten().flatten().take(LIMIT).collect();
    let is_region = |name: &str| name == meta::FILE_NAME || parse_region_file_name(name).is_some();
    if entries.iter().any(|entry| entry.file_name().to_str().is_some_and(is_region)) {
        return Vec::new();
    }
    let numbered = |path: PathBuf| {
        let number: u32 = path.file_name()?.to_str()?.parse().ok()?;
        path.join(meta::FILE_NAME).is_file().then_some((number, path))
    };
    let mut found: Vec<_> = entries.iter().filter_map(|entry| numbered(entry.path())).collect();
    found.sort();
    found.into_iter().map(|(_, path)| path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_of_processes_are_found_in_order_and_a_snapshot_is_one_itself() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["100", "23", "notes"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
            std::fs::write(dir.path().join(name).join(meta::FILE_NAME), "{}").unwrap();
        }
        std::fs::create_dir(dir.path().join("7")).unwrap(); // holds nothing
        assert_eq!(several(dir.path()), [dir.path().join("23"), dir.path().join("100")]);
        assert_eq!(several(&dir.path().join("23")), [] as [PathBuf; 0]);
        assert_eq!(several(&dir.path().join("missing")), [] as [PathBuf; 0]);
    }
}
