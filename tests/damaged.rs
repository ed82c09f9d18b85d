//! Damaged memory: whatever is in it, the index and every answer end, stay within bounds, and do not panic.
//!
//! The memory of a real interpreter is damaged as no program would leave it: words of objects and types flipped,
//! pointed at themselves and at each other, sizes made absurd, pages swapped, regions cut, doubled and taken away.
//! The damage is drawn with a fixed seed, so that a failure comes again; its message is the damage.

mod support;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use pymem_tui::analysis::answers::Direction;
use pymem_tui::analysis::{detail, links, raw, strings, tasks, threads, types};
use pymem_tui::heap::{Heap, ObjectId};
use pymem_tui::progress::Progress;
use pymem_tui::snapshot::{Addr, Metadata, Snapshot};
use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock, mpsc};
use std::time::Duration;

/// A healthy run takes a second.
const PATIENCE: Duration = Duration::from_secs(60);

/// The memory of a bare interpreter, and where its objects and types are.
struct Memory {
    name: String,
    pieces: Vec<(Addr, Vec<u8>)>,
    metadata: Option<Metadata>,
    objects: Vec<Addr>,
    types: Vec<Addr>,
}

fn capture(interpreter: &support::Interpreter) -> Memory {
    let script = "import sys; print('ready', flush=True); sys.stdin.read()";
    let (program, first) = interpreter.argv.split_first().unwrap();
    let mut command = Command::new(program);
    command.args(first).args(["-I", "-S", "-c", script]).envs(&interpreter.env);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line).unwrap();
    let options = pymem_tui::capture::Options::default();
    let destination = pymem_tui::capture::Destination::Temporary;
    let captured = pymem_tui::capture::capture(child.id() as i32, destination, &options, &Progress::default());
    child.kill().unwrap();
    child.wait().unwrap();
    let snapshot = Arc::new(captured.unwrap().open().unwrap());
    let pieces = snapshot.regions().iter().map(|r| (r.start, r.bytes().to_vec())).collect();
    let metadata = snapshot.metadata().cloned();
    let heap = Heap::index(snapshot, &Progress::default()).unwrap();
    let objects = heap.objects().iter().map(|(_, addr, _)| addr).collect();
    let types = heap.types().iter().map(|(_, ty)| ty.address).collect();
    Memory { name: interpreter.name.clone(), pieces, metadata, objects, types }
}

/// One version of each way to keep attributes and counts.
fn memories() -> &'static [Memory] {
    static MEMORIES: OnceLock<Vec<Memory>> = OnceLock::new();
    MEMORIES.get_or_init(|| {
        let mut all = support::interpreters();
        all.retain(|i| i.build == "shared");
        all.dedup_by_key(|i| i.minor.clone());
        all.iter().map(capture).collect()
    })
}

/// Where a value or an address comes from: numbers choose among what there is.
#[derive(Debug, Clone)]
enum Damage {
    /// Word `word` of an object (or type) gets a value.
    Word {
        of_type: bool,
        object: u32,
        word: u64,
        value: Value,
    },
    /// Bits of a word anywhere.
    Flip {
        region: u32,
        at: u64,
        bits: u64,
    },
    Swap {
        region: u32,
        one: u64,
        other: u64,
    },
    Cut {
        region: u32,
        at: u64,
    },
    Double {
        region: u32,
        by: u64,
    },
    Remove {
        region: u32,
    },
}

#[derive(Debug, Clone)]
enum Value {
    Plain(u64),
    Itself(u64),
    Object { number: u32, offset: u64 },
    Type(u32),
}

fn value() -> impl Strategy<Value = Value> {
    let absurd = prop_oneof![
        Just(0u64),
        Just(1),
        Just(u64::MAX),
        Just(i64::MAX as u64),
        Just(1 << 63),
        Just(1 << 40),
        Just(u32::MAX.into()),
        Just(0x7fff_ffff),
        Just(0xffff_8000_0000_0000),
        any::<u64>(),
        0..5000u64,
    ];
    prop_oneof![
        3 => absurd.prop_map(Value::Plain),
        1 => (0..9u64).prop_map(Value::Itself),
        2 => (any::<u32>(), 0..64u64).prop_map(|(number, offset)| Value::Object { number, offset }),
        1 => any::<u32>().prop_map(Value::Type),
    ]
}

