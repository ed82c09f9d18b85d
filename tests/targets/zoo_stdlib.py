"""The zoo's standard library: the types with a C layout of their own that people meet in real heaps."""
import array
import ctypes
import datetime
import decimal
import fractions
import io
import os
import pathlib
import queue
import random
import re
import socket
import struct
import sys
import threading
import time
import types
import typing
import uuid

import zoo_classes

TEMPORARY = __file__  # any file that exists


def build(add):
    values(add)
    streams(add)
    locks(add)
    typings(add)
    c_data(add)


def values(add):
    zone = datetime.timezone(datetime.timedelta(hours=2), "CEST")
    add("datetime", datetime.datetime(2024, 5, 6, 7, 8, 9, 123))
    add("datetime zoned", datetime.datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=zone, fold=1))
    add("date", datetime.date(2024, 2, 29))
    add("time", datetime.time(23, 59, 58, 7))
    add("time zoned", datetime.time(1, 2, tzinfo=datetime.timezone.utc))
    add("timedelta", datetime.timedelta(-3, 4, 5))
    add("timezone", zone)
    for text in ("0", "-1.50", "1E+100", "NaN", "-Infinity", "3." + "14159" * 20):
        add("Decimal " + text[:12], decimal.Decimal(text))
    add("decimal context", decimal.Context(prec=7))
    add("Fraction", fractions.Fraction(-22, 7))
    add("UUID", uuid.UUID("12345678-1234-5678-1234-567812345678"))
    for path in (pathlib.Path("/tmp/zoo/file.txt"), pathlib.PurePosixPath("relative/path"), pathlib.PureWindowsPath("C:/x")):
        add("path %s" % path, path)
    asked = add("path asked", pathlib.PurePosixPath("a") / "b.txt")
    str(asked), hash(asked), asked.parts
    add("arrays", [array.array("i", [1, 2, 3]), array.array("d", [1.5] * 100), array.array("B", b"bytes"), array.array("q")])
    add("array", array.array("l", range(10)))
    grown = add("array grown", array.array("h"))
    for n in range(100):
        grown.append(n)
    add("memoryview of array", memoryview(add.registry["array"]))
    pattern = add("pattern", re.compile(r"(?P<word>\w+)\s(\d+)"))
    add("pattern bytes", re.compile(rb"\x00+", re.S))
    add("match", pattern.match("answer 42"))
    add("scanner", pattern.finditer("a 1 b 2"))
    add("Struct", struct.Struct("<IqH"))
    add("random", random.Random(5))
    add("stat", os.stat("/"))
    add("struct_time", time.gmtime(0))
    add("struct sequences", [sys.version_info, sys.flags, sys.float_info, os.times(), os.uname(), time.localtime(0)])
    add("hashes", hashes())


def hashes():
    import hashlib
    import zlib

    return [hashlib.md5(b"x"), hashlib.sha256(b"y"), zlib.compressobj(), zlib.decompressobj()]


def streams(add):
    binary = add("BytesIO", io.BytesIO(b"bytes in memory"))
    binary.seek(5)
    written = add("BytesIO written", io.BytesIO())
    for n in range(100):
        written.write(b"%d," % n)
    text = add("StringIO", io.StringIO("text in memory \u0416"))
    text.seek(3)
    pieces = add("StringIO written", io.StringIO())
    for n in range(100):
        pieces.write("piece %d " % n)
    add("file text", open(TEMPORARY, encoding="utf-8")).readline()
    add("file binary", open(TEMPORARY, "rb")).read(10)
    add("file raw", open(TEMPORARY, "rb", buffering=0))
    reading, writing = os.pipe()
    add("file pipe reader", os.fdopen(reading, "rb"))
    add("file pipe writer", os.fdopen(writing, "wb"))
    left, right = socket.socketpair()
    add("socket", left)
    add("socket peer", right)
    add("socket inet", socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    closed = add("socket closed", socket.socket())
    closed.close()
    add("scandir", os.scandir("/"))


def locks(add):
    add("Lock", threading.Lock())
    add("Lock held", threading.Lock()).acquire()
    add("RLock", threading.RLock())
    twice = add("RLock held", threading.RLock())
    twice.acquire(), twice.acquire()
    add("Event", threading.Event())
    add("Event set", threading.Event()).set()
    add("Condition", threading.Condition())
    add("Condition held", threading.Condition()).acquire()
    add("Semaphore", threading.Semaphore(3))
    add("Barrier", threading.Barrier(2))
    local = add("thread local", threading.local())
    local.value, local.words = 1, ["of the main thread"]
    add("Thread never started", threading.Thread(target=print, name="never-started", daemon=True))
    full = add("Queue", queue.Queue(10))
    for n in range(3):
        full.put("item %d" % n)
    add("PriorityQueue", queue.PriorityQueue()).put((1, "first"))
    simple = add("SimpleQueue", queue.SimpleQueue())
    for n in range(12):
        simple.put("simple %d" % n)
    for _ in range(5):
        simple.get()
    add("SimpleQueue empty", queue.SimpleQueue())


def typings(add):
    item = add("TypeVar", typing.TypeVar("T", int, str))
    add("typing", [typing.List[item], typing.Dict[str, int], typing.Optional[int], typing.Union[int, str], typing.Callable[[int], str], typing.Any, typing.NewType("Id", int)])
    if sys.version_info >= (3, 9):
        add("GenericAlias", list[int])
        add("GenericAliases", [dict[str, list[int]], tuple[int, ...], zoo_classes.Generic[int]])
    if sys.version_info >= (3, 10):
        add("Union", int | str)
        add("ParamSpec", typing.ParamSpec("P"))
    if sys.version_info >= (3, 12):
        # Syntax of 3.12, which older versions must not see.
        made = types.ModuleType("zoo_312")
        exec("type Alias[T] = list[T]\ndef generic[T: int, *Ts, **P](a: T) -> T: return a\nclass Box[T]:\n    pass\nbox = Box[int]()\n", made.__dict__)
        add("type parameters", made)
    if sys.version_info >= (3, 14):
        made = types.ModuleType("zoo_314")
        exec("name = 'world'\ntemplate = t'hello {name!r:>10}'\ndef annotated(a: Missing) -> int: pass\n", made.__dict__)
        add("templates", made)
    if sys.version_info >= (3, 15):
        add("frozendict", frozendict(a=1, b=[2]))  # noqa: F821


class Pair(ctypes.Structure):
    _fields_ = [("x", ctypes.c_int), ("y", ctypes.c_double)]


def c_data(add):
    buffer = add("ctypes buffer", ctypes.create_string_buffer(b"buffer", 100))
    pair = add("ctypes structure", Pair(1, 2.5))
    add("ctypes array", (ctypes.c_long * 10)(*range(10)))
    add("ctypes pointer", ctypes.pointer(pair))
    add("ctypes object", ctypes.py_object([1, 2]))
    add("ctypes others", [ctypes.c_int(5), ctypes.c_char_p(b"text"), ctypes.cast(buffer, ctypes.c_void_p), ctypes.byref(pair)])
