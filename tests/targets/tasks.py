"""A target whose tasks wait in many ways, each told in a line: tasks.py [SLEEPERS].

Prints `task JSON` for each task: id, name, coroutine, the chain of awaits (id, function, line, columns of each frame), id of what
it waits for; `cycle JSON` for each circle: the ids of its tasks and whether it ends by itself; `lock JSON` for each lock: its id
and the id of the task that holds it; `worker N`: the native id of the executor's thread. Then `ready PID`. Runs on CPython 3.8 to 3.15.
"""
import asyncio
import asyncio.futures
import asyncio.tasks
import ctypes
import inspect
import json
import os
import sys
import threading

ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(-1), 0, 0, 0)  # PR_SET_PTRACER, any
FOREVER = 10**6
TOLD = []  # tasks, of all loops
CYCLES = []
LOCKS = []
WORKERS = []  # native ids
HELD = []  # whatever must not be collected
VERSION = sys.version_info[:2]


def start(coroutine, name=None):
    task = asyncio.get_running_loop().create_task(coroutine)
    if name:
        task.set_name(name)
    TOLD.append(task)
    return task


def cycle(tasks, ends):
    CYCLES.append({"tasks": [id(t) for t in tasks], "ends": ends})


async def settle():
    for _ in range(10):
        await asyncio.sleep(0)


async def later(box, how):
    local = "of later"
    while len(box) < 1:
        await asyncio.sleep(0)
    await how(box[0])
    return local


async def bare(future):
    await future


async def gathering(future):
    await asyncio.gather(future)


async def shielded(future):
    await asyncio.shield(future)


async def timed(future):
    await asyncio.wait_for(future, FOREVER)


async def timed_shield(future):
    await asyncio.wait_for(asyncio.shield(future), FOREVER)


async def waiting(future):
    await asyncio.wait([future])


async def first_of(future):
    await asyncio.wait([future, start(asyncio.sleep(FOREVER), "first_of's other")], return_when=asyncio.FIRST_COMPLETED)


async def completing(future):
    for one in asyncio.as_completed([future]):
        await one


async def circle(ways, ends=False):
    boxes = [[] for _ in ways]
    tasks = [start(later(box, how), how.__name__) for box, how in zip(boxes, ways)]
    for i, box in enumerate(boxes):
        box.append(tasks[(i + 1) % len(tasks)])
    await settle()
    cycle(tasks, ends)


async def diamond():
    bottom = start(asyncio.sleep(FOREVER), "bottom")
    left, right = start(bare(bottom), "left"), start(gathering(bottom), "right")

    async def top():
        await asyncio.gather(left, right)

    start(top(), "top")


async def convoy():
    lock = asyncio.Lock()

    async def inside():
        async with lock:
            await asyncio.sleep(FOREVER)

    tasks = [start(inside()) for _ in range(4)]
    await settle()
    LOCKS.append({"lock": id(lock), "holder": id(tasks[0])})
    HELD.append(lock)


async def two_locks():
    one, other = asyncio.Lock(), asyncio.Lock()

    async def both(first, second):
        async with first:
            await settle()
            async with second:
                pass

    tasks = [start(both(one, other), "AB"), start(both(other, one), "BA")]
    for _ in range(4):
        await settle()
    LOCKS.extend([{"lock": id(one), "holder": id(tasks[0])}, {"lock": id(other), "holder": id(tasks[1])}])
    HELD.extend([one, other])
    cycle(tasks, False)


async def bare_acquire():
    lock = asyncio.Lock()
    HELD.append(lock)

    async def take():
        await lock.acquire()
        await asyncio.sleep(FOREVER)

    start(take(), "first to acquire")
    await settle()
    start(take(), "second to acquire")
    await settle()
    LOCKS.append({"lock": id(lock), "holder": None})


async def generating():
    async def numbers():
        await asyncio.sleep(FOREVER)
        yield 1

    async def iterate():
        async for _ in numbers():
            pass

    async def send():
        await numbers().asend(None)

    start(iterate(), "iterate")
    start(send(), "send")


async def primitives():
    event, condition, queue = asyncio.Event(), asyncio.Condition(), asyncio.Queue()
    semaphore = asyncio.Semaphore(0)
    HELD.extend([event, condition, queue, semaphore])

    async def on_condition():
        async with condition:
            await condition.wait()

    start(event.wait(), "in event")
    start(on_condition(), "in condition")
    start(queue.get(), "in queue")
    start(semaphore.acquire(), "in semaphore")
    start(asyncio.sleep(FOREVER), "in sleep")
    stop = threading.Event()
    HELD.append(stop)
    loop = asyncio.get_running_loop()

    def work():
        WORKERS.append(threading.get_native_id())
        stop.wait()

    async def on_thread():
        await loop.run_in_executor(None, work)

    start(on_thread(), "in executor")


