//! Sizes that are told, of files that programs made and of files that lie.

use super::*;
use crate::progress::Progress;
use crate::snapshot::save::write_framed;
use crate::snapshot::stream::Packing;
use crate::snapshot::{Addr, Snapshot, region_file_name};
use Foretold::{About, AtLeast, AtMost, Exactly, Unknown};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A plain stream of 1.5 MB, half of it zeros.
fn plain() -> Vec<u8> {
    let mut state = 1u64;
    let mut noise = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as u8
    };
    let mut bytes = Vec::new();
    for (start, len, random) in [(0x10_0000u64, 0xb_8000u64, true), (0x80_0000, 0xb_8000, false)] {
        bytes.extend(start.to_le_bytes());
        bytes.extend((start + len).to_le_bytes());
        bytes.extend((0..len).map(|_| if random { noise() } else { 0 }));
    }
    bytes
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    fn file(&self, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join("file");
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// What is told of a file with these bytes.
    fn told(&self, bytes: &[u8]) -> Foretold {
        unpacking(&self.file(bytes)).unwrap().unpacked
    }

    /// The same after `program` has compressed it; `None` without that program.
    fn made_by(&self, program: &str, args: &[&str], bytes: &[u8]) -> Option<Vec<u8>> {
        let input = std::fs::File::open(self.file(bytes)).unwrap();
        let out = Command::new(program).args(args).stdin(input).stderr(Stdio::inherit()).output();
        let out = out.ok().filter(|out| out.status.success());
        if out.is_none() {
            println!("not covered: no {program}");
        }
        out.map(|out| out.stdout)
    }
}

fn zstd_with_size(bytes: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(bytes, 1).unwrap()
}

fn opens(path: &Path) -> Vec<String> {
    Snapshot::open(path).map_or_else(|e| vec![e.to_string()], |s| s.problems().to_vec())
}

#[test]
fn zstd_tells_when_every_frame_does() {
    let (folder, plain) = (Folder::new(), plain());
    let len = plain.len() as u64;
    let sized = zstd_with_size(&plain);
    let unsized_ = zstd::encode_all(&plain[..], 1).unwrap();
    assert_eq!(folder.told(&sized), Exactly(len));
    let (one, two) = plain.split_at(700_000);
    let both = [zstd_with_size(one), vec![0x52, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3], zstd_with_size(two)].concat();
    assert_eq!(folder.told(&both), Exactly(len));
    assert_eq!(opens(&folder.file(&both)), [] as [String; 0]);
    let AtMost(most) = folder.told(&unsized_) else { panic!("{:?}", folder.told(&unsized_)) };
    assert!((len..len + (256 << 10)).contains(&most), "{most} for {len}");
    assert!(matches!(folder.told(&[zstd_with_size(one), unsized_].concat()), AtMost(_)));
    // what was cut tells of the frames before
    assert_eq!(folder.told(&both[..both.len() - 9]), AtLeast(700_000));
    assert_eq!(folder.told(&sized[..sized.len() - 9]), Unknown);
}

