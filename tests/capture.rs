//! Capturing live processes: what is copied is what is there, and nobody is harmed.

#[path = "capture/target.rs"]
mod target;

use pymem_tui::capture::{CaptureError, Captured, Destination, Options, capture};
use pymem_tui::progress::Progress;
use pymem_tui::snapshot::store::{Store, WriteError};
use pymem_tui::snapshot::{Addr, Snapshot, meta, save};
use std::collections::BTreeSet;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use target::{BINARY, Target, has, is_root, skip, until};

/// Memory with a known content, memory with one touched page, and memory that was never touched.
const PATTERN: &str = r#"
import ctypes, mmap
pattern = ctypes.create_string_buffer(bytes((i * i >> 3) & 255 for i in range(1 << 20)), 1 << 20)
sparse = mmap.mmap(-1, 64 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
sparse[33 << 20] = 7
shared = mmap.mmap(-1, 1 << 20)
shared[0] = 1
def address(m):
    return ctypes.addressof(ctypes.c_char.from_buffer(m))
print(ctypes.addressof(pattern), address(sparse), address(shared))
"#;

fn pattern() -> Vec<u8> {
    (0..1u64 << 20).map(|i| ((i * i) >> 3) as u8).collect()
}

fn take(pid: i32, destination: Destination) -> Result<Captured, CaptureError> {
    capture(pid, destination, &Options::default(), &Progress::default())
}

fn names(folder: &Path) -> BTreeSet<String> {
    std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn what_is_captured_is_what_is_there() {
    let mut python = Target::python(PATTERN);
    let addresses: Vec<u64> = python.line().split(' ').map(|a| a.parse().unwrap()).collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dump");
    let captured = take(python.pid(), Destination::Directory(path.clone())).unwrap();
    assert_eq!(captured.path(), Some(path.as_path()));
    assert!(captured.pause.as_millis() < 5000);
    let kept = captured.open().unwrap();
    let temporary = take(python.pid(), Destination::Temporary).unwrap().open().unwrap();
    python.answers();
    assert_eq!(names(folder.path()), BTreeSet::from(["dump".to_owned()]));

    for snapshot in [&kept, &temporary] {
        assert_eq!(snapshot.problems(), [] as [String; 0]);
        let reader = snapshot.reader();
        let mut bytes = vec![0; 1 << 20];
        reader.read(Addr(addresses[0]), &mut bytes).unwrap();
        assert!(bytes == pattern());
        assert_eq!(reader.u8(Addr(addresses[1] + (33 << 20))), Some(7));
        assert_eq!(reader.u8(Addr(addresses[1])), Some(0), "untouched memory is there, as a hole");
        // its own part of the mapping: the kernel may join it to that of the pattern, which lies beside it then
        let region = snapshot.region_of(Addr(addresses[1])).unwrap();
        let from = addresses[1] - region.start.0;
        let within = |e: &Range<u64>| e.end.min(from + (64 << 20)).saturating_sub(e.start.max(from));
        let data: u64 = region.extents().iter().map(within).sum();
        let block = folder.path().metadata().unwrap().blksize().max(4096); // file systems keep holes by the block
        assert!((4096..=block).contains(&data), "only the touched page has data: {:?} from {from}", region.extents());
        assert_eq!(reader.u8(Addr(addresses[2])), None, "shared memory is left out");
        let shared = snapshot.metadata().unwrap().regions.iter().find(|m| m.start.0 == addresses[2]).unwrap();
        assert!(!shared.captured && shared.permissions == "rw-s");
        assert!(shared.resident_bytes.is_some_and(|b| b >= 4096), "{:?}", shared.resident_bytes);
    }
}

#[test]
fn a_directory_has_python_memtools_names_and_holes() {
    let mut python = Target::python(PATTERN);
    let sparse: u64 = python.line().split(' ').nth(1).unwrap().parse().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dump");
    take(python.pid(), Destination::Directory(path.clone())).unwrap();
    let mut found = false;
    for name in names(&path) {
        let info = path.join(&name).metadata().unwrap();
        assert_eq!(info.mode() & 0o777, 0o600);
        if name == meta::FILE_NAME {
            continue;
        }
        let parts: Vec<_> = name.split('.').collect();
        assert!(matches!(parts[..], ["mem", _, _, "bin"]), "{name}");
        assert!(parts[1..3].iter().all(|p| p.len() == 16 && !p.chars().any(|c| c.is_ascii_lowercase())), "{name}");
        let [start, end] = [1, 2].map(|i| u64::from_str_radix(parts[i], 16).unwrap());
        assert_eq!(info.len(), end - start, "{name}");
        if start <= sparse && sparse + (64 << 20) <= end {
            found = true;
            assert!(info.blocks() * 512 <= 2 << 20, "{name}: {} blocks", info.blocks());
        }
    }
    assert!(found);
    assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o700);
}

#[test]
fn the_kernels_words_are_kept() {
    let mut python = Target::python(
        "import threading, os\nt = threading.Thread(target=threading.Event().wait, name='waiter', daemon=True)\n\
         t.start()\nprint(t.native_id)\n",
    );
    let waiter: i32 = python.line().parse().unwrap();
    until("the waiter waits", || target::state(waiter) == Some('S'));
    let captured = take(python.pid(), Destination::Temporary).unwrap();
    let metadata = captured.metadata.clone();
    assert_eq!(metadata.format, meta::FORMAT);
    assert_eq!(metadata.mode, "plain");
    assert_eq!(metadata.process.pid, python.pid());
    assert!(metadata.process.exe.as_ref().is_some_and(|exe| exe.contains("python")), "{:?}", metadata.process.exe);
    assert!(metadata.process.command_line.iter().any(|a| a == "-c"), "{:?}", metadata.process.command_line);
    assert!(metadata.process.memory["VmRSS"] > 1 << 20 && metadata.process.rollup["Rss"] > 1 << 20);
    let started = humantime::parse_rfc3339(metadata.process.started_at.as_ref().unwrap()).unwrap();
    assert!(started.elapsed().unwrap().as_secs() < 600);
    assert!(humantime::parse_rfc3339(metadata.captured_at.as_ref().unwrap()).unwrap() >= started);

    let thread = metadata.threads.iter().find(|t| t.tid == waiter).unwrap();
    assert_eq!(thread.state, "S");
    assert!(!thread.name.is_empty());
    assert_eq!(thread.registers.len(), 27);
    let syscall = thread.syscall.as_ref().unwrap();
    assert_eq!((syscall.number, syscall.args.len()), (202, 6), "futex");
    assert_eq!(thread.registers["rdi"], syscall.args[0]);
    let snapshot = captured.open().unwrap();
    let fs_base = thread.registers["fs_base"];
    assert_eq!(snapshot.reader().pointer(fs_base), Some(fs_base), "the thread's own block begins with its address");
    let image = snapshot.regions().iter().find(|r| r.is_file() && r.bytes().starts_with(b"\x7fELF")).unwrap();
    assert_eq!(image.file_offset, 0);
    let file = std::fs::read(image.file.as_ref().unwrap()).unwrap();
    assert!(file.starts_with(image.bytes()) || image.bytes().starts_with(&file), "{:?}", image.file);
}

#[test]
fn fifty_threads_are_stopped_and_let_go() {
    let python = Target::python(
        "import threading\nevent = threading.Event()\n\
         for i in range(50): threading.Thread(target=event.wait, daemon=True).start()\n",
    );
    let mut python = python;
    let captured = take(python.pid(), Destination::Temporary).unwrap();
    assert_eq!(captured.metadata.threads.len(), 51);
    assert!(captured.metadata.threads.iter().all(|t| t.registers.len() == 27));
    python.answers();
    assert!(target::all_run(python.pid()));
}

#[test]
fn a_stopped_process_is_captured_and_stays_stopped() {
    let mut python = Target::python("");
    python.signal("STOP");
    until("it stands still", || target::state(python.pid()) == Some('T'));
    let captured = take(python.pid(), Destination::Temporary).unwrap();
    assert_eq!(captured.metadata.threads[0].state, "T");
    assert_eq!(target::state(python.pid()), Some('T'));
    assert_eq!(target::tracer(python.pid()), 0);
    python.signal("CONT");
    python.answers();
}

#[test]
fn a_thread_that_cannot_be_stopped_is_let_be() {
    // vfork, and a child that sleeps: its parent waits in the kernel, uninterruptibly
    let mut python = Target::python(
        "import ctypes, mmap, threading\n\
         code = bytes.fromhex('b83a0000000f0585c0750eb8220000000f05b83c0000000f05c3')\n\
         page = mmap.mmap(-1, 4096, prot=7)\npage.write(code)\n\
         vfork = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))\n\
         t = threading.Thread(target=lambda: print('forked', vfork() > 0, flush=True))\nt.start()\nprint(t.native_id)\n",
    );
    let waiter: i32 = python.line().parse().unwrap();
    until("it waits in the kernel", || target::state(waiter) == Some('D'));
    let captured = take(python.pid(), Destination::Temporary).unwrap();
    let metadata = &captured.metadata;
    let described = metadata.threads.iter().find(|t| t.tid == waiter).unwrap();
    assert_eq!((described.state.as_str(), described.registers.len()), ("D", 0));
    assert!(metadata.problems.iter().any(|p| p.contains(&waiter.to_string())), "{:?}", metadata.problems);
    assert!(captured.pause.as_millis() < 1000);
    assert!(target::all_run(python.pid()));
    let children = format!("/proc/{}/task/{waiter}/children", python.pid());
    let child: i32 = std::fs::read_to_string(children).unwrap().trim().parse().unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(child), nix::sys::signal::Signal::SIGKILL).unwrap();
    assert_eq!(python.line(), "forked True");
    python.answers();
}

