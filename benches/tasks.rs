//! How long the wait graph takes beside the type table, whole processes: `cargo bench --bench tasks [-- TASKS]`.
//!
//! One snapshot of tasks that wait for futures and one of tasks that sleep, both of nothing else. Prints medians of
//! paired rounds; nothing passes or fails. `PYTHON` names another interpreter than python3.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// Each time all commands, one after the other, so that what else the machine does meets all alike.
const ROUNDS: usize = 15;

const PROGRAM: &str = env!("CARGO_BIN_EXE_pymem-tui");

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn timed(arguments: &[&str]) -> f64 {
    let start = Instant::now();
    let status = Command::new(PROGRAM).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    assert!(status.is_ok_and(|s| s.success()), "{arguments:?} failed");
    start.elapsed().as_secs_f64() * 1e3
}

fn compare(tasks: &str, kind: &[&str]) {
    let folder = tempfile::tempdir_in(std::env::var_os("TMPDIR").unwrap_or("/var/tmp".into())).unwrap();
    let snapshot = folder.path().join("snapshot");
    make(tasks, kind, &snapshot);
    let path = snapshot.to_str().unwrap();
    let commands: [&[&str]; 4] = [
        &["types", path, "-q"],
        &["tasks", path, "-q"],
        &["tasks", path, "-q", "--name", "Task-1"],
        &["tasks", path, "-q", "--json"],
    ];
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); commands.len()];
    for _ in 0..ROUNDS {
        times.iter_mut().zip(commands).for_each(|(all, command)| all.push(timed(command)));
    }
    println!("{tasks} tasks {}", kind.join(" "));
    let types = times[0].clone();
    for (all, name) in times.into_iter().zip(["types", "tasks", "tasks --name Task-1", "tasks --json"]) {
        let ratio = median(all.iter().zip(&types).map(|(time, types)| time / types).collect());
        println!("  {name:20} {:7.0} ms  {ratio:5.2} × types", median(all));
    }
}

/// Starts a Python program with so many tasks and captures it.
fn make(tasks: &str, kind: &[&str], to: &Path) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/targets/heap.py");
    let python = std::env::var("PYTHON").unwrap_or("python3".into());
    let mut child = Command::new(python)
        .arg(script)
        .args(["0", "--tasks", tasks])
        .args(kind)
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 starts");
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line).unwrap();
    let captured =
        Command::new(PROGRAM).args(["capture", "-q", "--pid", &child.id().to_string(), "-o"]).arg(to).status();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(captured.is_ok_and(|s| s.success()), "{tasks} tasks could not be captured");
}

fn main() {
    // cargo adds an option of its own
    let tasks = std::env::args().skip(1).find(|a| !a.starts_with('-')).unwrap_or("100000".into());
    compare(&tasks, &[]);
    compare(&tasks, &["--asleep"]);
}
