"""A process whose memory went one way: memory.py HOW MEGABYTES. Says what it knows of itself, then waits.

plain: dicts and lists. fragmented: small objects, nine of ten freed at random. numpy: arrays. threads: 64 threads with
arenas of malloc. cached: blocks of malloc that were freed a moment ago. fork: a child that shares what was made before; it is the child that says "ready". native: blocks of
malloc that no object points to.
"""
import ctypes
import gc
import io
import os
import random
import sys
import threading
import time

how, megabytes = sys.argv[1], int(sys.argv[2])
MB = 1 << 20
libc = ctypes.CDLL(None)


class Record:
    def __init__(self, i):
        self.number = i
        self.name = "record %d" % i
        self.tags = [i, i + 1]


kept = []


def mallinfo():
    """In use, free in bins, in fast bins, at the end of the main heap: over all arenas; None before glibc 2.33."""
    if not hasattr(libc, "mallinfo2"):
        return None
    names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()

    class Info(ctypes.Structure):
        _fields_ = [(n, ctypes.c_size_t) for n in names]

    libc.mallinfo2.restype = Info
    info = libc.mallinfo2()
    return {n: getattr(info, n) for n in names}


def pymalloc():
    """What sys._debugmallocstats says of pymalloc."""
    if not hasattr(sys, "_debugmallocstats"):
        return None
    read, write = os.pipe()
    saved = os.dup(2)
    text = []
    reader = threading.Thread(target=lambda: text.append(open(read, "rb", closefd=False).read()))
    reader.start()
    os.dup2(write, 2)
    os.close(write)
    sys._debugmallocstats()
    os.dup2(saved, 2)
    os.close(saved)
    reader.join()
    os.close(read)
    facts = {}
    for line in text[0].decode(errors="replace").splitlines():
        name, _, value = line.partition("=")
        value = value.strip().replace(",", "")
        if value.isdigit():
            facts[name.strip()] = int(value)
    return facts


def tell():
    gc.collect()
    for name, facts in (("pymalloc", pymalloc()), ("malloc", mallinfo())):
        for key, value in (facts or {}).items():
            print(name, value, key)
    print("ready", os.getpid(), flush=True)
    threading.Event().wait()


if how == "plain":
    while len(kept) * 350 < megabytes * MB:
        kept.append(Record(len(kept)))
elif how == "fragmented":
    random.seed(7)
    count = megabytes * MB // 64
    kept = [(i, i) for i in range(count)]
    keep = set(random.sample(range(count), count // 10))
    kept = [x if i in keep else None for i, x in enumerate(kept)]
    kept = [x for x in kept if x is not None]
    del keep
elif how == "numpy":
    import numpy
    kept = [numpy.ones(MB // 8 * (1 + i % 4)) for i in range(megabytes * 4 // 10)]
elif how == "buffers":
    kept = [bytearray(b"x") * (MB * (1 + i % 4)) for i in range(megabytes * 4 // 10)]
elif how == "threads":
    libc.malloc.restype = ctypes.c_void_p
    libc.malloc.argtypes = [ctypes.c_size_t]
    libc.free.argtypes = [ctypes.c_void_p]
    libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
    barrier = threading.Barrier(65)

    def work():
        mine = []
        for i in range(megabytes * MB // 64 // 2000):
            block = libc.malloc(2000)
            libc.memset(block, 1, 2000)
            mine.append(block)
        for i, block in enumerate(mine):
            if i % 4:
                libc.free(block)
        barrier.wait()
        barrier.wait()

    for _ in range(64):
        threading.Thread(target=work, daemon=True).start()
    barrier.wait()
elif how == "native":
    libc.malloc.restype = ctypes.c_void_p
    libc.malloc.argtypes = [ctypes.c_size_t]
    libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
    for i in range(megabytes * MB // 4096):
        libc.memset(libc.malloc(4000), 1, 4000)
elif how == "cached":
    libc.malloc.restype = ctypes.c_void_p
    libc.malloc.argtypes = [ctypes.c_size_t]
    libc.free.argtypes = [ctypes.c_void_p]
    # of the smaller ones seven go to the thread's cache, the others to a fast bin
    blocks = [(size, [libc.malloc(size) for _ in range(12)]) for size in (90, 1000)]
    inuse = [libc.malloc(90) for _ in range(12)]
    for size, made in blocks:
        print("freed", size, " ".join(map(str, made if size < 128 else made[:7])))
    print("used", 90, " ".join(map(str, inuse)))
    for size, made in blocks:
        for block in made if size < 128 else made[:7]:
            libc.free(block)
elif how == "fork":
    while len(kept) * 350 < megabytes * MB:
        kept.append(Record(len(kept)))
    gc.freeze()
    if os.fork():
        os.wait()
        os._exit(0)
tell()
