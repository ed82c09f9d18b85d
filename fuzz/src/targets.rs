//! The targets.

use super::damage::{self, Memory};
use super::seeds;
use pymem_tui::analysis::{info, raw};
use pymem_tui::cpython::layout;
use pymem_tui::image;
use pymem_tui::progress::Progress;
use pymem_tui::snapshot::stream::Packing;
use pymem_tui::snapshot::{
    Addr, Foretold, Metadata, OpenError, Region, Residency, Snapshot, meta, region_file_name, several, stream,
    unpacking,
};
use std::borrow::Cow;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::OnceLock;

/// What takes any bytes.
pub type Target = fn(&[u8]);

/// Those that need nothing else, by name.
pub const ALL: [(&str, Target); 8] = [
    ("source", source),
    ("stream", stream),
    ("core", core),
    ("packed", packed),
    ("directory", directory),
    ("metadata", metadata),
    ("layout", layout),
    ("image", image),
];

/// Anything: through a pipe and as a file, which are to be the same memory.
pub fn source(data: &[u8]) {
    let piped = pipe(data);
    let Ok(mut file) = tempfile::NamedTempFile::new() else { return };
    if file.write_all(data).is_err() {
        return;
    }
    let _ = unpacking(file.path()).map(|u| u.unpacked.to_string());
    let filed = Snapshot::open(file.path());
    if let Ok(snapshot) = &filed {
        look(snapshot);
    }
    if let (Ok(piped), Ok(filed)) = (&piped, &filed) {
        assert!(same_memory(piped, filed), "a pipe and a file hold different memory");
    }
}

fn pipe(data: &[u8]) -> Result<Snapshot, OpenError> {
    let opened = Snapshot::open_reader(&mut &data[..], Path::new("fuzz"), Path::new("/"), &Progress::default());
    opened.inspect(look)
}

/// Holes are not looked at: a region may be one of many terabytes.
fn same_memory(one: &Snapshot, other: &Snapshot) -> bool {
    let same_bytes = |a: &Region, b: &Region| {
        let mut extents = a.extents().iter().map(|e| e.start as usize..e.end as usize);
        extents.all(|extent| a.bytes().get(extent.clone()) == b.bytes().get(extent))
    };
    let same =
        |(a, b): (&Region, &Region)| (a.start, a.end) == (b.start, b.end) && same_bytes(a, b) && same_bytes(b, a);
    one.regions().len() == other.regions().len() && one.regions().iter().zip(other.regions()).all(same)
}

/// A stream of ours, not compressed: `data` are its frames. What was read of it can be written, and read again.
pub fn stream(data: &[u8]) {
    let Ok(snapshot) = pipe(&[&stream::MAGIC, data].concat()) else { return };
    let packing = if data.len().is_multiple_of(2) { Packing::Raw } else { Packing::Zstd };
    let again = pipe(&seeds::written(&snapshot, packing));
    let told = again.as_ref().map(|s| (s.metadata(), s.problems().len()));
    let again = again.as_ref().map(|again| same_memory(&snapshot, again));
    assert!(again.is_ok_and(|same| same), "{told:?} when it was written and read again");
}

/// An ELF file of the right machine: `data` overwrites it from its type on.
pub fn core(data: &[u8]) {
    let mut bytes = seeds::core();
    let len = 16 + data.len();
    bytes.resize(bytes.len().max(len), 0);
    bytes[16..len].copy_from_slice(data);
    bytes[16..20].copy_from_slice(&[4, 0, 62, 0]);
    let _ = pipe(&bytes);
}

