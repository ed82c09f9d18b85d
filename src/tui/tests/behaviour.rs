//! What keys, clicks and answers do.

use super::Robot;
use crate::analysis::answers::{Total, TypeRow, Types};
use crate::snapshot::Addr;
use crate::tui::event::Event;
use crate::tui::fake;
use crate::worker::protocol::{ObjectOrder, Request, Stage, Update};
use std::sync::Arc;
use std::time::Duration;

#[test]
fn drills_from_types_to_who_holds_an_object() {
    let mut robot = Robot::new(100, 24);
    robot.press("i/Future<Enter><Enter>jj<Enter>");
    assert!(robot.line("holds ▾").contains("_asyncio.Future"));
    assert!(robot.screen().contains("._result = b'"));
    robot.press("r");
    assert!(robot.line("is held by").contains("0x760100000080"));
    assert!(robot.screen().contains("[2] of dict, 100,000 entries"));
    robot.press("j<Enter>");
    assert!(robot.screen().contains(".response_futures of <Client host='localhost'>"));
    assert!(robot.line("Types ▸ _asyncio.Future ▸ 0x760100000080 ▸ [2]").starts_with(' '));
}

#[test]
fn back_restores_filter_order_and_position() {
    let mut robot = Robot::new(80, 24);
    robot.press("/module<Enter><<o<Down><Down><Down>");
    let before = robot.screen();
    robot.press("<Enter>/object<Enter><Down><Enter>x<Esc>");
    assert!(robot.screen().contains("holds"));
    robot.press("<Esc>");
    assert!(robot.line("· / object").contains("Class"));
    robot.press("[");
    assert_eq!(robot.screen(), before);
    robot.press("]");
    assert!(robot.screen().contains("· / object"), "forward restores as well");
    robot.press("]]]");
    assert!(robot.screen().contains("heap · rw-"));
}

#[test]
fn esc_never_quits() {
    let mut robot = Robot::new(80, 24);
    robot.press("<Enter><Esc><Esc><Esc><Esc>");
    assert!(!robot.quit);
    assert!(robot.screen().contains("this is the top; q quits"));
    robot.press("q");
    assert!(robot.quit);
}

#[test]
fn esc_leaves_the_filter_before_the_pane() {
    let mut robot = Robot::new(80, 24);
    robot.press("<Enter>/payload<Enter><Esc>");
    assert!(robot.screen().contains("bytes · 107,085"));
    robot.press("<Esc>");
    assert!(robot.screen().contains("Types · 193"));
}

#[test]
fn letters_typed_into_a_filter_are_no_commands() {
    let mut robot = Robot::new(80, 24);
    robot.press("/qxry:?12/<C-g>");
    assert!(!robot.quit && robot.copied.is_empty() && robot.asked.is_empty());
    assert!(robot.line(" /qxry:?12/").starts_with(" /q"));
    assert!(robot.screen().contains("no type matches"));
    robot.press("<Esc>");
    assert!(robot.screen().contains("Types · 193"), "Esc drops what was typed");
    robot.press("/q<C-c>");
    assert!(robot.quit, "Ctrl-C always quits");
}

#[test]
fn the_table_grows_under_a_cursor_that_stays_on_its_type() {
    let mut robot = Robot::silent(80, 24);
    robot.press("2");
    fake::scanned(10).into_iter().for_each(|update| robot.told(update));
    robot.press("/module<Enter><Esc>"); // the cursor was never moved: it stays at the top
    assert!(robot.selected().contains("bytes"));
    robot.press(">jjjj");
    let mut before = robot.selected();
    before.truncate(30);
    let mut grown = (*fake::types(60)).clone();
    let first = TypeRow { name: "aaa".into(), address: Addr(1), count: 1, shallow_bytes: 1 };
    grown.types.push(first);
    let update = Update::Types { source: fake::SOURCE, types: grown.into(), complete: false, problems: vec![] };
    robot.told(update);
    assert!(robot.selected().starts_with(&before), "{} is not {before}", robot.selected());
}

