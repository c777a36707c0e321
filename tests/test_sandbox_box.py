"""The jail: one program costs only itself, what ended it is told apart, and nothing of it stays."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import torch

from autograder.errors import InfraError
from autograder.sandbox import zygote_process
from autograder.sandbox.box import Limits, Slot
from autograder.sandbox.cgroups import Cgroups
from autograder.sandbox.student import StudentCrashed, StudentError, StudentTimeout, Tampered
from autograder.sandbox.warden import MAX_SPARE
from autograder.submission.ipython import plain_python
from autograder.submission.model import Cell

PROGRAM = """
import os, signal, sys, time
import torch

def good(x):
    return x * 2

def loop():
    while True:
        pass

def sleep():
    time.sleep(1000)

def stop():
    os._exit(3)

def hoard():
    return torch.ones(10 * 2**30, dtype=torch.uint8).sum()

def fault():
    import ctypes
    ctypes.string_at(0)

def hang_up():
    for fd in range(3, 100):
        try:
            os.close(fd)
        except OSError:
            pass
    time.sleep(1000)

def talk(n):
    sys.stdout.write("x" * n)

def deaf():
    for s in range(1, 65):
        try:
            signal.signal(s, signal.SIG_IGN)
        except (OSError, ValueError):
            pass
    while True:
        pass

def forge():
    os.write(3, b"ANS1" + bytes(12))
    return 1

def pid():
    return os.getpid()
"""
CELLS = [Cell("answers", PROGRAM)]


@pytest.fixture(scope="module")
def slot():
    with Slot.start() as slot:
        yield slot


@pytest.fixture
def box(slot):
    with slot.open_box(CELLS) as box:
        assert box.failures == {}
        yield box


def children_of(pid: int) -> set[int]:
    """Return the pids below a process."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(entry.name)] = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except (OSError, IndexError):
            continue
    below, grew = {pid}, True
    while grew:
        new = {p for p, parent in parents.items() if parent in below} - below
        below |= new
        grew = bool(new)
    return below - {pid}


def wait_until_gone(pid: int) -> None:
    """Wait until the process has ended; it must."""
    with contextlib.suppress(ProcessLookupError):
        fd = os.pidfd_open(pid)
        ended, _, _ = select.select([fd], [], [], 10)
        os.close(fd)
        assert ended, f"process {pid} lives on"


@pytest.mark.parametrize(
    ("name", "error"),
    [("loop", StudentTimeout), ("deaf", StudentTimeout), ("stop", StudentCrashed), ("fault", StudentCrashed), ("forge", Tampered)],
)
def test_a_death_costs_that_box_only(slot, name, error):
    """A loop, an exit, a crash and a forged answer end their own box; its neighbour and the next one are whole."""
    with slot.open_box(CELLS) as neighbour, slot.open_box(CELLS) as box:
        box.allow(0.2, 20)
        with pytest.raises(error):
            box.student.fn(name)()
        assert not box.alive
        with pytest.raises(error):
            box.student.fn("good")(torch.ones(1))
        assert neighbour.student.fn("good")(torch.ones(1)) == 2
    with slot.open_box(CELLS) as after:
        assert after.student.fn("good")(torch.ones(1)) == 2


def test_memory_beyond_the_limit_is_an_exception(box):
    """Ten GiB are refused inside, the call raises, and the box lives on."""
    with pytest.raises(StudentError, match="memory"):
        box.student.fn("hoard")()
    assert box.student.fn("good")(torch.ones(1)) == 2


def test_a_loop_is_told_from_a_sleep(slot):
    """CPU time is measured: a loop has used its budget, a sleeper nothing, so that a busy machine can be told apart."""
    with slot.open_box(CELLS) as box:
        box.allow(0.3, 30)
        with pytest.raises(StudentTimeout) as e:
            box.student.fn("loop")()
        assert e.value.cpu_s >= 0.3
    with slot.open_box(CELLS) as box:
        box.allow(5, 0.3)
        with pytest.raises(StudentTimeout) as e:
            box.student.fn("sleep")()
        assert e.value.cpu_s < 0.1
        assert e.value.wall_s >= 0.3


def test_each_exercise_has_its_own_budget(slot):
    """allow() starts a new count: what earlier exercises used is not held against the next."""
    burn = "import time\ndef burn(s):\n    end = time.process_time() + s\n    while time.process_time() < end: pass"
    with slot.open_box([Cell("c", burn)]) as box:
        for _ in range(3):
            box.allow(0.4, 40)
            box.student.fn("burn")(0.2)
        with pytest.raises(StudentTimeout):
            for _ in range(3):
                box.student.fn("burn")(0.2)


