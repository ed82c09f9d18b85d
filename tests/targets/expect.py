"""Expected values: what the target's objects are worth, as the target's own Python says, for the tests of the decoders.

`write_expect(path, registry)` writes one JSON object a line, in a forked child (see truth.py), so that looking (which makes
`__dict__`s and names of tasks) changes nothing in the parent. The registry's objects come first, with their `name`; what they
hold follows, two steps deep.

    {"id": address, "name": name or null, "type": "module.qualname", "type_id": address, "kind": …, "value": …,
     "attrs": [[name, id]], "slots": [[name, id]]}

`attrs` (the instance's `__dict__`, in order) and `slots` (set ones only) are there where the object has them, for every kind.
Ids are plain numbers. Kinds and values:

    int: decimal string · bool, none · float, complex: repr · str: text · surrogates: with `backslashreplace`, and its repr · bytes, bytearray: hex
    list, tuple, set, frozenset, deque: [id] · dict, OrderedDict, defaultdict, Counter, mappingproxy: [[key id, value id]]
    datetime, date, time: isoformat · decimal, uuid, path: text · bytesio: hex · stringio: text
    everything else: an object of named fields; `*_id` is an id, `*_ids` a list of ids, `locals_ids` of [name, id]
    record: the facts by name, as the object's own methods and attributes tell them; numbers, flags, texts, lists of numbers
    instance, opaque (a C type that nothing is said about): `referents_ids`, what gc.get_referents says but for the type
    unknown (cannot be looked at): null
"""
import asyncio
import collections
import contextvars
import ctypes
import datetime
import decimal
import enum
import fractions
import functools
import gc
import inspect
import io
import itertools
import json
import mmap
import operator
import os
import queue
import re
import socket
import struct
import threading
import types
import uuid
import weakref
from array import array
from pathlib import PurePath

import truth

LONGEST = 2000  # items of a container that get a line of their own


def write_expect(path, registry):
    """Write the values of `registry` (a dict of name → object) to `path`, which appears only when it is complete."""
    truth._in_child(lambda target: _write(target, registry), path)


def _write(path, registry):
    done = set()
    with open(path + ".part", "w", encoding="ascii") as out:
        level = [(name, o) for name, o in registry.items()]
        for depth in range(3):
            following = []
            for name, o in level:
                if id(o) in done and name is None:
                    continue
                done.add(id(o))
                line, held = describe(o)
                out.write(json.dumps(dict({"id": id(o), "name": name}, **line)) + "\n")
                if len(held) <= LONGEST:
                    following += [(None, one) for one in held]
            # Keep what was described alive: its id must not be given to another object.
            level = following
            _KEPT.append(following)
    os.rename(path + ".part", path)


_KEPT = []


def describe(o):
    """The line of one object, and the objects that it names."""
    held = []

    def ref(one):
        held.append(one)
        return id(one)

    try:
        kind, value = _value(o, ref)
    except Exception:  # a released memoryview, say: nothing to compare
        kind, value = "unknown", None
    line = {"type": truth.full_name(type(o)), "type_id": id(type(o)), "kind": kind, "value": value}
    if not isinstance(o, type):
        attrs = _attributes(o)
        if attrs is not None:
            line["attrs"] = _named(attrs, ref)
        slots = _slots(o)
        if slots is not None:
            line["slots"] = _named(slots, ref)
    return line, held


def _named(values, ref):
    """Pairs, since readers of JSON objects like to sort them; a lone surrogate as its escape, which JSON has no other way for."""
    return [[k.encode("utf-8", "backslashreplace").decode() if isinstance(k, str) else repr(k), ref(v)] for k, v in values.items()]


def _attributes(o):
    if isinstance(o, types.SimpleNamespace):
        return vars(o)
    for klass in truth._TYPE["mro"](type(o)):
        found = klass.__dict__.get("__dict__")
        if isinstance(found, types.GetSetDescriptorType):
            try:
                attrs = found.__get__(o)
            except (AttributeError, TypeError):
                return None
            return attrs if isinstance(attrs, dict) else None
    return None


def _slots(o):
    """`__slots__` of heap types, found as the descriptors that they leave in the class."""
    values, any_slot = {}, False
    for klass in reversed(truth._TYPE["mro"](type(o))):
        if truth._TYPE["flags"](klass) & truth.HEAP_TYPE and "__slots__" in klass.__dict__:
            for name, member in klass.__dict__.items():
                if isinstance(member, types.MemberDescriptorType):
                    any_slot = True
                    try:
                        values[name] = member.__get__(o)
                    except AttributeError:
                        pass
    return values if any_slot else None


