//! ELF core files of x86-64 Linux processes: the kernel's, gcore's, systemd-coredump's.
//!
//! Segments are the memory, notes are what was known of the process: threads with their registers (`NT_PRSTATUS`,
//! `include/uapi/linux/elfcore.h`), name and arguments (`NT_PRPSINFO`), mapped files (`NT_FILE`, written by
//! `fs/binfmt_elf.c`), the signal that ended it (`NT_SIGINFO`). A core leaves out what a process never changed of the
//! files it maps: `images` reads that from those files where they are still the same.

mod images;
mod notes;

use super::error::OpenError;
use super::guard::Guarded;
use super::{Addr, Metadata, Snapshot, SourceKind, meta};
use notes::Notes;
use object::Endianness;
use object::elf;
use object::read::elf::{FileHeader, ProgramHeader};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

type Header = elf::FileHeader64<Endianness>;

/// Whether the file begins as ELF files do.
pub(super) fn is_elf(file: &File) -> bool {
    let mut magic = [0; 4];
    file.read_exact_at(&mut magic, 0).is_ok() && magic == elf::ELFMAG
}

/// A loadable segment.
#[derive(Debug, Clone, Copy)]
struct Segment {
    start: Addr,
    offset: u64,
    in_file: u64,
    in_memory: u64,
    flags: elf::ProgramFlags,
}

impl Segment {
    fn end(&self) -> Addr {
        self.start + self.in_memory
    }
}

/// A mapped file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mapped {
    start: Addr,
    end: Addr,
    offset: u64,
    file: String,
}

/// Opens a core file; `path` is where it lies, if anywhere. `root` holds the programs and libraries that it names.
pub(super) fn open(file: File, name: &Path, path: Option<&Path>, root: &Path) -> Result<Snapshot, OpenError> {
    let io_error = |error| OpenError::Io { path: name.to_owned(), error };
    let refused = |reason: &str| OpenError::NotACore { path: name.to_owned(), reason: reason.to_owned() };
    let map = Guarded::map(&file, None).map_err(io_error)?;
    let (mut segments, mut notes) = parse(&map).map_err(|reason| refused(&reason))?;
    drop(map);
    let parts: Vec<_> = segments.iter().filter(|s| s.in_file > 0).map(|s| (s.start, s.offset, s.in_file)).collect();
    if parts.is_empty() {
        return Err(refused("it holds no memory"));
    }
    notes.mapped.sort_by_key(|m| (m.start, m.end));
    add_left_out(&mut segments, &notes.mapped);
    let mut snapshot = Snapshot::from_named_parts(file, path, &parts, None).map_err(io_error)?;
    snapshot.source = name.to_owned();
    snapshot.kind = SourceKind::Core;
    let (added, missing) = images::from_files(&snapshot, &mut segments, &notes.mapped, root);
    let mut unreadable = Vec::new();
    if !missing.is_empty() {
        snapshot.problems.push(images::summary(&missing));
        unreadable = missing.into_iter().map(|(range, reason)| meta::Unreadable { reason, ..range }).collect();
    }
    if notes.damaged {
        snapshot.problems.push("the notes of the core file are damaged: threads or files may be missing".into());
    }
    snapshot.problems.extend(notes.signal.take());
    snapshot.regions.retain(|old| !added.iter().any(|new| new.start <= old.start && old.end <= new.end));
    snapshot.regions.extend(added);
    let stacks: Vec<Addr> = notes.threads.iter().filter_map(|t| t.registers.get("rsp").copied()).collect();
    snapshot.metadata = Some(metadata(&snapshot, &segments, notes, unreadable));
    snapshot.settle();
    snapshot.problems.extend(blank(&snapshot, &stacks));
    Ok(snapshot)
}

/// Tells of stacks that hold nothing: gdb leaves zeros where it could not read, and gives up a mapping at the first page
/// of it that it may not (glibc 2.42 guards the stacks of threads by such pages).
fn blank(snapshot: &Snapshot, stacks: &[Addr]) -> Option<String> {
    // a thread that runs has come from somewhere, and that is written there
    let is_blank = |at: &&Addr| {
        let mut bytes = [1; 256];
        snapshot.reader().read(**at, &mut bytes).is_ok() && bytes == [0; 256]
    };
    let told = match stacks.iter().filter(is_blank).count() {
        0 => return None,
        1 => "the stack of 1 thread is".to_owned(),
        n => format!("the stacks of {n} threads are"),
    };
    Some(format!(
        "{told} empty in the core file: what wrote it could not read that, so what it waits for may be missing"
    ))
}

