"""A referee that has been taken over: what a hidden check of ours tries, with everything that it knows, and is refused."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from autograder.grading.pool import Pool
from autograder.submission.compose import compose
from tests import tiny

ROOT = Path(__file__).parents[2]
SEED = b"a secret of the course, long enough"

ATTACK = """
import ctypes, json, os, socket, subprocess, threading
import autograder

def refused(act):
    try:
        found = act()
    except (OSError, MemoryError, RuntimeError) as e:
        return True
    return f"{found!r}"[:60]

def connect(family, address):
    s = socket.socket(family)
    s.connect(address)
    return "connected"

def syscall(number, *args):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(number, *args) < 0:
        raise OSError(ctypes.get_errno(), "refused")
    return "done"

def pids():
    return [int(p) for p in os.listdir("/proc") if p.isdigit() and int(p) != os.getpid()] + [os.getppid()]

def any_of(act, values):
    reached = []
    for value in values:
        try:
            act(value)
        except (OSError, ProcessLookupError):
            continue
        reached.append(value)
    if not reached:
        raise PermissionError
    return reached

def descriptors():
    kinds = set()
    for n in range(200):
        try:
            kinds.add(os.readlink(f"/proc/self/fd/{n}").partition(":")[0])
        except FileNotFoundError:
            continue
    return sorted(kinds)

def threads(n):
    done = threading.Event()
    started = []
    try:
        for _ in range(n):
            started.append(threading.Thread(target=done.wait))
            started[-1].start()
    finally:
        done.set()
    return n

FILES = __FILES__
BEFORE = []
HERE = os.path.dirname(os.path.dirname(autograder.__file__))
ATTACKS = {
    "internet": lambda: connect(socket.AF_INET, ("127.0.0.1", 22)),
    "unix sockets": lambda: connect(socket.AF_UNIX, "/run/dbus/system_bus_socket"),
    "socket families": lambda: any_of(lambda f: socket.socket(f, socket.SOCK_RAW), [1, 2, 10, 16, 17, 38, 40]),
    "ledger, seed, accounts": lambda: any_of(lambda p: open(p, "rb").read(1), FILES),
    "homes": lambda: any_of(os.listdir, ["/root", "/home", "/var", "/run", *map(os.path.dirname, FILES)]),
    "ptrace": lambda: any_of(lambda pid: syscall(101, 16, pid, 0, 0), [*pids(), 1]),
    "others' memory": lambda: any_of(lambda pid: open(f"/proc/{pid}/mem", "rb"), pids()),
    "others' environment": lambda: any_of(lambda pid: open(f"/proc/{pid}/environ", "rb").read(1), pids()),
    "signals": lambda: any_of(lambda pid: os.kill(pid, 0), set(pids()) - {0}),
    "fork": lambda: os.fork(),
    "programs": lambda: subprocess.run(["/bin/true"]),
    "threads without end": lambda: threads(5000),
    "20 GiB": lambda: bytearray(20 << 30) and "had",
    "root": lambda: os.setuid(0),
    "namespaces": lambda: syscall(272, 0x10000000),
    "mounts": lambda: syscall(165, b"none", b"/tmp", b"tmpfs", 0, None),
    "keyrings": lambda: syscall(248, b"user", b"x", b"y", 1, -3),
    "writing the course": lambda: any_of(lambda p: open(p, "ab").close(), [__file__, __file__ + "x"]),
    "writing the engine": lambda: any_of(lambda p: open(p, "ab").close(), [autograder.__file__, HERE + "/x.py"]),
    "writing elsewhere": lambda: any_of(lambda p: open(p + "/x", "wb").close(), ["/", "/usr", "/etc", "/dev", "/var/tmp", "/proc"]),
}

@hidden("x1_tiny.double")
def attacks(student, rng):
    report = {name: refused(act) for name, act in ATTACKS.items()}
    status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\\t" in line)
    report["walls"] = [status[k].strip() for k in ("CapEff", "CapPrm", "NoNewPrivs", "Seccomp")]
    report["fds"] = descriptors()
    # Its own scratch is its own: nothing of an earlier referee's is there.
    report["scratch"] = [os.path.exists("left") and not BEFORE, open("left", "w").write("x")]
    BEFORE.append("this check runs twice in one referee: on the student, and on the reference")
    assert False, json.dumps({k: v for k, v in report.items() if v is not True})
