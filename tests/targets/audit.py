"""A target with references that only C code holds: `audit.py [COUNT]`, with a heap of about COUNT objects besides.

Prints `leaked ID COUNT` for each object whose count it raised through ctypes, then `ready PID`.
"""
import ctypes
import gc
import os
import signal
import sys

ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(-1), 0, 0, 0)  # PR_SET_PTRACER, any


class Leaked:
    def __init__(self, number):
        self.number = number


def leak(one, times):
    for _ in range(times):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(one))


if len(sys.argv) > 1:
    from heap import build

    RECORDS = build(int(sys.argv[1]))
HELD = []


def make():
    """In a function: what it leaves on its stack goes with its frame."""
    told = []
    HELD.extend(Leaked(n) for n in range(5))
    HELD.extend([n] for n in range(5))
    for times, one in enumerate(HELD, 1):
        leak(one, times)
        told.append("leaked %d %d" % (id(one), times))
    lost = Leaked(99)
    leak(lost, 1)
    told.append("leaked %d 1" % id(lost))
    print("\n".join(told))


make()
gc.collect()
print("ready", os.getpid(), flush=True)
while True:
    signal.pause()
