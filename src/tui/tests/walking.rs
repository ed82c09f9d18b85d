//! Walking the object tree and raw memory.

use super::Robot;
use crate::analysis::answers::{Thread, Threads};
use crate::tui::panes::Pane;
use crate::tui::panes::threads::Row;
use crate::worker::protocol::{Answer, Update};

#[test]
fn tree_folds_unfolds_and_pages() {
    let mut robot = Robot::new(80, 24);
    robot.press(":0x760a00000000<Enter>jjjl");
    assert!(robot.screen().contains("[0] ="));
    robot.press("l"); // to the first child
    assert!(robot.selected().contains("[0]"));
    robot.press("h");
    assert!(robot.selected().contains(".response_"));
    robot.press("h");
    assert!(!robot.screen().contains("[0] ="));
    robot.press(" l<End>kk"); // the … line is third from the end
    assert!(robot.selected().contains("… 99,000 more"), "{}", robot.selected());
    robot.press("<Enter>");
    assert!(robot.selected().contains("[1000]"));
    assert!(!robot.screen().contains("[999]"), "a page is replaced, not piled up");
    robot.press("k");
    assert!(robot.selected().contains("… 1,000 before"));
    robot.press("g77777<Enter>");
    assert!(robot.selected().contains("[77777]"));
}

#[test]
fn a_circle_is_marked_and_can_be_walked_round() {
    let mut robot = Robot::new(80, 24);
    robot.press(":0x760a00000000<Enter>jjjllljj");
    assert!(robot.selected().contains("._client") && robot.selected().contains('↺'), "{}", robot.selected());
    robot.press("l");
    assert_eq!(robot.screen().matches(".host =").count(), 2);
}

#[test]
fn tree_search_goes_round() {
    let mut robot = Robot::new(80, 24);
    robot.press(":0x760a00000000<Enter>/WEAK<Enter>");
    assert!(robot.selected().contains("Client host"), "upper case is exact: no hit, no move");
    robot.press("/<C-u>weak<Enter>");
    assert!(robot.selected().contains(".parent"));
    robot.press("/<C-u>client<Enter>n");
    let second = robot.selected();
    robot.press("nN");
    assert_eq!(robot.selected(), second);
}

#[test]
fn turning_round_at_the_root_keeps_both_sides() {
    let mut robot = Robot::new(80, 24);
    robot.press(":0x760a00000000<Enter>jjjlkkk");
    let before = robot.screen();
    robot.press("r");
    assert!(robot.screen().contains("is held by"));
    robot.press("r");
    assert_eq!(robot.screen(), before);
}

#[test]
fn hex_follows_words_and_comes_back() {
    let mut robot = Robot::new(80, 24);
    robot.press(":hex 0x760a00000000<Enter><Tab><Tab>");
    assert!(robot.screen().contains("0x760200000000  is  dict"));
    robot.press("<Enter>");
    assert!(robot.line("┌").contains("0x760200000000"));
    robot.press("<Esc>");
    assert!(robot.screen().contains("0x760200000000  is  dict"), "the cursor is where it was");
    robot.press("<Left><Left>");
    assert!(robot.screen().contains("0x1  u64 1"));
    robot.press("<Enter>");
    assert!(robot.screen().contains("this word is not the address of an object"));
}

#[test]
fn hex_scrolls_to_the_ends_of_the_region_and_stops() {
    let mut robot = Robot::new(80, 24);
    robot.press(":hex 0x760800000400<Enter>");
    (0..9).for_each(|_| robot.press("<PgDn>").done());
    robot.press("G<PgDn>");
    let end = 0x7608_0000_0000u64 + 4000 * 64;
    assert!(robot.screen().contains(&format!("▌{:012x}", end - 16)), "{}", robot.screen());
    robot.press("g");
    (0..3).for_each(|_| robot.press("<PgUp>").done());
    assert!(robot.screen().contains("▌760800000000"));
}

