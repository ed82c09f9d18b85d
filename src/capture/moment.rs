//! When the process was stopped: by the calendar, and by the clock that its event loops go by.
//!
//! Nothing is made of the times here.

use nix::time::{ClockId, clock_gettime};
use std::time::{Duration, SystemTime};

/// A moment.
pub(super) struct Moment {
    pub calendar: SystemTime,
    /// `CLOCK_MONOTONIC` as the process has it.
    pub monotonic: Option<Duration>,
}

impl Moment {
    /// Now, for a process that is there.
    pub fn now(pid: i32) -> Moment {
        let calendar = SystemTime::now();
        let offset = |of: &str| {
            let text = std::fs::read_to_string(format!("/proc/{of}/timens_offsets")).unwrap_or_default();
            monotonic_offset(&text)
        };
        let ours = clock_gettime(ClockId::CLOCK_MONOTONIC).ok();
        let ours = ours.map(|t| i128::from(t.tv_sec()) * NANOSECONDS + i128::from(t.tv_nsec()));
        let theirs = ours.map(|ours| ours - offset("self") + offset(&pid.to_string()));
        let monotonic = theirs.and_then(|t| u64::try_from(t).ok()).map(Duration::from_nanos);
        Moment { calendar, monotonic }
    }
}

const NANOSECONDS: i128 = 1_000_000_000;

/// How far a time namespace is ahead, in nanoseconds; `time_namespaces(7)`. Kernels before 5.6 have none.
fn monotonic_offset(text: &str) -> i128 {
    let line = text.lines().find_map(|line| line.strip_prefix("monotonic"));
    let words = line.unwrap_or_default().split_whitespace();
    let numbers: Vec<i64> = words.map_while(|word| word.parse().ok()).collect();
    let (seconds, nanoseconds) = match *numbers {
        [seconds, nanoseconds] => (seconds, nanoseconds),
        _ => (0, 0),
    };
    i128::from(seconds) * NANOSECONDS + i128::from(nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_namespace_has_its_offset() {
        assert_eq!(monotonic_offset("monotonic           -7         5\nboottime 9 9\n"), -7 * NANOSECONDS + 5);
        for other in ["", "monotonic", "monotonic x 5", "boottime 9 9"] {
            assert_eq!(monotonic_offset(other), 0, "{other}");
        }
    }
}
