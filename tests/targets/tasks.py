"""A target whose tasks wait in many ways, each told in a line: tasks.py [SLEEPERS] [uvloop FOLDER]
[interpreters] [deep N].

Prints `task JSON` for each task: id, name, coroutine, the chain of awaits (id, function, line, columns of each frame; the ids of its variables when
there are no sleepers and no deep ones), id of what it waits for; `cycle JSON` for each circle: the ids of its tasks, whether it ends by itself, and at a
known time; `outcome JSON`: a task, its result, its exception; `until JSON`: a task and when its sleep is over;
`timeout JSON`: a task, and between which times its wait times out; `lock JSON` for each lock: its id
and the id of the task that holds it, the line of its `async with`; `semaphore JSON`: the tasks inside, and the one holder if that is certain;
`worker N`: the native id of the executor's thread; `waits JSON`: the name of a task, what it waits in, the file descriptor; `mixed JSON`:
tasks and the names of threads that wait for each other; `blocked JSON`: a thread inside a task of its loop: its name, the task's, the
function and the line that it is in, or null where that is the library's; `diamond JSON`: the tasks from its top to its bottom, and the one
between that comes second; `elsewhere JSON`: the id of a subinterpreter and its tasks. Then `ready PID`. Runs on CPython 3.8 to 3.15; with uvloop where FOLDER has it.
"""
import asyncio
import asyncio.futures
import asyncio.tasks
import concurrent.futures
import contextlib
import ctypes
import inspect
import json
import os
import socket
import sys
import threading
import time

try:
    import ssl
except ImportError:
    ssl = None  # built without OpenSSL

ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(-1), 0, 0, 0)  # PR_SET_PTRACER, any
FOREVER = 10**6
TOLD = []  # tasks, of all loops
CYCLES = []
LOCKS = []
WORKERS = []  # native ids
THREADS = {}  # native ids, by the id of the loop
SEMAPHORES = []
WAITS = []
MIXED = []
BLOCKED = []
OUTCOMES = []
UNTIL = []
TIMEOUTS = []
DIAMONDS = []
UVLOOP = "uvloop" in sys.argv
SLEEPERS = int(sys.argv[1]) if sys.argv[1:] and sys.argv[1].isdigit() else 0
DEEP = int(sys.argv[sys.argv.index("deep") + 1]) if "deep" in sys.argv else 0
if DEEP:
    sys.setrecursionlimit(3 * DEEP + 1000)
    threading.stack_size(512 << 20)
if UVLOOP:
    sys.path.insert(0, sys.argv[sys.argv.index("uvloop") + 1])
    import uvloop
HELD = []  # whatever must not be collected
VERSION = sys.version_info[:2]


def start(coroutine, name=None):
    task = asyncio.get_running_loop().create_task(coroutine)
    if name:
        task.set_name(name)
    TOLD.append(task)
    return task


def cycle(tasks, ends, timed=False):
    CYCLES.append({"tasks": [id(t) for t in tasks], "ends": ends, "timed": timed})


async def down(depth, future):
    if depth:
        await down(depth - 1, future)
    else:
        await future


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


async def unending(future):
    await asyncio.wait_for(asyncio.shield(future), None)


async def waiting(future):
    await asyncio.wait([future])


async def waiting_a_while(future):
    await asyncio.wait([future], timeout=FOREVER)


async def first_of(future):
    await asyncio.wait([future, start(asyncio.sleep(FOREVER), "first_of's other")], return_when=asyncio.FIRST_COMPLETED)


async def completing(future):
    for one in asyncio.as_completed([future]):
        await one


async def limited(future):
    async with asyncio.timeout(FOREVER):
        await future


async def circle(ways, ends=False, timed=False):
    boxes = [[] for _ in ways]
    tasks = [start(later(box, how), how.__name__) for box, how in zip(boxes, ways)]
    for i, box in enumerate(boxes):
        box.append(tasks[(i + 1) % len(tasks)])
    await settle()
    cycle(tasks, ends, timed)


async def diamond():
    bottom = start(asyncio.sleep(FOREVER), "bottom")
    left, right = start(bare(bottom), "left"), start(gathering(bottom), "right")

    async def top():
        await asyncio.gather(left, right)

    DIAMONDS.append([id(task) for task in (start(top(), "top"), left, bottom, right)])