def _value(o, ref):
    """Kind and value. The order matters: subclasses stand before their bases."""
    kind = type(o)
    if o is None or o is NotImplemented or o is Ellipsis:
        return "none", str(o)
    for klass in truth._TYPE["mro"](kind):
        if truth._TYPE["flags"](klass) & truth.HEAP_TYPE and truth.full_name(klass) in _BY_NAME:
            return _BY_NAME[truth.full_name(klass)](o, ref)
    if kind in (weakref.ProxyType, weakref.CallableProxyType):
        return _proxy(o, ref)  # isinstance() asks what it stands for
    for types_, describe_ in _BY_TYPE:
        if isinstance(o, types_) if not isinstance(types_, str) else kind.__name__ == types_:
            return describe_(o, ref)
    value = {"referents_ids": [ref(one) for one in gc.get_referents(o) if one is not kind]}
    return ("instance" if truth._TYPE["flags"](kind) & truth.HEAP_TYPE else "opaque"), value


def _pairs(name):
    def describe_(o, ref):
        return name, [[ref(k), ref(v)] for k, v in _items(o)]

    return describe_


def _items(o):
    if isinstance(o, collections.OrderedDict):
        return collections.OrderedDict.items(o)
    return dict.items(o) if isinstance(o, dict) else o.items()


def _sequence(name, iterate):
    return lambda o, ref: (name, [ref(one) for one in iterate(o)])


def _text(o, _):
    text = str.__str__(o)
    try:
        text.encode("utf-8")
        return "str", text
    except UnicodeEncodeError:
        return "surrogates", {"escaped": text.encode("utf-8", "backslashreplace").decode("utf-8"), "repr": repr(text)}


def _fields(name, *fields, **more):
    """A kind whose value is the named attributes: plain ones as they are, others as ids."""

    def describe_(o, ref):
        value = {}
        for field in fields:
            value.update(_field(field, getattr(o, field, None), ref))
        for field, get in more.items():
            value.update(_field(field, get(o), ref))
        return name, value

    return describe_


def _field(name, one, ref):
    name = name.strip("_")
    if one is None or isinstance(one, (bool, str)) or (type(one) is int and abs(one) < 1 << 53):
        return {name: one}
    return {name + "_id": ref(one)}


def _cell(o, ref):
    try:
        return "cell", {"contents_id": ref(o.cell_contents)}
    except ValueError:
        return "cell", {"contents_id": None}


def _range(o, _):
    return "range", {"start": str(o.start), "stop": str(o.stop), "step": str(o.step)}


def _suspended(name, prefix, state):
    def describe_(o, ref):
        frame = getattr(o, prefix + "_frame")
        value = {"name": o.__name__, "qualname": o.__qualname__, "code_id": ref(getattr(o, prefix + "_code"))}
        value["state"] = state(o) if state else None
        value["line"] = frame.f_lineno if frame is not None else None
        value["locals_ids"] = _named(frame.f_locals, ref) if frame is not None else []
        waits = getattr(o, {"gi": "gi_yieldfrom", "cr": "cr_await", "ag": "ag_await"}[prefix])
        value["awaits_id"] = None if waits is None else ref(waits)
        return name, value

    return describe_


def _frame(o, ref):
    code = o.f_code
    names = code.co_varnames + code.co_cellvars + code.co_freevars
    # A module's or class's frame: its locals are a namespace, which the dict itself describes.
    held = [] if o.f_locals is o.f_globals else _named({k: v for k, v in o.f_locals.items() if k in names}, ref)
    return "frame", {"function": code.co_name, "file": code.co_filename, "line": o.f_lineno, "locals_ids": held}


def _exception(o, ref):
    value = {"args_ids": [ref(one) for one in o.args]}
    for field in ("__cause__", "__context__", "__traceback__"):
        one = getattr(o, field)
        value[field.strip("_") + "_id"] = None if one is None else ref(one)
    return "exception", value


def _weak(o, ref):
    one = o() if isinstance(o, weakref.ReferenceType) else None
    return "weakref", {"referent_id": None if one is None else ref(one)}


def _rlock(o, _):
    found = re.search(r"count=(\d+)", repr(o))
    return "rlock", {"locked": repr(o).startswith("<locked"), "count": int(found.group(1)) if found else 0}


def _task(o, ref):
    state = "cancelled" if o.cancelled() else "finished" if o.done() else "pending"
    value = {"state": state}
    if isinstance(o, asyncio.Task):
        value.update(name=o.get_name(), coro_id=ref(o.get_coro()))
    if state == "finished":
        failed = o.exception()
        value["exception_id" if failed is not None else "result_id"] = ref(failed if failed is not None else o.result())
    return "task" if isinstance(o, asyncio.Task) else "future", value


