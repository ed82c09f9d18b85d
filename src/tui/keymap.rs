//! The one table of keys: key → action → help → where it counts.
//!
//! Input handling, the help overlay and the footer are all made from it, so none of them can lie. It does not know
//! what an action does.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// What a key can mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Action {
    Up,
    Down,
    Left,
    Right,
    PageUp,
    PageDown,
    HalfUp,
    HalfDown,
    Top,
    Bottom,
    Open,
    Toggle,
    Escape,
    Back,
    Forward,
    Filter,
    Next,
    Previous,
    NextPointer,
    PreviousPointer,
    SortLeft,
    SortRight,
    Reverse,
    TurnRound,
    Tree,
    Hex,
    CopyAddress,
    CopyLine,
    Side,
    Mouse,
    Pane(u8),
    Palette,
    Help,
    Problems,
    Cancel,
    Again,
    Paths,
    Draw,
    Other,
    Process(i8),
    Accept,
    Abandon,
    Complete,
    Quit,
}

/// Where a key counts: a set of places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context(u32);

#[allow(missing_docs)]
impl Context {
    pub const TYPES: Context = Context(1);
    pub const OBJECTS: Context = Context(2);
    pub const TREE: Context = Context(4);
    pub const HEX: Context = Context(8);
    pub const FILTER: Context = Context(16);
    pub const PALETTE: Context = Context(32);
    pub const OVERLAY: Context = Context(64);
    pub const THREADS: Context = Context(128);
    pub const OVERVIEW: Context = Context(256);
    pub const TASKS: Context = Context(512);
    pub const MEMORY: Context = Context(1024);
    pub const RETAINED: Context = Context(2048);
    pub const PATHS: Context = Context(4096);
    pub const DIFF: Context = Context(8192);
    pub const PROCESSES: Context = Context(16384);
    const INPUTS: Context = Context::FILTER.or(Context::PALETTE);
    const TABLES: Context = Context::TYPES.or(Context::OBJECTS);
    const LISTS: Context = Context::TABLES.or(Context::OVERVIEW).or(Context::RETAINED).or(Context::DIFF);
    const SORTED: Context = Context::TABLES.or(Context::TASKS);
    const FOLDS: Context = Context::TREE.or(Context::THREADS).or(Context::TASKS).or(Context::MEMORY).or(Context::PATHS);
    const ROWS: Context = Context::LISTS
        .or(Context::THREADS)
        .or(Context::TASKS)
        .or(Context::MEMORY)
        .or(Context::PATHS)
        .or(Context::PROCESSES);
    const PANES: Context = Context::ROWS.or(Context::TREE).or(Context::HEX);
    const OTHERS: Context = Context::PANES.but(Context::TREE).but(Context::OBJECTS).but(Context::PROCESSES);
    const SCROLLS: Context = Context::PANES.or(Context::OVERLAY);
    const EVERYWHERE: Context = Context::SCROLLS.or(Context::INPUTS);

    /// What of the first set is not in the second.
    const fn but(self, other: Context) -> Context {
        Context(self.0 & !other.0)
    }

    /// Both sets together.
    pub const fn or(self, other: Context) -> Context {
        Context(self.0 | other.0)
    }

    /// Whether the two sets have a place in common.
    pub fn meets(self, other: Context) -> bool {
        self.0 & other.0 != 0
    }
}

/// One key with its modifiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key(KeyCode, KeyModifiers);

const fn ch(c: char) -> Key {
    Key(KeyCode::Char(c), KeyModifiers::NONE)
}
const fn ctrl(c: char) -> Key {
    Key(KeyCode::Char(c), KeyModifiers::CONTROL)
}
const fn code(code: KeyCode) -> Key {
    Key(code, KeyModifiers::NONE)
}
const fn alt(code: KeyCode) -> Key {
    Key(code, KeyModifiers::ALT)
}

impl Key {
    fn matches(self, event: KeyEvent) -> bool {
        // A terminal that reports Shift with a capital letter says it twice
        let ignored = match event.code {
            KeyCode::Char(_) | KeyCode::BackTab => KeyModifiers::SHIFT,
            _ => KeyModifiers::NONE,
        };
        self.0 == event.code && self.1 == event.modifiers.difference(ignored)
    }

    /// As the help names it.
    pub fn name(self) -> String {
        let name = match self.0 {
            KeyCode::Char(' ') => "Space".into(),
            KeyCode::Char(c) => c.to_string(),
            KeyCode::Up => "↑".into(),
            KeyCode::Down => "↓".into(),
            KeyCode::Left => "←".into(),
            KeyCode::Right => "→".into(),
            KeyCode::Enter => "↵".into(),
            KeyCode::BackTab => "⇧Tab".into(),
            KeyCode::PageUp => "PgUp".into(),
            KeyCode::PageDown => "PgDn".into(),
            other => format!("{other:?}"),
        };
        match self.1 {
            KeyModifiers::CONTROL => format!("^{}", name.to_uppercase()),
            KeyModifiers::ALT => format!("Alt-{name}"),
            _ => name,
        }
    }
}

