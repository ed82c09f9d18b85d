"""The zoo's working parts of the standard library: what programs synchronise, queue, cache, map and count with."""
import array
import asyncio
import collections
import concurrent.futures
import contextvars
import ctypes
import datetime
import enum
import functools
import heapq
import io
import itertools
import mmap
import operator
import queue
import re
import socket
import sys
import tempfile
import threading
import types
import weakref

TEMPORARY = __file__


def build(add):
    texts(add)
    dates(add)
    threads(add)
    coroutines(add)
    contexts(add)
    caches(add)
    iterators(add)
    mappings(add)
    files(add)
    c_data(add)
    if sys.version_info >= (3, 15):
        newest(add)


def texts(add):
    for name, text in (("first", "\udfff and more"), ("only", "\ud800"), ("wide", "\U0001f40d\udc80"), ("pair", "\ud83d\ude00"), ("quotes", "'\udcff\"\n")):
        add("surrogate " + name, text)
    add("surrogate name", type("Lone", (), {})()).__dict__["\udc80"] = 1
    text = add("StringIO surrogate", io.StringIO())
    text.write("a\ud800b")
    text.seek(1)
    if sys.version_info < (3, 12):
        make = ctypes.pythonapi.PyUnicode_FromUnicode
        make.restype, make.argtypes = ctypes.py_object, [ctypes.c_wchar_p, ctypes.c_ssize_t]
        fill = ctypes.pythonapi.PyUnicode_AsUnicode
        fill.restype, fill.argtypes = ctypes.c_void_p, [ctypes.py_object]
        # neither is ready: nobody has asked for anything but its wchar_t form
        for name, letters in (("wstr", "legacy \u0416\U0001f40d"), ("wstr surrogate", "a\udc80")):
            one = add(name, make(None, len(letters)))
            ctypes.memmove(fill(one), letters.encode("utf-32-le", "surrogatepass"), 4 * len(letters))


class Elsewhere(datetime.tzinfo):
    def utcoffset(self, when):
        return datetime.timedelta(hours=1)

    def dst(self, when):
        return None

    def tzname(self, when):
        return "elsewhere"


def dates(add):
    add("timezone plain", datetime.timezone(datetime.timedelta(hours=-3, minutes=-30)))
    add("timezone utc", datetime.timezone.utc)
    add("datetime elsewhere", datetime.datetime(2024, 5, 6, tzinfo=Elsewhere()))
    add("datetime negative", datetime.datetime(2024, 5, 6, 1, tzinfo=datetime.timezone(-datetime.timedelta(hours=5, minutes=30, seconds=1))))
    if sys.version_info >= (3, 9):
        import zoneinfo

        # made from memory: there need not be any database of zones
        tzif = b"TZif2" + b"\0" * 15 + (b"\0" * 4) * 4 + b"\0\0\0\1\0\0\0\4" + b"\0\0\x0e\x10\0\0" + b"CET\0"
        tzif += b"TZif2" + b"\0" * 15 + (b"\0" * 4) * 4 + b"\0\0\0\1\0\0\0\4" + b"\0\0\x0e\x10\0\0" + b"CET\0" + b"\nCET-1\n"
        zone = add("ZoneInfo", zoneinfo.ZoneInfo.from_file(io.BytesIO(tzif), key="Europe/Zoo"))
        add("datetime in zone", datetime.datetime(2024, 5, 6, 7, 8, tzinfo=zone))
        add("time in zone", datetime.time(7, 8, tzinfo=zone))


def waiting():
    pass


def threads(add):
    bounded = add("BoundedSemaphore", threading.BoundedSemaphore(2))
    bounded.acquire()
    add("Timer", threading.Timer(1234.5, waiting))
    add("main thread", threading.main_thread())
    lifo = add("LifoQueue", queue.LifoQueue(5))
    lifo.put(1), lifo.put(2), lifo.get()
    add("Queue empty", queue.Queue())
    done = add("future done", concurrent.futures.Future())
    done.set_result([1, 2])
    add("future pending", concurrent.futures.Future())
    simple = add("SimpleQueue wrapped", queue.SimpleQueue())
    for n in range(30):
        simple.put("wrapped %d" % n)
        if n % 3:
            simple.get()

    # not of this module: what C code owns in it beside what it shows to the collector is not the class's own
    add("thread local subclass", type("Local", (threading.local,), {"__module__": "elsewhere"})()).value = 5