fn parse(bytes: &[u8]) -> Result<(Vec<Segment>, Notes), String> {
    let header = Header::parse(bytes).map_err(|_| "its header is not that of a 64-bit ELF file".to_owned())?;
    let endian = header.endian().map_err(|e| e.to_string())?;
    if header.e_machine(endian) != elf::EM_X86_64 || endian != Endianness::Little {
        return Err("it is of another kind of machine".into());
    }
    if header.e_type(endian) != elf::ET_CORE {
        return Err("it is a program or a library".into());
    }
    // (the library knows where the count is when there are more than 65,534)
    let headers = header.program_headers(endian, bytes).map_err(|_| "its program headers are cut off".to_owned())?;
    let mut segments = Vec::new();
    let mut notes = Notes::default();
    for header in headers {
        match header.p_type(endian) {
            elf::PT_LOAD => segments.push(Segment {
                start: Addr(header.p_vaddr(endian)),
                offset: header.p_offset(endian),
                in_file: header.p_filesz(endian),
                in_memory: header.p_memsz(endian).max(header.p_filesz(endian)),
                flags: header.p_flags(endian),
            }),
            elf::PT_NOTE => notes.read(header, endian, bytes),
            _ => {}
        }
    }
    Ok((segments, notes))
}

/// gdb has no segment for what it leaves out; the list of files tells that it was there.
fn add_left_out(segments: &mut Vec<Segment>, mapped: &[Mapped]) {
    segments.sort_by_key(|s| (s.start, s.end()));
    let mut left_out = Vec::new();
    for map in mapped.iter().filter(|m| m.start < m.end) {
        let next = segments.partition_point(|s| s.end() <= map.start);
        if segments.get(next).is_none_or(|s| map.end <= s.start) {
            let in_memory = map.end.0 - map.start.0;
            left_out.push(Segment { start: map.start, offset: 0, in_file: 0, in_memory, flags: elf::PF_R });
        }
    }
    segments.append(&mut left_out);
    segments.sort_by_key(|s| (s.start, s.end()));
}

fn metadata(
    snapshot: &Snapshot,
    segments: &[Segment],
    mut notes: Notes,
    unreadable: Vec<meta::Unreadable>,
) -> Metadata {
    let named = |at: Addr| {
        let i = notes.mapped.partition_point(|m| m.start <= at).checked_sub(1)?;
        notes.mapped.get(i).filter(|m| at < m.end)
    };
    let main = notes.pid.or(notes.threads.first().map(|t| t.tid));
    let stack = notes.threads.iter().find(|t| Some(t.tid) == main).and_then(|t| t.registers.get("rsp")).copied();
    let flag = |flags: elf::ProgramFlags, bit, letter| if flags.contains(bit) { letter } else { '-' };
    let mut regions = Vec::new();
    for segment in segments {
        let file = named(segment.start);
        let is_stack = file.is_none() && stack.is_some_and(|at| segment.start <= at && at < segment.end());
        let captured = segment.in_file > 0 || snapshot.regions.iter().any(|r| r.start == segment.start);
        regions.push(meta::Mapping {
            start: segment.start,
            end: segment.end(),
            // whether it was shared is not told
            permissions: [(elf::PF_R, 'r'), (elf::PF_W, 'w'), (elf::PF_X, 'x')]
                .into_iter()
                .map(|(bit, letter)| flag(segment.flags, bit, letter))
                .chain(['p'])
                .collect(),
            offset: file.map_or(0, |m| m.offset.wrapping_add(segment.start.0 - m.start.0)),
            file: file.map(|m| m.file.clone()).or(is_stack.then(|| "[stack]".to_owned())),
            captured,
            ..meta::Mapping::default()
        });
    }
    let exe = notes.executable.and_then(named).map(|m| m.file.clone());
    for thread in notes.threads.iter_mut().filter(|t| Some(t.tid) == main) {
        thread.name = notes.name.clone();
    }
    Metadata {
        format: meta::FORMAT.into(),
        tool: "core file".into(),
        mode: "core".into(),
        bytes: segments.iter().map(|s| s.in_file).fold(0, u64::saturating_add),
        process: meta::Process {
            pid: main.unwrap_or(0),
            command_line: notes.arguments,
            exe,
            ..meta::Process::default()
        },
        regions,
        threads: notes.threads,
        unreadable,
        ..Metadata::default()
    }
}

#[cfg(test)]
mod tests {
    use super::notes::REGISTERS;
    use super::*;

    fn words(words: &[u64]) -> Vec<u8> {
        words.iter().flat_map(|w| w.to_le_bytes()).collect()
    }

    fn note(kind: u32, desc: &[u8]) -> Vec<u8> {
        let mut note = [5u32, desc.len() as u32, kind].into_iter().flat_map(u32::to_le_bytes).collect::<Vec<_>>();
        note.extend(b"CORE\0\0\0\0");
        note.extend(desc);
        note.resize(note.len().next_multiple_of(4), 0);
        note
    }

