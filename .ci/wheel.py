"""What .ci/wheel does with the installed program: it is the first `pymem-tui` on PATH."""
import fcntl
import json
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time

PATIENCE = 120  # seconds, for a machine that is busy


def run(*arguments):
    return subprocess.run(["pymem-tui", *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout


def the_version_is_told(commit):
    first, known = run("--version").splitlines()
    print(first, "|", known)
    assert not commit or commit[:12] in first, (first, commit)
    assert "3.8" in known and "3.15" in known, known
    assert run("completions", "bash") and run("man").startswith(".ie")


def a_live_process_is_read():
    script = "class Marker: pass\nheld = [Marker() for _ in range(4321)]\nimport sys\nprint('ready', flush=True)\nsys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout.readline() == b"ready\n"
        answer = json.loads(run("types", "--pid", str(child.pid), "--json"))
        child.stdin.close()
    assert answer["snapshot"]["python"] == "%d.%d.%d" % sys.version_info[:3], answer["snapshot"]
    counts = {row["name"]: row["count"] for row in answer["types"]}
    assert counts["__main__.Marker"] == 4321, counts.get("__main__.Marker")
    print("CPython", answer["snapshot"]["python"], "is read:", answer["total"])


def a_demo_is_explored():
    """In a terminal of its own, until the leak's type is on the screen; then `q`."""
    pid, terminal = pty.fork()
    if pid == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        os.execvp("pymem-tui", ["pymem-tui", "demo", "leak", "2000"])
    seen, until = b"", time.monotonic() + PATIENCE
    while b"Future" not in seen and time.monotonic() < until:
        if select.select([terminal], [], [], 1)[0]:
            try:
                seen += os.read(terminal, 1 << 16)
            except OSError:  # it ended
                break
    assert b"Future" in seen, seen[-2000:]
    os.write(terminal, b"q")
    while True:
        try:
            if not os.read(terminal, 1 << 16):
                break
        except OSError:
            break
    status = os.waitpid(pid, 0)[1]
    assert status == 0, status
    print("the demo was opened and left")


the_version_is_told(sys.argv[1])
a_live_process_is_read()
a_demo_is_explored()
