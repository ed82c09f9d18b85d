//! Where the resident memory went, compared with what the kernel says of the process and what it says of itself.
//!
//! Processes that use memory in one way each (`tests/targets/memory.py`): the rows add up to the resident set of
//! `/proc/PID/smaps_rollup`, hardly anything is unexplained, the cause is named, and the allocators' sums are those of
//! `sys._debugmallocstats` and `mallinfo2`.

mod support;

use pymem_tui::analysis::answers::Footprint;
use pymem_tui::analysis::memory::memory;
use pymem_tui::heap::Heap;
use pymem_tui::heap::usage::{Usage, Use, Visitor};
use pymem_tui::progress::Progress;
use pymem_tui::snapshot::{Addr, Snapshot};
use std::collections::BTreeMap;
use std::sync::Arc;
use support::{Interpreter, Target, on_every_version};

/// Small enough for a test of a hundred processes; by hand with more.
fn megabytes() -> String {
    std::env::var("PYMEM_TUI_MEGABYTES").unwrap_or_else(|_| "40".into())
}

/// What a target said of itself: `WHO NUMBER WHAT`.
type Said = BTreeMap<(String, String), u64>;

struct Case {
    answer: Footprint,
    said: Said,
}

/// Runs `memory.py HOW` and checks what must be true of any process.
fn case(interpreter: &Interpreter, how: &str, env: &[(&str, &str)]) -> Result<Case, String> {
    let target = Target::start_with(interpreter, "memory.py", &[how, &megabytes()], env);
    let (before, snapshot, after) = captured(&target);
    let said = target.said.iter().filter_map(|line| {
        let mut words = line.splitn(3, ' ');
        let (who, number, what) = (words.next()?, words.next()?, words.next()?);
        Some(((who.to_owned(), what.trim().to_owned()), number.parse().ok()?))
    });
    let said = said.collect();
    if how == "fork" {
        // the child is not ours to wait for
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(target.pid), nix::sys::signal::Signal::SIGKILL);
    }
    let heap = Heap::index(Arc::new(snapshot), &Progress::default()).map_err(|e| e.to_string())?;
    let answer = memory(&heap, &Progress::default()).map_err(|e| e.to_string())?;
    let resident = answer.resident_bytes.ok_or("the resident set is not known")?;
    let sum: u64 = answer.rows.iter().filter_map(|r| r.resident_bytes).sum();
    let of_regions: u64 = answer.regions.iter().flat_map(|r| &r.parts).map(|p| p.bytes).sum();
    if sum != resident || of_regions != resident {
        return Err(format!("{how}: rows are {sum}, regions {of_regions}, the resident set {resident}"));
    }
    for row in &answer.rows {
        let parts: u64 = row.parts.iter().filter_map(|p| p.resident_bytes).sum();
        if !row.parts.is_empty() && Some(parts) != row.resident_bytes {
            return Err(format!("{how}: the parts of {} are {parts} of {:?}", row.kind, row.resident_bytes));
        }
    }
    if !(before.min(after)..=before.max(after)).contains(&resident) {
        return Err(format!("{how}: {resident} resident, the kernel says {before} before and {after} after"));
    }
    let unexplained = of(&answer, &["unexplained"]);
    println!("{} {how}: {resident} resident, {unexplained} unexplained", interpreter.name);
    if unexplained * 100 > resident * 3 {
        return Err(format!("{how}: {unexplained} of {resident} are unexplained"));
    }
    Ok(Case { answer, said })
}

/// A snapshot, and the resident set before and after. A page that the kernel is moving elsewhere counts as resident and is
/// not present: where the sums differ it is done once more, and what is counted wrongly differs each time.
fn captured(target: &Target) -> (u64, Snapshot, u64) {
    let mut tries = 0;
    loop {
        tries += 1;
        let (before, snapshot, after) = (rss(target.pid), target.capture(), rss(target.pid));
        let mappings = snapshot.metadata().into_iter().flat_map(|m| &m.regions);
        let counted = mappings.filter(|m| m.file.as_deref().is_none_or(|f| !f.starts_with("[vvar")));
        let present: u64 = counted.filter_map(|m| m.resident_bytes).sum();
        if tries == 5 || (before.min(after)..=before.max(after)).contains(&present) {
            return (before, snapshot, after);
        }
        println!("{before}, {present}, {after} bytes are resident: once more");
    }
}

