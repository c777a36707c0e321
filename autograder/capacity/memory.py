"""Nothing in; what one active student's server holds, measured here: two real servers with a torch kernel each, in MiB out.

Two, because what they share (the libraries' pages) is paid once per host: proportional set sizes share it out among them.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from autograder.errors import InfraError

_N = 2
_START_LIMIT_S = 240.0
_WORK = """
import einops, numpy, torch
from torch import nn
block = nn.TransformerEncoderLayer(128, 4, batch_first=True)
block(torch.randn(8, 64, 128)).sum().backward()
"""


@dataclass(frozen=True)
class Held:
    """Memory of one active student in MiB: the server, and the kernel after some work with torch."""

    server_mib: float
    kernel_mib: float

    @property
    def total_mib(self) -> float:
        return self.server_mib + self.kernel_mib


def measure() -> Held:
    """Start the servers and kernels, let them work, read what they hold, stop them. Raises: InfraError."""
    from jupyter_client.manager import start_new_kernel

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bootcamp-memory-")))
        servers = [stack.enter_context(_server(folder / str(n))) for n in range(_N)]
        kernels = []
        for _ in range(_N):
            manager, client = start_new_kernel(startup_timeout=_START_LIMIT_S, stderr=subprocess.DEVNULL)
            stack.callback(manager.shutdown_kernel, now=True)
            stack.callback(client.stop_channels)
            client.execute_interactive(_WORK, timeout=_START_LIMIT_S, output_hook=lambda message: None)
            kernels.append(int(getattr(manager.provisioner, "pid", 0)))
        return Held(_mean_mib([s.pid for s in servers]), _mean_mib(kernels))


def _server(folder: Path) -> Any:
    """Return JupyterLab's server as a context manager, started and answering; it ends with the context."""
    folder.mkdir()
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--port=0", f"--ServerApp.root_dir={folder}"]
    command += ["--allow-root", "--LabApp.news_url=None", "--ServerApp.log_level=WARN"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder)
    until = time.monotonic() + _START_LIMIT_S
    while not any(c.status == psutil.CONN_LISTEN for c in psutil.Process(process.pid).net_connections("tcp")):
        if process.poll() is not None or time.monotonic() > until:
            process.kill()
            raise InfraError(f"JupyterLab did not start to be measured (exit status {process.poll()}).")
        time.sleep(0.1)
    return _Ended(process)


class _Ended:
    """A process that ends with its context."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process, self.pid = process, process.pid

    def __enter__(self) -> _Ended:
        return self

    def __exit__(self, *raised: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _mean_mib(pids: list[int]) -> float:
    found = [psutil.Process(pid).memory_full_info() for pid in pids]
    # Linux tells proportional sizes; elsewhere what is shared counts for each, which only plans for too much.
    return sum(getattr(m, "pss", 0) or m.rss for m in found) / len(found) / 2**20
