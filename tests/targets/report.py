"""What a report has a part for: a deadlock of threads, one of tasks, a cache that grew, names full of markup."""
import asyncio
import ctypes
import os
import threading

ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(-1), 0, 0, 0)  # PR_SET_PTRACER, any
HOSTILE = '"];<script>document.title = 1</script><img src=http://127.0.0.1:9/x>'
Odd = type('Odd "quoted" &amp; <b>', (), {})


class Session:
    def __init__(self, number):
        self.number = number
        self.name = "session %d" % number


class Cache:
    entries = {}


def take(first, second, meeting):
    note = HOSTILE
    with first:
        meeting.wait()
        with second:
            print(note)


async def turn(tasks, other):
    await asyncio.sleep(0)
    await tasks[other]


async def main():
    tasks = {}
    for me, other in (("one", "two"), ("two", "three"), ("three", "one")):
        tasks[me] = asyncio.ensure_future(turn(tasks, other))
        tasks[me].set_name(me)
    sleepers = [asyncio.ensure_future(asyncio.sleep(1000 + i)) for i in range(200)]
    await asyncio.sleep(0.2)
    print("ready", os.getpid(), flush=True)
    await asyncio.wait(sleepers)


odd = [Odd() for _ in range(5000)]
Cache.entries.update((i, Session(i)) for i in range(30000))
locks, together = [threading.Lock(), threading.Lock()], threading.Barrier(2)
for name, order in (("pays", locks), ("ships", locks[::-1])):
    threading.Thread(target=take, args=(*order, together), name=name, daemon=True).start()
asyncio.run(main())