fn damage() -> impl Strategy<Value = Damage> {
    let word = (any::<bool>(), any::<u32>(), 0..60u64, value()).prop_map(|(of_type, object, word, value)| {
        let word = if of_type { word } else { word % 12 };
        Damage::Word { of_type, object, word, value }
    });
    prop_oneof![
        40 => word,
        10 => any::<(u32, u64, u64)>().prop_map(|(region, at, bits)| Damage::Flip { region, at, bits }),
        2 => any::<(u32, u64, u64)>().prop_map(|(region, one, other)| Damage::Swap { region, one, other }),
        1 => any::<(u32, u64)>().prop_map(|(region, at)| Damage::Cut { region, at }),
        1 => any::<(u32, u64)>().prop_map(|(region, by)| Damage::Double { region, by }),
        1 => any::<u32>().prop_map(|region| Damage::Remove { region }),
    ]
}

fn pick<T: Copy>(from: &[T], number: u32) -> T {
    from[number as usize % from.len()]
}

/// Does the damage; returns the addresses that are worth a look.
fn apply(memory: &Memory, pieces: &mut Vec<(Addr, Vec<u8>)>, damage: &Damage) -> Option<Addr> {
    let region = |number: u32, pieces: &[(Addr, Vec<u8>)]| number as usize % pieces.len();
    match damage {
        Damage::Word { of_type, object, word, value } => {
            let object = if *of_type { pick(&memory.types, *object) } else { pick(&memory.objects, *object) };
            let at = Addr(object.0 - 16 + word * 8);
            let value = match value {
                Value::Plain(value) => *value,
                Value::Itself(words) => object.0 + words * 8,
                Value::Object { number, offset } => pick(&memory.objects, *number).0 + offset,
                Value::Type(number) => pick(&memory.types, *number).0,
            };
            let (start, bytes) = pieces.iter_mut().find(|(s, b)| *s <= at && at.0 + 8 <= s.0 + b.len() as u64)?;
            bytes[(at.0 - start.0) as usize..][..8].copy_from_slice(&value.to_le_bytes());
            return Some(object);
        }
        Damage::Flip { region: number, at, bits } => {
            let i = region(*number, pieces);
            let bytes = &mut pieces[i].1;
            let at = (*at % (bytes.len() as u64).max(1)) as usize & !7;
            let old = u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?);
            bytes[at..at + 8].copy_from_slice(&(old ^ bits).to_le_bytes());
        }
        Damage::Swap { region: number, one, other } => {
            let i = region(*number, pieces);
            let bytes = &mut pieces[i].1;
            let pages = (bytes.len() >> 12) as u64;
            let (one, other) = (one.checked_rem(pages)? as usize, other.checked_rem(pages)? as usize);
            (0..4096).for_each(|n| bytes.swap(one * 4096 + n, other * 4096 + n));
        }
        Damage::Cut { region: number, at } => {
            let i = region(*number, pieces);
            let len = (*at % (pieces[i].1.len() as u64 + 1)) as usize;
            pieces[i].1.truncate(len);
        }
        Damage::Double { region: number, by } => {
            let (start, bytes) = pieces[region(*number, pieces)].clone();
            let by = [4096, 16, bytes.len() as u64, 1 << 40, u64::MAX - start.0 - 100][*by as usize % 5];
            pieces.push((Addr(start.0.wrapping_add(by)), bytes));
        }
        Damage::Remove { region: number } => {
            let i = region(*number, pieces);
            pieces.remove(i);
        }
    }
    None
}

