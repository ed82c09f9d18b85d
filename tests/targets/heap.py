"""A heap of a given size for the benchmarks: `heap.py COUNT [--tasks N [--asleep]]` makes about COUNT objects and N suspended tasks.

The mix is that of a service with its data in memory: users with attributes, rows as dicts, nested lists and tuples, texts,
numbers; about 160 bytes an object. Prints `ready PID COUNT` (COUNT as built) and stands still.
"""
import argparse
import asyncio
import ctypes
import gc
import os
import signal
import sys

PR_SET_PTRACER, PR_SET_PTRACER_ANY = 0x59616D61, ctypes.c_ulong(-1)
# Objects that one round of build() makes, and a task with its coroutines, frames and future: from 3.13 on an instance has no dict
# of its own, from 3.11 on a coroutine no frame object.
PER_RECORD = 21 if sys.version_info >= (3, 13) else 22
PER_TASK = 11 if sys.version_info >= (3, 11) else 13
TEXT = "a somewhat longer text, of record %d, that people would write into a field. " + "It goes on for some lines. " * 9
CITIES = ["city %d" % n for n in range(50)]


class User:
    def __init__(self, number):
        self.number = number
        self.name = "user number %d" % number
        self.score = number * 0.5
        self.tags = [self.name, number]
        self.city = CITIES[number % 50]


class Event:
    __slots__ = ("when", "what", "user")

    def __init__(self, when, what, user):
        self.when, self.what, self.user = when, what, user


def build(count):
    records = []
    append = records.append
    for n in range(100000, 100000 + count // PER_RECORD):
        user = User(n)
        row = {"id": n, "user": user, "text": TEXT % n}
        append((
            user, row, Event(n * 1.25, "event %d" % n, user), [float(n), -n, (n, CITIES[n % 50])], {"k": n + 1, "v": str(n)},
            {n, "member %d" % n}, bytes(100 + n % 1500),
        ))
    return records


async def leaf(future, number):
    local = ["waiting", number]
    await future
    return local


async def request(loop, number):
    name = "request %d" % number
    return name, await leaf(loop.create_future(), number)


async def sleep(number):
    local = ["sleeping", number]
    await asyncio.sleep(10 ** 6)
    return local


async def gathered(tasks):
    await asyncio.gather(*tasks)


async def suspend(loop, count, asleep):
    tasks = [loop.create_task(sleep(n) if asleep else request(loop, n)) for n in range(count)]
    if asleep:
        tasks.append(loop.create_task(gathered(tasks[:])))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return tasks


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("count", type=int)
    parser.add_argument("--tasks", type=int, default=0)
    parser.add_argument("--asleep", action="store_true", help="the tasks sleep, and one has gathered them")
    options = parser.parse_args()
    ctypes.CDLL(None).prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0)
    gc.disable()
    loop = asyncio.new_event_loop()
    records = build(options.count - options.tasks * PER_TASK)
    tasks = loop.run_until_complete(suspend(loop, options.tasks, options.asleep)) if options.tasks else []
    print("ready", os.getpid(), len(records) * PER_RECORD + len(tasks) * PER_TASK, flush=True)
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
