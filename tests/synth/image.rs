//! Memory that is written word by word, and an ELF image in it: enough of one for its symbols to be found.

use pymem_tui::snapshot::{Addr, Snapshot};

/// Runs of memory, each with its first address.
#[derive(Default, Clone)]
pub struct Space {
    pub runs: Vec<(u64, Vec<u8>)>,
}

impl Space {
    pub fn map(&mut self, start: u64, len: u64) {
        self.runs.push((start, vec![0; len as usize]));
    }

    pub fn put_bytes(&mut self, at: u64, bytes: &[u8]) {
        let run = self.runs.iter_mut().find(|(s, b)| *s <= at && at + bytes.len() as u64 <= s + b.len() as u64);
        let (start, memory) = run.unwrap_or_else(|| panic!("{at:#x} is not mapped"));
        memory[(at - *start) as usize..][..bytes.len()].copy_from_slice(bytes);
    }

    pub fn put(&mut self, at: u64, word: u64) {
        self.put_bytes(at, &word.to_le_bytes());
    }

    pub fn put32(&mut self, at: u64, word: u32) {
        self.put_bytes(at, &word.to_le_bytes());
    }

    pub fn get(&self, at: u64) -> u64 {
        let (start, memory) = self.runs.iter().find(|(s, b)| *s <= at && at + 8 <= s + b.len() as u64).unwrap();
        u64::from_le_bytes(memory[(at - start) as usize..][..8].try_into().unwrap())
    }

    pub fn snapshot(&self) -> Snapshot {
        Snapshot::from_memory(self.runs.iter().map(|(start, bytes)| (Addr(*start), bytes.clone())).collect(), None)
    }
}

/// An ELF header, two segments (`data` offsets are the writable one), and a dynamic section whose GNU hash table has
/// one bucket with all symbols (System V ABI; `symbols`: name and address).
pub fn write_elf(space: &mut Space, base: u64, data: std::ops::Range<u64>, symbols: &[(&str, u64)]) {
    const HEADERS: u64 = 64;
    const DYNAMIC: u64 = 0x200;
    const HASH: u64 = 0x300;
    const SYMBOLS: u64 = 0x500;
    const STRINGS: u64 = 0x800;
    space.put_bytes(base, b"\x7fELF\x02\x01\x01");
    space.put(base + 32, HEADERS);
    space.put_bytes(base + 54, &[56, 0, 3, 0]);
    let headers = [
        (1u32, 4u32, 0, 0, data.start),
        (1, 6, data.start, data.start, data.end - data.start),
        (2, 6, DYNAMIC, DYNAMIC, 96),
    ];
    for (i, (kind, flags, offset, address, len)) in headers.into_iter().enumerate() {
        let at = base + HEADERS + i as u64 * 56;
        space.put32(at, kind);
        space.put32(at + 4, flags);
        [(8, offset), (16, address), (24, address), (32, len), (40, len)]
            .iter()
            .for_each(|(o, v)| space.put(at + o, *v));
    }
    let strings: String = symbols.iter().map(|(name, _)| format!("\0{name}")).collect::<String>() + "\0";
    // DT_HASH pointers as glibc leaves them: relocated
    let dynamic =
        [(5, base + STRINGS), (6, base + SYMBOLS), (10, strings.len() as u64), (0x6fff_fef5, base + HASH), (0, 0)];
    for (i, (tag, value)) in dynamic.into_iter().enumerate() {
        space.put(base + DYNAMIC + i as u64 * 16, tag);
        space.put(base + DYNAMIC + i as u64 * 16 + 8, value);
    }
    space.put_bytes(base + STRINGS, strings.as_bytes());
    [1u32, 1, 1, 6].iter().enumerate().for_each(|(i, w)| space.put32(base + HASH + i as u64 * 4, *w));
    space.put(base + HASH + 16, u64::MAX);
    space.put32(base + HASH + 24, 1);
    let mut name_at = 1;
    for (i, (name, address)) in symbols.iter().enumerate() {
        let hash = name.bytes().fold(5381u32, |h, b| h.wrapping_mul(33).wrapping_add(u32::from(b)));
        let end = u32::from(i + 1 == symbols.len());
        space.put32(base + HASH + 28 + i as u64 * 4, hash & !1 | end);
        let symbol = base + SYMBOLS + (i as u64 + 1) * 24;
        space.put32(symbol, name_at);
        space.put_bytes(symbol + 6, &[2, 0]);
        space.put(symbol + 8, address - base);
        name_at += name.len() as u32 + 1;
    }
}
