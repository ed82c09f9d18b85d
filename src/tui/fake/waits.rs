//! Threads and tasks that wait, as the fake worker tells of them.

use super::{CLIENT, DICT, FUTURE, object, row, types};
use crate::analysis::answers::*;
use crate::snapshot::Addr;
use crate::worker::protocol::RetainedBy;

fn local(name: &str, kind: u64, index: u64) -> Local {
    let row = row(kind, index);
    Local { name: name.into(), address: row.address, type_name: row.type_name, summary: row.summary }
}

fn frame(function: &str, file: &str, line: u32, locals: Vec<Local>) -> Frame {
    Frame { function: function.into(), file: file.into(), line: Some(line), locals, ..Frame::default() }
}

pub fn threads() -> Threads {
    let down = || frame("down", "/srv/app/walk.py", 8, vec![local("depth", 3, 7)]);
    let wait = |lock: u64, holder: u64, line: u32| Wait {
        address: object(DICT, lock),
        type_name: "_thread.lock".into(),
        what: "Lock".into(),
        holder: Some(holder),
        certainty: Some(Certainty::Frame),
        held_at: Some(Place { function: "transfer".into(), file: "/srv/app/bank.py".into(), line: Some(line) }),
        ..Wait::default()
    };
    let main = Thread {
        ident: Some(0x7f00_1234_5740),
        native_id: Some(4242),
        interpreter: Some(0),
        name: Some("MainThread".into()),
        kernel_name: Some("worker.py".into()),
        daemon: Some(false),
        state: Some("sleeping"),
        syscall: Some("futex".into()),
        waits_for_gil: Some(false),
        waits_for: Some(wait(3, 4251, 88)),
        handling: vec![local("", 9, 0)],
        frames: vec![
            frame("Client.fetch", "/srv/app/client.py", 31, vec![local("self", CLIENT, 0), local("n", 3, 5)]),
            frame("main.<locals>.run", "/srv/app/client.py", 60, vec![]),
        ],
        whole: true,
        ..Thread::default()
    };
    let deep = Thread {
        name: Some("worker-1".into()),
        native_id: Some(4251),
        waits_for: Some(wait(4, 4242, 31)),
        frames: std::iter::repeat_with(down)
            .take(3000)
            .chain([frame("Thread.run", "/usr/lib/python3.12/threading.py", 1012, vec![])])
            .collect(),
        whole: false,
        ..main.clone()
    };
    let native = Thread { name: Some("grpc_event".into()), whole: true, state: Some("sleeping"), ..Thread::default() };
    let sentence = "MainThread waits for Lock 0x760200000c0 held by worker-1 at bank.py:88; worker-1 waits for Lock \
                    0x76020000100 held by MainThread at bank.py:31";
    Threads {
        threads: vec![main, deep, native],
        deadlocks: vec![vec![4242, 4251]],
        explained: vec![sentence.into()],
        problems: vec![],
        left_out: vec![],
    }
}

/// Tasks of one crowd.
const CROWD: u64 = 2_500;

fn task(index: u64, name: &str, coro: &str, stack: Vec<(&str, &str, u32)>) -> Task {
    let address = object(FUTURE, index);
    let coroutine = |i: usize| object(DICT, 100 + index * 4 + i as u64);
    let frames = stack.into_iter().enumerate();
    Task {
        address,
        type_name: "_asyncio.Task".into(),
        name: Some(name.into()),
        state: Some("pending"),
        coro: Some(coro.into()),
        coroutine: Some(coroutine(0)),
        event_loop: Some(object(CLIENT, 0)),
        fut_waiter: Some(object(FUTURE, 99_000)),
        stack: frames
            .map(|(i, (function, file, line))| Frame {
                generator: Some(coroutine(i)),
                ..frame(function, file, line, vec![])
            })
            .collect(),
        whole: true,
        ..Task::default()
    }
}

