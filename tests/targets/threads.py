"""A target whose threads stand in many places, each told in a line: threads.py [busy] [deep N] [interpreters].

Prints `thread JSON` for each: ident, native_id, name, frames from the innermost out (function, qualified name where the
version has it, file, line, end line and columns, ids of locals), id of the exception being handled, with `interpreters` also the
id of its subinterpreter and whether it is a daemon; `tree JSON` for a variable: the thread, the name, and what the object holds, to two
levels: [id, [[id, [...]], ...]]. Then `ready PID`. Every thread stands in a
call that makes no object, but for the busy one, whose line is told as null. Runs on CPython 3.8 to 3.15.
"""
import ctypes
import json
import os
import signal
import sys
import threading

ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(-1), 0, 0, 0)  # PR_SET_PTRACER, any
GATE = threading.Lock()
GATE.acquire()
TREES = []
STANDING = []  # a thread puts itself here just before it stands still


def stand(where):
    STANDING.append(where)
    GATE.acquire()


def nested(first, *rest, key=None, **more):
    held, cell = [first, {"a key": (rest, key)}], "in a cell"
    TREES.extend([("held", held), ("rest", rest), ("more", more)])

    def inner(argument):
        stand((argument, cell))

    inner(held)


def generate(start):
    for n in range(start, start + 3):
        stand(n)
        yield n


def in_generator():
    total = sum(n for n in generate(40))
    return total


async def awaited(value):
    stand(value)


async def awaiting():
    local = "of a coroutine"
    await awaited(local)


def in_coroutine():
    coroutine = awaiting()
    coroutine.send(None)


async def asynchronous_generator():
    got = yield 1
    stand(got)
    yield 2


def in_asynchronous_generator():
    one = asynchronous_generator()
    try:
        one.__anext__().send(None)
    except StopIteration:
        pass
    one.asend("sent").send(None)


def handling():
    try:
        {}["missing"]
    except KeyError:
        try:
            1 / 0
        except ZeroDivisionError as error:
            kept = error
            stand(kept)


def in_class_body():
    class Body:
        attribute = [1]
        stand(attribute)


def in_comprehension():
    outer = "free"
    return [stand((outer, n)) for n in range(2)]


def down(depth):
    return stand(depth) if depth == 0 else down(depth - 1)


def busy():
    count = 0
    STANDING.append("busy")
    while True:
        count += 1
        count %= 100


class Callable:
    def __call__(self, argument):
        self.method(argument)

    def method(self, argument):
        sorted([2, 1], key=self.key)  # C code between two frames

    def key(self, item):
        stand(item)
        return item


