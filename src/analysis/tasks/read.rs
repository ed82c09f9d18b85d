//! Reading single objects of asyncio: attributes, callbacks, closures, and the chain of awaits of a coroutine.
//!
//! Written in C or in Python, a task looks the same from here on. Which object waits for which is not decided here.

use super::roles::{Link, Role, Roles};
use super::world::State;
use crate::cpython::layout::FrameStateVariant;
use crate::cpython::types::{Type, TypeTable};
use crate::cpython::{Limits, Memory, StackFrame, Step, Value};
use crate::heap::Heap;
use crate::snapshot::Addr;
use std::cell::Cell;
use std::collections::HashSet;

/// Coroutines in a chain of awaits: more are damage, or cut off.
const MAX_CHAIN: usize = 1 << 16;

/// Characters of a name.
const MAX_NAME: usize = 200;

/// Items of a tuple, a list or a deque that are looked at.
const MAX_ITEMS: usize = 1 << 20;

/// `fut_state` of a future in C (`Modules/_asynciomodule.c`).
pub const STATES: [State; 3] = [State::Pending, State::Cancelled, State::Finished];

/// What readers of one heap share.
#[derive(Clone, Copy)]
pub struct Source<'h> {
    pub heap: &'h Heap,
    pub roles: &'h Roles,
    /// The objects None and True.
    pub none: Addr,
    pub truth: Addr,
}

/// A reader of one heap, for one thread.
pub struct Reading<'h> {
    pub source: Source<'h>,
    pub heap: &'h Heap,
    pub memory: Memory<'h>,
    pub roles: &'h Roles,
    /// Slots on the value stack of a suspended frame that only awaits.
    awaiting: u64,
    /// Items and coroutines that may still be looked at: damaged memory can show the same list to every task.
    left: Cell<u64>,
    /// The type that was met last, and whether its objects are functions that matter.
    callable: Cell<(Addr, bool)>,
}

impl<'h> Reading<'h> {
    /// `share`: which part of all there is this reader may look at.
    pub fn new(source: Source<'h>, share: f64) -> Self {
        let objects = source.heap.objects().len() as f64;
        // a coroutine is awaited once, and few lists have more than one owner
        let left = (objects * 4.0 * share).max(65536.0) as u64;
        let memory = source.heap.memory();
        // 3.15 has two slots for what is awaited
        let awaiting = if memory.layout.variants.frame_state == FrameStateVariant::V315 { 2 } else { 1 };
        Reading {
            source,
            heap: source.heap,
            memory,
            roles: source.roles,
            awaiting,
            left: Cell::new(left),
            callable: Cell::default(),
        }
    }

    /// Takes so much of what may be looked at; `false` when there is no more.
    fn take(&self, count: u64) -> bool {
        let enough = self.left.get() >= count;
        self.left.set(self.left.get().saturating_sub(count));
        enough
    }

    /// Whether something was left out because there was too much of it.
    pub fn is_cut(&self) -> bool {
        self.left.get() == 0
    }

