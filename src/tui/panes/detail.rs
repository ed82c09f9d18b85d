//! The object that a side panel explains.

use crate::analysis::answers::ObjectDetail;
use crate::snapshot::Addr;
use crate::tui::ask::{Desk, Slot};
use crate::worker::protocol::{Answer, Request, Ticket};

/// One object in full, perhaps still the one before.
#[derive(Debug, Default)]
pub struct Detail {
    /// Waits for it.
    pub slot: Slot,
    /// Which one is wanted.
    pub wanted: Option<Addr>,
    /// The last one that came; `Err`: no object begins there.
    pub shown: Option<Result<Box<ObjectDetail>, Addr>>,
}

impl Detail {
    /// Asks for an object.
    pub fn want(&mut self, address: Option<Addr>, desk: &mut Desk) {
        self.wanted = address;
        if let Some(address) = address {
            self.slot.want(Request::Object { address }, desk);
        }
    }

    /// Takes an answer; false when it is not for here.
    pub fn answer(&mut self, ticket: Ticket, answer: Answer) -> bool {
        let Answer::Object(object) = answer else { return false };
        let Some(Request::Object { address }) = self.slot.accept(ticket, true) else { return false };
        self.shown = Some(object.ok_or(*address));
        true
    }

    /// The object, and whether it is the one wanted (else: show it dimmed until that one comes).
    pub fn object(&self) -> Option<(&ObjectDetail, bool)> {
        let object = self.shown.as_ref()?.as_ref().ok()?;
        Some((object, self.wanted == Some(object.address)))
    }
}
