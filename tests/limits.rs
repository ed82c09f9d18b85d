//! Limits on a process or on the machine: they are seen before anything is stopped, told, and answered by the plain way.
//!
//! Control groups are real ones where they can be made; what is a setting of the whole machine is shown to the program
//! alone, in a mount namespace of its own.

#[path = "capture/target.rs"]
mod target;
#[path = "explore/terminal.rs"]
mod terminal;

use serde_json::Value;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use target::{BINARY, Target, all_run, has, is_root, skip, until};
use terminal::Terminal;

/// A process with 60 MB and threads that wait.
fn waiting() -> Target {
    Target::python(
        "import threading\nheap = [bytearray(b'x' * (1 << 20)) for i in range(60)]\n\
         for i in range(3): threading.Thread(target=threading.Event().wait, daemon=True).start()\n",
    )
}

/// What a fork of it comes to: it is captured plainly, for this reason, and goes on.
fn plainly_because(target: &mut Target, run: impl FnOnce(&Path) -> Command, why: &str) {
    let folder = tempfile::tempdir().unwrap();
    let out = run(&folder.path().join("dump")).stdin(Stdio::null()).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let told: Value = serde_json::from_slice(&out.stdout).unwrap();
    let reason = told["mode_reason"].as_str().unwrap_or_default();
    assert!(told["mode"] == "plain" && reason.contains(why), "{}: {reason}", told["mode"]);
    assert!(told["problems"].to_string().contains(why), "{told}");
    target.answers();
    assert!(all_run(target.pid()));
}

fn forking(pid: i32, dump: &Path) -> Command {
    let mut command = Command::new(BINARY);
    command.args(["capture", "--json", "-q", "--mode", "fork", "--pid", &pid.to_string(), "-o"]).arg(dump);
    command
}

/// A control group of its own for a process; gone with it.
struct Group(PathBuf);

impl Group {
    /// Below the one that this process is in, of a controller of version 1, or of version 2.
    fn of(controller: &str, pid: i32) -> Option<Group> {
        let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
        let at = |named: &str| groups.lines().find_map(|l| l.split_once(':')?.1.strip_prefix(named).map(str::to_owned));
        let parent = match at(&format!("{controller}:/")) {
            Some(path) => Path::new("/sys/fs/cgroup").join(controller).join(path),
            None => Path::new("/sys/fs/cgroup").join(at(":/")?),
        };
        let group = Group(parent.join(format!("pymem-tui-test-{}-{pid}", std::process::id())));
        std::fs::create_dir(&group.0).ok()?;
        group.write("cgroup.procs", &pid.to_string()).then_some(group)
    }

    fn write(&self, file: &str, value: &str) -> bool {
        std::fs::write(self.0.join(file), value).is_ok()
    }

    fn read(&self, file: &str) -> Option<u64> {
        std::fs::read_to_string(self.0.join(file)).ok()?.trim().parse().ok()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        until("the control group is empty and removed", || std::fs::remove_dir(&self.0).is_ok() || !self.0.exists());
    }
}

#[test]
fn a_group_that_may_have_no_more_processes() {
    let mut target = waiting();
    let Some(group) = Group::of("pids", target.pid()) else { return skip("no control group can be made") };
    let now = group.read("pids.current").unwrap_or(0);
    if now < 4 || !group.write("pids.max", &(now + 1).to_string()) {
        drop(target);
        return skip("the control group does not count processes");
    }
    let pid = target.pid();
    plainly_because(&mut target, |dump| forking(pid, dump), "pids.max");
    // and where there is room it is forked
    assert!(group.write("pids.max", "max"));
    let folder = tempfile::tempdir().unwrap();
    let out = forking(pid, &folder.path().join("dump")).output().unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&out.stdout).unwrap()["mode"], "fork");
    drop(target);
}

#[test]
fn a_group_with_little_memory_left() {
    let mut target = waiting();
    let Some(group) = Group::of("memory", target.pid()) else { return skip("no control group can be made") };
    // what the process had before it joined is counted elsewhere
    if !group.write("memory.limit_in_bytes", "50000000") && !group.write("memory.max", "50000000") {
        drop(target);
        return skip("the control group does not count memory");
    }
    let pid = target.pid();
    plainly_because(&mut target, |dump| forking(pid, dump), "its control group has");
    drop(target);
}

