"""A target that makes and frees known objects between captures: `diff.py FOLDER`.

It waits for SIGUSR1 before each step and writes what the step did to FOLDER/step1.json and FOLDER/step2.json, which appear
when they are complete: `{"survivors": {id: type}, "changed": ..., "freed": ..., "created": ..., "kept": ...}`. What is made
in the first step is of the types and sizes of what was freed there, so that addresses are given away again.
"""
import collections
import ctypes
import gc
import json
import os
import signal
import sys

ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(-1), 0, 0, 0)  # PR_SET_PTRACER, any
COUNT = 300
FOLDER = sys.argv[1]
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
gc.disable()  # it would move nothing, but make and free objects of its own


class Row:
    def __init__(self, number):
        self.number = number
        self.name = "row number %d" % number
        self.state = None


class Slotted:
    __slots__ = ("number", "other")

    def __init__(self, number):
        self.number, self.other = number, [number]


class Counter:
    """Changes as a whole and stays the same object."""

    def __init__(self, number):
        self.total = number
        self.queue = collections.deque(float(n) for n in range(number, number + 20))
        self.recent = {"a": number + 0.5, "b": number + 0.25}

    def change(self, number):
        self.total = number
        for n in range(20):
            self.queue.append(float(number + n))
            self.queue.popleft()
        self.recent["a"] = number + 0.5
        self.recent["b"] = number + 0.25


def batch(first):
    """One of each kind for each number; all are told one by one, what they hold too."""
    made = []
    for n in range(first, first + COUNT):
        row, slotted, text, number = Row(n), Slotted(n), "text of %d" % n, float(n)
        made += [
            row, row.name, slotted, slotted.other, text, number, n * 1000003, {"id": number, "user": row, "text": text},
            [number, text], (text, number), {text, "member %d" % n}, bytearray(b"%d" % n), b"bytes of %d" % n, (number, [text]),
            collections.deque([number, row]),
        ]
    return made


def told(objects):
    return {id(one): type(one).__module__ + "." + type(one).__qualname__ for one in objects}


def step(number, **what):
    path = os.path.join(FOLDER, "step%d.json" % number)
    with open(path + ".new", "w") as out:
        json.dump(what, out)
    os.rename(path + ".new", path)
    signal.sigwait([signal.SIGUSR1])


survivors = batch(1000000)
grown = [[float(n), "item %d" % n] for n in range(50)]
counters = [Counter(n * 100) for n in range(50)]
changed = counters + grown + [one for c in counters for one in (c.queue, c.recent)]
victims = batch(2000000)
freed = told(victims)
print("ready", os.getpid(), flush=True)
signal.sigwait([signal.SIGUSR1])

victims.reverse()
del victims[:]
created = batch(3000000)
for n, counter in enumerate(counters):
    counter.change(500000 + n * 100)
for n, one in enumerate(grown):
    one.extend("more %d of %d" % (n, i) for i in range(100))
step(1, survivors=told(survivors), changed=told(changed), freed=freed, created=told(created))

half = created[:len(created) // 2]
del created
del survivors[len(survivors) // 2:]
after = batch(4000000)
step(2, kept=told(half), created=told(after))
while True:
    signal.pause()
