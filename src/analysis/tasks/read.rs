//! Reading single objects of asyncio: attributes, callbacks, closures, and the chain of awaits of a coroutine.
//!
//! Written in C or in Python, a task looks the same from here on. Which object waits for which is not decided here.

use crate::cpython::types::{Type, TypeTable};
use crate::cpython::value::FutureState;
use crate::cpython::{GeneratorState, Limits, Memory, Value};
use crate::heap::Heap;
use crate::snapshot::Addr;
use crate::text::sanitize;
use std::cell::Cell;
use std::collections::HashSet;

/// Coroutines in a chain of awaits: more are damage, or cut off.
const MAX_CHAIN: usize = 10_000;

/// Characters of a name.
const MAX_NAME: usize = 200;

/// Items of a tuple, a list or a deque that are looked at.
const MAX_ITEMS: usize = 1 << 20;

/// A task or future as it says of itself.
#[derive(Debug, Clone, Default)]
pub struct Raw {
    pub state: Option<&'static str>,
    pub name: Option<String>,
    pub result: Option<Addr>,
    pub exception: Option<Addr>,
    pub event_loop: Option<Addr>,
    pub coroutine: Option<Addr>,
    pub fut_waiter: Option<Addr>,
    pub callbacks: Vec<Addr>,
}

/// The coroutines from a task's own down to the innermost await.
#[derive(Debug, Clone, Default)]
pub struct Chain {
    /// Coroutines, generators and async generators, outermost first.
    pub frames: Vec<Addr>,
    /// Whether those are all: no link was damaged.
    pub whole: bool,
}

/// A reader of one heap.
pub struct Reading<'h> {
    pub heap: &'h Heap,
    pub memory: Memory<'h>,
    /// Items and coroutines that may still be looked at: damaged memory can show the same list to every task.
    left: Cell<u64>,
}

impl<'h> Reading<'h> {
    pub fn new(heap: &'h Heap) -> Self {
        let objects = heap.objects().len() as u64;
        // a coroutine is awaited once, and few lists have more than one owner
        Reading { heap, memory: heap.memory(), left: Cell::new((objects * 16).max(1 << 20)) }
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

    pub fn not_none(&self, addr: Option<Addr>) -> Option<Addr> {
        addr.filter(|a| !a.is_null() && !self.is(*a, "NoneType"))
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
        self.attribute(addr, name).is_some_and(|a| self.is(a, "bool") && self.memory.small_int(a) == Some(1))
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

    /// `Modules/_asynciomodule.c` of every version; `Lib/asyncio/futures.py` and `tasks.py` where it is not used.
    pub fn future(&self, addr: Addr, in_c: bool) -> Raw {
        if !in_c {
            return self.python_future(addr);
        }
        let mut raw = Raw { event_loop: self.field(addr, "_loop"), ..Raw::default() };
        if let Some(Value::Future { state, result, exception, task }) = self.value(addr) {
            raw.state = Some(match state {
                FutureState::Pending => "pending",
                FutureState::Cancelled => "cancelled",
                FutureState::Finished => "finished",
            });
            (raw.result, raw.exception) = (result, exception);
            if let Some(task) = task {
                raw.name = task.name.map(|n| sanitize(&n).into_owned());
                raw.coroutine = self.not_none(task.coroutine);
                raw.fut_waiter = self.not_none(task.waits_for);
            }
        }
        raw.callbacks.extend(self.not_none(self.field(addr, "callback0")));
        if let Some(list) = self.not_none(self.field(addr, "_callbacks")) {
            raw.callbacks.extend(self.callbacks(list));
        }
        raw
    }

    fn python_future(&self, addr: Addr) -> Raw {
        let attribute = |name| self.attribute(addr, name);
        let name = attribute("_name").and_then(|n| match self.int(n) {
            Some(n) => Some(format!("Task-{n}")),
            None => self.text(n).map(|n| sanitize(&n).into_owned()),
        });
        // what an instance has not set is the class's default: pending, None
        let state = attribute("_state").and_then(|s| self.text(s));
        Raw {
            state: match state.as_deref() {
                None | Some("PENDING") => Some("pending"),
                Some("CANCELLED") => Some("cancelled"),
                Some("FINISHED") => Some("finished"),
                Some(_) => None,
            },
            name,
            result: attribute("_result"),
            exception: attribute("_exception"),
            event_loop: attribute("_loop"),
            coroutine: attribute("_coro"),
            fut_waiter: attribute("_fut_waiter"),
            callbacks: attribute("_callbacks").map(|list| self.callbacks(list)).unwrap_or_default(),
        }
    }

    /// The functions of a list of `(function, context)`.
    fn callbacks(&self, list: Addr) -> Vec<Addr> {
        let pairs = self.items(list).into_iter();
        pairs.filter_map(|pair| self.items(pair).first().copied().filter(|_| self.is(pair, "tuple"))).collect()
    }

    /// Follows a coroutine down to what is no coroutine. Ends at one that was there before.
    pub fn chain(&self, coroutine: Addr) -> Chain {
        let (mut chain, mut seen) = (Chain::default(), HashSet::new());
        let mut at = coroutine;
        while chain.frames.len() < MAX_CHAIN && seen.insert(at) && self.take(1) {
            let Some(ty) = self.type_of(at) else { return chain };
            let inside = match ty.name.as_str() {
                "coroutine" | "generator" | "async_generator" => {
                    chain.frames.push(at);
                    match self.memory.generator_state(at) {
                        None => return chain,
                        Some(GeneratorState::Suspended) => {}
                        Some(_) => return Chain { whole: true, ..chain },
                    }
                    match self.memory.awaited(at) {
                        Some(next) => next,
                        None => return Chain { whole: true, ..chain },
                    }
                }
                "coroutine_wrapper" => or_null(self.field(at, "cw_coroutine")),
                "async_generator_asend" => or_null(self.field(at, "ags_gen")),
                "async_generator_athrow" => or_null(self.field(at, "agt_gen")),
                "anext_awaitable" => or_null(self.field(at, "wrapped")),
                // a future, or something that is awaitable in a way of its own
                _ => return Chain { whole: true, ..chain },
            };
            at = inside;
        }
        chain
    }
}

/// A wrapper that has let go of what it wraps leads nowhere: no object is at null.
fn or_null(wrapped: Option<Addr>) -> Addr {
    wrapped.unwrap_or(Addr::NULL)
}