@pytest.mark.parametrize(("source", "error"), [("while True: pass", StudentTimeout), ("import os\nos._exit(1)", StudentCrashed)])
def test_the_cell_that_killed_the_box_is_named(slot, source, error):
    """A loop or an exit at module level is laid to its cell; the cells after it did not run."""
    cells = [Cell("a", "x = 1"), Cell("b", "1 / 0"), Cell("c", source), Cell("d", "y = 1")]
    with slot.open_box(cells, Limits(cpu_s=0.3, wall_s=30)) as box:
        assert list(box.failures) == ["b", "c"]
        assert isinstance(box.failures["c"], error)
        assert box.failures["c"].label == "c"
        assert box.lost is box.failures["c"]
        assert not box.alive


def test_why_the_process_ended_is_said(slot):
    """The exit status, the signal and the closed line stand in the error."""
    for name, words in (("stop", "status 3"), ("fault", "SIGSEGV"), ("hang_up", "closed its line")):
        with slot.open_box(CELLS) as box, pytest.raises(StudentCrashed, match=words):
            box.student.fn(name)()


def test_output_is_capped_and_printing_never_blocks(slot):
    """200 MiB of output are read and dropped; the first 64 KiB are kept."""
    with slot.open_box(CELLS) as box:
        box.student.fn("talk")(200 << 20)
        assert len(box.output) == Limits().output_bytes


def test_output_after_death_is_still_there(slot):
    """What was printed before the end is kept for the instructor."""
    with slot.open_box([Cell("c", "print('last words', flush=True)\nimport os\nos._exit(1)")]) as box:
        pass
    assert "last words" in box.output


def test_usage_tells_what_was_used(slot):
    """CPU seconds, memory and the way it ended are measured from outside."""
    with slot.open_box([Cell("c", "import torch\nx = torch.ones(50_000_000)\nfor _ in range(20): x = x * 1.1")]) as box:
        before = box.cpu_s
    usage = box.close()
    assert usage.cpu_s >= before > 0.05
    assert usage.max_rss_bytes > 200 << 20
    assert usage.why == "closed"


def test_nothing_is_left_after_many_jobs(slot):
    """No descriptor, process, cgroup or folder remains of boxes that ended in every way."""
    zygote = slot.opener.server.process.pid

    def groups() -> int:
        return len(Cgroups.find().leftovers(f"autograder-{os.getpid()}-")) if slot.has_cgroup else 0

    before, groups_before, processes = len(os.listdir("/proc/self/fd")), groups(), children_of(zygote)
    for i in range(60):
        with slot.open_box(CELLS) as box:
            if i % 3 == 1:
                with pytest.raises(StudentCrashed):
                    box.student.fn("stop")()
            if i % 3 == 2:
                box.student.fn("good")(torch.ones(1))
    assert len(os.listdir("/proc/self/fd")) == before
    assert all(len(kept) <= MAX_SPARE for kept in slot.opener._spare.values()), "a spare group or two per kind of job"
    assert groups() <= groups_before + MAX_SPARE
    for pid in children_of(zygote) - processes:
        wait_until_gone(pid)


@pytest.mark.skipif(Cgroups.find() is None, reason="this user may make no cgroup; root or a delegated one can")
def test_a_group_waits_for_the_last_of_its_job():
    """One with a process in it is not given to the next job, nobody waits for it meanwhile, and later it is used again."""
    with Slot.start() as slot:
        warden, limits = slot.opener, Limits(memory_bytes=300 << 20)
        first = warden._make_group(limits)
        with subprocess.Popen(["sleep", "30"]) as left, first.entries() as entries:
            for fd in entries:
                os.write(fd, str(left.pid).encode())
            warden._put_back(first, limits)
            second = warden._make_group(limits)
            assert second is not first
            assert left.wait(10) == -signal.SIGKILL
        warden._put_back(second, limits)
        assert warden._make_group(limits) is first
        warden._put_back(first, limits)


def test_a_box_closed_by_accident_is_no_error(slot):
    """Closing twice returns the same, and a closed box is not alive."""
    box = slot.open_box(CELLS)
    assert box.close() == box.close()
    assert not box.alive


# -- our own faults ----------------------------------------------------------------------------------------------------


