//! What a capture does to the process: nothing that it could notice, whichever way is taken and whenever we are killed.
//!
//! `PYMEM_TUI_CAPTURES=200` makes many captures of each process, and every step of a fork a moment to be killed at; the
//! defaults are for every day.

mod support;

#[path = "capture/target.rs"]
mod target;

#[path = "fork/killed.rs"]
mod killed;

use pymem_tui::capture::{CaptureError, Captured, Destination, Limits, Mode, Options, capture};
use pymem_tui::heap::Heap;
use pymem_tui::progress::Progress;
use pymem_tui::snapshot::{Addr, meta};
use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;
use support::{Interpreter, compare, on_every_interpreter, on_every_version, truth::Truth};
use target::{BINARY, Target, until};

/// How many captures of each kind.
fn captures(daily: usize) -> usize {
    std::env::var("PYMEM_TUI_CAPTURES").ok().and_then(|n| n.parse().ok()).unwrap_or(daily)
}

fn take(pid: i32, mode: Mode) -> Result<Captured, CaptureError> {
    take_within(pid, mode, Limits::default())
}

fn take_within(pid: i32, mode: Mode, limits: Limits) -> Result<Captured, CaptureError> {
    capture(pid, Destination::Temporary, &Options { mode, limits, ..Options::default() }, &Progress::default())
}

/// Captured through a fork, and nothing else.
fn forked(pid: i32) -> Captured {
    let captured = take(pid, Mode::Fork).unwrap();
    let metadata = &captured.metadata;
    assert_eq!((metadata.mode.as_str(), &metadata.mode_reason), ("fork", &None), "{:?}", metadata.problems);
    assert_eq!(metadata.problems, [] as [String; 0]);
    // glibc 2.42 guards the stacks of threads by pages that nobody may read (MADV_GUARD_INSTALL)
    let is_guard = |u: &&meta::Unreadable| u.end.0 - u.start.0 == 4096 && u.reason.contains("os error 5");
    assert_eq!(metadata.unreadable.iter().find(|u| !is_guard(u)), None);
    captured
}

#[derive(serde::Deserialize)]
struct Noticed {
    failed: BTreeMap<String, String>,
    idle: Vec<String>,
    alive: Vec<String>,
    sent: u64,
    counted: u64,
    alarms: u64,
    adds_up: bool,
    before: Own,
    after: Own,
}

#[derive(Debug, PartialEq, serde::Deserialize)]
struct Own {
    descriptors: Vec<String>,
    tasks: u64,
    children: Vec<i32>,
}

fn survivor(interpreter: &Interpreter) -> Target {
    let mut target = Target::script(interpreter.command("survive.py"));
    assert_eq!(target.line(), "READY");
    target
}

/// Ends the work of a survivor: nothing was noticed.
fn unharmed(mut target: Target, what: &str) {
    target.answers();
    let noticed: Noticed = serde_json::from_str(&target.ask("finish")).unwrap();
    assert_eq!(noticed.failed, BTreeMap::new(), "{what}");
    assert_eq!((noticed.idle, noticed.alive), (vec![], vec![]), "{what}");
    assert_eq!(noticed.sent, noticed.counted, "{what}: signals");
    assert!(noticed.sent > 10 && noticed.alarms > 0 && noticed.adds_up, "{what}");
    assert_eq!(noticed.before, noticed.after, "{what}");
}

fn survives(mode: Mode) {
    on_every_interpreter(|interpreter| {
        let target = survivor(interpreter);
        let mut ways = BTreeMap::<String, usize>::new();
        let mut pauses = Vec::new();
        for _ in 0..captures(3) {
            let captured = take(target.pid(), mode).map_err(|e| e.to_string())?;
            if let Some(reason) = &captured.metadata.mode_reason {
                println!("{}: {reason}", interpreter.name);
            }
            *ways.entry(captured.metadata.mode.clone()).or_default() += 1;
            pauses.push(captured.pause);
        }
        pauses.sort_unstable();
        unharmed(target, &interpreter.name);
        println!("{}: {ways:?}, median pause {:?}", interpreter.name, pauses[pauses.len() / 2]);
        let forks = ways.get("fork").copied().unwrap_or(0);
        match mode {
            Mode::Plain if forks > 0 => Err("a plain capture forked".into()),
            // a thread that can be asked is not always there; nearly always it is
            Mode::Fork if forks * 10 < captures(3) * 9 => Err(format!("only {forks} forks")),
            _ => Ok(()),
        }
    });
}

