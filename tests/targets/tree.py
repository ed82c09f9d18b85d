"""A server as gunicorn or celery would start it: a master that forks two workers, one of which forks again; a shell
that starts one more, and a child that is no Python. Each has a number of markers of its own. The master prints their
pids as JSON, then `ready`; all end with it."""

import json
import os
import subprocess
import sys
import threading

PAGE = 4096


class Marker:
    pass


def live(name, markers, threads, tell, end):
    """Keeps `markers` alive until the master is gone."""
    keep = [Marker() for _ in range(markers)]
    for _ in range(threads):
        threading.Thread(target=threading.Event().wait, daemon=True).start()
    os.write(tell, ("%s %d\n" % (name, os.getpid())).encode())
    os.read(end, 1)
    keep.clear()
    os._exit(0)


def leaf():
    live("leaf", 44, 0, 1, 0)


def main():
    # what the workers share until they write to it
    block = bytearray(b"x" * (40 << 20))
    hear, tell = os.pipe()
    end, alive = os.pipe()

    def fork(name, markers, threads=0, before=lambda: None):
        if os.fork() == 0:
            if name != "grandchild":
                os.close(alive)
            before()
            live(name, markers, threads, tell, end)

    def worker_b():
        for at in range(0, 16 << 20, PAGE):
            block[at] = 1
        fork("grandchild", 33, threads=2)

    fork("worker-a", 11)
    fork("worker-b", 22, before=worker_b)
    line = open("/proc/self/cmdline", "rb").read().split(b"\0")[:-1]
    command = b" ".join(b"'%s'" % part for part in line[: line.index(os.fsencode(__file__)) + 1])
    shell = subprocess.Popen([b"sh", b"-c", command + b" leaf; exit 0"], stdin=end, stdout=tell)
    cat = subprocess.Popen(["cat"], stdin=end, stdout=subprocess.DEVNULL)
    os.close(tell)
    pids = {"master": os.getpid(), "shell": shell.pid, "cat": cat.pid}
    with open(hear) as said:
        while len(pids) < 7:
            name, pid = said.readline().split()
            pids[name] = int(pid)
    keep = [Marker()]
    print(json.dumps(pids), flush=True)
    print("ready", os.getpid(), flush=True)
    threading.Event().wait()
    print(keep, alive, block[:1])


if sys.argv[1:] == ["leaf"]:
    leaf()
else:
    main()