def coroutines(add):
    loop = add("event loop", asyncio.new_event_loop())
    in_loop = {} if sys.version_info >= (3, 10) else {"loop": loop}
    lock = add("asyncio Lock", asyncio.Lock(**in_loop))
    loop.run_until_complete(lock.acquire())
    add("asyncio Lock free", asyncio.Lock(**in_loop))
    add("asyncio Event", asyncio.Event(**in_loop)).set()
    add("asyncio Condition", asyncio.Condition(**in_loop))
    add("asyncio Semaphore", asyncio.Semaphore(3, **in_loop))
    add("asyncio BoundedSemaphore", asyncio.BoundedSemaphore(4, **in_loop))
    full = add("asyncio Queue", asyncio.Queue(7, **in_loop))
    for n in range(3):
        full.put_nowait(n)
    add("asyncio PriorityQueue", asyncio.PriorityQueue(**in_loop)).put_nowait((1, "first"))
    if sys.version_info >= (3, 11):
        add("asyncio Barrier", asyncio.Barrier(2))
    add("timer handle", loop.call_later(5000, waiting))
    add("timer handle cancelled", loop.call_later(6000, waiting)).cancel()
    add("handle", loop.call_soon(waiting))
    closed = add("event loop closed", asyncio.new_event_loop())
    closed.close()


def contexts(add):
    one = add("context variable", contextvars.ContextVar("one"))
    two = add("context variable default", contextvars.ContextVar("two", default=["of two"]))
    inside = contextvars.copy_context()
    add("token", inside.run(one.set, "first"))
    add("token again", inside.run(one.set, "second"))
    used = add("token used", inside.run(two.set, "gone"))
    inside.run(two.reset, used)
    add("context of one", inside)
    # 40 variables: more than the 16 of a bitmap node
    many = contextvars.copy_context()
    for n in range(40):
        many.run(contextvars.ContextVar("many %d" % n).set, n)
    add("context of many", many)


def caches(add):
    @functools.lru_cache(maxsize=2)
    def small(n):
        return [n]

    @functools.lru_cache(maxsize=None)
    def endless(n):
        return [n]

    for n in (1, 2, 3, 3, 3, 1):
        small(n), endless(n)
    add("lru_cache small", small)
    add("lru_cache endless", endless)
    add("pattern match groups", re.compile(r"(a)|(b)(c)?").match("b"))
    add("pattern search", re.compile(rb"(\d+)-(\d+)").search(b"on 12-345"))


def iterators(add):
    add("count", itertools.count(10))
    add("count step", itertools.count(5, 3))
    add("count big", itertools.count(1 << 70))
    endless = add("repeat", itertools.repeat("x"))
    next(endless)
    times = add("repeat times", itertools.repeat([1], 5))
    next(times)
    made = [
        itertools.chain([1], [2]), itertools.cycle("ab"), itertools.islice("abc", 2), itertools.starmap(max, [(1, 2)]), itertools.accumulate([1, 2]),
        itertools.compress("ab", [1, 0]), itertools.groupby("aab"), itertools.zip_longest("a", "bc"), itertools.product("ab", repeat=2),
        itertools.permutations("abc"), itertools.combinations("abc", 2), itertools.takewhile(bool, [1]), itertools.dropwhile(bool, [1]),
        itertools.filterfalse(bool, [1]), itertools.tee([1])[0], map(str, [1]), filter(None, [1]), zip([1], [2]), enumerate("ab"), reversed([1]),
        iter([1]), iter({1: 2}), iter("ab"), iter(range(3)), iter(waiting, None), operator.itemgetter(1), operator.attrgetter("a.b"),
        operator.methodcaller("x", 1), super(Elsewhere, Elsewhere()),
    ]
    for one in made:
        add("iterator", one)


class Key:
    pass