#[test]
fn a_size_that_cannot_be_is_not_told_and_refuses_nobody() {
    let (folder, plain) = (Folder::new(), plain());
    let mut lie = zstd_with_size(&plain);
    assert_eq!(lie[4] >> 5, 0b100, "a window, then four bytes of size");
    lie[6..10].fill(0xff);
    assert!(matches!(folder.told(&lie), AtMost(most) if most < 4 << 20), "{:?}", folder.told(&lie));
    let mut lie = lz4_with_size(&plain);
    lie[13] = 0x7f;
    assert!(matches!(folder.told(&lie), AtMost(_)), "{:?}", folder.told(&lie));
    // a stream whose total is damaged holds all that it holds
    let mut lie = stream(Packing::Raw);
    lie[16 + 16 + 7] = 0x7f;
    assert_eq!(folder.told(&lie), AtMost(lie.len() as u64));
    assert_eq!(opens(&folder.file(&lie)), [] as [String; 0]);
    let piped = Snapshot::open_reader(&mut &lie[..], Path::new("-"), Path::new("/"), &Progress::default()).unwrap();
    assert_eq!(piped.problems(), [] as [String; 0]);
    // a trailer of gzip's that more than all of it would have to stand for
    let mut lie = gzip(b"few");
    let at = lie.len() - 4;
    lie[at..].fill(0xff);
    assert_eq!(folder.told(&lie), Unknown);
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn lz4_with_size(bytes: &[u8]) -> Vec<u8> {
    let info = lz4_flex::frame::FrameInfo::new().content_size(Some(bytes.len() as u64));
    let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn stream(packing: Packing) -> Vec<u8> {
    let bytes = plain();
    let pieces = vec![(Addr(0x1000), bytes[16..0xb_8010].to_vec()), (Addr(0x100_0000), vec![5; 0x3000])];
    let file = tempfile::NamedTempFile::new().unwrap();
    let out = Box::new(file.reopen().unwrap());
    write_framed(&Snapshot::from_memory(pieces, None), out, packing, &Progress::default()).unwrap();
    std::fs::read(file.path()).unwrap()
}

#[test]
fn gzip_and_lz4_tell_what_they_know() {
    let (folder, plain) = (Folder::new(), plain());
    let len = plain.len() as u64;
    assert_eq!(folder.told(&gzip(&plain)), AtLeast(len));
    let (one, two) = plain.split_at(1_000_000);
    assert_eq!(folder.told(&[gzip(one), gzip(two)].concat()), AtLeast(len - 1_000_000), "of the last member only");
    assert_eq!(folder.told(&lz4_with_size(&plain)), Exactly(len));
    let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
    encoder.write_all(&plain).unwrap();
    let AtMost(most) = folder.told(&encoder.finish().unwrap()) else { panic!("no bound") };
    assert!(most >= len && most < len + (4 << 20), "{most}");
    for (args, exact) in [(&["-c", "-B4"][..], false), (&["-c", "--content-size", "-BX"], true)] {
        let Some(packed) = folder.made_by("lz4", args, &plain) else { continue };
        let told = folder.told(&packed);
        assert!(told.most() >= len && (!exact || told == Exactly(len)), "{args:?}: {told:?}");
    }
}

#[test]
fn xz_tells_by_its_index() {
    let (folder, plain) = (Folder::new(), plain());
    let len = plain.len() as u64;
    let python = "import lzma, sys; sys.stdout.buffer.write(lzma.compress(sys.stdin.buffer.read(), preset=1))";
    let made = [
        folder.made_by("xz", &["-1", "-c"], &plain),
        folder.made_by("xz", &["-1", "-c", "-T2", "--block-size=100000"], &plain),
        folder.made_by("python3", &["-c", python], &plain),
    ];
    for packed in made.into_iter().flatten() {
        assert_eq!(folder.told(&packed), Exactly(len));
        let twice = [&packed[..], &[0; 8], &packed, &[0; 4]].concat();
        assert_eq!(folder.told(&twice), Exactly(2 * len));
        assert_eq!(folder.told(&packed[..packed.len() - 4]), Unknown);
        assert_eq!(folder.told(&[&packed[..], b"more"].concat()), Unknown);
        for at in packed.len() - 40..packed.len() {
            let mut damaged = packed.clone();
            damaged[at] ^= 0x10;
            assert!(matches!(folder.told(&damaged), Unknown | Exactly(_)));
            assert!(folder.told(&damaged).most() == len || folder.told(&damaged) == Unknown, "{at}");
        }
    }
}

#[test]
fn a_stream_of_ours_tells_first_through_every_layer() {
    let folder = Folder::new();
    let memory = 0xb_8000 + 0x3000;
    for packing in [Packing::Raw, Packing::Zstd] {
        let bytes = stream(packing);
        assert_eq!(folder.told(&bytes), About(memory), "{packing:?}");
        assert_eq!(opens(&folder.file(&bytes)), [] as [String; 0]);
        assert_eq!(folder.told(&gzip(&bytes)), About(memory));
    }
    let twice = gzip(&zstd_with_size(&plain()));
    assert_eq!(folder.told(&twice), AtLeast(plain().len() as u64));
}

#[test]
fn what_is_packed_as_a_folder_is_told_as_well() {
    let folder = Folder::new();
    let part = region_file_name(Addr(0x10_0000), Addr(0x11_0000));
    let inner = folder.0.path().join("dump");
    std::fs::create_dir(&inner).unwrap();
    std::fs::write(inner.join(format!("{part}.gz")), gzip(&[7; 0x1_0000])).unwrap();
    let told = unpacking(&inner).unwrap();
    assert_eq!((told.form, told.unpacked), ("packed directory", AtMost(0x1_0000)));
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_dir_all("dump", &inner).unwrap();
    let archive = builder.into_inner().unwrap();
    assert_eq!(folder.told(&archive), AtMost(0x1_0000));
    assert!(matches!(folder.told(&zstd_with_size(&archive)), AtMost(n) if n == archive.len() as u64));
    std::fs::rename(inner.join(format!("{part}.gz")), inner.join(&part)).unwrap();
    assert_eq!(unpacking(&inner), None);
}

/// What `xz` makes of `len` bytes of a plain stream of noise, with an index that says that it is `becomes` bytes.
fn xz_claiming(folder: &Folder, len: u64, becomes: u64) -> Option<Vec<u8>> {
    let crc = |bytes: &[u8]| {
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        crc.sum().to_le_bytes()
    };
    let number = |mut n: u64| {
        let mut bytes = Vec::new();
        while n > 0x7f {
            bytes.push(n as u8 | 0x80);
            n >>= 7;
        }
        bytes.push(n as u8);
        bytes
    };
    let noise = plain()[16..0xb_8010].repeat(8);
    let plain = [&0x10_0000u64.to_le_bytes()[..], &(0x10_0000 + len).to_le_bytes(), &noise[..len as usize]].concat();
    // a window of 4 kB finds nothing twice
    let mut file = folder.made_by("xz", &["-c", "-T1", "--lzma2=preset=0,dict=4KiB"], &plain)?;
    let footer = file.len() - 12;
    let index = (u32::from_le_bytes(*file[footer + 4..].first_chunk().unwrap()) as usize + 1) * 4;
    file.truncate(footer - index);
    let mut index = [vec![0, 1], number(file.len() as u64 - 12), number(becomes)].concat();
    index.resize(index.len().next_multiple_of(4), 0);
    index.extend(crc(&index));
    let checked = [&((index.len() / 4 - 1) as u32).to_le_bytes()[..], &file[6..8]].concat();
    Some([&file[..], &index, &crc(&checked), &checked, b"YZ"].concat())
}

#[test]
fn what_says_to_be_larger_than_every_disk_is_read_as_far_as_there_is_room() {
    let folder = Folder::new();
    let size = 1 << 40;
    // as much as 4 MB of xz can be: a core file of that size may be all holes
    let Some(file) = xz_claiming(&folder, 4 << 20, size) else { return };
    assert_eq!(folder.told(&file), Exactly(size));
    assert_eq!(opens(&folder.file(&file)), [] as [String; 0]);
    // what cannot be so large is read: only the index is wrong
    let lie = xz_claiming(&folder, 1 << 20, size).unwrap();
    assert_eq!(folder.told(&lie), Unknown);
    assert_eq!(opens(&folder.file(&lie)), [] as [String; 0]);
}

#[test]
fn a_pipe_that_nobody_writes_to_is_not_opened() {
    let folder = Folder::new();
    let pipe = folder.0.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || tell.send(unpacking(&pipe)));
    assert_eq!(told.recv_timeout(std::time::Duration::from_secs(10)), Ok(None));
}
