//! A file that a command is asked to write: it has its name only when it is complete.
//!
//! It is written under another name in the same folder, readable for its owner alone, because it holds what the
//! process's memory held. A name that is taken, by a link too, is refused.

use crate::snapshot::partial::{Hidden, HiddenFile};
use crate::snapshot::store::rename_new;
use anyhow::{Context, bail};
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The file; gone when this is dropped before [`Output::finish`].
pub(super) struct Output {
    hidden: HiddenFile,
    file: BufWriter<File>,
    path: PathBuf,
}

impl Output {
    pub(super) fn new(path: &Path) -> anyhow::Result<Output> {
        let folder = free_place(path)?;
        let made = HiddenFile::make(path).and_then(|hidden| Ok((hidden.file().try_clone()?, hidden)));
        let (file, hidden) = made.with_context(|| format!("nothing can be written in {}", folder.display()))?;
        Ok(Output { hidden, file: BufWriter::with_capacity(1 << 18, file), path: path.to_owned() })
    }

    /// Another handle of the file, for a program that writes it.
    pub(super) fn handle(&self) -> io::Result<File> {
        self.hidden.file().try_clone()
    }

    /// Gives it its name.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        let path = self.path;
        let file = self.file.into_inner().map_err(|e| e.into_error());
        file.with_context(|| format!("{} cannot be written", path.display()))?;
        self.hidden.finish().with_context(|| format!("{} cannot be made", path.display()))
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A directory in the same way: private, and there under its name only when it is whole.
pub(super) struct Folder {
    hidden: Hidden,
    path: PathBuf,
}

impl Folder {
    /// `is_part`: the names of the files that go into it.
    pub(super) fn new(path: &Path, is_part: fn(&str) -> bool) -> anyhow::Result<Folder> {
        let within = free_place(path)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let hidden = Hidden::make(within, &name, is_part);
        let hidden = hidden.with_context(|| format!("nothing can be written in {}", within.display()))?;
        Ok(Folder { hidden, path: path.to_owned() })
    }

    /// A new file in it.
    pub(super) fn file(&self, name: &str) -> anyhow::Result<BufWriter<File>> {
        let path = self.hidden.folder.path().join(name);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let file = file.with_context(|| format!("{} cannot be made", path.display()))?;
        Ok(BufWriter::with_capacity(1 << 18, file))
    }

    /// Gives it its name.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        rename_new(self.hidden.folder.path(), &self.path)
            .with_context(|| format!("{} cannot be made", self.path.display()))?;
        let _ = self.hidden.folder.keep(); // it is not where it was
        Ok(())
    }
}

/// The folder that a new file or directory goes into.
fn free_place(path: &Path) -> anyhow::Result<&Path> {
    if path.symlink_metadata().is_ok() {
        bail!("{} exists already; remove it or name another", path.display());
    }
    Ok(path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_has_its_name_when_it_is_whole_and_takes_no_other_ones() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let mut output = Output::new(&path).unwrap();
        output.write_all(b"whole").unwrap();
        assert!(!path.exists());
        output.finish().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"whole");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(Output::new(&path).is_err());

        let victim = folder.path().join("victim");
        std::fs::write(&victim, "old").unwrap();
        let link = folder.path().join("link");
        let output = Output::new(&link).unwrap();
        std::os::unix::fs::symlink(&victim, &link).unwrap(); // planted while we write
        assert!(output.finish().is_err());
        assert!(Output::new(&link).is_err());
        assert_eq!(std::fs::read(&victim).unwrap(), b"old");

        drop(Output::new(&folder.path().join("never")).unwrap());
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left.len(), 3, "{left:?}");
    }
}
