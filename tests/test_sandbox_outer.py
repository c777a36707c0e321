"""The outer jail: the interpreter is there wherever it stands outside, and jobs' own folders never hide it."""

from __future__ import annotations

import pytest

from autograder.sandbox.outer import Interpreter, bwrap_command, landlock_folders, zygote_contents


def binds(command: list[str]) -> dict[str, str]:
    """Return what is bound read-only, source -> place."""
    return {command[i + 1]: command[i + 2] for i, word in enumerate(command) if word == "--ro-bind"}


def interpreter(venv: str) -> Interpreter:
    return Interpreter(f"{venv}/bin/python3", ("/opt/python", venv), (f"{venv}/lib/python3/site-packages",))


@pytest.mark.parametrize("venv", ["/tmp/checkout/.venv", "/dev/shm/venv", "/job/.venv", "/tmp"])
def test_an_interpreter_that_a_job_would_hide_stands_elsewhere(venv: str):
    """Every job mounts its own /tmp: a checkout below it must not vanish, and the command must find it."""
    found = interpreter(venv)
    command = bwrap_command("bwrap", found, zygote_contents())
    executable = command[command.index("--") + 1]

    assert binds(command)[venv] == "/python1"
    assert executable == "/python1/bin/python3"
    assert "/python1" in landlock_folders(found, jailed=True)
    assert venv in landlock_folders(found, jailed=False)


def test_an_interpreter_elsewhere_stays_where_it_is():
    """Paths that packages have noted down at their installation go on working."""
    found = interpreter("/srv/tmp/.venv")
    command = bwrap_command("bwrap", found, zygote_contents())

    assert binds(command)["/srv/tmp/.venv"] == "/srv/tmp/.venv"
    assert command[command.index("--") + 1] == "/srv/tmp/.venv/bin/python3"