async def written_in_python():
    loop = asyncio.get_running_loop()
    boxes = [[], []]
    tasks = []
    for box in boxes:
        task = asyncio.tasks._PyTask(later(box, bare), loop=loop)
        TOLD.append(task)
        tasks.append(task)
    for i, box in enumerate(boxes):
        box.append(tasks[1 - i])
    await settle()
    cycle(tasks, False)
    future = asyncio.futures._PyFuture(loop=loop)
    task = asyncio.tasks._PyTask(bare(future), loop=loop)
    TOLD.append(task)
    HELD.append(future)


async def versions_own():
    if VERSION >= (3, 11):
        box = []

        async def group():
            async with asyncio.TaskGroup() as tasks:
                child = tasks.create_task(later(box, bare), name="child")
                TOLD.append(child)

        parent = start(group(), "group")
        await settle()
        box.append(parent)
        await settle()
        cycle([parent, TOLD[-1]], False)
    if VERSION >= (3, 12):
        loop = asyncio.get_running_loop()
        TOLD.append(asyncio.Task(bare(loop.create_future()), loop=loop, name="eager", eager_start=True))
        HELD.append(TOLD[-1]._fut_waiter if hasattr(TOLD[-1], "_fut_waiter") else None)


async def finished():
    async def failing():
        raise ValueError("told")

    async def giving():
        return 42

    tasks = [start(failing(), "failed"), start(giving(), "gave"), start(asyncio.sleep(FOREVER), "cancelled")]
    await settle()
    tasks[2].cancel()
    await settle()
    tasks[0].exception()


async def main(sleepers, over):
    await circle([gathering] * 3)
    await circle([bare, bare])
    await circle([shielded, bare])
    await circle([waiting, completing])
    await circle([timed, bare], ends=True)
    await circle([timed_shield, shielded], ends=True)
    await circle([first_of, bare], ends=True)
    await diamond()
    await convoy()
    await two_locks()
    await bare_acquire()
    await generating()
    await primitives()
    await written_in_python()
    await versions_own()
    await finished()
    for _ in range(sleepers):
        start(asyncio.sleep(FOREVER))
    await settle()
    over()


async def in_a_thread(over):
    await circle([bare, gathering])
    over()


def columns(frame):
    """Where the current expression begins and ends in its line; nothing before 3.11."""
    if not hasattr(frame.f_code, "co_positions"):
        return [None, None]
    return list(list(frame.f_code.co_positions())[frame.f_lasti // 2][2:])


def chain(coroutine):
    """The frames from a coroutine to the innermost await, and the future that this one awaits."""
    frames, at = [], coroutine
    while at is not None:
        if inspect.iscoroutine(at):
            frame, awaits = at.cr_frame, at.cr_await
        elif inspect.isgenerator(at):
            frame, awaits = at.gi_frame, at.gi_yieldfrom
        elif inspect.isasyncgen(at):
            frame, awaits = at.ag_frame, at.ag_await
        else:
            break
        if frame is None:
            break
        frames.append({"id": id(at), "function": at.__qualname__, "line": frame.f_lineno, "columns": columns(frame)})
        kind = type(awaits).__name__
        if kind in ("async_generator_asend", "coroutine_wrapper"):
            # no attribute leads on: what it wraps is the only one of its kind that it refers to
            import gc

            of = ("async_generator", "coroutine")
            awaits = next(o for o in gc.get_referents(awaits) if type(o).__name__ in of)
        at = awaits
    return frames


def tell():
    for task in TOLD:
        coroutine = task.get_coro()
        state = "cancelled" if task.cancelled() else "finished" if task.done() else "pending"
        waiter = task._fut_waiter
        told = {
            "id": id(task),
            "name": task.get_name(),
            "state": state,
            "coroutine": coroutine.__qualname__ if coroutine is not None else None,
            "frames": chain(coroutine),
            "fut_waiter": id(waiter) if waiter is not None else None,
            "loop": id(task.get_loop()),
        }
        print("task", json.dumps(told))
    for one in CYCLES:
        print("cycle", json.dumps(one))
    for one in LOCKS:
        print("lock", json.dumps(one))
    for one in WORKERS:
        print("worker", one)
    print("ready", os.getpid(), flush=True)


def run(coroutine_of, *args):
    """Runs a loop until its coroutine is over, and goes on waiting with all of its tasks as they are."""
    done = threading.Event()

    def body():
        loop = asyncio.new_event_loop()
        HELD.append(loop)
        HELD.append(loop.create_task(coroutine_of(*args, done.set)))
        loop.run_forever()

    threading.Thread(target=body, daemon=True).start()
    done.wait()


run(main, int(sys.argv[1]) if len(sys.argv) > 1 else 0)
run(in_a_thread)
threading.Event().wait(0.2)  # the loops go to sleep
tell()
threading.Event().wait()
