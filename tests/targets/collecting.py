"""Stays inside a garbage collection, or has just left one when asked to (`done`). Says ready, and waits."""

import gc
import sys
import threading


def stay(phase, info):
    if phase == "start":
        print("ready", flush=True)
        threading.Event().wait()


if "done" not in sys.argv:
    gc.callbacks.append(stay)
gc.collect()
print("ready", flush=True)
threading.Event().wait()
