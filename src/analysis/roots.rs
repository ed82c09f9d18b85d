//! What roots are called: `sys.modules`, a thread's frame and its variable, a C variable with its symbol.

use super::variables::MAX_NAME;
use crate::cpython::Memory;
use crate::heap::roots::{GroupId, RootKind, RootRef, Slot};
use crate::heap::{Heap, Roots};
use crate::snapshot::Addr;
use crate::text::{keep_end, sanitize};

/// Columns of a file's name.
const MAX_FILE: usize = 60;

/// One group of roots: what kind it is, and its name.
pub fn group(heap: &Heap, roots: &Roots, group: GroupId) -> (&'static str, String) {
    let memory = heap.memory();
    let Some(found) = roots.groups().get(group.0 as usize) else { return ("roots", String::new()) };
    match found.kind {
        RootKind::Interpreter(0) => ("interpreter", "interpreter state".into()),
        RootKind::Interpreter(id) => ("interpreter", format!("state of interpreter {id}")),
        RootKind::Atexit => ("atexit", "atexit callbacks".to_owned() + &of_interpreter(found.interpreter)),
        RootKind::Signals => ("signals", "signal handlers".into()),
        RootKind::Runtime => ("runtime", "_PyRuntime".into()),
        RootKind::Thread(thread) => ("thread", format!("thread {}", thread.native_id.unwrap_or(thread.ident))),
        RootKind::Frame(frame) => {
            let thread = found.parent.map(|p| self::group(heap, roots, p).1).unwrap_or_default();
            ("frame", format!("{thread}: {}()", function(&memory, frame.code)))
        }
        RootKind::StaticTypes => ("static types", "static types".into()),
        RootKind::Immortal => ("immortal", "immortal and static objects".into()),
        RootKind::Globals(image) => ("C variables", format!("C variables of {}", image_name(heap, image))),
        RootKind::HeldByC => ("held by C", "held by C code".into()),
        RootKind::Cycles => ("cycles", "unreachable cycles".into()),
    }
}

/// One reference of a root.
pub fn name(heap: &Heap, roots: &Roots, root: &RootRef) -> String {
    let (kind, group_name) = group(heap, roots, root.group);
    let kind_of = roots.group_of(root).map(|g| g.kind);
    let memory = heap.memory();
    match (kind_of, root.slot) {
        (Some(RootKind::Atexit), Slot::Field(field, _)) => {
            let of = of_interpreter(roots.group_of(root).and_then(|g| g.interpreter));
            match roots.field(field) {
                "callbacks" => group_name,
                "func" => format!("atexit callback{of}"),
                field => format!("atexit callback{of} .{field}"),
            }
        }
        (Some(RootKind::Interpreter(id)), Slot::Field(field, _)) => {
            let of = of_interpreter(Some(id));
            match roots.field(field) {
                "modules" | "imports.modules" => format!("sys.modules{of}"),
                "sysdict" => format!("sys.__dict__{of}"),
                "builtins" => format!("builtins.__dict__{of}"),
                "ceval.pending.calls" => format!("pending call{of}"),
                field => format!("{group_name} .{field}"),
            }
        }
        (Some(RootKind::Signals), Slot::Field(field, _)) => format!("signal handler {}", roots.field(field)),
        (Some(RootKind::Runtime), Slot::Field(field, _)) if roots.field(field).starts_with("ceval.pending") => {
            "pending call of the main thread".into()
        }
        (Some(RootKind::Globals(image)), Slot::Word(at)) => variable(heap, image, at),
        (Some(RootKind::Immortal), _) => "never dies".into(),
        (Some(RootKind::StaticTypes), _) => "static type".into(),
        (Some(RootKind::Cycles), _) => "nothing but its cycle".into(),
        (_, Slot::Whole) => group_name,
        (_, Slot::Field(field, _)) => format!("{group_name} .{}", roots.field(field)),
        (_, Slot::Word(at)) => format!("{group_name} {kind} at {at}"),
        (_, Slot::Local(name)) => format!("{group_name} local {}", text(&memory, name)),
        (_, Slot::Stack(i)) => format!("{group_name} stack[{i}]"),
    }
}

/// How good an end of a path a root is; lower is better.
pub(super) fn rank(kind: RootKind) -> u8 {
    match kind {
        RootKind::Interpreter(_) | RootKind::Atexit | RootKind::Signals | RootKind::Runtime => 1,
        RootKind::Frame(_) | RootKind::Thread(_) => 2,
        RootKind::Globals(_) => 3,
        RootKind::StaticTypes | RootKind::Immortal => 4,
        RootKind::HeldByC => 5,
        RootKind::Cycles => 6,
    }
}

/// The main one needs no name.
fn of_interpreter(id: Option<i64>) -> String {
    id.filter(|id| *id != 0).map_or_else(String::new, |id| format!(" of interpreter {id}"))
}

fn text(memory: &Memory<'_>, name: Addr) -> String {
    memory.text(name, MAX_NAME).map_or_else(|| name.to_string(), |(text, _)| sanitize(&text).into_owned())
}

fn function(memory: &Memory<'_>, code: Addr) -> String {
    let c = &memory.layout.structs.code;
    let name = c.co_qualname.unwrap_or(c.co_name);
    memory.reader.pointer(code + name).map_or_else(|| "?".into(), |name| text(memory, name))
}

fn image_name(heap: &Heap, image: usize) -> String {
    let file = heap.interpreter().images.get(image).and_then(|i| i.file.as_deref()).unwrap_or("an image");
    let base = file.rsplit('/').next().unwrap_or(file);
    keep_end(&sanitize(base), MAX_FILE).into_owned()
}

fn variable(heap: &Heap, image: usize, at: Addr) -> String {
    let file = image_name(heap, image);
    let reader = heap.snapshot().reader();
    match heap.interpreter().images.get(image).and_then(|i| i.symbol_at(&reader, at)) {
        Some((name, 0)) => format!("C variable {} in {file}", sanitize(&name)),
        Some((name, within)) => format!("C variable {}+{within:#x} in {file}", sanitize(&name)),
        None => format!("C variable at {at} in {file}"),
    }
}