#[test]
fn nothing_notices_plain_captures() {
    survives(Mode::Plain);
}

#[test]
fn nothing_notices_forks() {
    survives(Mode::Fork);
}

#[test]
fn ground_truth_holds_in_a_forked_snapshot() {
    on_every_interpreter(|interpreter| {
        let target = support::Target::start_with(interpreter, "zoo.py", &["--threads", "2"], &[]);
        let snapshot = Arc::new(forked(target.pid).open().map_err(|e| e.to_string())?);
        let heap = Heap::index(snapshot, &Progress::default()).map_err(|e| e.to_string())?;
        let truth = Truth::read(&target.path("zoo.truth"));
        compare::compare(&heap, &truth)?;
        println!("{}: {} objects compared, 0 differences", interpreter.name, truth.objects.len());
        Ok(())
    });
}

/// Counts SIGCHLD, and tells who its children are.
const PARENT: &str = "
import os, signal, threading, ctypes
ended = []
signal.signal(signal.SIGCHLD, lambda *a: ended.append(a))
def tell():
    try:
        child = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        child = None
    print('children', child, 'signals', len(ended), flush=True)
for i in range(3): threading.Thread(target=threading.Event().wait, daemon=True).start()
";

/// A Python process that tells what it has seen of children, each time it is asked.
fn parent(code: &str) -> Target {
    let loop_ = "\nimport sys\nprint('ready', flush=True)\nfor line in sys.stdin:\n    if 'tell' in line: tell()\n    \
                 else: print('answer', line.strip(), flush=True)\n";
    Target::with_loop(Command::new(target::interpreter()), &format!("{PARENT}{code}"), loop_)
}

fn saw_nothing(target: &mut Target) {
    assert_eq!(target.ask("tell"), "children None signals 0");
    killed::nothing_is_left_of(target.pid());
}

#[test]
fn the_process_sees_no_child() {
    let mut target = parent("");
    for _ in 0..captures(5) {
        forked(target.pid());
        saw_nothing(&mut target);
    }
}

#[test]
fn an_heir_of_orphans_sees_no_child_either() {
    // PR_SET_CHILD_SUBREAPER: orphans below it become its children
    let mut target = parent("ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)\n");
    for _ in 0..captures(5) {
        forked(target.pid());
        saw_nothing(&mut target);
    }
}

#[test]
fn the_first_process_of_a_namespace_sees_no_child_either() {
    if !target::is_root() || !target::has("unshare") {
        return target::skip("needs root and unshare");
    }
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--mount-proc", &target::interpreter()]);
    let mut unshare = Target::with_loop(
        command,
        PARENT,
        "\nimport sys\nprint(os.getpid(), 'ready', flush=True)\n\
         for line in sys.stdin:\n    if 'tell' in line: tell()\n    else: print('answer', line.strip(), flush=True)\n",
    );
    let children = format!("/proc/{0}/task/{0}/children", unshare.pid());
    let first: i32 = std::fs::read_to_string(children).unwrap().trim().parse().unwrap();
    for _ in 0..captures(5) {
        forked(first);
        assert_eq!(unshare.ask("tell"), "children None signals 0");
        killed::nothing_is_left_of(first);
    }
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(first), nix::sys::signal::Signal::SIGKILL).unwrap();
}

#[test]
fn what_is_withheld_from_children_is_copied_all_the_same() {
    // one page that no child gets, one that it gets empty
    let mut target = Target::python(
        "import ctypes, mmap, threading\n\
         libc = ctypes.CDLL(None, use_errno=True)\n\
         def page(advice, text):\n    \
             m = mmap.mmap(-1, 8192, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)\n    m[:len(text)] = text\n    \
             at = ctypes.addressof(ctypes.c_char.from_buffer(m))\n    \
             assert libc.madvise(ctypes.c_void_p(at), 8192, advice) == 0\n    return m, at\n\
         pages = [page(10, b'not for children'), page(18, b'wiped in children')]\n\
         print(*[at for _, at in pages])\n\
         for i in range(3): threading.Thread(target=threading.Event().wait, daemon=True).start()\n",
    );
    let at: Vec<u64> = target.line().split(' ').map(|a| a.parse().unwrap()).collect();
    let snapshot = forked(target.pid()).open().unwrap();
    for (at, text) in at.iter().zip([&b"not for children"[..], b"wiped in children"]) {
        let mut bytes = vec![0; text.len()];
        snapshot.reader().read(Addr(*at), &mut bytes).unwrap();
        assert_eq!(bytes, text);
    }
    target.answers();
}

