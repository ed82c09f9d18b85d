"""Ground truth: what a target holds, written down by the target itself, for the Rust tests to compare a capture with.

`write_truth(path)` walks every reachable object in a FORKED CHILD: the walk's own lists, strings and frames are born and die
there, so the parent's heap is the same before and after (two records in a row are equal, byte for byte, on 3.8 to 3.15). The
fork is libc's, called through ctypes: os.fork would run hooks written in Python, which make and replace objects.

The walk has two stages. *Strict* is what gc.get_referents and type() reach from gc.get_objects(). *Extended* adds what
tp_traverse does not show although it is alive: fields of code objects, names and tables of types, names of descriptors, and
what only running frames hold (up to 3.10 the frames themselves too: objects then, but not tracked while they run).

Format, little-endian:
    b"PYTRUTH1"
    u64 number of types, then for each:
        u64 address, u64 flags (1 heap type, 2 of the target's own modules, 4 HAVE_GC), i64 tp_basicsize, i64 tp_itemsize,
        u32 length, UTF-8 of "module.qualname" ("qualname" alone for builtins)
    u64 number of objects, then for each:
        u64 address, u64 address of its type, u64 sys.getsizeof (all ones: it could not be asked),
        u32 flags (1 gc.is_tracked, 2 found by the strict walk, 4 in gc.get_objects()),
        u32 n, then n * u64 addresses as gc.get_referents gives them (duplicates stay)

A subinterpreter is walked by itself, in a child that the main one forks: `write_truth_of_others`.

Call it with no other thread that wants the GIL: in the child nobody would ever hand it over. Threads blocked in a lock are fine.
"""
import gc
import os
import sys
import types

try:
    from ctypes import PyDLL

    _fork = PyDLL(None).fork
except ImportError:
    _fork = None  # no such module in this interpreter: whoever walks sets it, or is walked by another

HERE = os.path.dirname(os.path.abspath(__file__))
NO_SIZE = (1 << 64) - 1
HEAP_TYPE, HAVE_GC = 1 << 9, 1 << 14
OWN_CODE = __file__

# path of a record -> a function and its arguments that have another interpreter call walk_alone(path)
OTHERS = {}
# Getters of `type` itself: a metaclass may have an attribute of the same name that runs Python code.
_TYPE = {
    name: type.__dict__["__%s__" % name].__get__
    for name in ("dict", "mro", "bases", "name", "qualname", "module", "basicsize", "itemsize", "flags")
}
# Descriptors do not show their name to tp_traverse.
_DESCRIPTORS = (
    types.MethodDescriptorType, types.WrapperDescriptorType, types.GetSetDescriptorType, types.MemberDescriptorType,
    types.ClassMethodDescriptorType,
)
# Only fields that are stored: from 3.11 on co_code, co_varnames, co_freevars and co_cellvars build new objects.
_CODE_FIELDS = ["co_consts", "co_names", "co_filename", "co_name"]
if sys.version_info < (3, 11):
    _CODE_FIELDS += ["co_varnames", "co_freevars", "co_cellvars", "co_code"]
if sys.version_info >= (3, 10):
    _CODE_FIELDS.append("co_linetable")
if sys.version_info >= (3, 11):
    _CODE_FIELDS += ["co_qualname", "co_exceptiontable"]


def write_truth(path):
    """Write the record of this process to `path`, which appears only when it is complete."""
    _in_child(_walk_and_write, path)


def write_truth_of_others():
    """Write the record of each interpreter in OTHERS."""
    for path in OTHERS:
        _in_child(_have_walked, path)


def _have_walked(path):
    function, *arguments = OTHERS[path]
    if function(*arguments) is not None:  # 3.13: what went wrong there
        raise RuntimeError("the walk of another interpreter failed")


def walk_alone(path):
    """Walk this interpreter, which runs nothing but this call and has collected its garbage before the fork."""
    _walk_and_write(path, True)


def use_fork(fork):
    """Fork with this function: libc's."""
    global _fork
    _fork = fork


def warm_up():
    """Run the parent's half once, so that what a first call leaves behind (frames kept for reuse) is there before the record."""
    _in_child(None, "")


def _in_child(work, path):
    pid = _fork()
    if pid == 0:
        status = 1
        try:
            gc.disable()
            if work is not None:
                work(path)
            status = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(status)
    if os.waitpid(pid, 0)[1]:
        raise RuntimeError("the walk failed")


def _walk_and_write(path, alone=False):
    gc.unfreeze()  # 3.12 starts with a few hundred objects in the permanent generation, which get_objects leaves out
    roots = gc.get_objects()  # before anything else is made
    walk = _Walk(roots, alone)
    walk.visit_all([] if alone else _held_by_frames())
    with open(path + ".part", "wb") as out:
        walk.write(out)
    os.rename(path + ".part", path)


def _is_ours(o, kind):
    """Whether walking changes its size: our own code is warmed up by running it (3.10), our class gets its keys."""
    return o is _Walk or (kind is types.CodeType and o.co_filename == OWN_CODE)