    pub fn types(&self) -> &'h TypeTable {
        self.heap.types()
    }

    pub fn type_of(&self, addr: Addr) -> Option<&'h Type> {
        self.heap.object_at(addr).map(|(_, ty)| ty)
    }

    pub fn is(&self, addr: Addr, name: &str) -> bool {
        self.type_of(addr).is_some_and(|t| t.name == name)
    }

    pub fn role(&self, addr: Addr) -> Option<Role> {
        let id = self.heap.objects().object_at(addr)?;
        self.roles.of(self.heap.objects().type_of(id)?)
    }

    /// Whether it is a function of a kind that asyncio has among its callbacks.
    pub fn is_callable(&self, addr: Addr) -> bool {
        let Some(at) = self.memory.type_of(addr) else { return false };
        // most callbacks are of one type
        let (last, callable) = self.callable.get();
        if last == at {
            return callable;
        }
        let callable = self.types().id_of(at).is_some_and(|ty| self.roles.is_callable(ty));
        self.callable.set((at, callable));
        callable
    }

    pub fn not_none(&self, addr: Option<Addr>) -> Option<Addr> {
        addr.filter(|a| !a.is_null() && *a != self.source.none)
    }

    pub fn is_truth(&self, addr: Option<Addr>) -> bool {
        addr.is_some_and(|a| !a.is_null() && a == self.source.truth)
    }

    /// An attribute that is not None.
    pub fn attribute(&self, addr: Addr, name: &str) -> Option<Addr> {
        self.not_none(self.memory.attribute(addr, self.type_of(addr)?, name))
    }

    /// A field of a C object by the name that the version's table has for it.
    pub fn field(&self, addr: Addr, name: &str) -> Option<Addr> {
        let (_, offset) = self.type_of(addr)?.fields?.refs.iter().find(|(n, _)| n == name)?;
        self.memory.reader.pointer(addr + *offset).filter(|a| !a.is_null())
    }

    pub fn is_true(&self, addr: Addr, name: &str) -> bool {
        self.is_truth(self.attribute(addr, name))
    }

    pub fn float(&self, addr: Addr) -> Option<f64> {
        match self.value(addr)? {
            Value::Float(number) => Some(number),
            Value::Int(digits) => digits.parse().ok(),
            _ => None,
        }
    }

    pub fn int(&self, addr: Addr) -> Option<i64> {
        self.memory.small_int(addr).filter(|_| self.is(addr, "int"))
    }

    pub fn text(&self, addr: Addr) -> Option<String> {
        self.is(addr, "str").then(|| self.memory.text(addr, MAX_NAME)).flatten().map(|(text, _)| text)
    }

    pub fn value(&self, addr: Addr) -> Option<Value> {
        let items = MAX_ITEMS.min(usize::try_from(self.left.get()).unwrap_or(MAX_ITEMS));
        let limits = Limits { chars: MAX_NAME, items };
        Some(self.memory.value(addr, self.type_of(addr)?, self.types(), limits))
    }

    pub fn items(&self, addr: Addr) -> Vec<Addr> {
        match self.value(addr) {
            Some(Value::Sequence(part)) if self.take(part.items.len() as u64) => part.items,
            _ => Vec::new(),
        }
    }

    /// Items of an attribute that is a deque, a list or a tuple.
    pub fn items_of(&self, addr: Addr, name: &str) -> Vec<Addr> {
        self.attribute(addr, name).map(|list| self.items(list)).unwrap_or_default()
    }

    /// The file descriptor of a socket that is open.
    pub fn socket_fd(&self, addr: Addr) -> Option<i64> {
        let ty = self.type_of(addr)?;
        if !self.types().bases(ty).any(|b| b.name == "_socket.socket") {
            return None;
        }
        self.memory.reader.i32(addr + self.memory.layout.structs.socket.sock_fd).map(i64::from).filter(|fd| *fd >= 0)
    }

    /// The file descriptor of a transport of asyncio; TLS has one of its own, above that of the socket.
    pub fn transport_fd(&self, transport: Addr) -> Option<i64> {
        const NAMES: [&str; 2] = ["_sock_fd", "_fileno"];
        let below = self.attribute(transport, "_ssl_protocol").and_then(|tls| self.attribute(tls, "_transport"));
        let at = below.unwrap_or(transport);
        NAMES.iter().find_map(|name| self.int(self.attribute(at, name)?))
    }

    /// The module and the qualified name of a function.
    pub fn function_name(&self, addr: Addr) -> Option<(String, String)> {
        match self.value(addr)? {
            Value::Function { origin, module, .. } => Some((module.unwrap_or_default(), origin.name)),
            _ => None,
        }
    }

    /// Variables that a function closes over: names and what their cells hold.
    pub fn closure(&self, function: Addr) -> Vec<(String, Addr)> {
        let read = || {
            let code = self.field(function, "__code__").filter(|c| self.is(*c, "code"))?;
            let cells = self.items(self.field(function, "__closure__")?);
            let c = &self.memory.layout.structs.code;
            // free variables come last among the names of all (3.11), or have a tuple of their own
            let tuple = self.memory.reader.pointer(code + c.co_freevars.or(c.co_localsplusnames)?)?;
            let names = self.items(tuple);
            let names = names.get(names.len().checked_sub(cells.len())?..)?.to_vec();
            let held = |cell: Addr| match self.value(cell)? {
                Value::Cell(held) => held,
                _ => None,
            };
            let pairs = names.into_iter().zip(cells);
            Some(pairs.filter_map(|(name, cell)| Some((self.text(name)?, held(cell)?))).collect())
        };
        read().unwrap_or_default()
    }

    pub fn closed_over(&self, function: Addr, name: &str) -> Option<Addr> {
        self.closure(function).into_iter().find(|(n, _)| n == name).map(|(_, held)| held)
    }

    /// The functions of a list of `(function, context)` that are worth a look.
    pub fn callbacks(&self, list: Addr) -> impl Iterator<Item = Addr> {
        let pairs = self.items(list).into_iter();
        let first = self.memory.layout.structs.tuple.ob_item;
        pairs.filter_map(move |pair| self.memory.reader.pointer(pair + first)).filter(|c| self.is_callable(*c))
    }

    /// Whether the value stack of a suspended frame has more on it than what it awaits.
    pub fn has_more_than_await(&self, step: &Step) -> bool {
        step.slots.is_some_and(|s| s.used > s.locals + self.awaiting)
    }

    /// Follows a coroutine down to what is no coroutine, the task's own first; `false` when a link is damaged. Ends at
    /// one that was there before. One that has finished has no frame. `known`: an object that need not be looked up.
    pub fn chain(&self, coroutine: Addr, known: Addr, visit: &mut impl FnMut(Addr, &Step)) -> bool {
        // most are a few coroutines deep
        const FEW: usize = 16;
        let (mut few, mut seen, mut met) = ([Addr::NULL; FEW], HashSet::new(), 0);
        let mut at = coroutine;
        while met < MAX_CHAIN && self.take(1) {
            let repeats = few.contains(&at) || met >= FEW && !seen.insert(at);
            if repeats && !at.is_null() {
                return false;
            }
            if let Some(slot) = few.get_mut(met) {
                *slot = at;
            }
            met += 1;
            let Some(ty) = self.memory.type_of(at) else { return false };
            match self.roles.link(ty) {
                // a wrapper that has let go of what it wraps leads nowhere: no object is at null
                Some(Link::Wrapper(offset)) => at = self.memory.reader.pointer(at + offset).unwrap_or_default(),
                Some(Link::Frame) => {
                    let Some(step) = self.memory.step(at) else { return false };
                    visit(at, &step);
                    match step.awaited {
                        Some(next) => at = next,
                        None => return true,
                    }
                }
                // a future, or something that is awaitable in a way of its own
                None => return at == known || self.heap.objects().object_at(at).is_some(),
            }
        }
        false
    }

    /// The frames of a coroutine and of what it awaits, outermost first, each with its generator.
    pub fn frames(&self, coroutine: Addr) -> Vec<StackFrame> {
        let mut frames = Vec::new();
        self.chain(coroutine, Addr::NULL, &mut |generator, step| {
            frames.extend(step.frame.map(|f| StackFrame { generator: Some(generator), ..f }));
        });
        frames
    }
}