def line_of(mark):
    """The line of a statement with this mark behind it."""
    with open(__file__, encoding="utf-8") as file:
        return next(number for number, line in enumerate(file, 1) if line.endswith("  # %s\n" % mark))


async def convoy():
    lock = asyncio.Lock()

    async def inside():
        try:
            async with lock:  # convoy
                try:
                    await asyncio.sleep(FOREVER)
                finally:
                    pass
        except KeyError:
            pass

    tasks = [start(inside()) for _ in range(4)]
    await settle()
    LOCKS.append({"lock": id(lock), "holder": id(tasks[0]), "line": line_of("convoy")})
    HELD.append(lock)


async def through_contextlib():
    lock = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def locked():
        async with lock:
            yield

    async def inside():
        async with locked():  # contextlib
            await asyncio.sleep(FOREVER)

    tasks = [start(inside()) for _ in range(2)]
    await settle()
    LOCKS.append({"lock": id(lock), "holder": id(tasks[0]), "line": line_of("contextlib")})
    HELD.append(lock)


async def two_locks():
    one, other = asyncio.Lock(), asyncio.Lock()

    async def both(first, second):
        async with first:  # two_locks
            await settle()
            async with second:
                pass

    tasks = [start(both(one, other), "AB"), start(both(other, one), "BA")]
    for _ in range(4):
        await settle()
    line = line_of("two_locks")
    LOCKS.append({"lock": id(one), "holder": id(tasks[0]), "line": line})
    LOCKS.append({"lock": id(other), "holder": id(tasks[1]), "line": line})
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
    LOCKS.append({"lock": id(lock), "holder": None, "line": None})


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


async def semaphores():
    """Two inside one of two, of which more are not known; one inside a bounded one; two of those in a circle."""
    loose, bounded, one, other = asyncio.Semaphore(2), asyncio.BoundedSemaphore(1), asyncio.BoundedSemaphore(1), asyncio.BoundedSemaphore(1)
    HELD.extend([loose, bounded, one, other])

    async def inside(semaphore):
        async with semaphore:
            await asyncio.sleep(FOREVER)

    async def both(first, second):
        async with first:
            await settle()
            async with second:
                pass

    async def loosely(first, second):
        async with first:
            await settle()
            async with second:
                pass

    tasks = [start(inside(loose)) for _ in range(3)] + [start(inside(bounded)) for _ in range(2)]
    circle_of = [start(both(one, other)), start(both(other, one))]
    left, right = asyncio.Semaphore(1), asyncio.Semaphore(1)
    HELD.extend([left, right])
    unsure = [start(loosely(left, right)), start(loosely(right, left))]
    for _ in range(4):
        await settle()
    for semaphore, all_inside, holder in (
        (loose, tasks[:2], None), (bounded, tasks[3:4], tasks[3]), (one, circle_of[:1], circle_of[0]), (left, unsure[:1], None),
    ):
        SEMAPHORES.append({
            "semaphore": id(semaphore), "inside": sorted(id(t) for t in all_inside), "holder": holder and id(holder),
        })
    cycle(circle_of, False)


async def over_tls():
    """A connection to itself, by a cipher that needs no certificate."""
    def context(side):
        made = ssl.SSLContext(side)
        made.check_hostname, made.verify_mode, made.maximum_version = False, ssl.CERT_NONE, ssl.TLSVersion.TLSv1_2
        made.set_ciphers("AECDH:@SECLEVEL=0")
        return made

    server = await asyncio.start_server(
        lambda *both: HELD.extend(both), "127.0.0.1", 0, ssl=context(ssl.PROTOCOL_TLS_SERVER)
    )
    HELD.append(server)
    port = server.sockets[0].getsockname()[1]
    return await asyncio.open_connection("127.0.0.1", port, ssl=context(ssl.PROTOCOL_TLS_CLIENT))


