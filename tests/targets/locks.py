"""A target whose threads wait for locks of every kind, each told in a line.

Prints `thread JSON` for each: name, native_id, what it waits for (the id of the lock, or null where the program cannot
know it; the words for it; the name of the holder, how it can be known; candidates; whether it gives up; the line of the
holder's `with`), the ids of the
locks it holds. Then `deadlock JSON` for each, the names of its threads, and `ready PID`. Runs on CPython 3.8 to 3.15.
"""
import concurrent.futures
import contextlib
import ctypes
import json
import os
import queue
import signal
import sys
import tempfile
import threading

ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(-1), 0, 0, 0)  # PR_SET_PTRACER, any
TOLD, DEADLOCKS, THREADS = {}, [], []
NEVER = threading.Event()
FUTEX = "202"


def with_lines():
    """The lines of the `with` statements that are marked, by their marks."""
    with open(__file__, encoding="utf-8") as file:
        marked = ((line.rsplit("  # with ", 1), number) for number, line in enumerate(file, 1))
        return {parts[1].strip(): number for parts, number in marked if len(parts) == 2}


LINES = with_lines()


def waits(what, lock=None, holder=None, certainty=None, candidates=(), timeout=False, at=None):
    """`at`: the mark of the `with` by which the holder has it."""
    return {
        "what": what, "lock": lock and id(lock), "holder": holder, "certainty": certainty,
        "candidates": sorted(candidates), "timeout": timeout, "held_at": at and LINES[at],
    }


def start(name, work, waiting, holds=()):
    thread = threading.Thread(target=work, name=name, daemon=True)
    TOLD[name] = {"waits": waiting, "holds": sorted(id(lock) for lock in holds), "thread": thread}
    THREADS.append(thread)
    return thread


def enter(outer, inner, meeting):
    for _ in range(2):
        try:
            with outer:  # with ring
                try:
                    meeting.wait()
                    with inner:
                        raise AssertionError("it was free")
                except KeyError:
                    pass
        except KeyError:
            pass


def ring(group, locks, what, certainty="frame", locks_of=lambda lock: lock):
    """Each thread holds one lock and wants the next."""
    names = ["%s-%d" % (group, i) for i in range(len(locks))]
    meeting = threading.Barrier(len(locks))
    for i, name in enumerate(names):
        after = (i + 1) % len(locks)
        wanted = waits(what, locks_of(locks[after]), names[after], certainty, at="ring")
        start(name, lambda i=i, after=after: enter(locks[i], locks[after], meeting), wanted, [locks_of(locks[i])])
    DEADLOCKS.append(names)


def joined():
    lock, meeting = threading.Lock(), threading.Barrier(2)

    def take():
        meeting.wait()
        with lock:
            pass

    taker = start("join-taker", take, waits("Lock", lock, "join-holder", "frame", at="join"))

    def hold():
        with lock:  # with join
            meeting.wait()
            taker.join()

    start("join-holder", hold, waits("Thread.join", None, "join-taker", "owner"), [lock])
    DEADLOCKS.append(["join-taker", "join-holder"])


def alone():
    lock = threading.Lock()

    def twice():
        with lock:  # with alone
            with lock:
                pass

    start("alone", twice, waits("Lock", lock, "alone", "frame", at="alone"), [lock])
    DEADLOCKS.append(["alone"])


def chain(length):
    locks = [threading.Lock() for _ in range(length)]
    taken = [threading.Event() for _ in range(length)]

    def link(i):
        if i:
            taken[i - 1].wait()
        with locks[i]:  # with chain
            taken[i].set()
            if not i:
                NEVER.wait()
            with locks[i - 1]:
                pass

    for i in range(length):
        waiting = waits("Lock", locks[i - 1], "chain-%d" % (i - 1), "frame", at="chain") if i else waits("Event.wait")
        start("chain-%d" % i, lambda i=i: link(i), waiting, [locks[i]])


def busy():
    lock, taken = threading.Lock(), threading.Event()

    def run():
        with lock:  # with busy
            taken.set()
            count = 0
            while True:
                count += 1
                count %= 100

    def want():
        taken.wait()
        with lock:
            pass

    start("busy", run, None, [lock])
    start("wants-busy", want, waits("Lock", lock, "busy", "frame", at="busy"))


