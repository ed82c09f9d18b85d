"""The zoo's code: functions, cells, generators, coroutines, frames, exceptions, modules, asyncio."""
import asyncio
import contextvars
import functools
import itertools
import operator
import sys
import types

from zoo_classes import Concrete, Members, Plain


def outer(n):
    secret = [n, "in a cell"]

    def inner(a, b=2, *rest, d=4) -> int:
        return secret, inner

    return inner


def empty_cell():
    def user():
        return never  # noqa: F821 - the cell stays empty

    if user is None:
        never = 1
    return user


def counting(start):
    local = "of the generator"
    for i in range(3):
        yield i + start
    return local


def delegating():
    before = "yield from"
    yield from counting(100)
    return before


def recursive(depth):
    if depth:
        yield from recursive(depth - 1)
    yield depth


async def leaf(future):
    leaf_local = 123
    await future
    return leaf_local


async def middle(future):
    middle_local = {"waits": "for leaf"}
    await leaf(future)
    return middle_local


async def produce():
    for n in range(3):
        yield n


async def failing():
    raise ValueError("task failed")


async def returning():
    return "task result"


class Awaitable:
    def __init__(self, future):
        self.future = future

    def __await__(self):
        return self.future.__await__()


async def through_object(future):
    await Awaitable(future)


@types.coroutine
def old_style():
    yield


async def awaiting_old():
    await old_style()


def build(add):
    functions(add)
    generators(add)
    exceptions(add)
    modules(add)
    tasks(add)


def functions(add):
    add("function", outer)
    add("closure", outer(7))
    add("lambda", lambda x, y=1: x)
    add("empty cell", empty_cell())
    add("cells", [outer(8).__closure__, empty_cell().__closure__, types.CellType(3) if hasattr(types, "CellType") else None])
    changed = add("function with attributes", outer(9))
    changed.attribute, changed.__kwdefaults__["d"] = "on a function", [5]
    add("bound method", Concrete().run)
    add("class method", Members.made)
    add("builtins", [len, [].append, dict.fromkeys, "x".join, print, (5).__add__, object().__str__, str.join, str.__add__, type.__dict__["__mro__"]])
    add("code", outer.__code__)
    add("code in code", [c for c in outer.__code__.co_consts if isinstance(c, types.CodeType)])
    add("compiled", compile("x = 1\ny = [n for n in range(3)]\n", "<zoo>", "exec"))
    add("partial", functools.partial(outer, 1, b=3))
    add("partial of partial", functools.partial(functools.partial(outer, 1), x=3))
    add("partialmethod", functools.partialmethod(outer, 1))
    add("cmp_to_key", functools.cmp_to_key(operator.sub)(3))
    add("cached", functools.lru_cache(maxsize=8)(lambda x: [x]))
    for n in range(20):
        add.registry["cached"](n % 12)
    unbounded = add("cached unbounded", functools.lru_cache(maxsize=None)(lambda x: str(x)))
    for n in range(5):
        unbounded(n)
    add("singledispatch", functools.singledispatch(outer)).register(int, print)
    add("operators", [operator.itemgetter(1), operator.itemgetter(1, "b"), operator.attrgetter("a.b", "c"), operator.methodcaller("m", 1, k=2)])
    started = itertools.chain([1, 2], [3])
    next(started)
    cycle = itertools.cycle([1, 2])
    next(cycle)
    add("itertools", [
        started, cycle, itertools.count(5), itertools.count(2.5, 0.5), itertools.repeat("r", 3), itertools.islice([1, 2], 1), itertools.product([1], "ab"),
        itertools.permutations("abc"), itertools.combinations("abc", 2), itertools.groupby([1, 1, 2]), itertools.accumulate([1, 2]), itertools.zip_longest("a", "bc"),
        itertools.starmap(pow, [(2, 3)]), itertools.takewhile(bool, [1]), itertools.dropwhile(bool, [1]), itertools.filterfalse(bool, [1]), itertools.compress([1], [1]),
        *itertools.tee([1, 2, 3]), enumerate(["e"]), zip([1], [2]), map(str, [1]), filter(None, [1]), reversed([1]),
    ])
    add("super", super(Concrete, Concrete()))
    variable = add("context variable", contextvars.ContextVar("zoo_variable", default="default"))
    token = variable.set("set")
    add("context token", token)
    add("context", contextvars.copy_context())
    many = add("context variables", [contextvars.ContextVar("zoo_%d" % n) for n in range(50)])
    context = add("context of many", contextvars.Context())
    for one in many:
        context.run(one.set, [one.name])


