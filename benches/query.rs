//! How long a query over all objects takes, and the commands `memory` and `waste`, against the physical limit.
//!
//! `cargo bench --bench query -- SNAPSHOT [QUERY…]` indexes a snapshot once, then measures each in one process, in turn
//! with the limit: summing all 8-byte words of the same mapped memory with as many threads.

use pymem_tui::analysis::query::objects::Query;
use pymem_tui::heap::Heap;
use pymem_tui::progress::Progress;
use pymem_tui::snapshot::Snapshot;
use rayon::prelude::*;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

const ROUNDS: usize = 9;

/// Over the fixed columns: type, size, reference count, length.
const QUERIES: [&str; 6] = [
    "size > 1MB",
    "type = dict and len > 100",
    "refcount = 1 and size >= 100",
    "not (type = str or type = int) and len = 3",
    "type ~ *.Task",
    "size > 100 or len > 10 or refcount > 5",
];

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|a| a != "--bench");
    let path = arguments.next().expect("a snapshot is given");
    let asked: Vec<String> = arguments.collect();
    let heap = Heap::index(Arc::new(Snapshot::open(Path::new(&path)).expect("it opens")), &Progress::default())
        .expect("it is read");
    let bytes = heap.snapshot().data_bytes();
    println!(
        "{} objects, {:.0} MB, {} threads",
        heap.objects().len(),
        bytes as f64 / 1e6,
        rayon::current_num_threads()
    );
    let limit = measure(&heap, |heap| sum(heap) as usize);
    println!("  {:46} {:7.0} ms", "limit (sum all words)", limit * 1e3);
    let tell =
        |what: &str, (time, ratio): (f64, f64)| println!("  {what:46} {:7.0} ms  {ratio:5.2} × limit", time * 1e3);
    let asked_for = asked.iter().map(String::as_str);
    for text in asked_for.chain(QUERIES.into_iter().filter(|_| asked.is_empty())) {
        let query = Query::parse(text).expect("a query");
        let select = |heap: &Heap| query.select(heap, None, &Progress::default()).map_or(0, |found| found.len());
        tell(text, paired(&heap, select));
    }
    if !asked.is_empty() {
        return;
    }
    let memory =
        |heap: &Heap| pymem_tui::analysis::memory::memory(heap, &Progress::default()).map_or(0, |m| m.rows.len());
    tell("memory", paired(&heap, memory));
    let waste = |heap: &Heap| pymem_tui::analysis::waste::waste(heap, &Progress::default()).map_or(0, |w| w.rows.len());
    tell("waste", paired(&heap, waste));
}

fn sum(heap: &Heap) -> u64 {
    let regions = heap.snapshot().regions();
    let pieces: Vec<&[u8]> = regions
        .iter()
        .flat_map(|r| r.extents().iter().map(|e| &r.bytes()[e.start as usize..e.end as usize]))
        .flat_map(|bytes| bytes.chunks(4 << 20))
        .collect();
    let words = |piece: &&[u8]| {
        let words = piece.chunks_exact(8).map(|w| u64::from_le_bytes(w.try_into().expect("8 bytes")));
        words.fold(0u64, u64::wrapping_add)
    };
    pieces.par_iter().map(words).reduce(|| 0, u64::wrapping_add)
}

fn once(heap: &Heap, work: impl Fn(&Heap) -> usize) -> f64 {
    let start = Instant::now();
    std::hint::black_box(work(heap));
    start.elapsed().as_secs_f64()
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn measure(heap: &Heap, work: impl Fn(&Heap) -> usize) -> f64 {
    median((0..ROUNDS).map(|_| once(heap, &work)).collect())
}

/// Median time, and median ratio to the limit measured right before.
fn paired(heap: &Heap, work: impl Fn(&Heap) -> usize) -> (f64, f64) {
    let rounds: Vec<(f64, f64)> = (0..ROUNDS).map(|_| (once(heap, |h| sum(h) as usize), once(heap, &work))).collect();
    (median(rounds.iter().map(|r| r.1).collect()), median(rounds.iter().map(|r| r.1 / r.0).collect()))
}