async def places():
    """Barrier, sockets, streams, subprocess, queues."""
    def named(name, coroutine, kind, fd=None):
        WAITS.append({"task": id(start(coroutine, name)), "kind": kind, "fd": fd})

    loop = asyncio.get_running_loop()
    full, joined = asyncio.Queue(1), asyncio.Queue()
    full.put_nowait(1)
    joined.put_nowait(1)
    HELD.extend([full, joined])
    named("in put", full.put(2), "queue")
    named("in queue join", joined.join(), "queue")
    if hasattr(asyncio, "Barrier"):
        barrier = asyncio.Barrier(2)
        HELD.append(barrier)
        named("in barrier", barrier.wait(), "barrier")
    for own, its in (socket.socketpair(), socket.socketpair()):
        own.setblocking(False)
        HELD.extend([own, its])
    own, its = HELD[-4], HELD[-2]
    named("in socket", loop.sock_recv(own, 10), "socket", own.fileno())
    its.setblocking(False)
    reader, writer = await asyncio.open_connection(sock=its)
    HELD.extend([reader, writer])
    own, its = socket.socketpair()
    HELD.append(its)
    closing = (await asyncio.open_connection(sock=own))[1]
    fd = closing.get_extra_info("socket").fileno()
    closing.write(bytes(20_000_000))
    closing.close()
    named("in wait_closed", closing.wait_closed(), "stream", fd)
    if ssl:
        reader_of_tls, writer_of_tls = await over_tls()
        HELD.extend([reader_of_tls, writer_of_tls])
        named("in TLS", reader_of_tls.read(10), "stream", writer_of_tls.get_extra_info("socket").fileno())
    named("in stream", reader.read(10), "stream", writer.get_extra_info("socket").fileno())


async def processes():
    child = await asyncio.create_subprocess_exec("cat", stdin=asyncio.subprocess.PIPE)
    HELD.append(child)
    WAITS.append({"task": id(start(child.wait(), "in process")), "kind": "subprocess", "fd": None})


def timers():
    """Every timer with the arguments of its call; uvloop has no attribute for them."""
    if not UVLOOP:
        return [(timer, timer._args or ()) for timer in asyncio.get_running_loop()._scheduled]
    import gc

    found = [one for one in gc.get_objects() if type(one).__name__ == "TimerHandle"]
    return [(timer, [item for args in gc.get_referents(timer) if type(args) is tuple for item in args]) for timer in found]


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
    sleeper = start(asyncio.sleep(FOREVER), "in sleep")
    await asyncio.sleep(0)
    UNTIL.extend([id(sleeper), timer.when()] for timer, args in timers() if sleeper._fut_waiter in args)
    loop = asyncio.get_running_loop()
    for name, way in (("patient", timed), ("patient behind a shield", timed_shield), ("patient one of several", waiting_a_while)):
        future, before = loop.create_future(), loop.time()
        HELD.append(future)
        patient = start(way(future), name)
        for _ in range(5):
            await asyncio.sleep(0)
        TIMEOUTS.append([id(patient), before + FOREVER, loop.time() + FOREVER])
    start(bare(patient), "behind one that times out")
    stop = threading.Event()
    HELD.append(stop)

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

    class OwnTask(asyncio.Task):
        pass

    class OwnFuture(asyncio.Future):
        pass

    boxes = [[], []]
    tasks = [OwnTask(later(box, gathering), loop=loop) for box in boxes]
    for box, task in zip(boxes, reversed(tasks)):
        box.append(task)
    TOLD.extend(tasks)
    await settle()
    cycle(tasks, False)
    TOLD.append(OwnTask(bare(OwnFuture(loop=loop)), loop=loop))
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
        await circle([limited, bare], ends=True, timed=True)
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
    OUTCOMES.append([id(tasks[0]), None, id(tasks[0].exception())])
    OUTCOMES.append([id(tasks[1]), id(tasks[1].result()), None])
    OUTCOMES.append([id(tasks[2]), None, None])


