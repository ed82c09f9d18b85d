"""A target that holds one of everything, writes down what it holds, and then stands still.

    zoo.py OUT_PREFIX [--free N] [--threads N]

Builds all that the zoo_*.py modules make, makes and frees N objects (100,000) of several kinds, writes OUT_PREFIX.truth (see
truth.py) and OUT_PREFIX.expect (see expect.py), prints `ready PID`, and blocks in a call that makes no object, so that a
capture taken from then on holds what the record says. Runs unchanged on CPython 3.8 to 3.15.
"""
import sys

sys.dont_write_bytecode = True  # several versions run from this folder

import argparse
import ctypes
import gc
import os
import signal
import threading

import expect
import truth
import zoo_builtins
import zoo_classes
import zoo_code
import zoo_freed
import zoo_library
import zoo_stdlib

PR_SET_PTRACER, PR_SET_PTRACER_ANY = 0x59616D61, ctypes.c_ulong(-1)
REGISTRY = {}


def add(name, one):
    """Put an object into the registry, under a name that is free, and hand it back."""
    while name in REGISTRY:
        name += "+"
    REGISTRY[name] = one
    return one


add.registry = REGISTRY


def allow_tracer():
    """Let a tracer that is no ancestor attach, where Yama would forbid it. Elsewhere the call fails and nothing is lost."""
    ctypes.CDLL(None).prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0)


def blocked(number, gate):
    """A thread that waits for ever and makes nothing."""
    local = "of thread %d" % number
    gate.acquire()
    return local


def start_threads(count):
    gate = add("thread gate", threading.Lock())
    gate.acquire()
    for n in range(count):
        add("thread %d" % n, threading.Thread(target=blocked, args=(n, gate), name="blocked-%d" % n, daemon=True)).start()
    while count and len([f for f in sys._current_frames().values() if f.f_code is blocked.__code__]) < count:
        signal.sigtimedwait([], 0.01)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("prefix")
    parser.add_argument("--free", type=int, default=100000)
    parser.add_argument("--threads", type=int, default=0)
    options = parser.parse_args()
    gc.disable()
    allow_tracer()
    for part in (zoo_builtins, zoo_classes, zoo_code, zoo_stdlib, zoo_library):
        part.build(add)
    start_threads(options.threads)
    stand_still(options.prefix, options.free)


def stand_still(prefix, count):
    # All that the last lines need is made here: between record and pause nothing comes or goes.
    record, values = prefix + ".truth", prefix + ".expect"
    ready, write, pause = ("ready %d\n" % os.getpid()).encode(), os.write, signal.pause
    truth.warm_up()
    zoo_freed.build(add, count)
    try:
        expect.write_expect(values, REGISTRY)
        truth.write_truth(record)
    except RuntimeError:
        os._exit(1)  # the child has said why; tearing down the zoo would only say much more
    write(1, ready)
    while True:
        pause()


if __name__ == "__main__":
    main()