def test_a_lost_monitor_is_our_fault(slot):
    """Killing the monitor or the player from outside raises InfraError: never a crash of the student's."""
    for lost in ("monitor", "player"):
        box = slot.open_box(CELLS)
        player = box._engine.job.pid
        monitor = int(Path(f"/proc/{player}/stat").read_text().rsplit(")", 1)[1].split()[1])
        os.kill(player if lost == "player" else monitor, signal.SIGKILL)
        with pytest.raises(InfraError):
            for _ in range(1000):
                box.student.fn("good")(torch.ones(1))
        with pytest.raises(InfraError):
            box.student.fn("good")(torch.ones(1))
        assert not box.alive
        box.close()


def test_a_lost_zygote_is_started_again():
    """The next box is opened from a new zygote; the boxes of the old one end as our fault."""
    with Slot.start() as slot:
        box = slot.open_box(CELLS)
        for pid in children_of(slot.opener.server.process.pid):
            os.kill(pid, signal.SIGKILL)
        slot.opener.server.process.wait()
        with pytest.raises(InfraError):
            box.student.fn("good")(torch.ones(1))
        box.close()
        with slot.open_box(CELLS) as box:
            assert box.student.fn("good")(torch.ones(1)) == 2


def test_a_new_zygote_may_be_lost_too(monkeypatch):
    """Who kills one may kill the next at once: the job is opened by the one after that, and beyond it given up."""
    with Slot.start() as slot:
        warden, n_lost = slot.opener, 0
        restart = warden._restart

        def restart_and_lose():
            nonlocal n_lost
            restart()
            if n_lost:
                n_lost -= 1
                warden.server.process.kill()
                warden.server.process.wait()

        monkeypatch.setattr(warden, "_restart", restart_and_lose)
        for n_lost in (1, 2):
            warden.server.process.kill()
            warden.server.process.wait()
            if n_lost == 1:
                with slot.open_box(CELLS) as box:
                    assert box.student.fn("good")(torch.ones(1)) == 2
            else:
                with pytest.raises(InfraError, match="was lost"):
                    slot.open_box(CELLS)


def test_closing_a_slot_ends_everything_below_it():
    """Neither the zygote nor an open box outlives its slot."""
    slot = Slot.start()
    slot.open_box(CELLS)
    below = children_of(slot.opener.server.process.pid)
    assert len(below) >= 3
    slot.close()
    assert not {pid for pid in below if Path(f"/proc/{pid}").exists()}


WORKER = """
import sys, time
from autograder.sandbox.box import Slot
from autograder.submission.ipython import plain_python
from autograder.submission.model import Cell
slot = Slot.start()
box = slot.open_box([Cell("c", "x = 1")])
print(slot.opener.server.process.pid, box._engine.job.pid, flush=True)
time.sleep(1000)
"""


def test_nothing_outlives_a_killed_worker():
    """kill -9 on the worker ends its zygote and its boxes."""
    with subprocess.Popen([sys.executable, "-c", WORKER], stdout=subprocess.PIPE, cwd=Path(__file__).parents[1]) as worker:
        jail, player = map(int, worker.stdout.readline().split())
        below = {jail, player} | children_of(jail)
        worker.kill()
    for pid in below:
        wait_until_gone(pid)


def test_without_bubblewrap_the_error_says_what_to_install(tmp_path):
    """A missing tool is named with the command that installs it."""
    with pytest.raises(InfraError, match="apt-get install bubblewrap"):
        zygote_process.start(True, str(tmp_path))


@pytest.fixture
def open_folder():
    """A folder that the slot's uid can reach, as pytest's own cannot."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_a_zygote_that_does_not_start_says_why(open_folder):
    """What bubblewrap said stands in the error."""
    fake = open_folder / "bwrap"
    fake.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    fake.chmod(0o755)
    with pytest.raises(InfraError, match=r"No permissions to create new namespace.*sysctl"):
        zygote_process.start(True, str(open_folder))


# -- what the player sees ----------------------------------------------------------------------------------------------

LOOK = """
import os, sys, threading
def look():
    fds = sorted(int(fd) for fd in os.listdir("/proc/self/fd"))
    return {
        "env": dict(os.environ), "fds": fds[:-1], "threads": threading.active_count(), "files": os.listdir("."),
        "argv": sys.argv, "ours": sorted(m for m in sys.modules if m.startswith("autograder")),
        "main": sys.modules["__main__"].__dict__ is globals(), "tmp": os.listdir("/tmp"), "uid": os.getuid(),
        "room": sorted(f for _, _, names in os.walk("/box") for f in names),
    }
def leave():
    for folder in (".", "/tmp", "/dev/shm"):
        open(folder + "/left", "w").write("x")