async def main(sleepers, over):
    await circle([gathering] * 3)
    await circle([bare, bare])
    await circle([shielded, bare])
    await circle([waiting, completing])
    await circle([timed, bare], ends=True, timed=True)
    await circle([unending, shielded])
    await circle([timed_shield, shielded], ends=True, timed=True)
    await circle([first_of, bare], ends=True)
    await diamond()
    await convoy()
    await two_locks()
    await bare_acquire()
    await generating()
    await through_contextlib()
    await semaphores()
    await places()
    await processes()
    await primitives()
    await written_in_python()
    await versions_own()
    await finished()
    for _ in range(sleepers):
        start(asyncio.sleep(FOREVER))
    if DEEP:
        start(down(DEEP, asyncio.get_running_loop().create_future()), "deep")
    await settle()
    over()


async def crossing(over):
    """Circles through tasks and threads."""
    loop = asyncio.get_running_loop()
    lock = asyncio.Lock()
    HELD.append(lock)
    names = []

    async def locked():
        async with lock:
            pass

    def work():
        names.append(threading.current_thread().name)
        asyncio.run_coroutine_threadsafe(locked(), loop).result()

    async def holding():
        async with lock:
            await loop.run_in_executor(None, work)

    def harmless():
        asyncio.run_coroutine_threadsafe(asyncio.sleep(FOREVER), loop).result()

    async def waits_for_thread():
        await loop.run_in_executor(None, harmless)

    outer = start(holding(), "holding")
    start(waits_for_thread(), "harmless")
    while not (names and lock._waiters):
        await asyncio.sleep(0)
    inner = next(t for t in asyncio.all_tasks() if t.get_coro().__name__ == "locked")
    MIXED.append({"tasks": sorted([id(outer), id(inner)]), "threads": names})
    over()


async def blocking(over):
    """A loop whose thread waits for what the loop itself would do."""
    loop = asyncio.get_running_loop()

    async def never():
        pass

    async def blocks():
        over()
        asyncio.run_coroutine_threadsafe(never(), loop).result()

    start(blocks(), "blocks")
    BLOCKED.append([threading.current_thread().name, "blocks", None])
    MIXED.append({"tasks": [], "threads": [threading.current_thread().name]})


async def holding_across(over):
    """A suspended task is inside a threading.Lock, and another one of its loop waits for that, and blocks the loop."""
    lock = threading.Lock()
    HELD.append(lock)

    async def holds():
        with lock:
            await asyncio.sleep(FOREVER)

    async def wants():
        over()
        with lock:  # wants
            pass

    held = start(holds(), "holds")
    await settle()
    start(wants(), "wants")
    BLOCKED.append([threading.current_thread().name, "wants", ["holding_across.<locals>.wants", line_of("wants")]])
    # the task waits for the timer, which the loop does not come to
    MIXED.append({"tasks": [id(held)], "threads": [threading.current_thread().name]})


async def full_pool(over):
    """A pool's only thread waits for a task that waits for a job in the pool's queue."""
    loop = asyncio.get_running_loop()
    pool = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="full")
    HELD.append(pool)
    names = []

    async def queued():
        await loop.run_in_executor(pool, int)

    def work():
        names.append(threading.current_thread().name)
        asyncio.run_coroutine_threadsafe(queued(), loop).result()

    async def begins():
        await loop.run_in_executor(pool, work)

    start(begins(), "begins")
    while not pool._work_queue.qsize() or not names:
        await asyncio.sleep(0)
    inner = next(t for t in asyncio.all_tasks() if t.get_coro().__name__ == "queued")
    MIXED.append({"tasks": [id(inner)], "threads": names})
    over()


async def roomy_pool(over):
    """The same with a second thread, which may do the job when it is done with its own."""
    loop = asyncio.get_running_loop()
    pool = concurrent.futures.ThreadPoolExecutor(2, thread_name_prefix="roomy")
    HELD.append(pool)
    stop, begun = threading.Event(), threading.Event()

    def other():
        begun.set()
        stop.wait()

    async def queued():
        await loop.run_in_executor(pool, int)

    def work():
        asyncio.run_coroutine_threadsafe(queued(), loop).result()

    async def begins(job):
        await loop.run_in_executor(pool, job)

    start(begins(other), "other")
    while not begun.is_set():
        await asyncio.sleep(0)
    start(begins(work), "may go on")
    while not pool._work_queue.qsize():
        await asyncio.sleep(0)
    over()


