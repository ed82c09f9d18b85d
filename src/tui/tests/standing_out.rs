//! The start page, tasks, and what leads from one to the other.

use super::Robot;
use crate::tui::fake;
use crate::worker::protocol::{Request, Update};

#[test]
fn the_start_page_fills_as_answers_come() {
    let mut robot = Robot::silent(100, 30);
    robot.told(fake::opened());
    fake::scanned(43).into_iter().for_each(|update| robot.told(update));
    assert!(robot.screen().contains("threads and tasks are looked at once every object is found"));
    assert!(robot.line("bytes ").contains("349 MB"), "types are there already");
    robot.hold = true;
    fake::scanned(100).into_iter().for_each(|update| robot.told(update));
    assert!(robot.line("looking at tasks").contains('…'));
    let tasks = robot.held.iter().position(|u| format!("{u:?}").contains("Findings(Tasks")).unwrap();
    let update = robot.held.remove(tasks);
    robot.told(update);
    assert!(robot.line("✗ 3 tasks wait for each other").contains("never finish"));
    assert!(!robot.screen().contains("looking at tasks") && robot.screen().contains("looking at threads"));
    robot.release();
    assert!(!robot.screen().contains("looking at"));
    assert!(robot.line("deadlock of threads").contains("MainThread waits for Lock"));
    assert!(robot.line("3 Tasks ✗1").contains("4 Threads ✗1"));
}

#[test]
fn the_cursor_stays_on_its_line_while_sentences_come() {
    let mut robot = Robot::silent(100, 30);
    robot.told(fake::opened());
    fake::scanned(43).into_iter().for_each(|update| robot.told(update));
    robot.press("jj");
    let at = |robot: &Robot| robot.app.pane().subject().unwrap().address;
    let before = at(&robot);
    fake::scanned(100).into_iter().for_each(|update| robot.told(update));
    assert_eq!(at(&robot), before);
}

#[test]
fn sentences_lead_to_their_screens_and_back() {
    let mut robot = Robot::started(100, 30);
    let first = robot.screen();
    robot.press("<Enter>");
    assert!(robot.selected().contains("deadlock"), "{}", robot.selected());
    robot.press("<Esc>");
    assert_eq!(robot.screen(), first);
    let mut seen = Vec::new();
    for _ in 0..8 {
        robot.press("<Enter>");
        seen.push(robot.line("┌"));
        robot.press("<Esc>j");
    }
    for title in ["┌ Tasks", "┌ Threads", "┌ bytes"] {
        assert!(seen.iter().any(|line| line.contains(title)), "{title} is not among {seen:#?}");
    }
    robot.press("<Esc>");
    assert!(robot.screen().contains("this is the top; q quits"));
}

#[test]
fn a_click_selects_a_sentence_and_a_second_one_follows_it() {
    let mut robot = Robot::started(100, 30);
    robot.click(20, 3);
    robot.click(20, 3);
    assert!(robot.screen().contains("┌ Tasks") || robot.screen().contains("┌ Threads"));
    robot.press("<Esc>");
    let y = robot.screen().lines().position(|l| l.contains("aiohttp") || l.contains(" dict ")).unwrap();
    robot.click(20, y as u16);
    assert!(robot.line("dict ").contains('▌'));
}

#[test]
fn panes_are_kept_as_they_were_left() {
    let mut robot = Robot::started(100, 30);
    robot.press("3Gl/request-7<Enter>");
    let tasks = robot.screen();
    robot.press("2j4j1");
    robot.press("3");
    assert_eq!(robot.screen(), tasks);
}

