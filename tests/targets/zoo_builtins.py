"""The zoo's builtin values: numbers, text, bytes, containers in every state that changes how they lie in memory."""
import collections
import ctypes
import sys
import types


def build(add):
    numbers(add)
    texts(add)
    sequences(add)
    dicts(add)
    sets(add)
    views(add)


def numbers(add):
    for number in (0, 1, -1, 5, -5, -6, 256, 257, 1024, 1025, 2**30 - 1, 2**30, 2**30 + 1, -(2**30) - 1, 2**60 - 1, 2**60, 10**100, -(10**100)):
        add("int %d" % number, number)
    add("int huge", 7**5000)
    for value in (True, False, None, NotImplemented, Ellipsis):
        add(repr(value), value)
    for value in (0.0, -0.0, 3.25, 1e308, 5e-324, float("nan"), float("inf"), -float("inf")):
        add("float %r" % value, value)
    add("complex", complex(1.5, -2))


def texts(add):
    latin, two, four = "caf\xe9 ol\xe9", "\u03a9mega \u0416", "\U0001F600 four"
    for name, text in (("empty", ""), ("a", "a"), ("latin char", "\xe9"), ("latin", latin), ("ucs2", two), ("ucs4", four)):
        add("str " + name, text)
    add("str ascii", "plain ascii text with spaces")
    add("str long", "long text " * 1000)
    add("str made", "".join(["not ", "interned ", str(len(latin))]))
    add("str interned", sys.intern("zoo_interned_" + "name"))
    add("str controls", "bell\x07 escape\x1b[31m tab\t newline\n nul\x00 end")
    add("str surrogate", "lone \udc80 surrogate")
    # The UTF-8 form is kept in the object once a C function asks for it.
    as_utf8 = ctypes.pythonapi.PyUnicode_AsUTF8
    as_utf8.restype, as_utf8.argtypes = ctypes.c_char_p, [ctypes.py_object]
    for name, text in (("latin", "cached \xe9\xe8 utf8"), ("ucs2", "cached \u0416 utf8"), ("ucs4", "cached \U0001F40D utf8")):
        as_utf8(add("str utf8 " + name, "".join(list(text))))
    add("bytes empty", b"")
    add("bytes one", b"x")
    add("bytes", b"ab\x00\xff some bytes")
    add("bytes large", bytes(range(256)) * 400)
    add("bytearray", bytearray(b"0123456789"))
    add("bytearray empty", bytearray())
    front = add("bytearray front cut", bytearray(b"0123456789" * 30))
    del front[:7]
    grown = add("bytearray grown", bytearray())
    for byte in range(100):
        grown.append(byte)


def sequences(add):
    add("tuple empty", ())
    add("tuple", (1, "two", None, 3.5))
    add("tuple nested", ((1, (2, (3,))), [4]))
    # A tuple's size followed by a type looks like a reference count followed by a type: a header where none is.
    for types_ in ((int, str), (float,), (type, object, int), (dict, list, tuple, set), (type(None), bool)):
        add("tuple of types " + types_[0].__name__, tuple(list(types_)))
    add("tuples of types", [tuple([int] * n) for n in range(1, 40)])
    add("list empty", [])
    add("list", [1, "x", None, [2, 3]])
    add("list of types", [int, str, float, type, object])
    grown = add("list grown", [])
    for number in range(1000, 1100):
        grown.append(number)
    shrunk = add("list shrunk", list(range(2000, 2300)))
    for _ in range(290):
        shrunk.pop()
    cleared = add("list cleared", list(range(50)))
    cleared.clear()
    itself = add("list of itself", [1])
    itself.append(itself)
    add("list long", [float(n) for n in range(20000)])


class _Split:
    """Instances share their keys; some `__dict__`s of theirs are added as dicts of their own."""

    def __init__(self, n):
        self.first, self.second, self.third = n, str(n), [n]


