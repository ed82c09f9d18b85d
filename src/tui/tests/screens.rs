//! Every pane as text, at the sizes people have; colours apart.

use super::Robot;
use crate::tui::fake;
use crate::tui::theme::{Theme, ThemeChoice};
use crate::worker::protocol::Update;
use ratatui::style::{Color, Modifier};

const SIZES: [(u16, u16); 3] = [(80, 24), (100, 30), (200, 50)];

fn everywhere(name: &str, keys: &str) {
    for (columns, rows) in SIZES {
        let mut robot = Robot::new(columns, rows);
        robot.press(keys);
        insta::assert_snapshot!(format!("{name}_{columns}x{rows}"), robot.screen());
    }
}

#[test]
fn types() {
    everywhere("types", "jj");
}

#[test]
fn types_filtered() {
    everywhere("types_filtered", "/client");
}

#[test]
fn types_while_scanning() {
    let mut robot = Robot::silent(80, 24);
    insta::assert_snapshot!("opening", robot.screen());
    robot.told(fake::opened());
    fake::scanned(43).into_iter().for_each(|update| robot.told(update));
    insta::assert_snapshot!("scanning", robot.screen());
}

#[test]
fn objects() {
    everywhere("objects", "j<Enter>jjj");
}

#[test]
fn objects_of_all_types() {
    everywhere("objects_all", ":objects<Enter>>>");
}

#[test]
fn tree() {
    everywhere("tree", "/client.Client<Enter><Enter><Enter>jjjl<Down>l");
}

#[test]
fn threads() {
    everywhere("threads", "4jjjjl");
}

#[test]
fn threads_and_a_variable() {
    everywhere("threads_variable", "4jjjjlj");
}

#[test]
fn threads_help() {
    everywhere("threads_help", "4?");
}

#[test]
fn types_queried() {
    everywhere("types_queried", "/count > 100 and size < 10MB");
}

#[test]
fn types_query_wrong() {
    everywhere("types_query_wrong", "/count > 100 and sise < 10MB");
}

#[test]
fn threads_filtered() {
    everywhere("threads_filtered", "4/grpc<Enter>");
}

#[test]
fn tasks() {
    everywhere("tasks", "3");
}

#[test]
fn tasks_and_a_stack() {
    everywhere("tasks_stack", "3jljjlj");
}

#[test]
fn tasks_of_a_crowd() {
    everywhere("tasks_crowd", "3Glj");
}

#[test]
fn tasks_filtered() {
    everywhere("tasks_filtered", "3/finished<Enter>");
}

#[test]
fn lists_queried() {
    everywhere("tasks_queried", "3/waits = lock and awaiters = 0");
    everywhere("retained_queried", "5/retained > 1MB");
    everywhere("memory_queried", "6/resident > 100MB<Enter>");
}

#[test]
fn tasks_by_what_they_retain() {
    everywhere("tasks_by_retained", "3>>>>>");
}

#[test]
fn threads_by_what_they_retain() {
    everywhere("threads_by_retained", "4>");
}

#[test]
fn tasks_by_name() {
    everywhere("tasks_by_name", "3>");
}

#[test]
fn retained() {
    everywhere("retained", "5j");
    everywhere("retained_below", "5<Enter><Enter>");
    everywhere("retained_threads", "5>>>");
}

#[test]
fn paths() {
    everywhere("paths", "j<Enter>jjp");
}

#[test]
fn memory() {
    everywhere("memory", "6jl");
    everywhere("memory_blocks", "6Gklj");
    everywhere("memory_map", "6Glj");
}

#[test]
fn overview() {
    everywhere("overview", "1");
    everywhere("overview_type", "1G");
}

#[test]
fn tree_paged() {
    everywhere("tree_paged", ":0x760200000000<Enter>G<Enter>kkkkkk");
}

#[test]
fn referrers() {
    everywhere("referrers", "j<Enter>jjrjljl");
}

#[test]
fn hex() {
    everywhere("hex", "/client.Client<Enter><Enter>x<Tab><Tab>");
}

#[test]
fn hex_with_a_hit() {
    everywhere("hex_hit", ":hex 0x760100000080<Enter>/some tex<Enter>");
}

#[test]
fn command_line() {
    everywhere("palette", ":");
    everywhere("palette_types", ":objects cl<Tab>");
}

#[test]
fn help() {
    everywhere("help_types", "?");
    everywhere("help_tree", "j<Enter><Enter>?");
    everywhere("help_hex", "x?");
    everywhere("help_overview", "1?");
    everywhere("help_tasks", "3?");
    everywhere("help_memory", "6?");
    everywhere("help_retained", "5?");
    everywhere("help_paths", "j<Enter>p?");
}

#[test]
fn side_panel_below_in_a_narrow_terminal() {
    let mut robot = Robot::new(80, 24);
    robot.press("j<Enter>i");
    insta::assert_snapshot!("objects_with_panel_80x24", robot.screen());
    robot.press("x");
    insta::assert_snapshot!("hex_with_panel_80x24", robot.screen());
}

