"""Waste of known sizes: each line says KIND BYTES COUNT of what was planted, then the process waits.

waste.py bare: nothing is planted.
"""
import collections
import os
import sys
import threading
import time
import tracemalloc

if sys.argv[1:] == ["bare"]:
    print("ready", os.getpid(), flush=True)
    threading.Event().wait()

MANY = 3000
kept = []


def planted(kind, size, count):
    print("planted", kind, size, count)


def unique(n):
    return "unique text number %d, which nothing else equals" % n


# str: the parts are joined at run time, so that each is an object of its own
copies = ["".join(["a text that ", "there are many of"]) for _ in range(MANY)]
planted("duplicate_str", (MANY - 1) * sys.getsizeof(copies[0]), MANY - 1)
wide = ["".join(["ein Text mit \u0394 ", str(i % 7)]) for i in range(700)]
planted("duplicate_str", sum(map(sys.getsizeof, wide)) - sum(map(sys.getsizeof, wide[:7])), 693)
blobs = [bytes(bytearray(b"the same bytes over and over")) for _ in range(MANY)]
planted("duplicate_bytes", (MANY - 1) * sys.getsizeof(blobs[0]), MANY - 1)
# equal by value, not by identity
tuples = [(100000 + int("7"), 1.5 * float(i % 10), "".join(["k", "ey"]), (float("0.25"),)) for i in range(MANY)]
inner = sum(sys.getsizeof(t[3]) for t in tuples) - sys.getsizeof(tuples[0][3])
planted("duplicate_tuple", sum(map(sys.getsizeof, tuples[10:])) + inner, MANY - 10 + MANY - 1)
planted("duplicate_str", (MANY - 1) * sys.getsizeof(tuples[0][2]), MANY - 1)

lists = []
for i in range(50):
    one = [None] * 1000
    # popping one by one leaves the room, down to the half
    while len(one) > 510:
        one.pop()
    lists.append(one)
planted("overallocated_list", sum(sys.getsizeof(x) - sys.getsizeof([None] * len(x)) for x in lists), len(lists))

dicts = []
for i in range(50):
    one = {"key %d %d" % (i, k): None for k in range(1000)}
    for k in range(990):
        del one["key %d %d" % (i, k)]
    dicts.append(one)
planted("sparse_dict", sum(sys.getsizeof(x) - sys.getsizeof(dict(x)) for x in dicts), len(dicts))

empty = [[] for _ in range(2 * MANY)] + [{} for _ in range(MANY)] + [set() for _ in range(MANY)]
planted("empty_container", sum(map(sys.getsizeof, empty)), len(empty))


class Plain:
    def __init__(self, i):
        self.number, self.text, self.other = i, None, None


class Slotted:
    __slots__ = ("number", "text", "other")

    def __init__(self, i):
        self.number, self.text, self.other = i, None, None


class Loose:
    """Each instance has names of its own: no class for slots."""

    def __init__(self, i):
        setattr(self, "name_%d" % i, None)


numbers = list(range(4000, 4000 + 2 * MANY))


def measure(make):
    """Bytes that the allocators were asked for, for each of many instances."""
    made = [None] * (2 * MANY)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for i in range(2 * MANY):
        made[i] = make(numbers[i])
    taken = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    kept.append(made)
    return taken


# the first instances teach their class which names there are
warm = [Plain(0) for _ in range(50)]
del warm
plain, slotted = measure(Plain), measure(Slotted)
planted("no_slots", plain - slotted, 2 * MANY)
loose = [Loose(i) for i in range(MANY)]

floats = [[float(i) + j / 3 for i in range(1, 1000)] for j in range(5)]
planted("boxed_float", sum(sys.getsizeof(x) for one in floats for x in one), 5 * 999)
ints = [[10**9 + 7 * i + j for i in range(500)] for j in range(4)]
planted("boxed_int", sum(sys.getsizeof(x) for one in ints for x in one), 4 * 500)
mixed = [float(i) if i % 2 else unique(i) for i in range(1000)]
shared = [1.25] * 1000

print("ready", os.getpid(), flush=True)
threading.Event().wait()
