//! The explorer driven by keys against the fake worker, as a person would.

mod behaviour;
mod deck;
mod newer;
mod queries;
mod screens;
mod standing_out;
mod walking;

use super::app::App;
use super::event::{Effect, Event};
use super::fake;
use super::theme::{Theme, ThemeChoice};
use super::update::update;
use super::view;
use crate::worker::protocol::{Request, Ticket, Update};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;

/// An explorer, its screen, and a worker that answers at once unless told to hold.
pub struct Robot {
    pub app: App,
    terminal: Terminal<TestBackend>,
    /// Answers wait in `held`.
    pub hold: bool,
    pub held: Vec<Update>,
    pub asked: Vec<Request>,
    pub copied: Vec<String>,
    pub cancelled: usize,
    pub mouse: Vec<bool>,
    pub quit: bool,
    /// Jobs for the arranger wait for `arrange`.
    pub jobs: Vec<super::arrange::Job>,
}

impl Robot {
    /// Before the worker said anything.
    pub fn silent(columns: u16, rows: u16) -> Robot {
        let theme = Theme::choose(ThemeChoice::Dark, |_| None);
        Robot {
            app: App::new(fake::SOURCE, theme, true, (columns, rows)),
            terminal: Terminal::new(TestBackend::new(columns, rows)).unwrap(),
            hold: false,
            held: vec![],
            asked: vec![],
            copied: vec![],
            cancelled: 0,
            mouse: vec![],
            quit: false,
            jobs: vec![],
        }
    }

    /// The scan is over, and the person is in the type table.
    pub fn new(columns: u16, rows: u16) -> Robot {
        let mut robot = Robot::started(columns, rows);
        robot.press("2");
        robot.asked.clear();
        robot
    }

    /// The scan is over: the start page.
    pub fn started(columns: u16, rows: u16) -> Robot {
        let mut robot = Robot::silent(columns, rows);
        robot.told(fake::opened());
        for update in fake::scanned(100) {
            robot.told(update);
        }
        robot.told(Update::Idle { source: fake::SOURCE });
        robot
    }

    pub fn event(&mut self, event: Event) {
        for effect in update(&mut self.app, event) {
            match effect {
                Effect::Send(ticket, request) => self.ask(ticket, request),
                Effect::Cancel(_) => self.cancelled += 1,
                Effect::Arrange(job) => self.jobs.push(job),
                Effect::Copy(text) => self.copied.push(text),
                Effect::Mouse(on) => self.mouse.push(on),
                Effect::Turn(_) => {}
                Effect::Quit => self.quit = true,
            }
        }
    }

    fn ask(&mut self, ticket: Ticket, request: Request) {
        let reply = fake::reply(ticket, &request);
        self.asked.push(request);
        if self.hold {
            self.held.push(reply);
        } else {
            self.told(reply);
        }
    }

    pub fn told(&mut self, update: Update) {
        self.event(Event::Worker(Box::new(update)));
    }

    /// Lets the held answers come, oldest first.
    pub fn release(&mut self) {
        self.hold = false;
        for update in std::mem::take(&mut self.held) {
            self.told(update);
        }
    }

    /// Presses keys: characters as they are, others as `<Enter>`, `<C-d>`, `<A-Left>`.
    pub fn press(&mut self, keys: &str) -> &mut Robot {
        let mut rest = keys;
        while let Some(c) = rest.chars().next() {
            let end = rest.find('>').filter(|end| c == '<' && *end > 1 && !rest[1..*end].contains('<'));
            let event = match end {
                Some(end) => {
                    let name = &rest[1..end];
                    rest = &rest[end + 1..];
                    named(name)
                }
                None => {
                    rest = &rest[c.len_utf8()..];
                    KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE)
                }
            };
            self.event(Event::Key(event));
        }
        self
    }

    /// Ends a chain of calls.
    pub fn done(&mut self) {}

    pub fn click(&mut self, column: u16, row: u16) {
        let kind = MouseEventKind::Down(MouseButton::Left);
        self.event(Event::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE }));
    }

    pub fn buffer(&mut self) -> Buffer {
        self.terminal.draw(|frame| view::draw(frame, &self.app)).unwrap();
        self.terminal.backend().buffer().clone()
    }

    pub fn screen(&mut self) -> String {
        let buffer = self.buffer();
        let width = usize::from(buffer.area.width).max(1);
        let mut out = String::new();
        for line in buffer.content.chunks(width) {
            let mut text = String::new();
            let mut skip = 0;
            for cell in line {
                // The cell behind a wide character is blank in the buffer and not there on the screen
                if skip > 0 {
                    skip -= 1;
                    continue;
                }
                skip = unicode_width::UnicodeWidthStr::width(cell.symbol()).saturating_sub(1);
                text += cell.symbol();
            }
            out += text.trim_end();
            out.push('\n');
        }
        out
    }

    /// The first line of the screen that contains `text`.
    pub fn line(&mut self, text: &str) -> String {
        let screen = self.screen();
        let line = screen.lines().find(|line| line.contains(text));
        line.unwrap_or_else(|| panic!("{text:?} is not on the screen:\n{screen}")).to_owned()
    }

    /// The line under the cursor.
    pub fn selected(&mut self) -> String {
        let buffer = self.buffer();
        let layout = self.app.layout();
        for y in layout.content.top()..layout.content.bottom() {
            let row: Vec<_> = (layout.content.left()..layout.content.right()).map(|x| &buffer[(x, y)]).collect();
            if row.iter().all(|cell| cell.modifier.contains(ratatui::style::Modifier::REVERSED)) {
                return row.iter().map(|cell| cell.symbol()).collect::<String>().trim().to_owned();
            }
        }
        panic!("no line is selected:\n{}", self.screen());
    }
}

fn named(name: &str) -> KeyEvent {
    let (modifiers, name) = match name.split_once('-') {
        Some(("C", rest)) => (KeyModifiers::CONTROL, rest),
        Some(("A", rest)) => (KeyModifiers::ALT, rest),
        _ => (KeyModifiers::NONE, name),
    };
    let code = match name {
        "Enter" => KeyCode::Enter,
        "Esc" => KeyCode::Esc,
        "Tab" => KeyCode::Tab,
        "Up" => KeyCode::Up,
        "Down" => KeyCode::Down,
        "Left" => KeyCode::Left,
        "Right" => KeyCode::Right,
        "PgDn" => KeyCode::PageDown,
        "PgUp" => KeyCode::PageUp,
        "BS" => KeyCode::Backspace,
        "End" => KeyCode::End,
        one => KeyCode::Char(one.chars().next().unwrap()),
    };
    KeyEvent::new(code, modifiers)
}