/// One line of the table.
pub struct Binding {
    /// Any of these.
    pub keys: &'static [Key],
    /// What it means.
    pub action: Action,
    /// For the footer; empty: not among the keys that matter most.
    pub short: &'static str,
    /// For the help.
    pub help: &'static str,
    /// Where.
    pub context: Context,
}

const fn bind(
    keys: &'static [Key],
    action: Action,
    context: Context,
    short: &'static str,
    help: &'static str,
) -> Binding {
    Binding { keys, action, short, help, context }
}

use Action as A;
use Context as C;
use KeyCode as K;

/// All keys. The order is the order of the help and of the footer.
pub static KEYS: &[Binding] = &[
    bind(&[code(K::Enter), code(K::Right), ch('l')], A::Open, C::TYPES, "objects", "the objects of this type"),
    bind(&[code(K::Enter), code(K::Right), ch('l')], A::Open, C::OBJECTS, "what it holds", "what this object holds"),
    bind(&[code(K::Enter)], A::Open, C::TREE, "into", "make it the root; on a … line: the next ones"),
    bind(&[code(K::Enter)], A::Open, C::HEX, "follow", "follow the address under the cursor"),
    bind(&[code(K::Enter)], A::Open, C::THREADS, "into", "unfold; on a variable: what it holds"),
    bind(&[code(K::Enter)], A::Open, C::TASKS, "what it holds", "what it holds; a crowd, a frame: unfold"),
    bind(&[code(K::Enter), code(K::Right), ch('l')], A::Open, C::RETAINED, "into", "what goes with it, one level down"),
    bind(&[code(K::Enter)], A::Open, C::PATHS, "what it holds", "unfold; on a step: what it holds"),
    bind(&[code(K::Enter)], A::Open, C::MEMORY, "open", "unfold; on an address: what is there"),
    bind(&[code(K::Enter), code(K::Right), ch('l')], A::Open, C::OVERVIEW, "open", "where this line leads"),
    bind(
        &[code(K::Enter), code(K::Right), ch('l')],
        A::Open,
        C::DIFF,
        "into",
        "its new, gone, kept objects; on one: to it",
    ),
    bind(&[code(K::Enter)], A::Open, C::PROCESSES, "into", "to that process, and its objects of this type"),
    bind(&[code(K::Right), ch('l')], A::Right, C::PROCESSES, "process", "the process to the right"),
    bind(&[code(K::Left), ch('h')], A::Left, C::PROCESSES, "", "the process to the left"),
    bind(&[ch('>'), ch('<')], A::SortRight, C::PROCESSES, "size or number", "compare numbers of objects, or sizes"),
    bind(&[code(K::Right), ch('l')], A::Right, C::FOLDS, "unfold", "unfold, then to the first child"),
    bind(&[code(K::Left), ch('h')], A::Left, C::FOLDS, "", "fold, then to the parent"),
    bind(&[ch(' ')], A::Toggle, C::FOLDS, "", "fold or unfold"),
    bind(&[ch('r')], A::TurnRound, C::TREE, "turn round", "who holds it; again: what it holds"),
    bind(&[ch('r')], A::TurnRound, C::ROWS.or(C::HEX), "", "who holds it"),
    bind(&[ch('t')], A::Tree, C::HEX.or(C::RETAINED), "what it holds", "what the object there holds"),
    bind(&[ch('p')], A::Paths, C::TREE.or(C::OBJECTS), "paths", "why it is alive: paths from roots"),
    bind(&[ch('p')], A::Paths, C::OTHERS, "", "why it is alive: paths from roots"),
    bind(&[ch('/')], A::Filter, C::TASKS, "filter", "filter (! inverts), or a query: awaiters > 10"),
    bind(&[ch('/')], A::Filter, C::RETAINED, "", "filter (! inverts), or a query: retained > 1MB"),
    bind(&[ch('/')], A::Filter, C::MEMORY, "filter", "filter (! inverts), or a query: resident > 1MB"),
    bind(&[ch('/')], A::Filter, C::THREADS, "filter", "filter (! inverts), or a query: gil = waits"),
    bind(&[ch('/')], A::Filter, C::TYPES, "filter", "fuzzy filter (! inverts), or a query: count > 10"),
    bind(&[ch('/')], A::Filter, C::DIFF, "", "filter (! inverts), or a query: growth > 1MB"),
    bind(&[ch('/')], A::Filter, C::OBJECTS, "filter", "filter (! inverts), or a query: size > 1MB"),
    bind(&[ch('/')], A::Filter, C::TREE, "", "search what is unfolded (as filters elsewhere)"),
    bind(&[ch('/')], A::Filter, C::HEX, "search", "search for text, or bytes as 0x0011ff"),
    bind(&[ch('n')], A::Next, C::TREE.or(C::HEX), "", "next hit"),
    bind(&[ch('N')], A::Previous, C::TREE.or(C::HEX), "", "previous hit"),
    bind(&[code(K::Right), ch('l')], A::Right, C::HEX, "", "next word"),
    bind(&[code(K::Left), ch('h')], A::Left, C::HEX, "", "previous word"),
    bind(&[code(K::Tab)], A::NextPointer, C::HEX, "next address", "next word that is an object's address"),
    bind(&[code(K::BackTab)], A::PreviousPointer, C::HEX, "", "previous word that is an object's address"),
    bind(&[ch('>')], A::SortRight, C::TABLES, "sort", "sort by the column to the right"),
    bind(&[ch('>')], A::SortRight, C::RETAINED, "group", "by type, module, thread, frame, variable, task"),
    bind(&[ch('<')], A::SortLeft, C::RETAINED, "", "the grouping before"),
    bind(&[ch('>')], A::SortRight, C::DIFF, "new or gone", "the new objects, the gone, those kept"),
    bind(&[ch('s')], A::Other, C::DIFF, "other snapshot", "the other snapshot"),
    bind(&[ch('s')], A::Other, C::PANES.but(C::DIFF), "", "the other snapshot, after R"),
    bind(&[ch('w')], A::Draw, C::PANES, "", "write its graph to a file; in paths: these"),
    bind(&[ch('>')], A::SortRight, C::TASKS, "", "sort by name, coroutine, place, state, size"),
    bind(&[ch('>')], A::SortRight, C::THREADS, "", "sort by retained size, and back"),
    bind(&[ch('<')], A::SortLeft, C::SORTED, "", "sort by the column before"),
    bind(&[ch('o')], A::Reverse, C::SORTED, "", "reverse the order"),
    bind(&[ch('x')], A::Hex, C::TREE.or(C::OBJECTS), "", "its memory"),
    bind(&[ch('x')], A::Hex, C::OTHERS.but(C::HEX), "hex", "its memory"),
    bind(&[code(K::Up), ch('k')], A::Up, C::SCROLLS, "", "up"),
    bind(&[code(K::Down), ch('j')], A::Down, C::SCROLLS, "", "down"),
    bind(&[code(K::PageUp), ctrl('b')], A::PageUp, C::SCROLLS, "", "a page up"),
    bind(&[code(K::PageDown), ctrl('f')], A::PageDown, C::SCROLLS, "", "a page down"),
    bind(&[ctrl('u')], A::HalfUp, C::SCROLLS, "", "half a page up"),
    bind(&[ctrl('d')], A::HalfDown, C::SCROLLS, "", "half a page down"),
    bind(&[code(K::Home), ch('g')], A::Top, C::ROWS.or(C::HEX).or(C::OVERLAY), "", "to the top"),
    bind(&[code(K::Home), ch('g')], A::Top, C::TREE, "", "to the top; on a … line: to an index"),
    bind(&[code(K::End), ch('G')], A::Bottom, C::SCROLLS, "", "to the end"),
    bind(&[code(K::Esc)], A::Escape, C::PANES, "", "back (at the top: cancels running work)"),
    bind(&[code(K::Left), ch('h')], A::Back, C::LISTS, "", "back"),
    bind(&[code(K::Backspace), ch('['), alt(K::Left)], A::Back, C::PANES, "", "back"),
    bind(&[ch(']'), alt(K::Right)], A::Forward, C::PANES, "", "forward"),
    bind(&[ch('y')], A::CopyAddress, C::PANES, "", "copy the address"),
    bind(&[ch('Y')], A::CopyLine, C::PANES, "", "copy the line"),
    bind(&[ch('i')], A::Side, C::PANES, "", "the side panel, on or off"),
    bind(&[ch('1')], A::Pane(1), C::PANES, "", "Overview: what stands out"),
    bind(&[ch('2')], A::Pane(2), C::PANES, "", "Types"),
    bind(&[ch('3')], A::Pane(3), C::PANES, "", "Tasks"),
    bind(&[ch('4')], A::Pane(4), C::PANES, "", "Threads"),
    bind(&[ch('5')], A::Pane(5), C::PANES, "", "Retained: what keeps how much alive"),
    bind(&[ch('6')], A::Pane(6), C::PANES, "", "Memory: where it went"),
    bind(&[ch('7')], A::Pane(7), C::PANES, "", "Diff: what has changed since (R)"),
    bind(&[ch('8')], A::Pane(8), C::PANES, "", "Hex"),
    bind(&[ch('9')], A::Pane(9), C::PANES, "", "All: several processes beside each other"),
    bind(&[ch('}')], A::Process(1), C::PANES, "", "the next process, where several are open"),
    bind(&[ch('{')], A::Process(-1), C::PANES, "", "the process before"),
    bind(&[ch('R')], A::Again, C::PANES, "", "capture again; begin what was cancelled anew"),
    bind(&[ch('!')], A::Problems, C::PANES, "", "what was wrong with the snapshot"),
    bind(&[ctrl('g')], A::Cancel, C::EVERYWHERE, "", "cancel running work"),
    bind(&[ch('M')], A::Mouse, C::PANES, "", "mouse off (to select text) and on again"),
    bind(&[ch(':')], A::Palette, C::PANES, "command", "go to an address, or run a command"),
    bind(&[ch('?')], A::Help, C::PANES, "help", "this help"),
    bind(&[code(K::Enter)], A::Accept, C::FILTER, "keep", "keep it"),
    bind(&[code(K::Enter)], A::Accept, C::PALETTE, "run", "run it"),
    bind(&[code(K::Tab)], A::Complete, C::PALETTE, "complete", "complete"),
    bind(&[code(K::Up)], A::Up, C::INPUTS, "", "up, or an earlier command"),
    bind(&[code(K::Down)], A::Down, C::INPUTS, "", "down, or a later command"),
    bind(&[code(K::Esc)], A::Abandon, C::INPUTS, "drop it", "drop it"),
    bind(&[code(K::Esc), code(K::Enter), ch('q'), ch('?'), ch('!')], A::Abandon, C::OVERLAY, "close", "close"),
    bind(&[ch('q')], A::Quit, C::PANES, "quit", "quit"),
    bind(&[ctrl('c')], A::Quit, C::EVERYWHERE, "", "quit"),
];

