"""The zoo's user classes: every way in which an instance can keep its attributes, and every kind of class."""
import abc
import collections
import dataclasses
import enum
import sys
import typing
import weakref


class Plain:
    def __init__(self):
        self.alpha, self.beta, self.gamma = 1, "bee", [3]


class Other:
    pass


class Slots:
    __slots__ = ("p", "q", "never")


class SlotsAndDict(Slots):
    pass


class SlotsWithDict:
    __slots__ = ("s", "__dict__", "__weakref__")


class SlotsChild(SlotsWithDict):
    __slots__ = ("t",)


class Empty:
    __slots__ = ()


class Weakly:
    __slots__ = ("x", "__weakref__")


class Final:
    def __init__(self, name):
        self.name = name

    def __del__(self):
        pass


class Node:
    def __init__(self, value, following):
        self.value, self.next = value, following


class Loop:
    def __init__(self):
        self.me, self.words = self, ["in", "a", "cycle"]


class Meta(type):
    def __new__(mcs, name, bases, space):
        made = super().__new__(mcs, name, bases, space)
        made.registered = name.lower()
        return made


class MetaMeta(type):
    pass


class MetaOfMeta(type, metaclass=MetaMeta):
    extra = "on the metaclass"


class WithMeta(metaclass=Meta):
    def __init__(self):
        self.kind = "of a metaclass"


class WithMetaMeta(metaclass=MetaOfMeta):
    value = 3


class Abstract(abc.ABC):
    @abc.abstractmethod
    def run(self):
        """Nothing to see."""


class Concrete(Abstract):
    def __init__(self):
        self.state = "ready"

    def run(self):
        return self.state


class Speaks(typing.Protocol):
    def speak(self) -> str:
        """What it says."""


class Dog(Speaks):
    def speak(self):
        return "woof"


class Color(enum.Enum):
    RED, GREEN = 1, "green"


class Level(enum.IntEnum):
    LOW, HIGH = 1, 10


class Flags(enum.Flag):
    A, B = 1, 2


@dataclasses.dataclass
class Point:
    x: int
    y: float = 2.5
    tags: list = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True, **({"slots": True} if sys.version_info >= (3, 10) else {}))
class Frozen:
    name: str
    size: int = 7


class Typed(typing.NamedTuple):
    left: int
    right: str = "r"


class Generic(typing.Generic[typing.TypeVar("Item")]):
    def __init__(self, item):
        self.item = item


Pair = collections.namedtuple("Pair", "x y")
Inner = type("Made", (Plain,), {"made": True, "__doc__": "made by calling type"})


class Described:
    """A descriptor, properties, and methods of each kind."""

    def __set_name__(self, owner, name):
        self.name = name

    def __get__(self, instance, owner):
        return self.name


class Members:
    field = Described()

    @property
    def size(self):
        return 1

    @size.setter
    def size(self, value):
        pass

    @staticmethod
    def static(a):
        return a

    @classmethod
    def made(cls):
        return cls()


def subclasses():
    """A subclass of each builtin that allows it, with `__dict__` and (where possible) with `__slots__`."""
    bases = {
        int: (2**70,), float: (1.5,), complex: (1, 2), str: ("sub \xe9",), bytes: (b"sub",), bytearray: (b"sub",), tuple: ((1, 2, 3),), list: ([1, 2],),
        dict: ({"k": 1, 2: 3},), set: ({1, 2},), frozenset: ({3, 4},), collections.deque: ([1, 2],), collections.OrderedDict: ({"o": 1},),
        collections.defaultdict: (list, {"d": 1}), collections.Counter: ("aab",), Exception: ("boom", 5), OSError: (2, "no", "file"), type: ("T", (), {}),
    }
    for base, arguments in bases.items():
        kind = type("Sub" + base.__name__.capitalize(), (base,), {})
        slotted = None
        # Var-sized bases have no fixed place for a slot.
        if base not in (int, bytes, tuple, type):
            slotted = type("Slotted" + base.__name__.capitalize(), (base,), {"__slots__": ("slot", "unset")})
        yield base, kind, slotted, arguments


