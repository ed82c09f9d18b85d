//! A redacted snapshot says nothing of what its process knew, and everything of what it was made of.
//!
//! The target (`tests/targets/planted.py`) holds a thousand secrets in every kind of payload and writes down the bytes
//! that must not be found.

mod support;

use pymem_tui::heap::Heap;
use pymem_tui::progress::Progress;
use pymem_tui::snapshot::Snapshot;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use support::{Target, on_every_version};

/// Captures with the program as it is called.
fn capture(pid: i32, path: &Path, arguments: &[&str]) -> Result<(), String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pymem-tui"));
    command.args(["capture", "-q", "--pid", &pid.to_string(), "-o"]).arg(path).args(arguments);
    let out = command.output().map_err(|e| e.to_string())?;
    if out.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&out.stderr).into_owned()) }
}

/// How many of `needles` occur in the files below `path`.
fn found_in(path: &Path, needles: &[Vec<u8>]) -> Vec<String> {
    let files: Vec<Vec<u8>> =
        std::fs::read_dir(path).unwrap().map(|e| std::fs::read(e.unwrap().path()).unwrap()).collect();
    let occurs = |needle: &&Vec<u8>| {
        let finder = memchr::memmem::Finder::new(needle);
        files.iter().any(|bytes| finder.find(bytes).is_some())
    };
    needles.par_iter().filter(occurs).map(|n| format!("{:?}", String::from_utf8_lossy(n))).collect()
}

/// Type, shallow size and referents of every object, by address. Referents go by address as well.
type Everything = BTreeMap<u64, (String, u64, Vec<u64>)>;

fn everything(path: &Path) -> Everything {
    let heap = Heap::index(Arc::new(Snapshot::open(path).unwrap()), &Progress::default()).unwrap();
    let memory = heap.memory();
    let one = |(_, addr, ty)| {
        let ty = heap.types().get(ty);
        let mut targets = Vec::new();
        memory.visit_edges(addr, ty, heap.types(), &mut |_: pymem_tui::cpython::EdgeName<'_>, _, target| {
            if heap.objects().object_at(target).is_some() {
                targets.push(target.0);
            }
        });
        (addr.0, (ty.name.clone(), memory.shallow_size(addr, ty).unwrap_or(0), targets))
    };
    heap.objects().iter().map(one).collect()
}

/// Each thread's stack: functions and lines.
fn stacks(path: &Path) -> Vec<String> {
    let heap = Heap::index(Arc::new(Snapshot::open(path).unwrap()), &Progress::default()).unwrap();
    let line = |f: &pymem_tui::analysis::answers::Frame| format!("{}:{:?}", f.function, f.line);
    let threads = pymem_tui::analysis::threads::threads(&heap).threads;
    threads.iter().map(|t| format!("{:?} {:?}", t.ident, t.frames.iter().map(line).collect::<Vec<_>>())).collect()
}

#[test]
fn no_secret_is_left_and_everything_else_is() {
    on_every_version(|interpreter| {
        let dir = tempfile::tempdir().unwrap();
        let list = dir.path().join("written");
        let target = Target::start(interpreter, "planted.py", &[list.to_str().unwrap()]);
        let path = |name: &str| dir.path().join(name);
        capture(target.pid, &path("plain"), &[])?;
        capture(target.pid, &path("all"), &["--redact"])?;
        capture(target.pid, &path("names"), &["--redact=keys-kept"])?;
        let text = std::fs::read_to_string(&list).unwrap();
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        let needles: Vec<Vec<u8>> = text.lines().map(|l| l.as_bytes().chunks(2).map(byte).collect()).collect();
        assert!(needles.len() > 1000);
        // the search finds what is there
        let there = found_in(&path("plain"), &needles).len();
        assert!(there > 1000, "{}: only {there} secrets were there at all", interpreter.name);
        let original = everything(&path("plain"));
        for name in ["all", "names"] {
            let left = found_in(&path(name), &needles);
            if !left.is_empty() {
                return Err(format!("{name}: {} secrets are left, {:?}", left.len(), &left[..left.len().min(5)]));
            }
            let redacted = everything(&path(name));
            let differs = |(at, what): &(&u64, &(String, u64, Vec<u64>))| redacted.get(at) != Some(what);
            let different: Vec<_> = original.iter().filter(differs).take(3).collect();
            let more: Vec<_> = redacted.iter().filter(|(at, _)| !original.contains_key(*at)).take(3).collect();
            if !different.is_empty() || !more.is_empty() {
                let are: Vec<_> = different.iter().map(|(at, _)| redacted.get(at)).collect();
                return Err(format!(
                    "{name}: {} and {} objects; {different:x?} are {are:x?}; {more:x?} are no objects",
                    original.len(),
                    redacted.len()
                ));
            }
        }
        let (before, after) = (stacks(&path("plain")), stacks(&path("names")));
        assert!(before.iter().any(|s| s.matches("keep_on_the_stack").count() == 21), "{before:?}");
        if before != after {
            return Err(format!("stacks are {after:?}, not {before:?}"));
        }
        // names of attributes are text like all other, unless they are asked for
        let attribute = [b"keep_on_the_stack".to_vec()];
        assert_eq!(found_in(&path("all"), &attribute), [] as [String; 0], "{}", interpreter.name);
        assert_eq!(found_in(&path("names"), &attribute).len(), 1, "{}", interpreter.name);
        println!("{}: {} secrets gone, {} objects the same", interpreter.name, needles.len(), original.len());
        Ok(())
    });
}