/// Captures `code`'s process with `--mode fork`: it is done plainly, and the snapshot says why.
fn refused(code: &str, why: &str) {
    let mut target = Target::python(code);
    let captured = take(target.pid(), Mode::Fork).unwrap();
    let metadata = &captured.metadata;
    let reason = metadata.mode_reason.clone().unwrap_or_default();
    assert!(metadata.mode == "plain" && reason.contains(why), "{}: {reason}", metadata.mode);
    assert!(metadata.problems.iter().any(|p| p.contains(&reason)), "{:?}", metadata.problems);
    let snapshot = captured.open().unwrap();
    assert!(snapshot.problems().iter().any(|p| p.contains(&reason)), "{:?}", snapshot.problems());
    target.answers();
    killed::nothing_is_left_of(target.pid());
}

#[test]
fn what_a_fork_could_harm_is_captured_plainly() {
    // io_uring_setup and userfaultfd, where the kernel has them for us
    let call = |number: u32, arguments: &str| {
        format!(
            "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\nparams = ctypes.create_string_buffer(256)\n\
             print(libc.syscall({number}, {arguments}))\n"
        )
    };
    for (number, arguments, why) in [(425, "4, params", "io_uring"), (323, "0", "userfaultfd")] {
        let mut trial = Target::python(&call(number, arguments));
        if trial.line() == "-1" {
            target::skip(why);
            continue;
        }
        refused(&call(number, arguments), why);
    }
}

#[test]
fn a_limit_on_processes_is_met_without_harm() {
    if !target::is_root() || !target::has("setpriv") {
        return target::skip("needs root and setpriv");
    }
    let Some(python) =
        ["/usr/bin/python3", "/usr/local/bin/python3"].into_iter().find(|p| std::path::Path::new(p).exists())
    else {
        return target::skip("needs an interpreter that everyone may run");
    };
    // a user of its own, who may have no more processes than this one
    let mut command = Command::new("setpriv");
    command.args(["--reuid=64321", "--regid=64321", "--clear-groups", python]);
    let mut target = Target::of(command, "import resource\nresource.setrlimit(resource.RLIMIT_NPROC, (1, 1))\n");
    let captured = take(target.pid(), Mode::Fork).unwrap();
    let reason = captured.metadata.mode_reason.unwrap_or_default();
    assert!(reason.contains("may not have one more process"), "{reason}");
    target.answers();
    assert!(target::all_run(target.pid()));
    killed::nothing_is_left_of(target.pid());
}

#[test]
fn a_filter_on_system_calls_is_no_danger() {
    // everything is allowed but clone and wait4, which end the process
    let code = "import ctypes, struct, threading\nlibc = ctypes.CDLL(None, use_errno=True)\n\
         for i in range(3): threading.Thread(target=threading.Event().wait, daemon=True).start()\n\
         def f(code, jt, jf, k): return struct.pack('HBBI', code, jt, jf, k)\n\
         prog = f(0x20, 0, 0, 0) + f(0x15, 2, 0, 56) + f(0x15, 1, 0, 61) + f(6, 0, 0, 0x7fff0000) + f(6, 0, 0, 0x80000000)\n\
         buffer = ctypes.create_string_buffer(prog)\n\
         class Prog(ctypes.Structure): _fields_ = [('len', ctypes.c_ushort), ('filter', ctypes.c_void_p)]\n\
         p = Prog(5, ctypes.addressof(buffer))\n\
         assert libc.prctl(38, 1, 0, 0, 0) == 0\n\
         assert libc.syscall(317, 1, 1, ctypes.byref(p)) == 0, ctypes.get_errno()\n";
    let mut target = Target::python(code);
    for _ in 0..captures(3) {
        let captured = take(target.pid(), Mode::Fork).unwrap();
        println!("{}: {:?}", captured.metadata.mode, captured.metadata.mode_reason);
        target.answers();
        killed::nothing_is_left_of(target.pid());
    }
    // and without the right to lift it
    if target::is_root() && target::has("setpriv") {
        let out = Command::new("setpriv")
            .args(["--bounding-set=-sys_admin", "--inh-caps=-all", BINARY, "capture", "--json", "--mode", "fork"])
            .args(["--pid", &target.pid().to_string(), "-o"])
            .arg(tempfile::tempdir().unwrap().path().join("dump"))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&out.stdout);
        if out.status.success() {
            assert!(text.contains("seccomp") && text.contains("\"mode\":\"plain\""), "{text}");
        }
        target.answers();
    }
}

