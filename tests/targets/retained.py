"""Twins for tests/retained.rs: two modules, threads, frames, variables and tasks that are alike, of which one keeps a
structure of known size; `fact JSON` lines, then `ready`. What the two keep differs by that structure."""

import asyncio
import json
import os
import signal
import sys
import threading
import types

FACTS = []


def fact(by, heavy, light, items):
    size, objects = (sum(map(sys.getsizeof, [items, *items])), 1 + len(items)) if items else (0, 0)
    FACTS.append(dict(by=by, heavy=heavy, light=light, bytes=size, objects=objects))


def payload(tag):
    return [b"%s %d " % (tag, n) * 40 for n in range(50)]


class Node:
    __slots__ = "items", "below"

    def __init__(self, items, below=None):
        self.items, self.below = items, below


def modules():
    for name in "heavy", "light":
        module = sys.modules[name] = types.ModuleType(name)
        module.value = payload(b"module") if name == "heavy" else None
    fact("module", "'heavy'", "'light'", sys.modules["heavy"].value)


def hold(is_heavy, ready):
    value = payload(b"thread") if is_heavy else None
    ready.append((threading.get_native_id(), value))
    value = value or None
    threading.Event().wait()


def threads():
    ids = []
    for is_heavy in True, False:
        ready = []
        threading.Thread(target=hold, args=(is_heavy, ready), daemon=True).start()
        while not ready:
            pass
        ids.append(ready.pop())
    (heavy, items), (light, _) = ids
    fact("thread", "thread %d" % heavy, "thread %d" % light, items)
    fact("frame", "thread %d: hold()" % heavy, "thread %d: hold()" % light, items)
    fact("local", "thread %d: hold() value = " % heavy, None, items)


def types_():
    """Three objects, one of which is below another: together they keep each of their parts once."""
    global NODES
    inner = Node(payload(b"inner"))
    NODES = [Node(payload(b"one")), Node(payload(b"two"), inner)]
    parts = []
    for node in NODES + [inner]:
        parts += [node, node.items, *node.items]
    size = sum(map(sys.getsizeof, parts))
    FACTS.append(dict(by="type", heavy="__main__.Node", light=None, bytes=size, objects=3))


async def work(is_heavy, event, seen):
    value = payload(b"task") if is_heavy else None
    seen.append(value)
    await event.wait()
    del value


async def main():
    modules()
    threads()
    types_()
    event, seen = asyncio.Event(), []
    tasks = [asyncio.ensure_future(work(is_heavy, event, seen)) for is_heavy in (True, False)]
    for task, name in zip(tasks, ["heavy", "light"]):
        task.set_name(name)
    await asyncio.sleep(0)
    fact("task", "heavy work", "light work", seen[0])
    del seen[:]
    for one in FACTS:
        print("fact", json.dumps(one))
    print("ready", os.getpid(), flush=True)
    while True:
        signal.pause()


asyncio.run(main())