/// Bytes that are damaged after they were compressed: the first chooses where and how. What was told of their size is
/// held against what comes out.
pub fn packed(data: &[u8]) {
    let [at, flip, how, data @ ..] = data else { return };
    let inner = if how & 1 == 0 { data.to_vec() } else { [&stream::MAGIC, data].concat() };
    let pack = |bytes: &[u8]| match how >> 1 & 3 {
        0 => seeds::zstd(bytes),
        1 => seeds::gzip(bytes),
        2 => seeds::lz4(bytes),
        _ => zstd::bulk::compress(bytes, 1).unwrap_or_default(),
    };
    let (one, two) = if how & 8 == 0 { (&inner[..], &[][..]) } else { inner.split_at(inner.len() / 2) };
    let mut bytes = if two.is_empty() { pack(one) } else { [pack(one), pack(two)].concat() };
    let place = usize::from(*at) * bytes.len() / 256;
    if let Some(byte) = bytes.get_mut(place) {
        *byte ^= flip;
    }
    source(&bytes);
    let Ok(mut file) = tempfile::NamedTempFile::new() else { return };
    let written = file.write_all(&bytes);
    let told = unpacking(file.path()).filter(|_| written.is_ok() && how & 1 == 0);
    let plain = unpacked(&bytes).filter(|plain| !plain.starts_with(&stream::MAGIC));
    let (Some(told), Some(plain)) = (told, plain.map(|plain| plain.len() as u64)) else { return };
    let true_of = match told.unpacked {
        Foretold::Exactly(n) => n == plain,
        Foretold::AtLeast(n) => n <= plain,
        Foretold::AtMost(n) => plain <= n,
        Foretold::About(_) | Foretold::Unknown => true,
    };
    assert!(true_of, "{plain} bytes came of a {} file that told {:?}", told.form, told.unpacked);
}

/// What is in a compressed file that is whole; `None` where that is compressed once more.
fn unpacked(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::new();
    let read = match bytes {
        [0x1f, ..] => flate2::read::MultiGzDecoder::new(bytes).take(1 << 24).read_to_end(&mut plain),
        [0x28, ..] => zstd::Decoder::new(bytes).ok()?.take(1 << 24).read_to_end(&mut plain),
        _ => return None,
    };
    let whole = read.is_ok() && plain.len() < 1 << 24;
    let marks: [&[u8]; 4] = [&[0x1f, 0x8b], &[0x28, 0xb5], &[0xfd, b'7'], &[0x04, 0x22]];
    let skipped = plain.get(1..4) == Some(&[0x2a, 0x4d, 0x18]);
    (whole && !skipped && !marks.iter().any(|mark| plain.starts_with(mark))).then_some(plain)
}

/// A folder of files: each begins with its kind and a length of two bytes.
pub fn directory(data: &[u8]) {
    let Ok(folder) = tempfile::tempdir() else { return };
    let mut rest = data;
    for _ in 0..8 {
        let [kind, low, high, tail @ ..] = rest else { break };
        let (content, after) = tail.split_at(usize::from(u16::from_le_bytes([*low, *high])).min(tail.len()));
        rest = after;
        let start = Addr(u64::from(kind & 0xf0) << 8);
        let len = if kind & 8 == 0 { content.len() as u64 } else { 0x1800 };
        let region = region_file_name(start, start + len);
        let name = match kind & 7 {
            0 => region,
            1 => format!("{region}.zst"),
            2 => "snapshot.json".into(),
            3 => format!("{region}.gz"),
            4 => format!("{region}.xz"),
            5 => format!("{region}.lz4"),
            6 if kind & 8 == 0 => "snapshot.json.zst".into(),
            6 => region_file_name(start, start + 0x4_0000),
            _ if kind & 8 == 0 => format!("{region}.d"),
            _ => region_file_name(start + len, start),
        };
        let path = folder.path().join(name);
        let _ = match kind & 15 {
            // a folder where a file belongs
            7 if content.is_empty() => std::fs::create_dir(path),
            // one that is mapped, most of it a hole
            14 => {
                std::fs::write(&path, content).and_then(|()| File::options().write(true).open(&path)?.set_len(0x4_0000))
            }
            _ => std::fs::write(path, content),
        };
    }
    let _ = (unpacking(folder.path()), several(folder.path()));
    if let Ok(snapshot) = Snapshot::open(folder.path()) {
        look(&snapshot);
    }
}