def dicts(add):
    add("dict empty", {})
    add("dict str keys", {"a": 1, "b": [2], "c": None})
    add("dict mixed keys", {1: "one", "two": 2, (3, 4): 5.5, None: b"x", frozenset([1]): int})
    add("dict int keys", {n: -n for n in range(1000, 1300)})
    add("dict of types", {int: str, str: float, type: object, list: dict})
    add("dict large", {n: str(n) for n in range(70000)})
    deleted = add("dict large deleted", {"key %d" % n: n for n in range(3000)})
    for n in range(0, 3000, 7):
        del deleted["key %d" % n]
    emptied = add("dict emptied", {"x": 1, "y": 2})
    emptied.clear()
    popped = add("dict popped", {"x": 1})
    del popped["x"]
    reused = add("dict reused", {str(n): n for n in range(5)})
    del reused["1"]
    reused["new"] = "at the end"
    turned = add("dict str then int", {"a": 1})
    turned[2] = "b"
    add("dict fromkeys", dict.fromkeys("abcdefghij"))
    add("dict of 5", {str(n): n for n in range(5)})
    add("dict of 6", {str(n): n for n in range(6)})
    for size in (10, 11, 85, 86, 170, 171, 255, 256):
        add("dict size %d" % size, {"s%d" % n: n for n in range(size)})
    owners = [_Split(n) for n in range(10)]
    add("split owners", owners)
    add("dicts split", [owner.__dict__ for owner in owners[:5]])
    short = owners[1].__dict__
    del short["second"]
    owners[2].__dict__["fourth"] = "added through the dict"
    itself = add("dict of itself", {})
    itself["self"] = itself


def sets(add):
    add("set empty", set())
    add("set small", {1, 2, 3})
    add("set large", set(range(5000, 8000)))
    cut = add("set deleted", set(range(200)))
    for n in range(0, 200, 3):
        cut.discard(n)
    emptied = add("set emptied", {"a", "b"})
    emptied.clear()
    add("set of types", {int, str, float, type, object, dict})
    add("set of str", {"s%d" % n for n in range(100)})
    add("set minus one", {-1, -2, 0})
    add("frozenset", frozenset(["p", "q", ("r", 1)]))
    add("frozenset of types", frozenset([int, str]))


def views(add):
    base = add("viewed dict", {"k%d" % n: n for n in range(8)})
    for view in (base.keys(), base.values(), base.items(), iter(base), iter(base.values()), iter(base.items())):
        add("view " + type(view).__name__, view)
    partly = [10, 11, 12, 13]
    for name, one in (("list", iter(partly)), ("list back", reversed(partly)), ("tuple", iter((1, 2, 3))), ("set", iter({1, 2})), ("str", iter("abc")),
                      ("bytes", iter(b"xy")), ("range", iter(range(5))), ("long range", iter(range(2**70, 2**70 + 5))), ("dict back", reversed(base))):
        next(one)
        add("iterator " + name, one)
    add("iterator callable", iter(int, 1))
    add("slice", slice(1, 10, 2))
    add("slice mixed", slice(None, "stop", [3]))
    add("range", range(3, 30, 4))
    add("range big", range(-(10**30), 10**40, 10**20))
    add("mappingproxy", types.MappingProxyType({"m": 1}))
    add("mappingproxy type", int.__dict__)
    add("memoryview", memoryview(bytearray(b"hello world"))[2:9:2])
    add("memoryview cast", memoryview(b"12345678" * 2).cast("I", [2, 2]))
    released = add("memoryview released", memoryview(b"gone"))
    released.release()
    block = collections.deque(range(300))
    add("deque", block)
    add("deque iterator", iter(block))
    add("deque maxlen", collections.deque([str(n) for n in range(100)], maxlen=10))
    turned = add("deque rotated", collections.deque(range(200)))
    turned.rotate(77)
    for _ in range(70):
        turned.popleft()
    add("deque empty", collections.deque())
    add("defaultdict", collections.defaultdict(list, {"a": [1]}))
    add("defaultdict none", collections.defaultdict(None, x=1))
    ordered = add("OrderedDict", collections.OrderedDict((str(n), n) for n in range(30)))
    for n in range(0, 30, 4):
        del ordered[str(n)]
    ordered.move_to_end("1")
    ordered.move_to_end("29", last=False)
    add("OrderedDict iterator", iter(ordered))
    add("OrderedDict empty", collections.OrderedDict())
    add("Counter", collections.Counter("abracadabra"))
    add("ChainMap", collections.ChainMap({"a": 1}, {"b": 2}))
    add("UserDict", collections.UserDict(a=1))
    add("UserList", collections.UserList([1, 2]))
    add("UserString", collections.UserString("text"))