#[test]
fn signals_that_come_meanwhile_arrive() {
    // one byte for each run of the handler; real-time signals are queued, so that none is merged with another
    let mut python = Target::python(
        "import signal, os\nr, w = os.pipe()\nos.set_blocking(w, False)\nsignal.set_wakeup_fd(w)\n\
         signal.signal(signal.SIGRTMIN, lambda *a: None)\nsignal.signal(signal.SIGUSR1, lambda *a: None)\n\
         def count():\n    n = 0\n    while n < 2000: n += len(os.read(r, 4096))\n    print('all', n, flush=True)\n\
         import threading\nthreading.Thread(target=count, daemon=True).start()\n",
    );
    let send = format!(
        "import os, signal, time\nfor i in range(2000):\n    os.kill({}, signal.SIGRTMIN)\n    time.sleep(.0002)\n",
        python.pid()
    );
    let mut sender = Command::new(target::interpreter()).args(["-c", &send]).spawn().unwrap();
    let mut captures = 0;
    while sender.try_wait().unwrap().is_none() {
        take(python.pid(), Destination::Temporary).unwrap();
        captures += 1;
    }
    assert!(captures > 1, "{captures} captures");
    assert_eq!(python.line(), "all 2000");
    python.answers();
}

#[test]
fn a_process_that_ends_meanwhile_is_told() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..50 {
        let python = Target::python("heap = [bytearray(b'x' * (1 << 20)) for i in range(200)]\n");
        let progress = Progress::default();
        let destination = Destination::Directory(folder.path().join(round.to_string()));
        let result = std::thread::scope(|scope| {
            let killer = scope.spawn(|| {
                until("the copy runs", || progress.read().done > 0);
                python.signal("KILL");
            });
            // a fork would have all of it already
            let options = Options { threads: 1, mode: pymem_tui::capture::Mode::Plain, ..Options::default() };
            let result = capture(python.pid(), destination, &options, &progress);
            killer.join().unwrap();
            result
        });
        match result {
            Err(CaptureError::Exited(pid)) => {
                assert_eq!(pid, python.pid());
                assert!(names(folder.path()).iter().all(|n| !n.starts_with('.') && *n != round.to_string()));
                return;
            }
            Err(other) => panic!("{other}"),
            Ok(_) => {} // the copy was faster
        }
    }
    panic!("it was never killed in the middle");
}

