//! What the objects of each type are to the wait graph, and where the fields of tasks and handles lie.
//!
//! Worked out once for each type, so that a hundred thousand objects are not asked for the names of their classes.

use super::uvloop::Foreign;
use crate::cpython::Kind;
use crate::cpython::types::{Type, TypeId, TypeTable};
use crate::heap::Heap;
use crate::snapshot::Addr;

/// What the objects of a type are.
#[derive(Debug, Clone, Copy)]
pub enum Role {
    /// A future; a task when `task`. `fields`: where they lie when it is written in C.
    Future {
        task: bool,
        fields: Option<FutureFields>,
    },
    /// Something with futures in it.
    Primitive(Primitive),
    /// What an event loop is going to call.
    Handle(HandleFields),
    /// Something of uvloop, whose fields have no known places.
    Foreign(Foreign),
    Timeout,
    None,
    Bool,
}

/// What can be waited for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Primitive {
    #[default]
    Unknown,
    Lock,
    Event,
    Condition,
    Semaphore,
    Barrier,
    Queue,
    Stream,
    Subprocess,
    Executor,
    Sleep,
    Timer,
    Socket,
}

impl Primitive {
    /// As in the answers.
    pub fn name(self) -> &'static str {
        match self {
            Primitive::Unknown => "",
            Primitive::Lock => "lock",
            Primitive::Event => "event",
            Primitive::Condition => "condition",
            Primitive::Semaphore => "semaphore",
            Primitive::Barrier => "barrier",
            Primitive::Queue => "queue",
            Primitive::Stream => "stream",
            Primitive::Subprocess => "subprocess",
            Primitive::Executor => "executor",
            Primitive::Sleep => "sleep",
            Primitive::Timer => "timer",
            Primitive::Socket => "socket",
        }
    }
}

/// Offsets in a future that is written in C; the last three only in a task.
#[derive(Debug, Clone, Copy)]
pub struct FutureFields {
    pub event_loop: u64,
    pub callback: u64,
    pub callbacks: u64,
    pub coroutine: u64,
    pub fut_waiter: u64,
}

/// Offsets of the `__slots__` of an `asyncio.events.Handle`; `when` only in a `TimerHandle`.
#[derive(Debug, Clone, Copy)]
pub struct HandleFields {
    pub callback: u64,
    pub args: u64,
    pub cancelled: u64,
    pub when: Option<u64>,
}

/// Classes by their names.
const PRIMITIVES: &[(&str, Primitive)] = &[
    ("asyncio.locks.Lock", Primitive::Lock),
    ("asyncio.locks.Event", Primitive::Event),
    ("asyncio.locks.Condition", Primitive::Condition),
    ("asyncio.locks.Semaphore", Primitive::Semaphore),
    ("asyncio.locks.Barrier", Primitive::Barrier),
    ("asyncio.queues.Queue", Primitive::Queue),
    ("asyncio.streams.StreamReader", Primitive::Stream),
    ("asyncio.streams.FlowControlMixin", Primitive::Stream),
    ("asyncio.base_subprocess.BaseSubprocessTransport", Primitive::Subprocess),
    ("concurrent.futures._base.Future", Primitive::Executor),
];

/// What a type's objects lead to when they are awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// Coroutines, generators and async generators: they have a frame.
    Frame,
    /// An object around one of those: the offset of it.
    Wrapper(u64),
}

/// Objects around a coroutine or an async generator, and the field that holds it.
const WRAPPERS: [(&str, &str); 4] = [
    ("coroutine_wrapper", "cw_coroutine"),
    ("async_generator_asend", "ags_gen"),
    ("async_generator_athrow", "agt_gen"),
    ("anext_awaitable", "wrapped"),
];

/// The roles of all types.
pub struct Roles {
    of: Vec<Option<Role>>,
    /// Which have one; small, as every object of the process is asked for it.
    matters: Vec<bool>,
    /// Types by their addresses, as a coroutine's next one is met by its address alone.
    links: Vec<(Addr, Link)>,
    /// Whether objects of the type are functions that are worth a look among callbacks.
    callable: Vec<bool>,
}

