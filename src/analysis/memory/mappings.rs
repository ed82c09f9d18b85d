//! Memory that no allocator manages, by the mapping it lies in: stacks, files, shared memory, what is left of arenas.
//!
//! Each mapping has one row for what is in it and nobody claims; stacks and the rests of arenas are cut out first.

use super::kinds::Row;
use crate::snapshot::{Addr, Metadata, Reader, meta::Mapping, meta::Thread};
use std::collections::HashSet;

/// A range whose row is known, whatever the mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Known {
    pub start: Addr,
    pub end: Addr,
    pub row: Row,
}

/// A thread's descriptor lies so near the end of its stack (thread-local data is between them).
const MAX_TLS: u64 = 1 << 20;

/// `struct pthread` has its stack's address and size within so many bytes.
const PTHREAD: u64 = 0x1000;

/// Bytes of the page that guards a stack.
const GUARD: u64 = 4096;

/// The stack of a thread that glibc made: `stackblock` and `stackblock_size` of its `struct pthread`, which lies at
/// the thread pointer. Their offsets differ between versions; no other two words there make sense as them.
pub fn stack_of(reader: &Reader<'_>, thread: &Thread) -> Option<(Addr, Addr)> {
    let (fs, sp) = (*thread.registers.get("fs_base")?, *thread.registers.get("rsp")?);
    (0..PTHREAD / 8).find_map(|i| {
        let start = reader.pointer(fs + i * 8)?;
        let size = reader.u64(fs + i * 8 + 8).filter(|n| n.is_multiple_of(GUARD) && *n > 0)?;
        let end = start.0.checked_add(size)?;
        let fits = start.0.is_multiple_of(GUARD) && start <= sp && sp.0 < end && fs.0 < end && end - fs.0 < MAX_TLS;
        fits.then_some((start, Addr(end)))
    })
}

/// Sorts by address and cuts what overlaps: what begins first wins.
pub fn settle(mut known: Vec<Known>) -> Vec<Known> {
    known.sort_by_key(|k| k.start);
    let mut reached = Addr::NULL;
    known.retain_mut(|k| {
        k.start = k.start.max(reached);
        reached = reached.max(k.end);
        k.start < k.end
    });
    known
}

/// What is in a mapping and nobody claims.
pub fn row(metadata: &Metadata, i: usize, images: &HashSet<String>) -> Row {
    let Some(mapping) = metadata.regions.get(i) else { return Row::Unexplained };
    let shared = mapping.permissions.ends_with('s');
    match mapping.file.as_deref() {
        Some(name) if name.starts_with("[stack") => Row::Stacks,
        Some(name) if name.starts_with("[v") || name.starts_with("[uprobes") => Row::Special,
        Some(name) if name.starts_with("/dev/zero") && !shared => Row::Unexplained,
        Some(name) if shared && is_memory(name) => Row::SharedMemory,
        Some(name) if name.starts_with('/') && shared => Row::FilesShared,
        Some(name) if name.starts_with('/') => Row::FilesPrivate,
        None if shared => Row::SharedMemory,
        None if zeroed_data_of(metadata, i, images).is_some() => Row::FilesPrivate,
        None if guarded(metadata, i, mapping) => Row::StacksEnded,
        _ => Row::Unexplained,
    }
}

/// Whether a shared mapping's name is that of memory, not of a file on a disk.
fn is_memory(name: &str) -> bool {
    ["/dev/shm/", "/memfd:", "/SYSV", "/dev/zero"].iter().any(|m| name.starts_with(m))
}

/// The program or library whose zeroed data (`.bss`) an anonymous mapping is: it lies right behind its data.
pub fn zeroed_data_of<'m>(metadata: &'m Metadata, i: usize, images: &HashSet<String>) -> Option<&'m str> {
    let (mapping, before) = (metadata.regions.get(i)?, metadata.regions.get(i.checked_sub(1)?)?);
    let file = before.file.as_deref().filter(|f| images.contains(*f))?;
    let follows = before.end == mapping.start && mapping.permissions.starts_with("rw");
    (follows && mapping.file.is_none() && before.permissions.starts_with("rw")).then_some(file)
}

/// Whether a guard page lies right before it.
fn guarded(metadata: &Metadata, i: usize, mapping: &Mapping) -> bool {
    let before = i.checked_sub(1).and_then(|b| metadata.regions.get(b));
    mapping.permissions.starts_with("rw")
        && before.is_some_and(|b| {
            b.end == mapping.start
                && b.file.is_none()
                && b.permissions.starts_with("---")
                && b.end.0.saturating_sub(b.start.0) == GUARD
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(start: u64, end: u64, permissions: &str, file: Option<&str>) -> Mapping {
        Mapping {
            start: Addr(start),
            end: Addr(end),
            permissions: permissions.into(),
            file: file.map(Into::into),
            ..Mapping::default()
        }
    }

    #[test]
    fn a_mapping_has_the_row_of_what_it_is() {
        let cases = [
            (mapping(0x1000, 0x2000, "r-xp", Some("/lib/x.so")), Row::FilesPrivate),
            (mapping(0x2000, 0x3000, "rw-p", Some("/lib/x.so")), Row::FilesPrivate),
            (mapping(0x3000, 0x5000, "rw-p", None), Row::FilesPrivate), // its .bss
            (mapping(0x6000, 0x7000, "rw-p", None), Row::Unexplained),
            (mapping(0x8000, 0x9000, "---p", None), Row::Unexplained),
            (mapping(0x9000, 0xf000, "rw-p", None), Row::StacksEnded),
            (mapping(0x10000, 0x11000, "rw-s", Some("/data/x")), Row::FilesShared),
            (mapping(0x11000, 0x12000, "rw-s", Some("/dev/shm/x")), Row::SharedMemory),
            (mapping(0x12000, 0x13000, "rw-s", Some("/dev/zero (deleted)")), Row::SharedMemory),
            (mapping(0x13000, 0x14000, "rw-p", Some("[stack]")), Row::Stacks),
            (mapping(0x14000, 0x15000, "r--p", Some("[vvar]")), Row::Special),
        ];
        let regions = cases.iter().map(|(m, _)| m.clone()).collect();
        let metadata = Metadata { regions, ..Metadata::default() };
        let images = HashSet::from(["/lib/x.so".to_owned()]);
        for (i, (mapping, expected)) in cases.iter().enumerate() {
            assert_eq!(row(&metadata, i, &images), *expected, "{mapping:?}");
        }
    }

    #[test]
    fn what_overlaps_is_cut() {
        let known = |start: u64, end: u64, row| Known { start: Addr(start), end: Addr(end), row };
        let all = settle(vec![known(0x40, 0x60, Row::Stacks), known(0x10, 0x50, Row::EmptyPymalloc)]);
        assert_eq!(all, [known(0x10, 0x50, Row::EmptyPymalloc), known(0x50, 0x60, Row::Stacks)]);
    }
}
