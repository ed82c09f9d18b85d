//! Which interpreter, in every kind of build and place: subinterpreters, programs that embed Python with and without
//! symbols, containers.
//!
//! Targets record what they hold (`tests/targets/builds.py`), as those of `tests/truth.rs` do; here each interpreter of
//! a process makes a record, and all together have to be what is found.

mod support;

use pymem_tui::cpython::{EdgeKind, EdgeName};
use pymem_tui::heap::Heap;
use pymem_tui::progress::Progress;
use pymem_tui::snapshot::Addr;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use support::compare::compare;
use support::truth::Truth;
use support::{Interpreter, Target, every_build, on_every_interpreter};

/// What an interpreter said of itself (`OUT_PREFIX.N.own`).
#[derive(Debug)]
struct Own {
    id: i64,
    /// The module `builds` there.
    module: u64,
    /// Static types and their dicts there.
    statics: Vec<(u64, u64)>,
}

fn own(path: &Path) -> Own {
    let text = std::fs::read_to_string(path).expect("the interpreter said what it has");
    let mut own = Own { id: -1, module: 0, statics: Vec::new() };
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |i: usize| words[i].parse::<u64>().expect("a number");
        match words[0] {
            "interpreter" => own.id = number(1) as i64,
            "module" => own.module = number(1),
            "static" => own.statics.push((number(1), number(2))),
            other => panic!("{other} is unknown"),
        }
    }
    own
}

/// What the interpreters of a target said, in the order of their ids, and their records taken together.
fn said(target: &Target) -> (Vec<Own>, Truth) {
    let files = (0..20).map(|n| target.path(&format!("zoo.{n}.own"))).filter(|path| path.exists());
    let owns: Vec<Own> = files.map(|path| own(&path)).collect();
    let records = owns.iter().map(|o| Truth::read(&target.path(&format!("zoo.{}.truth", o.id))));
    let all = records.reduce(Truth::with).expect("there is a record");
    (owns, all)
}

fn indexed(snapshot: pymem_tui::snapshot::Snapshot) -> Heap {
    Heap::index(Arc::new(snapshot), &Progress::default()).expect("the snapshot is indexed")
}

