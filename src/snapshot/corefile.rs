//! ELF core files of x86-64 Linux processes: the kernel's, gcore's, systemd-coredump's.
//!
//! Segments are the memory, notes are what was known of the process: threads with their registers (`NT_PRSTATUS`,
//! `include/uapi/linux/elfcore.h`), name and arguments (`NT_PRPSINFO`), mapped files (`NT_FILE`, written by
//! `fs/binfmt_elf.c`), the signal that ended it (`NT_SIGINFO`). A core leaves out what a process never changed of the
//! files it maps: that is read from those files where they are still the same, which their build id tells, and is
//! missing, and said to be, where they are not.

use super::guard::Guarded;
use super::open::OpenError;
use super::{Addr, Metadata, Region, Snapshot, SourceKind, meta};
use crate::text::{sanitize, size};
use object::Endianness;
use object::elf;
use object::read::elf::{FileHeader, Note, ProgramHeader};
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

type Header = elf::FileHeader64<Endianness>;

const PAGE: u64 = 4096;

/// Names in `user_regs_struct`'s order (`arch/x86/include/asm/user_64.h`), as `capture` has them.
const REGISTERS: [&str; 27] = [
    "r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx", "rsi", "rdi", "orig_rax",
    "rip", "cs", "eflags", "rsp", "ss", "fs_base", "gs_base", "ds", "es", "fs", "gs",
];

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

/// What the notes tell.
#[derive(Debug, Default)]
struct Notes {
    pid: Option<i32>,
    name: String,
    arguments: Vec<String>,
    threads: Vec<meta::Thread>,
    mapped: Vec<Mapped>,
    signal: Option<String>,
    /// A place in the executable (`AT_PHDR`).
    executable: Option<Addr>,
    damaged: bool,
}

