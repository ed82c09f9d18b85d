//! A person at a terminal: the real program on a pseudo-terminal, from `demo leak` to who holds a leaked future.
//!
//! Keys go in as bytes and the screen is read back as a terminal would show it. Every wait is for something that a
//! person would wait for; nothing here sleeps and hopes.

#[path = "capture/target.rs"]
mod target;
#[path = "explore/terminal.rs"]
mod terminal;

use nix::sys::signal::Signal;
use target::{Target, state, until};
use terminal::Terminal;

const ESC: &str = "\x1b";
const ENTER: &str = "\r";

/// The number after `pid` in the explorer's first line.
fn pid_on(screen: &str) -> i32 {
    let head = screen.lines().find(|l| l.contains("pid ")).unwrap_or_else(|| panic!("no pid on\n{screen}"));
    let digits: String = head.split("pid ").nth(1).unwrap().chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

fn is_gone(pid: i32) -> bool {
    matches!(state(pid), None | Some('Z'))
}

/// Opens `demo leak`, waits until everything is counted, and keeps the futures alone in the table.
fn leak(arguments: &[&str], size: (u16, u16)) -> (Terminal, i32) {
    let mut terminal = Terminal::start(arguments, size);
    terminal.wait("the start page", |s| s.contains("[1 Overview") && s.contains("CPython 3."));
    terminal.keys("2/Future");
    terminal.wait("the filter", |s| s.contains("/ Future") && s.contains("_asyncio.Future"));
    terminal.keys(ENTER);
    let demo = pid_on(&terminal.wait("the filter to be kept", |s| s.contains("objects   / filter")));
    assert!(!is_gone(demo), "the demo runs while it is explored");
    (terminal, demo)
}

/// The line of the table or tree that the cursor is on, or any that has these words.
fn line_with<'s>(screen: &'s str, words: &[&str]) -> Option<&'s str> {
    screen.lines().find(|line| words.iter().all(|word| line.contains(word)))
}

/// From the table of types to the client that never forgets, and back.
fn drill(arguments: &[&str], size: (u16, u16), futures: &str) {
    let (mut terminal, demo) = leak(arguments, size);
    // the row stands first once the scan has counted it
    terminal.wait("all futures to be counted", |s| line_with(s, &["_asyncio.Future ", futures]).is_some());
    terminal.keys("g");
    terminal.wait("the cursor on the futures", |s| line_with(s, &["▌_asyncio.Future "]).is_some());
    terminal.keys(ENTER);
    let title = format!("_asyncio.Future · {futures}");
    let objects = terminal.wait("the futures", |s| s.contains(&title) && s.contains("<Future finished result="));
    let first = line_with(&objects, &["▌0x"]).expect("the cursor is on a future");
    let address: String = first.chars().skip_while(|c| *c != '▌').skip(1).take_while(|c| *c != ' ').collect();

    terminal.keys(ENTER);
    terminal.wait("what the future holds", |s| s.contains(&format!("{address} holds ▾")) && s.contains("._result = "));
    terminal.keys("r");
    terminal.wait("who holds it", |s| {
        s.contains(&format!("{address} is held by ▴")) && line_with(s, &["] of dict, ", "entries"]).is_some()
    });
    // down to the dict, whose edge has the correlation id as its key, and unfold it
    terminal.keys("gjl");
    let held = terminal.wait("the client", |s| line_with(s, &[".response_fu", "Client"]).is_some());
    let dict = line_with(&held, &["] of dict, "]).unwrap();
    let key = dict.split('[').nth(1).unwrap().split(']').next().unwrap();
    assert!(key.parse::<u64>().is_ok(), "the edge's name is the correlation id: {dict}");

    terminal.keys("gx");
    let hex = terminal.wait("its memory", |s| s.contains("[8 Hex]") && s.contains(" in  _asyncio.Future"));
    assert!(line_with(&hex, &[address.trim_start_matches("0x"), "00 00"]).is_some(), "{hex}");
    terminal.keys("?");
    terminal.wait("help", |s| s.contains("keys here") && s.contains("follow the address under the cursor"));
    terminal.keys(ESC);
    terminal.wait("help to close", |s| !s.contains("keys here") && s.contains("[8 Hex]"));

    // back, step by step, each as it was left
    terminal.keys(ESC);
    let again = terminal.wait("the tree as it was", |s| s.contains("is held by ▴") && s.contains(".response_fu"));
    assert!(again.contains(dict.trim_matches('│').trim()), "still unfolded:\n{again}");
    terminal.keys(ESC);
    terminal.wait("what it holds, or the list", |s| s.contains("holds ▾") || line_with(s, &["▌0x"]).is_some());
    while line_with(&terminal.screen(), &[&format!("▌{address}")]).is_none() {
        terminal.keys(ESC);
        terminal.wait("the list of futures", |s| s.contains(&title) && s.contains(&format!("▌{address}")));
    }
    terminal.keys(ESC);
    let back = terminal.wait("the table of types", |s| line_with(s, &["▌_asyncio.Future "]).is_some());
    assert!(line_with(&back, &["┌ Types", "/ Future"]).is_some(), "the filter is kept: {back}");
    terminal.keys("q");
    assert_eq!(terminal.ended(), 0);
    until("the demo is gone", || is_gone(demo));
}