/// The interpreters found are those that there are, and static types hold the dict of each.
fn check_interpreters(heap: &Heap, owns: &[Own]) -> Result<(), String> {
    let found: Vec<i64> = heap.interpreter().interpreters.iter().map(|i| i.id).collect();
    let told: Vec<i64> = owns.iter().map(|o| o.id).collect();
    if found != told {
        return Err(format!("interpreters {found:?}, not {told:?}"));
    }
    let mut wrong = Vec::new();
    let mut expected: BTreeMap<u64, BTreeMap<String, u64>> = BTreeMap::new();
    let shared = owns.windows(2).any(|w| w[0].statics == w[1].statics);
    for own in owns.iter().filter(|o| o.id == 0 || !shared) {
        for (ty, dict) in &own.statics {
            let name =
                if own.id == 0 { ".__dict__".to_owned() } else { format!(".__dict__ in interpreter {}", own.id) };
            expected.entry(*ty).or_default().insert(name, *dict);
        }
    }
    let memory = heap.memory();
    for (ty, dicts) in &expected {
        let Some((_, metatype)) = heap.object_at(Addr(*ty)) else {
            wrong.push(format!("{ty:#x} is no object"));
            continue;
        };
        let mut held = BTreeMap::new();
        memory.visit_edges(Addr(*ty), metatype, heap.types(), &mut |name: EdgeName<'_>, _: EdgeKind, target: Addr| {
            if matches!(name, EdgeName::Dict | EdgeName::InInterpreter("__dict__", _)) {
                held.insert(pymem_tui::analysis::describe::edge_name(&memory, heap.types(), name), target.0);
            }
        });
        if &held != dicts {
            wrong.push(format!("{ty:#x} holds {held:x?}, not {dicts:x?}"));
        }
    }
    let modules = pymem_tui::analysis::modules::interpreters(heap);
    for own in owns.iter().filter(|_| owns.len() > 1) {
        let of = modules.get(&Addr(own.module)).copied();
        if of != Some(own.id) {
            wrong.push(format!("the module of interpreter {} is said to be of {of:?}", own.id));
        }
        let report = pymem_tui::analysis::detail::module(heap, "builds", Some(own.id), 10);
        if own.id > 0 && report.as_ref().map(|r| (r.address.0, r.interpreter)) != Some((own.module, Some(own.id))) {
            wrong.push(format!("module builds of interpreter {} is {report:?}", own.id));
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n    ")) }
}

fn check(target: &Target, pid: i32, interpreters: usize) -> Result<(), String> {
    let heap = indexed(target.capture_as(pid));
    let (owns, truth) = said(target);
    if owns.len() != interpreters || truth.objects.len() < 10_000 * interpreters {
        return Err(format!("{} interpreters recorded {} objects", owns.len(), truth.objects.len()));
    }
    let results = [check_interpreters(&heap, &owns), compare(&heap, &truth)];
    let problems: Vec<String> = results.into_iter().filter_map(Result::err).collect();
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n    ")) }
}

#[test]
fn every_interpreter_of_a_process_is_read() {
    on_every_interpreter(|interpreter| {
        let target = Target::start(interpreter, "builds.py", &["--interpreters"]);
        // legacy and isolated ones, see start_others in builds.py
        let threads_of_its_own = ["3.13", "3.14", "3.15"].contains(&interpreter.minor.as_str());
        check(&target, target.pid, if threads_of_its_own { 4 } else { 3 })
    });
}

const NAMES: [&str; 3] = ["PyType_Type", "_PyRuntime", "Py_Version"];

/// Which of the names that lead to an interpreter an image of this snapshot exports.
fn exported(heap: &Heap) -> Vec<&'static str> {
    let reader = heap.snapshot().reader();
    let has = |name: &&str| heap.interpreter().images.iter().any(|image| image.symbol(&reader, name).is_some());
    NAMES.into_iter().filter(has).collect()
}

#[test]
fn programs_that_embed_python_are_read() {
    for interpreter in every_build().iter().filter(|i| i.is_embedded()) {
        let target = Target::start(interpreter, "builds.py", &["--interpreters"]);
        check(&target, target.pid, 3).unwrap_or_else(|why| panic!("{}: {why}", interpreter.name));
        let names = exported(&indexed(target.capture()));
        let hidden = interpreter.name.ends_with("static");
        assert_eq!(names.is_empty(), hidden, "{} exports {names:?}", interpreter.name);
    }
}

/// Debian's packages have no `libpython3.X.a` to be linked without symbols: here the names are written over.
#[test]
fn an_executable_without_the_names_is_read() {
    let is_debian = |i: &&Interpreter| i.is_plain() && i.name.ends_with("-static-debian");
    for mut interpreter in every_build().iter().filter(is_debian).cloned() {
        let dir = tempfile::tempdir().unwrap();
        let program = interpreter.argv.last_mut().unwrap();
        let mut bytes = std::fs::read(&*program).unwrap();
        for name in NAMES {
            let whole = format!("\0{name}\0").into_bytes();
            let places: Vec<usize> =
                bytes.windows(whole.len()).enumerate().filter(|(_, w)| *w == whole).map(|(at, _)| at).collect();
            places.into_iter().for_each(|at| bytes[at + 1] = b'Q');
        }
        let copy = dir.path().join("program");
        std::fs::write(&copy, bytes).unwrap();
        std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o755)).unwrap();
        *program = copy.to_str().unwrap().to_owned();
        if interpreter.env.is_empty() {
            interpreter.env.insert("PYTHONHOME".into(), "/usr".into());
        }
        let target = Target::start(&interpreter, "builds.py", &["--without-ctypes"]);
        check(&target, target.pid, 1).unwrap_or_else(|why| panic!("{}: {why}", interpreter.name));
        assert_eq!(exported(&indexed(target.capture())), [] as [&str; 0], "{}", interpreter.name);
    }
}

