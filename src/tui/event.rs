//! Everything that can happen to the explorer, and everything it can cause.
//!
//! One closed enum in, one closed enum out. Neither knows how events arrive or how effects are performed.

use super::arrange::{Arrangement, Job};
use crate::snapshot::Addr;
use crate::worker::protocol::{Request, SourceId, Ticket, Update};
use crossterm::event::{KeyEvent, MouseEvent};

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// A key was pressed.
    Key(KeyEvent),
    /// The mouse did something.
    Mouse(MouseEvent),
    /// Text was pasted.
    Paste(String),
    /// The terminal has this many columns and rows now.
    Resize(u16, u16),
    /// The worker spoke.
    Worker(Box<Update>),
    /// The worker's side of the channel is closed.
    WorkerGone,
    /// There will be no more keys: the terminal is gone.
    InputGone,
    /// A sorted and filtered type table is ready.
    Arranged(Arrangement),
    /// This explorer is the one that is seen now, of several.
    Shown,
    /// Time passed.
    Tick,
}

/// Which process to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// So many further on, round the end.
    By(i8),
    /// This one, and there the objects of a type.
    To(usize, Option<Addr>),
}

/// What should happen.
#[derive(Debug)]
pub enum Effect {
    /// Ask the worker.
    Send(Ticket, Request),
    /// Stop what the worker does for this source.
    Cancel(SourceId),
    /// Sort and filter the type table in the background.
    Arrange(Job),
    /// Put text into the terminal's clipboard.
    Copy(String),
    /// Capture the mouse, or leave it to the terminal.
    Mouse(bool),
    /// Show the explorer of another process.
    Turn(Turn),
    /// End the explorer.
    Quit,
}