def bare():
    one, other, meeting = threading.Lock(), threading.Lock(), threading.Barrier(2)

    def take(first, second):
        first.acquire()
        meeting.wait()
        second.acquire()

    start("bare-0", lambda: take(one, other), waits("Lock", other, candidates=["bare-1"]))
    start("bare-1", lambda: take(other, one), waits("Lock", one, candidates=["bare-0"]))


def timed():
    one, other, meeting = threading.Lock(), threading.Lock(), threading.Barrier(2)

    def take(first, second):
        with first:  # with timed
            meeting.wait()
            second.acquire(timeout=10000)

    start("timed-0", lambda: take(one, other), waits("Lock", other, "timed-1", "frame", timeout=True, at="timed"), [one])
    start("timed-1", lambda: take(other, one), waits("Lock", one, "timed-0", "frame", timeout=True, at="timed"), [other])


def library():
    condition, inside, semaphore = threading.Condition(), threading.Lock(), threading.Semaphore(1)
    jobs, simple, future = queue.Queue(), queue.SimpleQueue(), concurrent.futures.Future()
    full = queue.Queue(1)
    full.put(1)
    taken = threading.Event()

    def on_condition():
        with condition:
            condition.wait()

    def in_semaphore():
        with semaphore:
            taken.set()
            NEVER.wait()

    def on_semaphore():
        taken.wait()
        with semaphore:
            pass

    def nested():
        a, b, c = inside, TOLD["nested"]["b"], TOLD["nested"]["c"]
        with a, b:
            try:
                for _ in [1, 2]:
                    with c:
                        try:
                            {}["missing"]
                        except KeyError:
                            NEVER.wait()
            finally:
                pass

    def after_with():
        with TOLD["after"]["lock"]:
            pass
        NEVER.wait()

    start("condition", on_condition, waits("Condition.wait"))
    start("event", NEVER.wait, waits("Event.wait"))
    start("in-semaphore", in_semaphore, waits("Event.wait"))
    start("semaphore", on_semaphore, waits("Semaphore.acquire", candidates=["in-semaphore"]))
    bounded, bare, inside_bounded, has_bare = threading.BoundedSemaphore(1), threading.Semaphore(1), threading.Event(), threading.Event()

    def in_bounded():
        with bounded:
            inside_bounded.set()
            NEVER.wait()

    def on_bounded():
        inside_bounded.wait()
        bounded.acquire()

    def in_bare():
        bare.acquire()
        has_bare.set()
        NEVER.wait()

    def on_bare():
        has_bare.wait()
        bare.acquire()

    start("in-bounded", in_bounded, waits("Event.wait"))
    start("bounded", on_bounded, waits("Semaphore.acquire", candidates=["in-bounded"]))
    start("in-bare", in_bare, waits("Event.wait"))
    start("bare-semaphore", on_bare, waits("Semaphore.acquire", candidates=["in-bare"]))
    start("other-bare-semaphore", on_bare, waits("Semaphore.acquire", candidates=["in-bare"]))
    start("get", jobs.get, waits("Queue.get"))
    start("put", lambda: full.put(2), waits("Queue.put"))
    start("join-queue", full.join, waits("Queue.join"))
    start("simple", simple.get, waits("SimpleQueue.get", simple))
    start("future", future.result, waits("Future.result"))
    start("barrier", threading.Barrier(2).wait, waits("Barrier.wait"))
    start("main-join", threading.main_thread().join, waits("Thread.join", None, "MainThread", "owner"))
    locks = [inside, threading.Lock(), threading.RLock()]
    start("nested", nested, waits("Event.wait"), locks)
    TOLD["nested"].update(b=locks[1], c=locks[2])
    start("after", after_with, waits("Event.wait"))
    TOLD["after"]["lock"] = threading.Lock()


def semaphores_in_a_ring():
    """They wait for each other, but whoever releases a semaphore need not have acquired it: no deadlock is certain."""
    one, other, meeting = threading.Semaphore(1), threading.BoundedSemaphore(1), threading.Barrier(2)

    def take(first, second):
        with first:
            meeting.wait()
            with second:
                pass

    start("semaphores-0", lambda: take(one, other), waits("Semaphore.acquire", candidates=["semaphores-1"]))
    start("semaphores-1", lambda: take(other, one), waits("Semaphore.acquire", candidates=["semaphores-0"]))


