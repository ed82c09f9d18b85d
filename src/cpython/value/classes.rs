//! Classes of the standard library that are written in Python: what their attributes say.
//!
//! One table: the class, and each fact with the way to it along attributes. The names are those of `Lib/` of CPython
//! 3.8 to 3.15; an attribute that a version does not have leaves its fact out. Whether a class of this name is the
//! library's is not known here: an object without any of the attributes is an instance like others.

use super::facts::{Fact, FactValue};
use super::{Limits, Memory};
use crate::cpython::types::{Type, TypeTable};
use crate::snapshot::Addr;

/// What is made of the attribute at the end of the way.
#[derive(Debug, Clone, Copy)]
enum How {
    /// The object.
    Itself,
    /// How many items it has; `None` counts as empty.
    Length,
}
use How::{Itself, Length};

type Row = (&'static str, &'static [&'static str], How);

/// `(class, facts)`; a class stands for its subclasses too, the nearest wins.
const CLASSES: &[(&str, &[Row])] = &[
    ("threading.Condition", &[("lock", &["_lock"], Itself), ("waiters", &["_waiters"], Length)]),
    ("threading.Event", &[("set", &["_flag"], Itself), ("waiters", &["_cond", "_waiters"], Length)]),
    ("threading.Semaphore", &[("value", &["_value"], Itself), ("waiters", &["_cond", "_waiters"], Length)]),
    (
        "threading.BoundedSemaphore",
        &[
            ("value", &["_value"], Itself),
            ("initial", &["_initial_value"], Itself),
            ("waiters", &["_cond", "_waiters"], Length),
        ],
    ),
    (
        "threading.Barrier",
        &[("parties", &["_parties"], Itself), ("waiting", &["_count"], Itself), ("state", &["_state"], Itself)],
    ),
    ("threading.Thread", THREAD),
    (
        "threading.Timer",
        &[
            ("name", &["_name"], Itself),
            ("started", &["_started", "_flag"], Itself),
            ("interval", &["interval"], Itself),
            ("function", &["function"], Itself),
            ("finished", &["finished", "_flag"], Itself),
        ],
    ),
    (
        "queue.Queue",
        &[
            ("size", &["queue"], Length),
            ("maxsize", &["maxsize"], Itself),
            ("unfinished", &["unfinished_tasks"], Itself),
        ],
    ),
    ("asyncio.locks.Lock", &[("locked", &["_locked"], Itself), ("waiters", &["_waiters"], Length)]),
    ("asyncio.locks.Event", &[("set", &["_value"], Itself), ("waiters", &["_waiters"], Length)]),
    ("asyncio.locks.Condition", &[("lock", &["_lock"], Itself), ("waiters", &["_waiters"], Length)]),
    ("asyncio.locks.Semaphore", &[("value", &["_value"], Itself), ("waiters", &["_waiters"], Length)]),
    (
        "asyncio.locks.BoundedSemaphore",
        &[("value", &["_value"], Itself), ("initial", &["_bound_value"], Itself), ("waiters", &["_waiters"], Length)],
    ),
    ("asyncio.locks.Barrier", &[("parties", &["_parties"], Itself), ("waiting", &["_count"], Itself)]),
    (
        "asyncio.queues.Queue",
        &[
            ("size", &["_queue"], Length),
            ("maxsize", &["_maxsize"], Itself),
            ("unfinished", &["_unfinished_tasks"], Itself),
            ("getters", &["_getters"], Length),
            ("putters", &["_putters"], Length),
        ],
    ),
    ("asyncio.events.Handle", &[("callback", &["_callback"], Itself), ("cancelled", &["_cancelled"], Itself)]),
    (
        "asyncio.events.TimerHandle",
        &[
            ("callback", &["_callback"], Itself),
            ("cancelled", &["_cancelled"], Itself),
            ("when", &["_when"], Itself),
            ("scheduled", &["_scheduled"], Itself),
        ],
    ),
    (
        "asyncio.base_events.BaseEventLoop",
        &[
            ("thread_id", &["_thread_id"], Itself),
            ("closed", &["_closed"], Itself),
            ("debug", &["_debug"], Itself),
            ("ready", &["_ready"], Length),
            ("scheduled", &["_scheduled"], Length),
        ],
    ),
    (
        "concurrent.futures._base.Future",
        &[("state", &["_state"], Itself), ("result", &["_result"], Itself), ("exception", &["_exception"], Itself)],
    ),
    ("collections.ChainMap", &[("maps", &["maps"], Itself)]),
    ("weakref.WeakKeyDictionary", &[("entries", &["data"], Length)]),
    ("weakref.WeakValueDictionary", &[("entries", &["data"], Length)]),
    ("_weakrefset.WeakSet", &[("entries", &["data"], Length)]),
];

const THREAD: &[Row] = &[
    ("name", &["_name"], Itself),
    ("ident", &["_ident"], Itself),
    ("native_id", &["_native_id"], Itself),
    ("daemon", &["_daemonic"], Itself),
    ("started", &["_started", "_flag"], Itself),
    ("target", &["_target"], Itself),
];

fn rows(name: &str) -> Option<&'static [Row]> {
    CLASSES.iter().find(|(class, _)| *class == name).map(|(_, rows)| *rows)
}

/// Whether facts of the class with this name are known.
pub(in crate::cpython) fn is_known(name: &str) -> bool {
    rows(name).is_some()
}

impl Memory<'_> {
    /// The facts of an object of a class of the table; `None` where it has none of the attributes.
    pub(super) fn class_facts(&self, addr: Addr, ty: &Type, types: &TypeTable, limits: Limits) -> Option<Vec<Fact>> {
        let rows = types.bases(ty).find_map(|base| rows(&base.name).filter(|_| base.is_heap_type()))?;
        let fact = |(name, way, how): &Row| {
            let (mut at, mut at_type) = (addr, ty);
            for (i, step) in way.iter().enumerate() {
                if i > 0 {
                    at_type = types.get(types.id_of(self.type_of(at)?)?);
                }
                at = self.attribute(at, at_type, step)?;
            }
            let value = match how {
                Itself => self.fact_value(at, types, limits),
                Length => FactValue::Int(i64::try_from(self.length(at, types)?).ok()?),
            };
            Some(Fact::new(name, value))
        };
        let facts: Vec<Fact> = rows.iter().filter_map(fact).collect();
        (!facts.is_empty()).then_some(facts)
    }
}
