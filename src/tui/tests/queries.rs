//! The filter line of lists: texts and queries, and what cannot be read.

use super::Robot;
use crate::tui::event::Event;
use crate::worker::protocol::{Request, RetainedBy};

fn filtered(robot: &Robot) -> &str {
    robot.app.pane().filter()
}

#[test]
fn tasks_are_narrowed_by_queries_and_a_wrong_one_leaves_them() {
    let mut robot = Robot::new(100, 30);
    robot.press("3/waits = lock and holder = root and not name ~ *7*");
    // of a crowd of 9,210
    let screen = robot.screen();
    assert!(screen.contains("request-0") && !screen.contains("request-7"), "{screen}");
    assert!(!screen.contains("deadlock of"), "the forest is not there: {screen}");
    robot.line("Tasks · 1,863 of 2,509 · ");
    robot.press(" and colour = 3");
    robot.line("column 55: there is no field colour");
    robot.line("Tasks · 1,863 of 2,509 · ");
    robot.press("<Enter>");
    assert!(robot.line("column 55: there is no field colour").contains('▲'));
    robot.press("<Esc>");
    assert_eq!(filtered(&robot), "");
    // one that was never right narrows nothing: pasted, as what is typed letter by letter begins as a text
    robot.press("/").event(Event::Paste("awaiters >".into()));
    robot.line("column 11");
    robot.line("Tasks · 2,509 · ");
    assert!(robot.screen().contains("╭▸"), "the forest: {}", robot.screen());
}

#[test]
fn what_tasks_and_threads_keep_alive_can_be_asked_once_it_is_known() {
    let mut robot = Robot::new(100, 30);
    robot.press("3/retained > 2kB");
    // each has 1,700 more than the one before
    let screen = robot.screen();
    assert!(!screen.contains("3.40 kB") || !screen.contains("1.70 kB"), "{screen}");
    assert!(screen.contains("3.40 kB"), "{screen}");
}

#[test]
fn what_is_retained_is_narrowed_by_the_worker() {
    let mut robot = Robot::new(100, 30);
    robot.press("5");
    robot.line("app.client.Client");
    robot.asked.clear();
    robot.press("/retained > 1MB");
    let asked = |robot: &Robot| {
        robot.asked.iter().rev().find_map(|request| match request {
            Request::Retained { by, filter, offset: 0, .. } => Some((*by, filter.clone())),
            _ => None,
        })
    };
    assert_eq!(asked(&robot), Some((RetainedBy::Objects, "retained > 1MB".into())));
    robot.line("Retained by object · 2 · / retained > 1MB");
    let count = robot.asked.len();
    robot.press(" and");
    assert_eq!(robot.asked.len(), count, "the worker is not asked what cannot be read");
    robot.line("column 19: a comparison is missing here");
    robot.press("<BS><BS><BS><BS><Enter>");
    // another grouping keeps it, a level below begins without
    robot.press(">");
    assert_eq!(asked(&robot), Some((RetainedBy::Types, "retained > 1MB".into())));
    robot.press("<<Enter>");
    assert_eq!(filtered(&robot), "");
    robot.press("<Esc>");
    assert_eq!(filtered(&robot), "retained > 1MB");
    robot.press("<Esc>");
    assert_eq!((filtered(&robot), asked(&robot)), ("", Some((RetainedBy::Objects, String::new()))));
    robot.press("/no such row<Enter>");
    robot.line("no row matches; Esc shows all");
}

#[test]
fn a_filter_typed_while_dominators_are_worked_out_does_not_begin_them_anew() {
    let mut robot = Robot::new(100, 30);
    robot.hold = true;
    robot.press("5");
    let asked = robot.asked.len();
    robot.press("/Client");
    assert_eq!(robot.asked.len(), asked, "{:?}", robot.asked);
    robot.release();
    robot.line("Retained by object · 1 · / Client");
}

#[test]
fn memory_is_narrowed_in_all_its_lists() {
    let mut robot = Robot::new(100, 30);
    robot.press("6/resident > 100MB");
    let screen = robot.screen();
    assert!(screen.contains("Python objects in pymalloc's arenas") && screen.contains("free in pymalloc's pools"));
    assert!(!screen.contains("libraries and other files  ") && !screen.contains("resident set"), "{screen}");
    robot.line("▾ mappings · 2 of 4");
    assert!(screen.contains("0x760000000000") && !screen.contains("0x560000000000"), "unfolded: {screen}");
    robot.press("<Enter>jj<Enter>");
    robot.line("▸ mappings · 2 of 4");
    robot.press("<Esc>");
    robot.line("▸ mappings · 4");
    robot.line("resident set");
    robot.press("/list = large and type = dict");
    robot.line("▾ largest blocks · 1 of 2");
    robot.press(" or sise > 3");
    robot.line("column 33: there is no field sise");
    robot.line("▾ largest blocks · 1 of 2");
    robot.press("<Esc>/queue<Enter>");
    robot.line("▾ mappings · 1 of 4");
    robot.press("<Esc>/start = 1<Enter>");
    robot.line("no line matches; Esc shows all");
}