impl Roles {
    pub fn new(heap: &Heap) -> Roles {
        let types = heap.types();
        let memory = heap.memory();
        let mut roles =
            Roles { of: Vec::with_capacity(types.len()), matters: Vec::new(), links: Vec::new(), callable: Vec::new() };
        for (_, ty) in types.iter() {
            let kind = if ty.is_metatype() { Kind::Opaque } else { types.kind(ty, memory.layout) };
            roles.of.push(role(types, ty, kind));
            roles.callable.push(matches!(kind, Kind::Function | Kind::Method | Kind::Partial));
            let link = match ty.name.as_str() {
                _ if ty.is_heap_type() => None,
                "coroutine" | "generator" | "async_generator" => Some(Link::Frame),
                name => WRAPPERS
                    .iter()
                    .find(|(n, _)| *n == name)
                    .and_then(|(_, field)| offset(ty, field))
                    .map(Link::Wrapper),
            };
            roles.links.extend(link.map(|link| (ty.address, link)));
        }
        roles.matters = roles.of.iter().map(Option::is_some).collect();
        // most are coroutines
        roles.links.sort_by_key(|(_, link)| *link != Link::Frame);
        roles
    }

    /// Whether objects of the type are anything here.
    pub fn has(&self, ty: TypeId) -> bool {
        self.matters.get(ty.0 as usize).copied().unwrap_or(false)
    }

    pub fn of(&self, ty: TypeId) -> Option<Role> {
        self.of.get(ty.0 as usize).copied().flatten()
    }

    /// Where the fields of a future lie, when it is written in C.
    pub fn fields(&self, ty: TypeId) -> Option<FutureFields> {
        match self.of(ty)? {
            Role::Future { fields, .. } => fields,
            _ => None,
        }
    }

    /// What awaiting an object of the type at this address leads to.
    pub fn link(&self, ty: Addr) -> Option<Link> {
        self.links.iter().find(|(address, _)| *address == ty).map(|(_, link)| *link)
    }

    pub fn is_callable(&self, ty: TypeId) -> bool {
        self.callable.get(ty.0 as usize).copied().unwrap_or(false)
    }
}

fn role(types: &TypeTable, ty: &Type, kind: Kind) -> Option<Role> {
    match kind {
        Kind::Task | Kind::Future => {
            return fields(ty, kind).map(|f| Role::Future { task: kind == Kind::Task, fields: Some(f) });
        }
        Kind::None => return Some(Role::None),
        Kind::Bool => return Some(Role::Bool),
        _ => {}
    }
    let slot = |name: &str| ty.slots.iter().find(|s| s.name == name).map(|s| s.offset);
    let of = |base: &Type| match base.name.as_str() {
        // a class of asyncio, not one of C that happens to be called so
        "asyncio.futures.Future" => Some(Role::Future { task: false, fields: None }),
        "asyncio.tasks.Task" => Some(Role::Future { task: true, fields: None }),
        "asyncio.timeouts.Timeout" => Some(Role::Timeout),
        "asyncio.events.Handle" => Some(Role::Handle(HandleFields {
            callback: slot("_callback")?,
            args: slot("_args")?,
            cancelled: slot("_cancelled")?,
            when: slot("_when"),
        })),
        name => PRIMITIVES.iter().find(|(n, _)| *n == name).map(|(_, kind)| Role::Primitive(*kind)),
    };
    if let Some(what) = Foreign::of(&ty.name) {
        return Some(Role::Foreign(what));
    }
    types.bases(ty).filter(|b| (b.is_heap_type() || b.name.starts_with("uvloop.")) && !b.is_metatype()).find_map(of)
}

fn offset(ty: &Type, name: &str) -> Option<u64> {
    ty.fields?.refs.iter().find(|(n, _)| n == name).map(|(_, offset)| *offset)
}

fn fields(ty: &Type, kind: Kind) -> Option<FutureFields> {
    let of_task = |name: &str| if kind == Kind::Task { offset(ty, name) } else { Some(0) };
    Some(FutureFields {
        event_loop: offset(ty, "_loop")?,
        callback: offset(ty, "callback0")?,
        callbacks: offset(ty, "_callbacks")?,
        coroutine: of_task("_coro")?,
        fut_waiter: of_task("_fut_waiter")?,
    })
}