async def sleeping(over):
    """A task calls time.sleep, so that its loop does not come to those that are ready."""
    async def naps():
        over()
        time.sleep(FOREVER)  # naps

    async def ready():
        pass

    start(naps(), "naps")
    start(ready(), "ready")
    BLOCKED.append([threading.current_thread().name, "naps", ["sleeping.<locals>.naps", line_of("naps")]])


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
        told = {"id": id(at), "function": at.__qualname__, "line": frame.f_lineno, "columns": columns(frame)}
        told["locals"] = None if SLEEPERS or DEEP else {name: id(value) for name, value in frame.f_locals.items()}
        frames.append(told)
        kind = type(awaits).__name__
        if kind in ("async_generator_asend", "coroutine_wrapper"):
            # no attribute leads on: what it wraps is the only one of its kind that it refers to
            import gc

            of = ("async_generator", "coroutine")
            awaits = next(o for o in gc.get_referents(awaits) if type(o).__name__ in of)
        at = awaits
    return frames


def tell():
    for one in SEMAPHORES:
        print("semaphore", json.dumps(one))
    for one in WAITS:
        print("waits", json.dumps(one))
    for one in MIXED:
        print("mixed", json.dumps(one))
    for one in BLOCKED:
        print("blocked", json.dumps(one))
    for one in OUTCOMES:
        print("outcome", json.dumps(one))
    for one in UNTIL:
        print("until", json.dumps(one))
    for one in TIMEOUTS:
        print("timeout", json.dumps(one))
    for one in DIAMONDS:
        print("diamond", json.dumps(one))
    for task in TOLD:
        coroutine = task.get_coro()
        state = "cancelled" if task.cancelled() else "finished" if task.done() else "pending"
        waiter = task._fut_waiter
        told = {
            "id": id(task),
            "name": task.get_name(),
            "state": state,
            "coroutine": coroutine.__qualname__ if inspect.iscoroutine(coroutine) else None,
            "frames": chain(coroutine),
            "fut_waiter": id(waiter) if waiter is not None else None,
            "loop": id(task.get_loop()),
            "thread": THREADS.get(id(task.get_loop())),
        }
        print("task", json.dumps(told))
    for one in CYCLES:
        print("cycle", json.dumps(one))
    for one in LOCKS:
        print("lock", json.dumps(one))
    for one in WORKERS:
        print("worker", one)
    print("ready", os.getpid(), flush=True)


ELSEWHERE = """
import asyncio, sys
async def wait():
    await asyncio.sleep(10 ** 6)
async def both():
    tasks = [asyncio.ensure_future(wait()) for _ in range(2)]
    await asyncio.sleep(0)
    return tasks
loop = asyncio.new_event_loop()
tasks = loop.run_until_complete(both())
print("elsewhere [%d, [%d, %d]]" % (IDENT, id(tasks[0]), id(tasks[1])), flush=True)
"""


def in_other_interpreters():
    """Tasks whose loops do not run any more, in subinterpreters."""
    try:
        import _interpreters as made
    except ImportError:
        import _xxsubinterpreters as made
    for _ in range(2):
        if VERSION >= (3, 13):
            other = made.create("legacy")
        else:
            other = made.create(isolated=False) if VERSION >= (3, 9) else made.create()
        HELD.append(other)
        if made.run_string(other, "IDENT = %d\n%s" % (int(other), ELSEWHERE)) is not None:
            raise RuntimeError("an interpreter could not be set up")


def run(coroutine_of, *args):
    """Runs a loop until its coroutine is over, and goes on waiting with all of its tasks as they are."""
    done = threading.Event()

    def body():
        loop = uvloop.new_event_loop() if UVLOOP else asyncio.new_event_loop()
        HELD.append(loop)
        THREADS[id(loop)] = threading.get_native_id()
        HELD.append(loop.create_task(coroutine_of(*args, done.set)))
        loop.run_forever()

    threading.Thread(target=body, daemon=True).start()
    done.wait()


if "interpreters" in sys.argv:
    in_other_interpreters()
run(main, SLEEPERS)
run(in_a_thread)
run(crossing)
run(blocking)
run(holding_across)
run(full_pool)
run(roomy_pool)
run(sleeping)
threading.Event().wait(0.2)  # the loops go to sleep
tell()
threading.Event().wait()