#[test]
fn the_leak_is_found_by_hand() {
    drill(&["demo", "leak"], (80, 24), "100,001");
}

#[test]
fn the_leak_is_found_on_a_bigger_terminal() {
    drill(&["demo", "leak", "3000"], (120, 40), "3,001");
}

/// The lines between two words, each with its frame.
fn between<'s>(screen: &'s str, first: &str, last: &str) -> Vec<&'s str> {
    let lines: Vec<&str> = screen.lines().skip_while(|l| !l.contains(first)).collect();
    let end =
        lines.iter().position(|l| l.contains(last)).unwrap_or_else(|| panic!("no {last} below {first}:\n{screen}"));
    lines[..=end].to_vec()
}

#[test]
fn the_deadlock_of_tasks_is_one_key_away() {
    for size in [(80, 24), (200, 50)] {
        let mut terminal = Terminal::start(&["demo", "async-deadlock"], size);
        let page = terminal.wait("what stands out", |s| s.contains("3 Tasks ✗1") && s.contains("never finish"));
        assert!(line_with(&page, &["✗ 3 tasks wait for each other"]).is_some(), "{page}");
        terminal.keys(ENTER); // the first sentence leads there, as does its number
        // (what is waited for last stands last: a picture may be drawn in part)
        let crowd = |s: &str| line_with(s, &["200 × ", "lock"]).is_some();
        let screen = terminal.wait("the cycle, and the crowd in one line", |s| {
            s.contains("✗ deadlock: 3 tasks") && s.contains("the circle closes") && crowd(s)
        });
        let cycle = between(&screen, "✗ deadlock: 3 tasks", "the circle closes");
        assert_eq!(cycle.len(), 5, "the heading, three tasks, and the way back: {cycle:#?}");
        for name in ["orders", "billing", "stock"] {
            assert!(cycle[1..4].iter().any(|l| l.contains(name)), "{name} is not in {cycle:#?}");
        }
        assert!(cycle[1].contains("╭▸") && cycle[2].contains("│") && cycle[4].contains("╰──"), "{cycle:#?}");
        let first = ["orders", "billing", "stock"].into_iter().find(|n| cycle[1].contains(n)).unwrap();
        assert!(cycle[4].contains(&format!("awaits {first}")), "the last awaits the first: {cycle:#?}");
        assert!(terminal.stands_out("✗ deadlock: 3 tasks"));
        terminal.keys("q");
        assert_eq!(terminal.ended(), 0);
    }
}

#[test]
fn the_deadlock_of_threads_is_one_key_away() {
    let mut terminal = Terminal::start(&["demo", "lock-deadlock"], (80, 24));
    let page = terminal.wait("what stands out", |s| s.contains("4 Threads ✗1"));
    assert!(line_with(&page, &["✗ deadlock of threads: transfer-"]).is_some(), "{page}");
    terminal.keys("4");
    let screen = terminal.wait("the threads", |s| s.contains("[4 Threads ✗1]") && s.contains("✗ transfer-a-b"));
    assert!(line_with(&screen, &["✗ deadlock: transfer-", "waits for Lock"]).is_some(), "{screen}");
    assert!(terminal.stands_out("✗ deadlock: "));
    terminal.keys("q");
    assert_eq!(terminal.ended(), 0);
}

#[test]
fn the_leak_is_the_first_sentence_and_leads_to_what_it_keeps() {
    let mut terminal = Terminal::start(&["demo", "leak", "20000"], (100, 30));
    let page = terminal.wait("the suspect", |s| s.contains("Client.response_futures"));
    let first = page.lines().skip_while(|l| !l.contains("What stands out")).nth(1).unwrap();
    assert!(first.contains("▲ ") && first.contains("Client.response_futures"), "the first sentence: {page}");
    terminal.keys("g");
    terminal.keys(ENTER);
    let kept = terminal.wait("what it keeps", |s| s.contains("[5 Retained]") && s.contains("_asyncio.Future"));
    assert!(line_with(&kept, &["goes with 0x"]).is_some(), "{kept}");
    terminal.keys("p");
    terminal.wait("the path", |s| s.contains("is alive") && s.contains("response_futures"));
    terminal.keys("q");
    assert_eq!(terminal.ended(), 0);
}

