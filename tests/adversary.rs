//! What is around us may be hostile or poor: snapshots that change while they are read, limits, closed pipes, file
//! systems that cannot be written, a `/proc` that hides, processes in namespaces of their own.
//!
//! Each ends with an answer or with one sentence, never by a signal or a panic.

#[path = "contract/ask.rs"]
mod ask;
mod support;
#[path = "explore/terminal.rs"]
mod terminal;

use ask::{copy, region_files, run, zoo};
use pymem_tui::heap::Heap;
use pymem_tui::progress::Progress;
use pymem_tui::snapshot::{Snapshot, save};
use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, mpsc};
use std::time::Duration;
use support::Target;
use terminal::Terminal;

const BINARY: &str = env!("CARGO_BIN_EXE_pymem-tui");

fn said(out: &Output) -> String {
    String::from_utf8_lossy(&out.stderr).into_owned()
}

/// An answer, or one sentence and exit code 1.
#[track_caller]
fn answer_or_sentence(out: &Output, what: &str) -> bool {
    let error = said(out);
    match out.status.code() {
        Some(0) => true,
        Some(1) => {
            // (two threads that are without memory at the same moment say it twice)
            let mut lines: Vec<&str> = error.lines().collect();
            lines.dedup();
            assert!(error.starts_with("pymem-tui: ") && lines.len() == 1, "{what}: {error}");
            false
        }
        other => panic!("{what}: ended with {other:?} ({}): {error}", out.status),
    }
}

fn cut(path: &Path, len: u64) {
    OpenOptions::new().write(true).open(path).unwrap().set_len(len).unwrap();
}

#[test]
fn a_snapshot_that_is_cut_while_it_is_mapped_is_told() {
    let zoo = zoo();
    let (_folder, path) = copy(&zoo.path);
    let snapshot = Arc::new(Snapshot::open(&path).unwrap());
    assert_eq!(snapshot.damage(), None);
    for file in region_files(&path) {
        cut(&file, file.metadata().unwrap().len() / 3);
    }
    // reads zeros where there was memory: whatever comes out, it comes
    if let Ok(heap) = Heap::index(snapshot.clone(), &Progress::default()) {
        let _ = heap.edges(&Progress::default());
        assert!(heap.problems()[0].contains("changed while it was read"), "{:?}", heap.problems());
    }
    let folder = tempfile::tempdir().unwrap();
    let kept = save::write_directory(&snapshot, &folder.path().join("kept"), &Progress::default());
    assert!(kept.unwrap_err().to_string().contains("changed while it was read"));
    let told = snapshot.damage().expect("the damage is told");
    assert!(told.contains("changed while it was read") && told.contains("open it again"), "{told}");
}

