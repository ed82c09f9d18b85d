"""A target that tells where the interpreter's own objects are: runtime.py, then it blocks.

One line a kind: `kind TYPE_ID ID...`. Small numbers, one-character strings, empty containers and singletons, which
compilers place or caches keep; strings that were interned; and every class that can be reached from `object`, classes
of C code that no module names among them.
"""
import ctypes
import os
import signal
import sys

ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(-1), 0, 0, 0)  # PR_SET_PTRACER, any


def is_kept(number):
    """Whether the interpreter keeps one object of this number: up to 256, in 3.15 up to 1024."""
    return int(str(number)) is int(str(number))


def classes():
    found, left = [], [object]
    while left:
        one = left.pop()
        if one not in found:
            found.append(one)
            left.extend(type.__subclasses__(one))
    return found


HELD = []  # some would die with the line that tells them


def tell(kind, objects):
    HELD.append(objects)
    by_type = {}
    for one in objects:
        by_type.setdefault(type(one), []).append(id(one))
    for of, ids in by_type.items():
        print(kind, id(of), *ids)


tell("small", [n for n in range(-10, 2000) if is_kept(n)])
tell("character", [chr(n) for n in range(256)])
tell("empty", [(), "", b"", frozenset()])
tell("singleton", [None, True, False, Ellipsis, NotImplemented])
tell("interned", [sys.intern("interned %d" % n) for n in range(10)] + list(vars(os)))
tell("class", classes())
print("ready", os.getpid(), flush=True)
while True:
    signal.pause()
