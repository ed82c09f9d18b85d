//! Bad input: one clear sentence on standard error, exit code 1, nothing on standard output; wrong usage is 2.
//!
//! Snapshots are damaged on disk, in copies of a real one: missing, empty, cut, foreign, of an unknown version. And
//! texts in memory that attack a terminal reach no output, of any command, as text or as JSON.

#[path = "contract/ask.rs"]
mod ask;
mod support;

use ask::{ask, copy, refused, region_files, run, zoo};
use pymem_tui::snapshot::{Snapshot, save};
use std::fs::OpenOptions;
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// Every command that reads a snapshot, with what it needs besides.
const COMMANDS: [&[&str]; 21] = [
    &["types"],
    &["objects"],
    &["show", "0x1000"],
    &["referents", "0x1000"],
    &["referrers", "0x1000"],
    &["regions"],
    &["hex", "0x1000"],
    &["find", "x"],
    &["module", "__main__"],
    &["strings"],
    &["path", "0x1000"],
    &["retained"],
    &["leaks"],
    &["garbage"],
    &["audit"],
    &["waste"],
    &["memory"],
    &["tasks"],
    &["threads"],
    &["stacks"],
    &["graph", "0x1000"],
];

fn on(path: &Path, command: &[&str]) -> Vec<String> {
    let words = [&command[..1], &[path.to_str().unwrap()], &command[1..]].concat();
    words.into_iter().map(str::to_owned).collect()
}

#[track_caller]
fn all_refuse(path: &Path, words: &str) {
    for command in COMMANDS {
        for json in [&[][..], &["--json".to_owned()]] {
            let arguments = [on(path, command), json.to_vec()].concat();
            let error = refused(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
            assert!(error.contains(words), "{command:?}: {error}");
        }
    }
    let error = refused(&[path.to_str().unwrap()]); // the explorer
    assert!(error.contains(words), "{error}");
}

#[test]
fn what_is_no_snapshot_is_said() {
    let folder = tempfile::tempdir().unwrap();
    all_refuse(&folder.path().join("missing"), "cannot be opened");
    all_refuse(folder.path(), "holds no snapshot");
    let empty = folder.path().join("empty");
    std::fs::write(&empty, "").unwrap();
    all_refuse(&empty, "it is empty");
    let foreign = folder.path().join("foreign");
    std::fs::write(&foreign, "PNG\r\n\x1b[31m and so on, for more than sixteen bytes").unwrap();
    all_refuse(&foreign, "is not a snapshot");
    all_refuse(Path::new("/dev/null"), "neither a directory nor a regular file");
    let named = folder.path().join("evil\x1b[31m\u{202e}");
    all_refuse(&named, "cannot be opened");
}

#[test]
fn a_question_without_an_answer_is_said() {
    let zoo = zoo();
    let dump = zoo.path.as_str();
    let list = zoo.of_kind("list", |_| true).id;
    let beside = ask::hex(list + 8);
    for (arguments, words) in [
        (&["objects", dump, "--type", "no.Such"][..], "there is no type no.Such"),
        (&["objects", dump, "--type", "no.Such", "--jsonl"], "there is no type no.Such"),
        (&["objects", dump, "--type", "0x10"], "there is no type 0x10"),
        (&["show", dump, "0x10"], "no object begins at 0x10"),
        (&["show", dump, &beside], "it lies in"),
        (&["referents", dump, "ffffffffffffffff"], "no object begins at"),
        (&["referrers", dump, "10"], "no object begins at"),
        (&["hex", dump, "0x10"], "is not in the snapshot"),
        (&["hex", dump, "0xffffffffffffffff", "--length", "64"], "is not in the snapshot"),
        (&["module", dump, "no.such"], "there is no module no.such"),
        (&["objects", dump, "--type", "evil\x1b[31m\u{9b}"], "there is no type evil\\x1b[31m"),
    ] {
        for json in [&[][..], &["--json"]].into_iter().take(if arguments.contains(&"--jsonl") { 1 } else { 2 }) {
            let error = refused(&[arguments, json].concat());
            assert!(error.contains(words), "{arguments:?}: {error}");
        }
    }
    for arguments in
        [&["show", dump, "no-address"][..], &["types"], &["types", dump, "more"], &["objects", dump, "--limit", "-1"]]
    {
        let out = run(arguments);
        assert_eq!((out.status.code(), out.stdout.len()), (Some(2), 0), "{arguments:?}");
        assert!(!out.stderr.is_empty());
    }
    let found = ask(&["find", dump, "no such text in all of this memory, but here\u{1f40d}"]);
    assert_eq!((&found["total"], found["hits"].as_array().map(Vec::len)), (&0.into(), Some(0)));
}

#[test]
fn memory_of_another_program_holds_no_python() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sleep");
    std::fs::create_dir(&path).unwrap();
    let mut sleep = Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().unwrap();
    let pid = sleep.id();
    let error = refused(&["capture", "--pid", &pid.to_string(), "-o", folder.path().join("x").to_str().unwrap()]);
    assert!(error.contains("is not a Python process"), "{error}");
    assert!(!folder.path().join("x").exists(), "nothing half-written");
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let memory = std::fs::File::open(format!("/proc/{pid}/mem")).unwrap();
    for line in maps.lines().filter(|l| l.split(' ').nth(1).is_some_and(|p| p.starts_with('r')) && !l.contains("[v")) {
        let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let [start, end] = [start, end].map(|a| u64::from_str_radix(a, 16).unwrap());
        let mut bytes = vec![0; (end - start) as usize];
        if memory.read_exact_at(&mut bytes, start).is_ok() {
            std::fs::write(path.join(format!("mem.{start:016X}.{end:016X}.bin")), bytes).unwrap();
        }
    }
    sleep.kill().unwrap();
    sleep.wait().unwrap();
    let dump = path.to_str().unwrap();
    for command in ["types", "objects", "strings"] {
        let error = refused(&[command, dump]);
        assert!(error.contains("no CPython interpreter was found"), "{error}");
    }
    refused(&[dump]);
    // raw memory is asked all the same, with the problem told
    let regions = ask(&["regions", dump]);
    assert!(regions["regions"].as_array().unwrap().len() > 3 && regions["snapshot"]["python"].is_null());
    let found = ask(&["find", dump, "ELF", "--limit", "3"]);
    assert!(found["problems"][0].as_str().unwrap().contains("objects are not named"), "{found}");
}

