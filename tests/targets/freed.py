"""A target that frees small numbers as its last act: freed.py COUNT, under PYTHONMALLOC=malloc.

Prints the addresses of the dead and of some that live, frees the dead, says `ready PID`, and blocks. What malloc keeps of
a freed block in its bins is a link in the first word: the reference count of an object without a GC header. What an array
does not write of a block that a cell had leaves the cell's type behind three numbers: its GC header and count.
"""
import array
import ctypes
import os
import signal
import sys

ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(-1), 0, 0, 0)  # PR_SET_PTRACER, any
count = int(sys.argv[1])
closures = [(lambda x: lambda: x)(n) for n in range(count)]
arrays = [array.array("q") for _ in range(count)]
del closures
for numbers in arrays:
    for n in 0, 1, 2:
        numbers.append(n)  # room for four is made at once
numbers = [n + 0.5 for n in range(count)]
ready, write, pause = ("ready %d\n" % os.getpid()).encode(), os.write, signal.pause
write(1, ("dead %s\n" % " ".join(str(id(n)) for n in numbers[100:])).encode())
write(1, ("live %s\n" % " ".join(str(id(n)) for n in numbers[:100])).encode())
write(1, ("reused %s\n" % " ".join(str(a.buffer_info()[0] + 16) for a in arrays)).encode())
n = None
del numbers[100:]
write(1, ready)
while True:
    pause()
