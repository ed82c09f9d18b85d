"""A target for every kind of build and place: some of everything that needs no extension module, in every interpreter.

    builds.py OUT_PREFIX [--interpreters] [--without-ctypes]

Makes objects, and with --interpreters the same in subinterpreters of each configuration that this version has. The
interpreter with the id N writes OUT_PREFIX.N.truth (truth.py) and OUT_PREFIX.N.own: one line `interpreter N`, `module ADDRESS`
(of this module there), and for some static types `static TYPE DICT`. Prints `ready PID` and stands still. Runs on CPython 3.8
to 3.15, where `embed` (embed.c) is built in also without ctypes.
"""
import sys

sys.dont_write_bytecode = True  # several versions run from this folder

import collections
import functools
import gc
import itertools
import os
import weakref

if "--without-ctypes" in sys.argv:
    sys.modules["ctypes"] = None  # it could not be loaded, and a failed try leaves modules behind that hook into fork

import truth

HERE = os.path.dirname(os.path.abspath(__file__))
HELD = []
# What a subinterpreter runs to have all that this one has; the prefix of its files and its id are filled in.
SETUP = "import sys; sys.path.insert(0, %r); import truth, builds; builds.fill(%r, %r); builds.gc.collect()"
WALK = "truth.walk_alone(builds.PATH)"
PATH = None


class Point:
    def __init__(self, x, y):
        self.x, self.y = x, y


class Pair:
    __slots__ = ("left", "right")

    def __init__(self, left, right):
        self.left, self.right = left, right


class Names(dict):
    pass


class Numbers(list):
    pass


class Failure(Exception):
    pass


def numbers(limit):
    local = [limit]
    for n in range(limit):
        yield n, local


@functools.lru_cache(maxsize=None)
def cached(key):
    return key, [key]


def fill(prefix, ident):
    """Make this interpreter's objects; runs once in each."""
    global PATH
    PATH = "%s.%d.truth" % (prefix, ident)
    gc.disable()
    for n in range(400):
        point = Point(n * 1000, "name %d" % n)
        running = numbers(n + 3)
        next(running)
        HELD.append((
            point, Pair(point, n / 7), Names(a=n, b=point), Numbers([n, point]), {n, str(n)}, frozenset([n]), running,
            Failure("failure", n), collections.deque([n, point]), collections.OrderedDict(one=n), weakref.ref(point),
            collections.defaultdict(list, {n: [n]}), functools.partial(cached, n), cached(n), itertools.chain([n], [point]),
            "x" * (n * 3), b"y" * (n * 5), bytearray(n), 1 << n, complex(n, 1), slice(n, point), range(n), memoryview(b"z"),
        ))
    HELD.append({n: [n] for n in range(3000)})
    del HELD[100:200]  # freed again
    with open("%s.%d.own" % (prefix, ident), "w") as out:
        out.write("interpreter %d\nmodule %d\n" % (ident, id(sys.modules["builds"])))
        for kind in (object, int, str, list, dict, type, Exception, type(None)):
            out.write("static %d %d\n" % (id(kind), id(gc.get_referents(kind.__dict__)[0])))


def start_others(prefix):
    """Make subinterpreters, and remember how each is to be walked."""
    if "embed" in sys.builtin_module_names:
        import embed

        for ident in (1, 2):
            embed.create(SETUP % (HERE, prefix, ident))
            truth.OTHERS["%s.%d.truth" % (prefix, ident)] = (embed.run, ident, WALK)
        return
    try:
        import _interpreters as made
    except ImportError:
        import _xxsubinterpreters as made
    if sys.version_info >= (3, 13):
        ways = [lambda: made.create("legacy"), lambda: made.create("isolated"), lambda: made.create("isolated")]
    elif sys.version_info >= (3, 9):
        ways = [lambda: made.create(isolated=False), lambda: made.create(isolated=True)]
    else:
        ways = [made.create, made.create]
    for way in ways:
        other = way()
        ident = int(other)
        HELD.append(other)
        if made.run_string(other, SETUP % (HERE, prefix, ident)) is not None:
            raise RuntimeError("interpreter %d could not be set up" % ident)
        truth.OTHERS["%s.%d.truth" % (prefix, ident)] = (made.run_string, other, WALK)


def main():
    prefix = sys.argv[1]
    sys.modules["builds"] = sys.modules["__main__"]
    if truth._fork is None and "embed" in sys.builtin_module_names:
        import embed

        truth.use_fork(embed.fork)
    elif truth._fork is None:
        truth.use_fork(os.fork)  # nobody has registered a hook here
    import signal

    ready, write, pause = ("ready %d\n" % os.getpid()).encode(), os.write, signal.pause
    fill(prefix, 0)
    if "--interpreters" in sys.argv:
        start_others(prefix)
    truth.warm_up()
    try:
        truth.write_truth_of_others()
        truth.write_truth(PATH)
    except RuntimeError:
        sys.excepthook(*sys.exc_info())
        os._exit(1)
    write(1, ready)
    while True:
        pause()


if __name__ == "__main__":
    main()
