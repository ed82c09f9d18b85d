//! ELF: core files, and images as they lie in memory.

/// The first page of a real program: /bin/true, or whatever runs.
pub fn program() -> Vec<u8> {
    let file = std::fs::read("/bin/true").or_else(|_| std::fs::read("/proc/self/exe"));
    let mut bytes = file.unwrap_or_default();
    bytes.truncate(40 << 10);
    bytes
}

fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|w| w.to_le_bytes()).collect()
}

fn note(kind: u32, desc: &[u8]) -> Vec<u8> {
    let head = [5, desc.len() as u32, kind].into_iter().flat_map(u32::to_le_bytes);
    let mut note: Vec<u8> = head.chain(*b"CORE\0\0\0\0").chain(desc.iter().copied()).collect();
    note.resize(note.len().next_multiple_of(4), 0);
    note
}

/// `struct elf_prstatus`: a thread that waits in a system call.
fn thread(tid: u32, stack: u64) -> Vec<u8> {
    const RAX: usize = 10;
    const RSP: usize = 19;
    let mut desc = vec![1; 336];
    desc[32..36].copy_from_slice(&tid.to_le_bytes());
    for (register, value) in [(RAX, 512u64.wrapping_neg()), (RSP, stack)] {
        desc[112 + register * 8..][..8].copy_from_slice(&value.to_le_bytes());
    }
    note(1, &desc)
}

/// What the kernel tells of mapped files: first address, end, page in the file, name.
fn files(mapped: &[(u64, u64, u64, &str)]) -> Vec<u8> {
    let mut desc = words(&[mapped.len() as u64, 4096]);
    mapped.iter().for_each(|(start, end, page, _)| desc.extend(words(&[*start, *end, *page])));
    mapped.iter().for_each(|(.., name)| desc.extend([name.as_bytes(), b"\0"].concat()));
    note(0x4649_4c45, &desc)
}

/// A segment: where it is, its bytes, and how many more there were.
type Segment<'s> = (u64, &'s [u8], u64);

fn core_of(notes: &[Vec<u8>], segments: &[Segment]) -> Vec<u8> {
    let notes = notes.concat();
    let headers = segments.len() as u16 + 1;
    let mut at = 64 + u64::from(headers) * 56;
    let mut bytes = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x04\0\x3e\0\x01\0\0\0".to_vec();
    bytes.extend(words(&[0, 64, 0]));
    bytes.extend([0, 0, 64, 56, headers, 64, 0, 0].into_iter().flat_map(u16::to_le_bytes));
    bytes.extend([&[4, 0, 0, 0, 0, 0, 0, 0], &words(&[at, 0, 0, notes.len() as u64, 0, 4])[..]].concat());
    at += notes.len() as u64;
    for (start, file, more) in segments {
        let len = file.len() as u64;
        bytes.extend([&[1, 0, 0, 0, 7, 0, 0, 0], &words(&[at, *start, 0, len, len + more, 1])[..]].concat());
        at += len;
    }
    bytes.extend(notes);
    segments.iter().for_each(|(_, file, _)| bytes.extend(*file));
    bytes
}

/// A core file: a note of each kind that is read, two segments.
pub fn core() -> Vec<u8> {
    let program = program();
    let head = program.get(..0x1000).unwrap_or_default();
    let notes = [
        thread(7, 0x10_0100),
        thread(8, u64::MAX),
        note(3, &[b'S'; 136]),
        note(0x5349_4749, &[11; 128]),
        note(6, &words(&[3, 0x40_0040, 0, 0])),
        files(&[(0x40_0000, 0x40_3000, 0, "/bin/true")]),
    ];
    core_of(&notes, &[(0x10_0000, &[7; 0x1000], 0x1000), (0x40_0000, head, 0x2000)])
}

/// The same, one as the kernel writes it and some as other programs and other machines leave them.
pub fn cores() -> Vec<Vec<u8>> {
    let program = program();
    let head = program.get(..0x1000).unwrap_or_default();
    // another build: one byte of the build id, wherever that is
    let mut other = head.to_vec();
    if let Some(at) = other.windows(4).position(|w| w == b"GNU\0") {
        other[at + 8] ^= 1;
    }
    let left_out = [
        (0x40_0000, 0x40_1000, 0, "/bin/true"),
        (0x40_1000, 0x40_3000, 1, "/bin/true"),
        (0x50_0000, 0x50_2000, 0, "/nowhere/lib.so.1"),
        (0x60_0000, 0x60_1000, 0, "/etc/passwd"),
        (0x70_0000, 0x70_1000, 0, "/tmp"),
        (0x80_0000, 0x80_1000, 0, "/bin/true (deleted)"),
    ];
    let gdb = core_of(&[thread(9, 0x10_0080), files(&left_out)], &[(0x10_0000, &[0; 0x1000], 0), (0x40_0000, head, 0)]);
    let built = core_of(
        &[files(&[(0x40_0000, 0x40_3000, 0, "/bin/true"), (0x60_0000, 0x60_2000, 0, "/data")]), note(6, &[1; 7])],
        &[(0x40_0000, &other, 0x2000), (0x60_0000, b"letters of somebody", 0x1000)],
    );
    vec![core(), gdb, built, bare()]
}

fn bare() -> Vec<u8> {
    core_of(&[note(0x5349_4749, &[5; 128]), note(1, &[0; 20])], &[(0x1000, &[1; 64], 0)])
}

/// Of another kind of machine, and a program.
pub fn refused() -> Vec<Vec<u8>> {
    let mut big_endian = bare();
    big_endian[5] = 2;
    vec![big_endian, program()]
}

/// An image as the loader leaves it: a segment of code, one of data, a GNU hash table with two symbols.
pub fn image() -> Vec<u8> {
    const BASE: u64 = 0x4000;
    let mut bytes = vec![0; 0x1000];
    let mut put = |at: usize, what: &[u8]| bytes[at..at + what.len()].copy_from_slice(what);
    put(0, b"\x7fELF\x02\x01\x01");
    put(32, &words(&[64]));
    put(54, &[56, 0, 3, 0]);
    for (i, (kind, flags, at, len)) in [(1, 4, 0, 0x800), (1, 6, 0x800, 0x800), (2, 6, 0x200, 96)].iter().enumerate() {
        put(64 + i * 56, &words(&[*kind | *flags << 32, *at, *at, *at, *len, *len]));
    }
    let dynamic = [5, BASE + 0x500, 6, BASE + 0x400, 10, 27, 0x6fff_fef5, BASE + 0x300, 0, 0];
    put(0x200, &words(&dynamic));
    put(0x500, b"\0PyType_Type\0_PyRuntime\0\0\0\0");
    // one bucket, from the first symbol on; a filter that lets all through
    put(0x300, &[1u32, 1, 1, 6].map(u32::to_le_bytes).concat());
    put(0x310, &words(&[u64::MAX]));
    put(0x318, &1u32.to_le_bytes());
    for (i, (name, at, address)) in [("PyType_Type", 1, 0x900), ("_PyRuntime", 13, 0xa00)].into_iter().enumerate() {
        let hash = name.bytes().fold(5381u32, |h, b| h.wrapping_mul(33).wrapping_add(u32::from(b)));
        put(0x31c + i * 4, &(hash & !1 | i as u32).to_le_bytes());
        put(0x418 + i * 24, &words(&[at | 1 << 32 | 2 << 48, address, 0x100]));
    }
    bytes
}
