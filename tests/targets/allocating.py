"""Stays inside of malloc, or not (`done`). `malloc_stats` of glibc writes to standard error what it finds in an arena while
it holds that arena's lock (malloc/malloc.c): when nobody reads that, it stays there. With `thread`, there is a second arena.
"""

import ctypes
import os
import sys
import threading

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
if "thread" in sys.argv:
    # a thread that allocates has an arena of its own
    ready = threading.Event()
    threading.Thread(target=lambda: (libc.malloc(5000), ready.set(), threading.Event().wait()), daemon=True).start()
    ready.wait()
if "done" in sys.argv:
    read, write = os.pipe()
    os.dup2(write, 2)
    libc.malloc_stats()
    print("ready", flush=True)
    threading.Event().wait()
read, write = os.pipe()
os.set_blocking(write, False)
try:
    while True:
        os.write(write, bytes(1 << 12))
except BlockingIOError:
    pass
os.set_blocking(write, True)
os.dup2(write, 2)
print("ready", flush=True)
libc.malloc_stats()