#[test]
fn failures_are_one_sentence() {
    let mut robot = Robot::silent(80, 24);
    let reason = "memdump holds no CPython interpreter: neither symbols nor a type object were found".to_owned();
    robot.told(Update::Failed { source: fake::SOURCE, reason });
    insta::assert_snapshot!("failed", robot.screen());
}

#[test]
fn too_small_says_so() {
    for (columns, rows) in [(63, 24), (80, 11), (10, 2), (1, 1)] {
        let screen = Robot::new(columns, rows).press("j<Enter><Enter>x?").screen();
        assert!(
            screen.starts_with(&"too small"[..usize::from(columns.min(9)) - usize::from(columns == 1)]),
            "{screen}"
        );
    }
    let smallest = Robot::new(64, 12).screen();
    insta::assert_snapshot!("types_64x12", smallest);
}

/// Everything at once at many sizes, for panics and for text outside its place.
#[test]
fn any_size_draws() {
    let keys = ["", "i", "j<Enter>i", ":objects<Enter>", "j<Enter><Enter>l", "x", "xi", "?", ":", "/a", "x/"];
    for columns in (64..210).step_by(7) {
        for rows in [12, 13, 19, 24, 51] {
            for keys in keys {
                Robot::new(columns, rows).press(keys).screen();
            }
        }
    }
}

/// A terminal that shrank tells so a moment after the picture is due.
#[test]
fn a_screen_smaller_than_known_draws() {
    for keys in ["", "j<Enter>", "j<Enter><Enter>l", "x", "?", ":", "/a"] {
        let mut robot = Robot::new(80, 24);
        robot.event(crate::tui::event::Event::Resize(300, 100));
        robot.press(keys).screen();
    }
}

fn themed(choice: ThemeChoice, keys: &str) -> Vec<ratatui::buffer::Cell> {
    let mut robot = Robot::new(120, 30);
    robot.app.theme = Theme::choose(choice, |_| None);
    robot.app.problems.push("a region is short".into());
    robot.press(keys);
    robot.buffer().content
}

const PANES: [&str; 6] =
    ["", "j<Enter>", "/client.Client<Enter><Enter><Enter>", ":hex 0x760100000000<Enter>", "?", "!"];

#[test]
fn without_colours_there_are_none_and_with_them_only_the_sixteen() {
    for keys in PANES {
        for cell in themed(ThemeChoice::Plain, keys) {
            assert_eq!((cell.fg, cell.bg), (Color::Reset, Color::Reset));
        }
        for choice in [ThemeChoice::Dark, ThemeChoice::Light] {
            let cells = themed(choice, keys);
            assert!(cells.iter().all(|c| c.bg == Color::Reset && !matches!(c.fg, Color::Rgb(..) | Color::Indexed(_))));
            assert!(!cells.iter().any(|c| matches!(c.fg, Color::White | Color::Black)), "unreadable on one ground");
        }
    }
}

#[test]
fn text_is_the_same_in_every_theme() {
    for keys in PANES {
        let symbols = |choice| themed(choice, keys).iter().map(|c| c.symbol().to_owned()).collect::<String>();
        assert_eq!(symbols(ThemeChoice::Plain), symbols(ThemeChoice::Dark));
    }
}

#[test]
fn meanings_have_their_colours() {
    let mut robot = Robot::new(80, 24);
    robot.press("/client.Client<Enter><Enter><Enter>");
    let theme = robot.app.theme;
    let buffer = robot.buffer();
    let find = |text: &str| {
        let (x, y) = (0..24u16)
            .flat_map(|y| (0..80u16).map(move |x| (x, y)))
            .find(|(x, y)| {
                let row: String = (*x..80).map(|x| buffer[(x, *y)].symbol()).collect();
                row.starts_with(text)
            })
            .unwrap_or_else(|| panic!("{text} is not on the screen"));
        buffer[(x, y)].style()
    };
    assert_eq!(find("'text number").fg, theme.strings.fg);
    assert_eq!(find("100001").fg, theme.numbers.fg);
    assert_eq!(find("0x760400000000").fg, theme.addresses.fg);
    assert_eq!(find("str ").fg, theme.types.fg);
    assert_eq!(find("(weak)").fg, theme.warning.fg, "and a word says it as well");
}

#[test]
fn the_selected_row_is_one_even_bar_with_a_mark() {
    let mut robot = Robot::new(80, 24);
    robot.press("j");
    let buffer = robot.buffer();
    let row: Vec<_> = (1..79).map(|x| &buffer[(x, 5)]).collect();
    assert!(row.iter().all(|c| c.modifier.contains(Modifier::REVERSED) && c.fg == Color::Reset));
    assert_eq!(row[0].symbol(), "▌");
}

#[test]
fn hostile_names_cannot_reach_the_terminal() {
    let mut robot = Robot::new(100, 30);
    let mut types = (*fake::types(100)).clone();
    types.types[0].name = "evil\x1b]52;c;aGk=\x07\u{202e}\n".into();
    let update = Update::Types { source: fake::SOURCE, types: types.into(), complete: true, problems: vec![] };
    robot.told(update);
    robot.press("<Enter>");
    let screen = robot.screen();
    assert!(screen.contains("evil\\x1b]52"), "{screen}");
    assert!(!screen.chars().any(|c| c.is_control() && c != '\n' || c == '\u{202e}'));
}
