//! How long a process stands still, measured from inside: a native thread of it reads the clock all the time, and its
//! longest gap is the pause.
//!
//! `cargo bench --bench pause -- [MEGABYTES] [ROUNDS]` (default: 1200 and 7) starts a program whose heap of this size
//! keeps changing, and compares ways to copy it, one after the other in each round: copying the same pages with
//! process_vm_readv into memory that was touched before, while the process runs (the limit for what stands still
//! meanwhile), a plain capture, a fork, and gcore where it is installed. Prints medians, the longest, and ratios.

use pymem_tui::capture::{Captured, Destination, Mode, Options, capture};
use pymem_tui::progress::Progress;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// A thread that notes the longest time between two looks at the clock. It must run when it can, so that what it sees is
/// the process standing still and not the machine being busy: real-time, where that is allowed.
const TICKER: &str = r#"
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <time.h>
static volatile int64_t longest, reset;
static int64_t now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1000000000LL + t.tv_nsec; }
static void *run(void *arg) {
    struct sched_param p = { .sched_priority = 5 };
    pthread_setschedparam(pthread_self(), SCHED_FIFO, &p);
    int64_t last = now();
    for (;;) {
        struct timespec d = { 0, 50000 };
        nanosleep(&d, 0);
        int64_t t = now();
        if (reset) { reset = 0; longest = 0; last = t; }
        if (t - last > longest) longest = t - last;
        last = t;
    }
    return arg;
}
void start(void) { pthread_t p; pthread_create(&p, 0, run, 0); }
void begin(void) { reset = 1; }
int64_t end(void) { return longest; }
"#;

/// Half of the memory is objects, half is one block; both change all the time.
const PROGRAM: &str = r#"
import ctypes, mmap, random, sys, threading
ticker = ctypes.CDLL(sys.argv[1])
ticker.end.restype = ctypes.c_int64
megabytes = int(sys.argv[2])
block = mmap.mmap(-1, megabytes * 500_000, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
for i in range(0, len(block), 4096): block[i] = 1
# a list, its str and their share of the outer list: 250 bytes
accounts = [[1000, "account-%08d-" % i + "x" * 60, i + 1000] for i in range(megabytes * 500_000 // 250)]
def change():
    r = random.Random(1)
    n, m = len(accounts), len(block) // 4096
    while True:
        account = accounts[int(r.random() * n)]
        account[0] += 1
        account[1] = "account-%08d-" % account[2] + "y" * 60
        block[int(r.random() * m) * 4096] = 1
threading.Thread(target=change, daemon=True).start()
for i in range(8): threading.Thread(target=threading.Event().wait, daemon=True).start()
ticker.start()
print("ready", flush=True)
for line in sys.stdin:
    if line.strip() == "begin": ticker.begin(); print("begun", flush=True)
    else: print(ticker.end(), flush=True)
"#;

struct Target {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Target {
    fn start(dir: &Path, megabytes: u64) -> Target {
        let (source, library) = (dir.join("ticker.c"), dir.join("ticker.so"));
        std::fs::write(&source, TICKER).unwrap();
        let compiled =
            Command::new("cc").args(["-O2", "-shared", "-fPIC", "-pthread", "-o"]).arg(&library).arg(&source).status();
        assert!(compiled.is_ok_and(|s| s.success()), "the benchmark needs a C compiler (cc)");
        let mut command = Command::new("python3");
        command.args(["-c", PROGRAM]).arg(library).arg(megabytes.to_string());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python3 is installed");
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut target = Target { child, input, output };
        assert_eq!(target.line(), "ready");
        target
    }

    fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    fn ask(&mut self, what: &str) -> String {
        writeln!(self.input, "{what}").unwrap();
        self.line()
    }

    /// The longest gap while `work` runs, in milliseconds.
    fn pause_of(&mut self, work: impl FnOnce(i32)) -> f64 {
        self.ask("begin");
        std::thread::sleep(Duration::from_millis(20)); // the ticker has noticed
        work(self.pid());
        self.ask("end").parse::<f64>().unwrap() / 1e6
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn take(pid: i32, mode: Mode) -> Captured {
    let captured = capture(pid, Destination::Temporary, &Options { mode, ..Options::default() }, &Progress::default());
    let captured = captured.expect("the target is captured");
    let expected = if mode == Mode::Fork { "fork" } else { "plain" };
    assert_eq!(captured.metadata.mode, expected, "{:?}", captured.metadata.mode_reason);
    captured
}

/// Private pages that are there, as ranges.
fn resident(pid: i32) -> Vec<(u64, u64)> {
    let pagemap = pymem_tui::sys::pagemap::Pagemap::open(pid).unwrap();
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let mut ranges = Vec::new();
    for line in maps.lines().filter(|l| l.contains(" r") && !l.contains("[v")) {
        let (ends, rest) = line.split_once(' ').unwrap();
        if rest.as_bytes()[3] != b'p' {
            continue;
        }
        let (start, end) = ends.split_once('-').unwrap();
        let [start, end] = [start, end].map(|n| u64::from_str_radix(n, 16).unwrap());
        let _ = pagemap.runs(start, end, |run, pages| {
            if pages.present && !pages.file && !pages.zero {
                // pieces that the threads can share
                ranges.extend((run.start..run.end).step_by(2 << 20).map(|at| (at, run.end.min(at + (2 << 20)))));
            }
        });
    }
    ranges
}

/// Copies the same pages while the process runs: milliseconds, and bytes.
fn copy_alone(pid: i32, threads: usize) -> (f64, u64) {
    let ranges = resident(pid);
    let bytes: u64 = ranges.iter().map(|(s, e)| e - s).sum();
    let mut buffer = memmap2::MmapMut::map_anon(bytes as usize).unwrap();
    let _ = buffer.advise(memmap2::Advice::HugePage);
    buffer.iter_mut().step_by(4096).for_each(|b| *b = 1);
    let mut rest = &mut buffer[..];
    let mut work = Vec::new();
    for (start, end) in ranges {
        let (into, tail) = rest.split_at_mut((end - start) as usize);
        rest = tail;
        work.push((start, into));
    }
    let work = std::sync::Mutex::new(work.into_iter());
    let begin = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let next = work.lock().unwrap().next();
                    let Some((start, into)) = next else { return };
                    let remote = nix::sys::uio::RemoteIoVec { base: start as usize, len: into.len() };
                    let pid = nix::unistd::Pid::from_raw(pid);
                    // pages that are gone meanwhile are not read; a few do not matter
                    let _ = nix::sys::uio::process_vm_readv(pid, &mut [std::io::IoSliceMut::new(into)], &[remote]);
                }
            });
        }
    });
    (begin.elapsed().as_secs_f64() * 1e3, bytes)
}