/// A cycle of three that nobody else awaits, one that a timeout breaks, a diamond, a crowd, one that is done.
pub fn tasks() -> Tasks {
    let shop = |index, name: &str, line| {
        let coro = format!("Shop.{name}");
        task(index, name, &coro, vec![(&coro, "/srv/shop.py", line), ("Shop.result_of", "/srv/shop.py", 29)])
    };
    let at = |index| object(FUTURE, index);
    let mut tasks = vec![shop(1, "orders", 32), shop(2, "billing", 36), shop(3, "stock", 41)];
    for (i, next) in [(0, 2), (1, 3), (2, 1)] {
        tasks[i].awaits = vec![at(next)];
        tasks[i].cycle = Some(0);
        tasks[(i + 1) % 3].awaited_by = vec![at(i as u64 + 1)];
    }
    let mut patient = task(4, "patient", "ask", vec![("ask", "/srv/retry.py", 7)]);
    (patient.awaits, patient.cycle) = (vec![at(4)], Some(1));
    let main = task(5, "Task-1", "main", vec![("main", "/srv/shop.py", 90)]);
    let (left, right) = (task(6, "left", "branch", vec![]), task(7, "right", "branch", vec![]));
    let mut root = task(8, "root", "fetch", vec![("fetch", "/srv/fetch.py", 12)]);
    root.waits_in = Some(WaitsIn { kind: "stream", address: at(70), fd: Some(9), ..WaitsIn::default() });
    let mut done = task(9, "done", "compute", vec![]);
    (done.state, done.result) = (Some("finished"), Some(local("", 3, 47)));
    let lock = WaitsIn {
        kind: "lock",
        address: at(71),
        type_name: "asyncio.locks.Lock".into(),
        holder: Some(at(8)),
        certainty: Some("frame"),
        ..WaitsIn::default()
    };
    tasks.extend([patient, main, left, right, root, done]);
    for i in 0..CROWD {
        let stack = vec![("Shop.request", "/srv/shop.py", 66), ("Shop.load_profile", "/srv/shop.py", 69)];
        let one = task(100 + i, &format!("request-{i}"), "Shop.request", stack);
        tasks.push(Task { waits_in: Some(lock.clone()), ..one });
    }
    let tree = |index, depth, shared, cycle| {
        let label = ["", "", "", ""].map(String::from);
        TreeRow { address: at(index), count: 1, depth, shared, cycle, label, ..TreeRow::default() }
    };
    let forest = vec![
        tree(1, 0, false, Some(0)),
        tree(2, 1, false, Some(0)),
        tree(3, 2, false, Some(0)),
        tree(1, 3, true, Some(0)),
        tree(4, 0, false, Some(1)),
        tree(4, 1, true, Some(1)),
        tree(5, 0, false, None),
        tree(1, 1, true, Some(0)),
        tree(6, 1, false, None),
        tree(8, 2, false, None),
        tree(7, 1, false, None),
        tree(8, 2, true, None),
        TreeRow { count: CROWD, tasks: (0..CROWD).map(|i| at(100 + i)).collect(), ..tree(100, 0, false, None) },
    ];
    Tasks {
        tasks,
        futures: vec![],
        cycles: vec![vec![at(1), at(2), at(3)], vec![at(4)]],
        verdicts: vec![
            Verdict { deadlock: true, ..Verdict::default() },
            Verdict { wakers: vec!["the timeout of patient".into()], ..Verdict::default() },
        ],
        forest,
        groups: vec![Group {
            count: CROWD,
            coro: "Shop.request".into(),
            place: Some(Place { function: "Shop.load_profile".into(), file: "/srv/shop.py".into(), line: Some(69) }),
            waits_in: Some("lock"),
            tasks: (0..CROWD).map(|i| at(100 + i)).collect(),
        }],
        ..Tasks::default()
    }
}

/// The variables of any coroutine.
pub fn locals(_: Addr) -> Vec<Local> {
    vec![local("self", CLIENT, 0), local("name", 4, 7)]
}

