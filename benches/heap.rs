//! What the goals of speed and memory are measured with: whole processes against the physical limit, in one run.
//!
//! `cargo bench --bench heap -- [OBJECTS | SNAPSHOT] …` makes a heap of so many objects (default: 2 million and 8
//! million) with `tests/targets/heap.py`, or takes a directory that is there, and prints medians and ratios. The limit
//! is a fresh process that maps the same files and sums all 8-byte words with as many threads.

use pymem_tui::analysis::answers::Direction;
use pymem_tui::analysis::links;
use pymem_tui::heap::Heap;
use pymem_tui::progress::Progress;
use pymem_tui::snapshot::Snapshot;
use rayon::prelude::*;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

const ROUNDS: usize = 9;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    match args.first().map(String::as_str) {
        Some("--sum") => println!("{}", sum(Path::new(&args[1]))),
        Some("--memory") => memory(Path::new(&args[1])),
        None => ["2000000", "8000000"].iter().for_each(|n| compare(n)),
        Some(_) => args.iter().for_each(|a| compare(a)),
    }
}

/// The limit: map, read every word once.
fn sum(path: &Path) -> u64 {
    let files: Vec<PathBuf> = std::fs::read_dir(path).unwrap().map(|e| e.unwrap().path()).collect();
    let maps: Vec<memmap2::Mmap> = files
        .iter()
        .filter(|f| f.extension().is_some_and(|e| e == "bin"))
        // SAFETY: the benchmark's own files, which nothing changes
        .map(|f| unsafe { memmap2::Mmap::map(&std::fs::File::open(f).unwrap()).unwrap() })
        .collect();
    let pieces: Vec<&[u8]> = maps.iter().flat_map(|m| m.chunks(4 << 20)).collect();
    let words = |piece: &[u8]| {
        let words = piece.chunks_exact(8).map(|w| u64::from_le_bytes(w.try_into().unwrap()));
        words.fold(0u64, u64::wrapping_add)
    };
    pieces.par_iter().map(|p| words(p)).reduce(|| 0, u64::wrapping_add)
}

fn timed(command: &mut Command) -> Duration {
    let start = Instant::now();
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("the command starts");
    assert!(status.success(), "{command:?} failed");
    start.elapsed()
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn compare(what: &str) {
    let dir = tempfile::tempdir_in(std::env::var_os("TMPDIR").unwrap_or("/var/tmp".into())).unwrap();
    let snapshot =
        if Path::new(what).is_dir() { PathBuf::from(what) } else { make(what, &dir.path().join("snapshot")) };
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    let heap = Heap::index(Arc::new(Snapshot::open(&snapshot).unwrap()), &Progress::default()).unwrap();
    let bytes = heap.snapshot().data_bytes();
    println!("{what}: {} objects, {:.0} MB, {threads} threads", heap.objects().len(), bytes as f64 / 1e6);
    let some = heap.objects().iter().find(|(_, _, ty)| heap.types().get(*ty).name == "dict").expect("a dict").1;
    drop(heap);
    let binary = env!("CARGO_BIN_EXE_pymem-tui");
    let own = std::env::current_exe().unwrap();
    let run = |args: &[&str]| timed(Command::new(binary).args(args)).as_secs_f64();
    let path = snapshot.to_str().unwrap();
    let (mut limit, mut types, mut referrers, mut retained) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        // one after the other in each round, so that what else the machine does meets all alike
        limit.push(timed(Command::new(&own).args(["--sum", path])).as_secs_f64());
        types.push(run(&["types", path, "-q", "--limit", "50"]));
        referrers.push(run(&["referrers", path, &some.to_string(), "-q", "--limit", "50"]));
        retained.push(run(&["retained", path, "-q", "--limit", "50"]));
    }
    let ratios = |times: &[f64]| median(times.iter().zip(&limit).map(|(t, l)| t / l).collect());
    let (for_types, for_referrers) = (ratios(&types), ratios(&referrers));
    println!("  limit (map and sum all words)  {:6.0} ms", median(limit.clone()) * 1e3);
    println!("  types                          {:6.0} ms  {for_types:5.2} × limit", median(types) * 1e3);
    println!("  first referrers                {:6.0} ms  {for_referrers:5.2} × limit", median(referrers) * 1e3);
    let for_retained = ratios(&retained);
    println!("  retained sizes of all objects  {:6.0} ms  {for_retained:5.2} × limit", median(retained) * 1e3);
    let memory = Command::new(&own).args(["--memory", path]).output().expect("the benchmark starts itself");
    print!("{}", String::from_utf8_lossy(&memory.stdout));
}

