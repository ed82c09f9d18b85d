//! ELF images as they lie in a process's memory: symbols and writable data.
//!
//! Only what a loaded image keeps in memory is used: program headers and the dynamic section with its symbol table
//! (System V ABI, "Dynamic Linking"; the GNU hash table is described in the glibc and binutils manuals). Section
//! headers, `.symtab` and debug information are in the file only and are not looked for. x86-64, little endian.

use crate::snapshot::{Addr, Reader, Snapshot};

/// An ELF image found in a snapshot.
#[derive(Debug, Clone)]
pub struct Image {
    /// Where its header lies.
    pub base: Addr,
    /// What the mapped file is called, when the snapshot says.
    pub file: Option<String>,
    /// Writable segments, `.bss` included: `[start, end)`.
    pub data: Vec<(Addr, Addr)>,
    /// Every loadable segment.
    pub segments: Vec<(Addr, Addr)>,
    /// Where writable segments begin, and in the file.
    written: Vec<(Addr, u64)>,
    dynamic: Option<Dynamic>,
    bias: u64,
}

#[derive(Debug, Clone, Default)]
struct Dynamic {
    symbols: Addr,
    strings: Addr,
    strings_len: u64,
    gnu_hash: Option<Addr>,
}

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PF_W: u32 = 2;
const DT_STRTAB: u64 = 5;
const DT_SYMTAB: u64 = 6;
const DT_STRSZ: u64 = 10;
const DT_GNU_HASH: u64 = 0x6fff_fef5;
const SYMBOL_SIZE: u64 = 24;

/// More program headers, dynamic entries or symbols than this are not believed.
const MAX_HEADERS: u64 = 256;
const MAX_DYNAMIC: u64 = 512;
const MAX_CHAIN: u32 = 1 << 16;
const MAX_NAME: usize = 256;

/// Every image whose header was captured, in address order. Looks at the first bytes of each region.
pub fn images(snapshot: &Snapshot) -> Vec<Image> {
    let reader = snapshot.reader();
    let regions = snapshot.regions().iter();
    let found = regions.filter_map(|r| Image::at(&reader, r.start, r.file.clone().filter(|_| r.is_file())));
    found.filter(|image| image.is_loaded(snapshot)).collect()
}

impl Image {
    /// The image whose ELF header lies at `base`.
    pub fn at(reader: &Reader<'_>, base: Addr, file: Option<String>) -> Option<Image> {
        let ident = reader.slice(base, 16)?;
        if ident.get(..6)? != b"\x7fELF\x02\x01" {
            return None;
        }
        let header_offset = reader.u64(base + 32)?;
        let header_size = u64::from(reader.u16(base + 54)?);
        let header_count = u64::from(reader.u16(base + 56)?).min(MAX_HEADERS);
        let mut loads = Vec::new();
        let mut dynamic_at = None;
        for i in 0..header_count {
            let at = base + header_offset.wrapping_add(i * header_size);
            let (kind, flags) = (reader.u32(at)?, reader.u32(at + 4)?);
            let (offset, address, length) = (reader.u64(at + 8)?, reader.u64(at + 16)?, reader.u64(at + 40)?);
            match kind {
                PT_LOAD => loads.push((offset, address, length, flags)),
                PT_DYNAMIC => dynamic_at = Some((address, length)),
                _ => {}
            }
        }
        // the header is the first byte of the file, so the segment with offset 0 tells where address 0 would be
        let first = loads.iter().find(|l| l.0 == 0)?;
        let bias = base.0.wrapping_sub(first.1);
        let range = |l: &(u64, u64, u64, u32)| {
            let start = Addr(bias.wrapping_add(l.1));
            (start, start + l.2)
        };
        let segments: Vec<_> = loads.iter().map(range).filter(|(start, end)| start < end).collect();
        let data = loads.iter().filter(|l| l.3 & PF_W != 0).map(range).filter(|(start, end)| start < end).collect();
        let written = loads.iter().filter(|l| l.3 & PF_W != 0).map(|l| (range(l).0, l.0)).collect();
        let dynamic = dynamic_at.and_then(|(at, length)| Dynamic::read(reader, bias, at, length));
        Some(Image { base, file, data, segments, written, dynamic, bias })
    }

