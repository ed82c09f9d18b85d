"""Objects that only C structs of the interpreter hold, for tests/roots.rs: handlers of signals and pending calls.
`fact JSON` lines, then `ready`."""

import json
import os
import signal
import threading
import time

MAIN = os.getpid()


class Node:
    def __init__(self, n):
        self.n = float(n)


def fact(kind, **more):
    print("fact", json.dumps(dict(more, kind=kind)))


def handlers():
    """Nothing but the table of handlers holds these; the second is a method, whose instance goes with it."""

    closed = Node(5)

    def on_signal(*_):
        return closed

    class Handler:
        def handle(self, *_):
            pass

    handler = Handler()
    method = handler.handle
    fact("signal", name="SIGUSR1", id=id(on_signal), part=id(closed))
    fact("signal", name="SIGRTMIN+3", id=id(method), part=id(handler))
    signal.signal(signal.SIGUSR1, on_signal)
    signal.signal(signal.SIGRTMIN + 3, method)


def is_paused():
    """Whether the main thread is within pause(2), where no bytecode runs."""
    with open("/proc/self/task/%d/syscall" % MAIN) as file:
        return file.read().startswith("34 ")


def await_pause():
    for _ in range(1000):
        if is_paused():
            return True
        time.sleep(0.01)
    return False


def pending(before):
    api = ctypes.pythonapi
    add, is_false, keep = api.Py_AddPendingCall, api.PyObject_Not, api.Py_IncRef
    add.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    keep.argtypes = [ctypes.py_object]
    call = ctypes.cast(is_false, ctypes.c_void_p).value
    assert await_pause()
    # it is called at once, for the signal wakes the main thread
    add(call, id(before[0]))
    done.clear()
    os.kill(MAIN, signal.SIGALRM)
    done.wait()
    time.sleep(0.2)
    assert await_pause()
    fact("called", id=id(before[0]))
    for n in range(3):
        node = Node(n)
        keep(node)
        add(call, id(node))
        fact("pending", id=id(node), part=id(node.n))
        del node
    assert is_paused(), "the calls are not pending any more"
    print("ready", os.getpid(), flush=True)
    while True:
        time.sleep(1000)


done = threading.Event()
signal.signal(signal.SIGALRM, lambda *_: done.set())
handlers()
before = [Node(77)]
try:
    import ctypes

    ctypes.pythonapi.Py_AddPendingCall
    threading.Thread(target=pending, args=(before,), daemon=True).start()
except (ImportError, AttributeError):
    print("ready", os.getpid(), flush=True)  # a build without it
while True:
    signal.pause()