/// What a key means in a place.
pub fn action(event: KeyEvent, context: Context) -> Option<Action> {
    KEYS.iter().find(|b| b.context.meets(context) && b.keys.iter().any(|k| k.matches(event))).map(|b| b.action)
}

/// The lines of the help for a place.
pub fn help(context: Context) -> impl Iterator<Item = &'static Binding> {
    KEYS.iter().filter(move |b| b.context.meets(context))
}

/// The keys that matter most in a place.
pub fn footer(context: Context) -> impl Iterator<Item = &'static Binding> {
    help(context).filter(|b| !b.short.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACES: [Context; 15] = [
        C::PROCESSES,
        C::DIFF,
        C::TYPES,
        C::OBJECTS,
        C::TREE,
        C::HEX,
        C::THREADS,
        C::OVERVIEW,
        C::TASKS,
        C::MEMORY,
        C::FILTER,
        C::PALETTE,
        C::OVERLAY,
        C::RETAINED,
        C::PATHS,
    ];

    #[test]
    fn every_tab_has_its_number() {
        for (number, name) in crate::tui::panes::TABS {
            let key = KeyEvent::new(K::Char(char::from(b'0' + number)), KeyModifiers::NONE);
            assert_eq!(action(key, C::TYPES), Some(A::Pane(number)), "{name}");
        }
        let numbers = KEYS.iter().filter(|b| matches!(b.action, A::Pane(_))).count();
        assert_eq!(numbers, crate::tui::panes::TABS.len());
    }

    #[test]
    fn no_key_means_two_things_in_one_place() {
        for place in PLACES {
            let keys: Vec<Key> = help(place).flat_map(|b| b.keys).copied().collect();
            for (i, key) in keys.iter().enumerate() {
                assert!(!keys[..i].contains(key), "{} twice in {place:?}", key.name());
            }
        }
    }

    #[test]
    fn footers_are_short_and_say_how_to_leave() {
        for place in PLACES {
            let shown = footer(place).count();
            assert!((1..=7).contains(&shown), "{shown} keys in the footer of {place:?}");
        }
    }

    #[test]
    fn help_fits_beside_the_keys_in_eighty_columns() {
        for binding in KEYS {
            assert!(binding.help.chars().count() <= 49, "{}", binding.help);
        }
    }

    #[test]
    fn letters_are_text_where_text_is_typed() {
        for c in ' '..='~' {
            let event = KeyEvent::new(K::Char(c), KeyModifiers::NONE);
            assert_eq!(action(event, C::FILTER), None);
            assert_eq!(action(event, C::PALETTE), None);
        }
    }

    #[test]
    fn a_reported_shift_does_not_hide_a_capital() {
        assert_eq!(action(KeyEvent::new(K::Char('G'), KeyModifiers::SHIFT), C::TYPES), Some(A::Bottom));
        assert_eq!(action(KeyEvent::new(K::BackTab, KeyModifiers::SHIFT), C::HEX), Some(A::PreviousPointer));
        assert_eq!(action(KeyEvent::new(K::Char('x'), KeyModifiers::ALT), C::TYPES), None);
    }
}