#[test]
fn told_to_end_it_gives_the_terminal_back_and_leaves_nothing() {
    for signal in [Signal::SIGTERM, Signal::SIGHUP] {
        let (mut terminal, demo) = leak(&["demo", "leak", "500"], (80, 24));
        assert!(!terminal.temporary_files().is_empty(), "the demo's program lies there");
        terminal.signal(signal);
        assert_eq!(terminal.ended(), 1, "{signal}");
        assert_eq!(terminal.temporary_files(), [] as [std::path::PathBuf; 0]);
        until("the demo is gone", || is_gone(demo));
    }
}

#[test]
fn leaving_while_it_saves_leaves_all_or_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kept");
    let (mut terminal, _) = leak(&["demo", "leak", "500"], (80, 24));
    terminal.keys(&format!(":save {}\r", path.display()));
    terminal.keys("q");
    assert_eq!(terminal.ended(), 0);
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().path()).collect();
    if left.is_empty() {
        return; // it was not done yet
    }
    assert_eq!(left, std::slice::from_ref(&path));
    let opened = std::process::Command::new(target::BINARY).args(["-q", "types"]).arg(&path).output().unwrap();
    assert!(opened.status.success() && opened.stderr.is_empty(), "{}", String::from_utf8_lossy(&opened.stderr));
}

#[test]
fn resizing_and_terminals_that_are_too_small() {
    let mut terminal = Terminal::start(&["demo", "leak", "500"], (40, 8));
    let said = terminal.wait_for("too small: 64 columns");
    assert!(said.lines().all(|l| l.chars().count() <= 40));
    terminal.keys("jjl?\x1b/x\x1b:"); // keys there do no harm
    terminal.keys(ESC);
    terminal.resize((80, 24));
    let screen = terminal.wait("a picture", |s| s.contains("[1 Overview") && s.contains(" pid "));
    let demo = pid_on(&screen);
    for size in [(120, 40), (64, 12), (20, 3), (200, 50), (80, 24)] {
        terminal.resize(size);
        let fits = size.0 >= 64;
        // the corner of the frame stands where the new size has it
        terminal.wait(&format!("a picture of {size:?}"), |s| {
            let frame = s.lines().filter(|l| l.starts_with('┌')).map(|l| l.chars().count()).max();
            if fits {
                frame == Some(size.0.into())
            } else {
                frame.is_none() && "too small".starts_with(&s.chars().take(9).collect::<String>())
            }
        });
        assert!(terminal.is_drawing());
    }
    terminal.keys("q");
    assert_eq!(terminal.ended(), 0);
    until("the demo is gone", || is_gone(demo));
}

#[test]
fn killed_in_the_explorer_its_demo_ends_too() {
    let (mut terminal, demo) = leak(&["demo", "leak", "500"], (80, 24));
    terminal.kill();
    until("the demo is gone", || is_gone(demo));
}

#[test]
fn a_snapshot_on_disk_is_opened_and_an_address_gone_to() {
    let mut python = Target::python("class Marked: pass\nmarked = Marked()\nprint(hex(id(marked)))\n");
    let address = python.line();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("memdump");
    let path = path.to_str().unwrap();
    let captured = std::process::Command::new(target::BINARY)
        .args(["-q", "capture", "--pid", &python.pid().to_string(), "-o", path])
        .output()
        .unwrap();
    assert!(captured.status.success(), "{}", String::from_utf8_lossy(&captured.stderr));
    drop(python);
    let mut terminal = Terminal::start(&[path], (80, 24));
    terminal.wait("the types", |s| s.contains("[1 Overview") && s.contains(" str "));
    terminal.keys(&format!(":{address}"));
    terminal.wait("the address that is typed", |s| s.contains(&format!(":{address}")));
    terminal.keys(ENTER);
    terminal.wait("the marked object", |s| s.contains("__main__.Marked") && s.contains(&address));
    terminal.keys("\x03"); // Ctrl-C is the other way out
    assert_eq!(terminal.ended(), 0);
}

/// A process that holds 500 objects of a class, and 20,000 more after each line it is told.
fn growing() -> Target {
    const LOOP: &str = "
import sys
print('ready', flush=True)
for line in sys.stdin:
    kept.extend(Thing() for _ in range(20000))
    print(len(kept), flush=True)
";
    let command = std::process::Command::new(target::interpreter());
    Target::with_loop(command, "class Thing: pass\nkept = [Thing() for _ in range(500)]\n", LOOP)
}

