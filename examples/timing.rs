use pymem_tui::{cpython::runtime::Interpreter, heap::*, progress::Progress, snapshot::*};
use std::{sync::Arc, time::Instant};
fn main() {
    let path = std::env::args().nth(1).unwrap();
    let t = Instant::now();
    let s = Arc::new(Snapshot::open(path.as_ref()).unwrap());
    eprintln!("open {:?}", t.elapsed());
    let t = Instant::now();
    let sum: u64 = {
        use rayon::prelude::*;
        s.regions()
            .iter()
            .flat_map(|r| r.bytes().chunks(1 << 22))
            .collect::<Vec<_>>()
            .par_iter()
            .map(|c| {
                c.chunks_exact(8)
                    .map(|w| u64::from_le_bytes(w.try_into().unwrap()))
                    .fold(0u64, |a, b| a.wrapping_add(b))
            })
            .reduce(|| 0, |a, b| a.wrapping_add(b))
    };
    eprintln!("sum {:?} {sum}", t.elapsed());
    let t = Instant::now();
    let i = Interpreter::find(&s).unwrap();
    eprintln!("interp {:?}", t.elapsed());
    let t = Instant::now();
    let p = Progress::default();
    let sv = survey::Survey::of(&s, &i, &p).unwrap();
    eprintln!("survey {:?} pieces {} candidates {}", t.elapsed(), sv.pieces.len(), sv.candidates.len());
    let t = Instant::now();
    let plan = Plan::new(&s, &i, &p).unwrap();
    eprintln!("plan {:?} types {}", t.elapsed(), plan.types.len());
    let t = Instant::now();
    let heap = Heap::scan(s.clone(), i, plan, &p).unwrap();
    eprintln!("scan {:?} objects {} bytes {}", t.elapsed(), heap.objects().len(), heap.objects().heap_bytes());
    let t = Instant::now();
    let e = heap.edges(&p).unwrap();
    eprintln!("edges {:?} {} bytes {}", t.elapsed(), e.len(), e.heap_bytes());
}
