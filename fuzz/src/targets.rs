//! The targets.

use super::damage::{self, Memory};
use super::seeds;
use pymem_tui::analysis::{info, raw};
use pymem_tui::cpython::layout;
use pymem_tui::image;
use pymem_tui::progress::Progress;
use pymem_tui::snapshot::{Addr, Snapshot, region_file_name, stream};
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

/// Anything that comes through a pipe.
pub fn source(data: &[u8]) {
    if let Ok(snapshot) = Snapshot::open_reader(&mut &data[..], Path::new("fuzz"), Path::new("/"), &Progress::default())
    {
        look(&snapshot);
    }
}

/// A stream of ours, not compressed: `data` are its frames.
pub fn stream(data: &[u8]) {
    source(&[&stream::MAGIC, data].concat());
}

/// An ELF file of the right machine: `data` overwrites it from its type on.
pub fn core(data: &[u8]) {
    let mut bytes = seeds::core();
    let len = 16 + data.len();
    bytes.resize(bytes.len().max(len), 0);
    bytes[16..len].copy_from_slice(data);
    bytes[16..20].copy_from_slice(&[4, 0, 62, 0]);
    source(&bytes);
}

/// Bytes that are damaged after they were compressed: the first chooses where and how.
pub fn packed(data: &[u8]) {
    let [at, flip, how, data @ ..] = data else { return };
    let inner = if how & 1 == 0 { data.to_vec() } else { [&stream::MAGIC, data].concat() };
    let mut bytes =
        if how & 2 == 0 { zstd::encode_all(&inner[..], 1).unwrap_or_default() } else { seeds::gzip(&inner) };
    let place = usize::from(*at) * bytes.len() / 256;
    if let Some(byte) = bytes.get_mut(place) {
        *byte ^= flip;
    }
    source(&bytes);
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
        let len = if kind & 4 == 0 { content.len() as u64 } else { 0x1800 };
        let region = region_file_name(start, start + len);
        let name = match kind & 3 {
            0 => region,
            1 => format!("{region}.zst"),
            2 => "snapshot.json".into(),
            _ => format!("{region}.gz"),
        };
        let _ = std::fs::write(folder.path().join(name), content);
    }
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

/// A layout table.
pub fn layout(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = layout::add(text, Path::new("fuzz.toml"));
    }
}

/// ELF images in memory: the first byte says where in the memory they lie.
pub fn image(data: &[u8]) {
    let [at, data @ ..] = data else { return };
    let base = Addr(u64::from(*at) << 12);
    let snapshot = Snapshot::from_memory(vec![(base, data.to_vec()), (base + 0x10_0000, data.to_vec())], None);
    let reader = snapshot.reader();
    for image in image::images(&snapshot) {
        for name in ["PyType_Type", "_PyRuntime", "Py_Version", ""] {
            let _ = image.symbol(&reader, name);
        }
    }
}

/// Damage to the memory of a real interpreter, the snapshot in `PYMEM_TUI_FUZZ_SNAPSHOT`: everything is asked.
pub fn heap(data: &[u8]) {
    static MEMORY: OnceLock<Option<Memory>> = OnceLock::new();
    let memory = MEMORY.get_or_init(|| {
        let path = std::env::var_os("PYMEM_TUI_FUZZ_SNAPSHOT")?;
        Memory::of(Snapshot::open(Path::new(&path)).ok()?, "fuzz").ok()
    });
    let Some(memory) = memory else { panic!("PYMEM_TUI_FUZZ_SNAPSHOT names no snapshot of a Python process") };
    let (snapshot, worth_a_look) = memory.damaged(&damage::decode(data));
    if let Err(why) = damage::ask_everything(snapshot, &worth_a_look) {
        panic!("{why}");
    }
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
    let info = info::info(snapshot, None);
    assert_eq!(info.bytes, snapshot.bytes());
    assert!(snapshot.data_bytes() <= snapshot.bytes());
    let _ = (image::images(snapshot), snapshot.damage(), serde_json::to_string(&info));
    assert!(snapshot.problems().iter().all(|p| p.len() < 100_000));
}