def pools():
    """A pool whose only thread waits for a job in its own queue, and one of two whose other thread may do it yet. Starts
    their threads, which are the pools' own."""
    def outer(begun, pool):
        begun.set()
        pool.submit(int).result()

    def other(begun, _):
        begun.set()
        NEVER.wait()

    def pool(name, others):
        made = concurrent.futures.ThreadPoolExecutor(1 + others, thread_name_prefix=name)
        for job in [other] * others + [outer]:
            begun = threading.Event()
            made.submit(job, begun, made)
            begun.wait()
        POOLS.append(made)
        for thread in made._threads:
            is_outer = thread.name.endswith("_%d" % others)
            TOLD[thread.name] = {"waits": waits("Future.result" if is_outer else "Event.wait"), "holds": [], "thread": thread}
            THREADS.append(thread)

    pool("full", 0)
    pool("roomy", 1)
    DEADLOCKS.append(["full_0"])


POOLS = []


def suspended():
    """Locks entered in a generator, in a coroutine, and through contextlib."""
    a, b, meeting = threading.Lock(), threading.Lock(), threading.Barrier(2)

    def generate():
        with a:  # with generator
            meeting.wait()
            with b:
                yield

    async def inner():
        with b:  # with coroutine
            meeting.wait()
            with a:
                pass

    async def outer():
        await inner()

    start("generator", lambda: list(generate()), waits("Lock", b, "coroutine", "frame", at="coroutine"), [a])
    start("coroutine", lambda: outer().send(None), waits("Lock", a, "generator", "frame", at="generator"), [b])
    DEADLOCKS.append(["generator", "coroutine"])

    @contextlib.contextmanager
    def locked(lock):
        with lock:
            yield lock

    c, d, meet = threading.Lock(), threading.Lock(), threading.Barrier(2)

    def take(first, second):
        with locked(first):  # with manager
            meet.wait()
            with locked(second):
                pass

    start("manager-0", lambda: take(c, d), waits("Lock", d, "manager-1", "frame", at="manager"), [c])
    start("manager-1", lambda: take(d, c), waits("Lock", c, "manager-0", "frame", at="manager"), [d])
    DEADLOCKS.append(["manager-0", "manager-1"])


def importing():
    folder = tempfile.mkdtemp()
    with open(os.path.join(folder, "slow_module.py"), "w") as file:
        file.write("import __main__\n__main__.IMPORTING.set()\n__main__.NEVER.wait()\n")
    sys.path.insert(0, folder)

    def first():
        import slow_module

    def second():
        IMPORTING.wait()
        import slow_module

    start("importing", first, waits("Event.wait"))
    start("wants-import", second, waits("import of slow_module", None, "importing", "owner"))


IMPORTING = threading.Event()


def blocked(thread):
    with open("/proc/self/task/%d/syscall" % thread.native_id) as file:
        return file.read().split()[0] == FUTEX


def main():
    ring("two", [threading.Lock() for _ in range(2)], "Lock")
    ring("three", [threading.Lock() for _ in range(3)], "Lock")
    ring("rlock", [threading.RLock() for _ in range(2)], "RLock", "owner")
    ring("conditions", [threading.Condition(threading.Lock()) for _ in range(2)], "Lock", "frame", lambda c: c._lock)
    for make in (joined, alone, lambda: chain(8), bare, timed, library, semaphores_in_a_ring, suspended, importing):
        make()
    if "busy" in sys.argv:
        busy()
    for thread in THREADS:
        thread.start()
    pools()
    # twice in a row, as a thread may pass one lock on its way to another
    times = 0
    while times < 5:
        signal.sigtimedwait([], 0.05)
        times = times + 1 if all(t.name == "busy" or blocked(t) for t in THREADS) else 0
    for thread in THREADS:
        told = TOLD[thread.name]
        line = {"name": thread.name, "native_id": thread.native_id, "waits": told["waits"], "holds": told["holds"]}
        sys.stdout.write("thread %s\n" % json.dumps(line))
    for names in DEADLOCKS:
        sys.stdout.write("deadlock %s\n" % json.dumps(sorted(names)))
    sys.stdout.write("ready %d\n" % os.getpid())
    sys.stdout.flush()
    signal.pause()


main()