def generators(add):
    add("generator fresh", counting(5))
    running = add("generator suspended", counting(10))
    next(running), next(running)
    waiting = add("generator yield from", delegating())
    next(waiting)
    deep = add("generator deep", recursive(10))
    next(deep)
    finished = add("generator finished", counting(1))
    list(finished)
    closed = add("generator closed", counting(2))
    next(closed)
    closed.close()
    expression = add("generator expression", (n * 2 for n in [1, 2, 3]))
    next(expression)
    add("coroutine old style", awaiting_old()).send(None)
    add("async generator fresh", produce())
    add("async generator asend", produce().asend(None))


def exceptions(add):
    def failing_deeply(depth, held):
        if depth:
            return failing_deeply(depth - 1, [held])
        return {}["missing"]

    try:
        try:
            failing_deeply(3, "argument")
        except KeyError as problem:
            raise ValueError("with a cause", 5) from problem
    except ValueError as problem:
        add("exception with cause", problem)
        add("traceback", problem.__traceback__)
        add("frames", [problem.__traceback__.tb_frame, problem.__cause__.__traceback__.tb_next.tb_frame])
        problem.attribute = "extra"
        if hasattr(problem, "add_note"):
            problem.add_note("a note")
    try:
        try:
            int("x")
        except ValueError:
            raise TypeError("in handling")
    except TypeError as problem:
        add("exception with context", problem)
    add("exceptions", [
        OSError(2, "no such file", "name"), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), StopIteration(5), SystemExit(3), ImportError("no", name="n", path="p"),
        SyntaxError("bad", ("f", 1, 2, "text")), KeyError("k"), NameError("n"), AttributeError("a"), BaseException(), MemoryError(),
    ])
    if sys.version_info >= (3, 11):
        add("exception group", ExceptionGroup("several", [ValueError(1), TypeError(2)]))  # noqa: F821
    add("frame", Framed().here("argument"))


class Framed:
    def here(self, given):
        local = (1, 2)

        def using():
            return local, given

        self.using = using
        return sys._getframe()


def modules(add):
    made = add("module", types.ModuleType("zoo_made", "a module that was made"))
    made.value, made.__file__ = [1], "/nowhere/zoo_made.py"
    add("modules", [sys, operator, sys.modules["builtins"]])
    add("namespace", types.SimpleNamespace(a=1, b=[2]))
    add("instance in namespace", types.SimpleNamespace(plain=Plain()))


def tasks(add):
    """An event loop that was stopped in the middle: tasks in every state, nothing that would still run."""
    loop = add("event loop", asyncio.new_event_loop())
    future = add("future", loop.create_future())
    event, lock, queue, condition = loop.run_until_complete(primitives())
    add("asyncio primitives", [event, lock, queue, condition])

    async def waiting(on):
        await on

    async def iterate():
        async for n in endless():
            if n > 2:
                await future

    async def endless():
        for n in itertools.count():
            yield n

    pending = {
        "on future": middle(future), "on event": event.wait(), "on queue": queue.get(), "through object": through_object(future),
        "in async for": iterate(), "on sleepers": waiting(gathered(loop)),
    }
    made = {name: add("task " + name, loop.create_task(coroutine)) for name, coroutine in pending.items()}
    add("task on task", loop.create_task(waiting(made["on future"])))
    add("task shielded", loop.create_task(waiting(shielded(made["on future"], loop))))
    add("task failed", loop.create_task(failing()))
    add("task finished", loop.create_task(returning()))
    cancelled = add("task cancelled", loop.create_task(waiting(loop.create_future())))
    if hasattr(cancelled, "set_name"):
        made["on event"].set_name("named-task")
    loop.run_until_complete(turns(5))
    cancelled.cancel()
    loop.run_until_complete(turns(5))
    done = add("future done", loop.create_future())
    done.set_result(["result"])
    failed = add("future failed", loop.create_future())
    failed.set_exception(RuntimeError("future failed"))
    called = add("future with callbacks", loop.create_future())
    called.add_done_callback(print)
    called.add_done_callback(repr)
    add("task never started", loop.create_task(returning()))
    suspended = add("coroutine suspended", middle(loop.create_future()))
    suspended.send(None)
    add("coroutine fresh", middle(future))
    wrapped = add("coroutine wrapper", middle(loop.create_future()).__await__())
    wrapped.send(None)
    add("future iterator", future.__await__())
    generator = add("async generator suspended", produce())
    try:
        generator.__anext__().send(None)
    except StopIteration:
        pass


async def primitives():
    return asyncio.Event(), asyncio.Lock(), asyncio.Queue(5), asyncio.Condition()


async def turns(count):
    for _ in range(count):
        await asyncio.sleep(0)


def gathered(loop):
    async def make():
        return [asyncio.gather(loop.create_future(), asyncio.sleep(0, "slept"), loop.create_future())]

    return loop.run_until_complete(make())[0]


def shielded(task, loop):
    """asyncio.shield (as gather) wants a running loop from 3.10 on; a list, or run_until_complete would wait for it."""

    async def make():
        return [asyncio.shield(task)]

    return loop.run_until_complete(make())[0]