#[test]
fn a_snapshot_that_was_cut_answers_with_a_problem() {
    let zoo = zoo();
    let (_folder, path) = copy(&zoo.path);
    let biggest = region_files(&path)[0].clone();
    let half = biggest.metadata().unwrap().len() / 2 + 3;
    OpenOptions::new().write(true).open(&biggest).unwrap().set_len(half).unwrap();
    let answer = ask(&["types", path.to_str().unwrap()]);
    let problems = answer["problems"].as_array().unwrap();
    assert!(problems.iter().any(|p| p.as_str().unwrap().contains("shorter than its name says")), "{problems:?}");
    assert!(answer["total"]["count"].as_u64() > Some(1000));
    // as text, the problem is on standard error and the answer on standard output
    let out = run(&["types", path.to_str().unwrap()]);
    assert_eq!(out.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&out.stderr).contains("warning: "));

    // a region's file that is gone: what it held is not there, the rest is
    std::fs::remove_file(&biggest).unwrap();
    let fewer = ask(&["types", path.to_str().unwrap()]);
    assert!(fewer["total"]["count"].as_u64() <= answer["total"]["count"].as_u64());
    let metadata = path.join("snapshot.json");
    for broken in ["", "{\"format\":", "[]", "{\"format\": 999999}"] {
        std::fs::write(&metadata, broken).unwrap();
        let same = ask(&["types", path.to_str().unwrap()]);
        assert_eq!(same["total"], fewer["total"], "with snapshot.json {broken:?}");
        assert!(!same["problems"].as_array().unwrap().is_empty(), "{broken:?} is told");
    }
}