"""


@pytest.fixture
def world() -> Iterator[tuple[Path, list[str]]]:
    """A course of a hostile check, and files that its author would like to read: ours, root's and another user's."""
    root = Path(tempfile.mkdtemp(prefix="hostile-"))
    root.chmod(0o755)
    tiny.write(root)
    home = root / "var"
    home.mkdir()
    files = [home / "ledger.sqlite", home / "course_seed", root / "another-submission.ipynb"]
    for path in files:
        path.write_text("secret")
        path.chmod(0o666)  # only the jail stands between
    private = root / "private"
    private.write_text("secret")
    private.chmod(stat.S_IRUSR)
    if os.getuid() == 0:
        os.chown(private, 12345, 12345)
    wanted = [str(p) for p in (*files, private, "/etc/shadow", "/etc/passwd", f"/proc/{os.getpid()}/environ")]
    hidden = root / "assignments" / tiny.ASSIGNMENT / "hidden.py"
    hidden.write_text(hidden.read_text() + ATTACK.replace("__FILES__", repr(wanted)))
    yield root, wanted
    shutil.rmtree(root)


def test_a_referee_reaches_nothing(world: tuple[Path, list[str]]):
    """Everything that it tries is refused; what it may have (its line, its scratch) is all that the report names."""
    root, wanted = world
    assert all(Path(p).exists() for p in wanted)
    env = {"PATH": os.environ.get("HOSTILE_PATH", os.environ["PATH"])}
    with Pool(root, SEED, root / "var" / "admitted", 1, env) as pool:
        graded = pool.grade(compose(tiny.manifest(), tiny.REFERENCE), tiny.ASSIGNMENT, "s")
        again = pool.grade(compose(tiny.manifest(), tiny.REFERENCE), tiny.ASSIGNMENT, "s")
        reason = graded.verdicts[0].notes[0]
        holes = pool.workers[0].found.holes

    assert "{" in reason, reason
    report, _ = json.JSONDecoder().raw_decode(reason[reason.index("{") :])
    assert report["walls"] == ["0000000000000000", "0000000000000000", "1", "2"]
    counters = ("/cpuacct.usage", "/memory.oom_control", "/cpu.stat", "/memory.events", "/stat")  # of its boxes, to read
    assert {fd for fd in report["fds"] if not fd.endswith(counters)} <= {"/dev/null", "socket", "pipe"}
    assert report["scratch"] == [False, 1]
    assert set(report) == {"walls", "fds", "scratch"}
    assert holes == ""
    assert again.points == 0
    assert not again.is_complete


@pytest.mark.skipif(os.getuid() != 0, reason="started by a plain user, a referee keeps that user's uid: there is no other")
def test_a_referee_is_never_root(tmp_path: Path):
    """Started by root, referee and player have uids of their own: not root's, and not each other's."""
    course = tiny.write(tmp_path)
    with Pool(course.root, SEED, tmp_path / "admitted", 1, os.environ) as pool:
        pool.probe()
        uids = [pool.referees.trunk.result().server.uid.value, pool.workers[0].warden.result().server.uid.value]
        trunk = pool.referees.trunk.result().server.process.pid
        status = Path(f"/proc/{trunk}/status").read_text()

    assert len({0, *uids}) == 3
    assert f"Uid:\t{uids[0]}\t{uids[0]}\t{uids[0]}\t{uids[0]}\n" in status


@pytest.mark.slow
@pytest.mark.skipif(os.getuid() != 0, reason="needs root to become a second uid; the test above then ran as a plain user")
@pytest.mark.parametrize("path", ["/usr/bin:/bin", "/nonexistent"], ids=["with bubblewrap", "without"])
def test_a_plain_users_referee_reaches_nothing(path: str):
    """An unprivileged uid runs the first test: with namespaces, and with Landlock and seccomp alone."""
    suite = ["-m", "pytest", "-q", "-p", "no:cacheprovider", f"{Path(__file__).relative_to(ROOT)}::test_a_referee_reaches_nothing"]
    command = [sys.executable, "-m", "tests.hostile.plain_user", "65532", sys.executable, *suite]
    done = subprocess.run(command, cwd=ROOT, env={"HOSTILE_PATH": path, "PATH": path}, capture_output=True, text=True, timeout=600)

    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