/// `Rss` of `smaps_rollup`, which the kernel counts page by page.
fn rss(pid: i32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("the target runs");
    let line = text.lines().find_map(|l| l.strip_prefix("Rss:")).expect("Rss is told");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

fn of(answer: &Footprint, kinds: &[&str]) -> u64 {
    answer.rows.iter().filter(|r| kinds.contains(&r.kind)).filter_map(|r| r.resident_bytes).sum()
}

impl Case {
    /// The first finding is of this kind.
    fn is_dominated_by(&self, kind: &str) -> Result<&Case, String> {
        let found: Vec<_> = self.answer.findings.iter().map(|f| f.kind).collect();
        if found.first() == Some(&kind) { Ok(self) } else { Err(format!("{kind} is not the first of {found:?}")) }
    }

    fn names(&self, kind: &str, words: &str) -> Result<&Case, String> {
        let mut sentences = self.answer.findings.iter().filter(|f| f.kind == kind).map(|f| &f.sentence);
        match sentences.next() {
            Some(s) if s.contains(words) => Ok(self),
            other => Err(format!("{kind}: {other:?} does not say {words:?}")),
        }
    }

    fn said(&self, who: &str, what: &str) -> Option<u64> {
        self.said.get(&(who.to_owned(), what.to_owned())).copied()
    }

    /// pymalloc's sums are those of `sys._debugmallocstats`, but for what was made while it printed.
    fn agrees_with_pymalloc(&self) -> Result<&Case, String> {
        let Some(blocks) = self.said("pymalloc", "# bytes in allocated blocks") else { return Ok(self) };
        let arenas = self.answer.arenas.as_ref().ok_or("no arenas were found")?;
        near("bytes in blocks", arenas.live_bytes, blocks, blocks / 100 + 65536)?;
        let count = self.said("pymalloc", "# arenas allocated current").ok_or("the number of arenas is not told")?;
        near("arenas", arenas.count, count, 1)?;
        Ok(self)
    }

    /// malloc's sums are those of `mallinfo2`.
    fn agrees_with_malloc(&self) -> Result<&Case, String> {
        let Some(free) = self.said("malloc", "fordblks") else { return Ok(self) };
        let told = |kind: &str| self.answer.rows.iter().filter(|r| r.kind == kind).map(|r| r.bytes).sum::<u64>();
        let all: u64 = self.answer.heaps.iter().map(|h| h.end.0 - h.start.0).sum();
        near("bytes of arenas", all, self.said("malloc", "arena").ok_or("no arena")?, 300_000)?;
        near("free bytes", told("free_malloc") + told("top_malloc"), free, free / 50 + 200_000)?;
        Ok(self)
    }
}

fn near(what: &str, found: u64, told: u64, about: u64) -> Result<(), String> {
    if found.abs_diff(told) <= about { Ok(()) } else { Err(format!("{what}: {found} found, {told} told")) }
}

#[test]
fn a_plain_heap_is_its_objects() {
    on_every_version(|i| {
        case(i, "plain", &[])?.is_dominated_by("objects")?.agrees_with_pymalloc()?.agrees_with_malloc()?;
        Ok(())
    });
}

#[test]
fn a_fragmented_heap_is_named_as_such() {
    on_every_version(|i| {
        let case = case(i, "fragmented", &[])?;
        case.is_dominated_by("fragmentation")?.agrees_with_pymalloc()?.agrees_with_malloc()?;
        if !i.free_threaded {
            case.names("fragmentation", "of arenas hold")?;
            let (free, objects) = (of(&case.answer, &["free_pymalloc"]), of(&case.answer, &["objects_pymalloc"]));
            assert!(free > 3 * objects, "{free} free, {objects} of objects");
        }
        Ok(())
    });
}

#[test]
fn big_buffers_have_owners() {
    on_every_version(|i| {
        case(i, "buffers", &[])?.is_dominated_by("buffers").map(drop).or_else(|why| match i.minor.as_str() {
            // its bytearray keeps its bytes in an object of their own
            "3.15" => case(i, "buffers", &[])?.is_dominated_by("objects")?.names("objects", "bytes").map(drop),
            _ => Err(why),
        })?;
        let packages = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target/packages").join(&i.minor);
        if i.build == "shared" && packages.join("installed.txt").exists() {
            let path = packages.to_str().expect("a path");
            let case = case(i, "numpy", &[("PYTHONPATH", path)])?;
            case.is_dominated_by("buffers")?.names("buffers", "numpy.ndarray")?;
            let owned = case.answer.large.iter().filter(|l| l.type_name.as_deref() == Some("numpy.ndarray"));
            assert!(owned.count() >= 10, "{:?}", case.answer.large);
        }
        Ok(())
    });
}

#[test]
fn arenas_of_threads_are_counted() {
    on_every_version(|i| {
        let case = case(i, "threads", &[("MALLOC_ARENA_MAX", "200")])?;
        case.agrees_with_malloc()?.names("arenas", "arenas that malloc made for threads")?;
        let mut arenas: Vec<_> = case.answer.heaps.iter().filter_map(|h| h.arena).collect();
        arenas.sort_unstable();
        arenas.dedup();
        if arenas.len() < 64 {
            return Err(format!("{} arenas for 64 threads", arenas.len()));
        }
        let stacks = case.answer.rows.iter().find(|r| r.kind == "stacks").map_or(0, |r| r.bytes);
        if stacks < 64 << 18 { Err(format!("{stacks} bytes of stacks")) } else { Ok(()) }
    });
}

#[test]
fn a_forked_process_shares_its_memory() {
    on_every_version(|i| case(i, "fork", &[])?.names("shared", "before a fork").map(drop));
}

#[test]
fn what_no_object_points_to_is_native() {
    on_every_version(|i| case(i, "native", &[])?.is_dominated_by("native").map(drop));
}

/// What a thread's cache and the fast bins hold looks used to its neighbours.
#[test]
fn freed_blocks_in_caches_are_not_in_use() {
    on_every_version(|i| {
        let target = Target::start(i, "memory.py", &["cached", "0"]);
        let told = |what: &str| -> Vec<Addr> {
            let lines = target.said.iter().filter_map(|l| l.strip_prefix(what));
            lines.flat_map(|l| l.split_whitespace().skip(1)).map(|a| Addr(a.parse().expect("an address"))).collect()
        };
        let (freed, used) = (told("freed "), told("used "));
        let heap = Heap::index(Arc::new(target.capture()), &Progress::default()).map_err(|e| e.to_string())?;
        let usage = Usage::of(&heap, &Progress::default()).map_err(|e| e.to_string())?;
        let mut parts = Parts(Vec::new());
        usage.items().iter().for_each(|item| usage.walk(item, &heap.memory(), &mut parts));
        let of = |addr: &Addr| parts.0.iter().find(|(start, end, _)| start <= addr && addr < end).map(|p| p.2);
        let count = |addrs: &[Addr], is: &dyn Fn(Use) -> bool| addrs.iter().filter(|a| of(a).is_some_and(is)).count();
        let cached = count(&freed, &|u| u == Use::Cached);
        // malloc may have emptied its fast bins since
        let free = cached + count(&freed, &|u| matches!(u, Use::Free(_) | Use::Top));
        let live = count(&used, &|u| u == Use::Other);
        let told =
            format!("of {} freed {free} are free, {cached} in caches; of {} {live} are used", freed.len(), used.len());
        println!("{}: {told}", i.name);
        // some were handed out again before the process waits
        let fine = (freed.len(), used.len(), live) == (19, 12, 12) && free >= 12 && cached >= 9;
        if fine { Ok(()) } else { Err(told) }
    });
}

/// All parts of all items, which follow each other without gaps.
struct Parts(Vec<(Addr, Addr, Use)>);

impl Visitor for Parts {
    fn part(&mut self, start: Addr, end: Addr, of: Use) {
        assert!(start < end && self.0.last().is_none_or(|last| last.1 <= start), "{start}-{end} {of:?}");
        self.0.push((start, end, of));
    }
}

/// A snapshot of another program has no word on residency.
#[test]
fn without_residency_nothing_is_said_of_it() {
    let Some(interpreter) = support::interpreters().into_iter().next() else { return };
    let snapshot = Target::start(&interpreter, "memory.py", &["plain", "4"]).capture();
    let pieces = snapshot.regions().iter().map(|r| (r.start, r.bytes().to_vec())).collect::<Vec<(Addr, Vec<u8>)>>();
    let bare = Arc::new(Snapshot::from_memory(pieces, None));
    let heap = Heap::index(bare.clone(), &Progress::default()).expect("it is indexed");
    let answer = memory(&heap, &Progress::default()).expect("it is answered");
    assert_eq!(answer.resident_bytes, None);
    assert!(answer.rows.iter().all(|r| r.resident_bytes.is_none()));
    assert_eq!(answer.rows.iter().map(|r| r.bytes).sum::<u64>(), bare.bytes());
    assert!(answer.problems.iter().any(|p| p.contains("resident")), "{:?}", answer.problems);
}