def mappings(add):
    add("flags", [Mode.READ, Mode.READ | Mode.WRITE, Shape.ROUND, Shape.ROUND | Shape.FLAT, Shape(0)])
    add("ChainMap", collections.ChainMap({"a": 1}, {"b": 2}))
    add("Counter of text", collections.Counter("abracadabra"))
    key = add("weak key", Key())
    add("WeakKeyDictionary", weakref.WeakKeyDictionary({key: "value"}))
    add("WeakValueDictionary", weakref.WeakValueDictionary({"k": key}))
    add("WeakSet", weakref.WeakSet([key]))
    add("weak dead", weakref.ref(Key()))
    add("SimpleNamespace", types.SimpleNamespace(alpha=1, beta=[2]))
    add("mappingproxy of dict", types.MappingProxyType({"x": 1}))
    heap = add("heap", [3, 1, 2])
    heapq.heapify(heap)


def files(add):
    for mode in ("rb", "ab", "rb+", "wb"):
        name = TEMPORARY if mode == "rb" else None
        if name is None:
            with tempfile.NamedTemporaryFile() as made:
                add("raw " + mode, open(made.name, mode, buffering=0))
                add("buffered " + mode, open(made.name, mode))
        else:
            add("raw " + mode, open(name, mode, buffering=0))
    with tempfile.TemporaryDirectory() as folder:
        add("raw xb", open(folder + "/new", "xb", buffering=0))
        add("text x", open(folder + "/newer", "x"))
    with tempfile.TemporaryFile() as made:
        made.write(b"mapped" * 1000)
        made.flush()
        mapped = add("mmap", mmap.mmap(made.fileno(), 0))
        mapped.seek(5)
    add("mmap anonymous", mmap.mmap(-1, 8192))
    add("mmap closed", mmap.mmap(-1, 4096)).close()
    patient = add("socket timeout", socket.socket(socket.AF_INET, socket.SOCK_STREAM))
    patient.settimeout(2.5)
    add("socket nonblocking", socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)).setblocking(False)


class Point(ctypes.Structure):
    _fields_ = [("x", ctypes.c_int), ("y", ctypes.c_double), ("more", ctypes.c_char * 40)]


class Either(ctypes.Union):
    _fields_ = [("whole", ctypes.c_uint64), ("bytes", ctypes.c_ubyte * 8)]


def c_data(add):
    simple = [
        ctypes.c_int(-5), ctypes.c_uint(4000000000), ctypes.c_long(-1), ctypes.c_ulong((1 << 64) - 1), ctypes.c_short(-2), ctypes.c_ushort(65535),
        ctypes.c_byte(-128), ctypes.c_ubyte(255), ctypes.c_longlong(1 << 40), ctypes.c_ulonglong(7), ctypes.c_float(1.5), ctypes.c_double(0.1),
        ctypes.c_bool(True), ctypes.c_char(b"c"), ctypes.c_wchar("\u0416"), ctypes.c_char_p(b"text"), ctypes.c_char_p(None), ctypes.c_void_p(None),
        ctypes.c_void_p(4096), ctypes.c_size_t(9), ctypes.c_int.__ctype_be__(1),
    ]
    for one in simple:
        add("ctypes " + type(one).__name__, one)
    add("ctypes Point", Point(1, 2.5, b"more"))
    inner = add("ctypes nested", (Point * 3)())
    add("ctypes item", inner[1])
    either = add("ctypes union", Either())
    either.whole = 1 << 40
    add("ctypes view", either.bytes)
    add("ctypes null pointer", ctypes.POINTER(ctypes.c_int)())
    add("ctypes of buffer", (ctypes.c_char * 5).from_buffer(bytearray(b"owned elsewhere")))
    add("arrays of all kinds", [array.array(code, [1, 2, 3]) for code in "bBhHiIlLqQfd"])


class Mode(enum.IntFlag):
    READ, WRITE = 1, 2


class Shape(enum.Flag):
    ROUND, FLAT = 1, 2


def newest(add):
    add("frozendict of frozendict", frozendict(a=frozendict(b=1)))  # noqa: F821
    if hasattr(__builtins__, "sentinel") or (isinstance(__builtins__, dict) and "sentinel" in __builtins__):
        add("sentinel", sentinel("MISSING"))  # noqa: F821
    made = types.ModuleType("zoo_315")
    exec("lazy import colorsys\nlazy from fractions import Fraction as Lazy\n", made.__dict__)
    add("lazy imports", made)
    for name in ("colorsys", "Lazy"):
        add("lazy " + name, made.__dict__[name])
