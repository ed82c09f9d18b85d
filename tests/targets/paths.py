"""Says by which ways objects of its are held, for tests/paths.rs: `fact JSON` lines, then `ready`.

Each fact names an object and, as one would write them, all the ways that lead to it from variables."""

import codecs
import collections
import gc
import json
import os
import signal
import sys
import types
import weakref


class Node:
    pass


class Settings:
    VALUE = Node()

    def method(self, default=Node()):
        return default

    class Inner:
        deep = [Node()]


def closed_over():
    captured = Node()

    def inner():
        return captured

    return inner


def numbers(argument):
    yield argument


def tagged():
    pass


NAMED = {"k": [Node()]}
OWNER = Node()
OWNER.child = NAMED["k"][0]
FUNCTION = closed_over()
SPACE = types.SimpleNamespace(x=Node())
ORDERED = collections.OrderedDict(a=Node())
DEQUE = collections.deque([0, Node()])
tagged.note = Node()
GENERATOR = numbers(Node())
next(GENERATOR)
KEPT = []
OBSERVED = Node()
REFERENCES = [weakref.ref(OBSERVED, print), weakref.ref(OBSERVED, repr)]
BY_NAME = weakref.WeakValueDictionary(observed=OBSERVED)


def fact(kind, one, **more):
    print("fact", json.dumps(dict(more, kind=kind, id=id(one))))


def ways(one, *said):
    fact("ways", one, ways=["sys.modules['__main__']." + way for way in said])


def lost():
    """Garbage, to which a weak reference and an interned name lead."""
    node, name = Node(), sys.intern("a name of %s alone" % "garbage")
    node.me, node.name = node, name

    class Local:
        pass

    Local.me = Local
    reference = weakref.ref(node, print)
    KEPT.append(reference)
    fact("garbage", node, weak=[id(reference)])
    fact("garbage", Local, weak=[])
    if sys.getrefcount(name) < 1000:  # strings that are interned live for ever in 3.12
        fact("garbage", name, weak=[])


def outside():
    """What only C code's variables lead to."""

    def caught(*_):
        pass

    def search(name):
        pass

    signal.signal(signal.SIGUSR2, caught)
    codecs.register(search)
    fact("outside", caught, kinds=["signals"])
    fact("outside", search, kinds=["interpreter"])


def main():
    gc.collect()
    gc.disable()
    ways(Settings.VALUE, "Settings.VALUE → Node")
    ways(Settings.method.__defaults__[0], "Settings.method → function → .__defaults__ → tuple → [0] → Node")
    ways(Settings.Inner.deep[0], "Settings.Inner → type → .deep → list → [0] → Node")
    ways(FUNCTION.__closure__[0].cell_contents, "FUNCTION.__closure__ → tuple → [0] → cell → .cell_contents → Node")
    ways(OWNER.child, "OWNER.child → Node", "NAMED['k'] → list → [0] → Node")
    ways(SPACE.x, "SPACE.x → Node")
    ways(ORDERED["a"], "ORDERED['a'] → Node")
    ways(DEQUE[1], "DEQUE[1] → Node")
    ways(tagged.note, "tagged.note → Node")
    if sys.version_info >= (3, 11):  # before, a generator's frame is an object
        ways(GENERATOR.gi_frame.f_locals["argument"], "GENERATOR local argument → Node")
    fact("weak", OBSERVED, weak=[id(one) for one in weakref.getweakrefs(OBSERVED)])
    outside()
    for one in None, True, 5, int:
        fact("immortal", one)
    lost()
    mine = Node()
    fact("local", mine, way="main() local mine")
    books = [Node() for _ in range(30000)]
    fact("suspect", books, name="main() local books")
    print("ready", os.getpid(), flush=True)
    while True:
        signal.pause()


main()
