"""A target that makes garbage of all kinds and then has its collector find it: `garbage.py FOLDER`.

After `ready` it waits for SIGUSR1, runs gc.collect() with DEBUG_SAVEALL and writes FOLDER/collected.json:
`{"garbage": {id: [type, finalizer]}, "generations": {generation: [id]}, "frozen": number}`. The collector is off before that, so that what is captured is what it finds.
"""
import asyncio
import collections
import ctypes
import functools
import gc
import json
import os
import signal
import sys
import types
import weakref

ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(-1), 0, 0, 0)  # PR_SET_PTRACER, any
gc.disable()
gc.set_debug(gc.DEBUG_SAVEALL)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
COUNT = 16


class Node:
    pass


class Slots:
    __slots__ = ("other", "text")


class WithFinalizer:
    def __del__(self):
        pass


class Mapping(dict):
    pass


class Sequence(list):
    pass


class Error(Exception):
    pass


def pair(n):
    a, b = Node(), Node()
    a.other, b.other, a.name = b, a, "garbage node %d" % n


def materialised(n):
    a, b = Node(), Node()
    a.other, b.other = b, a
    a.__dict__["more"] = [n, a]


def slots(n):
    a, b = Slots(), Slots()
    a.other, b.other, a.text = [b], (a, n), "text %d" % n


def containers(n):
    one = [n]
    one.append({"self": one, n: (one,), ("key", n): {n, "member %d" % n}})
    deque = collections.deque([n])
    deque.append(deque)
    default = collections.defaultdict(list)
    default["self"].append(default)
    ordered = collections.OrderedDict(a=n)
    ordered["self"] = ordered
    ordered.move_to_end("a")
    mapping = Mapping()
    mapping.attribute = [mapping]
    sequence = Sequence()
    sequence.append(sequence)
    space = types.SimpleNamespace()
    space.me = space


def functions(n):
    def recursive():
        return recursive

    def default(me=[]):
        return me

    default.__defaults__[0].append(default)
    bound = Node()
    bound.method = types.MethodType(recursive, bound)
    partial = functools.partial(max, [])
    partial.args[0].append(partial)
    node = Node()
    node.property = property(lambda self: node)
    builtin = []
    builtin.append(builtin.append)


def classes(n):
    class Local:
        registry = []

        def method(self):
            return super().method

    class Derived(Local):
        __slots__ = ("slot",)

    Local.registry.append(Local())
    Local.registry.append(Derived())


def cached(n):
    @functools.lru_cache(maxsize=4)
    def bounded(x):
        return [x, bounded]

    bounded(n)
    bounded(n + 1)

    @functools.lru_cache(maxsize=None)
    def unbounded(x):
        return [x, unbounded]

    unbounded(n)


def raised(n):
    try:
        local = ["kept by a frame", n]
        raise Error("caught %d" % n, local)
    except Error as error:
        kept = error
    kept.me = kept


def generators(n):
    def numbers():
        mine = [n]
        mine.append(me)
        yield mine
        yield n

    me = []
    one = numbers()
    next(one)
    me.append(one)

    async def coroutine():
        mine = [holder]
        await waiter
        return mine

    class Waiter:
        def __await__(self):
            yield holder

    holder, waiter = [], Waiter()
    two = coroutine()
    two.send(None)
    holder.append(two)
    fresh = []

    def unstarted(argument):
        yield argument

    fresh.append(unstarted(fresh))


def weak(n):
    node, target = Node(), Node()
    node.me = node
    node.reference = weakref.ref(target)
    target.me = target
    node.values = weakref.WeakValueDictionary()
    node.values["x"] = target


def iterators(n):
    one = [n, [n]]
    one.append(iter(one))
    one.append(map(str, one))
    one.append(zip(one, one))
    one.append(enumerate(one))
    one.append(filter(None, one))
    mapping = {"a": [n]}
    mapping["iterator"] = iter(mapping.items())
    mapping["view"] = mapping.values()
    mapping["proxy"] = types.MappingProxyType(mapping)
    mapping["slice"] = slice(mapping, None)


def futures(n):
    future = LOOP.create_future()
    future.result_holder = [future] if hasattr(future, "__dict__") else None
    future.add_done_callback(functools.partial(print, future))


def finalized(n):
    one, other = WithFinalizer(), Node()
    one.other, other.other = other, one


class Held:
    """Alive, in cycles of its own: what looks like garbage and is none."""

    def __init__(self):
        self.me = self
        self.list = [self]


def held_by_c(n):
    one = Held()
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(one))
    HELD_BY_C.append(id(one))


LOOP = asyncio.new_event_loop()
HELD_BY_C = []
ALIVE = [Held() for _ in range(COUNT)]
KINDS = [
    pair, materialised, slots, containers, functions, classes, cached, raised, generators, weak, iterators, futures, finalized, held_by_c,
]


def make(first):
    for n in range(first, first + COUNT):
        for kind in KINDS:
            kind(n)


def collected():
    found = {}
    for one in gc.garbage:
        finalizer = type(one).__module__ == "__main__" and hasattr(type(one), "__del__")
        found[id(one)] = [type(one).__module__ + "." + type(one).__qualname__, finalizer]
    return found


def generations():
    """Of every object that the collector watches, garbage too; only numbers are kept."""
    return {number: [id(one) for one in gc.get_objects(generation=number)] for number in range(3)}


gc.collect()
del gc.garbage[:]
gc.freeze()
make(1000)
gc.collect(0)  # some in every generation, nothing of it freed: it is moved on as if it were alive
survivors = gc.garbage[:]
make(2000)
del survivors[:]
del gc.garbage[:]
GENERATIONS = generations()
print("ready", os.getpid(), flush=True)
signal.sigwait([signal.SIGUSR1])
gc.collect()
path = os.path.join(sys.argv[1], "collected.json")
text = json.dumps({"garbage": collected(), "generations": GENERATIONS, "frozen": gc.get_freeze_count(), "held": HELD_BY_C})
with open(path + ".new", "w") as out:
    out.write(text)
os.rename(path + ".new", path)
while True:
    signal.pause()