def _file(o, _):
    mode = getattr(o, "mode", None)
    return "file", {"name": str(o.name), "mode": mode, "fd": o.fileno(), "closed": o.closed}


def _record(**facts):
    """A kind whose value is facts by name; each is asked of the object, an object among them becomes its id."""

    def describe_(o, ref):
        value = {}
        for name, get in facts.items():
            value.update(_fact(name, get(o), ref))
        return "record", value

    return describe_


def _fact(name, one, ref):
    if isinstance(one, list) and all(type(n) is int for n in one) and name in ("shape", "strides"):
        return {name: one}
    if isinstance(one, float):
        return {name: repr(one)}
    if isinstance(one, int) and not isinstance(one, bool):
        return {name: str(int(one))}
    return _field(name, one, ref) if one is None or isinstance(one, (bool, str)) else {name + "_id": ref(one)}


def _of(*way):
    """What an attribute of an attribute … of the object is."""

    def get(o):
        for name in way:
            o = getattr(o, name)
        return o

    return get


def _size(*way):
    return lambda o: len(_of(*way)(o) or ())


def _token(o, ref):
    old = o.old_value
    missing = old is contextvars.Token.MISSING
    return "record", dict(_fact("var", o.var, ref), **_fact("old_value", None if missing else old, ref), used="used" in repr(o).split()[1])


def _count(o, ref):
    inner = repr(o)[len("count("):-1].split(", ")
    return "count", {"next": inner[0], "step": inner[1] if len(inner) > 1 else "1"}


def _repeat(o, ref):
    try:
        times = str(operator.length_hint(o)) if re.search(r", \d+\)$", repr(o)) else None
    except TypeError:
        times = None
    held = [one for one in gc.get_referents(o) if one is not itertools.repeat]
    return "record", {"object_id": ref(held[0]), "times": times}


def _mmap(o, _):
    if o.closed:
        return "record", {"closed": True}
    return "mmap", {"size": str(len(o)), "pos": str(o.tell()), "closed": False}


def _cdata(o, ref):
    """`owned` is not what ctypes says of itself (it says whether it must free), but what its own words amount to."""
    size, at = ctypes.sizeof(o), ctypes.addressof(o)
    outside = not id(o) <= at < id(o) + type(o).__basicsize__
    value = {"size": str(size), "hex": ctypes.string_at(at, size).hex()}
    value.update(_fact("base", o._b_base_, ref))
    value["owned"] = str(size if o._b_needsfree_ and o._b_base_ is None and outside else 0)
    if isinstance(o, ctypes.Array):
        value["length"] = str(len(o))
    if isinstance(o, ctypes._Pointer):
        value["contents"] = hex(ctypes.addressof(o.contents)) if o else None
    if isinstance(o, ctypes._SimpleCData):
        if getattr(type(o), "__ctype_be__", None) is type(o):
            return "cdata", value  # in the other byte order: only its bytes are told
        one = o.value
        if isinstance(o, (ctypes.c_void_p, ctypes.c_wchar_p)):
            value["value"] = hex(one) if one is not None else None
        elif isinstance(one, bytes):
            value["value_hex"] = one.hex()
        else:
            value.update(_fact("value", one, ref))
    return "cdata", value


def _zoned(o, ref):
    zone = o.tzinfo
    if zone is None or isinstance(zone, datetime.timezone):
        return type(o).__name__, o.isoformat()
    key = getattr(zone, "key", None) or truth.full_name(type(zone))
    return type(o).__name__, "%s[%s]" % (o.replace(tzinfo=None).isoformat(), key)


def _match(o, ref):
    spans = [list(o.span(n + 1)) for n in range(o.re.groups)]
    return "match", dict(_field("string", o.string, ref), start=o.start(), end=o.end(), groups=spans)


def _view(o, ref):
    """The pairs of the mapping, which is all that a view holds."""
    (mapping,) = gc.get_referents(o)
    return "view", [[ref(k), ref(v)] for k, v in _items(mapping)]


def _descriptor(o, ref):
    return "descriptor", {"name": o.__name__, "owner_id": ref(o.__objclass__)}


def _proxy(o, ref):
    # a bound method of what it stands for
    return "weakref", {"referent_id": ref(o.__str__.__self__)}


def _lru(o, ref):
    info = o.cache_info()
    return "lru_cache", {"wrapped_id": ref(o.__wrapped__), "hits": info.hits, "misses": info.misses, "size": info.currsize, "maxsize": info.maxsize}


