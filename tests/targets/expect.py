"""Expected values: what the target's objects are worth, as the target's own Python says, for the tests of the decoders.

`write_expect(path, registry)` writes one JSON object a line, in a forked child (see truth.py), so that looking (which makes
`__dict__`s and names of tasks) changes nothing in the parent. The registry's objects come first, with their `name`; what they
hold follows, two steps deep.

    {"id": address, "name": name or null, "type": "module.qualname", "type_id": address, "kind": …, "value": …,
     "attrs": [[name, id]], "slots": [[name, id]]}

`attrs` (the instance's `__dict__`, in order) and `slots` (set ones only) are there where the object has them, for every kind.
Ids are plain numbers. Kinds and values:

    int: decimal string · bool, none · float, complex: repr · str: text · surrogates: UTF-32-LE in hex · bytes, bytearray: hex
    list, tuple, set, frozenset, deque: [id] · dict, OrderedDict, defaultdict, Counter, mappingproxy: [[key id, value id]]
    datetime, date, time: isoformat · decimal, uuid, path: text · bytesio: hex · stringio: text
    everything else: an object of named fields; `*_id` is an id, `*_ids` a list of ids, `locals_ids` of [name, id]
    instance, opaque (a C type that nothing is said about), unknown (cannot be looked at): null
"""
import asyncio
import collections
import contextvars
import datetime
import decimal
import functools
import inspect
import io
import json
import os
import re
import socket
import struct
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
    """Pairs, since readers of JSON objects like to sort them."""
    return [[k if isinstance(k, str) else repr(k), ref(v)] for k, v in values.items()]


def _attributes(o):
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
    for types_, describe_ in _BY_TYPE:
        if isinstance(o, types_) if not isinstance(types_, str) else kind.__name__ == types_:
            return describe_(o, ref)
    return ("instance" if truth._TYPE["flags"](kind) & truth.HEAP_TYPE else "opaque"), None


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
        return "surrogates", text.encode("utf-32-le", "surrogatepass").hex()


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
    (weakref.ReferenceType, _weak),
    (slice, lambda o, ref: ("slice", {"start_id": ref(o.start), "stop_id": ref(o.stop), "step_id": ref(o.step)})),
    (range, _range),
    (property, _fields("property", "fget", "fset", "fdel")),
    ((staticmethod, classmethod), _fields("wrapped", "__func__")),
    (functools.partial, _fields("partial", "func", "args")),
    ("_lru_cache_wrapper", _fields("lru_cache", "__wrapped__", hits=lambda o: o.cache_info().hits, size=lambda o: o.cache_info().currsize)),
    (datetime.datetime, lambda o, ref: ("datetime", o.isoformat())),
    (datetime.date, lambda o, ref: ("date", o.isoformat())),
    (datetime.time, lambda o, ref: ("time", o.isoformat())),
    (datetime.timedelta, _fields("timedelta", "days", "seconds", "microseconds")),
    (decimal.Decimal, lambda o, ref: ("decimal", str(o))),
    (uuid.UUID, lambda o, ref: ("uuid", str(o))),
    (PurePath, lambda o, ref: ("path", str(o))),
    (array, _fields("array", "typecode", "itemsize", length=len, hex=lambda o: o.tobytes().hex())),
    (memoryview, _fields("memoryview", "format", "ndim", "nbytes", hex=lambda o: o.tobytes().hex())),
    (io.BytesIO, lambda o, ref: ("bytesio", o.getvalue().hex())),
    (io.StringIO, lambda o, ref: ("stringio", o.getvalue())),
    ((io.FileIO, io.BufferedIOBase, io.TextIOWrapper), _file),
    (socket.socket, lambda o, ref: ("socket", {"fd": o.fileno()})),
    ("lock", lambda o, ref: ("lock", {"locked": o.locked()})),
    ("RLock", _rlock),
    (asyncio.Future, _task),
    (contextvars.ContextVar, _fields("contextvar", "name")),
    (contextvars.Context, lambda o, ref: ("context", [[ref(k), ref(v)] for k, v in o.items()])),
    (struct.Struct, lambda o, ref: ("struct", {"format": o.format, "size": o.size})),
    (re.Pattern, _fields("pattern", "pattern", "flags", "groups")),
    (re.Match, _fields("match", "string", start=lambda o: o.start(), end=lambda o: o.end())),
]