#[test]
fn hex_searches_text_and_bytes_both_ways() {
    let mut robot = Robot::new(80, 24);
    robot.press(":hex 0x760100000000<Enter>/some tex<Enter>");
    assert!(robot.screen().contains("▌760100000010"));
    robot.press("n");
    assert!(robot.screen().contains("▌760100000050"));
    robot.press("N");
    assert!(robot.screen().contains("▌760100000010"));
    robot.press("N");
    assert!(robot.screen().contains("not found above"));
    robot.press("/0x00000440<Enter>");
    assert!(robot.screen().contains("▌760100000020"));
    robot.press("/0xzz<Enter>");
    assert!(robot.screen().contains("pairs of hex digits"));
}

#[test]
fn threads_are_narrowed_by_a_query() {
    let mut robot = Robot::new(120, 40);
    robot.press("4");
    let shown = |robot: &Robot| match robot.app.pane() {
        Pane::Threads(pane) => {
            let threads = (0..).map_while(|at| pane.row(at)).filter_map(|row| match row {
                Row::Thread(t) => pane.thread(t).cloned(),
                _ => None,
            });
            threads.collect::<Vec<_>>()
        }
        other => panic!("{other:?}"),
    };
    let all = shown(&robot);
    robot.press("/waits and frames > 1");
    let kept = shown(&robot);
    let fits = |t: &&Thread| t.waits_for.is_some() && t.ident.is_some() && t.frames.len() > 1;
    assert_eq!(kept, all.iter().filter(fits).cloned().collect::<Vec<_>>());
    assert!(!kept.is_empty() && kept.len() < all.len());
    robot.press(" or colour");
    robot.line("column 25: there is no field colour");
    assert_eq!(shown(&robot), kept);
    robot.press("<Enter><Esc>");
    assert_eq!(shown(&robot), all);
}

#[test]
fn threads_fold_unfold_filter_and_lead_to_objects() {
    let mut robot = Robot::new(80, 24);
    robot.press("4");
    assert!(robot.selected().contains("✗ deadlock"), "what is worst stands first");
    robot.press("j");
    assert!(robot.selected().contains("✗ MainThread"), "{}", robot.selected());
    robot.press("j");
    assert!(robot.selected().contains("held by worker-1"), "{}", robot.selected());
    robot.press("<Enter>");
    assert!(robot.screen().contains("holds ▾"), "the lock itself can be entered");
    robot.press("<Esc>k<Enter>");
    assert!(!robot.screen().contains("Client.fetch"), "folded");
    robot.press(" jjj");
    assert!(robot.selected().contains("Client.fetch"), "{}", robot.selected());
    robot.press("lj");
    assert!(robot.selected().contains("self = <Client"), "{}", robot.selected());
    robot.press("h");
    assert!(robot.selected().contains("Client.fetch"));
    robot.press("jr");
    assert!(robot.screen().contains("is held by"), "a variable leads to who holds it");
    robot.press("<Esc>");
    assert!(robot.selected().contains("self = <Client"), "back where it was");
    robot.press("<Enter>");
    assert!(robot.screen().contains("holds ▾"));
    robot.press("<Esc>/WALK<Enter>");
    assert!(robot.screen().contains("no thread matches"), "upper case is exact");
    robot.press("/<BS><BS><BS><BS>walk<Enter>");
    assert!(robot.screen().contains("1 of 3") && !robot.screen().contains("✗ MainThread"));
    robot.press("<Esc>G");
    assert!(robot.selected().contains("grpc_event"));
    robot.press(":threads<Enter>y");
    assert_eq!(robot.copied, [] as [String; 0], "a thread has no address of an object");
    robot.press("Y");
    assert!(robot.copied[0].starts_with("grpc_event"), "{:?}", robot.copied);
}

#[test]
fn what_threads_could_not_be_read_is_said() {
    let mut robot = Robot::new(80, 24);
    robot.hold = true;
    robot.press("4");
    let said = "the list of threads is damaged: some may be missing";
    for update in std::mem::take(&mut robot.held) {
        let update = match update {
            Update::Answered { ticket, answer: Answer::Threads(threads) } => {
                let threads = Threads { problems: vec![said.into()], ..(*threads).clone() };
                Update::Answered { ticket, answer: Answer::Threads(threads.into()) }
            }
            other => other,
        };
        robot.told(update);
    }
    assert!(robot.screen().contains(&format!("▲ {said}")), "{}", robot.screen());
}
