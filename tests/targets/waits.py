"""A target with a task and a thread that keep much alive, a native thread, and a thread that waits for the GIL.

Prints `task ID BYTES` for a task with a variable of so many bytes, `light ID` for one without; `nested ID ID TASKS BYTES` for
two tasks at the same place as all that they keep: each has a variable of so many bytes and a task of its own that has the same,
and so on for so many tasks; `thread NATIVE_ID BYTES`
for a thread in the same way; `native NATIVE_ID` for a thread without Python state, called `native-one`; `wants NATIVE_ID`
for one that computes, called `wants` by threading and `kernel-name` by the kernel. Then `ready PID`; after that the main
thread is in pause() and never lets go of the GIL. Runs on CPython 3.8 to 3.15.
"""
import asyncio
import ctypes
import os
import threading

libc = ctypes.CDLL(None)
libc.prctl(0x59616D61, ctypes.c_ulong(-1), 0, 0, 0)  # PR_SET_PTRACER, any
PR_SET_NAME = 15
TASK, THREAD = 5_000_000, 3_000_000
NESTED, NESTED_BYTES = 4, 400_000
NEVER = threading.Event()
TASKS_THAT_KEEP = []
TASKS = []  # not of the task and the thread that start them, which would keep them alive otherwise


def begin(work, name):
    """Its native id, once it is at work."""
    begun, ids = threading.Event(), []

    def body():
        ids.append(threading.get_native_id())
        work(begun)

    threading.Thread(target=body, name=name, daemon=True).start()
    begun.wait()
    return ids[0]


async def light(forever):
    await forever


async def heavy(forever):
    payload = bytes(TASK)
    await forever
    return payload


async def nested(left, loop):
    below = loop.create_task(nested(left - 1, loop)) if left > 1 else None
    payload = bytes(NESTED_BYTES)
    await loop.create_future()
    return payload, below


def loop_body(begun):
    async def start():
        loop = asyncio.get_running_loop()
        outer = [loop.create_task(nested(NESTED, loop)) for _ in range(2)]
        TASKS_THAT_KEEP.extend(outer)
        # one of many, so that it comes first by its size alone
        bodies = [light] * 5 + [heavy] + [light] * 5
        TASKS.extend(loop.create_task(body(loop.create_future())) for body in bodies)
        for _ in range(NESTED + 1):
            await asyncio.sleep(0)
        print("nested", id(outer[0]), id(outer[1]), NESTED, NESTED_BYTES)
        outer.clear()
        print("task", id(TASKS[5]), TASK)
        print("light", id(TASKS[0]))
        begun.set()
        await loop.create_future()

    asyncio.new_event_loop().run_until_complete(start())


def keeps(begun):
    payload = bytes(THREAD)
    begun.set()
    NEVER.wait()
    return payload


def wants(begun):
    libc.prctl(PR_SET_NAME, b"kernel-name", 0, 0, 0)
    begun.set()
    count = 0
    while True:
        count = (count + 1) % 100


def native():
    """A thread that is in pause() and never was in Python."""
    before = set(os.listdir("/proc/self/task"))
    thread = ctypes.c_ulong()
    body = ctypes.cast(libc.pause, ctypes.c_void_p)
    if libc.pthread_create(ctypes.byref(thread), None, body, None):
        raise OSError("no thread")
    libc.pthread_setname_np(thread, b"native-one")
    new, = set(os.listdir("/proc/self/task")) - before
    return int(new)


begin(loop_body, "loop")
print("thread", begin(keeps, "keeps"), THREAD)
print("native", native())
print("wants", begin(wants, "wants"))
print("ready", os.getpid(), flush=True)
ctypes.PyDLL(None).pause()
