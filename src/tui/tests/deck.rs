//! The explorers of several processes.

use crate::analysis::answers::SnapshotInfo;
use crate::tui::app::App;
use crate::tui::deck::Deck;
use crate::tui::event::{Effect, Event};
use crate::tui::fake;
use crate::tui::panes::Pane;
use crate::tui::theme::{Theme, ThemeChoice};
use crate::tui::view;
use crate::worker::protocol::{Request, Update};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use std::sync::Arc;

/// A master and its workers, each with a worker that answers at once.
struct Tree {
    deck: Deck,
    terminal: Terminal<TestBackend>,
    asked: Vec<(usize, Request)>,
}

impl Tree {
    fn new(n: usize, columns: u16, rows: u16) -> Tree {
        let theme = Theme::choose(ThemeChoice::Dark, |_| None);
        let app = |_| App::new(fake::SOURCE, theme, true, (columns, rows));
        let deck = Deck::new((0..n).map(app).collect());
        let mut tree = Tree { deck, terminal: Terminal::new(TestBackend::new(columns, rows)).unwrap(), asked: vec![] };
        for place in 0..n {
            tree.opened(place);
        }
        tree
    }

    /// Process `place` is open and indexed; each has some objects more than the one before.
    fn opened(&mut self, place: usize) {
        let info = SnapshotInfo {
            pid: Some(4242 + place as i32),
            private_bytes: Some(100_000_000 * (place as u64 + 1)),
            ..fake::info()
        };
        let source = fake::SOURCE;
        self.told(place, Update::Opened { source, info, problems: vec![] });
        self.types(place);
    }

    fn types(&mut self, place: usize) {
        let mut types = fake::types(100).as_ref().clone();
        types.types[3].count += place as u64;
        types.types[3].shallow_bytes += 1_000_000 * place as u64;
        let (source, types) = (fake::SOURCE, Arc::new(types));
        self.told(place, Update::Types { source, types, complete: true, problems: vec![] });
    }

    fn told(&mut self, place: usize, update: Update) {
        self.event(Some(place), Event::Worker(Box::new(update)));
    }

    fn event(&mut self, place: Option<usize>, event: Event) {
        for (from, effect) in self.deck.update(place, event) {
            if let Effect::Send(ticket, request) = effect {
                self.asked.push((from, request.clone()));
                self.told(from, fake::reply(ticket, &request));
            }
        }
    }

    fn press(&mut self, keys: &str) {
        for c in keys.chars() {
            let code = match c {
                '\n' => KeyCode::Enter,
                '→' => KeyCode::Right,
                c => KeyCode::Char(c),
            };
            self.event(None, Event::Key(KeyEvent::new(code, KeyModifiers::NONE)));
        }
    }

    fn screen(&mut self) -> String {
        let app = self.deck.seen();
        self.terminal.draw(|frame| view::draw(frame, app)).unwrap();
        let buffer = self.terminal.backend().buffer();
        let lines = buffer.content.chunks(usize::from(buffer.area.width));
        lines.map(|l| l.iter().map(|c| c.symbol()).collect::<String>().trim_end().to_owned() + "\n").collect()
    }

    fn line(&mut self, text: &str) -> String {
        let screen = self.screen();
        let line = screen.lines().find(|line| line.contains(text));
        line.unwrap_or_else(|| panic!("{text:?} is not on the screen:\n{screen}")).to_owned()
    }
}

#[test]
fn processes_beside_each_other() {
    for (columns, rows) in [(80, 24), (100, 30), (200, 50)] {
        let mut tree = Tree::new(4, columns, rows);
        tree.press("9→→jjjjj");
        insta::assert_snapshot!(format!("processes_{columns}x{rows}"), tree.screen());
    }
}

#[test]
fn a_key_goes_round_the_processes_and_each_is_as_it_was_left() {
    let mut tree = Tree::new(3, 80, 24);
    tree.line("1 of 3 · worker.py · pid 4242");
    tree.press("2jj}");
    tree.line("2 of 3 · worker.py · pid 4243");
    tree.line("[1 Overview]");
    tree.press("}");
    tree.line("pid 4244");
    tree.press("}");
    tree.line("[2 Types]");
    tree.press("{");
    tree.line("3 of 3");
}

#[test]
fn what_is_not_seen_asks_for_nothing() {
    let mut tree = Tree::new(3, 80, 24);
    assert!(tree.asked.iter().all(|(place, _)| *place == 0), "{:?}", tree.asked);
    assert!(tree.asked.iter().any(|(_, request)| matches!(request, Request::Findings(_))));
    tree.press("}");
    assert!(tree.asked.iter().any(|(place, request)| *place == 1 && matches!(request, Request::Findings(_))));
}

#[test]
fn from_the_comparison_to_the_objects_of_a_process() {
    let mut tree = Tree::new(3, 80, 24);
    tree.press("9→jjjjj");
    let row = tree.line("▌");
    tree.press("\n");
    tree.line("2 of 3");
    assert!(matches!(tree.deck.seen().pane(), Pane::Objects(_)));
    let name = row.split('▌').nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    tree.line(&format!("▸ {name}"));
    // a row about processes as a whole leads to the process
    let mut tree = Tree::new(3, 80, 24);
    tree.press("9→→\n");
    tree.line("3 of 3");
    tree.line("[1 Overview]");
}

#[test]
fn the_comparison_stays_in_sight_and_follows_what_becomes_known() {
    let mut tree = Tree::new(2, 80, 24);
    tree.press("9");
    tree.line("All 2 processes");
    let asked = tree.asked.len();
    tree.types(1);
    let again = &tree.asked[asked..];
    assert!(matches!(again, [(0, Request::Beside { .. })]), "{again:?}");
    tree.press(">");
    tree.line("numbers of objects");
    tree.press("}");
    tree.line("All 2 processes");
    tree.line("2 of 2");
}

#[test]
fn one_process_is_as_ever() {
    let mut tree = Tree::new(1, 80, 24);
    assert!(!tree.screen().contains("1 of 1") && !tree.screen().contains("9 All"));
    tree.press("}");
    tree.line("one process is open");
}
