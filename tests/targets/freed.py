"""A target that frees small numbers as its last act: freed.py COUNT, under PYTHONMALLOC=malloc.

Prints the addresses of the dead and of some that live, frees the dead, says `ready PID`, and blocks. What malloc keeps of
a freed block in its bins is a link in the first word: the reference count of an object without a GC header.
"""
import ctypes
import os
import signal
import sys

ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(-1), 0, 0, 0)  # PR_SET_PTRACER, any
count = int(sys.argv[1])
numbers = [n + 0.5 for n in range(count)]
ready, write, pause = ("ready %d\n" % os.getpid()).encode(), os.write, signal.pause
write(1, ("dead %s\n" % " ".join(str(id(n)) for n in numbers[100:])).encode())
write(1, ("live %s\n" % " ".join(str(id(n)) for n in numbers[:100])).encode())
n = None
del numbers[100:]
write(1, ready)
while True:
    pause()