def build(add):
    add("classes", [Plain, Slots, Meta, MetaMeta, MetaOfMeta, WithMeta, WithMetaMeta, Abstract, Concrete, Speaks, Dog, Color, Inner, Members])
    add("instance", Plain())
    add("instances", [Plain() for _ in range(1000)])
    add("instance without attributes", Other())
    states(add)
    slots(add)
    for base, kind, slotted, arguments in subclasses():
        bare = add("bare Sub " + base.__name__, kind(*arguments))
        one = add("Sub " + base.__name__, kind(*arguments))
        one.attr, one.number = "A", 77
        if slotted:
            add("Slotted " + base.__name__, slotted(*arguments)).slot = "in a slot"
        if base is str:
            add("Sub str ascii", kind("plain")).attr = 1
        if base is int:
            for number in (0, 1, -1, 2**30, -(2**100)):
                add("Sub int %d" % number, kind(number)).attr = number
        if base is tuple:
            add("Sub tuple empty", kind()).attr = 1
        if base in (tuple, list):
            add("Sub %s of types" % base.__name__, kind((int, str))).attr = float
        del bare
    for one in (WithMeta(), WithMetaMeta(), Concrete(), Dog(), Color.RED, Color.GREEN, Level.HIGH, Flags.A, Flags.A | Flags.B, Point(1), Frozen("f"),
                Typed(1), Pair(1, [2]), Generic("item"), Inner(), Members(), Final("final"), Loop()):
        add("of " + type(one).__name__, one)
    add("namedtuple types", Pair(int, str))
    add("parametrised", Generic[int]("with __orig_class__"))
    add("members", list(vars(Members).values()))
    nodes = None
    for n in range(5000):
        nodes = Node(n, nodes)
    add("nodes", nodes)
    referred = add("referred", Weakly())
    referred.x = "weakly"
    add("weakref", weakref.ref(referred))
    add("weakref with callback", weakref.ref(referred, print))
    add("weakref to class", weakref.ref(Weakly))
    add("proxy", weakref.proxy(referred))
    dead = Weakly()
    add("weakref dead", weakref.ref(dead, lambda _: None))
    del dead
    add("weakref method", weakref.WeakMethod(add("method owner", Concrete()).run))
    values = add("weak values", weakref.WeakValueDictionary())
    kept = add("weak kept", [Plain() for _ in range(5)])
    for n, one in enumerate(kept):
        values[n] = one
    keys = add("weak keys", weakref.WeakKeyDictionary())
    keys[kept[0]] = "by key"
    add("weak set", weakref.WeakSet(kept))
    add("finalize", weakref.finalize(kept[1], print, "done")).atexit = False


def states(add):
    """One instance for each thing that can have happened to its attributes."""
    add("materialised", Plain()).__dict__.get("alpha")
    add("replaced dict", Plain()).__dict__ = {"z": 1}
    shared = add("shared dict a", Plain())
    add("shared dict b", Plain()).__dict__ = shared.__dict__
    add("odd key", Plain()).__dict__["odd key"] = 9
    add("int key", Plain()).__dict__[5] = 9
    one = add("deleted", Plain())
    del one.beta
    one.delta = 4
    one = add("all deleted", Plain())
    del one.alpha, one.beta, one.gamma
    one = add("deleted and set again", Plain())
    del one.alpha
    one.alpha = "again"
    many = add("many attributes", Other())
    for n in range(40):
        setattr(many, "at%d" % n, n)
    add("no attributes yet", Other())
    add("dict then nothing", Other()).__dict__.clear()
    late = add("other order", Plain())
    del late.alpha, late.beta
    late.zeta, late.beta = 1, 2
    typed = add("holds types", Plain())
    typed.alpha, typed.beta = int, type


def slots(add):
    full = add("slots full", Slots())
    full.p, full.q, full.never = 11, "qq", [1]
    add("slots partly", Slots()).p = "only p"
    add("slots unset", Slots())
    add("slots of types", Slots()).p = int
    one = add("slots and dict", SlotsAndDict())
    one.p, one.extra = 1, 2
    one = add("slots with dict", SlotsWithDict())
    one.s, one.extra = "slot", "dict"
    one = add("slots child", SlotsChild())
    one.s, one.t, one.more = 1, 2, 3
    add("empty slots", Empty())
    add("weakly", Weakly())