#[test]
fn limits_are_kept() {
    let mut target = Target::python("heap = [bytearray(b'x' * (1 << 20)) for i in range(300)]\n");
    let limits =
        |max_pause: u64| Limits { max_pause: Some(std::time::Duration::from_millis(max_pause)), ..Limits::default() };
    let error = take_within(target.pid(), Mode::Plain, limits(1)).unwrap_err().to_string();
    assert!(error.contains("--max-pause") && error.contains("about"), "{error}");
    // a limit that only a fork keeps
    let captured = take_within(target.pid(), Mode::Auto, limits(40)).unwrap();
    assert_eq!(captured.metadata.mode, "fork", "{:?}", captured.metadata.mode_reason);
    let small = Limits { max_buffer: Some(1 << 20), ..Limits::default() };
    let captured = take_within(target.pid(), Mode::Plain, small).unwrap();
    assert!(captured.metadata.problems.iter().any(|p| p.contains("--max-buffer")), "{:?}", captured.metadata.problems);
    // all memory of ours: the buffer of a plain capture is part of it
    let little = Limits { max_memory: Some(1 << 20), ..Limits::default() };
    let captured = take_within(target.pid(), Mode::Fork, little).unwrap();
    assert_eq!(captured.metadata.mode, "plain");
    assert!(captured.metadata.mode_reason.as_ref().is_some_and(|r| r.contains("--max-memory")));
    assert!(captured.metadata.problems.iter().any(|p| p.contains("--max-buffer")), "{:?}", captured.metadata.problems);
    target.answers();
}