/// Opens a core file; `path` is where it lies, if anywhere.
pub(super) fn open(file: File, name: &Path, path: Option<&Path>) -> Result<Snapshot, OpenError> {
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
    let (added, missing) = from_executables(&snapshot, &mut segments, &notes.mapped);
    let mut unreadable = Vec::new();
    if !missing.is_empty() {
        snapshot.problems.push(summary(&missing));
        unreadable = missing.into_iter().map(|(range, reason)| meta::Unreadable { reason, ..range }).collect();
    }
    if notes.damaged {
        snapshot.problems.push("the notes of the core file are damaged: threads or files may be missing".into());
    }
    snapshot.problems.extend(notes.signal.take());
    snapshot.regions.retain(|old| !added.iter().any(|new| new.start <= old.start && old.end <= new.end));
    snapshot.regions.extend(added);
    snapshot.metadata = Some(metadata(&snapshot, &segments, notes, unreadable));
    snapshot.settle();
    Ok(snapshot)
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

impl Notes {
    fn read(&mut self, header: &elf::ProgramHeader64<Endianness>, endian: Endianness, bytes: &[u8]) {
        let Ok(Some(mut notes)) = header.notes(endian, bytes) else {
            self.damaged = true;
            return;
        };
        loop {
            match notes.next() {
                Ok(Some(note)) => self.note(&note, endian),
                Ok(None) => break,
                Err(_) => {
                    self.damaged = true;
                    break;
                }
            }
        }
    }

    fn note(&mut self, note: &Note<'_, Header>, endian: Endianness) {
        if note.name() != b"CORE" {
            return;
        }
        let (bytes, kind) = (note.desc(), note.n_type(endian));
        let known = match kind {
            elf::NT_PRSTATUS => self.thread(bytes),
            elf::NT_PRPSINFO => self.process(bytes),
            elf::NT_FILE => self.files(bytes),
            elf::NT_AUXV => self.vector(bytes),
            elf::NT_SIGINFO => self.signal(bytes),
            _ => Some(()),
        };
        self.damaged |= known.is_none();
    }

    /// `struct elf_prstatus`: the id at 32, the registers at 112.
    fn thread(&mut self, bytes: &[u8]) -> Option<()> {
        let registers = |at: usize| Some(Addr(u64::from_le_bytes(*bytes.get(112 + at * 8..)?.first_chunk()?)));
        let mut named = BTreeMap::new();
        for (at, name) in REGISTERS.iter().enumerate() {
            named.insert((*name).to_owned(), registers(at)?);
        }
        let tid = number(bytes, 32)?;
        let syscall = meta::Thread::interrupted(&named);
        self.threads.push(meta::Thread { tid, registers: named, syscall, ..meta::Thread::default() });
        Some(())
    }

    /// `struct elf_prpsinfo`: id at 24, name of 16 bytes at 40, arguments of 80 at 56.
    fn process(&mut self, bytes: &[u8]) -> Option<()> {
        let text = |from: usize, len: usize| {
            let field = bytes.get(from..from + len)?;
            let end = field.iter().position(|b| *b == 0).unwrap_or(len);
            Some(String::from_utf8_lossy(field.get(..end)?).into_owned())
        };
        self.pid = Some(number(bytes, 24)?);
        self.name = text(40, 16)?;
        self.arguments = text(56, 80)?.split_ascii_whitespace().map(str::to_owned).collect();
        Some(())
    }

    /// A count, the size of a page, then start, end and page of each, then their names.
    fn files(&mut self, bytes: &[u8]) -> Option<()> {
        let words = bytes.as_chunks::<8>().0;
        let word = |i: usize| words.get(i).map(|w| u64::from_le_bytes(*w));
        let (count, page) = (usize::try_from(word(0)?).ok()?, word(1)?);
        let names = bytes.get(count.checked_mul(24)?.checked_add(16)?..)?;
        for (i, name) in names.split(|b| *b == 0).take(count).enumerate() {
            let (start, end, at) = (word(2 + i * 3)?, word(3 + i * 3)?, word(4 + i * 3)?);
            let file = String::from_utf8_lossy(name).into_owned();
            self.mapped.push(Mapped { start: Addr(start), end: Addr(end), offset: at.wrapping_mul(page), file });
        }
        (self.mapped.len() >= count).then_some(())
    }

    fn vector(&mut self, bytes: &[u8]) -> Option<()> {
        const AT_PHDR: u64 = 3;
        let pairs = bytes.as_chunks::<16>().0.iter();
        let word = |pair: &[u8; 16], at| Some(u64::from_le_bytes(*pair.get(at..)?.first_chunk()?));
        let mut headers = pairs.filter(|pair| word(pair, 0) == Some(AT_PHDR));
        self.executable = headers.next().and_then(|pair| word(pair, 8)).map(Addr);
        Some(())
    }

    /// `siginfo_t`: the number at 0; for a fault the address at 16.
    fn signal(&mut self, bytes: &[u8]) -> Option<()> {
        use nix::sys::signal::Signal::{self, SIGBUS, SIGFPE, SIGILL, SIGSEGV};
        /// Trap and stop: with these a debugger holds a process, which goes on afterwards.
        const HELD: [i32; 3] = [0, 5, 19];
        let signal = number(bytes, 0)?;
        let address = u64::from_le_bytes(*bytes.get(16..)?.first_chunk()?);
        let Some(name) = Signal::try_from(signal).ok().filter(|_| !HELD.contains(&signal)) else { return Some(()) };
        let fault = matches!(name, SIGSEGV | SIGBUS | SIGILL | SIGFPE);
        let at = if fault { format!(" at {}", Addr(address)) } else { String::new() };
        let thread = self.threads.first().map(|t| format!(" in thread {}", t.tid)).unwrap_or_default();
        self.signal.get_or_insert_with(|| format!("the process was ended by {name}{at}{thread}"));
        Some(())
    }
}

fn number(bytes: &[u8], at: usize) -> Option<i32> {
    Some(i32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// What could not be had, and why.
type Missing = (meta::Unreadable, String);

fn summary(missing: &[Missing]) -> String {
    let bytes: u64 = missing.iter().map(|(m, _)| m.end.0.saturating_sub(m.start.0)).sum();
    let mut files: Vec<&str> = missing.iter().map(|(_, why)| why.as_str()).collect();
    files.sort_unstable();
    files.dedup();
    let more = if files.len() > 3 { format!(" and {} more", files.len() - 3) } else { String::new() };
    let some = files.iter().take(3).map(|f| sanitize(f).into_owned()).collect::<Vec<_>>().join("; ");
    format!("{} of mapped files are not in the core file: {some}{more}", size(bytes))
}

/// The parts of mapped programs and libraries that the core left out, from their files; and what cannot be had.
fn from_executables(snapshot: &Snapshot, segments: &mut [Segment], mapped: &[Mapped]) -> (Vec<Region>, Vec<Missing>) {
    let (mut regions, mut missing) = (Vec::new(), Vec::new());
    let mut files: HashMap<&str, Result<Option<Arc<Guarded>>, String>> = HashMap::new();
    for segment in segments.iter_mut().filter(|s| s.in_file < s.in_memory && s.flags.contains(elf::PF_R)) {
        let at = mapped.partition_point(|m| m.start <= segment.start).checked_sub(1);
        let Some(map) = at.and_then(|i| mapped.get(i)).filter(|m| segment.end() <= m.end) else { continue };
        let same = files.entry(&map.file).or_insert_with(|| the_same_file(snapshot, mapped, &map.file));
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
fn the_same_file(snapshot: &Snapshot, mapped: &[Mapped], name: &str) -> Result<Option<Arc<Guarded>>, String> {
    let reader = snapshot.reader();
    let heads = mapped.iter().filter(|m| m.file == name && m.offset == 0);
    let head = heads.map(|m| reader.tail(m.start)).find(|bytes| !bytes.is_empty());
    if head.is_some_and(|head| !head.starts_with(&elf::ELFMAG)) {
        return Ok(None);
    }
    let then = head.and_then(|head| build_id(head.get(..head.len().min(PAGE as usize))?));
    let path = Path::new(name);
    let file = File::options().read(true).custom_flags(nix::libc::O_NONBLOCK).open(path);
    let file = file.and_then(|file| match file.metadata()?.is_file() {
        true => Guarded::map(&file, Some(path)),
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
    let mut metadata = Metadata {
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
    };
    metadata.settle();
    metadata
}

#[cfg(test)]
mod tests {
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
