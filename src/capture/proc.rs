//! What `/proc` says about a process: its mappings, threads, memory and past. Reading and parsing only.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

/// Clock ticks a second in what the kernel tells user space; the same on every x86-64 Linux.
const USER_HZ: u64 = 100;

/// One line of `/proc/PID/maps`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Map {
    pub start: u64,
    pub end: u64,
    pub permissions: String,
    pub offset: u64,
    pub device: (u64, u64),
    pub inode: u64,
    /// Path or pseudo-name.
    pub name: Option<PathBuf>,
}

impl Map {
    pub(super) fn readable(&self) -> bool {
        self.permissions.starts_with('r')
    }

    pub(super) fn executable(&self) -> bool {
        self.permissions.as_bytes().get(2) == Some(&b'x')
    }

    pub(super) fn private(&self) -> bool {
        self.permissions.ends_with('p')
    }

    pub(super) fn is_file(&self) -> bool {
        self.inode != 0
    }

    pub(super) fn has_name(&self, start: &str) -> bool {
        self.name.as_ref().is_some_and(|name| name.as_os_str().as_encoded_bytes().starts_with(start.as_bytes()))
    }
}

/// Reads `/proc/PID/NAME`.
pub(super) fn read(pid: i32, name: &str) -> io::Result<Vec<u8>> {
    std::fs::read(format!("/proc/{pid}/{name}"))
}

/// `/proc/TID/stat` of one thread: without `task` it adds up all threads of the process, which takes long where there
/// are ten thousand.
fn thread_stat(tid: i32) -> io::Result<Vec<u8>> {
    read(tid, &format!("task/{tid}/stat"))
}

/// The mappings, in address order. Empty for a process whose memory is gone.
pub(super) fn maps(pid: i32) -> io::Result<Vec<Map>> {
    Ok(read(pid, "maps")?.split(|b| *b == b'\n').filter_map(parse_map).collect())
}

fn parse_map(line: &[u8]) -> Option<Map> {
    let mut rest = line;
    let mut word = || {
        let len = rest.iter().position(|b| *b == b' ').unwrap_or(rest.len());
        let (word, tail) = rest.split_at(len);
        rest = tail.get(1..).unwrap_or(&[]);
        std::str::from_utf8(word).ok()
    };
    let hex = |s: &str| u64::from_str_radix(s, 16).ok();
    let (start, end) = word()?.split_once('-')?;
    let permissions = word()?.to_owned();
    let offset = hex(word()?)?;
    let (major, minor) = word()?.split_once(':')?;
    let inode = word()?.parse().ok()?;
    let name = rest.trim_ascii_start();
    Some(Map {
        start: hex(start)?,
        end: hex(end)?,
        permissions,
        offset,
        device: (hex(major)?, hex(minor)?),
        inode,
        name: (!name.is_empty()).then(|| OsString::from_vec(unescape(name)).into()),
    })
}

/// The kernel writes a newline in a path as `\012`, and nothing else so.
fn unescape(name: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((first, tail)) = rest.split_first() {
        if let Some(tail) = rest.strip_prefix(b"\\012") {
            out.push(b'\n');
            rest = tail;
        } else {
            out.push(*first);
            rest = tail;
        }
    }
    out
}

/// The `VmFlags` of each mapping (proc_pid_smaps(5)), by its ends; those of two letters that `wanted` names.
pub(super) fn flags(pid: i32, wanted: &[&str]) -> io::Result<Vec<(u64, u64, Vec<String>)>> {
    let text = read(pid, "smaps")?;
    let mut found = Vec::new();
    let mut ends = None;
    for line in text.split(|b| *b == b'\n') {
        if let Some(map) = parse_map(line) {
            ends = Some((map.start, map.end));
        } else if let (Some(flags), Some((start, end))) = (line.strip_prefix(b"VmFlags:"), ends) {
            let flags = String::from_utf8_lossy(flags);
            let of_interest: Vec<String> =
                flags.split_ascii_whitespace().filter(|f| wanted.contains(f)).map(str::to_owned).collect();
            if !of_interest.is_empty() {
                found.push((start, end, of_interest));
            }
        }
    }
    Ok(found)
}

/// What the open files of `pid` are that are no files (`anon_inode:[io_uring]`), with their numbers.
pub(super) fn anonymous_files(pid: i32) -> Vec<(String, String)> {
    let names = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let link = |entry: std::fs::DirEntry| {
        let target = std::fs::read_link(entry.path()).ok()?.to_string_lossy().into_owned();
        target.starts_with("anon_inode:").then(|| (target, entry.file_name().to_string_lossy().into_owned()))
    };
    names.filter_map(link).collect()
}

/// The children of a process, whichever thread made them.
pub(super) fn children(pid: i32) -> Vec<i32> {
    let of_thread = |tid| read(pid, &format!("task/{tid}/children")).unwrap_or_default();
    let lists = tasks(pid).unwrap_or_default().into_iter().map(of_thread);
    lists.flat_map(|list| numbers(&String::from_utf8_lossy(&list))).collect()
}

fn numbers(text: &str) -> Vec<i32> {
    text.split_ascii_whitespace().filter_map(|n| n.parse().ok()).collect()
}

/// The signal by which the end of a process is told to its parent: 0 for none.
pub(super) fn exit_signal(pid: i32) -> Option<i32> {
    stat_field(&read(pid, "stat").ok()?, 38)?.parse().ok()
}

/// The ids of a process in the pid namespaces it is seen in, the innermost last.
pub(super) fn namespace_ids(status: &BTreeMap<String, String>) -> Vec<i32> {
    status.get("NSpid").map(|ids| numbers(ids)).unwrap_or_default()
}