#[test]
fn a_cancelled_capture_leaves_nothing() {
    let mut python = Target::python("heap = [bytearray(b'x' * (1 << 20)) for i in range(200)]\n");
    let folder = tempfile::tempdir().unwrap();
    let progress = Progress::default();
    let result = std::thread::scope(|scope| {
        scope.spawn(|| {
            until("it is written", || names(folder.path()).iter().any(|n| n.starts_with(".dump.partial-")));
            progress.cancel();
        });
        capture(python.pid(), Destination::Directory(folder.path().join("dump")), &Options::default(), &progress)
    });
    assert!(
        matches!(result, Err(CaptureError::Cancelled(_) | CaptureError::Write(WriteError::Cancelled(_)))),
        "{result:?}"
    );
    assert!(names(folder.path()).is_empty());
    python.answers();
    assert!(target::all_run(python.pid()));
}

#[test]
fn what_cannot_be_captured_is_said_in_one_sentence() {
    let says = |pid: i32, words: &str| {
        let error = take(pid, Destination::Temporary).err().unwrap_or_else(|| panic!("{pid} was captured")).to_string();
        assert!(error.contains(words) && !error.contains('\n'), "{error}");
    };
    says(i32::MAX, "there is no process");
    says(-1, "there is no process");
    says(std::process::id() as i32, "pymem-tui itself");
    let kernel_thread = std::fs::read_to_string("/proc/2/comm").is_ok_and(|comm| comm == "kthreadd\n");
    if kernel_thread {
        says(2, "kernel thread");
    }
    let sleep = Target::other("sleep", &["1000"]);
    says(sleep.pid(), "is not a Python process");
    assert_eq!(target::tracer(sleep.pid()), 0);
    let zombie = Target::other("true", &[]);
    until("it ends", || target::state(zombie.pid()) == Some('Z'));
    says(zombie.pid(), "has ended already");
    let mut python = Target::python(
        "import threading\nt = threading.Thread(target=threading.Event().wait, daemon=True)\nt.start()\nprint(t.native_id)\n",
    );
    let thread = python.line().parse().unwrap();
    says(thread, &format!("give --pid {}", python.pid()));
}

