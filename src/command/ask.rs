//! The seam to `heap` and `analysis`: what each command asks, in one place.

use crate::analysis::answers::{
    Direction, Edges, Hex, Hit, ModuleReport, ObjectDetail, Objects, SnapshotInfo, Strings, Types,
};
use crate::cli::Show;
use crate::snapshot::{Addr, Snapshot};
use anyhow::{Result, bail};

/// A heap that was indexed, with what could not be read.
pub(super) struct Asked {
    pub snapshot: Snapshot,
    pub problems: Vec<String>,
}

/// What heads every answer.
pub(super) fn info(snapshot: &Snapshot) -> SnapshotInfo {
    super::info_from_metadata(snapshot)
}

/// Indexes every object.
pub(super) fn heap(snapshot: Snapshot) -> Result<Asked> {
    let problems = snapshot.problems().to_vec();
    Ok(Asked { snapshot, problems })
}

fn not_wired<T>(_: &Asked) -> Result<T> {
    bail!("this question is not wired to the index yet")
}

pub(super) fn types(asked: &Asked) -> Result<Types> {
    not_wired(asked)
}

/// `type_name`: name or address; a window of at most `limit` rows from `offset`.
pub(super) fn objects(
    asked: &Asked,
    _type_name: Option<&str>,
    _subclasses: bool,
    _offset: u64,
    _limit: u64,
) -> Result<Objects> {
    not_wired(asked)
}

pub(super) fn show(asked: &Asked, _address: Addr, _how: &Show) -> Result<ObjectDetail> {
    not_wired(asked)
}

pub(super) fn edges(asked: &Asked, _address: Addr, _direction: Direction, _limit: Option<u64>) -> Result<Edges> {
    not_wired(asked)
}

pub(super) fn module(asked: &Asked, _name: &str, _max_entries: Option<u64>) -> Result<ModuleReport> {
    not_wired(asked)
}

pub(super) fn strings(asked: &Asked, _bytes: bool) -> Result<Strings> {
    not_wired(asked)
}

/// Adds the objects that words of `hex` point to, and the one its address lies in. Raw memory is shown without them
/// when no interpreter is found.
pub(super) fn name_words(_asked: &Asked, _hex: &mut Hex) {}

/// Adds the objects that hits lie in.
pub(super) fn name_hits(_asked: &Asked, _hits: &mut [Hit]) {}