/// Asks all there is to ask. What comes out is not compared with anything: it must come.
fn ask_everything(snapshot: Snapshot, worth_a_look: &[Addr]) -> Result<(), String> {
    let snapshot = Arc::new(snapshot);
    let progress = Progress::default();
    for addr in worth_a_look.iter().chain([&Addr(0), &Addr(u64::MAX), &Addr(u64::MAX - 7)]) {
        let _ = raw::hex(&snapshot, *addr, Addr(addr.0.saturating_sub(40)), 400);
    }
    let Ok(heap) = Heap::index(snapshot.clone(), &progress) else { return Ok(()) };
    let most = snapshot.bytes() / 8;
    let len = heap.objects().len() as u64;
    if len > most {
        return Err(format!("{len} objects in {} bytes", snapshot.bytes()));
    }
    let table = types::types(heap.types(), heap.tally());
    if table.total.count != len {
        return Err(format!("{} objects counted, {len} in the index", table.total.count));
    }
    let mut before = Addr(0);
    for (id, addr, ty) in heap.objects().iter() {
        if heap.objects().object_at(addr) != Some(id) || addr <= before || heap.objects().address(id) != addr {
            return Err(format!("{addr} is number {id:?}, and not found again"));
        }
        before = addr;
        let _ = heap.types().get(ty);
    }
    let all = types::select(&heap, None);
    let rows = types::rows(&heap, &all, 0, u64::MAX);
    if let Some(row) = rows.objects.iter().find(|r| r.summary.chars().count() > 1000 || r.type_name.len() > 10_000) {
        return Err(format!("{} has a summary of {} bytes", row.address, row.summary.len()));
    }
    let edges = heap.edges(&progress).map_err(|e| e.to_string())?;
    let (mut forth, mut back) = (0, 0);
    for id in (0..len as u32).map(ObjectId) {
        forth += edges.referents(&heap, id).len();
        back += edges.referrers(id).len();
    }
    if forth != back || forth as u64 != edges.len() {
        return Err(format!("{forth} references forwards, {back} backwards, {} counted", edges.len()));
    }
    let sample = all.iter().copied().step_by(all.len() / 50 + 1);
    let damaged = worth_a_look.iter().filter_map(|a| heap.objects().object_at(*a));
    for id in sample.chain(damaged) {
        let _ = detail::object(&heap, id, detail::Depth { levels: 2, entries: 20, chars: 1000 });
        for direction in [Direction::Referents, Direction::Referrers] {
            let answer = links::edges(&heap, id, direction, 0, 100, &progress).map_err(|e| e.to_string())?;
            if answer.edges.len() > 100 {
                return Err(format!("{} rows of 100", answer.edges.len()));
            }
        }
        let _ = heap.object_around(heap.objects().address(id) + 9);
    }
    let _ = (threads::threads(&heap), tasks::tasks(&heap, &tasks::Ask::all(true)));
    let _ = (strings::strings(&heap, false), strings::strings(&heap, true), detail::module(&heap, "sys", None, 50));
    if let Some(mut hex) = raw::hex(&snapshot, before, before, 256) {
        raw::name_words(&heap, &mut hex);
    }
    Ok(())
}

/// The same on a thread of its own, which must come back.
fn in_time(snapshot: Snapshot, worth_a_look: Vec<Addr>) -> Result<(), String> {
    let (done, ended) = mpsc::channel();
    let work = std::thread::spawn(move || {
        let result = ask_everything(snapshot, &worth_a_look);
        let _ = done.send(());
        result
    });
    match ended.recv_timeout(PATIENCE) {
        Err(mpsc::RecvTimeoutError::Timeout) => Err(format!("no end after {PATIENCE:?}")),
        _ => work.join().unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            Err(format!("panic: {}", text.or(panic.downcast_ref::<&str>().map(|s| (*s).into())).unwrap_or_default()))
        }),
    }
}

/// Runs of each interpreter; `PYMEM_TUI_CASES` asks for more.
fn cases() -> u32 {
    std::env::var("PYMEM_TUI_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(8)
}

#[test]
fn damaged_memory_is_answered_about() {
    for (number, memory) in memories().iter().enumerate() {
        let config = Config { cases: cases(), max_shrink_iters: 30, failure_persistence: None, ..Config::default() };
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[number as u8 + 1; 32]);
        let mut runner = TestRunner::new_with_rng(config, rng);
        let result = runner.run(&proptest::collection::vec(damage(), 1..400), |damages| {
            let mut pieces = memory.pieces.clone();
            let mut worth_a_look: Vec<Addr> = Vec::new();
            for damage in &damages {
                worth_a_look.extend(apply(memory, &mut pieces, damage));
            }
            let snapshot = Snapshot::from_memory(pieces, memory.metadata.clone());
            in_time(snapshot, worth_a_look).map_err(TestCaseError::fail)
        });
        assert!(result.is_ok(), "{}: {}", memory.name, result.unwrap_err());
    }
}