    /// An image of which only the writable data is known.
    #[cfg(test)]
    pub(crate) fn with_data(data: Vec<(Addr, Addr)>) -> Image {
        let (segments, written) = (data.clone(), Vec::new());
        Image { base: Addr::NULL, file: None, data, segments, written, dynamic: None, bias: 0 }
    }

    /// Whether the loader put it there: its writable segments map the file where its headers say. A program may also
    /// map an executable as it maps any file.
    fn is_loaded(&self, snapshot: &Snapshot) -> bool {
        self.written.iter().all(|(start, offset)| match snapshot.region_of(*start) {
            Some(region) if region.is_file() => {
                region.file == self.file && region.file_offset.wrapping_add(start.0 - region.start.0) == *offset
            }
            // unknown mappings, and segments that the loader could not map
            _ => self.file.is_none(),
        })
    }

    /// The address of an exported symbol. `O(1)` with a GNU hash table, which every linker of the last 15 years
    /// writes; images without one have no symbols here.
    pub fn symbol(&self, reader: &Reader<'_>, name: &str) -> Option<Addr> {
        let dynamic = self.dynamic.as_ref()?;
        let table = dynamic.gnu_hash?;
        let (buckets, first, bloom_words) = (reader.u32(table)?, reader.u32(table + 4)?, reader.u32(table + 8)?);
        if buckets == 0 {
            return None;
        }
        let hash = name.bytes().fold(5381u32, |h, b| h.wrapping_mul(33).wrapping_add(u32::from(b)));
        let bucket_table = table + 16 + u64::from(bloom_words) * 8;
        let chain_table = bucket_table + u64::from(buckets) * 4;
        let mut index = reader.u32(bucket_table + u64::from(hash % buckets) * 4)?;
        if index < first {
            return None;
        }
        for _ in 0..MAX_CHAIN {
            let entry = reader.u32(chain_table + u64::from(index - first) * 4)?;
            if entry | 1 == hash | 1 {
                let symbol = dynamic.symbols + u64::from(index) * SYMBOL_SIZE;
                let at = u64::from(reader.u32(symbol)?);
                let value = reader.u64(symbol + 8)?;
                let defined = reader.u16(symbol + 6)? != 0;
                let same = at < dynamic.strings_len
                    && reader.c_string(dynamic.strings + at, name.len() + 1) == Some(name.as_bytes());
                if defined && same {
                    return Some(Addr(self.bias.wrapping_add(value)));
                }
            }
            if entry & 1 != 0 {
                return None;
            }
            index = index.checked_add(1)?;
        }
        None
    }
}

impl Image {
    /// The exported variable that an address lies in: its name, and how far within. Looks at every symbol.
    pub fn symbol_at(&self, reader: &Reader<'_>, address: Addr) -> Option<(String, u64)> {
        const OBJECT: u8 = 1;
        let dynamic = self.dynamic.as_ref()?;
        let mut found = None;
        for i in 0..dynamic.symbol_count(reader)? {
            let symbol = dynamic.symbols + u64::from(i) * SYMBOL_SIZE;
            let (value, size) = (reader.u64(symbol + 8)?, reader.u64(symbol + 16)?);
            let within = address.0.wrapping_sub(self.bias.wrapping_add(value));
            if within < size && reader.u8(symbol + 4)? & 15 == OBJECT && reader.u16(symbol + 6)? != 0 {
                let name = dynamic.strings + u64::from(reader.u32(symbol)?);
                found = Some((String::from_utf8_lossy(reader.c_string(name, MAX_NAME)?).into_owned(), within));
            }
        }
        found
    }
}

impl Dynamic {
    /// How many symbols there are: one more than the last that the hash table leads to.
    fn symbol_count(&self, reader: &Reader<'_>) -> Option<u32> {
        let table = self.gnu_hash?;
        let (buckets, first, bloom_words) = (reader.u32(table)?, reader.u32(table + 4)?, reader.u32(table + 8)?);
        let bucket_table = table + 16 + u64::from(bloom_words) * 8;
        let chain_table = bucket_table + u64::from(buckets) * 4;
        let last = (0..buckets).map_while(|i| reader.u32(bucket_table + u64::from(i) * 4)).max()?;
        let mut count = last.max(first);
        for _ in 0..MAX_CHAIN {
            let entry = reader.u32(chain_table + u64::from(count.checked_sub(first)?) * 4)?;
            count = count.checked_add(1)?;
            if entry & 1 != 0 {
                break;
            }
        }
        Some(count)
    }