def find():
    return [folder for folder in (".", "/tmp", "/dev/shm") if os.path.exists(folder + "/left")]
"""


def test_the_player_sees_nothing_of_ours(slot, monkeypatch):
    """No variable, descriptor, module or file of ours is inside but the player and the wire."""
    with slot.open_box([Cell("c", LOOK)]) as box:
        seen = box.student.fn("look")()
    assert seen["fds"] == [0, 1, 2, 3]
    assert seen["files"] == []
    assert seen["argv"] == [""]
    assert seen["main"]
    assert seen["uid"] != 0
    assert set(seen["env"]) & {"BOOTCAMP_SEED", "BOOTCAMP_HOME", "PYTEST_CURRENT_TEST", "VIRTUAL_ENV"} == set()
    allowed = ("autograder.sandbox.protocol", "autograder.sandbox.player", "autograder.sandbox.jail")
    alone = {"autograder", "autograder.sandbox", "autograder.sandbox.monitor", "autograder.sandbox.warm"}
    assert all(m in alone or m.startswith(allowed) for m in seen["ours"])
    assert not {"grade.py", "checks.py", "engine.py", "link.py", "course.py", "home.py"} & set(seen["room"])


def test_nothing_is_left_for_the_next_job(slot):
    """Files that one job leaves in any writable folder are gone for the next, and for a neighbour."""
    with slot.open_box([Cell("c", LOOK)]) as box, slot.open_box([Cell("c", LOOK)]) as neighbour:
        box.student.fn("leave")()
        assert box.student.fn("find")() == [".", "/tmp", "/dev/shm"]
        assert neighbour.student.fn("find")() == []
    with slot.open_box([Cell("c", LOOK)]) as box:
        assert box.student.fn("find")() == []


HONEST = {
    "a process pool": "import multiprocessing as mp\n"
    "with mp.get_context('fork').Pool(2) as p: assert p.map(abs, [-1, 2]) == [1, 2]",
    "threads": "torch.set_num_threads(2)\na = torch.randn(600, 600)\n(a @ a).sum().item()\nassert torch.get_num_threads() == 2",
    "convolution": "x = torch.randn(2, 3, 32, 32, requires_grad=True)\ntorch.nn.Conv2d(3, 8, 3)(x).sum().backward()",
    "decompositions": "torch.linalg.svd(torch.randn(50, 50)); torch.fft.fft(torch.randn(100)); torch.linalg.eigh(torch.eye(4))",
    "AdamW": "m = torch.nn.Linear(3, 1)\no = torch.optim.AdamW(m.parameters())\nm(torch.ones(2, 3)).sum().backward()\no.step()",
    "DataLoader workers": "from torch.utils.data import DataLoader, TensorDataset\n"
    "assert len(list(DataLoader(TensorDataset(torch.randn(20, 4)), batch_size=5, num_workers=2))) == 4",
    "a thread": "import threading\nt = threading.Thread(target=lambda: torch.randn(10).sum())\nt.start()\nt.join()",
    "a subprocess": "import subprocess\nsubprocess.run(['/bin/true'], check=True)",
    "save and load": "torch.save({'a': torch.ones(3)}, 'a.pt')\nassert torch.load('a.pt')['a'].sum() == 3",
    "vmap": "torch.func.vmap(torch.sum)(torch.ones(3, 4)); torch.func.jacrev(lambda x: x**2)(torch.ones(3))",
    "asyncio": "await __import__('asyncio').sleep(0.001)",
    "temporary files": "import tempfile\nwith tempfile.NamedTemporaryFile() as f: f.write(b'x')",
    "einops": "import einops, numpy as np\neinops.rearrange(torch.zeros(2, 3), 'a b -> (a b)'); np.linalg.svd(np.eye(3))",
    "pickle": "import pickle\nclass A: pass\nassert type(pickle.loads(pickle.dumps(A()))) is A",
    "getsource": "import inspect\ndef f(): return 1\nassert 'return 1' in inspect.getsource(f)",
    "the clock": "import time\nt = time.perf_counter()\ntime.sleep(0.001)\nassert time.perf_counter() > t",
    "magics": "%matplotlib inline\n!pip install torch\ntorch.ones?\nx = 1",
}


@pytest.mark.parametrize("name", HONEST)
def test_honest_code_works_inside(slot, name):
    """The walls do not stand in the way of what students' notebooks do."""
    with slot.open_box([Cell("import", "import torch"), Cell(name, plain_python(HONEST[name]))]) as box:
        assert box.failures == {}, (box.failures, box.output)
