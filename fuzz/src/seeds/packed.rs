//! What people compress snapshots with, and archives of them.

use super::{described, plain, stream};
use pymem_tui::snapshot::stream::Packing;
use pymem_tui::snapshot::{Addr, region_file_name};
use std::io::Write;

/// Two streams with padding between them, made by xz 5.8 from [`plain`]'s records.
pub const XZ: &[u8] =
    b"\xfd7zXZ\0\0\x04\xe6\xd6\xb4F\x02\0!\x01\x16\0\0\0t/\xe5\xa3\xe0\x10\x0f\0!]\0\0\x04\x861\xad\xab\xf2\xb0\
      \x07\xfe\xf5j\xff_m\xdd\xe0\xa9-\xd2?\xe1g\x1b\xa4\x02\xc7\x02\xf0IC\x9b\0\0\0\0\08\xfc\xc1(m\xb2+W\0\x01=\
      \x90 \0\0\0\x80H\x85\x0a\xb1\xc4g\xfb\x02\0\0\0\0\x04YZ\0\0\0\0\xfd7zXZ\0\0\x01i\x22\xde6\x02\0!\x01\x16\0\
      \0\0t/\xe5\xa3\xe0 \x0f\0/]\0\0 \xff\x95\xb5n\x0a\x14\x94@?\x1fRW7\x10@\x84\xe0\xae\xee\xb9zt!\xe0v\x08'\
      \xa5\x11\xdftY\xc1\xbe\x16E<\x01\xc2?y\x05E\0\0\0\0\x08(`)\0\x01G\x90@\0\0\0$\x91\x1a\x9b>0\x0d\x8b\x02\0\
      \0\0\0\x01YZ";

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

pub fn lz4(bytes: &[u8]) -> Vec<u8> {
    let info = lz4_flex::frame::FrameInfo::new().content_size(Some(bytes.len() as u64)).content_checksum(true);
    let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

pub fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap_or_default()
}

/// The same with its size in the header.
fn sized_zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(bytes, 1).unwrap_or_default()
}

/// lz4 without a size, its blocks as they are.
fn open_lz4(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

/// A folder in a tar archive: names and what is in them.
fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o600);
        header.set_cksum();
        let _ = builder.append_data(&mut header, name, *bytes);
    }
    builder.into_inner().unwrap_or_default()
}

/// One of each kind of compression and some of several.
pub fn all() -> Vec<Vec<u8>> {
    let (plain, raw) = (plain(), stream(Packing::Raw));
    let json = serde_json::to_vec(&described()).unwrap_or_default();
    let region = |start: u64, len: u64| region_file_name(Addr(start), Addr(start + len));
    let packed = |start, ending: &str| format!("dump/{}{ending}", region(start, 0x1800));
    let folder = archive(&[
        ("dump/snapshot.json", &json),
        (&region(0x1000, 100), &[7; 100]),
        (&packed(0x4000, ".gz"), &gzip(&[8; 0x1800])),
        (&packed(0x8000, ".lz4"), &lz4(&[9; 0x1800])),
        (&packed(0xc000, ".zst"), &zstd(&[9; 0x1700])),
        (&packed(0x10_000, ".xz"), b"no xz"),
        ("dump/letter", b"of somebody"),
        (&region_file_name(Addr(0x9000), Addr(0x8000)), b"backwards"),
    ]);
    let (one, two) = plain.split_at(plain.len() / 2);
    let skipped = [&[0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4][..], &sized_zstd(&plain)].concat();
    vec![
        gzip(&plain),
        gzip(&raw),
        lz4(&plain),
        open_lz4(&raw),
        XZ.to_vec(),
        skipped,
        gzip(&zstd(&plain)),
        zstd(&sized_zstd(&raw)),
        [sized_zstd(one), sized_zstd(two)].concat(),
        [lz4(one), open_lz4(two)].concat(),
        zstd(&folder),
        archive(&[(&region(0x1000, 200), &[7; 100])]),
        folder,
    ]
}

/// What holds no memory, and what ends too early.
pub fn refused() -> Vec<Vec<u8>> {
    let cut = plain().get(..0x1800).unwrap_or_default().to_vec();
    let empty = [0x1000u64, 0x1000, 0x2000, 0x2000].iter().flat_map(|w| w.to_le_bytes()).collect();
    vec![archive(&[("dump/letter", b"of somebody")]), gzip(b"a letter of somebody"), cut, empty]
}
