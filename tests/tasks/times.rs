//! When what tasks wait for ends: sleeps to the nanosecond, timeouts within the time that it took to begin them.

use super::lines;
use super::support::Target;
use nix::time::{ClockId, clock_gettime};
use pymem_tui::analysis::answers::Task;
use pymem_tui::heap::Heap;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

/// uvloop counts milliseconds, and so does `captured_at`.
const ROUNDING: f64 = 0.01;

pub fn differences(target: &Target, by_address: &BTreeMap<u64, &Task>, heap: &Heap) -> Vec<String> {
    let mut wrong = Vec::new();
    let until: Vec<(u64, f64)> = lines(target, "until");
    for (task, when) in &until {
        let wait = by_address.get(task).and_then(|t| t.waits_in.as_ref());
        if wait.and_then(|w| w.until) != Some(*when) {
            wrong.push(format!("a sleep is over at {wait:?}, not {when}"));
        }
        wrong.extend(left(heap, *when, wait.and_then(|w| w.left)));
    }
    let timeouts: Vec<(u64, f64, f64)> = lines(target, "timeout");
    for (task, from, to) in &timeouts {
        let found = by_address.get(task).and_then(|t| t.timeout);
        if !found.is_some_and(|ends| (from - ROUNDING..to + ROUNDING).contains(&ends.until)) {
            wrong.push(format!("a wait times out at {found:?}, not between {from} and {to}"));
        }
        wrong.extend(found.and_then(|ends| left(heap, ends.until, ends.left)));
    }
    if (until.len(), timeouts.len()) != (1, 3) {
        wrong.push(format!("{} sleeps and {} timeouts are told", until.len(), timeouts.len()));
    }
    let behind = by_address.values().find(|t| t.name.as_deref() == Some("behind one that times out"));
    if behind.is_none_or(|t| t.timeout.is_some()) {
        wrong.push(format!("who awaits a task has none of its timeouts: {behind:?}"));
    }
    let ends = by_address.values().filter(|t| t.timeout.is_some()).count();
    let may =
        |t: &&&Task| t.stack.iter().any(|f| ["wait_for", "timed", "limited", "wait"].contains(&f.function.as_str()));
    if ends > by_address.values().filter(may).count() {
        wrong.push(format!("{ends} tasks are said to time out"));
    }
    wrong
}

/// The rest of the time at the capture: the clock of the loops now, less what has passed since then by the calendar.
fn left(heap: &Heap, until: f64, found: Option<f64>) -> Option<String> {
    let metadata = heap.snapshot().metadata()?;
    let captured = humantime::parse_rfc3339(metadata.captured_at.as_ref()?).ok()?;
    let since = SystemTime::now().duration_since(captured).unwrap_or(Duration::ZERO).as_secs_f64();
    let now = Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC).ok()?).as_secs_f64();
    let expected = until - (now - since);
    let fits = found.is_some_and(|found| (found - expected).abs() < 0.05);
    (!fits).then(|| format!("{found:?} seconds are left, not {expected}"))
}
