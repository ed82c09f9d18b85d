//! A snapshot's folder in a tar archive, read once from its beginning to its end.
//!
//! What is cut or damaged keeps what came before it, and that is told. Compression around the archive is `unpack`'s.

use super::Snapshot;
use super::error::OpenError;
use super::foretold::Foretold;
use super::gathered::Gathered;
use super::unpack::was_cancelled;
use std::io::Read;
use std::path::Path;

/// Opens an archive; the folders within it are not told apart.
pub(super) fn open(input: impl Read, told: Foretold, name: &Path) -> Result<Snapshot, OpenError> {
    let unwritable = |error| OpenError::unpack(name, error);
    let mut gathered = Gathered::new(told).map_err(unwritable)?;
    let mut archive = tar::Archive::new(input);
    let mut ended = None;
    match archive.entries() {
        Ok(entries) => {
            for entry in entries {
                let entry = match entry {
                    Ok(entry) => entry,
                    Err(error) if was_cancelled(&error) => return Err(OpenError::Cancelled),
                    Err(error) => {
                        ended = Some(format!("the tar archive is cut or damaged ({error}): what follows is missing"));
                        break;
                    }
                };
                if !entry.header().entry_type().is_file() && !entry.header().entry_type().is_gnu_sparse() {
                    continue;
                }
                let Ok(path) = entry.path().map(|p| p.into_owned()) else { continue };
                let Some(file) = path.file_name().and_then(|n| n.to_str()) else { continue };
                if !gathered.add(file, Box::new(entry)).map_err(unwritable)? {
                    return Err(OpenError::Cancelled);
                }
            }
        }
        Err(error) => ended = Some(format!("the tar archive cannot be read: {error}")),
    }
    match gathered.finish(name)? {
        Some(mut snapshot) => {
            snapshot.problems.extend(ended);
            Ok(snapshot)
        }
        None => Err(OpenError::NotAStream {
            path: name.to_owned(),
            reason: ended.unwrap_or_else(|| "the tar archive has no mem.START.END.bin in it".into()),
        }),
    }
}
