"""Says what keeps what alive in it, for tests/roots.rs: `fact JSON` lines, then `ready`. Its first argument is where it
may write. On SIGUSR1 it lets go of what is suspect and makes the file `PATH.done`."""

import atexit
import builtins
import gc
import json
import os
import select
import signal
import sys
import threading
import types

FACTS = []
CACHE = {}


def fact(kind, **more):
    FACTS.append(dict(more, kind=kind))


class Node:
    def __init__(self, n):
        self.n = float(n)


class Slotted:
    __slots__ = "first", "second"

    def __init__(self, first, second):
        self.first, self.second = first, second


def sizes(*objects):
    return sum(map(sys.getsizeof, objects))


def entry(n):
    """A value whose parts nothing else holds, and the sum of their sizes."""
    text, data, number, big = "text %d" % n, b"data %d" % n, float(n), 10**30 + n
    inner = {"%d-a" % n: text, "%d-b" % n: data}
    slotted = Slotted(number, [big])
    value = (inner, slotted, bytearray(100 + n % 50))
    objects = [text, data, number, big, inner, slotted, slotted.second, value, *inner]
    if sys.version_info < (3, 15):
        return value, sizes(value[2], *objects), len(objects) + 1
    # its buffer is an object of its own, which getsizeof counts as well
    return value, sizes(bytes(value[2]), *objects) + bytearray.__basicsize__, len(objects) + 2


def fill(count):
    total, objects = 0, 0
    for n in range(count):
        key = "key %d" % n
        CACHE[key], size, parts = entry(n)
        total, objects = total + size + sys.getsizeof(key), objects + parts + 1
    fact("exclusive", id=id(CACHE), bytes=total + sys.getsizeof(CACHE), objects=objects + 1, name="CACHE")


def garbage():
    ids = []
    for n in range(10):
        one, two = Node(n), [float(n)]
        one.other, one.text = two, "tail %d" % n
        two.append(one)
        ids += [id(one), id(two), id(two[0]), id(one.text), id(one.n)]
    ring = []
    ring.append(ring)
    ids.append(id(ring))
    module = types.ModuleType("gone")
    exec("def f(): return 1", module.__dict__)
    sys.modules["gone"] = module
    del sys.modules["gone"]
    ids += [id(module.__dict__), id(module.f), id(module.f.__code__)]
    fact("garbage", ids=ids)


def held():
    try:
        import ctypes

        kept = Node(1)
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(kept))
        fact("held", id=id(kept), part=id(kept.n))
    except (ImportError, AttributeError):
        pass  # a build without it


class Readable:
    def __init__(self, pipe):
        self.pipe = pipe

    def fileno(self):
        return self.pipe


def note(kind, value):
    fact(kind, id=id(value))
    return value


def inner(ready, mine, pipe):
    local_list, local_node = [mine], Node(7)
    fact("frame", function="inner", locals={"local_list": id(local_list), "local_node": id(local_node), "mine": id(mine)})
    ready.set()
    select.select(note("stack", [Readable(pipe)]), [], [])


def outer(ready, pipe):
    outer_set = {1.5, 2.5}
    fact("frame", function="outer", locals={"outer_set": id(outer_set)})
    inner(ready, object(), pipe)


def at_exit():
    """What a callback holds, in an object that nothing else does."""

    def callback(*_, **__):
        pass

    number, word = Node(8), Node(9)
    atexit.register(callback, number, key=word)
    fact("atexit", ids=[id(callback), id(number), id(word)])


def let_go(*_):
    CACHE.clear()
    gc.collect()
    with open(sys.argv[1] + ".done", "w"):
        pass


def main():
    signal.signal(signal.SIGUSR1, let_go)
    ready, pipe = threading.Event(), os.pipe()[0]
    thread = threading.Thread(target=outer, args=(ready, pipe), daemon=True)
    thread.start()
    ready.wait()
    while not any(f["kind"] == "stack" for f in FACTS):
        pass
    fill(int(sys.argv[2]) if len(sys.argv) > 2 else 3000)
    at_exit()
    fact("thread", ident=thread.ident, ids=[id(thread)])
    fact("state", field="modules", id=id(sys.modules))
    fact("state", field="sysdict", id=id(sys.__dict__))
    fact("state", field="builtins", id=id(builtins.__dict__))
    gc.collect()
    gc.disable()
    held()
    garbage()
    for one in FACTS:
        print("fact", json.dumps(one))
    print("ready", os.getpid(), flush=True)
    while True:
        signal.pause()


main()
