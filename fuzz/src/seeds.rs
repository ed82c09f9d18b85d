//! Small inputs that are right: what the mutations begin with.

use pymem_tui::progress::Progress;
use pymem_tui::snapshot::stream::{MAGIC, Packing};
use pymem_tui::snapshot::{Addr, Metadata, Snapshot, meta, save};
use std::io::{Read, Seek, Write};

/// Seeds of a target, by its name.
pub fn of(target: &str) -> Vec<Vec<u8>> {
    let raw = stream(Packing::Raw);
    let frames = raw[MAGIC.len()..].to_vec();
    match target {
        "source" => vec![raw.clone(), stream(Packing::Zstd), plain(), gzip(&plain()), core(), archive(), gzip(&raw)],
        "stream" => vec![frames],
        "core" => vec![core()[16..].to_vec()],
        "packed" => vec![[&[0, 0, 1], &frames[..]].concat(), [&[128, 1, 2], &plain()[..]].concat()],
        "directory" => {
            let file = |kind: u8, bytes: &[u8]| [&[kind], &(bytes.len() as u16).to_le_bytes()[..], bytes].concat();
            let json = serde_json::to_vec(&described()).unwrap_or_default();
            vec![
                [file(0x10, &[7; 0x1800]), file(2, &json), file(0x43, &gzip(&[9; 100]))].concat(),
                [file(0x24, &[1; 5000]), file(0x25, &zstd::encode_all(&[3; 6144][..], 1).unwrap_or_default())].concat(),
            ]
        }
        "metadata" => vec![serde_json::to_vec_pretty(&described()).unwrap_or_default()],
        "layout" => ["3.8", "3.12", "3.13t", "3.15"]
            .iter()
            .filter_map(|v| pymem_tui::cpython::layout::table_text(v).map(|t| t.as_bytes().to_vec()))
            .collect(),
        "image" => vec![[&[4], &own_image()[..]].concat()],
        _ => vec![vec![0; 64], (0..=255).collect()],
    }
}

fn described() -> Metadata {
    let mapping = |start, end, file: Option<&str>| meta::Mapping {
        start: Addr(start),
        end: Addr(end),
        permissions: "rw-p".into(),
        file: file.map(str::to_owned),
        residency: vec![1, 1],
        captured: true,
        ..meta::Mapping::default()
    };
    let registers = [("rax".to_owned(), Addr(u64::MAX - 511)), ("fs_base".to_owned(), Addr(0x7f00))].into();
    Metadata {
        format: meta::FORMAT.into(),
        mode: "plain".into(),
        process: meta::Process { pid: 7, command_line: vec!["python".into()], ..meta::Process::default() },
        regions: vec![mapping(0x1000, 0x3000, None), mapping(0x40_0000, 0x40_2000, Some("/lib/x.so"))],
        threads: vec![meta::Thread { tid: 7, registers, ..meta::Thread::default() }],
        unreadable: vec![meta::Unreadable { start: Addr(0x2000), end: Addr(0x3000), reason: "gone".into() }],
        ..Metadata::default()
    }
}

fn stream(packing: Packing) -> Vec<u8> {
    let mut memory = vec![0; 0x3000];
    memory[0x1000..0x2000].fill(7);
    let snapshot =
        Snapshot::from_memory(vec![(Addr(0x1000), memory), (Addr(0x40_0000), vec![3; 100])], Some(described()));
    let mut bytes = Vec::new();
    let Ok(mut file) = tempfile::tempfile() else { return bytes };
    let Ok(out) = file.try_clone() else { return bytes };
    let _ = save::write_framed(&snapshot, Box::new(out), packing, &Progress::default());
    let _ = file.rewind().and_then(|()| file.read_to_end(&mut bytes));
    bytes
}

/// python-memtools' records.
fn plain() -> Vec<u8> {
    let record = |start: u64, len: u64| {
        [&start.to_le_bytes(), &(start + len).to_le_bytes(), &vec![5; len as usize][..]].concat()
    };
    [record(0x1000, 0x1000), record(0x8000, 0x2000)].concat()
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

fn archive() -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(100);
    header.set_mode(0o600);
    header.set_cksum();
    let name = pymem_tui::snapshot::region_file_name(Addr(0x1000), Addr(0x1064));
    let _ = builder.append_data(&mut header, name, &[7; 100][..]);
    builder.into_inner().unwrap_or_default()
}

/// A core file: a note of each kind that is read, two segments.
pub fn core() -> Vec<u8> {
    let words = |words: &[u64]| words.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<u8>>();
    let note = |kind: u32, desc: &[u8]| {
        let head = [5, desc.len() as u32, kind].into_iter().flat_map(u32::to_le_bytes);
        let mut note: Vec<u8> = head.chain(*b"CORE\0\0\0\0").chain(desc.iter().copied()).collect();
        note.resize(note.len().next_multiple_of(4), 0);
        note
    };
    let files = [words(&[1, 4096, 0x40_0000, 0x40_3000, 0]), b"/bin/true\0".to_vec()].concat();
    let notes = [
        note(1, &[1; 336]),
        note(3, &[b'S'; 136]),
        note(0x5349_4749, &[11; 128]),
        note(6, &words(&[3, 0x40_0040, 0, 0])),
        note(0x4649_4c45, &files),
    ]
    .concat();
    let at = 64 + 3 * 56;
    let load = |offset: u64, start: u64, file: u64, memory: u64| {
        [&[1, 0, 0, 0, 7, 0, 0, 0], &words(&[offset, start, 0, file, memory, 1])[..]].concat()
    };
    let mut bytes = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x04\0\x3e\0\x01\0\0\0".to_vec();
    bytes.extend(words(&[0, 64, 0]));
    bytes.extend([0, 0].into_iter().chain([0u16, 64, 56, 3, 64, 0, 0][1..].iter().copied()).flat_map(u16::to_le_bytes));
    bytes.extend([&[4, 0, 0, 0, 0, 0, 0, 0], &words(&[at, 0, 0, notes.len() as u64, 0, 4])[..]].concat());
    bytes.extend(load(at + notes.len() as u64, 0x10_0000, 0x1000, 0x2000));
    bytes.extend(load(at + notes.len() as u64 + 0x1000, 0x40_0000, 0x1000, 0x3000));
    bytes.extend(notes);
    bytes.extend([7; 0x1000]);
    bytes.extend(own_image().get(..0x1000).unwrap_or_default());
    bytes
}

/// The beginning of a real program: /bin/true, or whatever runs.
fn own_image() -> Vec<u8> {
    let file = std::fs::read("/bin/true").or_else(|_| std::fs::read("/proc/self/exe"));
    let mut bytes = file.unwrap_or_default();
    bytes.truncate(40 << 10);
    bytes
}