#[test]
fn a_process_that_writes_too_much_meanwhile_is_captured_plainly() {
    // every page again and again, without the GIL
    let code = "
import ctypes, mmap, threading
block = mmap.mmap(-1, 400 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
at = ctypes.addressof(ctypes.c_char.from_buffer(block))
def write():
    n = 0
    while True:
        n += 1
        ctypes.memset(at, n & 255 | 1, len(block))
ctypes.memset(at, 1, len(block))
threading.Thread(target=write, daemon=True).start()
";
    let mut target = Target::python(code);
    let folder = tempfile::tempdir().unwrap();
    let dump = |n: u32| folder.path().join(n.to_string());
    // it is held while it reads, so that it takes long enough for somebody to look; seldom it was too quick for us
    let out = (0..20).find_map(|n| held_while_it_reads(target.pid(), &dump(n), 8 << 20));
    let out = out.expect("the program is caught while it reads");
    let told: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(told["mode"], "plain", "{told}");
    assert!(told["mode_reason"].as_str().unwrap().contains("more than --max-memory"), "{told}");
    killed::nothing_is_left_of(target.pid());
    target.answers();
}

/// Captures `pid` through a fork, and holds the program until the process has written to more than `limit` bytes that
/// its frozen child has as well. `None`: the program had ended before it could be held.
fn held_while_it_reads(pid: i32, dump: &std::path::Path, limit: u64) -> Option<std::process::Output> {
    let mut command = Command::new(BINARY);
    command.args(["capture", "--json", "-q", "--mode", "fork", "--threads", "1", "--max-memory", &limit.to_string()]);
    command.args(["--pid", &pid.to_string(), "-o"]).arg(dump).stdout(std::process::Stdio::piped());
    let mut tool = command.spawn().unwrap();
    let own = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap();
    let child = loop {
        // the child is made, and the process was let go
        if let Some(child) = killed::copies(pid, &own).first().filter(|_| target::all_run(pid)) {
            break *child;
        }
        if tool.try_wait().unwrap().is_some() {
            return None;
        }
    };
    let tell = |signal| nix::sys::signal::kill(nix::unistd::Pid::from_raw(tool.id() as i32), signal).unwrap();
    tell(nix::sys::signal::Signal::SIGSTOP);
    let begun = std::time::Instant::now();
    let wrote = loop {
        let Ok(rollup) = std::fs::read_to_string(format!("/proc/{child}/smaps_rollup")) else { break false };
        let dirty = rollup.lines().find_map(|l| l.strip_prefix("Private_Dirty:")?.trim().strip_suffix(" kB"));
        let Some(dirty) = dirty else { break false }; // it has ended
        if begun.elapsed().as_secs() > 30 {
            break false; // it does not write
        }
        if dirty.trim().parse::<u64>().unwrap() * 1024 > limit && begun.elapsed().as_millis() > 200 {
            break true;
        }
    };
    tell(nix::sys::signal::Signal::SIGCONT);
    let out = tool.wait_with_output().unwrap();
    wrote.then_some(out)
}

#[test]
fn killed_at_any_step_of_a_fork_the_process_goes_on() {
    on_every_version(|interpreter| {
        let all = std::env::var_os("PYMEM_TUI_CAPTURES").is_some();
        // each version its own share of the steps, so that together they are all
        let minor: usize = interpreter.minor.split('.').next_back().and_then(|m| m.parse().ok()).unwrap_or(0);
        let stride = if all { 1 } else { 16 };
        let target = survivor(interpreter);
        let mut step = if all { 0 } else { minor % stride };
        let mut killed = 0;
        while killed::at_step(target.pid(), step) {
            killed::left_alone(target.pid(), &format!("{}: step {step}", interpreter.name));
            step += stride;
            killed += 1;
        }
        println!("{}: killed at {killed} of {step} steps", interpreter.name);
        unharmed(target, &interpreter.name);
        if killed < 100 / stride { Err(format!("only {killed} steps")) } else { Ok(()) }
    });
}

#[test]
fn killed_at_random_moments_the_process_goes_on() {
    on_every_version(|interpreter| {
        for (mode, name) in [(Mode::Fork, "fork"), (Mode::Plain, "plain")] {
            let target = survivor(interpreter);
            // how long a capture takes here
            let begin = std::time::Instant::now();
            take(target.pid(), mode).map_err(|e| e.to_string())?;
            let usual = begin.elapsed() + std::time::Duration::from_millis(30);
            let mut killed = 0;
            let rounds = captures(5).min(100) as u32;
            let mut round = 0;
            while killed < rounds {
                round += 1;
                if round > 50 * rounds {
                    return Err(format!("{name}: killed {killed} times only in {round} captures"));
                }
                let folder = tempfile::tempdir().unwrap();
                let mut tool = Command::new(BINARY)
                    .args(["capture", "-q", "--mode", name, "--pid", &target.pid().to_string(), "-o"])
                    .arg(folder.path().join("dump"))
                    .stdout(std::process::Stdio::null())
                    .spawn()
                    .unwrap();
                std::thread::sleep(usual.mul_f64(random()));
                tool.kill().unwrap();
                killed += u32::from(!tool.wait().unwrap().success());
                killed::left_alone(target.pid(), &format!("{name}, round {round}"));
            }
            println!("{}: {name}: killed {killed} times in {round} captures", interpreter.name);
            unharmed(target, &format!("{}: {name}", interpreter.name));
        }
        Ok(())
    });
}

/// From 0 up to 1, another one each time.
fn random() -> f64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish() as f64 / u64::MAX as f64
}

#[test]
fn an_heir_keeps_at_most_a_zombie_that_the_next_capture_removes() {
    let mut target = parent("ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)\n");
    let mut step = 0;
    let stride = if std::env::var_os("PYMEM_TUI_CAPTURES").is_some() { 1 } else { 9 };
    while killed::at_step(target.pid(), step) {
        until("everything that can end has ended", || {
            killed::children(target.pid()).iter().all(|c| target::state(*c) == Some('Z'))
        });
        assert!(killed::children(target.pid()).len() <= 1, "step {step}");
        assert_eq!(target.ask("tell"), "children None signals 0");
        step += stride;
    }
    assert!(step > 100);
    forked(target.pid());
    saw_nothing(&mut target);
}
