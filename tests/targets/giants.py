"""A target whose objects are as no program should have them, yet may: `giants.py [WORDS [TYPES]]`.

Nesting of 100,000 levels in lists, tuples, dicts, mapping proxies and exceptions, lists that each hold the next one
twice, a dict whose keys all collide, objects whose class was changed, a type that was freed while an instance lives, an
int of a megabyte, texts of 10 MB without an end of line that hold escape sequences, names of 10 MB, a list of WORDS
references to itself, TYPES types. Prints `object NAME ID` for each and stands still.
"""
import ctypes
import gc
import os
import signal
import sys
import types
import weakref

ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(-1), 0, 0, 0)  # PR_SET_PTRACER, any
gc.disable()
WORDS = int(sys.argv[1]) if len(sys.argv) > 1 else 1 << 20
TYPES = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
LEVELS = 100_000
ESCAPES = "giant \x1b]52;c;ZXZpbA==\x07\x1b]0;owned\x07\x1b[2J\x1b[1;1H\x9b5A\u202egnp.exe\u2066\u200b\ufeff"
HELD = {}


def nested(name, wrap):
    HELD[name + " innermost"] = one = wrap(None)
    for _ in range(LEVELS):
        one = wrap(one)
    HELD[name] = one


class Raised(Exception):
    pass


def raised(before):
    one = Raised()
    one.__context__ = before
    return one


class Collides:
    def __init__(self, number):
        self.number = number

    def __hash__(self):
        return 7

    def __eq__(self, other):
        return self is other


class Was:
    pass


class Became:
    pass


nested("lists", lambda one: [one])
nested("tuples", lambda one: (one, 1))
nested("dicts", lambda one: {"next": one})
nested("proxies", lambda one: types.MappingProxyType({} if one is None else one))
nested("exceptions", raised)
HELD["shared"] = [None]
for _ in range(60):  # a path for each bit of a number that no machine counts to
    HELD["shared"] = [HELD["shared"], HELD["shared"]]
HELD["collisions"] = {Collides(n): n for n in range(2000)}
HELD["changed"] = Was()
HELD["changed"].attribute = 1
HELD["changed"].__class__ = Became
HELD["int"] = (1 << 8_000_000) - 12345
HELD["text"] = ESCAPES * (10_000_000 // len(ESCAPES))
HELD["bytes"] = b"giant \x1b]52;c;AAAA\x07\x9b2J" * 500_000
Named = type("Giant" + "n" * 10_000_000, (), {})
HELD["named"] = Named()
HELD["named"].__dict__["a" * 10_000_000] = 1
HELD["itself"] = []
HELD["itself"].append(HELD["itself"])
while len(HELD["itself"]) < WORDS:
    HELD["itself"] *= 2
HELD["types"] = [type("Giant%d" % n, (), {"__slots__": ()}) for n in range(TYPES)]
HELD["of them"] = [one() for one in HELD["types"][:100]]


def orphan():
    """An instance whose type is gone: nobody may touch it any more, so the last reference to it is never given back."""
    gone = type("GoneType", (), {"__slots__": ()})
    one = gone()
    # so that the collector does not find the type through it
    ctypes.pythonapi.PyObject_GC_UnTrack(ctypes.py_object(one))
    watch, number, lost = weakref.ref(gone), id(one), ctypes.c_void_p(id(gone))
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(one))
    del one, gone
    ctypes.pythonapi.Py_DecRef(lost)  # what the instance owns of its type
    gc.collect()
    assert watch() is None, "the type lives"
    return number


if __name__ == "__main__":
    print("object orphan %#x" % orphan())
    for name, one in HELD.items():
        print("object %s %#x" % (name.replace(" ", "_"), id(one)))
    print("ready", os.getpid(), flush=True)
    while True:
        signal.pause()