/// `/proc/PID/status` (or a thread's), by name.
pub(super) fn status(pid: i32) -> io::Result<BTreeMap<String, String>> {
    Ok(fields(&read(pid, "status")?))
}

fn fields(text: &[u8]) -> BTreeMap<String, String> {
    String::from_utf8_lossy(text)
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect()
}

/// Those fields that are sizes, in bytes.
pub(super) fn sizes(fields: &BTreeMap<String, String>) -> BTreeMap<String, u64> {
    let size = |value: &str| Some(value.strip_suffix(" kB")?.trim().parse::<u64>().ok()? * 1024);
    fields.iter().filter_map(|(name, value)| Some((name.clone(), size(value)?))).collect()
}

/// `/proc/PID/smaps_rollup`, in bytes; empty where the kernel would not say.
pub(super) fn rollup(pid: i32) -> BTreeMap<String, u64> {
    read(pid, "smaps_rollup").map(|text| sizes(&fields(&text))).unwrap_or_default()
}

/// The ids of the threads.
pub(super) fn tasks(pid: i32) -> io::Result<Vec<i32>> {
    let names = std::fs::read_dir(format!("/proc/{pid}/task"))?;
    Ok(names.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect())
}

/// The state letter of a process or thread; `None` once it is gone.
pub(super) fn state(pid: i32) -> Option<char> {
    stat_field(&thread_stat(pid).ok()?, 3)?.chars().next()
}

/// A field of `/proc/PID/stat`, counted from 1 as in proc(5). The name (field 2) may hold anything, even `) R 1`.
fn stat_field(stat: &[u8], field: usize) -> Option<String> {
    let after_name = stat.iter().rposition(|b| *b == b')')? + 1;
    let text = String::from_utf8_lossy(stat.get(after_name..)?);
    text.split_ascii_whitespace().nth(field.checked_sub(3)?).map(str::to_owned)
}

/// Seconds since the process started.
pub(super) fn age(pid: i32) -> Option<u64> {
    let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
    let seconds: f64 = uptime.split(' ').next()?.parse().ok()?;
    Some((seconds as u64).saturating_sub(start_ticks(pid)? / USER_HZ))
}

/// When the process started, in ticks since the machine did.
pub(super) fn start_ticks(pid: i32) -> Option<u64> {
    stat_field(&read(pid, "stat").ok()?, 22)?.parse().ok()
}

/// When the process started, as RFC 3339.
pub(super) fn started_at(pid: i32) -> Option<String> {
    let ticks = start_ticks(pid)?;
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    let boot: u64 = stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    let at = UNIX_EPOCH + Duration::from_secs(boot) + Duration::from_millis(ticks * 1000 / USER_HZ);
    Some(humantime::format_rfc3339_seconds(at).to_string())
}

/// The command line, split.
pub(super) fn command_line(pid: i32) -> Vec<String> {
    let mut bytes = read(pid, "cmdline").unwrap_or_default();
    if bytes.last() == Some(&0) {
        bytes.pop();
    }
    if bytes.is_empty() {
        return Vec::new();
    }
    bytes.split(|b| *b == 0).map(|arg| String::from_utf8_lossy(arg).into_owned()).collect()
}

/// What `/proc/PID/exe` links to.
pub(super) fn exe(pid: i32) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/{pid}/exe")).ok()
}

/// What is said of a thread before it is stopped.
#[derive(Debug, Clone, Default)]
pub(super) struct ThreadFacts {
    pub name: String,
    pub state: String,
    pub wchan: Option<String>,
}

pub(super) fn thread_facts(tid: i32) -> ThreadFacts {
    let stat = thread_stat(tid).unwrap_or_default();
    let comm = read(tid, "comm").unwrap_or_default();
    let wchan = read(tid, "wchan").ok().map(|w| String::from_utf8_lossy(&w).trim().to_owned());
    ThreadFacts {
        name: String::from_utf8_lossy(comm.strip_suffix(b"\n").unwrap_or(&comm)).into_owned(),
        state: stat_field(&stat, 3).unwrap_or_default(),
        wchan: wchan.filter(|w| !w.is_empty() && w != "0"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_with_odd_names_are_read() {
        let map = parse_map(b"7f00-7f01 r-xp 00001000 fd:01 42                   /a b/c\\012d (deleted)").unwrap();
        assert_eq!((map.start, map.end, map.offset, map.device, map.inode), (0x7f00, 0x7f01, 0x1000, (0xfd, 1), 42));
        assert_eq!(map.name, Some(PathBuf::from("/a b/c\nd (deleted)")));
        assert!(map.readable() && map.executable() && map.private() && map.is_file());
        let map = parse_map(b"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]");
        assert!(!map.unwrap().readable());
        assert_eq!(parse_map(b"1000-2000 rw-s 00000000 00:00 0 ").unwrap().name, None);
        assert_eq!(parse_map(b"nonsense"), None);
    }

    #[test]
    fn a_hostile_process_name_does_not_move_the_fields() {
        let stat = b"42 (evil) R 1 2) S 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25";
        assert_eq!(stat_field(stat, 3).as_deref(), Some("S"));
        assert_eq!(stat_field(stat, 22).as_deref(), Some("25"));
    }

    #[test]
    fn our_own_process_is_described() {
        let pid = std::process::id() as i32;
        assert!(sizes(&status(pid).unwrap())["VmRSS"] > 4096);
        assert!(tasks(pid).unwrap().contains(&pid));
        assert!(started_at(pid).unwrap().ends_with('Z'));
        assert!(maps(pid).unwrap().iter().any(|m| m.has_name("[stack]")));
        assert!(!command_line(pid).is_empty() && exe(pid).is_some());
    }
}
