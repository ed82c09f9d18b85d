"""Leaks of every kind but accumulation, for tests/leaks.rs: `fact KIND JSON` lines, then `ready`. With `healthy` as its
second argument it makes the same things in the numbers in which programs have them."""

import asyncio
import functools
import gc
import importlib.util
import json
import os
import signal
import sys
import weakref

HEALTHY = sys.argv[2:] == ["healthy"]
KEPT = []


def fact(kind, **more):
    print("fact", json.dumps(dict(more, kind=kind)))


class Connection:
    def __init__(self, entries):
        self.pending = list(range(entries))


def containers():
    connections = [Connection(10) for _ in range(20)]
    odd = Connection(10 if HEALTHY else 20_000)
    KEPT.append((connections, odd))
    fact("container", id=id(odd.pending))


async def forgotten(event):
    await event.wait()


def fail(size):
    pinned = bytearray(size)
    raise ValueError(len(pinned))


def tracebacks():
    try:
        fail(1000 if HEALTHY else 30_000_000)
    except ValueError as error:
        KEPT.append(error)
        fact("traceback", id=id(error.__traceback__))


def caches():
    @functools.lru_cache(maxsize=None)
    def squares(n):
        return float(n)

    for n in range(100 if HEALTHY else 12_000):
        squares(n)
    KEPT.append(squares)
    info = squares.cache_info()
    fact("cache", id=id(squares), entries=info.currsize, hits=info.hits, misses=info.misses)


def finalizers():
    for n in range(10 if HEALTHY else 1500):
        kept = Connection(1)
        weakref.finalize(kept, int)
        KEPT.append(kept)
    fact("finalizers", type="weakref.finalize._Info", count=len(weakref.finalize._registry))


class Handle:
    """Nothing but itself holds it."""

    def __init__(self, n):
        self.me, self.buffer = self, bytearray(n)

    def __del__(self):
        pass


def garbage():
    """What a program keeps that was told to keep what is collected, and forgets it."""
    gc.collect()
    gc.set_debug(0 if HEALTHY else gc.DEBUG_SAVEALL)
    for n in range(500):
        ring = []
        ring.append(ring)
    gc.collect()
    gc.set_debug(0)
    fact("garbage", id=id(gc.garbage), count=len(gc.garbage))


def uncollected():
    gc.disable()
    for n in range(10 if HEALTHY else 1200):
        Handle(n)
    fact("finalizers", type="__main__.Handle", count=1200)


def modules():
    path = sys.argv[1] + ".plugin.py"
    with open(path, "w") as file:
        file.write("STATE = {}\n")
    for _ in range(1 if HEALTHY else 5):
        spec = importlib.util.spec_from_file_location("plugin", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        KEPT.append(module)
    fact("modules", name="plugin", count=5)


async def main():
    event = asyncio.Event()
    tasks = [asyncio.ensure_future(forgotten(event)) for _ in range(5 if HEALTHY else 30)]
    await asyncio.sleep(0)
    fact("tasks", ids=[id(task) for task in tasks])
    containers()
    tracebacks()
    caches()
    finalizers()
    modules()
    garbage()
    uncollected()
    print("ready", os.getpid(), flush=True)
    while True:
        signal.pause()


asyncio.run(main())