#[test]
fn a_type_list_sorts_by_every_column_and_back() {
    let mut robot = Robot::new(80, 24);
    robot.press("<"); // count, biggest first
    assert!(robot.selected().contains("107,085") && robot.line("count ▼").contains("size"));
    robot.press("o");
    assert!(robot.line("count ▲").contains("type"));
    robot.press("<");
    assert!(robot.line("type ▲").contains("count") && robot.line("_asyncio.Future").contains("100,007"));
    robot.press("<"); // round the edge
    assert!(robot.line("retained ▼").contains("size"));
    robot.press("<");
    assert!(robot.line("size ▼").contains("type"));
}

#[test]
fn stale_answers_are_dropped() {
    let mut robot = Robot::new(120, 24);
    robot.press("i<Enter>");
    robot.hold = true;
    robot.press("/payload 77");
    let early = robot.held.clone();
    robot.press("<Esc><Esc>j<Enter>");
    for update in early {
        robot.told(update);
    }
    assert!(!robot.screen().contains("payload 77"), "answers for a pane that was left");
    robot.release();
    assert!(robot.line("_asyncio.Future").contains("100,007"));
    assert!(robot.screen().contains("payload 0"));
}

#[test]
fn a_pane_left_while_it_waited_asks_again() {
    let mut robot = Robot::new(80, 24);
    robot.hold = true;
    robot.press("<Enter>");
    assert!(robot.line("…").contains('…'), "placeholders until rows come");
    robot.press(":hex 0x760100000000<Enter>");
    robot.held.clear(); // lost
    robot.hold = false;
    robot.press("<Esc>");
    assert!(robot.screen().contains("payload 0"));
}

#[test]
fn only_the_rows_in_sight_are_asked_for() {
    let mut robot = Robot::new(80, 24);
    robot.press("<Enter>");
    robot.asked.clear();
    robot.press("jjjjjjjj");
    assert_eq!(robot.asked, [], "the margin covers small steps");
    robot.press("G");
    assert!(robot.selected().contains("payload 107084"));
    let Some(Request::Objects { offset, limit, .. }) = robot.asked.last() else { panic!("{:?}", robot.asked) };
    assert!(*offset > 107_000 && *limit < 100, "{offset} {limit}");
    // A long way quickly: not one request for each row
    robot.asked.clear();
    robot.hold = true;
    robot.press("g");
    (0..40).for_each(|_| robot.press("j").done());
    assert!(robot.asked.len() <= 4, "{}", robot.asked.len());
    robot.release();
    assert!(robot.selected().contains("payload 40"));
}

#[test]
fn objects_are_sorted_and_filtered_by_the_worker() {
    let mut robot = Robot::new(80, 24);
    robot.press("j<Enter>>");
    let order = ObjectOrder::RefCount { descending: true };
    assert!(matches!(robot.asked.last(), Some(Request::Objects { order: o, .. }) if *o == order));
    robot.press("o");
    let order = ObjectOrder::RefCount { descending: false };
    assert!(matches!(robot.asked.last(), Some(Request::Objects { order: o, .. }) if *o == order));
    robot.press("/pending");
    assert!(matches!(robot.asked.last(), Some(Request::Objects { filter, offset: 0, .. }) if filter == "pending"));
    assert!(robot.line("_asyncio.Future · 7 · / pending").contains('─'));
}

