//! `SOURCE ARG`, or `ARG` alone with `--pid`: which word is which.
//!
//! clap cannot tell: with a required word after an optional one, it takes an option between the two for the end.

use super::{At, Cli, Command, Source};
use crate::snapshot::Addr;
use clap::{CommandFactory, error::ErrorKind};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

/// Fills in what the words of a command mean.
pub(super) fn settle(command: &mut Option<Command>) -> Result<(), clap::Error> {
    let result = match command {
        Some(Command::Show(show)) => at(&mut show.at).map_err(|e| ("show", e)),
        Some(Command::Referents(args)) => at(&mut args.at).map_err(|e| ("referents", e)),
        Some(Command::Referrers(args)) => at(&mut args.at).map_err(|e| ("referrers", e)),
        Some(Command::Graph(graph)) => at(&mut graph.at).map_err(|e| ("graph", e)),
        Some(Command::Path(args)) => at(&mut args.at).map_err(|e| ("path", e)),
        Some(Command::Hex(hex)) => at(&mut hex.at).map_err(|e| ("hex", e)),
        Some(Command::Find(args)) => split(&args.words, args.pid, "PATTERN")
            .and_then(|(source, word)| {
                args.source = source;
                args.pattern = pattern(&word, args.hex, args.address)?;
                Ok(())
            })
            .map_err(|e| ("find", e)),
        Some(Command::Module(args)) => split(&args.words, args.pid, "NAME")
            .map(|(source, word)| {
                args.source = source;
                args.name = word.to_string_lossy().into_owned();
            })
            .map_err(|e| ("module", e)),
        Some(Command::Diff(args)) => super::diff::check(args).map_err(|e| ("diff", e)),
        _ => Ok(()),
    };
    result.map_err(|(name, text)| {
        let mut all = Cli::command();
        all.build(); // so that the usage names the whole command
        let command = match all.find_subcommand_mut(name) {
            Some(command) => command,
            None => &mut all,
        };
        command.error(ErrorKind::InvalidValue, text)
    })
}

fn at(args: &mut At) -> Result<(), String> {
    let (source, word) = split(&args.words, args.pid, "ADDR")?;
    args.source = source;
    args.address = address(&word)?;
    Ok(())
}

fn split(words: &[OsString], pid: Option<i32>, what: &str) -> Result<(Source, OsString), String> {
    match (words, pid) {
        ([word], Some(pid)) => Ok((Source { source: None, pid: Some(pid) }, word.clone())),
        ([source, word], None) => Ok((Source { source: Some(source.into()), pid: None }, word.clone())),
        (_, Some(_)) => Err(format!("with --pid, give {what} only")),
        (_, None) => Err(format!("give a snapshot and {what}, or --pid PID and {what}")),
    }
}

fn address(word: &OsString) -> Result<Addr, String> {
    let address = word.to_str().and_then(Addr::parse);
    address.ok_or_else(|| format!("{word:?} is no address: hex digits, with or without 0x"))
}

fn pattern(word: &OsString, hex: bool, is_address: bool) -> Result<Vec<u8>, String> {
    let bytes = word.as_bytes();
    if bytes.is_empty() {
        return Err("the pattern is empty; give the text to look for".into());
    }
    if is_address {
        return Ok(address(word)?.0.to_le_bytes().to_vec());
    }
    if !hex {
        return Ok(bytes.to_vec());
    }
    let digits: Vec<u8> = bytes.iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
    let (pairs, rest) = digits.as_chunks::<2>();
    let digit = |d: u8| char::from(d).to_digit(16);
    let byte = |[high, low]: &[u8; 2]| u8::try_from(digit(*high)? << 4 | digit(*low)?).ok();
    let decoded: Option<Vec<u8>> = pairs.iter().map(byte).collect();
    decoded.filter(|b| rest.is_empty() && !b.is_empty()).ok_or_else(|| "--hex takes pairs of hex digits".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_text_bytes_or_addresses() {
        let read = |text: &str, hex, address| pattern(&text.into(), hex, address);
        assert_eq!(read("7f00", false, false).unwrap(), b"7f00");
        assert_eq!(read("7f 0A", true, false).unwrap(), [0x7f, 10]);
        assert_eq!(read("0x7f00", false, true).unwrap(), [0, 0x7f, 0, 0, 0, 0, 0, 0]);
        for (text, hex, address) in [("", false, false), ("7", true, false), ("+1", true, false), ("xyz", false, true)]
        {
            assert!(read(text, hex, address).is_err(), "{text:?}");
        }
    }
}
