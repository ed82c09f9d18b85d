"""A program that notices whatever a capture does to it: calls that fail or end too early, signals that are lost,
descriptors, threads or children that appear, sums that no longer add up. Says READY, then answers lines; `finish` ends
the work and prints what was noticed, as JSON."""

import asyncio
import hashlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time

T = 0.03
failed = {}
done = {}
stop = threading.Event()
threads = []


def loop(name, step):
    def run():
        while not stop.is_set():
            try:
                result = step()
                if result is not None and result is not True:
                    failed.setdefault(name, str(result))
            except BaseException as error:
                failed.setdefault(name, repr(error))
                time.sleep(T)
            done[name] = done.get(name, 0) + 1

    threads.append(threading.Thread(target=run, name=name))


def lasts(call, least):
    def step():
        begin = time.monotonic()
        result = call()
        took = time.monotonic() - begin
        return result if took >= least - 0.001 else "took %f s instead of %f" % (took, least)

    return step


# waiting, in every way that Python has
quiet_read, quiet_write = os.pipe()
epoll = select.epoll()
epoll.register(quiet_read, select.EPOLLIN)
poll = select.poll()
poll.register(quiet_read, select.POLLIN)
loop("sleep", lasts(lambda: time.sleep(T), T))
loop("select", lasts(lambda: select.select([quiet_read], [], [], T)[0] == [], T))
loop("poll", lasts(lambda: poll.poll(T * 1000) == [], T))
loop("epoll", lasts(lambda: epoll.poll(T) == [], T))
held = threading.Lock()
held.acquire()
loop("lock", lasts(lambda: held.acquire(timeout=T) is False, T))
condition = threading.Condition()


def wait():
    with condition:
        return condition.wait(T) is False


loop("condition", lasts(wait, T))
handed = threading.Lock()


def hand():
    with handed:
        time.sleep(0.001)


loop("hand over", hand)
loop("hand back", hand)

# talking
here, there = socket.socketpair()
deaf, dumb = socket.socketpair()
deaf.settimeout(T)
pipe_read, pipe_write = os.pipe()


def send():
    time.sleep(T)
    there.sendall(b"x" * 100)
    os.write(pipe_write, b"abc")


def receive():
    got = here.recv(100, socket.MSG_WAITALL)
    return len(got) == 100 or "got %d bytes" % len(got)


def receive_nothing():
    try:
        return "got %r" % deaf.recv(1)
    except socket.timeout:
        return True


loop("send", send)
loop("receive", receive)
loop("receive nothing", lasts(receive_nothing, T))
loop("pipe", lambda: os.read(pipe_read, 3) == b"abc" or "a short read")

server = socket.socket()
server.bind(("127.0.0.1", 0))
server.listen(8)


def serve():
    connection, _ = server.accept()
    with connection:
        connection.sendall(connection.recv(1000).upper())


def ask():
    with socket.create_connection(server.getsockname()) as connection:
        connection.sendall(b"hello")
        return connection.recv(1000) == b"HELLO" or "another answer"


def knock():
    # (the server's thread may end at this moment: then nobody answers)
    with socket.create_connection(server.getsockname()) as connection:
        connection.settimeout(10 * T)
        try:
            connection.sendall(b"hello")
            connection.recv(1000)
        except OSError:
            pass


loop("serve", serve)
loop("ask", ask)


def run_asyncio():
    async def work():
        begin = time.monotonic()
        await asyncio.gather(asyncio.sleep(T), asyncio.sleep(T / 2))
        return time.monotonic() - begin >= T - 0.001

    event_loop = asyncio.new_event_loop()
    try:
        return event_loop.run_until_complete(work()) or "slept too short"
    finally:
        event_loop.close()


loop("asyncio", run_asyncio)

# children
loop("child", lambda: subprocess.call(["sleep", "0.02"]) == 0 or "it failed")
loop("child's output", lambda: subprocess.check_output(["echo", "x"], timeout=30) == b"x\n" or "it said something else")

# timers and signals, each counted: real-time ones are queued, so that none is merged with another
signals_read, signals_write = os.pipe()
os.set_blocking(signals_write, False)
sent = 0
counted = 0


def send_signal():
    global sent
    os.kill(os.getpid(), signal.SIGRTMIN)
    sent += 1
    time.sleep(0.002)


def count_signals():
    global counted
    ready, _, _ = select.select([signals_read], [], [], 10 * T)
    if ready:
        counted += os.read(signals_read, 4096).count(bytes([signal.SIGRTMIN]))


loop("send signals", send_signal)
loop("count signals", count_signals)
alarms = 0


def on_alarm(*_):
    global alarms
    alarms += 1


# a heap whose sum stays, though it changes all the time
accounts = [[1000, "account-%08d" % i] for i in range(20000)]
blob = os.urandom(1 << 20)
digest = hashlib.sha256(blob).hexdigest()
books = threading.Lock()
position = 0


def move():
    global position
    with books:
        for _ in range(200):
            position = (position * 1103515245 + 12345) % (1 << 31)
            giver, taker = accounts[position % 20000], accounts[(position >> 8) % 20000]
            giver[0] -= position % 1000
            taker[0] += position % 1000
            giver[1] = "account-%08d" % position
    time.sleep(0.001)


loop("move", move)


def adds_up():
    with books:
        return sum(a[0] for a in accounts) == 1000 * len(accounts) and hashlib.sha256(blob).hexdigest() == digest


def children():
    try:
        return list(os.waitpid(-1, os.WNOHANG))
    except ChildProcessError:
        return []


def own():
    # a thread that was joined is still there for a moment, a long one on a busy machine
    for _ in range(500):
        if len(os.listdir("/proc/self/task")) == 1:
            break
        time.sleep(0.01)
    return {
        "descriptors": sorted(os.listdir("/proc/self/fd"), key=int)[:-1],
        "tasks": len(os.listdir("/proc/self/task")),
        "children": children(),
    }


def main():
    global counted
    signal.signal(signal.SIGRTMIN, lambda *_: None)
    signal.signal(signal.SIGALRM, on_alarm)
    signal.set_wakeup_fd(signals_write, warn_on_full_buffer=True)
    before = own()
    for thread in threads:
        thread.start()
    signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
    print("READY", flush=True)
    for line in sys.stdin:
        if line.strip() != "finish":
            print("answer", line.strip(), flush=True)
            continue
        signal.setitimer(signal.ITIMER_REAL, 0)
        stop.set()
        # whoever waits for someone that has stopped already is helped to an end
        ended = time.monotonic() + 60
        while any(t.is_alive() for t in threads) and time.monotonic() < ended:
            there.sendall(b"x" * 100)
            os.write(pipe_write, b"abc")
            alive = {t.name for t in threads if t.is_alive()} & {"serve", "ask"}
            if alive == {"ask"} and select.select([server], [], [], T)[0]:
                serve()
            elif alive == {"serve"}:
                knock()
            time.sleep(T)
        while counted < sent and select.select([signals_read], [], [], 5)[0]:
            counted += os.read(signals_read, 4096).count(bytes([signal.SIGRTMIN]))
        after = own()
        print(json.dumps({
            "failed": failed,
            "idle": sorted(t.name for t in threads if not done.get(t.name)),
            "alive": sorted(t.name for t in threads if t.is_alive()),
            "sent": sent,
            "counted": counted,
            "alarms": alarms,
            "adds_up": adds_up(),
            "before": before,
            "after": after,
        }), flush=True)


main()