#[test]
fn a_query_narrows_a_list_and_a_wrong_one_leaves_it_and_says_where() {
    let mut robot = Robot::new(100, 24);
    robot.press("/count >= 1000 and not type ~ str");
    let queried = robot.screen();
    robot.line("Types · ");
    let shown = |robot: &Robot| robot.app.pane().filter().to_owned();
    assert_eq!(shown(&robot), "count >= 1000 and not type ~ str");
    // how many int there are, and how many str
    assert!(queried.contains("102,422") && !queried.contains("61,404"), "{queried}");
    // a word more: what was kept stays, and the last line says what is wrong and where
    robot.press(" and colour = 3");
    assert!(robot.line("column 38: there is no field colour").contains('▲'));
    assert!(robot.screen().contains("102,422") && !robot.screen().contains("61,404"));
    robot.press("<Enter>");
    robot.line("column 38: there is no field colour");
    robot.press("<Esc>");
    assert_eq!(shown(&robot), "");

    robot.press("/Future<Enter><Enter>/size > 1");
    assert!(matches!(robot.asked.last(), Some(Request::Objects { filter, offset: 0, .. }) if filter == "size > 1"));
    let asked = robot.asked.len();
    robot.press(" and");
    assert_eq!(robot.asked.len(), asked, "the worker is not asked what cannot be read");
    robot.line("column 13: a comparison is missing here");
}

#[test]
fn addresses_go_to_objects_or_memory() {
    let mut robot = Robot::new(80, 24);
    robot.press(":760a00000000<Enter>");
    assert!(robot.screen().contains("holds ▾"));
    robot.press(":0x760a00000008<Enter>");
    assert!(robot.screen().contains("no object begins at 0x760a00000008"));
    assert!(robot.line("┌").contains("0x760a00000008 · heap"));
    robot.press(":hex 0x10<Enter>");
    assert!(robot.screen().contains("nothing is captured"));
    robot.press(":nonsense<Enter>");
    assert!(robot.screen().contains("no command nonsense"));
}

#[test]
fn the_command_line_remembers_and_completes() {
    let mut robot = Robot::new(80, 24);
    robot.press(":hex 0x760a00000000<Enter>:types<Enter>:<Up><Up>");
    assert!(robot.screen().contains(":hex 0x760a00000000"));
    robot.press("<Esc>:refer<Tab><Tab>");
    assert!(robot.screen().contains(":referrers"));
    robot.press("<C-u>objects client.C<Tab><Enter>");
    assert!(robot.line("app.client.Client · 1").contains('┌'));
    robot.press(":save /tmp/x<Enter>");
    assert!(robot.screen().contains("saved in /tmp/x"));
    robot.press(":save /exists<Enter>");
    assert!(robot.screen().contains("▲ /exists is there already"));
    robot.press(":quit<Enter>");
    assert!(robot.quit);
}

#[test]
fn copies_addresses_and_lines() {
    let mut robot = Robot::new(80, 24);
    robot.press("j<Enter>jyY");
    assert_eq!(robot.copied[0], "0x760100000040");
    assert!(robot.copied[1].starts_with("0x760100000040\t_asyncio.Future\t120\t<Future finished"));
    assert!(robot.screen().contains("copied 0x760100000040  _asyncio"));
    robot.app.clock += Duration::from_secs(60);
    robot.event(Event::Tick);
    assert!(!robot.screen().contains("copied"), "messages do not stay for ever");
}

#[test]
fn work_can_be_cancelled() {
    let mut robot = Robot::silent(80, 24);
    robot.told(fake::opened());
    fake::scanned(43).into_iter().for_each(|update| robot.told(update));
    assert!(robot.line("scanning").contains("43 % · 3,397,000 objects · 1.20 GB/s · Esc cancels"));
    robot.press("<Enter>");
    assert!(robot.line("scanning").contains("^G cancels"), "a step back must not cost the scan");
    robot.press("<Esc>");
    assert_eq!(robot.cancelled, 0);
    robot.press("<Esc>");
    assert_eq!(robot.cancelled, 1);
    let reading = crate::progress::Reading { done: 1, total: 4, objects: 0 };
    robot.press("<Enter>");
    robot.told(Update::Progress { source: fake::SOURCE, stage: Stage::Linking, reading, rate: None });
    assert!(robot.line("linking references").contains("25 % · Esc cancels"));
    robot.press("<C-g>");
    assert_eq!(robot.cancelled, 2);
    robot.told(Update::Idle { source: fake::SOURCE });
    assert!(!robot.screen().contains("linking"));
}