#[test]
fn tasks_unfold_to_frames_and_variables_that_can_be_entered() {
    let mut robot = Robot::started(120, 40);
    robot.press("3j");
    assert!(robot.selected().contains("orders"));
    robot.press("l");
    assert!(robot.line("Shop.result_of ").contains("/srv/shop.py:29"));
    robot.asked.clear();
    robot.press("jl");
    assert!(matches!(robot.asked[..], [Request::Locals { .. }]), "{:?}", robot.asked);
    robot.press("j");
    assert!(robot.selected().contains("self = <Client host='localhost'>"));
    robot.press("<Enter>");
    assert!(robot.line("┌").contains("app.client.Client"));
    robot.press("<Esc>hhhh");
    assert!(robot.selected().contains("▸ orders"), "folded, then to the parent: {}", robot.selected());
    robot.press("<Enter>");
    assert!(robot.line("┌").contains("_asyncio.Future"), "a task is an object");
}

#[test]
fn a_crowd_unfolds_page_by_page() {
    let mut robot = Robot::started(120, 40);
    robot.press("3G");
    assert!(robot.selected().contains("2,500 × Shop.request"), "{}", robot.selected());
    robot.press("<Enter>G");
    assert!(robot.selected().contains("… 1,500 more (↵ next 1,000)"), "{}", robot.selected());
    robot.press("<Enter>G");
    assert!(robot.selected().contains("… 500 more (↵ next 500)"), "{}", robot.selected());
    robot.press("<Enter>G");
    assert!(robot.selected().contains("request-2499"), "{}", robot.selected());
    robot.press("h");
    assert!(robot.selected().contains("2,500 ×"));
    robot.press("h");
    assert!(!robot.screen().contains("request-2499"));
}

#[test]
fn tasks_are_filtered_and_sorted_one_by_one() {
    let mut robot = Robot::started(120, 40);
    robot.press("3/finished<Enter>");
    assert!(robot.line("┌").contains("Tasks · 1 of 2,509"));
    assert!(robot.selected().contains("done"));
    robot.press("<Esc>>");
    assert!(robot.line("┌").contains("by name ▲"));
    robot.press("/request-<Enter>");
    let lines: Vec<String> = robot.screen().lines().filter(|l| l.contains("request-")).map(str::to_owned).collect();
    assert!(lines[2].contains("request-1 ") && lines[11].contains("request-10 "), "numbers count: {lines:#?}");
    robot.press("o");
    assert!(robot.selected().contains("request-2499"));
}

#[test]
fn a_cancelled_scan_can_begin_anew() {
    let mut robot = Robot::silent(100, 30);
    robot.told(fake::opened());
    fake::scanned(43).into_iter().for_each(|update| robot.told(update));
    robot.press("<Esc>");
    assert_eq!(robot.cancelled, 1);
    robot.told(Update::Idle { source: fake::SOURCE });
    robot.told(Update::Unfinished { source: fake::SOURCE });
    assert!(robot.screen().contains("R begins it anew"));
    robot.press("R");
    assert!(matches!(robot.asked.last(), Some(Request::Scan)));
    assert!(!robot.screen().contains("R begins it anew"));
    fake::scanned(100).into_iter().for_each(|update| robot.told(update));
    assert!(robot.screen().contains("3 tasks wait for each other"));
    robot.press("R"); // nothing was cancelled
    assert!(matches!(robot.asked.last(), Some(Request::Compare)));
}

#[test]
fn memory_unfolds_and_leads_to_owners_and_addresses() {
    let mut robot = Robot::started(120, 40);
    assert!(
        robot.line("Types by size").contains("Memory · 1.22 GB resident"),
        "the start page has it beside the types"
    );
    robot.press("6");
    assert!(robot.selected().contains("141 MB is free"), "{}", robot.selected());
    robot.press("j<Enter>j");
    assert!(robot.selected().starts_with("▌     bytes"), "{}", robot.selected());
    robot.press("h");
    assert!(robot.selected().contains("▾ Python objects"), "{}", robot.selected());
    robot.press("Gk<Enter>j<Enter>");
    assert!(robot.line("┌").contains("dict 0x760200000000 holds"));
    robot.press("<Esc>j");
    assert!(robot.selected().contains("whose it is is not known"));
    robot.press("<Enter>");
    assert!(robot.line("┌").contains("0x770000000000"));
    // the map: as long as they are large, each part in its pattern; Enter goes to its memory
    robot.press("<Esc>G<Enter>jj");
    let selected = robot.selected();
    let columns = |glyph: char| selected.chars().filter(|c| *c == glyph).count();
    let (objects, free) = (columns('█'), columns('░'));
    assert!(selected.contains("0x760000000000") && free > 2, "{selected}");
    assert_eq!(objects as f64, ((objects + free) as f64 * 6.0 / 7.0).round(), "{selected}");
    robot.press("<Enter>");
    assert!(robot.line("┌").contains("0x760000000000"));
}