/// Has the new root $1: what is in /usr, the standard library $2, the program $3 as /opt/python, the targets $4, the
/// folder $5 for records. Then runs builds.py there; $6 is how to get there.
const JAIL: &str = r#"
mount -t tmpfs none "$1"
mkdir "$1/usr" "$1/proc" "$1/home" "$1/opt" "$1/targets" "$1/out" "$1/old"
mount --rbind /usr "$1/usr"
mount --rbind /proc "$1/proc"
for name in lib lib64 bin; do
    if [ -L "/$name" ]; then cp -P "/$name" "$1/$name"; else mkdir "$1/$name"; mount --rbind "/$name" "$1/$name"; fi
done
mount --bind "$2" "$1/home"
mount --bind "$4" "$1/targets"
mount --bind "$5" "$1/out"
cp "$3" "$1/opt/python"
export PYTHONHOME=/home PYTHONDONTWRITEBYTECODE=1
if [ "$6" = pivot ]; then
    cd "$1"
    pivot_root . old
    exec /opt/python /targets/builds.py /out/zoo
fi
exec chroot "$1" /opt/python /targets/builds.py /out/zoo
"#;

/// The options with which `unshare` may make namespaces here; `None` when it may not.
fn allowed(options: &[&'static str]) -> Option<Vec<&'static str>> {
    let ways = [options.to_vec(), [&["-U", "-r"], options].concat()];
    let works = |way: &Vec<&str>| {
        let run = Command::new("unshare").args(way).arg("true").stderr(Stdio::null()).status();
        run.is_ok_and(|status| status.success())
    };
    ways.into_iter().find(works)
}

/// The last process of a chain of parents and children, by the number it has outside.
fn innermost(pid: i32) -> i32 {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    children.split_whitespace().next().and_then(|c| c.parse().ok()).map_or(pid, innermost)
}

/// Where the interpreter's standard library is really.
fn prefix(interpreter: &Interpreter) -> String {
    let code = "import os, sys; sys.stdout.write(os.path.realpath(os.__file__))";
    let output = Command::new(&interpreter.argv[0]).args(["-c", code]).output().expect("the interpreter runs");
    let file = String::from_utf8(output.stdout).expect("a path");
    Path::new(&file).ancestors().nth(3).expect("lib/python3.X/os.py").to_str().unwrap().to_owned()
}

/// A static executable alone in a file system of its own; outside, its path is no file, or another one.
#[test]
fn a_process_in_another_place_is_read() {
    let (Some(mounts), Some(pids)) = (allowed(&["-m"]), allowed(&["-m", "-p", "-f", "--kill-child"])) else {
        println!("not covered: namespaces may not be made here");
        return;
    };
    let alone = |i: &&Interpreter| i.build == "static" && i.argv.len() == 1;
    for interpreter in every_build().iter().filter(alone) {
        let ways = [(&mounts, "chroot", false), (&mounts, "chroot", true), (&pids, "pivot", false)];
        for (options, how, other_there) in ways {
            let what = format!("{}, {how}, another file: {other_there}", interpreter.name);
            let (jail, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            if other_there {
                std::fs::create_dir(jail.path().join("opt")).unwrap();
                std::fs::copy(std::env::current_exe().unwrap(), jail.path().join("opt/python")).unwrap();
            }
            let mut command = Command::new("unshare");
            command.args(options).args(["sh", "-e", "-c", JAIL, "sh"]).arg(jail.path()).arg(prefix(interpreter));
            command.arg(&interpreter.argv[0]).arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/targets"));
            command.arg(dir.path()).arg(how);
            let target = Target::run(command, dir, &what);
            let pid = innermost(target.started());
            assert_eq!(pid != target.pid, how == "pivot", "{what}: its own number is {}", target.pid);
            check(&target, pid, 1).unwrap_or_else(|why| panic!("{what}: {why}"));
        }
    }
}