#[test]
fn the_mouse_selects_opens_sorts_and_can_be_switched_off() {
    let mut robot = Robot::new(80, 24);
    robot.click(10, 6);
    assert!(robot.selected().contains("dict"));
    robot.app.clock += Duration::from_millis(100);
    robot.click(10, 6);
    assert!(robot.line("dict · 8,123").contains('┌'));
    robot.click(35, 3); // the head of the size column
    assert!(robot.screen().contains("size ▼"));
    robot.click(35, 3);
    assert!(robot.screen().contains("size ▲"));
    robot.click(72, 1);
    assert!(robot.screen().contains("[8 Hex]"));
    robot.click(15, 1);
    assert!(robot.screen().contains("[2 Types]"));
    robot.press(":0x760a00000000<Enter>");
    robot.screen(); // the widget knows where lines are once they are drawn
    robot.click(10, 6);
    assert!(robot.selected().contains(".response_"));
    robot.press("M");
    assert_eq!(robot.mouse, [false]);
}

#[test]
fn problems_are_marked_and_can_be_read() {
    let mut robot = Robot::new(100, 24);
    robot.press("!");
    assert!(robot.screen().contains("nothing was wrong"));
    robot.told(Update::Types {
        source: fake::SOURCE,
        types: fake::types(100),
        complete: true,
        problems: vec!["mem.1.2.bin is shorter than its name says".into()],
    });
    assert!(robot.screen().contains("▲ 1 problem (!)"));
    robot.press("!");
    assert!(robot.screen().contains("▲ mem.1.2.bin is shorter than its name says"));
    robot.press("q");
    assert!(!robot.quit, "q closes what lies over the pane");
}

#[test]
fn a_worker_that_is_gone_is_told() {
    let mut robot = Robot::new(80, 24);
    robot.event(Event::WorkerGone);
    assert!(robot.screen().contains("▲ the background thread stopped"));
}

#[test]
fn pasted_text_is_never_a_command() {
    let mut robot = Robot::new(80, 24);
    robot.event(Event::Paste("qqq\n".into()));
    assert!(!robot.quit);
    robot.event(Event::Paste(" 0x760a00000000\n".into()));
    assert!(robot.screen().contains(":0x760a00000000"), "an address waits for Enter");
}

#[test]
fn a_million_types_are_arranged_elsewhere() {
    let row = |i: u64| TypeRow {
        name: format!("package.module{}.Class{i}", i % 997),
        address: Addr(i * 16),
        count: i % 89,
        shallow_bytes: i * 7 % 100_003,
    };
    let types: Vec<_> = (1..=1_000_000).map(row).collect();
    let types = Arc::new(Types { types, total: Total { count: 44_000_000, shallow_bytes: 50_000_000_000 } });
    let mut robot = Robot::new(80, 24);
    robot.told(Update::Types { source: fake::SOURCE, types, complete: true, problems: vec![] });
    let job = robot.jobs.pop().unwrap();
    robot.event(Event::Arranged(job.run(|| false).unwrap()));
    assert!(robot.screen().contains("Types · 1,000,000"));
    robot.press("/Class99999");
    assert_eq!(robot.jobs.len(), 10, "one job for each key; the thread runs the newest");
    assert!(robot.screen().contains("Class"), "the rows before stay until then");
    let (last, first) = (robot.jobs.pop().unwrap(), robot.jobs.swap_remove(0));
    robot.event(Event::Arranged(last.run(|| false).unwrap()));
    let done = robot.screen();
    robot.event(Event::Arranged(first.run(|| false).unwrap()));
    assert_eq!(robot.screen(), done, "an older one that comes late is dropped");
    robot.press("<Enter>jjj");
    let begun = std::time::Instant::now();
    for _ in 0..20 {
        robot.press("j");
        robot.screen();
    }
    println!("a key press and its picture: {:?}", begun.elapsed() / 20);
}
