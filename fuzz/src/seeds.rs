//! Small inputs that are right: what the mutations begin with.

mod elf;
mod packed;

pub use elf::core;
pub use packed::{gzip, lz4, zstd};

use pymem_tui::cpython::layout;
use pymem_tui::progress::Progress;
use pymem_tui::snapshot::stream::{MAGIC, Packing};
use pymem_tui::snapshot::{Addr, Metadata, Snapshot, meta, save};
use std::io::{Read, Seek};

/// Seeds of a target, by its name.
pub fn of(target: &str) -> Vec<Vec<u8>> {
    match target {
        "source" => [whole(), packed::refused(), elf::refused()].concat(),
        "stream" => streams(),
        "core" => elf::cores().iter().map(|core| core[16..].to_vec()).collect(),
        "packed" => {
            let frames = &stream(Packing::Raw)[MAGIC.len()..];
            let how = |how: u8, data: &[u8]| [&[0, 0, how], data].concat();
            let damaged = |how: u8, data: &[u8]| [&[128, 1, how], data].concat();
            vec![how(1, frames), how(3, frames), how(5, frames), damaged(2, &plain()), damaged(4, &plain())]
        }
        "directory" => directories(),
        "metadata" => vec![
            serde_json::to_vec_pretty(&described()).unwrap_or_default(),
            br#"{"format":"","tool":"","mode":"","bytes":0,"process":{"pid":1},"regions":[],"threads":[]}"#.to_vec(),
        ],
        "layout" => layouts(),
        "image" => vec![
            [&[4], &elf::image()[..]].concat(),
            [&[0x84], &elf::image()[..]].concat(),
            [&[4], &elf::program()[..]].concat(),
        ],
        "offsets" => (0..16).map(|which| [which, which, 1, 6, 8, 99, which, 4, 8].to_vec()).collect(),
        // little damage to each of the memories
        _ => (0..32).map(|which| [which, 0, 0, which, 9, 1, 2, 3, 10, which, 0, 7, 1, 2, 5].to_vec()).collect(),
    }
}

/// Layout tables: whole ones alone and two in a folder, and what is refused.
fn layouts() -> Vec<Vec<u8>> {
    let mut whole: Vec<String> =
        layout::known_versions().into_iter().filter_map(layout::table_text).map(str::to_owned).collect();
    let first = whole.first().cloned().unwrap_or_default();
    whole.push(format!("{first}\0{first}"));
    whole.push(format!("{first}\0{}", first.replace("pool_size = ", "pool_size = 3")));
    whole.push(format!("{first}\0{}", first.replace("\nversion = \"", "\nversion = \"x")));
    whole.push(format!("none\0{}", &first[..first.len() / 2]));
    whole.into_iter().map(String::into_bytes).collect()
}

/// Sources that open.
pub fn whole() -> Vec<Vec<u8>> {
    [vec![stream(Packing::Raw), stream(Packing::Zstd), plain()], packed::all(), elf::cores()].concat()
}

/// As much as a capture can say.
fn described() -> Metadata {
    let mapping = |start, end, file: Option<&str>, residency: &[u64]| meta::Mapping {
        start: Addr(start),
        end: Addr(end),
        permissions: "rw-p".into(),
        offset: 0x1000,
        file: file.map(str::to_owned),
        resident_bytes: Some(residency.iter().skip(1).step_by(2).sum::<u64>() * 4096),
        residency: residency.to_vec(),
        captured: true,
    };
    let registers = ["orig_rax", "rax", "rdi", "rsi", "rdx", "r10", "r8", "r9", "rsp", "fs_base"];
    let registers = registers.map(|name| (name.to_owned(), Addr(if name == "rax" { u64::MAX - 511 } else { 0x1010 })));
    let thread = |tid| meta::Thread {
        tid,
        name: "python".into(),
        state: "S".into(),
        wchan: Some("futex_wait".into()),
        registers: registers.clone().into(),
        syscall: Some(meta::Syscall { number: 202, args: vec![Addr(0x1000); 6] }),
    };
    let unreadable = |start: u64, reason: &str| meta::Unreadable {
        start: Addr(start),
        end: Addr(start + 0x1000),
        reason: reason.into(),
    };
    let sizes = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), 8192)).collect();
    Metadata {
        format: meta::FORMAT.into(),
        tool: "pymem-tui 0".into(),
        captured_at: Some("2026-01-01T00:00:00Z".into()),
        monotonic: Some(17.5),
        mode: "fork".into(),
        mode_reason: Some("asked".into()),
        pause_ms: Some(1.5),
        expected_pause_ms: Some(2.5),
        redacted: Some("keys-kept".into()),
        bytes: 16384,
        pages_skipped: 3,
        process: meta::Process {
            pid: 7,
            inner_pid: Some(1),
            command_line: vec!["python".into(), "-c".into()],
            exe: Some("/usr/bin/python3".into()),
            started_at: Some("2026-01-01T00:00:00Z".into()),
            memory: sizes(&["VmRSS", "VmSize", "RssAnon", "VmPTE"]),
            rollup: sizes(&["Rss", "Private_Clean", "Private_Dirty", "Shared_Dirty", "Anonymous", "Swap"]),
        },
        regions: vec![
            mapping(0x1000, 0x3000, None, &[1, 1]),
            mapping(0x3000, 0x4000, Some("[heap]"), &[]),
            mapping(0x40_0000, 0x40_2000, Some("/lib/x.so"), &[0, 1, 1, 0]),
            meta::Mapping { resident_bytes: Some(0x1000), ..mapping(0x50_0000, 0x50_1000, Some("[stack]"), &[]) },
        ],
        threads: vec![thread(7), thread(8)],
        unreadable: vec![unreadable(0x2000, "gone"), unreadable(0x3000, "Input/output error (os error 5)")],
        problems: vec!["something else".into()],
    }
}

