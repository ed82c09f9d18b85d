//! Programs and libraries that a core file left out, from their files below a root.
//!
//! A file counts only when it is the build that ran, which its GNU build id tells; where it is missing or another, that is
//! told. What is in the core file itself is not looked at, but for those ids.

use super::{Header, Mapped, Segment};
use crate::snapshot::guard::Guarded;
use crate::snapshot::{Region, Snapshot, meta};
use crate::text::{sanitize, size};
use object::Endianness;
use object::elf;
use object::read::elf::{FileHeader, ProgramHeader};
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

const PAGE: u64 = 4096;

/// What could not be had, and why.
pub(super) type Missing = (meta::Unreadable, String);

pub(super) fn summary(missing: &[Missing]) -> String {
    // (damaged ones overlap)
    let bytes = missing.iter().fold(0u64, |sum, (m, _)| sum.saturating_add(m.end.0.saturating_sub(m.start.0)));
    let mut files: Vec<&str> = missing.iter().map(|(_, why)| why.as_str()).collect();
    files.sort_unstable();
    files.dedup();
    let more = if files.len() > 3 { format!(" and {} more", files.len() - 3) } else { String::new() };
    let some = files.iter().take(3).map(|f| sanitize(f).into_owned()).collect::<Vec<_>>().join("; ");
    format!("{} of mapped files are not in the core file: {some}{more}", size(bytes))
}

/// The parts of mapped programs and libraries that the core left out, from their files; and what cannot be had.
pub(super) fn from_files(
    snapshot: &Snapshot,
    segments: &mut [Segment],
    mapped: &[Mapped],
    root: &Path,
) -> (Vec<Region>, Vec<Missing>) {
    let (mut regions, mut missing) = (Vec::new(), Vec::new());
    let mut files: HashMap<&str, Result<Option<Arc<Guarded>>, String>> = HashMap::new();
    for segment in segments.iter_mut().filter(|s| s.in_file < s.in_memory && s.flags.contains(elf::PF_R)) {
        let at = mapped.partition_point(|m| m.start <= segment.start).checked_sub(1);
        let Some(map) = at.and_then(|i| mapped.get(i)).filter(|m| segment.end() <= m.end) else { continue };
        let same = files.entry(&map.file).or_insert_with(|| the_same_file(snapshot, mapped, &map.file, root));
        let file = match same {
            Ok(Some(file)) => file.clone(),
            Ok(None) => continue, // no program: a data file that was only looked at
            Err(reason) => {
                let range = meta::Unreadable { start: segment.start, end: segment.end(), reason: String::new() };
                missing.push((range, reason.clone()));
                continue;
            }
        };
        let offset = map.offset.wrapping_add(segment.start.0 - map.start.0);
        segment.flags |= flags_at(&file, offset);
        // a mapping goes on with zeros to the end of the file's last page
        let there = (file.len() as u64).saturating_sub(offset).min(segment.in_memory);
        if there > 0 {
            let extents = std::iter::once(0..there).collect();
            regions.push(Region::mapped(segment.start, &file, offset, there, extents));
        }
    }
    (regions, missing)
}

/// What an image may do with the part of it that lies at `offset` of its file.
fn flags_at(image: &[u8], offset: u64) -> elf::ProgramFlags {
    let endian = Endianness::Little;
    let headers = Header::parse(image).and_then(|header| header.program_headers(endian, image)).unwrap_or_default();
    let first = |h: &&elf::ProgramHeader64<Endianness>| {
        let start = h.p_offset(endian) & !(PAGE - 1);
        h.p_type(endian) == elf::PT_LOAD
            && start <= offset
            && offset < h.p_offset(endian).saturating_add(h.p_filesz(endian))
    };
    headers.iter().find(first).map_or(elf::PF_R, |h| h.p_flags(endian))
}

/// The file of that name, if it is the one that the process mapped. `Ok(None)` for what is no ELF file.
fn the_same_file(
    snapshot: &Snapshot,
    mapped: &[Mapped],
    name: &str,
    root: &Path,
) -> Result<Option<Arc<Guarded>>, String> {
    let reader = snapshot.reader();
    let heads = mapped.iter().filter(|m| m.file == name && m.offset == 0);
    let head = heads.map(|m| reader.tail(m.start)).find(|bytes| !bytes.is_empty());
    if head.is_some_and(|head| !head.starts_with(&elf::ELFMAG)) {
        return Ok(None);
    }
    let then = head.and_then(|head| build_id(head.get(..head.len().min(PAGE as usize))?));
    let path = below(root, name);
    let file = File::options().read(true).custom_flags(nix::libc::O_NONBLOCK).open(&path);
    let file = file.and_then(|file| match file.metadata()?.is_file() {
        true => Guarded::map(&file, Some(&path)),
        false => Err(io::Error::other("it is no regular file")),
    });
    let file = match file {
        Ok(file) => file,
        Err(_) if head.is_none() && !could_be_program(name) => return Ok(None),
        Err(error) => return Err(format!("{name}: {error}")),
    };
    if !file.starts_with(&elf::ELFMAG) {
        return if head.is_some() { Err(format!("{name} is no program any more")) } else { Ok(None) };
    }
    match (then, build_id(&file)) {
        (Some(then), Some(now)) if then == now => Ok(Some(Arc::new(file))),
        (Some(_), Some(_)) => Err(format!("{name} is another build than the one that ran")),
        (None, _) => Err(format!("{name}: the core file has no build id of it")),
        (Some(_), None) => Err(format!("{name} has no build id")),
    }
}

/// Where the file of that name lies below `root`; the kernel's names have no links in them, nor `..`.
fn below(root: &Path, name: &str) -> PathBuf {
    let parts = Path::new(name).components().filter(|part| matches!(part, Component::Normal(_)));
    root.join(parts.collect::<PathBuf>())
}

fn could_be_program(name: &str) -> bool {
    name.ends_with(".so") || name.contains(".so.") || name.contains("/bin/")
}

/// The GNU build id in an ELF image, or in the beginning of one.
fn build_id(bytes: &[u8]) -> Option<&[u8]> {
    let header = Header::parse(bytes).ok()?;
    let endian = header.endian().ok()?;
    for program in header.program_headers(endian, bytes).ok()? {
        let Ok(Some(mut notes)) = program.notes(endian, bytes) else { continue };
        while let Ok(Some(note)) = notes.next() {
            if note.name() == elf::ELF_NOTE_GNU && note.n_type(endian) == elf::NT_GNU_BUILD_ID {
                return Some(note.desc());
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Addr;

    #[test]
    fn what_is_missing_is_told_however_much_it_is() {
        let range = |start, end| meta::Unreadable { start: Addr(start), end: Addr(end), reason: String::new() };
        let missing = [(range(0, u64::MAX), "a".to_owned()), (range(1, u64::MAX), "b".to_owned())];
        let told = summary(&missing);
        assert!(told.ends_with("of mapped files are not in the core file: a; b"), "{told}");
    }
}
