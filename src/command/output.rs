//! A file that a command is asked to write: it has its name only when it is complete.
//!
//! It is written under another name in the same folder, readable for its owner alone, because it holds what the
//! process's memory held. A name that is taken, by a link too, is refused.

use crate::snapshot::store::rename_new;
use anyhow::{Context, bail};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use tempfile::{NamedTempFile, TempDir};

/// The file; gone when this is dropped before [`Output::finish`].
pub(super) struct Output {
    file: BufWriter<NamedTempFile>,
    path: PathBuf,
}

impl Output {
    pub(super) fn new(path: &Path) -> anyhow::Result<Output> {
        let folder = free_place(path)?;
        let file = tempfile::Builder::new().prefix(".pymem-tui-").tempfile_in(folder);
        let file = file.with_context(|| format!("nothing can be written in {}", folder.display()))?;
        Ok(Output { file: BufWriter::with_capacity(1 << 18, file), path: path.to_owned() })
    }

    /// Another handle of the file, for a program that writes it.
    pub(super) fn handle(&self) -> io::Result<std::fs::File> {
        self.file.get_ref().as_file().try_clone()
    }

    /// Gives it its name.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        let path = self.path;
        let file = self.file.into_inner().map_err(|e| e.into_error());
        let file = file.with_context(|| format!("{} cannot be written", path.display()))?;
        file.persist_noclobber(&path)
            .map_err(|e| e.error)
            .with_context(|| format!("{} cannot be made", path.display()))?;
        Ok(())
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
    folder: TempDir,
    path: PathBuf,
}

impl Folder {
    pub(super) fn new(path: &Path) -> anyhow::Result<Folder> {
        let within = free_place(path)?;
        let folder = tempfile::Builder::new().prefix(".pymem-tui-").tempdir_in(within);
        let folder = folder.with_context(|| format!("nothing can be written in {}", within.display()))?;
        Ok(Folder { folder, path: path.to_owned() })
    }

    /// Where its files go until then.
    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Gives it its name.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        rename_new(self.folder.path(), &self.path)
            .with_context(|| format!("{} cannot be made", self.path.display()))?;
        let _ = self.folder.keep(); // it is not where it was
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
