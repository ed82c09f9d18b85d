//! The notes of a core file: threads, process, mapped files, signal. What they mean for its memory is not known here.

use super::{Header, Mapped};
use crate::snapshot::{Addr, meta};
use object::Endianness;
use object::elf;
use object::read::elf::{Note, ProgramHeader};
use std::collections::BTreeMap;

/// Names in `user_regs_struct`'s order (`arch/x86/include/asm/user_64.h`), as `capture` has them.
pub(super) const REGISTERS: [&str; 27] = [
    "r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx", "rsi", "rdi", "orig_rax",
    "rip", "cs", "eflags", "rsp", "ss", "fs_base", "gs_base", "ds", "es", "fs", "gs",
];

/// What the notes tell.
#[derive(Debug, Default)]
pub(super) struct Notes {
    pub pid: Option<i32>,
    pub name: String,
    pub arguments: Vec<String>,
    pub threads: Vec<meta::Thread>,
    pub mapped: Vec<Mapped>,
    pub signal: Option<String>,
    /// A place in the executable (`AT_PHDR`).
    pub executable: Option<Addr>,
    pub damaged: bool,
}

impl Notes {
    pub(super) fn read(&mut self, header: &elf::ProgramHeader64<Endianness>, endian: Endianness, bytes: &[u8]) {
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
