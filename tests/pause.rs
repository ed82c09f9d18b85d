//! A copy that takes longer than was thought: the process is let go, and what was copied is thrown away.

#[path = "capture/target.rs"]
mod target;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pymem_tui::capture::{CaptureError, Destination, Limits, Mode, Options, prepare};
use pymem_tui::progress::Progress;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;
use target::{BINARY, Target};

/// Grows by 400 MB when it is asked to.
const GROWS: &str = "
import sys
print('ready', flush=True)
for line in sys.stdin:
    if line.strip() == 'grow':
        heap = [bytearray(b'x' * (1 << 20)) for i in range(400)]
    print('answer', line.strip(), flush=True)
";

fn left_in(folder: &Path) -> Vec<std::ffi::OsString> {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect()
}

/// The process grows after it was looked at, so that nothing is refused before it stops.
#[test]
fn a_copy_that_takes_longer_than_was_thought_is_given_up() {
    const ALLOWED: Duration = Duration::from_millis(20);
    let folder = tempfile::tempdir().unwrap();
    for max_buffer in [None, Some(1 << 20)] {
        let mut target = Target::with_loop(Command::new(target::interpreter()), "", GROWS);
        let limits = Limits { max_pause: Some(ALLOWED), max_buffer, ..Limits::default() };
        let prepared = prepare(target.pid(), &Options { mode: Mode::Plain, limits, ..Options::default() });
        let prepared = prepared.expect("a small process is expected to be copied in time");
        assert!(prepared.expectation().pause() < ALLOWED);
        assert_eq!(target.ask("grow"), "answer grow");
        let to = Destination::Directory(folder.path().join("dump"));
        let error = prepared.take(to, &Progress::default()).unwrap_err();
        assert!(matches!(error, CaptureError::PauseTooLong { .. }), "{error}");
        assert!(target::all_run(target.pid()));
        target.answers();
        assert_eq!(left_in(folder.path()), [] as [&str; 0]);
    }
}

/// The program is stopped while it copies, for longer than it may take.
#[test]
fn giving_up_is_one_sentence_that_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    for buffer in ["1G", "1M"] {
        let mut target = Target::with_loop(Command::new(target::interpreter()), "", GROWS);
        assert_eq!(target.ask("grow"), "answer grow");
        let out = (0..20).find_map(|_| held_while_it_copies(target.pid(), &folder.path().join("dump"), buffer));
        let out = out.expect("the program is caught while it copies");
        let told = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(1), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
        assert!(told.contains("was let go after 3000 ms (--max-pause)") && told.contains("--mode fork"), "{told}");
        assert!(target::all_run(target.pid()));
        target.answers();
        assert_eq!(left_in(folder.path()), [] as [&str; 0], "{buffer}");
    }
}

/// Captures `pid` and holds the program for longer than its `--max-pause`. `None`: it was through before it was held.
fn held_while_it_copies(pid: i32, dump: &Path, buffer: &str) -> Option<Output> {
    let mut command = Command::new(BINARY);
    command.args(["capture", "-q", "--mode", "plain", "--max-pause", "3000", "--max-buffer", buffer, "--threads", "1"]);
    command.args(["--pid", &pid.to_string(), "-o"]).arg(dump);
    let mut tool = command.stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let stopped = || target::state(pid) == Some('t');
    while !stopped() && tool.try_wait().unwrap().is_none() {}
    if tool.try_wait().unwrap().is_none() {
        let tell = |signal| kill(Pid::from_raw(tool.id() as i32), signal).unwrap();
        tell(Signal::SIGSTOP);
        if stopped() {
            std::thread::sleep(Duration::from_millis(3100));
        }
        tell(Signal::SIGCONT);
    }
    let out = tool.wait_with_output().unwrap();
    let whole = out.status.success();
    if whole {
        std::fs::remove_dir_all(dump).unwrap();
    }
    (!whole).then_some(out)
}
