//! What uvloop, an event loop written in C, keeps in its own objects: timers, calls, processes, transports.
//!
//! Its classes have no table here. Of an object of theirs only the objects that it holds are known, and one number: the
//! file descriptor of a transport, in libuv's struct, whose places are fixed for all of libuv 1 and which names the
//! object that it belongs to. Anything else is not told. Guides: uvloop's `cbhandles.pxd`, `handles/*.pxd`; libuv's `uv.h`.

use super::read::Reading;
use super::roles::{Primitive, Role};
use super::waits::{SCHEDULED, Wait, Waits, Waker, reach};
use super::world::World;
use crate::cpython::{EdgeKind, EdgeName};
use crate::snapshot::Addr;

/// What objects of a class of uvloop are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foreign {
    /// A call that the loop makes soon, or when a file is ready.
    Handle,
    /// A call that it makes at a time.
    Timer,
    /// A child process.
    Process,
}

impl Foreign {
    /// By the class's name.
    pub fn of(name: &str) -> Option<Foreign> {
        match name {
            "uvloop.loop.Handle" => Some(Foreign::Handle),
            "uvloop.loop.TimerHandle" => Some(Foreign::Timer),
            "uvloop.loop.UVProcessTransport" => Some(Foreign::Process),
            _ => None,
        }
    }
}

/// What an object of uvloop holds, whatever the fields are called.
pub fn held(read: &Reading<'_>, object: Addr) -> Vec<Addr> {
    let mut held = Vec::new();
    if let Some(ty) = read.type_of(object) {
        read.memory.visit_edges(object, ty, read.types(), &mut |_: EdgeName<'_>, kind, target| {
            if kind != EdgeKind::Weak {
                held.push(target);
            }
        });
    }
    held
}

fn is(read: &Reading<'_>, object: Addr, what: Foreign) -> bool {
    matches!(read.role(object), Some(Role::Foreign(of)) if of == what)
}

/// When a timer ends, by the loop's clock: the only float that it holds by itself.
pub fn when(read: &Reading<'_>, timer: Addr) -> Option<f64> {
    let held = if is(read, timer, Foreign::Timer) { held(read, timer) } else { Vec::new() };
    let mut floats = held.into_iter().filter(|at| read.is(*at, "float"));
    let first = floats.next()?;
    floats.all(|other| other == first).then(|| read.float(first))?
}

/// The socket that a call waits for.
pub fn socket_fd(read: &Reading<'_>, handle: Addr) -> Option<i64> {
    let held = if is(read, handle, Foreign::Handle) { held(read, handle) } else { Vec::new() };
    held.into_iter().find_map(|at| read.socket_fd(at))
}

/// The file descriptor of a transport; that of TLS leads to a protocol, and this to the transport of the socket.
pub fn stream_fd(read: &Reading<'_>, transport: Addr) -> Option<i64> {
    if !read.is(transport, "uvloop.loop._SSLProtocolTransport") {
        return plain_fd(read, transport);
    }
    let tls = held(read, transport).into_iter().find(|at| read.is(*at, "uvloop.loop.SSLProtocol"))?;
    held(read, tls).into_iter().find_map(|at| plain_fd(read, at))
}

/// `io_watcher.fd` of the `uv_stream_t` of a transport of sockets and pipes.
fn plain_fd(read: &Reading<'_>, transport: Addr) -> Option<i64> {
    const TYPE: u64 = 16;
    const FD: u64 = 184;
    const KINDS: [i32; 3] = [7, 12, 14]; // UV_NAMED_PIPE, UV_TCP, UV_TTY
    const MAX_WORDS: u64 = 1 << 6;
    const MAX_FD: i32 = 1 << 24;
    let ty = read.type_of(transport)?;
    let compiled = read.types().bases(ty).find(|b| b.name == "uvloop.loop.UVStream")?;
    let reader = &read.memory.reader;
    let mut words = (2..(compiled.basicsize / 8).min(MAX_WORDS)).filter_map(|i| reader.pointer(transport + i * 8));
    // its `data` is the object that it belongs to
    let own = words.find(|at| !at.is_null() && reader.pointer(*at) == Some(transport))?;
    let kind = reader.i32(own + TYPE).filter(|kind| KINDS.contains(kind));
    kind.and_then(|_| reader.i32(own + FD)).filter(|fd| (0..MAX_FD).contains(fd)).map(i64::from)
}

impl Waits {
    /// What an object of uvloop will finish, and when.
    pub fn foreign(&mut self, world: &World<'_, '_>, object: Addr, what: Foreign) {
        let read = &world.read;
        let held = held(read, object);
        if what == Foreign::Process {
            let lists = held.iter().filter(|a| read.is(**a, "list"));
            for waiter in lists.flat_map(|list| read.items(*list)) {
                self.set(world, waiter, Wait { kind: Primitive::Subprocess, object });
            }
            return;
        }
        let timer = what == Foreign::Timer;
        let mut reached: Vec<Addr> =
            held.iter().filter(|a| read.is(**a, "tuple")).flat_map(|tuple| read.items(*tuple)).collect();
        let is = |callback: Addr, name: &str| read.function_name(callback).is_some_and(|(_, n)| n == name);
        let named = |name: &str| held.iter().copied().find(|a| is(*a, name));
        let sleeps = timer && named("_set_result_unless_cancelled").is_some();
        let gives_up = named("_release_waiter").is_some();
        if let Some(callback) = named(SCHEDULED) {
            self.scheduled.extend(read.closed_over(callback, "future").zip(read.closed_over(callback, "loop")));
        }
        held.iter().for_each(|a| reach(read, *a, 0, &mut reached));
        for address in reached {
            self.wakes(world, address, if timer { Waker::Timer(object) } else { Waker::Call });
            if timer && !gives_up {
                let kind = if sleeps { Primitive::Sleep } else { Primitive::Timer };
                self.set(world, address, Wait { kind, object });
            }
        }
        // `sock_recv` and its like: the future and the socket are arguments of a method of the loop
        if !timer && held.iter().any(|at| read.socket_fd(*at).is_some()) {
            for future in held.iter().copied().filter(|at| world.find(*at).is_some()) {
                self.wakes(world, future, Waker::Call);
                self.set(world, future, Wait { kind: Primitive::Socket, object });
            }
        }
    }
}
