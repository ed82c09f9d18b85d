//! A newer snapshot beside the first, and graphs.

use super::Robot;
use crate::analysis::answers::TypeChange;
use crate::tui::fake;
use crate::tui::panes::Pane;
use crate::worker::protocol::{Request, SourceId, Update};

/// `R` was pressed, and the worker told of the newer snapshot.
fn compared(columns: u16, rows: u16) -> Robot {
    let mut robot = Robot::new(columns, rows);
    robot.hold = true;
    robot.press("R").done();
    let source = SourceId(1);
    robot.told(Update::Opened { source, info: fake::info(), problems: vec![] });
    robot.told(Update::Types { source, types: fake::types(100), complete: true, problems: vec![] });
    assert!(robot.asked.contains(&Request::Compare));
    robot.release();
    robot
}

#[test]
fn what_changed() {
    for (columns, rows) in [(80, 24), (200, 50)] {
        let mut robot = compared(columns, rows);
        insta::assert_snapshot!(format!("diff_{columns}x{rows}"), robot.screen());
        robot.press("<Enter>");
        insta::assert_snapshot!(format!("diff_objects_{columns}x{rows}"), robot.screen());
    }
}

#[test]
fn new_objects_are_in_the_newer_snapshot_and_gone_ones_in_the_older() {
    let mut robot = compared(80, 24);
    robot.press("<Enter>");
    robot.line("new · 3");
    robot.press("<Enter>");
    assert_eq!(robot.app.source, SourceId(1));
    robot.line("holds");
    robot.press("s");
    assert_eq!(robot.app.source, fake::SOURCE);
    robot.line("new · 3");
    robot.press(">");
    robot.line("gone · 2");
    robot.press("<Enter>");
    assert_eq!(robot.app.source, fake::SOURCE);
    robot.line("holds");
}

#[test]
fn the_comparison_is_narrowed_by_a_text_or_a_query() {
    let mut robot = compared(100, 24);
    let rows = |robot: &Robot| match robot.app.pane() {
        Pane::Diff(pane) => (0..).map_while(|at| pane.type_at(at)).cloned().collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    let all = rows(&robot);
    robot.press("/growth > 0 and not new > 1000");
    let kept = rows(&robot);
    assert!(!kept.is_empty() && kept.len() < all.len(), "{kept:?}");
    let fits = |row: &&TypeChange| row.change.delta_bytes > 0 && row.created.is_none_or(|n| n <= 1000);
    assert_eq!(kept, all.iter().filter(fits).cloned().collect::<Vec<_>>());
    robot.press(" and x = 1");
    robot.line("column 35: there is no field x; fields are type, growth");
    assert_eq!(rows(&robot), kept);
    robot.press("<Enter><Esc>");
    assert_eq!(rows(&robot), all);
    robot.press("/!a");
    assert_eq!(rows(&robot), all.iter().filter(|row| !row.name.contains('a')).cloned().collect::<Vec<_>>());
    robot.press("<Esc><Enter>/value ~ *");
    let objects = |robot: &Robot| match robot.app.pane() {
        Pane::Diff(pane) => (0..).map_while(|at| pane.object_at(at)).count(),
        other => panic!("{other:?}"),
    };
    assert_eq!(objects(&robot), 3);
    robot.press("<Esc>/size < 0");
    assert_eq!(objects(&robot), 0);
    robot.line("no row matches; Esc shows all");
}

#[test]
fn the_comparison_is_reached_from_the_newer_snapshot_too() {
    let mut robot = compared(80, 24);
    robot.press("s2");
    assert_eq!(robot.app.source, SourceId(1));
    robot.press("7");
    assert_eq!(robot.app.source, fake::SOURCE);
    robot.line("1,419 new");
}

#[test]
fn without_a_newer_snapshot_the_keys_say_so() {
    let mut robot = Robot::new(80, 24);
    robot.press("s");
    robot.line("R takes one");
    robot.press("7");
    robot.line("R captures the process again");
}

#[test]
fn keys_do_nothing_where_the_terminal_is_too_small_to_show_it() {
    let mut robot = Robot::new(40, 8);
    robot.press("jjl/x");
    assert!(matches!(robot.app.pane(), Pane::Overview(_)) && robot.app.prompt.is_none());
}

#[test]
fn a_graph_is_of_the_object_or_of_the_paths_to_it() {
    let mut robot = Robot::new(80, 24);
    robot.press("j<Enter>w");
    robot.line("written: /tmp/around-0x");
    robot.press("pw");
    robot.line("written: /tmp/paths-0x");
}