class _Walk:
    """The state of one walk; lives in the child only, and its own parts never become truth."""

    def __init__(self, roots, alone):
        self.roots = roots
        self.alone = alone
        self.seen = set()
        self.order = []
        self.kinds = {}
        self.records = bytearray()
        self.listed = set(map(id, roots))
        self.hidden = self._own_addresses()
        self.seen |= self.hidden

    def _own_addresses(self):
        """What exists only since the fork: in 3.8-3.10 running frames are objects, and gc.get_objects() has ours."""
        own = [self, self.__dict__, self.roots, self.seen, self.order, self.kinds, self.records, self.listed]
        if sys.version_info < (3, 11):
            frame = sys._getframe()
            while frame is not None and (self.alone or frame.f_code.co_filename == OWN_CODE):
                own.append(frame)
                frame = frame.f_back
        if self.alone:  # what made this call (code, function, the parser's list) is younger than all that was there
            own += gc.get_objects(generation=0)
        own.append(own)
        return {id(o) for o in own}

    def visit_all(self, held):
        for o in self.roots:
            self._reach([o], 2)
        self._reach(held, 0)
        # The list grows while it is read: what the extended edges reach is looked at as well.
        for o in self.order:
            more = self._unseen_by_traverse(o)
            if more:
                self._reach(more, 0)

    def _reach(self, stack, marks):
        """Record all that is reachable from `stack`, each object at the moment when it is found."""
        seen, order, kinds, listed, hidden = self.seen, self.order, self.kinds, self.listed, self.hidden
        referents, tracked, getsizeof = gc.get_referents, gc.is_tracked, sys.getsizeof
        while stack:
            o = stack.pop()
            address = id(o)
            if address in seen:
                continue
            seen.add(address)
            order.append(o)
            kind = type(o)
            kinds[id(kind)] = kind
            try:
                # Up to 3.9 some static types are made ready only when first asked for something: this must not ask.
                # Asked before the referents are in our hands: a BytesIO counts its buffer only when nobody shares it.
                size = NO_SIZE if _TYPE["dict"](kind) is None or _is_ours(o, kind) else getsizeof(o)
            except Exception:
                size = NO_SIZE
            refs = referents(o)
            stack.append(kind)
            stack += refs
            addresses = list(map(id, refs))
            if not hidden.isdisjoint(addresses):
                addresses = [a for a in addresses if a not in hidden]
            flags = marks | (1 if tracked(o) else 0) | (4 if address in listed else 0)
            self.records += _words(8, address, id(kind), size) + _words(4, flags, len(addresses)) + _words(8, *addresses)

    def _unseen_by_traverse(self, o):
        kind = type(o)
        if kind is types.CodeType:
            return [getattr(o, name) for name in _CODE_FIELDS]
        if issubclass(kind, type):
            if _TYPE["dict"](o) is None:  # not ready: it has no tables yet
                return None
            # The proxy is ours and dies here; the dict behind it is the type's.
            found = gc.get_referents(_TYPE["dict"](o))
            found += [_TYPE["mro"](o), _TYPE["bases"](o)]
            if _TYPE["flags"](o) & HEAP_TYPE:
                found += [_TYPE["name"](o), _TYPE["qualname"](o)]
            return found
        if kind in _DESCRIPTORS:
            return [o.__name__]
        return None

    def write(self, out):
        own = own_modules()
        out.write(b"PYTRUTH1" + _words(8, len(self.kinds)))
        for kind in self.kinds.values():
            module, flags = _TYPE["module"](kind), _TYPE["flags"](kind)
            name = full_name(kind).encode("utf-8", "replace")
            mine = isinstance(module, str) and module in own
            marks = (1 if flags & HEAP_TYPE else 0) | (2 if mine else 0) | (4 if flags & HAVE_GC else 0)
            sizes = _TYPE["basicsize"](kind), _TYPE["itemsize"](kind)
            out.write(_words(8, id(kind), marks, *sizes) + _words(4, len(name)) + name)
        out.write(_words(8, len(self.order)))
        out.write(self.records)


def _words(size, *numbers):
    """Little-endian, without the modules that an interpreter may not have."""
    return b"".join([(n & (1 << 8 * size) - 1).to_bytes(size, "little") for n in numbers])


def _held_by_frames():
    """What the frames of running functions hold, without our own ones."""
    held = []
    for frame in sys._current_frames().values():
        while frame is not None:
            if frame.f_code.co_filename == OWN_CODE:
                pass
            elif sys.version_info < (3, 11):
                held.append(frame)
            else:  # the frame object would be made only now; what it shows was there before
                held += [frame.f_code, frame.f_globals]
                if frame.f_locals is not frame.f_globals:
                    held += list(frame.f_locals.values())
            frame = frame.f_back
    return held


def own_modules():
    """Names of the modules that belong to the target: those beside this file."""
    own = {"__main__"}
    for name, module in list(sys.modules.items()):
        source = getattr(module, "__file__", None)
        if isinstance(source, str) and os.path.dirname(os.path.abspath(source)) == HERE:
            own.add(name)
    return own


def full_name(kind):
    """`module.qualname` of a type; builtins go without their module."""
    module, name = _TYPE["module"](kind), _TYPE["qualname"](kind)
    return name if module == "builtins" or not isinstance(module, str) else module + "." + name