def position(frame):
    """The end of the current expression's line, its columns; nothing before 3.11."""
    if not hasattr(frame.f_code, "co_positions"):
        return [None] * 3
    _, end_line, column, end_column = list(frame.f_code.co_positions())[frame.f_lasti // 2]
    return [end_line, column, end_column]


def frames_of(frame):
    frames = []
    while frame is not None:
        code = frame.f_code
        values = frame.f_locals if code.co_flags & 1 else {}  # CO_OPTIMIZED
        frames.append({
            "function": code.co_name,
            "qualified": getattr(code, "co_qualname", None),
            "file": code.co_filename,
            "line": None if code is busy.__code__ else frame.f_lineno,
            "position": None if code is busy.__code__ else position(frame),
            "locals": None if code is busy.__code__ else {k: id(v) for k, v in values.items()},
        })
        frame = frame.f_back
    return frames


IN_OTHER = """
import json, sys, threading, time, _thread
FRAMES, STANDING, GATE = [], [], _thread.allocate_lock()
GATE.acquire()


def stand(where):
    FRAMES.append(sys._getframe())
    STANDING.append(where)
    GATE.acquire()


class Work:
    def first(self, argument):
        held = [argument]
        stand(held)


def tell(frame, lines):
    frames = []
    while frame is not None:
        code = frame.f_code
        optimised = code.co_flags & 1
        frames.append({
            "function": code.co_name, "qualified": getattr(code, "co_qualname", None), "file": code.co_filename,
            "line": frame.f_lineno if lines else None, "position": None,
            "locals": {k: id(v) for k, v in frame.f_locals.items()} if optimised else {},
        })
        frame = frame.f_back
    return frames


def told(thread, frames):
    facts = {
        "ident": thread.ident, "native_id": thread.native_id, "name": thread.name, "daemon": thread.daemon, "frames": frames,
        "handled": None, "interpreter": IDENT,
    }
    print("thread", json.dumps(facts))


def other():
    while not STANDING:
        time.sleep(0.01)
    told(threading.current_thread(), None)  # its frames are not yet where they will be
    stand("other")


first = threading.Thread(target=Work().first, args=(7,), name="first of %d" % IDENT)
first.start()
while not STANDING:
    time.sleep(0.01)
told(first, tell(FRAMES[0], True))
del first
threading.Thread(target=other, name="other of %d" % IDENT).start()
while len(STANDING) < 2:
    time.sleep(0.01)
told(threading.current_thread(), None)
sys.stdout.flush()
stand("itself")
"""


def in_other_interpreters():
    """Two of them, each with the thread that runs it and two of its own; from 3.12 on the second has its own GIL."""
    try:
        import _interpreters as made
    except ImportError:
        import _xxsubinterpreters as made
    for own in (False, True):
        reads, writes = os.pipe()
        ends = "import os; os.write(%d, b'x')\nstand(\"itself\")\n" % writes
        script = IN_OTHER.replace('stand("itself")\n', ends)
        threading.Thread(target=run_string, args=(made, own, script), name="runs %d" % own, daemon=True).start()
        os.read(reads, 1)


def run_string(made, own, script):
    # up to 3.11 it keeps the state of the thread that made it
    if sys.version_info >= (3, 13):
        other = made.create("isolated" if own else "legacy")
    elif sys.version_info >= (3, 9):
        other = made.create(isolated=own and sys.version_info >= (3, 12))
    else:
        other = made.create()
    HELD.append(other)
    STANDING.append("runs")
    if made.run_string(other, "IDENT = %d\n%s" % (int(other), script)) is not None:
        os.abort()


HELD = []


def object_tree(one, levels):
    """What a list, tuple or dict holds: for each of it the id and what that holds."""
    items = list(one) if isinstance(one, (list, tuple)) else [i for pair in one.items() for i in pair] if isinstance(one, dict) else []
    return [id(one), [object_tree(item, levels - 1) for item in items] if levels else []]


def tell(threads, handled):
    standing = sys._current_frames()
    for thread in threads:
        told = {"ident": thread.ident, "native_id": thread.native_id, "name": thread.name}
        told["frames"] = frames_of(standing[thread.ident])
        if thread is threading.main_thread():
            del told["frames"][0]  # this function
            told["frames"][0]["position"] = None  # it goes on to another call of its line
        told["handled"] = handled.get(thread.name)
        if thread.name.startswith("runs "):
            told["frames"] = None  # the same ident stands in another interpreter, too
        sys.stdout.write("thread %s\n" % json.dumps(told))
    for name, one in TREES:
        sys.stdout.write("tree %s\n" % json.dumps(["nested", name, object_tree(one, 2)]))
    sys.stdout.write("ready %d\n" % os.getpid())
    sys.stdout.flush()


def main():
    arguments = iter(sys.argv[1:])
    options = {"deep": 0, "busy": 0, "interpreters": 0}
    for word in arguments:
        options[word] = int(next(arguments)) if word == "deep" else 1
    sys.setrecursionlimit(max(1000, options["deep"] + 100))
    threading.stack_size(256 << 20)
    work = {
        "nested": lambda: nested(1, 2, key="k", other=None),
        "generator": in_generator,
        "coroutine": in_coroutine,
        "async generator": in_asynchronous_generator,
        "handling": handling,
        "class body": in_class_body,
        "comprehension": in_comprehension,
        "callable": lambda: Callable()("argument"),
    }
    if options["deep"]:
        work["deep"] = lambda: down(options["deep"])
    if options["busy"]:
        work["busy"] = busy
    for name, target in work.items():
        threading.Thread(target=target, name=name, daemon=True).start()
    if options["interpreters"]:
        in_other_interpreters()
    while len(STANDING) < len(work) + len(HELD):
        signal.sigtimedwait([], 0.01)
    signal.sigtimedwait([], 0.1)
    handled = {"handling": id([w for w in STANDING if isinstance(w, ZeroDivisionError)][0])}
    pause = signal.pause
    threads = threading.enumerate()
    tell(threads, handled); pause()


main()