fn snapshot() -> Snapshot {
    let mut memory = vec![0; 0x3000];
    memory[0x1000..0x2000].fill(7);
    Snapshot::from_memory(vec![(Addr(0x1000), memory), (Addr(0x40_0000), vec![3; 100])], Some(described()))
}

fn stream(packing: Packing) -> Vec<u8> {
    written(&snapshot(), packing)
}

/// What a stream of the snapshot is.
pub fn written(snapshot: &Snapshot, packing: Packing) -> Vec<u8> {
    let mut bytes = Vec::new();
    let Ok(mut file) = tempfile::tempfile() else { return bytes };
    let Ok(out) = file.try_clone() else { return bytes };
    let _ = save::write_framed(snapshot, Box::new(out), packing, &Progress::default());
    let _ = file.rewind().and_then(|()| file.read_to_end(&mut bytes));
    bytes
}

/// Frames without the magic: as a capture writes them, and as it does not.
fn streams() -> Vec<Vec<u8>> {
    let right = stream(Packing::Raw)[MAGIC.len()..].to_vec();
    let words = |words: &[u64]| words.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<u8>>();
    let frame = |kind: &[u8; 8], bytes: &[u8]| [kind, &words(&[bytes.len() as u64])[..], bytes].concat();
    let layout = frame(b"layout\0\0", &words(&[0x1000, 0x3000, 0x2000, 0x4000, 0x9000, 0x8000, 0x10_0000, 0x10_0064]));
    let memory = |at: u64, len: usize| frame(b"memory\0\0", &[&words(&[at])[..], &vec![7; len]].concat());
    let end = |bytes: u64| frame(b"end\0\0\0\0\0", &words(&[bytes]));
    let total = frame(b"total\0\0\0", &words(&[1 << 60]));
    let endless = frame(b"layout\0\0", &words(&[0, u64::MAX, u64::MAX - 1, u64::MAX]));
    let parts: [&[&[u8]]; 7] = [
        &[&endless, &memory(0x1000, 100), &end(100)],
        &[&total, &layout, &memory(0x10_0000, 100), &memory(0x1800, 0x1000), &end(0x1064)],
        &[&frame(b"foreign\0", b"letters"), &layout, &frame(b"metadata", b"{}"), &memory(0x1000, 10), &end(99)],
        &[&layout, &memory(0x2ff0, 100)],
        &[&layout, &memory(0x1000, 100), b"NO FRAME", &[0; 8]],
        &[&layout, &layout, &frame(b"memory\0\0", &[1; 4])],
        &[&layout, &memory(0x1000, 100)[..60]],
    ];
    parts.iter().map(|parts| parts.concat()).chain([right]).collect()
}

/// Folders as `targets::directory` reads them.
fn directories() -> Vec<Vec<u8>> {
    let file = |kind: u8, bytes: &[u8]| [&[kind], &(bytes.len() as u16).to_le_bytes()[..], bytes].concat();
    let json = serde_json::to_vec(&described()).unwrap_or_default();
    let page = [7; 0x1800];
    vec![
        [file(0x10, &page), file(2, &json), file(0x43, &gzip(&[9; 100]))].concat(),
        [file(0x28, &page[..5000]), file(0x49, &zstd(&page)), file(0x6d, &lz4(&page)), file(0x8c, packed::XZ)].concat(),
        [file(0x18, &page[..200]), file(0x1e, &page), file(6, &zstd(&json)), file(0x27, b""), file(0x2f, b"")].concat(),
        [file(0x17, b"more than there is"), file(0x3f, b"backwards"), file(2, b"{}"), file(6, b"no json")].concat(),
    ]
}

/// python-memtools' records.
fn plain() -> Vec<u8> {
    let record = |start: u64, len: u64| {
        [&start.to_le_bytes(), &(start + len).to_le_bytes(), &vec![5; len as usize][..]].concat()
    };
    [record(0x1000, 0x1000), record(0x8000, 0x2000)].concat()
}
