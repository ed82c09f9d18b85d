//! Damaged memory: whatever is in it, the index and every answer end, stay within bounds, and do not panic.
//!
//! The memory of a real interpreter is damaged as no program would leave it: words of objects and types flipped,
//! pointed at themselves and at each other, sizes made absurd, pages swapped, regions cut, doubled and taken away, and
//! so are the numbers that the kernel told of it.
//! The damage is drawn with a fixed seed, so that a failure comes again; its message is the damage.

#[path = "../fuzz/src/damage.rs"]
mod damage;
mod support;

use damage::{Damage, Memory, Value, ask_everything};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use pymem_tui::progress::Progress;
use pymem_tui::snapshot::{Addr, Snapshot};
use std::process::{Command, Stdio};
use std::sync::{OnceLock, mpsc};
use std::time::Duration;

/// A healthy run takes a second.
const PATIENCE: Duration = Duration::from_secs(60);

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
    Memory::of(captured.unwrap().open().unwrap(), &interpreter.name).unwrap()
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

fn any_damage() -> impl Strategy<Value = Damage> {
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
        4 => (any::<(u32, u32)>(), value()).prop_map(|((what, number), value)| Damage::Told { what, number, value }),
    ]
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
        let result = runner.run(&proptest::collection::vec(any_damage(), 1..400), |damages| {
            let (snapshot, worth_a_look) = memory.damaged(&damages);
            in_time(snapshot, worth_a_look).map_err(TestCaseError::fail)
        });
        assert!(result.is_ok(), "{}: {}", memory.name, result.unwrap_err());
    }
}