#[test]
fn an_output_that_exists_is_left_alone() {
    let mut python = Target::python("");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dump");
    std::fs::create_dir(&path).unwrap();
    let error = take(python.pid(), Destination::Directory(path.clone())).unwrap_err();
    assert!(error.to_string().contains("exists already"), "{error}");
    assert!(names(&path).is_empty());
    python.answers();
}

#[test]
fn another_tracer_is_named() {
    let mut python = Target::python("");
    let seize = format!(
        "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\nassert libc.ptrace(0x4206, {}, None, None) == 0\n",
        python.pid()
    );
    let tracer = Target::python(&seize);
    let error = take(python.pid(), Destination::Temporary).unwrap_err().to_string();
    assert!(error.contains(&format!("traced by process {}", tracer.pid())), "{error}");
    drop(tracer);
    python.answers();
    take(python.pid(), Destination::Temporary).unwrap();
}

#[test]
fn a_missing_permission_is_named() {
    if !is_root() || !has("setpriv") {
        return skip("needs root and setpriv");
    }
    let mut python = Target::python("");
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let binary = folder.path().join("pymem-tui");
    std::fs::copy(BINARY, &binary).unwrap();
    let out = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&binary)
        .args(["regions", "--pid", &python.pid().to_string()])
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(1), "{error}");
    assert!(error.contains("belongs to user root") && error.contains("sudo"), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
    let bounded = Command::new("setpriv")
        .args(["--bounding-set=-all", "--inh-caps=-all", "--securebits=+noroot", BINARY])
        .args(["regions", "--pid", &python.pid().to_string()])
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&bounded.stderr);
    if bounded.status.code() == Some(1) {
        assert!(error.contains("CAP_SYS_PTRACE"), "{error}");
    }
    python.answers();
}

#[test]
fn an_owner_who_is_not_root_can_capture() {
    if !is_root() || !has("setpriv") {
        return skip("needs root and setpriv");
    }
    let folder = tempfile::Builder::new().prefix("pymem-tui-").tempdir_in("/tmp").unwrap();
    std::os::unix::fs::chown(folder.path(), Some(65534), Some(65534)).unwrap();
    let binary = folder.path().join("pymem-tui");
    std::fs::copy(BINARY, &binary).unwrap();
    let Some(python) = ["/usr/bin/python3", "/usr/local/bin/python3"].into_iter().find(|p| Path::new(p).exists())
    else {
        return skip("needs an interpreter that everyone may run");
    };
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", python]);
    let mut python = Target::of(command, PATTERN);
    let at: u64 = python.line().split(' ').next().unwrap().parse().unwrap();
    let dump = folder.path().join("dump");
    let out = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&binary)
        .args(["capture", "--pid", &python.pid().to_string(), "-o"])
        .arg(&dump)
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&out.stderr);
    if error.contains("ptrace_scope") {
        return skip("kernel.yama.ptrace_scope forbids it here");
    }
    assert!(out.status.success(), "{error}");
    let snapshot = Snapshot::open(&dump).unwrap();
    let mut bytes = vec![0; 1 << 20];
    snapshot.reader().read(Addr(at), &mut bytes).unwrap();
    assert!(bytes == pattern());
    python.answers();
}

