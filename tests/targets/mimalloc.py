"""A target of threads that make and free objects of one another's: mimalloc.py.

Prints the addresses of living and of dead objects, says `ready PID`, and blocks. Some that live were made by threads that
have ended since, some are larger than what an allocator shares between objects; the dead were freed by another thread
than the one that made them.
"""
import ctypes
import gc
import os
import signal
import threading

ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(-1), 0, 0, 0)  # PR_SET_PTRACER, any
gc.disable()


class Plain:
    def __init__(self, n):
        self.n = n


class Slotted:
    __slots__ = ("n",)

    def __init__(self, n):
        self.n = n


made, lock = [], threading.Lock()


def make():
    for n in range(2000):
        one = [Plain(n), Slotted(n), [n], {n: n}, n + 0.5, "%d made here" % n, (n, n + 1)]
        with lock:
            made.append(one)


large = [b"x" * (5 << 20), b"y" * (40 << 20), "z" * (150 << 20)]
# It waits from the first to the last, so that it has no thread's identity that ended: what such a thread made would wait for it.
threading.Thread(target=threading.Event().wait, daemon=True).start()
threads = [threading.Thread(target=make) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
names = [type(one).__name__ for one in made[0]]
tell = lambda what, objects: os.write(1, ("%s %s\n" % (what, " ".join(objects))).encode())
# an address and its type's name; freed ones' types are told before
dead = ["%d:%s" % (id(one), name) for group in made[1::2] for one, name in zip(group, names)]
del made[1::2], thread
live = ["%d:%s" % (id(one), name) for group in made for one, name in zip(group, names)]
live += ["%d:%s" % (id(one), type(one).__name__) for one in large]
for part in range(0, len(live), 1000):
    tell("live", live[part:part + 1000])
for part in range(0, len(dead), 1000):
    tell("dead", dead[part:part + 1000])
os.write(1, ("ready %d\n" % os.getpid()).encode())
while True:
    signal.pause()