#[test]
fn a_process_that_grew_is_captured_again_and_the_difference_shown() {
    let mut python = growing();
    let mut terminal = Terminal::start(&["--pid", &python.pid().to_string()], (120, 40));
    terminal.wait("the start page", |s| s.contains("[1 Overview") && s.contains("objects"));
    assert_eq!(python.ask("grow"), "20500");
    terminal.keys("R");
    let told = |s: &str| line_with(s, &["__main__.Thing", " 500 ", " 20,500 ", " 20,000 "]).is_some();
    terminal.wait("the difference", |s| s.contains("[7 Diff]") && told(s));
    // the bytes of the attributes' dicts may come first
    while line_with(&terminal.screen(), &["▌__main__.Thing"]).is_none() {
        let before = terminal.screen();
        terminal.keys("j");
        terminal.wait("the next line", |s| s != before);
    }
    terminal.keys(ENTER);
    terminal
        .wait("the new objects", |s| s.contains("__main__.Thing · new · 20,000") && line_with(s, &["▌0x"]).is_some());
    terminal.keys(">");
    terminal.wait("none is gone", |s| s.contains("__main__.Thing · gone · 0"));
    terminal.keys("s2");
    let newer = |s: &str| line_with(s, &["__main__.Thing", "20,500"]).is_some();
    terminal.wait("the newer snapshot", |s| s.contains("[2 Types") && s.contains("objects"));
    terminal.keys("/Thing\r");
    terminal.wait("what it holds now", newer);
    drop(python);
    terminal.keys("R");
    terminal.wait("that it is gone", |s| s.contains("cannot be captured again"));
    terminal.keys("q");
    assert_eq!(terminal.ended(), 0);
}

/// Captures a process into a folder; where the snapshot lies.
fn capture(python: &Target, folder: &std::path::Path, name: &str) -> String {
    let path = folder.join(name).to_str().unwrap().to_owned();
    let mut command = std::process::Command::new(target::BINARY);
    let out = command.args(["-q", "capture", "--pid", &python.pid().to_string(), "-o", &path]).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    path
}

#[test]
fn three_snapshots_show_what_is_new_and_stays() {
    let mut python = growing();
    let folder = tempfile::tempdir().unwrap();
    let first = capture(&python, folder.path(), "first");
    python.ask("grow");
    let second = capture(&python, folder.path(), "second");
    python.ask("grow");
    let third = capture(&python, folder.path(), "third");
    let mut terminal = Terminal::start(&[&first, &second, &third], (100, 30));
    let kept = |s: &str| line_with(s, &["__main__.Thing", "+20,000", " 0 ", " 20,000 "]).is_some();
    terminal.wait("what is kept", |s| s.contains("[7 Diff]") && line_with(s, &["kept", "new", "gone"]).is_some());
    while !line_with(&terminal.screen(), &["▌__main__.Thing"]).is_some_and(kept) {
        let before = terminal.screen();
        terminal.keys("j");
        terminal.wait("the next line", |s| s != before);
    }
    terminal.keys(ENTER);
    let objects = terminal.wait("those kept", |s| s.contains("__main__.Thing · kept · 20,000") && s.contains("▌0x"));
    let address = objects.split('▌').nth(1).and_then(|s| s.split_whitespace().next()).unwrap().to_owned();
    terminal.keys(">");
    terminal.wait("the new ones", |s| s.contains("__main__.Thing · new · 20,000"));
    terminal.keys(">>");
    terminal.wait("those kept again", |s| s.contains("__main__.Thing · kept · 20,000") && s.contains("▌0x"));
    terminal.keys(ENTER);
    terminal.wait("it in the newer snapshot", |s| s.contains(&address) && s.contains("holds"));
    terminal.keys("q");
    assert_eq!(terminal.ended(), 0);
}

#[test]
fn two_snapshots_open_with_their_difference() {
    let mut python = growing();
    let folder = tempfile::tempdir().unwrap();
    let old = capture(&python, folder.path(), "old");
    python.ask("grow");
    let new = capture(&python, folder.path(), "new");
    let mut terminal = Terminal::start(&[&old, &new], (80, 24));
    terminal
        .wait("the difference", |s| s.contains("[7 Diff]") && line_with(s, &["__main__.Thing", "+20,000"]).is_some());
    terminal.keys("R");
    terminal.wait("that it is no process", |s| s.contains("no running process"));
    terminal.keys("q");
    assert_eq!(terminal.ended(), 0);
}

#[test]
fn what_cannot_be_opened_is_told_without_taking_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let mut terminal = Terminal::start(&[folder.path().to_str().unwrap()], (80, 24));
    assert_eq!(terminal.ended(), 1);
    terminal.wait_for("pymem-tui: ");
}