#[test]
fn killed_in_the_middle_nothing_is_left_and_the_target_runs() {
    let mut python = Target::python("heap = [bytearray(b'x' * (1 << 20)) for i in range(200)]\n");
    let folder = tempfile::tempdir().unwrap();
    let (mut killed, mut left) = (0, 0);
    let path = folder.path().join("dump");
    // how long a capture takes here
    let begun = std::time::Instant::now();
    take(python.pid(), Destination::Temporary).unwrap();
    let usual = begun.elapsed() + std::time::Duration::from_millis(30);
    for round in 0..20u32 {
        let before = names(folder.path());
        let mut tool = Command::new(BINARY)
            .args(["capture", "-q", "--pid", &python.pid().to_string(), "-o"])
            .arg(&path)
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // any moment will do, from before the stop to after the copy; some while it writes
        if round < 15 {
            std::thread::sleep(usual * round / 15);
        } else {
            while names(folder.path()) == before && tool.try_wait().unwrap().is_none() {}
        }
        let _ = tool.kill();
        let status = tool.wait().unwrap();
        python.answers();
        assert!(target::all_run(python.pid()), "round {round}");
        killed += u32::from(!status.success());
        // what has its name is whole, also where the program was killed between that and its end
        if status.success() || path.exists() {
            assert_eq!(Snapshot::open(&path).unwrap().problems(), [] as [String; 0], "round {round}");
            std::fs::remove_dir_all(&path).unwrap();
        }
        // each takes away what the one before it left, and what is left is no snapshot
        let partial: Vec<String> = names(folder.path()).into_iter().collect();
        assert!(partial.len() <= 1, "round {round}: {partial:?}");
        if let [partial] = partial.as_slice() {
            left += 1;
            let error = Snapshot::open(&folder.path().join(partial)).unwrap_err().to_string();
            assert!(error.contains("no whole snapshot"), "{error}");
        }
    }
    assert!(killed > 5 && left > 0, "killed in {killed} of 20 rounds, {left} left something");
    take(python.pid(), Destination::Directory(path.clone())).unwrap();
    assert_eq!(names(folder.path()), BTreeSet::from(["dump".to_owned()]));
    Snapshot::open(&path).unwrap();
}

#[test]
fn under_sudo_a_snapshot_belongs_to_who_called_it() {
    if !is_root() {
        return skip("needs root");
    }
    let mut python = Target::python("");
    let folder = tempfile::tempdir().unwrap();
    let pid = python.pid().to_string();
    for (name, options) in [("dump", &["--pid", pid.as_str()][..]), ("several", &["--pid", &pid, "--children"])] {
        let path = folder.path().join(name);
        let out = Command::new(BINARY)
            .args(["capture", "-q", "-o"])
            .arg(&path)
            .args(options)
            .envs([("SUDO_UID", "12345"), ("SUDO_GID", "12346")])
            .output()
            .unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let mut folders = vec![path];
        let mut files = 0;
        while let Some(folder) = folders.pop() {
            let info = folder.metadata().unwrap();
            assert_eq!((info.uid(), info.gid(), info.mode() & 0o777), (12345, 12346, 0o700), "{}", folder.display());
            for entry in std::fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let info = path.metadata().unwrap();
                assert_eq!((info.uid(), info.gid(), info.mode() & 0o777), (12345, 12346, 0o600), "{}", path.display());
                files += 1;
            }
        }
        assert!(files > 5, "{name}: {files} files");
    }
    python.answers();
}

