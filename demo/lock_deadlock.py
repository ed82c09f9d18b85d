"""A deadlock of threads: two transfers between the same two accounts take their locks in opposite order.

`transfer-a-b` holds the lock of account A and wants that of B; `transfer-b-a` holds B and wants A. Healthy threads stand beside
them: one sleeps between reports, some wait for jobs at a queue, and one waits for an event.

    lock_deadlock.py
"""
import ctypes
import os
import queue
import threading
import time

PR_SET_PTRACER, PR_SET_PTRACER_ANY = 0x59616D61, ctypes.c_ulong(-1)


class Account:
    def __init__(self, owner, balance):
        self.owner = owner
        self.balance = balance
        self.lock = threading.Lock()


class Bank:
    def __init__(self):
        self.accounts = {"A": Account("Ada", 100), "B": Account("Bob", 200)}
        self.meeting = threading.Barrier(2)
        self.jobs = queue.Queue()
        self.closing = threading.Event()
        self.reports = 0

    def transfer(self, source, target, amount):
        giving, taking = self.accounts[source], self.accounts[target]
        with giving.lock:
            self.meeting.wait()  # makes sure that it happens: in life it takes bad luck
            # The problem: the other transfer takes these two locks the other way round.
            with taking.lock:
                giving.balance -= amount
                taking.balance += amount

    def report(self):
        while not self.closing.is_set():
            self.reports += 1
            time.sleep(30)

    def serve(self):
        while True:
            job = self.jobs.get()
            job()

    def wait_for_closing(self):
        self.closing.wait()


def main():
    bank = Bank()
    threads = [
        threading.Thread(target=bank.transfer, args=("A", "B", 10), name="transfer-a-b", daemon=True),
        threading.Thread(target=bank.transfer, args=("B", "A", 20), name="transfer-b-a", daemon=True),
        threading.Thread(target=bank.report, name="report", daemon=True),
        threading.Thread(target=bank.wait_for_closing, name="closing", daemon=True),
    ]
    threads += [threading.Thread(target=bank.serve, name="server-%d" % n, daemon=True) for n in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(0.2)
    print("ready", flush=True)
    threads[0].join()


if __name__ == "__main__":
    ctypes.CDLL(None).prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0)
    print("demo lock-deadlock: pid", os.getpid(), flush=True)
    try:
        main()
    except KeyboardInterrupt:
        pass