/// `snapshot.json` beside two regions.
pub fn metadata(data: &[u8]) {
    let Ok(folder) = tempfile::tempdir() else { return };
    for start in [0x1000, 0x40_0000] {
        let name = region_file_name(Addr(start), Addr(start + 0x2000));
        let _ = std::fs::write(folder.path().join(name), [7; 0x2000]);
    }
    let _ = std::fs::write(folder.path().join("snapshot.json"), data);
    if let Ok(snapshot) = Snapshot::open(folder.path()) {
        look(&snapshot);
    }
}

/// Layout tables: `data` is two of them in a folder, the second from a zero byte on. They are read, not added, for what is
/// added is kept for good.
pub fn layout(data: &[u8]) {
    let (one, two) = data.split_at(data.iter().position(|byte| *byte == 0).unwrap_or(data.len()));
    let Ok(folder) = tempfile::tempdir() else { return };
    let tables = if two.is_empty() { vec![("a.toml", one)] } else { vec![("a.toml", one), ("b.toml", &two[1..])] };
    let written = tables.iter().all(|(name, text)| std::fs::write(folder.path().join(name), text).is_ok());
    let read = layout::read_folder(if one == b"none" { Path::new("/nowhere") } else { folder.path() });
    let why = read.as_ref().err().map(ToString::to_string);
    assert!(why.is_none_or(|why| why.lines().count() == 1), "one sentence, not {read:?}");
    for (table, text) in read.into_iter().flatten().filter(|_| written) {
        let again = layout::parse(&text, Path::new("fuzz.toml")).map(|again| again.version);
        assert_eq!(again.ok().as_deref(), Some(table.version.as_str()));
        let known = layout::known_versions().contains(&table.version.as_str());
        assert!(!known || layout::table(&table.version).is_some() && layout::table_text(&table.version).is_some());
    }
}

/// ELF images in memory: the first byte says where in the memory they lie, and whether a file is known of it.
pub fn image(data: &[u8]) {
    let [at, data @ ..] = data else { return };
    let base = Addr(u64::from(at & 0x7f) << 12);
    let mapping = meta::Mapping {
        start: base,
        end: base + data.len() as u64,
        file: Some("/lib/x.so".into()),
        ..meta::Mapping::default()
    };
    let metadata = (at & 0x80 != 0).then(|| Metadata { regions: vec![mapping], ..Metadata::default() });
    let snapshot = Snapshot::from_memory(vec![(base, data.to_vec()), (base + 0x10_0000, data.to_vec())], metadata);
    let reader = snapshot.reader();
    for image in image::images(&snapshot) {
        for name in ["PyType_Type", "_PyRuntime", "Py_Version", ""] {
            let address = image.symbol(&reader, name);
            let _ = address.map(|address| image.symbol_at(&reader, address));
        }
        let _ = image.symbol_at(&reader, base + 0x900);
    }
}

/// Damage to the memory of a real interpreter, which the first byte chooses: everything is asked.
pub fn heap(data: &[u8]) {
    let [which, data @ ..] = data else { return };
    let memory = memory(*which);
    let (snapshot, worth_a_look) = memory.damaged(&damage::decode(data));
    ask(snapshot, &worth_a_look);
}

/// Memory as it was, and a layout table with other numbers in it: each takes two bytes that choose the number and two
/// that tell how it changes. Tables of versions that tell their offsets themselves change little. Each table is kept for
/// as long as the program runs, some 200 kB: a day of it needs a larger `-rss_limit_mb`.
pub fn offsets(data: &[u8]) {
    let [which, data @ ..] = data else { return };
    let memory = memory(*which);
    let Some((_, text)) = &memory.table else { return };
    let is_other = |c: char| !c.is_ascii_digit();
    let mut numbers: Vec<Cow<'_, str>> = text.split_inclusive(is_other).map(Cow::from).collect();
    let is_number = |i: &usize| numbers[*i].starts_with(|c: char| c.is_ascii_digit());
    let places: Vec<usize> = (0..numbers.len()).filter(is_number).collect();
    for change in data.as_chunks::<4>().0.iter().take(16) {
        let [low, high, how, value] = *change;
        let i = places[usize::from(u16::from_le_bytes([low, high])) % places.len()];
        let (number, rest) = numbers[i].split_at(numbers[i].trim_end_matches(is_other).len());
        let Ok(number) = number.parse::<u64>() else { continue };
        let number = match how % 8 {
            0 => u64::from(value),
            1 => u64::from(value) << 8,
            2 => i64::MAX as u64 >> (value % 63), // the larger ones are refused
            3 => (1 << 24) - u64::from(value),    // the largest that is not
            4 => number.saturating_sub(value.into()),
            5 => number << (value % 16),
            _ => number + u64::from(value),
        };
        numbers[i] = format!("{number}{rest}").into();
    }
    if layout::add(&numbers.concat(), Path::new("fuzz.toml")).is_ok() {
        ask(memory.damaged(&[]).0, &memory.objects[..8.min(memory.objects.len())]);
    }
}