#[test]
fn a_stream_that_was_cut_is_told() {
    let zoo = zoo();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stream");
    let snapshot = Snapshot::open(zoo.path.as_ref()).unwrap();
    save::write_stream(&snapshot, &mut std::fs::File::create(&path).unwrap()).unwrap();
    let whole = path.metadata().unwrap().len();
    for len in [whole - 1, whole / 2, 1 << 20, 17, 15] {
        OpenOptions::new().write(true).open(&path).unwrap().set_len(len).unwrap();
        let dump = path.to_str().unwrap();
        let out = run(&["types", dump, "--json"]);
        let said =
            format!("{} bytes: {}{}", len, String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        match out.status.code() {
            Some(0) => assert!(said.contains("cut short"), "{}", &said[..said.len().min(500)]),
            _ => drop(refused(&["types", dump])),
        }
    }
}

#[test]
fn an_unknown_version_is_named() {
    let zoo = zoo();
    let (_folder, path) = copy(&zoo.path);
    let snapshot = Snapshot::open(&path).unwrap();
    let reader = snapshot.reader();
    let image = pymem_tui::image::images(&snapshot).into_iter().find(|i| i.symbol(&reader, "PyType_Type").is_some());
    let image = image.expect("the interpreter's image");
    let at = image.symbol(&reader, "Py_Version").expect("3.11 and later export it");
    let region = snapshot.region_of(at).unwrap();
    let file = path.join(format!("mem.{:016X}.{:016X}.bin", region.start.0, region.end.0));
    let mut file = OpenOptions::new().write(true).open(file).unwrap();
    for (hex, name) in [(0x0363_00f0u32, "3.99.0"), (0x0302_00f0, "3.2.0")] {
        file.seek(SeekFrom::Start(at.0 - region.start.0)).unwrap();
        file.write_all(&hex.to_le_bytes()).unwrap();
        let error = refused(&["types", path.to_str().unwrap()]);
        assert!(error.contains(&format!("it runs CPython {name}")) && error.contains("it knows"), "{error}");
        refused(&[path.to_str().unwrap()]);
    }
    assert_eq!(run(&["regions", path.to_str().unwrap()]).status.code(), Some(0));
}

/// Little that unpacks to much: as much as may be written is, and that is said.
#[test]
fn what_unpacks_to_too_much_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let plain = folder.path().join("plain");
    let mut bytes = [0x1000u64.to_le_bytes(), (0x1000u64 + (64 << 20)).to_le_bytes()].concat();
    bytes.resize(16 + (64 << 20), 1);
    std::fs::write(&plain, &bytes).unwrap();
    drop(bytes);
    for (program, ending) in [("gzip", "gz"), ("xz", "xz"), ("lz4", "lz4"), ("zstd", "zst")] {
        let packed = folder.path().join(format!("bomb.{ending}"));
        let out = std::fs::File::create(&packed).unwrap();
        let made = Command::new(program).args(["-1", "-c"]).arg(&plain).stdout(out).stderr(Stdio::null()).status();
        if !made.is_ok_and(|status| status.success()) {
            println!("not covered: no {program}");
            continue;
        }
        assert!(packed.metadata().unwrap().len() < 1 << 20, "{program}");
        let tool = env!("CARGO_BIN_EXE_pymem-tui");
        // a tenth of the file for the disk, and less memory than it would need as a whole
        let limits = ["--fsize=8000000", "--data=48000000"];
        let out =
            Command::new("prlimit").args(limits).args([tool, "regions", "-q", "--threads", "1"]).arg(&packed).output();
        let out = out.unwrap();
        let error = String::from_utf8_lossy(&out.stderr);
        assert_eq!((out.status.code(), error.lines().count()), (Some(1), 1), "{program}: {error}");
        assert!(error.contains("cannot be unpacked") && error.contains("ulimit -f"), "{program}: {error}");
    }
    let is_refused = |name: &str, bytes: &[u8], words: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let error = refused(&["regions", path.to_str().unwrap()]);
        assert!(error.contains(words), "{name}: {error}");
    };
    // sizes that the bytes cannot become are not believed: a frame of zstd (RFC 8878) and one of lz4 say what is in them
    let huge = (1u64 << 60).to_le_bytes();
    let zstd = [&[0x28, 0xb5, 0x2f, 0xfd, 0xc0, 0x58][..], &huge, &[1, 0, 0]].concat();
    is_refused("size.zst", &zstd, "is not a snapshot");
    let info = lz4_flex::frame::FrameInfo::new().content_size(Some(1 << 60));
    let mut lz4 = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
    lz4.write_all(&[1; 100]).unwrap();
    lz4.flush().unwrap();
    is_refused("size.lz4", lz4.get_ref(), "is not a snapshot");
    // a window of 3.75 TB to look back into
    is_refused("window.zst", &[0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xff, 1, 0, 0], "is damaged");
    // layer upon layer
    let mut layered = std::fs::read(folder.path().join("plain")).unwrap();
    for _ in 0..6 {
        layered = zstd::encode_all(layered.as_slice(), 1).unwrap();
    }
    is_refused("layers.zst", &layered, "is not a snapshot");
}