#[test]
fn a_snapshot_that_is_cut_during_a_scan_is_a_sentence() {
    let zoo = zoo();
    let mut told = 0;
    for round in 0..24u64 {
        let (_folder, path) = copy(&zoo.path);
        let mut command = Command::new(BINARY);
        command.args(["types", path.to_str().unwrap(), "--json"]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let asked = command.spawn().unwrap();
        std::thread::sleep(Duration::from_millis(round * 4)); // somewhere in the scan
        for file in region_files(&path) {
            cut(&file, 4096);
        }
        let out = asked.wait_with_output().unwrap();
        if !answer_or_sentence(&out, &format!("round {round}")) {
            told += usize::from(said(&out).contains("changed while it was read"));
        }
    }
    assert!(told > 0, "no round came between opening and the end");
}

/// With `prlimit` before it; `None` where there is no such program.
fn limited(limit: &str, arguments: &[&str]) -> Option<Output> {
    let out = Command::new("prlimit").arg(limit).arg(BINARY).args(arguments).stdin(Stdio::null()).output();
    out.ok().or_else(|| {
        println!("not covered: there is no prlimit");
        None
    })
}

#[test]
fn few_files_and_little_address_space_are_enough_or_a_sentence() {
    let zoo = zoo();
    let target = Target::start(&zoo.interpreter, "zoo.py", &["--free", "100"]);
    let pid = target.pid.to_string();
    let folder = tempfile::tempdir().unwrap();
    let mut answered = 0;
    let limits = [4, 8, 12, 16, 24, 32].map(|n| format!("--nofile={n}"));
    let spaces = [24u64, 32, 48, 64, 96, 128, 192, 256, 1024].map(|n| format!("--as={}", n << 20));
    for limit in limits.iter().chain(&spaces) {
        let path = folder.path().join(limit.trim_start_matches('-'));
        let questions: [&[&str]; 3] = [
            &["types", &zoo.path, "--threads", "2"],
            &["strings", &zoo.path, "--threads", "2"],
            &["-q", "capture", "--pid", &pid, "-o", path.to_str().unwrap()],
        ];
        for question in questions {
            let Some(out) = limited(limit, question) else { return };
            // below this the loader has no room, or the standard library and the C library none for a thread: they say
            // so in their own words, before there is code of ours
            const THEIRS: [&str; 3] = [
                "error while loading shared libraries",
                "failed to allocate an alternative stack",
                "Fatal glibc error: failed to register TLS destructor",
            ];
            if THEIRS.iter().any(|words| said(&out).contains(words)) {
                assert!(!out.status.success() && !path.exists(), "{limit} {}", said(&out));
                continue;
            }
            let fine = answer_or_sentence(&out, &format!("{limit} {}", question[0]));
            answered += usize::from(fine);
            if question[0] == "-q" && !fine {
                assert!(!path.exists(), "{limit}: nothing half-written has the name");
            }
        }
    }
    assert!(answered > 20, "{answered} answers");
    let alive = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    assert!(!alive.contains("State:\tT") && !alive.contains("State:\tt"), "{alive}");
}

#[test]
fn a_reader_that_leaves_a_stream_is_told_and_the_process_goes_on() {
    let zoo = zoo();
    let target = Target::start(&zoo.interpreter, "zoo.py", &["--free", "100"]);
    for format in ["zstd", "raw", "plain"] {
        let mut command = Command::new(BINARY);
        command.args(["-q", "capture", "--pid", &target.pid.to_string(), "-o", "-", "--stream-format", format]);
        let mut capture = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(capture.stdout.take());
        let out = capture.wait_with_output().unwrap();
        // python-memtools' format is printed like any answer: whoever leaves has seen enough
        let expected = if format == "plain" { 0 } else { 1 };
        assert_eq!(out.status.code(), Some(expected), "{format}: {}", said(&out));
        let full = Command::new(BINARY)
            .args(["-q", "capture", "--pid", &target.pid.to_string(), "-o", "-", "--stream-format", format])
            .stdout(OpenOptions::new().write(true).open("/dev/full").unwrap())
            .output()
            .unwrap();
        assert!(!answer_or_sentence(&full, format));
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", target.pid)).unwrap();
    assert!(status.contains("TracerPid:\t0") && status.contains("State:\tS"), "{status}");
}

/// A stream that nothing can be written to: a full disk, or a pipe whose reader is gone.
fn nowhere() -> [Stdio; 2] {
    let (reader, gone) = std::io::pipe().unwrap();
    drop(reader);
    [OpenOptions::new().write(true).open("/dev/full").unwrap().into(), gone.into()]
}

#[test]
fn what_cannot_be_told_changes_no_answer() {
    let zoo = zoo();
    let (_folder, path) = copy(&zoo.path);
    let biggest = &region_files(&path)[0];
    cut(biggest, biggest.metadata().unwrap().len() / 2);
    let dump = path.to_str().unwrap();
    let heard = run(&["types", dump]);
    assert!(heard.status.success() && said(&heard).contains("warning: "), "{}", said(&heard));
    let deaf = |arguments: &[&str], stderr: Stdio| {
        Command::new(BINARY).args(arguments).stdin(Stdio::null()).stderr(stderr).output().unwrap()
    };
    for stderr in nowhere() {
        let out = deaf(&["types", dump], stderr);
        assert_eq!((out.status.code(), &out.stdout), (Some(0), &heard.stdout));
    }
    for stderr in nowhere() {
        assert_eq!(deaf(&["types", "/no/such"], stderr).status.code(), Some(1));
    }
}

/// Every answer, and what the program says of itself.
#[test]
fn an_answer_that_cannot_be_written_is_no_success_and_one_that_nobody_reads_is() {
    let zoo = zoo();
    let dump = zoo.path.as_str();
    let object = ask::hex(zoo.of_kind("list", |_| true).id);
    let answers: [&[&str]; 19] = [
        &["types", dump],
        &["types", dump, "--json"],
        &["objects", dump],
        &["objects", dump, "--jsonl"],
        &["show", dump, &object],
        &["referrers", dump, &object],
        &["graph", dump, &object],
        &["regions", dump],
        &["hex", dump, &object],
        &["find", dump, "e"],
        &["strings", dump],
        &["memory", dump],
        &["processes"],
        &["demo"],
        &["completions", "bash"],
        &["man"],
        &["--help"],
        &["types", "--help"],
        &["--version"],
    ];
    for answer in answers {
        let [full, gone] = nowhere().map(|stdout| {
            let mut command = Command::new(BINARY);
            command.args(answer).args((answer.len() > 1 && answer[1] == dump).then_some("-q"));
            command.stdin(Stdio::null()).stdout(stdout).output().unwrap()
        });
        assert!(!answer_or_sentence(&full, answer[0]) && said(&full).contains("No space left"), "{answer:?}");
        assert_eq!((gone.status.code(), said(&gone).as_str()), (Some(0), ""), "{answer:?}");
    }
}

#[test]
fn a_file_that_finds_no_room_is_told_and_nothing_of_it_is_left() {
    let zoo = zoo();
    let object = ask::hex(zoo.of_kind("list", |_| true).id);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.dot").to_str().unwrap().to_owned();
    let dump = zoo.path.as_str();
    for question in [
        &["report", dump, "-o", &path][..],
        &["export", dump, "--format", "heapsnapshot", "-o", &path],
        &["export", dump, "--format", "csv", "-o", &path],
        &["graph", dump, &object, "-o", &path],
    ] {
        let Some(out) = limited("--fsize=16", question) else { return };
        assert!(!answer_or_sentence(&out, question[0]) && said(&out).contains("File too large"), "{}", said(&out));
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert!(left.is_empty(), "{question:?}: {left:?}");
    }
}

#[test]
fn names_that_are_no_utf8_and_a_locale_that_is_none_are_fine() {
    let zoo = zoo();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(OsStr::from_bytes(b"d\xff\xfe\x1b[31m"));
    std::os::unix::fs::symlink(&zoo.path, &path).unwrap();
    for locale in ["C", "POSIX", "de_DE.ISO-8859-1", "no_such"] {
        for form in [&["--json"][..], &[]] {
            let mut command = Command::new(BINARY);
            command.arg("types").arg(&path).args(form).env("LC_ALL", locale).env("LANG", locale);
            let out = command.stdin(Stdio::null()).output().unwrap();
            assert!(answer_or_sentence(&out, locale), "{}", said(&out));
            assert!(std::str::from_utf8(&out.stdout).is_ok_and(|text| !text.contains('\x1b')));
        }
    }
    let missing = Command::new(BINARY).arg("types").arg(path.join("\u{fffd}")).env("LC_ALL", "C").output().unwrap();
    assert!(!answer_or_sentence(&missing, "a missing one"));
}

/// Runs a script in namespaces of its own; `None`, which is told, where they may not be made.
fn apart(options: &[&str], script: &str, arguments: &[&str]) -> Option<Output> {
    let works = Command::new("unshare").args(options).arg("true").stderr(Stdio::null()).status();
    if !works.is_ok_and(|status| status.success()) {
        println!("not covered: unshare {options:?} may not be used here");
        return None;
    }
    let mut command = Command::new("unshare");
    command.args(options).args(["sh", "-e", "-c", script, "sh"]).args(arguments).stdin(Stdio::null());
    Some(command.output().unwrap())
}

#[test]
fn a_file_system_that_is_read_only_is_said() {
    let zoo = zoo();
    let target = Target::start(&zoo.interpreter, "zoo.py", &["--free", "100"]);
    let folder = tempfile::tempdir().unwrap();
    let script = r#"mount -t tmpfs -o ro none "$1"; exec "$2" -q capture --pid "$3" -o "$1/dump""#;
    let arguments = [folder.path().to_str().unwrap(), BINARY, &target.pid.to_string()];
    let Some(out) = apart(&["-m"], script, &arguments) else { return };
    assert!(!answer_or_sentence(&out, "read-only") && said(&out).contains("Read-only file system"), "{}", said(&out));
}

#[test]
fn a_proc_that_hides_processes_is_no_riddle() {
    let zoo = zoo();
    let target = Target::start(&zoo.interpreter, "zoo.py", &["--free", "100"]);
    // somebody else, who does not even see the process
    let script = r#"mount -t proc -o hidepid=2 proc /proc
        exec setpriv --reuid 65534 --regid 65534 --clear-groups "$1" -q capture --pid "$2" -o /tmp/nothing"#;
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("pymem-tui"); // where somebody else may run it
    std::fs::copy(BINARY, &program).unwrap();
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let Some(out) = apart(&["-m"], script, &[program.to_str().unwrap(), &target.pid.to_string()]) else { return };
    assert!(!answer_or_sentence(&out, "hidepid") && said(&out).contains("may not be captured"), "{}", said(&out));
}

/// Windows are dragged, and answers come at the same time: a picture of the last size, and keys are heard.
#[test]
fn a_terminal_that_is_resized_a_thousand_times_during_a_scan_is_drawn() {
    let mut terminal = Terminal::start(&["demo", "leak"], (80, 24));
    terminal.wait("the first picture, behind which the scan goes on", |s| s.contains("[1 Overview]"));
    for n in 0..1000u16 {
        terminal.resize((20 + n * 37 % 180, 3 + n * 11 % 57));
        if n % 4 == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    terminal.resize((100, 30));
    terminal.keys("?");
    let wide = |s: &str| s.lines().filter(|l| l.starts_with('┌')).any(|l| l.chars().count() == 100);
    let whole = |s: &str| s.contains("keys here") && wide(s) && s.lines().count() == 30;
    terminal.wait("help on a whole picture of the last size", whole);
    terminal.keys("qq");
    assert_eq!(terminal.ended(), 0);
}

/// The window is closed, or the connection gone: nobody reads and nobody types any more.
#[test]
fn a_terminal_that_is_closed_during_a_scan_ends_it_and_its_demo() {
    use std::io::Read;
    // where the terminal is not the session's own no signal comes of it
    for (reads, signalled) in [(true, true), (false, true), (true, false)] {
        let size = portable_pty::PtySize { rows: 24, cols: 80, pixel_width: 0, pixel_height: 0 };
        let pty = portable_pty::native_pty_system().openpty(size).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut command = portable_pty::CommandBuilder::new(BINARY);
        command.args(["demo", "leak"]);
        command.env("TERM", "xterm-256color");
        command.env("TMPDIR", folder.path());
        command.set_controlling_tty(signalled);
        let mut child = pty.slave.spawn_command(command).unwrap();
        drop(pty.slave);
        let mut reader = pty.master.try_clone_reader().unwrap();
        let (mut killer, (begins, begun)) = (child.clone_killer(), mpsc::channel());
        std::thread::spawn(move || begun.recv_timeout(Duration::from_secs(20)).is_ok() || killer.kill().is_err());
        // (the explorer has the terminal, and its work goes on behind; or all is told, and it writes no more)
        let awaited = if signalled { "\x1b[?1049h" } else { "▲ " };
        let mut seen = Vec::new();
        while !String::from_utf8_lossy(&seen).contains(awaited) {
            let mut buffer = [0; 4096];
            match reader.read(&mut buffer) {
                Ok(n @ 1..) => seen.extend(&buffer[..n]),
                end => panic!("{end:?} before {awaited:?}: {}", String::from_utf8_lossy(&seen)),
            }
        }
        begins.send(()).unwrap();
        let children = format!("/proc/{0}/task/{0}/children", child.process_id().unwrap());
        let children = std::fs::read_to_string(children).unwrap();
        let demo: i32 = children.split_whitespace().next().expect("the demo runs").parse().unwrap();
        if !reads || !signalled {
            std::thread::sleep(Duration::from_millis(500)); // until no more can be written, or is to be
        }
        drop((reader, pty.master));
        let begun = std::time::Instant::now();
        let ended = || child.try_wait().unwrap().is_some();
        wait_until("the explorer ends", begun, ended);
        wait_until("its demo ends", begun, || !Path::new(&format!("/proc/{demo}")).exists());
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().path()).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

fn wait_until(what: &str, begun: std::time::Instant, mut condition: impl FnMut() -> bool) {
    while !condition() {
        assert!(begun.elapsed() < Duration::from_secs(10), "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The last process of a chain of parents and children, by the number it has outside.
fn innermost(pid: i32) -> i32 {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    children.split_whitespace().next().and_then(|c| c.parse().ok()).map_or(pid, innermost)
}

/// As in a container: user, mount and pid namespaces of its own, a root of its own user, pid 1.
#[test]
fn a_process_in_user_mount_and_pid_namespaces_is_read_with_its_threads() {
    let zoo = zoo();
    let options = ["-U", "-r", "-m", "-p", "-f", "--mount-proc", "--kill-child"];
    if apart(&options, "true", &[]).is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let python = zoo.interpreter.command("zoo.py");
    let mut command = Command::new("unshare");
    command.args(options).arg(python.get_program()).args(python.get_args());
    command.arg(dir.path().join("zoo")).args(["--threads", "2", "--free", "100"]);
    for (name, value) in python.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    let target = Target::run(command, dir, "in namespaces");
    let pid = innermost(target.started());
    assert_eq!(target.pid, 1, "it is the first of its namespace");
    let snapshot = target.capture_as(pid);
    let process = snapshot.metadata().unwrap().process.clone();
    assert_eq!((process.pid, process.inner_pid), (pid, Some(1)));
    let heap = Heap::index(Arc::new(snapshot), &Progress::default()).unwrap();
    support::compare::compare(&heap, &support::truth::Truth::read(&target.path("zoo.truth"))).unwrap();
    let threads = pymem_tui::analysis::threads::threads(&heap).threads;
    let names: Vec<_> = threads.iter().filter_map(|t| t.name.as_deref()).collect();
    assert!(threads.iter().all(|t| t.ident.is_some() && t.native_id.is_some() && !t.frames.is_empty()), "{threads:?}");
    assert!(names.contains(&"MainThread") && names.contains(&"blocked-0") && names.contains(&"blocked-1"), "{names:?}");
    // within: from a second process of the same namespaces, as an ephemeral container with the same pid namespace is
    let enter = ["-t", &pid.to_string(), "-U", "-m", "-p", "--preserve-credentials"].map(str::to_owned);
    let within = Command::new("nsenter").args(enter).arg(BINARY).args(["types", "--pid", "1", "--json"]).output();
    match within {
        Ok(out) if out.status.success() => {
            let answer: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
            assert_eq!(answer["snapshot"]["pid"], 1);
            assert!(answer["total"]["count"].as_u64() > Some(10_000));
        }
        other => panic!("from within: {other:?}"),
    }
    assert!(run(&["threads", "--pid", &pid.to_string()]).status.success());
}