/// The dict of futures is the suspect.
fn leaks() -> Leaks {
    let suspect = Suspect {
        kind: "accumulation",
        address: object(DICT, 0),
        type_name: "dict".into(),
        name: Some("Client.response_futures".into()),
        retained_bytes: 824_400_000,
        retained_count: 200_001,
        reason: "Client.response_futures keeps 100,000 _asyncio.Future alive: 824 MB (79% of the heap)".into(),
        path: vec![],
        path_text: String::new(),
        accumulates: None,
    };
    Leaks { suspects: vec![suspect], heap_bytes: 1_040_000_000, left_out: 0 }
}

/// The dict below the client, the futures below the dict; those that a filter leaves.
pub fn retained(by: RetainedBy, filter: &str, offset: u64, limit: u64) -> Retained {
    let one = |kind: u64, index: u64, bytes, count| {
        let row = row(kind, index);
        RetainedRow {
            address: Some(row.address),
            type_name: row.type_name,
            shallow_bytes: row.shallow_bytes,
            retained_bytes: bytes,
            retained_count: count,
            summary: row.summary,
            group: None,
        }
    };
    let group = |kind: &str, name: &str, bytes| RetainedRow {
        address: None,
        type_name: kind.into(),
        shallow_bytes: 0,
        retained_bytes: bytes,
        retained_count: 9_000,
        summary: name.into(),
        group: Some(3),
    };
    let dict = object(DICT, 0);
    let all: Vec<RetainedRow> = match by {
        RetainedBy::Object(at) if at == object(CLIENT, 0) => vec![one(DICT, 0, 824_400_000, 200_001)],
        RetainedBy::Object(at) if at == dict => (0..100_000).map(|i| one(FUTURE, i, 8_200, 2)).collect(),
        RetainedBy::Object(_) => vec![one(0, 5, 8_100, 1)],
        RetainedBy::Threads => vec![group("thread", "thread 4242", 830_000_000)],
        RetainedBy::Group(_) => vec![one(CLIENT, 0, 824_500_000, 200_002)],
        _ => vec![one(CLIENT, 0, 824_500_000, 200_002), one(8, 0, 3_100_000, 12_000), one(5, 7, 56, 1)],
    };
    // of queries, those that the tests type
    let keeps = |row: &RetainedRow| match filter {
        "retained > 1MB" => row.retained_bytes > 1_000_000,
        text => format!("{} {}", row.type_name, row.summary).contains(text),
    };
    let all: Vec<RetainedRow> = all.into_iter().filter(keeps).collect();
    let total = all.len() as u64;
    let objects = all.into_iter().skip(offset as usize).take(limit as usize).collect();
    Retained { objects, total, heap_bytes: 1_040_000_000, offset }
}

/// What each type keeps alive: ten times its own size.
pub fn retained_types() -> RetainedTypes {
    let of = types(100);
    let row =
        |row: &TypeRow| RetainedType { row: row.clone(), retained_bytes: row.shallow_bytes.min(100_000_000) * 10 };
    RetainedTypes { types: of.types.iter().map(row).collect(), total: of.total }
}

/// Each task keeps a little more than the one before it, threads likewise.
pub fn retaining() -> Retaining {
    let (tasks, threads) = (tasks(), threads());
    let idents = threads.threads.iter().filter_map(|thread| thread.ident);
    Retaining {
        tasks: tasks.tasks.iter().map(|task| task.address).zip((1..).map(|n| n * 1_700)).collect(),
        within: Default::default(),
        threads: idents.zip((1..).map(|n| n * 54_000)).collect(),
    }
}

