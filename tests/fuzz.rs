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
    let folder = std::env::var_os("PYMEM_TUI_SEEDS");
    for (number, (name, target)) in targets::ALL.into_iter().enumerate() {
        let seeds = seeds::of(name);
        assert!(!seeds.is_empty() && seeds.iter().all(|s| s.len() > 20), "{name} has no seeds");
        for (i, seed) in seeds.iter().enumerate() {
            target(seed);
            if let Some(folder) = &folder {
                let folder = Path::new(folder).join(name);
                std::fs::create_dir_all(&folder).unwrap();
                std::fs::write(folder.join(format!("seed-{i}")), seed).unwrap();
            }
        }
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

/// A seed that is refused would try nothing behind the first check.
#[test]
fn the_seeds_are_right() {
    use pymem_tui::snapshot::Snapshot;
    for (i, seed) in seeds::of("source").iter().enumerate() {
        let opened = Snapshot::open_reader(&mut &seed[..], Path::new("seed"), Path::new("/"), &Default::default());
        let snapshot = opened.unwrap_or_else(|e| panic!("seed {i}: {e}"));
        assert!(!snapshot.regions().is_empty(), "seed {i}");
    }
}