    /// A core file with one segment and these notes.
    fn core(notes: &[u8], memory: &[u8], in_memory: u64) -> tempfile::NamedTempFile {
        let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
        bytes.resize(16, 0);
        bytes.extend([4u16.to_le_bytes(), 62u16.to_le_bytes()].concat());
        bytes.extend(1u32.to_le_bytes());
        bytes.extend(words(&[0, 64, 0]));
        bytes.extend(0u32.to_le_bytes());
        bytes.extend([64u16, 56, 2, 64, 0, 0].into_iter().flat_map(u16::to_le_bytes));
        let at = 64 + 2 * 56u64;
        bytes.extend([4u32, 0].into_iter().flat_map(u32::to_le_bytes));
        bytes.extend(words(&[at, 0, 0, notes.len() as u64, 0, 4]));
        bytes.extend([1u32, 6].into_iter().flat_map(u32::to_le_bytes));
        bytes.extend(words(&[at + notes.len() as u64, 0x10_0000, 0, memory.len() as u64, in_memory, 1]));
        bytes.extend(notes);
        bytes.extend(memory);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        file
    }

    fn status(tid: i32) -> Vec<u8> {
        let mut bytes = vec![0; 336];
        bytes[32..36].copy_from_slice(&tid.to_le_bytes());
        let mut register = |name: &str, value: u64| {
            let at = 112 + REGISTERS.iter().position(|r| *r == name).unwrap() * 8;
            bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
        };
        register("orig_rax", 202);
        register("rax", -512i64 as u64);
        register("rdi", 0x7f00);
        register("rsp", 0x10_0800);
        bytes
    }

    #[test]
    fn what_the_notes_tell_is_kept() {
        let mut process = vec![0; 136];
        process[24..28].copy_from_slice(&77i32.to_le_bytes());
        process[40..46].copy_from_slice(b"python");
        process[56..71].copy_from_slice(b"python -u app.p");
        let mut signal = vec![0; 128];
        signal[..4].copy_from_slice(&11i32.to_le_bytes());
        signal[16..24].copy_from_slice(&0xdeadu64.to_le_bytes());
        let notes =
            [note(1, &status(77)), note(3, &process), note(0x5349_4749, &signal), note(1, &status(78))].concat();
        let file = core(&notes, &[7; 4096], 8192);
        let snapshot = Snapshot::open(file.path()).unwrap();
        assert_eq!(snapshot.kind(), SourceKind::Core);
        let metadata = snapshot.metadata().unwrap();
        assert_eq!((metadata.process.pid, metadata.process.command_line.len()), (77, 3));
        assert_eq!(metadata.threads.iter().map(|t| t.tid).collect::<Vec<_>>(), [77, 78]);
        let call = metadata.threads[1].syscall.as_ref().unwrap();
        assert_eq!((call.number, call.args[0]), (202, Addr(0x7f00)));
        assert_eq!(metadata.threads[0].name, "python");
        assert_eq!(metadata.regions[0].file.as_deref(), Some("[stack]"));
        assert_eq!((metadata.regions[0].permissions.as_str(), metadata.regions[0].end), ("rw-p", Addr(0x10_2000)));
        assert!(snapshot.problems()[0].contains("SIGSEGV at 0xdead in thread 77"), "{:?}", snapshot.problems());
        assert_eq!(snapshot.reader().u8(Addr(0x10_0fff)), Some(7));
    }

    #[test]
    fn a_stack_without_anything_is_told() {
        let told = |memory: &[u8]| {
            let file = core(&[note(1, &status(77)), note(1, &status(78))].concat(), memory, 4096);
            Snapshot::open(file.path()).unwrap().problems().join("; ")
        };
        assert_eq!(told(&[7; 4096]), "");
        assert!(told(&[0; 4096]).contains("the stacks of 2 threads are empty"));
        let mut memory = [0; 4096];
        memory[0x808] = 1;
        assert_eq!(told(&memory), "");
    }

    #[test]
    fn a_file_that_is_gone_or_another_is_told() {
        let mut name = words(&[1, 4096, 0x20_0000, 0x20_1000, 3]);
        name.extend(b"/no/such/lib.so\0");
        let file = core(&note(0x4649_4c45, &name), &[7; 4096], 4096);
        let snapshot = Snapshot::open(file.path()).unwrap();
        assert!(snapshot.problems()[0].contains(" of mapped files are not in the core file: /no/such/lib.so"));
        let metadata = snapshot.metadata().unwrap();
        assert_eq!((metadata.unreadable.len(), metadata.regions.len()), (1, 2));
        assert!(!metadata.regions[1].captured && metadata.regions[1].offset == 3 * 4096);
    }

    #[test]
    fn damage_is_told() {
        let whole = std::fs::read(core(&note(1, &status(5)), &[7; 8192], 8192).path()).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        let open = |bytes: &[u8]| {
            std::fs::write(file.path(), bytes).unwrap();
            Snapshot::open(file.path())
        };
        for len in (4..whole.len()).step_by(7) {
            match open(&whole[..len]) {
                Ok(snapshot) => assert!(!snapshot.problems().is_empty(), "{len}"),
                Err(error) => assert!(error.to_string().contains("no core file"), "{len}: {error}"),
            }
        }
        let mut other = whole.clone();
        other[18] = 183;
        assert!(open(&other).unwrap_err().to_string().contains("another kind of machine"));
        other[16..19].copy_from_slice(&[3, 0, 62]);
        assert!(open(&other).unwrap_err().to_string().contains("a program or a library"));
    }
}