fn gcore(pid: i32, dir: &Path) {
    let path: PathBuf = dir.join("core");
    let mut command = Command::new("gcore");
    command.arg("-o").arg(&path).arg(pid.to_string()).stdout(Stdio::null()).stderr(Stdio::null());
    assert!(command.status().is_ok_and(|s| s.success()), "gcore failed");
    let _ = std::fs::remove_file(dir.join(format!("core.{pid}")));
}

fn main() {
    let args: Vec<u64> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
    let (megabytes, rounds) = (args.first().copied().unwrap_or(1200), args.get(1).copied().unwrap_or(7));
    let dir = tempfile::tempdir_in(std::env::var_os("TMPDIR").unwrap_or("/var/tmp".into())).unwrap();
    let mut target = Target::start(dir.path(), megabytes);
    let threads = Options::default().threads;
    let has_gcore = Command::new("gcore").arg("-h").output().is_ok();
    let (mut alone, mut plain, mut fork, mut core, mut idle) = (vec![], vec![], vec![], vec![], vec![]);
    let mut bytes = 0;
    for round in 0..rounds {
        let (ms, copied) = copy_alone(target.pid(), threads);
        alone.push(ms);
        bytes = copied;
        idle.push(target.pause_of(|_| std::thread::sleep(Duration::from_millis(300))));
        plain.push(target.pause_of(|pid| drop(take(pid, Mode::Plain))));
        fork.push(target.pause_of(|pid| drop(take(pid, Mode::Fork))));
        if has_gcore && round < 2 {
            core.push(target.pause_of(|pid| gcore(pid, dir.path())));
        }
    }
    println!("{:.0} MB, {threads} threads, {rounds} rounds; milliseconds, median (longest)", bytes as f64 / 1e6);
    let limit = median(&alone);
    for (name, times) in [
        ("nothing (the ticker alone)", &idle),
        ("copying alone", &alone),
        ("plain capture", &plain),
        ("fork capture", &fork),
        ("gcore", &core),
    ] {
        if !times.is_empty() {
            let longest = times.iter().copied().fold(0.0, f64::max);
            println!(
                "{name:28} {:8.1} ({longest:.1})  {:.2} times copying alone",
                median(times),
                median(times) / limit
            );
        }
    }
    println!("plain / copying alone: {:.2} (goal: at most 1.5)", median(&plain) / limit);
    println!("plain / fork: {:.1} (goal: at least 6)", median(&plain) / median(&fork));
}

fn median(times: &[f64]) -> f64 {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}