#[test]
fn a_machine_that_promises_no_more_than_it_has() {
    if !is_root() || !has("unshare") {
        return skip("needs root and unshare");
    }
    let mut target = waiting();
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("overcommit", "2\n");
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap();
    let other = |line: &&str| !line.starts_with("CommitLimit:") && !line.starts_with("Committed_AS:");
    let rest: String = meminfo.lines().filter(other).map(|line| format!("{line}\n")).collect();
    write("meminfo", &format!("{rest}CommitLimit:     1000000 kB\nCommitted_AS:     990000 kB\n"));
    let script = r#"mount --bind "$1/overcommit" /proc/sys/vm/overcommit_memory
        mount --bind "$1/meminfo" /proc/meminfo
        shift; exec "$@""#;
    let pid = target.pid();
    let within = |dump: &Path| {
        let inner = forking(pid, dump);
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-e", "-c", script, "sh"]).arg(folder.path());
        command.arg(inner.get_program()).args(inner.get_args());
        command
    };
    plainly_because(&mut target, within, "vm.overcommit_memory is 2");
}

/// The number in a file below /proc.
fn score(pid: u32) -> Option<i32> {
    std::fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).ok()?.trim().parse().ok()
}

#[test]
fn when_memory_runs_out_we_go_before_the_process() {
    let mut target = waiting();
    let before = score(target.pid() as u32);
    // nobody reads the stream, so that it lives for as long as it is looked at
    let mut tool = Command::new(BINARY);
    tool.args(["capture", "-q", "--stream-format", "raw", "--pid", &target.pid().to_string(), "-o", "-"]);
    let mut tool = tool.stdout(Stdio::piped()).spawn().unwrap();
    let mut first = [0];
    let mut out = tool.stdout.take().unwrap();
    out.read_exact(&mut first).unwrap();
    assert_eq!(score(tool.id()), Some(1000));
    assert_eq!(score(target.pid() as u32), before);
    drop(out);
    tool.wait().unwrap();
    target.answers();
}

#[test]
fn how_long_it_is_going_to_stand_still_is_said_for_each_way() {
    let mut target = waiting();
    let pid = target.pid().to_string();
    let folder = tempfile::tempdir().unwrap();
    for (mode, words) in [("auto", "through a fork"), ("fork", "through a fork; plainly"), ("plain", "(plainly)")] {
        let dump = folder.path().join(mode);
        let options = ["capture", "--mode", mode, "--pid", &pid, "-o", dump.to_str().unwrap()];
        let mut terminal = Terminal::start(&options, (160, 24));
        assert_eq!(terminal.ended(), 0);
        let screen = terminal.wait("the answer", |s| s.contains("paused "));
        let line = screen.lines().find(|l| l.contains("a pause of about"));
        let line = line.unwrap_or_else(|| panic!("{mode}: nothing is said:\n{screen}"));
        assert!(line.starts_with(&format!("process {pid}: ")) && line.contains("MB to copy"), "{line}");
        assert!(line.contains(words), "{mode}: {line}");
        // what was said is in the snapshot
        let json: Value = serde_json::from_slice(&std::fs::read(dump.join("snapshot.json")).unwrap()).unwrap();
        let expected = json["expected_pause_ms"].as_f64().unwrap();
        let said: f64 = line.split("about ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        assert!((said - expected).abs() <= 0.5 + expected / 50.0, "{mode}: {said} and {expected}");
    }
    // a limit that no way keeps: nothing is stopped, and both sides of it are told
    let mut tool = Command::new(BINARY);
    tool.args(["capture", "--max-pause", "0", "--pid", &pid, "-o"]).arg(folder.path().join("none"));
    let out = tool.output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.code() == Some(1) && said.contains("--max-pause") && said.contains("about"), "{said}");
    assert!(!folder.path().join("none").exists());
    target.answers();
}