#[test]
fn a_sentence_about_memory_leads_to_it() {
    let mut robot = Robot::started(120, 40);
    while !robot.app.pane().subject().is_some_and(|s| s.name.starts_with("type ")) {
        let said = robot.screen().lines().find(|l| l.contains('▌')).unwrap().to_owned();
        if said.contains("141 MB is free in arenas") {
            robot.press("<Enter>");
            assert!(robot.selected().contains("141 MB is free in arenas"));
            return;
        }
        robot.press("j");
    }
    panic!("no sentence about memory:\n{}", robot.screen());
}

#[test]
fn retained_goes_in_comes_out_and_groups() {
    let mut robot = Robot::started(200, 50);
    robot.press("5");
    assert!(robot.selected().contains("app.client.Client"), "{}", robot.selected());
    let top = robot.screen();
    robot.press("<Enter>");
    assert!(robot.line("┌").contains("goes with app.client.Client"), "{}", robot.line("┌"));
    robot.press("<Enter>G");
    assert!(robot.line("┌").contains("goes with dict 0x760200000000 · 100,000"), "{}", robot.line("┌"));
    let last = robot.app.pane().subject().map(|s| s.address.to_string());
    assert_eq!(last.as_deref(), Some("0x76010061a7c0"), "the last of the futures");
    robot.press("t");
    assert!(robot.line("┌").contains("holds"));
    robot.press("<Esc><Esc><Esc>");
    assert_eq!(robot.screen(), top);
    robot.press(">>>");
    assert!(robot.line("┌").contains("Retained by thread"));
    robot.press("<Enter>");
    assert!(robot.selected().contains("app.client.Client"), "a group has a level as well");
    robot.press("5");
    assert!(robot.line("┌").contains("Retained by thread"), "the tab leads out to the top");
}

#[test]
fn paths_from_roots_are_one_key_away_in_every_pane() {
    let mut robot = Robot::started(120, 40);
    for keys in ["2", "2<Enter>", "2<Enter><Enter>", "3j", "5", "G8", "G"] {
        robot.press("1").press(keys).press("p");
        assert!(robot.line("┌").contains("why "), "after {keys}: {}", robot.line("┌"));
        assert!(robot.line("▾ sys.modules['__main__'].client").contains("response_futures"));
    }
    robot.press("jj<Enter>");
    assert!(robot.line("┌").contains("holds"), "a step is an object");
}

#[test]
fn a_leak_is_the_first_sentence_but_for_deadlocks_and_leads_to_what_it_keeps() {
    let mut robot = Robot::started(120, 40);
    let said = |robot: &mut Robot| robot.line("Client.response_futures keeps 100,000 _asyncio.Future alive");
    assert!(said(&mut robot).contains('▲'));
    let screen = robot.screen();
    let at = |text: &str| screen.lines().position(|l| l.contains(text)).unwrap();
    assert!(
        at("will never finish") < at("Client.response_futures") && at("Client.response_futures") < at("is free in")
    );
    while !robot.screen().lines().any(|l| l.contains("▌▲ Client.response_futures")) {
        robot.press("j");
    }
    robot.press("<Enter>");
    assert!(robot.line("┌").contains("goes with 0x760200000000 · 100,000"), "{}", robot.line("┌"));
}