def _variable(o, ref):
    named = re.search(r" default=", repr(o))
    return "contextvar", dict({"name": o.name}, default=bool(named))


_BY_NAME = {
    # classes of the standard library that are written in Python: what their own methods and attributes say
    "threading.Condition": _record(lock=_of("_lock"), waiters=_size("_waiters")),
    "threading.Event": _record(set=lambda o: o.is_set(), waiters=_size("_cond", "_waiters")),
    "threading.Semaphore": _record(value=_of("_value"), waiters=_size("_cond", "_waiters")),
    "threading.BoundedSemaphore": _record(value=_of("_value"), initial=_of("_initial_value"), waiters=_size("_cond", "_waiters")),
    "threading.Barrier": _record(parties=_of("parties"), waiting=_of("_count"), state=_of("_state")),
    "threading.Timer": _record(
        name=_of("name"), started=lambda o: o._started.is_set(), interval=_of("interval"), function=_of("function"),
        finished=lambda o: o.finished.is_set(),
    ),
    "queue.Queue": _record(size=lambda o: o.qsize(), maxsize=_of("maxsize"), unfinished=_of("unfinished_tasks")),
    "asyncio.locks.Lock": _record(locked=lambda o: o.locked(), waiters=_size("_waiters")),
    "asyncio.locks.Event": _record(set=lambda o: o.is_set(), waiters=_size("_waiters")),
    "asyncio.locks.Condition": _record(lock=_of("_lock"), waiters=_size("_waiters")),
    "asyncio.locks.Semaphore": _record(value=_of("_value"), waiters=_size("_waiters")),
    "asyncio.locks.BoundedSemaphore": _record(value=_of("_value"), initial=_of("_bound_value"), waiters=_size("_waiters")),
    "asyncio.locks.Barrier": _record(parties=_of("parties"), waiting=_of("_count")),
    "asyncio.queues.Queue": _record(
        size=lambda o: o.qsize(), maxsize=_of("maxsize"), unfinished=_of("_unfinished_tasks"), getters=_size("_getters"), putters=_size("_putters"),
    ),
    "asyncio.events.TimerHandle": _record(
        callback=_of("_callback"), cancelled=lambda o: o.cancelled(), when=lambda o: o.when(), scheduled=_of("_scheduled"),
    ),
    "asyncio.events.Handle": _record(callback=_of("_callback"), cancelled=lambda o: o.cancelled()),
    "asyncio.base_events.BaseEventLoop": _record(
        thread_id=_of("_thread_id"), closed=lambda o: o.is_closed(), debug=lambda o: o.get_debug(), ready=_size("_ready"), scheduled=_size("_scheduled"),
    ),
    "concurrent.futures._base.Future": _record(state=_of("_state"), result=_of("_result"), exception=_of("_exception")),
    "collections.ChainMap": _record(maps=_of("maps")),
    "weakref.WeakKeyDictionary": _record(entries=len),
    "weakref.WeakValueDictionary": _record(entries=len),
    "_weakrefset.WeakSet": _record(entries=len),
}
# a thread's target goes when the thread has run
_THREAD = dict(name=_of("name"), ident=_of("ident"), native_id=_of("_native_id"), daemon=_of("daemon"), started=lambda o: o._started.is_set())


def _thread(o, ref):
    facts = dict(_THREAD, **({"target": _of("_target")} if hasattr(o, "_target") else {}))
    return _record(**{k: v for k, v in facts.items() if k != "native_id" or hasattr(o, "_native_id")})(o, ref)


_BY_NAME["threading.Thread"] = _thread


