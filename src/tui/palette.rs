//! The command line behind `:`: which commands there are, how they are read and completed.
//!
//! It reads commands; running them is [`update`](super::update)'s.

use super::arrange::contains;
use super::input::Input;
use crate::analysis::answers::Types;
use crate::snapshot::Addr;
use std::path::PathBuf;

/// How many completions are offered.
pub const OFFERED: usize = 14;

/// Type names are looked through this far down the table (biggest first), so that a key press stays quick.
const LOOKED_AT: usize = 20_000;

/// Name, argument, and help of every command.
pub const COMMANDS: [(&str, &str, &str); 14] = [
    ("overview", "", "what stands out"),
    ("types", "", "the type table"),
    ("tasks", "", "tasks and who awaits whom"),
    ("threads", "", "threads and their stacks"),
    ("retained", "[ADDR]", "what keeps how much alive; what goes with an object"),
    ("paths", "ADDR", "why an object is alive"),
    ("memory", "", "where the memory went"),
    ("objects", "[TYPE]", "the objects of a type, or all of them"),
    ("referents", "ADDR", "what an object holds"),
    ("referrers", "ADDR", "who holds an object"),
    ("hex", "ADDR", "memory"),
    ("save", "DIR", "keep a temporary snapshot"),
    ("help", "", "keys"),
    ("quit", "", "leave"),
];

/// A command, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// What stands out.
    Overview,
    /// The type table.
    Types,
    /// Tasks.
    Tasks,
    /// What keeps how much alive, or what goes with an object.
    Retained(Option<Addr>),
    /// Why an object is alive.
    Paths(Addr),
    /// Where the memory went.
    Memory,
    /// Threads and their stacks.
    Threads,
    /// The objects of the type with this name, or all.
    Objects(Option<String>),
    /// What an object holds.
    Referents(Addr),
    /// Who holds it.
    Referrers(Addr),
    /// Memory at an address.
    Hex(Addr),
    /// Keep the snapshot.
    Save(PathBuf),
    /// Keys.
    Help,
    /// Leave.
    Quit,
    /// To whatever is at an address.
    GoTo(Addr),
}

/// Reads a command.
pub fn parse(line: &str) -> Result<Command, String> {
    let line = line.trim();
    let (name, rest) = line.split_once(char::is_whitespace).map_or((line, ""), |(a, b)| (a, b.trim()));
    let address = || {
        if rest.is_empty() {
            return Err(format!("{name} needs an address, as in: {name} 0x7f3c10a0b2d0"));
        }
        Addr::parse(rest).ok_or_else(|| format!("{rest} is no address"))
    };
    let none = |command: Command| if rest.is_empty() { Ok(command) } else { Err(format!("{name} takes no argument")) };
    match name {
        "overview" => none(Command::Overview),
        "types" => none(Command::Types),
        "tasks" => none(Command::Tasks),
        "memory" => none(Command::Memory),
        "retained" if rest.is_empty() => Ok(Command::Retained(None)),
        "retained" => address().map(|address| Command::Retained(Some(address))),
        "paths" => address().map(Command::Paths),
        "threads" => none(Command::Threads),
        "objects" => Ok(Command::Objects((!rest.is_empty()).then(|| rest.to_owned()))),
        "referents" => address().map(Command::Referents),
        "referrers" => address().map(Command::Referrers),
        "hex" => address().map(Command::Hex),
        "save" if rest.is_empty() => Err("save needs a directory that does not exist yet".into()),
        "save" => Ok(Command::Save(PathBuf::from(rest))),
        "help" => none(Command::Help),
        "quit" | "q" => none(Command::Quit),
        _ => match Addr::parse(name) {
            Some(address) => none(Command::GoTo(address)),
            None => Err(format!("no command {name}; Tab shows what there is")),
        },
    }
}

/// The line being typed, with its completions and the way through earlier commands.
#[derive(Debug, Default)]
pub struct Palette {
    /// The line.
    pub input: Input,
    /// What Tab puts in: whole lines.
    pub offers: Vec<String>,
    /// The one that Tab put in last.
    pub chosen: Option<usize>,
    /// How far back in the history, and what was typed before going there.
    back: usize,
    draft: String,
}

