"""The test process's PostgreSQL server: a real one, started once, a fresh database for every test."""

from __future__ import annotations

import atexit
from functools import cache

import pytest

from autograder.bench.postgres import Server, binaries


@cache
def server() -> Server:
    """Return the server; skips the test, loudly, where PostgreSQL is not installed."""
    bin = binaries()
    if bin is None:
        pytest.skip("PostgreSQL is not installed (no initdb); ends with: apt-get install postgresql, as .ci/run does")
    started = Server(bin)
    atexit.register(started.remove)
    return started
