//! Ground truth from every way in: streams, compressed or not, and core files of the kernel and of gdb.
//!
//! The record that a target made of its own heap is compared with what is found, as `tests/truth.rs` does for a plain
//! capture; the threads of a core file with those of a capture of the same process.

mod support;

use pymem_tui::analysis::answers::Thread;
use pymem_tui::analysis::threads;
use pymem_tui::heap::Heap;
use pymem_tui::progress::Progress;
use pymem_tui::snapshot::{Snapshot, SourceKind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use support::compare::compare;
use support::truth::Truth;
use support::{Interpreter, Target, interpreters, on_every_version};

fn index(snapshot: Snapshot) -> Heap {
    Heap::index(Arc::new(snapshot), &Progress::default()).expect("the snapshot is indexed")
}

/// The zoo, in a folder of its own, where the kernel puts its core file.
fn zoo(interpreter: &Interpreter) -> Target {
    let dir = tempfile::tempdir().unwrap();
    let mut command = interpreter.command("zoo.py");
    command.arg(dir.path().join("zoo")).args(["--threads", "2", "--free", "20000"]).current_dir(dir.path());
    Target::run(command, dir, &interpreter.name)
}

fn truth(target: &Target) -> Truth {
    Truth::read(&target.path("zoo.truth"))
}

/// What has to be said of a thread, whichever way it came.
fn told(rows: &[Thread]) -> Vec<String> {
    let frames =
        |t: &Thread| t.frames.iter().map(|f| format!("{}:{}", f.function, f.line.unwrap_or(0))).collect::<Vec<_>>();
    let told = |t: &Thread| {
        format!("{:?} {:?} {:?} {:?} {:?} {}", t.native_id, t.ident, t.syscall, t.holds_gil, frames(t), t.whole)
    };
    let mut all: Vec<String> = rows.iter().map(told).collect();
    all.sort();
    all
}

fn stream(target: &Target, format: &str) -> PathBuf {
    stream_with(target, format, &[])
}

fn stream_with(target: &Target, format: &str, options: &[&str]) -> PathBuf {
    let path = target.path(format);
    let mut command = Command::new(env!("CARGO_BIN_EXE_pymem-tui"));
    command
        .args(["-q", "capture", "--pid", &target.pid.to_string(), "-o", "-", "--stream-format", format])
        .args(options);
    let status = command.stdout(std::fs::File::create(&path).unwrap()).status().unwrap();
    assert!(status.success(), "{format}");
    path
}

#[test]
fn a_stream_holds_what_a_capture_holds() {
    on_every_version(|interpreter| {
        let target = zoo(interpreter);
        let snapshot = Snapshot::open(&stream(&target, "zstd")).map_err(|e| e.to_string())?;
        if !snapshot.problems().is_empty() || snapshot.metadata().is_none_or(|m| m.process.pid != target.pid) {
            return Err(format!("{:?} {:?}", snapshot.problems(), snapshot.metadata()));
        }
        compare(&index(snapshot), &truth(&target))
    });
}

#[test]
fn every_form_of_a_stream_opens_directly() {
    let Some(interpreter) = interpreters().into_iter().find(|i| i.minor == "3.12") else {
        println!("not covered: no CPython 3.12");
        return;
    };
    let target = zoo(&interpreter);
    let truth = truth(&target);
    for format in ["raw", "plain"] {
        let path = stream(&target, format);
        compare(&index(Snapshot::open(&path).unwrap()), &truth).unwrap_or_else(|why| panic!("{format}: {why}"));
        if format == "plain" {
            for (program, ending) in [("gzip", "gz"), ("xz", "xz"), ("lz4", "lz4"), ("zstd", "zst")] {
                let packed = target.path(&format!("plain.{ending}"));
                let out = std::fs::File::create(&packed).unwrap();
                let made =
                    Command::new(program).args(["-1", "-c"]).arg(&path).stdout(out).stderr(Stdio::null()).status();
                if !made.is_ok_and(|status| status.success()) {
                    println!("not covered: no {program}");
                    continue;
                }
                let snapshot = Snapshot::open(&packed).unwrap();
                assert_eq!(snapshot.problems(), [] as [String; 0], "{program}");
                compare(&index(snapshot), &truth).unwrap_or_else(|why| panic!("{program}: {why}"));
            }
        }
    }
    // as people do it: one process writes, the other reads
    let mut capture = Command::new(env!("CARGO_BIN_EXE_pymem-tui"));
    capture.args(["-q", "capture", "--pid", &target.pid.to_string(), "-o", "-"]).stdout(Stdio::piped());
    let mut capture = capture.spawn().unwrap();
    let mut types = Command::new(env!("CARGO_BIN_EXE_pymem-tui"));
    let out = types.args(["types", "-", "--json"]).stdin(capture.stdout.take().unwrap()).output().unwrap();
    assert!(capture.wait().unwrap().success() && out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let answer: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(answer["snapshot"]["pid"], target.pid);
    assert!(answer["problems"].as_array().unwrap().is_empty(), "{}", answer["problems"]);
    assert!(answer["total"]["count"].as_u64().unwrap() >= truth.objects.len() as u64 / 2);
}

#[test]
fn a_stream_that_does_not_fit_into_memory_is_put_aside_whole() {
    let Some(interpreter) = interpreters().pop() else { return };
    let target = zoo(&interpreter);
    let truth = truth(&target);
    for format in ["zstd", "raw"] {
        let path = stream_with(&target, format, &["--mode", "plain", "--max-buffer", "1M"]);
        let snapshot = Snapshot::open(&path).unwrap();
        let told = snapshot.metadata().map(|m| m.problems.join("; ")).unwrap_or_default();
        assert!(told.contains("--max-buffer"), "{format}: {told}");
        compare(&index(snapshot), &truth).unwrap_or_else(|why| panic!("{format}: {why}"));
    }
}

/// Asks gdb for a core file, and whether gdb could read all there is; `None` where there is no gdb, which is told, or a
/// failure where it is required.
fn gcore(pid: i32, folder: &Path) -> Option<(PathBuf, bool)> {
    let prefix = folder.join("gcore");
    let out = Command::new("gcore").arg("-o").arg(&prefix).arg(pid.to_string()).stdin(Stdio::null()).output();
    let path = folder.join(format!("gcore.{pid}"));
    match out {
        Ok(out) if out.status.success() && path.exists() => {
            // it gives up a mapping at the first page of it that may not be read, such as the guard page of a stack of
            // glibc 2.42; the page of the kernel's old system calls cannot be read on any system
            let said = String::from_utf8_lossy(&out.stderr).into_owned();
            let whole = said.lines().all(|l| !l.contains("Memory read failed") || l.contains("0xffffffffff600000"));
            Some((path, whole))
        }
        failed => {
            let required = std::env::var("PYMEM_TUI_REQUIRE").is_ok_and(|r| !r.is_empty());
            assert!(!required, "gcore is required: {failed:?}");
            println!("not covered: gcore did not write a core file");
            None
        }
    }
}

fn check_core(path: &Path, truth: &Truth, live: Vec<String>, whole: bool) -> Result<(), String> {
    let snapshot = Snapshot::open(path).map_err(|e| e.to_string())?;
    if snapshot.kind() != SourceKind::Core {
        return Err(format!("it is taken for {:?}", snapshot.kind()));
    }
    let heap = index(snapshot);
    compare(&heap, truth)?;
    let found = told(&threads::threads(&heap).threads);
    // of a stack that could not be read the inner frames are there, and it is said that there were more
    let is_part = |(found, live): (&String, &String)| {
        found.strip_suffix("] false").is_some_and(|inner| !whole && live.starts_with(inner))
    };
    let fits = |pair: (&String, &String)| pair.0 == pair.1 || is_part(pair);
    if found.len() != live.len() || !found.iter().zip(&live).all(fits) {
        return Err(format!("threads are {found:#?}, not {live:#?}"));
    }
    Ok(())
}

#[test]
fn core_files_of_gdb_hold_what_a_capture_holds() {
    on_every_version(|interpreter| {
        let target = zoo(interpreter);
        let live = told(&threads::threads(&index(target.capture())).threads);
        let folder = target.path("");
        let Some((path, whole)) = gcore(target.pid, &folder) else { return Ok(()) };
        let problems = Snapshot::open(&path).map_err(|e| e.to_string())?.problems().join("; ");
        if problems.contains("empty in the core file") == whole {
            return Err(format!("gdb read {}, and it is said: {problems}", if whole { "all" } else { "not all" }));
        }
        check_core(&path, &truth(&target), live, whole)
    });
}

#[test]
fn what_a_core_file_left_out_is_looked_for_below_a_root() {
    let Some(interpreter) = interpreters().into_iter().find(|i| i.minor == "3.12") else {
        println!("not covered: no CPython 3.12");
        return;
    };
    let target = zoo(&interpreter);
    let truth = truth(&target);
    let Some((path, _)) = gcore(target.pid, &target.path("")) else { return };
    let open = |path: &Path, root: &Path| Snapshot::open_with(path, root, &Progress::default()).unwrap();
    let usual = Snapshot::open(&path).unwrap();
    let left_out = |s: &Snapshot| s.problems().iter().any(|p| p.contains("mapped files are not in the core file"));
    assert!(!left_out(&usual), "{:?}", usual.problems());

    let root = tempfile::tempdir().unwrap();
    let without = open(&path, root.path());
    assert!(left_out(&without), "{:?}", without.problems());
    assert!(!without.metadata().unwrap().unreadable.is_empty());
    for file in usual.metadata().unwrap().regions.iter().filter_map(|r| r.file.as_deref()) {
        let there = root.path().join(file.trim_start_matches('/'));
        if file.starts_with('/') && Path::new(file).is_file() && !there.exists() {
            std::fs::create_dir_all(there.parent().unwrap()).unwrap();
            std::os::unix::fs::symlink(file, there).unwrap();
        }
    }
    let found = open(&path, root.path());
    assert_eq!(found.problems(), usual.problems());
    compare(&index(found), &truth).unwrap();
    let mut types = Command::new(env!("CARGO_BIN_EXE_pymem-tui"));
    let out = types.args(["types", "--limit", "1", "--sysroot"]).arg(root.path()).arg(&path).output().unwrap();
    assert!(out.status.success() && out.stderr.is_empty(), "{}", String::from_utf8_lossy(&out.stderr));

    // as systemd-coredump names and compresses them, in its versions and configurations
    let id = "0".repeat(32);
    for (program, ending) in [("zstd", "zst"), ("lz4", "lz4"), ("xz", "xz")] {
        let packed = target.path(&format!("core.python3\\x2e12.1000.{id}.{}.1700000000000000.{ending}", target.pid));
        let out = std::fs::File::create(&packed).unwrap();
        let made = Command::new(program).args(["-1", "-c"]).arg(&path).stdout(out).stderr(Stdio::null()).status();
        if !made.is_ok_and(|status| status.success()) {
            println!("not covered: no {program}");
            continue;
        }
        compare(&index(open(&packed, root.path())), &truth).unwrap_or_else(|why| panic!("{program}: {why}"));
        std::fs::remove_file(&packed).unwrap();
    }
}

/// Makes the kernel write a core file; `None` where it writes none.
fn kernel_core(target: &Target) -> Option<PathBuf> {
    let pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
    if pattern.trim().contains(['|', '/', '%']) || pattern.trim().is_empty() {
        println!("not covered: the kernel's core_pattern is {pattern:?}");
        return None;
    }
    let unlimited = format!("--pid={}", target.pid);
    let limit = Command::new("prlimit").args([&unlimited, "--core=unlimited:unlimited"]).status();
    if !limit.is_ok_and(|status| status.success()) {
        println!("not covered: the limit of core files cannot be raised");
        return None;
    }
    let pid = nix::unistd::Pid::from_raw(target.pid);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGABRT).unwrap();
    let stat = format!("/proc/{}/stat", target.pid);
    for _ in 0..2000 {
        // dead, and not yet waited for
        if std::fs::read_to_string(&stat).is_ok_and(|s| s.contains(") Z ")) {
            let of_pid = format!("{}.{}", pattern.trim(), target.pid);
            return [pattern.trim(), &of_pid].into_iter().map(|name| target.path(name)).find(|path| path.exists());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("the target does not end");
}

#[test]
fn core_files_of_the_kernel_hold_what_a_capture_holds() {
    on_every_version(|interpreter| {
        let target = zoo(interpreter);
        let live = told(&threads::threads(&index(target.capture())).threads);
        let Some(path) = kernel_core(&target) else { return Ok(()) };
        check_core(&path, &truth(&target), live.clone(), true)?;
        let problems = Snapshot::open(&path).map_err(|e| e.to_string())?.problems().to_vec();
        if !problems.iter().any(|p| p.contains("SIGABRT")) {
            return Err(format!("the signal is not told: {problems:?}"));
        }
        if interpreter.minor != "3.12" {
            return Ok(());
        }
        // as systemd-coredump keeps it
        let packed = target.path("core.zst");
        let out = zstd::encode_all(std::fs::File::open(&path).unwrap(), 1).unwrap();
        std::fs::write(&packed, out).unwrap();
        check_core(&packed, &truth(&target), live, true)?;
        // cut by a full disk: what is there is read, and it is told
        let len = path.metadata().unwrap().len();
        std::fs::File::options().write(true).open(&path).unwrap().set_len(len * 2 / 3).unwrap();
        let cut = Snapshot::open(&path).map_err(|e| e.to_string())?;
        if cut.problems().iter().any(|p| p.contains("cut short")) { Ok(()) } else { Err("the cut is not told".into()) }
    });
}

/// The program that ran is gone, or another has its place.
#[test]
fn a_core_file_without_its_program_says_what_is_missing() {
    let alone = |i: &&Interpreter| i.build == "static" && i.argv.len() == 1 && i.env.is_empty();
    let Some(mut interpreter) = interpreters().iter().find(alone).cloned() else {
        println!("not covered: no static build");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("python");
    std::fs::copy(&interpreter.argv[0], &copy).unwrap();
    let code = "import sys; print(sys.prefix)";
    let home = Command::new(&interpreter.argv[0]).args(["-c", code]).output().unwrap();
    interpreter.env.insert("PYTHONHOME".into(), String::from_utf8(home.stdout).unwrap().trim().into());
    interpreter.argv[0] = copy.to_str().unwrap().into();
    let target = zoo(&interpreter);
    let Some((core, _)) = gcore(target.pid, dir.path()) else { return };
    let problems = || Snapshot::open(&core).unwrap().problems().join("; ");
    let before = problems();
    assert!(!before.contains("not in the core file"), "{before}");
    std::fs::rename(&copy, dir.path().join("moved")).unwrap();
    let gone = problems();
    assert!(gone.contains("not in the core file") && gone.contains("No such file"), "{gone}");
    std::fs::copy(env!("CARGO_BIN_EXE_pymem-tui"), &copy).unwrap();
    let other = problems();
    assert!(other.contains("is another build than the one that ran"), "{other}");
    let metadata = Snapshot::open(&core).unwrap().metadata().unwrap().clone();
    assert!(metadata.unreadable.iter().any(|u| u.reason.contains("another build")));
}

/// A plain stream of one region of zeros, which holds no Python.
fn zeros(len: u64) -> Vec<u8> {
    let mut bytes = [0x1_0000u64.to_le_bytes(), (0x1_0000 + len).to_le_bytes()].concat();
    bytes.resize(16 + len as usize, 0);
    bytes
}

#[test]
fn the_size_is_told_before_anything_is_unpacked() {
    let folder = tempfile::tempdir().unwrap();
    let plain = folder.path().join("plain");
    std::fs::write(&plain, zeros(70 << 20)).unwrap();
    let made = |name: &str, code: &str| {
        let code = format!("import sys, gzip, lzma\ndata = open(sys.argv[1], 'rb').read()\n{code}");
        let path = folder.path().join(name);
        let status = Command::new("python3").args(["-c", &code]).args([&plain, &path]).status().unwrap();
        assert!(status.success(), "{name}");
        path
    };
    let gzip = made("app.gz", "gzip.open(sys.argv[2], 'wb', 1).write(data)");
    let xz = made("app.xz", "lzma.open(sys.argv[2], 'wb', preset=0).write(data)");
    let zstd = folder.path().join("app.zst");
    std::fs::write(&zstd, zstd::bulk::compress(&std::fs::read(&plain).unwrap(), 1).unwrap()).unwrap();
    for (path, words) in
        [(gzip, "to at least 73.4 MB, on disk"), (xz, "to 73.4 MB, on disk"), (zstd, "to 73.4 MB, on disk")]
    {
        let told = |quiet: &[&str]| {
            let out =
                Command::new(env!("CARGO_BIN_EXE_pymem-tui")).arg("types").arg(&path).args(quiet).output().unwrap();
            assert_eq!(out.status.code(), Some(1));
            String::from_utf8_lossy(&out.stderr).into_owned()
        };
        let text = told(&[]);
        let first = text.lines().next().unwrap_or_default();
        assert!(first.contains(" is unpacked ") && first.ends_with(words), "{text}");
        assert_eq!(told(&["-q"]).lines().count(), 1, "only why there is no answer");
    }
}

/// A pipe can be opened once: whoever looks at it first takes it from its writer.
#[test]
fn a_named_pipe_is_read_and_not_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut types = Command::new(env!("CARGO_BIN_EXE_pymem-tui"));
    let mut types = types.arg("types").arg(&pipe).stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let to = pipe.clone();
    let writer = std::thread::spawn(move || std::fs::write(to, zeros(1 << 20)));
    let begun = std::time::Instant::now();
    while types.try_wait().unwrap().is_none() {
        if begun.elapsed() > Duration::from_secs(60) {
            types.kill().unwrap();
            panic!("it waits for a writer that is gone");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    writer.join().unwrap().unwrap();
    let out = types.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.code() == Some(1) && text.contains("Python"), "{text}");
}

#[test]
fn a_source_that_was_cut_before_its_python_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let cut = folder.path().join("cut");
    std::fs::write(&cut, &zeros(2 << 20)[..1 << 20]).unwrap();
    let out = Command::new(env!("CARGO_BIN_EXE_pymem-tui")).arg("types").arg(&cut).output().unwrap();
    let text = String::from_utf8_lossy(&out.stderr);
    assert!(text.contains("cannot be read (the stream was cut short at byte 1048576"), "{text}");
    assert_eq!((text.lines().count(), out.status.code()), (1, Some(1)), "{text}");
}