_BY_TYPE = [
    (bool, lambda o, ref: ("bool", o)),
    (int, lambda o, ref: ("int", str(int.__add__(o, 0)) if abs(o) < 1 << 2000 else hex(o))),
    (float, lambda o, ref: ("float", float.__repr__(o))),
    (complex, lambda o, ref: ("complex", complex.__repr__(o))),
    (str, _text),
    (bytes, lambda o, ref: ("bytes", bytes.__add__(o, b"").hex())),
    (bytearray, lambda o, ref: ("bytearray", bytes(o).hex())),
    (collections.OrderedDict, _pairs("OrderedDict")),
    (collections.defaultdict, _pairs("defaultdict")),
    (collections.Counter, _pairs("Counter")),
    (dict, _pairs("dict")),
    (types.MappingProxyType, _pairs("mappingproxy")),
    (list, _sequence("list", list.__iter__)),
    (tuple, _sequence("tuple", tuple.__iter__)),
    (set, _sequence("set", set.__iter__)),
    (frozenset, _sequence("frozenset", frozenset.__iter__)),
    (collections.deque, _sequence("deque", collections.deque.__iter__)),
    ("frozendict", _pairs("frozendict")),
    (type, lambda o, ref: ("type", {"name": truth.full_name(o), "bases_ids": [ref(b) for b in truth._TYPE["bases"](o)]})),
    (types.ModuleType, lambda o, ref: ("module", {"name": o.__dict__.get("__name__"), "file": o.__dict__.get("__file__")})),
    (types.FunctionType, _fields("function", "__name__", "__qualname__", "__module__", "__code__", "__defaults__", "__closure__")),
    (types.MethodType, _fields("method", "__func__", "__self__")),
    (types.BuiltinFunctionType, _fields("builtin", "__name__", "__self__")),
    (types.CodeType, _fields("code", "co_name", "co_filename", "co_firstlineno", "co_consts", "co_names")),
    (types.CellType, _cell),
    (types.GeneratorType, _suspended("generator", "gi", inspect.getgeneratorstate)),
    (types.CoroutineType, _suspended("coroutine", "cr", inspect.getcoroutinestate)),
    (types.AsyncGeneratorType, _suspended("async_generator", "ag", getattr(inspect, "getasyncgenstate", None))),
    (types.FrameType, _frame),
    (types.TracebackType, _fields("traceback", "tb_lineno", "tb_frame", "tb_next")),
    (BaseException, _exception),
    (truth._DESCRIPTORS, _descriptor),
    (tuple(type(view({})) for view in (dict.keys, dict.values, dict.items)), _view),
    (weakref.ReferenceType, _weak),
    (slice, lambda o, ref: ("slice", {"start_id": ref(o.start), "stop_id": ref(o.stop), "step_id": ref(o.step)})),
    (range, _range),
    (property, _fields("property", "fget", "fset", "fdel")),
    ((staticmethod, classmethod), _fields("wrapped", "__func__")),
    (functools.partial, _fields("partial", "func", "args")),
    ("_lru_cache_wrapper", _lru),
    (datetime.datetime, _zoned),
    (datetime.date, lambda o, ref: ("date", o.isoformat())),
    (datetime.time, _zoned),
    (datetime.timezone, lambda o, ref: ("timezone", str(o))),
    ("ZoneInfo", lambda o, ref: ("zoneinfo", o.key)),
    (datetime.timedelta, _fields("timedelta", "days", "seconds", "microseconds")),
    (decimal.Decimal, lambda o, ref: ("decimal", str(o))),
    (fractions.Fraction, lambda o, ref: ("fraction", str(o))),
    (enum.Enum, lambda o, ref: ("enum", {"name": o._name_, "value_id": ref(o._value_)})),
    (itertools.count, _count),
    (itertools.repeat, _repeat),
    (mmap.mmap, _mmap),
    (contextvars.Token, _token),
    (ctypes._SimpleCData.__mro__[1], _cdata),
    (queue.SimpleQueue, lambda o, ref: ("simplequeue", [ref(o.get_nowait()) for _ in range(o.qsize())])),
    (threading.local, _record(threads=lambda o: 1, dict=lambda o: o.__dict__)),
    (uuid.UUID, lambda o, ref: ("uuid", str(o))),
    (PurePath, lambda o, ref: ("path", str(o))),
    (array, _fields("array", "typecode", "itemsize", length=len, hex=lambda o: o.tobytes().hex())),
    (memoryview, _fields("memoryview", "format", "ndim", "nbytes", hex=lambda o: o.tobytes().hex())),
    (io.BytesIO, lambda o, ref: ("bytesio", o.getvalue().hex())),
    (io.StringIO, lambda o, ref: ("stringio", o.getvalue().encode("utf-8", "backslashreplace").decode())),
    ((io.FileIO, io.BufferedIOBase, io.TextIOWrapper), _file),
    (socket.socket, _record(fd=lambda o: o.fileno(), family=_of("family"), type=_of("type"), proto=_of("proto"), timeout=lambda o: o.gettimeout())),
    ("lock", lambda o, ref: ("lock", {"locked": o.locked()})),
    ("RLock", _rlock),
    (asyncio.Future, _task),
    (contextvars.ContextVar, _variable),
    (contextvars.Context, lambda o, ref: ("context", [[ref(k), ref(v)] for k, v in o.items()])),
    (struct.Struct, _record(format=_of("format"), size=_of("size"))),
    (re.Pattern, _fields("pattern", "pattern", "flags", "groups")),
    (re.Match, _match),
]