#[test]
fn a_process_that_proc_hides_is_denied_not_missing() {
    if !is_root() || !has("setpriv") || !has("unshare") {
        return skip("needs root, setpriv and unshare");
    }
    let mut python = Target::python("");
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::copy(BINARY, folder.path().join("pymem-tui")).unwrap();
    let script = "mount -t proc -o hidepid=2 proc /proc || exit 77
        exec setpriv --reuid=65534 --regid=65534 --clear-groups \"$0/pymem-tui\" regions --pid \"$1\"";
    let hidden = |pid: i32| {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", script]).arg(folder.path()).arg(pid.to_string());
        let out = command.output().unwrap();
        (out.status.code(), String::from_utf8_lossy(&out.stderr).into_owned())
    };
    let (code, error) = hidden(python.pid());
    if code == Some(77) {
        return skip("proc cannot be mounted");
    }
    assert_eq!((code, error.lines().count()), (Some(1), 1), "{error}");
    assert!(error.contains("sudo") && !error.contains("no process"), "{error}");
    // one that is not there at all is told apart
    let mut gone = Command::new("true").spawn().unwrap();
    gone.wait().unwrap();
    let (code, missing) = hidden(gone.id() as i32);
    assert!(
        code == Some(1) && missing != error.replace(&python.pid().to_string(), &gone.id().to_string()),
        "{missing}"
    );
    python.answers();
}

#[test]
fn interrupted_it_tidies_up() {
    let mut python = Target::python("heap = [bytearray(b'x' * (1 << 20)) for i in range(200)]\n");
    let folder = tempfile::tempdir().unwrap();
    let tool = Command::new(BINARY)
        .args(["capture", "--pid", &python.pid().to_string(), "-o"])
        .arg(folder.path().join("dump"))
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    until("it writes", || names(folder.path()).iter().any(|n| n.starts_with('.')));
    let id = nix::unistd::Pid::from_raw(tool.id() as i32);
    nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGINT).unwrap();
    let out = tool.wait_with_output().unwrap();
    if out.status.success() {
        assert_eq!(names(folder.path()), BTreeSet::from(["dump".to_owned()])); // it was done already
    } else {
        assert_eq!(out.status.code(), Some(1));
        assert_eq!(String::from_utf8_lossy(&out.stderr).lines().next_back(), Some("pymem-tui: cancelled"));
        assert!(names(folder.path()).is_empty());
    }
    python.answers();
}

#[test]
fn a_full_disk_keeps_nothing() {
    let mut python = Target::python(PATTERN);
    let folder = tempfile::tempdir().unwrap();
    if has("prlimit") {
        let out = Command::new("prlimit")
            .args(["--fsize=500000", BINARY, "capture", "-q", "--pid", &python.pid().to_string(), "-o"])
            .arg(folder.path().join("dump"))
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(1), "{error}");
        assert!(error.contains("ulimit -f") && error.lines().count() == 1, "{error}");
        assert!(names(folder.path()).is_empty(), "{:?}", names(folder.path()));
        python.answers();
    }
    let mount = folder.path().join("small");
    std::fs::create_dir(&mount).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=4m", "none"]).arg(&mount).status();
    if !mounted.is_ok_and(|s| s.success()) {
        return skip("a small disk cannot be mounted");
    }
    let known = take(python.pid(), Destination::Directory(mount.join("dump")));
    // and one that nobody could know before
    let written = Store::directory(&mount.join("dump"), 0).and_then(|mut store| {
        store.lay_out([(Addr(0x1000), 16 << 20)])?;
        store.writer().write(0, 0, &vec![1; 16 << 20])?;
        store.finish(None)
    });
    let left = names(&mount);
    assert!(Command::new("umount").arg(&mount).status().unwrap().success());
    let error = known.unwrap_err().to_string();
    assert!(error.contains("is full") && error.contains("is free"), "{error}");
    assert!(matches!(written, Err(WriteError::Full { .. })), "{written:?}");
    assert!(left.is_empty(), "{left:?}");
    python.answers();
}

#[test]
fn a_temporary_snapshot_can_be_saved() {
    let mut python = Target::python(PATTERN);
    let at: u64 = python.line().split(' ').next().unwrap().parse().unwrap();
    let snapshot = take(python.pid(), Destination::Temporary).unwrap().open().unwrap();
    drop(python);
    let folder = tempfile::tempdir().unwrap();
    let path = save::write_directory(&snapshot, &folder.path().join("kept"), &Progress::default()).unwrap();
    let kept = Snapshot::open(&path).unwrap();
    assert_eq!(kept.metadata(), snapshot.metadata());
    assert_eq!(kept.regions().len(), snapshot.regions().len());
    for (a, b) in kept.regions().iter().zip(snapshot.regions()) {
        assert!((a.start, a.bytes()) == (b.start, b.bytes()), "{}", a.start);
    }
    assert!(kept.region_of(Addr(at)).is_some());
}
