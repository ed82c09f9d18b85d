//! The terminal as the explorer wants it, and as it was before.
//!
//! [`Guard`] switches on raw mode, the alternate screen, bracketed paste and the mouse, and undoes all of it when it
//! is dropped, on an error, and before a panic is reported. It draws nothing.

use crossterm::cursor::{Hide, Show};
use crossterm::event::{DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture};
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use std::io::{self, Write};
use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

type Hook = dyn Fn(&PanicHookInfo<'_>) + Send + Sync;

/// While it lives, the terminal belongs to the explorer.
pub struct Guard {
    active: Arc<AtomicBool>,
    previous: Arc<Hook>,
    /// What other threads said when they panicked: told once the screen is the person's again.
    elsewhere: Arc<Mutex<Vec<String>>>,
}

impl Guard {
    /// Takes the terminal.
    pub fn enter(mouse: bool) -> io::Result<Guard> {
        enable_raw_mode()?;
        let active = Arc::new(AtomicBool::new(true));
        let previous: Arc<Hook> = Arc::from(std::panic::take_hook());
        let elsewhere = Arc::new(Mutex::new(Vec::new()));
        let guard = Guard { active: active.clone(), previous: previous.clone(), elsewhere: elsewhere.clone() };
        let home = std::thread::current().id();
        std::panic::set_hook(Box::new(move |info| {
            if std::thread::current().id() == home {
                leave(&active, &mut io::stdout());
                previous(info);
            } else if active.load(SeqCst) {
                // Printing now would tear the screen; the explorer goes on and says that the worker is gone
                if let Ok(mut told) = elsewhere.lock() {
                    told.push(info.to_string());
                }
            } else {
                previous(info);
            }
        }));
        enter(&mut io::stdout(), mouse)?; // the guard exists already, so an error restores
        Ok(guard)
    }
}

/// Whether the terminal behind standard output was closed. crossterm takes the end of input for silence, and a signal
/// comes only where the terminal is the session's own.
pub fn is_gone() -> bool {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::os::fd::AsFd;
    let stdout = io::stdout();
    let mut screen = [PollFd::new(stdout.as_fd(), PollFlags::empty())];
    poll(&mut screen, PollTimeout::ZERO).is_ok() && screen.iter().any(|fd| fd.any() == Some(true))
}

impl Drop for Guard {
    fn drop(&mut self) {
        leave(&self.active, &mut io::stdout());
        if !std::thread::panicking() {
            let previous = self.previous.clone();
            std::panic::set_hook(Box::new(move |info| previous(info)));
        }
        if let Ok(told) = self.elsewhere.lock() {
            for line in told.iter().flat_map(|message| message.lines()) {
                crate::text::tell(format_args!("{}", crate::text::sanitize(line)));
            }
        }
    }
}

fn enter(out: &mut impl Write, mouse: bool) -> io::Result<()> {
    crossterm::execute!(out, EnterAlternateScreen, EnableBracketedPaste, Hide)?;
    if mouse { crossterm::execute!(out, EnableMouseCapture) } else { Ok(()) }
}

/// Gives the terminal back, once. Errors have nowhere to go: the terminal may be gone itself.
fn leave(active: &AtomicBool, out: &mut impl Write) {
    if active.swap(false, SeqCst) {
        let _ = crossterm::execute!(out, DisableMouseCapture, DisableBracketedPaste, LeaveAlternateScreen, Show);
        let _ = disable_raw_mode();
    }
}

/// Captures the mouse, or leaves it to the terminal.
pub fn mouse(on: bool) -> io::Result<()> {
    if on {
        crossterm::execute!(io::stdout(), EnableMouseCapture)
    } else {
        crossterm::execute!(io::stdout(), DisableMouseCapture)
    }
}

/// Puts text into the clipboard of the terminal the person sits at (OSC 52, so over SSH too).
pub fn copy(text: &str) -> io::Result<()> {
    crossterm::execute!(io::stdout(), crossterm::clipboard::CopyToClipboard::to_clipboard_from(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use portable_pty::{CommandBuilder, PtySize, native_pty_system};
    use std::io::Read;

    /// Runs in a child of the test below, on a terminal of its own.
    #[test]
    #[ignore = "takes the terminal and panics; run by a_panic_gives_the_terminal_back"]
    fn child_that_panics() {
        let _guard = Guard::enter(true).unwrap();
        let worker = std::thread::spawn(|| panic!("worker fell over"));
        assert!(worker.join().is_err());
        panic!("the drawing fell over");
    }

    #[test]
    fn a_panic_gives_the_terminal_back() {
        let pty = native_pty_system().openpty(PtySize { rows: 24, cols: 80, pixel_width: 0, pixel_height: 0 }).unwrap();
        let before = pty.master.get_termios();
        let mut command = CommandBuilder::new(std::env::current_exe().unwrap());
        command.args(["--exact", "tui::terminal::tests::child_that_panics", "--ignored", "--nocapture"]);
        command.env("TERM", "xterm-256color");
        let mut child = pty.slave.spawn_command(command).unwrap();
        let mut reader = pty.master.try_clone_reader().unwrap();
        let collect = std::thread::spawn(move || {
            let mut all = Vec::new();
            let _ = reader.read_to_end(&mut all);
            String::from_utf8_lossy(&all).into_owned()
        });
        child.wait().unwrap();
        let after = pty.master.get_termios();
        drop(pty.slave);
        drop(pty.master);
        let said = collect.join().unwrap();
        assert_eq!(format!("{before:?}"), format!("{after:?}"), "raw mode is off again");
        let entered = said.find("\x1b[?1049h").expect("alternate screen");
        let left = said.find("\x1b[?1049l").expect("left again");
        let told = said.find("the drawing fell over").expect("the panic is told");
        let worker = said.find("worker fell over").expect("the other thread's too");
        assert!(entered < left && left < told && left < worker, "only after the screen is the person's again");
        assert!(said[left..].contains("\x1b[?25h"), "the cursor is back");
        assert!(said.contains("\x1b[?1006l"), "the mouse is the terminal's");
    }
}
