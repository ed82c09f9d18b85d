//! The fuzz targets, for a moment: their seeds, and mutations of them that are the same each time.
//!
//! `fuzz/run` asks the same functions for as long as one likes. With `PYMEM_TUI_SEEDS=DIR` the seeds are written there,
//! one folder a target.

#[path = "../fuzz/src/lib.rs"]
mod fuzz;

use fuzz::mutate::{Noise, mutated};
use fuzz::{seeds, targets};
use std::path::Path;
use std::time::{Duration, Instant};

/// Each target ends after so many inputs, or this time on a slow machine.
const INPUTS: usize = 400;
const LONGEST: Duration = Duration::from_secs(20);

#[test]
fn every_target_survives_its_seeds_and_their_mutations() {
    for (number, (name, target)) in targets::ALL.into_iter().enumerate() {
        let seeds = seeds::of(name);
        assert!(!seeds.is_empty() && seeds.iter().all(|s| s.len() > 20), "{name} has no seeds");
        seeds.iter().for_each(|seed| target(seed));
        let mut noise = Noise(0x9e37_79b9_7f4a_7c15 ^ (number as u64 + 1));
        let begun = Instant::now();
        let mut inputs = 0;
        while inputs < INPUTS && begun.elapsed() < LONGEST {
            let input = mutated(&seeds[noise.below(seeds.len())], &mut noise);
            let before = Instant::now();
            target(&input);
            let took = before.elapsed();
            assert!(took < Duration::from_secs(5), "{name}: {took:?} for {input:?}");
            inputs += 1;
        }
        println!("{name}: {inputs} inputs in {:?}", begun.elapsed());
    }
}

#[test]
fn seeds_are_written_where_somebody_wants_them() {
    let Some(folder) = std::env::var_os("PYMEM_TUI_SEEDS") else { return };
    for name in targets::ALL.iter().map(|(name, _)| *name).chain(["heap", "offsets"]) {
        let folder = Path::new(&folder).join(name);
        std::fs::create_dir_all(&folder).unwrap();
        for (i, seed) in seeds::of(name).iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{i}")), seed).unwrap();
        }
    }
}

/// `fuzz/coverage` asks for it: every file of one target's corpus.
#[test]
fn a_corpus_is_run_where_there_is_one() {
    let Some(corpus) = std::env::var_os("PYMEM_TUI_CORPUS") else { return };
    let name = std::env::var("PYMEM_TUI_TARGET").unwrap();
    let of_memory: [(&str, targets::Target); 2] = [("heap", targets::heap), ("offsets", targets::offsets)];
    let (_, target) = targets::ALL.into_iter().chain(of_memory).find(|(n, _)| *n == name).unwrap();
    let inputs = std::env::split_paths(&corpus).flat_map(|folder| std::fs::read_dir(folder).unwrap());
    for input in inputs {
        target(&std::fs::read(input.unwrap().path()).unwrap());
    }
}

/// A seed that is refused would try nothing behind the first check.
#[test]
fn the_seeds_are_right() {
    use pymem_tui::snapshot::Snapshot;
    for (i, seed) in seeds::whole().iter().enumerate() {
        let opened = Snapshot::open_reader(&mut &seed[..], Path::new("seed"), Path::new("/"), &Default::default());
        let snapshot = opened.unwrap_or_else(|e| panic!("seed {i}: {e}"));
        assert!(!snapshot.regions().is_empty(), "seed {i}");
    }
}
