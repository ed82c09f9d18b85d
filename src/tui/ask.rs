//! Which questions are open, and whether an answer is still wanted.
//!
//! A [`Slot`] is one place on the screen that shows an answer. It asks the same thing once, and takes only the answer
//! to the newest question it asked. How questions travel is [`run`](super::run)'s business.

use super::event::Effect;
use crate::worker::protocol::{Request, SourceId, Ticket};

/// Collects effects and numbers the requests among them.
#[derive(Debug)]
pub struct Desk {
    source: SourceId,
    generation: u64,
    effects: Vec<Effect>,
}

impl Desk {
    /// A desk whose requests go to `source`.
    pub fn new(source: SourceId) -> Desk {
        Desk { source, generation: 0, effects: Vec::new() }
    }

    /// Lets an effect happen.
    pub fn push(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// A number that no earlier request or job has.
    pub fn number(&mut self) -> u64 {
        self.generation += 1;
        self.generation
    }

    /// Names a request whose answer nobody waits for.
    pub fn ticket(&mut self) -> Ticket {
        let generation = self.number();
        Ticket { source: self.source, generation }
    }

    /// What was collected since the last call.
    pub fn take(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }
}

/// One place that waits for answers.
#[derive(Debug, Default)]
pub struct Slot {
    asked: Option<Request>,
    waiting: Option<u64>,
    refused: Option<String>,
}

impl Slot {
    /// Asks, unless this very question is the last one asked (open, answered or refused).
    pub fn want(&mut self, request: Request, desk: &mut Desk) {
        if self.asked.as_ref() == Some(&request) {
            return;
        }
        let ticket = desk.ticket();
        desk.push(Effect::Send(ticket, request.clone()));
        *self = Slot { asked: Some(request), waiting: Some(ticket.generation), refused: None };
    }

    /// The question that `ticket` answers, when it is the newest one asked here; else the answer is stale. `done`:
    /// no further answer to it is coming.
    pub fn accept(&mut self, ticket: Ticket, done: bool) -> Option<&Request> {
        if self.waiting != Some(ticket.generation) {
            return None;
        }
        if done {
            self.waiting = None;
        }
        self.asked.as_ref()
    }

    /// Notes a refusal; false when it is not for here.
    pub fn refuse(&mut self, ticket: Ticket, reason: &str) -> bool {
        let mine = self.waiting == Some(ticket.generation);
        if mine {
            self.waiting = None;
            self.refused = Some(reason.to_owned());
        }
        mine
    }

    /// Whether an answer is outstanding.
    pub fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// Why the last question was not answered.
    pub fn refusal(&self) -> Option<&str> {
        self.refused.as_deref()
    }

    /// Lets the same question be asked again: an outstanding answer counts as lost.
    pub fn forget_open(&mut self) {
        if self.waiting.is_some() || self.refused.is_some() {
            *self = Slot::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Addr;

    fn object(address: u64) -> Request {
        Request::Object { address: Addr(address) }
    }

    fn ticket(generation: u64) -> Ticket {
        Ticket { source: SourceId(0), generation }
    }

    #[test]
    fn only_the_newest_question_is_answered() {
        let mut desk = Desk::new(SourceId(0));
        let mut slot = Slot::default();
        slot.want(object(1), &mut desk);
        slot.want(object(1), &mut desk);
        slot.want(object(2), &mut desk);
        assert_eq!(desk.take().len(), 2, "the same question is asked once");
        assert_eq!(slot.accept(ticket(1), true), None);
        assert_eq!(slot.accept(ticket(2), true), Some(&object(2)));
        assert_eq!(slot.accept(ticket(2), true), None, "answered");
    }

    #[test]
    fn a_refused_question_is_not_repeated_until_forgotten() {
        let mut desk = Desk::new(SourceId(0));
        let mut slot = Slot::default();
        slot.want(object(1), &mut desk);
        assert!(slot.refuse(ticket(1), "no"));
        slot.want(object(1), &mut desk);
        assert_eq!(desk.take().len(), 1);
        slot.forget_open();
        slot.want(object(1), &mut desk);
        assert_eq!(desk.take().len(), 1);
    }
}