impl Palette {
    /// Works out the completions anew, after typing.
    pub fn typed(&mut self, types: &Types, here: Option<Addr>) {
        self.offers = complete(self.input.text(), types, here);
        self.chosen = None;
        self.back = 0;
    }

    /// Puts in the next completion.
    pub fn complete(&mut self) {
        if self.offers.is_empty() {
            return;
        }
        let next = self.chosen.map_or(0, |at| (at + 1) % self.offers.len());
        self.chosen = Some(next);
        self.input = Input::new(&self.offers[next]);
    }

    /// An earlier command, or back towards what was typed.
    pub fn recall(&mut self, commands: &[String], earlier: bool) {
        if self.back == 0 {
            self.draft = self.input.text().to_owned();
        }
        self.back = if earlier { (self.back + 1).min(commands.len()) } else { self.back.saturating_sub(1) };
        let text = commands.len().checked_sub(self.back).and_then(|at| commands.get(at));
        self.input = Input::new(text.unwrap_or(&self.draft));
        self.chosen = None;
    }
}

fn complete(line: &str, types: &Types, here: Option<Addr>) -> Vec<String> {
    let Some((name, rest)) = line.split_once(' ') else {
        let names = COMMANDS.iter().filter(|(name, ..)| name.starts_with(line));
        return names
            .map(|(name, argument, _)| format!("{name}{}", if argument.is_empty() { "" } else { " " }))
            .collect();
    };
    let rest = rest.trim_start();
    match name {
        "objects" => {
            let names = types.types.iter().take(LOOKED_AT).map(|row| &row.name).filter(|name| contains(name, rest));
            names.take(OFFERED).map(|name| format!("objects {name}")).collect()
        }
        "referents" | "referrers" | "hex" | "retained" | "paths" => {
            here.into_iter().map(|a| format!("{name} {a}")).filter(|offer| offer.starts_with(line.trim_end())).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::answers::{Total, TypeRow};

    #[test]
    fn commands_are_read() {
        assert_eq!(parse(" 0x7F00 "), Ok(Command::GoTo(Addr(0x7f00))));
        assert_eq!(parse("hex 7f00"), Ok(Command::Hex(Addr(0x7f00))));
        assert_eq!(parse("objects"), Ok(Command::Objects(None)));
        assert_eq!(parse("objects app.User"), Ok(Command::Objects(Some("app.User".into()))));
        assert_eq!(parse("save a b"), Ok(Command::Save("a b".into())));
        assert_eq!(parse("referrers"), Err("referrers needs an address, as in: referrers 0x7f3c10a0b2d0".into()));
        assert!(parse("quit now").is_err() && parse("zap").is_err() && parse("").is_err());
    }

    #[test]
    fn every_command_completes_and_history_comes_back() {
        let row = TypeRow { name: "app.User".into(), address: Addr(1), count: 1, shallow_bytes: 1 };
        let types = Types { types: vec![row], total: Total::default() };
        assert_eq!(complete("", &types, None).len(), COMMANDS.len());
        assert_eq!(complete("refe", &types, None), ["referents ", "referrers "]);
        assert_eq!(complete("objects us", &types, None), ["objects app.User"]);
        assert_eq!(complete("hex ", &types, Some(Addr(0x10))), ["hex 0x10"]);
        // a key press looks through so many, however many there are
        let row = |i| TypeRow { name: format!("T{i}."), address: Addr(1), count: 1, shallow_bytes: 1 };
        let many = Types { types: (0..=LOOKED_AT).map(row).collect(), total: Total::default() };
        assert_eq!(complete(&format!("objects T{}.", LOOKED_AT - 1), &many, None).len(), 1);
        assert_eq!(complete(&format!("objects T{LOOKED_AT}."), &many, None).len(), 0);

        let mut palette = Palette { input: Input::new("refe"), ..Palette::default() };
        palette.typed(&types, None);
        for expected in ["referents ", "referrers ", "referents "] {
            palette.complete();
            assert_eq!(palette.input.text(), expected);
        }
        let before = ["types".to_owned(), "0x10".to_owned()];
        for (earlier, expected) in [
            (true, "0x10"),
            (true, "types"),
            (true, "types"),
            (false, "0x10"),
            (false, "referents "),
            (false, "referents "),
        ] {
            palette.recall(&before, earlier);
            assert_eq!(palette.input.text(), expected);
        }
    }
}