/// A module holds a client, which holds the rest.
pub fn paths(address: Addr) -> Paths {
    let step = |kind: u64, index: u64, edge: &str| {
        let row = row(kind, index);
        PathStep {
            address: row.address,
            type_name: row.type_name,
            edge: edge.into(),
            kind: EdgeKind::Strong,
            summary: row.summary,
        }
    };
    let short = vec![
        step(CLIENT, 0, "sys.modules['__main__'].client"),
        step(DICT, 0, ".response_futures"),
        PathStep { address, ..step(FUTURE, 2, "[2]") },
    ];
    let long = vec![step(3, 9, "thread 4242: main() local job"), PathStep { address, ..step(FUTURE, 2, "._future") }];
    Paths {
        paths: vec![short, long],
        text: vec![
            "sys.modules['__main__'].client.response_futures[2] → _asyncio.Future".into(),
            "thread 4242: main() local job._future → _asyncio.Future".into(),
        ],
        weak: vec![],
        weak_total: 0,
        retained_bytes: Some(8_200),
    }
}

/// Where the memory of this process went.
pub fn footprint() -> Footprint {
    let part = |name: &str, count, bytes| Share { name: name.into(), count, resident_bytes: Some(bytes), bytes };
    let row = |kind, label, bytes, count, detail: &str, parts| MemoryRow {
        kind,
        label,
        resident_bytes: Some(bytes),
        bytes: bytes + 4096,
        count,
        detail: detail.into(),
        parts,
    };
    let rows = vec![
        row(
            "objects_pymalloc",
            "Python objects in pymalloc's arenas",
            1_020_000_000,
            340_000,
            "bytes 812 MB",
            vec![part("bytes", 107_085, 812_000_000), part("_asyncio.Future", 100_007, 12_000_840)],
        ),
        row("free_pymalloc", "free in pymalloc's pools", 141_000_000, 9_000, "blocks of 512 B", vec![]),
        row("files", "libraries and other files", 62_000_000, 40, "libpython3.12.so", vec![]),
    ];
    let large = |address, owner: Option<Addr>| LargeBlock {
        address,
        bytes: 5_242_960,
        resident_bytes: Some(5_242_960),
        owner,
        type_name: owner.map(|_| "dict".into()),
    };
    let region = |start: u64, file: Option<&str>, parts: &[(&'static str, u64)]| MapRow {
        start: Addr(start),
        end: Addr(start + 0x4000_0000),
        resident_bytes: Some(parts.iter().map(|(_, bytes)| bytes).sum()),
        file: file.map(|f| crate::text::sanitize(f).into_owned()),
        kind: parts[0].0,
        parts: parts.iter().map(|(kind, bytes)| MapPart { kind, bytes: *bytes }).collect(),
    };
    let sentence = "141 MB is free in arenas that cannot be returned, because a few blocks in each are in use";
    Footprint {
        resident_bytes: Some(1_223_000_000),
        rss_before_stop: Some(1_223_100_000),
        findings: vec![MemoryFinding { kind: "fragmentation", sentence: sentence.into(), bytes: 141_000_000 }],
        rows,
        large: vec![large(object(DICT, 0), Some(object(DICT, 0))), large(Addr(0x7700_0000_0000), None)],
        regions: vec![
            region(0x5600_0000_0000, None, &[("files", 62_000_000)]),
            region(0x7600_0000_0000, None, &[("objects_pymalloc", 600_000_000), ("free_pymalloc", 100_000_000)]),
            region(0x7601_0000_0000, None, &[("objects_pymalloc", 420_000_000), ("free_pymalloc", 41_000_000)]),
            region(0x7700_0000_0000, Some("/dev/shm/\u{1b}[31mqueue"), &[("shared_memory", 4096)]),
        ],
        ..Footprint::default()
    }
}

/// What the real verdict says of these threads, tasks and types.
pub fn findings(aspect: Aspect) -> Vec<Finding> {
    use crate::analysis::verdict;
    let mut found = match aspect {
        Aspect::Types => verdict::types(&types(100)),
        Aspect::Leaks => verdict::leaks(&leaks()),
        Aspect::Memory => verdict::memory(&footprint()),
        Aspect::Threads => verdict::threads(&threads()),
        Aspect::Tasks => verdict::tasks(&tasks(), &threads()),
    };
    found.sort_by_key(|finding: &Finding| finding.severity as Severity);
    found
}