    fn read(reader: &Reader<'_>, bias: u64, at: u64, length: u64) -> Option<Dynamic> {
        // the loader relocates these pointers in place (glibc), or leaves them (musl, static executables)
        let pointer = |value: u64| {
            let moved = Addr(bias.wrapping_add(value));
            if value >= bias && reader.u8(Addr(value)).is_some() { Addr(value) } else { moved }
        };
        let mut dynamic = Dynamic::default();
        for i in 0..(length / 16).min(MAX_DYNAMIC) {
            let entry = Addr(bias.wrapping_add(at)) + i * 16;
            let (tag, value) = (reader.u64(entry)?, reader.u64(entry + 8)?);
            match tag {
                0 => break,
                DT_STRTAB => dynamic.strings = pointer(value),
                DT_SYMTAB => dynamic.symbols = pointer(value),
                DT_STRSZ => dynamic.strings_len = value,
                DT_GNU_HASH => dynamic.gnu_hash = Some(pointer(value)),
                _ => {}
            }
        }
        (!dynamic.symbols.is_null() && !dynamic.strings.is_null()).then_some(dynamic)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// This test program's own image, read from its own memory through the snapshot's reader.
    fn own_image() -> (Snapshot, Addr) {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let libc = maps.lines().find(|l| l.contains("libc.so.6") && l.contains(" 00000000 ")).expect("libc is mapped");
        let start = u64::from_str_radix(libc.split('-').next().unwrap(), 16).unwrap();
        let memory = std::fs::File::open("/proc/self/mem").unwrap();
        let mut pieces = Vec::new();
        for line in maps.lines().filter(|l| l.contains("libc.so.6") && l.split(' ').nth(1).unwrap().starts_with('r')) {
            let (from, to) = line.split(' ').next().unwrap().split_once('-').unwrap();
            let (from, to) = (u64::from_str_radix(from, 16).unwrap(), u64::from_str_radix(to, 16).unwrap());
            let mut bytes = vec![0; (to - from) as usize];
            std::os::unix::fs::FileExt::read_exact_at(&memory, &mut bytes, from).unwrap();
            pieces.push((Addr(from), bytes));
        }
        (Snapshot::from_memory(pieces, None), Addr(start))
    }

    #[test]
    fn symbols_of_a_loaded_library_are_found() {
        let (snapshot, base) = own_image();
        let reader = snapshot.reader();
        let image = Image::at(&reader, base, None).expect("libc is an ELF image");
        // the data symbol's address is what this program itself sees through the dynamic linker
        unsafe extern "C" {
            static environ: *const u8;
        }
        let seen = &raw const environ as u64;
        let found = image.symbol(&reader, "environ").expect("libc exports environ");
        let in_libc = image.segments.iter().any(|(start, end)| (start.0..end.0).contains(&seen));
        assert!(!in_libc || found.0 == seen, "environ is at {seen:#x}, found {found}");
        assert!(image.symbol(&reader, "no_such_symbol_at_all").is_none());
        assert!(image.data.iter().any(|(start, end)| *start <= found && found < *end), "environ is writable data");
    }

    #[test]
    fn anything_else_is_no_image() {
        let cut = Snapshot::from_memory(vec![(Addr(0x1000), b"\x7fELF\x02\x01\x01".to_vec())], None);
        assert!(images(&cut).is_empty());
        let mut header = vec![0; 128];
        header[..6].copy_from_slice(b"\x7fELF\x02\x01");
        header[32..40].copy_from_slice(&u64::MAX.to_le_bytes());
        header[56..58].copy_from_slice(&u16::MAX.to_le_bytes());
        let absurd = Snapshot::from_memory(vec![(Addr(0x1000), header)], None);
        assert!(images(&absurd).is_empty());
    }
}
