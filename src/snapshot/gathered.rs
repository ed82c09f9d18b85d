//! A snapshot's folder whose files were packed, by themselves or together.
//!
//! They come in any order and go into one file without a name, one after the other. Where they come from is not known
//! here: from a directory (`directory`) or from a tar archive (`archive`).

use super::directory::{parse_metadata, parse_region_file_name};
use super::error::OpenError;
use super::foretold::Foretold;
use super::packed::Packed;
use super::store::WriteError;
use super::unpack::{End, Spool};
use super::{Addr, Metadata, Snapshot, SourceKind, meta};
use std::io::{self, Read};
use std::path::Path;

/// The files of a snapshot's folder, one after the other in one file without a name.
pub(super) struct Gathered {
    spool: Spool,
    parts: Vec<(Addr, u64, u64)>,
    pub(super) metadata: Option<Metadata>,
    pub(super) problems: Vec<String>,
}

impl Gathered {
    pub(super) fn new(told: Foretold) -> Result<Gathered, WriteError> {
        let (parts, problems) = (Vec::new(), Vec::new());
        Ok(Gathered { spool: Spool::new(told)?, parts, metadata: None, problems })
    }

    /// Takes in one file, when its name is that of a snapshot's part. `Ok(false)` when cancelled.
    pub(super) fn add(&mut self, name: &str, input: Box<dyn Read + '_>) -> Result<bool, WriteError> {
        let (plain, packed) = Packed::plain_name(name);
        if plain == meta::FILE_NAME {
            let read = decoded(packed, input).map_err(|e| e.to_string()).and_then(parse_metadata);
            match read {
                Ok(metadata) => self.metadata = Some(metadata),
                Err(error) => self.problems.push(format!("{name} is left out: {error}")),
            }
            return Ok(true);
        }
        let Some((start, end)) = parse_region_file_name(plain) else { return Ok(true) };
        let Some(wanted) = end.0.checked_sub(start.0).filter(|len| *len > 0) else {
            self.problems.push(format!("{name} ends before it starts and was left out"));
            return Ok(true);
        };
        let mut input = match decoded(packed, input) {
            Ok(input) => input,
            Err(error) => {
                self.problems.push(format!("{name} cannot be read: {error}"));
                return Ok(true);
            }
        };
        let from = self.spool.len;
        let end = self.spool.append(&mut *input, wanted)?;
        let got = self.spool.len - from;
        match end {
            End::Cancelled => return Ok(false),
            End::Whole if got < wanted => {
                self.problems.push(format!("{name} is shorter than its name says: {got} bytes, not {wanted}"));
            }
            End::Whole => {}
            other => self.problems.extend(other.problem(got, packed.map(Packed::name)).map(|p| format!("{name}: {p}"))),
        }
        if got > 0 {
            self.parts.push((start, from, got));
        }
        self.spool.len = self.spool.len.next_multiple_of(4096);
        Ok(true)
    }

    /// The snapshot that all parts make; `None` when there was none.
    pub(super) fn finish(self, name: &Path) -> Result<Option<Snapshot>, OpenError> {
        if self.parts.is_empty() {
            return Ok(None);
        }
        let file = self.spool.finish().map_err(|error| OpenError::unpack(name, error))?;
        let io_error = |error| OpenError::Io { path: name.to_owned(), error };
        let mut snapshot = Snapshot::from_parts(file, &self.parts, self.metadata).map_err(io_error)?;
        snapshot.problems.extend(self.problems);
        snapshot.source = name.to_owned();
        snapshot.kind = SourceKind::Directory;
        Ok(Some(snapshot))
    }
}

fn decoded<'r>(packed: Option<Packed>, input: Box<dyn Read + 'r>) -> io::Result<Box<dyn Read + 'r>> {
    match packed {
        Some(packed) => packed.decoder(input),
        None => Ok(input),
    }
}

/// Whether this is a part of a snapshot that was compressed by itself.
pub(super) fn is_packed_part(name: &str) -> bool {
    let (plain, packed) = Packed::plain_name(name);
    packed.is_some() && (plain == meta::FILE_NAME || parse_region_file_name(plain).is_some())
}
