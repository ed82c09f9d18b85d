//! Threads that wait for each other: the cycles of a graph in which each waits for at most one other.
//!
//! Only holders that are certain make an edge, and only waits that have no end.

use super::Waiting;
use crate::analysis::answers::Thread;
use std::fmt::Write;

/// The cycles, each from its first thread on; `next` is the thread that each waits for. `O(n)`.
pub(super) fn cycles(next: &[Option<usize>]) -> Vec<Vec<usize>> {
    let mut met: Vec<Option<usize>> = vec![None; next.len()];
    let mut cycles = Vec::new();
    for start in 0..next.len() {
        let (mut path, mut at) = (Vec::new(), Some(start));
        while let Some(i) = at {
            match met.get(i).copied() {
                None => break,
                Some(Some(walk)) => {
                    if walk == start {
                        let cycle: Vec<usize> = path.iter().copied().skip_while(|p| *p != i).collect();
                        cycles.push(cycle);
                    }
                    break;
                }
                Some(None) => {
                    if let Some(walk) = met.get_mut(i) {
                        *walk = Some(start);
                    }
                    path.push(i);
                    at = next.get(i).copied().flatten();
                }
            }
        }
    }
    cycles
}

/// `A waits for Lock 0x… held by B at f.py:12; B waits for …`.
pub(super) fn sentence(cycle: &[usize], waits: &[Option<Waiting>], rows: &[Thread]) -> String {
    let name = |i: usize| rows.get(i).map_or("?", |row| row.name.as_deref().unwrap_or("unnamed"));
    let mut text = String::new();
    let one = cycle.len() == 1;
    for i in cycle {
        let Some(Waiting { wait, holder: Some(holder) }) = waits.get(*i).and_then(Option::as_ref) else { continue };
        let held = if one { "itself" } else { name(*holder) };
        let between = if text.is_empty() { "" } else { "; " };
        let _ = match wait.what.as_str() {
            "Thread.join" => write!(text, "{between}{} waits for the end of {held}", name(*i)),
            _ => {
                let ty = wait.type_name.rsplit('.').next().unwrap_or_default();
                let ty = if ty == "lock" { "Lock" } else { ty };
                write!(text, "{between}{} waits for {ty} {} held by {held}", name(*i), wait.address)
            }
        };
        if let Some(place) = &wait.held_at {
            let line = place.line.map(|n| format!(":{n}")).unwrap_or_default();
            let _ = write!(text, " at {}{line}", place.file.rsplit('/').next().unwrap_or_default());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::cycles;

    #[test]
    fn only_what_closes_is_a_cycle() {
        assert!(cycles(&[]).is_empty());
        assert!(cycles(&[Some(1), Some(2), None]).is_empty());
        assert_eq!(cycles(&[Some(1), Some(0)]), [[0, 1]]);
        assert_eq!(cycles(&[Some(0)]), [[0]]);
        // one that waits for a deadlocked one is not part of it
        assert_eq!(cycles(&[Some(1), Some(2), Some(1), Some(9)]), [[1, 2]]);
        assert_eq!(cycles(&[Some(2), Some(3), Some(0), Some(1)]), [[0, 2], [1, 3]]);
    }
}