/// Starts a Python program with so many objects and captures it.
fn make(objects: &str, to: &Path) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = std::env::var("PYTHON").unwrap_or("python3".into());
    let tasks = (objects.parse::<u64>().unwrap_or(0) / 1000).to_string();
    let script = root.join("tests/targets/heap.py");
    let mut child = Command::new(python)
        .arg(script)
        .args([objects, "--tasks", &tasks])
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 starts");
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line).unwrap();
    let captured = Command::new(env!("CARGO_BIN_EXE_pymem-tui"))
        .args(["capture", "--pid", &child.id().to_string(), "-o"])
        .arg(to)
        .status();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(captured.is_ok_and(|s| s.success()), "the heap of {objects} objects could not be captured");
    to.to_owned()
}

/// Anonymous memory at its peak while the index and the references are made; the snapshot is mapped and not in it.
fn memory(path: &Path) {
    let (peak, end) = (AtomicU64::new(0), AtomicBool::new(false));
    let anonymous = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|l| l.starts_with("RssAnon:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !end.load(Relaxed) {
                peak.fetch_max(anonymous(), Relaxed);
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let before = anonymous();
        let heap = Heap::index(Arc::new(Snapshot::open(path).unwrap()), &Progress::default()).unwrap();
        let objects = heap.objects().len() as f64;
        let for_index = peak.load(Relaxed).saturating_sub(before) as f64;
        println!(
            "  memory for the index           {:6.0} MB  {:5.2} B an object",
            for_index / 1e6,
            for_index / objects
        );
        let edges = heap.edges(&Progress::default()).unwrap().len() as f64;
        let both = peak.load(Relaxed).saturating_sub(before) as f64;
        let allowed = 24.0 * objects + 9.0 * edges;
        println!(
            "  … and the references both ways {:6.0} MB  {:5.2} of 24 B an object + 9 B an edge",
            both / 1e6,
            both / allowed
        );
        let timed = |what: &str, work: &mut dyn FnMut()| {
            let start = Instant::now();
            work();
            println!("  … {what:27}  {:6.0} ms", start.elapsed().as_secs_f64() * 1e3);
        };
        timed("roots", &mut || {
            heap.roots(&Progress::default()).unwrap();
        });
        let held = anonymous();
        peak.store(0, Relaxed);
        timed("dominators", &mut || {
            heap.dominators(&Progress::default()).unwrap();
        });
        let more = peak.load(Relaxed).max(anonymous()).saturating_sub(held) as f64;
        println!("  … memory while dominators are made {:6.0} MB  {:5.2} B an object", more / 1e6, more / objects);
        end.store(true, Relaxed);
        let ids: Vec<_> = heap.objects().iter().step_by(heap.objects().len() / 2000 + 1).map(|o| o.0).collect();
        let page = |id| {
            let start = Instant::now();
            links::edges(&heap, id, Direction::Referrers, 0, 1000, &Progress::default()).unwrap();
            start.elapsed().as_secs_f64() * 1e3
        };
        let mut pages: Vec<f64> = ids.into_iter().map(page).collect();
        pages.sort_by(f64::total_cmp);
        let longest = pages.last().unwrap();
        println!(
            "  next referrers, {} objects   {:6.3} ms median, {longest:.1} ms longest",
            pages.len(),
            median(pages.clone())
        );
    });
}