fn ask(snapshot: Snapshot, worth_a_look: &[Addr]) {
    if let Err(why) = damage::ask_everything(snapshot, worth_a_look) {
        panic!("{why}");
    }
}

/// Those of the snapshots in the folder `PYMEM_TUI_FUZZ_SNAPSHOTS`.
fn memory(which: u8) -> &'static Memory {
    static MEMORIES: OnceLock<Vec<Memory>> = OnceLock::new();
    let memories = MEMORIES.get_or_init(|| {
        let folder = std::env::var_os("PYMEM_TUI_FUZZ_SNAPSHOTS").unwrap_or_default();
        let mut paths: Vec<_> = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()).collect();
        paths.sort();
        paths.iter().filter_map(|path| Memory::of(Snapshot::open(path).ok()?, "fuzz").ok()).collect()
    });
    assert!(!memories.is_empty(), "PYMEM_TUI_FUZZ_SNAPSHOTS names no folder of snapshots of Python processes");
    &memories[usize::from(which) % memories.len()]
}

/// What a person would look at before there is an interpreter: every region in bounds, every byte readable.
fn look(snapshot: &Snapshot) {
    let reader = snapshot.reader();
    let mut before = Addr::NULL;
    for region in snapshot.regions() {
        assert!(before <= region.start && region.start < region.end, "regions are sorted and hold something");
        before = region.end;
        assert_eq!(region.bytes().len() as u64, region.len());
        let mut at = 0;
        for extent in region.extents() {
            assert!(at <= extent.start && extent.start < extent.end && extent.end <= region.len());
            at = extent.end;
        }
        let last = Addr(region.end.0 - 1);
        assert!(reader.u8(region.start).is_some() && reader.u8(last).is_some());
        let _ = (reader.u64(last), reader.c_string(region.start, 64));
        let _ = raw::hex(snapshot, region.start, region.start, 64);
    }
    for (from, backwards) in [(Addr(0), false), (Addr(u64::MAX), true)] {
        let _ = raw::find_next(snapshot, b"\xa5 nowhere", from, backwards, &Progress::default());
    }
    let info = info::info(snapshot, None);
    assert_eq!(info.bytes, snapshot.bytes());
    assert!(snapshot.data_bytes() <= snapshot.bytes());
    let _ = (image::images(snapshot), snapshot.damage(), serde_json::to_string(&info));
    if let Some(metadata) = snapshot.metadata() {
        metadata.threads.iter().for_each(|t| drop(meta::Thread::interrupted(&t.registers)));
        let _ = metadata.process.sharing().shared();
        let resident = Residency::of(metadata);
        let mut cursor = resident.as_ref().map(Residency::cursor);
        for region in snapshot.regions() {
            let bytes = cursor.as_mut().map_or(0, |c| c.between(region.start, region.end));
            assert!(bytes <= region.len(), "{bytes} bytes of {} are resident", region.len());
            let middle = region.start + region.len() / 2;
            assert!(resident.as_ref().is_none_or(|r| r.between(region.start, middle) <= bytes));
        }
    }
    assert!(snapshot.problems().iter().all(|p| p.len() < 100_000));
}
